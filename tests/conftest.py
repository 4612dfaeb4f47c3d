"""Fixtures every suite shares: settings, the simulated dataset, real data, Docker."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from lanner import datasets
from lanner.config import Settings
from lanner.datasets import Dataset

REPOSITORY = Path(__file__).parent.parent
SHARED_DATA = REPOSITORY.parent / "shared" / "data"


def mirrors() -> tuple[Path, ...]:
    """Folders that may hold the public files: LANNER_MIRROR, else the one beside the checkout."""
    named = tuple(Path(folder) for folder in os.environ.get("LANNER_MIRROR", "").split(os.pathsep) if folder)
    return named or ((SHARED_DATA,) if SHARED_DATA.is_dir() else ())


@pytest.fixture(scope="session", autouse=True)
def _no_inherited_home(tmp_path_factory: pytest.TempPathFactory) -> None:
    """No test reads or writes the LANNER_HOME of the person who runs the tests."""
    os.environ["LANNER_HOME"] = str(tmp_path_factory.mktemp("inherited-home"))


@pytest.fixture(scope="session")
def shared_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A LANNER_HOME that read-only tests of one worker share, so that data are normalised once."""
    return tmp_path_factory.mktemp("shared-home")


@pytest.fixture(scope="session")
def shared_settings(shared_home: Path) -> Settings:
    return Settings(home=shared_home, mirrors=mirrors())


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings on a LANNER_HOME nobody else uses."""
    return Settings(home=tmp_path / "home", mirrors=mirrors())


@pytest.fixture(scope="session")
def simulated(shared_settings: Settings) -> Dataset:
    """The embedded dataset, normalised."""
    return datasets.load(datasets.find_entry(shared_settings, "simulated"), shared_settings)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what this machine lacks, with the reason."""
    from lanner.runners.docker import docker_available

    no_docker = None
    if any(item.get_closest_marker("docker") for item in items):
        no_docker = docker_available()
    for item in items:
        if item.get_closest_marker("docker") and no_docker is not None:
            item.add_marker(pytest.mark.skip(reason=no_docker))
        if item.get_closest_marker("realdata") and not mirrors():
            item.add_marker(pytest.mark.skip(reason="set LANNER_MIRROR to the folder of public files"))
