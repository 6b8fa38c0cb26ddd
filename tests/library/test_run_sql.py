"""What a `RunSQL` says is divided into its statements, each of which runs by itself, on either server."""

from __future__ import annotations

import pytest
from conftest import Project, Server
from living import add_sql, is_sentence, ok, states
from test_judging import FOLDER
from test_judging import living as living

from datajoint_pipeline.dialects.statements import split

assert living  # a fixture

TRIGGER = """CREATE TRIGGER `t` BEFORE INSERT ON `w` FOR EACH ROW BEGIN
  IF NEW.a > 1 THEN SET NEW.a = CASE WHEN 1 THEN 2 END; ELSE SET NEW.a = IF(1, 2, 3); END IF;
  l: LOOP LEAVE l; END LOOP;
END"""
FUNCTION = "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $_$ BEGIN a; b; END; $_$"
ATOMIC = "CREATE FUNCTION g() RETURNS int BEGIN ATOMIC SELECT 1; SELECT CASE 1 WHEN 1 THEN 2 END; END"


@pytest.mark.parametrize("backend", ["mysql", "postgresql"])
@pytest.mark.parametrize(
    ("text", "statements"),
    [
        ("a; b", ["a", "b"]),
        ("a;\nb;\n", ["a", "b"]),
        ("a;;\n ; b", ["a", "b"]),
        ("", []),
        ("a 'x;y'; b \"x;y\"", ["a 'x;y'", 'b "x;y"']),
        ("a 'it''s;'; b", ["a 'it''s;'", "b"]),
        ("a -- x; y\n; b", ["a -- x; y", "b"]),
        ("-- first\na; -- done; really\n", ["-- first\na"]),
        ("a /* x; y */; b", ["a /* x; y */", "b"]),
        ("a (b; c); d", ["a (b; c)", "d"]),
        ("BEGIN; a; END; b", ["BEGIN", "a", "END", "b"]),
        ("SELECT CASE a WHEN 1 THEN 2 END; b", ["SELECT CASE a WHEN 1 THEN 2 END", "b"]),
        ("DROP TABLE IF EXISTS a; b", ["DROP TABLE IF EXISTS a", "b"]),
        (f"a; {TRIGGER}; b", ["a", TRIGGER, "b"]),
        (f"{ATOMIC}; b", [ATOMIC, "b"]),
        ("CREATE TRIGGER t BEFORE INSERT ON w FOR EACH ROW SET NEW.a = 1; b",
         ["CREATE TRIGGER t BEFORE INSERT ON w FOR EACH ROW SET NEW.a = 1", "b"]),
        ("CREATE TRIGGER t BEFORE INSERT ON w FOR EACH ROW IF 1 THEN SET NEW.a = 1; END IF; b",
         ["CREATE TRIGGER t BEFORE INSERT ON w FOR EACH ROW IF 1 THEN SET NEW.a = 1; END IF", "b"]),
    ],
)  # fmt: skip
def test_statements(backend: str, text: str, statements: list[str]) -> None:
    assert list(split(backend, text)) == statements


def test_what_one_server_reads_otherwise() -> None:
    assert split("mysql", r"a 'x\'; y'; b") == (r"a 'x\'; y'", "b")
    assert split("postgresql", "a 'x\\'; b 'y'") == ("a 'x\\'", "b 'y'")
    assert split("postgresql", r"a E'x\'; y'; b") == (r"a E'x\'; y'", "b")
    assert split("postgresql", f"{FUNCTION}; b; DO $$ c; $$") == (FUNCTION, "b", "DO $$ c; $$")
    assert split("postgresql", "a /* /* ; */ ; */; b") == ("a /* /* ; */ ; */", "b")
    assert split("postgresql", "a # b; c --; d\n; e") == ("a # b", "c --; d", "e")
    assert split("mysql", "a # b; c\n; d `x;y`; /*!80000 e; */") == ("a # b; c", "d `x;y`", "/*!80000 e; */")
    assert split("mysql", "SELECT 1--1; b") == ("SELECT 1--1", "b")


def own(living: Project, sql: str, words: str = "notes") -> None:
    """Put statements for both servers into a new migration."""
    living.replace(
        living.module("work"), "note = null : varchar(64)", f"note = null : varchar(64)\n    {words} = null : int32"
    )
    ok(living, "revise", "-m", words)
    path = next((living.folder / FOLDER / "work").glob(f"*_{words}.py"))
    text = path.read_text().replace("import ", "import RunSQL, ", 1).rstrip().removesuffix("]")
    path.write_text(f"{text}    RunSQL('tell', mysql={sql!r}, postgresql={sql!r}),\n]\n")


def notes(server: Server) -> list[tuple[object, ...]]:
    return server.execute("SELECT note, numbered FROM dev_work.task ORDER BY animal_id")


def test_two_statements_on_one_line(living: Project, server: Server) -> None:
    own(living, "UPDATE {work}.task SET note = 'a; b'; UPDATE {work}.task SET numbered = 7 /* ; */", "numbered")
    shown = ok(living, "migrate", "--dry-run", code=3).out
    assert "tell (1 of 2)" in shown and "tell (2 of 2)" in shown
    ok(living, "migrate")
    assert {*notes(server)} == {("a; b", 7)}


@pytest.mark.both_servers
def test_a_statement_copies_what_is_split_off(living: Project, server: Server) -> None:
    """Its place is after the table that is made, and there the attribute is not gone yet, as `revise` wrote the file."""
    note = "    ---\n    note = null : varchar(64)\n"
    living.replace(living.module("work"), note, "")
    text = living.read(living.module("work")).rstrip()
    told = f'class Told(dj.Manual):\n    definition = """\n    -> Task\n{note}    """\n'
    living.write(living.module("work"), f"{text}\n\n\n@schema\n{told}")
    ok(living, "revise", "-m", "told", "--drop", "Task.note")
    path = next((living.folder / FOLDER / "work").glob("*_told.py"))
    text = path.read_text()
    assert text.index("CreateTable(") < text.index("DropAttribute(")
    sql = "INSERT INTO {work}.told (animal_id, task, note) SELECT animal_id, task, note FROM {work}.task"
    run = f"    RunSQL('copy', mysql={sql!r}, postgresql={sql!r}),\n"
    text = text.replace("import ", "import RunSQL, ", 1)
    path.write_text(text.replace("    DropAttribute(", f"{run}    DropAttribute("))
    ok(living, "check")
    ok(living, "migrate")
    told = "SELECT animal_id, note FROM dev_work.told ORDER BY animal_id"
    assert server.execute(told) == [(1, "well"), (2, None)]
    assert states(living)["work"][0] == "current"


@pytest.mark.parametrize("server", ["mysql"], indirect=True)
def test_a_trigger_with_a_body_and_delimiter(living: Project, server: Server) -> None:
    body = "FOR EACH ROW BEGIN SET NEW.note = 'x'; SET NEW.numbered = 1; END"
    own(living, f"DELIMITER //\nCREATE TRIGGER {{work}}.t BEFORE UPDATE ON {{work}}.task {body}//", "numbered")
    refused = ok(living, "migrate", "--dry-run", code=1)
    is_sentence(refused)
    assert "begins with DELIMITER" in refused.err
    path = f"{FOLDER}/work/1.1.0_numbered.py"
    living.replace(path, "DELIMITER //\\n", "")
    living.replace(path, "END//", "END; UPDATE {work}.task SET note = 'y'; DROP TRIGGER {work}.t")
    ok(living, "migrate")
    assert {*notes(server)} == {("x", 1)}
    assert states(living)["work"][0] == "current"


@pytest.mark.both_servers
def test_statements_of_another_schema_do_not_come_between_two_that_belong_together(
    living: Project, server: Server
) -> None:
    """A key that goes from the first of three schemas to the last, while the one between has statements of its own."""
    living.write(
        living.module("mid"),
        "import datajoint as dj\n\nfrom . import open_schema\n\nschema = open_schema('mid')\n\n\n@schema\n"
        'class Thing(dj.Manual):\n    definition = """\n    thing_id : int32\n    ---\n    size = null : int32\n    """\n',
    )
    living.replace(living.module("version"), '"work":', '"mid": "1.0.0", "work":')
    ok(living, "revise", "mid", "-m", "things")
    ok(living, "init")
    living.replace(living.module("mid"), "size = null", "wide = null : int32\n    size = null")
    ok(living, "revise", "-m", "wide")
    (path,) = (living.folder / FOLDER / "mid").glob("1.1.0_wide.py")
    text = path.read_text().replace("import ", "import RunSQL, ", 1).rstrip().removesuffix("]")
    sql = "UPDATE {mid}.thing SET wide = size"
    path.write_text(f"{text}    RunSQL('widen', mysql={sql!r}, postgresql={sql!r}),\n]\n")
    name = "    name : varchar(32)  # what it is called\n"
    living.replace(living.module("life"), f"    ---\n{name}", f"{name}    ---\n")
    ok(living, "revise", "-m", "named")
    shown = ok(living, "migrate", "--dry-run", "--json", code=3).json["groups"]
    assert len(shown) == 2, [group["statements"] for group in shown]
    ok(living, "check")
    ok(living, "migrate")
    assert {state for state, _ in states(living).values()} == {"current"}
    assert server.execute("SELECT DISTINCT name FROM dev_work.task ORDER BY 1") == [("Ada",), ("Bob",)]
    ok(living, "rollback", "life", "--to", "1.0.0", "--along")
    ok(living, "migrate")


@pytest.mark.both_servers
def test_statements_in_the_file_of_a_key_that_changes_in_two_schemas(living: Project, server: Server) -> None:
    """They run when no foreign key of the other schema leads to the old key any more, and their undoing, too."""
    name = "    name : varchar(32)  # what it is called\n"
    living.replace(living.module("life"), f"    ---\n{name}", f"{name}    ---\n")
    ok(living, "revise", "-m", "named")
    (path,) = (living.folder / FOLDER / "life").glob("*_named.py")
    text = path.read_text().replace("import ", "import RunSQL, Sql, ", 1).rstrip().removesuffix("]")
    sql, back = "UPDATE {life}.animal SET colour = 'white'", "UPDATE {life}.animal SET colour = 'grey'"
    statements = f"mysql={sql!r}, postgresql={sql!r}, back=Sql(mysql={back!r}, postgresql={back!r})"
    path.write_text(f"{text}    RunSQL('whiten', {statements}),\n]\n")
    before = server.execute("SELECT COUNT(*) FROM dev_work.task")
    ok(living, "migrate", "--dry-run", code=3)
    ok(living, "migrate")
    assert {state for state, _ in states(living).values()} == {"current"}
    assert server.execute("SELECT DISTINCT name FROM dev_work.task ORDER BY 1") == [("Ada",), ("Bob",)]
    assert server.execute("SELECT DISTINCT colour FROM dev_life.animal") == [("white",)]
    ok(living, "rollback", "life", "--to", "1.0.0", "--along")
    assert server.execute("SELECT DISTINCT colour FROM dev_life.animal") == [("grey",)]
    assert server.execute("SELECT COUNT(*) FROM dev_work.task") == before
    ok(living, "migrate")


def test_statements_that_no_order_helps_are_told_where_they_belong(living: Project) -> None:
    """Between a table that goes and one of another schema that refers to it."""
    life, work = living.module("life"), living.module("work")
    own, text = living.read(work), living.read(life)
    note = 'class Note(dj.Manual):\n    definition = """\n    -> life.Weight\n    """\n'
    living.write(work, f"{own}\n\n@schema\n{note}")
    ok(living, "revise", "-m", "note")
    ok(living, "migrate")
    living.write(work, own)
    living.write(life, text.partition("\n\n@schema\nclass Weight")[0] + "\n")
    ok(living, "revise", "-m", "fewer", "--drop", "work.Note", "--drop", "life.Weight")
    (path,) = (living.folder / FOLDER / "life").glob("*_fewer.py")
    add_sql(path, "SELECT 1")
    refused = ok(living, "migrate", "--dry-run", code=1)
    assert "Move 'own' to the end of work/2.0.0_fewer.py" in " ".join(refused.err.split()), refused.err
    path.write_text(path.read_text().replace('    RunSQL("own", mysql="SELECT 1", postgresql=""),\n', ""))
    (path,) = (living.folder / FOLDER / "work").glob("*_fewer.py")
    add_sql(path, "SELECT 1")
    ok(living, "migrate")
    assert {state for state, _ in states(living).values()} == {"current"}
