"""Adds an index or a foreign key while others go on working, where a line of a migration asks for it.

PostgreSQL can do that outside of a transaction alone, and what breaks off leaves an index that is not valid; so each of
these steps comes with a query that tells whether it is done, and begins with taking away what an earlier try has left.
On MySQL a step is a statement as any other, which asks the server to let others write or to refuse.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from ..dialects.base import Dialect
from ..dialects.mysql.alter import Clauses
from ..dialects.mysql.dialect import MySQL
from ..dialects.postgresql.dialect import PostgreSQL
from ..dialects.steps import Step
from ..errors import PipelineError
from ..operations.structure import AddForeignKey, AddIndex
from ..schema.model import Table

#: Building an index waits for whoever began before it, and keeps nobody waiting meanwhile.
_PATIENT = ("SET lock_timeout = 0",)


def steps(dialect: Dialect, table: Table, operation: AddIndex | AddForeignKey) -> list[Step]:
    """The steps of an operation.

    Parameters
    ----------
    dialect : Dialect
        The backend.
    table : Table
        As it is at that point.
    operation : AddIndex or AddForeignKey
        What is to be added.

    Raises
    ------
    PipelineError
        If the server cannot add it while others write.
    """
    if isinstance(dialect, MySQL):
        return _mysql(dialect, table, operation)
    assert isinstance(dialect, PostgreSQL)
    return list(_postgresql(dialect, table, operation))


def _mysql(dialect: MySQL, table: Table, operation: AddIndex | AddForeignKey) -> list[Step]:
    if isinstance(operation, AddForeignKey):
        raise PipelineError(
            f"MySQL cannot add the foreign key ({', '.join(operation.key.attributes)}) of {table.name} online.",
            "It holds every row against the parent's, and nobody may write to the table meanwhile.",
            "Take online=True off that line, and migrate when nobody works with the table.",
        )
    clauses = Clauses()
    dialect._add_index(clauses, dialect.names.table(dialect.place(table.name)).indexes, operation.index)
    return [replace(step, sql=f"{step.sql},\n  LOCK = NONE") for step in dialect._alter(table.name, clauses)]


def _postgresql(dialect: PostgreSQL, table: Table, operation: AddIndex | AddForeignKey) -> Iterator[Step]:
    database, full = dialect.place(table.name)[0], dialect.literal(dialect.full(table.name))
    if isinstance(operation, AddIndex):
        found = dialect._add_index(table.name, operation.index)
    else:
        found = dialect.add_foreign_key(table, operation.key)
    for step in found:
        if index := re.match(r'(?:CREATE (?:UNIQUE )?|DROP )INDEX (?:"(?:[^"]|"")+"\.)?("(?:[^"]|"")+")', step.sql):
            name = f"{dialect.quote(database)}.{index[1]}"
            gone = f"DROP INDEX CONCURRENTLY IF EXISTS {name}"
            if step.sql.startswith("DROP"):
                check = f"SELECT to_regclass({dialect.literal(name)}) IS NULL"
                yield replace(step, sql=gone, check=check, first=_PATIENT)
                continue
            check = (
                f"SELECT indisvalid FROM pg_catalog.pg_index WHERE indexrelid = to_regclass({dialect.literal(name)})"
            )
            sql = step.sql.replace("INDEX ", "INDEX CONCURRENTLY ", 1)
            yield replace(step, sql=sql, lock="brief", check=check, first=(*_PATIENT, gone))
            continue
        constraint = dialect.names.table(dialect.place(table.name)).foreign_keys[-1].name
        there = (
            f"FROM pg_catalog.pg_constraint WHERE conrelid = to_regclass({full}) "
            f"AND conname = {dialect.literal(constraint)}"
        )
        yield replace(step, sql=f"{step.sql} NOT VALID", lock="brief", check=f"SELECT TRUE {there}")
        sql = f"ALTER TABLE {dialect.full(table.name)} VALIDATE CONSTRAINT {dialect.quote(constraint)}"
        words = f"look whether every row of {table.name} has its parent"
        yield Step(sql, (table.name,), words, check=f"SELECT convalidated {there}", first=_PATIENT)
