"""What `inspect` takes on a large table, as a ratio to reading it with pandas within one run."""

from __future__ import annotations

import pandas as pd
import pytest
from conftest import real_file
from test_bench_neighbours import seconds

from synthrelease.workflows.inspect.profile import inspect


@pytest.mark.bench
def test_a_draft_takes_some_readings_of_the_file():
    path = real_file("diabetes130")
    reading = seconds(lambda: pd.read_csv(path, dtype=str, keep_default_na=False))
    ratio = seconds(lambda: inspect(path)) / reading
    print(f"\n101,766 rows of 50 columns: inspect takes {ratio:.1f} times as long as pandas.read_csv")
    assert ratio < 10
