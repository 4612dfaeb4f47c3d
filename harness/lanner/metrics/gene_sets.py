"""Gene sets shipped with the package: names, sources and licences are in gene_sets.json beside this file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from lanner.metrics import Comparison

Columns = np.ndarray[tuple[int], np.dtype[np.int64]]

MIN_GENES = 5
"""Measured and unmasked genes below which a set is left out."""


@dataclass(frozen=True, kw_only=True)
class GeneSet:
    """Human gene symbols of one programme; ``kind`` is cell-cycle, cytokine or pathway."""

    name: str
    kind: str
    source: str
    licence: str
    genes: tuple[str, ...]


@cache
def gene_sets() -> tuple[GeneSet, ...]:
    """All shipped sets."""
    text = files("lanner.metrics").joinpath("gene_sets.json").read_text(encoding="utf-8")
    return tuple(GeneSet(**{**item, "genes": tuple(item["genes"])}) for item in json.loads(text)["sets"])


def measured(comparison: Comparison, kinds: Sequence[str] = ()) -> dict[str, Columns]:
    """Columns of each set, of some ``kinds`` or all, that are measured and unmasked; sets of MIN_GENES up.

    Symbols are compared in upper case, so that those of mouse genes are found too. A gene that any row of the
    comparison masks is left out of all.
    """
    hidden = comparison.masked.any(dim=0).cpu().numpy()
    found = {}
    for gene_set in gene_sets():
        if not kinds or gene_set.kind in kinds:
            columns = _columns(comparison.genes)[gene_set.name]
            columns = columns[~hidden[columns]]
            if len(columns) >= MIN_GENES:
                found[gene_set.name] = columns
    return found


@lru_cache(maxsize=4)
def _columns(genes: tuple[str, ...]) -> dict[str, Columns]:
    place = {gene.upper(): g for g, gene in enumerate(genes)}
    return {
        gene_set.name: np.array([place[gene] for gene in gene_set.genes if gene in place], dtype=np.int64)
        for gene_set in gene_sets()
    }
