"""Documents that cross a boundary: an error names the file, the line and the field."""

from __future__ import annotations

from pathlib import Path

import pytest
from lanner.config import bundled_root
from lanner.errors import ConfigurationError
from lanner.schemas import check, load_yaml, validator

GOOD = """\
name: board
title: A board
task: perturbation-response
datasets:
  - simulated
methods:
  - no-change
seeds: [0]
"""


def write(folder: Path, text: str | bytes) -> Path:
    path = folder / "board.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_a_good_file_is_its_document(tmp_path: Path) -> None:
    assert load_yaml(write(tmp_path, GOOD), "leaderboard")["methods"] == ["no-change"]


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ("seeds: [0]", "seeds: [0]\ncolour: red", 9, "colour: "),
        ("seeds: [0]", "seeds: [zero]", 8, "seeds.0: 'zero' is not of type 'integer'"),
        ("seeds: [0]", "seeds: [1, 1]", 8, "seeds: "),
        ("name: board", "name: A Board", 1, "name: 'A Board' does not match"),
        ("  - no-change", "  - name: no-change\n    seed: 1", 8, "methods.0.seed: "),
        ("  - simulated", "  - id: simulated\n    splits: []", 6, "datasets.0.splits: "),
        ("seeds: [0]", "seeds: [0]\nlimits:\n  memory_mb: 1", 10, "limits.memory_mb: 1 is less than"),
    ],
)
def test_a_wrong_field_is_named_with_its_line(
    tmp_path: Path, old: str, new: str, line: int, says: str
) -> None:
    path = write(tmp_path, GOOD.replace(old, new))
    with pytest.raises(ConfigurationError) as caught:
        load_yaml(path, "leaderboard")
    assert f"{path}, line {line}: {says}" in str(caught.value)
    assert "see schemas/leaderboard.schema.json" in str(caught.value)


@pytest.mark.parametrize(
    ("document", "says"),
    [
        ("engine: dask\nclases: {}", r"line 2: clases: .*unexpected"),
        ("engine: dsk", r"line 1: engine: 'dsk' is not one of 'dask', 'slurm-array', 'kubernetes'"),
        ("engine: dask\nclasses:\n  small: {cpus: 1}", r"line 3: classes\.small: 'memory_mb' is a required"),
        ("engine: slurm-array\npartition: 3", r"line 2: partition: 3 is not of type 'string'"),
    ],
)
def test_of_alternatives_that_a_constant_tells_apart_the_meant_one_is_explained(
    document: str, says: str, tmp_path: Path
) -> None:
    path = tmp_path / "engine.yaml"
    path.write_text(document)
    with pytest.raises(ConfigurationError, match=says):
        load_yaml(path, "engine")


def test_a_missing_field_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"board\.yaml.*'title' is a required property"):
        load_yaml(write(tmp_path, GOOD.replace("title: A board\n", "")), "leaderboard")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("name: [a\ntitle: b\n", r", line 2: not valid YAML"),
        ("name: a\nname: b\n", r", line 2: not valid YAML: the key 'name' is given twice"),
        ("name: a\n\ttitle: b\n", r", line 2: not valid YAML"),
        ("a: *b\n", r", line 1: not valid YAML"),
        ("", r"None is not of type 'object'"),
        ("- a\n", r"is not of type 'object'"),
        ("1: a\n", r", line 1: 1: Additional properties"),
        (b"name: \xff\n", r"is not UTF-8 text"),
        ("name: !!python/object/apply:os.system [true]\n", r", line 1: not valid YAML"),
    ],
)
def test_what_is_no_yaml_document_is_said_with_its_line(tmp_path: Path, text: str | bytes, says: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"board\.yaml.*{says}"):
        load_yaml(write(tmp_path, text), "leaderboard")


def test_control_characters_in_yaml_are_a_configuration_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"board\.yaml"):
        load_yaml(write(tmp_path, "name: \x01\n"), "leaderboard")


def test_a_key_that_is_a_list_is_a_configuration_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"board\.yaml"):
        load_yaml(write(tmp_path, "? [a, b]\n: c\n? {x: y}\n: d\n"), "leaderboard")


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"none\.yaml cannot be read: No such file"):
        load_yaml(tmp_path / "none.yaml", "leaderboard")


@pytest.mark.parametrize("path", sorted((bundled_root() / "schemas").glob("*.json")), ids=lambda p: p.name)
def test_every_schema_is_itself_valid_and_refuses_another_kind_of_document(path: Path) -> None:
    name = path.name.removesuffix(".schema.json")
    validator(name).check_schema(validator(name).schema)
    with pytest.raises(ConfigurationError, match="the document"):
        check([], name, "here")
