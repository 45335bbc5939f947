"""Pieces of SVG from which charts and grids are put together: scales, axes, marks, bars and labels.

Nothing here is fetched, scripted or styled from outside, and every text is escaped. Colours are the page's own
properties (``--ink``, ``--series-1``), so that a drawing follows its light or dark scheme; where a page has none, the
colour behind the comma is used. Sizes are in units of the view box; the page decides how wide a drawing is shown.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from markupsafe import Markup

from synthrelease.core.contracts import Figure
from synthrelease.core.formatting import clean, number, shorten

DIAGONAL = "Diagonal: both axes equal"
WIDTH = 560.0
INK, MUTED = "var(--ink, #1c2630)", "var(--muted, #55616d)"
GRID, AXIS, PAPER = "var(--grid, #e4e8eb)", "var(--axis, #8b96a0)", "var(--paper, #fff)"
COLOURS = tuple(
    f"var(--series-{place}, {colour})"
    for place, colour in enumerate(("#1d5c86", "#b4530f", "#2b7350", "#77479b", "#69727b"), start=1)
)
DASHES = ("", "7 4", "2 3", "10 3 2 3")
FONT, LETTER = 12.5, 6.6  # size, and a generous guess at the width of one letter


@dataclass(frozen=True, slots=True)
class Scale:
    """A map from data (``low`` to ``high``) to view-box units (``start`` to ``end``)."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        """Where the value lies in the drawing."""
        low, high = self.low, self.high
        if self.log:
            low, high, value = math.log10(low), math.log10(high), math.log10(value)
        return self.start + (value - low) / (high - low) * (self.end - self.start)


@dataclass(frozen=True, slots=True)
class Point:
    """One finite point of a line; ``low`` and ``high`` are its whisker, NaN where there is none."""

    x: float
    y: float
    low: float = math.nan
    high: float = math.nan


def span(values: Iterable[float], *, zero: bool) -> tuple[float, float]:
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


def ticks(low: float, high: float, *, count: int = 5) -> list[float]:
    """Return round numbers (1, 2, 2.5 or 5 times a power of ten apart) inside the range."""
    raw = (high - low) / count
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= raw * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [float(f"{index * step:.12g}") for index in range(first, last + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """Powers of ten inside the range, with 2 and 5 times each where few of them are."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    factors = (1, 2, 5) if len(decades) <= 3 else (1,)
    every = max(1, len(decades) // 6)
    ticks = [factor * 10.0**decade for decade in list(decades)[::every] for factor in factors]
    return [tick for tick in ticks if low * 0.999 <= tick <= high * 1.001]


def tick_text(value: float) -> str:
    """A tick's number without trailing zeros."""
    text = number(value, 3)
    return text.rstrip("0").rstrip(".") if "." in text and "\N{MULTIPLICATION SIGN}" not in text else text


def element(name: str, attributes: Mapping[str, object], *children: Markup) -> Markup:
    """An element with escaped attributes; its children are markup already."""
    inside = Markup("").join(
        Markup(' {}="{}"').format(key, f"{value:.1f}" if isinstance(value, float) else value)
        for key, value in attributes.items()
    )
    return Markup("<{}{}>{}</{}>").format(name, inside, Markup("").join(children), name)


def text(x: float, y: float, words: str, *, letters: int, anchor: str = "start", colour: str = MUTED) -> Markup:
    """Return a label cut to ``letters``; the whole text is then its tooltip."""
    short = shorten(words, letters)
    whole = " ".join(clean(words).split())
    children = (
        [Markup.escape(short)] if short == whole else [element("title", {}, Markup.escape(whole)), Markup.escape(short)]
    )
    return element("text", {"x": x, "y": y, "text-anchor": anchor, "fill": colour}, *children)


def stroke(points: Iterable[tuple[float, float]], colour: str, *, width: float = 1.0, dash: str = "") -> Markup:
    """A line through points."""
    path = "M" + " L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    attributes = {"d": path, "fill": "none", "stroke": colour, "stroke-width": width, "stroke-linejoin": "round"}
    return element("path", attributes | ({"stroke-dasharray": dash} if dash else {}))


def mark(index: int, x: float, y: float, *, size: float = 4.5) -> Markup:
    """Return the marker of a series: disc, square, diamond, ring, so that colour never tells alone."""
    colour = COLOURS[index % len(COLOURS)]
    shape = index % 4
    if shape in (0, 3):
        fill = colour if shape == 0 else PAPER
        return element("circle", {"cx": x, "cy": y, "r": size, "fill": fill, "stroke": colour, "stroke-width": 1.5})
    turn = {"transform": f"rotate(45 {x:.1f} {y:.1f})"} if shape == 2 else {}
    side = 1.75 * size
    box = {"x": x - side / 2, "y": y - side / 2, "width": side, "height": side, "fill": colour}
    return element("rect", box | turn)


def bar(index: int, x: float, y: float, *, width: float, height: float) -> Markup:
    """Return a bar: full, hollow or pale by turns, so that colour never tells alone."""
    colour = COLOURS[index % len(COLOURS)]
    opacity = (1.0, 0.08, 0.45)[index % 3]
    box = {"x": x, "y": y, "width": max(width, 0.0), "height": max(height, 0.0), "fill": colour}
    return element("rect", box | {"fill-opacity": f"{opacity:g}", "stroke": colour, "stroke-width": 1.2})


def whisker(point: Point, place: Callable[[float], tuple[float, float]], colour: str) -> Markup:
    """A point's interval; nothing where it has none."""
    if not (math.isfinite(point.low) and math.isfinite(point.high)):
        return Markup("")
    return stroke((place(point.low), place(point.high)), colour, width=1.6)


def value_grid(y: Scale, label: str, *, across: tuple[float, float]) -> Markup:
    """The upright axis: its label, and a line across with a number at every tick."""
    parts = [text(8, y.end - 12, label, letters=70)]
    for tick in log_ticks(y.low, y.high) if y.log else ticks(y.low, y.high):
        parts.append(stroke(((across[0], y(tick)), (across[1], y(tick))), GRID))
        parts.append(text(across[0] - 8, y(tick) + 4, tick_text(tick), letters=12, anchor="end"))
    return Markup("").join(parts)


def x_axis(x: Scale, label: str, *, y: float, grid_top: float | None = None) -> Markup:
    """The axis below, with lines upwards to ``grid_top`` if one is given."""
    parts = [stroke(((x.start, y), (x.end, y)), AXIS)]
    for tick in log_ticks(x.low, x.high) if x.log else ticks(x.low, x.high):
        place = x(tick)
        parts.append(stroke(((place, y), (place, y + 5)), AXIS))
        if grid_top is not None:
            parts.append(stroke(((place, grid_top), (place, y)), GRID))
        anchor = "end" if place > WIDTH - 30 else "middle"
        parts.append(text(place, y + 19, tick_text(tick), letters=12, anchor=anchor))
    parts.append(text(x.end, y + 39, label, letters=70, anchor="end"))
    return Markup("").join(parts)


def drawing(figure: Figure, height: float, *parts: Markup) -> Markup:
    """The whole drawing, named and described for screen readers by the figure's title and caption."""
    title = element("title", {}, Markup.escape(clean(figure.title)))
    description = element("desc", {}, Markup.escape(clean(figure.caption)))
    attributes = {"class": "chart", "role": "img", "viewBox": f"0 0 {WIDTH:.0f} {height:.0f}", "font-size": FONT}
    attributes |= {"xmlns": "http://www.w3.org/2000/svg", "font-family": "system-ui, sans-serif"}
    return element("svg", attributes, title, description, *parts)


def legend(figure: Figure, *, swatch: Callable[[int, float, float], Markup]) -> tuple[Markup, float]:
    """Return the legend (one entry a line, wrapped) and its height; a single line needs none."""
    names = [shorten(line.label, 44) for line in figure.lines]
    whole = [line.label for line in figure.lines]
    if len(names) < 2 and not figure.diagonal:
        return Markup(""), 0.0
    if figure.diagonal:
        names, whole = [*names, DIAGONAL], [*whole, DIAGONAL]
    parts, x, y = [], 8.0, 14.0
    for index, name in enumerate(names):
        needed = 38 + LETTER * len(name) + 18
        if x > 8 and x + needed > WIDTH:
            x, y = 8.0, y + 20
        is_diagonal = index == len(figure.lines)
        parts.append(
            stroke(((x, y - 4), (x + 28, y - 4)), MUTED, width=1.4, dash="4 4")
            if is_diagonal
            else swatch(index, x, y - 4)
        )
        parts.append(text(x + 36, y, whole[index], letters=44, colour=INK))
        x += needed
    return Markup("").join(parts), y + 12
