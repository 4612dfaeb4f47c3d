"""What a dataset's cells say of its quality: counts, knock-down, controls, batches, agreement of halves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from lanner.datasets import Dataset
from lanner.records import CONTROL, Condition, derived_seed

PSEUDO = 0.1
"""Added to both means of a fold change, on the normalised scale, so that an unseen gene has one."""
SEEN = 0.05
"""A target in fewer of its controls than this share is too rare for a knock-down to show."""
FEWEST_HALF = 5
"""Cells of a half, below which its mean says little."""

Array = np.ndarray[Any, Any]


def measured(dataset: Dataset) -> dict[str, Any]:
    """All measures of a dataset.

    Returns
    -------
    JSON-ready, with

    conditions
        [{condition, perturbation, context, cells, umi, agreement}]: umi is the median count of a cell, None
        without counts; agreement the Pearson correlation over genes of the changes measured in two halves of
        the cells, each against its own half of the context's controls (measured halves of profiles against
        their one control), on the scale of X, or None.
    controls
        [{context, cells, umi, share (of the context's cells), umi_ratio (median of controls over that of
        perturbed cells, or None)}].
    knockdown
        [{condition, target, control, perturbed (mean expression), seen (share of controls with the gene),
        log2_fold, remaining (perturbed over control), judged}], single targets among the genes only; means
        are on the scale that expm1 of X has.
    batches
        None, or {n, cramers_v by context, without_controls: [{context, batch, cells}]}.
    """
    obs = dataset.obs
    umi = _umi(dataset)
    halves = _half_means(dataset)
    of_condition = {str(name): rows.to_numpy() for name, rows in _positions(obs, "condition")}
    of_control = {
        str(name): rows.to_numpy()
        for name, rows in _positions(obs[obs["perturbation"] == CONTROL], "context", obs)
    }
    return {
        "conditions": [
            {
                "condition": item.id,
                "perturbation": item.perturbation,
                "context": item.context_id,
                "cells": item.n_cells,
                "umi": _median(umi, of_condition.get(item.id)),
                "agreement": _agreement(item, halves),
            }
            for item in dataset.conditions
        ],
        "controls": _controls(dataset, umi, of_control),
        "knockdown": _knockdown(dataset, of_condition, of_control),
        "batches": _batches(obs),
    }


def _positions(rows: pd.DataFrame, column: str, whole: pd.DataFrame | None = None) -> Any:
    """Name -> positions of its rows in X."""
    where = np.arange(len(rows))
    if whole is not None:
        where = np.flatnonzero((whole["perturbation"] == CONTROL).to_numpy())
    return pd.Series(where).groupby(rows[column].to_numpy())


def _umi(dataset: Dataset) -> Array | None:
    """Counts of each cell, ``(n,)``; None where there are none."""
    counts = dataset.counts()
    if counts is None:
        return None
    return np.concatenate(
        [np.asarray(block.sum(axis=1), dtype=np.float64).ravel() for _, _, block in counts.blocks()]
    )


def _median(umi: Array | None, rows: Array | None) -> float | None:
    return None if umi is None or rows is None or not rows.size else float(np.median(umi[rows]))


def _half_means(dataset: Dataset) -> Mapping[str, tuple[Array, Array]]:
    """Means of X ``(n_genes,)`` of two halves of each condition's and each context's control cells.

    Cells are halved at random, seeded by the dataset's content; profiles have halves only where measured.
    """
    obs = dataset.obs
    is_control = (obs["perturbation"] == CONTROL).to_numpy()
    names = np.where(is_control, CONTROL + "|" + obs["context"], obs["condition"]).astype(str)
    labels, group = np.unique(names, return_inverse=True)
    if dataset.entry.kind == "cells":
        order = np.random.default_rng(derived_seed(dataset.content, "halves")).permutation(len(obs))
        rank = pd.Series(group[order]).groupby(group[order]).cumcount().to_numpy()
        half = np.empty(len(obs), dtype=np.int64)
        half[order] = rank % 2
    elif "replicate" in obs:
        replicate = obs["replicate"].to_numpy(dtype=str)
        half = np.select([replicate == "half1", replicate == "half2", is_control], [0, 1, 0], default=-1)
    else:
        return {}
    sums, sizes = dataset.X().group_sums(np.where(half < 0, -1, 2 * group + half), 2 * len(labels))
    means = {}
    for number, label in enumerate(labels):
        first, second = 2 * number, 2 * number + 1
        least = FEWEST_HALF if dataset.entry.kind == "cells" else 1
        if min(sizes[first], sizes[second]) >= least:
            means[str(label)] = (sums[first] / sizes[first], sums[second] / sizes[second])
        elif dataset.entry.kind == "profile" and str(label).startswith(CONTROL) and sizes[first]:
            means[str(label)] = (sums[first] / sizes[first],) * 2
    return means


def _agreement(item: Condition, halves: Mapping[str, tuple[Array, Array]]) -> float | None:
    control, own = halves.get(f"{CONTROL}|{item.context_id}"), halves.get(item.id)
    if control is None or own is None:
        return None
    first, second = own[0] - control[0], own[1] - control[1]
    if first.std() == 0 or second.std() == 0:
        return None
    return float(np.corrcoef(first, second)[0, 1])


def _controls(dataset: Dataset, umi: Array | None, of_control: Mapping[str, Array]) -> list[dict[str, Any]]:
    contexts = dataset.obs["context"].to_numpy(dtype=str)
    perturbed = (dataset.obs["perturbation"] != CONTROL).to_numpy()
    found = []
    for context in dataset.contexts:
        rows = of_control.get(context, np.zeros(0, dtype=np.int64))
        others = np.flatnonzero((contexts == context) & perturbed)
        own, their = _median(umi, rows), _median(umi, others)
        found.append(
            {
                "context": context,
                "cells": int(rows.size),
                "share": rows.size / max(1, rows.size + others.size),
                "umi": own,
                "umi_ratio": own / their if own is not None and their else None,
            }
        )
    return found


def _knockdown(
    dataset: Dataset, of_condition: Mapping[str, Array], of_control: Mapping[str, Array]
) -> list[dict[str, Any]]:
    """Expression of each single target in its condition and in the context's controls."""
    if dataset.entry.kind != "cells":
        return []
    column = {gene: number for number, gene in enumerate(dataset.genes)}
    singles = [item for item in dataset.conditions if len(item.targets) == 1 and item.targets[0] in column]
    genes = sorted({column[item.targets[0]] for item in singles})
    if not genes:
        return []
    values = np.concatenate([_dense(block[:, genes]) for _, _, block in dataset.X().blocks()])
    values = np.expm1(values, dtype=np.float64)
    place = {gene: number for number, gene in enumerate(genes)}
    found = []
    for item in singles:
        controls = of_control.get(item.context_id)
        rows = of_condition.get(item.id)
        if controls is None or rows is None:
            continue
        at = place[column[item.targets[0]]]
        before, after = float(values[controls, at].mean()), float(values[rows, at].mean())
        seen = float((values[controls, at] > 0).mean())
        found.append(
            {
                "condition": item.id,
                "target": item.targets[0],
                "control": before,
                "perturbed": after,
                "seen": seen,
                "log2_fold": float(np.log2((after + PSEUDO) / (before + PSEUDO))),
                "remaining": after / before if before > 0 else None,
                "judged": seen >= SEEN,
            }
        )
    return found


def _dense(block: Any) -> Array:
    return np.asarray(block.todense() if hasattr(block, "todense") else block, dtype=np.float64)


def _batches(obs: pd.DataFrame) -> dict[str, Any] | None:
    """How far perturbations and batches are confounded within each context; None without batches."""
    if "batch" not in obs or obs["batch"].nunique() < 2:
        return None
    values, without = {}, []
    for context, rows in obs.groupby("context", sort=True):
        table = pd.crosstab(rows["perturbation"], rows["batch"])
        values[str(context)] = _cramers_v(table.to_numpy(dtype=np.float64))
        controls = table.loc[CONTROL] if CONTROL in table.index else table.iloc[0] * 0
        lacking: Sequence[Any] = [batch for batch in table.columns if controls[batch] == 0]
        without += [
            {"context": str(context), "batch": str(batch), "cells": int(table[batch].sum())}
            for batch in lacking
        ]
    return {"n": int(obs["batch"].nunique()), "cramers_v": values, "without_controls": without}


def _cramers_v(table: Array) -> float | None:
    """Cramér's V of a contingency table, bias-corrected (Bergsma 2013, doi:10.1016/j.jkss.2012.10.002).

    0 where rows and columns are independent, 1 where one tells the other; None for a single row or column.
    """
    r, k = table.shape
    n = table.sum()
    if min(r, k) < 2 or n < 2:
        return None
    expected = table.sum(axis=1, keepdims=True) * table.sum(axis=0, keepdims=True) / n
    phi2 = float(((table - expected) ** 2 / expected).sum() / n)
    corrected = max(0.0, phi2 - (k - 1) * (r - 1) / (n - 1))
    least = min(k - (k - 1) ** 2 / (n - 1), r - (r - 1) ** 2 / (n - 1)) - 1
    return float(np.sqrt(corrected / least)) if least > 0 else None
