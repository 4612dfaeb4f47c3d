"""What this machine could do at best: rates of library primitives, measured in the same run, and the work.

A limit is for the algorithm used at the rate of one primitive (``field/performance.md``), no proof of
optimality: one sort of all keys for ranks, one pass over memory for sums, float32 products for distances.
Those are products of dense rows: who skips zeros may take less than this limit.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

THREADS = 2


@dataclass(frozen=True)
class Work:
    """Sizes of a data set: perturbations, cells of each, controls, genes, stored values of one file."""

    n: int
    cells: int
    controls: int
    genes: int
    stored: int


def rates() -> dict[str, float]:
    """Per CPU second: float32 flops, sorted int64 keys, bytes read, L1 terms of float64.

    CPU seconds, since others may be at work; a limit in wall seconds is that with both cores busy throughout.
    Measured in a process of its own: what a parent has in memory counts in the peak of its children.
    """
    done = subprocess.run([sys.executable, "-m", __name__], capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def _rates() -> dict[str, float]:
    generator = np.random.default_rng(0)
    square = generator.random((3000, 3000), dtype=np.float32)
    keys = generator.integers(0, 2**62, (THREADS, 4_000_000))
    numbers = generator.random((THREADS, 20_000_000))
    rows = generator.random((THREADS, 200, 5000))
    from scipy.spatial.distance import cdist

    return {
        "flops": 2 * 3000.0**3 / _best(lambda: square @ square),
        "keys": keys.size / _best(lambda: _both(np.sort, keys)),
        "bytes": numbers.nbytes / _best(lambda: _both(np.sum, numbers)),
        "l1": THREADS * 200 * 200 * 5000 / _best(lambda: _both(lambda x: cdist(x, x, "cityblock"), rows)),
    }


def _both(work: Callable[..., object], parts: np.ndarray) -> None:  # type: ignore[type-arg]
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(work, parts))


def _best(work: Callable[[], object], repeats: int = 6) -> float:
    times = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times)


def limits(work: Work, rate: Mapping[str, float]) -> dict[str, float]:
    """CPU seconds of each stage at those rates."""
    everyone = work.n * work.cells
    to_control = everyone * work.controls + work.controls**2 / 2 + work.n * work.cells**2 / 2
    pairwise = work.n * work.cells**2 * 2
    one = {
        "read": 2 * work.stored * 8 / rate["bytes"],
        "de": work.stored / rate["keys"],
        "pds": work.n**2 * work.genes / rate["l1"],
        "energy_control_one": 2 * to_control * work.genes / rate["flops"],
        "energy_mmd": 2 * pairwise * work.genes / rate["flops"],
        "w1": 2 * work.stored / rate["keys"],
    }
    one["pearson_delta"] = one["read"]
    one["energy_mmd_control"] = one["energy_control_one"]
    one["energy_control"] = 2 * one["energy_control_one"]
    one["profile"] = one["read"] + 2 * one["de"] + one["pds"] + one["energy_control"]
    return one


if __name__ == "__main__":
    print(json.dumps(_rates()))
