from __future__ import annotations

from types import SimpleNamespace

from synthrelease.core.contracts import TrainingStep
from synthrelease.report.figures import training_curves


def steps(*losses):
    return SimpleNamespace(history=tuple(TrainingStep(at, len(losses), each) for at, each in enumerate(losses)))


def test_losses_of_one_size_share_a_drawing_and_others_have_their_own():
    found = training_curves.figures(steps({"likelihood": 90.0}, {"likelihood": 70.0, "critic": 0.7, "writer": -0.4}))
    assert [figure.title for figure in found] == ["Training losses: likelihood", "Training losses: critic, writer"]
    assert found[0].lines[0].y == (90.0, 70.0)
    assert found[1].lines[0].x == (1.0,)


def test_one_scale_needs_no_names_in_the_title_and_no_report_no_drawing():
    assert [figure.title for figure in training_curves.figures(steps({"a": 1.0, "b": 0.5}))] == ["Training losses"]
    assert training_curves.figures(steps()) == ()


def test_a_loss_that_is_nothing_is_drawn_all_the_same():
    assert len(training_curves.figures(steps({"a": 0.0}))) == 1
