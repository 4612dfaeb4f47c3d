"""A pair of files of cells, truth and prediction: read once, asked many things (``lanner.compat.Pair``)."""

from __future__ import annotations

from lanner.pairs.pair import FilePair, contexts_of, open_pair

__all__ = ["FilePair", "contexts_of", "open_pair"]
