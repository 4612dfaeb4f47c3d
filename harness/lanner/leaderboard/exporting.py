"""A built leaderboard in other forms: found again by name or path, as a flat table, as LaTeX."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lanner import store
from lanner.errors import ConfigurationError
from lanner.leaderboard.table import PROBLEMS, problems, tables
from lanner.records import printable

if TYPE_CHECKING:
    import pandas as pd

RESULT_FORMAT = "lanner-leaderboard/1"
LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    **{char: f"\\{char}" for char in "&%$#_{}"},
}


def find_results(name: str, home: Path) -> tuple[Path, dict[str, Any]]:
    """A leaderboard.json and where it lies: by path, by the folder it is in, or by the leaderboard's name.

    Raises ConfigurationError where there is none, or where the file is something else.
    """
    given = Path(name)
    candidates = [given, given / "leaderboard.json", home / "leaderboards" / name / "leaderboard.json"]
    path = next((candidate for candidate in candidates if candidate.is_file()), None)
    if path is None:
        known = sorted(found.parent.name for found in (home / "leaderboards").glob("*/leaderboard.json"))
        raise ConfigurationError(
            f"no built leaderboard {name!r}; give a leaderboard.json, its folder, or one of those in "
            f"{home / 'leaderboards'}: {', '.join(known) or 'none yet'}"
        )
    document = store.read_json(path)
    if not isinstance(document, dict) or document.get("format") != RESULT_FORMAT:
        raise ConfigurationError(f"{path} is not a leaderboard.json; `lanner leaderboard build` writes them")
    return path, document


def results_table(document: Mapping[str, Any]) -> pd.DataFrame:
    """A line per dataset, split design, method, metric and variant, with the numbers of ``summaries``.

    A method without scores is one line with its reason. Undefined numbers are missing, never 0.
    """
    import pandas as pd

    return pd.DataFrame(list(_lines(document)), columns=list(COLUMNS))


COLUMNS = (
    *("dataset", "split", "method", "status", "complete", "reason", "metric", "variant", "better", "n"),
    *("n_answered", "value", "low", "high", "skill", "skill_low", "skill_high", "informative"),
    *("skill_reason", "gain_on_train_mean", "gain_low", "gain_high"),
)


def _lines(document: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for summary in document["summaries"]:
        first = {
            name: summary[name] for name in ("dataset", "split", "method", "status", "complete", "reason")
        }
        if not summary["scores"]:
            yield first
        for score in (summary["scores"] or {}).values():
            gain = score.get("difference_to_reference") or {}
            yield {
                **first,
                **{
                    name: score.get(name)
                    for name in (
                        *("metric", "variant", "better", "n", "n_answered", "value", "skill"),
                        *("informative", "skill_reason"),
                    )
                },
                **_ends("", score.get("interval")),
                **_ends("skill_", score.get("skill_interval")),
                "gain_on_train_mean": gain.get("value"),
                **_ends("gain_", gain.get("interval")),
            }


def _ends(prefix: str, interval: Sequence[float] | None) -> dict[str, float | None]:
    low, high = interval or (None, None)
    return {f"{prefix}low": low, f"{prefix}high": high}


def latex(document: Mapping[str, Any]) -> str:
    """One ``tabular`` (booktabs) per dataset and split design, and the runs without scores."""
    parts = ["% needs \\usepackage{booktabs}; cells: skill [95 % interval] (value), * not informative"]
    for table in tables(document):
        parts += _tabular(table.title, table.note, table.columns, table.rows)
    ended = problems(document)
    if ended:
        parts += _tabular("Not scored", "Runs without scores.", PROBLEMS, ended)
    return "\n".join(parts) + "\n"


def _tabular(title: str, note: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [
        "",
        r"\begin{table}",
        rf"\caption{{{_escaped(title)}. {_escaped(note)}}}",
        rf"\begin{{tabular}}{{{'l' * len(columns)}}}",
        r"\toprule",
        " & ".join(_escaped(name) for name in columns) + r" \\",
        r"\midrule",
        *(" & ".join(_escaped(text) for text in row) + r" \\" for row in rows),
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]


def _escaped(text: str) -> str:
    shown = printable(" ".join(text.split()))
    return "".join(LATEX.get(char, char) for char in shown)
