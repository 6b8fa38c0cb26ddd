"""An audited table: what is done with it, as whom, and what the audit has of it."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections import Counter
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from conftest import Project, Server

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


def person(server: Server, name: str, *databases: str) -> tuple[str, str]:
    """An account that may read and write the rows of some schemas, and nothing else."""
    password = "a-word-of-hers-1"
    if server.backend == "mysql":
        server.execute(f"DROP USER IF EXISTS '{name}'", f"CREATE USER '{name}' IDENTIFIED BY '{password}'")
        for database in databases:
            rows = f"SELECT table_name FROM information_schema.tables WHERE table_schema = '{database}'"
            server.execute(f"GRANT SELECT ON {database}.* TO '{name}'")
            for (table,) in server.execute(rows):
                if not table.startswith("~"):
                    server.execute(f"GRANT INSERT, UPDATE, DELETE ON {database}.`{table}` TO '{name}'")
        return name, password
    with suppress(Exception):
        server.execute(f"DROP OWNED BY {name}", f"DROP ROLE {name}")
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


def run_and_kill(project: Project, seconds: float, *arguments: str, log: Path | None = None) -> int:
    """Run a command in a process of its own, and kill it after a time; its exit code, negative where it was killed."""
    import os
    import signal
    import subprocess

    command = [sys.executable, "-m", "my_pipeline", *arguments]
    runner = subprocess.Popen(
        command,
        cwd=project.folder,
        env=project.variables(),
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        return runner.wait(seconds)
    except subprocess.TimeoutExpired:
        os.killpg(runner.pid, signal.SIGKILL)
        return runner.wait(30)
