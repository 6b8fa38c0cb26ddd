"""Keys that the server counts on, as ``int auto_increment`` of MySQL: what refers to them, and a key of 0."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from conftest import Project, Server
from living import is_sentence, ok, states
from living import living as made

THING = '''

@schema
class Thing(dj.Manual):
    definition = """
    thing : {}
    ---
    note = null : varchar(8)
    """


@schema
class Sub(dj.Manual):
    definition = """
    -> Thing
    sub : int32
    """
'''
ZERO = "SET sql_mode = 'NO_AUTO_VALUE_ON_ZERO'"


@pytest.fixture
def living(project: Project, mysql: Server) -> Iterator[Project]:
    with made(mysql, project) as own:
        yield own


def write(own: Project, text: str, words: str, *answers: str) -> None:
    own.write(own.module("life"), text)
    ok(own, "revise", "-m", words, *answers)


def things(own: Project, type_: str) -> str:
    """Make the tables with rows, one of them with a key of 0; what the module was before."""
    text = own.read(own.module("life"))
    write(own, text + THING.format(type_), "things")
    ok(own, "migrate")
    return text


def put(mysql: Server) -> None:
    mysql.execute(
        ZERO,
        "INSERT INTO dev_life.thing (thing, note) VALUES (0, 'zero'), (7, 'seven')",
        "INSERT INTO dev_life.sub (thing, sub) VALUES (0, 1), (7, 1)",
    )


def keys(mysql: Server) -> tuple[list[tuple[int, ...]], ...]:
    return tuple(mysql.execute(f"SELECT thing FROM dev_life.{name} ORDER BY 1") for name in ("thing", "sub"))


@pytest.mark.parametrize(
    ("before", "after"), [("int32", "int auto_increment"), ("int auto_increment", "bigint auto_increment")]
)
def test_a_key_of_zero_stays_zero(living: Project, mysql: Server, before: str, after: str) -> None:
    text = things(living, before)
    put(mysql)
    write(living, text + THING.format(after), "counted")
    ok(living, "migrate", "--dry-run", code=3)
    ok(living, "migrate")
    assert keys(mysql) == ([(0,), (7,)], [(0,), (7,)])
    assert states(living)["life"][0] == "current"
    mysql.execute("INSERT INTO dev_life.thing (note) VALUES ('next')")
    assert (8,) in keys(mysql)[0]
    ok(living, "rollback", "life", "--to", "1.1.0")
    assert keys(mysql) == ([(0,), (7,), (8,)], [(0,), (7,)])


def test_a_reference_to_a_counted_key_is_added(living: Project, mysql: Server) -> None:
    text = things(living, "int auto_increment")
    put(mysql)
    grams = "    grams : float64"
    more = text.replace(
        "@schema\nclass Weight", THING.format("int auto_increment").strip() + "\n\n\n@schema\nclass Weight"
    )
    write(living, more.replace(grams, f"    -> [nullable] Thing\n{grams}"), "referring")
    ok(living, "migrate")
    assert states(living)["life"][0] == "current"
    mysql.execute("UPDATE dev_life.weight SET thing = 0")


def test_a_row_with_zero_comes_back_after_a_purge(living: Project, mysql: Server) -> None:
    text = things(living, "int auto_increment")
    put(mysql)
    write(living, text, "nothing", "--drop", "Thing", "--drop", "Sub")
    ok(living, "migrate")
    ok(living, "purge", "--allow-data-loss")
    (path,) = (living.folder / "backups").glob("*purge*.zip")
    ok(living, "restore", path.name)
    ok(living, "rollback", "life", "--to", "1.1.0")
    assert keys(mysql) == ([(0,), (7,)], [(0,), (7,)])


def test_serial_of_postgresql_is_refused_before_anything_is_made(project: Project, postgresql: Server) -> None:
    """It would be in conflict with its own code from the beginning."""
    with made(postgresql, project) as own:
        text = own.read(own.module("life"))
        own.write(own.module("life"), text + THING.format("serial"))
        refused = own.run("revise", "-m", "things")
        refused = own.run("migrate") if refused.code == 0 else refused
        is_sentence(refused)
        assert "thing of life.Thing cannot be serial" in " ".join(refused.err.split()), refused.err
        assert postgresql.execute("SELECT to_regclass('dev_life.thing')") == [(None,)]
