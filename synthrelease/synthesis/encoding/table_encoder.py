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
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from synthrelease.core.contracts import BoolArray, Column, FloatArray, IntArray, ModelledSchema, Table
from synthrelease.core.errors import InputError
from synthrelease.synthesis.encoding.binning import (
    COARSE,
    MIN_COUNT,
    ROWS_PER_BIN,
    Resolution,
    atoms_of,
    decimals_of,
    edges,
    grid,
    quantile_groups,
)


@dataclass(frozen=True, slots=True)
class Encoded:
    """Rows as codes (int64, (rows, columns)) and positions (float64 in [0, 1], (rows, columns)).

    Positions are float64 because float32 holds seven digits, too few to give back every decimal of a laboratory value.
    """

    codes: IntArray
    positions: FloatArray

    def __len__(self) -> int:
        return len(self.codes)


@dataclass(frozen=True, slots=True)
class NumberCoding:
    """How one numeric or integer column is coded.

    Codes are, in this order: bins (``lows[b]``..``highs[b]``, both ends included), ``atoms``, and missing if
    ``has_missing``. ``decimals`` is the number of decimal places of the training values, None when they fit no grid.
    ``floor`` and ``ceiling`` are the means of the ``MIN_COUNT`` lowest and highest binned values: a sampled value never
    lies beyond them, because the true extremes are one patient's each. ``thin`` says that fewer than ``MIN_COUNT``
    rows lie in bins at all, so that atoms alone are sampled.
    """

    name: str
    decimals: int | None
    lows: tuple[float, ...]
    highs: tuple[float, ...]
    atoms: tuple[float, ...]
    has_missing: bool
    floor: float = 0.0
    ceiling: float = 0.0
    thin: bool = False

    @property
    def size(self) -> int:
        """How many codes the column has."""
        return len(self.lows) + len(self.atoms) + self.has_missing

    @property
    def emitted(self) -> BoolArray:
        """Which codes a generator may sample, (size,)."""
        allowed = np.ones(self.size, dtype=np.bool_)
        if self.thin and self.size > len(self.lows):
            allowed[: len(self.lows)] = False
        return allowed

    def encode(self, values: FloatArray) -> tuple[IntArray, FloatArray]:
        """Return codes (rows,) and positions (rows,); a value outside the fitted range is moved to its nearer end.

        Raises:
            InputError: a value is missing or infinite where the training rows had none such.
        """
        gaps = np.isnan(values)
        if np.isinf(values).any():
            raise InputError(
                f"{self.name} must hold finite numbers, however {int(np.isinf(values).sum())} rows are infinite. "
                "Declare the mark that stands for them as missing in the schema."
            )
        if gaps.any() and not self.has_missing:
            raise _unseen(self.name, int(gaps.sum()), "missing values")
        codes = np.full(len(values), self.size - 1, dtype=np.int64)
        positions = np.full(len(values), 0.5)
        codes[~gaps], positions[~gaps] = self._encode_present(values[~gaps])
        return codes, positions

    def _encode_present(self, values: FloatArray) -> tuple[IntArray, FloatArray]:
        bins = len(self.lows)
        codes = np.zeros(len(values), dtype=np.int64)
        positions = np.full(len(values), 0.5)
        if bins and len(values):
            codes = np.clip(np.searchsorted(self.lows, values, side="right") - 1, 0, bins - 1).astype(np.int64)
            lows, highs = np.asarray(self.lows)[codes], np.asarray(self.highs)[codes]
            positions = self._position(np.clip(values, lows, highs), lows, highs)
        if self.atoms and len(values):
            atoms = np.asarray(self.atoms)
            nearest = _nearest(atoms, values)
            ends = [*self.lows[:1], *self.highs[-1:]]
            beyond = (values < min(ends)) | (values > max(ends)) if ends else np.ones(len(values), dtype=np.bool_)
            # Outside the bins the nearer of atom and bin end wins; inside them only the atom's very value does.
            closer = beyond & (np.abs(values - atoms[nearest]) <= _distance(values, ends))
            is_atom = (values == atoms[nearest]) | closer
            codes[is_atom], positions[is_atom] = bins + nearest[is_atom], 0.5
        return codes, positions

    def decode(self, codes: IntArray, positions: FloatArray, *, sampling: bool = False) -> FloatArray:
        """Return values (rows,); with ``sampling`` the end bins are narrowed to ``floor`` and ``ceiling``."""
        bins = len(self.lows)
        values = np.full(len(codes), np.nan)
        is_bin = codes < bins
        if is_bin.any():
            lows, highs = np.asarray(self.lows), np.asarray(self.highs)
            if sampling:
                lows, highs = np.maximum(lows, self.floor), np.minimum(highs, self.ceiling)
            values[is_bin] = self._value(positions[is_bin], lows[codes[is_bin]], highs[codes[is_bin]])
        is_atom = (codes >= bins) & (codes < bins + len(self.atoms))
        if is_atom.any():
            values[is_atom] = np.asarray(self.atoms)[codes[is_atom] - bins]
        return values

    def _position(self, values: FloatArray, lows: FloatArray, highs: FloatArray) -> FloatArray:
        if self.decimals is None:
            # Halves, so that a bin as wide as float64 itself does not overflow.
            width = highs / 2 - lows / 2
            shares = np.divide(values / 2 - lows / 2, width, out=np.full(len(values), 0.5), where=width > 0)
            return np.asarray(shares.clip(0, 1))
        low, high = grid(lows, self.decimals), grid(highs, self.decimals)
        # The middle of a grid cell: a uniform position then decodes to a uniform grid value, ends included.
        return np.asarray((grid(values, self.decimals) - low + 0.5) / (high - low + 1.0))

    def _value(self, positions: FloatArray, lows: FloatArray, highs: FloatArray) -> FloatArray:
        if self.decimals is None:
            return np.clip(lows * (1.0 - positions) + highs * positions, lows, highs)
        low, high = grid(lows, self.decimals), grid(highs, self.decimals)
        steps = np.minimum(np.floor(positions * (high - low + 1.0)), high - low)
        return np.asarray((low + steps) / 10.0**self.decimals)


@dataclass(frozen=True, slots=True)
class LabelCoding:
    """How one boolean, categorical or ordinal column is coded.

    ``common`` and ``rare`` are places in ``categories``. Every common category has a code of its own. All rare ones
    (fewer than ``MIN_COUNT`` training rows each) share one code: rows that hold them are learned from, the position
    keeps which one it was, and the code is never sampled. A sampled row gets a common category (or missing) in its
    place, as likely as the generator finds each of them for that row. Last comes missing, if ``has_missing``.
    """

    name: str
    categories: tuple[str, ...]
    ordered: bool
    common: tuple[int, ...]
    rare: tuple[int, ...]
    has_missing: bool

    @property
    def size(self) -> int:
        """How many codes the column has."""
        return len(self.common) + bool(self.rare) + self.has_missing

    @property
    def emitted(self) -> BoolArray:
        """Which codes a generator may sample, (size,)."""
        allowed = np.ones(self.size, dtype=np.bool_)
        if self.rare:
            allowed[len(self.common)] = False
        return allowed

    def encode(self, places: IntArray) -> tuple[IntArray, FloatArray]:
        """Return codes (rows,) and positions (rows,) of places in ``categories`` (-1 = missing).

        Raises:
            InputError: a category or a missing value that no training row has.
        """
        code_of = np.full(len(self.categories) + 1, -1, dtype=np.int64)
        position_of = np.full(len(self.categories) + 1, 0.5)
        code_of[list(self.common)] = np.arange(len(self.common))
        if self.rare:
            code_of[list(self.rare)] = len(self.common)
            position_of[list(self.rare)] = (np.arange(len(self.rare)) + 0.5) / len(self.rare)
        if self.has_missing:
            code_of[-1] = self.size - 1
        codes = code_of[places]
        if (codes < 0).any():
            raise _unseen(self.name, int((codes < 0).sum()), "categories (or gaps)")
        return codes, position_of[places]

    def decode(self, codes: IntArray, positions: FloatArray) -> IntArray:
        """Return places in ``categories``, (rows,), -1 = missing."""
        place_of = np.array([*self.common, *([-1] if self.rare else []), *([-1] if self.has_missing else [])])
        places = place_of[codes].astype(np.int64)
        if self.rare:
            is_rare = codes == len(self.common)
            which = np.minimum((positions[is_rare] * len(self.rare)).astype(np.int64), len(self.rare) - 1)
            places[is_rare] = np.asarray(self.rare)[which]
        return places


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
        if len(train) == 0:
            raise InputError("A generator needs training rows, however the table has none. Check the split.")
        return cls(
            tuple(
                _fit_number(column, train.frame[column.name].to_numpy(dtype=np.float64), train.units, resolution)
                if column.is_number
                else _fit_label(column, train, is_target=column.name == train.schema.target)
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
            values = frame[coding.name]
            if isinstance(coding, NumberCoding):
                codes[:, place], positions[:, place] = coding.encode(values.to_numpy(dtype=np.float64))
            else:
                codes[:, place], positions[:, place] = coding.encode(values.cat.codes.to_numpy().astype(np.int64))
        return Encoded(codes, positions)

    def decode(self, encoded: Encoded, *, sampling: bool = False) -> pd.DataFrame:
        """Return a canonical frame; without ``sampling`` training rows come back exactly as they were.

        Exactly means to the last bit for columns whose values have at most 15 digits; others come back to within
        1e-15 of a bin's width. With ``sampling`` no value lies beyond the mean of the ``MIN_COUNT`` most extreme
        training values of its column, hence inside the training range and inside declared bounds.

        Raises:
            ValueError: with ``sampling``, a code that must not be sampled.
        """
        columns: dict[str, Any] = {}
        for place, coding in enumerate(self.codings):
            codes, positions = encoded.codes[:, place], encoded.positions[:, place]
            if sampling and not coding.emitted[codes].all():
                raise ValueError(f"{coding.name} was sampled with a code that too few training rows hold")
            if isinstance(coding, NumberCoding):
                columns[coding.name] = coding.decode(codes, positions, sampling=sampling)
            else:
                dtype = pd.CategoricalDtype(list(coding.categories), ordered=coding.ordered)
                columns[coding.name] = pd.Categorical.from_codes(coding.decode(codes, positions), dtype=dtype)
        return pd.DataFrame(columns, index=pd.RangeIndex(len(encoded)))

    def number(self, place: int, encoded: Encoded) -> FloatArray:
        """Return the values of one number column, (rows,), NaN = missing."""
        coding = self._number_coding(place)
        return coding.decode(encoded.codes[:, place], encoded.positions[:, place])

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
        return cls(tuple(_coding_from(dict(column)) for column in columns))


def _coding_from(column: dict[str, Any]) -> Coding:
    fields: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in column.items()}
    return NumberCoding(**fields) if fields.pop("numbers") else LabelCoding(**fields)


def _unseen(name: str, rows: int, what: str) -> InputError:
    return InputError(
        f"{name} may hold only what training rows hold, however {rows} rows have {what} that none of them has. "
        "Fit the encoder on rows that have them."
    )


def _once_a_patient(values: IntArray, units: IntArray | None) -> IntArray:
    """The positions of rows in which a patient has a value for the first time; all rows where each is a patient."""
    if units is None:
        return np.arange(len(values))
    return np.sort(np.unique(np.column_stack([values, units]), axis=0, return_index=True)[1])


def _fit_label(column: Column, train: Table[ModelledSchema], *, is_target: bool) -> LabelCoding:
    values = train.frame[column.name]
    places = values.cat.codes.to_numpy().astype(np.int64)
    held = places[_once_a_patient(places, train.units)]
    counts = np.bincount(held[held >= 0], minlength=len(column.categories))
    present, common = np.flatnonzero(counts), np.flatnonzero(counts >= MIN_COUNT)
    if is_target or not len(common):
        common = present
    return LabelCoding(
        name=column.name,
        categories=tuple(column.categories),
        ordered=bool(values.cat.ordered),
        common=tuple(common.tolist()),
        rare=tuple(np.setdiff1d(present, common).tolist()),
        has_missing=bool((places < 0).any()),
    )


def _fit_number(column: Column, values: FloatArray, units: IntArray | None, resolution: Resolution) -> NumberCoding:
    has_missing = bool(np.isnan(values).any())
    owners = None if units is None else units[~np.isnan(values)]
    present = values[~np.isnan(values)] + 0.0  # -0.0 becomes 0.0: one zero, not two
    if np.isinf(present).any():
        raise InputError(
            f"{column.name} must hold finite numbers, however {int(np.isinf(present).sum())} rows are infinite. "
            "Declare the mark that stands for them as missing in the schema."
        )
    distinct, which = np.unique(present, return_inverse=True)
    counts = np.bincount(which[_once_a_patient(which, owners)], minlength=len(distinct))
    decimals = decimals_of(distinct)
    bins = int(np.clip(counts.sum() // ROWS_PER_BIN, 1, resolution.bins))
    is_atom = (
        atoms_of(distinct, counts, bins, resolution) if len(distinct) > 1 else np.ones(len(distinct), dtype=np.bool_)
    )
    rest, rest_counts = distinct[~is_atom], counts[~is_atom]
    groups = quantile_groups(rest_counts, int(np.clip(rest_counts.sum() // ROWS_PER_BIN, 1, bins)))
    lows, highs = edges(rest, groups, decimals)
    coding = NumberCoding(
        name=column.name,
        decimals=decimals,
        lows=tuple(lows),
        highs=tuple(highs),
        atoms=tuple(distinct[is_atom].tolist()),
        has_missing=has_missing,
        thin=bool(rest_counts.sum() < MIN_COUNT),
    )
    if not lows:
        return coding
    binned = np.isin(present, rest)
    return _with_limits(coding, present[binned], None if owners is None else owners[binned])


def _with_limits(coding: NumberCoding, binned: FloatArray, owners: IntArray | None) -> NumberCoding:
    """Return the coding with the limits of sampling set from the most extreme binned value of each patient."""
    lowest, highest = np.sort(binned), np.sort(binned)
    if owners is not None:
        _, patient = np.unique(owners, return_inverse=True)
        lowest, highest = np.full(patient.max() + 1, np.inf), np.full(patient.max() + 1, -np.inf)
        np.minimum.at(lowest, patient, binned)
        np.maximum.at(highest, patient, binned)
        lowest, highest = np.sort(lowest), np.sort(highest)
    # Divided before they are added, so that the mean of huge values does not overflow.
    tail = min(MIN_COUNT, len(lowest))
    floor = float(np.clip((lowest[:tail] / tail).sum(), lowest[0], lowest[tail - 1]))
    ceiling = float(np.clip((highest[-tail:] / tail).sum(), highest[-tail], highest[-1]))
    if coding.decimals is not None:
        scale = 10.0**coding.decimals
        floor, ceiling = float(np.ceil(floor * scale) / scale), float(np.floor(ceiling * scale) / scale)
    return replace(coding, floor=min(floor, coding.highs[0]), ceiling=max(ceiling, coding.lows[-1]))


def _nearest(atoms: FloatArray, values: FloatArray) -> IntArray:
    """Return the place of the nearest atom (sorted) for each value, (rows,)."""
    after = np.clip(np.searchsorted(atoms, values), 0, len(atoms) - 1)
    before = np.maximum(after - 1, 0)
    return np.where(np.abs(values - atoms[before]) < np.abs(values - atoms[after]), before, after).astype(np.int64)


def _distance(values: FloatArray, ends: list[float]) -> FloatArray:
    """Return how far each value lies from the nearest of ``ends``, infinitely far if there are none."""
    if not ends:
        return np.full(len(values), np.inf)
    return np.asarray(np.abs(values[:, None] - np.asarray(ends)).min(axis=1))
