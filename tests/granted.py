"""A pipeline whose accounts are made by ``access apply``, and what each of them is tried with, through DataJoint.

What a role may do is written here by hand, in the words of the documentation; it is not taken from the library.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from typing import Any

from conftest import Project, Server

SCHEMAS = ("subject", "session", "ephys", "analysis")

MODULES = {
    "subject": '''
import datajoint as dj
from . import open_schema
schema = open_schema("subject")

@schema
class Strain(dj.Lookup):
    definition = """
    strain : varchar(64)
    ---
    note = "" : varchar(32)
    """
    contents = [("c57", "")]

@schema
class Subject(dj.Manual):
    definition = """
    subject_id : varchar(64)
    ---
    note = "" : varchar(32)
    """
''',
    "session": '''
import datajoint as dj
from . import open_schema, subject
schema = open_schema("session")

@schema
class Session(dj.Manual):
    definition = """
    -> subject.Subject
    ---
    note = "" : varchar(32)
    """
''',
    "ephys": '''
import datajoint as dj
from . import open_schema, session
schema = open_schema("ephys")

@schema
class Recording(dj.Imported):
    definition = """
    -> session.Session
    ---
    note = "" : varchar(32)
    """

    class Channel(dj.Part):
        definition = """
        -> master
        channel : int32
        ---
        note = "" : varchar(32)
        """

    def make(self, key):
        self.insert1(key)
        self.Channel.insert([{**key, "channel": number} for number in range(2)])
''',
    "analysis": '''
import datajoint as dj
from . import ephys, open_schema, session
schema = open_schema("analysis")

@schema
class Result(dj.Computed):
    definition = """
    -> ephys.Recording
    ---
    note = "" : varchar(32)
    """

    def make(self, key):
        self.insert1({**key, "note": str(len(ephys.Recording.Channel & key))})

@schema
class Note(dj.Manual):
    definition = """
    -> session.Session
    ---
    note = "" : varchar(32)
    """
''',
}

#: One account of each role, with names that servers have to be told in quotes.
ACCESS = """\
[people.viewer]
login = "żółw"
roles.prod = "viewer"

[people.analyst]
login = "o'brien"
roles.prod = "analyst"

[people.developer]
login = "a_b%"
roles = { dev = "developer", prod = "viewer" }

[people.admin]
login = "ac`admin"
roles = { dev = "admin", prod = "admin" }

[services.operator]
login = 'op"er ator'
roles.prod = "operator"

[exceptions.analyst]
schemas = ["analysis"]

[exceptions.operator]
delete_manual = ["session", "analysis"]
"""

LOGINS = {"viewer": "żółw", "analyst": "o'brien", "developer": "a_b%", "admin": "ac`admin", "operator": 'op"er ator'}

#: The tables by tier.
TABLES = {
    "Lookup": "subject.Strain",
    "Manual": "subject.Subject",
    "Manual child": "session.Session",
    "Imported": "ephys.Recording",
    "Part": "ephys.Recording.Channel",
    "Computed": "analysis.Result",
    "Manual leaf": "analysis.Note",
}

#: Run as an account: gets the role's name and the names of what to try on the command line, and prints what came of each.
PROGRAM = r"""
import json, os, sys
import datajoint as dj
dj.config["safemode"] = False
role, wanted, prefix = sys.argv[1], set(sys.argv[2].split(",")) - {""}, sys.argv[3]
found = {}

def attempt(name, function):
    if wanted and not any(name.startswith(word) for word in wanted):
        return
    try:
        found[name] = "ok" if function() is not False else "nothing"
    except Exception as error:
        text = f"{type(error).__name__}: {error} {error.__cause__ or ''}"
        words = ("AccessError", "denied", "must be owner", "permission", "InsufficientPrivilege", "could not be created")
        found[name] = "denied" if any(word in text for word in words) else text

from my_pipeline import analysis, ephys, session, subject, pipeline
from my_pipeline.version import SCHEMA_VERSIONS
modules = {"subject": subject, "session": session, "ephys": ephys, "analysis": analysis}
connection = subject.schema.connection
mark = "`" if connection.adapter.backend == "mysql" else '"'
tables = json.loads(sys.argv[4])
cls = {}
for path in tables.values():
    first, *rest = path.split(".")
    value = modules[first]
    for part in rest:
        value = getattr(value, part)
    cls[path] = value

def key(operation, path):
    key = {"subject_id": f"{role} {operation} {path}"}
    if path == "subject.Strain":
        key = {"strain": key["subject_id"]}
    return {**key, "channel": 0} if path.endswith("Channel") else key

def sql(text):
    return connection.query(text, args=None)

def declare(module, parent, schema=None):
    name = schema or modules[module].schema.database
    where = dj.Schema(name, connection=connection, create_schema=bool(schema), create_tables=True)
    body = {"definition": f"{parent}\nnumber : int32\n---\nnote : varchar(8)"}
    new = type(f"New{role.capitalize()}" + ("Root" if not parent else ""), (dj.Manual,), body)
    where(new, context={**modules, "session": session})
    new().insert1({**({"subject_id": f"{role} declare x"} if parent else {}), "number": 1, "note": "x"})
    return len(new())

def give(table):
    if mark == "`":
        return sql(f"GRANT INSERT ON {table} TO `żółw`@`%`")
    sql(f"GRANT INSERT ON {table} TO \"żółw\"")  # which only warns where nothing was given
    if not sql(f"SELECT has_table_privilege('żółw', '{table}', 'INSERT')").fetchone()[0]:
        raise RuntimeError("denied: nothing was given")

for name in modules:
    attempt(f"import {name}", lambda: bool(modules[name].schema.list_tables()))
for path, table in cls.items():
    attempt(f"fetch {path}", lambda: table().to_dicts(limit=3) is not None and bool(table.primary_key))
attempt("join", lambda: len(session.Session.proj() * subject.Subject.proj()) >= 0)
attempt("progress", lambda: ephys.Recording().progress(display=False))
attempt("jobs", lambda: ephys.Recording().jobs.progress() is not None)
for path, table in cls.items():
    row = key("insert", path)
    attempt(f"insert {path}", lambda: table.insert1(row, allow_direct_insert=True))
    twice = key("twice", path)
    attempt(f"skip {path}", lambda: table.insert1(twice, skip_duplicates=True, allow_direct_insert=True))
    there = key("update", path)
    attempt(f"update {path}", lambda: table.update1({**there, "note": "x"}))
    gone = key("delete", path)
    attempt(f"delete {path}", lambda: bool((table & gone).delete_quick(get_count=True)))
for path in ("subject.Subject", "session.Session", "ephys.Recording"):
    attempt(f"cascade {path}", lambda: bool((cls[path] & key("cascade", path)).delete(prompt=False)))
for path in ("ephys.Recording", "analysis.Result"):
    for reserve in (False, True):
        todo = {"subject_id": f"{role} populate{reserve} {path}"}
        attempt(f"populate{' reserved' if reserve else ''} {path}",
                lambda: bool(cls[path].populate(todo, reserve_jobs=reserve)["success_count"]))
attempt("declare child session", lambda: declare("session", "-> subject.Subject"))
attempt("declare child analysis", lambda: declare("analysis", "-> session.Session"))
attempt("declare root subject", lambda: declare("subject", ""))

attempt("declare elsewhere", lambda: declare("", "-> session.Session", f"{prefix}other_{role}"))
for path in ("subject.Strain", "session.Session", "ephys.Recording", "analysis.Note"):
    table = cls[path]
    attempt(f"alter {path}", lambda: sql(f"ALTER TABLE {table().full_table_name} ADD COLUMN new_{role} int"))
for name in modules:
    database = modules[name].schema.database
    full = lambda table: f"{mark}{database}{mark}.{mark}{table}{mark}"
    attempt(f"read journal {name}", lambda: bool(sql(f"SELECT version FROM {full('~migration')}").fetchall()))
    attempt(f"write journal {name}", lambda: sql(f"UPDATE {full('~migration')} SET host = host"))
    attempt(f"write steps {name}", lambda: sql(f"DELETE FROM {full('~migration_step')} WHERE 1 = 0"))
    attempt(f"write lineage {name}", lambda: sql(f"DELETE FROM {full('~lineage')} WHERE 1 = 0"))
first = modules["subject"].schema.database
attempt("read access", lambda: bool(sql(f"SELECT id FROM {mark}{first}{mark}.{mark}~access{mark}").fetchall()))
attempt("write access", lambda: sql(f"UPDATE {mark}{first}{mark}.{mark}~access{mark} SET host = host"))
for path in ("subject.Subject", "analysis.Note"):
    attempt(f"grant {path}", lambda: give(cls[path]().full_table_name))
for path in ("subject.Strain", "analysis.Note"):
    attempt(f"drop {path}", lambda: cls[path].drop(prompt=False))
attempt("join after drop", lambda: len(session.Session.proj() * subject.Subject.proj()) >= 0)
print(json.dumps(found))
"""

#: Rows that the attempts of a role need, made by the administrator.
PREPARE = r"""
import json, sys
from my_pipeline import analysis, ephys, session, subject
tables = json.loads(sys.argv[1])
above = {
    "subject.Strain": [], "subject.Subject": [], "session.Session": [subject.Subject],
    "ephys.Recording": [subject.Subject, session.Session],
    "ephys.Recording.Channel": [subject.Subject, session.Session, ephys.Recording],
    "analysis.Result": [subject.Subject, session.Session, ephys.Recording],
    "analysis.Note": [subject.Subject, session.Session],
}
classes = {
    "subject.Strain": subject.Strain, "subject.Subject": subject.Subject, "session.Session": session.Session,
    "ephys.Recording": ephys.Recording, "ephys.Recording.Channel": ephys.Recording.Channel,
    "analysis.Result": analysis.Result, "analysis.Note": analysis.Note,
}
rows = {}
def want(table, row):
    rows.setdefault(table, []).append(row)
for role in sys.argv[2:]:
    for operation in ("insert", "twice", "update", "delete", "cascade", "populateFalse", "populateTrue", "declare"):
        for path in [*tables.values(), "x"]:
            name = f"{role} {operation} {path}"
            if path == "x":
                if operation == "declare":
                    want(subject.Subject, {"subject_id": name}), want(session.Session, {"subject_id": name})
                continue
            for table in above[path]:
                if not (operation.startswith("populate") and table.__name__ == path.split(".")[-1]):
                    want(table, {"subject_id": name})
            if operation in ("update", "delete", "cascade"):
                row = {"strain": name} if path == "subject.Strain" else {"subject_id": name}
                want(classes[path], {**row, "channel": 0} if path.endswith("Channel") else row)
            if operation == "cascade" and path in ("subject.Subject", "session.Session", "ephys.Recording"):
                for table in (subject.Subject, session.Session, ephys.Recording, analysis.Result):
                    want(table, {"subject_id": name})
for table in (subject.Strain, subject.Subject, session.Session, ephys.Recording, ephys.Recording.Channel,
              analysis.Result, analysis.Note):
    table.insert(rows.get(table, []), skip_duplicates=True, allow_direct_insert=True)
"""


def lay(project: Project, server: Server, prefix: str, access: str = ACCESS) -> None:
    """Give a project the pipeline above, on a server, with an ``access.toml``."""
    project.clear()
    shutil.rmtree(project.folder / "src" / project.package / "migrations", ignore_errors=True)
    for name, text in MODULES.items():
        project.write(project.module(name), text)
    versions = ", ".join(f'"{name}": "1.0.0"' for name in SCHEMAS)
    project.write(project.module("version"), f'__version__ = "0.1.0"\nSCHEMA_VERSIONS = {{{versions}}}\n')
    project.replace(project.module("__init__"), 'prefix=""', f'prefix="{prefix}"')
    project.write("access.toml", access)
    project.environment |= {**server.variables, "MY_PIPELINE_ENV": "prod", "DJ_LOG_LEVEL": "ERROR"}
    project.environment |= {"MY_PIPELINE_UNGUARDED": "1", "DJ_USE_TLS": "false"}


def prepare(project: Project, roles: list[str], **variables: str) -> None:
    """Make the rows that the attempts of roles need."""
    done = project.python("-c", PREPARE, json.dumps(TABLES), *roles, **variables)
    assert done.code == 0, done.err


def attempts(project: Project, role: str, prefix: str, only: str = "", **who: str) -> dict[str, str]:
    """Try everything as somebody, or what begins with some words; say of each what came of it."""
    done = project.python("-c", PROGRAM, role, only, prefix, json.dumps(TABLES), **who)
    assert done.code == 0, done.err
    found: dict[str, str] = json.loads(done.out.splitlines()[-1])
    return found


def account(project: Project, role: str) -> dict[str, str]:
    """The credentials of the account of a role, as ``access apply`` wrote them."""
    from urllib.parse import quote

    login = LOGINS[role]
    return {"DJ_USER": login, "DJ_PASS": project.read(f".secrets/accounts/{quote(login, safe='')}").strip()}


def allowed(role: str, name: str, backend: str, environment: str = "prod") -> bool:
    """Tell whether a role may do something, as the documentation says."""
    operation, _, rest = name.partition(" ")
    if environment == "dev" and role == "developer":
        return backend == "postgresql" or not (operation == "grant" or name == "declare elsewhere")
    if name == "declare elsewhere":  # on MySQL, rights are on schemas by their names
        return role == "admin" and backend == "postgresql"
    if role == "admin" or operation in ("import", "fetch", "join", "progress", "jobs", "read"):
        return True
    if role == "analyst":
        own = rest in ("analysis.Result", "analysis.Note", "reserved analysis.Result")
        return own and operation in ("insert", "skip", "update", "delete", "populate")
    if role == "operator":
        match operation:
            case "insert":
                return rest != "subject.Strain"
            case "skip":  # MySQL writes it as an update
                return rest != "subject.Strain" and backend == "postgresql"
            case "delete":
                return rest not in ("subject.Strain", "subject.Subject")
            case "cascade":
                return rest != "subject.Subject"
            case "populate":
                return True
    return False


def wrong(role: str, backend: str, found: Mapping[str, str], environment: str = "prod") -> dict[str, Any]:
    """Give what came out otherwise than it should."""
    expected = {name: "ok" if allowed(role, name, backend, environment) else "denied" for name in found}
    return {name: (expected[name], came) for name, came in found.items() if came != expected[name]}


def forget(server: Server, prefix: str) -> None:
    """Take away the schemas of the pipeline, and every role and account that was made for it."""
    names = [f"{prefix}{name}" for name in (*SCHEMAS, *(f"other_{role}" for role in LOGINS))]
    server.drop(*names, *(f"dev_{name}" for name in names))
    forget_accounts(server, prefix)


def forget_accounts(server: Server, prefix: str) -> None:
    """Take away every role and account that was made for pipelines whose names begin so."""
    if server.backend == "mysql":
        mark = f"LEFT(attribute->>'$.managed_by', {len(prefix)}) = '{prefix}'"
        query = f"SELECT user FROM information_schema.user_attributes WHERE {mark}"
        for (name,) in server.execute(query):
            server.execute(f"DROP USER {quoted(server, name)}@`%`")
        return
    mark = f"strpos(shobj_description(oid, 'pg_authid'), '\"managed_by\": \"{prefix}') > 0"
    query = f"SELECT rolname FROM pg_roles WHERE {mark}"
    names = [quoted(server, name) for (name,) in server.execute(query)]
    for name in names:
        server.execute(f"DROP OWNED BY {name} CASCADE")
    for name in names:
        server.execute(f"DROP ROLE {name}")


def quoted(server: Server, *names: str) -> str:
    """A name, or several with dots between them, as the server takes it."""
    mark = "`" if server.backend == "mysql" else '"'
    return ".".join(f"{mark}{name.replace(mark, 2 * mark)}{mark}" for name in names)
