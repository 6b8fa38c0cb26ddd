"""The values of an enum in another order, where another attribute has the same values: PostgreSQL calls both types alike."""

from __future__ import annotations

import pytest
from conftest import Project, Server
from living import ok, states
from test_coming_back import step
from test_judging import living as living

assert living  # a fixture

HERE, THERE = "enum('low', 'high')", "enum('high', 'low')"


def table(name: str, *lines: str) -> str:
    """Give a class."""
    inside = "\n    ".join(lines)
    return f'\n\n@schema\nclass {name}(dj.Manual):\n    definition = """\n    {inside}\n    """\n'


def shelf(type_: str, name: str = "Shelf", more: str = "") -> str:
    return table(name, "shelf : int32", "---", f"place : {type_}{more}")


def order(server: Server, name: str, attribute: str = "place") -> list[object]:
    """The values of an attribute in the order in which the server has them."""
    return [value for (value,) in server.execute(f"SELECT {attribute} FROM dev_life.{name} ORDER BY {attribute}")]


def fill(server: Server, *names: str) -> None:
    for name in names:
        server.execute(f"INSERT INTO dev_life.{name} (shelf, place) VALUES (1, 'high'), (2, 'low')")


@pytest.mark.one_server("postgresql")
def test_of_one_of_two_tables(living: Project, server: Server) -> None:
    """And back again; the other has its order through it all, also when it changes itself."""
    text = living.read(living.module("life"))
    step(living, text + shelf(HERE) + shelf(HERE, "Rack"), "shelves")
    fill(server, "shelf", "rack")
    step(living, text + shelf(THERE) + shelf(HERE, "Rack"), "the other way round")
    assert (order(server, "shelf"), order(server, "rack")) == (["high", "low"], ["low", "high"])
    step(living, text + shelf(THERE) + shelf(HERE, "Rack", "\n    note = null : int32"), "a note")
    assert (order(server, "shelf"), order(server, "rack")) == (["high", "low"], ["low", "high"])
    assert states(living)["life"][0] == "current"
    ok(living, "rollback", "life", "--to", "1.1.0")
    assert (order(server, "shelf"), order(server, "rack")) == (["low", "high"], ["low", "high"])
    ok(living, "migrate")
    step(living, text + shelf(THERE) + shelf(THERE, "Rack", "\n    note = null : int32"), "both")
    assert (order(server, "shelf"), order(server, "rack")) == (["high", "low"], ["high", "low"])
    ok(living, "check")


@pytest.mark.one_server("postgresql")
def test_of_two_tables_at_once(living: Project, server: Server) -> None:
    text = living.read(living.module("life"))
    step(living, text + shelf(HERE) + shelf(HERE, "Rack"), "shelves")
    fill(server, "shelf", "rack")
    step(living, text + shelf(THERE) + shelf(THERE, "Rack"), "the other way round")
    assert (order(server, "shelf"), order(server, "rack")) == (["high", "low"], ["high", "low"])
    step(living, text + shelf(HERE) + shelf(HERE, "Rack"), "and back")
    assert (order(server, "shelf"), order(server, "rack")) == (["low", "high"], ["low", "high"])
    ok(living, "check")


@pytest.mark.one_server("postgresql")
def test_of_one_of_two_attributes(living: Project, server: Server) -> None:
    text = living.read(living.module("life"))
    step(living, text + shelf(HERE, more=f"\n    other = 'low' : {HERE}"), "shelves")
    fill(server, "shelf")
    server.execute("UPDATE dev_life.shelf SET other = place")
    step(living, text + shelf(THERE, more=f"\n    other = 'low' : {HERE}"), "the other way round")
    assert (order(server, "shelf"), order(server, "shelf", "other")) == (["high", "low"], ["low", "high"])
    # Which builds the table anew on PostgreSQL.
    step(living, text + shelf(THERE, more=f"\n    size = null : int32\n    other = 'low' : {HERE}"), "size")
    assert (order(server, "shelf"), order(server, "shelf", "other")) == (["high", "low"], ["low", "high"])


@pytest.mark.one_server("postgresql")
def test_of_a_key_with_tables_below_it(living: Project, server: Server) -> None:
    """What refers to either keeps to it, also what comes later."""
    text = living.read(living.module("life"))
    place, rack = table("Place", f"place : {HERE}"), table("Rack", f"place : {HERE}", "rack : int32")
    below = table("Book", "-> Place", "book : int32") + table("Box", "-> Rack")
    step(living, text + place + rack + below, "places")
    server.execute(
        "INSERT INTO dev_life.place (place) VALUES ('high'), ('low')",
        "INSERT INTO dev_life.rack (place, rack) VALUES ('high', 1), ('low', 1)",
        "INSERT INTO dev_life.book (place, book) VALUES ('high', 1), ('low', 1)",
        "INSERT INTO dev_life.box (place, rack) VALUES ('high', 1), ('low', 1)",
    )
    step(living, text + place.replace(HERE, THERE) + rack + below, "the other way round")
    found = [order(server, name) for name in ("place", "rack", "book", "box")]
    assert found == [["high", "low"], ["low", "high"], ["high", "low"], ["low", "high"]]
    more = table("Page", "-> Book", "page : int32") + table(
        "Lid", "-> Box", "---", "-> [nullable] Place.proj(on='place')"
    )
    step(living, text + place.replace(HERE, THERE) + rack + below + more, "more below")
    server.execute(
        "INSERT INTO dev_life.page (place, book, page) VALUES ('high', 1, 1), ('low', 1, 1)",
        "INSERT INTO dev_life.lid (place, rack) VALUES ('high', 1), ('low', 1)",
    )
    assert [order(server, name) for name in ("page", "lid")] == [["high", "low"], ["low", "high"]]
    assert states(living)["life"][0] == "current"
    ok(living, "rollback", "life", "--to", "1.1.0")
    found = [order(server, name) for name in ("place", "rack", "book", "box")]
    assert found == [["low", "high"], ["low", "high"], ["low", "high"], ["low", "high"]]
    ok(living, "check")


@pytest.mark.one_server("postgresql")
def test_of_a_new_table_and_of_a_new_attribute(living: Project, server: Server) -> None:
    text = living.read(living.module("life"))
    step(living, text + shelf(HERE), "shelves")
    step(living, text + shelf(HERE) + shelf(THERE, "Rack"), "racks")
    fill(server, "shelf", "rack")
    assert (order(server, "shelf"), order(server, "rack")) == (["low", "high"], ["high", "low"])
    third = "enum('low', 'high', 'top')"
    step(living, text + shelf(HERE, more=f"\n    other = null : {third}") + shelf(THERE, "Rack"), "others")
    more = "\n    other = null : enum('top', 'high', 'low')"
    step(living, text + shelf(HERE, more=f"\n    other = null : {third}") + shelf(THERE, "Rack", more), "more others")
    for name in ("shelf", "rack"):
        server.execute(
            f"UPDATE dev_life.{name} SET other = 'low'", f"UPDATE dev_life.{name} SET other = 'top' WHERE shelf = 1"
        )
    assert (order(server, "shelf", "other"), order(server, "rack", "other")) == (["low", "top"], ["top", "low"])
    ok(living, "check")


@pytest.mark.one_server("postgresql")
def test_of_two_attributes_of_one_new_table(living: Project, server: Server) -> None:
    """Also of two that are added at once, and where a table that is gone has left a type."""
    text = living.read(living.module("life"))
    step(living, text + shelf(HERE, more=f"\n    other = 'low' : {THERE}\n    third = 'low' : {HERE}"), "shelves")
    fill(server, "shelf")
    server.execute(
        *(f"UPDATE dev_life.shelf SET other = '{v}', third = '{v}' WHERE place = '{v}'" for v in ("low", "high"))
    )
    names = ("place", "other", "third")
    assert [order(server, "shelf", name) for name in names] == [["low", "high"], ["high", "low"], ["low", "high"]]
    levels = [f"\n    {name} = 'a' : enum({values})" for name, values in (("one", "'a', 'b'"), ("two", "'b', 'a'"))]
    step(
        living,
        text + shelf(HERE, more=f"\n    other = 'low' : {THERE}" + "".join(levels)),
        "levels",
        "--drop",
        "Shelf.third",
    )
    server.execute("UPDATE dev_life.shelf SET one = 'b', two = 'b' WHERE shelf = 1")
    found = [order(server, "shelf", name) for name in ("place", "other", "one", "two")]
    assert found == [["low", "high"], ["high", "low"], ["a", "b"], ["b", "a"]]
    assert states(living)["life"][0] == "current"
    ok(living, "rollback", "life", "--to", "1.1.0")
    assert [order(server, "shelf", name) for name in names] == [["low", "high"], ["high", "low"], ["low", "high"]]
    if server.backend == "postgresql":
        # DataJoint calls it so, after the values.
        server.execute("CREATE TYPE dev_life.enum_bbe7b96d AS ENUM ('yes', 'no')")
    answer = "\n    answer = null : enum('no', 'yes')"
    step(
        living,
        text + shelf(HERE, more=answer),
        "answers",
        *(part for name in ("other", "one", "two") for part in ("--drop", f"Shelf.{name}")),
    )
    server.execute(
        "UPDATE dev_life.shelf SET answer = 'yes' WHERE shelf = 1",
        "UPDATE dev_life.shelf SET answer = 'no' WHERE shelf = 2",
    )
    assert order(server, "shelf", "answer") == ["no", "yes"]


@pytest.mark.parametrize("server", ["postgresql"], indirect=True)
def test_that_an_earlier_release_left_is_named_and_can_be_put_right(living: Project, server: Server) -> None:
    """Two attributes of a new table shared a type until 0.13.3, as those that DataJoint declares itself do."""
    text = living.read(living.module("life"))
    step(living, text + shelf(HERE, more=f"\n    other = 'low' : {THERE}"), "shelves")
    fill(server, "shelf")
    assert "enum-order" not in living.run("doctor", "--json").out
    (shared,) = server.execute(
        "SELECT format_type(atttypid, -1) FROM pg_attribute WHERE attrelid = 'dev_life.shelf'::regclass "
        "AND attname = 'place'"
    )[0]
    server.execute(
        "ALTER TABLE dev_life.shelf ALTER COLUMN other DROP DEFAULT",
        f"ALTER TABLE dev_life.shelf ALTER COLUMN other TYPE {shared} USING other::text::{shared}",
        "ALTER TABLE dev_life.shelf ALTER COLUMN other SET DEFAULT 'low'",
        "UPDATE dev_life.shelf SET other = place",
    )
    assert states(living)["life"][0] == "current"
    (problem,) = [p for p in living.run("doctor", "--json").json["problems"] if p["id"] == "enum-order"]
    assert "other in life.Shelf" in problem["what"] and "low, high" in problem["why"]
    assert order(server, "shelf", "other") == ["low", "high"]
    for type_ in (HERE, THERE):
        step(living, text + shelf(HERE, more=f"\n    other = 'low' : {type_}"), "the other order")
    assert (order(server, "shelf"), order(server, "shelf", "other")) == (["low", "high"], ["high", "low"])
    assert "enum-order" not in living.run("doctor", "--json").out
