"""The GAN of Tanaka & Aranha, "Data Augmentation Using GANs" (2019, arXiv:1904.09135), in its six architectures.

Section 3.1: leaky ReLU with slope 0.2, batches of 5, Adam at 2e-4, binary cross-entropy, dropout 0.3, hidden layers
that ascend in the generator and descend in the discriminator; 100 numbers of noise, sigmoid outputs on columns scaled
to [0, 1], 1,500 epochs, and the class as one more column that is rounded. The text and its authors' code differ twice:

- Dropout: in the generator (text), in the discriminator (code).
- Algorithm 1: two updates, one for real and one for made rows (text), or one update on the sum of both losses (code).

Names say which: ``paper-256-512`` follows the code, ``paper-256-512-as-written`` the text, and
``paper-256-512-recovering`` is the code's with what the paper asks for in section 4.4: a training that diverges or
collapses (``divergence_monitor``) goes back to its last good state and goes on with halved learning rates.
``paper-128-hot`` and ``paper-128-hot-recovering`` show the difference: they learn at fifty times the paper's rate.

What is promised about privacy: nothing. The discriminator sees each row hundreds of times.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from synthrelease.core.contracts import (
    FitSettings,
    Generator,
    ModelledSchema,
    OnStep,
    PrivacySpend,
    Table,
    TrainingStep,
)
from synthrelease.synthesis.encoding.unit_scaling import UnitScale
from synthrelease.synthesis.generators import PAPER_ARCHITECTURES, REGISTRY, divergence_monitor, saved_model
from synthrelease.synthesis.generators.argument_checks import (
    check_made,
    check_no_overrides,
    check_training,
    chunk_sizes,
)
from synthrelease.synthesis.generators.divergence_monitor import Diagnosis, Sign
from synthrelease.synthesis.generators.saved_model import SavedModel, history_facts
from synthrelease.synthesis.generators.tanaka_aranha.perceptron import SLOPE
from synthrelease.synthesis.generators.tanaka_aranha.training import Recipe, train
from synthrelease.synthesis.generators.threads import one_thread

FORMAT = "synthrelease-paper-gan-1"
RATE = 2e-4
EPOCHS = 1_500
MOST_UPDATES = 200_000
"""Of an effort of 1: 1,500 epochs of the paper's tables need up to 162,000, a large table's are cut short."""


@dataclass(frozen=True)
class FittedPaperGan:
    """A trained generator: weights (in + 1, out) by layer, scales of the columns, how training went; no rows."""

    name: str
    recipe: Recipe
    scale: UnitScale
    weights: tuple[Tensor, ...]
    history: tuple[TrainingStep, ...] = ()
    signs: tuple[Sign, ...] = ()
    diagnosis: Diagnosis = field(default_factory=lambda: Diagnosis("healthy"))
    recoveries: int = 0
    spends: tuple[PrivacySpend, ...] = ()
    rows: int = 0
    notices: tuple[str, ...] = ()

    @property
    def description(self) -> Mapping[str, Any]:
        """The settings as plain JSON values."""
        return {
            "generator": self.name,
            "training rows": self.rows,
            "hidden layers": "/".join(map(str, self.recipe.hidden)),
            **{key: value for key, value in asdict(self.recipe).items() if key not in ("hidden", "recovers")},
            "training ended": self.diagnosis.state,
            "recoveries": self.recoveries,
        }

    def sample(self, rows: int, *, seed: int, chunk_rows: int = 65_536) -> Iterator[pd.DataFrame]:
        """Yield canonical frames that add up to exactly ``rows`` rows.

        Raises:
            InputError: ``rows`` or ``chunk_rows`` is not positive.
            TrainingError: the network's output is not finite.
        """
        sizes = chunk_sizes(rows, chunk_rows)
        rng = torch.Generator().manual_seed(seed)
        for size in sizes:
            with one_thread(), torch.inference_mode():
                made = self._unit_rows(size, rng)
            yield self.scale.decode(made)

    def _unit_rows(self, rows: int, rng: torch.Generator) -> np.ndarray[Any, np.dtype[np.float64]]:
        """Return rows within [0, 1], (rows, columns)."""
        values = torch.randn(rows, self.recipe.noise, generator=rng)  # (rows, noise)
        for weight in self.weights[:-1]:
            sums = torch.addmm(weight[-1], values, weight[:-1])  # (rows, out)
            values = torch.nn.functional.leaky_relu_(sums, SLOPE)
        made = torch.addmm(self.weights[-1][-1], values, self.weights[-1][:-1]).sigmoid_()  # (rows, columns)
        check_made(made)
        return made.double().numpy()

    def save(self, folder: Path) -> None:
        """Write ``model.safetensors`` and ``model.json`` (ranges of columns: keep it inside the run folder)."""
        facts = {
            "format": FORMAT,
            "name": self.name,
            "rows": self.rows,
            "recipe": asdict(self.recipe),
            "scale": self.scale.to_json(),
            "history": history_facts(self.history),
            "signs": [divergence_monitor.as_json(sign) for sign in self.signs],
            "diagnosis": asdict(self.diagnosis),
            "recoveries": self.recoveries,
        }
        SavedModel(facts, {f"layer{at}": each for at, each in enumerate(self.weights)}).write(folder)


def load(folder: Path) -> FittedPaperGan:
    """Read what ``FittedPaperGan.save`` wrote; InputError if the folder holds no such model."""
    return saved_model.load(folder, {FORMAT: _built})


def _built(model: SavedModel) -> FittedPaperGan:
    facts = model.facts
    recipe = Recipe(**{**facts["recipe"], "hidden": tuple(facts["recipe"]["hidden"])})
    scale = UnitScale.from_json(facts["scale"])
    sizes = pairwise((recipe.noise, *recipe.hidden, scale.width))
    return FittedPaperGan(
        name=facts["name"],
        recipe=recipe,
        scale=scale,
        weights=tuple(model.tensor(f"layer{at}", width + 1, after) for at, (width, after) in enumerate(sizes)),
        history=model.history,
        signs=tuple(divergence_monitor.from_json(sign) for sign in facts["signs"]),
        diagnosis=Diagnosis(**facts["diagnosis"]),
        recoveries=facts["recoveries"],
        rows=facts["rows"],
    )


def recipe_of(name: str) -> Recipe:
    """Return the recipe of a preset's name; KeyError if there is none."""
    architecture = name.removeprefix("paper-").removesuffix("-as-written").removesuffix("-recovering")
    architecture = architecture.removesuffix("-hot")
    if architecture not in PAPER_ARCHITECTURES:
        raise KeyError(name)
    return Recipe(
        hidden=tuple(int(width) for width in architecture.split("-")),
        rate=RATE * (50 if "-hot" in name else 1),
        reading="text" if name.endswith("-as-written") else "code",
        recovers=name.endswith("-recovering"),
    )


def fit_preset(
    train_table: Table[ModelledSchema], settings: FitSettings, on_step: OnStep, *, name: str
) -> FittedPaperGan:
    """Train one of the paper's GANs on the rows of one table; the effort multiplies its 1,500 epochs.

    Raises:
        InputError: the table has no rows or no columns, or the effort is not positive.
        TrainingError: a loss stopped being finite.
    """
    check_training(train_table, settings)
    check_no_overrides(name, settings)
    scale = UnitScale.fit(train_table)
    real = torch.from_numpy(scale.encode(train_table.frame)).float()  # (rows, columns)
    recipe = replace(recipe_of(name), updates=updates_for(len(real), settings.effort))
    with one_thread(), torch.inference_mode():
        outcome = train(real, recipe, seed=settings.seed, on_step=on_step)
    return FittedPaperGan(
        name=name,
        recipe=recipe,
        scale=scale,
        weights=tuple(weight.clone() for weight in outcome.weights),
        history=outcome.history,
        signs=outcome.signs,
        diagnosis=outcome.diagnosis,
        recoveries=outcome.recoveries,
        rows=len(real),
    )


def updates_for(rows: int, effort: float, *, batch: int = 5) -> int:
    """Return the updates of 1,500 epochs times the effort, or fewer where a large table would need too many."""
    in_all = round(EPOCHS * effort) * -(-rows // batch)
    return int(np.clip(in_all, 1, max(1, round(MOST_UPDATES * effort))))


def _preset(name: str) -> Callable[..., FittedPaperGan]:
    return partial(fit_preset, name=name)


PRESETS: Mapping[str, Generator] = {name: _preset(name) for name, module in REGISTRY.items() if module == __name__}
"""The presets by name; what the registry of generators looks up."""

__all__ = ["PRESETS", "FittedPaperGan", "fit_preset", "load", "recipe_of"]
