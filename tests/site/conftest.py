"""A synthetic site that the browser tests share, and where their screenshots are kept."""

from __future__ import annotations

import os
from pathlib import Path

import boards
import pytest
from lanner.site import write_site
from synthetic_board import material


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small synthetic board's pages."""
    folder = tmp_path_factory.mktemp("site")
    write_site(material(), folder)
    return folder


@pytest.fixture(scope="session")
def screenshots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``$LANNER_SCREENSHOTS``, for a build to keep, else a temporary folder."""
    folder = Path(os.environ.get("LANNER_SCREENSHOTS") or tmp_path_factory.mktemp("screenshots")).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def board_site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site of stored runs: ``$LANNER_SITE`` (site/real, say), else of the small board of the unit tests."""
    given = os.environ.get("LANNER_SITE")
    return Path(given).resolve() if given else boards.built(tmp_path_factory.mktemp("board"))[0] / "site-home"
