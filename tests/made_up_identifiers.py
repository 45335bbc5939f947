"""Made-up columns of every HIPAA class, and of what is often mistaken for one: to measure recall and false alarms."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
import pandas as pd
from faker import Faker
from stdnum import luhn

from synthrelease.schema.identifiers.detection import View

ROWS = 300
LOCALES = ("en_US", "en_GB", "de_DE", "fr_FR", "es_ES", "pt_BR", "nl_NL", "it_IT")


@dataclass(frozen=True)
class Case:
    """A column with the letter of its class, or "" for one that identifies nobody."""

    letter: str
    name: str
    texts: list[str]

    def view(self, name: str | None = None) -> View:
        """The column as it is searched, under another heading if one is given."""
        cells = list(dict.fromkeys(value.strip() for value in self.texts if value.strip()))
        rows = sum(bool(value.strip()) for value in self.texts)
        numbers = [number(cell) for cell in cells]
        is_number = None not in numbers and not any(len(c) > 1 and c[0] == "0" and c.isdigit() for c in cells)
        is_integer = is_number and all(value == int(value) for value in numbers if value is not None)
        return View(self.name if name is None else name, cells, rows, is_number=is_number, is_integer=is_integer)


def number(cell: str) -> float | None:
    try:
        return float(cell)
    except ValueError:
        return None


NAMES: dict[str, dict[str, str]] = {
    "en": {"first": "first_name", "last": "Surname", "full": "patient name", "street": "home_address",
           "phone": "Phone No", "email": "E-Mail", "birth": "DOB", "zip": "zip_code", "ssn": "SSN"},
    "de": {"first": "Vorname", "last": "Nachname", "full": "Patient Name", "street": "Straße", "phone": "Telefonnummer",
           "email": "E-Mail-Adresse", "birth": "Geburtsdatum", "zip": "PLZ", "ssn": "Sozialversicherungsnummer"},
    "fr": {"first": "prénom", "last": "nom", "full": "nom_patient", "street": "adresse", "phone": "téléphone",
           "email": "courriel", "birth": "date_naissance", "zip": "code_postal", "ssn": "NIR"},
    "es": {"first": "nombre", "last": "apellidos", "full": "nombre_completo", "street": "dirección",
           "phone": "teléfono",
           "email": "correo_electronico",
           "birth": "fecha_de_nacimiento", "zip": "codigo_postal", "ssn": "DNI"},
    "pt": {"first": "nome", "last": "sobrenome", "full": "nome completo", "street": "endereço", "phone": "telefone",
           "email": "email", "birth": "data_nascimento", "zip": "CEP", "ssn": "CPF"},
    "nl": {"first": "voornaam", "last": "achternaam", "full": "naam", "street": "adres", "phone": "telefoonnummer",
           "email": "e-mail", "birth": "geboortedatum", "zip": "postcode", "ssn": "BSN"},
    "it": {"first": "nome", "last": "cognome", "full": "nome_cognome", "street": "indirizzo", "phone": "cellulare",
           "email": "email", "birth": "data_di_nascita", "zip": "CAP", "ssn": "codice_fiscale"},
}  # fmt: skip


def made(make: Callable[[], object], rows: int = ROWS) -> list[str]:
    return [str(make()) for _ in range(rows)]


@cache
def identifying() -> tuple[Case, ...]:
    """Every class of the list, in eight locales where they differ."""
    return (*_by_locale(), *_anywhere())


@cache
def harmless() -> tuple[Case, ...]:
    """Columns of hospital tables that are often taken for identifiers and identify nobody."""
    return tuple(_harmless())


def _by_locale() -> Iterator[Case]:
    for locale in LOCALES:
        fake = Faker(locale)
        fake.seed_instance(3)
        name = NAMES[locale[:2]]
        yield Case("A", name["full"], made(fake.name))
        yield Case("A", name["first"], made(fake.first_name))
        yield Case("A", name["last"], made(fake.last_name))
        yield Case("B", name["street"], made(lambda fake=fake: fake.address().replace("\n", ", ")))
        yield Case("B", name["zip"], made(fake.postcode))
        yield Case("C", name["birth"], made(lambda fake=fake: fake.date_of_birth().strftime("%Y-%m-%d")))
        yield Case("D", name["phone"], made(fake.phone_number))
        yield Case("F", name["email"], made(fake.email))
        yield Case("G", name["ssn"], made(fake.cpf if locale == "pt_BR" else fake.ssn))
        yield Case("J", "IBAN", made(fake.iban))
        yield Case("L", "licence_plate", made(fake.license_plate))


def _anywhere() -> Iterator[Case]:
    fake = Faker("en_US")
    fake.seed_instance(5)
    rng = np.random.default_rng(5)
    yield Case("B", "zip", made(lambda: int(fake.postcode()[:5])))
    yield Case("B", "Latitude", made(fake.latitude))
    yield Case("B", "LON", made(fake.longitude))
    yield Case("E", "fax_number", made(fake.phone_number))
    yield Case("G", "nhs_number", made(lambda: nhs_number(rng)))
    yield Case("H", "MRN", made(lambda: rng.integers(100_000, 999_999)))
    yield Case("H", "Medical Record No", made(lambda: f"H{rng.integers(100_000, 999_999)}"))
    yield Case("I", "health_plan_number", made(lambda: f"XQ{rng.integers(10**8, 10**9)}"))
    yield Case("I", "KVNR", made(lambda: german_insurance(rng)))
    yield Case("J", "credit_card_number", made(fake.credit_card_number))
    yield Case("J", "account_no", made(fake.bban))
    yield Case("K", "drivers_license", made(lambda: f"D{rng.integers(10**7, 10**8)}"))
    yield Case("K", "npi_number", made(lambda: provider_number(rng)))
    yield Case("L", "VIN", made(fake.vin))
    yield Case("M", "device_serial_number", made(lambda: fake.bothify("SN-####-????")))
    yield Case("N", "website", made(fake.url))
    yield Case("O", "ip", made(fake.ipv4))
    yield Case("O", "ipv6 address", made(fake.ipv6))
    yield Case("O", "mac_address", made(fake.mac_address))
    yield Case("P", "fingerprint", made(fake.sha1))
    yield Case("Q", "photo_file", made(lambda: fake.file_name(extension="jpg")))
    yield Case("R", "uuid", made(fake.uuid4))
    yield Case("R", "encounter_id", made(lambda: rng.integers(10**8, 10**9)))
    yield Case("R", "sample", [f"Q{number * 7}" for number in rng.permutation(9000)[:ROWS]])


def nhs_number(rng: np.random.Generator) -> str:
    while True:
        digits = rng.integers(0, 10, 9)
        check = (11 - int(digits @ np.arange(10, 1, -1)) % 11) % 11
        if check != 10:
            return "".join(map(str, [*digits, check]))


def german_insurance(rng: np.random.Generator) -> str:
    """By section 290 SGB V, worked out apart from the package: digit sums of products with 1 and 2."""
    letter, body = int(rng.integers(1, 27)), "".join(map(str, rng.integers(0, 10, 8)))
    total = 0
    for place, digit in enumerate(f"{letter:02d}{body}"):
        product = int(digit) * (2 if place % 2 else 1)
        total += sum(map(int, str(product)))
    return f"{chr(64 + letter)}{body}{total % 10}"


def provider_number(rng: np.random.Generator) -> str:
    body = "1" + "".join(map(str, rng.integers(0, 10, 8)))
    return body + luhn.calc_check_digit("80840" + body)


def _harmless() -> Iterator[Case]:
    fake = Faker("en_US")
    fake.seed_instance(7)
    rng = np.random.default_rng(7)

    def pick(*labels: str) -> list[str]:
        return [str(label) for label in rng.choice(np.array(labels), ROWS)]

    def whole(low: int, high: int) -> list[str]:
        return [str(value) for value in rng.integers(low, high, ROWS)]

    def decimal(low: float, high: float, digits: int = 2) -> list[str]:
        return [f"{value:.{digits}f}" for value in rng.uniform(low, high, ROWS)]

    labels = {
        "telephone": ("yes", "no"), "own_telephone": ("none", "yes"), "email_consent": ("given", "refused"),
        "address_type": ("home", "temporary", "institution"), "mail_order_pharmacy": ("yes", "no"),
        "drug_name": ("Metformin", "Insulin Glargine", "Glipizide"), "device_type": ("Pacemaker", "Stent", "ICD"),
        "admitted_via": ("Emergency", "Referral", "Transfer"), "license_status": ("valid", "expired"),
        "zip3": ("021", "100", "606", "941"), "region": ("North East", "South West", "Mid West"),
        "first_visit": ("yes", "no"), "name_verified": ("0", "1"), "insurance": ("Medicare", "Private", "None"),
        "medicare": ("yes", "no"), "hospital_id": ("1", "2", "3", "4"), "site no": ("1", "2", "7"),
        "diagnosis": ("Acute Bronchitis", "Type 2 Diabetes", "Heart Failure"), "ward": ("4A", "4B", "ICU"),
        "smoking": ("never", "former", "current"), "genotype": ("A/A", "A/G", "G/G"), "blood_type": ("A+", "O-", "AB+"),
        "last": ("improved", "stable"), "birth_type": ("single", "twin"),
        "anchor_year_group": ("2008 - 2010", "2011 - 2013"),
        "income": ("10000-19999", "20000-29999", "50000-99999"), "device_id": ("D1", "D2", "D3"),
        "scanner_serial_no": ("771", "802"), "street_drugs": ("heroin", "none"), "dni": ("full code", "no tube"),
        "insurance_id": ("10", "11", "12", "15"), "photo_therapy": ("UVB", "PUVA"), "passport_country": ("FI", "SE"),
        "nome_farmaco": ("Aspirina", "Insulina"), "phone_type": ("mobile", "home", "work"),
    }  # fmt: skip
    for name, choices in labels.items():
        yield Case("", name, pick(*choices))
    numbers = {
        "age": (18, 95), "weight_g": (500, 5000), "platelets": (50_000, 900_000), "fnlwgt": (12_000, 1_400_000),
        "number_emergency": (0, 20), "num_lab_procedures": (1, 130), "year": (1990, 2024), "chi": (0, 40),
        "birth_year": (1930, 2005), "creatinine_phosphokinase": (20, 8000), "total_charges": (1_000, 9_999_999),
        "phone_calls": (0, 40), "nb_visites": (0, 30), "account_age_days": (0, 5000), "address_changes": (0, 4),
        "days_since_birth": (5000, 35_000), "cpt_code": (10_000, 99_999), "cell_count": (1000, 99_000),
        "cell": (10_000, 99_000), "cpr": (1, 4000), "nir": (1000, 60_000), "cp": (20, 9000), "index": (1, 10),
        "mac": (15, 45),
        "account": (100, 9999), "cap": (1, 9000), "room_number": (101, 150), "mbi": (0, 132), "rank_no": (1, 40),
    }  # fmt: skip
    for name, (low, high) in numbers.items():
        yield Case("", name, whole(low, high))
    for name, (first, last) in {
        "bmi": (15.0, 60.0),
        "lat": (0.1, 9.9),
        "npi": (2.0, 7.0),
        "glucose": (50, 400),
    }.items():
        yield Case("", name, decimal(first, last) if name != "lat" else pick("left", "right", "both"))
    yield Case("", "charges", decimal(1_000, 60_000, 5))
    yield Case("", "Time", [str(value) for value in np.sort(rng.integers(0, 172_792, ROWS))])
    yield Case(
        "", "icd10", [f"{chr(65 + int(a))}{b:02d}.{c}" for a, b, c in rng.integers([0, 0, 0], [9, 40, 4], (ROWS, 3))]
    )
    yield Case("", "icd9", [f"{a}.{b:02d}" for a, b in rng.integers([100, 0], [190, 20], (ROWS, 2))])
    yield Case("", "ndc", [f"{a:04d}-{b:04d}-{c:02d}" for a, b, c in rng.integers([2, 1, 1], [20, 6, 3], (ROWS, 3))])
    yield Case("", "admission_date", made(fake.date))
    yield Case("", "admitted_at", made(lambda: fake.date_time().isoformat(sep=" ")))
    yield Case("", "blood_pressure", [f"{a}/{b}" for a, b in rng.integers([100, 60], [160, 100], (ROWS, 2))])
    yield Case("", "age_band", pick("18-39", "40-64", "65-79", "[80-90)"))
    yield Case("", "note", made(lambda: fake.sentence(12)))
    yield Case("", "medication", pick(*[f"{fake.word().title()} {dose} MG Tablet" for dose in range(5, 45)]))
    yield Case("", "specialty", pick(*[f"{fake.word().title()} {fake.word().title()}" for _ in range(40)]))


def hospital_tables(rows: int = 600) -> dict[str, tuple[pd.DataFrame, str | None, set[str]]]:
    """Tables headed as well-known exports are, with the patient's column and the columns that must not be learned."""
    fake, rng = Faker("en_US"), np.random.default_rng(11)
    fake.seed_instance(11)

    def long(first: int) -> np.ndarray:
        return rng.permutation(900_000)[:rows] + first

    stays = pd.DataFrame({
        "subject_id": rng.integers(10**7, 10**7 + 300, rows), "hadm_id": long(2 * 10**7), "stay_id": long(3 * 10**7),
        "anchor_age": rng.integers(18, 92, rows), "anchor_year_group": rng.choice(["2008 - 2010", "2011 - 2013"], rows),
        "los": rng.exponential(3, rows), "sofa": rng.integers(0, 20, rows), "expired": rng.integers(0, 2, rows),
    })  # fmt: skip
    units = pd.DataFrame({
        "patientunitstayid": long(141_168), "uniquepid": [f"002-{x}" for x in rng.integers(10_000, 10_300, rows)],
        "hospitaladmitoffset": rng.integers(-9000, 0, rows), "unitvisitnumber": rng.integers(1, 4, rows),
        "gender": rng.choice(["Male", "Female"], rows), "admissionheight": rng.normal(170, 10, rows).round(1),
    })  # fmt: skip
    people = pd.DataFrame({
        "Id": made(fake.uuid4, rows), "BIRTHDATE": made(lambda: fake.date_of_birth().isoformat(), rows),
        "SSN": made(fake.ssn, rows), "DRIVERS": made(lambda: f"S999{rng.integers(10_000, 99_999)}", rows),
        "FIRST": made(lambda: fake.first_name() + str(rng.integers(1, 999)), rows),
        "LAST": made(lambda: fake.last_name() + str(rng.integers(1, 999)), rows), "RACE": rng.choice(["a", "b"], rows),
        "ADDRESS": made(fake.street_address, rows), "ZIP": made(lambda: f"0{rng.integers(1000, 2799)}", rows),
        "LAT": rng.uniform(41, 43, rows), "LON": rng.uniform(-73, -70, rows),
        "COSTS": rng.uniform(0, 9e5, rows).round(2),
    })  # fmt: skip
    ward = pd.DataFrame({
        "Fallnr": long(10**6), "PatNr": rng.integers(10**5, 10**5 + 300, rows), "Nachname": made(fake.last_name, rows),
        "Geb.-Datum": made(lambda: fake.date_of_birth().strftime("%d.%m.%Y"), rows),
        "PLZ": [f"{x:05d}" for x in rng.integers(1067, 99_999, rows)], "Geschlecht": rng.choice(["m", "w"], rows),
        "Verweildauer": rng.integers(1, 40, rows), "Leukozyten": rng.normal(7, 2, rows).round(1),
    })  # fmt: skip
    return {
        "stays": (stays, "subject_id", {"subject_id", "hadm_id", "stay_id"}),
        "units": (units, "uniquepid", {"uniquepid", "patientunitstayid"}),
        "people": (people, None, set(people) - {"RACE", "COSTS"}),
        "ward": (ward, "PatNr", {"Fallnr", "PatNr", "Nachname", "Geb.-Datum", "PLZ"}),
    }
