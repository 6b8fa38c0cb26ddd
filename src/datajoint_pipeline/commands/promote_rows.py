"""`promote --rows`: copies rows of named tables from one environment to another, with what they refer to."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import ExitStack

from .. import journal
from ..dialects import catalog
from ..errors import ExitCode, PipelineError
from ..history import chain
from ..planner import status
from ..planner.deployment import Deployment
from ..planner.status import State
from ..planner.target import Target, Warn
from ..project.environments import Environment
from ..project.pipeline import Pipeline
from ..promotion import named
from ..promotion.named import Conflict, CopiedRows
from ..schema.model import Table, TableName
from .rows import find, part_of_key


def promote(
    pipeline: Pipeline,
    source: str,
    environment: Environment,
    texts: Iterable[str],
    key: Iterable[str] = (),
    *,
    dry_run: bool = False,
    agree: Callable[[list[CopiedRows], list[Conflict]], None] = lambda copied, conflicts: None,
    warn: Warn = lambda text: None,
) -> tuple[list[CopiedRows], list[Conflict]]:
    """Copy rows; give what became of them, and what stood in the way: where anything did, nothing was copied.

    Parameters
    ----------
    pipeline : Pipeline
        The project.
    source : str
        The environment that has the rows.
    environment : Environment
        The one that gets them, said in words on this command.
    texts : iterable of str
        The tables, as the code names them: ``subject.Species``.
    key : iterable of str
        Values of attributes of their primary keys, each as ``attribute=value``.
    dry_run : bool
        Whether to change nothing.
    agree : callable, optional
        Called with what would be done, before it is; what it raises stops there.

    Raises
    ------
    PipelineError
        If there is no such table, it is not one that people fill, or either side is in the middle of a change.
    """
    if source == environment.name:
        do = f"Run for example {pipeline.project.program} promote --from dev --to prod --rows subject.Species."
        what = f"{source} cannot be promoted to itself."
        raise PipelineError(what, "Rows are copied from one environment to another.", do, exit_code=ExitCode.USAGE)
    target = pipeline.target(environment, warn=warn)
    other = pipeline.beside()
    origin = other.target(other.select(source))
    with ExitStack() as alone:
        # Nobody changes the tables, or what their values mean, on either side from the first look on.
        for place in (origin, target):
            alone.enter_context(journal.lock(place.connection, place.lock, warn=warn))
        for place in (origin, target):
            _refuse_unfinished(place)
        tables, target_tables, apart = _tables(origin), _tables(target), _apart(origin, target)
        names = [find(tables, text.strip()) for text in texts]
        given = [part_of_key(part, _having(tables, names, part)) for part in key]

        def run(only_look: bool) -> tuple[list[CopiedRows], list[Conflict]]:
            return named.copy(
                origin.connection,
                origin.databases,
                target.connection,
                target.databases,
                tables,
                target_tables,
                names,
                dict(given),
                apart=apart,
                dry_run=only_look,
            )

        copied, conflicts = run(True)
        agree(copied, conflicts)
        return (copied, conflicts) if dry_run or conflicts else run(False)


def _refuse_unfinished(target: Target) -> None:
    for s in status.read(target):
        if s.state is State.INTERRUPTED:
            raise PipelineError(
                f"{target.environment} is in the middle of a change of {s.name}.",
                "Rows are copied only where the tables are known.",
                f"Run {target.command} {s.way_on} first.",
                exit_code=ExitCode.INTERRUPTED,
            )


def _tables(target: Target) -> dict[TableName, Table]:
    return {t.name: t for shape in catalog.read(target.connection, target.databases).values() for t in shape}


def _apart(origin: Target, target: Target) -> dict[TableName, str]:
    """Find what has other values on one side though it may look the same, each with a sentence that says why.

    A migration that computes values anew may leave the shape as it was. What a statement of the lab's changes nobody
    knows, so that is said of the schema, with no table's name.
    """
    sides = [Deployment.read(place) for place in (origin, target)]
    here, there = (side.applied for side in sides)
    histories, found = sides[0].histories, dict[TableName, str]()
    differing = [
        migration
        for schema in here.keys() & there.keys()
        for migration in histories[schema].migrations
        if here[schema].includes(migration) != there[schema].includes(migration)
    ]
    for migration, before, _ in chain.replay(histories, list(histories)) if differing else ():
        if migration in differing:
            with_it, without = (origin, target) if here[migration.schema].includes(migration) else (target, origin)
            why = f"{migration.title} changed them in {with_it.environment}; it did not run on {without.environment}."
            found |= {op.table: why for op in migration.operations(before) if op.changes_rows}
    return found


def _having(tables: dict[TableName, Table], names: list[TableName], text: str) -> Table:
    """Give the named table whose key has the attribute of a restriction; the first where none has."""
    attribute = text.partition("=")[0].strip()
    return next((tables[name] for name in names if attribute in tables[name].primary_key), tables[names[0]])
