"""Fit a generator of this package to one training table and draw as many rows: schema as drafted, default settings.

    python -m generator.fit_ours --generator gan --effort 1 --train train.csv --target y --seed 0 --made made.csv \\
        --facts facts.json
"""

from __future__ import annotations

import argparse
import traceback
from pathlib import Path

import pandas as pd
import torch

from generator.meter import Meter
from synthrelease import drafting, generators, levels, schema, tables
from synthrelease.contracts import FitSettings

MIN_CELL = 10
"""Labels of fewer patients are merged, as under the policy ``partner_handoff``."""


def main() -> None:
    """Fit, sample, write; a failure is written down as the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("train", "made", "facts"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--generator", required=True)
    parser.add_argument("--effort", type=float, required=True)
    parser.add_argument("--target", required=True)
    parser.add_argument("--seed", type=int, required=True)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    meter = Meter()
    try:
        _made(chosen, meter)
        meter.write(chosen.facts)
    except Exception as error:
        traceback.print_exc()
        meter.write(chosen.facts, error=f"{type(error).__name__}: {error}")


def _made(chosen: argparse.Namespace, meter: Meter) -> None:
    schema_file = chosen.made.with_suffix(".toml")
    schema_file.write_text(drafting.draft(chosen.train, target=chosen.target), encoding="utf-8")
    source = tables.read(chosen.train, schema.load(schema_file))
    fit = generators.load(chosen.generator)
    with meter.timed("fit"):
        known = levels.learned(source.table, min_cell=MIN_CELL)
        settings = FitSettings(seed=chosen.seed, effort=chosen.effort)
        fitted = fit(levels.coded(source.table, known), settings, lambda step: None)
    with meter.timed("sample"):
        frame = pd.concat(list(fitted.sample(len(source.table), seed=chosen.seed)), ignore_index=True)
    tables.write([frame], levels.laid_out(source.layout, known), chosen.made, seed=chosen.seed)


if __name__ == "__main__":
    main()
