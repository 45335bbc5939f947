"""A drawing of quality against seconds: every system a mark with its name beside it, one generator's efforts a line."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from synthrelease.core.contracts import Figure, Line
from synthrelease.report.figures import charts, svg

LEFT, RIGHT, TOP, BOTTOM = 64.0, svg.WIDTH - 18, 34.0, 300.0
LABEL_HEIGHT, LETTER = 14.0, 7.6


@dataclass(frozen=True, slots=True)
class Mark:
    """A system: ``kind`` chooses its mark (0: ours, 1: a peer, 3: a peer whose tables rang an alarm)."""

    name: str
    x: float
    y: float
    kind: int


def figure_of(marks: Sequence[Mark], *, name: str, title: str, caption: str, y_label: str) -> Figure:
    """Return the numbers of the drawing as a figure of the contracts."""
    lines = tuple(Line(mark.name, (mark.x,), (mark.y,)) for mark in marks)
    x_label = "Seconds of one core to fit (each step is ten times as long)"
    return Figure(name, "curve", title, caption, x_label, y_label, lines, log_x=True)


def draw(figure: Figure, marks: Sequence[Mark], joined: Sequence[str]) -> Markup:
    """Draw the marks and a line through those that are ``joined``; a sentence where there are none."""
    shown = [mark for mark in marks if mark.x > 0 and math.isfinite(mark.x) and math.isfinite(mark.y)]
    if not shown:
        return charts.draw(figure)
    seconds = [mark.x for mark in shown]
    x = svg.Scale(min(seconds) / 1.5, max(seconds) * 1.5, LEFT, RIGHT, log=True)
    low, high = svg.span([mark.y for mark in shown], zero=False)
    y = svg.Scale(low - 0.08 * (high - low), high, BOTTOM, TOP)  # names need room below
    parts = [svg.value_grid(y, figure.y_label, across=(LEFT, RIGHT)), svg.x_axis(x, figure.x_label, y=BOTTOM)]
    path = sorted((mark.x, mark.y) for mark in shown if mark.name in joined)
    if len(path) > 1:
        parts.append(svg.stroke([(x(a), y(b)) for a, b in path], svg.COLOURS[0], width=2.2))
    parts += [svg.mark(mark.kind, x(mark.x), y(mark.y)) for mark in shown]
    parts += _labels([(mark, x(mark.x), y(mark.y)) for mark in shown])
    return svg.drawing(figure, BOTTOM + 46, *parts)


def _labels(placed: Sequence[tuple[Mark, float, float]]) -> list[Markup]:
    """Write each name beside its mark, moved up or down where another name or mark is in the way."""
    taken = [(x - 6, x + 6, y) for _, x, y in placed]
    parts = []
    for at, (mark, x, y) in sorted(enumerate(placed), key=lambda each: each[1][2]):
        width = LETTER * len(mark.name)
        others = [box for index, box in enumerate(taken) if index != at]
        start, height = min(
            ((x + 9 if side else x - 9 - width, y + shift) for shift in _shifts() for side in (True, False)),
            key=lambda spot: _cost(spot, width, others, y),
        )
        taken.append((start, start + width, height))
        colour = svg.INK if mark.kind == 0 else svg.MUTED
        place, anchor = (start, "start") if start > x else (start + width, "end")
        parts.append(svg.text(place, height + 4, mark.name, letters=40, anchor=anchor, colour=colour))
    return parts


def _shifts() -> list[float]:
    return [LABEL_HEIGHT / 2 * step for step in (0, -1, 1, -2, 2, -3, 3, -4, 4, -6, 6)]


def _cost(spot: tuple[float, float], width: float, taken: Sequence[tuple[float, float, float]], home: float) -> float:
    start, height = spot
    clashes = sum(a < start + width and start < b and abs(h - height) < LABEL_HEIGHT for a, b, h in taken)
    outside = start < LEFT or start + width > svg.WIDTH - 4 or not TOP - 6 <= height <= BOTTOM - 6
    return 1_000 * outside + 100 * clashes + abs(height - home)
