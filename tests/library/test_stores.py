"""Values in an object store: they go there and back by a migration, and are found whatever a migration renames or moves."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import Project, Server
from living import filled, ok, states

LIFE = '''"""What lives here."""

import datajoint as dj

from . import open_schema

schema = open_schema("life")


@schema
class Animal(dj.Manual):
    definition = """
    animal_id : int32
    ---
    name : varchar(32)
    photo = null : <attach@main>
    """


@schema
class Scan(dj.Manual):
    definition = """
    -> Animal
    day : date
    ---
    trace : <blob>
    raw = null : <blob@main>
    frames = null : <npy@main>
    """
'''

FILL = """
import numpy, pathlib
from my_pipeline import life
for name in ("Ada", "Bob"):
    pathlib.Path(name).mkdir()
    pathlib.Path(name, "photo.txt").write_text(f"a photo of {name}")
life.Animal.insert([(1, "Ada", "Ada/photo.txt"), (2, "Bob", "Bob/photo.txt")])
life.Scan.insert([
    (1, "2026-01-01", numpy.arange(5), {"a": [1, 2]}, numpy.ones((2, 2))),
    (2, "2026-01-02", [1, "x"], None, None),
])
"""

#: What every row holds, in JSON; ``tables``. Of a file its name and what is in it.
SHOW = """
import json, pathlib, tempfile
import datajoint as dj
from my_pipeline import life
try:
    from my_pipeline import work
except ImportError:
    pass
def plain(value):
    if hasattr(value, "load"):
        value = value.load()
    if isinstance(value, str) and pathlib.Path(value).is_file():
        value = [pathlib.Path(value).name, pathlib.Path(value).read_text()]
    return value.tolist() if hasattr(value, "tolist") else value
def rows(table):
    for key in table.keys(order_by="KEY"):
        with tempfile.TemporaryDirectory() as folder, dj.config.override(download_path=folder):
            yield [plain(value) for value in (table & key).fetch1().values()]
print(json.dumps([list(rows(table())) for table in [{tables}]], default=str))
"""

PHOTOS = [["photo.txt", "a photo of Ada"], ["photo.txt", "a photo of Bob"]]

VALUES = [
    [[1, "Ada", PHOTOS[0]], [2, "Bob", PHOTOS[1]]],
    [
        [1, "2026-01-01", [0, 1, 2, 3, 4], {"a": [1, 2]}, [[1.0, 1.0], [1.0, 1.0]]],
        [2, "2026-01-02", [1, "x"], None, None],
    ],
]


@pytest.fixture
def stored(server: Server, project: Project, tmp_path: Path) -> Iterator[Project]:
    """A project with rows whose values are in a store, and a second store."""
    places = {name: tmp_path / name for name in ("main", "other")}
    for place in places.values():
        place.mkdir()
    stores = {name: {"protocol": "file", "location": str(place)} for name, place in places.items()}
    project.clear()
    project.write("datajoint.json", json.dumps(json.loads(project.read("datajoint.json")) | {"stores": stores}))
    project.write(project.module("life"), LIFE)
    project.write(project.module("version"), '__version__ = "0.1.0"\n\nSCHEMA_VERSIONS = {"life": "1.0.0"}\n')
    with filled(server, project, FILL):
        yield project


def shown(project: Project, *tables: str) -> Any:
    result = project.python("-c", SHOW.format(tables=", ".join(tables or ("life.Animal", "life.Scan"))))
    assert result.code == 0, result.err
    return json.loads(result.out.strip().splitlines()[-1])


def retype(project: Project, **types: str) -> None:
    """Give attributes other types."""
    text = project.read(project.module("life"))
    for name, type_ in types.items():
        text, count = re.subn(rf"( {name}(?: = null)? : )<.*>", rf"\g<1>{type_}", text)
        assert count == 1, name
    project.write(project.module("life"), text)


def objects(project: Project) -> list[str]:
    """What the rule says of objects."""
    groups = ok(project, "migrate", "--dry-run", "--json", code=3).json["groups"]
    rules = [rule for group in groups for rule in group["rules"] if rule["id"] == "objects"]
    return [rule["text"] for rule in rules if not rule["silenced"]]


def test_values_go_into_a_store_and_out_of_it_and_back(stored: Project, server: Server) -> None:
    assert shown(stored) == VALUES
    there = {"trace": "<blob@other>", "raw": "<blob>", "frames": "<blob@main>"}
    if server.backend == "mysql":  # DataJoint cannot fetch <attach> on PostgreSQL (2.3.5)
        there["photo"] = "<attach>"
    retype(stored, **there)
    ok(stored, "revise", "-m", "other places")
    gone = {text.split(" are ")[0] for text in objects(stored)}
    assert gone == {"Objects of Scan.raw", "Objects of Scan.frames", *["Objects of Animal.photo"] * ("photo" in there)}
    ok(stored, "migrate")
    assert shown(stored) == VALUES
    version = stored.read(stored.module("version"))
    ok(stored, "rollback", "life", "--to", "1.0.0")
    stored.write(stored.module("version"), re.sub(r'"life": "[\d.]+"', '"life": "1.0.0"', version))
    retype(stored, trace="<blob>", raw="<blob@main>", frames="<npy@main>", photo="<attach@main>")
    assert shown(stored) == VALUES
    stored.write(stored.module("version"), version)
    retype(stored, **there)
    ok(stored, "migrate")
    assert shown(stored) == VALUES


def test_an_array_of_a_store_becomes_json(stored: Project) -> None:
    text = stored.read(stored.module("life"))
    stored.write(stored.module("life"), text.replace("frames = null : <npy@main>", "frames = null : json"))
    ok(stored, "revise", "-m", "plain")
    assert "NpyRef" not in ok(stored, "migrate", "--dry-run", code=3).out
    ok(stored, "migrate")
    assert [row[-1] for row in shown(stored)[1]] == [[[1.0, 1.0], [1.0, 1.0]], None]


def test_a_file_that_is_referred_to_becomes_an_attachment_of_its_name(stored: Project) -> None:
    place = Path(json.loads(stored.read("datajoint.json"))["stores"]["main"]["location"])
    (place / "raw").mkdir()
    (place / "raw" / "notes.txt").write_text("a note")
    life, line = stored.module("life"), "    photo = null : <attach@main>\n"
    stored.replace(life, line, f"{line}    notes = null : <filepath@main>\n")
    ok(stored, "revise", "-m", "notes")
    ok(stored, "migrate")
    put = "from my_pipeline import life\nlife.Animal.update1({'animal_id': 1, 'notes': 'raw/notes.txt'})"
    done = stored.python("-c", put)
    assert done.code == 0, done.err
    retype(stored, notes="<attach@main>")
    ok(stored, "revise", "-m", "attached")
    ok(stored, "migrate")
    assert [row[-1] for row in shown(stored, "life.Animal")[0]] == [["notes.txt", "a note"], None]


NOTE = '''

@schema
class Note(dj.Manual):
    definition = """
    note : varchar(16)
    factor : float32
    ---
    words = null : <blob>
    """
'''


def test_what_nobody_changed_since_comes_back_as_it_was(stored: Project) -> None:
    """JSON has no arrays, bytes have no file name: the soft-deleted values have both."""
    exact = (
        "import json, numpy\nfrom my_pipeline import life\n"
        "print(json.dumps([[str(r['day']), type(r['trace']).__name__] "
        "for r in life.Scan.to_dicts(order_by='KEY')]))"
    )
    before = json.loads(stored.python("-c", exact).out)
    assert before == [["2026-01-01", "ndarray"], ["2026-01-02", "list"]]
    text, version = stored.read(stored.module("life")), stored.read(stored.module("version"))
    changed = text.replace("trace : <blob>", "trace : json").replace(
        "photo = null : <attach@main>", "photo = null : <blob>"
    )
    stored.write(stored.module("life"), changed)
    ok(stored, "revise", "-m", "readable")
    ok(stored, "migrate")
    edit = (
        "from my_pipeline import life\nlife.Animal.insert1((3, 'Cy', None))\n"
        "life.Scan.insert1(dict(animal_id=3, day='2026-01-03', trace=[3]))\n"
        "life.Scan.update1(dict(animal_id=2, day='2026-01-02', trace=[4, 5]))"
    )
    done = stored.python("-c", edit)
    assert done.code == 0, done.err
    ok(stored, "rollback", "life", "--to", "1.0.0")
    stored.write(stored.module("life"), text)
    stored.write(stored.module("version"), version)
    assert json.loads(stored.python("-c", exact).out) == [*before, ["2026-01-03", "list"]]
    animals, scans = shown(stored)
    assert animals == [*VALUES[0], [3, "Cy", None]]
    assert scans[0] == VALUES[1][0] and [scan[2] for scan in scans[1:]] == [[4, 5], [3]]


def test_rows_are_found_whatever_their_keys_are(stored: Project) -> None:
    """DataJoint finds neither backslashes in a key on PostgreSQL, nor floats of four bytes on either server."""
    life = stored.module("life")
    stored.write(life, stored.read(life) + NOTE)
    ok(stored, "revise", "-m", "notes")
    ok(stored, "migrate")
    keys = ["a", "\\", "c\\d", "q'", "%s", "\\'", '"', "Mäuse"]
    put = f"from my_pipeline import life\nlife.Note.insert([(key, 0.1, [key]) for key in {keys!r}])"
    done = stored.python("-c", put)
    assert done.code == 0, done.err
    get = (
        "from my_pipeline import life; import json\n"
        "print(json.dumps(sorted([row['note'], row['words']] for row in life.Note.to_dicts())))"
    )
    values = json.loads(stored.python("-c", get).out)
    assert values == sorted([key, [key]] for key in keys)
    for type_ in ("<blob@main>", "json"):
        retype(stored, words=type_)
        ok(stored, "revise", "-m", "elsewhere")
        ok(stored, "migrate")
        assert json.loads(stored.python("-c", get).out) == values
    stored.write(life, stored.read(life).replace("words = null : json", "words = null : <blob>"))
    version = stored.read(stored.module("version"))
    ok(stored, "rollback", "life", "--to", "1.1.0")
    stored.write(stored.module("version"), re.sub(r'"life": "[\d.]+"', '"life": "1.1.0"', version))
    assert json.loads(stored.python("-c", get).out) == values


def test_what_another_codec_cannot_hold_stops_it_before_the_first_step(stored: Project) -> None:
    retype(stored, trace="<npy@main>")  # which has a list
    ok(stored, "revise", "-m", "arrays")
    refused = ok(stored, "migrate", code=7)
    assert "life.Scan has 1 value of trace that <npy@main> cannot hold (<npy> requires" in refused.err
    assert states(stored)["life"] == ("behind", "1.0.0")


def test_a_store_that_is_not_there_is_told_before_the_first_step(stored: Project) -> None:
    place = Path(json.loads(stored.read("datajoint.json"))["stores"]["other"]["location"])
    place.rmdir()
    retype(stored, trace="<blob@other>")
    ok(stored, "revise", "-m", "elsewhere")
    for command in (("migrate", "--dry-run"), ("migrate",)):
        refused = ok(stored, *command, code=1)
        assert "The store other cannot be used." in refused.err and f"Make the folder {place}" in refused.err
    assert states(stored)["life"] == ("behind", "1.0.0")
    problems = {p["what"]: p["do"] for p in stored.run("doctor", "--json").json["problems"]}
    assert f"Make the folder {place}" in problems["The store other cannot be used."]
    place.mkdir()
    ok(stored, "migrate")
    assert shown(stored) == VALUES


def test_objects_are_found_whatever_is_renamed_or_moved(stored: Project) -> None:
    life = stored.module("life")
    text = stored.read(life)
    for before, after in {"animal_id : int32": "animal : int64", "class Scan": "class Recording"}.items():
        text = text.replace(before, after)
    stored.write(life, text.replace("day : date", "moment : datetime").replace("frames =", "images ="))
    renames = ("Animal.animal_id=animal", "Scan.day=moment", "Scan.frames=images")
    answers = [word for name in renames for word in ("--rename", name)]
    ok(stored, "revise", "-m", "names", "--rename-table", "Scan=Recording", *answers)
    ok(stored, "migrate")
    animals, scans = VALUES
    scans = [[row[0], f"{row[1]} 00:00:00", *row[2:]] for row in scans]
    assert shown(stored, "life.Animal", "life.Recording") == [animals, scans]
    head, _, recording = stored.read(life).partition("\n\n@schema\nclass Recording")
    stored.write(life, head)
    moved = f"\n\n@schema\nclass Recording{recording.replace('-> Animal', '-> life.Animal')}"
    begin = LIFE.partition("\n\n@schema")[0].replace("import open", "import life, open").replace('"life"', '"work"')
    stored.write(stored.module("work"), begin + moved)
    version = stored.read(stored.module("version"))
    stored.write(stored.module("version"), version.replace("}", ', "work": "1.0.0"}'))
    ok(stored, "revise", "-m", "move", "--rename-table", "life.Recording=work.Recording")
    assert objects(stored) == [
        "Objects of Recording stay with life: collect garbage of both schemas at once, or never."
    ]
    ok(stored, "migrate")
    assert shown(stored, "life.Animal", "work.Recording") == [animals, scans]
    collected = stored.python("-c", COLLECT)
    assert collected.code == 0, collected.err
    assert shown(stored, "life.Animal", "work.Recording") == [animals, scans]


#: What docs/migrations.md says of a table that moved.
COLLECT = """
import datajoint as dj
from my_pipeline import life, work
print(dj.gc.GarbageCollector(life.schema, work.schema, store="main").collect(dry_run=False))
"""


def test_what_is_dropped_is_told_to_be_garbage(stored: Project) -> None:
    text = stored.read(stored.module("life"))
    stored.write(stored.module("life"), text.replace("    frames = null : <npy@main>\n", ""))
    ok(stored, "revise", "-m", "fewer", "--drop", "Scan.frames")
    assert objects(stored) == [
        "Objects of Scan.frames are garbage to DataJoint: collect no garbage before purge, as rollback needs them."
    ]
    path = "src/my_pipeline/migrations/life/2.0.0_fewer.py"
    stored.write(path, f'{stored.read(path)}\nsilence = {{"objects": "nobody collects garbage here"}}\n')
    assert objects(stored) == []
    ok(stored, "migrate")
    ok(stored, "rollback", "life", "--to", "1.0.0")
    stored.write(stored.module("life"), text)
    version = stored.read(stored.module("version"))
    stored.write(stored.module("version"), re.sub(r'"life": "[\d.]+"', '"life": "1.0.0"', version))
    assert shown(stored) == VALUES
