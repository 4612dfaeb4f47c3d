"""A published run is done again and compared; leaderboards are exported and compared with each other."""

from __future__ import annotations

import copy
import csv
import io
import json
import subprocess
import urllib.request
from pathlib import Path
from typing import Any

import boards
import pytest
from lanner.config import Settings
from lanner.errors import ConfigurationError
from lanner.leaderboard.building import Results
from lanner.leaderboard.differing import differences
from lanner.leaderboard.exporting import find_results, latex, results_table
from lanner.leaderboard.reproducing import (
    Difference,
    Verdict,
    compare,
    read_published,
    reproduce,
    verdict,
)
from lanner.site.naming import run_name


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Results]:
    return boards.built(tmp_path_factory.getbasetemp() / "board")


@pytest.fixture
def document(built: tuple[Path, Results]) -> dict[str, Any]:
    return json.loads(json.dumps(built[1].document))


def published(folder: Path, document: dict[str, Any], method: str) -> Path:
    """The file on the page of a method's run."""
    row = next(row for row in document["rows"] if row["method"] == method)
    return folder / "site-home" / "runs" / f"{run_name(row)}.json"


def settings_of(folder: Path, tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "elsewhere", registry=folder / "registry")


@pytest.mark.parametrize("method", ["constant", "half", "crashes", "inapplicable"])
def test_a_published_run_done_again_elsewhere_is_the_same(
    built: tuple[Path, Results], document: dict[str, Any], tmp_path: Path, method: str
) -> None:
    source = published(built[0], document, method)
    report = reproduce(read_published(str(source)), settings_of(built[0], tmp_path))
    assert report.verdict == Verdict.SAME and report.differences == () and report.notes == ()
    assert (report.compared > 0) == (method in ("constant", "half"))


def test_a_number_that_was_changed_is_found_and_named(
    built: tuple[Path, Results], document: dict[str, Any], tmp_path: Path
) -> None:
    changed = read_published(str(published(built[0], document, "constant")))
    changed["row"]["scores"]["mse"]["value"] *= 1 + 1e-5
    report = reproduce(changed, settings_of(built[0], tmp_path))
    assert report.verdict == Verdict.WITHIN
    assert [item.what for item in report.differences] == ["mse value"]
    assert report.differences[0].relative == pytest.approx(1e-5, rel=1e-3)


def test_a_published_file_holds_no_path_of_this_machine(
    built: tuple[Path, Results], document: dict[str, Any]
) -> None:
    text = published(built[0], document, "constant").read_text()
    assert str(built[0]) not in text and "/tmp" not in text and '"source"' not in text


def test_a_method_that_is_another_by_now_is_refused(
    built: tuple[Path, Results], document: dict[str, Any], tmp_path: Path
) -> None:
    source = read_published(str(published(built[0], document, "constant")))
    source["keyed"]["method"]["identity"] = "folder:" + "0" * 64
    with pytest.raises(ConfigurationError, match="give that with --method"):
        reproduce(source, settings_of(built[0], tmp_path))


def test_a_split_that_is_not_the_one_of_its_key_is_refused(
    built: tuple[Path, Results], document: dict[str, Any], tmp_path: Path
) -> None:
    source = read_published(str(published(built[0], document, "constant")))
    source["split"]["test"] = source["split"]["test"][1:]
    with pytest.raises(ConfigurationError, match="not the one of its key"):
        reproduce(source, settings_of(built[0], tmp_path))


@pytest.mark.parametrize("key", ["../../etc", "", "a/b"])
def test_a_key_that_leads_out_of_its_folder_is_refused(
    built: tuple[Path, Results], document: dict[str, Any], tmp_path: Path, key: str
) -> None:
    source = {**read_published(str(published(built[0], document, "constant"))), "key": key}
    with pytest.raises(ConfigurationError, match="no run's key"):
        reproduce(source, settings_of(built[0], tmp_path))


@pytest.mark.parametrize("text", ["", "[]", '{"format": "lanner-run/1"}', "<html>"])
def test_another_file_is_no_published_run(tmp_path: Path, text: str) -> None:
    path = tmp_path / "run.json"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match="not a published run"):
        read_published(str(path))


def test_tolerance_decides_between_within_and_different() -> None:
    small = Difference(what="mse value", published=1.0, here=1.0005, relative=0.0005)
    state = Difference(what="status", published="succeeded", here="failed", relative=None)
    assert verdict([], 1e-3) == Verdict.SAME
    assert verdict([small], 1e-3) == Verdict.WITHIN
    assert verdict([small], 1e-4) == Verdict.DIFFERENT
    assert verdict([small, state], 1e-3) == Verdict.DIFFERENT


def test_a_count_that_differs_is_never_within_tolerance(document: dict[str, Any]) -> None:
    row = next(row for row in document["rows"] if row["scores"])
    other = copy.deepcopy(row)
    other["scores"]["mse"]["n"] += 1
    (found,) = compare(row, other)
    assert found.what == "mse n" and found.relative is None


def test_the_command_says_the_verdict_and_exits_1_where_it_is_different(
    built: tuple[Path, Results], document: dict[str, Any], tmp_path: Path
) -> None:
    changed = json.loads(published(built[0], document, "constant").read_text())
    changed["row"]["scores"]["mse"]["value"] *= 2
    (tmp_path / "run.json").write_text(json.dumps(changed))
    registry = built[0] / "registry"
    done = boards.lanner("reproduce", "run.json", home=tmp_path / "home", cwd=tmp_path, registry=registry)
    assert done.returncode == 1 and "different" in done.stdout and "mse value" in done.stdout


def test_every_number_of_the_flat_table_is_that_of_the_document(document: dict[str, Any]) -> None:
    table = results_table(document).set_index(["method", "metric", "variant"])
    for summary in document["summaries"]:
        for score in (summary["scores"] or {}).values():
            line = table.loc[(summary["method"], score["metric"], score["variant"])]
            for name in ("value", "skill"):
                assert (None if line[name] != line[name] else line[name]) == score[name]
    assert {"crashes", "half"} <= set(results_table(document)["method"])


@pytest.mark.parametrize("form", ["md", "csv", "json", "latex"])
def test_export_prints_every_form(
    built: tuple[Path, Results], document: dict[str, Any], tmp_path: Path, form: str
) -> None:
    home = built[0] / "home"
    done = boards.lanner("leaderboard", "export", "board", "--format", form, home=home, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    if form == "json":
        assert json.loads(done.stdout) == document
    elif form == "csv":
        lines = list(csv.DictReader(io.StringIO(done.stdout)))
        assert {line["method"] for line in lines} == {item["method"] for item in document["summaries"]}
    else:
        assert "constant" in done.stdout and "inapplicable" in done.stdout


def test_latex_shows_text_as_text(document: dict[str, Any]) -> None:
    for item in (*document["rows"], *document["summaries"]):
        item["method"] += r"\input{x}_%&$#~^{}"
    text = latex(document)
    assert r"\textbackslash{}input\{x\}\_\%\&\$\#\textasciitilde{}\textasciicircum{}\{\}" in text
    assert r"\input" not in text


def test_a_document_differs_from_itself_in_nothing(document: dict[str, Any]) -> None:
    assert list(differences(document, document)) == []


def test_rows_that_came_went_or_changed_are_told(document: dict[str, Any]) -> None:
    after = copy.deepcopy(document)
    gone = after["rows"].pop(0)
    changed = next(row for row in after["rows"] if row["scores"])
    changed["scores"]["mse"]["value"] = 7.0
    found = list(differences(document, after))
    assert [(item["change"], item["method"]) for item in found if item["what"] == "row"] == [
        ("removed", gone["method"])
    ]
    (number,) = [item for item in found if item["change"] == "changed"]
    assert (number["method"], number["what"], number["after"]) == (changed["method"], "mse value", 7.0)
    assert [item["change"] for item in differences(after, document) if item["what"] == "row"] == ["added"]


def test_a_leaderboard_is_found_by_name_file_and_folder(built: tuple[Path, Results]) -> None:
    home = built[0] / "home"
    folder = built[0] / "site-home"
    found = [find_results(n, home)[1] for n in ("board", str(folder), str(folder / "leaderboard.json"))]
    assert found[0] == found[1] == found[2]
    with pytest.raises(ConfigurationError, match="board"):
        find_results("no-such", home)
    with pytest.raises(ConfigurationError, match="not a leaderboard"):
        find_results(str(folder / "execution.json"), home)


def test_serve_shows_the_pages_on_this_machine_only(built: tuple[Path, Results], tmp_path: Path) -> None:
    command = boards.command("leaderboard", "serve", built[0] / "site-home", "--port", "0")
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert server.stderr is not None
        address = server.stderr.readline().strip()
        assert address.startswith("http://127.0.0.1:")
        with urllib.request.urlopen(f"{address}index.html", timeout=30) as answer:
            assert answer.read() == (built[0] / "site-home" / "index.html").read_bytes()
    finally:
        server.terminate()
        server.communicate()
