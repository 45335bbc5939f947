"""The default generator: a GAN for tables of mixed types whose generator writes a row column by column.

The generator (``masked_network``) turns one random number a column into a row: each column's number is looked up in its
distribution given the columns before it. It is trained by the likelihood of training rows and against a critic
(``training``), and drawn from with evenly spread numbers (``sampling``); a second critic, of finished rows
(``row_critic``), has those drawn again that no patient could have (``redrawing``). Writing a label target last makes
the generator a classifier of its own rows, which is what models that learn from the table later need.

What is promised about privacy: nothing by itself. There is no differential privacy here; the audit decides. What keeps
single rows from being learned by heart is a prior on the weights that is worth some rows (``Config.weight_decay``), and
inner rows that stop training.

If training goes wrong and going back does not mend it, it starts again from another seed, at most ``RESTARTS`` times;
after that the marginal-only generator (``marginals``) takes over and says so.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field, replace
from itertools import takewhile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from synthrelease.core.contracts import (
    BoolArray,
    FitSettings,
    Fitted,
    ModelledSchema,
    OnStep,
    PrivacySpend,
    Table,
    TrainingStep,
)
from synthrelease.core.errors import TrainingError
from synthrelease.synthesis.encoding.binning import FINE
from synthrelease.synthesis.encoding.number_bins import NumberCoding
from synthrelease.synthesis.encoding.table_encoder import Encoded, Encoder
from synthrelease.synthesis.generators import patient_bootstrap, saved_model
from synthrelease.synthesis.generators.argument_checks import check_training, chunk_sizes
from synthrelease.synthesis.generators.autoregressive_gan import redrawing
from synthrelease.synthesis.generators.autoregressive_gan.column_cells import Cells
from synthrelease.synthesis.generators.autoregressive_gan.config import SMALL_ROWS, Config, config_for
from synthrelease.synthesis.generators.autoregressive_gan.label_correction import (
    Correction,
    TrainingRows,
    correction,
)
from synthrelease.synthesis.generators.autoregressive_gan.masked_network import RowWriter, Width
from synthrelease.synthesis.generators.autoregressive_gan.redrawing import Drawn, Redrawing
from synthrelease.synthesis.generators.autoregressive_gan.row_critic import RowCritic
from synthrelease.synthesis.generators.autoregressive_gan.sampling import (
    Manner,
    Spread,
    choices,
    draw,
    piece_rows,
    settle,
)
from synthrelease.synthesis.generators.autoregressive_gan.training import (
    SLOWER,
    Rows,
    Trained,
    UnstableError,
    train,
)
from synthrelease.synthesis.generators.marginals import generator as marginals
from synthrelease.synthesis.generators.progress import Progress
from synthrelease.synthesis.generators.saved_model import SavedModel, history_facts
from synthrelease.synthesis.generators.threads import one_thread

FORMAT = "synthrelease-gan-4"
OLDER = "synthrelease-gan-3"
"""Of 0.1.0: its models know no correction of the target, and keep the temperature that they say."""
CORRECTION = "correction.effects"
"""What the tensor of a correction is called beside those of the network."""
CRITIC = "critic."
"""How the names of the tensors of the critic of drawn rows begin."""
RESTARTS = 2
BALANCED_ROWS = 6_000
"""Up to so many rows, labels are balanced within groups of rows; in more rows their scatter is small anyway."""
WATCHED_ROWS = 65_536
"""Rows drawn at once for a critic to learn from."""
THREADED_FEATURES = 256
"""Below so many features a second thread costs more than it brings."""


@dataclass(frozen=True)
class FittedGan:
    """A trained GAN: weights, the encoder and the cells; no rows. ``correction`` is that of the target's effects.

    ``redrawing`` has rows that no patient could have drawn again; None where no critic found such rows.
    """

    encoder: Encoder
    cells: Cells
    config: Config
    writer: RowWriter
    target: str | None
    correction: Correction | None = None
    redrawing: Redrawing | None = None
    history: tuple[TrainingStep, ...] = ()
    notices: tuple[str, ...] = ()
    stopped_at: int = 0
    given: Mapping[int, BoolArray] = field(default_factory=dict)
    spends: tuple[PrivacySpend, ...] = field(default=())

    @property
    def description(self) -> Mapping[str, Any]:
        """Settings and sizes as plain JSON values."""
        weights = sum(each.numel() for each in self.writer.parameters())
        starts, features = self.cells.starts, self.cells.feature_starts
        sizes = {"columns": len(self.cells.columns), "cells": int(starts[-1]), "features": int(features[-1])}
        device = str(self.writer.log_shares.device)
        facts = {"generator": "gan", "device": device, "training_rows": self.cells.rows, **sizes, "weights": weights}
        return {**facts, "stopped_at": self.stopped_at, **asdict(self.config)}

    def only(self, wanted: Mapping[str, Collection[str] | tuple[float, float]]) -> FittedGan:
        """Return the same generator, drawing only the cells that hold a wanted label, or part of a wanted range.

        Only columns that stand before all others (``FitSettings.lead``) are narrowed: narrowing a later one would leave
        the columns before it as they are among all rows. A bin that lies partly in the range may give values beyond it.
        """
        names = [self.encoder.names[place] for place in self.cells.places]
        first = list(takewhile(lambda name: name in wanted, names))
        given = {at: self._cells_of(name, wanted[name]) for at, name in enumerate(first)}
        return replace(self, given={at: cells for at, cells in given.items() if cells.any()})

    def _cells_of(self, name: str, wanted: Collection[str] | tuple[float, float]) -> BoolArray:
        coding = self.encoder.codings[self.encoder.names.index(name)]
        if isinstance(coding, NumberCoding):
            low, high = (float(each) for each in wanted)
            lows, highs = np.array([*coding.lows, *coding.atoms]), np.array([*coding.highs, *coding.atoms])
            hit = (highs >= low) & (lows <= high)
            return np.concatenate([hit, np.zeros(int(coding.has_missing), dtype=np.bool_)])
        allowed = np.zeros(coding.size, dtype=np.bool_)
        allowed[: len(coding.common)] = [coding.categories[each] in wanted for each in coding.common]
        return allowed

    def _rare_class(self, target: int) -> int | None:
        """Return the target's cell with the fewest training rows, missing ones left out; None if there is but one."""
        column, coding = self.cells.columns[target], self.encoder.codings[self.cells.places[target]]
        may_be = column.emitted.copy()
        may_be[len(may_be) - int(coding.has_missing) :] = False
        if isinstance(coding, NumberCoding) or may_be.sum() < 2:
            return None
        return int(np.where(may_be, column.shares, np.inf).argmin())

    def sample(self, rows: int, *, seed: int, chunk_rows: int = 65_536) -> Iterator[pd.DataFrame]:
        """Yield canonical frames that add up to exactly ``rows`` rows.

        The same seed and chunk size give the same rows on one machine.

        Raises:
            InputError: ``rows`` or ``chunk_rows`` is not positive.
            TrainingError: the network's output is not finite.
        """
        sizes = chunk_sizes(rows, chunk_rows)
        rng, judge = np.random.default_rng(seed), np.random.default_rng([seed, 1])
        spread: Spread = "balanced" if rows <= BALANCED_ROWS else "even"
        drawn = self._drawer(chunk_rows)
        for size in sizes:
            with _one_thread(self.cells):
                codes, positions = drawn(size, spread, rng)
                if self.redrawing is not None:
                    codes, positions = self.redrawing.redrawn(
                        (codes, positions), lambda more: drawn(more, "even", judge), judge
                    )
            yield self.encoder.decode(self.cells.encoded(codes, positions), sampling=True)

    def _drawer(self, most: int) -> Callable[[int, Spread, np.random.Generator], Drawn]:
        """Return a function that draws so many rows, at most ``most`` at once; no critic has a say in it."""
        weights = self.writer.weights()
        ready = choices(self.writer, weights, self.cells, self._manner())
        step = min(most, piece_rows(self.writer, self.cells))

        def drawn(size: int, spread: Spread, rng: np.random.Generator) -> Drawn:
            spread = spread if self.config.even_sampling else "independent"
            pieces = [
                draw(self.writer, weights, ready, piece, spread=spread, rng=rng) for piece in chunk_sizes(size, step)
            ]
            codes, positions = (np.concatenate(each) for each in zip(*pieces, strict=True))
            return codes, positions

        return drawn

    def _manner(self) -> Manner:
        target = _place(self.encoder, self.cells, self.target)
        return Manner(
            target=target,
            correction=self.correction,
            temperature=self.config.target_temperature,
            rare=self._rare_class(target) if target is not None else None,
            given=self.given,
        )

    def save(self, folder: Path) -> None:
        """Write ``model.safetensors`` and ``model.json`` (bin edges and counts: keep it inside the run folder)."""
        facts = {
            "format": FORMAT,
            "config": asdict(self.config),
            "cells": self.cells.to_json(self.encoder),
            "encoder": self.encoder.to_json(),
            "target": self.target,
            "is_corrected": self.correction is not None,
            "is_redrawn": self.redrawing is not None,
            "stopped_at": self.stopped_at,
            "notices": list(self.notices),
            "history": history_facts(self.history),
        }
        tensors = self.writer.state_dict()
        if self.correction is not None:
            tensors[CORRECTION] = torch.from_numpy(self.correction.effects)
        if self.redrawing is not None:
            arrays = self.redrawing.critic.arrays()
            tensors |= {CRITIC + name: torch.from_numpy(each) for name, each in arrays.items()}
        SavedModel(facts, tensors).write(folder)


def load(folder: Path) -> FittedGan:
    """Read what ``FittedGan.save`` wrote; InputError if the folder holds no such model."""
    return saved_model.load(folder, {FORMAT: _built, OLDER: _built})


def _built(model: SavedModel) -> FittedGan:
    facts = model.facts
    # A model from before a critic had rows drawn again has none.
    encoder, config = Encoder.from_json(facts["encoder"]), Config(**{"redraw_trees": 0} | facts["config"])
    cells = Cells.from_json(facts["cells"], encoder)
    writer = RowWriter(cells, Width(config.hidden, config.layers), rng=torch.Generator().manual_seed(0))
    writer.load_state_dict(
        {name: each for name, each in model.tensors.items() if name != CORRECTION and not name.startswith(CRITIC)}
    )
    return FittedGan(
        encoder=encoder,
        cells=cells,
        config=config,
        writer=writer.requires_grad_(requires_grad=False).eval(),
        target=facts["target"],
        correction=_saved_correction(model, cells, _place(encoder, cells, facts["target"])),
        redrawing=_saved_redrawing(model, encoder, cells, _place(encoder, cells, facts["target"])),
        history=model.history,
        notices=model.notices,
        stopped_at=facts["stopped_at"],
    )


def _saved_correction(model: SavedModel, cells: Cells, target: int | None) -> Correction | None:
    if target is None or not model.facts.get("is_corrected", False):
        return None
    before, size = int(cells.starts[target]), cells.columns[target].size
    return Correction(cells.starts[:target], model.tensor(CORRECTION, before, size).numpy())


def _saved_redrawing(model: SavedModel, encoder: Encoder, cells: Cells, target: int | None) -> Redrawing | None:
    if not model.facts.get("is_redrawn", False):
        return None
    named = {name.removeprefix(CRITIC): each.numpy() for name, each in model.tensors.items() if name.startswith(CRITIC)}
    return Redrawing(RowCritic.from_arrays(named), encoder, cells, target)


def _place(encoder: Encoder, cells: Cells, target: str | None) -> int | None:
    """Return where the target stands in writing order."""
    return None if target is None else cells.places.index(encoder.names.index(target))


def fit(train_rows: Table[ModelledSchema], settings: FitSettings, on_step: OnStep) -> Fitted:
    """Train a GAN on the rows of one table; a ``marginals`` generator where training stays unstable.

    Raises:
        InputError: the table has no rows or no columns, or a setting is unknown or out of its range.
        TrainingError: a copy (``settings.bootstrap``) cannot be trained stably; no other generator takes its place.
    """
    check_training(train_rows, settings)
    config = config_for(
        len(train_rows),
        columns=len(train_rows.schema.learned),
        effort=settings.effort,
        rarest=_rarest_class(train_rows) if settings.sharpen_labels else None,
        overrides=settings.overrides,
    )
    encoder = Encoder.fit(train_rows, FINE)
    encoded = encoder.encode(train_rows.frame)
    order = _order(train_rows, settings.lead)
    weights = None if settings.bootstrap is None else patient_bootstrap.weights_of(train_rows, settings.bootstrap)
    cells = Cells.fit(encoder, encoded, order=order, knots=config.knots, weights=weights)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    codes = torch.from_numpy(cells.codes(encoded)).to(device)
    rows = Rows(codes, weights=None if weights is None else torch.from_numpy(weights).float().to(device))
    progress = Progress(config.steps * (1 + _is_fitted_twice(len(codes), config)), on_step)
    notices: list[str] = []
    for attempt in range(1 + RESTARTS):
        slower = SLOWER**attempt
        tried = replace(
            config, generator_lr=config.generator_lr * slower, discriminator_lr=config.discriminator_lr * slower
        )
        try:
            with _one_thread(cells), torch.random.fork_rng(devices=[]):
                torch.default_generator.manual_seed(settings.seed + attempt)  # what dropout draws from
                trained = _fitted(cells, rows, train_rows, tried, seed=settings.seed + attempt, progress=progress)
        except UnstableError as trouble:
            notices.append(f"{trouble} Training began again from another seed with smaller learning rates.")
            progress.again()
            continue
        if trained.mended:
            notices.append(f"Training {trained.mended}. It went back to an earlier state with smaller learning rates.")
        progress.end()
        writer = trained.writer.requires_grad_(requires_grad=False)
        fitted = FittedGan(
            encoder,
            cells,
            tried,
            writer,
            target=train_rows.schema.target if _rarest_class(train_rows) is not None else None,
            history=tuple(progress.history),
            notices=tuple(notices),
            stopped_at=trained.stopped_at,
        )
        counted = np.ones(len(codes)) if weights is None else weights
        learned_from = TrainingRows(codes.cpu().numpy(), train_rows.units, counted)
        return _watched(_corrected(fitted, learned_from), encoded, learned_from, seed=settings.seed)
    if settings.bootstrap is not None:
        raise TrainingError(patient_bootstrap.NO_COPY)
    fallen = marginals.fit(train_rows, replace(settings, overrides={}), on_step)
    why = f"The GAN could not be trained stably in {1 + RESTARTS} attempts; the marginal-only generator took its place."
    return replace(fallen, notices=(*notices, why))


def _corrected(fitted: FittedGan, rows: TrainingRows) -> FittedGan:
    """Give the target its main effects back, unless it is to be sharpened, and every column its training shares."""
    writer, cells = fitted.writer, fitted.cells
    target, found = _place(fitted.encoder, cells, fitted.target), None
    if target is not None and fitted.config.target_temperature == 1.0:
        found = correction(writer, cells, fitted.encoder, rows, target=target)
    settle(writer, cells, Manner(target=target, correction=found))
    return replace(fitted, correction=found)


def _watched(fitted: FittedGan, encoded: Encoded, rows: TrainingRows, *, seed: int) -> FittedGan:
    """Have a critic look for rows that no patient could have, unless labels are sharpened, which it would undo."""
    config, cells = fitted.config, fitted.cells
    if config.target_temperature < 1.0:
        return fitted
    drawn, rng = fitted._drawer(WATCHED_ROWS), np.random.default_rng([seed, 2])
    target = _place(fitted.encoder, cells, fitted.target)
    how = redrawing.Learning(config.redraw_trees, target, rows.units, rows.weights, seed)
    with _one_thread(cells):
        found = redrawing.learned(fitted.encoder, cells, encoded, lambda rows: drawn(rows, "even", rng), how)
    return fitted if found is None else replace(fitted, redrawing=found, notices=(*fitted.notices, redrawing.NOTICE))


def _is_fitted_twice(rows: int, config: Config) -> bool:
    return rows < SMALL_ROWS and config.inner_share > 0


def _fitted(
    cells: Cells, rows: Rows, table: Table[ModelledSchema], config: Config, *, seed: int, progress: Progress
) -> Trained:
    """Train with inner rows set apart; of a small table once more on all rows, for as long as was found best."""
    found = train(
        cells, _parted(rows, _inner_rows(table, config, seed=seed)), config=config, seed=seed, report=progress.add
    )
    if not _is_fitted_twice(len(rows.codes), config):
        return found
    progress.part(config.steps, found.stopped_at)
    return train(cells, rows, config=replace(config, steps=found.stopped_at), seed=seed, report=progress.add)


def _parted(rows: Rows, is_inner: BoolArray) -> Rows:
    """Set the inner rows apart."""
    if not is_inner.any():
        return rows
    weights = None if rows.weights is None else rows.weights[~is_inner]
    return Rows(rows.codes[~is_inner], inner=rows.codes[is_inner], weights=weights)


def _inner_rows(table: Table[ModelledSchema], config: Config, *, seed: int) -> BoolArray:
    """Which training rows are set apart inside, (rows,): all rows of a patient or none."""
    units = np.arange(len(table)) if table.units is None else table.units
    patients, owner = np.unique(units, return_inverse=True)
    count = int(config.inner_share * len(patients))
    is_inner = np.zeros(len(patients), dtype=np.bool_)
    is_inner[np.random.default_rng(seed).permutation(len(patients))[:count]] = True
    return is_inner[owner]


def _order(table: Table[ModelledSchema], lead: Collection[str]) -> list[int]:
    """Return the order in which columns are written: ``lead`` first and the target last, unless it is in ``lead``."""
    names = [column.name for column in table.schema.learned]
    last = [table.schema.target] if table.schema.target in names and table.schema.target not in lead else []
    rest = [name for name in names if name not in lead and name not in last]
    return [names.index(name) for name in (*lead, *rest, *last)]


def _rarest_class(table: Table[ModelledSchema]) -> int | None:
    """Return the number of rows of the rarest class of a label target; None without one."""
    target = table.schema.target
    if target is None or table.schema.column(target).is_number:
        return None
    counts = table.frame[target].value_counts()
    return int(counts[counts > 0].min()) if len(counts) else None


def _one_thread(cells: Cells) -> AbstractContextManager[None]:
    return one_thread(when=bool(cells.feature_starts[-1] < THREADED_FEATURES))


__all__ = ["FittedGan", "fit", "load"]
