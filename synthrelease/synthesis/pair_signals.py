"""Which pairs of columns a trained private generator knows to depend on each other."""

from __future__ import annotations

from synthrelease.core.contracts import Fitted, PairSignal


def of(fitted: Fitted) -> tuple[PairSignal, ...]:
    """Return how likely each pair of columns that was counted with noise depends on each other; none without noise."""
    from synthrelease.synthesis.generators.private.generator import FittedPrivate  # brings torch

    return fitted.signals if isinstance(fitted, FittedPrivate) else ()
