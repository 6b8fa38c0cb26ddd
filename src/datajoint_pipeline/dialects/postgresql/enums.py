"""Enum types of PostgreSQL, which DataJoint calls after their values, in the schema of the table that declares them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable

from ...internals.job_tables import PREFIX as JOBS
from ...schema import notation
from ...schema.model import Table, TableName
from ...schema.naming import unused
from ..base import Dialect
from ..constraints import Place
from ..steps import Alteration, Change, Column, Step
from .texts import block

#: A column: the place of its table, and its name.
Where = tuple[Place, str]


def name_and_values(core: str) -> tuple[str, tuple[str, ...]]:
    """Give the name that DataJoint gives the type of an enum, and its values: it splits the text at each comma."""
    values = [part.strip().strip("'\"") for part in core[5:-1].split(",")]
    digest = hashlib.md5("_".join(sorted(values)).encode()).hexdigest()[:8]
    return f"enum_{digest}", tuple(value.replace("''", "'") for value in values)


def make(dialect: Dialect, table: Table, columns: list[Column]) -> list[Step]:
    """Make the types of columns where they are missing."""
    steps, known = {}, dialect.names.table(dialect.place(table.name))
    for column in columns:
        if not column.core.startswith("enum("):
            continue
        schema = dialect.origin(dialect.after, table, table.attribute[column.name])[1]
        name, values = name_and_values(column.core)
        known.enums[column.name] = (dialect.databases.get(schema, schema), name)
        create = f"CREATE TYPE {column.sql} AS ENUM ({', '.join(map(dialect.literal, values))})"
        text = block(f"BEGIN {create}; EXCEPTION WHEN duplicate_object THEN NULL; END")
        words = f"make the type of {', '.join(values)} where it is missing"
        steps[column.sql] = Step(text, (table.name,), words)
    return list(steps.values())


def drop(dialect: Dialect, name: TableName, types: list[Place]) -> list[Step]:
    """Drop types that nothing needs any more."""
    steps = []
    for type_ in types:
        drop = f"DROP TYPE IF EXISTS {'.'.join(map(dialect.quote, type_))}"
        text = block(f"BEGIN {drop}; EXCEPTION WHEN dependent_objects_still_exist THEN NULL; END")
        steps.append(Step(text, (name,), f"drop the type {type_[1]} where nothing needs it"))
    return steps


def move(dialect: Dialect, name: TableName, database: str) -> list[Step]:
    """Move the enum types of a table that came from the schema ``database``, lest they be dropped with that schema."""
    place, steps = dialect.place(name), list[Step]()
    known = dialect.names.table(place)
    keys = [
        (dialect.where(table.name), key.attributes, dialect.where(key.parent), key.parent_attributes)
        for table in dialect.before.values()
        for key in table.foreign_keys
    ]
    for type_ in sorted({type_ for type_ in known.enums.values() if type_[0] == database != place[0]}):
        family = _family(keys, {(place, column) for column, used in known.enums.items() if used == type_})
        users = _users(dialect, type_)
        there = {used for _, table in dialect.names.tables.items() for used in table.enums.values()}
        moved, full = (place[0], type_[1]), ".".join(map(dialect.quote, type_))
        if users <= family and moved not in there:
            sql = f"ALTER TYPE {full} SET SCHEMA {dialect.quote(place[0])}"
            steps.append(Step(sql, (name,), f"move the type {type_[1]} to {name.schema}"))
            for where, column in users:
                dialect.names.table(where).enums[column] = moved
    return steps


def restore(dialect: Dialect, table: Table) -> list[Step]:
    """Give the enums of a table that was soft-deleted the types that have taken the place of theirs since."""
    place, steps = dialect.place(table.name), list[Step]()
    for name, column in dialect.columns(dialect.after, table).items():
        used = dialect.names.table(place).enums.get(name)
        if used is None or ".".join(map(dialect.quote, used)) == column.sql:
            continue
        quoted = dialect.quote(name)
        change = f"ALTER COLUMN {quoted} TYPE {column.sql} USING {quoted}::text::{column.sql}"
        words = f"give {name} in {table.name} its type again"
        steps.append(
            Step(f"ALTER TABLE {dialect.full(table.name)} {change}", (table.name,), words, rewrites=True, lock="all")
        )
        database, type_ = (part.replace('""', '"') for part in re.findall(r'"((?:[^"]|"")*)"', column.sql))
        dialect.names.table(place).enums[name] = (database, type_)
        steps += drop(dialect, table.name, [used])
    return steps


def reordered(dialect: Dialect, alteration: Alteration, change: Change) -> list[str]:
    """Find the enum attributes, by their names before, whose values get another order.

    The name of a type does not tell the order. A type that others have, too, is left alone, as DataJoint leaves it.
    """
    place, found = dialect.place(alteration.before.name), list[str]()
    keys = [
        (dialect.place(table.name), key.attributes, dialect.place(key.parent), key.parent_attributes)
        for table in dialect.before.values()
        for key in table.foreign_keys
    ]
    for name, will in change.will.items():
        was, old = change.was.get(name), change.old.get(name, "")
        type_ = dialect.names.table(place).enums.get(old)
        if was is None or type_ is None or was.sql != will.sql or not will.core.startswith("enum("):
            continue
        same = notation.enum_values(was.core) == notation.enum_values(will.core)
        if not same and _users(dialect, type_) <= _family(keys, {(place, old)}):
            found.append(old)
    return found


def rename_reordered(dialect: Dialect, alteration: Alteration, change: Change) -> list[Step]:
    """Rename the types of :func:`reordered` attributes, so that new ones can be made under their names."""
    steps = []
    for old in reordered(dialect, alteration, change):
        type_ = dialect.names.table(dialect.place(alteration.before.name)).enums[old]
        other = (type_[0], unused(f"{type_[1]}_was", {used[1] for used in _types(dialect)}))
        sql = f"ALTER TYPE {'.'.join(map(dialect.quote, type_))} RENAME TO {dialect.quote(other[1])}"
        steps.append(Step(sql, (alteration.after.name,), f"rename the old type of {old}"))
        for where, column in _users(dialect, type_):
            dialect.names.table(where).enums[column] = other
    return steps


def _types(dialect: Dialect) -> set[Place]:
    return {type_ for table in dialect.names.tables.values() for type_ in table.enums.values()}


def _users(dialect: Dialect, type_: Place) -> set[Where]:
    """Find the columns of a type."""
    tables = dialect.names.tables.items()
    return {(where, column) for where, table in tables for column, used in table.enums.items() if used == type_}


def _family(keys: Iterable[tuple[Place, tuple[str, ...], Place, tuple[str, ...]]], columns: set[Where]) -> set[Where]:
    """Give columns, those that foreign keys bring from them, and those of the jobs of their tables."""
    keys, found = list(keys), set(columns)
    while True:
        more = {
            (child, ours)
            for child, attributes, parent, parent_attributes in keys
            for ours, theirs in zip(attributes, parent_attributes, strict=True)
            if (parent, theirs) in found
        }
        if more <= found:
            return found | {((place[0], JOBS + place[1].lstrip("_")), column) for place, column in found}
        found |= more
