"""Which keys each table is to have: by DataJoint's own rule as far as the database tells it, else by the code.

The default ``key_source`` follows from the foreign keys, so that the lab's modules are imported only where their text
says that a table may have one of its own.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from .. import server_errors
from ..dialects import catalog, queues
from ..internals import job_tables, key_sources
from ..planner import hidden
from ..project.environments import Environment
from ..project.pipeline import Pipeline
from ..quoting import quoter
from ..schema.model import Table, TableName

if TYPE_CHECKING:
    import datajoint as dj

#: Classes that bring no ``key_source`` with them.
_TIERS = {"Manual", "Lookup", "Imported", "Computed", "Part"}

_POPULATED = ("Imported", "Computed")


@dataclass(frozen=True)
class Keys:
    """What is known of the keys of one table.

    Parameters
    ----------
    table : Table
        The table, as the database has it; by its own name, where a run has it hidden by another one.
    source : Source or None
        What counts its keys; None where that cannot be known.
    own : bool
        Whether its class has a ``key_source`` of its own.
    upstream : tuple of TableName
        Tables that are populated and whose rows make its keys.
    problem : str
        Why its keys cannot be counted; else empty.
    """

    table: Table
    source: queues.Source | None
    own: bool
    upstream: tuple[TableName, ...]
    problem: str = ""


def read(pipeline: Pipeline, environment: Environment) -> list[Keys]:
    """Find the keys of every table that is populated, in dependency order; declares nothing.

    Parameters
    ----------
    pipeline, environment : Pipeline, Environment
        Where.
    """
    target = pipeline.target(environment)
    connection, databases = target.connection, target.databases
    catalogue = catalog.find(connection, databases)
    tables = {t.name: t for shape in catalog.shapes(connection, databases, catalogue).values() for t in shape}
    populated = [name for name in _ordered(tables, list(databases)) if tables[name].tier in _POPULATED]
    called = {name: name for name in tables} | hidden.own_names(target, tables)
    own, problems = _own(pipeline, environment, databases, [called[name] for name in populated])
    quote = quoter(connection)
    names = {quote(databases.get(n.schema, n.schema), n.table): n for n in tables}
    found = []
    for name in populated:
        table, query = tables[name], own.get(called[name])
        read_from = [key.parent for key in table.foreign_keys]
        problem = problems.get(called[name], "")
        if query is not None:
            read_from += [names[text] for text in query.tables if text in names]
            keys, attributes = query.sql, query.attributes
        else:
            keys, attributes = _default(connection, table, databases)
            if not keys and not problem:
                problem = "no foreign key is in its primary key, so DataJoint knows no keys for it"
        upstream = dict.fromkeys(master for parent in read_from if (master := _populated_by(tables, parent)) != name)
        place = (databases[name.schema], name.table)
        jobs = job_tables.key(table)
        source = queues.Source(
            place,
            keys,
            tuple(attribute for attribute in attributes if attribute in table.primary_key),
            jobs if (place[0], job_tables.PREFIX + called[name].table.lstrip("_")) in catalogue.tables else (),
            several=set(jobs) != set(table.primary_key),
            timed="_job_start_time" in table.attribute,
            called=called[name].table,
        )
        found.append(
            Keys(
                replace(table, name=called[name]),
                None if problem else source,
                query is not None,
                tuple(called[parent] for parent in upstream if parent is not None),
                problem,
            )
        )
    return found


def _default(connection: dj.Connection, table: Table, databases: Mapping[str, str]) -> tuple[str, tuple[str, ...]]:
    """Give DataJoint's own query for the keys of a table, and their attributes; nothing where it has none."""
    keys = [key for key in table.keys_in_order if set(key.attributes) <= set(table.primary_key)]
    if not keys:
        return "", ()
    parents = [
        (
            (databases.get(key.parent.schema, key.parent.schema), key.parent.table),
            dict(zip(key.attributes, key.parent_attributes, strict=True)),
        )
        for key in keys
    ]
    attributes = dict.fromkeys(name for key in keys for name in key.attributes)
    return queues.default_keys(connection, parents), tuple(attributes)


def _populated_by(tables: Mapping[TableName, Table], name: TableName) -> TableName | None:
    """Give the table whose ``make`` enters the rows of another: itself, or a part's master; None where people do."""
    table = tables.get(name)
    if table is None or table.tier_of_rows not in _POPULATED:
        return None
    return table.master or name


def _ordered(tables: Mapping[TableName, Table], schemas: list[str]) -> list[TableName]:
    """Give the tables with parents before children, else in the order of schemas and names."""
    order: dict[TableName, None] = {}
    entered: set[TableName] = set()

    def visit(name: TableName) -> None:
        if name in entered or name not in tables:
            return
        entered.add(name)
        for key in tables[name].foreign_keys:
            visit(key.parent)
        order[name] = None

    for name in sorted(tables, key=lambda name: (schemas.index(name.schema), name.table)):
        visit(name)
    return list(order)


# --- A key_source of one's own ---------------------------------------------------------------------------------------


def _own(
    pipeline: Pipeline, environment: Environment, databases: Mapping[str, str], populated: list[TableName]
) -> tuple[dict[TableName, key_sources.Query], dict[TableName, str]]:
    """Give the queries of the classes that have one of their own, and why those of others cannot be known."""
    found: dict[TableName, key_sources.Query] = {}
    problems: dict[TableName, str] = {}
    classes_of: dict[str, list[frozenset[str] | None]] = {}
    for module in pipeline.graph.modules.values():
        named = _read(module.path.read_text(encoding="utf-8"))
        for schema in module.schemas:
            classes_of.setdefault(schema, []).append(named)
    suspects = [
        name
        for name in populated
        if any(those is None or name.title in those for those in classes_of.get(name.schema, []))
    ]
    if not suspects:
        return found, problems
    connection = pipeline.connect(environment)

    def place(schema: str) -> dict[str, Any]:
        # Without the guard: that a database is behind is no reason to hide how its tables stand.
        name = environment.database(schema)
        return {"schema_name": name, "connection": connection, "create_schema": False, "create_tables": False}

    with pipeline.opening(place):
        for schema in dict.fromkeys(name.schema for name in suspects):
            there = {name.table: name for name in suspects if name.schema == schema}
            try:
                classes = list(job_tables.auto_populated(pipeline.import_schema(schema), databases[schema]))
            except Exception as error:  # whatever the lab's code raises
                reason = server_errors.reason(error)
                problems |= {name: f"its module cannot be imported: {reason}" for name in there.values()}
                continue
            for one in classes:
                if (name := there.get(one.table_name)) is None:
                    continue
                try:
                    query = key_sources.own(one)
                except Exception as error:
                    problems[name] = f"its key_source cannot be queried: {server_errors.reason(error)}"
                else:
                    found |= {name: query} if query is not None else {}
    return found, problems


def _read(text: str) -> frozenset[str] | None:
    """Give the classes of a module that name a ``key_source``, or may get one from a class that they are made from;
    None where something else in the module names one, or brings tables from elsewhere.
    """
    tree = ast.parse(text)
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    sources = {one.name: ast.get_source_segment(text, one) or "" for one in classes}
    within = sum(source.count("key_source") for source in sources.values())
    if "activate(" in text or text.count("key_source") > within:
        return None
    return frozenset(
        one.name
        for one in classes
        if "key_source" in sources[one.name]
        or any(ast.unparse(base).rpartition(".")[2] not in _TIERS for base in one.bases)
    )
