"""Label columns whose labels nobody can list beforehand: diagnosis codes, specialties, postcodes.

Their labels are learned from training rows alone. A label that fewer than ``min_cell`` training patients hold is merged
into one that stands for all such labels, and so are the holdout's labels that no training row has: a rare label never
reaches a generator, a model file, a report or a synthetic table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from synthrelease.core.contracts import Column, IntArray, LearnedSchema, OpenedSchema, Schema, Table
from synthrelease.core.errors import InputError
from synthrelease.data.raw_table import RawColumn, TableFile


def is_open(column: Column) -> bool:
    """Whether the column's labels are still to be learned."""
    return column.is_learned and column.learns_levels and not column.categories


def opened(file: TableFile, schema: Schema) -> OpenedSchema:
    """Return the schema with every label of the file in the columns that learn theirs; for use in memory alone."""
    raw = {column.name: column for column in file.columns}

    def open_up(column: Column) -> Column:
        if not is_open(column) or column.name not in raw:
            return column
        return replace(column, categories=_labels(raw[column.name], schema.marks(column)))

    return OpenedSchema.of(schema, tuple(open_up(column) for column in schema.columns))


def _labels(raw: RawColumn, marks: frozenset[str]) -> tuple[str, ...]:
    missing = raw.missing(marks)
    texts = raw.trimmed().to_pylist()
    return tuple(sorted({text for text, out in zip(texts, missing, strict=True) if not out}))


def learned(train: Table[OpenedSchema], *, min_cell: int) -> LearnedSchema:
    """Return the schema with the labels that at least ``min_cell`` training patients hold, and the one for the rest.

    Labels that a steward declared are public and stay as they are.

    Raises:
        InputError: no label of a column is held by enough patients.
    """
    columns = tuple(_learned(column, train, min_cell) for column in train.schema.columns)
    return LearnedSchema.of(train.schema, columns)


def _learned(column: Column, train: Table[OpenedSchema], min_cell: int) -> Column:
    if not (column.is_learned and column.learns_levels):
        return column
    held = _patients_per_label(train, column)
    kept = [label for label, count in zip(column.categories, held.tolist(), strict=True) if count >= min_cell]
    if not kept:
        raise InputError(
            f"A learned label must be held by at least {min_cell} training patients, however none of {column.name!r} "
            "is. Group its labels, or exclude the column."
        )
    rest = [column.other] if column.other and column.other not in kept else []
    return replace(column, categories=(*kept, *rest))


def _patients_per_label(table: Table[OpenedSchema], column: Column) -> IntArray:
    """How many patients hold each category at least once: int64 (categories,)."""
    codes = table.frame[column.name].cat.codes.to_numpy().astype(np.int64)
    units = np.arange(len(table)) if table.units is None else table.units
    pairs = pd.DataFrame({"code": codes, "unit": units})[codes >= 0].drop_duplicates()
    return np.bincount(pairs["code"].to_numpy(), minlength=len(column.categories)).astype(np.int64)


def coded(table: Table[OpenedSchema], schema: LearnedSchema) -> Table:
    """Return the table with its learned columns coded by ``schema``: any label that it lacks becomes the other one.

    Whatever calls itself by the other label's name (or is missing where there is none) stays so.
    """
    frame = table.frame.copy()
    for column in schema.learned:
        if not column.learns_levels:
            continue
        was = table.schema.column(column.name).categories
        places = _places(was, column)
        codes = np.append(places, -1)[frame[column.name].cat.codes.to_numpy()]
        frame[column.name] = pd.Categorical.from_codes(codes, dtype=pd.CategoricalDtype(list(column.categories)))
    return table.by(schema, frame)


def _places(was: Sequence[str], column: Column) -> IntArray:
    """Where each former label stands among the learned ones."""
    place: Mapping[str, int] = {label: at for at, label in enumerate(column.categories)}
    rest = place.get(column.other, -1)
    return np.array([place.get(label, rest) for label in was], dtype=np.int64)


def merged(table: Table[OpenedSchema], schema: LearnedSchema) -> dict[str, int]:
    """How many cells of each column with learned labels stand for a label that ``schema`` has not learned."""
    counts = {}
    for column in schema.learned:
        if column.learns_levels:
            was = table.schema.column(column.name)
            known = np.isin(np.array(was.categories, dtype=object), np.array(column.categories, dtype=object))
            codes = table.frame[column.name].cat.codes.to_numpy()
            counts[column.name] = int((~np.append(known, True)[codes]).sum())
    return counts
