"""The security page claims nothing that no test shows: every test and file it names is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
PAGE = (REPOSITORY / "docs" / "explanation" / "security.md").read_text(encoding="utf-8")
DEFINED = {
    name
    for path in (REPOSITORY / "tests").rglob("test_*.py")
    for name in re.findall(r"^def (test_\w+)", path.read_text(encoding="utf-8"), re.MULTILINE)
}
NAMED = sorted(set(re.findall(r"`(test_\w+)`", PAGE)))
FILES = sorted(set(re.findall(r"`(tests/[\w/]+(?:\.py)?)`", PAGE)))


@pytest.mark.parametrize("name", NAMED)
def test_a_test_the_page_names_is_there(name: str) -> None:
    assert name in DEFINED


@pytest.mark.parametrize("path", FILES)
def test_a_file_the_page_names_is_there(path: str) -> None:
    assert (REPOSITORY / path).exists()


def test_every_threat_has_a_defence_and_a_test() -> None:
    head, _, rest = PAGE.partition("| threat | defence | test |")
    rows = [line for line in rest.split("\n\n")[0].splitlines() if line.startswith("| ")][1:]
    assert head and len(rows) >= 20
    for row in rows:
        threat, defence, tests = (cell.strip() for cell in row.strip("|").split(" | "))
        assert threat and defence and "`" in tests, row
