"""What goes wrong is a sentence: what, why, what to do. When its cause is gone, `migrate` ends as if nothing had been."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest
from conftest import Project, Result, Server, private_mysql, private_postgresql, small_disk
from daemons import Postmaster, open_folder
from living import hurried, is_sentence, living, ok, rows, states
from test_servers import Account

MOOD = ("    grams : float64", "    mood = null : varchar(8)\n    grams : float64")
FRIEND = (
    "    note = null : varchar(64)\n",
    '    note = null : varchar(64)\n    more = null : int32\n    -> [nullable] life.Animal.proj(friend="animal_id")\n',
)
DONE = {"life": ("current", "1.1.0"), "work": ("current", "1.1.0")}
BEHIND = {"life": ("behind", "1.0.0"), "work": ("behind", "1.0.0")}
LIFE_FILE = "src/my_pipeline/migrations/life/1.1.0_more.py"
WORK_FILE = "src/my_pipeline/migrations/work/1.1.0_more.py"


@pytest.fixture
def behind(server: Server, project: Project) -> Iterator[Project]:
    """A pipeline whose two schemas have a migration each that the database has not had."""
    with living(server, project) as own:
        own.replace(own.module("life"), *MOOD)
        own.replace(own.module("work"), *FRIEND)
        ok(own, "revise", "-m", "more")
        yield own


def ends_right(project: Project, backend: str) -> None:
    """The migrations come through, with every row."""
    ok(project, "migrate")
    assert states(project) == DONE
    assert ok(project, "status").code == 0
    assert rows(project, "[r['grams'] for r in life.Weight.to_dicts()]") == [20.5, 21.0, 19.0]
    assert rows(project, "len(life.Animal * work.Task * work.Score)") == 2


OTHER = "from datajoint_pipeline.migration import RunSQL\nfollows = '1.0.0'\noperations = []\n"

#: What is done to the texts of the two files, and what is said of it.
BAD: dict[str, tuple[Callable[[str], str], str]] = {
    "syntax": (lambda text: text.replace("]", ""), "is not Python"),
    "no operation": (lambda text: text.replace("AddAttribute", "AddAtribute"), "There is no operation AddAtribute"),
    "no argument": (lambda text: re.sub(r"\(\"Weight\".*\)", '("Weight")', text), "missing 1 required positional"),
    "no table": (lambda text: text.replace('"Weight"', '"Wait"'), "Wait"),
    "no neighbour": (lambda text: text.replace('after="day"', 'after="night"'), "no attribute night"),
    "another type": (lambda text: text.replace("varchar(8)", "varchar(9)"), "do not lead to what the snapshots say"),
    "no definition": (lambda text: text.replace(": varchar(8)", "varchar(8)"), "cannot be understood"),
    "leaves": (lambda text: f"raise SystemExit(0)\n{text}", "cannot be read"),
    "fails": (lambda text: f"{text}\n1 / 0\n", "division by zero"),
    "gap": (lambda text: text.replace('follows = "1.0.0"', 'follows = "0.9.0"'), "follows 0.9.0"),
    "no such requirement": (lambda text: f'{text}\nrequires = {{"work": "7.0"}}\n', "requires work 7.0"),
    "circle": (lambda text: f'{text}\nrequires = {{"work": "1.1.0"}}\n', "require each other in a circle"),
    "no words": (
        lambda text: text.replace("import ", "import RunSQL, ", 1).replace("= [", '= [RunSQL("look"),', 1),
        "look",
    ),
    "no expression": (
        lambda text: text.replace("import ", "import RunSQL, ", 1).replace(
            "= [", '= [RunSQL("look", mysql="DO 1", back="DO 2"),', 1
        ),
        'Line 8: back of RunSQL is \'DO 2\' and should be Sql(mysql="...", postgresql="...") or None.',
    ),
    "no list": (
        lambda text: text.replace("= [", '= [OrderAttributes("Weight", "day"),', 1).replace(
            "import ", "import OrderAttributes, ", 1
        ),
        "order of OrderAttributes is 'day' and should be a list",
    ),
    "no values": (
        lambda text: text.replace("= [", '= [RebuildTable("Weight", {"grams": "1"}),', 1).replace(
            "import ", "import RebuildTable, ", 1
        ),
        "should be a dictionary, each Sql(",
    ),
    "no SQL": (
        lambda text: text.replace("import ", "import RunSQL, ", 1).replace(
            "= [", '= [RunSQL("look", mysql="SELEC 1", postgresql="SELEC 1"),', 1
        ),
        "SELEC",
    ),
}


def test_a_bad_file_is_a_sentence_and_changes_nothing(behind: Project, server: Server) -> None:
    good = behind.read(LIFE_FILE)
    for name, (spoil, said) in BAD.items():
        behind.write(LIFE_FILE, spoil(good))
        refused = behind.run("migrate")
        is_sentence(refused)
        assert said in refused.err, (name, refused.err)
        assert states(behind) == BEHIND, name
    behind.write(LIFE_FILE, good)
    folder = behind.folder / "src/my_pipeline/migrations/life"
    for name, code, said in (
        ("1.1.0_twice.py", 5, "two migrations lead to 1.1.0"),
        ("1.x_what.py", 1, "is not a version"),
        ("what.py", 1, "is not the name of a migration"),
    ):
        (folder / name).write_text(good, encoding="utf-8")
        refused = behind.run("migrate")
        is_sentence(refused)
        assert refused.code == code and said in refused.err, refused.err
        (folder / name).unlink()
    (folder / "1.1.0_more.py").rename(folder / "1.1.0_more.txt.away")
    refused = behind.run("migrate")
    is_sentence(refused)
    assert "the newest migration leads to 1.0.0" in refused.err
    (folder / "1.1.0_more.txt.away").rename(folder / "1.1.0_more.py")
    ends_right(behind, server.backend)


#: Rights of an account on MySQL, and what it is told; then the same for PostgreSQL.
RIGHTS = {
    "mysql": [
        ("", "may not read which version dev_life has"),
        ("SELECT", "ALTER on dev_life, CREATE on dev_life, INSERT on dev_life, UPDATE on dev_life"),
        ("SELECT, INSERT, UPDATE, DELETE", "ALTER on dev_life, CREATE on dev_life"),
        ("SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, REFERENCES, INDEX", "lacks: ALTER on dev_life"),
        ("SELECT, INSERT, UPDATE, DELETE, ALTER, DROP, REFERENCES, INDEX", "lacks: CREATE on dev_life"),
        ("SELECT, INSERT, UPDATE, DELETE, ALTER, CREATE, INDEX", "lacks: REFERENCES on dev_life"),
    ],
    "postgresql": [
        ("", "may not read which version dev_life has"),
        ("SELECT", "may not change dev_life, which belongs to"),
        ("SELECT, INSERT, UPDATE, DELETE", "may not change dev_life, which belongs to"),
        ("SELECT, INSERT, UPDATE, DELETE, CREATE", "may not change dev_life, which belongs to"),
    ],
}


@pytest.fixture
def few_rights(server: Server, behind: Project) -> Iterator[Account]:
    own = Account(server, behind, f"few_rights_{os.getpid()}")
    mysql = server.backend == "mysql"
    user = f"'{own.name}'@'%'" if mysql else own.name

    def make() -> None:
        server.execute(f"CREATE USER {user} {'IDENTIFIED BY' if mysql else 'PASSWORD'} '{own.password}'")

    def remove() -> None:
        server.execute(*([] if mysql else [f"DROP OWNED BY {user} CASCADE"]), f"DROP USER {user}")

    own.anew = lambda: (remove(), make())  # type: ignore[attr-defined]
    make()
    yield own
    remove()


def test_an_account_without_a_right_is_told_which(few_rights: Account, server: Server) -> None:
    for rights, said in RIGHTS[server.backend]:
        if rights:
            few_rights.grant(rights, "dev_life", "dev_work")
        refused = few_rights.run("migrate")
        is_sentence(refused)
        assert said in refused.err and "docs/access.md" in refused.err, refused.err
        shown = few_rights.run("migrate", "--dry-run")
        assert shown.code in (0, 1, 3, 6)
        if server.backend == "mysql":
            assert said in f"{shown.out} {shown.err}" and shown.code == 1, shown.out
            assert not list(few_rights.project.folder.glob("backups/*.zip"))
        assert states(few_rights.project) == BEHIND, rights
        few_rights.anew()  # type: ignore[attr-defined]
    ends_right(few_rights.project, server.backend)


def test_a_schema_that_an_account_may_not_see_is_not_called_absent(few_rights: Account, server: Server) -> None:
    few_rights.grant("SELECT", "dev_life")
    shown = few_rights.run("status", "--json")
    assert shown.code == 3 and [s["state"] for s in shown.json["schemas"]] == ["behind", "unreadable"], shown.out
    told = " ".join(few_rights.run("status").out.split())
    assert "whether it exists" in told or "cannot read ~migration" in told, told
    problems = few_rights.run("doctor", "--json").json["problems"]
    assert [p["id"] for p in problems if "dev_work" in p["what"]] == ["no-rights"], problems
    refused = few_rights.run("init")
    is_sentence(refused)
    assert "This account may not read which version dev_work has" in refused.err, refused.err


def test_a_server_that_takes_no_changes_says_so(behind: Project, server: Server) -> None:
    if os.environ.get("DJ_HOST"):
        pytest.skip("the server is not this test's own")
    mysql = server.backend == "mysql"
    if mysql:
        server.execute("SET GLOBAL super_read_only = 1")
    else:
        server.execute("ALTER DATABASE postgres SET default_transaction_read_only = on")
    try:
        told = ok(behind, "migrate", "--dry-run", code=3)
        assert "Warning: The server takes no changes: it is read-only." in told.err, told.err
        refused = behind.run("migrate")
        is_sentence(refused)
        assert "it is read-only" in refused.err and "Use the primary server" in refused.err
        assert states(behind) == BEHIND
    finally:
        if mysql:
            server.execute("SET GLOBAL super_read_only = 0", "SET GLOBAL read_only = 0")
        else:
            reset = "ALTER DATABASE postgres RESET default_transaction_read_only"
            server.execute("SET default_transaction_read_only = off", reset)
    ends_right(behind, server.backend)


@contextmanager
def held(server: Server, statement: str) -> Iterator[None]:
    """Somebody has read or written a table and not ended."""
    with closing(server.connect(autocommit=False)) as connection, connection.cursor() as cursor:
        cursor.execute(statement)
        yield


WAITING = {
    "mysql": "SELECT id FROM information_schema.processlist WHERE state LIKE 'Waiting for table metadata lock%'",
    "postgresql": "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query ~ '^(ALTER|LOCK)'",
}


def test_a_session_that_is_killed_in_a_long_step(behind: Project, server: Server) -> None:
    mysql = server.backend == "mysql"
    with held(server, "SELECT * FROM dev_work.task"):
        command = [sys.executable, "-m", "my_pipeline", "migrate"]
        process = subprocess.Popen(
            command,
            cwd=behind.folder,
            env=behind.variables(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            deadline, found = time.monotonic() + 60, []
            while not found and time.monotonic() < deadline:
                time.sleep(0.05)
                found = server.execute(WAITING[server.backend])
            session = found[0][0]
            server.execute(f"KILL {session}" if mysql else f"SELECT pg_terminate_backend({session})")
            out, err = process.communicate(timeout=60)
        finally:
            process.kill()
    refused = Result(process.returncode, out, err)
    is_sentence(refused)
    assert "Step 1 of" in err and "See that the server runs" in err
    # On MySQL nobody knows whether the step ran; the next run finds out.
    assert refused.code == (6 if mysql else 1)
    assert ("this one may be" if mysql else "Nothing else was changed") in err
    assert re.search(r"Before it, life \S+ was applied; that stays\.", err)
    after = {"life": DONE["life"], "work": ("interrupted" if mysql else "behind", "1.0.0")}
    assert states(behind) == after
    ends_right(behind, server.backend)


def test_a_transaction_that_stays_open(behind: Project, server: Server) -> None:
    longest, ended = 0.0, threading.Event()

    def read() -> None:
        nonlocal longest
        while not ended.wait(0.2):
            begun = time.monotonic()
            server.execute("SELECT COUNT(*) FROM dev_work.task")
            longest = max(longest, time.monotonic() - begun)

    with held(server, "SELECT * FROM dev_work.task WHERE note = 'well'"):
        reader = threading.Thread(target=read)
        reader.start()
        begun = time.monotonic()
        refused = hurried(behind, 8, "migrate")
        waited = time.monotonic() - begun
        left = server.execute(WAITING[server.backend])
        ended.set()
        reader.join()
    is_sentence(refused)
    assert "task is held by " in refused.err and "session " in refused.err
    warned, *error = refused.err.splitlines()
    assert warned.startswith("Warning: task is held by ") and warned.endswith("Trying for up to 8 s.")
    assert "session " in warned and not any("Warning" in line for line in error)
    assert "whose last statement is: SELECT * FROM dev_work.task WHERE note = ?" in refused.err
    assert 8 < waited < 30
    # Whoever reads meanwhile gets a turn, and nobody waits for a runner that has given up.
    assert longest < 6 and left == []
    assert states(behind) == {"life": DONE["life"], "work": BEHIND["work"]}
    ends_right(behind, server.backend)


def held_by(server: Server, behind: Project, said: str, way_out: str) -> None:
    """A prepared transaction is named, and what ends it; then the migration comes through."""
    refused = hurried(behind, 5, "migrate")
    is_sentence(refused)
    warned, *error = refused.err.splitlines()
    assert f"task is held by {said}" in warned, refused.err
    assert f"task is held by {said}" in " ".join(error), error
    assert way_out in error[-1] and "workers" not in error[-1], error
    assert states(behind)["work"] == BEHIND["work"]


@pytest.mark.parametrize("server", ["mysql"], indirect=True)
def test_a_prepared_transaction_of_mysql(behind: Project, server: Server) -> None:
    """Also while the session lasts that it was of, which has nothing to do with it any more."""
    named, steps = "'q', X'00'", ("START", "END", "PREPARE")
    ends = f"XA COMMIT {named} or XA ROLLBACK {named}, then run"
    connection = server.connect()
    with connection.cursor() as cursor:
        cursor.execute(f"XA START {named}")
        cursor.execute("UPDATE dev_work.task SET note = 'held'")
        for statement in (f"XA END {named}", f"XA PREPARE {named}", "SELECT 1"):
            cursor.execute(statement)
    try:
        held_by(server, behind, f"prepared transaction {named}", ends)
        connection.close()
        with closing(server.connect()) as another, another.cursor() as cursor:
            for text in steps:
                cursor.execute(f"XA {text} 'other'")
        found = hurried(behind, 3, "migrate").err
        server.execute("XA ROLLBACK 'other'")
        listed = f"'other'; {named}", f"{named}; 'other'"
        assert any(f"one of the prepared transactions {both}" in found for both in listed), found
        held_by(server, behind, f"prepared transaction {named}", ends)
    finally:
        server.execute(f"XA ROLLBACK {named}")
    ends_right(behind, server.backend)


def test_a_prepared_transaction_of_postgresql(project: Project, render: Callable[..., Path]) -> None:
    with open_folder("postgresql-") as folder, ExitStack() as stack:
        daemon = Postmaster(Project(render(folder / "server")))
        stack.callback(daemon.stop)
        server = Server("postgresql", "127.0.0.1", daemon.port, "postgres", "admin-secret")
        daemon.start()
        server.execute("ALTER SYSTEM SET max_prepared_transactions = 2")
        daemon.stop()
        daemon.start()
        with living(server, project) as own:
            own.replace(own.module("life"), *MOOD)
            own.replace(own.module("work"), *FRIEND)
            ok(own, "revise", "-m", "more")
            with closing(server.connect(autocommit=False)) as connection, connection.cursor() as cursor:
                cursor.execute("UPDATE dev_work.task SET note = 'held'")
                cursor.execute("PREPARE TRANSACTION 'it''s'")
            ends = "COMMIT PREPARED 'it''s' or ROLLBACK PREPARED 'it''s', then run"
            try:
                held_by(server, own, "prepared transaction 'it''s' of postgres", ends)
            finally:
                server.execute("ROLLBACK PREPARED 'it''s'")
            ends_right(own, server.backend)


#: A command, in the middle of whose reading of the catalogue somebody makes a table.
MEANWHILE = """
import sys
import datajoint as dj
from datajoint_pipeline.cli import run; from my_pipeline import pipeline

made, query = [], dj.Connection.query
def meanwhile(self, text, *arguments, **options):
    if not made and ("pg_attribute" in text or "FROM information_schema.columns" in text):
        made.append(query(self, "CREATE TABLE dev_work.came (id integer PRIMARY KEY)"))
    return query(self, text, *arguments, **options)
dj.Connection.query = meanwhile
try:
    run(pipeline, sys.argv[1:])
finally:
    assert made
"""


def test_a_table_that_somebody_makes_meanwhile(behind: Project) -> None:
    seen = behind.python("-c", MEANWHILE, "status")
    assert seen.code == 4 and "Came is a table" in seen.out and not seen.err, seen.err


def away(server: Server, old: str, new: str) -> None:
    """Call a schema otherwise."""
    if server.backend == "postgresql":
        server.execute(f"ALTER SCHEMA {old} RENAME TO {new}")
        return
    names = server.execute(f"SELECT table_name FROM information_schema.tables WHERE table_schema = '{old}'")
    moves = ", ".join(f"{old}.`{name}` TO {new}.`{name}`" for (name,) in names)
    server.execute(f"CREATE DATABASE {new}", f"RENAME TABLE {moves}", f"DROP DATABASE {old}")


def test_a_schema_that_is_gone(behind: Project, server: Server) -> None:
    ok(behind, "migrate", "life")
    away(server, "dev_life", "elsewhere")
    try:
        for command in (["migrate"], ["migrate", "--dry-run"], ["init"]):
            refused = behind.run(*command)
            is_sentence(refused)
            assert refused.code == 4 and "There is no dev_life on the server" in refused.err
        assert states(behind)["life"] == ("absent", None)
    finally:
        away(server, "elsewhere", "dev_life")
    ends_right(behind, server.backend)
    # What nothing refers to is made anew.
    server.execute("DROP DATABASE dev_work" if server.backend == "mysql" else "DROP SCHEMA dev_work CASCADE")
    ok(behind, "migrate")
    assert states(behind) == DONE


MANY = {
    "mysql": (
        "SET SESSION cte_max_recursion_depth = 500000",
        "INSERT INTO dev_life.animal (animal_id, name) WITH RECURSIVE n(i) AS (SELECT 10 UNION ALL SELECT i + 1 FROM n "
        "WHERE i < 400009) SELECT i, REPEAT('x', 32) FROM n",
    ),
    "postgresql": (
        "INSERT INTO dev_life.animal (animal_id, name) SELECT i, REPEAT('x', 32) FROM generate_series(10, 400009) i",
    ),
}


@pytest.mark.parametrize("backend", ["mysql", "postgresql"])
def test_a_disk_that_is_full(backend: str, project: Project, render: Callable[..., Path], tmp_path: Path) -> None:
    if backend == "mysql" and shutil.which("mysqld") is None:
        pytest.skip("there is no mysqld on PATH")
    with small_disk("400m") as disk:
        small = ("--skip-log-bin", "--innodb-redo-log-capacity=8M")
        started = private_mysql(disk, *small) if backend == "mysql" else private_postgresql(disk, render)
        with started as server, living(server, project) as own:
            server.execute(*MANY[backend])
            own.replace(own.module("life"), "animal_id : int32", "animal_id : int64")
            ok(own, "revise", "-m", "wider")
            assert ok(own, "migrate", "--dry-run", code=3)
            filler = disk / "filler"
            filler.write_bytes(b"x" * (shutil.disk_usage(disk).free - 6_000_000))
            refused = own.run("migrate")
            is_sentence(refused)
            assert re.search(r"is full|No space left|server closed the connection", refused.err), refused.err
            assert re.search(r"Make room there, then run|See that the server runs", refused.err), refused.err
            filler.unlink()
            for _ in range(100):  # PostgreSQL starts anew by itself where it could not write what it must
                done = own.run("migrate")
                if done.code == 0:
                    break
                time.sleep(0.3)
            assert done.code == 0, done.err
            assert {state for state, _ in states(own).values()} == {"current"}
            assert rows(own, "[len(life.Animal()), len(life.Animal * life.Weight * work.Task)]") == [400_002, 3]
