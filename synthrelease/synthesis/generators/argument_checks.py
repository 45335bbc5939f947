"""What every generator asks of its callers, and of its network, in the same words."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from synthrelease.core.contracts import FitSettings, ModelledSchema, Table
from synthrelease.core.errors import InputError, TrainingError


def check_training(train: Table[ModelledSchema], settings: FitSettings) -> None:
    """Refuse a training that could not learn anything.

    Raises:
        InputError: the effort is not positive, or the table has no columns to learn.
    """
    if not settings.effort > 0 or not train.schema.learned:
        raise InputError(
            f"Training needs an effort above 0 and at least one column, however the effort is {settings.effort} and "
            f"{len(train.schema.learned)} columns may be learned. Check the option and the roles in the schema."
        )


def check_no_overrides(name: str, settings: FitSettings) -> None:
    """Refuse settings by name, for generators that have none; InputError if there are any."""
    if settings.overrides:
        raise InputError(f"The generator {name!r} has no settings but --effort. Leave the others out.")


def chunk_sizes(rows: int, chunk_rows: int) -> Iterator[int]:
    """Return the sizes of chunks that add up to exactly ``rows`` rows, each ``chunk_rows`` but for the last.

    Raises:
        InputError: ``rows`` or ``chunk_rows`` is not positive.
    """
    if rows < 1 or chunk_rows < 1:
        raise InputError(
            f"Sampling needs at least one row, however {rows} rows in chunks of {chunk_rows} were asked for. "
            "Ask for one or more."
        )
    return (min(chunk_rows, rows - start) for start in range(0, rows, chunk_rows))


def check_made(*made: Tensor) -> None:
    """Refuse what a network made if it is not finite, with a TrainingError."""
    if not all(bool(torch.isfinite(each).all()) for each in made):
        raise TrainingError(
            "A generator must produce finite values, however its network does not. Train again with another seed."
        )
