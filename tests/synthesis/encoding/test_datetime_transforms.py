"""Modelled columns: an exact way back, whatever is missing."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from synthrelease.core.contracts import Column, FitSettings, Schema, Table
from synthrelease.schema import datetimes, schema_file
from synthrelease.synthesis import generators
from synthrelease.synthesis.encoding import datetime_transforms

DATES = Schema(
    columns=(
        Column("discharged", "date", anchor="admitted", bounds=(0.0, 40_000.0)),
        Column("admitted", "date", role="quasi_identifier"),
        Column("stamp", "datetime"),
        Column("seen", "datetime", anchor="stamp"),
        Column("closed", "date", anchor="discharged"),
        Column("kind", "categorical", categories=("a", "b")),
        Column("seen without stamp", "integer"),
    )
)


def table(frame: pd.DataFrame) -> Table:
    return Table(frame, DATES, "real")


def made(rows: int, seed: int = 0, gaps: float = 0.1) -> Table:
    rng = np.random.default_rng(seed)
    admitted = rng.integers(17_000, 18_000, rows).astype(float)
    stamp = datetimes.days_of(rng.integers(17_000 * datetimes.MICROSECONDS, 18_000 * datetimes.MICROSECONDS, rows))
    frame = pd.DataFrame(
        {
            "discharged": admitted + rng.integers(0, 30, rows),
            "admitted": admitted,
            "stamp": stamp,
            "seen": datetimes.added(stamp, rng.integers(0, 10**9, rows) / datetimes.MICROSECONDS),
            "closed": admitted + 60,
        }
    )
    frame = frame.mask(rng.random(frame.shape) < gaps)
    frame["kind"] = pd.Categorical.from_codes(rng.integers(-1, 2, rows), categories=["a", "b"])
    frame["seen without stamp"] = 1.0
    return table(frame)


@given(st.integers(0, 10_000), st.sampled_from([0.0, 0.1, 0.6, 1.0]))
def test_the_way_back_is_exact_to_the_bit(seed, gaps):
    rows = made(50, seed, gaps)
    transform = datetime_transforms.fit(rows)
    modelled = transform.apply(rows)
    assert modelled.frame.columns.tolist() == [column.name for column in modelled.schema.learned]
    pd.testing.assert_frame_equal(transform.undo(modelled.frame), rows.frame, check_exact=True)


def test_intervals_are_what_is_modelled():
    rows = made(200, gaps=0.0)
    modelled = datetime_transforms.fit(rows).apply(rows)
    assert modelled.frame["discharged"].between(0, 29).all()
    assert modelled.frame["closed"].between(31, 60).all()
    assert modelled.frame["seen"].between(0, 1).all()
    assert (modelled.frame["stamp"] % 1 == 0).all()
    assert modelled.frame["stamp time of day"].between(0, 1).all()
    assert [column.kind for column in modelled.schema.learned][:2] == ["integer", "date"]


def test_a_date_without_its_anchor_has_a_column_of_its_own_under_a_free_name():
    rows = made(200)
    parts = {part.name: part for part in datetime_transforms.fit(rows).parts}
    assert parts["seen"].other == "seen without stamp'"
    assert parts["discharged"].other == "discharged without admitted"


def test_tables_without_dates_are_left_alone(ward_table):
    transform = datetime_transforms.fit(ward_table)
    assert transform.parts == ()
    fitted = object()
    assert transform.wrap(fitted) is fitted
    pd.testing.assert_frame_equal(transform.apply(ward_table).frame, ward_table.frame)


def test_the_target_is_modelled_as_it_is():
    from dataclasses import replace

    rows = made(50)
    assert "stamp" not in {
        part.name for part in datetime_transforms.fit(replace(rows, schema=replace(DATES, target="stamp"))).parts
    }


def test_sampled_dates_keep_their_order_and_their_bounds(tmp_path):
    rows = made(400, gaps=0.0)
    transform = datetime_transforms.fit(rows)
    train = generators.load("gan")
    fitted = transform.wrap(train(transform.apply(rows), FitSettings(seed=0, effort=0.05), lambda step: None))
    frame = pd.concat(fitted.sample(300, seed=1, chunk_rows=100))
    assert len(frame) == 300
    assert frame.columns.tolist() == rows.frame.columns.tolist()
    assert (frame["discharged"] >= frame["admitted"]).all()
    assert (frame["closed"] >= frame["discharged"]).all()
    assert frame["discharged"].between(0, 40_000).all()
    assert fitted.description["anchors"] == {"discharged": "admitted", "seen": "stamp", "closed": "discharged"}
    fitted.save(tmp_path)
    saved = json.loads((tmp_path / "transforms.json").read_text(encoding="utf-8"))
    assert {part["name"] for part in saved["parts"]} == {"stamp", "discharged", "seen", "closed"}


def test_dates_carried_out_of_their_bounds_stay_on_them():
    rows = made(50, gaps=0.0)
    transform = datetime_transforms.fit(rows)
    frame = transform.apply(rows).frame.assign(discharged=99_999.0)
    assert (transform.undo(frame)["discharged"] == 40_000.0).all()


def test_a_schema_file_declares_anchors(tmp_path):
    path = tmp_path / "s.toml"
    path.write_text('[columns.a]\nkind = "date"\n[columns.b]\nkind = "datetime"\nanchor = "a"\n', encoding="utf-8")
    assert schema_file.load(path).column("b").anchor == "a"
