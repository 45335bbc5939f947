"""The typed formats' side of writing a table: the input's types, and arrays of text, numbers and labels in them."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from synthrelease.core.contracts import Column
from synthrelease.data.raw_table import NUMBER, TRUTHS, Codes, Floats
from synthrelease.schema import datetimes

_PANDAS_KEYS = frozenset({"column_indexes", "columns", "creator", "pandas_version"})


def digits(kind: pa.DataType | None) -> int | None:
    """How many decimal digits always fit an integer type; None for every other type."""
    if kind is None or not pa.types.is_integer(kind):
        return None
    return len(str(2 ** (kind.bit_width - (0 if pa.types.is_unsigned_integer(kind) else 1)))) - 1


def is_text(kind: pa.DataType) -> bool:
    """Whether the type holds text, as it is or in a dictionary."""
    held = kind.value_type if pa.types.is_dictionary(kind) else kind
    return str(held) in ("string", "large_string", "string_view")


def holds(kind: pa.DataType, labels: Sequence[str]) -> bool:
    """Whether values of the type can spell every label: no new label such as "90+" fits a column of integers."""
    if pa.types.is_dictionary(kind):
        return holds(kind.value_type, labels)
    if pa.types.is_boolean(kind):
        return all(label.lower() in TRUTHS for label in labels)
    return is_text(kind) or all(re.match(NUMBER, label) for label in labels)


def output_schema(columns: Sequence[tuple[str, pa.DataType]], pandas: bytes) -> pa.Schema:
    """Build the schema of a written file: the input's types, every value nullable.

    Of the input's metadata only what pandas needs to restore its dtypes is kept: other keys may hold facts about the
    real rows. The row labels are dropped.
    """
    metadata = None
    if pandas:
        names = {name for name, _ in columns}
        kept = {key: value for key, value in json.loads(pandas).items() if key in _PANDAS_KEYS}
        kept["columns"] = [entry for entry in kept.get("columns", []) if entry.get("field_name") in names]
        metadata = {"pandas": json.dumps({**kept, "index_columns": []})}
    return pa.schema([pa.field(name, kind) for name, kind in columns], metadata=metadata)


def from_texts(texts: Sequence[str | None], kind: pa.DataType) -> pa.Array:
    """Turn texts (surrogates, placeholders) into an array of the given type; nulls where the type can hold none."""
    if pa.types.is_dictionary(kind):
        return _dictionary(from_texts(texts, kind.value_type), kind)
    if is_text(kind):
        return pa.array(texts, type=kind)
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return pc.cast(pa.array(texts, type=pa.string()), kind, safe=False)
    return pa.nulls(len(texts), kind)


def _dictionary(values: pa.Array, kind: pa.DictionaryType) -> pa.Array:
    encoded = values.dictionary_encode()
    return pa.DictionaryArray.from_arrays(
        encoded.indices.cast(kind.index_type), encoded.dictionary, ordered=kind.ordered
    )


def from_numbers(values: Floats, kind: pa.DataType, *, missing: str) -> pa.Array:
    """Turn float64 values into an array of the given type; NaN becomes the ``missing`` mark, or null if it is empty."""
    if pa.types.is_dictionary(kind):
        return _dictionary(from_numbers(values, kind.value_type, missing=missing), kind)
    texts_needed = is_text(kind) or pa.types.is_decimal(kind)
    if missing and not is_text(kind):
        values = np.where(np.isnan(values), float(missing), values)
    is_missing = np.isnan(values)
    if texts_needed:
        places = f".{kind.scale}f" if pa.types.is_decimal(kind) else ".15g"
        blank = (missing or None) if is_text(kind) else None
        texts = [blank if gone else format(value, places) for value, gone in zip(values, is_missing, strict=True)]
        return pc.cast(pa.array(texts, type=pa.string()), kind)
    if pa.types.is_integer(kind):
        return _integers(values, is_missing, kind)
    return pc.cast(pa.array(values, mask=is_missing), kind, safe=False)


def from_moments(days: Floats, column: Column, kind: pa.DataType, *, missing: str) -> pa.Array:
    """Turn days into an array of the given type: as text or digits where the type holds such, else as its own units."""
    if pa.types.is_dictionary(kind):
        return _dictionary(from_moments(days, column, kind.value_type, missing=missing), kind)
    gone = ~np.isfinite(days)
    if not pa.types.is_temporal(kind):
        blank = missing or None
        return pc.cast(pa.array([text or blank for text in datetimes.spell(days, column)], type=pa.string()), kind)
    days = np.where(gone, 0.0, days)
    ticks = datetimes.ticks_of(days) if pa.types.is_duration(kind) else datetimes.calendar_ticks(days)
    if getattr(kind, "unit", "") == "ns":
        ticks = np.clip(ticks, -(2**63 // 1_000) + 1, 2**63 // 1_000 - 1)
    if pa.types.is_date(kind):
        width = pa.int32() if pa.types.is_date32(kind) else pa.int64()
        per_day = 1 if pa.types.is_date32(kind) else 86_400_000
        counts = ticks // datetimes.MICROSECONDS * per_day
    else:
        width = pa.int32() if pa.types.is_time32(kind) else pa.int64()
        step = {"s": 1_000_000, "ms": 1_000, "us": 1, "ns": 1}[kind.unit]
        counts = (ticks + step // 2) // step * (1_000 if kind.unit == "ns" else 1)
        if pa.types.is_time(kind):
            last = datetimes.MICROSECONDS // step * (1_000 if kind.unit == "ns" else 1) - 1
            counts = np.clip(counts, 0, last)
    return pc.cast(pc.cast(pa.array(counts, mask=gone), width), kind)


def _integers(values: Floats, is_missing: np.ndarray[Any, np.dtype[np.bool_]], kind: pa.DataType) -> pa.Array:
    """Round to whole numbers and keep them inside the type's range."""
    is_unsigned = pa.types.is_unsigned_integer(kind)
    low = 0 if is_unsigned else -(2 ** (kind.bit_width - 1))
    high = min(2**kind.bit_width - 1 if is_unsigned else 2 ** (kind.bit_width - 1) - 1, 2**53)
    whole = np.clip(np.rint(np.where(is_missing, 0.0, values)), max(low, -(2**53)), high).astype(np.int64)
    return pc.cast(pa.array(whole, mask=is_missing), kind)


def from_labels(codes: Codes, labels: Sequence[str | None], kind: pa.DataType) -> pa.Array:
    """Turn label codes into an array of the given type; code -1 picks the last of ``labels`` (None: null)."""
    if pa.types.is_dictionary(kind):
        known = [label for label in labels if label is not None]
        indices = np.where(codes < 0, len(labels) - 1, codes)
        values = _typed(known, kind.value_type)
        places = pa.array(indices, mask=indices >= len(known)).cast(kind.index_type)
        return pa.DictionaryArray.from_arrays(places, values, ordered=kind.ordered)
    positions = np.where(codes < 0, len(labels) - 1, codes)
    return _typed(labels, kind).take(pa.array(positions))


def _typed(labels: Sequence[str | None], kind: pa.DataType) -> pa.Array:
    """Spell a few labels in the given type."""
    if pa.types.is_boolean(kind):
        return pa.array([None if label is None else TRUTHS.get(label.lower()) for label in labels], type=kind)
    texts = pa.array(labels, type=pa.string())
    if pa.types.is_integer(kind) or pa.types.is_decimal(kind):
        return pc.cast(pc.cast(texts, pa.float64()), kind)
    return pc.cast(texts, kind)
