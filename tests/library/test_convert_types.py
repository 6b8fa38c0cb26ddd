"""``readiness --convert-types``: definitions and calls with one right form are rewritten, and nothing else of a file."""

from __future__ import annotations

import difflib
import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from adopting import found, readiness, write

from datajoint_pipeline.internals import definitions

HEAD = "import datajoint as dj\n\nschema = dj.schema('lab_ephys')\n\n\n"

TABLE = '''@schema
class T(dj.Manual):
    definition = """
    # a table
    key_id : int32
    ---
    {line}
    """
'''

#: A type as a lab writes it, and what it becomes; None where a person has to choose.
TYPES = [
    *[
        ("longblob", "<blob>"),
        ("mediumblob", "<blob>"),
        ("blob", "<blob>"),
        ("tinyblob", "<blob>"),
        ("LONGBLOB", "<blob>"),
    ],
    *[("int", "int32"), ("int(11)", "int32"), ("INT", "int32"), ("integer", "int32"), ("smallint", "int16")],
    *[("tinyint", "int8"), ("mediumint", "int32"), ("bigint", "int64"), ("tinyint unsigned", "int16")],
    *[
        ("smallint  unsigned", "int32"),
        ("int unsigned", "int64"),
        ("int(10) unsigned", "int64"),
        ("bigint unsigned", "int64"),
    ],
    *[
        ("float", "float32"),
        ("float(8,2)", "float32"),
        ("double", "float64"),
        ("real", "float64"),
        ("float unsigned", "float32"),
    ],
    *[("boolean", "bool"), ("BOOL", "bool"), ("year", "int16"), ("attach", "<attach>")],
    *[("decimal(5)", "decimal(5,0)"), ("numeric(5,3)", "decimal(5,3)"), ("decimal(8,2) unsigned", "decimal(8,2)")],
    *[("VARCHAR(20)", "varchar(20)"), ("varchar (30)", "varchar(30)"), ("char (3)", "char(3)"), ("UUID", "uuid")],
    *[
        ("Decimal(6,3)", "decimal(6,3)"),
        ("decimal (5, 2)", "decimal(5, 2)"),
        ("DATETIME", "datetime"),
        ("Date", "date"),
    ],
    *[
        ("enum ('A', 'b#c')", "enum('A', 'b#c')"),
        ('ENUM("F","M")', "enum('F','M')"),
        ('enum("a:b","#")', "enum('a:b','#')"),
        ("JSON", "json"),
    ],
    *[
        ("tinyint(1)", None),
        ("int unsigned auto_increment", None),
        ("serial", None),
        ("longtext", None),
        ("varchar", None),
    ],
    *[("blob@raw", "<blob@raw>"), ("attach@raw", "<attach@raw>"), ("filepath@raw", "<filepath@raw>")],
    *[("binary(16)", None), ("set('a','b')", None)],
    *[("int24", None), ("<pose>", None), ("point", None)],
]

#: What DataJoint takes as it is.
GOOD = [
    *("int8", "int64", "float32", "bool", "uuid", "json", "bytes", "date", "datetime", "datetime(3)", "char(4)"),
    *("varchar(255)", "decimal(5,2)", "decimal(5, 2)", "enum('a','b')", "enum('a:b','#')", "<blob>", "<blob@raw>"),
    *("<attach>", "<npy@>", "timestamp", "time", "text"),
]


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    return write(tmp_path, {"lab/__init__.py": "", "lab/ephys.py": HEAD})


def lines_of(types: list[str]) -> str:
    tables = (TABLE.format(line=f'a{number}=null : {type_}  # it: was "{type_}"') for number, type_ in enumerate(types))
    return HEAD + "\n\n".join(text.replace("class T(", f"class T{number}(") for number, text in enumerate(tables))


def test_each_type_becomes_what_datajoint_takes_and_nothing_else_changes(lab: Path) -> None:
    path = lab / "lab/ephys.py"
    path.write_text(lines_of([before for before, _ in TYPES]), encoding="utf-8")
    wanted = path.read_text()
    for before, after in TYPES:
        if after is not None:
            wanted = wanted.replace(f": {before}  #", f": {after}  #")
            assert definitions.is_core(after) and definitions.refusal(f"a=null : {after}") == "", after
    shown = readiness(lab, "--convert-types")
    assert shown.returncode == 3 and path.read_text() != wanted and "--- lab/ephys.py" in shown.stdout
    assert "Nothing was written: --write makes these changes in 1 file." in shown.stdout
    done = readiness(lab, "--convert-types", "--write")
    assert (done.returncode, done.stdout) == (0, "wrote lab/ephys.py\n")
    assert "".join(difflib.unified_diff(wanted.splitlines(True), path.read_text().splitlines(True))) == ""
    again = readiness(lab, "--convert-types", "--write")
    assert (again.returncode, again.stdout) == (0, "Nothing was to be written.\n")
    left = [
        row["what"].partition(" is of the type ")[2].rstrip(".")
        for row in found(lab)
        if " is of the type " in row["what"]
    ]
    refused = [re.search(r" : (\S+) ", row["what"]) for row in found(lab) if row["rule"] == "refused-definition"]
    assert sorted([*left, *(match[1] for match in refused if match)]) == sorted(t for t, new in TYPES if new is None)


def test_what_datajoint_takes_is_left_and_not_spoken_of(lab: Path) -> None:
    text = lines_of(GOOD)
    (lab / "lab/ephys.py").write_text(text, encoding="utf-8")
    assert readiness(lab, "--convert-types", "--write").stdout == "Nothing was to be written.\n"
    assert (lab / "lab/ephys.py").read_text() == text
    assert [row for row in found(lab) if row["group"] == "types"] == []


def test_a_file_keeps_every_byte_beside_the_types(lab: Path) -> None:
    """Windows' ends of lines, a mark at the beginning, text outside definitions, letters of two bytes, odd blanks."""
    text = (
        (
            "\ufeff"
            + HEAD
            + "NOTE = 'a : longblob'  # µ : longblob\n\n\n"
            + TABLE.format(line="µ : int  \n    b  =  3:longblob# é")
            + "    other = '''\n    b : longblob\n    '''\n"
        )
        .replace("\n", "\r\n")
        .replace("µ : int", 'm="µ" : varchar (9)')
        .replace("b  =  3:", "b  =null:")
    )
    path = lab / "lab/ephys.py"
    path.write_bytes(text.encode())
    assert readiness(lab, "--convert-types", "--write").stdout == "wrote lab/ephys.py\n"
    wanted = text.replace('m="µ" : varchar (9)', 'm="µ" : varchar(9)').replace("=null:longblob#", "=null:<blob>#")
    assert path.read_bytes().decode() == wanted


def test_a_line_that_stands_otherwise_in_the_file_is_left(lab: Path) -> None:
    """What code puts together, or writes with escapes, is named and not touched."""
    text = HEAD + (
        "@schema\nclass A(dj.Manual):\n    definition = 'a : int\\n---\\nb : longblob'\n\n\n"
        "@schema\nclass B(dj.Manual):\n    definition = 'c : int\\n' + REST\n\n\n"
        '@schema\nclass C(dj.Manual):\n    definition = f"""\n    d : int\n    ---\n    e : varchar({N})\n    """\n'
    )
    path = lab / "lab/ephys.py"
    path.write_text(text, encoding="utf-8")
    readiness(lab, "--convert-types", "--write")
    assert path.read_text() == text.replace("'a : int\\n---", "'a : int32\\n---")
    rows = [(row["line"], row["rule"], row["sure"]) for row in found(lab) if row["group"] == "types"]
    assert {(10, "blob-type", False), (19, "integer-type", False)} <= set(rows)
    assert {line for line, rule, _ in rows if rule == "computed-definition"} == {13, 18}


def test_the_line_between_key_and_rest_and_percent_signs_have_one_form(lab: Path) -> None:
    path = lab / "lab/ephys.py"
    lines = 'a : float32  # 5% of %%\n    b="#%%" : char (3)  # a % of #'
    path.write_text(HEAD + TABLE.format(line=lines).replace("---", "____"), encoding="utf-8")
    rules = [(row["rule"], row["sure"]) for row in found(lab) if row["group"] == "types"]
    assert rules == [("refused-definition", True), ("refused-definition", True), ("type-spelling", True)]
    readiness(lab, "--convert-types", "--write")
    lines = 'a : float32  # 5%% of %%\n    b="#%%" : char(3)  # a %% of #'
    assert path.read_text() == HEAD + TABLE.format(line=lines)


CALLS = [
    ("dj.ERD(schema).draw()", "dj.Diagram(schema).draw()"),
    ("dj.Di(schema)", "dj.Diagram(schema)"),
    ("v = dj.create_virtual_module('v', 'lab_v')", "v = dj.VirtualModule('v', 'lab_v')"),
    ("T.fetch(dj.key)", 'T.fetch("KEY")'),
    ("schema.spawn_missing_classes()", "schema.make_classes()"),
    ("(T & 'a=1').delete(safemode=False)", "(T & 'a=1').delete(prompt=False)"),
    ("T().delete(force_parts=True)", 'T().delete(part_integrity="ignore")'),
    ("C.populate('a=1', limit=3)  # µ", "C.populate('a=1', max_calls=3)  # µ"),
    ("T.aggr(C, n='count(*)')", "T.aggr(C, n='count(*)', exclude_nonmatching=True)"),
    ("T.aggr(C, n='count(*)', keep_all_rows=True)", "T.aggr(C, n='count(*)', exclude_nonmatching=False)"),
    ("T.aggr(\n    C,\n    n='count(*)',\n)", "T.aggr(\n    C,\n    n='count(*)', exclude_nonmatching=True,\n)"),
    ("x = T.aggr(C.aggr(T, m='max(a)'), n='sum(m)')",
     "x = T.aggr(C.aggr(T, m='max(a)', exclude_nonmatching=True), n='sum(m)', exclude_nonmatching=True)"),
    *[(call, call) for call in (
        "C.populate(order='random')", "T.delete(force=x)", "dj.U('a') * T", "T @ C", "T.fetch('a')", "T.aggr(C, **more)",
        "T._update('a', 1)", "dj.U('a').aggr(T, n='count(*)')",
    )],
]  # fmt: skip


def test_calls_with_one_right_form_are_written(lab: Path) -> None:
    script = lab / "scripts/run.py"
    head = "import datajoint as dj\nfrom lab.ephys import T, C, schema\n\n"
    write(lab, {"scripts/run.py": head + "\n".join(before for before, _ in CALLS) + "\n"})
    assert readiness(lab, "--convert-types", "--write").stdout == "wrote scripts/run.py\n"
    assert script.read_text() == head + "\n".join(after for _, after in CALLS) + "\n"


def test_a_program_gets_the_differences_and_what_was_written(lab: Path) -> None:
    (lab / "lab/ephys.py").write_text(HEAD + TABLE.format(line="a : int"), encoding="utf-8")
    shown = readiness(lab, "--convert-types", "--json")
    document = json.loads(shown.stdout)
    assert shown.returncode == 3 and document["wrote"] == [] and "+    a : int32\n" in document["diff"][0]
    assert json.loads(readiness(lab, "--convert-types", "--json", "--write").stdout)["wrote"] == ["lab/ephys.py"]
    alone = readiness(lab, "--write")
    assert alone.returncode == 2 and "Add one of them" in alone.stderr


def told(terminal: int) -> Iterator[str]:
    """What a program wrote on a terminal that it has left."""
    with suppress(OSError):
        while piece := os.read(terminal, 65_536):
            yield piece.decode()


def test_a_person_is_shown_the_changes_and_asked(lab: Path) -> None:
    path = lab / "lab/ephys.py"
    path.write_text(HEAD + TABLE.format(line="a : int"), encoding="utf-8")
    command = [
        sys.executable,
        "-W",
        "ignore",
        "-m",
        "datajoint_pipeline.readiness.command",
        "readiness",
        "--convert-types",
    ]
    here, there = pty.openpty()
    os.write(here, b"y\n")
    asked = subprocess.Popen(command, cwd=lab, stdin=there, stdout=there, stderr=subprocess.PIPE)
    assert asked.wait(60) == 0, asked.communicate()
    os.close(there)
    shown = "".join(told(here))
    os.close(here)
    assert shown.index("+    a : int32") < shown.index("wrote lab/ephys.py")
    assert path.read_text() == HEAD + TABLE.format(line="a : int32")


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("a : varchar(3)  # :x", "must not start with a colon"),
        ("A : int32", "cannot read this line"),
        ("_a : int32", "begins with _"),
        ("a=3 : <blob>", "can only be NULL"),
        ("-> [optional] Other", "no option optional"),
        ("a : <pose>", "not registered"),
    ],
)
def test_datajoint_says_why_it_refuses_a_line(line: str, why: str) -> None:
    assert why in definitions.refusal(line)
    assert definitions.refusal("a : <pose@raw>", codecs=["pose"]) == ""
