"""What operations make of what: every table and attribute, followed through a migration."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from .data_operations import RebuildTable
from .model import Table, TableName
from .operations import AddAttribute, AlterAttribute, Fill, Operation, RenameAttribute, RenameTable, Sql, Tables


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
    converts : dict
        What computes values anew, by table and attribute afterwards.
    """

    tables: dict[TableName, TableName] = field(default_factory=dict)
    attributes: dict[TableName, dict[str, str]] = field(default_factory=dict)
    fills: dict[tuple[TableName, str], Fill] = field(default_factory=dict)
    converts: dict[tuple[TableName, str], Sql] = field(default_factory=dict)


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
                origins.converts = {(names.get(n, n), a): sql for (n, a), sql in origins.converts.items()}
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
                if isinstance(operation, AlterAttribute) and operation.using is not None:
                    origins.converts[name, attribute.name] = operation.using
            case RebuildTable(table=name, values=values):
                origins.converts |= {(name, attribute): sql for attribute, sql in values}
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
    return declared(tables, name, attribute)[0]


def declared(tables: Tables, name: TableName, attribute: str) -> tuple[str, str]:
    """Type and comment of an attribute, as they are where it is declared."""
    seen: set[tuple[TableName, str]] = set()
    while name in tables and attribute in tables[name].attribute and (name, attribute) not in seen:
        seen.add((name, attribute))
        table = tables[name]
        if not table.attribute[attribute].inherited:
            return table.attribute[attribute].type, table.attribute[attribute].comment
        for key in table.foreign_keys:
            if attribute in key.attributes:
                name, attribute = key.parent, key.parent_attributes[key.attributes.index(attribute)]
                break
    return f"{name}.{attribute}", ""  # a parent outside of the pipeline, which no plan changes
