"""The target's main effects in made rows are those of the training rows, and stay so in a saved model."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from made_tables import clinic, draw, ignore
from safetensors.torch import load_file, save_file
from scipy.optimize import minimize

from synthrelease.core.contracts import Column, FitSettings, Schema, Table
from synthrelease.core.errors import InputError
from synthrelease.synthesis.encoding.binning import FINE
from synthrelease.synthesis.encoding.table_encoder import Encoder
from synthrelease.synthesis.generators.autoregressive_gan import generator as gan
from synthrelease.synthesis.generators.autoregressive_gan.column_cells import Cells
from synthrelease.synthesis.generators.autoregressive_gan.label_correction import TrainingRows, correction
from synthrelease.synthesis.generators.autoregressive_gan.masked_network import RowWriter, Width

EFFECTS = np.array([0.9, -0.6, 1.0])
"""Log-odds ratios of age and dose in standard deviations, and of ward B."""
QUICK = {"adversarial_weight": 0.0, "redraw_trees": 0.0, "steps": 60.0, "weight_decay": 300.0}


def cohort(rows: int = 1_500, *, seed: int = 0) -> Table:
    rng = np.random.default_rng(seed)
    age, dose, ward = rng.normal(size=rows), rng.normal(size=rows), rng.random(rows) < 0.4
    ill = rng.random(rows) < 1 / (1 + np.exp(1.6 - EFFECTS @ np.stack([age, dose, ward])))
    frame = pd.DataFrame(
        {
            "age": np.round(50 + 12 * age),
            "dose": np.round(20 + 5 * dose, 1),
            "ward": pd.Categorical(np.where(ward, "B", "A"), categories=["A", "B"]),
            "ill": pd.Categorical(np.where(ill, "yes", "no"), categories=["no", "yes"]),
        }
    )
    columns = (
        Column("age", "integer"),
        Column("dose", "numeric"),
        Column("ward", "categorical", categories=("A", "B")),
        Column("ill", "boolean", categories=("no", "yes")),
    )
    return Table(frame, Schema(columns, target="ill"), "real")


def effects(frame: pd.DataFrame) -> np.ndarray:
    """Log-odds ratios of a logistic regression, (3,), by a general minimiser."""
    design = np.column_stack(
        [np.ones(len(frame)), (frame["age"] - 50) / 12, (frame["dose"] - 20) / 5, frame["ward"] == "B"]
    ).astype(float)
    sign = np.where(frame["ill"] == "yes", -1.0, 1.0)
    return minimize(lambda b: np.logaddexp(0.0, sign * (design @ b)).mean(), np.zeros(4)).x[1:]


def slope(made: pd.DataFrame, real: pd.DataFrame) -> float:
    known = effects(real)
    return float(effects(made) @ known / (known @ known))


@pytest.fixture(scope="module")
def table() -> Table:
    return cohort()


@pytest.fixture(scope="module")
def fitted(table) -> gan.FittedGan:
    made = gan.fit(table, FitSettings(seed=1, overrides=QUICK), ignore)
    assert isinstance(made, gan.FittedGan)
    return made


def test_effects_are_those_of_the_training_rows(table, fitted):
    made = draw(fitted, 6_000)
    assert slope(made, table.frame) == pytest.approx(1.0, abs=0.08)
    assert (made["ill"] == "yes").mean() == pytest.approx((table.frame["ill"] == "yes").mean(), abs=0.01)
    as_learned = draw(replace(fitted, correction=None), 6_000)
    assert slope(as_learned, table.frame) < 0.85  # the prior holds them back


def test_sharpened_labels_make_effects_too_large_and_are_not_corrected(table):
    sharp = gan.fit(table, FitSettings(seed=1, overrides=QUICK, sharpen_labels=True), ignore)
    assert isinstance(sharp, gan.FittedGan)
    assert sharp.correction is None
    assert sharp.config.target_temperature < 1
    assert slope(draw(sharp, 6_000), table.frame) > 1.3


def test_a_seed_repeats_the_correction(table, fitted):
    again = gan.fit(table, FitSettings(seed=1, overrides=QUICK), ignore)
    assert isinstance(again, gan.FittedGan)
    assert np.array_equal(again.correction.effects, fitted.correction.effects)
    assert draw(again, 300).equals(draw(fitted, 300))


def test_a_saved_model_keeps_its_correction_and_no_row(fitted, tmp_path):
    fitted.save(tmp_path)
    assert draw(gan.load(tmp_path), 300).equals(draw(fitted, 300))
    kept = load_file(tmp_path / "model.safetensors")[gan.CORRECTION]
    assert kept.shape == (fitted.cells.starts[3], 2)
    save_file(
        {**load_file(tmp_path / "model.safetensors"), gan.CORRECTION: kept[1:].clone()}, tmp_path / "model.safetensors"
    )
    with pytest.raises(InputError, match="does not fit"):
        gan.load(tmp_path)


def test_a_model_of_an_older_version_keeps_its_own_temperature(fitted, tmp_path):
    older = replace(fitted, correction=None, config=replace(fitted.config, target_temperature=0.42))
    older.save(tmp_path)
    facts = json.loads((tmp_path / "model.json").read_text())
    del facts["is_corrected"]
    (tmp_path / "model.json").write_text(json.dumps(facts | {"format": "synthrelease-gan-3"}))
    again = gan.load(tmp_path)
    assert again.config.target_temperature == 0.42
    assert again.correction is None
    assert draw(again, 300).equals(draw(older, 300))


def test_a_target_that_is_written_first_has_nothing_to_be_corrected_by(table):
    first = gan.fit(table, FitSettings(seed=1, overrides=QUICK, lead=("ill",)), ignore)
    assert isinstance(first, gan.FittedGan)
    assert first.correction is None
    second = gan.fit(table, FitSettings(seed=1, overrides=QUICK, lead=("ward", "ill")), ignore)
    assert isinstance(second, gan.FittedGan)
    assert second.correction.effects.shape == (2, 2)  # given the ward alone, which stands before it


def test_a_number_as_target_stays_as_learned(table):
    schema = Schema(table.schema.columns, target="age")
    number = gan.fit(Table(table.frame, schema, "real"), FitSettings(seed=1, overrides=QUICK), ignore)
    assert isinstance(number, gan.FittedGan)
    assert number.correction is None


def untrained(table: Table, target: str) -> tuple[RowWriter, Cells, Encoder, np.ndarray, int]:
    encoder = Encoder.fit(table, FINE)
    encoded = encoder.encode(table.frame)
    names = list(encoder.names)
    order = [*(at for at, name in enumerate(names) if name != target), names.index(target)]
    cells = Cells.fit(encoder, encoded, order=order, knots=4)
    writer = RowWriter(cells, Width(16, 1), rng=torch.Generator().manual_seed(0))
    return writer, cells, encoder, cells.codes(encoded), len(order) - 1


def counted(codes: np.ndarray, units: np.ndarray | None) -> TrainingRows:
    return TrainingRows(codes, units, np.ones(len(codes)))


def corrected_chances(table: Table, target: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Real rows as cells, the corrected probability of each of the target's cells, and the effects."""
    writer, cells, encoder, codes, last = untrained(table, target)
    found = correction(writer, cells, encoder, counted(codes, table.units), target=last)
    assert found is not None
    weights = writer.weights()
    span = slice(writer.feature_starts[last], writer.feature_starts[last + 1])
    with torch.no_grad():
        scores = writer.scores(writer.features(torch.from_numpy(codes), weights), weights)[:, span]
        logits = writer.logits(last, scores, weights).double().numpy() + found.added(codes)
    chances = np.exp(logits - logits.max(axis=1, keepdims=True))
    return codes, chances / chances.sum(axis=1, keepdims=True), found.effects


def test_every_class_is_as_frequent_with_each_label_as_among_the_rows():
    wards = clinic(1_200, target="ward")
    codes, chances, _ = corrected_chances(wards, "ward")
    held = np.eye(chances.shape[1])[codes[:, -1]]
    assert chances.mean(axis=0) == pytest.approx(held.mean(axis=0), abs=1e-3)
    ill = codes[:, 3] == 1
    common = held.sum(axis=0) > 60
    assert chances[ill].mean(axis=0)[common] == pytest.approx(held[ill].mean(axis=0)[common], abs=3e-3)


def test_few_events_are_not_stretched():
    few = cohort(400)
    healthy = few.frame["ward"] == "B"
    few.frame.loc[healthy, "ill"] = "no"  # without a weak prior the effect of the ward would have no end
    _, _, effects_found = corrected_chances(few, "ill")
    assert np.isfinite(effects_found).all()
    by_ward = effects_found[-2:, 1] - effects_found[-2:, 0]
    assert -4.0 < by_ward[1] - by_ward[0] < -0.5


def test_patients_are_counted_and_not_their_rows():
    repeated = cohort(300).take(np.repeat(np.arange(60), 5))
    writer, cells, encoder, codes, last = untrained(repeated, "ill")
    loose, held = (
        np.abs(correction(writer, cells, encoder, counted(codes, units), target=last).effects).max()
        for units in (None, np.repeat(np.arange(60), 5))
    )
    assert held < 0.95 * loose


def test_weights_count_as_repeated_rows_do():
    table = cohort(400)
    writer, cells, encoder, codes, last = untrained(table, "ill")
    times = np.random.default_rng(0).integers(1, 4, len(codes))
    weighted = correction(writer, cells, encoder, TrainingRows(codes, None, times.astype(float)), target=last)
    repeated = correction(writer, cells, encoder, counted(np.repeat(codes, times, axis=0), None), target=last)
    assert weighted.effects == pytest.approx(repeated.effects, abs=1e-5)
    alike = correction(writer, cells, encoder, counted(codes, None), target=last)
    assert np.abs(weighted.effects - alike.effects).max() > 0.01
