"""From operations to steps: which statements, in which order across tables, bring one state of the tables to another.

Operations say what becomes of what; the order of statements follows from the two states alone. Foreign keys that a
change disturbs are dropped first and added last, also where the tables they join are equal before and after: a key that
gets another type changes every table below it. This room knows no SQL.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from .changes import dependency_order
from .lowering import Lowering
from .model import ForeignKey, Table, TableName
from .operations import AddAttribute, AlterAttribute, Fill, Operation, RenameAttribute, RenameTable, Tables
from .step import Alteration, FromParent, Literal, Step
from .step import Fill as Lowered


@dataclass
class Origins:
    """What the operations make of what.

    Parameters
    ----------
    tables : dict
        Where each table was before, by where it is afterwards; tables that are made are missing.
    attributes : dict
        What each attribute was called before, by table and name afterwards; attributes that are added are missing.
    fills : dict
        What existing rows get, by table and attribute afterwards.
    """

    tables: dict[TableName, TableName] = field(default_factory=dict)
    attributes: dict[TableName, dict[str, str]] = field(default_factory=dict)
    fills: dict[tuple[TableName, str], Fill] = field(default_factory=dict)


def trace(before: Tables, operations: Iterable[Operation]) -> tuple[dict[TableName, Table], Origins]:
    """Apply the operations and follow every table and attribute through them.

    Returns
    -------
    tables : dict
        The tables afterwards.
    origins : Origins
        Where they come from.
    """
    now = dict(before)
    origins = Origins({name: name for name in before}, {n: {a: a for a in t.attribute} for n, t in before.items()})
    for operation in operations:
        after = operation.apply(now)
        match operation:
            case RenameTable():
                names = operation.names(now)
                origins.tables = {names.get(n, n): old for n, old in origins.tables.items()}
                origins.attributes = {names.get(n, n): old for n, old in origins.attributes.items()}
                origins.fills = {(names.get(n, n), a): fill for (n, a), fill in origins.fills.items()}
            case RenameAttribute(table=name, old=old, new=new):
                known = origins.attributes.get(name, {})
                origins.attributes[name] = {new if a == old else a: was for a, was in known.items()}
                if (name, old) in origins.fills:
                    origins.fills[name, new] = origins.fills.pop((name, old))
            case (
                AddAttribute(table=name, attribute=attribute, fill=fill)
                | AlterAttribute(table=name, after=attribute, fill=fill)
            ):
                if fill is not None:
                    origins.fills[name, attribute.name] = fill
            case _:
                pass
        now = after
        for name in [n for n in origins.tables if n not in now]:
            del origins.tables[name]
        for name, known in origins.attributes.items():
            table = now.get(name)
            origins.attributes[name] = {a: was for a, was in known.items() if table and a in table.attribute}
    return now, origins


def resolved(tables: Tables, name: TableName, attribute: str) -> str:
    """The type of an attribute; that of the ancestor that declares it, for an inherited one."""
    seen: set[tuple[TableName, str]] = set()
    while name in tables and attribute in tables[name].attribute and (name, attribute) not in seen:
        seen.add((name, attribute))
        table = tables[name]
        if not table.attribute[attribute].inherited:
            return table.attribute[attribute].type
        for key in table.foreign_keys:
            if attribute in key.attributes:
                name, attribute = key.parent, key.parent_attributes[key.attributes.index(attribute)]
                break
    return f"{name}.{attribute}"  # a parent outside of the pipeline, which no plan changes


def build(before: Tables, operations: Iterable[Operation], lowering: Lowering) -> list[Step]:
    """The steps that apply the operations to the tables.

    Parameters
    ----------
    before : mapping of TableName to Table
        The tables as the database has them.
    operations : iterable of Operation
        What is to be done.
    lowering : Lowering
        The backend, made for the tables before and after.
    """
    after, origins = trace(before, operations)
    renamed = {old: new for new, old in origins.tables.items() if old != new}
    steps: list[Step] = []
    for old, new in _in_free_order(renamed, set(before)):
        steps += lowering.rename_table(old, new)
    middle = _renamed(before, renamed)
    alterations = {
        name: alteration
        for name in dependency_order(after.values())
        if name in origins.tables and (alteration := _alteration(name, middle, after, origins)) is not None
    }
    kept = _undisturbed(middle, after, alterations, origins, lowering)
    gone = [name for name in reversed(dependency_order(middle.values())) if name not in origins.tables]
    for name in reversed(dependency_order(middle.values())):
        for key in middle[name].foreign_keys:
            if (name, key) not in kept:
                steps += lowering.drop_foreign_key(middle[name], key)
                keys = tuple(other for other in middle[name].foreign_keys if other != key)
                middle[name] = replace(middle[name], foreign_keys=keys)
    for name, alteration in alterations.items():
        # At this point the table has those foreign keys alone that stay through it all.
        steps += lowering.alter_table(replace(alteration, before=middle[name]))
    order = dependency_order(after.values())
    for name in order:
        if name not in origins.tables:
            steps += lowering.create_table(after[name])
    present = {(name, _follow(name, key, origins)) for name, key in kept}
    for name in order:
        if name in origins.tables:
            for key in after[name].foreign_keys:
                if (name, key) not in present:
                    there = tuple(k for k in after[name].foreign_keys if (name, k) in present)
                    steps += lowering.add_foreign_key(replace(after[name], foreign_keys=there), key)
                    present.add((name, key))
    for name in gone:
        steps += lowering.drop_table(name)
    return steps


def _in_free_order(renamed: Mapping[TableName, TableName], taken: set[TableName]) -> list[tuple[TableName, TableName]]:
    """Renames in an order in which the new name is free; operations that exchange names were refused before."""
    waiting, order = dict(renamed), list[tuple[TableName, TableName]]()
    while waiting:
        old = next(old for old, new in waiting.items() if new not in taken)
        order.append((old, waiting[old]))
        taken = (taken - {old}) | {waiting.pop(old)}
    return order


def _renamed(tables: Tables, names: Mapping[TableName, TableName]) -> dict[TableName, Table]:
    """The tables by their new names, and foreign keys that lead there."""
    return {
        names.get(name, name): replace(
            table,
            name=names.get(name, name),
            foreign_keys=tuple(replace(k, parent=names.get(k.parent, k.parent)) for k in table.foreign_keys),
        )
        for name, table in tables.items()
    }


def _alteration(name: TableName, before: Tables, after: Tables, origins: Origins) -> Alteration | None:
    """What is to be done inside a table, foreign keys aside; None where nothing is."""
    old, new = before[name], after[name]
    was = origins.attributes.get(name, {})
    renamed = {old_name: now for now, old_name in was.items() if old_name != now}
    same = replace(old, foreign_keys=()) == replace(new, foreign_keys=()) and not renamed
    if same and all(resolved(before, name, a) == resolved(after, name, a) for a in new.attribute):
        return None
    fills: dict[str, Lowered] = {}
    for (table, attribute), fill in origins.fills.items():
        if table == name and attribute in new.attribute:
            fills[attribute] = _lowered(fill, attribute, old, new, renamed)
    return Alteration(before=old, after=new, renamed=renamed, fills=fills)


def _lowered(fill: Fill, attribute: str, old: Table, new: Table, renamed: Mapping[str, str]) -> Lowered:
    """A fill as the backends take it: a parent's value is found through the foreign key that the table has most of."""
    if not fill.parent:
        return Literal(fill.value or "")
    known = {renamed.get(name, name) for name in old.attribute}
    keys = [key for key in new.foreign_keys if attribute in key.attributes]
    return FromParent(max(keys, key=lambda key: len(known & set(key.attributes))))


def _follow(name: TableName, key: ForeignKey, origins: Origins) -> ForeignKey:
    """A foreign key by the names that its attributes have afterwards."""

    def names(table: TableName, attributes: tuple[str, ...]) -> tuple[str, ...]:
        now = {was: name for name, was in origins.attributes.get(table, {}).items()}
        return tuple(now.get(attribute, attribute) for attribute in attributes)

    return replace(
        key, attributes=names(name, key.attributes), parent_attributes=names(key.parent, key.parent_attributes)
    )


def _undisturbed(
    before: Tables,
    after: Tables,
    alterations: Mapping[TableName, Alteration],
    origins: Origins,
    lowering: Lowering,
) -> set[tuple[TableName, ForeignKey]]:
    """Foreign keys, by their names before, that stay as they are while everything else is done."""
    obstacles = {name: lowering.obstacles(alteration) for name, alteration in alterations.items()}
    disturbed = {(name, key) for name, found in obstacles.items() for key in found.own}
    closed = {name for name, found in obstacles.items() if found.incoming}
    kept = set()
    for name, table in before.items():
        for key in table.foreign_keys:
            now = _follow(name, key, origins)
            dropped = name not in after
            if not dropped and now not in after[name].foreign_keys:
                continue
            if (
                (name, key) in disturbed
                or key.parent in closed
                or (key.parent in before and key.parent not in after and not dropped)
            ):
                continue
            if key.parent in after and _key_changes(key, now, before, after):
                continue
            pairs = zip(key.attributes, now.attributes, strict=True)
            if dropped or all(resolved(before, name, a) == resolved(after, name, b) for a, b in pairs):
                kept.add((name, key))
    return kept


def _key_changes(key: ForeignKey, now: ForeignKey, before: Tables, after: Tables) -> bool:
    """Whether the primary key that a foreign key leads to is another one afterwards, or of other types."""
    old, new = before[key.parent], after[key.parent]
    names = dict(zip(key.parent_attributes, now.parent_attributes, strict=True))
    if tuple(names.get(name, name) for name in old.primary_key) != new.primary_key:
        return True
    pairs = zip(key.parent_attributes, now.parent_attributes, strict=True)
    return any(resolved(before, key.parent, a) != resolved(after, key.parent, b) for a, b in pairs)
