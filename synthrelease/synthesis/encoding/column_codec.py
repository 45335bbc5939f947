"""What every way of turning a column into numbers and back has in common.

A canonical column holds float64 with NaN for missing, or a pandas categorical. What a codec makes of it is its own:
codes and positions (``number_bins``, ``label_codes``), or columns between 0 and 1 (``unit_scaling``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
import pandas as pd

from synthrelease.core.contracts import BoolArray, FloatArray, IntArray, ModelledSchema, Table
from synthrelease.core.errors import InputError

Values = FloatArray | pd.Categorical
"""Canonical values, (rows,)."""
Code = TypeVar("Code")


class ColumnCodec(Protocol[Code]):
    """One column's values to numbers and back, learned from training rows.

    What comes back may be coarser than what went in; it stays as it is from then on, and missing stays missing.
    """

    def encode(self, values: pd.Series[Any]) -> Code:
        """Return the numbers of a canonical column."""
        ...

    def decode(self, code: Code) -> Values:
        """Return the canonical values of such numbers."""
        ...


@dataclass(frozen=True, slots=True)
class Coded:
    """A column as codes (int64, (rows,)) and places within them (float64 in [0, 1], (rows,))."""

    codes: IntArray
    positions: FloatArray


def numbers_of(values: pd.Series[Any]) -> FloatArray:
    """Return a canonical column of numbers, (rows,), NaN where missing."""
    return values.to_numpy(dtype=np.float64)


def places_of(values: pd.Series[Any]) -> IntArray:
    """Return where a canonical column's labels stand among its categories, (rows,), -1 where missing."""
    return np.asarray(values.cat.codes.to_numpy().astype(np.int64))


def labels_at(places: IntArray, categories: Sequence[str], *, ordered: bool) -> pd.Categorical:
    """Return a canonical column of labels from their places among the categories, -1 for missing."""
    dtype = pd.CategoricalDtype(list(categories), ordered=ordered)
    return pd.Categorical.from_codes(places, dtype=dtype)


def fields_from(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a dataclass from what ``dataclasses.asdict`` and JSON made of them: lists are tuples."""
    return {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}


def check_any_rows(train: Table[ModelledSchema]) -> None:
    """Refuse a table without rows, with an InputError."""
    if not len(train):
        raise InputError("A generator needs training rows, however the table has none. Check the split.")


def check_finite(name: str, values: FloatArray) -> None:
    """Refuse a column with infinite numbers, with an InputError; NaN stands for missing."""
    infinite = int(np.isinf(values).sum())
    if infinite:
        raise InputError(
            f"{name} must hold finite numbers, however {infinite} rows are infinite. "
            "Declare the mark that stands for them as missing in the schema."
        )


def check_emitted(name: str, emitted: BoolArray) -> None:
    """Refuse, with a ValueError, codes of which some must not be sampled; ``emitted``: which of them may, (rows,)."""
    if not emitted.all():
        raise ValueError(f"{name} was sampled with a code that too few training rows hold")


def unseen(name: str, rows: int, what: str) -> InputError:
    """Say that rows hold something that no training row has; ``what``: in words."""
    return InputError(
        f"{name} may hold only what training rows hold, however {rows} rows have {what} that none of them has. "
        "Fit the encoder on rows that have them."
    )


def once_a_patient(values: IntArray, units: IntArray | None) -> IntArray:
    """Return the rows in which a patient has a value for the first time; all rows where each is a patient."""
    if units is None:
        return np.arange(len(values))
    return np.sort(np.unique(np.column_stack([values, units]), axis=0, return_index=True)[1])


def label_counts(places: IntArray, categories: int, units: IntArray | None) -> IntArray:
    """Return how many patients have each label, (categories,); ``places`` (rows,) are -1 where missing."""
    held = places[once_a_patient(places, units)]
    return np.bincount(held[held >= 0], minlength=categories)


def extremes(values: FloatArray, units: IntArray | None) -> tuple[FloatArray, FloatArray]:
    """Return the lowest value of each patient and the highest one, (patients,) each, both in rising order."""
    lowest, highest = values, values
    if units is not None:
        patients, patient = np.unique(units, return_inverse=True)
        lowest, highest = np.full(len(patients), np.inf), np.full(len(patients), -np.inf)
        np.minimum.at(lowest, patient, values)
        np.maximum.at(highest, patient, values)
    return np.sort(lowest), np.sort(highest)


def mean_of(values: FloatArray) -> float:
    """Return the mean of one value or more; divided before they are added, so that huge ones do not overflow."""
    return float((values / len(values)).sum())
