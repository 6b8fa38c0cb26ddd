"""Tables that somebody divided into partitions by hand: right, or refused before the first step, and by the dry run."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from conftest import Project, Server
from living import is_sentence, ok, states
from living import living as made

KEY = ("log : int32",)
REST = ("note : varchar(20)", "grams : float64")
ROWS = [(1, "one", 0.5), (2, "two", 1.5), (3, "three", 2.5)]


def table(*lines: str, name: str = "Log") -> str:
    """Give a class."""
    inside = "\n    ".join(lines)
    return f'\n\n@schema\nclass {name}(dj.Manual):\n    definition = """\n    {inside}\n    """\n'


def log(key: tuple[str, ...] = KEY, rest: tuple[str, ...] = REST) -> str:
    return table(*key, "---", *rest)


@pytest.fixture
def divided(request: pytest.FixtureRequest, project: Project, mysql: Server) -> Iterator[Project]:
    """A table that goes by some partitions, recorded as it is."""
    with made(mysql, project) as living:
        living.write(living.module("life"), living.read(living.module("life")) + log())
        ok(living, "revise", "-m", "logs")
        ok(living, "migrate")
        values = ", ".join(map(str, ROWS))
        mysql.execute(
            f"INSERT INTO dev_life.log (log, note, grams) VALUES {values}",
            f"ALTER TABLE dev_life.log PARTITION BY {request.param}",
        )
        assert "partitioned" in ok(living, "status", code=4).out
        ok(living, "adopt", "--again", "life")
        yield living


def revised(divided: Project, text: str, *answers: str) -> None:
    life = divided.module("life")
    divided.write(life, divided.read(life).partition("\n\n@schema\nclass Log")[0] + text)
    ok(divided, "revise", "-m", "others", *answers)


def shape(mysql: Server) -> object:
    found = mysql.execute("SELECT * FROM dev_life.log ORDER BY log"), mysql.execute("SHOW CREATE TABLE dev_life.log")
    return found, mysql.execute("SHOW TABLES IN dev_life")


BY_LOG = "HASH (log) PARTITIONS 3"
BY_KEY = "KEY () PARTITIONS 3"
BY_RANGE = "RANGE (log) (PARTITION a VALUES LESS THAN (2), PARTITION b VALUES LESS THAN MAXVALUE)"
SIZE = "size = null : int32"


@pytest.mark.sampled
@pytest.mark.parametrize("divided", [BY_LOG, BY_KEY, BY_RANGE], indirect=True)
@pytest.mark.parametrize(
    ("text", "answers", "words"),
    [
        (log(("entry : int32",)), ("--rename", "Log.log=entry"), "that go by log"),
        (log((REST[0],), (KEY[0], REST[1])), (), "that go by more than the key (note)"),
        (log(rest=(*REST, SIZE, "unique index (note)")), (), "that go by more than the key (note)"),
        (log(rest=(*REST, "-> [nullable] Animal")), (), "that is to have a foreign key"),
        (log(rest=(*REST, SIZE)) + table("-> Log", name="Page"), (), "that is to have a foreign key"),
    ],
    ids=["renamed", "another key", "unique", "refers", "referred to"],
)
def test_what_the_server_refuses_is_refused_first(
    divided: Project, mysql: Server, text: str, answers: tuple[str, ...], words: str
) -> None:
    revised(divided, text, *answers)
    was, before = states(divided), shape(mysql)
    shown = ok(divided, "migrate", "--dry-run", code=1)
    assert words in " ".join(shown.out.split()) or words in " ".join(shown.err.split())
    refused = ok(divided, "migrate", code=1)
    is_sentence(refused)
    assert words in " ".join(refused.err.split()) and "partitions" in refused.err, refused.err
    assert (states(divided), shape(mysql)) == (was, before)


@pytest.mark.parametrize("divided", [BY_LOG], indirect=True)
def test_everything_else_keeps_rows_and_partitions(divided: Project, mysql: Server) -> None:
    new = ("note = null : varchar(99)", "size = null : int32", "weight : decimal(9,2)", "index (note)")
    revised(divided, log(("log : int64",), new), "--rename", "Log.grams=weight")
    ok(divided, "migrate")
    count = "SELECT COUNT(partition_name) FROM information_schema.partitions WHERE table_name = 'log'"
    assert mysql.execute(count) == [(3,)]
    ok(divided, "rollback", "life", "--to", "1.1.0")
    assert mysql.execute(count) == [(3,)]
    assert mysql.execute("SELECT log, note, grams FROM dev_life.log ORDER BY log") == ROWS
    assert states(divided)["life"] == ("behind", "1.1.0")


def test_of_postgresql(project: Project, postgresql: Server) -> None:
    """With the rows in another schema, as a table in the same one would be one that the code does not have."""
    postgresql.execute("DROP SCHEMA IF EXISTS notes CASCADE")
    with made(postgresql, project) as living:
        living.write(living.module("life"), living.read(living.module("life")) + log())
        ok(living, "revise", "-m", "logs")
        ok(living, "migrate")
        values = ", ".join(map(str, ROWS))
        postgresql.execute(
            f"INSERT INTO dev_life.log (log, note, grams) VALUES {values}",
            "CREATE SCHEMA notes",
            "ALTER TABLE dev_life.log SET SCHEMA notes",
            "CREATE TABLE dev_life.log (LIKE notes.log INCLUDING ALL) PARTITION BY RANGE (log)",
            "ALTER TABLE dev_life.log ATTACH PARTITION notes.log FOR VALUES FROM (MINVALUE) TO (1000)",
        )
        assert "partitioned" in ok(living, "status", code=4).out
        ok(living, "adopt", "--again", "life")
        was = states(living)
        for rest, key, words in (
            ((*REST, "unique index (note)"), KEY, "that partitions go by and that is not in the key (note)"),
            (REST, ("log : int64",), "that partitions go by"),
            ((REST[0], SIZE, REST[1]), KEY, "notes.log"),
        ):
            revised(living, log(key, rest))
            assert words in " ".join(ok(living, "migrate", "--dry-run", code=1).out.split())
            refused = ok(living, "migrate", code=1)
            is_sentence(refused)
            assert words in " ".join(refused.err.split()) and states(living) == {**was, "life": ("behind", "1.1.0")}
            ok(living, "revise", "--undo")
        revised(living, log(rest=(*REST, SIZE, "index (note)")))
        ok(living, "migrate")
        ok(living, "rollback", "life", "--to", "1.1.0")
        assert postgresql.execute("SELECT log, note, grams FROM notes.log ORDER BY log") == ROWS
        # Rows of two partitions may be at the same place of each.
        ok(living, "revise", "--undo")
        postgresql.execute(
            "CREATE TABLE notes.more PARTITION OF dev_life.log FOR VALUES FROM (1000) TO (2000)",
            "INSERT INTO dev_life.log (log, note, grams) VALUES (1001, 'more', 0)",
        )
        revised(living, log(rest=(*REST, "size : int32")), "--fill", "Log.size=number()")
        assert "inherit" not in ok(living, "migrate", "--dry-run", code=3).out
        ok(living, "migrate")
        assert postgresql.execute("SELECT size FROM dev_life.log ORDER BY log") == [(1,), (2,), (3,), (4,)]
    postgresql.execute("DROP SCHEMA notes CASCADE")
