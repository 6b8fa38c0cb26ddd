"""Where the tables and attributes after a migration come from: each is followed through its operations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from ..schema.model import Attribute, ForeignKey, Table, TableName
from ..schema.values import Fill, Sql, Value
from .state import Tables


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
    earlier : dict
        Rows that migrations before these put in, and that are not there while all are planned.
    missing : dict
        By table and new foreign key whose missing rows of the parent may be put in, what those rows get.
    also : dict
        By the same, the parents' parents that are there and may get rows for those, too.
    hidden : dict
        Of each table that comes back, the soft-deleted one.
    """

    tables: dict[TableName, TableName] = field(default_factory=dict)
    attributes: dict[TableName, dict[str, str]] = field(default_factory=dict)
    fills: dict[tuple[TableName, str], Fill] = field(default_factory=dict)
    converts: dict[tuple[TableName, str], Sql] = field(default_factory=dict)
    rows: dict[TableName, list[Mapping[str, Value]]] = field(default_factory=dict)
    earlier: dict[TableName, list[Mapping[str, Value]]] = field(default_factory=dict)
    missing: dict[tuple[TableName, ForeignKey], dict[str, str | Fill]] = field(default_factory=dict)
    also: dict[tuple[TableName, ForeignKey], frozenset[TableName]] = field(default_factory=dict)
    hidden: dict[TableName, TableName] = field(default_factory=dict)

    def beside(self, tables: Iterable[Table]) -> Origins:
        """Give the same with tables beside, that nothing happened to."""
        found = list(tables)
        return replace(
            self,
            tables={**self.tables, **{table.name: table.name for table in found}},
            attributes={**self.attributes, **{table.name: {a: a for a in table.attribute} for table in found}},
        )

    def rename_tables(self, names: Mapping[TableName, TableName]) -> None:
        """Key everything by the new names of some tables, given by their old ones."""
        self.tables = {names.get(n, n): old for n, old in self.tables.items()}
        self.hidden = {names.get(n, n): old for n, old in self.hidden.items()}
        self.attributes = {names.get(n, n): old for n, old in self.attributes.items()}
        self.rows = {names.get(n, n): rows for n, rows in self.rows.items()}
        self.fills = {
            (names.get(n, n), a): replace(f, of=(names.get(f.of[0], f.of[0]), f.of[1])) if f.of else f
            for (n, a), f in self.fills.items()
        }
        self.converts = {(names.get(n, n), a): sql for (n, a), sql in self.converts.items()}

        def place(name: TableName, key: ForeignKey) -> tuple[TableName, ForeignKey]:
            return names.get(name, name), replace(key, parent=names.get(key.parent, key.parent))

        def taken(value: str | Fill) -> str | Fill:
            of = value.of if isinstance(value, Fill) else None
            return value if of is None else Fill(of=(names.get(of[0], of[0]), of[1]))

        self.missing = {place(*of): {a: taken(v) for a, v in given.items()} for of, given in self.missing.items()}
        self.also = {place(*of): frozenset(names.get(n, n) for n in found) for of, found in self.also.items()}

    def rename_attribute(self, table: TableName, old: str, new: str) -> None:
        """Key everything by the new name of an attribute."""

        def renamed(names: tuple[str, ...]) -> tuple[str, ...]:
            return tuple(new if name == old else name for name in names)

        sources = self.attributes.get(table, {})
        self.attributes[table] = {new if a == old else a: was for a, was in sources.items()}
        if (table, old) in self.fills:
            self.fills[table, new] = self.fills.pop((table, old))
        if (table, old) in self.converts:
            self.converts[table, new] = self.converts.pop((table, old))
        taken = {place: replace(f, of=(table, new)) for place, f in self.fills.items() if f.of == (table, old)}
        self.fills |= taken

        def place(name: TableName, key: ForeignKey) -> tuple[TableName, ForeignKey]:
            if name == table:
                key = replace(key, attributes=renamed(key.attributes))
            if key.parent == table:
                key = replace(key, parent_attributes=renamed(key.parent_attributes))
            return name, key

        def followed(value: str | Fill) -> str | Fill:
            return Fill(of=(table, new)) if isinstance(value, Fill) and value.of == (table, old) else value

        self.missing = {place(*of): {a: followed(v) for a, v in given.items()} for of, given in self.missing.items()}
        self.also = {place(*of): found for of, found in self.also.items()}

    def forget(self, before: Tables, after: Tables) -> None:
        """Forget the tables and attributes that an operation took away, given the tables before and after it."""
        for name in [n for n in self.tables if n not in after]:
            del self.tables[name]
        self.hidden = {name: old for name, old in self.hidden.items() if name in after}
        for name, sources in self.attributes.items():
            table = after.get(name)
            if table is None or table is not before.get(name):
                self.attributes[name] = {a: was for a, was in sources.items() if table and a in table.attribute}
        gone = [place for place in self.converts if place[0] not in after or place[1] not in after[place[0]].attribute]
        for place in gone:
            del self.converts[place]


def without_key(tables: Tables) -> list[tuple[TableName, str]]:
    """List the attributes that a foreign key is to bring and none does: between two operations there may be such."""
    return [
        (table.name, attribute.name)
        for table in tables.values()
        for attribute in table.attributes
        if attribute.inherited and not attribute.type
        if not any(attribute.name in key.attributes for key in table.foreign_keys)
    ]


def resolved(tables: Tables, name: TableName, attribute: str) -> str:
    """Give the type of an attribute; for an inherited one, that of the ancestor that declares it."""
    return declared(tables, name, attribute)[0]


def declared(tables: Tables, name: TableName, attribute: str) -> tuple[str, str, TableName]:
    """Give type and comment of an attribute as they are where it is declared, and the table where that is."""
    name, attribute = _origin(tables, name, attribute)
    if (found := _own(tables, name, attribute)) is not None:
        return found.type, found.comment, name
    return f"{name}.{attribute}", "", name  # a parent outside of the pipeline, which no plan changes


def declaring(tables: Tables, name: TableName, attribute: str) -> tuple[Attribute, Table] | None:
    """Give the attribute that declares the type of another, and its table; None where that is not among the tables."""
    name, attribute = _origin(tables, name, attribute)
    found = _own(tables, name, attribute)
    return None if found is None else (found, tables[name])


def _own(tables: Tables, name: TableName, attribute: str) -> Attribute | None:
    """Give an attribute that a table declares in its own right."""
    found = tables[name].attribute.get(attribute) if name in tables else None
    return None if found is None or found.inherited else found


def _origin(tables: Tables, name: TableName, attribute: str) -> tuple[TableName, str]:
    """Follow an attribute along foreign keys to where it is declared, or as far as tables are known."""
    seen: set[tuple[TableName, str]] = set()
    while name in tables and attribute in tables[name].attribute and (name, attribute) not in seen:
        seen.add((name, attribute))
        table = tables[name]
        if not table.attribute[attribute].inherited:
            break
        for key in table.foreign_keys:
            if attribute in key.attributes:
                name, attribute = key.parent, key.parent_attributes[key.attributes.index(attribute)]
                break
    return name, attribute
