"""Direct identifiers, found by a column's name, by the shape of its cells and by check digits.

The classes are those of the HIPAA Safe Harbor list, 45 CFR 164.514(b)(2). A finding is a proposal for a person to
review: a column that is not found here may identify patients all the same.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

_SHARE = 0.95
"""A shape counts when at least this share of the distinct cells has it."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Why a column may identify a person: its class, and a phrase that goes into a comment; never a cell."""

    kind: str
    why: str


_WHOLE_NAMES = {
    "person's name": {
        *("name", "fullname", "firstname", "lastname", "forename", "surname", "familyname", "givenname"),
        *(
            "middlename",
            "patientname",
            "personname",
            "mothername",
            "fathername",
            "contactname",
            "nextofkin",
            "initials",
        ),
    },
    "electronic address": {"url", "website", "homepage", "ip", "ipaddress", "ipaddr", "macaddress"},
    "online account": {"username", "login", "userid", "twitter", "facebook", "handle"},
    "record number": {"rowid", "rownumber", "rownum", "recordid", "index", "uuid", "guid", "barcode", "accession"},
}
_NAME_PARTS = {
    "e-mail address": {"email", "mail"},
    "telephone or fax number": {"phone", "telephone", "mobile", "cellphone", "fax", "tel"},
    "postal address": {"address", "street", "addr", "postaladdress"},
    "national or insurance number": {"ssn", "nhs", "nino", "passport", "aadhaar", "chi", "medicare", "insee"},
    "medical record number": {"mrn", "hospno"},
    "licence or plate number": {"licence", "license", "licenseplate", "numberplate"},
    "device or biometric identifier": {"fingerprint", "iris", "voiceprint", "photo", "imei", "vin", "serialnumber"},
}
_PEOPLE = frozenset({"patient", "subject", "person", "participant", "member", "client", "customer", "individual", "pt"})
_PERSON_NUMBERS = frozenset({"mrn", "pid", "nhs", "ssn", "patient", "subject", "participant", "chi"})
_NUMBER_WORDS = frozenset({"id", "ids", "nbr", "no", "number", "num", "key", "identifier", "uid", "ref"})
_ZIP_WORDS = frozenset({"zip", "zipcode", "postcode", "postal", "postalcode", "plz"})

_SHAPES = {
    "e-mail address": re.compile(r"^[^@\s]+@[^@\s]+\.[A-Za-z]{2,}$"),
    "web address": re.compile(r"^(https?://|www\.)\S+$", re.IGNORECASE),
    "network address": re.compile(r"^(\d{1,3}\.){3}\d{1,3}$"),
    "social security number": re.compile(r"^\d{3}-\d{2}-\d{4}$"),
    "universally unique identifier": re.compile(r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$", re.IGNORECASE),
    "telephone number": re.compile(r"^(?=(\D*\d){7})(\+\d{1,3}[ .-]?)?(\(\d{2,5}\)[ .-]?)?\d{2,5}([ .-]\d{2,5}){1,4}$"),
}
_DATES = (
    re.compile(r"^\d{4}[-/.]\d{1,2}[-/.]\d{1,2}([T ]\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?)?( ?(Z|[+-]\d{2}:?\d{2}))?$"),
    re.compile(r"^\d{1,2}[-/.]\d{1,2}[-/.](\d{4}|\d{2})([T ]\d{1,2}:\d{2}(:\d{2})?( ?[AP]M)?)?$", re.IGNORECASE),
    re.compile(r"^\d{1,2}[- ]?(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*[- ,]*(\d{4}|\d{2})$", re.I),
)


def words(name: str) -> tuple[str, ...]:
    """Cut a column name into lower-case words: ``patientNbr``, ``patient_nbr`` and ``Patient Nbr`` are alike."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", name)
    return tuple(re.findall(r"[^\W_]+", spaced.lower()))


def by_name(name: str) -> Finding | None:
    """Find a name that says its cells identify somebody, however often they repeat."""
    parts = words(name)
    whole = "".join(parts)
    for kind, names in _WHOLE_NAMES.items():
        if whole in names:
            return Finding(kind, f"its name says that it is {_a(kind)}")
    for kind, names in _NAME_PARTS.items():
        is_count = parts and parts[0] in ("num", "number", "count", "n", "has", "is")
        if not is_count and (names.intersection(parts) or whole in names):
            return Finding(kind, f"its name speaks of {_a(kind)}")
    return None


def _a(kind: str) -> str:
    return f"an {kind}" if kind[0] in "aeio" else f"a {kind}"


def is_number_name(name: str) -> bool:
    """Whether the name ends like a running number (``id``, ``encounter_id``, ``patient_nbr``, ``Case No``)."""
    parts = words(name)
    return bool(parts) and (parts[-1] in _NUMBER_WORDS or parts in (("mrn",), ("pid",)))


def is_person_number(name: str) -> bool:
    """Whether the name is that of a number which stands for a person, so that its rows belong together."""
    parts = words(name)
    if len(parts) == 1:
        return parts[0] in _PERSON_NUMBERS or any(
            parts[0] == who + end for who in _PEOPLE for end in ("id", "no", "nbr")
        )
    return bool(parts) and parts[-1] in _NUMBER_WORDS and bool(set(parts) & (_PEOPLE | _PERSON_NUMBERS))


def is_postcode_name(name: str) -> bool:
    """Whether the name speaks of a postcode."""
    parts = words(name)
    return bool(_ZIP_WORDS.intersection(parts)) or "".join(parts) in _ZIP_WORDS


def by_shape(cells: Sequence[str]) -> Finding | None:
    """Find the shape of an identifier in distinct cells: addresses, telephone, social security or NHS numbers."""
    if not cells:
        return None
    for kind, shape in _SHAPES.items():
        if _share(cells, shape) >= _SHARE:
            return Finding(kind, f"its cells have the shape of {_a(kind)}")
    if len(cells) >= 20 and sum(map(is_nhs_number, cells)) >= _SHARE * len(cells):
        return Finding("NHS number", "its cells have ten digits with the check digit of an NHS number")
    return None


def are_dates(cells: Sequence[str]) -> bool:
    """Whether nearly all cells are calendar dates, with or without a time."""
    return bool(cells) and sum(any(d.match(cell) for d in _DATES) for cell in cells) >= _SHARE * len(cells)


def is_nhs_number(cell: str) -> bool:
    """Whether ten digits end in the modulus 11 check digit of the NHS Data Dictionary."""
    digits = [int(c) for c in cell if c.isdecimal() and c.isascii()]
    if len(digits) != 10 or not re.fullmatch(r"\d{3}[ -]?\d{3}[ -]?\d{4}", cell):
        return False
    weighted = sum(weight * digit for weight, digit in zip(range(10, 1, -1), digits, strict=False))
    return (11 - weighted % 11) % 11 == digits[9]


def _share(cells: Sequence[str], shape: re.Pattern[str]) -> float:
    return sum(shape.match(cell) is not None for cell in cells) / len(cells)
