"""A table file as it is spelled: columns of text, before a schema gives them meaning. ``formats`` reads them.

Nothing is guessed here: an empty cell, ``NA`` and ``?`` are three different texts. Only a typed file's own nulls, and
what a statistics package marks as missing, are missing already.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

NUMBER = r"^[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?$"
"""What counts as a number: never ``inf``, ``nan``, ``1_000`` or a number with a unit."""

TRUTHS = {"true": True, "1": True, "yes": True, "y": True, "false": False, "0": False, "no": False, "n": False}
"""What a label, in lower case, stands for in a column of truth values."""

STATA_MISSING = re.compile(r"^\.[a-z]$")
"""How one of Stata's named missing values is spelled as a mark."""

Codes = np.ndarray[Any, np.dtype[np.int32]]
Flags = np.ndarray[Any, np.dtype[np.bool_]]
Floats = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a CSV file is spelled; a written table follows it."""

    delimiter: str = ","
    encoding: str = "utf-8"
    newline: str = "\n"
    is_header_quoted: bool = False
    quoted: frozenset[int] = frozenset()
    """Positions of the columns whose cells stand in quotes."""
    packing: Literal["", "gz", "zip"] = ""


@dataclass(frozen=True, slots=True)
class RawColumn:
    """One column: ``labels[codes[i]]`` is the text of row i, code -1 a typed file's null.

    ``header`` is the name as the file spells it, ``type`` the Arrow type of a typed file's column (None for CSV).
    ``decimal`` is the decimal mark of its numbers, ``levels`` the texts of a dictionary in its order, ``marks`` the
    labels that the file itself declares to mean missing.
    """

    name: str
    header: str
    codes: Codes
    labels: pa.Array
    type: pa.DataType | None = None
    decimal: Literal[".", ","] = "."
    levels: tuple[str, ...] = ()
    marks: frozenset[str] = frozenset()

    def counts(self) -> np.ndarray[Any, np.dtype[np.int64]]:
        """How many rows hold each label: int64, one per label."""
        return np.bincount(self.codes[self.codes >= 0], minlength=len(self.labels))

    def missing(self, marks: Collection[str]) -> Flags:
        """Which labels stand for a missing value: bool, one per label. An empty cell always does."""
        known = pa.array(["", *(mark.strip() for mark in (*marks, *self.marks))], pa.string())
        flags: Flags = pc.is_in(self.trimmed(), value_set=known).to_numpy(zero_copy_only=False)
        return flags

    def trimmed(self) -> pa.Array:
        """The labels without white space around them."""
        return pc.utf8_trim_whitespace(self.labels)

    def numbers(self) -> Floats:
        """The value of each label: float64, NaN for what is no finite number."""
        texts = self.trimmed()
        if self.decimal == ",":
            texts = pc.replace_substring(texts, ",", ".", max_replacements=1)
        values = pc.cast(pc.if_else(pc.match_substring_regex(texts, NUMBER), texts, None), pa.float64())
        floats: Floats = values.to_numpy(zero_copy_only=False).astype(np.float64)
        return np.where(np.isfinite(floats), floats, np.nan)


@dataclass(frozen=True, slots=True)
class TableFile:
    """A file's columns in file order, and how to write a table like it.

    ``format`` is the suffix of a table written like this one. ``dialect`` is None for typed formats, ``pandas`` is
    their pandas metadata (or empty). ``details`` is what a format remembers for its own writer, ``notice`` what the
    steward should know. ``digest`` is the SHA-256 of rows that lie in no file.
    """

    columns: tuple[RawColumn, ...]
    rows: int
    dialect: Dialect | None
    pandas: bytes = b""
    format: str = "csv"
    details: Any = None
    notice: str = ""
    digest: bytes = field(default=b"", repr=False)


def counted(count: int, thing: str) -> str:
    """Spell a count with its noun."""
    return f"1 {thing}" if count == 1 else f"{count} {thing}s"
