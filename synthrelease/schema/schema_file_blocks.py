"""The blocks of a schema file beside its columns, as written: ``[[constraints]]``, ``[audit]`` and ``[release]``."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StrictStr


class ConstraintEntry(BaseModel):
    """One ``[[constraints]]`` block, as written."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rule: StrictStr = ""
    combination: list[StrictStr] = []
    tolerance: Annotated[float, Field(strict=True, ge=0, allow_inf_nan=False)] = 0.0


class AuditEntry(BaseModel):
    """The ``[audit]`` block: what the audit's attackers are taken to know."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    linkability: Annotated[list[list[StrictStr]], Field(max_length=2)] = []


class ReleaseEntry(BaseModel):
    """The ``[release]`` block: what the data card says to whoever receives the table, beside what is measured."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    contact: StrictStr = ""
    terms: StrictStr = ""
