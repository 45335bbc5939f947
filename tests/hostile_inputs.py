"""Broken and hostile tables, each with the answer that the command line must give."""

from __future__ import annotations

import gzip
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

ROWS = 160
Writer = Callable[[Path], Path]


@dataclass(frozen=True)
class Case:
    """A hostile input: how it is written, and where the command line answers it.

    ``answer`` is ``inspect`` or ``build`` (which of them refuses, exit code 2) or ``built`` (a verdict: 0, 3 or 4).
    ``says`` must occur in a refusal. ``schema`` replaces the drafted schema, and then ``inspect`` does not run.
    """

    name: str
    write: Writer
    answer: str = "built"
    says: str = ""
    target: str | None = "result"
    unit: str | None = None
    schema: str | None = None


CASES: list[Case] = []


def case(
    name: str, answer: str = "built", says: str = "", *, target: str | None = "result", unit: str | None = None,
    schema: str | None = None,
) -> Callable[[Writer], Writer]:  # fmt: skip
    """Add the decorated writer to the cases."""

    def added(write: Writer) -> Writer:
        CASES.append(Case(name, write, answer, says, target, unit, schema))
        return write

    return added


def frame(rows: int = ROWS, **more: object) -> pd.DataFrame:
    """A small table whose cells are easy to find in a message; ``more`` adds or replaces columns."""
    rng = np.random.default_rng(rows)
    base = pd.DataFrame(
        {
            "score": rng.integers(20, 80, rows),
            "weight": np.round(rng.normal(71, 9, rows), 4),
            "place": rng.choice(["cellnorth", "cellsouth"], rows),
            "result": rng.choice(["cellyes", "cellno"], rows),
        }
    )
    return base.assign(**more)


def cycle(*values: object, rows: int = ROWS) -> list[object]:
    """The values over and over, one a row."""
    return [values[row % len(values)] for row in range(rows)]


def as_csv(folder: Path, table: pd.DataFrame, **options: object) -> Path:
    """Write a table as CSV."""
    path = folder / "table.csv"
    table.to_csv(path, index=False, **options)
    return path


def as_bytes(folder: Path, content: bytes, name: str = "table.csv") -> Path:
    """Write bytes to a file."""
    path = folder / name
    path.write_bytes(content)
    return path


def csv_bytes(table: pd.DataFrame | None = None) -> bytes:
    """The table as UTF-8 CSV."""
    return (frame() if table is None else table).to_csv(index=False).encode()


def as_parquet(folder: Path, table: pa.Table) -> Path:
    """Write an Arrow table as Parquet."""
    path = folder / "table.parquet"
    pq.write_table(table, path)
    return path


def added(name: str, values: object, answer: str = "built", says: str = "", **options: object) -> None:
    """A case of the small table with one more column, or one replaced."""
    CASES.append(Case(name, lambda folder: as_csv(folder, frame(extra=values)), answer, says, **options))  # type: ignore[arg-type]


def targeted(name: str, values: object, answer: str = "built", says: str = "") -> None:
    """A case of the small table with another target."""
    CASES.append(Case(name, lambda folder: as_csv(folder, frame(result=values)), answer, says))


def renamed(name: str, *names: str, answer: str = "built", says: str = "") -> None:
    """A case of the small table with other column names."""

    def write(folder: Path) -> Path:
        table = frame()
        table.columns = pd.Index([*names, *table.columns[len(names) :]])
        return as_csv(folder, table)

    CASES.append(Case(name, write, answer, says))


# Cells
added("numbers and words in one column", cycle(1, 2.5, "cellword", 7))
added("dates in three formats", cycle("2020-03-04", "17/05/2021", "Mar 5 2019"))
added("29 February", cycle("2020-02-29", "2024-02-29", "2023-03-01", "2023-02-27"))
added("29 February of a year that has none", cycle("2020-02-29", "2023-02-29", "2023-03-01"))
added("the year 9999", cycle("2020-02-29", "9999-12-31", "2023-03-01", "0001-01-01"))
added("decimal commas", [f"{value / 10:.1f}".replace(".", ",") for value in range(ROWS)])
added("thousands separators", [f"1,{value:03d}.5" for value in range(ROWS)])
added("a cell of 10,000 characters", ["celllong" * 1250, *cycle("a", "b", rows=ROWS - 1)])
added("a cell of 10,000 digits", ["9" * 10_000, *cycle(1, 2, 3, rows=ROWS - 1)])
added("NUL bytes", cycle("cell\0nul", "cellplain"), "inspect", "NUL")
added("infinity", cycle(1.5, "inf", "-inf", 2.5))
added("not a number", cycle(1.5, "nan", "NaN", 2.5))
added("formulas", cycle("=1+1", "@SUM(A1)", "+cmd|' /C calc'!A0", "-2+3"))
added("a path", cycle("../../etc/passwd", "C:\\windows\\system32", "/dev/null"))
added("SQL and markup", cycle("'; DROP TABLE patients;--", "<script>alert(1)</script>", "{{7*7}}"))
added("terminal escapes", cycle("\x1b[31mcellred\x1b[0m", "cell\x07bell", "[bold]cell[/bold]"))
added("emoji", cycle("🙂", "👩‍⚕️", "é", "e\u0301"))
added("blanks around and inside labels", cycle(" cella", "cella ", "cel la", "\u00a0cella"))
added("line breaks inside cells", cycle("cell\none", "cell\r\ntwo", 'cell"quoted"'))
added("the widest integers", cycle(2**63 - 1, -(2**63), 2**63, 0))
added("1e308", cycle(1e308, -1e308, 1e-308, 0.0))
added("5e-324 and minus zero", cycle(5e-324, "-0.0", "0", "1e-320"))
added("truth values as text", cycle("TRUE", "false", "True", "FALSE"))
added("truth values of three kinds", cycle("yes", "0", "True", "N"))
added("a constant number", [7] * ROWS)
added("a constant label", ["cellsame"] * ROWS)
added("a column that is missing throughout", [None] * ROWS)
added("500 classes", [f"cell{row % 500}" for row in range(ROWS)])
added("a label that is a TOML table", cycle("]\n[columns.x]", '"""', "'''", "\\"))
added("other digits", cycle("١٢٣", "\uff14\uff15", "Ⅷ"))
added("numbers of many decimals", [f"0.{row:03d}{'123456789' * 4}" for row in range(ROWS)])

# Targets
targeted("a target of truth values with gaps", cycle("true", "false", ""), "build", "missing in 53 rows")
targeted("a target of one class", ["cellyes"] * ROWS, "build", "two classes")
targeted("a target that is missing throughout", [""] * ROWS, "inspect", "target must hold")
targeted("a target of 80 classes", cycle(*(f"cell{number}" for number in range(80))), "inspect", "at most 50 labels")
targeted("a target with a class of one row", ["cellrare", *cycle("cellyes", "cellno", rows=ROWS - 1)], "build", "1 row")

# Names
renamed("names that differ by blanks", "score", " score")
renamed("names that occur twice", "score", "score", answer="inspect", says="unique")
renamed("a name that is empty", "")
renamed("markup and formulas as names", "<script>alert(1)</script>", "=cmd|' /C calc'!A0", "{{7*7}}")
renamed("quotes and line breaks in names", "a\"b'c", "two\nlines", "back\\slash")
renamed("TOML and paths as names", "a.b]", "../../x", "[columns]")
renamed("emoji and right-to-left marks as names", "🙂", "\u202eabc", "[bold]x[/bold]")
renamed("terminal escapes as names", "\x1b[31mred", "bell\x07", "null\x7f")
renamed("a name of 5,000 characters", "n" * 5000)
renamed("names of the package itself", "rows", "target", "__index__")


# Shapes
@case("one row", "build", "at least 100 rows", target=None)
def _(folder: Path) -> Path:
    return as_csv(folder, frame(1))


@case("two rows", "inspect", "target must hold")
def _(folder: Path) -> Path:
    return as_csv(folder, frame(2))


@case("one column", target=None)
def _(folder: Path) -> Path:
    return as_csv(folder, frame()[["score"]])


@case("the target and nothing else")
def _(folder: Path) -> Path:
    return as_csv(folder, frame()[["result"]])


@case("2,000 columns", "build", "at least 100 rows")
def _(folder: Path) -> Path:
    rng = np.random.default_rng(0)
    wide = pd.DataFrame(rng.integers(0, 3, (40, 2000)), columns=[f"c{number}" for number in range(2000)])
    return as_csv(folder, wide.assign(result=cycle("cellyes", "cellno", rows=40)))


@case("equal rows", "build", "two classes")
def _(folder: Path) -> Path:
    return as_csv(folder, pd.concat([frame(1)] * ROWS))


@case("a table that is missing throughout", "build", "nothing is left to learn", target=None)
def _(folder: Path) -> Path:
    return as_bytes(folder, b"a,b,c\n" + b",,\n" * ROWS)


@case("one patient", "build", "has 1", unit="person")
def _(folder: Path) -> Path:
    return as_csv(folder, frame(person=["cellperson"] * ROWS))


@case("patients without a number", "build", "54 rows", unit="person")
def _(folder: Path) -> Path:
    return as_csv(folder, frame(person=[f"cellperson{row}" if row % 3 else "" for row in range(ROWS)]))


@case("no patient has a number", "build", "160 rows", unit="person")
def _(folder: Path) -> Path:
    return as_csv(folder, frame(person=[""] * ROWS))


@case("a unit that the table lacks", "inspect", "person", unit="person")
def _(folder: Path) -> Path:
    return as_csv(folder, frame())


@case("a target that the table lacks", "inspect", "outcome", target="outcome")
def _(folder: Path) -> Path:
    return as_csv(folder, frame())


OTHER = 'target = "result"\n[columns.score]\nkind = "integer"\nbounds = [20, 30]\n'
ONE = 'target = "result"\n[columns.result]\nkind = "categorical"\ncategories = ["cellyes", "cellno"]\n'


@case("a schema of another table", "build", "'result'", schema=OTHER)
@case(
    "a schema with columns that the table lacks",
    "build",
    "elsewhere",
    schema=ONE + '[columns.elsewhere]\nkind = "integer"\n',
)
@case("a schema that is no TOML", "build", "TOML", schema="[columns\n")
@case("a schema that is empty", "build", "", schema="")
def _(folder: Path) -> Path:
    return as_csv(folder, frame())


@case("values outside their declared bounds", "build", "bounds", schema=OTHER.replace('target = "result"\n', ""))
def _(folder: Path) -> Path:
    return as_csv(folder, frame()[["score"]])


@case("labels that nobody declared", "build", "result", schema=ONE)
def _(folder: Path) -> Path:
    return as_csv(folder, frame(result=cycle("cellyes", "cellno", "cellmaybe"))[["result"]])


# Files
@case("an empty file", "inspect")
def _(folder: Path) -> Path:
    return as_bytes(folder, b"")


@case("a file of blanks", "inspect")
def _(folder: Path) -> Path:
    return as_bytes(folder, b"\n\n  \n")


@case("a header and nothing else", "inspect")
def _(folder: Path) -> Path:
    return as_bytes(folder, b"score,weight,result\n")


@case("random bytes", "inspect", target=None)
def _(folder: Path) -> Path:
    return as_bytes(folder, np.random.default_rng(0).bytes(5000))


@case("a picture called .csv", "inspect", target=None)
def _(folder: Path) -> Path:
    return as_bytes(folder, b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 8)


@case("a Parquet file called .csv", "inspect")
def _(folder: Path) -> Path:
    return as_parquet(folder, pa.Table.from_pandas(frame())).rename(folder / "table.csv")


@case("a CSV file called .parquet", "inspect")
def _(folder: Path) -> Path:
    return as_bytes(folder, csv_bytes(), "table.parquet")


@case("a CSV file called .xlsx", "inspect")
def _(folder: Path) -> Path:
    return as_bytes(folder, csv_bytes(), "table.xlsx")


@case("a Parquet file cut in half", "inspect")
def _(folder: Path) -> Path:
    path = as_parquet(folder, pa.Table.from_pandas(frame()))
    return as_bytes(folder, path.read_bytes()[: path.stat().st_size // 2], path.name)


@case("a Parquet file with damaged pages", "inspect")
def _(folder: Path) -> Path:
    content = bytearray(as_parquet(folder, pa.Table.from_pandas(frame())).read_bytes())
    content[40:400] = b"\xff" * 360
    return as_bytes(folder, bytes(content), "table.parquet")


@case("lists in Parquet")
def _(folder: Path) -> Path:
    return as_parquet(folder, pa.Table.from_pandas(frame(extra=[[row, 2] for row in range(ROWS)])))


@case("structures in Parquet")
def _(folder: Path) -> Path:
    return as_parquet(folder, pa.Table.from_pandas(frame(extra=[{"a": row} for row in range(ROWS)])))


@case("bytes in Parquet")
def _(folder: Path) -> Path:
    return as_parquet(folder, pa.Table.from_pandas(frame(extra=cycle(b"\xff\xfe", b"cell", None))))


@case("decimals and time stamps in Parquet")
def _(folder: Path) -> Path:
    table = pa.Table.from_pandas(frame())
    table = table.append_column("cost", pa.array([Decimal(row) / 4 for row in range(ROWS)], pa.decimal128(12, 4)))
    stamps = [datetime(2020, 1, 1 + row % 28, row % 24, tzinfo=UTC) for row in range(ROWS)]
    table = table.append_column("seen", pa.array(stamps, pa.timestamp("ns", "UTC")))
    return as_parquet(folder, table.append_column("day", pa.array([date(1969, 12, 31)] * ROWS, pa.date32())))


@case("infinity and NaN in Parquet")
def _(folder: Path) -> Path:
    return as_parquet(folder, pa.Table.from_pandas(frame(extra=cycle(1.0, np.inf, -np.inf, np.nan))))


@case("an Excel file with two sheets", "inspect", "--sheet")
def _(folder: Path) -> Path:
    path = folder / "table.xlsx"
    with pd.ExcelWriter(path) as book:
        frame().to_excel(book, sheet_name="one", index=False)
        frame().to_excel(book, sheet_name="two", index=False)
    return path


@case("a zip bomb", "inspect", "unpack to at most", target=None)
def _(folder: Path) -> Path:
    path = folder / "table.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("table.csv", b"a,b\n" * ROWS)
        packed.infolist()[0].file_size = 5 * 2**30
    return path


@case("an Excel file that is a zip bomb", "inspect", target=None)
def _(folder: Path) -> Path:
    path = folder / "table.xlsx"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("xl/worksheets/sheet1.xml", bytes(50 * 2**20))
    return path


@case("a zip file with two tables", "inspect")
def _(folder: Path) -> Path:
    path = folder / "table.zip"
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr("../../one.csv", csv_bytes())
        packed.writestr("two.csv", csv_bytes())
    return path


@case("a packed CSV file")
def _(folder: Path) -> Path:
    return as_bytes(folder, gzip.compress(csv_bytes()), "table.csv.gz")


@case("a packed CSV file cut in half", "inspect")
def _(folder: Path) -> Path:
    packed = gzip.compress(csv_bytes())
    return as_bytes(folder, packed[: len(packed) // 2], "table.csv.gz")


@case("a folder in place of a file", "inspect")
def _(folder: Path) -> Path:
    path = folder / "table.csv"
    path.mkdir()
    return path


@case("a file that is not there", "inspect", "table.csv")
def _(folder: Path) -> Path:
    return folder / "table.csv"


# Spelling
@case("UTF-16")
def _(folder: Path) -> Path:
    return as_csv(folder, frame(), encoding="utf-16")


@case("a byte order mark")
def _(folder: Path) -> Path:
    return as_csv(folder, frame(), encoding="utf-8-sig")


@case("Windows line ends and semicolons")
def _(folder: Path) -> Path:
    return as_csv(folder, frame(), sep=";", decimal=",", lineterminator="\r\n")


@case("old Macintosh line ends")
def _(folder: Path) -> Path:
    return as_bytes(folder, csv_bytes().replace(b"\n", b"\r"))


@case("bytes that are no UTF-8")
def _(folder: Path) -> Path:
    return as_bytes(folder, csv_bytes().replace(b"cellnorth", b"cell\xe9\x81\xff"))


@case("rows that are too long", "inspect")
def _(folder: Path) -> Path:
    return as_bytes(folder, csv_bytes() + b"1,2.5,cellragged,cellyes,surplus,more\n")


@case("rows that are too short", "inspect")
def _(folder: Path) -> Path:
    return as_bytes(folder, csv_bytes() + b"31,cellragged\n")


@case("a quote that never ends", "inspect")
def _(folder: Path) -> Path:
    return as_bytes(folder, csv_bytes() + b'31,71.5,"cellopen,cellyes\n' + csv_bytes())


@case("quotes inside cells")
def _(folder: Path) -> Path:
    return as_bytes(folder, csv_bytes().replace(b"cellnorth", b'cell"no"rth'))


# Planned analyses
SURVIVAL = """[columns.score]
kind = "integer"
[columns.weight]
kind = "numeric"
[columns.place]
kind = "categorical"
categories = ["cellnorth", "cellsouth"]
[columns.result]
kind = "integer"
[[analyses]]
name = "survival"
model = "cox"
outcome = { time = "weight", event = "result" }
covariates = ["score", "place"]
"""


def event(rows: int = ROWS) -> np.ndarray:
    """An event that a third of the rows have."""
    return (np.arange(rows) % 3 == 0).astype(int)


@case(
    "a time below 0", "build", "1 row breaks the rule '`weight` >= 0', which the analysis 'survival'", schema=SURVIVAL
)
def _(folder: Path) -> Path:
    table = frame(result=event())
    table.loc[3, "weight"] = -77.125
    return as_csv(folder, table)


@case("an event that is neither 0 nor 1", "build", "cells are neither 0 nor 1 in the event 'result'", schema=SURVIVAL)
def _(folder: Path) -> Path:
    return as_csv(folder, frame(result=np.where(event() == 1, 77125, 0)))


@case(
    "covariates that tell the outcomes apart",
    "build",
    "the covariates tell the outcomes apart",
    schema=SURVIVAL.replace("cox", "logistic")
    .replace('{ time = "weight", event = "result" }', '"place"')
    .replace('["score", "place"]', '["score"]'),
)
def _(folder: Path) -> Path:
    table = frame(result=0)
    return as_csv(folder, table.assign(place=np.where(table["score"] > 50, "cellnorth", "cellsouth")))
