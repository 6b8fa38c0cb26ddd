"""What the harness of the evolutions runs in a project's process: snippets for ``python -c``, JSON in and out."""

from __future__ import annotations

#: DataJoint 2.3.5 hands PostgreSQL the bytes of a uuid, which it refuses; this hands it the text.
UUIDS = """
import importlib, json, sys, types, uuid
import datajoint as dj

class Uuid(uuid.UUID):
    def __init__(self, value):
        super().__init__(str(value))
    bytes = property(str)

if dj.config["database.backend"] == "postgresql":
    importlib.import_module("psycopg2.extras").register_uuid()
    importlib.import_module("datajoint.table").uuid = types.SimpleNamespace(UUID=Uuid)
"""

#: Insert the rows of a case into the tables of a module: ``argv``: the module's name.
FILL = f"""{UUIDS}
import case_rows
case_rows.fill(importlib.import_module(sys.argv[1]))
"""

#: Have DataJoint declare the tables of modules; the module's name is the only argument.
DECLARE = """
import importlib, sys
importlib.import_module(sys.argv[1])
"""

#: Run commands one after the other, up to the first that fails: ``argv``: a JSON list of their arguments.
COMMANDS = """
import contextlib, io, json, sys
from datajoint_pipeline.cli import run
from my_pipeline import pipeline

done = []
for arguments in json.loads(sys.argv[1]):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            run(pipeline, arguments)
        except SystemExit as leaving:
            code = int(leaving.code or 0)
    done.append([code, out.getvalue(), err.getvalue()])
    if code:
        break
print("@@" + json.dumps(done))
"""

#: Declare both states of a case, the first one by `init` and with rows: ``argv``: the modules of either state.
BEGIN = f"""{UUIDS}
from my_pipeline import pipeline

pipeline.initialize("dev")
import case_rows
case_rows.fill(importlib.import_module(sys.argv[1]))
importlib.import_module(sys.argv[2])
"""

#: The library's own view, hidden attributes aside, of two sets of databases: ``argv``: two JSON mappings of schemas to databases.
SHAPES = """
import json, sys
from dataclasses import replace
from datajoint_pipeline.dialects import catalog
from my_pipeline import pipeline as environment
from datajoint_pipeline.schema import model

def plain(databases):
    tables = {}
    for schema in catalog.read(connection, databases).values():
        for table in schema:
            whole = replace(table, attributes=tuple(a for a in table.attributes if not a.hidden))
            tables[str(table.name)] = model.encode(model.Schema("", (whole,)))["tables"][0]
    return tables

connection = environment.connect(environment.select("dev"))
expected, found = (plain(json.loads(text)) for text in sys.argv[1:])
print("@@" + json.dumps([
    f"{name}: {fact}: {found.get(name, {}).get(fact)} instead of {expected.get(name, {}).get(fact)}"
    for name in sorted({*expected, *found})
    for fact in {**expected.get(name, {}), **found.get(name, {})}
    if expected.get(name, {}).get(fact) != found.get(name, {}).get(fact)
]))
"""

#: Use every table of some modules as people do: read, join, reserve, insert, delete. What comes of it, as texts by step,
#: for each of the modules, whose names are the arguments.
USE = f"""{UUIDS}
import datetime, decimal, re

def tables(module):
    for value in vars(module).values():
        if isinstance(value, type) and issubclass(value, dj.Table) and value.__module__ == module.__name__:
            yield value.__name__, value
            for name, part in vars(value).items():
                if isinstance(part, type) and issubclass(part, dj.Part):
                    yield f"{{value.__name__}}.{{name}}", part

def attempt(step, work):
    try:
        said[step] = str(work())
    except Exception as error:
        # What a server adds, as the whole row with the time in it, is not for comparing.
        said[step] = f"{{type(error).__name__}}: {{str(error).splitlines()[:1]}}"

def another(row, table):
    # The table's own key attributes are those that no foreign key brings.
    brought = {{name for _, key in table.parents(foreign_key_info=True) for name in key["attr_map"]}}
    for name in table.primary_key:
        value, kind = row[name], table.heading[name].type
        if name in brought:
            continue
        if isinstance(value, bool) or "enum" in kind:
            continue
        if isinstance(value, (int, decimal.Decimal)):
            return {{**row, name: max(table.to_arrays(name)) + 1}}
        if isinstance(value, (datetime.date, datetime.datetime)):
            return {{**row, name: max(table.to_arrays(name)) + datetime.timedelta(days=1)}}
        if isinstance(value, uuid.UUID):
            return {{**row, name: uuid.UUID(int=1)}}
        if isinstance(value, str):
            return {{**row, name: "z" + value[1:]}}
    return None

def described(table):
    # Which index it takes for that of a foreign key, and which foreign key it names first, and calls unique, where two
    # bring the same attributes, hangs on the order in which MySQL names them.
    lines = [line for line in table.describe().splitlines() if not re.match("(UNIQUE )?INDEX ", line)]
    if table.connection.adapter.backend != "mysql":
        return "\\n".join(lines)
    keys = iter(sorted(line.replace("[unique] ", "") for line in lines if line.startswith("->")))
    return "\\n".join(next(keys) if line.startswith("->") else line for line in lines)

def insert(table):
    row = another(table.to_dicts(order_by="KEY")[-1], table) if len(table) else None
    if row is None:
        return "nothing to copy"
    table.insert1(row, allow_direct_insert=True)
    return len(table)

def delete(table):
    (table & table.keys(order_by="KEY")[0]).delete(prompt=False, part_integrity="cascade")
    return {{name: len(own()) for name, own in found.items()}}

def use(name):
    global said, found
    said = {{}}
    try:
        found = dict(tables(importlib.import_module(name)))
    except Exception as error:
        return {{"import": f"{{type(error).__name__}}: {{error}}"}}
    for name, table in found.items():
        attempt(f"fetch {{name}}", lambda: len(table().to_dicts()))
        attempt(f"describe {{name}}", lambda: described(table()))
        for parent in table().parents(as_objects=True):
            attempt(f"join {{name}} with {{parent.full_table_name}}", lambda: len((table() * parent).to_dicts()))
        if issubclass(table, (dj.Imported, dj.Computed)):
            attempt(f"reserve {{name}}", lambda: (table().jobs.refresh(), len(table().jobs)))
    for name, table in found.items():
        attempt(f"insert into {{name}}", lambda: insert(table()))
    below = {{name: len(table().descendants()) for name, table in found.items() if len(table())}}
    for name in sorted(below, key=lambda name: -below[name])[:1]:
        attempt(f"delete from {{name}}", lambda: delete(found[name]()))
    return said

print("@@" + json.dumps([use(name) for name in sys.argv[1:]]))
"""
