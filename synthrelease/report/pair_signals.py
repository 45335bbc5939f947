"""What a data card says of pairs of columns whose dependence was learned through noise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from synthrelease.core.contracts import PairSignal

STATEMENT = (
    "By the noisy counts alone, {found} of {counted} pairs of columns are more likely than not to depend on each "
    "other. In all other pairs the counts show nothing beyond noise and chance, and no dependence was put into the "
    "table. A test that finds one there has found chance, or what follows from other pairs; a test that finds none "
    "says nothing about real patients."
)


def dependences(signals: Sequence[PairSignal]) -> dict[str, Any] | None:
    """Return as plain JSON values which pairs carry a signal, surest first; None where nothing was counted so."""
    if not signals:
        return None
    there = sorted((each for each in signals if each.is_there), key=lambda each: -each.chance)
    return {
        "statement": STATEMENT.format(found=len(there), counted=len(signals)),
        "pairs_counted": len(signals),
        "pairs_with_signal": [
            {"columns": [each.first, each.second], "probability": round(each.chance, 2)} for each in there
        ],
    }


def by_column(signals: Sequence[PairSignal]) -> list[tuple[str, str]]:
    """Return each column with those that it depends on, in the order of the table; as the page lists them."""
    names = list(dict.fromkeys(name for each in signals for name in (each.first, each.second)))
    partners: dict[str, list[str]] = {name: [] for name in names}
    for each in signals:
        if each.is_there:
            partners[each.first].append(each.second)
            partners[each.second].append(each.first)
    return [(name, ", ".join(found) or "no other column") for name, found in partners.items()]
