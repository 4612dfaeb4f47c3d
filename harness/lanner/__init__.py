"""Lanner: a benchmark platform for methods that predict how gene expression responds to perturbation."""

from importlib.metadata import version

__version__ = version("lanner")
