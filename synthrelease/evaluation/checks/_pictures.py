"""Pictures of real against synthetic rows: a column at a time, and all columns at once. Aggregates only.

Every point says how many people stand behind it; the report masks what is too few by its policy. Ends of ranges are
round numbers and the outermost ranges are open, so that no value of one patient is shown.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from synthrelease.core.contracts import Column, Evidence, Figure, FloatArray, IntArray, Line, Table
from synthrelease.evaluation.statistics.confidence_intervals import draw
from synthrelease.evaluation.statistics.gower_embedding import Points, Space
from synthrelease.schema.datetimes import written

RANGES = 12
TAIL = 0.02
FEWEST_IN_TAIL = 15
MOST_LABELS = 12
MOST_CELLS, FEWEST_CELLS = 12, 4
ROWS_A_CELL = 12
MOST_POINTS = 20_000
_DAYS = (1 / 24, 1.0, 7.0, 30.4375, 91.3125, 365.25, 3_652.5)
_REAL, _MADE, _MISSING = "real rows (training and holdout)", "synthetic rows", "missing"


def column_figure(evidence: Evidence, column: Column, note: str) -> Figure:
    """A histogram of a column of numbers, bars of a column of labels; shares in percent, ``note`` below the title."""
    sides = ((evidence.train, evidence.holdout), (evidence.synthetic,))
    if column.is_number:
        places, labels = _ranges(sides, column)
    else:
        places, labels = _levels(sides, column)
    lines = tuple(
        _line(label, tables, np.concatenate(codes), labels)
        for label, tables, codes in zip((_REAL, _MADE), sides, places, strict=True)
    )
    return Figure(
        name=f"column_{column.name}",
        kind="histogram" if column.is_number else "bars",
        title=column.name,
        caption=note,
        x_label="",
        y_label="share of rows, %",
        lines=lines,
    )


def _line(label: str, tables: Sequence[Table], codes: IntArray, labels: Sequence[str]) -> Line:
    """Shares of the rows that fall in each place, and the patients behind them."""
    rows = np.bincount(codes, minlength=len(labels))
    people = _patients(tables, codes, len(labels))
    return Line(label, tuple(labels), tuple(float(100 * share) for share in rows / len(codes)), people=people)


def _patients(tables: Sequence[Table], codes: IntArray, places: int) -> tuple[int, ...]:
    """Different patients in each place; every row is one where the schema names no unit."""
    if any(table.units is None for table in tables):
        return tuple(int(count) for count in np.bincount(codes, minlength=places))
    units = np.concatenate([np.asarray(table.units) for table in tables])
    once = pd.DataFrame({"code": codes, "unit": units}).drop_duplicates()["code"].to_numpy()
    return tuple(int(count) for count in np.bincount(once, minlength=places))


def _ranges(sides: tuple[tuple[Table, ...], ...], column: Column) -> tuple[list[list[IntArray]], list[str]]:
    values = [[table.frame[column.name].to_numpy(np.float64) for table in tables] for tables in sides]
    edges = _edges(np.concatenate(values[0]), column)
    labels = _range_labels(edges, column)
    codes = [
        [np.where(np.isnan(v), len(labels), np.searchsorted(edges, v, side="right")).astype(np.int64) for v in part]
        for part in values
    ]
    if any((code == len(labels)).any() for part in codes for code in part):
        labels.append(_MISSING)
    return codes, labels


def _edges(values: FloatArray, column: Column) -> FloatArray:
    """Round numbers, evenly spaced between two outer parts that hold some people each."""
    values = values[~np.isnan(values)]
    if len(values) == 0:
        return np.zeros(1)
    tail = min(0.25, max(TAIL, FEWEST_IN_TAIL / len(values)))
    low, high = np.quantile(values, [tail, 1 - tail])
    if low == high:  # a spike: the ranges are those of what lies beside it
        beside = values[values != low]
        low, high = np.quantile(beside, [tail, 1 - tail]) if len(beside) else (low, low + 1.0)
    if not high > low:
        return np.array([low])
    step = _step((high - low) / (RANGES - 2), column)
    edges: FloatArray = step * np.arange(math.ceil(low / step), math.floor(high / step) + 1)
    return edges if len(edges) else np.array([step * round(low / step)])


def _step(raw: float, column: Column) -> float:
    """The next round number: days, weeks and years for dates, else 1, 2, 2.5 or 5 times a power of ten."""
    if column.is_moment:
        least = 1.0 if column.kind == "date" else 0.0
        return next((days for days in _DAYS if days >= max(raw, least)), _DAYS[-1] * math.ceil(raw / _DAYS[-1]))
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= raw * 0.999)
    return max(1.0, round(step)) if column.kind == "integer" else step


def _range_labels(edges: FloatArray, column: Column) -> list[str]:
    step = float(edges[1] - edges[0]) if len(edges) > 1 else 1.0
    digits = 0 if column.kind == "integer" else max(0, 1 - math.floor(math.log10(step)))
    said = [written(float(edge), column.kind) if column.is_moment else _short(edge, digits) for edge in edges]
    between = [f"{low} to {high}" for low, high in pairwise(said)]
    return [f"below {said[0]}", *between, f"{said[-1]} or more"]


def _short(value: float, digits: int) -> str:
    text = f"{value:z,.{digits}f}"
    return (text.rstrip("0").rstrip(".") if "." in text else text).replace("-", "\N{MINUS SIGN}")


def _levels(sides: tuple[tuple[Table, ...], ...], column: Column) -> tuple[list[list[IntArray]], list[str]]:
    """The commonest labels of the real rows, in declared order where there is one; all others together."""
    codes = [[table.frame[column.name].cat.codes.to_numpy().astype(np.int64) for table in part] for part in sides]
    real = np.concatenate(codes[0])
    counts = np.bincount(real[real >= 0], minlength=len(column.categories))
    kept = np.argsort(-counts, kind="stable")[:MOST_LABELS]
    kept = np.sort(kept) if column.kind == "ordinal" else kept
    place = np.full(len(column.categories) + 1, len(kept))
    place[kept] = np.arange(len(kept))
    labels = [str(column.categories[at]) for at in kept]
    if len(column.categories) > len(kept):
        labels.append(_unlike(f"{len(column.categories) - len(kept)} other labels", labels))
    if any((code < 0).any() for part in codes for code in part):
        place[-1] = len(labels)  # code -1, missing, indexes the last place
        labels.append(_unlike(_MISSING, labels))
    return [[place[code] for code in part] for part in codes], labels


def _unlike(word: str, labels: Sequence[str]) -> str:
    """The word, in brackets where a label of the table reads the same."""
    while word in labels:
        word = f"({word})"
    return word


def projection(rng: np.random.Generator, evidence: Evidence) -> Figure:
    """Real and synthetic rows in the two directions in which real rows differ most (PCA), counted in a grid."""
    tables = (evidence.train, evidence.holdout, evidence.synthetic)
    space = Space.fit(*tables[:2])
    shown = [table.take(draw(rng, table, MOST_POINTS)) for table in tables]
    points = [space.embed(table.frame) for table in shown]
    middle, axes, kept = _directions(np.concatenate(points[:2]))
    flat = [(each - middle) @ axes for each in points]
    real = np.concatenate(flat[:2])
    size = int(np.clip(round(math.sqrt(len(real) / ROWS_A_CELL)), FEWEST_CELLS, MOST_CELLS))
    edges = [_inner_edges(real[:, side], size) for side in (0, 1)]
    cells = [
        np.searchsorted(edges[0], each[:, 0]) + size * (size - 1 - np.searchsorted(edges[1], each[:, 1]))
        for each in flat
    ]
    return Figure(
        name="projection",
        kind="grid",
        title="All columns at once",
        caption=(
            "Every row is placed along the two directions in which real rows differ most, and counted in a grid; no "
            "square is a patient. Where an outline is larger than its full square, there are too many synthetic rows "
            "of that kind; where it is smaller or missing, too few. A cross stands for a square behind which there are "
            "too few people."
        ),
        x_label=f"first direction ({kept[0]:.0%} of the spread)",
        y_label=f"second direction ({kept[1]:.0%})",
        lines=(
            _grid_line(_REAL, shown[:2], np.concatenate(cells[:2]), size),
            _grid_line(_MADE, shown[2:], cells[2], size),
        ),
    )


def _inner_edges(places: FloatArray, cells: int) -> FloatArray:
    """Where one cell ends and the next begins: evenly spaced, the outer cells open."""
    low, high = (float(np.quantile(places, share)) for share in (0.01, 0.99))
    return np.linspace(low, high, cells + 1)[1:-1]


def _directions(points: Points) -> tuple[Any, Any, tuple[float, float]]:
    """The mean (width,), the two leading directions (width, 2), and the share of the variance along each."""
    middle = points.mean(axis=0)
    values, vectors = np.linalg.eigh(np.cov(points - middle, rowvar=False).reshape(points.shape[1], points.shape[1]))
    values, vectors = values[::-1], vectors[:, ::-1]
    axes = np.zeros((points.shape[1], 2), dtype=np.float32)
    axes[:, : min(2, vectors.shape[1])] = vectors[:, :2]
    total = float(values.sum()) or 1.0
    shares = [*(float(max(value, 0.0)) / total for value in values[:2]), 0.0]
    return middle, axes, (shares[0], shares[1])


def _grid_line(label: str, tables: Sequence[Table], cells: IntArray, size: int) -> Line:
    rows = np.bincount(cells, minlength=size * size)
    at = range(size * size)
    return Line(
        label=label,
        x=tuple(str(place % size + 1) for place in at),
        y=tuple(float(100 * share) for share in rows / len(cells)),
        people=_patients(tables, cells, size * size),
        row=tuple(str(place // size + 1) for place in at),
    )
