"""Shapes and check digits of identifiers: what the cells of a column say, whatever the column is called.

A check digit proves little for one cell and much for many: one cell in ten passes by chance, a column never does.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Sequence
from importlib import import_module

import phonenumbers
from stdnum import iban, imei, luhn

from synthrelease.schema.identifiers import column_names
from synthrelease.schema.identifiers.column_names import IdentifierClass

SHARE = 0.95
"""A shape counts when at least this share of the distinct cells has it."""

FEWEST_FOR_DIGITS = 20
"""Check digits need this many distinct cells: fewer pass by chance."""

_PATTERNS: tuple[tuple[IdentifierClass, str, re.Pattern[str]], ...] = (
    (column_names.EMAIL, "an e-mail address", re.compile(r"^[^@\s]+@[^@\s]+\.[A-Za-z]{2,}$")),
    (column_names.URL, "a web address", re.compile(r"^(https?://|ftp://|www\.)\S+$", re.IGNORECASE)),
    (column_names.NETWORK, "a MAC address", re.compile(r"^([0-9a-f]{2}[:-]){5}[0-9a-f]{2}$", re.IGNORECASE)),
    (column_names.NATIONAL, "a social security number", re.compile(r"^\d{3}-\d{2}-\d{4}$")),
    (
        column_names.NATIONAL,
        "a British national insurance number",
        re.compile(r"^[A-Z]{2} ?\d{2} ?\d{2} ?\d{2} ?[A-DFMTU]$"),
    ),
    (
        column_names.OTHER,
        "a universally unique identifier",
        re.compile(r"^(urn:uuid:)?\{?[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\}?$", re.IGNORECASE),
    ),
    (column_names.POSTCODE, "a ZIP+4 code", re.compile(r"^\d{5}-\d{4}$")),
    (
        column_names.POSTCODE,
        "a British postcode",
        re.compile(r"^[A-Z]{1,2}\d[A-Z\d]? \d[A-Z]{2}$|^GIR 0AA$", re.IGNORECASE),
    ),
    (column_names.POSTCODE, "a Canadian postcode", re.compile(r"^[ABCEGHJ-NPRSTVXY]\d[A-Z] ?\d[A-Z]\d$")),
    (column_names.POSTCODE, "a Dutch postcode", re.compile(r"^[1-9]\d{3} ?[A-Z]{2}$")),
    (
        column_names.PHOTO,
        "a picture's file name",
        re.compile(r"^\S.*\.(jpe?g|png|gif|tiff?|bmp|dcm|heic)$", re.IGNORECASE),
    ),
)
_PHONE = re.compile(r"^(?=(\D*\d){7})\+?[\d().\-/ ]{7,22}( ?(x|ext\.?) ?\d{1,6})?$", re.IGNORECASE)
_BAND = re.compile(r"^(\d+) ?[-/\u2013] ?(\d+)$")
_REGIONS = ("US", "GB", "DE", "FR", "ES", "IT", "NL", "PT", "BR", "BE", "CH", "AT", "FI", "SE", "IN", "AU")
_VIN = re.compile(r"^(?=.*\d)(?=.*[A-Z])[A-HJ-NPR-Z0-9]{17}$", re.IGNORECASE)
_NAME_WORD = r"[^\W\d_][^\W\d_.'\u2019-]*(?:[.'\u2019-][^\W\d_]*)*"
_PERSON = re.compile(rf"^{_NAME_WORD}(?:,? {_NAME_WORD}){{1,5}}$")
_STREET = re.compile(
    r"\b(street|st|avenue|ave|road|rd|lane|ln|drive|dr|court|ct|square|sq|way|place|pl|boulevard|blvd|apt|suite|"
    r"terrace|close|crescent|highway|parkway|rue|chemin|impasse|allee|all\u00e9e|quai|calle|avenida|avda|plaza|paseo|"
    r"callej\u00f3n|cuesta|rua|travessa|alameda|pra\u00e7a|largo|via|viale|piazza|corso|strada|vicolo|borgo|contrada|"
    r"po box)\b"
    r"|(str\.|stra\u00dfe|strasse|weg|platz|gasse|ring|allee|ufer|damm|straat|laan|plein|gracht|dreef|steeg|pad|hof)\b",
    re.IGNORECASE,
)
_MODULES: tuple[tuple[str, str], ...] = (
    ("gb.nhs", "the NHS number"),
    ("nl.bsn", "the Dutch BSN"),
    ("fr.nir", "the French NIR"),
    ("br.cpf", "the Brazilian CPF"),
    ("it.codicefiscale", "the Italian codice fiscale"),
    ("es.dni", "the Spanish DNI"),
    ("es.nie", "the Spanish NIE"),
    ("pt.nif", "the Portuguese NIF"),
    ("pt.cc", "the Portuguese citizen card"),
    ("be.nn", "the Belgian national number"),
    ("de.idnr", "the German tax number"),
    ("at.vnr", "the Austrian insurance number"),
    ("ch.ssn", "the Swiss AHV number"),
    ("se.personnummer", "the Swedish personnummer"),
    ("dk.cpr", "the Danish CPR number"),
    ("no.fodselsnummer", "the Norwegian birth number"),
    ("fi.hetu", "the Finnish identity code"),
    ("pl.pesel", "the Polish PESEL"),
    ("ro.cnp", "the Romanian CNP"),
    ("cz.rc", "the Czech birth number"),
    ("ie.pps", "the Irish PPS number"),
    ("ca.sin", "the Canadian SIN"),
    ("au.tfn", "the Australian tax file number"),
    ("in_.aadhaar", "the Indian Aadhaar"),
    ("cn.ric", "the Chinese identity number"),
    ("tr.tckimlik", "the Turkish identity number"),
    ("mx.curp", "the Mexican CURP"),
    ("za.idnr", "the South African identity number"),
    ("cl.rut", "the Chilean RUT"),
)
"""Modules of python-stdnum with a check digit, or at least a date of birth inside."""


def find(cells: Sequence[str], *, is_number: bool) -> tuple[IdentifierClass, str] | None:
    """The class and a phrase for the shape that nearly all cells share, or None; ``cells`` are distinct and trimmed."""
    if not cells:
        return None
    if not is_number:
        for kind, phrase, pattern in _PATTERNS:
            if _share(cells, lambda cell, pattern=pattern: pattern.match(cell) is not None) >= SHARE:  # type: ignore[misc]
                return kind, f"its cells have the shape of {phrase}"
        if _share(cells, _is_network) >= SHARE:
            return column_names.NETWORK, "its cells have the shape of a network address"
        if _share(cells, lambda cell: _VIN.match(cell) is not None) >= SHARE:
            return column_names.VEHICLE, "its cells have the shape of a vehicle identification number"
    return _by_check_digit(cells) or (None if is_number else _telephone(cells))


def _share(cells: Sequence[str], is_one: Callable[[str], bool]) -> float:
    """The share of cells that are one; 0 as soon as too many of the first are none."""
    first = cells[:FEWEST_FOR_DIGITS]
    if sum(map(is_one, first)) < SHARE * len(first) - 1:
        return 0.0
    return sum(map(is_one, cells)) / len(cells)


def _is_network(cell: str) -> bool:
    try:
        ipaddress.ip_address(cell)
    except ValueError:
        return False
    return True


def _by_check_digit(cells: Sequence[str]) -> tuple[IdentifierClass, str] | None:
    """National numbers, accounts, cards, devices and licences by their check digits."""
    if len(cells) < FEWEST_FOR_DIGITS:
        return None
    bare = [re.sub(r"\.0+$", "", cell) for cell in cells]
    if _share(bare, lambda cell: 8 <= len(cell) <= 42 and sum(c.isdigit() for c in cell) >= 6) < SHARE:
        return None
    tests: tuple[tuple[IdentifierClass, str, Callable[[str], bool]], ...] = (
        (column_names.PLAN, "a German health insurance number", is_german_insurance),
        (column_names.ACCOUNT, "an IBAN", iban.is_valid),
        (column_names.LICENCE, "an American provider's number (NPI)", is_provider_number),
        (column_names.DEVICE, "an IMEI", lambda cell: imei.is_valid(cell) and len(imei.compact(cell)) == 15),
        (column_names.ACCOUNT, "a payment card", is_payment_card),
    )
    for kind, phrase, is_one in tests:
        if _share(bare, is_one) >= SHARE:
            return kind, f"its cells have the check digits of {phrase}"
    for module, name in _MODULES:
        if _share(bare, import_module(f"stdnum.{module}").is_valid) >= SHARE:
            return column_names.NATIONAL, f"its cells have the check digits of {name}"
    return None


def is_payment_card(cell: str) -> bool:
    """Whether 12 to 19 digits (not 13), perhaps in groups, begin like a payment card and end in a Luhn check digit."""
    digits = re.sub(r"[ -]", "", cell)
    return re.fullmatch(r"[2-6]([0-9]{11}|[0-9]{13,18})", digits) is not None and luhn.is_valid(digits)


def is_provider_number(cell: str) -> bool:
    """Whether ten digits are a national provider identifier: Luhn after the prefix 80840."""
    return re.fullmatch(r"[12]\d{9}", cell) is not None and luhn.is_valid(f"80840{cell}")


def is_german_insurance(cell: str) -> bool:
    """Whether a letter and nine digits end in the check digit of section 290 SGB V: weights 1 and 2, digits summed."""
    if re.fullmatch(r"[A-Z]\d{9}", cell) is None:
        return False
    digits = [int(digit) for digit in f"{ord(cell[0]) - 64:02d}{cell[1:9]}"]
    products = [digit * (1 + place % 2) for place, digit in enumerate(digits)]
    return sum(product // 10 + product % 10 for product in products) % 10 == int(cell[9])


def _telephone(cells: Sequence[str]) -> tuple[IdentifierClass, str] | None:
    """Texts of digits and separators of which most are dialled somewhere; a code with dashes is not."""
    if _share(cells, lambda cell: _PHONE.match(cell) is not None) < SHARE:
        return None
    if _share(cells, _is_band) >= SHARE:
        return None
    sample = [cell for cell in cells[:200] if not cell.isdigit() or cell.startswith("0")]
    if len(sample) < 0.5 * min(len(cells), 200):
        return None
    if any(sum(_is_dialled(cell, region) for cell in sample) >= 0.5 * len(sample) for region in _REGIONS):
        return column_names.PHONE, "its cells have the shape of a telephone number"
    return None


def _is_band(cell: str) -> bool:
    """Whether a cell reads from one number to a larger one, such as two years."""
    found = _BAND.match(cell)
    return found is not None and len(found[2]) - len(found[1]) in (0, 1) and int(found[1]) < int(found[2])


def _is_dialled(cell: str, region: str) -> bool:
    try:
        number = phonenumbers.parse(cell, region)
    except phonenumbers.NumberParseException:
        return False
    return phonenumbers.is_valid_number(number)


def are_names(cells: Sequence[str]) -> bool:
    """Whether nearly all cells are two to six words that could be a person's name, most of them with a capital."""
    if _share(cells, lambda cell: len(cell) <= 60 and _PERSON.match(cell) is not None) < 0.9:
        return False
    return sum(cell[0].isupper() for cell in cells) >= 0.9 * len(cells) and _capitals(cells) >= 0.65


def _capitals(cells: Sequence[str]) -> float:
    """The share of words that begin with a capital."""
    words = [word for cell in cells for word in cell.split() if word[0].isalpha()]
    return sum(word[0].isupper() for word in words) / max(1, len(words))


def are_addresses(cells: Sequence[str]) -> bool:
    """Whether most cells hold a house number and a word for a street, or a number between capitalised parts."""
    if _share(cells, lambda cell: len(cell) <= 120 and " " in cell and any(map(str.isdigit, cell))) < 0.8:
        return False
    has_street = sum(_STREET.search(cell) is not None for cell in cells) >= 0.4 * len(cells)
    has_parts = sum("," in cell or "\n" in cell for cell in cells) >= 0.9 * len(cells)
    return has_street or (has_parts and _capitals(cells) >= 0.7)
