"""A critic of finished rows finds those that no patient could have; like ones take their place, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd
import pytest
from made_tables import draw, ignore
from sklearn.ensemble import GradientBoostingClassifier

from synthrelease.core.contracts import Column, FitSettings, Schema, Table
from synthrelease.core.errors import InputError
from synthrelease.synthesis import generators
from synthrelease.synthesis.encoding.binning import FINE
from synthrelease.synthesis.encoding.table_encoder import Encoder
from synthrelease.synthesis.generators.autoregressive_gan import critic_views, redrawing, row_critic
from synthrelease.synthesis.generators.autoregressive_gan import generator as gan
from synthrelease.synthesis.generators.autoregressive_gan.column_cells import Cells
from synthrelease.synthesis.generators.autoregressive_gan.critic_views import FOLDS, Rows, view
from synthrelease.synthesis.generators.autoregressive_gan.row_critic import RowCritic, Sides

COLUMNS = (
    Column("age", "integer"),
    Column("years", "integer"),
    Column("code", "categorical", categories=("a", "b", "c", "d")),
    Column("group", "categorical", categories=("a", "b", "c", "d")),
    Column("ill", "boolean", categories=("no", "yes")),
)
SCHEMA = Schema(COLUMNS, target="ill")


def register(rows: int, *, seed: int, apart: float = 0.0) -> Table:
    """Each code has its group, and two numbers are nearly the same; in a share of the rows code and group differ."""
    rng = np.random.default_rng(seed)
    age, code = rng.integers(20, 90, rows), rng.integers(0, 4, rows)
    group = np.where(rng.random(rows) < apart, rng.integers(0, 4, rows), code)
    ill = rng.random(rows) < 0.2 + 0.1 * code
    labels = {
        name: pd.Categorical.from_codes(codes, ["a", "b", "c", "d"])
        for name, codes in (("code", code), ("group", group))
    }
    numbers = {"age": age.astype(float), "years": (age + rng.integers(-1, 2, rows)).astype(float)}
    kinds = {"ill": pd.Categorical.from_codes(ill.astype(int), ["no", "yes"])}
    return Table(pd.DataFrame(numbers | labels | kinds), SCHEMA, "real")


def learned(train: Table) -> tuple[Encoder, Cells]:
    encoder = Encoder.fit(train, FINE)
    return encoder, Cells.fit(encoder, encoder.encode(train.frame), order=range(5), knots=4)


@cache
def critic_of(*, apart: float, seed: int = 1, rows: int = 1_200) -> tuple[RowCritic | None, Encoder, Cells]:
    """Train a critic on rows in which no code is apart from its group, against rows in which some are."""
    train = register(rows, seed=seed)
    encoder, cells = learned(train)
    rng = np.random.default_rng([seed, 1])
    real = Rows.of(encoder, cells, encoder.encode(train.frame))
    made = Rows.of(encoder, cells, encoder.encode(register(2 * rows, seed=seed + 100, apart=apart).frame))
    folds = [rng.integers(0, FOLDS, len(side)) for side in (real, made)]
    seen = view(cells, np.array([0, 1]), real, folds[0])
    sides = Sides(real, made, folds[0], folds[1], len(real))
    return row_critic.row_critic(seen, sides, trees=20, seed=seed), encoder, cells


def test_lifts_are_of_the_other_folds_and_worked_out_by_hand():
    """Eighty rows outside the fold: twenty of each code with its group, where five are expected of any two."""
    counts = np.zeros((FOLDS, 4, 4), dtype=np.int64)
    counts[1] = 20 * np.eye(4)
    counts[2, 0, 1] = 7  # what the fold itself holds does not count
    found = critic_views._lift(counts)
    assert found[2, 0, 1] == pytest.approx(np.log(0.5 / 5.5))
    assert found[2, 0, 0] == 0  # above chance
    assert (found[1] == 0).all()  # seven rows are too few to expect any


def test_what_numbers_are_beyond_the_other_columns_is_seen():
    train = register(900, seed=2)
    encoder, cells = learned(train)
    rows = Rows.of(encoder, cells, encoder.encode(train.frame))
    fold = np.arange(900) % FOLDS
    seen = view(cells, np.array([0, 1]), rows, fold)
    assert seen.near.tolist() == [[0, 1]]
    shuffled = train.frame.assign(years=np.random.default_rng(0).permutation(train.frame["years"]))
    other = Rows.of(encoder, cells, encoder.encode(shuffled))
    own, broken = (np.abs(seen.shown(each, fold)[:, -4:]) for each in (rows, other))  # residuals of both, then gaps
    assert (own.mean(axis=0) < 0.3 * broken.mean(axis=0))[:2].all()
    assert own[:, -1].mean() < 0.3 * broken[:, -1].mean()
    assert np.isfinite(seen.shown(other, fold)).all()


def test_places_in_a_cell_that_give_the_same_value_do_not_tell_drawn_rows_from_real_ones():
    encoder, cells = learned(register(900, seed=3))
    encoded = encoder.encode(register(900, seed=3).frame)
    real = Rows.of(encoder, cells, encoded)
    inside = np.random.default_rng(0).random(encoded.codes.shape)
    drawn = Rows.drawn(encoder, cells, cells.codes(encoded), inside)
    same = [np.nan_to_num(getattr(real, name)) == np.nan_to_num(getattr(drawn, name)) for name in ("codes", "values")]
    assert (real.ranks == drawn.ranks)[same[0] & same[1]].all()
    assert (same[0] & same[1]).mean() > 0.9


def test_trees_score_as_the_library_does():
    rng = np.random.default_rng(4)
    shown = rng.normal(size=(400, 5)).astype(np.float32)
    label = shown[:, 0] * shown[:, 1] + rng.normal(size=400) > 0
    model = GradientBoostingClassifier(
        learning_rate=row_critic.RATE, n_estimators=12, max_depth=None, max_leaf_nodes=row_critic.LEAVES, random_state=0
    ).fit(shown, label)
    trees = row_critic._stacked([row_critic._as_arrays(each[0].tree_) for each in model.estimators_], axis=1)
    others, ones = model.init_.class_prior_
    assert np.log(ones / others) + trees.steps(shown, 0).sum(axis=1) == pytest.approx(model.decision_function(shown))


def test_rows_that_no_patient_could_have_are_rejected_and_others_are_not():
    critic, encoder, cells = critic_of(apart=0.06)
    assert critic is not None
    fresh = register(3_000, seed=9, apart=0.06).frame
    rows = Rows.of(encoder, cells, encoder.encode(fresh))
    accepted = critic.accepts(rows, np.random.default_rng(0))
    impossible = (fresh["code"] != fresh["group"]).to_numpy()
    assert accepted[impossible].mean() < 0.2
    assert accepted[~impossible].mean() > 0.97


@pytest.mark.parametrize("seed", [1, 2, 14])
def test_honest_rows_need_no_critic(seed):
    assert critic_of(apart=0.0, seed=seed)[0] is None


def test_cuts_are_where_real_rows_lack_beyond_chance():
    made = np.arange(10_000.0)
    # Forty of five hundred lie below 500, evenly spread.
    real = np.concatenate([np.linspace(0, 499, 40), np.linspace(501, 10_000, 9_960)])
    cuts, kept = row_critic._cuts(real, made, people=10_000)
    assert cuts[-1] == pytest.approx(500, abs=1)
    assert kept == pytest.approx(0.08, abs=0.04)
    assert not len(row_critic._cuts(made, made, people=10_000)[0])
    assert not len(row_critic._cuts(real, made, people=30)[0])  # of thirty patients one or two should lie there


def test_rejected_rows_are_replaced_by_like_ones_with_their_label_and_others_stay():
    critic, encoder, cells = critic_of(apart=0.06)
    whole = redrawing.Redrawing(critic, encoder, cells, target=4)
    drawn, pool = (drawn_rows(encoder, cells, seed) for seed in (11, 12))
    pool[1][:] = np.random.default_rng(1).random(pool[1].shape)  # so that each of its rows is known again
    codes, positions = whole.redrawn(drawn, lambda rows: pool, np.random.default_rng(0))
    changed = (codes != drawn[0]).any(axis=1)
    apart = drawn[0][:, 2] != drawn[0][:, 3]
    assert (codes[:, 2] != codes[:, 3]).sum() < 0.3 * apart.sum()
    assert (codes[:, 4] == drawn[0][:, 4]).all()
    assert changed[apart].mean() > 0.7
    assert changed[~apart].mean() < 0.03
    assert np.abs(codes[changed, 0] - drawn[0][changed, 0]).mean() < 0.3 * np.abs(codes[:, 0] - pool[0][:, 0]).mean()
    came = {row.tobytes() for row in np.hstack([codes, positions])[changed]}
    assert len(came) == changed.sum()  # no row of the pool comes twice


def test_a_row_stays_where_the_pool_has_none_of_its_label():
    critic, encoder, cells = critic_of(apart=0.06)
    whole = redrawing.Redrawing(critic, encoder, cells, target=4)
    drawn, pool = (drawn_rows(encoder, cells, seed) for seed in (11, 12))
    pool[0][:, 4] = pool[0][0, 4]
    codes, _ = whole.redrawn(drawn, lambda rows: pool, np.random.default_rng(0))
    assert (codes[:, 4] == drawn[0][:, 4]).all()
    assert (codes == drawn[0])[drawn[0][:, 4] != pool[0][0, 4]].all()


def drawn_rows(encoder: Encoder, cells: Cells, seed: int) -> tuple[np.ndarray, np.ndarray]:
    encoded = encoder.encode(register(2_000, seed=seed, apart=0.06).frame)
    return cells.codes(encoded), encoded.positions.copy()


UNTRAINED = {
    "steps": 80,
    "hidden": 16,
    "inner_share": 0,
    "adversarial_weight": 0,
    "redraw_trees": 20,
    "weight_decay": 100,
}


@pytest.fixture(scope="module")
def fitted():
    train = register(1_200, seed=5)
    years = np.random.default_rng(0).permutation(train.frame["years"])  # so that it is about code and group alone
    return gan.fit(
        replace(train, frame=train.frame.assign(years=years)), FitSettings(seed=1, overrides=UNTRAINED), ignore
    )


def apart(frame: pd.DataFrame) -> float:
    return float((frame["code"] != frame["group"]).mean())


def test_a_generator_that_learned_too_little_has_its_rows_drawn_again(fitted):
    plain = replace(fitted, redrawing=None)
    assert apart(draw(fitted, 1_000)) < 0.5 * apart(draw(plain, 1_000))
    assert redrawing.NOTICE in fitted.notices
    shares = [draw(each, 1_000)["ill"].value_counts().to_dict() for each in (fitted, plain)]
    assert shares[0] == shares[1]


def test_the_critic_is_saved_as_numbers_and_draws_the_same_rows(fitted, tmp_path):
    fitted.save(tmp_path)
    again = generators.saved("gan", tmp_path)
    assert draw(again, 700).equals(draw(fitted, 700))
    tensors, facts = (tmp_path / name for name in ("model.safetensors", "model.json"))
    assert tensors.stat().st_size < 2_000_000
    facts.write_text(facts.read_text().replace('"target": "ill"', '"target": "ill", "more": 1'))
    assert draw(generators.saved("gan", tmp_path), 50).equals(draw(fitted, 50))


def test_a_saved_critic_that_lacks_a_part_is_damaged(fitted, tmp_path, monkeypatch):
    arrays = RowCritic.arrays
    monkeypatch.setattr(RowCritic, "arrays", lambda self: {k: v for k, v in arrays(self).items() if k != "cuts"})
    fitted.save(tmp_path)
    with pytest.raises(InputError, match=r"does not fit the tensors"):
        generators.saved("gan", tmp_path)


@pytest.mark.parametrize("how", [{"redraw_trees": 0}, {"target_temperature": 0.5}])
def test_without_trees_or_with_sharpened_labels_rows_are_drawn_as_they_come(how):
    settings = FitSettings(seed=1, overrides=UNTRAINED | how | {"steps": 4})
    assert gan.fit(register(600, seed=5), settings, ignore).redrawing is None


def test_few_patients_show_nothing():
    table = replace(register(1_200, seed=5), units=np.arange(1_200) // 3)
    assert gan.fit(table, FitSettings(seed=1, overrides=UNTRAINED | {"steps": 4}), ignore).redrawing is None


@pytest.mark.filterwarnings("error")
def test_huge_numbers_gaps_and_constant_columns_are_seen_too():
    rng = np.random.default_rng(6)
    huge = rng.choice([-8e307, 8e307], 600)
    frame = register(600, seed=6).frame.assign(age=huge, years=np.where(rng.random(600) < 0.3, np.nan, 4.0))
    train = Table(frame, SCHEMA, "real")
    settings = FitSettings(seed=1, overrides=UNTRAINED | {"steps": 4, "redraw_trees": 5})
    assert len(draw(gan.fit(train, settings, ignore), 300)) == 300
