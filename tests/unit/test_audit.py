"""The audit finds every planted leak, with its severity, and says nothing of a clean dataset."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from click.testing import CliRunner
from lanner.audit import CHECKS, Severity, audit
from lanner.audit.design import cramers_v
from lanner.audit.genes import ALIASES, canonical_gene, guided_gene
from lanner.audit.labels import label_findings
from lanner.cli import lanner
from lanner.datasets import Dataset
from lanner.matrix import Matrix, write_matrix
from lanner.records import COMBINATION, CONTROL, Condition, ControlPolicy, Split
from lanner.splits import resolve

GENES = [f"GENE{letter}" for letter in "ABCDEFGHIJ"]
DOUBLES = ("GENEA+GENEB", "GENEC+GENED", "GENEE+GENEF")


@dataclass
class Entry:
    kind: str = "cells"
    context_columns: tuple[str, ...] = ("line",)


@dataclass
class World:
    """A dataset in memory, clean until something is planted: labels, contexts, batches and X by cell."""

    perturbation: np.ndarray
    context: np.ndarray
    batch: np.ndarray
    values: np.ndarray
    dose: np.ndarray
    folder: Path
    entry: Entry = field(default_factory=Entry)
    content: str = "0" * 64

    @property
    def obs(self) -> pd.DataFrame:
        label = [f"{p}@{d}" if d else p for p, d in zip(self.perturbation, self.dose, strict=True)]
        return pd.DataFrame(
            {
                "perturbation": self.perturbation,
                "line": self.context,
                "context": self.context,
                "batch": self.batch,
                "condition": [f"{a}|{b}" for a, b in zip(label, self.context, strict=True)],
            },
            index=[f"cell{i}" for i in range(len(self.perturbation))],
        ).astype(str)

    @property
    def conditions(self) -> tuple[Condition, ...]:
        rows = zip(self.perturbation, self.context, self.dose, strict=True)
        found = pd.Series(list(rows)).value_counts()
        made = [
            Condition(
                perturbation=p,
                targets=tuple(p.split(COMBINATION)),
                context=(c,),
                dose=d,
                n_cells=int(n),
            )
            for (p, c, d), n in found.items()
            if p != CONTROL
        ]
        return tuple(sorted(made, key=lambda condition: condition.id))

    @property
    def contexts(self) -> tuple[str, ...]:
        return tuple(sorted(set(self.context)))

    def X(self) -> Matrix:  # noqa: N802
        if not self.folder.exists():
            write_matrix(self.folder, self.values.shape[1], [sp.csr_matrix(self.values)], sparse=True)
        return Matrix(self.folder, self.values.shape[1])

    def rows(self, label: str, context: str = "K562") -> np.ndarray:
        return np.flatnonzero((self.perturbation == label) & (self.context == context))

    def rename(self, old: str, new: str, rows: np.ndarray | None = None) -> None:
        self.perturbation[self.perturbation == old if rows is None else rows] = new


@dataclass
class Labels:
    """What the checks of labels read of a dataset."""

    conditions: tuple[Condition, ...]
    entry: Entry = field(default_factory=Entry)


def clean_world(folder: Path) -> World:
    random = np.random.default_rng(5)
    perturbation, context = [], []
    for line in ("K562", "RPE1"):
        for label in (*GENES, *DOUBLES):
            perturbation += [label] * 50
            context += [line] * 50
        perturbation += [CONTROL] * 150
        context += [line] * 150
    n = len(perturbation)
    return World(
        perturbation=np.array(perturbation, dtype=object),
        context=np.array(context, dtype=object),
        batch=np.array([f"lane{i}" for i in random.integers(0, 3, n)], dtype=object),
        values=random.poisson(2.0, (n, 120)).astype(np.float32),
        dose=np.array([""] * n, dtype=object),
        folder=folder,
    )


def split_of(world: World, test: Callable[[Condition], bool], design: str, **parameters: Any) -> Split:
    ids = [c.id for c in world.conditions]
    tested = tuple(sorted(c.id for c in world.conditions if test(c)))
    return Split(
        id=design,
        design={"id": design, "parameters": parameters, "seed": 0},
        dataset={"id": "world", "version": "1", "content": world.content},
        train=tuple(sorted(set(ids) - set(tested))),
        valid=(),
        test=tested,
        controls=dict.fromkeys(world.contexts, ControlPolicy.HALVED),
    )


def unseen(world: World, *targets: str) -> Split:
    """A strict split that tests the singles of ``targets`` and drops their doubles."""
    split = split_of(world, lambda c: c.perturbation in targets, "unseen-perturbation", strictness="strict")
    by_id = {c.id: c for c in world.conditions}
    return replace(split, train=tuple(n for n in split.train if not set(targets) & set(by_id[n].targets)))


def unseen_double(world: World) -> Split:
    return split_of(world, lambda c: c.perturbation == DOUBLES[0], "unseen-combination")


def unseen_context(world: World) -> Split:
    return split_of(world, lambda c: c.context == ("RPE1",), "unseen-context", mode="whole")


@pytest.fixture
def world(tmp_path: Path) -> World:
    return clean_world(tmp_path / "X")


def checks(world: World, split: Split, source: Path | None = None) -> dict[str, Severity]:
    return {found.check: found.severity for found in audit(world, split, source=source)}  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "make", [lambda w: unseen(w, "GENEJ", "GENEI"), unseen_double, unseen_context, lambda w: simulation(w)]
)
def test_a_clean_world_has_no_findings(world, make):
    assert checks(world, make(world)) == {}


def test_the_embedded_dataset_is_clean_in_all_its_recommended_splits(simulated: Dataset):
    for split in resolve(simulated):
        assert audit(simulated, split) == ()


# Planted leaks. Each takes a clean world and returns a split (and maybe a source file) that hides one.


def shared_target(world: World) -> Split:
    split = unseen(world, "GENEA", "GENEI")
    return replace(split, train=tuple(sorted((*split.train, "GENEA+GENEB|K562"))))


def simulation(world: World) -> Split:
    """GEARS' simulation: GENEA held out with its double, and a double of two targets that are seen."""
    split = split_of(
        world, lambda c: "GENEA" in c.targets or c.perturbation == DOUBLES[1], "unseen-target", request="all"
    )
    by_id = {c.id: c for c in world.conditions}
    assert {by_id[name].perturbation for name in split.test} == {"GENEA", *DOUBLES[:2]}
    return split


def target_of_a_single(world: World) -> Split:
    split = simulation(world)
    leaking = "GENEA+GENEB|K562"
    return replace(
        split,
        train=tuple(sorted((*split.train, leaking))),
        test=tuple(name for name in split.test if not name.startswith(DOUBLES[0])),
    )


def synonym_of_a_single(world: World) -> Split:
    world.rename(DOUBLES[2], "genea+GENEE")
    return simulation(world)


def case_synonym(world: World) -> Split:
    world.rename("GENEA", "GeneJ")
    return unseen(world, "GENEJ")


def suffix_synonym(world: World) -> Split:
    world.rename("GENEI", "GENEJ.1")
    return unseen(world, "GENEJ")


def alias_synonym(world: World) -> Split:
    world.rename("GENEI", "PD-L1")
    world.rename("GENEJ", "CD274")
    return unseen(world, "CD274")


def renamed_double(world: World) -> Split:
    world.rename(DOUBLES[0], "GENEA+geneb", world.rows(DOUBLES[0], "RPE1"))
    return split_of(world, lambda c: c.perturbation == DOUBLES[0], "unseen-combination")


def guides(world: World) -> Split:
    world.rename("GENEI", "KLF1_sg1")
    world.rename("GENEJ", "KLF1_sg2")
    return unseen(world, "KLF1_sg2")


def trained_elsewhere(world: World) -> Split:
    return split_of(world, lambda c: c.id == "GENEA+GENEB|K562", "unseen-combination")


def other_dose(world: World) -> Split:
    world.dose[world.rows("GENEJ")] = "10"
    world.dose[world.rows("GENEJ")[:25]] = "1"
    return split_of(world, lambda c: c.id == "GENEJ@10|K562", "unseen-context", mode="pairs")


def superset(world: World) -> Split:
    world.rename("GENEI", "GENEA+GENEB+GENEH")
    return unseen_double(world)


def valid_target(world: World) -> Split:
    split = unseen(world, "GENEA", "GENEI")
    return replace(split, valid=("GENEA+GENEB|K562",))


def twin_contexts(world: World) -> Split:
    world.context[world.context == "RPE1"] = "k-562"
    return split_of(world, lambda c: c.context == ("k-562",), "unseen-context", mode="whole")


def derived_context(world: World) -> Split:
    world.entry = Entry(context_columns=("leiden",))
    return unseen_context(world)


def no_controls(world: World) -> Split:
    world.rename(CONTROL, "GENEH", world.rows(CONTROL, "RPE1"))
    return unseen_context(world)


def few_controls(world: World) -> Split:
    world.rename(CONTROL, "GENEH", world.rows(CONTROL, "RPE1")[:100])
    return unseen_context(world)


def small_conditions(world: World) -> Split:
    world.rename("GENEJ", "GENEH", world.rows("GENEJ")[:35])
    return unseen(world, "GENEJ")


def batch_of_its_own(world: World) -> Split:
    for line in ("K562", "RPE1"):
        world.batch[world.rows("GENEJ", line)] = "lane9"
    return unseen(world, "GENEJ")


def batch_of_some(world: World) -> Split:
    world.batch[world.rows("GENEJ")] = "lane9"
    return unseen(world, "GENEJ")


def duplicate_cells(world: World) -> Split:
    world.values[world.rows("GENEJ")[0]] = world.values[world.rows("GENEA")[0]]
    return unseen(world, "GENEJ")


def duplicate_of_a_control(world: World) -> Split:
    world.values[world.rows("GENEJ")[:20]] = world.values[world.rows(CONTROL)[0]]
    world.values[world.rows(CONTROL)] = world.values[world.rows(CONTROL)[0]]
    return unseen(world, "GENEJ")


def near_duplicate_cells(world: World) -> Split:
    noise = np.random.default_rng(0).normal(1, 0.01, world.values.shape[1])
    world.values[world.rows("GENEJ")[0]] = world.values[world.rows("GENEA")[0]] * noise
    return unseen(world, "GENEJ")


def two_parts(world: World) -> Split:
    split = unseen_context(world)
    return replace(split, train=tuple(sorted((*split.train, split.test[0]))))


def stale_split(world: World) -> Split:
    return replace(unseen_context(world), dataset={"id": "world", "version": "1", "content": "1" * 64})


def unknown_condition(world: World) -> Split:
    split = unseen_context(world)
    return replace(split, test=(*split.test, "GENEZ|K562"))


def marked_design(world: World) -> Split:
    split = split_of(world, lambda c: c.perturbation == "GENEJ", "graded-similarity")
    return replace(split, id="graded-similarity/s050")


ERROR, WARNING, NOTE = Severity.ERROR, Severity.WARNING, Severity.NOTE
LEAKS = [
    (shared_target, "shared-target", ERROR),
    (target_of_a_single, "shared-target", ERROR),
    (synonym_of_a_single, "synonym", ERROR),
    (case_synonym, "synonym", ERROR),
    (suffix_synonym, "synonym", ERROR),
    (alias_synonym, "synonym", ERROR),
    (renamed_double, "synonym", ERROR),
    (guides, "guides", WARNING),
    (trained_elsewhere, "same-perturbation", ERROR),
    (other_dose, "other-dose", WARNING),
    (superset, "superset", WARNING),
    (valid_target, "valid-target", WARNING),
    (twin_contexts, "twin-contexts", ERROR),
    (derived_context, "derived-context", WARNING),
    (no_controls, "no-controls", ERROR),
    (few_controls, "few-controls", NOTE),
    (small_conditions, "small-conditions", WARNING),
    (batch_of_its_own, "batch-confounding", ERROR),
    (batch_of_some, "batch-confounding", WARNING),
    (duplicate_cells, "duplicate-cells", ERROR),
    (duplicate_of_a_control, "duplicate-cells", ERROR),
    (near_duplicate_cells, "near-duplicate-cells", WARNING),
    (two_parts, "two-parts", ERROR),
    (stale_split, "stale-split", ERROR),
    (unknown_condition, "unknown-condition", ERROR),
    (marked_design, "marked-design", NOTE),
]


@pytest.mark.parametrize(("plant", "check", "severity"), LEAKS, ids=[leak[0].__name__ for leak in LEAKS])
def test_a_planted_leak_is_found_and_nothing_else_is(world, plant, check, severity):
    split = plant(world)
    found = checks(world, split)
    assert found.pop(check) == severity
    # A condition in two parts has its cells on both sides, and its perturbation too.
    assert not found or plant in (two_parts, small_conditions, other_dose), found


def test_drugs_and_cell_types_that_differ_in_a_sign_are_not_one(world):
    world.context[world.context == "RPE1"] = "CD4-"
    world.context[world.context == "K562"] = "CD4"
    split = split_of(world, lambda c: c.context == ("CD4-",), "unseen-context", mode="whole")
    assert checks(world, split) == {}
    world.rename("GENEI", "drug 0.1")
    world.rename("GENEJ", "drug 0")
    labels = [replace(c, targets=()) if "drug" in c.perturbation else c for c in world.conditions]
    split = split_of(world, lambda c: c.perturbation == "drug 0", "unseen-perturbation")
    assert list(label_findings(Labels(tuple(labels)), split)) == []  # type: ignore[arg-type]


def test_features_of_the_published_file_are_named_and_drawn_from_every_place(world, tmp_path):
    adata = ad.AnnData(np.zeros((4, 3), dtype=np.float32))
    assert checks(world, unseen_context(world), write(adata, tmp_path / "plain.h5ad")) == {}
    adata.obsm["X_umap"] = np.zeros((4, 2))
    adata.varm["PCs"] = np.zeros((3, 2))
    adata.uns["rank_genes_groups"] = {"names": np.array(["a"])}
    adata.var["highly_variable"] = True
    adata.obs["leiden"] = "1"
    adata.uns["leiden_colors"] = np.array(["red"])
    (found,) = audit(world, unseen_context(world), source=write(adata, tmp_path / "fitted.h5ad"))
    assert (found.check, found.severity, found.n) == ("source-features", NOTE, 5)
    assert set(found.examples) == {
        "obs/leiden",
        "obsm/X_umap",
        "uns/rank_genes_groups",
        "var/highly_variable",
        "varm/PCs",
    }


def write(adata: ad.AnnData, path: Path) -> Path:
    adata.write_h5ad(path)
    return path


def test_every_check_is_planted_somewhere():
    assert {check for _, check, _ in LEAKS} | {"source-features"} == set(CHECKS)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("CD274", "Pd-l1"),
        ("NKX2-1", "NKX2.1"),
        ("ENSG00000141510.18", "ensg00000141510"),
        ("TP53.1", "p53"),
        ("SEPT2", "SEPTIN2"),
        ("MARCH1", "MARCHF1"),
        ("PU.1", "SPI1"),
    ],
)
def test_spellings_of_one_gene_have_one_canonical_name(one, other):
    assert canonical_gene(one) == canonical_gene(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [("RP11-34P13.7", "RP11-34P13.8"), ("AC000.1", "AC000.2"), ("KLF1", "KLF2"), ("HLA-A", "HLA-B")],
)
def test_two_genes_keep_two_names(one, other):
    assert canonical_gene(one) != canonical_gene(other)


def test_the_alias_table_is_written_in_canonical_form_and_names_nothing_twice():
    names = [name for symbol, aliases in ALIASES.items() for name in (symbol, *aliases)]
    assert len(names) == len(set(names))
    assert all(canonical_gene(name) == symbol for symbol, names in ALIASES.items() for name in names)


def test_guides_are_told_by_their_number():
    assert guided_gene("KLF1_sg2") == guided_gene("KLF1-1") == "KLF1"
    assert guided_gene("KLF1") is None and guided_gene("GENEA") is None


def test_association_is_zero_by_chance_and_one_when_batch_is_the_part():
    random = np.random.default_rng(0)
    part = random.random(2000) < 0.3
    assert cramers_v(random.integers(0, 4, 2000), part) < 0.05
    assert cramers_v(part.astype(str), part) == pytest.approx(1, abs=1e-3)


def test_the_command_line_audits_a_saved_split_and_ends_with_2_on_errors(
    simulated: Dataset, shared_settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("LANNER_HOME", str(shared_settings.home))
    arguments = ["split", "audit", "--dataset", "simulated", "--json"]
    clean = CliRunner().invoke(lanner, arguments)
    assert clean.exit_code == 0
    assert [item["findings"] for item in json.loads(clean.stdout)] == [[], [], []]
    split = resolve(simulated, "unseen-perturbation")[0]
    leaking = replace(split, train=tuple(sorted((*split.train, split.test[0]))))
    (tmp_path / "mine.json").write_text(json.dumps(leaking.to_json()))
    result = CliRunner().invoke(lanner, [*arguments, "--split", str(tmp_path / "mine.json")])
    assert result.exit_code == 2
    (item,) = json.loads(result.stdout)
    found = {finding["check"]: finding for finding in item["findings"]}
    assert found["two-parts"]["severity"] == "error" and found["two-parts"]["examples"] == [split.test[0]]
    plain = CliRunner().invoke(lanner, ["split", "audit", "--dataset", "simulated"])
    assert plain.exit_code == 0 and "nothing found" in plain.stdout
