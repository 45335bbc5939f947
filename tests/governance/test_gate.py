"""The gate has teeth: planted leaks and useless tables are refused under every policy, honest rows are not."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import TARGETS, drafted, real_file, ward
from planted import LEAKS, PLANTS, USELESS, thirds

from synthrelease.core.contracts import CheckResult, Column, Evidence, Schema, Table, Verdict
from synthrelease.data import table_reader
from synthrelease.evaluation.checks import impossible
from synthrelease.evaluation.runner import run as run_checks
from synthrelease.governance import gate, policy_file
from synthrelease.privacy import claim
from synthrelease.schema import schema_file as schema_reader
from synthrelease.workflows import demo_table, finish_run

NAMES = ("ward", "wisconsin", *TARGETS)
PRIVACY = {name for name, spec in finish_run.known_checks().items() if spec.family == "privacy"}


@pytest.fixture(scope="module")
def read_table(tmp_path_factory: pytest.TempPathFactory):
    """A function from a table's name to the table as inspect and read give it, unedited."""
    folder = tmp_path_factory.mktemp("tables")

    @cache
    def table(name: str) -> Table:
        target = TARGETS.get(name, "readmitted")
        if name == "wisconsin":
            path, schema_file = demo_table.demo_files(folder)
        else:
            path = made_up(folder) if name == "ward" else real_file(name)
            schema_file = drafted(path, folder, target)
        return table_reader.read(path, schema_reader.load(schema_file)).table

    return table


def made_up(folder: Path) -> Path:
    path = folder / "ward.csv"
    ward(1_500, seed=5).to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def audited(read_table):
    """A function from table, plant and confidence to the results of all checks."""

    @cache
    def results(name: str, plant: str, confidence: float) -> tuple[CheckResult, ...]:
        parts = thirds(read_table(name), seed=11)
        made = PLANTS[plant](parts, np.random.default_rng(12))
        evidence = Evidence(parts.train, parts.holdout, made, seed=13, confidence=confidence)
        return (*run_checks(evidence), claim.result(None, made_here=False))

    return results


def verdict(audited, name: str, plant: str, policy_name: str) -> Verdict:
    known = finish_run.known_checks()
    rules = policy_file.load(policy_name, known)
    return gate.decide(rules, audited(name, plant, rules.confidence), known)


AUDITED_STRICTLY = ("ward", "wisconsin")
"""The strictest policy has a confidence of its own and so an audit of its own: two tables must do."""


def pairs(*policies: str) -> list[tuple[str, str]]:
    """Tables and the policies that they are held against."""
    return [(name, policy) for policy in policies for name in (AUDITED_STRICTLY if policy == "open_release" else NAMES)]


@pytest.mark.parametrize("plant", LEAKS)
@pytest.mark.parametrize(("name", "policy_name"), pairs(*policy_file.names()))
def test_every_policy_refuses_planted_leaks_for_a_privacy_rule(audited, name, plant, policy_name):
    found = verdict(audited, name, plant, policy_name)
    assert found.decision == "refuse"
    assert any(o.outcome == "breached" and o.rule.check in PRIVACY for o in found.outcomes)


@pytest.mark.parametrize("plant", USELESS)
@pytest.mark.parametrize(("name", "policy_name"), pairs("open_release", "partner_handoff"))
def test_useless_tables_are_refused_where_they_leave_the_house(audited, name, plant, policy_name):
    assert verdict(audited, name, plant, policy_name).decision == "refuse"


@pytest.mark.parametrize("plant", USELESS)
@pytest.mark.parametrize("name", NAMES)
def test_the_sandbox_warns_of_useless_tables(audited, name, plant):
    found = verdict(audited, name, plant, "internal_sandbox")
    quality = [o for o in found.outcomes if o.rule.severity == "warn" and o.rule.check in ("utility", "fidelity")]
    assert any(o.outcome == "breached" for o in quality)


@pytest.mark.parametrize(("name", "policy_name"), pairs(*policy_file.names()))
def test_fresh_real_rows_are_never_refused(audited, name, policy_name):
    found = verdict(audited, name, "fresh", policy_name)
    assert found.decision in ("release", "undecided")
    assert not [o for o in found.outcomes if o.outcome == "breached" and o.rule.severity == "block"]


@pytest.mark.parametrize("name", NAMES)
def test_the_sandbox_releases_fresh_real_rows(audited, name):
    assert verdict(audited, name, "fresh", "internal_sandbox").decision == "release"


@pytest.mark.parametrize("policy_name", ["open_release", "partner_handoff"])
def test_rows_that_no_patient_could_have_do_not_leave_the_house(policy_name):
    """Three rows in a hundred in which a diagnosis and its group are swapped; fresh rows break no rule on them."""
    known = finish_run.known_checks()
    rules = policy_file.load(policy_name, known)
    train, holdout, made = (diagnosed(rows, seed) for rows, seed in ((2_000, 1), (1_000, 2), (2_000, 3)))
    swapped = made.copy()
    swapped.iloc[: len(made) * 3 // 100, 1] = "a"
    swapped.iloc[: len(made) * 3 // 100, 0] = "b"
    outcomes = []
    for frame in (swapped, made):
        tables = (Table(each, DIAGNOSED, "real") for each in (train, holdout, frame))
        result = impossible.measure(Evidence(*tables, seed=1, confidence=rules.confidence))
        outcomes += [o.outcome for o in gate.decide(rules, [result], known).outcomes if o.rule.check == "impossible"]
    assert outcomes == ["breached", "met"]


DIAGNOSED = Schema(tuple(Column(name, "categorical", categories=("a", "b", "c")) for name in ("code", "group")))


def diagnosed(rows: int, seed: int) -> pd.DataFrame:
    """Codes of diagnoses, each with its own group."""
    codes = np.random.default_rng(seed).choice(["a", "b", "c"], rows)
    return pd.DataFrame({name: pd.Categorical(codes, categories=["a", "b", "c"]) for name in ("code", "group")})


PROBABILITIES = {"near_tail_p", "combination_p"}
ALWAYS = (
    ("copies", "exact_copy_excess"), ("copies", "near_copy_excess"), ("copies", "replicated_unique_excess"),
    ("near_tail", "near_tail_p"), ("near_tail", "near_tail_share"), ("combinations", "combination_p"),
    ("distances", "dcr_share"), ("distances", "nndr_gap"), ("membership", "mia_auc"),
    ("membership", "tpr_at_1pct_fpr"), ("membership", "mia_advantage"), ("linkability", "linkability_risk"),
)  # fmt: skip
WITH_ROLES = (
    ("combinations", "small_group_excess"), ("identity", "identity_risk"), ("attributes", "attribute_gap"),
    ("inference", "inference_risk"), ("singling_out", "singling_out_risk"),
)  # fmt: skip
"""Measured where the schema declares quasi-identifiers and something sensitive."""


def leaky_and_honest(audited, name, metric):
    def measured(plant):
        result = next(r for r in audited(name, plant, 0.95) if r.check == metric[0])
        return result.metric(metric[1])

    return measured("copies"), measured("fresh")


@pytest.mark.parametrize("metric", ALWAYS)
@pytest.mark.parametrize("name", NAMES)
def test_every_privacy_metric_finds_the_copy_machine_worse_than_honest_rows(audited, name, metric):
    leaky, honest = leaky_and_honest(audited, name, metric)
    if metric[1] in PROBABILITIES:  # the copy machine's is the smaller one
        assert leaky.value < 0.001 < honest.value
    else:
        assert leaky.low > honest.value


@pytest.mark.parametrize("metric", WITH_ROLES)
@pytest.mark.parametrize("name", ["ward", "stroke"])
def test_metrics_on_declared_roles_find_the_copy_machine_worse(read_table, name, metric):
    plain = read_table(name)
    columns = tuple(
        replace(each, role="sensitive") if each.name == plain.schema.target else each for each in plain.schema.columns
    )
    parts = thirds(replace(plain, schema=replace(plain.schema, columns=columns)), seed=11)

    def measured(plant: str):
        made = PLANTS[plant](parts, np.random.default_rng(12))
        (result,) = run_checks(Evidence(parts.train, parts.holdout, made, seed=13), only=[metric[0]])
        return result.metric(metric[1])

    leaky, honest = measured("copies"), measured("fresh")
    assert leaky.low > 0
    assert leaky.value > honest.value


@pytest.mark.parametrize("name", NAMES)
def test_the_audit_notices_planted_rows_and_stays_calm_about_honest_ones(audited, name):
    result = next(r for r in audited(name, "fresh", 0.95) if r.check == "self_test")
    assert result.metric("planted_copies_p").value < 0.01
    assert result.metric("honest_rows_p").value > 0.001
    assert 0 < result.metric("smallest_leak").value < 0.3


def test_every_privacy_check_is_held_against_the_copy_machine():
    """A privacy check added later must be added to the tests above; the ledger is read, the self-test tests the audit.

    Those that train the generator again are held against leaky ones in ``test_refits.py``.
    """
    tested = {check for check, _ in (*ALWAYS, *WITH_ROLES)}
    assert PRIVACY - {"privacy_budget", "self_test", "shadow", "cross_audit"} == tested
