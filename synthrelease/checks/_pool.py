"""Real patients of both sides in one pool, in an order that tells nothing, and what is measured of them there."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from synthrelease.contracts import BoolArray, Column, Evidence, FloatArray, IntArray, Table
from synthrelease.intervals import draw

MOST_PEOPLE = 20_000
"""Rows of either side; more of them are a random sample of patients."""


@dataclass(frozen=True, slots=True)
class Pool:
    """Training and holdout rows together. ``patient`` numbers each row's patient; ``member`` says who was trained on.

    Shapes: ``table`` rows, ``patient`` (rows,), ``member`` (patients,).
    """

    table: Table
    patient: IntArray
    member: BoolArray

    def per_patient(self, values: FloatArray) -> FloatArray:
        """The largest value of each patient's rows: (patients,)."""
        out = np.full(len(self.member), -np.inf)
        np.maximum.at(out, self.patient, values)
        return out


def pooled(rng: np.random.Generator, evidence: Evidence, most: int = MOST_PEOPLE) -> Pool:
    """Pool the two sides, at most about ``most`` rows of each, in random order."""
    sides = [table.take(draw(rng, table, most)) for table in (evidence.train, evidence.holdout)]
    frame = pd.concat([side.frame for side in sides], ignore_index=True)
    units = [np.arange(len(side)) if side.units is None else side.units for side in sides]
    owners = [np.unique(unit, return_inverse=True)[1] for unit in units]
    first = int(owners[0].max()) + 1
    patient = np.concatenate([owners[0], owners[1] + first])
    order = rng.permutation(len(frame))
    member = np.arange(int(patient.max()) + 1) < first
    table = Table(frame.iloc[order].reset_index(drop=True), sides[0].schema, "real", patient[order])
    return Pool(table, patient[order], member)


def within(table: Table, columns: tuple[Column, ...]) -> Table:
    """The same rows with some of their columns alone."""
    schema = replace(table.schema, columns=columns, target=None)
    return replace(table, frame=table.frame[[column.name for column in columns]], schema=schema)


def telling(table: Table) -> tuple[tuple[Column, ...], tuple[Column, ...]]:
    """The quasi-identifiers and the sensitive columns (the target counts as sensitive) of a table."""
    learned = table.schema.learned
    known = tuple(column for column in learned if column.role == "quasi_identifier")
    hidden = tuple(column for column in learned if column.role in ("sensitive", "target"))
    return known, hidden


def declared_sensitive(table: Table) -> tuple[Column, ...]:
    """The learned columns that somebody declared sensitive; a target only if its entry says so."""
    return tuple(column for column in table.schema.learned if column.is_sensitive)


def fixed_halves(columns: tuple[Column, ...], count: int) -> list[tuple[Column, ...]]:
    """Random halves of the columns, the same for every table of that width."""
    rng = np.random.default_rng([len(columns), count])
    halves = [np.sort(rng.permutation(len(columns))[: (len(columns) + 1) // 2]) for _ in range(count)]
    return [tuple(columns[i] for i in half) for half in halves]
