"""Input folders made by hand, and what a program of method_containers/ leaves when it is run on one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import scipy.sparse as sp

GENES = ["A", "B", "C", "D", "E", "F", "G", "H"]
TWO_LINES = [
    ("control", "K562", 9),
    ("control", "RPE1", 7),
    ("A", "K562", 4),
    ("B", "K562", 11),
    ("C", "K562", 3),
    ("A", "RPE1", 5),
    ("A+C", "K562", 6),
]


@dataclass
class Staged:
    """A staged input folder made by hand, with what is needed to recompute predictions from it."""

    folder: Path
    X: np.ndarray
    obs: pd.DataFrame
    requests: pd.DataFrame

    def mean(self, perturbation: str, context: str, dose: str | None = None) -> np.ndarray:
        chosen = (self.obs["perturbation"] == perturbation) & (self.obs["line"] == context)
        if dose is not None:
            chosen &= self.obs["dose"] == dose
        return self.X[chosen.to_numpy()].mean(axis=0)

    def delta(self, perturbation: str, context: str, dose: str | None = None) -> np.ndarray:
        return self.mean(perturbation, context, dose) - self.mean("control", context)


@dataclass
class Result:
    """How a program ended and the prediction it left, if any."""

    code: int
    stderr: str
    prediction: ad.AnnData | None

    @property
    def rows(self) -> np.ndarray:
        assert self.prediction is not None, self.stderr
        X = self.prediction.X
        return np.asarray(X.todense() if sp.issparse(X) else X)

    @property
    def answered(self) -> list[bool]:
        return [bool(value) for value in self.prediction.obs["answered"]]
