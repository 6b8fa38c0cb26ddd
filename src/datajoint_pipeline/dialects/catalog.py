"""Reads the model from a live database, with one query per catalogue view, however many schemas there are.

What a server tells is put into DataJoint's words: the type that DataJoint notes in a comment is the attribute's type as
long as the column can hold it, and where a database has what DataJoint would not have declared, the model says so. An
account that may only SELECT reads the same. Not seen: triggers, privileges, row security, names of indexes and
constraints, and whether a column is right for a codec that this process does not know.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

from ..schema import notation
from ..schema.model import Attribute, ForeignKey, Index, Schema, Table, TableName, declared_indexes

if TYPE_CHECKING:
    import datajoint as dj


#: Database and table, as a server has them.
Place = tuple[str, str]


class CatalogColumn(NamedTuple):
    """A column as the server has it: its type in MySQL's words, what else there is to the column, and its default."""

    name: str
    stored: str
    extra: str
    nullable: bool
    default: str | None
    comment: str


class Reference(NamedTuple):
    """A foreign key as the server has it; ``words`` for what DataJoint would not have declared."""

    name: str
    attributes: tuple[str, ...]
    parent: tuple[str, str]
    parent_attributes: tuple[str, ...]
    words: str


@dataclass
class Found:
    """A table as the server has it.

    ``key_name`` and ``index_names`` are what it calls the primary key and the indexes, ``enums`` has database and name
    of the type of each enum column.
    """

    comment: str
    columns: list[CatalogColumn] = field(default_factory=list)
    primary_key: tuple[str, ...] = ()
    references: list[Reference] = field(default_factory=list)
    indexes: list[Index] = field(default_factory=list)
    deviations: list[str] = field(default_factory=list)
    key_name: str = "PRIMARY"
    index_names: list[str] = field(default_factory=list)
    enums: dict[str, Place] = field(default_factory=dict)


#: Tables by database and name; a database without tables is there as ``(database, "")``.
FoundTables = dict[Place, Found]


@dataclass
class Catalogue:
    """Everything that a server tells of some databases.

    Parameters
    ----------
    tables : dict
        Hidden ones too; columns of those only as far as a migration may ask for them.
    taken : dict
        By database, names that a table or index cannot have, apart from those of tables and indexes.
    narrow : set
        Databases whose characters take one byte (MySQL).
    """

    tables: FoundTables = field(default_factory=dict)
    taken: dict[str, set[str]] = field(default_factory=dict)
    narrow: set[str] = field(default_factory=set)


def find(connection: dj.Connection, databases: Mapping[str, str]) -> Catalogue:
    """What a server tells of the databases of some schemas, by their names in the code."""
    names = tuple(dict.fromkeys(databases.values()))
    found: Catalogue = _server(connection).read(connection, names) if names else Catalogue()
    return found


def read(connection: dj.Connection, databases: Mapping[str, str]) -> dict[str, Schema]:
    """The schemas as a database has them.

    Parameters
    ----------
    connection : datajoint.Connection
        Where to read.
    databases : dict
        Name on the server of each schema in the code.

    Returns
    -------
    dict
        Of each schema that exists and that the account may see, in the order of ``databases``. A parent outside of
        them has the server's name of its schema. Hidden tables (``~…``) are left out.
    """
    return shapes(connection, databases, find(connection, databases))


def shapes(connection: dj.Connection, databases: Mapping[str, str], catalogue: Catalogue) -> dict[str, Schema]:
    """As :func:`read`, of what was found."""
    server, found = _server(connection), catalogue.tables
    schemas = {database: schema for schema, database in databases.items()}
    tables: dict[str, list[Table]] = {database: [] for database, _ in found}
    known: Known = {}
    for (database, name), table in sorted(found.items()):
        if database in schemas and name and not name.startswith("~"):
            tables[database].append(_table(TableName(schemas[database], name), table, found, schemas, server, known))
    return {
        schema: Schema(schema, tuple(tables[database])) for schema, database in databases.items() if database in tables
    }


def table(connection: dj.Connection, databases: Mapping[str, str], catalogue: Catalogue, name: TableName) -> Table:
    """One table of what was found, hidden ones too."""
    schemas = {database: schema for schema, database in databases.items()}
    found = catalogue.tables[databases[name.schema], name.table]
    return _table(name, found, catalogue.tables, schemas, _server(connection), {})


def _server(connection: dj.Connection) -> Any:
    return import_module(f".{connection.adapter.backend}.catalog", __package__)


#: Attributes by their column and the types that foreign keys may give it: those of keys come again and again.
Known = dict[tuple[CatalogColumn, frozenset[str] | None], Attribute]


def _table(
    name: TableName, found: Found, tables: FoundTables, schemas: Mapping[str, str], server: Any, known: Known
) -> Table:
    parents: dict[str, set[str]] = {}  # types that a foreign key may give an attribute
    foreign_keys, deviations = [], list(found.deviations)
    for reference in found.references:
        foreign_keys.append(_foreign_key(reference, schemas))
        stored = {column.name: column.stored for column in tables.get(reference.parent, Found("")).columns}
        for attribute, parent in zip(reference.attributes, reference.parent_attributes, strict=True):
            parents.setdefault(attribute, set()).add(stored.get(parent, ""))
        begins = [found.primary_key, *(index.columns for index in found.indexes)]
        if not any(begin[: len(reference.attributes)] == reference.attributes for begin in begins):
            deviations.append(f"no index for the foreign key ({', '.join(reference.attributes)})")
        if reference.words:
            deviations.append(f"foreign key ({', '.join(reference.attributes)}) {reference.words}")
    attributes = []
    for column in found.columns:
        given = frozenset(parents[column.name]) if column.name in parents else None
        if (own := known.get((column, given))) is None:
            own = known[column, given] = _attribute(column, given, server)
        attributes.append(own)
    return Table(
        name,
        tuple(attributes),
        found.primary_key,
        tuple(sorted(foreign_keys, key=lambda key: (key.parent.schema, key.parent.table, key.attributes))),
        declared_indexes(found.primary_key, foreign_keys, found.indexes),
        found.comment,
        tuple(sorted(deviations)),
    )


def _foreign_key(reference: Reference, schemas: Mapping[str, str]) -> ForeignKey:
    database, table = reference.parent
    return ForeignKey(
        reference.attributes, TableName(schemas.get(database, database), table), reference.parent_attributes
    )


def _attribute(column: CatalogColumn, parents: frozenset[str] | None, server: Any) -> Attribute:
    written, comment = notation.split_comment(column.comment)
    marker = notation.normal_type(written)
    inherited = notation.inherits(marker, foreign=parents is not None)
    if inherited:
        # PostgreSQL tells DataJoint no precision of a parent's moments; a parent out of sight may be anything.
        types = parents or frozenset[str]()
        known = types | {re.sub(r"^(time(?:stamp)?)\(\d\)", r"\1", parent) for parent in types}
        type_, fits = "", column.stored in known or "" in types
    elif marker:
        core = core_of(marker)
        type_, fits = marker, not core or server.fits(core, column.stored)
    else:
        text = f"{column.stored} {column.extra}".rstrip()
        core_like = re.match(r"[a-z]+", text)
        type_, fits = f"native {text}" if core_like and core_like[0] in _CORE else server.native(text), True
    default = None if column.default is None else notation.normal_default(type_, column.default)
    if not fits or (column.extra and (inherited or marker)):
        type_ = f"{type_}, stored as {column.stored} {column.extra}".removeprefix(", ").rstrip()
    if inherited or written == type_:
        written = ""
    return Attribute(column.name, type_, column.nullable, default, "" if inherited else comment, inherited, written)


#: Types that are never without a marker in a column that DataJoint made.
_CORE = {"bool", "uuid", "json", "bytes", "date", "datetime", "char", "varchar", "enum"}


def core_of(type_: str) -> str:
    """The core or native type that holds the values of a codec; empty where this process does not know the codec."""
    match = re.fullmatch(r"<(\w+)(@.*)?>", type_)
    if match is None:
        return type_
    import datajoint as dj

    try:
        inner = str(dj.get_codec(match[1]).get_dtype(is_store=match[2] is not None))
    except dj.DataJointError:
        return ""
    if inner.startswith("<") and "@" not in inner and match[2]:
        inner = f"{inner[:-1]}{match[2]}>"
    return core_of(notation.normal_type(inner))
