"""An attribute goes and another one gets its name, in one revision: each value comes back under its own name."""

from __future__ import annotations

import pytest
from conftest import Project, Server
from living import is_sentence, ok, states
from test_coming_back import step
from test_judging import living as living

assert living  # a fixture


def table(name: str, *lines: str) -> str:
    """Give a class."""
    inside = "\n    ".join(lines)
    return f'\n\n@schema\nclass {name}(dj.Manual):\n    definition = """\n    {inside}\n    """\n'


BOTH = ("box : int32", "---", "size : int32", "old_size = null : varchar(9)")
BOX = "SELECT box, size, old_size FROM dev_life.box ORDER BY box"


def laid(living: Project, server: Server) -> str:
    """A table with both; the code without it."""
    text = living.read(living.module("life"))
    step(living, text + table("Box", *BOTH), "boxes")
    server.execute("INSERT INTO dev_life.box (box, size, old_size) VALUES (1, 10, 'ten'), (2, 20, NULL)")
    return text


def test_comes_with_its_values_and_goes_back_with_both(living: Project, server: Server) -> None:
    text = laid(living, server)
    new = table("Box", "box : int32", "---", "size = null : varchar(9)")
    living.write(living.module("life"), text + new)
    refused = ok(living, "revise", "-m", "sizes", "--rename", "Box.old_size=size", code=2)
    assert "add --drop Box.size;" in refused.err
    step(living, text + new, "sizes", "--drop", "Box.size", "--rename", "Box.old_size=size")
    assert server.execute("SELECT box, size FROM dev_life.box ORDER BY box") == [(1, "ten"), (2, None)]
    assert states(living)["life"][0] == "current"
    ok(living, "check")
    server.execute("INSERT INTO dev_life.box (box, size) VALUES (3, 'three')")
    refused = ok(living, "rollback", "life", "--to", "1.1.0", code=1)
    assert "life.Box has 1 row without size, which is required" in " ".join(refused.err.split()), refused.err
    server.execute("DELETE FROM dev_life.box WHERE box = 3")
    ok(living, "rollback", "life", "--to", "1.1.0")
    assert server.execute(BOX) == [(1, 10, "ten"), (2, 20, None)]
    ok(living, "migrate")
    ok(living, "rollback", "life", "--to", "1.1.0")
    assert server.execute(BOX) == [(1, 10, "ten"), (2, 20, None)]


def test_and_its_own_name_is_another_ones(living: Project, server: Server) -> None:
    text = living.read(living.module("life"))
    names = ("a", "b", "c")
    step(living, text + table("Box", "box : int32", "---", *(f"{n} = null : varchar(9)" for n in names)), "boxes")
    server.execute("INSERT INTO dev_life.box (box, a, b, c) VALUES (1, 'a', 'b', 'c')")
    new = table("Box", "box : int32", "---", "a = null : varchar(9)", "b = null : varchar(9)")
    answers = ("--drop", "life.Box.a", "--rename", "Box.b=a", "--rename", "Box.c=b")
    step(living, text + new, "moved up", *answers)
    assert server.execute("SELECT a, b FROM dev_life.box") == [("b", "c")]
    ok(living, "rollback", "life", "--to", "1.1.0")
    assert server.execute("SELECT a, b, c FROM dev_life.box") == [("a", "b", "c")]


def test_with_an_index_and_a_unique_one(living: Project, server: Server) -> None:
    text = living.read(living.module("life"))
    step(living, text + table("Box", *BOTH, "unique index (size)", "index (old_size)"), "boxes")
    server.execute("INSERT INTO dev_life.box (box, size, old_size) VALUES (1, 10, 'ten'), (2, 20, 'ten')")
    new = table("Box", "box : int32", "---", "size = null : varchar(9)", "unique index (size)")
    answers = ("--drop", "Box.size", "--rename", "Box.old_size=size")
    living.write(living.module("life"), text + new)
    ok(living, "revise", "-m", "sizes", *answers)
    before = states(living)
    refused = ok(living, "migrate", code=1)
    assert "life.Box has 1 value of (size) that rows have in common" in refused.err and states(living) == before
    server.execute("UPDATE dev_life.box SET old_size = 'twenty' WHERE box = 2")
    ok(living, "migrate")
    ok(living, "check")
    ok(living, "rollback", "life", "--to", "1.1.0")
    assert server.execute(BOX) == [(1, 10, "ten"), (2, 20, "twenty")]


def test_which_a_foreign_key_brought_and_brings(living: Project, server: Server) -> None:
    """The rows refer to what the other attribute had, which is counted first."""
    text = living.read(living.module("life")) + table("Shelf", "shelf : varchar(9)")
    here = table("Box", "box : int32", "---", "-> Shelf", "next : varchar(9)")
    step(living, text + here, "boxes")
    server.execute(
        "INSERT INTO dev_life.shelf (shelf) VALUES ('a'), ('b')",
        "INSERT INTO dev_life.box (box, shelf, next) VALUES (1, 'a', 'b'), (2, 'b', 'z')",
    )
    new = table("Box", "box : int32", "---", "-> Shelf")
    living.write(living.module("life"), text + new)
    ok(living, "revise", "-m", "next", "--drop", "Box.shelf", "--rename", "Box.next=shelf")
    before = states(living)
    refused = ok(living, "migrate", code=1)
    is_sentence(refused)
    assert "in no row of life.Shelf" in refused.err and states(living) == before
    server.execute("UPDATE dev_life.box SET next = 'a' WHERE box = 2")
    ok(living, "migrate")
    assert server.execute("SELECT box, shelf FROM dev_life.box ORDER BY box") == [(1, "b"), (2, "a")]
    ok(living, "check")
    ok(living, "rollback", "life", "--to", "1.1.0")
    assert server.execute("SELECT box, shelf, next FROM dev_life.box ORDER BY box") == [(1, "a", "b"), (2, "b", "a")]


@pytest.mark.parametrize("below", [False, True], ids=["alone", "with a table below"])
def test_of_the_primary_key(living: Project, server: Server, below: bool) -> None:
    text = living.read(living.module("life"))
    lid = table("Lid", "-> Box") if below else ""
    step(living, text + table("Box", "box : int32", "part : int32", "---", "other : int32") + lid, "boxes")
    server.execute("INSERT INTO dev_life.box (box, part, other) VALUES (1, 1, 2), (1, 2, 1), (2, 1, 1)")
    new = table("Box", "box : int32", "part : int32") + lid
    answers = ("--drop", "Box.part", "--rename", "Box.other=part")
    if below:
        living.write(living.module("life"), text + new)
        refused = ok(living, "revise", "-m", "parts", *answers, code=1)
        is_sentence(refused)
        assert "life.Lid refers to it" in refused.err and "two migrations" in refused.err
        return
    step(living, text + new, "parts", *answers)
    assert server.execute("SELECT box, part FROM dev_life.box ORDER BY 1, 2") == [(1, 1), (1, 2), (2, 1)]
    ok(living, "rollback", "life", "--to", "1.1.0")
    found = server.execute("SELECT box, part, other FROM dev_life.box ORDER BY 1, 2")
    assert found == [(1, 1, 2), (1, 2, 1), (2, 1, 1)]
