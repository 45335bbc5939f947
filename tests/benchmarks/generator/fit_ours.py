"""Fit a generator of this package to one training table and draw as many rows: schema as drafted, default settings.

With ``--epsilon`` the schema as drafted counts as public, as do all labels of the table and its number of rows.

    python -m generator.fit_ours --generator gan --effort 1 --train train.csv --target y --seed 0 --made made.csv \\
        --facts facts.json
"""

from __future__ import annotations

import argparse
import traceback
from dataclasses import replace
from pathlib import Path

import pandas as pd
import torch

from generator.meter import Meter
from synthrelease.core.contracts import Column, FitSettings, Generator, Schema
from synthrelease.data import file_style, learned_categories, table_reader, table_writer
from synthrelease.schema import schema_file as schema_reader
from synthrelease.synthesis import generators
from synthrelease.workflows import private_preparation
from synthrelease.workflows.inspect import draft_schema

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
    parser.add_argument("--epsilon", type=float)
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a setting of the generator")
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
    schema_file.write_text(draft_schema.draft(chosen.train, target=chosen.target), encoding="utf-8")
    fit = generators.load(chosen.generator)
    if chosen.epsilon is not None:
        _made_privately(chosen, meter, fit, declared(schema_reader.load(schema_file), chosen.train))
        return
    source = table_reader.read(chosen.train, schema_reader.load(schema_file))
    with meter.timed("fit"):
        known = learned_categories.learned(source.table, min_cell=MIN_CELL)
        overrides = {name: float(value) for name, _, value in (each.partition("=") for each in chosen.set)}
        settings = FitSettings(seed=chosen.seed, effort=chosen.effort, overrides=overrides)
        fitted = fit(learned_categories.coded(source.table, known), settings, lambda step: None)
    with meter.timed("sample"):
        frame = pd.concat(list(fitted.sample(len(source.table), seed=chosen.seed)), ignore_index=True)
    table_writer.check(known, source.style)
    table_writer.write([frame], known, source.style, chosen.made, seed=chosen.seed)


def declared(drafted: Schema, train: Path) -> Schema:
    """Return a schema that leaves nothing to learn outside a budget: every label, and the number of rows, is public."""
    cells = pd.read_csv(train, dtype=str, keep_default_na=False, na_values=[""])
    columns = tuple(_open_to_all(column, cells[column.name]) for column in drafted.columns)
    return replace(drafted, columns=columns, unit_is_row=True, rows_are_public=True)


def _open_to_all(column: Column, cells: pd.Series) -> Column:
    if column.is_number or not (column.learns_levels or "*" in column.missing):
        return column
    marks = tuple(mark for mark in column.missing if mark != "*")
    labels = sorted(set(cells.dropna()) - set(marks))
    return replace(column, categories=tuple(labels), learns_levels=False, missing=marks)


def _made_privately(chosen: argparse.Namespace, meter: Meter, fit: Generator, known: Schema) -> None:
    source = table_reader.read(chosen.train, known)
    with meter.timed("fit"):
        budget = private_preparation.wanted(chosen.epsilon, None, source.table)
        settings = FitSettings(seed=chosen.seed, effort=chosen.effort, privacy=budget)
        fitted = fit(source.table, settings, lambda step: None)
        private_preparation.claimed(fitted, source.table.schema, budget)
    with meter.timed("sample"):
        frame = pd.concat(list(fitted.sample(len(source.table), seed=chosen.seed)), ignore_index=True)
    style = file_style.public(known, source.style.format)
    table_writer.write([frame], known, style, chosen.made, seed=chosen.seed)


if __name__ == "__main__":
    main()
