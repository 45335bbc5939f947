"""Dates, times and durations: every format gives back the very text, and the grid of days is exact."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synthrelease.core.contracts import Column
from synthrelease.core.errors import InputError, SchemaError
from synthrelease.data import table_reader, table_writer
from synthrelease.schema import datetimes, schema_file

EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001
FIRST = datetime(1800, 1, 1)  # noqa: DTZ001
LAST = datetime(2148, 1, 1)  # noqa: DTZ001
DATE_FORMATS = [
    *("%Y-%m-%d", "%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%Y%m%d", "%-d/%-m/%Y", "%Y-%-m-%-d", "%d%^b%Y", "%d-%b-%Y"),
    *("%B %-d, %Y", "%Y-%j", "%Y-%m-%d 00:00:00", "%a %d %B %Y"),
]
TIME_FORMATS = [
    "%H:%M",
    "%H:%M:%S",
    "%-H:%M",
    "%I:%M %p",
    "%-I:%M:%S%P",
    "%H:%M:%S.%3f",
    "%H:%M:%S,%6f",
    "%H:%M:%S.%9f",
]
ZONES = ["", "Z", "+01:00", " UTC", "%z", "%:z"]


def there_and_back(texts, kind, text_format):
    column = Column("when", kind=kind, format=(text_format,))
    days = datetimes.parse(texts, column)
    assert np.isfinite(days).all()
    return datetimes.spell(days, column), days


@given(st.lists(st.dates(date(1000, 1, 1), date.max), min_size=1), st.sampled_from(DATE_FORMATS))
def test_dates_come_back_as_they_were_written(dates, text_format):
    days = np.array([(each - date(1970, 1, 1)).days for each in dates], dtype=np.float64)
    texts = datetimes.spell(days, Column("when", kind="date", format=(text_format,)))
    assert there_and_back(texts, "date", text_format)[1].tolist() == days.tolist()


@given(
    st.lists(st.datetimes(FIRST, LAST), min_size=1),
    st.sampled_from(DATE_FORMATS[:10]),
    st.sampled_from(TIME_FORMATS),
    st.sampled_from(ZONES),
)
def test_datetimes_come_back_as_they_were_written(moments_, day, clock, zone):
    text_format = f"{day} {clock}{zone}"
    ticks = np.array([(each - EPOCH) // timedelta(microseconds=1) for each in moments_])
    texts = datetimes.spell(datetimes.days_of(ticks), Column("when", kind="datetime", format=(text_format,)))
    assert there_and_back(texts, "datetime", text_format)[0] == texts


@given(st.lists(st.times(), min_size=1), st.sampled_from(TIME_FORMATS))
def test_times_of_day_come_back_and_stay_below_midnight(times, clock):
    ticks = np.array([(datetime.combine(EPOCH, each) - EPOCH) // timedelta(microseconds=1) for each in times])
    texts = datetimes.spell(datetimes.days_of(ticks), Column("when", kind="time", format=(clock,)))
    back, days = there_and_back(texts, "time", clock)
    assert back == texts
    assert ((days >= 0) & (days < 1)).all()


@given(
    st.lists(st.timedeltas(timedelta(days=-9_999), timedelta(days=9_999)), min_size=1),
    st.sampled_from(["%H:%M:%S", "%-H:%M", "%D days %H:%M:%S", "%D days %H:%M:%S.%6f", "%Dd %Hh %Mm"]),
)
def test_durations_come_back(lengths, text_format):
    ticks = np.array([each // timedelta(microseconds=1) for each in lengths])
    texts = datetimes.spell(datetimes.days_of(ticks), Column("long", kind="duration", format=(text_format,)))
    assert there_and_back(texts, "duration", text_format)[0] == texts


@given(st.lists(st.integers(-64_000 * datetimes.MICROSECONDS, 64_000 * datetimes.MICROSECONDS), min_size=1))
def test_microseconds_are_exact_and_sums_snap_back(ticks):
    days = datetimes.days_of(np.array(ticks, dtype=np.int64))
    assert datetimes.ticks_of(days).tolist() == ticks
    since = days[::-1] / 120  # so that the intervals lie within the exact range as well
    since = datetimes.days_of(datetimes.ticks_of(since))
    assert datetimes.added(since, datetimes.added(days, -since)).tolist() == days.tolist()


@pytest.mark.parametrize(
    ("kind", "text_format", "text", "days"),
    [
        ("date", "%d/%m/%Y", "29/02/2024", 19_782),
        ("date", "%Y-%m-%d", "9999-12-31", 2_932_896),
        ("date", "%Y-%m-%d", "0001-01-01", -719_162),
        ("date", "%Y%m%d", "20240229", 19_782),
        ("date", "%d.%m.%y", "01.01.70", 0),
        ("datetime", "%Y-%m-%dT%H:%M:%SZ", "1970-01-02T12:00:00Z", 1.5),
        ("datetime", "%Y-%m-%d %H:%M%:z", "1970-01-01 01:00+01:00", 0),
        ("time", "%I:%M %p", "12:30 AM", 0.5 / 24),
        ("duration", "%H:%M", "36:00", 1.5),
        ("duration", "%H:%M:%S", "-06:00:00", -0.25),
    ],
)
def test_hand_worked_cells(kind, text_format, text, days):
    assert datetimes.parse([text], Column("x", kind=kind, format=(text_format,))).tolist() == [days]


@pytest.mark.parametrize("text", ["30/02/2024", "29/02/2023", "2024-02-03", "1/2", "", "32/01/2024", "01/01/10000"])
def test_what_is_no_date_is_none(text):
    assert np.isnan(datetimes.parse([text], Column("x", kind="date", format=("%d/%m/%Y",)))).all()


def test_without_a_format_iso_is_read_and_written():
    column = Column("x", kind="datetime")
    texts = ["2024-02-29", "2024-02-29T10:30", "2024-02-29 10:30:00+02:00"]
    assert datetimes.spell(datetimes.parse(texts, column), column) == [
        *("2024-02-29 00:00:00", "2024-02-29 10:30:00", "2024-02-29 08:30:00")
    ]


def test_truncation_knows_the_calendar():
    days = datetimes.parse(["2024-02-29 23:59", "1969-12-31", "0001-06-15"], Column("x", kind="datetime"))
    for unit, texts in {
        "year": ["2024-01-01", "1969-01-01", "0001-01-01"],
        "month": ["2024-02-01", "1969-12-01", "0001-06-01"],
        "day": ["2024-02-29", "1969-12-31", "0001-06-15"],
    }.items():
        assert datetimes.spell(datetimes.truncated(days, unit), Column("x", kind="date")) == texts


def described(tmp_path, block):
    path = tmp_path / "schema.toml"
    path.write_text(f'[columns.filler]\nkind = "integer"\n[columns.x]\n{block}\n', encoding="utf-8")
    return schema_file.load(path)


@pytest.mark.parametrize(
    ("block", "said"),
    [
        ('kind = "date"\nformat = "%d/%m"', "columns.x.format: '%d/%m' does not spell a date: it must give the year"),
        ('kind = "date"\nformat = "%Y-%m-%d %H:%M"', 'use kind = "datetime"'),
        ('kind = "date"\nformat = "%Y-%m-%Q"', "the directives %Q mean nothing"),
        ('kind = "date"\nformat = "%Y-%Y-%m"', "a directive stands in it twice"),
        ('kind = "time"\nformat = "%M"', "it must give the hour"),
        ('kind = "duration"\nformat = "soon"', "it must hold a directive"),
        ('kind = "numeric"\nformat = "%Y"', "columns.x.format: belongs to dates and times"),
        ('kind = "date"\nbounds = ["soon", "later"]', "columns.x.bounds: must be a date each"),
        ('kind = "date"\nbounds = [2024-01-01, 2023-01-01]', "columns.x.bounds: the lowest value must come first"),
        ('kind = "numeric"\nbounds = [2023-01-01, 2024-01-01]', "columns.x.bounds: must be a number each"),
        ('kind = "date"\nanchor = "filler"', "columns.x.anchor: must name a learned date"),
        ('kind = "date"\nanchor = "x"', "columns.x.anchor: the column is, in the end, anchored to itself"),
        ('kind = "time"\nanchor = "filler"', "columns.x.anchor: belongs to a date or datetime"),
    ],
)
def test_mistakes_in_a_schema_are_named(tmp_path, block, said):
    with pytest.raises(SchemaError, match="A schema must fit its rules") as error:
        described(tmp_path, block)
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("block", "bounds"),
    [
        ('kind = "date"\nbounds = [1970-01-02, 1970-01-05]', (1, 4)),
        ('kind = "date"\nformat = "%d.%m.%Y"\nbounds = ["02.01.1970", "1970-01-05"]', (1, 4)),
        ('kind = "datetime"\nbounds = [1970-01-01T06:00:00, "1970-01-02"]', (0.25, 1)),
        ('kind = "time"\nbounds = [06:00:00, "18:00"]', (0.25, 0.75)),
        ('kind = "duration"\nformat = "%H:%M"\nbounds = ["00:00", "48:00"]', (0, 2)),
        ('kind = "duration"\nbounds = [0, 2.5]', (0, 2.5)),
    ],
)
def test_bounds_may_be_dates_and_times(tmp_path, block, bounds):
    assert described(tmp_path, block).column("x").bounds == bounds


def written(tmp_path, path, block):
    """Read a table, write its very rows again, and return both files' texts."""
    meaning = described(tmp_path, block)
    source = table_reader.read(path, meaning)
    out = tmp_path / f"out.{source.style.format.suffix}"
    table_writer.write([source.table.frame], source.table.schema, source.style, out, seed=0)
    return source, out


CELLS = {
    'kind = "date"\nformat = "%d/%m/%Y"': ["29/02/2024", "01/03/1899", "31/12/9999", ""],
    'kind = "date"\nformat = "%Y%m%d"\nmissing = ["0"]': ["20240229", "19991231", "0"],
    'kind = "datetime"\nformat = "%Y-%m-%dT%H:%M:%S.%6f+01:00"': ["2024-02-29T10:11:12.123456+01:00"],
    'kind = "datetime"\nformat = "%-m/%-d/%Y %-I:%M %p"': ["2/9/2024 1:05 AM", "12/31/2024 12:00 PM", ""],
    'kind = "time"\nformat = "%H:%M"\nmissing = ["?"]': ["00:00", "23:59", "?"],
    'kind = "duration"\nformat = "%-H:%M"': ["0:05", "123:59", ""],
}


@pytest.mark.parametrize(("block", "cells"), CELLS.items())
def test_a_csv_comes_back_byte_for_byte(tmp_path, block, cells):
    path = tmp_path / "t.csv"
    rows = [f"{number},{cells[number % len(cells)]}" for number in range(120)]
    path.write_text("\n".join(["filler,x", *rows]) + "\n", encoding="utf-8")
    _, out = written(tmp_path, path, block)
    assert out.read_bytes() == path.read_bytes()


def test_cells_that_fit_no_format_are_counted_and_never_shown(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("filler,x\n" + "1,2024-01-01\n" * 118 + "1,30/02/2024\n1,secret\n", encoding="utf-8")
    with pytest.raises(InputError) as error:
        written(tmp_path, path, 'kind = "date"\nformat = "%Y-%m-%d"')
    assert "'x' is date, however 2 cells are not spelled as its format says" in str(error.value)
    assert "secret" not in str(error.value)
    source, _ = written(tmp_path, path, 'kind = "date"\nformat = "%Y-%m-%d"\nmissing = ["*"]')
    assert source.table.frame["x"].isna().sum() == 2


def test_several_formats_are_read_and_the_first_is_written(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("filler,x\n" + "1,2024-01-31\n" * 60 + "1,31.01.2024\n" * 60, encoding="utf-8")
    source, out = written(tmp_path, path, 'kind = "date"\nformat = ["%Y-%m-%d", "%d.%m.%Y"]')
    assert (source.table.frame["x"] == 19_753).all()
    assert "." not in out.read_text(encoding="utf-8")


TYPES = {
    "s": (pa.timestamp("s"), "datetime"),
    "ms": (pa.timestamp("ms", "Europe/Zurich"), "datetime"),
    "us": (pa.timestamp("us"), "datetime"),
    "ns": (pa.timestamp("ns", "UTC"), "datetime"),
    "date32": (pa.date32(), "date"),
    "date64": (pa.date64(), "date"),
    "time32": (pa.time32("ms"), "time"),
    "time64": (pa.time64("ns"), "time"),
    "duration": (pa.duration("us"), "duration"),
    "text": (pa.string(), "date"),
    "digits": (pa.int64(), "date"),
}


@pytest.mark.parametrize(("kind", "declared"), TYPES.values(), ids=TYPES)
def test_parquet_types_and_values_come_back(tmp_path, kind, declared):
    if pa.types.is_string(kind) or pa.types.is_integer(kind):
        values = pa.array(["20240229", "19700101", None] * 40).cast(kind)
    else:
        ticks = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}[getattr(kind, "unit", "ms")]
        base = [1_234 * ticks + ticks // 2 * (ticks > 1), 86_399 * ticks, None]
        if pa.types.is_timestamp(kind):
            base = [1_709_164_800 * ticks + 123 * (ticks > 1) * (1_000 if ticks == 10**9 else 1), -5 * ticks, None]
        if pa.types.is_date(kind):
            base = [19_782, -1, None] if pa.types.is_date32(kind) else [19_782 * 86_400_000, -86_400_000, None]
        width = pa.int32() if pa.types.is_date32(kind) or pa.types.is_time32(kind) else pa.int64()
        values = pa.array(base * 40, type=width).cast(kind)
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"filler": pa.array(range(120)), "x": values}), path)
    block = f'kind = "{declared}"' + (
        '\nformat = "%Y%m%d"' if declared == "date" and not pa.types.is_date(kind) else ""
    )
    _, out = written(tmp_path, path, block)
    assert pq.read_table(out)["x"].equals(pq.read_table(path)["x"])


@settings(max_examples=25)
@given(st.lists(st.datetimes(FIRST, LAST), min_size=100, max_size=110))
def test_pandas_datetimes_keep_their_dtype_and_values(tmp_path_factory, stamps):
    folder = tmp_path_factory.mktemp("t")
    frame = pd.DataFrame({"filler": 1, "x": pd.Series(stamps).astype("datetime64[us]")})
    frame.to_parquet(folder / "t.parquet")
    _, out = written(folder, folder / "t.parquet", 'kind = "datetime"')
    pd.testing.assert_frame_equal(pd.read_parquet(out), frame)


def test_bounds_hold_when_a_cell_is_written():
    column = Column("x", kind="time", format=("%H:%M",))
    assert datetimes.spell(np.array([0.99999, np.nan]), column) == ["23:59", None]
    assert datetimes.bound(time(6), column) == 0.25
