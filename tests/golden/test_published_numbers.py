"""Numbers others have published or measured on the real datasets, reproduced through the whole path."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from lanner.config import Settings
from lanner.leaderboard.building import build
from lanner.leaderboard.definition import define

pytestmark = [pytest.mark.realdata, pytest.mark.slow]
VARIANT = "@all-cells.unmasked"


@pytest.fixture(scope="module")
def built(shared_settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Any]:
    """Build a small leaderboard of bundled methods in plain processes; returns its document and scores."""

    def one(
        dataset: str, methods: list[str], metrics: list[str], design: dict[str, Any] | None = None
    ) -> tuple[Any, pd.DataFrame]:
        item: dict[str, Any] = {"id": dataset, **({"splits": [design]} if design else {})}
        definition = define(
            {
                "name": "golden",
                "title": "Golden",
                "task": "perturbation-response",
                "datasets": [item],
                "methods": methods,
                "metrics": metrics,
                "seeds": [0],
            },
            shared_settings,
        )
        site: Path = tmp_path_factory.mktemp("site")
        results = build(definition, shared_settings, runner="process", jobs=2, site=site)
        return results.document, pd.read_parquet(site / "scores.parquet")

    return one


def select(scores: pd.DataFrame, metric: str, method: str) -> pd.DataFrame:
    return scores[
        (scores["metric"] == metric) & (scores["variant"] == VARIANT) & (scores["method"] == method)
    ]


@pytest.mark.parametrize(
    ("dataset", "n", "published"), [("norman19-pseudobulk", 126, 0.694), ("wessels23-carpool", 158, 0.714)]
)
def test_additive_reaches_the_published_median_on_measured_doubles(
    built: Callable[..., Any], dataset: str, n: int, published: float
) -> None:
    _, scores = built(dataset, ["additive"], ["pearson_delta"])
    values = select(scores, "pearson_delta", "additive")["value"]
    assert len(values) == n
    assert values.median() == pytest.approx(published, abs=0.005)


@pytest.fixture(scope="module")
def kang(built: Callable[..., Any]) -> pd.DataFrame:
    """The seven left-out cell types of Kang 2018, with one reference for prediction and truth."""
    _, scores = built(
        "kang18-pbmc",
        ["context-mean-delta", "no-change"],
        ["pearson_delta", "de_auprc/zhu"],
        {"id": "unseen-context", "parameters": {"mode": "whole", "controls": "shared"}, "seed": 0},
    )
    return scores


def test_the_mean_delta_of_other_cell_types_has_the_published_correlations(kang: pd.DataFrame) -> None:
    values = select(kang, "pearson_delta", "context-mean-delta")["value"]
    assert len(values) == 7
    assert values.min() == pytest.approx(0.756, abs=0.001)
    assert values.max() == pytest.approx(0.912, abs=0.001)


def test_the_mean_delta_of_other_cell_types_finds_the_affected_genes(kang: pd.DataFrame) -> None:
    auprc = select(kang, "de_auprc/zhu", "context-mean-delta")
    assert len(auprc) == 7
    assert auprc["value"].min() >= 0.66
    assert auprc["chance"].max() <= 0.012


def test_no_change_is_undefined_on_delta_correlations_and_says_so(kang: pd.DataFrame) -> None:
    rows = select(kang, "pearson_delta", "no-change")
    assert set(rows["status"]) == {"undefined"}
    assert len(rows) == 7
    assert rows["value"].isna().all()
    assert rows["reason"].str.len().min() > 10


def test_additive_answers_five_of_fifteen_doubles_and_names_the_others(built: Callable[..., Any]) -> None:
    document, _ = built("norman19-k562", ["additive"], ["pearson_delta"])
    (row,) = document["rows"]
    assert row["coverage"]["requests"] == 15
    assert row["coverage"]["answered"] == 5
    assert len(row["coverage"]["unanswered"]) == 10
    score = row["scores"]["pearson_delta"]
    assert score["n_unanswered"] == 10
    assert score["value"] < score["answered_only"]
