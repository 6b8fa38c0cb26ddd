"""On MySQL the tables say, after an interruption, which step is done; tables that are neither stop the migration."""

from __future__ import annotations

from contextlib import closing

import pytest
from conftest import Project, Server
from living import VERSION, add_sql, hurried, is_sentence, kill_while_it_waits, ok, put_back, rows, states
from proxy import Fault, Proxy
from test_limits import living as living

assert living  # a fixture

#: A statement that fails, for the table is not there.
ABSENT = "UPDATE {life}.absent SET a = 1"

#: A table that no foreign key joins to the others, so that it can be changed while somebody reads those.
ASIDE = '''

@schema
class Aside(dj.Manual):
    definition = """
    aside : int32
    ---
    what : varchar(9)
    """
'''

#: What somebody does by hand to a table, how it is undone, and what the refusal names.
BY_HAND = [
    (
        "ALTER TABLE dev_life.weight MODIFY grams double NOT NULL COMMENT ':float64:by hand'",
        "ALTER TABLE dev_life.weight MODIFY grams double NOT NULL COMMENT ':float64:on that day'",
        "dev_life.weight.grams is double not null comment",
    ),
    (
        "ALTER TABLE dev_life.weight ADD COLUMN note int",
        "ALTER TABLE dev_life.weight DROP COLUMN note",
        "dev_life.weight has the columns animal_id, day, grams, _prov, note",
    ),
    (
        "ALTER TABLE dev_life.aside MODIFY what varchar(50) NOT NULL COMMENT ':varchar(9):'",
        "ALTER TABLE dev_life.aside MODIFY what varchar(9) NOT NULL COMMENT ':varchar(9):'",
        "dev_life.aside.what is varchar(50) not null",
    ),
    (
        "ALTER TABLE dev_life.weight ADD COLUMN mood varchar(9) NULL COMMENT ':varchar(9):' AFTER day",
        "ALTER TABLE dev_life.weight DROP COLUMN mood",
        "dev_life.weight.mood is varchar(9)",
    ),
]


def kill_half_way(living: Project, mysql: Server, *arguments: str) -> None:
    """Change one table, and kill the runner while it waits for another."""
    life = living.module("life")
    living.write(life, living.read(life) + ASIDE)
    ok(living, "revise", "-m", "aside")
    ok(living, "migrate")
    living.replace(life, "    what : varchar(9)\n", "    what : varchar(9)\n    size = null : int32\n")
    living.replace(life, "    grams : float64", "    mood = null : varchar(8)\n    grams : float64")
    if not arguments:
        ok(living, "revise", "-m", "more")
    kill_while_it_waits(living, mysql, "^ALTER TABLE.*weight", "migrate", *arguments)
    assert states(living)["life"] == ("interrupted", "1.1.0")


def test_a_table_that_somebody_changed_by_hand_is_named(living: Project, mysql: Server) -> None:
    kill_half_way(living, mysql)
    for change, undo, named in BY_HAND:
        mysql.execute(change)
        refused = living.run("migrate")
        is_sentence(refused)
        assert refused.code == 6 and named in refused.err and "nothing was run" in refused.err, refused.err
        mysql.execute(undo)
    ok(living, "migrate")
    assert states(living)["life"] == ("current", "1.2.0")
    assert rows(living, "sorted(r['grams'] for r in life.Weight.to_dicts())") == [19.0, 20.5, 21.0]


#: The same, of a table whose step comes later, and of one whose step is done.
BESIDE = [
    (
        "ALTER TABLE dev_life.weight MODIFY grams float NOT NULL COMMENT ':float32:on that day'",
        "ALTER TABLE dev_life.weight MODIFY grams double NOT NULL COMMENT ':float64:on that day'",
        "dev_life.weight.grams is float not null comment ':float32:on that day', not double not null",
    ),
    (
        "ALTER TABLE dev_life.weight ADD INDEX own (grams)",
        "ALTER TABLE dev_life.weight DROP INDEX own",
        "dev_life.weight has the indexes own (grams), not none",
    ),
    (
        "ALTER TABLE dev_life.animal MODIFY name varchar(32) NOT NULL COMMENT ':varchar(32):mine'",
        "ALTER TABLE dev_life.animal MODIFY name varchar(32) NOT NULL COMMENT ':varchar(32):what it is called'",
        "dev_life.animal.name is varchar(32) not null comment ':varchar(32):mine', not varchar(32)",
    ),
]


def test_tables_beside_the_step_are_looked_at_where_the_labs_statements_changed_rows_alone(
    living: Project, mysql: Server
) -> None:
    life = living.module("life")
    living.replace(life, "    grams : float64", "    mood = null : varchar(8)\n    grams : float64")
    living.replace(life, "    colour =", "    size = null : int32\n    colour =")
    ok(living, "revise", "-m", "more")
    path = "src/my_pipeline/migrations/life/1.1.0_more.py"
    own = "".join(f'    RunSQL("own", mysql="{sql}", postgresql=""),\n' for sql in ("DO 0", ABSENT))
    text = living.read(path).replace("import ", "import RunSQL, ", 1)
    line = next(line for line in text.splitlines(keepends=True) if '"Weight"' in line)
    assert text.index('"Animal"') < text.index(line)
    text = text.replace(line, own + line)
    living.write(path, text)
    ok(living, "migrate", code=6)
    for change, undo, named in BESIDE:
        mysql.execute(change)
        refused = ok(living, "migrate", code=6)
        is_sentence(refused)
        assert named in refused.err and "nothing was run" in refused.err and "by hand" in refused.err, refused.err
        mysql.execute(undo)
    living.write(path, text.replace(ABSENT, "DO 0"))
    ok(living, "migrate")
    assert states(living)["life"] == ("current", "1.1.0") and ok(living, "status").code == 0


def test_what_a_statement_of_the_labs_changed_is_named_in_both_forms(living: Project, mysql: Server) -> None:
    living.replace(living.module("life"), "    grams : float64", "    mood = null : varchar(9)\n    grams : float64")
    ok(living, "revise", "-m", "mood")
    (path,) = (living.folder / "src/my_pipeline/migrations/life").glob("*_mood.py")
    change, undo, _ = BESIDE[0]
    add_sql(path, change)
    refused = ok(living, "migrate", code=6)
    is_sentence(refused)
    assert "float32" in refused.err and "float64" in refused.err, refused.err
    assert "undo that by hand, then run python -m my_pipeline --env dev migrate again" in refused.err, refused.err
    mysql.execute(undo)
    ok(living, "migrate")
    assert states(living)["life"] == ("current", "1.1.0") and ok(living, "status").code == 0


def test_a_step_that_somebody_did_by_hand_counts(living: Project, mysql: Server) -> None:
    kill_half_way(living, mysql)
    mysql.execute(
        "ALTER TABLE dev_life.weight ADD COLUMN mood varchar(8) NULL DEFAULT NULL COMMENT ':varchar(8):' AFTER day"
    )
    ok(living, "migrate")
    assert states(living)["life"] == ("current", "1.2.0") and ok(living, "status").code == 0


BACK = ("rollback", "--interrupted")


def test_a_run_is_taken_back_and_says_so(living: Project, mysql: Server) -> None:
    """Also a step that somebody did by hand after it, and a key that changes: what was put in meanwhile stays."""
    assert "no interrupted run" in ok(living, *BACK, code=1).err
    before = mysql.execute("SHOW CREATE TABLE dev_life.weight")
    kill_half_way(living, mysql)
    mysql.execute("ALTER TABLE dev_life.weight ADD COLUMN note int")
    refused = ok(living, "migrate", code=6)
    assert "Or take back what it did: python -m my_pipeline --env dev rollback --interrupted." in refused.err
    is_sentence(living.run(*BACK))  # for the table is not as it was to be
    mysql.execute("ALTER TABLE dev_life.weight DROP COLUMN note")
    mysql.execute("INSERT INTO dev_life.aside (aside, what, size) VALUES (7, 'meanwhile', 3)")
    ok(living, *BACK)
    assert (
        states(living)["life"] == ("behind", "1.1.0") and mysql.execute("SHOW CREATE TABLE dev_life.weight") == before
    )
    assert mysql.execute("SELECT aside, what FROM dev_life.aside") == [(7, "meanwhile")]
    ok(living, "migrate")
    assert states(living)["life"] == ("current", "1.2.0") and ok(living, "status").code == 0
    assert [run["status"] for run in ok(living, "log", "--json").json["runs"]].count("withdrawn") == 1


def test_what_a_run_changes_of_another_schema_is_interrupted_with_it(living: Project, mysql: Server) -> None:
    """Its version stays, and nobody else changed it; when the run is taken back, it is as it was."""
    living.replace(living.module("life"), "animal_id : int32", "animal_id : int64")
    ok(living, "revise", "-m", "wider")
    proxy = Proxy("mysql", mysql.port)
    try:
        proxy.begin(Fault("ALTER TABLE `dev_life`.`animal_away`", "before", lambda: None))
        is_sentence(living.run("migrate", DJ_PORT=str(proxy.port), DJ_USE_TLS="false"))
    finally:
        proxy.close()
    assert "FOREIGN KEY" not in str(mysql.execute("SHOW CREATE TABLE dev_work.task_away"))
    shown = ok(living, "status", code=6).out
    assert shown.count("interrupted  migrate continues it, rollback --interrupted takes it back where") == 2, shown
    ok(living, *BACK)
    assert {state for state, _ in states(living).values()} == {"behind", "current"}


def test_a_rollback_that_was_interrupted_asks_for_the_code_that_has_what_goes(living: Project, mysql: Server) -> None:
    living.replace(living.module("life"), "    grams : float64", "    mood = null : varchar(8)\n    grams : float64")
    ok(living, "revise", "-m", "moods")
    ok(living, "migrate")
    kill_while_it_waits(living, mysql, "^ALTER TABLE.*weight", "rollback", "life", "--to", "1.0.0")
    continues = "rollback life --to 1.0.0 continues it"
    assert f"interrupted  {continues}" in ok(living, "status", code=6).out
    with put_back(living.folder / "src"):
        living.write(living.module("version"), VERSION)
        assert f"with the code that has 1.1.0, {continues}" in ok(living, "status", code=6).out
    ok(living, "migrate")
    assert states(living)["life"][0] in ("behind", "current")


def test_without_a_way_back_it_says_why(living: Project, mysql: Server) -> None:
    life = living.module("life")
    living.write(life, living.read(life) + ASIDE)
    ok(living, "revise", "-m", "aside")
    ok(living, "migrate")
    living.replace(life, "    what : varchar(9)\n", "    what : varchar(9)\n    size = null : int32\n")
    living.replace(life, "    grams : float64", "    mood = null : varchar(8)\n    grams : float64")
    ok(living, "revise", "-m", "more")
    path = "src/my_pipeline/migrations/life/1.2.0_more.py"
    text = living.read(path).replace("import ", "import RunSQL, ", 1)
    own = 'RunSQL("tell", mysql="INSERT INTO {life}.aside (aside, what) VALUES (1, \'x\')", postgresql=""),'
    text = text.replace("= [", f"= [\n    {own}", 1)
    living.write(path, text)
    kill_while_it_waits(living, mysql, "^ALTER TABLE.*weight", "migrate")
    refused = ok(living, *BACK, code=6)
    is_sentence(refused)
    assert (
        "no way back" in refused.err
        and "it ran the lab's own statements, and the file has none that undo them (tell)" in refused.err
    )
    living.write(
        path,
        text.replace('postgresql="")', 'postgresql="", back=Sql(mysql="DELETE FROM {life}.aside"))').replace(
            "RunSQL,", "RunSQL, Sql,", 1
        ),
    )
    ok(living, *BACK)
    assert states(living)["life"] == ("behind", "1.1.0") and mysql.execute("SELECT * FROM dev_life.aside") == []


def keys(mysql: Server, table: str) -> list[str]:
    """The columns, indexes and foreign keys of a table; the order of indexes means nothing."""
    ((_, text),) = mysql.execute(f"SHOW CREATE TABLE {table}")
    return sorted(line.strip().rstrip(",") for line in text.splitlines())


def test_an_index_that_the_server_made_for_a_foreign_key_keeps_its_name(living: Project, mysql: Server) -> None:
    """As DataJoint declares them; where such a key is added again, the server would call its index after the key."""
    life = living.module("life")
    shelf = '\n\n@schema\nclass Shelf(dj.Manual):\n    definition = "shelf : varchar(8)"\n'
    living.write(life, living.read(life) + shelf + ASIDE.replace("    what :", "    -> [nullable] Shelf\n    what :"))
    ok(living, "revise", "-m", "shelves")
    ok(living, "migrate")
    # Declared by DataJoint itself, and not by a migration, which names its indexes.
    mysql.execute(
        "ALTER TABLE dev_life.aside DROP FOREIGN KEY aside_ibfk_1, DROP INDEX shelf",
        "ALTER TABLE dev_life.aside ADD FOREIGN KEY shelf (shelf) REFERENCES dev_life.shelf (shelf) "
        "ON UPDATE CASCADE ON DELETE RESTRICT",
        "INSERT INTO dev_life.shelf (shelf) VALUES ('top')",
        "INSERT INTO dev_life.aside (aside, shelf, what) VALUES (1, 'top', 'x'), (2, NULL, 'y')",
    )
    before = keys(mysql, "dev_life.aside"), mysql.execute("SELECT aside, shelf, what FROM dev_life.aside")
    assert "KEY `shelf` (`shelf`)" in before[0] and states(living)["life"] == ("current", "1.1.0")
    place = "    -> [nullable] Shelf.proj(place='shelf')\n    size = null : int32\n"
    living.replace(life, "    -> [nullable] Shelf\n", place)
    ok(living, "revise", "-m", "places", "--rename", "Aside.shelf=place")
    (path,) = (living.folder / "src/my_pipeline/migrations/life").glob("*_places.py")
    text = path.read_text()
    add_sql(path, ABSENT)
    ok(living, "migrate", code=6)
    assert "KEY `shelf` (`shelf`)" not in keys(mysql, "dev_life.aside")
    ok(living, *BACK)
    assert (keys(mysql, "dev_life.aside"), mysql.execute("SELECT aside, shelf, what FROM dev_life.aside")) == before
    path.write_text(text)
    ok(living, "migrate")
    assert states(living)["life"][0] == "current" and ok(living, "status").code == 0


def test_a_statement_of_the_lab_that_failed_is_no_hindrance(living: Project, mysql: Server) -> None:
    """It did nothing, which the server said; what the steps before it did is taken back."""
    life = living.module("life")
    living.replace(life, "    grams : float64", "    mood = null : varchar(8)\n    grams : float64")
    before = mysql.execute("SHOW CREATE TABLE dev_life.weight")
    ok(living, "revise", "-m", "moods")
    path = "src/my_pipeline/migrations/life/1.1.0_moods.py"
    text = living.read(path).replace("import ", "import RunSQL, ", 1)
    broken = '    RunSQL("tell", mysql="UPDATE {life}.absent SET a = 1", postgresql=""),\n]\n'
    living.write(path, text.rstrip().removesuffix("]") + broken)
    refused = ok(living, "migrate", code=6)
    assert "Or take back what it did" in refused.err
    ok(living, *BACK)
    assert states(living)["life"] == ("behind", "1.0.0")
    assert mysql.execute("SHOW CREATE TABLE dev_life.weight") == before


PYTHON = """

def check(connection, databases):
    return connection.query(f"SELECT COUNT(*) FROM {databases['life']}.weight WHERE grams < 1000").fetchone()[0] == 0


def run(connection, databases):
    if connection.query(f"SELECT COUNT(*) FROM {databases['life']}.weight WHERE grams > 1000").fetchone()[0] == 2:
        raise ValueError("the scale is broken")
    connection.query(f"UPDATE {databases['life']}.weight SET grams = grams + 1000 WHERE grams < 1000 LIMIT 1")
    return not check(connection, databases)


operations = ["""


def test_what_the_labs_python_did_before_it_failed_is_not_called_nothing(living: Project, mysql: Server) -> None:
    """Its batches are transactions of their own; no command can know what it did."""
    life, path = living.module("life"), "src/my_pipeline/migrations/life/1.1.0_moods.py"
    living.replace(life, "    grams : float64", "    mood = null : varchar(8)\n    grams : float64")
    ok(living, "revise", "-m", "moods")
    text = living.read(path).replace("import ", "import RunPython, ", 1)
    text = text.replace("operations = [", PYTHON + '\n    RunPython("weigh", check=check, run=run),', 1)
    living.write(path, text)
    refused = ok(living, "migrate", code=6)
    assert "0 of 2 steps are done and recorded, and 2 batches of this one." in refused.err, refused.err
    assert "It cannot be taken back: it ran the lab's own Python (weigh)." in refused.err, refused.err
    assert states(living)["life"] == ("interrupted", "1.0.0")
    living.write(path, text.replace('raise ValueError("the scale is broken")', "pass"))
    ok(living, "migrate")
    assert states(living)["life"] == ("current", "1.1.0")
    assert mysql.execute("SELECT COUNT(*) FROM dev_life.weight WHERE grams NOT BETWEEN 1000 AND 1999") == [(0,)]


def test_foreign_keys_that_a_run_did_not_disturb_are_left_alone_on_the_way_back(living: Project, mysql: Server) -> None:
    """Another attribute, another type, another index: none of these needs the keys of the table to go."""
    tables = ("dev_life.animal", "dev_life.weight", "dev_work.task")
    before = [keys(mysql, table) for table in tables]
    name, note = "    name : varchar(32)  # what it is called\n", "    note = null : varchar(64)\n"
    living.replace(living.module("work"), note, note + "    size = null : int32\n")
    ok(living, "revise", "work", "-m", "sizes")
    changed = "    mood = null : varchar(8)\n    name : varchar(300)  # what it is called\n    unique index (name)\n"
    interrupted(living, name, changed)
    assert keys(mysql, tables[0]) != before[0]
    said = "SELECT statement FROM dev_life.`~migration_step` WHERE words LIKE 'take back:%'"
    ok(living, *BACK)
    assert keys(mysql, tables[0]) == before[0] and keys(mysql, tables[1]) == before[1]
    back = " ".join(text for (text,) in mysql.execute(said))
    assert "DROP COLUMN `mood`" in back and "FOREIGN KEY" not in back, back


def test_what_was_interrupted_while_it_was_taken_back_only_goes_further_back(living: Project, mysql: Server) -> None:
    kill_half_way(living, mysql)
    kill_while_it_waits(living, mysql, "^(LOCK|ALTER).*aside", *BACK, reads="dev_life.aside")
    assert "is being taken back" in ok(living, "migrate", code=6).err
    ok(living, *BACK)
    assert states(living)["life"] == ("behind", "1.1.0")
    assert "no interrupted run" in ok(living, *BACK, code=1).err


def test_a_draft_goes_on_by_the_code_as_it_was(living: Project, mysql: Server) -> None:
    life = living.module("life")
    before = living.read(life) + ASIDE
    kill_half_way(living, mysql, "--draft")
    living.write(life, before)
    ok(living, "migrate")  # ends the draft, and then goes back to what the files say
    assert states(living)["life"] == ("current", "1.1.0") and ok(living, "status").code == 0
    assert rows(living, "[len(life.Aside.heading.names), len(life.Weight.heading.names)]") == [2, 3]
    assert not list((living.folder / "backups").glob("*-draft.json"))


def test_a_draft_with_answers_is_ended_by_the_command_that_began_it(living: Project, mysql: Server) -> None:
    life = living.module("life")
    living.write(life, living.read(life) + ASIDE)
    ok(living, "revise", "-m", "aside")
    ok(living, "migrate")
    living.replace(life, "    what : varchar(9)\n", "    that : varchar(9)\n")
    living.replace(life, "    grams : float64", "    mood = null : varchar(8)\n    grams : float64")
    draft = ("migrate", "--draft", "--rename", "Aside.what=that")
    kill_while_it_waits(living, mysql, "^ALTER TABLE.*weight", *draft)
    assert states(living)["life"][0] == "interrupted"
    ok(living, *draft)
    assert rows(living, "'that' in life.Aside.heading.names and 'mood' in life.Weight.heading.names")
    assert "what" in ok(living, *draft, code=2).err  # now there is nothing to rename


def interrupted(living: Project, old: str, new: str, *arguments: str) -> None:
    """Change the code of ``life``, and break the migration off at its end."""
    living.replace(living.module("life"), old, new)
    ok(living, "revise", "-m", "broken", *arguments)
    (path,) = (living.folder / "src/my_pipeline/migrations/life").glob("*_broken.py")
    add_sql(path, ABSENT)
    ok(living, "migrate", code=6)


def test_what_is_done_to_tables_of_jobs_is_not_done_twice(living: Project, mysql: Server) -> None:
    """Whose rows nobody misses, so that they are no part of what must be as before."""
    living.python("-c", "from my_pipeline import work\nwork.Score.jobs.refresh()")
    assert mysql.execute("SHOW TABLES FROM dev_work LIKE '~~score'")
    work = living.module("work")
    text = living.read(work)
    renamed = text.replace("    task :", "    job :").replace('key["task"]', 'key["job"]')
    for changed, options, statement in (
        (renamed, "--rename Task.task=job", "ALTER TABLE `dev_work`.`~~score`"),
        (renamed.replace("class Score", "class Points"), "--rename-table Score=Points", "RENAME TABLE `dev_work`.`~~"),
        (renamed[: renamed.index("\n\n@schema\nclass Score")], "--drop Points", "DROP TABLE `dev_work`.`~~points`"),
    ):
        living.write(work, changed)
        ok(living, "revise", "-m", "jobs", *options.split())
        proxy = Proxy("mysql", mysql.port)
        try:
            fault = Fault(statement, "after", lambda: None)
            proxy.begin(fault)
            is_sentence(living.run("migrate", DJ_PORT=str(proxy.port), DJ_USE_TLS="false"))
        finally:
            proxy.close()
        assert fault.struck.is_set() and states(living)["work"][0] == "interrupted"
        ok(living, "migrate")
        assert ok(living, "status").code == 0
    assert not mysql.execute("SHOW TABLES FROM dev_work LIKE '~~%'")


def test_a_table_of_jobs_that_was_just_made_goes_on_the_way_back(living: Project, mysql: Server) -> None:
    """Killed when the server has made it and the record does not say so; the jobs stay where they are."""
    mysql.execute("INSERT INTO dev_work.task (animal_id, task) VALUES (1, 'new')")
    living.python("-c", "from my_pipeline import work\nwork.Score.jobs.refresh()")
    before = mysql.execute("SELECT * FROM dev_work.`~~score`")
    assert before
    living.replace(living.module("life"), "animal_id : int32", "animal_id : int64")
    ok(living, "revise", "-m", "wider")
    there = "SHOW TABLES FROM dev_work LIKE '~~%'"
    for _ in range(2):
        cut(living, mysql, "CREATE TABLE `dev_work`.`~~score_away`", "migrate")
        assert mysql.execute(there) == [("~~score",), ("~~score_away",)]
        ok(living, *BACK)
        assert mysql.execute(there) == [("~~score",)]
        assert mysql.execute("SELECT * FROM dev_work.`~~score`") == before
    ok(living, "migrate")
    assert mysql.execute(there) == [("~~score",)]


#: A change, what somebody writes before it is taken back, what the refusal names, and what puts it right.
MEANWHILE = [
    (
        ("    what : varchar(9)", "    what = null : varchar(9)"),
        "INSERT INTO dev_life.aside (aside, what) VALUES (7, NULL)",
        "1 row of life.Aside without what",
        "DELETE FROM dev_life.aside WHERE aside = 7",
    ),
    (
        ("    unique index (size)", "    index (size)"),
        "INSERT INTO dev_life.aside (aside, size, what) VALUES (7, 1, ''), (8, 1, '')",
        "1 value of (size) that rows of life.Aside have in common",
        "DELETE FROM dev_life.aside WHERE aside = 7",
    ),
    (
        ("    -> [nullable] Animal", "    animal_id = null : int32"),
        "INSERT INTO dev_life.aside (aside, animal_id, what) VALUES (7, 99, '')",
        "1 row of life.Aside whose (animal_id) is in no row of life.Animal",
        "UPDATE dev_life.aside SET animal_id = NULL",
    ),
    (
        ("    what : varchar(9)", "    mood = null : int32\n    what : varchar(9)"),
        "CREATE VIEW dev_life.moods AS SELECT mood FROM dev_life.aside",
        "1 view that reads mood of life.Aside: dev_life.moods",
        "DROP VIEW dev_life.moods",
    ),
    (
        ("    what : varchar(9)", "    that : varchar(9)", "--rename", "Aside.what=that"),
        "CREATE TRIGGER dev_life.thats BEFORE INSERT ON dev_life.aside FOR EACH ROW SET NEW.that = UPPER(NEW.that)",
        "1 trigger that names that of life.Aside: thats",
        "DROP TRIGGER dev_life.thats",
    ),
]


def test_rows_that_the_tables_of_before_do_not_take_are_counted_before_anything_is_taken_back(
    living: Project, mysql: Server
) -> None:
    """And so the run can still be gone on with."""
    life = living.module("life")
    more = "    -> [nullable] Animal\n    size = null : int32\n    what : varchar(9)\n    unique index (size)\n"
    living.write(life, living.read(life) + ASIDE.replace("    what : varchar(9)\n", more))
    ok(living, "revise", "-m", "aside")
    ok(living, "migrate")
    before = keys(mysql, "dev_life.aside")
    for (old, new, *options), written, named, corrected in MEANWHILE:
        with put_back(living.folder / "src"):
            interrupted(living, old, new, *options)
            now = keys(mysql, "dev_life.aside")
            mysql.execute(written)
            refused = ok(living, *BACK, code=6)
            is_sentence(refused)
            assert named in refused.err and "nothing was changed" in refused.err, refused.err
            assert keys(mysql, "dev_life.aside") == now and states(living)["life"][0] == "interrupted"
            mysql.execute(corrected)
            ok(living, *BACK)
            assert keys(mysql, "dev_life.aside") == before


def test_where_nothing_was_taken_back_the_run_can_be_gone_on_with(living: Project, mysql: Server) -> None:
    """Somebody holds a table that is locked with the others; it is named, whatever the step is about."""
    living.replace(living.module("life"), "animal_id : int32", "animal_id : int64")
    ok(living, "revise", "-m", "wider")
    (path,) = (living.folder / "src/my_pipeline/migrations/life").glob("*_wider.py")
    add_sql(path, ABSENT)
    with closing(mysql.connect(autocommit=False)) as reader, reader.cursor() as cursor:
        cursor.execute("SELECT COUNT(*) FROM dev_life.weight")
        held = hurried(living, 1, "migrate")
        assert held.code == 1 and "weight is held by" in held.err and "Nothing was changed" in held.err, held.err
        cursor.execute("ROLLBACK")
        ok(living, "migrate", code=6)
        cursor.execute("SELECT COUNT(*) FROM dev_life.weight")
        refused = hurried(living, 1, *BACK)
        is_sentence(refused)
        assert refused.code == 6 and "Step 1 of " in refused.err and "Nothing was changed" in refused.err, refused.err
        assert "weight is held by" in refused.err, refused.err
    path.write_text(path.read_text().replace(ABSENT, "DO 0"))
    ok(living, "migrate")
    assert states(living)["life"][0] == "current" and ok(living, "status").code == 0


def test_a_table_that_the_labs_own_statement_made_is_named(living: Project, mysql: Server) -> None:
    """Each time, until it is gone; statements that lead back make it so."""
    living.replace(living.module("life"), "    grams : float64", "    mood = null : varchar(9)\n    grams : float64")
    ok(living, "revise", "-m", "mood")
    (path,) = (living.folder / "src/my_pipeline/migrations/life").glob("*_mood.py")
    add_sql(path, "CREATE TABLE {life}.own (i int)")
    text = path.read_text()
    for _ in range(2):
        refused = ok(living, "migrate", code=6)
        is_sentence(refused)
        assert "a table life.Own that the code does not have" in refused.err and "Drop it" in refused.err, refused.err
    assert "none that undo them" in ok(living, *BACK, code=6).err
    leading_back = text.replace("import RunSQL", "import RunSQL, Sql").replace(
        'postgresql=""', 'postgresql="", back=Sql(mysql="DROP TABLE {life}.own")'
    )
    path.write_text(leading_back)
    ok(living, *BACK)
    assert states(living)["life"] == ("behind", "1.0.0") and not mysql.execute("SHOW TABLES FROM dev_life LIKE 'own'")
    assert "a table life.Own" in ok(living, "migrate", code=6).err
    mysql.execute("DROP TABLE dev_life.own")
    ok(living, "migrate")
    assert states(living)["life"][0] == "current" and ok(living, "status").code == 0


def cut(living: Project, mysql: Server, statement: str, *arguments: str) -> None:
    """Run a command whose session is lost after a statement."""
    proxy, fault = Proxy("mysql", mysql.port), Fault(statement, "after", lambda: None)
    try:
        proxy.begin(fault)
        is_sentence(living.run(*arguments, DJ_PORT=str(proxy.port), DJ_USE_TLS="false"))
        assert fault.struck.is_set()
    finally:
        proxy.close()


WITHOUT_PARENT = "INSERT INTO dev_life.weight (animal_id, day, grams) VALUES (99, '2026-01-01', 1)"


def refused(mysql: Server) -> None:
    with pytest.raises(Exception, match=r"doesn't exist|a foreign key constraint fails"):
        mysql.execute(WITHOUT_PARENT)


def test_a_table_that_goes_or_comes_back_takes_no_row_without_its_parent(living: Project, mysql: Server) -> None:
    """Also where the run is killed while its foreign keys are gone, and where it is taken back."""
    before = mysql.execute("SHOW CREATE TABLE dev_life.weight"), mysql.execute("SELECT * FROM dev_life.weight")
    life = living.module("life")
    text = living.read(life)
    start = text.index("@schema\nclass Weight")
    end = text.find("@schema", start + 1)
    living.write(life, text[:start] + (text[end:] if end > 0 else ""))
    ok(living, "revise", "-m", "no weights", "--drop", "Weight")
    drop, away = "ALTER TABLE `dev_life`.`weight_away`\n  DROP FOREIGN KEY", "RENAME TABLE `dev_life`.`weight_away` TO"
    for statement in (drop, away):
        cut(living, mysql, statement, "migrate")
        refused(mysql)
        cut(living, mysql, "ALTER TABLE `dev_life`.`weight_away`", *BACK)
        refused(mysql)
        ok(living, *BACK)
        assert (
            mysql.execute("SHOW CREATE TABLE dev_life.weight"),
            mysql.execute("SELECT * FROM dev_life.weight"),
        ) == before
    cut(living, mysql, drop, "migrate")
    ok(living, "migrate")
    assert "life.Weight" in ok(living, "purge", "--dry-run").out
    back = "rollback", "life", "--to", "1.0.0"
    cut(living, mysql, "RENAME TABLE `dev_life`.`~dropped_weight` TO", *back)
    refused(mysql)
    ok(living, *BACK)
    cut(living, mysql, "ALTER TABLE `dev_life`.`weight_away`", *back)
    refused(mysql)
    cut(living, mysql, "ALTER TABLE `dev_life`.`weight_away`", *BACK)
    refused(mysql)
    ok(living, *BACK)
    ok(living, *back)
    assert (
        mysql.execute("SHOW CREATE TABLE dev_life.weight"),
        mysql.execute("SELECT * FROM dev_life.weight"),
    ) == before
    refused(mysql)


def test_progress_names_hidden_tables_as_the_code_does(living: Project, mysql: Server) -> None:
    mysql.execute("INSERT INTO dev_work.task (animal_id, task) VALUES (1, 'new')")
    living.python("-c", "from my_pipeline import work\nwork.Score.jobs.refresh()")
    (before,) = ok(living, "progress", "--json").json["tables"]
    assert before["table"] == "work.Score" and before["pending"] == 1
    living.replace(living.module("life"), "animal_id : int32", "animal_id : int64")
    ok(living, "revise", "-m", "wider")
    cut(living, mysql, "RENAME TABLE", "migrate")
    assert mysql.execute("SHOW TABLES FROM dev_work LIKE '__score_away'")
    (found,) = ok(living, "progress", "--json").json["tables"]
    counts = ("table", "total", "done", "pending", "waiting", "state")
    assert [found[name] for name in counts] == [before[name] for name in counts]
    cut(living, mysql, "ALTER TABLE `dev_work`.`__score_away`", "migrate")
    told = ok(living, "progress").out
    assert "work.Score" in told and "away" not in told.lower(), told
    ok(living, "migrate")


@pytest.mark.parametrize("source", ["dev_life.animal", "(SELECT notes.beasts()) beasts"])
def test_a_trigger_finds_the_tables_that_it_names(living: Project, mysql: Server, source: str) -> None:
    """They keep their names while the tables below them are filled; also those that a function or view of it names."""
    mysql.execute(
        "DROP DATABASE IF EXISTS notes",
        "CREATE DATABASE notes",
        "CREATE TABLE notes.told (n int) ENGINE = InnoDB",
        "CREATE TRIGGER dev_work.tell AFTER UPDATE ON dev_work.task FOR EACH ROW "
        f"INSERT INTO notes.told SELECT COUNT(*) FROM {source}",
        "CREATE VIEW notes.every AS SELECT animal_id FROM dev_life.animal",
        "CREATE FUNCTION notes.`Beasts`() RETURNS int READS SQL DATA RETURN (SELECT COUNT(*) FROM notes.every)",
    )
    try:
        living.replace(living.module("life"), "    ---\n    name", "    herd : int16\n    ---\n    name")
        ok(living, "revise", "-m", "herds", "--fill", "life.Animal.herd=7")
        ok(living, "migrate")
        assert states(living)["life"][0] == "current"
        assert mysql.execute("SELECT COUNT(*) FROM notes.told")[0][0] > 0
    finally:
        mysql.drop("notes")


TELLING = (
    "DROP DATABASE IF EXISTS notes",
    "CREATE DATABASE notes",
    "CREATE TABLE notes.told (n int) ENGINE = InnoDB",
    "CREATE VIEW notes.every AS SELECT animal_id FROM dev_life.animal",
    "CREATE FUNCTION notes.`Beasts`() RETURNS int READS SQL DATA RETURN (SELECT COUNT(*) FROM notes.every)",
    "CREATE TRIGGER dev_work.tell AFTER UPDATE ON dev_work.task FOR EACH ROW "
    "INSERT INTO notes.told SELECT COUNT(*) FROM dev_life.animal, dev_life.weight, (SELECT notes.beasts()) b",
)


def test_a_table_that_a_trigger_names_takes_no_row_without_its_parent(living: Project, mysql: Server) -> None:
    """It is hidden where nothing of the run fires the trigger, also by a function that reads it through a view."""
    mysql.execute(*TELLING)
    try:
        living.replace(living.module("life"), "animal_id : int32", "animal_id : int64")
        ok(living, "revise", "-m", "wider")
        assert "triggers keep" not in ok(living, "migrate", "--dry-run", code=3).out
        for command in (("migrate",), BACK):
            cut(living, mysql, "ALTER TABLE `dev_life`.`weight_away`", *command)
            refused(mysql)
        ok(living, *BACK)
        refused(mysql)
        ok(living, "migrate")
        refused(mysql)
        mysql.execute("UPDATE dev_work.task SET note = 'x'")
        assert mysql.execute("SELECT COUNT(*) FROM notes.told")[0][0] > 0
    finally:
        mysql.drop("notes")


def test_a_table_that_cannot_be_hidden_is_named_beforehand_and_the_stop_leads_on(
    living: Project, mysql: Server
) -> None:
    """Where the run fires the trigger that names it, which has to find it."""
    mysql.execute(*TELLING)
    try:
        living.replace(living.module("life"), "    ---\n    name", "    herd : int16\n    ---\n    name")
        ok(living, "revise", "-m", "herds", "--fill", "life.Animal.herd=7")
        told = " ".join(ok(living, "migrate", "--dry-run", code=3).out.split())
        assert "triggers keep life.Animal, life.Weight from being hidden: if this is killed, run it again" in told, told
        cut(living, mysql, "ALTER TABLE `dev_life`.`weight`", "migrate")
        mysql.execute(WITHOUT_PARENT)
        stopped = living.run("migrate")
        is_sentence(stopped)
        said = " ".join(stopped.err.split())
        assert "1 row of life.Weight (animal_id, day" in said and "has no row of life.Animal" in said, said
        mysql.execute("DELETE FROM dev_life.weight WHERE animal_id = 99")
        ok(living, "migrate")
        assert states(living)["life"] == ("current", "2.0.0")
    finally:
        mysql.drop("notes")


def test_a_hidden_table_that_somebody_made_anew_is_named(living: Project, mysql: Server) -> None:
    """As DataJoint does by itself where nothing keeps it from that."""
    living.replace(living.module("life"), "animal_id : int32", "animal_id : int64")
    ok(living, "revise", "-m", "wider")
    cut(living, mysql, "ALTER TABLE `dev_life`.`animal_away`", "migrate")
    mysql.execute("CREATE TABLE dev_life.animal (animal_id int PRIMARY KEY)")
    for command in (("migrate",), BACK):
        said = living.run(*command)
        is_sentence(said)
        assert "There is another dev_life.animal, while the run has the table hidden as animal_away" in said.err, (
            said.err
        )
    mysql.execute("DROP TABLE dev_life.animal")
    ok(living, "migrate")
    assert states(living)["life"] == ("current", "1.1.0")


def test_an_interrupted_rollback_is_gone_on_with_by_its_own_command(living: Project, mysql: Server) -> None:
    """And not by `migrate`, which would then lead to the version that somebody wanted to leave."""
    living.replace(living.module("life"), "animal_id : int32", "animal_id : int64")
    ok(living, "revise", "-m", "wider")
    ok(living, "migrate")
    back = ("rollback", "life", "--to", "1.0.0")
    said = "rollback life --to 1.0.0"
    proxy = Proxy("mysql", mysql.port)
    try:
        proxy.begin(Fault("ALTER TABLE `dev_life`.`weight_away`", "after", lambda: None))
        refused = living.run(*back, DJ_PORT=str(proxy.port), DJ_USE_TLS="false")
    finally:
        proxy.close()
    assert f"{said} again; it goes on from there" in " ".join(refused.err.split()), refused.err
    assert f"{said} continues it" in " ".join(ok(living, "status", code=6).out.split())
    assert f"Run {said}." in " ".join(ok(living, "diff").out.split())
    assert f"{said}, which ends it" in " ".join(ok(living, "access", "plan", code=6).err.split())
    ok(living, *back)
    assert states(living)["life"] == ("behind", "1.0.0")


def test_the_dry_run_of_a_run_that_was_killed_before_its_first_step_shows_all_of_it(
    living: Project, mysql: Server
) -> None:
    living.replace(living.module("life"), "    grams : float64", "    mood = null : varchar(8)\n    grams : float64")
    ok(living, "revise", "-m", "more")
    shown = ok(living, "migrate", "--dry-run", "--json", code=3).json["groups"]
    kill_while_it_waits(living, mysql, "^ALTER TABLE.*weight", "migrate")
    told = ok(living, "migrate", "--dry-run", code=6).out
    assert "It was interrupted: 0 steps are done of 1. Still to be done:" in told and "add mood in life.Weight" in told
    left = ok(living, "migrate", "--dry-run", "--json", code=6).json["groups"]
    assert left[0]["statements"] == shown[0]["statements"]
    shown = ok(living, *BACK, "--dry-run").err
    assert "interrupted before it changed a table: it would be ended" in shown, shown
    assert "Ended migrate of life, which was interrupted before it changed a table." in ok(living, *BACK).err
    ok(living, "migrate")
    assert states(living)["life"] == ("current", "1.1.0")


def test_init_whose_connection_is_lost_blames_no_definition(living: Project, mysql: Server) -> None:
    mysql.drop("dev_work")
    proxy = Proxy("mysql", mysql.port)
    try:
        proxy.begin(Fault("CREATE TABLE IF NOT EXISTS `dev_work`.`task`", "before", lambda: None))
        lost = living.run("init", DJ_PORT=str(proxy.port), DJ_USE_TLS="false")
    finally:
        proxy.close()
    is_sentence(lost)
    assert "The connection to the server was lost" in lost.err, lost.err
    ok(living, "init")
    assert states(living)["work"] == ("current", "1.0.0")


def test_a_rollback_that_cannot_be_taken_back_is_gone_on_with_by_its_own_command(
    living: Project, mysql: Server
) -> None:
    living.replace(living.module("life"), "    grams : float64", "    mood = null : varchar(8)\n    grams : float64")
    ok(living, "revise", "-m", "more")
    path = next((living.folder / "src/my_pipeline/migrations/life").glob("1.1.0_*.py"))
    add_sql(path, "UPDATE {life}.weight SET mood = 'calm'")
    text = path.read_text().replace("import RunSQL", "import RunSQL, Sql", 1)
    path.write_text(text.replace('postgresql=""', 'postgresql="", back=Sql(mysql="DO SLEEP(0)")'))
    assert "no-way-back" not in ok(living, "migrate", "--dry-run", code=3).out
    ok(living, "migrate")
    back = ("rollback", "life", "--to", "1.0.0")
    cut(living, mysql, "DO SLEEP(0)", *back)
    refused = ok(living, *BACK, code=6)
    assert f"then run python -m my_pipeline --env dev {' '.join(back)}, which goes on" in refused.err, refused.err
