"""Grids of squares: a value for each pair of a column and a row as an area, so that colour never tells alone."""

from __future__ import annotations

import math
from collections.abc import Sequence

from markupsafe import Markup

from synthrelease.core.contracts import Figure, Line
from synthrelease.core.formatting import MASKED, number, shorten
from synthrelease.report.figures import svg
from synthrelease.report.figures.svg import COLOURS, GRID, INK, LETTER, MUTED, WIDTH

TALLEST = 400.0
LETTERS = 20
SLOPE = 0.72


def holds_numbers(figure: Figure) -> bool:
    """Whether there is anything to draw."""
    return any(math.isfinite(value) for line in figure.lines for value in line.y)


def draw(figure: Figure) -> Markup:
    """Draw every value as a square in the middle of its cell: the first series full, the others as outlines.

    The largest value fills its cell; areas are proportional to values. A masked cell holds a small cross, a cell
    without a value nothing. Labels that are plain numbers only count the cells and are not written.
    """
    columns, rows = _labels(figure)
    is_named = not all(label.isdigit() for label in (*columns, *rows))
    legend, top = svg.legend(figure, swatch=_swatch)
    left = 16.0 + LETTER * _longest(rows) if is_named else 30.0
    side = min((WIDTH - left - 40) / len(columns), TALLEST / len(rows))
    largest = max(abs(value) for line in figure.lines for value in line.y if math.isfinite(value))
    parts = [legend, _net(left, top, side, (len(columns), len(rows)))]
    for index, line in enumerate(figure.lines):
        for at, value in enumerate(line.y):
            middle = (
                left + (columns.index(str(line.x[at])) + 0.5) * side,
                top + (rows.index(line.row[at]) + 0.5) * side,
            )
            if _is_masked(line, at):
                parts.append(_cross(middle))
            elif math.isfinite(value) and value > 0:
                parts.append(_square(index, middle, 0.94 * side * math.sqrt(value / (largest or 1.0))))
    bottom = top + side * len(rows)
    depth = 8.0
    if is_named:
        parts += [_beside(left, top + (at + 0.5) * side, row) for at, row in enumerate(rows)]
        parts += [_below(left + (at + 0.5) * side, bottom, column) for at, column in enumerate(columns)]
        depth = LETTER * SLOPE * _longest(columns) + 14
    else:
        parts.append(_upright(14, (top + bottom) / 2, figure.y_label))
        parts.append(svg.text(left, bottom + 16, figure.x_label, letters=70))
        depth = 22.0
    parts.append(svg.text(8, bottom + depth + 14, f"A square that fills its cell is {number(largest)}.", letters=84))
    return svg.drawing(figure, bottom + depth + 22, *parts)


def table(figure: Figure) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...], str]:
    """The numbers of the grid as header, rows and a note; the series of a cell stand one behind the other."""
    columns, rows = _labels(figure)
    values: dict[tuple[str, str], list[str]] = {}
    for line in figure.lines:
        for at, value in enumerate(line.y):
            text = MASKED if _is_masked(line, at) else number(value)
            values.setdefault((str(line.x[at]), line.row[at]), []).append(text)
    body = tuple((row, *(" / ".join(values.get((column, row), ["none"])) for column in columns)) for row in rows)
    note = f"In each cell: {' / '.join(line.label for line in figure.lines)}" if len(figure.lines) > 1 else ""
    return ("Row", *columns), body, note


def _labels(figure: Figure) -> tuple[list[str], list[str]]:
    columns = dict.fromkeys(str(x) for line in figure.lines for x in line.x)
    rows = dict.fromkeys(row for line in figure.lines for row in line.row)
    return list(columns), list(rows)


def _longest(labels: Sequence[str]) -> int:
    return max(len(shorten(label, LETTERS)) for label in labels)


def _is_masked(line: Line, at: int) -> bool:
    return math.isnan(line.y[at]) and at < len(line.people) and line.people[at] > 0


def _net(left: float, top: float, side: float, size: tuple[int, int]) -> Markup:
    right, bottom = left + side * size[0], top + side * size[1]
    upright = [svg.stroke(((left + at * side, top), (left + at * side, bottom)), GRID) for at in range(size[0] + 1)]
    across = [svg.stroke(((left, top + at * side), (right, top + at * side)), GRID) for at in range(size[1] + 1)]
    return Markup("").join([*upright, *across])


def _square(index: int, middle: tuple[float, float], side: float) -> Markup:
    box = {"x": middle[0] - side / 2, "y": middle[1] - side / 2, "width": side, "height": side}
    colour = COLOURS[index % len(COLOURS)]
    look = {"fill": colour, "fill-opacity": "0.5"} if index == 0 else {"fill": "none"}
    return svg.element("rect", {**box, **look, "stroke": colour, "stroke-width": 1.0 if index == 0 else 1.8})


def _cross(middle: tuple[float, float]) -> Markup:
    x, y = middle
    lines = (((x - 2.5, y - 2.5), (x + 2.5, y + 2.5)), ((x - 2.5, y + 2.5), (x + 2.5, y - 2.5)))
    return Markup("").join(svg.stroke(line, MUTED) for line in lines)


def _swatch(index: int, x: float, y: float) -> Markup:
    return _square(index, (x + 16, y), 12)


def _beside(left: float, y: float, label: str) -> Markup:
    return svg.text(left - 8, y + 4, label, letters=LETTERS, anchor="end", colour=INK)


def _below(x: float, bottom: float, label: str) -> Markup:
    words = svg.text(x + 3, bottom + 12, label, letters=LETTERS, anchor="end", colour=INK)
    return svg.element("g", {"transform": f"rotate(-45 {x + 3:.1f} {bottom + 12:.1f})"}, words)


def _upright(x: float, y: float, label: str) -> Markup:
    words = svg.text(x, y, label, letters=50, anchor="middle")
    return svg.element("g", {"transform": f"rotate(-90 {x:.1f} {y:.1f})"}, words)
