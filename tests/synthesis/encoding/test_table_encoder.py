"""Codes and positions give back the very table they were made of, and sampling shows nobody's extreme value."""

from __future__ import annotations

import json
from collections import Counter

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synthrelease.core.contracts import Column, Kind, Schema, Table
from synthrelease.core.errors import InputError
from synthrelease.synthesis.encoding.binning import COARSE, MIN_COUNT
from synthrelease.synthesis.encoding.column_codec import Coded
from synthrelease.synthesis.encoding.label_codes import LabelCoding
from synthrelease.synthesis.encoding.number_bins import NumberCoding
from synthrelease.synthesis.encoding.table_encoder import Encoded, Encoder


def table_of(columns: dict[str, list[object]], kinds: dict[str, Kind], target: str | None = None) -> Table:
    declared, frame = [], {}
    for name, values in columns.items():
        if kinds[name] in ("numeric", "integer"):
            declared.append(Column(name, kinds[name]))
            frame[name] = np.array(values, dtype=np.float64)
        else:
            categories = tuple(sorted({str(value) for value in values if value is not None}))
            declared.append(Column(name, kinds[name], categories=categories))
            dtype = pd.CategoricalDtype(list(categories), ordered=kinds[name] == "ordinal")
            frame[name] = pd.Categorical(values, dtype=dtype)
    return Table(pd.DataFrame(frame), Schema(tuple(declared), target=target), "real")


def number(values: list[float], name: str = "x") -> tuple[Table, NumberCoding]:
    table = table_of({name: list(values)}, {name: "numeric"})
    coding = Encoder.fit(table).codings[0]
    assert isinstance(coding, NumberCoding)
    return table, coding


def assert_round_trip(table: Table) -> None:
    encoder = Encoder.fit(table)
    encoded = encoder.encode(table.frame)
    assert encoded.codes.shape == encoded.positions.shape == table.frame.shape
    assert encoded.positions.min() >= 0
    assert encoded.positions.max() <= 1
    for place, coding in enumerate(encoder.codings):
        assert set(encoded.codes[:, place]) <= set(range(coding.size))
    pd.testing.assert_frame_equal(encoder.decode(encoded), table.frame, check_exact=True)
    again = Encoder.from_json(json.loads(json.dumps(encoder.to_json(), allow_nan=False)))
    assert again == encoder


decimal_numbers = st.integers(0, 6).flatmap(
    lambda places: st.lists(
        st.one_of(
            st.just(np.nan),
            st.just(0.0),
            st.integers(-(10**9), 10**9).map(lambda grid: grid / 10**places),
            st.integers(0, 12).map(lambda grid: grid / 10**places),
        ),
        min_size=1,
        max_size=150,
    )
)


@given(values=decimal_numbers)
@settings(max_examples=150, deadline=None)
def test_numbers_with_decimals_come_back_to_the_last_bit(values):
    assert_round_trip(table_of({"x": values}, {"x": "numeric"}))


@given(
    values=st.lists(st.one_of(st.none(), st.sampled_from("abcdefgh")), min_size=1, max_size=80), target=st.booleans()
)
@settings(max_examples=60, deadline=None)
def test_labels_come_back(values, target):
    assert_round_trip(table_of({"x": values}, {"x": "categorical"}, target="x" if target else None))


@given(values=st.lists(st.floats(allow_infinity=False, allow_nan=False), min_size=1, max_size=100))
@settings(max_examples=150, deadline=None)
def test_any_finite_float_comes_back_within_a_sliver_of_the_range(values):
    table, coding = number(values)
    encoder = Encoder((coding,))
    back = encoder.decode(encoder.encode(table.frame))["x"].to_numpy()
    # Halves, so that the range of the largest floats does not overflow.
    half_range = max(values) / 2 - min(values) / 2
    assert (np.abs(back / 2 - table.frame["x"].to_numpy() / 2) <= 1e-14 * half_range + 1e-300).all()
    assert min(values) <= back.min()
    assert back.max() <= max(values)


@pytest.mark.parametrize(
    "values",
    [
        [7.0],
        [np.nan],
        [np.nan] * 30,
        [3.25] * 40,
        [0.0] * 90 + [1e-9, 2e-9, 5.5e-9],
        [1e12 + 0.5 * step for step in range(100)],
        [float(step) for step in range(1000)],
        [0.0] * 500 + [float(step * step) for step in range(1, 200)] + [np.nan] * 9,
    ],
    ids=["one row", "one gap", "only gaps", "constant", "tiny", "huge", "integers", "zero-inflated"],
)
def test_awkward_columns_come_back(values):
    assert_round_trip(table_of({"x": values}, {"x": "numeric"}))


def test_mixed_frame_keeps_order_dtypes_and_ordinals():
    rng = np.random.default_rng(0)
    table = table_of(
        {
            "stage": rng.choice(["I", "II", "III"], 60).tolist(),
            "age": rng.integers(20, 90, 60).tolist(),
            "smoker": [None, "yes", "no"] * 20,
            "ldl": np.round(rng.normal(3, 1, 60), 2).tolist(),
        },
        {"stage": "ordinal", "age": "integer", "smoker": "boolean", "ldl": "numeric"},
        target="smoker",
    )
    assert_round_trip(table)


def test_heavy_values_are_atoms_and_the_rest_lie_in_bins_of_enough_rows():
    values = [0.0] * 300 + [float(step) for step in range(14, 314)]
    table, coding = number(values)
    assert coding.atoms == (0.0,)
    assert 2 <= len(coding.lows) <= COARSE.bins
    held = Counter(Encoder((coding,)).encode(table.frame).codes[300:, 0].tolist())
    assert min(held.values()) >= MIN_COUNT
    assert all(high < low for high, low in zip(coding.highs, coding.lows[1:], strict=False))


def test_more_rows_get_more_bins():
    few, many = (len(number([float(v) for v in range(rows)])[1].lows) for rows in (40, 2_000))
    assert few < many == COARSE.bins


def test_sampled_numbers_keep_within_the_mean_of_the_five_most_extreme():
    values = [float(value) for value in range(100)] + [1_000.0]
    _, coding = number(values)
    codes = np.repeat(np.arange(coding.size), 2)
    ends = coding.decode(Coded(codes, np.tile([0.0, 1.0], coding.size)), sampling=True)
    assert ends.min() == 2.0  # the mean of 0..4
    assert ends.max() == np.floor((96 + 97 + 98 + 99 + 1_000) / 5)
    assert coding.decode(Coded(codes, np.tile([0.0, 1.0], coding.size))).max() == 1_000.0


@given(
    values=st.lists(st.integers(-500, 500).map(lambda v: v / 10), min_size=1, max_size=120),
    positions=st.lists(st.floats(0, 1), min_size=1, max_size=20),
)
@settings(max_examples=100, deadline=None)
def test_samples_stay_in_the_training_range_and_on_its_decimals(values, positions):
    _, coding = number(values)
    codes = np.tile(np.flatnonzero(coding.emitted), len(positions))
    drawn = coding.decode(Coded(codes, np.repeat(positions, int(coding.emitted.sum()))), sampling=True)
    assert min(values) <= drawn.min()
    assert drawn.max() <= max(values)
    assert (np.round(drawn, 1) == drawn).all()


def test_positions_spread_evenly_over_grid_values():
    _, coding = number([float(value) for value in range(1, 13)] * 2)
    (low, high), count = (coding.lows[0], coding.highs[0]), 12_000
    drawn = coding.decode(Coded(np.zeros(count, dtype=np.int64), np.linspace(0, 1, count)))
    shares = np.unique(drawn, return_counts=True)[1] / count
    assert len(shares) == high - low + 1
    assert np.ptp(shares) < 0.001


def test_a_handful_of_odd_values_beside_an_atom_is_never_sampled():
    _, coding = number([0.0] * 60 + [17.0, 90.0])
    assert coding.thin
    assert not coding.emitted[0]
    with pytest.raises(ValueError, match="too few training rows"):
        Encoder((coding,)).decode(Encoded(np.array([[0]]), np.array([[0.5]])), sampling=True)


def test_rare_categories_share_a_code_that_is_not_sampled():
    table = table_of({"x": ["a"] * 20 + ["b"] * 9 + ["c", "c", "d"]}, {"x": "categorical"})
    coding = Encoder.fit(table).codings[0]
    assert isinstance(coding, LabelCoding)
    assert coding.size == 3
    assert coding.emitted.tolist() == [True, True, False]


def test_the_target_keeps_every_class():
    table = table_of({"x": ["a"] * 30 + ["b"]}, {"x": "categorical"}, target="x")
    assert Encoder.fit(table).codings[0].emitted.tolist() == [True, True]


def test_a_column_of_only_rare_categories_keeps_them():
    table = table_of({"x": ["a", "b", "c"]}, {"x": "categorical"})
    assert Encoder.fit(table).codings[0].emitted.tolist() == [True] * 3


def test_values_outside_the_fitted_range_move_to_its_nearer_end():
    _, coding = number([0.0] * 50 + [float(value) for value in range(10, 60)])
    encoder = Encoder((coding,))
    back = encoder.decode(encoder.encode(pd.DataFrame({"x": [-5.0, 4.0, 8.0, 30.0, 999.0]})))["x"]
    assert back.tolist() == [0.0, 0.0, 10.0, 30.0, 59.0]


def test_what_no_training_row_had_is_refused_without_showing_a_cell():
    table = table_of({"x": [1.0, 2.0], "y": ["a", "b"]}, {"x": "numeric", "y": "categorical"})
    encoder = Encoder.fit(table)
    gap = table.frame.assign(x=[np.nan, 2.0])
    with pytest.raises(InputError, match=r"x may hold only .* 1 rows have missing values"):
        encoder.encode(gap)
    with pytest.raises(InputError, match="2 rows are infinite"):
        encoder.encode(table.frame.assign(x=[np.inf, -np.inf]))
    unseen = pd.Categorical([None, "a"], dtype=table.frame["y"].dtype)
    with pytest.raises(InputError, match="y may hold only"):
        encoder.encode(table.frame.assign(y=unseen))


def test_an_empty_table_and_infinite_numbers_are_refused():
    with pytest.raises(InputError, match="no"):
        Encoder.fit(table_of({"x": []}, {"x": "numeric"}))
    with pytest.raises(InputError, match="1 rows are infinite"):
        Encoder.fit(table_of({"x": [1.0, np.inf]}, {"x": "numeric"}))


def test_thousands_of_levels_stay_small():
    levels = [f"code {place % 3_000:04d}" for place in range(18_000)]
    table = table_of({"x": levels}, {"x": "categorical"})
    assert Encoder.fit(table).codings[0].size == 3_000
    assert_round_trip(table)


def test_rare_and_extreme_are_counted_in_patients():
    """One patient with forty rows: neither the value nor the label that only this patient has may come out."""
    rng = np.random.default_rng(0)
    values = np.r_[rng.normal(70, 10, 200).round(1), np.full(40, 312.4)]
    labels = np.r_[rng.choice(["a", "b"], 200), np.full(40, "only")]
    frame = pd.DataFrame({"x": values, "c": pd.Categorical(labels, categories=["a", "b", "only"])})
    schema = Schema((Column("x", "numeric"), Column("c", "categorical", categories=("a", "b", "only"))))
    by_row = Encoder.fit(Table(frame, schema, "real"))
    by_patient = Encoder.fit(Table(frame, schema, "real", np.r_[np.arange(200), np.full(40, 200)]))
    assert 312.4 in by_row.codings[0].atoms
    assert 312.4 not in by_patient.codings[0].atoms
    assert by_patient.codings[0].ceiling < 200
    assert by_patient.codings[1].common == (0, 1)
    assert by_patient.decode(by_patient.encode(frame)).equals(frame)
