"""Saved models of every kind: one set of checks, each of which names the file and says what to do."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from made_tables import QUICK, clinic, draw, ignore
from private_tables import ROW, table
from safetensors.torch import load_file, save_file

from synthrelease.core.contracts import FitSettings, Fitted, TrainingStep
from synthrelease.core.errors import InputError
from synthrelease.synthesis import generators
from synthrelease.synthesis.generators import saved_model
from synthrelease.synthesis.generators.saved_model import SavedModel, history_facts

NAMES = ("gan", "marginals", "paper-128", "dp-gan")


@cache
def fitted(name: str) -> Fitted:
    if name == "dp-gan":
        settings = FitSettings(seed=1, effort=0.02, privacy=ROW)
        return generators.load(name)(table(1_500), settings, ignore)
    settings = FitSettings(seed=1, effort=0.002) if name.startswith("paper") else QUICK
    return generators.load(name)(clinic(), settings, ignore)


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def folder(name: str, tmp_path: Path) -> Path:
    fitted(name).save(tmp_path / "internal")
    return tmp_path / "internal"


def changed(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    facts = json.loads((folder / "model.json").read_text())
    change(facts)
    (folder / "model.json").write_text(json.dumps(facts))


def test_what_is_saved_comes_back_and_draws_the_same_rows(name, folder):
    again = generators.saved(name, folder)
    assert draw(again, 50).equals(draw(fitted(name), 50))
    assert (again.history, again.notices) == (fitted(name).history, fitted(name).notices)
    assert again.description == fitted(name).description
    assert again.spends == fitted(name).spends
    assert {path.name for path in folder.iterdir()} == {"model.json", "model.safetensors"}


@pytest.mark.parametrize("file", ["model.json", "model.safetensors"])
def test_a_missing_file_is_named(name, folder, file):
    (folder / file).unlink()
    with pytest.raises(InputError, match=rf"however .* has no {file}\. Name the internal folder of a finished run"):
        generators.saved(name, folder)


@pytest.mark.parametrize("file", ["model.json", "model.safetensors"])
@pytest.mark.parametrize("kept", [0, 0.5, 0.99])
def test_a_file_that_ends_early_is_damaged(name, folder, file, kept):
    whole = (folder / file).read_bytes()
    (folder / file).write_bytes(whole[: int(kept * len(whole))])
    with pytest.raises(InputError, match=rf"{file} is not: .*Bring both files back from a copy, or train again"):
        generators.saved(name, folder)


@pytest.mark.parametrize("content", ["[]", "7", "null"])
def test_json_that_is_no_object_is_damaged(name, folder, content):
    (folder / "model.json").write_text(content)
    with pytest.raises(InputError, match="holds no object"):
        generators.saved(name, folder)


@pytest.mark.parametrize("said", ["another", None, ["synthrelease-gan-3"], "synthrelease-gan-2"])
def test_another_format_is_refused(name, folder, said):
    changed(folder, lambda facts: facts.update(format=said))
    with pytest.raises(InputError, match=r"however the one in .* does not\. It may be another generator's"):
        generators.saved(name, folder)


@pytest.mark.parametrize("other", NAMES)
def test_a_model_is_read_by_its_own_generator_alone(name, folder, other):
    reads_both = (name, other) == ("dp-gan", "marginals")  # with a budget, marginals saves private tables as well
    if name == other or reads_both:
        assert generators.saved(other, folder)
        return
    with pytest.raises(InputError, match="another generator's"):
        generators.saved(other, folder)


def test_tensors_that_are_missing_or_of_other_shapes_do_not_fit(name, folder):
    whole = load_file(folder / "model.safetensors")
    for key, tensor in whole.items():
        for changed in ({}, {key: torch.cat([tensor, tensor])}):
            save_file({k: v for k, v in whole.items() if k != key} | changed, folder / "model.safetensors")
            with pytest.raises(InputError, match=r"does not fit the tensors in model\.safetensors"):
                generators.saved(name, folder)


def test_the_model_of_a_target_must_have_its_shape_too(tmp_path):
    made = generators.load("marginals")(table(1_500), FitSettings(seed=1, effort=0.02, privacy=ROW), ignore)
    made.save(tmp_path)
    whole = load_file(tmp_path / "model.safetensors")
    for key in ("label.effects", "label.base"):
        save_file({**whole, key: whole[key][:-1].clone()}, tmp_path / "model.safetensors")
        with pytest.raises(InputError, match="does not fit"):
            generators.saved("marginals", tmp_path)


def test_a_fact_that_is_missing_or_unknown_does_not_fit(name, folder):
    changed(folder, lambda facts: facts.pop("history"))
    with pytest.raises(InputError, match="does not fit"):
        generators.saved(name, folder)


def test_a_fact_of_another_kind_does_not_fit(name, folder):
    changed(folder, lambda facts: facts.update(history=[{"step": 1, "colour": "red"}]))
    with pytest.raises(InputError, match="does not fit"):
        generators.saved(name, folder)


def test_facts_that_are_no_strict_json_are_not_written(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        SavedModel({"format": "x", "loss": float("nan")}, {}).write(tmp_path)


def test_tensors_are_written_as_they_are(tmp_path):
    turned = torch.arange(6.0).reshape(2, 3).t().requires_grad_()  # neither contiguous nor detached
    steps = (TrainingStep(step=0, steps=2, losses={}), TrainingStep(step=2, steps=2, losses={"tables": 0.5}))
    SavedModel({"format": "x", "notices": ["one"], "history": history_facts(steps)}, {"turned": turned}).write(tmp_path)
    again = saved_model.load(tmp_path, {"x": lambda model: model})
    assert torch.equal(again.tensors["turned"], turned)
    assert again.history == steps
    assert again.notices == ("one",)
