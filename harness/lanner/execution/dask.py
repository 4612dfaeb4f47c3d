"""``dask``: workers of a running Dask scheduler, of a LocalCluster, or of jobs that dask-jobqueue submits.

Dask places commands and nothing more: results travel by LANNER_HOME. It may start a task twice, so attempts
are claimed; cancelling a future leaves its process, so runs are stopped by a flag in their folder
(platforms-and-grn.md, part 6, which measured both).
"""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, ClassVar, Self

from lanner.config import Settings
from lanner.errors import ConfigurationError, InfrastructureError
from lanner.execution.engine import ENGINES, arguments, environment
from lanner.records import Limits

JOBQUEUE = {"slurm": "SLURMCluster", "pbs": "PBSCluster", "lsf": "LSFCluster", "sge": "SGECluster"}
OVERHEAD_MB = 1024
"""What a run's harness takes beside the run."""
LIFETIME_MARGIN_S = 120
START_SECONDS = 60.0
IN_FLIGHT = 1024
"""Attempts that one harness holds, a thread each: more workers than this would stand idle."""
SETTINGS = {"distributed.scheduler.allowed-failures": 0}


class DaskEngine:
    """Submits each attempt as one task, with tokens for the CPUs, memory and GPUs it asks for."""

    id: ClassVar[str] = "dask"
    poll_seconds = 0.2
    has_own_containers: ClassVar[bool] = False
    outlives_harness: ClassVar[bool] = False

    def __init__(
        self, settings: Settings, classes: Mapping[str, _Class], stack: ExitStack, in_flight: int
    ) -> None:
        self._settings, self._classes, self._stack = settings, classes, stack
        self.in_flight = in_flight
        self.dashboard = ", ".join(each.client.dashboard_link for each in classes.values())
        """Where Dask shows its tasks while they run."""

    @classmethod
    def open(cls, settings: Settings, *, jobs: int, configuration: Mapping[str, Any]) -> Self:
        """Connect to ``address``, or start the clusters of ``classes``; without either, ``jobs`` workers."""
        try:
            dask, distributed = (importlib.import_module(name) for name in ("dask", "distributed"))
        except ImportError:
            raise InfrastructureError(
                "the engine dask needs Dask; install it with: pip install 'lanner[cluster]'"
            ) from None
        dask.config.set(SETTINGS)
        stack = ExitStack()
        try:
            classes = {}
            if "address" in configuration:
                client = stack.enter_context(
                    distributed.Client(configuration["address"], timeout=START_SECONDS)
                )
                classes["workers"] = _Class(client, None, None)
            else:
                kind = configuration.get("cluster", "local")
                own = {"workers": {"cpus": 1, "memory_mb": 4096 + OVERHEAD_MB, "workers": jobs}}
                for name, wanted in configuration.get("classes", own).items():
                    cluster = stack.enter_context(_cluster(kind, wanted))
                    client = stack.enter_context(distributed.Client(cluster))
                    classes[name] = _Class(client, wanted, wanted.get("walltime_s"))
        except (OSError, TimeoutError, RuntimeError, ValueError) as error:
            stack.close()
            raise InfrastructureError(
                f"Dask cannot be reached or started: {error}; check address or classes in --engine-config"
            ) from None
        return cls(settings, classes, stack, in_flight=IN_FLIGHT)

    def submit(self, attempt: Path, limits: Limits, is_cancelled: Callable[[], bool]) -> DaskTask:
        """Give the attempt to the smallest kind of worker that holds it."""
        fitting = [each for each in self._classes.values() if each.holds(limits)]
        if not fitting:
            raise InfrastructureError(
                f"no Dask worker holds a run of {limits.cpus:g} CPUs, {limits.memory_mb} MB, "
                f"{limits.gpus} GPUs and {limits.timeout_s} s; add a class to --engine-config, "
                f"with {LIFETIME_MARGIN_S} s of walltime and {OVERHEAD_MB} MB to spare"
            )
        chosen = min(fitting, key=_Class.size)
        future = chosen.client.submit(
            run_exec,
            arguments(self._settings, attempt),
            environment(self._settings, self.id),
            str(attempt / "exec.log"),
            key=f"{attempt.parent.name}/{attempt.name}",
            pure=False,
            retries=0,
            resources=_tokens(limits),
        )
        return DaskTask(future)

    def adopt(self, ticket: str) -> None:
        """A task's future lives with the process that submitted it."""

    def close(self) -> None:
        """Close clients, and the clusters that ``open`` started."""
        self._stack.close()


class _Class:
    """Workers of one kind; ``wanted`` is None for those of a scheduler that is not ours."""

    def __init__(self, client: Any, wanted: Mapping[str, Any] | None, walltime_s: int | None) -> None:
        self.client, self._wanted, self._walltime_s = client, wanted, walltime_s

    def holds(self, limits: Limits) -> bool:
        if self._walltime_s is not None and limits.timeout_s + LIFETIME_MARGIN_S > self._walltime_s:
            return False
        need = _tokens(limits)
        return any(all(has.get(key, 0) >= n for key, n in need.items()) for has in self._resources())

    def size(self) -> tuple[int, ...]:
        wanted = self._wanted or {}
        return (wanted.get("gpus", 0), wanted.get("cpus", 0), wanted.get("memory_mb", 0))

    def _resources(self) -> list[Mapping[str, float]]:
        if self._wanted is not None:
            return [_capacity(self._wanted)]
        workers = self.client.scheduler_info(n_workers=-1)["workers"].values()
        return [worker.get("resources", {}) for worker in workers]


class DaskTask:
    """One attempt as a future."""

    def __init__(self, future: Any) -> None:
        self._future = future
        self.ticket = str(future.key)

    def poll(self) -> str | None:
        """How the future ended: a worker that was killed says so here, not in the attempt."""
        if not self._future.done():
            return None
        if self._future.status == "finished":
            return ""
        error = self._future.exception() if self._future.status == "error" else None
        lost = type(error).__name__ == "KilledWorker"
        return "the Dask worker that ran it died" if lost else f"the Dask task was {self._future.status}"

    def cancel(self) -> None:
        """Takes a waiting task out of the queue; a process that runs sees the flag in its folder."""
        self._future.cancel()


def run_exec(command: list[str], variables: dict[str, str], log: str) -> int:
    """On a worker: run ``python <command>`` to its end. It ends with the worker."""
    with open(log, "wb") as stream:  # noqa: PTH123  as the path came, by pickle
        return subprocess.run(
            [sys.executable, *command],
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            env={**os.environ, **variables, "LANNER_PARENT": str(os.getpid())},
            start_new_session=True,
            check=False,
        ).returncode


def _tokens(limits: Limits) -> dict[str, float]:
    tokens = {"CPU": limits.cpus, "MEM": limits.memory_mb + OVERHEAD_MB}
    return {**tokens, **({"GPU": limits.gpus} if limits.gpus else {})}


def _capacity(wanted: Mapping[str, Any]) -> dict[str, float]:
    return {"CPU": wanted["cpus"], "MEM": wanted["memory_mb"], "GPU": wanted.get("gpus", 0)}


def _cluster(kind: str, wanted: Mapping[str, Any]) -> Any:
    """Workers with a thread per CPU; Dask's own memory limit, which cannot see containers, is off."""
    capacity, threads = _capacity(wanted), max(1, int(wanted["cpus"]))
    if kind == "local":
        return importlib.import_module("distributed").LocalCluster(
            n_workers=wanted["workers"],
            threads_per_worker=threads,
            processes=True,
            memory_limit=0,
            dashboard_address=":0",
            resources=capacity,
        )
    if "walltime_s" not in wanted:
        raise ConfigurationError(f"a class of {kind} workers needs walltime_s; add it to --engine-config")
    jobqueue = importlib.import_module("dask_jobqueue")
    hours, rest = divmod(int(wanted["walltime_s"]), 3600)
    options = dict(wanted.get("options", {}))
    extra = list(options.pop("job_extra_directives", ()))
    if kind == "slurm" and wanted.get("gpus"):
        extra.append(f"--gres=gpu:{wanted['gpus']}")
    named = ",".join(f"{key}={value:g}" for key, value in capacity.items()).replace(",", " ")
    cluster = getattr(jobqueue, JOBQUEUE[kind])(
        cores=threads,
        processes=1,
        memory=f"{wanted['memory_mb']}MB",
        walltime=f"{hours:02d}:{rest // 60:02d}:{rest % 60:02d}",
        python=sys.executable,
        job_extra_directives=extra,
        worker_extra_args=[
            *("--resources", f'"{named}"'),
            *("--lifetime", f"{int(wanted['walltime_s']) - 30}s"),
        ],
        **options,
    )
    cluster.scale(jobs=wanted["workers"])
    return cluster


ENGINES.add(DaskEngine.id, DaskEngine)
