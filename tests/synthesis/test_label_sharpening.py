"""Labels are sharpened only where the policy allows it and something comes of it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from made_tables import clinic

from synthrelease.core.errors import InputError
from synthrelease.governance import policy_file
from synthrelease.synthesis import label_sharpening
from synthrelease.workflows.finish_run import known_checks

SCHEMA = clinic(10).schema


def check(policy="internal_sandbox", *, target: str | None = "ill", generator="gan", epsilon=None):
    rules = policy_file.load(policy, known_checks())
    label_sharpening.check(replace(SCHEMA, target=target), rules, generator=generator, epsilon=epsilon)


def test_inside_the_house_labels_may_be_sharpened():
    check()
    check(generator="marginals", epsilon=1.0)
    check(generator="marginals+dp-gan", epsilon=1.0)


@pytest.mark.parametrize("policy", ["partner_handoff", "open_release"])
def test_policies_for_others_refuse_and_say_what_to_do(policy):
    with pytest.raises(
        InputError, match=rf"{policy} does not allow --sharpen-labels.* too large.* Leave the option out"
    ):
        check(policy)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"target": None}, "names no target"),
        ({"target": "size"}, "'size' as target, a number"),
        ({"generator": "marginals"}, "the generator is 'marginals'"),
        ({"generator": "dp-gan", "epsilon": 1.0}, "the generator is 'dp-gan'"),
    ],
)
def test_nothing_is_promised_where_nothing_would_come_of_it(changes, message):
    with pytest.raises(InputError, match=message):
        check(**changes)


def test_a_setting_that_sharpens_counts_as_asking_for_it():
    assert label_sharpening.asked(True, {})
    assert label_sharpening.asked(False, {"target_temperature": 0.9})
    assert not label_sharpening.asked(False, {"target_temperature": 1.0, "steps": 5.0})
