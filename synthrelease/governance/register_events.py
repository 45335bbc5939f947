"""What the register notes: one typed, frozen record for each event, told apart by the event.

These are entries of version 1, the only one so far; an entry says its version once there is a second. The event stands
beside an entry's facts and not among them, so that the bytes under the MAC are those of every earlier register.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, TypeAdapter

from synthrelease.core.contracts import Decision
from synthrelease.governance.approval_records import BoundFile, SignOff, Waiver, plain
from synthrelease.governance.keys import canonical
from synthrelease.governance.typed_json import STRICT, Hex64


class _Noted(BaseModel):
    """What every event says: the run it is about."""

    model_config = STRICT
    run: str
    run_id: str


class Attempt(_Noted):
    """A build or an audit has begun."""

    event: Literal["build", "audit"]
    source_name: str
    policy: str
    policy_version: str


class Judged(_Noted):
    """A verdict was reached. ``digests``: everything that a signature will be bound to."""

    event: Literal["verdict"] = "verdict"
    policy: str
    decision: Decision
    epsilon: float | None
    digests: Mapping[BoundFile, Hex64]


class Waived(_Noted):
    """A rule was waived. ``report``: digest of the report with the waiver in it."""

    event: Literal["waiver"] = "waiver"
    record: Waiver
    report: Hex64


class Signed(_Noted):
    """Somebody approved or rejected."""

    event: Literal["sign-off"] = "sign-off"
    record: SignOff


class Released(_Noted):
    """The table is about to move to ``release/``. ``epsilon``: what it claims, or None."""

    event: Literal["release"] = "release"
    policy: str
    epsilon: float | None


class Withdrawn(_Noted):
    """A release is about to be taken back."""

    event: Literal["withdrawal"] = "withdrawal"


class HandedOver(_Noted):
    """A package is about to appear. ``package``: its SHA-256. ``key``: fingerprint of the key that signed it."""

    event: Literal["hand-off"] = "hand-off"
    recipient: str
    package: Hex64
    key: Hex64 | None


Noted = Attempt | Judged | Waived | Signed | Released | Withdrawn | HandedOver
_ADAPTER: TypeAdapter[Noted] = TypeAdapter(Annotated[Noted, Field(discriminator="event")])


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a log. ``hash`` is the SHA-256 of the line."""

    number: int
    time: str
    facts: Noted
    hash: str

    @property
    def event(self) -> str:
        """What happened."""
        return self.facts.event

    @property
    def run_id(self) -> str:
        """The run it is about."""
        return self.facts.run_id


def plain_facts(noted: Noted) -> dict[str, Any]:
    """The facts of an event as JSON values; the event itself stands beside them."""
    facts = noted.model_dump(mode="json", exclude={"event"})
    return {**facts, "record": plain(noted.record)} if isinstance(noted, Waived | Signed) else facts


def read(event: str, facts: Mapping[str, Any]) -> Noted:
    """The typed facts of an event.

    Raises:
        ValidationError: no such event is known, or its facts are other than this version writes.
    """
    return _ADAPTER.validate_json(canonical({**facts, "event": event}))


def epsilon_of(entries: Sequence[Entry]) -> float:
    """The sum of epsilon over a source's releases that claim one (basic composition)."""
    return float(sum(each.facts.epsilon or 0.0 for each in entries if isinstance(each.facts, Released)))
