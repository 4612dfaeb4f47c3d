"""What runs will cost, from runs that ended: the order to place them in, and an estimate before any is.

A run is expected to take the median of the recorded runs of the same method on the same dataset; where there
are none, of the same method on any dataset; where it never ran, its whole time limit, CPUs and memory, so
that an unknown run is begun first and an estimate errs on the long side. Runs that ended by a failure other
than their limits say nothing and are left out.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from lanner import store
from lanner.errors import ErrorClass
from lanner.records import Limits, State

SAME_DATASET, SAME_METHOD, TIME_LIMIT = "same method and dataset", "same method", "time limit"
BASES = (SAME_DATASET, SAME_METHOD, TIME_LIMIT)
"""What an expectation rests on, the best first."""
HARNESS_SECONDS = 1.5
"""What the harness adds to each run: the goal of ``benchmarks.harness_overhead``."""
_Usage = tuple[float, float | None, float | None]


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What a run is expected to use: seconds by the wall and of CPU, MB at its peak, and one of BASES."""

    wall_seconds: float
    cpu_seconds: float
    memory_mb: float
    basis: str


class Costs:
    """Usage of the recorded runs of one LANNER_HOME, by method and dataset."""

    def __init__(self, home: Path) -> None:
        self._of: dict[tuple[str, str | None], list[_Usage]] = {}
        for folder, record in store.find_runs(home):
            telling = (State.SUCCEEDED, None), (State.FAILED, ErrorClass.TIMEOUT)
            if (record["state"], record["error_class"]) not in telling:
                continue
            usage = store.read_json(folder / f"attempt-{record['attempt']}" / "resources.json") or {}
            if usage.get("wall_seconds"):
                found = (usage["wall_seconds"], usage.get("cpu_seconds"), usage.get("peak_memory_mb"))
                for dataset in (record["dataset"], None):
                    self._of.setdefault((record["method"], dataset), []).append(found)

    def expected(self, method: str, dataset: str, limits: Limits) -> Cost:
        """What a run of that method on that dataset will use, within its limits."""
        for basis, name in ((SAME_DATASET, dataset), (SAME_METHOD, None)):
            found = self._of.get((method, name))
            if found:
                wall = median(use[0] for use in found)
                return Cost(
                    wall_seconds=wall,
                    cpu_seconds=_median((use[1] for use in found), wall),
                    memory_mb=_median((use[2] for use in found), limits.memory_mb),
                    basis=basis,
                )
        return Cost(
            wall_seconds=float(limits.timeout_s),
            cpu_seconds=limits.timeout_s * limits.cpus,
            memory_mb=limits.memory_mb,
            basis=TIME_LIMIT,
        )


def _median(values: Iterable[float | None], otherwise: float) -> float:
    known = [value for value in values if value is not None]
    return float(median(known)) if known else float(otherwise)


def makespan(seconds: Sequence[float], workers: int) -> float:
    """Seconds until all of ``seconds`` are done, each begun, in this order, by the first free worker."""
    free = [0.0] * max(workers, 1)
    for each in seconds:
        heapq.heapreplace(free, free[0] + each)
    return max(free)


def estimate(costs: Sequence[Cost], limits: Sequence[Limits], workers: int) -> dict[str, Any]:
    """What runs will take together, placed in this order.

    Returns run_seconds (by the wall, on one worker), cpu_hours, workers, wall_seconds (on those, the
    harness's share included, scoring not), peak_memory_mb (of the largest run), memory_at_once_mb (what the
    limits of the ``workers`` largest add up to: with less room, fewer run at a time), basis ({one of BASES:
    how many runs}) and runs_at_their_time_limit.
    """
    walls = [cost.wall_seconds for cost in costs]
    basis = {name: sum(cost.basis == name for cost in costs) for name in BASES}
    return {
        "run_seconds": round(sum(walls), 1),
        "cpu_hours": round(sum(cost.cpu_seconds for cost in costs) / 3600, 3),
        "workers": workers,
        "wall_seconds": round(makespan([wall + HARNESS_SECONDS for wall in walls], workers), 1),
        "peak_memory_mb": round(max((cost.memory_mb for cost in costs), default=0.0)),
        "memory_at_once_mb": sum(sorted((limit.memory_mb for limit in limits), reverse=True)[:workers]),
        "basis": basis,
        "runs_at_their_time_limit": basis[TIME_LIMIT],
    }
