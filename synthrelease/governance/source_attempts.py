"""A run's trail in the register: how often its source was used before, whether one more is allowed, what came out.

Trying again until a table passes is a way around a gate, so each build and audit is an attempt, whatever became of it,
and the report says which one it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from synthrelease.core.contracts import Attempts, Policy, RunFacts, Verdict
from synthrelease.core.errors import CapError
from synthrelease.data import fingerprint
from synthrelease.data.formats import Place
from synthrelease.governance import register as registers
from synthrelease.governance import register_events
from synthrelease.governance.approval_records import BoundFile
from synthrelease.governance.register import Register
from synthrelease.governance.register_events import Attempt, Entry, Judged, Released


@dataclass(frozen=True, slots=True)
class Trail:
    """Where a run is noted: the register, the source's keyed digest, and the name people know the source by."""

    register: Register
    source: str
    name: str


def of_source(where: Path | None, what: Path | Place | bytes, *, name: str, alias: str | None) -> Trail:
    """Open the register for a source.

    Args:
        where: the register's folder, or None for the usual one.
        what: the file of real rows, or the digest of rows that lie in no file.
        name: what the table is called, for people.
        alias: under which name several extracts of the same patients count as one source.

    Raises:
        RegisterError: the register cannot be used.
    """
    opened = registers.opened(where)
    if alias is not None:
        return Trail(opened, opened.mac("source", f"name:{alias}".encode()), alias)
    return Trail(opened, fingerprint.digest(what, bytes.fromhex(opened.mac("source", b"file"))), name)


def check(trail: Trail, policy: Policy, *, asked: float = 0.0) -> tuple[Entry, ...]:
    """Refuse a source that the policy allows no further attempt; nothing is written yet. ``asked``: epsilon wanted.

    Raises:
        CapError: the attempts or the epsilon of the policy are used up.
        RegisterError: the register is not as it was written.
    """
    past = registers.entries(trail.register, trail.source)
    made, cap = _attempts(past, policy.name), policy.caps.attempts
    if cap is not None and made >= cap:
        raise CapError(
            f"{policy.name} allows {cap} attempts on one source, however {made} are in the register: trying until one "
            f"passes is no evidence. See `synthrelease register`. What helps is another policy for a closer "
            "circle, or coarser columns agreed with whoever signs, under a policy version of its own name."
        )
    spent, limit = register_events.epsilon_of(past), policy.caps.epsilon
    if limit is not None and (spent >= limit or spent + asked > limit):
        raise CapError(_beyond(policy, spent, asked))
    return past


def begin(trail: Trail, policy: Policy, *, run: str, run_id: str, event: Literal["build", "audit"]) -> Attempts:
    """Note that an attempt has begun, and return which one it is."""
    noted = Attempt(
        event=event,
        run=run,
        run_id=run_id,
        source_name=trail.name,
        policy=policy.name,
        policy_version=policy.version,
    )
    with registers.held(trail.register):
        past = check(trail, policy)
        entry = registers.append(trail.register, trail.source, noted)
    return Attempts(
        number=_attempts(past, policy.name) + 1,
        in_all=sum(isinstance(each.facts, Attempt) for each in past) + 1,
        at_most=policy.caps.attempts,
        releases=sum(isinstance(each.facts, Released) for each in past),
        epsilon=register_events.epsilon_of(past),
        since=past[0].time if past else entry.time,
        entry=entry.hash,
    )


def judged(trail: Trail, verdict: Verdict, facts: RunFacts, digests: Mapping[BoundFile, str]) -> None:
    """Note the verdict with the digests of everything that a signature will be bound to."""
    noted = Judged(
        run=facts.run,
        run_id=facts.run_id,
        policy=verdict.policy.name,
        decision=verdict.decision,
        epsilon=epsilon(facts),
        digests=digests,
    )
    registers.append(trail.register, trail.source, noted)


def check_epsilon(trail: Trail, policy: Policy, facts: RunFacts) -> None:
    """Refuse a release with which the source's releases would promise less than the policy's cap on epsilon.

    Raises:
        CapError: so it is.
    """
    past = [e for e in registers.entries(trail.register, trail.source) if e.run_id != facts.run_id]
    mine, spent, limit = epsilon(facts), register_events.epsilon_of(past), policy.caps.epsilon
    if limit is not None and mine is not None and spent + mine > limit:
        raise CapError(_beyond(policy, spent, mine))


def released(trail: Trail, policy: Policy, facts: RunFacts) -> None:
    """Note a release, once a run, before the table moves.

    Raises:
        CapError: it goes beyond the policy's cap on epsilon.
    """
    with registers.held(trail.register):
        check_epsilon(trail, policy, facts)
        past = registers.entries(trail.register, trail.source)
        if not any(isinstance(each.facts, Released) and each.run_id == facts.run_id for each in past):
            noted = Released(run=facts.run, run_id=facts.run_id, policy=policy.name, epsilon=epsilon(facts))
            registers.append(trail.register, trail.source, noted)


def _beyond(policy: Policy, spent: float, mine: float) -> str:
    return (
        f"{policy.name} allows an epsilon of {policy.caps.epsilon:g} over all releases of one source, however "
        f"{spent:g} is spent and {mine:g} would be added. Hand over the earlier release, or ask for less (--epsilon)."
    )


def _attempts(past: Sequence[Entry], policy: str) -> int:
    return sum(isinstance(each.facts, Attempt) and each.facts.policy == policy for each in past)


def epsilon(facts: RunFacts) -> float | None:
    """The epsilon that a run claims, or None."""
    return None if facts.privacy is None else facts.privacy.epsilon
