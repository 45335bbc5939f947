"""`build --copies`: tables from several trainings, written, audited and released together."""

from __future__ import annotations

import json

import pandas as pd
import pytest
from click.testing import CliRunner
from conftest import drafted, policy_that_decides, ward

import synthrelease
from synthrelease import BuildOptions
from synthrelease.cli.main import main
from synthrelease.core.files import sha256
from synthrelease.workflows import sample


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    folder = tmp_path_factory.mktemp("copies")
    ward(100).to_csv(folder / "ward.csv", index=False)
    options = BuildOptions(
        seed=1, effort=0.02, copies=2, rows=60, shadow_models=0, folds=0, register=folder / "register"
    )
    return synthrelease.build(
        folder / "ward.csv",
        schema_file=drafted(folder / "ward.csv", folder, "readmitted"),
        out=folder / "run",
        policy_name=str(policy_that_decides("release", folder)),
        options=options,
    )


def test_every_copy_is_released_with_the_list_the_page_and_the_programs(done):
    assert done.released == done.folder / "release" / "synthetic.json"
    listed = json.loads(done.released.read_text())
    assert (listed["rows"], listed["real_rows"]) == (60, done.facts.rows["train"])
    assert listed["copies"] == {
        name: sha256(done.folder / "release" / name) for name in ("synthetic-01.csv", "synthetic-02.csv")
    }
    names = {path.name for path in done.released.parent.iterdir()}
    assert {"what-you-may-conclude.html", "combining.py", "combining.R", "data-card.html"} <= names
    assert not (done.folder / "quarantine").exists()


def test_copies_have_the_columns_of_the_table_and_differ(done):
    one, two = (pd.read_csv(done.released.with_name(f"synthetic-0{copy}.csv")) for copy in (1, 2))
    assert list(one) == list(two) == list(ward(1))
    assert len(one) == len(two) == 60
    assert not one["age"].sort_values(ignore_index=True).equals(two["age"].sort_values(ignore_index=True))


def test_all_rows_are_audited_together_and_the_report_says_so(done):
    assert done.facts.copies == 2
    assert done.facts.rows["synthetic"] == 120
    assert (done.facts.settings["copies"], done.facts.settings["rows"]) == (2, 60)
    assert "2 copies leave together" in " ".join(done.facts.notices)
    assert "120 synthetic rows in 2 copies of equal size" in done.report.read_text()
    results = {result.check: result for result in done.results}
    assert results["fidelity"].status == "measured"
    assert "of 120 synthetic rows" in results["copies"].metric("replicated_unique_excess").reading


def test_more_rows_can_be_drawn_from_the_run(done, tmp_path):
    drawn = sample.sample(done.folder, 30, out=tmp_path / "more.csv", seed=1)
    assert len(pd.read_csv(drawn.path)) == 30


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (["--copies", "0"], "--copies must be between 2 and 40"),
        (["--copies", "1"], "--copies must be between 2 and 40"),
        (["--copies", "5", "--condition", "sex=F"], "--condition or --balance"),
        (["--copies", "5", "--balance", "sex"], "--condition or --balance"),
        (["--copies", "5", "--generator", "marginals"], "weighted patients"),
        (["--copies", "40", "--rows", "2000000000"], "must fit into memory"),
    ],
)
def test_what_cannot_be_right_is_refused_with_one_message_before_anything_is_written(
    ward_files, tmp_path, arguments, found
):
    table, schema_file = map(str, ward_files)
    out = tmp_path / "run"
    answer = CliRunner().invoke(main, ["build", table, "--schema", schema_file, "--out", str(out), *arguments])
    assert answer.exit_code == 2
    assert found in answer.output.replace("\n", " ")
    assert answer.output.count("Error") == 1
    assert not out.exists()
