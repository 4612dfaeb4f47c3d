"""How much of a device the torch kernels reach: the fraction of its roofline, measured by a GEMM and a copy.

    python -m benchmarks.gpu [--device auto|cpu|cuda[:n]] [--rows N] [--genes N] [--repeats N]

Each kernel's floating-point operations and bytes are counted as its formula has them; its limit is the longer
of operations at the measured GEMM rate of its dtype and bytes at the measured copy rate.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lanner.metrics.kernels import kernel, median_distance
from lanner.metrics.retrieval import pairwise_cosine
from lanner.pairs.device import chosen_device
from lanner.pairs.distances import Points, between, within
from torch import Tensor

from benchmarks.figures import machine, show, write


@dataclass(frozen=True)
class Peak:
    """What the device does at its best: GEMM operations a second by dtype, copied bytes a second."""

    operations: dict[torch.dtype, float]
    bytes: float


@dataclass(frozen=True)
class Kernel:
    """Work on the device, its operations (in matrix products) and the bytes it must read and write."""

    name: str
    work: Callable[[], Any]
    dtype: torch.dtype
    operations: float
    bytes: float

    def limit(self, peak: Peak) -> float:
        """Seconds that no program of these operations and bytes can beat."""
        return max(self.operations / peak.operations[self.dtype], self.bytes / peak.bytes)


def seconds(work: Callable[[], Any], device: str, repeats: int) -> float:
    """Median wall time of one call, the device idle before and after; one call warms up."""
    found = []
    for _ in range(repeats + 1):
        wait(device)
        start = time.perf_counter()
        work()
        wait(device)
        found.append(time.perf_counter() - start)
    return float(np.median(found[1:]))


def wait(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)


def peak_of(device: str, repeats: int) -> Peak:
    """Measured, not the data sheet's: a square GEMM in either dtype and a copy larger than any cache."""
    n = 8192 if device.startswith("cuda") else 2048
    operations = {}
    for dtype in (torch.float32, torch.float64):
        a, b = (torch.randn(n, n, dtype=dtype, device=device) for _ in range(2))
        operations[dtype] = 2 * n**3 / seconds(lambda a=a, b=b: a @ b, device, repeats)  # type: ignore[misc]
    source = torch.zeros(1 << (28 if device.startswith("cuda") else 25), device=device)
    target = torch.empty_like(source)
    copied = 2 * source.nbytes / seconds(lambda: target.copy_(source), device, repeats)
    return Peak(operations, copied)


def kernels(device: str, rows: int, genes: int) -> list[Kernel]:
    """What scoring spends its time on, at the shapes of one condition, or of one retrieval."""
    generator = torch.Generator().manual_seed(0)

    def cells(n: int, dtype: torch.dtype) -> Points:
        dense = torch.rand(n, genes, generator=generator)
        values = torch.where(dense > 0.87, dense, torch.zeros(())).numpy()
        return Points(values, device, dtype, np.zeros(genes))

    controls, some = cells(10 * rows, torch.float32), cells(rows, torch.float32)
    exact, other = cells(rows, torch.float64), cells(rows, torch.float64)
    n, m, g = rows, 10 * rows, genes
    distances = torch.rand(n, n, dtype=torch.float64, device=device)
    profiles: list[Tensor] = [
        torch.randn(n, g, generator=generator, dtype=torch.float64).to(device) for _ in range(2)
    ]
    keep = (torch.rand(n, g, generator=generator) > 0.001).double().to(device)
    return [
        Kernel(
            "distances to controls, float32",
            lambda: between(some, controls),
            torch.float32,
            2.0 * n * m * g,
            4.0 * (n + m) * g + 4.0 * n * m,
        ),
        Kernel(
            "distances between cells, float64",
            lambda: between(exact, other),
            torch.float64,
            2.0 * n * n * g,
            8.0 * 2 * n * g + 8.0 * n * n,
        ),
        Kernel(
            "distances within cells, float64",
            lambda: within(exact),
            torch.float64,
            2.0 * n * n * g,
            8.0 * n * g + 8.0 * n * n,
        ),
        Kernel(
            "multi-width Gaussian kernel",
            lambda: kernel(distances, median_distance(distances)),
            torch.float64,
            0.0,
            8.0 * 2 * n * n,
        ),
        Kernel(
            "PDS, cosine with pair masks",
            lambda: pairwise_cosine(profiles[0], profiles[1], keep),
            torch.float64,
            2.0 * n * n * g,
            8.0 * 3 * n * g + 8.0 * 2 * n * n,
        ),
    ]


def run(device: str, rows: int, genes: int, repeats: int) -> dict[str, Any]:
    """Measure all kernels; a JSON document."""
    torch.backends.cuda.matmul.allow_tf32 = False
    peak = peak_of(device, repeats)
    found = []
    for one in kernels(device, rows, genes):
        taken, limit = seconds(one.work, device, repeats), one.limit(peak)
        found.append({"kernel": one.name, "wall_s": taken, "limit_s": limit, "fraction": limit / taken})
    name = torch.cuda.get_device_name(device) if device.startswith("cuda") else "CPU"
    return {
        "machine": machine(),
        "device": name,
        "rows": rows,
        "genes": genes,
        "peak": {
            "float32_flops": peak.operations[torch.float32],
            "float64_flops": peak.operations[torch.float64],
            "copy_bytes_per_s": peak.bytes,
        },
        "kernels": found,
    }


def main() -> None:
    """Measure, print and write ``gpu.json``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--rows", type=int, default=500)
    parser.add_argument("--genes", type=int, default=5_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args()
    document = run(chosen_device(chosen.device), chosen.rows, chosen.genes, chosen.repeats)
    rows = [
        (row["kernel"], f"{row['wall_s'] * 1e3:.2f}", f"{row['limit_s'] * 1e3:.2f}", f"{row['fraction']:.0%}")
        for row in document["kernels"]
    ]
    show(f"Torch kernels on {document['device']}", ("kernel", "ms", "limit ms", "of the limit"), rows)
    print(write("gpu", document, chosen.out))


if __name__ == "__main__":
    main()
