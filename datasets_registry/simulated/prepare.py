"""Generate the simulated dataset: Lanner's own simulator, at the size and seed the entry states."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lanner import simulator
from lanner.errors import ConfigurationError


def prepare(sources: Mapping[str, Path], parameters: Mapping[str, Any], output: Path) -> None:
    """Write the experiment; refuse to when the simulator is not the one the entry was written for."""
    arguments = dict(parameters)
    version = arguments.pop("simulator")
    if version != simulator.VERSION:
        raise ConfigurationError(
            f"the entry means version {version} of the simulator, this is {simulator.VERSION}; "
            "correct prepare.parameters.simulator in dataset.yaml"
        )
    simulator.write(simulator.Simulation(**arguments), output)
