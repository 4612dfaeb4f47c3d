"""The cards of network metrics and the roles of network bounds, as aggregation knows them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lanner.cards import CARDS, ROLES, Role
from lanner.networks import NETWORK_METRICS, NetworkCard

BOUNDS = ("correlation", "empty", "full", "gold-standard", "held-out-half", "random", "rewired")
"""Every bound of networks; ``random`` and ``rewired`` stand for the mean of several draws."""
MIN_UNITS = 6
"""Units it takes for a place among the primary metrics: fewer give no interval."""


@dataclass(frozen=True)
class NetworkScorecard:
    """A network metric's card in the terms of ``lanner.cards.Scorecard``."""

    card: NetworkCard

    id = property(lambda self: str(self.card.id))
    version = property(lambda self: int(self.card.version))
    title = property(lambda self: str(self.card.title))
    level = property(lambda self: str(self.card.requires_truth))
    better = property(lambda self: str(self.card.better))
    chance = property(lambda self: self.card.chance)
    sha256 = property(lambda self: str(self.card.sha256))
    sign = property(lambda self: int(self.card.sign))
    requires = property(lambda self: "network")
    min_conditions = property(lambda self: MIN_UNITS)

    @property
    def worst_of(self) -> tuple[str, ...]:
        """No network metric is a composite."""
        return ()

    @property
    def best(self) -> float:
        """The value of a perfect network; infinite where there is none."""
        return float(self.card.sign) * float("inf") if self.card.best is None else float(self.card.best)

    @property
    def unit(self) -> str:
        """What is resampled."""
        return {"regulator": "regulator", "target": "target gene"}[self.card.unit]

    def merit(self, values: Any) -> Any:
        """Values turned so that larger is better."""
        return self.card.merit(values)


for _name in NETWORK_METRICS:
    CARDS.add(_name, NetworkScorecard(NETWORK_METRICS[_name].card))
for _name in ("empty", "full", "random", "rewired"):
    ROLES.add(_name, Role(id=_name, kind="negative"))
ROLES.add("correlation", Role(id="correlation", kind="negative", reference=True))
ROLES.add("gold-standard", Role(id="gold-standard", kind="positive", anchors=True, levels=("gold",)))
ROLES.add(
    "held-out-half",
    Role(id="held-out-half", kind="positive", anchors=True, levels=("interventions", "samples")),
)
