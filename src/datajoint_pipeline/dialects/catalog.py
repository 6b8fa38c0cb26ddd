"""Reads the model from a live database, with one query per catalogue view, however many schemas there are.

What a server tells is put into DataJoint's words: the type that DataJoint notes in a comment is the attribute's type as
long as the column can hold it, and where a database has what DataJoint would not have declared, the model says so. An
account that may only SELECT reads the same. Not read: triggers, but for those of the audit; privileges, row security,
and whether a column is right for a codec that this process does not know.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..schema import notation
from ..schema.model import Attribute, ForeignKey, Schema, Table, TableName, declared_indexes
from . import auditing
from .introspection import CatalogColumn, CatalogTable, CatalogTables, Reference
from .introspection import Catalogue as Catalogue
from .mysql import auditing as mysql_auditing
from .mysql import catalog as mysql
from .postgresql import auditing as postgresql_auditing
from .postgresql import catalog as postgresql
from .steps import Column

if TYPE_CHECKING:
    import datajoint as dj

#: The reader of either server's catalogue: ``read`` gives a :class:`Catalogue`, ``fits`` and ``native`` know its types.
_READERS: dict[str, Any] = {"mysql": mysql, "postgresql": postgresql}

#: The statements of the audit: both modules have the same functions.
_AUDITING: dict[str, auditing.Statements] = {"mysql": mysql_auditing, "postgresql": postgresql_auditing}


def find(connection: dj.Connection, databases: Mapping[str, str]) -> Catalogue:
    """Read what a server tells of the databases of some schemas.

    Parameters
    ----------
    connection : datajoint.Connection
        Where to read.
    databases : mapping
        Name on the server of each schema in the code.
    """
    names = tuple(dict.fromkeys(databases.values()))
    catalogue: Catalogue = _reader(connection).read(connection, names) if names else Catalogue()
    with_audit = [database for database, table in catalogue.tables if table == auditing.TABLE]
    for place in auditing_of(connection).audited(connection, with_audit) if with_audit else ():
        if place in catalogue.tables:
            catalogue.tables[place].audited = True
    return catalogue


def auditing_of(connection: dj.Connection) -> auditing.Statements:
    """Give the module that has the statements of the audit for a connection's server."""
    return _AUDITING[connection.adapter.backend]


def read(connection: dj.Connection, databases: Mapping[str, str]) -> dict[str, Schema]:
    """Read the schemas as a database has them.

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
    """Give what :func:`read` gives, of what :func:`find` gave."""
    reader, found = _reader(connection), catalogue.tables
    schemas = {database: schema for schema, database in databases.items()}
    tables: dict[str, list[Table]] = {database: [] for database, _ in found}
    known: _Known = {}
    for (database, name), table in sorted(found.items()):
        if database in schemas and name and not name.startswith("~"):
            tables[database].append(_table(TableName(schemas[database], name), table, found, schemas, reader, known))
    return {
        schema: Schema(schema, tuple(tables[database])) for schema, database in databases.items() if database in tables
    }


def table(connection: dj.Connection, databases: Mapping[str, str], catalogue: Catalogue, name: TableName) -> Table:
    """Give one table of what :func:`find` gave; it may be a hidden one."""
    schemas = {database: schema for schema, database in databases.items()}
    found = catalogue.tables[databases[name.schema], name.table]
    return _table(name, found, catalogue.tables, schemas, _reader(connection), {})


def _reader(connection: dj.Connection) -> Any:
    return _READERS[connection.adapter.backend]


#: Attributes by their column and the types that foreign keys may give it: the same ones come again in many tables.
_Known = dict[tuple[CatalogColumn, frozenset[str] | None], Attribute]


def _table(
    name: TableName, found: CatalogTable, tables: CatalogTables, schemas: Mapping[str, str], reader: Any, known: _Known
) -> Table:
    parents: dict[str, set[str]] = {}  # types that a foreign key may give an attribute
    foreign_keys, deviations = [], list(found.deviations)
    for reference in found.references:
        foreign_keys.append(_foreign_key(reference, schemas))
        stored = {column.name: column.stored for column in tables.get(reference.parent, CatalogTable("")).columns}
        for child, parent in zip(reference.attributes, reference.parent_attributes, strict=True):
            parents.setdefault(child, set()).add(stored.get(parent, ""))
        begins = [found.primary_key, *(index.columns for index in found.indexes)]
        if not any(begin[: len(reference.attributes)] == reference.attributes for begin in begins):
            deviations.append(f"no index for the foreign key ({', '.join(reference.attributes)})")
        if reference.words:
            deviations.append(f"foreign key ({', '.join(reference.attributes)}) {reference.words}")
    attributes = []
    for column in found.columns:
        given = frozenset(parents[column.name]) if column.name in parents else None
        if (attribute := known.get((column, given))) is None:
            attribute = known[column, given] = _attribute(column, given, reader)
        attributes.append(attribute)
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


def _attribute(column: CatalogColumn, parents: frozenset[str] | None, reader: Any) -> Attribute:
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
        type_, fits = marker, not core or reader.fits(core, column.stored)
    else:
        text = f"{column.stored} {column.extra}".rstrip()
        core_like = re.match(r"[a-z]+", text)
        type_, fits = f"native {text}" if core_like and core_like[0] in _CORE else reader.native(text), True
    default = None if column.default is None else notation.normal_default(type_, column.default)
    if not fits or (column.extra and (inherited or marker)):
        type_ = f"{type_}, stored as {column.stored} {column.extra}".removeprefix(", ").rstrip()
    if inherited or written == type_:
        written = ""
    return Attribute(column.name, type_, column.nullable, default, "" if inherited else comment, inherited, written)


def left_behind(backend: str, column: Column) -> Attribute:
    """Give the attribute that is read of a column when no foreign key brings it any more."""
    reader = _READERS[backend]
    stored = reader.stored_as(column.core)
    return _attribute(CatalogColumn(column.name, stored, "", column.nullable, None, column.comment), None, reader)


#: Types whose columns always have a marker where DataJoint made them.
_CORE = {"bool", "uuid", "json", "bytes", "date", "datetime", "char", "varchar", "enum"}


def core_of(type_: str) -> str:
    """Give the core or native type that holds the values of a type; empty for a codec that is not known here."""
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
