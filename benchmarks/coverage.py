"""How often the intervals Lanner prints hold the truth, by simulation: ``python -m benchmarks.coverage``.

Writes docs/reference/coverage.md; ``tests/simulated_intervals.py`` says what is simulated, of networks
``tests/network_intervals.py``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from textwrap import wrap

from tests.simulated_intervals import (
    SIMULATIONS,
    TESTS,
    Case,
    Coverage,
    cases,
    exact_lower_bound,
    false_alarms,
    measure,
)

PAGE = Path(__file__).parent.parent / "docs" / "reference" / "coverage.md"
INTRODUCTION = """
Nominal 95 %, {n} simulated data sets per line (standard error 0.7 %), made by `python -m
benchmarks.coverage`. *Above* and *below*: how often the whole interval lies above, or below, the
truth. `tests/unit/test_coverage.py` holds every line to 92-98 %, with two exceptions: 6 to 21
strongly skewed values, whose tail so few do not show (90 %), and conditions that share genes or
contexts without having anything in common, where intervals are rather too wide.
"""
NETWORKS = "## Numbers of networks"
OF_NETWORKS = """
{n} simulated data sets per line (standard error 1.3 %): rankings of all pairs of regulators that differ in
how many edges they have, how well these rank and on what scale, and a row per regulator, its jackknife
pseudo-value. `tests/unit/test_network_coverage.py` holds every line to 92-98 %, with one exception: where few
regulators hold most edges, intervals are too narrow (80 %), since they count regulators and not what these
are worth. Regulators are drawn independently: of regulators that share targets nothing is simulated.
"""


def page(found: list[Coverage], alarms: list[tuple[str, float, float]]) -> str:
    """The table as Markdown."""
    lines = [
        "# What the intervals cover",
        "",
        *wrap(INTRODUCTION.format(n=SIMULATIONS).strip(), 110),
        "",
        *table(found),
        "",
        "The exact lower bound of BDS (Clopper-Pearson, the lower end of a two-sided 95 % interval) is not",
        "simulated but summed: the probability that it does not exceed the true share.",
        "",
        "| conditions | true share | held |",
        "| --- | --- | --- |",
    ]
    lines += [
        f"| {n} | {share} | {100 * exact_lower_bound(n, share):.1f} % |"
        for n in (6, 10, 30, 100)
        for share in (0.5, 0.7, 0.9)
    ]
    lines += [
        "",
        "Tests of paired differences: share of p < .05 without a difference, and with one of half a standard",
        "deviation of the noise.",
        "",
        "| conditions | false alarms | power |",
        "| --- | --- | --- |",
    ]
    lines += [f"| {name} | {100 * size:.1f} % | {100 * power:.0f} % |" for name, size, power in alarms]
    return "\n".join(lines) + "\n"


def table(found: Iterable[Coverage]) -> list[str]:
    """A line per kind of data."""
    return [
        "| interval | data | method | covered | above | below |",
        "| --- | --- | --- | --- | --- | --- |",
        *(
            f"| {item.case.kind} | {item.case.data} | {item.method} | {100 * item.covered:.1f} % "
            f"| {100 * item.above:.1f} % | {100 * item.below:.1f} % |"
            for item in found
        ),
    ]


def network_section(found: Iterable[Coverage], simulations: int) -> str:
    """What follows on the page for numbers of networks, as Markdown."""
    introduction = wrap(OF_NETWORKS.format(n=simulations).strip(), 110)
    return "\n".join([NETWORKS, "", *introduction, "", *table(found)]) + "\n"


def measured(several: Iterable[Case], simulations: int = SIMULATIONS) -> Iterator[Coverage]:
    """What the intervals of each case cover, said as it is found."""
    for case in several:
        item = measure(case, simulations)
        print(f"{case.kind:40s} {case.data:24s} {item.method:8s} {100 * item.covered:5.1f} %", flush=True)
        yield item


def measured_networks() -> str:
    """The section on networks, from what their tests simulate."""
    sys.path.append(str(PAGE.parents[2] / "tests"))  # as pytest has it: the modules there import each other
    import network_intervals as networks

    found = measured((networks.case(*which) for which in networks.CASES), networks.SIMULATIONS)
    return network_section(found, networks.SIMULATIONS)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=PAGE, help="Markdown file to write")
    parser.add_argument(
        "--networks", action="store_true", help="write the section on networks anew, no other"
    )
    arguments = parser.parse_args()
    out: Path = arguments.out
    if arguments.networks:
        rest = out.read_text(encoding="utf-8").partition(f"\n{NETWORKS}\n")[0]
    else:
        found = list(measured(cases()))
        rest = page(found, [(name, *false_alarms(n, genes)) for name, n, genes in TESTS])
    out.write_text(f"{rest}\n{measured_networks()}", encoding="utf-8")
    print(f"written to {out}")


if __name__ == "__main__":
    main()
