"""A table or query of a database, by SQLAlchemy address: read in a transaction that is read-only and rolled back.

Drivers quote addresses, statements and cells in their messages, so only the kind of an error and its SQLSTATE are
passed on.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pyarrow as pa
import sqlalchemy
from sqlalchemy import exc

from synthrelease.core.errors import InputError
from synthrelease.data.formats.location import Place
from synthrelease.data.formats.typed_columns import OPAQUE, Gathered, spelled
from synthrelease.data.raw_table import Dialect, RawColumn, TableFile

_BLOCK_ROWS = 10_000
_DRIVERS = {"postgres": "postgresql+psycopg", "postgresql": "postgresql+psycopg"}


def read(place: Place) -> TableFile:
    """Read all rows of ``place``; they are written back as CSV.

    Raises:
        InputError: There is no such database, driver, table or column, or the query fails or gives no rows.
    """
    engine = _engine(place)
    try:
        with engine.connect() as connection:
            _make_read_only(connection)
            result = connection.execution_options(stream_results=True).execute(_statement(connection, place))
            if not result.returns_rows:
                raise InputError("--query must be a SELECT, however it returns no rows. Correct it.")
            names = [str(name) for name in result.keys()]  # noqa: SIM118 - not a dictionary
            gathered = Gathered(len(names), spelled)
            for block in result.partitions(_BLOCK_ROWS):
                gathered.add(block)
            connection.rollback()
    except exc.SQLAlchemyError as error:
        raise _failure(place, error) from None
    finally:
        engine.dispose()
    columns = tuple(
        RawColumn(name, name, *gathered.column(at), type=pa.binary() if gathered.kinds[at] & OPAQUE else None)
        for at, name in enumerate(names)
    )
    return TableFile(
        columns,
        gathered.rows,
        Dialect(),
        notice="A database is read and never written: the synthetic table is CSV.",
        digest=_digest(columns),
    )


def _engine(place: Place) -> sqlalchemy.Engine:
    try:
        address = sqlalchemy.make_url(place.url)
        address = address.set(drivername=_DRIVERS.get(address.drivername, address.drivername))
        if address.get_backend_name() == "sqlite" and (address.database in (None, "", ":memory:")):
            raise InputError("An SQLite address must name a file, as in sqlite:///folder/name.db. Correct it.")
        if address.get_backend_name() == "sqlite" and not Path(str(address.database)).is_file():
            # SQLite would make an empty database of that name.
            raise InputError("The SQLite database must exist, however there is no such file. Check the address.")
        return sqlalchemy.create_engine(address, hide_parameters=True)
    except exc.NoSuchModuleError:
        raise InputError(
            f"A database address must begin with a kind that SQLAlchemy knows, however {place.backend!r} is none. "
            "Use postgresql://, sqlite:///, mysql://, mssql:// or oracle://."
        ) from None
    except ImportError:
        raise InputError(
            f"A {place.backend} database needs its Python driver, however it is not installed. "
            "Install it with pip beside synthrelease."
        ) from None
    except (exc.SQLAlchemyError, ValueError):
        raise InputError(
            "A database address must look like postgresql://user@host/name, however this one does not. Correct it."
        ) from None


def _make_read_only(connection: sqlalchemy.Connection) -> None:
    """Have the database itself refuse to write, where it can; nothing is committed in any case."""
    statements = {"postgresql": "SET TRANSACTION READ ONLY", "sqlite": "PRAGMA query_only = ON"}
    if connection.dialect.name in statements:
        connection.exec_driver_sql(statements[connection.dialect.name])


def _statement(connection: sqlalchemy.Connection, place: Place) -> Any:
    if place.query is not None:
        return sqlalchemy.text(place.query.replace(":", r"\:"))
    schema, _, name = str(place.table).rpartition(".")
    inspector = sqlalchemy.inspect(connection)
    for folder, table in ((None, str(place.table)), (schema or None, name)):
        if inspector.has_table(table, schema=folder):
            # A star and not reflected columns: types that SQLAlchemy does not know are read all the same.
            return sqlalchemy.select(sqlalchemy.text("*")).select_from(sqlalchemy.table(table, schema=folder))
    known = sorted([*inspector.get_table_names(), *inspector.get_view_names()])
    shown = ", ".join(known[:20]) + (", ..." if len(known) > 20 else "")
    raise InputError(
        f"--table must name a table or view, however there is no {place.table!r} in the database. "
        + (f"It has: {shown}." if known else "Write SCHEMA.NAME for a table in a schema of its own.")
    )


def _failure(place: Place, error: exc.SQLAlchemyError) -> InputError:
    cause = getattr(error, "orig", None)
    state = getattr(cause, "sqlstate", None)
    kind = type(cause if cause is not None else error).__name__ + (f", SQLSTATE {state}" if state else "")
    if isinstance(error, exc.OperationalError | exc.InterfaceError) and not state:
        next_step = "Check host, name, user, password and whether it is running."
    else:
        next_step = "Try the same query in the database's own client: its message may hold cells and is not shown here."
    return InputError(f"A {place.backend} database must answer, however it does not ({kind}). {next_step}")


def _digest(columns: tuple[RawColumn, ...]) -> bytes:
    """SHA-256 of names, labels and codes: it stays in memory, as the start of the keyed digest."""
    total = hashlib.sha256()
    for raw in columns:
        total.update(repr(raw.name).encode())
        total.update("\x1f".join(raw.labels.to_pylist()).encode())
        total.update(raw.codes.tobytes())
    return total.digest()
