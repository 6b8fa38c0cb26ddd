"""The commands about single accounts: words for people, no logic."""

from __future__ import annotations

import os

import click

from .access import access
from .common import Options, common, example
from .visible import echo


@access.command("rotate", **example("my-pipeline --env prod access rotate carol"))
@click.argument("login")
@click.option("--discard", is_flag=True, help="Disable the old password (MySQL); make no new one.")
@click.option("--show-password", is_flag=True, help="Print the password once; write no file.")
@common
def access_rotate(options: Options, login: str, discard: bool, show_password: bool) -> None:
    """Give an account a new password.

    On MySQL the old password stays valid until you run this with --discard, so that nobody is locked out meanwhile.
    PostgreSQL has one password only: there the old one ends at once.
    """
    from ..commands import access, accounts
    from . import render

    environment = options.select()
    if discard:
        had = accounts.discard(options.pipeline, environment, login, warn=render.warning)
        if options.json:
            options.print_json({"environment": environment.name, "login": login, "discarded": had})
        else:
            echo(f"The old password of {login} is no longer valid." if had else f"{login} has no old password.")
        return
    shown: dict[str, str] = {}
    show = shown.__setitem__ if show_password else None
    both = accounts.rotate(options.pipeline, environment, login, show=show, warn=render.warning)
    file = os.path.relpath(access.password_file(options.pipeline, environment, login))
    if options.json:
        where = {"password": shown[login]} if show_password else {"file": file}
        options.print_json({"environment": environment.name, "login": login, **where, "old_is_valid": both})
        return
    echo(f"Account {login}: new password {shown[login] if show_password else f'in {file}'}")
    if both:
        program = f"{options.pipeline.project.program} --env {environment.name}"
        echo(f"The old one stays valid until you run {program} access rotate {login} --discard")
    else:
        echo("The old one is no longer valid. Open sessions continue.")


@access.command("lock", **example("my-pipeline --env prod access lock carol"))
@click.argument("login")
@click.option("--undo", is_flag=True, help="Let it log in again.")
@common
def access_lock(options: Options, login: str, undo: bool) -> None:
    """Lock an account, and end its open sessions at once.

    Its rights stay as they are; --undo lets it log in again.
    """
    from ..commands import accounts
    from . import render

    environment = options.select()
    if undo:
        accounts.unlock(options.pipeline, environment, login, warn=render.warning)
        if options.json:
            options.print_json({"environment": environment.name, "login": login, "locked": False})
        else:
            echo(f"{login} can log in again.")
        return
    ended = accounts.lock(options.pipeline, environment, login, warn=render.warning)
    if options.json:
        options.print_json({"environment": environment.name, "login": login, "locked": True, "sessions_ended": ended})
    else:
        echo(f"{login} can no longer log in; {_sessions(ended)} ended.")


@access.command("remove", **example("my-pipeline --env prod access remove carol"))
@click.argument("login")
@common
def access_remove(options: Options, login: str) -> None:
    """Drop an account that is no longer in access.toml.

    Its sessions end, and it loses its rights; the rows that it entered stay. On PostgreSQL, what it owns goes to the
    owner of the pipeline's tables.
    """
    from ..commands import accounts
    from . import render

    environment = options.select()
    removed = accounts.remove(options.pipeline, environment, login, warn=render.warning)
    if options.json:
        options.print_json(
            {
                "environment": environment.name,
                "login": login,
                "sessions_ended": removed.sessions,
                "inherited": list(removed.inherited),
            }
        )
    else:
        echo(f"{login} is gone; {_sessions(removed.sessions)} ended.")


def _sessions(count: int) -> str:
    return "1 session was" if count == 1 else f"{count} sessions were"
