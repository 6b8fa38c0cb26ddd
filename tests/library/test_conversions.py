"""Every type into every other, on both servers: what is not counted before a conversion comes through it.

Rows of a table have values of one type. Those that `conversions` finds something against are taken away; then the
server has to take the others without a word, and each has to be what it was.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator
from contextlib import nullcontext, suppress
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import pytest
from conftest import Server
from sampling import whole
from test_ddl import connect

from datajoint_pipeline.ddl.build import build
from datajoint_pipeline.dialects import catalog, constraints
from datajoint_pipeline.dialects.choice import dialect_of
from datajoint_pipeline.operations import structure as ops
from datajoint_pipeline.schema import model

WHOLE = (0, 1, 5, -7, 127, 128, 255, 32767, 70000, 2**31 - 1, 2**24 + 1, 2**53 + 1, 2**63 - 1, -(2**63))
UUID = "05c03ddc-46ba-5fa2-d82d-dce6c18f751c"
TEXTS = (
    *("", "a", "b", "5", " 5", "5 ", "+7", "1.5", "1.239", "1,5", "1e3", "-", "0x1F", "true", "é", "0.1", "1e999"),
    *(
        "99999999999999999999",
        "12345678.123456789012",
        "3.4e39",
        "1e-60",
        "1e-400",
        '{"a": 1}',
        "2020-02-30",
        "0000-00-00",
        UUID,
    ),
    *("2020-01-02", "2020-01-02 00:00:00", "2020-01-02 03:04:05", "2020-01-02 03:04:05.678", "12:30", "20200102"),
    *("A", "á", "b ", "\u00a05", "5\u00a0", "1.\uff15"),
)
VALUES: dict[str, tuple[Any, ...]] = {
    "bool": (0, 1),
    "int8": tuple(v for v in WHOLE if -128 <= v < 128),
    "int16": tuple(v for v in WHOLE if -(2**15) <= v < 2**15),
    "int32": tuple(v for v in WHOLE if -(2**31) <= v < 2**31),
    "int64": WHOLE,
    "float32": (1.5, 0.1, 3e38, -3.0, 16777216.0, 1234567.5, 0.0078125),
    "float64": (0.0, 1.5, 0.1, 1e100, 1e-100, -3.0, 1e10, 123456789.123, 12345678901234.56, 0.1 + 0.2, 2.0**60),
    "decimal(5,0)": ("12345", "-7"),
    "decimal(8,2)": ("1.25", "999999.99", "-3.00", "0.10"),
    "decimal(20,6)": ("1.25", "12345678901234.123456", "0.000001", "1234567890123.456", "16777217"),
    "varchar(40)": TEXTS,
    "char(8)": tuple(text for text in TEXTS if len(text) <= 8),
    "enum('a', 'b', '5', '1.5')": ("a", "b", "5", "1.5"),
    "enum('0', '1', '16777216', '16777200')": ("0", "1", "16777216"),
    "enum('B', 'á', '5')": ("B", "á", "5"),
    "uuid": (UUID,),
    "date": ("2020-01-02", "1500-01-02"),
    "datetime": ("2020-01-02 03:04:05", "2020-01-02 00:00:00"),
    "datetime(3)": ("2020-01-02 03:04:05.678", "2020-01-02 03:04:59.999", "2020-01-02 00:00:00.001"),
    "json": ('{"a": 1}', "5", '"x"', "null"),
    "bytes": (b"abc", b"\0\xff", b"a" * 300, b"a" * 70000),
    "time": ("00:00:00", "09:30:00", "23:59:59"),
    "time(3)": ("09:30:00.125", "23:59:59.999", "10:00:00"),
}

#: Types that a definition may still name, and only MySQL has.
NATIVE: dict[str, tuple[Any, ...]] = {
    "timestamp": ("2020-01-02 03:04:05", "1970-01-02 00:00:00", "2038-01-19 03:14:07"),
    "tinytext": ("", "a", "2020-01-02", "é" * 100, "12:30"),
    "varchar(300)": ("a" * 299, "é" * 150, "25:99", "838:59:59", "2039-03-31", "1969-12-31 23:59:59"),
    "year": ("1901", "2000", "2155"),
    "mediumint": (0, 5, 70, 1901, 3000, -8388608),
    "tinyblob": (b"", b"abc"),
    "blob": (b"abc", b"b" * 300),
}

#: What only PostgreSQL has.
NO_NUMBER: dict[str, tuple[Any, ...]] = {"decimal(8,2)": (*VALUES["decimal(8,2)"], "NaN")}

#: Moments that not every type of them reaches.
VALUES["date"] += ("1960-01-01", "2039-03-31")
VALUES["datetime"] += ("2039-03-31 00:00:00", "1969-12-31 23:59:59")
VALUES["datetime(3)"] += ("9999-12-31 23:59:59.999",)


#: What holds all that the first type holds, so that nothing may be found against it.
WIDER = [
    *(("bool", "int8"), ("int8", "int16"), ("int16", "int32"), ("int32", "int64"), ("int32", "float64")),
    *(("float32", "float64"), ("decimal(5,0)", "decimal(20,6)"), ("date", "datetime"), ("datetime", "datetime(3)")),
    *(("char(8)", "varchar(40)"), ("int64", "varchar(40)"), ("uuid", "varchar(40)"), ("date", "varchar(40)")),
]


def values(backend: str) -> dict[str, tuple[Any, ...]]:
    """The types of a server, with values of each."""
    return {**VALUES, **(NATIVE if backend == "mysql" else NO_NUMBER)}


@pytest.fixture
def table(server: Server) -> Iterator[tuple[Any, dict[str, Any]]]:
    """A connection to a schema with a table for each type, and the tables by type."""
    server.drop("conv")
    dj, connection = connect(server)
    schema = dj.Schema("conv", connection=connection)
    for number, type_ in enumerate(values(server.backend)):
        definition = f"a : int32\n---\nx = null : {type_}"
        schema(type(f"T{number}", (dj.Manual,), {"definition": definition}), context={})
    shape = catalog.read(connection, {"s": "conv"})["s"]
    yield connection, {type_: shape.table[f"t{number}"] for number, type_ in enumerate(values(server.backend))}
    connection.close()
    server.drop("conv")


def meaning(value: Any) -> Any:
    """What a value is, whatever a driver has it in."""
    if isinstance(value, memoryview):
        value = bytes(value)
    if isinstance(value, bytes):
        if len(value) == 16:
            return str(uuid.UUID(bytes=value))
        with suppress(ValueError):
            return meaning(value.decode())
        return value
    if isinstance(value, (bool, int, float, Decimal)):
        number = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
        return "no number" if number.is_nan() else number
    if isinstance(value, time):
        value = timedelta(hours=value.hour, minutes=value.minute, seconds=value.second, microseconds=value.microsecond)
    if isinstance(value, timedelta):
        return value
    if isinstance(value, (date, datetime)):
        return datetime.fromisoformat(value.isoformat())
    if isinstance(value, str):
        text = value.strip()
        for read in (Decimal, datetime.fromisoformat):
            with suppress(ValueError, ArithmeticError):
                return meaning(read(text))
        if found := re.fullmatch(r"(\d+):(\d\d)(?::(\d\d(?:\.\d+)?))?", text):
            return timedelta(hours=int(found[1]), minutes=int(found[2]), seconds=float(found[3] or 0))
        with suppress(ValueError):
            return str(uuid.UUID(text))
        return {"true": Decimal(1), "false": Decimal(0)}.get(text, text.strip('"'))
    return json.dumps(value)


def same(before: Any, after: Any, near: float) -> bool:
    was, now = meaning(before), meaning(after)
    if was == now or not (isinstance(was, Decimal) and isinstance(now, Decimal)):
        return bool(was == now)
    return bool(abs(was - now) <= Decimal(near) * abs(was))


def exact(connection: Any, type_: str) -> str:
    """The column with all digits: MySQL's driver gives six of a float32, PostgreSQL's makes the numbers in JSON binary."""
    if connection.adapter.backend == "mysql":
        return "CAST(x AS DOUBLE)" if type_ == "float32" else "x"
    return "x::text" if type_ == "json" else "x"


def put(connection: Any, full: str, type_: str) -> None:
    """Put a row for each value of a type into a table."""
    mysql = connection.adapter.backend == "mysql"
    for number, value in enumerate(values(connection.adapter.backend)[type_]):
        value = bool(value) if type_ == "bool" and not mysql else value
        value = uuid.UUID(value).bytes if type_ == "uuid" and mysql else value
        connection.query(f"INSERT INTO {full} (a, x) VALUES (%s, %s)", (number, value))


def test_a_null_is_no_value_that_could_be_lost(table: tuple[Any, dict[str, Any]]) -> None:
    connection, shapes = table
    dialect = dialect_of(connection)({"s": "conv"}, {}, {}, constraints.read(connection, {"s": "conv"}), (18,))
    lost = []
    for old, shape in shapes.items():
        full = dialect.full(shape.name)
        connection.query(f"INSERT INTO {full} (a, x) VALUES (0, NULL)")
        found = [(new, loss) for new in shapes if new != old for loss in dialect.losses(dialect.quote("x"), old, new)]
        conditions = ", ".join(f"({loss.condition}) IS TRUE" for _, loss in found)
        counted = connection.query(f"SELECT {conditions} FROM {full}", args=None).fetchone()
        lost += [(old, new, loss.words) for (new, loss), is_so in zip(found, counted, strict=True) if is_so]
    assert not lost


def test_what_is_not_counted_comes_through(table: tuple[Any, dict[str, Any]]) -> None:
    """Of the pairs of types, CI plays every third one."""
    connection, shapes = table
    mysql = connection.adapter.backend == "mysql"
    kind = dialect_of(connection)
    name, full = model.TableName("s", "x"), ".".join(map(connection.adapter.quote_identifier, ("conv", "x")))
    wrong = []
    each = 1 if whole() else 3
    for number, (old, before) in enumerate(shapes.items()):
        for new in [new for new in shapes if new != old][number % each :: each]:
            own = replace(before, name=name)
            will = shapes[new].attribute["x"]
            after = replace(own, attributes=tuple(will if a.name == "x" else a for a in own.attributes))

            def lowering(*states: Any) -> Any:
                return kind({"s": "conv"}, *states, constraints.read(connection, {"s": "conv"}), (18,))

            dialect = lowering({}, {name: own})
            for step in dialect.create_table(own):
                connection.query(step.sql, args=None)
            put(connection, full, old)
            connection.query(f"INSERT INTO {full} (a, x) VALUES (-1, NULL)")
            for loss in dialect.losses(dialect.quote("x"), old, new):
                found = connection.query(f"SELECT a FROM {full} WHERE {loss.condition}", args=None).fetchall()
                listed = ", ".join(str(key) for (key,) in found)
                connection.query(f"DELETE FROM {full} WHERE a IN ({listed or 'NULL'})", args=None)
            had = connection.query(f"SELECT a, {exact(connection, old)} FROM {full}").fetchall()
            assert (-1, None) in [*map(tuple, had)], f"{old} to {new}: {had}"
            assert (old, new) not in WIDER or len(had) == 1 + len(values(connection.adapter.backend)[old]), (
                f"{old} to {new}: {had}"
            )
            dialect = lowering({name: own}, {name: after})
            try:
                built = build({name: own}, [ops.AlterAttribute(name, own.attribute["x"], will)], dialect)
                with connection.transaction if not mysql else nullcontext():
                    for step in built.steps:
                        connection.query(step.sql, args=step.arguments or None)
                has = dict(connection.query(f"SELECT a, {exact(connection, new)} FROM {full}").fetchall())
                near = 2.0**-24 if "float32" in (old, new) else 2.0**-53
                lost = [(value, has[key]) for key, value in had if not same(value, has[key], near)]
            except Exception as error:
                lost = [str(error)[:200]]
            if lost:
                wrong.append((old, new, lost))
            connection.query(f"DROP TABLE {full}")
    assert not wrong, "\n".join(map(str, wrong))


def test_a_text_whose_zeros_no_number_keeps_is_counted(table: tuple[Any, dict[str, Any]]) -> None:
    connection, shapes = table
    name = ("conv", shapes["varchar(40)"].name.table)
    full = ".".join(map(connection.adapter.quote_identifier, name))
    dialect = dialect_of(connection)({"s": "conv"}, {}, {}, constraints.read(connection, {"s": "conv"}), (18,))
    lose = ("007", "+5", " 07", "-07", "00", "00.5", "01e2", " 7", "7 ", "\t7", "-0")
    keep = ("7", "-7", "0", "10", "0.5", "-0.5", "70", "1e05", "1.0", "0 0")
    for number, text in enumerate(lose + keep):
        connection.query(f"INSERT INTO {full} (a, x) VALUES (%s, %s)", (number, text))
    for new in ("int32", "float64", "float32", "decimal(8,2)"):
        losses = [loss for loss in dialect.losses(dialect.quote("x"), "varchar(40)", new) if "0 or +" in loss.words]
        assert [(loss.kind, loss.silent) for loss in losses] == [("rounding", True)], new
        found = connection.query(f"SELECT x FROM {full} WHERE {losses[0].condition}", args=None).fetchall()
        whole = new == "int32"  # which refuses a fraction for itself
        assert {text for (text,) in found} == {t for t in lose if not (whole and ("." in t or "e" in t))}, new


@pytest.mark.both_servers
def test_a_text_that_is_counted_as_a_uuid_becomes_one_on_either_server(table: tuple[Any, dict[str, Any]]) -> None:
    connection, shapes = table
    full = ".".join(map(connection.adapter.quote_identifier, ("conv", shapes["varchar(40)"].name.table)))
    dialect = dialect_of(connection)({"s": "conv"}, {}, {}, constraints.read(connection, {"s": "conv"}), (18,))
    plain = UUID.replace("-", "")
    keep = (UUID, UUID.upper(), plain, f"{{{UUID}}}")
    some_dashes, open_brace = UUID.replace("-", "", 1), f"{{{UUID}"
    lose = (f"{{{plain}}}", some_dashes, open_brace, f"{UUID}}}", f"{plain[:16]}-{plain[16:]}", f" {UUID}", plain[:-1])
    for number, text in enumerate(keep + lose):
        connection.query(f"INSERT INTO {full} (a, x) VALUES (%s, %s)", (number, text))
    (lost,) = dialect.losses(dialect.quote("x"), "varchar(40)", "uuid")
    found = connection.query(f"SELECT x FROM {full} WHERE {lost.condition}", args=None).fetchall()
    assert {text for (text,) in found} == {*lose}
    for text in keep:
        cast = "UUID_TO_BIN(%s)" if connection.adapter.backend == "mysql" else "%s::uuid"
        assert connection.query(f"SELECT {cast}", (text,)).fetchone()[0] is not None


#: Texts that PostgreSQL takes for infinity or for no number: of each type those that it writes itself, and others.
BEYOND = ("NaN", "nan", "Infinity", "-Infinity", "infinity", "-infinity", "inf", "+Infinity", " NaN", "Infinity ")
WRITTEN: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("float32", "float64", "numeric"), ("NaN", "Infinity", "-Infinity")),
    "decimal(8,2)": ("NaN",),
    **dict.fromkeys(("date", "datetime", "datetime(3)"), ("infinity", "-infinity")),
    **dict.fromkeys(("int32", "bool", "time", "uuid"), ()),
}


@pytest.mark.both_servers
def test_of_infinity_as_a_text_only_what_the_server_writes_itself_is_taken(
    table: tuple[Any, dict[str, Any]],
) -> None:
    connection, shapes = table
    mysql = connection.adapter.backend == "mysql"
    full = ".".join(map(connection.adapter.quote_identifier, ("conv", shapes["varchar(40)"].name.table)))
    for number, text in enumerate((*BEYOND, None)):
        connection.query(f"INSERT INTO {full} (a, x) VALUES (%s, %s)", (number, text))
    names = constraints.read(connection, {"s": "conv"})
    for new, written in WRITTEN.items():
        for version in ((18,), (13,)):
            dialect = dialect_of(connection)({"s": "conv"}, {}, {}, names, version)
            losses = [loss.condition for loss in dialect.losses(dialect.quote("x"), "varchar(40)", new)]
            kept = " AND ".join(f"({condition}) IS NOT TRUE" for condition in losses)
            found = connection.query(f"SELECT x FROM {full} WHERE x IS NOT NULL AND {kept}", args=None).fetchall()
            known = ("NaN",) if new == "numeric" and version < (14,) else written
            assert {text for (text,) in found} == {*(() if mysql else known)}, (new, version)
        for text in () if mysql else written:
            type_ = {"float32": "real", "float64": "double precision"}.get(new, new.replace("datetime", "timestamp"))
            assert connection.query(f"SELECT %s::{type_}::text", (text,)).fetchone() == (text,)


@pytest.mark.parametrize(
    ("old", "value", "expected"),
    [
        ("varchar(40)", "a\\x41\\b", b"a\\x41\\b"),
        ("varchar(40)", "\\x41", b"\\x41"),
        ("varchar(40)", "é", "é".encode()),
        ("uuid", UUID, uuid.UUID(UUID).bytes),
    ],
)
@pytest.mark.both_servers
def test_bytes_are_those_of_the_value_on_either_server(
    old: str, value: str, expected: bytes, table: tuple[Any, dict[str, Any]]
) -> None:
    connection, shapes = table
    mysql, own = connection.adapter.backend == "mysql", shapes[old]
    full = ".".join(map(connection.adapter.quote_identifier, ("conv", own.name.table)))
    stored = uuid.UUID(value).bytes if old == "uuid" and mysql else value
    connection.query(f"INSERT INTO {full} (a, x) VALUES (1, %s)", (stored,))
    will = shapes["bytes"].attribute["x"]
    after = replace(own, attributes=tuple(will if a.name == "x" else a for a in own.attributes))
    names = constraints.read(connection, {"s": "conv"})
    dialect = dialect_of(connection)({"s": "conv"}, {own.name: own}, {own.name: after}, names, (18,))
    built = build({own.name: own}, [ops.AlterAttribute(own.name, own.attribute["x"], will)], dialect)
    with nullcontext() if mysql else connection.transaction:
        for step in built.steps:
            connection.query(step.sql, args=step.arguments or None)
    ((found,),) = connection.query(f"SELECT x FROM {full}").fetchall()
    assert bytes(found) == expected


#: Types whose values have no text.
TEXTLESS = ("json", "bytes", "tinyblob", "blob")


def test_what_is_cut_is_the_beginning_of_its_text(table: tuple[Any, dict[str, Any]]) -> None:
    connection, shapes = table
    kind, mysql = dialect_of(connection), connection.adapter.backend == "mysql"
    name, full = model.TableName("s", "x"), ".".join(map(connection.adapter.quote_identifier, ("conv", "x")))
    wrong = []
    for old, before in shapes.items():
        if old in TEXTLESS:
            continue
        own = replace(before, name=name)
        will = replace(own.attribute["x"], type="varchar(3)")
        after = replace(own, attributes=tuple(will if a.name == "x" else a for a in own.attributes))
        states = ({}, {name: own}), ({name: own}, {name: after})
        names = constraints.read(connection, {"s": "conv"})
        made, altered = (kind({"s": "conv"}, *state, names, (18,)) for state in states)
        for step in made.create_table(own):
            connection.query(step.sql, args=None)
        put(connection, full, old)
        told = (
            {"uuid": "BIN_TO_UUID(x)"}.get(old, "CAST(x AS CHAR)")
            if mysql
            else ("x::int::text" if old == "bool" else "x::text")
        )
        had = connection.query(f"SELECT a, {told} FROM {full}", args=None).fetchall()
        operation = ops.AlterAttribute(name, own.attribute["x"], will)
        built = build({name: own}, [operation], altered, lossy=frozenset({(name, "x")}))
        try:
            with connection.transaction if not mysql else nullcontext():
                for step in built.steps:
                    connection.query(step.sql, args=step.arguments or None)
            has = dict(connection.query(f"SELECT a, x FROM {full}").fetchall())
            lost = [(text, has[key]) for key, text in had if has[key] != text[:3]]
        except Exception as error:
            lost = [str(error)[:200]]
        if lost:
            wrong.append((old, lost))
        connection.query(f"DROP TABLE {full}")
    assert not wrong, "\n".join(map(str, wrong))


def test_values_of_a_key_are_counted_where_they_become_one_and_only_there(table: tuple[Any, dict[str, Any]]) -> None:
    """What the other type cannot hold is taken away; the rest is refused where values are counted, and is taken otherwise."""
    connection, shapes = table
    kind, mysql = dialect_of(connection), connection.adapter.backend == "mysql"
    name, full = model.TableName("s", "x"), ".".join(map(connection.adapter.quote_identifier, ("conv", "x")))
    keys = [type_ for type_ in shapes if type_ not in ("json", "bytes", "tinytext", "tinyblob", "blob")]
    wrong = []
    for old, new in ((old, new) for old in keys for new in keys if old != new):
        was, will = (replace(shapes[type_].attribute["x"], nullable=False, default=None) for type_ in (old, new))
        row = shapes[old].attribute["a"]
        own = replace(shapes[old], name=name, attributes=(was, row), primary_key=("x",))
        after = replace(own, attributes=(will, row))

        def lowering(*states: Any) -> Any:
            return kind({"s": "conv"}, *states, constraints.read(connection, {"s": "conv"}), (18,))

        dialect = lowering({}, {name: own})
        for step in dialect.create_table(own):
            connection.query(step.sql, args=None)
        for number, value in enumerate(values(connection.adapter.backend)[old]):
            value = bool(value) if old == "bool" and not mysql else value
            value = uuid.UUID(value).bytes if old == "uuid" and mysql else value
            with suppress(Exception):  # to MySQL it is one that is there
                connection.query(f"INSERT INTO {full} (x, a) VALUES (%s, %s)", (value, number))
        for loss in dialect.losses(dialect.quote("x"), old, new):
            found = connection.query(f"SELECT a FROM {full} WHERE {loss.condition}", args=None).fetchall()
            connection.query(f"DELETE FROM {full} WHERE a IN ({', '.join(str(n) for (n,) in found) or 'NULL'})")
        count = "nothing"
        try:
            built = build({name: own}, [ops.AlterAttribute(name, was, will)], lowering({name: own}, {name: after}))
            sql = [probe.sql for _, probe in built.probes if probe.kind == "duplicate"]
            count = sum(connection.query(query, args=None).fetchone()[0] for query in sql)
            taken = True
            try:
                with connection.transaction if not mysql else nullcontext():
                    for step in built.steps:
                        connection.query(step.sql, args=step.arguments or None)
            except Exception as error:
                if not re.search("[Dd]uplicate", str(error)):
                    raise
                taken = False
            if taken == bool(count):
                wrong.append((old, new, f"{count} counted, {'taken' if taken else 'refused'}"))
        except Exception as error:
            wrong.append((old, new, f"{count} counted: {str(error)[:200]}"))
        connection.query(f"DROP TABLE {full}")
    assert not wrong, "\n".join(map(str, wrong))
