"""Audit a table that another tool made: the same checks, policy and report as for a build."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

from synthrelease.core.contracts import DigestName, Evidence
from synthrelease.data import learned_categories, splitting, table_reader, table_writer
from synthrelease.data.formats import Place
from synthrelease.evaluation.runner import MINIMUM_ROWS
from synthrelease.governance import policy_file, run_folder
from synthrelease.privacy import claim
from synthrelease.schema import constraints
from synthrelease.schema import schema_file as schema_reader
from synthrelease.workflows import record_run
from synthrelease.workflows.judge import (
    Outcome,
    check_are_files,
    input_digests,
    judge,
    known_checks,
    read_back,
    seed_of,
    source_of,
)
from synthrelease.workflows.prepare_tables import (
    coarse,
    coarsen,
    coded,
    kept_apart,
    training_table,
)
from synthrelease.workflows.record_run import Filing
from synthrelease.workflows.run_context import Listener, Run, Silent, derived
from synthrelease.workflows.run_options import AuditTables, BuildOptions


def audit(
    files: AuditTables,
    *,
    schema_file: Path | str,
    out: Path | str,
    policy_name: str = "partner_handoff",
    options: BuildOptions | None = None,
    listener: Listener | None = None,
) -> Outcome:
    """Put a synthetic table that anything else made through the same checks, policy and report.

    Of ``options`` only ``target``, ``seed``, ``force``, ``register`` and ``source`` apply. Raises as ``build`` does.
    """
    options = options or BuildOptions()
    check_are_files(*(place for _, place in _each(files)))
    rules = policy_file.load(policy_name, known_checks())
    meaning = schema_reader.load(Path(schema_file), target=options.target)
    run = Run(meaning, Path(schema_file), rules, seed_of(options), listener or Silent(), files.synthetic.name)
    coarsen(run, is_audit=True)
    with run.stage("Reading the tables"):
        exact = training_table(run, files.train, minimum_rows=MINIMUM_ROWS)
        apart = [kept_apart(run, place) for place in (files.holdout, files.reference) if place is not None]
        for at, other in enumerate(apart):
            for earlier in (exact, *apart[:at]):
                splitting.check_disjoint(earlier, other)
        train = coarse(run, exact).table
        constraints.check(train)
        known = learned_categories.learned(train, min_cell=rules.min_cell)
        made = coded(run, coarse(run, table_reader.read(files.synthetic, run.wanted, origin="synthetic")), known)
        if made.layout.notice:
            run.notice(made.layout.notice)
        real = [learned_categories.coded(each, known) for each in (train, *(coarse(run, each).table for each in apart))]
    run.generator, run.was_made_here = "unknown", False
    noted = source_of(run, options, exact.digest or files.train)
    with run_folder.claimed(Path(out), force=options.force, started=run.started()) as folder:
        record_run.begin(run, folder, noted, event="audit")
        quarantined = folder.quarantine / f"synthetic.{made.layout.format}"
        # Written anew and not copied: whatever stands in its identifier and text columns is replaced.
        table_writer.write(
            [table_reader.numbered(made.table)], made.layout, quarantined, seed=derived(run.seed, "surrogates")
        )
        if replaced := [column.name for column in known.columns if column not in known.learned]:
            run.notice(f"Replaced in what would be handed over, not learned nor audited: {', '.join(replaced)}.")
        judged = read_back(run, quarantined, known, made.table.outside)
        evidence = Evidence(
            real[0], real[1], judged, derived(run.seed, "audit"), rules.confidence, real[2] if len(real) > 2 else None
        )
        given: dict[DigestName, Path | Place | None] = {"train": files.train, "holdout": files.holdout}
        run.digests |= input_digests(folder, given | {"handed_in": files.synthetic, "reference": files.reference})
        return judge(run, Filing(folder, quarantined, noted), evidence, claim.result(None, made_here=False))


def _each(files: AuditTables) -> Iterator[tuple[str, Path | Place | None]]:
    """The tables of an audit by name."""
    return ((each.name, getattr(files, each.name)) for each in fields(files))
