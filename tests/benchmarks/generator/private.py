"""Run the benchmark under differential privacy and write its page: ``make bench-dp DATA=folder``.

The machinery is that of ``make bench-generator``: whatever is in reports/benchmarks/dp.csv already is not worked out
again, and a run that was stopped goes on. ``--systems marginals`` stands for a system at all its budgets.
"""

from __future__ import annotations

import sys

from generator import private_page
from generator.running import Bench, run
from generator.systems import PRIVATE_SYSTEMS

BENCH = Bench("dp", PRIVATE_SYSTEMS, private_page.TABLES, private_page.write)

if __name__ == "__main__":
    sys.exit(run(BENCH))
