"""The schema file: what is accepted, and that every mistake is named at once."""

from __future__ import annotations

import hashlib
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthrelease.core.errors import SchemaError
from synthrelease.schema.schema_file import dotted, load, quoted

GOOD = """
purpose = "a demonstration"
unit = "patient_nbr"
target = "readmitted"
missing = ["?"]
[columns.encounter_id]
role = "identifier"
[columns.patient_nbr]
[columns.time_in_hospital]
kind = "integer"
bounds = [1, 14]
role = "quasi_identifier"
[columns.A1Cresult]
kind = "ordinal"
categories = ["None", "Norm", ">7", ">8"]
missing = ["unknown"]
[columns.note]
kind = "text"
[columns.readmitted]
kind = "boolean"
categories = [0, 1]
"""


def file(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "schema.toml"
    path.write_text(text, encoding="utf-8")
    return path


def refused(tmp_path: Path, text: str, **options: str) -> str:
    with pytest.raises(SchemaError) as caught:
        load(file(tmp_path, text), **options)
    return str(caught.value)


def test_a_good_file_becomes_frozen_columns(tmp_path):
    schema = load(file(tmp_path, GOOD))
    assert [(c.name, c.kind, c.role) for c in schema.columns] == [
        ("encounter_id", "identifier", "identifier"),
        ("patient_nbr", "identifier", "unit"),
        ("time_in_hospital", "integer", "quasi_identifier"),
        ("A1Cresult", "ordinal", "feature"),
        ("note", "text", "excluded"),
        ("readmitted", "boolean", "target"),
    ]
    assert [c.name for c in schema.learned] == ["time_in_hospital", "A1Cresult", "readmitted"]
    assert schema.column("time_in_hospital").bounds == (1.0, 14.0)
    assert schema.column("readmitted").categories == ("0", "1")
    assert schema.missing == ("?",)
    assert schema.digest == hashlib.sha256(GOOD.encode()).hexdigest()


def test_the_target_can_be_overridden(tmp_path):
    schema = load(file(tmp_path, GOOD), target="A1Cresult")
    assert (schema.target, schema.column("A1Cresult").role, schema.column("readmitted").role) == (
        "A1Cresult",
        "target",
        "feature",
    )
    assert "'zz'" in refused(tmp_path, GOOD, target="zz")
    assert "never learned" in refused(tmp_path, GOOD, target="encounter_id")


def test_a_target_may_be_sensitive_as_well(tmp_path):
    text = GOOD.replace("[columns.A1Cresult]", '[columns.A1Cresult]\nrole = "sensitive"')
    schema = load(file(tmp_path, text), target="A1Cresult")
    assert schema.column("A1Cresult").role == "target"
    assert schema.column("A1Cresult").is_sensitive
    assert not load(file(tmp_path, text)).column("readmitted").is_sensitive
    assert load(file(tmp_path, text)).column("A1Cresult").role == "sensitive"


@pytest.mark.parametrize(
    ("block", "said"),
    [
        ('kind = "integr"', "columns.x.kind: 'integr' is not known"),
        ('kind = "integer"\nlow = 1', "columns.x.low: is not a key"),
        ('kind = "integer"\nrole = "hidden"', "columns.x.role: 'hidden' is not known"),
        ('kind = "integer"\nbounds = [3, 1]', "columns.x.bounds: the lowest value must come first"),
        ('kind = "integer"\nbounds = [1]', "columns.x.bounds: are two numbers"),
        ('kind = "numeric"\nbounds = [0, inf]', "columns.x.bounds: must be finite"),
        ('kind = "numeric"\nbounds = ["a", 1]', "columns.x.bounds: must be a number"),
        ('kind = "ordinal"\ncategories = ["a"]\nbounds = [0, 1]', "columns.x.bounds: belong to numeric"),
        ('kind = "numeric"\ncategories = ["a"]', "columns.x.categories: belong to boolean"),
        ('kind = "categorical"', "columns.x.categories: a categorical column must list"),
        ('kind = "categorical"\ncategories = []', "columns.x.categories: a categorical column must list"),
        ('kind = "categorical"\ncategories = ["a", "a"]', "columns.x.categories: each label stands once, however 1"),
        ('kind = "categorical"\ncategories = [true]', "columns.x.categories: must be one text"),
        ('kind = "boolean"\ncategories = ["a", "b", "c"]', "columns.x.categories: a boolean column has two"),
        ('kind = "categorical"\ncategories = ["a", "?"]\nmissing = ["?"]', "columns.x.categories: 1 of them also"),
        ("", "columns.x.kind: is required"),
        ('kind = "text"\nrole = "feature"', "columns.x.role: text is never learned"),
        ('kind = "identifier"\nrole = "sensitive"', "columns.x.role: an identifier is never learned"),
        ('kind = "integer"\nrole = "target"', 'Write target = "x"'),
    ],
)
def test_each_mistake_is_named_with_its_key(tmp_path, block, said):
    message = refused(tmp_path, f'[columns.y]\nkind = "numeric"\n[columns.x]\n{block}\n')
    assert said in message
    assert "1 thing" in message


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "columns: is required"),
        ("columns = {}", "columns: a schema needs at least one column"),
        ("[columns.a]\nkind = 'integer'\n[columns.a]", "line 3"),
        ("target = 'a'\nunit = 'a'\n[columns.a]\n[columns.b]\nkind = 'integer'", "target: the unit's column"),
        ("target = ['a', 'b']\n[columns.a]\nkind = 'integer'", "target: there can be only one"),
        ("targt = 'a'\n[columns.a]\nkind = 'integer'", "targt: is not a key"),
        ("[columns.a]\nkind = 'text'", "nothing is left to learn"),
        ("missing = ['?', '?']\n[columns.a]\nkind = 'integer'", "missing: a mark is listed twice"),
        ("unit = 'a'\n[columns.a]\nrole = 'feature'\n[columns.b]\nkind = 'integer'", "columns.a.role: the unit"),
    ],
)
def test_mistakes_of_the_whole_file(tmp_path, text, said):
    assert said in refused(tmp_path, text)


def test_all_mistakes_are_listed_at_once(tmp_path):
    message = refused(
        tmp_path,
        'target = "zz"\nmisspelt = 1\n[columns."a.b"]\nkind = "integer"\nbounds = [2, 1]\n'
        '[columns.c]\nkind = "integr"\n[columns.d]\n',
    )
    for said in ("target:", "misspelt:", 'columns."a.b".bounds:', "columns.c.kind:", "columns.d.kind:"):
        assert said in message
    assert "breaks 5 things" in message


def test_files_that_are_no_schema(tmp_path):
    with pytest.raises(SchemaError, match=r"does not.*inspect"):
        load(tmp_path / "none.toml")
    with pytest.raises(SchemaError, match=r"not \(Is a directory\)"):
        load(tmp_path)
    (tmp_path / "latin.toml").write_bytes(b'# first\npurpose = "\xe9"')
    with pytest.raises(SchemaError, match="line 2"):
        load(tmp_path / "latin.toml")


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_column_name_survives_toml(name):
    assert tomllib.loads(f"[{dotted('columns', name)}]\nx = {quoted(name)}") == {"columns": {name: {"x": name}}}
