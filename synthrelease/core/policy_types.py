"""What a policy asks: its rules, how coarse data must be, who signs, and how often one source may be used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Severity = Literal["block", "warn"]


@dataclass(frozen=True, slots=True)
class Rule:
    """One threshold of a policy. Exactly one of ``at_most`` and ``at_least`` is set."""

    check: str
    metric: str
    limit: float
    direction: Literal["at_most", "at_least"]
    severity: Severity
    min_n: int
    why: str
    source: str
    confidence: float = 0.95
    """One-sided level that the rule asks for; intervals are made at the policy's, which is never lower."""
    if_nothing_declared: Literal["refuse", "undecided", "warn"] = "undecided"
    """What becomes of a blocking rule whose check finds nothing declared or claimed (status ``not_applicable``): it is
    breached, the verdict stays undecided, or the rule warns, for whoever signs to confirm that there is nothing."""
    waiver_by: tuple[str, ...] = ()
    """Roles that may waive the rule for one run; nobody may where there are none."""

    @property
    def always_blocks(self) -> bool:
        """Whether no schema can turn the rule into a warning."""
        return self.severity == "block" and self.if_nothing_declared != "warn"


@dataclass(frozen=True, slots=True)
class Coarsening:
    """How coarse a policy wants the real table before anything is fitted; nothing by default.

    ``ages``: ages above it become one group. ``round_to`` maps a role to the step of its numbers.
    """

    dates: Literal["year", "month", "day", "shift"] | None = None
    ages: float | None = None
    zip3: bool = False
    round_to: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Signing:
    """What a policy asks of its sign-offs.

    ``two_people``: nobody may fill two roles. ``keys``: whether every decision must carry an Ed25519 signature.
    ``fingerprints``: for a role, the only keys that may sign for it. ``waiver_days``: how long a waiver may last.
    """

    two_people: bool = True
    keys: Literal["optional", "required"] = "optional"
    fingerprints: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    waiver_days: int = 90


@dataclass(frozen=True, slots=True)
class Caps:
    """What one source of real data may be used for under a policy, over all its runs; None is without limit.

    ``attempts``: builds and audits. ``epsilon``: the sum over its releases that claim differential privacy.
    """

    attempts: int | None = None
    epsilon: float | None = None


@dataclass(frozen=True, slots=True)
class Policy:
    """What must hold before a table may leave. ``text`` is the policy file as read, ``digest`` its SHA-256."""

    name: str
    version: str
    title: str
    recipient: str
    sign_off: tuple[str, ...]
    confidence: float
    rules: tuple[Rule, ...]
    digest: str
    text: str = field(default="", repr=False)
    generalise: Coarsening = field(default_factory=Coarsening)
    min_cell: int = 10
    """A level, count or combination held by fewer patients than this is never learned as itself."""
    shadow_models: int = 0
    """How many times the generator is trained again for the shadow-model attack."""
    folds: int = 0
    """How many times it is trained again for the cross-audit."""
    null_columns: int = 0
    """How many columns that depend on nothing are planted for one more training, to see which effects are invented."""
    signing: Signing = field(default_factory=Signing)
    caps: Caps = field(default_factory=Caps)
    derived_from: str = ""
    """Name and version of the policy this one was derived from."""
    may_sharpen_labels: bool = False
    """Whether labels may be drawn more decisively than they were learned, which makes every effect too large."""
    loosened: tuple[str, ...] = ()
    """In words, everything that is looser than in that policy; the report shows each."""
