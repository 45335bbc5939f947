"""The CSV and the page of ``audit_power``: detection and false-alarm rates with exact intervals."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

STYLE = """ body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 75rem; padding: 0 1rem; color:
#1a1a1a; } table { border-collapse: collapse; margin: 1rem 0 2rem; } th, td { border: 1px solid #ccc; padding: .25rem
.5rem; text-align: right; } th:first-child, td:first-child { text-align: left; } thead th { background: #f2f2f2;
position: sticky; top: 0; } td.all { background: #bfe3c8; } td.most { background: #e3f1d2; } td.some { background:
#fbeec2; } td.few { background: #f6cfc4; } td.short { outline: 3px solid #a11; outline-offset: -3px; } caption { text-
align: left; font-weight: 600; padding: .5rem 0; } .muted { color: #555; }
"""
GOALS = {
    10_000: dict.fromkeys(("copies_0.5", "copies_1", "copies_2", "copies_5", "copies_20", "jitter_0.1", "jitter_1",
                           "outliers_2", "smote", "overfitted"), 0.99)
    | dict.fromkeys(("sensitive_20", "sensitive_50", "columns_20", "columns_50"), 0.95),
    2_000: dict.fromkeys(("copies_1", "copies_2", "copies_5", "copies_20", "jitter_0.1", "jitter_1", "outliers_2",
                          "smote", "overfitted"), 0.95)
    | dict.fromkeys(("columns_20", "columns_50"), 0.80),
    500: dict.fromkeys(("copies_5", "copies_20"), 0.80),
}  # fmt: skip
"""Detection that is asked of the gate, by table size and leak; no entry where nothing is asked."""
FALSE_ALARMS = 0.02
RECOGNISABLE = 0.05
"""Share of training patients from which on leaked columns are said to tell somebody apart."""
TOLD_LIMIT = 0.002
"""What partner_handoff asks of the rare combinations test."""

TRUTHS = {
    "copies": {"near_copy_excess": 0.0},
    "combinations": {"small_group_excess": 0.0},
    "distances": {"dcr_share": 0.5, "nndr_gap": 0.0},
    "near_tail": {"near_tail_share": 0.5},
    "membership": {"mia_auc": 0.5, "mia_auc_vulnerable": 0.5, "tpr_at_1pct_fpr": 0.01, "mia_advantage": 0.0},
    "singling_out": {"singling_out_risk": 0.0},
    "linkability": {"linkability_risk": 0.0},
    "inference": {"inference_risk": 0.0},
    "identity": {"identity_risk": 0.0},
    "attributes": {"attribute_gap": 0.0},
}
"""What fresh rows of the same population would measure if there were endless patients."""


def write_page(records: Iterable[Mapping[str, Any]], out: Path, words: Mapping[str, str], planned: int) -> None:
    """Write ``audit-power.csv`` and ``audit-power.html`` into ``out``; ``planned`` tables are for other tools."""
    records = list(records)
    rows = _rates(records)
    out.mkdir(parents=True, exist_ok=True)
    rows.to_csv(out / "audit-power.csv", index=False)
    (out / "audit-power.html").write_text(
        _page(
            rows, words, _partial(records, words) + _coverage(records) + _peers(out / "audit-peers.csv", words, planned)
        ),
        encoding="utf-8",
    )


def _rates(records: list[Mapping[str, Any]]) -> pd.DataFrame:
    """One row a table, size, leak and check (``gate`` for the blocking privacy rules together)."""
    rows: list[dict[str, Any]] = []
    for record in records:
        base = {key: record[key] for key in ("table", "n", "leak")}
        breached = record["breached"]
        for check, found in record["checks"].items():
            hit = any(name == check and severity == "block" for name, _, severity in breached)
            rows.append(base | {"check": check, "hit": hit, "seconds": found["seconds"]})
        hit = any(severity == "block" for _, _, severity in breached)
        rows.append(base | {"check": "gate", "hit": hit, "seconds": record["seconds"]})
    frame = pd.DataFrame(rows, columns=["table", "n", "leak", "check", "hit", "seconds"])
    grouped = frame.groupby(["table", "n", "leak", "check"], as_index=False)
    rates = grouped.agg(audits=("hit", "size"), detected=("hit", "sum"), seconds=("seconds", "mean"))
    bounds = [_exact(int(k), int(n)) for k, n in zip(rates["detected"], rates["audits"], strict=True)]
    rates["rate"] = (rates["detected"] / rates["audits"]).round(4)
    rates["low"], rates["high"] = zip(*bounds, strict=True) if bounds else ((), ())
    return rates


def _exact(hits: int, trials: int) -> tuple[float, float]:
    """Two-sided 95% Clopper-Pearson interval."""
    interval = stats.binomtest(hits, trials).proportion_ci(0.95, method="exact")
    return round(float(interval.low), 4), round(float(interval.high), 4)


def _partial(records: list[Mapping[str, Any]], words: Mapping[str, str]) -> str:
    """Leaks of a part of the columns: whom they tell apart, what the gate finds, and what a test that is told would."""
    lines = []
    leaks = [record for record in records if record.get("told_p") is not None]
    cells = {(int(record["n"]), str(record["table"]), str(record["leak"])) for record in leaks}
    for n, table, leak in sorted(cells):
        mine = [record for record in leaks if (record["n"], record["table"], record["leak"]) == (n, table, leak)]
        nobody = sum(record["recognisable"] < RECOGNISABLE for record in mine)
        hits = sum(any(severity == "block" for _, _, severity in record["breached"]) for record in mine)
        told = sum(record["told_p"] < TOLD_LIMIT for record in mine)
        row = "".join(f"<td>{count} of {len(mine)}</td>" for count in (nobody, hits, told))
        lines.append(f"<tr><td>{html.escape(table)}</td><td>{n:,}</td><td>{html.escape(words[leak])}</td>{row}</tr>")
    if not lines:
        return ""
    head = ("table", "n", "leak", "nobody to recognise", "the gate finds", "a test told the columns finds")
    return (
        "<h2>Leaks of a part of the columns</h2><p>Leaks of columns take 40% of them at random; leaks of a sensitive "
        f"column take it with all quasi-identifiers. Where fewer than {RECOGNISABLE:.0%} of training patients have a "
        "combination of the leaked columns that at most four of them share (such as a sex and two yes-or-no answers), "
        "nobody can be recognised by it, and there is nothing for the audit to find; the cells above count these "
        "tables all the same. The last column is a test of rare combinations that is told which columns leaked, leaves "
        f"no room for honest traces, and speaks up at p below {TOLD_LIMIT}, where each of the gate's four looks needs "
        "a quarter of that. What it misses is not lost by looking in the wrong columns.</p>"
        f"<table><thead><tr>{''.join(f'<th>{text}</th>' for text in head)}</tr></thead>"
        f"<tbody>{''.join(lines)}</tbody></table>"
    )


def _coverage(records: list[Mapping[str, Any]]) -> str:
    """How often the one-sided 95% bounds of each measure hold on honest tables."""
    honest = [record["checks"] for record in records if record["leak"] == "honest"]
    lines = []
    for check, measures in TRUTHS.items():
        for name, truth in measures.items():
            found = [record[check][name] for record in honest if name in record.get(check, {})]
            known = [(low, high) for value, low, high in found if None not in (value, low, high)]
            if known:
                holds = np.mean([(low <= truth + 1e-9, truth - 1e-9 <= high) for low, high in known], axis=0)
                lines.append(
                    f"<tr><td>{name}</td><td>{truth}</td><td>{len(known)}</td><td>{holds[0]:.1%}</td>"
                    f"<td>{holds[1]:.1%}</td></tr>"
                )
    head = "".join(f"<th>{text}</th>" for text in ("measure", "truth", "tables", "lower holds", "upper holds"))
    return (
        "<h2>Do the intervals hold?</h2><p>Each bound is meant to hold in 95% of honest tables; with 400 tables a rate "
        "is known to one per cent, and a bound of differences seen seldom holds more often; so does the "
        "upper bound of an attribute gap, which is the largest of several columns' and allows for that. Upper bounds "
        f"decide what passes.</p><table><thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table>"
    )


def _peers(path: Path, words: Mapping[str, str], planned: int) -> str:
    """What other tools' own rules said of the same tables, and how many of them have been judged."""
    if not path.exists():
        return "<h2>Other tools</h2><p>No table has been judged by other tools yet.</p>"
    rows = pd.read_csv(path, keep_default_na=False)
    speed, judged = rows[rows["leak"] == "none"], rows[rows["leak"] != "none"]
    tables = len(judged[["table", "n", "leak", "seed"]].drop_duplicates())
    found = judged.groupby(["leak", "rule"])["caught"].agg(lambda caught: f"{int(caught.sum())}/{len(caught)}")
    rules = sorted(judged["rule"].unique())
    head = "".join(f"<th>{html.escape(rule)}</th>" for rule in rules)
    lines = [
        f"<tr><td>{html.escape(text)}</td>" + "".join(f"<td>{found.get((leak, rule), '-')}</td>" for rule in rules)
        for leak, text in words.items()
        if leak in set(judged["leak"])
    ]
    times = "; ".join(f"{int(r.n):,} rows in {float(r.seconds):,.0f} s" for r in speed.itertuples())
    return (
        "<h2>Other tools</h2><p>The same tables by other tools' own rules (<code>make bench-audit-peers</code>). "
        f"{'All' if tables == planned else f'{tables} of'} {planned} planned tables have been judged. "
        f"SDMetrics' DCR on three tables of 15 numbers: {times}; the first above five minutes was the last tried.</p>"
        f"<table><thead><tr><th>leak</th>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table>"
    )


def _page(rates: pd.DataFrame, words: Mapping[str, str], peers: str) -> str:
    parts = [_summary(rates), *(_section(rates, words, table, n) for table, n in _cells(rates)), peers]
    return (
        '<!doctype html>\n<html lang="en-GB"><head><meta charset="utf-8"><title>What the audit catches</title>'
        f"<style>{STYLE}</style></head><body><h1>What the audit catches, and how often it cries wolf</h1><p>A real "
        "table is cut at random into training rows, holdout and fresh rows. The honest synthetic table is the fresh "
        "rows; every other one carries a planted leak from the training rows. A check detects a leak where it "
        "breaches one of its blocking rules in the policy partner_handoff; the gate detects it where any blocking "
        "privacy rule is breached. Intervals are exact, 95%. Where all checks did not run on every seed, the number "
        "of audits says so. A red frame marks a cell that falls short of what is asked of it.</p>"
        + "".join(parts)
        + "</body></html>\n"
    )


def _cells(rates: pd.DataFrame) -> list[tuple[str, int]]:
    found = rates[["table", "n"]].drop_duplicates().sort_values(["n", "table"])
    return [(str(table), int(n)) for table, n in found.itertuples(index=False)]


def _summary(rates: pd.DataFrame) -> str:
    honest = rates[(rates["leak"] == "honest") & (rates["check"] == "gate")]
    hits, trials = int(honest["detected"].sum()), int(honest["audits"].sum())
    if trials == 0:
        return "<p>No honest table has been audited yet.</p>"
    low, high = _exact(hits, trials)
    short = "short" if hits / trials > FALSE_ALARMS else ""
    head = "".join(f"<th>{words}</th>" for words in ("table", "n", "refused", "of", "rate"))
    rows = [
        f"<tr><td>{html.escape(str(r.table))}</td><td>{r.n:,}</td><td>{r.detected}</td><td>{r.audits}</td>"
        f"<td>{r.rate:.1%}</td></tr>"
        for r in honest.itertuples()
    ]
    total = f"{hits / trials:.1%} ({low:.1%} to {high:.1%})"
    rows.append(f'<tr><td>all</td><td></td><td>{hits}</td><td>{trials}</td><td class="{short}">{total}</td></tr>')
    caption = "False alarms of the gate on honest tables"
    return f"<table><caption>{caption}</caption><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def _section(rates: pd.DataFrame, words: Mapping[str, str], table: str, n: int) -> str:
    mine = rates[(rates["table"] == table) & (rates["n"] == n)]
    checks = ["gate", *sorted(set(mine["check"]) - {"gate"})]
    head = "".join(f"<th>{html.escape(check)}</th>" for check in checks)
    lines = [
        f"<table><caption>{html.escape(table)}, n = {n:,}</caption><thead><tr><th>leak</th>{head}</tr></thead><tbody>"
    ]
    for leak, text in words.items():
        cells = mine[mine["leak"] == leak].set_index("check")
        if len(cells):
            filled = "".join(_cell(cells, check, leak, n) for check in checks)
            lines.append(f"<tr><td>{html.escape(text)}</td>{filled}</tr>")
    return "".join([*lines, "</tbody></table>"])


def _cell(cells: pd.DataFrame, check: str, leak: str, n: int) -> str:
    if check not in cells.index:
        return '<td class="muted">-</td>'
    row = cells.loc[check]
    rate = float(row["rate"])
    shade = "all" if rate >= 0.95 else "most" if rate >= 0.8 else "some" if rate >= 0.2 else "few"
    goal = GOALS.get(n if n != 1_700 else 2_000, {}).get(leak)
    if leak == "honest":
        shade = "all" if rate <= FALSE_ALARMS else "few"
    elif check == "gate" and goal is not None and rate < goal:
        shade += " short"
    title = f"{row['low']:.0%} to {row['high']:.0%}"
    return f'<td class="{shade}" title="{title}">{int(row["detected"])}/{int(row["audits"])}</td>'
