"""One prediction scored with every variant of a name: how far numbers of one name disagree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from lanner import catalogue
from lanner.compat import PeerMetric
from lanner.errors import ConfigurationError
from lanner.metrics import Metric

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Agreement", "Comparison", "Variant", "compare"]

Array = np.ndarray[Any, Any]
MIN_SHARED = 3
"""Fewer perturbations than this have no rank correlation."""


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One way to compute a number of this name, and what it gives for the prediction.

    ``value`` is the mean over the ``n`` perturbations that have one; ``without`` says in words which have
    none. ``tau`` is the median of Kendall's tau with the other variants, None where none can be had.
    """

    metric: str
    peer: str
    value: float | None
    n: int
    better: str
    best: float
    tau: float | None
    space: str
    reference: str
    estimator: str
    without: str
    faults: str


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """Kendall's tau-b of two variants over the ``n`` perturbations both have; larger is always better."""

    first: str
    second: str
    tau: float
    n: int


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """All variants of a family on one prediction, and how they agree."""

    family: str
    sentence: str
    variants: tuple[Variant, ...]
    agreements: tuple[Agreement, ...]

    def to_json(self) -> dict[str, Any]:
        """As it is printed by ``lanner metric compare --json``."""
        return asdict(self)


def compare(frame: pd.DataFrame, family: str) -> Comparison:
    """Compare the variants in a table of scores of one prediction.

    Parameters
    ----------
    frame
        As ``lanner.pairs.scores.score`` returns it: columns metric, variant, perturbation, context, value,
        status, reason; metrics of the family only.
    family
        Its name.

    Raises
    ------
    ConfigurationError
        The table names a metric nobody declared, or one of another family.
    """
    strangers = sorted(name for name in set(frame["metric"]) if catalogue.family_of(name) != family)
    if strangers:
        raise ConfigurationError(f"{strangers[0]} is not a variant of {family}; compare one family at a time")
    values = _values(frame)
    agreements = _agreements(values)
    variants = tuple(
        _variant(name, variant, part, agreements)
        for (name, variant), part in frame.groupby(["metric", "variant"], sort=False)
    )
    return Comparison(
        family=family,
        sentence=_sentence(family, variants, agreements),
        variants=variants,
        agreements=agreements,
    )


def _values(frame: pd.DataFrame) -> dict[str, tuple[Metric | PeerMetric, dict[tuple[str, str], float]]]:
    """Scored values of each variant that ranks perturbations, by perturbation and context."""
    found = {}
    scored = frame[(frame["status"] == "scored") & (frame["perturbation"] != "")]
    for (name, variant), part in scored.groupby(["metric", "variant"], sort=False):
        keys = zip(part["perturbation"], part["context"], strict=True)
        found[f"{name}{variant}"] = catalogue.find(name), dict(zip(keys, part["value"], strict=True))
    return found


def _agreements(
    values: dict[str, tuple[Metric | PeerMetric, dict[tuple[str, str], float]]],
) -> tuple[Agreement, ...]:
    """Rank correlations of all pairs of variants that have a better side and enough in common."""
    from scipy.stats import kendalltau

    found = []
    for first, second in combinations(values, 2):
        (one, x), (other, y) = values[first], values[second]
        shared = sorted(x.keys() & y.keys())
        if len(shared) < MIN_SHARED or "neither" in (one.card.better, other.card.better):
            continue
        merits = _merit(one, [x[key] for key in shared]), _merit(other, [y[key] for key in shared])
        if any(len(set(merit.tolist())) == 1 for merit in merits):
            continue
        tau = float(kendalltau(*merits).statistic)
        found.append(Agreement(first=first, second=second, tau=tau, n=len(shared)))
    return tuple(found)


def _merit(metric: Metric | PeerMetric, values: Sequence[float]) -> Array:
    """Values turned so that larger is better."""
    array = np.asarray(values, dtype=np.float64)
    if metric.card.better == "nearest":
        array = -np.abs(array - metric.card.best)
    return -array if metric.card.better == "lower" else array


def _variant(name: str, variant: str, part: pd.DataFrame, agreements: Sequence[Agreement]) -> Variant:
    metric = catalogue.find(name)
    card, label = metric.card, f"{name}{variant}"
    scored = part.loc[part["status"] == "scored", "value"]
    taus = [a.tau for a in agreements if label in (a.first, a.second)]
    return Variant(
        metric=label,
        peer=metric.card.peer if isinstance(metric, PeerMetric) else "Lanner",
        value=float(scored.mean()) if len(scored) else None,
        n=len(scored),
        better=card.better,
        best=card.best,
        tau=float(np.median(taus)) if taus else None,
        space=card.space,
        reference=card.reference,
        estimator=card.estimator,
        without=_without(part),
        faults=metric.card.faults if isinstance(metric, PeerMetric) else "none",
    )


def _without(part: pd.DataFrame) -> str:
    """``2 undefined: a change that is the same in all genes; 1 unanswered: ...``."""
    lacking = part[part["status"] != "scored"]
    counts = lacking.groupby(["status", "reason"], sort=False).size()
    return "; ".join(
        f"{n} {status.replace('_', ' ')}{f': {reason}' if reason else ''}"
        for (status, reason), n in counts.items()
    )


def _sentence(family: str, variants: Sequence[Variant], agreements: Sequence[Agreement]) -> str:
    """How far the variants disagree, in words."""
    valued = [variant for variant in variants if variant.value is not None]
    if len(valued) < 2:
        return f"Only {len(valued)} of {len(variants)} variants of {family} has a value: nothing to compare."
    ranges = "; ".join(_range(group) for group in _comparable(valued))
    sentence = (
        f"{len(valued)} of {len(variants)} variants of {family} have a value for this prediction: {ranges}."
    )
    if not agreements:
        return f"{sentence} Too few perturbations, or too even ones, to say whether they rank them alike."
    taus = [agreement.tau for agreement in agreements]
    least = min(agreements, key=lambda agreement: agreement.tau)
    return (
        f"{sentence} Over perturbations their rankings agree with Kendall's tau between {min(taus):.2f} and "
        f"{max(taus):.2f} (median {np.median(taus):.2f}); {least.first} and {least.second} agree least."
    )


def _comparable(variants: Sequence[Variant]) -> list[list[Variant]]:
    """Variants of the same direction and best value together, the largest group first."""
    groups: dict[tuple[str, float], list[Variant]] = {}
    for variant in variants:
        groups.setdefault((variant.better, variant.best), []).append(variant)
    return sorted(groups.values(), key=len, reverse=True)


def _range(group: Sequence[Variant]) -> str:
    values = sorted((variant.value, variant.metric) for variant in group if variant.value is not None)
    (low, lowest), (high, highest) = values[0], values[-1]
    side = {"neither": "information"}.get(group[0].better, f"{group[0].better} is better")
    if len(values) == 1:
        return f"{low:.3g} ({lowest}, {side})"
    return f"{low:.3g} ({lowest}) to {high:.3g} ({highest}) where {side}, best {group[0].best:g}"
