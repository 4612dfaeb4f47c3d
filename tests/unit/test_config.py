"""Where things are: LANNER_HOME, mirrors, and the order in which registries are searched."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from lanner.config import Settings, bundled_root
from lanner.errors import ConfigurationError


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working folder that no registry is a parent of."""
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    monkeypatch.delenv("LANNER_MIRROR", raising=False)


def entry(root: Path, name: str, text: str = "x") -> Path:
    folder = root / name
    folder.mkdir(parents=True)
    (folder / "dataset.yaml").write_text(text)
    return folder


def names(settings: Settings) -> dict[str, Path]:
    return settings.entries("datasets", "dataset.yaml")


def test_home_is_dot_lanner_here_without_the_variable(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for unset in (None, ""):
        monkeypatch.delenv("LANNER_HOME") if unset is None else monkeypatch.setenv("LANNER_HOME", unset)
        assert Settings.from_environment().home == (tmp_path / "cwd" / ".lanner").resolve()


def test_home_of_the_variable_is_made_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LANNER_HOME", "there")
    assert Settings.from_environment().home == (tmp_path / "cwd" / "there").resolve()


def test_mirrors_are_several_folders(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folders = [tmp_path / "a", tmp_path / "b"]
    for folder in folders:
        folder.mkdir()
    monkeypatch.setenv("LANNER_MIRROR", os.pathsep.join([str(folders[0]), "", str(folders[1])]))
    assert Settings.from_environment().mirrors == tuple(folder.resolve() for folder in folders)


def test_a_mirror_that_is_no_folder_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LANNER_MIRROR", str(tmp_path / "none"))
    with pytest.raises(ConfigurationError, match=r"LANNER_MIRROR names .*none, which is not a folder"):
        Settings.from_environment()


def test_every_place_is_searched_and_what_ships_is_found_from_anywhere(tmp_path: Path) -> None:
    home, own = tmp_path / "home", tmp_path / "own"
    mine = entry(own / "datasets_registry", "mine")
    kept = entry(home / "datasets", "kept")
    above = entry(tmp_path / "datasets_registry", "above")
    found = names(Settings(home=home, registry=own))
    assert (found["mine"], found["kept"], found["above"].resolve()) == (mine, kept, above.resolve())
    assert found["simulated"] == bundled_root() / "datasets_registry" / "simulated"


def test_a_registry_may_be_the_folder_of_entries_itself(tmp_path: Path) -> None:
    mine = entry(tmp_path / "own", "mine")
    assert names(Settings(home=tmp_path / "home", registry=tmp_path / "own"))["mine"] == mine


def test_only_the_nearest_parent_with_a_registry_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry(tmp_path / "datasets_registry", "far")
    entry(tmp_path / "cwd" / "datasets_registry", "near")
    found = names(Settings(home=tmp_path / "home"))
    assert "near" in found and "far" not in found
    (tmp_path / "cwd" / "deep").mkdir()
    monkeypatch.chdir(tmp_path / "cwd" / "deep")
    assert "near" in names(Settings(home=tmp_path / "home"))


def test_one_id_in_two_places_is_an_error_that_names_both(tmp_path: Path) -> None:
    first = entry(tmp_path / "home" / "datasets", "simulated", "another")
    with pytest.raises(ConfigurationError) as caught:
        names(Settings(home=tmp_path / "home"))
    assert str(first) in str(caught.value)
    assert str(bundled_root() / "datasets_registry" / "simulated") in str(caught.value)


def test_an_equal_copy_is_the_same_entry(tmp_path: Path) -> None:
    source = bundled_root() / "datasets_registry" / "simulated"
    copy = shutil.copytree(source, tmp_path / "home" / "datasets" / "simulated")
    (copy / "__pycache__").mkdir(exist_ok=True)
    (copy / "__pycache__" / "x.pyc").write_bytes(b"x")
    assert names(Settings(home=tmp_path / "home"))["simulated"] == copy


def test_the_same_folder_twice_is_one_place(tmp_path: Path) -> None:
    entry(tmp_path / "cwd" / "datasets_registry", "mine")
    settings = Settings(home=tmp_path / "home", registry=tmp_path / "cwd")
    assert len(settings.entry_folders("datasets")) == 2
    assert "mine" in names(settings)


def test_what_ships_has_schemas_datasets_methods_and_leaderboards() -> None:
    for name in ("schemas", "datasets_registry", "method_containers", "leaderboards"):
        assert (bundled_root() / name).is_dir()
