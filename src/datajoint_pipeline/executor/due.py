"""Refuse to build on a rollback that was cut off after it set values aside, and before it gave back those of before."""

from __future__ import annotations

from ..errors import ExitCode, PipelineError
from ..journal import steplog
from ..planner import drift
from ..planner.deployment import Deployment


def refuse(deployment: Deployment) -> None:
    """Refuse where the last run of a schema is such a rollback, or the restore after it that was cut off, too.

    Raises
    ------
    PipelineError
        If there is one; it names the file. Nothing is restored because the journal says so, which anybody may have
        written.
    """
    last = {name: run for name, run in deployment.records.items() if run.kind == "rollback"}
    heads = steplog.heads(deployment.connection, {name: deployment.databases[name] for name in last}) if last else {}
    there = {path.name for path in deployment.target.backups.glob("*.zip")} if last else set[str]()
    for run in deployment.records.values():
        if run.kind == "restore" and run.finished_at is None:
            raise drift.half_restored(deployment, run)
    for name, run in last.items():
        plan = heads.get((name, run.id), {}).get("plan")
        named = plan.get("files") if isinstance(plan, dict) else None
        if due := [str(one) for one in named if str(one) in there] if isinstance(named, list) else []:
            command = deployment.target.command
            raise PipelineError(
                f"The rollback of {name} set values aside, and was cut off before it gave back those of before.",
                "What stands in their place would be taken for values. Nothing was changed.",
                f"Run {' and '.join(f'{command} restore {one} --overwrite' for one in due)}. If what is there is to "
                "stay, move the file to another folder.",
                exit_code=ExitCode.INTERRUPTED,
            )
