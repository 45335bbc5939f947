"""Run the benchmark and write its page: ``make bench-generator DATA=folder``.

Whatever is in reports/benchmarks/generator.csv already is not worked out again. Stop it whenever you like: the next run
goes on. The page is written anew after every cell.
"""

from __future__ import annotations

import sys

from generator import page
from generator.inputs import TABLES
from generator.running import Bench, run
from generator.systems import SYSTEMS

BENCH = Bench("generator", SYSTEMS, tuple(TABLES), page.write)

if __name__ == "__main__":
    sys.exit(run(BENCH))
