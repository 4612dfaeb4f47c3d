"""lanner method shell stages what the method's task is asked of."""

from __future__ import annotations

from pathlib import Path

import boards
import pytest
from lanner import datasets
from lanner.config import Settings
from lanner.errors import ConfigurationError
from lanner.method_shell import find_split, open_sandbox
from lanner.methods import find
from lanner.tasks import TASKS


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home", registry=boards.registry(tmp_path / "registry"))


@pytest.mark.parametrize(
    ("task", "split"),
    [("perturbation-response", "unseen-combination"), ("network-inference", "held-out-interventions")],
)
def test_without_a_name_the_split_is_the_first_that_the_task_is_asked_of(
    settings: Settings, task: str, split: str
) -> None:
    dataset = datasets.load(datasets.find_entry(settings, "tiny"), settings)
    assert find_split(dataset, TASKS[task], None).id == split


def test_a_question_that_the_task_does_not_ask_is_refused_with_the_nearest(settings: Settings) -> None:
    assert settings.registry is not None
    boards.add_method(settings.registry, "mine")
    with pytest.raises(ConfigurationError, match="did you mean 'unmeasured'"):
        open_sandbox(
            settings,
            find(settings, "mine"),
            dataset_name="tiny",
            task_name=None,
            split_name=None,
            question_name="unmesured",
            seed=0,
            command="true",
            write=lambda out, err: None,
        )


def test_a_task_that_the_method_does_not_declare_is_refused(settings: Settings) -> None:
    assert settings.registry is not None
    boards.add_method(settings.registry, "mine")
    with pytest.raises(ConfigurationError, match="network-inference"):
        open_sandbox(
            settings,
            find(settings, "mine"),
            dataset_name="tiny",
            task_name="network-inference",
            split_name=None,
            seed=0,
            command="true",
            write=lambda out, err: None,
        )
