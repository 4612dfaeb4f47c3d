"""Reactome's pathways as gene sets: symbols of human genes, without very small and very large sets."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

GENE = re.compile(r"[A-Z][A-Z0-9]+(-[A-Z0-9]+)*|C([0-9]+|X|Y)orf[0-9]+")
"""Symbols of human genes; the file also names genomes, ribosomal RNAs and proteins of viruses."""


def prepare(sources: Mapping[str, Path], parameters: Mapping[str, Any], output: Path) -> None:
    """One line per pathway of ``least`` to ``most`` genes, sorted: stable id, name, symbols."""
    (path,) = sources.values()
    lines = []
    for line in path.read_text(encoding="utf-8").splitlines():
        name, identifier, *members = line.split("\t")
        genes = sorted({member for member in members if GENE.fullmatch(member)})
        if parameters["least"] <= len(genes) <= parameters["most"]:
            lines.append("\t".join([identifier, name, *genes]) + "\n")
    output.write_text("".join(sorted(lines)), encoding="utf-8")
