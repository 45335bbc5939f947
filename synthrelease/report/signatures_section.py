"""Attempts, waivers and signatures on a page: the one part of report and card that decisions of people change.

The templates leave a place for it between two marks. A report is written once, from all that was measured. A waiver
that comes later is rendered from the register's records into that place; the rest stays as it was judged, byte for
byte. Every text is escaped, so that none can hold a mark.
"""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

from synthrelease.core.contracts import Attempts
from synthrelease.core.formatting import moment
from synthrelease.report.templating import environment

_BEGIN, _END = Markup("<!-- decisions -->"), Markup("<!-- end of decisions -->")


@dataclass(frozen=True, slots=True)
class WaiverLine:
    """A waiver as a reader sees it. ``until``: the last day, as ISO 8601; ``time``: when it was given."""

    rule: str
    reviewer: str
    role: str
    time: str
    reason: str
    until: str


@dataclass(frozen=True, slots=True)
class SignatureLine:
    """An approval as a reader sees it. ``key``: fingerprint of the key that signed, in groups; empty without one."""

    role: str
    reviewer: str
    time: str
    key: str


@dataclass(frozen=True, slots=True)
class Decided:
    """What the section tells: which attempt it was (in a report), waivers in force, and approvals."""

    attempts: Attempts | None = None
    waivers: tuple[WaiverLine, ...] = ()
    approvals: tuple[SignatureLine, ...] = ()


NOTHING = Decided()
"""Nothing to tell: the section stays empty."""


@dataclass(frozen=True, slots=True)
class DecidedPage:
    """A page apart from its section: what stands before it and after it."""

    before: str
    after: str

    @classmethod
    def of(cls, page: str) -> DecidedPage:
        """Take the section out of a page.

        Raises:
            ValueError: the page does not have exactly one place for it.
        """
        before, begin, rest = page.partition(_BEGIN)
        _, end, after = rest.partition(_END)
        if not (begin and end) or any(mark in part for mark in (_BEGIN, _END) for part in (before, after)):
            raise ValueError("a page must have exactly one place for decisions")
        return cls(before, after)

    def told(self, decided: Decided) -> str:
        """The whole page, with these decisions."""
        return f"{self.before}{placed(decided)}{self.after}"


def placed(decided: Decided) -> Markup:
    """The section between its marks, as the templates take it."""
    return _BEGIN + _section(decided) + _END


def _section(decided: Decided) -> Markup:
    if decided == NOTHING:
        return Markup()
    attempts = decided.attempts
    page = environment().get_template("decisions.html")
    since = "" if attempts is None else moment(attempts.since)
    return Markup(  # noqa: S704 - the template escapes every text
        page.render(attempts=attempts, since=since, waivers=decided.waivers, approvals=decided.approvals, moment=moment)
    )
