"""The end of every run: audit, decide, write the internal files, release if nobody must sign."""

from __future__ import annotations

import platform
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from synthrelease.core import files as whole_files
from synthrelease.core.contracts import (
    CheckResult,
    CheckSpec,
    DigestName,
    Evidence,
    LearnedSchema,
    RunFacts,
    Table,
    Verdict,
)
from synthrelease.data import fingerprint, table_reader
from synthrelease.data.fingerprint import Content
from synthrelease.evaluation import checks
from synthrelease.evaluation.runner import NOT_TESTED
from synthrelease.evaluation.runner import run as run_checks
from synthrelease.governance import gate, source_attempts
from synthrelease.governance.source_attempts import Trail
from synthrelease.privacy import claim
from synthrelease.report import internal_report, json_records
from synthrelease.workflows.record_run import Filing
from synthrelease.workflows.run_context import Production, Run
from synthrelease.workflows.run_options import BuildOptions

EXIT_CODES: Mapping[str, int] = {"release": 0, "refuse": 3, "undecided": 4}


@dataclass(frozen=True, slots=True)
class Outcome:
    """A finished run: the verdict, what it rests on, and where it lies. ``released`` is the released table, if any."""

    verdict: Verdict
    results: tuple[CheckResult, ...]
    facts: RunFacts
    folder: Path
    released: Path | None

    @property
    def exit_code(self) -> int:
        """0 release, 3 refuse, 4 undecided."""
        return EXIT_CODES[self.verdict.decision]

    @property
    def report(self) -> Path:
        """The internal report."""
        return self.folder / "internal" / "report.html"


@dataclass(frozen=True, slots=True)
class Written:
    """What lies in quarantine, as it was read back: ``path`` is the table, or the list of ``copies``.

    ``made`` holds the rows of all copies; ``digests`` is that of ``path``.
    """

    path: Path
    made: Table
    digests: dict[DigestName, str]
    copies: tuple[Table, ...] = ()


def read_back(path: Path, meaning: LearnedSchema) -> tuple[Table, dict[DigestName, str]]:
    """Read the table in quarantine and take its digest: what is audited is what would be handed over."""
    digests: dict[DigestName, str] = {"synthetic": whole_files.sha256(path)}
    return table_reader.read(path, meaning, origin="synthetic", cells="lenient").table, digests


def source_of(run: Run, options: BuildOptions, what: Content) -> Trail:
    """Find the source in the register, and refuse it before anything is written if the policy's caps are reached."""
    found = source_attempts.of_source(options.register, what, name=run.source, alias=options.source)
    source_attempts.check(found, run.policy, asked=options.epsilon or 0.0)
    return found


def judge(run: Run, filed: Filing, *, produced: Production, evidence: Evidence) -> Outcome:
    """Audit, decide, write the internal files, and release the table if the verdict says so and nobody must sign."""
    told = run.recorder
    ledger = claim.result(produced.claim, units=evidence.train.unit_count, made_here=produced.was_made_here)
    with told.stage("Auditing the synthetic table"):
        results = (*run_checks(evidence, on_check=lambda title: told.listener.stage(f"  {title}")), ledger)
    verdict = gate.decide(run.policy, results, known_checks())
    facts = _facts(run, filed, produced, evidence)
    with told.stage("Writing the report"):
        page = internal_report.render(verdict, results, facts, known_checks())
        stored = filed.write(run, verdict, results, facts, page=page, note=ledger.note)
    is_released = filed.finish(stored, json_records.run_record(verdict, facts, run.seed, EXIT_CODES[verdict.decision]))
    released = filed.folder.release / filed.table.name if is_released else None
    return Outcome(verdict, results, facts, filed.folder.path, released)


def known_checks() -> Mapping[str, CheckSpec]:
    """Every check that a policy's rule may name: those that are measured, and the privacy ledger."""
    return {**checks.specs(), claim.SPEC.name: claim.SPEC}


def input_digests(internal: Path, files: Mapping[DigestName, Content | None]) -> dict[DigestName, str]:
    """HMAC-SHA256 of the real files under a key that stays inside: a plain hash of a small table can be guessed."""
    key = secrets.token_bytes(32)
    whole_files.write_text(internal / "digest.key", key.hex() + "\n")
    (internal / "digest.key").chmod(0o600)
    return {name: fingerprint.digest(path, key) for name, path in files.items() if path is not None}


def _facts(run: Run, filed: Filing, produced: Production, evidence: Evidence) -> RunFacts:
    meaning = run.schema
    sizes = {"train": evidence.train, "holdout": evidence.holdout, "synthetic": evidence.synthetic}
    digests: dict[DigestName, str] = {
        **filed.digests,
        "schema": meaning.digest,
        "policy": run.policy.digest,
    }
    return RunFacts(
        run=filed.folder.path.resolve().name,
        source=run.source,
        created=run.created,
        purpose=meaning.purpose or "not stated in the schema",
        generator=produced.generator,
        was_made_here=produced.was_made_here,
        settings=dict(produced.settings),
        rows={name: len(table) for name, table in sizes.items()},
        columns=json_records.column_facts(meaning, was_made_here=produced.was_made_here),
        target=meaning.target,
        unit="row" if meaning.unit is None else f"patient (column {meaning.unit})",
        digests=digests,
        versions={name: metadata.version(name) for name in ("synthrelease", *produced.packages)}
        | {"python": platform.python_version()},
        seconds=dict(run.recorder.seconds),
        not_tested=NOT_TESTED,
        notices=tuple(run.recorder.notices),
        history=produced.history,
        run_id=run.run_id,
        attempts=filed.attempts,
        contact=meaning.contact,
        terms=meaning.terms,
        privacy=claim.facts(produced.claim),
        canary=None if produced.canary is None else produced.canary.facts(),
        labels_are_sharpened=produced.labels_are_sharpened,
        copies=produced.copies,
        signals=produced.signals,
    )
