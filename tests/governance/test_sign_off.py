"""Sign-offs and waivers: bound to what was judged, counted only where they should be, and never half done."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from datetime import timedelta

import pytest
from sample_report import claimed
from signing_room import REVIEWER, STEWARD, facts_of, finished, opened_up, rules, unmet, verdict_of

from synthrelease.core.contracts import Signing
from synthrelease.core.errors import CapError, RunFolderError, SigningError
from synthrelease.governance import (
    approval_records,
    finished_run,
    keys,
    register,
    release,
    release_bundle,
    sign_off,
    standing,
)
from synthrelease.governance.approval_records import Signer
from synthrelease.governance.run_folder import RunFolder
from synthrelease.governance.source_attempts import Trail

NOW = sign_off.today()


@pytest.fixture
def where(tmp_path):
    return tmp_path / "register"


@pytest.fixture
def run(tmp_path, where):
    return finished(tmp_path / "run", where)


def approve(run, who, where, reason="Read the report."):
    return sign_off.sign_off(run, who, "approve", reason, where=where)


def test_the_table_moves_with_the_last_sign_off_and_not_before(run, where):
    case = approve(run, STEWARD, where)
    assert case.standing.missing == ("compliance reviewer",)
    assert not (run / "release").exists()
    assert (run / "quarantine" / "synthetic.csv").is_file()
    assert approve(run, REVIEWER, where).is_released
    assert {path.name for path in (run / "release").iterdir()} >= {
        "synthetic.csv", "data-card.html", "data-card.json", "manifest.json"
    }  # fmt: skip
    assert not (run / "quarantine").exists()
    card = json.loads((run / "release" / "data-card.json").read_text())
    assert [each["reviewer"] for each in card["sign_offs"]] == ["Ada Example", "Ben Example"]
    assert "Ben Example" in (run / "release" / "data-card.html").read_text()
    assert "Read the report." not in (run / "release" / "data-card.html").read_text()


@pytest.mark.parametrize("name", ["internal/report.html", "internal/policy.toml", "internal/audit.json",
                                  "internal/outcome.json", "quarantine/synthetic.csv"])  # fmt: skip
def test_one_byte_changed_afterwards_voids_every_sign_off(run, where, name):
    approve(run, STEWARD, where)
    content = bytearray((run / name).read_bytes())
    content[len(content) // 2] ^= 1
    (run / name).write_bytes(content)
    with pytest.raises(SigningError, match=r"has changed since the verdict|this version can read") as caught:
        approve(run, REVIEWER, where)
    assert "again" in str(caught.value)
    assert not (run / "release").exists()


def test_two_people_means_two_names_and_two_keys(run, where):
    approve(run, Signer("Ada  EXAMPLE", "Data Steward", key := keys._as_key(keys.Ed25519PrivateKey.generate())), where)
    for same in (Signer("ada example", REVIEWER.role), Signer("Somebody Else", REVIEWER.role, key)):
        with pytest.raises(SigningError, match="two people"):
            approve(run, same, where)
    assert not (run / "release").exists()


def events(where) -> list[str]:
    opened = register.opened(where)
    return [entry.event for source in register.sources(opened) for entry in register.entries(opened, source)]


def test_a_release_is_noted_before_anything_moves_and_finished_by_the_next_command(run, where, monkeypatch):
    approve(run, STEWARD, where)

    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(release_bundle, "stage", stopped)
        with pytest.raises(KeyboardInterrupt):
            approve(run, REVIEWER, where)
    assert events(where)[-2:] == ["sign-off", "release"]
    assert (run / "quarantine" / "synthetic.csv").is_file()
    assert not (run / "release").exists()
    with sign_off.held(run, where) as case:
        assert case.is_released
    assert events(where).count("release") == 1


def test_a_release_that_may_not_be_is_not_noted_and_moves_nothing(run, tmp_path, where):
    trail = Trail(register.opened(where), "ab" * 32, "ward.csv")
    folder, before = RunFolder(run, ()), events(where)
    stored = finished_run.load(folder)
    refused = finished_run.load(RunFolder(finished(tmp_path / "no", tmp_path / "other", "refuse"), ()))
    with pytest.raises(ValueError, match="only a released table"):
        release.release(trail, folder, refused)
    (run / "quarantine" / "synthetic.csv").write_text("id\n1\n")
    with pytest.raises(RunFolderError, match="changed in quarantine"):
        release.release(trail, folder, stored)
    assert events(where) == before
    assert not (run / "release").exists()
    assert not (run / ".staging").exists()


def test_a_rejection_is_final_and_takes_a_release_back(run, where):
    approve(run, STEWARD, where)
    approve(run, REVIEWER, where)
    case = sign_off.sign_off(run, STEWARD, "reject", "A cell of three patients.", where=where)
    assert case.standing.rejection is not None
    assert not (run / "release").exists()
    assert (run / "quarantine" / "withdrawn" / "synthetic.csv").is_file()
    with pytest.raises(SigningError, match="final"):
        approve(run, REVIEWER, where)


def test_a_rejected_run_never_moves_though_everybody_approved(run, where):
    sign_off.sign_off(run, REVIEWER, "reject", "No.", where=where)
    with pytest.raises(SigningError, match="final"):
        approve(run, STEWARD, where)
    assert (run / "quarantine" / "synthetic.csv").is_file()


def test_a_role_the_policy_does_not_name_is_refused(run, where):
    with pytest.raises(SigningError, match="data steward, compliance reviewer"):
        approve(run, Signer("Ada", "friend"), where)


def test_a_key_is_asked_for_where_the_policy_says_so_and_another_is_refused(tmp_path, where):
    mine, other = (keys._as_key(keys.Ed25519PrivateKey.generate()) for _ in range(2))
    known = {"data steward": (mine.fingerprint,)}
    strict = rules(signing=Signing(keys="required", fingerprints=known))
    run = finished(tmp_path / "run", where, rules_=strict)
    with pytest.raises(SigningError, match="keygen"):
        approve(run, STEWARD, where)
    with pytest.raises(SigningError, match="is none of them"):
        approve(run, replace(STEWARD, key=other), where)
    assert approve(run, replace(STEWARD, key=mine), where).standing.missing == ("compliance reviewer",)


def test_a_signature_that_was_tampered_with_does_not_count():
    who = replace(STEWARD, key=keys._as_key(keys.Ed25519PrivateKey.generate()))
    target = approval_records.Target("r", "1", "e", {"table": "d" * 64})
    made = approval_records.sign_off(target, who, "approve", "Read.", waivers=(), now="2026-01-01T00:00:00Z")
    assert not list(standing.faults(made, rules()))
    for changed in ({"reviewer": "Eve"}, {"bound": {"table": "e" * 64}}, {"decision": "reject"}):
        assert any("does not fit" in text for text in standing.faults(made.model_copy(update=changed), rules()))
    assert not list(standing.faults(approval_records.outward(made), rules()))


def test_a_sign_off_of_another_run_does_not_count(tmp_path, where, run):
    approve(run, STEWARD, where)
    other = finished(tmp_path / "other", where)
    shutil.copy(run / "internal" / "sign-offs.jsonl", other / "internal" / "sign-offs.jsonl")
    with pytest.raises(SigningError, match="comes from another run"):
        approve(other, REVIEWER, where)
    record = approval_records.read((run / "internal" / "sign-offs.jsonl").read_text())
    target = approval_records.Target("other", facts_of(other).run_id, "", record.bound)
    verdict = replace(verdict_of(other), decision="release")
    at = standing.standing(rules(), verdict, [record], target, today=NOW)
    assert at.missing == rules().sign_off
    assert any("belongs to another run" in text for text in at.void)


def test_a_record_removed_from_the_copy_comes_back_from_the_register(run, where):
    approve(run, STEWARD, where)
    copy = run / "internal" / "sign-offs.jsonl"
    kept = copy.read_text()
    copy.write_text("")
    approve(run, REVIEWER, where)
    assert copy.read_text().startswith(kept)


def test_a_register_that_does_not_know_the_run_signs_nothing(run, tmp_path):
    with pytest.raises(SigningError, match="--register"):
        approve(run, STEWARD, tmp_path / "elsewhere")


def test_a_folder_without_a_finished_run_is_refused(tmp_path, where):
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(RunFolderError, match="finished run"):
            approve(path, STEWARD, where)
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("reason", ["", "  ", "x" * 4001, "hidden \u202e text"])
def test_a_reason_must_be_readable(run, where, reason):
    with pytest.raises(SigningError, match="visible characters"):
        approve(run, STEWARD, where, reason)


@pytest.fixture
def refused(tmp_path, where, monkeypatch):
    """A refused run whose unmet blocking rules the steward may waive."""
    opened_up(monkeypatch)
    return finished(tmp_path / "refused", where, "refuse", rules(signing=Signing(waiver_days=30)))


def waive(run, rule, where, days=10, who=STEWARD):
    return sign_off.waive(run, who, rule, NOW + timedelta(days=days), "For teaching only.", where=where)


def test_what_is_refused_is_approved_only_when_every_rule_is_waived(refused, where):
    with pytest.raises(SigningError, match="met or waived"):
        approve(refused, STEWARD, where)
    for rule in unmet(refused):
        waive(refused, rule, where)
    report = (refused / "internal" / "report.html").read_text()
    assert report.count("For teaching only.") == len(unmet(refused))
    approve(refused, STEWARD, where)
    assert approve(refused, REVIEWER, where).is_released
    card = json.loads((refused / "release" / "data-card.json").read_text())
    assert {each["rule"] for each in card["waivers"]} == set(unmet(refused))
    assert "For teaching only." in (refused / "release" / "data-card.html").read_text()


def test_a_waiver_that_never_reached_the_report_is_written_into_it_by_the_next_command(refused, where):
    report = refused / "internal" / "report.html"
    before = report.read_bytes()
    first, *_ = unmet(refused)
    waive(refused, first, where)
    after = report.read_bytes()
    report.write_bytes(before)
    with sign_off.held(refused, where) as case:
        assert set(case.standing.waived) == {first}
    assert report.read_bytes() == after


@pytest.mark.parametrize(
    "edited", [b"", b"\xff", b"<!-- decisions -->", b"<!-- decisions --><!-- end of decisions -->"]
)
def test_a_waived_report_that_was_edited_is_refused(refused, where, edited):
    waive(refused, unmet(refused)[0], where)
    report = refused / "internal" / "report.html"
    report.write_bytes(edited)
    with pytest.raises(SigningError, match=r"report\.html has changed since the verdict"):
        approve(refused, STEWARD, where)
    assert report.read_bytes() == edited


def test_a_waiver_after_an_approval_voids_the_approval(refused, where):
    first, *others = unmet(refused)
    for rule in others or [first]:
        waive(refused, rule, where)
    waive(refused, first, where)
    approve(refused, STEWARD, where)
    case = waive(refused, first, where, days=20)
    assert case.standing.missing == rules().sign_off
    assert any("void" in text for text in case.standing.void)


def test_an_expired_waiver_holds_nothing_open(refused, where, monkeypatch):
    for rule in unmet(refused):
        waive(refused, rule, where, days=1)
    approve(refused, STEWARD, where)
    monkeypatch.setattr(sign_off, "today", lambda: NOW + timedelta(days=2))
    with pytest.raises(SigningError, match="met or waived"):
        approve(refused, REVIEWER, where)
    with sign_off.held(refused, where) as case:
        assert any("expired" in text for text in case.standing.void)
    assert not (refused / "release").exists()


@pytest.mark.parametrize(("days", "who", "message"), [
    (31, STEWARD, "lasts at most 30 days"),
    (-1, STEWARD, "lasts at most 30 days"),
    (1, REVIEWER, "lets data steward waive"),
])  # fmt: skip
def test_a_waiver_has_limits(refused, where, days, who, message):
    with pytest.raises(SigningError, match=message):
        waive(refused, unmet(refused)[0], where, days=days, who=who)


def test_a_rule_is_waived_only_where_the_policy_says_so(tmp_path, where):
    run = finished(tmp_path / "run", where, "refuse")
    with pytest.raises(SigningError, match="nobody waive"):
        waive(run, unmet(run)[0], where)
    with pytest.raises(SigningError, match="is not one"):
        waive(run, "no.rule", where)
    with pytest.raises(SigningError, match="lets nobody waive it"):
        approve(run, STEWARD, where)


def test_a_release_beyond_the_epsilon_of_the_source_is_refused(tmp_path, where):
    for number, expected in enumerate((True, True, False)):
        run = finished(tmp_path / f"run{number}", where, privacy=claimed(epsilon=8.0))
        approve(run, STEWARD, where) if expected else None
        if expected:
            assert approve(run, REVIEWER, where).is_released
        else:
            with pytest.raises(CapError, match="16 is spent and 8 would be added"):
                approve(run, STEWARD, where)
            assert not (run / "release").exists()
