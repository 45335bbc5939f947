"""Where a run stands by the decisions on it: which of them count, what is missing, and what may still be decided.

Pure functions of policy, verdict and records; ``sign_off`` keeps the records and moves the table.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from synthrelease.core.contracts import Policy, RuleOutcome, Verdict
from synthrelease.core.errors import SigningError
from synthrelease.core.formatting import grouped
from synthrelease.governance.approval_records import (
    Signer,
    SignOff,
    Target,
    Waiver,
    digest,
    key_of,
    named,
    signed_bytes,
)
from synthrelease.governance.keys import is_signed


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a run stands. ``missing``: roles that have yet to approve. ``waived``: rule to its waiver.

    ``unmet``: blocking rules that are neither met nor waived. ``rejection``: the first, which is final. ``void``: why
    records that are there do not count.
    """

    approvals: Mapping[str, SignOff]
    missing: tuple[str, ...]
    waived: Mapping[str, Waiver]
    unmet: tuple[str, ...]
    rejection: SignOff | None
    void: tuple[str, ...]

    @property
    def may_leave(self) -> bool:
        """Whether the table may leave quarantine."""
        return not self.missing and not self.unmet and self.rejection is None


def same_person(one: SignOff, other: SignOff) -> bool:
    """Whether two sign-offs are by one person: the same name, however spelled, or the same key."""
    return _is_same((one.reviewer, key_of(one)), other)


def _is_same(person: tuple[str, str | None], other: SignOff) -> bool:
    name, key = person
    return _spelled(name) == _spelled(other.reviewer) or (key is not None and key == key_of(other))


def _spelled(name: str) -> str:
    return unicodedata.normalize("NFKC", name).casefold()


def faults(record: SignOff | Waiver, policy: Policy) -> Iterator[str]:
    """What is wrong with a record by itself: its signature, its key."""
    signature, who = record.signature, named(record)
    if signature is None:
        if policy.signing.keys == "required":
            yield f"{who} carries no signature, and {policy.name} asks for one: sign again with --key"
        return
    if not is_signed(signed_bytes(record), public=signature.public_key, signature=signature.signature):
        yield f"the signature of {who} does not fit: the record or its signature was changed; have it signed again"
        return
    known = policy.signing.fingerprints.get(record.role, ())
    if known and key_of(record) not in known:
        yield (
            f"{who} is signed with another key ({grouped(str(key_of(record)))[:19]} ...) than {policy.name} names for "
            "that role; sign again with the right key"
        )


def standing(
    policy: Policy, verdict: Verdict, records: Sequence[SignOff | Waiver], target: Target, *, today: date
) -> Standing:
    """Where a run stands by its records, given what lies in its folder now (``target``)."""
    counted, void = _counted(policy, records, target)
    waived, late = _waived(verdict, counted, today)
    covered = sorted(digest(each) for each in waived.values())
    approvals: dict[str, SignOff] = {}
    rejection = None
    for record in counted:
        if isinstance(record, Waiver):
            continue
        if record.decision == "reject":
            rejection = rejection or record
        elif sorted(record.waivers) != covered:
            void.append(
                f"{record.reviewer} ({record.role}) approved with other waivers than are in force now; sign again"
            )
        elif policy.signing.two_people and (
            other := _by_same((record.reviewer, key_of(record)), record.role, approvals)
        ):
            void.append(f"{record.reviewer} signed for two roles ({other}, {record.role}); two people must")
        else:
            approvals[record.role] = record
    return Standing(
        approvals=approvals,
        missing=tuple(role for role in policy.sign_off if role not in approvals),
        waived=waived,
        unmet=tuple(rule_name(each) for each in unmet(verdict) if rule_name(each) not in waived),
        rejection=rejection,
        void=(*void, *late),
    )


def _counted(
    policy: Policy, records: Sequence[SignOff | Waiver], target: Target
) -> tuple[list[SignOff | Waiver], list[str]]:
    """The records that are sound and about this run as it lies there, and what is wrong with the others."""
    counted: list[SignOff | Waiver] = []
    void: list[str] = []
    for record in records:
        wrong = [*faults(record, policy), *misfits(record, target)]
        # A rejection counts whatever has changed since: nothing may undo it.
        is_rejection = isinstance(record, SignOff) and record.decision == "reject"
        if wrong and not is_rejection:
            void += wrong
        else:
            counted.append(record)
    return counted, void


def misfits(record: SignOff | Waiver, target: Target) -> Iterator[str]:
    """Why a record is not about this run as it lies there now."""
    who = named(record)
    if record.run_id != target.run_id:
        yield f"{who} belongs to another run ({record.run}); have this run signed itself"
        return
    for name, value in record.bound.items():
        # A waiver is written into the report, so the report is another afterwards.
        if (record.kind, name) != ("waiver", "report.html") and target.digests.get(name) != value:
            yield f"{who} is void: {name} has changed since; restore it, or build and sign again"


def _waived(verdict: Verdict, records: Sequence[SignOff | Waiver], today: date) -> tuple[dict[str, Waiver], list[str]]:
    allowed = {rule_name(each): each.rule.waiver_by for each in verdict.outcomes}
    waived: dict[str, Waiver] = {}
    late = []
    for record in records:
        if isinstance(record, SignOff):
            continue
        if is_over(record, today):
            late.append(f"the waiver of {record.rule} expired on {record.until}; waive it anew, then sign again")
        elif record.role in allowed.get(record.rule, ()):
            waived[record.rule] = record
    return waived, late


def is_over(record: Waiver, today: date) -> bool:
    """Whether a waiver has expired."""
    return record.until < today


def _by_same(person: tuple[str, str | None], role: str, approvals: Mapping[str, SignOff]) -> str | None:
    """In which other role the same person, by name or key, has approved."""
    return next((r for r, other in approvals.items() if r != role and _is_same(person, other)), None)


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
            f"A rejection is final, however {at.rejection.reviewer} ({at.rejection.role}) rejected this run on "
            f"{at.rejection.time[:10]}. Nothing was recorded. Build again, and have the new run signed."
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
    person = (who.reviewer, None if who.key is None else who.key.fingerprint)
    if policy.signing.two_people and (other := _by_same(person, who.role, at.approvals)):
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
