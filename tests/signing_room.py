"""A finished run made by hand in a moment, without training: what sign-off, hand-off and review begin with."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from sample_report import Sample, sample

from synthrelease.core import files
from synthrelease.core.contracts import Decision, RunFacts, Verdict
from synthrelease.core.contracts import Policy as Rules
from synthrelease.governance import (
    copies_list,
    finished_run,
    policy_file,
    register,
    run_folder,
    source_attempts,
    standing,
)
from synthrelease.governance.approval_records import Signer
from synthrelease.governance.finished_run import Stored
from synthrelease.governance.source_attempts import Trail
from synthrelease.report import internal_report, json_records
from synthrelease.workflows import finish_run

CSV = "".join(f"{n},{n * 7 % 11},{'yes' if n % 3 else 'no'}\n" for n in range(60))
STEWARD = Signer("Ada Example", "data steward")
REVIEWER = Signer("Ben Example", "compliance reviewer")


def rules(name: str = "partner_handoff", **changes: object) -> Rules:
    """A policy of the package, changed."""
    return replace(policy_file.load(name, finish_run.known_checks()), **changes)


def finished(
    folder: Path, where: Path, decision: Decision = "release", rules_: Rules | None = None, **facts: object
) -> Path:
    """A run folder as a build leaves it, noted in the register in ``where``."""
    made = sample(decision)
    chosen = rules_ or rules()
    with run_folder.claimed(folder, force=False, started={}) as run:
        table = written(run.quarantine, int(str(facts.get("copies", 1))))
        noted = Trail(register.opened(where), "ab" * 32, "ward.csv")
        known = replace(made.facts, run=folder.name, run_id=folder.name.ljust(16, "0"), **facts)
        at = source_attempts.begin(noted, chosen, run=known.run, run_id=known.run_id, event="build")
        known = replace(known, attempts=at, digests={**known.digests, "synthetic": files.sha256(table)})
        verdict = replace(made.verdict, policy=chosen)
        files.write_text(run.internal / "policy.toml", chosen.text)
        files.write_json(run.internal / "audit.json", json_records.audit_record(verdict, made.results, known))
        page = internal_report.render(verdict, made.results, known, made.specs)
        files.write_text(run.internal / "report.html", page)
        finished_run.store(run, Stored(verdict, known, table.name, noted.source, noted.name))
        source_attempts.judged(noted, verdict, known, finished_run.digests(run, table))
        run.record("finished", json_records.run_record(verdict, known, 1, 0))
    return folder


def written(folder: Path, copies: int) -> Path:
    """The synthetic table in quarantine, or its copies and their list."""
    if copies == 1:
        files.write_text(folder / "synthetic.csv", "id,score,sick\n" + CSV)
        return folder / "synthetic.csv"
    paths = [folder / copies_list.file_name(copy, "csv") for copy in range(1, copies + 1)]
    for copy, path in enumerate(paths):
        files.write_text(path, "id,score,sick\n" + CSV[10 * copy :].partition("\n")[2])
    return copies_list.write(folder, paths, rows=60, real_rows=80)


def facts_of(folder: Path) -> RunFacts:
    """The facts that a run stored."""
    return finished_run.load(run_folder.RunFolder(folder, ())).facts


def verdict_of(folder: Path) -> Verdict:
    """The verdict that a run stored."""
    return finished_run.load(run_folder.RunFolder(folder, ())).verdict


def unmet(folder: Path) -> list[str]:
    """The blocking rules of a run that are not met."""
    return [standing.rule_name(each) for each in standing.unmet(verdict_of(folder))]


def opened_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the steward waive every rule of the runs that ``finished`` makes."""

    original = sample

    def sampled(decision: Decision) -> Sample:
        made = original(decision)
        rules_ = tuple(
            replace(each, rule=replace(each.rule, waiver_by=("data steward",))) for each in made.verdict.outcomes
        )
        return replace(made, verdict=replace(made.verdict, outcomes=rules_))

    monkeypatch.setattr(f"{__name__}.sample", sampled)
