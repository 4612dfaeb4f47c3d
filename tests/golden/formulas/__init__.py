"""What peers compute, once more and slowly: one perturbation, one gene, one cell at a time, from the formula.

Nothing here calls ``lanner``. ``REFERENCES[id](pair)`` is what ``COMPAT[id](pair).values`` must be. Tied
genes are taken by name (or in the order of the file, for the highest genes), as the cards say.
"""

from __future__ import annotations

from formulas import miller, pereggrn, perturbench, populations, profiles, zhu
from formulas.slow import REFERENCES

__all__ = ["REFERENCES", "miller", "pereggrn", "perturbench", "populations", "profiles", "zhu"]
