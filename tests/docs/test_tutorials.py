"""What the tutorials say works: their files are written and their commands run, in order."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

REPOSITORY = Path(__file__).resolve().parents[2]
PAGES = sorted((REPOSITORY / "docs" / "tutorials").glob("*.md"))
CAPTION = re.compile(r"^:caption: (?P<path>\S+)\n+")


def steps(page: Path) -> list[tuple[str, str, str]]:
    """(kind, name, content) of a page: ``bash`` blocks to run, captioned blocks to write."""
    found = []
    for token in MarkdownIt().parse(page.read_text(encoding="utf-8")):
        if token.type != "fence":
            continue
        caption = CAPTION.match(token.content)
        if token.info.startswith("{code-block}") and caption:
            found.append(("file", caption["path"], token.content[caption.end() :]))
        elif token.info.strip() == "bash":
            found.append(("bash", "", token.content))
    return found


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.docker
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_block_of_a_tutorial_runs(page: Path, tmp_path: Path) -> None:
    text = page.read_text(encoding="utf-8")
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    environment.pop("LANNER_HOME", None)
    if "in a checkout" in text:  # one that may be written to
        ignored = shutil.ignore_patterns(".*", "__pycache__", "site", "out", "tests", "docs")
        shutil.copytree(REPOSITORY, tmp_path, ignore=ignored, dirs_exist_ok=True)
        environment["PYTHONPATH"] = str(tmp_path / "harness")
    for kind, name, content in steps(page):
        if kind == "file":
            (tmp_path / name).write_text(content, encoding="utf-8")
            continue
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", content],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{content}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"


def test_every_tutorial_has_something_to_run() -> None:
    assert PAGES
    for page in PAGES:
        assert any(kind == "bash" for kind, _, _ in steps(page)), page.name
