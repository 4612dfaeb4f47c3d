"""A method's sandbox by hand: staged input, empty output, the policy of a run; nothing left afterwards."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lanner import datasets, pipeline, splits, staging
from lanner.config import Settings
from lanner.errors import ConfigurationError, PredictionError
from lanner.ingest import ingest
from lanner.intake import remove_folder, take_file
from lanner.method_check.screens import write_entry
from lanner.methods import Method, resolve_parameters
from lanner.owner import token
from lanner.records import Split
from lanner.registry import unknown_name
from lanner.runners.shell import DockerShell, Write
from lanner.tasks import TASKS, Question, Task


@dataclass(frozen=True, kw_only=True)
class Session:
    """How a session ended; ``prediction`` is what intake says of the file in /output, None without one."""

    exit_code: int
    dataset: str
    split: str
    prediction: str | None


def find_split(dataset: datasets.Dataset, task: Task, name: str | None) -> Split:
    """The split artefact called ``name``, or the first of the first design that the task is asked of."""
    return splits.resolve(dataset, name if name is not None else task.recommended(dataset.entry.splits)[0])[0]


def open_sandbox(
    settings: Settings,
    method: Method,
    *,
    dataset_name: str,
    task_name: str | None,
    split_name: str | None,
    question_name: str | None = None,
    parameters: Mapping[str, Any] | None = None,
    seed: int,
    command: str | None,
    write: Write,
    talk: Callable[[str], None] = lambda _: None,
) -> Session:
    """Stage a split, open the sandbox on it, and see what was left in /output; then remove all of it.

    With ``question_name`` the input is that of a question of ``method_check``, not of dataset and split.

    Raises
    ------
    ConfigurationError
        The method answers no task, or not ``task_name``, the task has no such question, ``parameters`` are
        not the method's, or its image has no shell.
    InfrastructureError
        No engine answers.
    """
    known = [name for name in method.tasks if name in TASKS]
    if not known:
        raise ConfigurationError(f"{method.name} answers none of the tasks {', '.join(TASKS)}; correct tasks")
    if task_name is not None and task_name not in known:
        raise unknown_name(f"task of {method.name}", task_name, known)
    task = TASKS[task_name or known[0]]
    if method.predictions:
        raise ConfigurationError(f"{method.name} is a folder of predictions: there is no sandbox to open")
    values = resolve_parameters(method, parameters or {})
    question = None if question_name is None else _question(task, question_name)
    with tempfile.TemporaryDirectory(prefix=f"lanner-shell.{token()}.") as temporary:
        folder = Path(temporary)
        if question is not None:  # as ``method_check`` asks it, in a LANNER_HOME that is gone afterwards
            write_entry(folder / "registry", question)
            settings = Settings(home=folder / "home", registry=folder / "registry")
            dataset_name = question.name
        dataset = datasets.load(datasets.find_entry(settings, dataset_name), settings)
        split = (
            find_split(dataset, task, split_name)
            if question is None
            else splits.resolve(dataset, question.split)[0]
        )
        truth = task.seal(dataset, split, settings.home)
        options = {} if question is None else question.options
        staged = staging.stage_shared(dataset, split, task, truth, settings.home, options)
        runner = DockerShell()
        runner.prepare(method)
        staging.stage(
            staged,
            split,
            task,
            folder / "input",
            seed=seed,
            parameters=values,
            limits=method.limits,
            link=False,
        )
        talk(f"{dataset.entry.id} {split.id} in /input; write /output/prediction.h5ad; exit ends it")
        output = folder / "output"
        try:
            code = runner.attach(
                method,
                input_dir=folder / "input",
                output_dir=output,
                environment=pipeline.contract_environment(seed, method.limits),
                limits=method.limits,
                command=command,
                write=write,
            )
            verdict = _verdict(output, folder, staged, method.limits.output_mb)
        finally:
            remove_folder(output)
    return Session(exit_code=code, dataset=dataset.entry.id, split=split.id, prediction=verdict)


def _question(task: Task, name: str) -> Question:
    found = {question.name: question for question in task.questions()}
    if name not in found:
        raise unknown_name(f"question of {task.id}", name, found)
    return found[name]


def _verdict(output: Path, folder: Path, staged: staging.Staged, output_mb: int) -> str | None:
    """What intake says of the prediction; None where there is none."""
    try:
        take_file(output, "prediction.h5ad", folder / "taken.h5ad", max_bytes=output_mb << 20)
        result = ingest(
            folder / "taken.h5ad", rows=pipeline.expectation(staged), destination=folder / "canonical"
        )
    except PredictionError as error:
        return None if error.code == "missing" else f"refused: {error}"
    size = f"{result.n_values} edges" if result.kind == "network" else f"{len(result.answered)} requests"
    return f"accepted: {result.kind}, {size}"
