"""Run every check on the evidence. Runs no generator, so any vendor's table is judged alike."""

from __future__ import annotations

import logging
import time
import zlib
from collections.abc import Callable, Iterable
from dataclasses import replace

from threadpoolctl import threadpool_limits

from synthrelease.core import diagnostics
from synthrelease.core.contracts import MINIMUM_ROWS, CheckResult, Evidence
from synthrelease.evaluation import checks
from synthrelease.evaluation.statistics import pair_distance

_log = logging.getLogger(__name__)
WORTH_SAYING = 5.0
ROWS_WORTH_THREADS = 30_000

NOT_TESTED = (
    "Any attack but those named here: a cleverer one may succeed, and no test of this kind can prove safety.",
    "What several visits of one patient give away together: a patient is judged by the most exposed visit alone.",
    "What this table and other releases about the same patients give away together.",
)


def run(
    evidence: Evidence, *, only: Iterable[str] | None = None, on_check: Callable[[str], None] = lambda _: None
) -> tuple[CheckResult, ...]:
    """Run all checks (or those named in ``only``), each with a seed of its own.

    A check that crashes gives a ``crashed`` result, which no rule accepts; it never leaves a gap.
    """
    chosen = checks.registry() if only is None else {name: checks.registry()[name] for name in only}
    results: list[CheckResult] = []
    trainings, alike = _trainings(evidence), evidence.proportional
    if evidence.copies:
        alike = evidence.copies[pair_distance.least_like(evidence.copies, evidence.train)]
    left = sum(check.spec.cost for check in chosen.values())
    ahead = sum(trainings.get(name, 0.0) for name in chosen)
    spent, done = 0.0, 0.0
    with threadpool_limits(1 if _is_small(evidence) else None):
        for name, check in chosen.items():
            pace = spent / done if done else 0.0
            on_check(f"{check.spec.title} ({len(results) + 1} of {len(chosen)}{_time_left(pace * left + ahead)})")
            seen = replace(evidence, seed=evidence.seed ^ zlib.crc32(name.encode()))
            if alike is not None and check.spec.family in ("fidelity", "utility"):
                seen = replace(seen, synthetic=alike)
            results.append(_one(check, seen))
            left -= check.spec.cost
            ahead -= trainings.get(name, 0.0)
            if name not in trainings:
                spent, done = spent + results[-1].seconds, done + check.spec.cost
    return tuple(results)


def _is_small(evidence: Evidence) -> bool:
    """Whether threads would wait for one another longer than they work, for minutes where other work has the cores."""
    return sum(len(table) for table in (evidence.train, evidence.holdout, evidence.synthetic)) < ROWS_WORTH_THREADS


def _trainings(evidence: Evidence) -> dict[str, float]:
    """Seconds that checks will spend on training the generator again, by the name of the check."""
    refits = evidence.refits
    if refits is None:
        return {}
    times = {"shadow": refits.shadow_models, "cross_audit": refits.folds, "effects": int(refits.null_columns > 0)}
    return {name: count * refits.seconds for name, count in times.items()}


def _time_left(seconds: float) -> str:
    """How long the rest may take at the pace so far, in words; nothing where that is not known or too short to say."""
    if seconds < WORTH_SAYING:
        return ""
    return f", about {seconds / 60:.0f} min left" if seconds > 90 else f", about {seconds:.0f} s left"


def _one(check: checks.Check, evidence: Evidence) -> CheckResult:
    name = check.spec.name
    fewest = min(len(table) for table in (evidence.train, evidence.holdout, evidence.synthetic))
    if fewest < MINIMUM_ROWS:
        note = f"Every table must hold at least {MINIMUM_ROWS} rows, however the smallest one holds {fewest}."
        return CheckResult(name, "too_few_rows", n=fewest, note=note)
    started = time.perf_counter()
    try:
        result = check.measure(evidence)
    except Exception as error:  # the one place: a crash must become a result, and its message may hold a cell
        _log.error("%s crashed\n%s", name, diagnostics.way(error))
        where = f"{diagnostics.kind(error)} in {diagnostics.where(error)}"
        note = f"{where}; the log has the way there. Please report it; no rule is met by it."
        return CheckResult(name, "crashed", seconds=time.perf_counter() - started, note=note)
    _log.info("%s: %s on %d rows, %.2f s", name, result.status, result.n, time.perf_counter() - started)
    return replace(result, seconds=time.perf_counter() - started)
