"""The pages in a real browser, opened from disk: they sort, filter, draw, download, and fetch nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from browser import browser, complaints, requests
from lanner.site import site_files
from lanner.site.naming import slug
from lanner.site.shared import shared_files
from synthetic_board import material

pytestmark = pytest.mark.slow

SCRIPT = f"methods/{slug('<script>alert(1)</script>')}.html"
KINDS = {
    "overview": "index.html",
    "dataset": "datasets/dataset-00.html",
    "method": SCRIPT,
    "metric": "metrics/mse.html",
    "datasets": "datasets/index.html",
    "runs": "runs/index.html",
}
PICTURES = ("skill", "heatmap", "forest", "stability", "agreement", "cost", "scatter")


@pytest.fixture(scope="module")
def downloads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("downloads")


@pytest.fixture(scope="module")
def window(downloads: Path) -> Iterator[Any]:
    with browser(downloads) as driver:
        yield driver


def until(condition: Callable[[], Any], what: str, seconds: float = 60.0) -> Any:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.1)
    raise AssertionError(f"{what} did not happen within {seconds:g} s")


def show(driver: Any, page: Path) -> None:
    """Open a page and wait until its tables can be sorted."""
    driver.get(page.as_uri())
    ready = "return [...document.querySelectorAll('table.sortable')].every(e => e.dataset.ready)"
    until(lambda: driver.execute_script(ready), f"the tables of {page.name}")


def click(driver: Any, element: Any) -> None:
    """Click an element wherever it is on the page, though pictures above it may still be growing."""
    driver.execute_script("arguments[0].scrollIntoView(); arguments[0].click()", element)


def drawn(driver: Any, anchor: str) -> Any:
    """Scroll to a picture and wait until it is drawn."""
    figure = driver.find_element("id", anchor)
    driver.execute_script("arguments[0].scrollIntoView()", figure)
    until(lambda: figure.get_attribute("data-ready"), f"the picture {anchor}")
    return figure


def column(driver: Any, table: str, number: int) -> list[str]:
    script = "return [...document.querySelectorAll(arguments[0])].map(e => e.textContent.trim())"
    return list(driver.execute_script(script, f"#{table} tbody tr > :nth-child({number})"))


def test_at_full_size_the_shared_files_and_the_heaviest_page_weigh_less_than_8_mb() -> None:
    board = material(methods=50, datasets=20, metrics=20, conditions=300)
    shared = sum(len(data) for _, data in shared_files())
    weights = {path: len(data) for path, data in site_files(board) if path.endswith((".html", ".js"))}
    scripts = max(size for path, size in weights.items() if path.startswith("data/"))
    heaviest = max((size, path) for path, size in weights.items() if path.endswith(".html"))
    assert shared + heaviest[0] + scripts < 8_000_000, heaviest  # a page loads one script of conditions


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_page_opens_without_a_word_on_the_console_and_without_the_network(
    window: Any, site: Path, screenshots: Path, kind: str
) -> None:
    requests(window), complaints(window)
    show(window, site / KINDS[kind])
    assert complaints(window) == []
    assert {url.partition(":")[0] for url in requests(window)} <= {"file", "data", "blob"}
    window.save_screenshot(str(screenshots / f"{kind}.png"))


def test_a_run_page_is_reached_by_its_links(window: Any, site: Path, screenshots: Path) -> None:
    show(window, site / "index.html")
    click(window, window.find_element("css selector", "#overview tbody th a"))
    until(lambda: "/methods/" in window.current_url, "the method's page")
    link = until(lambda: window.find_elements("css selector", "a[href*='runs/']:not([href*=index])"), "links")
    click(window, link[-1])
    until(lambda: "/runs/" in window.current_url, "the run's page")
    assert "Provenance" in window.find_element("id", "main").text
    window.save_screenshot(str(screenshots / "run.png"))


def test_the_overview_sorts_by_skill_the_best_first(window: Any, site: Path) -> None:
    show(window, site / "index.html")
    header = window.find_element("css selector", "#overview thead th:nth-child(6)")
    click(window, header)
    cells = "#overview tbody tr > :nth-child(6)"
    script = f"return [...document.querySelectorAll('{cells}')].map(e => +e.dataset.order)"
    values = until(lambda: window.execute_script(script), "rows")
    until(lambda: header.get_attribute("aria-sort") == "descending", "sorting")
    values = window.execute_script(script)
    assert values == sorted(values, reverse=True) and len(set(values)) > 5


def test_the_overview_is_sorted_by_the_keyboard_alone(window: Any, site: Path) -> None:
    from selenium.webdriver.common.keys import Keys

    show(window, site / "index.html")
    order = window.find_element("css selector", "#overview thead th:nth-child(3) .dt-column-order")
    order.send_keys(Keys.ENTER)

    def is_sorted() -> bool:
        names = [name.split()[0] for name in column(window, "overview", 3)]
        return names == sorted(names)

    until(is_sorted, "sorting")


def test_the_overview_is_filtered_by_text_and_by_dataset(window: Any, site: Path) -> None:
    from selenium.webdriver.support.select import Select

    show(window, site / "index.html")
    window.find_element("css selector", ".dt-search input").send_keys("method-03")
    until(lambda: set(column(window, "overview", 3)) == {"method-03"}, "the filter")
    window.find_element("css selector", ".dt-search input").clear()
    show(window, site / "index.html")
    Select(window.find_element("css selector", "#filters select[data-column='0']")).select_by_value(
        "dataset-02"
    )
    assert set(column(window, "overview", 1)) == {"dataset-02"}
    Select(window.find_element("css selector", "#filters select[data-column='3']")).select_by_value("method")
    assert set(column(window, "overview", 4)) == {"method"}


@pytest.mark.parametrize("picture", PICTURES)
def test_every_picture_is_drawn_and_tells_more_under_the_pointer(
    window: Any, site: Path, screenshots: Path, picture: str
) -> None:
    from selenium.webdriver import ActionChains

    show(window, site / "datasets" / "dataset-01.html")
    window.execute_script("window.dispatchEvent(new Event('beforeprint'))")  # draws all: nothing moves then
    until(lambda: not window.find_elements("css selector", "figure:not([data-ready])"), "all pictures")
    figure = window.find_element("id", f"dataset-01-unseen-perturbation-{picture}")
    window.execute_script("arguments[0].scrollIntoView({block: 'start'})", figure)
    mark = {"heatmap": ".xy rect.bglayer, .plot .nsewdrag", "agreement": ".plot .nsewdrag"}.get(
        picture, ".point"
    )
    target = figure.find_element("css selector", ".point path" if picture == "stability" else mark)

    def told() -> Any:
        ActionChains(window).move_to_element_with_offset(target, 1, 0).move_to_element(target).perform()
        return figure.find_elements("css selector", ".hoverlayer text")

    until(told, "a label under the pointer")
    assert complaints(window) == []
    window.save_screenshot(str(screenshots / f"picture-{picture}.png"))


@pytest.mark.parametrize(
    ("picture", "split"), [("learning", "data-scaling"), ("similarity", "graded-similarity")]
)
def test_series_are_drawn_as_curves(
    window: Any, site: Path, screenshots: Path, picture: str, split: str
) -> None:
    show(window, site / "datasets" / "dataset-00.html")
    figure = drawn(window, f"dataset-00-{split}-{picture}")
    assert len(figure.find_elements("css selector", ".trace.scatter")) == 6
    assert "<script>alert(1)</script>" in figure.find_element("css selector", ".legend").text
    window.save_screenshot(str(screenshots / f"picture-{picture}.png"))


def test_another_metric_is_drawn_when_chosen_and_the_scatter_takes_other_methods(
    window: Any, site: Path
) -> None:
    from selenium.webdriver.support.select import Select

    show(window, site / "datasets" / "dataset-01.html")
    figure = drawn(window, "dataset-01-unseen-perturbation-forest")
    choice = Select(figure.find_element("css selector", "select.choice"))
    choice.select_by_value("pearson_delta")
    until(lambda: "pearson_delta" in figure.find_element("css selector", ".plot").text, "the other metric")
    figure = drawn(window, "dataset-01-unseen-perturbation-scatter")
    selects = figure.find_elements("css selector", ".controls select")
    Select(selects[1]).select_by_value("<script>alert(1)</script>")
    until(
        lambda: "<script>alert(1)</script>" in figure.find_element("css selector", ".plot").text, "its name"
    )
    assert len(figure.find_elements("css selector", ".trace.scatter")) == 3  # effect sizes
    assert complaints(window) == []


def test_the_data_of_a_picture_are_downloaded(window: Any, site: Path, downloads: Path) -> None:
    show(window, site / "datasets" / "dataset-01.html")
    link = window.find_element("css selector", "#dataset-01-unseen-perturbation-skill a[download]")
    click(window, link)
    name = "dataset-01-unseen-perturbation-skill.csv"
    until(lambda: (downloads / name).is_file(), "the download")
    assert (downloads / name).read_bytes() == (site / "data" / name).read_bytes()


def test_dark_mode_follows_the_system_and_the_button_and_is_remembered(
    downloads: Path, site: Path, screenshots: Path
) -> None:
    ground = "return getComputedStyle(document.body).backgroundColor"
    with browser(downloads, dark=True) as driver:
        show(driver, site / "index.html")
        assert driver.execute_script(ground) == "rgb(18, 22, 28)"
        picture = drawn(driver, "glance")
        tick = "return getComputedStyle(arguments[0].querySelector('.ytick text')).fill"
        assert driver.execute_script(tick, picture) == "rgb(230, 234, 240)"
        driver.save_screenshot(str(screenshots / "dark.png"))
        table = driver.find_element("id", "overview")
        driver.execute_script("arguments[0].scrollIntoView()", table)
        time.sleep(0.5)
        driver.save_screenshot(str(screenshots / "dark-table.png"))
        clear = ("rgba(0, 0, 0, 0)", "rgb(18, 22, 28)")
        script = "return getComputedStyle(arguments[0]).backgroundColor"
        for element in (table, *table.find_elements("css selector", "tbody td")[:3]):
            assert driver.execute_script(script, element) in clear
        driver.find_element("id", "theme").click()
        assert driver.execute_script(ground) == "rgb(255, 255, 255)"
        until(
            lambda: driver.execute_script(tick, picture) == "rgb(28, 36, 48)", "the picture in light colours"
        )
        show(driver, site / "methods" / "index.html")
        assert driver.execute_script(ground) == "rgb(255, 255, 255)"


@pytest.mark.parametrize("kind", KINDS)
def test_on_a_phone_no_page_is_wider_than_the_screen(
    downloads: Path, site: Path, screenshots: Path, kind: str
) -> None:
    with browser(downloads, width=390, height=844) as driver:
        show(driver, site / KINDS[kind])
        for figure in driver.find_elements("css selector", "figure.picture")[:2]:
            drawn(driver, figure.get_attribute("id"))
        assert driver.execute_script("return document.documentElement.scrollWidth") <= 390
        driver.save_screenshot(str(screenshots / f"phone-{kind}.png"))


def test_in_print_the_table_is_whole_and_the_controls_are_gone(window: Any, site: Path) -> None:
    show(window, site / "index.html")
    total = window.execute_script("return document.querySelectorAll('#overview tbody tr').length")
    window.execute_script("window.dispatchEvent(new Event('beforeprint'))")
    every = window.execute_script("return document.querySelectorAll('#overview tbody tr').length")
    assert every >= total and every == (site / "index.html").read_text().count('scope="row" data-search=')
    window.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    hidden = "return getComputedStyle(document.querySelector(arguments[0])).display"
    assert window.execute_script(hidden, "#theme") == "none"
    assert (
        window.execute_script("return getComputedStyle(document.body).backgroundColor")
        == "rgb(255, 255, 255)"
    )
    window.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})


def test_the_first_tab_stop_skips_to_the_content_and_tables_have_names(window: Any, site: Path) -> None:
    from selenium.webdriver.common.keys import Keys

    show(window, site / "index.html")
    window.find_element("css selector", "body").send_keys(Keys.TAB)
    assert window.switch_to.active_element.get_attribute("class") == "skip"
    tree = window.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    named = [
        node
        for node in tree
        if node.get("role", {}).get("value") in ("table", "button", "combobox", "textbox")
    ]
    assert named and all(node.get("name", {}).get("value") for node in named)
