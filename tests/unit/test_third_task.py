"""A third task is one file in tasks/ and nothing else: added to a copy of the package, and a board built."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import boards
import lanner
import pytest
from lanner.config import bundled_root

TASK = '''
"""The mean expression of a context's unperturbed cells, as a third task needs it to be said."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from lanner.cards import CARDS, ROLES, Card, Role
from lanner.h5ad.expectation import Expectation
from lanner.tasks import Option, Task, add_task

METRIC = "control-mean/error"


@dataclass(frozen=True, kw_only=True)
class ControlMean(Task):
    """A profile of every context."""

    def write_shared(self, dataset, split, truth, options, folder):
        (folder / "contexts.txt").write_text("\\n".join(truth.contexts))
        return {"request_ids": list(truth.contexts)}

    def files(self, options):
        return {"contexts.txt": "contexts.txt"}

    def read_back(self, folder, document):
        return {"request_ids": (folder / "contexts.txt").read_text().split("\\n")}

    def expectation(self, shared):
        scale, genes = shared["dataset"]["scale"], tuple(shared["genes"])
        return Expectation.on_scale(
            scale, request_ids=tuple(shared["request_ids"]), n_cells=1, genes=genes
        )

    def load(self):
        pass

    def score(self, truth, result, metrics, *, residual=None, device="cpu"):
        return frame(truth, result.matrix.rows(np.arange(len(truth.contexts))).toarray())

    def score_bounds(self, truth, metrics, *, device="cpu"):
        a, b = truth.control_a, truth.control_b
        flat = np.repeat(a.mean(axis=1, keepdims=True), a.shape[1], axis=1)
        parts = []
        for name, guess in (("control-mean/flat", flat), ("control-mean/staged", a)):
            won = np.abs(guess - b) < np.abs(flat - b)
            part = frame(truth, guess).assign(bound=name, kind=ROLES[name].kind)
            parts.append(part.assign(bds=won.ravel().astype(float)))
        return pd.concat(parts, ignore_index=True)


def frame(truth, guess):
    """One row per context and gene: the gene is what is resampled."""
    K, n = guess.shape
    return pd.DataFrame(
        {
            "metric": METRIC,
            "variant": "",
            "condition": [f"{gene}|{context}" for context in truth.contexts for gene in truth.genes],
            "request_id": [context for context in truth.contexts for _ in range(n)],
            "perturbation": list(truth.genes) * K,
            "context": [context for context in truth.contexts for _ in range(n)],
            "value": np.abs(guess - truth.control_b).ravel(),
            "status": "scored",
            "reason": "",
            "chance": np.nan,
        }
    )


TEXT = {name: "-" for name in ("reference", "distance", "estimator", "weights", "candidates", "ties")}
CARDS.add(
    METRIC,
    Card(
        id=METRIC, version=1, title="Error", summary="Absolute error.", level="gene", space="genes",
        undefined="never", better="lower", best=0.0, chance=None, invariances=(), requires="profile",
        requires_truth="cells", labels=None, min_cells=1, min_conditions=1, min_positives=0, tolerance=0.0,
        citation="none", worst_of=(), **TEXT,
    ),
)
ROLES.add("control-mean/flat", Role(id="control-mean/flat", kind="negative", reference=True))
ROLES.add("control-mean/staged", Role(id="control-mean/staged", kind="positive", anchors=True))
add_task(
    ControlMean(
        id="control-mean",
        version=1,
        summary="Predict the mean of unperturbed cells.",
        primary=(METRIC,),
        metrics=(METRIC,),
        splits=("unseen-perturbation",),
        bounds=("control-mean/flat", "control-mean/staged"),
        reference="the mean over genes",
        options={"wobble": Option(default=0.0, help="Noise.", maximum=1.0)},
    )
)
'''
PROGRAM = """
import json, os, pathlib
import anndata, numpy as np, pandas as pd

INPUT, OUTPUT = (pathlib.Path(os.environ["LANNER_" + name]) for name in ("INPUT", "OUTPUT"))
train, task = anndata.read_h5ad(INPUT / "train.h5ad"), json.loads((INPUT / "task.json").read_text())
contexts = (INPUT / "contexts.txt").read_text().split("\\n")
perturbation, context = (train.obs[name].astype(str) for name in ("perturbation", "cell_type"))
X = np.array([train.X[((perturbation == "control") & (context == name)).to_numpy()].mean(axis=0).A1
              for name in contexts], "f4")
X = X * (1 + task["options"]["wobble"])
anndata.AnnData(X, obs=pd.DataFrame(index=contexts), var=train.var[[]]).write_h5ad(OUTPUT / "prediction.h5ad")
"""


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The package with one file more, beside the folders it looks for."""
    source = Path(lanner.__file__).parent
    shutil.copytree(source, tmp_path / "harness" / "lanner", ignore=shutil.ignore_patterns("__pycache__"))
    for folder in bundled_root().iterdir():
        if folder.name in ("schemas", "datasets_registry", "method_containers", "leaderboards"):
            (tmp_path / folder.name).symlink_to(folder)
    (tmp_path / "harness" / "lanner" / "tasks" / "control_mean.py").write_text(TASK)
    return tmp_path


def test_one_file_is_enough_for_a_task_of_its_own(copy: Path, tmp_path: Path) -> None:
    registry = boards.registry(tmp_path / "registry")
    boards.add_method(registry, "staged-mean", tasks=["control-mean"])
    (registry / "method_containers" / "staged-mean" / "run.py").write_text(PROGRAM)
    boards.add_method(registry, "for-another-task")
    methods = [{"name": "staged-mean", "options": {"wobble": [0.0, 0.5]}}, "for-another-task"]
    fields = {"task": "control-mean", "datasets": ["tiny"], "metrics": ["control-mean/error"]}
    path = boards.board(tmp_path, methods, **fields)

    environment = {**os.environ, "PYTHONPATH": str(copy / "harness"), "LANNER_HOME": str(tmp_path / "home")}

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "lanner.cli", "--registry", str(registry), *arguments]
        return subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )

    built = run("leaderboard", "build", str(path), "--runner", "process", "--trust-process")
    assert built.returncode == 0, built.stderr
    assert "No method beats the mean over genes" in built.stdout or "beat the mean over genes" in built.stdout

    document = json.loads((tmp_path / "home" / "leaderboards" / "board" / "leaderboard.json").read_text())
    assert document["task"] == "control-mean@1" and document["reference"] == "the mean over genes"
    rows = {row["method"]: row for row in document["rows"]}
    assert rows["for-another-task"]["status"] == "skipped"
    exact, wobbly = (rows[f"staged-mean[wobble={wobble}]"] for wobble in (0.0, 0.5))
    score = exact["scores"]["control-mean/error"]
    assert score["skill"] == pytest.approx(1, abs=1e-4) and score["informative"] == "informative"
    assert wobbly["options"] == {"wobble": 0.5}
    assert wobbly["scores"]["control-mean/error"]["skill"] < 0.9
    assert [item["metric"] for item in document["comparisons"]] == ["control-mean/error"] * 2

    staged = run("stage", "tiny", "--task", "control-mean", "--split", "unseen-perturbation", "--out", "in")
    assert staged.returncode == 0, staged.stderr
    prediction = next((tmp_path / "home" / "runs").rglob("prediction.h5ad"))
    assert run("validate", str(prediction), "--input", "in").returncode == 0
    scored = run("score", str(prediction), "--input", "in", "--json")
    assert json.loads(scored.stdout)["scores"][0]["metric"] == "control-mean/error"
