"""Scores of a pair of files as a tidy table: Lanner's metrics, and peers' metrics under the peers' names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import numpy as np

from lanner.compat import COMPAT, Pair
from lanner.metrics import METRICS, components
from lanner.pairs.device import chosen_device
from lanner.pairs.pair import AnyPath, FilePair, cells_of, contexts_of, open_pair
from lanner.registry import unknown_name
from lanner.tasks import TASKS

if TYPE_CHECKING:
    import pandas as pd

    from lanner.pairs.side import Progress

Row: TypeAlias = tuple[Any, ...]

COLUMNS = (
    *("metric", "variant", "perturbation", "context", "value", "status", "reason", "chance"),
    *("n_cells", "n_predicted"),
)
NOTE = (
    "No bounds, skill or informative flags: they need cells that were held apart; stage a split with "
    "`lanner stage` and score the prediction of its requests to have them."
)
"""Shown with every table: what these numbers cannot say."""


def default_metrics() -> tuple[str, ...]:
    """The metrics of the task, and retrieval by a distance that needs no train cells."""
    return (*TASKS["perturbation-response"].metrics, "pds_l2")


def chosen_metrics(patterns: Sequence[str] | None) -> list[str]:
    """Ids that the patterns (``mse``, ``cell_eval/*``) name, in their order, each once; parts for composites.

    Raises
    ------
    ConfigurationError
        A pattern names no metric.
    """
    known = [*METRICS, *COMPAT]
    chosen: dict[str, None] = {}
    for pattern in patterns or default_metrics():
        found = [name for name in known if name == pattern or fnmatchcase(name, pattern)]
        if not found:
            families = {f"{name.partition('/')[0]}/*" for name in COMPAT}
            raise unknown_name("metric", pattern, families if "*" in pattern else known)
        chosen.update(dict.fromkeys(found))
    return list(_computed(chosen))


def _computed(names: Iterable[str]) -> tuple[str, ...]:
    """A composite is judged by skill, which a pair has not: its components stand for it."""
    return tuple(
        dict.fromkeys(part for name in names for part in (components([name]) if name in METRICS else (name,)))
    )


def score(
    truth: AnyPath,
    prediction: AnyPath,
    *,
    control: str,
    perturbation_column: str | None = None,
    context_column: str | None = None,
    train: AnyPath | None = None,
    metrics: Sequence[str] | None = None,
    intersect_genes: bool = False,
    scale: str = "auto",
    normalize: str | float | None = None,
    device: str = "auto",
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Score a file of predicted cells against a file of true cells.

    Lanner's own metrics follow the harness's rule: the truth's control cells are the reference of both sides,
    predicted controls are ignored, and a perturbation's own targets are masked (variant ``""``) or not
    (variant ``@unmasked``). Peers' metrics (``cell_eval/*`` ...) do what the peer does. There are no bounds
    and no skill: nothing was held apart.

    Parameters
    ----------
    truth, prediction, control, perturbation_column, train, intersect_genes, scale, normalize, progress
        As ``lanner.pairs.open_pair`` takes them.
    context_column
        Score the cells of each value of this obs column apart.
    metrics
        Ids or patterns of metrics; Lanner's default set unless given.
    device
        ``auto`` (a GPU where there is one), ``cpu``, ``cuda`` or ``cuda:1``.

    Returns
    -------
    One row per metric, variant, perturbation and context: metric, variant, perturbation ("" for a metric that
    has one value for the whole file), context, value (NaN unless scored), status (scored | undefined |
    unanswered | unscorable | not_applicable), reason, chance, n_cells and n_predicted (true and predicted
    cells). ``attrs`` has ``not_in_truth``, the cells of perturbations only the prediction has, and ``note``.

    Raises
    ------
    ConfigurationError
        A metric or device nobody knows, or files that cannot be compared.
    """
    import pandas as pd

    chosen, where = chosen_metrics(metrics), chosen_device(device)
    contexts = (None,) if context_column is None else contexts_of(truth, context_column)
    frames, extra = [], {}
    for context in contexts:
        with open_pair(
            truth,
            prediction,
            control=control,
            perturbation_column=perturbation_column,
            train=train,
            context_column=context_column,
            context=context,
            intersect_genes=intersect_genes,
            scale=scale,
            normalize=normalize,
            device=where,
            progress=progress,
        ) as pair:
            frames.append(score_pair(pair, chosen, device=where, progress=progress))
            extra.update({_labelled(name, pair.context): n for name, n in pair.not_in_truth.items()})
    if context_column is not None:
        for context in sorted(set(contexts_of(prediction, context_column)) - set(contexts)):
            alone = cells_of(
                prediction,
                control=control,
                perturbation_column=perturbation_column,
                context_column=context_column,
                context=context,
            )
            extra.update({_labelled(name, context): n for name, n in alone.items()})
    frame = pd.concat(frames, ignore_index=True)
    frame.attrs.update(note=NOTE, not_in_truth=extra)
    return frame


def score_pair(
    pair: FilePair, metrics: Sequence[str], *, device: str = "cpu", progress: Progress | None = None
) -> pd.DataFrame:
    """The table of one open pair; ``metrics`` are ids."""
    import pandas as pd

    rows = [row for name in metrics if name in COMPAT for row in _peer_rows(pair, name)]
    native = [name for name in metrics if name in METRICS]
    if native:
        rows += _native_rows(pair, native, device, progress)
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    order = {name: i for i, name in enumerate(metrics)}
    return frame.sort_values("metric", key=lambda names: names.map(order), kind="stable", ignore_index=True)


def _native_rows(
    pair: FilePair, metrics: Sequence[str], device: str, progress: Progress | None
) -> Iterator[Row]:
    from lanner.pairs.native import VARIANTS, native_frame, needs_train

    cells = _cells(pair)
    frame = native_frame(pair, metrics, device=device, progress=progress)
    columns = [frame[name].tolist() for name in COLUMNS[:8]]
    for row in zip(*columns, strict=True):
        yield (*row, *cells[row[2]])
    for name in metrics:
        for variant in VARIANTS.values():
            if pair.train is None and needs_train(METRICS[name].card):
                yield from _missing(pair, name, variant, cells, "not_applicable", _NO_TRAIN)
            yield from _unanswered(pair, name, variant)


def _peer_rows(pair: FilePair, name: str) -> Iterator[Row]:
    metric = COMPAT[name]
    cells = _cells(pair)
    if metric.card.per != "perturbation":
        n, m = zip(*cells.values(), strict=True)
        cells = {"": (sum(n), sum(m))}
    lack = _lack(pair, metric.card.needs)
    if lack:
        yield from _missing(pair, name, "", cells, "not_applicable", lack)
    else:
        answer = metric(cast(Pair, pair))
        values = np.asarray(answer.values, dtype=np.float64).tolist()
        for value, (perturbation, n_cells) in zip(values, cells.items(), strict=True):
            known = value == value
            status, reason = ("scored", "") if known else ("undefined", answer.reason)
            yield (name, "", perturbation, pair.context, value, status, reason, np.nan, *n_cells)
    if metric.card.per == "perturbation":
        yield from _unanswered(pair, name, "")


_NO_TRAIN = "it needs training cells: give --train"


def _lack(pair: FilePair, needs: Sequence[str]) -> str:
    if "train" in needs and pair.train is None:
        return _NO_TRAIN
    if "prediction controls" in needs and pair.prediction.n_control() == 0:
        return f"it needs control cells ({pair.control}) in the prediction, which has none"
    for side, name, asked in (
        (pair.truth, "truth", {"cells", "truth cells"}),
        (pair.prediction, "prediction", {"cells"}),
    ):
        if asked & set(needs) and side.n_cells().max(initial=0) < 2:
            return f"it needs cells, and the {name} has one row per perturbation"
    return ""


def _missing(
    pair: FilePair, name: str, variant: str, cells: Mapping[str, tuple[int, int]], status: str, reason: str
) -> Iterator[Row]:
    for perturbation, n in cells.items():
        yield (name, variant, perturbation, pair.context, np.nan, status, reason, np.nan, *n)


def _unanswered(pair: FilePair, name: str, variant: str) -> Iterator[Row]:
    cells = {perturbation: (n, 0) for perturbation, n in pair.unanswered.items()}
    return _missing(pair, name, variant, cells, "unanswered", "the prediction has no cells of it")


def _cells(pair: FilePair) -> dict[str, tuple[int, int]]:
    """True and predicted cells of each perturbation."""
    n, m = pair.truth.n_cells().tolist(), pair.prediction.n_cells().tolist()
    return dict(zip(pair.perturbations, zip(n, m, strict=True), strict=True))


def _labelled(name: str, context: str) -> str:
    return f"{name}|{context}" if context else name
