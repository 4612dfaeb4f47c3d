"""Structural checks of a normalised dataset: what would make it unscorable, and what a reader should know."""

from __future__ import annotations

from typing import Any

import numpy as np

from lanner.datasets import facts
from lanner.datasets.dataset import Dataset
from lanner.datasets.facts import Finding
from lanner.records import CONTROL

FEW_CONTROLS = 100
"""Below this a context's controls are not cut: truth and prediction share one reference."""

FEW_CELLS = 40
"""Below this a half of a condition's cells is under 20, and population metrics are undefined."""

CP10K_TOTAL = 1e4 * (1 + 1e-3)
"""No cell holds more than 10,000 normalised counts; the margin covers float32."""


def check(dataset: Dataset) -> list[dict[str, Any]]:
    """Structural checks, then the entry's facts; lines as ``facts.check`` returns them."""
    findings = [
        _size(dataset),
        *_controls(dataset),
        _small_conditions(dataset),
        _targets(dataset),
        *_values(dataset),
    ]
    return [finding.to_json() for finding in findings] + facts.check(dataset)


def _size(dataset: Dataset) -> Finding:
    obs = dataset.obs
    kept = f"{len(obs)} of {dataset.source_rows} source rows x {len(dataset.genes)} genes"
    return Finding(fact="size", observed=kept, expected="any", passed=True, level="information")


def _controls(dataset: Dataset) -> list[Finding]:
    obs = dataset.obs
    counts = obs.loc[obs["perturbation"] == CONTROL, "context"].value_counts()
    per_context = {context: int(counts.get(context, 0)) for context in dataset.contexts}
    without = [context for context, count in per_context.items() if count == 0]
    findings = [
        Finding(
            fact="every context has controls",
            observed=f"none in {_some(without)}"
            if without
            else f"{len(per_context)} of {len(per_context)} contexts",
            expected=f"{len(per_context)} contexts",
            passed=not without,
            level="warning",
        )
    ]
    if dataset.entry.kind == "cells":
        few = [f"{context} ({count})" for context, count in per_context.items() if count < FEW_CONTROLS]
        findings.append(
            Finding(
                fact="controls enough to be cut into two references",
                observed=f"fewer in {_some(few)}" if few else f"at least {min(per_context.values())}",
                expected=f">= {FEW_CONTROLS} in each context",
                passed=not few,
                level="warning",
            )
        )
    return findings


def _small_conditions(dataset: Dataset) -> Finding:
    if dataset.entry.kind == "profile":
        halves = int((dataset.obs["replicate"] == "half1").sum())
        observed = f"{halves} of {len(dataset.conditions)} conditions"
        return Finding(
            fact="conditions with measured halves",
            observed=observed,
            expected="any",
            passed=True,
            level="information",
        )
    small = [f"{item.id} ({item.n_cells})" for item in dataset.conditions if item.n_cells < FEW_CELLS]
    return Finding(
        fact="conditions large enough for population metrics",
        observed=f"{len(small)} too small: {_some(small)}" if small else "all",
        expected=f">= {FEW_CELLS} cells each",
        passed=not small,
        level="warning",
    )


def _targets(dataset: Dataset) -> Finding:
    targets = sorted({target for item in dataset.conditions for target in item.targets})
    absent = sorted(set(targets) - set(dataset.genes))
    observed = f"{len(targets) - len(absent)} of {len(targets)} measured"
    observed += f"; not measured: {_some(absent)}" if absent else ""
    return Finding(
        fact="targets among the genes",
        observed=observed if targets else "labels are not genes",
        expected="any",
        passed=True,
        level="information",
    )


def _values(dataset: Dataset) -> list[Finding]:
    """One pass over X, and over the counts beside it: empty rows, silent genes, totals, equal patterns."""
    X, counts = dataset.X(), dataset.counts()
    expressed = np.zeros(len(dataset.genes), dtype=np.int64)
    empty, largest, mismatched = 0, 0.0, 0
    for start, stop, block in X.blocks():
        present = block != 0
        empty += int((np.asarray(present.sum(axis=1)).ravel() == 0).sum())
        expressed += np.asarray(present.sum(axis=0)).ravel()
        largest = max(largest, float(np.expm1(block).sum(axis=1, dtype=np.float64).max()))
        if counts is not None:
            difference = present != (counts.block(start, stop) != 0)
            mismatched += int(difference.sum())
    silent = int((expressed == 0).sum())
    findings = [
        Finding(
            fact="genes that vary from zero",
            observed=f"{len(dataset.genes) - silent} of {len(dataset.genes)}",
            expected="all",
            passed=silent == 0,
            level="warning",
        )
    ]
    if dataset.entry.kind == "cells":
        findings.append(
            Finding(
                fact="cells without any count", observed=empty, expected=0, passed=empty == 0, level="warning"
            )
        )
    if dataset.entry.scale == "log1p-cp10k":
        observed = f"largest total {largest:.6g}"
        passed = largest <= CP10K_TOTAL
        findings.append(
            Finding(
                fact="X is per 10,000 counts", observed=observed, expected="<= 10000 per cell", passed=passed
            )
        )
    if counts is not None:
        findings.append(
            Finding(
                fact="X and counts are zero at the same places",
                observed=f"{mismatched} places differ",
                expected="0 places differ",
                passed=mismatched == 0,
            )
        )
    return findings


def _some(names: list[str], limit: int = 5) -> str:
    shown = ", ".join(names[:limit])
    return f"{shown} and {len(names) - limit} more" if len(names) > limit else shown
