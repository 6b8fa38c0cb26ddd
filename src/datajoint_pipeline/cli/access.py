"""The commands about rights on the server: words for people, no logic."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from ..errors import ExitCode
from .common import Options, common, example, leave, program
from .visible import echo

if TYPE_CHECKING:
    from ..access.plan import AccessPlan


@program.group()
def access() -> None:
    """Give people and services their rights, from access.toml."""


@access.command("plan", **example("my-pipeline --env prod access plan"))
@click.option("--sql", is_flag=True, help="Print only the statements.")
@common
def access_plan(options: Options, sql: bool) -> None:
    """Show what apply would run, and why; change nothing."""
    from ..commands import access

    environment = options.select()
    found = access.plan(options.pipeline, environment)
    if options.json:
        options.print_json({"environment": environment.name, "backend": _backend(options), **found.as_dict()})
    elif sql:
        for line in found.lines:
            click.echo(f"{line.sql};")  # to the last character, as somebody else is to run it
    else:
        _show(found)
        _show_audit(found)
        if not found.is_empty:
            todo = f"{_count(len(found.lines))} to run" if found.lines else "To fix it"
            echo(f"{todo}: {_command(options, 'access apply')}")
    leave(ExitCode.OK if found.is_empty else ExitCode.PENDING)


@access.command("apply", **example("my-pipeline --env prod access apply"))
@click.option("--show-passwords", is_flag=True, help="Print the passwords of new accounts once; write no files.")
@common
def access_apply(options: Options, show_passwords: bool) -> None:
    """Give missing rights, revoke others, and record it.

    Revokes every right that access.toml does not give, but only from accounts that this command made. Makes missing
    accounts, and writes each password to a file in .secrets/accounts/.
    """
    from ..commands import access
    from . import render
    from .progress import Progress

    environment = options.select()
    shown: dict[str, str] = {}
    with Progress("Giving rights") as progress:
        done = access.apply(
            options.pipeline,
            environment,
            show=shown.__setitem__ if show_passwords else None,
            report=progress.name,
            warn=progress.aside(render.warning),
        )
    made = () if show_passwords else done.accounts
    files = {name: access.password_file(options.pipeline, environment, name) for name in made}
    if options.json:
        accounts = [
            {"login": name, **({"password": shown[name]} if show_passwords else {"file": os.path.relpath(files[name])})}
            for name in done.accounts
        ]
        options.print_json(
            {
                "environment": environment.name,
                "backend": _backend(options),
                **done.plan.as_dict(),
                "accounts": accounts,
                "recorded": done.recorded,
                **({"unaudited": str(done.unaudited)} if done.unaudited else {}),
            }
        )
        leave(done.unaudited.exit_code if done.unaudited else ExitCode.OK)
    for run in done.interrupted:
        echo(
            f"The run of {run.database_user} at {run.started_at:%Y-%m-%d %H:%M} UTC had ended after {run.done} of "
            f"{len(run.statements)} statements; this one completed it."
        )
    _show(done.plan)
    for name in done.accounts:
        where = f"password {shown[name]}" if show_passwords else f"password in {os.path.relpath(files[name])}"
        echo(f"Account {name}: {where}")
    echo(f"{_count(len(done.plan.lines))} run." if done.plan.lines else "Everybody has what access.toml says.")
    for table in done.plan.audit.begun:
        echo(f"{table.schema}.{table.title} is audited from now on.")
    for table in done.plan.audit.ended:
        echo(f"{table.schema}.{table.title} is no longer audited; its audit records stay.")
    for table in done.plan.audit.mended:
        echo(f"The audit of {table.schema}.{table.title} is as it should be again.")
    if done.plan.missing_schemas:
        missing = ", ".join(done.plan.missing_schemas)
        echo(f"No rights on the tables of {missing} yet, as they do not exist. After init, run this again.")
    if not done.recorded:
        echo("This was not recorded: the record belongs in the first schema, which does not exist yet.")
    if done.unaudited:
        raise done.unaudited


@access.command("check", **example("my-pipeline --env prod access check"))
@common
def access_check(options: Options) -> None:
    """Compare the server with access.toml, for CI and cron.

    Exit code 3: a right is missing. 4: somebody has a right that is not in access.toml.
    """
    from ..commands import access

    environment = options.select()
    found = access.plan(options.pipeline, environment)
    if options.json:
        document = {
            "missing": [{"sql": line.sql, "reason": line.reason} for line in found.grants],
            "unexpected": [{"sql": line.sql, "reason": line.reason} for line in found.revokes],
            "others": list(found.others),
            "notes": list(found.remarks),
            "audit": list(found.audit.words),
        }
        options.print_json({"environment": environment.name, "backend": _backend(options), **document})
    else:
        for title, lines in (("missing", found.grants), ("unexpected", found.revokes)):
            for line in lines:
                echo(f"{title}: {line.reason}")
                echo(f"    {line.sql}", whole=True, dim=True)
        _show_left(found)
        _show_audit(found)
        if not found.is_empty:
            echo(f"To fix it: {_command(options, 'access apply')}")
        elif not found.others:
            echo("Everybody has what access.toml says.")
    leave(found.exit_code)


def _show(found: AccessPlan) -> None:
    for line in found.lines:
        echo(f"{line.sql};", whole=True, fg="red" if line.revokes else None)
        echo(f"    -- {line.reason}", dim=True)
    _show_left(found)


def _show_left(found: AccessPlan) -> None:
    for text in found.others:
        echo(f"not in access.toml, left unchanged: {text}", fg="yellow")
    for text in found.remarks:
        echo(f"note: {text}")


def _show_audit(found: AccessPlan) -> None:
    for text in found.audit.words:
        echo(f"audit: {text}", fg="yellow")


def _count(number: int) -> str:
    return "1 statement" if number == 1 else f"{number} statements"


def _backend(options: Options) -> str:
    return str(options.pipeline.connect(options.select()).adapter.backend)


def _command(options: Options, command: str) -> str:
    return f"{options.pipeline.project.program} --env {options.select().name} {command}"
