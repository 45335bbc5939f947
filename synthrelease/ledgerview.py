"""The privacy ledger as the report shows it: from the plain values of ``budget.record`` to tables of words.

``templates/ledger.html`` draws it. Nothing here computes a guarantee.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from synthrelease.wording import plain, plain_key

_SHOWN_APART = ("spends", "public", "promises")


@dataclass(frozen=True, slots=True)
class LedgerTable:
    """A table with a caption; the first cell of a row names it."""

    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class LedgerView:
    """A claim as plain facts and tables; ``warning`` is shown in red where a row and not a patient is protected."""

    facts: tuple[tuple[str, str], ...] = ()
    tables: tuple[LedgerTable, ...] = ()
    warning: str = ""


def view(privacy: Mapping[str, Any]) -> LedgerView:
    """Lay out what is known about differential privacy."""
    tables = (
        _table("Every use of the real rows on the way to the table, with the noise put on it.", privacy.get("spends")),
        _table("What was used without noise, because it is declared public.", privacy.get("public")),
        _table(
            "What epsilon promises: the best that any attack on one membership can do. 0.5 is the AUC of guessing.",
            privacy.get("promises"),
        ),
    )
    warning = (
        "The promise protects one row, not one patient. It holds for patients only if none has more than one row."
        if privacy.get("unit") == "row"
        else ""
    )
    facts = tuple((plain_key(key), plain(value)) for key, value in privacy.items() if key not in _SHOWN_APART)
    return LedgerView(facts, tuple(table for table in tables if table.rows), warning)


def _table(caption: str, entries: Any) -> LedgerTable:
    rows = [entry for entry in entries if isinstance(entry, Mapping)] if isinstance(entries, Sequence) else []
    keys = tuple(dict.fromkeys(str(key) for row in rows for key in row))
    return LedgerTable(
        caption,
        tuple(plain_key(key) for key in keys),
        tuple(tuple(plain(row.get(key)) for key in keys) for row in rows),
    )
