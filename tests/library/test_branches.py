"""`branch`: schemas of one's own for a git branch, on both servers: made, worked on, compared, dropped without a trace."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import granted
import object_servers
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


def connected(server: Server) -> Any:
    """DataJoint's connection to a server."""
    import datajoint as dj
    from datajoint.settings import Config

    config = Config()
    config["database.backend"] = server.backend
    return closing(dj.Connection(server.host, server.user, server.password, server.port, config_override=config))


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
    # Run again, as after a kill that nothing was left to do after; a name that nobody knows stays refused.
    assert "has no schemas" in ok(lab, "branch", "drop", "--yes").out
    refused = ok(lab, "branch", "drop", "weigh/mroe", "--yes", code=1)
    assert in_words(refused.err) and "has no schemas" in refused.err
    assert branches(lab) == []


def test_a_branch_leaves_no_object_in_s3(lab: Project) -> None:
    with object_servers.moto() as objects:
        settings = json.loads(lab.read("datajoint.json"))
        place = {
            "endpoint": objects.endpoint.removeprefix("http://"),
            "bucket": object_servers.BUCKET,
            "location": "ours",
        }
        main = {"protocol": "s3", "secure": False, **place}
        lab.write("datajoint.json", json.dumps({**settings, "stores": {"default": "main", "main": main}}))
        for name, value in (("access_key", objects.admin.key), ("secret_key", objects.admin.secret)):
            ok(lab, "secrets", f"stores.main.{name}", stdin=value + "\n")
        client = objects.client("s3")
        client.put_object(Bucket=object_servers.BUCKET, Key="ours/_branches/of_somebody_else", Body=b"x")

        def keys() -> set[str]:
            found = client.list_objects_v2(Bucket=object_servers.BUCKET).get("Contents", [])
            return {entry["Key"] for entry in found}

        before = keys()
        ok(lab, "branch", "create")
        lab.environment["MY_PIPELINE_ENV"] = "branch"
        program = "from my_pipeline import lab, life\nlife.Animal.insert1((7, 'Cid', 'grey'))\n"
        done = lab.python(
            "-c", program + "lab.Trace.insert1((7, 'g', [7.5]))\nprint(lab.Trace.to_arrays('trace').tolist())"
        )
        assert done.code == 0 and "7.5" in done.out, done.err
        (listed,) = branches(lab)
        new = keys() - before
        assert new and all(key.startswith(f"ours/{listed['objects']}") for key in new), new
        ok(lab, "branch", "drop", "--yes")
        assert keys() == before


#: A command that is killed before one of the statements that change something; says how many there are.
KILLED = r"""
import os, re, sys
import datajoint as dj
from datajoint_pipeline.cli import run
from my_pipeline import pipeline

left, query = int(sys.argv[1]), dj.Connection.query

def counted(self, sql, *arguments, **more):
    global left
    if re.match(r"\s*(CREATE|INSERT|UPDATE|DROP|REVOKE|GRANT|COMMIT|ALTER)", sql, re.I):
        left -= 1
        if left < 0:
            os._exit(9)
    return query(self, sql, *arguments, **more)

dj.Connection.query = counted
try:
    run(pipeline, sys.argv[2:])
finally:
    print("statements", int(sys.argv[1]) - left, file=sys.stderr)
"""


#: A command that is killed when nothing is left to do but to say so.
KILLED_LAST = r"""
import os, sys
from datajoint_pipeline.cli import branch, run
from my_pipeline import pipeline

branch._show_made = branch._show_dropped = lambda *given: os._exit(9)
run(pipeline, sys.argv[1:])
"""


def contents(server: Server, databases: set[str]) -> dict[str, Any]:
    """How many rows each table of some databases has."""
    listed = ", ".join(f"'{name}'" for name in databases)
    query = f"SELECT table_schema, table_name FROM information_schema.tables WHERE table_schema IN ({listed})"
    mark = "`" if server.backend == "mysql" else '"'
    return {
        f"{database}.{table}": server.execute(f"SELECT COUNT(*) FROM {mark}{database}{mark}.{mark}{table}{mark}")
        for database, table in server.execute(query)
        if not table.startswith("~") or table.startswith("~~")
    }


@pytest.mark.sampled
@pytest.mark.parametrize("options", [("--rows", "2"), ()])
@pytest.mark.parametrize("moment", [0.03, 0.4, 0.95])
def test_killed_at_any_moment_and_run_again_it_ends_as_undisturbed(
    lab: Project, server: Server, moment: float, options: tuple[str, ...]
) -> None:
    before = traces(server, lab)
    store = lab.folder.parent / "store"
    create, drop = ("branch", "create", *options), ("branch", "drop", "--yes")
    numbers = []
    for command in (create, drop):
        if command is drop:
            (place,) = (one["objects"] for one in branches(lab))
            (store / place / "_hash").mkdir(parents=True)
            (store / place / "_hash/object").write_text("x")
            undisturbed = contents(server, schemas(server) - before[0])
        done = lab.python("-c", KILLED, "1000000", *command)
        assert done.code == 0, done.err
        numbers.append(int(done.err.split()[-1]))
    assert traces(server, lab) == before and len(undisturbed) >= 7
    assert lab.python("-c", KILLED, str(int(numbers[0] * moment)), *create).code == 9
    for one in branches(lab):
        refused = ok(lab, "--env", "branch", "status", code=6)
        assert one["state"] == "making" and in_words(refused.err) and "branch create" in refused.err
    ok(lab, *create)
    assert contents(server, schemas(server) - before[0]) == undisturbed
    assert [one["state"] for one in branches(lab)] == ["ready"]
    assert {s["state"] for s in ok(lab, "--env", "branch", "status", "--json").json["schemas"]} == {"current"}
    assert lab.python("-c", KILLED, str(int(numbers[1] * moment)), *drop).code == 9
    for one in branches(lab):
        if one["state"] == "dropping":
            refused = ok(lab, "--env", "branch", "status", code=6)
            assert in_words(refused.err) and "branch drop" in refused.err
    ok(lab, *drop)
    assert traces(server, lab) == before


def test_killed_with_nothing_left_to_do_and_run_again_it_ends_as_undisturbed(lab: Project, server: Server) -> None:
    """After the last statement; what another made, or with other options, stays refused."""
    before = traces(server, lab)
    lab.environment["MY_PIPELINE_ENV"] = "branch"
    for command in (("branch", "create"), ("branch", "drop", "--yes")):
        assert lab.python("-c", KILLED_LAST, *command).code == 9
        if command[1] == "create":
            server.execute(f"INSERT INTO {branches(lab)[0]['prefix']}life.animal (animal_id, name) VALUES (7, 'Cid')")
        again = ok(lab, *command)
        assert "already" in again.out or "has no schemas" in again.out, again.out
        if command[1] == "create":
            assert len(rows(lab, "life.Animal.to_dicts()")) == 1 and not ok(lab, *command, "--json").json["made"]
            for other in (("--rows", "1"), ("--at", "dev")):
                refused = ok(lab, *command, *other, code=1)
                assert in_words(refused.err) and "has its schemas already" in refused.err
            mark = "`~branch`" if server.backend == "mysql" else '"~branch"'
            maker = f"UPDATE {branches(lab)[0]['prefix']}life.{mark} SET os_user = {{}}"
            (mine,) = (one["os_user"] for one in branches(lab))
            server.execute(maker.format("'anna'"))
            assert "anna made them" in ok(lab, *command, code=1).err
            server.execute(maker.format(f"'{mine}'"))
    assert traces(server, lab) == before


def test_only_what_is_the_branchs_own_is_dropped(lab: Project, server: Server) -> None:
    ok(lab, "branch", "create")
    (listed,) = branches(lab)
    mark, (work,) = "`" if server.backend == "mysql" else '"', [d for d in listed["databases"] if d.endswith("_work")]
    table, prefix = f"{listed['prefix']}life.{mark}~branch{mark}", listed["prefix"]
    everything = schemas(server)
    # A mark is taken for one only where the branch's name leads to the schemas.
    server.execute("CREATE SCHEMA dev_forged", f"CREATE TABLE dev_forged.{mark}~branch{mark} AS SELECT * FROM {table}")
    server.execute(f"UPDATE dev_forged.{mark}~branch{mark} SET prefix = 'dev_'")
    # A table that is only called so is none, and keeps nobody from seeing the others.
    server.execute("CREATE SCHEMA dev_alien", f"CREATE TABLE dev_alien.{mark}~branch{mark} (id integer)",
                   "CREATE SCHEMA dev_odd", f"CREATE TABLE dev_odd.{mark}~branch{mark} AS SELECT * FROM {table}",
                   f"ALTER TABLE dev_odd.{mark}~branch{mark} DROP COLUMN sample")  # fmt: skip
    assert [one["databases"] for one in branches(lab)] == [listed["databases"]]
    server.execute("DROP SCHEMA dev_alien" + (" CASCADE" if server.backend == "postgresql" else ""))
    server.execute("DROP SCHEMA dev_odd" + (" CASCADE" if server.backend == "postgresql" else ""))
    # What somebody made beside them is left, and said.
    server.execute(f"CREATE SCHEMA {prefix}notes", f"CREATE TABLE {prefix}notes.note (id integer)")
    # What refers to them from outside keeps them.
    server.execute("CREATE SCHEMA dev_other",
                   f"CREATE TABLE dev_other.child (animal_id integer, FOREIGN KEY (animal_id) "
                   f"REFERENCES {prefix}life.animal (animal_id))")  # fmt: skip
    refused = ok(lab, "branch", "drop", "--yes", code=1)
    assert in_words(refused.err) and "dev_other.child need" in refused.err
    assert everything < schemas(server)
    server.execute("DROP TABLE dev_other.child")
    # Another branch's mark is respected, whatever the name.
    server.execute(f"UPDATE {table} SET branch = 'other'")
    for command in (("drop", "--yes"), ("create",), ("reset", "--yes")):
        refused = ok(lab, "branch", *command, code=1)
        assert in_words(refused.err) and "of the branch other" in refused.err, refused.err
    server.execute(f"UPDATE {table} SET branch = '{BRANCH}'")
    done = ok(lab, "branch", "drop", "--yes")
    assert f"{prefix}notes was left" in done.out
    assert schemas(server) == {"dev_life", "dev_work", "dev_lab", "dev_forged", "dev_other", f"{prefix}notes"}
    # A name that is taken by what nobody marked is not used.
    refused = ok(lab, "branch", "create", code=1)
    assert in_words(refused.err) and f"{prefix}notes already" in refused.err
    assert work not in schemas(server)
    # A name that the mark has no room for is refused before anything is made.
    there = schemas(server)
    refused = ok(lab, "branch", "create", "--branch", "long/" * 60, code=1)
    assert in_words(refused.err) and "is too long" in refused.err and schemas(server) == there


#: What somebody made elsewhere of what is in a branch's schemas, and what PostgreSQL would drop of it.
NEEDING = {
    "CREATE TABLE notes.copied AS SELECT kind FROM {life}.animal": "notes.copied",
    "CREATE TABLE notes.defaulted (a integer DEFAULT {life}.one())": "notes.defaulted",
    "CREATE TABLE notes.child () INHERITS ({life}.animal)": "notes.child",
    "CREATE TABLE notes.watched (a integer); CREATE TRIGGER t BEFORE INSERT ON notes.watched "
    "FOR EACH ROW EXECUTE FUNCTION {life}.fired()": "notes.watched",
    "CREATE VIEW notes.seen AS SELECT * FROM {life}.animal": "notes.seen",
    "CREATE FUNCTION notes.used({life}.kind) RETURNS integer LANGUAGE sql AS 'SELECT 1'": "notes.used",
    "CREATE DOMAIN notes.narrow AS {life}.kind": "notes.narrow",
    "CREATE TABLE notes.referring (a integer REFERENCES {life}.animal (id))": "notes.referring",
}


def test_postgresql_drops_nothing_outside_along(postgresql: Server) -> None:
    from datajoint_pipeline.dialects import branches as dialect

    life = "dev_needed_life"
    postgresql.drop(life, "notes", "dev_needed_types")
    postgresql.execute(
        f"CREATE SCHEMA {life}",
        f"CREATE TYPE {life}.kind AS ENUM ('a')",
        f"CREATE TABLE {life}.animal (id integer PRIMARY KEY, kind {life}.kind, mother integer REFERENCES {life}.animal)",
        f"CREATE FUNCTION {life}.one() RETURNS integer LANGUAGE sql AS 'SELECT 1'",
        f"CREATE FUNCTION {life}.fired() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END'",
        f"CREATE VIEW {life}.own AS SELECT * FROM {life}.animal",
        "CREATE SCHEMA dev_needed_types",
        "CREATE TYPE dev_needed_types.only AS ENUM ('a')",
    )
    try:
        with connected(postgresql) as connection:
            assert dialect.outsiders(connection, [life]) == []
            for statement, needs in NEEDING.items():
                postgresql.execute("CREATE SCHEMA notes", *statement.format(life=life).split("; "))
                assert dialect.outsiders(connection, [life]) == [needs], statement
                assert dialect.outsiders(connection, [life, "notes"]) == []
                postgresql.drop("notes")
            # A schema that has but a type is somebody's.
            assert [one.things for one in dialect.beginning(connection, "dev_needed_t", ["~migration"], "~branch")] == [
                1
            ]
    finally:
        postgresql.drop(life, "notes", "dev_needed_types")


#: Drops the branch while somebody, whom nobody can see, still writes an object.
LATE = r"""
import re, sys
from pathlib import Path
import datajoint as dj
from datajoint_pipeline.cli import run
from my_pipeline import pipeline

query = dj.Connection.query

def written(self, sql, *arguments, **more):
    if re.match(r"\s*DROP (DATABASE|SCHEMA)", sql):
        late = Path(sys.argv[1]) / "_hash"
        late.mkdir(parents=True, exist_ok=True)
        (late / "object").write_text("x")
    return query(self, sql, *arguments, **more)

dj.Connection.query = written
run(pipeline, sys.argv[2:])
"""


def test_nothing_is_dropped_under_a_worker_and_what_is_written_meanwhile_goes_too(lab: Project, server: Server) -> None:
    from datajoint_pipeline.jobs import liveness

    before = traces(server, lab)
    ok(lab, "branch", "create")
    (listed,) = branches(lab)
    there = traces(server, lab)
    with connected(server) as connection:
        assert liveness.take_slot(connection, listed["prefix"] + "my_pipeline", liveness.ANY) == 0
        for command in ("drop", "reset"):
            refused = ok(lab, "branch", command, "--yes", code=1)
            assert in_words(refused.err) and "1 worker computes" in refused.err and traces(server, lab) == there
    place = lab.folder.parent / "store" / listed["objects"]
    done = lab.python("-c", LATE, str(place), "branch", "drop", "--yes")
    assert done.code == 0, done.err
    assert traces(server, lab) == before


def test_no_other_command_makes_the_schemas_of_a_branch(lab: Project, server: Server) -> None:
    before = traces(server, lab)
    for command in (
        *(
            ("init",),
            ("migrate",),
            ("migrate", "--dry-run"),
            ("migrate", "--draft"),
            ("migrate", "--draft", "--dry-run"),
        ),
        *(("promote", "--from", "dev", "--to", "branch", "--yes"),),
    ):
        refused = ok(lab, *(() if command[0] == "promote" else ("--env", "branch")), *command, code=1)
        assert in_words(refused.err) and "has no schemas yet" in refused.err and "branch create" in refused.err, command
        assert traces(server, lab) == before
    absent = ok(lab, "--env", "branch", "status", "--json", code=3).json["schemas"]
    assert {one["state"] for one in absent} == {"absent"}


def test_schemas_that_have_lost_their_mark_are_dropped_when_their_branch_is_named(lab: Project, server: Server) -> None:
    before = traces(server, lab)
    ok(lab, "branch", "create")
    (listed,) = branches(lab)
    mark = "`" if server.backend == "mysql" else '"'
    server.execute(f"DELETE FROM {listed['prefix']}life.{mark}~branch{mark}")
    everything = schemas(server)
    refused = ok(lab, "branch", "create", code=1)
    assert in_words(refused.err) and f"branch drop {BRANCH}" in refused.err, refused.err
    assert schemas(server) == everything and branches(lab) == []
    # What refers to them from outside keeps them, as it keeps those that have it.
    server.execute("CREATE SCHEMA dev_other",
                   f"CREATE TABLE dev_other.child (animal_id integer, FOREIGN KEY (animal_id) "
                   f"REFERENCES {listed['prefix']}life.animal (animal_id))")  # fmt: skip
    refused = ok(lab, "branch", "drop", "--yes", code=1)
    assert in_words(refused.err) and "dev_other.child need" in refused.err
    server.drop("dev_other")
    assert schemas(server) == everything
    done = ok(lab, "branch", "drop", "--yes", "--json").json["dropped"][0]
    assert set(done["databases"]) == everything - before[0]
    assert traces(server, lab) == before
    ok(lab, "branch", "create")
    ok(lab, "branch", "drop", "--yes")
    assert traces(server, lab) == before


#: A command that holds the lock of a branch until it is told to go on.
HOLDING = """
import sys
from datajoint_pipeline import journal
from datajoint_pipeline.project import branches
from my_pipeline import pipeline
connection, project = pipeline.connect(pipeline.select("dev", explicit=True)), pipeline.project
with journal.lock(connection, sys.argv[1] + project.prefix + project.package):
    print("held", flush=True)
    sys.stdin.readline()
"""


def started(own: Project, *arguments: str) -> subprocess.Popen[str]:
    """A process of its own, whose output and end are waited for by whoever started it."""
    pipe = subprocess.PIPE
    return subprocess.Popen([sys.executable, *arguments], cwd=own.folder, env=own.variables(), text=True,
                            stdin=pipe, stdout=pipe, stderr=pipe)  # fmt: skip


@pytest.mark.parametrize("command", [("drop", "--yes"), ("create",)])
def test_what_goes_while_a_command_waits_for_the_lock_is_gone_to_it(
    lab: Project, server: Server, command: tuple[str, ...]
) -> None:
    before = traces(server, lab)
    ok(lab, "branch", "create")
    (listed,) = branches(lab)
    holder = started(lab, "-c", HOLDING, listed["prefix"])
    assert holder.stdout is not None and holder.stdout.readline() == "held\n"
    waiting = started(lab, "-m", lab.package, "branch", *command)
    assert waiting.stderr is not None
    said = waiting.stderr.readline()
    assert "Somebody else is changing" in said, said
    server.drop(*listed["databases"])  # as the session of a drop that was killed still does
    holder.communicate("\n", timeout=60)
    out, err = waiting.communicate(timeout=120)
    if command == ("create",):
        assert waiting.returncode == 0 and "has its own schemas" in out, err
        ok(lab, "branch", "drop", "--yes")
    else:
        assert waiting.returncode == 0 and "has no schemas here" in out, err
    assert traces(server, lab) == before


def test_rows_of_dev_come_when_nobody_changes_dev(lab: Project, server: Server) -> None:
    """Else they would have the values of a version that the branch does not have."""
    before = traces(server, lab)
    holder = started(lab, "-c", HOLDING, "dev_")
    assert holder.stdout is not None and holder.stdout.readline() == "held\n"
    waiting = started(lab, "-m", lab.package, "branch", "create", "--rows", "2")
    assert waiting.stderr is not None
    said = waiting.stderr.readline()
    assert "Somebody else is changing" in said, said
    assert traces(server, lab)[0] == before[0], "it was to begin afterwards"
    holder.communicate("\n", timeout=60)
    out, err = waiting.communicate(timeout=120)
    assert waiting.returncode == 0 and "has its own schemas" in out, err
    ok(lab, "branch", "drop", "--yes")


#: `branch list`, with a branch that somebody drops right after the marks were looked for.
DROPPED_MEANWHILE = """
import sys
import datajoint as dj
from datajoint_pipeline.cli import run
from my_pipeline import pipeline

query, databases = dj.Connection.query, sys.argv[1].split()

def meanwhile(self, sql, args=(), **more):
    cursor = query(self, sql, args, **more)
    if databases and args and "~branch" in args:
        for name in databases:
            query(self, f"DROP SCHEMA {name}" + ("" if self.adapter.backend == "mysql" else " CASCADE"), None)
        databases.clear()
    return cursor

dj.Connection.query = meanwhile
run(pipeline, ["branch", "list", "--json"])
"""


def test_a_branch_that_is_dropped_meanwhile_is_not_listed(lab: Project) -> None:
    ok(lab, "branch", "create")
    (gone,) = branches(lab)
    on_branch(lab, "another")
    ok(lab, "branch", "create")
    children_first = sorted(gone["databases"], key=lambda name: name.endswith("_life"))
    listed = lab.python("-c", DROPPED_MEANWHILE, " ".join(children_first))
    assert listed.code == 0, listed.err
    assert [one["branch"] for one in listed.json["branches"]] == ["another"]
    ok(lab, "branch", "drop", "--yes")


def nothing_to_give(lab: Project) -> bool:
    """Whether `access` is content; what other tests gave to other accounts of the server is left out."""
    found = lab.run("--env", "dev", "access", "plan", "--json").json
    return not found["statements"] and not any("branch dan" in text for text in found["others"])


def test_a_branch_gets_and_loses_the_rights_of_dev(lab: Project, mysql: Server, server: Server) -> None:
    lab.write("access.toml", '[people.dan]\nlogin = "branch dan"\nroles.dev = "developer"\n')
    try:
        ok(lab, "--env", "dev", "access", "apply")
        password = lab.read(".secrets/accounts/branch%20dan").strip()
        before = traces(server, lab)
        # On PostgreSQL a developer makes branches; on MySQL that takes a right on schemas that are not there yet.
        dan = {"DJ_USER": "branch dan", "DJ_PASS": password}
        if server.backend == "mysql":
            refused = ok(lab, "branch", "create", code=1, **dan)
            assert in_words(refused.err) and "could not be made" in refused.err, refused.err
        else:
            ok(lab, "branch", "create", "--rows", "1", **dan)
            ok(lab, "branch", "drop", "--yes", **dan)
        assert traces(server, lab) == before
        made = ok(lab, "branch", "create", "--json").json
        assert made["not_granted"] == [] and made["granted"] > 0
        (listed,) = branches(lab)
        query = f"INSERT INTO {listed['prefix']}life.animal (animal_id, name) VALUES (5, 'Eve')"
        server.execute(query, user="branch dan", password=password)
        assert nothing_to_give(lab)
        life = f"{listed['prefix']}life"
        if server.backend == "mysql":
            server.execute("CREATE USER IF NOT EXISTS guest", f"GRANT SELECT ON {life}.* TO guest WITH GRANT OPTION",
                           f"GRANT UPDATE, SELECT (name) ON {life}.animal TO guest WITH GRANT OPTION")  # fmt: skip
        done = ok(lab, "branch", "drop", "--yes", "--json").json["dropped"][0]
        assert done["not_revoked"] == [] and traces(server, lab) == before
        assert nothing_to_give(lab)
    finally:
        lab.write("access.toml", "")
        ok(lab, "--env", "dev", "access", "apply")
        granted.forget_accounts(server, "my_pipeline")
        if server.backend == "mysql":
            server.execute("DROP USER IF EXISTS guest")


# --- Names, without a server ---------------------------------------------------------------------------------------

NAMES = r"""
import json, sys
from my_pipeline import pipeline
from datajoint_pipeline.project import branches
print(json.dumps([branches.prefix(pipeline.project, name) for name in json.loads(sys.argv[1])]))
"""


def prefixes(own: Project, *names: str) -> list[str]:
    done = own.python("-c", NAMES, json.dumps(names))
    assert done.code == 0, done.err
    found: list[str] = json.loads(done.out)
    return found


def test_names_fit_and_no_two_branches_share_one(project: Project) -> None:
    git(project.folder, "init", "--quiet", "--initial-branch=work")
    names = ["fix", "Fix", "FIX", "fix/", "fix-1", "fix_1", "fix.1", "x" * 250, "x" * 249, "лаб", "実験", "a/b", "a-b",
             "feature/add-weight-to-recordings", "feature/add-weight-to-recording", "dependabot/uv/numpy-2.0", "1", "_"]  # fmt: skip
    found = prefixes(project, *names)
    assert len(set(found)) == len(names)
    assert all(re.fullmatch(r"dev_([a-z0-9_]*[a-z0-9]_)?[0-9a-f]{8}_", one) and len(one) <= 30 for one in found)
    assert found[13].startswith("dev_add_weight_to_re_")
    # A new schema with a longer name does not move those that are there; one that leaves no room for words does.
    for longest, shortened in ((33, False), (34, True), (50, True)):
        text = f'SCHEMA_VERSIONS = {{"subject": "1.0.0", "{"s" * longest}": "1.0.0"}}\n'
        project.write(project.module("version"), f'__version__ = "0.1.0"\n\n{text}')
        again = prefixes(project, *names)
        assert (again == found) != shortened and len(set(again)) == len(names)
        assert all(len(one) + longest <= 63 for one in again)
    project.write(project.module("version"), f'__version__ = "0"\nSCHEMA_VERSIONS = {{"{"s" * 51}": "1.0.0"}}\n')
    refused = project.run("--env", "branch", "status")
    assert refused.code == 1 and in_words(refused.err) and "has 64 bytes" in refused.err


def test_a_branch_that_is_none_or_main_is_refused_in_words(project: Project) -> None:
    said = project.run("--env", "branch", "status")
    assert said.code == 1 and in_words(said.err) and "There is no git branch here" in said.err, said.err
    git(project.folder, "init", "--quiet", "--initial-branch=main")
    git(project.folder, "add", "--all")
    git(project.folder, "commit", "--quiet", "--message=Start")
    for command in (("--env", "branch", "status"), ("branch", "create"), ("branch", "drop", "--yes")):
        said = project.run(*command)
        assert said.code == 1 and in_words(said.err) and "main is the main branch" in said.err, said.err
    said = project.run("--env", "branch", "status", MY_PIPELINE_BRANCH="master")
    assert "master is the main branch" in said.err
    git(project.folder, "checkout", "--quiet", "--detach")
    said = project.run("branch", "create")
    assert in_words(said.err) and "MY_PIPELINE_BRANCH" in said.err
    # What is named is taken, by a variable or on the command, which then asks the server.
    for command, variables in (
        (("--env", "branch", "status"), {"MY_PIPELINE_BRANCH": "fix"}),
        (("--branch", "fix", "status"), {}),
        (("branch", "create", "--branch", "fix"), {}),
    ):
        said = project.run(*command, DJ_HOST="127.0.0.1", DJ_PORT="1", DJ_USER="a", DJ_PASS="b", **variables)
        assert said.code == 1 and "Cannot connect" in said.err, said.err
    assert project.run("--env", "dev", "--branch", "fix", "status").code == 2
    assert project.run("--env", "prod", "branch", "list").code == 2


# --- What becomes of it ------------------------------------------------------------------------------------------------


def test_a_pull_request_is_told_what_merging_does_to_dev(lab: Project) -> None:
    ok(lab, "branch", "create", "--at", "dev", "--rows", "5", "--exist-ok")
    assert not ok(lab, "branch", "create", "--at", "dev", "--exist-ok", "--json").json["made"]
    first = ok(lab, "branch", "diff", "--markdown").out
    assert "## Database changes of `feature/Weigh-More`" in first and "Nothing is pending on dev." in first
    lab.replace(lab.module("life"), "name : varchar(32)", "name : varchar(2)")
    lab.replace(lab.module("work"), "note = null : varchar(64)", "hint = null : varchar(64)")
    ok(lab, "revise", "-m", "short | <b>names</b>", "--drop", "Task.note")
    refused = ok(lab, "branch", "diff", "--markdown", code=7).out
    assert re.search(r"\| `life` \| `1.0.0` \| `1.0.0` \| \*\*`[\d.]+`\*\* \|", refused)
    assert "`life`, `work` are not at the code's version yet" in refused
    assert re.search(r"- `src/my_pipeline/migrations/life/[\d.]+_short_b_names_b.py`", refused)
    assert "**It would be refused:**" in refused and "`work.Task`" in refused and "| 2 |" in refused
    assert "<b>" not in refused and "```sql\n" in refused
    shown = ok(lab, "branch", "diff", code=7).out
    assert "It would be refused" in shown and "\nNothing was changed." in shown
    # Each statement stands in one line.
    assert all(
        re.match(r"     [A-Z]", line) for line in shown.splitlines() if re.search("ALTER TABLE|ADD COLUMN", line)
    )
    document = ok(lab, "branch", "diff", "--json", code=7).json
    assert [one["code"] != one["dev"] for one in document["schemas"]] == [True, True, False]
    assert len(document["refused"]) == 1 and not document["error"]
    lab.replace(lab.module("life"), "name : varchar(2)", "name : varchar(32)")
    ok(lab, "revise", "--undo")
    ok(lab, "branch", "drop", "--yes")
    assert ok(lab, "branch", "drop", "--yes", "--missing-ok").out == f"{BRANCH} has no schemas here.\n"


def test_only_a_branch_that_is_known_to_be_gone_is_gone(lab: Project, server: Server, tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet", "--bare", "origin.git")
    git(lab.folder, "remote", "add", "origin", str(tmp_path / "origin.git"))
    states = {}
    for name in ("pushed", "merged", "private", "elsewhere"):
        on_branch(lab, name)
        if name in ("pushed", "merged"):
            git(lab.folder, "push", "--quiet", "origin", name)
        ok(lab, "branch", "create")
    for one in branches(lab):
        states[one["branch"]] = one["git"]
        if one["branch"] == "elsewhere":  # in a clone on another machine, and never pushed
            mark = "`" if server.backend == "mysql" else '"'
            server.execute(f"UPDATE {one['prefix']}life.{mark}~branch{mark} SET host = 'other'")
    assert set(states.values()) == {"there"} and len(states) == 4
    git(lab.folder, "switch", "--quiet", "main")
    git(lab.folder, "branch", "--quiet", "-D", "pushed", "merged", "private", "elsewhere")
    git(lab.folder, "push", "--quiet", "origin", "--delete", "merged")
    found = {one["branch"]: one["git"] for one in branches(lab)}
    assert found == {"pushed": "there", "merged": "gone", "private": "gone", "elsewhere": "unknown"}
    assert {one["branch"] for one in branches(lab, "--gone", code=3)} == {"merged", "private"}
    # One that was only named here, as where CI has checked out a commit, may be anywhere; so may all where git is not
    # found, as by cron.
    ok(lab, "branch", "create", "--branch", "named")
    assert {one["branch"]: one["git"] for one in branches(lab)}["named"] == "unknown"
    blind = ok(lab, "branch", "list", "--json", PATH="/nowhere").json["branches"]
    assert {one["git"] for one in blind} == {"unknown"}
    assert "No deleted git branch" in ok(lab, "branch", "drop", "--gone", "--yes", PATH="/nowhere").out
    ok(lab, "branch", "drop", "named", "--yes")
    # Whoever cannot ask origin knows less, and drops less.
    (tmp_path / "origin.git").rename(tmp_path / "away.git")
    assert {one["branch"] for one in branches(lab, "--gone", code=3)} == {"private"}
    (tmp_path / "away.git").rename(tmp_path / "origin.git")
    ok(lab, "branch", "drop", "--gone", code=1)
    done = ok(lab, "branch", "drop", "--gone", "--yes", "--json").json["dropped"]
    assert {one["branch"] for one in done} == {"merged", "private"}
    assert {one["branch"] for one in branches(lab)} == {"pushed", "elsewhere"}
    assert "No deleted git branch" in ok(lab, "branch", "drop", "--gone", "--yes").out
    ok(lab, "branch", "drop", "elsewhere", "--yes")
    ok(lab, "branch", "drop", "pushed", "--yes")


def test_who_may_not_be_asked_is_told_which_branch_is_meant(lab: Project, server: Server) -> None:
    """Without the name, the command would drop the schemas of the branch that one is on."""
    for given in (("drop", "another one"), ("drop", "feat-a")):
        refused = lab.run("branch", *given, stdin="")
        assert refused.code == 1 and "has to be confirmed" in refused.err
        assert f"branch drop {shlex.quote(given[1])} --yes." in " ".join(refused.err.split()), refused.err
