"""Reads MySQL's catalogue for :mod:`catalog`: MySQL 8.0, 8.4 and 9."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from ...errors import PipelineError
from ...schema import notation
from ...schema.model import Index
from ..introspection import CatalogColumn, CatalogTable, CatalogTables, Catalogue, Reference
from .auditing import OURS
from .texts import OF_THE_SERVER, OF_THREE_BYTES, WHOLE, character_set

if TYPE_CHECKING:
    import datajoint as dj

#: What a core type is as a column, where that is not its own name.
_STORED = {
    "int64": "bigint",
    "int32": "int",
    "int16": "smallint",
    "int8": "tinyint",
    "float32": "float",
    "float64": "double",
    "bool": "tinyint",
    "uuid": "binary(16)",
    "bytes": "longblob",
}


def fits(core: str, stored: str) -> bool:
    """Tell whether DataJoint stores a core type so."""
    if core.startswith("enum("):
        # MySQL takes spaces off the ends of values.
        return notation.enum_values(stored) == tuple(value.rstrip() for value in notation.enum_values(core))
    return stored == stored_as(core)


def stored_as(core: str) -> str:
    """Give what a core or native type is as a column."""
    return _STORED.get(core, core)


def native(stored: str) -> str:
    """Give the type of a column that has no marker, as a definition writes it."""
    # decimal(5,2) would have a marker; the same as numeric(5,2) has none.
    return stored.replace("decimal(", "numeric(")


#: Character sets whose letters take up to four bytes, and that have all of them.
_USUAL = ("utf8mb4",)

#: Row formats that take 767 bytes of a column in an index, and keep as many of a long value in the row.
_OLD = ("Compact", "Redundant")

#: What may be the name of a table in a trigger, however it is written.
_WORDS = re.compile(r"`(?:[^`]|``)+`|[\w$]+")

#: Of hidden tables, a migration asks for the columns of those alone that were soft-deleted; of jobs, only for the key.
_KNOWN = "(LEFT(table_name, 1) <> '~' OR LEFT(table_name, 9) = '~dropped_')"


def _named_by_triggers(connection: dj.Connection, names: tuple[str, ...]) -> set[str]:
    """Give every word in the triggers of some databases, and in the routines and views that these name.

    The server tells of no trigger which tables it uses, so that the text has to do.
    """

    def words(text: str) -> set[str]:
        return {word.strip("`").replace("``", "`") for word in _WORDS.findall(text)}

    marks = ", ".join(["%s"] * len(names))
    bodies = (
        f"FROM information_schema.triggers WHERE event_object_schema IN ({marks}) AND NOT {OURS.replace('%', '%%')}"
    )
    # Of routines and views there may be many, and most servers have no trigger that could use one.
    others = f"NOT IN ({OF_THE_SERVER}) AND EXISTS (SELECT 1 {bodies})"
    query = (
        f"SELECT '', LOWER(action_statement) {bodies} UNION ALL "
        "SELECT LOWER(routine_name), LOWER(routine_definition) FROM information_schema.routines "
        f"WHERE routine_schema {others} UNION ALL "
        "SELECT LOWER(table_name), LOWER(view_definition) FROM information_schema.views "
        f"WHERE table_schema {others}"
    )
    waiting = [(str(name), words(str(text))) for name, text in connection.query(query, names * 3).fetchall()]
    named = {""}
    while used := [one for one in waiting if one[0] in named]:
        named |= {word for _, text in used for word in text}
        waiting = [one for one in waiting if one not in used]
    return named


def read(connection: dj.Connection, names: tuple[str, ...]) -> Catalogue:
    """Read what the server tells of some databases, by their names there."""

    def rows(columns: str, view: str, database: str, condition: str = "TRUE") -> Any:
        marks = ", ".join(["%s"] * len(names))
        source = f"FROM information_schema.{view} WHERE {database} IN ({marks}) AND {condition}"
        # One JSON document for each table: PyMySQL takes longer to read many rows than MySQL to put them together.
        query = f"SELECT JSON_ARRAYAGG(JSON_ARRAY({columns})) {source} GROUP BY {database}, table_name"
        documents = [document for (document,) in connection.query(query, names).fetchall()]
        if all(documents):
            return [row for document in documents for row in json.loads(document)]
        # Of one that is longer than max_allowed_packet there comes nothing.
        found = [row for (row,) in connection.query(f"SELECT JSON_ARRAY({columns}) {source}", names).fetchall()]
        if not all(found):
            raise PipelineError(
                "The server gives too little at once to say what its tables are.",
                "What it knows of one column, index or table is longer than max_allowed_packet there.",
                "Have max_allowed_packet raised on the server, then run the command again.",
            )
        return [json.loads(row) for row in found]

    catalogue = Catalogue()
    tables = catalogue.tables
    named = _named_by_triggers(connection, names)
    # The options of a table do not tell of partitions by its key.
    divided = (
        "EXISTS (SELECT 1 FROM information_schema.partitions p WHERE p.table_schema = t.table_schema "
        "AND p.table_name = t.table_name AND p.partition_ordinal_position = 1)"
    )
    for database, collation, name, comment, engine, own_collation, row_format, partitioned in rows(
        "s.schema_name, default_collation_name, table_name, table_comment, engine, table_collation, row_format, "
        f"{divided}",
        "schemata s LEFT JOIN information_schema.tables t "
        "ON t.table_schema = s.schema_name AND t.table_type = 'BASE TABLE'",
        "s.schema_name",
    ):
        found = tables[database, name or ""] = CatalogTable(comment or "")
        found.old_format, found.engine = row_format.lower() if row_format in _OLD else "", engine or ""
        found.collation, catalogue.collations[database] = own_collation or "", collation
        found.in_triggers = (name or "").lower() in named
        if name and engine != "InnoDB":
            found.deviations.append(f"stored in {engine}")
        if name and own_collation != collation:
            found.deviations.append(f"collation {own_collation}, where the database has {collation}")
        if partitioned:
            found.deviations.append("partitioned")
    if missing := {*names} - catalogue.collations.keys():
        # What is still to be made is made like the rest of the pipeline, so that texts compare.
        others = {*catalogue.collations.values()}
        usual = connection.query("SELECT @@collation_server", args=None).fetchone()
        (collation,) = others if len(others) == 1 else usual
        catalogue.collations |= dict.fromkeys(missing, collation)
    used = {*catalogue.collations.values(), *(table.collation for table in tables.values())}
    # The table of character sets is small, and the same on every server but for sets that hardly anybody has.
    if old := sorted({character_set(name) for name in used} - {"", *_USUAL}):
        found = connection.query("SELECT character_set_name, maxlen FROM information_schema.character_sets", args=None)
        catalogue.widths |= {name: int(most) for name, most in found.fetchall()}
    catalogue.letters = _letters(connection, old)
    for database, table, name, type_, extra, nullable, default, comment, collation, _ in sorted(
        rows(
            "table_schema, table_name, column_name, column_type, extra, is_nullable, column_default, column_comment, "
            "collation_name, ordinal_position",
            "columns",
            "table_schema",
            _KNOWN,
        ),
        key=lambda row: row[-1],
    ):
        if (database, table) in tables:
            # The server goes on saying DEFAULT_GENERATED of a column whose default was dropped.
            if "DEFAULT_GENERATED" in extra and default and not default.upper().startswith("CURRENT_TIMESTAMP"):
                default = f"({default})"
            words = [extra.replace("DEFAULT_GENERATED", "").strip().lower()]
            if collation and collation != tables[database, table].collation:
                words.append(f"collation {collation}")
            if type_.startswith("enum("):  # the only type in which the server escapes anything
                type_ = notation.unescape(type_)
            tables[database, table].columns.append(
                CatalogColumn(
                    name, notation.normal_type(type_), " ".join(words).strip(), nullable == "YES", default, comment
                )
            )
    for database, table, clause, enforced in rows(
        "c.constraint_schema, table_name, check_clause, enforced",
        "check_constraints c JOIN information_schema.table_constraints t USING (constraint_schema, constraint_name)",
        "c.constraint_schema",
        "constraint_type = 'CHECK'",
    ):
        if (database, table) in tables:
            text = f"check {notation.normal_expression(clause)}{' not enforced' if enforced == 'NO' else ''}"
            tables[database, table].deviations.append(text)
    _read_keys(rows, tables)
    return catalogue


#: Every character of up to three bytes, of which sets of old have some; none has one of four that is not in ``WHOLE``.
_EVERY = "".join(map(chr, (*range(0xD800), *range(0xE000, 0x10000))))


def _letters(connection: dj.Connection, sets: list[str]) -> dict[str, str]:
    """Give the characters of those of some character sets that do not have all of up to three bytes."""
    sets = [name for name in sets if name not in (*WHOLE, *OF_THREE_BYTES)]
    if not sets:
        return {}
    # What a set does not have comes back as a question mark.
    every = f"CONVERT(_utf8mb4 X'{_EVERY.encode().hex()}' USING {{}})"
    found = {
        name: connection.query(f"SELECT HEX(CONVERT({every.format(name)} USING utf8mb4))", args=None).fetchone()[0]
        for name in sets
    }
    kept = {name: bytes.fromhex(text).decode() for name, text in found.items() if text}
    return {name: "".join(a for a, b in zip(_EVERY, text, strict=True) if a == b) for name, text in kept.items()}


def _read_keys(rows: Any, tables: CatalogTables) -> None:
    rules = {
        (database, name): f"is on update {update} on delete {delete}".lower()
        for database, name, update, delete in rows(
            "constraint_schema, constraint_name, update_rule, delete_rule",
            "referential_constraints",
            "constraint_schema",
            "(update_rule, delete_rule) <> ('CASCADE', 'RESTRICT')",
        )
    }
    keys: dict[tuple[str, str, str], list[Any]] = {}
    for database, table, name, _, *column in sorted(
        rows(
            "table_schema, table_name, constraint_name, ordinal_position, column_name, referenced_table_schema, "
            "referenced_table_name, referenced_column_name",
            "key_column_usage",
            "table_schema",
            "(constraint_name = 'PRIMARY' OR referenced_table_name IS NOT NULL) "
            f"AND ({_KNOWN} OR LEFT(table_name, 2) = '~~')",
        ),
        key=lambda row: row[:4],
    ):
        keys.setdefault((database, table, name), []).append(column)
    for (database, table, name), columns in keys.items():
        attributes, parents, parent_tables, parent_attributes = zip(*columns, strict=True)
        if (database, table) not in tables:
            continue
        if name == "PRIMARY":
            tables[database, table].primary_key = attributes
        else:
            words = rules.get((database, name), "")
            reference = Reference(name, attributes, (parents[0], parent_tables[0]), parent_attributes, words)
            tables[database, table].references.append(reference)
    indexes: dict[tuple[str, str, str, bool], list[str]] = {}
    for database, table, name, _, not_unique, column, order, part, expression, kind, visible in sorted(
        rows(
            "table_schema, table_name, index_name, seq_in_index, non_unique, column_name, collation, sub_part, "
            "expression, index_type, is_visible",
            "statistics",
            "table_schema",
            f"index_name <> 'PRIMARY' AND {_KNOWN}",
        ),
        key=lambda row: row[:4],
    ):
        text = notation.normal_expression(f"({expression})") if column is None else column
        text += f"({part})" if part else ""
        text += " desc" if order == "D" else ""
        text += f" using {kind.lower()}" if kind != "BTREE" else ""
        text += " invisible" if visible == "NO" else ""
        indexes.setdefault((database, table, name, not not_unique), []).append(text)
    for (database, table, name, unique), texts in indexes.items():
        if (database, table) in tables:
            tables[database, table].indexes.append(Index(tuple(texts), unique))
            tables[database, table].index_names.append(name)
