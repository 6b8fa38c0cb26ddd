"""Keep values before they are lost: read the rows batch by batch, and have :mod:`archive` write them to a file.

What is soft-deleted keeps its values and needs no file. What user steps do to rows cannot be known beforehand.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import journal, server_errors
from ..dialects.introspection import Place
from ..errors import ExitCode, PipelineError
from ..internals.connection import unbuffered_cursor
from ..planner.deployment import Deployment
from ..planner.losses import Loss, happens, source
from ..planner.losses import of_group as losses_of
from ..planner.plan import Group, Lossy
from ..planner.target import Target
from ..quoting import quoted
from ..schema.model import Schema, encode
from . import archive, stepping
from .archive import Archive, ArchivedColumn, Manifest, Part, Row, Value

if TYPE_CHECKING:
    import datajoint as dj

#: Rows that are in memory at a time.
BATCH = 500


@dataclass
class Backups:
    """The files that one command writes.

    Parameters
    ----------
    wanted : bool
        Whether it writes any; not with ``--no-backup``.
    report : callable
        Called with each file as soon as it is complete, and what it holds.
    files : list of Path
        Those that were written.
    """

    wanted: bool = True
    report: Callable[[Path, Manifest], None] = lambda path, manifest: None
    files: list[Path] = field(default_factory=list)

    def of_group(
        self, deployment: Deployment, group: Group, lossy: Lossy, kind: str, run: int | None = None
    ) -> Keeping | None:
        """Give what writes a file of what a group loses, to be called right before it is applied; None for nothing.

        ``run`` is the number of the run where it has begun. See :func:`datajoint_pipeline.planner.losses.of_group` for
        what is lost.
        """
        losses = losses_of(group, lossy) if self.wanted else []
        if not losses:
            return None
        return Keeping(self, deployment, losses, _manifest(deployment, losses, kind, group.schemas[0], run))

    def of_purge(self, deployment: Deployment, losses: list[Loss]) -> None:
        """Write a file of what `purge` deletes; see :meth:`_write`."""
        if self.wanted:
            self.write(deployment, losses, _manifest(deployment, losses, "purge", losses[0].table.name.schema))

    def write(
        self, deployment: Deployment, losses: list[Loss], manifest: Manifest, *, lock: bool = False, held: bool = False
    ) -> list[Any]:
        """Write a file of what will be lost; on MySQL, give what tells whether the rows are still the same.

        No file is written where only nulls would be lost, and there are none.

        Parameters
        ----------
        deployment : Deployment
            Where.
        losses : list of Loss
            What will be lost.
        manifest : Manifest
            What the file says of itself, still without its parts.
        lock : bool
            Whether nobody else may write to the tables from now on; within a transaction of PostgreSQL.
        held : bool
            Whether nobody else may anyhow, as this session has locked the tables; on MySQL.

        Raises
        ------
        PipelineError
            If the disk would not hold it, or what is read back from it is not what the tables hold.
        """
        path = _path(deployment.target.backups, manifest)
        locked = [deployment.full(loss.table.name) for loss in losses if lock]
        with nullcontext() if held else _reading(deployment.target, locked):
            plans = [(_part(deployment, loss), source(deployment, loss)) for loss in losses]
            told = [_told(deployment.connection, part, rows_of) for part, rows_of in plans]
            plans = [plan for plan, loss in zip(plans, losses, strict=True) if happens(deployment, loss)]
            if not plans:
                return told
            _refuse_small_disk(deployment.connection, path.parent, plans)

            def compare(file: Archive) -> None:
                for part, rows_of in plans:
                    _compare(deployment.connection, file, part, rows_of)

            with archive.writing(path, manifest, compare) as file:
                for part, rows_of in plans:
                    file.add(part, rows(deployment.connection, part, rows_of))
                    manifest.parts.append(part)
        if path not in self.files:
            self.files.append(path)
            self.report(path, manifest)
        return told


class Keeping:
    """Writes a file of what a run loses: before it, and once more where rows are others when nobody can write any more.

    PostgreSQL has the tables locked from the first time on. On MySQL others write until the first step that disturbs
    them, which may be long after.

    Parameters
    ----------
    backups : Backups
        Where the file is told.
    deployment : Deployment
        What was there before the run.
    losses : list of Loss
        What is lost.
    manifest : Manifest
        What the file says of itself, still without its parts.
    """

    def __init__(self, backups: Backups, deployment: Deployment, losses: list[Loss], manifest: Manifest) -> None:
        self._backups, self._deployment, self._losses, self._manifest = backups, deployment, losses, manifest
        self._rows: list[Any] = []

    @property
    def places(self) -> list[Place]:
        """Give the places of the tables that lose something."""
        names = [loss.table.name for loss in self._losses]
        return [(self._deployment.databases[name.schema], name.table) for name in names]

    def __call__(self) -> None:
        """Write it; where a transaction is tried again, the same file anew."""
        stepping.prepare(self._deployment.connection)
        self._rows = self._write(lock=True)

    def again(self) -> None:
        """Write it anew if the rows are not those that it has; nobody else can write now.

        Raises
        ------
        PipelineError
            As :meth:`Backups.write`; nothing is lost then, and the run can be gone on with.
        """
        connection, found = self._deployment.connection, list[Any]()
        for loss in self._losses:
            found.append(_told(connection, _part(self._deployment, loss), source(self._deployment, loss)))
        if found == self._rows:
            return
        try:
            self._rows = self._write(held=True)
        except PipelineError as error:
            error.exit_code = ExitCode.INTERRUPTED
            raise

    def _write(self, *, lock: bool = False, held: bool = False) -> list[Any]:
        manifest = replace(self._manifest, parts=[])
        return self._backups.write(self._deployment, self._losses, manifest, lock=lock, held=held)


# --- The file ------------------------------------------------------------------------------------------------------


def _path(folder: Path, manifest: Manifest) -> Path:
    moment = re.sub("[-:]", "", manifest.moment)
    return folder / f"{manifest.environment}-{manifest.schema}-{manifest.kind}-{manifest.run}-{moment}.zip"


def _number(deployment: Deployment, kind: str, schema: str) -> int:
    """Give the number of the run that a file is of; for `purge`, which is no run, that of the last one."""
    database, record = deployment.databases[schema], deployment.records.get(schema)
    if kind == "purge":
        return record.id if record is not None else 0
    has_journal = database in deployment.surveys and deployment.surveys[database].journal
    return journal.following(deployment.connection, database) if has_journal else 1


def _manifest(deployment: Deployment, losses: list[Loss], kind: str, schema: str, run: int | None = None) -> Manifest:
    records = deployment.records
    names = [name for name in dict.fromkeys(loss.table.name.schema for loss in losses) if name in records]
    return Manifest(
        package=deployment.target.name,
        environment=deployment.target.environment,
        backend=deployment.connection.adapter.backend,
        kind=kind,
        schema=schema,
        run=_number(deployment, kind, schema) if run is None else run,
        moment=f"{journal.now().isoformat(timespec='microseconds')}Z",
        code_commit=deployment.target.commit(),
        schemas={n: {"database": deployment.databases[n], "version": records[n].version} for n in names},
    )


def _part(deployment: Deployment, loss: Loss) -> Part:
    name = loss.table.name
    table = deployment.catalogue.tables[deployment.databases[name.schema], name.table]
    columns = [
        ArchivedColumn(
            name=column.name,
            type=column.stored,
            key=column.name in table.primary_key,
            form="hex" if is_bytes(column.stored) else "text",
            lost=loss.whole or column.name in loss.attributes,
            becomes=loss.attributes.get(column.name, ""),
        )
        for column in table.columns
        if loss.whole or column.name in table.primary_key or column.name in loss.attributes
    ]
    model = encode(Schema(name.schema, (loss.table,)))
    return Part(name.schema, name.table, f"{name.schema}.{name.table}.csv", loss.whole, columns, model)


# --- Rows ----------------------------------------------------------------------------------------------------------


def is_bytes(stored: str) -> bool:
    """Tell whether a column of the server's type holds bytes, or values that are kept as bytes."""
    return bool(re.match(r"(tiny|medium|long)?blob|(var)?binary|bit|bytea|geom|point|line|poly|multi", stored))


def read_as(connection: dj.Connection, column: ArchivedColumn, alias: str = "") -> str:
    """Give an expression for a column's value as the file has it: a text that the server makes the same value of."""
    name: str = alias + quoted(connection, column.name)
    if column.form == "hex":
        return name
    if connection.adapter.backend == "postgresql":
        return f"{name}::text"
    if re.match(r"(var)?char|(tiny|medium|long)?text|enum|set", column.type):
        return name
    if column.type.startswith("float"):  # as a text, it has fewer digits than it holds
        return f"CAST(CAST({name} AS DOUBLE) AS CHAR)"
    # Without a length, a sort may cut the text of a double.
    return f"CAST({name} AS CHAR{'(30)' * column.type.startswith('double')})"


def rows(connection: dj.Connection, part: Part, rows_of: str, *more: str) -> Generator[Row]:
    """Read the rows of a table, and ``more`` expressions over them, in the order of their key.

    ``rows_of`` is what stands after ``FROM``, perhaps with a condition.
    """
    key = ", ".join(quoted(connection, column.name) for column in part.columns if column.key)
    listed = ", ".join([*(read_as(connection, column) for column in part.columns), *more])
    documents = [(n, column.name) for n, column in enumerate(part.columns) if column.type == "json"]
    for row in stream(connection, f"SELECT {listed} FROM {rows_of}" + (f" ORDER BY {key}" if key else "")):
        for place, name in documents:
            if row[place] == "":  # which is no JSON: MySQL gives it for a document that is longer than one packet
                raise PipelineError(
                    f"A value of {name} in {part} cannot be kept.",
                    "It is longer than max_allowed_packet, and the server sends nothing of it. Nothing was changed.",
                    "Have max_allowed_packet raised on the server, or say --no-backup if the values may be lost.",
                )
        yield row


def _told(connection: dj.Connection, part: Part, rows_of: str) -> Any:
    """Give how many rows a table of MySQL has, and what is the same as long as all their values are."""
    if connection.adapter.backend != "mysql":
        return None
    # Each by itself: together they may be longer than max_allowed_packet, for which MySQL gives NULL.
    values = ", ".join(f"IFNULL(SHA2({read_as(connection, column)}, 256), 'n')" for column in part.columns)
    number = f"CAST(CONV(LEFT(SHA2(CONCAT_WS(',', {values}), 256), 15), 16, 10) AS DECIMAL(65))"
    return connection.query(f"SELECT COUNT(*), SUM({number}) FROM {rows_of}", args=None, reconnect=False).fetchone()


def _compare(connection: dj.Connection, file: Archive, part: Part, rows_of: str) -> None:
    """Refuse a file that does not hold the rows of a table, value by value, as they are now."""
    exact = [column for column in part.columns if _ROUNDED.match(column.type)]
    tests = [_comes_back(connection, column) for column in exact]
    number, width = 0, len(part.columns)
    # What is left of it is read before the session does anything else.
    with closing(rows(connection, part, rows_of, *tests)) as there:
        for number, (kept, found) in enumerate(zip_longest(file.rows(part), there), 1):
            if kept is None or found is None:
                raise _other(part, f"{part} has {'more' if kept is None else 'fewer'} rows than the file")
            values = [_plain(value) for value in found[:width]]
            if values != kept:
                other = next(c.name for c, value, had in zip(part.columns, values, kept, strict=True) if value != had)
                raise _other(part, f"{other} in row {number} is another")
            if not all(found[width:]):
                other = next(c.name for c, same in zip(exact, found[width:], strict=True) if not same)
                raise _other(part, f"the text of {other} in row {number} does not give its value again")
    if number != part.rows:
        raise _other(part, f"{part.rows} rows were written, and {number} are there")


#: Types whose values the server may write with fewer digits than they have.
_ROUNDED = re.compile("float|double|real")


def _comes_back(connection: dj.Connection, column: ArchivedColumn) -> str:
    """Give an expression that tells whether the text of a number in the file is that number again."""
    name, text = quoted(connection, column.name), read_as(connection, column)
    if connection.adapter.backend == "postgresql":
        return f"({text})::{column.type} IS NOT DISTINCT FROM {name}"
    return f"CAST({text} AS DOUBLE) <=> CAST({name} AS DOUBLE)"


def _plain(value: Value | bytearray | memoryview) -> Value:
    """Give a value of a driver as the file has it."""
    return bytes(value) if isinstance(value, (bytearray, memoryview)) else value


def _other(part: Part, why: str) -> PipelineError:
    return PipelineError(
        f"The backup of {part} does not hold what the table holds.",
        f"Read back and compared, {why}. Nothing was changed.",
        "Run the command again, or say --no-backup if the values may be lost for good.",
    )


def stream(connection: dj.Connection, sql: str) -> Generator[Row]:
    """Read the rows of a query, a batch in memory at a time; on PostgreSQL within a transaction."""
    if connection.adapter.backend == "postgresql":
        connection.query(f"DECLARE kept NO SCROLL CURSOR FOR {sql}", args=None, reconnect=False)
        while batch := connection.query(f"FETCH {BATCH} FROM kept", args=None, reconnect=False).fetchall():
            yield from batch
        connection.query("CLOSE kept", args=None, reconnect=False)
        return
    with unbuffered_cursor(connection) as cursor:
        cursor.execute(sql)
        while batch := cursor.fetchmany(BATCH):
            yield from batch


@contextmanager
def _reading(target: Target, locked: list[str]) -> Iterator[None]:
    """Read every table as it is at one moment; locked tables stay so until the transaction around this ends."""
    connection = target.connection
    if connection.adapter.backend == "mysql":
        start, end = "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY", "COMMIT"
        connection.query(start, args=None, reconnect=False)
        try:
            yield
        finally:
            with suppress(Exception):
                connection.query(end, args=None, reconnect=False)
        return
    if locked:
        _lock(target, f"LOCK TABLE {', '.join(locked)} IN SHARE MODE")
        yield
        return
    with stepping.transaction(connection):
        connection.query("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ", args=None, reconnect=False)
        yield


def _lock(target: Target, sql: str) -> None:
    """Lock tables, or refuse as for any statement that waits for others in vain."""
    try:
        target.connection.query(sql, args=None, reconnect=False)
    except Exception as error:
        found = server_errors.of(error)
        if found is not server_errors.HELD:
            raise
        refused = stepping.Refused(
            "The backup of what will be lost was not begun.",
            f"{server_errors.reason(error)}. Nothing was changed.",
            f"{found.do}, then run {target.command} migrate again.",
        )
        refused.waited = sql
        raise refused from error


def _refuse_small_disk(connection: dj.Connection, place: Path, plans: list[tuple[Part, str]]) -> None:
    """Refuse what the disk may not hold. The estimate is of values that are not compressed yet."""
    mysql, needed = connection.adapter.backend == "mysql", 1 << 16
    for part, rows_of in plans:
        sizes = []
        for column in part.columns:
            length = "LENGTH" if mysql else "OCTET_LENGTH"
            size = f"{length}({read_as(connection, column)}) * {2 if column.form == 'hex' else 1}"
            sizes.append(f"COALESCE({size}, 2) + 3")
        sql = f"SELECT COALESCE(SUM({' + '.join(sizes)}), 0) FROM {rows_of}"
        needed += int(connection.query(sql, args=None, reconnect=False).fetchone()[0])
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    if needed > free:
        raise PipelineError(
            f"The disk has no room for the backup of {', '.join(str(part) for part, _ in plans)}.",
            f"It may take {_size(needed)}, and {place} has {_size(free)} left. Nothing was changed.",
            "Make room there, or say --no-backup if the values may be lost for good.",
        )


def _size(size: int) -> str:
    """Give a number of bytes as people say it."""
    for unit, power in (("GB", 30), ("MB", 20), ("KB", 10)):
        if size >= 1 << power:
            return f"{size / (1 << power):.1f} {unit}"
    return f"{size} bytes"
