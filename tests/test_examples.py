"""The committed examples: the questions of a reviewer, each answered on the first screen."""

from __future__ import annotations

import json
import re
from html import unescape
from pathlib import Path

import pytest

REPORTS = Path(__file__).resolve().parents[1] / "reports"
LARGEST_REPORT, LARGEST_PICTURE = 3_000_000, 150_000


def first_screen(name: str) -> str:
    html = (REPORTS / name / "report.html").read_text(encoding="utf-8")
    front = html[html.index('<section class="sheet front"') : html.index('<section class="sheet" id="checklist"')]
    return unescape(" ".join(re.sub(r"<[^>]+>", " ", front).split()))


QUESTIONS = {
    "is it released": ("By the rules, yes: it may leave", "DO NOT RELEASE"),
    "why, or why not": (
        "All 7 blocking rules are met",
        "Is any patient's row repeated exactly? Yes, more than allowed",
    ),
    "which rule": ("The one nearest to its limit", "(copies.exact_copy_excess). Found"),
    "what comes next": ("advisory rules not met", "Do not hand it over."),
    "what would change it": ("the verdict is void: audit again", "its maker has to make it anew"),
    "what epsilon": ("None: it was made without", "Not known: its maker handed over no privacy ledger"),
    "who signs, and who has": ("Nobody has.", "Nobody has."),
    "which table": (
        "the synthetic table made from wisconsin-train.csv",
        "the table handed over as synthetic, vendor.csv",
    ),
    "what may be unseen": ("Fewer may be there unseen", "Fewer may be there unseen"),
    "is any row a copy": ("have an exact copy in the synthetic table", "have an exact copy in the synthetic table"),
    "which column is worst": ("the worst beyond chance", "its distance to unseen real rows is"),
    "what was not tested": ("were tested and could not tell", "Whether the holdout rows were kept from whoever"),
    "who may receive it": ("taff bound by confidentiality", "Nobody, as it stands"),
}


@pytest.mark.parametrize("question", QUESTIONS)
def test_the_first_screen_answers(question):
    released, refused = QUESTIONS[question]
    assert released in first_screen("example-wisconsin")
    assert refused in first_screen("example-refused")


@pytest.mark.parametrize("name", ["example-wisconsin", "example-refused"])
def test_reports_and_pictures_are_small_and_name_no_path_of_a_machine(name):
    folder = REPORTS / name
    assert (folder / "report.html").stat().st_size < LARGEST_REPORT
    assert (folder / "first-screen.jpg").stat().st_size < LARGEST_PICTURE
    assert not re.search(r"/(home|root|Users|tmp|work)/", (folder / "report.html").read_text(encoding="utf-8"))


def test_only_the_released_table_has_a_card():
    released = {path.name for path in (REPORTS / "example-wisconsin").iterdir()}
    assert {"data-card.html", "data-card.json", "croissant.json"} <= released
    assert {path.name for path in (REPORTS / "example-refused").iterdir()} == {"report.html", "first-screen.jpg"}


def test_no_figure_of_the_report_stands_on_the_card():
    """Whatever the report measured to four digits or more is nowhere in what leaves, limits of the policy apart."""
    html = (REPORTS / "example-wisconsin" / "report.html").read_text(encoding="utf-8")
    measured = set(re.findall(r'<span class="num">\D?(\d+\.\d{2,})%?</span>', html))
    assert len(measured) > 20
    leaves = " ".join(
        (REPORTS / "example-wisconsin" / name).read_text(encoding="utf-8")
        for name in ("data-card.html", "data-card.json", "croissant.json")
    )
    card = json.loads((REPORTS / "example-wisconsin" / "data-card.json").read_text(encoding="utf-8"))
    declared = json.dumps([card["rules"], card["columns"], card["policy"]])
    told = {figure for figure in measured if re.search(rf"(?<![\d.]){re.escape(figure)}(?!\d)", leaves)}
    assert {figure for figure in told if figure not in declared} == set()
