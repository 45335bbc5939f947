"""Decisions of people: sign-offs and waivers as records, what they are bound to, and where a run stands by them.

Pure functions; ``signoff`` keeps the records. A record names the run, the person and what was decided, and holds the
digests of table, report, policy and verdict, so that it fits nothing else. Its reason stays in the house: what is
signed holds a salted digest of it.
"""

from __future__ import annotations

import hashlib
import secrets
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Literal

from synthrelease.core.contracts import Policy, RuleOutcome, Verdict
from synthrelease.core.errors import SigningError
from synthrelease.core.formatting import grouped
from synthrelease.governance.keys import Key, canonical, fingerprint, is_signed

Decision = Literal["approve", "reject"]
Record = Mapping[str, Any]
PRIVATE = ("reason", "salt")
"""Fields of a record that stay in the house and are no part of what is signed."""
LONGEST = {"reviewer": 200, "recipient": 200, "reason": 4000}


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
    digests: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a run stands. ``missing``: roles that have yet to approve. ``waived``: rule to its waiver.

    ``unmet``: blocking rules that are neither met nor waived. ``rejection``: the first, which is final. ``void``: why
    records that are there do not count.
    """

    approvals: Mapping[str, Record]
    missing: tuple[str, ...]
    waived: Mapping[str, Record]
    unmet: tuple[str, ...]
    rejection: Record | None
    void: tuple[str, ...]

    @property
    def may_leave(self) -> bool:
        """Whether the table may leave quarantine."""
        return not self.missing and not self.unmet and self.rejection is None


def sign_off(
    target: Target, who: Signer, decision: Decision, reason: str, *, waivers: Sequence[Record], now: str
) -> Record:
    """A sign-off record; ``waivers`` are those in force, which an approval covers."""
    own = {"decision": decision, "waivers": [digest(each) for each in waivers]}
    return _record("sign-off", target, who, own, reason=reason, now=now)


def waiver(target: Target, who: Signer, rule: str, until: date, reason: str, *, now: str) -> Record:
    """A waiver record of one rule (``check.metric``), valid to the end of ``until`` (UTC)."""
    return _record("waiver", target, who, {"rule": rule, "until": until.isoformat()}, reason=reason, now=now)


def _record(kind: str, target: Target, who: Signer, own: Record, *, reason: str, now: str) -> Record:
    salt = secrets.token_hex(16)
    content = {
        "format": "synthrelease-decision",
        "version": 1,
        "kind": kind,
        "run": target.run,
        "run_id": target.run_id,
        "register_entry": target.entry,
        "role": who.role,
        "reviewer": line("reviewer", who.reviewer),
        "reason_digest": _reason_digest(line("reason", reason), salt),
        "time": now,
        "bound": dict(target.digests),
        **own,
    }
    signature = None
    if who.key is not None:
        signature = {"public_key": who.key.public, "signature": who.key.sign(canonical(content))}
    return {**content, "signature": signature, "reason": line("reason", reason), "salt": salt}


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


def reason_fits(record: Record) -> bool:
    """Whether a record's reason is the one that was signed."""
    return _reason_digest(str(record["reason"]), str(record["salt"])) == str(record["reason_digest"])


def signed_part(record: Record) -> dict[str, Any]:
    """What is signed: all but the signature and what stays in the house."""
    return {key: value for key, value in record.items() if key not in ("signature", *PRIVATE)}


def public_part(record: Record) -> dict[str, Any]:
    """What may leave the house: all but the reason and its salt."""
    return {key: value for key, value in record.items() if key not in PRIVATE}


def digest(record: Record) -> str:
    """SHA-256 of what is signed, as hex."""
    return hashlib.sha256(canonical(signed_part(record))).hexdigest()


def key_of(record: Record) -> str | None:
    """The fingerprint of the key that signed, or None."""
    return None if record["signature"] is None else fingerprint(record["signature"]["public_key"])


def same_person(one: Record, other: Record) -> bool:
    """Whether two records are by one person: the same name, however spelled, or the same key."""
    names = [unicodedata.normalize("NFKC", str(each["reviewer"])).casefold() for each in (one, other)]
    keys = [key_of(each) for each in (one, other)]
    return names[0] == names[1] or (keys[0] is not None and keys[0] == keys[1])


def faults(record: Record, policy: Policy) -> Iterator[str]:
    """What is wrong with a record by itself: its signature, its key."""
    signature, who = record["signature"], f"the {record['kind']} of {record['reviewer']} ({record['role']})"
    if signature is None:
        if policy.signing.keys == "required":
            yield f"{who} carries no signature, and {policy.name} asks for one: sign again with --key"
        return
    if not is_signed(canonical(signed_part(record)), public=signature["public_key"], signature=signature["signature"]):
        yield f"the signature of {who} does not fit: the record or its signature was changed; have it signed again"
        return
    known = policy.signing.fingerprints.get(str(record["role"]), ())
    if known and key_of(record) not in known:
        yield (
            f"{who} is signed with another key ({grouped(str(key_of(record)))[:19]} ...) than {policy.name} names for "
            "that role; sign again with the right key"
        )


def standing(policy: Policy, verdict: Verdict, records: Sequence[Record], target: Target, *, today: date) -> Standing:
    """Where a run stands by its records, given what lies in its folder now (``target``)."""
    counted, void = _counted(policy, records, target)
    waived, late = _waived(verdict, counted, today)
    covered = sorted(digest(each) for each in waived.values())
    approvals: dict[str, Record] = {}
    rejection = None
    for record in counted:
        if record["kind"] != "sign-off":
            continue
        if record["decision"] == "reject":
            rejection = rejection or record
        elif sorted(record["waivers"]) != covered:
            void.append(
                f"{record['reviewer']} ({record['role']}) approved with other waivers than are in force now; sign again"
            )
        elif policy.signing.two_people and (other := _by_same(record, approvals)):
            void.append(f"{record['reviewer']} signed for two roles ({other}, {record['role']}); two people must")
        else:
            approvals[str(record["role"])] = record
    return Standing(
        approvals=approvals,
        missing=tuple(role for role in policy.sign_off if role not in approvals),
        waived=waived,
        unmet=tuple(rule_name(each) for each in unmet(verdict) if rule_name(each) not in waived),
        rejection=rejection,
        void=(*void, *late),
    )


def _counted(policy: Policy, records: Sequence[Record], target: Target) -> tuple[list[Record], list[str]]:
    """The records that are sound and about this run as it lies there, and what is wrong with the others."""
    counted: list[Record] = []
    void: list[str] = []
    for record in records:
        wrong = [*faults(record, policy), *misfits(record, target)]
        # A rejection counts whatever has changed since: nothing may undo it.
        if wrong and record.get("decision") != "reject":
            void += wrong
        else:
            counted.append(record)
    return counted, void


def misfits(record: Record, target: Target) -> Iterator[str]:
    """Why a record is not about this run as it lies there now."""
    who = f"the {record['kind']} of {record['reviewer']} ({record['role']})"
    if record["run_id"] != target.run_id:
        yield f"{who} belongs to another run ({record['run']}); have this run signed itself"
        return
    for name, value in record["bound"].items():
        # A waiver is written into the report, so the report is another afterwards.
        if (record["kind"], name) != ("waiver", "report.html") and target.digests.get(name) != value:
            yield f"{who} is void: {name} has changed since; restore it, or build and sign again"


def _waived(verdict: Verdict, records: Sequence[Record], today: date) -> tuple[dict[str, Record], list[str]]:
    allowed = {rule_name(each): each.rule.waiver_by for each in verdict.outcomes}
    waived, late = {}, []
    for record in records:
        if record["kind"] != "waiver":
            continue
        if is_over(record, today):
            late.append(f"the waiver of {record['rule']} expired on {record['until']}; waive it anew, then sign again")
        elif record["role"] in allowed.get(record["rule"], ()):
            waived[str(record["rule"])] = record
    return waived, late


def is_over(record: Record, today: date) -> bool:
    """Whether a waiver has expired."""
    return date.fromisoformat(record["until"]) < today


def _by_same(record: Record, approvals: Mapping[str, Record]) -> str | None:
    return next((r for r, other in approvals.items() if r != record["role"] and same_person(other, record)), None)


def unmet(verdict: Verdict) -> tuple[RuleOutcome, ...]:
    """The blocking rules that are not met."""
    return tuple(each for each in verdict.outcomes if each.rule.severity == "block" and each.outcome != "met")


def rule_name(outcome: RuleOutcome) -> str:
    """How a rule is called on the command line: ``check.metric``."""
    return f"{outcome.rule.check}.{outcome.rule.metric}"


def role_in(policy: Policy, role: str) -> str:
    """The role as the policy spells it.

    Raises:
        SigningError: the policy asks for signatures and names no such role.
    """
    asked = " ".join(role.split())
    found = next((each for each in policy.sign_off if each.casefold() == asked.casefold()), None)
    if found is None and policy.sign_off:
        raise SigningError(
            f"{policy.name} asks for the sign-off of: {', '.join(policy.sign_off)}. However {asked!r} is none of them. "
            "Give one of these with --role."
        )
    if not asked:
        raise SigningError("A role must be named, however --role is empty. Say in what role you sign.")
    return found or asked


def check_approval(policy: Policy, verdict: Verdict, at: Standing, who: Signer) -> None:
    """Refuse an approval that could not count.

    Raises:
        SigningError: the run was rejected, a blocking rule is neither met nor waived, the key is missing or wrong, or
            the same person approved in another role.
    """
    if at.rejection is not None:
        raise SigningError(
            f"A rejection is final, however {at.rejection['reviewer']} ({at.rejection['role']}) rejected this run on "
            f"{at.rejection['time'][:10]}. Nothing was recorded. Build again, and have the new run signed."
        )
    if at.unmet:
        open_to = {rule_name(each): each.rule.waiver_by for each in verdict.outcomes}
        for name in at.unmet:
            if not open_to[name]:
                raise SigningError(
                    f"A table is approved only when every blocking rule is met or waived, however {name} is not and "
                    f"{policy.name} lets nobody waive it. Nothing was recorded. Reject the run, and build again."
                )
        raise SigningError(
            f"A table is approved only when every blocking rule is met or waived, however {', '.join(at.unmet)} "
            f"{'is' if len(at.unmet) == 1 else 'are'} not. Nothing was recorded. See `synthrelease waive --help`, or "
            "reject the run."
        )
    check_key(policy, who)
    signature = None if who.key is None else {"public_key": who.key.public}
    trial = {"reviewer": who.reviewer, "role": who.role, "signature": signature}
    if policy.signing.two_people and (other := _by_same(trial, at.approvals)):
        raise SigningError(
            f"{policy.name} asks for two people, however the same person or key has signed as {other}. Nothing was "
            f"recorded. Have somebody else sign as {who.role}."
        )


def check_key(policy: Policy, who: Signer) -> None:
    """Refuse to sign without a key, or with another than the policy names for the role.

    Raises:
        SigningError: so it is.
    """
    known = policy.signing.fingerprints.get(who.role, ())
    if who.key is None:
        if policy.signing.keys == "required" or known:
            raise SigningError(
                f"{policy.name} asks for a signature with a key, however --key is not given. Nothing was recorded. "
                "Make a key once with `synthrelease keygen --out my.key` and sign with --key my.key."
            )
    elif known and who.key.fingerprint not in known:
        raise SigningError(
            f"{policy.name} names the keys that may sign as {who.role}, however this key "
            f"({grouped(who.key.fingerprint)}) is none of them. Nothing was recorded. Sign with the right key, or have "
            "this one added to the policy."
        )


def check_waiver(policy: Policy, verdict: Verdict, who: Signer, rule: str, until: date, *, today: date) -> None:
    """Refuse a waiver that the policy does not allow.

    Raises:
        SigningError: no such unmet rule, nobody or somebody else may waive it, or it would last too long.
    """
    unmet_rules = {rule_name(each): each.rule for each in unmet(verdict)}
    if rule not in unmet_rules:
        found = ", ".join(unmet_rules) or "none is"
        raise SigningError(
            f"Only a blocking rule that is not met can be waived ({found}), however {rule!r} is not one."
        )
    allowed = unmet_rules[rule].waiver_by
    if who.role not in allowed:
        raise SigningError(
            f"{policy.name} lets {' or '.join(allowed) or 'nobody'} waive {rule}, however {who.role!r} is not that. "
            "Nothing was recorded. Reject the run, or have the right person waive the rule."
        )
    last = today + timedelta(days=policy.signing.waiver_days)
    if not today <= until <= last:
        raise SigningError(
            f"A waiver under {policy.name} lasts at most {policy.signing.waiver_days} days, from today to {last}, "
            f"however --until says {until}. Give an earlier or later date."
        )
    check_key(policy, who)
