"""Draft a schema from a table: a commented proposal that a person reviews before anything is built on it.

A draft names no level held by few rows, no cell of an identifier and no exact extreme of a number. Everything in it was
still learned from the table, so its comments ask for public knowledge in its place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa

from synthrelease.core.contracts import FloatArray, IntArray, Kind
from synthrelease.core.errors import InputError
from synthrelease.data.formats import Place, read_file
from synthrelease.data.raw_table import Codes, Flags, Floats, RawColumn, TableFile
from synthrelease.schema import name_hints
from synthrelease.schema.identifiers import detection
from synthrelease.schema.schema_file import ANY_OTHER, LEARN, dotted, quoted
from synthrelease.workflows.inspect import cell_anomalies, column_dependencies, date_inference, survival_pairs

RARE_ROWS = 11
"""A level held by fewer rows than this is never named: the customary smallest cell of published health tables."""

MOST_LEVELS = 50
_MOST_CLASSES = 10
_MOST_CODES = 60
_FEWEST_ROWS_PER_LEVEL = 5
_COMMON_SHARE = 0.8

_MARKS = frozenset({"na", "n/a", "#n/a", "<na>", "?"})
"""Missing in any column (compared in lower case)."""

_NUMBER_MARKS = _MARKS | {"nan", "null", ".", "-", "--", "none", "nil", "missing", "unknown", "#value!", "#div/0!", "*"}
"""Missing in a column that holds numbers otherwise."""

_TARGETS = name_hints.word_set(
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
    is_per_patient: bool = False
    """Each patient has one value, and no two patients share one, though patients have several rows."""

    @property
    def name(self) -> str:
        return self.raw.name

    @property
    def rows(self) -> int:
        """How many cells hold a value."""
        return sum(self.counts)

    def view(self) -> detection.View:
        """The column as it is searched for identifiers."""
        return detection.View(
            name=self.name,
            cells=[cell.strip() for cell in self.cells],
            rows=self.rows,
            is_number=self.is_numeric,
            is_integer=self.is_integer,
            is_date=self.raw.type is not None and pa.types.is_temporal(self.raw.type),
            is_per_patient=self.is_per_patient,
        )


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
    format: tuple[str, ...] = ()
    anchor: str = ""
    days: Floats | None = None
    """A date in every row, in days, NaN where missing: for finding anchors, and never written."""
    learns_levels: bool = False

    def noting(self, *comments: str) -> _Proposal:
        """Return the proposal with more comments."""
        return replace(self, comments=(*self.comments, *comments))


def draft(
    path: Path | Place, *, target: str | None = None, unit: str | None = None, missing: Sequence[str] = ()
) -> str:
    """Return a commented schema for a table, valid as it stands; ``missing`` are marks known to be so.

    Raises:
        InputError: The file is no table, or ``target`` or ``unit`` is none of its columns.
    """
    return draft_of(read_file(path), target=target, unit=unit, missing=missing)


def draft_of(
    file: TableFile, *, target: str | None = None, unit: str | None = None, missing: Sequence[str] = ()
) -> str:
    """Draft the schema of a file that has been read; see ``draft``."""
    names = [raw.name for raw in file.columns]
    for key, name in (("target", target), ("unit", unit)):
        if name is not None and name not in names:
            raise InputError(f"The {key} must be a column of the table, however {name!r} is none. Check its spelling.")
    if target is not None and target == unit:
        raise InputError("The patient's column cannot be the target, because it is never learned. Choose another one.")
    columns = [raw for raw in file.columns if not _is_nothing(raw)]
    if unit is None:
        unit = _guessed_unit(_survey(raw, missing) for raw in columns if detection.is_person_number(raw.name))
    patients = next((_survey(raw, missing).raw.codes for raw in columns if raw.name == unit), None)
    proposals: list[_Proposal] = []
    values = _Values()
    for raw in columns:  # one survey at a time: it holds the distinct cells of its column as Python objects
        survey = _related(_survey(raw, missing), unit, patients)
        proposals.append(_proposal(survey, is_target=raw.name == target, is_unit=raw.name == unit))
        values.add(survey, proposals[-1])
    proposals = _anchored(proposals, target)
    if any(proposal.kind == "text" for proposal in proposals if proposal.name == target):
        raise InputError(
            f"A target must hold numbers or at most {MOST_LEVELS} labels that most rows share, however {target!r} does "
            "not. Choose another target, or group its labels first."
        )
    guess = target if target is not None else _guessed_target(proposals)
    head = _head(guess, unit, missing, is_guess=target is None)
    blocks = [line for each in proposals for line in _block(each, guess, unit)]
    offers = [*column_dependencies.offers(values.labels, values.numbers), *_survival(proposals)]
    return "\n".join([*head, *blocks, *offers]) + "\n"


def _survival(proposals: Sequence[_Proposal]) -> list[str]:
    """An analysis of survival where the columns' names suggest one."""
    lows = {
        each.name: float(each.bounds[0]) for each in proposals if each.kind in ("numeric", "integer") and each.bounds
    }
    times = [name for name, low in lows.items() if low >= 0 and name_hints.is_time(detection.words(name))]
    events = [p.name for p in proposals if p.kind == "boolean" and name_hints.is_event(detection.words(p.name))]
    if not times or not events:
        return []
    says_censored = name_hints.is_censoring(detection.words(events[0]))
    return survival_pairs.offer(quoted(times[0]), quoted(events[0]), says_censored=says_censored)


@dataclass(frozen=True, slots=True)
class _Values:
    """What relations between learned columns are looked for in: codes of labels, and numbers, row by row."""

    labels: dict[str, IntArray] = field(default_factory=dict)
    numbers: dict[str, FloatArray] = field(default_factory=dict)

    def add(self, survey: _Survey, proposal: _Proposal) -> None:
        """Take in one column."""
        cells = {cell: at for at, cell in enumerate(survey.cells)}
        places = np.array([cells.get(label, -1) for label in survey.raw.labels.to_pylist()] + [-1])[survey.raw.codes]
        if proposal.categories or proposal.learns_levels or (proposal.kind == "integer" and len(cells) <= MOST_LEVELS):
            self.labels[survey.name] = places
        if proposal.days is not None:
            self.numbers[survey.name] = proposal.days
        elif proposal.kind in ("numeric", "integer"):
            self.numbers[survey.name] = np.append(survey.numbers, np.nan)[places]


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


def _guessed_unit(surveys: Iterable[_Survey]) -> str | None:
    """The first column named like a patient's number whose values repeat."""
    return next((s.name for s in surveys if s.cells and not _all_differ(s) and _is_person(s)), None)


def _related(survey: _Survey, unit: str | None, patients: Codes | None) -> _Survey:
    """Mark a column that holds one value for each patient, shared by no other."""
    if patients is None or survey.name == unit:
        return survey
    return replace(survey, is_per_patient=detection.are_paired(survey.raw.codes, patients))


def _is_person(survey: _Survey) -> bool:
    return detection.is_person_number(survey.name) and len(survey.cells) > 1


def _all_differ(survey: _Survey) -> bool:
    return len(survey.cells) == survey.rows


def _guessed_target(proposals: Sequence[_Proposal]) -> str | None:
    """The last column with a usual target's name, else the last column if it holds a few labels."""
    fit = [p for p in proposals if p.categories and len(p.categories) <= _MOST_CLASSES and ANY_OTHER not in p.missing]
    named = [p.name for p in fit if "".join(detection.words(p.name)) in _TARGETS]
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
        else (_binary, _birth, _dates, _identifier, _codes, _number, _levels, _many_levels)
    )
    found = next((proposal for reading in readings if (proposal := reading(survey)) is not None), None)
    proposal = found or _text(survey, f"{len(survey.cells)} different cells are too many to learn")
    if survey.missing and proposal.kind != "identifier":
        proposal = proposal.noting(_missing_note(survey))
    role = name_hints.role(detection.words(survey.name))
    return replace(proposal, role=role) if role and proposal.kind not in ("identifier", "text") else proposal


def _missing_note(survey: _Survey) -> str:
    rows = "1 cell is" if survey.missing == 1 else f"{survey.missing} cells are"
    return f"{rows} missing"


def _text(survey: _Survey, why: str) -> _Proposal:
    proposal = _Proposal(survey.name, "text", missing=survey.marks)
    return proposal.noting(f"{why}: never learned, its cells are withheld")


def _identifier(survey: _Survey) -> _Proposal | None:
    """What names, shapes, check digits and uniqueness say; see ``detection.examine``."""
    finding = detection.examine(survey.view())
    if finding is None:
        return None
    why = f"{finding.kind}, HIPAA class {finding.letter}: {finding.why}"
    return _Proposal(survey.name, "identifier", missing=survey.marks).noting(f"{why}: replaced by surrogates")


def _birth(survey: _Survey) -> _Proposal | None:
    """A date of birth is told from other dates: it is a direct identifier."""
    finding = detection.examine(survey.view()) if detection.is_birth_name(survey.name) else None
    if finding is None or finding.kind != detection.BIRTH_DATE:
        return None
    return _text(survey, "a date of birth (HIPAA class C) identifies; an age or a year of birth can be learned")


def _dates(survey: _Survey) -> _Proposal | None:
    kind = survey.raw.type
    cells = [cell.strip() for cell in survey.cells]
    if kind is not None and pa.types.is_temporal(kind):
        unit = kind.unit if pa.types.is_duration(kind) else ""
        return _moment(survey, date_inference.of_type(cells, str(kind), unit))
    if kind is not None and (pa.types.is_nested(kind) or pa.types.is_binary(kind)):
        return _text(survey, "its type cannot be read")
    if not survey.is_numeric or survey.is_integer:
        found = date_inference.of_text(survey.name, cells, survey.counts, is_integer=survey.is_numeric)
        if found is not None:
            return _moment(survey, found)
    if not survey.is_numeric and detection.are_dates(cells):
        return _text(survey, "its cells look like dates, spelled in too many ways to read them safely")
    return None


def _moment(survey: _Survey, found: date_inference.Dating) -> _Proposal:
    """A column of dates, times or durations, with what a person must check."""
    is_calendar = found.kind in ("date", "datetime")
    marks = (*survey.marks, *found.open_ended, *([ANY_OTHER] if found.misfits else []))
    days = np.full(len(survey.raw.labels) + 1, np.nan)
    place = {label: at for at, label in enumerate(survey.raw.labels.to_pylist())}
    days[[place[cell] for cell in survey.cells]] = found.days
    proposal = _Proposal(
        survey.name,
        found.kind,
        role="quasi_identifier" if is_calendar else "",
        bounds=None if found.bounds is None else (quoted(found.bounds[0]), quoted(found.bounds[1])),
        missing=marks,
        format=found.formats,
        days=days[survey.raw.codes] if is_calendar else None,
    ).noting(*found.notes)
    if found.open_ended:
        proposal = proposal.noting("years such as 9999, 1 or 0 are no dates: taken for missing")
    if not found.misfits:
        return proposal
    cells = "1 cell is" if found.misfits == 1 else f"{found.misfits} cells are"
    return proposal.noting(f'WARNING: {cells} written in no such way; "{ANY_OTHER}" makes them count as missing')


def _anchored(proposals: Sequence[_Proposal], target: str | None) -> list[_Proposal]:
    """Offer an anchor for every date that usually follows another one."""
    columns = [(each.name, each.days) for each in proposals if each.days is not None]
    found = date_inference.anchors(columns, target=target)
    why = "it hardly ever comes before its anchor: learned as the time since then"
    return [replace(p, anchor=found[p.name]).noting(why) if p.name in found else p for p in proposals]


def _binary(survey: _Survey) -> _Proposal | None:
    """Two labels that everybody knows as such; both are named however rare one is."""
    if len(survey.cells) != 2:
        return None
    ordered = name_hints.binary([cell.strip().lower() for cell in survey.cells])
    if ordered is None:
        return None
    categories = tuple(survey.cells[at] for at in ordered)
    return _Proposal(survey.name, "boolean", categories=categories, missing=survey.marks)


def _codes(survey: _Survey) -> _Proposal | None:
    """Small whole numbers under a name such as ``admission_type_id`` are labels."""
    return _code_range(survey) if name_hints.is_code_name(detection.words(survey.name)) else None


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
    if cell_anomalies.is_zero_apart(np.array(survey.numbers), np.array(survey.counts)):
        note = '0 stands apart from the other values: if it means missing, add "0" to this column\'s missing marks'
        return proposal.noting(note)
    return proposal


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
    order = name_hints.order([cell for cell, _ in common])
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
    yield '# - a column that only looks like an identifier is learned with not_an_identifier = "the reason";'
    yield "# - kinds are numeric, integer, boolean, categorical, ordinal (lowest first), datetime, date, time,"
    yield "#   duration, text and identifier; what is too exact can be made coarser before training:"
    yield '#   dates = "month" (year, day, shift) above the columns; top_code, round_to, merge or zip3 in one.'
    yield ""
    yield 'purpose = ""  # say in a sentence what the synthetic table is for'
    yield '# release.contact = "..."  # whom the recipient asks; stands on the data card, as do the terms of use'
    yield '# release.terms = "..."'
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
    if proposal.format:
        spellings = ", ".join(quoted(each) for each in proposal.format)
        yield f"format = {spellings}" if len(proposal.format) == 1 else f"format = [{spellings}]"
    if proposal.anchor:
        yield f"anchor = {quoted(proposal.anchor)}"
    if proposal.bounds:
        yield f"bounds = [{', '.join(proposal.bounds)}]"
    if proposal.learns_levels:
        yield f"categories = {quoted(LEARN)}"
    if proposal.categories:
        yield f"categories = [{', '.join(quoted(category) for category in proposal.categories)}]"
    if proposal.missing:
        yield f"missing = [{', '.join(quoted(mark) for mark in proposal.missing)}]"
