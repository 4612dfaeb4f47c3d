"""What the published file holds that was computed from all of its cells."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from lanner.audit.findings import Finding, Severity, finding

if TYPE_CHECKING:
    from lanner.datasets import Dataset


def source_findings(dataset: Dataset, source: Path | None) -> Iterator[Finding]:
    """One note on features that staging drops: whoever trains on the published file itself has them."""
    if source is None or source.suffix != ".h5ad":
        return
    from lanner.h5ad.source import fitted_elements

    found = fitted_elements(source)
    if found:
        message = (
            f"{source.name} holds {len(found)} features that were fitted on all cells, tested ones included; "
            "staging drops them, a method that reads the published file has them"
        )
        yield finding("source-features", Severity.NOTE, message, found)
