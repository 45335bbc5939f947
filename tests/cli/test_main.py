"""The command line as a steward meets it: help, verdicts, bad input, interruptions."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from conftest import drafted, policy_that_decides, ward

from synthrelease.cli.main import main
from synthrelease.governance import policy_file

SECRET = 123_456_789  # a value that no message may repeat


def call(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words], catch_exceptions=True)


def refused(result: Result, *fragments: str) -> None:
    """Exit code 2, one clear message, no traceback, no cell."""
    assert result.exit_code == 2, result.output
    assert isinstance(result.exception, SystemExit)
    assert "Traceback" not in result.output
    assert str(SECRET) not in result.output
    for fragment in fragments:
        assert fragment in result.output, result.output


@pytest.mark.parametrize("command", sorted(main.commands))
def test_the_help_of_every_command_has_an_example(command):
    text = call(command, "--help").output
    assert re.search(r"Examples?:\n\s+synthrelease " + command, text), text


def test_help_names_every_command_and_begins_with_the_demo():
    text = call("--help").output
    assert "synthrelease build --demo" in text
    assert all(command in text for command in main.commands)


def test_policies_lists_and_explains_in_plain_words():
    listed = call("policies").output
    for name in policy_file.names():
        assert name in listed
        explained = call("policies", name).output
        assert "why:" in explained
        assert "source:" in explained
        assert "Blocking rules" in explained
    refused(call("policies", "nonsense"), "internal_sandbox")


def test_inspect_never_overwrites_and_says_what_to_do_next(ward_files, tmp_path):
    out = tmp_path / "schema.toml"
    first = call("inspect", ward_files[0], "--target", "readmitted", "--out", out)
    assert first.exit_code == 0
    assert "synthrelease build" in first.output
    out.write_text("edited")
    refused(call("inspect", ward_files[0], "--out", out), "--force")
    assert out.read_text() == "edited"
    assert call("inspect", ward_files[0], "--out", out, "--force").exit_code == 0
    assert "[columns.age]" in out.read_text()


def test_inspect_prints_the_schema_alone_and_talks_beside_it(ward_files):
    result = call("inspect", ward_files[0])
    assert set(tomllib.loads(result.stdout)["columns"]) == set(ward(1))
    assert "decide" in result.stderr
    assert "decide" not in result.stdout


def test_inspect_brings_an_edited_schema_up_to_date(tmp_path):
    out, path = tmp_path / "schema.toml", tmp_path / "ward.csv"
    ward(200).to_csv(path, index=False)
    assert call("inspect", path, "--out", out).exit_code == 0
    out.write_text(out.read_text().replace("[columns.age]", "[columns.age]\n# as agreed in May"))
    ward(200).drop(columns="stay").assign(weight=range(200)).to_csv(path, index=False)
    again = call("inspect", path, "--out", out)
    assert again.exit_code == 0
    assert "1 added: weight" in again.output
    assert "commented out, no longer in the table: stay" in " ".join(again.output.split())
    text = out.read_text()
    assert "# as agreed in May" in text
    assert "[columns.weight]" in text
    assert "# [columns.stay]" in text
    rules = policy_that_decides("undecided", tmp_path)
    built = call("build", path, "--schema", out, "--policy", rules, "--out", tmp_path / "run", "--effort", 0.05)
    assert built.exit_code == 4, built.output


def test_a_build_ends_with_verdict_rule_report_and_next_step(ward_files, tmp_path):
    table, schema_file = ward_files
    rules = policy_that_decides("release", tmp_path)
    budget = 'check = "privacy_budget"\nmetric = "epsilon"\nif_nothing_declared = "refuse"\nat_most = 3.0'
    stands = 'check = "validity"\nmetric = "cells_outside_domain"\nat_most = 1.0'
    text = rules.read_text().replace("always_release", "formal_privacy").replace(stands, budget)
    rules.write_text(text)
    result = call(
        "build", table, "--schema", schema_file, "--policy", rules, "--out", tmp_path / "run",
        "--seed", 2, "--effort", 0.05,
    )  # fmt: skip
    assert result.exit_code == 3, result.output
    for fragment in (
        "formal_privacy",
        "Refused, because ",
        "trained without differential privacy",
        "report.html",
        "Next:",
    ):
        assert fragment in result.output
    again = call("build", table, "--schema", schema_file, "--out", tmp_path / "run", "--effort", 0.05)
    refused(again, "never overwritten", "--force")


def changed(tmp_path: Path, **columns: object) -> Path:
    frame = ward(200)
    for name, values in columns.items():
        frame[name] = values
    path = tmp_path / "table.csv"
    frame.to_csv(path, index=False)
    return path


def spoiled(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "table.csv"
    path.write_bytes(content)
    return path


def text(drop: str | None = None) -> str:
    return ward(200).drop(columns=[drop] if drop else []).to_csv(index=False)


BAD_TABLES = {
    "missing file": (lambda folder: folder / "nowhere.csv", "nowhere.csv"),
    "empty file": (lambda folder: spoiled(folder, b""), "empty"),
    "header only": (lambda folder: spoiled(folder, ward(0).to_csv(index=False).encode()), "row"),
    "binary": (lambda folder: spoiled(folder, bytes(range(256)) * 40), "table.csv"),
    "pdf": (lambda folder: spoiled(folder, b"%PDF-1.7\n\x00\x01" * 50), "table.csv"),
    "duplicate names": (lambda folder: spoiled(folder, text().replace("stay", "age", 1).encode()), "age"),
    "column too many": (lambda folder: changed(folder, extra=SECRET), "extra"),
    "column missing": (lambda folder: spoiled(folder, text(drop="stay").encode()), "stay"),
    "out of bounds": (lambda folder: changed(folder, age=[SECRET] * 3 + [50] * 197), "age"),
    "not a number": (lambda folder: changed(folder, age=[f"x{SECRET}"] * 3 + ["50"] * 197), "age"),
    "unknown label": (lambda folder: changed(folder, smoker=[f"{SECRET}"] * 3 + ["no"] * 197), "smoker"),
    "one class": (lambda folder: changed(folder, readmitted="yes"), "readmitted"),
    "too few rows": (lambda folder: spoiled(folder, ward(30).to_csv(index=False).encode()), "100"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_TABLES)
def test_bad_tables_are_refused_clearly_and_leave_nothing_behind(case, ward_files, tmp_path):
    make, fragment = BAD_TABLES[case]
    table = make(tmp_path)
    out = tmp_path / "run"
    refused(call("build", table, "--schema", ward_files[1], "--out", out, "--effort", 0.05), fragment)
    assert not out.exists()


def test_counts_are_named_and_cells_are_not(ward_files, tmp_path):
    table = changed(tmp_path, age=[SECRET] * 3 + [50] * 197)
    result = call("build", table, "--schema", ward_files[1], "--out", tmp_path / "r")
    refused(result, "age", "3 ")


@pytest.mark.parametrize(
    ("words", "fragment"),
    [
        (["--policy", "nonsense"], "partner_handoff"),
        (["--policy", "{empty}"], "rules"),
        (["--policy", "{unknown_check}"], "nonsense"),
        (["--target", "nonsense"], "nonsense"),
        (["--generator", "nonsense"], "gan"),
        (["--rows", "0"], "--rows"),
        (["--effort", "-1"], "--effort"),
        (["--out", "{file}/below"], "writable"),
        (["--out", "{file}"], "is a file"),
        (["--schema", "{nowhere}"], "nowhere"),
        (["--schema", "{broken}"], "broken.toml"),
        (["--holdout", "{nowhere}"], "nowhere"),
        (["--nonsense"], "nonsense"),
    ],
)
def test_bad_settings_are_refused_clearly(words, fragment, ward_files, tmp_path):
    strict = (policy_file.folder() / "open_release.toml").read_text(encoding="utf-8")
    texts = {
        "empty": strict.split("[[rules]]")[0],
        "unknown_check": strict.replace('check = "copies"', 'check = "nonsense"', 1),
        "file": "",
        "broken": "[columns.age\n",
    }
    paths = {name: tmp_path / f"{name}.toml" for name in texts}
    for name, text in texts.items():
        paths[name].write_text(text, encoding="utf-8")
    filled = [word.format(**paths, nowhere=tmp_path / "nowhere.toml") for word in words]
    table, schema_file = ward_files
    refused(call("build", table, "--schema", schema_file, "--out", tmp_path / "run", *filled), fragment)
    assert not (tmp_path / "run").exists()


def test_a_table_needs_a_schema_and_the_demo_needs_none(tmp_path):
    refused(call("build", tmp_path / "t.csv"), "inspect")
    refused(call("build"), "--demo")
    refused(call("build", tmp_path / "t.csv", "--demo"), "--demo")


def start(ward_files, out: Path, effort: str = "0.1") -> subprocess.Popen[str]:
    table, schema_file = ward_files
    rules = policy_that_decides("release", table.parent)
    words = ["build", table, "--schema", schema_file, "--policy", rules, "--out", out, "--seed", "3"]
    # A shell's background job ignores the interrupt; a person at a terminal does not.
    listening = "import runpy, signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    run = "runpy.run_module('synthrelease', run_name='__main__', alter_sys=True)"
    command = [sys.executable, "-c", listening + run, *map(str, words), "--effort", effort]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment,
    )


def test_interruption_clears_the_run_and_says_so(ward_files, tmp_path):
    process = start(ward_files, tmp_path / "run", effort="20")
    wait_for((tmp_path / "run" / "run.json").exists, process)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 1, output
    assert "Nothing was released" in output
    assert "Traceback" not in output
    assert not (tmp_path / "run").exists()


def wait_for(condition, process) -> None:
    while not condition() and process.poll() is None:
        time.sleep(0.02)


def test_drafted_schemas_need_no_editing(tmp_path):
    path = tmp_path / "ward.csv"
    ward(150).to_csv(path, index=False)
    schema_file = drafted(path, tmp_path, None)
    rules = policy_that_decides("release", tmp_path)
    result = call(
        "build", path, "--schema", schema_file, "--policy", rules, "--out", tmp_path / "run", "--effort", 0.05
    )
    assert result.exit_code == 0, result.output
