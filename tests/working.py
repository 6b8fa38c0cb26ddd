"""A pipeline whose tables have keys of every kind, and work in every state, and what DataJoint itself says of it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from conftest import Project, Server

SCHEMAS = ("subject", "work")

MODULES = {
    "subject": '''
import datajoint as dj
from . import open_schema
schema = open_schema("subject")

@schema
class Subject(dj.Manual):
    definition = """
    subject_id : int32
    ---
    name : varchar(32)
    """

@schema
class Method(dj.Lookup):
    definition = """
    method : varchar(16)
    """
    contents = [("fast",), ("slow",)]
''',
    "work": '''
import datajoint as dj
from . import open_schema, subject
schema = open_schema("work")

@schema
class Scan(dj.Imported):
    definition = """
    -> subject.Subject
    -> subject.Method
    ---
    size : int32
    """

    def make(self, key):
        if key["subject_id"] == 3:
            open(f"/data/raw/{key['subject_id']}/x.dat")
        self.insert1({**key, "size": key["subject_id"]})

@schema
class Cells(dj.Computed):
    definition = """
    -> Scan
    """

    class Cell(dj.Part):
        definition = """
        -> master
        cell : int32
        """

    def make(self, key):
        self.insert1(key)
        self.Cell.insert({**key, "cell": number} for number in range(3))

@schema
class Restricted(dj.Computed):
    definition = """
    -> Scan
    """
    key_source = Scan & "method LIKE 'f%'"

    def make(self, key):
        self.insert1(key)

@schema
class PerSubject(dj.Computed):
    definition = """
    -> subject.Subject
    ---
    mean : float64
    """

    @property
    def key_source(self):
        return subject.Subject & Scan

    def make(self, key):
        self.insert1({**key, "mean": 1.0})

@schema
class Pair(dj.Computed):
    definition = """
    -> subject.Subject
    -> subject.Subject.proj(other_id="subject_id")
    """
    key_source = (subject.Subject.proj() * subject.Subject.proj(other_id="subject_id")) & "subject_id < other_id"

    def make(self, key):
        self.insert1(key)

@schema
class Every(dj.Computed):
    definition = """
    -> subject.Subject
    -> subject.Subject.proj(other_id="subject_id")
    """

    def make(self, key):
        self.insert1(key)

@schema
class PerCell(dj.Computed):
    definition = """
    -> Cells.Cell
    -> subject.Method
    """

    def make(self, key):
        self.insert1(key)

@schema
class Choice(dj.Manual):
    definition = """
    -> Cells
    """

@schema
class Chosen(dj.Computed):
    definition = """
    -> Choice
    """

    def make(self, key):
        self.insert1(key)
''',
}

#: The tables that are populated, in the order in which they stand.
POPULATED = ("Scan", "Cells", "Restricted", "PerSubject", "Pair", "Every", "PerCell", "Chosen")

#: Does some of the work: gets the names of tables, each with a condition on its keys or how many of them at most.
WORK = """
import sys
from my_pipeline import subject, work
subject.Subject.insert([(number, f"m{number}") for number in range(6)], skip_duplicates=True)
for text in sys.argv[1:]:
    name, _, which = text.partition(":")
    table = getattr(work, name)
    table.jobs.refresh(delay=-1)
    options = {"max_calls": int(which)} if which.isdigit() else {}
    conditions = [which] if which and not options else []
    table.populate(*conditions, reserve_jobs=True, suppress_errors=True, refresh=False, **options)
"""

#: What DataJoint says, by going through every key.
BRUTE = f"""
import json
NAMES = {POPULATED}
"""
BRUTE += """
from my_pipeline import work
found = {}
for name in NAMES:
    table = getattr(work, name)()
    source = table.key_source
    source = source() if isinstance(source, type) else source
    keys = [tuple(sorted(key.items())) for key in source.proj().to_dicts()]
    there = {tuple(sorted((n, v) for n, v in row.items() if n in dict(keys[0]))) for row in table.proj().to_dicts()} if keys else set()
    found["work." + name] = [len(keys), sum(key in there for key in keys)]
print(json.dumps(found))
"""


#: Lives as a worker does, and says which number it has, until it is killed or its input ends.
LIVE = """
from datajoint_pipeline.dialects import advisory_locks
from datajoint_pipeline.jobs import liveness
from my_pipeline import pipeline
target = pipeline.target(pipeline.select())
slot = liveness.take_slot(target.connection, target.lock, "default")
number = liveness.new_number("default", slot)
assert advisory_locks.take(target.connection, liveness.lock_of(number))
print(number, flush=True)
input()
"""


@contextmanager
def living(project: Project) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A process that lives as a worker does, and its number; it is killed at the end."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    command = [sys.executable, "-c", LIVE]
    with subprocess.Popen(command, cwd=project.folder, env=project.variables(), **pipes) as process:
        try:
            yield process, int(process.stdout.readline())
        finally:
            process.kill()


def lay(project: Project, server: Server, prefix: str) -> None:
    """Give a project the pipeline above, on a server."""
    project.clear()
    for name, text in MODULES.items():
        project.write(project.module(name), text)
    versions = ", ".join(f'"{name}": "1.0.0"' for name in SCHEMAS)
    project.write(project.module("version"), f'__version__ = "0.1.0"\nSCHEMA_VERSIONS = {{{versions}}}\n')
    project.replace(project.module("__init__"), 'prefix=""', f'prefix="{prefix}"')
    project.environment |= {**server.variables, "MY_PIPELINE_ENV": "prod", "DJ_LOG_LEVEL": "CRITICAL"}
    project.environment |= {"MY_PIPELINE_UNGUARDED": "1", "DJ_USE_TLS": "false"}


def work(project: Project, *what: str) -> None:
    """Populate tables, each as ``Name``, ``Name:condition`` or ``Name:most``."""
    done = project.python("-c", WORK, *what)
    assert done.code == 0, done.err
