"""One row of the speed table, done once by either side: a fresh process each, on two threads."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import pairs
from benchmarks.peers import environments
from benchmarks.peers.same import agreement
from benchmarks.peers.stages.ours import CONTROL

THREADS = {f"{name}_NUM_THREADS": "2" for name in ("OMP", "MKL", "OPENBLAS", "NUMBA")}
THREADS["POLARS_MAX_THREADS"] = "2"


@dataclass(frozen=True)
class Row:
    """One line: what is compared, with which peer, and the ratios asked for (of CPU, wall, peak; M)."""

    stage: str
    peer: str
    meaning: str
    goal: str


def process(command: list[str]) -> dict[str, float]:
    """CPU and wall seconds and peak MB of a whole process, by the kernel's account; raises if it fails."""
    with tempfile.TemporaryFile() as errors:
        start = time.perf_counter()
        child = subprocess.Popen(
            command,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            env={**os.environ, **THREADS},
            cwd=environments.REPOSITORY,
        )
        _, status, used = os.wait4(child.pid, 0)
        wall = time.perf_counter() - start
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            errors.seek(0)
            raise SystemExit(f"{command[:4]} failed:\n{errors.read().decode()[-2000:]}")
    cpu = used.ru_utime + used.ru_stime
    return {"cpu_s": cpu, "wall_s": wall, "peak_mb": used.ru_maxrss / 1024, "share": 1.0}


def stage(interpreter: Path, whose: str, name: str, files: dict[str, Path], out: Path) -> dict[str, Any]:
    """One stage in a fresh process, by its own account."""
    command = [interpreter, "-W", "ignore", "-m", f"benchmarks.peers.stages.{whose}", name]
    done = subprocess.run(
        [*command, files["truth"], files["prediction"], out],
        capture_output=True,
        text=True,
        cwd=environments.REPOSITORY,
        env={**os.environ, **THREADS},
    )
    if done.returncode:
        raise SystemExit(f"{whose} failed on {name}:\n{done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


class Turn:
    """Both sides of a row, once."""

    def __init__(self, row: Row, files: dict[str, Path], folder: Path, where: Path) -> None:
        self.row, self.files, self.folder = row, files, folder
        self.peer_python = environments.python(row.peer, where)
        self.table = folder / "ours.csv"
        self.outs = {side: folder / f"{row.stage}-{row.peer}-{side}.npz" for side in ("ours", "peer")}

    def ours(self) -> dict[str, Any]:
        if self.row.stage == "profile":
            files = [f"--{name}={path}" for name, path in self.files.items()]
            chosen = [f"--control={CONTROL}", "--metric=cell_eval/*", f"--out={self.table}"]
            return process([sys.executable, "-m", "lanner.cli", "score", *files, *chosen, "--device=cpu"])
        return stage(Path(sys.executable), "ours", self.row.stage, self.files, self.outs["ours"])

    def peer(self) -> dict[str, Any]:
        if self.row.stage == "profile":
            program = str(self.peer_python.with_name("cell-eval"))
            files = ["-ap", str(self.files["prediction"]), "-ar", str(self.files["truth"])]
            names = ["--control-pert", CONTROL, "--pert-col", pairs.COLUMN, "--num-threads", "2"]
            out = ["-o", str(self.folder / "cell-eval"), "--skip-metrics", "clustering_agreement"]
            return process([program, "run", *files, *names, *out])
        whose = environments.PEERS[self.row.peer]
        return stage(self.peer_python, whose, self.row.stage, self.files, self.outs["peer"])

    def agreement(self) -> str:
        if self.row.stage == "profile":
            return agreement("profile", self.table, self.folder / "cell-eval")
        return agreement(self.row.stage, self.outs["ours"], self.outs["peer"])
