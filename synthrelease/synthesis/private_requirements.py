"""What ``--epsilon`` asks of a build before any row is read: of budget, generator and schema."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from synthrelease.core.contracts import Column, DeclaredSchema, LearnedSchema, Policy
from synthrelease.core.errors import InputError, listing
from synthrelease.privacy import claim
from synthrelease.schema import constraints
from synthrelease.synthesis import constraint_repair, generators
from synthrelease.synthesis.encoding import datetime_transforms
from synthrelease.synthesis.generators.private import domain_learning
from synthrelease.synthesis.generators.private.public_domain import decimals_of


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
