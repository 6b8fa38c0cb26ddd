"""Record the versions of tables that were there before the project, and bring their types to the code."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from .. import journal
from ..history import baselines, migration_files
from ..internals import lineage, old_objects
from ..journal import steplog
from ..planner import adoption, drift
from ..planner.deployment import Deployment
from ..planner.status import SchemaStatus
from ..planner.target import Target
from . import apply, owners, resume, runs, stepping


@dataclass(frozen=True)
class Adopted:
    """Where every schema stands, and what was gone on with that had been interrupted, each in a sentence."""

    statuses: list[SchemaStatus]
    resumed: list[str]


def adopt(
    target: Target,
    chosen: Iterable[str] = (),
    *,
    again: bool = False,
    types: bool = False,
    report: runs.Report = lambda words, number, of: None,
) -> Adopted:
    """Record the version of every schema that has tables and no record, where its shape is that of a version.

    Parameters
    ----------
    target : Target
        Where.
    chosen : iterable of str
        Schemas; all where there is none.
    again : bool
        Whether schemas with a record get another one, of what they are now.
    types : bool
        Whether tables that differ from the newest snapshot in types and comments alone are brought to it.
    report : callable, optional
        Called with the words of each step of that, its number and how many there are.

    Raises
    ------
    PipelineError
        If a schema has the shape of no version; then nothing was recorded.
    """
    with apply.alone(target):
        _forget_unfinished(target)
        resumed = resume.resume(target, report)
        baselines.write(target.files, target.code_tables())
        deployment = Deployment.read(target)
        chosen = list(chosen)
        names = adoption.adoptable(deployment, chosen, again)
        if not names:
            adoption.refuse_elsewhere(deployment, chosen)
        versions = {name: adoption.version_of(deployment, name) for name in names}
        like = {name: version for name, version in versions.items() if version is not None}
        unlike = [name for name in names if name not in like]
        retyping = adoption.group(deployment, unlike) if unlike and types else None
        if retyping is not None:
            apply.judge(deployment, retyping, allow_data_loss=False)
        elif unlike:
            only_types = adoption.only_types_differ(deployment, unlike)
            raise adoption.refusal(deployment, unlike, only_types=only_types)
        _record(deployment, like)
        if retyping is not None:
            for name in retyping.schemas:
                old_objects.keep(target.connection, deployment.databases[name])
            apply.apply(deployment, retyping, "adopt", report)
        return Adopted(drift.read(target), resumed)


def _forget_unfinished(target: Target) -> None:
    """Take out records that releases before 0.18.2 left half-written where they were killed; they changed no table."""
    databases = {name: target.database(name) for name in migration_files.schemas(target.files)}
    databases = journal.recorded(target.connection, databases)
    running = {n: r for n, r in journal.latest(target.connection, databases).items() if r.status != journal.DONE}
    heads = steplog.heads(target.connection, databases) if running else {}
    found = [(n, r.id) for n, r in running.items() if r.kind == "adopt" and (n, r.id) not in heads]
    runs.withdraw(target, [runs.Member(name, number) for name, number in found])


def _record(deployment: Deployment, versions: Mapping[str, str]) -> None:
    """Record versions of schemas, by name: all of them, or none where it is killed."""
    connection = deployment.connection
    if not versions:
        return
    with owners.handing_over(connection, [deployment.databases[name] for name in versions]):
        for name in versions:
            runs.make_records(deployment, name)
        # Whoever finds a record goes by it, so that comes last.
        lineage.repair(connection, deployment.databases, deployment.tables, only=versions)
        with stepping.transaction(connection):
            for name, version in versions.items():
                record = deployment.records.get(name)
                number = journal.begin(
                    connection,
                    deployment.databases[name],
                    kind="adopt",
                    version=version,
                    previous_version=record.version if record else None,
                    code_commit=deployment.target.commit(),
                    software=deployment.target.software(),
                )
                journal.stamp(connection, deployment.databases[name], number, deployment.shapes[name].fingerprint)
                journal.finish(connection, deployment.databases[name], number)
