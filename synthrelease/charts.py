"""Inline SVG from aggregates: a figure of the contracts becomes one drawing and one table with the same numbers.

Nothing here is fetched, scripted or styled from outside, and every text is escaped, so that a drawing can stand in any
page. Sizes are in units of the view box; the page decides how wide a drawing is shown.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from .contracts import Figure, Line
from .wording import clean, number, shorten

WIDTH = 560.0
INK, MUTED, GRID, AXIS = "#1c2630", "#55616d", "#e4e8eb", "#8b96a0"
COLOURS = ("#1d5c86", "#b4530f", "#2b7350", "#77479b", "#69727b")
DASHES = ("", "7 4", "2 3", "10 3 2 3")
FONT, LETTER = 12.5, 6.6  # size, and a generous guess at the width of one letter
MAX_POINTS, MAX_ROWS, MAX_TABLE = 400, 60, 40
_DIAGONAL = "Diagonal: both axes equal"


@dataclass(frozen=True, slots=True)
class FigureTable:
    """The numbers behind a drawing as text: one header cell for each cell of a row; ``note`` says what was left out."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str


@dataclass(frozen=True, slots=True)
class _Scale:
    """A map from data (``low`` to ``high``) to view-box units (``start`` to ``end``)."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        low, high = self.low, self.high
        if self.log:
            low, high, value = math.log10(low), math.log10(high), math.log10(value)
        return self.start + (value - low) / (high - low) * (self.end - self.start)


@dataclass(frozen=True, slots=True)
class _Point:
    """One finite point of a line; ``low`` and ``high`` are its whisker, NaN where there is none."""

    x: float
    y: float
    low: float = math.nan
    high: float = math.nan


def draw(figure: Figure) -> Markup:
    """Return the figure as one ``<svg>``, or as a sentence where it has nothing to draw.

    Points that are not finite (or not positive on a logarithmic axis) are left out and leave a gap.
    """
    if figure.kind == "curve":
        curves = [_curve_points(line, log_x=figure.log_x) for line in figure.lines]
        if any(point for curve in curves for point in curve):
            return _draw_curves(figure, curves)
    else:
        labels = _labels(figure.lines)
        series = [_labelled_points(line) for line in figure.lines]
        if any(series):
            upright = figure.kind == "bars" and _fits_upright(labels, len(series))
            return _draw_upright(figure, labels, series) if upright else _draw_rows(figure, labels, series)
    return Markup('<p class="empty">{}</p>').format(f"Nothing to draw: “{shorten(figure.title, 80)}” holds no numbers.")


def table(figure: Figure) -> FigureTable:
    """Return the numbers behind the figure, as text: one column a line where all share their x, else one row a point.

    Long curves are thinned to evenly spaced points, the first and the last among them.
    """
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
    """Return a range drawn against a limit, small enough for a table cell; the side that is not allowed is shaded.

    It repeats numbers that stand beside it and is hidden from screen readers. Empty where an end is not finite.
    """
    if not all(math.isfinite(number) for number in (value, low, high, limit)):
        return Markup("")
    ends = (min(value, low, limit), max(value, high, limit))
    air = 0.14 * (ends[1] - ends[0]) or 1.0
    x = _Scale(ends[0] - air, ends[1] + air, 1.0, 119.0)
    start, end = (x(limit), x.end) if allowed_below else (x.start, x(limit))
    shade = {"x": start, "y": 1.0, "width": end - start, "height": 16.0, "fill": "#efdbd8"}
    parts = (
        _stroke(((x.start, 9), (x.end, 9)), GRID),
        _element("rect", shade),
        _stroke(((x(limit), 0), (x(limit), 18)), "#8f2b27", width=1.5),
        _stroke(((x(low), 9), (x(high), 9)), INK, width=2.0),
        _element("circle", {"cx": x(value), "cy": 9.0, "r": 3.6, "fill": INK}),
    )
    attributes = {"class": "gauge", "viewBox": "0 0 120 18", "aria-hidden": "true", "focusable": "false"}
    return _element("svg", attributes, *parts)


# Reading lines.


def _cell(line: Line, index: int) -> str:
    value = _at(line.y, index)
    low, high = _at(line.low, index), _at(line.high, index)
    interval = "" if math.isnan(low) or math.isnan(high) else f" ({number(low)} to {number(high)})"
    return number(value) + interval


def _at(values: Sequence[float], index: int) -> float:
    return float(values[index]) if index < len(values) else math.nan


def _thinned(count: int, limit: int) -> list[int]:
    if count <= limit:
        return list(range(count))
    return sorted({round(index * (count - 1) / (limit - 1)) for index in range(limit)})


def _curve_points(line: Line, *, log_x: bool) -> list[list[_Point]]:
    """Cut a line into stretches of finite points, so that a missing point leaves a gap."""
    stretches: list[list[_Point]] = [[]]
    for index in _thinned(len(line.x), MAX_POINTS):
        x, y = line.x[index], _at(line.y, index)
        usable = not isinstance(x, str) and math.isfinite(x) and math.isfinite(y) and (x > 0 or not log_x)
        if usable:
            stretches[-1].append(_Point(float(x), y, _at(line.low, index), _at(line.high, index)))
        elif stretches[-1]:
            stretches.append([])
    return [stretch for stretch in stretches if stretch]


def _labelled_points(line: Line) -> dict[str, _Point]:
    points = {}
    for index, x in enumerate(line.x):
        y = _at(line.y, index)
        if math.isfinite(y):
            points[_label(x)] = _Point(0.0, y, _at(line.low, index), _at(line.high, index))
    return points


def _label(x: float | str) -> str:
    return x if isinstance(x, str) else number(x, 4)


def _labels(lines: Iterable[Line]) -> list[str]:
    return list(dict.fromkeys(_label(x) for line in lines for x in line.x))


def _fits_upright(labels: Sequence[str], series: int) -> bool:
    longest = max(len(label) for label in labels)
    return len(labels) * max(longest * LETTER + 6, 10 * series + 6) <= WIDTH - 80


# Axes.


def _span(values: Iterable[float], *, zero: bool) -> tuple[float, float]:
    """Return the range an axis shows: 0 to 1 for shares that fill it, else the data with a little air around."""
    finite = [value for value in values if math.isfinite(value)]
    low, high = min(finite), max(finite)
    if low >= 0 and high <= 1 and high - min(low, 0 if zero else low) > 0.5:
        return 0.0, 1.0
    low, high = (min(low, 0.0), max(high, 0.0)) if zero else (low, high)
    if low == high == 0:
        return 0.0, 1.0
    air = 0.05 * (high - low) if high - low > 1e-12 * max(abs(low), abs(high)) else abs(high)
    return (low if zero and low == 0 else low - air), (high if zero and high == 0 else high + air)


def _ticks(low: float, high: float, *, count: int = 5) -> list[float]:
    """Return round numbers (1, 2, 2.5 or 5 times a power of ten apart) inside the range."""
    raw = (high - low) / count
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= raw * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [float(f"{index * step:.12g}") for index in range(first, last + 1)]


def _log_ticks(low: float, high: float) -> list[float]:
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    factors = (1, 2, 5) if len(decades) <= 3 else (1,)
    every = max(1, len(decades) // 6)
    ticks = [factor * 10.0**decade for decade in list(decades)[::every] for factor in factors]
    return [tick for tick in ticks if low * 0.999 <= tick <= high * 1.001]


def _tick_text(value: float) -> str:
    text = number(value, 3)
    return text.rstrip("0").rstrip(".") if "." in text and "\N{MULTIPLICATION SIGN}" not in text else text


# Pieces of SVG.


def _element(name: str, attributes: Mapping[str, object], *children: Markup) -> Markup:
    inside = Markup("").join(
        Markup(' {}="{}"').format(key, f"{value:.1f}" if isinstance(value, float) else value)
        for key, value in attributes.items()
    )
    return Markup("<{}{}>{}</{}>").format(name, inside, Markup("").join(children), name)


def _text(x: float, y: float, words: str, *, letters: int, anchor: str = "start", colour: str = MUTED) -> Markup:
    """Return a label cut to ``letters``; the whole text is then its tooltip."""
    short = shorten(words, letters)
    whole = " ".join(clean(words).split())
    children = (
        [Markup.escape(short)]
        if short == whole
        else [_element("title", {}, Markup.escape(whole)), Markup.escape(short)]
    )
    return _element("text", {"x": x, "y": y, "text-anchor": anchor, "fill": colour}, *children)


def _stroke(points: Iterable[tuple[float, float]], colour: str, *, width: float = 1.0, dash: str = "") -> Markup:
    path = "M" + " L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    attributes = {"d": path, "fill": "none", "stroke": colour, "stroke-width": width, "stroke-linejoin": "round"}
    return _element("path", attributes | ({"stroke-dasharray": dash} if dash else {}))


def _mark(index: int, x: float, y: float, *, size: float = 4.5) -> Markup:
    """Return the marker of a series: disc, square, diamond, ring, so that colour never tells alone."""
    colour = COLOURS[index % len(COLOURS)]
    shape = index % 4
    if shape in (0, 3):
        fill = colour if shape == 0 else "#fff"
        return _element("circle", {"cx": x, "cy": y, "r": size, "fill": fill, "stroke": colour, "stroke-width": 1.5})
    turn = {"transform": f"rotate(45 {x:.1f} {y:.1f})"} if shape == 2 else {}
    side = 1.75 * size
    box = {"x": x - side / 2, "y": y - side / 2, "width": side, "height": side, "fill": colour}
    return _element("rect", box | turn)


def _bar(index: int, x: float, y: float, *, width: float, height: float) -> Markup:
    """Return a bar: full, hollow or pale by turns, so that colour never tells alone."""
    colour = COLOURS[index % len(COLOURS)]
    opacity = (1.0, 0.08, 0.45)[index % 3]
    box = {"x": x, "y": y, "width": max(width, 0.0), "height": max(height, 0.0), "fill": colour}
    return _element("rect", box | {"fill-opacity": f"{opacity:g}", "stroke": colour, "stroke-width": 1.2})


def _whisker(point: _Point, place: Callable[[float], tuple[float, float]], colour: str) -> Markup:
    if not (math.isfinite(point.low) and math.isfinite(point.high)):
        return Markup("")
    return _stroke((place(point.low), place(point.high)), colour, width=1.6)


def _legend(figure: Figure, *, swatch: Callable[[int, float, float], Markup]) -> tuple[Markup, float]:
    """Return the legend (one entry a line, wrapped) and its height; a single line needs none."""
    names = [shorten(line.label, 44) for line in figure.lines]
    whole = [line.label for line in figure.lines]
    if len(names) < 2 and not figure.diagonal:
        return Markup(""), 0.0
    if figure.diagonal:
        names, whole = [*names, _DIAGONAL], [*whole, _DIAGONAL]
    parts, x, y = [], 8.0, 14.0
    for index, name in enumerate(names):
        needed = 38 + LETTER * len(name) + 18
        if x > 8 and x + needed > WIDTH:
            x, y = 8.0, y + 20
        is_diagonal = index == len(figure.lines)
        parts.append(
            _stroke(((x, y - 4), (x + 28, y - 4)), MUTED, width=1.4, dash="4 4")
            if is_diagonal
            else swatch(index, x, y - 4)
        )
        parts.append(_text(x + 36, y, whole[index], letters=44, colour=INK))
        x += needed
    return Markup("").join(parts), y + 12


def _svg(figure: Figure, height: float, *parts: Markup) -> Markup:
    title = _element("title", {}, Markup.escape(clean(figure.title)))
    description = _element("desc", {}, Markup.escape(clean(figure.caption)))
    attributes = {"class": "chart", "role": "img", "viewBox": f"0 0 {WIDTH:.0f} {height:.0f}", "font-size": FONT}
    attributes |= {"xmlns": "http://www.w3.org/2000/svg", "font-family": "system-ui, sans-serif"}
    return _element("svg", attributes, title, description, *parts)


# Drawings.


def _line_swatch(index: int, x: float, y: float) -> Markup:
    return _stroke(((x, y), (x + 28, y)), COLOURS[index % 5], width=2.2, dash=DASHES[index % 4])


def _draw_curves(figure: Figure, curves: Sequence[Sequence[Sequence[_Point]]]) -> Markup:
    points = [point for curve in curves for stretch in curve for point in stretch]
    x_values = [point.x for point in points]
    y_low, y_high = _span([value for p in points for value in (p.y, p.low, p.high)], zero=figure.diagonal)
    legend, top = _legend(figure, swatch=_line_swatch)
    top += 24
    bottom = top + 240
    if figure.log_x:
        x_low, x_high = min(x_values), max(x_values)
        x_high = x_high if x_high > x_low else 10 * x_low
    else:
        x_low, x_high = _span(x_values, zero=figure.diagonal)
        tight = not figure.diagonal and max(x_values) > min(x_values)
        x_low, x_high = (min(x_values), max(x_values)) if tight else (x_low, x_high)
    x = _Scale(x_low, x_high, 64, WIDTH - 18, figure.log_x)
    y = _Scale(y_low, y_high, bottom, top)
    parts = [legend, _value_grid(y, figure.y_label, across=(64, WIDTH - 18))]
    parts.append(_x_axis(x, figure.x_label, y=bottom))
    if figure.diagonal:
        parts.append(_diagonal(x, y))
    for index, curve in enumerate(curves):
        parts += [_band(stretch, x, y, index) for stretch in curve]
    for index, curve in enumerate(curves):
        parts += [_stretch(stretch, x, y, index) for stretch in curve]
    return _svg(figure, bottom + 46, *parts)


def _value_grid(y: _Scale, label: str, *, across: tuple[float, float]) -> Markup:
    parts = [_text(8, y.end - 12, label, letters=70)]
    for tick in _ticks(y.low, y.high):
        parts.append(_stroke(((across[0], y(tick)), (across[1], y(tick))), GRID))
        parts.append(_text(across[0] - 8, y(tick) + 4, _tick_text(tick), letters=12, anchor="end"))
    return Markup("").join(parts)


def _x_axis(x: _Scale, label: str, *, y: float, grid_top: float | None = None) -> Markup:
    parts = [_stroke(((x.start, y), (x.end, y)), AXIS)]
    for tick in _log_ticks(x.low, x.high) if x.log else _ticks(x.low, x.high):
        place = x(tick)
        parts.append(_stroke(((place, y), (place, y + 5)), AXIS))
        if grid_top is not None:
            parts.append(_stroke(((place, grid_top), (place, y)), GRID))
        anchor = "end" if place > WIDTH - 30 else "middle"
        parts.append(_text(place, y + 19, _tick_text(tick), letters=12, anchor=anchor))
    parts.append(_text(x.end, y + 39, label, letters=70, anchor="end"))
    return Markup("").join(parts)


def _diagonal(x: _Scale, y: _Scale) -> Markup:
    """Return the line where both values are equal; on a logarithmic axis it is a bow."""
    low, high = max(x.low, y.low), min(x.high, y.high)
    if low >= high:
        return Markup("")
    steps = range(61)
    if x.log:
        values = [10 ** (math.log10(x.low) + step / 60 * math.log10(high / x.low)) for step in steps]
    else:
        values = [low + step / 60 * (high - low) for step in steps]
    return _stroke([(x(value), y(value)) for value in values if y.low <= value <= y.high], MUTED, width=1.4, dash="4 4")


def _band(stretch: Sequence[_Point], x: _Scale, y: _Scale, index: int) -> Markup:
    known = [point for point in stretch if math.isfinite(point.low) and math.isfinite(point.high)]
    if len(known) < 2:
        return Markup("")
    edge = [(x(p.x), y(p.high)) for p in known] + [(x(p.x), y(p.low)) for p in reversed(known)]
    corners = " ".join(f"{a:.1f},{b:.1f}" for a, b in edge)
    return _element("polygon", {"points": corners, "fill": COLOURS[index % 5], "fill-opacity": "0.13"})


def _stretch(stretch: Sequence[_Point], x: _Scale, y: _Scale, index: int) -> Markup:
    if len(stretch) == 1:
        return _mark(index, x(stretch[0].x), y(stretch[0].y))
    path = [(x(point.x), y(point.y)) for point in stretch]
    return _stroke(path, COLOURS[index % 5], width=2.2, dash=DASHES[index % 4])


def _series_values(series: Sequence[Mapping[str, _Point]]) -> list[float]:
    return [value for points in series for p in points.values() for value in (p.y, p.low, p.high)]


def _bar_swatch(index: int, x: float, y: float) -> Markup:
    return _bar(index, x + 6, y - 6, width=20, height=11)


def _dot_swatch(index: int, x: float, y: float) -> Markup:
    return _stroke(((x + 2, y), (x + 28, y)), COLOURS[index % 5], width=1.6) + _mark(index, x + 15, y)


def _draw_upright(figure: Figure, labels: Sequence[str], series: Sequence[Mapping[str, _Point]]) -> Markup:
    legend, top = _legend(figure, swatch=_bar_swatch)
    top += 24
    low, high = _span(_series_values(series), zero=True)
    y = _Scale(low, high, top + 220, top)
    left, right = 64.0, WIDTH - 10
    slot = (right - left) / len(labels)
    width = min(34.0, slot * 0.76 / len(series))
    parts = [legend, _value_grid(y, figure.y_label, across=(left, right)), _stroke(((left, y(0)), (right, y(0))), AXIS)]
    for place, label in enumerate(labels):
        centre = left + (place + 0.5) * slot
        for index, points in enumerate(series):
            if (point := points.get(label)) is None:
                continue
            x = centre + (index - len(series) / 2) * width
            parts.append(_bar(index, x, min(y(0), y(point.y)), width=width - 2, height=abs(y(0) - y(point.y))))
            middle = x + width / 2 - 1
            parts.append(_whisker(point, lambda value, middle=middle: (middle, y(value)), INK))  # type: ignore[misc]
        parts.append(_text(centre, y.start + 19, label, letters=max(2, int(slot / LETTER)), anchor="middle"))
    parts.append(_text(right, y.start + 39, figure.x_label, letters=70, anchor="end"))
    return _svg(figure, y.start + 46, *parts)


def _draw_rows(figure: Figure, labels: Sequence[str], series: Sequence[Mapping[str, _Point]]) -> Markup:
    """Draw bars or dots lying down, one row a label, the first on top."""
    shown = list(labels)[:MAX_ROWS]
    is_bars = figure.kind == "bars"
    legend, top = _legend(figure, swatch=_bar_swatch if is_bars else _dot_swatch)
    letters = min(32, max(len(shorten(label, 32)) for label in shown))
    left = 20 + LETTER * letters
    low, high = _span(
        _series_values([{k: p for k, p in points.items() if k in shown} for points in series]), zero=is_bars
    )
    x = _Scale(low, high, left, WIDTH - 18)
    pitch = 11.0 if is_bars else 13.0
    row = pitch * len(series) + 12
    top += 24 if figure.x_label else 8
    bottom = top + row * len(shown)
    parts = [legend, _x_axis(x, figure.y_label, y=bottom, grid_top=top)]
    if figure.x_label:
        parts.append(_text(8, top - 10, figure.x_label, letters=70))
    for place, label in enumerate(shown):
        middle = top + (place + 0.5) * row
        parts.append(_text(left - 10, middle + 4, label, letters=32, anchor="end", colour=INK))
        for index, points in enumerate(series):
            if (point := points.get(label)) is not None:
                y = middle + (index - (len(series) - 1) / 2) * pitch
                parts.append(_lying(index, point, x, y, is_bar=is_bars))
    height = bottom + 46
    if len(shown) < len(labels):
        height += 20
        parts.append(_text(8, height - 8, f"The first {len(shown)} of {len(labels)}; the table holds all.", letters=90))
    return _svg(figure, height, *parts)


def _lying(index: int, point: _Point, x: _Scale, y: float, *, is_bar: bool) -> Markup:
    colour = COLOURS[index % len(COLOURS)]
    if is_bar:
        zero, end = x(0), x(point.y)
        bar = _bar(index, min(zero, end), y - 4.5, width=abs(end - zero), height=9)
        return bar + _whisker(point, lambda value: (x(value), y), INK)
    return _whisker(point, lambda value: (x(value), y), colour) + _mark(index, x(point.y), y)
