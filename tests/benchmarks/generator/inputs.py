"""The five tables, cut alike for every system: stratified 70/30, seed 0.

A folder of data holds pima.csv, stroke.csv, adult.csv and diabetes130.csv as they are published; the Wisconsin table
comes with scikit-learn. A folder of splits, where given, holds TABLE_train.csv and TABLE_test.csv and has the last
word.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split

from generator.systems import digest

MOST_MISSING = 0.9
"""Columns with a larger share of gaps are left out."""
MARKS = ["", "?", "N/A"]


class BenchError(Exception):
    """The benchmark cannot run as asked; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Input:
    """One table cut in two files, with the digest of their content."""

    name: str
    target: str
    train: Path
    test: Path
    digest: str


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a table is made ready: ``rows`` caps training and test rows, ``source`` reads it whole."""

    target: str
    about: str
    source: Callable[[Path], pd.DataFrame]
    rows: tuple[int, int] | None = None


def _read(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, keep_default_na=False, na_values=MARKS, low_memory=False)


def _pima(data: Path) -> pd.DataFrame:
    return _read(data / "pima.csv")


def _stroke(data: Path) -> pd.DataFrame:
    return _read(data / "stroke.csv").drop(columns="id")


def _adult(data: Path) -> pd.DataFrame:
    return _read(data / "adult.csv").rename(columns=lambda name: name.replace("-", "_"))


def _wisconsin(_: Path) -> pd.DataFrame:
    frame: pd.DataFrame = load_breast_cancer(as_frame=True).frame
    frame = frame.rename(columns=lambda name: name.replace(" ", "_"))
    return frame.assign(diagnosis=1 - frame["target"]).drop(columns="target")


def _diabetes(data: Path) -> pd.DataFrame:
    """One row a patient, the first stay; whether the patient came back within 30 days is the target."""
    frame = _read(data / "diabetes130.csv").drop_duplicates("patient_nbr")
    frame = frame.drop(columns=["encounter_id", "patient_nbr"])
    frame["readmitted"] = (frame["readmitted"] == "<30").map({True: "yes", False: "no"})
    is_empty = frame.isna().mean() > MOST_MISSING
    is_constant = frame.nunique(dropna=False) < 2
    kept: pd.DataFrame = frame.loc[:, ~(is_empty | is_constant)]
    return kept


TABLES: Mapping[str, Recipe] = {
    "pima": Recipe("Outcome", "women tested for diabetes, 8 numbers", _pima),
    "wdbc": Recipe("diagnosis", "breast tumours (Wisconsin), 30 numbers", _wisconsin),
    "stroke": Recipe("stroke", "patients at risk of a stroke, one in twenty had one", _stroke),
    "adult": Recipe("income", "a census with mixed columns, cut to 20,000 training rows", _adult, (20_000, 10_000)),
    "diabetes130": Recipe(
        "readmitted", "hospital stays of 20,000 diabetics with diagnoses in ICD-9", _diabetes, (20_000, 10_000)
    ),
}


def prepared(names: tuple[str, ...], data: Path, splits: Path | None, out: Path) -> list[Input]:
    """Write both parts of each table below ``out`` and return where they are.

    Raises:
        BenchError: a file is missing from the folder of data.
    """
    return [_prepared(name, data, splits, out) for name in names]


def _prepared(name: str, data: Path, splits: Path | None, out: Path) -> Input:
    recipe = TABLES[name]
    given = [splits / f"{name}_{part}.csv" for part in ("train", "test")] if splits else []
    is_cut = bool(given) and all(path.is_file() for path in given)
    parts = [_read(path) for path in given] if is_cut else _cut(recipe, data)
    files = [out / name / f"{part}.csv" for part in ("train", "test")]
    texts = [part.to_csv(index=False).encode() for part in parts]
    for path, text in zip(files, texts, strict=True):
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.is_file() or path.read_bytes() != text:
            path.write_bytes(text)
    return Input(name, recipe.target, files[0], files[1], digest(*texts))


def _cut(recipe: Recipe, data: Path) -> list[pd.DataFrame]:
    try:
        frame = recipe.source(data)
    except FileNotFoundError as error:
        raise BenchError(
            f"DATA must be a folder with the tables as published, however {Path(error.filename).name} is not in "
            f"{data}. Put it there, or choose tables with TABLES=name,name."
        ) from None
    parts = train_test_split(frame, test_size=0.3, random_state=0, stratify=frame[recipe.target])
    if recipe.rows:
        parts = [
            part.sample(min(rows, len(part)), random_state=0) for part, rows in zip(parts, recipe.rows, strict=True)
        ]
    return [part.reset_index(drop=True) for part in parts]
