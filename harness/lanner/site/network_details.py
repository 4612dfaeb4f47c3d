"""What stored runs say of their networks, brought together by method: what the pictures of networks show."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lanner.site.naming import run_name
from lanner.site.pages import Board, Place

Details = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Curve:
    """One line against one truth; ``precision`` and ``recall`` at the same shares of pairs for all lines.

    ``auprc`` is None, and the line without points, where a network has no edge that could be judged.
    """

    name: str
    kind: str
    truth: str
    pairs: float
    positives: float
    prevalence: float
    auprc: float | None
    precision: tuple[float, ...]
    recall: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class Top:
    """The strongest edges of one network on one split: edge to sign, at most ``k`` of ``pairs``."""

    name: str
    split: str
    k: int
    pairs: int
    signs: Mapping[tuple[str, str], int]


@dataclass(frozen=True, kw_only=True)
class Regulator:
    """One regulator as one method has it, against one truth; counts are means over runs and halves."""

    method: str
    truth: str
    name: str
    intervened: bool
    seen: bool
    edges: float | None
    positives: float | None
    found: float | None
    auprc: float | None
    chance: float | None


@dataclass(frozen=True, kw_only=True)
class Gathered:
    """Everything there is of one dataset and split design; methods as in its table, then bounds."""

    curves: tuple[Curve, ...]
    tops: tuple[Top, ...]
    regulators: tuple[Regulator, ...]


def gathered(board: Board, where: Place) -> Gathered:
    """Details of the place's runs; several runs of a method (seeds, folds) at their mean."""
    of_method: dict[str, list[tuple[str, Details]]] = {}
    splits: dict[str, None] = {}
    for summary in board.summaries[where]:
        for row in board.material.rows_of(summary):
            splits[row["split_sha256"]] = None
            said = board.material.details.get(run_name(row))
            if said is not None:
                of_method.setdefault(summary["method"], []).append((row["split_sha256"], said))
    of_bound: dict[tuple[str, str], list[tuple[str, Details]]] = {}
    for split in splits:
        for name, said in (board.material.bound_details.get(split) or {}).get("bounds", {}).items():
            of_bound.setdefault((f"(bound) {name}", said["kind"]), []).append((split, said))
    lines = [(name, "method", runs) for name, runs in of_method.items()]
    lines += [(name, f"{kind} bound", runs) for (name, kind), runs in of_bound.items()]
    return Gathered(
        curves=tuple(curve for name, kind, runs in lines for curve in _curves(name, kind, runs)),
        tops=tuple(top for name, _, runs in lines for top in _tops(name, runs)),
        regulators=tuple(row for name, runs in of_method.items() for row in _regulators(name, runs)),
    )


def _curves(name: str, kind: str, runs: Sequence[tuple[str, Details]]) -> Iterator[Curve]:
    by_truth: dict[str, list[Details]] = {}
    for _, said in runs:
        for entry in said["against"]:
            by_truth.setdefault(entry["truth"], []).append(entry)
    for truth, entries in by_truth.items():
        known = [entry for entry in entries if entry["prevalence"] is not None]
        drawn = [entry for entry in known if entry["precision"]]
        if known:
            yield Curve(
                name=name,
                kind=kind,
                truth=truth,
                **{field: _sure([e[field] for e in known]) for field in ("pairs", "positives", "prevalence")},
                auprc=_mean([entry["auprc"] for entry in known]),
                precision=_columns([entry["precision"] for entry in drawn]),
                recall=_columns([entry["recall"] for entry in drawn]),
            )


def _tops(name: str, runs: Sequence[tuple[str, Details]]) -> Iterator[Top]:
    for split, said in runs:
        if said["top"] is not None:
            signs = {(source, target): int(sign) for source, target, sign in said["top"]["edges"]}
            yield Top(name=name, split=split, k=said["top"]["k"], pairs=said["top"]["pairs"], signs=signs)


def _regulators(name: str, runs: Sequence[tuple[str, Details]]) -> Iterator[Regulator]:
    grouped: dict[tuple[str, str], list[Sequence[Any]]] = {}
    for _, said in runs:
        for row in said["regulators"]:
            grouped.setdefault((row[0], row[1]), []).append(row)
    for (truth, regulator), rows in grouped.items():
        edges, positives, found, auprc, chance = (_mean([row[i] for row in rows]) for i in range(4, 9))
        yield Regulator(
            method=name,
            truth=truth,
            name=regulator,
            intervened=any(row[2] for row in rows),
            seen=all(row[3] for row in rows),
            edges=edges,
            positives=positives,
            found=found,
            auprc=auprc,
            chance=chance,
        )


def _columns(lines: Sequence[Sequence[float]]) -> tuple[float, ...]:
    """Point by point mean of lines of equal length; of one line, that line."""
    return tuple(_sure(point) for point in zip(*lines, strict=True)) if lines else ()


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return _sure(known) if known else None


def _sure(values: Sequence[float]) -> float:
    return float(f"{sum(values) / len(values):.6g}")
