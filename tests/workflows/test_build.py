"""Whole runs, quickly trained: what lies in the run folder, what leaves it, and that a seed repeats a run."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from conftest import drafted, ward

import synthrelease
from synthrelease import BuildOptions, InputError
from synthrelease.cli import verdict_view
from synthrelease.core.contracts import TrainingStep
from synthrelease.governance import policy_file, sign_off
from synthrelease.governance.approval_records import Signer
from synthrelease.workflows import sample
from synthrelease.workflows.run_context import Silent

QUICK = BuildOptions(seed=7, effort=0.05)


def build(files, out, policy_name="internal_sandbox", **changes):
    table, schema_file = files
    options = replace(QUICK, **changes)
    return synthrelease.build(table, schema_file=schema_file, out=out, policy_name=policy_name, options=options)


@pytest.fixture(scope="module")
def run(ward_files, tmp_path_factory):
    return build(ward_files, tmp_path_factory.mktemp("runs") / "first")


def table_of(result) -> Path:
    (path,) = [*result.folder.glob("release/synthetic.*"), *result.folder.glob("quarantine/synthetic.*")]
    return path


def test_the_run_folder_holds_what_the_contract_names(run):
    internal = {path.name for path in (run.folder / "internal").iterdir()}
    named = {"report.html", "audit.json", "schema.toml", "policy.toml", "ledger.json"}
    assert internal >= named | {"model.safetensors", "model.json"}
    record = json.loads((run.folder / "run.json").read_text())
    assert record["state"] == "finished"
    assert record["exit_code"] == run.exit_code
    assert record["settings"]["seed"] == 7
    assert {"versions", "digests", "seconds"} <= set(record)


def test_audit_json_has_the_fields_that_scripts_depend_on(run):
    content = json.loads((run.folder / "internal" / "audit.json").read_text())
    assert content["decision"] in ("release", "refuse", "undecided")
    assert set(content["policy"]) >= {"name", "version", "digest"}
    for rule in content["rules"]:
        assert set(rule) >= {"check", "metric", "limit", "severity", "outcome", "value", "low", "high", "n"}
        assert ("at_most" in rule) != ("at_least" in rule)
    for check in content["checks"]:
        assert set(check) >= {"check", "status", "n", "seconds", "metrics"}
        for metric in check["metrics"]:
            assert set(metric) >= {"name", "value", "low", "high", "unit", "reference"}
    assert content["privacy"] is None
    for block in ("trtr", "tstr"):
        assert set(content["utility"][block]["decision_tree"]) == {"accuracy", "precision", "recall", "f1", "roc_auc"}


def test_the_synthetic_file_looks_like_the_input_and_shares_no_identifier(run, ward_files):
    real, made = pd.read_csv(ward_files[0]), pd.read_csv(table_of(run))
    assert made.columns.tolist() == real.columns.tolist()
    assert made.dtypes.tolist() == real.dtypes.tolist()
    assert len(made) == len(real)
    assert not set(made["patient_id"]) & set(real["patient_id"])
    assert made["patient_id"].is_unique


def test_the_same_seed_repeats_the_table_byte_for_byte_and_another_does_not(run, ward_files, tmp_path):
    again, other = build(ward_files, tmp_path / "again"), build(ward_files, tmp_path / "other", seed=8)
    digests = [hashlib.sha256(table_of(result).read_bytes()).hexdigest() for result in (run, again, other)]
    assert digests[0] == digests[1] != digests[2]
    verdicts = [json.loads((result.folder / "internal" / "audit.json").read_text())["rules"] for result in (run, again)]
    assert verdicts[0] == verdicts[1]


def test_a_release_is_whole_and_leaves_quarantine_empty(ward_files, tmp_path):
    result = released(ward_files, tmp_path)
    names = {path.name for path in (result.folder / "release").iterdir()}
    assert names == {"synthetic.csv", "data-card.html", "data-card.json", "croissant.json", "manifest.json"}
    assert not (result.folder / "quarantine").exists()
    assert result.exit_code == 0
    manifest = json.loads((result.folder / "release" / "manifest.json").read_text())
    for name, digest in manifest["files"].items():
        assert hashlib.sha256((result.folder / "release" / name).read_bytes()).hexdigest() == digest
    for name, digest in manifest["internal_files"].items():
        assert hashlib.sha256((result.folder / "internal" / name).read_bytes()).hexdigest() == digest
    assert "digest.key" not in manifest["internal_files"]


def lenient(tmp_path) -> Path:
    """A policy that everything but an exact copy of half the patients passes: for tests of what happens on release."""
    text = (policy_file.folder() / "internal_sandbox.toml").read_text(encoding="utf-8").split("[[rules]]")
    path = tmp_path / "lenient.toml"
    path.write_text(text[0] + "[[rules]]" + text[1].replace("at_most = 0.015", "at_most = 0.5"), encoding="utf-8")
    return path


def released(ward_files, tmp_path):
    return build(ward_files, tmp_path / "run", policy_name=str(lenient(tmp_path)))


def test_a_table_that_passes_waits_for_those_whom_the_policy_names(ward_files, tmp_path, capsys):
    asks = lenient(tmp_path)
    text = asks.read_text(encoding="utf-8").replace("sign_off = []", 'sign_off = ["data steward"]')
    asks.write_text(text, encoding="utf-8")
    result = build(ward_files, tmp_path / "run", policy_name=str(asks))
    assert (result.exit_code, result.released) == (0, None)
    assert not (result.folder / "release").exists()
    with pytest.raises(SystemExit) as ended:
        verdict_view.show(result)
    assert ended.value.code == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "stays in quarantine/ until the data steward has approved it" in told
    assert f'synthrelease sign-off {result.folder} --reviewer NAME --role "data steward" --decision approve' in told
    done = sign_off.sign_off(result.folder, Signer("A Person", "data steward"), "approve", "Read.")
    assert done.is_released
    assert (result.folder / "release" / "manifest.json").is_file()


def test_what_leaves_holds_no_seed_and_no_statistic_of_the_real_rows(ward_files, tmp_path):
    result = released(ward_files, tmp_path)
    real = pd.read_csv(ward_files[0])
    card = (result.folder / "release" / "data-card.json").read_text()
    manifest = (result.folder / "release" / "manifest.json").read_text()
    croissant = (result.folder / "release" / "croissant.json").read_text()
    texts = [card, croissant, (result.folder / "release" / "data-card.html").read_text(), manifest]
    assert all('"seed"' not in text for text in texts)
    numbers = {float(n) for text in (card, croissant) for n in re.findall(r"(?<![\w.])-?\d+\.\d+(?![\w.])", text)}
    statistics = {round(float(v), 6) for v in real["pressure"].describe()[1:]} | {float(real["pressure"].max())}
    assert not statistics & numbers
    for metric in (m for r in result.results for m in r.metrics if m.value not in (0, 1)):
        assert repr(metric.value) not in card + croissant


def test_a_table_that_is_not_released_stays_in_quarantine(ward_files, tmp_path):
    result = build(ward_files, tmp_path / "run", policy_name="open_release")
    assert result.exit_code == 3
    assert result.released is None
    assert not (result.folder / "release").exists()
    assert (result.folder / "quarantine" / "synthetic.csv").is_file()
    assert (result.folder / "quarantine").stat().st_mode & 0o077 == 0


def test_the_stewards_own_holdout_leaves_every_row_for_training(ward_files, tmp_path):
    holdout = tmp_path / "holdout.csv"
    ward(150, seed=99).to_csv(holdout, index=False)
    result = build(ward_files, tmp_path / "run", holdout=holdout, rows=321)
    assert result.facts.rows == {"train": 400, "holdout": 150, "synthetic": 321}


def test_patients_stay_on_one_side_and_are_the_unit_of_the_audit(tmp_path):
    frame = pd.concat([ward(200), ward(200), ward(200)])  # the same identifiers, three rows each
    frame.to_csv(tmp_path / "visits.csv", index=False)
    schema_file = drafted(tmp_path / "visits.csv", tmp_path, "readmitted")
    text = schema_file.read_text(encoding="utf-8")
    assert '\nunit = "patient_id"' in text
    result = build((tmp_path / "visits.csv", schema_file), tmp_path / "run")
    assert result.facts.rows["train"] % 3 == 0
    assert result.facts.rows["holdout"] % 3 == 0
    assert "patient_id" in result.facts.unit


def test_parquet_goes_in_and_comes_out(tmp_path):
    frame = ward(300).astype({"sex": "category", "age": "int16"})
    frame["smoker"] = frame["smoker"] == "yes"
    frame.to_parquet(tmp_path / "ward.parquet")
    schema_file = drafted(tmp_path / "ward.parquet", tmp_path, "readmitted")
    result = build((tmp_path / "ward.parquet", schema_file), tmp_path / "run")
    made = pd.read_parquet(table_of(result))
    assert made.dtypes.tolist() == pd.read_parquet(tmp_path / "ward.parquet").dtypes.tolist()
    assert len(made) == 300


def test_hostile_column_names_work_and_are_inert(tmp_path):
    frame = ward(200).rename(columns={"age": "<script>alert(1)</script>", "stay": "=cmd|'/C calc'!A0"})
    frame.to_csv(tmp_path / "ward.csv", index=False)
    schema_file = drafted(tmp_path / "ward.csv", tmp_path, "readmitted")
    result = build((tmp_path / "ward.csv", schema_file), tmp_path / "run")
    assert "<script>" not in result.report.read_text(encoding="utf-8")
    header = table_of(result).read_text(encoding="utf-8").splitlines()[0]
    assert not re.search(r"""(^|,)["]?[=+\-@]""", header)
    assert "<script>alert(1)</script>" in header


def test_a_listener_hears_stages_and_training_from_the_first_update(ward_files, tmp_path):
    heard: list[str | int] = []

    class Ear(Silent):
        def stage(self, title: str) -> None:
            heard.append(title)

        def step(self, step: TrainingStep) -> None:
            heard.append(step.step)

    table, schema_file = ward_files
    synthrelease.build(table, schema_file=schema_file, out=tmp_path / "r", options=QUICK, listener=Ear())
    steps = [entry for entry in heard if isinstance(entry, int)]
    assert steps[0] == 0
    assert steps == sorted(steps)
    assert heard[0] == "Reading the table"


def test_a_vendors_table_goes_through_the_same_gate(tmp_path):
    parts = {name: tmp_path / f"{name}.csv" for name in ("train", "holdout", "vendor")}
    for seed, path in enumerate(parts.values()):
        ward(500, seed=seed).to_csv(path, index=False)
    schema_file = drafted(parts["train"], tmp_path, "readmitted")

    def judged(vendor, out):
        files = synthrelease.AuditTables(parts["train"], parts["holdout"], vendor)
        options = BuildOptions(seed=1)
        return synthrelease.audit(
            files, schema_file=schema_file, out=out, policy_name="internal_sandbox", options=options
        )

    honest, leaky = judged(parts["vendor"], tmp_path / "honest"), judged(parts["train"], tmp_path / "leaky")
    assert (honest.exit_code, leaky.exit_code) == (0, 3)
    handed_over = pd.read_csv(honest.released)
    assert not set(handed_over["patient_id"]) & set(pd.read_csv(parts["vendor"])["patient_id"])


def test_a_holdout_that_overlaps_the_table_is_refused(ward_files, tmp_path):
    rows = pd.read_csv(ward_files[0]).drop(columns="patient_id")
    fresh = ward(300, seed=9)
    overlapping = pd.concat([fresh.iloc[:200], rows.sample(100, random_state=0).assign(patient_id=range(100))])
    for frame in (overlapping, rows.sample(frac=1, random_state=1).assign(patient_id=range(400))):
        frame[fresh.columns].to_csv(tmp_path / "holdout.csv", index=False)
        with pytest.raises(InputError, match="other people than the table"):
            build(ward_files, tmp_path / "run", holdout=tmp_path / "holdout.csv")
    assert not (tmp_path / "run").exists()


def test_a_table_that_changes_in_quarantine_is_not_released(ward_files, tmp_path):
    class Swapper(Silent):
        def stage(self, title: str) -> None:
            if title == "Writing the report":
                (tmp_path / "run" / "quarantine" / "synthetic.csv").write_bytes(ward_files[0].read_bytes())

    table, schema_file = ward_files
    arguments = {"schema_file": schema_file, "out": tmp_path / "run", "policy_name": str(lenient(tmp_path))}
    with pytest.raises(InputError, match="changed in quarantine"):
        synthrelease.build(table, **arguments, options=QUICK, listener=Swapper())
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("changes", [{"rows": 3}, {"effort": 0.0}, {"generator": "nonsense"}, {"target": "nonsense"}])
def test_settings_that_make_no_sense_are_refused_before_anything_is_written(ward_files, tmp_path, changes):
    with pytest.raises(InputError):
        build(ward_files, tmp_path / "run", **changes)
    assert not (tmp_path / "run").exists()


def test_an_overlap_shows_where_labels_are_learned_and_numbered_apart(tmp_path):
    frame = ward(400).assign(ward=[f"W{n % 97:02d}" for n in range(400)])
    frame.to_csv(tmp_path / "ward.csv", index=False)
    schema_file = drafted(tmp_path / "ward.csv", tmp_path, "readmitted")
    blocks = schema_file.read_text(encoding="utf-8").split("\n\n")
    learned = '[columns.ward]\nkind = "categorical"\ncategories = "learn"'
    text = "\n\n".join(learned if block.startswith("[columns.ward]") else block for block in blocks)
    schema_file.write_text(text, encoding="utf-8")
    part = frame[frame["ward"] > "W40"].assign(patient_id=lambda f: range(len(f)))
    part.to_csv(tmp_path / "holdout.csv", index=False)
    with pytest.raises(InputError, match="other people than the table"):
        build((tmp_path / "ward.csv", schema_file), tmp_path / "run", holdout=tmp_path / "holdout.csv")


@pytest.mark.parametrize("changes", [{"sharpen_labels": True}, {"overrides": {"target_temperature": 0.5}}])
def test_a_policy_refuses_sharpened_labels_before_any_row_is_read(ward_files, tmp_path, changes):
    unread = (tmp_path / "is-not-there.csv", ward_files[1])
    with pytest.raises(InputError, match="partner_handoff does not allow --sharpen-labels"):
        build(unread, tmp_path / "run", policy_name="partner_handoff", **changes)
    assert not (tmp_path / "run").exists()


def test_sharpened_labels_are_said_first_everywhere(run, ward_files, tmp_path):
    result = build(ward_files, tmp_path / "run", policy_name=str(lenient(tmp_path)), sharpen_labels=True)
    page = (result.folder / "internal" / "report.html").read_text()
    assert 0 < page.index("Odds ratios from this table") < page.index("<h1")
    card = (result.folder / "release" / "data-card.html").read_text()
    assert 0 < card.index("Odds ratios from this table") < card.index("<h1")
    for name in ("internal/audit.json", "release/data-card.json"):
        (text,) = json.loads((result.folder / name).read_text())["warnings"]
        assert text.startswith("The labels of the target were sharpened")
    drawn = sample.sample(result.folder, 20, out=tmp_path / "more.csv", seed=1)
    assert "sharpened" in drawn.notices[0]
    assert json.loads((run.folder / "internal" / "audit.json").read_text())["warnings"] == []
    assert "Odds ratios from this table" not in (run.folder / "internal" / "report.html").read_text()
