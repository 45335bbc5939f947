"""The GAN of Tanaka & Aranha, "Data Augmentation Using GANs" (2019, arXiv:1904.09135), in its six architectures.

Section 3.1: leaky ReLU with slope 0.2, batches of 5, Adam at 2e-4, binary cross-entropy, dropout 0.3, hidden layers
that ascend in the generator and descend in the discriminator; 100 numbers of noise, sigmoid outputs on columns scaled
to [0, 1], 1,500 epochs, and the class as one more column that is rounded. The text and its authors' code differ twice:

- Dropout: in the generator (text), in the discriminator (code).
- Algorithm 1: two updates, one for real and one for made rows (text), or one update on the sum of both losses (code).

Names say which: ``paper-256-512`` follows the code, ``paper-256-512-as-written`` the text, and
``paper-256-512-recovering`` is the code's with what the paper asks for in section 4.4: a training that diverges or
collapses (``monitors``) goes back to its last good state and goes on with halved learning rates. ``paper-128-hot`` and
``paper-128-hot-recovering`` show the difference: they learn at fifty times the paper's rate.

What is promised about privacy: nothing. The discriminator sees each row hundreds of times.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from safetensors.torch import load_file, save_file
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
from synthrelease.core.errors import InputError, TrainingError
from synthrelease.synthesis.generators import PAPER_ARCHITECTURES, REGISTRY, divergence_monitor
from synthrelease.synthesis.generators.divergence_monitor import Diagnosis, Sign
from synthrelease.synthesis.generators.tanaka_aranha.perceptron import SLOPE, one_thread
from synthrelease.synthesis.generators.tanaka_aranha.training import Recipe, train
from synthrelease.synthesis.generators.tanaka_aranha.unit_scaling import UnitScale

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
        if rows < 1 or chunk_rows < 1:
            raise InputError(
                f"Sampling needs at least one row, however {rows} rows in chunks of {chunk_rows} were asked for. "
                "Ask for one or more."
            )
        rng = torch.Generator().manual_seed(seed)
        for start in range(0, rows, chunk_rows):
            with one_thread(), torch.inference_mode():
                made = self._unit_rows(min(chunk_rows, rows - start), rng)
            yield self.scale.decode(made)

    def _unit_rows(self, rows: int, rng: torch.Generator) -> np.ndarray[Any, np.dtype[np.float64]]:
        """Return rows within [0, 1], (rows, columns)."""
        values = torch.randn(rows, self.recipe.noise, generator=rng)  # (rows, noise)
        for weight in self.weights[:-1]:
            sums = torch.addmm(weight[-1], values, weight[:-1])  # (rows, out)
            values = torch.nn.functional.leaky_relu_(sums, SLOPE)
        made = torch.addmm(self.weights[-1][-1], values, self.weights[-1][:-1]).sigmoid_()  # (rows, columns)
        if not torch.isfinite(made).all():
            raise TrainingError(
                "A generator must produce finite values, however its network does not. Train again with another seed."
            )
        return made.double().numpy()

    def save(self, folder: Path) -> None:
        """Write ``model.safetensors`` and ``model.json`` (ranges of columns: keep it inside the run folder)."""
        folder.mkdir(parents=True, exist_ok=True)
        save_file(
            {f"layer{at}": each.contiguous() for at, each in enumerate(self.weights)}, folder / "model.safetensors"
        )
        facts = {
            "format": FORMAT,
            "name": self.name,
            "rows": self.rows,
            "recipe": asdict(self.recipe),
            "scale": self.scale.to_json(),
            "history": [asdict(step) for step in self.history],
            "signs": [divergence_monitor.as_json(sign) for sign in self.signs],
            "diagnosis": asdict(self.diagnosis),
            "recoveries": self.recoveries,
        }
        (folder / "model.json").write_text(json.dumps(facts, allow_nan=False, indent=1), encoding="utf-8")


def load(folder: Path) -> FittedPaperGan:
    """Read what ``FittedPaperGan.save`` wrote.

    Raises:
        InputError: the folder holds no such model.
    """
    try:
        facts = json.loads((folder / "model.json").read_text(encoding="utf-8"))
        state = load_file(folder / "model.safetensors")
    except (OSError, ValueError) as error:
        raise InputError(
            f"A saved model is a model.json and a model.safetensors, however {folder} has no readable pair of them. "
            "Name the internal folder of a finished run."
        ) from error
    if not isinstance(facts, dict) or facts.get("format") != FORMAT:
        raise InputError(
            f"A saved GAN of the paper says {FORMAT} in its model.json, however the one in {folder} does not. "
            "It may be another generator's, or come from another version: train again."
        )
    return FittedPaperGan(
        name=facts["name"],
        recipe=Recipe(**{**facts["recipe"], "hidden": tuple(facts["recipe"]["hidden"])}),
        scale=UnitScale.from_json(facts["scale"]),
        weights=tuple(state[f"layer{at}"] for at in range(len(state))),
        history=tuple(TrainingStep(**step) for step in facts["history"]),
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
    if not settings.effort > 0 or not train_table.schema.learned:
        raise InputError(
            f"Training needs an effort above 0 and at least one column, however the effort is {settings.effort} and "
            f"{len(train_table.schema.learned)} columns may be learned. Check the option and the roles in the schema."
        )
    if settings.overrides:
        raise InputError(f"The generator {name!r} has no settings but --effort. Leave the others out.")
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
