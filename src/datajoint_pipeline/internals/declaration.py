"""DataJoint without a server: what decorating a table class would declare becomes a value of the model.

DataJoint's own code parses definitions, resolves what they refer to and refuses what is wrong; an adapter that records
what it is to format, and a connection that refuses every query, stand where a server would be. It is tested against
tables that DataJoint really declared.
"""

from __future__ import annotations

import datetime
import inspect
import json
import re
import traceback
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from decimal import Decimal
from typing import Any, NamedTuple, NoReturn

import datajoint as dj
from datajoint import instance, schemas
from datajoint.adapters.mysql import MySQLAdapter
from datajoint.declare import CORE_TYPES, _parse_index_args, prepare_declare
from datajoint.heading import Heading, default_attribute_properties

from ..errors import PipelineError
from ..nearest import did_you_mean
from ..schema import notation
from ..schema.model import Attribute, ForeignKey, Index, Schema, Table, TableName, declared_indexes
from . import declaration_checks
from .code import Code
from .sources import Sources


class _Column(NamedTuple):
    """What DataJoint would have formatted as a column."""

    type: str
    nullable: bool
    default: str | None
    comment: str


#: Stands before a path into JSON, which DataJoint puts in parentheses: a definition has none round it.
_PATH = "~"


class _Adapter(MySQLAdapter):  # type: ignore[misc]
    """MySQL's adapter, whose indexes and quotes are the simpler ones; it records columns in their order."""

    def __init__(self) -> None:
        self.columns: dict[str, _Column] = {}
        #: Those that were formatted again, of which DataJoint takes the first.
        self.again: list[str] = []

    def format_column_definition(
        self, name: str, sql_type: str, nullable: bool = False, default: str | None = None, comment: str | None = None
    ) -> str:
        if name in self.columns:
            self.again.append(name)
        self.columns.setdefault(name, _Column(sql_type, nullable, default, comment or ""))
        return name

    def json_path_expr(self, column: str, path: str, return_type: str | None = None) -> str:
        return _PATH + (f"{column}.{path}:{return_type}" if return_type else f"{column}.{path}")


class _StandIn(dj.Connection):  # type: ignore[misc]
    """Stands in the place of a connection, as far as declaring a table needs one."""

    def __init__(self, config: Any, recording: Recording) -> None:
        self._config, self._recording = config, recording
        self._conn, self._is_closed, self._in_transaction = None, True, False
        self.conn_info = {"host": "", "user": "", "port": 0}
        self.adapter = _Adapter()
        self.schemas: dict[str, Any] = {}

    def register(self, schema: Any) -> None:
        self.schemas[schema.database] = schema
        self._recording.opened(schema.database)

    def query(self, query: str, *args: Any, **options: Any) -> NoReturn:
        self._recording.refuse_to_connect(" ".join(query.split())[:80])


def install(config: Any, sources: Sources, versions: Mapping[str, str], database_of: Callable[[str], str]) -> Recording:
    """Put the recording in the place of DataJoint's connection, for the rest of this process.

    Parameters
    ----------
    config : datajoint.Config
        DataJoint's configuration, which says what hidden attributes there are.
    sources : Sources
        The code that will be imported.
    versions : mapping
        ``SCHEMA_VERSIONS``.
    database_of : callable
        Gives the name of a schema on the server.
    """
    recording = Recording(sources, versions, database_of)
    recording.connection = _StandIn(config, recording)
    instance._singleton_connection = recording.connection
    dj.Connection.connect = lambda self: recording.refuse_to_connect("")
    schemas._Schema.exists = property(lambda self: self.database is not None)
    schemas._Schema._decorate_table = lambda self, table, context, assert_declared=False: recording.declare(
        self, table, context
    )
    return recording


class Recording:
    """The tables that were declared so far."""

    def __init__(self, sources: Sources, versions: Mapping[str, str], database_of: Callable[[str], str]) -> None:
        self._sources, self._versions = sources, versions
        self._named = {database_of(schema): schema for schema in versions}
        self._tables: dict[str, dict[str, Table]] = {name: {} for name in versions}
        #: Where attributes come from, by the table's name in statements and the attribute, as DataJoint notes it.
        self._lineages: dict[tuple[str, str], str] = {}
        #: Stands in the place of a connection.
        self.connection: Any = None
        #: Rows that Lookup tables come with, as far as JSON can say them, by schema and table.
        self.contents: dict[str, dict[str, list[dict[str, Any]]]] = {}
        #: What would go wrong where DataJoint declares the tables, by the backend: what, and why.
        self.problems: dict[str, list[tuple[str, str]]] = {backend: [] for backend in declaration_checks.LIMITS}
        #: Lines that DataJoint passes over: what, and why.
        self.ignored: list[tuple[str, str]] = []

    def schemas(self) -> dict[str, Schema]:
        """Give the schemas, those of ``SCHEMA_VERSIONS`` first."""
        return {
            name: Schema(name, tuple(tables[table] for table in sorted(tables)))
            for name, tables in self._tables.items()
        }

    def code(self, backend: str) -> Code:
        """Give all that was recorded, of a project whose configuration names a backend."""
        code = Code(self.schemas())
        code.problems, code.ignored, code.backend = self.problems, self.ignored, backend
        code.contents = {
            TableName(schema, table): rows for schema, tables in self.contents.items() for table, rows in tables.items()
        }
        return code

    def _schema(self, database: str) -> str:
        """Give the schema in the code that is meant where a module names a database."""
        return database if database in self._versions else self._named.get(database, database)

    def place(self, name: str) -> dict[str, Any]:
        """Give the arguments of ``datajoint.Schema`` for a schema of the code."""
        return {"schema_name": name, "connection": self.connection}

    def opened(self, database: str) -> None:
        """Take note of a schema."""
        self._tables.setdefault(self._schema(database), {})

    def refuse_to_connect(self, query: str) -> NoReturn:
        """Raise, in words, for code that wants a server."""
        stack = traceback.extract_stack()
        where = self._here()
        if any(frame.name == "make_classes" for frame in stack):
            raise PipelineError(
                "A module takes its tables from a database instead of defining them.",
                f"{where} makes classes of the tables it finds (VirtualModule, make_classes).",
                "Import the module that defines these tables.",
            )
        raise PipelineError(
            "A module talks to a database while it is imported.",
            f"{where} asks: {query}" if query else f"{where} connects.",
            "Do that in a function, to be called when the database is there.",
        )

    def _here(self) -> str:
        return self._sources.place([(frame.filename, frame.lineno) for frame in traceback.extract_stack()])

    def declare(self, schema: Any, table_class: Any, context: dict[str, Any]) -> None:
        """Do what DataJoint does with a class that is decorated, up to the statements."""
        try:
            table_class.database, table_class._connection = schema.database, schema.connection
            table_class._support = [table_class.full_table_name]
            table_class.declaration_context = context
            table, table_class._heading = _compile(table_class, context, self._schema, self._note, self._lineages)
        except PipelineError:
            raise
        except Exception as error:
            raise PipelineError(
                f"DataJoint refuses the definition of {table_class.__qualname__}.",
                f"{_line(self._sources, table_class, error)}: {' '.join(str(error).split()) or type(error).__name__}",
                f"{_meant(str(error), context)}Correct the definition.",
            ) from error
        if table.tier == "Lookup" and (rows := _contents(table_class)):
            self.contents.setdefault(table.name.schema, {})[table.name.table] = rows
        tables = self._tables.setdefault(table.name.schema, {})
        if tables.setdefault(table.name.table, table) != table:
            raise PipelineError(
                f"Two classes of the schema {table.name.schema} are called {table.title}.",
                f"The second one is in {self._here()}, and its definition is another.",
                "Rename one of them.",
            )

    def _note(
        self, table_class: Any, table: str, comment: str, columns: dict[str, _Column], keys: int, indexed: list[str]
    ) -> None:
        for name in dict.fromkeys(table_class._connection.adapter.again):
            where = _line(self._sources, table_class, _Refused("", name), last=True)
            what = f"The definition of {table_class.__qualname__} has {name} twice."
            self.ignored.append((what, f"{where}: DataJoint takes what stands first, and passes over this line."))
        for backend, found in self.problems.items():
            for why, culprit in declaration_checks.of_table(backend, table, comment, columns, keys, indexed):
                where = _line(self._sources, table_class, _Refused(why, culprit))
                found.append((f"DataJoint cannot make the table of {table_class.__qualname__}.", f"{where}: {why}"))


def _contents(table_class: Any) -> list[dict[str, Any]]:
    """Give the rows that a Lookup table comes with; none where a program makes them, or JSON cannot hold one."""
    found = getattr(table_class, "contents", None)
    if not isinstance(found, (list, tuple)):
        return []
    names, rows = table_class._heading.names, list[dict[str, Any]]()
    for row in found:
        if not isinstance(row, (dict, list, tuple)):
            return []
        rows.append(dict(row) if isinstance(row, dict) else dict(zip(names, row, strict=False)))
    plain = (str, int, float, bool, list, dict, type(None))
    for row in rows:
        for name, value in row.items():
            row[name] = str(value) if isinstance(value, (uuid.UUID, datetime.date, Decimal)) else value
    try:
        json.dumps(rows)
    except (TypeError, ValueError):
        return []
    return rows if all(isinstance(value, plain) for row in rows for value in row.values()) else []


def _line(sources: Sources, table_class: Any, error: BaseException, *, last: bool = False) -> str:
    """Give file and line of a definition, or of the line in it that DataJoint was reading when it raised the error.

    With ``last`` the attribute that is to blame stands in several lines, and the last one is meant.
    """
    frames = [frame.f_locals for frame, _ in traceback.walk_tb(error.__traceback__)]
    culprit = str(
        getattr(error, "culprit", None) or next((f.get("line") for f in frames if "index_sql" in f), None) or ""
    )
    try:
        source, first = inspect.getsourcelines(table_class)
    except (OSError, TypeError):
        return str(table_class.__module__)
    lines = [number for number, text in enumerate(source, first) if culprit and culprit in text]
    if last:
        begins = re.compile(rf"\W*{re.escape(culprit)}\s*[=:]")
        lines = [number for number, text in enumerate(source, first) if begins.match(text)][::-1]
    return sources.place([(str(inspect.getsourcefile(table_class)), lines[0] if lines else first)])


#: By the bits of an integer without a sign, as other languages have it: DataJoint has only those with one.
_HOLDS_UNSIGNED = {"8": "int16", "16": "int32", "32": "int64", "64": "decimal(20,0)"}


def _meant(refusal: str, context: Mapping[str, Any]) -> str:
    """Say what was probably meant by a table or type that DataJoint does not know; nothing where it is like none."""
    unsigned = re.search(
        r"Unsupported attribute type ((?:unsigned *(?:int)?|uint)(\d*)|int(\d+) +unsigned)$", refusal, re.I
    )
    if unsigned and (wide := _HOLDS_UNSIGNED.get(unsigned[2] or unsigned[3] or "32")):
        return f"Write {wide}, which holds every number of {unsigned[1]}. "
    if match := re.search(r"Foreign key reference (\w+) could not be resolved", refusal):
        known = [name for name, value in context.items() if inspect.isclass(value) and issubclass(value, dj.Table)]
    elif match := re.search(r"Unsupported attribute type (\w+)", refusal):
        known = list(CORE_TYPES)
    return did_you_mean(match[1], known) if match else ""


def _compile(
    table_class: Any, context: dict[str, Any], schema_of: Any, note: Any, lineages: dict[tuple[str, str], str]
) -> tuple[Table, Heading]:
    connection, adapter = table_class._connection, table_class._connection.adapter
    table = table_class()
    name = TableName(schema_of(table_class.database), table_class.table_name)
    if len(name.table) > adapter.max_table_name_length:
        raise dj.DataJointError(f"Table name {name.table} exceeds the max length of {adapter.max_table_name_length}.")
    adapter.columns.clear()
    adapter.again.clear()
    comment, key, _, references, indexes, _, origins, _ = prepare_declare(
        table.definition, context, adapter, table_name=name.table, config=connection._config
    )
    table._declare_check(key, origins)
    columns = dict(adapter.columns)
    declared = [_index(text, columns) for text in indexes]
    more = [part for index in declared for part in index.columns if part not in columns]
    note(table_class, name.table, comment, columns, len(references), more)
    foreign_keys = [_foreign_key(text, schema_of) for text in references]
    compiled = Table(
        name,
        tuple(_attribute(attribute, column, attribute in origins) for attribute, column in columns.items()),
        tuple(key),
        tuple(sorted(foreign_keys, key=lambda k: (k.parent.schema, k.parent.table, k.attributes))),
        declared_indexes(tuple(key), foreign_keys, declared),
        notation.unescape(_sent(comment)),
    )
    for attribute in key:
        if columns[attribute].type.endswith(("blob", "json")):
            raise _Refused("Blob or JSON attributes are not allowed in the primary key.", attribute)
    place = (table_class.database, name.table)
    lineage = {attribute: ".".join((*place, attribute)) for attribute in key}
    lineage |= {attribute: lineages[parent] for attribute, parent in origins.items()}
    # With these, queries may stand in a class body, as those of a key source do.
    lineages |= {(table_class.full_table_name, attribute): text for attribute, text in lineage.items()}
    return compiled, Heading(
        dict(
            default_attribute_properties,
            name=attribute,
            type=column.type,
            in_key=attribute in key,
            nullable=column.nullable,
            comment=_read(column.comment),
            lineage=lineage.get(attribute),
            is_hidden=attribute.startswith("_"),
        )
        for attribute, column in columns.items()
    )


class _Refused(dj.DataJointError):  # type: ignore[misc]
    """What a server would refuse, or DataJoint later on; ``culprit`` is a part of the line that is to blame."""

    def __init__(self, message: str, culprit: str) -> None:
        super().__init__(message)
        self.culprit = culprit


def _sent(text: str) -> str:
    """Give what a server gets of a text: DataJoint's statements pass through the driver's formatting."""
    try:
        return str(text % ())
    except (TypeError, ValueError):
        raise _Refused("A percent sign must be written twice (%%).", notation.split_comment(text)[1]) from None


def _read(comment: str) -> str:
    """Give a column's comment as DataJoint reads it back from MySQL, and copies it to what refers to the attribute."""
    with suppress(TypeError, ValueError):  # an inherited one was sent before
        comment = comment % ()
    return notation.unescape(notation.split_comment(comment)[1])


def _attribute(name: str, column: _Column, foreign: bool) -> Attribute:
    if declaration_checks.lacks_comma(column.type):
        raise _Refused("Between two values of an enum stands one comma.", name)
    if re.match(r"enum\b", column.type, re.I) and not notation.enum_values(column.type):
        raise _Refused("The values of an enum stand in quotes.", name)
    if re.match(r"enum\b", column.type, re.I) and re.search(r"\\['\"]", column.type):
        raise _Refused("In a value of an enum, a quote is written twice, and not after a backslash.", name)
    if notation.inherits(notation.normal_type(notation.split_comment(column.comment)[0]), foreign=foreign):
        return Attribute(name, "", column.nullable, _default("", column.default), inherited=True)
    written, comment = notation.split_comment(notation.unescape(_sent(column.comment)))
    marker = notation.normal_type(written)
    type_ = marker or notation.normal_type(column.type)
    default = _default(type_, column.default)
    return Attribute(name, type_, column.nullable, default, comment, spelling="" if written == type_ else written)


def _default(type_: str, clause: str | None) -> str | None:
    _, given, text = _sent(clause or "").partition("NOT NULL DEFAULT ")
    if not given:
        return None
    return notation.normal_default(type_, text[1:-1].replace("''", "'") if text.startswith("'") else text)


def _names(text: str) -> tuple[str, ...]:
    return tuple(re.findall(r"`([^`]*)`", text))


def _foreign_key(text: str, schema_of: Any) -> ForeignKey:
    match = re.fullmatch(r"FOREIGN KEY \((.*?)\) REFERENCES `(.*?)`\.`(.*?)` \((.*?)\) ON .*", text)
    assert match is not None, text
    if not match[1]:
        raise _Refused(f"A table cannot refer to {match[3]}, which has no primary key to refer to.", "->")
    return ForeignKey(_names(match[1]), TableName(schema_of(match[2]), match[3]), _names(match[4]))


def _index(text: str, columns: dict[str, _Column]) -> Index:
    match = re.fullmatch(r"(unique )?index \((.*)\)", text, re.I)
    assert match is not None, text
    parts = [_names(part)[0] if re.fullmatch("`[^`]+`", part) else part for part in _parse_index_args(_sent(match[2]))]
    if not parts:
        raise _Refused("There is an index over nothing.", "index")
    for part in parts:
        if notation.path_of(part):
            raise _Refused(f"There is an index over {part}: a path into JSON has no parentheses of its own.", part)
        if part.startswith("("):
            continue  # which the server of the project has to understand
        name = re.fullmatch(r"(\w+)( *\(\d+\))?( +(asc|desc))?", part, re.I)
        if name is None:
            why = "an attribute has no quotes there, and an expression has parentheses of its own"
            raise _Refused(f"There is an index over {part}: {why}.", part)
        if name[1] not in columns:
            raise _Refused(f"There is an index over {name[1]}, which is not an attribute.", name[1])
    parts = [part.replace(f"({_PATH}", "(", 1) if part.startswith(f"({_PATH}") else part for part in parts]
    return Index(
        tuple(part if part in columns else notation.declared_expression(part) for part in parts), match[1] is not None
    )
