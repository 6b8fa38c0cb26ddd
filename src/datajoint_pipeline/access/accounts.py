"""Another password for an account of ``access.toml``, a lock, and the end of one that stands there no more.

Each runs behind the pipeline's lock and is recorded without the password: before anything is changed, and once it is
done. What is killed in between stays in the record as interrupted, and is done by saying it again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TypeVar

from .. import journal, server_errors
from ..dialects import choice
from ..dialects.accounts import Accounts, Action, Removal
from ..dialects.rights import Member
from ..errors import PipelineError
from ..internals.connection import as_login, one_session
from ..journal import access as record
from .apply import Hand, Where

_T = TypeVar("_T")

#: What an action is called on the command line and in the record.
_CALLED: dict[Action, str] = {
    "rotate": "rotate",
    "discard": "rotate --discard",
    "lock": "lock",
    "unlock": "lock --undo",
    "remove": "remove",
}


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
    days = next((account.password_days for account in where.access.accounts if account.login == login), None)

    def act(accounts: Accounts, again: bool) -> bool:
        hand(login, accounts.rotate(login, days=days, again=again))
        return accounts.has_old(login)

    return _run(where, login, "rotate", act)


def discard(where: Where, login: str) -> bool:
    """Make the password of before the last rotation void; tell whether there was one."""
    return _run(where, login, "discard", lambda accounts, again: accounts.discard(login))


def lock(where: Where, login: str) -> int:
    """Let an account log in no more, and end its sessions; give how many these were."""
    return _run(where, login, "lock", lambda accounts, again: accounts.lock(login))


def unlock(where: Where, login: str) -> None:
    """Let an account log in again."""
    return _run(where, login, "unlock", lambda accounts, again: accounts.unlock(login))


def remove(where: Where, login: str) -> Removal:
    """Take away an account that `access apply` made and that is no longer in ``access.toml``.

    On PostgreSQL, what it owns goes to the owner role of the environment.

    Raises
    ------
    PipelineError
        If it stands in ``access.toml``, or is not one that `access apply` made.
    """

    def act(accounts: Accounts, again: bool) -> Removal:
        if again and not accounts.exists(login):
            return Removal(0)  # what was interrupted had come that far
        return accounts.remove(login, where.names.owner)

    return _run(where, login, "remove", act)


def _run(where: Where, login: str, action: Action, act: Callable[[Accounts, bool], _T]) -> _T:
    """Do something with an account, with a record from before it to its end.

    ``act`` is also told whether the same was begun before and did not end.
    """
    target = where.target
    connection = target.connection
    words = f"access {_CALLED[action]} {login}"
    with (
        _explained(where),
        one_session(connection),
        journal.lock(connection, target.lock, warn=target.warn),
        as_login(connection),
    ):
        database = record.place(connection, target.databases)
        open_ones = record.interrupted(connection, database)
        before = [one for one in open_ones if one.words == words]
        accounts = choice.accounts_of(connection)
        if action == "discard" and any(one.words == f"access rotate {login}" for one in open_ones):
            raise PipelineError(
                f"A rotation of the password of {login} did not end.",
                "Perhaps nobody was given the new one, and without the old one nobody could log in. "
                "Nothing was changed.",
                f"Run {target.command} access rotate {login} again first.",
            )
        if not (action == "remove" and before and not accounts.exists(login)):
            _refuse_listed(where, login, action)
            _refuse_foreign(where, login)
            accounts.refuse(login, action, where.names.owner, again=bool(before))
        if not database:
            return act(accounts, False)
        record.create(connection, database)
        number = record.begin(
            connection,
            database,
            statements=[(words, "asked for on the command line")],
            code_commit=target.commit(),
            software=target.software(),
        )
        try:
            done = act(accounts, bool(before))
        except Exception as error:
            if server_errors.of(error) is server_errors.ACCESS:  # otherwise it may be half done
                with suppress(Exception):
                    record.finish(connection, database, number, 0)
            raise
        for one in (*(left.id for left in before), number):
            record.finish(connection, database, one, 1)
        return done


@contextmanager
def _explained(where: Where) -> Iterator[None]:
    """Say who may change accounts, where this account may not."""
    try:
        yield
    except Exception as error:
        if isinstance(error, PipelineError) or server_errors.of(error) is not server_errors.ACCESS:
            raise
        raise PipelineError(
            f"{choice.accounts_of(where.target.connection).own()} may not change accounts on this server.",
            f"{server_errors.reason(error)}.",
            "Have an admin of access.toml, or the server's administrator, run this command.",
        ) from error


def _refuse_listed(where: Where, login: str, action: Action) -> None:
    """Raise where an account is to be removed that is still in the file."""
    listed = [account for account in where.access.accounts if account.login == login]
    if action != "remove" or not listed:
        return
    here = any(account.role(environment) for account in listed for environment in where.beside)
    if here or _has_role(where, login):  # environments may be on this server under another name
        raise PipelineError(
            f"{login} is in access.toml.",
            "The next access apply would make the account again. Nothing was changed.",
            f"Take it out there, run {where.target.command} access apply, then remove it; or lock it.",
        )


def _has_role(where: Where, login: str) -> bool:
    """Tell whether an account has a role of this pipeline on the server, of whatever environment."""
    standing = where.server.read(tuple(where.target.databases.values()), [login], where.names.pipeline)
    ours = {name for name, mark in standing.marks.items() if mark.pipeline == where.names.pipeline and mark.role}
    return any(isinstance(fact, Member) and fact.member == login and fact.role in ours for fact in standing.facts)


def _refuse_foreign(where: Where, login: str) -> None:
    """Raise for an account that is neither in ``access.toml`` nor made by `access apply`; others' are left alone."""
    if any(account.login == login for account in where.access.accounts):
        return
    standing = where.server.read(tuple(where.target.databases.values()), [login], where.names.pipeline)
    mark = standing.marks.get(login)
    if mark is None or mark.pipeline != where.names.pipeline or mark.role:
        known = ", ".join(account.login for account in where.access.accounts) or "nobody"
        raise PipelineError(
            f"{login} is not an account of this pipeline.",
            f"access.toml has {known}, and access apply did not make it. Nothing was changed.",
            "Name one of these, or change the account with the server's own tools.",
        )
