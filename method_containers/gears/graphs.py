"""The two graphs of GEARS as edge lists: columns source, target, importance.

Thresholds and numbers of neighbours are the package's (cell-gears 0.1.2).
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd

LEAST_CORRELATION, LEAST_OVERLAP, MOST = 0.4, 0.1, 20
COLUMNS = ["source", "target", "importance"]


def coexpression(X, genes):
    """Genes whose expression correlates over the training rows: |r| > 0.4, the 20 strongest of each gene."""
    values = np.asarray(X.todense() if hasattr(X, "todense") else X, dtype=np.float64)
    values = values - values.mean(axis=0)
    length = np.linalg.norm(values, axis=0)
    values /= np.where(length > 0, length, 1)
    strength = np.abs(values.T @ values)
    np.fill_diagonal(strength, 0)
    order = np.argsort(-strength, axis=1, kind="stable")[:, :MOST]
    edges = [
        (genes[source], genes[target], strength[target, source])
        for target in range(len(genes))
        for source in order[target]
        if strength[target, source] > LEAST_CORRELATION
    ]
    return pd.DataFrame(edges, columns=COLUMNS)


def of_resources(folder, nodes):
    """The granted perturbation graph among ``nodes``, 20 strongest of each; None where none is granted.

    Gene sets (GO terms): Jaccard overlap of the sets that two genes belong to, above 0.1. Networks: the
    edges as they are, both ways, with the size of their weight.
    """
    sets, networks = sorted(folder.glob("*.gene-sets.gmt")), sorted(folder.glob("*.network.csv"))
    if not sets and not networks:
        return None
    found = {}
    for first, second, weight in [*overlaps(sets, nodes), *links(networks, nodes)]:
        for edge in ((first, second), (second, first)):
            found[edge] = max(found.get(edge, 0.0), weight)
    edges = pd.DataFrame([(*edge, weight) for edge, weight in sorted(found.items())], columns=COLUMNS)
    edges = edges.sort_values(["target", "importance", "source"], ascending=[True, False, True])
    return edges.groupby("target").head(MOST).reset_index(drop=True)


def overlaps(paths, nodes):
    """Pairs of nodes and the Jaccard overlap of their gene sets, above 0.1."""
    member = {}
    for path in paths:
        for line in path.read_text(encoding="utf-8").splitlines():
            name, _, *genes = line.split("\t")
            for gene in nodes.intersection(genes):
                member.setdefault(gene, set()).add((path.name, name))
    for first, second in combinations(sorted(member), 2):
        shared = len(member[first] & member[second])
        if shared and shared / len(member[first] | member[second]) > LEAST_OVERLAP:
            yield first, second, shared / len(member[first] | member[second])


def links(paths, nodes):
    """Edges of the network tables between two of the nodes: absolute weight, 1 where there is none."""
    for path in paths:
        table = pd.read_csv(path, dtype={"regulator": str, "target": str}, keep_default_na=False)
        weight = table["weight"].abs() if "weight" in table else pd.Series(1.0, index=table.index)
        inside = table["regulator"].isin(nodes) & table["target"].isin(nodes)
        inside &= table["regulator"] != table["target"]
        yield from zip(table["regulator"][inside], table["target"][inside], weight[inside], strict=True)


def with_loops(edges, nodes):
    """The edges and one from each node to itself, as similarity has it; so no graph is empty."""
    loops = pd.DataFrame({"source": nodes, "target": nodes, "importance": 1.0})
    return pd.concat([part for part in (edges, loops) if len(part)], ignore_index=True)
