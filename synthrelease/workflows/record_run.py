"""How a run is filed: its attempt noted, its internal files written, their digests registered, the release made."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from synthrelease.core import diagnostics, files
from synthrelease.core.contracts import Attempts, CheckResult, DigestName, RunFacts, Verdict
from synthrelease.governance import finished_run, release, run_folder, source_attempts
from synthrelease.governance.finished_run import Stored
from synthrelease.governance.run_folder import RunFolder
from synthrelease.governance.source_attempts import Trail
from synthrelease.report import json_records
from synthrelease.workflows.run_context import Run

_log = logging.getLogger(__name__)


@contextmanager
def opened(
    run: Run, out: Path, noted: Trail, *, force: bool, event: Literal["build", "audit"]
) -> Iterator[tuple[RunFolder, Attempts | None]]:
    """Claim the run folder, note the attempt, and tell what was found in the folder; clear it if the run fails.

    Raises:
        CapError: the policy allows the source no further attempt.
        RunFolderError: the folder is taken.
    """
    with run_folder.claimed(out, force=force, started=run.started()) as folder:
        diagnostics.go_on_in(folder.internal / "run.log")
        _log.info("%s %s under %s %s", event, run.run_id, run.policy.name, run.policy.version)
        name = folder.path.resolve().name
        attempts = source_attempts.begin(noted, run.policy, run=name, run_id=run.run_id, event=event)
        for text in folder.notices:
            run.recorder.notice(text)
        yield folder, attempts


@dataclass(frozen=True, slots=True)
class Filing:
    """Where a run is filed: its folder, the table in quarantine, and its trail in the register.

    ``attempts``: what the register knew of the source when the run began. ``digests``: of the table and its inputs.
    """

    folder: RunFolder
    table: Path
    trail: Trail
    attempts: Attempts | None
    digests: Mapping[DigestName, str]

    def write(
        self, run: Run, verdict: Verdict, results: tuple[CheckResult, ...], facts: RunFacts, *, page: str, note: str
    ) -> Stored:
        """Write the internal files; ``page`` is the report, ``note`` what the privacy ledger says."""
        inside = self.folder.internal
        (inside / "schema.toml").write_bytes(run.schema_file.read_bytes())
        files.write_text(inside / "policy.toml", run.policy.text)
        files.write_json(inside / "ledger.json", json_records.ledger_record(facts, note))
        files.write_json(inside / "audit.json", json_records.audit_record(verdict, results, facts))
        files.write_text(inside / "report.html", page)
        stored = Stored(verdict, facts, self.table.name, self.trail.source, self.trail.name)
        finished_run.store(self.folder, stored)
        return stored

    def finish(self, stored: Stored, run_record: Mapping[str, Any]) -> bool:
        """Note the verdict and make the release, where the verdict is release and nobody must sign; say whether.

        Raises:
            RunFolderError: the table is no longer the one that was audited.
            CapError: the release would go beyond the policy's cap on epsilon.
        """
        verdict = stored.verdict
        release.check_table(self.folder, stored)
        bound = finished_run.digests(self.folder, self.table)
        _log.info("verdict: %s", verdict.decision)
        source_attempts.judged(self.trail, verdict, stored.facts, bound)
        self.folder.record("finished", run_record)
        is_released = verdict.decision == "release" and not verdict.policy.sign_off
        if is_released:
            release.release(self.trail, self.folder, stored)
        return is_released
