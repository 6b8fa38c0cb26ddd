"""A pipeline whose migrations use every operation, for whoever lets them be broken off."""

from __future__ import annotations

from conftest import Project
from living import ok

HEAD = '"""A schema."""\n\nimport datajoint as dj\n\nfrom . import {imports}\n\nschema = open_schema("{name}")\n'

LIFE = (
    HEAD.format(imports="open_schema", name="life")
    + '''

@schema
class Animal(dj.Manual):
    definition = """
    # An animal
    animal : int32  # its number
    ---
    name : varchar(32)  # what it is called
    colour = "grey" : enum('grey', 'white')
    grams = null : float32  # how heavy
    note = null : varchar(64)
    picture = null : <blob>
    born = "2020-01-01" : date
    """


@schema
class Weight(dj.Manual):
    definition = """
    -> Animal
    day : date
    ---
    grams : float64  # on that day
    index (grams)
    """


@schema
class Gone(dj.Manual):
    definition = """
    -> Animal
    ---
    what : varchar(16)
    """
'''
)

WORK = (
    HEAD.format(imports="life, open_schema", name="work")
    + '''

@schema
class Task(dj.Manual):
    definition = """
    -> life.Animal
    task : varchar(16)
    ---
    note = null : varchar(64)
    priority : int16
    """


@schema
class Score(dj.Computed):
    definition = """
    -> Task
    ---
    score : int32
    """

    class Detail(dj.Part):
        definition = """
        -> master
        detail : int16
        ---
        value : float64
        """

    def make(self, key):
        self.insert1(dict(key, score=len(key["task"])))
        self.Detail.insert1(dict(key, detail=1, value=0.5))


@schema
class Tool(dj.Manual):
    definition = """
    tool : varchar(16)
    ---
    -> [nullable] life.Animal
    """
'''
)

VERSION = '__version__ = "0.1.0"\n\nSCHEMA_VERSIONS = {"life": "1.0.0", "work": "1.0.0"}\n'

FILL = """
import sys
from my_pipeline import life, work
many = int(sys.argv[1])
colours = ["grey", "white"]
life.Animal.insert(
    dict(animal=n, name=f"name {n}", colour=colours[n % 2], grams=n / 4 if n % 3 else None, note=f"it's {n} %", picture={"n": n})
    for n in range(6)
)
life.Animal.insert(dict(animal=n, name=f"name {n}", grams=n / 4, note="x" * 40) for n in range(6, many))
life.Weight.insert(dict(animal=n % many, day=f"2026-01-{1 + n // many:02}", grams=n / 8) for n in range(2 * many))
life.Gone.insert(dict(animal=n, what="gone") for n in range(3))
work.Task.insert(dict(animal=n, task=f"task {n % 2}", note=None, priority=n % 5) for n in range(many))
work.Tool.insert([dict(tool="hammer", animal=1), dict(tool="saw", animal=None)])
work.Score.populate(life.Animal & "animal < 3")
jobs = work.Score.jobs
jobs.refresh()
jobs.ignore(dict(animal=4, task="task 0"))
jobs.reserve(dict(animal=5, task="task 1"))
jobs.error(dict(animal=5, task="task 1"), "ValueError: no", "a traceback")
"""

#: What is edited: module, what was there, what comes in its place.
EDITS = (
    ("life", "    # An animal\n", "    # An animal that lives here\n"),
    ("life", "    name : varchar(32)  # what it is called\n", "    nickname : varchar(40)  # what it is called\n"),
    ("life", "enum('grey', 'white')", "enum('black', 'grey', 'white')"),
    (
        "life",
        "    grams = null : float32  # how heavy\n",
        "    heavy = 0 : bool\n    grams = null : float64  # how heavy\n",
    ),
    ("life", "    note = null : varchar(64)\n", ""),
    ("life", "    picture = null : <blob>\n", "    picture = null : json\n"),
    (
        "life",
        '    born = "2020-01-01" : date\n',
        "    -> [nullable] Species\n    born : date\n    unique index (nickname)\n",
    ),
    ("life", "    index (grams)\n", "    scale : varchar(8)\n    index (day)\n"),
    ("life", LIFE[LIFE.index("\n\n@schema\nclass Gone") :], ""),
    (
        "life",
        "\n\n@schema\nclass Animal",
        SPECIES := '''

@schema
class Species(dj.Lookup):
    definition = """
    species : varchar(16)
    """
    contents = [("mouse",), ("rat",)]


@schema
class Animal''',
    ),
    ("work", "    task : varchar(16)\n    ---\n", "    task : varchar(16)\n    run : int16\n    ---\n"),
    ("work", "    priority : int16\n", "    priority : int32\n"),
    ("work", "class Tool(dj.Manual)", "class Device(dj.Manual)"),
    (
        "work",
        "    tool : varchar(16)\n    ---\n    -> [nullable] life.Animal\n",
        "    tool : varchar(16)\n    ---\n    owner = null : int32\n",
    ),
)

ANSWERS = (
    "--rename", "life.Animal.name=nickname", "--drop", "life.Animal.note", "--drop", "life.Gone",
    "--fill", "life.Weight.scale=fine", "--fill", "work.Task.run=1", "--rename-table", "work.Tool=work.Device",
    "--drop", "work.Device.animal", "--fill", "life.Animal.species=mouse",
)  # fmt: skip

#: What a person adds to the migration of ``life``: functions, and lines at the end.
PYTHON = '''

def weighed(connection, databases):
    """Whether every animal has a weight."""
    return connection.query(f"SELECT COUNT(*) FROM {databases['life']}.animal WHERE grams IS NULL").fetchone()[0] == 0


def weigh(connection, databases):
    """A few at a time, and each once."""
    animal = f"{databases['life']}.animal"
    rows = connection.query(f"SELECT animal FROM {animal} WHERE grams IS NULL ORDER BY animal LIMIT 1").fetchall()
    for (number,) in rows:
        connection.query(f"UPDATE {animal} SET grams = {number} + 100 WHERE animal = {number}")
    return bool(rows)
'''

OWN = """    RunSQL(
        "make everybody heavier",
        mysql="UPDATE {life}.animal SET grams = grams + 1 WHERE grams IS NOT NULL",
        postgresql="UPDATE {life}.animal SET grams = grams + 1 WHERE grams IS NOT NULL",
    ),
    RunPython("weigh again", weighed, weigh),
    RebuildTable("Weight", {"grams": Sql(mysql="grams * 2", postgresql="grams * 2")}),
]
"""


def lay(own: Project) -> None:
    """The pipeline as it is at the start."""
    own.clear()
    own.write(own.module("life"), LIFE)
    own.write(own.module("work"), WORK)
    own.write(own.module("version"), VERSION)


def fill(own: Project, rows: int) -> None:
    """Rows for every table, and jobs that wait."""
    filled = own.python("-c", FILL, str(rows))
    assert filled.code == 0, filled.err


def evolve(own: Project) -> None:
    """Edit the classes and write the migrations; one index is built online."""
    for module, old, new in EDITS:
        own.replace(own.module(module), old, new)
    ok(own, "revise", "-m", "everything", *ANSWERS)
    path = "src/my_pipeline/migrations/life/2.0.0_everything.py"
    text = own.read(path).replace("import (", "import (\n    RebuildTable,\n    RunPython,\n    RunSQL,\n    Sql,")
    text = text.replace("\nfollows", f"{PYTHON}\nfollows", 1).replace('"index (day)")', '"index (day)", online=True)')
    own.write(path, text.rstrip().removesuffix("]") + OWN)


def evolve_key(own: Project) -> None:
    """Change the key that all tables of both schemas have in common, after the migrations of :func:`evolve`."""
    own.replace(
        own.module("life"), "    animal : int32  # its number\n", "    animal : int32  # its number\n    herd : int16\n"
    )
    own.replace(
        own.module("life"), "    scale : varchar(8)\n", "    scale : varchar(8)\n    wind = null : varchar(8)\n"
    )
    own.replace(own.module("work"), "    priority : int32\n", "    urgency : int32\n")
    answers = ("--fill", "life.Animal.herd=7", "--rename", "work.Task.priority=urgency")
    ok(own, "revise", "-m", "herds", *answers)
