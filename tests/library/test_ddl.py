"""Lowering on real servers: what DataJoint declared before becomes what it would declare after, with every row.

Each case declares its tables before in one database and those after in another, both through DataJoint; the steps run
on the first. Then the catalogues must be equal, down to texts of comments and types, and every surviving cell too.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import corpus
import definitions
import pytest
from conftest import Server
from ddl_cases import CASES, Case

from datajoint_pipeline.ddl import probes
from datajoint_pipeline.dialects import catalog, constraints
from datajoint_pipeline.dialects import steps as step
from datajoint_pipeline.dialects.base import without
from datajoint_pipeline.dialects.choice import dialect_of
from datajoint_pipeline.dialects.mysql import effects
from datajoint_pipeline.diff import changes
from datajoint_pipeline.schema import model, notation

FROM, TO = "low_from", "low_to"

#: Schemas in the code, and what stands behind them.
SCHEMAS = ("s", "s2")


def databases(state: str) -> dict[str, str]:
    return {name: f"{state}_{name}" for name in SCHEMAS}


@dataclass
class World:
    """One server with every case declared twice."""

    server: Server
    dj: Any
    connection: Any
    classes: dict[tuple[str, str], dict[str, Any]]
    before: dict[str, Any]
    after: dict[str, Any]
    places: dict[str, dict[str, str]]

    def databases(self, state: str) -> dict[str, str]:
        """Name on the server of each schema in the code."""
        return self.places[state]

    def run(self, steps: list[Any]) -> None:
        """Run steps; on MySQL the tables are, after each of them, what its effects say."""
        before = self.tables(steps)
        for one in steps:
            try:
                self.connection.query(one.sql, args=one.arguments or None)
            except Exception as error:
                raise AssertionError(f"{one.words}\n{one.sql}\n{error}") from error
            after, expected = self.tables(steps), effects.applied(before, one.effects)
            assert not list(effects.differences(expected, after, {**expected, **after})), one.sql
            before = after

    def tables(self, steps: list[Any]) -> dict[Any, Any]:
        """The tables of the databases of steps that have effects."""
        found = {place[0] for one in steps for effect in one.effects for place in effects.places(effect)}
        return catalog.find(self.connection, {name: name for name in found}).tables

    def fetch(self, place: tuple[str, str], order: str) -> list[dict[str, Any]]:
        quote = self.connection.adapter.quote_identifier
        return list(
            self.connection.query(
                f"SELECT * FROM {quote(place[0])}.{quote(place[1])} ORDER BY {order}", args=None, as_dict=True
            ).fetchall()
        )


def connect(server: Server) -> tuple[Any, Any]:
    import datajoint as dj

    dj.config.jobs.add_job_metadata = True
    dj.config["loglevel"] = "ERROR"
    dj.logger.setLevel("ERROR")
    dj.config.stores = {
        name: {"protocol": "file", "location": "/tmp/low_store", "stage": "/tmp/low_store"}
        for name in ("main", "other")
    }
    connection = dj.Connection(
        server.host, server.user, server.password, port=server.port, backend=server.backend, use_tls=False,
        **({"database_name": "postgres"} if server.backend == "postgresql" else {}),
    )  # fmt: skip
    return dj, connection


def declare(dj: Any, connection: Any, state: str, number: int, tables: dict[str, str]) -> dict[str, Any]:
    """The classes of a case by their short names."""
    context: dict[str, Any] = {}
    for key, definition in tables.items():
        tier, name = key.split(":") if ":" in key else ("Manual", key)
        schema, name = ("s2", name[2:]) if name.startswith("B.") else ("s", name)
        namespace = {"definition": definition.replace("; ", "\n")}
        if tier in ("Computed", "Imported"):
            namespace["make"] = lambda self, key: None
        made = type(f"{name}{number}", (getattr(dj, tier),), namespace)
        context[name] = dj.Schema(databases(state)[schema], connection=connection)(made, context=dict(context))
    return context


@pytest.fixture(scope="session", params=["mysql", "postgresql"])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    server: Server = request.getfixturevalue(request.param)
    dj, connection = connect(server)
    names = [*databases(FROM).values(), *databases(TO).values()]
    server.drop(*names)
    classes: dict[tuple[str, str], dict[str, Any]] = {}
    try:
        for name in names:
            dj.Schema(name, connection=connection)
        for number, case in enumerate(CASES):
            if server.backend in case.backends:
                classes[case.name, FROM] = declare(dj, connection, FROM, number, case.before)
                classes[case.name, TO] = declare(dj, connection, TO, number, case.after)
                for table, rows in case.rows.items():
                    insert(server, connection, classes[case.name, FROM][table], rows)
        read = [catalog.read(connection, databases(state)) for state in (FROM, TO)]
        flat = [{t.name: t for schema in found.values() for t in schema} for found in read]
        yield World(server, dj, connection, classes, *flat, {FROM: databases(FROM), TO: databases(TO)})
    finally:
        connection.close()
        server.drop(*names)


def insert(server: Server, connection: Any, table: Any, rows: list[dict[str, Any]]) -> None:
    """Insert what the servers take, whatever DataJoint would make of it."""
    quote = connection.adapter.quote_identifier
    for row in rows:
        values = dict(row)
        for name, value in values.items():
            marker = (table().heading.attributes[name].original_type or "") if value is not None else ""
            if marker == "bool" and server.backend == "postgresql":
                values[name] = bool(value)
        marks = ", ".join(["%s"] * len(values))
        columns = ", ".join(map(quote, values))
        connection.query(f"INSERT INTO {table.full_table_name} ({columns}) VALUES ({marks})", tuple(values.values()))


def kind(world: World) -> Any:
    """The lowering for a server."""
    return dialect_of(world.connection)


def lowering(world: World) -> Any:
    names = constraints.read(world.connection, databases(FROM))
    return kind(world)(databases(FROM), world.before, world.after, names)


class Plan:
    """What a planner does, as little as the cases need: order, and foreign keys out of the way."""

    def __init__(self, world: World, case: Case, dialect: Any) -> None:
        self.dialect = dialect
        self.case, self.steps, self.found = case, [], []
        own = {state: self._tables(world, case, state) for state in (FROM, TO)}
        self.old, self.new = own[FROM], own[TO]
        self.pairs = {name: case.tables.get(name, name) for name in self.old}
        self.pairs = {old: new for old, new in self.pairs.items() if new in self.new}
        self.live = dict(self.old)

    @staticmethod
    def _tables(world: World, case: Case, state: str) -> dict[str, Any]:
        found = world.before if state == FROM else world.after
        names = {name: cls.full_table_name for name, cls in world.classes[case.name, state].items()}
        parts = {name: re.findall(r"[`\"]([^`\"]+)[`\"]", full) for name, full in names.items()}
        return {n: found[model.TableName(database[len(state) + 1 :], t)] for n, (database, t) in parts.items()}

    def _key(self, key: Any) -> Any:
        """A foreign key with the names of afterwards."""
        short = next(n for n, t in self.old.items() if t.name == key.parent)
        after = self.new[self.pairs[short]]
        renamed = self.case.renamed.get(self.pairs[short], {})
        parents = tuple(renamed.get(name, name) for name in key.parent_attributes)
        return replace(key, parent=after.name, parent_attributes=parents)

    def plan(self) -> list[Any]:
        alterations = {old: self._alteration(old, new) for old, new in self.pairs.items()}
        dropped = {old: set() for old in self.old}
        for old, alteration in alterations.items():
            in_the_way = self.dialect.obstacles(alteration)
            dropped[old] |= set(in_the_way.own)
            for child, table in self.old.items():
                if in_the_way.incoming:
                    dropped[child] |= {key for key in table.foreign_keys if key.parent == self.old[old].name}
        for old, table in self.old.items():
            kept = self.new[self.pairs[old]].foreign_keys if old in self.pairs else ()
            renamed = self.case.renamed.get(self.pairs.get(old, ""), {})
            for key in table.foreign_keys:
                now = self._key(replace(key, attributes=tuple(renamed.get(n, n) for n in key.attributes)))
                if now not in kept:
                    dropped[old].add(key)
        for old, keys in dropped.items():
            for key in keys:
                self.steps += self.dialect.drop_foreign_key(self.live[old], key)
                self.live[old] = without(self.live[old], key)
        for old, new in self.pairs.items():
            alteration = self._alteration(old, new)
            self.found += probes.probe(self.dialect, alteration)
            self.steps += self.dialect.alter_table(alteration, probes.guards)
            renamed = self.case.renamed.get(new, {})
            keys = [
                self._key(replace(k, attributes=tuple(renamed.get(n, n) for n in k.attributes)))
                for k in self.live[old].foreign_keys
            ]
            self.live[old] = replace(self.new[new], foreign_keys=tuple(keys))
        for new, table in self.new.items():
            if new not in self.pairs.values():
                self.steps += self.dialect.create_table(table)
        for old, new in self.pairs.items():
            for key in self.new[new].foreign_keys:
                if key not in self.live[old].foreign_keys:
                    self.steps += self.dialect.add_foreign_key(self.live[old], key)
                    self.live[old] = replace(self.live[old], foreign_keys=(*self.live[old].foreign_keys, key))
        for old in reversed(self.old):
            if old not in self.pairs:
                self.steps += self.dialect.drop_table(self.old[old].name)
        return self.steps

    def _alteration(self, old: str, new: str) -> Any:
        def fill(value: Any, name: str) -> Any:
            if isinstance(value, str):
                return step.LiteralFill(value)
            if value[0] == "sql":
                return step.ExpressionFill(*value[1:])
            key = next(k for k in self.new[new].foreign_keys if name in k.attributes)
            above = next(t for t in self.new if self.new[t].name == key.parent)
            ours, theirs = (
                {now: was for was, now in self.case.renamed.get(title, {}).items()} for title in (new, above)
            )
            taken = dict(zip(key.attributes, key.parent_attributes, strict=True))
            mine = {a.name for a in self.live[old].attributes}
            pairs = tuple(
                (theirs.get(t, t), t, ours.get(a, a)) for a, t in taken.items() if a != name and ours.get(a, a) in mine
            )
            before = self.old[next(o for o, t in self.pairs.items() if t == above)]
            unique = set(before.primary_key) <= {pair[0] for pair in pairs}
            was = theirs.get(taken[name], taken[name])
            return step.ParentFill(key.parent, (was if was in before.attribute else "", taken[name]), pairs, unique)

        fills = {name: fill(value, name) for name, value in self.case.fills.get(new, {}).items()}
        return step.Alteration(
            self.live[old], self.new[new], self.case.renamed.get(new, {}), fills, {}, self.case.kept.get(new, ())
        )


def visible_first(table: Any) -> Any:
    """A table with its hidden attributes behind the others, and without those that are soft-deleted."""
    shown = [a for a in table.attributes if not a.hidden]
    hidden = sorted(
        (a for a in table.attributes if a.hidden and not a.name.startswith("_dropped_")), key=lambda a: a.name
    )
    return replace(table, attributes=(*shown, *hidden))


def shape(world: World, state: str) -> dict[Any, list[Any]]:
    """What a server's catalogue says of the columns of every table, word for word."""
    if world.server.backend == "mysql":
        query = (
            "SELECT table_schema, table_name, column_name, column_type, is_nullable, column_default, "
            "collation_name, extra, NULLIF(column_comment, '') FROM information_schema.columns "
            "WHERE table_schema IN ({}) ORDER BY column_name"
        )
    else:
        query = (
            "SELECT n.nspname, c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, "
            "pg_get_expr(f.adbin, f.adrelid), d.description FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid "
            "JOIN pg_namespace n ON n.oid = c.relnamespace "
            "LEFT JOIN pg_attrdef f ON f.adrelid = c.oid AND f.adnum = a.attnum "
            "LEFT JOIN pg_description d ON d.objoid = c.oid AND d.objsubid = a.attnum "
            "WHERE n.nspname IN ({}) AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attname"
        )
    own = {database: name for name, database in world.databases(state).items()}
    marks = ", ".join(["%s"] * len(own))
    shapes: dict[Any, list[Any]] = {}
    for database, table, column, *rest in world.connection.query(query.format(marks), tuple(own)).fetchall():
        if not column.startswith("_dropped_"):
            # A null default and none are one.
            words = [
                None if value is None or str(value).startswith("NULL::") else str(value).replace(state, "low")
                for value in rest
            ]
            # An enum whose values another one has in another order has a type of its own; DataJoint would share that.
            words = [
                None if value is None else re.sub(r"\b(enum_[0-9a-f]{8})_was(_\d+)?\b", r"\1", value) for value in words
            ]
            shapes.setdefault(model.TableName(own[database], table), []).append([column, *words])
    return shapes


@pytest.mark.both_servers
def test_every_case(world: World) -> None:
    """All are planned with one reading of the names, and read again at once."""
    cases = [case for case in CASES if world.server.backend in case.backends]
    dialect, failures = lowering(world), dict[str, str]()
    plans = {case.name: (case, Plan(world, case, dialect)) for case in cases}
    rows = {}
    for case, plan in plans.values():
        try:
            places = {old: dialect.place(table.name) for old, table in plan.old.items()}
            rows[case.name] = {o: world.fetch(places[o], dialect.listed(plan.old[o].primary_key)) for o in plan.old}
            plan.plan()
            carry_out(world, case, plan)
        except Exception as error:  # all of them are told at the end
            failures[case.name] = f"{type(error).__name__}: {error}"
    found = {t.name: t for schema in catalog.read(world.connection, databases(FROM)).values() for t in schema}
    names = constraints.read(world.connection, databases(FROM))
    shapes = {state: shape(world, state) for state in (FROM, TO)}
    for case, plan in plans.values():
        try:
            if not case.refused and case.name not in failures:
                check(world, case, plan, found, names, shapes, rows[case.name])
        except Exception as error:
            failures[case.name] = f"{type(error).__name__}: {error}"
    assert not failures, f"{len(failures)} of {len(cases)}\n\n" + "\n\n".join(f"{k}: {v}" for k, v in failures.items())


def carry_out(world: World, case: Case, plan: Plan) -> None:
    for sql in (sql for probe in plan.found for sql in probe.trial):
        world.connection.query(sql, args=None)
    counted = [probe for probe in plan.found if not probe.trial]
    lost = {p.kind for p in counted if world.connection.query(p.sql, args=None).fetchone()[0]}
    assert lost >= set(case.lost) if case.refused else lost == set(case.lost), f"probes found {lost}"
    if case.refused:
        with pytest.raises(AssertionError):
            run(world, plan.steps)
        return
    run(world, plan.steps)
    if case.algorithms and world.server.backend == "mysql":
        assert [s.algorithm for s in plan.steps if s.algorithm] == case.algorithms.split(), texts(plan.steps)


def check(world: World, case: Case, plan: Plan, all_found: Any, names: Any, shapes: Any, rows: Any) -> None:
    for new, table in plan.new.items():
        ours = visible_first(all_found[table.name])
        assert ours == visible_first(table), f"{new}: {ours}\n   should be {visible_first(table)}\n{texts(plan.steps)}"
        assert shapes[FROM][table.name] == shapes[TO][table.name], texts(plan.steps)
        place = plan.dialect.place(table.name)
        tracked, real = plan.dialect.names.table(place), names.table(place)
        for part in ("foreign_keys", "indexes"):
            assert {str(x) for x in getattr(tracked, part)} == {str(x) for x in getattr(real, part)}, f"names: {new}"
        assert sorted(tracked.columns) == sorted(real.columns), new
        assert tracked.primary_key == real.primary_key and tracked.enums == real.enums, (
            tracked,
            real,
            texts(plan.steps),
        )
    for old, new in plan.pairs.items():
        compare(world, case, plan, old, new, rows[old])
    use(world, case)


FULL, MADE = "low_full", "low_made"


#: Tables of which the model does not tell all: whose a uuid is, and how wide ``tinyint(1)`` is shown.
NOT_TOLD = ("own", "unsigned")


def said(comment: str | None) -> Any:
    """A column's comment, whatever spelling of its type it notes."""
    return notation.split_comment(notation.unescape(comment or ""))


def sources(backend: str) -> Iterator[tuple[str, str, list[str]]]:
    """Name, source and schemas of every module of definitions at hand that a server can declare."""
    for name, text in definitions.modules().items():
        if backend == "mysql" or not name.endswith("_mysql"):
            yield name, text, [name]
    every = int(os.environ.get("LOWERING_EVERY", "16"))
    for number, case in enumerate(corpus.cases().values()):
        for state in ("before", "after"):
            if backend in case["backends"] and number % every == 0:
                prefix = f"{number}{state}"
                yield prefix, corpus.source(case[state], prefix), [f"{prefix}{s}" for s in corpus.schemas(case[state])]


@pytest.mark.parametrize("backend", ["mysql", "postgresql"])
def test_a_table_is_made_as_datajoint_makes_it(backend: str, request: pytest.FixtureRequest) -> None:
    server: Server = request.getfixturevalue(backend)
    dj, connection = connect(server)
    dj.config.provenance.capture = True
    everything = list(sources(backend))
    schemas = [schema for _, _, names in everything for schema in names]
    full, made = ({name: f"{state}_{name}" for name in schemas} for state in (FULL, MADE))
    server.drop(*full.values(), *made.values())
    try:
        modules: dict[str, Any] = {}
        for name, text, _ in everything:
            text = re.sub(r"^from \. import .*$", "", text, flags=re.M)
            opening = {"open_schema": lambda name: dj.Schema(full[name], connection=connection), **modules}
            exec(compile(text, name, "exec"), opening)
            modules[name] = SimpleNamespace(**opening)
        world = World(server, dj, connection, {}, {}, {}, {FULL: full, MADE: made})
        read = catalog.read(connection, full)
        tables = {table.name: table for schema in read.values() for table in schema}
        dialect = kind(world)(made, {}, tables, constraints.read(connection, made))
        world.run([one for name in schemas for one in dialect.create_schema(name)])
        for number, name in enumerate(changes.dependency_order(tables.values())):
            table = tables[name]
            world.run(dialect.create_table(table, foreign_keys=number % 2 == 0))
            for place, key in enumerate(table.foreign_keys if number % 2 else ()):
                now = replace(table, foreign_keys=table.foreign_keys[:place])
                world.run(dialect.add_foreign_key(now, key))
        assert catalog.read(connection, made) == read
        shapes = shape(world, FULL), shape(world, MADE)
        for name in tables:
            # Defaults are equal as values, and so the catalogue has them above.
            theirs, ours = ([[*row[:3], *row[4:-1], said(row[-1])] for row in found[name]] for found in shapes)
            assert theirs == ours or name.table in NOT_TOLD, name
        assert {name.schema for name in tables} == set(schemas)
        names = constraints.read(connection, made)
        for name in tables:
            ours, real = dialect.names.table(dialect.place(name)), names.table(dialect.place(name))
            assert {str(x) for x in ours.indexes} == {str(x) for x in real.indexes}
        for name in reversed(changes.dependency_order(tables.values())):
            world.run(dialect.drop_table(name))
        if backend == "postgresql":
            query = "SELECT count(*) FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace WHERE typtype = 'e'"
            assert connection.query(f"{query} AND nspname LIKE 'low_made%%'").fetchone()[0] == 0, "types go with tables"
    finally:
        dj.config.provenance.capture = False
        connection.close()
        server.drop(*full.values(), *made.values())


def texts(steps: list[Any]) -> str:
    return "\n".join(s.sql for s in steps)


def run(world: World, steps: list[Any]) -> None:
    if world.server.backend == "mysql":
        world.run(steps)
        return
    with world.connection.transaction:
        world.run(steps)


def compare(world: World, case: Case, plan: Plan, old: str, new: str, before: list[dict[str, Any]]) -> None:
    alteration_renamed = case.renamed.get(new, {})
    table, expected = plan.new[new], case.expect.get(new, {})
    renamed = {name: alteration_renamed.get(name, name) for name in plan.old[old].attribute}
    order = [n for n in plan.old[old].primary_key]
    key = [renamed[n] for n in order if renamed[n] in table.attribute]
    rows = world.fetch(plan.dialect.place(table.name), plan.dialect.listed(key or table.primary_key))
    assert len(rows) == len(before)
    change = plan.dialect.change(step.Alteration(plan.old[old], table, alteration_renamed))
    for name in table.attribute:
        if name in expected:
            found = [row[name] for row in rows]
            if any(isinstance(v, bytes) for v in found) and len(found[0]) == 16:
                found = [__import__("uuid").UUID(bytes=bytes(v)) for v in found]
            found = [int(v) if isinstance(v, bool) else v for v in found]
            assert list(map(str, found)) == list(map(str, expected[name])), f"{name}: {found}"
        elif (
            name in change.was
            and name not in change.retyped
            and change.was[name].nullable == change.will[name].nullable
        ):
            assert [str(row[name]) for row in rows] == [str(row[change.old[name]]) for row in before], name
    for name in case.kept.get(new, ()):
        assert [row[f"_dropped_{name}"] for row in rows] == [row[name] for row in before]


def use(world: World, case: Case) -> None:
    """Declare the classes of afterwards over the tables, take all rows out through DataJoint and put them in again."""
    number = CASES.index(case)
    classes = declare(world.dj, world.connection, FROM, number, case.after)
    if any("uuid" in text or "json" in text or "<" in text or "bytes" in text for text in case.after.values()):
        return
    rows = {name: cls().to_dicts() for name, cls in classes.items()}
    for cls in reversed(list(classes.values())):
        cls().delete_quick()
    for name, cls in classes.items():
        cls().insert(rows[name], allow_direct_insert=True)
        assert cls().to_dicts() == rows[name]


def test_odd_names_and_rights(server: Server) -> None:
    """Names with quotes and letters from elsewhere, a percent sign, and what people were granted on a table."""
    dj, connection = connect(server)
    odd = 'low_ö`"%x'
    text = model.Attribute("text", "varchar(20)", comment='100% "of" it\'s \\path')
    key = model.Attribute("id", "int32")
    # DataJoint would make another value of it on PostgreSQL, where it is refused.
    half = "50%" if server.backend == "mysql" else "half"
    kinds = model.Attribute("kind", f"enum('{half}', 'it''s')", default=half)
    name, parent = model.TableName("odd", "ta`b\"l'e %s"), model.TableName("odd", "pärent")
    one = model.Table(parent, (key,), ("id",), comment='100% "of" it\'s \\path')
    reference = model.ForeignKey(("id",), parent, ("id",))
    inherited = model.Attribute("id", "", inherited=True)
    two = model.Table(name, (inherited, text), ("id",), (reference,), (model.Index(("text",)),))
    three = replace(two, attributes=(inherited, kinds, text), comment="% and %s")
    before, after = {parent: one, name: two}, {parent: one, name: three}
    world = World(server, dj, connection, {}, before, after, {})
    server.drop(odd.replace("`", "``") if server.backend == "mysql" else odd.replace('"', '""'))
    try:
        dialect = kind(world)({"odd": odd}, before, after, constraints.Names())
        world.run([*dialect.create_schema("odd"), *dialect.create_table(one), *dialect.create_table(two)])
        full = dialect.full(name)
        world.run([step.Step(f"INSERT INTO {dialect.full(parent)} VALUES (1)", (), "parent")])
        world.run([step.Step(f"INSERT INTO {full} VALUES (1, 'a%')", (), "row")])
        if server.backend == "postgresql":
            world.run(
                [step.Step(sql, (), "grant") for sql in ("DROP ROLE IF EXISTS low_reader", "CREATE ROLE low_reader")]
            )
            world.run([step.Step(f"GRANT SELECT, INSERT ON {full} TO low_reader", (), "grant")])
        run(world, dialect.alter_table(step.Alteration(two, three), probes.guards))
        assert catalog.read(connection, {"odd": odd})["odd"].table[name.table] == three
        assert connection.query(f"SELECT * FROM {full}", args=None).fetchall()[0] == (1, half, "a%")
        if server.backend == "postgresql":
            rights = "SELECT string_agg(privilege_type, ' ') FROM information_schema.role_table_grants "
            rights += "WHERE grantee = 'low_reader'"
            assert set(connection.query(rights, args=None).fetchone()[0].split()) == {"SELECT", "INSERT"}
        alone = replace(three, attributes=(key, kinds, text), foreign_keys=())
        run(world, dialect.drop_foreign_key(three, reference))
        run(world, dialect.alter_table(step.Alteration(replace(three, foreign_keys=()), alone), probes.guards))
        assert catalog.read(connection, {"odd": odd})["odd"].table[name.table] == alone
        run(world, [*dialect.drop_table(name), *dialect.drop_table(parent)])
    finally:
        connection.close()
        server.drop(odd.replace("`", "``") if server.backend == "mysql" else odd.replace('"', '""'))
        if server.backend == "postgresql":
            server.execute("DROP ROLE IF EXISTS low_reader")
