"""Stage an input by hand; run a bundled program on it, outside a container."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from by_hand import GENES, Result, Staged
from lanner.config import bundled_root
from lanner.h5ad.staged import write_train


@pytest.fixture
def stage(tmp_path):
    def make(
        cells,
        requests,
        *,
        kind="cells",
        n_cells=1,
        parameters=None,
        seed=0,
        zero_control=False,
        tables=None,
        facts=None,
        X=None,
        genes=GENES,
    ):
        """``cells``: (perturbation, line, n[, dose]); ``requests``: (perturbation, line[, targets, dose]).

        ``tables``: granted resources, file name -> gene -> features. ``facts`` changes what is said of the
        data. With ``X``, ``cells`` is its obs and ``genes`` names its columns.
        """
        if X is None:
            obs, X = random_cells(cells, zero_control=zero_control)
        else:
            obs = cells.reset_index(drop=True)
        has_dose = "dose" in obs
        folder = tmp_path / "input"
        folder.mkdir()
        sparse = kind == "cells"
        write_train(
            folder / "train.h5ad",
            obs={name: obs[name].to_numpy(dtype=str) for name in obs},
            genes=genes,
            layers={"X": [sp.csr_matrix(X, dtype=np.float32) if sparse else X]},
            sparse=sparse,
        )
        table = pd.DataFrame(
            {
                "request_id": f"r{index}",
                "perturbation": request[0],
                "targets": request[2] if len(request) > 2 else request[0],
                "line": request[1],
                "n_cells": n_cells,
                **({"dose": request[3]} if has_dose else {}),
            }
            for index, request in enumerate(requests)
        )
        table.to_csv(folder / "requests.csv", index=False)
        task = {
            "protocol": 1,
            "dataset": {
                "kind": kind,
                "perturbation_kind": "CRISPRi",
                "scale": "log1p-cp10k",
                **(facts or {}),
            },
            "columns": {
                "perturbation": "perturbation",
                "context": ["line"],
                **({"dose": "dose"} if has_dose else {}),
            },
            "control": "control",
            "combination": "+",
            "seed": seed,
            "n_cells": n_cells,
            "parameters": parameters or {},
        }
        (folder / "task.json").write_text(json.dumps(task))
        if tables is not None:
            (folder / "resources").mkdir()
            for name, features in tables.items():
                pd.DataFrame(features).T.rename_axis("gene").to_csv(folder / "resources" / name)
        return Staged(folder=folder, X=X.astype(np.float64), obs=obs, requests=table)

    return make


@pytest.fixture
def predict(tmp_path):
    def run(method: str, staged: Staged, seed: int = 0) -> Result:
        folder = bundled_root() / "method_containers" / method
        output = tmp_path / f"output-{len(list(tmp_path.iterdir()))}"
        output.mkdir()
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "LANNER_INPUT": str(staged.folder),
            "LANNER_OUTPUT": str(output),
            "LANNER_SEED": str(seed),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        done = subprocess.run(
            [sys.executable, "-W", "error::RuntimeWarning", "predict.py"],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        path = output / "prediction.h5ad"
        return Result(done.returncode, done.stderr, ad.read_h5ad(path) if path.exists() else None)

    return run


def random_cells(groups, *, zero_control):
    """Labels and float32 expression (n_cells, n_genes) of (perturbation, line, n[, dose]), shuffled."""
    generator = np.random.default_rng(7)
    has_dose = len(groups[0]) == 4
    rows = [(*group[:2], *group[3:]) for group in groups for _ in range(group[2])]
    obs = pd.DataFrame(rows, columns=["perturbation", "line", *(["dose"] if has_dose else [])])
    obs = obs.iloc[generator.permutation(len(obs))].reset_index(drop=True)
    X = generator.gamma(1.0, 1.0, (len(obs), len(GENES))) * (generator.random((len(obs), len(GENES))) > 0.4)
    if zero_control:
        X[(obs["perturbation"] == "control").to_numpy()] = 0
    return obs, X.astype(np.float32)
