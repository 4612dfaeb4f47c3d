"""Expression after a perturbation that the method did not see there."""

from __future__ import annotations

from lanner.tasks import Task, add_task

PRIMARY = ("mse", "pearson_delta", "pds_cosine", "energy", "de_auprc")
"""One for each thing a prediction can get wrong: size, direction, identity, distribution, affected genes."""

PERTURBATION_RESPONSE = add_task(
    Task(
        id="perturbation-response",
        version=1,
        summary="Predict expression under perturbations, combinations or contexts that were held out.",
        prediction="expression",
        primary=PRIMARY,
        # The references and spaces that decide how a primary number is to be read.
        metrics=(*PRIMARY, "pearson_delta/train-mean", "energy/pca50", "energy/gene", "pca_residual_norm"),
        splits=(
            "unseen-perturbation",
            "unseen-target",
            "unseen-combination",
            "combination-to-single",
            "unseen-context",
            "stratified-cells",
            "graded-similarity",
            "data-scaling",
            "time",
            "custom",
        ),
        bounds=(
            "no-change",
            "train-mean",
            "train-mean-cells",
            "shuffled-cells",
            "technical-duplicate",
            "interpolated-duplicate",
        ),
        n_cells=100,
        reveal=("none", "dose", "level"),
    )
)
