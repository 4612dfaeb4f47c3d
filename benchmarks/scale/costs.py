"""What the model is fed: seconds of methods from recorded runs, and of the harness around them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

RECORDED = Path(__file__).with_name("costs.json")
HOUR = 3600.0


@dataclass(frozen=True, kw_only=True)
class Costs:
    """Seconds, by the wall unless they say CPU, and operations on the shared store. Sources in scale.md.

    ``name`` names and looks up one run, all of them one after another before the first begins; ``place`` is
    the harness's CPU to give one to an engine and ``poll`` that of asking once what became of it. A worker
    takes ``before`` and ``after`` around the method. ``score`` is one run's scoring, ``score_start`` what a
    process of its own adds to it.
    """

    name: float = 0.001
    place: float = 0.003
    poll: float = 0.00002
    before: float = 1.0
    after: float = 0.6
    score: float = 2.0
    score_start: float = 2.5
    record: float = 0.001
    run_operations: int = 120
    poll_operations: int = 3
    beat_seconds: float = 2.0


@dataclass(frozen=True, kw_only=True)
class Design:
    """How an engine is driven. At most ``in_flight`` attempts at a time; one is asked for each
    ``poll_seconds``, its status read each ``status_seconds``; ``lag`` is from a free worker to a start.

    ``scoring`` is done ``here``, one after another in the harness, or ``placed`` on workers.
    """

    name: str
    in_flight: int
    poll_seconds: float
    status_seconds: float
    lag: float
    scoring: str


def recorded() -> list[float]:
    """CPU seconds of the method, of each recorded method and dataset."""
    document = json.loads(RECORDED.read_text(encoding="utf-8"))
    place = document["columns"].index("cpu_seconds")
    return [float(row[place]) for row in document["runs"]]


def drawn(n: int, factor: float = 1.0, seed: int = 0) -> list[float]:
    """``n`` runs drawn from the recorded ones, ``factor`` times as long, the longest first."""
    chosen = np.random.default_rng(seed).choice(recorded(), n) * factor
    return sorted(chosen.tolist(), reverse=True)


def lower_bound(seconds: Sequence[float], workers: int) -> float:
    """No schedule of these is shorter on so many workers (Graham, SIAM J. Appl. Math. 17, 1969, 416-429)."""
    return max(max(seconds), sum(seconds) / workers)
