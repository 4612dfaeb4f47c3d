"""The modules of cpa-tools 0.8.8 that train, without those that plot, tune and draw molecules.

The package's ``__init__`` imports ray, rdkit, tkinter and plotting, which the network needs for nothing. An
empty package of the same name and place lets its modules find each other.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from types import ModuleType

cpa = ModuleType("cpa")
cpa.__path__ = list(find_spec("cpa").submodule_search_locations)
sys.modules["cpa"] = cpa

from cpa._module import CPAModule  # noqa: E402 - of the package defined above
from cpa._task import CPATrainingPlan  # noqa: E402
from cpa._utils import CPA_REGISTRY_KEYS  # noqa: E402

CPA_REGISTRY_KEYS.PERTURBATION_KEY = "condition"

__all__ = ["CPAModule", "CPATrainingPlan"]
