"""Leaderboards: a YAML that names datasets, splits, methods and seeds, and what is built from it."""

from lanner.leaderboard.campaign import Campaign, Cell, expand
from lanner.leaderboard.definition import Definition, MethodChoice, load

__all__ = ["Campaign", "Cell", "Definition", "MethodChoice", "expand", "load"]
