"""The register: what was written stays, and whatever was done to it shows, with what to do."""

from __future__ import annotations

import json
import re
import shutil

import pytest
from click.testing import CliRunner
from conftest import policy_that_decides, ward
from signing_room import finished, rules

import synthrelease
from synthrelease import BuildOptions
from synthrelease.cli.main import main
from synthrelease.core.contracts import Caps
from synthrelease.core.errors import CapError, RegisterError
from synthrelease.governance import register, source_attempts
from synthrelease.governance.register_events import Attempt
from synthrelease.governance.source_attempts import Trail

SOURCE = "ab" * 32


@pytest.fixture
def opened(tmp_path):
    found = register.opened(tmp_path / "register")
    for number in range(5):
        register.append(found, SOURCE, begun_build(f"r{number}"))
    return found


def begun_build(run: str) -> Attempt:
    return Attempt(event="build", run=run, run_id=run, source_name="ward.csv", policy="ours", policy_version="1")


def test_entries_come_back_in_order_and_are_chained(opened):
    entries = register.entries(opened, SOURCE)
    assert [entry.number for entry in entries] == [1, 2, 3, 4, 5]
    lines = [json.loads(line) for line in opened.log(SOURCE).read_bytes().splitlines()]
    assert [line["previous"] for line in lines[1:]] == [entry.hash for entry in entries[:-1]]
    assert register.check(opened) == []
    assert (opened.folder / "register.key").stat().st_mode & 0o077 == 0
    assert opened.folder.stat().st_mode & 0o077 == 0


def cut(lines):
    return lines[:-1]


def cut_first(lines):
    return lines[1:]


def swapped(lines):
    return [lines[0], lines[2], lines[1], *lines[3:]]


def edited(lines):
    return [lines[0].replace(b'"r0"', b'"r9"'), *lines[1:]]


def repeated(lines):
    return [*lines, lines[-1]]


@pytest.mark.parametrize(("damage", "found"), [
    (cut, "cut short: 5 entries were written, 4 are there"),
    (cut_first, "removed or swapped"),
    (swapped, "removed or swapped"),
    (edited, "entry 1 was changed"),
    (repeated, "removed or swapped"),
    (lambda lines: [], "cut short"),
    (lambda lines: [*lines, b"nonsense"], "cannot be read"),
])  # fmt: skip
def test_whatever_is_done_to_a_log_shows_and_says_what_to_do(opened, damage, found):
    lines = opened.log(SOURCE).read_bytes().splitlines()
    opened.log(SOURCE).write_bytes(b"".join(line + b"\n" for line in damage(lines)))
    for attempt in (
        lambda: register.entries(opened, SOURCE),
        lambda: register.append(opened, SOURCE, begun_build("r9")),
    ):
        with pytest.raises(RegisterError, match=found) as caught:
            attempt()
        assert "restore" in str(caught.value)
    answer = CliRunner().invoke(main, ["register", "--register", str(opened.folder)])
    assert answer.exit_code == 5
    assert "NOT INTACT" in answer.output


def test_a_log_that_is_gone_and_heads_that_are_gone_show(opened):
    kept = (opened.folder / "heads.json").read_bytes()
    (opened.folder / "heads.json").unlink()
    assert any("does not know of it" in text for text in register.check(opened))
    (opened.folder / "heads.json").write_bytes(kept.replace(b'"entries": 5', b'"entries": 4'))
    assert any("heads.json" in text for text in register.check(opened))
    (opened.folder / "heads.json").write_bytes(kept)
    opened.log(SOURCE).unlink()
    assert any("is gone" in text for text in register.check(opened))


def test_every_single_byte_of_a_log_counts(opened):
    content = opened.log(SOURCE).read_bytes()
    for at in range(0, len(content), 7):
        changed = bytearray(content)
        changed[at] ^= 1
        opened.log(SOURCE).write_bytes(changed)
        assert register.check(opened), at
    opened.log(SOURCE).write_bytes(content)
    assert register.check(opened) == []


def test_another_key_or_none_is_noticed(opened, tmp_path):
    other = register.opened(tmp_path / "other")
    shutil.copy(other.folder / "register.key", opened.folder / "register.key")
    with pytest.raises(RegisterError, match="without the register's key"):
        register.entries(register.opened(opened.folder), SOURCE)
    (opened.folder / "register.key").unlink()
    with pytest.raises(RegisterError, match="Restore it"):
        register.opened(opened.folder)


def test_an_entry_that_a_killed_process_left_half_written_was_never_counted(opened):
    whole = opened.log(SOURCE).read_bytes()
    opened.log(SOURCE).write_bytes(whole + whole.splitlines()[-1][:50])
    assert len(register.entries(opened, SOURCE)) == 5
    register.append(opened, SOURCE, begun_build("r5"))
    assert [entry.facts.run for entry in register.entries(opened, SOURCE)][-1] == "r5"
    assert opened.log(SOURCE).read_bytes().startswith(whole)


def test_an_entry_that_was_written_and_not_yet_counted_is_counted_later(opened):
    heads = (opened.folder / "heads.json").read_bytes()
    register.append(opened, SOURCE, begun_build("r5"))
    (opened.folder / "heads.json").write_bytes(heads)
    assert len(register.entries(opened, SOURCE)) == 6
    assert register.check(opened) == []
    assert b'"entries": 6' in (opened.folder / "heads.json").read_bytes()


def test_the_place_is_an_option_else_the_environment_else_the_users_folder(tmp_path, monkeypatch):
    assert register.place(tmp_path) == tmp_path
    monkeypatch.setenv(register.PLACE, str(tmp_path / "named"))
    assert register.place() == tmp_path / "named"
    monkeypatch.delenv(register.PLACE)
    assert register.place().parts[-2:] == ("synthrelease", "register")


def test_a_place_that_cannot_be_written_to_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RegisterError, match="--register"):
        register.opened(tmp_path / "file" / "register")


def begun(where, chosen):
    noted = Trail(register.opened(where), SOURCE, "ward.csv")
    return source_attempts.begin(noted, chosen, run="r", run_id="1", event="build")


def test_attempts_count_by_policy_and_are_capped(tmp_path):
    capped, other = rules(caps=Caps(attempts=3)), rules("internal_sandbox")
    begun(tmp_path, other)
    seen = [begun(tmp_path, capped) for _ in range(3)]
    assert [each.number for each in seen] == [1, 2, 3]
    assert [each.in_all for each in seen] == [2, 3, 4]
    with pytest.raises(CapError, match="3 attempts on one source, however 3 are in the register"):
        begun(tmp_path, capped)
    assert begun(tmp_path, other).number == 2


def test_a_source_is_known_by_its_rows_or_by_a_name(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("a\n1\n")
    (tmp_path / "b.csv").write_text("a\n1\n")

    def source(what, alias=None, where="register"):
        return source_attempts.of_source(tmp_path / where, what, name="x", alias=alias).source

    assert source(path) == source(tmp_path / "b.csv") != source(b"a\n1\n"[:3])
    assert source(path, "heart") == source(b"other rows", "heart") != source(path)
    assert source(path) != source(path, where="another register")


def test_a_build_is_noted_before_it_is_judged_and_the_report_tells_which_attempt_it_was(ward_files, tmp_path):
    table, schema_file = ward_files
    results = [
        synthrelease.build(
            table, schema_file=schema_file, out=tmp_path / f"run{n}", policy_name="internal_sandbox",
            options=BuildOptions(seed=n, effort=0.05, register=tmp_path / "register"),
        )
        for n in range(2)
    ]  # fmt: skip
    assert [each.facts.attempts.number for each in results] == [1, 2]
    assert "Attempt no. 2" in results[1].report.read_text(encoding="utf-8")
    content = json.loads((results[1].folder / "internal" / "audit.json").read_text())
    assert content["attempts"]["number"] == 2
    answer = CliRunner().invoke(main, ["register", "ward.csv", "--register", str(tmp_path / "register")])
    assert answer.exit_code == 0
    assert "2 attempts" in answer.output
    text = "".join(path.read_text() for path in (tmp_path / "register").glob("*.json*"))
    assert not {int(each) for each in re.findall(r"(?<!\w)\d{6}(?!\w)", text)} & set(ward(400)["patient_id"])


def test_a_build_beyond_the_cap_changes_nothing(ward_files, tmp_path):
    table, schema_file = ward_files
    policy_file = tmp_path / "ours.toml"
    lenient = policy_that_decides("release", tmp_path).read_text()
    policy_file.write_text(f"{lenient}\n[caps]\nattempts_at_most = 1\n")
    words = ["build", str(table), "--schema", str(schema_file), "--policy", str(policy_file), "--effort", "0.05"]
    words += ["--register", str(tmp_path / "register"), "--out", str(tmp_path / "run"), "--seed", "1"]
    assert CliRunner().invoke(main, words).exit_code == 0
    before = {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()}
    again = CliRunner().invoke(main, [*words, "--force"])
    assert again.exit_code == 3
    assert "allows 1 attempts" in again.output
    assert before == {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()}


def test_a_made_run_stands_in_the_register(tmp_path):
    finished(tmp_path / "run", tmp_path / "register")
    answer = CliRunner().invoke(main, ["register", "--register", str(tmp_path / "register")])
    assert "1 attempt (1 release)" in answer.output
