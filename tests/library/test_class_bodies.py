"""Queries in class bodies, as key sources have them: what a server takes is read without one, and refused alike."""

from __future__ import annotations

import pytest
from conftest import Project, Server
from living import filled, ok

#: Over a table, what refers to it, and a part; public pipelines have such.
QUERIES = (
    "Session & Scan",
    "Session - Scan",
    "Session * Scan",
    "Scan.proj()",
    "Session.proj(other='session')",
    "Session.proj(twice='2 * session')",
    "Session.aggr(Scan, n='COUNT(*)')",
    "Session & Scan.Field",
    "Session & Scan.proj('depth')",
    "dj.U('kind') & Session",
    "dj.U('kind').aggr(Session, n='COUNT(*)')",
    "Session & {'session': 3, 'kind': 'a'}",
    "Session & [{'session': 3}, {'kind': 'b'}]",
    "Session & {'day': '2026-01-01'}",
    "Session & dict(uid='00000000-0000-0000-0000-000000000001')",
    "Session & 'session > 2' & dj.Not(Scan)",
    "Session & dj.Top(3)",
    "Session & dj.AndList([Scan, 'session > 2'])",
    "(Session & Scan).proj() * Scan.Field",
    "Session.proj() + Other.proj()",
    "Scan.extend(Session)",
    "Session & (Scan * Scan.Field & 'depth > 1')",
    "Renamed * Session.proj(first='session')",
    "Session & Elsewhere",
)

TABLES = """
import datajoint as dj

from . import open_schema

schema = open_schema("life")


@schema
class Session(dj.Manual):
    definition = '''
    session : int32
    ---
    kind : varchar(8)
    day = null : date
    uid = null : uuid
    '''


@schema
class Scan(dj.Imported):
    definition = '''
    -> Session
    ---
    depth : float32
    '''

    class Field(dj.Part):
        definition = '''
        -> master
        field : int16
        '''


@schema
class Other(dj.Manual):
    definition = "-> Session"


@schema
class Renamed(dj.Manual):
    definition = "-> Session.proj(first='session')"
"""

WORK = """
import datajoint as dj

from . import open_schema
from .life import Other, Renamed, Scan, Session

schema = open_schema("work")


@schema
class Elsewhere(dj.Manual):
    definition = "-> Session"

"""

CLASS = """
@schema
class Whole{number}(dj.Computed):
    definition = "-> Session"
    key_source = {query}

    def make(self, key):
        self.insert1(key)

"""

VERSION = '__version__ = "0.1.0"\n\nSCHEMA_VERSIONS = {"life": "1.0.0", "work": "1.0.0"}\n'


@pytest.fixture
def queried(project: Project) -> Project:
    """A pipeline with a class for each query."""
    project.clear()
    project.write(project.module("version"), VERSION)
    project.write(project.module("life"), TABLES)
    classes = "".join(CLASS.format(number=number, query=query) for number, query in enumerate(QUERIES))
    project.write(project.module("work"), WORK + classes)
    return project


def test_what_a_server_takes_is_read_without_one(server: Server, queried: Project) -> None:
    fill = (
        "from my_pipeline import life, work\n"
        "life.Session.insert([(1, 'a', None, None), (2, 'b', None, None)])\n"
        "life.Scan.insert1((1, 0.5), allow_direct_insert=True)\n"
        "work.Whole0.populate()\n"
        "assert work.Whole0.to_arrays('session').tolist() == [1]"
    )
    with filled(server, queried, fill):
        assert ok(queried, "status").code == 0
        checked = ok(queried, "check")
        assert "Everything is in order." in checked.out
        queried.replace(queried.module("work"), "class Elsewhere(dj.Manual)", "class Anywhere(dj.Manual)")
        queried.replace(queried.module("work"), "Session & Elsewhere", "Session & Anywhere")
        ok(queried, "revise", "-m", "anywhere", "--rename-table", "work.Elsewhere=work.Anywhere")
        ok(queried, "migrate")
        assert ok(queried, "status").code == 0


def test_what_does_not_belong_together_is_refused_as_a_server_does(queried: Project) -> None:
    alien = "\n\n@schema\nclass Alien(dj.Manual):\n    definition = 'session : int32'\n\n\nALIENS = Session & Alien\n"
    queried.write(queried.module("work"), WORK + alien)
    refused = queried.run("check")
    line = len((WORK + alien).splitlines())
    said = " ".join(refused.out.split())
    assert refused.code == 1 and "different lineages" in said and f"work.py:{line}" in said
