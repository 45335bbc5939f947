"""Inline SVG from aggregates: a figure of the contracts becomes one drawing and one table with the same numbers.

Nothing here is fetched, scripted or styled from outside, and every text is escaped, so that a drawing can stand in any
page. Sizes are in units of the view box; the page decides how wide a drawing is shown.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from synthrelease.core.contracts import Figure, Line
from synthrelease.core.formatting import MASKED, number, shorten
from synthrelease.report.figures import grids, svg
from synthrelease.report.figures.svg import AXIS, COLOURS, DASHES, GRID, INK, LETTER, MUTED, WIDTH, Point, Scale

MAX_POINTS, MAX_ROWS, MAX_TABLE = 400, 60, 40


@dataclass(frozen=True, slots=True)
class FigureTable:
    """The numbers behind a drawing as text: one header cell for each cell of a row; ``note`` says what was left out."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str


def draw(figure: Figure) -> Markup:
    """Return the figure as one ``<svg>``, or as a sentence where it has nothing to draw.

    Points that are not finite (or not positive on a logarithmic axis) are left out and leave a gap.
    """
    if figure.kind == "curve":
        curves = [_curve_points(line, figure) for line in figure.lines]
        if any(point for curve in curves for point in curve):
            return _draw_curves(figure, curves)
    elif figure.kind == "grid":
        if grids.holds_numbers(figure):
            return grids.draw(figure)
    else:
        labels = _labels(figure.lines)
        series = [_labelled_points(line) for line in figure.lines]
        if any(series) and figure.kind == "histogram":
            return _draw_histogram(figure, labels, series)
        if any(series):
            upright = figure.kind == "bars" and _fits_upright(labels, len(series))
            return _draw_upright(figure, labels, series) if upright else _draw_rows(figure, labels, series)
    return Markup('<p class="empty">{}</p>').format(f"Nothing to draw: “{shorten(figure.title, 80)}” holds no numbers.")


def table(figure: Figure) -> FigureTable:
    """Return the numbers behind the figure, as text: one column a line where all share their x, else one row a point.

    Long curves are thinned to evenly spaced points, the first and the last among them. A grid has a row for each of
    its own.
    """
    if figure.kind == "grid":
        return FigureTable(*grids.table(figure))
    lines = figure.lines
    shared = bool(lines) and all(line.x == lines[0].x for line in lines)
    left_out = False
    rows: list[tuple[str, ...]] = []
    for group in (lines,) if shared else tuple((line,) for line in lines):
        longest = len(group[0].x)
        picked = _thinned(longest, MAX_TABLE if figure.kind == "curve" else longest)
        left_out |= len(picked) < longest
        for index in picked:
            x = group[0].x[index]
            start = [x if isinstance(x, str) else number(x, 4)]
            rows.append(tuple((start if shared else [group[0].label, *start]) + [_cell(line, index) for line in group]))
    x_label = figure.x_label or "Label"
    header = [x_label, *(line.label for line in lines)] if shared else ["Series", x_label, figure.y_label or "Value"]
    note = f"Evenly spaced points, at most {MAX_TABLE} a curve." if left_out else ""
    return FigureTable(tuple(header), tuple(rows), note)


def gauge(value: float, low: float, high: float, *, limit: float, allowed_below: bool) -> Markup:
    """Return a range drawn against a limit, small enough for a table cell.

    The side that is not allowed is shaded and always lies on the right.

    It repeats numbers that stand beside it and is hidden from screen readers. Empty where an end is not finite.
    """
    if not all(math.isfinite(number) for number in (value, low, high, limit)):
        return Markup("")
    if not allowed_below:
        value, low, high, limit = -value, -high, -low, -limit
    ends = (min(value, low, limit), max(value, high, limit))
    air = 0.14 * (ends[1] - ends[0]) or 1.0
    x = Scale(ends[0] - air, ends[1] + air, 1.0, 119.0)
    shade = {"x": x(limit), "y": 1.0, "width": x.end - x(limit), "height": 16.0, "fill": "var(--beyond, #efdbd8)"}
    parts = (
        svg.stroke(((x.start, 9), (x.end, 9)), GRID),
        svg.element("rect", shade),
        svg.stroke(((x(limit), 0), (x(limit), 18)), "var(--limit, #8f2b27)", width=1.5),
        svg.stroke(((x(low), 9), (x(high), 9)), INK, width=2.0),
        svg.element("circle", {"cx": x(value), "cy": 9.0, "r": 3.6, "fill": INK}),
    )
    attributes = {"class": "gauge", "viewBox": "0 0 120 18", "aria-hidden": "true", "focusable": "false"}
    return svg.element("svg", attributes, *parts)


def span_picture(value: float, low: float, high: float, *, reference: float | None) -> Markup:
    """Return a range beside its reference (a ring), small enough for a table cell; hidden from screen readers too.

    Empty where an end is not finite, there is no reference, or all are one number.
    """
    if reference is None or not all(map(math.isfinite, (value, low, high, reference))):
        return Markup("")
    ends = (min(value, low, reference), max(value, high, reference))
    if ends[0] == ends[1]:
        return Markup("")
    air = 0.14 * (ends[1] - ends[0])
    x = Scale(ends[0] - air, ends[1] + air, 1.0, 119.0)
    ring = {"cx": x(reference), "cy": 9.0, "r": 5.0, "fill": "none", "stroke": COLOURS[1], "stroke-width": 1.8}
    parts = (
        svg.stroke(((x.start, 9), (x.end, 9)), GRID),
        svg.stroke(((x(low), 9), (x(high), 9)), INK, width=2.0),
        svg.element("circle", {"cx": x(value), "cy": 9.0, "r": 3.2, "fill": INK}),
        svg.element("circle", ring),
    )
    attributes = {"class": "gauge", "viewBox": "0 0 120 18", "aria-hidden": "true", "focusable": "false"}
    return svg.element("svg", attributes, *parts)


# Reading lines.


def _cell(line: Line, index: int) -> str:
    value = _at(line.y, index)
    if math.isnan(value) and index < len(line.people) and line.people[index] > 0:
        return MASKED
    low, high = _at(line.low, index), _at(line.high, index)
    interval = "" if math.isnan(low) or math.isnan(high) else f" ({number(low)} to {number(high)})"
    return number(value) + interval


def _at(values: Sequence[float], index: int) -> float:
    return float(values[index]) if index < len(values) else math.nan


def _thinned(count: int, limit: int) -> list[int]:
    if count <= limit:
        return list(range(count))
    return sorted({round(index * (count - 1) / (limit - 1)) for index in range(limit)})


def _curve_points(line: Line, figure: Figure) -> list[list[Point]]:
    """Cut a line into stretches of finite points, so that a missing point leaves a gap."""
    stretches: list[list[Point]] = [[]]
    for index in _thinned(len(line.x), MAX_POINTS):
        x, y = line.x[index], _at(line.y, index)
        usable = not isinstance(x, str) and math.isfinite(x) and math.isfinite(y)
        if usable and (float(x) > 0 or not figure.log_x) and (y > 0 or not figure.log_y):
            stretches[-1].append(Point(float(x), y, _at(line.low, index), _at(line.high, index)))
        elif stretches[-1]:
            stretches.append([])
    return [stretch for stretch in stretches if stretch]


def _labelled_points(line: Line) -> dict[str, Point]:
    points = {}
    for index, x in enumerate(line.x):
        y = _at(line.y, index)
        if math.isfinite(y):
            points[_label(x)] = Point(0.0, y, _at(line.low, index), _at(line.high, index))
    return points


def _label(x: float | str) -> str:
    return x if isinstance(x, str) else number(x, 4)


def _labels(lines: Iterable[Line]) -> list[str]:
    return list(dict.fromkeys(_label(x) for line in lines for x in line.x))


def _fits_upright(labels: Sequence[str], series: int) -> bool:
    longest = max(len(label) for label in labels)
    return len(labels) * max(longest * LETTER + 6, 10 * series + 6) <= WIDTH - 80


# Drawings.


def _line_swatch(index: int, x: float, y: float) -> Markup:
    return svg.stroke(((x, y), (x + 28, y)), COLOURS[index % 5], width=2.2, dash=DASHES[index % 4])


def _draw_curves(figure: Figure, curves: Sequence[Sequence[Sequence[Point]]]) -> Markup:
    points = [point for curve in curves for stretch in curve for point in stretch]
    x_values = [point.x for point in points]
    y_low, y_high = svg.span([value for p in points for value in (p.y, p.low, p.high)], zero=figure.diagonal)
    if figure.log_y:
        y_low, y_high = _log_span([value for p in points for value in (p.y, *((p.x,) if figure.diagonal else ()))])
    legend, top = svg.legend(figure, swatch=_line_swatch)
    top += 24
    bottom = top + 240
    if figure.log_x:
        x_low, x_high = _log_span(x_values)
    else:
        x_low, x_high = svg.span(x_values, zero=figure.diagonal)
        tight = not figure.diagonal and max(x_values) > min(x_values)
        x_low, x_high = (min(x_values), max(x_values)) if tight else (x_low, x_high)
    x = Scale(x_low, x_high, 64, WIDTH - 18, figure.log_x)
    y = Scale(y_low, y_high, bottom, top, figure.log_y)
    parts = [legend, svg.value_grid(y, figure.y_label, across=(64, WIDTH - 18))]
    parts.append(svg.x_axis(x, figure.x_label, y=bottom))
    if figure.diagonal:
        parts.append(_diagonal(x, y))
    for index, curve in enumerate(curves):
        parts += [_band(stretch, x, y, index) for stretch in curve]
    for index, curve in enumerate(curves):
        parts += [_stretch(stretch, x, y, index) for stretch in curve]
    return svg.drawing(figure, bottom + 46, *parts)


def _log_span(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    return low, high if high > low else 10 * low


def _diagonal(x: Scale, y: Scale) -> Markup:
    """Return the line where both values are equal; on a logarithmic axis it is a bow."""
    low, high = max(x.low, y.low), min(x.high, y.high)
    if low >= high:
        return Markup("")
    steps = range(61)
    if x.log:
        values = [10 ** (math.log10(x.low) + step / 60 * math.log10(high / x.low)) for step in steps]
    else:
        values = [low + step / 60 * (high - low) for step in steps]
    return svg.stroke(
        [(x(value), y(value)) for value in values if y.low <= value <= y.high], MUTED, width=1.4, dash="4 4"
    )


def _band(stretch: Sequence[Point], x: Scale, y: Scale, index: int) -> Markup:
    known = [point for point in stretch if math.isfinite(point.low) and math.isfinite(point.high)]
    if len(known) < 2:
        return Markup("")
    least = y.low if y.log else -math.inf  # nothing lies below the end of a logarithmic axis
    edge = [(x(p.x), y(max(p.high, least))) for p in known] + [(x(p.x), y(max(p.low, least))) for p in reversed(known)]
    corners = " ".join(f"{a:.1f},{b:.1f}" for a, b in edge)
    return svg.element("polygon", {"points": corners, "fill": COLOURS[index % 5], "fill-opacity": "0.13"})


def _stretch(stretch: Sequence[Point], x: Scale, y: Scale, index: int) -> Markup:
    if len(stretch) == 1:
        return svg.mark(index, x(stretch[0].x), y(stretch[0].y))
    path = [(x(point.x), y(point.y)) for point in stretch]
    return svg.stroke(path, COLOURS[index % 5], width=2.2, dash=DASHES[index % 4])


def _series_values(series: Sequence[Mapping[str, Point]]) -> list[float]:
    return [value for points in series for p in points.values() for value in (p.y, p.low, p.high)]


def _bar_swatch(index: int, x: float, y: float) -> Markup:
    return svg.bar(index, x + 6, y - 6, width=20, height=11)


def _dot_swatch(index: int, x: float, y: float) -> Markup:
    return svg.stroke(((x + 2, y), (x + 28, y)), COLOURS[index % 5], width=1.6) + svg.mark(index, x + 15, y)


def _draw_upright(figure: Figure, labels: Sequence[str], series: Sequence[Mapping[str, Point]]) -> Markup:
    legend, top = svg.legend(figure, swatch=_bar_swatch)
    top += 24
    low, high = svg.span(_series_values(series), zero=True)
    y = Scale(low, high, top + 220, top)
    left, right = 64.0, WIDTH - 10
    slot = (right - left) / len(labels)
    width = min(34.0, slot * 0.76 / len(series))
    parts = [
        legend,
        svg.value_grid(y, figure.y_label, across=(left, right)),
        svg.stroke(((left, y(0)), (right, y(0))), AXIS),
    ]
    for place, label in enumerate(labels):
        centre = left + (place + 0.5) * slot
        for index, points in enumerate(series):
            if (point := points.get(label)) is None:
                continue
            x = centre + (index - len(series) / 2) * width
            parts.append(svg.bar(index, x, min(y(0), y(point.y)), width=width - 2, height=abs(y(0) - y(point.y))))
            middle = x + width / 2 - 1
            parts.append(svg.whisker(point, lambda value, middle=middle: (middle, y(value)), INK))  # type: ignore[misc]
        parts.append(svg.text(centre, y.start + 19, label, letters=max(2, int(slot / LETTER)), anchor="middle"))
    parts.append(svg.text(right, y.start + 39, figure.x_label, letters=70, anchor="end"))
    return svg.drawing(figure, y.start + 46, *parts)


def _draw_histogram(figure: Figure, labels: Sequence[str], series: Sequence[Mapping[str, Point]]) -> Markup:
    """Draw the first series as bars side by side and the others as outlines over them; a masked range stays empty."""
    legend, top = svg.legend(figure, swatch=_histogram_swatch)
    top += 24
    low, high = svg.span(_series_values(series), zero=True)
    y = Scale(low, high, top + 150, top)
    left, right = 64.0, WIDTH - 10
    slot = (right - left) / len(labels)
    parts = [
        legend,
        svg.value_grid(y, figure.y_label, across=(left, right)),
        svg.stroke(((left, y(0)), (right, y(0))), AXIS),
    ]
    for place, label in enumerate(labels):
        if (point := series[0].get(label)) is not None:
            parts.append(_pale(left + place * slot + 1, y(point.y), width=slot - 2, height=y(0) - y(point.y)))
    for index, points in enumerate(series[1:], start=1):
        path = [
            (left + (place + side) * slot, y(points[label].y if label in points else 0.0))
            for place, label in enumerate(labels)
            for side in (0, 1)
        ]
        parts.append(svg.stroke(path, COLOURS[index % 5], width=2.2, dash=DASHES[(index - 1) % 4]))
    every = math.ceil(max(len(shorten(label, 18)) for label in labels) * LETTER / slot + 0.2)
    for place, label in list(enumerate(labels))[::every]:
        at, anchor = left + (place + 0.5) * slot, "middle"
        if place == 0 or place == len(labels) - 1:
            at, anchor = (left, "start") if place == 0 else (right, "end")
        parts.append(svg.text(at, y.start + 19, label, letters=18, anchor=anchor))
    parts.append(svg.text(right, y.start + 39, figure.x_label, letters=70, anchor="end"))
    return svg.drawing(figure, y.start + (46 if figure.x_label else 28), *parts)


def _pale(x: float, y: float, *, width: float, height: float) -> Markup:
    box = {"x": x, "y": y, "width": width, "height": max(height, 0.0), "fill": COLOURS[0]}
    return svg.element("rect", {**box, "fill-opacity": "0.4", "stroke": COLOURS[0], "stroke-width": 1.0})


def _histogram_swatch(index: int, x: float, y: float) -> Markup:
    if index == 0:
        return _pale(x + 6, y - 6, width=20, height=11)
    return svg.stroke(((x, y), (x + 28, y)), COLOURS[index % 5], width=2.2, dash=DASHES[(index - 1) % 4])


def _draw_rows(figure: Figure, labels: Sequence[str], series: Sequence[Mapping[str, Point]]) -> Markup:
    """Draw bars or dots lying down, one row a label, the first on top."""
    shown = list(labels)[:MAX_ROWS]
    is_bars = figure.kind == "bars"
    legend, top = svg.legend(figure, swatch=_bar_swatch if is_bars else _dot_swatch)
    letters = min(32, max(len(shorten(label, 32)) for label in shown))
    left = 20 + LETTER * letters
    low, high = svg.span(
        _series_values([{k: p for k, p in points.items() if k in shown} for points in series]), zero=is_bars
    )
    x = Scale(low, high, left, WIDTH - 18)
    pitch = 11.0 if is_bars else 13.0
    row = pitch * len(series) + 12
    top += 24 if figure.x_label else 8
    bottom = top + row * len(shown)
    parts = [legend, svg.x_axis(x, figure.y_label, y=bottom, grid_top=top)]
    if low < 0 < high:
        parts.append(svg.stroke(((x(0), top), (x(0), bottom)), MUTED, width=1.4))
    if figure.x_label:
        parts.append(svg.text(8, top - 10, figure.x_label, letters=70))
    for place, label in enumerate(shown):
        middle = top + (place + 0.5) * row
        parts.append(svg.text(left - 10, middle + 4, label, letters=32, anchor="end", colour=INK))
        for index, points in enumerate(series):
            if (point := points.get(label)) is not None:
                y = middle + (index - (len(series) - 1) / 2) * pitch
                parts.append(_lying(index, point, x, y, is_bar=is_bars))
    height = bottom + 46
    if len(shown) < len(labels):
        height += 20
        parts.append(
            svg.text(8, height - 8, f"The first {len(shown)} of {len(labels)}; the table holds all.", letters=90)
        )
    return svg.drawing(figure, height, *parts)


def _lying(index: int, point: Point, x: Scale, y: float, *, is_bar: bool) -> Markup:
    colour = COLOURS[index % len(COLOURS)]
    if is_bar:
        zero, end = x(0), x(point.y)
        bar = svg.bar(index, min(zero, end), y - 4.5, width=abs(end - zero), height=9)
        return bar + svg.whisker(point, lambda value: (x(value), y), INK)
    return svg.whisker(point, lambda value: (x(value), y), colour) + svg.mark(index, x(point.y), y)
