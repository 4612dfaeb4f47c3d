"""A container is watched through what its engine answers meanwhile."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from docker.errors import APIError
from lanner.errors import InfrastructureError
from lanner.records import Limits
from lanner.runners import supervision
from lanner.runners.supervision import ERRORS, Supervised


class Container:
    """Ends at once; asked how, it answers ``errors`` times that something went wrong."""

    status = "exited"

    def __init__(self, errors: int) -> None:
        self.errors = errors
        self.attrs: dict[str, Any] = {"State": {"ExitCode": 0}}

    def start(self) -> None:
        pass

    def reload(self) -> None:
        if self.errors > 0:
            self.errors -= 1
            raise APIError("500 Server Error")


def watched(errors: int, folder: Path) -> Any:
    container: Any = Container(errors)
    client: Any = None
    return Supervised(client, container, folder, Limits()).to_the_end()


def test_an_engine_that_answers_with_an_error_has_not_gone_away(tmp_path: Path) -> None:
    assert watched(ERRORS, tmp_path).exit_code == 0


def test_an_engine_that_answers_nothing_else_for_a_while_may_have_been_restarted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervision, "ENGINE_PATIENCE_S", 5.0)
    with pytest.raises(InfrastructureError, match="was restarted while the method ran"):
        watched(ERRORS + 1, tmp_path)
