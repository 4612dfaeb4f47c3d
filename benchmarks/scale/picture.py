"""The simulated makespans as one picture: hours against workers, beside what no schedule beats.

Needs matplotlib, which nothing else here does: pip install matplotlib.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

HOUR = 3600.0
SHOWN = {
    "dask": ("Dask, scoring in the harness", "#b5432a", "o"),
    "dask, scoring placed": ("Dask, scoring on the workers", "#1f5fa8", "s"),
    "slurm-array, scoring placed": ("SLURM arrays, scoring on the workers", "#2e7d4f", "^"),
}
"""Designs by name: their words, colour (told apart by a marker as well) and marker."""
BOUND = ("dask, scoring placed", "the same work, shared without loss", "#333333")


def draw(rows: Sequence[Mapping[str, Any]], path: Path) -> Path:
    """Write an SVG of ``rows``, as ``simulate`` gives them with their ``factor``: one panel for each factor.

    Both axes are logarithmic: a straight line that falls means that twice the workers take half the time.
    The same rows give the same bytes.
    """
    matplotlib = importlib.import_module("matplotlib")
    matplotlib.use("svg")
    plots = importlib.import_module("matplotlib.pyplot")
    settings = {
        "svg.hashsalt": "lanner",
        "svg.fonttype": "none",
        "font.size": 9,
        "font.family": "sans-serif",
        "axes.spines.top": False,
        "axes.spines.right": False,
    }
    factors = sorted({row["factor"] for row in rows})
    titles = {1.0: "as long as recorded (median 1.2 s of CPU)", 60.0: "sixty times as long"}
    with matplotlib.rc_context(settings):
        figure, panels = plots.subplots(1, len(factors), figsize=(8.6, 4.0), sharex=True)
        for panel, factor in zip([panels] if len(factors) == 1 else panels, factors, strict=True):
            name, words, colour = BOUND
            points = _points(rows, factor, name, "lower_bound")
            panel.plot(*points, color=colour, linestyle="--", linewidth=0.9, zorder=5, label=words)
            for name, (words, colour, marker) in SHOWN.items():
                points = _points(rows, factor, name, "makespan")
                panel.plot(*points, color=colour, marker=marker, markersize=4, linewidth=1.4, label=words)
            panel.set_xscale("log")
            panel.set_yscale("log")
            panel.set_title(f"{rows[0]['runs']:,} runs, {titles.get(factor, f'x{factor:g}')}", fontsize=9)
            panel.set_xlabel("workers")
            panel.set_ylabel("hours")
            for axis in (panel.xaxis, panel.yaxis):
                axis.set_major_formatter(lambda value, _: f"{value:,g}")
            panel.minorticks_off()
            panel.grid(which="major", color="#e3e3e3", linewidth=0.6)
            panel.set_axisbelow(True)
        handles, labels = panel.get_legend_handles_labels()
        figure.legend(handles, labels, loc="lower center", ncols=2, frameon=False)
        figure.tight_layout(rect=(0, 0.13, 1, 1))
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, metadata={"Date": None, "Creator": None})
        plots.close(figure)
    return path


def _points(
    rows: Sequence[Mapping[str, Any]], factor: float, design: str, value: str
) -> tuple[list[int], list[float]]:
    chosen = sorted(
        (row["workers"], row[value] / HOUR)
        for row in rows
        if row["factor"] == factor and row["design"] == design
    )
    return [workers for workers, _ in chosen], [hours for _, hours in chosen]
