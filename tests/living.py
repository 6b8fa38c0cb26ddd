"""A small pipeline that lives: two schemas, rows, and the words to ask for what has become of them."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from conftest import Project, Result, Server
from resets import Kept

LIFE = '''"""What lives here."""

import datajoint as dj

from . import open_schema

schema = open_schema("life")


@schema
class Animal(dj.Manual):
    definition = """
    # An animal
    animal_id : int32  # its number
    ---
    name : varchar(32)  # what it is called
    colour = "grey" : enum('grey', 'white')
    """


@schema
class Weight(dj.Manual):
    definition = """
    -> Animal
    day : date
    ---
    grams : float64  # on that day
    """
'''

WORK = '''"""What is done here."""

import datajoint as dj

from . import life, open_schema

schema = open_schema("work")


@schema
class Task(dj.Manual):
    definition = """
    -> life.Animal
    task : varchar(16)
    ---
    note = null : varchar(64)
    """


@schema
class Score(dj.Computed):
    definition = """
    -> Task
    ---
    score : int32
    """

    def make(self, key):
        self.insert1(dict(key, score=len(key["task"])))
'''

FILL = """
from my_pipeline import life, work
life.Animal.insert([(1, "Ada", "grey"), (2, "Bob", "white")])
life.Weight.insert([(1, "2026-01-01", 20.5), (1, "2026-01-02", 21.0), (2, "2026-01-01", 19.0)])
work.Task.insert([(1, "run", "well"), (2, "swim", None)])
work.Score.populate()
"""

VERSION = """__version__ = "0.1.0"

# a comment that stays
SCHEMA_VERSIONS = {"life": "1.0.0",
    "work": '1.0.0',  # and this one
}
"""


def ok(project: Project, *arguments: str, code: int = 0, **more: Any) -> Any:
    result = project.run(*arguments, **more)
    assert result.code == code, f"{arguments}: {result.code}\n{result.out}\n{result.err}"
    return result


def in_words(text: str) -> bool:
    """Whether an error is three lines, after any warnings, with nothing that only a programmer understands."""
    lines = [line for line in text.strip().splitlines() if not line.startswith("Warning: ")]
    return (
        len(lines) == 3
        and lines[0].startswith("Error: ")
        and lines[0].endswith(".")
        and lines[2].endswith(".")
        and not re.search(r"Traceback|should not|\(\'|[^.]\.\.(?!\.)|LINE \d|CONTEXT", text)
    )


def is_sentence(result: Result) -> None:
    """A refusal, in words."""
    assert result.code not in (0, 2, 3), result.out
    assert in_words(result.err), result.err


def hurried(project: Project, patience: int, *arguments: str) -> Result:
    """Run a command that has less patience than it has, with those who hold a table."""
    program = (
        "from datajoint_pipeline.executor import stepping\n"
        "assert stepping.PATIENCE == 30\n"
        f"stepping.PATIENCE = {patience}\n"
        "from datajoint_pipeline.cli import run; from my_pipeline import pipeline\n"
        f"run(pipeline, {list(arguments)})"
    )
    return project.python("-c", program)


def kill_while_it_waits(
    project: Project, mysql: Server, statement: str, *arguments: str, reads: str = "dev_life.weight"
) -> None:
    """Run a command on MySQL, and kill it while a statement of it, by a regular expression, waits for who reads a table."""
    waiting = f"SELECT id FROM information_schema.processlist WHERE info REGEXP '{statement}'"
    with closing(mysql.connect(autocommit=False)) as reader, reader.cursor() as cursor:
        cursor.execute(f"SELECT COUNT(*) FROM {reads}")  # so nobody can change it, or what it refers to
        command = [sys.executable, "-m", "my_pipeline", *arguments]
        runner = subprocess.Popen(command, cwd=project.folder, env=project.variables(), start_new_session=True)
        try:
            deadline = time.monotonic() + 30
            while runner.poll() is None and not mysql.execute(waiting) and time.monotonic() < deadline:
                time.sleep(0.05)
            assert runner.poll() is None, "it was to wait for the reader"
        finally:
            if runner.poll() is None:
                os.killpg(runner.pid, signal.SIGKILL)
            runner.wait(30)
        deadline = time.monotonic() + 30
        while mysql.execute(waiting) and time.monotonic() < deadline:
            time.sleep(0.05)


def add_sql(path: Path, mysql: str) -> None:
    """Add a statement of the lab's own to the end of a migration."""
    text = path.read_text().replace("import ", "import RunSQL, ", 1).rstrip().removesuffix("]")
    path.write_text(f'{text}    RunSQL("own", mysql="{mysql}", postgresql=""),\n]\n')


@contextmanager
def put_back(folder: Path) -> Iterator[None]:
    """Have the files of a folder as they were at the end."""
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    yield
    for path in folder.rglob("*"):
        if path.is_file() and path not in before:
            path.unlink()
    for path, content in before.items():
        path.write_bytes(content)


def rows(project: Project, expression: str) -> Any:
    program = f"import json\nfrom my_pipeline import life, work\nprint(json.dumps({expression}, default=str))"
    result = project.python("-c", program)
    assert result.code == 0, result.err
    return json.loads(result.out.strip().splitlines()[-1])


def states(project: Project) -> dict[str, tuple[str, str | None]]:
    answer = project.run("status", "--json")
    return {s["name"]: (s["state"], s["database_version"]) for s in answer.json["schemas"]}


def lay(own: Project) -> None:
    """Put the two schemas in the place of those that a project comes with."""
    own.clear()
    own.write(own.module("life"), LIFE)
    own.write(own.module("work"), WORK)
    own.write(own.module("version"), VERSION)


@contextmanager
def living(server: Server, own: Project, *, anew: bool = False) -> Iterator[Project]:
    """Two schemas with rows in ``dev``; they are gone at the end.

    `init` makes them the first time on a server for a project with these files, and where the project has an environment
    of its own, or ``anew`` says that a test is about what `init` does there; else they are put back as it left them, with
    the files that it wrote.
    """
    lay(own)
    before, anew = texts(own), anew or bool(own.environment)
    place = (server, own.read("datajoint.json"), *sorted(before.items()))
    if not anew and place in _begun:
        databases, files = _begun[place]
        own.environment |= surroundings(server)
        with swept(server):
            databases.put_back()
            for path, text in files.items():
                own.write(path, text)
            yield own
        return
    with filled(server, own, FILL):
        if not anew and (databases := Kept.of(server)):
            _begun[place] = databases, dict(texts(own).items() - before.items())
        yield own


#: What `init` and the rows left, by server and files: the databases, and the files of the project that it wrote.
_begun: dict[tuple[object, ...], tuple[Kept, dict[str, str]]] = {}


def texts(project: Project) -> dict[str, str]:
    """The files of the package, by their path."""
    paths = [path for path in (project.folder / "src").rglob("*.*") if path.is_file()]
    return {str(path.relative_to(project.folder)): path.read_text(encoding="utf-8") for path in paths}


def surroundings(server: Server) -> dict[str, str]:
    """What leads a project to a server."""
    return {**server.variables, "MY_PIPELINE_ENV": "dev", "DJ_LOG_LEVEL": "ERROR"}


@contextmanager
def filled(server: Server, own: Project, program: str) -> Iterator[None]:
    """The schemas of a project in ``dev``, with the rows that a program inserts; they are gone at the end."""
    own.environment |= surroundings(server)
    with swept(server):
        ok(own, "init")
        done = own.python("-c", program)
        assert done.code == 0, done.err
        yield


@contextmanager
def swept(server: Server) -> Iterator[None]:
    """Without the two schemas in ``dev``; these, and whatever a test makes in ``dev`` beside them, are gone at the end."""
    server.drop("dev_work", "dev_life")
    before = in_dev(server)
    try:
        yield
    finally:
        server.drop("dev_work", "dev_life", *sorted(in_dev(server) - before))


def in_dev(server: Server) -> set[str]:
    """The schemas of a server that are in ``dev``."""
    mysql = "SELECT schema_name FROM information_schema.schemata WHERE schema_name LIKE 'dev\\\\_%'"
    postgresql = "SELECT nspname FROM pg_namespace WHERE nspname LIKE 'dev\\_%'"
    # Accounts of some tests may read one row, or join nine, unless their session says otherwise.
    freely = "SET SESSION sql_big_selects = 1, sql_select_limit = 18446744073709551615"
    asked = (freely, mysql) if server.backend == "mysql" else (postgresql,)
    return {name for (name,) in server.execute(*asked)}
