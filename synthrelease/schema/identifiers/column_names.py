"""Column names that speak of an identifier, in English, German, French, Spanish, Portuguese, Dutch and Italian.

The classes are those of the HIPAA Safe Harbor list, 45 CFR 164.514(b)(2)(i), by their letters (A) to (R). A name is cut
into words and compared run by run, so that ``patientPhone``, ``phone_no`` and ``Home Phone`` are alike.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

Content = Literal["letters", "digits", "code", "dates", "postcodes", "coordinates", "marks", "any"]


@dataclass(frozen=True, slots=True)
class IdentifierClass:
    """One class of identifier: what it is called, its HIPAA letter, and what cells of it must look like."""

    title: str
    letter: str
    content: Content
    anywhere: frozenset[str] = frozenset()
    """Phrases that count wherever they stand in a name."""
    whole: frozenset[str] = frozenset()
    """Phrases that count only if the name says nothing else, but whose it is."""


def _phrases(text: str) -> frozenset[str]:
    return frozenset(text.split())


FAX = IdentifierClass(
    "fax number", "E", "digits", _phrases("fax faxno faxnumber telefax fernkopie telecopie telecopieur")
)
EMAIL = IdentifierClass(
    "e-mail address",
    "F",
    "marks",
    _phrases(
        "email emailaddress mailaddress mailadresse emailadresse courriel correoelectronico correoelettronico "
        "adressemail"
    ),
    _phrases("mail correo eposta"),
)
URL = IdentifierClass("web address", "N", "letters", _phrases("url website homepage webpage weblink"), _phrases("uri"))
NETWORK = IdentifierClass(
    "network address",
    "O",
    "marks",
    _phrases("ipaddress ipaddr ipv ipvaddress ipadresse adresseip direccionip enderecoip macaddress macaddr ipadres"),
    _phrases("ip mac"),
)
PHONE = IdentifierClass(
    "telephone number",
    "D",
    "digits",
    _phrases(
        "phone phoneno phonenumber telephone telephonenumber cellphone mobilephone mobileno mobilenumber handynummer "
        "telefon telefonnummer telefonnr mobilnummer rufnummer telefono telefonos celular cellulare telefone "
        "telemovel "
        "telefoon telefoonnummer numerotelephone numerodetelephone telno pager"
    ),
    _phrases("tel mobile mobil cell handy movil portable gsm"),
)
BIRTH = IdentifierClass(
    "date of birth",
    "C",
    "dates",
    _phrases(
        "dob birthdate birthday dateofbirth birthdt bdate geburtsdatum gebdatum gebdat datenaissance datedenaissance "
        "fechanacimiento fechadenacimiento fecnac datanascimento datadenascimento dtnascimento dtnasc geboortedatum "
        "datanascita datadinascita syntymaaika fodelsedatum"
    ),
    _phrases("birth born ddn geburtstag nascimento nascita naissance nacimiento"),
)
NATIONAL = IdentifierClass(
    "social security or national identity number",
    "G",
    "code",
    _phrases(
        "ssn socialsecurity socialsecuritynumber nhsnumber nhsno nino nationalid nationalidentifier nationalinsurance "
        "passport passportno passportnumber aadhaar insee codicefiscale sozialversicherungsnummer svnr svnummer "
        "rentenversicherungsnummer steueridnr ausweisnummer reisepass numerosecuritesociale numerosecu "
        "burgerservicenummer rijksregisternummer personnummer personalausweis cpf nif cartaocidadao taxid cprnr "
        "cprnumber "
        "pesel hetu curp chinumber"
    ),
    _phrases("bsn nhs nir dni nie cpr chi rut niss insz rg"),
)
RECORD = IdentifierClass(
    "medical record number",
    "H",
    "code",
    _phrases(
        "mrn medicalrecordnumber medicalrecordno medrecno hospno hospitalnumber patientennummer patientennr patnr "
        "fallnummer fallnr aufnahmenummer krankenaktennummer numerodossier numdossier numerohistoriaclinica "
        "historiaclinica prontuario numeroprontuario patientnummer dossiernummer numerocartella cartellaclinica "
        "chartnumber hadm hadmid specimenid labno"
    ),
    _phrases("nhc nip ipp"),
)
PLAN = IdentifierClass(
    "health plan number",
    "I",
    "code",
    _phrases(
        "healthplannumber beneficiaryid beneficiarynumber memberid membernumber policynumber policyno insuranceid "
        "insurancenumber insuranceno insurancemember subscriberid medicareid medicarenumber medicaidid medicaidnumber "
        "kvnr krankenversicherungsnummer versichertennummer versichertennr versicherungsnummer numeroassure "
        "polisnummer "
        "numeropoliza verzekerdenummer tesserasanitaria cartaosus cartaonacionaldesaude"
    ),
    _phrases("mbi"),
)
ACCOUNT = IdentifierClass(
    "account number",
    "J",
    "code",
    _phrases(
        "accountno accountnumber accountid iban creditcard creditcardnumber cardnumber bankaccount kontonummer "
        "kontonr "
        "numerocompte numerocuenta rekeningnummer numeroconto invoiceno invoicenumber username userid login loginname"
    ),
    _phrases("acct account konto compte cuenta conta conto twitter facebook handle"),
)
LICENCE = IdentifierClass(
    "certificate or licence number",
    "K",
    "code",
    _phrases(
        "licenceno licencenumber licenseno licensenumber drivinglicence driverslicense driverlicense driverslicence "
        "certificateno certificatenumber deanumber npinumber fuhrerscheinnummer fuehrerscheinnummer permisdeconduire "
        "rijbewijsnummer arztnummer lanr"
    ),
    _phrases("npi licence license drivers fuhrerschein fuehrerschein patente"),
)
VEHICLE = IdentifierClass(
    "vehicle identifier or plate",
    "L",
    "code",
    _phrases(
        "licenseplate licenceplate numberplate plateno platenumber vehicleid vehiclereg vehicleregistration vinnumber "
        "kfzkennzeichen nummernschild plaqueimmatriculation immatriculation matricula placaveiculo kenteken targa "
        "fahrgestellnummer chassisno"
    ),
    _phrases("vin plate kennzeichen"),
)
DEVICE = IdentifierClass(
    "device identifier or serial number",
    "M",
    "code",
    _phrases(
        "serialno serialnumber serialnr deviceid deviceserial deviceidentifier implantid implantserial imei "
        "seriennummer seriennr geratenummer geraetenummer numeroserie numerodeserie serienummer numerodiserie "
        "pacemakerid machineid"
    ),
    _phrases("serial udi"),
)
BIOMETRIC = IdentifierClass(
    "biometric identifier",
    "P",
    "any",
    _phrases("fingerprint irisscan retinascan voiceprint faceid fingerabdruck huelladactilar impronta"),
)
PHOTO = IdentifierClass(
    "photograph",
    "Q",
    "letters",
    _phrases("photofile photopath photourl imagepath imagefile facephoto portrait passbild"),
    _phrases("photo foto picture"),
)
POSTCODE = IdentifierClass(
    "postcode",
    "B",
    "postcodes",
    _phrases(
        "zip zipcode postcode postal postalcode plz postleitzahl codepostal codigopostal codpostal cep postnr "
        "postnummer "
        "postinumero codiceavviamento"
    ),
    _phrases("cap cp pcode"),
)
COORDINATES = IdentifierClass(
    "geographic coordinate",
    "B",
    "coordinates",
    _phrases("latitude longitude breitengrad langengrad laengengrad latitud longitud latitudine longitudine gps"),
    _phrases("lat lon lng long"),
)
ADDRESS = IdentifierClass(
    "postal address",
    "B",
    "letters",
    _phrases(
        "address addr street streetname postaladdress homeaddress anschrift adresse strasse wohnadresse direccion "
        "domicilio "
        "endereco morada logradouro straat straatnaam indirizzo lieudit"
    ),
    _phrases("adres rue calle via"),
)
NAME = IdentifierClass(
    "person's name",
    "A",
    "letters",
    _phrases(
        "firstname lastname surname forename middlename givenname familyname maidenname fullname personname "
        "patientname "
        "preferredname mothername fathername contactname spousename guardianname doctorname physicianname nursename "
        "employername relativename nextofkin emergencycontact vorname nachname familienname geburtsname rufname "
        "zuname "
        "prenom nomfamille nomdefamille nomusage nomnaissance nompatient apellido apellidos nombrecompleto "
        "nombrepaciente "
        "primernombre sobrenome nomecompleto nomepaciente nomemae nomedamae cognome nomecognome achternaam voornaam "
        "roepnaam voorletters tussenvoegsel"
    ),
    _phrases(
        "name names first last maiden initials nom nombre nombres nome naam apelido arzt hausarzt kin fname lname"
    ),
)
OTHER = IdentifierClass(
    "unique number or code",
    "R",
    "code",
    frozenset(),
    _phrases("rowid rownumber rownum recordid recordno index uuid guid barcode accession accessionnumber"),
)

CLASSES = (FAX, EMAIL, URL, NETWORK, PHONE, BIRTH, NATIONAL, RECORD, PLAN, ACCOUNT, VEHICLE, LICENCE, DEVICE,
           BIOMETRIC, PHOTO, POSTCODE, COORDINATES, ADDRESS, NAME, OTHER)  # fmt: skip
"""In the order in which a name is tried: an e-mail address is no postal address."""

_PEOPLE = _phrases(
    "patient subject person participant member client customer individual pt pat proband patienten kunde paciente "
    "paziente patientin insured beneficiary"
)
_PERSON_NUMBERS = _phrases(
    "mrn pid nhs ssn patient subject participant randid uniquepid usubjid subjid patid patientid empi "
    "patientennummer patientennr patnr nhc"
)
_NUMBER_WORDS = _phrases("id ids nbr no nr number num key identifier uid ref nummer numero")
_GLUED_NUMBER = re.compile(
    r"(patient|person|subject|stay|visit|encounter|admission|adm|episode|case|record|appointment|specimen|sample|claim|"
    r"exam|event|order|note|provider|doctor|caregiver|hospital|ward|bed)s?(id|nr|no|nbr|num|key)$"
)
_COUNTS = _phrases("num number count n no has is anzahl nombre numero any days time nb cantidad quantidade aantal")
_QUALIFIERS = _phrases(
    "type flag drug drugs therapy count status consent verified known available score provided given yn category "
    "class group level frequency indicator missing change changed rate ratio cost usage use used rank quality distance "
    "order source method days"
)
_AMBIGUOUS = _phrases(
    "first last kin cell handy portable mobile mac cap cp account konto conto compte conta handle patente"
)
"""Words with another everyday meaning: they count only where values are many."""

_LONGEST_RUN = 4


def words(name: str) -> tuple[str, ...]:
    """Cut a column name into lower-case words: ``patientNbr``, ``patient_nbr`` and ``Patient Nbr`` are alike."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", name)
    return tuple(re.findall(r"[^\W_]+", spaced.lower()))


def _bare(word: str) -> str:
    """The word without accents, umlauts and digits at its end (``phone2``)."""
    letters = unicodedata.normalize("NFKD", word.replace("ß", "ss"))
    plain = "".join(letter for letter in letters if not unicodedata.combining(letter))
    return plain.rstrip("0123456789") or plain


def class_of(name: str) -> IdentifierClass | None:
    """The class of identifier that a column's name speaks of, or None; cells may still prove it wrong."""
    parts = tuple(_bare(word) for word in words(name))
    if not parts:
        return None
    owned = _owned(parts)
    runs = frozenset(_runs(parts))
    for each in CLASSES:
        if owned & (each.whole | each.anywhere) or runs & each.anywhere:
            return each
    return None


def is_ambiguous(name: str) -> bool:
    """Whether the whole name is a word that often means something else."""
    return "".join(map(_bare, words(name))) in _AMBIGUOUS


def _owned(parts: tuple[str, ...]) -> frozenset[str]:
    """The whole name, joined, with and without the word for the person that it belongs to."""
    joined = "".join(parts)
    found = {joined}
    if len(parts) > 1 and parts[0] in _PEOPLE:
        found.add("".join(parts[1:]))
    if len(parts) > 1 and parts[-1] in _PEOPLE:
        found.add("".join(parts[:-1]))
    found.update(joined.removeprefix(person) for person in ("patient", "customer") if joined.startswith(person))
    return frozenset(found - {""})


def _runs(parts: tuple[str, ...]) -> Iterator[str]:
    """Runs of words, joined; none that a counting word before or a qualifier after turns into something else."""
    for start in range(len(parts)):
        for stop in range(start + 1, min(start + _LONGEST_RUN, len(parts)) + 1):
            is_counted = start > 0 and parts[0] in _COUNTS
            is_qualified = stop < len(parts) and parts[-1] in _QUALIFIERS
            if not is_counted and not is_qualified:
                yield "".join(parts[start:stop])


def is_number_name(name: str) -> bool:
    """Whether the name ends like a running number (``id``, ``encounter_id``, ``patient_nbr``, ``Case No``)."""
    parts = words(name)
    if not parts:
        return False
    if _GLUED_NUMBER.search(parts[-1]):
        return True
    return parts[-1] in _NUMBER_WORDS or parts[-1] in _PERSON_NUMBERS - {"patient", "subject", "participant"}


def is_person_number(name: str) -> bool:
    """Whether the name is that of a number which stands for a person, so that its rows belong together."""
    parts = words(name)
    if len(parts) == 1:
        return parts[0] in _PERSON_NUMBERS or any(
            parts[0] == who + end for who in _PEOPLE for end in ("id", "no", "nbr", "nr", "number")
        )
    return bool(parts) and parts[-1] in _NUMBER_WORDS and bool(set(parts) & (_PEOPLE | _PERSON_NUMBERS))


def is_postcode_name(name: str) -> bool:
    """Whether the name speaks of a postcode."""
    return class_of(name) is POSTCODE
