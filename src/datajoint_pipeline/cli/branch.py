"""The commands about a git branch's own schemas: words for people, no logic."""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING, Any

import click

from ..errors import ExitCode, PipelineError
from .common import Options, common, example, leave, program, show_status, utc
from .visible import confirm, echo, visible

if TYPE_CHECKING:
    from ..commands.branch import Made
    from ..project.environments import Environment
    from ..promotion.branches import Dropped, Standing

_yes = click.option("--yes", is_flag=True, help="Do not ask.")


@program.group()
def branch() -> None:
    """Make and compare schemas of your own for a git branch.

    The branch is the one you are on. Its schemas are on the server of dev, with names of their own.
    """


@branch.command("create", **example("my-pipeline branch create --rows 100"))
@click.option("--rows", type=click.IntRange(0, 1_000_000), default=0, help="Rows of each table to copy from dev.")
@click.option(
    "--at",
    "versions_of",
    type=click.Choice(["code", "dev"]),
    default="code",
    show_default=True,
    help="Where the tables come from; with --rows always dev.",
)
@click.option("--exist-ok", is_flag=True, help="Do nothing if its schemas exist already.")
@common
def branch_create(options: Options, rows: int, versions_of: str, exist_ok: bool) -> None:
    """Make schemas for a git branch, with their Lookup rows.

    They are called dev_<branch>_…; use --env branch to work on them. With --rows, the tables are those of dev; run
    migrate to bring them to the code. Copied rows refer to the objects of dev in stores; what the branch writes goes to
    a place of its own.
    """
    from ..commands import branch
    from . import render
    from .progress import Progress

    environment = _select(options)
    with Progress("Making") as progress:
        made = branch.create(
            options.pipeline,
            environment,
            versions_of=versions_of,
            rows=rows,
            exist_ok=exist_ok,
            report=progress.name,
            warn=progress.aside(render.warning),
        )
    _show_made(options, environment, made)


@branch.command("list", **example("my-pipeline branch list --gone"))
@click.option("--gone", is_flag=True, help="Only those whose git branch no longer exists.")
@common
def branch_list(options: Options, gone: bool) -> None:
    """Show every branch that has schemas.

    Shows who made them and when, their size, and whether the git branch still exists. With --gone, the exit code is 3
    if it finds any.
    """
    from ..commands import branch
    from . import render

    _refuse_other(options)
    found = branch.gone(options.pipeline) if gone else branch.listed(options.pipeline)
    if options.json:
        options.print_json({"branches": [_document(one) for one in found]})
    else:
        render.branches(found)
    leave(ExitCode.PENDING if gone and found else ExitCode.OK)


@branch.command("diff", **example("my-pipeline branch diff --markdown > changes.md"))
@click.option("--markdown", is_flag=True, help="As Markdown, for a pull request.")
@common
def branch_diff(options: Options, markdown: bool) -> None:
    """Show what merging the branch would do to dev.

    Shows versions, operations, cost and losses on dev, and changes nothing.
    """
    from ..commands import branch, branch_markdown
    from . import render

    environment = _select(options)
    found = branch.diff(options.pipeline, environment, warn=render.warning)
    for error in [error for _, error in found.refused] + ([found.error] if found.error else []):
        error.do = options.to_copy(error.do, "dev")
    if options.json:
        options.print_json(
            {
                "branch": found.branch,
                "schemas": [
                    {"name": name, "dev": dev, "branch": own, "code": code} for name, dev, own, code in found.versions
                ],
                "files": found.new,
                "groups": [one.as_dict() for one in found.impacts],
                "refused": [{"what": e.what, "why": e.why, "do": e.do} for _, e in found.refused],
                "error": found.error and {"what": found.error.what, "why": found.error.why, "do": found.error.do},
            }
        )
    elif markdown:
        click.echo(visible(branch_markdown.markdown(found)), nl=False)
    else:
        render.branch_versions(found)
        if found.error is None:
            from ..project import environments

            dev = environments.find(options.pipeline.project, "dev")
            render.impact(dev, found.impacts, found.refused, short=True, whole=False)
            if found.impacts:
                echo("Whole statements: the same with --markdown.\nNothing was changed.")
    if found.error is not None:
        if not (markdown or options.json):
            raise found.error
        leave(found.error.exit_code)
    from ..planner import judging

    leave(judging.exit_code(error for _, error in found.refused))


@branch.command("reset", **example("my-pipeline branch reset --yes"))
@click.option(
    "--rows",
    type=click.IntRange(0, 1_000_000),
    default=None,
    help="Rows of each table to copy; as many as before by default.",
)
@_yes
@common
def branch_reset(options: Options, rows: int | None, yes: bool) -> None:
    """Drop the schemas of the branch and make them again.

    They come from dev or from the code, as before.
    """
    from ..commands import branch
    from . import render
    from .progress import Progress

    environment = _select(options)
    told = [
        *(["--branch", options.branch] if options.branch else []),
        *(["--rows", str(rows)] if rows is not None else []),
    ]
    question = f"Delete every row of the branch {environment.branch} and begin anew?"
    _confirm(options, question, yes, shlex.join(["branch", "reset", *told]))
    with Progress("Making") as progress:
        made = branch.reset(
            options.pipeline,
            environment,
            rows=rows,
            report=progress.name,
            warn=progress.aside(render.warning),
        )
    _show_made(options, environment, made)


@branch.command("drop", **example("my-pipeline branch drop my-feature"))
@click.argument("name", required=False)
@click.option("--gone", is_flag=True, help="Every branch whose git branch no longer exists.")
@click.option("--keep-objects", is_flag=True, help="Keep the objects that it wrote to stores.")
@click.option("--missing-ok", is_flag=True, help="Do nothing if it has no schemas.")
@_yes
@common
def branch_drop(
    options: Options, name: str | None, gone: bool, keep_objects: bool, missing_ok: bool, yes: bool
) -> None:
    """Drop the schemas of a branch with every row.

    Drops the rights on them and what the branch wrote to the stores, too.

    Without NAME, it drops those of the branch you are on. It drops only what `branch create` made.
    """
    from ..commands import branch
    from . import render
    from .progress import Progress

    if gone and name:
        raise click.UsageError("--gone finds the branches itself; leave NAME out.")
    _refuse_other(options)
    names = [one.mark.branch for one in branch.gone(options.pipeline)] if gone else [_name(options, name)]
    if names:
        told = "--gone" if gone else shlex.quote(names[0])  # or that of the branch that one is on would go
        _confirm(options, f"Delete every row of {', '.join(names)}?", yes, f"branch drop {told}")
    done = []
    with Progress("Dropping") as progress:
        for one in names:
            done.append(
                branch.drop(
                    options.pipeline,
                    one,
                    keep_objects=keep_objects,
                    missing_ok=missing_ok,
                    report=progress.name,
                    warn=progress.aside(render.warning),
                )
            )
    if options.json:
        options.print_json({"dropped": [_dropped(one) for one in done]})
        return
    for found in done:
        _show_dropped(found)
    if not done:
        echo("No deleted git branch has schemas here.")


def _name(options: Options, name: str | None) -> str:
    from ..project import branches

    return branches.name_of(options.pipeline.project, name or options.branch)


def _select(options: Options) -> Environment:
    """Choose the branch's environment, which these commands are about whatever is meant by default."""
    _refuse_other(options)
    options.environment = "branch"
    return options.select()


def _refuse_other(options: Options) -> None:
    if options.environment not in (None, "branch", "dev"):
        raise click.UsageError(f"branch works on --env branch and dev only, not on {options.environment}.")


def _confirm(options: Options, question: str, yes: bool, command: str) -> None:
    if yes:
        return
    if options.json or not sys.stdin.isatty():
        raise PipelineError(
            "Nothing was changed.", "Deleting every row of a branch has to be confirmed.", f"Run {command} --yes."
        )
    confirm(question, err=True)


def _show_made(options: Options, environment: Environment, made: Made) -> None:
    more: dict[str, Any] = {
        "branch": environment.branch,
        "made": made.anew,
        "granted": made.granted,
        "not_granted": list(made.refused),
    }
    if options.json:
        show_status(options, environment, made.statuses, pending_is_fine=True, **more)
        return
    if made.granted:
        echo(f"The roles of dev got their rights on these schemas ({made.granted} statements).")
    if made.refused:
        echo("This account may not give the roles of dev their rights. The server's administrator can run:", err=True)
        for statement in made.refused:
            echo(f"  {statement};", err=True, whole=True)
    name = options.pipeline.project.program
    if not made.anew:
        done = f"The branch {environment.branch} had its schemas already."
    elif any(one.pending for one in made.statuses):
        done = f"The tables are as in dev. Next: {name} --env branch migrate"
    else:
        done = f"The branch {environment.branch} has its own schemas. Work on them with --env branch."
    show_status(options, environment, made.statuses, done=done, pending_is_fine=True)


def _document(found: Standing) -> dict[str, Any]:
    mark = found.mark
    return {
        "branch": mark.branch,
        "prefix": mark.prefix,
        "databases": list(found.databases),
        "state": mark.status,
        "git": found.git,
        "database_user": mark.database_user,
        "os_user": mark.os_user,
        "host": mark.host,
        "created_at": utc(mark.created_at),
        "commit": mark.code_commit,
        "bytes": found.size,
        "objects": mark.place,
    }


def _dropped(found: Dropped) -> dict[str, Any]:
    return {
        "branch": found.branch,
        "databases": list(found.databases),
        "objects": dict(found.objects),
        "left": list(found.left),
        "not_revoked": list(found.refused),
    }


def _show_dropped(found: Dropped) -> None:
    schemas = "1 schema" if len(found.databases) == 1 else f"{len(found.databases)} schemas"
    objects = "".join(f", {count} object{'s' * (count != 1)} in {name}" for name, count in found.objects.items())
    echo(f"{found.branch}: {schemas} dropped{objects}." if found.databases else f"{found.branch} has no schemas here.")
    for database in found.left:
        echo(f"  {database} was left: its name begins the same way, but branch create did not make it.", fg="yellow")
    if found.refused:
        echo("This account may not revoke the rights on them. The server's administrator can run:", err=True)
        for statement in found.refused:
            echo(f"  {statement};", err=True, whole=True)
