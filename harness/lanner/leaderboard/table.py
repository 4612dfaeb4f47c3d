"""The leaderboard as plain tables, for the terminal and for Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from lanner.leaderboard.verdict import BESIDE, TRAINING_MEAN, across, against, note, remarks
from lanner.records import State, canonical_json, printable

AGAINST = "Against the training mean: gain [95 % interval], p after Holm; first in that share of draws"
PARTIAL = ("dataset", "split", "method", "coverage")
PROBLEMS = ("dataset", "split", "method", "status", "reason")


@dataclass(frozen=True, kw_only=True)
class PlainTable:
    """One dataset and split design: a heading, what its metrics can tell, methods x primary metrics.

    ``remarks`` are further sentences; ``against`` compares each method with the training mean, its columns
    those of ``rows``.
    """

    dataset: str
    title: str
    note: str
    remarks: tuple[str, ...]
    against: tuple[tuple[str, ...], ...]
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    summaries: Mapping[str, Mapping[str, Any]]


def tables(document: Mapping[str, Any]) -> Iterator[PlainTable]:
    """One table per dataset and split design of a leaderboard.json document, best mean skill first.

    A cell reads ``skill [interval] (value)``; ``-`` where a metric does not apply, ``*`` where it is not
    informative on this dataset and split. ``undefined (value)``: the prediction defines the metric nowhere;
    the value is what that counts as.
    """
    reference = document.get("reference", TRAINING_MEAN)
    primary = [metric["id"] for metric in document["metrics"] if metric["primary"]]
    titles = _titles(document)
    of_methods: dict[tuple[str, str, str], list[Mapping[str, Any]]] = {}
    for item in document["comparisons"]:
        if item["kind"] == "methods":
            of_methods.setdefault(place(item), []).append(item)
    for (dataset, split, design), group in groupby(document["summaries"], key=place):
        summaries = [summary for summary in group if summary["scores"] is not None]
        if not summaries:
            continue
        shown = [name for name in primary if name in summaries[0]["scores"]]
        compared = {item["metric"]: item for item in of_methods.get((dataset, split, design), [])}
        ordered = sorted(
            summaries,
            key=lambda summary: ("note" in summary, -_mean_skill(summary, shown), summary["method"]),
        )
        rows = [(_named(summary), *(cell(summary["scores"][name]) for name in shown)) for summary in ordered]
        rows += [
            (
                f"({kind} bound) {bound}",
                *(_bound(summaries[0]["scores"][name], kind, bound) for name in shown),
            )
            for kind in ("negative", "positive")
            for bound in _bounds(summaries[0], shown, kind)
        ]
        yield PlainTable(
            dataset=dataset,
            title=titles[dataset, split, design],
            note=note(summaries, shown, compared, reference),
            remarks=(
                *remarks(summaries, shown, compared, reference),
                *_sanity(document, (dataset, split, design), shown),
            ),
            against=against(summaries, shown, compared),
            columns=("method", *shown),
            rows=tuple(rows),
            summaries={summary["method"]: summary for summary in ordered},
        )


def _sanity(document: Mapping[str, Any], where: tuple[str, str, str], shown: Sequence[str]) -> Iterator[str]:
    """Where controls are out of order, one sentence for each metric."""
    for item in document.get("sanity", ()):
        if place(item) == where and item["metric"] in shown:
            yield item["says"]


def against_title(document: Mapping[str, Any]) -> str:
    """The heading of the table that compares methods with the reference."""
    return AGAINST.replace(TRAINING_MEAN, document.get("reference", TRAINING_MEAN))


def _named(summary: Mapping[str, Any]) -> str:
    """The method, and that its predictions were not re-run: those rows stand below the others."""
    return f"{summary['method']} ({summary['note']})" if "note" in summary else str(summary["method"])


def _titles(document: Mapping[str, Any]) -> dict[tuple[str, str, str], str]:
    """``dataset, split`` by place; designs that share a name are told apart by their parameters."""
    designs = {place(summary): summary["design"] for summary in document["summaries"]}
    titles = {}
    for (dataset, split, text), design in designs.items():
        namesakes = [other for key, other in designs.items() if key[:2] == (dataset, split)]
        options = {**design["parameters"], "seed": design["seed"]}
        differing = [
            f"{name}={value}"
            for name, value in sorted(options.items())
            if any({**other["parameters"], "seed": other["seed"]}.get(name) != value for other in namesakes)
        ]
        title = f"{dataset}, {split}"
        titles[dataset, split, text] = f"{title} ({', '.join(differing)})" if differing else title
    return titles


def place(summary: Mapping[str, Any]) -> tuple[str, str, str]:
    """What summaries of one table share."""
    return summary["dataset"], summary["split"], canonical_json(summary["design"])


def cell(score: Mapping[str, Any]) -> str:
    """One score as text: ``skill [low, high] (value)``; of a composite, ``(value component)``."""
    if score["value"] is None:
        return "-"
    flag = "" if score["informative"] == "informative" else "*"
    value = number(score["value"])
    if score.get("component"):  # which of its components a composite's number is of
        value += f" {score['component'].rpartition('/')[2]}"
    if score["n_answered"] == 0:
        return f"undefined ({value}){flag}"
    return f"({value}){flag}" if score["skill"] is None else f"{skill(score)} ({value}){flag}"


def skill(score: Mapping[str, Any]) -> str:
    """A skill and its interval, two decimals each."""
    interval = score["skill_interval"]
    span = f" [{_decimals(interval[0])}, {_decimals(interval[1])}]" if interval else ""
    return f"{_decimals(score['skill'])}{span}"


def _decimals(value: float) -> str:
    return f"{round(value, 2) + 0.0:.2f}"  # + 0.0: never -0.00


def number(value: float | None) -> str:
    """Three significant digits; ``-`` for none."""
    return "-" if value is None else f"{value:.3g}" if abs(value) < 1000 else f"{value:.4g}"


def problems(document: Mapping[str, Any]) -> list[tuple[str, str, str, str, str]]:
    """Rows that have no scores, with their reasons."""
    return [
        (
            row["dataset"],
            row["split"],
            row["method"],
            row["status"],
            ": ".join(part for part in (row["error_class"], row["reason"]) if part),
        )
        for row in document["rows"]
        if row["status"] != State.SUCCEEDED
    ]


def partial(document: Mapping[str, Any]) -> list[tuple[str, str, str, str]]:
    """Rows whose method left requests unanswered, and which."""
    return [
        (
            row["dataset"],
            row["split"],
            row["method"],
            f"answered {row['coverage']['answered']} of {row['coverage']['requests']}"
            + _some([name.split("|")[0] for name in row["coverage"]["unanswered"]]),
        )
        for row in document["rows"]
        if row["status"] == State.SUCCEEDED and row["coverage"]["answered"] < row["coverage"]["requests"]
    ]


def _some(names: Sequence[str]) -> str:
    """The first dozen names and how many there are beyond them; nothing where none may be named."""
    if not names:
        return ""
    more = f" and {len(names) - 12} more" if len(names) > 12 else ""
    return "; not " + ", ".join(names[:12]) + more


def markdown(document: Mapping[str, Any]) -> str:
    """The whole leaderboard as Markdown."""
    parts = [f"# {_plain(document['title'])}", "", _plain(document["description"]), ""]
    parts += [
        "Cells read: skill [95 % interval] (value). Skill 0 is the best negative bound, 1 a technical",
        "duplicate; `*` marks a metric that is not informative on that dataset and split.",
        "",
    ]
    for table in tables(document):
        parts += [
            f"## {_plain(table.title)}",
            "",
            _plain(table.note),
            "",
            *(line for remark in table.remarks for line in (_plain(remark), "")),
            *_rows(table.columns, table.rows),
            "",
        ]
        if table.against:
            parts += [f"{against_title(document)}.", "", *_rows(table.columns, table.against), ""]
    if across(document):
        parts += ["## Across datasets", "", *(f"- {_plain(line)}" for line in across(document)), ""]
    if partial(document):
        parts += ["## Partly answered", "", *_rows(PARTIAL, partial(document)), ""]
    if problems(document):
        parts += ["## Not scored", "", *_rows(PROBLEMS, problems(document)), ""]
    return "\n".join(parts)


def _rows(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = ["| " + " | ".join(columns) + " |", "|" + " --- |" * len(columns)]
    return lines + ["| " + " | ".join(map(_plain, row)) + " |" for row in rows]


def _plain(text: str) -> str:
    """Text that Markdown shows as it is: no line breaks, no HTML, no emphasis, no links, no columns."""
    text = printable(" ".join(text.split()))
    for char in "\\`*_#~|":
        text = text.replace(char, f"\\{char}")
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return text.replace("](", "]\\(")


def _mean_skill(summary: Mapping[str, Any], shown: Sequence[str]) -> float:
    """Mean skill over informative metrics; methods without any come last, and so does PDS without mse."""
    skills = [
        score["skill"]
        for name, score in ((name, summary["scores"][name]) for name in shown)
        if score["skill"] is not None
        and score["informative"] == "informative"
        and BESIDE.get(name, name) in shown
    ]
    return sum(skills) / len(skills) if skills else float("-inf")


def _bounds(summary: Mapping[str, Any], shown: Sequence[str], kind: str) -> list[str]:
    return sorted({name for metric in shown for name in summary["scores"][metric][kind]})


def _bound(score: Mapping[str, Any], kind: str, bound: str) -> str:
    # Methods' rows of a composite are of different components, which no one value of a bound can stand for.
    value = None if score.get("component") else score[kind].get(bound)
    return "-" if value is None else f"({number(value)})"
