"""causalbench 1.1.2 on the small networks: its statistical evaluation, all paths, 500 omitted pairs."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from causalscbench.evaluation.statistical_evaluation import Evaluator

from benchmarks.peers import answers, network_data

SETTINGS = (
    "Evaluator.evaluate_network(max_path_length=-1, check_false_omission_rate=True, "
    "omission_estimation_size=500); X float64"
)


def main(out: Path) -> None:
    small = network_data.small_networks()
    labels = [label for label, cells in small.cells.items() for _ in range(len(cells))]
    evaluator = Evaluator(np.concatenate(list(small.cells.values())), labels, list(network_data.GENES))
    values: dict[str, dict[str, float]] = {}
    for name, edges in small.networks.items():
        found = evaluator.evaluate_network(
            [(network_data.GENES[a], network_data.GENES[b]) for a, b in edges],
            max_path_length=-1,
            check_false_omission_rate=True,
            omission_estimation_size=500,
        )
        graph = found["output_graph"]
        hits, misses = graph["true_positives"], graph["false_positives"]
        for metric, value in {
            "mean_wasserstein": graph["wasserstein_distance"]["mean"],
            "true_positives": hits,
            "precision": hits / (hits + misses),
            "false_omission_rate": found["false_omission_rate"],
            "negative_mean_wasserstein": found["negative_mean_wasserstein"],
        }.items():
            values.setdefault(metric, {})[name] = value
    packages = ["causalbench", "scipy", "numpy"]
    made_by = (network_data.GENERATOR, network_data.SEED)
    answers.write(out, "causalbench", packages, small, SETTINGS, values, *made_by)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
