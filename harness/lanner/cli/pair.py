"""``score --truth``: two files of cells, scored without a dataset, a split or a run."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lanner.cli.output import F, print_json, print_table, talk

if TYPE_CHECKING:
    import pandas as pd

SECONDS = 5.0
"""Between two lines that say how far long work is."""
FORMATS = (".csv", ".parquet")
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@dataclass(frozen=True, kw_only=True)
class PairOptions:
    """The options of ``pair_options`` as given."""

    truth: Path | None
    prediction: Path | None
    control: str | None
    perturbation_column: str | None
    context_column: str | None
    train: Path | None
    intersect_genes: bool
    scale: str
    normalize: str | None
    out: Path | None

    def refuse(self) -> None:
        """A usage error when one of them is given without --truth."""
        for field in fields(self):
            if getattr(self, field.name) not in (None, False, "auto"):
                name = "context" if field.name == "context_column" else field.name.replace("_", "-")
                raise click.UsageError(f"--{name} goes with --truth, a file to compare with")


def device_option(function: F) -> F:
    """The ``--device`` of every command that scores."""
    return click.option(
        "--device",
        default="auto",
        show_default=True,
        help="Where numbers are computed: auto (a GPU where there is one), cpu, cuda or cuda:1.",
    )(function)


def pair_options(function: F) -> F:
    """The options by which two files are compared."""
    options = (
        click.option("--truth", type=_FILE, help="An .h5ad file of true cells."),
        click.option("--prediction", type=_FILE, help="An .h5ad file of predicted cells, with --truth."),
        click.option("--control", help="The label of control cells, with --truth."),
        click.option("--perturbation-column", help="The obs column of the perturbation [guessed]."),
        click.option("--context", "context_column", help="An obs column; its values are scored apart."),
        click.option("--train", type=_FILE, help="An .h5ad file of training cells, for what refers to them."),
        click.option("--intersect-genes", is_flag=True, help="Score the shared genes of unequal files."),
        click.option(
            "--scale",
            type=click.Choice(["auto", "log1p", "counts"]),
            default="auto",
            show_default=True,
            help="What the values are; auto expects log1p and refuses what looks like counts.",
        ),
        click.option(
            "--normalize",
            metavar="median|TOTAL",
            help="Make log1p of counts: of TOTAL per cell, or of each file's median as cell-eval does.",
        ),
        click.option(
            "--out",
            type=click.Path(dir_okay=False, path_type=Path),
            help="Write all values: .csv or .parquet.",
        ),
    )
    for option in reversed(options):
        function = option(function)
    return function


def score_files(
    options: PairOptions, metrics: Sequence[str], device: str, *, per_condition: bool, as_json: bool
) -> None:
    """Score, print, and write ``options.out``."""
    frame = scores_of_files(options, metrics, device)
    unanswered = _unanswered(frame)
    rows = _rows(frame) if per_condition else _summary(frame)
    if as_json:
        print_json(
            {
                "conditions" if per_condition else "scores": rows,
                "unanswered": unanswered,
                "not_in_truth": frame.attrs["not_in_truth"],
                "note": frame.attrs["note"],
            }
        )
        return
    if rows:
        print_table(list(rows[0]), [[_shown(cell) for cell in row.values()] for row in rows])
    talk.print(frame.attrs["note"])


def scores_of_files(options: PairOptions, metrics: Sequence[str], device: str) -> pd.DataFrame:
    """Score both files, say which perturbations only one of them has, and write ``options.out``."""
    from lanner.pairs.scores import score

    if options.truth is None:
        raise click.UsageError("give --truth, --prediction and --control")
    if options.prediction is None or options.control is None:
        missing = "--prediction" if options.prediction is None else "--control"
        raise click.UsageError(f"--truth needs {missing} too")
    if options.out is not None and options.out.suffix not in FORMATS:
        raise click.UsageError(f"--out {options.out.name} should end in .csv or .parquet")
    frame = score(
        options.truth,
        options.prediction,
        control=options.control,
        perturbation_column=options.perturbation_column,
        context_column=options.context_column,
        train=options.train,
        metrics=metrics or None,
        intersect_genes=options.intersect_genes,
        scale=options.scale,
        normalize=_normalize(options.normalize),
        device=device,
        progress=_Talker(),
    )
    if options.out is not None:
        _write(frame, options.out)
    unanswered = _unanswered(frame)
    _say("has no cells of", unanswered, "perturbations of the truth: unanswered", options.prediction)
    _say("has", frame.attrs["not_in_truth"], "perturbations the truth has not: left out", options.prediction)
    return frame


class _Talker:
    """Say on stderr how far the work is, every few seconds."""

    def __init__(self) -> None:
        self._said = time.monotonic()

    def __call__(self, what: str, done: int, total: int) -> None:
        now = time.monotonic()
        if now - self._said >= SECONDS:
            self._said = now
            talk.print(f"{done:,} of {total:,} {what}")


def _normalize(text: str | None) -> str | float | None:
    if text is None or text == "median":
        return text
    try:
        return float(text)
    except ValueError:
        raise click.UsageError(f"--normalize {text!r} is neither median nor a number") from None


def _write(frame: pd.DataFrame, out: Path) -> None:
    plain = frame.copy()
    plain.attrs = {}
    if out.suffix == ".csv":
        plain.to_csv(out, index=False)
    else:
        plain.to_parquet(out, index=False)


def _unanswered(frame: pd.DataFrame) -> dict[str, int]:
    rows = frame[frame["status"] == "unanswered"].drop_duplicates(["perturbation", "context"])
    labels = rows["perturbation"].where(rows["context"] == "", rows["perturbation"] + "|" + rows["context"])
    return {str(name): int(n) for name, n in zip(labels, rows["n_cells"], strict=True)}


def _say(verb: str, perturbations: dict[str, int], what: str, file: Path) -> None:
    if perturbations:
        some = ", ".join(list(perturbations)[:5]) + (" ..." if len(perturbations) > 5 else "")
        cells = sum(perturbations.values())
        talk.print(f"{file.name} {verb} {len(perturbations):,} {what} ({some}; {cells:,} cells)")


def _rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = frame.to_dict("records")
    for row in rows:
        row.update({name: None for name in ("value", "chance") if row[name] != row[name]})
    return rows


def _summary(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Mean of the scored values of each metric, variant and context, and how many have none."""
    rows = []
    with_context = bool((frame["context"] != "").any())
    for (metric, variant, context), part in frame.groupby(["metric", "variant", "context"], sort=False):
        scored = part.loc[part["status"] == "scored", "value"]
        without = part.loc[part["status"] != "scored"]
        row = {"metric": f"{metric}{variant}"} | ({"context": context} if with_context else {})
        counts = without["status"].value_counts().to_dict()
        row["value"] = float(scored.mean()) if len(scored) else None
        row["n"] = len(scored)
        row["without"] = ", ".join(f"{n} {status.replace('_', ' ')}" for status, n in counts.items())
        row["reason"] = "; ".join(dict.fromkeys(without["reason"]))
        rows.append(row)
    return rows


def _shown(cell: Any) -> Any:
    return f"{cell:.4g}" if isinstance(cell, float) else "-" if cell is None else cell
