"""What workers with the code of before write while a migration runs is refused, or gets what other rows get."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import replace
from threading import Thread

import pytest
from conftest import Project, Result, Server
from datajoint.blob import pack
from living import living as alive
from living import ok, rows
from proxy import Proxy
from test_limits import living as living

LIFE = "src/my_pipeline/migrations/life/"


assert living  # a fixture


class Writer:
    """Writes a row before each statement that changes a table; who is kept from it tries no longer than a second."""

    def __init__(self, server: Server, statement: str, before: str) -> None:
        self.server, self.statement, self.before = server, statement, before
        self.written: list[int] = []
        self.tried = 0

    def __call__(self, text: str) -> None:
        if not text.lstrip().upper().startswith(("UPDATE", "ALTER", "LOCK")) or self.before not in text:
            return
        self.tried += 1
        with suppress(Exception), closing(self.server.connect()) as connection, connection.cursor() as cursor:
            cursor.execute("SET SESSION lock_wait_timeout = 1, innodb_lock_wait_timeout = 1")
            cursor.execute(self.statement, {"n": 100 + self.tried})
            self.written.append(100 + self.tried)


def migrate_watched(living: Project, server: Server, watch: Callable[[str], None]) -> Result:
    """Migrate while somebody sees each statement before the server does."""
    proxy = Proxy("mysql", server.port)
    proxy.watch = watch
    try:
        return living.run("migrate", **replace(server, port=proxy.port).variables, DJ_USE_TLS="false")
    finally:
        proxy.close()


def migrate(living: Project, server: Server, statement: str, before: str, least: int = 2) -> Writer:
    """Migrate while somebody writes, who gets in so often at least and is kept out at least once."""
    writer = Writer(server, statement, before)
    done = migrate_watched(living, server, writer)
    assert done.code == 0, done.err
    assert len(writer.written) >= least and writer.tried > len(writer.written)
    return writer


def test_a_value_that_is_written_while_others_are_converted_is_converted(living: Project, mysql: Server) -> None:
    living.replace(
        living.module("life"), "    colour = \"grey\" : enum('grey', 'white')\n", "    colour = null : varchar(9)\n"
    )
    ok(living, "revise", "-m", "any colour")
    path = f"{LIFE}1.1.0_any_colour.py"
    text = living.read(path).replace("import ", "import Sql, ", 1)
    at = text.index('varchar(9)"')
    how = """, using=Sql(mysql="CONCAT('all ', colour)", postgresql="'all ' || colour::text")"""
    living.write(path, text[: at + 11] + how + text[at + 11 :])
    writer = migrate(
        living, mysql, "INSERT INTO dev_life.animal (animal_id, name, colour) VALUES (%(n)s, 'x', 'white')", "animal"
    )
    found = rows(living, "[[r['animal_id'], r['colour']] for r in life.Animal.to_dicts(order_by='animal_id')]")
    assert found == [[1, "all grey"], [2, "all white"], *([n, "all white"] for n in writer.written)]


def test_a_row_that_is_written_while_others_are_filled_is_filled(living: Project, mysql: Server) -> None:
    living.replace(
        living.module("work"),
        "    note = null : varchar(64)\n",
        "    note : varchar(64)\n    number : int32\n    unique index (number)\n",
    )
    answers = ["--fill", "Task.note=well", "--fill", "Task.number=number()"]
    ok(living, "revise", "-m", "more", *answers)
    writer = migrate(
        living, mysql, "INSERT INTO dev_work.task (animal_id, task, note) VALUES (1, CONCAT('t', %(n)s), NULL)", "task"
    )
    found = rows(living, "[[r['task'], r['note'], r['number']] for r in work.Task.to_dicts(order_by='number')]")
    assert sorted(r[0] for r in found) == sorted(["run", "swim", *(f"t{n}" for n in writer.written)])
    assert {r[1] for r in found} == {"well"}
    assert [r[2] for r in found] == list(range(1, len(found) + 1))


def test_a_row_of_a_child_whose_key_grows_gets_what_its_parent_has(living: Project, mysql: Server) -> None:
    living.replace(living.module("life"), "    ---\n    name", "    herd : int16\n    ---\n    name")
    ok(living, "revise", "-m", "herds", "--fill", "life.Animal.herd=7")
    assert re.search("LOCK TABLES .*`dev_life`.`weight` WRITE, ", ok(living, "migrate", "--sql", code=3).out)
    (group,) = ok(living, "migrate", "--dry-run", "--json", code=3).json["groups"]
    assert {table["table"]: table["lock"] for table in group["tables"]}["life.Weight"] == "all"
    statement = "INSERT INTO dev_life.weight (animal_id, day, grams) VALUES (1, FROM_DAYS(730000 + %(n)s), 1)"
    writer = migrate(living, mysql, statement, "weight", least=1)  # from the first step on, nobody gets in
    found = rows(living, "[[r['animal_id'], r['herd']] for r in life.Weight.to_dicts(order_by='day')]")
    assert len(found) == 3 + len(writer.written) and {r[1] for r in found} == {7}


def test_a_value_that_is_written_while_others_get_another_codec_gets_it(living: Project, mysql: Server) -> None:
    work = living.module("work")
    living.replace(work, "    note = null : varchar(64)\n", "    note = null : varchar(64)\n    data = null : <blob>\n")
    ok(living, "revise", "-m", "data")
    ok(living, "migrate")
    fill = "from my_pipeline import work\nwork.Task.insert1(dict(animal_id=1, task='old', data=[1, 2]))"
    assert living.python("-c", fill).code == 0
    living.replace(work, "    data = null : <blob>\n", "    data = null : json\n")
    ok(living, "revise", "-m", "readable")
    statement = (
        "INSERT INTO dev_work.task (animal_id, task, data) SELECT 2, CONCAT('t', %(n)s), data FROM dev_work.task "
        "WHERE task = 'old'"
    )
    writer = migrate(living, mysql, statement, "task")
    found = rows(living, "[[r['task'], r['data']] for r in work.Task.to_dicts() if r['task'] not in ('run', 'swim')]")
    assert sorted(found) == sorted([["old", [1, 2]], *([f"t{n}", [1, 2]] for n in writer.written)])


@pytest.mark.parametrize("how", ["REPLACE", "INSERT"])
def test_another_row_with_the_key_of_one_that_is_converted_keeps_its_value(
    living: Project, mysql: Server, how: str
) -> None:
    """It comes between the read of a batch and its update, and nobody has changed either of the two rows."""
    work = living.module("work")
    living.replace(work, "    note = null : varchar(64)\n", "    note = null : varchar(64)\n    data = null : <blob>\n")
    ok(living, "revise", "-m", "data")
    ok(living, "migrate")
    put = (
        "from my_pipeline import work\nwork.Task.insert([dict(animal_id=1, task=f't{n}', data=[n]) for n in range(3)])"
    )
    assert living.python("-c", put).code == 0
    living.replace(work, "    data = null : <blob>\n", "    data = null : json\n")
    ok(living, "revise", "-m", "readable")
    done = list[str]()

    def another(text: str) -> None:
        if done or not text.startswith("UPDATE") or "recoded_data" not in text:
            return
        done.append(text)
        with closing(mysql.connect()) as connection, connection.cursor() as cursor:
            if how == "INSERT":
                cursor.execute("DELETE FROM dev_work.task WHERE task IN ('t0', 't1')")
            for task in ("t0", "t1"):
                cursor.execute(
                    f"{how} INTO dev_work.task (animal_id, task, data) VALUES (1, %s, %s)", (task, pack([task, "new"]))
                )

    finished = migrate_watched(living, mysql, another)
    assert finished.code == 0 and done, finished.err
    found = rows(living, "{r['task']: r['data'] for r in work.Task.to_dicts() if r['task'] in ('t0', 't1', 't2')}")
    assert found == {"t0": ["t0", "new"], "t1": ["t1", "new"], "t2": [2]}


def test_a_row_that_is_written_while_parents_are_put_in_gets_one(living: Project, mysql: Server) -> None:
    rig = '@schema\nclass Room(dj.Manual):\n    definition = """\n    room : int32\n    """\n\n\n@schema\nclass Task('
    work = living.module("work")
    living.replace(work, "    note = null : varchar(64)\n", "    note = null : varchar(64)\n    room = null : int32\n")
    ok(living, "revise", "-m", "rooms")
    ok(living, "migrate")
    living.replace(work, "@schema\nclass Task(", rig)
    living.replace(work, "    room = null : int32\n", "    -> [nullable] Room\n")
    ok(living, "revise", "-m", "room")
    statement = "INSERT INTO dev_work.task (animal_id, task, room) VALUES (1, CONCAT('t', %(n)s), %(n)s)"
    writer = migrate(living, mysql, statement, "task")
    assert rows(living, "sorted(r['room'] for r in work.Room.to_dicts())") == writer.written


def test_an_account_that_may_not_lock_tables_does_without(living: Project, mysql: Server) -> None:
    living.replace(living.module("work"), "    note = null : varchar(64)\n", "    note : varchar(64)\n")
    ok(living, "revise", "-m", "always", "--fill", "Task.note=well")
    rights = "SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, DROP, INDEX, REFERENCES"
    mysql.execute("CREATE USER unlocking IDENTIFIED BY 'its-secret'", f"GRANT {rights} ON `dev\\_%`.* TO unlocking")
    living.environment |= {"DJ_USER": "unlocking", "DJ_PASS": "its-secret"}
    try:
        said = "This account may not lock the tables of dev_work (LOCK TABLES)."
        (group,) = ok(living, "migrate", "--dry-run", "--json", code=3).json["groups"]
        assert [rule["text"][: len(said)] for rule in group["rules"] if rule["id"] == "may-not-lock"] == [said]
        assert "may-not-lock" in ok(living, "migrate", "--dry-run", code=3).out
        assert said in " ".join(ok(living, "migrate", "--json").err.split())
        assert "(without LOCK TABLES)" in ok(living, "log").out
        assert rows(living, "sorted(r['note'] for r in work.Task.to_dicts())") == ["well", "well"]
    finally:
        mysql.execute("DROP USER unlocking")


def test_rows_that_lost_their_parent_meanwhile_are_named_with_what_takes_them_out(
    living: Project, mysql: Server
) -> None:
    living.replace(living.module("life"), "    ---\n    name", "    herd : int16\n    ---\n    name")
    ok(living, "revise", "-m", "herds", "--fill", "life.Animal.herd=7")
    rights = "SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, DROP, INDEX, REFERENCES"
    mysql.execute("CREATE USER unlocking IDENTIFIED BY 'its-secret'", f"GRANT {rights} ON `dev\\_%`.* TO unlocking")
    proxy, refused = Proxy("mysql", mysql.port), list[str]()

    def watch(text: str) -> None:
        if text.startswith("ALTER TABLE `dev_life`.`weight_away`\n  ADD COLUMN"):  # its foreign key is dropped by then
            try:
                mysql.execute("DELETE FROM dev_life.animal WHERE animal_id = 2")
            except Exception as error:
                refused.append(str(error))
            mysql.execute("DELETE FROM dev_life.animal_away WHERE animal_id = 2")  # as nobody's code does

    proxy.watch = watch
    own = {"DJ_USER": "unlocking", "DJ_PASS": "its-secret", "DJ_USE_TLS": "false"}
    living.environment |= {**replace(mysql, port=proxy.port).variables, **own}
    try:
        named = []
        while (answer := living.run("migrate")).code == 6:
            assert "rollback --interrupted" not in answer.err, answer.err  # which these rows would hinder, too
            (why,) = re.findall(r"1 row of (\S+) \(.*\) has no row of \S+: \((.*)\)", answer.err)
            named.append(why)
            (statement,) = re.findall("or delete these: (DELETE .*), then run", answer.err)
            mysql.execute(statement)
        assert answer.code == 0, answer.err
        assert refused and "doesn't exist" in refused[0]
        assert named == [("life.Weight", "2, 2026-01-01"), ("work.Task", "2, swim"), ("work.Score", "2, swim")]
        assert rows(living, "[r['herd'] for r in life.Weight.to_dicts()]") == [7, 7]
    finally:
        proxy.close()
        mysql.execute("DROP USER unlocking")


def test_a_table_that_is_called_as_another_one_in_a_statement(living: Project) -> None:
    work = living.module("work")
    table = '@schema\nclass C(dj.Manual):\n    definition = """\n    c : int32\n    """\n\n\n@schema\nclass Task('
    living.replace(work, "@schema\nclass Task(", table)
    ok(living, "revise", "-m", "c")
    ok(living, "migrate")
    assert living.python("-c", "from my_pipeline import work\nwork.C.insert([(3,), (5,)])").code == 0
    living.replace(work, "    c : int32\n", "    c : int32\n    ---\n    number : int32\n")
    ok(living, "revise", "-m", "numbers", "--fill", "work.C.number=number()")
    ok(living, "migrate")
    assert rows(living, "[[r['c'], r['number']] for r in work.C.to_dicts(order_by='c')]") == [[3, 1], [5, 2]]


def test_who_waited_for_a_migration_writes_nothing_with_the_meaning_of_before(
    postgresql: Server, project: Project
) -> None:
    said: list[str] = []

    def write() -> None:
        with closing(postgresql.connect()) as connection, connection.cursor() as cursor:
            try:
                cursor.execute("INSERT INTO dev_life.weight (animal_id, day, grams) VALUES (1, '2026-02-01', 21000)")
            except Exception as error:
                said.append(str(error))

    proxy, waiting = Proxy("postgresql", postgresql.port), Thread(target=write)

    def watch(text: str) -> None:
        if "dev_life" in text and text.startswith(("ALTER TABLE", "UPDATE")) and waiting.ident is None:
            waiting.start()
            time.sleep(0.5)  # it waits for the lock by then

    with alive(postgresql, project) as own:
        own.replace(own.module("life"), "    grams : float64  # on that day", "    grams : float64  # in kilograms")
        ok(own, "revise", "-m", "kilograms")
        (path,) = (own.folder / LIFE).glob("*_kilograms.py")
        text = path.read_text(encoding="utf-8").replace("import ", "import RebuildTable, Sql, ", 1)
        line = '    RebuildTable("Weight", {"grams": Sql(mysql="grams / 1000", postgresql="grams / 1000")}),\n]'
        path.write_text(text.rstrip().removesuffix("]") + line, encoding="utf-8")
        proxy.watch = watch
        try:
            ok(own, "migrate", **{**replace(postgresql, port=proxy.port).variables, "DJ_USE_TLS": "false"})
        finally:
            proxy.close()
        waiting.join()
        assert "life.weight was migrated while this waited" in said[0] and "Update the code" in said[0]
        assert rows(own, "sorted(r['grams'] for r in life.Weight.to_dicts())") == [0.019, 0.0205, 0.021]
        assert postgresql.execute("SELECT COUNT(*) FROM pg_proc WHERE proname LIKE '~migrated%'") == [(0,)]
        assert rows(own, "life.Weight.insert1((1, '2026-02-01', 0.02)) or len(life.Weight())") == 4


def test_a_table_that_goes_while_another_one_is_filled(living: Project) -> None:
    """Both are renamed or filled under one lock, by the names that they have until then."""
    work, aside = (
        living.module("work"),
        '\n\n@schema\nclass Aside(dj.Manual):\n    definition = """\n    aside : int32\n    """\n',
    )
    living.write(work, living.read(work) + aside + aside.replace("Aside", "Other"))
    ok(living, "revise", "-m", "aside")
    ok(living, "migrate")
    living.write(work, living.read(work).replace(aside, "").replace("class Other", "class Another"))
    living.replace(work, "    note = null : varchar(64)\n", "    note : varchar(64)\n")
    answers = ["--fill", "Task.note=well", "--rename-table", "work.Other=Another", "--drop", "Aside"]
    ok(living, "revise", "-m", "gone", *answers)
    ok(living, "migrate")
    assert rows(living, "[{r['note'] for r in work.Task.to_dicts()} == {'well'}, len(work.Another())]") == [True, 0]


def test_a_value_that_would_be_lost_and_comes_after_the_count_is_told_in_words(living: Project, mysql: Server) -> None:
    """The server is asked once more under the lock; how that is done is nobody's business."""
    living.replace(living.module("life"), "    grams : float64", "    grams : int32")
    mysql.execute("UPDATE dev_life.weight SET grams = 20 WHERE grams > 0")
    ok(living, "revise", "-m", "whole grams")
    saved = list[str]()

    def watch(text: str) -> None:
        if text.startswith(("LOCK", "ALTER")) and not saved:
            saved.append(text)
            mysql.execute("INSERT INTO dev_life.weight (animal_id, day, grams) VALUES (2, '2026-05-05', 20.25)")

    refused = migrate_watched(living, mysql, watch)
    assert refused.code and "Meanwhile somebody saved values that it would lose" in refused.err, refused.err
    assert "probe" not in refused.err and "1 value of grams" in ok(living, "migrate", code=7).err
    assert mysql.execute("SELECT grams FROM dev_life.weight WHERE day = '2026-05-05'") == [(20.25,)]
