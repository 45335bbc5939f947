"""The run folder: nothing is lost, nothing is half there."""

from __future__ import annotations

import json

import pytest

from synthrelease.core import files
from synthrelease.core.errors import RunFolderError
from synthrelease.governance import run_folder


def finished(path, decision="release"):
    with run_folder.claimed(path, force=False, started={"created": "then"}) as folder:
        (folder.quarantine / "synthetic.csv").write_text("a\n1\n")
        folder.record("finished", {"decision": decision})
        if decision == "release":
            folder.release.mkdir()
    return path


def test_a_finished_run_is_only_replaced_by_force(tmp_path):
    path = finished(tmp_path / "run")
    with pytest.raises(RunFolderError, match="never overwritten"), run_folder.claimed(path, force=False, started={}):
        pass
    assert (path / "quarantine" / "synthetic.csv").is_file()
    with run_folder.claimed(path, force=True, started={}) as folder:
        assert "Replaced" in folder.notices[0]
        assert not (path / "release").exists()


@pytest.mark.parametrize("left", [
    {"state": "running", "created": "then"},
    {"state": "finished", "decision": "release"},  # killed before the release appeared
    {},
])  # fmt: skip
def test_an_unfinished_run_is_cleared_and_named(tmp_path, left):
    path = tmp_path / "run"
    (path / "quarantine").mkdir(parents=True)
    (path / "quarantine" / "synthetic.csv").write_text("a\n")
    if left:
        (path / "run.json").write_text(json.dumps(left))
    with run_folder.claimed(path, force=False, started={}) as folder:
        assert "unfinished run" in folder.notices[0]
        assert list(folder.quarantine.iterdir()) == []


@pytest.mark.parametrize("waits", [{"needs_sign_off": ["data steward"]}, {}])
def test_a_run_that_waits_for_signatures_or_was_rejected_is_a_finished_one(tmp_path, waits):
    path = tmp_path / "run"
    with run_folder.claimed(path, force=False, started={}) as folder:
        folder.record("finished", {"decision": "release", **waits})
        if not waits:
            (folder.internal / "sign-offs.jsonl").write_text("{}\n")
    with pytest.raises(RunFolderError, match="never overwritten"), run_folder.claimed(path, force=False, started={}):
        pass


def test_a_run_under_way_is_left_alone_even_by_force_and_within_one_process(tmp_path):
    path = tmp_path / "run"
    with run_folder.claimed(path, force=False, started={}) as folder:
        (folder.internal / "model.json").write_text("{}")
        for force in (False, True):
            with pytest.raises(RunFolderError, match="at work"), run_folder.claimed(path, force=force, started={}):
                pass
        assert (folder.internal / "model.json").is_file()
        assert (path / "run.json").is_file()


def test_a_link_to_nothing_is_refused(tmp_path):
    (tmp_path / "run").symlink_to(tmp_path / "nowhere")
    with (
        pytest.raises(RunFolderError, match="link to nothing"),
        run_folder.claimed(tmp_path / "run", force=False, started={}),
    ):
        pass


def test_strangers_files_are_never_touched_even_by_force(tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(RunFolderError, match="1 other files"), run_folder.claimed(tmp_path, force=True, started={}):
        pass
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_a_file_in_the_way_and_an_unwritable_folder_are_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(RunFolderError, match="is a file"),
        run_folder.claimed(tmp_path / "file", force=True, started={}),
    ):
        pass
    with (
        pytest.raises(RunFolderError, match="writable"),
        run_folder.claimed(tmp_path / "file" / "run", force=False, started={}),
    ):
        pass


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_a_run_that_stops_takes_away_what_it_wrote(tmp_path, error):
    path = tmp_path / "run"

    def stops() -> None:
        with run_folder.claimed(path, force=False, started={}) as folder:
            (folder.internal / "model.json").write_text("{}")
            raise error

    with pytest.raises(error):
        stops()
    assert not path.exists()


def test_json_is_strict(tmp_path):
    with pytest.raises(ValueError, match="JSON compliant"):
        files.write_json(tmp_path / "x.json", {"value": float("nan")})
