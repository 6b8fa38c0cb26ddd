"""Attributes that a foreign key brought keep their type when the key goes, also before the next migration of the run."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
from conftest import Project, Server
from living import ok, states
from test_ddl import connect
from test_migrate import living as living

from datajoint_pipeline.ddl.build import build
from datajoint_pipeline.dialects import catalog, choice, constraints
from datajoint_pipeline.diff.changes import difference
from datajoint_pipeline.diff.questions import Answers
from datajoint_pipeline.schema.model import TableName

assert living  # a fixture

#: By what happens: the tables of ``life`` at first and after each migration, with the answers; and rows.
#: Where a class stands behind ``work.``, it is one of that schema.
Tables = dict[str, str]
SES, INS = "sub : varchar(10); at : datetime; ---; x : int32", "-> Ses; n : int16"
NUMBERED = "sub : varchar(10); sid : int32; ---; at : datetime; x : int32"
ROWS = {"Ses": "('a', '2024-01-01 10:00:00', 1), ('b', '2024-01-02 10:00:00', 2)"}
ROWS["Ins"] = "('a', '2024-01-01 10:00:00', 1), ('b', '2024-01-02 10:00:00', 2)"
KIND, KINDS = "kind : enum('k', 'l'); ---; x : int32", {"Kind": "('k', 1), ('l', 2)"}
COMES = {"work.Ins": "-> life.Kind; n : int16"}
CHAINS: dict[str, tuple[dict[str, str], Tables, list[tuple[Tables, str]]]] = {
    "two changes of a key": (
        ROWS,
        {"Ses": SES, "Ins": INS},
        [
            ({"Ses": NUMBERED}, "--fill Ses.sid=number() --drop Ins.at"),
            ({"Ins": f"{INS}; cur : int32"}, "--fill Ins.cur=1"),
        ],
    ),
    "four migrations, among them one that gives the parent another type": (
        ROWS,
        {"Ses": SES, "Ins": INS},
        [
            ({"Ses": NUMBERED}, "--fill Ses.sid=number() --drop Ins.at"),
            ({"Ses": NUMBERED.replace("varchar(10)", "varchar(20)")}, ""),
            ({"Ins": f"{INS}; cur : int32"}, "--fill Ins.cur=1"),
            (
                {"Ses": "num : int64; ---; x : int32"},
                "--fill Ses.num=number() --drop Ins.sub --drop Ins.sid --drop Ses.sub --drop Ses.sid --drop Ses.at",
            ),
        ],
    ),
    "an attribute with another name than the parent's": (
        ROWS,
        {"Ses": SES, "Ins": "-> Ses.proj(moment='at'); n : int16"},
        [
            ({"Ses": NUMBERED, "Ins": INS}, "--fill Ses.sid=number() --drop Ins.moment"),
            ({"Ins": f"{INS}; cur : int32"}, "--fill Ins.cur=1"),
        ],
    ),
    "a part, and a table below it": (
        {"Ses": ROWS["Ses"], "Ses.Bit": "('a', '2024-01-01 10:00:00', 1), ('b', '2024-01-02 10:00:00', 2)"}
        | {"Use": "('a', '2024-01-01 10:00:00', 1, 5)"},
        {"Ses": SES, "Ses.Bit": "-> master; n : int16", "Use": "-> Ses.Bit; u : int32"},
        [
            ({"Ses": NUMBERED}, "--fill Ses.sid=number() --drop Ses.Bit.at --drop Use.at"),
            ({"Ses.Bit": "-> master; n : int16; m : int16"}, "--fill Ses.Bit.m=1"),
            ({"Use": "-> Ses.Bit; u : int32; ---; v = null : int32"}, ""),
        ],
    ),
    "a parent that goes": (
        ROWS,
        {"Ses": SES, "Ins": INS},
        [
            ({"Ses": "", "Ins": "n : int16"}, "--drop Ses --drop Ins.sub --drop Ins.at"),
            ({"Ins": "n : int16; cur : int32"}, "--fill Ins.cur=1"),
            ({"Ins": "n : int16; cur : int32; ---; more = null : int32"}, ""),
        ],
    ),
    "a table that goes before its parent": (
        ROWS,
        {"Ses": SES, "Ins": INS},
        [({"Ins": ""}, "--drop Ins"), ({"Ses": ""}, "--drop Ses")],
    ),
    "an attribute below the line": (
        {**ROWS, "Ins": "(1, 'a', '2024-01-01 10:00:00'), (2, 'b', '2024-01-02 10:00:00')"},
        {"Ses": SES, "Ins": "n : int16; ---; -> Ses"},
        [
            ({"Ins": "n : int16"}, "--drop Ins.sub --drop Ins.at"),
            ({"Ins": "n : int16; m : int16"}, "--fill Ins.m=1"),
        ],
    ),
    "an enum of another schema": (
        {**KINDS, "work.Ins": "('k', 1), ('l', 2)"},
        {"Kind": KIND, "work.Ins": "-> life.Kind; n : int16"},
        [
            ({"work.Ins": "n : int16"}, "--drop work.Ins.kind"),
            ({"work.Ins": "n : int16; cur : int32"}, "--fill work.Ins.cur=1"),
            ({"work.Ins": "n : int16; cur : int32; two : int8"}, "--fill work.Ins.two=1"),
        ],
    ),
    "a table that moves to another schema": (
        {**KINDS, "Ins": "('k', 1), ('l', 2)"},
        {"Kind": KIND, "Ins": "-> Kind; n : int16"},
        [
            ({"Ins": "n : int16"}, "--drop Ins.kind"),
            ({"Ins": "", "work.Ins": "n : int16"}, "--rename-table life.Ins=work.Ins"),
            ({"work.Ins": "n : int16; cur : int32"}, "--fill work.Ins.cur=1"),
        ],
    ),
    "a table that moves, and loses what its parent gave": (
        {**KINDS, "Ins": "('k', 1), ('l', 2)"},
        {"Kind": KIND, "Ins": "-> Kind; n : int16"},
        [
            ({"Ins": "", "work.Ins": "n : int16"}, "--rename-table life.Ins=work.Ins --drop Ins.kind"),
            ({"work.Ins": "n : int16; cur : int32"}, "--fill work.Ins.cur=1"),
        ],
    ),
    "a parent that goes with a table that came since": (
        KINDS,
        {"Kind": KIND},
        [(COMES, ""), ({"Kind": "", "work.Ins": ""}, "--drop Kind --drop work.Ins")],
    ),
    "another name for the key of a parent, after a table came": (
        KINDS,
        {"Kind": KIND},
        [(COMES, ""), ({"Kind": KIND.replace("kind", "sort")}, "--rename life.Kind.kind=sort")],
    ),
    "another name for a parent, after a table came": (
        KINDS,
        {"Kind": KIND},
        [
            (COMES, ""),
            ({"Kind": "", "Sort": KIND, "work.Ins": "-> life.Sort; n : int16"}, "--rename-table life.Kind=life.Sort"),
        ],
    ),
    "a key of a parent that grows, after a table came": (
        KINDS,
        {"Kind": KIND},
        [(COMES, ""), ({"Kind": f"also : int16; {KIND}"}, "--fill Kind.also=1")],
    ),
    "an attribute that becomes the table's own": (
        {**KINDS, "Ins": "('k', 1), ('l', 2)"},
        {"Kind": KIND, "Ins": "-> Kind; n : int16"},
        [
            ({"Ins": "kind : enum('k', 'l'); n : int16", "Kind": ""}, "--drop Kind"),
            ({"Ins": "n : int16"}, "--drop Ins.kind"),
            ({"Ins": "n : int16; cur : int32"}, "--fill Ins.cur=1"),
        ],
    ),
}


def place_of(title: str) -> str:
    schema, table = ("work", title[5:]) if title.startswith("work.") else ("life", title)
    return f"dev_{schema}.{table.lower().replace('.', '__')}"


def source(own: Tables, schema: str) -> str:
    """The classes of a schema, parts within their masters."""
    found = {
        name.removeprefix("work."): text
        for name, text in own.items()
        if text and name.startswith("work.") == (schema == "work")
    }
    lines = list[str]()
    for name, text in found.items():
        if "." in name:
            continue
        definition = text.replace("; ", "\n    ")
        lines += ["", "", "@schema", f"class {name}(dj.Manual):", f'    definition = """\n    {definition}\n    """']
        for part in found:
            if part.startswith(f"{name}."):
                definition = found[part].replace("; ", "\n        ")
                lines += ["", f"    class {part.partition('.')[2]}(dj.Part):"]
                lines += [f'        definition = """\n        {definition}\n        """']
    return "\n".join([*lines, ""])


@pytest.mark.parametrize("name", CHAINS)
def test_pending_migrations_run_at_once(name: str, living: Project, server: Server) -> None:
    inserted, now, changes = CHAINS[name]
    first = {module: living.read(living.module(module)) for module in ("life", "work")}

    def lay(own: Tables) -> None:
        for module, text in first.items():
            living.write(living.module(module), text + source(own, module))

    def columns(place: str) -> str:
        schema, _, table = place.partition(".")
        found = server.execute(
            "SELECT column_name FROM information_schema.columns "
            f"WHERE table_schema = '{schema}' AND table_name = '{table}' ORDER BY ordinal_position"
        )
        return ", ".join(name for (name,) in found if not name.startswith("_"))

    def all_rows(own: Tables) -> dict[str, list[Any]]:
        found = {}
        for place in (place_of(title) for title, text in own.items() if text):
            shown = sorted(columns(place).split(", "))
            found[place] = [shown, *sorted(server.execute(f"SELECT {', '.join(shown)} FROM {place}"))]
        return found

    lay(now)
    ok(living, "revise", "-m", "first")
    ok(living, "migrate")
    for title, values in inserted.items():
        place = place_of(title)
        server.execute(f"INSERT INTO {place} ({columns(place)}) VALUES {values}")
    begun, had, begin = dict(now), all_rows(now), states(living)
    for number, (change, answers) in enumerate(changes):
        now = now | change
        lay(now)
        ok(living, "revise", "-m", f"change {number}", *answers.split())
    ok(living, "migrate", "--dry-run", code=3)
    ok(living, "migrate")
    assert {state for state, _ in states(living).values()} == {"current"}
    after = all_rows(now)
    ok(living, "check")
    for schema in ("life", "work"):
        if states(living)[schema][1] != begin[schema][1]:
            back = ["rollback", schema, "--to", str(begin[schema][1]), "--along"]
            refused = living.run(*back)
            if first_step := re.search(r"First run .*? (rollback .*)[.]", refused.err):
                ok(living, *first_step[1].split())
            if refused.code:
                ok(living, *back)
    assert {schema: version for schema, (_, version) in states(living).items()} == {
        schema: version for schema, (_, version) in begin.items()
    }
    assert all_rows(begun) == had
    ok(living, "migrate", "--dry-run", code=3)
    ok(living, "migrate")
    assert all_rows(now) == after


def test_what_could_not_come_again_does_not_go_alone(living: Project, server: Server) -> None:
    """A table came that refers to another; then both went, and the other's schema stays as it is."""
    life, work = living.module("life"), living.module("work")
    kept = living.read(life), living.read(work)
    living.write(life, kept[0] + source({"Kind": KIND}, "life"))
    ok(living, "revise", "-m", "kinds")
    ok(living, "migrate")
    living.write(work, kept[1] + source(COMES, "work"))
    ok(living, "revise", "-m", "comes")
    ok(living, "migrate")
    for path, text in ((life, kept[0]), (work, kept[1])):
        living.write(path, text)
    ok(living, "revise", "-m", "goes", "--drop", "Kind", "--drop", "Ins")
    ok(living, "migrate")
    begun = states(living)
    refused = ok(living, "rollback", "work", "--to", "1.0.0", code=1).err
    assert (
        "migrate could not apply again what would be taken back" in refused and "--along, which also takes" in refused
    )
    assert states(living) == begun
    ok(living, "rollback", "work", "--to", "1.0.0", "--along")
    ok(living, "migrate")
    assert states(living) == begun


#: Types that a key can have, declared and native.
TYPES = [
    *("int8", "int16", "int32", "int64", "bool", "uuid", "date", "datetime", "datetime(3)", "time", "char(4)"),
    *("varchar(10)", "decimal(6,2)", "enum('a', 'b''c')"),
]
NATIVE = {
    "mysql": ["int unsigned", "smallint", "timestamp(3)", "double", "numeric(6,2)"],
    "postgresql": ["integer", "float", "real", "timestamp(3)", "time(2)"],
}


def test_a_plan_knows_what_the_server_will_tell(server: Server) -> None:
    """Of hidden attributes whose foreign key is gone, whatever their types."""
    schema, databases = "went", {"went": "low_went", "other": "low_went_other"}
    server.drop(*databases.values())
    dj, connection = connect(server)
    try:
        parents = {}
        for name, database in databases.items():
            made = dj.Schema(database, connection=connection)
            for number, type_ in enumerate([*TYPES, *NATIVE[server.backend]]):
                title = f"{name.capitalize()}{chr(ord('A') + number)}"
                definition = {"definition": f"{title.lower()} : {type_}  # a comment: of {type_.replace(chr(39), '')}"}
                parents[title] = made(type(title, (dj.Manual,), definition))
        own = dj.Schema(databases[schema], connection=connection)
        lines = [f"-> [nullable] {t}" + f".proj(of_{t.lower()}='{t.lower()}')" * ("Other" in t) for t in parents]
        child = type("Child", (dj.Manual,), {"definition": "child : int32\n---\n" + "\n".join(lines)})
        own(child, context=parents)
        catalogue = catalog.find(connection, databases)
        before = {t.name: t for s in catalog.shapes(connection, databases, catalogue).values() for t in s}
        name = TableName(schema, "child")
        after = before | {name: replace(before[name], attributes=before[name].attributes[:1], foreign_keys=())}
        operations = difference(before, after, Answers(drops=frozenset((name, a) for a in before[name].attribute)))
        assert not operations.questions
        names = constraints.names(catalogue)
        plan = build(before, operations.operations, choice.make(connection, databases, before, after, names))
        for step in plan.steps:
            connection.query(step.sql, args=None)
        found = catalog.read(connection, databases)[schema].table["child"].attribute
        planned = plan.after[name].attribute
        hidden = [a for a in found if a.startswith("_dropped_")]
        assert len(hidden) == len(parents)
        wrong = [(planned[a], found[a]) for a in hidden if planned[a] != found[a]]
        assert not wrong, "\n".join(map(str, wrong))
    finally:
        connection.close()
        server.drop(*databases.values())


#: By what happens: tables before and after, the answers, the line behind which the lab has a statement run, and rows.
BETWEEN = {
    "a key that goes first": (
        {"Kind": KIND, "Ins": "n : int16; ---; -> Kind"},
        {"Kind": KIND, "Ins": "n : int16; ---; kind : enum('k', 'l')"},
        "",
        "DropForeignKey",
        "(1, 'k'), (2, 'l')",
    ),
    "a key that goes with its attribute": (
        {"Kind": KIND, "Ins": "n : int16; ---; -> Kind"},
        {"Kind": KIND, "Ins": "n : int16"},
        "--drop Ins.kind",
        "DropForeignKey",
        "(1, 'k'), (2, 'l')",
    ),
    "a new attribute": (
        {"Kind": KIND, "Ins": "n : int16"},
        {"Kind": KIND, "Ins": "n : int16; ---; -> [nullable] Kind"},
        "",
        "AddAttribute",
        "(1), (2)",
    ),
    "a table that gets another name": (
        {"Kind": KIND, "Ins": "n : int16; ---; kind : enum('k', 'l')"},
        {"Kind": KIND, "Used": "n : int16; ---; -> Kind"},
        "--rename-table Ins=Used",
        "AlterAttribute",
        "(1, 'k'), (2, 'l')",
    ),
}


@pytest.mark.parametrize("name", BETWEEN)
def test_a_statement_between_a_key_and_its_attributes(name: str, living: Project, server: Server) -> None:
    before, after, answers, line, inserted = BETWEEN[name]
    life = living.module("life")
    text = living.read(life)
    living.write(life, text + source(before, "life"))
    ok(living, "revise", "-m", "first")
    ok(living, "migrate")
    columns = "n, kind" if "kind" in before["Ins"].lower() else "n"
    server.execute(
        f"INSERT INTO dev_life.kind (kind, x) VALUES {KINDS['Kind']}",
        f"INSERT INTO dev_life.ins ({columns}) VALUES {inserted}",
    )
    living.write(life, text + source(after, "life"))
    ok(living, "revise", "-m", "then", *answers.split())
    (path,) = (living.folder / "src/my_pipeline/migrations/life").glob("*_then.py")
    lines, done = path.read_text().splitlines(), list[str]()
    sql = '"UPDATE {life}.kind SET x = x + 1"'
    for each in lines:
        done.append(re.sub("import .*", "import *", each) if each.startswith("from datajoint") else each)
        if each.startswith(f"    {line}("):
            done.append(f'    RunSQL("count", mysql={sql}, postgresql={sql}),')
    assert len(done) == len(lines) + 1, path.read_text()
    path.write_text("\n".join([*done, ""]))
    ok(living, "migrate", "--dry-run", code=3)
    ok(living, "migrate")
    assert states(living)["life"][0] == "current"
    assert server.execute("SELECT x FROM dev_life.kind ORDER BY x") == [(2,), (3,)]
    ok(living, "check")
