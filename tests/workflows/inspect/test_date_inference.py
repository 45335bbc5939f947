"""Drafts of dates: the format that the file has, warnings where it has several, anchors where one follows another."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synthrelease.data import table_reader, table_writer
from synthrelease.schema import schema_file
from synthrelease.workflows.inspect import date_inference
from synthrelease.workflows.inspect.draft_schema import draft

STAMPS = pd.date_range("2019-01-28 07:05:09", periods=240, freq="37h13min11s")


def drafted(tmp_path, columns, **options):
    """Draft a table, and show that the draft reads it as it stands; return the schema, the text and the source."""
    frame = pd.DataFrame({"filler": np.random.default_rng(0).normal(size=240).round(3), **columns})
    frame.to_csv(tmp_path / "t.csv", index=False)
    text = draft(tmp_path / "t.csv", **options)
    (tmp_path / "s.toml").write_text(text, encoding="utf-8")
    meaning = schema_file.load(tmp_path / "s.toml")
    return meaning, text, table_reader.read(tmp_path / "t.csv", meaning)


@pytest.mark.parametrize(
    ("spelling", "kind"),
    [
        *[(each, "date") for each in ("%Y-%m-%d", "%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%Y%m%d", "%d%b%Y", "%d-%b-%y")],
        *[(each, "date") for each in ("%Y-%m-%d 00:00:00", "%Y-%m-%dT00:00:00", "%B %d, %Y")],
        *[(each, "datetime") for each in ("%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%SZ", "%d/%m/%Y %H:%M")],
        *[(each, "datetime") for each in ("%m/%d/%Y %I:%M:%S %p", "%Y%m%d%H%M%S", "%Y-%m-%d %H:%M:%S+01:00")],
        ("%H:%M", "time"),
        ("%H:%M:%S", "time"),
    ],
)
def test_the_very_format_of_the_file_is_found(tmp_path, spelling, kind):
    cells = STAMPS.strftime(spelling)
    meaning, _, source = drafted(tmp_path, {"visit_date": cells})
    found = meaning.column("visit_date")
    assert (found.kind, found.format) == (kind, (spelling,))
    table_writer.write([source.table.frame], source.table.schema, source.style, tmp_path / "again.csv", seed=0)
    assert (tmp_path / "again.csv").read_bytes() == (tmp_path / "t.csv").read_bytes()


def test_no_leading_zeros_capitals_and_decimals_are_found(tmp_path):
    columns = {
        "a": [f"{each.day}/{each.month}/{each.year}" for each in STAMPS],
        "b": STAMPS.strftime("%d%b%Y").str.upper(),
        "c": [f"{each:%Y-%m-%d %H:%M:%S}.{each.second:03d}" for each in STAMPS],
        "d": [f"{each.hour}:{each:%M}" for each in STAMPS],
        "e": [f"{hours}:{hours % 60:02d}" for hours in range(240)],
        "f": [f"{hours} days {hours % 24:02d}:00:00" for hours in range(240)],
    }
    meaning, _, _ = drafted(tmp_path, columns)
    assert {name: (meaning.column(name).kind, *meaning.column(name).format) for name in columns} == {
        "a": ("date", "%-d/%-m/%Y"),
        "b": ("date", "%d%^b%Y"),
        "c": ("datetime", "%Y-%m-%d %H:%M:%S.%3f"),
        "d": ("time", "%-H:%M"),
        "e": ("duration", "%-H:%M"),
        "f": ("duration", "%D days %H:%M:%S"),
    }


@settings(max_examples=20, deadline=None)
@given(st.sampled_from(date_inference._DATES), st.data())
def test_every_format_that_is_tried_is_found_or_an_equal_one(spelling, data):
    from synthrelease.core.contracts import Column
    from synthrelease.schema import datetimes

    days = np.array(data.draw(st.lists(st.integers(15_000, 19_000), min_size=60, max_size=60, unique=True)), float)
    kind = "datetime" if "%H" in spelling else "date"
    cells = datetimes.spell(days, Column("x", kind=kind, format=(spelling,)))
    distinct = list(dict.fromkeys(cells))
    found = date_inference.of_text("when", distinct, [1] * len(distinct), is_integer=distinct[0].isdigit())
    assert found is not None
    assert datetimes.spell(found.days, Column("x", kind=found.kind, format=found.formats)) == distinct


def test_several_formats_in_one_column_are_a_warning(tmp_path):
    thirds = [STAMPS[start::3].strftime(each) for start, each in enumerate(("%Y-%m-%d", "%d/%m/%Y", "%d %B %Y"))]
    meaning, text, source = drafted(tmp_path, {"admitted": [cell for row in zip(*thirds, strict=True) for cell in row]})
    assert set(meaning.column("admitted").format) == {"%Y-%m-%d", "%d/%m/%Y", "%d %B %Y"}
    assert "WARNING: written in 3 different ways" in text
    assert source.table.frame["admitted"].is_monotonic_increasing


def test_a_rare_spelling_among_very_many_cells_is_found(tmp_path):
    stamps = pd.date_range("2019-01-28", periods=5_000, freq="7h13min")
    cells = [f"{each:%d.%m.%Y %H:%M}" if at == 777 else f"{each:%Y-%m-%d %H:%M}" for at, each in enumerate(stamps)]
    found = date_inference.of_text("seen", cells, [1] * len(cells), is_integer=False)
    assert found is not None
    assert found.formats == ("%Y-%m-%d %H:%M", "%d.%m.%Y %H:%M")
    assert found.misfits == 0


@pytest.mark.parametrize(
    ("cells", "warning"),
    [
        ([f"{1 + at % 12:02d}/{1 + at % 11:02d}/2020" for at in range(240)], "day and month cannot be told apart"),
        (STAMPS.strftime("%d.%m.%y"), "years have two digits"),
        ([f"{each:%Y-%m-%d %H:%M}+0{1 + at % 2}:00" for at, each in enumerate(STAMPS)], "learned and written in UTC"),
        (
            [*STAMPS[:236].strftime("%Y-%m-%d"), "soon", "later", "30/02/2024", "x"],
            "4 cells are written in no such way",
        ),
    ],
)
def test_what_needs_a_persons_eye_is_said(tmp_path, cells, warning):
    _, text, _ = drafted(tmp_path, {"admitted": cells})
    assert warning in text


def test_open_ended_dates_are_missing_and_extremes_are_rounded_to_years(tmp_path):
    cells = ["9999-12-31" if at % 4 == 0 else f"{each:%Y-%m-%d}" for at, each in enumerate(STAMPS)]
    meaning, text, source = drafted(tmp_path, {"until": cells})
    assert meaning.column("until").missing == ("9999-12-31",)
    assert 'bounds = ["2019-01-01", "2021-01-01"]' in text
    table_writer.write([source.table.frame], source.table.schema, source.style, tmp_path / "again.csv", seed=0)
    assert (tmp_path / "again.csv").read_bytes() == (tmp_path / "t.csv").read_bytes()


@pytest.mark.parametrize(
    ("spelling", "zero"), [("%Y-%m-%d", "0000-00-00"), ("%d/%m/%Y", "00/00/0000"), ("%Y%m%d", "0")]
)
def test_dates_of_zeros_are_missing(tmp_path, spelling, zero):
    cells = [zero if at % 4 == 0 else each for at, each in enumerate(STAMPS.strftime(spelling))]
    meaning, _, source = drafted(tmp_path, {"seen_date": cells})
    assert (meaning.column("seen_date").kind, meaning.column("seen_date").missing) == ("date", (zero,))
    table_writer.write([source.table.frame], source.table.schema, source.style, tmp_path / "again.csv", seed=0)
    assert (tmp_path / "again.csv").read_bytes() == (tmp_path / "t.csv").read_bytes()


@pytest.mark.parametrize(
    "cells",
    [
        [f"{at:08d}" for at in range(10_000_000, 10_000_240)],
        [f"{at}.{at % 90}" for at in range(240)],
        [f"A{at}-2020" for at in range(240)],
        [f"{at % 20}-{at % 20 + 9}" for at in range(240)],
        ["250.83", "401.9", "V45"] * 80,
    ],
)
def test_codes_and_numbers_are_no_dates(tmp_path, cells):
    meaning, _, _ = drafted(tmp_path, {"code": cells})
    assert meaning.column("code").kind not in ("date", "datetime", "time", "duration")


def test_parquet_types_say_it_all(tmp_path):
    arrays = {
        "stamp": pa.array(STAMPS),
        "day": pa.array(STAMPS.normalize()),
        "date": pa.array(STAMPS.date),
        "clock": pa.array(STAMPS.time),
        "stay": pa.array(np.arange(240), type=pa.int64()).cast(pa.duration("s")),
    }
    pq.write_table(pa.table(arrays), tmp_path / "t.parquet")
    (tmp_path / "s.toml").write_text(draft(tmp_path / "t.parquet"), encoding="utf-8")
    meaning = schema_file.load(tmp_path / "s.toml")
    kinds = {column.name: column.kind for column in meaning.columns}
    assert kinds == {"stamp": "datetime", "day": "date", "date": "date", "clock": "time", "stay": "duration"}
    source = table_reader.read(tmp_path / "t.parquet", meaning)
    table_writer.write([source.table.frame], source.table.schema, source.style, tmp_path / "again.parquet", seed=0)
    assert pq.read_table(tmp_path / "again.parquet").equals(pq.read_table(tmp_path / "t.parquet"))


def stays(rows=240, seed=0):
    rng = np.random.default_rng(seed)
    admitted = rng.integers(17_000, 19_000, rows).astype(float)
    return {
        "born": admitted - rng.integers(7_000, 33_000, rows),
        "admitted": admitted,
        "surgery": admitted + rng.integers(0, 4, rows),
        "discharged": admitted + 4 + rng.integers(0, 20, rows),
        "unrelated": rng.permutation(admitted),
    }


def test_a_date_is_anchored_to_the_one_it_follows_closely():
    assert date_inference.anchors(list(stays().items()), target=None) == {
        "surgery": "admitted",
        "discharged": "admitted",
    }
    assert date_inference.anchors(list(stays().items()), target="discharged") == {"surgery": "admitted"}


def test_copies_of_a_date_do_not_anchor_one_another_in_a_circle():
    day = stays()["admitted"]
    assert date_inference.anchors([("a", day), ("b", day), ("c", day)], target=None) == {"b": "a", "c": "a"}


def test_the_draft_offers_anchors(tmp_path):
    columns = {name: pd.to_datetime(days, unit="D").strftime("%d/%m/%Y") for name, days in stays().items()}
    meaning, text, _ = drafted(tmp_path, columns)
    assert meaning.column("surgery").anchor == "admitted"
    assert meaning.column("admitted").anchor is None
    assert meaning.column("admitted").role == "quasi_identifier"
    assert "it hardly ever comes before its anchor" in text
