"""Foreign keys that are turned round: what referred is what is referred to."""

from __future__ import annotations

import pytest
from conftest import Project, Server
from living import is_sentence, kill_while_it_waits, ok, states
from living import living as made
from test_judging import living as living

assert living  # a fixture


def table(name: str, *lines: str) -> str:
    """Give a class."""
    inside = "\n    ".join(lines)
    return f'\n\n@schema\nclass {name}(dj.Manual):\n    definition = """\n    {inside}\n    """\n'


def test_between_tables_that_stay(living: Project, server: Server) -> None:
    life = living.module("life")
    text = living.read(life)
    living.write(life, text + table("Bed", "bed : int32") + table("Aim", "aim : int32", "---", "-> Bed"))
    ok(living, "revise", "-m", "aims")
    ok(living, "migrate")
    server.execute(
        "INSERT INTO dev_life.bed (bed) VALUES (1), (2)", "INSERT INTO dev_life.aim (aim, bed) VALUES (5, 1)"
    )
    living.write(life, text + table("Aim", "aim : int32") + table("Bed", "bed : int32", "---", "-> [nullable] Aim"))
    ok(living, "revise", "-m", "turned", "--drop", "Aim.bed")

    ok(living, "migrate", "--dry-run", code=3)
    ok(living, "migrate")
    assert server.execute("SELECT bed, aim FROM dev_life.bed ORDER BY 1") == [(1, None), (2, None)]
    assert states(living)["life"][0] == "current"
    ok(living, "rollback", "life", "--to", "1.1.0")
    assert server.execute("SELECT aim, bed FROM dev_life.aim") == [(5, 1)]


def test_between_tables_that_both_move(living: Project, server: Server) -> None:
    life, work = living.module("life"), living.module("work")
    text, other = living.read(life), living.read(work)
    living.write(life, text + table("Bed", "bed : int32") + table("Aim", "aim : int32", "---", "-> Bed"))
    ok(living, "revise", "-m", "aims")
    ok(living, "migrate")
    server.execute(
        "INSERT INTO dev_life.bed (bed) VALUES (1), (2)", "INSERT INTO dev_life.aim (aim, bed) VALUES (5, 1)"
    )
    living.write(life, text)
    living.write(work, other + table("Aim", "aim : int32") + table("Bed", "bed : int32", "---", "-> [nullable] Aim"))
    moves = ["--rename-table", "life.Bed=work.Bed", "--rename-table", "life.Aim=work.Aim"]
    ok(living, "revise", "-m", "turned", "--drop", "Aim.bed", *moves)

    ok(living, "migrate", "--dry-run", code=3)
    ok(living, "migrate")
    assert server.execute("SELECT bed, aim FROM dev_work.bed ORDER BY 1") == [(1, None), (2, None)]
    assert {name for name, _ in states(living).values()} == {"current"}
    ok(living, "check")
    ok(living, "rollback", "life", "--to", "1.1.0", "--along")
    assert server.execute("SELECT aim, bed FROM dev_life.aim") == [(5, 1)]


def exchanged(living: Project, server: Server) -> None:
    """Two tables with rows in two schemas, and the migrations that exchange their places and turn the key round."""
    life, work = living.module("life"), living.module("work")
    text, other = living.read(life), living.read(work)
    living.write(life, text + table("Bed", "bed : int32"))
    living.write(work, other + table("Aim", "aim : int32", "---", "-> life.Bed"))
    ok(living, "revise", "-m", "aims")
    ok(living, "migrate")
    server.execute(
        "INSERT INTO dev_life.bed (bed) VALUES (1), (2)", "INSERT INTO dev_work.aim (aim, bed) VALUES (5, 1)"
    )
    living.write(life, text + table("Aim", "aim : int32"))
    living.write(work, other + table("Bed", "bed : int32", "---", "-> [nullable] life.Aim"))
    moves = ["--rename-table", "life.Bed=work.Bed", "--rename-table", "work.Aim=life.Aim"]
    ok(living, "revise", "-m", "turned", "--drop", "Aim.bed", *moves)


def test_between_tables_of_two_schemas_that_exchange_their_places(living: Project, server: Server) -> None:
    """After the migration of one of the schemas, and before the other's, they would refer to each other in a circle."""
    exchanged(living, server)
    alone = ok(living, "migrate", "life", code=1)
    is_sentence(alone)
    assert (
        "work.Aim is referred to by work.Bed, that by work.Aim" in alone.err and "without naming schemas" in alone.err
    )
    ok(living, "migrate", "--dry-run", code=3)
    ok(living, "migrate")
    assert server.execute("SELECT bed, aim FROM dev_work.bed ORDER BY 1") == [(1, None), (2, None)]
    assert {name for name, _ in states(living).values()} == {"current"}
    ok(living, "check")
    ok(living, "rollback", "life", "--to", "1.1.0", "--along")
    assert server.execute("SELECT aim, bed FROM dev_work.aim") == [(5, 1)]


@pytest.mark.sampled
@pytest.mark.parametrize("onwards", [True, False], ids=["on", "back"])
@pytest.mark.parametrize("statement", ["^RENAME TABLE .*bed", "^ALTER TABLE .*bed"])
def test_killed_while_they_exchange_their_places(
    project: Project, mysql: Server, statement: str, onwards: bool
) -> None:
    """Both migrations are one run, which goes on as a whole, or back."""
    with made(mysql, project) as own:
        exchanged(own, mysql)
        kill_while_it_waits(own, mysql, statement, "migrate", reads="dev_life.bed")
        if onwards:
            ok(own, "migrate")
            assert mysql.execute("SELECT bed, aim FROM dev_work.bed ORDER BY 1") == [(1, None), (2, None)]
            assert {name for name, _ in states(own).values()} == {"current"}
            ok(own, "rollback", "life", "--to", "1.1.0", "--along")
        elif states(own)["life"][0] == "interrupted":
            ok(own, "rollback", "--interrupted")
        assert mysql.execute("SELECT aim, bed FROM dev_work.aim") == [(5, 1)]
        assert states(own) == {"life": ("behind", "1.1.0"), "work": ("behind", "1.1.0")}


def test_with_a_value_that_comes_along_the_key_of_before(living: Project, server: Server) -> None:
    life = living.module("life")
    text = living.read(life)
    living.write(
        life,
        text + table("Aim", "aim : int32", "---", "note : varchar(9)") + table("Bed", "bed : int32", "---", "-> Aim"),
    )
    ok(living, "revise", "-m", "aims")
    ok(living, "migrate")
    server.execute(
        "INSERT INTO dev_life.aim (aim, note) VALUES (5, 'five')", "INSERT INTO dev_life.bed (bed, aim) VALUES (1, 5)"
    )
    living.write(
        life,
        text
        + table("Bed", "bed : int32", "---", "note : varchar(9)")
        + table("Aim", "aim : int32", "---", "note : varchar(9)", "-> [nullable] Bed"),
    )
    ok(living, "revise", "-m", "turned", "--drop", "Bed.aim", "--fill", "Bed.note=from(Aim.note)")
    ok(living, "migrate", "--dry-run", code=3)
    ok(living, "migrate")
    assert server.execute("SELECT bed, note FROM dev_life.bed") == [(1, "five")]
    assert server.execute("SELECT aim, bed, note FROM dev_life.aim") == [(5, None, "five")]
