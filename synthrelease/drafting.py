"""Draft a schema from a table: a commented proposal that a person reviews before anything is built on it.

A draft names no level held by few rows, no cell of an identifier and no exact extreme of a number. Everything in it was
still learned from the table, so its comments ask for public knowledge in its place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa

from synthrelease import identifiers, relations, scales
from synthrelease.contracts import NUMBERS, FloatArray, IntArray, Kind
from synthrelease.errors import InputError
from synthrelease.schema import ANY_OTHER, LEARN, dotted, quoted
from synthrelease.tablefile import Flags, RawColumn, read_file

RARE_ROWS = 11
"""A level held by fewer rows than this is never named: the customary smallest cell of published health tables."""

MOST_LEVELS = 50
_MOST_CLASSES = 10
_MOST_CODES = 60
_FEWEST_ROWS_PER_LEVEL = 5
_UNIQUE_SHARE = 0.95
_COMMON_SHARE = 0.8

_MARKS = frozenset({"na", "n/a", "#n/a", "<na>", "?"})
"""Missing in any column (compared in lower case)."""

_NUMBER_MARKS = _MARKS | {"nan", "null", ".", "-", "--", "none", "nil", "missing", "unknown", "#value!", "#div/0!", "*"}
"""Missing in a column that holds numbers otherwise."""

_TARGETS = scales.word_set(
    "target label labels class outcome diagnosis response stroke readmitted income death died mortality survived "
    "survival deceased event y disease default churn fraud"
)


@dataclass(frozen=True, slots=True)
class _Survey:
    """One column as drafting looks at it: ``cells`` are its distinct cells without the missing ones."""

    raw: RawColumn
    cells: tuple[str, ...]
    counts: tuple[int, ...]
    numbers: tuple[float, ...]
    marks: tuple[str, ...]
    missing: int
    is_numeric: bool
    """Every cell is a number, none written like a code with leading zeros."""
    is_integer: bool
    """Every cell is a whole number."""

    @property
    def name(self) -> str:
        return self.raw.name

    @property
    def rows(self) -> int:
        """How many cells hold a value."""
        return sum(self.counts)

    @property
    def is_unique(self) -> bool:
        """Whether hardly any cell repeats."""
        return len(self.cells) >= max(2, _UNIQUE_SHARE * self.rows)


@dataclass(frozen=True, slots=True)
class _Proposal:
    """One column's block in the draft."""

    name: str
    kind: Kind
    role: str = ""
    bounds: tuple[str, str] | None = None
    categories: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    comments: tuple[str, ...] = field(default=())
    learns_levels: bool = False

    def noting(self, *comments: str) -> _Proposal:
        """Return the proposal with more comments."""
        return replace(self, comments=(*self.comments, *comments))


def draft(path: Path, *, target: str | None = None, unit: str | None = None, missing: Sequence[str] = ()) -> str:
    """Return a commented schema for a CSV or Parquet table, valid as it stands; ``missing`` are marks known to be so.

    Raises:
        InputError: The file is no table, or ``target`` or ``unit`` is none of its columns.
    """
    file = read_file(path)
    names = [raw.name for raw in file.columns]
    for key, name in (("target", target), ("unit", unit)):
        if name is not None and name not in names:
            raise InputError(f"The {key} must be a column of the table, however {name!r} is none. Check its spelling.")
    if target is not None and target == unit:
        raise InputError("The patient's column cannot be the target, because it is never learned. Choose another one.")
    surveys = [_survey(raw, missing) for raw in file.columns if not _is_nothing(raw)]
    unit = unit if unit is not None else _guessed_unit(surveys)
    proposals = [_proposal(survey, is_target=survey.name == target, is_unit=survey.name == unit) for survey in surveys]
    if any(proposal.kind == "text" for proposal in proposals if proposal.name == target):
        raise InputError(
            f"A target must hold numbers or at most {MOST_LEVELS} labels that most rows share, however {target!r} does "
            "not. Choose another target, or group its labels first."
        )
    guess = target if target is not None else _guessed_target(proposals)
    head = _head(guess, unit, missing, is_guess=target is None)
    blocks = [line for each in proposals for line in _block(each, guess, unit)]
    return "\n".join([*head, *blocks, *_constraints(surveys, proposals)]) + "\n"


def _constraints(surveys: Sequence[_Survey], proposals: Sequence[_Proposal]) -> list[str]:
    """The relations between learned columns that hold in every row, commented out."""
    labels: dict[str, IntArray] = {}
    numbers: dict[str, FloatArray] = {}
    for survey, proposal in zip(surveys, proposals, strict=True):
        cells = {cell: at for at, cell in enumerate(survey.cells)}
        places = np.array([cells.get(label, -1) for label in survey.raw.labels.to_pylist()] + [-1])[survey.raw.codes]
        if proposal.categories or proposal.learns_levels or (proposal.kind == "integer" and len(cells) <= MOST_LEVELS):
            labels[survey.name] = places
        if proposal.kind in NUMBERS:
            numbers[survey.name] = np.append(survey.numbers, np.nan)[places]
    return relations.offers(labels, numbers)


def _is_nothing(raw: RawColumn) -> bool:
    """Whether the column is nameless and blank: what a delimiter at the end of each line leaves behind."""
    return raw.header == "" and bool(raw.missing(()).all())


def _survey(raw: RawColumn, marks: Sequence[str]) -> _Survey:
    """Tell cells from missing marks: those given, the usual ones, and in number columns some more."""
    labels, texts = raw.labels.to_pylist(), raw.trimmed().to_pylist()
    numbers, counts = raw.numbers(), raw.counts()
    lowered = np.array([text.lower() for text in texts], dtype=object)
    missing = raw.missing(marks) | np.isin(lowered, list(_MARKS))
    if not missing.all() and np.isin(lowered[~missing & np.isnan(numbers)], list(_NUMBER_MARKS)).all():
        missing |= np.isin(lowered, list(_NUMBER_MARKS)) & _has_numbers(numbers, missing)
    kept = np.flatnonzero(~missing)
    has_codes = any(len(texts[at]) > 1 and texts[at][0] == "0" and texts[at].isdigit() for at in kept)
    is_numeric = len(kept) > 0 and not has_codes and not bool(np.isnan(numbers[kept]).any())
    found = {texts[at] for at in np.flatnonzero(missing)} - {""} - {mark.strip() for mark in marks}
    return _Survey(
        raw=raw,
        cells=tuple(labels[at] for at in kept),
        counts=tuple(counts[kept].tolist()),
        numbers=tuple(numbers[kept].tolist()),
        marks=tuple(sorted(found)),
        missing=int((raw.codes < 0).sum() + counts[missing].sum()),
        is_numeric=is_numeric,
        is_integer=is_numeric and bool((numbers[kept] == np.rint(numbers[kept])).all()),
    )


def _has_numbers(numbers: np.ndarray[tuple[int], np.dtype[np.float64]], missing: Flags) -> bool:
    return bool(np.isfinite(numbers[~missing]).any())


def _guessed_unit(surveys: Sequence[_Survey]) -> str | None:
    """The first column named like a patient's number whose values repeat."""
    return next((s.name for s in surveys if s.cells and not _all_differ(s) and _is_person(s)), None)


def _is_person(survey: _Survey) -> bool:
    return identifiers.is_person_number(survey.name) and len(survey.cells) > 1


def _all_differ(survey: _Survey) -> bool:
    return len(survey.cells) == survey.rows


def _guessed_target(proposals: Sequence[_Proposal]) -> str | None:
    """The last column with a usual target's name, else the last column if it holds a few labels."""
    fit = [p for p in proposals if p.categories and len(p.categories) <= _MOST_CLASSES and ANY_OTHER not in p.missing]
    named = [p.name for p in fit if "".join(identifiers.words(p.name)) in _TARGETS]
    if named:
        return named[-1]
    return proposals[-1].name if fit and fit[-1] is proposals[-1] and len(fit[-1].categories) > 1 else None


def _proposal(survey: _Survey, *, is_target: bool, is_unit: bool) -> _Proposal:
    """Try the readings of a column from the most to the least dangerous; the first that fits is proposed."""
    if is_unit:
        return _Proposal(survey.name, "identifier", missing=survey.marks).noting(
            "stands for a patient: never learned, replaced by surrogates"
        )
    if not survey.cells:
        return _text(survey, "never holds a value")
    readings: tuple[Callable[[_Survey], _Proposal | None], ...] = (
        (_binary, _class_codes, _number, _levels)
        if is_target
        else (_binary, _dates, _identifier, _codes, _number, _levels, _many_levels)
    )
    found = next((proposal for reading in readings if (proposal := reading(survey)) is not None), None)
    proposal = found or _text(survey, f"{len(survey.cells)} different cells are too many to learn")
    if survey.missing and proposal.kind != "identifier":
        proposal = proposal.noting(_missing_note(survey))
    role = scales.role(identifiers.words(survey.name))
    return replace(proposal, role=role) if role and proposal.kind not in ("identifier", "text") else proposal


def _missing_note(survey: _Survey) -> str:
    rows = "1 cell is" if survey.missing == 1 else f"{survey.missing} cells are"
    return f"{rows} missing"


def _text(survey: _Survey, why: str) -> _Proposal:
    proposal = _Proposal(survey.name, "text", missing=survey.marks)
    return proposal.noting(f"{why}: never learned, its cells are withheld")


def _identifier(survey: _Survey) -> _Proposal | None:
    """Names that identify, numbers named like one that hardly repeat, texts that never do."""
    finding = identifiers.by_name(survey.name)
    if finding is None and (survey.is_integer or not survey.is_numeric):
        finding = identifiers.by_shape([cell.strip() for cell in survey.cells])
    why = finding.why if finding else _number_reason(survey)
    if why is None:
        return None
    return _Proposal(survey.name, "identifier", missing=survey.marks).noting(f"{why}: replaced by surrogates")


def _number_reason(survey: _Survey) -> str | None:
    is_code_like = survey.is_integer or not survey.is_numeric
    if identifiers.is_number_name(survey.name) and is_code_like:
        if survey.is_unique:
            return "it is named like a number and hardly ever repeats"
        if len(survey.cells) > _MOST_CODES or _is_person(survey):
            return f"it is named like a number and has {len(survey.cells)} different values"
    if identifiers.is_postcode_name(survey.name) and len(survey.cells) > MOST_LEVELS:
        return "it is a postcode, and small areas identify people"
    if survey.is_integer and _is_row_number(survey):
        return "it counts the rows"
    short = all(len(cell) <= 40 and " " not in cell.strip() for cell in survey.cells)
    if not survey.is_numeric and survey.rows >= 20 and _all_differ(survey) and short:
        return "no two rows share a value"
    return None


def _is_row_number(survey: _Survey) -> bool:
    """Whether the values are consecutive and in file order."""
    steps = np.diff(np.array(survey.numbers))
    return _all_differ(survey) and survey.rows >= 20 and bool((steps == 1).all())


def _dates(survey: _Survey) -> _Proposal | None:
    kind = survey.raw.type
    is_time = kind is not None and (pa.types.is_temporal(kind) or pa.types.is_nested(kind) or pa.types.is_binary(kind))
    if is_time or (not survey.is_numeric and identifiers.are_dates([cell.strip() for cell in survey.cells])):
        return _text(survey, "dates identify people and are not learned yet")
    return None


def _binary(survey: _Survey) -> _Proposal | None:
    """Two labels that everybody knows as such; both are named however rare one is."""
    if len(survey.cells) != 2:
        return None
    ordered = scales.binary([cell.strip().lower() for cell in survey.cells])
    if ordered is None:
        return None
    categories = tuple(survey.cells[at] for at in ordered)
    return _Proposal(survey.name, "boolean", categories=categories, missing=survey.marks)


def _codes(survey: _Survey) -> _Proposal | None:
    """Small whole numbers under a name such as ``admission_type_id`` are labels."""
    return _code_range(survey) if scales.is_code_name(identifiers.words(survey.name)) else None


def _class_codes(survey: _Survey) -> _Proposal | None:
    """A target with a few whole numbers is a class, not a quantity."""
    return _code_range(survey) if len(survey.cells) <= _MOST_CLASSES else None


def _code_range(survey: _Survey) -> _Proposal | None:
    """Name every code between the lowest and the highest, so that the list does not tell which of them occur."""
    if not survey.is_integer or len(survey.cells) < 2:
        return None
    low, high = int(min(survey.numbers)), int(max(survey.numbers))
    suffix = next((cell.strip()[cell.strip().index(".") :] for cell in survey.cells if "." in cell), "")
    codes = tuple(f"{code}{suffix}" for code in range(low, high + 1))
    if low < 0 or len(codes) > _MOST_CODES or not {cell.strip() for cell in survey.cells} <= set(codes):
        return None
    note = "codes, not quantities; every one in the range is listed, whether it occurs or not"
    return _Proposal(survey.name, "categorical", categories=codes, missing=survey.marks).noting(note)


def _number(survey: _Survey) -> _Proposal | None:
    if not survey.is_numeric:
        return None
    low, high = min(survey.numbers), max(survey.numbers)
    kind: Kind = "integer" if survey.is_integer and max(abs(low), abs(high)) <= 2**53 else "numeric"
    proposal = _Proposal(survey.name, kind, bounds=friendly_bounds(low, high), missing=survey.marks)
    if _is_suspicious_zero(survey):
        note = '0 stands apart from the other values: if it means missing, add "0" to this column\'s missing marks'
        return proposal.noting(note)
    return proposal


def _is_suspicious_zero(survey: _Survey) -> bool:
    """Whether 0 occurs and lies far below the other values, measured by the steps between them and by their median."""
    numbers, counts = np.array(survey.numbers), np.array(survey.counts)
    others = np.sort(numbers[numbers != 0])
    zeros = counts[numbers == 0].sum()
    if not zeros or len(others) < 20 or others[0] < 0 or zeros > 0.6 * survey.rows:
        return False
    return bool(others[0] > 3 * np.diff(others).min() and others[0] > 0.05 * np.median(others))


def friendly_bounds(low: float, high: float) -> tuple[str, str]:
    """Round outward to a step of 1, 2 or 5 times a power of ten, at least a fifth of the range; as TOML numbers."""
    first, last = Decimal(repr(low)), Decimal(repr(high))
    span = last - first or max(abs(last), Decimal(1))
    power = Decimal(1).scaleb(span.adjusted() - 1)
    step = next(power * factor for factor in (2, 5, 10, 20) if power * factor * 5 >= span)
    if low == int(low) and high == int(high):
        step = max(step, Decimal(1 if span < 5 else 5))
    bottom = (first / step).to_integral_value(ROUND_FLOOR) * step
    top = (last / step).to_integral_value(ROUND_CEILING) * step
    if bottom == top:
        top += step
    return _toml_number(bottom), _toml_number(top)


def _toml_number(value: Decimal) -> str:
    text = f"{value.normalize():f}" if value else "0"
    return text if len(text) < 18 else repr(float(value))


def _levels(survey: _Survey) -> _Proposal | None:
    """Labels: at most 50, few compared with the rows; rare ones are counted and not named."""
    if len(survey.cells) > MOST_LEVELS or len(survey.cells) * _FEWEST_ROWS_PER_LEVEL > max(survey.rows, 10):
        return None
    common = [(cell, count) for cell, count in zip(survey.cells, survey.counts, strict=True) if count >= RARE_ROWS]
    if sum(count for _, count in common) < _COMMON_SHARE * survey.rows or not common:
        return None
    rare = len(survey.cells) - len(common)
    order = scales.order([cell for cell, _ in common])
    kind: Kind = "categorical" if order is None else "ordinal"
    cells = tuple(order or [cell for cell, _ in sorted(common)])
    proposal = _Proposal(survey.name, kind, categories=cells, missing=survey.marks)
    if not rare:
        return proposal
    levels = "1 level is" if rare == 1 else f"{rare} levels are"
    return replace(proposal, missing=(*survey.marks, ANY_OTHER)).noting(
        f"{levels} held by fewer than {RARE_ROWS} rows: merge it or declare it only if it is public knowledge",
        f'"{ANY_OTHER}" makes every label that is not declared count as missing',
    )


def _many_levels(survey: _Survey) -> _Proposal | None:
    """Labels too many to list that repeat enough to be learned: diagnosis codes, specialties."""
    repeat = sum(count for count in survey.counts if count >= RARE_ROWS)
    if len(survey.cells) <= MOST_LEVELS or len(survey.cells) * _FEWEST_ROWS_PER_LEVEL > survey.rows:
        return None
    if repeat < _COMMON_SHARE * survey.rows:
        return None
    return _Proposal(survey.name, "categorical", missing=survey.marks, learns_levels=True).noting(
        f"{len(survey.cells)} labels: those that enough patients hold are learned from training rows, the rest becomes",
        'the label named by `other` ("Other" unless said); list the labels instead where a public code book exists',
    )


def _head(target: str | None, unit: str | None, missing: Sequence[str], *, is_guess: bool) -> Iterator[str]:
    """The lines before the columns."""
    yield "# A draft, made from the table itself. Review every line before you build on it:"
    yield "# - replace bounds and categories by public knowledge (a code book, what is physically possible),"
    yield "#   because whatever stands here is known to everybody who sees the schema or the synthetic table;"
    yield "# - check the roles: feature (default), quasi_identifier (others may know it of a person), sensitive,"
    yield "#   identifier (replaced by surrogates), excluded (withheld);"
    yield "# - kinds are numeric, integer, boolean, categorical, ordinal (lowest first), text and identifier."
    yield ""
    yield 'purpose = ""  # say in a sentence what the synthetic table is for'
    if unit is not None:
        yield f"unit = {quoted(unit)}  # all rows of one patient stay together"
    else:
        yield '# unit = "..."  # name the patient\'s column if a patient can have several rows'
    if target is not None:
        why = "  # a guess: what a model would predict; remove the line if there is nothing" if is_guess else ""
        yield f"target = {quoted(target)}{why}"
    else:
        yield '# target = "..."  # name the column that a model would predict, if there is one'
    marks = ", ".join(quoted(mark) for mark in missing)
    yield f"missing = [{marks}]  # marks that mean missing in every column, besides an empty cell"


def _block(proposal: _Proposal, target: str | None, unit: str | None) -> Iterator[str]:
    """The lines of one column."""
    yield ""
    yield f"[{dotted('columns', proposal.name)}]"
    yield from (f"# {comment}" for comment in proposal.comments)
    if proposal.kind == "identifier":
        if proposal.name != unit:
            yield 'role = "identifier"'
    else:
        yield f"kind = {quoted(proposal.kind)}"
    if proposal.role and proposal.name != target:
        yield f"role = {quoted(proposal.role)}"
    if proposal.bounds:
        yield f"bounds = [{', '.join(proposal.bounds)}]"
    if proposal.learns_levels:
        yield f"categories = {quoted(LEARN)}"
    if proposal.categories:
        yield f"categories = [{', '.join(quoted(category) for category in proposal.categories)}]"
    if proposal.missing:
        yield f"missing = [{', '.join(quoted(mark) for mark in proposal.missing)}]"
