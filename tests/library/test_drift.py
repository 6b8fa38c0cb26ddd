"""What is changed behind the engine's back is seen by `status`, and named in DataJoint's words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from conftest import ROOT, Project, Server
from sampling import whole
from test_model import write_versions
from test_servers import SCHEMAS

#: What the boxes refer to.
ABOVE = """import datajoint as dj

from . import open_schema

above = open_schema("above")


@above
class Shelf(dj.Manual):
    definition = "shelf : int32"


@above
class Name(dj.Manual):
    definition = "name : varchar(8)"


@above
class Label(dj.Manual):
    definition = "name : varchar(8)"
"""

BOX = '''

{name} = open_schema("{name}")


@{name}
class Box(dj.Manual):
    definition = """
    # A box
    -> Shelf
    id : int32
    ---
    a : int16  # note
    b = "x" : varchar(16)
    c = null : enum('m', 'n')
    d : decimal(6,2)
    e = 0 : bool
    f = null : float64
    t = CURRENT_TIMESTAMP : datetime
    u = null : uuid
    data = null : <blob>
    -> [nullable] Name
    index(a, b)
    unique index(d)
    """
'''


@dataclass
class Mutation:
    """What somebody does, and what is said of it."""

    name: str
    statements: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)


def mutations(backend: str) -> list[Mutation]:
    """The mutations of ``drift_cases.txt`` that can be on a backend."""
    found: list[Mutation] = []
    for line in (ROOT / "tests" / "drift_cases.txt").read_text(encoding="utf-8").splitlines():
        head, _, text = line.strip().partition(": ")
        if line and not line.startswith((" ", "#")):
            found.append(Mutation(line))
        elif head == backend:
            verb = text.startswith(
                ("CREATE ", "COMMENT ON ", "DROP TABLE ", "DROP INDEX {", "RENAME TABLE ", "ALTER T", "ALTER DATABASE ")
            )
            found[-1].statements.append(text if verb else f"ALTER TABLE {{t}} {text}")
        elif head in ("says", f"{backend} says"):
            found[-1].said.append(text)
    return [mutation for mutation in found if mutation.statements]


ENUMS = "SELECT nspname, typname FROM pg_type t JOIN pg_namespace n ON n.oid = typnamespace WHERE typtype = 'e'"


@pytest.mark.both_servers
def test_every_mutation_is_seen_and_named(server: Server, project: Project) -> None:
    """In CI, each server has every other one of its mutations."""
    every = mutations(server.backend)
    assert len(every) >= 50
    some = every if whole() else every[server.backend == "mysql" :: 2]
    todo = {f"m{number:02}": mutation for number, mutation in enumerate(some)}
    project.environment |= {**server.variables, "MY_PIPELINE_ENV": "dev"}
    project.clear()
    write_versions(project, "above", *todo)
    project.write(project.module("boxes"), ABOVE + "".join(BOX.format(name=name) for name in todo))
    try:
        made = project.run("init", timeout=300)
        assert made.code == 0, made.err
        assert project.run("status").code == 0, "and no false alarm"
        enums = dict(server.execute(ENUMS)) if server.backend == "postgresql" else {}
        statements = []
        for name, mutation in todo.items():
            database = f"dev_{name}"
            places = {"{t}": f"{database}.box", "{s}": database, "{above}": "dev_above"}
            places["{enum}"] = f"{database}.{enums.get(database)}"
            for statement in mutation.statements:
                for mark, place in places.items():
                    statement = statement.replace(mark, place)
                statements.append(statement)
        server.execute(*statements)
        status = project.run("status", "--json")
        assert status.code == 4
        found = {schema["name"]: schema for schema in status.json["schemas"]}
        assert found.pop("above")["state"] == "current"
        for name, mutation in todo.items():
            assert found[name]["state"] == "drifted", mutation.name
            assert sorted(found[name]["drift"]) == sorted(mutation.said), mutation.name
    finally:
        server.drop(*(f"dev_{name}" for name in [*todo, "above"]))


@pytest.fixture
def made(server: Server, project: Project) -> Iterator[Project]:
    project.environment |= {**server.variables, "MY_PIPELINE_ENV": "dev"}
    assert project.run("init").code == 0
    yield project
    server.drop(*(f"dev_{name}" for name in reversed(SCHEMAS)))


def test_code_that_finds_its_columns_goes_on(made: Project, server: Server) -> None:
    server.execute("ALTER TABLE dev_subject.subject DROP COLUMN species")
    shown = made.run("status")
    assert shown.code == 4
    assert "drifted" in shown.out and "Subject lacks the attribute species." in shown.out
    # Whoever mends the database is told by `status` what to mend.
    assert made.python("-c", "import my_pipeline.session").code == 0


def test_use_is_no_drift(made: Project) -> None:
    code = (
        "import datetime; from my_pipeline import ephys, session, subject\n"
        "subject.Subject.insert1({'subject_id': 'M001'})\n"
        "session.Session.insert1({'subject_id': 'M001', 'session_id': 1, 'session_start': datetime.datetime(2026, 1, 1)})\n"
        "ephys.Recording.populate(reserve_jobs=True)\n"
    )
    assert made.python("-c", code).code == 0
    assert made.run("status").code == 0
