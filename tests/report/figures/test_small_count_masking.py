from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from made_tables import clinic

from synthrelease.core.contracts import Evidence, Figure, Line, Table
from synthrelease.evaluation.runner import run as run_checks
from synthrelease.report.figures import charts, small_count_masking


def bars(people, *, kind="bars"):
    x = tuple(f"label {at}" for at in range(len(people)))
    total = sum(people)
    return Figure("f", kind, "T", "C.", "x", "y", (Line("s", x, tuple(n / total for n in people), people=people),))


def hidden(figure):
    return [at for at, value in enumerate(figure.lines[0].y) if math.isnan(value)]


def test_few_people_are_masked_and_nobody_is_not():
    shown = small_count_masking.masked(bars((40, 3, 0, 4, 30)), 5)
    assert hidden(shown) == [1, 3]
    assert "2 values are masked: fewer than 5 people" in shown.caption


def test_a_single_small_number_is_not_left_to_be_worked_out():
    shown = small_count_masking.masked(bars((40, 3, 30, 0)), 5)
    assert hidden(shown) == [1, 2]  # the three are what is left of the whole, unless the thirty go too


@pytest.mark.parametrize("seed", range(20))
def test_whatever_is_masked_holds_enough_people_together(seed):
    rng = np.random.default_rng(seed)
    people = tuple(int(n) for n in rng.integers(0, 30, 12))
    k = int(rng.integers(2, 12))
    gone = [people[at] for at in hidden(small_count_masking.masked(bars(people), k))]
    assert not gone or sum(gone) >= k or sum(gone) == sum(people)
    assert all(
        n == 0 or n >= k for at, n in enumerate(people) if at not in hidden(small_count_masking.masked(bars(people), k))
    )


def test_drawing_and_table_show_no_masked_number():
    shown = small_count_masking.masked(bars((77, 3, 4, 16)), 5)
    table = charts.table(shown)
    assert [row[1] for row in table.rows] == ["0.770", "masked", "masked", "0.160"]
    assert "0.03" not in str(charts.draw(shown))


def test_between_two_points_of_a_curve_and_beyond_its_ends_lie_enough_people():
    line = Line("c", tuple(map(float, range(1, 21))), tuple(at / 20 for at in range(1, 21)), people=tuple(range(1, 21)))
    kept = small_count_masking.masked(Figure("f", "curve", "T", "C", "x", "y", (line,)), 4).lines[0]
    assert kept.people == (4, 8, 12, 16, 20)
    assert kept.x == (4.0, 8.0, 12.0, 16.0, 20.0)


def test_what_rests_on_everybody_stays():
    figure = bars((1, 2, 3))
    whole = replace(figure, lines=(replace(figure.lines[0], people=()),))
    assert small_count_masking.masked(whole, 10) == whole


RESTS_ON_ALL = {
    "attribute_gap",
    "importances",
    "inference_rates",
    "linkability_rates",
    "marginal_tvd",
    "pair_tvd",
    "singling_out_rates",
}
"""Figures whose every point is about all rows; any other figure must say how many people stand behind each point."""


@pytest.fixture(scope="module")
def audited():
    """Every check with figures, on a clinic that declares what is sensitive and what others may know."""
    whole = clinic(900)
    roles = {"ward": "quasi_identifier", "dose": "sensitive"}
    columns = tuple(replace(column, role=roles.get(column.name, "feature")) for column in whole.schema.columns)
    whole = replace(whole, schema=replace(whole.schema, columns=columns))
    train, holdout, made = (whole.take(np.arange(900)[at::3]) for at in range(3))
    synthetic = Table(made.frame, made.schema, "synthetic")
    checks = ("attributes", "distances", "downstream", "fidelity", "inference", "linkability", "membership")
    results = run_checks(Evidence(train, holdout, synthetic, seed=1), only=(*checks, "singling_out", "validity"))
    assert {result.status for result in results} == {"measured"}
    return results


def test_every_figure_of_the_audit_says_on_how_many_people_its_points_rest(audited):
    seen = set()
    for result in audited:
        for figure in result.figures:
            seen.add(figure.name)
            for line in figure.lines:
                if figure.name not in RESTS_ON_ALL:
                    assert len(line.people) == len(line.y), (figure.name, line.label)
                    assert all(count >= 0 for count in line.people)
    assert {"mia_roc", "dcr_curves", "missing", "projection", "marginal_tvd", "pair_tvd"} <= seen
    assert any(name.startswith("column_") for name in seen)
