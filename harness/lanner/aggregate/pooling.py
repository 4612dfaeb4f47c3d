"""Join a method's runs with the bounds of their splits, and fill what the method left open."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from lanner.cards import CARDS, ROLES

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, kw_only=True)
class Scored:
    """One run, scored: the frames of ``scoring.score`` and ``scoring.score_bounds`` of one split artefact.

    ``split`` is the split's sha256, ``residual`` the model by which cells were drawn from profiles, or None.
    ``repeat`` numbers the repeat of the design that the split belongs to, ``test_to_train`` is its number of
    test conditions over that of train ones. ``seen`` maps tested combinations to how many of their singles
    were in train.
    """

    scores: pd.DataFrame
    bounds: pd.DataFrame
    split: str
    seed: int
    residual: str | None = None
    repeat: int = 0
    test_to_train: float = 0.0
    seen: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Pooled:
    """One metric and variant over n scorable conditions, sorted by id; arrays ``(n,)``.

    ``values`` is filled: where the method gave none it is the worst of chance and the negative bounds of that
    condition. ``negative`` stands at chance where undefined; ``positive`` is NaN where it does not exist.
    """

    metric: str
    variant: str
    status: str
    conditions: tuple[str, ...]
    perturbations: tuple[str, ...]
    contexts: tuple[str, ...]
    values: Array
    answered_only: Array
    n_answered: int
    n_undefined: int
    n_unanswered: int
    sd_seeds: float
    chance: Array
    negative: dict[str, Array]
    positive: dict[str, Array]
    bds: Array
    residual: str | None
    repeats: dict[str, float] | None

    @property
    def anchor(self) -> Array:
        """The positive bound that skill is measured by, NaN where it does not exist."""
        level = CARDS[self.metric].level
        for name, column in self.positive.items():
            if ROLES[name].anchors_for(level):
                return column
        return np.full(len(self.values), np.nan)

    def subset(self, chosen: Array) -> Pooled:
        """The same for some of the conditions, bool ``(n,)``; counts of states are not divided."""

        def of(names: tuple[str, ...]) -> tuple[str, ...]:
            return tuple(name for name, keep in zip(names, chosen, strict=True) if keep)

        return replace(
            self,
            conditions=of(self.conditions),
            perturbations=of(self.perturbations),
            contexts=of(self.contexts),
            values=self.values[chosen],
            answered_only=self.answered_only[chosen],
            chance=self.chance[chosen],
            negative={name: column[chosen] for name, column in self.negative.items()},
            positive={name: column[chosen] for name, column in self.positive.items()},
            bds=self.bds[chosen],
        )


def unscored(bounds: pd.DataFrame, reason: str) -> pd.DataFrame:
    """The score frame of a run that gave no prediction: every condition unanswered, for one reason."""
    first = bounds[bounds["bound"] == bounds.loc[bounds["kind"] == "negative", "bound"].min()]
    frame = first.drop(columns=["bound", "kind", "bds"]).reset_index(drop=True)
    lost = ~frame["status"].isin(["unscorable", "not_applicable"])
    frame["value"] = np.nan
    frame.loc[lost, "status"] = "unanswered"
    frame.loc[lost, "reason"] = reason
    return frame


def pool(runs: Sequence[Scored]) -> list[Pooled]:
    """All runs together, one ``Pooled`` per metric and variant in the order of the first frame."""
    order = pd.concat([run.scores[_ROW] for run in runs]).drop_duplicates()
    bounds = sorted({str(name) for run in runs for name in run.bounds["bound"].unique()})
    table = pd.concat([_run_table(run) for run in runs]).reindex(columns=[*_COLUMNS, *bounds])
    tables = dict(list(table.groupby(level=_ROW, sort=False)))
    residuals = sorted({str(run.residual) for run in runs if run.residual})
    residual = " and ".join(residuals) or None
    ratio = float(np.mean([run.test_to_train for run in runs]))
    return [
        _pooled(metric, variant, tables.get((metric, variant), table.iloc[:0]), bounds, residual, ratio)
        for metric, variant in order.itertuples(index=False)
    ]


_ROW = ["metric", "variant"]
_KEYS = [*_ROW, "condition"]
_COLUMNS = ["perturbation", "context", "value", "status", "chance", "bds", "filled", "seed", "repeat"]


def _run_table(run: Scored) -> pd.DataFrame:
    """One run's scorable rows: values as given and filled, chance, and one column per bound."""
    scores = run.scores.set_index(_KEYS)
    bounds = {name: rows.set_index(_KEYS).reindex(scores.index) for name, rows in run.bounds.groupby("bound")}
    table = scores[["perturbation", "context", "value", "status"]].copy()
    table["value"] = table["value"].astype(np.float64)
    table["seed"], table["repeat"] = run.seed, run.repeat
    chance = pd.concat([frame["chance"] for frame in bounds.values()], axis=1).astype(np.float64)
    table["chance"] = chance.bfill(axis=1).iloc[:, 0]
    table["bds"] = np.nan
    for name, frame in bounds.items():
        table[name] = frame["value"].astype(np.float64)
        if ROLES[name].kind == "negative":  # one that does not exist here stands nowhere, not at chance
            exists = frame["status"] != "not_applicable"
            table[name] = table[name].fillna(table["chance"].where(exists))
        elif ROLES[name].anchors:
            own = [ROLES[name].anchors_for(CARDS[metric].level) for metric in table.index.get_level_values(0)]
            table["bds"] = table["bds"].where(~np.array(own), frame["bds"].astype(np.float64))
    table["filled"] = _filled(table, [name for name in bounds if ROLES[name].kind == "negative"])
    # Whether the truth allows a condition is the bounds' to say: a failed run knows nothing of it.
    barred = [frame["status"] == "unscorable" for frame in (scores, *bounds.values())]
    return table[~np.any(barred, axis=0)]


def _filled(table: pd.DataFrame, negatives: Sequence[str]) -> pd.Series:
    """Values with every gap at the worst of chance and the condition's negatives, else of any condition's."""
    candidates = table[["chance", *negatives]].to_numpy(dtype=np.float64)
    metrics = table.index.get_level_values("metric").to_numpy()
    merit = np.full(candidates.shape, np.nan)
    for name in np.unique(metrics):
        merit[metrics == name] = CARDS[name].merit(candidates[metrics == name])
    merit = np.where(np.isnan(merit), np.inf, merit)
    row, worst = np.arange(len(table)), merit.argmin(axis=1)
    of_row = pd.DataFrame({"value": candidates[row, worst], "merit": merit[row, worst]}, index=table.index)
    # Rows of a metric and variant in order of merit: the first one is the worst of any condition.
    ordered = of_row[np.isfinite(of_row["merit"])].sort_values("merit", kind="stable")
    of_any = ordered.groupby(level=_ROW)["value"].first()
    gaps = pd.Series(of_any.reindex(table.index.droplevel("condition")).to_numpy(), index=table.index)
    return table["value"].fillna(of_row["value"]).fillna(gaps)


def _pooled(
    metric: str,
    variant: str,
    table: pd.DataFrame,
    bounds: Sequence[str],
    residual: str | None,
    test_to_train: float,
) -> Pooled:
    """Average over runs within a condition; ``table`` holds the rows of one metric and variant."""
    groups = table.groupby(level="condition", sort=True)
    means = groups[["value", "filled", "chance", "bds", *bounds]].mean().astype(np.float64)
    states = table["status"]

    def in_state(state: str) -> int:
        return int(table.index[states == state].get_level_values("condition").nunique())

    if len(table) and (states == "not_applicable").all():
        status = "not_applicable"
    else:
        status = "scored" if len(table) else "unscorable"
    return Pooled(
        metric=metric,
        variant=variant,
        status=status,
        conditions=tuple(means.index),
        perturbations=tuple(groups["perturbation"].first()),
        contexts=tuple(groups["context"].first()),
        values=means["filled"].to_numpy(),
        answered_only=means["value"].to_numpy(),
        n_answered=int(means["value"].notna().sum()),
        n_undefined=in_state("undefined"),
        n_unanswered=in_state("unanswered"),
        sd_seeds=_sd_of_seeds(table),
        chance=means["chance"].to_numpy(),
        negative={name: means[name].to_numpy() for name in bounds if ROLES[name].kind == "negative"},
        positive={name: means[name].to_numpy() for name in bounds if ROLES[name].kind == "positive"},
        bds=means["bds"].to_numpy(),
        residual=residual,
        repeats=_repeats(table, test_to_train),
    )


def _sd_of_seeds(table: pd.DataFrame) -> float:
    """SD over seeds of the mean over conditions; NaN for a single seed."""
    by_condition = table.groupby(["seed", "condition"])["filled"].mean()
    return float(by_condition.groupby("seed").mean().std(ddof=1))


def _repeats(table: pd.DataFrame, test_to_train: float) -> dict[str, float] | None:
    """Spread of the mean over repeats of a split, and its corrected standard error; None for one repeat.

    Repeats share conditions and training data, so they are no extra n: the variance of their mean is
    (1/J + n_test/n_train) S^2 and not S^2/J (Nadeau and Bengio 2003, doi:10.1023/A:1024068626366).
    """
    by_condition = table.groupby(["repeat", "condition"])["filled"].mean()
    means = by_condition.groupby("repeat").mean()
    if len(means) < 2:
        return None
    sd = float(means.std(ddof=1))
    return {"n": len(means), "sd": sd, "standard_error": float(np.sqrt(1 / len(means) + test_to_train)) * sd}
