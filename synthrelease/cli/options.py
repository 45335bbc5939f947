"""Options that several commands share. Importing this, as every start of the command line does, must stay cheap."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click

FILE = click.Path(path_type=Path)
EFFORTS: Mapping[str, float] = {"fast": 0.3, "standard": 1.0, "thorough": 4.0}
"""What the named efforts multiply the number of updates by."""


def _effort(value: Any) -> float:
    """How long to train, as a name or a number."""
    try:
        return EFFORTS.get(str(value)) or float(value)
    except ValueError:
        raise click.BadParameter(f"{value!r} is neither a number nor one of {', '.join(EFFORTS)}.") from None


EFFORT = click.option(
    "--effort", type=_effort, default="standard", show_default=True, metavar="|".join(EFFORTS),
    help="How long to train: a name, or a number that multiplies the standard time.",
)  # fmt: skip
SOURCE = click.option(
    "--source", metavar="NAME", help="Extracts of the same patients under one NAME count as one source."
)
SHEET = click.option("--sheet", metavar="NAME", help="The sheet of a workbook that has more than one.")
POLICY = click.option(
    "--policy", "policy_name", default="partner_handoff", show_default=True, metavar="NAME_OR_FILE",
    help="The policy that decides; see `synthrelease policies`.",
)  # fmt: skip
CONDITIONS = click.option(
    "--condition", "conditions", multiple=True, metavar="COL=WHAT",
    help="Make only such rows: sex=F, ward=A|B, age=60..80; commas join conditions.",
)  # fmt: skip
REGISTER = click.option(
    "--register", type=FILE, metavar="DIR",
    help="The folder of the register.  [default: SYNTHRELEASE_REGISTER, else the user's data folder]",
)  # fmt: skip


def chosen_rows(command: Callable[..., None]) -> Callable[..., None]:
    """The options that say which part of TABLE is meant."""
    name = click.option("--table", "table_name", metavar="NAME", help="The table to read; TABLE is a database address.")
    query = click.option("--query", metavar="SQL", help="The rows to read; TABLE is a database address.")
    return SHEET(name(query(command)))
