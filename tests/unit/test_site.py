"""The page: rendered from leaderboard.json alone, whole without a network, safe whatever a method says."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator, Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import boards
import pandas as pd
import pytest
from lanner.leaderboard.building import Results
from lanner.site import render
from lanner.site.dots import dot_plot

EVIL = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'&amp;{{ 7 * 7 }}"
VOID = {"meta", "link", "br", "img", "line", "circle", "polygon", "input", "hr"}


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Results]:
    return boards.built(tmp_path_factory.getbasetemp() / "board")


@pytest.fixture
def document(built: tuple[Path, Results]) -> dict[str, Any]:
    return json.loads(json.dumps(built[1].document))


class Page(HTMLParser):
    """Elements and visible text of a page; fails on one that is not closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.text.append(data)

    def tags(self) -> set[str]:
        return {tag for tag, _ in self.elements}


def poisoned(value: Any) -> Iterator[tuple[Any, Any]]:
    """Where a document holds free text: the container and the key of each."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            if isinstance(item, str) and key in ("title", "description", "reason", "licence", "text"):
                yield value, key
            yield from poisoned(item)
    elif isinstance(value, list):
        for item in value:
            yield from poisoned(item)


def test_the_page_and_its_files_lie_together(built: tuple[Path, Results]) -> None:
    folder = built[0] / "site-home"
    assert built[1].pages == (folder / "index.html",)
    assert sorted(path.name for path in folder.iterdir()) == [
        "index.html",
        "leaderboard.json",
        "leaderboard.md",
        "scores.parquet",
    ]
    for name in re.findall(r'href="([^"]+)"', (folder / "index.html").read_text()):
        assert name.startswith(("data:", "#")) or (folder / name).is_file()


def test_the_page_is_rendered_from_the_document_alone(
    built: tuple[Path, Results], document: dict[str, Any]
) -> None:
    assert (built[0] / "site-home" / "index.html").read_text() == render(document)


def test_nothing_is_fetched_from_anywhere(document: dict[str, Any]) -> None:
    text = render(document)
    page = Page(text)
    assert not page.tags() & {"script", "iframe", "img", "object", "embed", "form", "base"}
    for _, attributes in page.elements:
        for name in ("src", "href", "action", "srcset", "xlink:href"):
            assert "//" not in (attributes.get(name) or "")
    assert "@import" not in text and "url(" not in text


def test_text_of_methods_and_datasets_is_shown_as_text(document: dict[str, Any]) -> None:
    plain = Page(render(document))
    evil = copy.deepcopy(document)
    for holder, key in list(poisoned(evil)):
        holder[key] = EVIL
    for group in ("rows", "summaries"):
        for item in evil[group]:
            item["method"] += EVIL
    for item in evil["comparisons"]:
        for of_method in ("against_train_mean", "above_best_negative", "first_share"):
            if item.get(of_method):
                item[of_method] = {name + EVIL: value for name, value in item[of_method].items()}
    text = render(evil)
    page = Page(text)
    assert page.tags() == plain.tags()
    assert len(page.elements) == len(plain.elements)
    assert not any(name.startswith("on") for _, attributes in page.elements for name in attributes)
    assert "alert(1)" in "".join(page.text)
    assert "{{ 7 * 7 }}" in "".join(page.text)


def test_characters_that_would_reorder_a_line_are_shown_as_escapes(document: dict[str, Any]) -> None:
    document["title"] = "abc\u202edef\x1b[31m"
    text = render(document)
    assert "\u202e" not in text and "\x1b" not in text
    assert "abc\\u202edef\\x1b[31m" in text


def test_numbers_of_the_table_are_those_of_the_document(document: dict[str, Any]) -> None:
    text = "".join(Page(render(document)).text)
    for summary in document["summaries"]:
        for name, score in (summary["scores"] or {}).items():
            if score["variant"] == "" and name == "mse" and score["value"] is not None:
                assert f"({score['value']:.3g})" in text
                if score["skill"] is not None:
                    assert f"{round(score['skill'], 2) + 0.0:.2f}" in text


def test_every_row_without_scores_is_listed_with_its_reason(document: dict[str, Any]) -> None:
    text = "".join(Page(render(document)).text)
    for row in document["rows"]:
        if row["status"] != "succeeded":
            assert row["method"] in text and row["reason"] in text


def test_runs_without_a_container_are_called_unsealed(document: dict[str, Any]) -> None:
    assert "Unsealed." in render(document)
    for row in document["rows"]:
        row["unsealed"] = False
    assert "Unsealed." not in render(document)


def test_scores_parquet_holds_every_condition_of_every_scored_run(
    built: tuple[Path, Results], document: dict[str, Any]
) -> None:
    frame = pd.read_parquet(built[0] / "site-home" / "scores.parquet")
    assert set(frame["method"]) == {"constant", "half"}
    keys = {row["key"] for row in document["rows"] if row["scores"]}
    assert set(frame["key"]) == keys
    mse = frame[(frame["metric"] == "mse") & (frame["variant"] == "") & (frame["method"] == "constant")]
    assert len(mse) == document["datasets"][0]["splits"][0]["test"]
    value = next(s for s in document["summaries"] if s["method"] == "constant")["scores"]["mse"]["value"]
    assert mse["value"].mean() == pytest.approx(value)


def test_a_board_on_which_nothing_was_scored_is_still_a_page(document: dict[str, Any]) -> None:
    for group in ("rows", "summaries"):
        for item in document[group]:
            item["scores"] = None
            item["status"], item["reason"] = "failed", "it broke"
    text = "".join(Page(render(document)).text)
    assert "Not scored" in text and "it broke" in text


def score(skill: float, interval: list[float] | None = None) -> dict[str, Any]:
    return {"skill": skill, "skill_interval": interval, "informative": "informative", "n": 5, "value": 0.1}


def test_a_dot_lies_between_its_bounds_and_one_beyond_the_edge_is_an_arrow_there() -> None:
    plot = str(dot_plot([("a", score(0.0)), ("b", score(1.0, [0.9, 1.1])), ("c", score(-7.0))]))
    left, right = (float(x) for x in re.findall(r'<line class="bound" x1="([\d.]+)"', plot))
    dots = [float(x) for x in re.findall(r'<circle class="known" cx="([\d.]+)"', plot)]
    assert dots == [left, right]
    assert plot.count("<polygon") == 1 and "skill -7.00" in plot


def test_without_any_skill_there_is_no_plot() -> None:
    assert dot_plot([("a", {**score(0.0), "skill": None})]) is None
