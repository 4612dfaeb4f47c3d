"""Checks of what labels mean: the same perturbation, gene or context under two names, on both sides."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from lanner.audit.findings import Finding, Severity, finding
from lanner.audit.genes import canonical_gene, guided_gene
from lanner.records import Condition, Split
from lanner.splits import is_combination, parts

if TYPE_CHECKING:
    from lanner.datasets import Dataset

CLUSTERS = re.compile(r"(leiden|louvain|seurat_clusters?|clusters?|kmeans|phenograph)([-_. 0-9].*)?", re.I)
"""Names of obs columns that clustering programs write."""

Genes = frozenset[str]


def label_findings(dataset: Dataset, split: Split) -> Iterator[Finding]:
    """What the labels of train and test say about each other."""
    by_id = {condition.id: condition for condition in dataset.conditions}
    train, valid, test = ([by_id[name] for name in part] for part in (split.train, split.valid, split.test))
    yield from _contexts(dataset, train, test)
    if split.cells is not None:
        return
    promised = [condition for condition in test if promises_unseen_targets(split, condition)]
    if promised:
        yield from _targets(train, valid, promised)
    elif asked(split)[0] == "custom":
        yield from _shared_note(train, test)
    yield from _perturbations(split, train, test)
    yield from _doses(train, test)
    yield from _supersets(train, test)


def promises_unseen_targets(split: Split, tested: Condition) -> bool:
    """Whether the design says that the targets of a tested condition occur in no train condition at all.

    GEARS' simulation says so of its singles; of the targets of a combination some may have been seen.
    """
    design, parameters = asked(split)
    if design == "unseen-target":
        return not is_combination(tested)
    return design == "unseen-perturbation" and parameters.get("strictness", "strict") == "strict"


def asked(split: Split) -> tuple[str, Mapping[str, Any]]:
    """The design that asks the question: for data-scaling its base."""
    design, parameters = str(split.design["id"]), split.design["parameters"]
    if design == "data-scaling":
        return parameters["base"], parameters["base_parameters"]
    return design, parameters


def canonical(condition: Condition) -> Genes:
    """Canonical genes of a condition, or the parts of its label where there are no gene targets."""
    return frozenset(_canonical(condition, part) for part in parts(condition))


def _canonical(condition: Condition, part: str) -> str:
    """Drugs and cytokines are told apart by what a gene's name may vary in: ``x 0.1`` is not ``x 0``."""
    return canonical_gene(part) if condition.targets else part.strip().lower()


def _spellings(conditions: Iterable[Condition]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for condition in conditions:
        for part in parts(condition):
            found.setdefault(_canonical(condition, part), set()).add(part)
    return found


def _targets(train: list[Condition], valid: list[Condition], test: list[Condition]) -> Iterator[Finding]:
    tested, trained, kept = _spellings(test), _spellings(train), _spellings(valid)
    shared = {name for gene in tested.keys() & trained.keys() for name in tested[gene] & trained[gene]}
    if shared:
        message = f"{len(shared)} held-out targets are part of train conditions, and the design says none is"
        yield finding("shared-target", Severity.ERROR, message, shared)
    pairs = {
        f"{one} = {other}"
        for gene in tested.keys() & trained.keys()
        for one in tested[gene]
        for other in trained[gene] - tested[gene]
    }
    if pairs:
        message = f"{len(pairs)} held-out targets are trained on under another name of the same gene"
        yield finding("synonym", Severity.ERROR, message, pairs)
    in_valid = {name for gene in tested.keys() & kept.keys() for name in tested[gene]}
    if in_valid:
        message = f"{len(in_valid)} held-out targets are part of validation conditions"
        yield finding("valid-target", Severity.WARNING, message, in_valid)
    yield from _guides(train, test)


def _guides(train: list[Condition], test: list[Condition]) -> Iterator[Finding]:
    def by_gene(conditions: list[Condition]) -> dict[str, set[str]]:
        found: dict[str, set[str]] = {}
        for condition in conditions:
            for part in parts(condition):
                gene = guided_gene(part) if condition.targets else None
                if gene is not None:
                    found.setdefault(gene, set()).add(part)
        return found

    tested, trained = by_gene(test), by_gene(train)
    pairs = {
        f"{one} / {other}"
        for gene in tested.keys() & trained.keys()
        for one in tested[gene]
        for other in trained[gene] - tested[gene]
    }
    if pairs:
        message = f"{len(pairs)} pairs of labels look like guides of one gene"
        yield finding("guides", Severity.WARNING, message, pairs)


def _shared_note(train: list[Condition], test: list[Condition]) -> Iterator[Finding]:
    """A design that lets targets be shared says so by its name; a list does not."""
    trained = _spellings(train)
    shared = {condition.perturbation for condition in test if canonical(condition) & trained.keys()}
    if shared:
        message = f"{len(shared)} tested perturbations share a target with train conditions"
        yield finding("shared-target", Severity.NOTE, message, shared)


def _perturbations(split: Split, train: list[Condition], test: list[Condition]) -> Iterator[Finding]:
    """The same set of genes under two labels; under one label where the design holds labels out."""
    within = asked(split)[0] in ("unseen-context", "time", "custom")
    trained: dict[tuple[Genes, str], set[str]] = {}
    for condition in train:
        trained.setdefault((canonical(condition), condition.context_id if within else ""), set()).add(
            condition.perturbation
        )
    same, renamed = set(), set()
    for condition in test:
        key = canonical(condition), condition.context_id if within else ""
        for label in trained.get(key, ()):
            if label == condition.perturbation:
                same.add(condition.perturbation)
            elif not promises_unseen_targets(split, condition):
                renamed.add(f"{condition.perturbation} = {label}")
    if same and not within:
        message = f"{len(same)} tested perturbations are trained on, and the design says none is"
        yield finding("same-perturbation", Severity.ERROR, message, same)
    if renamed:
        message = f"{len(renamed)} tested perturbations are trained on under another label of the same genes"
        yield finding("synonym", Severity.ERROR, message, renamed)


def _doses(train: list[Condition], test: list[Condition]) -> Iterator[Finding]:
    trained = {(c.perturbation, c.context_id): c for c in train}
    siblings = {
        f"{c.id} and {trained[c.perturbation, c.context_id].id}"
        for c in test
        if c.dose and (c.perturbation, c.context_id) in trained
    }
    if siblings:
        message = f"{len(siblings)} tested conditions are trained on at another dose in the same context"
        yield finding("other-dose", Severity.WARNING, message, siblings)


def _supersets(train: list[Condition], test: list[Condition]) -> Iterator[Finding]:
    higher = [(canonical(c), c) for c in train if len(parts(c)) > 2]
    found = {
        f"{c.perturbation} in {other.perturbation}"
        for c in test
        if len(parts(c)) > 1
        for genes, other in higher
        if canonical(c) < genes and other.context_id == c.context_id
    }
    if found:
        message = f"{len(found)} tested combinations are part of larger train combinations"
        yield finding("superset", Severity.WARNING, message, found)


def _contexts(dataset: Dataset, train: list[Condition], test: list[Condition]) -> Iterator[Finding]:
    names: dict[str, set[str]] = {}
    for context in {c.context_id for c in (*train, *test)}:
        # A minus at the end means something: CD4- is not CD4.
        plain = re.sub(r"[^a-z0-9+|-]|-(?=[a-z0-9])", "", context.lower())
        names.setdefault(plain, set()).add(context)
    tested = {c.context_id for c in test}
    twins = {" = ".join(sorted(same)) for same in names.values() if len(same) > 1 and same & tested}
    if twins:
        message = f"{len(twins)} groups of contexts differ in case or punctuation only"
        yield finding("twin-contexts", Severity.ERROR, message, twins)
    derived = [name for name in dataset.entry.context_columns if CLUSTERS.fullmatch(name)]
    if derived:
        message = "contexts look like clusters of all cells: those of tested cells were made from their own X"
        yield finding("derived-context", Severity.WARNING, message, derived)
