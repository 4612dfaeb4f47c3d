"""Details of networks: computed with the scores, stored beside them, and what pages make of them."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import boards
import pytest
from lanner import datasets, scores
from lanner.config import Settings
from lanner.leaderboard.building import Results
from lanner.site.network_details import Gathered, gathered
from lanner.site.pages import board
from lanner.site.pictures.agreement import agreement
from lanner.site.pictures.edge_curves import edge_curves
from lanner.site.pictures.edge_overlap import edge_overlap
from lanner.site.pictures.regulators import regulators
from lanner.tasks import TASKS

KNOWN = "known edges"
EDGES = """
from lanner import simulator

def networks(sources, parameters):
    return {"gold": simulator.Simulation(**parameters).edges()[::STEP]}
"""
PROGRAM = """
import os, pathlib
import anndata, numpy as np, pandas as pd, scipy.sparse as sp

INPUT, OUTPUT = (pathlib.Path(os.environ["LANNER_" + name]) for name in ("INPUT", "OUTPUT"))
train = anndata.read_h5ad(INPUT / "train.h5ad")
rows = train.var_names.get_indexer(pd.read_csv(INPUT / "regulators.csv")["gene"])
weights = np.zeros((train.n_vars, train.n_vars))
weights[rows] = np.nan_to_num(np.corrcoef(train.X.toarray(), rowvar=False))[rows]
np.fill_diagonal(weights, 0)
network = sp.csr_matrix(CHANGE(weights), dtype="f4")
cells = pd.DataFrame(index=pd.Index([], dtype=str))
adata = anndata.AnnData(obs=cells, var=train.var[[]], varp={"network": network})
adata.write_h5ad(OUTPUT / "prediction.h5ad")
"""
METHODS = {"plain": "np.array", "opposite": "np.negative", "nothing": "np.zeros_like"}


def make(folder: Path) -> Results:
    return boards.make(
        folder,
        list(METHODS),
        task="network-inference",
        datasets=["tiny"],
        metrics=["edge_wasserstein/top", "effect_auprc", "gold_auprc"],
    )


def correct(registry: Path, step: int) -> None:
    """The known edges as somebody published them: every ``step``-th of the simulation's."""
    entry = registry / "datasets_registry" / "tiny"
    document = json.loads((entry / "dataset.yaml").read_text())
    document["networks"] = [{"name": "gold", "file": "edges.py", "signed": True, "text": "A toy."}]
    (entry / "dataset.yaml").write_text(json.dumps(document))
    (entry / "edges.py").write_text(EDGES.replace("STEP", str(step)))


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Results]:
    folder = tmp_path_factory.mktemp("network-pages")
    registry = boards.registry(folder / "registry", size={"n_cells_per_condition": 48, "cell_types": 1})
    correct(registry, 3)
    for name, change in METHODS.items():
        boards.add_method(registry, name, tasks=["network-inference"])
        (registry / "method_containers" / name / "run.py").write_text(PROGRAM.replace("CHANGE", change))
    return folder, make(folder)


@pytest.fixture(scope="module")
def found(built: tuple[Path, Results]) -> Gathered:
    from lanner.site import gather

    results = built[1]
    cut = board(gather(results.document, results.scored, results.bounds))
    return gathered(cut, next(iter(cut.summaries)))


def summaries(results: Results) -> dict[str, Any]:
    return {summary["method"]: summary["scores"] for summary in results.document["summaries"]}


@pytest.mark.parametrize(("truth", "metric"), [(KNOWN, "gold_auprc"), ("held-out effects", "effect_auprc")])
def test_the_area_in_the_legend_is_the_published_number(built, found, truth: str, metric: str) -> None:
    published = {name: of[metric]["value"] for name, of in summaries(built[1]).items()}
    areas = {c.name: c.auprc for c in found.curves if c.truth == truth}
    assert areas["nothing"] is None
    assert areas["plain"] == pytest.approx(published["plain"], rel=1e-5)
    score = summaries(built[1])["plain"][metric]
    for name, value in {**score["negative"], **score["positive"]}.items():
        if areas.get(f"(bound) {name}") is not None:
            assert areas[f"(bound) {name}"] == pytest.approx(value, rel=1e-5), name


def test_a_curve_ends_where_every_pair_is_taken(found: Gathered) -> None:
    drawn = [curve for curve in found.curves if curve.precision]
    assert {curve.kind for curve in drawn} == {"method", "negative bound", "positive bound"}
    for curve in drawn:
        assert curve.recall[-1] == pytest.approx(1) and list(curve.recall) == sorted(curve.recall)
        assert curve.precision[-1] == pytest.approx(curve.prevalence, rel=1e-4)
    gold = next(c for c in drawn if c.name == "(bound) gold-standard" and c.truth == KNOWN)
    assert gold.precision[0] == 1 and gold.auprc == 1


def test_networks_of_opposite_signs_share_all_edges_and_no_direction(found: Gathered) -> None:
    picture = edge_overlap(found)
    assert picture is not None
    rows = {row[:2]: row[2:] for row in picture.rows}
    assert rows["opposite", "plain"] == (1.0, found.tops[0].k, 0.0)
    assert rows["nothing", "plain"] == (0.0, 0.0, None)
    # Of the bounds, those that are one ranked network: neither drawn nor all of one weight.
    assert {top.name for top in found.tops} - set(METHODS) == {"(bound) correlation"}


def test_regulators_add_up_to_the_whole_network(built, found: Gathered) -> None:
    mine = [r for r in found.regulators if r.method == "plain" and r.truth == KNOWN]
    curve = next(c for c in found.curves if c.name == "plain" and c.truth == KNOWN)
    assert sum(r.positives or 0 for r in mine) == curve.positives > 0
    assert all((r.found or 0) <= min(r.edges or 0, r.positives or 0) for r in mine)
    assert len(mine) == 8 and all(r.intervened for r in mine)
    assert sum(not r.seen for r in mine) == 2  # a quarter of the interventions is held out
    assert all(r.edges == 0 for r in found.regulators if r.method == "nothing")


def test_every_picture_is_on_the_page_with_its_table(built: tuple[Path, Results], found: Gathered) -> None:
    site = built[0] / "site-home"
    page = (site / "datasets" / "tiny.html").read_text()
    for draw in (edge_curves, edge_overlap, regulators):
        picture = draw(found)
        assert picture is not None and picture.title in page
        file = next((site / "data").glob(f"*-{picture.id}.csv"))
        with file.open(newline="") as stream:
            header, *rows = csv.reader(stream)
        assert tuple(header) == picture.columns and len(rows) == len(picture.rows)


def test_no_page_of_networks_speaks_of_expression(built: tuple[Path, Results]) -> None:
    pages = {path: path.read_text() for path in (built[0] / "site-home").rglob("*.html")}
    assert any("Against the correlation network" in text for text in pages.values())
    for path, text in pages.items():
        assert not [words for words in ("training mean", "conditions are") if words in text], path


def test_metrics_of_networks_are_compared_by_the_order_of_methods_as_those_of_expression_are() -> None:
    TASKS["network-inference"].load()

    def summary(name: str, auprc: float, direction: float) -> dict[str, Any]:
        values = {"effect_auprc": auprc, "effect_direction": direction}
        rows = {metric: {"value": value, "skill": None} for metric, value in values.items()}
        return {"method": name, "scores": rows}

    rising = [summary(f"m{k}", k / 10, 1 - k / 10) for k in range(4)]
    picture = agreement(rising, ["effect_auprc", "effect_direction"])
    assert picture is not None
    assert list(picture.rows) == [("effect_auprc", "effect_direction", -1.0, 4)]


def test_nothing_is_drawn_where_no_run_said_anything() -> None:
    nothing = Gathered(curves=(), tops=(), regulators=())
    assert edge_curves(nothing) is edge_overlap(nothing) is regulators(nothing) is None


def test_a_corrected_gold_standard_is_scored_again_and_runs_are_kept(built: tuple[Path, Results]) -> None:
    folder, before = built
    task, registry = TASKS["network-inference"], folder / "registry"

    def question() -> scores.Question:
        entry = datasets.find_entry(Settings(home=folder / "home", registry=registry), "tiny")
        return scores.Question.of_entry(task, before.scored[0].cell.artefact.definition.metrics, entry)

    old = question()
    sealed = before.scored[0].cell.artefact.truth
    assert scores.Question.of_truth(task, old.metrics, sealed).hash == old.hash
    correct(registry, 6)
    try:
        assert question().hash != old.hash
        after = make(folder)
        same, other = (summaries(results)["plain"] for results in (before, after))
        assert same["effect_auprc"]["value"] == other["effect_auprc"]["value"]
        assert same["gold_auprc"]["value"] != other["gold_auprc"]["value"]
        assert same["gold_auprc"]["negative"] != other["gold_auprc"]["negative"]
        run = after.scored[0].cell.plan.folder.path
        assert len(list(run.glob("attempt-*"))) == 1 and len(list((run / "scores").glob("*.parquet"))) == 2
    finally:
        correct(registry, 3)
    again = make(folder)
    assert again.document == before.document


def test_a_task_that_says_nothing_is_asked_as_before(built: tuple[Path, Results]) -> None:
    task, artefact = TASKS["perturbation-response"], built[1].scored[0].cell.artefact
    assert task.judged_by(artefact.dataset.entry) == task.judged_with(artefact.truth) == {}
    assert task.bound_details(artefact.truth) is None
