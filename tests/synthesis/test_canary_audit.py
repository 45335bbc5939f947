"""The extra run with planted rows: what its attacker knows is right, and a broken build is refused from end to end."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from conftest import policy_that_decides, ward
from made_tables import ignore
from private_tables import COLUMNS, PATIENT, ROW, table
from torch import nn
from torch.nn import functional

from synthrelease.cli import main as command_line
from synthrelease.core.contracts import CanaryFinding, FitSettings, PrivacyBudget, Table
from synthrelease.core.errors import ClaimError, InputError
from synthrelease.privacy import noise
from synthrelease.synthesis import canary_audit, generators
from synthrelease.synthesis.generators.private import generator as private
from synthrelease.synthesis.generators.private import ghost_gradients
from synthrelease.synthesis.generators.private.public_domain import cells_of
from synthrelease.workflows import private_preparation
from synthrelease.workflows.inspect import draft_schema

DOMAINS = [cells_of(column) for column in COLUMNS]
STRICT = PrivacyBudget(epsilon=1.0, delta=1e-6, unit="row", rows_are_public=True)


def no_noise(monkeypatch) -> None:
    monkeypatch.setattr(noise, "discrete_gaussian", lambda counts, scale: np.asarray(counts).copy())
    monkeypatch.setattr(noise, "gaussian", np.zeros)


def audited(name: str, data: Table, asked: PrivacyBudget) -> CanaryFinding:
    fit, settings = generators.load(name), FitSettings(5, 0.05, privacy=asked)
    claim = private_preparation.claimed(fit(data, settings, ignore), data.schema, asked)
    return canary_audit.CanaryAudit(claim, fit, settings, ignore, lambda rows: rows)(data)


# The attacker.


@pytest.mark.parametrize("asked", [ROW, PATIENT, dataclasses.replace(PATIENT, rows_are_public=False)])
def test_without_noise_what_is_left_of_all_counts_is_the_canaries_alone(monkeypatch, asked):
    no_noise(monkeypatch)
    units = None if asked.unit == "row" else np.random.default_rng(2).integers(0, 900, 3_000)
    copy, planted = canary_audit.planted(table(units=units), DOMAINS, np.random.default_rng(0))
    attacker = canary_audit.Attacker(planted)
    private.measured(copy, asked, attacker)
    assert attacker.pull == pytest.approx(attacker.gram @ planted.was_in)
    assert np.linalg.matrix_rank(attacker.gram) > 20


def test_canaries_are_in_by_a_coin_and_each_is_a_patient_of_its_own():
    data = table(2_000, units=np.repeat(np.arange(1_000), 2))
    copy, planted = canary_audit.planted(data, DOMAINS, np.random.default_rng(0))
    assert len(planted.cells) == 50
    assert 10 < planted.was_in.sum() < 40
    assert len(copy) == 2_000 + planted.was_in.sum()
    assert len(np.unique(copy.units)) == 1_000 + planted.was_in.sum()
    cells = np.stack([each.encode(copy.frame[each.name]) for each in DOMAINS], axis=1)
    assert (cells[2_000:] == planted.cells[planted.was_in]).all()
    assert copy.frame.dtypes.equals(data.frame.dtypes)
    with pytest.raises(InputError, match="so small a table"):
        canary_audit.planted(table(19), DOMAINS, np.random.default_rng(0))


def test_pulls_are_the_gradients_of_single_pairs():
    torch.manual_seed(0)
    critic = nn.Sequential(nn.Linear(6, 4), nn.LeakyReLU(0.2), nn.Linear(4, 1))
    real, made, weights = torch.rand(9, 6), torch.rand(9, 6), torch.rand(9)
    expected = []
    for one, other in zip(real, made, strict=True):
        loss = functional.softplus(critic(other) - critic(one)).sum()
        whole = torch.cat([each.ravel() for each in torch.autograd.grad(loss, list(critic.parameters()))])
        expected.append(whole * min(1.0, 0.3 / float(whole.norm())))
    slow = torch.stack(expected)
    found = ghost_gradients.pulls(critic, real, made, clip=0.3)
    total = torch.cat([each.ravel() for each in found.total(weights)])
    assert total.numpy() == pytest.approx((slow * weights[:, None]).sum(0).numpy(), abs=1e-6)
    direction = [torch.rand_like(each) for each in critic.parameters()]
    along = slow @ torch.cat([each.ravel() for each in direction])
    assert found.along(direction).numpy() == pytest.approx(along.numpy(), abs=1e-6)


# The audit.


@pytest.mark.parametrize("name", generators.PRIVATE)
def test_an_honest_build_is_not_accused(name):
    found = audited(name, table(4_000), ROW)
    assert found.lower_bound <= found.claimed
    assert found.canaries == 200
    assert found.ceiling > found.claimed


@pytest.mark.parametrize("name", generators.PRIVATE)
def test_a_build_without_noise_is_refused(monkeypatch, name):
    no_noise(monkeypatch)
    with pytest.raises(ClaimError, match="planted rows show that epsilon is at least"):
        audited(name, table(4_000), STRICT)


def test_rows_copied_into_the_made_table_are_found(monkeypatch):
    honest = generators.load("marginals")

    def leaky(train, settings, on_step):
        fitted = honest(train, settings, on_step)
        monkeypatch.setattr(type(fitted), "sample", lambda self, rows, **_: iter([train.frame]))
        return fitted

    data, settings = table(4_000), FitSettings(5, 0.05, privacy=STRICT)
    claim = private_preparation.claimed(honest(data, settings, ignore), data.schema, STRICT)
    with pytest.raises(ClaimError):
        canary_audit.CanaryAudit(claim, leaky, settings, ignore, lambda rows: rows)(data)


def test_power_is_none_for_few_canaries_and_sure_for_weak_claims_that_are_broken():
    _, planted = canary_audit.planted(table(20_000), DOMAINS, np.random.default_rng(0))
    claim = private_preparation.claimed(private_fit(), table(500).schema, ROW)
    attacker = canary_audit.Attacker(planted)
    attacker.gram = np.eye(1_000) * 2.0
    assert attacker.power(claim, 4.0, confidence=0.98, rng=np.random.default_rng(0)) > 0.9
    attacker.gram = np.eye(1_000) * 1e-4
    assert attacker.power(claim, 4.0, confidence=0.98, rng=np.random.default_rng(0)) == 0.0


def private_fit():
    return generators.load("marginals")(table(500), FitSettings(1, 0.01, privacy=ROW), ignore)


def test_the_sentence_never_takes_silence_for_proof():
    found = CanaryFinding(1.0, 1e-6, 0.0, 0.95, 178, 2, 1, "counts", ("counts",), 3.4, 0.05, 16.0, 1.0)
    assert "no proof" in found.sentence
    assert "5% of such runs" in found.sentence
    assert "16 times too small" in found.sentence
    assert "not even noise a 64th" in dataclasses.replace(found, caught_from=None).sentence
    assert "critic" not in found.sentence
    assert "was not worked out" in dataclasses.replace(found, looked_in=("counts", "steps of the critic")).sentence
    assert "could refute nothing" in dataclasses.replace(found, ceiling=0.9).sentence
    assert "refuted" in dataclasses.replace(found, lower_bound=1.1).sentence


# From end to end.


def files(folder: Path, rows: int = 2_400) -> list[str]:
    """A ward with a schema for --epsilon; the arguments of a build of it."""
    path = folder / "ward.csv"
    ward(rows).to_csv(path, index=False)
    draft = draft_schema.draft(path).splitlines()
    text = "\n".join(line for line in draft if not line.startswith(("unit", "# unit", "rows_are_public")))
    (folder / "schema.toml").write_text(f'unit = "row"\nrows_are_public = true\n{text}\n', encoding="utf-8")
    return [
        "build", str(path), "--schema", str(folder / "schema.toml"), "--effort", "0.05",
        "--policy", str(policy_that_decides("release", folder)),
        "--shadow-models", "0", "--folds", "0", "--out", str(folder / "run"), "--register", str(folder / "register"),
    ]  # fmt: skip


def test_the_option_ends_in_terminal_record_and_report(tmp_path):
    done = CliRunner().invoke(command_line.main, [*files(tmp_path), "--epsilon", "5", "--audit", "canary"])
    assert done.exit_code == 0, done.output
    record = json.loads((tmp_path / "run" / "internal" / "audit.json").read_text())
    found = record["canary"]
    assert 0 <= found["lower_bound"] <= found["claimed"] == record["privacy"]["epsilon"]
    assert found["canaries"] > 50
    assert found["ceiling"] > 2
    ledger = json.loads((tmp_path / "run" / "internal" / "ledger.json").read_text())
    assert ledger["canary"] == found
    assert found["sentence"] in " ".join(done.stdout.split())
    page = (tmp_path / "run" / "internal" / "report.html").read_text(encoding="utf-8")
    for words in (
        "The claim under attack",
        "Bound, had all guesses been right",
        "no part of the (epsilon, delta) claim",
    ):
        assert words in page


def test_a_broken_build_is_refused_and_leaves_nothing(monkeypatch, tmp_path):
    no_noise(monkeypatch)
    done = CliRunner().invoke(command_line.main, [*files(tmp_path), "--epsilon", "1", "--audit", "canary"])
    assert done.exit_code == 3
    assert "epsilon is at least" in done.output
    assert "Traceback" not in done.output
    assert not list((tmp_path / "run").rglob("*.csv"))
    assert not list((tmp_path / "run").rglob("*.safetensors"))


def test_without_epsilon_there_is_nothing_to_test(tmp_path):
    arguments = [*files(tmp_path, 60), "--audit", "canary"]
    arguments[1] = str(tmp_path / "nowhere.csv")  # refused before any table is looked for
    done = CliRunner().invoke(command_line.main, arguments)
    assert done.exit_code == 2
    assert "no --epsilon is given" in done.output
    assert not (tmp_path / "run").exists()
    with pytest.raises(InputError, match="must be one of canary"):
        canary_audit.check("shadow", 1.0)
