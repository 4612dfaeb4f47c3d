"""scPertEval 0.2.0: its protocols on mean profiles, three centrings by five choices of genes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from lanner.compat import Pair, PeerValues
from lanner.compat.rows import pearson
from lanner.compat.scperteval_reference import NOT_SCORED, effects, others_mean, protocol, scored

Array = np.ndarray[Any, Any]
Formula = Callable[[Array, Array, Array], float]
"""Of truth, prediction and weights over genes (sum 1), ``(G,)`` each."""
TOP, HIGHEST, ADJUSTED_P = 50, 1000, 0.05


@dataclass(frozen=True)
class Wording:
    """How a choice is named on cards."""

    space: str
    needs: tuple[str, ...] = ()


GENES = {
    "": Wording("all genes"),
    "top_k": Wording(f"the truth's {TOP} genes of largest |t| against the others", ("cells",)),
    "degs_padj": Wording(f"the truth's genes of adjusted p < {ADJUSTED_P} against the others", ("cells",)),
    "heg_k": Wording(f"the {HIGHEST:,} genes of highest mean in the truth's control"),
}
CENTRINGS = {
    "": "none",
    "ctrl": "the truth's control mean",
    "pert": "the mean of the truth's other perturbations",
}


def gene_set(pair: Pair, p: int, genes: str) -> Array:
    """Columns of one of ``GENES``; empty where no gene is significant."""
    if not genes:
        return np.arange(len(pair.genes))
    if genes == "heg_k":
        return np.argsort(-pair.truth.control_mean(), kind="stable")[:HIGHEST]
    truth, _ = effects(pair)
    if genes == "top_k":
        return np.argsort(-np.abs(truth.t[p]), kind="stable")[:TOP]
    return np.flatnonzero(truth.adjusted_p[p] < ADJUSTED_P)


def weights(t: Array, exponent: float) -> Array:
    """``|t|``, min-max scaled over genes, to a power, summing to 1; uniform where nothing spreads."""
    size = np.abs(t)
    spread = size.max() - size.min()
    scaled = ((size - size.min()) / spread) ** exponent if spread > 0 else np.zeros_like(size)
    return scaled / scaled.sum() if scaled.sum() > 0 else np.full(len(size), 1.0 / len(size))


def _score(pair: Pair, formula: Formula, centring: str, genes: str, exponent: float | None) -> PeerValues:
    truth, prediction = pair.truth.means(), pair.prediction.means()
    if centring:
        centre = others_mean(pair) if centring == "pert" else pair.truth.control_mean()
        truth, prediction = truth - centre, prediction - centre
    values = np.full(len(truth), np.nan)
    for p in scored(pair):
        columns = gene_set(pair, p, genes)
        if len(columns):
            weight = np.ones(0) if exponent is None else weights(effects(pair)[0].t[p], exponent)
            values[p] = formula(truth[p, columns], prediction[p, columns], weight)
    return PeerValues(values=values, reason=NOT_SCORED)


def _pearson(truth: Array, prediction: Array, _: Array) -> float:
    return float(pearson(truth[None, :], prediction[None, :])[0])


def _mse(truth: Array, prediction: Array, _: Array) -> float:
    return float(((truth - prediction) ** 2).mean())


def _l2(truth: Array, prediction: Array, _: Array) -> float:
    return float(np.linalg.norm(truth - prediction))


def _r2(truth: Array, prediction: Array, _: Array) -> float:
    return _weighted_r2(truth, prediction, np.full(len(truth), 1.0 / len(truth)))


def _weighted_mse(truth: Array, prediction: Array, weight: Array) -> float:
    return float(weight @ (truth - prediction) ** 2)


def _weighted_pearson(truth: Array, prediction: Array, weight: Array) -> float:
    truth, prediction = truth - weight @ truth, prediction - weight @ prediction
    scale = float(weight @ truth**2) * float(weight @ prediction**2)
    return float(weight @ (truth * prediction)) / scale**0.5 if scale > 0 else float("nan")


def _weighted_r2(truth: Array, prediction: Array, weight: Array) -> float:
    """As scikit-learn: a constant truth scores 0, or 1 if predicted exactly; one gene is undefined."""
    if len(truth) < 2:
        return float("nan")
    error = float(weight @ (truth - prediction) ** 2)
    total = float(weight @ (truth - weight @ truth) ** 2)
    if total == 0:
        return 1.0 if error == 0 else 0.0
    return 1.0 - error / total


def _define(
    name: str, family: str, formula: Formula, meaning: str, centring: str, genes: str, exponent: float | None
) -> None:
    def metric(pair: Pair) -> PeerValues:
        return _score(pair, formula, centring, genes, exponent)

    weighing = f", genes weighted by scaled |t| to the power {exponent:g}" if exponent else ""
    metric.__doc__ = f"""{meaning} of predicted and true mean profile{weighing}.

    Protocol ``{name}`` of scPertEval. Centred on: {CENTRINGS[centring]}. Genes: {GENES[genes].space}. |t| is
    Welch's, of the perturbation's true cells against those of all other perturbations.
    """
    error = meaning.startswith(("Mean squared", "Euclid"))
    protocol(
        id=f"scperteval/{name}",
        family=family,
        space=GENES[genes].space,
        reference=CENTRINGS[centring],
        better="lower" if error else "higher",
        best=0.0 if error else 1.0,
        needs=("cells",) if exponent else GENES[genes].needs,
    )(metric)


PLAIN: tuple[tuple[str, str, Formula, str, tuple[tuple[str, str], ...]], ...] = (
    ("mse", "mse", _mse, "Mean squared error", (("", ""), ("", "top_k"), ("", "degs_padj"))),
    ("pearson", "pearson profile", _pearson, "Pearson correlation", (("", ""), ("", "heg_k"))),
    (
        "pearson",
        "pearson delta",
        _pearson,
        "Pearson correlation",
        (*(("ctrl", genes) for genes in GENES), ("pert", ""), ("pert", "top_k"), ("pert", "degs_padj")),
    ),
    (
        "r2",
        "r2 delta",
        _r2,
        "1 - SSE / SST",
        tuple((centring, genes) for centring in ("ctrl", "pert") for genes in ("", "top_k", "degs_padj")),
    ),
    ("l2", "l2", _l2, "Euclidean distance", (("", "heg_k"),)),
)
"""The rows of the peer's table without weights: name, family, formula, and centring x genes."""
for stem, family, formula, meaning, variants in PLAIN:
    for centring, genes in variants:
        name = "_".join(part for part in (stem, centring, genes) if part)
        _define(name, family, formula, meaning, centring, genes, None)
for power in (1, 2, 4):
    _define(f"wmse_exp{power}", "wmse", _weighted_mse, "Mean squared error", "", "", float(power))
for centring in ("ctrl", "pert"):
    _define(
        f"weighted_pearson_{centring}_exp2",
        "pearson delta",
        _weighted_pearson,
        "Pearson correlation",
        centring,
        "",
        2.0,
    )
    _define(f"weighted_r2_{centring}_exp2", "r2 delta", _weighted_r2, "1 - SSE / SST", centring, "", 2.0)
