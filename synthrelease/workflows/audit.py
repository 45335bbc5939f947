"""Audit a table that another tool made: the same checks, policy and report as for a build."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from synthrelease.core import diagnostics
from synthrelease.core.contracts import MINIMUM_ROWS, DigestName, Evidence, Split
from synthrelease.data import learned_categories, splitting, table_reader, table_writer
from synthrelease.data.formats import Place
from synthrelease.governance import policy_file
from synthrelease.schema import constraints
from synthrelease.schema import schema_file as schema_reader
from synthrelease.workflows import record_run
from synthrelease.workflows.finish_run import Outcome, input_digests, judge, known_checks, read_back, source_of
from synthrelease.workflows.prepare_tables import (
    check_analyses,
    check_are_files,
    coarse,
    coded,
    kept_apart,
    training_table,
)
from synthrelease.workflows.record_run import Filing
from synthrelease.workflows.run_context import MADE_ELSEWHERE, Listener, Production, begun, without_shifts
from synthrelease.workflows.run_options import AuditTables, BuildOptions


@diagnostics.recorded()
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
    check_are_files(files.train, files.holdout, files.synthetic, files.reference)
    rules = policy_file.load(policy_name, known_checks())
    meaning = schema_reader.load(Path(schema_file), target=options.target)
    begin = begun(
        meaning,
        rules,
        schema_file=Path(schema_file),
        source=files.synthetic.name,
        options=options,
        listener=listener,
    )
    run = without_shifts(begin)
    with run.recorder.stage("Reading the tables"):
        exact = training_table(run, files.train, minimum_rows=MINIMUM_ROWS)
        apart = [kept_apart(run, place) for place in (files.holdout, files.reference) if place is not None]
        for at, other in enumerate(apart):
            for earlier in (exact, *apart[:at]):
                splitting.check_disjoint(earlier, other)
        train = coarse(run, exact).table
        constraints.check(train)
        known = learned_categories.learned(train, min_cell=rules.min_cell)
        handed = table_reader.read(files.synthetic, run.wanted, origin="synthetic", cells="lenient")
        made = coded(run, coarse(run, handed), known)
        if made.style.format.notice:
            run.recorder.notice(made.style.format.notice)
        real = [learned_categories.coded(each, known) for each in (train, *(coarse(run, each).table for each in apart))]
        check_analyses(Split(real[0], real[1]))
    content = exact.digest or files.train
    noted = source_of(run, options, content)
    with record_run.opened(run, Path(out), noted, force=options.force, event="audit") as (folder, attempts):
        quarantined = folder.quarantine / f"synthetic.{made.style.format.suffix}"
        # Written anew and not copied: whatever stands in its identifier and text columns is replaced.
        table_writer.write(
            [table_reader.numbered(made.table)], known, made.style, quarantined, seed=run.derived("surrogates")
        )
        if replaced := [column.name for column in known.columns if column not in known.learned]:
            run.recorder.notice(
                f"Replaced in what would be handed over, not learned nor audited: {', '.join(replaced)}."
            )
        judged, digests = read_back(quarantined, known)
        judged = replace(judged, outside={**judged.outside, **made.table.outside})
        evidence = Evidence(
            real[0], real[1], judged, run.derived("audit"), rules.confidence, real[2] if len(real) > 2 else None
        )
        given: dict[DigestName, Path | Place | None] = {"train": files.train, "holdout": files.holdout}
        given |= {"handed_in": files.synthetic, "reference": files.reference}
        digests |= input_digests(folder.internal, given)
        filed = Filing(folder, quarantined, noted, attempts, digests)
        return judge(run, filed, produced=Production(MADE_ELSEWHERE, was_made_here=False), evidence=evidence)
