"""``lanner method``: what methods there are, what one is, building its image, trying it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from lanner.cli.method_add import add_command, pull_command
from lanner.cli.method_shell import shell_command
from lanner.cli.output import json_option, print_fields, print_json, print_table, talk
from lanner.config import Settings
from lanner.errors import ConfigurationError, ImageBuildError
from lanner.methods import Method, entries, find, is_bundled, parse_parameters, resolve_parameters
from lanner.records import printable


@click.group(name="method")
def method_command() -> None:
    """Begin a method, add one, describe one, build or pull its image, try it.

    A method is a folder with a method.yaml and a Dockerfile. NAME is the folder's name where Lanner looks
    for methods (--registry, $LANNER_HOME/methods, method_containers/ here or above, bundled), or its path.

    \b
    Examples:
      lanner method list
      lanner method info additive
      lanner method build additive ./my-method
      lanner method new my-method --language python
      lanner method check ./my-method
      lanner method add registry.example.org/lab/my-model:1.2
    """


for command in (add_command, pull_command, shell_command):
    method_command.add_command(command)


@method_command.command("list")
@json_option
@click.pass_obj
def list_methods(settings: Settings, as_json: bool) -> None:
    """Every method that can be found.

    \b
    Examples:
      lanner method list
      lanner method list --json
    """
    found = entries(settings).values()
    if as_json:
        print_json([describe(method) for method in found])
        return
    print_table(
        ("name", "label", "summary"), [(method.name, method.label, method.summary) for method in found]
    )


@method_command.command("info")
@click.argument("name")
@json_option
@click.pass_obj
def info(settings: Settings, name: str, as_json: bool) -> None:
    """What a method is: summary, parameters, limits, identity, references.

    \b
    Examples:
      lanner method info linear-embedding
      lanner method info ./my-method --json
    """
    method = find(settings, name)
    description = describe(method)
    if as_json:
        print_json(description)
        return
    parameters = [
        f"{parameter} = {declared['default']} ({declared['type']}): {declared['description']}"
        for parameter, declared in method.parameters.items()
    ]
    lines = {
        **description,
        "command": " ".join(method.command),
        "parameters": "\n".join(parameters) or "none",
        "limits": ", ".join(f"{key} {value:g}" for key, value in method.limits.keyed.items()),
    }
    print_fields(
        {
            key: "\n".join(map(str, value)) if isinstance(value, list) else "" if value is None else value
            for key, value in lines.items()
        }
    )


@method_command.command("build")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@json_option
@click.pass_obj
def build(settings: Settings, names: tuple[str, ...], as_json: bool) -> None:
    """Build (or pull) the images of methods with Docker; one that exists for the same files is kept.

    \b
    Examples:
      lanner method build additive
      lanner method build ./my-method --json
    """
    methods = [find(settings, name) for name in names]
    built = []
    for method in methods:
        provenance = prepare(method)
        built.append({"name": method.name, "tag": method.tag, "identity": method.identity, **provenance})
    if as_json:
        print_json(built)
        return
    print_table(("name", "image"), [(row["name"], row.get("image_id", row["tag"])) for row in built])


@method_command.command("new")
@click.argument("name")
@click.option(
    "--language", type=click.Choice(["python", "r", "cpp", "bash"]), default="python", show_default=True
)
@click.option(
    "--in", "parent", type=click.Path(file_okay=False, path_type=Path), default=".", help="Parent folder."
)
@json_option
def new(name: str, language: str, parent: Path, as_json: bool) -> None:
    """Begin a method: a folder that builds, passes its check and is scored as it stands.

    A Dockerfile, a program of forty lines with the contract's three steps, method.yaml, README, a test.

    \b
    Examples:
      lanner method new my-method
      lanner method new my-method --language r --in methods
    """
    from lanner.method_templates import new_method

    folder = new_method(name, language, parent)
    files = sorted(path.name for path in folder.iterdir())
    if as_json:
        print_json({"folder": str(folder), "files": files})
        return
    print_fields({"folder": folder, "files": ", ".join(files)})
    shown = folder if folder.is_absolute() else f"./{folder}"
    talk.print(f"next: change predict in it, then lanner method check {shown}", markup=False)


@method_command.command("check")
@click.argument("name", metavar="NAME|FOLDER")
@click.option("--runner", type=click.Choice(["auto", "docker", "process"]), default="auto", show_default=True)
@click.option("--trust-process", is_flag=True, help="Let the process runner run other people's methods.")
@click.option(
    "--timeout", "timeout_s", type=click.IntRange(1), default=300, show_default=True, help="Seconds a run."
)
@click.option("--parameter", "-p", "parameters", multiple=True, help="name=value, such as fewer epochs.")
@json_option
@click.pass_obj
def check(
    settings: Settings,
    name: str,
    runner: str,
    trust_process: bool,
    timeout_s: int,
    parameters: tuple[str, ...],
    as_json: bool,
) -> int:
    """Try a method on tiny simulated data, in the sandbox it will meet, on every kind of question.

    Of each task that method.yaml declares: unseen perturbations, doubles and contexts; a network from
    interventions or from controls alone; targets that are not measured, a single perturbation. The same seed
    twice, another seed; threads within the CPUs granted. Seven or eight runs a task on 1,100 cells of 80
    genes; a method that trains for minutes on those takes --parameter or --timeout. Ends with 1 when
    something failed.

    \b
    Examples:
      lanner method check ./my-method
      lanner method check additive --json
      lanner method check scgen --parameter epochs=5 --timeout 300
      lanner method check ./my-method --runner process --trust-process
    """
    from lanner import method_check
    from lanner.cli.building import choose_runner
    from lanner.runners.process import ProcessRunner

    method = find(settings, name)
    if method.predictions:
        raise ConfigurationError(
            f"{name} is predictions, which are checked when they are run: there is no program to try"
        )
    values = parse_parameters(method, parameters)
    resolve_parameters(method, values)  # a wrong one is said before an image is built
    chosen = choose_runner(runner, settings)
    if chosen == "docker":
        prepare(method)
    elif not ProcessRunner(trust=trust_process).accepts(method):
        raise ConfigurationError(
            f"{name} is checked in its container, and plain processes run bundled Python methods only: start "
            "Docker (lanner doctor says how), or trust the program with --runner process --trust-process"
        )
    findings = method_check.check(
        method,
        runner=chosen,
        trust_process=trust_process,
        timeout_s=timeout_s,
        parameters=values,
        talk=talk.print,
    )
    failed = [finding for finding in findings if finding.outcome == "failed"]
    if as_json:
        print_json({"method": method.name, "runner": chosen, "findings": [f.to_json() for f in findings]})
        return 1 if failed else 0
    marks = {"passed": "ok", "failed": "FAILED", "information": "info"}
    rows = [(marks[finding.outcome], finding.check, finding.detail) for finding in findings]
    print_table(("", "check", "what was seen"), rows, title=method.name)
    for finding in failed:
        if finding.log:
            talk.print(f"\n{finding.check}: the last lines the method printed")
            click.echo(printable(finding.log, keep="\n"), err=True)
    if failed:
        talk.print(f"\n{len(failed)} checks failed; correct them and run lanner method check {name} again")
        talk.print(f"to try by hand in the sandbox: lanner method shell {name}", markup=False)
    return 1 if failed else 0


def prepare(method: Method) -> Mapping[str, Any]:
    """Build or pull a method's image; the end of a failed build's output goes to stderr."""
    from lanner.runners import RUNNERS

    if method.predictions:
        raise ConfigurationError(f"{method.name} is a folder of predictions: it has no image")
    talk.print(f"preparing {method.tag}")
    try:
        return RUNNERS["docker"]().prepare(method)
    except ImageBuildError as error:
        click.echo(printable(error.log_tail, keep="\n"), err=True)
        raise


def describe(method: Method) -> dict[str, Any]:
    """A method as one JSON document: its manifest with defaults filled in, and its identity."""
    return {
        "name": method.name,
        "label": method.label,
        "version": method.version,
        "summary": method.summary,
        "licence": method.document["licence"],
        "tasks": list(method.tasks),
        "command": list(method.command),
        "parameters": dict(method.parameters),
        "limits": method.limits.keyed,
        "deterministic": method.deterministic,
        "residual": method.residual,
        "training_data": list(method.document.get("training_data", [])),
        "references": list(method.document.get("references", [])),
        "folder": str(method.folder) if method.folder else None,
        "image": method.image,
        "predictions": dict(method.predictions),
        "identity": method.identity,
        "tag": method.tag,
        "bundled": is_bundled(method),
    }
