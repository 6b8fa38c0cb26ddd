"""`promote` in scripted situations: each ends promoted, or refused with the right sentence and an untouched prod."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from accounts import made
from conftest import Project, Result, Server, git
from filelock import FileLock
from living import in_words, lay, ok
from resets import Reset, described, tables

from datajoint_pipeline.embedded import server as embedded

DEV, PROD = ("dev_life", "dev_work"), ("life", "work")

FILL = """
from my_pipeline import life, work
life.Animal.insert([(n, f"animal {n}", "grey") for n in range(1, 8)])
life.Weight.insert([(n, f"2026-01-{day:02}", 20.5) for n in range(1, 8) for day in (1, 2)])
work.Task.insert([(n, "run", "well" if n % 2 else None) for n in range(1, 8)])
work.Score.populate()
"""

#: A statement of the lab's own that fails where there is an animal called Zoe, which no check of rows can know.
OWN = "UPDATE {life}.weight SET grams = grams / (SELECT MIN(%s) FROM {life}.animal)"


#: Takes the lock of a pipeline on PostgreSQL.
TAKE = "SELECT pg_advisory_lock(hashtextextended(%s, 0))"

#: A table of words, which no row refers to.
KIND = '''

@schema
class Kind(dj.Lookup):
    definition = """
    kind : varchar(16)
    ---
    words = "" : varchar(64)
    """
'''


@dataclass
class World:
    """A project whose dev has had two migrations of life and one of work, and prod none of them."""

    server: Server
    own: Project
    reset: Reset

    def execute(self, *statements: str) -> list[tuple[Any, ...]]:
        rows: list[tuple[Any, ...]] = []
        with closing(self.server.connect(dbname=self.reset.catalogue)) as connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
                rows = list(cursor.fetchall()) if cursor.description else []
        return rows

    def quote(self, name: str) -> str:
        return f"`{name}`" if self.server.backend == "mysql" else f'"{name}"'

    def dump(self, *databases: str) -> Any:
        """Every table of some databases, as the server describes it, and its rows."""
        with closing(self.server.connect(dbname=self.reset.catalogue)) as connection, connection.cursor() as cursor:
            return {
                (database, table): described(self.server, cursor, database, table)
                for database in databases
                for table in tables(cursor, database)
            }

    def shapes(self, *databases: str) -> Any:
        """What :meth:`dump` gives, without the journals and their times."""
        return {place: found for place, found in self.dump(*databases).items() if not place[1].startswith("~")}

    def schemas(self) -> set[str]:
        return {name for (name,) in self.execute("SELECT schema_name FROM information_schema.schemata")}

    def promote(self, *arguments: str, **more: Any) -> Result:
        return self.own.run("promote", "--from", "dev", "--to", "prod", "--yes", *arguments, **more)

    def commit(self) -> None:
        git(self.own.folder, "add", "--all")
        git(self.own.folder, "commit", "--quiet", "--message=More")


def make(server: Server, own: Project, name: str) -> World:
    lay(own)
    own.write(own.module("life"), own.read(own.module("life")) + KIND)
    reset = Reset(server, name, databases=(*DEV, *PROD))
    world = World(server, own, reset)
    reset.empty()
    own.environment |= {**server.variables, **reset.variables, "MY_PIPELINE_ENV": "dev", "DJ_LOG_LEVEL": "ERROR"}
    for environment in ("dev", "prod"):
        ok(own, "--env", environment, "init")
        done = own.python("-c", FILL, MY_PIPELINE_ENV=environment)
        assert done.code == 0, done.err
    git(own.folder, "init", "--quiet", "--initial-branch=main")
    world.commit()
    weight, animal, note = "grams : float64  # on that day", "name : varchar(32)", "note = null : varchar(64)"
    own.replace(own.module("life"), weight, weight + '\n    scale = "old" : varchar(8)')
    ok(own, "revise", "life", "-m", "add scale")
    own.replace(own.module("life"), animal, "alive = 1 : bool\n    " + animal)
    ok(own, "revise", "life", "-m", "add alive")
    (path,) = (own.folder / "src/my_pipeline/migrations/life").glob("1.2.0_*.py")
    text = path.read_text().replace("import ", "import RunSQL, ", 1).rstrip().removesuffix("]")
    mysql, postgresql = OWN % "name <> 'Zoe'", OWN % "(name <> 'Zoe')::int"
    path.write_text(f'{text}    RunSQL("weigh again", mysql="{mysql}", postgresql="{postgresql}"),\n]\n')
    own.replace(own.module("work"), note, note.replace("64", "16"))
    ok(own, "revise", "work", "-m", "shorten note")
    ok(own, "migrate")
    world.commit()
    reset.keep()
    return world


@pytest.fixture(scope="module")
def worlds(
    tmp_path_factory: pytest.TempPathFactory, render: Callable[..., Path], request: pytest.FixtureRequest
) -> Iterator[Callable[[Server], World]]:
    made: dict[str, World] = {}

    def world(server: Server) -> World:
        if server.backend not in made:
            own = Project(render(tmp_path_factory.mktemp(server.backend) / "my_pipeline"))
            made[server.backend] = make(server, own, f"promoted_{server.backend}")
        return made[server.backend]

    yield world
    for found in made.values():
        found.reset.gone()
        found.own.run("local", "stop")


@pytest.fixture
def world(server: Server, worlds: Callable[[Server], World]) -> Iterator[World]:
    """The world as it was made, and the project's files and commits as they were at the end."""
    found = worlds(server)
    found.reset.reset()
    commit = git(found.own.folder, "rev-parse", "HEAD").strip()
    yield found
    git(found.own.folder, "reset", "--quiet", "--hard", commit)
    git(found.own.folder, "clean", "--quiet", "-fd", "src")


def interrupt(world: World, database: str) -> None:
    journal = f"{world.quote(database)}.{world.quote('~migration')}"
    (last,) = world.execute(f"SELECT MAX(id) FROM {journal}")
    world.execute(f"UPDATE {journal} SET status = 'running' WHERE id = {last[0]}")


def drift(world: World, database: str) -> None:
    world.execute(f"ALTER TABLE {database}.animal ADD COLUMN extra int")


def dev_behind(world: World) -> None:
    ok(world.own, "rollback", "work", "--to", "1.0.0", code=0)


def dev_draft(world: World) -> None:
    world.own.replace(world.own.module("work"), "score : int32", "score : int32\n    more = 0 : int32")
    world.commit()
    ok(world.own, "migrate", "--draft")


def dev_made_anew(world: World) -> None:
    for database in reversed(DEV):
        kind = "DATABASE" if world.server.backend == "mysql" else "SCHEMA"
        world.execute(f"DROP {kind} {database}" + (" CASCADE" if kind == "SCHEMA" else ""))
    ok(world.own, "init")


def edited(world: World) -> None:
    (path,) = (world.own.folder / "src/my_pipeline/migrations/life").glob("1.1.0_*.py")
    path.write_text(path.read_text().replace("old", "new"))
    world.commit()


def module_changed(world: World) -> None:
    path = world.own.folder / world.own.module("life")
    path.write_text(path.read_text() + "\n# more\n")


def not_revised(world: World) -> None:
    world.own.replace(world.own.module("work"), "score : int32", "score : int32\n    more = 0 : int32")
    world.commit()


def migration_untracked(world: World) -> None:
    world.own.write("src/my_pipeline/migrations/life/1.3.0_more.py", '"""More."""\n')


def no_repository(world: World) -> None:
    (world.own.folder / ".git").rename(world.own.folder / "away")


def prod_ahead(world: World) -> None:
    world.execute(f"UPDATE {world.quote('life')}.{world.quote('~migration')} SET version = '9.0.0'")


def prod_unrecorded(world: World) -> None:
    for table in ("~migration", "~migration_step"):
        world.execute(f"DROP TABLE life.{world.quote(table)}")


def long_note(world: World) -> None:
    world.execute("UPDATE work.task SET note = 'longer than sixteen letters' WHERE animal_id = 3")


def zoe(world: World) -> None:
    world.execute("UPDATE life.animal SET name = 'Zoe' WHERE animal_id = 3")


#: What goes wrong, the exit code, and what the three sentences say.
REFUSED: dict[str, tuple[Callable[[World], None], int, tuple[str, ...]]] = {
    "dev behind": (dev_behind, 3, ("dev has work 1.0.0, and the code has", "--env dev migrate")),
    "dev drifted": (lambda w: drift(w, "dev_life"), 4, ("life on dev is not as its migrations left it", "extra")),
    "dev is a draft": (dev_draft, 3, ("work is a draft on dev", "revise work")),
    "dev interrupted": (
        lambda w: interrupt(w, "dev_life"),
        6,
        ("dev is in the middle of a change", "--env dev migrate"),
    ),
    "dev never tried it": (dev_made_anew, 1, ("was never tried on dev", "rollback life --to 1.0.0")),
    "migration edited since": (edited, 5, ("dev has life", "was edited after it was applied")),
    "module not committed": (module_changed, 1, ("The code is not committed", "src/my_pipeline/life.py")),
    "migration not committed": (migration_untracked, 1, ("The code is not committed", "1.3.0_more.py")),
    "change not revised": (not_revised, 3, ("The code of work has changes that no migration has", "revise work")),
    "prod ahead": (prod_ahead, 5, ("prod has life 9.0.0, and the code has", "Pull the newer code")),
    "prod drifted": (lambda w: drift(w, "life"), 4, ("life on prod is not as its migrations left it", "extra")),
    "prod interrupted": (lambda w: interrupt(w, "life"), 6, ("prod is in the middle of a change", "did not begin it")),
    "prod without record": (prod_unrecorded, 3, ("no record of a version", "--env prod adopt")),
    "values would be lost": (long_note, 7, ("longer than 16 characters", "allow-data-loss")),
    "rehearsal fails": (zoe, 1, ("The rehearsal failed", "(?i)division by (0|zero)")),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_and_prod_is_untouched(world: World, case: str) -> None:
    twist, code, words = REFUSED[case]
    twist(world)
    before, schemas = world.dump(*PROD), world.schemas()
    found = world.promote()
    assert found.code == code, found.out + found.err
    assert in_words(found.err), found.err
    for text in words:
        assert re.search(text, found.err), found.err
    assert world.dump(*PROD) == before and world.schemas() == schemas


def test_refused_without_a_repository_without_yes_and_to_itself(world: World) -> None:
    before = world.dump(*PROD)
    given = ("promote", "--to", "prod", "--no-rehearsal", "no time", "--allow-data-loss")
    told = " ".join(world.own.run(*given, stdin="").err.split())
    assert "has to be confirmed" in told
    assert "promote --from dev --to prod --no-rehearsal 'no time' --allow-data-loss --yes." in told, told
    nowhere = world.own.run("promote", "--to", "nowhere", stdin="")
    assert "There is no environment 'nowhere'" in nowhere.err
    others = world.promote(GIT_TEST_ASSUME_DIFFERENT_OWNER="1")  # as where a colleague has cloned it
    assert others.code == 1 and in_words(others.err) and "It says: detected dubious ownership" in others.err, others.err
    itself = world.own.run("promote", "--from", "prod", "--to", "prod", "--yes")
    assert "cannot be promoted to itself" in itself.err
    # What git is told to ignore is not committed either, however clean it calls the folder.
    ignoring = world.own.folder / ".git/info/exclude"
    ignoring.write_text("migrations/\n")
    git(world.own.folder, "rm", "-r", "--quiet", "--cached", "src/my_pipeline/migrations/work")
    git(world.own.folder, "commit", "--quiet", "--message=Ignore")
    ignored = world.promote()
    ignoring.write_text("")
    assert ignored.code == 1 and in_words(ignored.err) and "git is told to ignore migrations/work/" in ignored.err
    no_repository(world)
    try:
        assert "no git repository" in world.promote().err
    finally:
        (world.own.folder / "away").rename(world.own.folder / ".git")
    assert world.dump(*PROD) == before


def undisturbed(world: World) -> Any:
    """The shapes and rows of prod as `migrate` leaves them."""
    ok(world.own, "--env", "prod", "migrate")
    found = world.shapes(*PROD)
    world.reset.reset()
    return found


def test_promoted_as_migrate_would_and_the_record_says_where_it_was_proved(world: World) -> None:
    expected = undisturbed(world)
    before = world.dump(*PROD)
    shown = world.promote("--dry-run", "--json")
    assert shown.code == 3, shown.err
    assert world.dump(*PROD) == before
    assert [p["migration"] for p in shown.json["proved"]] == [
        *("life 1.1.0 add_scale", "life 1.2.0 add_alive", "work 1.1.0 shorten_note"),
    ]
    rehearsed = shown.json["rehearsal"]
    assert rehearsed["rows"] == 7 + 14 + 7 + 7 and rehearsed["tables"] == 4 and rehearsed["predicted"] > 0
    schemas = world.schemas()
    done = world.promote("--json")
    assert done.code == 0, done.err
    assert done.json["plan"] == shown.json["plan"]
    assert [s["statements"] for s in done.json["groups"]] == [s["statements"] for s in shown.json["groups"]]
    assert {s["state"] for s in done.json["schemas"]} == {"current"}
    assert world.shapes(*PROD) == expected and world.schemas() == schemas
    log = ok(world.own, "--env", "prod", "log", "--json").json["runs"]
    said = f"(proved on dev, plan {done.json['plan'][:12]}, rehearsed)"
    assert [run["options"] for run in log if run["kind"] == "migrate"] == [said] * 3
    # What ran is, statement by statement, what was shown.
    steps = world.quote("~migration_step")
    ran = [
        text
        for database in PROD
        for (text,) in world.execute(f"SELECT statement FROM {database}.{steps} WHERE number > 0 ORDER BY run, number")
    ]
    listed = [step for group in shown.json["groups"] for step in group["statements"]]
    assert len(ran) == len(listed)
    for text, step in zip(ran, listed, strict=True):
        assert step["sql"] in text or step["sql"] in json.dumps(json.loads(text)["run"], ensure_ascii=False).replace(
            '\\"', '"'
        ), (text, step)
    # Again, there is nothing to do.
    again = world.promote()
    assert again.code == 0 and "prod has all that dev has" in again.out


def test_promoted_where_prod_has_had_a_part_of_it(world: World) -> None:
    expected = undisturbed(world)
    ok(world.own, "--env", "prod", "migrate", "life", "--to", "1.1.0", code=3)
    done = world.promote("--json")
    assert done.code == 0, done.err
    assert [p["migration"] for p in done.json["proved"]] == ["life 1.2.0 add_alive", "work 1.1.0 shorten_note"]
    assert world.shapes(*PROD) == expected


def test_promoted_where_prod_has_had_a_hotfix_before_what_comes_first_by_number(world: World) -> None:
    own, files = world.own, "src/my_pipeline/migrations/work"
    score = "score : int32"
    # The hotfix begins where prod is, and goes there.
    git(own.folder, "switch", "--quiet", "--create", "hotfix", "HEAD~1")
    own.replace(own.module("work"), score, f"{score}\n    checked = 0 : bool")
    ok(own, "revise", "work", "-m", "add checked")
    world.commit()
    ok(own, "--env", "prod", "migrate")
    name, text = "1.1.0_add_checked.py", own.read(f"{files}/1.1.0_add_checked.py")
    git(own.folder, "switch", "--quiet", "main")
    git(own.folder, "branch", "--quiet", "-D", "hotfix")
    # It is merged, behind what dev has had; dev gets it then.
    own.write(f"{files}/{name}", text)
    own.replace(own.module("work"), score, f"{score}\n    checked = 0 : bool")
    ok(own, "renumber", "work")
    world.commit()
    ok(own, "migrate")
    done = world.promote("--json")
    assert done.code == 0, done.out + done.err
    assert [p["migration"] for p in done.json["proved"]] == [
        *("life 1.1.0 add_scale", "life 1.2.0 add_alive", "work 1.1.0 shorten_note"),
    ]
    assert {s["state"] for s in done.json["schemas"]} == {"current"} and done.json["rehearsal"]["rows"] > 0
    assert {s["database_version"] for s in done.json["schemas"]} == {"1.2.0"}


def test_promoted_to_a_prod_that_is_empty(world: World) -> None:
    kind = "DATABASE" if world.server.backend == "mysql" else "SCHEMA"
    for database in reversed(PROD):
        world.execute(f"DROP {kind} {database}" + (" CASCADE" if kind == "SCHEMA" else ""))
    done = world.promote()
    assert done.code == 0, done.out + done.err
    assert {place[1] for place in world.shapes(*PROD)} == {"#kind", "animal", "weight", "task", "__score"}


def test_what_hangs_on_the_tables_and_is_not_rehearsed_is_named(world: World) -> None:
    assert world.promote("--dry-run", "--json").json["rehearsal"]["absent"] == []
    # Soft-deleted attributes are in the tables that are rehearsed, and so are their values.
    ok(world.own, "--env", "prod", "migrate", "life", "--to", "1.1.0", code=3)
    ok(world.own, "--env", "prod", "rollback", "life", "--to", "1.0.0")
    gone = world.quote("~dropped_weighing")
    world.execute(
        "CREATE VIEW life.grey AS SELECT animal_id FROM life.weight",
        f"CREATE TABLE life.{gone} (animal_id int, day date, FOREIGN KEY (animal_id, day) "
        "REFERENCES life.weight (animal_id, day))",
    )
    if world.server.backend == "mysql":
        world.execute("CREATE TRIGGER life.watch BEFORE UPDATE ON life.weight FOR EACH ROW SET NEW.grams = OLD.grams")
    else:
        world.execute(
            "CREATE FUNCTION life.same() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
            "CREATE TRIGGER watch BEFORE UPDATE ON life.weight FOR EACH ROW EXECUTE FUNCTION life.same()",
        )
    there = ["table life.~dropped_weighing", "trigger watch on life.weight", "view life.grey"]
    shown = world.promote("--dry-run", "--json")
    assert shown.code == 3, shown.err
    assert shown.json["rehearsal"]["absent"] == there
    done = world.promote()
    assert done.code == 0, done.out + done.err
    assert f"Not there in the rehearsal: {', '.join(there)}." in done.out
    names = {name for (name,) in world.execute("SELECT table_name FROM information_schema.tables")}
    assert {"grey", "~dropped_weighing"} <= names


def test_without_a_rehearsal_the_record_keeps_the_reason_and_values_go_where_that_is_said(world: World) -> None:
    long_note(world)
    done = world.promote("--no-rehearsal", "the grant is on its way", "--allow-data-loss", "--json")
    assert done.code == 0, done.err
    assert done.json["rehearsal"] is None and len(done.json["backups"]) == 1
    (notes,) = world.execute("SELECT note FROM work.task WHERE animal_id = 3")
    assert notes == ("longer than sixt",)
    log = ok(world.own, "--env", "prod", "log", "--json").json["runs"]
    assert "not rehearsed: the grant is on its way" in log[-1]["options"]


def test_a_step_that_fails_on_prod_says_that_promote_goes_on(world: World) -> None:
    expected = undisturbed(world)
    world.execute("INSERT INTO life.animal (animal_id, name) VALUES (9, 'Zoe')")
    failed = world.promote("--no-rehearsal", "in a hurry")
    assert failed.code == (6 if world.server.backend == "mysql" else 1), failed.err
    assert in_words(failed.err) and re.search("then run .*pipeline promote again", failed.err), failed.err
    world.execute("DELETE FROM life.animal WHERE animal_id = 9")
    done = world.promote()
    assert done.code == 0, done.out + done.err
    assert world.shapes(*PROD) == expected


#: `promote`, killed before a statement that begins with some words.
KILLED = """
import os, signal
import datajoint as dj
from datajoint_pipeline.cli import run; from my_pipeline import pipeline

seen, query = 0, dj.Connection.query
def counting(self, text, *arguments, **options):
    global seen
    seen += text.startswith({words})
    if seen == {number} and text.startswith({words}):
        os.kill(os.getpid(), signal.SIGKILL)
    return query(self, text, *arguments, **options)
dj.Connection.query = counting
run(pipeline, ["promote", "--to", "prod", "--yes"])
"""


@pytest.mark.sampled
@pytest.mark.parametrize("number", [1, 3])
def test_killed_while_prod_changes_and_run_again_it_ends_as_undisturbed(world: World, number: int) -> None:
    expected = undisturbed(world)
    words = "ALTER TABLE `life`" if world.server.backend == "mysql" else 'ALTER TABLE "life"'
    world.own.python("-c", KILLED.format(words=repr(words), number=number))
    done = world.promote()
    assert done.code == 0, done.out + done.err
    assert world.shapes(*PROD) == expected


def test_killed_while_it_rehearses_and_run_again_nothing_is_left(world: World) -> None:
    expected, before, schemas = undisturbed(world), world.dump(*PROD), world.schemas()
    words = "ALTER TABLE `rehearsal_" if world.server.backend == "mysql" else "INSERT INTO"
    world.own.python("-c", KILLED.format(words=repr(words), number=2))
    assert world.dump(*PROD) == before
    if world.server.backend == "mysql":
        assert world.schemas() > schemas
    done = world.promote()
    assert done.code == 0, done.out + done.err
    assert world.shapes(*PROD) == expected and world.schemas() == schemas
    if world.server.backend == "postgresql":
        shown = world.own.run("--env", "local", "local", "start", "--json").json
        connection = psycopg2.connect(host=shown["host"], port=shown["port"], user=shown["user"], dbname="postgres")
        with closing(connection), connection.cursor() as cursor:
            cursor.execute("SELECT datname FROM pg_database")
            assert "rehearsal" not in {name for (name,) in cursor.fetchall()}


#: A rehearsal with other limits.
LIMITED = """
import sys
from datajoint_pipeline.cli import run
from datajoint_pipeline.promotion import rehearsal
from my_pipeline import pipeline
rehearsal.LARGE, rehearsal._PATIENCE = int(sys.argv[1]), 0.1
run(pipeline, sys.argv[2:])
"""


def test_one_rehearses_in_a_folder_at_a_time_and_large_rows_few(
    worlds: Callable[[Server], World], postgresql: Server
) -> None:
    world = worlds(postgresql)
    world.reset.reset()
    world.execute("ANALYZE")
    command = ("promote", "--to", "prod", "--dry-run", "--json")
    few = world.own.python("-c", LIMITED, "1", *command)
    more = world.own.python("-c", LIMITED, str(1 << 30), *command)
    numbers = [json.loads(one.out)["rehearsal"]["rows"] for one in (few, more)]
    assert 0 < numbers[0] < numbers[1] == 35, numbers
    before = world.dump(*PROD)
    # The server is stopped again where only the rehearsal needed it, and left to whoever began to use it.
    ok(world.own, "local", "stop")
    world.own.python("-c", LIMITED, "1", *command)
    assert not json.loads(ok(world.own, "local", "stop", "--json").out)["stopped"]
    ok(world.own, "local", "start")
    running = embedded.find(world.own.folder / ".local")
    assert running is not None and not embedded.busy(running)
    with closing(psycopg2.connect(host=running.host, port=running.port, user="postgres", dbname="template1")):
        assert embedded.busy(running)
    with FileLock(world.own.folder / ".local" / "rehearsal.lock"):
        refused = world.own.python("-c", LIMITED, "1", *command)
        assert refused.code == 1 and in_words(refused.err) and "Another rehearsal runs" in refused.err
    assert world.dump(*PROD) == before


def test_where_the_account_may_make_no_schema_a_mysql_is_started_for_it(
    worlds: Callable[[Server], World], mysql: Server
) -> None:
    world = worlds(mysql)
    world.reset.reset()
    with made(mysql) as make_account:
        account = make_account("lender")
        mysql.execute(*(f"GRANT ALL ON {database}.* TO {account.user}" for database in (*DEV, *PROD)))
        without = world.promote("--dry-run", **account.variables, PATH="/usr/bin:/bin")
        assert without.code == 1 and in_words(without.err) and "there is no mysqld on PATH" in without.err
        # A process that was killed leaves its server, which the next one ends.
        killed = KILLED.format(words=repr("ALTER TABLE `life`"), number=1).replace('"--yes"', '"--dry-run"')
        world.own.python("-c", killed, **account.variables)
        left = world.own.folder / ".local/rehearsal-mysql"
        pid = int((left / "pid").read_text())
        assert Path(f"/proc/{pid}").exists()
        done = world.promote("--dry-run", **account.variables)
        assert done.code == 3, done.err
        assert "Rehearsed on a MySQL of its own with 35 rows of prod in 4 tables" in done.out
        assert not Path(f"/proc/{pid}").exists() and not left.exists()


#: Lines of a migration that name a table of prod themselves, and what has to be imported for them.
NAMING = {
    "RunSQL": 'RunSQL("double", mysql="UPDATE life.weight SET grams = 2 * grams", postgresql="")',
    "RunPython": 'RunPython("double", lambda c, d: True, lambda c, d: bool(c.query("DELETE FROM `life`.`weight`")))',
}


@pytest.mark.parametrize("kind", NAMING)
def test_a_statement_that_names_a_real_table_is_not_rehearsed_beside_it(
    worlds: Callable[[Server], World], mysql: Server, kind: str
) -> None:
    world = worlds(mysql)
    world.reset.reset()
    own, commit = world.own, git(world.own.folder, "rev-parse", "HEAD").strip()
    try:
        own.replace(own.module("life"), "colour =", "tail = 1 : bool\n    colour =")
        ok(own, "revise", "life", "-m", "add tail")
        (path,) = (own.folder / "src/my_pipeline/migrations/life").glob("1.3.0_*.py")
        text = path.read_text().replace("import ", f"import {kind}, ", 1).rstrip().removesuffix("]")
        path.write_text(f"{text}    {NAMING[kind]},\n]\n")
        ok(own, "migrate")
        world.commit()
        before = world.dump(*PROD)
        found = world.promote(PATH="/usr/bin:/bin")
        assert found.code == 1 and in_words(found.err) and f"a {kind} names life.weight itself" in found.err
        assert world.dump(*PROD) == before
    finally:
        git(own.folder, "reset", "--quiet", "--hard", commit)


# --- Rows ------------------------------------------------------------------------------------------------------------


def test_rows_are_copied_with_what_they_refer_to_and_overwrite_nothing(world: World) -> None:
    kind = world.quote("#kind")
    world.execute(
        "INSERT INTO dev_life.animal (animal_id, name) VALUES (20, 'new'), (21, 'other')",
        "INSERT INTO dev_work.task (animal_id, task, note) VALUES (20, 'run', 'well'), (21, 'swim', NULL)",
        f"INSERT INTO dev_life.{kind} (kind, words) VALUES ('mouse', 'small'), ('rat', 'larger')",
        f"INSERT INTO life.{kind} (kind, words) VALUES ('rat', 'larger')",
    )
    tables = ("--rows", "work.Task,life.Kind")
    before = world.dump(*PROD)
    refused = world.promote(*tables)
    assert refused.code == 1 and "is not the same table on both sides" in refused.err and world.dump(*PROD) == before
    ok(world.own, "--env", "prod", "migrate")
    before = world.dump(*PROD)
    shown = world.promote(*tables, "--key", "animal_id=20", "--dry-run", "--json")
    assert shown.code == 0, shown.err
    assert world.dump(*PROD) == before
    done = world.promote(*tables, "--key", "animal_id=20", "--json")
    assert done.code == 0, done.err
    assert done.json["tables"] == shown.json["tables"]
    assert {(t["table"], t["named"], t["inserted"], t["same"]) for t in done.json["tables"]} == {
        *(("life.Animal", False, 1, 0), ("life.Kind", True, 1, 1), ("work.Task", True, 1, 0))
    }
    assert world.execute("SELECT animal_id, task FROM work.task WHERE animal_id > 7") == [(20, "run")]
    # All of the tables: what is there stays, what is not comes.
    world.execute("UPDATE dev_life.animal SET name = 'renamed' WHERE animal_id = 3")
    before = world.dump(*PROD)
    conflict = world.promote(*tables)
    assert conflict.code == 7, conflict.out + conflict.err
    line = "Conflict: life.Animal (animal_id=3): name is renamed on dev, animal 3 on prod"
    assert line in conflict.out and "Nothing was copied" in conflict.out
    assert world.dump(*PROD) == before
    again = world.promote("--rows", "life.Kind")
    assert again.code == 0 and "There was nothing to copy" in again.out
    computed = world.promote("--rows", "work.Score")
    assert computed.code == 1 and "work.Score is Computed" in computed.err
    assert world.promote("--rows", "life.Kind, ", "--dry-run").code == 0
    assert "takes names of tables" in world.promote("--rows", " , ").err
    unknown = world.promote("--rows", "life.Nothing")
    assert unknown.code == 2 and "There is no table life.Nothing" in unknown.err
    assert world.dump(*PROD) == before


def test_rules_in_place_of_rows_that_are_copied(worlds: Callable[[Server], World], postgresql: Server) -> None:
    world = worlds(postgresql)
    world.reset.reset()
    ok(world.own, "--env", "prod", "migrate")
    world.execute(
        "INSERT INTO dev_life.\"#kind\" (kind) VALUES ('mouse')",
        'CREATE RULE quiet AS ON INSERT TO life."#kind" DO INSTEAD NOTHING',
    )
    try:
        for arguments in (("--dry-run",), ()):
            refused = world.promote("--rows", "life.Kind", *arguments)
            assert refused.code == 1 and "it has rules that replace them (quiet)" in refused.err, refused.err
    finally:
        world.execute('DROP RULE quiet ON life."#kind"')
    assert world.promote("--rows", "life.Kind").code == 0


def test_a_session_that_the_server_ends_while_rows_are_copied_is_no_fault_of_the_rows(world: World) -> None:
    ok(world.own, "--env", "prod", "migrate")
    kind, mysql = world.quote("#kind"), world.server.backend == "mysql"
    ends = "FOR EACH ROW KILL CONNECTION_ID()" if mysql else "EXECUTE FUNCTION life.ends()"
    world.execute(
        f"INSERT INTO dev_life.{kind} (kind) VALUES ('mouse')",
        *[
            "CREATE FUNCTION life.ends() RETURNS trigger LANGUAGE plpgsql AS "
            "$$BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NEW; END$$"
        ][mysql:],
        f"CREATE TRIGGER {'life.' * mysql}ends BEFORE INSERT ON life.{kind} {ends}",
    )
    try:
        refused = world.promote("--rows", "life.Kind")
        assert refused.code == 1 and in_words(refused.err), refused.err
        do = "Find out who stopped it" if mysql else "See that the server runs"
        assert do in refused.err and "Correct the rows" not in refused.err, refused.err
    finally:
        world.execute("DROP TRIGGER life.ends" if mysql else "DROP FUNCTION life.ends CASCADE")
    assert world.promote("--rows", "life.Kind").code == 0


def test_rows_whose_values_mean_another_thing_are_refused(world: World) -> None:
    """A migration computed them anew on one side, and all columns are the same on both."""
    ok(world.own, "--env", "prod", "migrate")
    text = world.own.read(world.own.module("life"))
    world.own.write(
        world.own.module("life"), text.replace("grams : float64  # on that day", "grams : float64  # in kg")
    )
    ok(world.own, "revise", "life", "-m", "kilograms")
    (path,) = (world.own.folder / "src/my_pipeline/migrations/life").glob("*_kilograms.py")
    thousandth = 'RebuildTable("Weight", {"grams": Sql(mysql="grams / 1000", postgresql="grams / 1000")})'
    text = path.read_text().replace("import ", "import RebuildTable, Sql, ", 1).rstrip().removesuffix("]")
    path.write_text(f"{text}    {thousandth},\n]\n")
    ok(world.own, "migrate")
    world.execute("INSERT INTO dev_life.weight (animal_id, day, grams) VALUES (1, '2026-03-03', 0.02)")
    before = world.dump(*PROD)
    refused = world.promote("--rows", "life.Weight")
    assert refused.code == 1 and in_words(refused.err), refused.err
    assert "life.Weight do not mean the same on both sides" in refused.err
    assert "_kilograms changed them in dev; it did not run on prod" in refused.err.replace(" kilograms", "_kilograms")
    assert world.dump(*PROD) == before
    assert world.promote("--rows", "work.Task").code == 0  # which it does not touch
    ok(world.own, "--env", "prod", "migrate")
    done = world.promote("--rows", "life.Weight", "--key", "day=2026-03-03", "--json")
    assert done.code == 0 and done.json["inserted"] == 1, done.err


@pytest.mark.parametrize("side", ["dev", "prod"])
def test_rows_wait_for_a_change_of_either_side(world: World, side: str) -> None:
    ok(world.own, "--env", "prod", "migrate")
    name = f"pipeline:{'dev_' * (side == 'dev')}my_pipeline"
    other = world.server.connect(dbname=world.reset.catalogue)
    other.cursor().execute("SELECT GET_LOCK(%s, 0)" if world.server.backend == "mysql" else TAKE, (name,))
    timer = threading.Timer(3, other.close)  # which lets go
    timer.start()
    began = time.monotonic()
    done = world.promote("--rows", "life.Kind")
    timer.join()
    assert done.code == 0 and time.monotonic() - began > 2, done.err
    assert "Somebody else is changing this pipeline's database" in done.err


# --- Other sites -----------------------------------------------------------------------------------------------------


@pytest.fixture
def site(worlds: Callable[[Server], World], mysql: Server, postgresql: Server) -> Iterator[World]:
    """A world on MySQL, and ``munich`` on PostgreSQL, with an account of its own."""
    found = worlds(mysql)
    found.reset.reset()
    own = found.own
    own.write(
        "environments.toml",
        f'[munich]\nhost = "{postgresql.host}"\nport = {postgresql.port}\nbackend = "postgresql"\n'
        'name = "postgres"\nprefix = "munich_"\n',
    )
    for name, value in (("user", postgresql.user), ("password", postgresql.password)):
        own.write(f".secrets/munich/database.{name}", f"{value}\n")
    names = ("munich_work", "munich_life")
    postgresql.drop(*names)
    yield found
    postgresql.drop(*names)
    (own.folder / "environments.toml").unlink()


def test_another_site_is_told_of_promoted_to_and_guarded_as_prod(site: World) -> None:
    own = site.own
    found = own.run("status", "--all", "--json")
    assert found.code == 3, found.err
    states = {e["environment"]: (e["backend"], {s["state"] for s in e["schemas"]}) for e in found.json["environments"]}
    assert states == {
        "dev": ("mysql", {"current"}),
        "prod": ("mysql", {"behind"}),
        "munich": ("postgresql", {"absent"}),
    }
    done = own.run("promote", "--from", "dev", "--to", "munich", "--yes", "--json")
    assert done.code == 0, done.err
    assert {s["database"] for s in done.json["schemas"]} == {"munich_life", "munich_work"}
    assert {s["state"] for s in done.json["schemas"]} == {"current"}
    # The site proves nothing that it was only made with.
    before = site.dump(*PROD)
    unproved = own.run("promote", "--from", "munich", "--to", "prod", "--yes")
    assert unproved.code == 1 and "was never tried on munich" in unproved.err and site.dump(*PROD) == before
    unsaid = own.run("migrate", MY_PIPELINE_ENV="munich")
    assert "this command does not say --env munich" in unsaid.err
    assert "munich knows no drafts" in own.run("--env", "munich", "migrate", "--draft").err
    # A lookup goes there too, from a server of another kind.
    site.execute(f"INSERT INTO dev_life.{site.quote('#kind')} (kind, words) VALUES ('mouse', 'small')")
    rows = own.run("promote", "--rows", "life.Kind", "--to", "munich", "--yes", "--json")
    assert rows.code == 0 and rows.json["inserted"] == 1, rows.err
    assert "There was nothing to copy" in own.run("promote", "--rows", "life.Kind", "--to", "munich", "--yes").out


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[prod]\nhost = 'a'\n", "'prod' cannot name an environment"),
        ("[munich]\nhots = 'a'\n", "[munich] sets hots, which does not exist"),
        ("[munich]\nport = '3306'\n", "[munich] gives port the value '3306'"),
        ("[munich]\nport = 3306\n", "[munich] does not say where it is"),
        ("host = 'a'\n", "host stands outside of any environment"),
        ("[munich\n", "It is not TOML"),
    ],
)
def test_a_mistake_in_the_file_is_named(project: Project, text: str, words: str) -> None:
    project.write("environments.toml", text)
    found = project.run("--env", "munich", "status")
    assert found.code == 1 and in_words(found.err) and f"environments.toml: {words}" in found.err
