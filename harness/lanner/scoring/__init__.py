"""Scoring: one prediction, or all bounds, against a sealed truth; values per condition, no aggregates.

Every value is the mean over the saved halves of the truth, own targets masked (variant ``""``); the other
variants drop the mask or the halving. ``lanner.aggregate`` turns frames into rows of a leaderboard.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch

from lanner.bounds import BOUNDS, SealedTruth
from lanner.matrix import Matrix
from lanner.metrics import METRICS, components
from lanner.records import Shard
from lanner.scoring.engine import evaluate
from lanner.scoring.shards import own_rows
from lanner.scoring.sources import Submitted
from lanner.scoring.tables import VARIANTS, bounds_frame, scores_frame

__all__ = ["VARIANTS", "Prediction", "devices", "score", "score_bounds"]


def devices() -> list[str]:
    """Names of the GPUs scoring can use."""
    return [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """A canonical, checked prediction: rows in request order, ``n_cells`` (1 for profiles) per request.

    ``matrix`` is ``(C * n_cells, n_genes)``; ``answered`` bool ``(C,)``; ``residual`` names the model by
    which the harness may draw cells from profiles, or is None.
    """

    matrix: Matrix
    n_cells: int
    answered: np.ndarray
    residual: str | None = None


def score(
    truth: SealedTruth,
    prediction: Prediction,
    metrics: Sequence[str],
    *,
    device: str = "cpu",
    shard: Shard | None = None,
) -> pd.DataFrame:
    """Score a prediction on every requested condition.

    Parameters
    ----------
    truth
        Sealed truth of the split.
    prediction
        Checked prediction for the truth's requests.
    metrics
        Metric ids; a composite stands for its components, whose rows ``lanner.aggregate`` joins.
    device
        Torch device; the numbers agree with the CPU's within each card's tolerance.
    shard
        Score only the rows of this shard, and number them: int64 ``row`` of ``rows``.

    Returns
    -------
    One row per metric, variant and condition: metric, variant, condition, request_id, perturbation, context,
    value (NaN unless scored), status (scored | undefined | unanswered | unscorable | not_applicable), reason,
    chance (the condition's chance value, NaN where there is none).

    Raises
    ------
    ConfigurationError
        For a metric id nobody registered.
    """
    answered = np.asarray(prediction.answered, dtype=bool)
    source = Submitted(
        matrix=prediction.matrix,
        n_cells=prediction.n_cells,
        residual=prediction.residual,
        answered=answered,
    )
    chosen = [METRICS[name] for name in components(metrics)]
    tables = evaluate(truth, {"": source}, chosen, device, shard=shard)
    frame = scores_frame(truth, tables, answered)
    return frame if shard is None else own_rows(truth, tables, frame, shard)


def score_bounds(
    truth: SealedTruth, metrics: Sequence[str], *, device: str = "cpu", shard: Shard | None = None
) -> pd.DataFrame:
    """Score every registered bound; frozen with the truth, so callers keep the answer. ``shard`` as above.

    Returns
    -------
    The columns of ``score`` and: bound (id), kind (negative | positive) and bds, for positive bounds the
    share of truth parts in which the bound beats every negative one (NaN elsewhere).
    """
    sources = {name: BOUNDS[name] for name in BOUNDS}
    chosen = [METRICS[name] for name in components(metrics)]
    tables = evaluate(truth, sources, chosen, device, shard=shard)
    frame = bounds_frame(truth, tables)
    return frame if shard is None else own_rows(truth, tables, frame, shard)
