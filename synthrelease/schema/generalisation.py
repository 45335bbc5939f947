"""Making the real table coarser before anything is fitted: dates to the year, the oldest in one group, short postcodes.

A schema declares treatments column by column and a policy may demand more. They are applied to training, holdout and
reference rows alike, in one place, before anything looks at them, so that the generator, the checks and the released
table know the coarse values only. Safe Harbor (45 CFR 164.514(b)(2)) is where the usual demands come from: dates at
year only, ages above 89 in one group, three digits of a postcode.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from synthrelease.core.contracts import (
    NO_TREATMENT,
    Coarsening,
    Column,
    DeclaredSchema,
    FloatArray,
    IntArray,
    OpenedSchema,
    Schema,
    State,
    Table,
    Treatment,
)
from synthrelease.schema import datetimes, name_hints
from synthrelease.schema.identifiers import detection

RESTRICTED_ZIP3 = name_hints.word_set("036 059 063 102 203 556 692 790 821 823 830 831 878 879 884 890 893")
"""Three-digit areas of the United States with 20,000 people or fewer, which Safe Harbor wants as 000.

Source: HHS, Guidance Regarding Methods for De-identification of Protected Health Information, 2012 (census of 2000).
"""

_SHIFT_WEEKS = 26
_LABELS = frozenset({"boolean", "categorical", "ordinal"})
_CALENDAR = frozenset({"date", "datetime"})
_BIRTH = name_hints.word_set("birth dob yob born birthdate birthday birthyear")
_OLD = re.compile(r"^\D*(\d+)")


def problems(treatment: Treatment, kind: str, categories: Sequence[str]) -> Iterator[str]:
    """Say what is wrong with a column's declared treatments, each as ``key: rule, fact. Next step``."""
    for key in ("top_code", "bottom_code", "round_to"):
        if getattr(treatment, key) is not None and kind not in ("numeric", "integer"):
            yield f"{key}: belongs to numeric and integer columns, however this one is {kind}. Remove it"
    if treatment.round_to is not None and not treatment.round_to > 0:
        yield "round_to: is a step above 0. Correct it"
    if (
        treatment.top_code is not None
        and treatment.bottom_code is not None
        and treatment.bottom_code >= treatment.top_code
    ):
        yield "bottom_code: must lie below top_code. Correct one of them"
    if kind == "integer":
        for key in ("top_code", "bottom_code", "round_to"):
            value = getattr(treatment, key)
            if value is not None and value != math.floor(value):
                yield f"{key}: must be whole in an integer column. Correct it"
    if treatment.truncate is not None and kind not in _CALENDAR:
        yield f"truncate: belongs to date and datetime columns, however this one is {kind}. Remove it"
    if treatment.zip3 and kind != "categorical":
        yield f"zip3: belongs to categorical columns, however this one is {kind}. Remove it"
    yield from _merge_problems(treatment, kind, categories)


def _merge_problems(treatment: Treatment, kind: str, categories: Sequence[str]) -> Iterator[str]:
    merged = [label for _, labels in treatment.merge for label in labels]
    if not treatment.merge:
        return
    unknown = sorted(set(merged) - set(categories))
    if kind not in ("categorical", "ordinal"):
        yield f"merge: belongs to categorical and ordinal columns, however this one is {kind}. Remove it"
    elif unknown:
        yield f"merge: replaces declared categories, however {len(unknown)} of {len(merged)} are none. Declare them"
    elif len(set(merged)) < len(merged):
        yield "merge: each label goes into one new label, however one goes into two. Correct it"


def required(schema: DeclaredSchema, policy: Coarsening, *, year: int) -> DeclaredSchema:
    """Return the schema with every treatment that it, or the policy, demands of each column.

    ``year`` is the current one: years of birth that make somebody older than the policy's age are grouped. Categories
    are extended by the coarse labels, so that rows which are coarse already can be read as well.
    """
    return replace(schema, columns=tuple(_required(column, schema, policy, year) for column in schema.columns))


def _required(column: Column, schema: Schema, policy: Coarsening, year: int) -> Column:
    if not column.is_learned:
        return column
    treatment = column.treatment
    if column.kind in _CALENDAR:
        treatment = _with_dates(_with_dates(treatment, schema.dates), policy.dates or "")
    if policy.ages is not None:
        treatment = _with_ages(column, treatment, policy.ages, year)
    if policy.zip3 and column.kind == "categorical" and meaning(column) == "zip":
        treatment = replace(treatment, zip3=True)
    step = policy.round_to.get(column.role)
    if step is not None and treatment.round_to is None and column.kind in ("numeric", "integer"):
        treatment = replace(treatment, round_to=step)
    if treatment == NO_TREATMENT:
        return column
    treated = replace(column, treatment=treatment)
    extra = dict.fromkeys(_coarse_labels(treated).values())
    return replace(treated, categories=tuple(dict.fromkeys([*column.categories, *extra])))


def meaning(column: Column) -> str:
    """What a column means to a policy: "age", "birth", "zip", or nothing; declared, or told by its name."""
    if column.means:
        return "" if column.means == "other" else column.means
    words = set(detection.words(column.name))
    if words & _BIRTH and (column.kind in _CALENDAR or words & {"year", "yob", "birthyear"}):
        return "birth"
    if words & {"age", "ages"} and not words & {"months", "weeks", "days", "gestational"}:
        return "age"
    return "zip" if detection.is_postcode_name(column.name) else ""


def _with_dates(treatment: Treatment, dates: str) -> Treatment:
    """Add a demand on dates; of two units the coarser holds."""
    if dates == "shift":
        return replace(treatment, shift=True)
    units: tuple[datetimes.Unit, ...] = ("year", "month", "day")
    kept = next((unit for unit in units if unit in (dates, treatment.truncate)), None)
    return replace(treatment, truncate=kept)


def _with_ages(column: Column, treatment: Treatment, oldest: float, year: int) -> Treatment:
    """Group the ages above ``oldest``, and the years of birth that tell of such an age."""
    means = meaning(column)
    if means == "age" and column.kind in ("numeric", "integer"):
        top = oldest if treatment.top_code is None else min(oldest, treatment.top_code)
        return replace(treatment, top_code=top)
    if means == "age" and column.kind in _LABELS:
        merged = {label for _, labels in treatment.merge for label in labels}
        old = tuple(each for each in column.categories if each not in merged and _is_above(each, oldest))
        group = f"{oldest + 1:g}+"
        return replace(treatment, merge=(*treatment.merge, (group, old))) if len(old) > 1 else treatment
    if means == "birth":
        first = float(year - oldest)
        if column.kind in _CALENDAR:
            first = float(np.datetime64(f"{int(first):04d}-01-01", "D").astype(np.int64))
        if column.is_number and column.kind not in ("time", "duration"):
            bottom = first if treatment.bottom_code is None else max(first, treatment.bottom_code)
            return replace(treatment, bottom_code=bottom)
    return treatment


def _is_above(label: str, oldest: float) -> bool:
    first = _OLD.match(label)
    return first is not None and float(first[1]) > oldest


def _coarse_labels(column: Column) -> dict[str, str]:
    """Each declared category and the coarse label it becomes."""
    target = {label: new for new, labels in column.treatment.merge for label in labels}
    coarse = {}
    for category in column.categories:
        label = target.get(category, category)
        coarse[category] = zip3(label) if column.treatment.zip3 else label
    return coarse


def zip3(label: str) -> str:
    """The first three characters of a postcode; 000 for areas of the United States with few people."""
    prefix = label.strip()[:3]
    return "000" if prefix in RESTRICTED_ZIP3 else prefix


def domain(schema: State) -> State:
    """Return the schema of the coarse table: bounds and categories as they are after every treatment."""
    return replace(schema, columns=tuple(_domain(column) for column in schema.columns))


def _domain(column: Column) -> Column:
    treatment = column.treatment
    if treatment == NO_TREATMENT or not column.is_learned:
        return column
    if not column.is_number:
        return replace(column, categories=tuple(dict.fromkeys(_coarse_labels(column).values())))
    if column.bounds is None:
        return column
    low, high = column.bounds
    if treatment.shift:
        low, high = low - 7 * _SHIFT_WEEKS, high + 7 * _SHIFT_WEEKS
    ends = numbers(np.array([low, high]), column)
    return replace(column, bounds=(float(ends[0]), max(float(ends[1]), float(ends[0]))))


def numbers(values: FloatArray, column: Column) -> FloatArray:
    """Apply a column's treatments to numbers or days, all but the shift; doing it twice changes nothing."""
    treatment = column.treatment
    if treatment.round_to is not None:
        step = treatment.round_to
        # Divided by the inverse where that is whole: 0.1 is no float64, 10 is one.
        inverse = round(1 / step) if step < 1 and math.isclose(1 / step, round(1 / step)) else None
        values = np.rint(values * inverse) / inverse if inverse else np.rint(values / step) * step
    if column.kind in _CALENDAR:
        if treatment.bottom_code is not None:  # the group of the oldest: the start of the year before
            earlier = datetimes.truncated(np.array([treatment.bottom_code - 1.0]), "year")[0]
            values = np.where(values < treatment.bottom_code, earlier, values)
        return values if treatment.truncate is None else datetimes.truncated(values, treatment.truncate)
    if treatment.top_code is not None:
        values = np.where(values > treatment.top_code, treatment.top_code + 1.0, values)
    if treatment.bottom_code is not None:
        values = np.where(values < treatment.bottom_code, treatment.bottom_code - 1.0, values)
    return values


def shifts(schema: Schema) -> bool:
    """Whether the dates of any column move."""
    return any(column.treatment.shift for column in schema.learned)


def unshifted(schema: DeclaredSchema) -> DeclaredSchema:
    """Return the schema with dates left where they are."""
    columns = (replace(each, treatment=replace(each.treatment, shift=False)) for each in schema.columns)
    return replace(schema, columns=tuple(columns))


def apply(table: Table[OpenedSchema], *, seed: int) -> Table[OpenedSchema]:
    """Return the coarse table: its schema is ``domain`` of what ``required`` gave.

    ``seed`` fixes by how many weeks the dates of each patient move (up to 26 either way, never 0).
    """
    after = domain(table.schema)
    columns: dict[str, Any] = {}
    shift = _shift(table, seed)
    for column, coarse in zip(table.schema.learned, after.learned, strict=True):
        cells = table.frame[column.name]
        if column.treatment == NO_TREATMENT:
            columns[column.name] = cells
        elif column.is_number:
            values = cells.to_numpy(dtype=np.float64)
            if column.treatment.shift:
                values = datetimes.added(values, 7.0 * shift.astype(np.float64))
            columns[column.name] = numbers(values, column)
        else:
            columns[column.name] = _labels(cells, column, coarse)
    frame = pd.DataFrame(columns, index=table.frame.index)
    return replace(table, frame=frame, schema=after)


def _shift(table: Table[OpenedSchema], seed: int) -> IntArray:
    """The weeks by which each row's dates move, (rows,)."""
    units = np.arange(len(table)) if table.units is None else table.units
    _, patients = np.unique(units, return_inverse=True)
    choices = np.array([weeks for weeks in range(-_SHIFT_WEEKS, _SHIFT_WEEKS + 1) if weeks], dtype=np.int64)
    drawn = np.random.default_rng(seed).choice(choices, size=int(patients.max()) + 1)
    return np.asarray(drawn[patients])


def _labels(cells: pd.Series[Any], column: Column, coarse: Column) -> pd.Series[Any]:
    place = {label: code for code, label in enumerate(coarse.categories)}
    becomes = [place[label] for label in _coarse_labels(column).values()]
    codes = np.array([*becomes, -1])[cells.cat.codes.to_numpy()]  # code -1, missing, picks the last
    values = pd.Categorical.from_codes(codes, dtype=pd.CategoricalDtype(list(coarse.categories)))
    return pd.Series(values, index=cells.index)


def snapped(frame: pd.DataFrame, schema: Schema) -> pd.DataFrame:
    """Return a sampled frame whose numbers lie where treatments put them: a generator may draw a value in between."""
    treated = [column for column in schema.learned if column.is_number and column.treatment != NO_TREATMENT]
    if not treated:
        return frame
    return frame.assign(**{each.name: numbers(frame[each.name].to_numpy(dtype=np.float64), each) for each in treated})


def described(column: Column) -> str:
    """Say in a few words how a column was made coarser; empty where it was not."""
    treatment = column.treatment
    words = []
    if treatment.shift:
        words.append(f"moved by random weeks, the same for all dates of a patient (up to {_SHIFT_WEEKS} either way)")
    if treatment.truncate is not None:
        words.append(
            f"only the {treatment.truncate} is kept" if treatment.truncate != "day" else "only the day is kept"
        )
    if treatment.round_to is not None:
        words.append(f"rounded to {treatment.round_to:g}")
    if treatment.top_code is not None:
        words.append(f"above {treatment.top_code:g} becomes {treatment.top_code + 1:g}")
    if treatment.bottom_code is not None and column.kind in _CALENDAR:
        words.append(f"before {datetimes.written(treatment.bottom_code, 'date')} is one group")
    elif treatment.bottom_code is not None:
        words.append(f"below {treatment.bottom_code:g} becomes {treatment.bottom_code - 1:g}")
    if treatment.zip3:
        words.append("first three characters")
    words += [f"{len(labels)} labels merged into {new}" for new, labels in treatment.merge]
    return "; ".join(words)


def demands(declared: DeclaredSchema, wanted: DeclaredSchema) -> Mapping[str, str]:
    """What the policy added to the schema's own treatments: column name -> words."""
    own = {column.name: column.treatment for column in required(declared, Coarsening(), year=1).columns}
    return {column.name: described(column) for column in wanted.columns if column.treatment != own[column.name]}
