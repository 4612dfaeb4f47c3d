"""Many short runs while harnesses, containers and the engine are killed at random: nothing stays behind.

    python -m tests.docker.soak --runs 200 --seed 1

A leaderboard is built on an engine of its own, and disturbed until ``--kills`` blows have fallen or all runs
are done; then it is built once more in peace, and once from nothing on the side. The exit code is 1 unless
every run has exactly one terminal record, no container, volume, temporary file or held lock is left, and both
leaderboard.json are equal byte for byte.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
from docker.errors import DockerException
from lanner.config import Settings
from lanner.leaderboard import expand, load
from lanner.records import State
from requests.exceptions import RequestException

from tests import boards
from tests.docker.engine import PrivateEngine, containerise, why_not

METHODS: Mapping[str, str] = {
    "seeded": "X += 0.01 * int(os.environ['LANNER_SEED']); time.sleep(0.5); write()",
    "half": f"X += 0.001 * int(os.environ['LANNER_SEED']){boards.HALF}",
    "slow": "X[:] = 0.4; write(); time.sleep(1.5)",
    "fails": "time.sleep(0.3); sys.exit('it never works')",
}
BLOWS = {"container": 4, "worker": 3, "harness": 2, "harness and workers": 2, "interrupt": 1, "engine": 2}
"""What is struck, and how often relative to the others."""
INTERRUPT_S = 90.0
"""How long a harness may take to end its runs when it is interrupted."""


class Soak:
    """A registry, an engine, and a LANNER_HOME that is disturbed."""

    def __init__(self, folder: Path, engine: PrivateEngine, runs: int, seed: int) -> None:
        self.folder, self.engine, self.draw = folder, engine, random.Random(seed)
        self.blows: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.registry = boards.registry(folder / "registry")
        base = engine.base()
        for name, program in METHODS.items():
            containerise(boards.add_method(self.registry, name, program, deterministic=False), base)
        each = self._planned(1)
        self.seeds = -(-runs // each)
        self.runs = self._planned(self.seeds)

    def _planned(self, seeds: int) -> int:
        datasets = [{"id": "tiny", "splits": ["unseen-combination", "unseen-perturbation"]}]
        boards.board(self.folder, list(METHODS), datasets=datasets, seeds=list(range(seeds)))
        settings = Settings(home=self.folder / "plan", registry=self.registry)
        definition = load(str(self.folder / "board.yaml"), settings)
        return len(expand(definition, settings, runner="docker").cells)

    def start(self, home: str) -> subprocess.Popen[str]:
        """Start one build; its temporary files go to a folder of its own."""
        (self.folder / "tmp").mkdir(exist_ok=True)
        arguments = ("leaderboard", "build", self.folder / "board.yaml", "--runner", "docker", "--json")
        out = self.folder / f"site-{home}"
        return subprocess.Popen(
            boards.command(*arguments, "--jobs", "2", "--out", out, registry=self.registry),
            cwd=self.folder,
            env={
                **os.environ,
                "LANNER_HOME": str(self.folder / home),
                "LANNER_MIRROR": "",
                "DOCKER_HOST": self.engine.host,
                "TMPDIR": str(self.folder / "tmp"),
            },
            stdout=(self.folder / f"{home}.out").open("w"),
            stderr=(self.folder / f"{home}.err").open("w"),
            text=True,
            start_new_session=True,
        )

    def build(self, home: str) -> str:
        """Build in peace; returns what was said."""
        process = self.start(home)
        process.wait()
        said = (self.folder / f"{home}.err").read_text()
        assert process.returncode in (0, 1), said[-3000:]
        return said

    def disturb(self, home: str, kills: int) -> int:
        """Build again and again, striking at random; returns the number of builds begun."""
        builds = 0
        while self.blows.total() < kills:
            process = self.start(home)
            builds += 1
            while process.poll() is None and self.blows.total() < kills:
                with suppress(subprocess.TimeoutExpired):
                    process.wait(self.draw.uniform(0.5, 5.0))
                    break
                if self._done(home) < 0.8 * self.runs * self.blows.total() / kills:
                    continue  # blows are spread over all runs, not spent on the first
                (what,) = self.draw.choices(list(BLOWS), list(BLOWS.values()))
                if self._strike(what, process):
                    self.blows[what] += 1
            if self.blows.total() >= kills:
                process.wait()
            elif process.returncode in (0, 1) and not self._is_disturbed(home):
                break  # all is done before all blows have fallen
            print(f"{self.blows.total()} of {kills} blows, {builds} builds", file=sys.stderr)
        return builds

    def _done(self, home: str) -> int:
        return len(list((self.folder / home / "runs").glob("*/*/*/*/run.json")))

    def _is_disturbed(self, home: str) -> bool:
        done = (self.folder / home / "runs").glob("*/*/*/*/run.json")
        classes = [json.loads(path.read_text())["error_class"] for path in done]
        return len(classes) < self.runs or bool({"PLATFORM_ERROR", "LOST", "CANCELLED"} & set(classes))

    def _strike(self, what: str, process: subprocess.Popen[str]) -> bool:
        """Strike once; False where there was nothing to hit."""
        if what == "engine":
            self.engine.kill()
            time.sleep(self.draw.uniform(0, 2))
            self.engine.start()
        elif what == "container":
            with suppress(DockerException, RequestException):
                running = self.engine.client().containers.list(ignore_removed=True)
                self.draw.choice(running).kill() if running else None
                return bool(running)
            return False
        elif what == "worker":
            with suppress(psutil.Error):
                workers = boards.execs(process.pid)
                self.draw.choice(workers).kill() if workers else None
                return bool(workers)
            return False
        elif what == "harness and workers":
            with suppress(psutil.Error, ProcessLookupError):
                boards.kill_with_workers(process)
        elif what == "interrupt":
            process.send_signal(signal.SIGINT)
            try:
                process.wait(INTERRUPT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                self.wrong.append("an interrupted harness went on")
        else:
            process.kill()
            process.wait()
        return True


def complaints(soak: Soak, home: Path) -> Iterator[str]:
    """What is left that should not be, one line each."""
    records = list(home.glob("runs/*/*/*/*/run.json"))
    folders = [path for path in home.glob("runs/*/*/*/*") if path.is_dir()]
    if len(records) != soak.runs or len(folders) != soak.runs:
        yield f"{len(records)} records in {len(folders)} folders of {soak.runs} runs"
    for path in records:
        state = json.loads(path.read_text())["state"]
        if not State(state).is_terminal:
            yield f"{path} is {state}"
    for status in boards.statuses(home):
        if not status or not State(status["state"]).is_terminal:
            yield f"an attempt is {status.get('state', 'without a state')}"
    left = [
        *home.rglob("*.partial"),
        *home.glob("runs/*/*/*/*/attempt-*/*put"),
        *home.glob("runs/*/*/*/*/tmp/*"),
    ]
    left += [path for path in (soak.folder / "tmp").iterdir() if not path.name.startswith("lanner-locks-")]
    yield from (f"{path} is left" for path in left)
    client = soak.engine.client()
    yield from (f"container {c.name} is left" for c in client.containers.list(all=True))
    yield from (f"volume {volume.name} is left" for volume in client.volumes.list())
    for path in (*home.rglob(".lock"), *(soak.folder / "tmp").rglob("*.lock")):
        with path.open() as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield f"{path} is held"
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get("LANNER_HOME") == str(home):
                yield f"process {process.pid} still runs: {process.cmdline()[:6]}"


def soak(folder: Path, *, runs: int, kills: int, seed: int) -> dict[str, Any]:
    """Do it; the report's ``complaints`` are empty when all is well."""
    engine = PrivateEngine()
    try:
        engine.start()
        bench = Soak(folder, engine, runs, seed)
        began = time.monotonic()
        builds = bench.disturb("disturbed", kills)
        bench.build("disturbed")
        disturbed_s = time.monotonic() - began
        said = bench.build("disturbed")
        bench.build("peaceful")
        wrong = [*bench.wrong, *complaints(bench, folder / "disturbed")]
        if f"0 runs to do, {bench.runs} cached" not in said:
            wrong.append(f"not all was done: {said.splitlines()[:1]}")
        ours, theirs = (
            (folder / name / "leaderboards" / "board" / "leaderboard.json").read_bytes()
            for name in ("disturbed", "peaceful")
        )
        if ours != theirs:
            wrong.append("leaderboard.json differs from an undisturbed build's")
        statuses = boards.statuses(folder / "disturbed")
        rows = json.loads(ours)["rows"]
        return {
            "runs": bench.runs,
            "seed": seed,
            "blows": dict(sorted(bench.blows.items())),
            "builds": builds + 1,
            "attempts": len(statuses),
            "attempts_by_end": dict(Counter(s.get("error_class") or s.get("state", "") for s in statuses)),
            "rows_by_status": dict(Counter(row["status"] for row in rows)),
            "seconds_disturbed": round(disturbed_s, 1),
            "seconds": round(time.monotonic() - began, 1),
            "complaints": wrong,
        }
    finally:
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.environ().get("LANNER_HOME", "").startswith(f"{folder}/"):
                    process.kill()
        engine.stop()


def main() -> int:
    """Read the arguments, soak, print the report as JSON; 1 when there is something to complain about."""
    parser = argparse.ArgumentParser(prog="python -m tests.docker.soak", description=__doc__)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--kills", type=int, help="blows in all [half the runs]")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    # A shell's background jobs ignore it, and so would every harness started here.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    reason = why_not()
    if reason is not None:
        parser.exit(2, f"no soak here: {reason}\n")
    with tempfile.TemporaryDirectory(prefix="lanner-soak-") as folder:
        Path(folder).chmod(0o755)  # containers' users must be able to cross it
        kills = arguments.kills if arguments.kills is not None else arguments.runs // 2
        report = soak(Path(folder), runs=arguments.runs, kills=kills, seed=arguments.seed)
    print(json.dumps(report, indent=1))
    return 1 if report["complaints"] else 0


if __name__ == "__main__":
    sys.exit(main())
