"""The tables of the experiments: found in a folder, scaled as the paper scales them, and cut as it cuts them.

Nothing is downloaded. The folder holds ``pima.csv``, ``wdbc.csv`` and ``creditcard.csv`` (the full table) or
``creditcard_sample.csv`` beside ``creditcard_full_minmax.csv``, the full table's ranges; experiment 3 also reads
``stroke.csv``, ``adult.csv`` and ``diabetes130.csv``. Published files that were made public for research.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from synthrelease.core.contracts import Column, IntArray, ModelledSchema, Table
from synthrelease.core.errors import InputError

Part = Literal["clean", "published", "random"]
"""Which rows a GAN of experiment 1 trains on, and which test the tree.

``clean``: the first 70% and the last 30%. ``published``: 70% drawn at random and the last 30%, most of which it has
seen (the published leak). ``random``: 70% drawn at random for each repetition and 30% of the others, so that the luck
of one small test part averages out.
"""

TRAINING_SHARE, TEST_SHARE = 0.7, 0.3
TRUE_FRAUD_SHARE = 492 / 284_807
"""Of the full credit-card table (the paper, table 1)."""


@dataclass(frozen=True, slots=True)
class Source:
    """A table of the paper: its file, the class column, and the label of the class that is looked for."""

    name: str
    title: str
    files: tuple[str, ...]
    target: str
    identifiers: tuple[str, ...] = ()
    """Columns that the paper's GAN learned all the same; the toolkit's own generators never do."""


SOURCES: Mapping[str, Source] = {
    source.name: source
    for source in (
        Source("cancer", "Wisconsin breast cancer", ("wdbc.csv",), "diagnosis", ("id",)),
        Source("diabetes", "Pima Indians diabetes", ("pima.csv",), "Outcome"),
        Source("fraud", "Credit card fraud", ("creditcard.csv", "creditcard_sample.csv"), "Class"),
    )
}


@dataclass(frozen=True)
class Material:
    """A table of numbers with a 0/1 class. ``low`` and ``high`` are the ranges that it is scaled by.

    ``frame`` is in the file's units and order. ``digest`` tells one file from another.
    """

    source: Source
    frame: pd.DataFrame
    low: pd.Series[float]
    high: pd.Series[float]
    digest: str
    is_sample: bool = False

    @property
    def features(self) -> list[str]:
        """All columns but the class."""
        return [name for name in self.frame.columns if name != self.source.target]

    @property
    def scaled(self) -> pd.DataFrame:
        """The table scaled to [0, 1] over all rows, before any split, as the paper does (section 3.3)."""
        return self.scale(self.frame)

    def scale(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Scale a table of some of the columns to [0, 1]; a constant column becomes 0."""
        names = list(frame.columns)
        width = (self.high - self.low)[names].replace(0.0, 1.0)
        return (frame - self.low[names]) / width

    def training_rows(self, part: Part, seed: int) -> IntArray:
        """Return the positions of the rows that a GAN trains on, see ``Part``."""
        order = np.arange(len(self.frame)) if part == "clean" else self._shuffled(seed)
        return order[: int(len(self.frame) * TRAINING_SHARE)]

    def test_rows(self, part: Part = "clean", seed: int = 0) -> IntArray:
        """Return the positions of the test rows, see ``Part``; one row may be neither tested nor trained on."""
        order = self._shuffled(seed) if part == "random" else np.arange(len(self.frame))
        return order[len(self.frame) - int(len(self.frame) * TEST_SHARE) :]

    def _shuffled(self, seed: int) -> IntArray:
        return np.random.default_rng(seed).permutation(len(self.frame))


def load(name: str, folder: Path) -> Material:
    """Read a table of experiments 1 and 2.

    Raises:
        InputError: the folder does not hold its file, or the file lacks the class column.
    """
    source = SOURCES[name]
    path = find(folder, source.files)
    frame = pd.read_csv(path).dropna(axis="columns", how="all").astype(np.float64)
    if source.target not in frame or not frame[source.target].isin([0.0, 1.0]).all():
        raise InputError(
            f"{path.name} must have a column {source.target!r} of 0 and 1, however it has none. Give the published "
            "file."
        )
    is_sample = path.name == "creditcard_sample.csv"
    low, high = _full_ranges(folder) if is_sample else (frame.min(), frame.max())
    return Material(source, frame, low, high, digest(path), is_sample)


def find(folder: Path, names: tuple[str, ...]) -> Path:
    """Return the first of the files that the folder holds.

    Raises:
        InputError: it holds none of them.
    """
    for name in names:
        if (folder / name).is_file():
            return folder / name
    raise InputError(
        f"The experiment reads {' or '.join(names)}, however {folder} holds no such file. Name the folder with --data."
    )


def _full_ranges(folder: Path) -> tuple[pd.Series[float], pd.Series[float]]:
    ranges = pd.read_csv(find(folder, ("creditcard_full_minmax.csv",))).set_index("column")
    low, high = ranges["full_min"].astype(np.float64), ranges["full_max"].astype(np.float64)
    low["Class"], high["Class"] = 0.0, 1.0
    return low, high


def digest(path: Path) -> str:
    """Return the beginning of a file's SHA-256: the files are public."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:12]


def paper_table(material: Material, rows: IntArray, *, label_is_number: bool = False) -> Table[ModelledSchema]:
    """Return rows as the paper's GAN sees them: scaled, every column a number, the class one of them or a label.

    With ``label_is_number`` the class stays a number between 0 and 1 (experiment 2, where it is constant in training).
    """
    frame, target = material.scaled.iloc[rows].reset_index(drop=True), material.source.target
    columns = [
        Column(name, "boolean", "target", categories=("0", "1"))
        if name == target and not label_is_number
        else Column(name, "numeric", bounds=(0.0, 1.0))
        for name in frame.columns
    ]
    if not label_is_number:
        frame[target] = _labels(frame[target])
    return Table(frame, ModelledSchema(tuple(columns), target=None if label_is_number else target), "real")


def plain_table(material: Material, rows: IntArray) -> Table[ModelledSchema]:
    """Return rows as the toolkit's own generators see them: in the file's units, without identifiers."""
    target = material.source.target
    frame = material.frame.iloc[rows].drop(columns=list(material.source.identifiers)).reset_index(drop=True)
    frame[target] = _labels(frame[target])
    columns = tuple(
        Column(name, "boolean", "target", categories=("0", "1")) if name == target else Column(name, "numeric")
        for name in frame.columns
    )
    return Table(frame, ModelledSchema(columns, target=target), "real")


def _labels(values: pd.Series[float]) -> pd.Series[str]:
    codes = values.to_numpy().astype(np.int64)
    return pd.Series(pd.Categorical.from_codes(codes, dtype=pd.CategoricalDtype(["0", "1"])), index=values.index)


def numbers(frame: pd.DataFrame, target: str) -> pd.DataFrame:
    """Return a generator's rows with the class as 0.0 and 1.0 again, rounded where it is a number."""
    cells = frame[target]
    is_label = isinstance(cells.dtype, pd.CategoricalDtype)
    classes = cells.cat.codes.astype(np.float64) if is_label else (cells >= 0.5).astype(np.float64)
    return frame.assign(**{target: classes})
