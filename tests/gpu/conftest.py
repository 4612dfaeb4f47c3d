"""The GPU suite: the same numbers on cuda as on the CPU. Skipped where torch finds no GPU.

``LANNER_TEST_DEVICE=cpu`` runs it against the CPU itself, which shows that the tests are sound, not the GPU.
"""

from __future__ import annotations

import os

import pytest


@pytest.fixture(scope="session")
def device() -> str:
    import torch

    chosen = os.environ.get("LANNER_TEST_DEVICE", "cuda")
    if chosen.startswith("cuda") and not torch.cuda.is_available():
        pytest.skip("torch finds no GPU here")
    return chosen
