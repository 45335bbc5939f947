"""Every way of turning a column into numbers and back, on columns that are awkward: one test for all of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from synthrelease.core.contracts import Column, Schema, Table
from synthrelease.synthesis.encoding import column_codec
from synthrelease.synthesis.encoding.binning import COARSE, FINE
from synthrelease.synthesis.encoding.column_codec import Coded
from synthrelease.synthesis.encoding.table_encoder import Encoder
from synthrelease.synthesis.encoding.unit_scaling import UnitScale
from synthrelease.synthesis.generators.private.codebook import Codes, codes_of
from synthrelease.synthesis.generators.private.public_domain import Cells, cells_of

RNG = np.random.default_rng(5)
ROWS = 400


@dataclass(frozen=True)
class Way:
    """One codec fitted to one column, with the randomness that its way back asks for."""

    encode: Callable[[pd.Series], Any]
    decode: Callable[[Any], Any]


def number(values: np.ndarray, bounds: tuple[float, float], kind: str = "numeric") -> Table:
    return Table(pd.DataFrame({"x": values}), Schema((Column("x", kind, bounds=bounds),)), "real")


def label(codes: np.ndarray, categories: str, kind: str = "categorical") -> Table:
    values = pd.Categorical.from_codes(codes, list(categories), ordered=kind == "ordinal")
    return Table(pd.DataFrame({"x": values}), Schema((Column("x", kind, categories=tuple(categories)),)), "real")


def with_gaps(values: np.ndarray) -> np.ndarray:
    return np.where(np.arange(len(values)) % 7 == 0, np.nan, values)


COLUMNS = {
    "all missing": number(np.full(ROWS, np.nan), (0.0, 10.0)),
    "constant": number(np.full(ROWS, 4.0), (4.0, 5.0)),
    "integers": number(RNG.integers(0, 90, ROWS).astype(float), (0, 100), "integer"),
    "integers with gaps": number(with_gaps(RNG.integers(-40, 40, ROWS).astype(float)), (-50, 50), "integer"),
    "decimals": number(np.round(RNG.gamma(2, 3, ROWS), 2).clip(0, 50), (0.0, 50.0)),
    "no grid": number(RNG.random(ROWS), (0.0, 1.0)),
    "mostly zero": number(np.where(RNG.random(ROWS) < 0.8, 0.0, np.round(RNG.random(ROWS) * 30, 1)), (0.0, 30.0)),
    "dates": number(RNG.integers(18_000, 19_000, ROWS).astype(float), (17_000, 20_000), "date"),
    "huge range": number(RNG.choice([-1.0, 1.0], ROWS) * np.floor(10 ** RNG.uniform(0, 14, ROWS)), (-1e15, 1e15)),
    "one row": number(np.array([2.5]), (0.0, 5.0)),
    "labels": label(RNG.integers(0, 4, ROWS), "abcd"),
    "labels with gaps": label(RNG.integers(-1, 3, ROWS), "abc"),
    "no label": label(np.full(ROWS, -1), "ab"),
    "one label": label(np.zeros(ROWS, dtype=int), "ab"),
    "rare label": label(np.r_[np.full(2, 3), RNG.integers(0, 3, ROWS - 2)], "abcd"),
    "ordered labels": label(RNG.integers(0, 4, ROWS), "abcd", "ordinal"),
}


def bins(table: Table, resolution=COARSE) -> Way:
    coding = Encoder.fit(table, resolution).codings[0]
    return Way(coding.encode, coding.decode)


def saved_bins(table: Table) -> Way:
    written = json.loads(json.dumps(Encoder.fit(table, FINE).to_json(), allow_nan=False))
    coding = Encoder.from_json(written).codings[0]
    return Way(coding.encode, coding.decode)


def unit(table: Table) -> Way:
    scale = UnitScale.fit(table).scales[0]
    return Way(scale.encode, scale.decode)


def public(table: Table) -> Way:
    cells = Cells.from_json(json.loads(json.dumps(asdict(cells_of(table.schema.column("x"))))))
    rng = np.random.default_rng(0)
    return Way(cells.encode, lambda codes: cells.values(codes, rng.random(len(codes))))


def noisy(table: Table) -> Way:
    cells = replace(cells_of(table.schema.column("x")), by_value=False)  # the wide cells, as they are counted first
    counts = np.bincount(cells.encode(table.frame["x"]), minlength=cells.size).astype(float)
    codes = Codes.from_json(json.loads(json.dumps(asdict(codes_of(cells, counts, noise=0.1, most=12)))))
    rng = np.random.default_rng(0)
    return Way(lambda values: codes.encode(cells.encode(values)), lambda found: codes.decode(found, rng))


WAYS = {
    "coarse bins": bins,
    "fine bins": lambda table: bins(table, FINE),
    "saved bins": saved_bins,
    "unit scale": unit,
    "public cells": public,
    "codes of noisy counts": noisy,
}


def arrays(code: Any) -> list[np.ndarray]:
    return [code.codes, code.positions] if isinstance(code, Coded) else [code]


def there_and_back(way: Way, values: pd.Series) -> pd.Series:
    return pd.Series(way.decode(way.encode(values)), name=values.name)


@pytest.fixture(params=COLUMNS)
def table(request: pytest.FixtureRequest) -> Table:
    return COLUMNS[request.param]


@pytest.mark.parametrize("name", WAYS)
@pytest.mark.filterwarnings("error")
def test_a_column_comes_back_in_its_form_and_then_stays_as_it_is(name, table):
    values = table.frame["x"]
    way = WAYS[name](table)
    once = there_and_back(way, values)
    assert once.dtype == values.dtype
    assert (once.isna() == values.isna()).all()
    again = there_and_back(way, once)
    assert (again.isna() == values.isna()).all()
    for first, second in zip(arrays(way.encode(once)), arrays(way.encode(again)), strict=True):
        assert first.dtype == second.dtype
        assert len(first) == len(values)
        if first.dtype == np.int64:
            assert (first == second).all()
        else:
            np.testing.assert_allclose(first, second, atol=1e-9)
    column = table.schema.column("x")
    if column.is_number and values.notna().any():
        low, high = column.bounds
        assert once.dropna().between(low, high).all()


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        *((name, tuple(set(COLUMNS) - {"no grid"})) for name in ("coarse bins", "fine bins", "saved bins")),
        ("unit scale", ("labels", "labels with gaps", "no label", "one label", "ordered labels", "integers", "dates")),
        ("public cells", ("integers", "integers with gaps", *(each for each in COLUMNS if "label" in each))),
        ("codes of noisy counts", tuple(each for each in COLUMNS if "label" in each)),
    ],
)
def test_what_a_codec_keeps_whole_comes_back_to_the_last_bit(name, kept):
    for column in kept:
        values = COLUMNS[column].frame["x"]
        pd.testing.assert_series_equal(there_and_back(WAYS[name](COLUMNS[column]), values), values, check_exact=True)


def test_a_rare_label_stands_for_itself_in_bins_and_for_another_on_the_unit_scale():
    table = COLUMNS["rare label"]
    rare = table.frame["x"] == "d"
    assert rare.sum() == 2
    assert (there_and_back(bins(table), table.frame["x"])[rare] == "d").all()  # learned from, and never sampled
    assert not (there_and_back(unit(table), table.frame["x"]) == "d").any()


def test_patients_are_counted_and_not_rows():
    units = np.array([0, 0, 0, 1, 2, 2])
    assert column_codec.label_counts(np.array([1, 1, 0, 1, -1, 0]), 3, units).tolist() == [2, 2, 0]
    assert column_codec.label_counts(np.array([1, 1, 0, 1, -1, 0]), 3, None).tolist() == [2, 3, 0]
    lowest, highest = column_codec.extremes(np.array([5.0, 9.0, 7.0, 1.0, 3.0, 2.0]), units)
    assert (lowest.tolist(), highest.tolist()) == ([1.0, 2.0, 5.0], [1.0, 3.0, 9.0])
    assert column_codec.mean_of(np.full(4, 1.5e308)) == 1.5e308
