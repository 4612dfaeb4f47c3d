"""Datasets: registry entry -> verified files -> normalised, cached, row-block readable dataset."""

from __future__ import annotations

from lanner.datasets.dataset import Dataset, dataset_fields, load
from lanner.datasets.entry import Entry, Source, entries, find_entry, read_entry
from lanner.datasets.fetch import Progress, fetch
from lanner.datasets.quality import check

__all__ = [
    "Dataset",
    "Entry",
    "Progress",
    "Source",
    "check",
    "dataset_fields",
    "entries",
    "fetch",
    "find_entry",
    "load",
    "read_entry",
]
