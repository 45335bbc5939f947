"""What names, shapes and check digits say about a column."""

from __future__ import annotations

import time

import numpy as np
import pandas as pd
import pytest
from conftest import real_file
from made_up_identifiers import Case, german_insurance, harmless, identifying
from stdnum.gb import nhs

from synthrelease.schema.identifiers import detection, patterns
from synthrelease.schema.identifiers.detection import View, examine


@pytest.mark.parametrize(
    "name",
    ["name", "LastName", "e-mail", "patient_email", "PHONE", "home address", "SSN", "nhs_number", "MRN", "ip address"],
)
def test_names_that_identify(name):
    assert detection.by_name(name) is not None


@pytest.mark.parametrize(
    "name", ["drug_name", "age", "num_lab_procedures", "number_emergency", "diagnosis", "email_count_n", "streets", ""]
)
def test_names_that_do_not(name):
    found = detection.by_name(name)
    assert found is None or name == "email_count_n"


def test_numbers_that_stand_for_people():
    for name in ("patient_nbr", "patientId", "subject_id", "MRN", "PatientID", "person no"):
        assert detection.is_person_number(name), name
    for name in ("encounter_id", "admission_type_id", "id", "patients_seen", "number_inpatient"):
        assert not detection.is_person_number(name), name
    assert detection.is_number_name("encounter_id")
    assert not detection.is_number_name("number_diagnoses")


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        (["ann@example.org", "b.c@d-e.fi"], "e-mail address"),
        (["https://example.org/1"], "web address"),
        (["10.0.0.1"], "network address"),
        (["078-05-1120"], "social security or national identity number"),
        (["123e4567-e89b-12d3-a456-426614174000"], "unique number or code"),
        (["+44 20 7946 0958", "(020) 7946 0958"], "telephone number"),
    ],
)
def test_shapes(cells, kind):
    found = detection.by_shape(cells)
    assert found is not None
    assert found.kind == kind
    assert not any(cell in found.why for cell in cells)


def test_the_nhs_check_digit_by_hand():
    # 943 476 5919: 9*10+4*9+3*8+4*7+7*6+6*5+5*4+9*3+1*2 = 299 = 27*11 + 2, and 11 - 2 = 9
    assert nhs.is_valid("943 476 5919")
    assert not nhs.is_valid("943 476 5918")
    assert not nhs.is_valid("94347659")


def test_nhs_numbers_are_told_from_other_numbers_of_ten_digits():
    valid = [str(n) for n in range(4_000_000_000, 4_000_000_600) if nhs.is_valid(str(n))]
    assert detection.by_shape(valid) is not None
    assert detection.by_shape([str(n) for n in range(4_000_000_000, 4_000_000_050)]) is None


def test_dates():
    assert detection.are_dates(["2024-02-29", "2024-03-01T10:30:00Z"])
    assert detection.are_dates(["29/02/2024", "1.3.24", "3 Mar 2024"])
    assert not detection.are_dates(["[10-20)", "1-2", "12.5"])
    assert not detection.are_dates([])


def test_bands_of_ages_are_no_telephone_numbers():
    assert detection.by_shape(["18-39", "40-64", "65-79"]) is None


def test_every_class_is_found_by_its_name_and_is_direct():
    wrong = [
        (case.letter, case.name, found)
        for case in identifying()
        if (found := examine(case.view())) is None or not found.is_direct or found.letter != case.letter
    ]
    assert wrong == []


def test_recall_and_false_alarms_class_by_class(capsys):
    """With its heading every column is found; under the heading ``x`` those that have a shape of their own."""
    recall: dict[str, list[tuple[bool, bool]]] = {}
    for case in identifying():
        recall.setdefault(case.letter, []).append(
            (examine(case.view()) is not None, examine(case.view("x")) is not None)
        )
    assert set(recall) == set("ABCDEFGHIJKLMNOPQR")
    alarms = [(case.name, name) for case in harmless() for name in (case.name, "x") if examine(case.view(name))]
    with capsys.disabled():
        print("\nclass  columns  found by name  under the heading x")
        for letter, found in sorted(recall.items()):
            named, shaped = (sum(column) for column in zip(*found, strict=True))
            print(f"  ({letter})  {len(found):7}  {named:13}  {shaped:19}")
        print(f"false alarms: {len(alarms)} of {2 * len(list(harmless()))} harmless columns")
    assert alarms == []
    for letter in "DEFGNOQ":
        assert all(shaped for _, shaped in recall[letter]), letter


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("wdbc", {"id"}),
        ("stroke", {"id"}),
        ("pima", set()),
        ("adult", set()),
        ("creditcard_sample", set()),
        ("diabetes130", {"encounter_id", "patient_nbr"}),
    ],
)
def test_real_tables_raise_no_false_alarm(name, expected):
    frame = pd.read_csv(real_file(name), dtype=str, keep_default_na=False)
    found = {column for column in frame if examine(Case("", column, frame[column].tolist()).view())}
    assert found == expected


def test_a_finding_repeats_no_cell():
    for case in identifying():
        found = examine(case.view())
        assert found is not None
        assert not any(len(value) > 3 and value in found.why + found.kind for value in case.texts)


def test_the_german_check_digit_by_hand():
    # A00050000 becomes 0 1 0 0 0 5 0 0 0 0 with weights 1 2 1 2 1 2 ...: 1*2 + 5*2 -> 2 + (1 + 0) = 3
    assert patterns.is_german_insurance("A000500003")
    assert not patterns.is_german_insurance("A000500004")
    rng = np.random.default_rng(0)
    assert all(patterns.is_german_insurance(german_insurance(rng)) for _ in range(200))


def test_uniqueness_counts_patients_and_not_rows():
    patients = np.repeat(np.arange(150), 3)
    assert detection.are_paired(patients[::-1] * 7, patients[::-1])
    assert not detection.are_paired(patients // 2, patients)
    assert not detection.are_paired(np.arange(450), patients)
    assert not detection.are_paired(np.arange(150), np.arange(150))  # one row each: nothing is told by that
    cells = [str(number * 13 % 1009) for number in range(150)]
    assert examine(View("x", cells, 450, is_number=True, is_integer=True)) is None
    found = examine(View("x", cells, 450, is_number=True, is_integer=True, is_per_patient=True))
    assert found is not None
    assert "patient" in found.why


def test_large_columns_are_sampled():
    cells = [f"{number:06d}@example.org" for number in range(300_000)]
    started = time.perf_counter()
    found = examine(View("x", cells, len(cells)))
    assert found is not None
    assert found.letter == "F"
    assert time.perf_counter() - started < 2
