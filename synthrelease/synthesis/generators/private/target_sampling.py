"""The target drawn last, by a model of it given all other columns (``target_model`` fits it).

Rows made to have the right tables of pairs leave the target blurred, since they know it through what a network found.
Labels are drawn in balance (Deville & Tille 2004, doi:10.1093/biomet/91.4.893): each row by its probability, but
together so that no column's table with the target strays from what is expected. Few positives would stray far.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from synthrelease.core.contracts import FloatArray, IntArray

MOST_BALANCED = 2_500
"""Rows of a class in one draw that are balanced; more balance themselves well enough by their number."""
CANDIDATES = 400
SWEEPS = 3
STRATA = 20
COARSE = 4
"""Groups of codes of a column that are balanced together with those of another column."""
MOST_PAIRED = 16
"""Columns whose pairs are balanced; more would cost more than they bring."""


@dataclass(frozen=True, slots=True)
class Labels:
    """A fitted model of column ``column``: effects of codes, (codes, classes), and a base, (classes,).

    ``effects`` are 0 for the target's own codes. ``starts``: where each column's codes begin, (columns + 1,).
    """

    column: int
    starts: IntArray
    effects: FloatArray
    base: FloatArray

    def probabilities(self, codes: IntArray) -> FloatArray:
        """Return the probability of each class for each row, (rows, classes); the target's own code plays no part."""
        scores = np.tile(self.base, (len(codes), 1))
        for column, start in enumerate(self.starts[:-1]):
            if column != self.column:
                scores += self.effects[start + codes[:, column]]
        scores -= scores.max(axis=1, keepdims=True)
        odds = np.exp(scores)
        return np.asarray(odds / odds.sum(axis=1, keepdims=True))

    def drawn(self, codes: IntArray, rng: np.random.Generator) -> IntArray:
        """Return the codes with the target drawn anew, balanced where a class is small."""
        chances = self.probabilities(codes)
        labels = _systematic(chances, rng)
        others = [at for at in range(len(self.starts) - 1) if at != self.column]
        held = np.bincount(labels, minlength=chances.shape[1])
        commonest = int(held.argmax())
        features = None
        for label in np.flatnonzero((held > 0) & (held <= MOST_BALANCED)).tolist():
            if label != commonest:
                if features is None:
                    features = _features(codes[:, others])
                labels = _balanced(labels, chances, features, label, commonest, rng)
        out = codes.copy()
        out[:, self.column] = labels
        return out


def _systematic(chances: FloatArray, rng: np.random.Generator) -> IntArray:
    """Draw a class a row, (rows,), in order of the chance of the rarest class, so that no stretch of it has luck."""
    rarest = int(chances.sum(axis=0).argmin())
    order = np.argsort(chances[:, rarest] + 1e-9 * rng.random(len(chances)), kind="stable")
    labels = np.zeros(len(chances), dtype=np.int64)
    left = np.ones(len(chances))
    is_free = np.ones(len(chances), dtype=np.bool_)
    for label in np.argsort(chances.sum(axis=0))[:-1].tolist():
        odds = np.where(is_free, chances[:, label] / np.maximum(left, 1e-12), 0.0)[order].clip(0.0, 1.0)
        reach = np.cumsum(odds) + rng.random()
        chosen = order[np.floor(reach) > np.floor(np.concatenate([[reach[0] - odds[0]], reach[:-1]]))]
        labels[chosen], is_free[chosen] = label, False
        left = left - chances[:, label]
    labels[is_free] = int(chances.sum(axis=0).argmax())
    return labels


def _features(codes: IntArray) -> FloatArray:
    """Which code each row has in each column, and in each pair of coarse columns, (rows, features)."""
    parts, coarse = [], []
    for column in codes.T:
        sizes = np.bincount(column)
        parts.append(np.eye(len(sizes), dtype=np.float32)[column])
        middles = (np.cumsum(sizes) - sizes / 2) / len(column)
        groups = np.unique((middles * COARSE).astype(np.int64), return_inverse=True)[1]
        coarse.append(np.eye(int(groups.max()) + 1, dtype=np.float32)[groups[column]])
    coarse = coarse[:MOST_PAIRED]
    pairs = [
        (one[:, :, None] * other[:, None, :]).reshape(len(codes), -1)
        for at, one in enumerate(coarse)
        for other in coarse[:at]
    ]
    return np.concatenate([*parts, *pairs], axis=1)


def _balanced(
    labels: IntArray, chances: FloatArray, features: FloatArray, label: int, commonest: int, rng: np.random.Generator
) -> IntArray:
    """Swap ``label`` with the commonest class between rows until tables of features with it are as expected."""
    labels = labels.copy()
    chance = chances[:, label]
    columns = np.concatenate([features, _strata(chance)], axis=1).astype(np.float32)
    spread = ((chance * (1 - chance))[:, None] * columns).sum(axis=0) + 0.5
    weighed = (columns / spread).astype(np.float32)
    length = np.einsum("ij,ij->i", columns, weighed)
    excess = (((labels == label) - chance) @ columns).astype(np.float32)
    for _ in range(SWEEPS):
        changed = False
        for row in rng.permutation(np.flatnonzero(labels == label)).tolist():
            others = rng.integers(0, len(labels), CANDIDATES)
            others = others[labels[others] == commonest]
            if not len(others):
                continue
            pull = weighed[others] @ (2 * (excess - columns[row]))
            gain = length[others] + length[row] + pull - 2 * float(weighed[row] @ excess)
            best = int(gain.argmin())
            if gain[best] < -1e-4:
                other = int(others[best])
                labels[row], labels[other], changed = commonest, label, True
                excess += columns[other] - columns[row]
        if not changed:
            break
    return labels


def _strata(chance: FloatArray) -> FloatArray:
    """Rows in groups by their chance: of as many rows, and of as many expected labels, so that chances stay true."""
    order = np.sort(chance)
    by_rows = order[np.linspace(0, len(order) - 1, STRATA + 1).astype(np.int64)[1:-1]]
    reach = np.cumsum(order) / order.sum()
    by_labels = order[np.minimum(np.searchsorted(reach, np.arange(1, STRATA) / STRATA), len(order) - 1)]
    return np.concatenate([np.eye(STRATA)[np.searchsorted(edges, chance)] for edges in (by_rows, by_labels)], axis=1)
