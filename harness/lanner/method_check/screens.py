"""The questions ``method check`` puts: tiny simulated datasets and a split of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lanner import schemas

PREPARE = '''"""A simulated screen, some of whose targets are not measured."""

from lanner import simulator
from lanner.h5ad.source import SourceFile, write_source


def prepare(sources, parameters, output):
    """Write the screen; ``hidden`` targets are left out of the genes."""
    hidden = parameters.pop("hidden", 0)
    whole = output.with_suffix(".whole")
    simulator.write(simulator.Simulation(**parameters), whole)
    with SourceFile(whole) as source:
        targets = sorted({part for label in source.obs["perturbation"] for part in label.split("+")})
        targets = [name for name in targets if name in source.var.index]
        keep = ~source.var.index.isin(targets[len(targets) - hidden :])
        layers = zip(source.blocks(), source.blocks("counts"), strict=True)
        blocks = ({None: X[:, keep], "counts": counts[:, keep]} for (_, _, X), (_, _, counts) in layers)
        write_source(output, source.obs, source.var.index[keep], blocks)
    whole.unlink()
'''
SIZE: Mapping[str, Any] = {
    "n_perturbations": 12,
    "n_combinations": 6,
    "n_cells_per_condition": 24,
    "n_controls": 120,
    "n_genes": 80,
    "cell_types": 2,
    "n_batches": 1,
    "seed": 7,
}


@dataclass(frozen=True, kw_only=True)
class Question:
    """A tiny dataset, ``size`` being the simulator's arguments, and a split design."""

    name: str
    says: str
    split: Mapping[str, Any]
    size: Mapping[str, Any]


def _question(name: str, says: str, split: Mapping[str, Any], **changes: Any) -> Question:
    return Question(name=name, says=says, split=split, size={**SIZE, **changes})


QUESTIONS = (
    _question("ordinary", "unseen perturbations, all targets measured", {"id": "unseen-perturbation"}),
    _question("combinations", "unseen doubles", {"id": "unseen-combination"}),
    _question(
        "contexts", "perturbations unseen in one of six cell types", {"id": "unseen-context"}, cell_types=6
    ),
    _question("unmeasured", "targets that are not among the genes", {"id": "unseen-perturbation"}, hidden=6),
    _question(
        "single",
        "one perturbation, unseen in one of three cell types",
        {"id": "unseen-context", "parameters": {"mode": "whole"}},
        cell_types=3,
        n_perturbations=1,
        n_combinations=0,
    ),
)


def write_entry(registry: Path, question: Question) -> None:
    """The question's dataset as an entry of ``registry``, a folder as ``--registry`` takes it."""
    folder = registry / "datasets_registry" / question.name
    folder.mkdir(parents=True)
    (registry / "method_containers").mkdir(exist_ok=True)
    document = {
        "id": question.name,
        "version": 1,
        "title": question.says,
        "organism": "none",
        "assay": "lanner.simulator",
        "perturbation_kind": "simulated",
        "kind": "cells",
        "scale": "log1p-cp10k",
        "licence": "MIT",
        "citation": {"text": "Lanner's own simulator.", "reason": "generated data"},
        "embedded": True,
        "prepare": {"file": "prepare.py", "parameters": dict(question.size)},
        "obs": {
            "perturbation": "perturbation",
            "combination_delimiter": "+",
            "context": ["cell_type"],
            "targets": "perturbation",
        },
        "genes": {"identifier": "symbol"},
        "counts_layer": "counts",
    }
    schemas.check(document, "dataset", question.name)
    (folder / "dataset.yaml").write_text(schemas.dump_yaml(document), encoding="utf-8")
    (folder / "prepare.py").write_text(PREPARE, encoding="utf-8")
