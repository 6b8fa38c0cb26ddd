"""The commands that write and apply migrations: words for people, no logic."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import ExitCode, worst
from .common import (
    Options,
    changed_rights,
    common,
    complete_attributes,
    complete_schemas,
    complete_tables,
    complete_versions,
    example,
    leave,
    program,
    show_status,
    utc,
)
from .visible import echo, prompt

if TYPE_CHECKING:
    from ..planner.drafts import Ask
    from ..planner.impact import Impact
    from ..project.environments import Environment


def _answers(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that answer questions: what was renamed, filled, dropped."""
    for option in (
        click.option(
            "--insert",
            multiple=True,
            metavar="TABLE",
            help="Add to this table the rows that new foreign keys need.",
            shell_complete=complete_tables,
        ),
        click.option(
            "--drop",
            multiple=True,
            metavar="TABLE.ATTRIBUTE",
            help="This one is dropped, not renamed.",
            shell_complete=complete_attributes,
        ),
        click.option(
            "--fill", multiple=True, metavar="TABLE.ATTRIBUTE=VALUE", help="The value that existing rows get."
        ),
        click.option(
            "--rename-table",
            multiple=True,
            metavar="OLD=NEW",
            help="A table has a new name in the code, or moved to another schema.",
        ),
        click.option(
            "--rename",
            multiple=True,
            metavar="TABLE.OLD=NEW",
            help="An attribute has a new name in the code.",
            shell_complete=complete_attributes,
        ),
    ):
        command = option(command)
    return command


def _ask(options: Options, *, draft: bool) -> Ask | None:
    """Give what asks a person; None where nobody is there to answer."""
    from ..commands import existing_keys
    from . import render

    if options.json or not sys.stdin.isatty():
        return None
    return partial(
        render.ask, keys=lambda parent: existing_keys.read(options.pipeline, options.select(), parent), draft=draft
    )


def _show_impact(
    options: Options,
    environment: Environment,
    found: list[Impact],
    *,
    sql: bool = False,
    short: bool = False,
    allow_data_loss: bool = False,
    back: bool = False,
) -> None:
    """Show what would be done, and leave; where there is nothing to do, what was changed by other means is named.

    With ``back`` it is a rollback, for which nothing is pending.
    """
    from ..commands import status as states
    from ..planner import judging, status
    from . import progress, render

    refused = [pair for g in found for pair in judging.refusals(g.group, allow_data_loss=allow_data_loss)]
    drifted = [] if found else [s for s in states.status(options.pipeline, environment) if s.drift]
    if drifted and not options.json:
        show_status(options, environment, drifted)
    if options.json:
        errors = [{"what": error.what, "why": error.why, "do": error.do} for _, error in refused]
        groups = [g.as_dict() for g in found]
        options.print_json({"environment": environment.name, "groups": groups, "refused": errors})
    elif sql:
        for group in found:
            click.echo(group.sql)  # to the last character, as somebody else is to run it
    else:
        for _, error in refused:
            error.do = options.to_copy(error.do)
        nothing = progress.NOTHING if back else ""
        render.impact(environment, found, refused, short=short, nothing=nothing)
    codes = [ExitCode.INTERRUPTED for group in found if group.interrupted or group.taken_back]
    if (refusal := judging.exit_code(error for _, error in refused)) is ExitCode.ERROR:
        leave(ExitCode.ERROR)
    codes.append(refusal)
    standing = [status.EXIT_CODES[s.state] for s in drifted]
    leave(worst([*codes, *standing, ExitCode.PENDING if found else ExitCode.OK]))


_no_backup = click.option("--no-backup", is_flag=True, help="Do not save in backups/ what will be lost.")


@program.command(**example('my-pipeline revise ephys -m "add weight"'))
@click.argument("schemas", nargs=-1, metavar="[SCHEMA…]", shell_complete=complete_schemas)
@click.option("-m", "--message", metavar="TEXT", help="What the change is for; it names the files.")
@click.option(
    "--bump",
    type=click.Choice(["major", "minor", "patch"]),
    help="Which part of the version to raise; revise chooses by default.",
)
@_answers
@click.option("--again", is_flag=True, help="Undo the last revise, and write it again.")
@click.option("--undo", is_flag=True, help="Delete what the last revise wrote.")
@common
def revise(
    options: Options,
    schemas: tuple[str, ...],
    message: str | None,
    bump: str | None,
    again: bool,
    undo: bool,
    **answered: tuple[str, ...],
) -> None:
    """Write a migration for what changed in the code.

    It also raises the schema's version.

    --undo and --again only touch files that this machine wrote, and that are not committed, edited or applied.
    """
    from ..commands import answers, revise
    from . import render

    if undo:
        if again or message or bump or any(answered.values()):
            raise click.UsageError("With --undo, give only names of schemas.")
        _undo_revise(options, schemas)
        return
    if message is None and not again:
        if options.json or not sys.stdin.isatty():
            raise click.UsageError("Missing option '-m' / '--message': say what the change is for.")
        message = prompt("What is the change for? (a few words, which name the file)", str, err=True)
    project = options.pipeline.project
    ask = _ask(options, draft=False)

    def answer(before: Any, after: Any) -> Any:
        return answers.read(before, after, **answered)

    if again:
        environment = options.select()
        found = revise.again(options.pipeline, environment, schemas, message, bump=bump, answer=answer, ask=ask)
    else:
        assert message is not None
        found = revise.revise(options.pipeline, schemas, message, bump=bump, answer=answer, ask=ask)
    for note in found.notes:
        render.warning(note)
    if options.json:
        options.print_json(
            {
                "schemas": [
                    {
                        "name": m.schema,
                        "version": m.version,
                        "previous": m.previous,
                        "file": str(m.path.relative_to(project.root)) if m.path else None,
                        "operations": m.lines,
                    }
                    for m in found.migrations
                ],
                "questions": [
                    {"kind": q.kind, "table": str(q.table), "subject": q.subject, "candidates": q.candidates}
                    for q in found.questions
                ],
                "baselines": found.baselines,
                "notes": found.notes,
            }
        )
    else:
        given = [(name.replace("_", "-"), value) for name, values in answered.items() for value in values]
        render.revised(project, found, "".join(f" --{name} {shlex.quote(value)}" for name, value in given))


def _undo_revise(options: Options, schemas: tuple[str, ...]) -> None:
    from ..commands import undo_revise
    from . import render

    project, environment = options.pipeline.project, options.select()
    found = undo_revise.undo(options.pipeline, environment, schemas)
    asked = [other.name for other in undo_revise.asked(options.pipeline, environment)]
    if options.json:
        undone = [
            {"name": name, "version": after, "previous": before, "file": file and str(file.relative_to(project.root))}
            for name, (before, after) in found.versions.items()
            for file in [found.migration(name)]
        ]
        options.print_json({"undone": undone, "message": found.message, "asked": asked})
    else:
        render.undone(project, found, asked)


@program.command(**example("my-pipeline diff ephys"))
@click.argument("schemas", nargs=-1, metavar="[SCHEMA…]", shell_complete=complete_schemas)
@common
def diff(options: Options, schemas: tuple[str, ...]) -> None:
    """Show what changed in the code and in the database.

    Compares the code with the snapshot, and the database with the snapshot where it can be reached.
    """
    from ..commands import diff
    from . import render
    from .progress import Progress

    environment = options.select()
    with Progress("Comparing code, snapshots and database"):
        found, error = diff.diff(options.pipeline, environment, schemas)
    if error is not None:
        echo(
            f"{error.what} What follows compares the code with the snapshots alone.\n  {options.to_copy(error.do)}",
            err=True,
        )
    if options.json:
        unreachable = {} if error is None else {"unreachable": f"{error.what} {error.why}"}
        schemas_found = [c.as_dict() for c in found]
        options.print_json({"environment": environment.name, "schemas": schemas_found, **unreachable})
    else:
        render.differences(found)
    leave(ExitCode.PENDING if any(c.code for c in found) else ExitCode.OK)


@program.command(**example("my-pipeline --env prod migrate --dry-run"))
@click.argument("schemas", nargs=-1, metavar="[SCHEMA…]", shell_complete=complete_schemas)
@click.option(
    "--to", metavar="VERSION", help="Stop at this version; name one schema.", shell_complete=complete_versions
)
@click.option("--dry-run", is_flag=True, help="Show what would be done and what it costs; change nothing.")
@click.option("--sql", is_flag=True, help="Print the statements; change nothing.")
@click.option("--allow-data-loss", is_flag=True, help="Cut and round values that a new type cannot hold.")
@_no_backup
@click.option("--draft", is_flag=True, help="Change the tables without a migration, to try things out.")
@_answers
@common
def migrate(
    options: Options,
    schemas: tuple[str, ...],
    to: str | None,
    dry_run: bool,
    sql: bool,
    allow_data_loss: bool,
    no_backup: bool,
    draft: bool,
    **answered: tuple[str, ...],
) -> None:
    """Bring the database to the version of the code.

    It also continues an interrupted migration.

    The options --rename, --rename-table, --fill, --drop and --insert are for drafts; a migration file has its answers.
    """
    from ..commands import answers, migrate
    from ..executor import backup
    from . import render
    from .progress import Progress

    if draft and to is not None:
        raise click.UsageError("A draft has no version, so --draft and --to do not go together.")
    pipeline, environment = options.pipeline, options.select()

    def answer(before: Any, after: Any) -> Any:
        return answers.read(before, after, **answered)

    answer_if_any = answer if any(answered.values()) else None
    with Progress("Planning" if dry_run or sql else "Migrating") as progress:
        person = _ask(options, draft=True)
        ask = progress.aside(person) if person else None
        warn = progress.aside(render.warning)
        if dry_run or sql:
            shown: dict[str, Any] = {"allow_data_loss": allow_data_loss, "warn": warn}
            found = (
                migrate.plan_draft(pipeline, environment, schemas, answer=answer, ask=ask, **shown)
                if draft
                else migrate.plan(pipeline, environment, schemas, to=to, answer=answer_if_any, **shown)
            )
        else:
            backups = backup.Backups(not no_backup, progress.aside(render.backup))
            allowed: dict[str, Any] = {
                "allow_data_loss": allow_data_loss,
                "backups": backups,
                "report": progress.step,
                "warn": warn,
                "tell": progress.resumed.append,
            }
            statuses = (
                migrate.draft(pipeline, environment, schemas, answer=answer, ask=ask, **allowed)
                if draft
                else migrate.migrate(pipeline, environment, schemas, to=to, answer=answer_if_any, **allowed)
            )
    if dry_run or sql:
        _show_impact(options, environment, found, sql=sql, short=True, allow_data_loss=allow_data_loss)
        return
    statuses = [s for s in statuses if not schemas or s.name in schemas]
    files = [str(path) for path in backups.files]
    show_status(options, environment, statuses, done=progress.done(), backups=files, resumed=progress.resumed)


@program.command(**example("my-pipeline rollback ephys --to 1.0.0"))
@click.argument("schema", required=False, shell_complete=complete_schemas)
@click.option("--to", metavar="VERSION", help="The version to go back to.", shell_complete=complete_versions)
@click.option("--along", is_flag=True, help="Also take back the dependent migrations of other schemas.")
@click.option("--interrupted", is_flag=True, help="Undo the interrupted run instead.")
@click.option("--dry-run", is_flag=True, help="Show what would be done and hidden; change nothing.")
@click.option("--sql", is_flag=True, help="Print the statements; change nothing.")
@common
def rollback(
    options: Options, schema: str | None, to: str | None, along: bool, interrupted: bool, dry_run: bool, sql: bool
) -> None:
    """Take a schema back to an earlier version.

    What migrations dropped comes back; what they added is soft-deleted.
    """
    from ..commands import rollback
    from . import render
    from .progress import Progress

    if interrupted and (schema or to or along):
        raise click.UsageError("--interrupted takes back the whole run; leave the schema, --to and --along out.")
    if not interrupted and not (schema and to):
        raise click.UsageError("Say which schema, and --to which version, or --interrupted.")
    environment = options.select()
    with Progress("Planning" if dry_run or sql else "Taking back") as progress:
        warn = progress.aside(render.warning)
        if dry_run or sql:
            planned = (
                rollback.plan(options.pipeline, environment, schema, to, along, warn)
                if schema and to
                else rollback.plan_interrupted(options.pipeline, environment, warn)
            )
        elif schema and to:
            tell = progress.resumed.append
            found = rollback.rollback(options.pipeline, environment, schema, to, along, progress.step, warn, tell)
            found = [s for s in found if along or s.name == schema]
        else:
            found = rollback.interrupted(options.pipeline, environment, progress.step, warn)
    if dry_run or sql:
        _show_impact(options, environment, planned, sql=sql, short=True, back=True)
        return
    show_status(options, environment, found, done=progress.done(), pending_is_fine=True)


@program.command(**example("my-pipeline --env prod adopt"))
@click.argument("schemas", nargs=-1, metavar="[SCHEMA…]", shell_complete=complete_schemas)
@click.option("--again", is_flag=True, help="Record again the schemas that drifted from their record.")
@click.option("--types", is_flag=True, help="First change types and comments to those of the code.")
@click.option("--dry-run", is_flag=True, help="Show what --types would do; change nothing.")
@click.option("--undo", is_flag=True, help="Undo an adoption, types and comments included.")
@common
def adopt(options: Options, schemas: tuple[str, ...], again: bool, types: bool, dry_run: bool, undo: bool) -> None:
    """Record the versions of a database that exists already.

    It first compares the shape of each table with the code.
    """
    from ..commands import adopt
    from . import render
    from .progress import Progress

    if undo:
        if again or types or dry_run:
            raise click.UsageError("With --undo, give only names of schemas.")
        _undo_adoption(options, schemas)
        return
    environment = options.select()
    if dry_run:
        if not types:
            raise click.UsageError("Without --types, adopt changes no table; give --dry-run only with --types.")
        found = adopt.plan_types(options.pipeline, environment, schemas)
        _show_impact(options, environment, found)
        return
    with Progress("Adopting") as progress:
        warn = progress.aside(render.warning)
        adopted = adopt.adopt(
            options.pipeline, environment, schemas, again=again, types=types, report=progress.step, warn=warn
        )
    progress.resumed += adopted.resumed
    done = [progress.done()] if types or adopted.resumed else []
    project = options.pipeline.project
    if environment.name != project.default_environment:
        variable = f"{project.variable('ENV')}={environment.name}"
        done.append(f"Scripts and notebooks work on {project.default_environment} unless {variable} is set.")
    show_status(options, environment, adopted.statuses, done="\n".join(done), resumed=adopted.resumed)


def _undo_adoption(options: Options, schemas: tuple[str, ...]) -> None:
    from ..commands import adopt
    from . import render
    from .progress import Progress

    environment = options.select()
    with Progress("Taking back") as progress:
        warn = progress.aside(render.warning)
        found = adopt.undo(options.pipeline, environment, schemas, report=progress.step, warn=warn)
    for text in () if options.json else found.left:
        echo(text)
    show_status(options, environment, found.statuses, done=progress.done(), pending_is_fine=True, left=found.left)


@program.command(**example("my-pipeline purge --allow-data-loss"))
@click.argument("schemas", nargs=-1, metavar="[SCHEMA…]", shell_complete=complete_schemas)
@click.option("--allow-data-loss", is_flag=True, help="Really delete what is soft-deleted.")
@click.option("--dry-run", is_flag=True, help="Show what would be deleted; change nothing.")
@_no_backup
@common
def purge(options: Options, schemas: tuple[str, ...], allow_data_loss: bool, dry_run: bool, no_backup: bool) -> None:
    """Delete for good what migrations dropped.

    Until then it is only hidden, and rollback brings it back.
    """
    from ..commands import purge
    from ..executor import backup
    from . import render
    from .progress import Progress

    environment = options.select()
    with Progress("Purging") as progress:
        backups = backup.Backups(not no_backup, progress.aside(render.backup))
        found = purge.purge(
            options.pipeline,
            environment,
            schemas,
            allow_data_loss=allow_data_loss,
            dry_run=dry_run,
            backups=backups,
            warn=progress.aside(render.warning),
        )
    rights = changed_rights(options, environment) if found and not dry_run else ""
    if options.json:
        files = [str(path) for path in backups.files]
        items = [{**vars(item), "dropped_at": utc(item.dropped_at)} for item in found]
        more = {"access": rights} if rights else {}
        options.print_json(
            {"environment": environment.name, "purged": items, "dry_run": dry_run, "backups": files, **more}
        )
    else:
        render.purged(found, progress.took, dry_run=dry_run)
        if rights:
            echo(rights)


@program.command(**example("my-pipeline restore backups/dev-ephys-migrate-4-20270301T091500.000000Z.zip"))
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--dry-run", is_flag=True, help="Show what would be put back; change nothing.")
@click.option("--overwrite", is_flag=True, help="Also replace values that somebody changed since.")
@common
def restore(options: Options, file: Path, dry_run: bool, overwrite: bool) -> None:
    """Put back the rows of a backup."""
    from ..commands import restore
    from . import render
    from .progress import Progress

    environment = options.select()
    with Progress("Restoring") as progress:
        warn = progress.aside(render.warning)
        manifest, found = restore.restore(
            options.pipeline, environment, file, overwrite=overwrite, dry_run=dry_run, warn=warn
        )
    if options.json:
        tables = [vars(item) for item in found]
        options.print_json(
            {"environment": environment.name, "kind": manifest.kind, "dry_run": dry_run, "tables": tables}
        )
    else:
        render.restored(found, progress.took, dry_run=dry_run)


@program.command(**example("my-pipeline renumber ephys"))
@click.argument("schema", shell_complete=complete_schemas)
@common
def renumber(options: Options, schema: str) -> None:
    """Give one of two migrations the next version.

    After a merge, two migrations may have the same version; the second gets the next one.
    """
    from ..commands import renumber

    moved = renumber.renumber(options.pipeline, schema)
    if options.json:
        renamed = {str(old): str(new) for old, new in moved.items() if old != new}
        options.print_json({"schema": schema, "renamed": renamed})
    elif not moved:
        echo(f"The migrations of {schema} are in order.")
    for old, new in ({} if options.json else moved).items():
        echo(f"{old} is called {new.name} now." if old != new else f"{old} follows another migration now.")
    if moved and not options.json:
        project = options.pipeline.project
        folder = os.path.relpath(project.files.folder / schema)
        echo(f"Next: {project.program} check, then git add {folder} and what else was in conflict, and git commit.")
