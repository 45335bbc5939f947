"""Table formats: each is read and written back alike; what is broken is refused in words."""

from __future__ import annotations

import contextlib
import datetime
import gzip
import io
import re
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyreadstat
import pytest
from click.testing import CliRunner

from synthrelease.cli.main import main
from synthrelease.core.contracts import Column, Schema
from synthrelease.core.errors import InputError
from synthrelease.data import table_reader, table_writer
from synthrelease.data.formats import FORMATS, archives, place_of, read_file
from synthrelease.schema import schema_file
from synthrelease.workflows.inspect import draft_schema

ROWS = 120


def plain(seed: int = 0) -> pd.DataFrame:
    """Kinds that every typed format can hold."""
    rng = np.random.default_rng(seed)
    score = np.round(rng.normal(10, 3, ROWS), 2)
    score[::9] = np.nan
    return pd.DataFrame(
        {
            "visit_id": rng.permutation(ROWS) + 5000,
            "age": rng.integers(18, 90, ROWS),
            "score": score,
            "sex": rng.choice(["F", "M"], ROWS),
            "note": [f"secret remark {n}" for n in range(ROWS)],
            "ill": rng.integers(0, 2, ROWS),
        }
    )


MEANING = Schema(
    (
        Column("visit_id", "identifier", "identifier"),
        Column("age", "integer", bounds=(0, 120)),
        Column("score", "numeric"),
        Column("sex", "categorical", categories=("M", "F")),
        Column("note", "text", "excluded"),
        Column("ill", "boolean", "target", categories=("0", "1")),
    ),
    target="ill",
)


def saved_again(path: Path, meaning: Schema = MEANING, **chosen: str) -> Path:
    """Read a table and write the same rows back."""
    source = table_reader.read(place_of(path, **chosen), meaning)
    out = path.with_name(f"out.{source.style.format.suffix}")
    assert table_writer.write([source.table.frame], source.table.schema, source.style, out, seed=1) == len(source.table)
    once = out.read_bytes()
    table_writer.write(
        [source.table.frame.iloc[:50], source.table.frame.iloc[50:]], source.table.schema, source.style, out, seed=1
    )
    if source.style.format.suffix not in ("parquet", "orc"):  # their row groups follow the blocks
        assert out.read_bytes() == once
    table_writer.write([source.table.frame], source.table.schema, source.style, out, seed=1)
    again = table_reader.read(out, meaning)
    pd.testing.assert_frame_equal(again.table.frame, source.table.frame)
    return out


def same_but_private(before: pd.DataFrame, after: pd.DataFrame) -> None:
    """Columns, order, dtypes and learned values agree; identifiers are fresh and texts withheld."""
    assert list(after) == list(before)
    assert dict(after.dtypes) == dict(before.dtypes)
    for name in ("age", "score", "sex", "ill"):
        pd.testing.assert_series_equal(after[name], before[name])
    assert after["visit_id"].is_unique
    assert not set(after["visit_id"]) & set(before["visit_id"])
    assert not any("secret" in str(cell) for cell in after["note"])


TYPED: dict[str, tuple[Callable[[pd.DataFrame, Path], object], Callable[[Path], pd.DataFrame]]] = {
    "parquet": (pd.DataFrame.to_parquet, pd.read_parquet),
    "feather": (lambda frame, path: frame.to_feather(path), pd.read_feather),
    "orc": (lambda frame, path: frame.to_orc(path), pd.read_orc),
    "xlsx": (
        lambda frame, path: frame.to_excel(path, index=False),
        lambda path: pd.read_excel(path, engine="openpyxl"),
    ),
    "dta": (lambda frame, path: frame.to_stata(path, write_index=False), pd.read_stata),
    "sav": (pyreadstat.write_sav, lambda path: pyreadstat.read_sav(path)[0]),
    "csv.gz": (lambda frame, path: frame.to_csv(path, index=False), pd.read_csv),
    "csv.zip": (lambda frame, path: frame.to_csv(path, index=False), pd.read_csv),
}


@pytest.mark.parametrize("suffix", TYPED)
def test_every_format_comes_back(tmp_path, suffix):
    save, load = TYPED[suffix]
    path = tmp_path / f"t.{suffix}"
    save(plain(), path)
    out = saved_again(path)
    assert out.name == f"out.{suffix}"
    same_but_private(load(path), load(out))


@pytest.mark.parametrize("suffix", TYPED)
def test_a_drafted_schema_fits_every_format(tmp_path, suffix):
    path = tmp_path / f"t.{suffix}"
    TYPED[suffix][0](plain(), path)
    (tmp_path / "schema.toml").write_text(draft_schema.draft(path, target="ill"), encoding="utf-8")
    meaning = schema_file.load(tmp_path / "schema.toml")
    kinds = {column.name: column.kind for column in meaning.columns}
    assert kinds["visit_id"] == "identifier"
    assert kinds["age"] == "integer"
    assert kinds["score"] == "numeric"
    assert kinds["ill"] == "boolean"
    assert len(table_reader.read(path, meaning).table) == ROWS


def test_every_format_that_is_written_has_a_round_trip():
    assert {each.suffixes[0].strip(".") for each in FORMATS if each.write} <= set(TYPED)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf_16_comes_back(tmp_path, encoding):
    frame = plain().rename(columns={"score": "âge €"})
    columns = tuple(Column("âge €", "numeric") if c.name == "score" else c for c in MEANING.columns)
    path = tmp_path / "t.csv"
    frame.to_csv(path, index=False, encoding=encoding)
    out = saved_again(path, Schema(columns, target="ill"))
    before, after = pd.read_csv(path, encoding=encoding), pd.read_csv(out, encoding=encoding)
    assert dict(after.dtypes) == dict(before.dtypes)
    pd.testing.assert_series_equal(after["âge €"], before["âge €"])
    assert read_file(out).dialect == read_file(path).dialect


def test_stata_keeps_types_labels_and_dates(tmp_path):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "small": rng.integers(0, 90, ROWS).astype("int8"),
            "wide": rng.integers(0, 90_000, ROWS).astype("int32"),
            "single": np.round(rng.normal(size=ROWS), 2).astype("float32"),
            "sex": pd.Categorical(rng.choice(["male", "female"], ROWS), categories=["male", "female"]),
            "code": rng.integers(1, 4, ROWS).astype("int16"),
            "born": pd.date_range("1950-01-01", periods=ROWS),
            "name": [f"Mrs {n}" for n in range(ROWS)],
        }
    )
    path = tmp_path / "t.dta"
    frame.to_stata(
        path,
        write_index=False,
        variable_labels={"small": "Small number"},
        value_labels={"code": {1: "one", 2: "two"}},
        convert_dates={"born": "td"},
    )
    meaning = Schema(
        (
            Column("small", "integer", bounds=(0, 90)),
            Column("wide", "integer"),
            Column("single", "numeric"),
            Column("sex", "categorical", categories=("male", "female")),
            Column("code", "categorical", categories=("1", "2", "3")),
            Column("born", "text", "excluded"),
            Column("name", "text", "excluded"),
        )
    )
    out = saved_again(path, meaning)
    before, after = pd.read_stata(path), pd.read_stata(out)
    assert dict(after.dtypes.drop("sex")) == dict(before.dtypes.drop("sex"))
    assert list(after["sex"].cat.categories) == ["male", "female"]
    for name in ("small", "wide", "single", "sex", "code"):
        pd.testing.assert_series_equal(after[name], before[name])
    assert after["born"].isna().all()
    assert set(after["name"]) == {"withheld"}
    with pd.read_stata(out, iterator=True) as reader:
        assert reader.variable_labels()["small"] == "Small number"
        assert reader.value_labels()["code"] == {1: "one", 2: "two"}


def test_statas_named_missing_values_stay_marks(tmp_path):
    frame = pd.DataFrame(
        {"dose": [1.5, "a", 2.5, "b", None, "a"] * 20, "group": [1, 2, "c", 1, 2, 1] * 20, "ill": [0, 1] * 60}
    )
    path = tmp_path / "t.dta"
    labels = {"group": {1: "treated", 2: "control", "c": "refused"}}
    pyreadstat.write_dta(
        frame, path, variable_value_labels=labels, missing_user_values={"dose": ["a", "b"], "group": ["c"]}
    )
    text = draft_schema.draft(path, target="ill")
    assert 'missing = [".a", ".b"]' in text
    assert '"treated"' in text
    (tmp_path / "schema.toml").write_text(text, encoding="utf-8")
    meaning = schema_file.load(tmp_path / "schema.toml")
    source = table_reader.read(path, meaning)
    assert source.table.frame["dose"].isna().sum() == 80
    assert source.table.frame["group"].isna().sum() == 20
    out = saved_again(path, meaning)
    after, meta = pyreadstat.read_dta(out, user_missing=True)
    assert meta.variable_value_labels["group"] == labels["group"]
    assert set(after["dose"]) == {1.5, 2.5, "a"}  # the commonest of the marks stands for all of them
    assert after["group"].tolist() == frame["group"].tolist()


def test_spss_keeps_labels_measures_and_missing_values(tmp_path):
    rng = np.random.default_rng(1)
    frame = pd.DataFrame(
        {
            "age": rng.choice([20.0, 30.0, 41.0, -9.0], ROWS),
            "sex": rng.choice([1.0, 2.0, 9.0], ROWS),
            "ward": rng.choice(["A", "B"], ROWS),
            "seen": [datetime.date(2020, 1, 1) + datetime.timedelta(n) for n in range(ROWS)],
            "ill": rng.choice([0.0, 1.0], ROWS),
        }
    )
    path = tmp_path / "t.sav"
    pyreadstat.write_sav(
        frame,
        path,
        file_label="A ward",
        column_labels={"age": "Age in years", "sex": "Sex"},
        variable_value_labels={
            "sex": {1: "male", 2: "female", 9: "refused"},
            "age": {-9: "unknown"},
            "ward": {"A": "Acute", "B": "Burns"},
        },
        missing_ranges={"age": [{"lo": -9, "hi": -9}], "sex": [9]},
        variable_measure={"age": "scale", "sex": "nominal"},
        variable_format={"age": "F3.0", "seen": "EDATE10"},
    )  # fmt: skip
    (tmp_path / "schema.toml").write_text(draft_schema.draft(path, target="ill"), encoding="utf-8")
    meaning = schema_file.load(tmp_path / "schema.toml")
    assert meaning.column("age").missing == ("-9",)
    assert set(meaning.column("sex").categories) == {"male", "female"}
    assert meaning.column("sex").missing == ("refused",)
    assert set(meaning.column("ward").categories) == {"Acute", "Burns"}
    out = saved_again(path, meaning)
    (before, was), (after, now) = (pyreadstat.read_sav(each, user_missing=True) for each in (path, out))
    assert dict(after.dtypes) == dict(before.dtypes)
    pd.testing.assert_frame_equal(after[["age", "sex", "ward", "ill"]], before[["age", "sex", "ward", "ill"]])
    kept = ("column_names_to_labels", "variable_value_labels", "missing_ranges", "variable_measure", "file_label")
    for each in kept:
        assert getattr(now, each) == getattr(was, each)
    assert now.original_variable_types["age"] == "F3.0"
    assert now.original_variable_types["seen"] == "EDATE10"


def test_sas_is_read_and_written_as_csv(tmp_path):
    pyreadstat.write_xport(plain(), tmp_path / "t.xpt", file_format_version=8)
    source = table_reader.read(tmp_path / "t.xpt", MEANING)
    assert source.style.format.suffix == "csv"
    assert "the synthetic table is CSV" in source.style.format.notice
    same_but_private(plain(), pd.read_csv(saved_again(tmp_path / "t.xpt")))


def test_excel_types_and_blank_edges(tmp_path):
    import openpyxl

    book = openpyxl.Workbook()
    sheet = book.active
    sheet.title = "Ward 1"
    sheet["C3"], sheet["D3"], sheet["E3"], sheet["F3"], sheet["G3"] = "code", "mixed", "flag", "seen", "=1+1"
    for n in range(ROWS):
        mixed = "n/a" if n % 4 == 0 else n / 4
        row = [None, None, f"00{n % 5}", mixed, n % 2 == 0, datetime.date(2020, 1, 1) + datetime.timedelta(n), "=cmd()"]
        for column, cell in enumerate(row, start=1):
            target = sheet.cell(n + 4, column)
            target.value = cell
            if column == 7:
                target.data_type = "s"
    sheet["G3"].data_type = "s"
    book.save(tmp_path / "t.xlsx")
    meaning = Schema(
        (
            Column("code", "categorical", categories=tuple(f"00{n}" for n in range(5))),
            Column("mixed", "numeric", missing=("n/a",)),
            Column("flag", "boolean", categories=("False", "True")),
            Column("seen", "text", "excluded"),
            Column("=1+1", "categorical", categories=("=cmd()",)),
        )
    )
    out = saved_again(tmp_path / "t.xlsx", meaning)
    written = openpyxl.load_workbook(out)
    assert written.sheetnames == ["Ward 1"]
    rows = list(written["Ward 1"].iter_rows())
    assert [cell.value for cell in rows[0]] == ["code", "mixed", "flag", "seen", "=1+1"]
    assert [cell.value for cell in rows[1]][:3] == ["000", "n/a", True]
    assert [cell.value for cell in rows[2]][:3] == ["001", 0.25, False]
    assert {cell.data_type for row in rows for cell in row} <= {"s", "n", "b"}  # no formula


def test_a_workbook_with_two_sheets_needs_a_choice(tmp_path):
    path = tmp_path / "t.xlsx"
    with pd.ExcelWriter(path) as book:
        plain().head(3).to_excel(book, sheet_name="Small", index=False)
        plain().to_excel(book, sheet_name="All of it", index=False)
        pd.DataFrame().to_excel(book, sheet_name="Sheet3")
    with pytest.raises(InputError, match=r"2 with cells.*--sheet: 'Small', 'All of it'"):
        read_file(path)
    with pytest.raises(InputError, match=r"Choose one of: 'Small', 'All of it'"):
        read_file(place_of(path, sheet="Nobody"))
    with pytest.raises(InputError, match="is empty"):
        read_file(place_of(path, sheet="Sheet3"))
    assert read_file(place_of(path, sheet="All of it")).rows == ROWS
    assert pd.ExcelFile(saved_again(path, sheet="All of it"), engine="openpyxl").sheet_names == ["All of it"]


def test_choices_that_do_not_belong(tmp_path):
    plain().to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(InputError, match="--sheet belongs to a workbook"):
        place_of(tmp_path / "t.csv", sheet="One")
    with pytest.raises(InputError, match="belong to a database"):
        place_of(tmp_path / "t.csv", table="visits")
    with pytest.raises(InputError, match="belong to a database"):
        place_of(str(tmp_path / "t.csv"), query="SELECT 1")


def refused(path: Path, content: bytes | None = None) -> str:
    """The message for a broken file: one of our errors, without a cell."""
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        read_file(path)
    message = str(caught.value)
    assert "secret" not in message
    return message


BINARY = ("parquet", "feather", "orc", "xlsx", "dta", "sav", "csv.gz", "csv.zip")


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9])
@pytest.mark.parametrize("suffix", BINARY)
def test_truncated_files_are_refused(tmp_path, suffix, share):
    path = tmp_path / f"t.{suffix}"
    TYPED[suffix][0](plain(), path)
    content = path.read_bytes()
    message = refused(path, content[: int(len(content) * share)])
    assert "is damaged" in message or "is empty" in message


@pytest.mark.parametrize("suffix", BINARY)
def test_text_under_another_formats_suffix_is_refused(tmp_path, suffix):
    assert "is damaged or is something else" in refused(tmp_path / f"t.{suffix}", b"secret,b\n1,2\n" * 50)


@pytest.mark.parametrize("suffix", BINARY)
def test_other_formats_under_the_csv_suffix_are_named(tmp_path, suffix):
    TYPED[suffix][0](plain(), tmp_path / f"t.{suffix}")
    message = refused(tmp_path / "x.csv", (tmp_path / f"t.{suffix}").read_bytes())
    assert ("is binary" if suffix == "dta" else "Give it that suffix") in message  # old Stata files begin with no name


def test_a_corrupt_member_of_a_workbook_is_refused(tmp_path):
    TYPED["xlsx"][0](plain(), tmp_path / "t.xlsx")
    content = bytearray((tmp_path / "t.xlsx").read_bytes())
    with zipfile.ZipFile(tmp_path / "t.xlsx") as archive:
        at = archive.getinfo("xl/worksheets/sheet1.xml").header_offset + 200
    content[at : at + 40] = bytes(40)
    assert "is damaged" in refused(tmp_path / "t.xlsx", bytes(content))
    with zipfile.ZipFile(tmp_path / "o.xlsx", "w") as archive:
        archive.writestr("hello.txt", "secret")
    assert "is damaged" in refused(tmp_path / "o.xlsx")


def bomb(rows: int) -> bytes:
    return b"a,b\n" + b"1,2\n" * rows


def test_a_stata_file_that_claims_a_billion_rows_is_refused_at_once(tmp_path):
    plain().to_stata(tmp_path / "t.dta", write_index=False, version=118)
    content = (tmp_path / "t.dta").read_bytes()
    claim = b"<N>" + (10**9).to_bytes(8, "little")
    assert "is damaged" in refused(tmp_path / "t.dta", re.sub(rb"<N>.{8}", claim, content, flags=re.DOTALL))


@pytest.mark.parametrize("suffix", ["csv.gz", "csv.zip", "xlsx"])
def test_a_bomb_is_refused_before_it_goes_off(tmp_path, monkeypatch, suffix):
    monkeypatch.setattr(archives, "MOST_UNPACKED_BYTES", 1_000_000)
    path = tmp_path / f"t.{suffix}"
    if suffix == "csv.gz":
        path.write_bytes(gzip.compress(bomb(300_000)))
    else:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("xl/a.xml" if suffix == "xlsx" else "a.csv", bomb(300_000))
    assert "may unpack to at most 1,000,000 bytes" in refused(path)


@pytest.mark.parametrize("suffix", ["csv.zip", "xlsx"])
def test_a_bomb_that_lies_about_its_size_is_refused(tmp_path, monkeypatch, suffix):
    monkeypatch.setattr(archives, "MOST_UNPACKED_BYTES", 1_000_000)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.csv", bomb(300_000))
    size = len(bomb(300_000)).to_bytes(4, "little")
    refused(tmp_path / f"t.{suffix}", buffer.getvalue().replace(size, (500).to_bytes(4, "little")))


def test_archives_of_anything_but_one_file_are_refused(tmp_path):
    for count in (0, 2):
        with zipfile.ZipFile(tmp_path / "t.zip", "w") as archive:
            for n in range(count):
                archive.writestr(f"{n}.csv", bomb(3))
        assert f"holds {count} files" in refused(tmp_path / "t.zip")
    with zipfile.ZipFile(tmp_path / "t.zip", "w") as archive:
        archive.writestr("__MACOSX/._t.csv", "x")
        archive.writestr("folder/t.csv", bomb(3))
    assert read_file(tmp_path / "t.zip").rows == 3


def test_nul_characters_are_refused(tmp_path):
    assert "NUL" in refused(tmp_path / "t.csv", b"a,secret\n1,\x00\n")
    late = b"a,b\n" + b"1,2\n" * 400_000 + b"1,\x00\n"
    assert "NUL" in refused(tmp_path / "t.csv", late)
    assert "NUL" in refused(tmp_path / "t.csv", "a,b\n1,\x002\n".encode("utf-16"))


def test_late_bytes_that_are_not_utf_8_make_it_latin_1(tmp_path):
    (tmp_path / "t.csv").write_bytes(b"a,b\n" + b"1,2\n" * 400_000 + b"1,\xe9\n")
    file = read_file(tmp_path / "t.csv")
    assert file.dialect is not None
    assert file.dialect.encoding == "latin-1"
    assert file.columns[1].labels.to_pylist() == ["2", "é"]


def test_long_cells_and_many_columns(tmp_path):
    frame = plain().assign(note="x" * 10_000)
    frame.to_csv(tmp_path / "t.csv", index=False)
    assert set(pd.read_csv(saved_again(tmp_path / "t.csv"))["note"]) == {"withheld"}
    frame.to_excel(tmp_path / "t.xlsx", index=False)
    saved_again(tmp_path / "t.xlsx")
    wide = pd.DataFrame(np.arange(2_000 * ROWS).reshape(ROWS, 2_000) % 7, columns=[f"c{n}" for n in range(2_000)])
    wide.to_csv(tmp_path / "w.csv", index=False)
    meaning = Schema(tuple(Column(name, "integer") for name in wide))
    pd.testing.assert_frame_equal(pd.read_csv(saved_again(tmp_path / "w.csv", meaning)), wide)


def test_parquet_keeps_repeated_and_dotted_names_apart(tmp_path):
    import pyarrow.parquet as pq

    table = pa.table([pa.array([1, 2]), pa.array([3, 4])], names=["a.b", "a"])
    pq.write_table(table, tmp_path / "t.parquet")
    assert [raw.name for raw in read_file(tmp_path / "t.parquet").columns] == ["a.b", "a"]
    pq.write_table(table.rename_columns(["a", "a"]), tmp_path / "t.parquet")
    assert "'a' names more than one column" in refused(tmp_path / "t.parquet")


def test_the_command_line_tells_of_sheets(tmp_path):
    path = tmp_path / "two sheets.xlsx"
    with pd.ExcelWriter(path) as book:
        plain().to_excel(book, sheet_name="One", index=False)
        plain().to_excel(book, sheet_name="Two", index=False)
    found = CliRunner().invoke(main, ["inspect", str(path)])
    assert found.exit_code == 2
    assert "Choose one by --sheet: 'One', 'Two'" in found.output
    out = str(tmp_path / "schema.toml")
    found = CliRunner().invoke(main, ["inspect", str(path), "--sheet", "Two", "--out", out])
    assert found.exit_code == 0
    assert re.search(r"build '.*two sheets.xlsx' --sheet 'Two' --schema", found.output)


@pytest.mark.parametrize("suffix", BINARY)
def test_flipped_bytes_are_refused_or_read_and_never_end_the_process(tmp_path, suffix):
    path = tmp_path / f"t.{suffix}"
    TYPED[suffix][0](plain(), path)
    content, rng = path.read_bytes(), np.random.default_rng(1)
    for _ in range(30):
        spoilt = np.frombuffer(content, np.uint8).copy()
        spoilt[rng.integers(0, len(spoilt), 5)] = rng.integers(0, 256, 5)
        path.write_bytes(spoilt.tobytes())
        with contextlib.suppress(InputError):
            for raw in read_file(path).columns:
                raw.labels.to_pylist()
