"""How a run is filed: its attempt noted, its internal files written, their digests registered, the release made."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from synthrelease.core import diagnostics, files
from synthrelease.core.contracts import Attempts, CheckResult, RunFacts, Verdict
from synthrelease.core.errors import RunFolderError
from synthrelease.governance import finished_run, release_bundle, run_folder, source_history
from synthrelease.governance.approvals_html import fragment, inserted
from synthrelease.governance.finished_run import Stored
from synthrelease.governance.run_folder import RunFolder
from synthrelease.governance.source_history import Trail
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
        named = {"run": folder.path.resolve().name, "run_id": run.run_id}
        attempts = source_history.begin(noted, run.policy, named, event=event)
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
    digests: Mapping[str, str]

    def write(
        self, run: Run, verdict: Verdict, results: tuple[CheckResult, ...], facts: RunFacts, *, page: str, note: str
    ) -> None:
        """Write the internal files; ``page`` is the report, ``note`` what the privacy ledger says."""
        inside = self.folder.internal
        (inside / "schema.toml").write_bytes(run.schema_file.read_bytes())
        files.write_text(inside / "policy.toml", run.policy.text)
        files.write_json(inside / "ledger.json", {"claim": facts.privacy, "note": note, "canary": facts.canary})
        files.write_json(inside / "audit.json", json_records.audit_record(verdict, results, facts))
        files.write_text(inside / "report.html", inserted(page, fragment(attempts=facts.attempts)))
        finished_run.store(self.folder, Stored(verdict, facts, self.table.name, self.trail.source, self.trail.name))

    def finish(self, verdict: Verdict, facts: RunFacts, run_record: Mapping[str, Any]) -> bool:
        """Note the verdict and make the release, where the verdict is release and nobody must sign; say whether.

        Raises:
            RunFolderError: the table is no longer the one that was audited.
            CapError: the release would go beyond the policy's cap on epsilon.
        """
        bound = finished_run.digests(self.folder, self.table)
        if bound["table"] != facts.digests["synthetic (SHA-256)"]:
            raise RunFolderError("Only the audited table may leave, however it changed in quarantine. Build again.")
        _log.info("verdict: %s", verdict.decision)
        source_history.judged(self.trail, verdict, facts, bound)
        is_released = verdict.decision == "release" and not verdict.policy.sign_off
        if is_released:
            source_history.released(self.trail, verdict.policy, facts)
            release_bundle.stage(self.folder, self.table, facts, verdict)
        self.folder.record("finished", run_record)
        if is_released:
            release_bundle.publish(self.folder)
        return is_released
