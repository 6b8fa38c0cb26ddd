"""Take an adoption back, so that the code of before reads the tables as it did."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from .. import journal
from ..dialects import catalog
from ..errors import ExitCode, PipelineError
from ..history import asked
from ..internals import old_objects
from ..journal import steplog
from ..operations.structure import SOFT_DELETED_ATTRIBUTE
from ..planner import drift
from ..planner.deployment import Deployment
from ..planner.plan import counted
from ..planner.status import SchemaStatus
from ..planner.steps import Recoding
from ..planner.target import Target
from ..schema.naming import shorten
from . import apply, resume, runs, undo
from .runs import Run

#: How many rows or objects a refusal names.
_NAMED = 5


@dataclass(frozen=True)
class Undone:
    """What became of adoptions: where every schema stands, and what stays behind of them, each in a sentence."""

    statuses: list[SchemaStatus]
    left: list[str]


def unadopt(target: Target, chosen: Iterable[str] = (), report: runs.Report = lambda words, number, of: None) -> Undone:
    """Take adoptions back, the last first; go on with that where it was interrupted.

    Parameters
    ----------
    target : Target
        Where.
    chosen : iterable of str
        Schemas; all that were adopted where there is none. What was adopted together goes together.
    report : callable, optional
        Called with the words of each step, its number and how many there are.

    Raises
    ------
    PipelineError
        If something else came after an adoption, or rows that the tables of before cannot hold.
    """
    chosen, left = list(chosen), list[str]()
    with apply.alone(target):
        began = resume.interrupted(target)
        if began is not None:
            left += _interrupted(target, began, report)
        deployment = Deployment.read(target)
        asked.refuse_schemas(chosen, deployment.databases)
        records = {n: r for n, r in deployment.records.items() if not chosen or n in chosen}
        adopted = {n: r for n, r in records.items() if r.kind == "adopt"}
        if began is None:
            _refuse_others(deployment, {n: r for n, r in records.items() if n not in adopted}, chosen, bool(adopted))
        heads = steplog.heads(target.connection, {n: deployment.databases[n] for n in deployment.records})
        _refuse_later(deployment, adopted, heads)
        while adopted:
            name = max(adopted, key=lambda schema: adopted[schema].started_at)
            if (name, adopted[name].id) in heads:
                began = resume.recorded(target, name, deployment.records, heads)
                left += _take_back(target, began, report)
                gone = {member.schema for member in began.members}
            else:  # no table was touched
                journal.withdraw(target.connection, deployment.databases[name], adopted[name].id)
                gone = {name}
            adopted = {n: r for n, r in adopted.items() if n not in gone}
        return Undone(drift.read(target), [*dict.fromkeys(left), *_left(deployment, chosen)])


def _interrupted(target: Target, began: resume.Interrupted, report: runs.Report) -> list[str]:
    """Take an adoption back that was interrupted, or go on with that; give what stays."""
    if began.head["plan"]["kind"] != "adopt":
        raise PipelineError(
            "The interrupted run is not an adoption; nothing was changed.",
            f"It is a {began.record.kind} of {began.record.schema}.",
            f"Run {target.command} migrate, which ends it, or run {target.command} rollback --interrupted.",
            exit_code=ExitCode.INTERRUPTED,
        )
    run = resume.planned(target, began)
    if run is None or run.untouched:
        runs.withdraw(target, began.members)
        for member in began.members:
            old_objects.let_go(target.connection, target.database(member.schema))
        return []
    resume.note(run, began)
    return _back(run, began, report)


def _take_back(target: Target, began: resume.Interrupted, report: runs.Report) -> list[str]:
    try:
        run = resume.planned(target, began)
    except PipelineError as error:
        schemas = ", ".join(member.schema for member in began.members)
        raise PipelineError(
            f"The adoption of {schemas} cannot be taken back; nothing was changed.",
            f"The code has to be what it was then, and so have the tables. {error.what} {error.why}",
            "Go back to that code, and take back first what came since: changes by hand, and adoptions of other "
            "schemas (run adopt --undo without names to take all back).",
            exit_code=ExitCode.DRIFT,
        ) from error
    if run is None:
        raise resume.untrue(began.record, "It did nothing.")
    return _back(run, began, report)


def _back(run: Run, began: resume.Interrupted, report: runs.Report) -> list[str]:
    if run.target.connection.adapter.backend == "postgresql":
        raise PipelineError(
            "Types that were adopted on PostgreSQL cannot be taken back; nothing was changed.",
            "DataJoint 0.14, which would read the earlier tables, works with MySQL only.",
            "Restore a backup of the server, if they have to be what they were.",
        )
    if began.undo is None:
        _refuse_since(run)
    undo.take_back(run, began, report)
    for schema in run.group.schemas:
        old_objects.let_go(run.target.connection, run.target.database(schema))
    copied = [step for step in run.group.steps if isinstance(step, Recoding)]
    return [_copies(step) for step in copied if not step.conversion.type.startswith("<filepath")]


def _refuse_others(deployment: Deployment, others: Mapping[str, journal.Record], chosen: list[str], some: bool) -> None:
    """Refuse schemas that were not adopted, or that something else was done with since."""
    if others and (chosen or not some):
        name, record = next(iter(others.items()))
        raise PipelineError(
            f"The last command that changed {deployment.databases[name]} was {record.kind}, not an adoption.",
            f"Since then its tables are those of {name} {record.version}; nothing was changed.",
            "Only an adoption that nothing followed can be taken back.",
        )
    if not others and not some:
        raise PipelineError("There is no adoption to take back.", "No schema has a record of one.", "Run status.")


def _refuse_later(
    deployment: Deployment, adopted: Mapping[str, journal.Record], heads: Mapping[tuple[str, int], Mapping[str, Any]]
) -> None:
    """Refuse where something else was done with a schema whose types were adopted together with those of others.

    Their tables refer to each other, so none of them is taken back without the rest.
    """
    for name, record in adopted.items():
        leader = heads.get((name, record.id), {}).get("leader")
        together = _together(heads, leader)
        for schema, run in together.items():
            last = deployment.records.get(schema)
            if last is None or last.id <= run:
                continue  # what cannot be true is found where the run is read
            database, command = deployment.databases[schema], deployment.target.command
            why = f"was {last.kind} to {schema} {last.version}, not an adoption."
            do = "Only an adoption that nothing followed can be taken back; what was adopted together goes together."
            if last.kind == "adopt":
                why, do = "was another adopt.", f"Take that back first: {command} adopt --undo {schema}."
            raise PipelineError(
                f"The adoption of {', '.join(together)} cannot be taken back; nothing was changed.",
                f"The last command that changed {database} {why}",
                do,
            )


def _together(heads: Mapping[tuple[str, int], Mapping[str, Any]], leader: Any) -> dict[str, int]:
    """Give the runs that were one, by schema; none where the record cannot be read, which is refused elsewhere."""
    try:
        members = heads[str(leader["schema"]), int(leader["run"])]["members"]
        return {str(member["schema"]): int(member["run"]) for member in members}
    except (KeyError, TypeError, ValueError, OverflowError):
        return {}


def _refuse_since(run: Run) -> None:
    """Refuse rows that 0.14 could not read: their object is gone, or is not the one that they had the number of."""
    connection, came, lost = run.target.connection, list[str](), list[tuple[int, str]]()
    tables = catalog.find(connection, run.databases).tables
    for step in run.group.steps:
        if not isinstance(step, Recoding):
            continue
        what, table = step.conversion, run.group.before[step.table]
        kind, there = old_objects.kind_of(table.attribute[what.source].type), tables.get(what.place)
        kept = shorten(SOFT_DELETED_ATTRIBUTE + what.source)
        # Where it was interrupted before, the numbers are still in their own place. Or the table is hidden for a
        # moment, and then nobody writes.
        if kind is None or there is None or kept not in [column.name for column in there.columns]:
            continue
        lost += old_objects.unreadable(connection, what.place, kept, kind)
        keys = [] if lost else old_objects.since(connection, what.place, table.primary_key, kept, what.source, kind)
        came += [f"{step.table} {_shown(key)} ({what.source})" for key in keys]
    if lost:
        count, why = sum(number for number, _ in lost), dict.fromkeys(reason for _, reason in lost)
        raise PipelineError(
            f"The adoption cannot be taken back: {counted(count, 'objects')} of DataJoint 0.14 cannot be read.",
            f"It could not read them either: {_named([*why])}. Nothing was changed.",
            "Give the old objects and their list back; their copies are still there.",
            exit_code=ExitCode.DATA_LOSS,
        )
    if came:
        raise PipelineError(
            f"The adoption cannot be taken back: {counted(len(came), 'values')} in stores came since.",
            f"DataJoint 0.14 has no numbers of their objects: {_named(came)}. Nothing was changed.",
            "Keep these values elsewhere and delete the rows, then run the command again.",
            exit_code=ExitCode.DATA_LOSS,
        )


def _named(texts: list[str]) -> str:
    return "; ".join(texts[:_NAMED]) + (f"; and {len(texts) - _NAMED} more" if len(texts) > _NAMED else "")


def _shown(key: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in key.items())


def _copies(step: Recoding) -> str:
    store = step.conversion.type[1:-1].partition("@")[2]
    return f"Copies of objects stay in the store {store or 'that is the default'}, under its hash_prefix (_hash/)."


def _left(deployment: Deployment, chosen: list[str]) -> Iterator[str]:
    """Say what stays of every adoption."""
    journals = {database for database, found in deployment.surveys.items() if found.journal}
    databases = ", ".join(d for name, d in deployment.databases.items() if d in journals and name in (chosen or [name]))
    yield f"The hidden tables ~migration, ~migration_step and ~lineage stay in {databases}; 0.14 does not read them."
    yield "Whole numbers have no display widths any more: tinyint(1) is tinyint, which 0.14 reads alike."
