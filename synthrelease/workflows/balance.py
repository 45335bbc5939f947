"""``synthrelease balance``: a table with more rows of its rare classes, and a column that says which rows were made.

Four ways to make them: the toolkit's GAN, and SMOTE, ADASYN and SMOTENC as imbalanced-learn has them, on numbers scaled
to [0, 1] so that no column dominates the distances. Real rows come out as they are spelled in the file.

Oversampled rows are derived from real ones and stand beside them: the result is for work inside the house. Nothing is
claimed about releasing it.
"""

from __future__ import annotations

import csv
import os
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from synthrelease.core.contracts import FloatArray, IntArray, ModelledSchema, OnStep, Schema, Table
from synthrelease.core.errors import OversamplingError
from synthrelease.data import table_reader, table_writer
from synthrelease.data.formats import Place, place_of, read_file
from synthrelease.data.raw_table import TableFile, counted
from synthrelease.schema import constraints
from synthrelease.schema import schema_file as schema_reader
from synthrelease.synthesis import constraint_repair, generators
from synthrelease.synthesis.oversampling import Oversampling, make_rows
from synthrelease.workflows.run_options import BalanceMethod

NEIGHBOURS = 5
FEWEST_REAL_ROWS = 20
MIN_CELL = 5
"""A combination that a constraint keeps together is made only where so many patients have it."""

WARNING = (
    "The made rows are derived from real ones and stand beside them. Keep the table in the house: no claim is made "
    "about releasing it, or the made rows alone, unless they pass the audit (synthrelease audit)."
)


@dataclass(frozen=True, slots=True)
class BalanceOptions:
    """What to do: ``column`` is the name of the column that marks made rows (1), real ones have 0."""

    method: BalanceMethod = "gan"
    target: str | None = None
    seed: int = 0
    column: str = "synthetic"
    generator: str = generators.DEFAULT
    effort: float = 1.0
    typical: float = 0.25


@dataclass(frozen=True, slots=True)
class Balanced:
    """What was done: rows by class before, and how many were made."""

    path: Path
    real: Mapping[str, int]
    made: Mapping[str, int]
    notices: tuple[str, ...]


def balance(
    table: Path | str | Place, *, schema_file: Path, out: Path, options: BalanceOptions, on_step: OnStep
) -> Balanced:
    """Read a table, make rows until every class of the target is as large as the largest, and write both as CSV.

    Raises:
        InputError: the table does not fit its schema, or cannot be balanced this way; nothing has been written then.
        TrainingError: a generator could not be trained.
    """
    place = place_of(table)
    _check_out(out, place)
    meaning = schema_reader.load(schema_file, target=options.target)
    source = table_reader.read_whole(place, meaning, minimum_rows=FEWEST_REAL_ROWS)
    real = source.table
    target = _target(real)
    if options.column in {column.name for column in real.schema.columns}:
        raise OversamplingError(
            f"The column that marks made rows needs a name of its own, however the table has a column "
            f"{options.column!r}. Choose another with --column."
        )
    constraints.check(real)
    codes = real.frame[target].cat.codes.to_numpy().astype(np.int64)
    counts = np.bincount(codes, minlength=len(real.schema.column(target).categories))
    wanted = {int(place): int(counts.max() - counts[place]) for place in np.flatnonzero(counts)}
    wanted = {place: rows for place, rows in wanted.items() if rows}
    made, notices = _made(real, wanted, counts, options, on_step)
    file = read_file(place)
    with tempfile.TemporaryDirectory(prefix="synthrelease-balance-") as folder:
        spelled = Path(folder) / f"made.{source.style.format.suffix}"
        if len(made):
            table_writer.write([made], real.schema, source.style, spelled, seed=options.seed)
        _write(out, file, read_file(spelled) if len(made) else None, options.column)
    names = real.schema.column(target).categories
    return Balanced(
        path=out,
        real={names[place]: int(counts[place]) for place in np.flatnonzero(counts)},
        made={names[place]: rows for place, rows in wanted.items()},
        notices=(*notices, WARNING),
    )


def _check_out(out: Path, place: Place) -> None:
    if out.suffix != ".csv":
        raise OversamplingError(
            f"The balanced table is written as CSV, however --out ends in {out.suffix!r}. Use .csv."
        )
    if place.path is not None and out.resolve() == place.path.resolve():
        raise OversamplingError(
            "A table is never overwritten, however --out is the table itself. Choose another --out."
        )
    if out.is_dir() or not out.absolute().parent.is_dir():
        raise OversamplingError(f"--out must be a file in a folder that exists, however {out} is not. Make the folder.")


def _target(real: Table) -> str:
    target = real.schema.target
    if target is None:
        raise OversamplingError("Balancing needs a class column, however the schema names no target. Use --target COL.")
    if real.schema.column(target).is_number:
        raise OversamplingError(
            f"Classes are labels, however the target {target!r} is {real.schema.column(target).kind}. Declare it "
            "boolean or categorical, or choose another with --target."
        )
    return target


def _made(
    real: Table, wanted: Mapping[int, int], counts: IntArray, options: BalanceOptions, on_step: OnStep
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Return the made rows as a canonical frame, and what the user should know."""
    if not wanted:
        return real.frame.iloc[:0], ("All classes are equally large: nothing was made.",)
    if options.method != "gan":
        return interpolated(real, wanted, counts, method=options.method, seed=options.seed)
    plan = constraint_repair.plan(real, min_cell=MIN_CELL)

    def mend(frame: pd.DataFrame, seed: int) -> pd.DataFrame:
        mended, wrong = constraint_repair.mended(frame, plan, seed=seed)
        return mended[~wrong].reset_index(drop=True)

    how = Oversampling(options.seed, options.generator, options.effort, options.typical)
    modelled = real.by(ModelledSchema.of(real.schema, real.schema.columns), real.frame)
    return make_rows(modelled, wanted, how, on_step=on_step, mend=mend if real.schema.constraints else None), ()


def interpolated(
    real: Table[Schema],
    wanted: Mapping[int, int],
    counts: IntArray,
    *,
    method: BalanceMethod,
    seed: int,
    whole: bool = True,
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Return rows made by SMOTE, ADASYN or SMOTENC (imbalanced-learn), as a canonical frame, and notices.

    Numbers are rounded where all real ones of their column are whole, unless told otherwise.

    Raises:
        OversamplingError: the method cannot work with labels, missing values or so small a class.
    """
    target = str(real.schema.target)
    features = [column for column in real.schema.learned if column.name != target]
    is_label = np.array([not column.is_number for column in features])
    _check_kinds(method, [column.name for column in features if not column.is_number], len(features))
    _check_gaps(method, real, [column.name for column in features])
    smallest = int(min(counts[place] for place in wanted))
    if smallest < 2:
        raise OversamplingError(
            f"{method.upper()} draws lines between rows of a class, however a class of {target!r} has {smallest}. "
            "Merge it with another class, or gather more rows."
        )
    neighbours = min(NEIGHBOURS, smallest - 1)
    notices = () if neighbours == NEIGHBOURS else (f"A class has {smallest} rows: {neighbours} neighbours were used.",)
    matrix, low, width = _scaled(real.frame, [column.name for column in features], is_label)
    classes = real.frame[target].cat.codes.to_numpy().astype(np.int64)
    strategy = {place: int(counts[place]) + rows for place, rows in wanted.items()}
    sampler = _sampler(method, strategy, neighbours, is_label, seed)
    try:
        rows, labels = sampler.fit_resample(matrix, classes)
    except (ValueError, RuntimeError) as error:
        raise OversamplingError(
            f"{method.upper()} must find rows of other classes among a class's neighbours, however it could not. Use "
            "--method smote or gan."
        ) from error
    made = pd.DataFrame(
        {
            column.name: _column(rows[len(matrix) :, at] * width[at] + low[at], real.frame[column.name], whole=whole)
            for at, column in enumerate(features)
        }
    )
    made[target] = _column(labels[len(matrix) :].astype(np.float64), real.frame[target], whole=whole)
    return made[list(real.frame.columns)], notices


def _check_kinds(method: BalanceMethod, labels: list[str], features: int) -> None:
    if method in ("smote", "adasyn") and labels:
        shown = ", ".join(map(repr, labels[:3])) + (", ..." if len(labels) > 3 else "")
        raise OversamplingError(
            f"{method.upper()} works with numbers only, however labels stand in {counted(len(labels), 'column')} "
            f"({shown}). Use --method smotenc or gan, or exclude the columns."
        )
    if method == "smotenc" and len(labels) in (0, features):
        what = "labels" if not labels else "numbers"
        raise OversamplingError(
            f"SMOTENC works with numbers and labels together, however no column holds {what}. Use --method "
            f"{'smote' if not labels else 'gan'}."
        )


def _check_gaps(method: BalanceMethod, real: Table[Schema], features: list[str]) -> None:
    gaps = real.frame[features].isna().sum()
    gaps = gaps[gaps > 0]
    if len(gaps):
        raise OversamplingError(
            f"{method.upper()} cannot work with missing values, however some stand in {counted(len(gaps), 'column')} "
            f"({gaps.index[0]!r} in {int(gaps.iloc[0])} rows). Use --method gan, which learns them, or fill them."
        )


def _scaled(
    frame: pd.DataFrame, names: list[str], is_label: np.ndarray[Any, np.dtype[np.bool_]]
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return numbers scaled to [0, 1] and labels as codes, (rows, features), with the offsets and widths to undo it."""
    matrix = np.column_stack(
        [
            frame[name].cat.codes.to_numpy() if label else frame[name].to_numpy(np.float64)
            for name, label in zip(names, is_label, strict=True)
        ]
    ).astype(np.float64)
    low = np.where(is_label, 0.0, matrix.min(axis=0))
    width = np.where(is_label, 1.0, matrix.max(axis=0) - low)
    width[width == 0] = 1.0
    return (matrix - low) / width, low, width


def _sampler(
    method: BalanceMethod, strategy: Mapping[int, int], neighbours: int, is_label: np.ndarray[Any, Any], seed: int
) -> Any:
    from imblearn.over_sampling import ADASYN, SMOTE, SMOTENC  # slow to import, and only needed here

    if method == "adasyn":
        return ADASYN(sampling_strategy=dict(strategy), n_neighbors=neighbours, random_state=seed)
    if method == "smotenc":
        labels = np.flatnonzero(is_label).tolist()
        return SMOTENC(labels, sampling_strategy=dict(strategy), k_neighbors=neighbours, random_state=seed)
    return SMOTE(sampling_strategy=dict(strategy), k_neighbors=neighbours, random_state=seed)


def _column(values: FloatArray, real: pd.Series[Any], *, whole: bool) -> Any:
    """Return made numbers, whole where all real ones are, or labels from their codes."""
    dtype: Any = real.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        return pd.Categorical.from_codes(np.rint(values).astype(np.int64), dtype=dtype)
    return np.rint(values) if whole and (real == np.rint(real)).all() else values


def _write(out: Path, real: TableFile, made: TableFile | None, column: str) -> None:
    """Write both tables as CSV with one more column; the file appears under its name only when it is whole."""
    dialect = real.dialect
    delimiter = dialect.delimiter if dialect else ","
    part = out.with_name(out.name + ".part")
    try:
        with part.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, delimiter=delimiter, lineterminator="\n")
            writer.writerow([*(raw.header for raw in real.columns), column])
            for mark, rows in (("0", real), ("1", made)):
                if rows is not None:
                    writer.writerows((*cells, mark) for cells in _texts(rows))
            file.flush()
            os.fsync(file.fileno())
        part.replace(out)
    finally:
        part.unlink(missing_ok=True)


def _texts(file: TableFile) -> Iterator[tuple[str, ...]]:
    """The rows of a table as spelled; a typed file's nulls are empty."""
    columns = [np.array([*raw.labels.to_pylist(), ""], dtype=object)[raw.codes] for raw in file.columns]
    return zip(*columns, strict=True)


__all__ = ["BalanceOptions", "Balanced", "balance", "interpolated"]
