"""Find what a rollback brings back among what was soft-deleted.

Several attributes may have been soft-deleted under one name, and an attribute may have been called otherwise then. What
comes back is what the migration that is undone soft-deleted: the journal says which run that was.
"""

from __future__ import annotations

import re
from dataclasses import replace

from .. import journal
from ..ddl.build import SOFT_DELETED_ATTRIBUTE, SOFT_DELETED_TABLE, is_table
from ..dialects import constraints
from ..errors import PipelineError
from ..history.migration_files import Migration
from ..journal import steplog
from ..operations import structure as ops
from ..operations.origins import declaring, resolved
from ..schema import definition
from ..schema.compatibility import changes_codec, is_bytes
from ..schema.model import Attribute, Table, TableName
from ..schema.naming import shorten
from . import retained
from .deployment import Deployment
from .retained import Run


def found(
    deployment: Deployment, schema: str, to: str, undone: list[tuple[Migration, ops.Operation]], *, kept: bool
) -> list[ops.Operation]:
    """Give operations that undo migrations such that they bring back what these soft-deleted.

    Parameters
    ----------
    deployment : Deployment
        Where.
    schema, to : str
        The schema, and the version that it goes back to.
    undone : list of (Migration, Operation)
        The operations in order, each with the migration that it undoes.
    kept : bool
        Whether values come back, too, that a migration converted by DataJoint's codecs. Releases up to 0.17 did not.

    Raises
    ------
    PipelineError
        If a table comes back that changes further on the way.
    """
    search = _Search(deployment)
    operations, revived = list[ops.Operation](), list[tuple[Migration, ops.CreateTable, int]]()
    known = dict[tuple[int, TableName], dict[str, str]]()
    for number, (migration, operation) in enumerate(undone):
        rest = _of_one_migration(undone[number:])
        if isinstance(operation, ops.AddAttribute):
            place = id(migration), operation.table
            if place not in known:
                wanted = _wanted(ops.apply([*operations, *rest], deployment.tables), operation.table, rest)
                tables, origins = ops.trace(deployment.tables, operations)
                now = origins.tables.get(operation.table)
                known[place] = search.attributes(migration, now, tables[operation.table], wanted) if now else {}
            if hidden := known[place].get(operation.attribute.name):
                operation = replace(operation, hidden=hidden)
        elif isinstance(operation, ops.AlterAttribute) and changes_codec(operation.before.type, operation.after.type):
            operation = replace(operation, kept=search.kept(migration, operations, operation) if kept else "")
        elif isinstance(operation, ops.CreateTable):
            taken = {again.hidden for _, again, _ in revived}
            whole = ops.apply([*operations, *rest], deployment.tables).get(operation.table, operation.definition)
            if (old := search.table(migration, whole, taken)) is not None:
                operation = replace(operation, hidden=old)
                revived.append((migration, operation, number + len(rest)))
        operations.append(operation)
    final, origins = ops.trace(deployment.tables, operations)
    for migration, again, number in revived:
        then = ops.apply(operations[:number], deployment.tables)
        name = next((name for name, hidden in origins.hidden.items() if hidden == again.hidden), None)
        if name is not None and again.table in then and _changes(then, again.table, final, name):
            raise PipelineError(
                f"{schema} cannot go back to {to} at once; nothing was changed.",
                f"{definition.title(again.table)} would come back as {migration.title} dropped it, and change again.",
                f"First run rollback {migration.schema} --to {migration.follows}.",
            )
    return operations


def _changes(then: ops.Tables, table: TableName, final: ops.Tables, name: TableName) -> bool:
    """Tell whether a table that comes back has another shape in the end, by the tables of then and those of the end.

    A table that it refers to may come back after it, and is not known then.
    """
    (one, types), (other, last) = shape(then, table), shape(final, name)
    known = [declaring(then, table, attribute) is not None for attribute in then[table].attribute]
    return one != other or any(a != b for a, b, there in zip(types, last, known, strict=True) if there)


def unchanged(
    deployment: Deployment, undone: list[tuple[Migration, ops.Operation]]
) -> frozenset[tuple[TableName, str]]:
    """Find the attributes whose bytes a rollback leaves as they are, by the names of now.

    Those are what a migration made ``<blob>`` without converting a value, as all were what that writes. The bytes of
    before are there, and those that were written since are kept.

    Parameters
    ----------
    deployment : Deployment
        Where.
    undone : list of (Migration, Operation)
        The operations in order that undo migrations, each with the one that it undoes.
    """
    found, search = dict[tuple[TableName, str], bool](), None
    for number, (migration, operation) in enumerate(undone):
        if not isinstance(operation, ops.AlterAttribute):
            continue
        if not changes_codec(operation.before.type, operation.after.type):
            continue
        _, origins = ops.trace(deployment.tables, [op for _, op in undone[:number]])
        table = origins.tables.get(operation.table)
        name = origins.attributes.get(operation.table, {}).get(operation.before.name)
        if table is not None and name is not None:
            place = (table, name)
            search = search or _Search(deployment)
            only = place not in found and operation.before.type == "<blob>" and is_bytes(operation.after.type)
            found[place] = only and search.took_over(migration, {operation.before.name, name})
    return frozenset(place for place, stays in found.items() if stays)


def _of_one_migration(left: list[tuple[Migration, ops.Operation]]) -> list[ops.Operation]:
    """Give the first operations, as far as they undo the same migration."""
    end = next((number for number, (other, _) in enumerate(left) if other is not left[0][0]), len(left))
    return [operation for _, operation in left[:end]]


def _wanted(after: ops.Tables, name: TableName, operations: list[ops.Operation]) -> list[Attribute]:
    """Give what operations add to a table, in the order that it has after them."""
    order = list(after[name].attribute) if name in after else []
    found = [op.attribute for op in operations if isinstance(op, ops.AddAttribute) and op.table == name]
    return sorted(found, key=lambda a: order.index(a.name) if a.name in order else len(order))


class _Search:
    """What was soft-deleted, and by which runs."""

    def __init__(self, deployment: Deployment) -> None:
        self.deployment = deployment
        databases = {name: deployment.databases[name] for name in deployment.records}
        self.tables = constraints.names(deployment.catalogue).tables
        self.retained = retained.read(deployment.connection, databases, ended=True)
        records = journal.history(deployment.connection, databases)
        done = {(record.schema, record.id): record for record in records if record.status == journal.DONE}
        self.kinds = {(databases[name], number): record.kind for (name, number), record in done.items()}
        #: By schema and the digest of a migration, the runs that applied it, each with the version that it led to.
        self.applied: dict[tuple[str, str], list[tuple[str, Run]]] = {}
        #: By run, what it was planned from.
        self.plans: dict[Run, object] = {}
        for (name, number), head in sorted(steplog.heads(deployment.connection, databases).items()):
            self.plans[databases[name], number] = head.get("plan")
            record = done.get((name, number))
            run = retained.leader(databases, name, number, head)
            migrated = record is not None and record.kind == "migrate" and isinstance(head.get("digest"), str)
            if record is not None and migrated and run is not None:
                self.applied.setdefault((name, head["digest"]), []).append((record.version, run))

    def run(self, migration: Migration) -> Run | None:
        """Give the run that applied a migration last; None where that is not known."""
        digests = (migration.digest, *migration.digests_v1)
        runs = [run for digest in digests for run in self.applied.get((migration.schema, digest), ())]
        # Two files may do the same.
        same = [run for version, run in runs if version == migration.version]
        return next(reversed(same or [run for _, run in runs]), None)

    def took_over(self, migration: Migration, names: set[str]) -> bool:
        """Tell whether the run of a migration is known, and converted no values of an attribute of some names."""
        run = self.run(migration)
        plan = self.plans.get(run) if run is not None else None
        filled = plan.get("filled") if isinstance(plan, dict) else None  # anybody may have written it
        if not isinstance(filled, list):
            return False
        return not any(isinstance(place, list) and place and place[-1] in names for place in filled)

    def attributes(self, migration: Migration, now: TableName, table: Table, wanted: list[Attribute]) -> dict[str, str]:
        """Find the soft-deleted attributes that a migration made of some, by their names.

        Parameters
        ----------
        migration : Migration
            What is undone.
        now : TableName
            What the table is called in the database.
        table : Table
            The table, with those soft-deleted attributes that are still to be had.
        wanted : list of Attribute
            What comes back, in the order of the table, in which they got their names.
        """
        place, run, found = (self.deployment.databases[now.schema], now.table), self.run(migration), dict[str, str]()
        for one in wanted:
            plain = shorten(SOFT_DELETED_ATTRIBUTE + one.name)
            names = [a.name for a in table.attributes if is_of(a.name, one.name) and fits(a, one)]
            names = sorted({*names} - {*found.values()}, key=lambda name: (name != plain, _number(name)))
            of_run = [name for name in names if run is not None and self.retained.names.get((place, name)) == run]
            if not of_run and plain in names and self._anybodys(self.retained.names.get((place, plain)), run):
                of_run = [plain]
            if of_run:
                found[one.name] = of_run[0]
        return found

    def kept(self, migration: Migration, before: list[ops.Operation], operation: ops.AlterAttribute) -> str:
        """Give the attribute with the values that a migration converted; empty where there is none.

        ``before`` are the operations before this one, which gives the attribute its type again.
        """
        tables, origins = ops.trace(self.deployment.tables, before)
        now = origins.tables.get(operation.table)
        if now is None:
            return ""
        found = self.attributes(migration, now, tables[operation.table], [operation.after])
        return found.get(operation.after.name, "")

    def table(self, migration: Migration, wanted: Table, taken: set[TableName | None]) -> TableName | None:
        """Find the soft-deleted table that a migration made of one; None where there is none."""
        name = wanted.name
        database, run = self.deployment.databases[name.schema], self.run(migration)
        plain = shorten(SOFT_DELETED_TABLE + name.table)
        fitting = [
            table
            for (place, table), known in sorted(self.tables.items())
            if place == database
            and table.startswith(SOFT_DELETED_TABLE)
            and is_table(known.columns, wanted)
            and TableName(name.schema, table) not in taken
        ]
        for table in fitting:
            place = database, table
            made = run is not None and self.retained.names.get((place, "")) == run
            if made and self.retained.called.get(place) == name.table:
                return TableName(name.schema, table)
        if plain in fitting and self._anybodys(self.retained.names.get(((database, plain), "")), run):
            return TableName(name.schema, plain)
        return None

    def _anybodys(self, maker: Run | None, run: Run | None) -> bool:
        """Tell whether something may be what a run left, though it did not make it.

        A draft may have made it, which the migration then replaced; or a release that did not record that.
        """
        return maker is None or run is None or self.kinds.get(maker) == journal.DRAFT


def is_of(hidden: str, name: str, before: str = SOFT_DELETED_ATTRIBUTE) -> bool:
    """Tell whether something soft-deleted may have had a name; ``_2`` and so on are behind where it was taken.

    ``before`` is what stands before it: that of an attribute, or of a table.
    """
    full = before + name
    if hidden == shorten(full):
        return True
    suffix = f"_{_number(hidden)}"
    return hidden == shorten(full, 63 - len(suffix)) + suffix


def _number(hidden: str) -> int:
    """Give the number at the end of a name; 0 where there is none."""
    found = re.search("_([1-9][0-9]{0,3})$", hidden)
    return int(found[1]) if found else 0


def fits(hidden: Attribute, wanted: Attribute) -> bool:
    """Tell whether a soft-deleted attribute has the type of one that is wanted."""
    return wanted.inherited or hidden.inherited or hidden.type == wanted.type


def shape(tables: ops.Tables, name: TableName) -> tuple[Table, list[str]]:
    """Give what a soft-deleted table keeps, all but its name and its foreign keys; and the types of its attributes."""
    table = tables[name]
    types = [resolved(tables, name, attribute) for attribute in table.attribute]
    return replace(table, name=TableName("", ""), foreign_keys=()), types
