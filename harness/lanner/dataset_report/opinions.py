"""What measures of a dataset mean: warnings where they would mislead a comparison, else information."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from lanner.datasets import Dataset
from lanner.datasets.facts import Finding

LOWERS = ("CRISPRi", "Cas13d", "RNAi")
RAISES = ("CRISPRa", "overexpression")
"""Kinds of perturbation that move the target's own messenger; a knock-out need not."""
MOST = 0.5
UMI_RATIO = (0.5, 2.0)
CONFOUNDED = 0.5
AGREEMENT = 0.2


def opinions(
    dataset: Dataset, measures: Mapping[str, Any], found: Sequence[Mapping[str, Any]] | None
) -> list[dict[str, Any]]:
    """Findings as ``datasets.check`` returns them, all of level ``warning`` or ``information``.

    ``measures`` are those of ``measured``, ``found`` the rows of ``leaderboard.informative`` or None.
    """
    findings = [
        *_umi(measures),
        *_knockdown(dataset, measures["knockdown"]),
        *_controls(measures["controls"]),
        *_batches(measures["batches"]),
        *_agreement(measures["conditions"]),
        *_range(found),
        _licence(str(dataset.entry.document["licence"])),
    ]
    return [finding.to_json() for finding in findings]


def _umi(measures: Mapping[str, Any]) -> Iterator[Finding]:
    values = [item["umi"] for item in measures["conditions"] if item["umi"] is not None]
    if values:
        text = f"{np.min(values):.0f} to {np.max(values):.0f}, median {np.median(values):.0f}"
        yield _said("UMI of a cell, median by condition", text)


def _knockdown(dataset: Dataset, rows: Sequence[Mapping[str, Any]]) -> Iterator[Finding]:
    judged = [row["log2_fold"] for row in rows if row["judged"]]
    if not judged:
        return
    kind = dataset.entry.perturbation_kind
    down = sum(value < 0 for value in judged)
    text = f"{down} of {len(judged)} down, median log2 fold {np.median(judged):+.2f}"
    if kind not in (*LOWERS, *RAISES):
        yield _said("targets' own expression", text)
        return
    moved = down if kind in LOWERS else len(judged) - down
    yield Finding(
        fact="targets' own expression",
        observed=text,
        expected=f"{'down' if kind in LOWERS else 'up'} in more than half ({kind})",
        passed=moved > MOST * len(judged),
        level="warning",
    )


def _controls(rows: Sequence[Mapping[str, Any]]) -> Iterator[Finding]:
    known = [row for row in rows if row["umi_ratio"] is not None]
    odd = [row for row in known if not UMI_RATIO[0] <= row["umi_ratio"] <= UMI_RATIO[1]]
    if known:
        yield Finding(
            fact="controls are as deep as perturbed cells",
            observed=_listed([f"{row['context']} (x {row['umi_ratio']:.2f})" for row in odd or known]),
            expected=f"x {UMI_RATIO[0]:g} to {UMI_RATIO[1]:g}",
            passed=not odd,
            level="warning",
        )


def _batches(batches: Mapping[str, Any] | None) -> Iterator[Finding]:
    if batches is None:
        yield _said("batches", "one, or not known")
        return
    values = {name: value for name, value in batches["cramers_v"].items() if value is not None}
    if values:
        worst = max(values, key=lambda name: values[name])
        yield Finding(
            fact="perturbations are not confounded with batches",
            observed=f"Cramér's V {values[worst]:.2f} in {worst}",
            expected=f"<= {CONFOUNDED:g}",
            passed=values[worst] <= CONFOUNDED,
            level="warning",
        )
    lacking = [
        f"{item['batch']} of {item['context']} ({item['cells']} cells)"
        for item in batches["without_controls"]
    ]
    yield Finding(
        fact="every batch has controls",
        observed=f"none in {_listed(lacking)}" if lacking else f"all {batches['n']}",
        expected="all",
        passed=not lacking,
        level="warning",
    )


def _agreement(rows: Sequence[Mapping[str, Any]]) -> Iterator[Finding]:
    values = [row["agreement"] for row in rows if row["agreement"] is not None]
    if values:
        yield Finding(
            fact="changes measured in two halves of the cells agree",
            observed=f"median r {np.median(values):.2f} over {len(values)} conditions",
            expected=f"> {AGREEMENT:g}",
            passed=bool(np.median(values) > AGREEMENT),
            level="warning",
        )


def _range(rows: Sequence[Mapping[str, Any]] | None) -> Iterator[Finding]:
    for split in sorted({row["split"] for row in rows or ()}):
        mine = [row for row in rows or () if row["split"] == split]
        able = sorted({row["metric"] for row in mine if row["informative"] == "informative"})
        yield Finding(
            fact=f"metrics that can tell methods apart on {split}",
            observed=", ".join(able) or "none",
            expected="at least one",
            passed=bool(able),
            level="warning",
        )


def _licence(licence: str) -> Finding:
    known = bool(licence) and "unknown" not in licence.lower()
    return Finding(fact="licence", observed=licence, expected="known", passed=known, level="warning")


def _said(fact: str, observed: str) -> Finding:
    return Finding(fact=fact, observed=observed, expected="any", passed=True, level="information")


def _listed(names: Sequence[str], limit: int = 5) -> str:
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more
