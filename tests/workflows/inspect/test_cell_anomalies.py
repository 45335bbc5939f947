"""Odd cells, counted by hand."""

from __future__ import annotations

import numpy as np
import pytest

from synthrelease.workflows.inspect import cell_anomalies


def counted(*counts: int) -> np.ndarray:
    return np.array(counts, dtype=np.int64)


def test_blanks_and_tabs_count_rows():
    assert cell_anomalies.padded_rows(["a", " a", "b ", "c\td", " "], counted(1, 2, 4, 8, 16)) == (6, 8)


def test_spellings_of_one_label():
    labels = ["Male", "male", "MALE", "female", "Fe-male", "1", "1.0"]
    assert cell_anomalies.spellings(labels, counted(10, 3, 2, 8, 1, 5, 5)) == (2, 6)
    assert cell_anomalies.spellings(["A", "B"], counted(1, 1)) == (0, 0)


@pytest.mark.parametrize(
    ("others", "code", "is_odd"),
    [
        (range(40, 90), 0, True),
        (range(90), 0, False),
        (range(18, 90), 999, True),
        (range(18, 90), -9, True),
        (range(-20, 20), -9, False),
        (range(1, 99), 99, False),
        (range(900, 1100), 999, False),
        (range(5), 99, True),
        (range(0, 8000, 7), 9999, False),
    ],
)
def test_codes_for_missing_stand_apart(others, code, is_odd):
    numbers = np.array(sorted({*others} | {code}), dtype=np.float64)
    counts = np.where(numbers == code, 12, 3)
    assert cell_anomalies.codes_for_missing(numbers, counts) == (((float(code), 12),) if is_odd else ())


def test_a_code_that_most_rows_hold_is_a_value():
    numbers, counts = np.array([1.0, 2.0, 3.0, 999.0]), counted(5, 5, 5, 100)
    assert cell_anomalies.codes_for_missing(numbers, counts) == ()


def test_texts_among_numbers():
    numbers = np.array([*range(100), np.nan], dtype=np.float64)
    assert cell_anomalies.not_numbers(numbers, counted(*[1] * 100, 7)) == 7
    assert cell_anomalies.not_numbers(np.array([np.nan, 1.0]), counted(1, 1)) == 0
