"""What --epsilon asks of a build before any row is read."""

from __future__ import annotations

import dataclasses

import pytest
from private_tables import COLUMNS, SCHEMA

from synthrelease.core.contracts import Column, Schema
from synthrelease.core.errors import InputError
from synthrelease.governance import policy_file
from synthrelease.synthesis import private_requirements
from synthrelease.workflows import finish_run


def refused(match: str, schema: Schema = SCHEMA, *, epsilon=1.0, generator="marginals", ordered=False, limit=None):
    rules = policy_file.load("internal_sandbox" if limit is None else limit, finish_run.known_checks())
    with pytest.raises(InputError, match=match):
        private_requirements.check(epsilon, None, schema, rules, generator=generator, ordered=ordered)


def test_what_no_private_build_can_do_is_refused_before_any_row_is_read():
    refused("needs a generator that adds noise", generator="gan")
    refused("open_release allows 3 at most", epsilon=4.0, limit="open_release")
    refused("a whole table is made", ordered=True)
    refused('unit = "row"', dataclasses.replace(SCHEMA, unit_is_row=False))
    refused("columns.age.bounds", dataclasses.replace(SCHEMA, columns=(Column("age", "integer"), *COLUMNS[1:])))
    unnamed = Column("ward", "categorical")
    refused("columns.ward.categories", dataclasses.replace(SCHEMA, columns=(*COLUMNS[:2], unnamed, COLUMNS[3])))


def test_the_advice_says_what_is_open_and_what_came_from_the_table():
    lines = private_requirements.advice(dataclasses.replace(SCHEMA, unit_is_row=False, rows_are_public=False))
    assert lines[0].startswith("must: unit")
    assert any(line.startswith("may: rows_are_public") for line in lines)
    assert any(line.startswith("check: columns.age.bounds") for line in lines)
    assert any(line.startswith("check: columns.ward.categories") for line in lines)
