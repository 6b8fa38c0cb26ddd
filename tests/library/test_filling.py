"""What existing rows get, and what they refer to, when keys and codecs change: on both backends, by the command line."""

from __future__ import annotations

import re
from typing import Any

import pytest
from conftest import Project, Server
from living import in_words, is_sentence, ok, rows, states
from test_migrate import living as living

LIFE, WORK = "life", "work"


def migrated(project: Project, message: str, *answers: str, code: int = 0) -> Any:
    """Revise and migrate; what `migrate` says."""
    ok(project, "revise", "-m", message, *answers)
    return ok(project, "migrate", code=code)


def after_class(project: Project, module: str, name: str, *lines: str) -> None:
    """Add a class in front of another one."""
    text = "".join(f"{line}\n" for line in lines)
    project.replace(project.module(module), f"@schema\nclass {name}(", f"{text}\n\n@schema\nclass {name}(")


def test_a_new_parent_gets_the_rows_that_are_referred_to(living: Project) -> None:
    after_class(
        living, LIFE, "Animal", "@schema", "class Cage(dj.Manual):", '    definition = """', "    cage : varchar(8)",
        "    ---", "    room : varchar(8)", '    """',
    )  # fmt: skip
    living.replace(living.module(LIFE), '    colour = "grey"', '    -> Cage\n    colour = "grey"')
    asked = ok(living, "revise", "-m", "cages", "--json").json["questions"]
    assert {(q["table"], q["subject"]) for q in asked} == {("life.Animal", "cage"), ("life.Cage", "room")}
    assert "still to be decided" in ok(living, "migrate", code=1).err
    path = "src/my_pipeline/migrations/life/1.1.0_cages.py"
    text = living.read(path).replace("fill=ASK", 'fill="A1"').replace('"room": ASK', '"room": "cellar"')
    living.write(path, text)
    shown = ok(living, "migrate", "--dry-run", "--json", code=3).json["groups"][0]["losses"]
    assert [(loss["kind"], loss["count"]) for loss in shown] == [("missing", 2)]
    ok(living, "migrate")
    assert rows(living, "life.Cage.to_dicts()") == [{"cage": "A1", "room": "cellar"}]
    assert rows(living, "len(life.Animal * life.Cage)") == 2


#: Rows of which those in room 20 and in room 22 do not agree.
ROOMS = """
from my_pipeline import work
rooms = [(20, "twenty"), (20, "zwanzig"), (21, "x"), (21, "x"), (22, "Y"), (22, "y"), (23, None), (23, "z"), (24, None)]
work.Task.insert(dict(animal_id=1, task=str(n), room=r, room_name=name) for n, (r, name) in enumerate(rooms))
"""


def test_rows_that_would_be_merged_though_they_differ_are_refused(living: Project) -> None:
    path = living.module(WORK)
    columns = "    room = null : int32\n    room_name = null : varchar(16)\n"
    living.replace(path, "    note = null", f"{columns}    note = null")
    migrated(living, "rooms")
    filled = living.python("-c", ROOMS)
    assert filled.code == 0, filled.err
    after_class(
        living, WORK, "Task", "@schema", "class Room(dj.Manual):", '    definition = """', "    room : int32", "    ---",
        "    room_name = null : varchar(16)", '    """',
    )  # fmt: skip
    living.replace(path, f"{columns}    note", "    -> [nullable] Room\n    note")
    ok(living, "revise", "-m", "split")
    shown = ok(living, "migrate", "--dry-run", "--json", code=7).json["groups"][0]["losses"]
    assert [loss["count"] for loss in shown if loss["kind"] == "merge"] == [3], shown
    refused = ok(living, "migrate", code=7).err
    assert "3 values of (room) whose rows have different values of room_name" in refused
    assert re.search(r"\('20'\), 'twenty' and 'zwanzig'|\('22'\), 'Y' and 'y'|\('23'\), 'z' and nothing", refused), (
        refused
    )
    assert "--allow-data-loss" not in refused and "missing={...}" in refused
    assert ok(living, "migrate", "--allow-data-loss", code=7).err == refused
    assert states(living)[WORK] == ("behind", "1.1.0")
    # The way out that the sentence names.
    file = next((living.folder / "src/my_pipeline/migrations/work").glob("*_split.py")).relative_to(living.folder)
    living.write(str(file), living.read(str(file)).replace("missing={}", 'missing={"room_name": "unknown"}'))
    ok(living, "migrate")
    assert rows(living, "[[r['room'], r['room_name']] for r in work.Room.to_dicts(order_by='room')]") == [
        [room, "unknown"] for room in (20, 21, 22, 23, 24)
    ]


#: Rows of rigs that are not there yet, each with a place and a name of its own.
RIGS = """
from my_pipeline import work
work.Task.insert(dict(animal_id=1, task=t, rig=r, room=p, called=c) for t, r, p, c in [
    ("a", "A", "attic", "one"), ("b", "A", "attic", "one"), ("c", "B", "cellar", "two")])
"""


def test_inserted_rows_take_what_the_rows_have_that_need_them(living: Project) -> None:
    """Under the same name or another one, whether it stays there or goes; and rows that do not agree are counted."""
    path = living.module(WORK)
    columns = "    rig = null : varchar(8)\n    room = null : varchar(8)\n    called = null : varchar(8)\n"
    living.replace(path, "    note = null", f"{columns}    note = null")
    after_class(
        living, WORK, "Task", "@schema", "class Rig(dj.Manual):", '    definition = """', "    rig : varchar(8)", "    ---",
        "    room : varchar(8)", "    name : varchar(8)", "    floor = 1 : int8", '    """',
    )  # fmt: skip
    migrated(living, "rigs")
    filled = living.python("-c", RIGS)
    assert filled.code == 0, filled.err
    living.replace(path, columns, "    -> [nullable] Rig\n    room = null : varchar(8)\n")
    taken = ("--insert", "Rig", "--fill", "Rig.room=from(Task.room)")
    for wrong, why in (("work.Task.ghost", "no attribute of that name"), ("life.Weight.day", "a value of the row of")):
        refused = ok(living, "revise", "-m", "used", *taken, "--fill", f"Rig.name=from({wrong})", code=1).err
        assert in_words(refused) and why in refused, refused
    ok(living, "revise", "-m", "used", *taken, "--fill", "Rig.name=from(Task.called)")
    file = next((living.folder / "src/my_pipeline/migrations/work").glob("*_used.py"))
    assert 'missing={"room": From("Task", "room"), "name": From("Task", "called")}' in file.read_text()
    moved = "from my_pipeline import work\nwork.Task.update1(dict(animal_id=1, task='b', room='{}'))"
    done = living.python("-c", moved.format("nowhere"), MY_PIPELINE_UNGUARDED="1")
    assert done.code == 0, done.err
    shown = ok(living, "migrate", "--dry-run", "--json", code=7).json["groups"][0]["losses"]
    assert [(loss["count"], loss["attributes"]) for loss in shown if loss["kind"] == "merge"] == [(1, ["room"])], shown
    ok(living, "migrate", code=7)
    living.python("-c", moved.format("attic"), MY_PIPELINE_UNGUARDED="1")
    ok(living, "migrate")
    found = rows(living, "[list(r.values())[:4] for r in work.Rig.to_dicts(order_by='rig')]")
    assert found == [["A", "attic", "one", 1], ["B", "cellar", "two", 1]]
    ok(living, "check")
    assert states(living)[WORK][0] == "current"


#: Rows of rooms 20 and 21 that MySQL writes alike and that differ; those of 22 are the same.
SIZES = """
from my_pipeline import work
rooms = [(20, 16777216, 1), (20, 16777218, 1), (21, 1, 0.1), (21, 1, 0.10000000000000002), (22, 0.1, 0.1), (22, 0.1, 0.1)]
work.Task.insert(dict(animal_id=1, task=str(n), room=r, size=s, width=w) for n, (r, s, w) in enumerate(rooms))
"""


def test_numbers_that_differ_in_their_last_digits_are_not_merged_either(living: Project) -> None:
    path, columns = (
        living.module(WORK),
        "    room = null : int32\n    size = null : float32\n    width = null : float64\n",
    )
    living.replace(path, "    note = null", f"{columns}    note = null")
    migrated(living, "rooms")
    filled = living.python("-c", SIZES)
    assert filled.code == 0, filled.err
    after_class(
        living, WORK, "Task", "@schema", "class Room(dj.Manual):", '    definition = """', "    room : int32", "    ---",
        "    size = null : float32", "    width = null : float64", '    """',
    )  # fmt: skip
    living.replace(path, f"{columns}    note", "    -> [nullable] Room\n    note")
    ok(living, "revise", "-m", "split")
    shown = ok(living, "migrate", "--dry-run", "--json", code=7).json["groups"][0]["losses"]
    merged = [(loss["count"], *loss["attributes"]) for loss in shown if loss["kind"] == "merge"]
    assert sorted(merged) == [(1, "size"), (1, "width")], shown
    ok(living, "migrate", code=7)


def test_a_new_lookup_has_its_contents_before_rows_refer_to_it(living: Project) -> None:
    after_class(
        living, LIFE, "Animal", "@schema", "class Species(dj.Lookup):", '    definition = """',
        "    species : varchar(16)", "    ---", "    legs : int8", '    """', '    contents = [("mouse", 4), ("fly", 6)]',
    )  # fmt: skip
    living.replace(living.module(LIFE), '    colour = "grey"', '    -> Species\n    colour = "grey"')
    migrated(living, "species", "--fill", "Animal.species=mouse", "--fill", "Species.legs=0")
    assert sorted(rows(living, "[(r['species'], r['legs']) for r in life.Species.to_dicts()]")) == [
        ["fly", 6],
        ["mouse", 4],
    ]


def test_a_key_that_grows_is_taken_from_the_parent_that_every_row_has(living: Project) -> None:
    living.replace(
        living.module(WORK),
        "    ---\n    note",
        '    ---\n    -> [nullable] life.Animal.proj(a_friend="animal_id")\n    note',
    )
    migrated(living, "friends")
    living.replace(
        living.module(LIFE),
        "    animal_id : int32  # its number\n",
        "    animal_id : int32  # its number\n    herd : int8\n",
    )
    migrated(living, "herds", "--fill", "Animal.herd=3")
    assert rows(living, "[[r['herd'], r['a_friend']] for r in work.Task.to_dicts()]") == [[3, None], [3, None]]


def test_what_leaves_a_table_for_a_new_parent_is_taken_along(living: Project) -> None:
    after_class(
        living, WORK, "Score", "@schema", "class Kind(dj.Manual):", '    definition = """', "    -> Task", "    ---",
        "    note = null : varchar(64)", '    """',
    )  # fmt: skip
    living.replace(living.module(WORK), "    -> Task\n    ---\n    score", "    -> Kind\n    ---\n    score")
    migrated(living, "kinds")
    assert rows(living, "len(work.Kind())") == 2
    assert rows(living, "[len(work.Score()), len(work.Score * work.Kind * work.Task.proj())]") == [2, 2]


def test_a_key_is_numbered_or_made_up(living: Project) -> None:
    living.replace(
        living.module(LIFE),
        "    -> Animal\n    day : date",
        "    weight_id : int32\n    ---\n    -> Animal\n    day : date",
    )
    living.replace(living.module(LIFE), "    ---\n    grams", "    tag : uuid\n    unique index (tag)\n    grams")
    refused = migrated(living, "ids", "--fill", "Weight.weight_id=1", "--fill", "Weight.tag=uuid()", code=1)
    assert "in common" in refused.err
    assert states(living)["life"] == ("behind", "1.0.0")
    version = living.folder / "src/my_pipeline/migrations/life"
    path = next(version.glob("*_ids.py"))
    text = re.sub(
        r"(datajoint_pipeline\.migration import \(?)",
        r"\1NUMBER, ",
        path.read_text().replace('fill="1"', "fill=NUMBER"),
    )
    path.write_text(text)
    ok(living, "migrate")
    assert rows(living, "sorted(r['weight_id'] for r in life.Weight.proj().to_dicts())") == [1, 2, 3]
    assert rows(living, "sorted(r['grams'] for r in life.Weight.proj('grams').to_dicts())") == [19.0, 20.5, 21.0]


def test_values_are_taken_along_a_key_that_goes(living: Project) -> None:
    living.replace(living.module(LIFE), "    name : varchar(32)", "    tag : int32\n    name : varchar(32)")
    colour = "    colour : enum('grey', 'white')\n"  # which is another type in another schema
    living.replace(living.module(WORK), "    note = null : varchar(64)", f"{colour}    note = null : varchar(64)")
    taken = ("--fill", "work.Task.colour=from(life.Animal.colour)")
    migrated(living, "tags", "--fill", "Animal.tag=number()", *taken)
    assert sorted(rows(living, "[(r['task'], r['colour']) for r in work.Task.to_dicts()]")) == [
        ["run", "grey"],
        ["swim", "white"],
    ]
    living.replace(living.module(WORK), "    -> life.Animal\n    task", "    tag : int32\n    task")
    for place in ("life.Weight.grams", "life.Animal.day"):  # what migrate would refuse, revise does not write
        wrong = ("--fill", f"work.Task.tag=from({place})", "--drop", "work.Task.animal_id")
        refused = ok(living, "revise", "-m", "by tag", *wrong, code=1)
        assert "cannot get tag from another table" in refused.err and "--fill" in refused.err, refused.err
    assert not list((living.folder / "src/my_pipeline/migrations/work").glob("*by_tag*"))
    migrated(living, "by tag", "--fill", "work.Task.tag=from(life.Animal.tag)", "--drop", "work.Task.animal_id")
    assert sorted(rows(living, "[(r['tag'], r['task']) for r in work.Task.to_dicts()]")) == [[1, "run"], [2, "swim"]]
    assert sorted(rows(living, "[(r['tag'], r['score']) for r in work.Score.to_dicts()]")) == [[1, 3], [2, 4]]
    # Rows that a migration puts in are there for the next one, before either of them has run.
    after_class(
        living,
        LIFE,
        "Animal",
        "@schema",
        "class Room(dj.Manual):",
        '    definition = """',
        "    room : int32",
        '    """',
    )
    ok(living, "revise", "-m", "rooms")
    path = next((living.folder / "src/my_pipeline/migrations/life").glob("*_rooms.py"))
    text = path.read_text().replace("import ", "import InsertRows, ", 1).rstrip().removesuffix("]")
    path.write_text(text + '    InsertRows("Room", [{"room": 7}]),\n]\n')
    living.replace(living.module(LIFE), "    name : varchar(32)", "    -> Room\n    name : varchar(32)")
    migrated(living, "in rooms", "--fill", "Animal.room=7")
    assert "missing" not in next((living.folder / "src/my_pipeline/migrations/life").glob("*_in_rooms.py")).read_text()
    assert rows(living, "[r['room'] for r in life.Animal.to_dicts()]") == [7, 7]


def test_a_replaced_key_takes_the_tables_below_along_without_a_question(living: Project) -> None:
    living.replace(living.module(LIFE), "    animal_id : int32  # its number", "    tag : varchar(8)")
    found = ok(living, "revise", "-m", "tags", "--json", "--drop", "Animal.animal_id").json["questions"]
    assert [(q["kind"], q["table"], q["subject"]) for q in found] == [("fill", "life.Animal", "tag")]
    path = next((living.folder / "src/my_pipeline/migrations/life").glob("*_tags.py"))
    text = path.read_text().replace(
        "fill=ASK", "fill=Sql(mysql=\"CONCAT('a', animal_id)\", postgresql=\"'a' || animal_id\")"
    )
    path.write_text(text.replace("    ASK,\n", "    Sql,\n"))
    ok(living, "migrate")
    assert rows(living, "sorted(r['tag'] for r in work.Score.to_dicts())") == ["a1", "a2"]
    assert rows(living, "len(life.Animal * life.Weight)") == 3


def said(answer: Any) -> str:
    """The third line of a refusal, which says what to do."""
    assert in_words(answer.err), answer.err
    return str(answer.err.strip().splitlines()[-1].strip())


def test_a_refusal_of_a_fill_names_what_would_answer(living: Project) -> None:
    """For each kind of fill, and each of them that is named is taken."""
    living.replace(living.module(LIFE), "    animal_id : int32  # its number", "    tag : uuid")
    gone, made = ("--drop", "life.Animal.animal_id"), ("--fill", "life.Animal.tag=uuid()")
    for wrong in ("parent()", "from(work.Task.note)"):
        refused = ok(living, "revise", "-m", "tags", *gone, *made, "--fill", f"life.Weight.tag={wrong}", code=1)
        assert "--fill life.Weight.tag=from(life.Animal.tag) or --fill life.Weight.tag=VALUE" in said(refused), wrong
        assert 'fill=From("life.Animal", "tag")' in said(refused) and "number()" not in said(refused)
    wrong_type = ok(living, "revise", "-m", "tags", *gone, "--fill", "life.Animal.tag=number()", code=2)
    assert "from(Table.attribute), parent(), number() or uuid()" in said(wrong_type)
    ok(living, "revise", "-m", "tags", *gone, *made, "--fill", "life.Weight.tag=from(life.Animal.tag)")
    (path,) = living.folder.glob("src/*/migrations/life/*_tags.py")
    text = path.read_text()
    for old, new, named in (
        ("fill=UUID", "fill=NUMBER", "--fill life.Animal.tag=uuid() or --fill life.Animal.tag=VALUE"),
        ("fill=UUID", "fill=PARENT", "--fill life.Animal.tag=uuid() or --fill life.Animal.tag=VALUE"),
        ("fill=UUID", 'fill="x"', "--fill life.Animal.tag=uuid() or --fill life.Animal.tag=VALUE"),
        ('fill=From("Animal", "tag")', "fill=PARENT", "--fill life.Weight.tag=from(life.Animal.tag) or "),
        ("fill=UUID", "fill=ASK", "Write it in the place of ASK: a value, From("),
        ("fill=UUID", "fill=ASK", "revise --again with --fill."),
    ):
        assert old in text, text
        path.write_text(
            text.replace(old, new, 1).replace("import (", "import (\n    ASK,\n    NUMBER,\n    PARENT,", 1)
        )
        assert named in said(living.run("migrate")), (new, said(living.run("migrate")))
    path.write_text(text)
    ok(living, "migrate")
    assert rows(living, "[len(life.Animal * life.Weight), len(life.Animal * work.Task * work.Score)]") == [3, 2]


def test_a_refusal_of_rows_names_the_options_that_answer(living: Project) -> None:
    """A draft and a migration alike: --fill for a value, --insert for a row that is missing, number() for one each."""
    after_class(
        living, WORK, "Task", "@schema", "class Rig(dj.Manual):", '    definition = """', "    rig : varchar(8)", "    ---",
        "    note : varchar(64)", '    """',
    )  # fmt: skip
    migrated(living, "rigs")
    living.replace(
        living.module(WORK), "    note = null : varchar(64)\n", "    -> Rig\n    note = null : varchar(64)\n"
    )
    draft = ok(living, "migrate", "--draft", code=1)
    assert "--fill work.Task.rig=VALUE, with --insert work.Rig where it has no such row." in said(draft), draft.err
    ok(living, "revise", "-m", "on rigs", "--fill", "work.Task.rig=A")
    refused = ok(living, "migrate", code=1)
    assert "is in no row of work.Rig" in refused.err and "revise --again --insert" in said(refused), refused.err
    wrong = ("--fill", "work.Task.rig=A", "--insert", "Rig", "--fill", "Rig.note=from(Task.task)")
    refused = ok(living, "revise", "--again", *wrong, code=1)
    assert "--fill work.Rig.note=from(work.Task.note) or --fill work.Rig.note=VALUE" in said(refused), refused.err
    living.replace(living.module(WORK), "    -> Rig\n", "    -> Rig\n    number : int32\n    unique index (number)\n")
    ok(living, "revise", "--again", *wrong[:-1], "Rig.note=new", "--fill", "work.Task.number=1")
    refused = ok(living, "migrate", code=1)
    assert "NUMBER or UUID" in said(refused), refused.err
    ok(living, "revise", "--again", *wrong[:-1], "Rig.note=new", "--fill", "work.Task.number=number()")
    ok(living, "migrate")
    assert rows(living, "sorted(r['number'] for r in (work.Task * work.Rig.proj()).to_dicts())") == [1, 2]


def test_a_value_of_another_type_is_taken_where_every_row_has_room_for_it(living: Project) -> None:
    """What never fits is refused at once, and what does not fit is counted before the first step."""
    living.replace(living.module(LIFE), "    colour", "    mark = null : varchar(8)\n    colour")
    migrated(living, "marks")
    note = "    note = null : varchar(64)\n"

    def tried(line: str, source: str) -> Any:
        """Revise with a new attribute in front of the note, or in the place of it; what was said if it is refused."""
        new = line if line.startswith("    note") else line + note
        living.replace(living.module(WORK), note, new)
        name = line.split()[0]
        answer = living.run("revise", "-m", name, "--fill", f"work.Task.{name}=from(life.Animal.{source})")
        if not answer.code:
            shown = living.run("migrate", "--dry-run").code
            found = living.run("migrate")
            assert shown == (found.code or 3)
            if not found.code:
                return rows(living, f"[r['{name}'] for r in work.Task.to_dicts(order_by='animal_id')]")
            ok(living, "revise", "--undo")
            answer = found
        living.replace(living.module(WORK), new, note)
        assert in_words(answer.err) and states(living)[WORK][0] == "current", answer.err
        return answer.err

    for type_ in ("int32", "uuid", "date", "json", "bool"):
        assert "life.Animal.name is of the type varchar(32)" in tried(f"    thing : {type_}\n", "name"), type_
    assert "2 values of name to be taken from life.Animal that are longer than 2" in tried(
        "    few : varchar(2)\n", "name"
    )
    for line in ("    thing : varchar(9)\n", "    note : varchar(64)\n"):
        assert "for which life.Animal has not exactly one mark" in tried(line, "mark")
    assert tried("    short : int8\n", "animal_id") == [1, 2]
    assert tried("    word : varchar(16)\n", "colour") == ["grey", "white"]
    assert tried("    note : varchar(64)\n", "colour") == ["well", "white"]


def test_codecs_change_and_values_stay(living: Project) -> None:
    living.replace(living.module(WORK), "    note = null : varchar(64)", "    note = null : <blob>")
    migrated(living, "notes")
    notes = "[r['note'] for r in work.Task.to_dicts(order_by='task')]"
    assert rows(living, notes) == ["well", None]
    assert rows(living, "work.Task.update1(dict(animal_id=1, task='run', note=[1, {'a': 2}]))") is None
    living.replace(living.module(WORK), "    note = null : <blob>", "    note = null : json")
    migrated(living, "documents")
    assert rows(living, notes) == [[1, {"a": 2}], None]
    ok(living, "rollback", "work", "--to", "2.0.0")
    living.replace(living.module(WORK), "    note = null : json", "    note = null : <blob>")
    living.replace(living.module("version"), "\"work\": '3.0.0'", "\"work\": '2.0.0'")
    assert rows(living, notes) == [[1, {"a": 2}], None]


def test_values_that_another_codec_cannot_hold_are_counted_before(living: Project) -> None:
    living.replace(living.module(WORK), "    note = null : varchar(64)", "    note = null : <blob>")
    migrated(living, "notes")
    living.replace(living.module(WORK), "    note = null : <blob>", "    note = null : bytes")
    refused = migrated(living, "raw", code=7)
    assert (
        "work.Task has 1 value of note that bytes cannot hold" in refused.err and "nothing was changed" in refused.err
    )
    assert states(living)["work"] == ("behind", "2.0.0")


def test_a_text_that_became_a_blob_goes_back(living: Project) -> None:
    living.replace(living.module(WORK), "    note = null : varchar(64)", "    note = null : <blob>")
    migrated(living, "notes")
    ok(living, "rollback", "work", "--to", "1.0.0")
    living.replace(living.module(WORK), "    note = null : <blob>", "    note = null : varchar(64)")
    living.replace(living.module("version"), "\"work\": '2.0.0'", "\"work\": '1.0.0'")
    assert rows(living, "[r['note'] for r in work.Task.to_dicts(order_by='task')]") == ["well", None]


def test_a_blob_is_filled_in_json(living: Project) -> None:
    living.replace(living.module(LIFE), "    grams : float64", "    trace : <blob>\n    grams : float64")
    migrated(living, "traces", "--fill", "Weight.trace=[1, 2]")
    assert rows(living, "[list(r['trace']) for r in life.Weight.to_dicts()]") == [[1, 2]] * 3


def test_a_table_moves_into_a_new_schema(living: Project) -> None:
    text = living.read(living.module(WORK))
    task = text[text.index("@schema\nclass Task") : text.index("@schema\nclass Score")]
    living.write(
        living.module("play"), text.partition("schema = ")[0] + f'schema = open_schema("play")\n\n\n{task.strip()}\n'
    )
    text = text.replace(task, "").replace("-> Task", "-> play.Task").replace("import life,", "import life, play,")
    living.write(
        living.module(WORK), text.replace("from . import life, play, open_schema", "from . import open_schema, play")
    )
    living.replace(living.module("version"), '"work":', '"play": "1.0.0",\n    "work":')
    ok(living, "revise", "-m", "plays", "--rename-table", "work.Task=play.Task")
    assert "play.Task" in ok(living, "migrate", "--dry-run", code=3).out
    ok(living, "migrate")
    assert {name: state for name, (state, _) in states(living).items()} == dict.fromkeys(
        ("life", "play", "work"), "current"
    )
    found = living.python("-c", "from my_pipeline import play, work\nprint(len(play.Task * work.Score))")
    assert found.out.strip().endswith("2"), found.err


@pytest.mark.both_servers
def test_a_nullable_reference_leads_to_the_same_row_when_the_key_grows(living: Project, server: Server) -> None:
    """Of one that is null nothing changes."""
    tables = """

@schema
class Rig(dj.Manual):
    definition = "rig : int32"


@schema
class Shelf(dj.Manual):
    definition = \"\"\"
    shelf : int32
    ---
    -> [nullable] Rig
    -> [unique, nullable] Rig.proj(other="rig")
    \"\"\"
"""
    living.write(living.module("life"), living.read(living.module("life")) + tables)
    migrated(living, "shelves")
    server.execute(
        "INSERT INTO dev_life.rig (rig) VALUES (1), (2)",
        "INSERT INTO dev_life.shelf (shelf, rig, other) VALUES (1, 1, NULL), (2, 2, 1), (3, NULL, 2)",
    )
    grown = 'definition = """\n    rig : int32\n    lab = 7 : int32\n    """'
    living.replace(living.module("life"), 'definition = "rig : int32"', grown)
    living.replace(living.module("life"), 'Rig.proj(other="rig")', 'Rig.proj(other="rig", other_lab="lab")')
    ok(living, "revise", "-m", "labs")
    (path,) = (living.folder / "src/my_pipeline/migrations/life").glob("*_labs.py")
    text = path.read_text()
    assert text.count("fill=PARENT") == 2, text
    path.write_text(text.replace(", fill=PARENT", ""))  # as releases before wrote it
    told = " ".join(ok(living, "migrate", "--dry-run", code=3).out.split())
    assert "2 rows whose reference (rig, lab) leads nowhere: lab is null" in told, told
    path.write_text(text)
    assert "leads nowhere" not in ok(living, "migrate", "--dry-run", code=3).out
    ok(living, "migrate")
    found = server.execute("SELECT shelf, rig, lab, other, other_lab FROM dev_life.shelf ORDER BY shelf")
    assert found == [(1, 1, 7, None, None), (2, 2, 7, 1, 7), (3, None, None, 2, 7)]


@pytest.mark.both_servers
def test_a_fill_refers_to_a_row_that_the_same_migration_puts_in(living: Project, server: Server) -> None:
    """The reference was there and stays: it becomes required."""
    roles = '''

@schema
class Role(dj.Lookup):
    definition = "role : varchar(8)"
    contents = [("owner",)]


@schema
class Person(dj.Manual):
    definition = """
    person : int32
    ---
    -> [nullable] Role
    """
'''
    life = living.module("life")
    living.write(life, living.read(life) + roles)
    migrated(living, "persons")
    role = "`#role`" if server.backend == "mysql" else '"#role"'
    server.execute(
        f"INSERT INTO dev_life.{role} VALUES ('owner')",
        "INSERT INTO dev_life.person (person, role) VALUES (1, 'owner'), (2, NULL)",
    )
    living.replace(life, "-> [nullable] Role", "-> Role")
    ok(living, "revise", "-m", "roles", "--fill", "Person.role=nobody")
    refused = ok(living, "migrate", code=1)
    is_sentence(refused)
    said = " ".join(refused.err.split())
    assert "in no row of life.Role" in said and "InsertRows" in said and "--insert" not in said, said
    assert "missing=" not in said
    (path,) = (living.folder / "src/my_pipeline/migrations/life").glob("*_roles.py")
    text = path.read_text().replace("import ", "import InsertRows, ", 1)
    path.write_text(text.replace("operations = [\n", 'operations = [\n    InsertRows("Role", [{"role": "nobody"}]),\n'))
    ok(living, "migrate", "--dry-run", code=3)
    ok(living, "migrate")
    assert server.execute("SELECT role FROM dev_life.person ORDER BY 1") == [("nobody",), ("owner",)]
    server.execute("INSERT INTO dev_life.person (person, role) VALUES (3, 'owner')")
    ok(living, "rollback", "life", "--to", "1.1.0")
    ok(living, "migrate")


@pytest.mark.parametrize("server", ["mysql"], indirect=True)
def test_a_table_whose_name_leaves_no_room_for_another(living: Project, server: Server) -> None:
    """It is hidden for an instant by a name that those of its foreign keys begin with, too."""
    title = "W" + "e" * 56
    life = living.module("life")
    living.replace(life, "class Weight(", f"class {title}(")
    ok(living, "revise", "-m", "long", "--rename-table", f"Weight={title}")
    ok(living, "migrate")
    living.replace(life, "    grams : float64", "    name : varchar(32)\n    grams : float64")
    ok(living, "revise", "-m", "names", "--fill", f"{title}.name=from(Animal.name)")
    ok(living, "migrate")
    assert {name for (name,) in server.execute(f"SELECT name FROM dev_life.{title.lower()}")} <= {"Ada", "Bob"}
    assert states(living)["life"][0] == "current"
