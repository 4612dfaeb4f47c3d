"""What ``lanner method check`` puts to a method: a tiny simulated screen, and a split of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

SCREEN: Mapping[str, Any] = {
    "n_perturbations": 12,
    "n_combinations": 6,
    "n_cells_per_condition": 24,
    "n_controls": 120,
    "n_genes": 80,
    "cell_types": 2,
    "n_batches": 1,
    "seed": 7,
}
"""Arguments of ``lanner.simulator.Simulation`` where a question says nothing else: some 1,100 cells."""


@dataclass(frozen=True, kw_only=True)
class Question:
    """One thing that a method will meet; ``says`` is it in words.

    ``split`` is a design with its parameters, ``screen`` what differs from ``SCREEN``, ``options`` those of
    the task. ``unmeasured`` of the targets are left out of the genes.
    """

    name: str
    says: str
    split: Mapping[str, Any]
    screen: Mapping[str, Any] = field(default_factory=dict)
    unmeasured: int = 0
    options: Mapping[str, Any] = field(default_factory=dict)
