"""The GAN over-sampler, held to imbalanced-learn's own checks."""

from __future__ import annotations

from imblearn.utils.estimator_checks import parametrize_with_checks
from sklearn.utils.estimator_checks import check_estimator  # noqa: F401

from synthrelease.balance import GANOverSampler


@parametrize_with_checks([GANOverSampler(effort=0.02, random_state=0)])
def test_the_sampler_passes_the_checks_of_imbalanced_learn(estimator, check):
    check(estimator)
