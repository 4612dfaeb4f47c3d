"""scGen, GEARS and CPA in their images: what they answer, what they decline, the same twice."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from lanner import sealing, splits, staging
from lanner.config import bundled_root
from lanner.datasets import Dataset
from lanner.ingest import ingest
from lanner.methods import load, resolve_parameters
from lanner.pipeline import contract_environment, expectation
from lanner.runners.docker import DockerRunner
from lanner.tasks import TASKS

pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.timeout(3600)]
TASK = TASKS["perturbation-response"]
FEW = {"scgen": {"epochs": 2}, "gears": {"epochs": 1, "cells": 5}, "cpa": {"epochs": 10, "cells": 20}}


@pytest.fixture(scope="module")
def answer(simulated: Dataset, tmp_path_factory: pytest.TempPathFactory):
    """Run a method's image on a split of the demonstration data: what intake made of it, or why not."""
    home = tmp_path_factory.mktemp("published")

    def run(name: str, design: str, seed: int = 0):
        method = load(bundled_root() / "method_containers" / name)
        split = splits.resolve(simulated, design)[0]
        staged = staging.stage_shared(
            simulated, split, TASK, sealing.seal(simulated, split, TASK.id, home), home
        )
        folder = home / f"{name}-{design}-{len(list(home.iterdir()))}"
        folder.mkdir()
        given = resolve_parameters(method, FEW[name])
        staging.stage(
            staged, split, TASK, folder / "input", seed=seed, parameters=given, limits=method.limits
        )
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
            return str(outcome.error_class), outcome.message
        return taken(folder, expectation(staged))

    return run


def taken(folder: Path, rows):
    """Kind of prediction, which requests are answered, and all rows (n, genes)."""
    found = folder / "attempt" / "output" / "prediction.h5ad"
    result = ingest(found, rows=rows, destination=folder / "canonical")
    return result.kind, result.answered, result.matrix.block(0, result.matrix.shape[0])


@pytest.mark.parametrize(
    ("name", "design", "kind"),
    [
        ("scgen", "unseen-context", "cells"),
        ("gears", "unseen-combination", "profiles"),
        ("cpa", "unseen-context", "cells"),
        ("cpa", "unseen-combination", "cells"),
    ],
)
def test_it_answers_with_numbers_that_the_seed_decides(answer, name, design, kind) -> None:
    first, again, other = (answer(name, design, seed) for seed in (1, 1, 2))
    assert first[0] == kind
    assert first[1].all()
    np.testing.assert_array_equal(first[2], again[2])
    assert not np.array_equal(first[2], other[2])
    assert first[2].min() >= 0


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("scgen", "no request's perturbation was seen in training and has control cells in its context"),
        ("cpa", "no request's perturbations were all seen in training and have control cells in its context"),
    ],
)
def test_perturbations_that_nobody_has_seen_are_declined(answer, name, why) -> None:
    assert answer(name, "unseen-perturbation") == ("NOT_APPLICABLE", why)
