"""``lanner method add`` and ``pull``: an image, a folder, an archive or predictions become a method."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import Any

import click

from lanner.cli.output import json_option, print_fields, print_json, print_table, talk
from lanner.config import Settings
from lanner.errors import ConfigurationError
from lanner.methods import Method, find

ASKED = {
    "name": "Name, lower-case with hyphens",
    "label": "Label for tables",
    "summary": "One sentence: what it predicts, and from what",
    "licence": "Licence (SPDX)",
    "command": "Command, run in the image's WORKDIR without a shell",
    "deterministic": "Does the prediction never depend on the seed",
    "residual": "How cells may be drawn from its profiles (none, shift, zero-preserving-scale)",
}
NEEDED = ("summary", "licence")
"""What a person must say where nothing else does and nobody can be asked."""


@click.command("add")
@click.argument("source", required=False, metavar="[IMAGE|FOLDER|image.tar]")
@click.option(
    "--from-oci-archive",
    "archive",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="An image archive, OCI or docker save: needs no registry.",
)
@click.option(
    "--predictions",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Predictions instead of a program: DIR/<dataset>/<split id or sha256>.h5ad.",
)
@click.option("--name", help="The method's name [made of the source's].")
@click.option("--label", help="Name for people, in tables.")
@click.option("--summary", help="One sentence.")
@click.option("--licence", help="SPDX expression, such as MIT.")
@click.option("--command", help="Program and arguments [the image's own ENTRYPOINT and CMD].")
@click.option("--task", "tasks", multiple=True, help="A task it can answer; repeatable.")
@click.option("--deterministic/--random", default=None, help="Whether the seed never matters.")
@click.option("--residual", type=click.Choice(["none", "shift", "zero-preserving-scale"]))
@click.option("--cpus", type=click.FloatRange(0, min_open=True))
@click.option("--memory-mb", type=click.IntRange(64))
@click.option("--gpus", type=click.IntRange(0))
@click.option("--timeout", "timeout_s", type=click.IntRange(1), help="Seconds one run may take.")
@click.option("--yes", is_flag=True, help="Ask nothing: take what is proposed.")
@click.option("--replace", is_flag=True, help="Put it in the place of an added method of this name.")
@json_option
@click.pass_obj
def add_command(
    settings: Settings,
    source: str | None,
    archive: Path | None,
    predictions: Path | None,
    name: str | None,
    label: str | None,
    summary: str | None,
    licence: str | None,
    command: str | None,
    tasks: tuple[str, ...],
    deterministic: bool | None,
    residual: str | None,
    cpus: float | None,
    memory_mb: int | None,
    gpus: int | None,
    timeout_s: int | None,
    yes: bool,
    replace: bool,
    as_json: bool,
) -> None:
    """Add a method by its image, its folder or an archive, or a closed model by its predictions.

    The image is pinned by digest and must not run as root. What its labels (org.lanner.name, .command,
    .summary ...) do not say is asked for, or given by options; docs/how-to/add-a-method.md lists them.

    \b
    Examples:
      lanner method add registry.example.org/lab/my-model:1.2
      lanner method add ./my-method --yes
      lanner method add my-model.tar --name my-model --command "python predict.py"
      lanner method add --from-oci-archive my-model.oci.tar --yes
      lanner method add --predictions ./predictions --name closed-model --yes
    """
    from lanner import method_add

    if sum(item is not None for item in (source, archive, predictions)) != 1:
        raise click.UsageError("give one of an image, a folder, an archive or --predictions")
    given = {
        "name": name,
        "label": label,
        "summary": summary,
        "licence": licence,
        "command": None if command is None else words(command),
        "tasks": list(tasks) or None,
        "deterministic": deterministic,
        "residual": residual,
        "resources.cpus": cpus,
        "resources.memory_mb": memory_mb,
        "resources.gpus": gpus,
        "resources.timeout_s": timeout_s,
    }
    options = {field: value for field, value in given.items() if value is not None}
    place = Path(source).expanduser() if source else None
    if predictions is not None:
        from lanner.method_add.predictions import add_predictions, proposed_of_predictions

        files, proposal, guessed = proposed_of_predictions(predictions)
        document = _settled(proposal, guessed, options, yes=yes)
        method = add_predictions(settings, predictions, files, document, replace=replace)
    elif place is not None and place.is_dir():
        proposal, guessed = method_add.proposed_of_folder(place)
        document = _settled(proposal, guessed, options, yes=yes)
        method = method_add.add_folder(settings, place, document, replace=replace, build=_engine_answers())
    else:
        method = _image(settings, source, archive, options, yes=yes, replace=replace)
    _show(method, as_json=as_json)


@click.command("pull")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@json_option
@click.pass_obj
def pull_command(settings: Settings, names: tuple[str, ...], as_json: bool) -> None:
    """Pull the pinned images of methods, apart from any run; one that is here is kept.

    \b
    Examples:
      lanner method pull my-model
      lanner method pull my-model other-model --json
    """
    from lanner.cli.method import prepare

    found = [find(settings, name) for name in names]
    for method in found:
        if method.image is None:
            raise ConfigurationError(
                f"{method.name} names no image to pull; `lanner method build {method.name}` builds its folder"
            )
    rows = [{"name": method.name, "image": method.image, **prepare(method)} for method in found]
    if as_json:
        print_json(rows)
    else:
        print_table(("name", "image", "id"), [(row["name"], row["image"], row["image_id"]) for row in rows])


def words(text: str) -> list[str]:
    """A command as a list: a JSON list as it is, else split as a shell would."""
    try:
        return [str(part) for part in json.loads(text)] if text.startswith("[") else shlex.split(text)
    except ValueError as error:
        raise click.BadParameter(f"--command {text!r} cannot be split ({error}); quote it") from None


def _image(
    settings: Settings,
    source: str | None,
    archive: Path | None,
    options: dict[str, Any],
    *,
    yes: bool,
    replace: bool,
) -> Method:
    from lanner import method_add

    place = Path(source).expanduser() if source else None
    if archive is None and place is not None and (place.is_file() or place.suffix in (".tar", ".tgz")):
        archive = place
    if archive is not None:
        if not archive.is_file():
            raise ConfigurationError(
                f"there is no file {archive}; write it with docker save, or correct the path"
            )
        talk.print(f"loading {archive}", markup=False)
        image, said = method_add.image_of_archive(archive), archive.name
    else:
        assert source is not None, "one of them was given"
        talk.print(f"looking for {source}", markup=False)
        image, said = method_add.image_of_reference(source), source
    proposal, guessed = method_add.proposed(image.labels, image.command, said, method_add.DEFAULT_TASK)
    document = _settled(proposal, guessed, options, yes=yes)
    if not document["command"]:
        raise ConfigurationError(
            f"{said} has neither ENTRYPOINT nor CMD; say with --command what is to be run"
        )
    return method_add.add_image(settings, image, document, said, replace=replace)


def _settled(
    proposal: dict[str, Any], guessed: tuple[str, ...], options: dict[str, Any], *, yes: bool
) -> dict[str, Any]:
    """The manifest: options over what the source states, over what is asked for or proposed."""
    from lanner.method_add import put

    document: dict[str, Any] = json.loads(json.dumps(proposal))
    for field, value in options.items():
        put(document, field, value)
    open_fields = [field for field in guessed if field not in options and field in ASKED]
    if "name" in options and "label" in open_fields:
        document["label"] = options["name"]
    if yes:
        return document
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        missing = [f"--{field}" for field in open_fields if field in NEEDED]
        if missing or not document["name"]:
            wanted = ", ".join(missing or ["--name"])
            raise click.UsageError(
                f"nobody can be asked here: give {wanted}, or --yes to take what is proposed"
            )
        return document
    for field in open_fields:
        document[field] = _asked(field, document[field])
    return document


def _asked(field: str, proposal: Any) -> Any:
    if isinstance(proposal, bool):
        return click.confirm(ASKED[field], default=proposal, err=True)
    shown = shlex.join(proposal) if isinstance(proposal, list) else proposal
    answer = click.prompt(ASKED[field], default=shown or None, err=True)
    return words(answer) if isinstance(proposal, list) else answer


def _engine_answers() -> bool:
    from lanner.runners.docker import docker_available

    reason = docker_available()
    if reason is None:
        talk.print("building its image, to see that it can be built and does not run as root")
    else:
        talk.print(f"its image is not built: {reason}", markup=False)
    return reason is None


def _show(method: Method, *, as_json: bool) -> None:
    from lanner.cli.method import describe

    if as_json:
        print_json(describe(method))
        return
    print_fields(
        {
            "added": method.name,
            "identity": method.identity,
            "command": shlex.join(method.command) or "none",
            "manifest": f"{method.folder}/method.yaml",
        }
    )
    verb = "run --dataset DATASET --compare --method" if method.predictions else "method check"
    talk.print(f"next: lanner {verb} {method.name}", markup=False)
