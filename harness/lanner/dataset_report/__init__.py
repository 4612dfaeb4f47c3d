"""Whether a dataset is fit to judge methods: its structure, its cells, and what its splits can tell."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from lanner import datasets
from lanner.config import Settings
from lanner.dataset_report.measures import measured
from lanner.dataset_report.opinions import opinions
from lanner.datasets import Dataset
from lanner.tasks import TASKS

__all__ = ["report"]

FORMAT = "lanner-dataset-report/1"
TASK = "perturbation-response"


def report(
    dataset: Dataset,
    settings: Settings,
    *,
    dynamic_range: bool = False,
    say: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Everything known of a dataset's quality.

    Parameters
    ----------
    dynamic_range
        Also seal the splits the entry recommends and score the bounds on them: minutes, once for a dataset.
    say
        Told what takes time.

    Returns
    -------
    JSON-ready: format, id, title, content, licence, sizes, checks ([{fact, observed, expected, passed,
    level}]; a failed one of level ``error`` blocks, of level ``warning`` informs), measures (as ``measured``
    returns them) and range (None, or the rows of ``leaderboard.informative``).
    """
    measures = measured(dataset)
    found = _range(dataset, settings, say) if dynamic_range else None
    document = dataset.entry.document
    sizes = datasets.dataset_fields(dataset)
    return {
        "format": FORMAT,
        "id": dataset.entry.id,
        "title": dataset.entry.title,
        "content": dataset.content,
        "licence": document["licence"],
        "citation": document["citation"]["text"],
        "sizes": {name: sizes[name] for name in sizes if name not in ("content", "folder")},
        "checks": datasets.check(dataset) + opinions(dataset, measures, found),
        "measures": measures,
        "range": found,
    }


def _range(dataset: Dataset, settings: Settings, say: Callable[[str], None]) -> list[Mapping[str, Any]]:
    """What each primary metric can tell on each split that the entry recommends, from the bounds alone."""
    from lanner.leaderboard.campaign import Silence
    from lanner.leaderboard.definition import define
    from lanner.leaderboard.informative import informative

    class Talk(Silence):
        def say(self, text: str) -> None:
            say(text)

    if not dataset.entry.splits:
        return []
    asked = {
        "name": "check",
        "title": "Check",
        "task": TASK,
        "datasets": [dataset.entry.id],
        "methods": [],
        "seeds": [0],
        "metrics": list(TASKS[TASK].primary),
    }
    rows: list[Mapping[str, Any]] = informative(define(asked, settings), settings, Talk())["rows"]
    return rows
