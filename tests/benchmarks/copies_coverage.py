"""How often intervals from copies hold the truth: simulated cohorts of 1,000 patients whose population is known.

    python tests/benchmarks/copies_coverage.py --out reports/benchmarks --cohorts 60

Each cohort is drawn anew; the default generator learns from it (effort "fast"), and copies are made as ``build
--copies`` makes them. Five and ten of them are combined (``report.combining``); of every third cohort twenty as well,
and copies of five times the rows. 95% intervals are held against the truth, the estimates of two million patients:
means, proportions, linear and logistic coefficients. Beside them stand the intervals of the cohort itself, and those of
a single table of the same generator: plain ones, and by the rule for one table.

One line of ``copies.jsonl`` is one cohort (figures, no rows), so a run that was stopped goes on where it was;
``copies.csv`` and ``copies.html`` are made of all lines. No part of CI.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from synthrelease.core.contracts import Column, FitSettings, Fitted, Schema, Table
from synthrelease.report import combining
from synthrelease.synthesis import copies as made_copies
from synthrelease.synthesis.generators.autoregressive_gan import generator as gan

ROWS, FAST = 1_000, 0.3
COPIES, TIMES = (5, 10, 20), (1, 5)
SELDOM = 3
"""One cohort of so many has everything, the others ten copies of as many rows: those take the time."""
TRUTH_ROWS = 2_000_000
STAGES = ("I", "II", "III")


def cohort(rows: int, seed: int) -> pd.DataFrame:
    """Draw patients: dependent numbers, one of them skewed, labels of two and three kinds, and an outcome."""
    rng = np.random.default_rng([seed, 7])
    age = rng.normal(58, 12, rows)
    woman = rng.random(rows) < 0.55
    bmi = 22 + 0.06 * age + 1.2 * woman + rng.normal(0, 3.5, rows)
    smoker = rng.random(rows) < _chance(-0.3 - 0.03 * (age - 58) - 0.5 * woman)
    marker = np.exp(0.4 + 0.01 * (age - 58) + 0.4 * smoker + rng.normal(0, 0.5, rows))
    stage = (rng.random(rows) < _chance(-0.2 + 0.5 * (marker - 1.8))).astype(int)
    stage += (rng.random(rows) < _chance(-1.2 + 0.02 * (age - 58))).astype(int)
    risk = (
        -1.6 + 0.04 * (age - 58) + 0.08 * (bmi - 26) + 0.7 * smoker - 0.4 * woman + 0.3 * (marker - 1.8) + 0.4 * stage
    )
    ill = rng.random(rows) < _chance(risk)
    return pd.DataFrame(
        {
            "age": np.round(age),
            "woman": _labels(woman, ("no", "yes")),
            "bmi": np.round(bmi, 1),
            "smoker": _labels(smoker, ("no", "yes")),
            "marker": np.round(marker, 2),
            "stage": _labels(stage, STAGES),
            "ill": _labels(ill, ("no", "yes")),
        }
    )


def _chance(logit: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-logit))


def _labels(codes: np.ndarray, names: tuple[str, ...]) -> pd.Categorical:
    return pd.Categorical.from_codes(np.asarray(codes, dtype=int), categories=list(names))


def schema() -> Schema:
    """What the columns mean."""
    two = ("no", "yes")
    columns = (
        Column("age", "integer"),
        Column("woman", "boolean", categories=two),
        Column("bmi", "numeric"),
        Column("smoker", "boolean", categories=two),
        Column("marker", "numeric"),
        Column("stage", "ordinal", categories=STAGES),
        Column("ill", "boolean", categories=two),
    )
    return Schema(columns, target="ill")


@dataclass(frozen=True)
class Estimates:
    """What one table says: names, kinds, estimates and their plain variances, (estimates,) each."""

    names: tuple[str, ...]
    kinds: tuple[str, ...]
    found: np.ndarray
    variances: np.ndarray


Fit = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]


def estimates(frame: pd.DataFrame) -> Estimates:
    """Estimate everything on one table."""
    found = [(f"mean of {name}", "mean", *_mean(frame[name].to_numpy())) for name in ("age", "bmi", "marker")]
    shares = [("woman", "yes"), ("smoker", "yes"), ("stage", "II"), ("stage", "III"), ("ill", "yes")]
    found += [
        (f"share of {name} {label}", "proportion", *_share((frame[name] == label).to_numpy())) for name, label in shares
    ]
    for outcome, before, fit in (
        ("bmi", ("age", "woman", "smoker"), linear),
        ("marker", ("age", "smoker"), linear),
        ("smoker", ("age", "woman"), logistic),
        ("ill", ("age", "woman", "bmi", "smoker", "marker", "stage"), logistic),
    ):
        design = np.column_stack([np.ones(len(frame)), *(_number(frame, name) for name in before)])
        values, variances = fit(design, _number(frame, outcome))
        kind = "linear coefficient" if fit is linear else "logistic coefficient"
        found += [
            (f"{outcome} on {name}", kind, value, variance)
            for name, value, variance in zip(before, values[1:], variances[1:], strict=True)
        ]
    names, kinds, values, variances = zip(*found, strict=True)
    return Estimates(names, kinds, np.array(values), np.array(variances))


def _number(frame: pd.DataFrame, name: str) -> np.ndarray:
    column = frame[name]
    codes = column.cat.codes if isinstance(column.dtype, pd.CategoricalDtype) else column
    return codes.to_numpy(dtype=float)


def _mean(values: np.ndarray) -> tuple[float, float]:
    return float(values.mean()), float(values.var(ddof=1) / len(values))


def _share(held: np.ndarray) -> tuple[float, float]:
    return float(held.mean()), float(held.mean() * (1 - held.mean()) / len(held))


def linear(design: np.ndarray, outcome: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Least squares: coefficients and their plain variances."""
    inverse = np.linalg.inv(design.T @ design)
    values = inverse @ (design.T @ outcome)
    spread = ((outcome - design @ values) ** 2).sum() / (len(design) - design.shape[1])
    return values, spread * np.diag(inverse)


def logistic(design: np.ndarray, outcome: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Maximum likelihood by Newton's steps: coefficients and their plain variances."""
    middle, scale = design.mean(axis=0), design.std(axis=0)
    middle[0], scale[0] = 0.0, 1.0
    scaled, values = (design - middle) / scale, np.zeros(design.shape[1])
    for _ in range(25):
        chance = _chance(scaled @ values)
        bend = scaled.T @ (scaled * (chance * (1 - chance))[:, None])
        values = values + np.linalg.solve(bend, scaled.T @ (outcome - chance))
    return values / scale, np.diag(np.linalg.inv(bend)) / scale**2


@cache
def truth() -> Estimates:
    """What two million patients say."""
    return estimates(cohort(TRUTH_ROWS, seed=-1 % 2**32))


def one_cohort(seed: int) -> dict[str, Any]:
    """Make the copies of one cohort, and return what each of them says, at each number of rows."""
    real = Table(cohort(ROWS, seed), schema(), "real")
    settings = FitSettings(seed, effort=FAST)
    first = gan.fit(real, settings, _unheard)
    is_whole = seed % SELDOM == 0
    said: dict[int, list[Estimates]] = {times: [] for times in (TIMES if is_whole else TIMES[:1])}
    for copy in range(COPIES[-1] if is_whole else COPIES[-2]):
        own = made_copies.settings_of(first.description, settings, seed=1_000 * (seed + 1) + copy)
        fitted = gan.fit(real, own, _unheard)
        for times in said:
            said[times].append(_drawn(fitted, times, own.seed))
    plain = estimates(real.frame)
    single = {str(times): _told(_drawn(first, times, seed)) for times in said}
    return {
        "cohort": seed,
        "single": single,
        "real": _told(plain),
        "copies": {str(times): [_told(each) for each in found] for times, found in said.items()},
    }


def _drawn(fitted: Fitted, times: int, seed: int) -> Estimates:
    """What a table of so many times the cohort's rows says."""
    return estimates(pd.concat(list(fitted.sample(times * ROWS, seed=seed)), ignore_index=True))


def _told(found: Estimates) -> dict[str, list[float]]:
    return {name: [float(f"{each:.7g}") for each in getattr(found, name)] for name in ("found", "variances")}


def _unheard(step: object) -> None:
    """Progress is nobody's concern here."""


def read_as(line: dict[str, Any]) -> Iterator[tuple[str, int, int, combining.Combined]]:
    """Yield every way in which a cohort's tables are read: its name, copies, times the rows, and what comes out."""
    yield "the cohort itself", 0, 1, _plain(line["real"])
    for times in map(int, line["copies"]):
        rows, single = times * ROWS, line["single"][str(times)]
        yield "one table, plain", 1, times, _plain(single)
        by_rule = combining.one_table(single["found"], single["variances"], rows=rows, real_rows=ROWS)
        yield "one table, by its rule", 1, times, by_rule
        said = line["copies"][str(times)]
        found, variances = (np.array([each[name] for each in said]) for name in ("found", "variances"))
        for copies in (each for each in COPIES if each <= len(said)):
            combined = combining.combine(found[:copies], variances[:copies], rows=rows, real_rows=ROWS)
            yield "copies combined", copies, times, combined


def _plain(said: dict[str, list[float]]) -> combining.Combined:
    found = np.array(said["found"])
    return combining.Combined(found, np.array(said["variances"]), np.full(found.shape, np.inf))


def summary(lines: list[dict[str, Any]]) -> pd.DataFrame:
    """One row for each way of reading and each estimate: coverage, mean bias and mean length against the cohort's."""
    known = truth()
    rows = []
    for line in lines:
        length = None
        for name, copies, times, combined in read_as(line):
            low, high = combined.interval()
            length = high - low if length is None else length
            for at, estimate in enumerate(known.names):
                rows.append(
                    {
                        "read as": name, "copies": copies, "times": times,
                        "kind": known.kinds[at], "estimate": estimate,
                        "covered": float(low[at] <= known.found[at] <= high[at]),
                        "off": float((combined.estimate[at] - known.found[at]) / combined.standard_error[at]),
                        "length": float((high[at] - low[at]) / length[at]),
                    }
                )  # fmt: skip
    keys = ["read as", "copies", "times", "kind", "estimate"]
    found = pd.DataFrame(rows).groupby(keys, sort=False).agg(
        covered=("covered", "mean"), bias=("off", "mean"), length=("length", "mean"), cohorts=("covered", "size")
    )  # fmt: skip
    return found.reset_index()


def by_kind(found: pd.DataFrame) -> pd.DataFrame:
    """Coverage and mean absolute bias by kind of estimate, and the estimate that is covered least."""
    grouped = found.assign(size=found["bias"].abs()).groupby(["read as", "copies", "times", "kind"], sort=False)
    return grouped.agg(
        covered=("covered", "mean"), least=("covered", "min"), bias=("size", "mean"), length=("length", "mean"),
        cohorts=("cohorts", "first"),
    ).reset_index()  # fmt: skip


_HEAD = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Coverage of copies</title>
<style>body{font:15px/1.5 system-ui,sans-serif;margin:2em auto;max-width:60em;padding:0 1em}
table{border-collapse:collapse}td,th{padding:.2em .8em;border-bottom:1px solid #ccc;text-align:left}
td.n{text-align:right;font-variant-numeric:tabular-nums}</style>
<h1>How often intervals from copies hold the truth</h1>"""
_TEXT = """<p>{cohorts} simulated cohorts of 1,000 patients, effort "fast", 95% intervals of {estimates} estimates,
made by <code>tests/benchmarks/copies_coverage.py</code>. The truth is what two million patients say. Coverage: the
share of
intervals that hold it; the standard error of a kind's is about {error:.1%} at most. Bias: the mean distance from the
truth in standard errors, averaged over the estimates of a kind without its sign (chance alone leaves {chance:.2f}).
Length: of the intervals, against those of the cohort itself.</p>"""


def write(out: Path, lines: list[dict[str, Any]]) -> None:
    """Write ``copies.csv`` and ``copies.html`` of all cohorts so far."""
    found = summary(lines)
    found.round(4).to_csv(out / "copies.csv", index=False)
    kinds = by_kind(found)
    said = _TEXT.format(
        cohorts=len(lines), estimates=len(truth().names),
        error=(0.05 * 0.95 / len(lines)) ** 0.5, chance=0.8 / len(lines) ** 0.5,
    )  # fmt: skip
    heads = ("Read as", "Copies", "Rows", "Kind", "Coverage", "Least covered estimate", "Bias", "Length", "Cohorts")
    body = "".join(_line(row) for _, row in kinds.iterrows())
    head = "".join(f"<th scope=col>{each}" for each in heads)
    (out / "copies.html").write_text(f"{_HEAD}{said}<table><tr>{head}{body}</table></html>\n", encoding="utf-8")
    print(kinds.round(3).to_string())


def _line(row: pd.Series) -> str:
    """One way of reading one kind of estimate, as a line of the table."""
    words = [escape(str(row["read as"])), row.copies or "", f"{row.times}x", escape(row.kind)]
    numbers = [f"{row.covered:.3f}", f"{row.least:.3f}", f"{row.bias:.2f}", f"{row.length:.2f}", row.cohorts]
    return "<tr>" + "".join(f"<td>{each}" for each in words) + "".join(f"<td class=n>{each}" for each in numbers)


def main() -> None:
    """Go on where an earlier run stopped, and write the page."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--out", type=Path, default=Path("reports/benchmarks"))
    options.add_argument("--lines", type=Path, default=None, help="finished cohorts  [default: OUT/copies.jsonl]")
    options.add_argument("--cohorts", type=int, default=60)
    options.add_argument("--from", dest="first", type=int, default=0, help="the first cohort, to share the work")
    options.add_argument("--no-page", action="store_true", help="only add cohorts")
    asked = options.parse_args()
    journal = asked.lines or asked.out / "copies.jsonl"
    lines = [json.loads(line) for line in journal.read_text().splitlines()] if journal.exists() else []
    done = {line["cohort"] for line in lines}
    for seed in range(asked.first, asked.first + asked.cohorts):
        if seed in done:
            continue
        lines.append(one_cohort(seed))
        with journal.open("a", encoding="utf-8") as file:
            file.write(json.dumps(lines[-1]) + "\n")
        print(f"cohort {seed} done", flush=True)
    if not asked.no_page:
        write(asked.out, lines)


if __name__ == "__main__":
    main()
