"""The whole board at a glance: methods by datasets, skill as colour, datasets that cannot tell in grey."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lanner.site.pictures import Picture
from lanner.site.pictures.heatmap import skill_figure

Place = tuple[str, str, str]


def glance(summaries: Mapping[Place, Sequence[Mapping[str, Any]]], metrics: Sequence[str]) -> Picture | None:
    """The picture of all summaries by place, a figure for each metric that has a skill anywhere."""
    figures, rows = {}, []
    for metric in metrics:
        found = {
            (summary["method"], where): summary["scores"][metric]
            for where, group in summaries.items()
            for summary in group
            if (summary["scores"] or {}).get(metric, {}).get("skill") is not None
        }
        if not found:
            continue
        methods = sorted({method for method, _ in found}, key=lambda name: (_place(name, found), name))
        places = [where for where in summaries if any(other == where for _, other in found)]
        figures[metric] = _figure(methods, places, found)
        rows += [
            (metric, where[0], where[1], method, score["skill"], score["informative"])
            for (method, where), score in sorted(found.items())
        ]
    if not figures:
        return None
    return Picture(
        id="glance",
        title="Methods by datasets",
        caption="Skill, from red (at -1 or below) over white (0, no better than the best negative bound) "
        "to blue (1, the positive bound). Grey: this dataset and split cannot tell methods "
        "apart by this metric. Methods are ordered by their mean over informative datasets, which"
        " are not the same for all.",
        columns=("metric", "dataset", "split", "method", "skill", "informative"),
        rows=rows,
        figures=figures,
    )


def _place(method: str, found: Mapping[tuple[str, Place], Mapping[str, Any]]) -> float:
    skills = [
        score["skill"]
        for (name, _), score in found.items()
        if name == method and score["informative"] == "informative"
    ]
    return -sum(skills) / len(skills) if skills else float("inf")


def _figure(
    methods: Sequence[str],
    places: Sequence[Place],
    found: Mapping[tuple[str, Place], Mapping[str, Any]],
) -> dict[str, Any]:
    known: list[list[float | None]] = []
    flagged: list[list[float | None]] = []
    labels: list[list[str]] = []
    for method in methods:
        scores = [found.get((method, where)) for where in places]
        good = [score is not None and score["informative"] == "informative" for score in scores]
        known.append([s["skill"] if s and ok else None for s, ok in zip(scores, good, strict=True)])
        flagged.append([0.0 if s and not ok else None for s, ok in zip(scores, good, strict=True)])
        labels.append(["" if s is None else f"{round(s['skill'], 2) + 0.0:.2f}" for s in scores])
    names = [where[0] for where in places]
    columns = [
        name if names.count(name) == 1 else f"{where[0]}, {where[1]} {number}"
        for number, (name, where) in enumerate(zip(names, places, strict=True), 1)
    ]
    return skill_figure(methods, columns, known, flagged, labels)
