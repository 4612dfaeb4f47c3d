"""Series of splits in leaderboard.json: a metric at every step, and the area under it."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

from lanner.aggregate.graded import auspc, step_of
from lanner.records import canonical_json


def series(document: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """One item per dataset, series, method and metric (masked, halved) of a document with rows and datasets.

    ``steps`` are s of graded-similarity or the share of train of data-scaling, ``values`` the means over the
    seeds and repeats of a step, None where one of its runs has no value. ``auspc`` is the area over s divided
    by its range, None where a step has no value, and for data-scaling, where it means nothing.
    """
    designs = {item["sha256"]: item["design"] for data in document["datasets"] for item in data["splits"]}
    found: dict[tuple[str, str, str, str], list[tuple[float, Mapping[str, Any]]]] = {}
    for row in document["rows"]:
        place = step_of(row["split"])
        if place is not None:
            name, step = place
            design = canonical_json(designs[row["split_sha256"]])
            found.setdefault((row["dataset"], name, design, row["method"]), []).append((step, row))
    for (dataset, name, design, method), members in sorted(found.items()):
        for metric in (item["id"] for item in document["metrics"]):
            values: dict[float, list[float]] = {}
            for step, row in members:
                value = ((row["scores"] or {}).get(metric) or {}).get("value")
                values.setdefault(step, []).append(math.nan if value is None else value)
            means = {step: math.fsum(given) / len(given) for step, given in sorted(values.items())}
            area = auspc(means) if name.startswith("graded-similarity") else math.nan
            yield {
                "dataset": dataset,
                "split": name,
                "design": json.loads(design),
                "method": method,
                "metric": metric,
                "steps": list(means),
                "values": [None if math.isnan(value) else value for value in means.values()],
                "auspc": None if math.isnan(area) else area,
            }
