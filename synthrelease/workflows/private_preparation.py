"""The real rows of a build with ``--epsilon``, behind what is public and what is paid for.

Everything on the way from the real table to the synthetic one is accounted for here: it is ``Paid`` for with receipts
that the claim adds up, ``Public`` because the schema says so (``public_facts``), or not done at all. What the audit
finds is ``Internal``: for the people who may see the real table. It is no part of the claim, and ``BESIDE`` says so in
the report.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from synthrelease.core.contracts import (
    MINIMUM_ROWS,
    CanaryFinding,
    Column,
    FitSettings,
    Fitted,
    Generator,
    LearnedSchema,
    ModelledSchema,
    OnStep,
    OpenedSchema,
    PrivacyBudget,
    PrivacyClaim,
    PublicFact,
    Schema,
    Split,
    Table,
)
from synthrelease.core.errors import InputError
from synthrelease.core.preparation import Attack, Internal, Paid, Public, check_is_made
from synthrelease.data import file_style, splitting
from synthrelease.data.file_style import FileStyle
from synthrelease.data.formats import Place
from synthrelease.privacy import claim, noise
from synthrelease.schema import generalisation
from synthrelease.synthesis import constraint_repair
from synthrelease.synthesis.encoding import datetime_transforms
from synthrelease.synthesis.generators.private import domain_learning
from synthrelease.workflows import asked_rows, prepare_tables
from synthrelease.workflows.made_to_order import Order
from synthrelease.workflows.prepare_tables import RealRows
from synthrelease.workflows.run_context import Run
from synthrelease.workflows.run_options import BuildOptions, Multiple

T = TypeVar("T")

BESIDE = (
    "The claim is about the synthetic table alone. The audit compares it with real rows: its figures, this report and "
    "the verdict (a table is released or it is not) are no part of the claim."
)
NOT_REPEATABLE = (
    "The noise comes from the operating system and is never stored: --seed repeats the split of what was learned into "
    "rows, not what was learned. Two builds with one seed differ."
)
ROW_UNIT = (
    "The promise is for one row. If a patient can have several rows, it does not hold for patients: their epsilon is "
    "as many times larger as they have rows."
)
ASSUMED = "assumed of every table"
COLUMNS = PublicFact("names, kinds, roles and order of the columns, and the file's format", "schema and file format")
GAPS = PublicFact("every column may have missing cells; how many is learned with noise", ASSUMED)
LADDERS = PublicFact(
    "magnitudes (powers of two), years and hours, among which learned bounds are sought", "kinds in the schema"
)
NUMBER_OF_ROWS = PublicFact("the number of rows and of patients", "rows_are_public in the schema")
ASKED_ROWS = PublicFact("the number of synthetic rows", "--rows")
WHOLE_TABLE = PublicFact("all rows are made, none to order", "--epsilon")
LONE_ROWS = PublicFact("each synthetic row is a patient of its own", ASSUMED)


def read(run: Run, table: Path | Place, *, options: BuildOptions, epsilon: float) -> PrivatePreparation:
    """Read the table of a build, part it by coins, and learn what its schema leaves open at the budget's expense.

    Raises:
        InputError: the table does not fit the schema, the budget not the table, or a column holds nothing that enough
            share.
    """
    source = prepare_tables.real_table(run, table)
    rows = source.coarse.table
    if options.holdout is None:
        split = parted(rows, holdout_share=splitting.holdout_share_of(len(rows)))
    else:
        split = prepare_tables.parted(run, source, options.holdout)
    found = learned(split.train, wanted(epsilon, options.delta, split.train), min_cell=run.policy.min_cell)
    for note in found.notes:
        run.recorder.notice(note)
    real = prepare_tables.coded_by(found.schema, source, split)
    return PrivatePreparation(real, found.schema, found.budget, options.rows)


@dataclass(frozen=True, slots=True)
class PrivatePreparation:
    """A ``core.preparation.Preparation`` under differential privacy: it alone holds the real rows of its build.

    Whatever a method gives out as ``Public`` or ``Paid`` follows from ``_schema`` and from noisy counts. ``_schema`` is
    declared but for what ``_budget.spent`` paid for. A method that looks at ``_real`` pays, or is ``Internal``.
    """

    _real: RealRows = field(repr=False)
    _schema: LearnedSchema
    _budget: PrivacyBudget
    _asked_rows: int | Multiple | None = None

    def schema(self) -> Public[LearnedSchema] | Paid[LearnedSchema]:
        """What the columns mean: declared, or learned with noise."""
        return self._by_schema(self._schema, *public_facts(self._schema, self._budget))

    def order(self) -> Public[Order]:
        """Every row is wanted: conditions and balance are refused."""
        return Public(Order(), (WHOLE_TABLE,))

    def transform(self) -> Public[datetime_transforms.Transform] | Paid[datetime_transforms.Transform]:
        """Whatever any table of this schema might need to be modelled otherwise."""
        return self._by_schema(datetime_transforms.public(self._schema), COLUMNS, *_domains(self._schema))

    def trained(self, fit: Generator, settings: FitSettings, on_step: OnStep) -> Paid[Fitted]:
        """Train on the training rows as modelled, with what is left of the budget.

        Raises:
            InputError: the table is too small for the budget.
            TrainingError: the generator cannot be trained on these rows.
            ValueError: the generator spent nothing.
        """
        settings = replace(settings, privacy=self._budget)
        fitted = fit(self._modelled(), settings, on_step)
        return Paid(fitted, fitted.spends)

    def claim(self, fitted: Fitted) -> Paid[PrivacyClaim]:
        """Compose all that was spent, on domains and in training, into the build's claim.

        Raises:
            ValueError: the generator spent nothing, or more than the budget; no table may then be made.
        """
        found = claimed(fitted, self._schema, self._budget)
        return Paid(found, found.spends)

    def plan(self) -> Public[constraint_repair.Plan] | Paid[constraint_repair.Plan]:
        """How rows are made to obey constraints, by the schema alone.

        Raises:
            InputError: a constraint is about combinations, which only rows could tell.
        """
        return self._by_schema(constraint_repair.public_plan(self._schema), COLUMNS, *_constraints(self._schema))

    def habits(self) -> Public[None]:
        """Nothing is learned of patients."""
        return Public(None, (LONE_ROWS,))

    def style(self) -> Public[FileStyle] | Paid[FileStyle]:
        """The file's format and the schema's spelling; no real cell's."""
        return self._by_schema(file_style.public(self._schema, self._real.style.format), COLUMNS)

    def rows(self, fitted: Fitted) -> Public[int] | Paid[int]:
        """As many rows as the steward says, as is public, or as noise says there are."""
        if isinstance(self._asked_rows, Multiple):
            facts = (ASKED_ROWS, NUMBER_OF_ROWS)  # a multiple of what is not public was refused
            return Public(asked_rows.multiplied(self._asked_rows, self._real.table_rows), facts)
        if self._asked_rows is not None:
            return Public(self._asked_rows, (ASKED_ROWS,))
        if self._budget.rows_are_public:
            return Public(self._real.table_rows, (NUMBER_OF_ROWS,))
        return Paid(max(MINIMUM_ROWS, int(fitted.description["units"])), fitted.spends)

    def on(self, train: Table) -> PrivatePreparation:
        """Return the same preparation on other training rows, and on columns that an audit has planted among them.

        Raises:
            ValueError: a planted column has a domain that no column of the schema has, so that it could tell of rows.
        """
        schema = with_planted(self._schema, train.schema)
        return replace(self, _real=self._real.on(train), _schema=schema)

    def planned_rows(self) -> Internal[int]:
        """Return the number of rows that the report's settings state: as asked for, or else as the table has."""
        asked, there = self._asked_rows, self._real.table_rows
        rows = asked_rows.multiplied(asked, there) if isinstance(asked, Multiple) else asked or there
        return Internal(rows, "settings in the internal report")

    def fingerprint(self) -> Internal[bytes]:
        """Return the SHA-256 of a database's rows; empty where the table is a file."""
        return Internal(self._real.digest, "keyed digests of the source")

    def attacked(self, attack: Attack) -> Internal[CanaryFinding]:
        """Hold the claim against an attack that knows the training rows.

        Raises:
            ClaimError: the attack refutes the claim.
            TypeError: the attack hands out anything but its finding.
        """
        found = attack(self._modelled())
        if type(found) is not CanaryFinding:
            raise TypeError("an attack hands out its finding alone; return a CanaryFinding")
        return Internal(found, "audit of the claim")

    def for_audit(self, made: Table) -> Internal[Split]:
        """Hand the real rows to the audit of ``made``.

        Raises:
            ValueError: ``made`` is no synthetic table.
        """
        check_is_made(made)
        return Internal(self._real.split, "audit")

    def _modelled(self) -> Table[ModelledSchema]:
        return self.transform().value.apply(self._real.split.train)

    def _by_schema(self, value: T, *facts: PublicFact) -> Public[T] | Paid[T]:
        """Give out what follows from the schema: public, unless a part of the schema was learned with noise."""
        return Paid(value, self._budget.spent) if self._budget.spent else Public(value, facts)


def with_planted(schema: LearnedSchema, wider: Schema) -> LearnedSchema:
    """Return the schema with the columns that ``wider`` has beside it, each of which has the domain of one in it.

    Raises:
        ValueError: one has another domain.
    """
    known = {column.name for column in schema.columns}
    domains = {_domain(column) for column in schema.columns}
    planted = tuple(column for column in wider.columns if column.name not in known)
    if any(_domain(column) not in domains for column in planted):
        raise ValueError("a planted column must have the domain of a column of the schema; copy one")
    return replace(schema, columns=(*schema.columns, *planted))


def _domain(column: Column) -> tuple[object, ...]:
    return (column.kind, column.bounds, column.categories, column.decimals, column.treatment)


def wanted(epsilon: float, delta: float | None, train: Table[Schema]) -> PrivacyBudget:
    """Return the budget of a build on these training rows.

    Raises:
        InputError: delta is at least one over the number of units.
    """
    schema = train.schema
    units = train.unit_count
    unit: Any = "patient" if schema.unit is not None else "row"
    chosen = claim.default_delta(units) if delta is None else delta
    if delta is None and not schema.rows_are_public:
        chosen = 10.0 ** math.floor(math.log10(chosen) + 1e-9)  # or delta itself would tell the number of rows
    claim.check_delta(chosen, units, unit)
    most = schema.rows_per_unit if unit == "patient" else 1
    return PrivacyBudget(epsilon, chosen, unit, most, schema.rows_are_public)


def learned(train: Table[OpenedSchema], budget: PrivacyBudget, *, min_cell: int) -> domain_learning.Learned:
    """Learn, at the budget's expense, the labels and bounds that the schema leaves open; bounds keep to treatments.

    Returns what was learned, with the budget of the training.

    Raises:
        InputError: a column holds nothing that enough units share.
    """
    found = domain_learning.learned(train, budget, min_cell=min_cell)
    columns = tuple(_treated(column) if domain_learning.is_open(column) else column for column in found.schema.columns)
    return replace(found, schema=replace(found.schema, columns=columns))


def _treated(column: Column) -> Column:
    if column.bounds is None:
        return column
    low, high = generalisation.numbers(np.array(column.bounds), column).tolist()
    return replace(column, bounds=(low, high)) if low < high else column


def parted(table: Table[OpenedSchema], *, holdout_share: float) -> Split[OpenedSchema]:
    """Send each unit to the holdout by a coin of its own, from the operating system.

    A split into exact shares would let one patient more or less move others between its sides.

    Raises:
        InputError: one side is empty.
    """
    units = np.arange(len(table)) if table.units is None else np.unique(table.units, return_inverse=True)[1]
    held = noise.poisson_mask(int(units.max()) + 1 if len(units) else 0, holdout_share)[units]
    if held.all() or not held.any():
        raise InputError(
            "Both sides of a split need rows, however one is empty. Give a larger export, or a --holdout file."
        )
    return Split(table.take(np.flatnonzero(~held)), table.take(np.flatnonzero(held)))


def public_facts(schema: LearnedSchema, asked: PrivacyBudget) -> tuple[PublicFact, ...]:
    """List everything that is used without noise, and who declared it public."""
    facts = [COLUMNS, *_domains(schema), GAPS]
    if asked.spent:
        facts.append(LADDERS)
    if asked.rows_are_public:
        facts.append(NUMBER_OF_ROWS)
    if asked.unit == "patient":
        facts.append(
            PublicFact(f"at most {asked.rows_per_unit} rows of a patient count", "rows_per_unit in the schema")
        )
    return (*facts, *_constraints(schema))


def _domains(schema: LearnedSchema) -> tuple[PublicFact, PublicFact]:
    declared = [column for column in schema.learned if not domain_learning.is_open(column)]
    numbers = sum(column.is_number for column in declared)
    labels = len(declared) - numbers
    return (
        PublicFact(f"bounds and decimals of {numbers} columns of numbers and dates", "bounds and kinds in the schema"),
        PublicFact(f"labels of {labels} columns", "categories in the schema"),
    )


def _constraints(schema: LearnedSchema) -> tuple[PublicFact, ...]:
    if not schema.constraints:
        return ()
    return (PublicFact(f"{len(schema.constraints)} constraints that every row obeys", "schema"),)


def claimed(fitted: Fitted, schema: LearnedSchema, asked: PrivacyBudget) -> PrivacyClaim:
    """Compose what training spent into the build's claim; ``schema`` is the one that rows were declared by.

    Raises:
        ValueError: the generator spent nothing, or more than the budget; no table may then be made.
    """
    return claim.claim((*asked.spent, *fitted.spends), asked, public_facts(schema, asked))
