"""The data card as machine-readable metadata: Croissant 1.0, the JSON-LD vocabulary that data catalogues read.

Made from the card and from nothing else, so that it can say no more than the card does.

Source: MLCommons, Croissant format specification 1.0, and its vocabulary for responsible AI.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from synthrelease.core.formatting import clean

CONTEXT: Mapping[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
TYPES: Mapping[str, str] = {"numeric": "sc:Float", "integer": "sc:Float", "date": "sc:Text", "datetime": "sc:Text"}
"""Integers are floats here, because an empty cell is none of them; dates keep the spelling of the table."""
FORMATS: Mapping[str, str] = {
    ".csv": "text/csv",
    ".tsv": "text/tab-separated-values",
    ".txt": "text/csv",
    ".parquet": "application/vnd.apache.parquet",
    ".feather": "application/vnd.apache.arrow.file",
    ".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    ".gz": "application/gzip",
    ".zip": "application/zip",
    ".json": "application/json",
}
READABLE = ("text/csv", "text/tab-separated-values", "application/vnd.apache.parquet")
"""Formats in which a catalogue's tools can find single columns."""


def metadata(card: Mapping[str, Any]) -> dict[str, Any]:
    """Return the card's content as a Croissant data set with its files and columns, as plain JSON values.

    Args:
        card: what ``data_card.data_card`` returns as its second value.
    """
    files = [_file(name, digest) for name, digest in card["files"].items()]
    readable = [each for each in files if each["encodingFormat"] in READABLE]
    names = ["rows"] if len(readable) == 1 else [f"rows-{at}" for at in range(1, len(readable) + 1)]
    return {
        "@context": dict(CONTEXT),
        "@type": "sc:Dataset",
        "name": f"synthetic-table-{card['created'][:10]}",
        "conformsTo": ["http://mlcommons.org/croissant/1.0", "http://mlcommons.org/croissant/RAI/1.0"],
        "description": _description(card),
        "datePublished": card["created"][:10],
        "version": "1.0.0",
        "isLiveDataset": False,
        "keywords": ["synthetic data", "tabular data", f"policy {card['policy']['name']}"],
        "license": clean(card["terms"]),
        "rai:dataCollection": clean(card["method"]),
        "rai:dataUseCases": [clean(card["purpose"])],
        "rai:dataLimitations": [clean(limit) for limit in (*card["warnings"], *card["limits"])],
        "rai:personalSensitiveInformation": ["Synthetic data. " + clean(card["differential_privacy"]["statement"])],
        "distribution": files,
        "recordSet": [_rows(each, card["columns"], name) for each, name in zip(readable, names, strict=True)],
    }


def _description(card: Mapping[str, Any]) -> str:
    policy = card["policy"]
    parts = (
        f"Synthetic data: {card['method']}",
        f"{card['rows']} rows, released under the policy {policy['name']}, version {policy['version']}.",
        f"For: {policy['recipient']}. Contact: {card['contact']}",
    )
    return clean(" ".join(parts))


def _file(name: str, digest: str) -> dict[str, Any]:
    return {
        "@type": "cr:FileObject",
        "@id": name,
        "name": name,
        "contentUrl": name,
        "encodingFormat": FORMATS.get(PurePath(name).suffix.lower(), "application/octet-stream"),
        "sha256": digest,
    }


def _rows(file: Mapping[str, Any], columns: list[Mapping[str, Any]], name: str) -> dict[str, Any]:
    """The table's columns; a withheld one stands in the file too and is described like the others."""
    return {
        "@type": "cr:RecordSet",
        "@id": name,
        "name": name,
        "description": "One row a made-up patient or encounter.",
        "field": [_field(f"{name}/{place}", column, file) for place, column in enumerate(columns)],
    }


def _field(name: str, column: Mapping[str, Any], file: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "@type": "cr:Field",
        "@id": name,
        "name": clean(column["name"]),
        "description": clean(f"{column['kind']}; declared domain: {column['domain']}; {column['treatment']}"),
        "dataType": TYPES.get(column["kind"], "sc:Text"),
        "source": {"fileObject": {"@id": file["@id"]}, "extract": {"column": column["name"]}},
    }
