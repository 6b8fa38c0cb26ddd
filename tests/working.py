"""A pipeline whose jobs do what their rows say, and workers on it under the operator's account of ``access.toml``."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import granted
from conftest import Project, Server

SCHEMAS = ("work", "after")

MODULES = {
    "work": '''
import os, pathlib, signal, time
import datajoint as dj
from . import open_schema
schema = open_schema("work")
RUNS = pathlib.Path(os.environ["RUNS"]) if "RUNS" in os.environ else None


def act(connection, table, item, task):
    """Do what a row says; each beginning is a line in a file."""
    before = 0
    if RUNS:
        before = sum(line.split()[:2] == [table, str(item)] for line in (RUNS.read_text().splitlines() if RUNS.exists() else []))
        with RUNS.open("a") as file:
            file.write(f"{table} {item} {os.getpid()}\\n")
    word, _, value = task.partition(" ")
    match word:
        case "sleep":
            time.sleep(float(value))
        case "fail":
            raise ValueError(f"item {item} is no good")
        case "memory":
            kept = bytearray(int(value) << 20)
            kept[::4096] = b"x" * len(kept[::4096])
            time.sleep(20)
        case "exhausted" if os.environ.get("CLASS") != "large":
            raise MemoryError
        case "kill" if before < int(value):
            os.kill(os.getpid(), signal.SIGKILL)
        case "end" if before < int(value):  # of the session, by somebody else
            (mine,) = connection.query(
                "SELECT CONNECTION_ID()" if connection.adapter.backend == "mysql" else "SELECT pg_backend_pid()"
            ).fetchone()
            connection.query(f"KILL {mine}" if connection.adapter.backend == "mysql" else f"SELECT pg_terminate_backend({mine})")
        case "deadlock" if before < int(value):
            import pymysql
            raise pymysql.err.OperationalError(1213, "Deadlock found when trying to get lock")


@schema
class Item(dj.Manual):
    definition = """
    item : int32
    ---
    task = "" : varchar(64)
    """


@schema
class Plain(dj.Computed):
    definition = """
    -> Item
    ---
    value : int32
    """

    def make(self, key):
        act(self.connection, "Plain", key["item"], (Item & key).fetch1("task"))
        self.insert1({**key, "value": 2 * key["item"]})


@schema
class Parts(dj.Computed):
    definition = """
    -> Item
    ---
    value : int32
    """

    @property
    def key_source(self):
        return Item & "item < 0"

    def make_fetch(self, key):
        return ((Item & key).fetch1("task"),)

    def make_compute(self, key, task):
        assert not self.connection.in_transaction
        act(self.connection, "Parts", key["item"], task)
        return (3 * key["item"],)

    def make_insert(self, key, value):
        self.insert1({**key, "value": value})
''',
    "after": '''
import datajoint as dj
from . import open_schema, work
schema = open_schema("after")


@schema
class Sum(dj.Computed):
    definition = """
    -> work.Plain
    ---
    value : int32
    """

    def make(self, key):
        self.insert1({**key, "value": (work.Plain & key).fetch1("value") + 1})
''',
}

ACCESS = """\
[people.admin]
login = "{0}admin"
roles = {{ dev = "admin", prod = "admin" }}

[services.worker]
login = "{0}worker"
roles.prod = "operator"
"""

#: Rows of ``work.Item``, as JSON on the command line.
INSERT = "import json, sys; from my_pipeline import work; work.Item.insert(json.loads(sys.argv[1]))"

#: Numbers that say how the queue stands.
LOOK = """
import json
from my_pipeline import after, work
print(json.dumps({
    "plain": sorted(work.Plain.to_arrays("item").tolist()), "parts": sorted(work.Parts.to_arrays("item").tolist()),
    "after": sorted(after.Sum.to_arrays("item").tolist()),
    "jobs": {t.__name__: t.jobs.to_dicts() for t in (work.Plain, work.Parts, after.Sum)},
}, default=str))
"""


class Lab:
    """A project on a server with its accounts."""

    def __init__(self, project: Project, server: Server, prefix: str) -> None:
        self.project, self.server, self.prefix = project, server, prefix
        self.runs = project.folder / "runs.txt"
        self.operator: dict[str, str] = {}

    def lay(self, **modules: str) -> None:
        """Make the project's files, its schemas and its accounts."""
        own = self.project
        own.clear()
        granted_folder = own.folder / "src" / own.package / "migrations"
        for folder in granted_folder.iterdir():
            if folder.is_dir():
                for path in sorted(folder.rglob("*"), reverse=True):
                    path.unlink()
                folder.rmdir()
        for name, text in {**MODULES, **modules}.items():
            own.write(own.module(name), text)
        versions = ", ".join(f'"{name}": "1.0.0"' for name in SCHEMAS)
        own.write(own.module("version"), f'__version__ = "0.1.0"\nSCHEMA_VERSIONS = {{{versions}}}\n')
        own.replace(own.module("__init__"), 'prefix=""', f'prefix="{self.prefix}"')
        own.write("access.toml", ACCESS.format(self.prefix))
        own.environment |= {**self.server.variables, "MY_PIPELINE_ENV": "prod", "DJ_LOG_LEVEL": "ERROR"}
        own.environment |= {"DJ_USE_TLS": "false", "RUNS": str(self.runs)}
        self.forget()
        for command in (("init",), ("access", "apply")):
            done = own.run("--env", "prod", *command)
            assert done.code == 0, done.out + done.err
        login = f"{self.prefix}worker"
        self.operator = {"DJ_USER": login, "DJ_PASS": own.read(f".secrets/accounts/{quote(login, safe='')}").strip()}

    def forget(self) -> None:
        """Take schemas and accounts away."""
        self.server.drop(*(f"{self.prefix}{name}" for name in SCHEMAS))
        granted.forget(self.server, self.prefix)

    def empty(self) -> None:
        """Take every row and job away."""
        done = self.project.python(
            "-c",
            "import datajoint as dj; dj.config['safemode'] = False\nfrom my_pipeline import after, work\n"
            "for t in (after.Sum, work.Parts, work.Plain, work.Item): t.delete_quick()\n"
            "for t in (after.Sum, work.Parts, work.Plain): t.jobs.delete_quick()",
        )
        assert done.code == 0, done.err
        self.runs.unlink(missing_ok=True)
        (self.project.folder / "workers.toml").unlink(missing_ok=True)

    def insert(self, *tasks: str, first: int = 1) -> None:
        """Add a row for each task."""
        rows = [{"item": first + number, "task": task} for number, task in enumerate(tasks)]
        done = self.project.python("-c", INSERT, json.dumps(rows))
        assert done.code == 0, done.err

    def look(self) -> Any:
        """See how things stand."""
        done = self.project.python("-c", LOOK)
        assert done.code == 0, done.err
        return json.loads(done.out.splitlines()[-1])

    def look_by_sql(self, table: str) -> list[str]:
        """The states of a table's jobs, also where the code does not fit."""
        return [row[0] for row in self.sql(f"SELECT status FROM {{work}}.{{q}}~~{table}{{q}}")]

    def begun(self) -> list[tuple[str, int]]:
        """Which jobs were begun, in order: the table and the item."""
        lines = self.runs.read_text().splitlines() if self.runs.exists() else []
        return [(line.split()[0], int(line.split()[1])) for line in lines]

    def worker(self, *options: str, **variables: str) -> Running:
        """Start a worker under the operator's account."""
        return Running(self, ["worker", "--json", *options], **variables)

    def sql(self, statement: str) -> list[tuple[Any, ...]]:
        """Run a statement; ``{work}`` is the name of that schema."""
        mark = "`" if self.server.backend == "mysql" else '"'
        names = {name: f"{mark}{self.prefix}{name}{mark}" for name in SCHEMAS}
        return self.server.execute(statement.format(**names, q=mark))


class Running:
    """A worker, and what it says."""

    def __init__(self, lab: Lab, arguments: Sequence[str], **variables: str) -> None:
        self.events: list[dict[str, Any]] = []
        self.said: list[str] = []
        self._process = subprocess.Popen(
            [sys.executable, "-m", lab.project.package, "--env", "prod", *arguments],
            cwd=lab.project.folder,
            env=lab.project.variables(**lab.operator, **variables),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self.said.append(line.rstrip())
            try:
                event = json.loads(line)
            except ValueError:
                continue
            if isinstance(event, dict):
                self.events.append(event)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def children(self) -> list[int]:
        """The processes that compute, in the order in which they were started."""
        return [event["pid"] for event in self.events if event["event"] == "start"]

    def seen(self, name: str) -> list[dict[str, Any]]:
        """The events of a name so far."""
        return [event for event in self.events if event.get("event") == name]

    def signal(self, number: int) -> None:
        self._process.send_signal(number)

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def end(self, seconds: float = 120) -> int:
        """Wait for its end; the exit code."""
        try:
            code = self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            raise AssertionError("\n".join(self.said)) from None
        self._reader.join(10)
        return code

    @property
    def answer(self) -> Any:
        """The document that it printed."""
        assert self._process.stdout is not None
        return json.loads(self._process.stdout.read())


@contextmanager
def made(project: Project, server: Server, prefix: str) -> Iterator[Lab]:
    """A lab, whose schemas and accounts are gone afterwards."""
    lab = Lab(project, server, prefix)
    lab.lay()
    try:
        yield lab
    finally:
        lab.forget()


def until(condition: Callable[[], Any], seconds: float = 60) -> Any:
    """Wait for something; what it gives."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "this did not come about"
        time.sleep(0.05)
    return found


def alive(pid: int) -> bool:
    """Whether there is such a process, which has not ended."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"
