"""Finding out how a column spells dates, times or durations, and which date follows which; for a schema's draft.

A format counts as found when writing what was read gives back every cell, so what `inspect` proposes is exact.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from synthrelease.core.contracts import BoolArray, Column, FloatArray, IntArray
from synthrelease.schema import datetimes
from synthrelease.schema.identifiers import detection

MomentKind = Literal["datetime", "date", "time", "duration"]

_DATES = (
    *("%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%Y%m%d", "%Y%m%d%H%M", "%Y%m%d%H%M%S"),
    *("%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%d-%m-%Y", "%m-%d-%Y", "%d/%m/%y", "%m/%d/%y", "%d.%m.%y", "%d-%m-%y"),
    *("%-d/%-m/%Y", "%-m/%-d/%Y", "%-d.%-m.%Y", "%-d-%-m-%Y", "%-m-%-d-%Y", "%-d/%-m/%y", "%-m/%-d/%y", "%-d.%-m.%y"),
    *("%Y-%-m-%-d", "%Y/%-m/%-d", "%d-%b-%Y", "%d-%b-%y", "%d %b %Y", "%d%b%Y", "%-d %b %Y", "%-d-%b-%Y", "%-d-%b-%y"),
    *("%d-%^b-%Y", "%d-%^b-%y", "%d%^b%Y", "%d%^b%y", "%d %^b %Y", "%d %B %Y", "%-d %B %Y", "%b %d, %Y", "%b %-d, %Y"),
    *("%B %d, %Y", "%B %-d, %Y", "%Y-%m", "%m/%Y", "%b %Y", "%b-%Y", "%b-%y", "%B %Y"),
)
_DURATIONS = ("%-H:%M:%S", "%H:%M:%S", "%-H:%M", "%H:%M", "%D days %H:%M:%S", "%Dd %Hh", "%Dd %Hh %Mm")
_SWAPPED = str.maketrans("dm", "md")
_PARTS = re.compile(
    r"^(?P<date>.*?)(?P<sep>T| *)(?P<hour>\d{1,2})(?P<minute>:\d{2})(?P<second>:\d{2})?(?P<fraction>[.,]\d{1,9})?"
    r"(?P<half> ?[AaPp][Mm])?(?P<zone> ?(?:Z|UTC|[+-]\d{2}:?\d{2}))?$"
)
_LENGTH_WORDS = frozenset({"duration", "length", "elapsed", "los", "stay", "interval", "lag", "delay", "runtime"})
_DATE_WORDS = frozenset({"date", "dt", "dob", "dod", "day", "when", "admitted", "discharged", "birth", "datetime"})
_ZEROS = re.compile(r"^0{4}[-/.]?00[-/.]?00([ T][0:.]*)?$|^00[-/.]00[-/.]0000$")
_SAMPLE = 200
_SHARE = 0.95
_MOST_FORMATS = 3
_FEWEST_DIGIT_DATES = 20
_YEARS = (1800, 2200)
_OPEN_ENDED_YEAR = 9000
_SHARE_ORDERED = 0.95
_FEWEST_PAIRS = 30


@dataclass(frozen=True, slots=True)
class Dating:
    """What a column of dates, times or durations looks like.

    ``formats`` are its spellings, commonest first; none where a Parquet type says it all. ``days`` are its distinct
    cells in days, NaN where none of the formats fits. ``open_ended`` are cells such as 9999-12-31.
    """

    kind: MomentKind
    formats: tuple[str, ...]
    days: FloatArray
    bounds: tuple[str, str] | None = None
    open_ended: tuple[str, ...] = ()
    misfits: int = 0
    notes: tuple[str, ...] = ()


def of_type(texts: Sequence[str], arrow: str, unit: str) -> Dating:
    """Describe a Parquet column of a temporal type; ``arrow`` is the type's name, ``unit`` that of a duration.

    A timestamp that is always midnight is a date.
    """
    kinds: dict[str, MomentKind] = {"duration": "duration", "timestamp": "datetime", "time": "time", "date": "date"}
    kind = next(kinds[each] for each in kinds if arrow.startswith(each))
    days = datetimes.from_parquet(texts, Column("", kind=kind), unit)
    finite = days[np.isfinite(days)]
    if kind == "datetime" and bool((finite == np.floor(finite)).all()):
        kind = "date"
    return _described(Dating(kind, (), days), texts)


def of_text(name: str, cells: Sequence[str], counts: Sequence[int], *, is_integer: bool) -> Dating | None:
    """Find the kind and the formats of distinct trimmed cells (``counts`` rows each); None if they are nothing such.

    Dates of nothing but zeros (0000-00-00) stand for no date, like those of the year 9999.
    """
    is_zero = np.array([_ZEROS.match(cell) is not None or (is_integer and cell == "0") for cell in cells])
    if not is_zero.any():
        return _of_text(name, cells, counts, is_integer=is_integer)
    kept = np.flatnonzero(~is_zero).tolist()
    found = _of_text(name, [cells[at] for at in kept], [counts[at] for at in kept], is_integer=is_integer)
    if found is None or found.kind not in ("date", "datetime"):
        return None if found is None else _of_text(name, cells, counts, is_integer=is_integer)
    days = np.full(len(cells), np.nan)
    days[kept] = found.days
    zeros = tuple(cell for cell, out in zip(cells, is_zero, strict=True) if out)
    return replace(found, days=days, open_ended=(*found.open_ended, *zeros))


def _of_text(name: str, cells: Sequence[str], counts: Sequence[int], *, is_integer: bool) -> Dating | None:
    if not cells:
        return None
    sample = _sample(cells)
    words = set(detection.words(name))
    kinds: tuple[MomentKind, ...] = ("date", "datetime", "time", "duration")
    if is_integer:
        is_enough = len(cells) >= _FEWEST_DIGIT_DATES or words & _DATE_WORDS
        if {len(cell) for cell in cells} - {8, 12, 14} or not is_enough:
            return None
        kinds = ("date", "datetime")
    elif sum(len(re.findall(r"\d", cell)) > 1 for cell in sample) < (_SHARE - 0.1) * len(sample):
        return None
    elif words & _LENGTH_WORDS:
        kinds = ("date", "datetime", "duration", "time")
    found = []
    for kind in kinds:
        candidates = _candidates(sample, kind)
        if sum(_fits(candidates, sample, kind)) >= (_SHARE - 0.1) * len(sample):
            found.append(_found(kind, cells, np.asarray(counts, dtype=np.int64)))
    fitting = [each for each in found if each is not None]
    return min(fitting, key=lambda each: (each.misfits, len(each.formats)), default=None)


def _fits(formats: Sequence[str], cells: Sequence[str], kind: MomentKind) -> list[bool]:
    covered = np.zeros(len(cells), dtype=np.bool_)
    for each in formats:
        covered |= _covered(each, cells, kind)
    return covered.tolist()


def _covered(text_format: str, cells: Sequence[str], kind: MomentKind) -> BoolArray:
    """Which cells come back as they are when read and written in the format, and lie in plausible years."""
    column = Column("", kind=kind, format=(text_format,))
    days = datetimes.parse(cells, column)
    spelled = datetimes.spell(days, column)
    if "%z" in text_format or "%:z" in text_format:  # every offset is read, and UTC is written
        return np.isfinite(days)
    same = np.array([a == _cut(b) for a, b in zip(spelled, cells, strict=True)], dtype=np.bool_)
    if kind not in ("date", "datetime"):
        return same
    years = _years(days)
    return same & (((years >= _YEARS[0]) & (years <= _YEARS[1])) | _is_open_ended(years))


def _cut(cell: str) -> str:
    """A cell whose seconds have more than six decimals, the rest of them zeros: nothing finer is kept."""
    return cell if len(cell) < 15 else re.sub(r"([.,]\d{6})(\d+)", lambda found: found[1] + "0" * len(found[2]), cell)


def _years(days: FloatArray) -> IntArray:
    """The calendar year of each day, 0 where missing."""
    finite = np.isfinite(days)
    whole = np.floor(np.where(finite, days, 0.0)).astype(np.int64).astype("datetime64[D]")
    return np.where(finite, whole.astype("datetime64[Y]").astype(np.int64) + 1970, 0)


def _is_open_ended(years: IntArray) -> BoolArray:
    return np.asarray((years >= _OPEN_ENDED_YEAR) | (years == 1))


def _candidates(cells: Sequence[str], kind: MomentKind) -> list[str]:
    """Formats that may fit: every spelling of a date, with the times of day and zones that occur."""
    if kind == "duration":
        return list(_DURATIONS)
    if kind == "date":
        midnights = {f"{found['sep']}{cell[found.end('sep') :]}" for cell in cells if (found := _midnight(cell))}
        return [date + tail for tail in ("", *sorted(midnights)) for date in _DATES if "%H" not in date]
    tails = Counter(tail for cell in cells if (tail := _tail(cell)) is not None)
    zones = {zone for _, zone in tails}
    if len(zones) > 1:
        shared = " %:z" if any(zone.startswith(" ") for zone in zones) else "%:z"
        shared = shared if any(":" in zone for zone in zones) else shared.replace("%:z", "%z")
        tails = Counter({(tail, shared): count for (tail, _), count in tails.items()})
    times = [tail + zone for (tail, zone), _ in tails.most_common(6)]
    if kind == "time":
        return times
    return [date + tail for tail in times for date in _DATES if "%H" not in date] + [d for d in _DATES if "%H" in d]


def _midnight(cell: str) -> re.Match[str] | None:
    found = _PARTS.match(cell)
    digits = "" if found is None else re.sub(r"\D", "", cell[found.end("sep") :])
    is_midnight = found is not None and not digits.strip("0") and not found["zone"] and not found["half"]
    return found if is_midnight else None


def _tail(cell: str) -> tuple[str, str] | None:
    """The format of a cell's time of day with what parts it from the date, and its zone, spelled out."""
    found = _PARTS.match(cell)
    if found is None:
        return None
    half, fraction = found["half"] or "", found["fraction"] or ""
    hour = ("%I" if half else "%H") if len(found["hour"]) == 2 else ("%-I" if half else "%-H")
    text = found["sep"] + hour + ":%M" + (":%S" if found["second"] else "")
    text += f"{fraction[0]}%{len(fraction) - 1}f" if fraction else ""
    text += f"{' ' * half.startswith(' ')}{'%P' if half[-1:].islower() else '%p'}" if half else ""
    return text, found["zone"] or ""


def _found(kind: MomentKind, cells: Sequence[str], counts: IntArray) -> Dating | None:
    """Choose the fewest formats that cover the cells, greedily; None unless they cover nearly all rows.

    Each is the one that fits most of a sample of what is left, so that a rare spelling is found as well.
    """
    left = np.ones(len(cells), dtype=np.bool_)
    chosen: list[str] = []
    while left.any() and len(chosen) < _MOST_FORMATS:
        sample = _sample([cells[at] for at in np.flatnonzero(left).tolist()])
        hits = {each: int(_covered(each, sample, kind).sum()) for each in _candidates(sample, kind)}
        best = max(hits, key=lambda each: hits[each], default="")
        if not best or not hits[best]:
            break
        chosen.append(best)
        left &= ~_covered(best, cells, kind)
    if not chosen or counts[left].sum() > (1 - _SHARE) * counts.sum():
        return None
    column = Column("", kind=kind, format=tuple(chosen))
    days = datetimes.parse(cells, column)
    misfits = int(counts[np.isnan(days)].sum())
    return _described(Dating(kind, tuple(chosen), days, misfits=misfits, notes=_notes(chosen, cells, kind)), cells)


def _sample(cells: Sequence[str]) -> Sequence[str]:
    return cells[:: max(1, len(cells) // _SAMPLE)]


def _notes(chosen: Sequence[str], cells: Sequence[str], kind: MomentKind) -> tuple[str, ...]:
    notes = []
    if len(chosen) > 1:
        notes.append(
            f"WARNING: written in {len(chosen)} different ways, tried in this order; the first will be written. "
            "Make sure that each means what it says here"
        )
    first = chosen[0]
    swapped = first.translate(_SWAPPED)
    may_swap = re.match(r"%-?[dm][^%]%-?[dm]", first) and all(_covered(swapped, cells[:_SAMPLE], kind))
    if may_swap and all(_covered(swapped, cells, kind)):
        notes.append(
            "WARNING: day and month cannot be told apart in these cells. Make sure that they stand in this order"
        )
    if "%y" in first:
        notes.append("WARNING: years have two digits: 69 to 99 are read as 19.., 00 to 68 as 20..")
    if "%z" in first or "%:z" in first:
        notes.append("offsets from UTC differ between rows: times are learned and written in UTC")
    return tuple(notes)


def _described(dating: Dating, cells: Sequence[str]) -> Dating:
    """Add bounds in whole years, and set open-ended dates aside."""
    if dating.kind not in ("date", "datetime"):
        return dating
    years = _years(dating.days)
    is_open = _is_open_ended(years)
    marks = tuple(cell for cell, out in zip(cells, is_open, strict=True) if out)
    usual = years[np.isfinite(dating.days) & ~is_open]
    if not len(usual) or len(marks) > 2:
        return dating
    days = np.where(is_open, np.nan, dating.days)
    bounds = (f"{usual.min():04d}-01-01", f"{usual.max() + 1:04d}-01-01")
    return replace(dating, days=days, bounds=bounds, open_ended=marks)


def anchors(columns: Sequence[tuple[str, FloatArray]], *, target: str | None) -> dict[str, str]:
    """Find dates that usually follow another one closely: name -> the name of the date they follow.

    ``columns`` are the rows of each date column in days, NaN where missing. A date follows another when it is no
    earlier in nearly all rows and the interval varies less than half as much as the date itself.
    """
    found: dict[str, str] = {}
    for position, (name, values) in enumerate(columns):
        best, spread = "", np.inf
        for place, (other, since) in enumerate(columns):
            both = np.isfinite(values) & np.isfinite(since)
            if other == name or name == target or _leads_to(found, other, name) or both.sum() < _FEWEST_PAIRS:
                continue
            gaps = values[both] - since[both]
            is_same = not gaps.any()  # two copies of one date: the later column follows the earlier one
            if (gaps >= 0).mean() < _SHARE_ORDERED or (is_same and position < place):
                continue
            if gaps.std() < min(0.5 * values[both].std(), spread):
                best, spread = other, float(gaps.std())
        if best:
            found[name] = best
    return found


def _leads_to(found: dict[str, str], start: str, name: str) -> bool:
    """Whether following anchors from ``start`` comes to ``name``."""
    while start in found:
        start = found[start]
        if start == name:
            return True
    return False
