"""Decisions of people as records: sign-offs and waivers, what they are bound to, and what of them is signed.

A record names the run, the person and what was decided, and holds the digests of table, report, policy and verdict, so
that it fits nothing else. Its reason stays in the hospital: what is signed holds a salted digest of it.
"""

from __future__ import annotations

import hashlib
import secrets
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, Discriminator, Tag, TypeAdapter

from synthrelease.core.errors import SigningError
from synthrelease.governance.keys import Key, canonical, fingerprint
from synthrelease.governance.typed_json import STRICT, Hex64, Hex128

Decision = Literal["approve", "reject"]
BoundFile = Literal["table", "report.html", "policy.toml", "audit.json", "outcome.json"]
"""What a decision is bound to: the synthetic table, and files of ``internal/``."""
LONGEST = {"reviewer": 200, "recipient": 200, "reason": 4000}
_PRIVATE = ("reason", "salt")
"""Fields of a record that are no part of what is signed."""


class Signature(BaseModel):
    """An Ed25519 signature and the public key that it fits, as hex."""

    model_config = STRICT
    public_key: Hex64
    signature: Hex128


class _Decided(BaseModel):
    """What every decision says, of version 1. ``register_entry``: hash of the run's own entry in the register."""

    model_config = STRICT
    format: Literal["synthrelease-decision"]
    version: Literal[1]
    run: str
    run_id: str
    register_entry: str
    role: str
    reviewer: str
    reason_digest: Hex64
    time: str
    bound: Mapping[BoundFile, Hex64]
    signature: Signature | None


class SignOff(_Decided):
    """An approval or a rejection. ``waivers``: digests of the waivers that an approval covers.

    ``reason`` and ``salt`` are None in a record that has left the hospital.
    """

    kind: Literal["sign-off"] = "sign-off"
    decision: Decision
    waivers: tuple[Hex64, ...]
    reason: str | None = None
    salt: str | None = None


class Waiver(_Decided):
    """One rule (``check.metric``) waived to the end of the day ``until`` (UTC); the reason leaves with the table."""

    kind: Literal["waiver"] = "waiver"
    rule: str
    until: date
    reason: str
    salt: str


def _kind_and_version(content: Any) -> str:
    found = content if isinstance(content, dict) else vars(content)
    return f"{found.get('kind')} {found.get('version')}"


Record = Annotated[
    Annotated[SignOff, Tag("sign-off 1")] | Annotated[Waiver, Tag("waiver 1")], Discriminator(_kind_and_version)
]
"""Any decision, told apart by kind and version."""
_ADAPTER: TypeAdapter[SignOff | Waiver] = TypeAdapter(Record)
_Kind = TypeVar("_Kind", SignOff, Waiver)


@dataclass(frozen=True, slots=True)
class Signer:
    """Who decides: a name, the role that the policy asks for, and the key, if any."""

    reviewer: str
    role: str
    key: Key | None = None


@dataclass(frozen=True, slots=True)
class Target:
    """What a decision is about: the run, and the digests of the files that it is bound to.

    ``entry`` is the hash of the run's own entry in the register.
    """

    run: str
    run_id: str
    entry: str
    digests: Mapping[BoundFile, str]


def sign_off(
    target: Target, who: Signer, decision: Decision, reason: str, *, waivers: Sequence[Waiver], now: str
) -> SignOff:
    """A sign-off record; ``waivers`` are those in force, which an approval covers."""
    unsigned = SignOff(
        **_common(target, who, reason, now), decision=decision, waivers=tuple(digest(each) for each in waivers)
    )
    return _signed(unsigned, who.key)


def waiver(target: Target, who: Signer, rule: str, until: date, reason: str, *, now: str) -> Waiver:
    """A waiver record of one rule (``check.metric``), valid to the end of ``until`` (UTC)."""
    return _signed(Waiver(**_common(target, who, reason, now), rule=rule, until=until), who.key)


def _common(target: Target, who: Signer, reason: str, now: str) -> dict[str, Any]:
    """The fields that every decision has, not yet signed."""
    salt, given = secrets.token_hex(16), line("reason", reason)
    return {
        "format": "synthrelease-decision",
        "version": 1,
        "run": target.run,
        "run_id": target.run_id,
        "register_entry": target.entry,
        "role": who.role,
        "reviewer": line("reviewer", who.reviewer),
        "reason_digest": _reason_digest(given, salt),
        "time": now,
        "bound": dict(target.digests),
        "signature": None,
        "reason": given,
        "salt": salt,
    }


def _signed(record: _Kind, key: Key | None) -> _Kind:
    if key is None:
        return record
    signature = Signature(public_key=key.public, signature=key.sign(signed_bytes(record)))
    return record.model_copy(update={"signature": signature})


def line(what: str, text: str) -> str:
    """Text that a person gave, on one line and without letters that could disguise it.

    Raises:
        SigningError: it is empty, too long, or holds control characters.
    """
    joined = " ".join(text.split())
    hidden = sum(unicodedata.category(letter) in ("Cc", "Cf", "Cs", "Co") for letter in joined)
    if not joined or len(joined) > LONGEST[what] or hidden:
        found = "it is empty" if not joined else f"{hidden} are invisible" if hidden else f"it has {len(joined):,}"
        raise SigningError(f"A {what} has 1 to {LONGEST[what]:,} visible characters, however {found}. Write it anew.")
    return joined


def _reason_digest(reason: str, salt: str) -> str:
    return hashlib.sha256(f"{salt}:{reason}".encode()).hexdigest()


def reason_fits(record: Waiver) -> bool:
    """Whether a waiver's reason is the one that was signed."""
    return _reason_digest(record.reason, record.salt) == record.reason_digest


def read(content: bytes | str) -> SignOff | Waiver:
    """Read one record from JSON.

    Raises:
        ValidationError: it is damaged, or of another kind or version (``typed_json.is_of_another_version``).
    """
    return _ADAPTER.validate_json(content)


def plain(record: SignOff | Waiver) -> dict[str, Any]:
    """A record as JSON values, with its reason where it has one."""
    return {
        key: value for key, value in record.model_dump(mode="json").items() if key not in _PRIVATE or value is not None
    }


def signed_bytes(record: SignOff | Waiver) -> bytes:
    """What is signed: all but the signature, the reason and its salt, in the one spelling that records have."""
    return canonical(record.model_dump(mode="json", exclude={"signature", *_PRIVATE}))


def outward(record: SignOff | Waiver) -> SignOff | Waiver:
    """The record as it may leave the hospital: a waiver's reason goes with it, that of a sign-off stays."""
    return record if isinstance(record, Waiver) else record.model_copy(update=dict.fromkeys(_PRIVATE))


def digest(record: SignOff | Waiver) -> str:
    """SHA-256 of what is signed, as hex."""
    return hashlib.sha256(signed_bytes(record)).hexdigest()


def key_of(record: SignOff | Waiver) -> str | None:
    """The fingerprint of the key that signed, or None."""
    return None if record.signature is None else fingerprint(record.signature.public_key)


def named(record: SignOff | Waiver) -> str:
    """How messages call a record."""
    return f"the {record.kind} of {record.reviewer} ({record.role})"
