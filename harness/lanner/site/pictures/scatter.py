"""Method against method, one dot per condition, coloured by stratum: the page's script draws it on demand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lanner.site.conditions import Conditions
from lanner.site.naming import slug
from lanner.site.pictures import Cell, Picture


def scatter(found: Sequence[Conditions], files: str) -> Picture | None:
    """The picture of one table's per-condition values; ``files`` is the stem of its data files' names."""
    shown = [item for item in found if len(item.values) >= 2 and item.names]
    if not shown:
        return None
    return Picture(
        id="scatter",
        title="Condition by condition",
        caption="Two methods, or a method and a bound, on the same conditions; on the line both are "
        "alike. A condition that a method left unanswered stands at what it counts as.",
        columns=("metric", "conditions", "methods and bounds", "data"),
        rows=[
            (item.metric, len(item.names), len(item.values), f"{file_stem(files, item)}.csv")
            for item in shown
        ],
        lazy={"files": {item.metric: f"{file_stem(files, item)}.js" for item in shown}},
    )


def file_stem(files: str, item: Conditions) -> str:
    """The name of a metric's data files, without their ending."""
    return f"{files}-conditions-{slug(item.metric)}"


def payload(item: Conditions) -> dict[str, Any]:
    """What the script reads: names, strata and values of one metric, in columns."""
    return {
        "metric": item.metric,
        "names": list(item.names),
        "strata": {by: list(labels) for by, labels in item.strata.items()},
        "values": {name: list(column) for name, column in item.values.items()},
    }


def table(item: Conditions) -> tuple[tuple[str, ...], list[tuple[Cell, ...]]]:
    """The same as a table: a line per condition, a column per stratum and per method or bound."""
    columns = ("condition", *item.strata, *item.values)
    return columns, list(zip(item.names, *item.strata.values(), *item.values.values(), strict=True))
