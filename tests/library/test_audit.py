"""Audited tables: every row that is written has one entry with the person's login, whatever becomes of the table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest
from audited import (
    KEYS,
    Writer,
    audit,
    audited_now,
    entries,
    forget_people,
    forms,
    killed,
    open_to,
    person,
    quoted,
    told,
    tour,
)
from conftest import Project, Server
from living import is_sentence, ok, rows, states
from living import living as made


@pytest.fixture
def living(project: Project, server: Server) -> Iterator[Project]:
    with made(server, project) as own:
        yield own
    server.drop("notes")
    forget_people(server)


def operations(server: Server, database: str = "dev_life") -> list[tuple[str, str]]:
    return [(who, what) for _, who, what, _, _ in entries(server, database) if what not in ("begin", "end")]


def test_each_write_has_one_entry_by_whoever_logged_in(living: Project, server: Server) -> None:
    assert audit(living, "life.animal").out.split() == ["life.Animal", "/"]
    assert audit(living, "life.animal").out.split() == ["/"]  # nothing is left to do
    admin, ada = server.user, person(server, "ada", "dev_life", "dev_work")
    own = {"DJ_USER": ada[0], "DJ_PASS": ada[1]}
    program = """
from my_pipeline import life
life.Animal.insert1((7, "Eve", "grey"))
life.Animal.insert1((7, "Eve", "grey"), skip_duplicates=True)
life.Animal.update1({"animal_id": 7, "name": "Eva"})
(life.Animal & "animal_id = 7").delete(prompt=False)
"""
    done = living.python("-c", program, **own)
    assert done.code == 0, done.err
    assert operations(server) == [("ada", "insert"), ("ada", "update"), ("ada", "delete")]
    old, new = entries(server)[2][3:]
    assert (old["name"], new["name"], new["animal_id"]) == ("Eve", "Eva", 7)

    server.execute("UPDATE dev_life.animal SET colour = 'white' WHERE animal_id = 1")
    server.execute("UPDATE dev_life.animal SET colour = 'white' WHERE animal_id = 1")  # which changes nothing
    assert operations(server)[3:] == [(admin, "update")]

    # Nobody of these can write, empty or drop what the audit has, or take it off.
    table = "DROP TRIGGER `~audit` ON dev_life.animal"
    if server.backend == "mysql":
        table = "DROP TRIGGER dev_life.`~audit_insert_animal`"
    for sql in (
        "INSERT INTO dev_life.`~audit` (table_name, at, login, operation) VALUES ('animal', '2026-01-01', 'x', 'insert')",
        "UPDATE dev_life.`~audit` SET login = 'nobody'",
        "DELETE FROM dev_life.`~audit`",
        "TRUNCATE TABLE dev_life.`~audit`",
        "DROP TABLE dev_life.`~audit`",
        table,
    ):
        with pytest.raises(Exception, match=r"denied|must be owner|command denied"):
            server.execute(quoted(server, sql), user=ada[0], password=ada[1])
    assert len(operations(server)) == 4

    shown = ok(living, "log", "--rows", "life.Animal", "--key", "animal_id=7", "--json").json
    assert shown["records"]["~audit"] == "there"
    assert [(r["operation"], r["record"]) for r in shown["rows"]] == [
        *(("insert", "~audit"), ("update", "~audit"), ("delete", "~audit"))
    ]
    assert states(living)["life"][0] == "current" and "Animal" in rows(living, "[*map(str, [life.Animal.__name__])]")

    assert audit(living).out.split() == ["/", "life.Animal"]
    before = len(operations(server))
    server.execute("UPDATE dev_life.animal SET colour = 'grey' WHERE animal_id = 1")
    assert len(operations(server)) == before and entries(server)[-1][2] == "end"


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ("work.__score", "work.Score cannot be audited, for it is Computed."),
        ("life.none", "life.None cannot be audited, for there is no such table."),
    ],
)
def test_what_cannot_be_audited_is_refused(living: Project, table: str, words: str) -> None:
    refused = audit(living, table, code=2)
    assert refused.err.startswith(f"Error: {words}") and len(refused.err.strip().splitlines()) == 3, refused.err


def test_over_all_that_migrations_do_each_write_has_one_entry(living: Project, server: Server) -> None:
    audit(living, "life.animal")
    account = person(server, "ada", "dev_life", "dev_work")
    open_to(server, "ada")
    with Writer(server, account, forms()) as writer:
        tour(living, server)
        # And back to where it began.
        for name in ("work", "life"):
            ok(living, "rollback", name, "--to", "1.0.0")
    assert not writer.strange and writer.taken
    assert told(server, "ada", KEYS, "dev_life", "dev_work") == writer.taken
    assert audited_now(server) == [("dev_life", "animal")]
    assert len(writer.taken) > 50
    shown = ok(living, "log", "--rows", "life.Animal", "--limit", "100000", "--json").json["rows"]
    named = [row["operation"] for row in shown if row["operation"] == "rename"]
    assert len(named) == 2 and sum(row["record"] == "~audit" for row in shown) >= sum(writer.taken.values())


MOVED = """

@schema
class Note(dj.Manual):
    definition = \"\"\"
    note_id : int32
    ---
    text : varchar(32)
    picture = null : <blob>
    \"\"\"
"""


def test_a_table_that_moves_to_another_schema_is_audited_there(living: Project, server: Server) -> None:
    living.write(living.module("life"), living.read(living.module("life")) + MOVED)
    ok(living, "revise", "-m", "notes")
    ok(living, "migrate")
    audit(living, "life.note")
    account = person(server, "ada", "dev_life", "dev_work")
    open_to(server, "ada")
    places = [("dev_life.note", "note_id", "text"), ("dev_work.note", "note_id", "text")]
    places += [("dev_work.note", "note_id", "words")]
    with Writer(server, account, places) as writer:
        for old, new in (("life", "work"), ("work", "life")):
            for name, text in ((old, ""), (new, MOVED)):
                source = living.read(living.module(name)).replace(MOVED, "")
                living.write(living.module(name), source + text)
            ok(living, "revise", "-m", f"to {new}", "--rename-table", f"{old}.Note={new}.Note")
            ok(living, "migrate")
            assert audited_now(server) == [(f"dev_{new}", "note")]
            # What reads and writes the table as DataJoint does.
            done = living.python("-c", f"from my_pipeline import {new} as m; m.Note.insert1((1, 'x', b'ab'))")
            assert done.code == 0, done.err
            done = living.python("-c", f"from my_pipeline import {new} as m; m.Note.delete_quick()")
            assert done.code == 0, done.err
    assert not writer.strange and len(writer.taken) > 20
    assert told(server, "ada", ("note_id",), "dev_life", "dev_work") == writer.taken
    shown = ok(living, "log", "--rows", "life.Note", "--limit", "100000", "--json").json["rows"]
    mine = [row for row in shown if row["record"] == "~audit" and row["who"].split("@")[0] == "ada"]
    assert len(mine) == sum(writer.taken.values())
    blob = next(
        row["more"]["new"]["picture"] for row in shown if row["key"] == {"note_id": 1} and row["more"].get("new")
    )
    assert set(blob) == {"bytes", "sha256"}


def test_a_dropped_table_comes_back_audited(living: Project, server: Server) -> None:
    living.write(living.module("life"), living.read(living.module("life")) + MOVED)
    ok(living, "revise", "-m", "notes")
    ok(living, "migrate")
    audit(living, "life.note", "life.animal")
    server.execute("INSERT INTO dev_life.note (note_id, text) VALUES (1, 'kept')")
    living.write(living.module("life"), living.read(living.module("life")).replace(MOVED, ""))
    ok(living, "revise", "-m", "gone", "--drop", "Note")
    ok(living, "migrate")
    assert audited_now(server) == [("dev_life", "animal"), ("dev_life", "~dropped_note")]
    ok(living, "rollback", "life", "--to", "1.1.0")
    assert audited_now(server) == [("dev_life", "animal"), ("dev_life", "note")]
    server.execute("UPDATE dev_life.note SET text = 'changed'")
    assert [what for table, _, what, _, _ in entries(server) if table == "note"] == [
        *("begin", "insert", "rename", "update")
    ]
    ok(living, "migrate")
    purged = ok(living, "purge", "--allow-data-loss", "--no-backup")
    assert "note" in purged.out.lower() and audited_now(server) == [("dev_life", "animal")]
    shown = [what for _, _, what, _, _ in entries(server)]
    assert shown.count("rename") == 3 and shown.count("update") == 1


def test_what_a_lab_runs_itself_is_audited_and_a_computed_tier_refused(living: Project, server: Server) -> None:
    audit(living, "life.animal")
    living.replace(living.module("life"), "    colour = ", "    weight = null : float64\n    colour = ")
    ok(living, "revise", "-m", "weight")
    (path,) = (living.folder / "src/my_pipeline/migrations/life").glob("*_weight.py")
    text = path.read_text().replace("import ", "import RunSQL, ", 1).rstrip().removesuffix("]")
    sql = "UPDATE {{life}}.{0}animal{0} SET weight = animal_id"
    own = f'RunSQL("weigh", mysql={sql.format("`")!r}, postgresql={sql.format(chr(34))!r})'
    path.write_text(f"{text}    {own},\n]\n")
    ok(living, "migrate")
    assert operations(server) == [(server.user, "update")] * 2
    assert [row[4]["weight"] for row in entries(server) if row[2] == "update"] == [1, 2]

    # What the lab's own statements take off is put on again.
    living.replace(living.module("life"), "    weight = null : float64\n", "    weight = null : float64  # in g\n")
    ok(living, "revise", "-m", "grams")
    (path,) = (living.folder / "src/my_pipeline/migrations/life").glob("*_grams.py")
    text = path.read_text().replace("import ", "import RunSQL, ", 1).rstrip().removesuffix("]")
    gone = "DROP TRIGGER {life}.`~audit_update_animal`", 'DROP TRIGGER "~audit" ON {life}."animal"'
    path.write_text(f"{text}    RunSQL('own', mysql={gone[0]!r}, postgresql={gone[1]!r}),\n]\n")
    ok(living, "migrate")
    assert audited_now(server) == [("dev_life", "animal")]

    living.replace(living.module("life"), "class Animal(dj.Manual)", "class Animal(dj.Imported)")
    ok(living, "revise", "-m", "imported", "--rename-table", "Animal=Animal")
    result = ok(living, "migrate", code=1)
    is_sentence(result)
    assert "life.Animal is audited, and would become Imported." in result.err
    assert audited_now(server) == [("dev_life", "animal")]


def test_a_trigger_of_somebody_else_is_still_named(living: Project, server: Server) -> None:
    audit(living, "life.animal")
    function = (
        'CREATE FUNCTION dev_life."~audit_own"() RETURNS trigger LANGUAGE plpgsql AS '
        "$$ BEGIN NEW.name = upper(NEW.name); RETURN NEW; END $$"
    )
    named = "~audit_insert_own"
    if server.backend == "mysql":
        server.execute(
            f"CREATE TRIGGER dev_life.`{named}` BEFORE INSERT ON dev_life.animal FOR EACH ROW SET NEW.name = 'x'"
        )
    else:
        server.execute(
            function,
            f'CREATE TRIGGER "{named}" BEFORE INSERT ON dev_life.animal FOR EACH ROW EXECUTE FUNCTION '
            'dev_life."~audit_own"()',
        )
    living.replace(living.module("life"), "    name : varchar(32)", "    title : varchar(32)")
    ok(living, "revise", "-m", "title", "--rename", "Animal.name=title")
    result = ok(living, "migrate", code=1)
    is_sentence(result)
    assert f"1 trigger that names name ({named})" in " ".join(result.err.split()).replace("trigger ~", "~"), result.err


@pytest.mark.parametrize("way_out", [("migrate",), ("rollback", "--interrupted")])
def test_killed_in_the_middle_nothing_is_written_unseen(
    project: Project, mysql: Server, way_out: tuple[str, ...]
) -> None:
    """On MySQL, whose steps are single: a write is refused or recorded, and either way out lets people in again."""
    with made(mysql, project) as living:
        audit(living, "life.animal")
        account = person(mysql, "ada", "dev_life", "dev_work")
        open_to(mysql, "ada")
        living.replace(living.module("life"), "    name : varchar(32)", "    title : varchar(32)")
        ok(living, "revise", "-m", "title", "--rename", "Animal.name=title")
        shown = ok(living, "migrate", "--sql", code=3).out
        statements = [line for line in shown.splitlines() if line.startswith(("CREATE TRIGGER", "DROP TRIGGER"))]
        assert len(statements) == 12, shown
        everyone: Counter[tuple[str, int]] = Counter()
        for turn, number in enumerate(range(1, 14, 3)):
            with Writer(mysql, account, forms(), 10_000 * (turn + 1)) as writer:
                if number < 13:
                    killed(living, number, "migrate")
                    mysql.execute("SELECT SLEEP(0.3)")
                    if number > 4:  # by now, all three kinds of writes are refused
                        before = sum(writer.taken.values())
                        mysql.execute("SELECT SLEEP(0.2)")
                        assert sum(writer.taken.values()) == before
                done = living.run(*way_out)
                assert done.code == 0 or "no interrupted run" in done.err, done.err
                mysql.execute("SELECT SLEEP(0.2)")
            assert audited_now(mysql) == [("dev_life", "animal")] or (done.code and way_out[0] == "rollback")
            ok(living, "migrate")
            assert audited_now(mysql) == [("dev_life", "animal")]
            everyone.update(writer.taken)
            assert told(mysql, "ada", KEYS, "dev_life") == everyone
            ok(living, "rollback", "life", "--to", "1.0.0")
    forget_people(mysql)
