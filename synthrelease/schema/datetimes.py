"""Dates, times of day and durations: a text in a declared format <-> float64 days.

A date or a datetime is days since 1970-01-01 (of its local clock; of UTC where offsets differ from row to row), a time
of day and a duration are days. Everything is kept on a grid of microseconds, which is exact from 1790 to 2149; beyond
those years float64 still tells milliseconds apart.

A format is spelled with the directives of ``strptime``, with these besides: ``%-d %-m %-H %-I`` (no leading zero),
``%3f`` (three decimals of a second), ``%^b`` (JAN), ``%P`` (am), ``%:z`` (+01:00), and ``%D`` (whole days) in
durations, whose first part counts as far as it must.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Literal

import numpy as np

from synthrelease.core.contracts import Column, FloatArray, IntArray

MICROSECONDS = 86_400_000_000
"""In a day."""

Unit = Literal["year", "month", "day"]
Bound = float | int | str | date | time

DEFAULT_FORMATS: Mapping[str, str] = {
    "datetime": "%Y-%m-%d %H:%M:%S",
    "date": "%Y-%m-%d",
    "time": "%H:%M:%S",
    "duration": "%H:%M:%S",
}
"""How a column is written whose schema does not say; without a format, every ISO 8601 spelling is read."""

_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - a wall clock has no zone
_NO_DATE = datetime(1900, 1, 1)  # noqa: DTZ001 - what strptime puts before a time of day
_MICROSECOND = timedelta(microseconds=1)
_FIRST = (datetime.min - _EPOCH) // _MICROSECOND  # noqa: DTZ901
_LAST = (datetime.max - _EPOCH) // _MICROSECOND  # noqa: DTZ901
_MOST_DAYS = 10_000_000
_DIRECTIVE = re.compile(r"%([-^:]|\d)?([A-Za-z%])")
_LONG_FRACTION = re.compile(r"([.,]\d{6})\d+")
_DURATION_PARTS = {"D": MICROSECONDS, "H": 3_600_000_000, "M": 60_000_000, "S": 1_000_000}
_FINEST = {"S": 1_000_000, "M": 60_000_000, "H": 3_600_000_000, "I": 3_600_000_000}

_SPELL: Mapping[str, Callable[[datetime], str]] = {
    "Y": lambda m: f"{m.year:04d}",
    "y": lambda m: f"{m.year % 100:02d}",
    "m": lambda m: f"{m.month:02d}",
    "d": lambda m: f"{m.day:02d}",
    "j": lambda m: f"{m.timetuple().tm_yday:03d}",
    "H": lambda m: f"{m.hour:02d}",
    "I": lambda m: f"{m.hour % 12 or 12:02d}",
    "M": lambda m: f"{m.minute:02d}",
    "S": lambda m: f"{m.second:02d}",
    "p": lambda m: "AM" if m.hour < 12 else "PM",
    "P": lambda m: "am" if m.hour < 12 else "pm",
    "b": lambda m: m.strftime("%b"),
    "B": lambda m: m.strftime("%B"),
    "a": lambda m: m.strftime("%a"),
    "A": lambda m: m.strftime("%A"),
    "%": lambda _: "%",
}


def days_of(ticks: IntArray) -> FloatArray:
    """Turn microseconds (int64) into days, the one float64 that stands for each."""
    return np.asarray(ticks // MICROSECONDS + (ticks % MICROSECONDS) / MICROSECONDS, dtype=np.float64)


def ticks_of(days: FloatArray) -> IntArray:
    """Turn finite days into the nearest whole microseconds; what is beyond any calendar stays at its end."""
    within = np.clip(days, -_MOST_DAYS, _MOST_DAYS)
    whole = np.floor(within)
    return np.asarray(whole.astype(np.int64) * MICROSECONDS + np.rint((within - whole) * MICROSECONDS).astype(np.int64))


def calendar_ticks(days: FloatArray) -> IntArray:
    """Turn finite days into microseconds inside the years 1 to 9999."""
    return np.clip(ticks_of(days), _FIRST, _LAST)


def added(days: FloatArray, more: FloatArray) -> FloatArray:
    """Return days + more, counted in whole microseconds: no rounding error comes in; NaN where either is."""
    gone = np.isnan(days) | np.isnan(more)
    total = ticks_of(np.where(gone, 0.0, days)) + ticks_of(np.where(gone, 0.0, more))
    return np.where(gone, np.nan, days_of(total))


def _where_finite(days: FloatArray, change: Callable[[FloatArray], FloatArray]) -> FloatArray:
    changed = np.full(len(days), np.nan)
    is_finite = np.isfinite(days)
    changed[is_finite] = change(days[is_finite])
    return changed


def truncated(days: FloatArray, unit: Unit) -> FloatArray:
    """Move days back to the start of their day, month or year; NaN stays."""

    def begin(finite: FloatArray) -> FloatArray:
        whole = np.floor(finite).astype(np.int64).astype("datetime64[D]")
        code = {"year": "Y", "month": "M", "day": "D"}[unit]
        return whole.astype(f"datetime64[{code}]").astype("datetime64[D]").astype(np.int64).astype(np.float64)

    return _where_finite(days, begin)


def parse(texts: Sequence[str], column: Column) -> FloatArray:
    """Return the days that each trimmed text stands for in a column, NaN where no format of the column fits it.

    Formats are tried in their order. Without any, ISO 8601 is read; a duration then is ``%H:%M:%S`` or ``%D days
    %H:%M:%S``.
    """
    readers = _readers(column)
    ticks = [next((found for reader in readers if (found := reader(text)) is not None), None) for text in texts]
    days = days_of(np.array([tick or 0 for tick in ticks], dtype=np.int64))
    return np.where(np.array([tick is None for tick in ticks], dtype=np.bool_), np.nan, days)


_Reader = Callable[[str], int | None]


def _readers(column: Column) -> list[_Reader]:
    if column.kind == "duration":
        return [_duration_reader(each) for each in column.format or ("%H:%M:%S", "%D days %H:%M:%S")]
    if not column.format:
        return [_iso_time if column.kind == "time" else _iso]
    return [_reader(each, is_time=column.kind == "time") for each in column.format]


def _reader(text_format: str, *, is_time: bool) -> _Reader:
    plain = _DIRECTIVE.sub(lambda found: f"%{found[2].replace('P', 'p')}", text_format)
    start = _NO_DATE if is_time else _EPOCH
    has_fraction = "%f" in plain

    def read(text: str) -> int | None:
        try:
            moment = datetime.strptime(_LONG_FRACTION.sub(r"\1", text) if has_fraction else text, plain)  # noqa: DTZ007
        except ValueError:
            return None
        return (_utc(moment) - start) // _MICROSECOND

    return read


def _utc(moment: datetime) -> datetime:
    return moment if moment.tzinfo is None else moment.astimezone(UTC).replace(tzinfo=None)


def _iso(text: str) -> int | None:
    try:
        return (_utc(datetime.fromisoformat(text)) - _EPOCH) // _MICROSECOND
    except (ValueError, OverflowError):
        return None


def _iso_time(text: str) -> int | None:
    try:
        moment = time.fromisoformat(text)
    except ValueError:
        return None
    return (datetime.combine(_EPOCH, moment.replace(tzinfo=None)) - _EPOCH) // _MICROSECOND


def _duration_reader(text_format: str) -> _Reader:
    pattern, is_first = r"(?P<sign>-)?", True
    position = 0
    for found in _DIRECTIVE.finditer(text_format):
        pattern += re.escape(text_format[position : found.start()])
        if found[2] == "f":
            pattern += r"(?P<f>\d{1,9})"
        else:
            pattern += rf"(?P<{found[2]}>\d{{1,9}})" if is_first else rf"(?P<{found[2]}>\d{{1,2}})"
        position, is_first = found.end(), False
    shape = re.compile(pattern + re.escape(text_format[position:]))

    def read(text: str) -> int | None:
        found = shape.fullmatch(text)
        if found is None:
            return None
        parts = found.groupdict()
        ticks = sum(int(parts[part]) * size for part, size in _DURATION_PARTS.items() if parts.get(part))
        ticks += int(f"{parts.get('f') or '':0<6}"[:6])
        return -ticks if parts["sign"] else ticks

    return read


def spell(days: FloatArray, column: Column) -> list[str | None]:
    """Write days in the column's (first) format, rounded to its finest part; None where missing."""
    text_format = next(iter(column.format), DEFAULT_FORMATS[column.kind])
    texts: list[str | None] = [None] * len(days)
    places = np.flatnonzero(np.isfinite(days))
    step = _step(text_format)
    ticks = ticks_of(days[places])
    ticks = (ticks + step // 2) // step * step if step < MICROSECONDS else ticks
    if column.kind == "duration":
        write = _duration_writer(text_format)
    else:
        last = MICROSECONDS - step if column.kind == "time" else _LAST // step * step
        ticks = np.clip(ticks, 0 if column.kind == "time" else _FIRST, last)
        write = _writer(text_format)
    distinct, which = np.unique(ticks, return_inverse=True)
    spelled = [write(tick) for tick in distinct.tolist()]
    for place, at in zip(places.tolist(), which.tolist(), strict=True):
        texts[place] = spelled[at]
    return texts


def _step(text_format: str) -> int:
    """The finest part of a format in microseconds; a whole day if it has no time."""
    parts = {found[2]: found[1] for found in _DIRECTIVE.finditer(text_format)}
    if "f" in parts:
        return int(10 ** max(0, 6 - int(parts["f"] or 6)))
    return next((size for part, size in _FINEST.items() if part in parts), MICROSECONDS)


def _writer(text_format: str) -> Callable[[int], str]:
    def write(ticks: int) -> str:
        moment = _EPOCH + timedelta(microseconds=ticks)
        return _DIRECTIVE.sub(lambda found: _spelled(moment, found[1] or "", found[2]), text_format)

    return write


def _spelled(moment: datetime, flag: str, part: str) -> str:
    if part == "f":
        return f"{moment.microsecond:06d}000"[: int(flag or 6)]
    if part == "z":
        return "+00:00" if flag == ":" else "+0000"
    text = _SPELL[part](moment)
    return text.lstrip("0") or "0" if flag == "-" else text.upper() if flag == "^" else text


def _duration_writer(text_format: str) -> Callable[[int], str]:
    parts = [found[2] for found in _DIRECTIVE.finditer(text_format)]

    def write(ticks: int) -> str:
        rest, values = abs(ticks), {}
        for part in (part for part in _DURATION_PARTS if part in parts):
            values[part], rest = divmod(rest, _DURATION_PARTS[part])

        def spelled(found: re.Match[str]) -> str:
            if found[2] == "f":
                return f"{rest:06d}000"[: int(found[1] or 6)]
            return f"{values[found[2]]}" if found[1] == "-" or found[2] == "D" else f"{values[found[2]]:02d}"

        return ("-" if ticks < 0 else "") + _DIRECTIVE.sub(spelled, text_format)

    return write


def format_problem(text_format: str, kind: str) -> str | None:
    """Say what is wrong with a declared format, or return None."""
    parts = [found[2] for found in _DIRECTIVE.finditer(text_format)]
    known = {*_DURATION_PARTS, "f"} if kind == "duration" else {*_SPELL, "f", "z"}
    if kind == "time":
        known -= {"Y", "y", "m", "d", "j", "b", "B", "a", "A", "z"}
    unknown = sorted(
        {part for part in parts if part not in known} | ({"?"} if text_format.count("%") > len(parts) else set())
    )
    if unknown:
        return f"the directives {' '.join(f'%{part}' for part in unknown)} mean nothing in a {kind}"
    repeated = len(parts) - len(set(parts))
    if repeated:
        return "a directive stands in it twice"
    has_date = bool({"Y", "y"} & {*parts}) and bool({"m", "b", "B", "j"} & {*parts})
    has_time = "H" in parts or ("I" in parts and bool({"p", "P"} & {*parts}))
    if kind in ("date", "datetime") and not has_date:
        return "it must give the year and the month"
    if kind == "date" and {"H", "I", "M", "S", "f"} & {*parts}:
        return 'it gives a time of day, which a date has not: use kind = "datetime"'
    if kind == "time" and not has_time:
        return "it must give the hour (%H, or %I with %p)"
    if kind == "duration" and not parts:
        return "it must hold a directive (%D, %H, %M or %S)"
    return None


def bound(value: Bound, column: Column) -> float | None:
    """Return the days of a declared bound: a number of days, a TOML date or time, or a text; None if it is none.

    A text is ISO 8601 or in the column's format.
    """
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, (int, float)):
        return float(value)
    if column.kind == "duration":
        text = value.isoformat() if isinstance(value, time) else str(value)
    else:
        text = value if isinstance(value, str) else value.isoformat()
    plain = Column(column.name, kind=column.kind)
    for reading in (column, plain) if isinstance(value, str) else (plain, column):
        days = parse([text.strip()], reading)[0]
        if np.isfinite(days):
            return float(days)
    return None


def written(days: float, kind: str) -> str:
    """Spell a bound for a reader: a date without a time where it has none."""
    short = "date" if kind == "datetime" and days == int(days) else kind
    text = spell(np.array([days]), Column("", kind=short))[0]  # type: ignore[arg-type]
    return text or ""


def from_parquet(texts: Sequence[str], column: Column, unit: str) -> FloatArray:
    """Return the days of a Parquet column's texts; ``unit`` is the Arrow unit of a duration (s, ms ...), or empty."""
    if unit:
        scale = {"s": 1_000_000, "ms": 1_000, "us": 1, "ns": 1}[unit]
        divisor = 1_000 if unit == "ns" else 1
        ticks = np.array([int(text) * scale // divisor for text in texts], dtype=np.int64)
        return days_of(ticks)
    return parse(texts, Column(column.name, kind="time" if column.kind == "time" else "datetime"))


def any_moment(value: object) -> bool:
    """Whether a TOML value may be the bound of a date, time or duration."""
    return isinstance(value, (str, date, time)) or (isinstance(value, (int, float)) and not isinstance(value, bool))


__all__ = [
    "DEFAULT_FORMATS",
    "MICROSECONDS",
    "added",
    "any_moment",
    "bound",
    "calendar_ticks",
    "days_of",
    "format_problem",
    "from_parquet",
    "parse",
    "spell",
    "ticks_of",
    "truncated",
    "written",
]
