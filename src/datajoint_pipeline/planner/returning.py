"""Find what a migration brings back: what the rollback soft-deleted that took the same migration back.

Whoever goes back to an earlier version, for the code of another branch say, comes again. The rows then have the values
that they had. What statements of the lab, or an expression, computed from them on the way is no value to begin with
once more; that stays soft-deleted, and is named.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from ..ddl.build import SOFT_DELETED_ATTRIBUTE, is_table
from ..dialects import catalog
from ..dialects.constraints import Names
from ..dialects.introspection import Place
from ..errors import PipelineError
from ..history.migration_files import Migration
from ..operations import structure as ops
from ..operations.origins import Origins
from ..quoting import quoter
from ..schema.model import ForeignKey, Table, TableName
from ..schema.values import Fill, objection
from . import coming_back, stand_ins
from .deployment import Deployment
from .retained import Run


@dataclass(frozen=True)
class _Way:
    """What was done with something from where a migration makes it to where a rollback took it back.

    Parameters
    ----------
    made, final : mapping
        The tables right after it was made, and at the end.
    origins : Origins
        What came of what on the way.
    computed : bool
        Whether statements of the lab ran on the way.
    """

    made: ops.Tables
    final: ops.Tables
    origins: Origins
    computed: bool

    def called(self, table: TableName, attribute: str) -> tuple[TableName, str] | None:
        """Give what an attribute, by its names when it was made, is called at the end; None where it is gone."""
        name = next((name for name, was in self.origins.tables.items() if was == table), None)
        sources = self.origins.attributes.get(name, {}) if name is not None else {}
        last = next((now for now, was in sources.items() if was == attribute), None)
        return None if name is None or last is None else (name, last)


@dataclass
class Returning:
    """What comes back in a plan.

    Parameters
    ----------
    deployment : Deployment
        Where.
    left : list of str
        What stays soft-deleted though a migration makes it anew, in a sentence each; :meth:`told` gives and forgets it.
    """

    deployment: Deployment
    left: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._back, self._columns = self.deployment.taken_back, self.deployment.columns
        self._planned: list[ops.Operation] = []
        self._done: set[tuple[Place, str]] = set()

    def operations(self, migration: Migration, found: list[ops.Operation]) -> list[ops.Operation]:
        """Give the next operations of a plan such that they bring back what there is of what they make.

        Parameters
        ----------
        migration : Migration
            Whose they are; all those before it in the plan were given before.
        found : list of Operation
            What it does.
        """
        runs = (self._back.last.get((migration.schema, digest)) for digest in (migration.digest, *migration.digests_v1))
        run, result = next(filter(None, runs), None), list(found)
        for number, operation in enumerate(found):
            if run is None:
                break
            if isinstance(operation, ops.AddAttribute):
                result[number] = self._attribute(migration, run, operation, result[:number], found)
            elif isinstance(operation, ops.CreateTable):
                result[number] = self._table(migration, run, operation, found)
            elif isinstance(operation, ops.AlterAttribute) and operation.using is not None:
                self._computed(migration, run, operation, result[:number])
        self._planned += result
        return result

    def told(self) -> list[str]:
        """Give what stays of the operations that were given last."""
        left, self.left = self.left, []
        return left

    def _attribute(
        self,
        migration: Migration,
        run: Run,
        operation: ops.AddAttribute,
        before: list[ops.Operation],
        whole: list[ops.Operation],
    ) -> ops.AddAttribute:
        """Give an operation that adds an attribute such that it brings one back, where there is one."""
        now, traced = ops.trace(self.deployment.tables, [*self._planned, *before])
        current, will = traced.tables.get(operation.table), operation.attribute
        way = self._way(migration, run, operation)
        called = way.called(operation.table, will.name) if way is not None else None
        if current is None or way is None or called is None:
            return operation
        name, last = called
        place = self.deployment.databases[current.schema], current.table
        hidden = self._column(place, run, last)
        there = now[operation.table].attribute.get(hidden)
        if there is None:
            return operation
        after = ops.apply(whole, ops.apply(self._planned, self.deployment.tables))
        keys = after[operation.table].foreign_keys if operation.table in after else ()
        if will.inherited and operation.fill is not None and operation.fill.parent:
            # What a parent's row has is right for its rows, whatever they had. A row without a parent may have lost it
            # since the rollback, and must not get what belonged to it.
            self._done.add((place, hidden))
            beside = {a for key in keys if will.name in key.attributes for a in key.attributes} - {will.name}
            known = traced.attributes.get(operation.table, {})
            had = now[operation.table].attribute
            may_lack = sorted(known[a] for a in beside if a in known and a in had and had[a].nullable)
            quote = quoter(self.deployment.connection)
            lacking = " OR ".join(f"{quote(name)} IS NULL" for name in may_lack)
            if may_lack and (count := self._count(place, hidden, lacking)):
                why = "rows get it from the row that they refer to, and some refer to none"
                self._leave(operation.table, will.name, why, count, hidden)
            return operation
        default = Fill(will.default) if will.default is not None and not will.nullable else None
        final, why = way.final[name].attribute[last], ""
        if way.computed or (name, last) in way.origins.converts:
            why = "values were computed after it was added"
        elif not (coming_back.fits(final, will) and coming_back.fits(there, will)):
            why = "its type was another one then"
        elif any(self._lacks(run, key) for key in keys if will.inherited and will.name in key.attributes):
            why = "the rows that it refers to do not come back"
        elif operation.fill is None and default is not None and objection(will.type, default):
            why = "its default is an expression"
        if not why:
            self._done.add((place, hidden))
            return replace(operation, hidden=hidden, fill=operation.fill or default)
        if count := self._count(place, hidden):
            self._leave(operation.table, will.name, why, count, hidden)
        return operation

    def _computed(
        self, migration: Migration, run: Run, operation: ops.AlterAttribute, before: list[ops.Operation]
    ) -> None:
        """Note what was computed, or entered since, before a rollback set it aside, of rows that have no value now."""
        _, traced = ops.trace(self.deployment.tables, [*self._planned, *before])
        table = traced.tables.get(operation.table)
        attribute = traced.attributes.get(operation.table, {}).get(operation.before.name)
        way = self._way(migration, run, operation)
        if table not in self.deployment.tables or attribute is None or way is None or way.computed:
            return
        place = self.deployment.databases[table.schema], table.table
        called = way.called(operation.table, operation.after.name)
        hidden = self._column(place, run, called[1]) if called is not None else ""
        known = {column.name: column.stored for column in self.deployment.catalogue.tables[place].columns}
        if not hidden or attribute not in known:
            return
        quote, dialect = quoter(self.deployment.connection), self.deployment.dialect(Names(), {}, {})
        stands = [
            stand_ins.condition(dialect, quote(attribute), known[attribute], value)
            for value in stand_ins.standing(self.deployment.tables[table], attribute)
        ]
        if not stands:
            return
        now = getattr(operation.using, dialect.backend)
        mysql, old = dialect.backend == "mysql", quote(hidden)
        # A row may have had by itself what stands in for others; then the same is computed again.
        other = f"NOT ({old} <=> ({now}))" if mysql else f"{old}::text IS DISTINCT FROM ({now})::text"
        try:
            count = self._count(place, hidden, f"({' OR '.join(stands)}) AND {other}")
        except Exception:  # the expression is for the tables as an earlier migration leaves them
            count = self._count(place, hidden, " OR ".join(stands))
        if count:
            why = f"no file has what {f'{count:,} rows' if count != 1 else '1 row'} had before"
            self._leave(operation.table, operation.after.name, why, count, hidden)

    def _leave(self, table: TableName, attribute: str, why: str, count: int, hidden: str) -> None:
        """Note that values stay in a hidden column."""
        self.left.append(
            f"{table}.{attribute} is made anew, as {why}. The "
            f"{f'{count:,} values' if count != 1 else 'value'} from before the rollback "
            f"{'stay' if count != 1 else 'stays'} in the hidden column {hidden}; copy from there by SQL what is "
            "wanted."
        )

    def _table(
        self, migration: Migration, run: Run, operation: ops.CreateTable, whole: list[ops.Operation]
    ) -> ops.CreateTable:
        """Give an operation that makes a table such that it brings one back, where there is one."""
        way = self._way(migration, run, operation)
        name = None
        if way is not None:
            name = next((name for name, was in way.origins.tables.items() if was == operation.table), None)
        if way is None or name is None or name.schema not in self.deployment.records:
            return operation
        hidden = self._hidden_table(run, name)
        if hidden is None:
            return operation
        after = ops.apply(whole, ops.apply(self._planned, self.deployment.tables)).get(operation.table)
        keys = after.foreign_keys if after is not None else ()
        place, why = (self.deployment.databases[name.schema], hidden), ""
        if way.computed:
            why = "statements changed rows after it was made"
        elif (
            name.schema != operation.table.schema
            or coming_back.shape(way.made, operation.table) != coming_back.shape(way.final, name)
            or not is_table(self._columns[place], operation.definition)
        ):
            why = "it was changed before the rollback"
        elif any(self._lacks(run, key) for key in keys):
            why = "the rows that it refers to do not come back"
        if not why:
            self._done.add((place, ""))
            old = TableName(name.schema, hidden)
            return replace(operation, hidden=old, definition=self._with_soft_deleted(operation.definition, old))
        if count := self._count(place):
            self.left.append(
                f"{operation.table} is made anew, as {why}. The "
                f"{f'{count:,} rows' if count != 1 else 'row'} from before the rollback "
                f"{'stay' if count != 1 else 'stays'} in the hidden table {hidden}; copy from there by SQL what is "
                "wanted."
            )
        return operation

    def _with_soft_deleted(self, table: Table, old: TableName) -> Table:
        """Give a table with the soft-deleted attributes that it has had and brings along."""
        known = catalog.table(self.deployment.connection, self.deployment.databases, self.deployment.catalogue, old)
        more = [
            a for a in known.attributes if a.name.startswith(SOFT_DELETED_ATTRIBUTE) and a.name not in table.attribute
        ]
        return replace(table, attributes=(*table.attributes, *more))

    def _way(self, migration: Migration, run: Run, operation: ops.Operation) -> _Way | None:
        """Follow what an operation makes to where a rollback took it back; None where the files do not tell."""
        begun, made = False, dict[TableName, Table]()
        rest = list[ops.Operation]()
        for other, before, _ in self._back.replayed:
            operations = other.operations(before)
            if other == migration:
                if operation not in operations:
                    return None
                place = operations.index(operation) + 1
                made, rest, begun = ops.apply(operations[:place], before), operations[place:], True
            elif begun and any((other.schema, d) in self._back.by_run[run] for d in (other.digest, *other.digests_v1)):
                rest += operations
        if not begun:
            return None
        try:
            final, origins = ops.trace(made, rest)
        except PipelineError:
            return None
        computed = any(op.changes_rows and not isinstance(op, ops.AlterAttribute) for op in rest)
        return _Way(made, final, origins, computed)

    def _column(self, place: Place, run: Run, name: str) -> str:
        """Find the hidden column that a rollback made of an attribute; empty where there is none."""
        for column in self._columns.get(place, ()):
            if self._back.retained.names.get((place, column)) == run and (place, column) not in self._done:
                called = self._back.retained.attributes.get((run, column))
                if called == name or (called is None and coming_back.is_of(column, name)):
                    return column
        return ""

    def _hidden_table(self, run: Run, name: TableName) -> str | None:
        """Find the hidden table that a rollback made of one."""
        database = self.deployment.databases.get(name.schema)
        for place in self._columns:
            made = place[0] == database and self._back.retained.names.get((place, "")) == run
            if made and self._back.retained.called.get(place) == name.table and (place, "") not in self._done:
                return place[1]
        return None

    def _lacks(self, run: Run, key: ForeignKey) -> bool:
        """Tell whether rows, or values, that a foreign key leads to stay soft-deleted, so that others are there."""
        database = self.deployment.databases.get(key.parent.schema, "")
        place = database, key.parent.table
        return self._hidden_table(run, key.parent) is not None or any(
            self._column(place, run, name) for name in key.parent_attributes
        )

    def _count(self, place: Place, column: str = "", of_rows: str = "") -> int:
        """Count the values of a hidden column, or the rows of a hidden table; ``of_rows`` is a further condition."""
        connection = self.deployment.connection
        quote = quoter(connection)
        condition = f" WHERE {quote(column)} IS NOT NULL" if column else ""
        condition += f" AND ({of_rows})" if of_rows else ""
        sql = f"SELECT COUNT(*) FROM {quote(place[0])}.{quote(place[1])}{condition}"
        return int(connection.query(sql, args=None, reconnect=False).fetchone()[0])
