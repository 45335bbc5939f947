"""What ``--epsilon`` asks of a build: refusals before any row is read, a public split and look, and the claim.

Everything on the way from the real table to the synthetic one is accounted for here: it is charged (``budget``), public
because the schema says so (``public_facts``), or not done at all. What the audit finds is for the people who may see
the real table; it is no part of the claim, and ``BESIDE`` says so in the report.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from synthrelease.core.contracts import (
    Column,
    DeclaredSchema,
    Fitted,
    LearnedSchema,
    OpenedSchema,
    Policy,
    PrivacyBudget,
    PrivacyClaim,
    PublicFact,
    Schema,
    Split,
    Table,
)
from synthrelease.core.errors import InputError, listing
from synthrelease.privacy import claim, noise
from synthrelease.schema import constraints, generalization
from synthrelease.synthesis import constraint_repair, generators
from synthrelease.synthesis.encoding import datetime_transforms
from synthrelease.synthesis.generators.private import domain_learning
from synthrelease.synthesis.generators.private.public_domain import decimals_of

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


def check(
    epsilon: float | None, delta: float | None, schema: DeclaredSchema, rules: Policy, *, generator: str, ordered: bool
) -> None:
    """Refuse what no private build can do, before any row is read; ``ordered``: rows are made to order.

    Raises:
        InputError: the budget is out of range or beyond the policy's limit; the generator makes no promise; the schema
            does not say what the unit is, what is public, or asks for what would have to be learned.
    """
    claim.check_request(epsilon, delta)
    if epsilon is None:
        return
    if generator not in generators.PRIVATE:
        raise InputError(
            f"--epsilon needs a generator that adds noise, however {generator!r} does not. "
            f"Choose one of: {', '.join(generators.PRIVATE)}."
        )
    limits = [rule.limit for rule in rules.rules if (rule.check, rule.severity) == (claim.SPEC.name, "block")]
    if limits and epsilon > min(limits):
        raise InputError(
            f"--epsilon must keep to the policy, however {rules.name} allows {min(limits):g} at most and {epsilon:g} "
            "is asked for. Ask for less, or choose another policy."
        )
    if ordered:
        raise InputError(
            "With --epsilon a whole table is made, however --condition or --balance ask for some rows only. "
            "Leave them out, and draw such rows with `synthrelease sample` afterwards: that costs nothing."
        )
    wrong = list(_problems(schema))
    if wrong:
        title = (
            "With --epsilon nothing may be learned outside the budget, however the schema leaves open what is public:"
        )
        raise InputError(listing(title, wrong))
    constraint_repair.public_plan(_settled(schema))


def _problems(schema: DeclaredSchema) -> Iterator[str]:
    """What the schema must say before a private build."""
    if schema.unit is None and not schema.unit_is_row:
        yield 'unit: names the column of the patient. Name it, or write unit = "row" if no patient has several rows'
    for column in datetime_transforms.public(_settled(schema)).modelled.learned:
        yield from _open(column)


def _settled(schema: DeclaredSchema) -> LearnedSchema:
    """The schema as if every open column had been learned already."""
    return LearnedSchema.of(schema, tuple(_as_if_learned(column) for column in schema.columns))


def _as_if_learned(column: Column) -> Column:
    """A column whose domain is going to be learned, as it will be: with some domain."""
    if not domain_learning.is_open(column):
        return column
    return replace(column, bounds=(0.0, 1.0)) if column.is_number else replace(column, categories=(column.name,))


def _open(column: Column) -> Iterator[str]:
    key = f"columns.{column.name}"
    if column.is_number and column.bounds is None:
        yield (
            f"{key}.bounds: declare what is possible, lowest and highest; not what the table holds. "
            'Or let a share of the budget find them: bounds = "learn"'
        )
    if not column.is_number and not column.categories:
        yield (
            f"{key}.categories: list the labels of the code book; not those of the table. "
            'Or let a share of the budget find the frequent ones: categories = "learn"'
        )


def advice(schema: DeclaredSchema) -> tuple[str, ...]:
    """List what a schema should declare before a private build, and why; for ``inspect --for-dp``."""
    combined = [each.words for each in schema.constraints if constraints.dependency(each) is not None]
    lines = [f"must: {problem}." for problem in _problems(schema)]
    lines += [f"must: constraints: {words!r} would be learned from rows. Remove it." for words in combined]
    if not schema.rows_are_public:
        lines.append(
            "may: rows_are_public = true, if anyone may know how many there are; or they are counted with noise."
        )
    if schema.unit is not None:
        lines.append(f"may: rows_per_unit = {schema.rows_per_unit}: of a patient so many rows count at most.")
    for column in schema.learned:
        lines += _column_advice(column)
    return tuple(lines)


def _column_advice(column: Column) -> Iterator[str]:
    key = f"columns.{column.name}"
    if domain_learning.is_open(column):
        what = "bounds" if column.is_number else "categories"
        yield (
            f"costs: {key}.{what} are learned with {domain_learning.EACH:.0%} of the budget, or less where many are; "
            "rare values are lost. Declare them if they are known."
        )
    if column.is_number and column.bounds is not None:
        yield f"check: {key}.bounds: a draft takes them from the table. Write what is possible, by public knowledge."
    if column.categories:
        yield f"check: {key}.categories: a draft takes them from the table. Write the code book's, held or not."
    if column.kind == "numeric" and column.decimals is None and column.treatment.round_to is None:
        yield f"may: {key}.decimals = {decimals_of(column)}: how exactly it is recorded; so the bounds suggest."


def wanted(epsilon: float, delta: float | None, train: Table[Schema]) -> PrivacyBudget:
    """Return the budget of a build on these training rows.

    Raises:
        InputError: delta is at least one over the number of units.
    """
    schema = train.schema
    units = units_of(train)
    unit: Any = "patient" if schema.unit is not None else "row"
    chosen = claim.default_delta(units) if delta is None else delta
    if delta is None and not schema.rows_are_public:
        chosen = 10.0 ** math.floor(math.log10(chosen) + 1e-9)  # or delta itself would tell the number of rows
    claim.check_delta(chosen, units, unit)
    most = schema.rows_per_unit if unit == "patient" else 1
    return PrivacyBudget(epsilon, chosen, unit, most, schema.rows_are_public)


def learned(
    train: Table[OpenedSchema], epsilon: float | None, delta: float | None, *, min_cell: int
) -> domain_learning.Learned | None:
    """Learn, at the budget's expense, the labels and bounds that the schema leaves open; bounds keep to treatments.

    Returns what was learned, with the budget of the training; None without epsilon.

    Raises:
        InputError: delta is at least one over the number of units, or a column holds nothing that enough of them share.
    """
    if epsilon is None:
        return None
    found = domain_learning.learned(train, wanted(epsilon, delta, train), min_cell=min_cell)
    columns = tuple(_treated(column) if domain_learning.is_open(column) else column for column in found.schema.columns)
    return replace(found, schema=replace(found.schema, columns=columns))


def _treated(column: Column) -> Column:
    if column.bounds is None:
        return column
    low, high = generalization.numbers(np.array(column.bounds), column).tolist()
    return replace(column, bounds=(low, high)) if low < high else column


def units_of(table: Table[Schema]) -> int:
    """How many patients (or rows, where each is one) a table has."""
    return len(table) if table.units is None else len(np.unique(table.units))


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
    declared = [column for column in schema.learned if not domain_learning.is_open(column)]
    numbers = sum(column.is_number for column in declared)
    labels = len(declared) - numbers
    facts = [
        PublicFact("names, kinds, roles and order of the columns, and the file's format", "schema and file format"),
        PublicFact(f"bounds and decimals of {numbers} columns of numbers and dates", "bounds and kinds in the schema"),
        PublicFact(f"labels of {labels} columns", "categories in the schema"),
        PublicFact("every column may have missing cells; how many is learned with noise", "assumed of every table"),
    ]
    if asked.spent:
        ladders = "magnitudes (powers of two), years and hours, among which learned bounds are sought"
        facts.append(PublicFact(ladders, "kinds in the schema"))
    if asked.rows_are_public:
        facts.append(PublicFact("the number of rows and of patients", "rows_are_public in the schema"))
    if asked.unit == "patient":
        facts.append(
            PublicFact(f"at most {asked.rows_per_unit} rows of a patient count", "rows_per_unit in the schema")
        )
    if schema.constraints:
        facts.append(PublicFact(f"{len(schema.constraints)} constraints that every row obeys", "schema"))
    return tuple(facts)


def claimed(fitted: Fitted, train: Table, asked: PrivacyBudget) -> PrivacyClaim:
    """Compose what training spent into the build's claim.

    Raises:
        ValueError: the generator spent nothing, or more than the budget; no table may then be made.
    """
    return claim.claim((*asked.spent, *fitted.spends), asked, public_facts(train.schema, asked))
