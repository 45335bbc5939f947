"""The report in a real browser: what it loads, what it runs, how it fits and how it prints."""

from __future__ import annotations

import re
import shutil
import subprocess
from itertools import pairwise

import pytest
from sample_report import sample
from test_internal_report import hostile

from synthrelease.report import internal_report, verdict_words

pytestmark = pytest.mark.browser
A4_AT_96_DPI = {"width": 794, "height": 1123}


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """The pages under test as files: a run of each decision, the hostile run, and the data card."""
    folder = tmp_path_factory.mktemp("pages")
    runs = {decision: sample(decision) for decision in ("release", "refuse", "undecided")} | {"hostile": hostile()}
    for name, run in runs.items():
        html = internal_report.render(run.verdict, run.results, run.facts, run.specs)
        (folder / f"{name}.html").write_text(html, encoding="utf-8")
    run = runs["release"]
    card, _ = internal_report.data_card(run.facts, run.verdict, released_rows=400, files={"synthetic.csv": "ab" * 32})
    (folder / "card.html").write_text(card, encoding="utf-8")
    return folder


class Visit:
    """An opened page together with everything it asked for or complained about."""

    def __init__(self, browser, file, *, width=1280, scheme="light"):
        self.requests, self.complaints = [], []
        self.page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.complaints.append("dialog"), dialog.dismiss()))
        self.page.goto(file.as_uri())


@pytest.fixture
def visit(chromium, pages):
    opened = []

    def go(name, **options):
        opened.append(Visit(chromium, pages / f"{name}.html", **options))
        return opened[-1]

    yield go
    for each in opened:
        each.page.close()


NAMES = ["release", "refuse", "undecided", "hostile", "card"]


@pytest.mark.parametrize("name", NAMES)
def test_it_loads_nothing_runs_nothing_and_complains_about_nothing(visit, name):
    seen = visit(name)
    assert [url for url in seen.requests if not url.endswith(f"{name}.html")] == []
    assert seen.complaints == []
    assert seen.page.evaluate("window.pwned") is None
    assert seen.page.locator("script, img, iframe, object, [onclick], [onerror]").count() == 0


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("width", [360, 820, 1280])
def test_no_page_scrolls_sideways(visit, name, width):
    page = visit(name, width=width).page
    assert page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0


@pytest.mark.parametrize("name", NAMES)
def test_headings_are_in_order_and_every_scrolling_box_can_be_reached_by_keyboard(visit, name):
    page = visit(name).page
    levels = page.eval_on_selector_all("h1, h2, h3, h4", "all => all.map(h => Number(h.tagName[1]))")
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    assert page.locator(".scroll:not([tabindex])").count() == 0


def test_the_skip_link_is_the_first_stop_and_leads_to_the_verdict(visit):
    page = visit("refuse").page
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    page.wait_for_url("**#main")  # the address changes a moment after the key
    assert page.evaluate("document.querySelector(':target').id") == "main"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_for_everyone(visit, scheme):
    """Every text has a contrast of 4.5 to 1 or more against what lies behind it (WCAG 2.2, 1.4.3)."""
    for name in ("release", "refuse", "undecided", "card"):
        assert visit(name, scheme=scheme).page.evaluate(CONTRAST) == []


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 390)])
def test_axe_finds_nothing(visit, name, scheme, width):
    """axe-core's rules, best practice among them: no violation at all, serious or not.

    In the hostile run all drawings have one name, so that axe cannot tell them apart; nobody could.
    """
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")
    page = visit(name, scheme=scheme, width=width).page
    found = axe.Axe().run(page).response["violations"]
    found = [each for each in found if name != "hostile" or each["id"] != "landmark-unique"]
    assert [(each["id"], each["impact"], each["nodes"][0]["html"]) for each in found] == []


@pytest.mark.parametrize("name", ["release", "refuse", "undecided"])
def test_the_first_screen_holds_verdict_reason_and_answers(visit, name):
    page = visit(name).page
    assert page.locator("#verdict").bounding_box()["y"] < 300
    assert page.locator(".answers > div").count() >= 10
    answers = page.locator(".answers").bounding_box()
    assert answers["y"] + answers["height"] <= 800


def test_everything_can_be_reached_and_opened_by_keyboard_alone(visit):
    page = visit("refuse").page
    reachable = "all => all.filter(each => !each.closest('details:not([open]) > :not(summary)')).length"
    stops = page.eval_on_selector_all("a[href], summary, [tabindex='0']", reachable)
    seen = set()
    for _ in range(stops):
        page.keyboard.press("Tab")
        seen.add(page.evaluate("[...document.querySelectorAll('*')].indexOf(document.activeElement)"))
        focused = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert focused != "none"
    assert len(seen) == stops
    page.locator("figure summary").first.focus()
    page.keyboard.press("Enter")
    page.locator("figure details").first.locator("table").wait_for(state="visible")


@pytest.mark.parametrize("name", ["refuse", "hostile", "card"])
def test_every_link_leads_somewhere_on_the_page(visit, name):
    page = visit(name).page
    lost = page.eval_on_selector_all(
        "a[href]", "all => all.map(a => a.getAttribute('href')).filter(h => !document.getElementById(h.slice(1)))"
    )
    assert lost == []


def test_every_chart_has_a_name_a_description_and_its_numbers(visit):
    page = visit("release").page
    charts = page.locator("figure svg.chart")
    assert charts.count() >= 10
    for chart in charts.all():
        assert chart.get_attribute("role") == "img"
        assert chart.locator("> title").text_content()
        assert chart.locator("> desc").text_content()
    assert page.locator("figure:has(svg.chart)").count() == page.locator("figure:has(svg.chart) details table").count()


def test_print_leaves_no_heading_alone_at_the_foot_of_a_page(visit):
    """Each heading is followed, on its own page, by more than half a line of what it heads."""
    pypdfium2 = pytest.importorskip("pypdfium2", reason="pypdfium2 is not installed")
    pdf = visit("refuse").page.pdf(prefer_css_page_size=True, print_background=True)
    headings = visit("refuse").page.eval_on_selector_all("h2, h3", "all => all.map(h => h.textContent.trim())")
    for page in pypdfium2.PdfDocument(pdf):
        lines = [line.strip() for line in page.get_textpage().get_text_range().splitlines() if line.strip()]
        body = [line for line in lines if not re.fullmatch(r"\d+ / \d+|INTERNAL.*", line)]
        assert not body or body[-1] not in headings, body[-3:]


CONTRAST = """() => {
  const rgb = text => (text.match(/[\\d.]+/g) || []).map(Number);
  const light = ([r, g, b]) => [r, g, b].map(v => v / 255)
    .map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = node => {
    for (let e = node; e; e = e.parentElement) {
      const colour = rgb(getComputedStyle(e).backgroundColor);
      if (colour.length === 3) return colour;
    }
    return [255, 255, 255];
  };
  const bad = new Set();
  for (const e of document.querySelectorAll('body *')) {
    const own = [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
    if (!own || e.closest('title, desc, style')) continue;
    const style = getComputedStyle(e);
    const ink = light(rgb(e.namespaceURI.includes('svg') ? style.fill : style.color)), paper = light(behind(e));
    const ratio = (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05);
    if (ratio < 4.5) bad.add(`${e.tagName}.${e.className} ${ratio.toFixed(2)}`);
  }
  return [...bad];
}"""


@pytest.mark.parametrize("name", ["release", "refuse", "undecided"])
def test_the_first_printed_page_holds_the_verdict_and_its_signatures(visit, name):
    page = visit(name).page
    pdf = page.pdf(prefer_css_page_size=True, print_background=True)
    assert pdf.startswith(b"%PDF")
    assert 3 <= len(re.findall(rb"/Type\s*/Page\b", pdf)) <= 30
    if pdftotext := shutil.which("pdftotext"):
        command = [pdftotext, "-l", "1", "-layout", "-", "-"]
        first = subprocess.run(command, input=pdf, capture_output=True, check=True).stdout.decode()
        assert verdict_words.HEADINGS[name] in first
        assert "INTERNAL: contains facts about real patients" in first
        assert first.count("Signature") == 2
    page.emulate_media(media="print")
    page.set_viewport_size({"width": A4_AT_96_DPI["width"] - 91, "height": A4_AT_96_DPI["height"] - 87})
    front = page.locator(".front").bounding_box()
    assert front["height"] <= A4_AT_96_DPI["height"] - 87  # what the margins leave
    assert page.locator(".sign").is_visible()
    assert page.locator(".sign > div").count() == 2
    assert page.locator("nav").is_hidden()


def test_numbers_behind_a_drawing_open_without_a_script(visit):
    page = visit("release").page
    details = page.locator("figure details").first
    assert not details.locator("table").is_visible()
    details.locator("summary").click()
    details.locator("table").wait_for(state="visible")
