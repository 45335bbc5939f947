"""Direct identifiers, found by a column's name, by the shape of its cells, by check digits and by uniqueness.

The classes are those of the HIPAA Safe Harbor list, 45 CFR 164.514(b)(2). A finding is a proposal for a person to
review: a column that is not found here may identify patients all the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from synthrelease.schema.identifiers import column_names, patterns
from synthrelease.schema.identifiers.column_names import (
    IdentifierClass,
    is_number_name,
    is_person_number,
    is_postcode_name,
    words,
)
from synthrelease.schema.identifiers.patterns import FEWEST_FOR_DIGITS

__all__ = [
    "BIRTH_DATE",
    "Finding",
    "View",
    "are_dates",
    "are_paired",
    "by_name",
    "by_shape",
    "examine",
    "is_birth_name",
    "is_number_name",
    "is_person_number",
    "is_postcode_name",
    "words",
]

BIRTH_DATE = column_names.BIRTH.title
"""The class of a date of birth: the one date that is a direct identifier here."""

_SHARE = patterns.SHARE
Codes = np.ndarray[Any, np.dtype[np.integer[Any]]]

_SAMPLE = 400
"""So many distinct cells are looked at, evenly spaced: enough to tell a share of 95% from one of 85%."""
_FLAGS = frozenset(
    [
        "yes",
        "no",
        "y",
        "n",
        "true",
        "false",
        "t",
        "f",
        "0",
        "1",
        "2",
        "none",
        "unknown",
        "given",
        "not",
        "known",
        "present",
        "absent",
        "ja",
        "nein",
        "oui",
        "non",
        "si",
        "sí",
        "sim",
        "não",
        "nee",
        "unlisted",
        "listed",
        "refused",
        "withheld",
        "other",
        "missing",
        "n/a",
        "na",
        "?",
    ]
)
_MOST_POSTCODES = 50
"""So few postcodes, with many rows each, are regions."""
_MOST_CODES = 60
_UNIQUE_SHARE = 0.95
_NAMES_UNIQUE_SHARE = 0.5
_FEWEST_PATIENTS = 100
_FEWEST_DIGITS = {"G": 6, "J": 6, "K": 5}
"""Numbers of a class have at least so many digits, or they are a measurement with the same abbreviation."""

_LONGEST_CODE = 40
_FEWEST_LONG_DIGITS = 7
_STRONG_NUMBERS = ("id", "ids", "nbr", "nr", "identifier", "key", "ref")


@dataclass(frozen=True, slots=True)
class Finding:
    """Why a column may identify a person: its class, and a phrase that goes into a comment; never a cell.

    ``is_direct`` says that the column must not be learned unless somebody answers for it. ``letter`` is the class's
    letter in the HIPAA list.
    """

    kind: str
    why: str
    is_direct: bool = True
    letter: str = "R"


@dataclass(frozen=True, slots=True)
class View:
    """A column as it is searched. ``cells`` are its distinct cells, trimmed, in order of appearance, none missing.

    ``rows`` counts the cells that hold a value. ``is_per_patient``: each patient has one value, and no two share one,
    though patients have several rows.
    """

    name: str
    cells: Sequence[str]
    rows: int
    is_number: bool = False
    is_integer: bool = False
    is_date: bool = False
    is_per_patient: bool = False

    def sample(self) -> list[str]:
        """Some hundred cells, evenly spaced; nothing is drawn at random."""
        step = max(1, len(self.cells) // _SAMPLE)
        return list(self.cells[::step])


_DATES = (
    re.compile(r"^\d{4}[-/.]\d{1,2}[-/.]\d{1,2}([T ]\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?)?( ?(Z|[+-]\d{2}:?\d{2}))?$"),
    re.compile(r"^\d{1,2}[-/.]\d{1,2}[-/.](\d{4}|\d{2})([T ]\d{1,2}:\d{2}(:\d{2})?( ?[AP]M)?)?$", re.IGNORECASE),
    re.compile(r"^\d{1,2}[- ]?(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*[- ,]*(\d{4}|\d{2})$", re.I),
)


def by_name(name: str) -> Finding | None:
    """Find a name that says its cells identify somebody, however often they repeat; the cells may prove it wrong."""
    kind = column_names.class_of(name)
    return None if kind is None else _found(kind, f"its name speaks of {_a(kind.title)}")


def _found(kind: IdentifierClass, why: str, *, is_direct: bool = True) -> Finding:
    return Finding(kind.title, why, is_direct, kind.letter)


def _a(kind: str) -> str:
    return f"an {kind}" if kind[0] in "aeio" else f"a {kind}"


def is_birth_name(name: str) -> bool:
    """Whether the name speaks of a date of birth."""
    return column_names.class_of(name) is column_names.BIRTH


def by_shape(cells: Sequence[str], *, is_number: bool = False) -> Finding | None:
    """Find the shape of an identifier in distinct cells: addresses, telephone numbers, numbers with check digits."""
    found = patterns.find(cells, is_number=is_number)
    return None if found is None else _found(*found)


def examine(view: View) -> Finding | None:
    """Search a column by its name, then by the shape of its cells, then by how unique they are.

    What a name says counts only if the cells agree: a column ``telephone`` of yes and no is a flag.
    """
    sample = view.sample()
    if not sample or _is_flag(view):
        return None
    kind = column_names.class_of(view.name)
    is_date = view.is_date or (not view.is_number and are_dates(sample))
    if kind is column_names.BIRTH and (is_date or _have_digits(sample, 8)):
        return _found(kind, "its name speaks of a date of birth")
    if is_date:
        return None
    if kind is not None and _fits(kind, view, sample):
        return _found(kind, f"its name speaks of {_a(kind.title)}")
    if view.is_number and not view.is_integer:
        return None
    found = by_shape(sample, is_number=view.is_number)
    if found is not None and (found.kind != column_names.POSTCODE.title or len(view.cells) > _MOST_POSTCODES):
        return found
    return _by_number_name(view) or _by_uniqueness(view) or _by_words(view, sample)


def are_paired(codes: Codes, patients: Codes) -> bool:
    """Whether each patient has one value and each value one patient, though patients have several rows.

    Both hold one number a row, -1 for a missing one; rows that miss either are left out.
    """
    known = (codes >= 0) & (patients >= 0)
    values, people = codes[known].astype(np.int64), patients[known].astype(np.int64)
    distinct, groups = len(np.unique(values)), len(np.unique(people))
    if distinct != groups or groups in (0, len(people)):
        return False
    return len(np.unique(values * (int(people.max()) + 1) + people)) == groups


def _is_flag(view: View) -> bool:
    return len(view.cells) <= 4 and all(word in _FLAGS for cell in view.cells for word in cell.lower().split())


def _fits(kind: IdentifierClass, view: View, sample: Sequence[str]) -> bool:
    """Whether cells may be what the column's name says they are."""
    is_fraction = view.is_number and not view.is_integer
    if column_names.is_ambiguous(view.name) and len(view.cells) < FEWEST_FOR_DIGITS:
        return False
    if kind.content == "coordinates":
        return is_fraction and len(view.cells) >= FEWEST_FOR_DIGITS and all(_is_degree(cell) for cell in sample)
    if is_fraction or kind.content == "dates":
        return False
    if kind.content == "postcodes":
        looks = [3 < sum(c.isalnum() for c in cell) <= 10 and any(map(str.isdigit, cell)) for cell in sample]
        fives = sum(len(cell) == 5 for cell in sample) >= 0.9 * len(sample)
        is_likely = fives or not column_names.is_ambiguous(view.name)
        return is_likely and len(view.cells) > _MOST_POSTCODES and sum(looks) >= 0.5 * len(looks)
    if kind.content == "letters":
        return not view.is_number and _half(sum(map(str.isalpha, cell)) >= 2 for cell in sample)
    if kind.content == "digits":
        return _have_digits(sample, 7 if view.is_number else 5)
    if kind.content == "code":
        is_varied = kind in (column_names.NATIONAL, column_names.RECORD) or len(view.cells) >= FEWEST_FOR_DIGITS
        return is_varied and _have_digits(sample, _FEWEST_DIGITS.get(kind.letter, 3) if view.is_number else 1)
    if kind.content == "marks":
        has_marks = _half(any(mark in cell for mark in "@.:") for cell in sample)
        return has_marks or (not view.is_number and len(view.cells) >= FEWEST_FOR_DIGITS)
    return True


def _is_degree(cell: str) -> bool:
    try:
        return abs(float(cell.replace(",", "."))) <= 180
    except ValueError:
        return False


def _have_digits(cells: Sequence[str], fewest: int) -> bool:
    return _half(sum(map(str.isdigit, re.sub(r"\.0+$", "", cell))) >= fewest for cell in cells)


def _half(flags: Iterable[bool]) -> bool:
    found = list(flags)
    return sum(found) >= 0.5 * len(found)


def _by_number_name(view: View) -> Finding | None:
    """Numbers named like a running number: unique ones identify rows, those of persons identify persons."""
    if not is_number_name(view.name):
        return None
    is_person = is_person_number(view.name) and len(view.cells) > 1
    if len(view.cells) >= max(2, _UNIQUE_SHARE * view.rows):
        is_strong = is_person or not view.is_number or words(view.name)[-1].endswith(_STRONG_NUMBERS)
        why = "it is named like a number and hardly ever repeats"
        return _found(column_names.OTHER, why, is_direct=is_strong and view.rows >= FEWEST_FOR_DIGITS)
    if len(view.cells) > _MOST_CODES or is_person:
        why = f"it is named like a number and has {len(view.cells)} different values"
        return _found(column_names.OTHER, why, is_direct=is_person and len(view.cells) > FEWEST_FOR_DIGITS)
    return None


def _by_uniqueness(view: View) -> Finding | None:
    """Values that count the rows, that no two rows share, or that are one for each patient."""
    if view.is_per_patient and len(view.cells) >= _FEWEST_PATIENTS:
        return _found(column_names.OTHER, "each patient has one value of it, and no two patients share one")
    if len(view.cells) != view.rows or view.rows < FEWEST_FOR_DIGITS:
        return None
    if view.is_integer:
        steps = np.diff(np.array([float(cell.replace(",", ".")) for cell in view.cells]))
        if bool((steps == 1).all()):
            return _found(column_names.OTHER, "it counts the rows")
        lengths = {len(cell) for cell in view.cells}
        is_long = len(lengths) == 1 and min(lengths) >= _FEWEST_LONG_DIGITS
        return _found(column_names.OTHER, "no two rows share a number this long", is_direct=False) if is_long else None
    if not view.is_number and all(len(cell) <= _LONGEST_CODE and " " not in cell for cell in view.cells):
        return _found(column_names.OTHER, "no two rows share a value")
    return None


def _by_words(view: View, sample: Sequence[str]) -> Finding | None:
    """Names and addresses under any heading: hardly ever shared, and shaped like one."""
    is_varied = len(view.cells) >= max(FEWEST_FOR_DIGITS, _NAMES_UNIQUE_SHARE * view.rows)
    if view.is_number or not is_varied:
        return None
    if patterns.are_addresses(sample):
        return _found(column_names.ADDRESS, "its cells have the shape of a postal address")
    if patterns.are_names(sample):
        return _found(column_names.NAME, "its cells are two or three capitalised words that hardly ever repeat")
    return None


def are_dates(cells: Sequence[str]) -> bool:
    """Whether nearly all cells are calendar dates, with or without a time."""
    return bool(cells) and sum(any(d.match(cell) for d in _DATES) for cell in cells) >= _SHARE * len(cells)
