"""Every card of every task in one list: what ``lanner metric list`` shows."""

from __future__ import annotations

from dataclasses import dataclass

from lanner import catalogue
from lanner.cards import CARDS
from lanner.compat import COMPAT
from lanner.metrics import METRICS
from lanner.networks import NETWORK_METRICS
from lanner.registry import unknown_name
from lanner.tasks import TASKS

EXPRESSION, NETWORKS = "perturbation-response", "network-inference"


@dataclass(frozen=True, kw_only=True)
class Listed:
    """What a line says of a metric. ``level`` is what is compared, ``per`` what has a value of its own;
    ``best`` and ``chance`` are None where there are none. ``family`` is that of a peer's metric."""

    task: str
    id: str
    kind: str
    family: str
    level: str
    per: str
    better: str
    best: float | None
    chance: float | str | None
    needs: str
    summary: str


def by_task(task: str | None = None) -> dict[str, list[str]]:
    """Ids of the metrics of every task, or of one; Lanner's own first, then the peers' for the same task.

    Raises ConfigurationError for an unknown task.
    """
    if task is not None and task not in TASKS:
        raise unknown_name("task", task, list(TASKS))
    found = {EXPRESSION: list(catalogue.names()), NETWORKS: catalogue.network_names()}
    for other in TASKS:
        if other not in found:
            TASKS[other].load()
            found[other] = list(TASKS[other].metrics)
    return {name: ids for name, ids in found.items() if task in (None, name)}


def listed(task: str | None = None) -> list[Listed]:
    """A line for every metric of ``by_task``, in its order."""
    return [_line(name, id) for name, ids in by_task(task).items() for id in ids]


def _line(task: str, id: str) -> Listed:
    if id in COMPAT:
        peer = COMPAT[id].card
        return Listed(
            task=task,
            id=id,
            kind=catalogue.PEER,
            family=peer.family,
            level="",
            per="perturbation",
            better=peer.better,
            best=peer.best,
            chance=None,
            needs=", ".join(peer.needs),
            summary=peer.summary,
        )
    if id in NETWORK_METRICS:
        card = NETWORK_METRICS[id].card
        return Listed(
            task=task,
            id=id,
            kind=catalogue.PEER if card.peer else catalogue.OWN,
            family=card.family,
            level=card.requires_truth,
            per=card.unit,
            better=card.better,
            best=card.best,
            chance=card.chance,
            needs="network",
            summary=card.summary,
        )
    own = METRICS[id].card if id in METRICS else CARDS[id]
    return Listed(
        task=task,
        id=id,
        kind=catalogue.OWN,
        family="",
        level=own.level,
        per="condition",
        better=own.better,
        best=own.best,
        chance=own.chance,
        needs=own.requires,
        summary=getattr(own, "summary", own.title),
    )
