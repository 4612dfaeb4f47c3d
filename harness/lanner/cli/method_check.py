"""``lanner method check``: a method tried on tiny data, in its sandbox."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from lanner.cli.output import json_option, print_json, print_table, talk
from lanner.config import Settings
from lanner.errors import ConfigurationError
from lanner.methods import Method, find, parse_parameters, resolve_parameters
from lanner.records import printable

if TYPE_CHECKING:
    from lanner.method_check import Finding


@click.command("check")
@click.argument("name", metavar="NAME|FOLDER")
@click.option("--runner", type=click.Choice(["auto", "docker", "process"]), default="auto", show_default=True)
@click.option("--trust-process", is_flag=True, help="Let the process runner run other people's methods.")
@click.option(
    "--timeout", "timeout_s", type=click.IntRange(1), default=300, show_default=True, help="Seconds a run."
)
@click.option("--parameter", "-p", "parameters", multiple=True, help="name=value, such as fewer epochs.")
@json_option
@click.pass_obj
def check_command(
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
    from lanner.cli.method import prepare
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
        n = "1 check" if len(failed) == 1 else f"{len(failed)} checks"
        again = _by_hand(name, method, failed, parameters)
        talk.print(f"\n{n} failed; correct that and run lanner method check {name} again", markup=False)
        talk.print(f"to try by hand in the sandbox: {again}", markup=False)
    return 1 if failed else 0


def _by_hand(name: str, method: Method, failed: Sequence[Finding], parameters: Sequence[str]) -> str:
    """The command that opens the sandbox on the input of the first question that failed."""
    asked = next((finding for finding in failed if finding.question), failed[0])
    words = ["lanner", "method", "shell", name]
    words += ["--task", asked.task] if asked.task not in ("", method.tasks[0]) else []
    words += ["--question", asked.question] if asked.question else []
    return shlex.join([*words, *(word for text in parameters for word in ("--parameter", text))])
