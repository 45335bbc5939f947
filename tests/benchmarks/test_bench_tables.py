"""Reading a table with all its checks against pandas reading it without any, as a ratio within one run."""

from __future__ import annotations

import pandas as pd
import pytest
from conftest import drafted, ward
from test_bench_neighbours import seconds

from synthrelease.data import table_reader
from synthrelease.schema import schema_file


@pytest.mark.bench
def test_reading_with_every_check_costs_no_more_than_twenty_times_pandas(tmp_path):
    path = tmp_path / "ward.csv"
    ward(50_000).to_csv(path, index=False)
    meaning = schema_file.load(drafted(path, tmp_path, "readmitted"))
    ratio = seconds(lambda: table_reader.read(path, meaning)) / seconds(lambda: pd.read_csv(path))
    print(f"\n50,000 rows: reading with all checks takes {ratio:.1f} times as long as pandas.read_csv")
    assert ratio < 20
