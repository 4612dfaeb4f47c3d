"""The command line: parse, call one function, render. Every command is importable from below this package."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path

import click

from lanner import interruption
from lanner.config import Settings
from lanner.errors import LannerError

COMMANDS = {
    "cancel": "attempts",
    "clean": "clean",
    "dataset": "dataset",
    "demo": "leaderboard",
    "doctor": "doctor",
    "engine": "engine",
    "exec": "exec",
    "leaderboard": "leaderboard",
    "logs": "run",
    "method": "method",
    "metric": "metric",
    "network": "network",
    "reproduce": "reproduce",
    "resource": "resource",
    "retry": "attempts",
    "run": "run",
    "score": "score",
    "split": "split",
    "stage": "stage",
    "submission": "submission",
    "status": "run",
    "store": "transfer",
    "validate": "stage",
}
"""Command name -> module of this package that defines it; imported when asked for, so --help stays quick."""


class LazyGroup(click.Group):
    """A group whose commands live one file per noun and are imported on use."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All command names, sorted."""
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Import the command's module and return the command."""
        if name not in COMMANDS:
            return None
        module = importlib.import_module(f"lanner.cli.{COMMANDS[name]}")
        command: click.Command = getattr(module, f"{name}_command")
        return command


@click.group(
    cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(package_name="lanner")
@click.option(
    "--registry",
    type=click.Path(file_okay=False, exists=True, path_type=Path),
    help="A folder with your own datasets_registry/ and method_containers/, searched first.",
)
@click.pass_context
def lanner(context: click.Context, registry: Path | None) -> None:
    """Benchmark methods that predict how gene expression responds to perturbation.

    \b
    Examples:
      lanner demo
      lanner dataset list
      lanner leaderboard build leaderboards/quickstart.yaml
      lanner run --method additive --dataset simulated --split unseen-combination

    Results go to stdout (--json for machines), talk to stderr. Exit codes: 0 ok, 1 a method failed,
    2 usage or configuration, 3 invalid prediction, 4 infrastructure, 130 interrupted.
    """
    context.obj = Settings.from_environment(registry)


def main() -> None:
    """Run the command line and exit: one sentence for an expected error, a traceback for a bug."""
    interruption.listen()
    try:
        code = lanner.main(standalone_mode=False)
    except click.exceptions.Abort:
        click.echo("interrupted", err=True)
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except LannerError as error:
        click.secho(f"error: {error}", err=True, fg="red" if sys.stderr.isatty() else None)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        click.echo("interrupted", err=True)
        sys.exit(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    sys.exit(code if isinstance(code, int) else 0)
