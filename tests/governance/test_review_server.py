"""The review page without a browser: what is logged of a page that fails."""

from __future__ import annotations

from pathlib import Path

from synthrelease.core import diagnostics
from synthrelease.governance import review_server


def test_a_page_that_fails_logs_where_and_neither_its_address_nor_a_cell(tmp_path, monkeypatch, capfd):
    def broken(*_: object) -> None:
        raise ValueError("Mrs Example, 63")

    visit = review_server.Visit(Path("run"), None, None)
    monkeypatch.setattr(review_server, "_same", broken)
    with diagnostics.recorded() as recorder:
        answer = review_server.app(visit, lambda: "localhost").test_client().get(f"/begin/{visit.token}")
        recorder.write_to(tmp_path / "log")
    text = (tmp_path / "log").read_text(encoding="utf-8")
    assert answer.status_code == 500
    assert "a page failed\n    ValueError" in text
    assert "in test_a_page_that_fails_logs_where" in text
    for told in (text, *capfd.readouterr(), answer.text):
        assert "Example" not in told
        assert visit.token not in told
