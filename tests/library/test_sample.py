"""A sample of rows is closed under every foreign key, the same byte for byte, and can be copied again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest
from accounts import made
from conftest import Server

from datajoint_pipeline.errors import PipelineError
from datajoint_pipeline.promotion import sample
from datajoint_pipeline.schema.model import TableName

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
