"""The built page: one static folder that opens from disk, with no network, and hosts anywhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined

from lanner.leaderboard.table import AGAINST, PlainTable, markdown, number, partial, problems, tables
from lanner.leaderboard.verdict import across
from lanner.records import printable
from lanner.site.dots import dot_plot
from lanner.store import write_bytes, write_json

if TYPE_CHECKING:
    from lanner.leaderboard.outcomes import Scored


def write_site(document: Mapping[str, Any], scored: Sequence[Scored], folder: Path) -> Path:
    """Write index.html, leaderboard.json, leaderboard.md and scores.parquet to ``folder``; return the page.

    Every file appears whole; a page is rendered from the document alone, so its numbers are those of
    leaderboard.json. All text of methods and datasets is escaped.
    """
    write_json(folder / "leaderboard.json", document)
    write_bytes(folder / "leaderboard.md", markdown(document).encode())
    scores = scores_table(scored)
    if scores is not None:
        write_bytes(folder / "scores.parquet", scores.to_parquet(index=False))
    page = folder / "index.html"
    write_bytes(page, render(document).encode())
    return page.resolve()


def render(document: Mapping[str, Any]) -> str:
    """index.html's text."""
    environment = Environment(
        loader=PackageLoader("lanner.site"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: printable(value, keep="\n") if type(value) is str else value,
    )
    template = environment.get_template("index.html")
    primary = [metric for metric in document["metrics"] if metric["primary"]]
    return template.render(
        document=document,
        sections=[_section(table, document, primary) for table in tables(document)],
        partial=partial(document),
        problems=problems(document),
        unsealed=any(row["unsealed"] for row in document["rows"]),
        residuals=sorted({row["residual"] for row in document["rows"] if row["residual"]}),
        number=number,
        against=AGAINST,
        across=across(document),
    )


def scores_table(scored: Sequence[Scored]) -> pd.DataFrame | None:
    """Every per-condition score with the run it belongs to, one row per value."""
    frames = []
    for item in scored:
        if item.frame is not None:
            keys = {
                "dataset": item.cell.artefact.dataset.entry.id,
                "split": item.cell.artefact.split.id,
                "method": item.cell.choice.label,
                "seed": item.cell.seed,
                "key": item.cell.plan.folder.key,
            }
            frames.append(item.frame.assign(**keys))
    return pd.concat(frames, ignore_index=True) if frames else None


def _section(
    table: PlainTable, document: Mapping[str, Any], primary: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    dataset = next(item for item in document["datasets"] if item["id"] == table.dataset)
    shown = [metric for metric in primary if metric["id"] in table.columns]
    plots = [
        (
            metric,
            dot_plot([(name, summary["scores"][metric["id"]]) for name, summary in table.summaries.items()]),
        )
        for metric in shown
    ]
    anchor = "".join(char if char.isalnum() else "-" for char in table.title)
    return {"table": table, "dataset": dataset, "plots": [(m, p) for m, p in plots if p], "anchor": anchor}
