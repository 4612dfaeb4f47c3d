"""Facts known of a dataset from its publication, tested on the normalised data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from lanner.datasets.dataset import Dataset
from lanner.records import COMBINATION, CONTROL

SELF = "self"
CERTAIN = 3.0
"""A mean has moved when the difference exceeds this many Welch standard errors; profiles have no errors."""

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One checked statement; ``level`` is ``error``, ``warning`` or ``information``."""

    fact: str
    observed: str | float | int
    expected: str | float | int
    passed: bool
    level: str = "error"

    def to_json(self) -> dict[str, Any]:
        """``{"fact", "observed", "expected", "passed", "level"}``."""
        return dict(vars(self))


def check(dataset: Dataset) -> list[dict[str, Any]]:
    """Test every fact of the entry: ``{"fact", "observed", "expected", "passed", "level"}`` each."""
    return [CHECKS[fact["check"]](dataset, fact).to_json() for fact in dataset.entry.facts]


def _count(dataset: Dataset, fact: Mapping[str, Any]) -> Finding:
    perturbations = {condition.perturbation for condition in dataset.conditions}
    combinations = {name for name in perturbations if COMBINATION in name}
    observed = {
        "rows": len(dataset.obs),
        "controls": int((dataset.obs["perturbation"] == CONTROL).sum()),
        "genes": len(dataset.genes),
        "perturbations": len(perturbations),
        "combinations": len(combinations),
        "singles": len(perturbations - combinations),
        "conditions": len(dataset.conditions),
    }[fact["of"]]
    passed = abs(observed - fact["expected"]) <= fact.get("tolerance", 0)
    return Finding(fact=fact["text"], observed=observed, expected=fact["expected"], passed=passed)


def _direction(dataset: Dataset, fact: Mapping[str, Any]) -> Finding:
    """Compare each gene's mean in each condition with its context's controls.

    Moved means a difference in the stated direction beyond CERTAIN Welch standard errors; where a group has
    one row (profiles), beyond zero.
    """
    wanted = fact["direction"]
    results = []
    for context in fact.get("contexts", dataset.contexts):
        for perturbation in fact["perturbations"]:
            genes = perturbation.split(COMBINATION) if fact["genes"] == [SELF] else fact["genes"]
            absent = sorted(set(genes) - set(dataset.genes))
            moved = None if absent else _shift(dataset, perturbation, context, genes)
            if moved is None:
                what = f"gene {absent[0]}" if absent else f"{perturbation} or its controls in {context}"
                return Finding(
                    fact=fact["text"], observed=f"{what} not in the data", expected=wanted, passed=False
                )
            results += [
                (perturbation, gene, context, *values) for gene, *values in zip(genes, *moved, strict=True)
            ]
    sign = 1.0 if wanted.endswith("up") else -1.0
    strengths = [sign * score for *_, score in results]
    hits = [strength > CERTAIN for strength in strengths]
    if wanted.startswith("not-"):
        hits = [not hit for hit in hits]
        weakest = results[int(np.argmax(strengths))]
    else:
        weakest = results[int(np.argmin(strengths))]
    perturbation, gene, context, delta, score = weakest
    observed = f"{sum(hits)} of {len(hits)}; closest call {perturbation}, {gene}, {context}: {delta:+.3g}"
    if np.isfinite(score):
        observed += f" ({score:+.1f} standard errors)"
    return Finding(
        fact=fact["text"], observed=observed, expected=f"{wanted} in {len(hits)}", passed=all(hits)
    )


def _shift(dataset: Dataset, perturbation: str, context: str, genes: list[str]) -> tuple[Array, Array] | None:
    """Difference of means from control and the same in standard errors, per gene; None without rows."""
    treated = _rows(dataset, perturbation, context)
    control = _rows(dataset, CONTROL, context)
    if not (len(treated) and len(control)):
        return None
    columns = [dataset.genes.index(gene) for gene in genes]
    X = dataset.X()
    t, c = (X.rows(rows)[:, columns].toarray().astype(np.float64) for rows in (treated, control))
    delta = t.mean(axis=0) - c.mean(axis=0)
    if min(len(t), len(c)) < 2:
        return delta, np.where(delta == 0, 0.0, np.sign(delta) * np.inf)
    error = np.sqrt(t.var(axis=0, ddof=1) / len(t) + c.var(axis=0, ddof=1) / len(c))
    return delta, delta / np.maximum(error, np.finfo(np.float64).tiny)


def _additive_pearson(dataset: Dataset, fact: Mapping[str, Any]) -> Finding:
    """Median Pearson correlation, over all genes, of a double's delta with the sum of its singles' deltas.

    Deltas are taken to the context's control; no gene is masked; doubles whose two singles are not both
    measured are left out (the additive model of Ahlmann-Eltze et al. 2025, Nat Methods 22:1657).
    """
    means = _Means(dataset)
    scores = []
    for condition in dataset.conditions:
        parts = condition.perturbation.split(COMBINATION)
        deltas = [means.delta(name, condition.context_id) for name in (condition.perturbation, *parts)]
        if len(parts) == 2 and all(delta is not None for delta in deltas):
            double, first, second = (np.asarray(delta) for delta in deltas)
            scores.append(float(np.corrcoef(double, first + second)[0, 1]))
    median = float(np.median(scores)) if scores else float("nan")
    passed = len(scores) == fact["n"] and abs(median - fact["expected"]) <= fact.get("tolerance", 0)
    return Finding(
        fact=fact["text"],
        observed=f"{median:.4f} over {len(scores)}",
        expected=f"{fact['expected']} ± {fact.get('tolerance', 0)} over {fact['n']}",
        passed=passed,
    )


class _Means:
    """Means of conditions, computed when asked for and kept."""

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset
        self._known: dict[tuple[str, str], Array | None] = {}

    def delta(self, perturbation: str, context: str) -> Array | None:
        """Mean of the condition minus mean of its context's controls, or None when either has no rows."""
        mean, control = self._mean(perturbation, context), self._mean(CONTROL, context)
        return None if mean is None or control is None else mean - control

    def _mean(self, perturbation: str, context: str) -> Array | None:
        key = (perturbation, context)
        if key not in self._known:
            rows = _rows(self._dataset, *key)
            values = self._dataset.X().rows(rows)
            mean = np.asarray(values.mean(axis=0, dtype=np.float64)).ravel() if len(rows) else None
            self._known[key] = mean
        return self._known[key]


def _rows(dataset: Dataset, perturbation: str, context: str) -> Array:
    """Rows of a perturbation in a context, whatever the dose; of profiles the published ones."""
    obs: pd.DataFrame = dataset.obs
    mask = (obs["perturbation"] == perturbation) & (obs["context"] == context)
    if "replicate" in obs:
        mask &= obs["replicate"] == "all"
    return np.flatnonzero(mask.to_numpy())


CHECKS: Mapping[str, Callable[[Dataset, Mapping[str, Any]], Finding]] = {
    "additive-pearson": _additive_pearson,
    "count": _count,
    "direction": _direction,
}
"""The ``check`` of a fact in dataset.yaml -> the function that tests it."""
