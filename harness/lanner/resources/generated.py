"""Features and networks made from nothing but gene names, and the rows of a table that a run is granted.

They are controls that say what knowledge is worth: ``random`` numbers that know no biology and an ``empty``
table; an ``empty`` network and a ``dense`` one of all pairs (PEREGGRN's, doi:10.1186/s13059-025-03840-y).
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable

import numpy as np

from lanner.errors import ConfigurationError
from lanner.records import derived_seed

MOST_EDGES = 5_000_000
"""Edges of a dense network: all pairs of 2,200 genes."""


def table(genes: Iterable[str], dimensions: int, seed: int) -> bytes:
    """A CSV table with a row of ``dimensions`` independent standard normal numbers for each gene, sorted."""
    lines = [header(dimensions)]
    for gene in sorted(set(genes)):
        # Each gene has a stream of its own: its row depends on neither the others nor their order.
        random = np.random.default_rng(derived_seed(f"{seed}/{gene}", "resource"))
        lines.append(row(gene, random.standard_normal(dimensions)))
    return ("\n".join(lines) + "\n").encode()


def network(genes: Iterable[str], *, dense: bool) -> bytes:
    """A CSV table of edges between ``genes``: none, or all ordered pairs of distinct ones with weight 1.

    Raises ConfigurationError where a dense network would have more than MOST_EDGES.
    """
    names = sorted(set(genes)) if dense else []
    if len(names) * (len(names) - 1) > MOST_EDGES:
        raise ConfigurationError(
            f"a dense network of {len(names):,} genes has more than {MOST_EDGES:,} edges; grant it on a "
            "dataset of fewer genes"
        )
    quotes = [quoted(name) for name in names]
    edges = (f"{source},{target},1" for source in quotes for target in quotes if source != target)
    return ("\n".join(["regulator,target,weight", *edges]) + "\n").encode()


def rows_of(content: bytes, genes: Iterable[str]) -> bytes:
    """A table's header and the rows of those of ``genes`` that it has."""
    wanted = set(genes)
    first, *lines = content.decode().splitlines()
    kept = [line for line in lines if next(csv.reader(io.StringIO(line)))[0] in wanted]
    return ("\n".join([first, *kept]) + "\n").encode()


def header(dimensions: int) -> str:
    """First line of a table of features."""
    return ",".join(["gene", *(f"feature{column}" for column in range(dimensions))])


def row(gene: str, values: Iterable[float]) -> str:
    """One line of a table of features, six digits after the point."""
    return ",".join([quoted(gene), *(f"{value:.6f}" for value in values)])


def quoted(text: str) -> str:
    """A field of CSV."""
    return '"' + text.replace('"', '""') + '"' if set(text) & set(',"\n\r') else text
