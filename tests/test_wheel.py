"""What a person installs: the wheel alone, in a fresh environment outside the checkout, runs the demo."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.timeout(600)
REPOSITORY = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    run(
        sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, REPOSITORY, cwd=folder
    )
    (path,) = folder.glob("lanner-*.whl")
    return path


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment with the wheel, and with this one's packages except Lanner's own.

    A folder named in a .pth file is searched, but its own .pth files, the editable install among them, are
    not read: ``import lanner`` finds the wheel's or nothing.
    """
    folder = tmp_path_factory.mktemp("environment") / "venv"
    venv.create(folder, with_pip=False)
    python = folder / "bin" / "python"
    run(sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index", wheel)
    (packages,) = folder.glob("lib/python*/site-packages")
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return python


def run(
    *command: str | Path, cwd: Path | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("LANNER", "PYTHON"))}
    result = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={**kept, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return result


def test_the_wheel_carries_what_lanner_finds_in_a_checkout(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for folder in ("schemas", "datasets_registry", "method_containers", "leaderboards"):
        for path in (REPOSITORY / folder).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                assert f"lanner/_bundled/{path.relative_to(REPOSITORY)}" in names
    assert "lanner/site/templates/index.html" in names
    assert not any("__pycache__" in name or name.startswith(("tests/", "site/")) for name in names)


def test_the_demo_runs_from_the_wheel_in_an_empty_folder(python: Path, tmp_path: Path) -> None:
    where = run(python, "-c", "import lanner; print(lanner.__file__)", cwd=tmp_path).stdout.strip()
    assert Path(where).is_relative_to(python.parent.parent)
    result = run(python.parent / "lanner", "demo", "--runner", "process", "--json", cwd=tmp_path)
    document = json.loads(result.stdout)
    assert len(document["rows"]) == 15
    assert {row["status"] for row in document["rows"]} == {"succeeded", "skipped"}
    assert all(row["unsealed"] and not row["trusted_process"] for row in document["rows"])
    site = tmp_path / "site" / "quickstart"
    assert json.loads((site / "leaderboard.json").read_text()) == document
    page = (site / "index.html").read_text()
    assert "linear-embedding" in page and str(REPOSITORY) not in page
    assert sorted(path.name for path in tmp_path.iterdir()) == [".lanner", "site"]

    again = run(python.parent / "lanner", "demo", "--runner", "process", cwd=tmp_path)
    assert "0 runs to do, 15 cached" in again.stderr
    assert f"page: {site / 'index.html'}" in again.stderr
    assert "simulated, unseen-combination" in again.stdout
