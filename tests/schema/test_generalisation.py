"""Coarser tables: each treatment by hand, the policies' demands, and one place where it happens."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from conftest import ward

import synthrelease
from synthrelease.core.contracts import Coarsening, Column, Schema, Table, Treatment
from synthrelease.core.errors import InputError, PolicyError, SchemaError
from synthrelease.data import table_reader, table_writer
from synthrelease.governance import policy_file
from synthrelease.report import json_records
from synthrelease.schema import datetimes, generalisation
from synthrelease.schema import schema_file as schema_reader
from synthrelease.workflows import finish_run

SAFE_HARBOR = Coarsening(dates="year", ages=89, zip3=True)


def declared(tmp_path, text):
    path = tmp_path / "schema.toml"
    path.write_text(text, encoding="utf-8")
    return schema_reader.load(path)


def coarse(column: Column, values, policy_=None, *, dates="", seed=0) -> pd.Series:
    """One column after every treatment that it, the schema's ``dates`` and the policy demand."""
    if column.is_number:
        cells = pd.Series(np.asarray(values, dtype=float))
    else:
        cells = pd.Series(pd.Categorical(values, categories=list(column.categories)))
    wanted = generalisation.required(Schema((column,), dates=dates), policy_ or Coarsening(), year=2026)
    cells = cells if column.is_number else cells.cat.set_categories(list(wanted.columns[0].categories))
    table = Table(pd.DataFrame({column.name: cells}), wanted, "real")
    made = generalisation.apply(table, seed=seed)
    assert made.schema == generalisation.domain(wanted)
    if not column.is_number:
        assert made.frame[column.name].cat.categories.tolist() == list(made.schema.columns[0].categories)
    again = generalisation.snapped(made.frame, made.schema)
    pd.testing.assert_frame_equal(again, made.frame)
    return made.frame[column.name]


@pytest.mark.parametrize(
    ("treatment", "values", "expected"),
    [
        (Treatment(top_code=89), [0, 89, 90, 104, np.nan], [0, 89, 90, 90, np.nan]),
        (Treatment(bottom_code=18), [0, 17, 18, 40], [17, 17, 18, 40]),
        (Treatment(round_to=5), [1, 3, 87, 90], [0, 5, 85, 90]),
        (Treatment(round_to=0.1), [0.14, 0.16, 3.05], [0.1, 0.2, 3.0]),
        (Treatment(round_to=5, top_code=89), [86, 88, 101], [85, 90, 90]),
    ],
)
def test_numbers(treatment, values, expected):
    column = Column("x", "numeric", bounds=(0.0, 120.0), treatment=treatment)
    assert coarse(column, values).tolist() == pytest.approx(expected, nan_ok=True)


@pytest.mark.parametrize(
    ("truncate", "expected"), [("year", "2024-01-01"), ("month", "2024-02-01"), ("day", "2024-02-29")]
)
def test_dates_are_truncated_by_column_schema_or_policy(truncate, expected):
    leap = datetimes.parse(["2024-02-29 13:15"], Column("x", "datetime"))
    own = coarse(Column("x", "datetime", treatment=Treatment(truncate=truncate)), leap)
    by_schema = coarse(Column("x", "datetime"), leap, dates=truncate)
    by_policy = coarse(Column("x", "datetime"), leap, Coarsening(dates=truncate))
    for days in (own, by_schema, by_policy):
        assert datetimes.spell(days.to_numpy(), Column("x", "date")) == [expected]


@pytest.mark.parametrize(("own", "wanted", "kept"), [("day", "year", "year"), ("year", "month", "year")])
def test_of_two_demands_the_coarser_holds(own, wanted, kept):
    table = generalisation.required(Schema((Column("x", "date"),), dates=own), Coarsening(dates=wanted), year=2026)
    assert table.columns[0].treatment.truncate == kept


def test_times_of_day_and_durations_are_left_alone():
    column = Column("x", "duration")
    assert generalisation.required(Schema((column,)), SAFE_HARBOR, year=2026).columns == (column,)


def test_labels_merge_in_place_and_postcodes_keep_three_characters():
    merged = Column("x", "ordinal", categories=("a", "b", "c"), treatment=Treatment(merge=(("b or c", ("b", "c")),)))
    assert coarse(merged, ["c", "a", None, "b"]).tolist()[::3] == ["b or c", "b or c"]
    codes = Column(
        "x", "categorical", categories=("02139", "02138", "03601", "SW1A 1AA"), treatment=Treatment(zip3=True)
    )
    assert coarse(codes, list(codes.categories)).tolist() == ["021", "021", "000", "SW1"]


def test_the_domain_becomes_coarser_too():
    schema_ = Schema(
        (
            Column("age", "integer", bounds=(0, 120)),
            Column("zip", "categorical", categories=("02139", "02138", "10001")),
            Column("seen", "date", bounds=(19_000.0, 19_900.0)),
            Column("age_band", "ordinal", categories=("80-89", "90-94", "95+")),
        )
    )
    after = generalisation.domain(generalisation.required(schema_, SAFE_HARBOR, year=2026))
    assert after.column("age").bounds == (0, 90)
    assert after.column("zip").categories == ("021", "100")
    assert after.column("age_band").categories == ("80-89", "90+")
    assert [datetimes.written(each, "date") for each in after.column("seen").bounds] == ["2022-01-01", "2024-01-01"]


@pytest.mark.parametrize(
    ("column", "means"),
    [
        (Column("age", "integer"), "age"),
        (Column("AgeAtAdmission", "numeric"), "age"),
        (Column("gestational_age", "integer"), ""),
        (Column("age_months", "integer"), ""),
        (Column("dosage", "integer"), ""),
        (Column("alter", "integer", means="age"), "age"),
        (Column("age", "integer", means="other"), ""),
        (Column("date_of_birth", "date"), "birth"),
        (Column("birth_year", "integer"), "birth"),
        (Column("birth_weight", "numeric"), ""),
        (Column("zip_code", "categorical"), "zip"),
    ],
)
def test_what_a_column_means_is_told_by_its_name_unless_declared(column, means):
    assert generalisation.meaning(column) == means


def test_birth_dates_that_tell_of_an_age_above_89_are_one_group():
    born = datetimes.parse(["1920-05-05", "1936-12-31", "1937-01-01", "2000-02-29"], Column("dob", "date"))
    days = coarse(Column("dob", "date"), born, Coarsening(ages=89)).to_numpy()
    assert datetimes.spell(days, Column("dob", "date")) == ["1936-01-01", "1936-01-01", "1937-01-01", "2000-02-29"]
    assert coarse(Column("yob", "integer"), [1920, 1937, 2000], Coarsening(ages=89)).tolist() == [1936, 1937, 2000]


def test_a_policy_rounds_the_numbers_of_a_role():
    rule = Coarsening(round_to={"quasi_identifier": 5.0})
    assert coarse(Column("x", "integer", role="quasi_identifier"), [3, 13], rule).tolist() == [5, 15]
    assert coarse(Column("x", "integer"), [3, 13], rule).tolist() == [3, 13]


def test_dates_of_a_patient_move_by_the_same_weeks_and_never_by_none():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": rng.integers(17_000, 18_000, 400).astype(float)})
    frame["b"] = frame["a"] + 3.5
    frame.loc[::7, "a"] = np.nan
    columns = (Column("a", "date", bounds=(17_000, 18_000)), Column("b", "datetime"))
    wanted = generalisation.required(Schema(columns, dates="shift"), Coarsening(), year=2026)
    table = Table(frame, wanted, "real", units=np.repeat(np.arange(100), 4))
    moved = generalisation.apply(table, seed=1)
    weeks = (moved.frame["b"] - frame["b"]).to_numpy() / 7
    assert (weeks == weeks.round()).all()
    assert (weeks != 0).all()
    assert np.abs(weeks).max() <= 26
    assert len(np.unique(weeks)) > 20
    assert all(len(set(weeks[start : start + 4])) == 1 for start in range(0, 400, 4))
    assert (moved.frame["b"] - moved.frame["a"]).dropna().eq(3.5).all()
    low, high = moved.schema.column("a").bounds
    assert moved.frame["a"].dropna().between(low, high).all()
    assert generalisation.apply(replace(table, schema=generalisation.unshifted(wanted)), seed=1).frame.equals(frame)


@pytest.mark.parametrize(
    ("block", "said"),
    [
        ('kind = "date"\ntop_code = 5', "columns.x.top_code: belongs to numeric and integer columns"),
        ('kind = "integer"\nround_to = 0', "columns.x.round_to: is a step above 0"),
        ('kind = "integer"\nround_to = 2.5', "columns.x.round_to: must be whole"),
        ('kind = "integer"\ntop_code = 5\nbottom_code = 6', "columns.x.bottom_code: must lie below top_code"),
        ('kind = "integer"\ntruncate = "year"', "columns.x.truncate: belongs to date and datetime"),
        ('kind = "date"\ntruncate = "week"', "columns.x.truncate: 'week' is not known"),
        ('kind = "integer"\nzip3 = true', "columns.x.zip3: belongs to categorical columns"),
        ('kind = "categorical"\ncategories = ["a", "b"]\nmerge = {"c" = ["a", "z"]}', "however 1 of 2 are none"),
        ('kind = "categorical"\ncategories = ["a", "b"]\nmerge = {"c" = ["a"], "d" = ["a"]}', "one goes into two"),
    ],
)
def test_treatments_that_make_no_sense_are_named(tmp_path, block, said):
    with pytest.raises(SchemaError) as error:
        declared(tmp_path, f'[columns.y]\nkind = "integer"\n[columns.x]\n{block}\n')
    assert said in str(error.value)


def test_the_words_of_the_column_table(tmp_path):
    meaning = declared(
        tmp_path,
        'dates = "month"\n[columns.admitted]\nkind = "date"\n[columns.left]\nkind = "date"\nanchor = "admitted"\n'
        "[columns.age]\nkind = 'integer'\ntop_code = 89\n",
    )
    facts = {
        fact.name: fact for fact in json_records.column_facts(generalisation.required(meaning, Coarsening(), year=2026))
    }
    assert facts["left"].treatment == (
        "learned as the interval from admitted; made coarser first: only the month is kept"
    )
    assert facts["age"].treatment == "learned; made coarser first: above 89 becomes 90"


def test_the_policies_of_the_package_want_what_they_say():
    known = finish_run.known_checks()
    wants = {name: policy_file.load(name, known).generalise for name in policy_file.names()}
    assert wants["open_release"] == SAFE_HARBOR
    assert wants["partner_handoff"].dates == "month"
    assert wants["internal_sandbox"] == Coarsening()


def test_a_policy_file_is_checked_and_its_digest_covers_the_demands(tmp_path):
    known, text = (
        finish_run.known_checks(),
        (policy_file.folder() / "internal_sandbox.toml").read_text(encoding="utf-8"),
    )
    path = tmp_path / "ours.toml"
    digests = []
    for block in ('dates = "year"', "ages = 89\nround_to = {quasi_identifier = 5}"):
        path.write_text(text.replace("[[rules]]", f"[generalise]\n{block}\n\n[[rules]]", 1), encoding="utf-8")
        digests.append(policy_file.load(str(path), known).digest)
    assert digests[0] != digests[1]
    path.write_text(text.replace("[[rules]]", '[generalise]\ndates = "week"\n\n[[rules]]', 1), encoding="utf-8")
    with pytest.raises(PolicyError, match=r"generalise\.dates"):
        policy_file.load(str(path), known)


def visits(rows: int, seed: int = 0) -> pd.DataFrame:
    """The made-up ward with dates, postcodes and some very old patients."""
    rng = np.random.default_rng(seed)
    frame = ward(rows, seed)
    frame["age"] = rng.integers(20, 104, rows)
    admitted = pd.Timestamp("2020-02-28") + pd.to_timedelta(rng.integers(0, 1_400, rows), "D")
    frame["admitted"] = admitted.strftime("%d/%m/%Y")
    frame["discharged"] = (admitted + pd.to_timedelta(frame["stay"].to_numpy(), "D")).strftime("%d/%m/%Y")
    frame["zip"] = rng.choice(["02138", "02139", "10001", "03601"], rows)
    return frame


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("visits")
    visits(400).to_csv(folder / "visits.csv", index=False)
    text = synthrelease_draft(folder / "visits.csv")
    (folder / "schema.toml").write_text(text, encoding="utf-8")
    return folder


def synthrelease_draft(path):
    from synthrelease.workflows.inspect import draft_schema

    return draft_schema.draft(path, target="readmitted")


QUICK = synthrelease.BuildOptions(seed=7, effort=0.05)


def built(files, out, *, options=QUICK, change=None, **settings):
    schema_file = files / "schema.toml"
    if change is not None:
        schema_file = out.parent / "changed.toml"
        schema_file.write_text(change + (files / "schema.toml").read_text(encoding="utf-8"), encoding="utf-8")
    result = synthrelease.build(files / "visits.csv", schema_file=schema_file, out=out, options=options, **settings)
    (made,) = [*result.folder.glob("*/synthetic.csv")]
    return result, pd.read_csv(made, dtype=str)


def test_an_open_release_holds_years_and_three_digits_and_no_age_above_90(files, tmp_path):
    result, made = built(files, tmp_path / "run", policy_name="open_release")
    assert made["admitted"].str.fullmatch(r"01/01/20\d\d").all()
    assert made["discharged"].str.fullmatch(r"01/01/20\d\d").all()
    assert set(made["zip"]) <= {"021", "100", "000"}
    assert made["age"].astype(int).max() <= 90
    assert "made coarser first: only the year is kept" in result.report.read_text(encoding="utf-8")
    assert any("wants 'age' coarser" in notice for notice in result.facts.notices)
    facts = {fact.name: fact for fact in result.facts.columns}
    assert facts["zip"].domain == "021, 000, 100"
    validity = next(each for each in result.results if each.check == "validity")
    assert validity.metric("cells_outside_domain").value == 0


def test_dates_without_a_demand_keep_their_format_and_their_order(files, tmp_path):
    result, made = built(files, tmp_path / "run", policy_name="internal_sandbox")
    days = {name: pd.to_datetime(made[name], format="%d/%m/%Y") for name in ("admitted", "discharged")}
    assert (days["discharged"] >= days["admitted"]).all()
    assert made["zip"].str.fullmatch(r"\d{5}").all()
    assert result.facts.notices == ()
    assert json.loads((result.folder / "internal" / "transforms.json").read_text())["parts"][0]["anchor"] == "admitted"


def test_shifted_dates_repeat_under_a_seed(files, tmp_path):
    runs = [built(files, tmp_path / name, policy_name="internal_sandbox", change='dates = "shift"\n') for name in "ab"]
    assert runs[0][1].equals(runs[1][1])
    assert "moved by random weeks" in runs[0][0].report.read_text(encoding="utf-8")


def test_a_vendors_table_is_judged_and_handed_over_coarse(files, tmp_path):
    for seed, name in enumerate(("train", "holdout", "vendor"), start=5):
        visits(300, seed).to_csv(tmp_path / f"{name}.csv", index=False)
    tables_ = synthrelease.AuditTables(*(tmp_path / f"{name}.csv" for name in ("train", "holdout", "vendor")))
    result = synthrelease.audit(
        tables_, schema_file=files / "schema.toml", out=tmp_path / "run", policy_name="open_release", options=QUICK
    )
    made = pd.read_csv(result.folder / "quarantine" / "synthetic.csv", dtype=str)
    assert made["admitted"].str.fullmatch(r"01/01/20\d\d").all()
    assert made["age"].astype(int).max() == 90
    assert set(made["zip"]) == {"021", "100", "000"}


def test_postcodes_that_are_not_listed_are_read_by_their_first_three_characters(tmp_path):
    meaning = declared(
        tmp_path,
        '[columns.n]\nkind = "integer"\n'
        '[columns.zip]\nkind = "categorical"\nzip3 = true\ncategories = ["021", "100"]\n',
    )
    path = tmp_path / "t.csv"
    path.write_text("n,zip\n" + "".join(f"{n},{('02139', '10001')[n % 2]}\n" for n in range(120)), encoding="utf-8")
    wanted = generalisation.required(meaning, Coarsening(), year=2026)
    assert table_reader.read(path, wanted).table.frame["zip"].value_counts().to_dict() == {"021": 60, "100": 60}
    path.write_text("n,zip\n" + "1,99999\n" * 120, encoding="utf-8")
    with pytest.raises(InputError, match="must hold one of its 2 categories"):
        table_reader.read(path, wanted)


def test_merged_labels_fit_a_column_of_integers_as_text(tmp_path):
    frame = pd.DataFrame({"ward": [1, 2, 3] * 50, "n": range(150)})
    frame.to_parquet(tmp_path / "t.parquet")
    meaning = declared(
        tmp_path,
        '[columns.ward]\nkind = "categorical"\ncategories = [1, 2, 3]\nmerge = {"other" = ["2", "3"]}\n'
        '[columns.n]\nkind = "integer"\n',
    )
    wanted = generalisation.required(meaning, Coarsening(), year=2026)
    source = table_reader.read(tmp_path / "t.parquet", wanted)
    table = generalisation.apply(source.table, seed=0)
    table_writer.write([table.frame], table.schema, source.style, tmp_path / "out.parquet", seed=0)
    assert pd.read_parquet(tmp_path / "out.parquet")["ward"].tolist()[:3] == ["1", "other", "other"]
