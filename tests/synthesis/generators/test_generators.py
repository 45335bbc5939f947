"""Each generator keeps the contract: bounded, repeatable, exact in its counts, and it learns."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from made_tables import QUICK, clinic, draw, ignore
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from synthrelease.core.contracts import Column, FitSettings, Fitted, Schema, Table, TrainingStep
from synthrelease.core.errors import InputError
from synthrelease.synthesis import generators
from synthrelease.synthesis.generators import progress
from synthrelease.synthesis.generators.autoregressive_gan import generator as gan
from synthrelease.synthesis.generators.marginals import generator as marginals

MODULES = {"gan": gan, "marginals": marginals}


@pytest.fixture(scope="module", params=MODULES)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def quick(name: str) -> Fitted:
    return MODULES[name].fit(clinic(), QUICK, ignore)


@pytest.fixture(scope="module")
def trained(name: str) -> Fitted:
    return MODULES[name].fit(clinic(800), FitSettings(seed=5, effort=1.0), ignore)


def test_unknown_generators_are_refused_by_listing_the_known_ones():
    with pytest.raises(InputError, match="known generators: gan"):
        generators.load("copy-machine")
    assert generators.load(generators.DEFAULT) is gan.fit


def test_the_registry_does_not_import_torch_and_has_words_for_every_generator():
    code = "import sys, synthrelease.synthesis.generators as g; assert g.REGISTRY; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    assert all(len(generators.about(name)) > 30 for name in generators.REGISTRY)


@pytest.mark.parametrize(("rows", "chunk_rows"), [(1, 10), (10, 10), (23, 10), (7, 1)])
def test_exactly_the_rows_asked_for_in_chunks(quick, rows, chunk_rows):
    sizes = [len(chunk) for chunk in quick.sample(rows, seed=0, chunk_rows=chunk_rows)]
    assert sum(sizes) == rows
    assert max(sizes) <= chunk_rows


@pytest.mark.parametrize(("rows", "chunk_rows"), [(0, 10), (10, 0), (-1, 10)])
def test_no_rows_is_not_an_amount(quick, rows, chunk_rows):
    with pytest.raises(InputError, match="at least one row"):
        next(quick.sample(rows, seed=0, chunk_rows=chunk_rows))


def test_samples_have_the_canonical_form(quick):
    table, sample = clinic(), draw(quick)
    assert sample.dtypes.tolist() == table.frame.dtypes.tolist()
    assert list(sample.columns) == list(table.frame.columns)
    assert sample.index.equals(pd.RangeIndex(500))


def test_samples_stay_in_range_keep_decimals_and_never_show_a_rare_category(quick):
    table, sample = clinic(), draw(quick, 3_000)
    for column in ("size", "area", "dose"):
        assert table.frame[column].min() <= sample[column].min()
        assert sample[column].max() <= table.frame[column].max()
    assert (sample["size"].round(2) == sample["size"]).all()
    assert (sample["dose"].dropna() % 1 == 0).all()
    assert not (sample["ward"] == "Z").any()


def test_the_same_seed_gives_the_same_rows_and_another_seed_others(name, quick):
    again = MODULES[name].fit(clinic(), QUICK, ignore)
    other = MODULES[name].fit(clinic(), replace(QUICK, seed=2), ignore)
    pd.testing.assert_frame_equal(draw(quick), draw(again), check_exact=True)
    assert not draw(quick).equals(draw(other))
    assert not draw(quick).equals(draw(quick, seed=4))


def test_the_global_random_states_are_left_alone(name):
    torch_before, numpy_before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    draw(MODULES[name].fit(clinic(60), QUICK, ignore))
    assert torch.equal(torch.get_rng_state(), torch_before)
    assert (np.random.get_state()[1] == numpy_before).all()  # noqa: NPY002


def test_progress_starts_at_zero_ends_at_the_last_step_and_rises(name, monkeypatch):
    monkeypatch.setattr(progress, "REPORT_SECONDS", 0.0)
    seen: list[TrainingStep] = []
    fitted = MODULES[name].fit(clinic(100), QUICK, seen.append)
    assert seen[0].step == 0
    assert seen[-1].step == seen[-1].steps
    assert [step.step for step in seen] == sorted({step.step for step in seen})
    assert {loss for step in seen for loss in step.losses} == {
        "gan": {"likelihood", "critic", "writer"},
        "marginals": {"tables"},
    }[name]
    assert fitted.history[0] == seen[0]
    assert fitted.history[-1] == seen[-1]


def test_an_interrupt_passes_through(name):
    def interrupt(step: TrainingStep) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        MODULES[name].fit(clinic(50), QUICK, interrupt)


@pytest.mark.parametrize("effort", [0.0, -1.0, float("nan")])
def test_effort_must_be_positive(name, effort):
    with pytest.raises(InputError, match="effort above 0"):
        MODULES[name].fit(clinic(50), FitSettings(seed=0, effort=effort), ignore)


def test_a_saved_model_does_not_grow_with_the_training_rows(name, tmp_path):
    sizes = []
    for rows in (20_000, 80_000):
        folder = tmp_path / str(rows)
        MODULES[name].fit(clinic(rows), FitSettings(seed=0, effort=0.001), ignore).save(folder)
        sizes.append(sum(path.stat().st_size for path in folder.iterdir()))
    assert sizes[1] < 1.4 * sizes[0]  # four times the rows; more of them only make more values heavy, up to a bound


def test_no_privacy_spend_is_claimed_and_the_description_is_plain_json(name, quick):
    assert quick.spends == ()
    assert json.loads(json.dumps(quick.description))["generator"] == name


@pytest.mark.parametrize("target", ["ill", "ward", "size", "dose", None])
def test_any_kind_of_target_or_none(name, target):
    sample = draw(MODULES[name].fit(clinic(80, target=target), QUICK, ignore), 200)
    assert sample.notna().any().all()


@pytest.mark.parametrize("target", ["x", None])
@pytest.mark.parametrize(
    ("column", "values"),
    [
        (Column("x", "boolean", categories=("0", "1")), pd.Categorical(["0", "1"] * 6)),
        (Column("x", "numeric"), np.arange(12.0)),
        (Column("x", "numeric"), np.full(12, np.nan)),
        (Column("x", "integer"), np.full(12, 4.0)),
        (Column("x", "numeric"), np.array([2.5])),
    ],
    ids=["labels", "numbers", "gaps", "constant", "one row"],
)
@pytest.mark.filterwarnings("error")
def test_a_single_column_is_a_table_too(name, column, values, target):
    table = Table(pd.DataFrame({"x": values}), Schema((column,), target=target), "real")
    sample = draw(MODULES[name].fit(table, QUICK, ignore), 40)["x"]
    assert sample.isna().all() == table.frame["x"].isna().all()
    assert set(sample.dropna()) <= set(np.arange(12.0)) | {"0", "1", 2.5}


def test_many_levels_and_many_columns_train(name):
    rng = np.random.default_rng(0)
    categories = tuple(f"c{place}" for place in range(300))
    columns = tuple(Column(f"x{place}", "categorical", categories=categories) for place in range(10))
    draws = {
        column.name: pd.Categorical.from_codes(rng.integers(0, 300, 4_000), list(categories)) for column in columns
    }
    table = Table(pd.DataFrame(draws), Schema(columns), "real")
    fitted = MODULES[name].fit(table, FitSettings(seed=0, effort=0.003), ignore)
    assert draw(fitted, 400).nunique().min() > 100


@pytest.mark.slow
def test_relations_gaps_spikes_and_the_class_are_learned(trained):
    real, sample = clinic(800).frame, draw(trained, 2_000)
    assert sample["size"].corr(sample["area"]) > 0.9
    assert sample["dose"].isna().mean() == pytest.approx(real["dose"].isna().mean(), abs=0.06)
    assert (sample["dose"] == 0).mean() == pytest.approx((real["dose"] == 0).mean(), abs=0.08)
    assert (sample["ill"] == "yes").mean() == pytest.approx((real["ill"] == "yes").mean(), abs=0.05)
    fresh = clinic(2_000, seed=9).frame
    model = LogisticRegression(max_iter=1_000).fit(sample[["size", "area"]], sample["ill"] == "yes")
    reference = LogisticRegression(max_iter=1_000).fit(real[["size", "area"]], real["ill"] == "yes")
    made, true = (
        roc_auc_score(fresh["ill"] == "yes", each.predict_proba(fresh[["size", "area"]])[:, 1])
        for each in (model, reference)
    )
    assert made > true - 0.05


@pytest.mark.slow
def test_training_rows_are_no_nearer_than_fresh_rows(trained):
    names = ["size", "area"]
    sample = draw(trained, 800)[names].to_numpy()
    scale = clinic(800).frame[names].std().to_numpy()

    def nearest(seed: int) -> np.ndarray:
        rows = clinic(800, seed=seed).frame[names].to_numpy()
        return np.array([np.linalg.norm((sample - row) / scale, axis=1).min() for row in rows])

    inside, outside = nearest(0), nearest(11)
    closer = (inside[:, None] < outside[None]).mean() + 0.5 * (inside[:, None] == outside[None]).mean()
    assert closer < 0.56  # 0.5 without memory; its standard error is 0.014
