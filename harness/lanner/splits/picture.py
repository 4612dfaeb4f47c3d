"""A split as a picture: perturbations by contexts, each cell coloured by its part, as plain SVG."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from lanner.records import Condition, Split

COLOURS = {
    "train": "#4c78a8",
    "valid": "#eeca3b",
    "test": "#e45756",
    "train and test": "#b279a2",
    "left out": "#bab0ac",
    "absent": "#f2f2f2",
}
"""Parts and their colours. ``left out`` was measured and is in no part; ``absent`` was not measured."""
RANK = {part: rank for rank, part in enumerate(("absent", "left out", "train", "valid", "test"))}
LABELLED = 120
"""Rows up to which perturbations are named beside their row; of more, the browser shows the name on hover."""


def grid(split: Split, conditions: Sequence[Condition]) -> str:
    """An SVG document of a split: one row per perturbation, one column per context.

    Rows are sorted by what happens to them, tested ones first, then by name. Where doses fall on one place
    the one that is tested shows; the tooltip lists all. The same split gives the same bytes.
    """
    parts = part_of(split, conditions)
    contexts = sorted({c.context_id for c in conditions})
    cells: dict[tuple[str, str], list[str]] = {}
    for c in conditions:
        cells.setdefault((c.perturbation, c.context_id), []).append(c.id)

    def shown(perturbation: str, context: str) -> str:
        found = {parts[name] for name in cells.get((perturbation, context), ())}
        return max(found or {"absent"}, key=lambda part: RANK.get(part, RANK["test"]))

    rows = {p: tuple(shown(p, context) for context in contexts) for p in {c.perturbation for c in conditions}}
    order = sorted(rows, key=lambda p: (-max(RANK.get(part, RANK["test"]) for part in rows[p]), p))
    labelled = len(order) <= LABELLED
    height = 14 if labelled else max(1, min(6, 1600 // len(order)))
    width = max(18, min(60, 720 // len(contexts)))
    left = 8 + (7 * max(map(len, order)) if labelled else 0)
    top = 62 + 5 * max(map(len, contexts))
    drawn = [
        f'<rect x="{left + width * k}" y="{top + height * j}" width="{width - (width > 8)}" '
        f'height="{height - (height > 3)}" fill="{COLOURS[part]}"><title>'
        f"{escape(', '.join(cells.get((p, contexts[k]), [f'{p}|{contexts[k]}'])))}: {part}</title></rect>"
        for j, p in enumerate(order)
        for k, part in enumerate(rows[p])
    ]
    if labelled:
        drawn += [
            f'<text x="{left - 4}" y="{top + height * j + 10}" text-anchor="end">{escape(p)}</text>'
            for j, p in enumerate(order)
        ]
    drawn += [
        f'<text transform="translate({left + width * k + width // 2 + 3},{top - 4}) rotate(-60)">'
        f"{escape(context)}</text>"
        for k, context in enumerate(contexts)
    ]
    present = [part for part in COLOURS if any(part in row for row in rows.values())]
    drawn += [
        f'<rect x="{8 + 110 * n}" y="28" width="12" height="12" fill="{COLOURS[part]}"/>'
        f'<text x="{24 + 110 * n}" y="38">{part}</text>'
        for n, part in enumerate(present)
    ]
    title = f"{split.dataset['id']}: {split.id}, {len(split.train)} train, {len(split.valid)} valid, "
    title += f"{len(split.test)} test conditions"
    size = (
        max(left + width * len(contexts) + 5 * max(map(len, contexts)), 120 * len(present), 7 * len(title)),
        top + height * len(order) + 12,
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{size[0]}" height="{size[1]}" '
        f'viewBox="0 0 {size[0]} {size[1]}" font-family="sans-serif" font-size="11" role="img">'
        f'<title>{escape(title)}</title><rect width="100%" height="100%" fill="white"/>'
        f'<text x="8" y="18" font-size="13">{escape(title)}</text>' + "".join(drawn) + "</svg>\n"
    )


def page(pictures: Sequence[str], heading: str) -> str:
    """One HTML page of several pictures, with nothing to load from elsewhere."""
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(heading)}</title>'
        f"<body><h1>{escape(heading)}</h1>" + "".join(pictures) + "</body></html>\n"
    )


def part_of(split: Split, conditions: Sequence[Condition]) -> dict[str, str]:
    """The part of every condition by id: train, valid, test, ``train and test``, or left out."""
    train, valid, test = set(split.train), set(split.valid), set(split.test)

    def part(name: str) -> str:
        if name in test:
            return "train and test" if name in train else "test"
        return "valid" if name in valid else "train" if name in train else "left out"

    return {c.id: part(c.id) for c in conditions}
