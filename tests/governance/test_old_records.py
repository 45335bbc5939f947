"""Runs, registers and packages made by version 0.1.0, which are kept as they were written, still do their work."""

from __future__ import annotations

import json
import shutil
import tarfile
import zipfile
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from signing_room import unmet

from synthrelease.cli.main import main
from synthrelease.governance import finished_run, package_format, review_server, sign_off
from synthrelease.governance import register as registers
from synthrelease.governance.keys import canonical
from synthrelease.governance.run_folder import RunFolder

KEPT = Path(__file__).parent.parent / "fixtures" / "made-by-0.1.0.tar.xz"
RUNS = ("signed", "unsigned", "waiting", "private", "audited", "published")
STEWARD = ("--reviewer", "Ada Example", "--role", "data steward", "--reason", "Read.")


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kept")
    with tarfile.open(KEPT) as archive:
        archive.extractall(folder, filter="data")
    return folder


@pytest.fixture
def old(kept, tmp_path):
    """A copy of the folder, to be written to."""
    return Path(shutil.copytree(kept, tmp_path / "old"))


def call(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


def files_in(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != ".lock"}


def test_the_package_still_verifies(kept):
    answer = call("verify", kept / "package.zip")
    assert answer.exit_code == 0, answer.output
    assert "data steward: Ada Example" in answer.output


def test_the_register_is_as_it_was_written_and_every_entry_is_listed(kept):
    assert registers.check(registers.opened(kept / "register")) == []
    answer = call("register", "ward.csv", "--register", kept / "register")
    assert answer.exit_code == 0, answer.output
    for told in (
        "6 attempts (5 release, 1 undecided)",
        "4 released, 1 handed over, epsilon 2.99794 in all",
        "under hospital 1.0.0",
        "approve by Ada Example (data steward)",
        "to Partner, package b6cb0e19c7e5",
    ):
        assert told in answer.output
    assert len([line for line in answer.output.splitlines() if line.startswith("  ")]) == 18


@pytest.mark.parametrize("name", RUNS)
def test_every_run_can_be_read_and_keeps_its_files(old, name):
    before = files_in(old / name)
    stored = finished_run.load(RunFolder(old / name, ()))
    assert stored.facts.run == name
    assert stored.table == "synthetic.csv"
    assert stored.facts.was_made_here == (name != "audited")
    assert ("table" if stored.facts.was_made_here else "handed_in") in stored.facts.digests
    assert (stored.facts.privacy is not None) == (name == "private")
    with sign_off.held(old / name, old / "register") as case:
        assert case.is_released == (name not in ("unsigned", "waiting"))
    assert files_in(old / name) == before


def test_a_run_that_waits_for_its_signature_is_signed_released_and_handed_over(old):
    answer = call("sign-off", old / "unsigned", "--decision", "approve", *STEWARD, "--register", old / "register")
    assert answer.exit_code == 0, answer.output
    assert (old / "unsigned" / "release" / "synthetic.csv").is_file()
    assert not (old / "unsigned" / "quarantine").exists()
    out = old / "new.zip"
    answer = call("handoff", old / "unsigned", "--recipient", "Partner", "--out", out, "--register", old / "register")
    assert answer.exit_code == 0, answer.output
    assert call("verify", out).exit_code == 0
    assert registers.check(registers.opened(old / "register")) == []


def test_a_release_is_handed_over_again_and_taken_back(old):
    out = old / "again.zip"
    words = ("handoff", old / "signed", "--recipient", "Partner", "--out", out, "--register", old / "register")
    assert call(*words).exit_code == 0
    answer = call("sign-off", old / "signed", "--decision", "reject", *STEWARD, "--register", old / "register")
    assert answer.exit_code == 0, answer.output
    assert (old / "signed" / "quarantine" / "withdrawn" / "synthetic.csv").is_file()


def test_the_review_page_shows_the_report_of_an_old_run(old):
    visit = review_server.Visit(old / "unsigned", old / "register", None)
    browser = review_server.app(visit, lambda: "localhost").test_client()
    assert browser.get(f"/begin/{visit.token}").status_code == 303
    page = browser.get("/")
    assert page.status_code == 200
    assert "The first attempt" in page.text or "Attempt no." in page.text
    assert 'id="decision"' in page.text


def test_what_no_rule_lets_anybody_waive_stays_refused(old):
    before = files_in(old)
    words = ("waive", old / "waiting", "--rule", "copies.near_copy_excess", "--until", "2027-01-01", *STEWARD)
    answer = call(*words, "--register", old / "register")
    assert answer.exit_code == 2
    assert "copies" in answer.output
    assert files_in(old) == before


def opened_to_waivers(old: Path) -> Path:
    """The undecided run as version 0.1.0 would have left it under a policy that lets its steward waive rules."""
    run = RunFolder(old / "waiting", ())
    path = run.internal / finished_run.FILE
    content = json.loads(path.read_text())
    for outcome in content["verdict"]["outcomes"]:
        outcome["rule"]["waiver_by"] = ["data steward"]
    path.write_text(json.dumps(content, indent=1) + "\n")
    before, where = registers.opened(old / "register"), old / "other-register"
    (source,) = registers.sources(before)
    bound = finished_run.digests(run, run.quarantine / "synthetic.csv")
    for facts in (entry.facts for entry in registers.entries(before, source) if entry.facts.run == "waiting"):
        noted = facts.model_copy(update={"digests": bound}) if facts.event == "verdict" else facts
        registers.append(registers.opened(where), source, noted)
    return where


def test_a_waiver_is_written_into_an_old_report_and_the_table_leaves_under_it(old):
    where = opened_to_waivers(old)
    before = (old / "waiting" / "internal" / "report.html").read_text(encoding="utf-8")
    (rule,) = unmet(old / "waiting")
    until = (sign_off.today() + timedelta(days=5)).isoformat()
    answer = call("waive", old / "waiting", "--rule", rule, "--until", until, *STEWARD, "--register", where)
    assert answer.exit_code == 0, answer.output
    page = (old / "waiting" / "internal" / "report.html").read_text(encoding="utf-8")
    assert f'<th scope="row" class="mono">{rule}</th><td>Ada Example (data steward)' in page
    parts = [text.split("<!-- decisions -->")[0] for text in (before, page)]
    parts += [text.split("<!-- end of decisions -->")[1] for text in (before, page)]
    assert (parts[0], parts[2]) == (parts[1], parts[3])
    answer = call("sign-off", old / "waiting", "--decision", "approve", *STEWARD, "--register", where)
    assert answer.exit_code == 0, answer.output
    out = old / "waived.zip"
    assert call("handoff", old / "waiting", "--recipient", "P", "--out", out, "--register", where).exit_code == 0
    answer = call("verify", out)
    assert answer.exit_code == 0
    assert f"Waived ({until})" in answer.output


def later(register: Path, **changes: object) -> None:
    """Add an entry such as a later version might write, under the register's own key."""
    opened = registers.opened(register)
    (source,) = registers.sources(opened)
    last = registers.entries(opened, source)[-1]
    content = json.loads(opened.log(source).read_bytes().splitlines()[-1])
    del content["mac"]
    content |= {"number": last.number + 1, "previous": last.hash, **changes}
    line = canonical({**content, "mac": opened.mac("entry", canonical(content))})
    opened.log(source).write_bytes(opened.log(source).read_bytes() + line + b"\n")


@pytest.mark.parametrize("changes", [
    {"event": "merger"},
    {"version": 2},
    {"event": "release", "facts": {"run": "r", "run_id": "1", "policy": "p", "epsilon": None, "on_condition": "x"}},
    {"event": "release", "facts": {"run": "r", "run_id": "1"}},
])  # fmt: skip
def test_an_entry_of_another_version_is_refused_and_nothing_is_written(old, changes):
    later(old / "register", **changes)
    before = files_in(old)
    for words in (
        ("sign-off", old / "unsigned", "--decision", "approve", *STEWARD),
        ("handoff", old / "signed", "--recipient", "Partner", "--out", old / "new.zip"),
        ("build", old / "ward.csv", "--schema", old / "schema.toml", "--out", old / "fresh"),
        ("register", "ward.csv"),
    ):
        answer = call(*words, "--register", old / "register")
        assert answer.exit_code == 2, answer.output
        assert "was written by another version of synthrelease" in answer.output
    assert files_in(old) == before


@pytest.mark.parametrize(("name", "told"), [
    ("sign-offs.jsonl", "a decision of a kind or version that is not known here"),
    ("package.json", "the package is of a version that is not known here"),
])  # fmt: skip
def test_a_package_of_another_version_is_not_intact_and_says_so(old, name, told):
    with zipfile.ZipFile(old / "package.zip") as opened:
        files = {each: opened.read(each) for each in opened.namelist()}
    files[name] = files[name].replace(b'"version": 1', b'"version": 2')
    with (old / "later.zip").open("w+b") as out:
        package_format.write(out, {each: package_format.from_bytes(content) for each, content in files.items()})
    answer = call("verify", old / "later.zip")
    assert answer.exit_code == 5
    assert told in answer.output


def test_a_manifest_of_another_version_is_not_handed_over(old):
    path = old / "signed" / "release" / "manifest.json"
    path.write_text(path.read_text().replace('"version": 1', '"version": 2', 1))
    out = old / "later.zip"
    answer = call("handoff", old / "signed", "--recipient", "P", "--out", out, "--register", old / "register")
    assert answer.exit_code == 2
    assert "of a version that is not known here" in answer.output
    assert not out.exists()


@pytest.mark.parametrize("version", [0, 3, "1"])
def test_a_run_of_another_version_is_refused_and_nothing_is_written(old, version):
    path = old / "unsigned" / "internal" / "outcome.json"
    path.write_text(json.dumps({"version": version, **json.loads(path.read_text())}))
    before = files_in(old)
    answer = call("sign-off", old / "unsigned", "--decision", "approve", *STEWARD, "--register", old / "register")
    assert answer.exit_code == 2
    assert f"a run of another version of synthrelease (outcome.json, version {version})" in answer.output
    assert files_in(old) == before


def test_a_run_with_facts_that_are_not_known_is_refused(old):
    path = old / "unsigned" / "internal" / "outcome.json"
    content = json.loads(path.read_text())
    content["facts"]["on_condition"] = "that nobody reads it"
    path.write_text(json.dumps(content))
    answer = call("sign-off", old / "unsigned", "--decision", "approve", *STEWARD, "--register", old / "register")
    assert answer.exit_code == 2
    assert "none that this version can read" in answer.output
