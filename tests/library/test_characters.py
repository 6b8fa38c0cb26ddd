"""What the texts of a table of MySQL cannot have, in old databases in latin1 or utf8mb3, stops it before the first step."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from conftest import Project, Server
from living import is_sentence, lay, ok, put_back, states
from living import living as made

#: Character sets, each with a character that it lacks.
SETS = {"latin1": "日", "utf8mb3": "🐭", "gbk": "ž"}


def write_in(server: Server, name: str, *databases: str) -> None:
    """Give databases, and the lab's tables in them, a character set."""
    for database in databases:
        tables = [table for (table,) in server.execute(f"SHOW TABLES FROM {database}") if not table.startswith("~")]
        server.execute(
            "SET foreign_key_checks = 0",
            f"ALTER DATABASE {database} CHARACTER SET {name}",
            *(f"ALTER TABLE {database}.`{table}` CONVERT TO CHARACTER SET {name}" for table in tables),
        )


@pytest.fixture
def living(project: Project, mysql: Server) -> Iterator[Project]:
    with made(mysql, project) as own:
        yield own


def refused(living: Project, *words: str, code: int = 1) -> None:
    """The dry run and the migration say so, and nothing has changed."""
    before = states(living)
    dry = living.run("migrate", "--dry-run")
    found = ok(living, "migrate", code=code)
    is_sentence(found)
    assert dry.code == code
    for word in words:
        assert word in " ".join(found.err.split()), found.err
        assert word in " ".join((dry.out + dry.err).split()), dry.out + dry.err
    assert states(living) == before
    assert "interrupted" not in str(before)


COLOUR, NOTE, GRAMS = "enum('grey', 'white')", "    note = null : varchar(64)\n", "    grams : float64"
SHELF = '\n\n@schema\nclass Shelf(dj.Manual):\n    definition = """\n    shelf : int32\n    ---\n    {}\n    """\n'

#: Of a module, what becomes what, with the answers; the attribute.
CHANGES = [
    ("life", COLOUR, "enum('grey', 'white', '日')", (), "colour of life.Animal"),
    ("life", GRAMS, f"    kind = null : enum('a', '日')\n{GRAMS}", (), "kind of life.Weight"),
    ("life", GRAMS, f'    word = "日" : varchar(9)\n{GRAMS}', (), "word of life.Weight"),
    ("life", "", SHELF.format("kind : enum('a', '日')"), (), "kind of life.Shelf"),
    ("work", NOTE, NOTE.replace("null", '"日"'), ("--fill", "Task.note=x"), "note of work.Task"),
    ("work", NOTE, NOTE.replace(" = null", ""), ("--fill", "Task.note=日"), "note of work.Task"),
    ("work", NOTE, f"    word : varchar(9)\n{NOTE}", ("--fill", "Task.word=日"), "word of work.Task"),
]


def test_what_a_table_cannot_have_is_refused_in_definitions_and_fills(living: Project, mysql: Server) -> None:
    """And what it can have is taken: latin1 is more on MySQL than elsewhere."""
    write_in(mysql, "latin1", "dev_life", "dev_work")
    for module, old, new, answers, where in CHANGES:
        with put_back(living.folder / "src"):
            text = living.read(living.module(module))
            living.write(living.module(module), text.replace(old, new) if old else text + new)
            ok(living, "revise", "-m", "another", *answers)
            refused(living, f"{where} cannot have the value '日'", "are in latin1, which does not have 日;")
    living.replace(living.module("life"), COLOUR, "enum('grey', 'white', 'ž€é')")
    living.replace(living.module("work"), NOTE, f'{NOTE}    more = "ž" : varchar(9)\n    word : varchar(9)\n')
    ok(living, "revise", "-m", "another", "--fill", "Task.word=œuf")
    ok(living, "migrate")
    assert mysql.execute("SELECT DISTINCT more, word FROM dev_work.task") == [("ž", "œuf")]
    assert states(living)["life"][0] == states(living)["work"][0] == "current"


def test_characters_of_four_bytes_in_utf8mb3(living: Project, mysql: Server) -> None:
    """In a fill, and in a row that is put in."""
    write_in(mysql, "utf8mb3", "dev_life", "dev_work")
    living.replace(living.module("work"), NOTE, NOTE.replace(" = null", ""))
    with put_back(living.folder / "src"):
        ok(living, "revise", "-m", "notes", "--fill", "Task.note=🐭")
        refused(living, "note of work.Task cannot have the value '🐭'", "utf8mb3")
    ok(living, "revise", "-m", "notes", "--fill", "Task.note=x")
    (file,) = (living.folder / "src/my_pipeline/migrations/work").glob("*notes.py")
    row = '{"animal_id": 1, "task": "🐭", "note": ""}'
    text = file.read_text().replace("import ", "import InsertRows, ", 1).rstrip().removesuffix("]")
    file.write_text(f'{text}    InsertRows("Task", [{row}]),\n]\n')
    refused(living, "task of work.Task cannot have the value '🐭'", "utf8mb3")


@pytest.fixture
def unmade(project: Project, mysql: Server) -> Iterator[Project]:
    """A project whose databases are there, in latin1, without a table."""
    project.environment |= {**mysql.variables, "MY_PIPELINE_ENV": "dev", "DJ_LOG_LEVEL": "ERROR"}
    lay(project)
    mysql.drop("dev_work", "dev_life")
    for database in ("dev_life", "dev_work"):
        mysql.execute(f"CREATE DATABASE {database} CHARACTER SET latin1")
    yield project
    mysql.drop("dev_work", "dev_life")


def test_init_makes_no_enum_with_question_marks(unmade: Project, mysql: Server) -> None:
    unmade.replace(unmade.module("life"), COLOUR, "enum('grey', 'ž', '日')")
    stopped = ok(unmade, "init", code=1)
    is_sentence(stopped)
    assert "colour of life.Animal cannot have the value '日'" in stopped.err and "latin1" in stopped.err
    assert "ALTER DATABASE `dev_life` CHARACTER SET utf8mb4" in stopped.err
    assert not mysql.execute("SHOW TABLES FROM dev_life")
    for database in ("dev_life", "dev_work"):
        mysql.execute(f"ALTER DATABASE {database} CHARACTER SET utf8mb4")
    ok(unmade, "init")
    assert states(unmade)["life"][0] == "current"


@pytest.mark.parametrize("name", SETS)
def test_values_that_become_texts_are_counted(living: Project, mysql: Server, name: str) -> None:
    """Those of a blob, which DataJoint reads, of JSON and of bytes, which the server does."""
    write_in(mysql, name, "dev_life", "dev_work")
    fields = ("b = null : {}", "j = null : {}", "r = null : {}")

    def fill(text: str) -> None:
        value = f"b={text!r}, j={text!r}, r={text!r}.encode()"
        done = living.python(
            "-c", f"from my_pipeline import work\nwork.Shelf.insert1(dict(shelf=1, {value}), replace=True)"
        )
        assert done.code == 0, done.err

    def shelf(*types: str) -> str:
        return SHELF.format("\n    ".join(field.format(type_) for field, type_ in zip(fields, types, strict=True)))

    work, types = living.module("work"), ["<blob>", "json", "bytes"]
    text = living.read(work)
    living.write(work, text + shelf(*types))
    ok(living, "revise", "-m", "shelves")
    ok(living, "migrate")
    fill(f"a {SETS[name]}")
    whole = f"has characters that {name}, in which its texts are, does not have"
    raw = whole if name == "utf8mb3" else f"is more than ASCII, which would be read as {name}"
    words = (f"varchar(30) cannot hold (The texts of that table do not have {SETS[name]})", whole, raw)
    for number, (column, said) in enumerate(zip("bjr", words, strict=True)):
        with put_back(living.folder / "src"):
            living.write(work, text + shelf(*("varchar(30)" if n == number else t for n, t in enumerate(types))))
            ok(living, "revise", "-m", "words")
            refused(living, f"1 value of {column} that {said}", code=7)
    fill("a")
    living.write(work, text + shelf(*["varchar(30)"] * 3))
    ok(living, "revise", "-m", "words")
    ok(living, "migrate")
    assert mysql.execute("SELECT b, j, r FROM dev_work.shelf") == [("a", '"a"', "a")]


def test_a_value_from_a_table_with_more_characters(living: Project, mysql: Server) -> None:
    write_in(mysql, "latin1", "dev_work")
    mysql.execute("UPDATE dev_life.animal SET name = '日' WHERE animal_id = 1")
    living.replace(living.module("work"), NOTE, f"{NOTE}    name : varchar(32)\n")
    ok(living, "revise", "-m", "names", "--fill", "Task.name=from(life.Animal.name)")
    refused(living, "1 value of name to be taken from life.Animal that has characters that latin1")
    mysql.execute("UPDATE dev_life.animal SET name = 'Ž' WHERE animal_id = 1")
    ok(living, "migrate")
    assert mysql.execute("SELECT name FROM dev_work.task ORDER BY animal_id") == [("Ž",), ("Bob",)]


#: Sets in which bytes have a meaning together: a character that each lacks, one that it has, and how many letters an
#: index takes.
TOGETHER = [("gbk", "ž", "日", 1536), ("sjis", "é", "日", 1536), ("ujis", "한", "日", 1024), ("euckr", "ž", "日", 1536)]


@pytest.mark.sampled
@pytest.mark.parametrize(("name", "lacks", "has", "most"), TOGETHER)
def test_sets_of_several_bytes(living: Project, mysql: Server, name: str, lacks: str, has: str, most: int) -> None:
    """What they lack, and how long texts in an index can be: neither is that of one byte, nor that of four."""
    write_in(mysql, name, "dev_life", "dev_work")
    work = living.module("work")
    wide = NOTE.replace("64", "{}") + "    index (note)\n"
    with put_back(living.folder / "src"):
        living.replace(work, NOTE, NOTE.replace(" = null", ""))
        ok(living, "revise", "-m", "notes", "--fill", f"Task.note={lacks}")
        refused(living, f"note of work.Task cannot have the value '{lacks}'", f"are in {name}, which does not have")
    with put_back(living.folder / "src"):
        living.replace(work, NOTE, wide.format(most + 1))
        ok(living, "revise", "-m", "longer")
        refused(living, "An index over (note) of work.Task takes up to")
    living.replace(work, NOTE, wide.format(most).replace(" = null", ""))
    living.replace(living.module("life"), COLOUR, f"enum('grey', 'white', '{has}')")
    ok(living, "revise", "-m", "longer", "--fill", f"Task.note={has}")
    ok(living, "migrate")
    assert (has,) in mysql.execute("SELECT note FROM dev_work.task")
    assert states(living)["life"][0] == states(living)["work"][0] == "current"


@pytest.mark.parametrize("name", ["latin1", "utf8mb3"])
def test_a_row_in_an_old_set_is_as_long_as_the_server_says(living: Project, mysql: Server, name: str) -> None:
    write_in(mysql, name, "dev_life", "dev_work")
    most = {"latin1": 65_000, "utf8mb3": 21_600}[name]
    with put_back(living.folder / "src"):
        living.replace(living.module("work"), NOTE, NOTE.replace("64", str(most + 700)))
        ok(living, "revise", "-m", "longer")
        refused(living, "A row of work.Task would take up to")
    living.replace(living.module("work"), NOTE, NOTE.replace("64", str(most)))
    ok(living, "revise", "-m", "longer")
    ok(living, "migrate")


LOOKUP = '''

@schema
class Kind(dj.Lookup):
    definition = """
    kind : varchar(9)
    ---
    words = null : json
    """
    contents = [("a", None), ("日", {"日": 1})]
'''


def test_contents_of_a_lookup_table(living: Project, mysql: Server) -> None:
    """DataJoint would fail to put them in, whenever the module is imported."""
    write_in(mysql, "latin1", "dev_life", "dev_work")
    life = living.module("life")
    living.write(life, living.read(life) + LOOKUP)
    words = "kind of life.Kind cannot have the value '日'", "contents of life.Kind"
    for arguments in (("migrate", "--draft", "--dry-run"), ("migrate", "--draft")):
        drafted = ok(living, *arguments, code=1)
        assert all(word in drafted.err for word in words), drafted.err
    ok(living, "revise", "-m", "kinds")
    refused(living, *words)
    living.replace(life, '("日", ', '("b", ')
    ok(living, "migrate")
    done = living.python("-c", "from my_pipeline import life; print(len(life.Kind()))")
    assert done.out.split()[-1:] == ["2"], done.err


def test_contents_of_a_lookup_table_stop_init(unmade: Project, mysql: Server) -> None:
    life = unmade.module("life")
    unmade.write(life, unmade.read(life) + LOOKUP)
    stopped = ok(unmade, "init", code=1)
    is_sentence(stopped)
    assert "kind of life.Kind cannot have the value '日'" in stopped.err
    assert "ALTER DATABASE `dev_life` CHARACTER SET utf8mb4" in stopped.err
    assert not mysql.execute("SHOW TABLES FROM dev_life")
    mysql.execute("ALTER DATABASE dev_life CHARACTER SET utf8mb4")
    ok(unmade, "init")


#: A command as releases up to 0.13 had it, which did not ask what a table lacks.
UNASKED = """
from datajoint_pipeline.dialects.mysql import characters
characters.refuse = lambda *arguments: None
from datajoint_pipeline.cli import run; from my_pipeline import pipeline
run(pipeline, ["{}"])
"""


def test_an_enum_that_an_earlier_release_left_half_way_is_taken_back(living: Project, mysql: Server) -> None:
    """What is refused today does not stand in the way of that, nor of the command that goes on."""
    write_in(mysql, "latin1", "dev_life", "dev_work")
    living.replace(living.module("life"), COLOUR, "enum('grey', 'white', '日')")
    ok(living, "revise", "-m", "another")
    assert living.python("-c", UNASKED.format("migrate")).code == 6
    stopped = ok(living, "migrate", code=6)
    assert "stored as enum" in stopped.err and "rollback --interrupted" in stopped.err, stopped.err
    ok(living, "rollback", "--interrupted")
    assert states(living)["life"] == ("behind", "1.0.0")
    refused(living, "colour of life.Animal cannot have the value '日'")


def test_an_enum_with_question_marks_that_an_earlier_release_made(unmade: Project, mysql: Server) -> None:
    """It is named, and the way out is one."""
    life = unmade.module("life")
    unmade.replace(life, COLOUR, "enum('grey', 'white', '日')")
    made_so = unmade.python("-c", UNASKED.format("init"))
    assert made_so.code == 5, made_so.err
    (found,) = [p for p in unmade.run("doctor", "--json").json["problems"] if p["id"] == "enum-characters"]
    assert "colour in life.Animal" in found["what"]
    unmade.replace(life, "'日'", "'sun'")
    ok(unmade, "revise", "-m", "sun")
    ok(unmade, "migrate")
    assert states(unmade)["life"][0] == "current"
    assert "enum-characters" not in unmade.run("doctor").out
