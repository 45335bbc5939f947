"""Databases: a table or a query is read, the database is left alone, and no password is ever shown."""

from __future__ import annotations

import os
import shutil
import socket
import sqlite3
import subprocess
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path

import needs
import pandas as pd
import pytest
import sqlalchemy
from click.testing import CliRunner
from conftest import policy_that_decides, ward

from synthrelease.cli.main import main
from synthrelease.core.errors import InputError
from synthrelease.data import table_reader, table_writer
from synthrelease.data.formats import place_of, read_file
from synthrelease.schema import schema_file as schema_reader
from synthrelease.workflows import build, run_options
from synthrelease.workflows.inspect import draft_schema

PASSWORD = "hunter2-and-more"  # of a server that lives as long as its test


@pytest.fixture(scope="module")
def sqlite_address(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("sqlite") / "ward.db"
    with sqlite3.connect(path) as connection:
        ward(300).to_sql("visits", connection, index=False)
        connection.execute("CREATE TABLE empty (a INTEGER)")
        connection.execute("CREATE VIEW old AS SELECT * FROM visits WHERE age > 60")
    return f"sqlite:///{path}"


@pytest.fixture(scope="module")
def postgres_address() -> Iterator[str]:
    """A server of this test's own, with a password, in a folder that is removed afterwards."""
    programs = needs.postgres_programs()
    as_user = ["runuser", "-u", "nobody", "--"] if os.geteuid() == 0 else []
    with tempfile.TemporaryDirectory(prefix="pg-") as name:
        folder = Path(name)
        (folder / "password").write_text(PASSWORD)
        if as_user:
            for each in (folder, folder / "password"):
                shutil.chown(each, "nobody")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]

        def run(program: str, *options: str) -> None:
            command = [*as_user, str(programs / program), *options]
            subprocess.run(command, check=True, timeout=60, stdout=subprocess.DEVNULL, cwd=folder)

        data = str(folder / "data")
        run("initdb", "-D", data, "-U", "clerk", "-A", "scram-sha-256", f"--pwfile={folder / 'password'}")
        run("pg_ctl", "-D", data, "-w", "-l", str(folder / "log"), "-o", f"-p {port} -k {folder} -h 127.0.0.1", "start")
        try:
            address = f"postgresql://clerk:{PASSWORD}@127.0.0.1:{port}/postgres"
            engine = sqlalchemy.create_engine(address.replace("postgresql://", "postgresql+psycopg://"))
            with engine.begin() as connection:
                ward(300).to_sql("visits", connection, index=False)
                connection.exec_driver_sql("CREATE SCHEMA clinic")
                connection.exec_driver_sql(
                    "CREATE TABLE clinic.kinds AS SELECT n AS id, n::numeric(6, 2) / 4 AS price, "
                    "mod(n, 2) = 0 AS flag, "
                    "DATE '2020-01-01' + n AS seen, ARRAY[n] AS list, jsonb_build_object('n', n) AS doc, "
                    "NULLIF(mod(n, 3), 0) AS maybe, n::float8 AS whole FROM generate_series(1, 200) AS n"
                )
            engine.dispose()
            yield address
        finally:
            run("pg_ctl", "-D", data, "-m", "immediate", "stop")


@pytest.fixture(params=["sqlite_address", "postgres_address"])
def address(request: pytest.FixtureRequest) -> str:
    found: str = request.getfixturevalue(request.param)
    return found


def test_a_table_is_read_as_the_same_table_in_a_csv_file_is(tmp_path, address):
    ward(300).to_csv(tmp_path / "ward.csv", index=False)
    (tmp_path / "schema.toml").write_text(
        draft_schema.draft(tmp_path / "ward.csv", target="readmitted"), encoding="utf-8"
    )
    meaning = schema_reader.load(tmp_path / "schema.toml")
    place = place_of(address, table="visits")
    from_database, from_file = table_reader.read(place, meaning), table_reader.read(tmp_path / "ward.csv", meaning)
    pd.testing.assert_frame_equal(from_database.table.frame, from_file.table.frame)
    assert draft_schema.draft(place, target="readmitted") == (tmp_path / "schema.toml").read_text(encoding="utf-8")
    assert from_database.style.format.suffix == "csv"
    assert "CSV" in from_database.style.format.notice
    table_writer.write(
        [from_database.table.frame], from_database.table.schema, from_database.style, tmp_path / "out.csv", seed=1
    )
    table_writer.write([from_file.table.frame], from_file.table.schema, from_file.style, tmp_path / "again.csv", seed=1)
    before, after = pd.read_csv(tmp_path / "again.csv"), pd.read_csv(tmp_path / "out.csv")
    assert dict(after.dtypes) == dict(before.dtypes)
    pd.testing.assert_frame_equal(after.drop(columns="patient_id"), before.drop(columns="patient_id"))


def test_a_query_with_marks_that_mean_something_to_sqlalchemy(address):
    file = read_file(place_of(address, query="SELECT age, ':x %' AS odd FROM visits WHERE sex LIKE '%F%' -- :y"))
    assert [raw.name for raw in file.columns] == ["age", "odd"]
    assert file.rows == (ward(300)["sex"] == "F").sum()
    assert file.columns[1].labels.to_pylist() == [":x %"]


def test_types_that_only_a_database_has(postgres_address):
    file = read_file(place_of(postgres_address, table="clinic.kinds"))
    cells = {raw.name: raw.labels[0].as_py() for raw in file.columns}
    assert cells == {
        "id": "1", "price": "0.25", "flag": "False", "seen": "2020-01-02", "list": "unreadable", "doc": "unreadable",
        "maybe": "1", "whole": "1.0",
    } | {"price": cells["price"]}  # fmt: skip
    assert float(cells["price"]) == 0.25
    assert (file.columns[6].codes < 0).sum() == 66
    drafted = tomllib.loads(draft_schema.draft(place_of(postgres_address, table="clinic.kinds")))
    assert {drafted["columns"][name]["kind"] for name in ("list", "doc")} == {"text"}


def refused(address: str | Path, **chosen: str) -> str:
    with pytest.raises(InputError) as caught:
        read_file(place_of(address, **chosen))
    message = str(caught.value)
    assert PASSWORD not in message
    assert "clerk" not in message
    return message


def test_what_cannot_be_read_is_said(address):
    assert "It has: " in refused(address, table="nobody")
    assert "visits" in refused(address, table="nobody")
    assert "must answer" in refused(address, query="SELECT nonsense FROM visits")
    assert "must answer" in refused(address, query="SELEKT 1")
    assert "header and nothing else" in refused(address, query="SELECT age FROM visits WHERE age > 900")
    assert "'age' names more than one column" in refused(address, query="SELECT age, age FROM visits")
    assert "either --table NAME or --query SQL" in refused(address)
    assert "either --table NAME or --query SQL" in refused(address, table="visits", query="SELECT 1")


@pytest.mark.parametrize("statement", ["DELETE FROM visits", "DROP TABLE visits", "CREATE TABLE more (a INTEGER)"])
def test_a_query_cannot_write(address, statement):
    assert refused(address, query=statement)
    assert read_file(place_of(address, table="visits")).rows == 300


def test_errors_of_the_database_never_hold_a_cell(postgres_address):
    message = refused(postgres_address, query="SELECT CAST(sex AS INTEGER) FROM visits")
    assert "InvalidTextRepresentation, SQLSTATE 22P02" in message
    assert '"F"' not in message
    assert '"M"' not in message


def test_a_wrong_password_or_port_is_said_without_it(postgres_address):
    wrong = postgres_address.replace(PASSWORD, "wrong-secret")
    for address in (wrong, postgres_address.rsplit(":", 1)[0] + ":1/postgres"):
        message = refused(address, table="visits")
        assert "Check host, name, user, password" in message
        assert "wrong-secret" not in message


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("nosuchthing://clerk:hunter2-and-more@host/db", "SQLAlchemy knows"),
        ("mssql://clerk:hunter2-and-more@host/db", "needs its Python driver"),
        ("postgresql://clerk:hunter2-and-more@host:port/db", "must look like"),
        ("sqlite:////no/such/file.db", "no such file"),
        ("sqlite://", "must name a file"),
    ],
)
def test_addresses_that_lead_nowhere(address, said):
    assert said in refused(address, table="visits")


@pytest.mark.slow
def test_a_build_from_a_database_tells_nobody_the_password(tmp_path, postgres_address):
    command = CliRunner()
    schema_file, out = tmp_path / "schema.toml", tmp_path / "run"
    chosen = [postgres_address, "--table", "visits"]
    drafted = command.invoke(main, ["inspect", *chosen, "--target", "readmitted", "--out", str(schema_file)])
    assert drafted.exit_code == 0, drafted.output
    assert "build DATABASE_ADDRESS --table visits" in drafted.output
    policy = ["--schema", str(schema_file), "--policy", str(policy_that_decides("refuse", tmp_path))]
    built = command.invoke(main, ["build", *chosen, *policy, "--out", str(out), "--effort", "0.02", "--seed", "1"])
    assert built.exit_code == 3, built.output
    assert "the synthetic table is CSV" in " ".join(built.output.split())
    assert len(pd.read_csv(next(out.glob("*/synthetic.csv")))) == 300
    assert "postgresql table visits" in (out / "run.json").read_text()
    assert "table (HMAC)" in (out / "run.json").read_text()
    texts = [drafted.output, built.output, *(path.read_text("latin-1") for path in out.rglob("*") if path.is_file())]
    for text in texts:
        assert PASSWORD not in text
        assert "clerk" not in text


def test_a_mistyped_address_is_not_shown_as_a_path():
    for wrong in ("postgres//clerk:hunter2-and-more@host/db", "postgresql:/clerk:hunter2-and-more@host/db"):
        refused(wrong)
        refused(Path(wrong))


def test_a_holdout_must_be_a_file(tmp_path, sqlite_address):
    options = run_options.BuildOptions(holdout=place_of(sqlite_address, table="old"))
    with pytest.raises(InputError, match="must be files"):
        build.build("t.csv", schema_file="none.toml", out=tmp_path / "run", options=options)
