"""Enum types of PostgreSQL: what DataJoint calls them, and where they are when tables move."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from .constraints import Names, Place
from .model import TableName
from .step import Step

if TYPE_CHECKING:
    from .postgresql import PostgreSQL


def enum_of(core: str) -> tuple[str, tuple[str, ...]]:
    """The name that DataJoint gives the type of an enum, and its values: it divides the text at each comma."""
    values = [part.strip().strip("'\"") for part in core[5:-1].split(",")]
    digest = hashlib.md5("_".join(sorted(values)).encode()).hexdigest()[:8]
    return f"enum_{digest}", tuple(value.replace("''", "'") for value in values)


def move_types(lowering: PostgreSQL, name: TableName, database: str) -> list[Step]:
    """Let the enum types of a table that came from another schema come along, lest they go with that schema."""
    place, steps = lowering.place(name), list[Step]()
    own = lowering._names.table(place)
    for type_ in sorted({type_ for type_ in own.enums.values() if type_[0] == database != place[0]}):
        family = _family(lowering._names, place, {column for column, used in own.enums.items() if used == type_})
        users = {
            (where, column)
            for where, table in lowering._names.tables.items()
            for column, used in table.enums.items()
            if used == type_
        }
        there = {used for _, table in lowering._names.tables.items() for used in table.enums.values()}
        moved, full = (place[0], type_[1]), ".".join(map(lowering.quote, type_))
        if users <= family and moved not in there:
            sql = f"ALTER TYPE {full} SET SCHEMA {lowering.quote(place[0])}"
            steps.append(Step(sql, (name,), f"move the type {type_[1]} to {name.schema}"))
            for where, column in users:
                lowering._names.table(where).enums[column] = moved
    return steps


def _family(names: Names, place: Place, columns: set[str]) -> set[tuple[Place, str]]:
    """Columns, and those that foreign keys bring from them."""
    found = {(place, column) for column in columns}
    while True:
        more = {
            (child, ours)
            for child, table in names.tables.items()
            for key in table.foreign_keys
            for ours, theirs in zip(key.attributes, key.parent_attributes, strict=True)
            if (key.parent, theirs) in found
        }
        if more <= found:
            return found
        found |= more
