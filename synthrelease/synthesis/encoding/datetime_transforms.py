"""Columns as declared <-> columns as modelled: a date as the interval to its anchor, a datetime as day and time of day.

A discharge date modelled by itself rarely agrees with its admission; the days between the two do. The way back is exact
for every value on the grid of microseconds (see ``schema.datetimes``). A transform holds names only, nothing of the
rows.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from synthrelease.core.contracts import (
    Column,
    Fitted,
    FloatArray,
    LearnedSchema,
    ModelledSchema,
    PrivacySpend,
    Table,
    TrainingStep,
)
from synthrelease.schema import datetimes

FILE = "transforms.json"


@dataclass(frozen=True, slots=True)
class Part:
    """How one declared column is modelled: under its own name, and beside it in a column called ``other``.

    "interval": its own column holds the days since ``anchor``; ``other`` holds the date itself where the anchor is
    missing, and is "" where no training row needs it. "day": its own column holds the whole day, ``other`` the share of
    the day that has passed.
    """

    name: str
    way: str
    other: str = ""
    anchor: str = ""


@dataclass(frozen=True, slots=True)
class Transform:
    """Everything that changes between a schema and what a generator sees; ``parts`` come after their anchors."""

    schema: LearnedSchema
    modelled: ModelledSchema
    parts: tuple[Part, ...]

    def apply(self, table: Table) -> Table[ModelledSchema]:
        """Return the rows as a generator sees them."""
        columns = dict(table.frame.items())
        for part in self.parts:
            values = _values(table.frame, part.name)
            if part.way == "interval":
                since = _values(table.frame, part.anchor)
                columns[part.name] = pd.Series(datetimes.added(values, -since))
                other = np.where(np.isnan(since), values, np.nan)
            else:
                columns[part.name] = pd.Series(np.floor(values))
                other = values - np.floor(values)
            if part.other:
                columns[part.other] = pd.Series(other)
        names = [column.name for column in self.modelled.learned]
        return table.by(self.modelled, pd.DataFrame({name: columns[name] for name in names}))

    def undo(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return modelled rows as declared; dates that an interval carries out of their bounds stay on them."""
        columns = dict(frame.items())
        for part in self.parts:
            own = _values(columns, part.name)
            other = _values(columns, part.other) if part.other else np.full(len(frame), np.nan)
            if part.way == "interval":
                since = _values(columns, part.anchor)
                values = np.where(np.isnan(since), other, datetimes.added(since, own))
            else:
                values = datetimes.added(own, other)
            low, high = self.schema.column(part.name).bounds or (-np.inf, np.inf)
            columns[part.name] = pd.Series(np.clip(values, low, high))
        return pd.DataFrame({column.name: columns[column.name] for column in self.schema.learned})

    def declared(self, table: Table[ModelledSchema]) -> Table:
        """Return rows that a generator saw as the schema declares them."""
        return table.by(self.schema, self.undo(table.frame))

    def save(self, folder: Path) -> None:
        """Write ``datetime_transforms.json`` where anything is modelled otherwise than declared."""
        if self.parts:
            parts = [asdict(part) for part in self.parts]
            (folder / FILE).write_text(json.dumps({"parts": parts}, indent=2) + "\n", encoding="utf-8")

    def wrap(self, fitted: Fitted, finish: Callable[[pd.DataFrame], pd.DataFrame] | None = None) -> Fitted:
        """Return a generator of declared rows from one of modelled rows; ``finish`` has the last word on each frame."""
        if not self.parts and finish is None:
            return fitted
        return _Declared(self, fitted, finish or (lambda frame: frame))


def _values(columns: Mapping[Any, Any] | pd.DataFrame, name: str) -> FloatArray:
    return np.asarray(columns[name], dtype=np.float64)


def fit(train: Table) -> Transform:
    """Find what to model otherwise: anchored dates, and datetimes with a time of day; the target stays as it is.

    Of the training rows it takes in only which anchors are missing where their date is not, and whether a datetime ever
    has a time.
    """
    return _found(train.schema, train.frame)


def public(schema: LearnedSchema) -> Transform:
    """Model otherwise whatever might need it, by the schema alone, and give each part bounds that follow from it."""
    return _found(schema, None)


def _found(schema: LearnedSchema, frame: pd.DataFrame | None) -> Transform:
    """``frame`` None: no row is looked at, and every part that some table might need is there."""
    taken = {column.name for column in schema.columns}
    parts = []
    for column in _anchors_first(schema.learned):
        is_dated = frame is not None and column.kind in ("date", "datetime")
        values = _values(frame, column.name) if frame is not None and is_dated else np.empty(0)
        if column.anchor is not None:
            has_gaps = frame is None or bool((np.isnan(_values(frame, column.anchor)) & ~np.isnan(values)).any())
            other = _fresh(f"{column.name} without {column.anchor}", taken) if has_gaps else ""
            parts.append(Part(column.name, "interval", other, column.anchor))
        elif column.kind == "datetime" and column.name != schema.target:
            finite = values[np.isfinite(values)]
            if frame is None or (finite != np.floor(finite)).any():
                parts.append(Part(column.name, "day", _fresh(f"{column.name} time of day", taken)))
    modelled = _modelled(schema, parts)
    return Transform(schema, modelled if frame is not None else _bounded(schema, modelled, parts), tuple(parts))


def _bounded(schema: LearnedSchema, modelled: ModelledSchema, parts: Sequence[Part]) -> ModelledSchema:
    """Give parts the bounds that follow from those of their columns, where these declare any."""
    bounds: dict[str, tuple[float, float]] = {}
    for part in parts:
        own = schema.column(part.name).bounds
        since = schema.column(part.anchor).bounds if part.anchor else None
        if own is None or (part.anchor and since is None):
            continue
        if since is not None:
            bounds[part.name] = (own[0] - since[1], own[1] - since[0])
            bounds[part.other] = own
        else:
            bounds[part.name], bounds[part.other] = (float(np.floor(own[0])), float(np.floor(own[1]))), (0.0, 1.0)
    columns = tuple(replace(each, bounds=bounds.get(each.name, each.bounds)) for each in modelled.columns)
    return replace(modelled, columns=columns)


def load(folder: Path, schema: LearnedSchema) -> Transform:
    """Read what ``Transform.save`` wrote; a transform that changes nothing where it wrote nothing."""
    if not (folder / FILE).is_file():
        return Transform(schema, _modelled(schema, ()), ())
    facts = json.loads((folder / FILE).read_text(encoding="utf-8"))
    parts = tuple(Part(**part) for part in facts["parts"])
    return Transform(schema, _modelled(schema, parts), parts)


def _anchors_first(columns: Sequence[Column]) -> list[Column]:
    """Order columns so that each comes after the one it is anchored to; the schema holds no circle."""
    by_name = {column.name: column for column in columns}

    def depth(column: Column) -> int:
        anchor = by_name.get(column.anchor or "")
        return 0 if anchor is None else 1 + depth(anchor)

    return sorted(columns, key=depth)


def _fresh(name: str, taken: set[str]) -> str:
    while name in taken:
        name += "'"
    taken.add(name)
    return name


def _modelled(schema: LearnedSchema, parts: Sequence[Part]) -> ModelledSchema:
    """The schema that a generator sees: parts are plain numbers, each in its column's place."""
    changed = {part.name: part for part in parts}
    columns = []
    for column in schema.columns:
        part = changed.get(column.name)
        if part is None:
            columns.append(column)
            continue
        is_whole = part.way == "day" or {column.kind, schema.column(part.anchor).kind} == {"date"}
        plain = Column(column.name, kind="integer" if is_whole else "numeric", role=column.role)
        columns.append(plain)
        if part.other:
            columns.append(replace(plain, name=part.other, kind="numeric"))
    return ModelledSchema.of(schema, tuple(columns))


@dataclass(frozen=True, slots=True)
class _Declared:
    """A trained generator whose rows are turned back into the columns that the steward declared."""

    transform: Transform
    fitted: Fitted
    finish: Callable[[pd.DataFrame], pd.DataFrame]

    @property
    def history(self) -> tuple[TrainingStep, ...]:
        return self.fitted.history

    @property
    def description(self) -> Mapping[str, Any]:
        intervals = {part.name: part.anchor for part in self.transform.parts if part.way == "interval"}
        return {**self.fitted.description, **({"anchors": intervals} if intervals else {})}

    @property
    def notices(self) -> tuple[str, ...]:
        return self.fitted.notices

    @property
    def spends(self) -> tuple[PrivacySpend, ...]:
        return self.fitted.spends

    def sample(self, rows: int, *, seed: int, chunk_rows: int = 65_536) -> Iterator[pd.DataFrame]:
        for frame in self.fitted.sample(rows, seed=seed, chunk_rows=chunk_rows):
            yield self.finish(self.transform.undo(frame) if self.transform.parts else frame)

    def save(self, folder: Path) -> None:
        self.fitted.save(folder)
        self.transform.save(folder)
