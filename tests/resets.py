"""The databases of a pipeline as they were at a moment, many times over."""

from __future__ import annotations

import os
import re
import subprocess
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from conftest import Server

#: The databases of the schemas ``life`` and ``work`` in ``dev``.
DATABASES = ("dev_life", "dev_work")


@dataclass
class Reset:
    """What was there, and how it comes back: on PostgreSQL in a database of that name, which is a copy of another."""

    server: Server
    name: str
    start: dict[str, list[str]] = field(default_factory=dict)
    databases: tuple[str, ...] = DATABASES

    @property
    def variables(self) -> dict[str, str]:
        """What leads a project there."""
        return {"DJ_DATABASE_NAME": self.name} if self.server.backend == "postgresql" else {}

    @property
    def catalogue(self) -> str:
        """The name of the database of PostgreSQL; empty on MySQL."""
        return self.name if self.server.backend == "postgresql" else ""

    def empty(self) -> None:
        """Nothing of the pipeline."""
        if self.server.backend == "postgresql":
            self.server.execute(f"DROP DATABASE IF EXISTS {self.name} WITH (FORCE)", f"CREATE DATABASE {self.name}")
        else:
            self.server.drop(*reversed(self.databases))

    def gone(self) -> None:
        """Nothing of it all."""
        if self.server.backend == "postgresql":
            names = (self.name, f"{self.name}_begun")
            self.server.execute(*(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)" for name in names))
        else:
            self.server.drop(*reversed(self.databases))

    def keep(self) -> None:
        """Take what is there for the beginning."""
        self.start = {}
        if self.server.backend == "postgresql":
            begun = f"{self.name}_begun"
            self.server.execute(f"DROP DATABASE IF EXISTS {begun}", f"CREATE DATABASE {begun} TEMPLATE {self.name}")
            return
        self.start = statements(self.server, self.databases)

    def reset(self) -> None:
        """Everything as it was when it was kept."""
        if self.server.backend == "postgresql":
            self.server.execute(
                f"DROP DATABASE IF EXISTS {self.name} WITH (FORCE)",
                f"CREATE DATABASE {self.name} TEMPLATE {self.name}_begun",
            )
            return
        self.empty()
        play(self.server, self.start)


@dataclass(frozen=True)
class Kept:
    """The databases as they were at a moment, where they were: on PostgreSQL as the script of pg_dump."""

    server: Server
    start: dict[str, list[str]]
    script: str = ""

    @classmethod
    def of(cls, server: Server) -> Kept | None:
        """Keep what is there; None where there is no pg_dump for this PostgreSQL."""
        if server.backend == "mysql":
            return cls(server, statements(server))
        from datajoint_pipeline.embedded import server as embedded

        place = ["-h", server.host, "-p", str(server.port), "-U", server.user, "-d", "postgres"]
        schemas = [text for name in DATABASES for text in ("-n", name)]
        dumped = subprocess.run(
            [str(embedded._binaries() / "pg_dump"), *place, "--inserts", *schemas],
            env={**os.environ, "PGPASSWORD": server.password},
            capture_output=True,
            text=True,
        )
        if dumped.returncode:  # it is of an earlier version than the server
            return None
        lines = (line for line in dumped.stdout.splitlines() if not line.startswith("\\"))  # are for psql
        return cls(server, {}, "\n".join(lines))

    def put_back(self) -> None:
        """Make all of it; nothing of it is there."""
        if self.script:
            self.server.execute(self.script)
        else:
            play(self.server, self.start)


def statements(server: Server, databases: tuple[str, ...] = DATABASES) -> dict[str, list[str]]:
    """What makes each of these databases of MySQL again, with its rows."""
    found: dict[str, list[str]] = {}
    there = {name for (name,) in server.execute("SELECT schema_name FROM information_schema.schemata")}
    with closing(server.connect()) as connection, connection.cursor() as cursor:
        for database in sorted(there & {*databases}):
            kept = found[database] = []
            for table in tables(cursor, database):
                cursor.execute(f"SHOW CREATE TABLE `{database}`.`{table}`")
                kept.append(as_declared(cursor.fetchone()[1]))
                cursor.execute(f"SELECT * FROM `{database}`.`{table}`")
                rows = [cursor.mogrify("(" + ", ".join(["%s"] * len(row)) + ")", row) for row in cursor.fetchall()]
                for start in range(0, len(rows), 500):
                    kept.append(f"INSERT INTO `{table}` VALUES {', '.join(rows[start : start + 500])}")
    return found


def play(server: Server, start: dict[str, list[str]]) -> None:
    """Run what makes databases of MySQL."""
    with closing(server.connect()) as connection, connection.cursor() as cursor:
        cursor.execute("SET FOREIGN_KEY_CHECKS = 0")
        for database, made in start.items():
            cursor.execute(f"CREATE DATABASE `{database}`")
            cursor.execute(f"USE `{database}`")
            for statement in made:
                cursor.execute(statement)


def as_declared(text: str) -> str:
    """The statement for a table of MySQL as DataJoint writes it: without indexes that a foreign key makes itself.

    The server may rename such an index when the key is added again, and does not when the index was written down.
    """
    names = {columns: name for name, columns in re.findall(r"^  KEY (`\w+`) (\(.+?\)),?$", text, re.MULTILINE)}
    for key in re.finditer(r"CONSTRAINT `\w+_ibfk_\d+` FOREIGN KEY (\(.+?\)) REFERENCES", text):
        if name := names.pop(key[1], None):
            text = text.replace(f"  KEY {name} {key[1]},\n", "")
            text = text.replace(key[0], f"FOREIGN KEY {name} {key[1]} REFERENCES")
    return text


def tables(cursor: Any, database: str) -> list[str]:
    """The tables of a database, hidden ones too."""
    cursor.execute(
        "SELECT table_name FROM information_schema.tables WHERE table_schema = %s ORDER BY table_name", (database,)
    )
    return [str(row[0]) for row in cursor.fetchall()]


def described(server: Server, cursor: Any, database: str, table: str) -> Any:
    """A table as the server describes it, and its rows, sorted."""
    if server.backend == "mysql":
        cursor.execute(f"SHOW CREATE TABLE `{database}`.`{table}`")
        words = [re.sub(r" AUTO_INCREMENT=\d+", "", cursor.fetchone()[1])]
        full = f"`{database}`.`{table}`"
    else:
        full, words = f'"{database}"."{table}"', []
        for query in DESCRIBED:
            cursor.execute(query, (full,))
            words += [repr(row) for row in cursor.fetchall()]
    cursor.execute(f"SELECT * FROM {full}")
    plain = ([bytes(value) if isinstance(value, memoryview) else value for value in row] for row in cursor.fetchall())
    return words, sorted(map(repr, plain))


DESCRIBED = (
    "SELECT attname, format_type(atttypid, atttypmod), attnotnull, col_description(attrelid, attnum), "
    "(SELECT pg_get_expr(adbin, adrelid) FROM pg_attrdef WHERE adrelid = attrelid AND adnum = attnum) "
    "FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
    "SELECT conname, pg_get_constraintdef(oid), convalidated FROM pg_constraint WHERE conrelid = %s::regclass "
    "AND contype <> 'n' ORDER BY conname",
    "SELECT pg_get_indexdef(indexrelid), indisvalid FROM pg_index WHERE indrelid = %s::regclass ORDER BY 1",
    "SELECT obj_description(%s::regclass, 'pg_class')",
)
