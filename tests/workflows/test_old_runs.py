"""Runs that version 0.1.0 made are still drawn from: its saved models stay readable."""

from __future__ import annotations

import json
import shutil
import tarfile
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

from synthrelease.cli.main import main
from synthrelease.schema import schema_file

ARCHIVE = Path(__file__).parents[1] / "fixtures" / "made-by-0.1.0.tar.xz"
GENERATORS = {
    "waiting": "gan",
    "signed": "marginals",
    "unsigned": "marginals",
    "private": "marginals",
    "published": "paper-128",
}
"""The runs that a generator here made, and which one."""


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("made-by-0.1.0")
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(folder, filter="data")
    return folder


def sampled(run: Path, out: Path, *, rows: int, seed: int) -> pd.DataFrame:
    words = ["sample", str(run), "--rows", str(rows), "--seed", str(seed), "--out", str(out)]
    done = CliRunner().invoke(main, words, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return pd.read_csv(out, dtype=str, keep_default_na=False)


@pytest.mark.parametrize("name", GENERATORS)
def test_rows_are_drawn_from_an_old_run_as_its_schema_has_them(name, made, tmp_path):
    run = made / name
    assert json.loads((run / "internal" / "maker.json").read_text())["generator"] == GENERATORS[name]
    frame = sampled(run, tmp_path / "more.csv", rows=321, seed=3)
    (own,) = [*run.glob("release/synthetic.csv"), *run.glob("quarantine/synthetic.csv")]
    assert list(frame.columns) == list(pd.read_csv(own, nrows=0).columns)
    assert len(frame) == 321
    schema = schema_file.load(run / "internal" / "schema.toml")
    for column in schema.learned:
        held = frame[column.name][frame[column.name] != ""]
        assert len(held), column.name
        if column.categories:
            assert set(held) <= set(column.categories), column.name
            assert len(set(held)) > 1, column.name
        elif column.is_number and column.kind in ("integer", "numeric"):
            low, high = column.bounds or (float("-inf"), float("inf"))
            assert held.astype(float).between(low, high).all(), column.name
            assert len(set(held)) > 5, column.name


@pytest.mark.parametrize("name", GENERATORS)
def test_a_seed_repeats_its_rows_and_another_draws_others(name, made, tmp_path):
    one, again, other = (
        sampled(made / name, tmp_path / f"{at}.csv", rows=60, seed=seed) for at, seed in enumerate((3, 3, 4))
    )
    assert one.equals(again)
    assert not one.equals(other)


def test_an_old_model_with_a_damaged_file_is_refused(made, tmp_path):
    shutil.copytree(made / "signed", tmp_path / "signed")
    weights = tmp_path / "signed" / "internal" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-10])
    done = CliRunner().invoke(main, ["sample", str(tmp_path / "signed"), "--rows", "5"])
    assert done.exit_code == 2
    assert "model.safetensors is not" in str(done.exception) + done.output
