"""A leaderboard: its file is checked, every run is a row, and equal inputs give equal bytes."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import boards
import pytest
from lanner import leaderboard, schemas
from lanner.config import Settings
from lanner.errors import ConfigurationError, ErrorClass
from lanner.leaderboard.building import Results
from lanner.leaderboard.digits import rounded
from lanner.leaderboard.results import frame_sha256
from lanner.leaderboard.table import markdown, tables

METHODS = boards.METHODS


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Results]:
    return boards.built(tmp_path_factory.getbasetemp() / "board")


def digest(folder: Path, home: str = "home", name: str = "board") -> str:
    path = folder / home / "leaderboards" / name / "leaderboard.json"
    assert path.read_bytes() == (folder / f"site-{home}" / "leaderboard.json").read_bytes()
    return hashlib.sha256(path.read_bytes()).hexdigest()


def rows(document: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    return {row["method"]: row for row in document["rows"]}


def of_methods(document: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [item for item in document["comparisons"] if item["kind"] == "methods"]


def numbers(value: Any) -> Iterator[float]:
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from numbers(item)
    elif isinstance(value, float):
        yield value


def test_every_kind_of_end_is_a_row_with_its_reason(built: tuple[Path, Results]) -> None:
    found = rows(built[1].document)
    assert set(found) == set(METHODS)
    ends = {name: (str(row["status"]), row["error_class"]) for name, row in found.items()}
    assert ends == {
        "constant": ("succeeded", None),
        "half": ("succeeded", None),
        "crashes": ("failed", "METHOD_ERROR"),
        "inapplicable": ("skipped", "NOT_APPLICABLE"),
        "for-another-task": ("skipped", "NOT_APPLICABLE"),
    }
    assert found["crashes"]["reason"].endswith("exit code 1: it <script>broke</script> [here](there)")
    assert found["inapplicable"]["reason"] == "needs doses"
    assert found["for-another-task"]["reason"] == (
        "for-another-task does not declare the task perturbation-response"
    )
    for name in ("crashes", "inapplicable", "for-another-task"):
        assert found[name]["scores"] is None and found[name]["coverage"]["answered"] == 0
    assert (
        {row["trusted_process"] for row in found.values()}
        == {True}
        == {row["unsealed"] for row in found.values()}
    )


def test_what_was_left_unanswered_is_counted_and_named(built: tuple[Path, Results]) -> None:
    row = rows(built[1].document)["half"]
    test = built[1].document["datasets"][0]["splits"][0]["test"]
    assert row["coverage"]["requests"] == test
    assert row["coverage"]["answered"] == (test + 1) // 2
    assert len(row["coverage"]["unanswered"]) == test // 2
    assert all("|" in name for name in row["coverage"]["unanswered"])


def test_a_skipped_method_is_never_started(built: tuple[Path, Results]) -> None:
    assert not list((built[0] / "home").glob("runs/*/*/for-another-task"))


def test_the_document_fits_its_schema_and_execution_holds_what_it_may_not(
    built: tuple[Path, Results],
) -> None:
    folder, results = built
    document = json.loads((folder / "site-home" / "leaderboard.json").read_text())
    assert document == json.loads(json.dumps(results.document))
    schemas.check(document, "results", "leaderboard.json")
    execution = json.loads((folder / "home" / "leaderboards" / "board" / "execution.json").read_text())
    assert [row["key"] for row in execution["rows"]] == [row["key"] for row in document["rows"]]
    assert execution["rows"][0]["resources"]["wall_seconds"] > 0


def test_the_document_holds_no_path_host_time_or_attempt(built: tuple[Path, Results]) -> None:
    folder, results = built
    text = json.dumps(results.document)
    for word in (str(folder), str(Path.home()), str(Path.cwd()), socket.gethostname(), "/tmp", "seconds"):
        assert word not in text
    assert not re.search(r'"(attempt|image|image_id|device|host|pid|started|created|date|time)"', text)
    assert not re.search(r"\b20\d\d-\d\d-\d\d", text)


def test_numbers_have_at_most_12_significant_digits(built: tuple[Path, Results]) -> None:
    found = list(numbers(json.loads(json.dumps(built[1].document))))
    assert len(found) > 50
    assert all(float(f"{value:.12g}") == value for value in found)


def test_rounding_refuses_what_json_cannot_hold() -> None:
    assert rounded({"a": [1 / 3, 2, None, "x", True]}) == {"a": [0.333333333333, 2, None, "x", True]}
    for value in (float("nan"), float("inf")):
        with pytest.raises(ValueError, match="in a document of results"):
            rounded([value])


def test_adding_a_method_changes_no_other_row(built: tuple[Path, Results], tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(built[0], folder, copy_function=shutil.copy2)
    boards.add_method(folder / "registry", "newcomer", "X[:] = 0.2; write()")
    more = boards.make(folder, [*METHODS, "newcomer"])
    before, after = rows(built[1].document), rows(more.document)
    assert set(after) - set(before) == {"newcomer"}
    for name, row in before.items():
        assert json.dumps(after[name]) == json.dumps(row)
    summaries = {summary["method"]: summary for summary in more.document["summaries"]}
    for summary in built[1].document["summaries"]:
        assert json.dumps(summaries[summary["method"]]) == json.dumps(summary)
    assert built[1].document["datasets"] == more.document["datasets"]
    ranked = [set(comparison["ranks"]) for comparison in of_methods(more.document)]
    assert all("newcomer" in names for names in ranked)


def test_equal_inputs_give_equal_bytes_however_they_are_built(
    built: tuple[Path, Results], tmp_path: Path
) -> None:
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    shutil.copytree(built[0] / "registry", folder / "registry", copy_function=shutil.copy2)
    boards.make(
        folder, [*reversed(METHODS)], home="empty", jobs=1
    )  # shuffled, one worker, an empty LANNER_HOME
    assert digest(folder, "empty") == digest(built[0])
    boards.make(folder, METHODS, home="empty")  # all cached
    assert digest(folder, "empty") == digest(built[0])
    for name in ("aggregates", "truth", "staged", "splits"):
        shutil.rmtree(folder / "empty" / name)
    for scores in (folder / "empty").glob("runs/*/*/*/*/scores"):
        shutil.rmtree(scores)
    boards.make(folder, METHODS, home="empty")  # everything but the runs and the data computed again
    assert digest(folder, "empty") == digest(built[0])


def test_the_readable_table_names_every_method_and_breaks_nothing(built: tuple[Path, Results]) -> None:
    document = built[1].document
    (table,) = tables(document)
    assert table.title == "tiny, unseen-combination"
    assert {"constant", "half"} <= {row[0] for row in table.rows}
    text = markdown(document)
    assert "| crashes | failed | METHOD" in text
    assert "<script>" not in text and "[here](there)" not in text
    for line in text.splitlines():
        if line.startswith("| "):
            assert line.endswith(" |")


def test_two_designs_of_one_name_stay_two(built: tuple[Path, Results], tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(built[0], folder, copy_function=shutil.copy2)
    splits = [{"id": "unseen-combination", "parameters": {"fraction": f}} for f in (0.4, 0.7)]
    results = boards.make(
        folder, ["constant"], name="two", datasets=[{"id": "tiny", "splits": splits}], metrics=["mse"]
    )
    document = results.document
    shas = {row["split_sha256"] for row in document["rows"]}
    assert len(shas) == 2
    assert {split["sha256"] for split in document["datasets"][0]["splits"]} == shas
    first, second = tables(document)
    assert first.title != second.title
    values = [s["scores"]["mse"]["value"] for s in document["summaries"]]
    for table, value in zip((first, second), values, strict=True):
        assert f"({value:.3g})" in dict(row[:2] for row in table.rows)["constant"]
    page = results.pages[0].read_text()
    ids = re.findall(r'<h2 id="([^"]+)"', page)
    assert len(ids) == len(set(ids))


def test_seeds_are_rows_of_a_random_method_and_one_row_of_a_deterministic_one(
    built: tuple[Path, Results], tmp_path: Path
) -> None:
    settings = Settings(home=built[0] / "home", registry=tmp_path / "registry")
    shutil.copytree(built[0] / "registry", tmp_path / "registry")
    boards.add_method(tmp_path / "registry", "random", deterministic=False)
    path = boards.board(tmp_path, ["random", "constant"], seeds=[3, 1])
    campaign = leaderboard.expand(leaderboard.load(str(path), settings), settings, runner="process")
    assert [(cell.choice.label, cell.seed) for cell in campaign.cells] == [
        ("constant", 3),
        ("random", 3),
        ("random", 1),
    ]
    assert len({cell.plan.folder.key for cell in campaign.cells}) == 3
    reasons = {cell.choice.label: reason for cell, reason in campaign.missing()}
    assert reasons["random"] == "never run"
    estimate = campaign.estimate(campaign.missing())
    assert estimate["runs_at_their_time_limit"] == 2 and estimate["disk_bytes"] > 0


def test_a_method_may_come_twice_with_other_parameters(built: tuple[Path, Results], tmp_path: Path) -> None:
    settings = Settings(home=built[0] / "home", registry=built[0] / "registry")
    twice = ["half", {"name": "half", "parameters": {"alpha": 2.0}}]
    definition = leaderboard.load(str(boards.board(tmp_path, twice)), settings)
    assert [choice.label for choice in definition.choices] == ["half", "half[alpha=2.0]"]


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"methods": ["half", "half"]}, "method half is listed twice; remove one"),
        ({"methods": ["hal"]}, "no method named 'hal'; did you mean 'half'?"),
        ({"methods": [{"name": "half", "parameters": {"alfa": 1}}]}, "did you mean 'alpha'?"),
        ({"methods": [{"name": "half", "parameters": {"alpha": "x"}}]}, "parameter alpha of method half"),
        ({"task": "perturbation-respons"}, "did you mean 'perturbation-response'?"),
        ({"metrics": ["pearson_dleta"]}, "did you mean 'pearson_delta'?"),
        ({"datasets": ["tiny", {"id": "tiny"}]}, "dataset 'tiny' is listed twice"),
        ({"colour": "red"}, r"line \d+: colour: Additional properties"),
        ({"seeds": []}, r"line \d+: seeds: "),
    ],
)
def test_a_definition_that_is_wrong_is_told_with_its_file_and_what_to_do(
    built: tuple[Path, Results], tmp_path: Path, fields: dict[str, Any], says: str
) -> None:
    settings = Settings(home=built[0] / "home", registry=built[0] / "registry")
    path = boards.board(tmp_path, fields.pop("methods", ["half"]), **fields)
    with pytest.raises(ConfigurationError, match=says) as caught:
        leaderboard.load(str(path), settings)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("datasets", "says"),
    [
        (["tinny"], "no dataset named 'tinny'; did you mean 'tiny'?"),
        ([{"id": "tiny", "splits": [{"id": "unseen-combinaton"}]}], "did you mean 'unseen-combination'?"),
        (
            [{"id": "tiny", "splits": [{"id": "unseen-combination", "parameters": {"fractoin": 0.5}}]}],
            "did you mean 'fraction'?",
        ),
    ],
)
def test_an_unknown_dataset_or_split_is_told_with_the_nearest_name(
    built: tuple[Path, Results], tmp_path: Path, datasets: list[Any], says: str
) -> None:
    settings = Settings(home=built[0] / "home", registry=built[0] / "registry")
    definition = leaderboard.load(str(boards.board(tmp_path, ["half"], datasets=datasets)), settings)
    with pytest.raises(ConfigurationError, match=re.escape(says)):
        leaderboard.expand(definition, settings, runner="process")


def test_a_file_that_is_not_there_lists_what_there_is(tmp_path: Path, settings: Settings) -> None:
    for name in ("nothing", str(tmp_path / "quickstart.yaml")):
        with pytest.raises(ConfigurationError, match=r"no leaderboard file .*one of .*quickstart, real, "):
            leaderboard.load(name, settings)
    assert leaderboard.load("quickstart", settings).name == "quickstart"
    assert leaderboard.load("leaderboards/quickstart.yaml", settings).seeds == (0, 1)


def test_a_prediction_that_intake_no_longer_takes_is_a_row(
    built: tuple[Path, Results], tmp_path: Path
) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(built[0], folder, copy_function=shutil.copy2)
    (run,) = (folder / "home").glob("runs/*/*/constant/*")
    prediction = run / "attempt-1" / "prediction.h5ad"
    prediction.chmod(0o644)
    prediction.write_bytes(b"damaged")
    shutil.rmtree(run / "scores")
    row = rows(boards.make(folder, METHODS).document)["constant"]
    assert (row["status"], row["error_class"]) == ("failed", ErrorClass.INVALID_OUTPUT)
    assert (
        rows(built[1].document)["half"]["scores"]
        == rows(boards.make(folder, METHODS).document)["half"]["scores"]
    )


def test_bounds_are_hashed_by_their_content_alone() -> None:
    import pandas as pd

    frame = pd.DataFrame({"metric": ["mse", "mse"], "value": [1 / 3, float("nan")], "reason": [None, "x"]})
    again = frame[["value", "reason", "metric"]].copy()
    again["value"] = again["value"] + 1e-17
    assert frame_sha256(frame) == frame_sha256(again)
    assert frame_sha256(frame) != frame_sha256(frame.iloc[::-1])


def test_comparisons_name_the_runs_they_cover_and_stay_out_of_the_rows(built: tuple[Path, Results]) -> None:
    document = built[1].document
    found = of_methods(document)
    assert {item["metric"] for item in found} == {"mse", "pearson_delta"}
    scored = sorted(row["key"] for row in document["rows"] if row["scores"])
    for item in found:
        assert item["runs"] == scored
        assert set(item["against_reference"]) == {"constant", "half"} == set(item["ranks"])
        assert [pair["methods"] for pair in item["between"]] == [["constant", "half"]]
    over = [item for item in document["comparisons"] if item["kind"] == "across-datasets"]
    assert {item["metric"] for item in over} == {"mse", "pearson_delta"}
    for row in document["rows"]:
        for score in (row["scores"] or {}).values():
            assert not {"p", "p_holm", "rank"} & set(score)


def test_strata_are_given_for_primary_metrics_only(built: tuple[Path, Results]) -> None:
    for summary in built[1].document["summaries"]:
        for score in (summary["scores"] or {}).values():
            assert ("strata" in score) == (score["variant"] == "")
            assert all(0 < item["n"] < score["n"] for item in score.get("strata", ()))


def test_the_verdicts_are_in_markdown_and_page_alike(built: tuple[Path, Results]) -> None:
    document = built[1].document
    (table,) = tables(document)
    assert {row[0] for row in table.against} == {"constant", "half"}
    text = markdown(document)
    site = built[1].pages[0].parent
    page = (site / "datasets" / "tiny.html").read_text()
    for part in (table.note, *table.remarks):
        assert part.split("(")[0].strip() in text.replace("\\", "")
    assert "Against the training mean" in text and "Against the training mean" in page
