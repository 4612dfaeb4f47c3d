"""Reference pages of all metrics, in Markdown, from their cards and nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from lanner import catalogue
from lanner.compat import COMPAT
from lanner.metrics import METRICS
from lanner.networks import NETWORK_METRICS

__all__ = ["pages", "write"]

LEVELS = {
    "centroid": "Mean profiles",
    "retrieval": "Retrieval: is a prediction nearest to its own perturbation?",
    "de": "Differential expression",
    "population": "Populations of cells",
    "interaction": "Interactions of doubles",
    "biology": "Biology",
}
OWN_FIELDS = (
    *("space", "reference", "distance", "estimator", "weights", "candidates", "ties", "undefined"),
    *("invariances", "labels", "requires", "requires_truth", "min_cells", "min_conditions", "min_positives"),
    *("tolerance", "citation"),
)
PEER_FIELDS = ("space", "reference", "estimator", "ties", "undefined", "faults", "needs", "per", "citation")
NETWORK_FIELDS = (
    *("scope", "requires_truth", "unit", "pooling", "estimator", "ties", "missing", "self_loops"),
    *("unmeasured", "undefined", "faults", "citation"),
)
NETWORKS = "networks.md"
SILENT = (None, "none", "", (), 0, 0.0, "perturbation")
"""What a card says where there is nothing to say; one value per perturbation is the rule."""
GENERATED = (
    "<!-- `lanner metric docs --out docs/reference/metrics` writes this from the cards: edit those. -->"
)


def pages() -> dict[str, str]:
    """File names and texts of all pages: an index, one page per level, one per peer."""
    found = {"index.md": _index()}
    for level, title in LEVELS.items():
        own = [name for name in METRICS if METRICS[name].card.level == level]
        if own:
            found[f"{level}.md"] = _page(title, "", own, OWN_FIELDS)
    for prefix, names in _peers().items():
        title = f"Peers: {COMPAT[names[0]].card.peer}"
        found[_file(prefix)] = _page(title, _lead(names[0]), names, PEER_FIELDS)
    own = [name for name in NETWORK_METRICS if not NETWORK_METRICS[name].card.peer]
    lead = (
        "What judges a predicted network of regulators and targets. Held-out effects are those of "
        "interventions in cells no method has seen; `/unseen` judges by interventions that no method saw at "
        "all.\n"
    )
    found[NETWORKS] = _page("Networks", lead, own, NETWORK_FIELDS)
    for prefix, names in _network_peers().items():
        found[_file(prefix)] = _page(
            f"Peers: {NETWORK_METRICS[names[0]].card.peer}", _lead(names[0]), names, NETWORK_FIELDS
        )
    return found


def write(folder: Path) -> list[Path]:
    """Write all pages into a folder, and remove pages there that no card stands behind any more."""
    texts = pages()
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.glob("*.md"):
        if path.name not in texts and path.read_text(encoding="utf-8").startswith(GENERATED):
            path.unlink()
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    return [folder / name for name in texts]


def _peers() -> dict[str, list[str]]:
    """Ids of each peer's metrics by the part before the slash."""
    found: dict[str, list[str]] = {}
    for name in COMPAT:
        found.setdefault(name.partition("/")[0], []).append(name)
    return found


def _network_peers() -> dict[str, list[str]]:
    """The same for metrics of networks."""
    found: dict[str, list[str]] = {}
    for name in NETWORK_METRICS:
        if NETWORK_METRICS[name].card.peer:
            found.setdefault(name.partition("/")[0], []).append(name)
    return found


def _lead(name: str) -> str:
    card = NETWORK_METRICS[name].card if name in NETWORK_METRICS else COMPAT[name].card
    return (
        f"What {card.peer} {card.peer_version} computes, for comparison with its published numbers. "
        "Nothing here ranks a method.\n"
    )


def _file(prefix: str) -> str:
    return f"peer-{prefix.replace('_', '-')}.md"


def _index() -> str:
    levels = [level for level in LEVELS if any(METRICS[name].card.level == level for name in METRICS)]
    lines = [
        GENERATED,
        "# Metrics",
        "",
        f"Lanner's own {len(METRICS)} metrics judge leaderboards. {len(COMPAT)} metrics of {len(_peers())} "
        "peers reproduce what others publish under the same names, faults included, and rank nothing; "
        "`lanner metric compare` shows one prediction by all metrics of a name.",
        "",
        "Each entry states the genes, the reference, the estimator, what ties and undefined values do, and a "
        "hash of the card. Symbols: t the true mean profile, p the predicted one, a and b the control means "
        "(staged and sealed), m the mean of the train perturbations.",
        "",
        "## Own metrics, by level",
        "",
        *(f"- [{LEVELS[level]}]({level}.md)" for level in levels),
        "",
        "## Networks: which regulator acts on which gene",
        "",
        f"- [Own metrics]({NETWORKS})",
        *(
            f"- [{NETWORK_METRICS[names[0]].card.peer}]({_file(prefix)}) "
            f"{NETWORK_METRICS[names[0]].card.peer_version}: {len(names)} metrics"
            for prefix, names in _network_peers().items()
        ),
        "",
        "## Peers",
        "",
        *(
            f"- [{COMPAT[names[0]].card.peer}]({_file(prefix)}) {COMPAT[names[0]].card.peer_version}: "
            f"{len(names)} metrics"
            for prefix, names in _peers().items()
        ),
        "",
        "## Families: what goes by one name",
        "",
        "| family | metrics |",
        "| --- | --- |",
        *(
            f"| {family} | {', '.join(_link(name) for name in names)} |"
            for family, names in catalogue.families().items()
            if len(names) > 1
        ),
        "",
        "```{toctree}",
        ":hidden:",
        "",
        *levels,
        NETWORKS.removesuffix(".md"),
        *(_file(prefix).removesuffix(".md") for prefix in (*_peers(), *_network_peers())),
        "```",
        "",
    ]
    return "\n".join(lines)


def _link(name: str) -> str:
    page = f"{METRICS[name].card.level}.md" if name in METRICS else _file(name.partition("/")[0])
    return f"[{name}]({page})"


def _page(title: str, lead: str, names: Iterable[str], fields: tuple[str, ...]) -> str:
    parts = [GENERATED, f"# {title}", ""]
    if lead:
        parts.append(lead)
    for name in names:
        parts += _entry(catalogue.document(name), fields)
    return "\n".join(parts)


def _entry(document: Mapping[str, Any], fields: tuple[str, ...]) -> list[str]:
    best = "" if document["best"] is None else f", best {document['best']:g}"
    better = {
        "nearest": f"nearest to {document['best']}",
        "neither": "neither: information, not a score",
    }.get(document["better"], f"{document['better']} is better{best}")
    stated = {"family": document["family"], "better": better, "chance": document.get("chance")}
    stated |= {field: document[field] for field in fields}
    rows = [
        f"| {field.replace('_', ' ')} | {_cell(value)} |"
        for field, value in stated.items()
        if value not in SILENT or (field == "chance" and value == 0.0)
    ]
    return [
        f"## {document['id']}",
        "",
        _markdown(document["definition"]),
        "",
        "| | |",
        "| --- | --- |",
        *rows,
        f"| card | version {document['version']}, sha256 `{document['sha256'][:12]}` |",
        "",
    ]


def _cell(value: Any) -> str:
    """A table cell: bars escaped, which Markdown would take for the end of it."""
    text = "; ".join(value) if isinstance(value, tuple | list) else str(value)
    return re.sub(r"\s+", " ", text).replace("|", "\\|").replace("*", "\\*").replace("<", "&lt;")


def _markdown(text: str) -> str:
    """A docstring's mathematics and code as MyST has them."""
    text = re.sub(r":math:`([^`]+)`", r"$\1$", text)
    return re.sub(r"``([^`]+)``", r"`\1`", text)
