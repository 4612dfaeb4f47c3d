"""A dot plot of skill with its interval, between the negative bound (0) and the positive one (1), as SVG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup, escape

from lanner.leaderboard.table import skill as skill_text
from lanner.records import printable

WIDTH, LABEL, ROW, TOP, BOTTOM = 560, 190, 24, 8, 26
LEAST, MOST = -0.5, 1.5
"""Skill shown at the plot's edges; what lies beyond is an arrow there and stays in the text."""


def dot_plot(scores: Sequence[tuple[str, Mapping[str, Any]]]) -> Markup | None:
    """SVG of ``(method, score)`` pairs, or None where no method has a skill; each dot has a title."""
    shown = [(name, score) for name, score in scores if score["skill"] is not None]
    if not shown:
        return None
    height = TOP + ROW * len(shown) + BOTTOM
    parts = [_axis(height)]
    parts += [_dot(name, score, TOP + ROW * i + ROW / 2) for i, (name, score) in enumerate(shown)]
    summary = "; ".join(f"{name}: {_text(score)}" for name, score in shown)
    return Markup('<svg viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>').format(
        WIDTH, height, f"Skill by method. {printable(summary)}", Markup("").join(parts)
    )


def _axis(height: int) -> Markup:
    lines = [
        Markup('<line class="{}" x1="{:.1f}" x2="{:.1f}" y1="{}" y2="{}"/>').format(
            name, _x(at), _x(at), TOP, height - BOTTOM
        )
        for at, name in ((0.0, "bound"), (0.5, "grid"), (1.0, "bound"))
    ]
    labels = [
        Markup('<text class="tick" x="{:.1f}" y="{}">{}</text>').format(_x(at), height - 8, text)
        for at, text in ((0.0, "0 best negative bound"), (1.0, "1 duplicate"))
    ]
    return Markup("").join([*lines, *labels])


def _dot(name: str, score: Mapping[str, Any], y: float) -> Markup:
    known = "known" if score["informative"] == "informative" else "unknown"
    parts = [
        Markup('<text class="method" x="{}" y="{:.1f}">{}</text>').format(
            LABEL - 10, y + 4, escape(printable(name))
        )
    ]
    interval = score["skill_interval"]
    if interval:
        parts.append(
            Markup('<line class="interval {}" x1="{:.1f}" x2="{:.1f}" y1="{:.1f}" y2="{:.1f}"/>').format(
                known, _x(interval[0]), _x(interval[1]), y, y
            )
        )
    skill = score["skill"]
    if LEAST <= skill <= MOST:
        parts.append(Markup('<circle class="{}" cx="{:.1f}" cy="{:.1f}" r="5"/>').format(known, _x(skill), y))
    else:
        way = -1 if skill < LEAST else 1
        tip = _x(skill)
        points = f"{tip:.1f},{y:.1f} {tip - 9 * way:.1f},{y - 5:.1f} {tip - 9 * way:.1f},{y + 5:.1f}"
        parts.append(Markup('<polygon class="{}" points="{}"/>').format(known, points))
    return Markup("<g><title>{}</title>{}</g>").format(
        f"{printable(name)}: {_text(score)}", Markup("").join(parts)
    )


def _text(score: Mapping[str, Any]) -> str:
    return f"skill {skill_text(score)}, n = {score['n']}"


def _x(skill: float) -> float:
    share = (min(max(skill, LEAST), MOST) - LEAST) / (MOST - LEAST)
    return LABEL + share * (WIDTH - LABEL - 12)
