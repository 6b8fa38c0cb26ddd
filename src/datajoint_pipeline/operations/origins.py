"""Where the tables and attributes after a migration come from: each is followed through its operations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from ..schema.model import ForeignKey, Table, TableName
from ..schema.values import Fill, Sql
from .data import InsertRows, RebuildTable, Value
from .structure import AddAttribute, AddForeignKey, AlterAttribute, Operation, RenameAttribute, RenameTable, Tables


@dataclass
class Origins:
    """Where tables and attributes come from. Every mapping is keyed by the names afterwards.

    Parameters
    ----------
    tables : dict
        The name of each table before; tables that are made are missing.
    attributes : dict
        The name of each attribute before, by table and name afterwards; attributes that are added are missing.
    fills : dict
        What existing rows get, by table and attribute afterwards.
    converts : dict
        What computes values anew, by table and attribute afterwards.
    rows : dict
        Rows to be put in, by table afterwards.
    missing : dict
        By table and new foreign key whose missing rows of the parent may be put in, what those rows get.
    """

    tables: dict[TableName, TableName] = field(default_factory=dict)
    attributes: dict[TableName, dict[str, str]] = field(default_factory=dict)
    fills: dict[tuple[TableName, str], Fill] = field(default_factory=dict)
    converts: dict[tuple[TableName, str], Sql] = field(default_factory=dict)
    rows: dict[TableName, list[Mapping[str, Value]]] = field(default_factory=dict)
    missing: dict[tuple[TableName, ForeignKey], dict[str, str]] = field(default_factory=dict)


def trace(before: Tables, operations: Iterable[Operation]) -> tuple[dict[TableName, Table], Origins]:
    """Apply the operations and follow every table and attribute through them.

    Returns
    -------
    tables : dict
        The tables afterwards.
    origins : Origins
        Where they come from.
    """
    tables = dict(before)
    origins = Origins({name: name for name in before}, {n: {a: a for a in t.attribute} for n, t in before.items()})
    for operation in operations:
        after = operation.apply(tables)
        match operation:
            case RenameTable():
                names = operation.names(tables)
                origins.tables = {names.get(n, n): old for n, old in origins.tables.items()}
                origins.attributes = {names.get(n, n): old for n, old in origins.attributes.items()}
                origins.rows = {names.get(n, n): rows for n, rows in origins.rows.items()}
                origins.fills = {(names.get(n, n), a): fill for (n, a), fill in origins.fills.items()}
                origins.converts = {(names.get(n, n), a): sql for (n, a), sql in origins.converts.items()}
            case RenameAttribute(table=name, old=old, new=new):
                sources = origins.attributes.get(name, {})
                origins.attributes[name] = {new if a == old else a: was for a, was in sources.items()}
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
            case AddForeignKey(table=name, key=key, missing=missing) if missing is not None:
                origins.missing[name, key] = {a: value for a, value in missing if value is not None}
            case InsertRows(table=name, rows=rows):
                origins.rows.setdefault(name, []).extend(map(dict, rows))
            case RebuildTable(table=name, values=values):
                origins.converts |= {(name, attribute): sql for attribute, sql in values}
            case _:
                pass
        origins.missing = _following(origins.missing, operation, tables)
        for name in [n for n in origins.tables if n not in after]:
            del origins.tables[name]
        for name, sources in origins.attributes.items():
            table = after.get(name)
            if table is None or table is not tables.get(name):
                origins.attributes[name] = {a: was for a, was in sources.items() if table and a in table.attribute}
        tables = after
    return tables, origins


def _following(
    missing: dict[tuple[TableName, ForeignKey], dict[str, str]], operation: Operation, tables: Tables
) -> dict[tuple[TableName, ForeignKey], dict[str, str]]:
    """Give the foreign keys by the names that they have after a rename."""
    if not missing or not isinstance(operation, (RenameTable, RenameAttribute)):
        return missing
    found = {}
    for (name, key), given in missing.items():
        if isinstance(operation, RenameTable):
            names = operation.names(tables)
            name, key = names.get(name, name), replace(key, parent=names.get(key.parent, key.parent))
        else:
            old, new = operation.old, operation.new
            if name == operation.table:
                key = replace(key, attributes=tuple(new if a == old else a for a in key.attributes))
            if key.parent == operation.table:
                key = replace(key, parent_attributes=tuple(new if a == old else a for a in key.parent_attributes))
        found[name, key] = given
    return found


def resolved(tables: Tables, name: TableName, attribute: str) -> str:
    """Give the type of an attribute; for an inherited one, that of the ancestor that declares it."""
    return declared(tables, name, attribute)[0]


def declared(tables: Tables, name: TableName, attribute: str) -> tuple[str, str, TableName]:
    """Give type and comment of an attribute as they are where it is declared, and the table where that is."""
    seen: set[tuple[TableName, str]] = set()
    while name in tables and attribute in tables[name].attribute and (name, attribute) not in seen:
        seen.add((name, attribute))
        table = tables[name]
        if not table.attribute[attribute].inherited:
            return table.attribute[attribute].type, table.attribute[attribute].comment, name
        for key in table.foreign_keys:
            if attribute in key.attributes:
                name, attribute = key.parent, key.parent_attributes[key.attributes.index(attribute)]
                break
    return f"{name}.{attribute}", "", name  # a parent outside of the pipeline, which no plan changes
