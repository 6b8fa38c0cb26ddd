"""Tables before and after, in few words: a definition's lines are divided by ``;``, and ``B.`` is the second schema."""

from __future__ import annotations

import datetime
import uuid
from dataclasses import dataclass, field
from typing import Any

Rows = dict[str, list[dict[str, Any]]]


@dataclass(frozen=True)
class Case:
    """One change. Fills are texts, ``("parent",)`` or ``("sql", mysql, postgresql)``; ``lost`` is what probes find."""

    name: str
    before: dict[str, str]
    after: dict[str, str]
    rows: Rows = field(default_factory=dict)
    renamed: dict[str, dict[str, str]] = field(default_factory=dict)
    tables: dict[str, str] = field(default_factory=dict)
    fills: dict[str, dict[str, Any]] = field(default_factory=dict)
    kept: dict[str, tuple[str, ...]] = field(default_factory=dict)
    expect: dict[str, dict[str, list[Any]]] = field(default_factory=dict)
    backends: tuple[str, ...] = ("mysql", "postgresql")
    lost: tuple[str, ...] = ()
    algorithms: str = ""
    refused: bool = False


CASES: list[Case] = []


def case(name: str, before: str | dict[str, str], after: str | dict[str, str], **more: Any) -> None:
    one = {"A": before} if isinstance(before, str) else before
    two = {"A": after} if isinstance(after, str) else after
    if "rows" in more and isinstance(more["rows"], list):
        more["rows"] = {"A": more["rows"]}
    for word in ("renamed", "fills", "expect"):
        if word in more and "A" not in more[word] and isinstance(before, str):
            more[word] = {"A": more[word]}
    CASES.append(Case(name, one, two, **more))


R = [{"a": 1, "x": 5}, {"a": 2, "x": -7}]
BASE = "a : int32; ---; x : int32"

# Attributes that come and go
case(
    "add nullable",
    BASE,
    BASE + "; y = null : float32  # more",
    rows=R,
    expect={"y": [None, None]},
    algorithms="INSTANT",
)
case("add with default", BASE, BASE + "; y = 3 : int16", rows=R, expect={"y": [3, 3]}, algorithms="INSTANT")
case(
    "add required",
    BASE,
    BASE + '; y : varchar(12)  # it\'s 50%% "new"',
    rows=R,
    fills={"y": "a'b%"},
    expect={"y": ["a'b%", "a'b%"]},
    algorithms="INSTANT INSTANT",
)
case("add required with default", BASE, BASE + "; y = 3 : int16", rows=R, fills={"y": "4"}, expect={"y": [4, 4]})
case("add in the middle", BASE, "a : int32; ---; y = 0 : bool; x : int32", rows=R, algorithms="INSTANT")
case(
    "add several places",
    "a : int32; ---; b : int32; c : int32; d : int32",
    "a : int32; ---; e = 1 : int8; b : int32; f = null : date; c : int32; d : int32; g = null : uuid",
    rows=[{"a": 1, "b": 2, "c": 3, "d": 4}],
    algorithms="INSTANT",
)
case(
    "add by expression",
    BASE,
    BASE + "; y : int64",
    rows=R,
    fills={"y": ("sql", "x * 2", "x * 2")},
    expect={"y": [10, -14]},
)
case(
    "add in the middle by expression",
    BASE,
    "a : int32; ---; y : int64; x : int32",
    rows=R,
    fills={"y": ("sql", "x + a", "x + a")},
    expect={"y": [6, -5]},
)
case("add a blob", BASE, BASE + "; y : <blob>", rows=R, fills={"y": ("sql", "X'00'", "'\\x00'::bytea")})
case("add a json", BASE, BASE + "; y : json", rows=R, fills={"y": '{"k": 1}'})
case(
    "add a moment",
    BASE,
    BASE + "; y = CURRENT_TIMESTAMP : datetime; z : date",
    rows=R,
    fills={"z": "2020-1-2"},
    expect={"z": [datetime.date(2020, 1, 2)] * 2},
)
case("add an enum", BASE, BASE + "; y : enum('p', 'q')", rows=R, fills={"y": "q"}, expect={"y": ["q", "q"]})
case(
    "add an enum with a default", BASE, BASE + "; y = 'p' : enum('p', 'it''s', 'r s')", rows=R, expect={"y": ["p", "p"]}
)
case("add a uuid", BASE, BASE + "; y : uuid", rows=R, fills={"y": "5c2bb6c0-0b1c-4a3e-8f6e-0d6f9d1f2a3b"})
case(
    "add every type",
    BASE,
    BASE
    + "; b1 = null : int8; b2 = null : int64; b3 = null : float64; b4 = null : decimal(8,3); b5 = null : char(4); b6 = null : datetime(3); b7 = null : bytes; b8 = null : <blob@main>; b9 = null : json",
    rows=R,
)
case("add required to no rows", BASE, BASE + "; y : int32", lost=())
case("add required to rows", BASE, BASE + "; y : int32", rows=R, lost=("null",), refused=True)
case("drop", BASE + "; y = 1 : int32", BASE, rows=R, lost=("dropped",), algorithms="INSTANT")
case("drop the first", "a : int32; ---; y = 1 : int32; x : int32", BASE, rows=R, lost=("dropped",))
case("drop an enum", BASE + "; y = 'p' : enum('p', 'onlyhere')", BASE, rows=R, lost=("dropped",))
case(
    "put aside",
    BASE + "; y : varchar(7)  # precious",
    BASE,
    rows=[{**r, "y": "v"} for r in R],
    kept={"A": ("y",)},
    lost=("dropped",),
)
case(
    "put aside the nullable",
    "a : int32; ---; y = null : varchar(7); x : int32",
    BASE,
    rows=R,
    kept={"A": ("y",)},
    algorithms="INSTANT",
)
case("put aside an enum", BASE + "; y = 'p' : enum('p', 'aside')", BASE, rows=R, kept={"A": ("y",)}, lost=("dropped",))
case(
    "drop and add",
    BASE + "; y = 1 : int32",
    BASE + "; z = null : int32",
    rows=R,
    lost=("dropped",),
    algorithms="INSTANT",
)
# Names
case("rename", BASE, "a : int32; ---; y : int32", rows=R, renamed={"x": "y"}, algorithms="INSTANT")
case(
    "rename with comment",
    BASE + "  # old",
    "a : int32; ---; y : int32  # new",
    rows=R,
    renamed={"x": "y"},
    algorithms="INSTANT",
)
case("rename the key", BASE, "b : int32; ---; x : int32", rows=R, renamed={"a": "b"}, algorithms="INSTANT")
case(
    "exchange names",
    "a : int32; ---; x : int32; y : int32",
    "a : int32; ---; y : int32; x : int32",
    rows=[{"a": 1, "x": 2, "y": 3}],
    renamed={"x": "y", "y": "x"},
    expect={"y": [2], "x": [3]},
)
case("rename and retype", BASE, "a : int32; ---; y : int64", rows=R, renamed={"x": "y"}, expect={"y": [5, -7]})
case(
    "rename, retype and move",
    "a : int32; ---; x : int32; z : int32",
    "a : int32; ---; z : int32; n = null : date; y : int64",
    rows=[{"a": 1, "x": 2, "z": 3}],
    renamed={"x": "y"},
    expect={"y": [2]},
)
case(
    "rename an indexed one",
    BASE + "; index(x)",
    "a : int32; ---; y : int32; index(y)",
    rows=R,
    renamed={"x": "y"},
    algorithms="INSTANT",
)
case(
    "rename an enum",
    "a : int32; ---; x : enum('p', 'q')",
    "a : int32; ---; y : enum('p', 'q', 'r')",
    rows=[{"a": 1, "x": "q"}],
    renamed={"x": "y"},
    expect={"y": ["q"]},
)
# Types
for number, (old, new, value, found) in enumerate([
    ("int16", "int32", 7, 7), ("int32", "int64", 7, 7), ("int64", "int32", 7, 7), ("int32", "int8", 7, 7),
    ("int32", "float64", 7, 7.0), ("float64", "int32", 7.0, 7), ("float32", "float64", 1.5, 1.5),
    ("float64", "float32", 1.5, 1.5), ("float64", "decimal(8,2)", 1.25, None), ("decimal(8,2)", "float64", 1.25, 1.25),
    ("decimal(8,2)", "decimal(10,2)", 1.25, None), ("decimal(8,2)", "decimal(8,1)", 1.5, None),
    ("varchar(10)", "varchar(20)", "hé", "hé"), ("varchar(60)", "varchar(70)", "hé", "hé"),
    ("varchar(100)", "varchar(200)", "hé", "hé"), ("varchar(20)", "varchar(5)", "hé", "hé"),
    ("varchar(20)", "char(5)", "abc", None), ("char(5)", "varchar(20)", "abcde", "abcde"),
    ("int32", "varchar(12)", 42, "42"), ("varchar(12)", "int32", "42", 42), ("varchar(12)", "float64", "1.5", 1.5),
    ("bool", "int8", 1, 1), ("int8", "bool", 1, 1), ("date", "datetime", "2020-01-02", None),
    ("datetime", "date", "2020-01-02 00:00:00", datetime.date(2020, 1, 2)),
    ("datetime", "datetime(6)", "2020-01-02 03:04:05", datetime.datetime(2020, 1, 2, 3, 4, 5)),
    ("datetime(6)", "datetime", "2020-01-02 03:04:05", datetime.datetime(2020, 1, 2, 3, 4, 5)),
    ("enum('a', 'b')", "enum('a', 'b', 'c')", "b", "b"), ("enum('a', 'b')", "enum('b', 'z')", "b", "b"),
    ("enum('a', 'b')", "enum('b', 'a')", "b", "b"), ("enum('a', 'b')", "varchar(8)", "b", "b"),
    ("varchar(8)", "enum('a', 'b')", "b", "b"), ("enum('1', '20')", "int32", "20", 20),
    ("int32", "enum('1', '20')", 20, "20"), ("varchar(40)", "json", '{"k": 1}', None),
    ("int32", "int", 4, 4), ("int", "int32", 4, 4), ("float", "float64", 1.5, 1.5), ("text", "varchar(30)", "t", "t"),
    ("varchar(30)", "text", "t", "t"), ("decimal(8,0)", "int32", 4, 4), ("<blob@main>", "<npy@main>", None, None),
    ("<blob@main>", "<blob@other>", None, None), ("<blob>", "bytes", None, None),
]):  # fmt: skip
    expect = {} if found is None else {"x": [found]}
    null = "" if value is not None else "= null "
    case(
        f"type {old} to {new} {number}",
        f"a : int32; ---; x {null}: {old}; z : int32",
        f"a : int32; ---; x {null}: {new}; z : int32",
        rows=[{"a": 1, "x": value, "z": 3}],
        expect=expect,
    )
UUID = "5c2bb6c0-0b1c-4a3e-8f6e-0d6f9d1f2a3b"
case(
    "type varchar to uuid",
    "a : int32; ---; x : varchar(36); z : int32",
    "a : int32; ---; x : uuid; z : int32",
    rows=[{"a": 1, "x": UUID, "z": 3}],
    expect={"x": [uuid.UUID(UUID)]},
)
case(
    "type uuid to varchar",
    "a : int32; ---; x = null : uuid; z : int32; index(x, z)",
    "a : int32; ---; x = null : varchar(36); z : int32; index(x, z)",
    rows=[{"a": 1, "z": 3}],
)
case("type of the key", BASE, "a : int64; ---; x : int32", rows=R)
case(
    "type of an indexed one",
    BASE + "; unique index(x, a)",
    "a : int32; ---; x : varchar(8); unique index(x, a)",
    rows=R,
    expect={"x": ["5", "-7"]},
)
case(
    "type enum to int and to null",
    "a : int32; ---; x : enum('1', '2'); index(x)",
    "a : int32; ---; x = null : int16; index(x)",
    rows=[{"a": 1, "x": "2"}],
    expect={"x": [2]},
)
case(
    "two enums of one type",
    "a : int32; ---; x : enum('u1', 'u2'); y : enum('u1', 'u2')",
    "a : int32; ---; x : enum('u1', 'u2', 'u3'); y : enum('u1', 'u2')",
    rows=[{"a": 1, "x": "u1", "y": "u2"}],
    expect={"x": ["u1"]},
)
case(
    "enum with a default",
    "a : int32; ---; x = 'a' : enum('a', 'b')",
    "a : int32; ---; x = 'c' : enum('a', 'b', 'c')",
    rows=[{"a": 1}],
    expect={"x": ["a"]},
)
# What would be lost
for number, (old, new, value, kind) in enumerate([
    ("float64", "int32", 20.5, "rounding"), ("float64", "decimal(5,0)", 20.5, "rounding"),
    ("float64", "float32", 0.1, "rounding"), ("int32", "int16", 70000, "range"), ("varchar(20)", "varchar(3)", "long", "long"),
    ("varchar(20)", "int32", "1.5", "value"), ("varchar(20)", "int32", "x", "value"),
    ("enum('a', 'b')", "enum('a')", "b", "value"), ("datetime(6)", "datetime", "2020-01-02 03:04:05.5", "rounding"),
    ("datetime", "date", "2020-01-02 03:04:05", "rounding"), ("decimal(8,2)", "decimal(8,1)", 1.25, "rounding"),
    ("decimal(8,2)", "decimal(4,2)", 123.25, "range"), ("int8", "bool", 2, "range"), ("int64", "float64", 2**53 + 1, "rounding"),
    ("varchar(20)", "uuid", "no", "value"), ("varchar(20)", "enum('a')", "b", "value"), ("float64", "int32", 1e12, "range"),
]):  # fmt: skip
    on_server = ("mysql",) if (old, new) == ("datetime(6)", "datetime") else ("mysql", "postgresql")
    case(
        f"lost {old} to {new} {number}",
        f"a : int32; ---; x : {old}",
        f"a : int32; ---; x : {new}",
        rows=[{"a": 1, "x": value}],
        lost=(kind,),
        refused=True,
        backends=on_server,
    )
case(
    "lost null",
    "a : int32; ---; x = null : int32",
    "a : int32; ---; x : int32",
    rows=[{"a": 1}],
    lost=("null",),
    refused=True,
)
case(
    "lost unique",
    BASE,
    BASE + "; unique index(x)",
    rows=[{"a": 1, "x": 1}, {"a": 2, "x": 1}],
    lost=("duplicate",),
    refused=True,
)
case(
    "lost key",
    "a : int32; b : int32; ---; x : int32",
    "a : int32; ---; b : int32; x : int32",
    rows=[{"a": 1, "b": 1, "x": 1}, {"a": 1, "b": 2, "x": 1}],
    lost=("duplicate",),
    refused=True,
)
# Defaults, nullability, comments, order
case("default", BASE, "a : int32; ---; x = 4 : int32", rows=R, algorithms="INSTANT")
case("default away", "a : int32; ---; x = 4 : int32", BASE, rows=R, algorithms="INSTANT")
case(
    "default of moments",
    "a : int32; ---; x : datetime(3)",
    "a : int32; ---; x = CURRENT_TIMESTAMP(3) : datetime(3)",
    rows=[{"a": 1, "x": "2020-01-02"}],
)
case(
    "default of text",
    "a : int32; ---; x : varchar(30)",
    'a : int32; ---; x = "it\'s (a) 100%%" : varchar(30)',
    rows=[{"a": 1, "x": "y"}],
)
case("make nullable", BASE, "a : int32; ---; x = null : int32", rows=R)
case("make required", "a : int32; ---; x = null : int32", BASE, rows=R)
case(
    "make required with fill",
    "a : int32; ---; x = null : int32",
    BASE,
    rows=[{"a": 1}, {"a": 2, "x": 3}],
    fills={"x": "9"},
    expect={"x": [9, 3]},
)
case(
    "make required by expression with default",
    "a : int32; ---; x = null : int32",
    "a : int32; ---; x = 1 : int32",
    rows=[{"a": 1}, {"a": 2, "x": 3}],
    fills={"x": ("sql", "a * 10", "a * 10")},
    expect={"x": [10, 3]},
)
case("comment", BASE, BASE + '  # a "quoted" path C:\\\\data 100%%, it\'s', rows=R, algorithms="INSTANT")
case("comment away", BASE + "  # gone", BASE, rows=R)
case("comment of the key", BASE, "a : int32  # key; ---; x : int32", rows=R, algorithms="INSTANT")
case("comment of the table", "# old; " + BASE, "# new, it's 100%%; " + BASE, rows=R, algorithms="INPLACE")
case("comment of the table away", "# old; " + BASE, BASE, rows=R)
case(
    "order",
    "a : int32; ---; x : int32; y : int32; z : int32",
    "a : int32; ---; z : int32; x : int32; y : int32",
    rows=[{"a": 1, "x": 2, "y": 3, "z": 4}],
    algorithms="INPLACE",
)
case(
    "order all",
    "a : int32; ---; x : int32; y : int32; z : int32",
    "a : int32; ---; z : int32; y : int32; x : int32",
    rows=[{"a": 1, "x": 2, "y": 3, "z": 4}],
)
# Indexes
case("add index", BASE, BASE + "; index(x)", rows=R, algorithms="INPLACE")
case("add unique index", BASE, BASE + "; unique index(x, a)", rows=R, algorithms="INPLACE")
case("drop index", BASE + "; index(x); unique index(x, a)", BASE, rows=R, algorithms="INPLACE")
case("index to unique", BASE + "; index(x)", BASE + "; unique index(x)", rows=R)
case("index with a new attribute", BASE + "; index(x)", BASE + "; y = null : int32; index(x, y)", rows=R)
case(
    "index of a dropped attribute",
    BASE + "; y = 1 : int32; index(x, y); index(y)",
    BASE + "; index(x)",
    rows=R,
    lost=("dropped",),
)
case(
    "indexes of like names",
    BASE + "; index(x); index(x, a); unique index(x)",
    BASE + "; index(x, a)",
    rows=R,
    backends=("mysql",),
)
case(
    "functional indexes",
    "a : int32; ---; n : varchar(20); j : json",
    "a : int32; ---; n : varchar(20); j : json; index((lower(n))); index(j.k.l:char(20)); index(n(5)); index(j.m)",
    rows=[{"a": 1, "n": "N", "j": "{}"}],
    backends=("mysql",),
)
case(
    "functional indexes away",
    "a : int32; ---; n : varchar(20); j : json; index((lower(n))); index(j.k.l:char(20)); index(n(5))",
    "a : int32; ---; n : varchar(20); j : json; index(n)",
    rows=[{"a": 1, "n": "N", "j": "{}"}],
    backends=("mysql",),
)
# Primary keys
case(
    "key grows",
    "a : int32; ---; b : int32; x : int32",
    "a : int32; b : int32; ---; x : int32",
    rows=[{"a": 1, "b": 2, "x": 3}],
)
case(
    "key grows by a new attribute",
    BASE,
    "a : int32; b : int16; ---; x : int32",
    rows=R,
    fills={"b": "7"},
    expect={"b": [7, 7]},
)
case("key grows in front", BASE, "b : int16; a : int32; ---; x : int32", rows=R, fills={"b": "7"}, expect={"b": [7, 7]})
case(
    "key shrinks",
    "a : int32; b : int32; ---; x : int32",
    "a : int32; ---; b : int32; x : int32",
    rows=[{"a": 1, "b": 2, "x": 3}],
)
case(
    "key loses an attribute",
    "a : int32; b : int32; ---; x : int32",
    "a : int32; ---; x : int32",
    rows=[{"a": 1, "b": 2, "x": 3}],
    lost=("dropped",),
)
case(
    "key in another order",
    "a : int32; b : int32; ---; x : int32",
    "b : int32; a : int32; ---; x : int32",
    rows=[{"a": 1, "b": 2, "x": 3}],
)
case("another key", BASE, "x : int32; ---; a : int32", rows=R)
case(
    "key of a varchar grows",
    "a : varchar(10); ---; x : int32",
    "a : varchar(50); ---; x : int32",
    rows=[{"a": "k", "x": 1}],
)
case("key by converting", "a : enum('1', '2'); ---; x : int32", "a : int32; ---; x : int32", rows=[{"a": "2", "x": 1}])
# Foreign keys
P = "p : int32  # which parent; ---; w = null : float32"
PR = [{"p": 1, "w": 0.5}, {"p": 2, "w": None}]
case(
    "add a foreign key",
    {"P": P, "A": "a : int32; ---; p : int32"},
    {"P": P, "A": "a : int32; ---; -> P"},
    rows={"P": PR, "A": [{"a": 1, "p": 2}]},
)
case(
    "drop a foreign key",
    {"P": P, "A": "a : int32; ---; -> P"},
    {"P": P, "A": "a : int32; ---; p : int32  # its own"},
    rows={"P": PR, "A": [{"a": 1, "p": 2}]},
)
case(
    "add a nullable foreign key", {"P": P, "A": BASE}, {"P": P, "A": BASE + "; -> [nullable] P"}, rows={"P": PR, "A": R}
)
case(
    "add a required foreign key",
    {"P": P, "A": BASE},
    {"P": P, "A": BASE + "; -> P"},
    rows={"P": PR, "A": R},
    fills={"A": {"p": "2"}},
    expect={"A": {"p": [2, 2]}},
)
case(
    "drop a foreign key with attribute",
    {"P": P, "A": BASE + "; -> [nullable] P"},
    {"P": P, "A": BASE},
    rows={"P": PR, "A": [{**R[0], "p": 1}]},
    lost=("dropped",),
)
case(
    "foreign key becomes nullable",
    {"P": P, "A": BASE + "; -> P"},
    {"P": P, "A": BASE + "; -> [nullable] P"},
    rows={"P": PR, "A": [{**R[0], "p": 1}]},
)
case(
    "foreign key becomes required",
    {"P": P, "A": BASE + "; -> [nullable] P"},
    {"P": P, "A": BASE + "; -> P"},
    rows={"P": PR, "A": [{**R[0], "p": 1}]},
)
case(
    "foreign key becomes unique",
    {"P": P, "A": BASE + "; -> P"},
    {"P": P, "A": BASE + "; -> [unique] P"},
    rows={"P": PR, "A": [{**R[0], "p": 1}]},
)
case(
    "foreign key no longer unique",
    {"P": P, "A": BASE + "; -> [unique] P"},
    {"P": P, "A": BASE + "; -> P"},
    rows={"P": PR, "A": [{**R[0], "p": 1}]},
)
case(
    "foreign key covered by an index",
    {"P": P, "A": BASE + "; -> P"},
    {"P": P, "A": BASE + "; -> P; index(p, x)"},
    rows={"P": PR, "A": [{**R[0], "p": 1}]},
)
case(
    "foreign key no longer covered",
    {"P": P, "A": BASE + "; -> P; index(p, x)"},
    {"P": P, "A": BASE + "; -> P"},
    rows={"P": PR, "A": [{**R[0], "p": 1}]},
)
case(
    "foreign key covered by another",
    {"P": P, "Q": "-> P; q : int32", "A": "a : int32; ---; -> P"},
    {"P": P, "Q": "-> P; q : int32", "A": "a : int32; ---; -> P; -> [nullable] Q"},
    backends=("mysql", "postgresql"),
    rows={"P": PR, "Q": [{"p": 1, "q": 1}], "A": [{"a": 1, "p": 1}]},
)
case(
    "foreign key into the key",
    {"P": P, "A": "a : int32; ---; -> P"},
    {"P": P, "A": "-> P; a : int32"},
    rows={"P": PR, "A": [{"a": 1, "p": 2}]},
)
case(
    "foreign key out of the key",
    {"P": P, "A": "-> P; a : int32"},
    {"P": P, "A": "a : int32; ---; -> P"},
    rows={"P": PR, "A": [{"a": 1, "p": 2}]},
)
case(
    "foreign key renamed",
    {"P": P, "A": "a : int32; ---; -> P"},
    {"P": P, "A": "a : int32; ---; -> P.proj(q='p')"},
    rows={"P": PR, "A": [{"a": 1, "p": 2}]},
    renamed={"A": {"p": "q"}},
)
case(
    "parent's key renamed",
    {"P": P, "A": "-> P; a : int32"},
    {"P": P.replace("p :", "q :"), "A": "-> P; a : int32"},
    rows={"P": PR, "A": [{"a": 1, "p": 2}]},
    renamed={"P": {"p": "q"}, "A": {"p": "q"}},
)
case(
    "parent's key widened",
    {"P": P, "A": "-> P; a : int32", "C": "-> A; ---; c : int32"},
    {"P": P.replace("int32", "int64"), "A": "-> P; a : int32", "C": "-> A; ---; c : int32"},
    rows={"P": PR, "A": [{"a": 1, "p": 2}], "C": [{"p": 2, "a": 1, "c": 0}]},
)
case(
    "parent's enum key grows",
    {"P": "p : enum('k', 'l'); ---; w = null : float32", "A": "-> P; a : int32"},
    {"P": "p : enum('k', 'l', 'm'); ---; w = null : float32", "A": "-> P; a : int32"},
    rows={"P": [{"p": "k"}], "A": [{"a": 1, "p": "k"}]},
    expect={"A": {"p": ["k"]}},
)
case(
    "parent's key is a moment",
    {"P": "p : datetime(3); ---; w = null : float32", "A": "-> P; a : int32"},
    {"P": "p : datetime(3); ---; w = null : float32", "A": "-> P; a : int32; ---; b = null : int32"},
    rows={"P": [{"p": "2020-01-02 03:04:05.678"}], "A": [{"p": "2020-01-02 03:04:05.678", "a": 1}]},
)
case(
    "parent's key grows",
    {"P": P, "A": "-> P; a : int32", "C": "-> A; ---; c : int32"},
    {"P": P.replace("; ---", "; rig : int16  # the rig; ---"), "A": "-> P; a : int32", "C": "-> A; ---; c : int32"},
    rows={"P": PR, "A": [{"a": 1, "p": 2}, {"a": 1, "p": 1}], "C": [{"p": 2, "a": 1, "c": 0}]},
    fills={"P": {"rig": "3"}, "A": {"rig": ("parent",)}, "C": {"rig": ("parent",)}},
    expect={"C": {"rig": [3]}, "A": {"rig": [3, 3]}},
)
case(
    "parent's key shrinks",
    {"P": P.replace("; ---", "; rig : int16; ---"), "A": "-> P; a : int32"},
    {"P": P, "A": "-> P; a : int32"},
    rows={"P": [{**r, "rig": 1} for r in PR], "A": [{"a": 1, "p": 2, "rig": 1}]},
    lost=("dropped",),
)
case(
    "parent's uuid key",
    {"P": "u : uuid  # number; ---; w = null : float32", "A": "a : int32; ---; -> P"},
    {
        "P": "u : uuid  # number; ---; v = null : int32; w = null : float32",
        "A": "a : int32; ---; n = null : int32; -> P",
    },
)
case(
    "rebuild with parents and children",
    {
        "P": P,
        "A": "-> P; a : int32; ---; x : int32; -> [nullable] P.proj(r='p')",
        "C": "-> A; ---; c : int32; index(c)",
    },
    {
        "P": P.replace("w =", "v = 1 : int32; w ="),
        "A": "-> P; a : int32; ---; y = null : int32; x : int32; -> [nullable] P.proj(r='p')",
        "C": "-> A; ---; d = null : int32; c : int32; index(c)",
    },
    rows={"P": PR, "A": [{"p": 1, "a": 1, "x": 1, "r": 2}], "C": [{"p": 1, "a": 1, "c": 1}]},
)
case(
    "a table in a fresh schema refers",
    {"P": P},
    {"P": P, "B.N": "-> P; n : enum('fresh1', 'fresh2'); ---; t = null : <blob>; index(t2); t2 : varchar(9)  # it's"},
    rows={"P": PR},
)
# Tables
case(
    "rename a table",
    {"A": BASE + "; index(x)", "C": "-> A; c : int32"},
    {"N": BASE + "; index(x)", "C": "-> N; c : int32"},
    rows={"A": R, "C": [{"a": 1, "c": 1}]},
    tables={"A": "N"},
)
case(
    "rename a table and use its name",
    {"P": P, "A": BASE + "; -> [nullable] P; index(x)"},
    {"P": P, "N": BASE + "; -> [nullable] P; index(x)", "A": BASE + "; -> [nullable] P; index(x)"},
    rows={"A": R},
    tables={"A": "N"},
)
case(
    "change the tier",
    {"A": BASE, "C": "-> A; c : int32"},
    {"Lookup:A": BASE + "; y = null : int32", "C": "-> A; c : int32"},
    rows={"A": R, "C": [{"a": 1, "c": 1}]},
    tables={"A": "A"},
)
case(
    "move a table",
    {"A": "a : int32; ---; x : enum('mv1', 'mv2'); index(x)", "C": "-> A; c : int32"},
    {"B.A": "a : int32; ---; x : enum('mv1', 'mv2'); index(x)", "C": "-> A; c : int32"},
    rows={"A": [{"a": 1, "x": "mv1"}], "C": [{"a": 1, "c": 1}]},
    tables={"A": "A"},
)
case(
    "move a table with an enum key",
    {"A": "a : enum('mk1', 'mk2'); ---; x : int32", "C": "-> A; c : int32"},
    {"B.A": "a : enum('mk1', 'mk2'); ---; x : int32", "C": "-> A; c : int32"},
    rows={"A": [{"a": "mk1", "x": 1}], "C": [{"a": "mk1", "c": 1}]},
    tables={"A": "A"},
)
case(
    "move a table with an enum key while its children lose their keys",
    {
        "A": "a : enum('ml1', 'ml2'); ---; x : int32",
        "B.C": "-> A; -> A.proj(z='a'); c : int32; ---; -> A.proj(y='a')",
    },
    {
        "B.A": "a : enum('ml1', 'ml2'); ---; x : int32",
        "B.C": "-> A; -> A.proj(z='a'); c : int32; ---; y : enum('ml1', 'ml2')",
    },
    rows={"A": [{"a": "ml1", "x": 1}], "C": [{"a": "ml1", "z": "ml1", "c": 1, "y": "ml1"}]},
    tables={"A": "A"},
)
case(
    "move a table whose enum key others have as well",
    {"A": "a : enum('mo1', 'mo2'); ---; x : int32", "C": "-> A; c : int32", "D": "d : enum('mo1', 'mo2'); ---"},
    {"B.A": "a : enum('mo1', 'mo2'); ---; x : int32", "C": "-> A; c : int32", "D": "d : enum('mo1', 'mo2'); ---"},
    rows={"A": [{"a": "mo1", "x": 1}], "C": [{"a": "mo1", "c": 1}], "D": [{"d": "mo2"}]},
    tables={"A": "A"},
)
case(
    "move, rename and change",
    {"A": BASE + "; index(x)"},
    {"B.N": "a : int32; ---; y : int64; z = null : date; index(y)"},
    rows={"A": R},
    tables={"A": "N"},
    renamed={"N": {"x": "y"}},
    expect={"N": {"y": [5, -7]}},
)
case("drop a table", {"A": "a : enum('last1', 'last2')", "P": P}, {"P": P}, rows={"A": [{"a": "last1"}]})
# All at once
case(
    "much at once",
    {
        "P": P,
        "A": "# old; a : int32; ---; x : int32; y : varchar(10)  # text; z = 3 : float64; -> [nullable] P; index(x); index(y, z)",
    },
    {
        "P": P,
        "A": "# new; a : int64; ---; n : enum('n1', 'n2'); y : varchar(20)  # other; xx : int64; w = null : json; z : float64; -> [nullable] P; index(xx); index(z); unique index(a, y)",
    },
    rows={"P": PR, "A": [{"a": 1, "x": 1, "y": "y", "z": 0.5, "p": 1}]},
    renamed={"A": {"x": "xx"}},
    fills={"A": {"n": "n2"}},
    expect={"A": {"n": ["n2"], "xx": [1], "z": [0.5]}},
)
case(
    "computed with hidden attributes",
    {"P": P, "Computed:A": "-> P; ---; x : int32"},
    {"P": P, "Computed:A": "-> P; ---; y = null : int32; x : int32"},
    rows={"P": PR},
)
case(
    "hidden attributes stay at the end",
    {"P": P, "Computed:A": "-> P; ---; x : int32"},
    {"P": P, "Computed:A": "-> P; ---; x : int32; y = null : int32"},
    rows={"P": PR},
)
case(
    "built anew with one attribute in two foreign keys",
    {"P": P, "Q": "-> P", "A": "-> P; -> Q; ---; x : int32"},
    {"P": P, "Q": "-> P", "A": "-> P; -> Q; ---; y = null : int32; x : int32"},
    rows={"P": PR, "Q": [{"p": 1}], "A": [{"p": 1, "x": 1}]},
)
case(
    "enum key in another order",
    {"P": "p : enum('or1', 'or2', 'or3'); ---; w : int32", "A": "-> P; a : int32"},
    {"P": "p : enum('or3', 'or1', 'or2'); ---; w : int32", "A": "-> P; a : int32"},
    rows={"P": [{"p": "or2", "w": 1}], "A": [{"p": "or2", "a": 1}]},
)
case(
    "renamed foreign key moves into the key",
    {"P": P, "A": '-> P; a : int32; ---; -> P.proj(q="p")'},
    {"P": P, "A": '-> P.proj(r="p"); a : int32'},
    rows={"P": PR, "A": [{"p": 1, "a": 1, "q": 2}]},
    renamed={"A": {"q": "r"}},
    kept={"A": ("p",)},
    lost=("dropped",),
)
case("singleton", "---; x : int32", "---; x : int32; y = null : int32", rows=[{"x": 1}])
case(
    "singleton gets a key",
    "---; x : int32",
    "a : int32; ---; x : int32",
    rows=[{"x": 1}],
    fills={"a": "1"},
    lost=("dropped",),
)
