"""Train the release's own generator again, for audits that need to know what it makes of other training rows."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pandas as pd

from synthrelease.core.contracts import FitSettings, Generator, Table, TrainingStep
from synthrelease.synthesis.maker import Learner, Maker, Wish


@dataclass(frozen=True, slots=True)
class Refitting:
    """A ``contracts.Refit``: the same preparation, generator and settings, on other training rows and another seed."""

    preparation: Learner
    fit: Generator
    settings: FitSettings

    def __call__(self, train: Table, rows: int, seed: int) -> pd.DataFrame:
        """Train and sample exactly as a release is made, up to dealing rows to patients: ``rows`` rows.

        Raises:
            TrainingError: the generator cannot be trained on these rows.
        """
        again = self.preparation.on(train)
        fitted = again.trained(self.fit, replace(self.settings, seed=seed), _unheard).value
        maker = Maker.of(again, fitted, with_habits=False)
        frames = maker.frames(rows, Wish(), seed=lambda _: seed, on_end=lambda _: None)
        return pd.concat(list(frames), ignore_index=True)


def _unheard(step: TrainingStep) -> None:
    """Progress of a refit is nobody's concern."""
