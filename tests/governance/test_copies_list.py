"""Copies leave together: the list that stands for them binds each, in quarantine, in a release and in a package."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest
from signing_room import REVIEWER, STEWARD, finished

from synthrelease.core import files
from synthrelease.core.errors import RunFolderError
from synthrelease.governance import (
    copies_list,
    finished_run,
    handoff,
    package_format,
    release,
    release_bundle,
    run_folder,
    sign_off,
)
from synthrelease.governance.decisions_for_report import NOBODY
from synthrelease.governance.package_verification import verify

NAMES = ["synthetic-01.csv", "synthetic-02.csv", "synthetic-03.csv"]


def folder_of(run: Path) -> run_folder.RunFolder:
    return run_folder.RunFolder(run, ())


@pytest.fixture
def run(tmp_path) -> Path:
    return finished(tmp_path / "run", tmp_path / "register", copies=3)


@pytest.fixture(scope="module")
def package(tmp_path_factory) -> Path:
    room = tmp_path_factory.mktemp("copies")
    made = finished(room / "run", room / "register", copies=3)
    for who in (STEWARD, REVIEWER):
        sign_off.sign_off(made, who, "approve", "Fine.", where=room / "register")
    handoff.hand_off(made, "Partner", room / "package.zip", where=room / "register")
    return room / "package.zip"


def test_the_package_holds_every_copy_what_combines_them_and_what_to_conclude(package, tmp_path):
    found = verify(package, extract=tmp_path / "out")
    assert found.is_intact, found.problems
    assert {*NAMES, "synthetic.json", "what-you-may-conclude.html", "combining.py", "combining.R"} <= set(
        found.contents.files
    )
    assert found.contents.table == "synthetic.json"
    assert "never one alone" in (tmp_path / "out" / "READ-ME.txt").read_text()
    listed = copies_list.read((tmp_path / "out" / "synthetic.json").read_bytes())
    assert (list(listed.copies), listed.rows, listed.real_rows) == (NAMES, 60, 80)
    assert not copies_list.changed(tmp_path / "out" / "synthetic.json")
    card = json.loads((tmp_path / "out" / "data-card.json").read_text())
    assert set(card["files"]) == {*NAMES, "synthetic.json"}
    assert any("These are 3 copies of one table" in limit for limit in card["limits"])


@pytest.mark.parametrize("changes", [{"synthetic-02.csv": b"id,score,sick\n"}, {"synthetic-02.csv": None}])
def test_a_copy_that_is_exchanged_or_left_out_of_an_unsigned_package_is_found(package, tmp_path, changes):
    """The list of files in the package is made to fit; the sign-offs are bound to the list of copies."""
    with zipfile.ZipFile(package) as opened:
        content = {name: opened.read(name) for name in opened.namelist()}
    listed = json.loads(content[package_format.LIST])
    for name, new in changes.items():
        del content[name], listed["files"][name]
        if new is not None:
            content[name] = new
            listed["files"][name] = package_format.member(package_format.from_bytes(new)).model_dump(mode="json")
    listed["files"] = dict(sorted(listed["files"].items()))
    content[package_format.LIST] = (json.dumps(listed, indent=1, ensure_ascii=False) + "\n").encode()
    with (tmp_path / "forged.zip").open("w+b") as file:
        package_format.write(file, {name: package_format.from_bytes(each) for name, each in content.items()})
    problems = verify(tmp_path / "forged.zip").problems
    assert {problem.name for problem in problems} == {"synthetic-02.csv"}
    assert all("not the copy that synthetic.json lists" in problem.why for problem in problems)


@pytest.mark.parametrize("harm", ["changed", "missing", "list"])
def test_only_the_copies_that_were_audited_may_leave(run, harm):
    folder = folder_of(run)
    stored = finished_run.load(folder)
    release.check_table(folder, stored)
    if harm == "missing":
        (folder.quarantine / NAMES[1]).unlink()
    else:
        (folder.quarantine / (NAMES[1] if harm == "changed" else "synthetic.json")).write_text("{}")
    with pytest.raises(RunFolderError, match="Only the audited table"):
        release.check_table(folder, stored)


def test_a_release_that_was_cut_short_puts_every_copy_back(run):
    folder = folder_of(run)
    before = {path.name: files.sha256(path) for path in folder.quarantine.iterdir()}
    release_bundle.stage(folder, finished_run.load(folder), NOBODY)
    assert not any(folder.quarantine.glob("synthetic*"))
    release_bundle.unstage(folder)
    assert {path.name: files.sha256(path) for path in folder.quarantine.iterdir()} == before
    assert not folder.staging.exists()


def test_a_damaged_list_names_itself(tmp_path):
    (tmp_path / "synthetic.json").write_text(json.dumps({"copies": {}}))
    assert copies_list.changed(tmp_path / "synthetic.json") == ["synthetic.json"]
    assert copies_list.read(b"[]") is None
    (tmp_path / "synthetic.csv").write_text("a,b\n")
    assert copies_list.changed(tmp_path / "synthetic.csv") == []
    assert copies_list.with_copies(tmp_path / "synthetic.csv") == [tmp_path / "synthetic.csv"]
