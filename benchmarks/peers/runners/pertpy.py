"""pertpy 1.0.3 on the small data: ``Distance(metric)(truth, prediction)`` for each perturbation."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pertpy

from benchmarks.peers import answers, data

SETTINGS = "pertpy.tools.Distance(metric)(X=truth, Y=prediction, ...); float64 arrays"
METRICS: dict[str, tuple[str, dict[str, Any]]] = {
    **{
        name: (name, {})
        for name in (
            "edistance",
            "euclidean",
            "root_mean_squared_error",
            "mse",
            "mean_absolute_error",
            "pearson_distance",
            "spearman_distance",
            "kendalltau_distance",
            "cosine_distance",
            "r2_distance",
            "mean_pairwise",
            "mmd",
            "wasserstein",
            "sym_kldiv",
            "t_test",
            "ks_test",
        )
    },
    "mmd_rbf": ("mmd", {"kernel": "rbf"}),
    "mmd_poly": ("mmd", {"kernel": "poly"}),
}


def main(out: Path) -> None:
    small = data.small()
    values = {}
    for name, (metric, options) in METRICS.items():
        distance = pertpy.tools.Distance(metric)
        values[name] = {
            label: float(distance(small.truth.groups[label], small.prediction.groups[label], **options))
            for label in sorted(data.SIZES)
        }
    answers.write(out, "pertpy", ["pertpy", "scikit-learn", "scipy", "numpy"], small, SETTINGS, values)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
