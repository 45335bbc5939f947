"""Sign-offs and waivers of a finished run: recorded in the register and beside the report, and the release they open.

The register holds the records; ``internal/sign-offs.jsonl`` is their copy. Each step can be cut off: the next command
on the run puts right what was left half done, before it does anything else.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

from synthrelease.core import files
from synthrelease.core.contracts import Policy
from synthrelease.core.errors import CapError, SigningError
from synthrelease.governance import (
    approval_records,
    finished_run,
    register,
    release,
    release_bundle,
    run_folder,
    source_attempts,
    standing,
)
from synthrelease.governance.approval_records import BoundFile, Decision, Signer, SignOff, Target, Waiver
from synthrelease.governance.decisions_for_report import Decisions, report_with
from synthrelease.governance.finished_run import Stored
from synthrelease.governance.register_events import Judged, Signed, Waived
from synthrelease.governance.run_folder import RunFolder
from synthrelease.governance.source_attempts import Trail
from synthrelease.governance.standing import Standing

COPY = "sign-offs.jsonl"


@dataclass(frozen=True, slots=True)
class Case:
    """A finished run that is held, with everything that is needed to decide on it."""

    folder: RunFolder
    stored: Stored
    trail: Trail
    records: tuple[SignOff | Waiver, ...]
    target: Target
    standing: Standing

    @property
    def policy(self) -> Policy:
        """The policy that decided."""
        return self.stored.verdict.policy

    @property
    def is_released(self) -> bool:
        """Whether the table has left quarantine."""
        return self.folder.release.is_dir()


@contextmanager
def held(run: Path, where: Path | None = None) -> Iterator[Case]:
    """Hold a finished run, put right what a killed process left, and see where it stands.

    Raises:
        RunFolderError: no finished run, or another process is at work in it.
        RegisterError: the register cannot be used, or is not as it was written.
        SigningError: the register does not know the run, or a file has changed since the verdict.
    """
    with run_folder.reopened(run) as folder:
        stored = finished_run.load(folder)
        noted = Trail(register.opened(where), stored.source, stored.source_name)
        with register.held(noted.register):
            release_bundle.unstage(folder)
            case = _case(folder, stored, noted)
            _restore_copy(case)
            yield _moved(case)


def _case(folder: RunFolder, stored: Stored, noted: Trail) -> Case:
    mine = [e.facts for e in register.entries(noted.register, stored.source) if e.run_id == stored.facts.run_id]
    judged = [facts for facts in mine if isinstance(facts, Judged)]
    if not judged or not stored.facts.run_id:
        raise SigningError(
            f"The register must know a run, however the one in {noted.register.folder} has no verdict of "
            f"{stored.facts.run}. Give the register that the run was built with: --register DIR."
        )
    waived = [facts for facts in mine if isinstance(facts, Waived)]
    records = tuple(facts.record for facts in mine if isinstance(facts, Waived | Signed))
    _restore_report(folder, stored, waived)
    found = finished_run.digests(folder, _table(folder, stored))
    _check_unchanged(found, _expected(judged[-1], waived), folder)
    attempts = stored.facts.attempts
    target = Target(stored.facts.run, stored.facts.run_id, "" if attempts is None else attempts.entry, found)
    at = standing.standing(stored.verdict.policy, stored.verdict, records, target, today=today())
    return Case(folder, stored, noted, records, target, at)


def _table(folder: RunFolder, stored: Stored) -> Path:
    places = (folder.release, folder.quarantine / "withdrawn", folder.quarantine)
    return next((p / stored.table for p in places if (p / stored.table).is_file()), folder.quarantine / stored.table)


def _expected(judged: Judged, waived: Sequence[Waived]) -> dict[BoundFile, str]:
    """The digests as the register has them: of the verdict, and of the report as the last waiver left it."""
    expected = dict(judged.digests)
    return expected | {"report.html": waived[-1].report} if waived else expected


def _check_unchanged(found: Mapping[BoundFile, str], expected: Mapping[BoundFile, str], folder: RunFolder) -> None:
    wrong = [
        f"{name} {'is missing' if name not in found else 'has changed'}"
        for name, value in expected.items()
        if found.get(name) != value
    ]
    if wrong:
        raise SigningError(
            f"What is signed must be what was judged, however in {folder.path} {', '.join(wrong)} since the verdict. "
            "Sign-offs on it are void. Restore the files from a backup, or build again and have that signed."
        )


def _restore_report(folder: RunFolder, stored: Stored, waived: Sequence[Waived]) -> None:
    """Write the last waiver into the report, where a process was killed between the register and the report."""
    path = folder.internal / "report.html"
    if not waived or not path.is_file() or files.sha256(path) == waived[-1].report:
        return
    with suppress(ValueError):  # an edited report, which is refused as such
        page = _told(path, stored, [facts.record for facts in waived])
        if files.sha256_of(page) == waived[-1].report:
            _replace(path, page)


def _told(report: Path, stored: Stored, waivers: Sequence[Waiver]) -> str:
    """The report with these waivers in it."""
    return report_with(report.read_text(encoding="utf-8"), waivers, stored.facts.attempts)


def _replace(path: Path, text: str) -> None:
    fresh = path.with_name(f"{path.name}.new")
    files.write_text(fresh, text)
    fresh.replace(path)
    files.sync_folder(path.parent)


def _restore_copy(case: Case) -> None:
    """Make ``internal/sign-offs.jsonl`` what the register says.

    Raises:
        SigningError: it holds something that the register does not know.
    """
    path = case.folder.internal / COPY
    wanted = "".join(_copied(each) + "\n" for each in case.records)
    found = path.read_text(encoding="utf-8") if path.exists() else ""
    if found == wanted:
        return
    if not wanted.startswith(found):
        raise SigningError(
            f"Decisions are those in the register, however {path} says something else: it was edited, or comes from "
            "another run. Move it away; the next command writes it anew from the register."
        )
    _replace(path, wanted)


def _copied(record: SignOff | Waiver) -> str:
    return json.dumps(approval_records.plain(record), ensure_ascii=False, sort_keys=True)


def _moved(case: Case) -> Case:
    """Move the table where the decisions say it belongs, if a process was killed before it did."""
    if case.standing.rejection is not None and case.is_released:
        release.withdraw(case.trail, case.folder, case.stored)
    elif case.standing.may_leave and not case.is_released:
        with suppress(CapError):  # recorded before another release of the source used the budget up
            release.release(case.trail, case.folder, case.stored, decisions(case))
    return case


def decisions(case: Case) -> Decisions:
    """Waivers in force and approvals that count."""
    return Decisions(tuple(case.standing.waived.values()), tuple(case.standing.approvals.values()))


def sign_off(
    run: Path, who: Signer, decision: Decision, reason: str, *, where: Path | None = None, seen: Target | None = None
) -> Case:
    """Record a decision; move the table to ``release/`` with the last approval, and back with a rejection.

    Args:
        run: the folder of a finished run.
        who: name, role and key.
        decision: "approve" or "reject".
        reason: why, in the reviewer's words; it stays inside.
        where: the register's folder, or None for the usual one.
        seen: what the reviewer looked at; a run that has changed since is not signed.

    Raises:
        SigningError: the decision could not count; nothing is recorded then.
        CapError: the release would go beyond the policy's cap on epsilon.
    """
    with held(run, where) as case:
        who = Signer(who.reviewer, standing.role_in(case.policy, who.role), who.key)
        if seen is not None and seen != case.target:
            raise SigningError(
                "What is signed must be what was read, however the run has changed since the page was opened. Nothing "
                "was recorded. Open it again."
            )
        if decision == "approve":
            standing.check_approval(case.policy, case.stored.verdict, case.standing, who)
            source_attempts.check_epsilon(case.trail, case.policy, case.stored.facts)
        else:
            standing.check_key(case.policy, who)
        in_force = tuple(case.standing.waived.values())
        record = approval_records.sign_off(case.target, who, decision, reason, waivers=in_force, now=files.utc_now())
        facts = case.stored.facts
        noted = Signed(run=facts.run, run_id=facts.run_id, record=record)
        register.append(case.trail.register, case.trail.source, noted)
        return _settled(case)


def waive(run: Path, who: Signer, rule: str, until: date, reason: str, *, where: Path | None = None) -> Case:
    """Record a waiver of one rule and write it into the report; approvals given before it are void.

    Raises:
        SigningError: the policy does not allow it; nothing is recorded then.
    """
    with held(run, where) as case:
        if case.standing.rejection is not None or case.is_released:
            found = "was rejected" if case.standing.rejection is not None else "is released"
            raise SigningError(f"A rule is waived before the decision, however this run {found}. Build again.")
        standing.check_waiver(case.policy, case.stored.verdict, who, rule, until, today=today())
        record = approval_records.waiver(case.target, who, rule, until, reason, now=files.utc_now())
        waivers = [each for each in case.records if isinstance(each, Waiver)]
        page = _told(case.folder.internal / "report.html", case.stored, [*waivers, record])
        facts, report = case.stored.facts, files.sha256_of(page)
        noted = Waived(run=facts.run, run_id=facts.run_id, record=record, report=report)
        register.append(case.trail.register, case.trail.source, noted)
        return _settled(case)


def _settled(case: Case) -> Case:
    """See where the run stands after a new entry, and move the table if that is now due."""
    again = _case(case.folder, case.stored, case.trail)
    _restore_copy(again)
    return _moved(again)


def today() -> date:
    """The day in UTC."""
    return datetime.now(UTC).date()
