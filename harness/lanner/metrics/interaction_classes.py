"""Kinds of genetic interaction: synergistic, buffering, opposite."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lanner.metrics import Comparison, Metric, Values, metric
from lanner.metrics.differential_expression import MIN_CELLS, MIN_POSITIVES
from lanner.metrics.interaction import (
    AREA_CARD,
    CARD,
    NO_SINGLES,
    absent,
    additive_expectation,
    interacting,
    interaction_area,
    offset,
    predicted_deviation,
)

if TYPE_CHECKING:
    from torch import Tensor

CLASSES = {
    "synergistic": "goes further in the direction its singles add up to",
    "buffering": "stops short of what its singles add up to, without changing sides",
    "opposite": "goes against what its singles add up to",
}
"""Kinds of interaction by the sign of the singles' sum (Ahlmann-Eltze et al. 2025), in words of ours."""
_FEW_OF_CLASS = 5


def _add_class(name: str) -> Metric:
    """Register the area for interactions of one class."""

    def area(comparison: Comparison) -> Values:
        def of_class(deviation: Tensor, additive: Tensor) -> Tensor:
            return interaction_class(deviation, additive) == list(CLASSES).index(name)

        return interaction_area(
            comparison,
            lambda deviation, additive: deviation.abs() * of_class(deviation, additive),
            of_class,
            _FEW_OF_CLASS,
        )

    area.__doc__ = f"""How well predicted deviations rank {name} interactions.

    The double {CLASSES[name]}. Genes are ranked by |p - e| where the prediction is {name} too; all others tie
    at 0. Labels as in gi/auprc, of this class only. Chance is that of an additive prediction; noise about it
    earns more where the singles already say which class a gene can be of.
    """
    return metric(
        id=f"gi/auprc/{name}",
        title=f"Interaction AUPRC ({name})",
        chance="prevalence",
        undefined=f"{NO_SINGLES}; fewer than {_FEW_OF_CLASS} {name} interactions, or {MIN_CELLS} cells in a "
        "truth half",
        min_positives=_FEW_OF_CLASS,
        **AREA_CARD,
    )(area)


for _name in CLASSES:
    _add_class(_name)


@metric(
    id="gi/class",
    title="Interaction class",
    chance=None,
    estimator="share of interacting genes",
    ties="a predicted deviation below float32 resolution is of no class, and wrong",
    undefined=f"{NO_SINGLES}; fewer than {MIN_POSITIVES} interacting genes, or {MIN_CELLS} cells in a "
    "truth half",
    requires_truth="cells",
    min_cells=MIN_CELLS,
    min_positives=MIN_POSITIVES,
    **CARD,
)
def gi_class(comparison: Comparison) -> Values:
    """Share of interacting genes whose class is right: synergistic, buffering or opposite.

    Classes by the sign of the singles' sum: the double goes beyond it, stops short of it, or goes the other
    way. No change is buffering everywhere: skill above it is what counts.
    """
    known = additive_expectation(comparison)
    if known is None:
        return absent(comparison)
    expected, variance = known
    additive = expected - comparison.predicted_reference
    deviation = comparison.truth - offset(comparison) - expected
    labels = interacting(deviation, variance, ~comparison.masked)
    right = interaction_class(deviation, additive) == interaction_class(
        predicted_deviation(comparison, expected), additive
    )
    n = labels.sum(dim=-1)
    return Values(
        values=(right & labels).sum(dim=-1).double() / n,
        scorable=(n >= MIN_POSITIVES) & (comparison.n_cells >= MIN_CELLS),
        unscorable=f"fewer than {MIN_POSITIVES} interacting genes, or {MIN_CELLS} cells in a truth half",
    )


def interaction_class(deviation: Tensor, additive: Tensor) -> Tensor:
    """Position in ``CLASSES`` ``(B, n_genes)``; -1 where the deviation is 0.

    ``deviation`` from ``additive``, the singles' summed change from control ``(1, n_genes)``. Where that is
    exactly 0 every deviation is synergistic.
    """
    change = deviation + additive
    opposite = (change * additive < 0).long() * 2
    beyond = change.abs() > additive.abs()
    kind: Tensor = (opposite + (~beyond & (opposite == 0)).long()).masked_fill(deviation == 0, -1)
    return kind
