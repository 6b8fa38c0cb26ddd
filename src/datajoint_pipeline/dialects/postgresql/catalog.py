"""Reads PostgreSQL's catalogue for :mod:`catalog`: PostgreSQL 15 to 18."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any

from ...schema import notation
from ...schema.model import Index
from ..introspection import CatalogColumn, CatalogTable, Catalogue, Reference

if TYPE_CHECKING:
    import datajoint as dj

#: What a core type is as a column, where that is not its own name.
_STORED = {
    "int64": "bigint",
    "int32": "int",
    "int16": "smallint",
    "int8": "smallint",
    "float32": "real",
    "float64": "double precision",
    "bool": "boolean",
    "bytes": "bytea",
    "json": "jsonb",
}

#: What a column was declared as, natively, where that is not the type's own name.
_NATIVE = {"real": "double", "double precision": "float", "numeric": "numeric(10,0)"}


def fits(core: str, stored: str) -> bool:
    """Tell whether DataJoint stores a core type so."""
    if core.startswith("enum("):
        # A schema has one type for one set of values, in the order of whoever came first, and DataJoint splits the
        # text at each comma.
        split = {part.strip().strip("'") for part in core[5:-1].split(",")}
        return set(notation.enum_values(stored)) in (set(notation.enum_values(core)), split)
    return stored == _of_core(core)


def stored_as(core: str) -> str:
    """Give what a core or native type is as a column that a foreign key brings, which has a moment's full precision."""
    stored = next((stored for stored, native in _NATIVE.items() if native == core), _of_core(core))
    return re.sub(r"^(time(?:stamp)?)\(\d\)", r"\1", stored)


def _of_core(core: str) -> str:
    """Give what DataJoint stores a core type as."""
    name, bracket, rest = core.partition("(")
    return _STORED.get(core, {"datetime": "timestamp", "decimal": "numeric"}.get(name, name) + bracket + rest)


def native(stored: str) -> str:
    """Give the type of a column that has no marker, as a definition writes it."""
    return _NATIVE.get(stored, stored)


def read(connection: dj.Connection, names: tuple[str, ...]) -> Catalogue:
    """Read what the server tells of some databases, by their names there."""

    # information_schema hides keys from an account that may only SELECT; pg_catalog does not.
    def rows(query: str) -> Any:
        marks = ", ".join(["%s"] * len(names))
        return connection.query(query.format(names=f"n.nspname IN ({marks})"), names).fetchall()

    catalogue = Catalogue()
    tables = catalogue.tables

    def known(query: str) -> Any:
        # A table that somebody has made since the first query is not there yet.
        return (row for row in rows(query) if row[:2] in tables)

    for database, name, comment, kind, persistence in rows(
        "SELECT n.nspname, c.relname, (SELECT d.description FROM pg_catalog.pg_description d WHERE d.objoid = c.oid "
        "AND d.objsubid = 0 AND d.classoid = 'pg_catalog.pg_class'::regclass), c.relkind, c.relpersistence "
        "FROM pg_catalog.pg_namespace n LEFT JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relkind <> 'i' "
        "WHERE {names}"
    ):
        if kind not in ("r", "p"):
            tables.setdefault((database, ""), CatalogTable(""))
            catalogue.taken.setdefault(database, set()).update([name] if name else [])
            continue
        found = tables[database, name] = CatalogTable(notation.unescape(comment or ""))
        found.deviations += ["partitioned"] * (kind == "p") + ["unlogged"] * (persistence == "u")
    for database, table, name, type_, values, enum, extra, not_null, default, comment in known(_COLUMNS):
        if values is not None:
            tables[database, table].enums[name] = tuple(enum)
            catalogue.orders[tuple(enum)] = tuple(values)
        stored = notation.enum_type(values) if values is not None else _type(type_)
        text, default = notation.unescape(comment or ""), _default(default)
        tables[database, table].columns.append(CatalogColumn(name, stored, extra.strip(), not not_null, default, text))
    for database, type_, values in rows(_TYPES):
        catalogue.orders[database, type_] = tuple(values)
    for database, table, name, kind, attributes, parent, parent_table, parent_attributes, words in known(_KEYS):
        found = tables[database, table]
        if kind == "p":
            found.primary_key, found.key_name = tuple(attributes), name
        elif kind == "f":
            found.references.append(
                Reference(name, tuple(attributes), (parent, parent_table), tuple(parent_attributes), words.strip())
            )
        else:
            found.deviations.append(words)
            catalogue.taken.setdefault(database, set()).add(name)
    for database, table, name, unique, columns, words in known(_INDEXES):
        texts = [expression_of(column) if column.startswith("(") else column for column in columns]
        tables[database, table].indexes.append(Index((*texts, *filter(None, [words.strip()])), unique))
        tables[database, table].index_names.append(name)
    return catalogue


# Comments and defaults are looked up one by one: just after many tables were made the server takes them for few, and a
# join goes through all of them for each column.
# Of hidden tables, a migration asks for the columns of those that were soft-deleted, and for types that it may drop.
_COLUMNS = """
SELECT n.nspname, c.relname, a.attname, format_type(a.atttypid, a.atttypmod),
    CASE WHEN t.typtype = 'e' THEN ARRAY(
        SELECT e.enumlabel::text FROM pg_catalog.pg_enum e WHERE e.enumtypid = t.oid ORDER BY e.enumsortorder) END,
    CASE WHEN t.typtype = 'e' THEN ARRAY[
        (SELECT tn.nspname::text FROM pg_catalog.pg_namespace tn WHERE tn.oid = t.typnamespace), t.typname::text] END,
    CASE WHEN a.attidentity <> '' THEN 'identity ' ELSE '' END
        || CASE WHEN a.attgenerated <> '' THEN 'generated ' ELSE '' END
        || CASE WHEN a.attcollation <> t.typcollation
            THEN 'collation ' || (SELECT o.collname FROM pg_catalog.pg_collation o WHERE o.oid = a.attcollation)
            ELSE '' END,
    a.attnotnull,
    (SELECT pg_get_expr(f.adbin, f.adrelid) FROM pg_catalog.pg_attrdef f
        WHERE f.adrelid = c.oid AND f.adnum = a.attnum),
    (SELECT d.description FROM pg_catalog.pg_description d
        WHERE d.objoid = c.oid AND d.objsubid = a.attnum AND d.classoid = 'pg_catalog.pg_class'::regclass)
FROM pg_catalog.pg_namespace n
JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relkind IN ('r', 'p')
JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
WHERE {names} AND (LEFT(c.relname, 1) <> '~' OR LEFT(c.relname, 9) = '~dropped_' OR t.typtype = 'e')
ORDER BY c.oid, a.attnum
"""

# Also those that no column has: what a table needs may be there already, from one that was dropped.
_TYPES = """
SELECT n.nspname, t.typname,
    ARRAY(SELECT e.enumlabel::text FROM pg_catalog.pg_enum e WHERE e.enumtypid = t.oid ORDER BY e.enumsortorder)
FROM pg_catalog.pg_namespace n
JOIN pg_catalog.pg_type t ON t.typnamespace = n.oid AND t.typtype = 'e'
WHERE {names}
"""

_KEYS = """
SELECT n.nspname, c.relname, k.conname, k.contype,
    ARRAY(SELECT a.attname::text FROM unnest(k.conkey) WITH ORDINALITY u(number, place)
        JOIN pg_catalog.pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.number ORDER BY u.place),
    pn.nspname, pc.relname,
    ARRAY(SELECT a.attname::text FROM unnest(k.confkey) WITH ORDINALITY u(number, place)
        JOIN pg_catalog.pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = u.number ORDER BY u.place),
    CASE WHEN k.contype <> 'f' THEN lower(pg_get_constraintdef(k.oid)) ELSE
        CASE WHEN k.confupdtype <> 'c' OR k.confdeltype <> 'r' OR k.confmatchtype <> 's' OR k.condeferrable
            THEN 'is ' || COALESCE(
                lower(substring(pg_get_constraintdef(k.oid) FROM '\\) ((?:MATCH|ON|DEFERRABLE).*)')),
                'on update no action on delete no action') || ' '
            ELSE '' END
        || CASE WHEN k.convalidated THEN '' ELSE 'not validated' END END
FROM pg_catalog.pg_namespace n
JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relkind IN ('r', 'p')
JOIN pg_catalog.pg_constraint k ON k.conrelid = c.oid AND k.contype IN ('p', 'f', 'c', 'x')
LEFT JOIN pg_catalog.pg_class pc ON pc.oid = k.confrelid
LEFT JOIN pg_catalog.pg_namespace pn ON pn.oid = pc.relnamespace
WHERE {names}
"""

# indoption: 1 descending, 2 nulls first; what is usual for a direction is left out.
_INDEXES = """
SELECT n.nspname, c.relname, x.relname, i.indisunique,
    ARRAY(SELECT CASE WHEN u.number = 0 THEN '(' || pg_get_indexdef(i.indexrelid, u.place::int, true) || ')'
            ELSE (SELECT a.attname::text FROM pg_catalog.pg_attribute a
                WHERE a.attrelid = i.indrelid AND a.attnum = u.number) END
            || CASE i.indoption[u.place - 1] WHEN 1 THEN ' desc nulls last' WHEN 2 THEN ' nulls first'
                WHEN 3 THEN ' desc' ELSE '' END
        FROM unnest(i.indkey::int2[]) WITH ORDINALITY u(number, place)
        WHERE u.place <= i.indnkeyatts ORDER BY u.place),
    CASE WHEN m.amname <> 'btree' THEN 'using ' || m.amname || ' ' ELSE '' END
        || CASE WHEN i.indnatts > i.indnkeyatts THEN 'with more columns ' ELSE '' END
        || COALESCE('where ' || pg_get_expr(i.indpred, i.indrelid) || ' ', '')
        || CASE WHEN i.indnullsnotdistinct THEN 'nulls not distinct ' ELSE '' END
        || CASE WHEN i.indimmediate THEN '' ELSE 'deferrable ' END
        || CASE WHEN i.indisvalid THEN '' ELSE 'invalid' END
FROM pg_catalog.pg_namespace n
JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relkind IN ('r', 'p')
JOIN pg_catalog.pg_index i ON i.indrelid = c.oid AND NOT i.indisprimary AND NOT i.indisexclusion
JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid
JOIN pg_catalog.pg_am m ON m.oid = x.relam
WHERE {names}
"""


@cache
def _type(text: str) -> str:
    """Give what ``format_type`` says, as short as MySQL says it."""
    text = text.replace(" without time zone", "").replace("character varying", "varchar")
    return re.sub(r"^character\b", "char", re.sub(r"^integer$", "int", text.replace(", ", ",")))


def _default(text: str | None) -> str | None:
    """Give the value in what ``pg_get_expr`` says (``'mouse'::character varying``), or an expression in parentheses."""
    if text is None or re.match(r"NULL::", text):
        return None
    if match := re.fullmatch(r"'((?:[^']|'')*)'(?:::[^']+)?", text):
        return match[1].replace("''", "'")
    if match := re.fullmatch(r"\(?(-?[\d.]+|true|false|CURRENT_TIMESTAMP(?:\(\d\))?)\)?(?:::[^']+)?", text):
        return match[1]
    return f"({text})"


def expression_of(text: str) -> str:
    """Give an expression of an index without PostgreSQL's casts, and a path into JSON as a definition has it."""
    text = text.replace("::text", "")
    path = r"\(+jsonb_extract_path_text\((\w+), (?:VARIADIC ARRAY\[)?(.*?)\]?\)\)?(?:::(.*?))?\)"
    if match := re.fullmatch(path, text):
        parts = re.findall(r"'(.*?)'", match[2])
        joined = "".join(f"[{part}]" if part.isdigit() else f".{part}" for part in parts)
        type_ = (match[3] or "").replace("numeric", "decimal").replace("character", "char").replace(" varying", "")
        text = f"({match[1]}{joined}:{type_})" if type_ else f"({match[1]}{joined})"
    return notation.normal_expression(text)
