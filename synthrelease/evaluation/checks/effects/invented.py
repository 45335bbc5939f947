"""Effects that a table invents: columns that depend on nothing, planted before the generator is trained once more.

Label columns of the training rows come a second time, each with its cells shuffled over the rows. The release's own
generator is trained on the wider table, with the same settings and, under differential privacy, the same budget. In the
rows that it makes every planted column is tested against every real one: a test at 5% may find 5%. The rows are thrown
away. Shuffling a column of a finished table would prove nothing: it depends on nothing by construction.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
from scipy import stats

from synthrelease.core.contracts import MOMENTS, Column, Evidence, FloatArray, Refits, Table
from synthrelease.evaluation.statistics.confidence_intervals import Bounds

LEVEL = 0.05
LEVELS = (2, 12)
COMMONEST = 0.95
"""A column of which the commonest label has more than this share has little to test."""


def share(evidence: Evidence, refits: Refits) -> tuple[Bounds, int]:
    """The share of tests of planted columns that are significant at 5%, and how many tests there were.

    The interval is Student's t over the planted columns: tests of one column go together, planted columns do not.
    """
    rng = np.random.default_rng(evidence.seed)
    wider, planted = plant(rng, evidence.train, refits.null_columns)
    frame = refits.refit(wider, len(evidence.train), int(rng.integers(2**31)))
    hits = np.array(
        [[_p_value(frame, each, other) < LEVEL for other in evidence.train.schema.learned] for each in planted]
    )
    shares = hits.mean(axis=1)
    by_chance = np.sqrt(LEVEL * (1 - LEVEL) / hits.size)  # where all planted columns agree by luck
    error = max(float(shares.std(ddof=1)) / np.sqrt(len(shares)), float(by_chance))
    reach = float(stats.t.ppf(evidence.confidence, len(shares) - 1)) * error
    value = float(shares.mean())
    return Bounds(value, max(0.0, value - reach), min(1.0, value + reach)), hits.size


def plant(rng: np.random.Generator, train: Table, count: int) -> tuple[Table, tuple[Column, ...]]:
    """Training rows with ``count`` more columns: label columns (or else numbers), shuffled over the rows."""
    sources = _sources(train)
    taken = {column.name for column in train.schema.columns}
    planted, cells = [], {}
    for at in range(count):
        source = sources[at % len(sources)]
        name = f"null_{at}"
        while name in taken:
            name += "_"
        planted.append(replace(source, name=name, role="feature", declared_sensitive=False))
        cells[name] = train.frame[source.name].iloc[rng.permutation(len(train))].reset_index(drop=True)
    schema = replace(train.schema, columns=(*train.schema.columns, *planted))
    order = [column.name for column in schema.learned]
    return train.by(schema, train.frame.assign(**cells)[order]), tuple(planted)


def _sources(train: Table) -> tuple[Column, ...]:
    labels = [column for column in train.schema.learned if not column.is_number and _varies(train.frame[column.name])]
    numbers = [column for column in train.schema.learned if column.is_number and column.kind not in MOMENTS]
    return tuple(labels or numbers or train.schema.learned)


def _varies(cells: pd.Series) -> bool:
    counts = np.bincount(cells.cat.codes.to_numpy() + 1)[1:]
    held = counts[counts > 0]
    return LEVELS[0] <= len(held) <= LEVELS[1] and held.max() <= COMMONEST * held.sum()


def _p_value(frame: pd.DataFrame, planted: Column, other: Column) -> float:
    """Test two columns by chi-squared, Kruskal-Wallis or Spearman; 1 where one of them does not vary."""
    first, second = (_codes(frame[column.name], column) for column in (planted, other))
    known = ~(np.isnan(first) | np.isnan(second))
    first, second = first[known], second[known]
    if not known.any() or np.ptp(first) == 0 or np.ptp(second) == 0:
        return 1.0
    if planted.is_number and other.is_number:
        return float(stats.spearmanr(first, second).pvalue)
    if not planted.is_number and not other.is_number:
        return float(stats.chi2_contingency(_crossed(first, second), correction=False).pvalue)
    groups, values = (second, first) if planted.is_number else (first, second)
    return float(stats.kruskal(*(values[groups == each] for each in np.unique(groups))).pvalue)


def _codes(cells: pd.Series, column: Column) -> FloatArray:
    if column.is_number:
        return cells.to_numpy(np.float64)
    codes = cells.cat.codes.to_numpy().astype(np.float64)
    return np.where(codes < 0, np.nan, codes)


def _crossed(first: FloatArray, second: FloatArray) -> FloatArray:
    return pd.crosstab(first, second).to_numpy(np.float64)
