"""Whether both sides of a row of the speed table answered the same, in one sentence with figures."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def agreement(stage: str, ours: Path, peer: Path) -> str:
    """Compare two files of values; ``peer`` is a folder for the whole profile."""
    if stage == "profile":
        return _profile(ours, peer / "results.csv")
    mine, theirs = (dict(np.load(path)) for path in (ours, peer))
    labels = mine.pop("labels").tolist()
    rows = [labels.index(label) for label in theirs.pop("labels").tolist()]
    if stage == "de":
        return _de({name: of[rows] for name, of in mine.items()}, theirs)
    if stage == "energy_control" and "correlation" in theirs:
        correlation = float(np.corrcoef(mine["truth"], mine["prediction"])[0, 1])
        return f"correlation of distances {abs(correlation - theirs['correlation'][0]):.1e} apart"
    if stage == "pds":
        apart = {name: int((mine[name][rows] != of).sum()) for name, of in theirs.items()}
        return "ranks that differ: " + ", ".join(f"{name} {n} of {len(rows)}" for name, n in apart.items())
    worst = {name: _apart(mine[name][rows], of) for name, of in theirs.items()}
    return "greatest difference " + ", ".join(f"{name} {value:.1e}" for name, value in worst.items())


def _apart(x: Array, y: Array) -> float:
    return float(np.abs(x - y).max())


def _de(mine: Mapping[str, Array], theirs: Mapping[str, Array]) -> str:
    p = np.abs(mine["p"] - theirs["p"]) / np.maximum(theirs["p"], 1e-300)
    significant = [(of["fdr"] < 0.05) for of in (mine, theirs)]
    return (
        f"{mine['u'].size:,} tests: U differs in {int((mine['u'] != theirs['u']).sum())}, "
        f"p by at most {p.max():.1e} of itself, calls in {int((significant[0] != significant[1]).sum())}"
    )


def _profile(ours: Path, peer: Path) -> str:
    """Our long table against the peer's wide one, whose values for the whole file stand in every row."""
    with peer.open(newline="") as file:
        theirs = {row.pop("perturbation"): row for row in csv.DictReader(file)}
    off: dict[str, list[float]] = {}
    columns = {f"cell_eval/{name.lower()}": name for name in next(iter(theirs.values()))}
    with ours.open(newline="") as file:
        for row in csv.DictReader(file):
            found = float(row["value"] or "nan")
            for label in [row["perturbation"]] if row["perturbation"] else theirs:
                expected = float(theirs[label][columns[row["metric"]]] or "nan")
                if not np.isclose(found, expected, rtol=0, atol=1e-6, equal_nan=True):
                    off.setdefault(row["metric"], []).append(abs(found - expected))
    others = [f"{name} ({len(apart)} rows, {max(apart):.1e})" for name, apart in off.items()]
    return f"{len(columns) - len(off)} of {len(columns)} columns within 1e-6" + (
        f"; others: {', '.join(others)}" if others else ""
    )
