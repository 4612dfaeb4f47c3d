"""Agreement in gene programmes: pathways, responses to cytokines, correlation of a programme's genes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lanner.metrics import RESOLUTION, Comparison, Values, metric
from lanner.metrics.correlation import CONTROL
from lanner.metrics.gene_sets import MIN_GENES, measured
from lanner.metrics.population import MIN_CELLS

if TYPE_CHECKING:
    from torch import Tensor

MIN_SETS = 4
_SPACE = f"gene sets shipped with the package, sources in gene_sets.json, of {MIN_GENES} measured genes up"
_CARD: dict[str, Any] = {"level": "biology", "space": _SPACE, "citation": "doi:10.1016/j.cels.2015.12.004"}
CONSTANT = 1e-12
"""Variance relative to the mean square below which a gene does not vary among drawn cells."""


@metric(
    id="biology/pathway",
    title="Pathway correlation",
    reference=CONTROL,
    better="higher",
    best=1.0,
    chance=0.0,
    invariances=("scale of the predicted change", "a shift common to all genes"),
    undefined=f"fewer than {MIN_SETS} sets, or scores that are all alike up to float32 resolution",
    tolerance=RESOLUTION,
    **_CARD,
)
def pathway(comparison: Comparison) -> Values:
    r"""Correlation over gene sets of predicted and true mean change of a set's genes.

    :math:`r_s(\bar p_s - \bar a_s, \bar t_s - \bar b_s)`: few sets, so that single conditions vary much.
    """
    predicted, true = _set_changes(comparison, ())
    if predicted.shape[-1] < MIN_SETS:
        return _absent(comparison, f"fewer than {MIN_SETS} gene sets are measured")
    deviations = [part - part.mean(dim=-1, keepdim=True) for part in (predicted, true)]
    # Differences below the float32 resolution of the profiles are rounding, not a response.
    sizes = [part.nan_to_num().abs().amax(dim=-1) for part in (comparison.predicted, comparison.truth)]
    norms = [part.norm(dim=-1) for part in deviations]
    flat = [norm <= RESOLUTION * size for norm, size in zip(norms, sizes, strict=True)]
    values = (deviations[0] * deviations[1]).sum(dim=-1) / (norms[0] * norms[1])
    return Values(
        values=values.masked_fill(flat[0], float("nan")).clamp(-1.0, 1.0),
        scorable=~flat[1] & comparison.truth.isfinite().all(dim=-1),
        undefined="the prediction changes all gene sets alike",
        unscorable="the truth changes all gene sets alike",
    )


@metric(
    id="biology/cytokine",
    title="Cytokine response error",
    reference=CONTROL,
    distance="absolute difference of mean changes",
    better="lower",
    best=0.0,
    chance=None,
    undefined="no cytokine's set is measured",
    **_CARD,
)
def cytokine(comparison: Comparison) -> Values:
    r"""Error of the predicted response to interferons and TNF, mean over their gene sets.

    :math:`n^{-1} \sum_s |(\bar p_s - \bar a_s) - (\bar t_s - \bar b_s)|` over the sets of kind cytokine.
    """
    predicted, true = _set_changes(comparison, ("cytokine",))
    if not predicted.shape[-1]:
        return _absent(comparison, "no cytokine's gene set is measured")
    return Values(
        values=(predicted - true).abs().mean(dim=-1), scorable=comparison.truth.isfinite().all(dim=-1)
    )


@metric(
    id="biology/coexpression",
    title="Coexpression",
    estimator="1 - |r - r'| / 2, mean over pairs of a set's genes, then over sets; equal n, drawn without "
    "replacement, averaged; below 1 for two samples of one distribution",
    better="higher",
    best=1.0,
    chance=None,
    invariances=("scale and shift of single genes",),
    undefined=f"no set with {MIN_GENES} genes that vary; fewer than {MIN_CELLS} cells in a truth half, its "
    "duplicate or the prediction; a predicted gene that does not vary correlates with none (r = 0), and "
    "where no gene of any set varies the prediction has no value",
    requires="cells",
    requires_truth="cells",
    min_cells=MIN_CELLS,
    **_CARD,
)
def coexpression(comparison: Comparison) -> Values:
    r"""Agreement of gene-gene correlations within gene sets, of predicted and true cells.

    Pearson correlations over drawn cells; pairs with a gene that is constant among the drawn true cells are
    left out. ReconEval's form, without random noise where a gene does not vary.
    """
    import torch

    cells = comparison.population
    assert cells is not None
    agreement, varying = [], []
    for columns in measured(comparison).values():
        everywhere = cells.truth.columns(columns)
        columns = columns[(everywhere.var(dim=0) > 0).cpu().numpy()]
        if len(columns) < MIN_GENES:
            continue
        true, vary = _correlations(cells.truth.columns(columns), cells.truth_draws)
        predicted, predicted_vary = _correlations(cells.predicted.columns(columns), cells.predicted_draws)
        pairs = (vary[:, :, None] & vary[:, None, :]).double().triu(diagonal=1)
        agreement.append(((1 - (true - predicted).abs() / 2) * pairs).sum(dim=(1, 2)) / pairs.sum(dim=(1, 2)))
        varying.append(predicted_vary.any(dim=-1))
    if not agreement:
        return _absent(comparison, f"no gene set has {MIN_GENES} genes that vary")
    values = torch.stack(agreement).nanmean(dim=0)
    silent = ~torch.stack(varying).any(dim=0) | (cells.size < MIN_CELLS)
    return Values(
        values=values.masked_fill(silent, float("nan")),
        scorable=cells.truth_size >= MIN_CELLS,
        undefined=f"fewer than {MIN_CELLS} predicted cells, or no gene of a set varies among them",
        unscorable=f"fewer than {MIN_CELLS} cells in a truth half",
    )


def _set_changes(comparison: Comparison, kinds: tuple[str, ...]) -> tuple[Tensor, Tensor]:
    """Mean change of each measured set's genes, predicted and true: ``(B, n_sets)`` each."""
    predicted = comparison.predicted - comparison.predicted_reference
    true = comparison.truth - comparison.truth_reference
    weights = true.new_zeros(true.shape[-1], 0)
    sets = measured(comparison, kinds)
    if sets:
        weights = true.new_zeros(true.shape[-1], len(sets))
        for s, columns in enumerate(sets.values()):
            weights[columns, s] = 1 / len(columns)
    return predicted @ weights, true.nan_to_num() @ weights


def _correlations(values: Tensor, draws: Tensor) -> tuple[Tensor, Tensor]:
    """Pearson correlations ``(B, k, k)`` of k genes over drawn cells, 0 for genes that do not vary; who does.

    ``values`` is ``(n, k)``, ``draws`` ``(B, n)``.
    """
    import torch

    size = draws.sum(dim=1, keepdim=True)
    means = draws @ values / size
    products = torch.einsum("bn,ni,nj->bij", draws, values, values) / size[:, :, None]
    covariance = products - means[:, :, None] * means[:, None, :]
    variance = covariance.diagonal(dim1=1, dim2=2)
    vary = variance > CONSTANT * products.diagonal(dim1=1, dim2=2)
    scale = variance.clamp_min(0).sqrt().masked_fill(~vary, float("inf"))
    return (covariance / (scale[:, :, None] * scale[:, None, :])).clamp(-1.0, 1.0), vary


def _absent(comparison: Comparison, why: str) -> Values:
    cells = comparison.population
    rows = comparison.truth[:, 0] if cells is None else cells.size.double()
    return Values(values=0 * rows + float("nan"), scorable=rows.isnan() & False, unscorable=why)
