"""The command about going from one environment to another: words for people, no logic."""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING, Any

import click

from ..errors import ExitCode, PipelineError
from .common import Options, common, example, leave, program, show_status, utc
from .visible import confirm, echo

if TYPE_CHECKING:
    from ..commands.promote import Promotion
    from ..project.environments import Environment
    from ..promotion.named import Conflict, CopiedRows


@program.command(**example("my-pipeline promote --from dev --to prod --dry-run"))
@click.option(
    "--from", "source", metavar="ENV", default="dev", show_default=True, help="Environment where the migrations ran."
)
@click.option("--to", "target", metavar="ENV", required=True, help="Environment to bring to the same version.")
@click.option("--dry-run", is_flag=True, help="Show the plan, rehearse it, and change nothing.")
@click.option("--no-rehearsal", metavar="WHY", default="", help="Do not rehearse; the record keeps the reason.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--allow-data-loss", is_flag=True, help="Cut and round values that a new type cannot hold.")
@click.option("--no-backup", is_flag=True, help="Do not save in backups/ what will be lost.")
@click.option("--rows", "tables", metavar="TABLE[,TABLE]", help="Copy rows of Lookup and Manual tables instead.")
@click.option("--key", multiple=True, metavar="ATTRIBUTE=VALUE", help="With --rows: only rows with this key.")
@common
def promote(
    options: Options,
    source: str,
    target: str,
    tables: str | None,
    key: tuple[str, ...],
    dry_run: bool,
    no_rehearsal: str,
    yes: bool,
    allow_data_loss: bool,
    no_backup: bool,
) -> None:
    """Bring to prod what passed on dev, rehearsed first.

    First rehearses on a sample of the rows of --to, then runs there the migrations that have run on --from.
    """
    from ..commands import promote
    from ..executor import backup
    from . import render
    from .progress import Progress, many

    if options.environment not in (None, target):
        raise click.UsageError("promote has --from and --to; leave --env out.")
    options.environment = target
    environment = options.select()
    asked = not (dry_run or yes)
    if asked and (options.json or not sys.stdin.isatty()):
        given = {"--rows": tables or "", "--no-rehearsal": no_rehearsal}
        told = ["promote", "--from", source, "--to", target]
        told += [word for option, value in given.items() if value for word in (option, value)]
        told += [word for value in key for word in ("--key", value)]
        told += ["--allow-data-loss"] * allow_data_loss + ["--no-backup"] * no_backup
        raise PipelineError(
            f"Nothing was changed on {target}.",
            f"Promoting to {target} has to be confirmed.",
            f"Run {shlex.join(told)} --yes.",
        )
    if tables is not None:
        if no_rehearsal or allow_data_loss or no_backup:
            raise click.UsageError("Only --key, --dry-run and --yes go with --rows.")
        named = [name.strip() for name in tables.split(",") if name.strip()]
        if not named:
            raise click.UsageError("--rows takes names of tables, such as subject.Species.")
        _rows(options, environment, source, named, key, dry_run=dry_run, asked=asked)
        return
    if key:
        raise click.UsageError("--key goes with --rows TABLE.")
    with Progress("Promoting") as progress:
        backups = backup.Backups(not no_backup, progress.aside(render.backup))

        def agree(found: Promotion) -> None:
            if not options.json:
                _show(options, environment, found)
            if asked:
                confirm(f"Run this on {target}?")

        done = promote.promote(
            options.pipeline,
            source,
            environment,
            dry_run=dry_run,
            unrehearsed=no_rehearsal,
            allow_data_loss=allow_data_loss,
            backups=backups,
            agree=progress.aside(agree),
            rehearsing=progress.rehearse,
            report=progress.step,
            warn=progress.aside(render.warning),
            tell=progress.resumed.append,
        )
    document = _document(done)
    if dry_run:
        if options.json:
            options.print_json({"environment": target, **document})
        else:
            echo(f"Nothing was changed on {target}." if done.impacts else f"{target} has all that {source} has.")
        leave(ExitCode.PENDING if done.impacts else ExitCode.OK)
        return
    steps = sum(len(group.group.steps) for group in done.impacts)
    words = (
        f"{many(steps, 'step')} done in {_seconds(done.seconds)}." if steps else f"{target} has all that {source} has."
    )
    words = "\n".join([*progress.resumed, words])
    files = [str(path) for path in backups.files]
    show_status(options, environment, done.statuses, done=words, backups=files, resumed=progress.resumed, **document)


def _rows(
    options: Options,
    environment: Environment,
    source: str,
    tables: list[str],
    key: tuple[str, ...],
    *,
    dry_run: bool,
    asked: bool,
) -> None:
    """Copy rows of named tables."""
    from ..commands import promote_rows
    from . import render
    from .progress import Progress, many

    with Progress("Copying rows") as progress:

        def agree(copied: list[CopiedRows], conflicts: list[Conflict]) -> None:
            if not options.json:
                render.copied_rows(copied, conflicts, source, environment.name)
            if asked and not conflicts and any(one.inserted for one in copied):
                confirm(f"Copy these to {environment.name}?")

        copied, conflicts = promote_rows.promote(
            options.pipeline,
            source,
            environment,
            tables,
            key,
            dry_run=dry_run,
            agree=progress.aside(agree),
            warn=progress.aside(render.warning),
        )
    inserted = 0 if dry_run or conflicts else sum(one.inserted for one in copied)
    if options.json:
        listed = [{**vars(one), "table": str(one.table)} for one in copied]
        stood = [
            {"table": str(c.table), "key": c.key, source: ours, environment.name: theirs}
            for c in conflicts
            for ours, theirs in [({a: v[n] for a, v in c.differs.items()} for n in (0, 1))]
        ]
        document = {"environment": environment.name, "from": source, "dry_run": dry_run, "inserted": inserted}
        options.print_json({**document, "tables": listed, "conflicts": stood})
    elif not dry_run and not conflicts:
        echo(f"{many(inserted, 'row')} copied in {progress.took}." if inserted else "There was nothing to copy.")
    leave(ExitCode.DATA_LOSS if conflicts else ExitCode.OK)


def _document(done: Promotion) -> dict[str, Any]:
    """Give a promotion as JSON has it."""
    found = done.rehearsal
    return {
        "from": done.source,
        "plan": done.fingerprint,
        "proved": [{"migration": p.title, "at": utc(p.finished_at), "commit": p.commit} for p in done.proved],
        "groups": [group.as_dict() for group in done.impacts],
        "rehearsal": found
        and {**vars(found), "left_out": [str(name) for name in found.left_out], "absent": list(found.absent)},
        "seconds": done.seconds,
    }


def _show(options: Options, environment: Environment, done: Promotion) -> None:
    """Print the plan, what proves it, and what the rehearsal showed."""
    from . import render
    from .progress import many

    render.impact(environment, done.impacts, [], short=True, whole=False)
    for one in done.proved:
        when = f" on {one.finished_at:%Y-%m-%d at %H:%M} UTC" if one.finished_at else ""
        commit = f", from commit {one.commit[:10]}{'+' * one.commit.endswith('+')}" if one.commit else ""
        echo(f"{one.title} ran on {done.source}{when}{commit}.")
    if done.rehearsal is None:
        echo(f"Not rehearsed: {done.unrehearsed}.")
        return
    found = done.rehearsal
    echo(
        f"Rehearsed on {found.place} with {many(found.rows, 'row')} of {done.target} in {many(found.tables, 'table')}: "
        f"{many(found.steps, 'step')} in {_seconds(found.seconds)}."
    )
    for name in found.left_out:
        echo(f"Without rows of {name}: values would be written to a store, which a rehearsal does not do.")
    if found.absent:
        echo(f"Not there in the rehearsal: {', '.join(found.absent)}. What it does is only seen on {done.target}.")
    echo(f"On {done.target} it will take about {_seconds(found.predicted)}, if nobody else holds the tables.")


def _seconds(seconds: float) -> str:
    """Give a time as people say it."""
    if seconds < 120:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
