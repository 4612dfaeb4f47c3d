"""How published datasets name their obs columns, and how their labels become Lanner's.

The conventions are those of scPerturb (Peidli et al. 2024, Nat Methods 21:531), GEARS (Roohani et al. 2024,
Nat Biotech 42:927), PerturBench (Wu et al. 2024, arXiv:2408.10609), cell-eval (Arc Institute, 2025) and
PEREGGRN (Kernfeld et al. 2025, Genome Biology).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

import pandas as pd

from lanner.errors import ConfigurationError
from lanner.records import COMBINATION, CONTROL

CONVENTIONS: Mapping[str, Mapping[str, Any]] = {
    "scperturb": {
        "perturbation": "perturbation",
        "control": ["control"],
        "combination_delimiter": "_",
        "context": ["cell_line"],
        "batch": "batch",
    },
    "gears": {
        "perturbation": "condition",
        "control": ["ctrl"],
        "combination_delimiter": "+",
        "context": ["cell_type"],
    },
    "perturbench": {
        "perturbation": "condition",
        "control": ["control"],
        "combination_delimiter": "+",
        "context": ["cell_type"],
    },
    "cell-eval": {
        "perturbation": "target",
        "control": ["non-targeting"],
        "context": ["cell_type"],
    },
    "pereggrn": {
        "perturbation": "perturbation",
        "control_column": "is_control",
        "combination_delimiter": ",",
        "context": ["cell_type"],
    },
}
"""Defaults of each convention. Dose and batch columns of a convention are used where the file has them."""


@dataclass(frozen=True, kw_only=True)
class Columns:
    """Which obs column means what; ``optional`` names those a convention only supposes to be there."""

    perturbation: str
    control: tuple[str, ...]
    control_column: str | None
    context: tuple[str, ...]
    constants: Mapping[str, str]
    dose: str | None
    batch: str | None
    replicate: str | None
    combination_delimiter: str | None
    targets: str
    optional: tuple[str, ...]

    @classmethod
    def of(cls, mapping: Mapping[str, Any]) -> Self:
        """The ``obs`` section of an entry, with the defaults of its convention."""
        defaults = CONVENTIONS[mapping["convention"]] if "convention" in mapping else {}
        merged = {**defaults, **mapping}
        supposed = [name for name in ("dose", "batch") if name in defaults and name not in mapping]
        return cls(
            perturbation=merged["perturbation"],
            control=tuple(merged.get("control", () if merged.get("control_column") else (CONTROL,))),
            control_column=merged.get("control_column"),
            context=tuple(merged["context"]),
            constants=dict(merged.get("constants", {})),
            dose=merged.get("dose"),
            batch=merged.get("batch"),
            replicate=merged.get("replicate"),
            combination_delimiter=merged.get("combination_delimiter"),
            targets=merged.get("targets", "perturbation"),
            optional=tuple(merged[name] for name in supposed),
        )

    def to_json(self) -> dict[str, Any]:
        """The form that is hashed."""
        document = asdict(self)
        del document["optional"]
        return document

    def canonical(self, label: str) -> str:
        """The canonical form of one source label: targets sorted, once each, joined by ``+``.

        The entry's control labels, and the word ``control`` itself, mean no target.

        >>> Columns.of({"convention": "gears"}).canonical("KLF1+ctrl")
        'KLF1'
        """
        parts = [label] if self.combination_delimiter is None else label.split(self.combination_delimiter)
        stripped = {part.strip() for part in parts}
        targets = sorted(stripped - {*self.control, CONTROL})
        if label in self.control or not targets:
            return CONTROL
        return COMBINATION.join(targets)

    def targets_of(self, perturbation: str) -> tuple[str, ...]:
        """Targets of a canonical label; none for controls and where labels are not genes."""
        if perturbation == CONTROL or self.targets == "none":
            return ()
        return tuple(perturbation.split(COMBINATION))


def canonical_obs(source: pd.DataFrame, columns: Columns, where: str) -> pd.DataFrame:
    """The obs of a normalised dataset but for ``condition`` and ``context``.

    Parameters
    ----------
    source
        obs of the source file, rows already filtered.
    columns
        The entry's mapping.
    where
        Name of the dataset, for errors.

    Returns
    -------
    DataFrame
        ``perturbation``, the context columns, and ``dose``, ``batch``, ``replicate`` where mapped; all str.
    """
    _check_present(source, columns, where)
    labels = _text(source, columns.perturbation, where)
    canonical = {label: columns.canonical(label) for label in labels.unique()}
    obs = pd.DataFrame({"perturbation": labels.map(canonical)}, index=source.index)
    if columns.control_column is not None:
        obs.loc[source[columns.control_column].astype(bool).to_numpy(), "perturbation"] = CONTROL
    for name in columns.context:
        obs[name] = columns.constants[name] if name in columns.constants else _text(source, name, where)
    if columns.dose in source:
        dose = source[columns.dose].astype(object).where(source[columns.dose].notna(), "").astype(str)
        obs["dose"] = dose.where(obs["perturbation"] != CONTROL, "")
    if columns.batch in source:
        obs["batch"] = _text(source, str(columns.batch), where)
    if columns.replicate is not None:
        obs["replicate"] = _text(source, columns.replicate, where)
    _check_separators(obs, columns, where)
    return obs


def _check_present(source: pd.DataFrame, columns: Columns, where: str) -> None:
    named = [columns.perturbation, columns.control_column, columns.dose, columns.batch, columns.replicate]
    named += [name for name in columns.context if name not in columns.constants]
    for name in named:
        if name is not None and name not in source and name not in columns.optional:
            known = ", ".join(map(str, source.columns)) or "none"
            raise ConfigurationError(
                f"{where}: the source has no obs column {name!r}; correct obs in dataset.yaml, "
                f"columns: {known}"
            )


def _text(source: pd.DataFrame, name: str, where: str) -> pd.Series[str]:
    missing = int(source[name].isna().sum())
    if missing:
        raise ConfigurationError(
            f"{where}: obs column {name!r} is empty in {missing} rows; leave them out with filter in "
            "dataset.yaml"
        )
    return source[name].astype(str)


def _check_separators(obs: pd.DataFrame, columns: Columns, where: str) -> None:
    for name in ("perturbation", *columns.context):
        bad = next((value for value in obs[name].unique() if "|" in value or not value.strip()), None)
        if bad is not None:
            raise ConfigurationError(
                f"{where}: {name} has the value {bad!r}, but '|' separates the parts of a condition's id and "
                "no part may be empty; rename it in prepare.py"
            )
