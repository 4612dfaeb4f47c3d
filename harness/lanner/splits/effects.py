"""What perturbations did, measured: for the designs that cut data by how alike effects are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lanner.records import CONTROL

if TYPE_CHECKING:
    import numpy as np

    from lanner.datasets import Dataset

DECIMALS = 6
"""Effects are rounded to these, so that the order in which a sum was taken is not seen in a split."""


def measured_effects(dataset: Dataset) -> dict[str, np.ndarray[Any, Any]]:
    """Mean of each perturbed condition less that of its context's controls, float64 ``(n_genes,)``.

    On the scale of X, by condition id; conditions of a context without controls have none. All cells take
    part: this is truth, and a split made of it is marked as fitted on truth.
    """
    import numpy as np

    obs = dataset.obs
    contexts = {context: k for k, context in enumerate(dataset.contexts)}
    places = {condition.id: len(contexts) + j for j, condition in enumerate(dataset.conditions)}
    is_control = (obs["perturbation"] == CONTROL).to_numpy()
    groups = np.where(
        is_control, obs["context"].map(contexts), obs["condition"].map(places).fillna(-1)
    ).astype(np.int64)
    if "replicate" in obs:
        groups[(obs["replicate"] != "all").to_numpy()] = -1
    sums, counts = dataset.X().group_sums(groups, len(contexts) + len(places))
    effects = {}
    for condition in dataset.conditions:
        k, j = contexts[condition.context_id], places[condition.id]
        if counts[k] and counts[j]:
            effects[condition.id] = np.round(sums[j] / counts[j] - sums[k] / counts[k], DECIMALS)
    return effects
