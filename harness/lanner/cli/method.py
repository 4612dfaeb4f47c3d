"""``lanner method``: what methods there are, what one is, building its image, trying it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from lanner.cli.method_add import add_command, pull_command
from lanner.cli.method_check import check_command
from lanner.cli.method_shell import shell_command
from lanner.cli.output import json_option, print_fields, print_json, print_table, talk
from lanner.config import Settings
from lanner.errors import ConfigurationError, ImageBuildError
from lanner.methods import Method, entries, find, is_bundled
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


for command in (add_command, check_command, pull_command, shell_command):
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
