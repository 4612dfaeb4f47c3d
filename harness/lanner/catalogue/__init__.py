"""All metrics there are: Lanner's own, which rank, and the peers', which reproduce published numbers.

Three registries, one catalogue: ids, families (the names under which people compare numbers), and documents
for the command line and the reference pages. Metrics of networks, own and peers', stand apart: what they
score is no expression, so nothing compares them with the others.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from lanner.cards import CARDS
from lanner.compat import COMPAT, PeerMetric
from lanner.metrics import METRICS, Metric
from lanner.networks import NETWORK_METRICS, NetworkMetric
from lanner.registry import unknown_name

__all__ = ["OWN", "PEER", "document", "families", "family_of", "find", "members", "names", "network_names"]

OWN, PEER = "lanner", "peer"
"""The two kinds of metrics."""

_FAMILIES = {
    "mse": "mse",
    "rmse": "rmse",
    "mae": "mae",
    "wmse": "wmse",
    "pearson_delta": "pearson delta",
    "spearman_delta": "spearman delta",
    "cosine_delta": "cosine delta",
    "r2_delta": "r2 delta",
    "weighted_r2_delta": "r2 delta",
    "r2_corr/delta": "r2 delta",
    "r2_corr/profile": "r2 profile",
    "pds_cosine": "pds",
    "pds_l1": "pds",
    "pds_l2": "pds",
    "retrieval_transpose": "pds",
    "centroid_accuracy": "pds",
    "energy": "energy",
    "mmd_rbf": "mmd",
    "w1_gene": "w1",
    "sinkhorn_w2": "w2",
    "de_auprc": "de auprc",
    "de_ap": "de auprc",
    "de_overlap": "de overlap",
    "de_precision": "de precision",
    "de_recall": "de recall",
    "direction": "de direction",
    "de_direction": "de direction",
    "de_spearman_lfc": "de fold change",
    "de_nsig_ratio": "de number",
}
"""Lanner's metrics among the peers' families: an id, or what it begins with up to a slash.

Own cards do not state a family, because a score of Lanner is compared with its bounds, not with its name.
"""


def names() -> Iterator[str]:
    """Ids of all metrics of expression: Lanner's own first, each kind sorted."""
    yield from METRICS
    yield from COMPAT


def network_names() -> list[str]:
    """Ids of all metrics of networks: Lanner's own first, each kind sorted."""
    return sorted(NETWORK_METRICS, key=lambda name: (bool(NETWORK_METRICS[name].card.peer), name))


def find(name: str) -> Metric | PeerMetric:
    """The metric of expression of an id; raises ConfigurationError with the nearest one for an unknown id."""
    if name in METRICS:
        return METRICS[name]
    if name in COMPAT:
        return COMPAT[name]
    raise unknown_name("metric", name, [*names(), *network_names()])


def family_of(name: str) -> str:
    """The name under which people compare this metric's numbers; its own name where nobody else has it."""
    if name in NETWORK_METRICS:
        return NETWORK_METRICS[name].card.family
    metric = find(name)
    if isinstance(metric, PeerMetric):
        return metric.card.family
    stem = name
    while stem not in _FAMILIES and "/" in stem:
        stem = stem.rpartition("/")[0]
    return _FAMILIES.get(stem, name.replace("_", " "))


def families() -> dict[str, list[str]]:
    """Families and the ids of their members, Lanner's own first."""
    found: dict[str, list[str]] = {}
    for name in names():
        found.setdefault(family_of(name), []).append(name)
    return dict(sorted(found.items()))


def members(name: str) -> tuple[str, list[str]]:
    """A family and its members, from the family's name or the id of any member.

    Raises
    ------
    ConfigurationError
        Neither a family nor a metric is called so.
    """
    known = families()
    spoken = name.replace("_", " ").lower()
    for family in (name, spoken):
        if family in known:
            return family, known[family]
    if name not in set(names()):
        raise unknown_name("metric or family", name, [*known, *names()])
    family = family_of(name)
    return family, known[family]


def document(name: str) -> dict[str, Any]:
    """The card as JSON, with its kind, family, hash and the text of its definition."""
    if name in CARDS and name not in NETWORK_METRICS and name not in METRICS:  # of a task of somebody's own
        card = CARDS[name]
        stated = {"id": name, "kind": OWN, "family": name, **asdict(card)}
        return {**stated, "definition": "", "sha256": card.sha256}
    metric = NETWORK_METRICS[name] if name in NETWORK_METRICS else find(name)
    is_peers = metric.card.peer if isinstance(metric, NetworkMetric) else isinstance(metric, PeerMetric)
    kind = PEER if is_peers else OWN
    named = {"id": name, "kind": kind, "family": family_of(name)}
    return {**named, **asdict(metric.card), "definition": metric.definition, "sha256": metric.card.sha256}
