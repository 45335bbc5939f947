"""Fit one peer under differential privacy, as ``fit_peer`` does without; runs in the peer's environment.

    python -m generator.fit_private_peer --system MST --epsilon 1 --train train.csv --target y --seed 0 \\
        --made made.csv --facts facts.json

Bounds of numbers and labels are handed over as if they were public: those of the training rows, which is kind to the
peer. Gaps are filled first. What a peer does with its budget is its own account.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd

from generator.fit_peer import GAP, Sampler, Task, filled, main

DELTA = 1e-5
BINS = 20
PREPARING = 0.1
"""Share of the budget for what a peer learns before it trains, where it asks for one."""


def tables(kind: str) -> Callable[[Task], Sampler]:
    """SmartNoise's MST or AIM: numbers in bins of equal width."""

    def fit(task: Task) -> Sampler:
        from snsynth import Synthesizer
        from snsynth.transform import BinTransformer, LabelTransformer

        frame = filled(task)
        ways: dict[str, Any] = {}
        for name in frame:
            low, high = (0, 0) if name in task.labels else (float(frame[name].min()), float(frame[name].max()))
            is_label = name in task.labels
            ways[str(name)] = LabelTransformer(nullable=False) if is_label else BinTransformer(
                bins=BINS, lower=low, upper=high
            )  # fmt: skip
        model = Synthesizer.create(kind, epsilon=task.epsilon, delta=DELTA)
        model.fit(frame, transformer=ways, preprocessor_eps=0.0)
        sample: Sampler = model.sample
        return sample

    return fit


def networks(kind: str) -> Callable[[Task], Sampler]:
    """SmartNoise's DP-CTGAN or PATE-CTGAN: numbers between their bounds, labels one-hot."""

    def fit(task: Task) -> Sampler:
        from snsynth.pytorch import PytorchDPSynthesizer
        from snsynth.pytorch.nn import DPCTGAN, PATECTGAN
        from snsynth.transform import ChainTransformer, LabelTransformer, MinMaxTransformer, OneHotEncoder

        frame = filled(task)
        ways: dict[str, Any] = {}
        for name in frame:
            if name in task.labels:
                ways[str(name)] = ChainTransformer([LabelTransformer(nullable=False), OneHotEncoder()])
            else:
                ways[str(name)] = MinMaxTransformer(lower=float(frame[name].min()), upper=float(frame[name].max()))
        network = DPCTGAN if kind == "dpctgan" else PATECTGAN
        model = PytorchDPSynthesizer(task.epsilon, network(epsilon=task.epsilon, verbose=False, cuda=False))
        model.fit(frame, transformer=ways, preprocessor_eps=0.0)
        sample: Sampler = model.sample
        return sample

    return fit


def tabular_argn(task: Task) -> Sampler:
    """MOSTLY AI's TabularARGN with DP-SGD, and a part of the budget for ranges and labels."""
    from mostlyai.engine import TabularARGN
    from mostlyai.engine.domain import DifferentialPrivacyConfig

    part = PREPARING * task.epsilon
    private = DifferentialPrivacyConfig(max_epsilon=task.epsilon - part, delta=DELTA, value_protection_epsilon=part)
    model = TabularARGN(differential_privacy=private, random_state=task.seed, device="cpu", verbose=0)
    sample: Sampler = model.fit(task.train).sample
    return sample


def graphical(task: Task) -> Sampler:
    """dpmm's pipeline of MST: its tree of bins has a part of the budget."""
    from dpmm.pipelines import MSTPipeline

    frame = filled(task)
    domain: dict[str, dict[str, Any]] = {}
    for name in frame:
        if name in task.labels:
            frame[name] = frame[name].astype(str).astype("category")
            domain[str(name)] = {"categories": list(frame[name].cat.categories)}
        else:
            domain[str(name)] = {"lower": float(frame[name].min()), "upper": float(frame[name].max())}
    part = PREPARING * task.epsilon
    model = MSTPipeline(epsilon=task.epsilon - part, delta=DELTA, proc_epsilon=part, n_jobs=1)
    model.fit(frame, domain, random_state=task.seed)

    def sample(rows: int) -> pd.DataFrame:
        made: pd.DataFrame = model.generate(n_records=rows, random_state=task.seed)
        for name in task.labels:
            if pd.api.types.is_numeric_dtype(task.train[name]):
                made[name] = pd.to_numeric(made[name].astype(str).where(made[name] != GAP))
        return made

    return sample


PEERS: Mapping[str, tuple[str, Callable[[Task], Sampler]]] = {
    "MST": ("snsynth", tables("mst")),
    "AIM": ("snsynth", tables("aim")),
    "DP-CTGAN": ("snsynth.pytorch.nn", networks("dpctgan")),
    "PATE-CTGAN": ("snsynth.pytorch.nn", networks("patectgan")),
    "TabularARGN (DP)": ("mostlyai.engine", tabular_argn),
    "dpmm": ("dpmm.pipelines", graphical),
}

if __name__ == "__main__":
    main(PEERS)
