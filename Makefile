# Every target works on a fresh machine: the virtual environment is made first where it is missing.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed


.DEFAULT_GOAL := help
.PHONY: help demo examples test check format-check lint types bench bench-audit bench-audit-peers bench-generator bench-dp bench-copies clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 20

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
	  { echo "synthrelease needs Python 3.11 to 3.13; say which: make PYTHON=python3.12"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

demo: $(STAMP)  ## build, audit and report on the bundled Wisconsin breast-cancer table
	SYNTHRELEASE_REGISTER=reports/demo-register $(BIN)/synthrelease build --demo --policy internal_sandbox --seed 1 \
	  --out reports/demo --force

examples: $(STAMP)  ## make the committed example reports anew: one released, one refused
	OMP_NUM_THREADS=1 $(BIN)/python tests/example_reports.py reports

test: $(STAMP)  ## run the tests that CI runs; the last line says what did not run, and what to install for it
	$(BIN)/python tests/needs.py
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

check: format-check lint types test  ## everything that CI runs

format-check: $(STAMP)  ## is the code formatted?
	$(BIN)/ruff format --check synthrelease tests

lint: $(STAMP)  ## ruff
	$(BIN)/ruff check synthrelease tests

types: $(STAMP)  ## mypy --strict
	$(BIN)/mypy

bench: $(STAMP)  ## benchmarks, each a ratio within one run
	$(BIN)/python -m pytest -n 0 -m bench -s tests/benchmarks

bench-audit: $(STAMP)  ## what the audit catches: planted leaks on real tables -> reports/audit-power.html; goes on where it stopped
	OMP_NUM_THREADS=1 $(BIN)/python tests/benchmarks/audit_power.py --out reports

PEERS := .venv-peers
$(PEERS)/.installed:
	test -x $(PEERS)/bin/python || $(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/python -m pip install --quiet --requirement tests/benchmarks/peers.txt
	touch $@

bench-audit-peers: $(STAMP) $(PEERS)/.installed  ## the same leaks by the rules of SDMetrics, Anonymeter and mostlyai-qa; no part of CI
	OMP_NUM_THREADS=1 $(BIN)/python tests/benchmarks/audit_power.py --export .cache/audit-peers
	OMP_NUM_THREADS=1 $(PEERS)/bin/python tests/benchmarks/audit_peers.py --tables .cache/audit-peers --out reports

bench-generator: $(STAMP)  ## the generators beside their peers on real tables (DATA=folder) -> reports/benchmarks/generator.html; goes on where it stopped; no part of CI
	PYTHONPATH=tests/benchmarks $(BIN)/python -m generator --data "$(DATA)" --splits "$(SPLITS)" \
	  --tables "$(TABLES)" --systems "$(SYSTEMS)" --seeds "$(SEEDS)"

bench-dp: $(STAMP)  ## the private generators beside their peers at each epsilon (DATA=folder) -> reports/benchmarks/dp.html; goes on where it stopped; no part of CI
	PYTHONPATH=tests/benchmarks $(BIN)/python -m generator.private --data "$(DATA)" --splits "$(SPLITS)" \
	  --tables "$(TABLES)" --systems "$(SYSTEMS)" --seeds "$(SEEDS)"

bench-copies: $(STAMP)  ## how often intervals from copies hold a known truth -> reports/benchmarks/copies.html; goes on where it stopped; no part of CI
	OMP_NUM_THREADS=1 $(BIN)/python tests/benchmarks/copies_coverage.py --out reports/benchmarks

clean:  ## remove what the other targets made, but no run of yours
	rm -rf $(VENV) reports/demo reports/demo-register dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
