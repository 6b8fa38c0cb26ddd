"""The same evolutions through what else there is: ``Table.alter()`` of DataJoint, and Alembic's autogenerate.

Both get the most favourable terms. ``alter()`` is called on each table that changed, parents first, once the tables
above it are altered, and what it cannot do for one table does not keep it from the next. Alembic is given the tables of
afterwards as DataJoint declares them, reflected, where a person would write them down by hand; the enum types that it
does not make are made for it, and each of its operations runs by itself, whatever becomes of the others. Neither is
held responsible for tables that are gone from the code or, as the engine is, for DataJoint's lineage.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import corpus
import evolution_oracle as oracle
import evolution_programs as programs
import sources
from conftest import Server
from evolution import Stage, Stop
from evolution_answers import guesses, survivors

#: What becomes of a table that changed, from the best to the worst; a renamed table that is empty has lost its values.
OUTCOMES = ("right", "refused", "error", "differs without a word", "values lost")

ALTER = f"""{programs.UUIDS}
import inspect

changed, failed = set(json.loads(sys.argv[2])), {{}}

class Altering:
    def __init__(self, name):
        self.schema = dj.Schema(name, create_tables=True)

    def __call__(self, cls):
        frame = inspect.currentframe().f_back
        if issubclass(cls, dj.Lookup):
            cls.contents = []
        context = {{**frame.f_globals, **frame.f_locals}}
        tables = [cls, *(part for part in vars(cls).values() if isinstance(part, type) and issubclass(part, dj.Part))]
        self.declare(cls, context)
        for table in tables:
            if f"{{table.database}}.{{table.table_name}}" in changed:
                self.attempt(table, lambda: table().alter(prompt=False))
        self.declare(cls, context)  # a new part may need what its master has only now
        return cls

    def declare(self, cls, context):
        self.attempt(cls, lambda: self.schema(cls, context=context))

    def attempt(self, table, work):
        try:
            work()
        except Exception as error:
            failed[f"{{self.schema.database}}.{{table.table_name}}"] = f"{{type(error).__name__}}: {{error}}"

sys.modules["altering"] = types.SimpleNamespace(open=Altering)
importlib.import_module(sys.argv[1])
print("@@" + json.dumps(failed))
"""


@dataclass
class Peer:
    """What came of a case: outcome of each table that changed, and what was said of those that failed."""

    peer: str
    case: str
    backend: str
    right: bool = False
    tables: dict[str, str] = field(default_factory=dict)
    unchanged: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    errors: dict[str, str] = field(default_factory=dict)


#: Errors by the table's name on the server, ``database.table``.
Errors = dict[str, str]


def play(stage: Stage, name: str) -> Iterator[Peer]:
    """Play a case through with each peer."""
    case = corpus.cases()[name]
    before, fresh = stage.databases("peer", case["before"], case["after"]), stage.databases("fresh", case["after"])
    runs: dict[str, Callable[..., Errors]] = {"alter": alter, "alembic": alembic}
    with stage.clean(before, fresh):
        stage.project.write("case_rows.py", sources.rows(case["rows"]))
        for state, place in (("before", "peer"), ("after", "fresh")):
            line = f'dj.Schema("{stage.prefix}{place}_{{name}}", create_tables=True)'
            stage.lay_plain(f"case_{place}", case[state], line)
        try:
            stage.snippet(programs.DECLARE, "case_fresh")
        except Stop:
            return
        expected = oracle.read(stage.server, fresh)
        for peer, run in runs.items():
            stage.server.drop(*before.values())
            try:
                stage.snippet(programs.FILL, "case_peer")
            except Stop:
                return  # DataJoint cannot put in these rows here
            found = Peer(peer, name, stage.server.backend)
            try:
                found = _judge(found, stage, case, before, fresh, expected, run)
            except Exception as error:  # what it left cannot even be looked at
                found.problems = [f"{type(error).__name__}: {error}"]
            yield found


def _judge(
    peer: Peer,
    stage: Stage,
    case: dict[str, Any],
    databases: dict[str, str],
    fresh: dict[str, str],
    expected: oracle.Catalogue,
    run: Callable[..., Errors],
) -> Peer:
    before = oracle.read(stage.server, databases)
    rows = oracle.rows(stage.server, before)
    kept = survivors(before, expected, guesses(case["changes"], before, expected))
    changed = {old for old, (new, _) in kept.items() if old != new or _differences(expected, new, before, old)}
    names = [f"{before[old].database}.{before[old].name}" for old in changed]
    errors = run(stage, case, databases, fresh, names)
    found = oracle.read(stage.server, databases)
    rows_now = oracle.rows(stage.server, found)
    for old, (new, columns) in kept.items():
        place = f"{databases[new[0]]}.{expected[new].name}"
        said = errors.get(place) or errors.get(f"{before[old].database}.{before[old].name}") or ""
        outcome = _outcome(expected, new, found, said, _lost(rows[old], rows_now.get(new), rows_now.get(old), columns))
        (peer.tables if old in changed else peer.unchanged)[".".join(old)] = outcome
    wanted = {key: table for key, table in found.items() if key in expected}
    peer.problems = oracle.differences(expected, wanted, lineage=False)
    peer.errors = errors
    outcomes = {*peer.tables.values(), *peer.unchanged.values()}
    peer.right = not peer.problems and outcomes <= {"right"} and not errors
    return peer


def _differences(expected: oracle.Catalogue, new: oracle.Key, found: oracle.Catalogue, old: oracle.Key) -> list[str]:
    return oracle.differences({new: expected[new]}, {new: found[old]} if old in found else {}, lineage=False)


def _lost(was: oracle.Rows, now: oracle.Rows | None, left: oracle.Rows | None, columns: dict[str, str]) -> list[str]:
    """Values that are there no more; a column whose renaming was refused still has its own."""
    now = now or left or oracle.Rows([], [])
    return oracle.lost(was, now, {old: new if new in now.columns else old for old, new in columns.items()}, more=True)


def _outcome(expected: oracle.Catalogue, key: oracle.Key, found: oracle.Catalogue, said: str, gone: list[str]) -> str:
    if gone:
        return "values lost"
    if said:
        return "refused" if said.startswith("NotImplementedError") else "error"
    if _differences(expected, key, found, key):
        return "differs without a word"
    return "right"


def alter(
    stage: Stage, case: dict[str, Any], databases: dict[str, str], fresh: dict[str, str], changed: list[str]
) -> Errors:
    """Import the classes of afterwards and alter what changed."""
    stage.lay_plain("case_altered", case["after"], f'__import__("altering").open("{stage.prefix}peer_{{name}}")')
    try:
        found: Errors = stage.snippet(ALTER, "case_altered", json.dumps(changed))
    except Stop as stop:
        return dict.fromkeys(changed, str(stop))
    return found


def alembic(
    stage: Stage, case: dict[str, Any], databases: dict[str, str], fresh: dict[str, str], changed: list[str]
) -> Errors:
    """Have Alembic compare the database with the tables of afterwards, and do what it proposes."""
    from alembic import autogenerate
    from alembic.operations import Operations
    from alembic.operations.ops import ModifyTableOps

    errors: Errors = {}
    with autogenerating(stage.server, databases, fresh) as (context, target):
        try:
            proposed = autogenerate.produce_migrations(context, target).upgrade_ops
        except Exception as error:
            return {name: f"{type(error).__name__}: {error}" for name in changed}
        operations = Operations(context)
        for group in proposed.ops if proposed else ():
            for operation in group.ops if isinstance(group, ModifyTableOps) else (group,):
                table = getattr(operation, "table_name", None) or getattr(operation, "source_table", "?")
                place = getattr(operation, "schema", None) or getattr(operation, "source_schema", None) or group.schema
                try:
                    operations.invoke(operation)
                except Exception as error:
                    first = str(error).splitlines()[0]
                    errors.setdefault(f"{place}.{table}", f"{type(operation).__name__}: {first}")
    return errors


@contextmanager
def autogenerating(server: Server, databases: dict[str, str], fresh: dict[str, str]) -> Iterator[tuple[Any, Any]]:
    """What Alembic needs to compare databases with the fresh ones: its context, and the tables of afterwards."""
    import sqlalchemy as sa
    from alembic.runtime.migration import MigrationContext

    def ours(name: str | None, kind: str, parents: Any) -> bool:
        return name in databases.values() if kind == "schema" else not (kind == "table" and str(name).startswith("~"))

    driver, catalog = ("mysql+pymysql", "") if server.backend == "mysql" else ("postgresql+psycopg2", "postgres")
    url = sa.URL.create(driver, server.user, server.password, server.host, server.port, catalog)
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT", poolclass=sa.pool.NullPool)
    options = {"include_schemas": True, "compare_type": True, "compare_server_default": True, "include_name": ours}
    with engine.connect() as connection:
        target = _target(sa, connection, fresh, databases)
        yield MigrationContext.configure(connection, opts=options), target
    engine.dispose()


def _target(sa: Any, connection: Any, fresh: dict[str, str], databases: dict[str, str]) -> Any:
    """The tables of afterwards, reflected where DataJoint declared them, as if they belonged to the database; how many
    seconds it took to reflect them is in ``info``."""
    places = {database: databases[schema] for schema, database in fresh.items()}
    reflected, target = sa.MetaData(), sa.MetaData()
    start = time.perf_counter()
    for database in places:
        with suppress(sa.exc.NoSuchTableError):
            reflected.reflect(connection, schema=database, only=lambda name, _: not name.startswith("~"))
    target.info["seconds"] = time.perf_counter() - start
    if connection.dialect.name == "postgresql":
        for place in places.values():
            connection.execute(sa.schema.CreateSchema(place, if_not_exists=True))
    else:
        for place in places.values():
            connection.execute(sa.text(f"CREATE DATABASE IF NOT EXISTS `{place}`"))
    for table in reflected.sorted_tables:
        copied = table.to_metadata(
            target, schema=places[table.schema], referred_schema_fn=lambda _, __, ___, referred: places[referred]
        )
        for column in copied.columns:
            if getattr(column.type, "schema", None) in places:
                column.type = column.type.copy(schema=places[column.type.schema])
                column.type.create(connection, checkfirst=True)
            default = getattr(column.server_default, "arg", None)
            if default is not None:
                text = str(default)
                for database, place in places.items():
                    text = text.replace(database, place)
                column.server_default = sa.DefaultClause(sa.text(text.replace(":", "\\:")))
    return target
