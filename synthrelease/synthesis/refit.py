"""Train the release's own generator again, for audits that need to know what it makes of other training rows."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from synthrelease.core.contracts import FitSettings, Generator, Table, TrainingStep
from synthrelease.synthesis.maker import Learner, Maker, Wish


@dataclass(frozen=True, slots=True)
class Refitting:
    """A ``contracts.Refit``: the same preparation, generator and settings, on other training rows and another seed.

    Where the settings are those of a copy, ``copies`` generators are trained, each on a bootstrap of its own, and give
    as many rows each.
    """

    preparation: Learner
    fit: Generator
    settings: FitSettings
    copies: int = 1

    def __call__(self, train: Table, rows: int, seed: int) -> pd.DataFrame:
        """Train and sample exactly as a release is made, up to dealing rows to patients: ``rows`` rows.

        Raises:
            TrainingError: the generator cannot be trained on these rows.
        """
        again, stop = self.preparation.on(train), np.arange(1, self.copies + 1) * rows // self.copies
        frames = [self._made(again, int(count), seed + copy) for copy, count in enumerate(np.diff(stop, prepend=0))]
        return pd.concat(frames, ignore_index=True)

    def _made(self, again: Learner, rows: int, seed: int) -> pd.DataFrame:
        is_copy = self.settings.bootstrap is not None
        own = replace(self.settings, seed=seed, bootstrap=seed if is_copy else None)
        fitted = again.trained(self.fit, own, _unheard).value
        maker = Maker.of(again, fitted, with_habits=False)
        frames = maker.frames(rows, Wish(), seed=lambda _: seed, on_end=lambda _: None)
        return pd.concat(list(frames), ignore_index=True)


def _unheard(step: TrainingStep) -> None:
    """Progress of a refit is nobody's concern."""
