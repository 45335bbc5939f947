"""Small numbers of people are not shown: what a chart keeps back, by the policy's smallest group.

A chart of shares is a table of counts in disguise, so it is treated like one. A point behind which some people stand,
and fewer than the policy allows, is masked; where the masked points of a series together hold too few people as well,
the next smallest is masked with them, or it could be worked out from the rest (secondary suppression, as statistical
offices practise it; Hundepool et al. 2012, Statistical Disclosure Control, section 4.4). Along a curve, points are kept
so far apart that enough people lie between two of them.
"""

from __future__ import annotations

import math
from dataclasses import replace

from synthrelease.core.contracts import Figure, Line


def masked(figure: Figure, smallest: int) -> Figure:
    """Return the figure without points that rest on 1 to ``smallest`` - 1 people, and say in its caption what is gone.

    A masked value is NaN, with its count of people kept, so that a drawing can tell it from a missing one.
    """
    if figure.kind == "curve":
        lines = tuple(_spaced(line, smallest) for line in figure.lines)
        return replace(figure, lines=lines)
    lines = tuple(_suppressed(line, smallest) for line in figure.lines)
    gone = sum(_hidden(line) for line in lines)
    if not gone:
        return replace(figure, lines=lines)
    note = f" {gone} values are masked: fewer than {smallest} people stand behind each, or behind all masked together."
    return replace(figure, lines=lines, caption=figure.caption + note)


def _hidden(line: Line) -> int:
    return sum(math.isnan(value) and count > 0 for value, count in zip(line.y, line.people, strict=False))


def _suppressed(line: Line, smallest: int) -> Line:
    if not line.people:
        return line
    shown = sorted((count, at) for at, count in enumerate(line.people) if count > 0)
    hidden = [at for count, at in shown if count < smallest]
    held = sum(line.people[at] for at in hidden)
    for count, at in shown[len(hidden) :]:
        if held == 0 or held >= smallest:
            break
        hidden.append(at)
        held += count
    return replace(
        line,
        y=_without(line.y, hidden),
        low=_without(line.low, hidden),
        high=_without(line.high, hidden),
    )


def _without(values: tuple[float, ...], hidden: list[int]) -> tuple[float, ...]:
    return tuple(math.nan if at in hidden else value for at, value in enumerate(values))


def _spaced(line: Line, smallest: int) -> Line:
    """Keep the points of a curve between which at least ``smallest`` people lie, and as many beyond each end."""
    if not line.people:
        return line
    kept, last, whole = [], 0, max(line.people)
    for at, count in enumerate(line.people):
        if count - last >= smallest and (count == whole or whole - count >= smallest):
            kept.append(at)
            last = count
    return Line(
        label=line.label,
        x=tuple(line.x[at] for at in kept),
        y=tuple(line.y[at] for at in kept),
        low=tuple(line.low[at] for at in kept if at < len(line.low)),
        high=tuple(line.high[at] for at in kept if at < len(line.high)),
        people=tuple(line.people[at] for at in kept),
    )
