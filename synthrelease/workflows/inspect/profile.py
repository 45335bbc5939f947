"""What a table's inspection tells its steward, besides the drafted schema: findings as counts, what to decide, order.

The findings come from the table file, the kinds and roles from the drafted schema, so that both tell the same story.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np

from synthrelease.data.formats import Place, read_file
from synthrelease.data.raw_table import Codes, RawColumn, TableFile
from synthrelease.schema.identifiers import detection
from synthrelease.schema.schema_file import ANY_OTHER
from synthrelease.workflows.inspect import cell_anomalies, column_dependencies, draft_schema

_OLDEST = 89
_MOSTLY = 0.5
_MOST_LEVELS_OF_DEPENDENCE = 200
_FEWEST_ROWS_PER_LEVEL = 10
_SAMPLE_ROWS = 2_000
_NUMBERS = ("integer", "numeric")


@dataclass(frozen=True, slots=True)
class ColumnView:
    """One column as the steward is told of it. ``warnings`` come before ``facts``; ``weight`` orders the columns."""

    name: str
    kind: str
    role: str
    facts: tuple[str, ...]
    warnings: tuple[str, ...]
    decide: str
    weight: int


@dataclass(frozen=True, slots=True)
class Inspection:
    """A table inspected: its columns by how much they matter, remarks on the table, and the drafted schema."""

    rows: int
    columns: tuple[ColumnView, ...]
    remarks: tuple[str, ...]
    unit: str | None
    target: str | None
    schema: str


def inspect(
    path: Path | Place,
    *,
    target: str | None = None,
    unit: str | None = None,
    missing: Sequence[str] = (),
    known: Mapping[str, Any] | None = None,
) -> Inspection:
    """Draft a schema for a table and gather what its steward should know before deciding.

    ``known`` is the content of an earlier schema: its unit and its missing marks are taken over.

    Raises:
        InputError: See ``draft_schema.draft``.
    """
    file = read_file(path)
    if known is not None:
        missing = tuple(dict.fromkeys([*known.get("missing", ()), *missing]))
        names = {raw.name for raw in file.columns}
        unit = known.get("unit") if unit is None and known.get("unit") in names else unit
    text = draft_schema.draft_of(file, target=target, unit=unit, missing=missing)
    document = tomllib.loads(text)
    declared: Mapping[str, Mapping[str, Any]] = document["columns"]
    comments = _comments(text, list(declared))
    marks = tuple(document.get("missing", ()))
    views = [
        _view(raw, declared[raw.name], comments[raw.name], document, marks)
        for raw in file.columns
        if raw.name in declared
    ]
    return Inspection(
        rows=file.rows,
        columns=tuple(sorted(views, key=lambda view: -view.weight)),
        remarks=tuple(_remarks(file, document)),
        unit=document.get("unit"),
        target=document.get("target"),
        schema=text,
    )


def _comments(text: str, names: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """The comments of each column's block; blocks stand in the order of the columns."""
    blocks = text.split("\n\n[columns.")[1:]
    return {
        name: tuple(line[2:] for line in block.splitlines()[1:] if line.startswith("# "))
        for name, block in zip(names, blocks, strict=True)
    }


def _view(
    raw: RawColumn,
    entry: Mapping[str, Any],
    comments: Sequence[str],
    document: Mapping[str, Any],
    marks: tuple[str, ...],
) -> ColumnView:
    is_unit, is_target = raw.name == document.get("unit"), raw.name == document.get("target")
    kind = "identifier" if is_unit or entry.get("role") == "identifier" else str(entry["kind"])
    role = "patient" if is_unit else "target" if is_target else str(entry.get("role", "feature"))
    if kind == "text":
        role = "withheld"
    known = ~raw.missing((*marks, *entry.get("missing", ())))
    counts = raw.counts()
    rows = int(counts.sum() + (raw.codes < 0).sum())
    missing = rows - int(counts[known].sum())
    warned = list(_warnings(raw, known, kind)) if kind != "identifier" else []
    facts = [f"{int(known.sum()):,} {'value' if known.sum() == 1 else 'values'}"]
    facts += [f"{missing:,} missing ({missing / rows:.0%})"] if missing else []
    why = _why(comments, kind)
    facts = why + facts[1:] if any("different cells" in text for text in why) else facts + why
    if ANY_OTHER in entry.get("missing", ()):
        named = {str(category) for category in entry.get("categories", ())}
        rare = known & np.array([label not in named for label in raw.labels.to_pylist()], dtype=bool)
        levels = "1 rare level" if rare.sum() == 1 else f"{int(rare.sum())} rare levels"
        facts.append(f"{levels} in {_rows(int(counts[rare].sum()))}, counted as missing")
    if known.sum() == 1:
        facts.append("constant: nothing to learn")
    elif missing > _MOSTLY * rows:
        facts.append("mostly missing")
    weight, decide = _decision(kind, role, warned, entry, is_constant=known.sum() <= 1)
    return ColumnView(raw.name, kind, role, tuple(facts), tuple(warning.text for warning in warned), decide, weight)


def _why(comments: Sequence[str], kind: str) -> list[str]:
    """What the draft says of a column that is not learned, without what is done about it."""
    if kind not in ("identifier", "text"):
        return []
    return [comments[0].split(": replaced by")[0].split(": never learned")[0]] if comments else []


@dataclass(frozen=True, slots=True)
class _Warning:
    text: str
    decide: str


def _warnings(raw: RawColumn, known: np.ndarray[Any, np.dtype[np.bool_]], kind: str) -> Iterator[_Warning]:
    """What may be a mistake in the cells, each with its rows and what to do."""
    counts = raw.counts()
    labels = raw.labels.to_pylist()
    numbers = raw.numbers()
    if kind in _NUMBERS:
        yield from _number_warnings(raw.name, numbers[known], counts[known])
    padded, broken = cell_anomalies.padded_rows(labels, counts)
    if padded:
        yield _Warning(f"blanks around the cell in {_rows(padded)}", "trim the cells at the source")
    if broken:
        yield _Warning(f"tabs or line breaks in {_rows(broken)}", "correct the cells at the source")
    if kind in _NUMBERS:
        return
    labels_known = [label for label, is_known in zip(labels, known, strict=True) if is_known]
    several, rarer = cell_anomalies.spellings(labels_known, counts[known])
    if several:
        one = "1 label is" if several == 1 else f"{several} labels are"
        yield _Warning(f"{one} spelled in several ways (the rarer ones in {_rows(rarer)})", "agree on one spelling")
    odd = cell_anomalies.not_numbers(numbers[known], counts[known])
    if odd:
        yield _Warning(
            f"no number in {_rows(odd)}, though all others hold one", "correct them, or declare them missing"
        )


def _number_warnings(name: str, numbers: cell_anomalies.Numbers, counts: cell_anomalies.Counts) -> Iterator[_Warning]:
    for code, count in cell_anomalies.codes_for_missing(numbers, counts):
        what = f"{code:g}" if code == 0 or count >= draft_schema.RARE_ROWS else "a usual code for missing, such as 999,"
        decide = f'if it means missing: missing = ["{code:g}"]' if what == f"{code:g}" else "does it mean missing?"
        yield _Warning(f"{what} in {_rows(count)}, apart from all others", decide)
    old = int(counts[numbers > _OLDEST].sum()) if "age" in detection.words(name) else 0
    if old:
        yield _Warning(f"an age over {_OLDEST} in {_rows(old)}", f"HIPAA groups ages over {_OLDEST}")


def _rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count:,} rows"


def _decision(
    kind: str, role: str, warnings: Sequence[_Warning], entry: Mapping[str, Any], *, is_constant: bool
) -> tuple[int, str]:
    """How much a column matters, and what its steward should decide: the most dangerous first."""
    if role == "patient":
        return 100, "is this the patient's number? rows of one patient stay together"
    if kind == "identifier":
        return 90, "keep it an identifier, unless it is none"
    if warnings:
        return 80, "; ".join(dict.fromkeys(warning.decide for warning in warnings))
    if kind == "text":
        return 10 if is_constant else 70, "" if is_constant else "leave it out, or group it into levels first"
    if role == "target":
        return 60, "is this what a model should predict?"
    if is_constant:
        return 5, "constant: exclude it, or leave it"
    if ANY_OTHER in entry.get("missing", ()):
        return 50, "merge rare levels, or declare those that are public"
    if role in ("quasi_identifier", "sensitive"):
        known = "may others know it of a person?" if role == "quasi_identifier" else "who is harmed if it leaks?"
        return 40, known
    if kind in _NUMBERS:
        return 20, "put public limits in place of the bounds"
    return (30, "is the order right, lowest first?") if kind == "ordinal" else (15, "compare with the code book")


def _remarks(file: TableFile, document: Mapping[str, Any]) -> Iterator[str]:
    """What concerns several columns: who counts as a patient, rows that repeat, columns that follow from others."""
    unit = document.get("unit")
    if unit is not None:
        codes = next(raw.codes for raw in file.columns if raw.name == unit)
        yield f"{unit} stands for {len(np.unique(codes)):,} patients in {file.rows:,} rows."
    repeated = _repeated_rows([raw.codes for raw in file.columns], file.rows)
    if repeated:
        yield f"{_rows(repeated)} repeat another row in every column. Is that so at the source?"
    declared: Mapping[str, Mapping[str, Any]] = document["columns"]
    usable = [
        raw
        for raw in file.columns
        if raw.name in declared and raw.name != unit and declared[raw.name].get("role") != "identifier"
    ]
    if len(usable) > column_dependencies.MOST_COMPARED:
        yield f"Only the first {column_dependencies.MOST_COMPARED} columns were compared with each other."
    yield from _dependences(usable[: column_dependencies.MOST_COMPARED], file.rows)


def _repeated_rows(codes: Sequence[Codes], rows: int) -> int:
    """Rows that equal an earlier one, by a 64-bit hash of their codes."""
    mixed = np.zeros(rows, dtype=np.uint64)
    with np.errstate(over="ignore"):
        for column in codes:
            mixed = (mixed ^ (column.astype(np.int64) + 2).astype(np.uint64)) * np.uint64(0x9E3779B97F4A7C15)
            mixed ^= mixed >> np.uint64(31)
    return rows - len(np.unique(mixed))


def _dependences(columns: Sequence[RawColumn], rows: int) -> Iterator[str]:
    """Columns that tell the same, and columns of few levels that follow from another one without exception."""
    few = [raw for raw in columns if 2 <= len(raw.labels) <= min(_MOST_LEVELS_OF_DEPENDENCE, rows // 10)]
    twins: set[frozenset[str]] = set()
    for raw, other in permutations([raw for raw in columns if 2 <= len(raw.labels) < rows], 2):
        pair = frozenset((raw.name, other.name))
        if pair not in twins and len(raw.labels) == len(other.labels) and np.array_equal(raw.codes, other.codes):
            twins.add(pair)
            yield f"{raw.name} and {other.name} tell the same: each follows from the other. Exclude one?"
    step = max(1, rows // _SAMPLE_ROWS)
    spread = {raw.name for raw in few if _has_spread(raw, rows)}
    for raw, other in permutations(few, 2):
        if frozenset((raw.name, other.name)) in twins or other.name not in spread:
            continue
        if _determines(raw.codes[::step], other.codes[::step]) and _determines(raw.codes, other.codes):
            yield f"{other.name} follows from {raw.name}. Exclude one of them?"


def _has_spread(raw: RawColumn, rows: int) -> bool:
    """Whether enough rows differ from the commonest value for a dependence to mean something."""
    return int(raw.counts().max()) <= rows - max(20, rows // 100)


def _determines(codes: Codes, others: Codes) -> bool:
    """Whether each value of one column goes with one value of the other, and not for want of rows."""
    values, people = codes.astype(np.int64) + 1, others.astype(np.int64) + 1
    distinct = len(np.unique(values))
    pairs = len(np.unique(values * (int(people.max()) + 2) + people))
    return pairs == distinct and distinct * _FEWEST_ROWS_PER_LEVEL <= len(values)
