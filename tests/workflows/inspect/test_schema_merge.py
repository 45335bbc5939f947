"""Merging keeps what a person wrote, to the comment, and never says something else than intended."""

from __future__ import annotations

import tomllib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synthrelease.core.errors import InputError
from synthrelease.schema.schema_file import dotted, quoted
from synthrelease.workflows.inspect.schema_merge import merge

EDITED = """# our ward, reviewed in May
purpose = "teaching"   # agreed
unit = "patient"
missing = ["?"]

[columns.patient]

# physiology: nobody is older
[columns.age]
kind = "integer"
bounds = [0, 120]  # public

[columns."old one"]
# was useful once
kind = "numeric"

[columns.sex]
kind = "categorical"
categories = [
  "F",  # coded by the desk
  "M",
]
"""
DRAFT = """purpose = ""
unit = "patient"
target = "dead"
missing = []

[columns.patient]

[columns.age]
kind = "integer"
bounds = [18, 90]

[columns.sex]
kind = "categorical"
categories = ["F", "M", "X"]

[columns."new. one"]
# 12 cells are missing
kind = "numeric"
bounds = [0, 5]

[columns.dead]
kind = "boolean"
categories = ["0", "1"]
"""


def merged(tmp_path, edited: str = EDITED, draft: str = DRAFT, **answers: str):
    path = tmp_path / "s.toml"
    path.write_text(edited, encoding="utf-8")
    return merge(path, draft, **answers)


def test_what_a_person_wrote_stays_and_the_rest_follows_the_table(tmp_path):
    result = merged(tmp_path)
    assert (result.added, result.gone) == (("new. one", "dead"), ("old one",))
    for line in EDITED.splitlines():
        kept = line if line not in ('[columns."old one"]', "# was useful once", 'kind = "numeric"') else f"# {line}"
        assert kept in result.text.splitlines()
    assert "# 12 cells are missing" in result.text
    document = tomllib.loads(result.text)
    assert document["purpose"] == "teaching"
    assert document["columns"]["age"]["bounds"] == [0, 120]
    assert document["columns"]["sex"]["categories"] == ["F", "M"]
    assert list(document["columns"]) == ["patient", "age", "sex", "new. one", "dead"]
    assert "target" not in document  # a guess of the draft is no answer


def test_merging_twice_changes_nothing_more(tmp_path):
    once = merged(tmp_path).text
    again = merged(tmp_path, once)
    assert again.text == once
    assert (again.added, again.gone) == ((), ())


def test_answers_are_added_and_never_replace_one(tmp_path):
    assert tomllib.loads(merged(tmp_path, target="dead").text)["target"] == "dead"
    assert tomllib.loads(merged(tmp_path, unit="patient").text)["unit"] == "patient"
    with pytest.raises(InputError, match="names another unit"):
        merged(tmp_path, unit="age")


def test_a_target_that_has_gone_is_commented_out(tmp_path):
    edited = EDITED.replace('unit = "patient"', 'unit = "patient"\ntarget = "old one"')
    result = merged(tmp_path, edited)
    assert '# target = "old one"' in result.text
    assert "target" not in tomllib.loads(result.text)
    assert tomllib.loads(merged(tmp_path, edited, target="dead").text)["target"] == "dead"


@pytest.mark.parametrize("edited", ["", "edited", "columns = 3", "[columns]\nage = 3", "\xff = ["])
def test_what_is_no_schema_is_refused(tmp_path, edited):
    with pytest.raises(InputError, match="--force"):
        merged(tmp_path, edited)


@pytest.mark.parametrize(
    "edited",
    [
        '[columns]\nage = { kind = "integer" }\ngone = { kind = "numeric" }\n',
        '[columns]\nage.kind = "integer"\ngone.kind = "numeric"\n',
        'columns.age.kind = "integer"\ncolumns.gone.kind = "numeric"\n',
        'columns = { age = { kind = "integer" } }\n',
        '[columns.age]\nkind = "integer"\n[columns.gone]\nkind = "text"\n[columns.sex]\nrole = "excluded"\n',
    ],
)
def test_other_ways_to_write_a_schema_merge_rightly_or_are_refused(tmp_path, edited):
    try:
        result = merged(tmp_path, edited)
    except InputError:
        return
    columns = tomllib.loads(result.text)["columns"]
    assert columns["age"] == {"kind": "integer"}
    assert set(columns) == set(tomllib.loads(DRAFT)["columns"])


names = st.lists(
    st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=8), max_size=5, unique=True
)


@settings(max_examples=40, deadline=None)
@given(names, names)
def test_any_columns_merge(tmp_path_factory, before, after):
    def written(columns: list[str], bounds: str) -> str:
        blocks = [f'[{dotted("columns", name)}]\n# {quoted(name)}\nkind = "numeric"\n{bounds}\n' for name in columns]
        return 'purpose = ""\n\n' + "\n".join(blocks)

    before, after = ["always", *before], ["always", *after]
    before, after = list(dict.fromkeys(before)), list(dict.fromkeys(after))
    result = merged(tmp_path_factory.mktemp("m"), written(before, "bounds = [0, 1]"), written(after, "bounds = [0, 2]"))
    columns = tomllib.loads(result.text)["columns"]
    assert set(columns) == set(after)
    assert all(columns[name]["bounds"] == ([0, 1] if name in before else [0, 2]) for name in after)
