"""scgen 2.1.0 was written for scvi-tools 0.15: what it asks of scvi, in the words of scvi-tools 1.4.

Nothing of the model changes: a type that moved, the record of a loss, and the names under which the encoder
hands over the mean and variance of its posterior.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Literal

import scvi.module.base
from scvi.module.base import LossOutput

compat = ModuleType("scvi._compat")
compat.Literal = Literal
sys.modules["scvi._compat"] = compat
scvi.module.base.LossRecorder = lambda loss, reconstruction, kl: LossOutput(
    loss=loss, reconstruction_loss=reconstruction, kl_local=kl
)

from scgen import SCGEN, SCGENVAE  # noqa: E402 - it imports what is defined above

inference = SCGENVAE.inference


def named_for_scvi(self, x):
    """What scGen's encoder returns, its posterior also under the names that scvi-tools looks for."""
    outputs = inference(self, x)
    return {**outputs, "qzm": outputs["qz_m"], "qzv": outputs["qz_v"]}


SCGENVAE.inference = named_for_scvi

__all__ = ["SCGEN"]
