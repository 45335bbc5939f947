"""Relations between columns that a draft offers as constraints: what determines what, and which of two comes first.

A relation that holds in every row may still be chance, so that a draft writes it as a comment for a person to judge. It
names columns alone and never a value.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import combinations, islice, permutations

import numpy as np

from synthrelease.core.contracts import FloatArray, IntArray

MOST_OFFERS = 20
MOST_COMPARED = 200
"""Every pair of columns is compared: with thousands of columns that would take hours, so that only the first are."""
_MOST_KEYS = 1_000
_ROWS_PER_KEY = 5
_FEWEST_ROWS = 50
_SAMPLE = 2_000
_CHANCE = 0.05
"""A pair in order is offered only if so many rows would be out of order, were the columns independent."""

_BARE = re.compile(r"^[^\W\d]\w*$")
_RESERVED = frozenset(
    {"if", "then", "and", "or", "not", "in", "is", "missing", "determines"}
    | {"abs", "min", "max", "round", "sqrt", "log", "exp"}
)


def offers(labels: Mapping[str, IntArray], numbers: Mapping[str, FloatArray]) -> list[str]:
    """Return commented-out TOML blocks for relations that hold in every row.

    Args:
        labels: codes of each label or code column, (rows,), -1 = missing.
        numbers: values of each number column, (rows,), NaN = missing.
    """
    some_labels = dict(islice(labels.items(), MOST_COMPARED))
    some_numbers = dict(islice(numbers.items(), MOST_COMPARED))
    rules = [*_dependencies(some_labels), *_ordered(some_numbers)][:MOST_OFFERS]
    if not rules:
        return []
    head = "# These relations hold in every row. Take off the # of those that must always hold:"
    return ["", head, *(line for rule in rules for line in ("# [[constraints]]", f"# {rule}"))]


def _spelled(name: str) -> str:
    return name if _BARE.match(name) and name not in _RESERVED else f"`{name}`"


def _toml(text: str) -> str:
    """A TOML string; one in single quotes needs no escapes."""
    return f"'{text}'" if "'" not in text else '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _can_be_written(name: str) -> bool:
    return "`" not in name and name.isprintable()


def _dependencies(labels: Mapping[str, IntArray]) -> Iterator[str]:
    """Columns whose label settles another column's: both ways round a fixed combination."""
    fit = {name: codes for name, codes in labels.items() if _can_be_written(name) and _levels(codes) >= 2}
    found = {pair for pair in permutations(fit, 2) if _determines(fit[pair[0]], fit[pair[1]])}
    for key, other in combinations(fit, 2):
        if {(key, other), (other, key)} <= found:
            yield f"combination = [{_toml(key)}, {_toml(other)}]"
    for key, other in sorted(found, key=lambda pair: [*fit].index(pair[0])):
        if (other, key) not in found:
            yield f"rule = {_toml(f'{_spelled(key)} determines {_spelled(other)}')}"


def _levels(codes: IntArray) -> int:
    return int(codes.max(initial=-1)) + 1


def _determines(keys: IntArray, others: IntArray) -> bool:
    """Whether rows with the same key have the same other code, in columns where that says something."""
    levels = _levels(keys)
    if levels > _MOST_KEYS or levels * _ROWS_PER_KEY > len(keys) or _levels(others) > levels:
        return False
    if not _agrees(keys[:_SAMPLE], others[:_SAMPLE]) or not _agrees(keys, others):
        return False
    # Where nearly all rows share one label anyway, agreement is chance.
    return bool(np.bincount(others + 1).max() <= (1 - _CHANCE) * len(others))


def _agrees(keys: IntArray, others: IntArray) -> bool:
    order = np.lexsort((others, keys))
    same_key = np.diff(keys[order]) == 0
    return not bool((same_key & (np.diff(others[order]) != 0)).any())


def _ordered(numbers: Mapping[str, FloatArray]) -> Iterator[str]:
    """Pairs of numbers of which one is never below the other, though their ranges overlap."""
    fit = {name: values for name, values in numbers.items() if _can_be_written(name)}
    for first, second in combinations(fit, 2):
        for low, high in ((first, second), (second, first)):
            if _in_order(fit[low], fit[high]):
                yield f"rule = {_toml(f'{_spelled(low)} <= {_spelled(high)}')}"
                break


def _in_order(low: FloatArray, high: FloatArray) -> bool:
    both = ~(np.isnan(low) | np.isnan(high))
    if (
        both.sum() < _FEWEST_ROWS
        or (low[both][:_SAMPLE] > high[both][:_SAMPLE]).any()
        or (low[both] > high[both]).any()
    ):
        return False
    below = np.searchsorted(np.sort(high[both]), low[both], side="left") / both.sum()
    return bool(below.mean() >= _CHANCE and (low[both] < high[both]).any())
