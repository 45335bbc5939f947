"""Files of statistics packages: Stata and SPSS read and written, SAS read, all by ReadStat (pyreadstat).

A column whose values all bear value labels is read as its labels; any other as its values. Values that the file
declares missing (SPSS ranges, Stata's .a to .z) become missing, and their spelling is kept as a mark.
"""

from __future__ import annotations

import datetime
import re
import shutil
import tempfile
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyreadstat
from pyreadstat import PyreadstatError, ReadstatError

from synthrelease.data.formats.location import Place, damaged
from synthrelease.data.formats.typed_columns import Collected, as_text, encoded
from synthrelease.data.raw_table import STATA_MISSING, Dialect, RawColumn, TableFile

_NUMBERS = {
    "int8": pa.int8(),
    "int16": pa.int16(),
    "int32": pa.int32(),
    "float": pa.float32(),
    "double": pa.float64(),
}
_DATES = {
    "DATETIME": pa.timestamp("us"),
    "TIME": pa.time64("us"),
    **dict.fromkeys(("DATE", "EDATE", "ADATE", "SDATE", "%td", "%d"), pa.date32()),
    "%tc": pa.timestamp("us"),
}
"""What a column without a value would hold, by the beginning of its display format."""

_WRITTEN = datetime.datetime(2000, 1, 1, tzinfo=datetime.UTC).replace(tzinfo=None)
_STATA_TIME = (re.compile(rb"(<timestamp>.)[^<]{17}", re.DOTALL), b"01 Jan 2000 00:00")
_SPSS_TIME = (re.compile(rb"^(.{92}).{17}", re.DOTALL), b"01 Jan 0000:00:00")
Suffix = Literal["dta", "sav", "sas7bdat", "xpt"]
_READERS: Mapping[Suffix, tuple[str, Callable[..., Any]]] = {
    "dta": ("a Stata file (.dta)", pyreadstat.read_dta),
    "sav": ("an SPSS file (.sav)", pyreadstat.read_sav),
    "sas7bdat": ("a SAS file (.sas7bdat)", pyreadstat.read_sas7bdat),
    "xpt": ("a SAS transport file (.xpt)", pyreadstat.read_xport),
}


@dataclass(frozen=True, slots=True)
class Variable:
    """What a file says of a column beyond its values.

    ``type`` is how its values are stored. ``labels`` are value labels by value: a number, a text, or a letter for one
    of Stata's missing values. ``is_labelled`` says that the column is read as its labels. ``missing`` are the values
    declared missing, as SPSS ranges.
    """

    label: str | None
    type: pa.DataType
    format: str
    labels: Mapping[float | str, str] = field(default_factory=dict)
    is_labelled: bool = False
    missing: tuple[Any, ...] = ()
    measure: str = "unknown"
    width: int = 8
    mark: str = ""
    """The commonest letter of a missing value in a Stata column."""

    @property
    def codes(self) -> Mapping[str, float | str]:
        """Values by their labels."""
        return {label: value for value, label in self.labels.items()}


@dataclass(frozen=True, slots=True)
class Details:
    """The variables by name, and the label of the file."""

    variables: Mapping[str, Variable]
    file_label: str


def read_dta(place: Place) -> TableFile:
    """Read a Stata file."""
    return _read(place, "dta")


def read_sav(place: Place) -> TableFile:
    """Read an SPSS file (.sav or .zsav)."""
    return _read(place, "sav")


def read_sas(place: Place) -> TableFile:
    """Read a SAS file, which is written back as CSV."""
    file = _read(place, "xpt" if place.file.suffix.lower() == ".xpt" else "sas7bdat")
    columns = tuple(replace(raw, type=None) for raw in file.columns)
    notice = "SAS files are read and not written: the synthetic table is CSV."
    return TableFile(columns, file.rows, Dialect(), notice=notice)


def _read(place: Place, suffix: Suffix) -> TableFile:
    kind, reader = _READERS[suffix]
    options = {} if suffix == "xpt" else {"user_missing": True}
    try:
        if suffix == "dta":
            _check_claim(place, reader(str(place.file), metadataonly=True)[1])
        frame, meta = reader(str(place.file), **options)
    except (ReadstatError, PyreadstatError, UnicodeDecodeError, ValueError, OverflowError) as error:
        raise damaged(place, kind, error) from None
    columns, variables, rows = [], {}, len(frame)
    for name in list(frame.columns):
        raw, variables[name] = _column(str(name), frame.pop(name), meta)
        columns.append(raw)
    details = Details(variables, meta.file_label or "")
    return TableFile(tuple(columns), rows, None, format=suffix, details=details)


def _check_claim(place: Place, meta: Any) -> None:
    """Refuse a Stata file whose header claims more cells than it has bytes: ReadStat would try to make them all.

    Raises:
        ValueError: It does.
    """
    if (meta.number_rows or 0) * meta.number_columns > place.file.stat().st_size:
        raise ValueError("more cells than bytes")


def _column(name: str, values: pd.Series[Any], meta: Any) -> tuple[RawColumn, Variable]:
    """Turn one column into text, and keep what the file says of it."""
    shown = str(meta.original_variable_types.get(name, ""))
    kind = _kind(values, str(meta.readstat_variable_types.get(name, "double")), shown)
    codes, labels = encoded(_texts(values, kind))
    variable = Variable(
        label=meta.column_names_to_labels.get(name),
        type=kind,
        format=shown,
        labels=meta.variable_value_labels.get(name, {}),
        missing=tuple(meta.missing_ranges.get(name, ())),
        measure=meta.variable_measure.get(name, "unknown"),
        width=abs(int(meta.variable_display_width.get(name) or 8)),
    )
    is_number = pa.types.is_integer(kind) or pa.types.is_floating(kind)
    spelled = labels.to_pylist()
    letters = [is_number and STATA_MISSING.match(text) is not None for text in spelled]
    marks = [text for text, letter in zip(spelled, letters, strict=True) if letter or _is_missing(text, variable)]
    raw = RawColumn(name, name, codes, labels, kind, marks=frozenset(marks))
    if any(letters):
        commonest = np.argmax(np.where(letters, raw.counts(), -1))
        variable = replace(variable, mark=spelled[commonest][1:])
    return _labelled(raw, variable)


def _kind(values: pd.Series[Any], stored: str, shown: str) -> pa.DataType:
    """How the values are stored; dates and times by the values that the reader made of them, or by their format."""
    if stored == "string":
        return pa.string()
    if isinstance(values.dtype, np.dtype) and values.dtype.kind == "M":
        return pa.timestamp("us")
    first = next((value for value in values if value is not None and value == value), None)
    if isinstance(first, datetime.datetime):
        return pa.timestamp("us")
    if isinstance(first, datetime.date):
        return pa.date32()
    if isinstance(first, datetime.time):
        return pa.time64("us")
    if first is None:
        return next((kind for prefix, kind in _DATES.items() if shown.startswith(prefix)), _NUMBERS[stored])
    return _NUMBERS[stored]


def _texts(values: pd.Series[Any], kind: pa.DataType) -> pa.ChunkedArray:
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        return as_text(pa.chunked_array([pa.array(values, type=kind, from_pandas=True)]), kind)
    width = pa.float32() if pa.types.is_float32(kind) else pa.float64()
    numbers = pa.array(pd.to_numeric(values, errors="coerce").to_numpy(np.float64), pa.float64()).cast(width)
    texts = as_text(pa.chunked_array([numbers]), width)
    if values.dtype != object:
        return texts
    # Stata's .a to .z come as letters among the numbers.
    letters = [f".{value}" if isinstance(value, str) else None for value in values]
    return pc.coalesce(pa.chunked_array([pa.array(letters, pa.string())]), texts)


def _is_missing(text: str, variable: Variable) -> bool:
    """Whether a value lies in one of SPSS's missing ranges; dates never do."""
    is_number = pa.types.is_floating(variable.type)
    for each in variable.missing:
        low, high = each["lo"], each["hi"]
        if isinstance(low, str) or isinstance(high, str):
            if text.strip() == str(low).strip():
                return True
        elif is_number and low <= float(text) <= high:
            return True
    return False


def _labelled(raw: RawColumn, variable: Variable) -> tuple[RawColumn, Variable]:
    """Put labels in the place of values where every value has one of its own."""
    names = {_value_text(value): label.strip() for value, label in variable.labels.items()}
    found = [text for text in raw.labels.to_pylist() if text.strip()]
    is_labelled = (
        any(text not in raw.marks for text in found)
        and all(names.get(text) for text in found if text not in raw.marks)
        and len(set(names.values())) == len(names)
        and not set(names.values()) & (raw.marks - set(names))
    )
    if not is_labelled:
        return raw, variable
    variable = replace(
        variable, labels={value: label.strip() for value, label in variable.labels.items()}, is_labelled=True
    )
    return (
        replace(
            raw,
            labels=pa.array([names.get(text, text) for text in raw.labels.to_pylist()], pa.string()),
            type=pa.dictionary(pa.int32(), pa.string()),
            levels=tuple(
                label for text, label in names.items() if text not in raw.marks and not STATA_MISSING.match(text)
            ),
            marks=frozenset(names.get(mark, mark) for mark in raw.marks),
        ),
        variable,
    )


def _value_text(value: float | str) -> str:
    """Spell a labelled value as its cells are spelled."""
    if isinstance(value, str):
        return f".{value}" if len(value) == 1 and value.islower() else value
    return str(int(value)) if float(value).is_integer() else repr(float(value))


def write_dta(file: IO[bytes], schema: pa.Schema, details: Any) -> AbstractContextManager[Any]:
    """Open a Stata file; it is written as a whole when all rows are there."""
    return Collected(lambda table: _save_dta(table, file, details), schema)


def write_sav(file: IO[bytes], schema: pa.Schema, details: Any) -> AbstractContextManager[Any]:
    """Open an SPSS file; it is written as a whole when all rows are there."""
    return Collected(lambda table: _save_sav(table, file, details), schema)


def _series(values: pa.ChunkedArray, variable: Variable) -> pd.Series[Any]:
    """A written column as pandas holds it: labels turned back into values, letters among Stata's missing ones."""
    kind = variable.type
    cells: list[Any] = values.to_pylist()
    if variable.is_labelled:
        codes = variable.codes
        cells = [codes.get(cell) for cell in cells]
    if variable.mark:
        cells = [variable.mark if cell is None else cell for cell in cells]
    if any(isinstance(cell, str) for cell in cells) or not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        return pd.Series(cells, dtype=object)
    stored: Any = kind.to_pandas_dtype()
    if pa.types.is_integer(kind) and None in cells:
        stored = str(kind).capitalize()  # Int8, Int16 or Int32
    numbers: pd.Series[Any] = pd.Series(cells, dtype=stored)
    return numbers


def _save_dta(table: pa.Table, file: IO[bytes], details: Details) -> None:
    """By pandas, which keeps the storage types; by ReadStat where .a to .z occur, which only it can write."""
    variables = details.variables
    frame = pd.DataFrame({name: _series(table.column(name), variables[name]) for name in table.column_names})
    letters = {
        name: sorted({cell for cell in frame[name] if isinstance(cell, str)})
        for name, variable in variables.items()
        if not pa.types.is_string(variable.type)
    }
    letters = {name: found for name, found in letters.items() if found}
    labels: dict[str, Any] = {name: dict(variable.labels) for name, variable in variables.items() if variable.labels}
    titles: dict[Any, Any] = {name: variable.label for name, variable in variables.items() if variable.label}
    if letters or any(isinstance(value, str) for known in labels.values() for value in known):
        _by_path(
            file,
            lambda path: pyreadstat.write_dta(
                frame,
                path,
                file_label=details.file_label,
                column_labels=titles,
                variable_value_labels=labels,
                missing_user_values=letters or None,
                variable_format={name: v.format for name, v in variables.items() if not pa.types.is_string(v.type)},
            ),
            _STATA_TIME,
        )
        return
    dates = {name: v.type for name, v in variables.items() if pa.types.is_temporal(v.type)}
    for name in dates:
        frame[name] = pd.to_datetime(frame[name]).astype("datetime64[us]")
    frame.to_stata(
        file,
        write_index=False,
        version=None,
        data_label=details.file_label,
        variable_labels=titles,
        value_labels={name: {int(value): label for value, label in known.items()} for name, known in labels.items()},
        convert_dates={name: "td" if pa.types.is_date32(kind) else "tc" for name, kind in dates.items()},
        time_stamp=_WRITTEN,
    )


def _save_sav(table: pa.Table, file: IO[bytes], details: Details) -> None:
    variables = details.variables
    frame = pd.DataFrame({name: _series(table.column(name), variables[name]) for name in table.column_names})
    labels: dict[str, Any] = {name: dict(v.labels) for name, v in variables.items() if v.labels}
    for name, variable in variables.items():
        if pa.types.is_temporal(variable.type) and frame[name].isna().all():
            # Without a single date to go by, the column would be taken for text.
            frame[name] = pd.Series([pd.NaT] * len(frame), dtype="datetime64[us]")
    _by_path(
        file,
        lambda path: pyreadstat.write_sav(
            frame,
            path,
            file_label=details.file_label,
            column_labels={name: variable.label for name, variable in variables.items()},
            variable_value_labels=labels,
            missing_ranges={name: list(v.missing) for name, v in variables.items() if v.missing},
            variable_display_width={name: variable.width for name, variable in variables.items()},
            variable_measure={name: variable.measure for name, variable in variables.items()},
            # A text column may have become wider than its format said.
            variable_format={name: v.format for name, v in variables.items() if not pa.types.is_string(v.type)},
        ),
        _SPSS_TIME,
    )


def _by_path(file: IO[bytes], save: Callable[[str], object], stamp: tuple[re.Pattern[bytes], bytes]) -> None:
    """Save beside ``file`` and copy into it, with the time of writing overwritten: equal seeds give equal bytes."""
    with tempfile.TemporaryDirectory(dir=Path(file.name).parent) as folder:
        path = Path(folder) / "table"
        save(str(path))
        with path.open("rb") as saved:
            pattern, fixed = stamp
            file.write(pattern.sub(lambda found: found.group(1) + fixed, saved.read(400), count=1))
            shutil.copyfileobj(saved, file)
