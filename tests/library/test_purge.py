"""`purge` among others: it waits as `migrate` does, and killed at any statement and run again it ends as undisturbed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from conftest import Project, Server
from living import hurried, is_sentence, living, ok, states

#: `purge`, killed before or after one of the statements that delete.
KILLED = """
import os, signal
import datajoint as dj
from datajoint_pipeline.cli import run; from my_pipeline import pipeline

seen, query = 0, dj.Connection.query
def counting(self, text, *arguments, **options):
    global seen
    deletes = text.startswith(("ALTER TABLE", "DROP TABLE"))
    seen += deletes
    if deletes and (seen, "before") == {when}:
        os.kill(os.getpid(), signal.SIGKILL)
    answer = query(self, text, *arguments, **options)
    if deletes and (seen, "after") == {when}:
        os.kill(os.getpid(), signal.SIGKILL)
    return answer
dj.Connection.query = counting
run(pipeline, ["purge", "--allow-data-loss", "--no-backup"])
"""


@pytest.fixture
def dropped(server: Server, project: Project) -> Iterator[Project]:
    """A pipeline with two soft-deleted attributes and a soft-deleted table, in two schemas."""
    with living(server, project) as own:
        own.replace(own.module("life"), "    colour = \"grey\" : enum('grey', 'white')\n", "")
        own.replace(own.module("work"), "    note = null : varchar(64)\n", "")
        text = own.read(own.module("work"))
        own.write(own.module("work"), text[: text.index("@schema\nclass Score")])
        drops = [word for what in ("Animal.colour", "Task.note", "Score") for word in ("--drop", what)]
        ok(own, "revise", "-m", "drop", *drops)
        ok(own, "migrate")
        yield own


def left(server: Server) -> tuple[Any, ...]:
    """Tables and columns on the server, but for the journal's and DataJoint's."""
    query = (
        "SELECT table_schema, table_name, column_name FROM information_schema.columns "
        "WHERE table_schema IN ('dev_life', 'dev_work') AND table_name NOT LIKE '~migration%' AND table_name NOT LIKE '~lineage%'"
    )
    return tuple(sorted(server.execute(query)))


def test_purge_is_killed_at_any_statement_and_run_again(dropped: Project, server: Server) -> None:
    kept = left(server)
    assert sum("dropped" in "".join(row) for row in kept) > 3
    for number in (1, 2, 3):
        for when in ("before", "after"):
            done = dropped.python("-c", KILLED.replace("{when}", repr((number, when))))
            if done.code == 0:  # so many there are no more
                continue
            assert done.code == -9, done.err
            if server.backend == "postgresql":
                assert left(server) == kept
            assert {state for state, _ in states(dropped).values()} == {"current"}
    ok(dropped, "purge", "--allow-data-loss", "--no-backup")
    assert not any("dropped" in "".join(row) for row in left(server))
    assert {state for state, _ in states(dropped).values()} == {"current"}
    # What is recorded is the shape of now: what somebody changes afterwards is seen.
    server.execute("ALTER TABLE dev_life.animal ADD COLUMN sneaked int")
    assert states(dropped)["life"][0] == "drifted"


def test_purge_waits_as_migrate_does_and_names_who_holds_a_table(dropped: Project, server: Server) -> None:
    kept = left(server)
    with closing(server.connect(autocommit=False)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT COUNT(*) FROM dev_life.animal")
        refused = hurried(dropped, 5, "purge", "--allow-data-loss")
        connection.rollback()
    is_sentence(refused)
    assert "animal is held by " in refused.err and "session " in refused.err, refused.err
    assert server.backend == "mysql" or left(server) == kept
    ok(dropped, "purge", "--allow-data-loss")
    assert not any("dropped" in "".join(row) for row in left(server))


def test_purge_is_refused_in_the_middle_of_a_migration(dropped: Project, server: Server) -> None:
    kept = left(server)
    quote = "`" if server.backend == "mysql" else '"'
    table = f"dev_life.{quote}~migration{quote}"
    server.execute(f"UPDATE {table} SET status = 'running' WHERE id = 2")
    refused = dropped.run("purge", "--allow-data-loss")
    assert refused.code == 6 and "in the middle of a change" in refused.err, refused.err
    assert left(server) == kept
