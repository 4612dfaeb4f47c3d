"""The sealed side of a split: held-out cells, both control halves, halvings and train-fitted references.

Everything a score is measured against is computed here, once per dataset and split, on train cells or on
the truth itself as metrics.md sections 1 and 5 prescribe, and is shared by all methods and bounds. The
folder lives under ``$LANNER_HOME/truth`` (mode 0700), is never below a mounted folder, and is rebuilt from
dataset and split when absent.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lanner.errors import InfrastructureError
from lanner.matrix import Matrix, MatrixWriter
from lanner.owner import token
from lanner.records import Condition, ControlPolicy, Request, Split, derived_seed
from lanner.references import write_references
from lanner.splits import cell_parts
from lanner.store import disk_error, write_json

if TYPE_CHECKING:
    import scipy.sparse as sp

    from lanner.datasets import Dataset

Array = np.ndarray[Any, Any]

FORMAT = "lanner-truth/2"
HALVINGS = 20
"""R of metrics.md section 1: saved halvings of each held-out condition's cells."""
TRAIN_CELLS = 2_000
"""Train perturbed cells kept of each context, a seeded subset of more: a bound draws from them."""
TEST, CONTROL_A, CONTROL_B, TRAIN = 0, 1, 2, 3


class Truth:
    """A sealed truth folder, opened for scoring. Attributes are float64 unless they say otherwise.

    ``requests`` (C of them) are in the order of requests.csv; ``contexts`` (K) are those of the requests.
    ``control_a`` and ``control_b`` are the mean profiles ``(K, n_genes)`` of the staged and of the sealed
    controls: the reference of every prediction and that of the truth; equal where ``shared_control``.
    ``train_mean`` averages train perturbation centroids with equal weight, ``train_mean_cells`` train
    perturbed cells; both of the request's context where it has a train perturbation, else of all contexts.
    ``full`` ``(C, n_genes)`` is each condition's centroid over all its cells. ``targets`` is bool
    ``(C, n_genes)``. ``pca`` is ``(mean, components)`` fitted on train cells, None for profiles.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            self._open()
        except (OSError, ValueError, KeyError) as error:
            raise InfrastructureError(
                f"{folder} is not a sealed truth of {FORMAT} ({error}); remove the folder and try again"
            ) from None

    def _open(self) -> None:
        folder = self.folder
        document = json.loads((folder / "truth.json").read_text(encoding="utf-8"))
        if document["format"] != FORMAT:
            raise ValueError(f"its format is {document['format']}")
        self.split = Split.from_json(document["split"])
        self.task: str = document["task"]
        self.kind: str = document["kind"]
        self.scale: str = document["scale"]
        self.genes: tuple[str, ...] = tuple(document["genes"])
        self.contexts: tuple[str, ...] = tuple(document["contexts"])
        self.requests = tuple(
            Request(request_id=item["request_id"], condition=_condition(item["condition"]))
            for item in document["requests"]
        )
        self.halvings: int = document["halvings"]
        self.shared_control = np.array(document["shared_control"], dtype=bool)
        index = {context: k for k, context in enumerate(self.contexts)}
        self.context_of = np.array([index[r.condition.context_id] for r in self.requests], dtype=np.int64)
        genes = {gene: g for g, gene in enumerate(self.genes)}
        self.targets = np.zeros((len(self.requests), len(self.genes)), dtype=bool)
        for i, request in enumerate(self.requests):
            self.targets[i, [genes[target] for target in request.condition.targets if target in genes]] = True
        with np.load(folder / "references.npz", allow_pickle=False) as arrays:
            self.control_a: Array = arrays["control_a"]
            self.control_b: Array = arrays["control_b"]
            self.train_mean: Array = arrays["train_mean"]
            self.train_mean_cells: Array = arrays["train_mean_cells"]
            self.full: Array = arrays["full"]
            self.pca = (arrays["pca_mean"], arrays["pca_components"]) if "pca_mean" in arrays else None
            self._others, self._additive = (
                _Indexed(arrays[f"{name}_of"], arrays[f"{name}_mean"], arrays[f"{name}_variance"])
                for name in ("others", "additive")
            )
            self._train_context: Array = arrays["train_context"]
            self._train_targets: Array = arrays["train_targets"]
        with np.load(folder / "layout.npz", allow_pickle=False) as arrays:
            self._part: Array = arrays["part"]
            self._owner: Array = arrays["owner"]
            self._half: Array = arrays["half"]
            self._train_cells: Array = arrays["train_cells"]
            self._train_owner: Array = arrays["train_owner"]
        if not (folder / "train_centroids.npy").is_file():
            raise ValueError("train_centroids.npy is missing")
        self._matrix = Matrix(folder / "cells", len(self.genes))

    def cells(self, i: int) -> sp.csr_matrix:
        """Cells of request ``i``, float32 CSR ``(n_i, n_genes)``; for profiles the measured halves."""
        return self._matrix.rows(self._rows(TEST, i))

    def half(self, i: int) -> Array:
        """Bool ``(halvings, n_i)``: whether each cell of request ``i`` is in half 1 of each halving."""
        return self._half[:, self._rows(TEST, i)]

    def control_cells(self, k: int, part: str) -> sp.csr_matrix:
        """Control cells of context ``k``: part ``a`` (staged) or ``b`` (sealed), float32 CSR."""
        wanted = CONTROL_A if part == "a" or self.shared_control[k] else CONTROL_B
        return self._matrix.rows(self._rows(wanted, k))

    def train_cells(self, k: int) -> sp.csr_matrix:
        """At most TRAIN_CELLS train perturbed cells of context ``k``, of all contexts where it has none."""
        return self._matrix.rows(self._train_cells[self._train_owner == k])

    def train_centroids(self, k: int) -> tuple[Array, Array]:
        """Centroids of the train perturbations of context ``k`` and their targets, bool; ``(T, n_genes)``."""
        file = self.folder / "train_centroids.npy"
        rows = np.flatnonzero(self._train_context == k)
        centroids = np.load(file, mmap_mode="r", allow_pickle=False)[rows] if rows.size else np.zeros((0, 0))
        targets = np.zeros((rows.size, len(self.genes)), dtype=bool)
        mine = self._train_targets[np.isin(self._train_targets[:, 0], rows)]
        targets[np.searchsorted(rows, mine[:, 0]), mine[:, 1]] = True
        return np.asarray(centroids).reshape(rows.size, len(self.genes)), targets

    def others(self, i: int) -> tuple[Array, Array] | None:
        """Mean and variance ``(n_genes,)`` of the train perturbed cells of the context of request ``i``.

        Without those of its own perturbation; None with fewer than 5 other perturbations, and for profiles.
        """
        return self._others[i]

    def additive(self, i: int) -> tuple[Array, Array] | None:
        """What the train singles of a double add up to from controls A, and the variance of their two means.

        ``(n_genes,)`` each, the variance NaN for profiles; None where a single is not in train.
        """
        return self._additive[i]

    def _rows(self, part: int, owner: int) -> Array:
        return np.flatnonzero((self._part == part) & (self._owner == owner))


@dataclass(frozen=True)
class _Indexed:
    """Pairs of profiles that requests share: ``of`` ``(C,)`` points to them, -1 where there is none."""

    of: Array
    first: Array
    second: Array

    def __getitem__(self, i: int) -> tuple[Array, Array] | None:
        place = int(self.of[i])
        return None if place < 0 else (self.first[place], self.second[place])


def requests_of(split: Split, conditions: Mapping[str, Condition]) -> tuple[Request, ...]:
    """The requests of a split, numbered in the order of its sorted test conditions."""
    width = max(4, len(str(len(split.test))))
    return tuple(
        Request(request_id=f"r{number:0{width}d}", condition=conditions[name])
        for number, name in enumerate(split.test)
    )


def control_halves(dataset: Dataset, split: Split) -> dict[str, tuple[Array, Array]]:
    """Row numbers of controls A (staged) and B (sealed) for every context; equal where the policy is shared.

    Cells are ordered by name and permuted by the split's seed, so neither row order nor process matters.
    """
    names = dataset.obs.index.to_numpy(dtype=str)
    is_control = (dataset.obs["perturbation"] == "control").to_numpy()
    contexts = dataset.obs["context"].to_numpy(dtype=str)
    halves = {}
    for context in dataset.contexts:
        rows = np.flatnonzero(is_control & (contexts == context))
        if split.controls.get(context) is ControlPolicy.HALVED:
            rows = rows[np.argsort(names[rows], kind="stable")]
            text = f"{dataset.content}/{split.design['seed']}/{context}"
            rows = np.random.default_rng(derived_seed(text, "control halves")).permutation(rows)
            middle = len(rows) // 2
            halves[context] = (np.sort(rows[:middle]), np.sort(rows[middle:]))
        else:
            halves[context] = (rows, rows)
    return halves


def perturbed_parts(dataset: Dataset, split: Split) -> tuple[Array, Array]:
    """Bool ``(n_rows,)`` each: rows of train conditions and rows of test conditions, no row in both.

    Where the split holds out cells within conditions, a condition's cells are ordered by name, permuted by
    the split's seed and cut as ``Split.cells`` says; so neither row order nor process matters.
    """
    of = dataset.obs["condition"]
    is_train, is_test = of.isin(split.train).to_numpy(), of.isin(split.test).to_numpy()
    if split.cells is None:
        return is_train, is_test
    names = dataset.obs.index.to_numpy(dtype=str)
    shared = set(split.test) & set(split.train)  # the rest of test is held out whole
    for condition, members in dataset.obs.groupby("condition", observed=True).indices.items():
        if condition not in shared:
            continue
        rows = members[np.argsort(names[members], kind="stable")]
        text = f"{dataset.content}/{split.design['seed']}/{split.cells['repeat']}/{condition}"
        rows = np.random.default_rng(derived_seed(text, "cells of a condition")).permutation(rows)
        train, _, test = cell_parts(rows.tolist(), split.cells)
        is_train[members] = is_test[members] = False
        is_train[train], is_test[test] = True, True
    return is_train, is_test


def train_rows(dataset: Dataset, split: Split, halves: Mapping[str, tuple[Array, Array]]) -> Array:
    """Sorted row numbers a method may train on: cells of train conditions and controls A."""
    is_train, _ = perturbed_parts(dataset, split)
    if "replicate" in dataset.obs:
        is_train &= (dataset.obs["replicate"] == "all").to_numpy()
    controls = [a for a, _ in halves.values()]
    return np.union1d(np.flatnonzero(is_train), np.concatenate(controls)).astype(np.int64)


def seal(
    dataset: Dataset, split: Split, task: str, home: Path, talk: Callable[[str], None] = lambda _: None
) -> Truth:
    """Open the sealed truth of a dataset and split, building it first where it is absent."""
    folder = home / "truth" / split.sha256
    if _is_outdated(folder):
        talk(f"the truth of {dataset.entry.id}, {split.id} is of an older Lanner and is built again")
        shutil.rmtree(folder, ignore_errors=True)
    if not (folder / "truth.json").exists():
        talk(f"sealing the truth of {dataset.entry.id}, {split.id}")
        partial = folder.with_name(f".{split.sha256[:16]}.{token()}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            folder.parent.chmod(0o700)
            partial.mkdir(mode=0o700)
            _write(dataset, split, task, partial)
            try:
                partial.rename(folder)
            except OSError:
                if not (folder / "truth.json").exists():  # not another process that was quicker
                    raise
        except OSError as error:
            raise disk_error(f"the truth of {split.id} cannot be written to {folder}", error) from None
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return Truth(folder)


def _write(dataset: Dataset, split: Split, task: str, folder: Path) -> None:
    conditions = {condition.id: condition for condition in dataset.conditions}
    requests = requests_of(split, conditions)
    is_train, is_test = perturbed_parts(dataset, split)
    if split.cells is not None:  # what is scored is the held-out part
        requests = tuple(_resized(request, dataset, is_test) for request in requests)
    contexts = sorted({request.condition.context_id for request in requests})
    halves = control_halves(dataset, split)
    shared = [split.controls.get(context) is not ControlPolicy.HALVED for context in contexts]
    write_references(
        dataset,
        split,
        requests,
        contexts,
        halves,
        train_rows(dataset, split, halves),
        (is_train, is_test),
        folder,
    )

    part = np.full(len(dataset.obs), -1, dtype=np.int8)
    owner = np.full(len(dataset.obs), -1, dtype=np.int32)
    half = np.zeros((0, len(dataset.obs)), dtype=bool)
    test = {request.condition.id: i for i, request in enumerate(requests)}
    request_of = dataset.obs["condition"].map(test).fillna(-1).to_numpy(dtype=np.int32)
    request_of[~is_test] = -1
    if dataset.entry.kind == "profile":
        replicate = dataset.obs["replicate"].to_numpy(dtype=str)
        request_of[(replicate != "half1") & (replicate != "half2")] = -1
        if (request_of >= 0).any():
            half = (replicate == "half1")[None, :]
    else:
        half = _halvings(dataset, split, request_of)
    part[request_of >= 0] = TEST
    owner[request_of >= 0] = request_of[request_of >= 0]
    for k, context in enumerate(contexts):
        a, b = halves[context]
        part[b], owner[b] = CONTROL_B, k
        part[a], owner[a] = CONTROL_A, k  # shared controls are stored once, as A

    samples = _train_samples(dataset, split, contexts, is_train)
    for rows in samples:
        part[rows[part[rows] < 0]] = TRAIN
    kept = np.flatnonzero(part >= 0)
    source = dataset.X()
    with MatrixWriter(folder / "cells", len(dataset.genes), sparse=source.is_sparse) as writer:
        for start, stop, block in source.blocks():
            rows = kept[np.searchsorted(kept, start) : np.searchsorted(kept, stop)] - start
            if rows.size:
                writer.append(block[rows])
            del block  # or it would be held while the next one is read
    np.savez(
        folder / "layout.npz",
        part=part[kept],
        owner=owner[kept],
        half=half[:, kept],
        train_cells=np.searchsorted(kept, np.concatenate(samples)),
        train_owner=np.repeat(np.arange(len(samples)), [rows.size for rows in samples]),
    )
    write_json(
        folder / "truth.json",
        {
            "format": FORMAT,
            "task": task,
            "split": split.to_json(),
            "kind": dataset.entry.kind,
            "scale": dataset.entry.scale,
            "genes": list(dataset.genes),
            "contexts": contexts,
            "shared_control": shared,
            "halvings": len(half),
            "requests": [
                {"request_id": request.request_id, "condition": asdict(request.condition)}
                for request in requests
            ],
        },
    )


def _train_samples(dataset: Dataset, split: Split, contexts: list[str], is_train: Array) -> list[Array]:
    """At most TRAIN_CELLS rows of train perturbed cells for each context, or of all where it has none.

    Chosen among cells ordered by name, by the split's seed, so that row order does not matter.
    """
    if dataset.entry.kind != "cells":
        return [np.zeros(0, dtype=np.int64) for _ in contexts]
    names = dataset.obs.index.to_numpy(dtype=str)
    of_cell = dataset.obs["context"].to_numpy(dtype=str)
    samples = []
    for context in contexts:
        rows = np.flatnonzero(is_train & (of_cell == context))
        rows = rows if rows.size else np.flatnonzero(is_train)
        if rows.size > TRAIN_CELLS:
            rows = rows[np.argsort(names[rows], kind="stable")]
            generator = np.random.default_rng(derived_seed(f"{split.sha256}/{context}", "train cells"))
            rows = np.sort(generator.choice(rows, TRAIN_CELLS, replace=False))
        samples.append(rows)
    return samples


def _is_outdated(folder: Path) -> bool:
    """Whether a truth was sealed in an older format; what else is wrong with it ``Truth`` will say."""
    try:
        found = json.loads((folder / "truth.json").read_text(encoding="utf-8"))["format"]
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return str(found).startswith("lanner-truth/") and found != FORMAT


def _halvings(dataset: Dataset, split: Split, request_of: Array) -> Array:
    """Bool ``(HALVINGS, n_cells)``: a random half of each request's cells, seeded by the split."""
    names = dataset.obs.index.to_numpy(dtype=str)
    half = np.zeros((HALVINGS, len(names)), dtype=bool)
    for i in range(int(request_of.max()) + 1):
        rows = np.flatnonzero(request_of == i)
        rows = rows[np.argsort(names[rows], kind="stable")]
        generator = np.random.default_rng(derived_seed(f"{split.sha256}/{i}", "truth halvings"))
        for r in range(HALVINGS):
            half[r, generator.permutation(rows)[: len(rows) // 2]] = True
    return half


def _resized(request: Request, dataset: Dataset, is_test: Array) -> Request:
    held = (dataset.obs["condition"] == request.condition.id).to_numpy() & is_test
    return replace(request, condition=replace(request.condition, n_cells=int(held.sum())))


def _condition(document: Mapping[str, Any]) -> Condition:
    return Condition(
        perturbation=document["perturbation"],
        targets=tuple(document["targets"]),
        context=tuple(document["context"]),
        dose=document["dose"],
        n_cells=document["n_cells"],
    )
