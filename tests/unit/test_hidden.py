"""On a hidden split nothing a method prints, writes or ends with is published: canaries are looked for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import boards
import pytest
from lanner.errors import ErrorClass
from lanner.runners.outcome import SENTENCES, published

CANARY = "canary-3f9a77"
EXIT_CODE = 43
SPEAK = f"""
for path in INPUT.iterdir():
    sys.stdout.write(repr(path.read_bytes())[:100000])
print("{CANARY}"); print("{CANARY}", file=sys.stderr)
"""
METHODS: Mapping[str, tuple[str, ErrorClass | None]] = {
    "fails": (f"sys.exit('{CANARY}')", ErrorClass.METHOD_ERROR),
    "speaks-in-codes": (f"sys.exit({EXIT_CODE})", ErrorClass.METHOD_ERROR),
    "skips": ("sys.exit(99)", ErrorClass.NOT_APPLICABLE),
    "names-a-row": (f"rows[0] = '{CANARY}'; write()", ErrorClass.INVALID_OUTPUT),
    "names-a-gene": (f"genes[0] = '{CANARY}'; write()", ErrorClass.INVALID_OUTPUT),
    "writes-no-file": (f"(OUTPUT / '{CANARY}').touch()", ErrorClass.NO_OUTPUT),
    "works": (
        f"write()\nwith h5py.File(OUTPUT / 'prediction.h5ad', 'a') as f: f['uns/x'] = '{CANARY}'",
        None,
    ),
}


class Board:
    """A board of one split, built, and everything about it that others can see."""

    def __init__(self, folder: Path, *, hidden: bool) -> None:
        self.folder, self.home, self.registry = folder, folder / "home", boards.registry(folder / "registry")
        for name, (program, _) in METHODS.items():
            boards.add_method(self.registry, name, SPEAK + program)
        split = {"id": "unseen-combination", **({"hidden": True} if hidden else {})}
        self.file = boards.board(folder, list(METHODS), datasets=[{"id": "tiny", "splits": [split]}])
        self.said = self.run("leaderboard", "build", self.file, "--runner", "process", "--trust-process")
        self.said += self.run("status") + self.run("status", "--json")
        site = folder / "site" / "board"
        files = [*site.rglob("*"), *(self.home / "leaderboards").rglob("*")]
        self.published = b"".join(path.read_bytes() for path in files if path.is_file()).decode("latin-1")
        self.document = json.loads((site / "leaderboard.json").read_text())

    def run(self, *arguments: str | Path) -> str:
        """What a command prints, on both streams."""
        done = boards.lanner(*arguments, home=self.home, cwd=self.folder, registry=self.registry)
        return done.stdout + done.stderr

    def records(self) -> list[dict[str, Any]]:
        return [json.loads(path.read_text()) for path in sorted(self.home.glob("runs/*/*/*/*/run.json"))]


@pytest.fixture(scope="module")
def hidden(tmp_path_factory: pytest.TempPathFactory) -> Board:
    return Board(tmp_path_factory.mktemp("hidden"), hidden=True)


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Board:
    return Board(tmp_path_factory.mktemp("shown"), hidden=False)


def test_on_another_split_the_canaries_are_there_to_be_found(shown: Board) -> None:
    assert CANARY in shown.published and CANARY in shown.said
    assert f"exit code {EXIT_CODE}" in shown.published
    key = next(row["key"] for row in shown.document["rows"] if row["method"] == "works")
    assert CANARY in shown.run("logs", key[:12])


def test_nothing_a_method_said_is_in_the_pages_the_tables_the_talk_or_the_records(hidden: Board) -> None:
    records = json.dumps(hidden.records())
    for text in (hidden.published, hidden.said, records, hidden.run("retry", "--failed"), hidden.said):
        assert CANARY not in text
        assert f"code {EXIT_CODE}" not in text


def test_the_held_out_conditions_are_counted_and_not_named(hidden: Board, shown: Board) -> None:
    for board, named in ((hidden, False), (shown, True)):
        coverage = [row["coverage"] for row in board.document["rows"] if row["status"] == "failed"]
        assert coverage and all(item["answered"] == 0 < item["requests"] for item in coverage)
        assert all(bool(item["unanswered"]) is named for item in coverage)


def test_every_end_is_told_by_its_class_in_fixed_words(hidden: Board) -> None:
    rows = {row["method"]: row for row in hidden.document["rows"]}
    assert set(rows) == set(METHODS)
    for name, (_, error_class) in METHODS.items():
        assert rows[name]["error_class"] == error_class
        assert rows[name]["reason"] == (SENTENCES[error_class] if error_class else None)


def test_a_hidden_split_scores_as_the_same_split_does_elsewhere(hidden: Board, shown: Board) -> None:
    ours, theirs = (
        {row["method"]: (row["key"], row["scores"]) for row in board.document["rows"]}
        for board in (hidden, shown)
    )
    assert ours == theirs


def test_its_logs_are_kept_for_the_maintainer_alone(hidden: Board) -> None:
    (row,) = [row for row in hidden.document["rows"] if row["method"] == "works"]
    refused = hidden.run("logs", row["key"][:12])
    assert "is hidden" in refused and "--as-maintainer" in refused and CANARY not in refused
    assert CANARY in hidden.run("logs", row["key"][:12], "--as-maintainer")
    attempts = list(hidden.home.glob("runs/*/*/*/*/attempt-*"))
    assert attempts and {attempt.stat().st_mode & 0o777 for attempt in attempts} == {0o700}


def test_runs_done_before_the_split_was_hidden_are_told_in_fixed_words_from_then_on(shown: Board) -> None:
    split = {"id": "unseen-combination", "hidden": True}
    datasets = [{"id": "tiny", "splits": [split]}]
    file = boards.board(shown.folder, list(METHODS), name="later", datasets=datasets)
    said = shown.run("leaderboard", "build", file, "--runner", "process", "--trust-process")
    assert "0 runs to do" in said
    said += shown.run("status", "--json")
    said += (shown.folder / "site" / "later" / "leaderboard.json").read_text()
    assert CANARY not in said


def test_a_success_has_nothing_to_hide() -> None:
    record = {"error_class": None, "message": "", "state": "succeeded"}
    assert published(record, hidden=True) == record
