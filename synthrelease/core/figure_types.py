"""What a check hands to the report to draw: aggregates, and nothing that belongs to one patient."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Line:
    """One curve, or one series of bars when ``x`` holds labels.

    ``people`` counts the patients (of a synthetic series: the rows) behind each point, so that the report can mask
    those behind which fewer stand than its policy allows; in a curve they count up. Empty where every point rests on
    all rows. ``row``: in a grid, the label of each point's row; ``x`` is that of its column.
    """

    label: str
    x: tuple[float | str, ...]
    y: tuple[float, ...]
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()
    people: tuple[int, ...] = ()
    row: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Figure:
    """Aggregates that the report draws; never a value or a distance that belongs to one patient.

    ``kind``: "curve" (x numeric, one line a series), "bars" (x labels, grouped bars), "histogram" (x ranges of one
    number, in order), "dots" (x labels, a dot with a whisker from low to high), "grid" (squares whose area is the
    value, in columns and rows). ``caption`` is the plain sentence that says what to see in it.
    """

    name: str
    kind: Literal["curve", "bars", "histogram", "dots", "grid"]
    title: str
    caption: str
    x_label: str
    y_label: str
    lines: tuple[Line, ...]
    log_x: bool = False
    diagonal: bool = False
    log_y: bool = False
