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
from dataclasses import dataclass, replace
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
from datajoint_pipeline.errors import PipelineError
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
    "float32": (
        *(1.5, 0.1, 3e38, -3.0, 16777216.0, 1234567.5, 0.0078125),
        *(-0.0, 3.4028234663852886e38, -1.1754943508222875e-38, 1e-30, 2.0**63, -(2.0**63), 2.0**31),
    ),
    "float64": (
        *(0.0, 1.5, 0.1, 1e100, 1e-100, -3.0, 1e10, 123456789.123, 12345678901234.56, 0.1 + 0.2, 2.0**60),
        *(-0.0, 1e300, -1e300, 1e-300, 1.7976931348623157e308, -2.2250738585072014e-308, 5e-324, 1e15, 1e16, 1e-5),
        *(2.0**63, -(2.0**63), 2.0**63 - 1024, 2.0**64, 2.0**31, 2.0**31 - 1),
    ),
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
    yield from tables_of(server)


def tables_of(server: Server, *only: str) -> Iterator[tuple[Any, dict[str, Any]]]:
    types = only or tuple(values(server.backend))
    server.drop("conv")
    dj, connection = connect(server)
    schema = dj.Schema("conv", connection=connection)
    for number, type_ in enumerate(types):
        definition = f"a : int32\n---\nx = null : {type_}"
        schema(type(f"T{number}", (dj.Manual,), {"definition": definition}), context={})
    shape = catalog.read(connection, {"s": "conv"})["s"]
    yield connection, {type_: shape.table[f"t{number}"] for number, type_ in enumerate(types)}
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


#: Numbers at the ends of what a type holds, and those with the longest texts.
EXTREME = {
    "float64": (
        *(0.0, -0.0, 0.1, 1e15, 1e16, 1e-5, 1e300, -1e300, 1e-300, 1.7976931348623157e308, -1.7976931348623157e308),
        *(-2.2250738585072014e-308, 5e-324, -5e-324, -1.0164729766877435e-10, 1.2345678901234567e100),
        *(-0.00012345678901234567, -123456789012345.67, 0.1 + 0.2),
    ),
    "float32": (0.0, -0.0, 0.5, 3.4028234663852886e38, -1.1754943508222875e-38, 1.401298464324817e-45, 2.0**24, 1e-30),
}


@dataclass
class Changing:
    """A table with an attribute that gets one type after another, and values."""

    connection: Any
    own: Any

    @property
    def full(self) -> str:
        return ".".join(map(self.connection.adapter.quote_identifier, ("conv", "x")))

    def lowering(self, *states: Any) -> Any:
        names = constraints.read(self.connection, {"s": "conv"})
        return dialect_of(self.connection)({"s": "conv"}, *states, names, (18,))

    def begin(self, type_: str, values: tuple[Any, ...], *, key: bool = False) -> None:
        """Make the table with rows; with ``key``, under a unique index."""
        attributes = tuple(replace(a, type=type_) if a.name == "x" else a for a in self.own.attributes)
        indexes = (model.Index(("x",), True),) if key else ()
        self.own = replace(self.own, name=model.TableName("s", "x"), attributes=attributes, indexes=indexes)
        self.connection.query(f"DROP TABLE IF EXISTS {self.full}")
        for step in self.lowering({}, {self.own.name: self.own}).create_table(self.own):
            self.connection.query(step.sql, args=None)
        for number, value in enumerate(values):
            text = repr(value) if isinstance(value, float) else value  # PostgreSQL's driver has zero without a sign
            self.connection.query(f"INSERT INTO {self.full} (a, x) VALUES (%s, %s)", (number, text))

    def change(self, type_: str) -> dict[int | str, list[str]]:
        """Give the attribute another type; what was counted by row, and taken away, and for the key."""
        before, old = self.own, self.own.attribute["x"]
        new = replace(old, type=type_)
        after = replace(before, attributes=tuple(new if a.name == "x" else a for a in before.attributes))
        dialect = self.lowering({before.name: before}, {before.name: after})
        counted: dict[int | str, list[str]] = {}
        for loss in dialect.losses(dialect.quote("x"), old.type, type_):
            sql = f"SELECT a FROM {self.full} WHERE {loss.condition} ORDER BY a"
            for (row,) in self.connection.query(sql, args=None).fetchall():
                counted.setdefault(row, []).append(loss.kind)
        listed = ", ".join(map(str, counted)) or "NULL"
        self.connection.query(f"DELETE FROM {self.full} WHERE a IN ({listed})")
        built = build({before.name: before}, [ops.AlterAttribute(before.name, old, new)], dialect)
        for _, probe in built.probes:
            if probe.kind == "duplicate" and self.connection.query(probe.sql, args=None).fetchone()[0]:
                counted["key"] = [probe.kind]
        if "key" not in counted:
            with nullcontext() if self.connection.adapter.backend == "mysql" else self.connection.transaction:
                for step in built.steps:
                    self.connection.query(step.sql, args=step.arguments or None)
            self.own = after
        return counted

    def unique(self, part: str) -> tuple[list[int], list[Any]]:
        """Plan a unique index; what is counted of values that it finds equal, and the steps."""
        index = model.Index((part,), True)
        after = replace(self.own, indexes=(index,))
        dialect = self.lowering({self.own.name: self.own}, {self.own.name: after})
        built = build({self.own.name: self.own}, [ops.AddIndex(self.own.name, index)], dialect)
        sql = [probe.sql for _, probe in built.probes if probe.kind == "duplicate"]
        return [self.connection.query(query, args=None).fetchone()[0] for query in sql], built.steps

    def numbers(self) -> dict[int, str]:
        """What the rows have, to the last bit."""
        number = "CAST(x AS DOUBLE)" if self.connection.adapter.backend == "mysql" else "x::double precision"
        found = self.connection.query(f"SELECT a, {number} FROM {self.full}").fetchall()
        return {row: repr(value) for row, value in found}


#: Of MySQL: collation, type, what a unique index is over, two values, and whether they are one to it.
INDEXED = [
    ("utf8mb4_0900_ai_ci", "varchar(40)", "x", ("a", "Á"), True),
    ("utf8mb4_0900_ai_ci", "varchar(40)", "x", ("a", "a "), False),
    ("utf8mb4_0900_ai_ci", "varchar(40)", "x desc", ("ß", "SS"), True),
    ("utf8mb4_general_ci", "varchar(40)", "x", ("a", "a "), True),
    ("utf8mb4_bin", "varchar(40)", "x", ("a", "A"), False),
    ("utf8mb4_0900_ai_ci", "varchar(40)", "x(3)", ("abcd", "ABCe"), True),
    ("utf8mb4_0900_ai_ci", "varchar(40)", "x(3)", ("abcd", "abd"), False),
    ("utf8mb4_0900_ai_ci", "varchar(40)", "x(3) desc", ("abcd", "abd"), False),
    ("utf8mb4_0900_ai_ci", "longtext", "x(768)", ("é" * 768 + "a", "e" * 768 + "b"), True),
    ("utf8mb4_0900_ai_ci", "longtext", "x(768)", ("é" * 767 + "a", "e" * 767 + "b"), False),
    ("utf8mb4_0900_ai_ci", "longblob", "x(3)", (b"abcd", b"ABCd"), False),
    ("utf8mb4_0900_ai_ci", "longblob", "x(3)", (b"abcd", b"abce"), True),
    ("utf8mb4_0900_ai_ci", "varchar(768)", "x", ("é" * 767 + "a", "é" * 767 + "b"), False),
]

#: What MySQL has no index over: type and part.
TOO_LONG = [
    ("varchar(769)", "x"),
    ("longtext", "x(769)"),
    ("longtext", "x"),
    ("varchar(40)", "x(41)"),
    ("int32", "x(2)"),
]


def test_what_a_unique_index_of_mysql_finds_equal_is_counted(mysql: Server) -> None:
    for connection, shapes in tables_of(mysql, "int32"):
        changing = Changing(connection, shapes["int32"])
        for collation, type_, part, values, one in INDEXED:
            connection.query(f"ALTER DATABASE conv COLLATE {collation}")
            changing.begin(type_, values)
            (counted,), steps = changing.unique(part)
            assert counted == one, (collation, type_, part)
            try:
                for step in steps:
                    connection.query(step.sql, args=step.arguments or None)
                refused = False
            except Exception as error:
                refused = "Duplicate entry" in str(error)
            assert refused == one, (collation, type_, part)
        for type_, part in TOO_LONG:
            changing.begin(type_, ())
            with pytest.raises(PipelineError, match="An index over") as error:
                changing.unique(part)
            assert "nothing was changed" in error.value.why, (type_, part)


def test_enums_that_become_texts_are_one_where_the_collation_says_so(mysql: Server) -> None:
    for connection, shapes in tables_of(mysql, "int32"):
        connection.query("ALTER DATABASE conv COLLATE utf8mb4_bin")
        changing = Changing(connection, shapes["int32"])
        changing.begin("enum('A', 'a')", ("A", "a"), key=True)
        assert changing.change("varchar(9)") == {}
        assert connection.query("SELECT x FROM conv.x ORDER BY a").fetchall() == (("A",), ("a",))


@pytest.fixture
def changing(server: Server) -> Iterator[Changing]:
    for connection, shapes in tables_of(server, "int32"):
        yield Changing(connection, shapes["int32"])


@pytest.mark.both_servers
def test_an_extreme_number_becomes_a_text_and_the_same_number_again(changing: Changing) -> None:
    """But for -0, which as a text is counted like other numbers with a zero in front."""
    for type_, text in (("float64", "varchar(24)"), ("float32", "varchar(23)")):  # no sign more than the longest
        for key in (False, True):  # where values that become one are counted
            values = tuple(value for value in EXTREME[type_] if not (key and repr(value) == "-0.0"))
            zeros = {number for number, value in enumerate(values) if repr(value) == "-0.0"}
            changing.begin(type_, values, key=key)
            before = changing.numbers()
            assert changing.change(text) == {}
            assert changing.change(type_) == {number: ["rounding"] for number in zeros}
            assert changing.numbers() == {row: number for row, number in before.items() if row not in zeros}


@pytest.mark.both_servers
def test_texts_of_zero_with_either_sign_are_one_number(changing: Changing) -> None:
    for type_ in ("float64", "float32"):
        changing.begin("varchar(40)", ("0.0", "-0.0"), key=True)
        assert changing.change(type_) == {"key": ["duplicate"]}


#: Values, and as what each is counted, if it is.
COUNTED: list[tuple[str, str, dict[Any, str]]] = [
    (*("float64", "decimal(20,6)"), {1e300: "range", 5e-324: "rounding", -0.0: "rounding", 0.5: "", 1e15: "range"}),
    (*("float64", "decimal(8,2)"), {1e300: "range", 1234567.125: "range", 0.125: "rounding"}),
    (*("float64", "int64"), {1e300: "range", 5e-324: "rounding", -0.0: "rounding", 2.0**53: ""}),
    (*("float64", "int64"), {2.0**63: "range", 2.0**63 - 2048: "", -(2.0**63) + 1024: "", -(2.0**64): "range"}),
    (*("float32", "int64"), {2.0**63: "range", 2.0**62: "", -(2.0**62): "", -(2.0**64): "range"}),
    (*("float64", "bool"), {1e300: "range", 0.5: "range", -0.0: "rounding", 1.0: ""}),
    (*("float64", "json"), {1e300: "", -0.0: "rounding", 5e-324: ""}),
    (*("float64", "float32"), {1e300: "range", -0.0: "", 7e-46: "range", 1e-45: "rounding"}),
    (*("varchar(40)", "float64"), {"1e999": "range", "1e-999": "range", "1.7976931348623158e309": "range"}),
    (*("varchar(40)", "float32"), {"1.7976931348623157e308": "range", "1e-45": "", "7e-46": "range"}),
    (*("varchar(40)", "decimal(20,6)"), {"1e300": "range", "1.5e-300": "rounding", "-0.0": "rounding", "-0.5": ""}),
]


@pytest.mark.both_servers
def test_an_extreme_number_is_counted_once(changing: Changing) -> None:
    for old, new, kinds in COUNTED:
        changing.begin(old, tuple(kinds))
        found = changing.change(new)
        assert found == {number: [kind] for number, kind in enumerate(kinds.values()) if kind}, (old, new)


def test_a_date_after_the_last_moment_is_counted(postgresql: Server) -> None:
    for connection, shapes in tables_of(postgresql, "int32"):
        changing = Changing(connection, shapes["int32"])
        changing.begin("date", ("5874897-12-31", "294276-12-31", "infinity", "2020-01-02"))
        assert changing.change("datetime") == {0: ["range"]}


def test_no_number_stays_where_the_type_has_it(postgresql: Server) -> None:
    kept = ("decimal(20,6)", "decimal(5,0)", "float32", "float64", "varchar(40)")
    lost = {"int32": "range", "bool": "range", "json": "value"}
    for connection, shapes in tables_of(postgresql, "int32"):
        changing = Changing(connection, shapes["int32"])
        for old in ("decimal(8,2)", "float64", "float32"):
            for new in {*kept, *lost} - {old}:
                changing.begin(old, ("NaN",))
                assert changing.change(new) == ({0: [lost[new]]} if new in lost else {}), (old, new)
                found = connection.query(f"SELECT x::text FROM {changing.full}").fetchall()
                assert found == ([] if new in lost else [("NaN",)]), (old, new)


def test_an_enum_without_a_value_is_counted_where_it_would_get_one(mysql: Server) -> None:
    """A session that is not strict writes the index 0 for what is no value; it is read as an empty text."""
    lost = ("varchar(40)", "char(8)", "bytes", "int32", "enum('', '5', 'b', 'a')", "enum('a')")
    for connection, shapes in tables_of(mysql, "int32"):
        changing = Changing(connection, shapes["int32"])
        for new in (*lost, "enum('b', 'a', '5', 'c')"):
            connection.query("SET SESSION sql_mode = ''")
            changing.begin("enum('a', 'b', '5')", ("?", "5"))
            connection.query("SET SESSION sql_mode = 'STRICT_ALL_TABLES'")
            assert changing.change(new).get(0) == (["value"] if new in lost else None), new
            if new not in lost:
                assert connection.query(f"SELECT x + 0 FROM {changing.full} WHERE a = 0").fetchone() == (0,)


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
