"""One trial: a training table made in one way from one seed, and the scores of what was trained on it.

A trial is plain data and ``run`` a top-level function of it, so that trials run in any process and in any order. What
comes back is plain JSON: scores, histograms and training curves; never a row.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from synthrelease.core.contracts import FitSettings, Fitted, IntArray, TrainingStep
from synthrelease.core.errors import TrainingError
from synthrelease.synthesis import generators
from synthrelease.synthesis.oversampling import Oversampling, make_rows
from synthrelease.workflows.paper import input_tables, scoring
from synthrelease.workflows.paper.input_tables import Material, Part

BINS = 24
EPOCHS = 1_500
SAMPLERS = ("smote", "adasyn")
MORE_ROWS = 16
WITH_MORE = f"-x{MORE_ROWS}"
"""How the row of a generator ends that makes so many times the rows of the whole table."""


@dataclass(frozen=True, slots=True)
class Trial:
    """``row`` is "original", "weights", "smote", "smotenc", "adasyn" or a generator's name; ``part`` see ``Part``.

    In experiment 1 a generator's name may end in ``WITH_MORE``.
    """

    experiment: int
    table: str
    row: str
    part: Part
    seed: int
    epochs: int = EPOCHS

    @property
    def effort(self) -> float:
        """The generator's effort: 1 is the paper's 1,500 epochs."""
        return self.epochs / EPOCHS

    @property
    def is_papers(self) -> bool:
        """Whether the row is one of the paper's networks."""
        return self.row.startswith("paper-")

    @property
    def generator(self) -> str:
        """The name of the row's generator in the registry."""
        return self.row.removesuffix(WITH_MORE)

    @property
    def times(self) -> int:
        """How many times the rows of the whole table are made."""
        return MORE_ROWS if self.row.endswith(WITH_MORE) else 1

    def key(self, digest: str) -> str:
        """A name that no other trial has, the data included."""
        return "|".join([*(str(value) for value in asdict(self).values()), digest])


def run(trial: Trial, data: Path) -> dict[str, Any]:
    """Carry out a trial of experiment 1 or 2 on the tables in ``data``."""
    started = time.process_time()
    found = input_tables.load(trial.table, data)
    try:
        with threadpool_limits(1):  # trials run side by side, and threads that wait for each other cost minutes
            outcome = _first(trial, found) if trial.experiment == 1 else _second(trial, found)
    except TrainingError as error:
        outcome = {"scores": {}, "failed": str(error)}
    return {"trial": asdict(trial), "core_seconds": round(time.process_time() - started, 2), **outcome}


# Experiment 1: a tree trained on made rows alone.


def _first(trial: Trial, found: Material) -> dict[str, Any]:
    whole, target = found.scaled, found.source.target
    test = whole.iloc[found.test_rows(trial.part, trial.seed)]
    if trial.row == "original":
        made = whole.iloc[found.training_rows(trial.part, trial.seed)]
        return {
            "scores": {
                "imbalanced": _tree(made, test, target, trial.seed),
                "own": scoring.own_distance(whole.to_numpy()),
            },
            **_shape(made, target),
        }
    fitted, made = _made(trial, found)
    scores = _tree(made, test, target, trial.seed) | scoring.distance(
        made.to_numpy(), whole[list(made.columns)].to_numpy()
    )
    return {"scores": {"imbalanced": scores}, **_shape(made, target), **_training(fitted)}


def _made(trial: Trial, found: Material) -> tuple[Fitted, pd.DataFrame]:
    """Train the row's generator and return as many scaled rows as the whole table has, or ``times`` as many."""
    rows = found.training_rows(trial.part, trial.seed)
    table = input_tables.paper_table(found, rows) if trial.is_papers else input_tables.plain_table(found, rows)
    fitted = generators.load(trial.generator)(table, FitSettings(trial.seed, trial.effort), _ignore)
    rows_made = trial.times * len(found.frame)
    frame = pd.concat(list(fitted.sample(rows_made, seed=trial.seed)), ignore_index=True)
    frame = input_tables.numbers(frame, found.source.target)
    return fitted, frame if trial.is_papers else found.scale(frame)


def _tree(made: pd.DataFrame, test: pd.DataFrame, target: str, seed: int) -> dict[str, float]:
    features = [name for name in made.columns if name != target]
    classes, truth = made[target].to_numpy().astype(np.int64), test[target].to_numpy().astype(np.int64)
    chance = scoring.chances("decision_tree", made[features].to_numpy(), classes, test[features].to_numpy(), seed=seed)
    return scoring.scores(truth, chance) | {"positive": float(classes.mean())}


def _shape(made: pd.DataFrame, target: str) -> dict[str, Any]:
    """Histograms of scaled columns, for figure 4."""
    edges = np.linspace(0, 1, BINS + 1)
    return {
        "histograms": {
            name: [round(float(share), 4) for share in np.histogram(made[name].clip(0, 1), edges)[0] / len(made)]
            for name in made.columns
            if name != target
        }
    }


def _training(fitted: Fitted) -> dict[str, Any]:
    """How training went: losses, and the signs and the diagnosis of generators that keep them."""
    signs = getattr(fitted, "signs", ())
    diagnosis = getattr(fitted, "diagnosis", None)
    return {
        "history": [{"step": step.step, **_rounded(step.losses)} for step in _thinned(fitted.history, 60)],
        "signs": [_sign(sign) for sign in _thinned(signs, 60)],
        "diagnosis": None if diagnosis is None else asdict(diagnosis),
        "recoveries": int(getattr(fitted, "recoveries", 0)),
    }


def _sign(sign: Any) -> dict[str, Any]:
    names = ("accuracy", "spread", "coverage", "repeats", "margins")
    return {"step": sign.step, **_rounded({name: getattr(sign, name) for name in names})}


def _rounded(values: Mapping[str, float]) -> dict[str, float | None]:
    return {name: round(float(value), 4) if np.isfinite(value) else None for name, value in values.items()}


def _thinned(items: Any, most: int) -> list[Any]:
    step = max(1, -(-len(items) // most))
    return [*items[::step], *(items[-1:] if len(items) and (len(items) - 1) % step else ())]


def _ignore(step: TrainingStep) -> None:
    """Nobody watches a single trial."""


# Experiment 2: the rare class oversampled.


def _second(trial: Trial, found: Material) -> dict[str, Any]:
    target, features = found.source.target, found.features
    train = found.scaled.iloc[found.training_rows("clean", 0)]
    test = found.scaled.iloc[found.test_rows()]
    more, training = _oversampled(trial, found, train)
    rows, classes = more[features].to_numpy(), more[target].to_numpy().astype(np.int64)
    truth = test[target].to_numpy().astype(np.int64)
    balanced = _undersampled(truth, trial.seed)
    scores: dict[str, dict[str, float]] = {}
    for model in scoring.MODELS:
        chance = scoring.chances(model, rows, classes, test[features].to_numpy(), seed=trial.seed)
        end = "" if model == "decision_tree" else "_boosted"
        scores[f"imbalanced{end}"] = scoring.scores(truth, chance)
        scores[f"balanced{end}"] = scoring.scores(truth[balanced], chance[balanced])
        share = input_tables.TRUE_FRAUD_SHARE
        scores[f"true_share{end}"] = scoring.scores(truth, chance, positive_share=share)
    scores["imbalanced"]["positive"] = float(classes.mean())
    return {"scores": scores, **training}


def _oversampled(trial: Trial, found: Material, train: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Return the training part with as many frauds as other rows, and how a generator's training went."""
    target = found.source.target
    rare = int((train[target] == 1).sum())
    needed = len(train) - 2 * rare
    if trial.row == "original":
        return train, {}
    if trial.row in SAMPLERS:
        return _interpolated(trial.row, train, target, trial.seed), {}
    if trial.is_papers:
        table = input_tables.paper_table(found, _fraud_rows(trial, found), label_is_number=True)
        fitted = generators.load(trial.row)(table, FitSettings(trial.seed, trial.effort), _ignore)
        frame = pd.concat(list(fitted.sample(needed, seed=trial.seed)), ignore_index=True)
        # A made row that the GAN labels 0 joins the other class, as in the paper's code.
        made, training = input_tables.numbers(frame, target), _training(fitted)
    else:
        table = input_tables.plain_table(found, found.training_rows("clean", 0))
        how = Oversampling(trial.seed, trial.row, trial.effort)
        made = input_tables.numbers(make_rows(table, {1: needed}, how, on_step=_ignore), target)
        made, training = found.scale(made), {}
    return pd.concat([train, made[list(train.columns)]], ignore_index=True), training


def _fraud_rows(trial: Trial, found: Material) -> IntArray:
    """The frauds that a GAN trains on: those of the training part, or 70% of all of them (the published leak)."""
    frauds = np.flatnonzero(found.frame[found.source.target].to_numpy() == 1)
    if trial.part == "clean":
        return np.intersect1d(frauds, found.training_rows("clean", 0))
    return np.random.default_rng(trial.seed).permutation(frauds)[: int(len(frauds) * input_tables.TRAINING_SHARE)]


def _interpolated(name: str, train: pd.DataFrame, target: str, seed: int) -> pd.DataFrame:
    from imblearn.over_sampling import ADASYN, SMOTE  # slow to import, and only needed here

    sampler = (SMOTE if name == "smote" else ADASYN)(random_state=seed)
    rows, classes = sampler.fit_resample(train.drop(columns=[target]).to_numpy(), train[target].to_numpy())
    frame = pd.DataFrame(rows, columns=[column for column in train.columns if column != target])
    return frame.assign(**{target: classes})


def _undersampled(truth: IntArray, seed: int) -> IntArray:
    """Positions of all frauds and of as many other rows."""
    frauds, others = np.flatnonzero(truth == 1), np.flatnonzero(truth == 0)
    return np.sort(np.concatenate([frauds, np.random.default_rng(seed).permutation(others)[: len(frauds)]]))


def cost(trial: Trial, rows: int, columns: int) -> float:
    """Estimate a trial's core seconds, for the time left; ``rows`` are those that a generator trains on.

    The paper's networks: 0.1 ms an update and 2 ms a million weights, measured on one core of a 2.6 GHz server.
    """
    if not trial.is_papers:
        return {"original": 1.0, "weights": 1.0, "smote": 2.0, "smotenc": 5.0, "adasyn": 2.0}.get(trial.row, 15.0)
    sizes = [int(width) for width in trial.row.split("-")[1:] if width.isdigit()]
    weights = _weights([100, *sizes, columns]) + _weights([columns, *sizes[::-1], 1])
    updates = min(trial.epochs * -(-rows // 5), 200_000 * trial.effort)
    return float(updates * (1e-4 + 2e-9 * weights))


def _weights(sizes: list[int]) -> int:
    return sum((width + 1) * after for width, after in pairwise(sizes))
