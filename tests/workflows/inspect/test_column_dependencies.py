"""Relations that a draft offers: those that hold, none that is chance or trivial."""

from __future__ import annotations

import tomllib

import numpy as np

from synthrelease.workflows.inspect import column_dependencies


def test_what_determines_what_and_what_comes_first():
    rng = np.random.default_rng(0)
    city = rng.integers(0, 6, 600)
    first = rng.normal(0, 1, 600)
    labels = {"city": city, "county's": city // 2, "zip-code": 5 - city, "free": rng.integers(0, 3, 600)}
    numbers = {"in": first, "out": first + rng.random(600), "far": first + 100, "other": rng.normal(0, 1, 600)}
    lines = column_dependencies.offers(labels, numbers)
    assert all(line.startswith("#") for line in lines if line)
    rules = tomllib.loads("\n".join(line[2:] for line in lines[2:]))["constraints"]
    assert {"combination": ["city", "zip-code"]} in rules
    assert {"rule": "`in` <= out"} in rules
    assert {"rule": "city determines `county's`"} in rules
    assert {"rule": "`zip-code` determines `county's`"} in rules
    assert len(rules) == 4


def test_a_few_rows_or_a_rare_label_prove_nothing():
    rng = np.random.default_rng(0)
    rare = (np.arange(400) < 4).astype(int)
    labels = {"key": np.arange(400) % 200, "other": np.arange(400) % 2, "rare": rare, "any": rng.integers(0, 9, 400)}
    assert column_dependencies.offers(labels, {"x": np.full(400, np.nan), "y": np.arange(400.0)}) == []
