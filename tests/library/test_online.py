"""Indexes and foreign keys that are added while others go on reading and writing, where a line asks for it."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest
from conftest import Project, Result, Server
from living import is_sentence, living, ok, rows, states
from test_bad_days import held

FILE = "src/my_pipeline/migrations/life/1.1.0_fast.py"


@pytest.fixture
def indexed(server: Server, project: Project) -> Iterator[Project]:
    """A pipeline with a migration that adds an attribute, and two indexes online."""
    with living(server, project) as own:
        own.replace(own.module("life"), "  # on that day\n", "  # on that day\n    mood = null : varchar(8)\n")
        own.replace(own.module("life"), "varchar(8)\n", "varchar(8)\n    index(grams)\n    unique index(day, mood)\n")
        ok(own, "revise", "-m", "fast")
        own.write(FILE, own.read(FILE).replace(')")', ')", online=True)').replace('", online=True, after', '", after'))
        assert own.read(FILE).count("online=True") == 2, own.read(FILE)
        yield own


def statements(project: Project) -> list[str]:
    groups = ok(project, "migrate", "--dry-run", "--json", code=3).json["groups"]
    return [statement["sql"] for group in groups for statement in group["statements"]]


def test_indexes_are_built_beside_writers(indexed: Project, server: Server) -> None:
    planned = statements(indexed)
    word = "LOCK = NONE" if server.backend == "mysql" else "INDEX CONCURRENTLY"
    assert [word in sql for sql in planned[-2:]] == [True, True] and not any(word in sql for sql in planned[:-2])
    ok(indexed, "check")
    ok(indexed, "migrate")
    assert ok(indexed, "status").code == 0
    assert ok(indexed, "diff").out.count("nothing changed") == 2
    # Whether a line says online is no part of what it does.
    indexed.write(FILE, indexed.read(FILE).replace(", online=True", ""))
    ok(indexed, "migrate")
    ok(indexed, "rollback", "life", "--to", "1.0.0")
    assert states(indexed)["life"] == ("behind", "1.0.0")


def test_the_statements_can_be_printed(indexed: Project, server: Server) -> None:
    text = ok(indexed, "migrate", "--sql", code=3).out
    assert (
        '{"check"' not in text and ("LOCK = NONE;" if server.backend == "mysql" else "DROP INDEX CONCURRENTLY") in text
    )


def test_values_that_occur_twice_are_counted_before(indexed: Project, server: Server) -> None:
    indexed.write(FILE, indexed.read(FILE).replace("day, mood", "day"))
    snapshot = "src/my_pipeline/migrations/life/snapshot.txt"
    indexed.write(snapshot, indexed.read(snapshot).replace("day, mood", "day"))
    refused = indexed.run("migrate")
    is_sentence(refused)
    assert "1.1.0 fast cannot be applied" in refused.err
    assert states(indexed)["life"] == ("behind", "1.0.0")


def migrating(project: Project, *command: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "my_pipeline", *(command or ("migrate",))],
        cwd=project.folder,
        env=project.variables(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def waiting(server: Server) -> Any:
    """The session that builds an index, once it waits for somebody."""
    query = {
        "mysql": "SELECT id FROM information_schema.processlist WHERE state LIKE 'Waiting for table metadata lock%' "
        "AND info LIKE '%LOCK = NONE'",
        "postgresql": "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query ~ '^CREATE (UNIQUE )?INDEX CONC'",
    }[server.backend]
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if found := server.execute(query):
            return found[0][0]
        time.sleep(0.1)
    raise AssertionError("nobody waits")


def with_index(project: Project, line: str) -> None:
    """Write a migration that adds an index to Weight online."""
    project.replace(project.module("life"), "  # on that day\n", f"  # on that day\n    {line}\n")
    ok(project, "revise", "-m", "fast")
    path = "src/my_pipeline/migrations/life/1.0.1_fast.py"
    project.write(path, project.read(path).replace(')")', ')", online=True)'))


def migrating_into_rows(project: Project, server: Server) -> Result:
    """Migrate, and save rows that stand in the way of a unique index over ``grams`` once all was counted."""
    with held(server, "UPDATE dev_life.weight SET grams = grams + 1"):
        process = migrating(project)
        try:
            waiting(server)
            server.execute("INSERT INTO dev_life.weight VALUES (2, '2026-01-03', 18), (2, '2026-01-04', 18)")
        except AssertionError:
            process.kill()
            raise
    out, err = process.communicate(timeout=60)
    return Result(process.returncode, out, err)


def test_a_build_that_is_killed_is_gone_on_with(server: Server, project: Project) -> None:
    mysql = server.backend == "mysql"
    with living(server, project) as own:
        with_index(own, "index(grams)")
        with held(server, "UPDATE dev_life.weight SET grams = grams + 1"):
            process = migrating(own)
            try:
                session = waiting(server)
                if not mysql:
                    # Others write while the index is being built.
                    server.execute("INSERT INTO dev_life.weight VALUES (2, '2026-01-03', 18.0)")
                server.execute(f"KILL {session}" if mysql else f"SELECT pg_terminate_backend({session})")
                out, err = process.communicate(timeout=60)
            finally:
                process.kill()
        refused = Result(process.returncode, out, err)
        is_sentence(refused)
        assert refused.code == 6 and "Step 1 of 1" in err and "this one may be" in err, err
        assert states(own)["life"] == ("interrupted", "1.0.0")
        if not mysql:
            left = "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('dev_life.idx_weight_grams')"
            assert server.execute(left) == [(False,)]
        ok(own, "migrate")
        assert states(own)["life"] == ("current", "1.0.1")
        assert ok(own, "status").code == 0
        assert rows(own, "len(life.Weight())") == (3 if mysql else 4)


def test_rows_that_come_in_the_way_of_an_index_are_named(postgresql: Server, project: Project) -> None:
    """They were saved after all was counted; once they are corrected, the run is ended."""
    with living(postgresql, project) as own:
        with_index(own, "unique index(grams)")
        refused = migrating_into_rows(own, postgresql)
        is_sentence(refused)
        assert "(grams)=(18) is duplicated" in refused.err and "Correct the rows that it names" in refused.err
        postgresql.execute("UPDATE dev_life.weight SET grams = 18.5 WHERE day = '2026-01-04'")
        ok(own, "migrate")
        assert states(own)["life"] == ("current", "1.0.1")


def indexes(server: Server) -> list[str]:
    query = "SELECT indexrelid::regclass::text FROM pg_index WHERE indrelid = to_regclass('dev_life.weight')"
    return sorted(name for (name,) in server.execute(query))


def test_an_index_that_rows_stand_in_the_way_of_can_be_taken_back(postgresql: Server, project: Project) -> None:
    """Whether it is the only one, and though the taking back is broken off."""
    with living(postgresql, project) as own:
        before = own.read(own.module("life"))
        had = indexes(postgresql)
        own.write(
            own.module("life"),
            before.replace("  # on that day\n", "  # on that day\n    index(day)\n    unique index(grams)\n"),
        )
        ok(own, "revise", "-m", "fast")
        path = "src/my_pipeline/migrations/life/1.0.1_fast.py"
        text = own.read(path).replace(')")', ')", online=True)').replace('", after', '", online=True, after')
        own.write(path, text)
        assert text.count("online=True") == 2, text
        migrating_into_rows(own, postgresql)
        assert states(own)["life"] == ("interrupted", "1.0.0")
        assert len(indexes(postgresql)) == len(had) + 2
        left = ok(own, "migrate", "--dry-run", code=6).out
        assert "1 step is done of 2" in left and left.count("CREATE") == 1, left
        shown = ok(own, "rollback", "--interrupted", "--dry-run", code=6)
        assert shown.out.count("DROP INDEX CONCURRENTLY") == 2, shown.out
        with held(postgresql, "UPDATE dev_life.weight SET day = day"):
            back = migrating(own, "rollback", "--interrupted")
            deadline = time.monotonic() + 60
            drops = "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query ~ '^DROP INDEX CONC'"
            while not (found := postgresql.execute(drops)) and time.monotonic() < deadline:
                time.sleep(0.1)
            back.kill()
            back.communicate()
            postgresql.execute(f"SELECT pg_terminate_backend({found[0][0]})")
        assert states(own)["life"] == ("interrupted", "1.0.0")
        ok(own, "rollback", "--interrupted")
        assert states(own)["life"] == ("behind", "1.0.0")
        assert indexes(postgresql) == had
        assert postgresql.execute("SELECT count(*) FROM dev_life.weight") == [(5,)]
        postgresql.execute("DELETE FROM dev_life.weight WHERE day = '2026-01-04'")
        ok(own, "migrate")
        assert ok(own, "status").code == 0


def test_what_others_made_meanwhile_is_named_and_left(postgresql: Server, project: Project) -> None:
    with living(postgresql, project) as own:
        with_index(own, "unique index(grams)")
        told = " ".join(migrating_into_rows(own, postgresql).err.split())
        assert "weight is held by" in told and "The next step waits" in told, told
        postgresql.execute(
            "DROP INDEX dev_life.idx_weight_grams", "CREATE INDEX idx_weight_grams ON dev_life.weight (day, grams)"
        )
        for command in (("migrate",), ("migrate", "--dry-run"), ("rollback", "--interrupted")):
            refused = own.run(*command)
            is_sentence(refused)
            assert refused.code == 6 and "has an index (day, grams) that the code does not have" in refused.err
        postgresql.execute("DROP INDEX dev_life.idx_weight_grams")
        ok(own, "rollback", "--interrupted")
        assert states(own)["life"] == ("behind", "1.0.0")


def test_a_foreign_key_is_gone_on_with_wherever_it_was_killed(postgresql: Server, project: Project) -> None:
    """Its index may be there, and the key not yet."""
    with living(postgresql, project) as own:
        own.replace(own.module("work"), "    note = null : varchar(64)\n", LINK)
        ok(own, "revise", "-m", "friends")
        path = "src/my_pipeline/migrations/work/1.1.0_friends.py"
        own.write(path, re.sub(r"(AddForeignKey\(.*)\)", r"\1, online=True)", own.read(path)))
        # The index waits for whoever may still see rows of before, wherever these are.
        with held(postgresql, "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; SELECT * FROM dev_life.weight"):
            process = migrating(own)
            session = waiting(postgresql)
            process.kill()
            process.communicate()
        deadline = time.monotonic() + 60
        while (
            postgresql.execute(f"SELECT 1 FROM pg_stat_activity WHERE pid = {session}") and time.monotonic() < deadline
        ):
            time.sleep(0.1)
        assert states(own)["work"] == ("interrupted", "1.0.0")
        assert ok(own, "migrate", "--dry-run", code=6).out.count("CREATE INDEX") == 0
        refused = ok(own, "rollback", "--interrupted", code=6)
        assert "is complete except for what it does online" in refused.err
        ok(own, "migrate")
        assert ok(own, "status").code == 0


LINK = '    note = null : varchar(64)\n    -> [nullable] life.Animal.proj(friend="animal_id")\n'


def test_a_foreign_key_is_looked_at_afterwards(server: Server, project: Project) -> None:
    with living(server, project) as own:
        own.replace(own.module("work"), "    note = null : varchar(64)\n", LINK)
        ok(own, "revise", "-m", "friends")
        path = "src/my_pipeline/migrations/work/1.1.0_friends.py"
        text = own.read(path)
        own.write(path, re.sub(r"(AddForeignKey\(.*)\)", r"\1, online=True)", text))
        if server.backend == "mysql":
            refused = own.run("migrate")
            is_sentence(refused)
            assert "MySQL cannot add the foreign key (friend) of work.Task online" in refused.err
            assert states(own)["work"] == ("behind", "1.0.0")
            own.write(path, text)
        else:
            kinds = ("ADD COLUMN", "INDEX CONCURRENTLY", "NOT VALID", "VALIDATE")
            assert all(any(kind in sql for sql in statements(own)) for kind in kinds)
            # A row that has no parent, which nobody can have written beside the engine, is found out and said.
            own.write(path, own.read(path).replace("import ", "import RunSQL, ", 1).replace("\n]\n", f"\n{SPOILT}", 1))
            broken = own.run("migrate")
            is_sentence(broken)
            assert broken.code == 6 and "violates foreign key" in broken.err and "steps are done" in broken.err
            assert states(own)["work"] == ("interrupted", "1.0.0")
            server.execute("UPDATE dev_work.task SET friend = NULL")
        ok(own, "migrate")
        assert states(own)["work"] == ("current", "1.1.0")
        assert ok(own, "status").code == 0
        assert rows(own, "[r['friend'] for r in work.Task.to_dicts()]") == [None, None]


SPOILT = '    RunSQL("spoil", mysql="SELECT 1", postgresql="UPDATE {work}.task SET friend = 7"),\n]\n'
