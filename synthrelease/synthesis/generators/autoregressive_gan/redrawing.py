"""Drawn rows that a critic rejects, replaced by like ones: the others, and what was balanced in them, stay as drawn.

Rows are drawn with less noise than independent draws have (``sampling``), and drawing the whole table anew from a pool
would lose that. So for each rejected row the row of a pool is taken that resembles it most, with the same label of the
target, among those that the critic accepts. Shares of the target stay exactly as they were, those of other columns
within what the rejected rows had wrong.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from synthrelease.core.contracts import BoolArray, FloatArray, IntArray
from synthrelease.synthesis.encoding.number_bins import NumberCoding
from synthrelease.synthesis.encoding.table_encoder import Encoded, Encoder
from synthrelease.synthesis.generators.autoregressive_gan.column_cells import Cells, Float32Array
from synthrelease.synthesis.generators.autoregressive_gan.critic_views import FOLDS, Rows, view
from synthrelease.synthesis.generators.autoregressive_gan.row_critic import RowCritic, Sides, row_critic

FEWEST_PATIENTS = 500
"""Of fewer training patients too few lie in any corner to show that one is drawn too often."""
MOST_ROWS = 20_000
"""Training rows that trees learn from; tables of lifts are counted on up to ten times as many."""
DRAWN_A_ROW = 6
MOST_DRAWN = 30_000
FEWEST_IN_POOL, MANY_IN_POOL, FOR_EACH = 2_000, 20_000, 4
"""Rows of a pool: as many as the table has between these bounds, so that like ones are among them, and at least so many
for each rejected one."""
COMPARISONS, FEWEST_COMPARED = 500_000_000, 1_000
"""Cells that are compared in all, which takes a second or two: where many rows are rejected, each sees fewer others."""
NOTICE = (
    "A critic found that some kinds of drawn rows are more frequent than among training rows that it had not seen. "
    "Such rows are drawn again when a table is made."
)
_AT_ONCE = 256

Drawn = tuple[IntArray, FloatArray]
"""Cells and places in them, (rows, columns) both, in writing order."""


@dataclass(frozen=True, slots=True)
class Learning:
    """How a critic is trained: ``trees`` at most a fold (0: no critic), ``target``: the place of a target of labels.

    ``units``: the patient of each training row, (rows,), or None where each is one. ``weights``: how much each row
    counts, (rows,): 1, or as a bootstrap of the patients says.
    """

    trees: int
    target: int | None
    units: IntArray | None
    weights: FloatArray
    seed: int


@dataclass(frozen=True, slots=True)
class Redrawing:
    """A critic and what it takes to show it drawn rows; ``target``: the place of a target of labels, or None."""

    critic: RowCritic
    encoder: Encoder
    cells: Cells
    target: int | None

    def redrawn(self, drawn: Drawn, more: Callable[[int], Drawn], rng: np.random.Generator) -> Drawn:
        """Return the rows with rejected ones replaced; ``more`` draws a pool of so many rows.

        A rejected row stays where the pool has no accepted row of its label left.
        """
        codes, positions = drawn[0].copy(), drawn[1].copy()
        rejected = np.flatnonzero(~self._accepted(drawn, rng))
        if not len(rejected):
            return drawn
        pool = more(max(min(len(codes), MANY_IN_POOL), FOR_EACH * len(rejected), FEWEST_IN_POOL))
        fit = self._accepted(pool, rng)
        others, places = pool[0][fit], pool[1][fit]
        out, into = self._matched(codes[rejected], others, rng)
        codes[rejected[out]], positions[rejected[out]] = others[into], places[into]
        return codes, positions

    def _accepted(self, drawn: Drawn, rng: np.random.Generator) -> BoolArray:
        return self.critic.accepts(Rows.drawn(self.encoder, self.cells, *drawn), rng)

    def _matched(self, codes: IntArray, pool: IntArray, rng: np.random.Generator) -> tuple[IntArray, IntArray]:
        """Return which rejected rows get a row of the pool, and which row each gets: no row of the pool twice."""
        most = max(FEWEST_COMPARED, COMPARISONS // codes.size)
        free = rng.permutation(len(pool))
        out, into = [], []
        for start in range(0, len(codes), _AT_ONCE):
            some = free[:most]
            taken = np.zeros(len(some), dtype=np.bool_)
            for row, far in enumerate(self._distances(codes[start : start + _AT_ONCE], pool[some]), start):
                far[taken] = np.inf
                best = int(far.argmin()) if len(some) else 0
                if len(some) and np.isfinite(far[best]):
                    taken[best] = True
                    out.append(row)
                    into.append(int(some[best]))
            free = np.concatenate([free[most:], some[~taken]])
        return np.array(out, dtype=np.int64), np.array(into, dtype=np.int64)

    def _distances(self, some: IntArray, pool: IntArray) -> Float32Array:
        """How unlike rows are, (some, pool): ranks of numbers apart, one for another label; infinite by the target."""
        far = np.zeros((len(some), len(pool)), dtype=np.float32)
        for at, column in enumerate(self.cells.columns):
            if at in self.critic.view.numbers:
                ranks = column.ranks.astype(np.float32)
                far += np.abs(ranks[some[:, [at]]] - ranks[pool[:, at]])
            else:
                unlike = some[:, [at]] != pool[:, at]
                far += np.where(unlike, np.inf, 0.0).astype(np.float32) if at == self.target else unlike
        return far


def learned(
    encoder: Encoder, cells: Cells, training: Encoded, draw: Callable[[int], Drawn], how: Learning
) -> Redrawing | None:
    """Train a critic on training rows against rows drawn for it; None where it finds none that should be drawn again.

    Args:
        encoder: of the columns.
        cells: what their cells are.
        training: all training rows.
        draw: draws so many rows as the generator will.
        how: the settings.
    """
    rng = np.random.default_rng(how.seed)
    owner = np.arange(len(training)) if how.units is None else np.unique(how.units, return_inverse=True)[1]
    patients = int(owner.max()) + 1 if len(owner) else 0
    if not how.trees or patients < FEWEST_PATIENTS or len(cells.columns) < 2:
        return None
    counted = _counted(rng, how.weights)
    fold = rng.integers(0, FOLDS, patients)[owner[counted]]
    rows = Rows.of(encoder, cells, Encoded(training.codes[counted], training.positions[counted]))
    numbers = [at for at, place in enumerate(cells.places) if isinstance(encoder.codings[place], NumberCoding)]
    seen = view(cells, np.array(numbers, dtype=np.int64), rows, fold)
    some = np.arange(min(len(rows), MOST_ROWS))
    made = Rows.drawn(encoder, cells, *draw(min(DRAWN_A_ROW * len(some), MOST_DRAWN)))
    people = len(np.unique(owner[counted[some]]))
    sides = Sides(rows.take(some), made, fold[some], rng.integers(0, FOLDS, len(made)), people)
    critic = row_critic(seen, sides, trees=how.trees, seed=how.seed)
    return None if critic is None else Redrawing(critic, encoder, cells, how.target)


def _counted(rng: np.random.Generator, weights: FloatArray) -> IntArray:
    """Draw the training rows that count, each once, or where they weigh differently as often as they do."""
    most = min(len(weights), 10 * MOST_ROWS)
    if np.ptp(weights) == 0:
        return rng.permutation(len(weights))[:most]
    return rng.choice(len(weights), size=most, p=weights / weights.sum())


__all__ = ["Drawn", "Learning", "Redrawing", "learned"]
