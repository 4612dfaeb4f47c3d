"""DoRothEA's regulons as a network: from the R data frame, or a table of its rows of confidence A to C."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd


def prepare(sources: Mapping[str, Path], parameters: Mapping[str, Any], output: Path) -> None:
    """Write regulator, target, weight (mode of regulation, signed) and confidence, sorted by gene names."""
    path = next(iter(sources.values()))
    table = read_rda(path) if path.suffix == ".rda" else pd.read_csv(path, sep="\t", keep_default_na=False)
    table = table[table["confidence"].isin(parameters["confidence"])]
    network = pd.DataFrame(
        {
            "regulator": table["tf"].astype(str),
            "target": table["target"].astype(str),
            "weight": table["mor"].astype(int),
            "confidence": table["confidence"].astype(str),
        }
    )
    network = network.sort_values(["regulator", "target"])
    network.to_csv(output, index=False, lineterminator="\n")


def read_rda(path: Path) -> pd.DataFrame:
    """The data frame of an .rda file; that it was a tibble says nothing here."""
    import rdata

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Missing constructor for R class")
        return rdata.read_rda(path)["dorothea_hs"]
