"""Methods in R, in C++ and with PyTorch: built, run in the sandbox, held against plain numpy."""

from __future__ import annotations

import json
from pathlib import Path

import anndata as ad
import docker
import numpy as np
import pandas as pd
import pytest
from lanner import sealing, splits, staging
from lanner.config import bundled_root
from lanner.datasets import Dataset
from lanner.ingest import ingest
from lanner.methods import load, resolve_parameters
from lanner.pipeline import contract_environment, expectation
from lanner.runners.docker import DockerRunner
from lanner.tasks import TASKS

pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.timeout(1800)]
TASK = TASKS["perturbation-response"]
BASES = ("python:3.11-slim-bookworm", "debian:bookworm-slim")


@pytest.fixture(scope="module")
def answer(simulated: Dataset, tmp_path_factory: pytest.TempPathFactory):
    """Run a method's image on a split of the demonstration data: what it predicts, or why it does not."""
    home = tmp_path_factory.mktemp("images")

    def run(name: str, design: str, seed: int = 0, **parameters: object):
        method = load(bundled_root() / "method_containers" / name)
        split = splits.resolve(simulated, design)[0]
        sealed = sealing.seal(simulated, split, TASK.id, home)
        staged = staging.stage_shared(simulated, split, TASK, sealed, home)
        folder = home / f"{name}-{design}-{len(list(home.iterdir()))}"
        folder.mkdir()
        given = resolve_parameters(method, parameters)
        chosen = {"seed": seed, "parameters": given, "limits": method.limits}
        staging.stage(staged, split, TASK, folder / "input", **chosen)
        runner = DockerRunner()
        runner.prepare(method)
        outcome = runner.run(
            method,
            input_dir=folder / "input",
            output_dir=folder / "attempt" / "output",
            log_dir=folder / "attempt",
            environment=contract_environment(seed, method.limits),
            limits=method.limits,
            labels={"lanner.run": f"test-{name}"},
        )
        if outcome.error_class is not None:
            return str(outcome.error_class), outcome.message, folder / "input"
        found = folder / "attempt" / "output" / "prediction.h5ad"
        result = ingest(found, rows=expectation(staged), destination=folder / "canonical")
        assert outcome.usage["peak_memory_mb"] < 1024
        assert outcome.usage["wall_seconds"] < 300
        return result, result.matrix.block(0, len(result.answered)), folder / "input"

    return run


def trained(folder: Path):
    """Mean per condition and control mean per context of a staged input, and the requests."""
    train = ad.read_h5ad(folder / "train.h5ad")
    labels = train.obs["perturbation"].astype(str) + "|" + train.obs["cell_type"].astype(str)
    X = np.asarray(train.X.todense(), dtype=np.float64)
    means = {name: X[(labels == name).to_numpy()].mean(axis=0) for name in sorted(set(labels))}
    sizes = {name: int((labels == name).sum()) for name in means}
    requests = pd.read_csv(folder / "requests.csv", dtype=str, keep_default_na=False)
    return list(train.var_names), means, sizes, requests


@pytest.mark.parametrize("design", ["unseen-combination", "unseen-context"])
def test_the_ridge_in_r_equals_weighted_least_squares_with_a_penalty(answer, design) -> None:
    result, rows, folder = answer("ridge-r", design)
    _, means, sizes, requests = trained(folder)
    conditions = [name for name in means if not name.startswith("control|")]
    parts = sorted({part for name in conditions for part in name.split("|")[0].split("+")})
    P = np.array([[part in name.split("|")[0].split("+") for part in parts] for name in conditions], float)
    Y = np.array([means[name] - means[f"control|{name.split('|')[1]}"] for name in conditions])
    weight = np.array([sizes[name] for name in conditions], float)
    weight /= weight.mean()
    beta = np.linalg.solve(
        P.T @ (weight[:, None] * P) + 0.1 * np.eye(len(parts)), P.T @ (weight[:, None] * Y)
    )
    expected = [
        means[f"control|{row.cell_type}"] + sum(beta[parts.index(part)] for part in row.targets.split("+"))
        for row in requests.itertuples()
    ]
    assert result.answered.all()
    np.testing.assert_allclose(rows, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("design", ["unseen-perturbation", "unseen-combination", "unseen-context"])
def test_the_compiled_neighbours_are_those_of_the_formula(answer, design) -> None:
    result, rows, folder = answer("knn-cpp", design, k=3)
    genes, means, _, requests = trained(folder)
    conditions = [name for name in means if not name.startswith("control|")]
    Y = np.array([means[name] - means[f"control|{name.split('|')[1]}"] for name in conditions])

    def features(targets: str) -> np.ndarray:
        total = sum(Y[:, genes.index(target)] for target in targets.split("+"))
        return total / np.linalg.norm(total)

    seen = np.array([features(name.split("|")[0]) for name in conditions])
    expected = []
    for row in requests.itertuples():
        cosine = seen @ features(row.targets)
        near = cosine >= np.sort(cosine)[-3] - 1e-12
        expected.append(means[f"control|{row.cell_type}"] + Y[near].mean(axis=0))
    assert result.answered.all()
    np.testing.assert_allclose(rows, expected, rtol=1e-5, atol=1e-5)


def test_the_ridge_in_r_does_not_apply_to_targets_nobody_has_seen(answer) -> None:
    kind, message, _ = answer("ridge-r", "unseen-perturbation")
    assert (kind, message) == ("NOT_APPLICABLE", "no request's targets were all part of a training condition")


@pytest.mark.parametrize("name", ["ridge-r", "knn-cpp"])
def test_two_containers_write_the_same_bytes(answer, name) -> None:
    """Files that say when they were written would differ: the two are written seconds apart."""
    first, second = (answer(name, "unseen-combination")[0] for _ in range(2))
    assert first.file_sha256 == second.file_sha256


@pytest.mark.parametrize("name", ["latent-additive", "decoder-only", "random-forest"])
def test_a_seed_gives_the_same_prediction_in_two_containers(answer, name) -> None:
    few = {} if name == "random-forest" else {"steps": 50}
    rows = [answer(name, "unseen-combination", seed=seed, **few)[1] for seed in (1, 1, 2)]
    np.testing.assert_array_equal(rows[0], rows[1])
    assert not np.array_equal(rows[1], rows[2])


@pytest.mark.parametrize("name", ["train-mean", "random-forest"])
def test_a_python_image_adds_less_than_400_mb_to_its_base(name) -> None:
    method = load(bundled_root() / "method_containers" / name)
    DockerRunner().prepare(method)
    images = docker.from_env().images
    base = set(images.get(BASES[0]).attrs["RootFS"]["Layers"])
    found = images.get(method.tag)
    assert base < set(found.attrs["RootFS"]["Layers"])
    added = sum(layer["Size"] for layer in found.history()) - sum(
        layer["Size"] for layer in images.get(BASES[0]).history()
    )
    assert added < 400e6, json.dumps(found.history())
