"""The blocks of a schema file beside its columns, as written: constraints, planned analyses, audit and release."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StrictStr
from pydantic_core import PydanticCustomError

from synthrelease.core.contracts import Model


class ConstraintEntry(BaseModel):
    """One ``[[constraints]]`` block, as written."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rule: StrictStr = ""
    combination: list[StrictStr] = []
    tolerance: Annotated[float, Field(strict=True, ge=0, allow_inf_nan=False)] = 0.0


def _outcome(value: object) -> object:
    """Take a column, or the two columns of a survival time, as (outcome, event)."""
    if isinstance(value, str):
        return (value, "")
    if isinstance(value, dict) and set(value) == {"time", "event"}:
        both = (value["time"], value["event"])
        if all(isinstance(each, str) for each in both):
            return both
    raise PydanticCustomError("outcome_type", 'must be a column, or {time = "a column", event = "a column"}')


class AnalysisEntry(BaseModel):
    """One ``[[analyses]]`` block, as written."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: StrictStr
    model: Model
    outcome: Annotated[tuple[str, str], BeforeValidator(_outcome)]
    covariates: list[StrictStr]


class AuditEntry(BaseModel):
    """The ``[audit]`` block: what the audit's attackers are taken to know."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    linkability: Annotated[list[list[StrictStr]], Field(max_length=2)] = []


class ReleaseEntry(BaseModel):
    """The ``[release]`` block: what the data card says to whoever receives the table, beside what is measured."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    contact: StrictStr = ""
    terms: StrictStr = ""
