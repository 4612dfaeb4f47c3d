"""Every bundled Python program on staged inputs: accepted by intake, the same twice, and small."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from lanner import sealing, splits, staging
from lanner.config import bundled_root
from lanner.datasets import Dataset
from lanner.ingest import ingest
from lanner.methods import MANIFEST, load, resolve_parameters
from lanner.pipeline import contract_environment, expectation
from lanner.tasks import TASKS

pytestmark = pytest.mark.slow

TASK = TASKS["perturbation-response"]
METHODS = [load(path.parent) for path in sorted((bundled_root() / "method_containers").glob(f"*/{MANIFEST}"))]
UNGRANTED = {"network-propagation"}  # answers nothing without a granted resource: tests/methods has one
OWN_PACKAGES = {"scgen", "gears", "cpa"}  # their images have them: tests/docker/test_published_methods.py
PYTHON = [
    method
    for method in METHODS
    if method.command[0] == "python" and TASK.id in method.tasks
    if method.name not in UNGRANTED | OWN_PACKAGES
]
FAST = {"steps": 30, "trees": 10}
SPLITS = ("unseen-perturbation", "unseen-combination", "unseen-context")
ANSWERS = {  # on `simulated`: singles, doubles of seen singles, and seen perturbations in another cell type
    "additive": {"unseen-combination", "unseen-context"},  # of the latter, the doubles
    "two-factor": {"unseen-context"},
    "latent-additive": {"unseen-combination", "unseen-context"},
    "ridge-r": {"unseen-combination", "unseen-context"},
}


@pytest.fixture(scope="module")
def inputs(simulated: Dataset, tmp_path_factory: pytest.TempPathFactory):
    """By split design and method: a staged input of the demonstration data, and what intake expects."""
    home = tmp_path_factory.mktemp("programs")
    made = {}

    def stage(design: str, method):
        split = splits.resolve(simulated, design)[0]
        if design not in made:
            sealed = sealing.seal(simulated, split, TASK.id, home)
            made[design] = staging.stage_shared(simulated, split, TASK, sealed, home)
        chosen = {name: value for name, value in FAST.items() if name in method.parameters}
        folder = home / f"{design}-{method.name}"
        if folder.exists():
            return folder, expectation(made[design])
        staging.stage(
            made[design],
            split,
            TASK,
            folder,
            seed=3,
            parameters=resolve_parameters(method, chosen),
            limits=method.limits,
        )
        return folder, expectation(made[design])

    return stage


def run(method, folder: Path, output: Path) -> subprocess.CompletedProcess[str]:
    output.mkdir()
    environment = {
        **contract_environment(3, method.limits),
        "PATH": os.environ["PATH"],
        "HOME": str(output),
        "LANNER_INPUT": str(folder),
        "LANNER_OUTPUT": str(output),
        "PYTHONDONTWRITEBYTECODE": "1",
        "OMP_NUM_THREADS": "1",
    }
    return subprocess.run(
        [sys.executable, *method.command[1:]],
        cwd=method.folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("design", SPLITS)
@pytest.mark.parametrize("method", PYTHON, ids=lambda method: method.name)
def test_an_answer_is_accepted_or_the_question_does_not_apply(method, design, inputs, tmp_path):
    folder, rows = inputs(design, method)
    done = run(method, folder, tmp_path / "output")
    if design not in ANSWERS.get(method.name, SPLITS):
        assert done.returncode == 99
        assert not (tmp_path / "output" / "prediction.h5ad").exists()
        assert done.stderr.splitlines()[-1]
        return
    assert done.returncode == 0, done.stderr
    result = ingest(tmp_path / "output" / "prediction.h5ad", rows=rows, destination=tmp_path / "canonical")
    assert result.kind == "profiles"
    assert result.answered.any() if method.name == "additive" else result.answered.all()


@pytest.mark.slow
@pytest.mark.parametrize("method", PYTHON, ids=lambda method: method.name)
def test_two_runs_with_one_seed_write_the_same_bytes(method, inputs, tmp_path):
    design = min(ANSWERS.get(method.name, SPLITS))
    folder, _ = inputs(design, method)
    for name in ("first", "second"):
        assert run(method, folder, tmp_path / name).returncode == 0
    first, second = ((tmp_path / name / "prediction.h5ad").read_bytes() for name in ("first", "second"))
    assert first == second
