"""Names that other benchmarks give to their splits: each a design of ours with parameters, and its source.

A name means the *rule*: the draw is ours, because NumPy's generators and the order of a file's labels, which
the originals depend on, are not part of a question. Where a rule cannot be kept either, ``differs`` says how.
An artefact carries the id and the hash of the design behind the name, so that runs are shared.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lanner.registry import Registry


@dataclass(frozen=True, kw_only=True)
class Alias:
    """A design with parameters under another benchmark's name; parameters and seed given beside it win."""

    design: str
    source: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    differs: str = ""


ALIASES: Registry[Alias] = Registry("split name")

GEARS = "GEARS 0.1.2, DataSplitter, Roohani 2024, doi:10.1038/s41587-023-01905-6"
SEEN = "a single in the validation part is not seen: levels count what is in train, GEARS' count both"
HALF_OF_30 = 0.15 / 0.85
"""PerturBench cuts the 30 % it holds out into halves, test and validation; ours is a share of the rest."""
PERTURBENCH = "PerturBench, Wu 2024, arXiv:2408.10609"
PEREGGRN = "PEREGGRN, Kernfeld 2025, doi:10.1186/s13059-025-03840-y"

for _name, _alias in {
    "gears-simulation": Alias(
        design="unseen-target", parameters={"valid_fraction": 0.1}, source=GEARS, differs=SEEN
    ),
    "systema": Alias(
        design="unseen-target",
        parameters={"valid_fraction": 0.1, "request": "singles", "repeats": 3},
        source="Systema, 2025: GEARS simulation, seeds 1 to 3, unseen single genes reported",
    ),
    "csendes": Alias(
        design="unseen-target",
        parameters={"valid_fraction": 0.1},
        seed=1,
        source="Csendes 2025, BMC Genomics 26:393: GEARS simulation, seed 1",
        differs=SEEN,
    ),
    "wong": Alias(
        design="unseen-perturbation",
        parameters={"folds": 4, "valid_fraction": 1 / 3, "request": "all", "strictness": "label"},
        source="Wong 2025, doi:10.1093/bioinformatics/btaf317: 4 folds, two train, one valid, one test",
    ),
    "zhu-leave-one-context-out": Alias(
        design="unseen-context",
        parameters={"mode": "whole"},
        source="Zhu 2025, Briefings in Bioinformatics: the stimulated cells of one type in turn",
    ),
    "perturbench-transfer": Alias(
        design="unseen-context",
        parameters={
            "max_heldout_contexts": 1,
            "min_train_contexts": 1,
            "max_heldout_fraction_per_context": 0.3,
            "max_heldout_per_context": 200,
            "valid_share_of_heldout": 0.5,
        },
        source=PERTURBENCH,
        differs="controls are halved, not cut 50/25/25; a context's only held-out pair is tested, not lost; "
        "shares of a context are rounded down",
    ),
    "perturbench-combination": Alias(
        design="unseen-combination",
        parameters={"fraction": 0.15, "valid_fraction": HALF_OF_30},
        source=PERTURBENCH,
        differs="the configuration's 30 %, not the 70 % of the text; in every context, not drawn in each",
    ),
    "perturbench-combination-inverse": Alias(
        design="combination-to-single",
        parameters={
            "fraction": 0.15,
            "valid_fraction": HALF_OF_30,
            "candidates": "all",
            "partners_stay": True,
        },
        source=PERTURBENCH,
        differs="singles are held out in every context, not drawn in each",
    ),
    "ahlmann-eltze": Alias(
        design="unseen-combination",
        parameters={"fraction": 0.5, "repeats": 5},
        source="Ahlmann-Eltze 2025, doi:10.1038/s41592-025-02772-6: half of the doubles, five draws",
    ),
    "miller-singles": Alias(
        design="unseen-perturbation",
        parameters={"folds": 5, "valid_fraction": 0.1375},
        source="Miller 2025, doi:10.1101/2025.10.20.683304: 5 folds of the singles",
    ),
    "miller-combinations": Alias(
        design="unseen-combination",
        parameters={"folds": 2, "valid_fraction": 0.5},
        source="Miller 2025, doi:10.1101/2025.10.20.683304: 2 folds of the combinations",
    ),
    "pertevals-graded": Alias(
        design="graded-similarity",
        parameters={"similarity": "negative-l2", "steps": 8, "highest": 0.7, "repeats": 3},
        source="PertEval-scFM, ICML 2025: SPECTRA with s from 0 to 0.7 and three draws",
        differs="effects are differences of means on the scale of X, not of log2 means",
    ),
    "pereggrn-interventional": Alias(
        design="unseen-perturbation",
        parameters={"strictness": "label", "request": "all", "fraction": 0.5},
        source=PEREGGRN,
        differs="unmeasured targets may be tested, and control labels are no part of the fraction",
    ),
    "pereggrn-simple": Alias(
        design="stratified-cells",
        parameters={"fraction": 0.5},
        source=PEREGGRN,
        differs="cells are drawn within each condition, not over all, so that each has some in both parts",
    ),
    "pereggrn-genetic-interaction": Alias(
        design="unseen-combination", parameters={"fraction": 1.0}, source=PEREGGRN
    ),
    "pereggrn-demultiplexing": Alias(
        design="combination-to-single",
        parameters={"fraction": 1.0, "candidates": "all"},
        source=PEREGGRN,
    ),
    "pereggrn-stratified": Alias(
        design="stratified-cells",
        parameters={"fraction": 0.5},
        source=PEREGGRN,
        differs="controls are cut in halves, as everywhere",
    ),
    "pereggrn-custom": Alias(
        design="custom",
        source=PEREGGRN,
        differs="conditions are listed, not observations, and a list that cannot be is refused",
    ),
    "pereggrn-timeseries": Alias(
        design="time",
        source=PEREGGRN,
        differs="one dataset with a time column is cut, not two files; early perturbed cells may train",
    ),
}.items():
    ALIASES.add(_name, _alias)


def named(design: Mapping[str, Any]) -> dict[str, Any]:
    """The design behind a name: its own fields win over the name's parameters and seed."""
    alias = ALIASES[design["id"]]
    return {
        "id": alias.design,
        "parameters": {**alias.parameters, **(design.get("parameters") or {})},
        "seed": design.get("seed", alias.seed),
    }
