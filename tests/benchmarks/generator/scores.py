"""The figures of one made table, worked out alike for every system. Runs in the environment of ``peers/scorer.txt``.

    python scores.py --train train.csv --test test.csv --target y --made made.csv --out figures.json
    python scores.py --train train.csv --test test.csv --target y --reference --out figures.json

``--reference`` scores real rows in the made table's place: the models learn from the training rows, and the unseen real
rows are compared with the training rows. Whatever is random has a fixed seed, so a table has one score.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import signal
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score, roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier

VERSION = 1
"""Raised whenever a figure changes its meaning: every cell is then scored again."""
SEED, BINS, NEIGHBOUR_ROWS, ATTACKS = 0, 20, 10_000, 500
ATTACK_SECONDS = QUALITY_SECONDS = 600
GAP = "<missing>"


@dataclass(frozen=True)
class Trio:
    """Training rows, unseen real rows and the made table, in one form: floats for numbers, text for labels.

    ``numbers`` and ``labels`` name the columns of either kind, by what the real tables hold.
    """

    train: pd.DataFrame
    test: pd.DataFrame
    made: pd.DataFrame
    numbers: tuple[str, ...]
    labels: tuple[str, ...]
    target: str


def read(path: Path) -> pd.DataFrame:
    """Read a table whose gaps are empty cells; any other text, such as "None", is a label."""
    return pd.read_csv(path, keep_default_na=False, na_values=[""], low_memory=False)


def trio(train: pd.DataFrame, test: pd.DataFrame, made: pd.DataFrame, target: str) -> Trio:
    """Bring three tables into one form; a column that the made table lacks is all gaps there."""
    real = pd.concat([train, test], ignore_index=True)
    numbers = tuple(str(c) for c in train if pd.api.types.is_numeric_dtype(real[c]) and real[c].dtype != bool)
    labels = tuple(str(c) for c in train if c not in numbers)

    def alike(frame: pd.DataFrame) -> pd.DataFrame:
        frame = frame.reindex(columns=list(train.columns)).reset_index(drop=True)
        cells = {c: pd.to_numeric(frame[c], errors="coerce").astype(float) for c in numbers}
        cells = {c: v.where(np.isfinite(v)) for c, v in cells.items()} | {c: as_text(frame[c]) for c in labels}
        return pd.DataFrame(cells)[list(train.columns)]

    train, test = alike(train), alike(test)
    return Trio(train, test, _at_most(alike(made), len(train)), numbers, labels, target)


def as_text(cells: pd.Series) -> pd.Series:
    """Labels as text, 3.0 as "3"; gaps stay gaps."""

    def word(cell: Any) -> str:
        whole = isinstance(cell, float | np.floating) and float(cell).is_integer()
        return str(int(cell)) if whole else str(cell).strip()

    return cells.astype(object).map(word, na_action="ignore").astype(object)


def _names(three: Trio) -> list[str]:
    """The columns in their order."""
    return [str(name) for name in three.train]


def _at_most(frame: pd.DataFrame, rows: int) -> pd.DataFrame:
    return frame if len(frame) <= rows else frame.sample(n=rows, random_state=SEED).reset_index(drop=True)


# Usefulness.


def usefulness(three: Trio, learned_from: pd.DataFrame) -> dict[str, float]:
    """ROC AUC (and F1 of boosting on the rarer class) on unseen real rows, of three models that ``learned_from``."""
    real = as_text(pd.concat([three.train, three.test])[three.target])
    classes, rarer = sorted(real.dropna().unique()), real.value_counts().index[-1]
    labels = snapped(learned_from[three.target], classes)
    learned_from, labels = learned_from[labels.notna()], labels.dropna()
    asked, truth = three.test, as_text(three.test[three.target]) == rarer
    columns = [c for c in _names(three) if c != three.target and learned_from[c].notna().any()]
    if labels.nunique() < 2 or not columns:  # one class alone teaches nothing
        return {"tree_auc": 0.5, "logistic_auc": 0.5, "boosting_auc": 0.5, "boosting_f1": 0.0}
    found = {}
    for name, model in _models(three, columns).items():
        model.fit(learned_from[columns], labels == rarer)
        found[f"{name}_auc"] = float(roc_auc_score(truth, model.predict_proba(asked[columns])[:, 1]))
        if name == "boosting":
            found["boosting_f1"] = float(f1_score(truth, model.predict(asked[columns]), zero_division=0))
    return found


def _models(three: Trio, columns: list[str]) -> dict[str, Any]:
    """Scikit-learn's defaults, each behind the encoding it needs; rare labels beyond 50 share one indicator."""
    numbers = [c for c in columns if c in three.numbers]
    labels = [c for c in columns if c in three.labels]
    filled = SimpleImputer(strategy="median", keep_empty_features=True)
    gaps = SimpleImputer(strategy="constant", fill_value=GAP)
    indicators = make_pipeline(gaps, OneHotEncoder(handle_unknown="ignore", max_categories=50, sparse_output=False))
    codes = make_pipeline(gaps, OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1))
    plain = ColumnTransformer([("n", filled, numbers), ("l", indicators, labels)])
    scaled = ColumnTransformer([("n", make_pipeline(filled, StandardScaler()), numbers), ("l", indicators, labels)])
    coded = ColumnTransformer([("n", "passthrough", numbers), ("l", codes, labels)])
    return {
        "tree": make_pipeline(plain, DecisionTreeClassifier(random_state=SEED)),
        "logistic": make_pipeline(scaled, LogisticRegression(max_iter=2_000)),
        "boosting": make_pipeline(coded, HistGradientBoostingClassifier(random_state=SEED)),
    }


def snapped(cells: pd.Series, classes: list[str]) -> pd.Series:
    """Class labels as text: a number that is no class goes to the nearest class, any other stranger is a gap."""
    found = as_text(cells)
    strange = found.notna() & ~found.isin(classes)
    if strange.any():
        places = pd.to_numeric(pd.Series(classes), errors="coerce").to_numpy()
        values = pd.to_numeric(found[strange], errors="coerce")
        near = [classes[int(np.nanargmin(abs(places - v)))] if np.isfinite(v - places).any() else None for v in values]
        found[strange] = near
    return found


# Likeness.


def likeness(three: Trio) -> dict[str, float]:
    """SDMetrics' quality and its two halves, mean distance of pairs, and how well a classifier tells made from real."""
    with limited(QUALITY_SECONDS):
        quality = _quality(three)
    return quality | {"tv2": pair_distance(three), "c2st_auc": told_apart(three)}


def _quality(three: Trio) -> dict[str, float]:
    from sdmetrics.reports.single_table import QualityReport

    kinds = {c: "numerical" if c in three.numbers and three.train[c].nunique() > 10 else "categorical"
             for c in three.train}  # fmt: skip
    sides = [frame.copy() for frame in (three.train, three.made)]
    for frame, (name, kind) in itertools.product(sides, kinds.items()):
        if kind == "categorical":
            frame[name] = as_text(frame[name])
    report = QualityReport()
    report.generate(*sides, {"columns": {name: {"sdtype": kind} for name, kind in kinds.items()}}, verbose=False)
    scores = report.get_properties().set_index("Property")["Score"]
    return {
        "quality": float(report.get_score()),
        "column_shapes": float(scores["Column Shapes"]),
        "pair_trends": float(scores["Column Pair Trends"]),
    }


def pair_distance(three: Trio) -> float:
    """Mean total-variation distance between the joint tables of all pairs of columns, training rows against made ones.

    Numbers of more than 20 values count by 20 bins with equally many training rows.
    """
    ours, theirs = binned(three)
    names = list(ours)
    widths = {c: int(max(ours[c].max(), theirs[c].max())) + 1 for c in names}
    distances = []
    for a, b in itertools.combinations(names, 2):
        size = widths[a] * widths[b]
        shares = [np.bincount(t[a] * widths[b] + t[b], minlength=size) / len(t[a]) for t in (ours, theirs)]
        distances.append(0.5 * np.abs(shares[0] - shares[1]).sum())
    return float(np.mean(distances))


def binned(three: Trio) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Codes of the training rows and of the made rows: bins or values, one for strangers, one for gaps."""
    found: tuple[dict[str, np.ndarray], dict[str, np.ndarray]] = ({}, {})
    for name in _names(three):
        known = three.train[name].dropna()
        if name in three.numbers and known.nunique() > BINS:
            edges = np.unique(np.quantile(known, np.linspace(0, 1, BINS + 1)[1:-1]))
            for codes, frame in zip(found, (three.train, three.made), strict=True):
                places = np.searchsorted(edges, frame[name].to_numpy(), side="right")
                codes[name] = np.where(frame[name].isna(), len(edges) + 1, places)
        else:
            values = {value: place for place, value in enumerate(sorted(known.unique()))}
            for codes, frame in zip(found, (three.train, three.made), strict=True):
                places = frame[name].map(values).fillna(len(values)).to_numpy().astype(int)
                codes[name] = np.where(frame[name].isna(), len(values) + 1, places)
    return found


def told_apart(three: Trio) -> float:
    """ROC AUC, cross-validated, of boosting that tells made rows from as many unseen real rows: 0.5 is a guess."""
    rows = min(len(three.test), len(three.made))
    both = pd.concat([_at_most(three.test, rows), _at_most(three.made, rows)], ignore_index=True)
    if three.labels:
        labels = list(three.labels)
        both[labels] = OrdinalEncoder().fit_transform(both[labels].fillna(GAP))
    truth = np.repeat([0, 1], rows)
    guesses = cross_val_predict(
        HistGradientBoostingClassifier(random_state=SEED), both.to_numpy(dtype=float), truth,
        cv=StratifiedKFold(5, shuffle=True, random_state=SEED), method="predict_proba",
    )  # fmt: skip
    return float(roc_auc_score(truth, guesses[:, 1]))


# Privacy.


def privacy(three: Trio) -> dict[str, Any]:
    """Copies, nearness to training rows, four attacks, and the alarms that these ring."""
    known = set(row_keys(three.train))
    copies, usual = (float(row_keys(frame).isin(known).mean()) for frame in (three.made, three.test))
    share, evidence = closer(three)
    rates = {name: _attacked(three, attack) for name, attack in ATTACKS_BY_NAME.items()}
    rung = alarms(copies - usual, share, evidence, rates)
    return {
        "copies": copies,
        "closer": share,
        **{
            f"{name}_excess": None if rate is None else rate["training"] - rate["unseen"]
            for name, rate in rates.items()
        },
        "attacks_made": sum(rate is not None for rate in rates.values()),
        "alarms": len(rung),
        "alarm_names": "; ".join(rung),
    }


def row_keys(frame: pd.DataFrame) -> pd.Series:
    """Rows as they compare for equality: numbers by six significant digits."""
    texts = [
        (frame[c].map(lambda v: f"{v:.6g}", na_action="ignore") if frame[c].dtype == float else frame[c]).fillna(GAP)
        for c in frame
    ]
    return pd.Series(list(zip(*texts, strict=True)), index=frame.index)


def closer(three: Trio) -> tuple[float, float]:
    """Share of made rows that lie closer to a training row than to an unseen real row, and the evidence behind it.

    Both sides have equally many real rows; a tie counts half. The evidence is the effective number of neighbours
    (Kish: squared sum over sum of squares of how often each real row is nearest), as a collapsed table says little.
    """
    rows = min(len(three.train), len(three.test), NEIGHBOUR_ROWS)
    made = _at_most(three.made, NEIGHBOUR_ROWS)
    sides = [nearest(three, made, _at_most(frame, rows)) for frame in (three.train, three.test)]
    (to_train, _), (to_test, _) = sides
    is_tie = np.isclose(to_train, to_test, atol=1e-6)
    counts = [np.unique(index, return_counts=True)[1].astype(float) for _, index in sides]
    evidence = min(float(len(made) ** 2 / (count**2).sum()) for count in counts)
    return float(np.where(is_tie, 0.5, to_train < to_test).mean()), evidence


def nearest(three: Trio, rows: pd.DataFrame, among: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Distance and place of the nearest row: numbers over their real range, 1 for a label or a gap that differs."""
    real = pd.concat([three.train, three.test])
    points, codes = [], []
    for name in three.train:
        sides = [rows[name], among[name]]
        if name in three.numbers:
            low, high, fill = real[name].min(), real[name].max(), three.train[name].median()
            points.append([((s.fillna(fill) - low) / ((high - low) or 1.0)).to_numpy() for s in sides])
            sides = [s.isna() for s in sides]
        places = pd.factorize(pd.concat(sides).fillna(GAP))[0]
        if places.any():
            codes.append((places[: len(rows)].astype(np.int32), places[len(rows) :].astype(np.int32)))
    a, b = (np.column_stack([p[i] for p in points]) if points else np.zeros((len(s), 1)) for i, s in
            enumerate((rows, among)))  # fmt: skip
    found = [_nearest_of(a[at], b, [(c[at], d) for c, d in codes]) for at in _pieces(len(rows))]
    return np.concatenate([d for d, _ in found]), np.concatenate([i for _, i in found])


def _pieces(rows: int, size: int = 256) -> Iterator[slice]:
    return (slice(start, start + size) for start in range(0, rows, size))


def _nearest_of(a: np.ndarray, b: np.ndarray, codes: list[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, ...]:
    squares = (a**2).sum(1)[:, None] + (b**2).sum(1)[None] - 2 * a @ b.T  # (rows, among)
    for ours, theirs in codes:
        squares += ours[:, None] != theirs[None]
    place = squares.argmin(1)
    return np.sqrt(np.maximum(squares[np.arange(len(a)), place], 0)), place


def alarms(
    copies_excess: float, closer_share: float, evidence: float, rates: Mapping[str, dict[str, float] | None]
) -> list[str]:
    """The names of what rings; ``evidence`` is the number of independent rows behind ``closer_share``."""
    rung = ["copies"] if copies_excess > 0.01 else []
    if closer_share > 0.5 + max(0.03, 3 * 0.5 / math.sqrt(evidence)):
        rung.append("closer")
    for name, rate in rates.items():
        if rate is None:
            continue
        middle = (rate["training"] + rate["unseen"]) / 2
        chance = 3 * math.sqrt(2 * middle * (1 - middle) / rate["attacks"])
        if rate["training"] - rate["unseen"] > max(0.03, chance):
            rung.append(name)
    return rung


# Attacks, by Anonymeter.


def _attacked(three: Trio, attack: Callable[..., Any]) -> dict[str, float] | None:
    """Rates of success on training rows and on unseen rows; None where the attack found nothing to try or no end."""
    fill = {c: three.train[c].median() for c in three.numbers} | dict.fromkeys(three.labels, GAP)
    ours, unseen, made = (frame.fillna(fill) for frame in (three.train, three.test, three.made))
    np.random.seed(SEED)  # noqa: NPY002 -- Anonymeter draws from the global generator
    try:
        with limited(ATTACK_SECONDS):
            found = attack(three, ours, unseen, made).results()
    except (RuntimeError, ValueError, TooLongError):
        return None
    if found.control_rate is None:
        return None
    tries = min(ATTACKS, len(ours), len(unseen), len(made))
    return {"training": found.attack_rate.value, "unseen": found.control_rate.value, "attacks": tries}


def _singling_out(mode: str) -> Callable[..., Any]:
    def attack(three: Trio, ours: pd.DataFrame, unseen: pd.DataFrame, made: pd.DataFrame) -> Any:
        from anonymeter.evaluators import SinglingOutEvaluator

        rows, tries = min(len(ours), len(unseen)), min(ATTACKS, len(ours), len(unseen), len(made))
        evaluator = SinglingOutEvaluator(
            ori=_at_most(ours, rows), syn=made, control=_at_most(unseen, rows), n_attacks=tries, seed=SEED,
            max_attempts=500_000, n_cols=min(4, ours.shape[1]),
        )  # fmt: skip
        evaluator.evaluate(mode=mode)
        return evaluator

    return attack


def _linkability(three: Trio, ours: pd.DataFrame, unseen: pd.DataFrame, made: pd.DataFrame) -> Any:
    from anonymeter.evaluators import LinkabilityEvaluator

    names = list(np.random.default_rng(SEED).permutation(list(ours.columns)))
    halves = (names[: len(names) // 2], names[len(names) // 2 :])
    tries = min(ATTACKS, len(ours), len(unseen), len(made))
    evaluator = LinkabilityEvaluator(ours, made, aux_cols=halves, n_attacks=tries, n_neighbors=1, control=unseen)
    evaluator.evaluate(n_jobs=1)
    return evaluator


def _inference(three: Trio, ours: pd.DataFrame, unseen: pd.DataFrame, made: pd.DataFrame) -> Any:
    from anonymeter.evaluators import InferenceEvaluator

    tries = min(ATTACKS, len(ours), len(unseen), len(made))
    evaluator = InferenceEvaluator(
        ours, made, aux_cols=[c for c in ours if c != three.target], secret=three.target, n_attacks=tries,
        control=unseen, regression=three.target in three.numbers and three.train[three.target].nunique() > BINS,
    )  # fmt: skip
    evaluator.evaluate(n_jobs=1)
    return evaluator


ATTACKS_BY_NAME: Mapping[str, Callable[..., Any]] = {
    "singling_out_one": _singling_out("univariate"),
    "singling_out_several": _singling_out("multivariate"),
    "linkability": _linkability,
    "inference": _inference,
}


class TooLongError(Exception):
    """A figure took longer than its limit."""


@contextmanager
def limited(seconds: int) -> Iterator[None]:
    """Raise ``TooLongError`` inside the block once ``seconds`` have passed."""

    def stop(*_: Any) -> None:
        raise TooLongError(f"took longer than {seconds} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


# Validity.


def validity(three: Trio, train: pd.DataFrame, made: pd.DataFrame) -> dict[str, float]:
    """Shares of numbers outside the real range and of labels never seen, and columns whose type is broken.

    ``train`` and ``made`` are the tables as read: a type is broken where numbers became text, or whole numbers did not
    stay whole.
    """
    real = pd.concat([three.train, three.test])
    outside = count = unseen = labels = broken = 0
    for name in three.numbers:
        cells = three.made[name].dropna()
        outside += int(((cells < real[name].min()) | (cells > real[name].max())).sum())
        count += len(cells)
        is_whole = (real[name].dropna() % 1 == 0).all()
        is_text = name not in made or (pd.to_numeric(made[name], errors="coerce").isna() & made[name].notna()).any()
        broken += bool(is_text or (is_whole and (cells % 1 != 0).any()))
    for name in three.labels:
        cells = three.made[name].dropna()
        unseen += int((~cells.isin(set(real[name].dropna()))).sum())
        labels += len(cells)
    shares = {"out_of_range": outside / max(count, 1), "unseen_labels": unseen / max(labels, 1)}
    return shares | {"broken_types": float(broken)}


def scored(train: pd.DataFrame, test: pd.DataFrame, made: pd.DataFrame, target: str) -> dict[str, Any]:
    """Every figure of a made table."""
    three = trio(train, test, made, target)
    return {**usefulness(three, three.made), **likeness(three), **privacy(three), **validity(three, train, made)}


def reference(train: pd.DataFrame, test: pd.DataFrame, target: str) -> dict[str, Any]:
    """The same of real rows: what models learn from training rows, and how far unseen rows are from these."""
    three = trio(train, test, test, target)
    apart = told_apart(trio(train, test, train, target))
    known = set(row_keys(three.train))
    found = {**usefulness(three, three.train), **likeness(three), "c2st_auc": apart}
    return found | {"copies": float(row_keys(three.test).isin(known).mean())}


def main() -> None:
    """Score one table and write the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("train", "test", "made", "out"):
        parser.add_argument(f"--{name}", type=Path, required=name != "made")
    parser.add_argument("--target", required=True)
    parser.add_argument("--reference", action="store_true")
    chosen = parser.parse_args()
    warnings.filterwarnings("ignore")
    train, test = read(chosen.train), read(chosen.test)
    if chosen.reference:
        found = reference(train, test, chosen.target)
    else:
        found = scored(train, test, read(chosen.made), chosen.target)
    chosen.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
