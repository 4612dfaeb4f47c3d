"""``lanner method shell``: the sandbox opened by hand."""

from __future__ import annotations

import sys

import click

from lanner.cli.output import json_option, print_json, talk
from lanner.config import Settings
from lanner.records import printable


@click.command("shell")
@click.argument("name", metavar="NAME|PATH")
@click.option("--dataset", "-d", "dataset_name", help="A dataset's id [simulated].")
@click.option("--task", "task_name", help="A task's id [the first that the method declares].")
@click.option("--split", "-s", "split_name", help="A split id [the dataset's first of the task].")
@click.option("--question", "question_name", help="One that `method check` asks, such as unmeasured.")
@click.option("--parameter", "-p", "parameters", multiple=True, help="name=value; repeatable.")
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=0, show_default=True, help="The method's.")
@click.option("--command", help="Run this by the image's sh and end, instead of a shell on the terminal.")
@json_option
@click.pass_obj
def shell_command(
    settings: Settings,
    name: str,
    dataset_name: str | None,
    task_name: str | None,
    split_name: str | None,
    question_name: str | None,
    parameters: tuple[str, ...],
    seed: int,
    command: str | None,
    as_json: bool,
) -> int:
    """Open a method's sandbox with a staged input, to look around and to try again by hand.

    Image, user, network, limits and input are those of a run; only its command is not started: type it.
    What is then in /output is checked as a run's would be. Nothing is left when the shell ends. The input is
    a split of a dataset, or with --question the one that failed in `lanner method check`.

    \b
    Examples:
      lanner method shell ./my-method
      lanner method shell my-model --dataset kang18-pbmc --split unseen-context/cd4t
      lanner method shell ./my-method --question unmeasured
      lanner method shell ./my-method --command "ls -l /input && python predict.py"
    """
    from lanner.method_shell import open_sandbox
    from lanner.methods import find, parse_parameters

    if question_name is not None and (dataset_name or split_name):
        raise click.UsageError("a --question brings its own data: leave out --dataset and --split")
    if command is None and as_json:
        raise click.UsageError("--json needs --command: a shell on the terminal has no result")
    if command is None and not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise click.UsageError("a shell needs a terminal; give --command for one command without")
    method = find(settings, name)
    said: tuple[list[bytes], list[bytes]] = ([], [])

    def write(out: bytes | None, err: bytes | None) -> None:
        for piece, lines, is_error in ((out, said[0], False), (err, said[1], True)):
            if piece and as_json:
                lines.append(piece)
            elif piece:
                click.echo(printable(piece.decode(errors="replace"), keep="\n\t"), nl=False, err=is_error)

    if command is None:
        talk.print(f"the run's own command: {printable(' '.join(method.command))}", markup=False)
    session = open_sandbox(
        settings,
        method,
        dataset_name=dataset_name or "simulated",
        task_name=task_name,
        split_name=split_name,
        question_name=question_name,
        parameters=parse_parameters(method, parameters),
        seed=seed,
        command=command,
        write=write,
        talk=lambda text: talk.print(text, markup=False),
    )
    verdict = session.prediction or "none was written"
    if as_json:
        texts = [printable(b"".join(pieces).decode(errors="replace"), keep="\n\t") for pieces in said]
        print_json(
            {
                "method": method.name,
                "dataset": session.dataset,
                "split": session.split,
                "exit_code": session.exit_code,
                "stdout": texts[0],
                "stderr": texts[1],
                "prediction": session.prediction,
            }
        )
    else:
        talk.print(f"exit code {session.exit_code}; prediction.h5ad: {printable(verdict)}", markup=False)
    return 0 if session.exit_code == 0 else 1
