"""What databases hold, asked in plain SQL, so that neither DataJoint nor the engine is its own judge.

Tables are keyed by the schema's name in the code and the table's name without the prefix of its tier. Left out is what
is out of DataJoint's sight: tables whose names begin with ``~`` and columns whose names begin with ``_dropped_``.
"""

from __future__ import annotations

import datetime
import json
import re
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from decimal import Decimal
from graphlib import TopologicalSorter
from typing import Any

from conftest import Server

#: A schema's name in the code and a table's name on the server without its tier's prefix.
Key = tuple[str, str]

#: Name on the server of each schema in the code.
Databases = Mapping[str, str]


def plain(text: Any) -> str:
    """What DataJoint says of a table without what does not matter.

    PostgreSQL's decimal numbers get one form: ``'-7.00'::numeric`` is ``-7``. In which order indexes stand, and
    foreign keys that bring the same attributes, cannot be told from a table, nor which unique index a row offends first.
    """
    number = r"'\(?(-?\d+(?:\.\d+)?)\)?'::numeric *|(?<![\w.])(-?\d+\.\d*0)(?![\w.]) *"
    text = re.sub(number, lambda found: f"{Decimal(found[1] or found[2]).normalize():f} ", str(text)).rstrip()
    runs = r"^->.*(?:\n->.*)*|^(?:UNIQUE )?INDEX .*(?:\n(?:UNIQUE )?INDEX .*)*"
    text = re.sub(runs, lambda found: "\n".join(sorted(found[0].splitlines())), text, flags=re.M)
    return re.sub(r"^(DuplicateError):.*", r"\1", text, flags=re.S)


@dataclass(frozen=True)
class Column:
    """A column in the server's words; an enum's type with its values, and the place of that type on PostgreSQL."""

    name: str
    type: str
    nullable: bool
    default: str | None
    comment: str
    extra: str = ""
    enum: tuple[str, str] | None = None

    @property
    def hidden(self) -> bool:
        return self.name.startswith("_")

    def facts(self) -> tuple[Any, ...]:
        """What two equal columns have in common; ``NULL::text`` is no default, and ``'0'::numeric`` is ``0.00``."""
        default = None if self.default and re.fullmatch(r"NULL::[\w ]+", self.default) else self.default
        if default and self.type.startswith("numeric"):
            default = plain(default)
        return self.type, self.nullable, default, self.comment, self.extra


@dataclass
class Table:
    """A table as the server has it: foreign keys as (columns, parent, parent's columns, rules)."""

    name: str
    database: str
    comment: str
    columns: list[Column] = field(default_factory=list)
    keys: set[tuple[str, tuple[str, ...]]] = field(default_factory=set)
    foreign_keys: set[tuple[tuple[str, ...], Key, tuple[str, ...], str]] = field(default_factory=set)
    lineage: dict[str, tuple[Key, str]] = field(default_factory=dict)

    @property
    def column(self) -> dict[str, Column]:
        return {column.name: column for column in self.columns}

    @property
    def visible(self) -> list[str]:
        return [column.name for column in self.columns if not column.hidden]

    @property
    def primary_key(self) -> tuple[str, ...]:
        return next((columns for kind, columns in self.keys if kind == "primary"), ())

    def facts(self) -> dict[str, Any]:
        """All that two equal tables have in common, in which the order of hidden columns does not count."""
        facts = {"tier": self.name, "comment": self.comment, "order": self.visible}
        facts |= {f"column {column.name}": column.facts() for column in self.columns}
        facts |= {f"{kind} {', '.join(columns)}": True for kind, columns in self.keys}
        for columns, parent, theirs, rules in self.foreign_keys:
            facts[f"foreign key {', '.join(columns)} to {'.'.join(parent)} ({', '.join(theirs)})"] = rules
        return facts | {f"lineage of {name}": origin for name, origin in self.lineage.items()}


Catalogue = dict[Key, Table]


@contextmanager
def connect(server: Server) -> Iterator[Callable[[str], list[tuple[Any, ...]]]]:
    """One connection, as a function that runs a statement and gives its rows; every statement commits."""
    if server.backend == "mysql":
        import pymysql

        connection: Any = pymysql.connect(
            host=server.host,
            port=server.port,
            user=server.user,
            password=server.password,
            autocommit=True,
            ssl_disabled=True,  # a connection takes half the time
        )
    else:
        import psycopg2

        connection = psycopg2.connect(
            host=server.host, port=server.port, user=server.user, password=server.password, dbname="postgres"
        )
        connection.autocommit = True
    with closing(connection), connection.cursor() as cursor:

        def query(statement: str) -> list[tuple[Any, ...]]:
            cursor.execute(statement)
            return list(cursor.fetchall()) if cursor.description else []

        yield query


def quoted(server: Server, *names: str) -> str:
    mark = "`" if server.backend == "mysql" else '"'
    return ".".join(f"{mark}{name}{mark}" for name in names)


def bare(table: str) -> str:
    """A table's name without its tier's prefix."""
    return table.lstrip("_#")


def read(server: Server, databases: Databases) -> Catalogue:
    """Every table of the databases."""
    schemas = {database: schema for schema, database in databases.items()}
    names = ", ".join(f"'{name}'" for name in schemas)
    with connect(server) as query:
        found = (_read_mysql if server.backend == "mysql" else _read_postgresql)(query, names, schemas)
        for key, table in found.items():
            table.keys = {(kind, columns) for kind, columns in table.keys if not _dropped(columns)}
            table.foreign_keys = {key for key in table.foreign_keys if not _dropped(key[0])}
            table.columns = [column for column in table.columns if not _dropped([column.name])]
            found[key] = table
        for schema, database in databases.items():
            if any(there == schema for there, _ in found) and _has_lineage(query, server, database):
                _read_lineage(query, server, found, schema, database, schemas)
    return found


def _free(found: Catalogue, schema: str, name: str) -> Key:
    """The key of a table; one that differs from another in its tier alone has its whole name, and a mark."""
    key = schema, bare(name)
    return key if key not in found else (schema, f"{name} (too)")


def _of(found: Catalogue, schema: str, name: str) -> Table:
    table = found[schema, bare(name)]
    return table if table.name == name else found[schema, f"{name} (too)"]


def _dropped(names: Iterable[str]) -> bool:
    return any(name.startswith("_dropped_") for name in names)


def _has_lineage(query: Any, server: Server, database: str) -> bool:
    """Whether DataJoint ever made a table there."""
    view = "information_schema.tables WHERE table_name = '~lineage' AND table_schema"
    return bool(next(iter(query(f"SELECT COUNT(*) FROM {view} = '{database}'")))[0])


def _read_lineage(query: Any, server: Server, found: Catalogue, schema: str, database: str, schemas: Any) -> None:
    rows = query(f"SELECT table_name, attribute_name, lineage FROM {quoted(server, database, '~lineage')}")
    for name, attribute, lineage in rows:
        table = found.get((schema, bare(name)))
        if table is None or name != table.name:
            if not name.startswith("~"):
                key = (schema, f"lineage of {name}")
                found.setdefault(key, Table(name, database, "no such table")).lineage[attribute] = ((lineage, ""), "")
        elif not _dropped([attribute]):
            there, origin, column = lineage.split(".")
            table.lineage[attribute] = ((schemas.get(there, there), bare(origin)), column)


def _read_mysql(query: Any, names: str, schemas: Mapping[str, str]) -> Catalogue:
    found: Catalogue = {}
    view, where = "information_schema", f"IN ({names}) AND table_name NOT LIKE '~%'"
    for database, name, comment in query(
        f"SELECT table_schema, table_name, table_comment FROM {view}.tables WHERE table_schema {where}"
    ):
        found[_free(found, schemas[database], name)] = Table(name, database, comment)
    columns = "column_name, column_type, is_nullable = 'YES', column_default, column_comment, extra, collation_name"
    for database, name, *column, extra, collation in query(
        f"SELECT table_schema, table_name, {columns} FROM {view}.columns WHERE table_schema {where}"
        " ORDER BY table_schema, table_name, ordinal_position"
    ):
        column[2] = bool(column[2])
        extra = f"{extra} {collation or ''}".strip()
        _of(found, schemas[database], name).columns.append(Column(*column, extra))
    for database, name, _, index, unique, columns in query(
        "SELECT table_schema, table_name, index_name, index_name = 'PRIMARY', non_unique = 0,"
        " GROUP_CONCAT(COALESCE(column_name, expression) ORDER BY seq_in_index SEPARATOR ',')"
        f" FROM {view}.statistics WHERE table_schema {where} GROUP BY 1, 2, 3, 4, 5"
    ):
        kind = "primary" if index else "unique index" if unique else "index"
        _of(found, schemas[database], name).keys.add((kind, tuple(columns.split(","))))
    for database, name, _, there, parent, rules, columns, theirs in query(
        "SELECT k.table_schema, k.table_name, k.constraint_name, k.referenced_table_schema, k.referenced_table_name,"
        " CONCAT('update ', r.update_rule, ', delete ', r.delete_rule),"
        " GROUP_CONCAT(k.column_name ORDER BY k.ordinal_position),"
        " GROUP_CONCAT(k.referenced_column_name ORDER BY k.ordinal_position)"
        f" FROM {view}.key_column_usage k JOIN {view}.referential_constraints r"
        " ON r.constraint_schema = k.constraint_schema AND r.constraint_name = k.constraint_name"
        f" WHERE k.table_schema IN ({names}) AND k.table_name NOT LIKE '~%'"
        " AND k.referenced_table_name IS NOT NULL GROUP BY 1, 2, 3, 4, 5, 6"
    ):
        key = (tuple(columns.split(",")), (schemas.get(there, there), bare(parent)), tuple(theirs.split(",")), rules)
        _of(found, schemas[database], name).foreign_keys.add(key)
    return found


def _read_postgresql(query: Any, names: str, schemas: Mapping[str, str]) -> Catalogue:
    found: Catalogue = {}
    tables = "FROM pg_class t JOIN pg_namespace n ON n.oid = t.relnamespace"
    where = f"n.nspname IN ({names}) AND t.relkind = 'r' AND t.relname NOT LIKE '~%'"
    for database, name, comment in query(
        f"SELECT n.nspname, t.relname, COALESCE(obj_description(t.oid), '') {tables} WHERE {where}"
    ):
        found[_free(found, schemas[database], name)] = Table(name, database, comment)
    for database, name, column, type_, labels, nullable, default, comment, extra, place in query(
        "SELECT n.nspname, t.relname, a.attname, CASE WHEN y.typtype = 'e' THEN y.typname::text"
        " ELSE format_type(a.atttypid, a.atttypmod) END,"
        " (SELECT string_agg(quote_literal(enumlabel), ',' ORDER BY enumsortorder) FROM pg_enum"
        " WHERE enumtypid = y.oid), NOT a.attnotnull, pg_get_expr(d.adbin, d.adrelid),"
        " COALESCE(col_description(t.oid, a.attnum), ''), a.attidentity::text || a.attgenerated::text, yn.nspname"
        f" {tables} JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped"
        " JOIN pg_type y ON y.oid = a.atttypid JOIN pg_namespace yn ON yn.oid = y.typnamespace LEFT JOIN pg_attrdef d ON d.adrelid = t.oid AND d.adnum = a.attnum"
        f" WHERE {where} ORDER BY 1, 2, a.attnum"
    ):
        for there, schema in schemas.items():
            default = default and default.replace(f'"{there}".', f"{schema}.").replace(f"{there}.", f"{schema}.")
        enum = (place, type_) if labels else None
        type_ = f"{type_} enum({labels})" if labels else type_
        made = Column(column, type_, nullable, default, comment, extra, enum)
        _of(found, schemas[database], name).columns.append(made)
    _order_shared_enums(found)
    for database, name, primary, unique, columns in query(
        "SELECT n.nspname, t.relname, i.indisprimary, i.indisunique, array(SELECT pg_get_indexdef(i.indexrelid, k, true)"
        f" FROM generate_series(1, i.indnatts) k) {tables} JOIN pg_index i ON i.indrelid = t.oid WHERE {where}"
    ):
        kind = "primary" if primary else "unique index" if unique else "index"
        _of(found, schemas[database], name).keys.add((kind, tuple(columns)))
    named = "array(SELECT attname::text FROM unnest({0}) WITH ORDINALITY k(number, place) JOIN pg_attribute ON attrelid = {1} AND attnum = number ORDER BY place)"
    for database, name, columns, there, parent, theirs, rules in query(
        f"SELECT n.nspname, t.relname, {named.format('c.conkey', 'c.conrelid')}, m.nspname, p.relname,"
        f" {named.format('c.confkey', 'c.confrelid')}, 'update ' || c.confupdtype::text || ', delete ' ||"
        " c.confdeltype::text || CASE WHEN c.condeferrable THEN ', deferrable' ELSE '' END ||"
        " CASE WHEN c.convalidated THEN '' ELSE ', not valid' END"
        f" {tables} JOIN pg_constraint c ON c.conrelid = t.oid AND c.contype = 'f' JOIN pg_class p ON p.oid = c.confrelid"
        f" JOIN pg_namespace m ON m.oid = p.relnamespace WHERE {where}"
    ):
        key = (tuple(columns), (schemas.get(there, there), bare(parent)), tuple(theirs), rules)
        _of(found, schemas[database], name).foreign_keys.add(key)
    return found


def _order_shared_enums(found: Catalogue) -> None:
    """Which order the values of a type have that several attributes declare, depends on whose it was first."""
    columns = [column for table in found.values() for column in table.columns if not _dropped([column.name])]
    declared = Counter(column.enum for column in columns if column.comment.startswith(":enum("))
    for table in found.values():
        for number, column in enumerate(table.columns):
            if declared[column.enum] > 1 and column.enum:
                name, _, labels = column.type.partition(" enum(")
                listed = ", ".join(sorted(labels.removesuffix(")").split(",")))
                table.columns[number] = replace(column, type=f"{name} enum({listed})")


def differences(expected: Catalogue, found: Catalogue, *, lineage: bool = True) -> list[str]:
    """Where two catalogues differ, one text a fact."""
    texts = []
    for key in sorted({*expected, *found}):
        name = ".".join(key)
        if key not in found or key not in expected:
            texts.append(f"{name} {'is missing' if key not in found else 'should not be there'}")
            continue
        ours, theirs = expected[key].facts(), found[key].facts()
        texts += [
            f"{name}: {fact}: {theirs.get(fact, 'absent')} instead of {ours.get(fact, 'none')}"
            for fact in {**ours, **theirs}
            if ours.get(fact) != theirs.get(fact)
            and (lineage or not fact.startswith("lineage"))
            # Which columns DataJoint adds of its own depends on settings; one too many is no difference.
            and (fact in ours or not fact.startswith("column _"))
        ]
    return texts


# --- Rows ----------------------------------------------------------------------------------------------------------


@dataclass
class Rows:
    """The rows of a table."""

    columns: list[str]
    rows: list[tuple[Any, ...]]

    def values(self, column: str) -> list[Any]:
        place = self.columns.index(column)
        return [row[place] for row in self.rows]

    def mapped(self, column: str, function: Callable[[Any], Any]) -> Rows:
        """These rows with other values in a column."""
        place = self.columns.index(column)
        return Rows(self.columns, [(*r[:place], function(r[place]), *r[place + 1 :]) for r in self.rows])

    def filled(self, values: Mapping[str, Any]) -> Rows:
        """These rows with values where there were none."""
        given = [values.get(name) for name in self.columns]
        return Rows(
            self.columns, [tuple(g if v is None else v for v, g in zip(r, given, strict=True)) for r in self.rows]
        )


def rows(server: Server, catalogue: Catalogue) -> dict[Key, Rows]:
    """Every row of every table."""
    found = {}
    with connect(server) as query:
        for key, table in catalogue.items():
            names = [column.name for column in table.columns]
            if not names:
                continue  # a table that only lineage tells of
            select = ", ".join(quoted(server, name) for name in names)
            found[key] = Rows(names, query(f"SELECT {select} FROM {quoted(server, table.database, table.name)}"))
    return found


def copy(server: Server, found: Catalogue, expected: Catalogue) -> None:
    """Fill fresh tables with the rows of others that are like them; the server holds the rows against every key."""
    below = {
        key: {parent for _, parent, _, _ in table.foreign_keys} & {*expected} - {key} for key, table in expected.items()
    }
    order = [key for key in TopologicalSorter(below).static_order() if key in found]
    with connect(server) as query:
        for key in reversed(order):
            query(f"DELETE FROM {quoted(server, expected[key].database, expected[key].name)}")
        for key in order:
            names = [column for column in expected[key].columns if column.name in found[key].column]
            into = ", ".join(quoted(server, column.name) for column in names)
            values = ", ".join(_cast(server, column) for column in names)
            places = [quoted(server, table.database, table.name) for table in (expected[key], found[key])]
            query(f"INSERT INTO {places[0]} ({into}) SELECT {values} FROM {places[1]}")


def _cast(server: Server, column: Column) -> str:
    # Two enums are two types of PostgreSQL, whatever they are called.
    name = quoted(server, column.name)
    return f"{name}::text::{quoted(server, *column.enum)}" if column.enum else name


def strict(value: Any) -> str:
    """A value as a text that tells every two values of one type apart."""
    if isinstance(value, memoryview):
        value = bytes(value)
    if isinstance(value, (dict, list)):
        return json.dumps(value, sort_keys=True)
    return repr(value)


def loose(value: Any) -> str:
    """A value as a text that it keeps when it gets another type that can hold it."""
    if isinstance(value, memoryview):
        value = bytes(value)
    if value is None:
        return "NULL"
    if isinstance(value, bytes):
        return str(uuid.UUID(bytes=value)) if len(value) == 16 else value.hex()
    if isinstance(value, (bool, int, float, Decimal)):
        return f"{float(value):.6g}"
    if isinstance(value, (datetime.datetime, datetime.date, datetime.time, datetime.timedelta)):
        return _moment(str(value).rjust(8, "0"))
    if isinstance(value, (dict, list)):
        return json.dumps(value, sort_keys=True)
    text = _moment(str(value).rstrip())
    for read_as in (lambda text: f"{float(text):.6g}", lambda text: str(uuid.UUID(text))):
        try:
            return read_as(text)
        except ValueError:
            continue
    return text


def _moment(text: str) -> str:
    """A moment without what is nothing in it."""
    return re.sub(r"(:\d\d\.\d*?)0+$", r"\1", text).removesuffix(".").removesuffix(" 00:00:00")


def lost(before: Rows, after: Rows, columns: Mapping[str, str], *, more: bool = False) -> list[str]:
    """What did not come through, one text a finding.

    Parameters
    ----------
    before, after : Rows
        The same table earlier and later.
    columns : mapping
        New name of each column that has to survive, by its old one.
    more : bool
        Whether there may be rows that were not there before.
    """
    found = [f"{name} is gone" for name in columns if columns[name] not in after.columns]
    columns = {old: new for old, new in columns.items() if new in after.columns}
    if len(after.rows) < len(before.rows) or (len(after.rows) > len(before.rows) and not more):
        found.append(f"{len(after.rows)} rows instead of {len(before.rows)}")
    ways: dict[str, Callable[[Any], str]] = {}
    for old, new in columns.items():
        for way in (strict, loose):
            if not Counter(map(way, before.values(old))) - Counter(map(way, after.values(new))):
                ways[old] = way
                break
        else:
            found.append(f"{old}: {_shortened(before.values(old))} became {_shortened(after.values(new))}")
    if not found:
        # Every column came through for itself; now the values of a row must still belong together.
        was = _together(before, {name: name for name in ways}, ways)
        missing = Counter(was) - Counter(_together(after, columns, ways))
        if missing:
            found.append(f"values of other rows side by side: {next(iter(missing))} is no row any more")
    return found


def _together(rows: Rows, columns: Mapping[str, str], ways: Mapping[str, Callable[[Any], str]]) -> list[Any]:
    places = [(rows.columns.index(columns[name]), way) for name, way in ways.items()]
    return [tuple(way(row[place]) for place, way in places) for row in rows.rows]


def _shortened(values: list[Any]) -> str:
    return ", ".join(str(value)[:40] for value in values[:2])
