"""Fit one peer to one training table and draw as many rows. Runs in the peer's environment (``peers/*.txt``).

    python -m generator.fit_peer --system CTGAN --train train.csv --target y --seed 0 --made made.csv --facts facts.json

Every peer has its defaults. All are told the same thing about columns: text, the target, and whole numbers of at most
ten values are labels, everything else is a number. Where a peer cannot take gaps, numbers are filled by the median and
gaps in labels become a label, which is taken out again afterwards. Numbers come back with no more decimals than the
training column has, as any user would round them.
"""

from __future__ import annotations

import argparse
import traceback
import warnings
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from generator.meter import Meter

GAP, FEW = "gap", 10
Sampler = Callable[[int], pd.DataFrame]


class Task(NamedTuple):
    """The training table, its label columns, its target, the seed, and the budget of a private peer."""

    train: pd.DataFrame
    labels: list[str]
    target: str
    seed: int
    epsilon: float = 0.0


def read(path: Path) -> pd.DataFrame:
    """Read a table whose gaps are empty cells."""
    return pd.read_csv(path, keep_default_na=False, na_values=[""], low_memory=False)


def label_columns(frame: pd.DataFrame, target: str) -> list[str]:
    """Name the columns that hold labels."""

    def is_label(cells: pd.Series) -> bool:
        if not pd.api.types.is_numeric_dtype(cells):
            return True
        return cells.nunique() <= FEW and bool((cells.dropna() % 1 == 0).all())

    return [str(name) for name in frame if name == target or is_label(frame[name])]


def sdv(kind: str) -> Callable[[Task], Sampler]:
    """CTGAN, TVAE or GaussianCopula as SDV has it: it minds ranges, decimals and gaps."""

    def fit(task: Task) -> Sampler:
        from sdv.metadata import Metadata
        from sdv.single_table import CTGANSynthesizer, GaussianCopulaSynthesizer, TVAESynthesizer

        metadata = Metadata()
        metadata.add_table("table")
        for name in task.train:
            metadata.add_column(name, "table", sdtype="categorical" if name in task.labels else "numerical")
        makers = {"CTGAN": CTGANSynthesizer, "TVAE": TVAESynthesizer, "GaussianCopula": GaussianCopulaSynthesizer}
        gpu = {} if kind == "GaussianCopula" else {"enable_gpu": False}
        model = makers[kind](metadata, **gpu)
        model.fit({"table": task.train})
        if hasattr(model, "_set_random_state"):  # it would draw the same rows for every seed
            model._set_random_state(task.seed)

        def sample(rows: int) -> pd.DataFrame:
            made = model.sample(rows)
            frame: pd.DataFrame = made["table"] if isinstance(made, dict) else made
            return frame

        return sample

    return fit


def tabular_argn(task: Task) -> Sampler:
    """MOSTLY AI's TabularARGN: it finds out what the columns are."""
    from mostlyai.engine import TabularARGN

    sample: Sampler = TabularARGN(random_state=task.seed, device="cpu", verbose=0).fit(task.train).sample
    return sample


def cart(task: Task) -> Sampler:
    """Sequential CART of synthpop-py: labels are categories, as its guide has it."""
    from synthpop import Synthesiser

    frame = task.train.copy()
    for name in task.labels:
        frame[name] = frame[name].astype("category")
    model = Synthesiser(random_seed=task.seed)
    model.fit(frame)
    return lambda rows: model.generate(rows, random_seed=task.seed)


def smote(task: Task) -> Sampler:
    """SMOTE, or SMOTENC where there are labels: asked for twice each class, the added rows are the made table."""
    from imblearn.over_sampling import SMOTE, SMOTENC

    frame = filled(task)
    features = frame.drop(columns=task.target)
    places = [place for place, name in enumerate(features) if name in task.labels]
    classes = frame[task.target].value_counts()
    wanted = {label: 2 * count for label, count in classes.items()}
    how: dict[str, Any] = {"sampling_strategy": wanted, "random_state": task.seed}
    sampler = SMOTENC(places, **how) if places else SMOTE(**how)
    features, target = sampler.fit_resample(features, frame[task.target])
    made = features.assign(**{task.target: target})[list(frame.columns)].iloc[len(frame) :]
    return lambda rows: made.sample(n=rows, random_state=task.seed)


def filled(task: Task) -> pd.DataFrame:
    """Put medians and a label of its own in the place of gaps."""
    frame = task.train.copy()
    for name in frame:
        if name not in task.labels:
            frame[name] = frame[name].fillna(frame[name].median())
        elif frame[name].isna().any():
            frame[name] = frame[name].astype(object).where(frame[name].notna(), GAP)
    return frame


PEERS: Mapping[str, tuple[str, Callable[[Task], Sampler]]] = {
    "CTGAN": ("sdv.single_table", sdv("CTGAN")),
    "TVAE": ("sdv.single_table", sdv("TVAE")),
    "GaussianCopula": ("sdv.single_table", sdv("GaussianCopula")),
    "TabularARGN": ("mostlyai.engine", tabular_argn),
    "CART": ("synthpop", cart),
    "SMOTE": ("imblearn.over_sampling", smote),
}
"""How each peer is fitted, and the module that is imported before the clock starts."""


def tidied(made: pd.DataFrame, train: pd.DataFrame) -> pd.DataFrame:
    """Take gaps out that were labels, and round numbers to the training column's decimals."""
    made = made[[name for name in train if name in made]].reset_index(drop=True)
    for name in made:
        cells = made[name].astype(object) if isinstance(made[name].dtype, pd.CategoricalDtype) else made[name]
        if train[name].isna().any():
            cells = cells.where(cells != GAP)
        if pd.api.types.is_numeric_dtype(train[name]):
            numbers = pd.to_numeric(cells, errors="coerce").astype(float).round(decimals(train[name]))
            is_whole = pd.api.types.is_integer_dtype(train[name]) and numbers.notna().all()
            cells = numbers.astype("int64") if is_whole else numbers
        made[name] = cells
    return made


def decimals(cells: pd.Series) -> int:
    """Count the most decimals of a column, at most eight."""
    values = cells.dropna().to_numpy(dtype=float)
    return next((places for places in range(8) if np.allclose(values.round(places), values, rtol=0, atol=1e-9)), 8)


def _seeded(seed: int) -> None:
    """Set the global seeds that some peers draw from."""
    np.random.seed(seed)  # noqa: NPY002
    try:
        import torch
    except ImportError:
        return
    torch.manual_seed(seed)
    torch.set_num_threads(1)


def main(peers: Mapping[str, tuple[str, Callable[[Task], Sampler]]]) -> None:
    """Fit, sample, write; a peer's failure is written down as its result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("train", "made", "facts"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--system", choices=list(peers), required=True)
    parser.add_argument("--target", required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--epsilon", type=float, default=0.0)
    chosen = parser.parse_args()
    warnings.filterwarnings("ignore")
    train = read(chosen.train)
    meter = Meter()
    try:
        module, fit = peers[chosen.system]
        import_module(module)
        _seeded(chosen.seed)
        task = Task(train, label_columns(train, chosen.target), chosen.target, chosen.seed, chosen.epsilon)
        with meter.timed("fit"):
            sample = fit(task)
        with meter.timed("sample"):
            made = sample(len(train))
        tidied(made, train).to_csv(chosen.made, index=False)
        meter.write(chosen.facts)
    except Exception as error:
        traceback.print_exc()
        meter.write(chosen.facts, error=f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    main(PEERS)
