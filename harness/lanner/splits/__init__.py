"""Splits: which conditions a method trains on and which it must predict.

A split *design* (id, parameters, seed) expands to split artefacts, each with its own hash. A design is one
file of this package: a function decorated with ``split_design`` that yields what one draw holds out.
"""

from __future__ import annotations

import sys

from lanner.registry import import_all
from lanner.splits.compatibility import ALIASES, Alias
from lanner.splits.design import SPLITS, Draw, Holdout, Material, SplitDesign, split_design
from lanner.splits.expansion import expand
from lanner.splits.parameters import COMMON, Parameter
from lanner.splits.resolution import resolve
from lanner.splits.stratified_cells import cell_parts
from lanner.splits.targets import is_combination, parts, seen_singles

__all__ = [
    "ALIASES",
    "COMMON",
    "SPLITS",
    "Alias",
    "Draw",
    "Holdout",
    "Material",
    "Parameter",
    "SplitDesign",
    "cell_parts",
    "expand",
    "is_combination",
    "parts",
    "resolve",
    "seen_singles",
    "split_design",
]

import_all(sys.modules[__name__])
