"""Adds an index or a foreign key on PostgreSQL while others go on working.

The server does that outside of a transaction alone, and where it breaks off it leaves an index that is not valid. So
each of these steps comes with a query that tells whether it is done, and begins by dropping what an earlier one left.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace

from ...schema.model import TableName
from ..base import Dialect
from ..steps import Step

#: Building an index waits for whoever began before it, and keeps nobody waiting meanwhile.
_PATIENT = ("SET lock_timeout = 0",)


def online(dialect: Dialect, name: TableName, steps: Iterable[Step]) -> Iterator[Step]:
    """Turn the steps that add an index or a foreign key into such that run while others write.

    Parameters
    ----------
    dialect : Dialect
        PostgreSQL's, whose names have what the steps add.
    name : TableName
        The table.
    steps : iterable of Step
        What would add it at once.
    """
    database, full = dialect.place(name)[0], dialect.literal(dialect.full(name))
    for step in steps:
        if match := re.match(r'(?:CREATE (?:UNIQUE )?|DROP )INDEX (?:"(?:[^"]|"")+"\.)?("(?:[^"]|"")+")', step.sql):
            index = f"{dialect.quote(database)}.{match[1]}"
            drop = f"DROP INDEX CONCURRENTLY IF EXISTS {index}"
            if step.sql.startswith("DROP"):
                check = f"SELECT to_regclass({dialect.literal(index)}) IS NULL"
                yield replace(step, sql=drop, check=check, first=_PATIENT)
                continue
            check = (
                f"SELECT indisvalid FROM pg_catalog.pg_index WHERE indexrelid = to_regclass({dialect.literal(index)})"
            )
            sql = step.sql.replace("INDEX ", "INDEX CONCURRENTLY ", 1)
            yield replace(step, sql=sql, lock="brief", check=check, first=(*_PATIENT, drop), back=(*_PATIENT, drop))
            continue
        constraint = dialect.names.table(dialect.place(name)).foreign_keys[-1].name
        there = (
            f"FROM pg_catalog.pg_constraint WHERE conrelid = to_regclass({full}) "
            f"AND conname = {dialect.literal(constraint)}"
        )
        back = f"ALTER TABLE {dialect.full(name)} DROP CONSTRAINT IF EXISTS {dialect.quote(constraint)}"
        yield replace(step, sql=f"{step.sql} NOT VALID", lock="brief", check=f"SELECT TRUE {there}", back=(back,))
        sql = f"ALTER TABLE {dialect.full(name)} VALIDATE CONSTRAINT {dialect.quote(constraint)}"
        words = f"look whether every row of {name} has its parent"
        yield Step(sql, (name,), words, check=f"SELECT convalidated {there}", first=_PATIENT, back=())
