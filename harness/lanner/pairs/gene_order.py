"""Stored values of cells, gene by gene: what rank tests and one-dimensional distances are made of.

The cells are passed over once for as many genes as fit a budget, block by block; memory is the budget's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from lanner.pairs.views import View

Array = np.ndarray[Any, Any]

BUDGET_BYTES = 512 << 20
"""Memory for stored values and their groups, of all views together."""
BLOCK_VALUES = 1 << 16
"""Stored values worked on at a time: keys of this many fit a core's cache."""
WORKERS = 2
"""Coarse threads over blocks of genes. Blocks are cut by the data alone: no bit depends on this number."""


@dataclass(frozen=True)
class GeneBlock:
    """Non-zero values of genes ``start:stop`` in one view: gene within the block, value bits, group.

    ``gene`` int64, ``bits`` the float32 values (all positive) as int64, which sort alike; ``group`` int64.
    """

    start: int
    stop: int
    gene: Array
    bits: Array
    group: Array


@dataclass(frozen=True)
class _Tile:
    """A block of cells by columns: group numbers and values of each gene, one after the other."""

    indptr: Array
    values: Array
    groups: Array


def for_gene_blocks(
    views: Sequence[View],
    work: Callable[[Sequence[GeneBlock]], None],
    *,
    progress: Callable[[str, int, int], None] | None = None,
    budget: int = BUDGET_BYTES,
) -> None:
    """Call ``work`` with the same block of genes of each view, for all blocks, from ``WORKERS`` threads."""
    n_genes = views[0].n_genes
    done = 0
    with ThreadPoolExecutor(WORKERS) as pool:
        for low, high in _ranges(views, budget):
            stores = [_tiles(view, low, high) for view in views]
            edges = _edges(stores, high - low)
            jobs = [pool.submit(_work, work, stores, low, a, b) for a, b in pairwise(edges)]
            for job in jobs:
                job.result()
            done += high - low
            if progress is not None:
                progress("genes", done, n_genes)


def _work(
    work: Callable[[Sequence[GeneBlock]], None],
    stores: Sequence[Sequence[_Tile]],
    offset: int,
    start: int,
    stop: int,
) -> None:
    work([_gathered(tiles, offset, start, stop) for tiles in stores])


def _ranges(views: Sequence[View], budget: int) -> Iterator[tuple[int, int]]:
    """Ranges of genes whose stored values fit the budget; all genes where the files do."""
    n_genes = views[0].n_genes
    width = _bytes_per_value(views[0].n_groups)
    if sum(view.file.n_values for view in views) * width <= budget:
        yield 0, n_genes
        return
    stored = np.zeros(n_genes, np.int64)
    for view in views:
        for _, block in view.blocks():
            stored += np.bincount(block.indices, minlength=n_genes)
    portion = np.cumsum(stored) * width // budget
    edges = [0, *(np.flatnonzero(np.diff(portion)) + 1), n_genes]
    yield from pairwise(edges)


def _bytes_per_value(n_groups: int) -> int:
    return 4 + _group_type(n_groups).itemsize


def _group_type(n_groups: int) -> np.dtype[Any]:
    return np.dtype(np.uint16 if n_groups <= 1 << 16 else np.uint32)


def _tiles(view: View, low: int, high: int) -> list[_Tile]:
    kind, tiles = _group_type(view.n_groups), []
    whole = (low, high) == (0, view.n_genes)
    for groups, block in view.blocks():
        part = (block if whole else block[:, low:high]).tocsc()
        tiles.append(_Tile(part.indptr, part.data, groups.astype(kind)[part.indices]))
    return tiles


def _edges(stores: Sequence[Sequence[_Tile]], n_genes: int) -> list[int]:
    """Cuts between genes, so that a block has about BLOCK_VALUES stored values and at most 1024 genes."""
    stored = np.zeros(n_genes, np.int64)
    for tiles in stores:
        for tile in tiles:
            stored += np.diff(tile.indptr)
    edges, total = [0], 0
    for gene, n in enumerate(stored.tolist()):
        if gene > edges[-1] and (total + n > BLOCK_VALUES or gene - edges[-1] == 1024):
            edges.append(gene)
            total = 0
        total += n
    return [*edges, n_genes] if n_genes else []


def _gathered(tiles: Sequence[_Tile], offset: int, start: int, stop: int) -> GeneBlock:
    cuts = [(tile, tile.indptr[start], tile.indptr[stop]) for tile in tiles]
    genes = np.arange(stop - start)
    parts = (
        [np.repeat(genes, np.diff(tile.indptr[start : stop + 1])) for tile in tiles],
        [tile.values[a:b].view(np.uint32) for tile, a, b in cuts],
        [tile.groups[a:b] for tile, a, b in cuts],
    )
    gene, bits, group = (
        np.concatenate(part).astype(np.int64) if part else np.zeros(0, np.int64) for part in parts
    )
    return GeneBlock(offset + start, offset + stop, gene, bits, group)
