"""What a run gathers: notices reach the steward and the report, and never the log."""

from __future__ import annotations

import logging

from synthrelease.workflows.run_context import Recorder, Silent


def test_a_notice_is_kept_for_the_report_and_its_labels_are_not_logged(caplog):
    recorder = Recorder(Silent())
    with caplog.at_level(logging.DEBUG, logger="synthrelease"):
        recorder.notice("Every row meets diagnosis=C34.1")
    assert recorder.notices == ["Every row meets diagnosis=C34.1"]
    assert "notice" in caplog.text
    assert "C34.1" not in caplog.text
