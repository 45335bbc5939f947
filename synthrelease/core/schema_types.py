"""What a schema declares of a table and its columns. Imports nothing else of this package.

A schema passes through states, each a type of its own, so that none is taken for another:

    DeclaredSchema  the file's, then with the treatments that a policy demands; labels may be left open
    OpenedSchema    every label that the table holds stands in it, rare ones too: for use in memory, by whoever learns
    LearnedSchema   labels and bounds are settled: what rows are made, checked and written by
    ModelledSchema  what a generator sees: dates as intervals
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Literal, Self

Kind = Literal[
    "numeric",
    "integer",
    "boolean",
    "categorical",
    "ordinal",
    "datetime",
    "date",
    "time",
    "duration",
    "text",
    "identifier",
]
Model = Literal["logistic", "linear", "poisson", "cox"]
Role = Literal["feature", "quasi_identifier", "sensitive", "target", "unit", "identifier", "excluded"]

MOMENTS: frozenset[str] = frozenset({"datetime", "date", "time", "duration"})
"""Kinds held as float64 days: since 1970-01-01 for datetime and date, else as such."""

NUMBERS: frozenset[str] = frozenset({"numeric", "integer"}) | MOMENTS
"""Kinds held as float64 in a table's frame; the other learned kinds are held as pandas categoricals."""


@dataclass(frozen=True, slots=True)
class Treatment:
    """How one column of the real table is made coarser before anything sees it.

    Numbers above ``top_code`` become one more than it, those below ``bottom_code`` one less; ``round_to`` is a step.
    ``truncate`` moves dates to the start of their year, month or day, ``shift`` moves all dates of a patient by as many
    random weeks. ``zip3`` keeps three characters of a postcode. ``merge`` is (new label, labels it replaces).
    """

    top_code: float | None = None
    bottom_code: float | None = None
    round_to: float | None = None
    truncate: Literal["year", "month", "day"] | None = None
    shift: bool = False
    zip3: bool = False
    merge: tuple[tuple[str, tuple[str, ...]], ...] = ()


NO_TREATMENT = Treatment()


@dataclass(frozen=True, slots=True)
class Column:
    """One column as the steward declared it.

    ``bounds`` (both ends included, in days for dates and times) belong to columns of numbers, dates and times,
    ``categories`` (spelled as in the file) to boolean, categorical and ordinal ones. ``missing`` are this column's own
    marks for a missing value. ``format`` are the spellings of a date or time, the one that is written first; ``anchor``
    is the date that this one is modelled as an interval from. ``means`` says what policies must know of: "age",
    "birth", "zip", "other" (none of them, whatever the name says) or nothing. ``not_an_identifier`` is the steward's
    reason why a column that looks like a direct identifier is none.
    """

    name: str
    kind: Kind
    role: Role = "feature"
    bounds: tuple[float, float] | None = None
    categories: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    not_an_identifier: str = ""
    format: tuple[str, ...] = ()
    anchor: str | None = None
    treatment: Treatment = NO_TREATMENT
    means: str = ""
    learns_levels: bool = False
    """Whether the labels are learned from training rows; ``categories`` is empty until they are."""
    other: str = "Other"
    """Where labels are learned: the label that stands for all rare ones; "" makes them missing."""
    learns_bounds: bool = False
    """Whether the file says that bounds are learned: under differential privacy with a share of the budget."""
    decimals: int | None = None
    """How many decimal places a number has, where that is declared; differential privacy must not look."""
    declared_sensitive: bool = False
    """Whether the schema file says ``role = "sensitive"``; a target keeps that beside its own role."""

    @property
    def is_learned(self) -> bool:
        """Whether a generator ever sees the column."""
        return self.role not in ("unit", "identifier", "excluded")

    @property
    def is_sensitive(self) -> bool:
        """Whether the steward declared the value sensitive; true of a target only if its own entry says so."""
        return self.role == "sensitive" or (self.role == "target" and self.declared_sensitive)

    @property
    def is_number(self) -> bool:
        """Whether values are float64 (True) or category labels (False)."""
        return self.kind in NUMBERS

    @property
    def is_moment(self) -> bool:
        """Whether values are days: of a datetime, a date, a time of day or a duration."""
        return self.kind in MOMENTS


@dataclass(frozen=True, slots=True)
class Constraint:
    """A rule between columns that every row obeys, as the steward wrote it: exactly one of its first two fields.

    ``rule`` is a sentence in the language of ``constraints``. ``combination`` names columns whose values occur together
    only as in the training rows. ``tolerance`` is how far the two sides of an equation may lie apart, in their unit.
    ``analysis`` names the planned analysis that the rule follows from, where the steward wrote none.
    """

    rule: str = ""
    combination: tuple[str, ...] = ()
    tolerance: float = 0.0
    analysis: str = ""

    @property
    def words(self) -> str:
        """The constraint as messages name it."""
        return self.rule or f"combination of {', '.join(self.combination)}"


@dataclass(frozen=True, slots=True)
class Analysis:
    """A regression that people are going to fit to the table, as the steward plans it.

    ``outcome`` is the column that is explained; in a Cox regression it is the time until the event or the end of
    observation, and ``event`` the column that says which of the two. ``happened`` is the label of the outcome, or of
    ``event``, that stands for the event; empty where numbers are explained, where 0 and 1 are written as numbers, or
    where labels are learned. ``is_declared``: False for the regression of the target that stands in for a plan.
    """

    name: str
    model: Model
    outcome: str
    covariates: tuple[str, ...]
    event: str = ""
    happened: str = ""
    is_declared: bool = True

    @property
    def words(self) -> str:
        """The analysis as reports name it."""
        count = len(self.covariates)
        return f"{MODELS[self.model]} of {self.outcome!r} on {count} column{'s' * (count != 1)}"


MODELS: Mapping[Model, str] = {
    "logistic": "logistic regression",
    "linear": "linear regression",
    "poisson": "Poisson regression",
    "cox": "Cox regression",
}


@dataclass(frozen=True, slots=True)
class Schema:
    """What a table means: its columns in file order, and what the steward declared about them.

    What takes any state of a schema takes this type; what needs one state takes that one. ``digest`` is the SHA-256 of
    the schema file as read.
    """

    columns: tuple[Column, ...]
    target: str | None = None
    unit: str | None = None
    missing: tuple[str, ...] = ()
    purpose: str = ""
    digest: str = ""
    dates: str = ""
    """How exact dates may be in every column: "year", "month", "day", "shift", or nothing said."""
    constraints: tuple[Constraint, ...] = ()
    unit_is_row: bool = False
    """Whether the file says that every row is a patient of its own; without a unit it may just say nothing."""
    rows_per_unit: int = 10
    """Of one patient so many rows are learned from at most, where learning is differentially private."""
    rows_are_public: bool = False
    """Whether anyone may know how many rows there are."""
    linkability: tuple[tuple[str, ...], ...] = ()
    """Two sets of columns that two parties could hold, for the linkability attack; empty means not declared."""
    contact: str = ""
    """Whom the recipient asks; stands on the data card."""
    terms: str = ""
    """Licence or terms of use, as they stand on the data card."""
    analyses: tuple[Analysis, ...] = ()
    """The regressions that are planned; without any, the audit fits one of the target."""

    @classmethod
    def of(cls, schema: Schema, columns: tuple[Column, ...]) -> Self:
        """Return ``schema`` in this state, with the columns that it has there."""
        kept = {each.name: getattr(schema, each.name) for each in fields(Schema)}
        return cls(**{**kept, "columns": columns})

    def column(self, name: str) -> Column:
        """Return the column called ``name``; KeyError if there is none."""
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(name)

    def marks(self, column: Column) -> frozenset[str]:
        """The spellings of a missing value in a column, besides an empty cell: the table's and its own."""
        return frozenset({*self.missing, *column.missing})

    @property
    def learned(self) -> tuple[Column, ...]:
        """The columns that generators and checks see, in file order (the target is one of them)."""
        return tuple(column for column in self.columns if column.is_learned)


@dataclass(frozen=True, slots=True)
class DeclaredSchema(Schema):
    """As the steward wrote it, or with what a policy demands beside: columns may leave labels or bounds to learn."""


@dataclass(frozen=True, slots=True)
class OpenedSchema(Schema):
    """A declared schema with all labels of one real table in the columns that leave theirs open.

    Rare labels among them may tell of a patient: only what learns labels may see it, and nothing stores it.
    """


@dataclass(frozen=True, slots=True)
class LearnedSchema(Schema):
    """Every label column has its labels: declared, or held by enough training patients.

    Raises:
        ValueError: a column's labels are still to be learned.
    """

    def __post_init__(self) -> None:
        for column in self.columns:
            if column.is_learned and column.learns_levels and not column.categories:
                raise ValueError(f"the labels of {column.name!r} are still to be learned")


@dataclass(frozen=True, slots=True)
class ModelledSchema(Schema):
    """The columns that a generator sees, whatever stands in the table for them: dates as intervals, days and times."""
