"""What a steward may set for a run, or for filling up rare classes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:  # the command line reads this at every start
    from synthrelease.data.formats import Place

NOT_PUBLIC = (
    "With --epsilon it is not, unless the schema says so: a multiple would tell how many patients there are. Give "
    "--rows as a number, or write rows_are_public = true into the schema if anyone may know it."
)
BalanceMethod = Literal["gan", "smote", "adasyn", "smotenc"]
BALANCE_METHODS: tuple[BalanceMethod, ...] = ("gan", "smote", "adasyn", "smotenc")
"""How the rows of rare classes can be made."""


@dataclass(frozen=True, slots=True)
class Multiple:
    """``times`` as many synthetic rows as real ones were learned from."""

    times: float

    def __str__(self) -> str:
        return f"{self.times:g}x"


@dataclass(frozen=True, slots=True)
class BuildOptions:
    """What a steward may set for a build.

    ``holdout``: real rows kept apart by the steward; every row of the table is then trained on. ``rows``: synthetic
    rows (as many as the table has, unless said), or a multiple of the real rows that are trained on (with ``epsilon``:
    of those of the table, which must be public). ``seed``: fixes everything random; drawn afresh and recorded unless
    given. ``generator``: "gan" unless named, and "marginals" with ``epsilon``. ``epsilon`` and ``delta``: the budget of
    differential privacy. ``effort`` multiplies the training time, ``overrides`` are single settings of the generator.
    ``conditions``: what every row must meet, as ``row_conditions.parsed`` reads it; ``balance``: a column whose classes
    are made equally frequent. ``shadow_models`` and ``folds``: how many times the generator is trained again
    for the shadow-model attack and the cross-audit, ``null_columns``: how many columns that depend on nothing are
    planted for one more training (as the policy says, unless given). ``register``: the folder of the register
    (``register.place`` says which unless given); ``source``: under which name several extracts of the same patients
    count as one. ``audit``: "canary" trains once more, with planted rows, to test the claim of ``epsilon``.
    ``sharpen_labels``: labels of the target are drawn more decisively than they were learned, for machine learning
    alone; effects come out too large, and policies may refuse it. ``copies``: make so many tables, each from a
    generator that learned from another bootstrap of the patients, so that their spread says what is not known.
    """

    holdout: Path | Place | None = None
    target: str | None = None
    rows: int | Multiple | None = None
    seed: int | None = None
    generator: str | None = None
    epsilon: float | None = None
    delta: float | None = None
    effort: float = 1.0
    overrides: Mapping[str, float] = field(default_factory=dict)
    conditions: tuple[str, ...] = ()
    balance: str | None = None
    force: bool = False
    shadow_models: int | None = None
    folds: int | None = None
    null_columns: int | None = None
    register: Path | None = None
    source: str | None = None
    audit: str | None = None
    sharpen_labels: bool = False
    copies: int | None = None


@dataclass(frozen=True, slots=True)
class AuditTables:
    """The tables of an audit: what the maker of ``synthetic`` trained on, what it never saw, and what it made.

    ``reference`` is a further real sample that attackers may hold; without it attacks cross-fit one from the holdout.
    """

    train: Path | Place
    holdout: Path | Place
    synthetic: Path | Place
    reference: Path | Place | None = None
