"""The GAN is a generator of the contract: bounded, repeatable, exact in its counts, and it learns."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from synthrelease import generators
from synthrelease.contracts import Column, FitSettings, Schema, Table, TrainingStep
from synthrelease.encoding import Encoder
from synthrelease.errors import InputError, TrainingError
from synthrelease.generators import gan, matching
from synthrelease.generators.layout import CONDITION_GROUPS, Layout
from synthrelease.generators.networks import Blocks

QUICK = FitSettings(seed=1, effort=0.05)


def clinic(rows: int = 300, *, seed: int = 0, target: str | None = "ill") -> Table:
    """Draw a table with two correlated numbers, one with spikes and gaps, a rare category, and a class to predict."""
    rng = np.random.default_rng(seed)
    ill = rng.random(rows) < 0.4
    size = rng.normal(20, 3, rows) + 4 * ill
    dose = np.where(rng.random(rows) < 0.5, 0.0, np.round(rng.exponential(20, rows)) + 1)
    dose[rng.random(rows) < 0.2] = np.nan
    ward = rng.choice(["A", "B", "C"], rows, p=[0.6, 0.3, 0.1]).astype(object)
    ward[:2] = "Z"
    frame = pd.DataFrame(
        {
            "size": np.round(size, 2),
            "area": np.round(size**2 + rng.normal(0, 5, rows), 1),
            "dose": dose,
            "ward": pd.Categorical(ward, categories=["A", "B", "C", "Z"]),
            "ill": pd.Categorical(np.where(ill, "yes", "no"), categories=["no", "yes"]),
        }
    )
    columns = (
        Column("size", "numeric"),
        Column("area", "numeric"),
        Column("dose", "integer"),
        Column("ward", "categorical", categories=("A", "B", "C", "Z")),
        Column("ill", "boolean", categories=("no", "yes")),
    )
    return Table(frame, Schema(columns, target=target), "real")


def ignore(step: TrainingStep) -> None:
    """Take a report and do nothing."""


def draw(fitted: gan.FittedGan, rows: int = 500, *, seed: int = 3, chunk_rows: int = 65_536) -> pd.DataFrame:
    return pd.concat(list(fitted.sample(rows, seed=seed, chunk_rows=chunk_rows)), ignore_index=True)


@pytest.fixture(scope="module")
def quick() -> gan.FittedGan:
    return gan.fit(clinic(), QUICK, ignore)


@pytest.fixture(scope="module")
def trained() -> gan.FittedGan:
    return gan.fit(clinic(800), FitSettings(seed=5, effort=0.5), ignore)


def test_unknown_generators_are_refused_by_listing_the_known_ones():
    with pytest.raises(InputError, match="known generators: gan"):
        generators.load("copy-machine")
    assert generators.load(generators.DEFAULT) is gan.fit


def test_the_registry_does_not_import_torch():
    code = "import sys, synthrelease.generators as g; assert g.REGISTRY; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(("rows", "chunk_rows"), [(1, 10), (10, 10), (23, 10), (7, 1)])
def test_exactly_the_rows_asked_for_in_chunks(quick, rows, chunk_rows):
    sizes = [len(chunk) for chunk in quick.sample(rows, seed=0, chunk_rows=chunk_rows)]
    assert sum(sizes) == rows
    assert max(sizes) <= chunk_rows


@pytest.mark.parametrize(("rows", "chunk_rows"), [(0, 10), (10, 0), (-1, 10)])
def test_no_rows_is_not_an_amount(quick, rows, chunk_rows):
    with pytest.raises(InputError, match="at least one row"):
        next(quick.sample(rows, seed=0, chunk_rows=chunk_rows))


def test_rows_are_drawn_in_pieces_that_bound_memory(quick, monkeypatch):
    monkeypatch.setattr(gan, "SAMPLED_CELLS", 7 * quick.layout.parts)
    frame = draw(quick, 100)
    assert len(frame) == 100
    assert not frame.duplicated().all()


def test_samples_have_the_canonical_form(quick):
    table, sample = clinic(), draw(quick)
    assert sample.dtypes.tolist() == table.frame.dtypes.tolist()
    assert list(sample.columns) == list(table.frame.columns)
    assert sample.index.equals(pd.RangeIndex(500))


def test_samples_stay_in_range_keep_decimals_and_never_show_a_rare_category(quick):
    table, sample = clinic(), draw(quick, 3_000)
    for name in ("size", "area", "dose"):
        assert table.frame[name].min() <= sample[name].min()
        assert sample[name].max() <= table.frame[name].max()
    assert (sample["size"].round(2) == sample["size"]).all()
    assert (sample["dose"].dropna() % 1 == 0).all()
    assert not (sample["ward"] == "Z").any()


def test_the_same_seed_gives_the_same_rows_and_another_seed_others(quick):
    again = gan.fit(clinic(), QUICK, ignore)
    other = gan.fit(clinic(), replace(QUICK, seed=2), ignore)
    pd.testing.assert_frame_equal(draw(quick), draw(again), check_exact=True)
    assert not draw(quick).equals(draw(other))
    assert not draw(quick).equals(draw(quick, seed=4))


def test_the_global_random_states_are_left_alone():
    torch_before, numpy_before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    draw(gan.fit(clinic(60), QUICK, ignore))
    assert torch.equal(torch.get_rng_state(), torch_before)
    assert (np.random.get_state()[1] == numpy_before).all()  # noqa: NPY002


def test_progress_starts_at_zero_ends_at_the_last_step_and_rises():
    seen: list[TrainingStep] = []
    fitted = gan.fit(clinic(100), QUICK, seen.append)
    assert seen[0].step == 0
    assert seen[-1].step == seen[-1].steps == fitted.recipe.steps
    assert [step.step for step in seen] == sorted({step.step for step in seen})
    assert set(seen[-1].losses) == {"critic", "synthesiser", "tables"}
    assert fitted.history[0] == seen[0]
    assert fitted.history[-1] == seen[-1]


def test_a_long_history_is_thinned_but_keeps_both_ends(monkeypatch):
    monkeypatch.setattr(gan, "REPORT_SECONDS", 0.0)
    progress = gan.Progress(5_000, ignore)
    for step in range(1, 5_001):
        progress.add(step, {"critic": torch.tensor(1.0)})
    assert len(progress.history) <= gan.MAX_HISTORY
    assert (progress.history[0].step, progress.history[-1].step) == (0, 5_000)


def test_a_loss_that_is_not_finite_stops_training_with_a_next_step():
    progress = gan.Progress(10, ignore)
    with pytest.raises(TrainingError, match="Train again with another seed"):
        progress.add(3, {"critic": torch.tensor(float("nan"))})


def test_an_interrupt_passes_through():
    def interrupt(step: TrainingStep) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        gan.fit(clinic(50), QUICK, interrupt)


@pytest.mark.parametrize("effort", [0.0, -1.0, float("nan")])
def test_effort_must_be_positive(effort):
    with pytest.raises(InputError, match="effort above 0"):
        gan.fit(clinic(50), FitSettings(seed=0, effort=effort), ignore)


def test_effort_multiplies_the_number_of_updates():
    assert gan.recipe_for(1_000, 2.0).steps == pytest.approx(2 * gan.recipe_for(1_000, 1.0).steps, abs=1)
    assert gan.recipe_for(10**9, 1.0).steps < 10_000


def test_a_saved_model_samples_the_same_rows(quick, tmp_path):
    quick.save(tmp_path / "internal")
    again = gan.load(tmp_path / "internal")
    pd.testing.assert_frame_equal(draw(quick), draw(again), check_exact=True)
    assert again.history == quick.history
    assert again.description == quick.description
    assert {path.name for path in (tmp_path / "internal").iterdir()} == {"model.safetensors", "model.json"}


def test_a_saved_model_does_not_grow_with_the_training_rows(tmp_path):
    sizes = []
    for rows in (2_000, 6_000):  # both have the most bins a column can have
        folder = tmp_path / str(rows)
        gan.fit(clinic(rows), FitSettings(seed=0, effort=0.001), ignore).save(folder)
        sizes.append(sum(path.stat().st_size for path in folder.iterdir()))
    assert abs(sizes[1] - sizes[0]) < 2_000


@pytest.mark.parametrize("content", ["", "[]", json.dumps({"format": "another"})])
def test_loading_what_is_no_model_is_refused(tmp_path, content, quick):
    with pytest.raises(InputError, match="Name the internal folder"):
        gan.load(tmp_path)
    quick.save(tmp_path)
    (tmp_path / "model.json").write_text(content)
    with pytest.raises(InputError, match=r"model\.json"):
        gan.load(tmp_path)


def test_no_privacy_spend_is_claimed_and_the_description_is_plain_json(quick):
    assert quick.spends == ()
    assert json.loads(json.dumps(quick.description))["generator"] == "gan"


@pytest.mark.parametrize("target", ["ill", "ward", "size", "dose", None])
def test_any_kind_of_target_or_none(target):
    sample = draw(gan.fit(clinic(80, target=target), QUICK, ignore), 200)
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
def test_a_single_column_is_a_table_too(column, values, target):
    table = Table(pd.DataFrame({"x": values}), Schema((column,), target=target), "real")
    sample = draw(gan.fit(table, QUICK, ignore), 40)["x"]
    assert sample.isna().all() == table.frame["x"].isna().all()
    assert set(sample.dropna()) <= set(np.arange(12.0)) | {"0", "1", 2.5}


def test_many_levels_and_many_columns_train_without_all_tables_at_once():
    rng = np.random.default_rng(0)
    categories = tuple(f"c{place}" for place in range(300))
    columns = tuple(Column(f"x{place}", "categorical", categories=categories) for place in range(10))
    draws = {
        column.name: pd.Categorical.from_codes(rng.integers(0, 300, 4_000), list(categories)) for column in columns
    }
    table = Table(pd.DataFrame(draws), Schema(columns), "real")
    encoder = Encoder.fit(table)
    layout = Layout.fit(encoder, encoder.encode(table.frame), None)
    features = matching.features_of(layout, torch.ones(layout.parts), groups=1, knots=5)
    assert matching.MAX_WIDTH < len(features.column) <= 10 * matching.MAX_LEVELS + 1 < layout.parts
    chosen = matching.some_columns(features, rng=torch.Generator().manual_seed(0))
    assert 2 <= len(torch.unique(chosen.column)) < 11
    assert len(chosen.column) <= matching.MAX_WIDTH
    assert chosen.column[-1] == features.column[-1]  # the condition
    fitted = gan.fit(table, FitSettings(seed=0, effort=0.003), ignore)
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


def test_layout_turns_rows_into_parts_and_levels_and_back():
    table = clinic(400, target="size")
    encoder = Encoder.fit(table)
    encoded = encoder.encode(table.frame)
    layout = Layout.fit(encoder, encoded, "size")
    rows = layout.rows(encoder, encoded)
    places = rows.parts - np.array(layout.starts[:-1])
    back = layout.encoded(encoder, places, rows.levels, rows.groups)
    rare = encoder.names.index("ward")
    assert (back.codes == encoded.codes).mean() > 0.999  # levels are float32
    assert (back.codes[:, rare] == encoded.codes[:, rare]).all()
    assert len(layout.group_shares) == CONDITION_GROUPS
    assert max(layout.group_shares) < 0.3
    levels = rows.levels[:, 0]
    assert np.abs(np.quantile(levels, [0.1, 0.5, 0.9]) - [0.1, 0.5, 0.9]).max() < 0.03


def test_block_softmax_and_draws_are_one_block_at_a_time():
    owner = torch.tensor([0, 0, 0, 1, 2, 2])
    blocks = Blocks(owner, torch.zeros(0, dtype=torch.long))
    logits = torch.tensor([[1.0, -2.0, 0.5, 3.0, 0.0, 4.0]])
    by_hand = torch.cat([torch.softmax(part, 1) for part in (logits[:, :3], logits[:, 3:4], logits[:, 4:])], dim=1)
    torch.testing.assert_close(blocks.softmax(logits), by_hand)
    drawn = blocks.draw(logits.expand(4_000, -1), tau=0.7, rng=torch.Generator().manual_seed(0))
    assert (drawn @ blocks.member).allclose(torch.ones(4_000, 3))
    torch.testing.assert_close(drawn.mean(0), by_hand[0], atol=0.03, rtol=0)


def test_table_distance_is_zero_for_the_training_rows_and_counts_what_a_loop_counts():
    table = clinic(300)
    encoder = Encoder.fit(table)
    encoded = encoder.encode(table.frame)
    layout = Layout.fit(encoder, encoded, "ill")
    rows = layout.rows(encoder, encoded)
    shares = torch.from_numpy(np.bincount(rows.parts.ravel(), minlength=layout.parts) / 300).float()
    features = matching.features_of(layout, shares, groups=2, knots=4)
    parts = torch.zeros(300, layout.parts).scatter_(1, torch.from_numpy(rows.parts), 1.0)
    condition = torch.nn.functional.one_hot(torch.from_numpy(rows.groups), 2).float()
    made = features(parts, torch.from_numpy(rows.levels), condition)
    tables = matching.tables_of(made, condition)
    by_hand = sum(condition[row, 1] * torch.outer(made[row], made[row]) for row in range(300)) / 300
    torch.testing.assert_close(tables[1], by_hand, atol=1e-5, rtol=1e-4)
    for chosen in ([0], [3, 1], [2, 0, 1]):
        some = features.of_columns(torch.tensor(chosen))
        kept = torch.isin(features.column, torch.tensor([*chosen, layout.blocks.index(3) + 1]))
        torch.testing.assert_close(some(parts, torch.from_numpy(rows.levels), condition), made[:, kept])
    target = matching.Target.of(tables, features.column)
    assert float(target.distance(tables)) == 0.0
    assert float(target.distance(tables * 0.9)) > 0.0
    ward = torch.nonzero(features.column == layout.blocks.index(encoder.names.index("ward"))).flatten()
    assert (target.weights[:, ward][:, :, ward] == 0).all()
