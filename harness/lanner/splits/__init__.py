"""Splits: which conditions a method trains on and which it must predict.

A split *design* (id, parameters, seed) expands to split artefacts, each with its own hash. A design is one
file of this package: a function decorated with ``split_design`` that yields what one draw holds out.
"""

from __future__ import annotations

import sys

from lanner.registry import import_all
from lanner.splits.design import SPLITS, Draw, Holdout, Material, SplitDesign, split_design
from lanner.splits.expansion import expand
from lanner.splits.parameters import COMMON, Parameter
from lanner.splits.resolution import resolve
from lanner.splits.targets import is_combination, seen_singles

__all__ = [
    "COMMON",
    "SPLITS",
    "Draw",
    "Holdout",
    "Material",
    "Parameter",
    "SplitDesign",
    "expand",
    "is_combination",
    "resolve",
    "seen_singles",
    "split_design",
]

import_all(sys.modules[__name__])
