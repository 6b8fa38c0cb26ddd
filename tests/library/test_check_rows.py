"""`check` tries every migration on tables with rows: what any rows would meet is found, what hangs on values is a note."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import Project
from living import lay, ok

NAME = "    name : varchar(32)  # what it is called\n"
NOTE = "    note = null : varchar(64)\n"
GRAMS = "    grams : float64"


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory, render: Callable[..., Path]) -> Iterator[Project]:
    """A project with two schemas and their first snapshots."""
    own = Project(render(tmp_path_factory.mktemp("rows") / "my_pipeline"))
    lay(own)
    ok(own, "--env", "local", "init")
    yield own
    own.run("local", "stop")


@pytest.fixture
def lab(begun: Project) -> Iterator[Project]:
    """The same, as it was at the beginning."""
    package = begun.folder / "src" / "my_pipeline"
    files = list(package.rglob("*.*"))
    texts = {path: path.read_bytes() for path in files}
    yield begun
    for path in package.rglob("*.*"):
        if path.is_file() and path not in texts:
            path.unlink()
    for path, text in texts.items():
        path.write_bytes(text)


def life(project: Project, old: str, new: str) -> None:
    project.replace(project.module("life"), old, new)


def edit(project: Project, file: str, old: str, new: str) -> None:
    project.replace(f"src/my_pipeline/migrations/{file}", old, new)


def check(project: Project, code: int) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    found = ok(project, "check", "--json", code=code).json
    # Version and address of the library are those of a working tree here; that is noted, and nothing of rows.
    return found["findings"], [note for note in found["notes"] if not note["id"].startswith("library-")]


def test_a_sound_history_says_nothing_and_takes_seconds(lab: Project) -> None:
    """Renamed keys, new types, tables that come and go, and a schema whose first snapshot needs a later one of another."""
    begun = time.monotonic()
    assert check(lab, 0) == ([], [])
    without = time.monotonic() - begun
    life(lab, "    animal_id : int32  # its number", "    animal : int64  # its number")
    life(lab, NAME, "    label : varchar(40)\n    unique index (label)\n")
    ok(lab, "revise", "-m", "names", "--rename", "Animal.animal_id=animal", "--rename", "Animal.name=label")
    ok(lab, "add-schema", "play", "--depends", "life")
    toy = 'definition = """\n    -> life.Animal\n    toy : varchar(8)\n    ---\n    price = null : decimal(5,2)\n    """\n'
    head = lab.read(lab.module("play")).partition("@schema")[0]
    lab.write(lab.module("play"), f"{head}@schema\nclass Toy(dj.Manual):\n    {toy}")
    ok(lab, "revise", "-m", "play")
    life(lab, GRAMS, "    unit : varchar(4)\n" + GRAMS)
    ok(lab, "revise", "-m", "units", "--fill", "Weight.unit=g")
    lab.replace(lab.module("play"), "    price = null : decimal(5,2)\n", "    -> [nullable] Toy.proj(copy_of='toy')\n")
    lab.replace(lab.module("play"), "    -> [nullable] Toy.proj(copy_of='toy')\n", "    price = null : int32\n")
    lab.replace(lab.module("work"), NOTE, "")
    ok(lab, "revise", "-m", "rest", "--drop", "Task.note")
    begun = time.monotonic()
    assert check(lab, 0) == ([], [])
    assert time.monotonic() - begun < 4 * without  # it is a matter of seconds on an idle machine
    assert "Everything is in order." in ok(lab, "check").out


def test_what_any_row_would_meet_is_found(lab: Project) -> None:
    life(lab, GRAMS, "    unit : varchar(4)\n" + GRAMS)
    ok(lab, "revise", "-m", "units", "--fill", "Weight.unit=g")
    edit(lab, "life/1.1.0_units.py", ', fill="g"', "")
    (finding,), notes = check(lab, 1)
    assert (finding["id"], finding["module"], notes) == ("replay-rows", "migrations/life/1.1.0_units", [])
    assert "3 rows that have no value for unit" in finding["what"] and "fill=" in finding["do"]
    edit(lab, "life/1.1.0_units.py", 'varchar(4)"', 'varchar(4)", fill="g"')
    assert check(lab, 0) == ([], [])

    # One value for all rows, which is to be unique.
    life(lab, "    unit : varchar(4)\n", "    unit : varchar(4)\n    unique index (unit)\n")
    ok(lab, "revise", "-m", "one unit")
    found, (note,) = check(lab, 0)
    assert found == [] and "1 value of (unit) that rows have in common" in note["what"]
    life(lab, "    unique index (unit)\n", "    code : varchar(4)\n    unique index (code)\n")
    ok(lab, "revise", "-m", "codes", "--fill", "Weight.code=x")
    (finding,), _ = check(lab, 1)
    assert "1 value of (code) that rows have in common" in finding["what"]
    assert finding["module"].startswith("migrations/life/1.2.0")


def test_a_foreign_key_that_no_row_can_have_a_parent_for_is_found(lab: Project) -> None:
    rig = 'class Rig(dj.Lookup):\n    definition = """\n    rig : varchar(8)\n    """\n'
    life(lab, "@schema\nclass Weight", f"@schema\n{rig}    contents = [('A',)]\n\n\n@schema\nclass Weight")
    life(lab, "    ---\n    grams", "    ---\n    -> Rig\n    grams")
    ok(lab, "revise", "-m", "rigs", "--fill", "Weight.rig=A")
    assert check(lab, 0) == ([], [])  # the rows that are missing are put in
    path = "src/my_pipeline/migrations/life/1.1.0_rigs.py"
    lab.write(path, re.sub(r",\s*missing=\{[^}]*\},?", "", lab.read(path)))
    assert check(lab, 0) == ([], [])  # its contents are put in, and it is one of these
    lab.write(path, re.sub(r"    InsertRows\(.*?\]\),\n", "", lab.read(path), flags=re.DOTALL))
    assert "InsertRows(" not in lab.read(path)
    (finding,), _ = check(lab, 1)
    assert "is in no row of life.Rig" in finding["what"]
    insert = "INSERT INTO {life}.`#rig` VALUES ('A')"
    # The table and its contents come first, then what refers to it.
    text = lab.read(path).replace("import ", "import RunSQL, ", 1)
    create = re.search(r'    CreateTable\(""".*?"""\),\n', text, re.DOTALL)
    assert create
    words = f'    RunSQL("rigs", mysql="{insert}", postgresql="""{insert.replace("`", chr(34))}"""),\n'
    text = text.replace(create[0], "").replace("operations = [\n", f"operations = [\n{create[0]}{words}")
    lab.write(path, text)
    assert check(lab, 0) == ([], [])


def test_a_lookup_table_has_the_rows_that_it_comes_with(lab: Project) -> None:
    """What becomes of them is known: no other rows are made up, which would not be what the table can have."""
    kind = 'class Kind(dj.Lookup):\n    definition = """\n    kind : varchar(8)\n    """\n    contents = [["mouse"], ["rat"]]\n'
    life(lab, "@schema\nclass Weight", f"@schema\n{kind}\n\n@schema\nclass Weight")
    life(lab, GRAMS, "    -> Kind\n" + GRAMS)
    for snapshot in (lab.folder / "src/my_pipeline/migrations").rglob("snapshot.txt"):
        snapshot.unlink()
    ok(lab, "revise", "-m", "the first")  # which writes the first snapshots anew
    life(lab, "    kind : varchar(8)", "    kind : enum('mouse', 'rat')")
    ok(lab, "revise", "-m", "few kinds")
    assert check(lab, 0) == ([], [])


def test_a_finding_names_the_file_and_the_line(lab: Project) -> None:
    life(lab, GRAMS, "    unit : varchar(4)\n" + GRAMS)
    lab.replace(lab.module("work"), NOTE, "    remark = null : varchar(64)\n")
    ok(lab, "revise", "-m", "open")
    found, _ = check(lab, 1)
    assert [one["id"] for one in found] == ["open-question"] * 2
    for one, mark in zip(found, ("ASK)", "Decide("), strict=True):
        line = lab.read(one["path"]).splitlines()[one["line"] - 1]
        assert one["path"] == f"src/my_pipeline/{one['module']}.py" and mark in line, one
    place = "src/my_pipeline/migrations/life/1.1.0_open.py"
    assert f"{place}:{found[0]['line']} open-question It is still to be decided: " in ok(lab, "check", code=1).out
    edit(lab, "life/1.1.0_open.py", "fill=ASK", 'fill="g"')


def test_what_hangs_on_values_is_a_note(lab: Project) -> None:
    life(lab, NAME, "    name : enum('Ada', 'Bob')\n")
    lab.replace(lab.module("work"), NOTE, "    note : varchar(64)\n")
    ok(lab, "revise", "-m", "stricter", "--fill", "Task.note=-")
    edit(lab, "work/1.1.0_stricter.py", ', fill="-"', "")
    found, notes = check(lab, 0)
    assert found == [] and len(notes) == 2
    assert "3 values of name that are none of Ada, Bob" in notes[0]["what"]
    assert "1 row without note" in notes[1]["what"]
    shown = ok(lab, "check").out
    assert shown.count("replay-rows note: ") == 2 and "Everything is in order." in shown


@pytest.mark.parametrize(("cast", "code"), [("name AS date", 0), ("nome AS date", 1)])
def test_statements_of_ones_own_are_run(lab: Project, cast: str, code: int) -> None:
    """Those that the values at hand make fail are a note; those that fail without a row are wrong."""
    life(lab, NAME, f"{NAME}    born = null : date\n")
    ok(lab, "revise", "-m", "born")
    path = "src/my_pipeline/migrations/life/1.1.0_born.py"
    sql = "UPDATE {life}.animal SET born = CAST(" + cast + ")"
    words = f'    RunSQL("find out", mysql="{sql}", postgresql="{sql}"),\n]'
    text = lab.read(path).replace("import AddAttribute", "import AddAttribute, RunSQL")
    lab.write(path, text.rstrip().removesuffix("]") + words + "\n")
    found, notes = check(lab, code)
    assert (len(found), len(notes)) == (code, 1 - code)
    assert "find out" in (found or notes)[0]["what"]
    assert ("even where there are no rows" in (found or notes)[0]["what"]) is bool(code)


def test_a_key_that_no_job_can_be_reserved_for_is_a_note(lab: Project) -> None:
    lab.replace(
        lab.module("work"), "    -> Task\n    ---\n    score", "    -> Task.proj(user='task')\n    ---\n    score"
    )
    ok(lab, "revise", "-m", "users", "--rename", "Score.task=user")
    found, (note,) = check(lab, 0)
    assert found == [] and note["id"] == "jobs" and "has user in its key" in note["what"]


FILED = '''@schema
class Filed(dj.Manual):
    definition = """
    filed : int32
    ---
    photo : <attach@main>
    trace : <blob@main>
    film : <object@main>
    inside : <attach>
    """


@schema
class Spanned(dj.Manual):
    definition = """
    spanned : int32
    ---
    span : <span>
    """


'''

SPAN = """import datajoint as dj


class SpanCodec(dj.Codec):
    name = "span"

    def get_dtype(self, is_store):
        return "json"

    def encode(self, value, *, key=None, store_name=None):
        return value

    def decode(self, stored, *, key=None):
        return stored
"""


def test_what_no_row_could_be_made_up_for_is_said_once(lab: Project) -> None:
    """Rows are made up also where values are in a store; of a codec of the lab's own nobody knows what it writes."""
    life(lab, "@schema\nclass Weight", f"{FILED}@schema\nclass Weight")
    lab.write("src/my_pipeline/codecs.py", SPAN)
    life(lab, "from . import open_schema", "from . import codecs, open_schema")
    ok(lab, "revise", "-m", "files")
    life(lab, NAME, f"{NAME}    born = null : date\n")
    ok(lab, "revise", "-m", "born")
    life(lab, "    photo :", "    place = null : varchar(8)\n    photo :")
    ok(lab, "revise", "-m", "places")
    findings, notes = check(lab, 0)
    assert findings == []
    assert [note["what"].partition(",")[0] for note in notes] == ["No row could be made up for life.Spanned"]

    # What is read from a store would be looked for there, and is in none.
    life(lab, "    trace : <blob@main>", "    trace : <blob>")
    life(lab, "    inside : <attach>", "    inside : <blob>")
    ok(lab, "revise", "-m", "traces")
    findings, notes = check(lab, 0)
    assert findings == []
    assert [note["what"].partition(",")[0] for note in notes] == [
        "No row could be made up for life.Spanned",
        "No object could be made up for life.Filed",
    ]
    life(lab, "    place = null :", "    place :")
    ok(lab, "revise", "-m", "required", "--fill", "Filed.place=here")
    (file,) = (lab.folder / "src/my_pipeline/migrations/life").glob("*_required.py")
    edit(lab, f"life/{file.name}", ', fill="here"', "")
    findings, notes = check(lab, 0)
    assert "1 row without place" in notes[-1]["what"]


RIG = 'class Rig(dj.Manual):\n    definition = """\n    rig : varchar(8)\n    ---\n    floor : int16\n    """\n\n\n'


def test_rows_that_literals_refer_to_are_there(lab: Project) -> None:
    """Check makes them up and says which they are; and rows that a migration puts in are parents like any others."""
    life(lab, "@schema\nclass Weight", f"@schema\n{RIG}@schema\nclass Weight")
    ok(lab, "revise", "-m", "rigs")
    life(lab, GRAMS, "    -> Rig\n" + GRAMS)
    ok(lab, "revise", "-m", "of rigs", "--fill", "Weight.rig=A")
    findings, notes = check(lab, 0)
    assert findings == []
    assert [note["what"] for note in notes] == ["A database needs a row of life.Rig with rig = 'A' before it."]
    # The same, but for a migration that puts the row in, before or in the same file.
    for version in ("1.1.0_rigs", "1.2.0_of_rigs"):
        path = f"src/my_pipeline/migrations/life/{version}.py"
        text = lab.read(path)
        row = '    InsertRows("Rig", [{"rig": "A", "floor": 1}]),\n]\n'
        lab.write(path, text.replace("import ", "import InsertRows, ", 1).rstrip().removesuffix("]") + row)
        assert check(lab, 0) == ([], []), version
        lab.write(path, text)


LARGE = '''@schema
class Wide(dj.Manual):
    definition = """
    wide : int32
    ---
    one : varchar(9000)
    two : varchar(9000)
    """


@schema
class Keyed(dj.Manual):
    definition = """
    keyed : varchar(800)
    """


@schema
class Many(dj.Manual):
    definition = "many : int32\\n---\\n" + "\\n".join(f"c{number} = null : int16" for number in range(1020))


@schema
class Told(dj.Manual):
    definition = """
    told : int32
    ---
    story : text
    index (story)
    """


@schema
class Noted(dj.Manual):
    definition = r"""
    noted : int32  # kept in C:\\"
    """


'''


def test_what_mysql_alone_would_refuse_is_found(lab: Project) -> None:
    """Where the project is for MySQL, without one; definitions are tried on PostgreSQL, which takes all of it."""
    life(lab, "@schema\nclass Weight", f"{LARGE}@schema\nclass Weight")
    findings, _ = check(lab, 1)
    assert {finding["id"] for finding in findings} == {"server"} and len(findings) == 5, findings
    said = " ".join(finding["what"] for finding in findings)
    for words in (
        "A row of life.Wide",
        "(keyed) of life.Keyed",
        "1,022 columns",
        "(story) of life.Told",
        "table of Noted",
    ):
        assert words in said, said
    other = ok(lab, "check", "--json", code=1, DJ_BACKEND="postgresql").json["findings"]
    assert {finding["id"] for finding in other} == {"not-revised"}, other
