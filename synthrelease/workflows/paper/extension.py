"""Experiment 3, which the paper does not have: oversampling on four tables, judged by two classifiers and four scores.

Rows: the original table, class weights, SMOTE (SMOTENC where there are labels), ADASYN, the paper's GAN, and the
toolkit's own. Each seed draws the rows and the split (70/30, classes in proportion) anew, the same for every row.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.model_selection import train_test_split
from threadpoolctl import threadpool_limits

from synthrelease.core.contracts import Column, FloatArray, ModelledSchema, Table
from synthrelease.core.errors import OversamplingError, TrainingError
from synthrelease.synthesis.oversampling import Oversampling, make_rows, plain
from synthrelease.workflows.balance import interpolated
from synthrelease.workflows.paper import input_tables, scoring
from synthrelease.workflows.paper.trials import Trial

MOST_ROWS = 20_000
MOST_LEVELS = 40
FEWEST_VALUES = 11
"""A column of numbers with fewer values than this holds codes, and counts as labels."""
TARGET = "class"


@dataclass(frozen=True, slots=True)
class Source:
    """A table: its file, the class that is looked for, and columns that are left out.

    ``first_of`` numbers people: only each one's first row is used. ``codes`` are numbers that stand for labels.
    """

    title: str
    files: tuple[str, ...]
    target: str
    positive: str
    drop: tuple[str, ...] = ()
    first_of: str = ""
    codes: tuple[str, ...] = ()
    missing: tuple[str, ...] = ("", "?", "N/A")


SOURCES: Mapping[str, Source] = {
    "stroke": Source("Stroke", ("stroke.csv",), "stroke", "1", drop=("id",)),
    "fraud": Source("Credit card fraud", ("creditcard.csv", "creditcard_sample.csv"), "Class", "1"),
    "income": Source("Adult income", ("adult.csv",), "income", ">50K"),
    "readmission": Source(
        "Readmission within 30 days", ("diabetes130.csv",), "readmitted", "<30",
        drop=("encounter_id", "patient_nbr"), first_of="patient_nbr",
        codes=("admission_type_id", "discharge_disposition_id", "admission_source_id"),
    ),
}  # fmt: skip


def load(name: str, folder: Path, seed: int) -> tuple[Table[ModelledSchema], Table[ModelledSchema]]:
    """Return the training and the test part for a seed.

    Raises:
        InputError: the folder does not hold the file.
    """
    source = SOURCES[name]
    path = input_tables.find(folder, source.files)
    frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    if source.first_of:
        frame = frame.drop_duplicates(source.first_of)
    frame = frame.drop(columns=list(source.drop)).sample(min(MOST_ROWS, len(frame)), random_state=seed)
    classes = (frame.pop(source.target) == source.positive).to_numpy()
    columns, cells = [], {}
    for column in frame.columns:
        meaning, values = _column(frame[column], source)
        if meaning is not None:
            columns.append(meaning)
            cells[column] = values
    columns.append(Column(TARGET, "boolean", "target", categories=("0", "1")))
    cells[TARGET] = pd.Categorical.from_codes(classes.astype(np.int64), dtype=pd.CategoricalDtype(["0", "1"]))
    table = Table(pd.DataFrame(cells), ModelledSchema(tuple(columns), target=TARGET), "real")
    train, test = train_test_split(np.arange(len(table)), test_size=0.3, stratify=classes, random_state=seed)
    return table.take(np.sort(train)), table.take(np.sort(test))


def _column(texts: pd.Series[str], source: Source) -> tuple[Column | None, Any]:
    """Return what a column means and its canonical values; None for one that holds a single value."""
    texts = texts.str.strip().reset_index(drop=True)
    name, gaps = str(texts.name), texts.isin(source.missing)
    numbers = pd.to_numeric(texts.mask(gaps), errors="coerce")
    is_number = name not in source.codes and bool(numbers[~gaps].notna().all()) and numbers.nunique() >= FEWEST_VALUES
    if is_number:
        return Column(name, "numeric"), numbers.to_numpy(np.float64)
    common = texts[~gaps].value_counts().index[:MOST_LEVELS]
    if len(common) < 2 and not gaps.any():
        return None, None
    merged = texts.where(texts.isin(common), "(other)").mask(gaps)
    levels = sorted(set(merged.dropna()))
    return Column(name, "categorical", categories=tuple(levels)), pd.Categorical(merged, categories=levels)


def run(trial: Trial, data: Path) -> dict[str, Any]:
    """Carry out a trial of experiment 3."""
    started = time.process_time()
    train, test = load(trial.table, data, trial.seed)
    note: dict[str, Any] = {}
    try:
        with threadpool_limits(1):  # as in the other experiments
            scores = _scored(trial, train, test)
    except (OversamplingError, TrainingError) as error:
        scores, note = {}, {"failed": str(error)}
    seconds = round(time.process_time() - started, 2)
    return {"trial": asdict(trial), "core_seconds": seconds, "scores": scores, **note}


def _scored(trial: Trial, train: Table[ModelledSchema], test: Table[ModelledSchema]) -> dict[str, dict[str, float]]:
    """Oversample, train both classifiers, and score them on the test part."""
    classes, truth = (part.frame[TARGET].cat.codes.to_numpy().astype(np.int64) for part in (train, test))
    frame = pd.concat([train.frame, _more(trial, train, classes)], ignore_index=True)
    rows, inputs = plain(frame, train.schema), plain(test.frame, test.schema)
    labels = frame[TARGET].cat.codes.to_numpy().astype(np.int64)
    rare = (classes == 0).sum() / max((classes == 1).sum(), 1)
    weights = np.where(classes == 1, rare, 1.0) if trial.row == "weights" else None
    return {
        model: scoring.scores(truth, scoring.chances(model, rows, labels, inputs, seed=trial.seed, weights=weights))
        for model in scoring.MODELS
    }


def _more(trial: Trial, train: Table[ModelledSchema], classes: np.ndarray[Any, Any]) -> pd.DataFrame:
    """Return the rows that a trial adds to the rare class, as many as make it equal."""
    counts = np.bincount(classes, minlength=2)
    wanted = {1: int(counts[0] - counts[1])}
    if trial.row in ("original", "weights"):
        return train.frame.iloc[:0]
    if trial.row in ("smote", "adasyn"):
        filled = _filled(train)
        has_labels = any(not column.is_number for column in train.schema.columns if column.name != TARGET)
        if trial.row == "adasyn" and has_labels:
            return _adasyn_on_indicators(filled, wanted, counts, trial.seed)
        method = "smotenc" if has_labels else trial.row
        return interpolated(filled, wanted, counts, method=method, seed=trial.seed)[0]  # type: ignore[arg-type]
    how = Oversampling(trial.seed, trial.row, trial.effort)
    how = replace(how, typical=0.0) if trial.is_papers else how  # the paper keeps every made row
    return make_rows(train, wanted, how, on_step=lambda step: None)


def _filled(table: Table[ModelledSchema]) -> Table[ModelledSchema]:
    """Fill gaps with the median or the commonest label: interpolation knows no gaps."""
    frame = table.frame.copy()
    for column in frame.columns:
        cells = frame[column]
        if cells.isna().any():
            frame[column] = cells.fillna(cells.median() if cells.dtype == np.float64 else cells.mode().iloc[0])
    return replace(table, frame=frame)


def _adasyn_on_indicators(
    table: Table[ModelledSchema], wanted: Mapping[int, int], counts: np.ndarray[Any, Any], seed: int
) -> pd.DataFrame:
    """ADASYN where there are labels: each level a number of its own, and the largest one wins afterwards."""
    columns = [column for column in table.schema.columns if column.name != TARGET]
    blocks: dict[str, FloatArray] = {}
    for column in columns:
        cells = table.frame[column.name]
        blocks[column.name] = (
            cells.to_numpy(np.float64)[:, None]
            if column.is_number
            else np.eye(len(column.categories))[cells.cat.codes.to_numpy()]
        )
    width = sum(block.shape[1] for block in blocks.values())
    names = tuple(f"x{at}" for at in range(width))
    frame = pd.DataFrame(np.hstack(list(blocks.values())), columns=list(names)).assign(**{TARGET: table.frame[TARGET]})
    schema = ModelledSchema((*(Column(name, "numeric") for name in names), table.schema.column(TARGET)), target=TARGET)
    flat, _ = interpolated(Table(frame, schema, "real"), wanted, counts, method="adasyn", seed=seed, whole=False)
    made, start = {}, 0
    for column in columns:
        block = flat[list(names[start : start + blocks[column.name].shape[1]])].to_numpy()
        start += block.shape[1]
        dtype: Any = table.frame[column.name].dtype
        made[column.name] = (
            block[:, 0] if column.is_number else pd.Categorical.from_codes(block.argmax(axis=1), dtype=dtype)
        )
    return pd.DataFrame({**made, TARGET: flat[TARGET]})
