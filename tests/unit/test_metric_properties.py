"""What every registered metric's card claims, held against the metric: best, chance, invariances, bounds."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from lanner.matrix import write_matrix
from lanner.metrics import METRICS
from lanner.scoring import Prediction, parts, score
from worlds import N_CELLS, N_GENES, every_metrics_world, guessed_cells, true_cells

COMPUTED = [name for name in METRICS if not METRICS[name].card.worst_of]
FULL = "@all-cells.unmasked"
N = 7

UNBIASED = {"energy/pca50", "energy/gene", "mmd_rbf", "mmd_rbf/gene"}
"""0 in expectation for two samples of one distribution: of one sample with itself a little below."""
NOT_ATTAINED = {
    "biology/cell_type_accuracy": "cells of one context may be nearest to another",
    "biology/knn_purity": "perturbed cells and controls overlap",
    "de_ap": "genes are called by a test that knows their variance, ranked by change",
    "de_auprc": "as de_ap",
    "de_auprc/normalised": "as de_ap",
    "de_auprc/zhu": "as de_ap",
    "de_auprc/zhu-gated": "as de_ap",
    **dict.fromkeys((f"de_precision/recall{recall}" for recall in (25, 50, 75)), "as de_ap"),
    **dict.fromkeys((name for name in METRICS if name.startswith("gi/auprc")), "as de_ap"),
    "centroid_accuracy": "it does attain it, but train candidates may tie",
}
NO_RANDOM = {
    "biology/cell_type_accuracy": "needs cells of random contexts: test_metrics_biology",
    "biology/knn_purity": "needs cells that are neither: test_metrics_biology",
    "centroid_accuracy": "its card: chance holds for candidates of equal noise, train singles of it are near",
    "de_prevalence": "it does not depend on the prediction",
    "gi/auprc/buffering": "its card: noise about what singles add up to is mostly buffering, as truths are",
}


@pytest.fixture(scope="module", autouse=True)
def few_draws():
    """Draws of all cells are alike: two are enough to see that."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parts, "DRAWS", 2)
        yield


@pytest.fixture(scope="module")
def scored(tmp_path_factory):
    """Score cells or profiles; returns value by metric and variant, ``(7,)`` each."""

    def run(truth, x, names=COMPUTED, n_cells=N_CELLS, **options):
        folder = tmp_path_factory.mktemp("p")
        answered = np.ones(N, dtype=bool)
        prediction = Prediction(
            matrix=write_matrix(folder / "x", N_GENES, [x], sparse=False),
            n_cells=n_cells,
            answered=answered,
            **options,
        )
        return score(truth, prediction, names)

    return run


@cache
def world(seed=0):
    return every_metrics_world(seed=seed)


def values(frame, name, variant=FULL):
    rows = frame[(frame["metric"] == name) & (frame["variant"] == variant)]
    return rows["value"].to_numpy()[rows["status"].to_numpy() == "scored"]


@pytest.fixture(scope="module")
def perfect(scored):
    return scored(world(), true_cells(world()))


@pytest.fixture(scope="module")
def guessed(scored):
    return scored(world(), guessed_cells(world()))


@pytest.fixture(scope="module")
def random(scored):
    """Noise around what a card's change is from, which knows no more; cells made of it by shift."""
    truth, generator = world(), np.random.default_rng(1)
    interaction = [name for name in COMPUTED if METRICS[name].card.level == "interaction"]
    profile = [name for name in COMPUTED if name.startswith("r2_corr/profile")]
    train = [name for name in COMPUTED if "train perturbation" in METRICS[name].card.reference]
    others = [name for name in COMPUTED if name not in (*interaction, *profile, *train)]
    additive = np.stack([truth.additive(i)[0] for i in range(N)])
    frames = []
    nothing, where = np.zeros((N, N_GENES)), truth.context_of
    control, mean = truth.control_a[where], truth.train_mean[where]
    for names, centre in ((interaction, additive), (profile, nothing), (train, mean), (others, control)):
        for _ in range(3):
            x = np.maximum(centre + generator.normal(0, 0.3, (N, N_GENES)), -5)
            frames.append(scored(truth, x, names, n_cells=1, residual="shift"))
    return frames


@pytest.mark.parametrize("name", COMPUTED)
def test_a_perfect_prediction_reaches_the_best_value(name, perfect):
    card, found = METRICS[name].card, values(perfect, name)
    assert found.size
    if card.better == "neither":
        return
    if name in UNBIASED:
        assert (found <= card.best).all() and (found > card.best - 1).all()
    elif name in NOT_ATTAINED:
        chance = perfect[(perfect["metric"] == name) & (perfect["status"] == "scored")]["chance"].to_numpy()
        assert (found <= card.best + 1e-12).all() and found.mean() > np.mean(chance)
    else:
        np.testing.assert_allclose(found, card.best, atol=2e-5)


@pytest.mark.parametrize(
    "name", [n for n in COMPUTED if METRICS[n].card.chance is not None and n not in NO_RANDOM]
)
def test_random_predictions_are_at_chance_within_their_interval(name, random):
    gaps = []
    for frame in random:
        rows = frame[(frame["metric"] == name) & (frame["variant"] == FULL) & (frame["status"] == "scored")]
        gaps += list(rows["value"] - rows["chance"])
    assert len(gaps) >= 6
    error = np.std(gaps, ddof=1) / np.sqrt(len(gaps))
    assert abs(np.mean(gaps)) < 4 * error + 0.02


@pytest.mark.parametrize("name", COMPUTED)
def test_no_value_is_beyond_the_best_or_infinite(name, perfect, guessed, random):
    card = METRICS[name].card
    for frame in (perfect, guessed, *random):
        for variant in frame["variant"].unique():
            found = values(frame, name, variant)
            assert np.isfinite(found).all()
            if card.better == "higher":
                assert (found <= card.best + 1e-9).all()
            elif card.better == "lower" and name not in UNBIASED:
                assert (found >= card.best - 1e-9).all()


def reference_of(truth, name):
    """The profile a card's change is from, for predictions: ``(7, n_genes)``."""
    text = METRICS[name].card.reference
    return (truth.train_mean if "train perturbation" in text else truth.control_a)[truth.context_of]


def by_cell(profiles):
    return np.repeat(profiles, N_CELLS, axis=0)


def additive_of(truth):
    return np.stack([truth.additive(i)[0] for i in range(N)])


def signed_power(x):
    return np.sign(x) * np.abs(x) ** 1.5


def outside_the_pca(truth):
    axes = truth.pca[1]
    noise = np.random.default_rng(3).normal(size=N_GENES)
    return noise - (noise @ axes.T) @ axes


def shuffled_genes(cells):
    generator = np.random.default_rng(4)
    pieces = [generator.permuted(cells[i * N_CELLS : (i + 1) * N_CELLS], axis=0) for i in range(N)]
    return np.concatenate(pieces)


SCALE = np.random.default_rng(6).uniform(0.5, 2, N_GENES)
SHIFT = np.random.default_rng(7).uniform(0.1, 1, N_GENES)

PROFILES = {
    "scale of the predicted change": lambda t, p, r: r + 2.5 * (p - r),
    "a shift common to all genes": lambda t, p, r: p + 0.7,
    "scale and sign of the prediction": lambda t, p, r: -3 * p,
    "scale and sign of the predicted change": lambda t, p, r: r - 3 * (p - r),
    "any increasing transformation of |p - r|": lambda t, p, r: r + signed_power(p - r),
    "any increasing transformation of |p - e|": lambda t, p, r: (
        additive_of(t) + signed_power(p - additive_of(t))
    ),
    "any increasing transformation of the predicted deviation": lambda t, p, r: (
        additive_of(t) + signed_power(p - additive_of(t))
    ),
    "the sign of the predicted change": lambda t, p, r: r - (p - r),
    "any change within the PCA": lambda t, p, r: p + 5 * t.pca[1][0],
    "the prediction": lambda t, p, r: r,
}
"""Invariances under a change of the predicted profile p, given the truth and the card's reference r."""
CELLS = {
    "garbage orthogonal to the PCA": lambda t, x: x + 3 * outside_the_pca(t),
    "dependence between genes": lambda t, x: shuffled_genes(x),
    "a gene-wise shift of the prediction": lambda t, x: x + SHIFT,
    "any transformation that keeps zeros": lambda t, x: x**2,
    "scale and shift of single genes": lambda t, x: x * SCALE + SHIFT,
}
"""Invariances under a change of predicted cells."""
rotation = cache(lambda: np.linalg.qr(np.random.default_rng(8).normal(size=(N_GENES, N_GENES)))[0])
WORLDS = {
    "the same gene-wise shift of prediction and truth": lambda x: x + SHIFT,
    "rotation": lambda x: x @ rotation(),
}
"""Invariances under a change of all cells, true and predicted."""
CLAIMS = [(name, claim) for name in COMPUTED for claim in METRICS[name].card.invariances]


def test_every_claimed_invariance_has_a_transformation_that_tests_it():
    assert {claim for _, claim in CLAIMS} == {*PROFILES, *CELLS, *WORLDS}


@pytest.fixture(scope="module")
def of_profiles(scored):
    """Scores of guessed profiles, before anything is done to them."""
    truth = world()
    guess = guessed_cells(truth).reshape(N, N_CELLS, N_GENES).mean(axis=1).astype(np.float32).astype(float)
    names = [name for name in COMPUTED if METRICS[name].card.requires == "profile"]
    return guess, scored(truth, guess, names, n_cells=1)


@pytest.fixture(scope="module")
def after(scored, of_profiles):
    """Scores after a transformation, of all metrics that claim not to notice: computed once each."""
    truth = world()

    @cache
    def run(claim, reference):
        names = [n for n, c in CLAIMS if c == claim]
        if claim in PROFILES:
            names = [name for name in names if METRICS[name].card.reference == reference]
            return scored(
                truth, PROFILES[claim](truth, of_profiles[0], reference_of(truth, names[0])), names, n_cells=1
            )
        if claim in CELLS:
            return scored(truth, CELLS[claim](truth, guessed_cells(truth)), names)
        changed = every_metrics_world(change=WORLDS[claim])
        return scored(changed, WORLDS[claim](guessed_cells(truth)), names)

    return run


@pytest.mark.parametrize(("name", "claim"), CLAIMS)
def test_a_claimed_invariance_holds(name, claim, after, guessed, of_profiles):
    before = of_profiles[1] if claim in PROFILES else guessed
    found = after(claim, METRICS[name].card.reference if claim in PROFILES else "")
    ours, theirs = values(found, name), values(before, name)
    assert len(ours) == len(theirs) > 0
    np.testing.assert_allclose(ours, theirs, rtol=2e-3, atol=2e-4)


@pytest.fixture(scope="module")
def permuted(scored):
    """Scores after permuting the cells of each condition, and after permuting the genes of everything."""
    generator = np.random.default_rng(9)
    cells = guessed_cells(world()).reshape(N, N_CELLS, N_GENES)
    rows = np.concatenate([generator.permutation(part) for part in cells])
    order = generator.permutation(N_GENES)
    return scored(world(), rows), scored(every_metrics_world(order=order), guessed_cells(world())[:, order])


@pytest.mark.parametrize("name", COMPUTED)
def test_the_order_of_predicted_cells_and_of_genes_changes_nothing(name, permuted, guessed):
    rows, genes = permuted
    np.testing.assert_allclose(values(rows, name), values(guessed, name), rtol=1e-6, atol=1e-9)
    for variant in guessed["variant"].unique():
        ours, theirs = values(genes, name, variant), values(guessed, name, variant)
        np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-9)
