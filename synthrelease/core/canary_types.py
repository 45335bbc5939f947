"""What a private training tells an audit that stands inside it, and what that audit found; see ``contracts``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np

from synthrelease.core.privacy_types import CanaryFacts

_Floats = np.ndarray[Any, np.dtype[np.float64]]
_Ints = np.ndarray[Any, np.dtype[np.int64]]
Place = Callable[[_Ints], tuple[_Ints, _Floats]]
"""For rows as cells (rows, columns): which of the noisy numbers each adds to, and how much, (rows, numbers) each."""

WEAKER = 4.0
"""Power is told for counts whose noise is so many times smaller than the ledger says, and the attacker expects it."""
CRITIC_STEPS = "steps of the critic"
"""How an attacker that watched the critic is called."""
BESIDE = (
    "The extra run had a budget of its own, beside the release's; its model is thrown away and nothing of it is "
    "released. Its figures were worked out with the real rows at hand: they are for internal eyes, and no part of the "
    "(epsilon, delta) claim."
)


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


@dataclass(frozen=True, slots=True)
class CanaryFinding:
    """What the extra run found. ``claimed`` is the epsilon that ``lower_bound`` is held against.

    ``lower_bound``: of epsilon, at ``confidence``, from ``right`` of ``guesses`` right by ``seen_in``, the best of
    several attackers (``looked_in``). ``ceiling``: the bound if all guesses had been right. ``power``: the share of
    like runs that would catch noise ``WEAKER`` times smaller than the ledger says in everything that was counted.
    ``caught_from``: the smallest of ``FACTORS`` that most such runs (``SURE``) would catch; None if none is.
    """

    claimed: float
    delta: float
    lower_bound: float
    confidence: float
    canaries: int
    guesses: int
    right: int
    seen_in: str
    looked_in: tuple[str, ...]
    ceiling: float
    power: float
    caught_from: float | None
    seconds: float

    @property
    def sentence(self) -> str:
        """What was found and what that means, in plain words."""
        found = (
            f"Planted rows: epsilon is at least {self.lower_bound:.2f} (confidence {self.confidence:.0%}, "
            f"{self.canaries:,} canaries), {self.claimed:.3g} is claimed. "
        )
        if self.lower_bound > self.claimed:
            return f"{found}The claim is refuted."
        if self.ceiling <= self.claimed:
            return f"{found}So few canaries give {self.ceiling:.2f} at most: this run could refute nothing."
        reach = "not even noise a 64th of what it must be would most runs of this size see"
        if self.caught_from is not None:
            reach = f"most runs of this size would see noise {self.caught_from:g} times too small, and no smaller error"
        critic = " From which error on the critic's steps would show it was not worked out."
        return (
            f"{found}No violation was detected, which is no proof that there is none: with all guesses right the bound "
            f"would be {self.ceiling:.2f}; {WEAKER:g} times too little noise in what is counted would be caught in "
            f"{self.power:.0%} of such runs; {reach}.{critic if CRITIC_STEPS in self.looked_in else ''}"
        )

    def facts(self) -> CanaryFacts:
        """The same with what it means, for audit, ledger and report."""
        found = asdict(self) | {"looked_in": ", ".join(self.looked_in)}
        return CanaryFacts(**found, weaker_noise=WEAKER, sentence=self.sentence, beside=BESIDE)
