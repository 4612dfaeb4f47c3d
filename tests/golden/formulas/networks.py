"""Network metrics, slowly: one pair, one gene, one draw at a time, with the libraries the peers use."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from lanner.networks import Network, NetworkTruth
from scipy.stats import false_discovery_control, mannwhitneyu, wasserstein_distance
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score
from sklearn.model_selection import LeaveOneGroupOut
from sklearn.preprocessing import RobustScaler

Array = np.ndarray[Any, Any]


def cells(truth: NetworkTruth, gene: str | None = None) -> Array:
    """Dense float64 cells of an intervention, or the controls."""
    block = truth.controls if gene is None else truth.interventions[gene]
    return block.toarray().astype(np.float64)


def distances(truth: NetworkTruth) -> dict[tuple[int, int], float]:
    """Wasserstein distance of every pair of an intervened regulator and another gene."""
    control = cells(truth)
    return {
        (int(r), g): wasserstein_distance(control[:, g], cells(truth, truth.genes[r])[:, g])
        for r in truth.intervened
        for g in range(len(truth.genes))
    }


def significant(truth: NetworkTruth) -> dict[tuple[int, int], float]:
    """Pairs with an adjusted p below .05, and the sign of the shift times the direction."""
    control, found = cells(truth), {}
    for r in truth.intervened:
        treated = cells(truth, truth.genes[r])
        others = [g for g in range(len(truth.genes)) if g != r]
        tests = [mannwhitneyu(treated[:, g], control[:, g], method="asymptotic") for g in others]
        p = false_discovery_control([1.0 if np.isnan(test.pvalue) else test.pvalue for test in tests])
        half = len(treated) * len(control) / 2
        for g, test, adjusted in zip(others, tests, p, strict=True):
            if adjusted < 0.05:
                found[(int(r), g)] = truth.direction * float(np.sign(test.statistic - half))
    return found


def edges(network: Network) -> dict[tuple[int, int], float]:
    """Weights by pair, self loops left out."""
    matrix = network.weights.tocoo()
    pairs = zip(matrix.row.tolist(), matrix.col.tolist(), matrix.data.tolist(), strict=True)
    return {(a, b): weight for a, b, weight in pairs if a != b}


def explained(network: Network, truth: NetworkTruth, numbers: Array) -> dict[str, float]:
    """Our regression: ridge on scaled predictors, groups left out in turn, own interventions left out."""
    samples, weights = truth.samples, edges(network)
    X = np.asarray(samples.X, dtype=np.float64)
    found = {}
    for g in range(len(truth.genes)):
        if numbers[g] == 0:
            continue
        mine = sorted((a for a, b in weights if b == g), key=lambda a: -abs(weights[a, g]))[: numbers[g]]
        kept = samples.target != g
        error = total = 0.0
        for train, test in LeaveOneGroupOut().split(X[kept], groups=samples.groups[kept]):
            y = X[kept][:, g]
            predicted = np.full(len(test), y[train].mean())
            if mine:
                A = X[kept][:, mine]
                mean, sd = A[train].mean(axis=0), A[train].std(axis=0)
                model = Ridge(alpha=1.0).fit((A[train] - mean) / sd, y[train])
                predicted = model.predict((A[test] - mean) / sd)
            error += ((y[test] - predicted) ** 2).sum()
            total += ((y[test] - y[train].mean()) ** 2).sum()
        found[truth.genes[g]] = max(1 - error / total, -1.0)
    return found


def genernib_regression(network: Network, truth: NetworkTruth) -> tuple[float, float]:
    """r_precision and r_recall as geneRNIB computes them, with its seeds and its libraries."""
    np.random.seed(0xCAFE)
    X = np.asarray(truth.samples.X, dtype=np.float64)
    groups = np.random.choice(range(1, 6), size=len(X), replace=True)
    X = RobustScaler(with_centering=False).fit_transform(X)
    net = np.zeros((len(truth.genes),) * 2)
    for pair, weight in edges(network).items():
        net[pair] = weight
    answer = []
    for numbers in (truth.theta.regulators_precision, truth.theta.regulators_recall):
        A = net.copy()
        A[net > 0] += 1e-10
        A[net < 0] -= 1e-10
        A[net == 0] = np.random.rand((net == 0).sum()) * 2e-10 - 1e-10
        A += np.random.rand(*A.shape) * 1e-10
        A[~np.isin(np.arange(len(A)), truth.regulators)] = 0
        scores = []
        for j in range(len(A)):
            if numbers[j] == 0:
                continue
            size = np.abs(A[:, j])
            size[j] = -1
            chosen = [i for i in np.argsort(size)[-numbers[j] :] if size[i] > 0]
            folds = [
                r2_score(
                    X[test, j], Ridge().fit(X[train][:, chosen], X[train, j]).predict(X[test][:, chosen])
                )
                for train, test in LeaveOneGroupOut().split(X, groups=groups)
            ]
            scores.append(np.clip(np.mean(folds), 0, 1))
        answer.append(float(np.mean(scores)))
    return answer[0], answer[1]


def genernib_distances(network: Network, truth: NetworkTruth) -> tuple[float, float]:
    """ws_precision and ws_recall as geneRNIB computes them, in data frames."""
    np.random.seed(42)
    table = pd.DataFrame(
        [(truth.genes[a], truth.genes[b], value) for (a, b), value in distances(truth).items()],
        columns=["source", "target", "distance"],
    )
    links = pd.DataFrame(
        [(truth.genes[a], truth.genes[b], weight) for (a, b), weight in edges(network).items()],
        columns=["source", "target", "weight"],
    ).sort_values(["source", "target"])
    recall = truth.theta.targets_recall
    answer = []
    for numbers in (truth.theta.targets_precision, recall):
        rows = []
        for tf in sorted(truth.genes[r] for r in truth.intervened if recall[r] > 0):
            n = int(numbers[truth.genes.index(tf)])
            background = table[table["source"] == tf]
            mine = links[links["source"] == tf]
            if len(mine):
                chosen = background[background["target"].isin(mine.nlargest(n, "weight")["target"])]
            else:
                chosen = background.sample(n, replace=True, random_state=42)
            rest = background.sample(n - len(chosen), replace=True, random_state=42)
            drawn = np.random.choice(background["distance"].values, 1000)
            both = pd.concat([chosen, rest])["distance"]
            rows += [(value > drawn).sum() / 1000 for value in both]
        answer.append(float(np.mean(rows)))
    return answer[0], answer[1]
