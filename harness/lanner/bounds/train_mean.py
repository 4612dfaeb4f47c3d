"""Train mean: every perturbation does what the training perturbations do on average."""

from __future__ import annotations

from lanner.bounds import Array, ProfileBound, SealedTruth, bound


@bound
class TrainMean(ProfileBound):
    """Mean of the train perturbation centroids, each with equal weight, of the context or else of all."""

    id = "train-mean"
    reference = True

    def profile(self, truth: SealedTruth, i: int) -> Array:
        """Perturbation-equal train mean ``(n_genes,)``."""
        mean: Array = truth.train_mean[truth.context_of[i]]
        return mean


@bound
class TrainMeanCells(ProfileBound):
    """Mean of all train perturbed cells, of the context or else of all: large perturbations weigh more."""

    id = "train-mean-cells"

    def profile(self, truth: SealedTruth, i: int) -> Array:
        """Cell-weighted train mean ``(n_genes,)``."""
        mean: Array = truth.train_mean_cells[truth.context_of[i]]
        return mean
