"""PEREGGRN's evaluator: what it reads off predicted directions, up, down and unchanged."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from lanner.compat import Pair, PeerValues
from lanner.compat.pereggrn import TARGET, changes, pereggrn_metric

Array = np.ndarray[Any, Any]
DIRECTION = "the sign of a change rounded to two decimals"
NONE = "all genes are predicted to change in one way"


def directions(change: Array) -> Array:
    """-1, 0 or 1: the sign of the change rounded to two decimals."""
    sign: Array = np.sign(np.round(change, 2))
    return sign


@pereggrn_metric(
    id="pereggrn/pvalue_effect_direction",
    family="de direction",
    estimator=f"chi-square test of the table of {DIRECTION}; Yates's correction for two by two",
    better="neither",
    best=0.0,
    faults="a p value as a score: it says how many genes there are, and a prediction of opposite signs does "
    f"as well as the right one; {TARGET}",
)
def pvalue_effect_direction(pair: Pair) -> PeerValues:
    """p of independence of observed and predicted direction of change."""
    from scipy.stats import chi2_contingency

    values = []
    for observed, predicted in zip(*changes(pair), strict=True):
        _, rows = np.unique(directions(observed), return_inverse=True)
        _, columns = np.unique(directions(predicted), return_inverse=True)
        table = np.zeros((rows.max() + 1, columns.max() + 1), dtype=np.int64)
        np.add.at(table, (rows, columns), 1)
        values.append(float(chi2_contingency(table).pvalue))
    return PeerValues(values=np.array(values))


@pereggrn_metric(
    id="pereggrn/pvalue_targets_vs_non_targets",
    family="de direction",
    estimator=f"one-way ANOVA over {DIRECTION}",
    better="neither",
    best=0.0,
    faults=f"a p value as a score: it says how many genes there are; {TARGET}",
)
def pvalue_targets_vs_non_targets(pair: Pair) -> PeerValues:
    """p of equal observed change among genes predicted up, down and unchanged.

    Undefined where all genes fall into one class.
    """
    values = []
    for observed, predicted in zip(*changes(pair), strict=True):
        sign = directions(predicted)
        groups = [observed[sign == s] for s in (1, -1, 0) if (sign == s).any()]
        values.append(_anova(groups) if len(groups) > 1 else np.nan)
    return PeerValues(values=np.array(values), reason=NONE)


def _anova(groups: list[Array]) -> float:
    """p of a one-way ANOVA; NaN where every group has one gene."""
    from scipy.stats import f_oneway

    if all(len(group) == 1 for group in groups):
        return float("nan")
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        return float(f_oneway(*groups).pvalue)


@pereggrn_metric(
    id="pereggrn/fc_targets_vs_non_targets",
    family="de fold change",
    estimator=f"difference of means over {DIRECTION}",
    better="neither",
    best=0.0,
    faults=f"documented differently; a size of effect of the truth, whatever the sizes predicted; {TARGET}",
)
def fc_targets_vs_non_targets(pair: Pair) -> PeerValues:
    """Observed change of genes predicted up less that of genes predicted down.

    Where one of the two classes is empty the unchanged genes take its place; undefined where only one class
    is left.
    """
    values = []
    for observed, predicted in zip(*changes(pair), strict=True):
        sign = directions(predicted)
        means = {s: observed[sign == s].mean() for s in (1, 0, -1) if (sign == s).any()}
        high, low = means.get(1, means.get(0, np.nan)), means.get(-1, means.get(0, np.nan))
        values.append(high - low if len(means) > 1 else np.nan)
    return PeerValues(values=np.array(values), reason=NONE)
