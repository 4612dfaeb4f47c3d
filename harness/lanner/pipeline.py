"""One run, start to end: the only module that knows the order.

``plan`` names a run by everything that can change its result, ``execute`` is what ``lanner exec`` does with
one attempt, ``score_run`` turns a stored prediction into per-condition scores. A method's failure is a
record; only the platform's own failures raise.
"""

from __future__ import annotations

import contextlib
import os
import signal
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lanner import methods, resources, schemas, staging
from lanner.config import Settings
from lanner.errors import (
    ConfigurationError,
    ErrorClass,
    ImageBuildError,
    LannerError,
    PredictionError,
)
from lanner.h5ad.layout import Layout
from lanner.ingest import ingest
from lanner.intake import remove_folder, take_file
from lanner.owner import token
from lanner.records import Limits, Split, State, sha256_json
from lanner.runners import RUNNERS, Runner
from lanner.runners.outcome import published
from lanner.store import LEASE_SECONDS, RunFolder, Status, read_json, write_json
from lanner.tasks import TASKS, Task

HEARTBEAT_SECONDS = 2.0
INTAKE_VERSION = 1
"""Part of every run's key: raised when intake would accept or refuse the same prediction differently."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """One run to do or to find: its folder and the spec an attempt is started from."""

    folder: RunFolder
    spec: Mapping[str, Any]

    @property
    def method(self) -> str:
        """Name of the method, as its manifest gives it."""
        return str(self.spec["method"]["name"])

    @property
    def label(self) -> str:
        """What is run on what, for people."""
        keyed = self.spec["keyed"]
        return f"{keyed['dataset']['id']} {self.spec['split']['id']} {self.method} seed {keyed['seed']}"


def plan(
    settings: Settings,
    *,
    dataset: Mapping[str, str],
    split: Split,
    task: Task,
    method: methods.Method,
    parameters: Mapping[str, Any],
    seed: int,
    limits: Limits,
    runner: str,
    options: Mapping[str, Any] | None = None,
    granted: Sequence[resources.Resource] = (),
    trust_process: bool = False,
    hidden: bool = False,
) -> Plan:
    """Name a run. Its key hashes everything that can change its result (design.md, "Runs").

    ``trust_process`` counts where the process runner would else refuse the method: a refusal and a run
    are two results. ``hidden``: of what the method prints, nothing goes into the record.
    """
    runner = "predictions" if method.predictions else runner
    trusted = (
        trust_process and runner == "process" and RUNNERS["process"](trust=True).prepare(method)["trusted"]
    )
    keyed = {
        "protocol": 1,
        "staging": staging.STAGING_VERSION,
        "intake": INTAKE_VERSION,
        "dataset": dict(dataset),
        "split": split.sha256,
        "task": task.versioned,
        **task.keyed(task.chosen(options)),
        "resources": {resource.id: resource.sha256 for resource in granted},
        "parameters": dict(parameters),
        "seed": seed,
        "limits": limits.keyed,
        "runner": runner,
        "trust_process": trusted,
        # An image's identity says nothing of its manifest; a folder's covers both already.
        "method": {
            "identity": method.identity,
            "command": list(method.command),
            "residual": method.residual,
        },
    }
    key = sha256_json(keyed)
    folder = RunFolder.of(
        settings.home, dataset=dataset["id"], split_sha256=split.sha256, method=method.name, key=key
    )
    spec = {
        "format": "lanner-spec/1",
        "key": key,
        "keyed": keyed,
        "task": task.id,
        "options": task.chosen(options),
        "split": split.to_json(),
        "method": {"name": method.name, "source": str(method.folder or method.identity)},
        "resources": {resource.id: str(resource.folder) for resource in granted},
        **({"hidden": True} if hidden else {}),
    }
    return Plan(folder=folder, spec=spec)


def execute(
    attempt: Path, spec: Mapping[str, Any], settings: Settings, runner: Runner
) -> dict[str, Any] | None:
    """Claim an attempt and see it through to a terminal record; None where somebody else has claimed it.

    None also where another harness has given it up meanwhile, as no heartbeat came (this machine slept, or
    lost its disk for a minute): what that recorded stands, and there may be a later attempt. Whatever the
    method does ends as a record. A KeyboardInterrupt ends as ``cancelled``, or where it carries a reason as
    ``lost``, and is raised again.
    """
    status = Status(attempt)
    if not status.claim():
        return None
    with _heartbeat(status):
        try:
            record = _attempt(attempt, spec, settings, runner, status)
        except _GivenUpError:
            return None
        except KeyboardInterrupt as interrupt:
            _finish_own(attempt, spec, lost(str(interrupt)) if interrupt.args else cancelled())
            raise
        except LannerError as error:
            kind = getattr(error, "error_class", ErrorClass.PLATFORM_ERROR)
            record = ended(State.FAILED, kind, str(error))
        except Exception as error:  # a bug of ours must still end the attempt, and must never be a score
            record = ended(State.FAILED, ErrorClass.PLATFORM_ERROR, f"{type(error).__name__}: {error}")
            _finish_own(attempt, spec, record)
            raise
        return _finish_own(attempt, spec, record)


def finish(attempt: Path, spec: Mapping[str, Any], record: Mapping[str, Any]) -> dict[str, Any]:
    """Write the terminal status of an attempt and make it the run's record."""
    keyed, hidden = spec["keyed"], bool(spec.get("hidden"))
    record = published(record, hidden=hidden)
    if hidden:
        attempt.chmod(0o700)  # its logs as well
    document = {
        "format": "lanner-run/1",
        "key": spec["key"],
        "keyed": keyed,
        "dataset": keyed["dataset"]["id"],
        "split": spec["split"]["id"],
        "method": spec["method"]["name"],
        "seed": keyed["seed"],
        "attempt": int(attempt.name.removeprefix("attempt-")),
        **record,
    }
    schemas.check(document, "run", "run.json")
    Status(attempt).set(State(record["state"]), error_class=record["error_class"], message=record["message"])
    write_json(attempt.parent / "run.json", document)
    return document


class _GivenUpError(Exception):
    """Another harness took this attempt for lost, and ended it."""


def _finish_own(attempt: Path, spec: Mapping[str, Any], record: Mapping[str, Any]) -> dict[str, Any] | None:
    return None if Status(attempt).is_over else finish(attempt, spec, record)


def _enter(status: Status, state: State) -> None:
    if status.is_over:
        raise _GivenUpError
    status.set(state)


def lost(message: str) -> dict[str, Any]:
    """The record of an attempt whose process disappeared."""
    return ended(State.FAILED, ErrorClass.LOST, message)


def unplaced(message: str) -> dict[str, Any]:
    """The record of an attempt that no engine would take."""
    return ended(State.FAILED, ErrorClass.PLATFORM_ERROR, message)


def cancelled() -> dict[str, Any]:
    """The record of an attempt that was asked to stop."""
    return ended(State.CANCELLED, ErrorClass.CANCELLED, "cancelled by the user")


def expectation(staged: staging.Staged) -> Layout:
    """What a prediction for a staged input must look like."""
    return staged.task.expectation(staged.document)


def scratch(folder: Path) -> Path:
    """A folder for temporary files on the same disk as ``folder``, never mounted anywhere."""
    path = folder / "tmp"
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    return path


def _attempt(
    attempt: Path, spec: Mapping[str, Any], settings: Settings, runner: Runner, status: Status
) -> dict[str, Any]:
    keyed = spec["keyed"]
    if status.is_cancel_requested:  # while it waited for its turn
        return cancelled()
    _enter(status, State.PULLING)
    method = methods.find(settings, spec["method"]["source"])
    if method.identity != keyed["method"]["identity"]:
        raise ConfigurationError(f"method {method.name} has changed since this run was planned; build again")
    limits = Limits(**keyed["limits"])
    try:
        provenance = runner.prepare(method)
    except ImageBuildError as error:
        (attempt / "stderr.log").write_text(error.log_tail, encoding="utf-8")
        return ended(State.FAILED, ErrorClass.BUILD_ERROR, str(error))

    _enter(status, State.PREPARING)
    staged = shared_input(spec, settings)
    input_dir, output_dir = attempt / "input", attempt / "output"
    try:
        write_input(staged, spec, settings, input_dir, link=runner.kind == "docker")
        output_dir.mkdir(mode=0o700)
        _enter(status, State.RUNNING)
        outcome = runner.run(
            method,
            input_dir=input_dir,
            output_dir=output_dir,
            log_dir=attempt,
            environment=contract_environment(keyed["seed"], limits),
            limits=limits,
            labels={
                "lanner.run": spec["key"],
                "lanner.attempt": attempt.name,
                "lanner.folder": str(attempt.resolve()),
            },
        )
        write_json(attempt / "resources.json", {**outcome.usage, **provenance, **outcome.provenance})
        if outcome.error_class is not None:
            state = State.SKIPPED if outcome.error_class == ErrorClass.NOT_APPLICABLE else State.FAILED
            return ended(state, ErrorClass(outcome.error_class), outcome.message)
        _enter(status, State.VALIDATING)
        return validated(attempt, spec, output_dir, staged)
    finally:
        remove_folder(output_dir)
        remove_folder(input_dir)


def shared_input(spec: Mapping[str, Any], settings: Settings) -> staging.Staged:
    """The part of a run's input that all methods share, staged again where it is not in LANNER_HOME."""
    task, split, options = TASKS[spec["task"]], Split.from_json(spec["split"]), spec["options"]
    return staging.open_shared(settings.home, split, task, options) or _stage_again(
        split, task, options, settings
    )


def write_input(
    staged: staging.Staged, spec: Mapping[str, Any], settings: Settings, folder: Path, *, link: bool
) -> None:
    """Write the input of the run that ``spec`` names to the new ``folder``; see ``staging.stage``."""
    keyed, split = spec["keyed"], Split.from_json(spec["split"])
    staging.stage(
        staged,
        split,
        staged.task,
        folder,
        seed=keyed["seed"],
        parameters=keyed["parameters"],
        limits=Limits(**keyed["limits"]),
        options=spec["options"],
        resources=_granted(spec, split, staged, settings),
        link=link,
    )


def _granted(
    spec: Mapping[str, Any], split: Split, staged: staging.Staged, settings: Settings
) -> dict[str, bytes]:
    """The files every method is granted, by name, as they were when the run was planned."""
    granted = []
    for name, sha256 in spec["keyed"]["resources"].items():
        folder = Path(spec["resources"][name])  # a pod's own copy of a bundled one lies elsewhere
        resource = (
            resources.load(folder, settings) if folder.is_dir() else resources.find(settings, folder.name)
        )
        if resource.sha256 != sha256:
            raise ConfigurationError(f"resource {name} has changed since this run was planned; build again")
        granted.append(resource)
    return resources.files(granted, staged.genes, split)


def validated(
    attempt: Path, spec: Mapping[str, Any], output_dir: Path, staged: staging.Staged
) -> dict[str, Any]:
    """Take the prediction out of ``output_dir`` and check it in confinement; the record of how that ended."""
    limits, residual = Limits(**spec["keyed"]["limits"]), spec["keyed"]["method"]["residual"]
    target = attempt / "prediction.h5ad"
    try:
        digest = take_file(output_dir, "prediction.h5ad", target, max_bytes=limits.output_mb << 20)
        with tempfile.TemporaryDirectory(
            prefix=f"check.{token()}.", dir=scratch(attempt.parent)
        ) as temporary:
            result = ingest(target, rows=expectation(staged), destination=Path(temporary) / "canonical")
    except PredictionError as error:
        target.unlink(missing_ok=True)
        return ended(State.FAILED, error.error_class, str(error))
    resources = attempt / "resources.json"
    write_json(resources, {**(read_json(resources) or {}), "reader": result.confinement})
    unanswered = [
        name for name, answered in zip(staged.request_ids, result.answered, strict=True) if not answered
    ]
    return {
        **ended(State.SUCCEEDED, None, ""),
        "prediction": {"sha256": digest, "kind": result.kind, **result.sizes},
        "residual": residual,
        "unanswered": unanswered,
    }


def _stage_again(split: Split, task: Task, options: Mapping[str, Any], settings: Settings) -> staging.Staged:
    """Stage from the dataset: on another machine, or after the cache was emptied."""
    from lanner import datasets

    dataset = datasets.load(datasets.find_entry(settings, split.dataset["id"]), settings)
    if dataset.content != split.dataset["content"]:
        name = dataset.entry.id
        raise ConfigurationError(f"dataset {name} has changed since this run was planned; build again")
    truth = task.seal(dataset, split, settings.home)
    return staging.stage_shared(dataset, split, task, truth, settings.home, options)


def contract_environment(seed: int, limits: Limits) -> dict[str, str]:
    """The contract's environment variables, with the paths a container sees; runners that mount nothing
    replace the paths."""
    return {
        "LANNER_INPUT": "/input",
        "LANNER_OUTPUT": "/output",
        "LANNER_SEED": str(seed),
        "LANNER_CPUS": f"{limits.cpus:g}",
        "LANNER_MEMORY_MB": str(limits.memory_mb),
        "LANNER_GPUS": str(limits.gpus),
        "LANNER_TIMEOUT_S": str(limits.timeout_s),
    }


def ended(state: State, error_class: ErrorClass | None, message: str) -> dict[str, Any]:
    """The part every record has: how an attempt ended, and in words why."""
    return {"state": state, "error_class": error_class, "message": message}


@contextlib.contextmanager
def _heartbeat(status: Status) -> Iterator[None]:
    """Renew the attempt's lease; pass on a request to cancel, and that it was given up after a lease went
    without a beat, as the signal that ``exec`` ends on."""
    stop = threading.Event()

    def beat() -> None:
        beaten = _since_boot()
        while not stop.wait(HEARTBEAT_SECONDS):
            given_up, late = False, _since_boot() - beaten > LEASE_SECONDS / 2
            with contextlib.suppress(OSError, LannerError):
                given_up = late and status.is_over
                status.beat()
                beaten = _since_boot()
            if given_up or status.is_cancel_requested:
                os.kill(os.getpid(), signal.SIGTERM)
                return

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _since_boot() -> float:
    """Seconds that go on while this machine sleeps, whatever its clock is set to."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))
