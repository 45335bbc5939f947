"""How many rows may be asked for: before anything is read, or once the number of real rows is known."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest

from synthrelease import BuildOptions, InputError
from synthrelease.schema import schema_file
from synthrelease.workflows import asked_rows
from synthrelease.workflows.private_preparation import NUMBER_OF_ROWS, PrivatePreparation
from synthrelease.workflows.run_options import Multiple


@pytest.fixture(scope="module")
def schema(ward_files):
    return schema_file.load(ward_files[1])


def test_a_multiple_under_privacy_needs_rows_that_are_public(schema):
    asked = BuildOptions(rows=Multiple(5), epsilon=1.0)
    with pytest.raises(InputError, match=r"--rows 5x needs .* rows_are_public = true"):
        asked_rows.check(asked, schema)
    asked_rows.check(asked, replace(schema, rows_are_public=True))
    asked_rows.check(replace(asked, rows=500), schema)
    asked_rows.check(replace(asked, epsilon=None), schema)


def test_too_few_rows_are_refused_however_they_are_given(schema):
    with pytest.raises(InputError, match="at least 20"):
        asked_rows.check(BuildOptions(rows=19), schema)
    with pytest.raises(InputError, match="however it is 4"):
        asked_rows.multiplied(Multiple(0.1), 40)
    assert asked_rows.multiplied(Multiple(2.5), 40) == 100


def test_rows_must_fit_into_memory(monkeypatch):
    monkeypatch.setattr(asked_rows, "memory", lambda: 2.0**30)
    asked_rows.check_memory(1_000_000, 10)
    with pytest.raises(InputError, match=r"10 copies of 1,500,000 rows with 10 columns take about 14 GiB"):
        asked_rows.check_memory(1_500_000, 10, copies=10)


def test_the_memory_of_this_machine_is_a_number():
    assert asked_rows.memory() > 2**27


def test_a_private_build_multiplies_what_the_schema_declares_public():
    private = PrivatePreparation(SimpleNamespace(table_rows=300), None, None, Multiple(5))
    given = private.rows(None)
    assert given.value == private.planned_rows().value == 1_500
    assert NUMBER_OF_ROWS in given.because
