"""Everything that makes rows after training: a generator, what repairs learned, and how rows belong to patients.

A maker is saved into a run's internal folder as plain JSON and safetensors, so that more rows can be made later
(``synthrelease sample``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import pandas as pd
from pydantic import TypeAdapter, ValidationError

from synthrelease.core import files
from synthrelease.core.contracts import Fitted, LearnedSchema, Narrowable
from synthrelease.core.errors import InputError
from synthrelease.core.preparation import Preparation
from synthrelease.schema import generalisation, row_conditions
from synthrelease.schema.row_conditions import Condition
from synthrelease.synthesis import constraint_repair, generators, patient_grouping
from synthrelease.synthesis.encoding import datetime_transforms

FILE = "maker.json"

Learner: TypeAlias = Preparation[
    datetime_transforms.Transform, constraint_repair.Plan, patient_grouping.Habits, object, object
]
"""A preparation as this room sees it; how a table is spelled and ordered is no business of a generator."""


@dataclass(frozen=True, slots=True)
class Wish:
    """Which rows are wanted: all meet every condition, and each of ``classes`` (of one column) is equally frequent."""

    conditions: tuple[Condition, ...] = ()
    classes: tuple[Condition, ...] = ()


@dataclass(frozen=True, slots=True)
class Maker:
    """``transform`` and ``fitted`` make rows as ``plan.schema`` declares them; ``generator`` made ``fitted``."""

    generator: str
    transform: datetime_transforms.Transform
    fitted: Fitted
    plan: constraint_repair.Plan
    habits: patient_grouping.Habits | None

    @classmethod
    def of(cls, preparation: Learner, fitted: Fitted, *, with_habits: bool = True) -> Maker:
        """Learn how rows of ``fitted`` become rows of a table; without habits each is a patient of its own.

        Raises:
            InputError: too few patients share what a repair would need.
        """
        plan = preparation.plan().value
        habits = preparation.habits().value if with_habits else None
        name = str(fitted.description["generator"])
        return cls(name, preparation.transform().value, fitted, plan, habits)

    @property
    def schema(self) -> LearnedSchema:
        """What the columns mean, learned labels included."""
        return self.plan.schema

    def frames(
        self, rows: int, wish: Wish, *, seed: Callable[[str], int], on_end: Callable[[float], None]
    ) -> Iterator[pd.DataFrame]:
        """Yield canonical frames of ``rows`` rows together.

        See ``constraint_repair.obeying`` and ``patient_grouping.dealt``. ``seed`` gives a seed for each purpose.

        Raises:
            TrainingError: too few rows obey the constraints and conditions.
        """
        plan = replace(self.plan, conditions=wish.conditions)
        if not wish.classes:
            made = self._obeying(rows, wish.conditions, seed("sample"), on_end)
        else:
            counts = row_conditions.shares(rows, len(wish.classes))
            streams = [
                self._obeying(count, (*wish.conditions, each), seed(f"sample {each.words}"), on_end)
                for each, count in zip(wish.classes, counts, strict=True)
                if count
            ]
            made = row_conditions.mixed(streams, [count for count in counts if count], seed=seed("mix"))
        return patient_grouping.dealt(
            made,
            self.habits,
            unit=self.schema.unit,
            seed=seed("patients"),
            mend=partial(constraint_repair.mended, how=plan, seed=seed("mend")),
        )

    def _obeying(
        self, rows: int, wanted: tuple[Condition, ...], seed: int, on_end: Callable[[float], None]
    ) -> Iterator[pd.DataFrame]:
        fitted = self.fitted
        if wanted and isinstance(fitted, Narrowable):
            changed = {part.name for part in self.transform.parts}
            fitted = fitted.only({each.column: each.wanted for each in wanted if each.column not in changed})
        whole = self.transform.wrap(fitted, partial(generalisation.snapped, schema=self.schema))
        return constraint_repair.obeying(whole, replace(self.plan, conditions=wanted), rows, seed=seed, on_end=on_end)

    def save(self, folder: Path) -> None:
        """Write the model and ``maker.json``: labels, combinations that enough patients share, habits; no rows."""
        self.fitted.save(folder)
        self.transform.save(folder)
        files.write_json(
            folder / FILE,
            {
                "generator": str(self.fitted.description["generator"]),
                "schema": _SCHEMA.dump_python(self.schema, mode="json"),
                "plan": self.plan.to_json(),
                "patients": None if self.habits is None else self.habits.to_json(),
            },
        )


_SCHEMA = TypeAdapter(LearnedSchema)
_HABITS = TypeAdapter(patient_grouping.Habits | None)
_FACTS: TypeAdapter[dict[str, Any]] = TypeAdapter(dict[str, Any])


def load(folder: Path) -> Maker:
    """Read what ``Maker.save`` wrote.

    Raises:
        InputError: the folder holds no such model, or one of another version.
    """
    try:
        facts = _FACTS.validate_json((folder / FILE).read_bytes())
        schema = _SCHEMA.validate_python(facts["schema"], strict=False)
        habits = _HABITS.validate_python(facts["patients"])
        plan = constraint_repair.Plan.from_json(facts["plan"], schema)
        name = str(facts["generator"])
    except (OSError, ValidationError, KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"A run that rows can be drawn from has a readable {FILE} in its internal folder, however {folder} has "
            "none. "
            "Name the folder of a finished build, or build again with this version."
        ) from error
    return Maker(name, datetime_transforms.load(folder, schema), generators.saved(name, folder), plan, habits)
