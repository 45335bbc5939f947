"""How training went, as the report draws it: losses that live on one scale share a drawing."""

from __future__ import annotations

from collections.abc import Sequence

from synthrelease.core.contracts import Figure, Fitted, Line, TrainingStep

ALIKE = 20.0
"""Losses whose sizes lie further apart than this would press each other flat in one drawing."""


def figures(fitted: Fitted) -> tuple[Figure, ...]:
    """The losses over the updates: one drawing a scale, the largest first; none where nothing was reported."""
    lines = _lines(fitted.history)
    groups: list[list[Line]] = []
    for line in sorted(lines, key=_size, reverse=True):
        if groups and _size(groups[-1][0]) <= ALIKE * _size(line):
            groups[-1].append(line)
        else:
            groups.append([line])
    return tuple(_figure(place, group, alone=len(groups) == 1) for place, group in enumerate(groups))


def _lines(steps: Sequence[TrainingStep]) -> list[Line]:
    names = sorted({name for step in steps for name in step.losses})
    return [
        Line(
            name,
            tuple(float(step.step) for step in steps if name in step.losses),
            tuple(float(step.losses[name]) for step in steps if name in step.losses),
        )
        for name in names
    ]


def _size(line: Line) -> float:
    return max((abs(value) for value in line.y), default=0.0)


def _figure(place: int, lines: Sequence[Line], *, alone: bool) -> Figure:
    which = "" if alone else f": {', '.join(line.label for line in lines)}"
    return Figure(
        name=f"training_{place}",
        kind="curve",
        title=f"Training losses{which}",
        caption="Losses that settle show that training came to rest; they say nothing about privacy or quality. What "
        "training had to mend, and whether it began again, is told under Notices, if anything.",
        x_label="update",
        y_label="loss",
        lines=tuple(lines),
    )
