"""Layouts that labs have, as they are: packages in packages, a schema in several modules, several schemas in a module,
a package that is not in src/. Every command takes them, on both servers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import Project, Server

FILES = {
    "version": """
__version__ = "0.1.0"
SCHEMA_VERSIONS = {"colony": "1.0.0", "rigs": "1.0.0", "calibration": "1.0.0", "licking": "1.0.0",
    "zoo": "1.0.0", "weights": "1.0.0"}
SCHEMA_DATABASES = {"rigs": "U19_Rigs", "calibration": "calib-2"}  # as they are called on the lab's server
""",
    # One schema in three modules: one opens it and has no table, one is imported by the other.
    "colony/__init__": "",
    "colony/base": """
from .. import open_schema

schema = open_schema("colony")
""",
    "colony/mice": '''
import datajoint as dj

from .base import schema


@schema
class Strain(dj.Lookup):
    definition = "strain : varchar(20)"
    contents = [["wild"]]


@schema
class Mouse(dj.Manual):
    definition = """
    mouse : int32
    ---
    -> Strain
    """
''',
    "colony/cages": '''
import datajoint as dj

from . import base, mice


@base.schema
class Cage(dj.Manual):
    definition = """
    -> mice.Mouse
    ---
    cage : int16
    """
''',
    # Two schemas in one module, the second one's tables below the first one's.
    "rigs": '''
import datajoint as dj

from . import open_schema

schema = open_schema("rigs")
tests = open_schema("calibration")


@schema
class Rig(dj.Manual):
    definition = "rig : int16"


@tests
class Calibration(dj.Computed):
    definition = """
    -> Rig
    ---
    gain : float64
    """

    def make(self, key):
        self.insert1({**key, "gain": 2.0})
''',
    # A package in a package without __init__.py.
    "behaviour/licks/sensor": '''
import datajoint as dj

from my_pipeline import open_schema, rigs
from my_pipeline.colony.mice import Mouse

schema = open_schema("licking")


@schema
class Licks(dj.Computed):
    definition = """
    -> Mouse
    -> rigs.Calibration
    ---
    licks : int32
    """

    def make(self, key):
        gain = (rigs.Calibration & key).fetch1("gain")
        self.insert1({**key, "licks": int(gain)})
''',
    # An installed Element, and a module of the package's own in the same style.
    "zoo": """
import element_zoo

from . import pipeline
from .colony.mice import Mouse as Subject


def get_price():
    return 4.0


pipeline.activate(element_zoo, "zoo", linking_module=__name__)
""",
    "parts/weighing": '''
import datajoint as dj

schema = dj.Schema()


@schema
class Weight(dj.Manual):
    definition = """
    -> visits.Cost
    ---
    weight : float32
    """
''',
    "weights": """
import element_zoo as visits

from . import pipeline, zoo
from .parts import weighing

pipeline.activate(weighing, "weights", linking_module=__name__)
""",
}

#: What each schema is called on the server, in `dev`.
NAMES = {
    "colony": "dev_lay_colony",
    "rigs": "dev_U19_Rigs",
    "calibration": "dev_calib-2",
    "licking": "dev_lay_licking",
    "zoo": "dev_lay_zoo",
    "weights": "dev_lay_weights",
}

#: An installed Element, as DataJoint's own are written: its tables wait for a name and for what they refer to.
ELEMENT = '''
import importlib
import inspect

import datajoint as dj

schema = dj.Schema()
_linking_module = None


def activate(schema_name, *, create_schema=True, create_tables=True, linking_module=None):
    global _linking_module
    if isinstance(linking_module, str):
        linking_module = importlib.import_module(linking_module)
    assert inspect.ismodule(linking_module)
    _linking_module = linking_module
    objects = linking_module.__dict__
    schema.activate(schema_name, create_schema=create_schema, create_tables=create_tables, add_objects=objects)


@schema
class Visit(dj.Manual):
    definition = """
    -> Subject
    visit : int16
    """


@schema
class Cost(dj.Computed):
    definition = """
    -> Visit
    ---
    price : float64
    """

    def make(self, key):
        self.insert1({**key, "price": _linking_module.get_price()})
'''

ROWS = """
from my_pipeline.colony import cages, mice
from my_pipeline import rigs
mice.Mouse.insert1({"mouse": 1, "strain": "wild"})
cages.Cage.insert1({"mouse": 1, "cage": 3})
rigs.Rig.insert1({"rig": 7})
from my_pipeline import weights
weights.visits.Visit.insert1({"mouse": 1, "visit": 2})
"""

LICKS = "from my_pipeline.behaviour.licks.sensor import Licks; print(Licks.to_dicts())"

WEIGHTS = "from my_pipeline import weights as w; print(w.visits.Cost.to_dicts(), w.weighing.Weight.full_table_name)"


def lay_out(folder: Path, files: dict[str, str], place: str = "python") -> Project:
    """A default project whose package stands elsewhere and has other modules."""
    project = Project(folder)
    project.clear()
    if place != "src":
        (folder / place).mkdir(parents=True, exist_ok=True)
        (folder / "src/my_pipeline").rename(folder / place / "my_pipeline")
    for name, text in files.items():
        project.write(f"{place}/my_pipeline/{name}.py", text.lstrip())
    project.environment["PYTHONPATH"] = str(folder / place)
    return project


@pytest.fixture(scope="module", params=["mysql", "postgresql"])
def lab(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, render: Callable[..., Path]
) -> Iterator[Project]:
    """The layouts above, made on a server."""
    server: Server = request.getfixturevalue(request.param)
    project = lay_out(render(tmp_path_factory.mktemp("layouts") / "lab", schema_prefix="lay_"), FILES)
    project.environment |= {**server.variables, "MY_PIPELINE_ENV": "dev"}
    if server.backend == "postgresql":  # where DataJoint does not find tables behind capital letters
        project.replace("python/my_pipeline/version.py", "U19_Rigs", "u19_rigs")
    project.write("python/element_zoo.py", ELEMENT)
    made = project.run("init")
    assert made.code == 0, made.err
    yield project
    project.run("local", "stop")
    server.drop(*NAMES.values(), *(name.lower() for name in NAMES.values()))


def test_every_schema_is_made_and_used(lab: Project) -> None:
    status = lab.run("status", "--json")
    found = {s["name"]: s["database"] for s in status.json["schemas"]}
    capital = lab.environment["DJ_BACKEND"] == "mysql"
    assert found == {name: NAMES[name] if capital else NAMES[name].lower() for name in NAMES}
    assert {s["state"] for s in status.json["schemas"]} == {"current"}
    assert f"rigs as {found['rigs']}, calibration as dev_calib-2" in " ".join(lab.run("doctor").out.split())
    assert lab.python("-c", ROWS).code == 0
    worked = lab.run("worker", "--once")
    assert worked.code == 0, worked.err
    assert lab.python("-c", LICKS).out.splitlines()[-1] == "[{'mouse': 1, 'rig': 7, 'licks': 2}]"
    shown = lab.python("-c", WEIGHTS)
    assert "[{'mouse': 1, 'visit': 2, 'price': 4.0}]" in shown.out and "dev_lay_weights" in shown.out


def test_job_tables_stand_in_the_schema_of_their_table(lab: Project) -> None:
    code = (
        "import json; from my_pipeline import pipeline; from datajoint_pipeline.internals import job_tables as j; "
        "t = pipeline.target(); print(json.dumps(sorted(j.every_table(t.connection, tuple(t.databases.values())))))"
    )
    tables = [(database, table) for database, table in json.loads(lab.python("-c", code).out.splitlines()[-1])]
    assert ("dev_calib-2", "~~calibration") in tables and ("dev_lay_licking", "~~licks") in tables
    assert ("dev_lay_zoo", "~~cost") in tables and ("dev_lay_weights", "weight") in tables
    assert ("dev_lay_colony", "cage") in tables and ("dev_lay_colony", "mouse") in tables


def test_checked_revised_migrated_and_guarded(lab: Project) -> None:
    checked = lab.run("check")
    assert checked.code == 0, checked.out + checked.err
    lab.replace("python/my_pipeline/colony/cages.py", "cage : int16", "cage : int16\n    room = null : int16")
    lab.replace("python/my_pipeline/rigs.py", "gain : float64", "gain : float64\n    offset = null : float64")
    lab.replace("python/element_zoo.py", "price : float64", "price : float64\n    paid = null : date")
    lab.replace(
        "python/my_pipeline/parts/weighing.py", "weight : float32", "weight : float32\n    scale = null : int16"
    )
    changed = [f["module"] for f in lab.run("check", "--json").json["findings"]]
    assert changed == ["calibration", "colony", "weights", "zoo"]
    revised = lab.run("revise", "-m", "room and offset")
    assert revised.code == 0, revised.err
    assert {path.name for path in (lab.folder / "python/my_pipeline/migrations").iterdir()} >= set(NAMES)
    for code in (LICKS, WEIGHTS):
        refused = lab.python("-c", code)
        assert refused.code != 0 and "does not fit" in refused.err
    migrated = lab.run("migrate")
    assert migrated.code == 0, migrated.err
    assert lab.run("status").code == 0 and lab.run("check").code == 0
    assert lab.python("-c", LICKS).code == 0 and lab.python("-c", WEIGHTS).code == 0


def test_a_schema_is_added_below_modules_of_packages(lab: Project) -> None:
    added = lab.run("add-schema", "report", "--depends", "licking", "--depends", "colony")
    assert added.code == 0, added.err
    text = lab.read("python/my_pipeline/report.py")
    assert "from .behaviour.licks import sensor\nfrom .colony import cages\n" in text
    assert "-> sensor.Licks" in text and "-> cages.Cage" in text
    code = (
        "from my_pipeline import pipeline as p; from datajoint_pipeline.project import graph; "
        "assert not graph.check(p.graph, p.project.versions)"
    )
    assert lab.python("-c", code).code == 0
    for path in ("python/my_pipeline/report.py", "tests/test_report.py"):
        (lab.folder / path).unlink()
    lab.replace("python/my_pipeline/version.py", '"report": "1.0.0"', "")
