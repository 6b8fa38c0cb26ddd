"""What a change would make of values is counted before its first step, and tried; by the commands, on both servers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from conftest import Project, Server
from living import is_sentence, living, ok, states

pytestmark = pytest.mark.both_servers

SAMPLE = '''

@schema
class Sample(dj.Manual):
    definition = """
    sample : int32
    ---
    sex = null : varchar(8)
    token = null : uuid
    grade : enum('first', 'second')
    born = null : date
    words = null : varchar(300)
    pack = null : <blob>
    code : varchar(8)
    unique index (code)
    """
'''

#: What `<blob>` keeps, and JSON does not give back as it was; on one server or both.
LOST: dict[str, tuple[str, ...]] = {
    "{1: 2}": ("mysql", "postgresql"),
    "(1, 2)": ("mysql", "postgresql"),
    "[2**70]": ("mysql",),
    "[float('nan')]": ("mysql", "postgresql"),
    "float('-inf')": ("mysql", "postgresql"),
    "[1e16, -0.0]": ("postgresql",),
    "numpy.arange(3) * 1j": ("mysql", "postgresql"),
    "numpy.array([1, numpy.nan])": ("mysql", "postgresql"),
    "numpy.zeros((0, 3))": ("mysql", "postgresql"),
    "numpy.array([numpy.datetime64('2020-01-02')])": ("mysql", "postgresql"),
    "{'a': [datetime.date(2020, 1, 2)]}": ("mysql", "postgresql"),
    "b'ab'": ("mysql", "postgresql"),
    "['\\0']": ("postgresql",),
    "'text'": ("postgresql",),  # which DataJoint 2.3.5 cannot fetch there
}
KEPT = ("{'b': [1, 2.5, True, None], 'a': 'x'}", "[1.0, 1e-07, 2**60, 0.1 + 0.2]")

#: NumPy's arrays and numbers, which JSON has as lists and plain numbers; the dry run names them.
ARRAYS = {
    "numpy.arange(3)": "[0, 1, 2]",
    "numpy.float32(0.1)": "float(numpy.float32(0.1))",
    "{'a': [numpy.array([[0.1, 1e-30], [2, 3]])], 'b': (numpy.int64(2**60))}": "{'a': [[[0.1, 1e-30], [2.0, 3.0]]], 'b': 2**60}",
    "numpy.array([True, False])": "[True, False]",
    "[numpy.uint64(2**63 + 1)]": "[2**63 + 1]",
}

#: Texts in JSON, with what they lose: keys, digits.
JSON: dict[str, dict[str, str]] = {
    '{"b": 1, "a": {"x:": [1.0, 0.30000000000000004, 18446744073709551615]}}': {},
    '{"a": 1, "b": {"a": 2, "a": 3}}': {"mysql": "kn", "postgresql": "k"},
    '{"gain": 1.10}': {"mysql": "n"},
    "[12345678901234567890123]": {"mysql": "n"},
    "[0.1234567890123456789]": {"mysql": "n"},
    '["1.10", -0]': {"mysql": "n", "postgresql": "n"},
}

PACK = """
import datetime, numpy
from my_pipeline import life
for number, value in enumerate([{values}], 1):
    life.Sample.insert1(dict(sample=number, code=f"c{number:02}", grade="first", pack=value))
"""


@pytest.fixture
def samples(server: Server, project: Project) -> Iterator[Project]:
    with living(server, project) as own:
        own.write(own.module("life"), own.read(own.module("life")) + SAMPLE)
        ok(own, "revise", "-m", "samples")
        ok(own, "migrate")
        made = own.python("-c", PACK.replace("{values}", ", ".join([*LOST, *KEPT, *ARRAYS])))
        assert made.code == 0, made.err
        yield own


def table(server: Server) -> str:
    return "dev_life.sample" if server.backend == "mysql" else '"dev_life"."sample"'


def losses(project: Project, code: int = 1) -> dict[tuple[str, ...], list[tuple[str, int]]]:
    """What the dry run counts, by attributes."""
    (group,) = ok(project, "migrate", "--dry-run", "--json", code=code).json["groups"]
    found: dict[tuple[str, ...], list[tuple[str, int]]] = {}
    for loss in group["losses"]:
        found.setdefault(tuple(loss["attributes"]), []).append((loss["kind"], loss["count"]))
    return found


def test_values_that_would_change_are_counted_and_cut_as_texts(samples: Project, server: Server) -> None:
    full, mysql = table(server), server.backend == "mysql"
    token = "05c03ddc-46ba-5fa2-d82d-dce6c18f751c"
    server.execute(
        *(f"UPDATE {full} SET sex = '{sex}' WHERE sample = {n}" for n, sex in enumerate(["f", "F", "e", "é", "f "], 1)),
        f"UPDATE {full} SET token = {f'UUID_TO_BIN({token!r})' if mysql else repr(token)} WHERE sample = 1",
        f"UPDATE {full} SET grade = 'second', born = '2020-01-02' WHERE sample = 1",
        f"UPDATE {full} SET code = 'd' WHERE sample = 1",
        *(f"UPDATE {full} SET words = '{text}' WHERE sample = {n}" for n, text in enumerate(JSON, 1)),
    )
    before = server.execute(f"SELECT sample, words FROM {full} ORDER BY sample")
    for name, old, new in (
        ("sex", "varchar(8)", "enum('f', 'é')"),
        ("token", "uuid", "varchar(8)"),
        ("born", "date", "varchar(4)"),
        ("words", "varchar(300)", "json"),
        ("pack", "<blob>", "json"),
    ):
        samples.replace(samples.module("life"), f"    {name} = null : {old}", f"    {name} = null : {new}")
    samples.replace(samples.module("life"), "    code : varchar(8)", "    code : varchar(2)")
    samples.replace(samples.module("life"), "    grade : enum('first', 'second')", "    grade : varchar(3)")
    ok(samples, "revise", "-m", "smaller")
    gone = [sum(mark in lost.get(server.backend, "") for lost in JSON.values()) for mark in "kn"]
    packs = sum(server.backend in where for where in LOST.values())
    counted = {
        ("sex",): [("value", 3)],
        ("token",): [("long", 1)],
        ("grade",): [("long", len(LOST) + len(KEPT) + len(ARRAYS))],
        ("born",): [("long", 1)],
        ("words",): [("rounding", count) for count in gone],
        ("pack",): [("codec", packs), ("named", len(ARRAYS))],
        ("code",): [("long", len(LOST) + len(KEPT) + len(ARRAYS) - 1), ("duplicate", 3)],
    }
    assert losses(samples) == counted
    is_sentence(ok(samples, "migrate", "--allow-data-loss", code=1))  # no option answers values that become the same
    assert states(samples)["life"] == ("behind", "1.1.0")
    assert server.execute(f"SELECT sample, words FROM {full} ORDER BY sample") == before

    # With these corrected, what is left may be cut; but for the keys that would be the same then.
    server.execute(
        f"UPDATE {full} SET sex = 'é' WHERE sex IN ('F', 'e', 'f ') AND sample > 1",
        f"UPDATE {full} SET pack = NULL WHERE sample <= {len(LOST)}",
    )
    refused = ok(samples, "migrate", "--allow-data-loss", code=1)
    assert "values of (code) that rows have in common" in refused.err, refused.err
    server.execute(
        f"UPDATE {full} SET code = {'CONCAT(CHAR(64 + sample)' if mysql else 'concat(chr(64 + sample)'}, '1x')"
    )
    ok(samples, "migrate", "--allow-data-loss")
    told = samples.python(
        "-c",
        "import json, numpy\nfrom my_pipeline import life\n"
        f"found = [row['pack'] for row in life.Sample.to_dicts(order_by='sample')][{len(LOST)}:]\n"
        f"wanted = [{', '.join([*KEPT, *ARRAYS.values()])}]\n"
        "print(json.dumps(found, sort_keys=True) == json.dumps(wanted, sort_keys=True) or found)",
    )
    assert told.out.strip() == "True", told.err
    found: list[tuple[Any, ...]] = server.execute(f"SELECT token, grade, born, code FROM {full} WHERE sample = 1")
    assert found == [(token[:8], "sec", "2020", "A1")], found
    assert [sex for (sex,) in server.execute(f"SELECT sex FROM {full} WHERE sample < 6 ORDER BY sample")] == [
        "f",
        *"éééé",
    ]

    # The way back: what is left of the values cannot become what they were, and restore needs the old types first.
    (path,) = (samples.folder / "backups").glob("*.zip")
    refused = samples.run("restore", str(path))
    assert "rollback life --to 1.1.0" in refused.err, refused.err
    done = ok(samples, "rollback", "life", "--to", "1.1.0")
    assert "life.Sample.token" in done.err and f"restore {path.name}" in done.err, done.err
    assert states(samples)["life"][1] == "1.1.0"
    ok(samples, "restore", path.name, "--overwrite")
    told = "BIN_TO_UUID(token)" if mysql else "token::text"
    assert server.execute(f"SELECT {told}, grade, CONCAT('', born) FROM {full} WHERE sample = 1") == [
        (token, "second", "2020-01-02")
    ]
    assert server.execute(f"SELECT sample, words FROM {full} ORDER BY sample") == before


OLD = '''

@schema
class Old(dj.Manual):
    definition = """
    old : int32
    ---
    size = 0 : int16
    day = null : date
    moment = null : datetime
    stamp = null : timestamp
    """
'''


def test_days_that_there_are_not_stay_in_a_table_that_is_copied(project: Project, mysql: Server) -> None:
    """Servers of long ago took them, and so did DataJoint."""
    with living(mysql, project) as own:
        own.write(own.module("life"), own.read(own.module("life")) + OLD)
        ok(own, "revise", "-m", "old")
        ok(own, "migrate")
        zero, partly = "0000-00-00 00:00:00", "2020-00-10 00:00:00"
        mysql.execute(
            "SET SESSION sql_mode = ''",
            f"INSERT INTO dev_life.old (old, day, moment, stamp) VALUES (1, '{zero[:10]}', '{zero}', '{zero}')",
            f"INSERT INTO dev_life.old (old, day, moment, stamp) VALUES (2, '{partly[:10]}', '{partly}', '{zero}')",
        )
        kept = [(zero[:10], zero, zero), (partly[:10], partly, zero)]
        days = "SELECT CAST(day AS CHAR), CAST(moment AS CHAR), CAST(stamp AS CHAR) FROM dev_life.old ORDER BY old"
        assert mysql.execute(days) == kept
        life = own.module("life")
        own.replace(life, "    size = 0 : int16\n", "    size = 0 : int64\n    double : int64\n")
        ok(own, "revise", "-m", "more", "--fill", "Old.double=7")
        ok(own, "migrate")
        assert mysql.execute(days) == kept

        # What the new type does not take is counted.
        own.replace(life, "    moment = null : datetime\n", "    moment = null : timestamp\n")
        own.replace(life, "    size = 0 : int64\n    double : int64\n", "    size = 0 : int32\n    double : int64\n")
        ok(own, "revise", "-m", "stamps")
        assert losses(own, 7) == {("moment",): [("range", 2)]}
        assert ok(own, "migrate", "--allow-data-loss", code=7) and states(own)["life"] == ("behind", "1.2.0")


#: By type, values that `<blob>` keeps and an attribute of that type holds, and such that it does not hold as they are.
HELD: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "int8": (("127", "-128"), ("numpy.int64(1)", "2.0", "2**15", "1.5", "'5'", "float('nan')", "[1]")),
    "int64": (("2**62 + 1", "True"), ("2**63", "1e300", "b'5'")),
    "bool": (("True", "False"), ("5", "'true'")),
    "float32": (("0.5", "0.1", "2**16"), ("numpy.float32(1)", "0.1 + 0.2", "2**24 + 1", "1e300", "float('nan')")),
    "float64": (("0.1 + 0.2", "2**53", "5e-324"), ("2**53 + 1", "'0.1'", "float('nan')")),
    "decimal(5,2)": (("1.25", "decimal.Decimal('-999.99')", "7"), ("1.239", "12345.0", "'1.25'")),
    "varchar(3)": (("'é猫🐭'", "''", "'a  '"), ("'abcd'", "5", "True")),
    "char(3)": (("'abc'",), ("'ab '",)),
    "enum('a', 'é')": (("'é'",), ("'A'", "'e'", "'b'", "1")),
    "date": (("datetime.date(2020, 1, 2)",), ("datetime.datetime(2020, 1, 2, 12)", "'2020-01-02'")),
    "datetime(3)": (
        ("datetime.datetime(2020, 1, 2, 3, 4, 5, 678000)",),
        ("datetime.datetime(2020, 1, 2, 3, 4, 5, 678900)", "datetime.date(2020, 1, 2)"),
    ),
}

HOLD = """
import datetime, decimal, json, numpy
from my_pipeline import life
values = {values}
for number in range(max(map(len, values.values()))):
    life.Hold.insert1(dict(hold=number) | {n: v[number] for n, v in values.items() if number < len(v)})
"""

HELD_NOW = """
import datetime, decimal, numpy
from my_pipeline import life
values = {values}
rows = life.Hold.to_dicts(order_by="hold")
for name, wanted in values.items():
    found = [row[name] for row in rows][: len(wanted)]
    assert all(one == other for one, other in zip(found, wanted)), (name, found, wanted)
"""


@pytest.fixture
def holds(server: Server, project: Project) -> Iterator[Project]:
    """A table with an attribute `<blob>` for each of the types, and values of it that the type holds, and others."""
    with living(server, project) as own:
        lines = "".join(f"    c{n} = null : <blob>\n" for n, _ in enumerate(HELD))
        table = (
            f'\n\n@schema\nclass Hold(dj.Manual):\n    definition = """\n    hold : int32\n    ---\n{lines}    """\n'
        )
        own.write(own.module("life"), own.read(own.module("life")) + table)
        ok(own, "revise", "-m", "holds")
        ok(own, "migrate")
        made = own.python("-c", HOLD.replace("{values}", listed([*good, *bad] for good, bad in HELD.values())))
        assert made.code == 0, made.err
        yield own


def listed(values: Iterable[Iterable[str]]) -> str:
    return "{" + ", ".join(f"'c{n}': [{', '.join(each)}]" for n, each in enumerate(values)) + "}"


def test_values_of_a_blob_that_a_plain_type_does_not_hold_are_counted(holds: Project, server: Server) -> None:
    """Servers refuse some, and round, cut or read the others as something else without a word."""
    life, before = holds.module("life"), rows_of(server)
    for number, type_ in enumerate(HELD):
        holds.replace(life, f"    c{number} = null : <blob>\n", f"    c{number} = null : {type_}\n")
    ok(holds, "revise", "-m", "plain")
    counted = {(f"c{n}",): [("codec", len(bad))] for n, (_, bad) in enumerate(HELD.values())}
    assert losses(holds, 7) == counted
    is_sentence(ok(holds, "migrate", code=7))
    assert states(holds)["life"] == ("behind", "1.1.0") and rows_of(server) == before

    full = table(server).replace("sample", "hold")
    server.execute(
        *(f"UPDATE {full} SET c{n} = NULL WHERE hold >= {len(good)}" for n, (good, _) in enumerate(HELD.values()))
    )
    ok(holds, "migrate")
    wanted = HELD_NOW.replace("{values}", listed(good for good, _ in HELD.values()))
    found = holds.python("-c", wanted)
    assert found.code == 0, found.err


@pytest.mark.parametrize("broken", ["6D", "646A3000", "646A30000A"])
def test_a_value_that_datajoint_cannot_read_is_named_before_the_first_step(
    broken: str, holds: Project, server: Server
) -> None:
    """Of bytes that do not begin as a blob does, DataJoint gives None without a word."""
    full = table(server).replace("sample", "hold")
    literal = f"X'{broken}'" if server.backend == "mysql" else f"'\\x{broken}'"
    server.execute(f"UPDATE {full} SET c6 = {literal} WHERE hold = 1")
    holds.replace(holds.module("life"), "    c6 = null : <blob>\n", "    c6 = null : varchar(30)\n")
    ok(holds, "revise", "-m", "plain")
    for command in (("migrate", "--dry-run"), ("migrate",)):
        refused = ok(holds, *command, code=1)
        assert "cannot read the value of c6 in dev_life.hold, that of {'hold': 1}" in refused.err, refused.err
        is_sentence(refused)
    assert states(holds)["life"] == ("behind", "1.1.0")


#: By type that a text gets, texts that become one value of it.
ALIKE = {
    "int32": ("07", "7", " 7 ", "+7"),
    "decimal(4,1)": ("1", "1.0", "10e-1"),
    "float64": ("0.10", ".1", "1e-1"),
    "float32": ("0.5", "5e-1"),
    "bool": ("1", " 1"),
    "uuid": (
        "05c03ddc-46ba-5fa2-d82d-dce6c18f751c",
        "{05C03DDC-46ba-5fa2-d82d-dce6c18f751c}",
        "05C03DDC46BA5FA2D82DDCE6C18F751C",
    ),
    "date": ("2020-01-02", "2020-01-02 00:00"),
    "datetime": ("2020-01-02", "2020-01-02T00:00:00", "2020-01-02 00:00"),
    "time": ("09:30", "9:30:00"),
}


@pytest.mark.parametrize("type_", ALIKE)
def test_texts_of_a_key_that_become_one_value_are_counted(type_: str, project: Project, server: Server) -> None:
    with living(server, project) as own:
        text, life = own.read(own.module("life")), own.module("life")
        odd = '\n\n@schema\nclass Odd(dj.Manual):\n    definition = """\n    a : varchar(40)\n    """\n'
        own.write(life, text + odd)
        ok(own, "revise", "-m", "odd")
        ok(own, "migrate")
        full = table(server).replace("sample", "odd")
        server.execute(*(f"INSERT INTO {full} (a) VALUES ('{value}')" for value in ALIKE[type_]))
        own.replace(life, "    a : varchar(40)", f"    a : {type_}")
        ok(own, "revise", "-m", "read")
        for command in (("migrate", "--dry-run"), ("migrate",)):
            refused = ok(own, *command, code=1)
            assert "has 1 value of (a) that rows have in common" in refused.out + refused.err, refused
        assert states(own)["life"] == ("behind", "1.1.0")
        kept = ALIKE[type_][0]
        server.execute(f"DELETE FROM {full} WHERE a <> '{kept}'")
        if kept == "07":  # whose zero a number does not keep
            assert losses(own, 7) == {("a",): [("rounding", 1)]}
        ok(own, "migrate", *["--allow-data-loss"] * (kept == "07"))


def rows_of(server: Server) -> list[tuple[Any, ...]]:
    found = server.execute(f"SELECT * FROM {table(server).replace('sample', 'hold')} ORDER BY hold")
    return [tuple(bytes(v) if isinstance(v, memoryview) else v for v in row) for row in found]


#: What becomes a foreign key: type, value, the parent's type, its value, and whether that is the parent of it.
TIED = [
    ("varchar(8)", "07", "int32", "7", True),
    ("varchar(8)", "8", "int32", "7", False),
    ("int32", "7", "varchar(8)", "07", False),
    ("int32", "7", "varchar(8)", "7", True),
    ("int32", "0", "varchar(8)", "none", False),
    ("decimal(4,2)", "1.10", "varchar(8)", "1.1", False),
    ("bool", "1", "varchar(8)", "1", True),
    ("varchar(40)", "05C03DDC46ba5fa2d82ddce6c18f751c", "uuid", "05c03ddc-46ba-5fa2-d82d-dce6c18f751c", True),
    ("varchar(40)", "05C03DDC46ba5fa2d82ddce6c18f751d", "uuid", "05c03ddc-46ba-5fa2-d82d-dce6c18f751c", False),
    ("uuid", "05c03ddc-46ba-5fa2-d82d-dce6c18f751c", "varchar(40)", "05c03ddc-46ba-5fa2-d82d-dce6c18f751c", True),
    ("varchar(20)", "2020-01-02 00:00", "date", "2020-01-02", True),
    ("date", "2020-01-02", "varchar(20)", "2020-1-2", False),
    ("enum('2', '1')", "2", "int16", "1", False),
    ("enum('2', '1')", "2", "int16", "2", True),
]


@pytest.mark.parametrize(("ours", "value", "theirs", "parent", "fits"), TIED)
def test_what_becomes_a_foreign_key_has_the_parent_that_it_has_then(
    ours: str, value: str, theirs: str, parent: str, fits: bool, project: Project, server: Server
) -> None:
    """Compared as they are, 7 is ``07``, 0 any word and ``'2'`` of an enum the first of its values; so MySQL does."""
    with living(server, project) as own:
        text, life = own.read(own.module("life")), own.module("life")
        odd = (
            f'\n\n@schema\nclass Top(dj.Manual):\n    definition = """\n    a : {theirs}\n    """\n'
            f'\n\n@schema\nclass Sub(dj.Manual):\n    definition = """\n    s : int32\n    ---\n    a : {ours}\n    """\n'
        )
        own.write(life, text + odd)
        ok(own, "revise", "-m", "odd")
        ok(own, "migrate")

        def put(type_: str, given: str) -> str:
            return f"UUID_TO_BIN('{given}')" if type_ == "uuid" and server.backend == "mysql" else f"'{given}'"

        full = table(server).replace("sample", "sub")
        server.execute(
            f"INSERT INTO {table(server).replace('sample', 'top')} (a) VALUES ({put(theirs, parent)})",
            f"INSERT INTO {full} (s, a) VALUES (1, {put(ours, value)})",
        )
        own.replace(life, f"    a : {ours}\n", "    -> Top\n")
        ok(own, "revise", "-m", "tied")
        if not fits:
            for command in (("migrate", "--dry-run"), ("migrate",)):
                refused = ok(own, *command, code=1)
                assert "has 1 row whose (a) is in no row of" in refused.out + refused.err, refused
            assert states(own)["life"] == ("behind", "1.1.0")
        else:
            if value == "07":
                assert losses(own, 7) == {("a",): [("rounding", 1)]}
            ok(own, "migrate", *["--allow-data-loss"] * (value == "07"))
            assert own.python("-c", "from my_pipeline import life; assert len(life.Top * life.Sub) == 1").code == 0


def test_what_is_left_of_a_moment_is_its_day(project: Project, server: Server) -> None:
    """MySQL has the last half second of a day in the next one where it converts by itself."""
    with living(server, project) as own:
        life, full = own.module("life"), table(server).replace("sample", "odd")
        odd = '\n\n@schema\nclass Odd(dj.Manual):\n    definition = """\n    a : int32\n    ---\n    d : datetime(6)\n    """\n'
        own.write(life, own.read(life) + odd)
        ok(own, "revise", "-m", "odd")
        ok(own, "migrate")
        server.execute(
            f"INSERT INTO {full} (a, d) VALUES (1, '2020-12-31 23:59:59.999999'), (2, '2020-01-01 12:00:00')"
        )
        own.replace(life, "    d : datetime(6)", "    d : date")
        ok(own, "revise", "-m", "days")
        assert losses(own, 7) == {("d",): [("rounding", 2)]}
        ok(own, "migrate", "--allow-data-loss")
        days = [str(day) for (day,) in server.execute(f"SELECT d FROM {full} ORDER BY a")]
        assert days == ["2020-12-31", "2020-01-01"]


#: By type, texts that are written of a number of it, and such as have more digits than that.
WRITTEN = {
    "float64": (("0.30000000000000004", "1.2345678901234568e17", "12345678901234.56"), ("0.300000000000000041",)),
    "float32": (("16777216", "1234567.5"), ("16777217", "0.123456789")),
}


@pytest.mark.parametrize("type_", WRITTEN)
def test_a_text_with_all_digits_of_a_number_becomes_the_number_and_goes_back(
    type_: str, project: Project, server: Server
) -> None:
    good, bad = WRITTEN[type_]
    with living(server, project) as own:
        life, full = own.module("life"), table(server).replace("sample", "odd")
        odd = f'\n\n@schema\nclass Odd(dj.Manual):\n    definition = """\n    a : int32\n    ---\n    n : {type_}\n    """\n'
        own.write(life, own.read(life) + odd)
        ok(own, "revise", "-m", "odd")
        ok(own, "migrate")
        exact = "CAST(n AS DOUBLE)" if server.backend == "mysql" else "n"
        listed = [f"({number}, {text})" for number, text in enumerate(good)]
        server.execute(f"INSERT INTO {full} (a, n) VALUES {', '.join(listed)}")
        before = server.execute(f"SELECT a, {exact} FROM {full} ORDER BY a")
        assert [value for _, value in before] == [float(text) for text in good]
        own.replace(life, f"    n : {type_}", "    n : varchar(40)")
        ok(own, "revise", "-m", "texts")
        ok(own, "migrate")
        ok(own, "rollback", "life", "--to", "1.1.0")
        assert server.execute(f"SELECT a, {exact} FROM {full} ORDER BY a") == before
        ok(own, "migrate")
        listed = [f"({number}, '{text}')" for number, text in enumerate(bad, 90)]
        server.execute(f"INSERT INTO {full} (a, n) VALUES {', '.join(listed)}")
        own.replace(life, "    n : varchar(40)", f"    n : {type_}")
        ok(own, "revise", "-m", "numbers")
        assert losses(own, 7) == {("n",): [("rounding", len(bad))]}


def test_an_enum_in_a_key_becomes_a_text_and_goes_back(project: Project, server: Server) -> None:
    with living(server, project) as own:
        life, full = own.module("life"), table(server).replace("sample", "odd")
        odd = '\n\n@schema\nclass Odd(dj.Manual):\n    definition = """\n    a : enum(\'left\', \'lean\')\n    """\n'
        own.write(life, own.read(life) + odd)
        ok(own, "revise", "-m", "odd")
        ok(own, "migrate")
        server.execute(f"INSERT INTO {full} (a) VALUES ('left'), ('lean')")
        own.replace(life, "    a : enum('left', 'lean')", "    a : varchar(2)")
        ok(own, "revise", "-m", "texts")
        refused = ok(own, "migrate", "--allow-data-loss", code=1)
        assert "has 1 value of (a) that rows have in common" in refused.err, refused.err
        own.replace(life, "    a : varchar(2)", "    a : varchar(8)")
        ok(own, "revise", "--again", "-m", "texts")
        ok(own, "migrate")
        ok(own, "rollback", "life", "--to", "1.1.0")
        assert sorted(server.execute(f"SELECT a FROM {full}")) == [("lean",), ("left",)]
