"""`purge` and `restore` among others: they wait as `migrate` does, and killed at any statement and run again they end
as undisturbed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from conftest import Project, Result, Server
from living import hurried, is_sentence, living, ok, states

from datajoint_pipeline.internals.job_tables import COLUMNS

#: A command, killed before or after one of the statements that begin with these words.
KILLED = """
import os, signal
import datajoint as dj
from datajoint_pipeline.cli import run; from my_pipeline import pipeline

seen, query = 0, dj.Connection.query
def counting(self, text, *arguments, **options):
    global seen
    counts = text.startswith({words})
    seen += counts
    if counts and (seen, "before") == {when}:
        os.kill(os.getpid(), signal.SIGKILL)
    answer = query(self, text, *arguments, **options)
    if counts and (seen, "after") == {when}:
        os.kill(os.getpid(), signal.SIGKILL)
    return answer
dj.Connection.query = counting
try:
    run(pipeline, {command})
finally:
    print(seen)
"""


#: `restore`, where the second table is held on MySQL, which makes the first one's column at once.
HELD = """
import datajoint as dj, pymysql
from datajoint_pipeline.executor import stepping
from datajoint_pipeline.cli import run; from my_pipeline import pipeline

stepping.PATIENCE, tried, query = 6, 0, dj.Connection.query
def held(self, text, *arguments, **options):
    global tried
    if text.startswith("ALTER TABLE `dev_work`") and "ADD" in text:
        tried += 1
        raise pymysql.err.OperationalError(1205, "Lock wait timeout exceeded; try restarting transaction")
    return query(self, text, *arguments, **options)
dj.Connection.query = held
try:
    run(pipeline, ["restore", {path}])
finally:
    print(tried > 1)
"""


def killed(own: Project, words: tuple[str, ...], when: tuple[int, str], *command: str) -> Result:
    program = KILLED.replace("{when}", repr(when)).replace("{words}", repr(words))
    return own.python("-c", program.replace("{command}", repr(list(command))))


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
            done = killed(
                dropped, ("ALTER TABLE", "DROP TABLE"), (number, when), "purge", "--allow-data-loss", "--no-backup"
            )
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


@pytest.mark.parametrize("server", ["mysql"], indirect=True)
def test_purge_deletes_an_empty_table_of_jobs_that_a_run_left_behind(dropped: Project, server: Server) -> None:
    """And none that has jobs, whose table is there, or that is only called so; nor while a run is interrupted."""
    columns = "a int PRIMARY KEY, " + ", ".join(f"`{name}` varchar(9)" for name in COLUMNS)
    server.execute(
        *(f"CREATE TABLE dev_work.`{name}` ({columns})" for name in ("~~task", "~~score_away", "~~kept")),
        "INSERT INTO dev_work.`~~kept` (a) VALUES (1)",
        "CREATE TABLE dev_work.`~~notes` (a int)",
    )
    server.execute("UPDATE dev_life.`~migration` SET status = 'running' WHERE id = 2")
    assert "~~" not in dropped.run("purge", "work", "--dry-run").out
    server.execute("UPDATE dev_life.`~migration` SET status = 'done' WHERE id = 2")
    said = "work.~~score_away, left by a run that was cut off: 0 rows"
    assert f"{said} would be deleted" in ok(dropped, "purge", "--dry-run").out
    done = ok(dropped, "purge", "--allow-data-loss", "--no-backup")
    assert f"{said} deleted" in done.out and done.out.count("~~") == 1, done.out
    assert sorted(server.execute("SHOW TABLES FROM dev_work LIKE '~~%'")) == [("~~kept",), ("~~notes",), ("~~task",)]
    assert ok(dropped, "purge", "--json").json["purged"] == []


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


def test_purge_and_restore_stand_in_the_journal(dropped: Project, server: Server) -> None:
    """Who deleted what and who put it back; versions stay, and what somebody changed by hand is still seen."""

    def last(many: int) -> list[tuple[str, ...]]:
        runs = ok(dropped, "log", "--json").json["runs"][-many:]
        return sorted((r["schema"], r["kind"], r["options"], r["status"], r["version"]) for r in runs)

    version = {name: str(found) for name, (_, found) in states(dropped).items()}
    assert dropped.run("purge").code == 7 and len(ok(dropped, "log", "--json").json["runs"]) == 4
    ok(dropped, "purge", "life", "--allow-data-loss")
    assert last(1) == [("life", "purge", "--allow-data-loss", "done", version["life"])]
    server.execute("ALTER TABLE dev_work.task ADD COLUMN sneaked int")
    ok(dropped, "purge", "--allow-data-loss", "--no-backup", code=0)
    assert last(1) == [("work", "purge", "--allow-data-loss --no-backup", "done", version["work"])]
    assert states(dropped)["work"][0] == "drifted"
    (path,) = (dropped.folder / "backups").glob("*life*.zip")
    ok(dropped, "restore", str(path), "--dry-run")
    assert last(1)[0][1] == "purge"
    ok(dropped, "restore", str(path))
    assert last(1) == [("life", "restore", path.name, "done", version["life"])]
    assert states(dropped)["life"] == ("current", version["life"])
    told = " ".join(ok(dropped, "log").out.split())
    # What was applied before it is still known: an edit of its file is a conflict.
    path = "src/my_pipeline/migrations/life/2.0.0_drop.py"
    dropped.replace(path, "colour", "color")
    assert dropped.run("migrate", "life").code == 5
    assert "purge --allow-data-loss --no-backup" in told and "restore" in told


def test_purge_says_what_the_code_called_it_and_what_dropped_it(dropped: Project, server: Server) -> None:
    """Not the names on the server; the refusal says it, and so do the dry run, which changes nothing, and what was done."""
    kept = left(server)
    refused = dropped.run("purge")
    assert refused.code == 7 and "life.Animal.colour, dropped on 2" in refused.err, refused.err
    assert " by life 2.0.0 drop: " in refused.err and "_dropped_" not in refused.err
    shown = ok(dropped, "purge", "--dry-run").out
    assert "work.Score, dropped on " in shown and " by work 2.0.0 drop: 2 rows would be deleted" in shown, shown
    listed = ok(dropped, "purge", "--dry-run", "--json").json
    assert listed["dry_run"] and left(server) == kept
    names = [(one["name"], one["dropped_by"], one["dropped_at"][:2]) for one in listed["purged"]]
    assert names == [
        ("life.Animal.colour", "life 2.0.0 drop", "20"),
        ("work.Task.note", "work 2.0.0 drop", "20"),
        ("work.Score", "work 2.0.0 drop", "20"),
    ], names
    done = ok(dropped, "purge", "--allow-data-loss").out
    assert "work.Task.note, dropped on " in done and "dropped_" not in done, done
    for path in (dropped.folder / "backups").glob("*.zip"):
        again = ok(dropped, "restore", str(path)).out
        assert "work.Score: 2 of 2 rows put back, soft-deleted as before" in again, again
    # Releases before 0.3 recorded no steps: what they called it only its name now tells.
    quote = "`" if server.backend == "mysql" else '"'
    server.execute(f"DELETE FROM dev_life.{quote}~migration_step{quote}")
    assert "life.Animal.colour, dropped by a release before 0.3: " in ok(dropped, "purge", "life", "--dry-run").out


def test_purge_leaves_what_no_recorded_run_soft_deleted(dropped: Project, server: Server) -> None:
    """A name alone says nothing: somebody may have given it by hand. What a run made is known under a later name, too."""
    quote = "`" if server.backend == "mysql" else '"'
    dropped.replace(dropped.module("work"), "class Task(", "class Chore(")
    ok(dropped, "revise", "-m", "chores", "--rename-table", "work.Task=work.Chore")
    ok(dropped, "migrate")
    kept = left(server)
    assert ("dev_work", "chore", "_dropped_note") in kept
    server.execute(
        "ALTER TABLE dev_life.weight ADD COLUMN _dropped_note varchar(9)",
        f"CREATE TABLE dev_work.{quote}~dropped_mine{quote} (a int PRIMARY KEY)",
        "UPDATE dev_life.weight SET _dropped_note = 'mine'",
        f"INSERT INTO dev_work.{quote}~dropped_mine{quote} VALUES (1)",
    )
    mine = {("dev_life", "weight", "_dropped_note"), ("dev_work", "~dropped_mine", "a")}
    said = "Weight has a hidden attribute _dropped_note that no migration made: drop it by hand"
    dropped.replace(dropped.module("life"), "grams : float64", "mood = null : int32\n    grams : float64")
    ok(dropped, "revise", "-m", "mood")  # with the code a version ahead
    for command, code in (("status", 4), ("diff", 0), ("migrate", 4)):
        result = ok(dropped, command, code=code)
        shown = " ".join((result.out + result.err).split())
        assert said in shown and "_dropped_colour" not in shown and "as the code has it now" not in shown, shown
    done = ok(dropped, "purge", "--allow-data-loss", "--no-backup")
    assert {row for row in left(server) if "dropped" in "".join(row)} == mine
    assert "life.Weight _dropped_note" in done.err and "work.~dropped_mine" in done.err, done.err
    assert "mine" not in done.out
    assert ok(dropped, "purge", "--json").json["purged"] == []
    # Releases before 0.3 recorded no steps: of theirs, the name has to do.
    server.execute(f"DELETE FROM dev_life.{quote}~migration_step{quote}")
    ok(dropped, "purge", "--allow-data-loss", "--no-backup")
    assert {row for row in left(server) if "dropped" in "".join(row)} == {("dev_work", "~dropped_mine", "a")}


CHANGES = ("CREATE T", "ALTER", "INSERT", "UPDATE", "DELETE", "DROP", "COMMIT", "RESET", "SET ROLE")


def values(server: Server) -> tuple[Any, ...]:
    """What is soft-deleted, with its values."""
    quote = "`" if server.backend == "mysql" else '"'
    queries = (
        f"SELECT animal_id, {quote}_dropped_colour{quote} FROM dev_life.animal ORDER BY 1",
        f"SELECT animal_id, {quote}_dropped_note{quote} FROM dev_work.task ORDER BY 1",
        f"SELECT animal_id, score FROM dev_work.{quote}~dropped___score{quote} ORDER BY 1",
    )
    return tuple(tuple(server.execute(query)) for query in queries)


def test_restore_is_killed_at_any_statement_and_run_again(dropped: Project, server: Server) -> None:
    kept, had = left(server), values(server)
    ok(dropped, "purge", "--allow-data-loss")
    (path,) = (dropped.folder / "backups").glob("*.zip")
    purged = left(server)
    many = int(killed(dropped, CHANGES, (0, ""), "restore", str(path)).out.split()[-1])
    assert many > 8 and (left(server), values(server)) == (kept, had)
    # PostgreSQL undoes the whole of it, wherever that is.
    for number in range(1, many + 1, 1 if server.backend == "mysql" else 4):
        ok(dropped, "purge", "--allow-data-loss", "--no-backup")
        done = killed(dropped, CHANGES, (number, "before"), "restore", str(path))
        assert done.code == -9, (number, done)
        assert server.backend == "mysql" or left(server) == purged
        # Until it is run again, and after it, nothing seems to have been changed by hand.
        assert {state for state, _ in states(dropped).values()} == {"current"}, number
        ok(dropped, "restore", str(path))
        assert (left(server), values(server)) == (kept, had), number
        assert {state for state, _ in states(dropped).values()} == {"current"}, number
    server.execute("ALTER TABLE dev_life.animal ADD COLUMN sneaked int")
    assert states(dropped)["life"][0] == "drifted"


@pytest.mark.parametrize("server", ["mysql"], indirect=True)  # PostgreSQL undoes all of it
def test_a_rollback_after_a_restore_that_was_killed_brings_back_no_nulls(dropped: Project, server: Server) -> None:
    ok(dropped, "purge", "--allow-data-loss")
    (path,) = (dropped.folder / "backups").glob("*.zip")
    assert killed(dropped, ("CREATE TEMPORARY",), (1, "before"), "restore", str(path)).code == -9
    assert all(value is None for rows in values(server)[:2] for _, value in rows), "it was killed too late"
    refused = dropped.run("rollback", "work", "--to", "1.0.0")
    is_sentence(refused)
    assert refused.code == 6 and f"restore {path.name}, which ends it" in refused.err, refused.err
    ok(dropped, "purge", "--dry-run")
    ok(dropped, "restore", path.name)
    ok(dropped, "rollback", "work", "--to", "1.0.0")
    assert ("well",) in server.execute("SELECT note FROM dev_work.task")
    assert f"restore {path.name}" in ok(dropped, "log").out.replace("\n", "")


def test_restore_waits_as_migrate_does_and_names_who_holds_a_table(dropped: Project, server: Server) -> None:
    kept, had = left(server), values(server)
    ok(dropped, "purge", "--allow-data-loss")
    (path,) = (dropped.folder / "backups").glob("*.zip")
    purged = left(server)
    quote = "`" if server.backend == "mysql" else '"'
    with closing(server.connect(autocommit=False)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT COUNT(*) FROM dev_life.animal")
        refused = hurried(dropped, 5, "restore", str(path))
        connection.rollback()
    is_sentence(refused)
    assert "animal is held by " in refused.err and "session " in refused.err, refused.err
    if server.backend == "mysql":  # what was made for one table goes again where another is held
        refused = dropped.python("-c", HELD.replace("{path}", repr(str(path))))
        is_sentence(refused)
        assert refused.out == "True\n", "it is tried again"
    assert left(server) == purged and {state for state, _ in states(dropped).values()} == {"current"}
    for name in ("dev_life", "dev_work"):
        last = f"SELECT fingerprint FROM {name}.{quote}~migration{quote} WHERE status = 'done' ORDER BY id DESC LIMIT 1"
        assert server.execute(last) != [(None,)], "what somebody changes is still seen"
    ok(dropped, "restore", str(path))
    assert (left(server), values(server)) == (kept, had)
    # Nor does it wait without end for whoever changes a row.
    with closing(server.connect(autocommit=False)) as connection, connection.cursor() as cursor:
        cursor.execute(f"UPDATE dev_life.animal SET {quote}_dropped_colour{quote} = NULL")
        connection.commit()
        cursor.execute("UPDATE dev_life.animal SET name = 'X' WHERE animal_id = 1")
        refused = hurried(dropped, 5, "restore", str(path))
        connection.rollback()
    is_sentence(refused)
    assert "animal is held by " in refused.err, refused.err
    ok(dropped, "restore", str(path))
    assert (left(server), values(server)) == (kept, had)
