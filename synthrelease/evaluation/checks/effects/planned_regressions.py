"""Which regressions an audit fits: those that the schema plans, or one of its target."""

from __future__ import annotations

from synthrelease.core.contracts import MOMENTS, Analysis, Column, Schema, Table
from synthrelease.evaluation.checks._models import task_of

NOTHING = "The schema plans no analysis and names no target, so there is no effect to compare."


def planned(train: Table) -> tuple[Analysis, ...]:
    """The analyses of a table's schema; without any, one regression of the target on all other columns.

    A target of several labels is explained as its rarest one against all others. Empty where there is neither a plan
    nor a target with a column beside it.
    """
    schema = train.schema
    if schema.analyses:
        return schema.analyses
    others = _covariates(schema)
    if schema.target is None or not others:
        return ()
    target = schema.column(schema.target)
    name = f"{target.name} on the other columns"
    if target.is_number:
        return (Analysis(name, "linear", target.name, others, is_declared=False),)
    happened = target.categories[task_of(target, train).positive]
    return (Analysis(name, "logistic", target.name, others, happened=happened, is_declared=False),)


def _covariates(schema: Schema) -> tuple[str, ...]:
    """Every learned column but the target; a date has no slope that anybody asks for."""
    return tuple(each.name for each in schema.learned if each.name != schema.target and _is_explaining(each))


def _is_explaining(column: Column) -> bool:
    return column.kind not in MOMENTS or column.kind == "duration"
