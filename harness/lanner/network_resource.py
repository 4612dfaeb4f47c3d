"""Networks as resources: what one task inferred, or a control network, as an entry another task is granted.

The controls say what a network is worth: an empty one, a dense one of all pairs, and a random one in which
every regulator keeps its number of targets (PEREGGRN, doi:10.1186/s13059-025-03840-y, has the three).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lanner.errors import ConfigurationError
from lanner.records import derived_seed
from lanner.registry import NAME

FILE = "network.csv"
COLUMNS = ("regulator", "target", "weight")
LARGEST = 5_000_000
"""Edges a resource may have: a dense network of 2,200 genes."""


def write_entry(folder: Path, edges: pd.DataFrame, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Make ``folder`` a resource entry: ``network.csv`` (regulator, target, weight) and ``resource.yaml``.

    ``fields`` are those of the entry but for id (the folder's name), version, kind and file; the document is
    returned.

    Raises
    ------
    ConfigurationError
        The folder exists, its name is no id, or there are too many edges.
    """
    if not NAME.fullmatch(folder.name):
        raise ConfigurationError(f"{folder.name!r} cannot be a resource's id; it must match {NAME.pattern}")
    if len(edges) > LARGEST:
        raise ConfigurationError(f"{len(edges):,} edges are more than {LARGEST:,}; keep fewer with --top")
    content = edges[list(COLUMNS)].to_csv(index=False, lineterminator="\n", float_format="%.9g")
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        raise ConfigurationError(f"{folder} already exists; choose another --out folder") from None
    (folder / FILE).write_text(content, encoding="utf-8")
    sha256 = hashlib.sha256(content.encode()).hexdigest()
    document = {
        "id": folder.name,
        "version": 1,
        "kind": "network",
        **fields,
        "file": {"path": FILE, "sha256": sha256},
    }
    # JSON is YAML: no field needs quoting rules of its own.
    text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
    (folder / "resource.yaml").write_text(text, encoding="utf-8")
    return document


def dense(genes: Sequence[str]) -> pd.DataFrame:
    """All ordered pairs of distinct ``genes``, weight 1."""
    n = len(genes)
    if n * (n - 1) > LARGEST:
        raise ConfigurationError(
            f"{n:,} genes have {n * (n - 1):,} pairs, more than {LARGEST:,}; use a dataset of fewer genes"
        )
    regulator, target = (axis.ravel() for axis in np.meshgrid(np.arange(n), np.arange(n), indexing="ij"))
    names = np.array(sorted(genes), dtype=object)
    distinct = regulator != target
    return pd.DataFrame(
        {"regulator": names[regulator[distinct]], "target": names[target[distinct]], "weight": 1.0}
    )


def randomised(network: pd.DataFrame, genes: Sequence[str], seed: int) -> pd.DataFrame:
    """Every regulator of ``network`` with as many targets, drawn from ``genes`` but itself, and its weights.

    Each regulator has a stream of its own, so that its targets depend on neither the others nor their order.
    """
    names = np.array(sorted(genes), dtype=object)
    drawn = []
    for regulator, group in sorted(network.groupby("regulator")):
        random = np.random.default_rng(derived_seed(f"{seed}/{regulator}", "random network"))
        others = names[names != regulator]
        targets = random.choice(others, min(len(group), len(others)), replace=False)
        weights = random.permutation(group["weight"].to_numpy(dtype=np.float64))[: len(targets)]
        drawn.append(pd.DataFrame({"regulator": regulator, "target": targets, "weight": weights}))
    if not drawn:
        raise ConfigurationError("the network to randomise has no edges; give one that has some")
    return pd.concat(drawn, ignore_index=True).sort_values(["regulator", "target"])


def empty() -> pd.DataFrame:
    """No edges."""
    return pd.DataFrame({name: [] for name in COLUMNS})


def read_table(path: Path) -> pd.DataFrame:
    """The edges of a resource: its folder, or its ``network.csv``."""
    path = path / FILE if path.is_dir() else path
    try:
        edges = pd.read_csv(path, dtype={"regulator": str, "target": str}, keep_default_na=False)
    except (OSError, ValueError):
        raise ConfigurationError(f"{path} is no table of edges; give a folder that export wrote") from None
    missing = [name for name in COLUMNS if name not in edges]
    if missing:
        raise ConfigurationError(f"{path} has no column {missing[0]!r}; its columns must be {COLUMNS}")
    return edges
