"""A table of mixed types <-> codes and positions, and back without loss.

Every column becomes one code a cell. A number's code says which quantile bin it lies in, or which heavy value (an
"atom": the zeros of a zero-inflated column, a popular round number) it is, and its position says where in the bin it
lies. A label's code is its category. Where the training rows have gaps, missing is one code more. So gaps, spikes and
skewed tails need no special case in a generator, and nothing about scale, decimals or ties is lost on the way.

An encoder is fitted on training rows only. It holds bin edges, which are statistics of those rows: it may be saved
inside a run folder, and does not leave it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from synthrelease.core.contracts import FloatArray, IntArray, ModelledSchema, Table
from synthrelease.synthesis.encoding.binning import COARSE, Resolution, grid
from synthrelease.synthesis.encoding.column_codec import Coded, check_any_rows, fields_from
from synthrelease.synthesis.encoding.label_codes import LabelCoding, label_coding
from synthrelease.synthesis.encoding.number_bins import NumberCoding, number_coding


@dataclass(frozen=True, slots=True)
class Encoded:
    """Rows as codes (int64, (rows, columns)) and positions (float64 in [0, 1], (rows, columns)).

    Positions are float64 because float32 holds seven digits, too few to give back every decimal of a laboratory value.
    """

    codes: IntArray
    positions: FloatArray

    def __len__(self) -> int:
        return len(self.codes)

    def column(self, place: int) -> Coded:
        """Return one column."""
        return Coded(self.codes[:, place], self.positions[:, place])


Coding = NumberCoding | LabelCoding


@dataclass(frozen=True, slots=True)
class Encoder:
    """The codings of all learned columns, in the frame's order."""

    codings: tuple[Coding, ...]

    @classmethod
    def fit(cls, train: Table[ModelledSchema], resolution: Resolution = COARSE) -> Encoder:
        """Learn bins, atoms and categories from training rows.

        Bins hold about ``ROWS_PER_BIN`` rows or more; equal values are never torn apart. The inner edges lie half-way
        between two neighbouring values. The target keeps all of its classes, rare or not, since a class that cannot be
        sampled cannot be studied.

        Everything is counted in patients where the table says whose a row is: a value that one patient has in many rows
        is still one patient's.

        Raises:
            InputError: the table has no rows, or an infinite number.
        """
        check_any_rows(train)
        return cls(
            tuple(
                number_coding(column, train, resolution)
                if column.is_number
                else label_coding(column, train, is_target=column.name == train.schema.target)
                for column in train.schema.learned
            )
        )

    @property
    def names(self) -> tuple[str, ...]:
        """Column names in order."""
        return tuple(coding.name for coding in self.codings)

    def encode(self, frame: pd.DataFrame) -> Encoded:
        """Return the rows of a canonical frame as codes and positions; InputError for what no training row has."""
        codes = np.zeros((len(frame), len(self.codings)), dtype=np.int64)
        positions = np.full((len(frame), len(self.codings)), 0.5)
        for place, coding in enumerate(self.codings):
            column = coding.encode(frame[coding.name])
            codes[:, place], positions[:, place] = column.codes, column.positions
        return Encoded(codes, positions)

    def decode(self, encoded: Encoded, *, sampling: bool = False) -> pd.DataFrame:
        """Return a canonical frame; without ``sampling`` training rows come back exactly as they were.

        Exactly means to the last bit for columns whose values have at most 15 digits; others come back to within
        1e-15 of a bin's width. With ``sampling`` no value lies beyond the mean of the ``MIN_COUNT`` most extreme
        training values of its column, hence inside the training range and inside declared bounds.

        Raises:
            ValueError: with ``sampling``, a code that must not be sampled.
        """
        columns = {
            coding.name: coding.decode(encoded.column(place), sampling=sampling)
            for place, coding in enumerate(self.codings)
        }
        return pd.DataFrame(columns, index=pd.RangeIndex(len(encoded)))

    def number(self, place: int, encoded: Encoded) -> FloatArray:
        """Return the values of one number column, (rows,), NaN = missing."""
        return self._number_coding(place).decode(encoded.column(place))

    def cell_widths(self, place: int) -> FloatArray:
        """Return, for each bin of a number column, the stretch of positions that decodes to one value, (bins,)."""
        coding = self._number_coding(place)
        lows, highs = np.asarray(coding.lows), np.asarray(coding.highs)
        if coding.decimals is None:
            return np.zeros(len(lows))
        return np.asarray(1.0 / (grid(highs, coding.decimals) - grid(lows, coding.decimals) + 1.0))

    def _number_coding(self, place: int) -> NumberCoding:
        coding = self.codings[place]
        if not isinstance(coding, NumberCoding):
            raise TypeError(f"{coding.name} holds labels, not numbers")
        return coding

    def to_json(self) -> list[dict[str, Any]]:
        """Return plain JSON values, one object a column."""
        return [{"numbers": isinstance(coding, NumberCoding), **asdict(coding)} for coding in self.codings]

    @classmethod
    def from_json(cls, columns: list[Mapping[str, Any]]) -> Encoder:
        """Build the encoder that ``to_json`` described."""
        return cls(tuple(_coding_from(fields_from(column)) for column in columns))


def _coding_from(fields: dict[str, Any]) -> Coding:
    return NumberCoding(**fields) if fields.pop("numbers") else LabelCoding(**fields)
