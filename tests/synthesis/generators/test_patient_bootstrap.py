"""Weights of a Bayesian bootstrap: one a patient, exponential, 1 on average, and what a generator makes of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from made_tables import QUICK, clinic, draw, ignore
from scipy import stats

from synthrelease.synthesis.generators import patient_bootstrap
from synthrelease.synthesis.generators.autoregressive_gan import generator as gan


def test_patients_weigh_as_exponential_draws_do_and_their_rows_alike():
    table = replace(clinic(3_000), units=np.repeat(np.arange(1_000), 3))
    weights = patient_bootstrap.weights_of(table, 1)
    by_patient = weights.reshape(1_000, 3)
    assert np.array_equal(by_patient, by_patient[:, :1].repeat(3, axis=1))
    assert weights.mean() == 1.0 or abs(weights.mean() - 1.0) < 1e-12
    assert stats.kstest(by_patient[:, 0], "expon").pvalue > 0.01
    assert np.array_equal(weights, patient_bootstrap.weights_of(table, 1))
    assert not np.array_equal(weights, patient_bootstrap.weights_of(table, 2))


def test_a_copy_has_the_shares_of_its_weighted_patients():
    table = clinic(200)
    quick = {"adversarial_weight": 0.0, "inner_share": 0.0, "steps": 2.0, "hidden": 8.0}
    is_ill = (table.frame["ill"] == "yes").to_numpy()
    for seed in range(3):
        copy = gan.fit(table, replace(QUICK, overrides=quick, bootstrap=seed), ignore)
        wanted = np.average(is_ill, weights=patient_bootstrap.weights_of(table, seed))
        assert abs((draw(copy, 400)["ill"] == "yes").mean() - wanted) < 0.02
        assert abs(wanted - is_ill.mean()) > 0.001
