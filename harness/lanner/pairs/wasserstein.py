"""Exact one-dimensional Wasserstein distances of two files' cells by perturbation and gene."""

from __future__ import annotations

from typing import Any

import numpy as np

from lanner.pairs.gene_order import VALUE_BITS, Layout

Array = np.ndarray[Any, Any]


def wasserstein_block(
    truth: Array,
    prediction: Array,
    start: int,
    stop: int,
    layout: Layout,
    n_truth: Array,
    n_predicted: Array,
) -> Array:
    """Integral over x of |F(x) - G(x)|, ``(P, stop - start)``, float64.

    Above zero, 1 - F(x) and 1 - G(x) are counts of cells at or beyond the next value: one sort of (gene,
    perturbation, value, file) gives both, as whole numbers, so nothing accumulates but the final sum. Zeros
    are never visited (``scipy.stats.wasserstein_distance`` has the same number). ``truth`` and ``prediction``
    are keys of genes ``start:stop``, group before value.
    """
    n_groups = len(n_truth)
    answer = np.zeros((n_groups, stop - start))
    parts = []
    for side, keys in enumerate((truth, prediction)):
        group = (keys >> VALUE_BITS) & ((1 << layout.group_bits) - 1)
        parts.append(keys[group < n_groups] << 1 | side)  # controls take no part
    key = np.concatenate(parts)
    if not key.size:
        return answer
    key.sort()
    segment = key >> (VALUE_BITS + 1)
    is_predicted = key & 1
    value = ((key >> 1) & ((1 << VALUE_BITS) - 1)).astype(np.uint32).view(np.float32).astype(np.float64)
    first = np.ones(len(key), dtype=bool)
    np.not_equal(segment[1:], segment[:-1], out=first[1:])
    starts = np.flatnonzero(first)
    lengths = np.diff(starts, append=len(key))
    # Cells of the segment at or beyond each place: its total less those before.
    seen = np.concatenate([[0], np.cumsum(is_predicted)])
    ends = starts + lengths
    predicted = np.repeat(seen[ends], lengths) - seen[:-1]
    both = np.repeat(ends, lengths) - np.arange(len(key))
    group = segment[starts] & ((1 << layout.group_bits) - 1)
    height = np.repeat(1.0 / n_predicted[group], lengths) * predicted
    height -= np.repeat(1.0 / n_truth[group], lengths) * (both - predicted)
    step = np.diff(value, prepend=0.0)
    step[starts] = value[starts]
    np.abs(height, out=height)
    height *= step
    answer[group, (segment[starts] >> layout.group_bits) - start] = np.add.reduceat(height, starts)
    return answer
