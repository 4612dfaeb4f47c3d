"""How quickly every design cuts 10,000 perturbations: CPU seconds, all artefacts hashed.

    python -m benchmarks.splits [--perturbations N] [--genes G] [--repeats N]

The table: every perturbation in two contexts, for designs of combinations a double of each besides, in
random order. The issue's bound is 5 seconds a design; a test says that all of them survive it.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from typing import Any

import numpy as np
from lanner.records import Condition
from lanner.splits import ALIASES, SPLITS, expand

BOUND = 5.0
CONTEXTS = ("early", "late")
DATASET = {"id": "table", "version": "1", "content": "0" * 64}


def table(name: str, n: int) -> list[Condition]:
    """The conditions that ``name`` cuts, in random order."""

    def made(*targets: str, context: str) -> Condition:
        return Condition(perturbation="+".join(targets), targets=targets, context=(context,), n_cells=20)

    conditions = [made(f"g{i}", context=context) for i in range(n) for context in CONTEXTS]
    if "combination" in name or "single" in name:
        conditions += [made(f"g{i}", f"h{i}", context=CONTEXTS[0]) for i in range(n)]
    random.Random(0).shuffle(conditions)
    return conditions


def given(name: str, n: int) -> dict[str, Any]:
    """Parameters of a design that has none by default."""
    if name == "custom":
        return {"test": [f"g{i}|early" for i in range(n // 2)]}
    return {"column": "stage", "order": list(CONTEXTS)} if name == "time" else {}


def seconds(name: str, n: int, genes: int) -> tuple[float, int]:
    """CPU seconds of one expansion with every hash, and how many artefacts there are."""
    design = ALIASES[name].design if name in ALIASES else name
    conditions = table(design, n)
    rows = np.random.default_rng(0).normal(size=(len(conditions), genes))
    effects = dict(zip((c.id for c in conditions), rows, strict=True))
    start = time.process_time()
    splits = expand(
        {"id": name, "parameters": given(design, n)},
        conditions,
        dict.fromkeys(CONTEXTS, 300),
        DATASET,
        "cells",
        context_columns=("stage",),
        effects=lambda: effects,
    )
    assert all(split.sha256 for split in splits)
    return time.process_time() - start, len(splits)


def main(arguments: list[str] | None = None) -> int:
    """Print a table of designs and names; 1 where one takes more than the bound for one draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--perturbations", type=int, default=10_000)
    parser.add_argument("--genes", type=int, default=200, help="of the effects of graded-similarity")
    parser.add_argument("--repeats", type=int, default=3, help="the least of so many is given")
    asked = parser.parse_args(arguments)
    slow = []
    print("| design | artefacts | CPU s |\n| --- | --- | --- |")
    for name in (*SPLITS, *ALIASES):
        runs = [seconds(name, asked.perturbations, asked.genes) for _ in range(asked.repeats)]
        taken, artefacts = min(runs)
        print(f"| {name} | {artefacts} | {taken:.2f} |", flush=True)
        if name in SPLITS and taken > BOUND:
            slow.append(name)
    if slow:
        print(f"over {BOUND} s: {', '.join(slow)}", file=sys.stderr)
    return int(bool(slow))


if __name__ == "__main__":
    sys.exit(main())
