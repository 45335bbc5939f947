"""The review page in a real browser, end to end: read, sign or reject by keyboard alone, and nobody else can."""

from __future__ import annotations

import http.client
import threading
import time
import urllib.parse
from dataclasses import replace
from pathlib import Path

import pytest
from signing_room import STEWARD, finished, opened_up, rules

from synthrelease.core.contracts import Signing
from synthrelease.governance import approval_records, keys, review_server, sign_off, standing
from synthrelease.governance.approval_records import SignOff, Waiver
from synthrelease.governance.review_server import Visit

pytestmark = pytest.mark.browser
HOSTILE = '<img src=x onerror="window.pwned=1"> {{ 7*7 }} "\'><script>window.pwned=1</script>'


class Served:
    """A review that is being served, and how it ended."""

    def __init__(self, run: Path, where: Path, **changes: object) -> None:
        self.visit = Visit(run, where, key=changes.pop("key", None), **changes)
        self.address, self.ended = "", None
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()
        while not self.address:
            assert self.thread.is_alive()
            time.sleep(0.01)

    def _serve(self) -> None:
        self.ended = review_server.serve(self.visit, minutes=2, ready=lambda address: setattr(self, "address", address))

    @property
    def host(self) -> str:
        return urllib.parse.urlsplit(self.address).netloc

    def close(self) -> None:
        self.visit.recorded.set()
        self.thread.join(20)
        assert not self.thread.is_alive()


@pytest.fixture
def served(tmp_path):
    opened = []

    def go(run=None, **changes):
        run = run or finished(tmp_path / "run", tmp_path / "register")
        opened.append(Served(run, tmp_path / "register", **changes))
        return opened[-1]

    yield go
    for each in opened:
        each.close()


@pytest.fixture
def page(chromium):
    """A page that writes down what it asks for and what it complains about."""
    context = chromium.new_context(viewport={"width": 1280, "height": 900})
    opened = context.new_page()
    opened.requests, opened.complaints = [], []
    opened.on("request", lambda request: opened.requests.append(request.url))
    opened.on("console", lambda message: opened.complaints.append(message.text))
    opened.on("pageerror", lambda error: opened.complaints.append(str(error)))
    yield opened
    context.close()


def records(run: Path) -> list[SignOff | Waiver]:
    path = run / "internal" / "sign-offs.jsonl"
    return [approval_records.read(line) for line in path.read_text().splitlines()] if path.exists() else []


def tab_to(page, selector: str) -> None:
    """Press Tab until the focus is there, as somebody without a mouse does."""
    for _ in range(200):
        page.keyboard.press("Tab")
        if page.evaluate("s => document.activeElement.matches(s)", selector):
            return
    raise AssertionError(f"{selector} cannot be reached by keyboard")


def test_the_keyboard_alone_can_read_and_sign(served, page, tmp_path):
    key = keys._as_key(keys.Ed25519PrivateKey.generate())
    review = served(key=key)
    page.goto(review.address)
    assert page.url == f"http://{review.host}/"
    tab_to(page, 'a[href="#decision"]')
    page.keyboard.press("Enter")
    tab_to(page, "[name=reviewer]")
    page.keyboard.type("Ada Example")
    tab_to(page, "[name=role]")
    page.keyboard.type("data")
    tab_to(page, "[name=decision]")
    page.keyboard.press("Space")
    tab_to(page, "[name=reason]")
    page.keyboard.type("Read every page.")
    tab_to(page, "[name=read]")
    page.keyboard.press("Space")
    tab_to(page, "button")
    with page.expect_navigation():
        page.keyboard.press("Enter")
    assert "Approved: your decision is recorded" in page.inner_text("h1")
    assert "Still to sign: compliance reviewer" in page.inner_text("main")
    assert page.complaints == []
    assert {urllib.parse.urlsplit(url).netloc for url in page.requests} == {review.host}
    (record,) = records(review.visit.run)
    assert (record.reviewer, record.role, record.decision) == ("Ada Example", "data steward", "approve")
    assert record.reason == "Read every page."
    assert approval_records.key_of(record) == key.fingerprint
    assert not list(standing.faults(record, rules()))
    review.thread.join(20)
    assert review.ended is True


def test_the_last_approval_releases_the_table(served, page, tmp_path):
    run = finished(tmp_path / "run", tmp_path / "register")
    sign_off.sign_off(run, STEWARD, "approve", "Read.", where=tmp_path / "register")
    review = served(run, reviewer="Ben Example", role="compliance reviewer")
    page.goto(review.address)
    assert "Approved: data steward, Ada Example" in page.inner_text("#decision")
    decide(page, "approve", "Read.")
    assert "moved to the folder release/" in page.inner_text("main")
    assert (run / "release" / "synthetic.csv").is_file()


def decide(page, decision: str, reason: str, **fields: str) -> None:
    for name, value in fields.items():
        page.fill(f"[name={name}]", value)
    page.check(f"[name=decision][value={decision}]")
    page.fill("[name=reason]", reason)
    page.check("[name=read]")
    with page.expect_navigation():
        page.click("button")


def test_a_rejection_keeps_the_table_inside(served, page):
    review = served(role="compliance reviewer")
    page.goto(review.address)
    decide(page, "reject", "A cell of three.", reviewer="Ben Example")
    assert "Rejected" in page.inner_text("h1")
    assert (review.visit.run / "quarantine" / "synthetic.csv").is_file()
    assert records(review.visit.run)[0].decision == "reject"


def test_what_cannot_be_recorded_is_said_and_what_was_typed_stays(served, page, tmp_path):
    run = finished(tmp_path / "run", tmp_path / "register")
    sign_off.sign_off(run, STEWARD, "approve", "Read.", where=tmp_path / "register")
    review = served(run, role="compliance reviewer")
    page.goto(review.address)
    decide(page, "approve", "Mine.", reviewer="ada example")
    assert "two people" in page.inner_text("[role=alert]")
    assert page.input_value("[name=reason]") == "Mine."
    assert len(records(run)) == 1
    decide(page, "approve", "Mine.", reviewer="Ben Example")
    assert len(records(run)) == 2


def test_a_run_that_changed_while_it_was_read_is_not_signed(served, page, tmp_path):
    review = served(role="data steward")
    page.goto(review.address)
    report = review.visit.run / "internal" / "report.html"
    report.write_text(report.read_text().replace("Release", "release", 1))
    decide(page, "approve", "Read.", reviewer="Ada Example")
    assert "has changed since the verdict" in page.inner_text("main")
    assert records(review.visit.run) == []


def test_a_refused_run_offers_no_approval(served, page, tmp_path):
    review = served(finished(tmp_path / "run", tmp_path / "register", "refuse"))
    page.goto(review.address)
    assert page.locator("[name=decision]").count() == 1
    assert "cannot be approved" in page.inner_text("#decision")


def test_hostile_names_are_inert(served, page, tmp_path, monkeypatch):
    opened_up(monkeypatch)
    run = finished(tmp_path / "run", tmp_path / "register", rules_=rules(sign_off=(HOSTILE,), signing=Signing()))
    review = served(run, reviewer=HOSTILE, role=HOSTILE)
    page.goto(review.address)
    assert page.input_value("[name=reviewer]") == HOSTILE
    decide(page, "approve", HOSTILE)
    assert "Approved" in page.inner_text("h1")
    for opened in ("main",):
        assert "49" not in page.inner_text(opened).split("{{")[0]
    assert page.evaluate("window.pwned") is None
    assert page.locator("img, script").count() == 0
    card = (run / "release" / "data-card.html").as_uri()
    page.goto(card)
    assert page.evaluate("window.pwned") is None
    assert page.locator("img, script").count() == 0
    assert "<img" in page.inner_text(".decisions")


def test_the_address_works_once(served, page, chromium):
    review = served()
    page.goto(review.address)
    other = chromium.new_page()
    for address in (review.address, f"http://{review.host}/"):
        assert other.goto(address).status == 403
    assert "synthrelease review again" in other.goto(review.address).text()
    other.close()
    assert page.reload().status == 200


def ask(review: Served, method: str, path: str, body: str | None = None, **headers: str) -> http.client.HTTPResponse:
    """A request past the browser, as another program on this machine would send it."""
    connection = http.client.HTTPConnection(review.host, timeout=10)
    connection.request(method, path, body, headers)
    answer = connection.getresponse()
    answer.read()
    return answer


def test_nothing_else_is_served_and_no_other_name_is_answered(served):
    review = served()
    for path in ("/", "/report", "/static/x", "/begin/", "/begin/wrong", "/../internal/audit.json", "/decide"):
        assert ask(review, "GET", path).status in (403, 404, 405), path
    assert ask(review, "GET", urllib.parse.urlsplit(review.address).path, Host="evil.example").status == 421
    assert review_server.LOOPBACK == "127.0.0.1"


def test_a_form_from_elsewhere_records_nothing(served, page):
    """Another site that guesses the form, or has stolen the cookie, lacks the secret or the origin."""
    review = served()
    page.goto(review.address)
    visit, good = review.visit, f"http://{review.host}"
    cookie = f"{review_server.COOKIE}={visit.session}"
    fields = {"reviewer": "Eve", "role": "data steward", "decision": "approve", "reason": "x", "read": "yes"}

    def send(form: str, **headers: str) -> int:
        body = urllib.parse.urlencode({**fields, "form": form})
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        return ask(review, "POST", "/decide", body, **kind, **headers).status

    assert send(visit.form, Origin=good) == 403  # no cookie
    assert send("guessed", Origin=good, Cookie=cookie) == 403
    assert send(visit.form, Origin="http://evil.example", Cookie=cookie) == 403
    assert send(visit.form, Cookie=cookie) == 403  # no origin at all
    assert send(visit.form, Cookie=cookie, **{"Sec-Fetch-Site": "cross-site", "Origin": "null"}) == 403
    assert records(visit.run) == []
    headers = dict(page.request.get(f"{good}/").headers)
    assert headers["cache-control"] == "no-store"
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert headers["server"] == "synthrelease"


@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_and_nothing_scrolls_sideways(served, page, width, scheme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")
    review = served()
    page.set_viewport_size({"width": width, "height": 800})
    page.emulate_media(color_scheme=scheme)
    page.goto(review.address)
    assert page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0
    page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
    found = axe.Axe().run(page).response["violations"]
    assert [(each["id"], each["impact"]) for each in found if each["impact"] in ("serious", "critical")] == []
    page.fill("[name=reviewer]", "Ada Example")
    page.select_option("[name=role]", "data steward")
    decide(page, "approve", "Read.")
    assert axe.Axe().run(page).response["violations"] == []


def test_the_time_runs_out(tmp_path):
    run = finished(tmp_path / "run", tmp_path / "register")
    visit = Visit(run, tmp_path / "register", None)
    assert review_server.serve(replace(visit), minutes=0.002, ready=lambda address: None) is False
