"""What a leaderboard's comparisons come to, in plain words."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

ALPHA = 0.05
TRAINING_MEAN = "the training mean"
"""What methods are compared with where a task names no other bound."""
BESIDE = {"pds_l1": "mse", "pds_l2": "mse", "pds_cosine": "mse"}
"""Metrics that never rank without another one beside them: retrieval is blind to size."""

Summaries = Sequence[Mapping[str, Any]]
Compared = Mapping[str, Mapping[str, Any]]
"""Comparisons of one table, by metric."""


def note(
    summaries: Summaries, shown: Sequence[str], compared: Compared, reference: str = TRAINING_MEAN
) -> str:
    """Which methods beat the reference, corrected, on how many informative primary metrics."""
    things = _things(reference)
    scores = summaries[0]["scores"]
    informative = [name for name in shown if scores[name]["informative"] == "informative"]
    n = max((scores[name]["n"] for name in shown), default=0)
    if all(scores[name]["informative"] == "no positive bound" for name in shown):
        return f"No measured halves, hence no positive bound ({n} {things}): values are shown, skill is not."
    if not informative:
        return f"No primary metric is informative here ({n} {things}): this split cannot tell methods apart."
    of = f"of {len(informative)} informative primary metrics ({', '.join(informative)}; {n} {things})"
    winners = _counted(informative, compared, lambda item: bool(item["better"]))
    if winners:
        return (
            f"Beyond their intervals, and after Holm's correction, these beat {reference}: {winners}, {of}."
        )
    nearly = _counted(informative, compared, _beyond_interval)
    if nearly:
        return (
            f"After Holm's correction no method beats {reference} on any {of}. "
            f"Beyond its uncorrected interval: {nearly}."
        )
    return f"No method beats {reference} beyond its interval on any {of}."


def _beyond_interval(item: Mapping[str, Any]) -> bool:
    return item["interval"] is not None and bool(item["interval"][0] > 0)


def _counted(informative: Sequence[str], compared: Compared, won: Callable[[Mapping[str, Any]], bool]) -> str:
    counts: dict[str, int] = {}
    for name in informative:
        for method, item in compared.get(name, {}).get("against_reference", {}).items():
            counts[method] = counts.get(method, 0) + won(item)
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{method} on {count}" for method, count in ordered if count)


def _things(reference: str) -> str:
    """What a value is of: conditions, or what another task's cards say."""
    return "conditions" if reference == TRAINING_MEAN else "units"


def remarks(
    summaries: Summaries, shown: Sequence[str], compared: Compared, reference: str = TRAINING_MEAN
) -> tuple[str, ...]:
    """What a reader has to know besides: tests that cannot reject, scores above the duplicate."""
    # Where tasks hold out cells of what they train on, more of them than half the truth has may well win.
    suspicious = _suspicious(summaries, shown) if reference == TRAINING_MEAN else ()
    return (*_powerless(summaries, shown, compared, reference), *suspicious)


def _powerless(
    summaries: Summaries, shown: Sequence[str], compared: Compared, reference: str
) -> Iterator[str]:
    """Where even the clearest outcome would not survive the correction."""
    told: dict[str, list[str]] = {}
    for name in shown:
        item = compared.get(name)
        if item is None or summaries[0]["scores"][name]["informative"] != "informative":
            continue
        tested = [other for other in item["against_reference"].values() if other["p"] is not None]
        if item["test_reason"]:
            told.setdefault(f"No test against {reference}: {item['test_reason']}.", []).append(name)
        elif item["test"]["name"] == "exact sign-flip":
            units = round(item["test"]["n_units"])
            least = len(tested) * 2 / 2**units
            if least >= ALPHA:
                said = (
                    f"With {units} units ({item['test']['unit']}) and {len(tested)} methods no p-value can "
                    f"fall below {least:.2g}: no method can be shown to beat {reference} here."
                )
                told.setdefault(said, []).append(name)
    for said, names in sorted(told.items()):
        yield f"{', '.join(names)}: {said[0].lower()}{said[1:]}"


def _suspicious(summaries: Summaries, shown: Sequence[str]) -> Iterator[str]:
    flagged = {}
    for summary in summaries:
        above = {name: summary["scores"][name].get("above_duplicate") for name in shown}
        found = [
            f"{name} {100 * item['share']:.0f} %" for name, item in above.items() if item and item["flag"]
        ]
        if found:
            flagged[summary["method"]] = f"{summary['method']} ({', '.join(found)})"
    if flagged:
        listed = "; ".join(flagged[name] for name in sorted(flagged))
        yield (
            "Better than the technical duplicate on most conditions, which is hard without having seen the "
            f"held-out cells: {listed}."
        )


def against(summaries: Summaries, shown: Sequence[str], compared: Compared) -> tuple[tuple[str, ...], ...]:
    """A row per method, a cell per metric: its gain on the reference, and how often it is first."""
    rows = []
    for summary in summaries:
        cells = [_against(summary["method"], compared.get(name)) for name in shown]
        if any(cell != "-" for cell in cells):
            rows.append((summary["method"], *cells))
    return tuple(sorted(rows))


def _against(method: str, compared: Mapping[str, Any] | None) -> str:
    item = (compared or {}).get("against_reference", {}).get(method)
    if compared is None or item is None:
        return "-"
    span = " [{:+.2g}, {:+.2g}]".format(*item["interval"]) if item["interval"] else ""
    p = "" if item["p_holm"] is None else f", p {item['p_holm']:.2g}"
    shares = compared["first_share"] or {}
    first = f"; first {100 * shares[method]:.0f} %" if method in shares else ""
    return f"{item['gain'] + 0.0:+.2g}{span}{p}{first}"


def across(document: Mapping[str, Any]) -> list[str]:
    """One sentence for each primary metric: what holds over datasets, or how many are missing for a test."""
    lines = []
    for item in document["comparisons"]:
        if item["kind"] != "across-datasets" or not item["above_best_negative"]:
            continue
        tests = item["above_best_negative"]
        if all(test["reason"] for test in tests.values()):
            n = len(item["datasets"])
            lines.append(f"{item['metric']}: no test, {n} informative datasets of the 6 it takes.")
            continue
        better = [
            name
            for name, test in sorted(tests.items())
            if test["p_holm"] is not None and test["p_holm"] < ALPHA and test["mean"] > 0
        ]
        who = ", ".join(better) if better else "no method"
        lines.append(
            f"{item['metric']}: over {len(item['datasets'])} datasets, after Holm's correction, better than "
            f"the best negative bound: {who}."
        )
    return lines
