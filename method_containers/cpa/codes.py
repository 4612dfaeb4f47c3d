"""Perturbations, doses and covariates as numbers, as the package gives them (cpa-tools 0.8.8)."""

from __future__ import annotations

import numpy as np


class Codes:
    """The numbering of a training table: among parts of perturbations 0 pads, 1 is control.

    ``perturbations``: labels asked for, so that the longest combination has room.
    """

    def __init__(self, frame, perturbations, task):
        self.control, self.between = task["control"], task["combination"]
        conditions = sorted(set(frame["perturbation"]))
        parts = {part for name in conditions for part in name.split(self.between)} - {self.control}
        self.parts = numbered([None, self.control, *sorted(parts)])
        self.conditions = numbered(conditions)
        self.width = max(len(name.split(self.between)) for name in {*conditions, *perturbations})
        covariates = [key for key in frame.columns if key.startswith("covariate_")]
        self.covariates = {key: numbered(sorted(set(frame[key]))) for key in covariates}

    def of(self, frame):
        """By key of the package: ``perts`` and ``perts_doses`` (rows, width), the others (rows, 1).

        A condition that was not trained on, as all that are asked for may be, is 0: only the adversary looks.
        """
        perts, doses = np.zeros((2, len(frame), self.width), dtype=np.float32)
        for row, (name, dose) in enumerate(zip(frame["perturbation"], frame["dose"], strict=True)):
            numbers = sorted(self.parts[part] for part in name.split(self.between))
            perts[row, : len(numbers)] = numbers
            doses[row, : len(numbers)] = dose
        condition = [[self.conditions.get(name, 0)] for name in frame["perturbation"]]
        found = {"perts": perts, "perts_doses": doses, "condition": np.array(condition, dtype=np.int64)}
        for key, numbers in self.covariates.items():
            found[key] = np.array([[numbers[value]] for value in frame[key]], dtype=np.int64)
        return found


def numbered(names):
    """Name to position."""
    return {name: index for index, name in enumerate(names)}
