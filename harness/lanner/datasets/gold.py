"""Known networks of a dataset: regulatory edges a simulation was made of, or that experiments established.

They are truth, not data: kept beside the normalised dataset under a hash of their own, so that a corrected
gold standard changes what is scored and neither the dataset, its splits nor the inputs of methods.
"""

from __future__ import annotations

import importlib.util
import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from lanner.datasets.entry import Entry
from lanner.datasets.fetch import disk_errors
from lanner.errors import ConfigurationError
from lanner.owner import token

if TYPE_CHECKING:
    import scipy.sparse as sp

MANIFEST = "networks.json"
COLUMNS = ("regulator", "target", "weight")


def networks_folder(entry: Entry, dataset: Path) -> Path:
    """Where the networks of ``entry`` lie once written, inside the folder of its normalised dataset."""
    return dataset / f"networks-{entry.networks_content[:12]}"


def write_networks(entry: Entry, sources: Mapping[str, Path], genes: tuple[str, ...], dataset: Path) -> None:
    """Write ``networks-<hash>/<name>.tsv`` per network of the entry, and ``networks.json`` with its counts.

    Edges are regulator, target and sign (1 or -1), sorted by name. Edges of genes that were not measured are
    dropped and counted, self-loops are kept and counted, edges of weight 0 are none.

    Raises
    ------
    ConfigurationError
        A network is not what the entry says: a column lacks, a weight is no number, an edge occurs twice, or
        none of its edges joins measured genes.
    """
    folder = networks_folder(entry, dataset)
    with disk_errors(f"{entry.id}: writing its networks to {dataset}"):
        partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}.{token()}.", suffix=".partial", dir=dataset))
        try:
            facts = {}
            for name, signed, edges in _networks(entry, sources):
                table, facts[name] = _canonical(f"{entry.id}: network {name}", edges, signed, genes)
                table.to_csv(partial / f"{name}.tsv", sep="\t", index=False, lineterminator="\n")
            (partial / MANIFEST).write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
            partial.chmod(0o755)
            try:
                partial.rename(folder)
            except OSError:  # another process was first
                if not (folder / MANIFEST).is_file():
                    raise
        finally:
            shutil.rmtree(partial, ignore_errors=True)


def read_network(entry: Entry, dataset: Path, name: str, genes: tuple[str, ...]) -> sp.csr_matrix:
    """Signs of the edges of one network, int8 ``(n_genes, n_genes)``: row regulator, column target."""
    import scipy.sparse as sp

    table = pd.read_csv(
        networks_folder(entry, dataset) / f"{name}.tsv",
        sep="\t",
        dtype={"regulator": str, "target": str, "sign": np.int8},
        keep_default_na=False,
    )
    position = pd.Index(genes)
    rows, columns = position.get_indexer(table["regulator"]), position.get_indexer(table["target"])
    network = sp.csr_matrix((table["sign"].to_numpy(), (rows, columns)), shape=(len(genes), len(genes)))
    network.sort_indices()
    return network


def _networks(entry: Entry, sources: Mapping[str, Path]) -> Iterator[tuple[str, bool, pd.DataFrame]]:
    """Name, whether signs are known, and the edges as the entry gives them."""
    made: Mapping[str, pd.DataFrame] | None = None
    for network in entry.networks:
        name, file = network["name"], network["file"]
        if file in sources:
            columns = {source: column for column, source in network.get("columns", {}).items()}
            edges = pd.read_csv(sources[file], sep=None, engine="python", keep_default_na=False, comment="#")
            edges = edges.rename(columns=columns)
        else:
            made = _made(entry, entry.folder / file, sources) if made is None else made
            if name not in made:
                raise ConfigurationError(
                    f"{entry.folder / file} makes no network {name!r}; return it from networks()"
                )
            edges = made[name]
        yield name, bool(network["signed"]), edges


def _made(entry: Entry, program: Path, sources: Mapping[str, Path]) -> Mapping[str, pd.DataFrame]:
    """What the entry's program returns; it runs with the user's rights, as ``prepare.py`` does."""
    spec = importlib.util.spec_from_file_location(f"lanner_networks_{entry.id.replace('-', '_')}", program)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if not hasattr(module, "networks"):
        raise ConfigurationError(f"{program} defines no networks(sources, parameters); add it")
    made: Mapping[str, pd.DataFrame] = module.networks(dict(sources), entry.prepare_parameters)
    return made


def _canonical(
    where: str, edges: pd.DataFrame, signed: bool, genes: tuple[str, ...]
) -> tuple[pd.DataFrame, dict[str, Any]]:
    for column in COLUMNS if signed else COLUMNS[:2]:
        if column not in edges:
            raise ConfigurationError(
                f"{where} has no column {column!r}; map it in networks.columns of dataset.yaml"
            )
    table = pd.DataFrame({name: edges[name].astype(str) for name in COLUMNS[:2]})
    weight = pd.to_numeric(edges["weight"], errors="coerce") if signed else pd.Series(1.0, index=edges.index)
    if not np.isfinite(weight).all():
        raise ConfigurationError(f"{where} has a weight that is no number; correct it, or set signed: false")
    table["sign"] = np.sign(weight).astype(np.int8)
    table = table[table["sign"] != 0]
    if table.duplicated(["regulator", "target"]).any():
        twice = table[table.duplicated(["regulator", "target"])].iloc[0]
        raise ConfigurationError(
            f"{where} has the edge {twice['regulator']} -> {twice['target']} twice; keep one of them"
        )
    measured = table["regulator"].isin(genes) & table["target"].isin(genes)
    kept = table[measured].sort_values(["regulator", "target"])
    if kept.empty:
        raise ConfigurationError(
            f"{where}: none of its {len(table)} edges joins measured genes; name genes as the dataset does"
        )
    facts = {
        "edges": len(kept),
        "signed": signed,
        "self_loops": int((kept["regulator"] == kept["target"]).sum()),
        "unmeasured": int((~measured).sum()),
    }
    return kept, facts
