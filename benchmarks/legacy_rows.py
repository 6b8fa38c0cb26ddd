"""Declares the tables of a lab's own code by DataJoint 0.14, makes up rows for all of them, and tells every value.

Run by `benchmarks/adopted_repository.py` in an environment of 0.14, with a file that says what and where.
"""

from __future__ import annotations

import sys

sys.path.append(sys.path.pop(0))  # this folder last, for its copy.py is not the library's

import datetime
import decimal
import importlib
import json
import logging
import os
import random
import uuid
from pathlib import Path

os.environ["DJ_SUPPORT_FILEPATH_MANAGEMENT"] = "TRUE"

import datajoint as dj
import numpy as np

SAID = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
exec(SAID["plain"])  # plain(), which says the same of a value in both versions
RANDOM, NUMBERS = random.Random(SAID["seed"]), np.random.default_rng(SAID["seed"])

#: What a blob may be.
BLOBS = (
    lambda: NUMBERS.normal(size=(3, 4)),
    lambda: NUMBERS.integers(0, 99, 7).astype("int16"),
    lambda: np.zeros((0, 3)),
    lambda: np.array([True, False]),
    lambda: np.array([1 + 2j, 3]),
    lambda: np.array([(1, 2.0), (3, 4.0)], dtype=[("x", "<i4"), ("y", "<f8")]),
    lambda: np.array(["one", "zwei"]),
    lambda: np.array([{"a": 1}, [2]], dtype=object),
    lambda: np.arange(3000, dtype="float32").reshape(30, 100),
    lambda: np.uint8(200),
    lambda: np.array(5),
    lambda: {"a": np.arange(3.0), "b": [1, None, "two"], "c": {"d": (1, 2.5)}},
    lambda: [np.arange(3), {"x": np.eye(2)}],
    lambda: [1, "two", None, 3.5],
    lambda: (1, (2, [3])),
    lambda: {1, 2, 3},
    lambda: {},
    lambda: "a text Ä",
    lambda: b"\x00raw\xff",
    lambda: 7,
    lambda: 2**70,
    lambda: 2.5,
    lambda: True,
    lambda: datetime.datetime(2020, 2, 29, 1, 2, 3),
    lambda: datetime.date(1999, 12, 31),
    lambda: decimal.Decimal("1.50"),
    lambda: uuid.UUID(int=RANDOM.getrandbits(128)),
)
BITS = {"tinyint": 8, "smallint": 16, "mediumint": 24, "bigint": 64}


def main() -> None:
    """Declare and fill where ``make`` is said; tell every value."""
    logging.getLogger("datajoint").setLevel("ERROR")
    dj.config.update(SAID["config"])
    connection = dj.conn(reset=True)
    if SAID["what"] == "make":
        connection.query("SET FOREIGN_KEY_CHECKS=0")
        for database in SAID["databases"]:
            connection.query(f"DROP DATABASE IF EXISTS `{database}`")
            connection.query(f"CREATE DATABASE `{database}` CHARACTER SET {SAID['charset']}")
        connection.query("SET FOREIGN_KEY_CHECKS=1")
    sys.path[:0] = SAID["path"]
    found = tables([importlib.import_module(name) for name in SAID["modules"]])
    refused = fill(connection, found) if SAID["what"] == "make" else {}
    print(json.dumps({"refused": refused, "values": {name: told(table) for name, table in sorted(found.items())}}))


def tables(modules: list) -> dict:
    """Give the tables of modules, and their parts, by their full names."""
    found: dict = {}

    def take(place: object) -> None:
        for value in vars(place).values():
            if isinstance(value, type) and issubclass(value, dj.Table) and getattr(value, "database", None):
                name = value().full_table_name
                if name not in found and name.split("`")[1] in SAID["databases"] and value().is_declared:
                    found[name] = value
                    take(value)

    for module in modules:
        take(module)
    return found


def fill(connection: dj.Connection, found: dict) -> dict:
    """Insert some rows into every table, parents first; give why rows of a table that stayed empty were refused."""
    connection.dependencies.load()
    refused = {}
    for name in connection.dependencies.topo_sort():
        if name not in found:
            continue
        table, why = found[name](), ""
        for above in referring(connection, name, table)[:6]:
            try:
                table.insert1({**rest(table, above), **above}, allow_direct_insert=True)
            except Exception as error:  # a key that is there, or a rule of the lab's own
                why = f"{type(error).__name__}: {error}"[:200]
        if not len(table):
            refused[name] = why
    return refused


def referring(connection: dj.Connection, name: str, table: dj.Table) -> list[dict]:
    """Give values of all attributes that refer to rows, such that those of every foreign key fit each other."""
    found: list[dict] = [{}]
    for parent, edge in connection.dependencies.parents(name).items():
        if parent.isdigit():  # stands for a foreign key with other names
            parent = next(iter(connection.dependencies.parents(parent)))
        names = edge["attr_map"]
        rows, more = dj.FreeTable(connection, parent).proj().fetch(as_dict=True), []
        for one in found:
            fits = [row for row in rows if all(one.get(own, row[above]) == row[above] for own, above in names.items())]
            chosen = RANDOM.sample(fits, min(3, len(fits)))
            more += [{**one, **{own: row[above] for own, above in names.items()}} for row in chosen]
            if all(table.heading[own].nullable for own in names):
                more.append({**dict.fromkeys(names), **one})
        found = RANDOM.sample(more, min(40, len(more)))
    return found * 4


def rest(table: dj.Table, above: dict) -> dict:
    """Make up the values of the other attributes; now and then their defaults stay."""
    names = [a for a in table.heading.attributes.values() if a.name not in above and not a.autoincrement]
    stays = {a.name for a in names if a.default is not None and not a.in_key and RANDOM.random() < 0.15}
    return {a.name: value(a) for a in names if a.name not in stays}


def value(attribute) -> object:
    """Make up a value of an attribute, one at the end of its range as often as not."""
    kind, base = attribute.type.lower(), attribute.type.lower().partition("(")[0].split()[0]
    if attribute.nullable and RANDOM.random() < 0.25:
        return None
    if attribute.uuid:
        return uuid.UUID(int=RANDOM.getrandbits(128))
    if attribute.is_attachment or attribute.is_filepath:
        path = Path(SAID["stage"], attribute.store or "local", "day", f"{RANDOM.getrandbits(32)}.dat")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(NUMBERS.bytes(40))
        return str(path)
    if attribute.is_blob:
        return RANDOM.choice(BLOBS)()
    if base in ("bool", "boolean") or kind in ("tinyint", "tinyint(1)"):
        return RANDOM.randint(0, 1)
    if base in BITS or base in ("int", "integer"):
        bits = BITS.get(base, 32)
        low, high = (0, 2**bits - 1) if "unsigned" in kind else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
        return RANDOM.choice([low, high, 0, 1, RANDOM.randint(low, high)])
    return _other(kind, base, attribute.type)


def _other(kind: str, base: str, written: str) -> object:
    size = [int(n) for n in kind.partition("(")[2].partition(")")[0].split(",") if n.strip().isdigit()]
    moment = datetime.datetime(2019, 1, 1) + datetime.timedelta(seconds=RANDOM.randint(0, 10**8))
    if base in ("varchar", "char"):
        letters = RANDOM.choice(["äöüßéµ°§'\"%\\_ -0", "abcdefgh"])
        return "".join(RANDOM.choice(letters) for _ in range(RANDOM.randint(1, min(14, size[0])))).strip() or "x"
    if base == "enum":
        return RANDOM.choice(eval(f"[{written[5:-1]}]"))
    if base in ("decimal", "numeric"):
        return decimal.Decimal(RANDOM.randint(0, 10 ** size[0] - 1)).scaleb(-(size[1] if len(size) > 1 else 0))
    if base in ("float", "double"):
        return abs(float(np.float32(NUMBERS.normal())))
    return {
        "datetime": moment,
        "timestamp": moment,
        "date": moment.date(),
        "time": datetime.timedelta(seconds=RANDOM.randint(0, 86399)),
        "year": moment.year,
        "json": {"a": [1, None, "ö"]},
        "binary": NUMBERS.bytes(size[0] if size else 1),
        "varbinary": NUMBERS.bytes(size[0] if size else 1),
    }.get(base, "Ein längerer Text µ")


def told(table: type) -> list:
    """Give every row of a table, its key in front, ordered by that."""
    rows = table().fetch(as_dict=True, download_path=SAID["stage"])
    pairs = [[{n: plain(r[n]) for n in table.primary_key}, {n: plain(v) for n, v in r.items()}] for r in rows]  # noqa: F821
    return sorted(pairs, key=lambda pair: json.dumps(pair[0], sort_keys=True))


if __name__ == "__main__":
    main()
