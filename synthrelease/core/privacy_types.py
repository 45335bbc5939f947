"""What a private training may spend, what it spent, and what that promises; imported from ``contracts``."""

from __future__ import annotations

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
