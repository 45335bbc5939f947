"""The schema file: what a steward declares about a table, loaded from TOML and checked as a whole.

A schema never runs code and never guesses: ``no`` stays the label "no", and whatever is not declared is refused. All
problems of a file are reported at once.
"""

from __future__ import annotations

import copy
import hashlib
import math
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictStr,
    ValidationError,
    model_validator,
)
from pydantic_core import PydanticCustomError

from synthrelease.core.contracts import MOMENTS, Column, Constraint, DeclaredSchema, Kind, Role, Treatment
from synthrelease.core.errors import SchemaError, listing
from synthrelease.schema import constraints, datetimes, generalisation, planned_analyses
from synthrelease.schema.schema_file_blocks import AnalysisEntry, AuditEntry, ConstraintEntry, ReleaseEntry
from synthrelease.schema.schema_file_messages import dotted as dotted
from synthrelease.schema.schema_file_messages import quoted as quoted
from synthrelease.schema.schema_file_messages import sentence

ANY_OTHER = "*"
"""As a missing mark of a label column: every label that is not declared counts as missing.

It lets a table with rare levels be read without the schema naming them. In a column of dates or times, every cell that
is not spelled as its format says counts as missing. In a number column it is an ordinary mark.
"""

LEARN = "learn"
"""As ``categories``: labels are learned from training rows, and rare ones merged. As ``bounds``: they are learned."""

ROW = "row"
"""As ``unit``: every row is a patient of its own. Saying nothing means the same until a privacy claim depends on it."""

LABELS: frozenset[str] = frozenset({"boolean", "categorical", "ordinal"})
"""Kinds whose values are declared one by one."""


def _spelled(value: object) -> object:
    """Take an integer label as it is spelled in the file: ``[0, 1]`` means ``["0", "1"]``."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


_Label = Annotated[StrictStr, BeforeValidator(_spelled)]


def _bound(value: object) -> object:
    """Take a number, and what may be a date or a time."""
    if not datetimes.any_moment(value):
        raise PydanticCustomError("bound_type", "must be a number or a date")
    return value


def _listed(value: object) -> object:
    """Take one format for a list of one."""
    return [value] if isinstance(value, str) else value


_Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
_Bound = Annotated[Any, BeforeValidator(_bound)]


class _ColumnEntry(BaseModel):
    """One ``[columns.name]`` block, as written."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Kind | None = None
    role: Literal["feature", "quasi_identifier", "sensitive", "identifier", "excluded"] | None = None
    bounds: list[_Bound] | None = None
    categories: list[_Label] | None = None
    missing: list[_Label] = []
    not_an_identifier: StrictStr | None = None
    format: Annotated[list[StrictStr], BeforeValidator(_listed)] = []
    anchor: StrictStr | None = None
    means: Literal["age", "birth", "zip", "other"] | None = None
    decimals: Annotated[int, Field(strict=True, ge=0, le=15)] | None = None
    top_code: _Number | None = None
    bottom_code: _Number | None = None
    round_to: _Number | None = None
    truncate: Literal["year", "month", "day"] | None = None
    zip3: StrictBool = False
    merge: dict[str, list[_Label]] = {}
    other: StrictStr | None = None
    learns_levels: bool = Field(default=False, validation_alias="\0")  # set below, by names that no file can use
    learns_bounds: bool = Field(default=False, validation_alias="\1")

    @model_validator(mode="before")
    @classmethod
    def _learned(cls, entry: Any) -> Any:
        """Take ``categories = "learn"`` apart from a list of labels, and ``bounds = "learn"`` from two numbers."""
        if not isinstance(entry, dict):
            return entry
        asked = {key: mark for key, mark in (("categories", "\0"), ("bounds", "\1")) if entry.get(key) == LEARN}
        return {**entry, **dict.fromkeys(asked), **dict.fromkeys(asked.values(), True)}


class _SchemaFile(BaseModel):
    """The whole file, as written."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    purpose: StrictStr = ""
    unit: StrictStr | None = None
    rows_per_unit: Annotated[int, Field(strict=True, ge=1, le=20)] = 10
    rows_are_public: StrictBool = False
    target: StrictStr | None = None
    missing: list[_Label] = []
    dates: Literal["year", "month", "day", "shift"] | None = None
    columns: dict[str, _ColumnEntry]
    constraints: list[ConstraintEntry] = []
    analyses: list[AnalysisEntry] = []
    audit: AuditEntry = AuditEntry()
    release: ReleaseEntry = ReleaseEntry()


def load(path: Path, *, target: str | None = None) -> DeclaredSchema:
    """Read the schema file and check it as a whole; ``target`` replaces the file's own target.

    Columns keep the order of the schema file, which need not be the table's.

    Raises:
        SchemaError: The file cannot be read or breaks a rule; every problem is listed with its key.
    """
    content = _content(path)
    document = _document(content, path)
    if target is not None:
        document["target"] = target
    is_row = document.get("unit") == ROW and ROW not in document.get("columns", {})
    if is_row:
        del document["unit"]
    entry, problems, spoilt = _validated(document)
    if entry is not None:
        problems += [*_file_problems(entry, overridden=target is not None), *_column_problems(entry, spoilt)]
    if entry is None or problems:
        raise SchemaError(listing(_title(path, len(problems)), problems))
    columns = tuple(_column(name, column, entry) for name, column in entry.columns.items())
    analyses = tuple(planned_analyses.declared(each, columns) for each in entry.analyses)
    written = tuple(Constraint(c.rule, tuple(c.combination), c.tolerance) for c in entry.constraints)
    schema = DeclaredSchema(
        columns=columns,
        target=entry.target,
        unit=entry.unit,
        unit_is_row=is_row,
        rows_per_unit=entry.rows_per_unit,
        rows_are_public=entry.rows_are_public,
        missing=tuple(entry.missing),
        purpose=entry.purpose,
        digest=hashlib.sha256(content).hexdigest(),
        dates=entry.dates or "",
        constraints=(*written, *planned_analyses.constraints(analyses, columns)),
        linkability=tuple(map(tuple, entry.audit.linkability)),
        contact=entry.release.contact,
        terms=entry.release.terms,
        analyses=analyses,
    )
    wrong = [*planned_analyses.problems(schema)] or [*constraints.problems(schema)]
    if wrong:
        raise SchemaError(listing(_title(path, len(wrong)), wrong))
    return schema


def _title(path: Path, count: int) -> str:
    things = "1 thing" if count == 1 else f"{count} things"
    return f"A schema must fit its rules, however {path.name} breaks {things}. Correct the file and run again:"


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise SchemaError(
            f"The schema file must exist, however {path} does not. "
            "Draft one with `synthrelease inspect TABLE --out schema.toml`."
        ) from None
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise SchemaError(
            f"The schema file must be readable, however {path} is not ({reason}). Give another path."
        ) from None


def _document(content: bytes, path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise SchemaError(
            f"A schema file must be UTF-8 text, however line {line} of {path.name} is not. Save it as UTF-8."
        ) from None
    except tomllib.TOMLDecodeError as error:
        raise SchemaError(
            f"A schema file must be valid TOML, however {path.name} is not: {error}. Correct that line."
        ) from None


def _validated(document: Mapping[str, Any]) -> tuple[_SchemaFile | None, list[str], frozenset[str]]:
    """Check keys and types. What is wrong is left out, so that the rest can be checked for its meaning as well.

    Returns what remains (None if nothing sensible does), the problems, and the columns from which a key was left out.
    """
    try:
        return _SchemaFile.model_validate(document), [], frozenset()
    except ValidationError as error:
        details = error.errors(include_url=False)
    problems = [sentence(tuple(detail["loc"]), detail) for detail in details]
    remains = copy.deepcopy(dict(document))
    spoilt: set[str] = set()
    for detail in details:
        *parents, key = [str(part) for part in detail["loc"]][:3]
        holder: Any = remains
        for parent in parents:
            holder = holder.get(parent, {}) if isinstance(holder, dict) else {}
        if isinstance(holder, dict):
            holder.pop(key, None)
        spoilt.update(str(part) for part in detail["loc"][1:2])
    try:
        return _SchemaFile.model_validate(remains), problems, frozenset(spoilt)
    except ValidationError:
        return None, problems, frozenset()


def _file_problems(entry: _SchemaFile, *, overridden: bool) -> Iterator[str]:
    if not entry.columns:
        yield "columns: a schema needs at least one column. Add a [columns.name] block for each"
    if len(set(entry.missing)) < len(entry.missing):
        yield "missing: a mark is listed twice. Remove the repetition"
    for key, name in (("target", entry.target), ("unit", entry.unit)):
        if name is not None and name not in entry.columns:
            source = "the target asked for" if overridden and key == "target" else key
            yield f"{key}: {source} must be one of the columns, however {name!r} is none. Name one, or declare it"
    if entry.target is not None and entry.target == entry.unit:
        yield "target: the unit's column cannot be the target, because it is never learned. Choose another target"
    elif entry.target in entry.columns:
        column = entry.columns[entry.target]
        if column.role in ("identifier", "excluded") or column.kind in ("identifier", "text"):
            yield f"target: {entry.target!r} is never learned (see its kind and role). Choose another target"
    sets = entry.audit.linkability
    named = [name for names in sets for name in names]
    if sets and (
        len(sets) != 2 or not all(sets) or len(set(named)) < len(named) or not set(named) <= set(entry.columns)
    ):
        yield "audit.linkability: two lists of columns with none in both are wanted. Name columns of this schema"
    if entry.columns and not any(_role(name, column, entry) in _LEARNED for name, column in entry.columns.items()):
        yield "columns: nothing is left to learn: every column is an identifier, a unit, text or excluded. Declare one"


_LEARNED = frozenset({"feature", "quasi_identifier", "sensitive", "target"})


def _column_problems(entry: _SchemaFile, spoilt: frozenset[str]) -> Iterator[str]:
    for name, column in entry.columns.items():
        if name in spoilt:
            continue
        kind = _kind(name, column, entry)
        key = dotted("columns", name)
        if kind is None:
            yield f"{key}.kind: is required unless the column is an identifier or the unit. Add it"
            continue
        yield from (f"{key}.{problem}" for problem in _role_problems(name, column, entry))
        yield from (f"{key}.{problem}" for problem in _reason_problems(name, column, entry))
        yield from (f"{key}.{problem}" for problem in _bounds_problems(column, kind))
        yield from (f"{key}.{problem}" for problem in _category_problems(column, kind, entry))
        yield from (f"{key}.{problem}" for problem in _moment_problems(name, column, kind, entry))
        treatment = _treatment(column)
        yield from (f"{key}.{problem}" for problem in generalisation.problems(treatment, kind, column.categories or ()))


def _role_problems(name: str, column: _ColumnEntry, entry: _SchemaFile) -> Iterator[str]:
    if name == entry.unit and column.role not in (None, "identifier"):
        yield f"role: the unit is an identifier, however its role is {column.role!r}. Leave the role out"
    elif column.kind == "identifier" and column.role not in (None, "identifier"):
        yield f"role: an identifier is never learned, however its role is {column.role!r}. Leave the role out"
    elif column.kind == "text" and column.role in ("quasi_identifier", "sensitive", "feature"):
        yield f"role: text is never learned, however its role is {column.role!r}. Leave the role out"


def _reason_problems(name: str, column: _ColumnEntry, entry: _SchemaFile) -> Iterator[str]:
    if column.not_an_identifier is None:
        return
    if not column.not_an_identifier.strip():
        yield "not_an_identifier: gives the reason why the column is none, however it is empty. Write the reason"
    elif _role(name, column, entry) not in _LEARNED:
        yield "not_an_identifier: belongs to a learned column, however this one is never learned. Remove it"


def _bounds_problems(column: _ColumnEntry, kind: Kind) -> Iterator[str]:
    bounds: Sequence[Any] | None = column.bounds
    if column.decimals is not None and kind != "numeric":
        yield f"decimals: belong to numeric columns, however this one is {kind}. Remove them"
    if bounds is None and not column.learns_bounds:
        return
    if kind not in ("numeric", "integer", *MOMENTS):
        yield f"bounds: belong to numeric and integer columns, dates and times, however this one is {kind}. Remove them"
        return
    if bounds is None:
        return
    if len(bounds) != 2:
        yield f"bounds: are two numbers, lowest and highest, however {len(bounds)} are given. Correct them"
        return
    bounds = _bounds(column, kind) or ()
    if not bounds:
        what = f"a {kind} each, such as 2024-12-31 or 08:30" if kind in MOMENTS else "a number each"
        yield f"bounds: must be {what}. Correct them"
    elif not all(math.isfinite(bound) for bound in bounds):
        yield "bounds: must be finite numbers. Correct them, or leave them out"
    elif bounds[0] >= bounds[1]:
        yield "bounds: the lowest value must come first and be below the highest. Correct them"
    elif kind == "integer" and any(abs(bound) > 2**53 for bound in bounds):
        yield "bounds: integers must lie within 2**53 either side of 0. Declare the column an identifier or narrow them"


def _bounds(column: _ColumnEntry, kind: Kind) -> tuple[float, float] | None:
    """The two bounds as float64 (dates and times in days), None where one of them is not of the column's kind."""
    if column.bounds is None or len(column.bounds) != 2:
        return None
    reading = Column("", kind=kind, format=tuple(column.format))
    is_number = kind not in MOMENTS
    if is_number and any(isinstance(each, str) or not isinstance(each, (int, float)) for each in column.bounds):
        return None
    low, high = (float(each) if is_number else datetimes.bound(each, reading) for each in column.bounds)
    return None if low is None or high is None else (low, high)


def _moment_problems(name: str, column: _ColumnEntry, kind: Kind, entry: _SchemaFile) -> Iterator[str]:
    if kind not in MOMENTS and column.format:
        yield f"format: belongs to dates and times, however this column is {kind}. Remove it"
    for each in column.format if kind in MOMENTS else ():
        problem = datetimes.format_problem(each, kind)
        if problem is not None:
            yield f"format: {each!r} does not spell a {kind}: {problem}. Correct it"
    if column.anchor is None:
        return
    chain = [name]
    while (anchor := entry.columns[chain[-1]].anchor) is not None and anchor in entry.columns and len(chain) < 1_000:
        chain.append(anchor)
        if anchor == name:
            yield "anchor: the column is, in the end, anchored to itself. Leave one anchor out"
            return
    anchored = entry.columns.get(column.anchor)
    if kind not in ("date", "datetime") or name == entry.target:
        yield "anchor: belongs to a date or datetime that is not the target. Remove it"
    elif (
        anchored is None
        or anchored.kind not in ("date", "datetime")
        or _role(column.anchor, anchored, entry) not in _LEARNED
    ):
        yield f"anchor: must name a learned date or datetime column, however {column.anchor!r} is none. Correct it"


def _treatment(column: _ColumnEntry) -> Treatment:
    return Treatment(
        top_code=column.top_code,
        bottom_code=column.bottom_code,
        round_to=column.round_to,
        truncate=column.truncate,
        zip3=column.zip3,
        merge=tuple((label, tuple(labels)) for label, labels in column.merge.items()),
    )


def _category_problems(column: _ColumnEntry, kind: Kind, entry: _SchemaFile) -> Iterator[str]:
    categories = column.categories
    if len(set(column.missing)) < len(column.missing):
        yield "missing: a mark is listed twice. Remove the repetition"
    if kind not in LABELS:
        if categories is not None or column.learns_levels:
            yield f"categories: belong to boolean, categorical and ordinal columns, not to {kind}. Remove them"
        return
    if column.learns_levels:
        yield from _learning_problems(column, kind, entry)
        return
    if column.other is not None:
        yield f'other: belongs to columns with categories = "{LEARN}". Remove it'
    if not categories:
        yield f"categories: a {kind} column must list its labels, spelled as in the table. Add them"
        return
    repeated = len(categories) - len(set(categories))
    marks = {*column.missing, *entry.missing, ""}
    if repeated:
        yield f"categories: each label stands once, however {repeated} of {len(categories)} repeat. Remove them"
    elif kind == "boolean" and len(categories) != 2:
        yield f"categories: a boolean column has two labels, however {len(categories)} are listed. Use categorical"
    if not marks.isdisjoint(categories):
        both = len(marks.intersection(categories))
        yield f"categories: {both} of them also stand for a missing value. Keep the label or the missing mark, not both"


def _learning_problems(column: _ColumnEntry, kind: Kind, entry: _SchemaFile) -> Iterator[str]:
    if kind != "categorical":
        yield f'categories: "{LEARN}" belongs to categorical columns, however this one is {kind}. List its labels'
    if ANY_OTHER in column.missing:
        yield f'missing: "{ANY_OTHER}" means labels that are not declared, however these are learned. Remove the mark'
    if column.other and column.other in {*column.missing, *entry.missing}:
        yield 'other: also stands for a missing value. Choose another label, or "" to make rare labels missing'


def _kind(name: str, column: _ColumnEntry, entry: _SchemaFile) -> Kind | None:
    is_identifier = name == entry.unit or "identifier" in (column.kind, column.role)
    excluded: Kind | None = "text" if column.role == "excluded" else None
    return "identifier" if is_identifier else column.kind or excluded


def _role(name: str, column: _ColumnEntry, entry: _SchemaFile) -> Role:
    if name == entry.unit:
        return "unit"
    kind = _kind(name, column, entry)
    if kind == "identifier":
        return "identifier"
    if kind == "text" or column.role == "excluded":
        return "excluded"
    return "target" if name == entry.target else column.role or "feature"


def _column(name: str, column: _ColumnEntry, entry: _SchemaFile) -> Column:
    """Build the frozen column of an entry that has passed every rule."""
    kind = _kind(name, column, entry)
    if kind is None:  # refused by _column_problems before
        raise AssertionError("a column without a kind reached the schema")
    return Column(
        name=name,
        kind=kind,
        role=_role(name, column, entry),
        bounds=_bounds(column, kind),
        categories=tuple(column.categories or ()),
        missing=tuple(column.missing),
        not_an_identifier=(column.not_an_identifier or "").strip(),
        format=tuple(column.format),
        anchor=column.anchor,
        treatment=_treatment(column),
        means=column.means or "",
        learns_levels=column.learns_levels,
        learns_bounds=column.learns_bounds,
        decimals=column.decimals,
        other="Other" if column.other is None else column.other.strip(),
        declared_sensitive=column.role == "sensitive",
    )
