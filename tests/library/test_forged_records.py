"""Nothing is run because it stands in the journal: whoever can write there gains nothing but a refusal."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest
from conftest import Project, Server
from living import is_sentence, living, ok, states

#: What somebody would like to have run with the rights of whoever migrates.
EVIL = "CREATE TABLE dev_work.evil (a integer)"

#: A statement of the lab's own that cannot run, between two changes.
BROKEN = """    RunSQL("count", mysql="SELECT * FROM {work}.absent", postgresql="SELECT * FROM {work}.absent"),
"""


class Journal:
    """The journal of a schema, as somebody with rights to write there sees it."""

    def __init__(self, server: Server, database: str) -> None:
        quote = "`" if server.backend == "mysql" else '"'
        self.server, self.database = server, database
        self.runs, self.steps = (f"{database}.{quote}~migration{end}{quote}" for end in ("", "_step"))

    def execute(self, statement: str, *values: object) -> list[Any]:
        with closing(self.server.connect()) as connection, connection.cursor() as cursor:
            cursor.execute(statement.format(s=self.steps, j=self.runs), values)
            return list(cursor.fetchall()) if cursor.description else []

    @property
    def run(self) -> int:
        return int(self.execute("SELECT MAX(id) FROM {j}")[0][0])

    @property
    def last(self) -> int:
        return int(self.execute("SELECT MAX(number) FROM {s} WHERE run = %s", self.run)[0][0])

    def step(self, number: int, **columns: object) -> None:
        """Write something else of a step."""
        for name, value in columns.items():
            self.execute(f"UPDATE {{s}} SET {name} = %s WHERE run = %s AND number = %s", value, self.run, number)

    def head(self, change: Callable[[dict[str, Any]], None]) -> None:
        """Write another head."""
        text = self.execute("SELECT statement FROM {s} WHERE run = %s AND number = 0", self.run)[0][0]
        head = json.loads(text)
        change(head)
        self.step(0, statement=json.dumps(head))

    def keep(self) -> list[Any]:
        return self.execute("SELECT * FROM {s} WHERE run = %s ORDER BY number", self.run)

    def put_back(self, rows: list[Any]) -> None:
        self.execute("DELETE FROM {s} WHERE run = %s", rows[0][0])
        for row in rows:
            self.execute(f"INSERT INTO {{s}} VALUES ({', '.join(['%s'] * len(row))})", *row)


def another_statement(journal: Journal) -> None:
    (text,) = journal.execute("SELECT statement FROM {s} WHERE run = %s AND number = %s", journal.run, journal.last)[0]
    journal.step(journal.last, statement=json.dumps({**json.loads(text), "run": [EVIL]}) if text[0] == "{" else EVIL)


def a_further_step(journal: Journal) -> None:
    journal.execute(
        "INSERT INTO {s} (run, number, kind, state, words, statement, tables, before_step) "
        "VALUES (%s, %s, 'sql', 'planned', 'tidy up', %s, '[]', '')",
        *(journal.run, journal.last + 1, EVIL),
    )


def a_statement_of_the_lab(journal: Journal) -> None:
    journal.step(journal.last, kind="own", statement=json.dumps({"run": [EVIL], "part": 1}), tables="[]")


def a_check_that_is_a_statement(journal: Journal) -> None:
    journal.step(journal.last, kind="online", statement=json.dumps({"check": EVIL, "run": ["SELECT 1"]}), tables="[]")


def a_step_less(journal: Journal) -> None:
    journal.execute("DELETE FROM {s} WHERE run = %s AND number = %s", journal.run, journal.last)


def all_said_to_be_done(journal: Journal) -> None:
    for number in range(1, journal.last + 1):
        journal.step(number, state="done")


def the_last_said_to_be_done(journal: Journal) -> None:
    journal.step(journal.last, state="done")


def another_database(journal: Journal) -> None:
    journal.head(lambda head: head["databases"].update(work="mysql" if journal.server.backend == "mysql" else "public"))


def another_kind(journal: Journal) -> None:
    journal.head(lambda head: head["plan"].update(kind="rollback"))


def another_migration(journal: Journal) -> None:
    journal.head(lambda head: head["plan"]["wanted"][0].update(slug="moods", digest="0" * 64, frame="0" * 64))


def another_result(journal: Journal) -> None:
    journal.head(lambda head: head.update(after=[]))


def sql_in_what_a_table_was(journal: Journal) -> None:
    def change(head: dict[str, Any]) -> None:
        for _, _, table in head["plan"]["before"]:
            for column in table["columns"]:
                column[1] = f"int, DROP COLUMN `{column[0]}`"

    journal.head(change)


def sql_in_what_a_foreign_key_was(journal: Journal) -> None:
    def change(head: dict[str, Any]) -> None:
        for _, _, table in head["plan"]["before"]:
            for reference in table["references"]:
                reference[4] = "is on delete cascade, DROP COLUMN `note`"

    journal.head(change)


def a_way_back_that_nobody_began(journal: Journal) -> None:
    journal.head(lambda head: head.update(undo=journal.last))


def another_run(journal: Journal) -> None:
    journal.head(lambda head: head["leader"].update(run=1))


def a_run_without_end(journal: Journal) -> None:
    journal.head(lambda head: head["leader"].update(run=float("inf")))


def no_head(journal: Journal) -> None:
    journal.step(0, statement="[" * 5000)


def a_record_of_statements(journal: Journal) -> None:
    """As releases before 0.7 wrote it, complete in itself."""
    journal.head(lambda head: head.pop("plan"))
    another_statement(journal)


def databases_that_are_a_text(journal: Journal) -> None:
    journal.head(lambda head: head.update(databases="work"))


def a_plan_that_is_a_number(journal: Journal) -> None:
    journal.head(lambda head: head.update(plan=5, undo=journal.last))


def a_plan_of_no_kind(journal: Journal) -> None:
    journal.head(lambda head: head.update(plan={**head["plan"], "kind": [5]}, undo=journal.last))


def a_state_that_is_none(journal: Journal) -> None:
    journal.step(journal.last, state="begun")


def a_statement_that_is_no_json(journal: Journal) -> None:
    journal.step(journal.last, kind="own", statement=EVIL)


def another_version(journal: Journal) -> None:
    journal.execute("UPDATE {j} SET version = '9.9.9' WHERE id = %s", journal.run)


def another_kind_than_the_head_has(journal: Journal) -> None:
    journal.execute("UPDATE {j} SET kind = 'purge' WHERE id = %s", journal.run)


def another_version_before(journal: Journal) -> None:
    journal.execute("UPDATE {j} SET previous_version = '0.5.0' WHERE id = %s", journal.run)


def another_digest_for_good(journal: Journal) -> None:
    """Once the run has ended, the schema would have had a migration that no file is."""
    journal.head(lambda head: head.update(digest="0" * 64))


def something_that_was_taken_back(journal: Journal) -> None:
    journal.head(lambda head: head.update(undone=[head["digest"]]))


def another_table_before(journal: Journal) -> None:
    """With a column less, of which the migrations know."""

    def change(head: dict[str, Any]) -> None:
        for _, name, table in head["plan"]["before"]:
            if name == "task":
                table["columns"] = [column for column in table["columns"] if column[0] != "note"]

    journal.head(change)


def no_steps_at_all(journal: Journal) -> None:
    journal.execute("DELETE FROM {s} WHERE run = %s", journal.run)


FORGERIES = [
    *(another_statement, a_further_step, a_statement_of_the_lab, a_check_that_is_a_statement, a_step_less),
    *(all_said_to_be_done, the_last_said_to_be_done, another_database, another_kind, another_migration),
    *(
        another_result,
        sql_in_what_a_table_was,
        sql_in_what_a_foreign_key_was,
        a_way_back_that_nobody_began,
        another_run,
        a_run_without_end,
        no_head,
        a_record_of_statements,
    ),
    *(a_plan_that_is_a_number, a_plan_of_no_kind),
    *(databases_that_are_a_text, a_state_that_is_none, a_statement_that_is_no_json, another_version, no_steps_at_all),
    another_kind_than_the_head_has,
    *(another_version_before, another_digest_for_good, something_that_was_taken_back, another_table_before),
]


@pytest.fixture
def interrupted(server: Server, project: Project) -> Iterator[tuple[Project, Journal]]:
    """A migration that stopped half-way: at a statement of the lab's own, or at a foreign key that is added online."""
    with living(server, project) as own:
        work = own.module("work")
        more = '    -> [nullable] life.Animal.proj(friend="animal_id")\n'
        more = "    mood = null : varchar(8)\n" if server.backend == "mysql" else more
        own.replace(work, "    note = null : varchar(64)\n", f"    note = null : varchar(64)\n{more}")
        own.replace(work, "    score : int32\n", "    score : int32\n    remark = null : varchar(8)\n")
        ok(own, "revise", "-m", "friends")
        path = "src/my_pipeline/migrations/work/1.1.0_friends.py"
        text = own.read(path)
        if server.backend == "mysql":
            lines = text.splitlines(keepends=True)
            at = next(n for n, line in enumerate(lines) if "AddAttribute" in line and "remark" in line)
            broken = "".join([*lines[:at], BROKEN, *lines[at:]])
        else:
            orphan = """    RunSQL("orphan", postgresql="UPDATE {work}.task SET friend = 77"),\n]\n"""
            broken = re.sub(r"(AddForeignKey\(.*)\)", r"\1, online=True)", text).replace("\n]\n", f"\n{orphan}", 1)
        own.write(path, broken.replace("import ", "import RunSQL, ", 1))
        refused = own.run("migrate")
        assert refused.code == 6, refused.err
        yield own, Journal(server, "dev_work")


def test_a_forged_record_is_refused(interrupted: tuple[Project, Journal], server: Server) -> None:
    own, journal = interrupted
    kept = journal.keep()
    tables = (
        "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'dev_work' ORDER BY 1, 2"
    )
    before = server.execute(tables)
    for forge in FORGERIES:
        forge(journal)
        for command in (["migrate"], ["rollback", "work", "--to", "1.0.0"], ["rollback", "--interrupted"]):
            refused = own.run(*command)
            is_sentence(refused)
            assert refused.code == 6, (forge.__name__, refused.err)
            assert "Correct the migration" not in refused.err, (forge.__name__, refused.err)  # which is as it was
        assert server.execute(tables) == before, forge.__name__
        begun_with = "0.5.0" if forge is another_version_before else "1.0.0"
        assert states(own)["work"] == ("interrupted", begun_with), forge.__name__
        journal.put_back(kept)
        values = "version = '1.1.0', previous_version = '1.0.0', kind = 'migrate'"
        journal.execute(f"UPDATE {{j}} SET {values} WHERE id = %s", journal.run)
    # The true record is gone on with, once what was in its way is gone.
    if server.backend == "mysql":
        own.replace("src/my_pipeline/migrations/work/1.1.0_friends.py", BROKEN, BROKEN.replace("absent", "task"))
    else:
        server.execute("UPDATE dev_work.task SET friend = NULL")
    ok(own, "migrate")
    assert states(own)["work"] == ("current", "1.1.0")


def test_a_record_without_a_run_runs_nothing(server: Server, project: Project) -> None:
    """Somebody copies the record of a run that has ended, and says of the copy that it is under way."""
    with living(server, project) as own:
        own.replace(own.module("work"), "    note = null : varchar(64)\n", "    note = null : varchar(99)\n")
        ok(own, "revise", "-m", "longer")
        ok(own, "migrate")
        journal = Journal(server, "dev_work")
        run = journal.run
        names = "kind, state, words, statement, tables, before_step, started_at, finished_at"
        journal.execute(f"INSERT INTO {{s}} SELECT run + 1, number, {names} FROM {{s}} WHERE run = %s", run)
        rest = (
            "layout, kind, 'running', version, previous_version, fingerprint, started_at, NULL, database_user, "
            "os_user, host, code_commit, software, options"
        )
        journal.execute(f"INSERT INTO {{j}} SELECT id + 1, {rest} FROM {{j}} WHERE id = %s", run)
        journal.head(lambda head: (head["leader"].update(run=run + 1), head["members"][0].update(run=run + 1)))
        changed = "SELECT number, state, started_at FROM {s} WHERE run = %s AND number > 0"
        journal.step(journal.last, state="planned")
        before = journal.execute(changed, run + 1)
        ended = own.run("migrate")
        # As nothing of it stands in the tables, it is refused, or taken back as a run that began nothing.
        assert ended.code in (0, 6), ended.err
        assert journal.execute(changed, run + 1) == before
        if ended.code == 0:
            assert states(own)["work"][0] == "current"


@pytest.mark.parametrize("assigned", ["version = '2.0.x'", "version = '1.0.0\x1b[31m'", "id = -1", "id = 2147483647"])
def test_what_no_run_has_is_named(server: Server, project: Project, assigned: str) -> None:
    with living(server, project) as own:
        journal = Journal(server, "dev_work")
        journal.execute(f"UPDATE {{j}} SET {assigned} WHERE id = %s", journal.run)
        own.replace(own.module("work"), "    note = null : varchar(64)\n", "    note = null : varchar(99)\n")
        ok(own, "revise", "-m", "longer")
        for command in (["status"], ["log"], ["migrate"], ["rollback", "work", "--to", "1.0.0"], ["purge"]):
            refused = own.run(*command)
            is_sentence(refused)
            assert refused.code == 5 and "The journal of work cannot be read" in refused.err, (command, refused.err)


#: What no command writes into a head.
WRONG: tuple[Any, ...] = (5, "text", None, [1, [2]])

#: Stands for an entry that somebody took away.
GONE = object()


def test_a_head_of_a_finished_run_that_says_something_else_is_passed_over_or_named(
    server: Server, project: Project
) -> None:
    """Of migrations, of a rollback and of a draft; each key is another value, or is not there."""
    with living(server, project) as own:
        own.replace(own.module("work"), "    note = null : varchar(64)\n", "")
        ok(own, "revise", "-m", "less", "--drop", "Task.note")
        ok(own, "migrate")
        ok(own, "rollback", "work", "--to", "1.0.0")
        ok(own, "migrate")
        own.replace(own.module("life"), "    name : varchar(32)", "    title : varchar(32)")
        ok(own, "migrate", "--draft", "--rename", "Animal.name=title")
        ok(own, "revise", "-m", "title", "--rename", "Animal.name=title")
        journals = [Journal(server, database) for database in ("dev_work", "dev_life")]
        had = {one: one.execute("SELECT run, statement FROM {s} WHERE number = 0") for one in journals}

        def write(**entries: Any) -> None:
            """Have the heads as they were, apart from some entries."""
            for journal, heads in had.items():
                for run, text in heads:
                    head = json.loads(text)
                    head.update({key: value for key, value in entries.items() if key in head})
                    text = json.dumps({key: value for key, value in head.items() if value is not GONE})
                    journal.execute("UPDATE {s} SET statement = %s WHERE run = %s AND number = 0", text, run)

        def told(forged: str, *commands: list[str]) -> None:
            for command in commands:
                ended = own.run(*command)
                assert ended.code in (0, 3, 5, 6), (forged, command, ended.out, ended.err)
                if ended.code >= 5 and command != ["status"]:  # which has it in its table
                    is_sentence(ended)

        looks, back = (["status"], ["log"]), ["rollback", "work", "--to", "1.0.0", "--dry-run"]
        plans = (["migrate", "--dry-run"], back, ["purge", "--dry-run"])
        keys = {key for heads in had.values() for _, text in heads for key in json.loads(text)}
        assert keys >= {"renamed", "plan", "included", "undone", "leader", "members", "slug", "digest"}
        for key in sorted(keys):
            for value in WRONG:
                write(**{key: value})
                told(f"{key} = {value}", *plans)
            told(f"{key} = {value}", *looks)
            write(**{key: GONE})
            told(f"no {key}", *plans)
        write(plan={"before": [[1, [], {"columns": 5}]], "filled": [5, [[]]]})
        told("plan.before", *plans)
        # A draft that renamed something nobody knows is not replaced by something else.
        for rows in (None, [[1, 2]], [["life", "animal", "life", "animal", {"name": 5}]]):
            write(renamed=rows)
            refused = ok(own, "migrate", code=5)
            is_sentence(refused)
            assert "The journal of life cannot be read" in refused.err, refused.err
        # Nor does a head that stands there as a step say anything.
        write()
        rest = "kind, state, words, statement, tables, before_step, started_at, finished_at"
        for journal in journals:
            journal.execute(f"INSERT INTO {{s}} SELECT run, 27, {rest} FROM {{s}} WHERE number = 0")
        for command in (*looks, *plans):
            assert ok(own, *command, code=3 if command[0] in ("status", "migrate", "rollback") else 0)
        ok(own, "migrate")
        ok(own, *back[:-1], code=0)
        ok(own, "purge", "--allow-data-loss")


def test_runs_follow_each_other_by_their_numbers(server: Server, project: Project) -> None:
    """The clock of the machine that migrated was ahead of that which took it back, or was set back since."""
    with living(server, project) as own:
        work = own.module("work")
        own.replace(work, "    score : int32\n", "    score : int32  # in percent\n")
        ok(own, "revise", "-m", "percent")
        (path,) = (own.folder / "src/my_pipeline/migrations/work").glob("1.0.1_percent.py")
        times = "UPDATE {{work}}.__score SET score = score {} 100"
        again = f'RunSQL("percent", mysql="{times.format("*")}", postgresql="{times.format("*")}", '
        again += f'back=Sql(mysql="{times.format("/")}", postgresql="{times.format("/")}"))'
        add = path.read_text().replace("import ", "import RunSQL, Sql, ", 1).rstrip().removesuffix("]")
        path.write_text(f"{add}    {again},\n]\n")
        scores = "SELECT score FROM dev_work.{q}__score{q} ORDER BY 1".format(
            q="`" if server.backend == "mysql" else '"'
        )
        before = server.execute(scores)
        ok(own, "migrate")
        after = server.execute(scores)
        assert before != after
        journal = Journal(server, "dev_work")
        hour = "INTERVAL 1 HOUR" if server.backend == "mysql" else "INTERVAL '1 hour'"
        for table in (journal.runs, journal.steps):
            journal.execute(f"UPDATE {table} SET started_at = started_at + {hour}, finished_at = finished_at + {hour}")
        ok(own, "rollback", "work", "--to", "1.0.0")
        assert server.execute(scores) == before
        assert states(own)["work"] == ("behind", "1.0.0")
        assert [run["kind"] for run in ok(own, "log", "--json").json["runs"] if run["schema"] == "work"][
            -1
        ] == "rollback"
        assert " rollback " in ok(own, "log").out.splitlines()[-1]
        ok(own, "migrate")
        assert server.execute(scores) == after
        assert states(own)["work"] == ("current", "1.0.1")


def test_a_time_that_is_none_is_named(server: Server, project: Project) -> None:
    """Who wrote it into the journal stops nothing without a word: years before 1, and MySQL's zero date."""
    with living(server, project) as own:
        journal = Journal(server, "dev_work")
        mysql = server.backend == "mysql"
        moment = "0000-00-00 00:00:00" if mysql else "0044-03-15 12:00:00 BC"
        for table in (journal.steps, journal.runs):
            with closing(server.connect()) as connection, connection.cursor() as cursor:
                if mysql:
                    cursor.execute("SET SESSION sql_mode = ''")
                cursor.execute(f"UPDATE {table} SET started_at = '{moment}'")
                connection.commit()
            for command in (["status"], ["log"], ["migrate"], ["purge", "--dry-run"]):
                ended = own.run(*command)
                if table == journal.steps:  # which only orders the steps
                    assert ended.code == 0, ended.err
                else:
                    is_sentence(ended)
                    assert ended.code == 5 and "a time that is none" in ended.err, (command, ended.err)


def test_what_is_missing_from_a_journal_is_named(server: Server, project: Project) -> None:
    """Its owner took NOT NULL away, and what stood there."""
    with living(server, project) as own:
        journal = Journal(server, "dev_work")
        own.replace(own.module("work"), "    note = null : varchar(64)\n", "    note = null : varchar(99)\n")
        ok(own, "revise", "-m", "longer")
        ok(own, "migrate")
        types = {"layout": "int", "started_at": "datetime(6)", "statement": "longtext", "before_step": "longtext"}
        runs = ("layout", "kind", "status", "version", "started_at", "database_user", "software")
        steps = ("kind", "state", "words", "statement", "tables", "before_step")
        last = journal.run
        for table, columns, which in ((journal.runs, runs, f"id = {last}"), (journal.steps, steps, f"run = {last}")):
            for column in columns:
                if server.backend == "mysql":
                    journal.execute(f"ALTER TABLE {table} MODIFY {column} {types.get(column, 'varchar(255)')} NULL")
                else:
                    journal.execute(f"ALTER TABLE {table} ALTER {column} DROP NOT NULL")
                kept = journal.execute(f"SELECT * FROM {table} WHERE {which}")
                journal.execute(f"UPDATE {table} SET {column} = NULL WHERE {which}")
                for command in (["status"], ["log"], ["migrate"], ["rollback", "work", "--to", "1.0.0", "--dry-run"]):
                    ended = own.run(*command)
                    if table == journal.runs:
                        is_sentence(ended)
                        assert ended.code == 5, (column, command, ended.err)
                        assert f"run {last} has no {column}" in ended.err, (column, command, ended.err)
                    else:
                        assert ended.code in (0, 3, 5, 6), (column, command, ended.out, ended.err)
                        if ended.code > 3:
                            is_sentence(ended)
                journal.execute(f"DELETE FROM {table} WHERE {which}")
                for row in kept:
                    journal.execute(f"INSERT INTO {table} VALUES ({', '.join(['%s'] * len(row))})", *row)
