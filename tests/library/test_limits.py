"""What a server would not hold is told before the first step, and to the byte as the server has it."""

from __future__ import annotations

import string
from collections.abc import Iterator
from contextlib import closing
from random import Random
from typing import Any

import pytest
from conftest import Project, Server
from living import is_sentence, lay, ok, put_back, states
from living import living as made

from datajoint_pipeline.dialects import steps as step
from datajoint_pipeline.dialects.mysql import limits

TYPES = (
    *("tinyint", "smallint", "int", "bigint", "float", "double", "bool", "date", "datetime", "datetime(3)", "time(6)"),
    *("decimal(5,0)", "decimal(8,2)", "decimal(20,6)", "binary(16)", "longblob", "json", "enum('a', 'b')", "text"),
    *("varchar(9)", "varchar(10)", "varchar(63)", "varchar(64)", "char(9)", "char(10)", "char(63)", "char(64)"),
    *("varbinary(39)", "varbinary(40)", "binary(200)", "char(255)", "varchar(255)"),
)
BROAD = ("varchar(3000)", "varchar(9000)", "varbinary(9999)", "char(200)", "varchar(1)")


def columns(random: Random, server_limit: bool, old_format: str = "") -> list[object]:
    """The columns of a table that is a few bytes below or above a limit."""
    most = (limits.ROW_BYTES if server_limit else limits.PAGE_BYTES) + random.randint(-4, 5)
    found: list[object] = []

    def add(sql: str, nullable: bool) -> bool:
        found.append(step.Column(f"c{len(found)}", sql, sql, nullable, None, ""))
        if limits.row(found, 4, old_format)[not server_limit] > most:
            found.pop()
            return False
        return True

    add("int", False)
    while add(random.choice(BROAD if server_limit else TYPES), random.random() < 0.5):
        pass
    for _ in range(12):
        add(random.choice(TYPES), random.random() < 0.5)
    while server_limit and add("varchar(60)", False):
        pass
    while add("tinyint", False):
        pass
    return found


@pytest.fixture
def cursor(mysql: Server) -> Iterator[Any]:
    """Of a connection to a database of the test's own."""
    mysql.drop("limits")
    mysql.execute("CREATE DATABASE limits CHARACTER SET utf8mb4")
    with closing(mysql.connect()) as connection, connection.cursor() as cursor:
        cursor.execute("USE limits")
        yield cursor
    mysql.drop("limits")


def takes(cursor: Any, table: str, refusal: str, options: str = "") -> bool:
    """Whether the server makes a table; if not, it has to say why."""
    try:
        cursor.execute(f"CREATE TABLE {table} ENGINE = InnoDB {options}")
    except Exception as error:
        assert refusal in str(error), error
        return False
    return True


@pytest.mark.parametrize("server_limit", [True, False], ids=["row", "page"])
def test_a_row_is_as_long_as_the_server_says(cursor: Any, server_limit: bool) -> None:
    random, taken = Random(7), []
    for number in range(30):
        shape = columns(random, server_limit)
        listed = ", ".join(f"{c.name} {c.sql} {'NULL' if c.nullable else 'NOT NULL'}" for c in shape)
        taken.append(takes(cursor, f"t{number} ({listed}, PRIMARY KEY (c0))", "ow size too large"))
        server, page = limits.row(shape, 4)
        assert taken[-1] == (server <= limits.ROW_BYTES and page <= limits.PAGE_BYTES), (server, page, listed)
    assert 5 < sum(taken) < 25


@pytest.mark.parametrize("old_format", ["compact", "redundant"])
def test_a_row_of_an_old_format_is_as_long_as_the_server_says(cursor: Any, old_format: str) -> None:
    """Of a redundant one, some bytes more may be."""
    random, taken = Random(7), []
    for number in range(30):
        shape = columns(random, False, old_format)
        listed = ", ".join(f"{c.name} {c.sql} {'NULL' if c.nullable else 'NOT NULL'}" for c in shape)
        options = f"ROW_FORMAT = {old_format}"
        taken.append(takes(cursor, f"t{number} ({listed}, PRIMARY KEY (c0))", "ow size too large", options))
        page = limits.row(shape, 4, old_format)[1]
        ours = page <= (limits.REDUNDANT_BYTES if old_format == "redundant" else limits.PAGE_BYTES)
        assert taken[-1] == ours or (old_format == "redundant" and not ours), (page, listed)
    assert 1 < sum(taken) < 30


def test_an_index_is_as_long_as_the_server_says(cursor: Any) -> None:
    random, taken = Random(7), []
    for number in range(40):
        types = random.sample([sql for sql in TYPES if limits.size(sql, 4) < 40 and "text" not in sql], 3)
        types = [sql for sql in types if sql not in ("json", "longblob")]
        rest = limits.KEY_BYTES + random.randint(-3, 4) - sum(limits.size(sql, 4) for sql in types)
        types += [f"varbinary({rest})" if number % 2 else f"varchar({rest // 4 + random.randint(0, 1)})"]
        listed = ", ".join(f"c{n} {sql} NOT NULL" for n, sql in enumerate(types))
        key = ", ".join(f"c{n}" for n in range(len(types)))
        taken.append(takes(cursor, f"t{number} ({listed}, PRIMARY KEY ({key}))", "key was too long"))
        total = sum(limits.size(sql, 4) for sql in types)
        assert taken[-1] == (total <= limits.KEY_BYTES), (total, listed)
    assert 5 < sum(taken) < 35


@pytest.fixture
def living(project: Project, mysql: Server) -> Iterator[Project]:
    with made(mysql, project) as own:
        yield own


def test_a_row_that_mysql_would_not_take_stops_it_before_the_first_step(living: Project) -> None:
    work = living.module("work")
    living.replace(work, "    note = null : varchar(64)\n", "    note = null : varchar(9000)\n    more = 0 : int32\n")
    living.replace(living.module("life"), "    name : varchar(32)", "    nickname : varchar(32)")
    ok(living, "revise", "-m", "longer", "--rename", "life.Animal.name=nickname")
    ok(living, "migrate")
    living.replace(work, "    more = 0 : int32\n", "    more = 0 : int64\n    text = null : varchar(8000)\n")
    living.replace(living.module("life"), "    nickname : varchar(32)", "    called : varchar(32)")
    ok(living, "revise", "-m", "too long", "--rename", "life.Animal.nickname=called")
    for arguments in (("migrate", "--dry-run"), ("migrate",)):
        refused = ok(living, *arguments, code=1)
        assert "A row of work." in refused.err and "MySQL takes 65,535" in refused.err
    assert states(living) == {"life": ("behind", "2.0.0"), "work": ("behind", "1.1.0")}


def refuses(living: Project, *words: str) -> None:
    """The dry run and the migration say so."""
    for arguments in (("migrate", "--dry-run"), ("migrate",)):
        refused = ok(living, *arguments, code=1)
        is_sentence(refused)
        assert all(word in refused.err for word in words), refused.err


@pytest.mark.parametrize(
    ("row_format", "old", "new", "named"),
    [
        ("COMPACT", '"lab : varchar(100)"', '"lab : varchar(255)"', "lab of life.Room"),
        ("REDUNDANT", "note : varchar(20)", "note : varchar(200)", "note of life.Room"),
    ],
)
def test_a_column_that_an_old_row_format_does_not_take_in_an_index(
    living: Project, mysql: Server, row_format: str, old: str, new: str, named: str
) -> None:
    """In a foreign key, of which other steps would have run before, and in an index."""
    life = living.module("life")
    room = '''

@schema
class Room(dj.Manual):
    definition = """
    room : int32
    ---
    -> [nullable] Lab
    note : varchar(20)
    index (note)
    """
'''
    lab = '\n\n@schema\nclass Lab(dj.Manual):\n    definition = "lab : varchar(100)"\n'
    living.write(life, living.read(life) + lab + room)
    ok(living, "revise", "-m", "rooms")
    ok(living, "migrate")
    mysql.execute(f"ALTER TABLE dev_life.room ROW_FORMAT={row_format}")
    living.replace(life, old, new)
    ok(living, "revise", "-m", "longer")
    refuses(living, named, "takes 767")
    assert states(living)["life"] == ("behind", "1.1.0")
    mysql.execute("ALTER TABLE dev_life.room ROW_FORMAT=DYNAMIC")
    ok(living, "migrate")


def collate(mysql: Server, collation: str) -> None:
    """Give all of a schema's texts another collation."""
    tables = [table for (table,) in mysql.execute("SHOW TABLES FROM dev_work")]
    change = f"CONVERT TO CHARACTER SET utf8mb4 COLLATE {collation}"
    mysql.execute(
        "SET foreign_key_checks = 0",
        f"ALTER DATABASE dev_work COLLATE {collation}",
        *(f"ALTER TABLE dev_work.`{table}` {change}" for table in tables),
    )


RIG = '\n\n@schema\nclass Rig(dj.Manual):\n    definition = "rig : {}"\n'
VISIT = '\n\n@schema\nclass Visit(dj.Manual):\n    definition = """\n    visit : int32\n    ---\n    {}\n    """\n'


@pytest.fixture
def unmade(project: Project, mysql: Server) -> Iterator[Project]:
    """A project with a foreign key of texts from one schema to another, whose databases are still to be made."""
    project.environment |= {**mysql.variables, "MY_PIPELINE_ENV": "dev", "DJ_LOG_LEVEL": "ERROR"}
    lay(project)
    for name, table in (("life", RIG.format("varchar(20)")), ("work", VISIT.format("-> life.Rig"))):
        project.write(project.module(name), project.read(project.module(name)) + table)
    mysql.drop("dev_work", "dev_life")
    yield project
    mysql.drop("dev_work", "dev_life")


def test_a_database_is_made_with_the_collation_of_the_others(unmade: Project, mysql: Server) -> None:
    """By init, and by migrate where one is missing."""
    mysql.execute("CREATE DATABASE dev_life COLLATE utf8mb4_general_ci")
    look = (
        "SELECT table_collation FROM information_schema.tables WHERE table_schema = 'dev_work' AND table_name = 'visit'"
    )
    for command in ("init", "migrate"):
        ok(unmade, command)
        assert mysql.execute(look) == [("utf8mb4_general_ci",)]
        assert ok(unmade, "status").out.count("current") == 2
        mysql.drop("dev_work")


def test_a_foreign_key_between_two_collations_stops_init_before_anything_is_made(
    unmade: Project, mysql: Server
) -> None:
    mysql.execute("CREATE DATABASE dev_life COLLATE utf8mb4_general_ci", "CREATE DATABASE dev_work COLLATE utf8mb4_bin")
    refused = ok(unmade, "init", code=1)
    is_sentence(refused)
    for words in (
        "work.Visit cannot refer to life.Rig by rig",
        "utf8mb4_general_ci",
        "utf8mb4_bin",
        "`dev_work` COLLATE",
    ):
        assert words in refused.err, refused.err
    assert not mysql.execute("SELECT 1 FROM information_schema.tables WHERE table_schema IN ('dev_life', 'dev_work')")
    mysql.execute("ALTER DATABASE `dev_work` COLLATE utf8mb4_general_ci")
    ok(unmade, "init")


def test_a_key_that_becomes_a_text_between_two_collations(living: Project, mysql: Server) -> None:
    life, work = living.module("life"), living.module("work")
    living.write(life, living.read(life) + RIG.format("int32"))
    living.write(work, living.read(work) + VISIT.format("-> life.Rig"))
    ok(living, "revise", "-m", "rigs")
    ok(living, "migrate")
    collate(mysql, "utf8mb4_general_ci")
    living.replace(life, "rig : int32", "rig : varchar(20)")
    ok(living, "revise", "-m", "texts")
    refuses(living, "cannot refer to life.Rig by rig", "utf8mb4_general_ci")
    collate(mysql, "utf8mb4_0900_ai_ci")
    ok(living, "migrate")


@pytest.mark.parametrize("new", [True, False])
def test_a_foreign_key_between_two_collations(living: Project, mysql: Server, new: bool) -> None:
    """From a table that is made, and from an attribute that becomes one."""
    life, work = living.module("life"), living.module("work")
    living.write(life, living.read(life) + RIG.format("varchar(20)"))
    before = living.read(work)
    if not new:
        living.write(work, before + VISIT.format('rig = "" : varchar(20)'))
    ok(living, "revise", "-m", "rigs")
    ok(living, "migrate")
    collate(mysql, "utf8mb4_general_ci")
    # It may be so, as long as no key of texts leads over.
    assert ok(living, "status").out.count("current") == 2
    living.write(work, living.read(work).replace("    note = null", "    more = null : varchar(9)\n    note = null"))
    ok(living, "revise", "-m", "more")
    ok(living, "migrate")
    assert ok(living, "status").out.count("current") == 2 and ok(living, "log").code == 0
    before = before.replace("    note = null", "    more = null : varchar(9)\n    note = null")
    living.write(work, before + VISIT.format("-> life.Rig"))
    ok(living, "revise", "-m", "visits", *([] if new else ["--insert", "life.Rig"]))
    refuses(living, "cannot refer to life.Rig by rig", "utf8mb4_general_ci")
    collate(mysql, "utf8mb4_0900_ai_ci")
    ok(living, "migrate")


#: A line of a definition that the server refuses, and what the refusal says of it.
DEFAULTS = [
    ("created = CURRENT_TIMESTAMP : datetime(3)", "CURRENT_TIMESTAMP(3)"),
    ("created = CURRENT_TIMESTAMP(6) : datetime", "wants as many digits"),
    ("created = CURRENT_TIMESTAMP : date", "for datetime and timestamp only"),
    ("size = 300 : int8", "holds -128 to 127"),
    ("tag = 'toolong' : varchar(3)", "7 letters"),
    ("tag = 'abcd' : char(2)", "4 letters"),
    ("part = 12345.6 : decimal(4,2)", "holds less than 100"),
    ("more = '{}' : json", "none but null"),
    ("kind = 'c' : enum('a', 'b')", "none of the values"),
    ("kind = 'A' : enum('a', 'b')", "none of the values"),
    ("born = '2020-13-01' : date", "no value of date"),
    ("born = 'soon' : date", "no value of date"),
    ("at = '' : datetime", "no value of datetime"),
    ("at = '1969-01-01' : timestamp", "A timestamp holds 1970-01-01 00:00:01"),
]

#: Lines that it takes.
TAKEN = [
    "at = CURRENT_TIMESTAMP : datetime",
    "ms = CURRENT_TIMESTAMP(3) : datetime(3)",
    "size = -128 : int8",
    "tag = 'äöü' : varchar(3)",
    "part = 99.99 : decimal(4,2)",
    "more = null : json",
    "kind = 'it''s' : enum('a', 'it''s')",
    "born = '2020-02-29' : date",
    "first = '0000-01-01' : date",
    "since = '1970-01-01 00:00:01' : timestamp",
    "until = '2038-01-19 03:14:07' : timestamp",
    "share = '1e3' : float64",
    "yes = true : bool",
    "word = 'CURRENT_TIMESTAMP' : varchar(17)",
]


def test_a_default_that_mysql_would_not_take_stops_it_before_the_first_step(living: Project) -> None:
    """In a table that is made, after which others would have been, and in one that is changed."""
    life = living.module("life")
    text = living.read(life)
    table = '\n\n@schema\nclass Early(dj.Manual):\n    definition = """\n    early : int32\n    ---\n    {}\n    """\n'
    for number, (line, why) in enumerate(DEFAULTS):
        with put_back(living.folder / "src"):
            if number % 2:
                living.write(life, text + table.format(line))
            else:
                living.write(life, text.replace("    grams : float64", f"    {line}\n    grams : float64"))
            ok(living, "revise", "-m", "another")
            refuses(living, "cannot have the default", why)
    with put_back(living.folder / "src"):  # nor does it take an index over a text
        living.write(
            life, text.replace("    grams : float64", "    story = null : text\n    grams : float64\n    index (story)")
        )
        ok(living, "revise", "-m", "a story")
        refuses(living, "An index over (story)", "MySQL takes none over so long a value")
    living.write(life, text + table.format("\n    ".join(TAKEN)))
    ok(living, "revise", "-m", "another")
    ok(living, "migrate")
    assert states(living)["life"][0] == "current" and ok(living, "status").code == 0


def test_what_is_soft_deleted_takes_its_room_until_purge(living: Project) -> None:
    work = living.module("work")
    living.replace(work, "    note = null : varchar(64)\n", "    note = null : varchar(9000)\n")
    ok(living, "revise", "-m", "longer")
    ok(living, "migrate")
    living.replace(work, "    note = null : varchar(9000)\n", "    text = null : varchar(9000)\n")
    ok(living, "revise", "-m", "another", "--drop", "work.Task.note")
    refused = ok(living, "migrate", code=1)
    assert "1 of them soft-deleted until purge" in refused.err
    assert states(living)["work"] == ("behind", "1.1.0")


def test_a_row_that_an_index_of_postgresql_cannot_have_is_counted(project: Project, postgresql: Server) -> None:
    """A text that is not compressed may have 2,692 bytes, one that is may have more."""
    text = "".join(Random(1).choices(string.ascii_letters + string.digits, k=2693))
    with made(postgresql, project) as own:
        life = own.module("life")
        own.replace(life, "    name : varchar(32)", "    story = null : varchar(9000)\n    name : varchar(32)")
        ok(own, "revise", "-m", "stories")
        ok(own, "migrate")
        postgresql.execute("INSERT INTO dev_life.animal (animal_id, name) VALUES (3, 'Cy')")
        told = [text, text[1:], "more and " * 900]
        for number, story in enumerate(told, 1):
            postgresql.execute(f"UPDATE dev_life.animal SET story = '{story}' WHERE animal_id = {number}")
        own.replace(life, "    name : varchar(32)", "    index (story)\n    name : varchar(32)")
        ok(own, "revise", "-m", "find them")
        for arguments in (("migrate", "--dry-run"), ("migrate",)):
            refused = ok(own, *arguments, code=1)
            assert "1 row whose (story) is too long for an index of 2,704 bytes" in refused.out + refused.err
        postgresql.execute("UPDATE dev_life.animal SET story = substr(story, 2) WHERE animal_id = 1")
        ok(own, "migrate")
