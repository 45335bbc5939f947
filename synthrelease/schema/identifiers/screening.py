"""Refuse to learn a direct identifier: the last look at a real table before anything is fitted or judged.

A schema is written by people, and people oversee columns. What looks like a direct identifier is learned only if the
schema answers for that column by name: ``not_an_identifier = "why it is none"``. Findings name columns and classes.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from synthrelease.core.contracts import Column, Schema, Table
from synthrelease.core.errors import InputError, listing
from synthrelease.schema.identifiers.detection import Finding, View, are_paired, examine

_FRACTIONS = 400


def screen(table: Table[Schema]) -> tuple[str, ...]:
    """Search the learned columns of a real table; return a notice for each that the schema answers for.

    Raises:
        InputError: A learned column looks like a direct identifier and the schema gives no reason; all are listed.
    """
    found = list(_findings(table))
    unanswered = [
        f"{column.name!r} looks like {_class(finding)}: {finding.why}"
        for column, finding in found
        if not column.not_an_identifier
    ]
    if unanswered:
        columns = "1 learned column looks" if len(unanswered) == 1 else f"{len(unanswered)} learned columns look"
        raise InputError(
            listing(f"A direct identifier must never be learned, however {columns} like one:", unanswered)
            + '\nGive each role = "identifier" or "excluded" in the schema, or not_an_identifier = "why it is none".'
        )
    return tuple(
        f"{column.name!r} looks like {_class(finding)} and is learned, because the schema says: "
        f"{column.not_an_identifier}"
        for column, finding in found
    )


def _class(finding: Finding) -> str:
    return f"a {finding.kind} (HIPAA class {finding.letter})".replace("a e-mail", "an e-mail")


def _findings(table: Table[Schema]) -> Iterator[tuple[Column, Finding]]:
    for column in table.schema.learned:
        if column.is_moment and column.treatment.truncate == "year":
            continue  # a year of birth is what Safe Harbor leaves of a date of birth
        if column.name in table.frame:
            finding = examine(_view(table, column))
            if finding is not None and finding.is_direct:
                yield column, finding


def _view(table: Table[Schema], column: Column) -> View:
    """A canonical column as it is searched: numbers spelled without a needless point, labels as declared."""
    values = table.frame[column.name]
    codes, distinct = pd.factorize(values)
    is_paired = table.units is not None and are_paired(codes, table.units)
    rows = int((codes >= 0).sum())
    if not column.is_number:
        cells = [str(label).strip() for label in distinct]
        numbers = pd.to_numeric(pd.Series(cells, dtype=object), errors="coerce").to_numpy(dtype=np.float64)
        has_codes = any(len(cell) > 1 and cell[0] == "0" and cell.isdigit() for cell in cells)
        is_number = not has_codes and bool(np.isfinite(numbers).all())
    else:
        numbers = np.asarray(distinct, dtype=np.float64)
        is_number = True
        # Of fractions a few are enough: only their size and their number can tell.
        shown = numbers if bool((numbers == np.rint(numbers)).all()) else numbers[:_FRACTIONS]
        cells = [f"{value:.0f}" if value == np.rint(value) else repr(float(value)) for value in shown]
    return View(
        name=column.name,
        cells=cells,
        rows=rows,
        is_number=is_number,
        is_integer=is_number and bool((numbers == np.rint(numbers)).all()),
        is_date=column.kind in ("date", "datetime"),
        is_per_patient=is_paired,
    )
