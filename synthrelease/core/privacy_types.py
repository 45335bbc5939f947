"""What a private training may spend, what it spent, and what that promises; imported from ``contracts``."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

PrivacyUnit = Literal["row", "patient"]
CLAIM_AUDITS = ("canary",)
"""How a claim can be put to the test: by planted rows."""


@dataclass(frozen=True, slots=True)
class PrivacySpend:
    """One use of real data under differential privacy: ``steps`` times a Gaussian mechanism on a Poisson sample.

    ``noise_multiplier`` is the standard deviation over the L2 sensitivity of everything released in one step together,
    ``sample_rate`` the probability with which a unit takes part in a step (1: every unit). ``delta`` is a chance of
    failure that comes on top, as where labels that nobody declared are published above a threshold.
    """

    purpose: str
    mechanism: str
    noise_multiplier: float
    sample_rate: float
    steps: int
    unit: PrivacyUnit
    delta: float = 0.0


@dataclass(frozen=True, slots=True)
class PrivacyBudget:
    """What a differentially private training may spend, for tables that differ by one ``unit``, added or removed.

    ``rows_per_unit``: so many rows of a patient are learned from at most; 1 where the unit is a row.
    ``rows_are_public``: whether the schema says that anyone may know the number of rows; otherwise it is learned with
    noise, at the budget's expense. ``spent``: what was spent before the training, on domains that nobody declared.
    """

    epsilon: float
    delta: float
    unit: PrivacyUnit
    rows_per_unit: int = 1
    rows_are_public: bool = False
    spent: tuple[PrivacySpend, ...] = ()


@dataclass(frozen=True, slots=True)
class PublicFact:
    """Something about the table that is used without noise, because whoever ``declared`` it says that it is public."""

    what: str
    declared: str


@dataclass(frozen=True, slots=True)
class PrivacyClaim:
    """The whole of a release's differential privacy: spends composed into one (epsilon, delta).

    ``epsilon`` is the accountant's upper bound (``accountant`` names it), ``epsilon_rdp`` the bound of the coarser
    Renyi accountant. ``asked`` is the budget, which ``epsilon`` never exceeds.
    """

    epsilon: float
    delta: float
    accountant: str
    epsilon_rdp: float
    asked: PrivacyBudget
    spends: tuple[PrivacySpend, ...]
    public: tuple[PublicFact, ...] = ()


@dataclass(frozen=True, slots=True)
class PairSignal:
    """How likely two columns depend on each other by noisy tables alone, ``chance`` in 0..1; post-processing of these.

    Above one half the synthetic table has something of it; else no dependence was put in for this pair.
    """

    first: str
    second: str
    chance: float

    @property
    def is_there(self) -> bool:
        """Whether a dependence is likelier than none."""
        return self.chance > 0.5


@dataclass(frozen=True, slots=True)
class AttackBound:
    """What ``epsilon`` allows any attack on membership: its largest AUC, and true positive rate at 1% false alarms."""

    case: str
    epsilon: float
    auc: float
    tpr_at_1pct_fpr: float


@dataclass(frozen=True, slots=True)
class PrivacyFacts:
    """A claim with all that follows from it, as the audit, the ledger and the report tell it.

    ``epsilon_asked``: the budget. ``epsilon_rdp``: the bound of the coarser Renyi accountant. ``promises``: this
    release's bound on attacks first, then those of usual values of epsilon.

    Raises:
        ValueError: epsilon and delta are no numbers that promise anything.
    """

    epsilon: float
    delta: float
    unit: PrivacyUnit
    adjacency: str
    accountant: str
    epsilon_asked: float
    epsilon_rdp: float
    rows_per_unit: int
    attack_auc_at_most: float
    attack_tpr_at_1pct_fpr_at_most: float
    randomness: str
    spends: tuple[PrivacySpend, ...]
    public: tuple[PublicFact, ...]
    promises: tuple[AttackBound, ...]

    def __post_init__(self) -> None:
        if not (math.isfinite(self.epsilon) and self.epsilon >= 0 and 0 <= self.delta < 1):
            raise ValueError("a claim must have a finite epsilon of at least 0 and a delta in 0..1")


@dataclass(frozen=True, slots=True)
class CanaryFacts:
    """What an extra run with planted rows found, as the audit, the ledger and the report tell it.

    ``lower_bound``: of epsilon, at ``confidence``, from ``right`` of ``guesses`` right. ``ceiling``: the bound, had all
    guesses been right. ``power``: share of like runs that would catch noise ``weaker_noise`` times too small;
    ``caught_from``: by what factor noise must be too small for most to catch it, or None. ``sentence`` says what it
    means, ``beside`` that none of it is part of the claim.
    """

    claimed: float
    delta: float
    lower_bound: float
    confidence: float
    canaries: int
    guesses: int
    right: int
    seen_in: str
    looked_in: str
    ceiling: float
    power: float
    caught_from: float | None
    seconds: float
    weaker_noise: float
    sentence: str
    beside: str
