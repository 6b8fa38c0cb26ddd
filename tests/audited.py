"""An audited table: what is done with it, as whom, and what the audit has of it."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from contextlib import closing, suppress
from dataclasses import dataclass, field
from typing import Any

from conftest import Project, Server
from living import ok

#: Has tables audited, by their schemas and classes.
SET = """
import sys
from datajoint_pipeline.executor import audited
from datajoint_pipeline.schema.model import TableName
from datajoint_pipeline.cli import run
from my_pipeline import pipeline
import click, datajoint_pipeline.cli.main as main
from datajoint_pipeline.cli.common import program

@program.command("audit-these")
@click.argument("tables", nargs=-1)
def these(tables):
    names = [TableName(*text.split(".")) for text in tables]
    found = audited.set_audit(pipeline.target(pipeline.select("dev", explicit=True)), names)
    print(*map(str, found.begun), "/", *map(str, found.ended))
run(pipeline, ["audit-these", *{tables}])
"""


def audit(project: Project, *tables: str, code: int = 0) -> Any:
    """Have just these tables audited, by their names on the server: ``life.animal``."""
    done = project.python("-c", SET.replace("{tables}", repr(list(tables))))
    assert done.code == code, f"{done.out}\n{done.err}"
    return done


def quoted(server: Server, text: str) -> str:
    return text if server.backend == "mysql" else text.replace("`", '"')


def entries(server: Server, database: str = "dev_life") -> list[tuple[str, str, str, Any, Any]]:
    """What the audit of a schema has: table, who, what, the row before and after; the oldest first."""
    sql = quoted(server, f"SELECT table_name, login, operation, old, new FROM {database}.`~audit` ORDER BY id")

    def plain(value: Any) -> Any:
        return json.loads(value) if isinstance(value, str | bytes) else value

    return [(t, who.split("@")[0], what, plain(a), plain(b)) for t, who, what, a, b in server.execute(sql)]


#: Those whom tests of the audit make accounts for.
PEOPLE = ("ada", "eve", "runner")


def forget_people(server: Server, *names: str) -> None:
    """Drop these accounts, or all: where they stayed, other tests' tables would have accounts with rights on them."""
    for name in names or PEOPLE:
        if server.backend == "mysql":
            server.execute(f"DROP USER IF EXISTS {name}")
        elif server.execute(f"SELECT 1 FROM pg_roles WHERE rolname = '{name}'"):
            server.execute(f"DROP OWNED BY {name} CASCADE", f"DROP ROLE {name}")


def person(server: Server, name: str, *databases: str) -> tuple[str, str]:
    """An account that may read and write the rows of some schemas, and nothing else."""
    assert name in PEOPLE
    password = "a-word-of-hers-1"
    forget_people(server, name)
    if server.backend == "mysql":
        server.execute(f"CREATE USER {name} IDENTIFIED BY '{password}'")
        for database in databases:
            rows = f"SELECT table_name FROM information_schema.tables WHERE table_schema = '{database}'"
            server.execute(f"GRANT SELECT ON {database}.* TO '{name}'")
            for (table,) in server.execute(rows):
                if not table.startswith("~"):
                    server.execute(f"GRANT INSERT, UPDATE, DELETE ON {database}.`{table}` TO '{name}'")
        return name, password
    server.execute(f"CREATE ROLE {name} LOGIN PASSWORD '{password}'")
    for database in databases:
        server.execute(
            f"GRANT USAGE ON SCHEMA {database} TO {name}",
            f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {database} TO {name}",
        )
        if server.execute(f"SELECT 1 FROM pg_tables WHERE schemaname = '{database}' AND tablename = '~audit'"):
            server.execute(f'REVOKE INSERT, UPDATE, DELETE ON {database}."~audit" FROM {name}')
    return name, password


@dataclass
class Writer:
    """A client that goes on writing, whatever a table is called and whatever columns it has; it counts what was taken.

    ``forms`` are the forms that the table may have: where it is, the column of its key, and those of a text.
    """

    server: Server
    account: tuple[str, str]
    forms: list[tuple[str, str, str]]
    first: int = 1000
    #: What was taken, by what and the key.
    taken: Counter[tuple[str, int]] = field(default_factory=Counter)
    refused: int = 0
    strange: list[str] = field(default_factory=list)
    _stop: bool = False
    _thread: threading.Thread | None = None

    def __enter__(self) -> Writer:
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        deadline = time.monotonic() + 20
        while not self.taken and time.monotonic() < deadline:
            time.sleep(0.02)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop = True
        if self._thread is not None:
            self._thread.join(60)

    def _run(self) -> None:
        number = self.first
        with closing(self.server.connect(*self.account)) as connection, connection.cursor() as cursor:
            while not self._stop:
                number += 1
                for what, sql in (
                    ("insert", "INSERT INTO {0} ({1}, {2}) VALUES ({n}, 'w')"),
                    ("update", "UPDATE {0} SET {2} = 'v' WHERE {1} = {n}"),
                    ("delete", "DELETE FROM {0} WHERE {1} = {n}"),
                ):
                    for form in self.forms:
                        try:
                            cursor.execute(quoted(self.server, sql.format(*form, n=number)))
                            if cursor.rowcount:
                                self.taken[what, number] += 1
                            break
                        except Exception as error:
                            self.refused += 1
                            if error.args and error.args[0] in (2006, 2013):
                                self.strange.append(str(error))
                                return
                time.sleep(0.002)


def told(server: Server, who: str, key: tuple[str, ...], *databases: str) -> Counter[tuple[str, int]]:
    """What the audit has of a person's writes, by what and the key, whatever that was called."""
    found: Counter[tuple[str, int]] = Counter()
    for database in databases:
        with suppress(Exception):
            for _, login, what, old, new in entries(server, database):
                if login == who and what in ("insert", "update", "delete"):
                    row = new or old
                    found[what, next(row[name] for name in key if name in row)] += 1
    return found


def audited_now(server: Server) -> list[tuple[str, str]]:
    """The tables that have the triggers of the audit, and nothing that keeps people out."""
    if server.backend == "mysql":
        query = (
            "SELECT event_object_schema, event_object_table, GROUP_CONCAT(LEFT(trigger_name, 6)) "
            "FROM information_schema.triggers WHERE trigger_schema LIKE 'dev_%' GROUP BY 1, 2"
        )
        found = server.execute(query)
        assert all(names == "~audit,~audit,~audit" for _, _, names in found), found
    else:
        query = (
            "SELECT n.nspname, c.relname, string_agg(g.tgname, ',' ORDER BY g.tgname) FROM pg_trigger g JOIN pg_class c "
            "ON c.oid = g.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace WHERE NOT g.tgisinternal GROUP BY 1, 2"
        )
        found = [row for row in server.execute(query) if row[2] != "~migrated"]
        assert all(names == "~audit,~audit_truncate" for _, _, names in found), found
    return sorted((database, table) for database, table, _ in found)


#: What becomes of the table, one migration each: the edits of the module, the answers, and what it is then.
TOUR: list[tuple[str, str, tuple[str, ...]]] = [
    ("    name : varchar(32)", "    title : varchar(32)", ("--rename", "Animal.name=title")),
    ("    colour = ", "    weight = null : float64\n    colour = ", ()),
    ("    colour = ", "    size : int32\n    colour = ", ("--fill", "Animal.size=number()")),
    ("    weight = null : float64\n", "", ("--drop", "Animal.weight")),
    ("title : varchar(32)", "title : varchar(64)", ()),
    ("animal_id : int32  #", "animal_no : int32  #", ("--rename", "Animal.animal_id=animal_no")),
    ("animal_no : int32  #", "animal_no : int64  #", ()),
    ("class Animal(", "class Beast(", ("--rename-table", "Animal=Beast")),
]

KEYS = ("animal_id", "animal_no")


def forms() -> list[tuple[str, str, str]]:
    """Everything that the table of the tour is ever called."""
    tables = ("dev_life.animal", "dev_life.beast", "dev_work.beast")
    return [(table, key, text) for table in tables for key in KEYS for text in ("name", "title")]


def tour(project: Project, server: Server) -> None:
    """Migrate the table over all of :data:`TOUR`; it is audited after each."""
    for number, (old, new, answers) in enumerate(TOUR):
        project.replace(project.module("life"), old, new)
        if "Beast" in new:
            project.replace(project.module("life"), "-> Animal", "-> Beast")
            project.replace(project.module("work"), "life.Animal", "life.Beast")
        ok(project, "revise", "-m", f"step {number}", *answers)
        ok(project, "migrate")
        table = "beast" if "Beast" in new else "animal"
        assert audited_now(server) == [("dev_life", table)], (number, audited_now(server))


def open_to(server: Server, *names: str) -> None:
    """Let people write whatever the tables are called; rights on tables do not follow these on MySQL."""
    if server.backend == "mysql":
        for name in names:
            server.execute(
                *(f"GRANT INSERT, UPDATE, DELETE ON dev_{schema}.* TO {name}" for schema in ("life", "work"))
            )


_KILLED = """
import os, signal
import datajoint as dj
from datajoint_pipeline.cli import run; from my_pipeline import pipeline

seen, query = 0, dj.Connection.query
def counting(self, text, *arguments, **options):
    global seen
    ours = text.startswith(("CREATE TRIGGER", "DROP TRIGGER", "ALTER TABLE", "RENAME TABLE")) and "~audit_try" not in text
    seen += ours
    if ours and seen == {number}:
        os.kill(os.getpid(), signal.SIGKILL)
    return query(self, text, *arguments, **options)
dj.Connection.query = counting
run(pipeline, {command})
"""


def killed(project: Project, number: int, *command: str) -> None:
    """Run a command that is killed before one of its statements on tables and triggers, if it has as many."""
    program = _KILLED.replace("{number}", str(number)).replace("{command}", repr(list(command)))
    project.python("-c", program)
