"""A pipeline of any size, for whoever measures what grows with it: schemas whose foreign keys cross."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass

from conftest import Project

_VALUES = (
    "value = null : float64  # as it was read",
    "kind = 'new' : enum('new', 'used', 'gone')",
    "counted = 0 : int64",
    "moment = null : datetime  # local time",
    "valid = 1 : bool",
    "said = null : varchar(64)",
    "settings = null : json",
    "price = 0 : decimal(8,3)",
)

#: What Item02 of each schema in turn gets; ``{parent}`` is the schema before it.
CHANGES = (
    ("attribute", "colour = null : varchar(16)  # as it looks"),
    ("default", "place = 0 : int32"),
    ("index", "index (weight)"),
    ("type", 'note = "" : varchar(200)'),
    ("key", "-> [nullable] {parent}.Item01"),
)


def name(number: int) -> str:
    """Name of a schema."""
    return f"lab{number:02}"


def parents(number: int) -> list[str]:
    """The schemas that a schema refers to: one that is far from it, and the one before it."""
    return [name(other) for other in sorted({number - 1, number // 2} - {number})] if number else []


def lay(project: Project, schemas: int, tables: int) -> list[str]:
    """Put schemas in the place of those that a project came with; their names."""
    project.clear()
    shutil.rmtree(project.folder / "src" / project.package / "migrations", ignore_errors=True)
    for number in range(schemas):
        project.write(project.module(name(number)), module(number, tables))
    names = [name(number) for number in range(schemas)]
    entries = "".join(f'    "{each}": "1.0.0",\n' for each in names)
    project.write(project.module("version"), f'__version__ = "0.1.0"\n\nSCHEMA_VERSIONS = {{\n{entries}}}\n')
    return names


def module(number: int, tables: int) -> str:
    """The module of a schema."""
    imports = ", ".join([*parents(number), "open_schema"])
    head = f'"""One of many schemas."""\n\nimport datajoint as dj\n\nfrom . import {imports}\n\n'
    return head + f'schema = open_schema("{name(number)}")\n' + "".join(_table(number, t) for t in range(tables))


def _table(number: int, place: int) -> str:
    """A table: the first is a root, the second a Lookup table, then five kinds take turns."""
    own, before, above = f"{name(number)}_{place:02}", f"-> Item{max(place - 1, 0):02}", parents(number)
    tier, key, more, contents = "Manual", [f"{own} : int32"], list[str](), ""
    values = [*_VALUES[place % 3 :], *_VALUES[: place % 3]][:6]
    if place == 0:
        more = [f"-> [nullable] {parent}.Item00" for parent in above]
    elif place == 1:
        tier, key, values = "Lookup", [f"{own} : varchar(16)"], []
        contents = '    contents = [("plain", "", 1.0), ("fine", "", 2.0)]\n'
    elif place % 5 == 2:
        key, more = ["-> Item00", *key], ["-> Item01", "index (note)"]
    elif place % 5 == 3:
        tier, key, more = "Imported", [before], ["unique index (note)"]
    elif place % 5 == 4:
        tier, key = "Computed", [before]
    elif place % 5 == 0:
        key = ["-> Item00", *(f"-> {parent}.Item02" for parent in above[-1:]), *key]
    else:
        key = ["-> Item02", *key]
    lines = [f"# Number {place} of {name(number)}", *key, "---", 'note = "" : varchar(64)', "weight = 0 : float64"]
    body = "".join(f"    {line}\n" for line in [*lines, *values, *more])
    return f'\n\n@schema\nclass Item{place:02}(dj.{tier}):\n    definition = """\n{body}    """\n{contents}'


def change(project: Project, number: int) -> None:
    """Change a table of a schema, each schema in another way than the one before it."""
    kind, line = CHANGES[number % len(CHANGES)]
    head, start, rest = project.read(project.module(name(number))).partition("class Item02(")
    body, end, tail = rest.partition('    """\n')
    line = line.format(parent=(parents(number) or [""])[-1])
    body = body.replace('    note = "" : varchar(64)\n', f"    {line}\n") if kind == "type" else f"{body}    {line}\n"
    project.write(project.module(name(number)), head + start + body + end + tail)


#: A command, with all that it asks of a server and how long that takes; ``argv``. What DataJoint takes to be imported is
#: left out of the time, and where the first word says so, also what it takes to connect and to load the code.
COUNTED = """
import contextlib, io, json, sys, time
import datajoint as dj
from datajoint_pipeline.cli import run
from my_pipeline import pipeline

if sys.argv.pop(1) == "connected":
    from datajoint_pipeline.executor import apply
    from datajoint_pipeline.planner import impact
    from datajoint_pipeline.cli import render
    pipeline.connect(pipeline.select(None))

asked, query = [], dj.Connection.query
def counting(self, text, *arguments, **options):
    start = time.perf_counter()
    try:
        return query(self, text, *arguments, **options)
    finally:
        asked.append((time.perf_counter() - start, text))
dj.Connection.query = counting

start, code = time.perf_counter(), 0
with contextlib.redirect_stdout(io.StringIO()) as said:
    try:
        run(pipeline, sys.argv[1:])
    except SystemExit as leaving:
        code = leaving.code
print("@@" + json.dumps({"asked": asked, "seconds": time.perf_counter() - start, "code": code, "out": said.getvalue()}))
"""


@dataclass(frozen=True)
class Counted:
    """A command that has run: exit code, output, seconds, and each question to the server with its seconds."""

    code: int
    out: str
    seconds: float
    asked: list[tuple[float, str]]


def counted(project: Project, *arguments: str, code: int = 0, connected: bool = False) -> Counted:
    """Run a command of the project and look at what it asks; its time may begin once it is connected."""
    result = project.python("-c", COUNTED, "connected" if connected else "", *arguments, timeout=3600)
    assert "@@" in result.out, result.err
    found = Counted(**json.loads(result.out.partition("@@")[2]))
    assert found.code == code, found.out + result.err
    return found
