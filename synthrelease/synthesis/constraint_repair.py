"""Synthetic rows that obey the schema's constraints: repaired where that is exact, otherwise drawn again.

Combinations and dependencies are filled in from those that enough training patients share, formulas are computed, cells
that a rule wants missing are emptied. A row that still breaks a rule is left out and another one drawn, up to a bound.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from synthrelease.core.contracts import BoolArray, Column, Fitted, IntArray, LearnedSchema, Table
from synthrelease.core.errors import InputError, TrainingError
from synthrelease.schema import constraints
from synthrelease.schema.constraints import Dependency
from synthrelease.schema.row_conditions import Condition

MOST_DRAWS = 40
"""So many rows may be drawn for each one asked for."""
_MOST_DECIMALS = 10


@dataclass(frozen=True, slots=True)
class Shared:
    """What training patients share: combinations of a dependency's columns, each with its number of patients."""

    names: Dependency
    rows: pd.DataFrame
    patients: IntArray


@dataclass(frozen=True, slots=True)
class Plan:
    """How rows are made to obey a schema and ``conditions``. ``decimals``: places of each computed column."""

    schema: LearnedSchema
    shared: tuple[Shared, ...] = ()
    decimals: Mapping[str, int] = field(default_factory=dict)
    conditions: tuple[Condition, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values: shared combinations and decimals; schema and conditions are kept elsewhere."""
        shared = [
            {
                "keys": [*each.names.keys],
                "outcomes": [*each.names.outcomes],
                "patients": each.patients.tolist(),
                "cells": {name: _plain(each.rows[name]) for name in each.names.columns},
            }
            for each in self.shared
        ]
        return {"shared": shared, "decimals": dict(self.decimals)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any], schema: LearnedSchema) -> Plan:
        """Build what ``to_json`` described."""
        shared = tuple(
            Shared(
                Dependency(tuple(each["keys"]), tuple(each["outcomes"])),
                pd.DataFrame({name: _cells(cells, schema.column(name)) for name, cells in each["cells"].items()}),
                np.asarray(each["patients"], dtype=np.int64),
            )
            for each in values["shared"]
        )
        return cls(schema, shared, {name: int(places) for name, places in values["decimals"].items()})


def _plain(cells: pd.Series[Any]) -> list[Any]:
    """A column's cells as JSON values: numbers, or places of labels (-1 = missing); None = missing number."""
    if isinstance(cells.dtype, pd.CategoricalDtype):
        places: list[Any] = cells.cat.codes.tolist()
        return places
    return [None if np.isnan(value) else float(value) for value in cells.to_numpy(dtype=np.float64)]


def _cells(values: list[Any], column: Column) -> Any:
    if column.is_number:
        return np.array([np.nan if value is None else value for value in values], dtype=np.float64)
    dtype = pd.CategoricalDtype(list(column.categories), ordered=column.kind == "ordinal")
    return pd.Categorical.from_codes(np.asarray(values, dtype=np.int64), dtype=dtype)


def plan(train: Table, *, min_cell: int) -> Plan:
    """Learn from training rows what repairs need; no combination of fewer than ``min_cell`` patients is kept.

    Raises:
        InputError: a dependency has no combination that enough patients share.
    """
    names = [constraints.dependency(constraint) for constraint in train.schema.constraints]
    formulas = [constraints.formula(constraint, train.schema) for constraint in train.schema.constraints]
    return Plan(
        schema=train.schema,
        shared=tuple(_shared(train, each, min_cell) for each in names if each is not None),
        decimals={each.target: _decimals(train, each.target) for each in formulas if each is not None},
    )


def public_plan(schema: LearnedSchema) -> Plan:
    """Plan repairs by the schema alone: nothing is learned, decimals are declared.

    Raises:
        InputError: a constraint is about combinations, which only rows could tell.
    """
    for constraint in schema.constraints:
        if constraints.dependency(constraint) is not None:
            raise InputError(
                "With --epsilon nothing may be learned outside the budget, however the constraint on "
                f"{constraint.words!r} is about combinations that patients have. Remove it, or state it as a rule "
                "between values."
            )
    formulas = [constraints.formula(constraint, schema) for constraint in schema.constraints]
    targets = [schema.column(each.target) for each in formulas if each is not None]
    return Plan(schema, decimals={each.name: _public_decimals(each) for each in targets})


def _public_decimals(column: Column) -> int:
    if column.decimals is not None or column.kind == "integer":
        return column.decimals or 0
    return _MOST_DECIMALS


def _shared(train: Table, names: Dependency, min_cell: int) -> Shared:
    columns = [*names.columns]
    units = np.arange(len(train)) if train.units is None else train.units
    groups = train.frame.groupby(columns, dropna=False, observed=True, sort=True).ngroup().to_numpy()
    pairs = pd.DataFrame({"group": groups, "unit": units}).drop_duplicates()
    patients = np.bincount(pairs["group"].to_numpy(), minlength=1)
    first = pd.Series(groups).drop_duplicates()
    rows = train.frame[columns].iloc[first.index[np.argsort(first.to_numpy(), kind="stable")]].reset_index(drop=True)
    kept = np.flatnonzero(patients >= min_cell)
    if names.outcomes:  # one combination for each set of keys: the commonest
        order = kept[np.argsort(-patients[kept], kind="stable")]
        kept = np.sort(order[~rows.iloc[order].duplicated([*names.keys]).to_numpy()])
    if not len(kept):
        raise InputError(
            f"Columns that belong together need combinations that at least {min_cell} training patients share, however "
            f"{', '.join(map(repr, columns))} have none. Group their values, or remove the constraint."
        )
    return Shared(names, rows.iloc[kept].reset_index(drop=True), patients[kept].astype(np.int64))


def _decimals(train: Table, name: str) -> int:
    values = train.frame[name].dropna().to_numpy(dtype=np.float64)
    exact = (places for places in range(_MOST_DECIMALS) if np.array_equal(np.round(values, places), values))
    return next(exact, _MOST_DECIMALS)


def repaired(frame: pd.DataFrame, how: Plan, rng: np.random.Generator) -> pd.DataFrame:
    """Return the rows repaired as far as that can be done exactly."""
    frame = frame.copy()
    for _ in range(2):  # a second pass, because repairs may share columns
        for constraint in how.schema.constraints:
            blank = constraints.blanked(constraint)
            if blank is not None:
                condition, name = blank
                true = constraints.truths(condition, frame, how.schema, tolerance=constraint.tolerance) == 1.0
                frame[name] = frame[name].mask(true)
        for shared in how.shared:
            _fill_in(frame, shared, rng)
        for constraint in how.schema.constraints:
            _compute(frame, constraints.formula(constraint, how.schema), how)
    return frame


def _fill_in(frame: pd.DataFrame, shared: Shared, rng: np.random.Generator) -> None:
    """Give every row a shared combination: the one its keys determine, else one with the same first column."""
    match = _positions(frame, shared)
    lost = np.flatnonzero(match < 0)
    if len(lost):
        match[lost] = _drawn(frame.iloc[lost], shared, rng)
    for name in shared.names.columns:
        cells, known = frame[name], shared.rows[name]
        if isinstance(cells.dtype, pd.CategoricalDtype):
            codes = known.cat.codes.to_numpy()[match]
            frame[name] = pd.Categorical.from_codes(codes, dtype=cells.dtype)
        else:
            frame[name] = known.to_numpy(dtype=np.float64)[match]


def _positions(frame: pd.DataFrame, shared: Shared) -> IntArray:
    """Place of each row's combination (or of its keys, where they determine the rest), -1 if it is not shared."""
    keys = [*shared.names.keys]
    places = shared.rows[keys].assign(**{"\0": np.arange(len(shared.rows))})
    found = frame[keys].merge(places, on=keys, how="left")["\0"]
    return found.fillna(-1).to_numpy(dtype=np.int64)


def _drawn(lost: pd.DataFrame, shared: Shared, rng: np.random.Generator) -> IntArray:
    """Draw a combination for each row, as likely as it is among patients, with the row's first column if any has it."""
    first = shared.names.keys[0]
    both = pd.concat([lost[first], shared.rows[first]], ignore_index=True)
    codes = pd.factorize(both, use_na_sentinel=False)[0]
    wanted, known = codes[: len(lost)], codes[len(lost) :]
    out = np.empty(len(lost), dtype=np.int64)
    for value in np.unique(wanted):
        rows, fits = np.flatnonzero(wanted == value), np.flatnonzero(known == value)
        fits = fits if len(fits) else np.arange(len(known))
        weights = shared.patients[fits] / shared.patients[fits].sum()
        out[rows] = rng.choice(fits, size=len(rows), p=weights)
    return out


def _compute(frame: pd.DataFrame, formula: constraints.Formula | None, how: Plan) -> None:
    """Fill in a computed column where it is not missing and its parts are known."""
    if formula is None:
        return
    value = np.round(constraints.numbers(formula.expression, frame, how.schema), how.decimals[formula.target])
    was = frame[formula.target].to_numpy(dtype=np.float64)
    frame[formula.target] = np.where(np.isnan(was) | np.isnan(value), was, value + 0.0)


def breaks(frame: pd.DataFrame, how: Plan) -> dict[str, BoolArray]:
    """Which rows break each constraint or a computed column's bounds, by the constraint's words."""
    out = {}
    shared = iter(how.shared)
    for constraint in how.schema.constraints:
        if constraints.dependency(constraint) is not None:
            each = next(shared)
            out[constraint.words] = constraints.outside(frame, Dependency(each.names.columns, ()), each.rows)
            continue
        wrong = constraints.broken(frame, constraint, how.schema)
        formula = constraints.formula(constraint, how.schema)
        bounds = None if formula is None else how.schema.column(formula.target).bounds
        if formula is not None and bounds is not None:
            values = frame[formula.target].to_numpy(dtype=np.float64)
            wrong = wrong | (values < bounds[0]) | (values > bounds[1])
        out[constraint.words] = wrong
    return out | {each.words: ~each.met(frame) for each in how.conditions}


def mended(frame: pd.DataFrame, how: Plan, *, seed: int) -> tuple[pd.DataFrame, BoolArray]:
    """Return the rows repaired, and which of them break a constraint all the same, (rows,)."""
    after = repaired(frame, how, np.random.default_rng(seed)) if how.schema.constraints else frame
    wrong = [np.zeros(len(after), dtype=np.bool_), *breaks(after, how).values()]
    return after, np.asarray(np.logical_or.reduce(wrong))


def obeying(
    fitted: Fitted, how: Plan, rows: int, *, seed: int, on_end: Callable[[float], None] = lambda _: None
) -> Iterator[pd.DataFrame]:
    """Yield frames of exactly ``rows`` rows, none of which breaks a constraint or a condition.

    ``on_end`` hears which share of the rows drawn broke a constraint and was left out.

    Raises:
        TrainingError: so few rows obey that the bound on draws is passed; names the rule that most of them break.
    """
    if not how.schema.constraints and not how.conditions:
        yield from fitted.sample(rows, seed=seed)
        return
    rng = np.random.default_rng(seed)
    done = drawn = bad = 0
    wrong: dict[str, int] = {}
    wishes = {each.words for each in how.conditions}
    while done < rows:
        if drawn >= MOST_DRAWS * rows:
            raise _exhausted(wrong, drawn, wishes)
        share = max(done / drawn if drawn else 1.0, 1 / MOST_DRAWS)
        ask = min(int((rows - done) / share) + 1, MOST_DRAWS * rows - drawn)
        for raw in fitted.sample(ask, seed=int(rng.integers(2**31)) if drawn else seed):
            frame = repaired(raw, how, rng)
            found = breaks(frame, how)
            for words, flags in found.items():
                wrong[words] = wrong.get(words, 0) + int(flags.sum())
            drawn += len(frame)
            asked = {words: flags for words, flags in found.items() if words in wishes}
            broke = np.logical_or.reduce(
                [np.zeros(len(frame), np.bool_), *(found[words] for words in found.keys() - asked)]
            )
            good = np.flatnonzero(~np.logical_or.reduce([broke, *asked.values()]))
            bad += int(broke.sum())
            kept = good[: rows - done]
            done += len(kept)
            if len(kept):
                yield frame.iloc[kept].reset_index(drop=True)
            if done >= rows:
                break
    on_end(bad / drawn)


def _exhausted(wrong: Mapping[str, int], drawn: int, asked: Collection[str]) -> TrainingError:
    worst = max(wrong, key=lambda words: wrong[words])
    if worst in asked:
        return TrainingError(
            f"Enough synthetic rows must meet {worst!r}, however {wrong[worst]:,} of {drawn:,} do not. "
            "Widen the condition, or ask for fewer rows."
        )
    return TrainingError(
        f"Synthetic rows must obey every constraint, however {wrong[worst] / drawn:.0%} of {drawn:,} rows break "
        f"{worst!r}. Train longer (--effort), or express the rule as a formula or a combination."
    )
