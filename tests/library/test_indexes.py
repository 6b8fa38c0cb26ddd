"""Indexes over more than attributes: what MySQL takes works there, and everything else is refused in a sentence."""

from __future__ import annotations

import pytest
from conftest import Project, Server
from living import is_sentence, ok, states
from test_judging import living as living

assert living  # a fixture

#: What DataJoint makes indexes of, on MySQL alone.
TAKEN = (
    "(x %% 10)",
    "x, (x + 1)",
    "(lower(name))",
    "(UPPER(name))",
    "(concat(name, ','))",
    "name(3)",
    "name desc",
    "(name = '%%')",
    "document.a:char(20)",
)


def shelf(*indexes: str) -> str:
    lines = ["shelf : int32", "---", "x : int32", "name : varchar(20)", "document = null : json", *indexes]
    inside = "\n    ".join(lines)
    return f'\n\n@schema\nclass Shelf(dj.Manual):\n    definition = """\n    {inside}\n    """\n'


def test_an_index_over_an_expression(living: Project, server: Server) -> None:
    text = living.read(living.module("life"))
    if server.backend == "postgresql":
        living.write(living.module("life"), text + shelf(*(f"index ({index})" for index in TAKEN)))
        found = ok(living, "check", "--json", code=1).json["findings"]
        assert any("on PostgreSQL, DataJoint only makes indexes over attributes" in one["what"] for one in found)
        return
    living.write(living.module("life"), text + shelf(*(f"index ({index})" for index in TAKEN)))
    ok(living, "revise", "-m", "shelves")
    ok(living, "migrate")
    assert states(living)["life"][0] == "current"
    shown = " ".join(ok(living, "check").out.split())
    assert "life.Shelf has an index over (" in shown
    living.write(living.module("life"), text + shelf(*(f"index ({index})" for index in TAKEN[1:]), "index ((x * 2))"))
    ok(living, "revise", "-m", "another index")
    ok(living, "migrate")
    assert states(living)["life"][0] == "current"
    ok(living, "rollback", "life", "--to", "1.1.0")
    ok(living, "migrate")
    server.drop("dev_work", "dev_life")
    ok(living, "init")  # where DataJoint itself makes them
    assert states(living)["life"][0] == "current"


@pytest.mark.parametrize("server", ["mysql"], indirect=True)
def test_an_index_that_the_server_writes_in_other_words(living: Project, server: Server) -> None:
    """It could not be told from another one: this is said before the first step, with the server's words."""
    text = living.read(living.module("life"))
    living.write(living.module("life"), text + shelf("index ((mod(x, 7)))"))
    ok(living, "revise", "-m", "shelves")
    ok(living, "migrate", "--dry-run", code=1)
    refused = ok(living, "migrate", code=1)
    is_sentence(refused)
    assert "life.Shelf has 1 index over (mod(x, 7)) that the server writes as (x % 7)" in refused.err
    assert states(living)["life"] == ("behind", "1.0.0")
    living.write(living.module("life"), text + shelf("index ((x %% 7))"))
    ok(living, "revise", "--again")
    ok(living, "migrate")
    assert states(living)["life"][0] == "current"


@pytest.mark.parametrize(
    ("index", "words"),
    [
        ('"(x % 10)"', "A percent sign must be written twice (%%)"),
        ('"(x + 10)"', "an expression has parentheses of its own"),
        ("lower(name)", "an expression has parentheses of its own"),
        ("'x'", "an attribute has no quotes there"),
        ("y(3)", "There is an index over y, which is not an attribute"),
        ("", "There is an index over nothing"),
        ("(document.a:char(20))", "a path into JSON has no parentheses of its own"),
    ],
)
def test_an_index_that_no_server_takes(living: Project, index: str, words: str) -> None:
    living.write(living.module("life"), living.read(living.module("life")) + shelf(f"index ({index})"))
    refused = ok(living, "revise", "-m", "shelves", code=1)
    is_sentence(refused)
    assert words in refused.err and "life.py, line " in refused.err
