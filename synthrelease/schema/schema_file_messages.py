"""How what is wrong in a schema file is said, and how TOML keys and texts are spelled."""

from __future__ import annotations

from typing import Any

_MESSAGES = {
    "extra_forbidden": "is not a key of a schema. Remove it or correct its spelling",
    "missing": "is required. Add it",
    "string_type": "must be one text in quotes",
    "list_type": "must be a list in brackets",
    "dict_type": "must be a table of columns, written [columns.name]",
    "model_type": "must be a table, written [columns.name]",
    "float_type": "must be a number",
    "bool_type": "must be true or false",
    "bound_type": "must be a number, or a date or time in a column of such",
}


def sentence(location: tuple[int | str, ...], detail: Any) -> str:
    """Turn one pydantic finding into key, rule and next step."""
    key = dotted(*(str(part) for part in location if isinstance(part, str)))
    if location and location[-1] == "role" and detail.get("input") in ("target", "unit"):
        name, role = location[1], detail["input"]
        return f"{key}: there is one {role} a table, named at the top of the file. Write {role} = {quoted(str(name))}"
    if location in (("target",), ("unit",)) and isinstance(detail.get("input"), list):
        return f"{key}: there can be only one, however a list is given. Name one column"
    if detail["type"] == "literal_error":
        return f"{key}: {detail['input']!r} is not known. Use one of {detail['ctx']['expected']}"
    return f"{key}: {_MESSAGES.get(detail['type'], detail['msg'])}"


def dotted(*parts: str) -> str:
    """Spell a dotted TOML key, quoting the parts that need it."""
    return ".".join(part if _is_bare(part) else quoted(part) for part in parts)


def _is_bare(part: str) -> bool:
    return part.isascii() and part.replace("_", "a").replace("-", "a").isalnum()


def quoted(text: str) -> str:
    """Spell a text as a TOML basic string; control characters become escapes."""
    marks = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"}
    return '"' + "".join(marks.get(c, f"\\u{ord(c):04x}" if ord(c) < 32 or ord(c) == 127 else c) for c in text) + '"'
