"""What holds for any schema and any table: coding loses nothing and sampling keeps to the schema.

50 generated examples each; 500 by `pytest -m nightly`.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from conftest import policy_that_decides, real_file
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from synthrelease.cli.main import main
from synthrelease.core.contracts import Column, Constraint, FitSettings, Schema, Table
from synthrelease.schema import constraints
from synthrelease.synthesis import constraint_repair
from synthrelease.synthesis.encoding.table_encoder import Encoder
from synthrelease.synthesis.generators.autoregressive_gan import generator as gan

pytestmark = pytest.mark.nightly
EXAMPLES = 500 if os.environ.get("SYNTHRELEASE_NIGHTLY") == "1" else 50
SLOW = (HealthCheck.too_slow, HealthCheck.data_too_large)
KINDS = ("integer", "numeric", "boolean", "categorical", "ordinal", "date", "datetime", "time", "duration")


def numbers(kind: str, rows: int, rng: np.random.Generator) -> tuple[np.ndarray, tuple[float, float]]:
    """Values of a number column of any scale, and bounds that hold them."""
    scale = 10.0 ** rng.integers(-3, 6)
    values = rng.normal(0, scale, rows)
    if rng.random() < 0.3:
        values[rng.random(rows) < 0.6] = 0.0
    if rng.random() < 0.3:
        values = np.exp(np.clip(values, -20, 20))
    if rng.random() < 0.15:
        values[:] = values[0]
    if kind in ("integer", "date"):
        values = np.round(values)
    elif rng.random() < 0.7:
        values = np.round(values, int(rng.integers(0, 7)))
    if kind == "time":
        values = np.abs(values) % 1
    slack = 0.0 if rng.random() < 0.5 else 1.0
    return values, (float(values.min()) - slack, float(values.max()) + slack)


@st.composite
def mixed_tables(draw: st.DrawFn) -> Table:
    """A table of one to six columns of any kinds, with gaps, spikes, rare labels and labels that nobody has."""
    rows = draw(st.integers(20, 250))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    kinds = draw(st.lists(st.sampled_from(KINDS), min_size=1, max_size=6))
    columns, frame = [], {}
    for place, kind in enumerate(kinds):
        name, gaps = f"c{place}", draw(st.sampled_from([0.0, 0.0, 0.05, 0.6]))
        gone = rng.random(rows) < gaps
        if kind in ("boolean", "categorical", "ordinal"):
            count = 2 if kind == "boolean" else draw(st.integers(1, 12))
            labels = ("no", "yes") if kind == "boolean" else tuple(f"label {number}" for number in range(count))
            codes = np.where(gone, -1, rng.choice(count, rows, p=rng.dirichlet(np.full(count, 0.5))))
            dtype = pd.CategoricalDtype(list(labels), ordered=kind == "ordinal")
            frame[name] = pd.Categorical.from_codes(codes, dtype=dtype)
            columns.append(Column(name, kind, categories=labels))
        else:
            values, bounds = numbers(kind, rows, rng)
            frame[name] = np.where(gone, np.nan, values)
            columns.append(Column(name, kind, bounds=bounds))  # type: ignore[arg-type]
    return Table(pd.DataFrame(frame), Schema(tuple(columns)), "real")


def check_keeps_to(frame: pd.DataFrame, schema: Schema) -> None:
    """Every cell lies within the schema: bounds, categories, whole numbers."""
    assert list(frame.columns) == [column.name for column in schema.learned]
    for column in schema.learned:
        values = frame[column.name]
        if not column.is_number:
            assert tuple(values.cat.categories) == column.categories
            continue
        present = values.dropna().to_numpy(dtype=np.float64)
        assert column.bounds is not None
        assert np.isfinite(present).all()
        assert ((present >= column.bounds[0]) & (present <= column.bounds[1])).all(), column
        if column.kind in ("integer", "date"):
            assert (present == np.round(present)).all(), column


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=SLOW)
@given(mixed_tables())
def test_encode_then_decode_gives_valid_rows_back(table: Table):
    encoder = Encoder.fit(table)
    again = Encoder.from_json(encoder.to_json())
    back = again.decode(encoder.encode(table.frame))
    for column in table.schema.learned:
        want, got = table.frame[column.name], back[column.name]
        if column.is_number:
            width = np.nanmax(want) - np.nanmin(want) if want.notna().any() else 0.0
            np.testing.assert_allclose(got, want, rtol=1e-15, atol=1e-15 * width, err_msg=str(column))
        else:
            pd.testing.assert_series_equal(got, want)


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=SLOW)
@given(mixed_tables(), st.integers(1, 300), st.integers(0, 2**31 - 1))
def test_synthetic_rows_keep_to_the_schema_and_are_as_many_as_asked_for(table: Table, rows: int, seed: int):
    fitted = gan.fit(table, FitSettings(seed=seed, effort=0.01), lambda step: None)
    made = pd.concat(list(fitted.sample(rows, seed=seed, chunk_rows=128)), ignore_index=True)
    assert len(made) == rows
    check_keeps_to(made, table.schema)


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=SLOW)
@given(mixed_tables(), st.integers(1, 200), st.integers(0, 2**31 - 1))
def test_synthetic_rows_obey_every_constraint(table: Table, rows: int, seed: int):
    rng = np.random.default_rng(seed)
    low = rng.integers(0, 50, len(table)).astype(float)
    high = low + rng.integers(0, 20, len(table))
    sex = rng.choice(2, len(table))
    births = np.where(sex == 0, np.nan, rng.integers(0, 4, len(table)))
    labels = pd.CategoricalDtype(["M", "F"])
    more = {"low": low, "high": high, "total": low + high, "sex": pd.Categorical.from_codes(sex, dtype=labels)}
    columns = (
        *table.schema.columns,
        *(Column(name, "integer", bounds=(0, 200)) for name in ("low", "high", "total")),
        Column("sex", "categorical", categories=("M", "F")),
        Column("births", "integer", bounds=(0, 9)),
    )
    rules = tuple(
        Constraint(rule=rule) for rule in ("low <= high", "total = low + high", "if sex == 'M' then births is missing")
    )
    ruled = Table(table.frame.assign(**more, births=births), Schema(columns, constraints=rules), "real")
    constraints.check(ruled)
    fitted = gan.fit(ruled, FitSettings(seed=seed, effort=0.01), lambda step: None)
    made = pd.concat(
        list(constraint_repair.obeying(fitted, constraint_repair.plan(ruled, min_cell=1), rows, seed=seed))
    )
    assert len(made) == rows
    check_keeps_to(made, ruled.schema)
    for rule in rules:
        assert not constraints.broken(made, rule, ruled.schema).any(), rule


@pytest.mark.slow
def test_no_file_of_a_run_holds_an_identifier_of_the_input(tmp_path: Path):
    identifiers = ["encounter_id", "patient_nbr"]
    sample = pd.read_csv(real_file("diabetes130"), dtype=str, keep_default_na=False).sample(1_200, random_state=1)
    sample.to_csv(tmp_path / "sample.csv", index=False)
    call("inspect", tmp_path / "sample.csv", "--target", "readmitted", "--unit", "patient_nbr", "--missing", "?",
         "--out", tmp_path / "schema.toml")  # fmt: skip
    rules = policy_that_decides("release", tmp_path)
    call("build", tmp_path / "sample.csv", "--schema", tmp_path / "schema.toml", "--policy", rules,
         "--effort", 0.02, "--seed", 1, "--out", tmp_path / "run")  # fmt: skip
    written = [path for path in [*tmp_path.rglob("run/**/*"), tmp_path / "schema.toml"] if path.is_file()]
    assert len(written) > 5
    # Shorter ones are left out: counts in a report may equal them by chance.
    known = {value for name in identifiers for value in sample[name] if len(value) >= 6}
    assert known <= long_numbers(tmp_path / "sample.csv")
    for path in written:
        found = known & long_numbers(path)
        assert not found, f"{path.name}: {len(found)} identifiers"


def long_numbers(path: Path) -> set[str]:
    """The words of a file, whatever its format, that are six digits or more and no part of a decimal number."""
    return {word.decode() for word in re.findall(rb"(?<![\w.])\d{6,}(?![\w]|[.]\d)", path.read_bytes())}


def call(*words: object) -> None:
    """Run the command line; it must end well."""
    result = CliRunner().invoke(main, [str(word) for word in words])
    assert result.exit_code == 0, result.output
