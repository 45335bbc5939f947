"""How many rows were asked for: as a number or a multiple, enough to be audited, and within this machine's memory."""

from __future__ import annotations

import os

from synthrelease.core.contracts import MINIMUM_ROWS, DeclaredSchema
from synthrelease.core.errors import InputError
from synthrelease.workflows.run_options import NOT_PUBLIC, BuildOptions, Multiple

BYTES_A_CELL = 100
"""What a cell of the synthetic rows takes at the worst moment of making, reading back and auditing them, roughly."""


def check(options: BuildOptions, schema: DeclaredSchema) -> None:
    """Refuse a number of rows that is too small, or a multiple of a number that is not public.

    Raises:
        InputError: so it is.
    """
    if isinstance(options.rows, Multiple):
        if options.epsilon is not None and not schema.rows_are_public:
            raise InputError(f"--rows {options.rows} needs a number of real rows that is public. {NOT_PUBLIC}")
    elif options.rows is not None:
        enough(options.rows)


def multiplied(asked: Multiple, real_rows: int) -> int:
    """Return so many times ``real_rows``.

    Raises:
        InputError: they would be too few for an audit.
    """
    return enough(round(asked.times * real_rows))


def enough(rows: int) -> int:
    """Return ``rows``; InputError if they are too few for an audit."""
    if rows < MINIMUM_ROWS:
        raise InputError(f"--rows must be at least {MINIMUM_ROWS}, or nothing can be audited, however it is {rows}.")
    return rows


def check_memory(rows: int, columns: int, *, copies: int = 1) -> None:
    """Refuse more cells than this machine could hold, before anything is trained.

    Raises:
        InputError: it has too little memory for them.
    """
    wanted, there = rows * columns * copies * BYTES_A_CELL, memory()
    if wanted > there:
        what = f"{copies} copies of {rows:,} rows" if copies > 1 else f"{rows:,} rows"
        raise InputError(
            f"The synthetic rows must fit into memory, however {what} with {columns} columns take about "
            f"{wanted / 2**30:,.0f} GiB and this machine has {there / 2**30:,.0f}. Ask for fewer."
        )


def memory() -> float:
    """How many bytes of memory this machine has; infinite where the system does not say."""
    try:
        return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, OSError, ValueError):
        return float("inf")
