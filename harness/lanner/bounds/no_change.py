"""No change: the perturbation does nothing."""

from __future__ import annotations

from lanner.bounds import Array, ProfileBound, SealedTruth, bound


@bound
class NoChange(ProfileBound):
    """The mean of the staged controls of the context."""

    id = "no-change"

    def profile(self, truth: SealedTruth, i: int) -> Array:
        """Control mean ``(n_genes,)``."""
        mean: Array = truth.control_a[truth.context_of[i]]
        return mean
