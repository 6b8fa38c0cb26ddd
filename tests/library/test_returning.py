"""What a rollback took back comes again with `migrate`, with the values and rows that it had, on both servers."""

from __future__ import annotations

from dataclasses import replace

import pytest
from conftest import Project, Server
from living import is_sentence, ok, states
from proxy import Fault, Proxy
from test_coming_back import BOX, SHELF, shelves, step
from test_judging import living as living

assert living  # a fixture

GRAMS = "    grams : float64  # on that day\n"

WAS = "SELECT animal_id, {} FROM dev_life.weight ORDER BY animal_id, day"


def revise(living: Project, lines: str, *answers: str) -> None:
    living.replace(living.module("life"), GRAMS, GRAMS + lines)
    ok(living, "revise", "-m", "more", *answers)
    ok(living, "migrate")


def there_and_back(living: Project, *between: str, server: Server) -> str:
    """Take the last migration back and apply it again; gives what the dry run says."""
    ok(living, "rollback", "life", "--to", "1.0.0")
    server.execute(*between)
    told = ok(living, "migrate", "--dry-run", code=3).out
    ok(living, "migrate")
    assert states(living)["life"][0] == "current"
    return told


def test_attributes_come_back_with_their_values_and_new_rows_get_the_fill(living: Project, server: Server) -> None:
    lines = "rig : varchar(8)", "number : int32", "three = 3 : int32", "ratio = null : float32", "own : uuid"
    answers = "Weight.rig=A", "Weight.number=number()", "Weight.own=uuid()"
    text = "".join(f"    {line}\n" for line in lines)
    revise(living, text, *(word for answer in answers for word in ("--fill", answer)))
    server.execute("UPDATE dev_life.weight SET rig = 'B', number = 77, three = 77, ratio = 2.5 WHERE animal_id = 1")
    listed = "rig, number, three, ratio, own"
    before = server.execute(WAS.format(listed))
    assert (1, "B", 77, 77, 2.5) in [row[:-1] for row in before]
    new = "INSERT INTO dev_life.weight (animal_id, day, grams) VALUES (1, '2001-01-01', 1)"
    told = there_and_back(living, new, server=server)
    assert "stays-hidden" not in told, told
    after = server.execute(WAS.format(listed))
    (added,) = [row for row in after if row not in before]
    assert [row for row in after if row != added] == before
    assert (added[1], added[3], added[4]) == ("A", 3, None) and added[5] not in [row[5] for row in before]
    assert added[2] not in [row[2] for row in before]
    assert "life.Weight" not in ok(living, "purge", "--dry-run").out


def test_an_attribute_of_the_key_comes_back_with_its_values_below_too(living: Project, server: Server) -> None:
    living.replace(
        living.module("life"),
        "    animal_id : int32  # its number\n",
        "    animal_id : int32  # its number\n    own : uuid\n",
    )
    ok(living, "revise", "-m", "own", "--fill", "Animal.own=uuid()")
    ok(living, "migrate")
    above, below = (
        "SELECT animal_id, own FROM dev_life.animal ORDER BY 1",
        "SELECT animal_id, own FROM dev_work.task ORDER BY 1",
    )
    before = server.execute(above), server.execute(below)
    ok(living, "rollback", "life", "--to", "1.0.0", "--along")
    server.execute(
        "INSERT INTO dev_life.animal (animal_id, name, colour) VALUES (9, 'New', 'grey')",
        "INSERT INTO dev_work.task (animal_id, task) VALUES (9, 'rest')",
    )
    ok(living, "migrate")
    after = server.execute(above), server.execute(below)
    assert (after[0][:-1], after[1][:-1]) == before
    assert after[0][-1] == after[1][-1] and after[0][-1][0] == 9


def test_a_table_comes_back_with_its_rows_and_what_refers_to_it(living: Project, server: Server) -> None:
    text = living.read(living.module("life"))
    step(living, text + SHELF + BOX, "boxes")
    server.execute(
        "INSERT INTO dev_life.shelf (shelf) VALUES ('a'), ('b')",
        "INSERT INTO dev_life.box (box, shelf) VALUES (1, 'a'), (2, NULL)",
        "INSERT INTO dev_life.box__lid (box, lid, shelf) VALUES (1, 1, 'b')",
    )
    there_and_back(living, server=server)
    assert server.execute("SELECT box, shelf FROM dev_life.box ORDER BY box") == [(1, "a"), (2, None)]
    assert server.execute("SELECT box, lid, shelf FROM dev_life.box__lid") == [(1, 1, "b")]


def test_an_attribute_comes_back_under_the_name_that_it_got_since(living: Project, server: Server) -> None:
    text = living.read(living.module("life"))
    revise(living, "    wide = null : int32\n")
    living.write(living.module("life"), text.replace(GRAMS, GRAMS + "    broad = null : int32\n"))
    ok(living, "revise", "-m", "broad", "--rename", "Weight.wide=broad")
    ok(living, "migrate")
    server.execute("UPDATE dev_life.weight SET broad = 5 WHERE animal_id = 1")
    before = server.execute(WAS.format("broad"))
    assert (1, 5) in before
    there_and_back(living, server=server)
    assert server.execute(WAS.format("broad")) == before


def test_what_cannot_come_back_is_named(living: Project, server: Server) -> None:
    """Where a later migration gave it another type, and where a table has changed since."""
    text = living.read(living.module("life"))
    step(living, text.replace(GRAMS, GRAMS + "    wide = null : int32\n") + shelves(), "wide")
    text = text.replace(GRAMS, GRAMS + "    wide = null : varchar(9)\n")
    step(living, text + shelves("deep = null : int32"), "text")
    server.execute(
        "UPDATE dev_life.weight SET wide = '5' WHERE animal_id = 1", "INSERT INTO dev_life.shelf (shelf) VALUES (1)"
    )
    ok(living, "rollback", "life", "--to", "1.0.0")
    told = " ".join(ok(living, "migrate", "--dry-run", code=3).out.split())
    assert "life.Weight.wide is made anew, as its type was another one then." in told, told
    assert "in the hidden column _dropped_wide" in told
    assert "life.Shelf is made anew, as it was changed before the rollback." in told
    assert "The row from before the rollback stays in the hidden table ~dropped_shelf" in told
    told = " ".join(ok(living, "migrate").err.split())
    assert "in the hidden column _dropped_wide" in told, told
    assert server.execute("SELECT COUNT(*) FROM dev_life.shelf") == [(0,)]


CAGES = '''

@schema
class Cage(dj.Manual):
    definition = """
    cage : int32{}
    """


@schema
class Mouse(dj.Manual):
    definition = """
    mouse : int32
    ---
    -> [nullable] Cage
    """
'''


@pytest.mark.both_servers
def test_what_a_row_refers_to_says_what_comes_back_and_where_it_refers_to_nothing_is_named(
    living: Project, server: Server
) -> None:
    """Of a nullable reference that was changed, and of one of which half is null: that leads to nothing."""
    text = living.read(living.module("life"))
    step(living, text + CAGES.format(""), "cages")
    server.execute(
        "INSERT INTO dev_life.cage (cage) VALUES (1), (2)",
        "INSERT INTO dev_life.mouse (mouse, cage) VALUES (1, 1), (2, 2), (3, NULL), (4, 1)",
    )
    step(living, text + CAGES.format("\n    size : int32"), "sizes", "--fill", "Cage.size=7")
    server.execute(
        "INSERT INTO dev_life.cage (cage, size) VALUES (3, 8)",
        "UPDATE dev_life.mouse SET cage = 3, size = 8 WHERE mouse = 1",
    )
    mice = "SELECT mouse, cage, size FROM dev_life.mouse ORDER BY mouse"
    before = server.execute(mice)
    for half in (False, True):
        if half:
            server.execute("UPDATE dev_life.mouse SET size = 33 WHERE mouse = 3")
        ok(living, "rollback", "life", "--to", "1.1.0")
        server.execute("UPDATE dev_life.mouse SET cage = 2 WHERE mouse = 4")
        for command in ("migrate --dry-run", "migrate"):
            shown = ok(living, *command.split(), code=3 if "--" in command else 0)
            told = " ".join((shown.out + shown.err).split())
            assert ("size is made anew, as rows get it from the row that they refer to, and some" in told) is half
            assert ("The value from before the rollback stays in the hidden column _dropped_size" in told) is half
        assert server.execute(mice) == [*before[:3], (4, 2, 7)]


def test_rows_that_come_back_and_whose_parents_are_gone(living: Project, server: Server) -> None:
    text = living.read(living.module("life"))
    step(living, text + shelves("-> Animal"), "shelves")
    server.execute(
        "INSERT INTO dev_life.animal (animal_id, name, colour) VALUES (9, 'New', 'grey')",
        "INSERT INTO dev_life.shelf (shelf, animal_id) VALUES (1, 9)",
    )
    ok(living, "rollback", "life", "--to", "1.0.0")
    server.execute("DELETE FROM dev_life.animal WHERE animal_id = 9")
    refused = " ".join(ok(living, "migrate", code=1).err.split())
    assert "life.Shelf has 1 row whose (animal_id) is in no row of life.Animal" in refused, refused
    assert "life.Shelf comes back as rollback kept it." in refused
    assert "purge life --allow-data-loss" in refused
    ok(living, "purge", "life", "--allow-data-loss")
    ok(living, "migrate")
    assert server.execute("SELECT COUNT(*) FROM dev_life.shelf") == [(0,)]


def test_what_purge_deleted_is_put_back_before_the_way_back(living: Project, server: Server) -> None:
    """A rollback before that makes it anew, and is refused; where one was done without the file, restore says the way."""
    life = living.module("life")
    text = living.read(life)
    step(living, text.replace(GRAMS, GRAMS + '    note = "" : varchar(9)\n') + shelves(), "notes")
    server.execute("UPDATE dev_life.weight SET note = 'x'", "INSERT INTO dev_life.shelf (shelf) VALUES (1)")
    step(living, text, "no notes", "--drop", "Weight.note", "--drop", "Shelf")
    ok(living, "purge", "--allow-data-loss")
    (path,) = (living.folder / "backups").glob("*purge*.zip")
    refused = " ".join(ok(living, "rollback", "life", "--to", "1.1.0", code=1).err.split())
    assert "was deleted by purge and would be made anew" in refused, refused
    assert f"restore {path.name}" in refused and "rollback life --to 1.1.0" in refused
    assert states(living)["life"] == ("current", "2.0.0")
    elsewhere = living.folder / path.name
    path.rename(elsewhere)
    ok(living, "rollback", "life", "--to", "1.1.0")
    refused = " ".join(ok(living, "restore", str(elsewhere), code=1).err.split())
    assert "was made anew by a rollback after purge had deleted it" in refused, refused
    assert "migrate life --to 2.0.0" in refused and "restore --overwrite" in refused
    ok(living, "migrate", "life", "--to", "2.0.0")
    ok(living, "restore", "--overwrite", str(elsewhere))
    ok(living, "rollback", "life", "--to", "1.1.0")
    assert {note for _, note in server.execute(WAS.format("note"))} == {"x"}
    assert server.execute("SELECT shelf FROM dev_life.shelf") == [(1,)]


def purged(living: Project) -> str:
    """Take the last migrations back and purge what they made; gives the name of the file."""
    ok(living, "rollback", "life", "--to", "1.0.0")
    ok(living, "purge", "--allow-data-loss")
    (path,) = (living.folder / "backups").glob("*purge*.zip")
    return path.name


NOTE = '    note = "" : varchar(9)\n'


def test_what_purge_deleted_lands_in_what_migrate_made_anew(living: Project, server: Server) -> None:
    """And not in a hidden column or table beside it; also under the name that the attribute got since."""
    life = living.module("life")
    text = living.read(life)
    notes = text.replace(GRAMS, GRAMS + NOTE)
    step(living, notes + shelves("deep = null : int32"), "notes")
    server.execute("UPDATE dev_life.weight SET note = 'x'", "INSERT INTO dev_life.shelf (shelf, deep) VALUES (1, 10)")
    file = purged(living)
    ok(living, "migrate")
    server.execute("INSERT INTO dev_life.shelf (shelf, deep) VALUES (2, 20)")
    remarks = notes.replace(NOTE, NOTE.replace("note", "remark")) + shelves("deep = null : int32")
    step(living, remarks, "remarks", "--rename", "Weight.note=remark")
    refused = ok(living, "restore", file, code=7)
    is_sentence(refused)
    assert "3 values of remark" in refused.err and "--overwrite" in refused.err
    shown = ok(living, "restore", "--overwrite", "--dry-run", "--json", file).json["tables"]
    assert sorted((t["table"], t["restored"], t["made"]) for t in shown) == [("shelf", 1, False), ("weight", 3, False)]
    assert {remark for _, remark in server.execute(WAS.format("remark"))} == {""}
    told = ok(living, "restore", "--overwrite", file).out
    assert "soft-deleted" not in told, told
    assert {remark for _, remark in server.execute(WAS.format("remark"))} == {"x"}
    assert sorted(server.execute("SELECT shelf, deep FROM dev_life.shelf")) == [(1, 10), (2, 20)]
    assert (
        states(living)["life"] == ("current", "2.0.0") and not ok(living, "purge", "--dry-run", "--json").json["purged"]
    )


def test_what_purge_deleted_and_migrate_made_another_of(living: Project, server: Server) -> None:
    """The refusal leads to where the values fit."""
    life = living.module("life")
    text = living.read(life)
    step(living, text.replace(GRAMS, GRAMS + NOTE), "notes")
    server.execute("UPDATE dev_life.weight SET note = '7'")
    file = purged(living)
    ok(living, "migrate")
    server.execute("UPDATE dev_life.weight SET note = '0'")
    step(living, text.replace(GRAMS, GRAMS + "    note = 0 : int32\n"), "numbers")
    refused = ok(living, "restore", file, code=1)
    is_sentence(refused)
    assert "life.Weight.note was made anew by migrate after purge had deleted it" in refused.err, refused.err
    assert "rollback life --to 1.1.0" in refused.err
    ok(living, "rollback", "life", "--to", "1.1.0")
    ok(living, "restore", "--overwrite", file)
    ok(living, "migrate")
    assert {note for _, note in server.execute(WAS.format("note"))} == {7}


@pytest.mark.parametrize("server", ["mysql"], indirect=True)
def test_what_was_to_come_back_and_was_interrupted_is_taken_back(living: Project, server: Server) -> None:
    """Though rows that were added since got a value where nobody sees it, which they have when it comes again."""
    life = living.module("life")
    living.replace(life, "    name : varchar(32)", "    tag : varchar(8)\n    name : varchar(32)")
    fills = ("--fill", "Animal.tag=T", "--fill", "Weight.rig=A", "--fill", "Weight.number=number()")
    revise(living, "    rig : varchar(8)\n    number : int32\n", *fills)
    server.execute("UPDATE dev_life.weight SET rig = 'B', number = number + 70", "UPDATE dev_life.animal SET tag = 'U'")
    before = server.execute(WAS.format("rig, number"))
    ok(living, "rollback", "life", "--to", "1.0.0")
    server.execute(
        "INSERT INTO dev_life.animal (animal_id, name) VALUES (9, 'Eve')",
        "INSERT INTO dev_life.weight (animal_id, day, grams) VALUES (9, '2001-01-01', 1)",
    )
    proxy, direct = Proxy("mysql", server.port), dict(living.environment)
    proxy.begin(Fault("ALTER TABLE `dev_life`.`weight`", "before", lambda: None))
    try:
        living.environment |= {**replace(server, port=proxy.port).variables, "DJ_USE_TLS": "false"}
        assert living.run("migrate").code
    finally:
        proxy.close()
        living.environment.clear()
        living.environment |= direct
    assert states(living)["life"][0] == "interrupted"
    told = ok(living, "rollback", "--interrupted")
    assert "in the hidden column _dropped_tag; the next migrate uses it" in " ".join(told.err.split()), told
    assert states(living)["life"] == ("behind", "1.0.0")
    ok(living, "migrate")
    assert states(living)["life"][0] == "current"
    after = server.execute(WAS.format("rig, number"))
    assert [row for row in after if row[1] == "B"] == before
    assert [row[1:] for row in after if row[1] != "B"] == [("A", 77)]
    assert server.execute("SELECT tag FROM dev_life.animal ORDER BY animal_id") == [("U",), ("U",), ("T",)]
