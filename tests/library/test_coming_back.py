"""What a rollback brings back meets rows that changed meanwhile: counted before the first step, on both servers."""

from __future__ import annotations

from conftest import Project, Server
from living import is_sentence, ok, states
from test_judging import living as living

assert living  # a fixture

SHELF = '\n\n@schema\nclass Shelf(dj.Manual):\n    definition = "shelf : varchar(8)"\n'
BOX = '''

@schema
class Box(dj.Manual):
    definition = """
    box : int32
    ---
    -> [nullable] Shelf
    """

    class Lid(dj.Part):
        definition = """
        -> master
        lid : int32
        ---
        -> Shelf
        """
'''


def refused(living: Project, to: str, *words: str) -> None:
    before = states(living)
    result = ok(living, "rollback", "life", "--to", to, code=1)
    is_sentence(result)
    assert all(word in " ".join(result.err.split()) for word in words), result.err
    assert "nothing was changed" in result.err and states(living) == before


def boxes(living: Project, server: Server) -> str:
    """Two tables that refer to a third, with rows; gives the code without them."""
    life = living.module("life")
    text = living.read(life) + SHELF
    living.write(life, text + BOX)
    ok(living, "revise", "-m", "boxes")
    ok(living, "migrate")
    server.execute(
        "INSERT INTO dev_life.shelf (shelf) VALUES ('a'), ('b')",
        "INSERT INTO dev_life.box (box, shelf) VALUES (1, 'a'), (2, NULL)",
        "INSERT INTO dev_life.box__lid (box, lid, shelf) VALUES (1, 1, 'b')",
    )
    return text


def test_a_table_whose_parents_rows_are_gone(living: Project, server: Server) -> None:
    text = boxes(living, server)
    living.write(living.module("life"), text)
    ok(living, "revise", "-m", "no boxes", "--drop", "Box", "--drop", "Box.Lid")
    ok(living, "migrate")
    server.execute("DELETE FROM dev_life.shelf WHERE shelf = 'b'")
    refused(living, "1.1.0", "life.Box.Lid has 1 row whose (shelf) is in no row of life.Shelf")
    server.execute("DELETE FROM dev_life.shelf", "INSERT INTO dev_life.shelf (shelf) VALUES ('b')")
    refused(living, "1.1.0", "life.Box has 1 row whose (shelf) is in no row of life.Shelf")
    server.execute("INSERT INTO dev_life.shelf (shelf) VALUES ('a')")
    ok(living, "rollback", "life", "--to", "1.1.0")
    assert server.execute("SELECT box, shelf FROM dev_life.box ORDER BY box") == [(1, "a"), (2, None)]


def test_a_foreign_key_whose_parents_rows_are_gone(living: Project, server: Server) -> None:
    text = boxes(living, server)
    living.write(living.module("life"), text + BOX.replace("-> [nullable] Shelf", "note = null : varchar(9)"))
    ok(living, "revise", "-m", "notes", "--drop", "Box.shelf")
    ok(living, "migrate")
    server.execute("UPDATE dev_life.box__lid SET shelf = 'b'", "DELETE FROM dev_life.shelf WHERE shelf = 'a'")
    refused(living, "1.1.0", "life.Box has 1 row", "in no row of life.Shelf")


def test_a_unique_index_that_rows_contradict_by_now(living: Project, server: Server) -> None:
    """And a new attribute that is null in every row has no values in common."""
    life = living.module("life")
    text = living.read(life)
    tag = "    grams : float64  # on that day\n    tag = null : varchar(9)\n"
    living.replace(life, "    grams : float64  # on that day\n", f"{tag}    unique index (tag)\n")
    ok(living, "revise", "-m", "tags")
    ok(living, "migrate")
    living.write(life, text.replace("    grams : float64  # on that day\n", tag))
    ok(living, "revise", "-m", "any tags")
    ok(living, "migrate")
    server.execute("UPDATE dev_life.weight SET tag = 'same'")
    refused(living, "1.1.0", "life.Weight has 1 value of (tag) that rows have in common")


def test_an_attribute_that_rows_since_then_do_not_have(living: Project, server: Server) -> None:
    life = living.module("life")
    living.replace(life, "    grams : float64  # on that day\n", "")
    ok(living, "revise", "-m", "no grams", "--drop", "Weight.grams")
    ok(living, "migrate")
    server.execute("INSERT INTO dev_life.weight (animal_id, day) VALUES (1, '2030-01-01')")
    refused(living, "1.0.0", "life.Weight has 1 row without", "required from then on")
