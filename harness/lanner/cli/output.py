"""How commands print: one JSON document or one table on stdout, talk on stderr, text made printable."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lanner.records import printable

F = TypeVar("F", bound=Callable[..., Any])

# Piped lines are kept whole: rich would otherwise fold them to 80 characters.
talk = Console(stderr=True, highlight=False, width=None if sys.stderr.isatty() else 1000)


def json_option(function: F) -> F:
    """The ``--json`` flag every command with a result has."""
    return click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON document.")(
        function
    )


def print_json(document: Any) -> None:
    """One indented JSON document on stdout."""
    click.echo(json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False))


def plain_table(columns: Sequence[str], rows: Sequence[Sequence[Any]], title: str | None = None) -> Table:
    """A plain table; columns whose cells are all numbers are right-aligned."""
    table = Table(title=title, title_justify="left", box=None, header_style="bold", pad_edge=False)
    for index, column in enumerate(columns):
        numeric = rows and all(isinstance(row[index], int | float) for row in rows)
        table.add_column(column, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(printable("" if cell is None else str(cell))) for cell in row))
    return table


def print_table(columns: Sequence[str], rows: Sequence[Sequence[Any]], title: str | None = None) -> None:
    """A plain table on stdout."""
    Console(highlight=False, width=None if sys.stdout.isatty() else 1000).print(
        plain_table(columns, rows, title)
    )


def print_fields(fields: Mapping[str, Any]) -> None:
    """``name: value`` lines on stdout, values aligned."""
    width = max((len(name) for name in fields), default=0)
    for name, value in fields.items():
        lines = printable(str(value), keep="\n").splitlines() or [""]
        click.echo(f"{name:<{width}}  {lines[0]}")
        for line in lines[1:]:
            click.echo(f"{'':<{width}}  {line}")
