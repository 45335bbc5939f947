"""``build --copies``: what is refused, every copy written and read back, and what the audit sees of them together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from synthrelease.core.contracts import Evidence, IntArray, LearnedSchema, Table
from synthrelease.core.files import sha256
from synthrelease.governance import copies_list
from synthrelease.synthesis import copies
from synthrelease.synthesis.copies import Asked as Asked
from synthrelease.synthesis.copies import Recipe as Recipe
from synthrelease.synthesis.copies import check as check
from synthrelease.workflows.finish_run import Written, read_back
from synthrelease.workflows.run_context import Run

Write = Callable[[Iterator[pd.DataFrame], Path, int], None]
"""Writes frames to a place, in the style of the run's table; the seed is that of invented identifiers."""


@dataclass(frozen=True, slots=True)
class Order:
    """``count`` copies of ``rows`` rows each, in files that end in ``suffix``, written by ``write``."""

    count: int
    rows: int
    suffix: str
    write: Write


def made(run: Run, recipe: Recipe, order: Order, *, schema: LearnedSchema, folder: Path) -> Written:
    """Train, draw and write the copies into a folder, one after the other, and the list of them.

    Raises:
        TrainingError: a copy could not be trained stably, or too few of its rows obey the constraints.
    """
    tables, paths = [], []
    heard = copies.Heard(run.recorder.listener.step, run.recorder.left_out)
    for copy in range(1, order.count + 1):
        path, seed = folder / copies_list.file_name(copy, order.suffix), _seeds(run, copy)
        with run.recorder.stage(f"Making copy {copy} of {order.count}"):
            order.write(recipe.frames(order.rows, seed=seed, heard=heard), path, seed("surrogates"))
            tables.append(read_back(path, schema)[0])
        paths.append(path)
    listed = copies_list.write(folder, paths, rows=order.rows, real_rows=recipe.real_rows)
    return Written(listed, _together(tables), {"synthetic": sha256(listed)}, tuple(tables))


def evidence(run: Run, compared: Evidence, written: Written) -> Evidence:
    """Let the audit know the copies one by one, beside the rows of all."""
    run.recorder.notice(
        f"{len(written.copies)} copies leave together. Privacy is judged on the rows of all copies at once, as whoever "
        "attacks may have them all; likeness and usefulness on the copy that is least like the training rows. Where "
        f"the audit trains the generator again, it trains {copies.REFITTED} copies each time."
    )
    return replace(compared, copies=written.copies)


def _seeds(run: Run, copy: int) -> Callable[[str], int]:
    return lambda purpose: run.derived(f"{purpose} of copy {copy}")


def _together(tables: Sequence[Table]) -> Table:
    """The rows of all copies; patients of different copies are different ones."""
    frame = pd.concat([each.frame for each in tables], ignore_index=True)
    outside = {name: sum(each.outside.get(name, 0) for each in tables) for name in tables[0].outside}
    return Table(frame, tables[0].schema, "synthetic", _units(tables), outside)


def _units(tables: Sequence[Table]) -> IntArray | None:
    numbers, start = [], 0
    for each in tables:
        if each.units is None:
            return None
        own = np.unique(each.units, return_inverse=True)[1]
        numbers.append(own + start)
        start += int(own.max(initial=-1)) + 1
    return np.concatenate(numbers)
