"""`branch`: schemas of one's own for a git branch, on both servers: made, worked on, compared, dropped without a trace."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import Project, Server, git
from living import FILL, filled, in_words, lay, ok, rows

BRANCH = "feature/Weigh-More"

#: A schema with a Lookup, a part, a computed table with its job table, and objects in a store.
LAB = '''
import datajoint as dj
from . import life, open_schema
schema = open_schema("lab")

@schema
class Unit(dj.Lookup):
    definition = """
    unit : varchar(8)
    """
    contents = [("g",), ("kg",)]

@schema
class Trace(dj.Manual):
    definition = """
    -> life.Animal
    ---
    -> Unit
    trace : <blob@main>
    """

    class Sample(dj.Part):
        definition = """
        -> master
        number : int32
        """
'''

VERSIONS = (
    '__version__ = "0.1.0"\n\nSCHEMA_VERSIONS = {\n    "life": "1.0.0",\n    "work": "1.0.0",\n    "lab": "1.0.0",\n}\n'
)

TRACES = """
from my_pipeline import lab
lab.Trace.insert([(1, "g", [1.5]), (2, "kg", [2.5])])
lab.Trace.Sample.insert([(1, 1), (1, 2), (2, 1)])
"""


def schemas(server: Server) -> set[str]:
    """The databases of a server that begin with dev_."""
    if server.backend == "mysql":
        found = server.execute("SELECT schema_name FROM information_schema.schemata WHERE schema_name LIKE 'dev\\_%'")
    else:
        found = server.execute("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'dev\\_%'")
    return {name for (name,) in found}


def grants(server: Server) -> set[Any]:
    """Every right that somebody has on something that begins with dev_."""
    if server.backend == "mysql":
        return set(
            server.execute(
                "SELECT user, host, db, '' FROM mysql.db WHERE db LIKE 'dev%' UNION SELECT user, host, db, table_name "
                "FROM mysql.tables_priv WHERE db LIKE 'dev%' UNION SELECT user, host, db, table_name "
                "FROM mysql.columns_priv WHERE db LIKE 'dev%'"
            )
        )
    return set(server.execute("SELECT nspname, nspacl::text FROM pg_namespace WHERE nspname LIKE 'dev\\_%'"))


def stored(own: Project) -> set[str]:
    """Every file and folder of the store."""
    store = own.folder.parent / "store"
    return {str(path.relative_to(store)) for path in store.rglob("*")}


def traces(server: Server, own: Project) -> tuple[set[str], set[Any], set[str]]:
    return schemas(server), grants(server), stored(own)


def on_branch(own: Project, name: str = BRANCH) -> None:
    git(own.folder, "switch", "--quiet", "-C", name)


def branches(own: Project, *more: str, code: int = 0) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = ok(own, "branch", "list", "--json", *more, code=code).json["branches"]
    return found


@pytest.fixture
def lab(server: Server, tmp_path: Path, render: Callable[..., Path]) -> Iterator[Project]:
    """A project in a repository, on a branch, with rows in dev and objects in a store."""
    own = Project(render(tmp_path / "my_pipeline"))
    lay(own)
    own.write(own.module("lab"), LAB)
    own.write(own.module("version"), VERSIONS)
    (tmp_path / "store").mkdir()
    settings = json.loads(own.read("datajoint.json"))
    main = {"protocol": "file", "location": str(tmp_path / "store")}
    own.write("datajoint.json", json.dumps({**settings, "stores": {"default": "main", "main": main}}))
    git(own.folder, "init", "--quiet", "--initial-branch=main")
    server.drop(*schemas(server))
    with filled(server, own, FILL + TRACES):
        ok(own, "revise", "-m", "start")
        git(own.folder, "add", "--all")
        git(own.folder, "commit", "--quiet", "--message=Start")
        on_branch(own)
        yield own
    server.drop(*schemas(server))


def test_a_branch_is_made_worked_on_and_dropped_without_a_trace(lab: Project, server: Server) -> None:
    before = traces(server, lab)
    made = ok(lab, "branch", "create", "--rows", "1")
    assert "has its own schemas" in made.out
    own = schemas(server) - before[0]
    assert len(own) == 3 and all(re.fullmatch(r"dev_weigh_more_[0-9a-f]{8}_(life|work|lab)", name) for name in own)
    lab.environment["MY_PIPELINE_ENV"] = "branch"
    # The sample is closed, its objects are read from where they are, and what is new gets a place of its own.
    program = "[life.Animal.to_dicts(), lab.Unit.to_arrays('unit').tolist(), lab.Trace.to_dicts()]"
    animals, units, found = rows(lab, program.replace("lab.", "__import__('my_pipeline.lab').lab."))
    assert len(animals) == 1 and sorted(units) == ["g", "kg"]
    assert [row["trace"] for row in found] == [[1.5]]
    done = lab.python(
        "-c",
        "from my_pipeline import lab, life\nlife.Animal.insert1((7, 'Cid', 'grey'))\n"
        "lab.Trace.insert1((7, 'g', [7.5]))\nprint(lab.Trace.to_arrays('trace').tolist())",
    )
    assert done.code == 0 and "7.5" in done.out, done.err
    new = stored(lab) - before[2]
    (listed,) = branches(lab)
    assert (
        listed["objects"].startswith("_branches/")
        and new
        and all(path == "_branches" or path.startswith(listed["objects"]) for path in new)
    )
    assert (listed["branch"], listed["git"], listed["state"]) == (BRANCH, "there", "ready")
    assert listed["bytes"] > 0 and set(listed["databases"]) == own
    refused = ok(lab, "branch", "create", code=1)
    assert in_words(refused.err) and "has its schemas already" in refused.err
    # Begun anew, it has another place in the store.
    ok(lab, "branch", "reset", code=1)
    assert schemas(server) - before[0] == own
    ok(lab, "branch", "reset", "--yes")
    (again,) = branches(lab)
    assert again["objects"] != listed["objects"] and stored(lab) == before[2]
    assert len(rows(lab, "life.Animal.to_dicts()")) == 1
    done = ok(lab, "branch", "drop", "--yes", "--json").json["dropped"][0]
    assert set(done["databases"]) == own and done["left"] == done["not_revoked"] == []
    assert traces(server, lab) == before
    refused = ok(lab, "branch", "drop", "--yes", code=1)
    assert in_words(refused.err) and "has no schemas" in refused.err
    assert branches(lab) == []
