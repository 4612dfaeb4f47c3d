"""Every page of a board made of stored runs, in a real browser: its numbers, its console, its requests.

``LANNER_SITE=site/real pytest tests/site/test_board.py`` looks at pages that were built before.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser import browser, complaints, requests
from lanner.leaderboard.table import cell
from test_pages import show, until

pytestmark = pytest.mark.slow

READ = """
return [...document.querySelectorAll(arguments[0])].map(row => ({
  names: [...row.cells].map(e => e.dataset.search || e.textContent.trim()),
  numbers: [...row.querySelectorAll("td[data-order].num")].map(e => ({
    text: e.textContent.trim(),
    value: e.dataset.value === undefined ? null : +e.dataset.value,
    skill: e.dataset.skill === undefined ? null : +e.dataset.skill})),
}))
"""


@pytest.fixture(scope="module")
def document(board_site: Path) -> dict[str, Any]:
    return json.loads((board_site / "leaderboard.json").read_text())


@pytest.fixture(scope="module")
def window(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with browser(tmp_path_factory.mktemp("downloads")) as driver:
        yield driver


def whole(driver: Any) -> None:
    """Let every table show all of its rows, and draw every picture, as before printing."""
    driver.execute_script("window.dispatchEvent(new Event('beforeprint'))")
    pictures = "return [...document.querySelectorAll('figure.picture')].every(e => e.dataset.ready)"
    until(lambda: driver.execute_script(pictures), "all pictures", 120)


def shown(scores: dict[str, Any], names: list[str]) -> list[dict[str, Any]]:
    """Scores as cells of a table: text, value and skill."""
    found = [scores.get(name) or {"value": None} for name in names]
    return [
        {"text": cell(score), "value": score["value"], "skill": score["skill"]}
        if score["value"] is not None
        else {"text": "-", "value": None, "skill": None}
        for score in found
    ]


def test_every_page_opens_and_draws_all_it_has_without_a_word_and_without_the_network(
    window: Any, board_site: Path
) -> None:
    pages = sorted(board_site.rglob("*.html"))
    runs = [page for page in pages if page.parent.name == "runs"]
    for page in [page for page in pages if page not in runs] + runs[:: max(1, len(runs) // 20)]:
        requests(window), complaints(window)
        show(window, page)
        whole(window)
        assert complaints(window) == [], page
        assert {url.partition(":")[0] for url in requests(window)} <= {"file", "data", "blob"}, page


def test_the_numbers_of_the_overview_are_those_of_the_document(
    window: Any, board_site: Path, document: dict[str, Any]
) -> None:
    primary = [metric["id"] for metric in document["metrics"] if metric["primary"]]
    show(window, board_site / "index.html")
    whole(window)
    rows = [row for row in window.execute_script(READ, "#overview tbody tr") if row["names"][3] == "method"]
    found = [[row["names"][:3], row["numbers"][: len(primary)]] for row in rows]
    expected = [
        [[s["dataset"], s["split"], s["method"]], shown(s["scores"] or {}, primary)]
        for s in document["summaries"]
    ]
    assert found and sorted(found, key=json.dumps) == sorted(expected, key=json.dumps)


def test_the_numbers_of_run_pages_are_those_of_the_document(
    window: Any, board_site: Path, document: dict[str, Any]
) -> None:
    from lanner.site.naming import run_name

    scored = [row for row in document["rows"] if row["scores"]]
    for row in scored[:: max(1, len(scored) // 10)]:
        show(window, board_site / "runs" / f"{run_name(row)}.html")
        whole(window)
        lines = window.execute_script(READ, "#scores-table tbody tr")
        found = {line["names"][0]: line["numbers"][0] for line in lines}
        names = list(row["scores"])
        assert found == dict(zip(names, shown(row["scores"], names), strict=True))
        assert row["key"] in window.find_element("css selector", ".hashes").text
