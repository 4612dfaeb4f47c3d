"""How go-bp.gmt.gz was made: GO processes of human genes, from two SQLite files of Bioconductor 3.16.

    python make.py org.Hs.eg.sqlite GO.sqlite go-bp.gmt.gz

The files are those of Debian's packages r-bioc-org.hs.eg.db 3.16.0-1 (.deb sha256
0f61810d35b858915b1a9787d8dcab08b7e164c14c20a9e1d86eb9837308c2c2) and r-bioc-go.db 3.16.0-1 (.deb sha256
6cf9c43b97212811ecb7ad0d7cde12e76f984ab7494a59c02455239a9dd3243d), below
usr/lib/R/site-library/{org.Hs.eg.db,GO.db}/extdata/; Bioconductor's own archives hold the same tables.
"""

from __future__ import annotations

import gzip
import sqlite3
import sys
from pathlib import Path

LEFT_OUT = ("IEA", "ND", "IEP", "HEP")
"""Evidence codes: reviewed by nobody; no data; inferred from expression, which is the question here."""
SIZES = range(10, 301)
"""Genes in a set: smaller ones say little, larger ones nearly everything."""


def make(annotations: Path, ontology: Path, output: Path) -> None:
    """One line per process, sorted: GO id, name, symbols of genes annotated to it or what it includes."""
    codes = ", ".join("?" for _ in LEFT_OUT)
    with sqlite3.connect(annotations) as human:
        rows = human.execute(
            "SELECT DISTINCT go_id, symbol FROM go_bp_all JOIN gene_info USING (_id) "
            f"WHERE evidence NOT IN ({codes})",
            LEFT_OUT,
        ).fetchall()
    with sqlite3.connect(ontology) as go:
        names = dict(go.execute("SELECT go_id, term FROM go_term"))
    sets: dict[str, list[str]] = {}
    for term, symbol in rows:
        sets.setdefault(term, []).append(symbol)
    lines = [
        "\t".join([term, names[term], *sorted(genes)]) + "\n"
        for term, genes in sorted(sets.items())
        if len(genes) in SIZES
    ]
    output.write_bytes(gzip.compress("".join(lines).encode(), 9, mtime=0))


if __name__ == "__main__":
    make(*(Path(argument) for argument in sys.argv[1:4]))
