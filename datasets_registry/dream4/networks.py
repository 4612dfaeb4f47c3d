"""The gold standard of DREAM4 as edges; the published matrix has regulators in columns."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd


def networks(sources: Mapping[str, Path], parameters: Mapping[str, Any]) -> dict[str, pd.DataFrame]:
    """One row per nonzero entry; knock-outs of a column's gene move the genes of its nonzero rows."""
    matrix = pd.read_csv(sources["dream4_gold_standard.tsv"], sep="\t")
    edges = matrix.rename_axis(index="target", columns="regulator").stack()
    return {"gold": edges[edges != 0].reset_index()[["regulator", "target"]]}
