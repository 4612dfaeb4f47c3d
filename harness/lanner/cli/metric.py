"""``lanner metric``: the cards of all metrics."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import click

from lanner.cli.output import json_option, print_fields, print_json, print_table


@click.group("metric")
def metric_command() -> None:
    """Metrics: what each number means, exactly.

    \b
    Examples:
      lanner metric list
      lanner metric info pearson_delta
      lanner metric info de_auprc --json
    """


@metric_command.command("list")
@json_option
def list_command(as_json: bool) -> None:
    """All metrics, one line each.

    \b
    Examples:
      lanner metric list
      lanner metric list --json
    """
    from lanner.metrics import METRICS

    if as_json:
        print_json([_document(name) for name in METRICS])
        return
    cards = [METRICS[name].card for name in METRICS]
    rows = [
        (card.id, card.level, card.better, _chance(card.chance), card.requires, card.summary)
        for card in cards
    ]
    print_table(("metric", "level", "better", "chance", "needs", "what it is"), rows)


@metric_command.command("info")
@click.argument("name", metavar="METRIC")
@json_option
def info_command(name: str, as_json: bool) -> None:
    """The whole card of one metric.

    \b
    Examples:
      lanner metric info energy
      lanner metric info pds_cosine --json
    """
    document = _document(name)
    if as_json:
        print_json(document)
        return
    fields = {key: _shown(key, value) for key, value in document.items()}
    print_fields({key: value for key, value in fields.items() if value not in ("none", "")})


def _document(name: str) -> dict[str, Any]:
    """The card as JSON, with the hash that score rows carry and the text of its definition."""
    from lanner.metrics import METRICS

    metric = METRICS[name]
    return {**asdict(metric.card), "definition": metric.definition, "sha256": metric.card.sha256}


def _shown(key: str, value: Any) -> str:
    if key == "chance":
        return _chance(value)
    if isinstance(value, list | tuple):
        return "; ".join(value)
    return "none" if value is None else str(value)


def _chance(chance: float | str | None) -> str:
    return "none" if chance is None else str(chance)
