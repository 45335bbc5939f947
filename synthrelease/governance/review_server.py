"""The review page: the report of one run and a form to decide on it, served to one browser on this machine.

It listens on the loopback address alone, and knows three addresses: the one-time one that the terminal prints, the
page, and the form's. The first is exchanged for a cookie and never works again. A decision is the same record as the
command line makes. Flask is used because its server side is small, kept, and shares Jinja and Click with this package.
"""

from __future__ import annotations

import hmac
import logging
import secrets
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flask import Flask, Response, make_response, redirect, request
from werkzeug.exceptions import HTTPException
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

from synthrelease.core import diagnostics
from synthrelease.core.errors import SynthreleaseError
from synthrelease.core.formatting import grouped, moment
from synthrelease.governance import sign_off
from synthrelease.governance.approval_records import Signer, SignOff, Target, key_of
from synthrelease.governance.keys import Key
from synthrelease.governance.sign_off import Case
from synthrelease.governance.standing import rule_name, unmet
from synthrelease.report.templating import environment

_log = logging.getLogger(__name__)
LOOPBACK = "127.0.0.1"
COOKIE = "synthrelease-review"
LARGEST_FORM = 64 * 1024
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


@dataclass(slots=True)
class Visit:
    """One review: which run, with which key, and the secrets of this visit."""

    run: Path
    where: Path | None
    key: Key | None
    reviewer: str = ""
    role: str = ""
    token: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    session: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    form: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    is_open: bool = False
    is_decided: bool = False
    seen: Target | None = None
    recorded: threading.Event = field(default_factory=threading.Event)
    once: threading.Lock = field(default_factory=threading.Lock)


class _Pages(Flask):
    """Logs where a page fails and no more: its address may be the one-time one, and the exception may quote a cell."""

    def log_exception(self, exc_info: Any) -> None:
        """Log where a page has failed."""
        _log.error("a page failed\n%s", diagnostics.way(exc_info[1]))


def app(visit: Visit, host: Callable[[], str]) -> Flask:
    """The three addresses of a visit; ``host`` says under which name the server may be asked (host:port)."""
    made = _Pages("synthrelease", static_folder=None, template_folder=None)
    made.config["MAX_CONTENT_LENGTH"] = LARGEST_FORM

    @made.before_request
    def guard() -> Response | None:
        if not _same(request.host, host()):  # another name for this machine is how other sites reach it
            return _told(421, "This page answers to its own address alone.")
        return None

    @made.get("/begin/<token>")
    def begin(token: str) -> Response:
        with visit.once:
            if visit.is_open or not _same(token, visit.token):
                return _told(403, "This address works once. Run synthrelease review again.")
            visit.is_open = True
        answer = make_response(redirect("/", 303))
        answer.set_cookie(COOKIE, visit.session, httponly=True, samesite="Lax")
        return answer

    @made.get("/")
    def page() -> Response:
        return _shown(visit, {}, "") if _is_known(visit) else _told(403, "Open the address that the terminal printed.")

    @made.post("/decide")
    def decide() -> Response:
        if not (_is_known(visit) and _is_own(host()) and _same(request.form.get("form", ""), visit.form)):
            return _told(403, "This form did not come from the page that was opened. Nothing was recorded.")
        return _decided(visit, request.form)

    @made.errorhandler(HTTPException)
    def other(error: HTTPException) -> Response:
        return _told(error.code or 500, "There is nothing here.")

    @made.after_request
    def sealed(answer: Response) -> Response:
        answer.headers.update(_HEADERS)
        return answer

    return made


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode())


def _is_known(visit: Visit) -> bool:
    return visit.is_open and _same(request.cookies.get(COOKIE, ""), visit.session)


def _is_own(host: str) -> bool:
    """Whether the browser says that a form was sent from our own page, which asks it to send no referrer."""
    origin = request.headers.get("Origin", "null")
    return origin == f"http://{host}" or (origin == "null" and request.headers.get("Sec-Fetch-Site") == "same-origin")


def _told(code: int, text: str) -> Response:
    return make_response(environment().get_template("review-told.html").render(text=text), code)


def _shown(visit: Visit, given: Mapping[str, str], problem: str) -> Response:
    """The report with the form at its end; ``given`` is what was filled in, if it could not be recorded."""
    try:
        with sign_off.held(visit.run, visit.where) as case:
            page = (case.folder.internal / "report.html").read_text(encoding="utf-8")
            visit.seen = visit.seen or case.target
            view = _view(visit, case, given, problem)
    except SynthreleaseError as error:
        return _told(409, str(error))
    head, main, rest = page.partition('<main id="main">')
    body, end, foot = rest.rpartition("</main>")
    bar, form = (environment().get_template(f"review-{name}.html").render(view=view) for name in ("bar", "form"))
    return make_response(f"{head}{main}{bar}{body}{form}{end}{foot}", 400 if problem else 200)


def _view(visit: Visit, case: Case, given: Mapping[str, str], problem: str) -> dict[str, Any]:
    at, policy = case.standing, case.policy
    open_to = {rule_name(each): each.rule.waiver_by for each in unmet(case.stored.verdict)}
    return {
        "problem": problem,
        "form": visit.form,
        "given": {"reviewer": visit.reviewer, "role": visit.role, "reason": "", "decision": "", **given},
        "roles": at.missing or policy.sign_off,
        "run": case.stored.facts.run,
        "policy": f"{policy.name} {policy.version}",
        "digests": sorted(case.target.digests.items()),
        "approvals": [_line(each) for each in at.approvals.values()],
        "void": at.void,
        "missing": at.missing,
        "rejection": None if at.rejection is None else _line(at.rejection),
        "unmet": [(name, " or the ".join(open_to.get(name, ()))) for name in at.unmet],
        "key": None if visit.key is None else grouped(visit.key.fingerprint),
        "needs_key": policy.signing.keys == "required",
        "is_released": case.is_released,
    }


def _line(record: SignOff) -> dict[str, str]:
    key = key_of(record)
    return {
        "who": record.reviewer,
        "role": record.role,
        "when": moment(record.time),
        "key": "no key" if key is None else f"key {grouped(key)[:19]} …",
    }


def _decided(visit: Visit, form: Mapping[str, str]) -> Response:
    given = {key: form.get(key, "") for key in ("reviewer", "role", "reason", "decision")}
    if given["decision"] not in ("approve", "reject"):
        return _shown(visit, given, "Choose whether you approve or reject.")
    if form.get("read") != "yes":
        return _shown(visit, given, "Say that you have read the report.")
    who = Signer(given["reviewer"], given["role"], visit.key)
    try:
        with visit.once:
            if visit.is_decided:
                return _told(409, "A decision was recorded in this visit. Run synthrelease review again for another.")
            case = sign_off.sign_off(
                visit.run,
                who,
                "approve" if given["decision"] == "approve" else "reject",
                given["reason"],
                where=visit.where,
                seen=visit.seen,
            )
            visit.is_decided = True
    except SynthreleaseError as error:
        return _shown(visit, given, str(error))
    view = _view(visit, case, {}, "")
    answer = make_response(environment().get_template("review-done.html").render(view=view, decision=given["decision"]))
    answer.call_on_close(visit.recorded.set)  # the server stops when the page has been sent
    return answer


class _Quiet(WSGIRequestHandler):
    """Writes no log: it would hold the one-time address."""

    def version_string(self) -> str:
        """Say no more than needed."""
        return "synthrelease"

    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002 - werkzeug's name
        """Write nothing."""


def serve(visit: Visit, *, port: int = 0, minutes: float = 60.0, ready: Callable[[str], None]) -> bool:
    """Serve one review until a decision is recorded or the time is over; return whether one was.

    Args:
        visit: the run and who reviews it.
        port: on the loopback address; 0 for any that is free.
        minutes: after which the page closes by itself.
        ready: is told the one-time address.

    Raises:
        SynthreleaseError: the run cannot be decided on.
    """
    with sign_off.held(visit.run, visit.where):
        pass
    server: BaseWSGIServer
    server = make_server(
        LOOPBACK, port, app(visit, lambda: f"{LOOPBACK}:{server.server_port}"), threaded=True, request_handler=_Quiet
    )
    serving = threading.Thread(target=server.serve_forever, daemon=True)
    serving.start()
    try:
        ready(f"http://{LOOPBACK}:{server.server_port}/begin/{visit.token}")
        visit.recorded.wait(minutes * 60)
        return visit.recorded.is_set()
    finally:
        server.shutdown()  # waits for the answer that is under way
        serving.join(10)
        server.server_close()
