"""What is odd about a column's cells: blanks around them, several spellings of one label, numbers that stand apart.

Everything is a count of rows. No cell is named, but for the customary codes for "missing" (0, -9, 999), which are
public knowledge.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

Counts = np.ndarray[Any, np.dtype[np.int64]]
Numbers = np.ndarray[Any, np.dtype[np.float64]]

_SENTINELS = (-1.0, -7.0, -8.0, -9.0, 77.0, 88.0, 99.0, -77.0, -88.0, -99.0, 777.0, 888.0, 999.0, -777.0, -888.0,
              -999.0, 9998.0, 9999.0, -9999.0, 99999.0, -99999.0, 999999.0, -999999.0, 9999999.0)  # fmt: skip
_FEWEST_VALUES = 20
_MOST_SPELLINGS = 5_000


def padded_rows(labels: Sequence[str], counts: Counts) -> tuple[int, int]:
    """Rows with blanks before or behind the cell, and rows with a tab or a line break in it."""
    padded = np.array([label != label.strip(" ") and label.strip() != "" for label in labels], dtype=bool)
    broken = np.array([any(mark in label for mark in "\t\r\n") for label in labels], dtype=bool)
    return int(counts[padded].sum()), int(counts[broken].sum())


def spellings(labels: Sequence[str], counts: Counts) -> tuple[int, int]:
    """Labels that are written in more than one way (case, inner blanks, hyphens), and the rows of the rarer ways."""
    if len(labels) > _MOST_SPELLINGS:
        return 0, 0
    ways: dict[str, dict[str, int]] = {}
    for label, count in zip(labels, counts.tolist(), strict=True):
        text = label.strip()
        key = "".join(text.casefold().replace("-", " ").replace("_", " ").split())
        group = ways.setdefault(key, {})
        group[text] = group.get(text, 0) + count
    several = [group for key, group in ways.items() if len(group) > 1 and any(map(str.isalpha, key))]
    return len(several), sum(sum(group.values()) - max(group.values()) for group in several)


def is_zero_apart(numbers: Numbers, counts: Counts) -> bool:
    """Whether 0 occurs and lies far below the other values, measured by the steps between them and by their median."""
    others = np.sort(numbers[numbers != 0])
    zeros = counts[numbers == 0].sum()
    if not zeros or len(others) < _FEWEST_VALUES or others[0] < 0 or zeros > 0.6 * counts.sum():
        return False
    return bool(others[0] > 3 * np.diff(others).min() and others[0] > 0.05 * np.median(others))


def codes_for_missing(numbers: Numbers, counts: Counts) -> tuple[tuple[float, int], ...]:
    """Customary codes for "missing" that lie apart from the other values, each with its rows; 0 is one of them."""
    found = [(0.0, int(counts[numbers == 0].sum()))] if is_zero_apart(numbers, counts) else []
    codes = np.isin(numbers, _SENTINELS)
    for code in np.unique(numbers[codes]).tolist():
        others = np.sort(numbers[~np.isin(numbers, [*_SENTINELS, 0.0]) | (numbers == 0)])
        rows = int(counts[numbers == code].sum())
        if len(others) >= 3 and rows <= 0.6 * counts.sum() and _is_apart(code, others):
            found.append((code, rows))
    return tuple(found)


def _is_apart(code: float, others: Numbers) -> bool:
    """Whether a code lies outside the other values, by more than half their range or with the wrong sign."""
    low, high = float(others[0]), float(others[-1])
    if code < 0:
        return low >= 0 and (code != -1 or low > 0 or len(others) >= _FEWEST_VALUES)
    return code > high + 0.5 * (high - low)


def not_numbers(numbers: Numbers, counts: Counts) -> int:
    """Rows that are no number in a column that holds numbers otherwise; 0 where most labels are no numbers anyway."""
    wrong = np.isnan(numbers)
    if not len(numbers) or wrong.all() or wrong.sum() > 0.02 * len(numbers) or (~wrong).sum() < _FEWEST_VALUES:
        return 0
    return int(counts[wrong].sum())
