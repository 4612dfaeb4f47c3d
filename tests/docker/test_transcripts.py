"""The author's loop as a new user types it: new, one line edited, check, run --compare; in each language."""

from __future__ import annotations

import json
from pathlib import Path

import boards
import pytest

pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.timeout(3000)]

EDITS = {
    "python": ("predict.py", "return np.asarray(cells.mean(axis=0)).ravel()", "return 0.9 * {}", 7),
    "r": (
        "predict.R",
        "function(X, request, task) rowMeans(X)",
        "function(X, request, task) 0.9 * rowMeans(X)",
        0,
    ),
    "cpp": ("predict.cpp", "sum[column[i]] += data[i] / cells", "sum[column[i]] += 0.9 * data[i] / cells", 0),
    "bash": ("predict.sh", "sum[g] / cells", "0.9 * sum[g] / cells", 0),
}
MOST_COMMANDS = 10


def edit(folder: Path, language: str) -> None:
    """One line of the program: predictions a tenth smaller."""
    name, old, new, keyword = EDITS[language]
    path = folder / name
    text = path.read_text()
    lines = [line for line in text.splitlines() if old in line]
    assert len(lines) == 1
    path.write_text(text.replace(old, new.format(old[keyword:])))


@pytest.mark.parametrize("language", EDITS)
def test_from_nothing_to_a_row_beside_the_baselines_in_under_ten_commands(
    language: str, tmp_path: Path
) -> None:
    commands = 0
    registry = boards.registry(tmp_path / "registry")

    def lanner(*arguments: str, code: int = 0) -> str:
        nonlocal commands
        commands += 1
        result = boards.lanner(*arguments, home=tmp_path / "home", cwd=tmp_path, registry=registry)
        assert result.returncode == code, result.stderr
        return result.stdout

    lanner("method", "new", "mine", "--language", language)
    first = ("run", "--method", "./mine", "--dataset", "tiny", "--split", "unseen-combination")
    before = json.loads(lanner(*first, "--json"))["rows"][0]["scores"]["mse"]["value"]
    edit(tmp_path / "mine", language)
    commands += 1
    findings = json.loads(lanner("method", "check", "./mine", "--json"))["findings"]
    assert {line["outcome"] for line in findings} <= {"passed", "information"}
    compared = json.loads(lanner(*first, "--compare", "--submit", "mine.json", "--json"))
    (item,) = compared["items"]
    mse = next(metric for metric in item["metrics"] if metric["metric"] == "mse")
    assert mse["value"] != before, "the edited program is another method, and was run again"
    assert {"additive", "context-mean-delta", "linear-embedding", "train-mean (bound)"} <= set(mse["against"])
    assert len(item["worst"]) == 5
    assert json.loads(lanner("submission", "verify", "mine.json", "--method", "./mine", "--json"))["verified"]
    assert commands < MOST_COMMANDS
