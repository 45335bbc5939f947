"""What a private training tells an audit that stands inside it; imported from ``contracts``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

_Floats = np.ndarray[Any, np.dtype[np.float64]]
_Ints = np.ndarray[Any, np.dtype[np.int64]]
Place = Callable[[_Ints], tuple[_Ints, _Floats]]
"""For rows as cells (rows, columns): which of the noisy numbers each adds to, and how much, (rows, numbers) each."""


class Witness(Protocol):
    """Sees what the strongest attacker would see: all rows but those looked for, and all that leaves with noise.

    Only an audit, which plants rows of its own, may be one; the training of a release has none.
    """

    def known(self, cells: _Ints, weights: _Floats, kept: _Ints) -> None:
        """Real rows as cells of the declared domains, what each counts, and where it stands in the training table."""
        ...

    def released(self, noisy: _Floats, scale: float, place: Place) -> None:
        """Numbers that left, (numbers,), in units, with noise whose standard deviation the ledger says is ``scale``."""
        ...

    def coded(self, codes_of: Callable[[_Ints], _Ints], starts: _Ints) -> None:
        """How cells become codes, (rows, columns), and where each column's codes begin in a one-hot row."""
        ...

    def stepped(self, training: Any, made: Any) -> None:
        """A step of a critic, see ``generators.dpsgd.Watcher``."""
        ...
