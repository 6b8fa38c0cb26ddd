"""The names that a server knows keys, indexes and enum types by: they are not in the model, and no rule gives them.

DataJoint, the servers and their versions name things differently, so names are read, with one query per catalogue view,
and followed while steps are lowered: what a step will rename, add or drop is so in :class:`Names` from then on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from . import notation
from .catalog_postgresql import expression_of
from .errors import PipelineError
from .model import Index

if TYPE_CHECKING:
    import datajoint as dj

#: Database and table, as a server has them.
Place = tuple[str, str]


@dataclass(frozen=True)
class KeyName:
    """A foreign key and what it is called."""

    name: str
    attributes: tuple[str, ...]
    parent: Place
    parent_attributes: tuple[str, ...]


@dataclass(frozen=True)
class IndexName:
    """An index and what it is called."""

    name: str
    index: Index


@dataclass
class TableNames:
    """The names of one table; ``enums`` has database and name of the type of each enum attribute."""

    primary_key: str = "PRIMARY"
    columns: list[str] = field(default_factory=list)
    foreign_keys: list[KeyName] = field(default_factory=list)
    indexes: list[IndexName] = field(default_factory=list)
    enums: dict[str, Place] = field(default_factory=dict)


@dataclass
class Names:
    """The names of every table of some databases.

    Parameters
    ----------
    tables : dict
        By database and table.
    taken : dict
        By database, other names that a new table, index or constraint cannot have.
    narrow : set
        Databases whose characters take one byte (MySQL).
    """

    tables: dict[Place, TableNames] = field(default_factory=dict)
    taken: dict[str, set[str]] = field(default_factory=dict)
    narrow: set[str] = field(default_factory=set)

    def table(self, place: Place) -> TableNames:
        """The names of a table; none for a table that is still to be made."""
        return self.tables.setdefault(place, TableNames())

    def key(self, place: Place, attributes: tuple[str, ...], parent: Place) -> KeyName:
        """A foreign key, by its attributes and where it leads."""
        for key in self.table(place).foreign_keys:
            if (key.attributes, key.parent) == (attributes, parent):
                return key
        raise _missing(place, f"foreign key ({', '.join(attributes)}) to {'.'.join(parent)}")

    def index(self, place: Place, index: Index) -> str:
        """The name of an index."""
        for known in self.table(place).indexes:
            if known.index == index:
                return known.name
        raise _missing(place, f"{'unique ' * index.unique}index ({', '.join(index.columns)})")

    def in_use(self, database: str) -> set[str]:
        """Names that a new table, index or constraint of a database cannot have."""
        names = set(self.taken.get(database, ()))
        for (place, table), found in self.tables.items():
            if place == database:
                names |= {table, found.primary_key, *(key.name for key in found.foreign_keys)}
                names |= {index.name for index in found.indexes}
        return names

    def rename_table(self, old: Place, new: Place) -> None:
        """Follow a table, and the foreign keys that lead to it."""
        self.tables[new] = self.tables.pop(old, TableNames())
        for table in self.tables.values():
            table.foreign_keys = [replace(k, parent=new) if k.parent == old else k for k in table.foreign_keys]

    def rename_attributes(self, place: Place, renamed: Mapping[str, str]) -> None:
        """Follow attributes of a table, also in the foreign keys that lead to it."""

        def new(names: tuple[str, ...]) -> tuple[str, ...]:
            return tuple(renamed.get(name, name) for name in names)

        own = self.table(place)
        own.columns = list(new(tuple(own.columns)))
        own.enums = {renamed.get(name, name): type_ for name, type_ in own.enums.items()}
        own.indexes = [replace(i, index=replace(i.index, columns=new(i.index.columns))) for i in own.indexes]
        own.foreign_keys = [replace(key, attributes=new(key.attributes)) for key in own.foreign_keys]
        for table in self.tables.values():
            table.foreign_keys = [
                replace(k, parent_attributes=new(k.parent_attributes)) if k.parent == place else k
                for k in table.foreign_keys
            ]


def _missing(place: Place, what: str) -> PipelineError:
    return PipelineError(
        f"{'.'.join(place)} has no {what}.", "The database is not what the migration starts from.", "Run status."
    )


def plan(before: list[Index], after: list[Index]) -> tuple[list[Index], list[Index]]:
    """Indexes to drop and to add; one that is there twice counts twice."""
    gone, come = Counter(before) - Counter(after), Counter(after) - Counter(before)
    return list(gone.elements()), list(come.elements())


def read(connection: dj.Connection, databases: Mapping[str, str]) -> Names:
    """The names in the databases of some schemas.

    Parameters
    ----------
    connection : datajoint.Connection
        Where to read.
    databases : dict
        Name on the server of each schema in the code.
    """
    names = Names()
    places = tuple(dict.fromkeys(databases.values()))
    if places:
        reading = _read_mysql if connection.adapter.backend == "mysql" else _read_postgresql
        reading(connection, places, names)
    return names


def _read_mysql(connection: dj.Connection, places: tuple[str, ...], names: Names) -> None:
    def rows(query: str) -> Any:
        return connection.query(query.format(f"IN ({', '.join(['%s'] * len(places))})"), places).fetchall()

    for database, charset in rows(
        "SELECT schema_name, default_character_set_name FROM information_schema.schemata WHERE schema_name {}"
    ):
        if charset not in ("utf8mb4", "utf8mb3", "utf8"):
            names.narrow.add(database)
    for database, table, column in rows(
        "SELECT table_schema, table_name, column_name FROM information_schema.columns WHERE table_schema {} "
        "ORDER BY table_schema, table_name, ordinal_position"
    ):
        names.table((database, table)).columns.append(column)
    keys: dict[tuple[str, str, str], list[Any]] = {}
    for database, table, name, *column in rows(
        "SELECT table_schema, table_name, constraint_name, column_name, referenced_table_schema, "
        "referenced_table_name, referenced_column_name FROM information_schema.key_column_usage "
        "WHERE referenced_table_name IS NOT NULL AND table_schema {} ORDER BY ordinal_position"
    ):
        keys.setdefault((database, table, name), []).append(column)
    for (database, table, name), columns in keys.items():
        attributes, parents, parent_tables, parent_attributes = zip(*columns, strict=True)
        key = KeyName(name, attributes, (parents[0], parent_tables[0]), parent_attributes)
        names.table((database, table)).foreign_keys.append(key)
    indexes: dict[tuple[str, str, str, bool], list[str]] = {}
    for database, table, name, common, column, order, part, expression in rows(
        "SELECT table_schema, table_name, index_name, non_unique, column_name, collation, sub_part, expression "
        "FROM information_schema.statistics WHERE index_name <> 'PRIMARY' AND table_schema {} ORDER BY seq_in_index"
    ):
        text = notation.normal_expression(f"({expression})") if column is None else column
        text += (f"({part})" if part else "") + (" desc" if order == "D" else "")
        indexes.setdefault((database, table, name, not common), []).append(text)
    for (database, table, name, unique), texts in indexes.items():
        names.table((database, table)).indexes.append(IndexName(name, Index(tuple(texts), unique)))


def _read_postgresql(connection: dj.Connection, places: tuple[str, ...], names: Names) -> None:
    def rows(query: str) -> Any:
        return connection.query(query.format(f"IN ({', '.join(['%s'] * len(places))})"), places).fetchall()

    for database, name in rows(
        "SELECT n.nspname, c.relname FROM pg_catalog.pg_class c "
        "JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind <> 'i' AND n.nspname {}"
    ):
        names.taken.setdefault(database, set()).add(name)
    for database, table, column, type_database, type_ in rows(_COLUMNS):
        found = names.table((database, table))
        found.columns.append(column)
        if type_ is not None:
            found.enums[column] = (type_database, type_)
    for database, table, name, kind, attributes, parent, parent_table, parent_attributes in rows(_KEYS):
        found = names.table((database, table))
        if kind == "p":
            found.primary_key = name
        else:
            key = KeyName(name, tuple(attributes), (parent, parent_table), tuple(parent_attributes))
            found.foreign_keys.append(key)
    for database, table, name, unique, columns in rows(_INDEXES):
        texts = tuple(expression_of(column) if column.startswith("(") else column for column in columns)
        names.table((database, table)).indexes.append(IndexName(name, Index(texts, unique)))
    # A table's own name goes with the table.
    for database, table in names.tables:
        names.taken.get(database, set()).discard(table)


#: Where the databases that are asked for are filled in.
_ASKED = "{}"

_TABLES = """
FROM pg_catalog.pg_namespace n
JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relkind IN ('r', 'p')
"""

_COLUMNS = f"""
SELECT n.nspname, c.relname, a.attname, CASE WHEN t.typtype = 'e' THEN tn.nspname END,
    CASE WHEN t.typtype = 'e' THEN t.typname END
{_TABLES} JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
JOIN pg_catalog.pg_namespace tn ON tn.oid = t.typnamespace
WHERE n.nspname {_ASKED} ORDER BY c.oid, a.attnum
"""

_KEYS = f"""
SELECT n.nspname, c.relname, k.conname, k.contype,
    ARRAY(SELECT a.attname::text FROM unnest(k.conkey) WITH ORDINALITY u(number, place)
        JOIN pg_catalog.pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.number ORDER BY u.place),
    pn.nspname, pc.relname,
    ARRAY(SELECT a.attname::text FROM unnest(k.confkey) WITH ORDINALITY u(number, place)
        JOIN pg_catalog.pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = u.number ORDER BY u.place)
{_TABLES} JOIN pg_catalog.pg_constraint k ON k.conrelid = c.oid AND k.contype IN ('p', 'f')
LEFT JOIN pg_catalog.pg_class pc ON pc.oid = k.confrelid
LEFT JOIN pg_catalog.pg_namespace pn ON pn.oid = pc.relnamespace
WHERE n.nspname {_ASKED}
"""

_INDEXES = f"""
SELECT n.nspname, c.relname, x.relname, i.indisunique,
    ARRAY(SELECT CASE WHEN u.number = 0 THEN '(' || pg_get_indexdef(i.indexrelid, u.place::int, true) || ')'
            ELSE (SELECT a.attname::text FROM pg_catalog.pg_attribute a
                WHERE a.attrelid = i.indrelid AND a.attnum = u.number) END
        FROM unnest(i.indkey::int2[]) WITH ORDINALITY u(number, place)
        WHERE u.place <= i.indnkeyatts ORDER BY u.place)
{_TABLES} JOIN pg_catalog.pg_index i ON i.indrelid = c.oid AND NOT i.indisprimary
JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid
WHERE n.nspname {_ASKED}
"""
