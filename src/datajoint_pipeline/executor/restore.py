"""Put the values of a backup back: into rows with the same key, or with the table or column that was deleted.

The rows of the file are put into a temporary table of the types that the columns have now, and from there into the
columns by one statement a table, all of them in one transaction. What somebody wrote since is overwritten only with
``overwrite``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from .. import journal, server_errors
from ..dialects import constraints
from ..dialects.introspection import CatalogTable
from ..dialects.owners import Owner
from ..dialects.steps import Alteration, Step
from ..errors import ExitCode, PipelineError
from ..internals.connection import literals, longest_statement, refuse_long
from ..planner import drift, retained, stand_ins
from ..planner.deployment import Deployment
from ..planner.plan import counted
from ..planner.target import Target
from ..quoting import quoter
from ..schema import compatibility, notation
from ..schema.model import TableName, decode
from . import along, apply, archive, auditing, backup, made_anew, owners, purged, renamed_since, stepping
from .archive import Archive, ArchivedColumn, Manifest, Part, Value
from .noting import Note

#: Bytes and rows of one statement that fills the temporary table.
SIZE, ROWS = 4 << 20, 500


@dataclass(frozen=True)
class Restored:
    """What became of the rows of one table.

    Parameters
    ----------
    schema, table : str
        The table.
    attributes : tuple of str
        Whose values; all where the table itself was deleted.
    rows : int
        In the file.
    restored, same, gone : int
        Rows that got their values back or came back themselves, that had them, and that are not there any more.
    made : bool
        Whether the table or an attribute had to be made again.
    """

    schema: str
    table: str
    attributes: tuple[str, ...]
    rows: int
    restored: int
    same: int
    gone: int
    made: bool

    @property
    def soft_deleted(self) -> bool:
        """Say whether it is only there for `rollback` to bring back."""
        return retained.is_soft_deleted(self.table, *self.attributes)


class _Undone(Exception):
    """Leaves a transaction without its changes."""


#: Attributes, each with its table, and the values that alone are replaced, as a definition writes them; any if none.
Attributes = Mapping[tuple[TableName, str], tuple[str | None, ...]]


def restore(
    target: Target, path: Path, *, overwrite: bool = False, dry_run: bool = False
) -> tuple[Manifest, list[Restored]]:
    """Put the values of a file back; give its manifest, and what became of its rows.

    Parameters
    ----------
    target : Target
        Where; the one that the file is of.
    path : Path
        The file.
    overwrite : bool
        Whether values that somebody wrote since may be overwritten.
    dry_run : bool
        Whether everything is undone in the end.

    Raises
    ------
    PipelineError
        If the file is damaged or of another environment, a column cannot take its values, or values would be lost; then
        nothing was changed.
    """
    with archive.reading(path if path.exists() else target.backups / path) as file:
        _refuse_other_place(target, file)
        with apply.alone(target):
            return file.manifest, put_back(target, file, overwrite=overwrite, dry_run=dry_run)


def put_back(
    target: Target, file: Archive, *, overwrite: bool = False, dry_run: bool = False, chosen: Attributes | None = None
) -> list[Restored]:
    """Put the values of an open file back, under the pipeline's lock; ``chosen`` has the only attributes that get any.

    Other parameters and errors are those of :func:`restore`.
    """
    deployment = Deployment.read(target)
    _refuse_other_server(deployment, file)
    return _Restoring(deployment, file, overwrite=overwrite, dry_run=dry_run, chosen=chosen).run()


def _refuse_other_place(target: Target, file: Archive) -> None:
    """Refuse a file of another project or environment."""
    manifest = file.manifest
    if manifest.package != target.name:
        what = f"{file.path.name} is of another project, {manifest.package}."
        raise PipelineError(what, f"This is {target.name}.", "Run restore there.")
    if manifest.environment != target.environment:
        raise PipelineError(
            f"{file.path.name} is of {manifest.environment}, and this command is for {target.environment}.",
            "Rows of one database have no place in another.",
            f"If that is what you mean: {target.program} --env {manifest.environment} restore {file.path}",
        )


def _refuse_other_server(deployment: Deployment, file: Archive) -> None:
    """Refuse a file of another kind of server, and a schema in the middle of a change."""
    backend = deployment.connection.adapter.backend
    if file.manifest.backend != backend:
        what = f"{file.path.name} is of a {file.manifest.backend} server, and this one is {backend}."
        raise PipelineError(what, "Each has types of its own.", "Name the server that it was taken from.")
    apply.refuse_unfinished(deployment, {part.schema for part in file.manifest.parts})


def _only(part: Part, chosen: Attributes) -> Part:
    """Give a part that only gives some attributes back; the others of its columns are read and left."""
    table = TableName(part.schema, part.table)
    return replace(part, columns=[replace(c, lost=c.lost and (table, c.name) in chosen) for c in part.columns])


class _Restoring:
    """One run of `restore`."""

    def __init__(
        self, deployment: Deployment, file: Archive, *, overwrite: bool, dry_run: bool, chosen: Attributes | None = None
    ) -> None:
        self.deployment, self.file, self.overwrite, self.dry_run = deployment, file, overwrite, dry_run
        self.connection, self.quote = deployment.connection, quoter(deployment.connection)
        self.mysql = self.connection.adapter.backend == "mysql"
        #: What the file has, by the names of what its values belong in.
        self.parts = made_anew.parts(deployment, file)
        if chosen is not None:
            self.parts = [part for one in self.parts if (part := _only(one, chosen)).lost]
        self.chosen = chosen or {}

    def run(self) -> list[Restored]:
        """Put the values back; while others hold the tables, try again for a while as `migrate` does."""
        for part in self.parts:
            self._refuse_misfit(part)
            purged.refuse_made_anew(self.deployment, self.file, part, self._missing(part))
        for part in self.parts:
            given = [column.name for column in part.lost if not (part.whole and column.key)]
            along.tell(self.deployment, TableName(part.schema, part.table), given, inserts=part.whole)
        places = {self._place(part) for part in self.parts}
        owned = owners.require(self.connection, sorted({database for database, _ in places}), places)
        auditing.refuse_without_right(self.connection, self._audited())
        stepping.prepare(self.connection)
        databases, warn = self.deployment.databases, self.deployment.target.warn
        return stepping.patiently(self.connection, databases, partial(self._attempt, owned), warn)

    def _audited(self) -> set[str]:
        """Give the databases in which audited tables have to be made again."""
        made = {self._place(part) for part in self.parts if part.whole and self._on_server(part) is None}
        databases = (
            {} if self.dry_run else {database: auditing.were_audited(self.deployment, database) for database, _ in made}
        )
        return {database for database, names in databases.items() if any((database, name) in made for name in names)}

    def _attempt(self, owned: Mapping[str, Owner]) -> list[Restored]:
        """Make what is missing, put the values back, and undo all of it in a dry run."""
        parts = self.parts
        missing = [part for part in parts if self._missing(part)]
        found: list[Restored] = []
        if self.dry_run and self.mysql:  # which cannot take back that something was made
            found = [self._result(part, (part.rows, 0, 0), made=True) for part in missing]
            parts = [part for part in parts if part not in missing]
        made: list[Step] = []
        note = self._note() if self.mysql else None
        try:
            with suppress(_Undone), nullcontext() if self.mysql else stepping.transaction(self.connection):
                note = note or self._note()
                self._make([part for part in parts if part in missing], made)
                owners.hand_over(self.connection, owned)
                with self._staged(parts), stepping.within(self.connection):
                    self._hold([] if self.dry_run else parts)
                    found += [
                        self._result(part, self._put_back(n, part), part in missing) for n, part in enumerate(parts)
                    ]
                    if self.dry_run:
                        raise _Undone
                    note.end()
        except Exception as error:
            self._take_back(made)
            if self.mysql and note is not None:
                with suppress(Exception):  # as there
                    note.withdraw()
            if isinstance(error, PipelineError) or server_errors.of(error):
                raise
            raise PipelineError(
                "The values cannot be put back.",
                f"{server_errors.reason(error)}. Nothing was changed.",
                self._advice(self.parts[0]),
            ) from error
        return found

    def _query(self, sql: str, *arguments: object) -> Any:
        return stepping.send(self.connection, sql, "The values cannot be put back.", *arguments)

    def _result(self, part: Part, counts: tuple[int, int, int], made: bool) -> Restored:
        """Give what became of the rows of a part; ``counts`` are those restored, the same and gone."""
        names = () if part.whole else tuple(column.name for column in part.lost)
        return Restored(part.schema, part.table, names, part.rows, *counts, made)

    # --- What is on the server --------------------------------------------------------------------------------------

    def _place(self, part: Part) -> tuple[str, str]:
        return self.deployment.databases.get(part.schema, part.schema), part.table

    def _full(self, part: Part) -> str:
        return self.deployment.full(TableName(part.schema, part.table))

    def _on_server(self, part: Part) -> CatalogTable | None:
        return self.deployment.catalogue.tables.get(self._place(part))

    def _missing(self, part: Part) -> list[str]:
        """Give the columns that `purge` deleted; all of them where it deleted the table."""
        there = self._on_server(part)
        if self.file.manifest.kind != "purge":
            return []
        known = {column.name for column in there.columns} if there is not None else set()
        return [column.name for column in part.lost if column.name not in known]

    def _advice(self, part: Part) -> str:
        """Say how a table becomes again what it was when its values were kept."""
        schema = self.file.manifest.schemas.get(part.schema)
        command = self.deployment.target.command
        if self.file.manifest.kind == journal.DRAFT:
            return f"First take the class back to what it was, say {command} migrate --draft, then run restore again."
        if schema is None or self.file.manifest.kind == "purge":
            return "Bring the table to what it was then, and run restore again."
        return f"First run {command} rollback {part.schema} --to {schema['version']}, then run restore again."

    def _refuse_misfit(self, part: Part) -> None:
        """Refuse a part whose table is not there, has another key, or columns that cannot take its values."""
        there = self._on_server(part)
        if there is None:
            if part.whole and part.schema in self.deployment.records:
                return
            what = f"There is no table {part} any more."
            raise PipelineError(what, "It was dropped, renamed or moved. Nothing was changed.", self._advice(part))
        columns, missing = {column.name: column for column in there.columns}, self._missing(part)
        if part.whole and missing:
            what = f"{part} is another table now, without {missing[0]}."
            raise PipelineError(
                what, "It was soft-deleted since. Nothing was changed.", "Purge it, then run restore again."
            )
        if set(there.primary_key) != {column.name for column in part.columns if column.key}:
            what = f"{part} has another primary key than when its values were saved."
            raise PipelineError(what, "Rows are found by their key. Nothing was changed.", self._advice(part))
        if not part.whole and (taken := renamed_since.taken_names(self.deployment, self.file, part)):
            raise PipelineError(
                f"{part}.{taken[0]} is no longer the attribute whose values were saved.",
                "That one was renamed or dropped since, and its name was given to another. Nothing was changed.",
                self._advice(part),
            )
        for column in part.columns:
            now = columns.get(column.name)
            if now is None and column.name not in missing:
                what = f"{part} has no {column.name} any more."
                raise PipelineError(what, "It was dropped or renamed. Nothing was changed.", self._advice(part))
            if now is not None and not compatibility.takes(now.stored, column.type):
                raise PipelineError(
                    f"{part}.{column.name} is {now.stored} now, and its values were {column.type}.",
                    "They would be cut, rounded or refused. Nothing was changed.",
                    self._advice(part),
                )

    # --- What has to be made ---------------------------------------------------------------------------------------

    def _make(self, parts: list[Part], made: list[Step]) -> None:
        """Make what was deleted as it was; add the steps that undo it to ``made``, where the server does not itself."""
        tables = self.deployment.tables
        dialect = self.deployment.dialect(constraints.names(self.deployment.catalogue), tables, dict(tables))
        for part in parts:
            (model,) = decode(part.model)
            name = TableName(part.schema, part.table)
            if part.whole and self._on_server(part) is None:
                table = replace(model, foreign_keys=())
                steps = dialect.create_table(table)
                place = self._place(part)
                if place[1] in auditing.were_audited(self.deployment, place[0]):
                    # Before its rows come, so that these are recorded as what whoever restores them enters.
                    steps = [*steps, *auditing.put_on_new(self.deployment, dialect, replace(table, name=name), place)]
                undo = f"DROP TABLE {self._full(part)}"
            else:
                old, missing = tables[name], self._missing(part)
                new = replace(old, attributes=(*old.attributes, *(model.attribute[column] for column in missing)))
                dialect.state(tables, {**tables, name: new})
                steps = dialect.alter_table(Alteration(old, new))
                drops = ", ".join(f"DROP COLUMN {self.quote(column)}" for column in missing)
                undo = f"ALTER TABLE {self._full(part)} {drops}"
            for number, step in enumerate(steps):
                self._query(step.sql)
                if self.mysql and number == 0:
                    made.append(Step(undo, (), ""))

    def _take_back(self, made: list[Step]) -> None:
        """Undo what was made."""
        for step in made:
            with suppress(Exception):  # the error that led here is raised
                self._query(step.sql)

    def _note(self) -> Note:
        """Record that this is under way; a dry run leaves no record."""
        schemas = dict.fromkeys(part.schema for part in self.parts)
        options = " ".join(
            [self.file.path.name, *["--overwrite"] * self.overwrite, *[drift.IN_PART] * bool(self.chosen)]
        )
        return Note.take(self.deployment, () if self.dry_run else schemas, "restore", options)

    # --- Rows ------------------------------------------------------------------------------------------------------

    def _staging(self, number: int, part: Part) -> str:
        name = self.quote(f"~restoring_{number}")
        return f"{self.quote(self._place(part)[0])}.{name}" if self.mysql else f"pg_temp.{name}"

    @contextmanager
    def _staged(self, parts: list[Part]) -> Iterator[None]:
        """Hold the rows of the file in temporary tables, of the types that the columns have."""
        try:
            for number, part in enumerate(parts):
                names = ", ".join(self.quote(column.name) for column in part.columns)
                key = ", ".join(self.quote(column.name) for column in part.columns if column.key)
                select = f"SELECT {names} FROM {self._full(part)} WHERE FALSE"
                staging = self._staging(number, part)
                # A server may take no table without a key, not even a temporary one.
                keyed = f" (PRIMARY KEY ({key}))" if key and self.mysql else ""
                self._query(f"CREATE TEMPORARY TABLE {staging.removeprefix('pg_temp.')}{keyed} AS {select}")
                for batch in self._batches(part):
                    marks = ", ".join([f"({', '.join(['%s'] * len(part.columns))})"] * len(batch))
                    values = [value for row in batch for value in row]
                    self._query(f"INSERT INTO {staging} ({names}) VALUES {marks}", *values)
                if key and not self.mysql:
                    self._query(f"ALTER TABLE {staging} ADD PRIMARY KEY ({key})")
                if not self.mysql:
                    self._query(f"ANALYZE {staging}")
            yield
        finally:
            for number, part in enumerate(parts):
                with suppress(Exception):  # in a transaction that failed; then it is gone with it
                    temporary = "TEMPORARY " if self.mysql else ""
                    self._query(f"DROP {temporary}TABLE IF EXISTS {self._staging(number, part)}")

    def _batches(self, part: Part) -> Iterator[list[list[Value]]]:
        """Read the rows of a part in batches; refuse a text that its column would cut."""
        there = {column.name: column.stored for column in found.columns} if (found := self._on_server(part)) else {}
        sizes = [notation.text_size(there.get(column.name, "")) for column in part.columns]
        longest = longest_statement(self.connection)
        # Beside the values there are names, and marks and commas for each value of each row.
        fixed = 1024 + sum(len(column.name.encode()) + 4 for column in part.columns)
        batch, size = list[list[Value]](), fixed
        for row in self.file.rows(part):
            for value, most, column in zip(row, sizes, part.columns, strict=True):
                if most and isinstance(value, str) and len(value) > most:
                    raise PipelineError(
                        f"{part}.{column.name} is {there[column.name]} now, and a value has {len(value)} characters.",
                        "It would be cut or refused. Nothing was changed.",
                        self._advice(part),
                    )
            more = literals(*row) + 4 * len(row)
            refuse_long(fixed + more, longest, f"A row of {part}")
            if batch and (len(batch) >= ROWS or size + more > min(SIZE, longest)):
                yield batch
                batch, size = [], fixed
            batch.append(row)
            size += more
        if batch:
            yield batch

    def _hold(self, parts: list[Part]) -> None:
        """Have nobody write, from before the first row is compared until all is done.

        MySQL compares rows as they were when the transaction first read any, and changes them as they are.
        """
        for number, part in enumerate(parts):
            full = self._full(part)
            if self.mysql:
                rows = f"{full} t JOIN {self._staging(number, part)} r ON {self._on(part)}"
                self._query(f"SELECT COUNT(*) FROM {rows} FOR UPDATE")
            else:
                self._query(f"LOCK TABLE {full} IN SHARE ROW EXCLUSIVE MODE")

    def _put_back(self, number: int, part: Part) -> tuple[int, int, int]:
        """Put the values of a part back; count the rows that got them, that had them, and that are gone."""
        full, staging = self._full(part), self._staging(number, part)
        rows = f"{full} t JOIN {staging} r ON {self._on(part)}"
        matched = self._count(rows)
        changing = [column for column in part.columns if column.lost and not (part.whole and column.key)]
        differs = " OR ".join(self._differs(column, part) for column in changing) or "FALSE"
        different = self._count(f"{rows} WHERE {differs}")
        if different and not self.overwrite:
            self._refuse_newer_values(part, changing, f"{rows} WHERE {differs}")
        # Where somebody may have given one attribute another value meanwhile, each is put back by itself.
        together = [[column] for column in changing] if self.chosen else [changing]
        for columns in together if different else ():
            quoted = [self.quote(column.name) for column in columns]
            differs = " OR ".join(self._differs(column, part) for column in columns)
            if self.mysql:
                sets = ", ".join(f"t.{name} = r.{name}" for name in quoted)
                self._query(f"UPDATE {rows} SET {sets} WHERE {differs}")
            else:
                sets = ", ".join(f"{name} = r.{name}" for name in quoted)
                self._query(f"UPDATE {full} t SET {sets} FROM {staging} r WHERE {self._on(part)} AND ({differs})")
        gone = part.rows - matched
        if not part.whole:
            return different, matched - different, gone
        names = ", ".join(self.quote(column.name) for column in part.columns)
        present = f"SELECT 1 FROM {full} t WHERE {self._on(part)}"
        self._query(f"INSERT INTO {full} ({names}) SELECT {names} FROM {staging} r WHERE NOT EXISTS ({present})")
        return different + gone, matched - different, 0

    def _count(self, rows: str) -> int:
        return int(self._query(f"SELECT COUNT(*) FROM {rows}").fetchone()[0])

    def _on(self, part: Part) -> str:
        """Give the condition that joins a row of the table, as ``t``, to one of the file, as ``r``.

        A key that was cut is compared with what the cut leaves of the one in the file.
        """
        parts = []
        for column in part.columns:
            if column.key:
                current, kept = (f"{row}.{self.quote(column.name)}" for row in "tr")
                size = notation.text_size(column.becomes)
                cut = f" OR {current} = LEFT({kept}, {size})" if column.lost and size and not part.whole else ""
                parts.append(f"({current} = {kept}{cut})")
        return " AND ".join(parts) or "TRUE"

    def _differs(self, column: ArchivedColumn, part: Part) -> str:
        current, kept = (self._compared(column, alias) for alias in ("t.", "r."))
        differs = f"NOT ({current} <=> {kept})" if self.mysql else f"{current} IS DISTINCT FROM {kept}"
        replaced = self.chosen.get((TableName(part.schema, part.table), column.name), ())
        stands = [self._is(column, part, value) for value in replaced]
        return f"({differs} AND ({' OR '.join(stands)}))" if stands else differs

    def _is(self, column: ArchivedColumn, part: Part, value: str | None) -> str:
        """Give a condition for a value of a column, as a definition writes it."""
        there = self._on_server(part)
        stored = next(c.stored for c in there.columns if c.name == column.name) if there is not None else column.type
        dialect = self.deployment.dialect(constraints.names(self.deployment.catalogue), {}, {})
        return stand_ins.condition(dialect, f"t.{self.quote(column.name)}", stored, value)

    def _compared(self, column: ArchivedColumn, alias: str) -> str:
        text = backup.read_as(self.connection, column, alias)
        # What a collation takes for equal may still be another text.
        return f"CAST({text} AS BINARY)" if self.mysql and column.form == "text" else text

    def _refuse_newer_values(self, part: Part, columns: list[ArchivedColumn], rows: str) -> None:
        """Refuse where a value is neither null nor what is left of the one in the file."""
        listed = ", ".join(
            backup.read_as(self.connection, column, alias) for column in columns for alias in ("t.", "r.")
        )
        newer: dict[str, int] = {}
        for row in backup.stream(self.connection, f"SELECT {listed} FROM {rows}"):
            for place, column in enumerate(columns):
                now, kept = row[2 * place], row[2 * place + 1]
                if now is not None and now != kept and not compatibility.left_of(now, kept, column.becomes):
                    newer[column.name] = newer.get(column.name, 0) + 1
        if newer:
            found = ", ".join(counted(count, f"values of {name}") for name, count in newer.items())
            raise PipelineError(
                f"{part} has {found}, written since the backup was made.",
                "They differ from the file, and from what the change left of it: somebody wrote them, or the migration "
                "gave them (using=, fill= or a default). Nothing was changed.",
                f"If they may be lost, run restore --overwrite {self.file.path}.",
                exit_code=ExitCode.DATA_LOSS,
            )
