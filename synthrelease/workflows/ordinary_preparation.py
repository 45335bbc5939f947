"""The real rows of a build without ``--epsilon``: everything may be learned from them that enough patients share."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from synthrelease.core.contracts import (
    MINIMUM_ROWS,
    CanaryFinding,
    FitSettings,
    Fitted,
    Generator,
    LearnedSchema,
    OnStep,
    Split,
    Table,
)
from synthrelease.core.preparation import Attack, Internal, Unprotected, check_is_made
from synthrelease.data.file_style import FileStyle
from synthrelease.data.formats import Place
from synthrelease.synthesis import constraint_repair, patient_grouping
from synthrelease.synthesis.encoding import datetime_transforms
from synthrelease.workflows import asked_rows, made_to_order, prepare_tables
from synthrelease.workflows.made_to_order import Order
from synthrelease.workflows.prepare_tables import RealRows
from synthrelease.workflows.run_context import Run
from synthrelease.workflows.run_options import BuildOptions, Multiple


def read(run: Run, table: Path | Place, *, options: BuildOptions) -> OrdinaryPreparation:
    """Read and part the table of a build, learn its labels, and read which rows are asked for.

    Raises:
        InputError: the table does not fit the schema, or cannot give what is asked for.
    """
    source = prepare_tables.real_table(run, table)
    split = prepare_tables.parted(run, source, options.holdout)
    real = prepare_tables.with_learned_labels(run, source, split)
    order = made_to_order.ordered(options, real.split, min_cell=run.policy.min_cell)
    asked = options.rows
    if isinstance(asked, Multiple):
        asked = asked_rows.multiplied(asked, made_to_order.training_rows(order, real.split))
    return OrdinaryPreparation(real, order, run.policy.min_cell, asked)


@dataclass(frozen=True, slots=True)
class OrdinaryPreparation:
    """A ``core.preparation.Preparation`` that learns without differential privacy.

    ``min_cell``: nothing is kept that fewer patients share. ``asked_rows``: how many rows the steward asks for, if so.
    """

    _real: RealRows = field(repr=False)
    _order: Order
    _min_cell: int
    _asked_rows: int | None = None

    @property
    def _train(self) -> Table:
        return self._real.split.train

    def schema(self) -> Unprotected[LearnedSchema]:
        """What the columns mean, with the labels that enough training patients hold."""
        return Unprotected(self._train.schema)

    def order(self) -> Unprotected[Order]:
        """Which rows are asked for."""
        return Unprotected(self._order)

    def transform(self) -> Unprotected[datetime_transforms.Transform]:
        """How columns are modelled, as the training rows need it."""
        return Unprotected(datetime_transforms.fit(self._train))

    def trained(self, fit: Generator, settings: FitSettings, on_step: OnStep) -> Unprotected[Fitted]:
        """Train on the training rows as modelled.

        Raises:
            TrainingError: the generator cannot be trained on them.
        """
        return Unprotected(fit(self.transform().value.apply(self._train), settings, on_step))

    def claim(self, fitted: Fitted) -> Unprotected[None]:
        """Nothing is claimed."""
        return Unprotected(None)

    def plan(self) -> Unprotected[constraint_repair.Plan]:
        """How rows are made to obey constraints, by what enough training patients share.

        Raises:
            InputError: too few patients share what a repair would need.
        """
        return Unprotected(constraint_repair.plan(self._train, min_cell=self._min_cell))

    def habits(self) -> Unprotected[patient_grouping.Habits | None]:
        """What rows of one training patient have in common."""
        return Unprotected(patient_grouping.habits(self._train, min_cell=self._min_cell))

    def style(self) -> Unprotected[FileStyle]:
        """How the file is spelled, and which identifiers stand in it so that none is repeated."""
        return Unprotected(self._real.style)

    def rows(self, fitted: Fitted) -> Unprotected[int]:
        """As many rows as are asked for, or else as the table has, or has of the kind that is wanted."""
        return Unprotected(self.planned_rows().value)

    def on(self, train: Table) -> OrdinaryPreparation:
        """Return the same preparation on other training rows."""
        return replace(self, _real=self._real.on(train))

    def planned_rows(self) -> Internal[int]:
        """Return the number of rows that will be made."""
        there = self._real.table_rows
        if self._order.real_rows is not None:
            there = max(self._order.real_rows, MINIMUM_ROWS)
        return Internal(self._asked_rows or there, "settings in the report")

    def fingerprint(self) -> Internal[bytes]:
        """Return the SHA-256 of a database's rows; empty where the table is a file."""
        return Internal(self._real.digest, "keyed digests of the source")

    def attacked(self, attack: Attack) -> Internal[CanaryFinding]:
        """Refuse: nothing is claimed.

        Raises:
            ValueError: always.
        """
        raise ValueError("an attack needs a claim that it could refute; an ordinary build makes none")

    def for_audit(self, made: Table) -> Internal[Split]:
        """Hand the real rows to the audit of ``made``.

        Raises:
            ValueError: ``made`` is no synthetic table.
        """
        check_is_made(made)
        return Internal(self._real.split, "audit")
