"""A leaderboard of any size made of random numbers: for the pages' tests and for how quickly they open."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from lanner.metrics import METRICS
from lanner.site.conditions import Conditions
from lanner.site.material import Material, Run, cards
from lanner.site.naming import run_name

FIRST = ("mse", "pearson_delta", "pds_cosine", "energy/pca50", "de_auprc")
TASK = "perturbation-response@1"
DESIGN = {"id": "unseen-perturbation", "parameters": {"fraction": 1.0}, "seed": 0}
SCALING = {"id": "data-scaling", "parameters": {}, "seed": 0}
NEGATIVE = ("no-change", "train-mean", "train-mean-cells")


def material(
    *, methods: int = 6, datasets: int = 3, metrics: int = 6, conditions: int = 30, seed: int = 0
) -> Material:
    """A board whose first method is called ``<script>alert(1)</script>``; equal arguments give equal boards.

    The first dataset has a learning curve and a similarity curve as well, the last cannot tell methods apart,
    and the last method fails on the first dataset. Skills are drawn from a normal distribution.
    """
    rng = np.random.default_rng(seed)
    others = [name for name in METRICS if name not in FIRST and METRICS[name].card.better != "neither"]
    names = [*FIRST, *others][:metrics]
    labels = ["<script>alert(1)</script>", "train-mean", *(f"method-{i:02d}" for i in range(2, methods))]
    document: dict[str, Any] = {
        "format": "lanner-leaderboard/1",
        "name": "synthetic",
        "title": "Synthetic & <b>random</b>",
        "description": "Random numbers, to see the pages by.",
        "task": TASK,
        "seeds": [0],
        "metrics": [_metric(name) for name in names],
        "datasets": [],
        "rows": [],
        "summaries": [],
        "comparisons": [],
        "series": [],
    }
    runs, found = {}, []
    for number in range(datasets):
        dataset = f"dataset-{number:02d}"
        document["datasets"].append(_dataset(dataset, conditions))
        informative = datasets == 1 or number < datasets - 1
        for label in labels:
            failed = number == 0 and label == labels[-1] and methods > 2
            row, summary = _results(rng, dataset, label, names, conditions, informative, failed)
            document["rows"].append(row)
            document["summaries"].append(summary)
            runs[run_name(row)] = Run(resources=_cost(rng), log="stderr.log:\nline <b>one</b>")
        primary = [item["id"] for item in document["metrics"] if item["primary"]]
        scored = [s for s in document["summaries"] if s["dataset"] == dataset and s["scores"]]
        document["comparisons"] += [_comparison(rng, dataset, name, scored) for name in primary]
        found += [_conditions(rng, dataset, name, labels, conditions) for name in primary]
    document["series"] = [item for label in labels for item in _series(rng, "dataset-00", label, names)]
    for split in ("data-scaling", "graded-similarity"):
        _add_design(rng, document, split, labels, names, conditions)
    manifests = {label: {"name": label, "label": label, "summary": "Draws."} for label in labels}
    return Material(
        document=document, conditions=found, methods=manifests, metrics=cards(document), runs=runs
    )


def _metric(name: str) -> dict[str, Any]:
    card = METRICS[name].card
    return {
        **{field: getattr(card, field) for field in ("id", "version", "title", "level", "better", "best")},
        "card": card.sha256,
        "primary": name in FIRST,
    }


def _dataset(name: str, conditions: int) -> dict[str, Any]:
    split = {
        "id": DESIGN["id"],
        "sha256": _hash(name),
        "design": DESIGN,
        "train": 2 * conditions,
        "valid": 0,
        "test": conditions,
        "controls": {"K562": "halved"},
        "bounds_sha256": _hash(name + "bounds"),
    }
    return {
        "id": name,
        "version": "1",
        "content": _hash(name + "content"),
        "kind": "cells",
        "scale": "log1p-cp10k",
        "title": f"The data of {name}",
        "organism": "none",
        "assay": "simulated",
        "perturbation_kind": "simulated",
        "licence": "MIT",
        "citation": {"text": "Nobody."},
        "splits": [split],
    }


def _results(
    rng: np.random.Generator,
    dataset: str,
    label: str,
    names: list[str],
    conditions: int,
    informative: bool,
    failed: bool,
    design: dict[str, Any] = DESIGN,
) -> tuple[dict[str, Any], dict[str, Any]]:
    key = _hash(f"{dataset} {label} {design['id']}")
    scores = None if failed else {n: _score(rng, n, conditions, informative) for n in names}
    if scores is not None:
        scores |= {
            f"{n}@unmasked": {**_score(rng, n, conditions, informative), "variant": "@unmasked"}
            for n in names
        }
    status = "failed" if failed else "succeeded"
    reason = "it <i>broke</i>" if failed else None
    row = {
        "dataset": dataset,
        "split": design["id"],
        "split_sha256": _hash(dataset),
        "method": label,
        "identity": f"folder:{_hash(label)}",
        "parameters": {"alpha": 1.0},
        "seed": 0,
        "stands_for": [0],
        "key": key,
        "status": status,
        "error_class": "CRASH" if failed else None,
        "reason": reason,
        "unsealed": False,
        "trusted_process": False,
        "residual": None,
        "training_data": [],
        "coverage": {"requests": conditions, "answered": 0 if failed else conditions, "unanswered": []},
        "scores": scores,
    }
    summary = {
        "dataset": dataset,
        "split": design["id"],
        "design": design,
        "method": label,
        "status": status,
        "complete": not failed,
        "reason": reason,
        "runs": [key],
        "scores": scores,
    }
    return row, summary


def _score(rng: np.random.Generator, name: str, conditions: int, informative: bool) -> dict[str, Any]:
    skill, half = float(rng.normal(0.2, 0.5)), float(rng.uniform(0.05, 0.3))
    better = METRICS[name].card.better
    worst, best = (0.0, 1.0) if better == "higher" else (1.0, 0.0)
    value = worst + skill * (best - worst)
    return {
        "metric": name,
        "version": 1,
        "card": METRICS[name].card.sha256,
        "variant": "",
        "status": "scored",
        "n": conditions,
        "n_answered": conditions,
        "n_undefined": 0,
        "n_unanswered": 0,
        "coverage": 1.0,
        "value": value,
        "interval": [value - half, value + half],
        "skill": skill,
        "skill_reason": None,
        "skill_interval": [skill - half, skill + half],
        "drf": 0.8,
        "median": value,
        "sd_seeds": None,
        "negative": dict.fromkeys(NEGATIVE, worst),
        "positive": {"technical-duplicate": best},
        "informative": "informative" if informative else "not informative",
        "bds": 0.9,
        "bds_lower": 0.7,
        "n_bds": conditions,
        "above_duplicate": None,
        "component": None,
        "better": better,
        "strata": [],
        "difference_to_reference": {"value": skill, "interval": [skill - half, skill + half]},
    }


def _comparison(
    rng: np.random.Generator, dataset: str, name: str, scored: list[dict[str, Any]]
) -> dict[str, Any]:
    methods = [summary["method"] for summary in scored]
    shares = rng.dirichlet(np.ones(len(methods)) / 3)
    gains = {}
    for method in methods:
        gain, half = float(rng.normal(0, 0.2)), float(rng.uniform(0.02, 0.2))
        gains[method] = {
            "gain": gain,
            "interval": [gain - half, gain + half],
            "p": 0.5,
            "p_holm": 0.5,
            "better": gain - half > 0.1,
        }
    test = {"name": "sign-flip", "null": "as likely", "unit": "target gene", "n_units": 30}
    return {
        "kind": "methods",
        "dataset": dataset,
        "split": DESIGN["id"],
        "design": DESIGN,
        "metric": name,
        "ranks": {method: float(rank) for rank, method in enumerate(methods, 1)},
        "ranks_reason": None,
        "test": test,
        "test_reason": None,
        "against_reference": gains,
        "between": [],
        "first_share": dict(zip(methods, shares.tolist(), strict=True)),
        "runs": [],
    }


def _conditions(rng: np.random.Generator, dataset: str, name: str, labels: list[str], n: int) -> Conditions:
    effects = tuple(("small", "medium", "large")[i % 3] for i in range(n))
    values = {label: tuple(np.round(rng.normal(0.3, 0.2, n), 5).tolist()) for label in labels}
    return Conditions(
        place=(dataset, DESIGN["id"], _canonical(DESIGN)),
        metric=name,
        names=tuple(f"GENE{i}|K562" for i in range(n)),
        strata={"effect size": effects},
        values=values,
        gains=values,
    )


def _series(rng: np.random.Generator, dataset: str, label: str, names: list[str]) -> list[dict[str, Any]]:
    return [
        {
            "dataset": dataset,
            "split": split,
            "design": design,
            "method": label,
            "metric": name,
            "steps": [0.1, 0.25, 0.5, 1.0],
            "values": [None, *np.sort(rng.uniform(0, 1, 3)).tolist()],
            "auspc": None,
        }
        for split, design in (
            ("data-scaling", SCALING),
            ("graded-similarity", {**SCALING, "id": "graded-similarity"}),
        )
        for name in names[:3]
    ]


def _add_design(
    rng: np.random.Generator,
    document: dict[str, Any],
    split: str,
    labels: list[str],
    names: list[str],
    conditions: int,
) -> None:
    for label in labels:
        design = {**SCALING, "id": split}
        row, summary = _results(rng, "dataset-00", label, names, conditions, True, False, design)
        document["rows"].append(row)
        document["summaries"].append(summary)
    document["summaries"].sort(key=lambda s: (s["dataset"], s["split"]))


def _canonical(document: dict[str, Any]) -> str:
    from lanner.records import canonical_json

    return canonical_json(document)


def _cost(rng: np.random.Generator) -> dict[str, float]:
    wall = float(rng.lognormal(2, 1.5))
    return {"wall_seconds": wall, "cpu_seconds": wall, "peak_memory_mb": 50 * wall, "image_mb": 180.0}


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
