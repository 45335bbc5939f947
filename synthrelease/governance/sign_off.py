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
from typing import Any

from synthrelease.core import files
from synthrelease.core.contracts import Policy
from synthrelease.core.errors import CapError, SigningError
from synthrelease.governance import (
    approval_records,
    audit_log,
    finished_run,
    release_bundle,
    run_folder,
    source_history,
)
from synthrelease.governance.approval_records import Decision, Record, Signer, Standing, Target
from synthrelease.governance.approvals_html import fragment, inserted
from synthrelease.governance.audit_log import Entry
from synthrelease.governance.finished_run import Stored
from synthrelease.governance.release_bundle import Decisions
from synthrelease.governance.run_folder import RunFolder
from synthrelease.governance.source_history import Trail

COPY = "sign-offs.jsonl"


@dataclass(frozen=True, slots=True)
class Case:
    """A finished run that is held, with everything that is needed to decide on it."""

    folder: RunFolder
    stored: Stored
    trail: Trail
    records: tuple[Record, ...]
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
        noted = Trail(audit_log.opened(where), stored.source, stored.source_name)
        with audit_log.held(noted.register):
            release_bundle.unstage(folder)
            case = _case(folder, stored, noted)
            _restore_copy(case)
            yield _moved(case)


def _case(folder: RunFolder, stored: Stored, noted: Trail) -> Case:
    mine = [e for e in audit_log.entries(noted.register, stored.source) if e.run_id == stored.facts.run_id]
    judged = [entry for entry in mine if entry.event == "verdict"]
    if not judged or not stored.facts.run_id:
        raise SigningError(
            f"The register must know a run, however the one in {noted.register.folder} has no verdict of "
            f"{stored.facts.run}. Give the register that the run was built with: --register DIR."
        )
    records = tuple(entry.facts["record"] for entry in mine if entry.event in ("waiver", "sign-off"))
    _restore_report(folder, stored, mine, records)
    found = finished_run.digests(folder, _table(folder, stored))
    _check_unchanged(found, _expected(judged[-1], mine), folder)
    attempts = stored.facts.attempts
    target = Target(stored.facts.run, stored.facts.run_id, "" if attempts is None else attempts.entry, found)
    policy, verdict = stored.verdict.policy, stored.verdict
    return Case(
        folder,
        stored,
        noted,
        records,
        target,
        approval_records.standing(policy, verdict, records, target, today=today()),
    )


def _table(folder: RunFolder, stored: Stored) -> Path:
    places = (folder.release, folder.quarantine / "withdrawn", folder.quarantine)
    return next((p / stored.table for p in places if (p / stored.table).is_file()), folder.quarantine / stored.table)


def _expected(verdict: Entry, mine: list[Entry]) -> dict[str, str]:
    """The digests as the register has them: of the verdict, and of the report as the last waiver left it."""
    expected = dict(verdict.facts["digests"])
    for entry in mine:
        if entry.event == "waiver":
            expected["report.html"] = entry.facts["report"]
    return expected


def _check_unchanged(found: Mapping[str, str], expected: Mapping[str, str], folder: RunFolder) -> None:
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


def _restore_report(folder: RunFolder, stored: Stored, mine: list[Entry], records: tuple[Record, ...]) -> None:
    """Write the last waiver into the report, where a process was killed between the register and the report."""
    path = folder.internal / "report.html"
    noted = [entry.facts["report"] for entry in mine if entry.event == "waiver"]
    if noted and path.is_file() and finished_run.sha256(path) != noted[-1]:
        page = _told(path, stored, _waivers(records))
        if finished_run.sha256_of(page) == noted[-1]:
            _replace(path, page)


def _told(report: Path, stored: Stored, waivers: Sequence[Record]) -> str:
    """The report with these waivers in it."""
    return inserted(report.read_text(encoding="utf-8"), fragment(waivers, attempts=stored.facts.attempts))


def _waivers(records: tuple[Record, ...]) -> list[Record]:
    return [each for each in records if each["kind"] == "waiver"]


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
    wanted = "".join(json.dumps(dict(each), ensure_ascii=False) + "\n" for each in case.records)
    found = path.read_text(encoding="utf-8") if path.exists() else ""
    if found == wanted:
        return
    if not wanted.startswith(found):
        raise SigningError(
            f"Decisions are those in the register, however {path} says something else: it was edited, or comes from "
            "another run. Move it away; the next command writes it anew from the register."
        )
    _replace(path, wanted)


def _moved(case: Case) -> Case:
    """Move the table where the decisions say it belongs, if a process was killed before it did."""
    if case.standing.rejection is not None and case.is_released:
        _withdraw(case)
    elif case.standing.may_leave and not case.is_released:
        with suppress(CapError):  # recorded before another release of the source used the budget up
            _release(case)
    return case


def decisions(case: Case) -> Decisions:
    """Waivers in force and approvals that count."""
    return Decisions(tuple(case.standing.waived.values()), tuple(case.standing.approvals.values()))


def _release(case: Case) -> None:
    stored, folder = case.stored, case.folder
    source_history.check_epsilon(case.trail, case.policy, stored.facts)
    release_bundle.stage(folder, folder.quarantine / stored.table, stored.facts, stored.verdict, decisions(case))
    source_history.released(case.trail, case.policy, stored.facts)
    release_bundle.publish(folder)


def _withdraw(case: Case) -> None:
    noted = {"run": case.stored.facts.run, "run_id": case.stored.facts.run_id}
    audit_log.append(case.trail.register, case.trail.source, "withdrawal", noted)
    release_bundle.withdraw(case.folder)


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
        who = Signer(who.reviewer, approval_records.role_in(case.policy, who.role), who.key)
        if seen is not None and seen != case.target:
            raise SigningError(
                "What is signed must be what was read, however the run has changed since the page was opened. Nothing "
                "was recorded. Open it again."
            )
        if decision == "approve":
            approval_records.check_approval(case.policy, case.stored.verdict, case.standing, who)
            source_history.check_epsilon(case.trail, case.policy, case.stored.facts)
        else:
            approval_records.check_key(case.policy, who)
        in_force = tuple(case.standing.waived.values())
        record = approval_records.sign_off(case.target, who, decision, reason, waivers=in_force, now=files.utc_now())
        audit_log.append(case.trail.register, case.trail.source, "sign-off", _noted(case, record))
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
        approval_records.check_waiver(case.policy, case.stored.verdict, who, rule, until, today=today())
        record = approval_records.waiver(case.target, who, rule, until, reason, now=files.utc_now())
        page = _told(case.folder.internal / "report.html", case.stored, [*_waivers(case.records), record])
        noted = {**_noted(case, record), "report": finished_run.sha256_of(page)}
        audit_log.append(case.trail.register, case.trail.source, "waiver", noted)
        return _settled(case)


def _noted(case: Case, record: Record) -> dict[str, Any]:
    return {"run": case.stored.facts.run, "run_id": case.stored.facts.run_id, "record": dict(record)}


def _settled(case: Case) -> Case:
    """See where the run stands after a new entry, and move the table if that is now due."""
    again = _case(case.folder, case.stored, case.trail)
    _restore_copy(again)
    return _moved(again)


def today() -> date:
    """The day in UTC."""
    return datetime.now(UTC).date()
