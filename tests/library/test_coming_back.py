"""What a rollback brings back meets rows that changed meanwhile: counted before the first step, on both servers."""

from __future__ import annotations

import pytest
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


@pytest.mark.both_servers
def test_a_part_whose_masters_row_was_deleted_comes_back_after_the_statement_that_is_named(
    living: Project, server: Server
) -> None:
    """Nobody sees the soft-deleted part, so that the refusal has to say how its rows are deleted."""
    text = boxes(living, server)
    server.execute("INSERT INTO dev_life.box__lid (box, lid, shelf) VALUES (2, 1, 'b')")
    living.write(living.module("life"), text + BOX[: BOX.index("\n    class Lid")])
    ok(living, "revise", "-m", "no lids", "--drop", "Box.Lid")
    ok(living, "migrate")
    server.execute("DELETE FROM dev_life.box WHERE box = 1")
    refused(living, "1.1.0", "life.Box.Lid has 1 row whose (box) is in no row of life.Box", "comes back as it was kept")
    told = " ".join(ok(living, "rollback", "life", "--to", "1.1.0", code=1).err.split())
    server.execute(told[told.index("DELETE FROM") : told.index("; then run the command again")])
    ok(living, "rollback", "life", "--to", "1.1.0")
    assert server.execute("SELECT box, lid FROM dev_life.box__lid") == [(2, 1)]


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


def test_an_attribute_that_was_purged_comes_back_from_its_backup_first(living: Project, server: Server) -> None:
    life = living.module("life")
    before = server.execute("SELECT animal_id, grams FROM dev_life.weight ORDER BY 1, 2")
    living.replace(life, "    grams : float64  # on that day\n", "")
    ok(living, "revise", "-m", "no grams", "--drop", "Weight.grams")
    ok(living, "migrate")
    ok(living, "purge", "--allow-data-loss")
    told = ok(living, "rollback", "life", "--to", "1.0.0", code=1).err
    assert "rows that have no value for grams" in told and "restore puts them back" in told, told
    assert "Correct these rows" not in told
    (path,) = (living.folder / "backups").glob("*purge*.zip")
    ok(living, "restore", path.name)
    ok(living, "rollback", "life", "--to", "1.0.0")
    assert server.execute("SELECT animal_id, grams FROM dev_life.weight ORDER BY 1, 2") == before


def shelves(*lines: str, name: str = "Shelf") -> str:
    """Give a table."""
    inside = "\n    ".join(["shelf : int32", "---", *lines])
    return f'\n\n@schema\nclass {name}(dj.Manual):\n    definition = """\n    {inside}\n    """\n'


def step(living: Project, text: str, words: str, *answers: str) -> None:
    """Bring the database to another form of the code."""
    living.write(living.module("life"), text)
    ok(living, "revise", "-m", words, *answers)
    ok(living, "migrate")


def test_attributes_that_were_dropped_under_one_name_come_back_each_with_its_own_values(
    living: Project, server: Server
) -> None:
    """One by one, and all at once; and where an attribute had another name in between."""
    text = living.read(living.module("life"))
    one, two = "wide = null : int32", "deep = null : int32"
    step(living, text + shelves(one, two), "shelves")
    server.execute("INSERT INTO dev_life.shelf (shelf, wide, deep) VALUES (1, 10, 100), (2, 20, NULL)")
    step(living, text + shelves(two), "not wide", "--drop", "Shelf.wide")
    step(living, text + shelves(one), "deep is wide", "--rename", "Shelf.deep=wide")
    step(living, text + shelves(), "not wide again", "--drop", "Shelf.wide")
    was = "SELECT shelf, wide FROM dev_life.shelf ORDER BY shelf"
    ok(living, "rollback", "life", "--to", "3.0.0")
    assert server.execute(was) == [(1, 100), (2, None)]
    ok(living, "rollback", "life", "--to", "2.0.0")
    assert server.execute("SELECT shelf, deep FROM dev_life.shelf ORDER BY shelf") == [(1, 100), (2, None)]
    ok(living, "rollback", "life", "--to", "1.1.0")
    both = "SELECT shelf, wide, deep FROM dev_life.shelf ORDER BY shelf"
    assert server.execute(both) == [(1, 10, 100), (2, 20, None)]
    ok(living, "migrate")
    ok(living, "rollback", "life", "--to", "1.1.0")
    assert server.execute(both) == [(1, 10, 100), (2, 20, None)]


def test_attributes_whose_names_begin_alike_come_back_with_their_own_values(living: Project, server: Server) -> None:
    """Longer than a name with what tells that it is soft-deleted can be."""
    text = living.read(living.module("life"))
    names = ["w" * 61, "w" * 62, "w" * 60 + "_2"]
    step(living, text + shelves(*(f"{name} : int32" for name in names)), "shelves")
    server.execute(f"INSERT INTO dev_life.shelf (shelf, {', '.join(names)}) VALUES (1, 10, 100, 1000)")
    step(living, text + shelves(), "not wide", *(word for name in names for word in ("--drop", f"Shelf.{name}")))
    ok(living, "rollback", "life", "--to", "1.1.0")
    assert server.execute(f"SELECT {', '.join(names)} FROM dev_life.shelf") == [(10, 100, 1000)]


def test_tables_that_were_dropped_under_one_name_come_back_each_with_its_own_rows(
    living: Project, server: Server
) -> None:
    text = living.read(living.module("life"))
    wide = "wide : int32"
    step(living, text + shelves(wide) + shelves(wide, name="Rack"), "shelves")
    server.execute(
        "INSERT INTO dev_life.shelf (shelf, wide) VALUES (1, 10)",
        "INSERT INTO dev_life.rack (shelf, wide) VALUES (2, 20)",
    )
    step(living, text + shelves(wide, name="Rack"), "no shelves", "--drop", "Shelf")
    step(living, text + shelves(wide), "racks are shelves", "--rename-table", "Rack=Shelf")
    step(living, text + shelves(), "not wide", "--drop", "Shelf.wide")
    step(living, text, "no shelves again", "--drop", "Shelf")
    refused(living, "1.1.0", "Shelf would come back as life 5.0.0", "rollback life --to 4.0.0")
    ok(living, "rollback", "life", "--to", "4.0.0")
    assert server.execute("SELECT shelf FROM dev_life.shelf") == [(2,)]
    ok(living, "rollback", "life", "--to", "1.1.0")
    assert server.execute("SELECT shelf, wide FROM dev_life.rack") == [(2, 20)]
    assert server.execute("SELECT shelf, wide FROM dev_life.shelf") == [(1, 10)]
    assert states(living)["life"] == ("behind", "1.1.0")


def test_a_key_goes_back_with_the_schemas_below_it(living: Project, server: Server) -> None:
    """None of them can go back alone. Each knows afterwards which migrations it has had."""
    name = "    name : varchar(32)  # what it is called\n"
    living.replace(living.module("life"), f"    ---\n{name}", f"{name}    ---\n")
    ok(living, "revise", "-m", "names in the key")
    ok(living, "migrate")
    was = states(living)
    result = ok(living, "rollback", "work", "--to", "1.0.0", code=1)
    is_sentence(result)
    advice = "rollback life --to 1.0.0 --along, which also takes back work to 1.0.0."
    assert advice in result.err and states(living) == was
    result = ok(living, "rollback", "life", "--to", "1.0.0", code=1)
    assert advice in result.err and states(living) == was
    ok(living, "rollback", "life", "--to", "1.0.0", "--along")
    assert states(living) == {"life": ("behind", "1.0.0"), "work": ("behind", "1.0.0")}
    assert server.execute("SELECT animal_id, task FROM dev_work.__score ORDER BY 1") == [(1, "run"), (2, "swim")]
    ok(living, "migrate")
    assert states(living) == was
    assert server.execute("SELECT name, task FROM dev_work.__score ORDER BY 1") == [("Ada", "run"), ("Bob", "swim")]


def test_what_goes_back_along_is_named_at_once_however_many_schemas_it_is_of(living: Project, server: Server) -> None:
    """Of schemas in a chain, the one in the middle cannot go back alone either: the advice is a step that works."""
    life = living.module("life")
    ok(living, "add-schema", "play", "--depends", "work")
    ok(living, "init")
    name = "    name : varchar(32)  # what it is called\n"
    living.replace(life, f"    ---\n{name}", f"{name}    ---\n")
    ok(living, "revise", "-m", "names in the key")
    ok(living, "migrate")
    was = states(living)
    assert set(was) == {"life", "work", "play"}
    for schema in ("life", "work"):
        result = ok(living, "rollback", schema, "--to", "1.0.0", code=1)
        assert "rollback life --to 1.0.0 --along, which also takes back play to 1.0.0 and work to 1.0.0." in result.err
    assert states(living) == was
    ok(living, "rollback", "life", "--to", "1.0.0", "--along")
    assert {version for _, version in states(living).values()} == {"1.0.0"}
    server.drop("dev_play")


def test_an_attribute_makes_room_for_one_of_a_foreign_key(living: Project, server: Server) -> None:
    """On the way there and back."""
    text = living.read(living.module("life"))
    two = "-> [nullable] Shelf.proj(other='shelf')"
    step(
        living, text + SHELF + shelves(two, "book : int32", name="Box").replace("shelf : int32", "box : int32"), "boxes"
    )
    server.execute(
        "INSERT INTO dev_life.shelf (shelf) VALUES ('a'), ('b')",
        "INSERT INTO dev_life.box (box, other, book) VALUES (1, 'a', 3), (2, 'b', 4)",
    )
    other = shelves("-> [nullable] Shelf.proj(book='shelf')", name="Box").replace("shelf : int32", "box : int32")
    living.write(living.module("life"), text + SHELF + other)
    ok(living, "revise", "-m", "books", "--drop", "Box.other", "--fill", "Box.book=a")
    (path,) = living.folder.glob("src/*/migrations/life/*_books.py")
    head, _, _ = path.read_text().partition("operations = [")
    path.write_text(
        "from datajoint_pipeline.migration import DropAttribute, RenameAttribute\n"
        + "\n".join(line for line in head.splitlines() if line.startswith(("follows", "requires", '"""')))
        + '\n\noperations = [\n    DropAttribute("Box", "book"),\n    RenameAttribute("Box", "other", "book"),\n]\n'
    )
    ok(living, "migrate")
    assert server.execute("SELECT box, book FROM dev_life.box ORDER BY box") == [(1, "a"), (2, "b")]
    ok(living, "rollback", "life", "--to", "1.1.0")
    assert server.execute("SELECT box, other, book FROM dev_life.box ORDER BY box") == [(1, "a", 3), (2, "b", 4)]


def test_tables_whose_names_others_took_come_back_at_once(living: Project, server: Server) -> None:
    """A table is dropped and another one is made in its place, or gets its name, or it gave its name to a new one."""
    text = living.read(living.module("life"))
    wide, tall = "wide : int32", "tall : varchar(8)"
    both = shelves(wide) + shelves(wide, name="Rack")
    step(living, text + both, "shelves")
    server.execute(
        "INSERT INTO dev_life.shelf (shelf, wide) VALUES (1, 10)",
        "INSERT INTO dev_life.rack (shelf, wide) VALUES (2, 20)",
    )
    step(living, text + shelves(wide, name="Rack"), "no shelves", "--drop", "Shelf")
    step(living, text + shelves(tall) + shelves(wide, name="Rack"), "other shelves")
    step(
        living,
        text + shelves(tall) + shelves(wide, name="Old") + shelves(tall, name="Rack"),
        "new racks",
        "--rename-table",
        "Rack=Old",
    )
    server.execute("INSERT INTO dev_life.rack (shelf, tall) VALUES (3, 'high')")
    ok(living, "rollback", "life", "--to", "1.1.0")
    assert server.execute("SELECT shelf, wide FROM dev_life.rack") == [(2, 20)]
    assert server.execute("SELECT shelf, wide FROM dev_life.shelf") == [(1, 10)]
    assert states(living)["life"] == ("behind", "1.1.0")
    ok(living, "migrate")
    assert server.execute("SELECT shelf, wide FROM dev_life.old") == [(2, 20)]
    assert states(living)["life"][0] == "current"


@pytest.mark.parametrize("generated", [False, True], ids=["plain", "generated"])
def test_a_table_comes_back_with_a_hidden_column_that_somebody_added(
    living: Project, server: Server, generated: bool
) -> None:
    text = living.read(living.module("life"))
    step(living, text + shelves("wide : int32"), "shelves")
    server.execute("INSERT INTO dev_life.shelf (shelf, wide) VALUES (1, 10), (2, 20)")
    column = "bigint GENERATED ALWAYS AS (wide + 1) STORED" if generated else "int NULL"
    server.execute(f"ALTER TABLE dev_life.shelf ADD COLUMN _own {column}")
    living.run("adopt", "--again", "life")
    life = living.module("life")
    living.write(life, text)
    ok(living, "revise", "-m", "no shelves", "--drop", "Shelf")
    ok(living, "migrate")
    ok(living, "rollback", "life", "--to", "1.1.0")
    assert server.execute("SELECT shelf, wide FROM dev_life.shelf ORDER BY 1") == [(1, 10), (2, 20)]
    found = [(11,), (21,)] if generated else [(None,), (None,)]
    assert server.execute("SELECT _own FROM dev_life.shelf ORDER BY 1") == found


@pytest.mark.parametrize("letters", [52, 53, 54, 58, 62])
def test_a_table_with_a_long_name_goes_and_comes_back(living: Project, server: Server, letters: int) -> None:
    """Cut to what the server takes, its name and those of its indexes are still different ones."""
    name = "S" + "h" * (letters - 1)
    life = living.module("life")
    text = living.read(life)
    living.write(life, text + SHELF.replace("Shelf", name))
    ok(living, "revise", "-m", "a long name")
    ok(living, "migrate")
    server.execute(f"INSERT INTO dev_life.{name.lower()} (shelf) VALUES ('a')")
    living.write(life, text)
    ok(living, "revise", "-m", "no more", "--drop", name)
    ok(living, "migrate")
    assert ok(living, "status").code == 0
    ok(living, "rollback", "life", "--to", "1.1.0")
    assert server.execute(f"SELECT shelf FROM dev_life.{name.lower()}") == [("a",)]
    ok(living, "migrate")
    ok(living, "purge", "--allow-data-loss")


@pytest.mark.parametrize(("here", "there"), [("life", "work"), ("work", "life")])
def test_a_table_that_moved_goes_back_in_both_schemas(here: str, there: str, living: Project, server: Server) -> None:
    """The schema that it left has the operation, the other one a migration without any, which may require nothing."""
    texts = {name: living.read(living.module(name)) for name in (here, there)}
    mark = '\n\n@schema\nclass Mark(dj.Manual):\n    definition = "mark : int32"\n'
    living.write(living.module(here), texts[here] + mark)
    ok(living, "revise", "-m", "mark")
    ok(living, "migrate")
    server.execute(f"INSERT INTO dev_{here}.mark (mark) VALUES (1), (2)")
    living.write(living.module(here), texts[here])
    living.write(living.module(there), texts[there] + mark)
    ok(living, "revise", "-m", "moved", "--rename-table", f"{here}.Mark={there}.Mark")
    before = states(living)
    ok(living, "migrate")
    for schema, other in ((here, there), (there, here)):
        result = ok(living, "rollback", schema, "--to", before[schema][1], code=1)
        is_sentence(result)
        assert f"A table moved between {schema} and {other}" in " ".join(result.err.split()), result.err
        assert "--along" in result.err and {state for state, _ in states(living).values()} == {"current"}
    for schema in (here, there):
        ok(living, "rollback", schema, "--to", before[schema][1], "--along")
        assert states(living) == before
        assert server.execute(f"SELECT count(*) FROM dev_{here}.mark") == [(2,)]
        ok(living, "migrate")
        assert {state for state, _ in states(living).values()} == {"current"}


def test_rows_that_were_put_in_after_a_required_attribute_was_dropped(living: Project, server: Server) -> None:
    """The refusal names the hidden column, and what it says helps."""
    text = living.read(living.module("life"))
    step(
        living,
        text.replace("    grams : float64", "    rig : varchar(8)\n    grams : float64"),
        "rigs",
        "--fill",
        "Weight.rig=A",
    )
    step(living, text, "no rigs", "--drop", "Weight.rig")
    server.execute("INSERT INTO dev_life.weight (animal_id, day, grams) VALUES (1, '2001-01-01', 1)")
    (version,) = [r["previous_version"] for r in ok(living, "log", "--json").json["runs"][-1:]]
    refused = living.run("rollback", "life", "--to", version)
    is_sentence(refused)
    said = " ".join(refused.err.split())
    assert "SET _dropped_rig = ... WHERE _dropped_rig IS NULL" in said, said
    server.execute("UPDATE dev_life.weight SET _dropped_rig = 'B' WHERE _dropped_rig IS NULL")
    ok(living, "rollback", "life", "--to", version)
