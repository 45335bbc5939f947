"""The planted leaks judged by other tools' own rules. Runs in the environment of ``peers.txt``, without this package.

    python tests/benchmarks/audit_peers.py --tables .cache/audit-peers --out reports

``audit_power.py --export`` has written one folder a table with train.csv, holdout.csv and made.csv. A rule catches a
leak where it says so by the tool's own words:

- SDMetrics ``DCROverfittingProtection``: the score, the share of rows not closer to training, lies below 1 by more than
  chance allows (5%, for as many rows as the table has).
- SDMetrics ``NewRowSynthesis``: the score lies below 1, as some synthetic row is in the training data.
- Anonymeter: an attack's lower 95% bound of risk lies above 0 (singling out by one or several columns, linkability,
  inference of one column).
- mostlyai-qa: the DCR share lies above one half, or identical matches with training rows outnumber those with holdout
  rows, by more than chance allows (5%).
"""

from __future__ import annotations

import argparse
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import binomtest

warnings.filterwarnings("ignore")
ATTACKS = 200
FIELDS = ["table", "n", "leak", "seed", "rule", "caught", "seconds", "note"]
SIZES = (500, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000)
MOST_SECONDS = 300.0


def sdmetrics_dcr(train: pd.DataFrame, holdout: pd.DataFrame, made: pd.DataFrame) -> bool:
    """A one-sided test at 5% that more than half of the rows lie closer to training rows."""
    from sdmetrics.single_table import DCROverfittingProtection

    found = DCROverfittingProtection.compute_breakdown(
        real_training_data=train,
        synthetic_data=made,
        real_validation_data=holdout,
        metadata=_metadata(train),
        table_name="table",
    )
    closer = float(found["synthetic_data_percentages"]["closer_to_training"])
    return closer > 0.5 + 1.645 * 0.5 / np.sqrt(len(made))


def sdmetrics_new_rows(train: pd.DataFrame, holdout: pd.DataFrame, made: pd.DataFrame) -> bool:
    """Any synthetic row that matches a training row."""
    from sdmetrics.single_table import NewRowSynthesis

    return float(NewRowSynthesis.compute(train, made, _metadata(train), table_name="table")) < 1.0


def anonymeter(train: pd.DataFrame, holdout: pd.DataFrame, made: pd.DataFrame) -> bool:
    """Any of four attacks with a risk above 0 by its 95% interval."""
    from anonymeter.evaluators import InferenceEvaluator, LinkabilityEvaluator, SinglingOutEvaluator

    names, attacks = list(train.columns), min(ATTACKS, len(train) // 2)
    sets = (names[::2], names[1::2])
    runs: list[Callable[[], Any]] = [
        lambda: _evaluated(SinglingOutEvaluator(train, made, control=holdout, n_attacks=attacks), mode="univariate"),
        lambda: _evaluated(SinglingOutEvaluator(train, made, control=holdout, n_attacks=attacks), mode="multivariate"),
        lambda: _evaluated(
            LinkabilityEvaluator(train, made, aux_cols=sets, control=holdout, n_attacks=attacks, n_neighbors=1)
        ),
        lambda: _evaluated(
            InferenceEvaluator(train, made, aux_cols=names[:-1], secret=names[-1], control=holdout, n_attacks=attacks)
        ),
    ]
    lows = []
    for one in runs:
        try:
            lows.append(one().risk().ci[0])
        except RuntimeError:  # an attack that found no predicate says nothing
            continue
    return any(low > 0 for low in lows)


def _evaluated(evaluator: Any, **how: Any) -> Any:
    return evaluator.evaluate(**how)


@lru_cache(maxsize=1)
def _mostly(folder: Path) -> Any:
    """The distances of mostlyai-qa's report on the tables of a folder."""
    from mostlyai import qa

    train, holdout, made = (pd.read_csv(folder / f"{side}.csv") for side in ("train", "holdout", "made"))
    with tempfile.TemporaryDirectory() as place:
        _, metrics = qa.report(
            syn_tgt_data=made, trn_tgt_data=train, hol_tgt_data=holdout, report_path=str(Path(place) / "r.html")
        )
    return metrics.distances


def mostly_share(folder: Path, rows: int) -> bool:
    """A one-sided test at 5% that more than half of the rows lie closer to training rows."""
    return float(_mostly(folder).dcr_share) > 0.5 + 1.645 * 0.5 / np.sqrt(rows)


def mostly_matches(folder: Path, rows: int) -> bool:
    """More identical matches with training rows than with holdout rows, one-sided test at 5%."""
    found = _mostly(folder)
    ours, theirs = (round(float(share) * rows) for share in (found.ims_training, found.ims_holdout))
    return ours + theirs > 0 and binomtest(ours, ours + theirs, 0.5, alternative="greater").pvalue < 0.05


RULES = {
    "SDMetrics DCROverfittingProtection": sdmetrics_dcr,
    "SDMetrics NewRowSynthesis": sdmetrics_new_rows,
    "Anonymeter, any of four attacks": anonymeter,
}
OF_A_FOLDER = {
    "mostlyai-qa DCR share": mostly_share,
    "mostlyai-qa identical matches": mostly_matches,
}


def _metadata(frame: pd.DataFrame) -> dict[str, Any]:
    kinds = {name: "numerical" if pd.api.types.is_numeric_dtype(frame[name]) else "categorical" for name in frame}
    return {"tables": {"table": {"columns": {name: {"sdtype": kind} for name, kind in kinds.items()}}}}


def judged(folder: Path) -> Iterator[dict[str, Any]]:
    """Each rule's answer on one exported table."""
    table, n, leak, seed = folder.name.split("__")
    train, holdout, made = (pd.read_csv(folder / f"{side}.csv") for side in ("train", "holdout", "made"))
    rules = {name: partial(rule, train, holdout, made) for name, rule in RULES.items()}
    rules |= {name: partial(rule, folder, len(made)) for name, rule in OF_A_FOLDER.items()}
    for name, answer in rules.items():
        started = time.perf_counter()
        try:
            caught, note = bool(answer()), ""
        except Exception as error:  # a peer that fails is shown, not hidden
            caught, note = False, f"failed: {type(error).__name__}"
        seconds = round(time.perf_counter() - started, 2)
        yield dict(zip(FIELDS, (table, int(n), leak, int(seed), name, caught, seconds, note), strict=True))


def largest_dcr() -> Iterator[dict[str, Any]]:
    """How long SDMetrics' DCR takes as tables grow, until one takes longer than five minutes or fails."""
    rng = np.random.default_rng(0)
    for n in SIZES:
        sides = [pd.DataFrame(rng.normal(size=(n, 15)), columns=[f"n{i}" for i in range(15)]) for _ in range(3)]
        started = time.perf_counter()
        note = ""
        try:
            sdmetrics_dcr(*sides)
        except Exception as error:  # running out of memory is an answer here
            note = f"failed: {type(error).__name__}"
        seconds = round(time.perf_counter() - started, 2)
        row = ("15 numbers", n, "none", 0, "SDMetrics DCROverfittingProtection", False, seconds, note)
        yield dict(zip(FIELDS, row, strict=True))
        if note or seconds > MOST_SECONDS:
            return


def main() -> None:
    """Judge every exported table and write ``audit-peers.csv``; what was judged before is kept."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tables", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("reports"))
    chosen = parser.parse_args()
    path = chosen.out / "audit-peers.csv"
    rows = pd.read_csv(path, keep_default_na=False).to_dict("records") if path.exists() else []
    there = {(r["table"], int(r["n"]), r["leak"], int(r["seed"])) for r in rows}
    if not any(key[0] == "15 numbers" for key in there):
        rows += list(largest_dcr())
    for folder in sorted(chosen.tables.glob("*__*__*__*"), key=lambda path: path.name.split("__")[:0:-1]):
        table, n, leak, seed = folder.name.split("__")
        if (table, int(n), leak, int(seed)) not in there:
            rows += list(judged(folder))
            pd.DataFrame(rows, columns=FIELDS).to_csv(path, index=False)
            print(
                folder.name,
                [(r["rule"], r["caught"], r["seconds"], r["note"]) for r in rows[-len(RULES) - len(OF_A_FOLDER) :]],
                flush=True,
            )
    shares = pd.DataFrame(rows, columns=FIELDS).groupby(["n", "leak", "rule"])["caught"].agg(["sum", "size"])
    print(shares.to_string())


if __name__ == "__main__":
    main()
