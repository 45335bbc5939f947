"""The decisions that a table leaves under, and how report and data card tell them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from synthrelease.core.contracts import Attempts
from synthrelease.core.formatting import grouped
from synthrelease.governance.approval_records import SignOff, Waiver, key_of
from synthrelease.report.signatures_section import Decided, DecidedPage, SignatureLine, WaiverLine


@dataclass(frozen=True, slots=True)
class Decisions:
    """Waivers in force, and approvals that count."""

    waivers: tuple[Waiver, ...] = ()
    approvals: tuple[SignOff, ...] = ()


NOBODY = Decisions()
"""No waivers and no approvals: where the policy asks for no signature."""


def report_with(page: str, waivers: Sequence[Waiver], attempts: Attempts | None) -> str:
    """The report as it was judged, with these waivers in place of those that it told before.

    Raises:
        ValueError: the page has no place for them.
    """
    return DecidedPage.of(page).told(Decided(attempts, tuple(_waiver_line(each) for each in waivers)))


def on_page(decisions: Decisions) -> Decided:
    """The decisions as the data card's page tells them: waivers with their reasons, approvals without."""
    return Decided(
        waivers=tuple(_waiver_line(each) for each in decisions.waivers),
        approvals=tuple(_signature_line(each) for each in decisions.approvals),
    )


def on_card(decisions: Decisions) -> dict[str, Any]:
    """The same for the machine-readable card."""
    return {
        "waivers": [
            {
                "rule": each.rule,
                "until": each.until.isoformat(),
                "reason": each.reason,
                "role": each.role,
                "reviewer": each.reviewer,
                "time": each.time,
            }
            for each in decisions.waivers
        ],
        "sign_offs": [
            {"role": each.role, "reviewer": each.reviewer, "time": each.time, "decision": each.decision}
            for each in decisions.approvals
        ],
    }


def _waiver_line(record: Waiver) -> WaiverLine:
    return WaiverLine(
        rule=record.rule,
        reviewer=record.reviewer,
        role=record.role,
        time=record.time,
        reason=record.reason,
        until=record.until.isoformat(),
    )


def _signature_line(record: SignOff) -> SignatureLine:
    key = key_of(record)
    return SignatureLine(record.role, record.reviewer, record.time, "" if key is None else grouped(key))
