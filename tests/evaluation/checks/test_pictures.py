"""Pictures of columns and of all rows: shares that can be counted by hand, round edges, nobody's value at an end."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from synthrelease.core.contracts import Column, Evidence, Schema, Table
from synthrelease.evaluation.checks import _pictures
from synthrelease.report.figures import charts


def evidence(column, real, made, *, units=None):
    """Half of the real cells are training rows, half holdout rows."""
    half = len(real) // 2

    def table(cells, origin="real", owner=None):
        cells = pd.Series(cells)
        if not column.is_number:
            cells = pd.Series(pd.Categorical(cells, categories=list(column.categories)))
        frame = pd.DataFrame({column.name: cells}).reset_index(drop=True)
        return Table(frame, Schema((column,)), origin, owner)

    owners = (None, None) if units is None else (units[:half], units[half:])
    sides = (table(real[:half], owner=owners[0]), table(real[half:], owner=owners[1]))
    return Evidence(*sides, table(made, "synthetic"), seed=0)


def test_labels_are_counted_the_commonest_first():
    column = Column("ward", "categorical", categories=("A", "B", "C"))
    real, made = ["B"] * 6 + ["A"] * 3 + [None], ["A"] * 5 + ["B"] * 5
    figure = _pictures.column_figure(evidence(column, real, made), column, "note")
    ours, theirs = figure.lines
    assert ours.x == ("B", "A", "C", "missing")
    assert ours.y == pytest.approx((60, 30, 0, 10))
    assert ours.people == (6, 3, 0, 1)
    assert theirs.y == pytest.approx((50, 50, 0, 0))


def test_a_label_called_missing_is_not_taken_for_a_missing_value():
    column = Column("ward", "categorical", categories=("missing", "B"))
    figure = _pictures.column_figure(evidence(column, ["missing", "B", None, "B"], ["B"] * 4), column, "")
    assert figure.lines[0].x == ("B", "missing", "(missing)")


def test_ordinal_labels_keep_their_order_and_rare_ones_are_put_together():
    column = Column("grade", "ordinal", categories=tuple(f"g{at:02}" for at in range(20)))
    real = [f"g{at:02}" for at in range(20) for _ in range(40 - at)]
    figure = _pictures.column_figure(evidence(column, real, real), column, "")
    assert figure.lines[0].x == (*(f"g{at:02}" for at in range(12)), "8 other labels")
    assert sum(figure.lines[0].people) == len(real)


def test_numbers_fall_into_round_ranges_whose_ends_are_open():
    rng = np.random.default_rng(0)
    real = np.round(rng.normal(50, 7, 1_000), 3)
    column = Column("weight", "numeric", bounds=(0, 200))
    figure = _pictures.column_figure(evidence(column, real, real), column, "")
    labels = figure.lines[0].x
    assert labels[0].startswith("below ")
    assert labels[-1].endswith(" or more")
    edges = [float(text) for text in re.findall(r"[\d.]+", " ".join(labels))]
    assert all(edge * 2 == int(edge * 2) for edge in edges)  # steps of 2.5
    assert min(edges) > real.min()
    assert max(edges) < real.max()
    assert figure.lines[0].people[0] >= 15
    assert figure.lines[0].people[-1] >= 15
    low, high = float(labels[0].split()[1]), float(labels[-1].split()[0])
    assert figure.lines[0].people[0] == int((real < low).sum())
    assert figure.lines[0].people[-1] == int((real >= high).sum())


@pytest.mark.parametrize(
    "real",
    [
        np.zeros(40),
        np.r_[np.zeros(390), np.arange(10) * 1_000.0],
        np.full(40, np.nan),
        np.r_[np.nan, np.arange(39) / 1e9],
        np.arange(40) + 1.6e9,
    ],
    ids=["constant", "spike", "all missing", "tiny steps", "large numbers"],
)
@pytest.mark.parametrize("kind", ["numeric", "integer"])
def test_odd_columns_have_a_picture_with_one_place_a_label(real, kind):
    column = Column("x", kind, bounds=(0, 2e9))
    figure = _pictures.column_figure(evidence(column, real, real), column, "")
    labels = figure.lines[0].x
    assert len(set(labels)) == len(labels)
    assert sum(figure.lines[0].people) == len(real)
    assert sum(figure.lines[0].y) == pytest.approx(100)
    assert str(charts.draw(figure)).startswith("<svg")


@pytest.mark.parametrize(("kind", "days"), [("date", 400.0), ("datetime", 0.5), ("date", 3.0), ("duration", 20.0)])
def test_dates_are_written_as_dates(kind, days):
    real = 18_000.0 + np.linspace(0, days, 200)
    real = np.floor(real) if kind == "date" else real
    column = Column("seen", kind, bounds=(0, 40_000))
    labels = _pictures.column_figure(evidence(column, real, real), column, "").lines[0].x
    assert len(set(labels)) == len(labels)
    assert kind == "duration" or all("20" in label for label in labels)


def test_people_are_patients_and_not_rows():
    column = Column("ward", "categorical", categories=("A", "B"))
    units = np.array([1, 1, 1, 2, 3, 3, 3, 4])
    figure = _pictures.column_figure(evidence(column, ["A", "A", "A", "B"] * 2, ["A"] * 8, units=units), column, "")
    assert figure.lines[0].people == (2, 2)
    assert figure.lines[0].y == pytest.approx((75, 25))


def test_the_projection_counts_every_row_once_and_shows_no_place_of_a_row():
    rng = np.random.default_rng(3)
    columns = (Column("a", "numeric"), Column("b", "numeric"), Column("c", "boolean", categories=("n", "y")))
    schema = Schema(columns)

    def table(rows, origin="real"):
        frame = pd.DataFrame({"a": rng.normal(size=rows), "b": rng.normal(size=rows)})
        frame["c"] = pd.Categorical(rng.choice(["n", "y"], rows), categories=["n", "y"])
        return Table(frame, schema, origin)

    known = Evidence(table(300), table(200), table(400, "synthetic"), seed=0)
    figure = _pictures.projection(rng, known)
    real, made = figure.lines
    assert sum(real.people) == 500
    assert sum(made.people) == 400
    assert sum(real.y) == pytest.approx(100)
    size = len(set(real.x))
    assert len(real.y) == size * size == len(set(zip(real.x, real.row, strict=True)))
    assert replace(figure, lines=()).kind == "grid"


def test_one_column_alone_has_a_projection_too():
    column = Column("x", "numeric")
    real = np.linspace(0, 1, 100)
    figure = _pictures.projection(np.random.default_rng(0), evidence(column, real, real))
    assert sum(figure.lines[0].people) == 100
