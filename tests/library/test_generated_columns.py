"""Columns that somebody has the server compute from others: right, or refused before the first step."""

from __future__ import annotations

import pytest
from conftest import Project, Server
from living import is_sentence, ok, states
from test_judging import living as living

assert living  # a fixture

REST = ("note : varchar(20)", "grams : float64")


def log(*rest: str) -> str:
    lines = "\n    ".join(["log : int32", "---", *rest])
    return f'\n\n@schema\nclass Log(dj.Manual):\n    definition = """\n    {lines}\n    """\n'


def laid(living: Project, server: Server, kind: str, rest: tuple[str, ...], *answers: str) -> None:
    """A table with rows and a hidden column computed from one, and a migration of the table."""
    life = living.module("life")
    text = living.read(life)
    living.write(life, text + log(*REST))
    ok(living, "revise", "-m", "logs")
    ok(living, "migrate")
    server.execute(
        "INSERT INTO dev_life.log (log, note, grams) VALUES (1, 'one', 0.5), (2, 'two', 1.5)",
        f"ALTER TABLE dev_life.log ADD COLUMN _own varchar(99) GENERATED ALWAYS AS (lower(note)) {kind}",
    )
    living.run("adopt", "--again", "life")
    living.write(life, text + log(*rest))
    ok(living, "revise", "-m", "others", *answers)


def table(server: Server) -> object:
    columns = server.execute(
        "SELECT column_name, data_type FROM information_schema.columns WHERE table_schema = 'dev_life' "
        "AND table_name = 'log' ORDER BY ordinal_position"
    )
    return columns, server.execute("SELECT log, note, grams, _own FROM dev_life.log ORDER BY 1")


SIZE = "size = null : int32"
#: What goes with the column that it is computed from, beside a step that would be done by then.
CHANGES = {
    "dropped": ((SIZE, REST[1]), ("--drop", "Log.note")),
    "another codec": (("note : <blob>", REST[1]), ()),
    "renamed": (("words : varchar(20)", REST[1]), ("--rename", "Log.note=words")),
}


@pytest.mark.sampled
@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("kind", ["STORED", "VIRTUAL"])
def test_what_it_is_computed_from_goes(living: Project, server: Server, name: str, kind: str) -> None:
    """On PostgreSQL it follows what keeps its column."""
    rest, answers = CHANGES[name]
    laid(living, server, kind, rest, *answers)
    was, before = states(living), table(server)
    shown, done = living.run("migrate", "--dry-run"), living.run("migrate")
    if done.code == 1:
        assert shown.code == 1 and "_own" in " ".join(shown.out.split())
        is_sentence(done)
        assert "_own" in done.err, done.err
        assert (states(living), table(server)) == (was, before)
        return
    assert server.backend == "postgresql" and "Error" not in done.err, done.err
    assert server.execute("SELECT _own FROM dev_life.log ORDER BY log") == [("one",), ("two",)]


@pytest.mark.sampled
@pytest.mark.parametrize(
    "rest",
    [(REST[0], SIZE, REST[1]), ("note : varchar(10)", REST[1]), ("note : varchar(200)", REST[1]), (REST[1], REST[0])],
    ids=["between", "shorter", "longer", "order"],
)
def test_the_table_changes_around_it(living: Project, server: Server, rest: tuple[str, ...]) -> None:
    laid(living, server, "STORED", rest)
    was, before = states(living), table(server)
    shown, done = living.run("migrate", "--dry-run"), living.run("migrate")
    if done.code == 1:
        assert shown.code == 1 and "_own" in " ".join(shown.out.split())
        is_sentence(done)
        assert (states(living), table(server)) == (was, before)
        return
    assert "Error" not in done.err, done.err
    server.execute("UPDATE dev_life.log SET note = 'THREE' WHERE log = 1")
    assert server.execute("SELECT log, note, grams, _own FROM dev_life.log ORDER BY 1") == [
        (1, "THREE", 0.5, "three"),
        (2, "two", 1.5, "two"),
    ]


@pytest.mark.parametrize("kind", ["varchar(99) GENERATED ALWAYS AS (lower(note)) STORED", "int NULL"])
def test_a_hidden_column_is_recorded_by_adopt_again(living: Project, server: Server, kind: str) -> None:
    """DataJoint does not show it, so the tables are as the code has them."""
    life = living.module("life")
    text = living.read(life)
    living.write(life, text + log(*REST))
    ok(living, "revise", "-m", "logs")
    ok(living, "migrate")
    server.execute(f"ALTER TABLE dev_life.log ADD COLUMN _own {kind}")
    assert "Log has an attribute _own that the code does not have" in ok(living, "status", code=4).out
    ok(living, "adopt", "--again", "life")
    assert states(living)["life"] == ("current", "1.1.0")
    ok(living, "migrate")
    living.write(life, text + log(*REST, SIZE))
    ok(living, "revise", "-m", "sizes")
    ok(living, "migrate")
    assert states(living)["life"] == ("current", "1.2.0")
    server.execute("ALTER TABLE dev_life.log DROP COLUMN _own")
    assert states(living)["life"][0] == "drifted"
    ok(living, "adopt", "--again", "life")
