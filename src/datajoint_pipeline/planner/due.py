"""Refuse to build on a rollback whose values of before are still in a file, where `migrate` would compute from others.

That is so where it was cut off after it had set values aside, and where it left those that `using` had computed since
nothing can stand in for them.
"""

from __future__ import annotations

from .. import journal
from ..errors import ExitCode, PipelineError
from ..journal import steplog
from . import drift
from .deployment import Deployment

#: What the journal has among the options of a restore that gave back only what its rollback had set aside.
IN_PART = "in-part"


def refuse(deployment: Deployment) -> None:
    """Refuse where the last run of a schema, but for purges and restores, is such a rollback.

    Raises
    ------
    PipelineError
        If there is one; it names the file. Nothing is restored because the journal says so, which anybody may have
        written.
    """
    there = {path.name for path in deployment.target.backups.glob("*.zip")}
    last = {n: run for n, run in deployment.records.items() if run.kind in ("rollback", "restore", "purge")}
    for run in last.values():
        if run.kind == "restore" and run.finished_at is None:
            raise drift.half_restored(deployment, run)
    if not last:
        return
    databases = {name: deployment.databases[name] for name in deployment.records}
    restored, rollbacks = _runs(journal.history(deployment.connection, databases, deployment.surveys))
    heads = steplog.heads(deployment.connection, {name: databases[name] for name in rollbacks})
    for name, number in rollbacks.items():
        plan = heads.get((name, number), {}).get("plan")
        files = plan.get("files") if isinstance(plan, dict) else None
        if not isinstance(files, dict):
            continue
        if lost := sorted(_names(files.get("lost"))):
            deployment.target.warn(
                f"A rollback of {name} left what a migration had computed of {', '.join(lost)}: migrate would compute "
                "from these values once more."
            )
        whole, some = restored[name]
        given = _names(files.get("given")) - whole - some
        if gone := given - there:
            deployment.target.warn(
                f"The rollback of {name} set values aside, and {' and '.join(sorted(gone))}, with those of before, is "
                "not in backups/. Put it there and restore it, or see to these values by hand."
            )
        if due := (given | _names(files.get("left")) - whole) & there:
            command = deployment.target.command
            raise PipelineError(
                f"The rollback of {name} left values that are not those of before, which are in a file.",
                "A migration would compute from them once more, so none is applied until they are back.",
                f"Run {' and '.join(f'{command} restore {one} --overwrite' for one in sorted(due))}. If what is there "
                "is to stay, move the file to another folder.",
                exit_code=ExitCode.INTERRUPTED,
            )


def _runs(history: list[journal.Record]) -> tuple[dict[str, tuple[set[str], set[str]]], dict[str, int]]:
    """Give the number of the last run of each schema that is a rollback, and the files that were restored since, whole
    and in part: what it took along is restored in another schema.
    """
    restored, rollbacks = dict[str, tuple[set[str], set[str]]](), dict[str, int]()
    for run in history:
        if run.kind == "restore" and run.finished_at is not None:
            file, *options = run.options.split() or [""]
            for found in restored.values():
                found[IN_PART in options].add(file)
        elif run.kind not in ("restore", "purge") and run.status == journal.DONE:
            rollbacks.pop(run.schema, None)
            if run.kind == "rollback":
                restored[run.schema], rollbacks[run.schema] = (set(), set()), run.id
    return restored, rollbacks


def _names(files: object) -> set[str]:
    return {one for one in files if isinstance(one, str)} if isinstance(files, list) else set()
