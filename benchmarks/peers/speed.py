"""The paired table: Lanner and the peers on the same files, in separate processes, taking turns.

    python -m benchmarks.peers.speed [--size S|M ...] [--stage NAME ...] [--repeats N]
                                     [--environments DIR] [--data DIR]

CPU seconds are the gate (the machine may be shared), wall seconds and peak memory stand beside them; medians.
``limit`` is CPU seconds at the rates of this machine's primitives, ``fraction`` the part of our CPU time it
would be. Where a peer would take minutes it does part of the perturbations: ``extrapolated`` by their number.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks import figures, pairs
from benchmarks.peers import environments, limits
from benchmarks.peers.turns import Row, Turn, process, stage

ROWS = (
    Row("profile", "cell-eval", "full cell-eval profile, process to process", ">= 7x cpu, 10x wall, 2x peak"),
    Row("de", "cell-eval", "DE of one file against pdex, Mann-Whitney and BH", ">= 30x cpu"),
    Row("pearson_delta", "cell-eval", "files to pseudobulk and pearson_delta", ">= 10x"),
    Row("pds", "cell-eval", "PDS, three distances, float64", ">= 6x"),
    Row("energy_control", "cell-eval", "energy to control, both files, gene space", ">= 3x"),
    Row("energy_control_one", "pertpy", "energy to control, one file, gene space", ">= 80x"),
    Row("energy_mmd_control", "pertpy", "energy and RBF-MMD to control, one file, gene space", ">= 80x"),
    Row("energy_mmd", "pertpy", "energy and RBF-MMD, prediction to truth, gene space", ""),
    Row("w1", "gge", "W1 per gene", ">= 8x"),
)
IMPORTS = {"cell-eval": "cell_eval", "gge": "gge", "pertpy": "pertpy", "scperteval": "scperteval"}


def measure(row: Row, size: str, turns: Turn, repeats: int, limit: float) -> dict[str, Any]:
    """Medians over alternating turns, as the document states them; a peer's part counts for the whole."""
    ours, peer = [], []
    for _ in range(repeats):
        ours.append(turns.ours())
        peer.append(turns.peer())
    share = peer[0]["share"]

    def middle(runs: list[dict[str, Any]], name: str, of: float = 1.0) -> float:
        return statistics.median(run[name] for run in runs) / of

    return {
        "metric": row.stage,
        "size": size,
        "peer": row.peer,
        "ours_cpu_s": middle(ours, "cpu_s"),
        "peer_cpu_s": middle(peer, "cpu_s", share),
        "ours_wall_s": middle(ours, "wall_s"),
        "peer_wall_s": middle(peer, "wall_s", share),
        "ours_peak_mb": middle(ours, "peak_mb"),
        "peer_peak_mb": middle(peer, "peak_mb"),
        "limit_cpu_s": limit,
        "limit_s": limit / limits.THREADS,
        "agreement": turns.agreement(),
        "meaning": row.meaning,
        "goal": row.goal,
        "n": repeats,
        "peer_share": share,
        "extrapolated": share < 1,
    }


def imports(where: Path, repeats: int) -> list[dict[str, Any]]:
    """Import in a fresh process, Lanner's and each peer's in turn."""
    rows = []
    for peer, name in IMPORTS.items():
        python = environments.python(peer, where)
        ours, theirs = [], []
        for _ in range(repeats):
            ours.append(process([sys.executable, "-c", "import lanner, lanner.compat, lanner.pairs"]))
            theirs.append(process([str(python), "-W", "ignore", "-c", f"import {name}"]))
        row: dict[str, Any] = {"metric": "import", "size": "-", "peer": peer}
        for figure in ("cpu_s", "wall_s", "peak_mb"):
            row[f"ours_{figure}"] = statistics.median(run[figure] for run in ours)
            row[f"peer_{figure}"] = statistics.median(run[figure] for run in theirs)
        rows.append(
            row
            | {"limit_cpu_s": None, "limit_s": None, "agreement": "", "meaning": "import", "n": repeats}
            | {"goal": "<= 1.2 s"}
        )
    return rows


def validation(size: str, files: dict[str, Path], work: limits.Work, repeats: int) -> dict[str, Any]:
    """Both files read, checked and summed without torch: GB of values and indices a second."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "read.npz"
        runs = [stage(Path(sys.executable), "ours", "read", files, out) for _ in range(repeats)]
    wall = statistics.median(run["wall_s"] for run in runs)
    return {
        "size": size,
        "wall_s": wall,
        "cpu_s": statistics.median(run["cpu_s"] for run in runs),
        "gb_per_s": 2 * work.stored * 8 / 1e9 / wall,
        "torch_loaded": any(run["torch_loaded"] for run in runs),
        "goal": ">= 2 GB/s, no torch",
    }


def main() -> None:
    """Measure, print, write ``peers.json``."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", action="append", choices=list(pairs.SIZES), help="repeatable [S]")
    parser.add_argument("--stage", action="append", help=f"of {', '.join(row.stage for row in ROWS)} [all]")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--environments", type=Path, default=environments.DEFAULT, metavar="DIR")
    parser.add_argument("--data", type=Path, help="keep the files here [a temporary folder]")
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args()
    document: dict[str, Any] = {"machine": figures.machine(), "rates": limits.rates(), "rows": []}
    document["validation"] = []
    with tempfile.TemporaryDirectory(prefix="lanner-peers-") as temporary:
        folder = chosen.data or Path(temporary)
        for size in chosen.size or ["S"]:
            files = pairs.generate(folder, size)
            shape = pairs.SIZES[size]
            stored = _stored(files["truth"])
            work = limits.Work(shape.n, shape.cells, shape.controls, shape.genes, stored)
            limit = limits.limits(work, document["rates"])
            for row in ROWS:
                if not chosen.stage or row.stage in chosen.stage:
                    turns = Turn(row, files, Path(temporary), chosen.environments)
                    document["rows"].append(measure(row, size, turns, chosen.repeats, limit[row.stage]))
                    print(json.dumps(document["rows"][-1]), file=sys.stderr)
                    figures.write("peers", document, chosen.out)  # a failure loses one row
            document["validation"].append(validation(size, files, work, chosen.repeats))
    if not chosen.stage:
        document["rows"] += imports(chosen.environments, chosen.repeats)
    show(document)
    print(figures.write("peers", document, chosen.out))


def _stored(path: Path) -> int:
    """Stored values of a CSR file."""
    import h5py

    with h5py.File(path) as file:
        return int(file["X/data"].shape[0])


def show(document: dict[str, Any]) -> None:
    columns = (
        "size",
        "peer",
        "ours cpu",
        "peer cpu",
        "ratio",
        "wall",
        "peak",
        "limit cpu",
        "fraction",
        "goal (M)",
    )
    lines = []
    for row in document["rows"]:
        ratios = [row[f"peer_{name}"] / row[f"ours_{name}"] for name in ("cpu_s", "wall_s", "peak_mb")]
        limit = row["limit_cpu_s"]
        lines.append(
            (
                row["meaning"] + (" (extrapolated)" if row.get("extrapolated") else ""),
                row["size"],
                row["peer"],
                f"{row['ours_cpu_s']:.2f}",
                f"{row['peer_cpu_s']:.2f}",
                *(f"{ratio:.1f}x" for ratio in ratios),
                f"{limit:.3f}" if limit else "",
                f"{limit / row['ours_cpu_s']:.0%}" if limit else "",
                row["goal"],
            )
        )
    figures.show("Lanner and peers (seconds; ratios are peer / ours)", ("", *columns), lines)
    for row in document["rows"]:
        if row["agreement"]:
            print(f"{row['size']} {row['metric']} / {row['peer']}: {row['agreement']}")
    for found in document["validation"]:
        state = "torch loaded" if found["torch_loaded"] else "no torch"
        print(f"{found['size']} read, check and sum both files: {found['gb_per_s']:.2f} GB/s, {state}")


if __name__ == "__main__":
    main()
