"""Membership attacks: a score for every real patient, higher where the attacker takes the patient for a member.

Patients are attacked in two folds. In each, the other half of the holdout is the attacker's reference sample of the
population, so that nobody is compared with a reference that contains them, and small tables keep their power. With a
reference sample of its own all of that is used.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier

from synthrelease.core.contracts import BoolArray, Evidence, FloatArray, Table
from synthrelease.evaluation.statistics.confidence_intervals import draw, per_patient, two_folds
from synthrelease.evaluation.statistics.gower_embedding import Points, Space
from synthrelease.evaluation.statistics.nearest_neighbours import nearest

NEIGHBOURS = (1, 5, 25)
MOST_PEOPLE = 20_000
MOST_TO_LEARN = 20_000
ISOLATION_NEIGHBOURS = 5
FLOOR = 1e-6  # far below any real distance: a copy scores high without being infinite


@dataclass(frozen=True, slots=True)
class Side:
    """Patients of one side: attack -> scores (patients,), the fold each was attacked in, and how isolated each lies."""

    scores: dict[str, FloatArray]
    fold: BoolArray
    isolation: FloatArray

    def __len__(self) -> int:
        return len(self.fold)

    def only(self, chosen: BoolArray) -> Side:
        """Some of the patients."""
        kept = {name: score[chosen] for name, score in self.scores.items()}
        return Side(kept, self.fold[chosen], self.isolation[chosen])


def attacked(rng: np.random.Generator, evidence: Evidence) -> tuple[Side, Side]:
    """Attack up to 20,000 training and holdout rows with every attack: (members, others)."""
    tables = [table.take(draw(rng, table, MOST_PEOPLE)) for table in (evidence.train, evidence.holdout)]
    space = Space.fit(*tables)
    made, points = space.embed(evidence.synthetic.frame), [space.embed(table.frame) for table in tables]
    folds = [two_folds(rng, table) for table in tables]
    dense = [_log_distances(side, made) for side in points]
    sparse = [np.empty_like(side) for side in dense]
    likely = [np.empty(len(side)) for side in dense]
    for fold in (False, True):
        apart = tables[1].take(np.flatnonzero(folds[1] != fold)) if evidence.reference is None else evidence.reference
        reference = space.embed(apart.frame)
        ours = [table.take(np.flatnonzero(mask == fold)) for table, mask in zip(tables, folds, strict=True)]
        chances = _likelihood_ratio(rng, evidence.synthetic, apart, ours)
        for side in (0, 1):
            here = folds[side] == fold
            sparse[side][here] = _log_distances(points[side][here], reference)
            likely[side][here] = chances[side]
    isolation = _isolation(points)
    sides = []
    for side, table in enumerate(tables):
        raw = {
            "density ratio (DOMIAS)": (sparse[side] - dense[side]).mean(axis=1),
            "density ratio, nearest row": sparse[side][:, 0] - dense[side][:, 0],
            "distance to the nearest row": -dense[side][:, 0],
            "classifier ratio": likely[side],
        }
        scores = {name: per_patient(score, table, largest=True) for name, score in raw.items()}
        fold_of = per_patient(folds[side].astype(np.float64), table, largest=True) > 0
        sides.append(Side(scores, fold_of, per_patient(isolation[side], table, largest=True)))
    return sides[0], sides[1]


def _log_distances(points: Points, base: Points) -> FloatArray:
    """Log distance to the k-th nearest base row, one column for each k in NEIGHBOURS: (n, 3)."""
    found = nearest(points, base, max(NEIGHBOURS)).distance
    columns = [min(k, found.shape[1]) - 1 for k in NEIGHBOURS]
    return np.log(found[:, columns] + FLOOR)


def _isolation(points: list[Points]) -> list[FloatArray]:
    """Mean distance of each real row to the five nearest other real rows of either side (Meeus et al. 2023)."""
    whole = np.concatenate(points)
    found = nearest(whole, whole, ISOLATION_NEIGHBOURS + 1).distance[:, 1:].mean(axis=1)
    return [found[: len(points[0])], found[len(points[0]) :]]


def _likelihood_ratio(
    rng: np.random.Generator, made: Table, reference: Table, attacked_tables: list[Table]
) -> list[FloatArray]:
    """Log odds that a row is synthetic rather than of the population, by gradient boosting, for the rows attacked."""
    sides = [table.take(draw(rng, table, MOST_TO_LEARN)) for table in (made, reference)]
    labels = np.repeat([1, 0], [len(side) for side in sides])
    model = HistGradientBoostingClassifier(
        max_iter=60,
        max_leaf_nodes=15,
        early_stopping=False,
        random_state=int(rng.integers(2**31)),
    )
    model.fit(pd.concat([numbers(side) for side in sides], ignore_index=True), labels)
    # What the sizes of the two sides say of a row is taken off. Weights would say the same, and take far longer to bin.
    before = np.log(len(sides[0]) / len(sides[1]))
    return [model.decision_function(numbers(table)) - before for table in attacked_tables]


def numbers(table: Table) -> pd.DataFrame:
    """Numbers as they are and labels as codes (NaN where missing), under plain column names."""
    return pd.DataFrame(
        {
            str(i): table.frame[c.name]
            if c.is_number
            else table.frame[c.name].cat.codes.astype(np.float64).replace(-1.0, np.nan)
            for i, c in enumerate(table.schema.learned)
        }
    )
