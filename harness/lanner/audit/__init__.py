"""Audit of a split: ways in which what is tested may be known in train, and what cannot be scored.

The splits of ``lanner.splits`` keep their promises by construction; what they cannot know is whether two
labels, two contexts or two cells are the same thing. A saved split from elsewhere is taken at its word for
nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from lanner.audit.cells import copied_cells
from lanner.audit.design import design_findings
from lanner.audit.findings import CHECKS, Finding, Severity
from lanner.audit.labels import label_findings
from lanner.audit.source import source_findings
from lanner.records import Split

if TYPE_CHECKING:
    from lanner.datasets import Dataset

__all__ = ["CHECKS", "Finding", "Severity", "audit"]


def audit(
    dataset: Dataset, split: Split, *, source: Path | None = None, cells: bool = True
) -> tuple[Finding, ...]:
    """Everything found about one split, the most severe first; nothing where there is nothing to say.

    Parameters
    ----------
    dataset, split
        An opened dataset and an artefact over it, of ``lanner.splits`` or read from a file.
    source
        The published .h5ad, where there is one: it is searched for features fitted on all of its cells.
    cells
        Whether to read X and compare cells across the border, the only check whose time grows with the data.
    """
    found = sorted(_findings(dataset, split, source, cells), key=lambda item: (item.severity, item.check))
    return tuple(found)


def _findings(dataset: Dataset, split: Split, source: Path | None, cells: bool) -> Iterator[Finding]:
    broken = list(design_findings(dataset, split))
    yield from broken
    if any(item.check in ("stale-split", "unknown-condition") for item in broken):
        return  # its conditions are those of other data
    yield from label_findings(dataset, split)
    yield from source_findings(dataset, source)
    if cells:
        yield from copied_cells(dataset, split)
