"""What people decided, as a reader sees it: one fragment that is put into the report and the data card.

Both are made elsewhere. The fragment stands between two marks behind the page's first section, where the verdict is, so
that it can be replaced when another decision comes in.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from synthrelease.core.contracts import Attempts
from synthrelease.core.formatting import clean, grouped, moment
from synthrelease.governance.approval_records import SignOff, Waiver, key_of, plain

_BEGIN, _END = "<!-- decisions -->", "<!-- end of decisions -->"


def inserted(page: str, fragment: str) -> str:
    """Put the fragment behind a page's first section, in place of an earlier one; nothing for an empty one.

    Raises:
        ValueError: the page has no section.
    """
    page = re.sub(f"\n?{_BEGIN}.*?{_END}", "", page, flags=re.DOTALL)
    if not fragment:
        return page
    head, end, rest = page.partition("</section>")
    if not end:
        raise ValueError("the page has no section, so there is no place for the decisions")
    return f"{head}{end}\n{_BEGIN}{fragment}{_END}{rest}"


def fragment(
    waivers: Sequence[Waiver] = (),
    approvals: Sequence[SignOff] = (),
    attempts: Attempts | None = None,
) -> str:
    """Which attempt it was, waivers in force with reason and expiry, and approvals, as HTML; empty without any."""
    if not waivers and not approvals and attempts is None:
        return ""
    return (
        environment()
        .get_template("decisions.html")
        .render(
            attempts=attempts,
            since="" if attempts is None else moment(attempts.since),
            waivers=[{**plain(each), "when": moment(each.time)} for each in waivers],
            approvals=[{**plain(each), "when": moment(each.time), "key": _key(each)} for each in approvals],
        )
    )


def on_card(waivers: Sequence[Waiver], approvals: Sequence[SignOff]) -> dict[str, Any]:
    """The same for the machine-readable card; reasons of approvals stay in the hospital."""
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
            for each in waivers
        ],
        "sign_offs": [
            {"role": each.role, "reviewer": each.reviewer, "time": each.time, "decision": each.decision}
            for each in approvals
        ],
    }


def _key(record: SignOff) -> str:
    found = key_of(record)
    return "" if found is None else grouped(found)


@cache
def environment() -> Environment:
    """How the pages of this kind are rendered: everything is escaped, and nothing may be left out."""
    return Environment(
        loader=PackageLoader("synthrelease.report"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=lambda value: value if isinstance(value, Markup) else clean(value),
        trim_blocks=True,
        lstrip_blocks=True,
    )
