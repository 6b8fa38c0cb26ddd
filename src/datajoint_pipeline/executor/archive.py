"""Write and read the file that keeps values before they are lost: a zip with a CSV for each table, a manifest and
checksums.

The CSV is that of RFC 4180, in UTF-8 with the names of the columns in its first line: a spreadsheet opens it, and a
script reads it without this package. Null is ``\\N``, bytes are hexadecimal; a text that begins with a backslash has
one more in front, and one with a NUL character, which CSV cannot carry, is ``\\x`` and its bytes. Knows no database.
"""

from __future__ import annotations

import csv
import errno
import hashlib
import io
import json
import os
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

from ..errors import PipelineError
from ..schema.model import TableName

#: Layout of the manifest; raised when it changes.
FORMAT = 1

MANIFEST, SUMS = "manifest.json", "SHA256SUMS"

_CSV_RULES = {
    "encoding": "utf-8",
    "null": "\\N",
    "bytes": "hexadecimal, in columns of the form hex",
    "backslash": "a text that begins with one has one more in front; \\x and hexadecimal digits are a text's bytes",
    "moments": "UTC where the type has a time zone",
}

Value = str | bytes | None
Row = Sequence[Value]


@dataclass(frozen=True)
class ArchivedColumn:
    """A column of a CSV.

    Parameters
    ----------
    name : str
        Its name, on the server and in the first line.
    type : str
        The server's type.
    key : bool
        Whether it is part of the primary key.
    form : str
        ``text`` or ``hex``.
    lost : bool
        Whether its values are what is kept; the others only identify the rows.
    becomes : str
        The type that its values were cut or rounded to, as a definition writes it; empty for values that were deleted
        or computed anew.
    """

    name: str
    type: str
    key: bool
    form: str
    lost: bool
    becomes: str = ""


@dataclass
class Part:
    """The rows of one table; ``whole`` where the table itself is deleted, and ``model`` is how it is made again."""

    schema: str
    table: str
    file: str
    whole: bool
    columns: list[ArchivedColumn]
    model: dict[str, Any]
    rows: int = 0
    sha256: str = ""

    def __str__(self) -> str:
        return str(TableName(self.schema, self.table))

    @property
    def lost(self) -> list[ArchivedColumn]:
        """Give the columns whose values are kept."""
        return [column for column in self.columns if column.lost]


@dataclass
class Manifest:
    """What a file says of itself; ``schemas`` has database and version of each schema in it."""

    package: str
    environment: str
    backend: str
    kind: str
    schema: str
    run: int
    moment: str
    code_commit: str
    schemas: dict[str, dict[str, str]]
    parts: list[Part] = field(default_factory=list)


# --- Writing -------------------------------------------------------------------------------------------------------


@contextmanager
def writing(path: Path, manifest: Manifest, compare: Callable[[Archive], None]) -> Iterator[Writer]:
    """Write a file under a hidden name, and rename it once the disk has all of it and it was compared.

    Parameters
    ----------
    path : Path
        The file.
    manifest : Manifest
        What it says of itself, complete once all rows are written.
    compare : callable
        Given the file as the disk has it; raises where it does not hold what it should.

    Raises
    ------
    PipelineError
        If the disk does not take it, or gives back something else; then no part of it is left.
    """
    temporary = path.with_name(f".{path.name}.part")
    try:
        make_folder(path.parent)
        # Whoever was killed while writing has changed nothing, so the same run is written again, at another moment.
        for stale in path.parent.glob(f".{path.name.rpartition('-')[0]}-*.part"):
            stale.unlink()
        # Values of a database are nobody else's to read.
        with os.fdopen(os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600), "w+b") as raw:
            with zipfile.ZipFile(raw, "w", zipfile.ZIP_DEFLATED) as archive:
                writer = Writer(archive)
                yield writer
                writer.close(manifest)
            raw.flush()
            os.fsync(raw.fileno())
            if hasattr(os, "posix_fadvise"):  # or it would be read from memory, and not from the disk
                os.posix_fadvise(raw.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        _read_back(temporary, path.name, compare)
        os.replace(temporary, path)
        _sync(path.parent)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno in _DISK:
            raise PipelineError(
                f"The backup {path.name} could not be written.",
                f"{error.strerror}: {path.parent}. Nothing was changed.",
                "Correct that, or say --no-backup if the values may be lost for good.",
            ) from error
        raise


def _read_back(temporary: Path, name: str, compare: Callable[[Archive], None]) -> None:
    """Compare a file as the disk has it."""
    try:
        with reading(temporary) as file:
            compare(file)
    except Damaged as error:
        raise PipelineError(
            f"The backup {name} is not on the disk as it was written.",
            error.why,
            "Check the disk, or say --no-backup if the values may be lost for good.",
        ) from error


class Damaged(PipelineError):
    """What is in a file is not what was written to it."""


#: Errors of a disk or a folder, and not of a server.
_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO, errno.ENOTDIR}


def make_folder(folder: Path) -> None:
    """Make the folder of the files, with a ``.gitignore`` of its own, whatever the project's says."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not (folder / ".gitignore").exists():
        (folder / ".gitignore").write_text("*\n", encoding="utf-8")


def _sync(folder: Path) -> None:
    """Have the disk keep the names of a folder."""
    if os.name == "posix":  # elsewhere a folder cannot be opened
        number = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)


class Writer:
    """A file that is being written."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self._sums: dict[str, str] = {}

    def add(self, part: Part, rows: Iterable[Row]) -> None:
        """Write the rows of a table, one by one, and set the part's number of rows and checksum."""
        with self._archive.open(part.file, "w", force_zip64=True) as raw:
            member = _Summing(raw)
            with io.TextIOWrapper(io.BufferedWriter(member), encoding="utf-8", newline="") as text:
                lines = csv.writer(text, lineterminator="\r\n")
                lines.writerow([column.name for column in part.columns])
                for row in rows:
                    lines.writerow([_encoded(value) for value in row])
                    part.rows += 1
        part.sha256 = self._sums[part.file] = member.sum.hexdigest()

    def close(self, manifest: Manifest) -> None:
        """Write the manifest, and the checksums as ``sha256sum --check`` reads them."""
        document = {"format": FORMAT, **asdict(manifest), "csv": _CSV_RULES}
        text = json.dumps(document, ensure_ascii=False, indent=2) + "\n"
        self._archive.writestr(MANIFEST, text)
        self._sums[MANIFEST] = hashlib.sha256(text.encode()).hexdigest()
        self._archive.writestr(SUMS, "".join(f"{digest}  {name}\n" for name, digest in self._sums.items()))


class _Summing(io.RawIOBase):
    """Hands on what is written, and takes its checksum."""

    def __init__(self, raw: IO[bytes]) -> None:
        self._raw, self.sum = raw, hashlib.sha256()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self.sum.update(data)
        return self._raw.write(data)


def _encoded(value: Value) -> str:
    """Give a value as the CSV has it."""
    if value is None:
        return "\\N"
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value).hex()
    if "\0" in value:
        return f"\\x{value.encode().hex()}"
    return f"\\{value}" if value.startswith("\\") else value


# --- Reading -------------------------------------------------------------------------------------------------------


class Archive:
    """A file whose checksums are right."""

    def __init__(self, path: Path, archive: zipfile.ZipFile, manifest: Manifest) -> None:
        self.path, self.manifest, self._archive = path, manifest, archive

    def rows(self, part: Part) -> Iterator[list[Value]]:
        """Read the rows of a table, one by one."""
        csv.field_size_limit(2**31 - 1)
        forms = [column.form for column in part.columns]
        with io.TextIOWrapper(self._archive.open(part.file), encoding="utf-8", newline="") as text:
            lines = csv.reader(text)
            next(lines)
            for line in lines:
                yield [_decoded(value, form) for value, form in zip(line, forms, strict=True)]


def _decoded(value: str, form: str) -> Value:
    """Give a value of the CSV."""
    if value == "\\N":
        return None
    if form == "hex":
        return bytes.fromhex(value)
    if value.startswith("\\x"):
        return bytes.fromhex(value[2:]).decode()
    return value[1:] if value.startswith("\\") else value


@contextmanager
def reading(path: Path) -> Iterator[Archive]:
    """Open a file and verify all that is in it by its checksums.

    Raises
    ------
    PipelineError
        If it is no backup, is damaged, or was written by a newer version of the library.
    """
    if not path.is_file():
        why = "It is a folder." if path.is_dir() else "Commands write backups to backups/ when values would be lost."
        raise PipelineError(f"There is no file {path}.", why, "Name a file in that folder, if there is one.")
    try:
        archive = zipfile.ZipFile(path)
    except _BROKEN as error:
        raise _damaged(path, str(error)) from error
    with archive:
        try:
            manifest = _checked(archive)
        except _BROKEN as error:
            raise _damaged(path, " ".join(str(part) for part in error.args)) from error
        yield Archive(path, archive, manifest)


#: Errors that reading a damaged zip can raise.
_BROKEN = (
    *(zipfile.BadZipFile, zlib.error, struct.error, OSError, EOFError),
    *(LookupError, TypeError, ValueError, RuntimeError, AttributeError),
)


def _checked(archive: zipfile.ZipFile) -> Manifest:
    """Read the manifest, once every checksum is right."""
    lines = [line.split("  ", 1) for line in archive.read(SUMS).decode().splitlines()]
    wanted = {name: digest for digest, name in lines}
    names = set(archive.namelist()) - {SUMS}
    if wanted.keys() != names:
        raise ValueError(f"{', '.join(sorted(wanted.keys() ^ names))} should be in it, or should not")
    for name, digest in wanted.items():
        found = hashlib.sha256()
        with archive.open(name) as member:
            while piece := member.read(1 << 20):
                found.update(piece)
        if found.hexdigest() != digest:
            raise ValueError(f"{name} has another SHA-256 than when it was written")
    document = json.loads(archive.read(MANIFEST))
    if document.pop("format") > FORMAT:
        raise PipelineError(
            "The file was written by a newer version of the library.",
            f"This version knows files up to format {FORMAT}.",
            "Use the newer code: pull the project, or run uvx copier update.",
        )
    return _manifest(document)


def _manifest(document: Mapping[str, Any]) -> Manifest:
    values = {name: value for name, value in document.items() if name in Manifest.__dataclass_fields__}
    parts = [
        Part(**{**part, "columns": [ArchivedColumn(**column) for column in part["columns"]]})
        for part in document["parts"]
    ]
    return Manifest(**{**values, "parts": parts})


def _damaged(path: Path, why: str) -> Damaged:
    return Damaged(
        f"{path.name} is damaged, or no backup.",
        f"{why[:1].upper()}{why[1:].rstrip('.')}; nothing was changed.",
        "Take another copy of the file.",
    )
