"""Control variates: what could have been foreseen of each patient without knowing who was trained on.

What real rows alone say of a patient (how many others are alike, how well a model of real rows predicts a value) is
turned into how likely an outcome was (a synthetic row close by, a guess that is right). Its mean differs between the
sides by chance alone, whatever was leaked; and what chance puts into it, chance has put into the outcome as well
(``confidence_intervals.controlled``). Taking that off narrows an interval and moves nothing on average.

Only a few numbers of a patient may go in, and only a small model may be fitted, although the patient's whole row would
foresee more: fitted to the outcome, a model that knows the whole row learns what the generator learned of its training
rows, and so takes a leak for something that could have been foreseen.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations as subsets

import numpy as np
from sklearn.ensemble import HistGradientBoostingRegressor

from synthrelease.core.contracts import BoolArray, FloatArray, IntArray
from synthrelease.evaluation.checks._cells import Keys, combined, numbered

FEWEST_PATIENTS = 1_000
"""With fewer patients on a side there is little to foresee by, and an audit of a small table should stay quick."""
FOLDS = 3
LEFT_OUT = (1, 2, 3)
MOST_SETS = 100


def foreseen(
    rng: np.random.Generator,
    inputs: FloatArray,
    outcome: FloatArray,
    owner: IntArray,
) -> FloatArray:
    """Predict each row's outcome by small trees on the rows of other owners: (rows,).

    Args:
        rng: deals the owners into folds.
        inputs: a few numbers a row that real rows of both sides alone give, (rows, features).
        outcome: what is to be foreseen, (rows,).
        owner: the patient of each row, numbered from 0, (rows,); one patient's rows stay together.
    """
    out = np.empty(len(outcome))
    for here in folds(rng, owner):
        model = HistGradientBoostingRegressor(
            early_stopping=False,
            max_iter=40,
            max_leaf_nodes=8,
            min_samples_leaf=max(20, len(outcome) // 200),
            random_state=0,
        )
        out[here] = model.fit(inputs[~here], outcome[~here]).predict(inputs[here])
    return out


def folds(rng: np.random.Generator, owner: IntArray) -> Iterator[BoolArray]:
    """Yield each fold of the owners as a mask over rows."""
    fold = rng.permutation(np.arange(int(owner.max()) + 1) % FOLDS)[owner]
    yield from (fold == k for k in range(FOLDS))


def likenesses(rng: np.random.Generator, cells: Keys) -> FloatArray:
    """How many other rows equal each row in all columns but one, but two and but three: log counts, (rows, 3).

    Args:
        rng: chooses the columns to leave out where there are many ways.
        cells: hashes of the cells, (rows, columns). A row's key is their wrapping sum, so that leaving columns out is
            a subtraction.
    """
    whole = cells.sum(axis=1, dtype=np.uint64)
    out = np.zeros((len(cells), len(LEFT_OUT)))
    for place, left in enumerate(LEFT_OUT):
        ways = list(subsets(range(cells.shape[1]), left))
        for at in rng.permutation(len(ways))[:MOST_SETS]:
            keys = whole - combined(cells, ways[at])
            which = numbered(keys)
            out[:, place] += np.bincount(which)[which] - 1
    return np.log1p(out)
