"""CSV files, plain or packed by gzip or zip, opened as streams of bytes that never grow beyond a stated size.

A packed file can be opened as often as needed and is never unpacked to disk: its rows are real.
"""

from __future__ import annotations

import gzip
import io
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Literal

from synthrelease.core.errors import InputError
from synthrelease.data.formats.location import Place, damaged

MOST_UNPACKED_BYTES = 4 * 2**30
"""A packed file that holds more than this is refused: a few kilobytes can unpack to more than any disk holds."""

Packing = Literal["", "gz", "zip"]
_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError)
"""OSError: a false offset, or gzip's own errors. NotImplementedError: an odd compression. RuntimeError: encrypted."""

_FIXED_DATE = (1980, 1, 1, 0, 0, 0)


def packing_of(path: Path) -> Packing:
    """How a file is packed, by its suffix."""
    suffixes: dict[str, Packing] = {".gz": "gz", ".zip": "zip"}
    return suffixes.get(path.suffix.lower(), "")


@contextmanager
def opened(place: Place) -> Iterator[IO[bytes]]:
    """Open a plain or packed file for reading its unpacked bytes.

    Raises:
        InputError: The archive is damaged, holds more or less than one file, or more bytes than allowed.
    """
    path = place.file
    packing = packing_of(path)
    if not packing:
        with path.open("rb") as stream:
            yield stream
        return
    try:
        if packing == "gz":
            with gzip.open(path) as unpacked:
                yield io.BufferedReader(_Guarded(unpacked, place), 1 << 20)
        else:
            with zipfile.ZipFile(path) as archive, archive.open(_member(archive, place)) as member:
                yield io.BufferedReader(_Guarded(member, place), 1 << 20)
    except _DAMAGE as error:
        raise damaged(place, f"a .{packing} archive", error) from None


def _member(archive: zipfile.ZipFile, place: Place) -> zipfile.ZipInfo:
    members = [
        member for member in archive.infolist() if not member.is_dir() and not member.filename.startswith("__MACOSX/")
    ]
    if len(members) != 1:
        raise InputError(
            f"A zip archive must hold one CSV file, however {place.name} holds {len(members)} files. Pack one alone."
        )
    if members[0].file_size > MOST_UNPACKED_BYTES:
        raise _too_large(place)
    return members[0]


def _too_large(place: Place) -> InputError:
    return InputError(
        f"A packed table may unpack to at most {MOST_UNPACKED_BYTES:,} bytes, however {place.name} holds more. "
        "If it is to be trusted, unpack it first and give the unpacked file."
    )


class _Guarded(io.RawIOBase):
    """A stream that counts what is read from it and stops at the limit."""

    def __init__(self, stream: IO[bytes] | gzip.GzipFile, place: Place) -> None:
        self._stream, self._place, self._count = stream, place, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        block = self._stream.read(len(buffer))
        buffer[: len(block)] = block
        self._count += len(block)
        if self._count > MOST_UNPACKED_BYTES:
            raise _too_large(self._place)
        return len(block)


def check_workbook(place: Place) -> None:
    """Refuse a workbook (a zip archive) that is damaged or holds more than allowed, whatever its headers say.

    Raises:
        InputError: It does.
    """
    total = 0
    try:
        with zipfile.ZipFile(place.file) as archive:
            if sum(member.file_size for member in archive.infolist()) > MOST_UNPACKED_BYTES:
                raise _too_large(place)
            for member in archive.infolist():
                with archive.open(member) as stream:
                    # A member that is longer than its header says fails its checksum here.
                    while block := stream.read(1 << 20):
                        total += len(block)
                        if total > MOST_UNPACKED_BYTES:
                            raise _too_large(place)
    except _DAMAGE as error:
        raise damaged(place, "an Excel workbook (.xlsx)", error) from None


@contextmanager
def packed(file: IO[bytes], packing: Packing, name: str) -> Iterator[IO[bytes]]:
    """Open a stream that packs what is written into ``file``; ``name`` is the member's. The same bytes every time."""
    if packing == "gz":
        with gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0) as stream:
            yield stream  # type: ignore[misc]
    elif packing == "zip":
        member = zipfile.ZipInfo(name, _FIXED_DATE)
        member.compress_type = zipfile.ZIP_DEFLATED
        with zipfile.ZipFile(file, "w") as archive, archive.open(member, "w", force_zip64=True) as stream:
            yield stream
    else:
        yield file
