"""Another password for an account of ``access.toml``, a lock, and the end of one that stands there no more.

Each runs behind the pipeline's lock and is recorded as an `access apply` is, without the password.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from .. import journal
from ..dialects import choice
from ..dialects.accounts import Removal
from ..errors import PipelineError
from ..internals.connection import as_login, one_session
from ..journal import access as record
from .apply import Hand, Where


def rotate(where: Where, login: str, hand: Hand) -> bool:
    """Give an account a new password; tell whether the old one is valid until :func:`discard`, as on MySQL
    unless it had expired.

    Parameters
    ----------
    where : Where
        The pipeline on its server.
    login : str
        An account of ``access.toml``.
    hand : callable
        Takes the password.

    Raises
    ------
    PipelineError
        If it is not an account of ``access.toml``, there is none on the server, or an old password is still valid.
    """
    with _recorded(where, login, "rotate"):
        _refuse_foreign(where, login)
        accounts = choice.accounts_of(where.target.connection)
        days = next((account.password_days for account in where.access.accounts if account.login == login), None)
        hand(login, accounts.rotate(login, days=days))
        return accounts.has_old(login)


def discard(where: Where, login: str) -> bool:
    """Make the password of before the last rotation void; tell whether there was one."""
    with _recorded(where, login, "rotate --discard"):
        _refuse_foreign(where, login)
        return choice.accounts_of(where.target.connection).discard(login)


def lock(where: Where, login: str) -> int:
    """Let an account log in no more, and end its sessions; give how many these were."""
    with _recorded(where, login, "lock"):
        _refuse_foreign(where, login)
        return choice.accounts_of(where.target.connection).lock(login)


def unlock(where: Where, login: str) -> None:
    """Let an account log in again."""
    with _recorded(where, login, "lock --undo"):
        _refuse_foreign(where, login)
        choice.accounts_of(where.target.connection).unlock(login)


def remove(where: Where, login: str) -> Removal:
    """Take away an account that `access apply` made and that is no longer in ``access.toml``.

    On PostgreSQL, what it owns goes to the owner role of the environment.

    Raises
    ------
    PipelineError
        If it stands in ``access.toml``, or is not one that `access apply` made.
    """
    with _recorded(where, login, "remove"):
        if any(account.login == login for account in where.access.accounts):
            raise PipelineError(
                f"{login} stands in access.toml.",
                "The next access apply would make the account again. Nothing was changed.",
                f"Take it out there, run {where.target.command} access apply, then remove it; or lock it.",
            )
        _refuse_foreign(where, login)
        return choice.accounts_of(where.target.connection).remove(login, where.names.owner)


def _refuse_foreign(where: Where, login: str) -> None:
    """Raise for an account that is neither in ``access.toml`` nor made by `access apply`; others' are left alone."""
    if any(account.login == login for account in where.access.accounts):
        return
    standing = where.server.read(tuple(where.target.databases.values()), [login], where.names.pipeline)
    mark = standing.marks.get(login)
    if mark is None or mark.pipeline != where.names.pipeline or mark.role:
        known = ", ".join(account.login for account in where.access.accounts) or "nobody"
        raise PipelineError(
            f"{login} is no account of this pipeline.",
            f"access.toml has {known}, and access apply did not make it. Nothing was changed.",
            "Name one of these, or change the account with the server's own tools.",
        )


@contextmanager
def _recorded(where: Where, login: str, action: str) -> Iterator[None]:
    """Hold the pipeline's lock, and record what is done once it is done."""
    target = where.target
    connection = target.connection
    with one_session(connection), journal.lock(connection, target.lock, warn=target.warn), as_login(connection):
        yield
        database = record.place(connection, target.databases)
        if database:
            record.create(connection, database)
            statement = (f"access {action} {login}", "asked for on the command line")
            commit, software = target.commit(), target.software()
            number = record.begin(connection, database, statements=[statement], code_commit=commit, software=software)
            record.finish(connection, database, number, 1)
