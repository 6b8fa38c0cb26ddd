"""A sample of rows is closed under every foreign key, the same byte for byte, and can be copied again; so are named rows."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest
from accounts import made
from conftest import Server

from datajoint_pipeline.dialects import catalog
from datajoint_pipeline.errors import PipelineError
from datajoint_pipeline.promotion import closure, named, sample
from datajoint_pipeline.promotion.raw import RawTable
from datajoint_pipeline.schema.model import Table, TableName

FROM, TO = {"a": "from_a", "b": "from_b"}, {"a": "to_a", "b": "to_b"}

#: Two schemas: lookups that refer to a manual table, composite and nullable keys, one that leads to a unique key that
#: is not the primary one, one from a table to itself, a generated column, a hidden one, and values of awkward types.
TABLES = {
    "mysql": [
        "CREATE TABLE {a}.`person` (person int PRIMARY KEY, badge varchar(8) NOT NULL UNIQUE, _prov json)",
        "CREATE TABLE {a}.`#rig` (rig varchar(8) PRIMARY KEY, person int NOT NULL, "
        "FOREIGN KEY (person) REFERENCES {a}.person (person))",
        "CREATE TABLE {a}.`subject` (subject int PRIMARY KEY, mother int, "
        "FOREIGN KEY (mother) REFERENCES {a}.subject (subject))",
        "CREATE TABLE {b}.`session` (subject int, day date, rig varchar(8), badge varchar(8) NOT NULL, "
        "weight float, exact decimal(9,3), happened datetime(6), note blob, document json, flags bit(5), "
        "twice int GENERATED ALWAYS AS (subject * 2) STORED, PRIMARY KEY (subject, day), "
        "FOREIGN KEY (subject) REFERENCES {a}.subject (subject), FOREIGN KEY (rig) REFERENCES {a}.`#rig` (rig), "
        "FOREIGN KEY (badge) REFERENCES {a}.person (badge))",
        "CREATE TABLE {b}.`__score` (subject int, day date, score double, PRIMARY KEY (subject, day), "
        "FOREIGN KEY (subject, day) REFERENCES {b}.session (subject, day))",
    ],
    "postgresql": [
        'CREATE TABLE {a}."person" (person int PRIMARY KEY, badge varchar(8) NOT NULL UNIQUE, _prov jsonb)',
        'CREATE TABLE {a}."#rig" (rig varchar(8) PRIMARY KEY, person int NOT NULL REFERENCES {a}.person (person))',
        'CREATE TABLE {a}."subject" (subject int PRIMARY KEY, mother int REFERENCES {a}.subject (subject))',
        'CREATE TABLE {b}."session" (subject int REFERENCES {a}.subject (subject), day date, '
        'rig varchar(8) REFERENCES {a}."#rig" (rig), badge varchar(8) NOT NULL REFERENCES {a}.person (badge), '
        "weight real, exact decimal(9,3), happened timestamp(6), note bytea, document jsonb, flags bit(5), "
        "twice int GENERATED ALWAYS AS (subject * 2) STORED, PRIMARY KEY (subject, day))",
        'CREATE TABLE {b}."__score" (subject int, day date, score double precision, PRIMARY KEY (subject, day), '
        "FOREIGN KEY (subject, day) REFERENCES {b}.session (subject, day))",
    ],
}

COLUMNS = "subject, day, rig, badge, weight, exact, happened, note, document, flags"


def connect(server: Server) -> Any:
    import datajoint as dj
    from datajoint.settings import Config

    config = Config()
    config["database.backend"] = server.backend
    config["database.host"], config["database.port"] = server.host, server.port
    config["database.user"], config["database.password"] = server.user, server.password
    return closing(dj.Connection(server.host, server.user, server.password, server.port, config_override=config))


def make(server: Server, databases: dict[str, str]) -> None:
    schema = "DATABASE" if server.backend == "mysql" else "SCHEMA"
    server.execute(*(f"CREATE {schema} {name}" for name in databases.values()))
    server.execute(*(text.format(**databases) for text in TABLES[server.backend]))


def fill(server: Server) -> None:
    a, b, mysql = FROM["a"], FROM["b"], server.backend == "mysql"
    rig, blob = ("`#rig`", "X'00ff2725730a5c'") if mysql else ('"#rig"', r"'\x00ff2725730a5c'")
    # Person 3 is known to no lookup; subject n is the child of n + 1, so the first needs all that come after it.
    server.execute(
        f"INSERT INTO {a}.person VALUES (1, 'one', '{{\"by\": \"é%s\"}}'), (2, 'two', NULL), (3, 'three', NULL)",
        f"INSERT INTO {a}.{rig} VALUES ('left', 1), ('right', 2)",
        *(f"INSERT INTO {a}.subject VALUES ({n}, {n + 1 if n < 40 else 'NULL'})" for n in range(40, 0, -1)),
        *(
            f"INSERT INTO {b}.session ({COLUMNS}) VALUES ({n}, '2026-01-01', {rig}, 'three', 0.1, 12.345, "
            f"'2026-01-02 03:04:05.678901', {blob}, '{{\"a\": [1, \"é\"]}}', b'10110')"
            for n, rig in [(30, "'left'"), (31, "NULL"), (32, "'right'"), (33, "NULL")]
        ),
        f"INSERT INTO {b}.__score VALUES (31, '2026-01-01', 0.30000000000000004), (33, '2026-01-01', NULL)",
    )


def rows(server: Server, databases: dict[str, str]) -> dict[str, list[Any]]:
    """Every row of every table as the driver has it."""
    quote = "`" if server.backend == "mysql" else '"'
    names = [("a", "person"), ("a", "#rig"), ("a", "subject"), ("b", "session"), ("b", "__score")]
    found = {}
    for schema, table in names:
        read = server.execute(f"SELECT * FROM {databases[schema]}.{quote}{table}{quote}")
        plain = [tuple(bytes(v) if isinstance(v, memoryview) else v for v in row) for row in read]
        found[table] = sorted(plain, key=repr)
    return found


@pytest.fixture
def pair(server: Server) -> Iterator[Server]:
    """The two schemas twice: once with rows."""
    every = [*reversed(FROM.values()), *reversed(TO.values())]
    server.drop(*every)
    make(server, FROM)
    make(server, TO)
    fill(server)
    yield server
    server.drop(*every)


def test_sample_has_what_its_rows_refer_to_and_is_the_same_byte_for_byte(pair: Server) -> None:
    with connect(pair) as connection:
        copied = sample.copy(connection, FROM, connection, TO, rows=2)
        source, target = rows(pair, FROM), rows(pair, TO)
        # The lookups are whole, and so are the people whom they, or the sessions by their badges, refer to.
        assert target["#rig"] == source["#rig"] and target["person"] == source["person"]
        # The first session and the last, each the same in every column; both scores, with the session of one.
        assert [row[0] for row in target["session"]] == [30, 31, 33]
        assert {key for key, _ in map(lambda row: (row[0], row[1]), target["__score"])} == {31, 33}
        for table in target:
            assert set(map(repr, target[table])) <= set(map(repr, source[table])), table
        # Of subjects the first and the last, and every mother of the first.
        assert len(target["subject"]) == 40
        by_name = {one.table: one for one in copied}
        assert by_name[TableName("b", "session")] == sample.Copied(TableName("b", "session"), 3, 3)
        # Again: nothing is added, and nothing is changed.
        again = sample.copy(connection, FROM, connection, TO, rows=2)
        assert [one.inserted for one in again] == [0] * 5 and rows(pair, TO) == target


def test_only_lookups_come_with_no_rows_and_a_wider_sample_adds_to_a_smaller_one(pair: Server) -> None:
    with connect(pair) as connection:
        sample.copy(connection, FROM, connection, TO, rows=0)
        there = rows(pair, TO)
        assert [len(there[name]) for name in ("#rig", "person", "subject", "session", "__score")] == [2, 2, 0, 0, 0]
        sample.copy(connection, FROM, connection, TO, rows=1000)
        assert rows(pair, TO) == rows(pair, FROM)


def test_source_is_only_read_and_the_other_connection_may_be_of_another_account(pair: Server) -> None:
    with made(pair) as make_account:
        reader = make_account("reader")
        for database in FROM.values():
            if pair.backend == "mysql":
                pair.execute(f"GRANT SELECT ON {database}.* TO {reader.user}")
            else:
                pair.execute(f"GRANT USAGE ON SCHEMA {database} TO {reader.user}")
                pair.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA {database} TO {reader.user}")
        as_reader = replace(pair, user=reader.name, password=reader.password)
        with connect(as_reader) as source, connect(pair) as target:
            sample.copy(source, FROM, target, TO, rows=1000)
        assert rows(pair, TO) == rows(pair, FROM)


def test_rows_in_a_circle_are_refused_and_nothing_is_copied(pair: Server) -> None:
    pair.execute(f"UPDATE {FROM['a']}.subject SET mother = 39 WHERE subject = 40")
    with connect(pair) as connection, pytest.raises(PipelineError, match=r"a.Subject refer to each other in a circle"):
        sample.copy(connection, FROM, connection, TO, rows=2)
    assert not any(rows(pair, TO).values())


def test_row_that_refers_to_itself_comes(pair: Server) -> None:
    pair.execute(f"UPDATE {FROM['a']}.subject SET mother = 40 WHERE subject = 40")
    with connect(pair) as connection:
        sample.copy(connection, FROM, connection, TO, rows=2)
    assert rows(pair, TO)["subject"] == rows(pair, FROM)["subject"]


def test_tables_in_a_circle_are_refused(pair: Server) -> None:
    pair.execute(
        f"ALTER TABLE {FROM['a']}.person ADD COLUMN subject int",
        f"ALTER TABLE {FROM['a']}.person ADD FOREIGN KEY (subject) REFERENCES {FROM['a']}.subject (subject)",
        f"ALTER TABLE {FROM['a']}.subject ADD COLUMN person int",
        f"ALTER TABLE {FROM['a']}.subject ADD FOREIGN KEY (person) REFERENCES {FROM['a']}.person (person)",
    )
    with connect(pair) as connection, pytest.raises(PipelineError, match="circle"):
        sample.copy(connection, FROM, connection, TO, rows=2)
    assert not any(rows(pair, TO).values())


def test_a_row_that_the_server_refuses_leaves_nothing(pair: Server) -> None:
    pair.execute(f"ALTER TABLE {TO['b']}.session ADD CONSTRAINT none CHECK (subject < 33)")
    with connect(pair) as connection, pytest.raises(PipelineError, match=r"cannot be inserted"):
        sample.copy(connection, FROM, connection, TO, rows=1000)
    assert not any(rows(pair, TO).values())


def test_rows_are_read_no_more_at_a_time_than_memory_has_room_for(pair: Server, monkeypatch: Any) -> None:
    columns = f"INSERT INTO {FROM['b']}.session (subject, day, badge, note) VALUES "
    large = "REPEAT('x', 60000)" if pair.backend == "mysql" else "convert_to(REPEAT('x', 60000), 'UTF8')"
    more = [n for n in range(1, 41) if not 30 <= n <= 33]
    pair.execute(
        f"UPDATE {FROM['b']}.session SET note = {large}",
        columns + ", ".join(f"({n}, '2026-01-01', 'one', {large})" for n in more),
    )
    read, numbers = RawTable.read, []

    def spied(self: RawTable, columns: Any, among: Any, values: Any, **more: Any) -> Any:
        if self.place[1] == "session" and "note" in columns:
            numbers.append(len(values))
        return read(self, columns, among, values, **more)

    monkeypatch.setattr(RawTable, "read", spied)
    monkeypatch.setattr(closure, "_MEMORY", 1 << 20)
    with connect(pair) as connection:
        sample.copy(connection, FROM, connection, TO, rows=1000)
    assert sum(numbers) == 40 and max(numbers) <= 16
    assert rows(pair, TO)["session"] == rows(pair, FROM)["session"]


# --- Named rows ------------------------------------------------------------------------------------------------------

#: Boxes with parts, labels that refer to a box, a computed table, and notes about what was computed.
NAMED = """
CREATE TABLE {a}.box (box int PRIMARY KEY, size decimal(9,3));
CREATE TABLE {a}.box__item (box int, item int, PRIMARY KEY (box, item), FOREIGN KEY (box) REFERENCES {a}.box (box));
CREATE TABLE {a}.label (label int PRIMARY KEY, box int NOT NULL, FOREIGN KEY (box) REFERENCES {a}.box (box));
CREATE TABLE {b}.__score (box int PRIMARY KEY, score int, FOREIGN KEY (box) REFERENCES {a}.box (box));
CREATE TABLE {b}.note (box int PRIMARY KEY, text varchar(8), FOREIGN KEY (box) REFERENCES {b}.__score (box))
"""


@pytest.fixture
def boxes(server: Server) -> Iterator[Server]:
    every = [*reversed(FROM.values()), *reversed(TO.values())]
    schema = "DATABASE" if server.backend == "mysql" else "SCHEMA"
    server.drop(*every)
    for databases in (FROM, TO):
        server.execute(*(f"CREATE {schema} {name}" for name in databases.values()))
        server.execute(*NAMED.format(**databases).split(";"))
    a, b = FROM["a"], FROM["b"]
    server.execute(
        f"INSERT INTO {a}.box VALUES (1, 1.125), (2, 2.5), (3, 3)",
        f"INSERT INTO {a}.box__item VALUES (1, 1), (1, 2), (2, 1), (3, 1)",
        f"INSERT INTO {a}.label VALUES (10, 1), (20, 2)",
        f"INSERT INTO {b}.__score VALUES (1, 7), (2, 8)",
        f"INSERT INTO {b}.note VALUES (1, 'good'), (2, 'bad')",
    )
    yield server
    server.drop(*every)


def copy_named(server: Server, name: TableName, **given: str) -> dict[str, tuple[int, int]]:
    with connect(server) as connection:

        def tables(databases: dict[str, str]) -> dict[TableName, Table]:
            return {t.name: t for shape in catalog.read(connection, databases).values() for t in shape}

        sides = (connection, FROM, connection, TO, tables(FROM), tables(TO))
        copied, conflicts = named.copy(*sides, [name], given)
        assert not conflicts
        return {one.table.table: (one.inserted, one.same) for one in copied}


def there(server: Server, table: str) -> list[Any]:
    return server.execute(f"SELECT * FROM {table} ORDER BY 1, 2")


def test_a_master_that_comes_along_brings_its_parts_and_one_that_is_there_keeps_its_own(boxes: Server) -> None:
    boxes.execute(f"INSERT INTO {TO['a']}.box VALUES (2, 2.5)")
    assert copy_named(boxes, TableName("a", "label")) == {"box": (1, 1), "box__item": (2, 0), "label": (2, 0)}
    assert there(boxes, f"{TO['a']}.box__item") == [(1, 1), (1, 2)]


def test_rows_that_need_computed_ones_come_where_these_are_there(boxes: Server) -> None:
    note = TableName("b", "note")
    with pytest.raises(PipelineError, match=r"refers to 2 rows of b.Score that are not there"):
        copy_named(boxes, note)
    assert not any(there(boxes, f"{TO['b']}.{name}") for name in ("note", "__score"))
    boxes.execute(f"INSERT INTO {TO['a']}.box VALUES (1, 1.125)", f"INSERT INTO {TO['b']}.__score VALUES (1, 7)")
    assert copy_named(boxes, note, box="1") == {"box": (0, 1), "__score": (0, 1), "note": (1, 0)}
    with pytest.raises(PipelineError, match=r"refers to 1 row of b.Score that is not there"):
        copy_named(boxes, note)


def test_values_that_the_other_side_would_round_or_key_otherwise_are_refused(boxes: Server) -> None:
    column = "MODIFY size decimal(9,1)" if boxes.backend == "mysql" else "ALTER size TYPE decimal(9,1)"
    boxes.execute(f"ALTER TABLE {TO['a']}.box {column}")
    with pytest.raises(PipelineError, match=r"a.Box is not the same table") as refused:
        copy_named(boxes, TableName("a", "box"))
    assert re.match(r"size is \w+\(9,\s?3\) where the rows come from, and \w+\(9,\s?1\)", refused.value.why)
    assert there(boxes, f"{TO['a']}.box") == []
    key = "DROP PRIMARY KEY" if boxes.backend == "mysql" else "DROP CONSTRAINT label_pkey"
    boxes.execute(f"ALTER TABLE {TO['a']}.box {column.replace('1)', '3)')}",
                  f"ALTER TABLE {TO['a']}.label {key}, ADD PRIMARY KEY (label, box)")  # fmt: skip
    with pytest.raises(PipelineError, match=r"a.Label is not the same table") as refused:
        copy_named(boxes, TableName("a", "label"))
    assert "Its key is (label) where the rows come from, and (label, box)" in refused.value.why
    assert there(boxes, f"{TO['a']}.label") == []


def test_rows_that_would_be_others_once_inserted_are_refused(boxes: Server) -> None:
    box = f"{TO['a']}.box"
    if boxes.backend == "mysql":
        trigger = f"CREATE TRIGGER {TO['a']}.cut BEFORE INSERT ON {box} FOR EACH ROW SET new.size = ROUND(new.size, 1)"
        boxes.execute(trigger)
    else:
        boxes.execute(
            f"CREATE FUNCTION {TO['a']}.cut() RETURNS trigger LANGUAGE plpgsql AS "
            "'BEGIN new.size = ROUND(new.size, 1); RETURN new; END'",
            f"CREATE TRIGGER cut BEFORE INSERT ON {box} FOR EACH ROW EXECUTE FUNCTION {TO['a']}.cut()",
        )
    with pytest.raises(PipelineError, match=r"Rows of a.Box would differ") as refused:
        copy_named(boxes, TableName("a", "box"))
    assert "size of (box=1) is 1.125, and would become 1.1" in refused.value.why
    assert there(boxes, box) == []


def test_parts_of_more_masters_than_one_statement_names_come(boxes: Server, monkeypatch: Any) -> None:
    asked, read = list[int](), RawTable.read

    def spied(self: RawTable, columns: Any, among: Any, values: Any, **more: Any) -> Any:
        asked.append(len(values))
        return read(self, columns, among, values, **more)

    monkeypatch.setattr(RawTable, "read", spied)
    values = ", ".join(f"({n}, {n})" for n in range(100, 1100))
    boxes.execute(f"INSERT INTO {FROM['a']}.box VALUES {values}", f"INSERT INTO {FROM['a']}.box__item VALUES {values}")
    assert copy_named(boxes, TableName("a", "box")) == {"box": (1003, 0), "box__item": (1004, 0)}
    assert max(asked) <= 200
