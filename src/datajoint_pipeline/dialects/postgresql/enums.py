"""Enum types of PostgreSQL, which DataJoint calls after their values, in the schema of the table that declares them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import replace

from ...internals.declaration_checks import NOT_IN_ENUMS
from ...internals.job_tables import PREFIX as JOBS
from ...schema import notation
from ...schema.model import Attribute, Table, TableName
from ...schema.naming import unused
from .. import enum_values
from ..base import Dialect
from ..constraints import Place
from ..steps import Alteration, Change, Column, Step
from .texts import block

#: Signs that a definition cannot have but as a backslash and a letter.
_WRITTEN_WITH_A_BACKSLASH = "\0\b\n\r\x1a"

#: A column: the place of its table, and its name.
Where = tuple[Place, str]


def name_and_values(core: str) -> tuple[str, tuple[str, ...]]:
    """Give the name that DataJoint gives the type of an enum, and its values: it splits the text at each comma."""
    values = [part.strip().strip("'\"") for part in core[5:-1].split(",")]
    digest = hashlib.md5("_".join(sorted(values)).encode()).hexdigest()[:8]
    return f"enum_{digest}", tuple(value.replace("''", "'") for value in values)


def make(dialect: Dialect, table: Table, columns: list[Column]) -> list[Step]:
    """Make the types of columns where they are missing."""
    own = [column for column in columns if not table.attribute[column.name].inherited]
    enum_values.refuse(str(table.name), own, str, NOT_IN_ENUMS + _WRITTEN_WITH_A_BACKSLASH)
    steps, known = {}, dialect.names.table(dialect.place(table.name))
    for column in columns:
        if not column.core.startswith("enum("):
            continue
        values = name_and_values(column.core)[1]
        known.enums[column.name] = _place(column.sql)
        dialect.names.orders.setdefault(known.enums[column.name], values)
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
        if not _users(dialect, type_):
            dialect.names.orders.pop(type_, None)
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
        moved, full = (place[0], type_[1]), ".".join(map(dialect.quote, type_))
        if users <= family and moved not in dialect.names.orders:
            sql = f"ALTER TYPE {full} SET SCHEMA {dialect.quote(place[0])}"
            steps.append(Step(sql, (name,), f"move the type {type_[1]} to {name.schema}"))
            for where, column in users:
                dialect.names.table(where).enums[column] = moved
            if type_ in dialect.names.orders:
                dialect.names.orders[moved] = dialect.names.orders.pop(type_)
    return steps


def restore(dialect: Dialect, table: Table) -> list[Step]:
    """Give the enums of a table that was soft-deleted the types that have taken the place of theirs since."""
    place, steps = dialect.place(table.name), list[Step]()
    for name, column in dialect.columns(dialect.after, table).items():
        used = dialect.names.table(place).enums.get(name)
        if used is None or ".".join(map(dialect.quote, used)) == column.sql:
            continue
        if not table.attribute[name].inherited and dialect.names.orders.get(used) == name_and_values(column.core)[1]:
            continue
        quoted = dialect.quote(name)
        change = f"ALTER COLUMN {quoted} TYPE {column.sql} USING {quoted}::text::{column.sql}"
        words = f"give {name} in {table.name} its type again"
        steps.append(
            Step(f"ALTER TABLE {dialect.full(table.name)} {change}", (table.name,), words, rewrites=True, lock="all")
        )
        dialect.names.table(place).enums[name] = _place(column.sql)
        steps += drop(dialect, table.name, [used])
    return steps


def inherited(dialect: Dialect, table: Table, attribute: Attribute, column: Column) -> Column:
    """Give a column that a foreign key brings with the type that the parent's has by now.

    Of two types with the same values, one has another name than DataJoint gives it.
    """
    if attribute.inherited and column.core.startswith("enum("):
        for key in table.foreign_keys:
            known = dialect.names.tables.get(dialect.where(key.parent)) if attribute.name in key.attributes else None
            type_ = known.enums.get(key.parent_attributes[key.attributes.index(attribute.name)]) if known else None
            if type_ and _may_stay(dialect, column, type_):
                return replace(column, sql=".".join(map(dialect.quote, type_)))
    return column


def still(dialect: Dialect, column: Column, was: Column) -> Column:
    """Give a column afterwards with the type that it has, unless its values are to have another order."""
    if column.sql == was.sql or not column.core.startswith("enum("):
        return column
    type_ = _place(was.sql)
    same = notation.enum_values(was.core) == notation.enum_values(column.core)
    stays = same or dialect.names.orders.get(type_) == name_and_values(column.core)[1]
    return replace(column, sql=was.sql) if stays and _may_stay(dialect, column, type_) else column


def _may_stay(dialect: Dialect, column: Column, type_: Place) -> bool:
    """Tell whether a type has the values of a column in any order, and is in the schema where its type is to be."""
    values, there = name_and_values(column.core)[1], dialect.names.orders.get(type_, ())
    return sorted(there) == sorted(values) and type_[0] == _place(column.sql)[0]


def reordered(dialect: Dialect, alteration: Alteration, change: Change) -> list[str]:
    """Find the enum attributes, by their names before, whose values get another order; no name of a type tells it."""
    place, found = dialect.place(alteration.before.name), list[str]()
    for name, will in change.will.items():
        was, old = change.was.get(name), change.old.get(name, "")
        type_ = dialect.names.table(place).enums.get(old)
        if was is None or type_ is None or was.sql != will.sql or not will.core.startswith("enum("):
            continue
        if notation.enum_values(was.core) != notation.enum_values(will.core) and _in_another_order(dialect, will):
            found.append(old)
    return found


def make_room(dialect: Dialect, table: Table, columns: Iterable[Column]) -> list[Step]:
    """Rename types that have the values of columns in another order, so that the columns can have types of their own.

    Other columns of these types keep them. A column that a foreign key brings has the type of the parent's.
    """
    steps = []
    for column in columns:
        own = not table.attribute[column.name].inherited and column.core.startswith("enum(")
        if not own or not _in_another_order(dialect, column):
            continue
        type_ = _place(column.sql)
        other = (type_[0], unused(f"{type_[1]}_was", {known[1] for known in dialect.names.orders}))
        sql = f"ALTER TYPE {'.'.join(map(dialect.quote, type_))} RENAME TO {dialect.quote(other[1])}"
        steps.append(Step(sql, (table.name,), f"rename the type that has the values of {column.name} in another order"))
        dialect.names.orders[other] = dialect.names.orders.pop(type_)
        for where, used in _users(dialect, type_):
            dialect.names.table(where).enums[used] = other
    return steps


def apart(dialect: Dialect, table: Table, columns: Iterable[Column]) -> list[Column]:
    """Give columns types of their own where another of them has the same values in another order.

    The first keeps the name that DataJoint gives the type. A column that a foreign key brings has its parent's type.
    """
    first, found = dict[str, dict[tuple[str, ...], str]](), list[Column]()
    for column in columns:
        if not table.attribute[column.name].inherited and column.core.startswith("enum("):
            types, values = first.setdefault(column.sql, {}), name_and_values(column.core)[1]
            if values not in types:
                taken = {name for _, name in dialect.names.orders} | {_place(sql)[1] for sql in types.values()}
                place = _place(column.sql)
                other = unused(f"{place[1]}_2", taken)
                types[values] = ".".join(map(dialect.quote, (place[0], other))) if types else column.sql
            column = replace(column, sql=types[values])
        found.append(column)
    return found


def _in_another_order(dialect: Dialect, column: Column) -> bool:
    """Tell whether there is a type of the name that a column's is to have, with its values in another order."""
    values, there = name_and_values(column.core)[1], dialect.names.orders.get(_place(column.sql))
    return there is not None and there != values and sorted(there) == sorted(values)


def _place(sql: str) -> Place:
    """Give schema and name of a type, as a statement has it."""
    parts = [part.replace('""', '"') for part in re.findall(r'"((?:[^"]|"")*)"', sql)]
    return (parts[0], parts[1]) if len(parts) == 2 else ("", "")


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
