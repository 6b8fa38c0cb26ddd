"""Apply every migration from the oldest snapshots on, by the library itself, to tables with rows; what `check` runs.

It works in the environment ``test`` on the embedded server, in a process of its own. The rows are made up
(:mod:`samples`). So a refusal that any rows would meet is a finding, and one that depends on their values is a note: a
real database may have no such rows, or people decide there what becomes of them.
"""

from __future__ import annotations

from collections.abc import Mapping

from packaging.version import Version

from ..dialects import catalog, constraints
from ..errors import PipelineError
from ..findings import Finding
from ..history import chain
from ..history.migration_files import Migration
from ..operations import data
from ..operations import structure as ops
from ..operations.structure import Tables
from ..planner import counting, drift, pending, plan
from ..planner.deployment import Deployment
from ..planner.plan import Group
from ..planner.target import Target
from ..schema.compatibility import changes_codec
from ..schema.model import ForeignKey, TableName
from . import apply, needed, samples


def replay(target: Target, contents: Mapping[TableName, list[samples.Values]]) -> list[Finding]:
    """Apply every migration to rows that are made up, in a database that is empty; give the findings.

    ``contents`` are the rows that Lookup tables of the code come with.
    """
    with apply.alone(target):
        return _Replay(target, contents).run()


class _Stop(Exception):
    """Ends a replay that cannot go on."""


class _Replay:
    """A replay that is under way, and its findings."""

    def __init__(self, target: Target, contents: Mapping[TableName, list[samples.Values]]) -> None:
        self.target, self.connection, self.contents = target, target.connection, contents
        self.findings: list[Finding] = []
        #: What was said of tables without rows: every group of migrations would say it again.
        self.without: set[str] = set()

    def run(self) -> list[Finding]:
        """Make the oldest tables, fill them, migrate, compare; give the findings."""
        try:
            while True:
                deployment = Deployment.read(self.target)
                if self._make(deployment):
                    continue
                wanted = _ready(deployment)
                if not wanted:
                    break
                try:
                    self._apply(deployment, wanted)
                except PipelineError as error:
                    self._report("replay-rows", wanted[0].module, f"{error.what} {error.why}", error.do)
                    return self.findings
            self._compare(deployment)
        except _Stop:
            pass
        except PipelineError as error:
            self._report("replay-rows", "version", f"{error.what} {error.why}", error.do)
        return self.findings

    def _report(self, id_: str, module: str, what: str, do: str, *, note: bool = False) -> None:
        self.findings.append(Finding(id_, module, 1, what, do, note))

    def _report_group(self, group: Group, what: str, do: str, *, note: bool = False) -> None:
        self._report("replay-rows", group.migrations[0].module, what, do, note=note)

    def _make(self, deployment: Deployment) -> bool:
        """Make the schemas that are not there and whose parents are, as their oldest snapshots have them."""
        making = _to_make(deployment)
        if not making:
            return False
        group = Group(making, deployment.tables)
        operations = [operation for migration in making for operation in migration.operations(group.before)]
        names = constraints.names(deployment.catalogue)
        plan.add_steps(deployment, group, operations, names, frozenset())
        apply.apply(deployment, group, "init", _quiet)
        self._fill(deployment, group.after)
        return True

    def _fill(self, deployment: Deployment, tables: Tables) -> None:
        """Put rows into the tables that have none; note where that is not possible."""
        without = samples.fill(self.connection, deployment.databases, tables, self.contents)
        for name in without:
            if not {key.parent for key in tables[name].foreign_keys} & set(without):
                self._report_without(name, "row")

    def _report_without(self, name: TableName, noun: str) -> None:
        what = f"No {noun} could be made up for {name}, so what migrations do to its rows is not known."
        if what not in self.without:
            self.without.add(what)
            self._report("replay-rows", name.schema, what, "Try them on a database with rows (dev).", note=True)

    def _count_rows(self, deployment: Deployment, name: TableName) -> int:
        return samples.count(self.connection, deployment.databases[name.schema], name.table)

    def _apply(self, deployment: Deployment, wanted: list[Migration]) -> None:
        """Apply a group to tables with rows; without those that are in its way, where other rows would not be."""
        self._provide(deployment, plan.groups(deployment, wanted, one=True)[0])
        self._empty_what_is_read_from_stores(deployment, plan.groups(deployment, wanted, one=True)[0])
        while True:
            group = plan.groups(deployment, wanted, one=True)[0]
            counting.count(deployment, group, trials=False)  # on rows that were made up
            violations = [violation for violation in group.violations if violation.blocks or violation.loses]
            for violation in violations:
                self._judge(group, violation)
            names = group.names_before
            violated = {names[violation.table][0] for violation in violations if violation.table in names}
            if not violated:
                break
            samples.empty(self.connection, deployment.databases, violated)
        counts = {name: self._count_rows(deployment, name) for name in group.before}
        try:
            apply.apply(deployment, group, "migrate", _quiet)
        except PipelineError as error:
            self._try_without_rows(deployment, wanted, error)
        else:
            self._verify_rows(deployment, group, counts)
        self._fill(deployment, {n: t for n, t in group.after.items() if not n.table.startswith("~")})

    def _provide(self, deployment: Deployment, group: Group) -> None:
        """Put in the rows that literals of a group refer to, which a database has or needs; say which they are."""
        databases, said = deployment.databases, set[str]()
        for one in needed.find(group):
            if one.table in self.contents:
                continue  # which has its rows, and no others
            rows = [dict(one.values)]
            if one.child is not None:
                place = databases[one.child.schema], one.child.table
                rows = samples.with_rest(self.connection, *place, rows[0], one.rest)
            made = [samples.put(self.connection, databases, deployment.tables, one.table, row) for row in rows]
            if any(made) and one.words not in said:
                said.add(one.words)
                do = "Insert it where it is missing, or let the migration insert it (InsertRows)."
                self._report_group(group, f"A database needs {one.words} before it.", do, note=True)

    def _empty_what_is_read_from_stores(self, deployment: Deployment, group: Group) -> None:
        """Delete the rows whose objects a group would read to store them in another form: there are no such objects."""
        before: list[ops.Operation] = []
        for _, operation in group.operations():
            if isinstance(operation, ops.AlterAttribute) and "@" in operation.before.type:
                old = ops.trace(group.before, before)[1].tables.get(operation.table)
                if changes_codec(operation.before.type, operation.after.type) and old is not None:
                    samples.empty(self.connection, deployment.databases, [old])
                    self._report_without(operation.table, "object")
            before.append(operation)

    def _judge(self, group: Group, violation: plan.Violation) -> None:
        """Report a violation; stop where any rows would have it."""
        what = f"{violation.table} has {violation.counted}"
        if _certain(group, violation):
            do = "Say in the migration what the rows are to get (fill=..., using=..., RunSQL, RunPython)."
            self._report_group(group, f"It cannot be applied where there are rows: {what}.", do)
            raise _Stop
        do = "Where a database has such rows, migrate refuses until they are corrected or the migration says more."
        self._report_group(group, f"Of the rows made up here, {what}.", do, note=True)

    def _try_without_rows(self, deployment: Deployment, wanted: list[Migration], error: PipelineError) -> None:
        """Apply a group without rows that failed with some: it may fail for their values, but not without any."""
        group = plan.groups(deployment, wanted, one=True)[0]
        depends = any(_computes(operation) for _, operation in group.operations())
        what = f"{error.what} {error.why}".replace(" Nothing was changed.", "")
        do = "Try it on a database with rows like yours (dev)." if depends else "Correct the migration."
        self._report(
            "replay-rows",
            group.migrations[0].module,
            f"With rows made up here, {what[0].lower()}{what[1:]}",
            do,
            note=depends,
        )
        if not depends:
            raise _Stop
        samples.empty(self.connection, deployment.databases, group.before)
        try:
            apply.apply(deployment, group, "migrate", _quiet)
        except PipelineError as again:
            self.findings.pop()
            what = f"It fails even where there are no rows: {again.what} {again.why}"
            self._report_group(group, what, "Correct the migration.")
            raise _Stop from again

    def _verify_rows(self, deployment: Deployment, group: Group, counts: Mapping[TableName, int]) -> None:
        """Verify that every row is still there; ``counts`` has their numbers before. User steps may delete rows."""
        if any(isinstance(operation, (data.RunSQL, data.RunPython)) for _, operation in group.operations()):
            return
        for name, (old, _) in group.names_before.items():
            changed = name in group.after and name in group.inputs.involved
            if changed and (now := self._count_rows(deployment, name)) < counts[old]:
                what = f"{name} has {now} rows afterwards; it had {counts[old]}."
                self._report_group(group, what, "Report it: a migration has to keep every row.")
                raise _Stop

    def _compare(self, deployment: Deployment) -> None:
        """Verify that the tables are as the newest snapshots have them."""
        shapes = catalog.read(self.connection, deployment.databases)
        for name, history in deployment.histories.items():
            if history.latest is None:
                continue
            if name not in shapes:
                what = f"{name} cannot be made as its oldest snapshot has it: what it refers to never exists."
                self._report("replay-result", name, what, "Take the oldest snapshot back from version control.")
                continue
            for text in drift.describe(history.latest.shape, drift.visible(shapes[name])):
                what = f"After every migration {name} is not as its snapshot has it: {text}"
                self._report("replay-result", name, what, "Correct the migration, or make it anew with revise.")


def _quiet(words: str, number: int, of: int) -> None: ...


# --- What comes next ---------------------------------------------------------------------------------------------


def _to_make(deployment: Deployment) -> list[Migration]:
    """Give the making of each schema that is not there and whose parents are."""
    absent = {name: history.oldest for name, history in deployment.histories.items() if name not in deployment.records}
    making = {name: oldest for name, oldest in absent.items() if oldest is not None}
    while True:
        tables = deployment.tables | {table.name: table for oldest in making.values() for table in oldest.shape}
        early = {
            name
            for name, oldest in making.items()
            if any(_unmet(deployment, tables, key) for table in oldest.shape for key in table.foreign_keys)
        }
        if not early:
            return [Migration(n, oldest.version, None, "init", makes=oldest.shape) for n, oldest in making.items()]
        making = {name: oldest for name, oldest in making.items() if name not in early}


def _unmet(deployment: Deployment, tables: Tables, key: ForeignKey) -> bool:
    """Tell whether a foreign key leads nowhere yet."""
    parent = tables.get(key.parent)
    if parent is None:
        return key.parent.schema in deployment.histories
    return set(parent.primary_key) != set(key.parent_attributes)


def _ready(deployment: Deployment) -> list[Migration]:
    """Give the migrations that can be applied before another schema is made, in order."""
    by_schema = pending.by_schema(deployment, deployment.records)
    have = {name: record.version for name, record in deployment.records.items()}
    left = [migration for migrations in by_schema.values() for migration in migrations]
    while True:
        late = [r for r in left if any(not _reached(left, have, *required) for required in r.requires.items())]
        if not late:
            return chain.in_order(left, have, list(deployment.histories))
        first = {r.schema: min(Version(o.version) for o in late if o.schema == r.schema) for r in late}
        left = [r for r in left if r.schema not in first or Version(r.version) < first[r.schema]]


def _reached(left: list[Migration], have: Mapping[str, str], schema: str, version: str) -> bool:
    """Tell whether a schema has a version, or will have it."""
    versions = [have[schema], *(r.version for r in left if r.schema == schema)] if schema in have else []
    return any(Version(one) >= Version(version) for one in versions)


# --- Violations --------------------------------------------------------------------------------------------------


def _certain(group: Group, violation: plan.Violation) -> bool:
    """Tell whether any rows would have a violation, and not only such as were made up."""
    names = group.names_before
    old, _ = names.get(violation.table, (violation.table, {}))
    before, after = group.before.get(old), group.after.get(violation.table)
    if before is None or after is None:
        return False
    match violation.kind:
        case "null":
            return not set(violation.attributes) & set(before.attribute)
        case "duplicate":
            return not violation.attributes
        case "parent":
            made = [key.parent for key in after.foreign_keys if key.parent not in names]
            return any(violation.words.endswith(f" of {parent}") for parent in made)
    return False


def _computes(operation: ops.Operation) -> bool:
    """Tell whether the result of an operation depends on values in a way that only the server or user steps know."""
    fill = getattr(operation, "fill", None)
    return operation.changes_rows or (fill is not None and fill.sql is not None)
