"""The documents are true: commands parse, the Python example runs, the tables name what there is."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner
from conftest import ward

from synthrelease.cli.main import main
from synthrelease.evaluation import checks
from synthrelease.governance import policy_file
from synthrelease.schema import schema_file
from synthrelease.workflows import finish_run
from synthrelease.workflows.inspect.draft_schema import draft

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


COMMANDS = [line for block in blocks("console") for line in block.splitlines() if line.startswith("synthrelease ")]


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_in_the_readme_parses(line):
    words = shlex.split(line)[1:]
    command = main.commands[words[0]]
    assert command.make_context(words[0], words[1:], resilient_parsing=False)


def test_the_readme_shows_every_command():
    assert {shlex.split(line)[1] for line in COMMANDS} == set(main.commands)


def test_every_make_target_in_the_readme_exists():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = {line for block in blocks("console") for line in block.splitlines() if line.startswith("make ")}
    assert targets
    for target in targets | {"make check"}:
        assert re.search(rf"^{target.split()[1]}:", makefile, flags=re.MULTILINE)


def test_the_python_example_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    ward(150).to_csv("patients.csv", index=False)
    Path("schema.toml").write_text(draft(Path("patients.csv"), target="readmitted"), encoding="utf-8")
    (example,) = blocks("python")
    exec(compile(example, "README.md", "exec"), {})
    assert capsys.readouterr().out.split()[0] in ("release", "refuse", "undecided")


def is_policy(block: str) -> bool:
    return "derived_from" in block


@pytest.mark.parametrize("block", [block for block in blocks("toml") if is_policy(block)])
def test_the_policies_in_the_readme_are_policies(tmp_path, block):
    (tmp_path / "ours.toml").write_text(block, encoding="utf-8")
    assert policy_file.load(str(tmp_path / "ours.toml"), finish_run.known_checks()).loosened


@pytest.mark.parametrize("block", [block for block in blocks("toml") if not is_policy(block)])
def test_the_schemas_in_the_readme_are_schemas(tmp_path, block):
    (tmp_path / "schema.toml").write_text(with_named_columns(block), encoding="utf-8")
    schema_file.load(tmp_path / "schema.toml")


def with_named_columns(block: str) -> str:
    """A schema that shows some columns only, with the unit and the target that it names."""
    if block.startswith("[[constraints]]"):
        numbers = ("admission_day", "discharge_day", "bmi", "weight", "height", "pregnancies")
        block += "".join(f'\n[columns.{name}]\nkind = "numeric"\n' for name in numbers)
        labels = {"sex": ["F", "M"], "ward": ["A", "B"], "clinic": ["x"], "education": ["e"], "education-num": ["1"]}
        block += "".join(f'\n[columns.{n}]\nkind = "categorical"\ncategories = {v!r}\n' for n, v in labels.items())
    if block.startswith("[[analyses]]"):
        block += "".join(f'\n[columns.{name}]\nkind = "numeric"\n' for name in ("age", "months"))
        labels = {"readmitted": ["no", "yes"], "died": ["0", "1"], "sex": ["F", "M"], "ward": ["A"], "stage": ["I"]}
        block += "".join(f'\n[columns.{n}]\nkind = "categorical"\ncategories = {v!r}\n' for n, v in labels.items())
    if block.startswith("[audit]"):
        for name in re.findall(r'"(\w+)"', block):
            block += f'\n[columns.{name}]\nkind = "numeric"\n'
    if block.startswith("[release]"):
        block += '\n[columns.age]\nkind = "numeric"\n'
    named = re.findall(r'^(?:unit|target) = "(\w+)"', block, re.MULTILINE)
    missing = [name for name in named if f"[columns.{name}]" not in block]
    return block + "".join(f'\n[columns.{name}]\nkind = "boolean"\ncategories = ["no", "yes"]\n' for name in missing)


def test_the_policies_command_says_what_is_made_coarser():
    result = CliRunner().invoke(main, ["policies", "open_release"])
    assert (
        "coarser first: of dates the year is kept; ages above 89 are one group; postcodes keep three" in result.output
    )


def test_the_readme_names_every_policy_and_check():
    for name in (*policy_file.names(), *checks.registry()):
        assert f"| `{name}` |" in README


def test_the_documents_name_no_path_of_a_machine():
    for document in (*ROOT.glob("*.md"), *(ROOT / "policies").glob("*.toml")):
        assert not re.search(r"/(home|root|Users|tmp|work)/", document.read_text(encoding="utf-8"))
