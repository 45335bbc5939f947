"""What stands between the real rows of a build and everything that is made of them: one object, in two kinds.

A ``Preparation`` alone holds the real rows until the synthetic table is written. Whatever it gives out says how it came
about. An ordinary build learns freely, and gives out ``Unprotected`` values. A private build gives out what is
``Public``, with whoever declared it so, or ``Paid`` for, with receipts that the claim adds up. ``Internal`` is what the
audit and the internal report are made from; nothing on the way to the synthetic table may use it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from synthrelease.core.contracts import (
    CanaryFinding,
    FitSettings,
    Fitted,
    Generator,
    LearnedSchema,
    ModelledSchema,
    OnStep,
    PrivacyClaim,
    PrivacySpend,
    PublicFact,
    Split,
    Table,
)

T_co = TypeVar("T_co", covariant=True)
Transform_co = TypeVar("Transform_co", covariant=True)
Plan_co = TypeVar("Plan_co", covariant=True)
Habits_co = TypeVar("Habits_co", covariant=True)
Style_co = TypeVar("Style_co", covariant=True)
Order_co = TypeVar("Order_co", covariant=True)

Attack = Callable[[Table[ModelledSchema]], CanaryFinding]
"""An attack on the claim that knows all training rows, as the generator sees them."""


class Given(Protocol[T_co]):
    """Something that a preparation gives out; its class says by what right."""

    @property
    def value(self) -> T_co:
        """What is given out."""
        ...


@dataclass(frozen=True, slots=True)
class Public(Generic[T_co]):
    """A value that would be the same for any other real rows; ``because`` says who declared that it is public.

    Raises:
        ValueError: nobody did.
    """

    value: T_co
    because: tuple[PublicFact, ...]

    def __post_init__(self) -> None:
        if not self.because:
            raise ValueError("a public value needs a fact that declares it public; name one, or pay for the value")


@dataclass(frozen=True, slots=True)
class Paid(Generic[T_co]):
    """A value made from real rows through noise alone; ``receipts`` are what that cost.

    Raises:
        ValueError: there are none.
    """

    value: T_co
    receipts: tuple[PrivacySpend, ...]

    def __post_init__(self) -> None:
        if not self.receipts:
            raise ValueError("a value learned with noise needs the receipts of its spends; none was handed over")


@dataclass(frozen=True, slots=True)
class Unprotected(Generic[T_co]):
    """A value learned from real rows without differential privacy: what an ordinary build gives out."""

    value: T_co


@dataclass(frozen=True, slots=True)
class Internal(Generic[T_co]):
    """Real rows, or what was worked out with them, for the audit and the internal report; ``purpose`` says for what."""

    value: T_co = field(repr=False)
    purpose: str


class Preparation(Protocol[Transform_co, Plan_co, Habits_co, Style_co, Order_co]):
    """The real rows of a build behind what may be known of them.

    Build, refits and the canary audit learn through this alone. Whoever wants to learn one more fact adds it here, and
    with that to the private kind, whose methods may return ``Public``, ``Paid`` or ``Internal`` and nothing else.
    """

    def schema(self) -> Given[LearnedSchema]:
        """What the columns mean, with the labels and bounds that the schema file leaves to be learned."""
        ...

    def order(self) -> Given[Order_co]:
        """Which rows are asked for, and which columns are best written first for that."""
        ...

    def transform(self) -> Given[Transform_co]:
        """How columns are modelled: dates as intervals, datetimes as day and time of day."""
        ...

    def trained(self, fit: Generator, settings: FitSettings, on_step: OnStep) -> Given[Fitted]:
        """Train on the training rows as modelled; ``settings.privacy`` is set here.

        Raises:
            TrainingError: the generator cannot be trained on them.
        """
        ...

    def claim(self, fitted: Fitted) -> Given[PrivacyClaim | None]:
        """Compose all that was spent into what the build claims; None where it claims nothing.

        Raises:
            ValueError: the generator spent nothing, or more than the budget.
        """
        ...

    def plan(self) -> Given[Plan_co]:
        """How rows are made to obey the schema's constraints.

        Raises:
            InputError: too few patients share what a repair would need.
        """
        ...

    def habits(self) -> Given[Habits_co | None]:
        """What rows of one patient have in common; None where each synthetic row is a patient of its own."""
        ...

    def style(self) -> Given[Style_co]:
        """How the synthetic table is spelled."""
        ...

    def rows(self, fitted: Fitted) -> Given[int]:
        """How many synthetic rows to write."""
        ...

    def on(self, train: Table) -> Preparation[Transform_co, Plan_co, Habits_co, Style_co, Order_co]:
        """Return the same preparation on other training rows of the same schema, for refits."""
        ...

    def planned_rows(self) -> Internal[int]:
        """Return the number of rows that the report's settings state: as asked for, or else as the table has."""
        ...

    def fingerprint(self) -> Internal[bytes]:
        """Return the SHA-256 of a database's rows; empty where the table is a file."""
        ...

    def attacked(self, attack: Attack) -> Internal[CanaryFinding]:
        """Hold the claim against an attack that knows the training rows.

        Raises:
            ClaimError: the attack refutes the claim.
        """
        ...

    def for_audit(self, made: Table) -> Internal[Split]:
        """Hand the real rows to the audit, once ``made``, the synthetic table, was written and read back.

        Raises:
            ValueError: ``made`` is no synthetic table.
        """
        ...


def check_is_made(made: Table) -> None:
    """Refuse to hand out real rows before there is a synthetic table to compare them with.

    Raises:
        ValueError: ``made`` is no synthetic table.
    """
    if made.origin != "synthetic":
        raise ValueError("real rows are handed to the audit of a synthetic table; hand over the one read back")
