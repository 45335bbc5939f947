"""Labels drawn so that they agree with what was learned in every group of rows, and not just in all rows together.

Independent draws of a label scatter: of thirty rows with a risk of 20 %, four or nine may get it. In a table of a few
hundred rows that scatter is larger than what the generator got wrong. The cube method (Deville & Tillé 2004, "Efficient
balanced sampling: the cube method", doi:10.1093/biomet/91.4.893) draws 0 or 1 for every row with exactly its own
probability, and so that the sum over each group stays within a row or so of the sum of the probabilities. It is a
random walk inside the cube of all probabilities which leaves the sums as they are and ends at a corner.

Cost: for each row one QR of (groups + 1, groups), so it is for tables of some thousand rows.
"""

from __future__ import annotations

import numpy as np

from synthrelease.core.contracts import BoolArray, FloatArray, IntArray

MOST_CELLS = 8
"""Columns with more cells are drawn in the ordinary way."""
ROWS_PER_GROUP = 8
MOST_GROUPS = 10
_ALMOST = 1e-9


def groups(ranks: FloatArray) -> FloatArray:
    """Return which group of each earlier column a row is in, 0 or 1, (rows, groups); the first column is all ones.

    ``ranks``: where in [0, 1] the cell of each earlier column lies, (rows, columns). A column is cut into at most
    ``MOST_GROUPS`` groups of about equally many rows, fewer where there are many columns to a row.
    """
    rows, columns = ranks.shape
    most = int(np.clip(rows // ROWS_PER_GROUP // max(columns, 1), 2, MOST_GROUPS))
    parts = [np.ones((rows, 1))]
    for column in ranks.T:
        values = np.unique(column)
        cuts = values[1:] if len(values) <= most else np.unique(np.quantile(column, np.arange(1, most) / most))
        # The last group is what the others leave of all rows.
        parts.append(np.eye(len(cuts) + 1)[np.searchsorted(cuts, column, side="right")][:, :-1])
    return np.hstack(parts)


def labels(shares: FloatArray, among: FloatArray, *, rng: np.random.Generator) -> IntArray:
    """Draw a label for every row, (rows,), with its own probabilities, (rows, labels), balanced within groups.

    ``among``: the groups, as ``groups`` returns them. The labels are dealt out one after the other, each among the rows
    that have none yet. Which rows get a label decides how likely the later ones are among those that are left, so the
    later labels' probabilities are balanced beside the groups: each label's count is within a row or two of the sum of
    its probabilities.
    """
    rows, count = shares.shape
    drawn = np.full(rows, count - 1, dtype=np.int64)
    free, rest = np.arange(rows), np.ones(rows)
    for label in range(count - 1):
        chances = np.clip(shares[free, label] / np.maximum(rest[free], 1e-12), 0.0, 1.0)
        left = np.maximum(rest[free] - shares[free, label], 1e-12)
        later = np.clip(shares[free, label + 1 : -1] / left[:, None], 0.0, 1.0)  # (free, labels to come but one)
        kept = np.hstack([among[free, :1], later, among[free, 1:]])
        # Neighbours in this order meet in the walk, which balances among rows of like probability as well.
        order = np.lexsort((rng.random(len(free)), chances))
        got = np.empty(len(free), dtype=np.bool_)
        got[order] = chosen(chances[order], kept[order], rng=rng)
        drawn[free[got]] = label
        free, rest = free[~got], rest - shares[:, label]
    return drawn


def chosen(chances: FloatArray, among: FloatArray, *, rng: np.random.Generator) -> BoolArray:
    """Choose rows, (rows,), each with its own chance, so that sums over groups are close to the sums of chances.

    ``among``: (rows, groups). The last rows of the walk cannot obey all groups; they let go of the last ones first.
    """
    values = chances.copy()
    waiting = np.flatnonzero((values > _ALMOST) & (values < 1 - _ALMOST))[::-1].tolist()
    pool: list[int] = []
    while waiting or pool:
        while waiting and len(pool) <= among.shape[1]:
            pool.append(waiting.pop())
        here = values[pool]
        if len(pool) == 1:
            values[pool] = rng.random() < here[0]
            break
        complete, _ = np.linalg.qr(among[pool, : len(pool) - 1], mode="complete")
        way = complete[:, -1]  # (pool,): at a right angle to the groups, so that a step along it keeps their sums
        way = way * np.sign(way[np.argmax(np.abs(way))])  # which of both directions it is hangs on the processor
        ahead, back = _room(here, way), _room(here, -way)
        here = here + (ahead if rng.random() * (ahead + back) < back else -back) * way
        here[here < _ALMOST], here[here > 1 - _ALMOST] = 0.0, 1.0
        values[pool] = here
        pool = [row for row, value in zip(pool, here, strict=True) if 0.0 < value < 1.0]
    return values > 0.5


def _room(here: FloatArray, way: FloatArray) -> float:
    """How far one may go before some value leaves [0, 1]."""
    with np.errstate(divide="ignore", invalid="ignore"):
        room = np.where(way > 0, (1 - here) / way, np.where(way < 0, -here / way, np.inf))
    return float(room.min())
