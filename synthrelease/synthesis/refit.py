"""Train the release's own generator again, for audits that need to know what it makes of other training rows."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pandas as pd

from synthrelease.core.contracts import FitSettings, Generator, Table, TrainingStep
from synthrelease.schema import generalization
from synthrelease.synthesis import constraint_repair
from synthrelease.synthesis.encoding import datetime_transforms


@dataclass(frozen=True, slots=True)
class Refitting:
    """A ``contracts.Refit``: the same generator with the same settings, on other training rows and another seed."""

    fit: Generator
    settings: FitSettings
    min_cell: int

    def __call__(self, train: Table, rows: int, seed: int) -> pd.DataFrame:
        """Train and sample exactly as a release is made, up to writing the table: ``rows`` rows.

        Raises:
            TrainingError: the generator cannot be trained on these rows.
        """
        is_private = self.settings.privacy is not None
        transform = datetime_transforms.public(train.schema) if is_private else datetime_transforms.fit(train)
        trained = self.fit(transform.apply(train), replace(self.settings, seed=seed), _unheard)
        fitted = transform.wrap(trained, lambda frame: generalization.snapped(frame, train.schema))
        plan = (
            constraint_repair.public_plan(train.schema)
            if is_private
            else constraint_repair.plan(train, min_cell=self.min_cell)
        )
        frames = constraint_repair.obeying(fitted, plan, rows, seed=seed)
        return pd.concat(list(frames), ignore_index=True)


def _unheard(step: TrainingStep) -> None:
    """Progress of a refit is nobody's concern."""
