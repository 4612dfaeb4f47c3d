"""requests.csv: one row per held-out condition, and what each reveal mode says of it beyond its name.

What ``level`` reveals is the target's own expression after the perturbation, as PEREGGRN does (Kernfeld 2025,
doi:10.1186/s13059-025-03840-y): how well a knock-down or an overexpression worked is a matter of technique,
and the question is what follows from it. PEREGGRN's code never takes the target out of the score, so that
noise with the revealed level in its place has a Pearson delta of .95 there; here every score masks a
condition's own targets, and the unmasked variant stands beside it.
"""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

from lanner.records import COMBINATION

if TYPE_CHECKING:
    from lanner.datasets import Dataset
    from lanner.truth import Truth

TARGET_LEVELS = "target_levels"
KNOCKOUTS = frozenset({"CRISPRko"})
"""Kinds whose revealed level is 0: the transcript may still be there, and does nothing."""


def requests_csv(truth: Truth, dataset: Dataset, n_cells: int, reveal: str) -> str:
    """The text of requests.csv, rows in the order of the truth's requests.

    Columns: request_id, perturbation, targets (joined by ``+`` in canonical, sorted order; empty where the
    label is no gene), the context columns, n_cells (the same for all), and by ``reveal``

    - ``none``: nothing more;
    - ``dose``: dose, where the data have doses;
    - ``level``: dose, and target_levels: one number per target, in the order of targets, joined by ``+``.
    """
    has_dose = reveal != "none" and "dose" in dataset.obs
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    contexts = dataset.entry.context_columns
    more = [*(["dose"] if has_dose else []), *([TARGET_LEVELS] if reveal == "level" else [])]
    writer.writerow(["request_id", "perturbation", "targets", *contexts, "n_cells", *more])
    for i, request in enumerate(truth.requests):
        condition = request.condition
        revealed = [condition.dose] if has_dose else []
        if reveal == "level":
            revealed.append(COMBINATION.join(target_levels(truth, dataset, i)))
        targets = COMBINATION.join(condition.targets)
        writer.writerow(
            [request.request_id, condition.perturbation, targets, *condition.context, n_cells, *revealed]
        )
    return stream.getvalue()


def target_levels(truth: Truth, dataset: Dataset, i: int) -> list[str]:
    """The revealed level of each target of request ``i``, six decimals; empty where there is none.

    - knock-down, activation, overexpression, drug with gene targets ...: the mean of X at the target over all
      cells of the held-out condition, on the scale of X (on a log-fold-change scale the change itself);
    - knockout: 0 on expression scales; none on a log-fold-change scale, where 0 would mean no effect;
    - a target that is not among the genes: none.

    The mean is of the very cells that are scored, in both halves: a half of its own would leave the other
    19 halvings open. That is harmless where the target is masked, and what the unmasked variant shows.
    """
    place = {gene: g for g, gene in enumerate(truth.genes)}
    knockout = dataset.entry.perturbation_kind in KNOCKOUTS
    answer = []
    for target in truth.requests[i].condition.targets:
        if target not in place or (knockout and truth.scale == "lfc"):
            answer.append("")
        else:
            answer.append(f"{0.0 if knockout else truth.full[i, place[target]]:.6f}")
    return answer
