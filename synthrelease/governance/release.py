"""How a table leaves quarantine and how it is taken back: one way for each, whoever asks for it.

The register's entry comes first, then the change in the run folder by one rename. A process that is killed in between
leaves a run whose entry is there and whose table has not moved; the next command on the run moves it.
"""

from __future__ import annotations

from synthrelease.core.errors import RunFolderError
from synthrelease.core.files import sha256
from synthrelease.governance import copies_list, register, release_bundle, source_attempts
from synthrelease.governance.decisions_for_report import NOBODY, Decisions
from synthrelease.governance.finished_run import Stored
from synthrelease.governance.register_events import Withdrawn
from synthrelease.governance.run_folder import RunFolder
from synthrelease.governance.source_attempts import Trail
from synthrelease.governance.standing import rule_name, unmet


def release(trail: Trail, folder: RunFolder, stored: Stored, decisions: Decisions = NOBODY) -> None:
    """Note the release, put it together aside, and make it appear.

    Args:
        trail: where the run is noted.
        folder: the run folder, whose ``run.json`` says that the run is finished; nothing of it is written afterwards.
        stored: verdict, facts and the name of the table in quarantine.
        decisions: waivers in force and approvals; with waivers for every blocking rule that is not met, a table leaves
            whatever the verdict is.

    Raises:
        ValueError: the verdict is not release and not every unmet rule is waived; nothing is noted or moved then.
        RunFolderError: the table is no longer the one that was audited; nothing is noted or moved then.
        CapError: it goes beyond the policy's cap on epsilon; nothing is noted or moved then.
    """
    verdict = stored.verdict
    waived = {each.rule for each in decisions.waivers}
    if verdict.decision != "release" and not {rule_name(each) for each in unmet(verdict)} <= waived:
        raise ValueError(f"only a released table leaves quarantine, however the verdict is {verdict.decision}")
    check_table(folder, stored)
    source_attempts.released(trail, verdict.policy, stored.facts)
    release_bundle.stage(folder, stored, decisions)
    release_bundle.publish(folder)


def check_table(folder: RunFolder, stored: Stored) -> None:
    """Refuse a table in quarantine that is not the one that was audited; of copies, if any of them is not.

    Raises:
        RunFolderError: so it is.
    """
    table = folder.quarantine / stored.table
    if sha256(table) != stored.facts.digests["synthetic"] or copies_list.changed(table):
        raise RunFolderError("Only the audited table may leave, however it changed in quarantine. Build again.")


def withdraw(trail: Trail, folder: RunFolder, stored: Stored) -> None:
    """Note that a release is taken back, and take it back."""
    register.append(trail.register, trail.source, Withdrawn(run=stored.facts.run, run_id=stored.facts.run_id))
    release_bundle.withdraw(folder)
