"""Scoring of networks: one prediction, or all bounds, against the sealed side of a split; values per unit.

A unit is a regulator or a target gene in a context, as the metric's card says. Every value is the mean over
halves of the held-out cells, so that methods, negative bounds and the network of the other half all meet the
same truth. Whoever imports this has the cards and roles of networks registered.
"""

from lanner.network_scoring.bounds_frame import score_bounds
from lanner.network_scoring.details import bound_details, details
from lanner.network_scoring.frame import score
from lanner.network_scoring.roles import BOUNDS
from lanner.network_scoring.sealed import SealedNetworks, gold_of, opened, seal

__all__ = [
    "BOUNDS",
    "SealedNetworks",
    "bound_details",
    "details",
    "gold_of",
    "opened",
    "score",
    "score_bounds",
    "seal",
]
