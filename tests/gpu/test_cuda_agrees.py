"""Every number is the same on a GPU as on the CPU, within the tolerance that its card states."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from lanner.metrics import METRICS
from lanner.pairs import open_pair
from lanner.pairs.device import chosen_device
from lanner.pairs.distances import Points, between, within
from lanner.pairs.scores import score
from lanner.scoring import score_bounds
from pair_files import write_pair
from pairs import simulated_pair
from truths import simulate

pytestmark = pytest.mark.gpu

ROUNDING = 1e-9
"""Relative difference of float64 sums in another order; a card may allow more."""


def tolerance(metric: str) -> float:
    return max(METRICS[metric].card.tolerance, ROUNDING)


def test_native_metrics_of_bounds_agree(device: str) -> None:
    truth = simulate(n_conditions=6, n_contexts=2)
    here, there = (score_bounds(truth, list(METRICS), device=name) for name in ("cpu", device))
    assert list(here["status"]) == list(there["status"])
    for metric, rows in here.groupby("metric"):
        found = there.loc[rows.index, "value"]
        np.testing.assert_allclose(
            found, rows["value"], rtol=tolerance(metric), atol=tolerance(metric), err_msg=str(metric)
        )


def test_native_metrics_of_a_pair_agree(device: str, tmp_path: Path) -> None:
    files = write_pair(tmp_path, simulated_pair())
    here, there = (
        score(**files, control="control", metrics=list(METRICS), device=name) for name in ("cpu", device)
    )
    assert list(here["status"]) == list(there["status"])
    for metric, rows in here.groupby("metric"):
        found = there.loc[rows.index, "value"]
        np.testing.assert_allclose(
            found, rows["value"], rtol=tolerance(metric), atol=tolerance(metric), err_msg=str(metric)
        )


def test_energies_of_a_pair_agree(device: str, tmp_path: Path) -> None:
    files = write_pair(tmp_path, simulated_pair())
    answers = []
    for name in ("cpu", device):
        with open_pair(**files, control="control", device=name) as pair:
            answers.append((pair.energy(), pair.truth.energy_to_control()))
    for here, there in zip(*answers, strict=True):
        np.testing.assert_allclose(there, here, rtol=0, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_sums_of_distances_agree_also_for_cells_that_coincide(device: str, dtype: torch.dtype) -> None:
    generator = np.random.default_rng(0)
    cells = sp.random(300, 500, 0.2, format="csr", dtype=np.float32, random_state=1)
    others = sp.vstack([cells[:200], sp.random(150, 500, 0.2, format="csr", random_state=2)], format="csr")
    centre = generator.random(500) * 0.1
    sums = []
    for name in ("cpu", device):
        left, right = (Points(x.astype(np.float32), name, dtype, centre) for x in (cells, others))
        sums.append(np.append(between(left, right) / len(right), within(left) / len(left) ** 2))
    np.testing.assert_allclose(sums[1], sums[0], rtol=0, atol=1e-6)


def test_the_same_numbers_come_again(device: str, tmp_path: Path) -> None:
    """Deterministic algorithms: two runs on one device give the same bits."""
    files = write_pair(tmp_path, simulated_pair())
    first, second = (
        score(**files, control="control", metrics=["energy", "mmd_rbf/gene", "pds_l2"], device=device)
        for _ in range(2)
    )
    assert first["value"].to_numpy().tobytes() == second["value"].to_numpy().tobytes()


def test_auto_is_the_gpu(device: str) -> None:
    if not device.startswith("cuda"):
        pytest.skip("run against the CPU")
    assert chosen_device("auto") == "cuda"
