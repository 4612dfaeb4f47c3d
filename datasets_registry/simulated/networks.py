"""The network that the simulated dataset was made of."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from lanner import simulator


def networks(sources: Mapping[str, Path], parameters: Mapping[str, Any]) -> dict[str, pd.DataFrame]:
    """Every edge of the simulation with its weight before cell types; their scaling changes no sign."""
    arguments = {name: value for name, value in parameters.items() if name != "simulator"}
    return {"truth": simulator.Simulation(**arguments).edges()}
