"""Reference pages of all metrics, in Markdown, from their cards and nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from lanner import catalogue
from lanner.compat import COMPAT
from lanner.metrics import METRICS

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
        card = COMPAT[names[0]].card
        lead = (
            f"What {card.peer} {card.peer_version} computes, for comparison with its published numbers. "
            "Nothing here ranks a method.\n"
        )
        found[_file(prefix)] = _page(f"Peers: {card.peer}", lead, names, PEER_FIELDS)
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
        *(_file(prefix).removesuffix(".md") for prefix in _peers()),
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
    better = {
        "nearest": f"nearest to {document['best']:g}",
        "neither": "neither: information, not a score",
    }.get(document["better"], f"{document['better']} is better, best {document['best']:g}")
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
