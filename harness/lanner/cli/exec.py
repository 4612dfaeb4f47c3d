"""``exec``: one attempt, as every engine places it. It imports little, because every run pays for it."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from pathlib import Path
from typing import Any

import click

from lanner import store
from lanner.config import Settings
from lanner.errors import ConfigurationError

PR_SET_PDEATHSIG = 1
FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)


@click.command("exec")
@click.argument("spec", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--stage", "into", type=FOLDER, help="Only claim it and stage its input below this folder.")
@click.option("--check", "output", type=FOLDER, help="Only check the prediction that is in this folder.")
@click.pass_obj
def exec_command(settings: Settings, spec: Path, into: Path | None, output: Path | None) -> int:
    """Run one attempt from its SPEC.json: the unit every execution engine places.

    Claims the attempt, runs it, validates, writes its record; exits 0 even when the method failed. --stage
    and --check are the parts before and after the method, where something else runs it: a Kubernetes pod.

    \b
    Examples:
      lanner exec .lanner/runs/simulated/1a2b3c4d/additive/5e6f7a8b/attempt-1/spec.json
      lanner exec spec.json --stage /stage
      lanner exec spec.json --check /output
    """
    from lanner import pipeline, pod_steps, reaping
    from lanner.runners import RUNNERS

    document = store.read_json(spec)
    if not isinstance(document, dict) or document.get("format") != "lanner-spec/1":
        raise ConfigurationError(f"{spec} is not a run's spec.json; `lanner run` writes them")
    if into is not None and output is not None:
        raise click.UsageError("--stage and --check are two steps; give one")
    if into is not None:
        return pod_steps.stage(spec.resolve().parent, document, settings, into)
    if output is not None:
        return pod_steps.check(spec.resolve().parent, document, settings, output)
    placed_elsewhere = "LANNER_ENGINE" in os.environ
    _end_with_parent(store.Status(spec.resolve().parent))
    if placed_elsewhere and document["keyed"]["runner"] == "docker":
        reaping.remove_orphans(settings.home)  # of runs that were lost on this node
    options = {"trust": True} if document["keyed"]["trust_process"] else {}
    runner = RUNNERS[document["keyed"]["runner"]](**options)
    pipeline.execute(spec.resolve().parent, document, settings, runner)
    return 0


def _end_with_parent(attempt: store.Status) -> None:
    """Cancel this attempt when the local pool that placed it dies or asks.

    Under another engine a SIGTERM nobody asked for (a job's time is up, a node goes down) loses the run.
    """
    engine = os.environ.pop("LANNER_ENGINE", None)

    def stop(number: int, frame: Any) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if engine and not attempt.is_cancel_requested:
            raise KeyboardInterrupt(f"{engine} ended the job before the run was done")
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)
    end_with_parent()


def end_with_parent() -> None:
    """Have SIGTERM sent to this process when the one named in LANNER_PARENT, which placed it, ends."""
    parent = os.environ.pop("LANNER_PARENT", None)
    if parent and sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != int(parent):  # it died before the line above
            raise KeyboardInterrupt
