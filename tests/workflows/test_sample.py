"""A finished build makes more rows, rows to order, and equally frequent classes; and says what is not audited."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace

import pandas as pd
import pytest
from click.testing import CliRunner
from conftest import drafted, ward

import synthrelease
from synthrelease import BuildOptions, InputError
from synthrelease.cli.main import main
from synthrelease.core.contracts import Fitted
from synthrelease.report import internal_report
from synthrelease.synthesis import maker
from synthrelease.workflows import sample
from synthrelease.workflows.run_options import Multiple


@dataclass(frozen=True)
class Told:
    """A trained generator that says other things of itself."""

    fitted: Fitted
    description: Mapping[str, object]

    def __getattr__(self, name: str) -> object:
        return getattr(self.fitted, name)


def build(files, out, **changes):
    table, schema_file = files
    options = BuildOptions(seed=7, effort=0.1, **changes)
    return synthrelease.build(table, schema_file=schema_file, out=out, policy_name="internal_sandbox", options=options)


@pytest.fixture(scope="module")
def finished(ward_files, tmp_path_factory):
    return build(ward_files, tmp_path_factory.mktemp("runs") / "first").folder


def made(result) -> pd.DataFrame:
    (path,) = [*result.folder.glob("release/synthetic.csv"), *result.folder.glob("quarantine/synthetic.csv")]
    return pd.read_csv(path)


def test_more_rows_look_like_the_table_and_say_that_they_are_not_audited(finished):
    done = sample.sample(finished, 777, out=None, seed=5)
    frame, table = pd.read_csv(done.path), next(finished.glob("*/synthetic.csv"))
    assert len(frame) == 777
    assert list(frame) == list(pd.read_csv(table))
    assert frame["patient_id"].is_unique
    assert done.path.parent.name == "quarantine"
    facts = json.loads(done.path.with_name(f"{done.path.name}.json").read_text())
    assert (facts["audited"], facts["rows"], facts["seed"]) == (False, 777, 5)
    assert "Nobody has audited" in done.notices[0]


def test_a_seed_repeats_the_rows(finished, tmp_path):
    first = sample.sample(finished, 50, out=tmp_path / "a.csv", seed=1).path.read_bytes()
    assert sample.sample(finished, 50, out=tmp_path / "b.csv", seed=1).path.read_bytes() == first
    assert sample.sample(finished, 50, out=tmp_path / "c.csv", seed=2).path.read_bytes() != first


def test_a_saved_maker_makes_the_rows_of_the_run(finished):
    again = maker.load(finished / "internal")
    assert again.generator == "gan"
    assert {column.name for column in again.schema.columns} == set(ward(1))


def test_rows_to_order_from_a_finished_run(finished, tmp_path):
    wanted = ("sex=F, age=60..80",)
    frame = pd.read_csv(sample.sample(finished, 60, out=tmp_path / "f.csv", seed=1, wanted=wanted).path)
    assert (frame["sex"] == "F").all()
    assert frame["age"].between(60, 80).all()


def test_a_taken_file_another_format_and_what_is_no_run_are_refused(finished, tmp_path):
    (tmp_path / "taken.csv").write_text("mine")
    for out, found in ((tmp_path / "taken.csv", "exists"), (tmp_path / "new.parquet", r"ends in \.csv")):
        with pytest.raises(InputError, match=found):
            sample.sample(finished, 10, out=out, seed=1)
    assert (tmp_path / "taken.csv").read_text() == "mine"
    with pytest.raises(InputError, match=r"maker\.json"):
        sample.sample(tmp_path, 10, out=None, seed=1)


def test_the_commands_answer_in_words(finished, tmp_path):
    run = CliRunner()
    done = run.invoke(main, ["sample", str(finished), "--rows", "20", "--out", str(tmp_path / "x.csv")])
    assert done.exit_code == 0
    assert "Wrote 20 rows" in done.output
    assert "Nobody has audited" in done.output
    assert run.invoke(main, ["sample", str(tmp_path), "--rows", "20"]).exit_code == 2
    listed = run.invoke(main, ["build", "--generator", "list"])
    assert listed.exit_code == 0
    assert "marginals" in listed.output
    assert "weight_decay" in listed.output


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (["--effort", "lots"], "neither a number nor one of fast"),
        (["--set", "steps"], "NAME=NUMBER"),
        (["--set", "stepps=3"], "'stepps' is no setting"),
        (["--set", "ema=3"], "ema must lie between"),
        (["--generator", "marginals", "--set", "ema=0.9"], "has no settings"),
        (["--condition", "sex=X"], "no label of the column"),
        (["--condition", "age=89.9..89.95"], "training patients"),
        (["--balance", "age"], "column with labels"),
        (["--balance", "sex", "--condition", "sex=F"], "not in both"),
        (["--rows", "lots"], "neither a number of rows nor a multiple such as 5x"),
        (["--rows", "-2x"], "a multiple above 0"),
        (["--rows", "19"], "--rows must be at least 20"),
        (["--rows", "0.01x"], "--rows must be at least 20"),
        (["--rows", "1000000000x"], "must fit into memory"),
    ],
)
def test_what_cannot_be_done_is_refused_with_exit_code_2_and_nothing_is_left(ward_files, tmp_path, arguments, found):
    table, schema_file = map(str, ward_files)
    out = tmp_path / "run"
    done = CliRunner().invoke(main, ["build", table, "--schema", schema_file, "--out", str(out), *arguments])
    assert done.exit_code == 2
    assert found in done.output.replace("\n", " ")
    assert not list(out.glob("release"))


def test_a_build_to_order_makes_such_rows_alone_and_is_audited_against_such_patients(ward_files, tmp_path):
    result = build(ward_files, tmp_path / "run", conditions=("sex=F",), rows=150)
    frame = made(result)
    assert len(frame) == 150
    assert (frame["sex"] == "F").all()
    assert result.facts.settings["conditions"] == "sex=F"
    assert 100 < result.facts.rows["train"] < 200  # about half of 280
    assert any("Every row meets sex=F" in text for text in result.facts.notices)


def test_balanced_classes_are_equally_frequent_and_likeness_is_judged_on_real_shares(tmp_path):
    path = tmp_path / "ward.csv"
    ward(600, seed=3).to_csv(path, index=False)
    files = path, drafted(path, tmp_path, "readmitted")
    result = build(files, tmp_path / "run", balance="smoker", rows=301)
    assert made(result)["smoker"].value_counts().to_dict() == {"no": 151, "yes": 150}
    assert result.facts.settings["balanced"] == "smoker"
    sizes = {each.check: each.n for each in result.results}
    assert sizes["fidelity"] < sizes["validity"]
    facts = replace(result.facts, settings={**result.facts.settings, "conditions": "sex=F"})
    _, card = internal_report.data_card(facts, result.verdict, released_rows=301)
    assert any("were made equally frequent" in text for text in card["limits"])
    assert any("made to meet: sex=F" in text for text in card["limits"])


def test_a_multiple_counts_the_rows_that_were_learned_from(ward_files, tmp_path):
    result = build(ward_files, tmp_path / "run", rows=Multiple(2))
    train = result.facts.rows["train"]
    assert len(made(result)) == result.facts.settings["rows"] == 2 * train
    assert result.facts.settings["multiple"] == 2
    done = sample.sample(result.folder, Multiple(1.5), out=None, seed=5)
    assert len(pd.read_csv(done.path)) == done.rows == round(1.5 * train)


@pytest.mark.parametrize("are_public", [False, True])
def test_under_privacy_a_multiple_needs_a_public_number_of_rows(finished, monkeypatch, are_public):
    """The check comes before any row is read, so that a maker that says so is enough."""
    known = maker.load(finished / "internal")
    schema = replace(known.schema, rows_are_public=are_public)
    told = Told(known.fitted, {"generator": "marginals", "units": 300})
    private = replace(known, fitted=told, plan=replace(known.plan, schema=schema))
    monkeypatch.setattr(maker, "load", lambda _: private)
    if are_public:
        assert sample.sample(finished, Multiple(0.1), out=None, seed=9).rows == 30
    else:
        with pytest.raises(InputError, match=r"--rows 0\.1x needs a number of real rows that is public"):
            sample.sample(finished, Multiple(0.1), out=None, seed=9)
