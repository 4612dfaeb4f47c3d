"""A method that was just begun: the folder is complete, the program short, and it answers at once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from lanner.cli import lanner
from lanner.config import bundled_root
from lanner.errors import ConfigurationError
from lanner.method_templates import languages, new_method
from lanner.methods import load

from tests import boards

PROGRAM = {"bash": "predict.sh", "cpp": "predict.cpp", "python": "predict.py", "r": "predict.R"}


@pytest.mark.parametrize("language", languages())
def test_a_new_method_is_a_complete_folder_with_its_name_in_it(language: str, tmp_path: Path) -> None:
    folder = new_method("my-method", language, tmp_path)
    method = load(folder)
    assert method.name == "my-method"
    assert {path.name for path in folder.iterdir()} == {
        *("Dockerfile", "README.md", "method.yaml", "test.sh"),
        PROGRAM[language],
    }
    assert not any("@NAME@" in path.read_text() for path in folder.iterdir())
    assert "USER 10001:10001" in (folder / "Dockerfile").read_text()


@pytest.mark.parametrize("language", languages())
def test_the_program_has_under_forty_lines_and_three_steps(language: str) -> None:
    text = (bundled_root() / "method_templates" / language / PROGRAM[language]).read_text()
    lines = [line for line in text.splitlines() if line.strip() and not line.strip().startswith(("//", "#!"))]
    assert len(lines) < 40
    assert [f"{step}." in text for step in (1, 2, 3)] == [True] * 3


@pytest.mark.parametrize("language", ["python", "r", "cpp"])
def test_a_template_installs_what_a_bundled_method_installs(language: str) -> None:
    """The layers are shared, and what is tested every day is what authors begin with."""
    bundled = {"python": "no-change", "r": "ridge-r", "cpp": "knn-cpp"}[language]
    path = bundled_root() / "method_containers" / bundled / "Dockerfile"
    template = (bundled_root() / "method_templates" / language / "Dockerfile").read_text().splitlines()
    install = next(line for line in template if "pip install" in line or "apt-get" in line)
    assert install in path.read_text().splitlines()


def test_the_python_program_answers_a_staged_input(tmp_path: Path) -> None:
    own = boards.registry(tmp_path / "registry")
    new_method("mine", "python", own / "method_containers")
    result = CliRunner(env={"LANNER_HOME": str(tmp_path / "home")}).invoke(
        lanner,
        [
            "--registry",
            str(own),
            "stage",
            "tiny",
            "--split",
            "unseen-combination",
            "--out",
            str(tmp_path / "in"),
        ],
    )
    assert result.exit_code == 0, result.output
    (tmp_path / "out").mkdir()
    subprocess.run(
        [sys.executable, own / "method_containers" / "mine" / "predict.py"],
        env={"LANNER_INPUT": str(tmp_path / "in"), "LANNER_OUTPUT": str(tmp_path / "out"), "PATH": ""},
        check=True,
    )
    validated = CliRunner().invoke(
        lanner, ["validate", str(tmp_path / "out" / "prediction.h5ad"), "--input", str(tmp_path / "in")]
    )
    assert validated.exit_code == 0, validated.output


def test_an_existing_folder_is_left_alone(tmp_path: Path) -> None:
    new_method("mine", "python", tmp_path)
    (tmp_path / "mine" / "predict.py").write_text("my work")
    with pytest.raises(ConfigurationError, match="exists already"):
        new_method("mine", "python", tmp_path)
    assert (tmp_path / "mine" / "predict.py").read_text() == "my work"


@pytest.mark.parametrize("name", ["My-Method", "a/b", "../x", "a_b", ""])
def test_a_name_that_cannot_be_a_folder_and_an_image_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="lower-case"):
        new_method(name, "python", tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.docker
@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("language", languages())
def test_a_new_method_builds_and_passes_its_check_at_once(language: str, tmp_path: Path) -> None:
    folder = new_method(f"fresh-{language}", language, tmp_path)
    runner = CliRunner(env={"LANNER_HOME": str(tmp_path / "home")})
    result = runner.invoke(lanner, ["method", "check", str(folder)], standalone_mode=False)
    assert result.return_value == 0, result.output
