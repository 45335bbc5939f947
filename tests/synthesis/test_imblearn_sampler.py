"""The GAN over-sampler: held to imbalanced-learn's own checks, and to what users bring to it."""

from __future__ import annotations

import doctest

import numpy as np
import pandas as pd
import pytest
from imblearn.pipeline import make_pipeline
from imblearn.utils.estimator_checks import parametrize_with_checks
from sklearn.tree import DecisionTreeClassifier

from synthrelease.synthesis import imblearn_sampler, oversampling
from synthrelease.synthesis.imblearn_sampler import GANOverSampler

QUICK = {"effort": 0.01, "random_state": 0}


def patients(rows: int = 240, seed: int = 0) -> tuple[pd.DataFrame, pd.Series]:
    """A mixed frame with gaps and three classes of 160, 60 and 20 rows or so."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "age": rng.integers(18, 90, rows),
            "pressure": np.round(rng.normal(120, 15, rows), 1),
            "ward": pd.Categorical(rng.choice(["A", "B", "C"], rows), categories=["C", "B", "A", "unused"]),
            "smoker": rng.random(rows) < 0.3,
            "note": rng.choice(["x", "y"], rows),
        },
        index=np.arange(rows) + 1_000,
    )
    frame.loc[frame.index[::9], "pressure"] = np.nan
    frame.loc[frame.index[::11], "note"] = None
    y = pd.Series(np.where(frame["age"] > 80, "high", np.where(frame["age"] > 62, "medium", "low")), frame.index)
    return frame, y.rename("risk")


_CHECKS = parametrize_with_checks([GANOverSampler(typical=0.0, generator="paper-128", effort=1e-4, random_state=0)])


@pytest.mark.parametrize(_CHECKS.args[0], list(_CHECKS.args[1]), ids=_CHECKS.kwargs["ids"])
def test_the_sampler_passes_the_checks_of_imbalanced_learn(estimator, check):
    check(estimator)


def test_classes_become_equal_and_real_rows_stay_first_and_as_they_were():
    X, y = patients()
    sampler = GANOverSampler(**QUICK)
    X_new, y_new = sampler.fit_resample(X, y)
    assert len(set(y_new.value_counts())) == 1
    assert X_new.dtypes.tolist() == X.dtypes.tolist()
    pd.testing.assert_frame_equal(X_new.iloc[: len(X)], X.reset_index(drop=True))
    assert (y_new.iloc[: len(y)].to_numpy() == y.to_numpy()).all()
    assert not sampler.is_synthetic_[: len(X)].any()
    assert sampler.is_synthetic_[len(X) :].all()
    made = X_new[sampler.is_synthetic_]
    assert set(made["ward"].dropna()) <= {"A", "B", "C"}
    assert set(made["note"].dropna()) <= {"x", "y"}
    assert made["pressure"].isna().any()


def test_the_same_seed_makes_the_same_rows():
    X, y = patients()
    first, again = (GANOverSampler(**QUICK).fit_resample(X, y)[0] for _ in range(2))
    pd.testing.assert_frame_equal(first, again)
    assert not first.equals(GANOverSampler(effort=0.01, random_state=1).fit_resample(X, y)[0])


def test_a_strategy_says_how_many_rows_and_none_wanted_trains_nothing():
    X, y = patients()
    _, y_new = GANOverSampler(**QUICK, sampling_strategy={"high": 40}).fit_resample(X, y)
    assert y_new.value_counts()["high"] == 40
    assert y_new.value_counts()["low"] == y.value_counts()["low"]
    same = {name: int(count) for name, count in y.value_counts().items()}
    X_new, _ = GANOverSampler(sampling_strategy=same, generator="paper-256-512-1024").fit_resample(X, y)
    assert len(X_new) == len(X)


def test_an_array_may_say_which_columns_hold_labels():
    rng = np.random.default_rng(0)
    X = np.column_stack([rng.normal(size=120), rng.choice([1.0, 5.0, 7.0], 120)])
    y = (np.arange(120) < 100).astype(int)
    for chosen in ([1], [False, True]):
        sampler = GANOverSampler(**QUICK, categorical_features=chosen)
        assert set(sampler.fit_resample(X, y)[0][:, 1]) == {1.0, 5.0, 7.0}
    with pytest.raises(ValueError, match="categorical_features must name columns"):
        GANOverSampler(**QUICK, categorical_features=[2]).fit_resample(X, y)


def test_it_stands_in_a_pipeline():
    X, y = patients()
    numbers = X[["age"]].astype(float)
    model = make_pipeline(GANOverSampler(**QUICK), DecisionTreeClassifier(random_state=0)).fit(numbers, y)
    assert set(model.predict(numbers)) <= {"low", "medium", "high"}


def test_a_class_of_three_rows_is_refused_with_a_way_out():
    X, y = patients()
    y.iloc[:] = "low"
    y.iloc[:3] = "high"
    with pytest.raises(ValueError, match=r"at least 10 rows, however a class of 'class' has 3\. Merge it"):
        GANOverSampler(**QUICK).fit_resample(X, y)


def test_one_class_only_is_refused():
    X, y = patients()
    with pytest.raises(ValueError, match="more than 1 class"):
        GANOverSampler(**QUICK).fit_resample(X, np.zeros(len(y), dtype=int))


def test_dates_are_refused_with_a_way_out():
    X, y = patients()
    X["seen"] = pd.Timestamp("2024-01-01")
    with pytest.raises(ValueError, match="Turn dates into numbers"):
        GANOverSampler(**QUICK, categorical_features=["ward", "smoker", "note"]).fit_resample(X, y)


def test_an_unknown_generator_is_refused():
    X, y = patients()
    with pytest.raises(ValueError, match="generator"):
        GANOverSampler(generator="copy-machine").fit_resample(X, y)


def overlapping(rows: int = 800, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A rare class, one half of which lies in a common one."""
    rng = np.random.default_rng(seed)
    y = (rng.random(rows) < 0.1).astype(int)
    X = rng.normal(size=(rows, 3))
    X[(y == 1) & (rng.random(rows) < 0.5)] += 3.0
    return X, y


def test_judged_rows_lie_where_their_class_is_typical():
    X, y = overlapping()
    made = {}
    for typical in (0.0, 0.5):
        sampler = GANOverSampler(typical=typical, effort=0.3, random_state=0)
        X_new, _ = sampler.fit_resample(X, y)
        made[typical] = X_new[sampler.is_synthetic_].mean(axis=1)
    assert (made[0.0] < 1.5).mean() > 0.25
    assert (made[0.5] < 1.5).mean() < 0.05


def test_where_too_few_rows_are_typical_the_most_typical_are_taken(monkeypatch):
    monkeypatch.setattr(oversampling, "MOST_DRAWS", 2)
    monkeypatch.setattr(oversampling.Judge, "bar", lambda self, place, typical: 2.0)
    X, y = overlapping()
    _, y_new = GANOverSampler(**QUICK).fit_resample(X, y)
    assert (y_new == 0).sum() == (y_new == 1).sum()


def test_the_example_in_the_docstring_runs():
    assert doctest.testmod(imblearn_sampler).failed == 0
