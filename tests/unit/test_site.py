"""The pages: rendered from the document and the stored runs, whole without a network, safe in any case."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import boards
import pandas as pd
import plotly.io
import pytest
from lanner.leaderboard.building import Results
from lanner.site import Material, render, write_site
from lanner.site.downloads import csv_bytes
from lanner.site.naming import run_name, slug
from lanner.site.pages import board
from lanner.site.pictures import Picture
from lanner.site.pictures.agreement import agreement
from lanner.site.pictures.curves import curves
from lanner.site.pictures.dots import skill_dots
from lanner.site.sections import ANY, SECTIONS, pictures, section
from lanner.site.shared import classic, shared_files

EVIL = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'&amp;{{ 7 * 7 }}"
VOID = {"meta", "link", "br", "img", "line", "circle", "polygon", "input", "hr"}
TOTAL_BYTES = 8_000_000


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Results]:
    return boards.built(tmp_path_factory.getbasetemp() / "board")


@pytest.fixture
def document(built: tuple[Path, Results]) -> dict[str, Any]:
    return json.loads(json.dumps(built[1].document))


@pytest.fixture
def folder(built: tuple[Path, Results]) -> Path:
    return built[0] / "site-home"


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
        if self.open and self.open[-1] not in ("style", "script"):
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


def pages(document: Mapping[str, Any], **parts: Any) -> dict[str, Page]:
    """Every page of a document, parsed."""
    return {path: Page(text) for path, text in render(Material(document=document, **parts)).items()}


def test_there_is_a_page_of_each_kind_and_every_download(folder: Path, document: dict[str, Any]) -> None:
    for path in (
        *("index.html", "datasets/index.html", "datasets/tiny.html", "methods/constant.html"),
        *("metrics/mse.html", "leaderboard.json", "leaderboard.csv", "leaderboard.parquet"),
        *("leaderboard.md", "scores.parquet", "execution.json", "ro-crate-metadata.json"),
    ):
        assert (folder / path).is_file(), path
    for row in document["rows"]:
        assert (folder / "runs" / f"{run_name(row)}.html").is_file()


def test_every_link_leads_to_a_file_of_the_site(folder: Path) -> None:
    for path in sorted(folder.rglob("*.html")):
        for name in re.findall(r'(?:href|src)="([^"]+)"', path.read_text()):
            if not name.startswith(("data:", "#")):
                assert (path.parent / name.partition("#")[0]).is_file(), f"{path.name}: {name}"


def test_the_file_downloads_are_the_document(folder: Path, document: dict[str, Any]) -> None:
    assert json.loads((folder / "leaderboard.json").read_text()) == document
    frame = pd.read_parquet(folder / "leaderboard.parquet")
    for summary in document["summaries"]:
        ours = frame[frame["method"] == summary["method"]]
        for score in (summary["scores"] or {}).values():
            line = ours[(ours["metric"] == score["metric"]) & (ours["variant"] == score["variant"])]
            value = None if pd.isna(line["value"].item()) else line["value"].item()
            assert value == score["value"]
    crate = json.loads((folder / "ro-crate-metadata.json").read_text())
    files = [item["@id"] for item in crate["@graph"] if item["@type"] == "File"]
    assert all((folder / name).is_file() for name in files) and "leaderboard.json" in files
    root = next(item for item in crate["@graph"] if item["@id"] == "./")
    assert datetime.fromisoformat(root["datePublished"]).tzinfo is not None  # RO-Crate 1.1 demands one


def test_nothing_is_fetched_from_anywhere(folder: Path) -> None:
    for path in sorted(folder.rglob("*.html")):
        page = Page(path.read_text())
        assert not page.tags() & {"iframe", "img", "object", "embed", "form", "base"}
        for tag, attributes in page.elements:
            for name in ("src", "href", "action", "srcset", "xlink:href"):
                assert "//" not in (attributes.get(name) or "")
            if tag == "script":  # no code in a page: only data, and files beside it
                assert attributes.get("type") == "application/json" or attributes.get("src")
    assert "@import" not in (folder / "assets" / "board.css").read_text()


def test_text_of_methods_and_datasets_is_shown_as_text(document: dict[str, Any]) -> None:
    evil = copy.deepcopy(document)
    for holder, key in list(poisoned(evil)):
        holder[key] = EVIL
    for group in ("rows", "summaries"):
        for item in evil[group]:
            item["method"] += EVIL
    for item in evil["comparisons"]:
        for of_method in ("against_reference", "above_best_negative", "first_share"):
            if item.get(of_method):
                item[of_method] = {name + EVIL: value for name, value in item[of_method].items()}
    for item in evil["datasets"]:
        item["citation"]["doi"] = item["organism"] = EVIL
    manifest = dict.fromkeys(("label", "summary", "version", "licence", "readme", "residual"), EVIL)
    methods = {row["method"]: {**manifest, "references": [EVIL]} for row in evil["rows"]}
    plain = pages(document, methods={row["method"]: manifest for row in document["rows"]})
    found = pages(evil, methods=methods, datasets={"tiny": {"summary": EVIL}})
    assert len(found) == len(plain)
    known = {tag for page in plain.values() for tag in page.tags()}
    for path, page in found.items():
        assert page.tags() <= known, path
        assert not any(name.startswith("on") for _, attributes in page.elements for name in attributes)
        if path.startswith(("methods/constant", "index")):
            assert "alert(1)" in "".join(page.text) and "{{ 7 * 7 }}" in "".join(page.text)
    assert len(found["index.html"].elements) == len(plain["index.html"].elements)


def test_data_for_the_script_cannot_end_its_element(document: dict[str, Any]) -> None:
    for item in document["summaries"]:
        item["method"] += "</script><script>alert(1)</script>"
    for text in render(Material(document=document)).values():
        assert "<script>alert" not in text and "</script><script>" not in text.replace("\n", "")


def test_a_method_called_script_has_a_page_of_its_own(document: dict[str, Any]) -> None:
    for group in ("rows", "summaries"):
        for item in document[group]:
            item["method"] = "<script>" if item["method"] == "constant" else item["method"]
    found = render(Material(document=document))
    path = f"methods/{slug('<script>')}.html"
    assert "<" not in path and "&lt;script&gt;</h1>" in found[path]
    assert f'href="{path}"' in found["index.html"]


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "index", "A", "a/b", "..", "", "con", "x" * 300, "a b", "é"]
)
def test_a_file_name_stays_in_its_folder_and_is_nobody_elses(name: str) -> None:
    assert re.fullmatch(r"[a-z0-9][a-z0-9_.-]{0,90}", slug(name)) and ".." not in slug(name)
    assert slug(name) not in ("index", "con", name) and slug(name) != slug(name + "x")


def test_characters_that_would_reorder_a_line_are_shown_as_escapes(document: dict[str, Any]) -> None:
    document["title"] = "abc\u202edef\x1b[31m"
    text = render(Material(document=document))["index.html"]
    assert "\u202e" not in text and "\x1b" not in text
    assert "abc\\u202edef\\x1b[31m" in text


def test_every_number_of_the_table_is_that_of_the_document(folder: Path, document: dict[str, Any]) -> None:
    text = (folder / "index.html").read_text()
    lines = re.findall(r"<tr>\s*<td data-search=.*?</tr>", text, re.DOTALL)
    primary = [metric["id"] for metric in document["metrics"] if metric["primary"]]
    checked = 0
    for summary in document["summaries"]:
        line = next(line for line in lines if f'data-search="{summary["method"]}"' in line)
        cells = re.findall(r'<td class="num( flagged)?" data-order="([^"]*)"([^>]*)>([^<]*)</td>', line)
        for name, (flagged, _, attributes, shown) in zip(primary, cells, strict=False):
            score = (summary["scores"] or {}).get(name)
            if score is None or score["value"] is None:
                assert shown == "-" and "data-value" not in attributes
                continue
            found = dict(re.findall(r'data-(skill|value)="([^"]*)"', attributes))
            assert float(found["value"]) == score["value"]
            assert (float(found["skill"]) if "skill" in found else None) == score["skill"]
            assert bool(flagged) == (score["informative"] != "informative")
            checked += 1
    assert checked


def skilled(document: dict[str, Any]) -> dict[str, Any]:
    """The document as if its bounds could carry a skill: the tiny dataset has too few conditions."""
    for number, summary in enumerate(document["summaries"]):
        for score in (summary["scores"] or {}).values():
            score["skill"], score["skill_interval"] = 0.1 + number / 7, [0.0, 0.9]
    return document


def test_the_data_of_a_picture_are_those_of_the_document(document: dict[str, Any], tmp_path: Path) -> None:
    write_site(Material(document=skilled(document)), tmp_path)
    frame = pd.read_csv(tmp_path / "data" / "tiny-unseen-combination-skill.csv")
    scores = {summary["method"]: summary["scores"] for summary in document["summaries"]}
    assert len(frame)
    for line in frame.itertuples():
        score = scores[line.method][line.metric]
        assert (line.skill, line.value, line.n) == (score["skill"], score["value"], score["n"])


def test_every_row_without_scores_is_listed_with_its_reason(document: dict[str, Any]) -> None:
    found = pages(document)
    for row in document["rows"]:
        if row["status"] != "succeeded":
            for path in ("index.html", f"runs/{run_name(row)}.html", f"methods/{slug(row['method'])}.html"):
                assert row["reason"] in "".join(found[path].text), path


def test_how_a_row_came_about_is_said_beside_it(document: dict[str, Any]) -> None:
    assert "Unsealed." in render(Material(document=document))["index.html"]
    for row in document["rows"]:
        row["unsealed"], row["verified"] = False, False
    text = render(Material(document=document))["index.html"]
    assert "Unsealed." not in text and '<span class="mark">predictions only, not re-run</span>' in text


def test_scores_parquet_holds_every_condition_of_every_scored_run(
    folder: Path, document: dict[str, Any]
) -> None:
    frame = pd.read_parquet(folder / "scores.parquet")
    assert set(frame["method"]) == {"constant", "half"}
    keys = {row["key"] for row in document["rows"] if row["scores"]}
    assert set(frame["key"]) == keys
    mse = frame[(frame["metric"] == "mse") & (frame["variant"] == "") & (frame["method"] == "constant")]
    assert len(mse) == document["datasets"][0]["splits"][0]["test"]
    value = next(s for s in document["summaries"] if s["method"] == "constant")["scores"]["mse"]["value"]
    assert mse["value"].mean() == pytest.approx(value)


def test_per_condition_data_average_to_the_published_value(folder: Path, document: dict[str, Any]) -> None:
    frame = pd.read_csv(folder / "data" / "tiny-unseen-combination-conditions-mse.csv")
    for summary in document["summaries"]:
        if summary["scores"]:
            value = summary["scores"]["mse"]["value"]
            assert frame[summary["method"]].mean() == pytest.approx(value, rel=1e-5)
    script = (folder / "data" / "tiny-unseen-combination-conditions-mse.js").read_text()
    assert re.fullmatch(r'lannerData\("[^"<]+",\{.*\}\);\n', script)


def test_a_board_on_which_nothing_was_scored_is_still_pages(document: dict[str, Any]) -> None:
    for group in ("rows", "summaries"):
        for item in document[group]:
            item["scores"] = None
            item["status"], item["reason"] = "failed", "it broke"
    text = "".join(pages(document)["index.html"].text)
    assert "Not scored" in text and "it broke" in text and "No method has scores here." in text


def test_a_page_of_a_method_that_is_gone_goes_too(built: tuple[Path, Results], tmp_path: Path) -> None:
    document = built[1].document
    write_site(Material(document=document), tmp_path)
    assert (tmp_path / "methods" / "half.html").is_file()
    fewer = {
        **document,
        **{g: [item for item in document[g] if item["method"] != "half"] for g in ("rows", "summaries")},
    }
    write_site(Material(document=fewer), tmp_path)
    assert not (tmp_path / "methods" / "half.html").exists()
    assert (tmp_path / "methods" / "constant.html").is_file()


def test_tables_have_captions_and_header_cells_and_pictures_have_names(folder: Path) -> None:
    for path in sorted(folder.rglob("*.html")):
        text = path.read_text()
        assert text.count("<table") == text.count("<caption>"), path.name
        assert not re.search(r"<th(?![^>]*scope=)[ >]", text), path.name
        plots = re.findall(r'<div class="plot"[^>]*>', text)
        assert all('role="img"' in plot and "aria-label=" in plot for plot in plots)
        assert text.count("<details><summary>") >= len(plots)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_colours_have_the_contrast_of_wcag_aa(folder: Path, scheme: str) -> None:
    css = (folder / "assets" / "board.css").read_text()
    start = css.index(":root {") if scheme == "light" else css.index(':root[data-theme="dark"]')
    colours = dict(re.findall(r"--(\w+): (#[0-9a-f]{3,6})", css[start : css.index("}", start)]))
    for name in ("ink", "quiet", "mark", "good", "warn"):
        for ground in ("paper", "panel"):
            assert contrast(colours[name], colours[ground]) >= 4.5, (name, ground)
    assert contrast(colours["grey"], colours["panel"]) >= 3  # marks in pictures (WCAG 1.4.11)


def contrast(a: str, b: str) -> float:
    """WCAG 2.2's contrast ratio of two colours."""
    light = sorted((luminance(a), luminance(b)))
    return (light[1] + 0.05) / (light[0] + 0.05)


def luminance(colour: str) -> float:
    digits = colour[1:] if len(colour) == 7 else "".join(2 * char for char in colour[1:])
    parts = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_what_pages_share_weighs_less_than_8_mb_in_all(folder: Path) -> None:
    assert sum(len(data) for _, data in shared_files()) < TOTAL_BYTES
    assert {path.name for path in (folder / "assets").iterdir()} >= {
        "plotly.min.js",
        "tables.js",
        "board.css",
    }


def test_the_tables_bundle_is_made_a_plain_script() -> None:
    assert classic("var a=1;export{a as default,a as B};/* end */") == (
        "(function(){var a=1;window.LannerTables={DataTable:a};/* end */\n})();\n"
    )


@pytest.mark.parametrize("module", ["var a=1;", "export{a as B};", "export{a as default};export{b as B};"])
def test_a_bundle_of_another_shape_is_refused(module: str) -> None:
    with pytest.raises(Exception, match="itables"):
        classic(module)


def test_a_csv_cell_is_no_formula() -> None:
    assert csv_bytes(["a"], [["=1+1"], ["@x"], [-1.5], [None]]) == b"a\n'=1+1\n'@x\n-1.5\n\"\"\n"


def score(skill: float | None, interval: list[float] | None = None, **fields: Any) -> dict[str, Any]:
    first = {"skill": skill, "skill_interval": interval, "informative": "informative", "n": 5, "value": 0.1}
    return {**first, "component": None, **fields}


def summaries(**skills: float | None) -> list[dict[str, Any]]:
    return [{"method": name, "scores": {"mse": score(skill)}} for name, skill in skills.items()]


def valid(picture: Picture | None) -> Picture:
    """The picture, after Plotly's own checker has seen every figure of it."""
    assert picture is not None
    for figure in picture.figures.values():
        text = re.sub(r"var\(--\w+\)", "#123456", json.dumps(figure))
        plotly.io.from_json(text)
    return picture


def test_a_dot_beyond_the_edge_is_an_arrow_there_and_its_number_stays() -> None:
    picture = valid(skill_dots(summaries(a=0.0, b=1.0, c=-7.0), ["mse"]))
    trace = picture.figures["mse"]["data"][0]
    assert trace["x"] == [1.0, 0.0, -1.0]
    assert trace["marker"]["symbol"] == ["circle", "circle", "triangle-left"]
    assert "skill -7.00" in trace["hovertext"][2] and picture.rows[2][2] == -7.0


def test_without_any_skill_there_is_no_plot() -> None:
    assert skill_dots(summaries(a=None), ["mse"]) is None


def test_labels_of_a_picture_are_text_to_plotly() -> None:
    picture = valid(skill_dots([{"method": "<b>&</b>", "scores": {"mse": score(0.5)}}], ["mse"]))
    assert picture.figures["mse"]["data"][0]["y"] == ["&lt;b&gt;&amp;&lt;/b&gt;"]


def test_every_picture_of_a_board_is_one_plotly_knows_and_has_its_numbers(
    document: dict[str, Any],
) -> None:
    cut = board(Material(document=skilled(document)))
    found = [drawn.picture for where in cut.summaries for drawn in pictures(cut, where)]
    assert {picture.id for picture in found} >= {"skill", "heatmap", "forest"}
    for picture in found:
        assert valid(picture).rows and all(len(row) == len(picture.columns) for row in picture.rows)


def test_metrics_that_order_methods_alike_agree_by_1_and_reversed_ones_by_minus_1() -> None:
    values = {"a": 0.1, "b": 0.2, "c": 0.3, "d": 0.4}
    rows = [
        {
            "method": name,
            "scores": {
                "mse": score(None, value=value),
                "mse@unmasked": score(None, value=2 * value),
                "rmse": score(None, value=value**0.5),
                "pearson_delta": score(None, value=value),
            },
        }
        for name, value in values.items()
    ]
    picture = valid(agreement(rows, ["mse", "rmse", "pearson_delta"]))
    taus = {(row[0], row[1]): row[2] for row in picture.rows}
    assert taus["mse", "rmse"] == 1.0 and taus["mse", "pearson_delta"] == -1.0
    assert taus["mse", "mse@unmasked"] == 1.0
    assert agreement(rows[:3], ["mse", "rmse"]) is None


@pytest.mark.parametrize(("kind", "split"), [("data-scaling", "data-scaling/x"), ("graded-similarity",) * 2])
def test_a_series_is_drawn_with_gaps_where_it_has_none(kind: str, split: str) -> None:
    item = {"dataset": "d", "split": split, "method": "m", "metric": "mse", "auspc": None}
    series = [{**item, "steps": [0.1, 0.5, 1.0], "values": [0.3, None, 0.1]}]
    picture = valid(curves(series, kind))
    (figure,) = picture.figures.values()
    assert figure["data"][0]["y"] == [0.3, None, 0.1] and figure["data"][0]["connectgaps"] is False
    assert [row[4] for row in picture.rows] == [0.3, None, 0.1]
    assert curves(series, "no-such-kind") is None


def test_a_task_of_another_kind_adds_its_own_sections(
    built: tuple[Path, Results], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(SECTIONS, "perturbation-response", [])
    extra = Picture(id="extra", title="Extra", caption="", columns=("a",), rows=[(1,)])
    section("perturbation-response")(lambda board, where: extra)
    cut = board(replace(Material(document=built[1].document)))
    where = next(iter(cut.summaries))
    assert [drawn.picture.id for drawn in pictures(cut, where)][-1] == "extra" and SECTIONS[ANY]
