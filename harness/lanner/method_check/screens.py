"""The tiny simulated screens that ``method check`` asks its questions on, as entries of a registry."""

from __future__ import annotations

from pathlib import Path

from lanner import schemas
from lanner.tasks import Question
from lanner.tasks.questions import SCREEN

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


def write_entry(registry: Path, question: Question) -> None:
    """The question's screen as an entry of ``registry``, a folder as ``--registry`` takes it."""
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
        "prepare": {
            "file": "prepare.py",
            "parameters": {**SCREEN, **question.screen, "hidden": question.unmeasured},
        },
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
