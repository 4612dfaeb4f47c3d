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
        return _profile(_table(ours), _table(peer / "results.csv"))
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


def _profile(mine: Mapping[str, Array], theirs: Mapping[str, Array]) -> str:
    if not np.array_equal(mine["perturbation"], theirs["perturbation"]):
        order = np.argsort(theirs["perturbation"])
        theirs = {name: column[order] for name, column in theirs.items()}
    off = {}
    for name in theirs:
        if name != "perturbation":
            x, y = mine[name.lower()], theirs[name]
            both = np.isfinite(x) & np.isfinite(y)
            apart = np.abs(x - y)[both].max(initial=0.0)
            if apart > 1e-6 or (np.isnan(x) != np.isnan(y)).any():
                off[name] = f"{name} ({int((np.abs(x - y) > 1e-6).sum())} rows, {apart:.1e})"
    columns = len(theirs) - 1
    return f"{columns - len(off)} of {columns} columns within 1e-6" + (
        f"; others: {', '.join(off.values())}" if off else ""
    )


def _table(path: Path) -> dict[str, Array]:
    with path.open(newline="") as file:
        rows = list(csv.reader(file))
    columns = {name: [row[i] for row in rows[1:]] for i, name in enumerate(rows[0])}
    return {
        name: np.array(of) if name == "perturbation" else np.array([float(x or "nan") for x in of])
        for name, of in columns.items()
    }
