"""Packages: made only of what was approved, the same to the byte each time, and nothing done to one goes unnoticed."""

from __future__ import annotations

import io
import json
import random
import stat
import zipfile
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner
from signing_room import REVIEWER, STEWARD, finished, opened_up, rules, unmet

from synthrelease.cli.main import main
from synthrelease.core import files as whole_files
from synthrelease.core.errors import InputError, SigningError
from synthrelease.governance import handoff, keys, package_format, package_verification, register, sign_off
from synthrelease.governance.package_verification import Expected, verify

KEY = keys._as_key(keys.Ed25519PrivateKey.from_private_bytes(b"k" * 32))
OTHER = keys._as_key(keys.Ed25519PrivateKey.from_private_bytes(b"o" * 32))
FLIPS = 1000


def approved(folder: Path, where: Path, **changes) -> Path:
    run = finished(folder, where, **changes)
    for who, key in ((STEWARD, KEY), (REVIEWER, OTHER)):
        sign_off.sign_off(run, replace(who, key=key), "approve", "Three patients in a cell, all old.", where=where)
    return run


@pytest.fixture(scope="module")
def room(tmp_path_factory):
    folder = tmp_path_factory.mktemp("room")
    run = approved(folder / "run", folder / "register")
    for name, key in (("signed", KEY), ("unsigned", None)):
        handoff.hand_off(run, "Partner", folder / f"{name}.zip", key=key, where=folder / "register")
    return folder


def test_a_package_is_whole_and_says_what_it_is(room):
    found = verify(room / "signed.zip", Expected(KEY.fingerprint, whole_files.sha256(room / "signed.zip")))
    assert found.is_intact
    assert set(found.contents.files) >= {
        "synthetic.csv", "data-card.html", "data-card.json", "manifest.json", "policy.toml", "sign-offs.jsonl",
        "READ-ME.txt",
    }  # fmt: skip
    assert found.contents.key == KEY.fingerprint
    assert {each.reviewer for each in found.records} == {"Ada Example", "Ben Example"}
    content = (room / "signed.zip").read_bytes()
    assert b"Three patients" not in content
    assert b"audit.json" in content  # its digest alone
    assert b"rows of the train" not in content
    assert verify(room / "unsigned.zip").is_intact


def test_the_same_hand_off_gives_the_same_bytes(room, tmp_path):
    handoff.hand_off(room / "run", "Partner", tmp_path / "again.zip", key=KEY, where=room / "register")
    assert (tmp_path / "again.zip").read_bytes() == (room / "signed.zip").read_bytes()
    with zipfile.ZipFile(room / "signed.zip") as opened:
        assert opened.testzip() is None  # other programs read it too


def test_the_bytes_of_a_package_do_not_depend_on_the_version_of_python():
    out = io.BytesIO()
    package_format.write(out, {name: package_format.from_bytes(name.encode()) for name in ("b", "a")})
    assert (
        package_format.hashed(io.BytesIO(out.getvalue()))
        == "e2d73992ff440881dac8b6b0b2f9fcbda1314aba27dc81e1e904fb430412fb7a"
    )


@pytest.mark.parametrize("name", ["signed", "unsigned"])
def test_every_flipped_bit_is_noticed(room, tmp_path, name):
    content, random_ = (room / f"{name}.zip").read_bytes(), random.Random(8)
    path, missed = tmp_path / "flipped.zip", []
    for _ in range(FLIPS // 2):
        at, bit = random_.randrange(len(content)), random_.randrange(8)
        changed = bytearray(content)
        changed[at] ^= 1 << bit
        path.write_bytes(changed)
        found = verify(path)
        if found.is_intact or not found.problems[0].why:
            missed.append((at, bit))
    assert missed == []


def members(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as opened:
        return {name: opened.read(name) for name in opened.namelist()}


def repacked(path: Path, files: dict[str, bytes]) -> Path:
    """A package of other files, as well written as ours."""
    with path.open("w+b") as out:
        package_format.write(out, {name: package_format.from_bytes(content) for name, content in files.items()})
    return path


def relisted(files: dict[str, bytes], key: keys.Key | None = None, **changes) -> dict[str, bytes]:
    """The files with a list that fits them, as a clever forger would write it; signed anew with ``key``."""
    listed = json.loads(files["package.json"])
    inside = {name: content for name, content in files.items() if name not in ("package.json", "package.sig")}
    listed["files"] = {
        n: package_format.member(package_format.from_bytes(c)).model_dump() for n, c in sorted(inside.items())
    }
    listed |= {"key": None if key is None else key.fingerprint, **changes}
    content = json.dumps(listed).encode()
    made = {**inside, "package.json": content}
    if key is not None:
        made["package.sig"] = json.dumps({"public_key": key.public, "signature": key.sign(content)}).encode()
    return made


def why(path: Path, expected: Expected | None = None, **options) -> dict[str, str]:
    found = verify(path, expected, **options)
    assert not found.is_intact
    told: dict[str, str] = {}
    for problem in found.problems:
        told[problem.name] = f"{told.get(problem.name, '')} {problem.why}"
    return told


@pytest.mark.parametrize("name", ["synthetic.csv", "data-card.html", "policy.toml", "sign-offs.jsonl", "READ-ME.txt"])
def test_a_file_that_was_changed_is_named(room, tmp_path, name):
    files = members(room / "signed.zip")
    files[name] = files[name].replace(b"s", b"t", 1)
    assert "was changed" in why(repacked(tmp_path / "p.zip", files))[name]


def test_a_file_removed_or_added_is_named(room, tmp_path):
    files = members(room / "signed.zip")
    added = repacked(tmp_path / "added.zip", {**files, "macro.xlsm": b"x"})
    assert "does not belong" in why(added)["macro.xlsm"]
    del files["data-card.html"]
    assert "is missing" in why(repacked(tmp_path / "removed.zip", files))["data-card.html"]


def test_a_forged_list_does_not_fit_the_signature_and_a_new_one_is_by_another_key(room, tmp_path):
    files = members(room / "signed.zip")
    forged = {**files, "package.json": files["package.json"].replace(b"Partner", b"Stealer")}
    assert "after it was signed" in why(repacked(tmp_path / "a.zip", forged))["package.json"]
    again = repacked(tmp_path / "b.zip", relisted(files, OTHER))
    assert verify(again).is_intact  # a whole package by somebody else: only the fingerprint tells
    assert "not the one you gave" in why(again, Expected(KEY.fingerprint))["package.sig"]
    bare = repacked(tmp_path / "c.zip", relisted(files))
    assert "you expect a signature" in why(bare, Expected(KEY.fingerprint))["package.sig"]
    assert "not the one you gave" in why(room / "signed.zip", Expected(sha256="0" * 64))["the zip file"]


def test_another_table_under_the_same_signatures_is_noticed(room, tmp_path):
    files = members(room / "signed.zip")
    files["synthetic.csv"] = b"id\n1\n"
    told = why(repacked(tmp_path / "p.zip", relisted(files, KEY)))
    assert "given for another table" in told["sign-offs.jsonl"]


def test_a_sign_off_of_another_run_or_none_is_noticed(room, tmp_path):
    files = members(room / "signed.zip")
    replayed = repacked(tmp_path / "a.zip", relisted(files, KEY, run_id="another"))
    assert "belongs to another run" in why(replayed)["sign-offs.jsonl"]
    lines = files["sign-offs.jsonl"].splitlines(keepends=True)
    short = repacked(tmp_path / "b.zip", relisted({**files, "sign-offs.jsonl": lines[0]}, KEY))
    assert "has not approved" in why(short)["sign-offs.jsonl"]


def test_a_name_changed_in_a_signed_sign_off_is_noticed(room, tmp_path):
    files = members(room / "signed.zip")
    files["sign-offs.jsonl"] = files["sign-offs.jsonl"].replace(b"Ben Example", b"Eve Example")
    assert "does not fit" in why(repacked(tmp_path / "p.zip", relisted(files, KEY)))["sign-offs.jsonl"]


def test_one_person_twice_is_noticed(tmp_path):
    alone = replace(rules().signing, two_people=False)
    run = finished(tmp_path / "run", tmp_path / "register", rules_=rules(signing=alone))
    for who in (STEWARD, replace(REVIEWER, reviewer=STEWARD.reviewer)):
        sign_off.sign_off(run, who, "approve", "Read.", where=tmp_path / "register")
    handoff.hand_off(run, "Partner", tmp_path / "a.zip", where=tmp_path / "register")
    files = members(tmp_path / "a.zip")
    asked = {**json.loads(files["package.json"])["policy"], "two_people": True}
    assert "one person" in why(repacked(tmp_path / "b.zip", relisted(files, policy=asked)))["sign-offs.jsonl"]


# What zips can do to whoever unpacks them.


def zipped(path: Path, *entries: tuple[zipfile.ZipInfo | str, bytes], how: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", how) as made:
        for name, content in entries:
            made.writestr(name, content)
    return path


def link(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name)
    entry.create_system, entry.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    return entry


@pytest.mark.parametrize(
    "name", ["../evil", "/etc/evil", "a/b", "a\\b", "C:evil", "..", ".hidden", "a\x00b", "\uff41", "con|x"]
)
def test_names_that_lead_elsewhere_are_refused(tmp_path, name):
    told = why(zipped(tmp_path / "p.zip", (name, b"x")), extract=tmp_path / "out")
    assert any("lead out of the folder" in text or "no plain file" in text for text in told.values()), told
    assert not (tmp_path / "out").exists()


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_links_duplicates_bombs_and_locked_entries_are_refused(room, tmp_path):
    assert "a link" in why(zipped(tmp_path / "a.zip", (link("x"), b"/etc/passwd")))["x"]
    twice = zipped(tmp_path / "b.zip", ("x.csv", b"1"), ("X.csv", b"2"))
    assert any("twice" in text for text in why(twice).values())
    bomb = zipped(tmp_path / "c.zip", ("x.csv", bytes(10_000_000)), how=zipfile.ZIP_DEFLATED)
    assert any("packed" in text for text in why(bomb).values())
    many = zipped(tmp_path / "d.zip", *((f"f{n}", b"") for n in range(200)))
    assert "200 files" in why(many)["the zip file"]
    overlapping = bytearray((room / "signed.zip").read_bytes())
    start = overlapping.rfind(b"PK\x01\x02")
    overlapping[start + 42 : start + 46] = (0).to_bytes(4, "little")  # the last entry points at the first file
    (tmp_path / "e.zip").write_bytes(overlapping)
    assert why(tmp_path / "e.zip")


@pytest.mark.parametrize("change", [
    lambda content: content + b"trailing",
    lambda content: b"leading" + content,
    lambda content: content[: len(content) // 2],
    lambda content: content[:-1],
    lambda content: b"",
    lambda content: b"PK\x05\x06" + bytes(18),
    lambda content: content + content,
])  # fmt: skip
def test_what_is_cut_short_or_hidden_around_the_files_is_noticed(room, tmp_path, change):
    path = tmp_path / "p.zip"
    path.write_bytes(change((room / "signed.zip").read_bytes()))
    assert why(path)


def test_a_zip_with_a_comment_or_other_rights_is_noticed(room, tmp_path):
    for name, change in (("a", {"comment": b"hello"}), ("b", {"external_attr": (stat.S_IFREG | 0o777) << 16})):
        with zipfile.ZipFile(tmp_path / f"{name}.zip", "w") as made:
            for each, content in sorted(members(room / "signed.zip").items()):
                entry = zipfile.ZipInfo(each, (1980, 1, 1, 0, 0, 0))
                entry.create_system = 3
                entry.external_attr = change.get("external_attr", (stat.S_IFREG | 0o644) << 16)
                made.writestr(entry, content)
            made.comment = change.get("comment", b"")
        assert "not as they were written" in why(tmp_path / f"{name}.zip")["the zip file"]


# Who may hand over what.


def test_without_the_sign_offs_nothing_is_handed_over(tmp_path):
    run = finished(tmp_path / "run", tmp_path / "register")
    sign_off.sign_off(run, STEWARD, "approve", "Read.", where=tmp_path / "register")
    with pytest.raises(SigningError, match="the compliance reviewer has not approved"):
        handoff.hand_off(run, "Partner", tmp_path / "p.zip", where=tmp_path / "register")
    assert not (tmp_path / "p.zip").exists()


def test_a_release_that_was_touched_is_not_handed_over(tmp_path):
    run = approved(tmp_path / "run", tmp_path / "register")
    (run / "release" / "data-card.html").write_text("better")
    with pytest.raises(SigningError, match=r"data-card\.html"):
        handoff.hand_off(run, "Partner", tmp_path / "p.zip", where=tmp_path / "register")
    (run / "release" / "extra.csv").write_text("1")
    with pytest.raises(SigningError, match=r"extra\.csv"):
        handoff.hand_off(run, "Partner", tmp_path / "p.zip", where=tmp_path / "register")


def test_an_expired_waiver_stops_the_hand_off_and_voids_the_package(tmp_path, monkeypatch):
    opened_up(monkeypatch)
    run, where = finished(tmp_path / "run", tmp_path / "register", "refuse"), tmp_path / "register"
    until = sign_off.today() + timedelta(days=5)
    for rule in unmet(run):
        sign_off.waive(run, STEWARD, rule, until, "For teaching only.", where=where)
    for who in (STEWARD, REVIEWER):
        sign_off.sign_off(run, who, "approve", "Read.", where=where)
    done = handoff.hand_off(run, "Partner", tmp_path / "p.zip", where=where)
    assert done.contents.valid_until == until.isoformat()
    assert verify(tmp_path / "p.zip", today=until).is_intact
    late = why(tmp_path / "p.zip", today=until + timedelta(days=1))["sign-offs.jsonl"]
    assert "expired" in late
    assert "ask the sender" in late
    files = members(tmp_path / "p.zip")
    files["sign-offs.jsonl"] = files["sign-offs.jsonl"].replace(b"For teaching only.", b"For anything at all.")
    assert "reason" in why(repacked(tmp_path / "forged.zip", relisted(files)))["sign-offs.jsonl"]
    monkeypatch.setattr(sign_off, "today", lambda: until + timedelta(days=1))
    with pytest.raises(SigningError, match="expired"):
        handoff.hand_off(run, "Partner", tmp_path / "q.zip", where=where)


def test_a_taken_or_misnamed_file_is_refused(room, tmp_path):
    (tmp_path / "taken.zip").write_text("mine")
    for name in ("taken.zip", "package.rar", "none/package.zip"):
        with pytest.raises(InputError, match="--out"):
            handoff.hand_off(room / "run", "Partner", tmp_path / name, where=room / "register")
    assert (tmp_path / "taken.zip").read_text() == "mine"
    assert list(tmp_path.iterdir()) == [tmp_path / "taken.zip"]


def test_a_locked_package_opens_for_its_recipient_alone(room, tmp_path):
    theirs, others = (keys.generate_identity(tmp_path / name) for name in ("theirs", "others"))
    out = tmp_path / "package.zip.age"
    handoff.hand_off(room / "run", "Partner", out, key=KEY, locked_for=[theirs], where=room / "register")
    assert theirs != others
    assert b"synthetic.csv" not in out.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["others", "package.zip.age", "theirs"]
    with pytest.raises(InputError, match="--identity"):
        verify(out)
    found = verify(out, Expected(identity=tmp_path / "theirs"), extract=tmp_path / "table")
    assert found.is_intact
    assert found.sha256 == whole_files.sha256(room / "signed.zip")
    assert (tmp_path / "table" / "synthetic.csv").read_bytes() == members(room / "signed.zip")["synthetic.csv"]
    assert "does not open" in why(out, Expected(identity=tmp_path / "others"))["package.zip.age"]
    content = bytearray(out.read_bytes())
    content[-20] ^= 1
    out.write_bytes(content)
    assert "does not open" in why(out, Expected(identity=tmp_path / "theirs"))["package.zip.age"]
    with pytest.raises(InputError, match="age recipient"):
        handoff.hand_off(room / "run", "P", tmp_path / "q.zip.age", locked_for=["age1x"], where=room / "register")


def test_the_register_knows_every_hand_off(room):
    opened = register.opened(room / "register")
    noted = [e.facts for source in register.sources(opened) for e in register.entries(opened, source)]
    assert whole_files.sha256(room / "signed.zip") in {facts.package for facts in noted if facts.event == "hand-off"}


def test_the_commands_answer_in_words_and_exit_codes(room, tmp_path):
    def call(*words):
        return CliRunner().invoke(main, [str(word) for word in words])

    key = tmp_path / "a.key"
    made = call("keygen", "--out", key, "--no-passphrase")
    assert made.exit_code == 0
    assert key.stat().st_mode & 0o077 == 0
    assert call("keygen", "--out", key, "--no-passphrase").exit_code == 2
    done = call(
        "handoff", room / "run", "--recipient", "P", "--out", tmp_path / "p.zip", "--key", key, "--register",
        room / "register",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    good = call("verify", tmp_path / "p.zip", "--extract", tmp_path / "out")
    assert good.exit_code == 0
    assert "INTACT" in good.output
    assert "Ada Example" in good.output
    assert (tmp_path / "out" / "synthetic.csv").is_file()
    content = bytearray((tmp_path / "p.zip").read_bytes())
    content[content.find(b"id,score")] ^= 1
    (tmp_path / "p.zip").write_bytes(content)
    bad = call("verify", tmp_path / "p.zip", "--extract", tmp_path / "bad")
    assert bad.exit_code == 5
    assert "NOT INTACT" in bad.output
    assert "synthetic.csv" in bad.output
    assert not (tmp_path / "bad").exists()
    assert call("verify", tmp_path / "none.zip").exit_code == 2


def test_a_key_that_others_can_read_or_that_is_none_is_refused(tmp_path):
    keys.generate(tmp_path / "a.key", passphrase="open sesame")
    with pytest.raises(InputError, match="passphrase must fit"):
        keys.load(tmp_path / "a.key", ask=lambda: "wrong one")
    assert keys.load(tmp_path / "a.key", ask=lambda: "open sesame").fingerprint
    (tmp_path / "a.key").chmod(0o640)
    with pytest.raises(InputError, match="chmod 600"):
        keys.load(tmp_path / "a.key", ask=str)
    (tmp_path / "b.key").write_text("nonsense")
    (tmp_path / "b.key").chmod(0o600)
    for name in ("b.key", "a.key.pub"):
        (tmp_path / name).chmod(0o600)
        with pytest.raises(InputError, match="Ed25519"):
            keys.load(tmp_path / name, ask=str)
    with pytest.raises(InputError, match="at least 8"):
        keys.generate(tmp_path / "c.key", passphrase="short")
    assert package_verification.Expected().identity is None
