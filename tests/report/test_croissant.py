"""The machine-readable card: valid to the vocabulary's own library, and no wider than the card."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace

import pytest
from sample_report import sample
from test_internal_report import HOSTILE

from synthrelease.core.contracts import ColumnFact
from synthrelease.report import croissant, internal_report


def carded(run, content=b"", name="synthetic.csv"):
    files = {name: hashlib.sha256(content).hexdigest()}
    return internal_report.data_card(run.facts, run.verdict, released_rows=3, files=files)[1]


def with_columns(*columns):
    run = sample()
    return replace(run, facts=replace(run.facts, columns=columns, terms="CC BY 4.0", contact="the privacy office"))


def test_the_ecosystems_own_library_reads_the_table_through_it(tmp_path):
    mlcroissant = pytest.importorskip("mlcroissant")
    content = b"age,sex,seen\n40,F,2020-01-31\n,M,\n61,F,2021-05-02\n"
    columns = (
        ColumnFact("age", "integer", "feature", "0 to 120", "learned"),
        ColumnFact("sex", "categorical", "feature", "F, M", "learned"),
        ColumnFact("seen", "date", "feature", "2019-01-01 to 2024-12-31", "learned"),
    )
    (tmp_path / "synthetic.csv").write_bytes(content)
    described = croissant.metadata(carded(with_columns(*columns), content))
    (tmp_path / "croissant.json").write_text(json.dumps(described), encoding="utf-8")
    dataset = mlcroissant.Dataset(tmp_path / "croissant.json")
    assert not dataset.metadata.ctx.issues.errors
    assert [str(each) for each in dataset.metadata.ctx.issues.warnings if "citeAs" not in str(each)] == []
    rows = list(dataset.records("rows"))
    assert len(rows) == 3
    assert rows[0]["rows/0"] == 40
    assert rows[0]["rows/1"] == b"F"


def test_hostile_names_are_valid_too(tmp_path):
    mlcroissant = pytest.importorskip("mlcroissant")
    columns = tuple(ColumnFact(text, "numeric", "feature", text, text) for text in HOSTILE)
    described = croissant.metadata(carded(with_columns(*columns)))
    (tmp_path / "croissant.json").write_text(json.dumps(described), encoding="utf-8")
    assert not mlcroissant.Dataset(tmp_path / "croissant.json").metadata.ctx.issues.errors


def test_it_says_no_more_than_the_card():
    card = carded(with_columns(ColumnFact("age", "integer", "feature", "0 to 120", "learned")))
    described = croissant.metadata(card)
    said = json.dumps(card)
    for value in (described["license"], *described["rai:dataLimitations"], described["rai:dataCollection"]):
        assert value in said or value in card.values()
    assert described["distribution"][0]["sha256"] == card["files"]["synthetic.csv"]
    assert [each["name"] for each in described["recordSet"][0]["field"]] == ["age"]
    assert "0.5" not in json.dumps(described)


def test_files_whose_columns_no_catalogue_reads_are_named_without_columns():
    described = croissant.metadata(carded(with_columns(), name="synthetic.dta"))
    assert described["recordSet"] == []
    assert described["distribution"][0]["encodingFormat"] == "application/octet-stream"


def test_copies_are_described_one_by_one(tmp_path):
    mlcroissant = pytest.importorskip("mlcroissant")
    run = with_columns(ColumnFact("age", "integer", "feature", "0 to 120", "learned"))
    files = {
        name: hashlib.sha256(name.encode()).hexdigest()
        for name in ("synthetic.json", "synthetic-01.csv", "synthetic-02.csv")
    }
    card = internal_report.data_card(run.facts, run.verdict, released_rows=6, files=files)[1]
    described = croissant.metadata(card)
    assert [each["@id"] for each in described["recordSet"]] == ["rows-1", "rows-2"]
    (tmp_path / "croissant.json").write_text(json.dumps(described), encoding="utf-8")
    assert not mlcroissant.Dataset(tmp_path / "croissant.json").metadata.ctx.issues.errors
