"""The marginal generator under differential privacy: noisy tables are counted once, all else is made from them.

Real rows are touched in ``noisy_counts`` alone: histograms of single columns, in cells that are public or follow from
earlier noisy counts; tables of every column with the target, and tables of all pairs of columns. Codes, smoothing, the
network, the model of the target and the rows are post-processing. What is counted, and how finely, follows from the
number of rows (public, or counted with noise), epsilon, the schema and what was counted before.

Source: marginal-based synthesis (McKenna, Miklau & Sheldon 2021, arXiv:2108.04978) with a generator network (Liu,
Vietri & Wu 2021, arXiv:2106.07153).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from synthrelease.core.contracts import (
    FitSettings,
    FloatArray,
    IntArray,
    ModelledSchema,
    PairSignal,
    Place,
    PrivacyBudget,
    PrivacySpend,
    Table,
    TrainingStep,
    Witness,
)
from synthrelease.synthesis.generators.argument_checks import chunk_sizes
from synthrelease.synthesis.generators.private import (
    denoising,
    mixture_network,
    noisy_counts,
    single_columns,
    target_model,
)
from synthrelease.synthesis.generators.private.codebook import Codes, as_frame, starts_of
from synthrelease.synthesis.generators.private.denoising import Slope
from synthrelease.synthesis.generators.private.mixture_network import Mixture, Recipe, Wanted
from synthrelease.synthesis.generators.private.noisy_counts import Counted, Noise
from synthrelease.synthesis.generators.private.public_domain import Cells, cells_of
from synthrelease.synthesis.generators.private.single_columns import Single
from synthrelease.synthesis.generators.private.target_model import Seen
from synthrelease.synthesis.generators.private.target_sampling import Labels
from synthrelease.synthesis.generators.progress import Progress
from synthrelease.synthesis.generators.saved_model import SavedModel, history_facts

FORMAT = "synthrelease-private-marginals-1"
EFFECTS, BASE = "label.effects", "label.base"
"""What the tensors of a model of the target are called beside those of the network."""
ROWS_SHARE = 0.01
"""Of the budget, for the number of rows where the schema does not say that it is public."""
DRAWN_FOR_LABELS = 20_000
MOST_CLASSES = 64
FEW = 15_000
"""Below so many units times epsilon the target is what the budget is kept for."""
CHUNK = 65_536


@dataclass(frozen=True, slots=True)
class Plan:
    """What is counted, by a public rule: codes a column, and shares of the budget for each group of tables."""

    codes: int
    histograms: float
    target: float
    slopes: float
    pairs: float


def plan_for(units: float, epsilon: float, *, has_target: bool, has_sums: bool = True) -> Plan:
    """Choose by the number of units and epsilon, which are public or noisy: the less is known, the coarser.

    ``has_sums``: whether there are numbers to sum by the classes of a target that is no number itself; without, the
    tables get what sums would have cost.
    """
    codes = int(np.clip(round((units * epsilon) ** (1 / 3)), 6, 32))
    if not has_target:
        return Plan(codes, 0.25, 0.0, 0.0, 0.75)
    if not has_sums:
        return Plan(codes, 0.15, 0.45, 0.0, 0.4) if units * epsilon < FEW else Plan(codes, 0.15, 0.35, 0.0, 0.5)
    if units * epsilon < FEW:
        return Plan(codes, 0.15, 0.3, 0.2, 0.35)
    return Plan(codes, 0.15, 0.3, 0.05, 0.5)


@dataclass(frozen=True)
class FittedPrivate:
    """A trained generator made from noisy tables alone: it could be published as it is."""

    columns: tuple[Codes, ...]
    network: Mixture
    labels: Labels | None
    spends: tuple[PrivacySpend, ...]
    history: tuple[TrainingStep, ...] = ()
    facts: Mapping[str, Any] | None = None
    notices: tuple[str, ...] = ()
    signals: tuple[PairSignal, ...] = ()

    @property
    def description(self) -> Mapping[str, Any]:
        """Settings and sizes as plain JSON values."""
        weights = sum(parameter.numel() for parameter in self.network.parameters())
        sizes = {"columns": len(self.columns), "parts": sum(each.size for each in self.columns), "weights": weights}
        return {"generator": "marginals", "private": True, **sizes, **(self.facts or {})}

    def sample(self, rows: int, *, seed: int, chunk_rows: int = CHUNK) -> Iterator[pd.DataFrame]:
        """Yield canonical frames that add up to exactly ``rows`` rows; the same seed gives the same rows.

        Raises:
            InputError: ``rows`` or ``chunk_rows`` is not positive.
            TrainingError: the network's output is not finite.
        """
        sizes = chunk_sizes(rows, chunk_rows)
        rng, noise = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
        for size in sizes:
            codes = mixture_network.draw(self.network, size, noise)
            codes = codes if self.labels is None else self.labels.drawn(codes, rng)
            yield as_frame(list(self.columns), codes, rng)

    def save(self, folder: Path) -> None:
        """Write ``model.safetensors`` and ``model.json``."""
        tensors = self.network.state_dict()
        if self.labels is not None:
            tensors[EFFECTS] = torch.from_numpy(self.labels.effects)
            tensors[BASE] = torch.from_numpy(self.labels.base)
        facts = {
            "format": FORMAT,
            "columns": [asdict(each) for each in self.columns],
            "network": {"noise": self.network.noise, "hidden": self.network.hidden},
            "labels": None if self.labels is None else self.labels.column,
            "spends": [asdict(each) for each in self.spends],
            "facts": dict(self.facts or {}),
            "notices": list(self.notices),
            "signals": [asdict(each) for each in self.signals],
            "history": history_facts(self.history),
        }
        SavedModel(facts, tensors).write(folder)


def built(model: SavedModel) -> FittedPrivate:
    """Build the generator that ``FittedPrivate.save`` wrote."""
    facts = model.facts
    columns = tuple(Codes.from_json(each) for each in facts["columns"])
    starts = starts_of(columns)
    labels = None
    if facts["labels"] is not None:
        classes = columns[facts["labels"]].size
        effects, base = model.tensor(EFFECTS, int(starts[-1]), classes), model.tensor(BASE, classes)
        labels = Labels(facts["labels"], starts, effects.numpy(), base.numpy())
    network = Mixture(**facts["network"], starts=starts)
    network.load_state_dict({name: each for name, each in model.tensors.items() if name not in (EFFECTS, BASE)})
    return FittedPrivate(
        columns=columns,
        network=network.eval(),
        labels=labels,
        spends=tuple(PrivacySpend(**each) for each in facts["spends"]),
        history=model.history,
        facts=facts["facts"],
        notices=model.notices,
        signals=tuple(PairSignal(**each) for each in facts.get("signals", ())),
    )


def fit(
    train: Table[ModelledSchema], settings: FitSettings, budget: PrivacyBudget, progress: Progress
) -> FittedPrivate:
    """Count noisy tables of the training rows, and train on these.

    Raises:
        InputError: a column's domain is neither declared nor learned, or the table is too small for the budget.
        TrainingError: a loss stopped being finite.
    """
    found = measured(train, budget, settings.witness)
    recipe = Recipe(steps=max(1, round(settings.effort * found.steps)))
    progress.steps = recipe.steps
    network = mixture_network.train(found.wanted, recipe, seed=settings.seed, progress=progress)
    labels = labels_of(found, network, settings)
    progress.end()
    facts = {"units": found.units, "codes_a_column": found.plan.codes, **asdict(recipe)}
    if found.target is not None:
        facts["target_temperature"] = temperature_of(found, settings)
    history = tuple(progress.history)
    return FittedPrivate(found.columns, network, labels, found.spends, history, facts, signals=found.signals)


def temperature_of(found: Measured, settings: FitSettings) -> float:
    """Return the temperature at which the target is drawn: 1, as learned, unless it is to be sharpened."""
    if found.target is None or not settings.sharpen_labels:
        return 1.0
    return target_model.temperature_of(found.columns[found.target], found.units)


def labels_of(found: Measured, network: Mixture, settings: FitSettings) -> Labels | None:
    """Return a model of the target given what a network makes and the tables say; None where there is no target."""
    if found.target is None or found.seen is None:
        return None
    made = mixture_network.draw(network, DRAWN_FOR_LABELS, torch.Generator().manual_seed(settings.seed))
    temperature = temperature_of(found, settings)
    shares = found.wanted.shares
    return target_model.fit(made, found.seen, found.columns, shares, found.target, temperature=temperature)


@dataclass(frozen=True, slots=True)
class Measured:
    """Everything that is known of the training rows: ``wanted`` of all pairs, and what was ``seen`` of the target."""

    columns: tuple[Codes, ...]
    wanted: Wanted
    seen: Seen | None
    target: int | None
    plan: Plan
    spends: tuple[PrivacySpend, ...]
    units: int
    signals: tuple[PairSignal, ...]

    @property
    def steps(self) -> int:
        """Updates that are worth their time, by public sizes alone."""
        return int(np.clip(400 + 6 * self.wanted.starts[-1], 600, 1_600))


@dataclass(frozen=True, slots=True)
class Coded:
    """Real rows in codes that were made from noisy histograms; ``codes`` (rows, columns) lives as long as ``fit``.

    ``left``: share of the budget that shares of the plan are of. ``units``: how many there are, public or noisy.
    """

    rows: Counted
    codes: IntArray
    single: Single
    target: int | None
    plan: Plan
    noises: tuple[Noise, ...]
    units: float
    left: float

    @property
    def columns(self) -> tuple[Codes, ...]:
        """What the codes are."""
        return self.single.columns

    @property
    def starts(self) -> IntArray:
        """Where each column's codes begin, and their end, (columns + 1,)."""
        return starts_of(self.columns)

    @property
    def first_shares(self) -> FloatArray:
        """Shares by the histograms, and how uncertain each is, (2, codes)."""
        shares = np.concatenate([each.shares for each in self.columns])
        cells = np.concatenate([np.bincount(each.code, minlength=each.size) for each in self.columns])
        return np.stack([shares, np.maximum(cells, 1) * (self.noises[-1].scale / self.units) ** 2])


def coded(
    train: Table[ModelledSchema],
    budget: PrivacyBudget,
    *,
    share: Callable[[float, int], float] = lambda units, columns: 1.0,
    witness: Witness | None = None,
) -> Coded:
    """Count how many units there are, and every column by itself, with noise; make codes of that.

    ``share``: of the budget that goes into tables, from the number of units (public or noisy) and of columns.
    ``witness``: an audit that is told of everything that leaves with noise.
    """
    domains = [cells_of(column) for column in train.schema.learned]
    names = [each.name for each in domains]
    target = None if train.schema.target is None else names.index(train.schema.target)
    rows = noisy_counts.counted(train, domains, budget)
    noises: list[Noise] = []
    left, units = 1.0, float(rows.units)
    if not budget.rows_are_public:
        noises.append(Noise.of(f"number of {budget.unit}s", 1, budget, ROWS_SHARE))
        units, left = noisy_counts.noisy_units(rows, noises[0]), 1.0 - ROWS_SHARE
    left *= share(units, len(names))
    has_target = target is not None and len(names) > 1
    plan = plan_for(units, budget.epsilon, has_target=has_target, has_sums=_has_sums(domains, target))
    single = single_columns.counted(
        rows, domains, budget, units=units, share=plan.histograms * left, most=plan.codes
    ).rounded(train.schema.learned)
    if witness is not None:
        witness.known(rows.cells, rows.weights / rows.whole, rows.kept)
        for noise in noises:
            witness.released(
                np.array([units]), noise.scale, lambda cells: noisy_counts.in_histograms(cells[:, :1] * 0, [1])
            )
        single.show(witness)
    return Coded(rows, single.codes_of(rows.cells), single, target, plan, (*noises, *single.noises), units, left)


def measured(train: Table[ModelledSchema], budget: PrivacyBudget, witness: Witness | None = None) -> Measured:
    """Count, with noise, all that is learned of the training rows."""
    return tables_of(coded(train, budget, witness=witness), budget, witness)


def tables_of(seen: Coded, budget: PrivacyBudget, witness: Witness | None = None) -> Measured:
    """Count tables of pairs, with noise, and make the best of them."""
    columns, starts, units = seen.columns, seen.starts, seen.units
    groups = _groups(len(columns), seen.target, seen.plan, budget, seen.left)
    noises = [*seen.noises, *(noise for noise, _ in groups)]
    counts = noisy_counts.pair_tables(seen.rows, seen.codes, starts, groups)
    tables = counts / units
    if witness is not None:
        for noise, chosen in groups:
            witness.released(counts.ravel(), noise.scale, _in_pairs(seen.single, chosen))
    target, plan, codes, ones = seen.target, seen.plan, seen.codes, seen.first_shares
    lines = _lines(columns, target)
    slopes = {}
    if target is not None and lines:
        noises.append(Noise.of("sums of numbers by the target's classes", len(lines), budget, plan.slopes * seen.left))
        classes, noise = columns[target].size, noises[-1]
        totals = noisy_counts.target_moments(seen.rows, _on_lines(lines, codes), codes[:, target], classes, noise)
        if witness is not None:
            witness.released(totals.ravel(), noise.scale, _in_sums(seen.single, lines, target))
        sums = totals / units
        variance = (noise.scale / units) ** 2
        slopes = {(at, target): Slope(line, sums[i], variance) for i, (at, line) in enumerate(lines.items())}
    del seen, codes  # from here on nothing real is at hand

    variances = np.full((len(columns), len(columns)), np.inf)
    for noise, chosen in groups:
        variances[chosen] = (noise.scale / units) ** 2
    shares = denoising.margins(tables, starts, variances, ones)
    known = None
    is_label = target is not None and len(columns) > 1 and columns[target].size <= MOST_CLASSES
    if target is not None and is_label:
        sides = tables[:, int(starts[target]) : int(starts[target + 1])]
        known = Seen(sides, variances[:, target], {at: slope for (at, _), slope in slopes.items()}, units)
    better = denoising.denoised(denoising.Noisy(tables, shares, starts, variances, slopes, units), columns)
    wanted = Wanted.of(better.tables, better.variances, shares, starts)
    spends = tuple(noise.spend(budget) for noise in noises)
    modelled = target if is_label else None
    signals = _signals(columns, better.signals, modelled)
    return Measured(columns, wanted, known, modelled, plan, spends, round(units), signals)


def _signals(columns: tuple[Codes, ...], chances: FloatArray, target: int | None) -> tuple[PairSignal, ...]:
    """How likely columns depend on each other, (columns, columns), as it is told; NaN where they were not counted.

    The model of the ``target`` is surer beforehand that a column has no effect on it, so that chances are turned into
    those of its prior.
    """
    found = []
    for a, b in zip(*np.triu_indices(len(columns), 1), strict=True):
        chance = float(chances[a, b])
        if target in (a, b):
            odds = chance / max(1.0 - chance, 1e-12) * denoising.NOTHING / (1.0 - denoising.NOTHING)
            odds *= (1.0 - target_model.NOTHING) / target_model.NOTHING
            chance = odds / (1.0 + odds)
        if np.isfinite(chance):
            found.append(PairSignal(columns[a].cells.name, columns[b].cells.name, round(chance, 4)))
    return tuple(found)


def _groups(
    columns: int, target: int | None, plan: Plan, budget: PrivacyBudget, left: float
) -> list[tuple[Noise, np.ndarray[Any, np.dtype[np.bool_]]]]:
    """Which pairs of columns are counted, and with what noise: those with the target get less of it."""
    both = ~np.eye(columns, dtype=np.bool_)
    groups = []
    if target is not None and columns > 1:
        chosen = np.zeros_like(both)
        chosen[target], chosen[:, target], chosen[target, target] = True, True, False
        noise = Noise.of("tables of each column with the target", columns - 1, budget, plan.target * left)
        groups.append((noise, chosen))
        both = both & ~chosen
    if both.any():
        count = int(both.sum()) // 2
        groups.append((Noise.of("tables of pairs of columns", count, budget, plan.pairs * left), both))
    return groups


def _has_sums(domains: list[Cells], target: int | None) -> bool:
    """Whether numbers can be summed by the target's classes, by what is public."""
    if target is None or domains[target].is_number:
        return False
    return any(each.ordered for at, each in enumerate(domains) if at != target)


def _lines(columns: tuple[Codes, ...], target: int | None) -> dict[int, FloatArray]:
    """The lines on which codes of numbers lie, by column; a target that is a number itself needs none."""
    if target is None or columns[target].cells.is_number:
        return {}
    return {
        at: denoising.line_of(np.asarray(each.shares), each.has_missing)
        for at, each in enumerate(columns)
        if at != target and each.cells.ordered and each.size > 2
    }


def _on_lines(lines: Mapping[int, FloatArray], codes: IntArray) -> list[IntArray]:
    """Where each row lies on the line of each number, in steps, (rows,) each."""
    return [np.rint(line * noisy_counts.MOMENT_STEPS).astype(np.int64)[codes[:, at]] for at, line in lines.items()]


def _in_pairs(single: Single, chosen: NDArray[np.bool_]) -> Place:
    return lambda cells: noisy_counts.in_pairs(single.codes_of(cells), starts_of(single.columns), chosen)


def _in_sums(single: Single, lines: Mapping[int, FloatArray], target: int) -> Place:
    def place(cells: IntArray) -> tuple[IntArray, FloatArray]:
        codes = single.codes_of(cells)
        return noisy_counts.in_sums(_on_lines(lines, codes), codes[:, target], single.columns[target].size)

    return place
