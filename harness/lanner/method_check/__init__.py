"""Try a method on tiny data in its sandbox, on what each task it declares may ask of it: ``method check``.

Data are simulated and seeded, in a temporary LANNER_HOME that is gone afterwards; runs go through the same
pipeline, runner and intake as those of a leaderboard. What is asked is the task's (``Task.questions``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from lanner.method_check import findings
from lanner.method_check.findings import Finding
from lanner.method_check.trials import Trials, Tried
from lanner.methods import Method, resolve_parameters
from lanner.owner import token
from lanner.records import State
from lanner.tasks import TASKS, Question

__all__ = ["Finding", "check"]


def check(
    method: Method,
    *,
    runner: str,
    trust_process: bool = False,
    timeout_s: int | None = None,
    parameters: Mapping[str, Any] | None = None,
    talk: Callable[[str], None] = lambda _: None,
) -> list[Finding]:
    """Try ``method`` on every question of every task it declares; the report, failures and all.

    Parameters
    ----------
    method
        The method, its image built already where the runner needs one.
    runner
        ``docker`` or ``process``.
    trust_process
        Whether the process runner may run other people's methods.
    timeout_s
        Seconds one run may take, where the manifest's own limit is too patient for tiny data.
    parameters
        Values of the method's parameters where they are not the defaults: fewer epochs, for one.
    talk
        Told what is going on.

    Returns
    -------
    list of Finding
        In the order of the questions; ``task/question`` names them where there are several tasks.

    Raises
    ------
    LannerError
        Only for faults of the platform; whatever the method does is a finding.
    ConfigurationError
        ``parameters`` are not the method's.
    """
    tasks = [TASKS[name] for name in method.tasks if name in TASKS]
    values = resolve_parameters(method, parameters or {})
    limits = method.limits if timeout_s is None else replace(method.limits, timeout_s=timeout_s)
    report = [findings.unknown_task(name) for name in method.tasks if name not in TASKS]
    for task in tasks:
        prefix = f"{task.id}/" if len(tasks) > 1 else ""
        with TemporaryDirectory(prefix=f"lanner-check.{token()}.") as temporary:
            trials = Trials(
                folder=Path(temporary),
                method=method,
                task=task,
                parameters=values,
                limits=limits,
                runner=runner,
                trust_process=trust_process,
            )
            trials.write_screens()
            report += [replace(line, check=prefix + line.check) for line in _asked(trials, prefix, talk)]
    return report


def _asked(trials: Trials, prefix: str, talk: Callable[[str], None]) -> Iterator[Finding]:
    """The findings of one task."""
    answered: tuple[Question, Tried] | None = None
    for question in trials.task.questions():
        talk(f"{prefix}{question.name}: {question.says}")
        tried = trials.run(question, "first")
        found = findings.answered(question, tried)
        yield replace(found, task=trials.task.id, question=question.name)
        if answered is None and tried.record["state"] == State.SUCCEEDED:
            answered = question, tried
    if answered is None:
        detail = "no question was answered; a method must answer at least one kind"
        yield Finding(check="answers", outcome="failed", detail=detail)
        return
    question, first = answered
    talk(f"{prefix}{question.name} again, with the same seed and with another")
    yield findings.repeatable(first, trials.run(question, "again"))
    yield findings.seeded(trials.method, first, trials.run(question, "first", seed=1))
    yield findings.sandboxed(trials.runner)
    yield findings.threads(first, trials.limits.cpus)
    yield findings.cost(first)
