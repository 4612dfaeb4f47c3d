"""gge-eval 1.0.1 on the small data: each metric by itself, space "raw", aggregated by the mean over genes."""

from __future__ import annotations

import sys
from pathlib import Path

from gge import metrics as m

from benchmarks.peers import answers, data

SETTINGS = "metric.compute(real, generated, control_data=real controls).aggregate_value; float64 arrays"
METRICS = {
    "pearson": m.PearsonCorrelation(),
    "spearman": m.SpearmanCorrelation(),
    "mean_pearson": m.MeanPearsonCorrelation(),
    "mean_spearman": m.MeanSpearmanCorrelation(),
    "r_squared": m.RSquared(),
    "perturbation_effect_pearson": m.PerturbationEffectCorrelation("pearson"),
    "perturbation_effect_spearman": m.PerturbationEffectCorrelation("spearman"),
    "wasserstein_1": m.Wasserstein1Distance(),
    "wasserstein_2_fallback": m.Wasserstein2Distance(use_geomloss=False),
    "mmd": m.MMDDistance(),
    "energy": m.EnergyDistance(),
    "energy_fallback": m.EnergyDistance(use_geomloss=False),
    "mse": m.MSEDistance(),
    "multivariate_mmd": m.MultivariateMMD(),
}


def main(out: Path) -> None:
    small = data.small()
    values = {
        name: {
            label: metric.compute(
                small.truth.groups[label],
                small.prediction.groups[label],
                control_data=small.truth.controls,
            ).aggregate_value
            for label in sorted(data.SIZES)
        }
        for name, metric in METRICS.items()
    }
    packages = ["gge-eval", "geomloss", "torch", "scipy", "numpy"]
    answers.write(out, "gge-eval", packages, small, SETTINGS, values)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
