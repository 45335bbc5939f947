"""A critic of finished rows: it says how much likelier a drawn row is than a real one, and which rows not to hand out.

Boosted trees learn to tell training rows from drawn ones (``critic_views`` says what they are shown), each fold by a
model of the other folds, so that no row is scored by a model that has seen it. On the scores of such unseen rows it is
counted how many real rows lie where the lowest scores of drawn rows lie: where fewer do than should, by more than
chance, drawn rows are kept with the share that real ones have of what they should (rejection sampling by a
discriminator: Azadi et al. 2018, arXiv:1810.06758, section 3). Where nothing of the kind is shown there is no critic,
and rows are drawn as without one.

What is kept of it are numbers: trees, tables of lifts and a few cuts; no row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import stats
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.isotonic import isotonic_regression

from synthrelease.core.contracts import BoolArray, FloatArray, IntArray
from synthrelease.synthesis.generators.autoregressive_gan.column_cells import Float32Array
from synthrelease.synthesis.generators.autoregressive_gan.critic_views import FOLDS, Rows, View

Numbers = np.ndarray[Any, np.dtype[Any]]

LEAVES = 8
RATE = 0.05
FEATURES_A_SPLIT = 8
ROWS_A_TREE = 16_000
SMALLEST_LEAF = 20
LOOK_EVERY = 5
"""Trees after which the held-out log loss is looked at."""
SHARES = (0.0025, 0.005, 0.01, 0.02, 0.035, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5)
"""Of the drawn rows, by score: where it is looked whether real rows lack. More than half are never drawn again."""
SURELY = 1e-5
"""The chance that so few real rows lie in the lowest scores by luck, below which a cut counts. On 16 honest tables the
smallest one found was 4e-5: a number of cuts is looked at, and folds know a little of each other."""
WORTH = 0.9
"""Where real rows are more frequent than this share of drawn ones, nothing is rejected."""
_NODES = 2 * LEAVES - 1


@dataclass(frozen=True, slots=True)
class Trees:
    """Boosted trees of each fold, (folds, trees, nodes); leaves lead to themselves. ``base``: (folds,)."""

    feature: IntArray
    threshold: FloatArray
    left: IntArray
    right: IntArray
    value: FloatArray
    base: FloatArray

    def scores(self, shown: Float32Array, fold: IntArray) -> FloatArray:
        """Return the log-odds of being real, (rows,), by the trees of each row's fold; ``shown``: (rows, features)."""
        out = np.empty(len(shown))
        for each in range(FOLDS):
            mine = fold == each
            out[mine] = self.base[each] + self.steps(shown[mine], each).sum(axis=1)
        return out

    def steps(self, shown: Float32Array, fold: int) -> FloatArray:
        """Return what each tree of a fold adds to the log-odds, (rows, trees)."""
        trees = np.arange(self.feature.shape[1])
        at = np.zeros((len(shown), len(trees)), dtype=np.int64)
        rows = np.arange(len(shown))[:, None]
        for _ in range(LEAVES - 1):  # no path is longer
            goes_left = shown[rows, self.feature[fold, trees, at]] <= self.threshold[fold, trees, at]
            at = np.where(goes_left, self.left[fold, trees, at], self.right[fold, trees, at])
        return np.asarray(self.value[fold, trees, at])


@dataclass(frozen=True, slots=True)
class RowCritic:
    """Scores rows. ``cuts``: rising scores, (cuts,). ``kept``: the share of drawn rows to keep below each, (cuts,)."""

    view: View
    trees: Trees
    cuts: FloatArray
    kept: FloatArray

    def accepts(self, rows: Rows, rng: np.random.Generator) -> BoolArray:
        """Return which drawn rows to keep, (rows,)."""
        fold = rng.integers(0, FOLDS, len(rows))
        scores = self.trees.scores(self.view.shown(rows, fold), fold)
        chance = np.append(self.kept, 1.0)[np.searchsorted(self.cuts, scores, side="left")]
        return np.asarray(rng.random(len(rows)) < chance)

    def arrays(self) -> Mapping[str, Numbers]:
        """Return all numbers of it by name, from which ``from_arrays`` builds it again."""
        trees = {f"trees.{name}": getattr(self.trees, name) for name in Trees.__slots__}
        views = {f"view.{name}": each for name, each in self.view.arrays().items()}
        return {"cuts": self.cuts, "kept": self.kept} | trees | views

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Numbers]) -> RowCritic:
        """Build what ``arrays`` described; KeyError if something of it is missing."""
        view = View(**{name: arrays[f"view.{name}"] for name in View.__slots__})
        trees = Trees(**{name: arrays[f"trees.{name}"] for name in Trees.__slots__})
        return cls(view, trees, arrays["cuts"], arrays["kept"])


@dataclass(frozen=True, slots=True)
class Sides:
    """Training rows and drawn rows, each with its fold, (rows,). ``people``: the patients among the former."""

    real: Rows
    made: Rows
    real_fold: IntArray
    made_fold: IntArray
    people: int


def row_critic(view: View, sides: Sides, *, trees: int, seed: int) -> RowCritic | None:
    """Train a critic of at most ``trees`` trees a fold; None where real rows lack nowhere, or not beyond chance."""
    shown = np.vstack([view.shown(sides.real, sides.real_fold), view.shown(sides.made, sides.made_fold)])
    is_real = np.arange(len(shown)) < len(sides.real)
    fold = np.concatenate([sides.real_fold, sides.made_fold])
    grown = _stacked([_grown(shown, is_real, fold == each, most=trees, seed=seed + each) for each in range(FOLDS)])
    scores = grown.scores(shown, fold)
    cuts, kept = _cuts(scores[is_real], scores[~is_real], people=sides.people)
    return RowCritic(view, grown, cuts, kept) if len(cuts) else None


def _grown(shown: Float32Array, is_real: BoolArray, apart: BoolArray, *, most: int, seed: int) -> Trees:
    """Grow the trees of one fold on all rows but those ``apart``, and keep as many as predict those best."""
    weights = np.where(is_real, 1.0, is_real.sum() / max((~is_real).sum(), 1))  # both sides weigh the same
    model = GradientBoostingClassifier(
        learning_rate=RATE,
        n_estimators=most,
        subsample=min(1.0, ROWS_A_TREE / (~apart).sum()),
        max_depth=None,
        max_leaf_nodes=LEAVES,
        min_samples_leaf=SMALLEST_LEAF,
        max_features=min(FEATURES_A_SPLIT, shown.shape[1]),
        random_state=seed,
    ).fit(shown[~apart], is_real[~apart], sample_weight=weights[~apart])
    grown = _stacked([_as_arrays(each[0].tree_) for each in model.estimators_], axis=1)
    other, real = model.init_.class_prior_
    grown = replace(grown, base=np.array([np.log(real / other)]))
    scores = grown.base[0] + grown.steps(shown[apart], 0).cumsum(axis=1)  # (rows apart, trees)
    signs = np.where(is_real[apart], 1.0, -1.0)[:, None]
    losses = (weights[apart, None] * np.logaddexp(0.0, -signs * scores)).sum(axis=0)[LOOK_EVERY - 1 :: LOOK_EVERY]
    best = LOOK_EVERY * (1 + int(losses.argmin())) if len(losses) else most
    return replace(grown, value=np.where(np.arange(most)[:, None] < best, grown.value, 0.0))


def _as_arrays(tree: Any) -> Trees:
    """A fitted tree of scikit-learn, whose nodes are public, as one fold of one tree."""
    nodes = np.arange(_NODES)
    is_leaf = np.append(tree.children_left, np.full(_NODES - tree.node_count, -1)) < 0

    def padded(values: np.ndarray[Any, Any], leaf: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        whole = np.append(values, np.zeros(_NODES - tree.node_count, dtype=values.dtype))
        return np.where(is_leaf, leaf, whole)[None, None]

    value = RATE * np.append(tree.value[:, 0, 0], np.zeros(_NODES - tree.node_count))
    return Trees(
        feature=padded(tree.feature, np.zeros_like(nodes)).astype(np.int64),
        threshold=padded(tree.threshold, np.zeros(_NODES)),
        left=padded(tree.children_left, nodes).astype(np.int64),
        right=padded(tree.children_right, nodes).astype(np.int64),
        value=value[None, None],
        base=np.zeros(1),
    )


def _stacked(parts: Sequence[Trees], axis: int = 0) -> Trees:
    """Put folds together, or with ``axis`` 1 the trees of one fold."""
    joined = {
        name: np.concatenate([getattr(each, name) for each in parts], axis=axis)
        for name in Trees.__slots__
        if name != "base"
    }
    return Trees(**joined, base=np.concatenate([each.base for each in parts]) if axis == 0 else parts[0].base)


def _cuts(real: FloatArray, made: FloatArray, *, people: int) -> tuple[FloatArray, FloatArray]:
    """Return scores below which real rows lack, (cuts,), and the share of drawn rows to keep between them, (cuts,).

    ``real`` and ``made``: scores of rows by trees that have not seen them. The share never falls as scores rise.
    """
    cuts = np.unique(np.quantile(made, SHARES, method="inverted_cdf"))  # scores themselves: none between two of them
    held, expected = ((side[:, None] <= cuts).mean(axis=0) * people for side in (real, made))  # in patients
    is_sure = stats.poisson.cdf(np.floor(held), expected) < SURELY
    between = np.diff(expected, prepend=0.0)
    kept = np.asarray(isotonic_regression(np.diff(held, prepend=0.0) / between, sample_weight=between))
    shown = np.flatnonzero(is_sure & (kept < WORTH))
    stop = int(shown[-1]) + 1 if len(shown) else 0
    return cuts[:stop], kept[:stop]


__all__ = ["RowCritic", "Sides", "row_critic"]
