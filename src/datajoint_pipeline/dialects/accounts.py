"""What is done with an account of a server that exists: another password, a lock, its end.

No password is ever part of a statement: MySQL makes it itself and answers with it, and PostgreSQL is told only what it
would keep of it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from ..errors import ExitCode, PipelineError
from ..internals.connection import as_login, rows_of

if TYPE_CHECKING:
    import datajoint as dj


#: What is done with an account.
Action = Literal["rotate", "discard", "lock", "unlock", "remove"]


@dataclass(frozen=True)
class Removal:
    """What the removal of an account did.

    Parameters
    ----------
    sessions : int
        How many open sessions it ended.
    inherited : tuple of str
        The databases of PostgreSQL in which what the account owned belongs to somebody else now.
    """

    sessions: int
    inherited: tuple[str, ...] = ()


class Accounts(ABC):
    """The accounts of a server, as an administrator sees them.

    Parameters
    ----------
    connection : datajoint.Connection
        The administrator's.
    """

    def __init__(self, connection: dj.Connection) -> None:
        self.connection = connection

    def _rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        # Accounts are the business of who logged in, not of the owner whose tables that works on.
        with as_login(self.connection):
            return rows_of(self.connection, query, *values)

    @abstractmethod
    def exists(self, login: str) -> bool:
        """Tell whether there is such an account."""

    @abstractmethod
    def refuse(self, login: str, action: Action, heir: str = "", *, again: bool = False) -> None:
        """Raise what an action would raise before it changes anything."""

    @abstractmethod
    def rotate(self, login: str, *, days: int | None = None, again: bool = False) -> str:
        """Give an account a new password, which is returned and stands nowhere else.

        On MySQL the one of before stays valid until :meth:`discard`, unless it has expired; on PostgreSQL it is void at
        once. Open sessions go on.

        Parameters
        ----------
        login : str
            The account.
        days : int, optional
            How long PostgreSQL takes the new one, 0 for ever; MySQL reckons that itself. Without it, as before.
        again : bool, optional
            Whether a rotation was broken off, so that nobody may have been given the password that the account has.

        Raises
        ------
        PipelineError
            If there is no such account, or if an older password would become void by that, which nobody asked for.
        """

    @abstractmethod
    def has_old(self, login: str) -> bool:
        """Tell whether the password of before the last :meth:`rotate` is valid, too."""

    @abstractmethod
    def discard(self, login: str) -> bool:
        """Make the password of before the last :meth:`rotate` void; tell whether there was one."""

    @abstractmethod
    def lock(self, login: str) -> int:
        """Let an account log in no more, and end its open sessions; give how many these were."""

    @abstractmethod
    def unlock(self, login: str) -> None:
        """Let an account log in again."""

    @abstractmethod
    def remove(self, login: str, heir: str) -> Removal:
        """Take away an account with its sessions and rights; killed at any moment, it can be run again.

        Parameters
        ----------
        login : str
            The account.
        heir : str
            On PostgreSQL the role that gets what it owns, in every database of the server.

        Raises
        ------
        PipelineError
            If it is the account that asks, or if something on MySQL runs with its rights and would fail without it.
        """

    @abstractmethod
    def traces(self, login: str) -> list[str]:
        """Say where the server still knows an account: ``mysql.db: 1 row``, ``session 17``."""

    @abstractmethod
    def own(self) -> str:
        """Give the account that asks."""

    def require(self, login: str, action: str = "") -> None:
        """Raise where there is no such account, or where it is the one that asks and the action would end it."""
        if not self.exists(login):
            raise PipelineError(
                f"There is no account {login} on this server.",
                "Nothing was changed.",
                "Look at the names in access.toml; access apply makes the accounts that are missing.",
            )
        if action and login == self.own():
            raise PipelineError(
                f"You work as {login} yourself.",
                f"To {action} it would end your own session half-way. Nothing was changed.",
                "Have another administrator do that.",
            )


def unended(login: str, sessions: int, right: str) -> PipelineError:
    """Give the error for an account that is locked while its sessions go on."""
    return PipelineError(
        f"{login} is locked, but {sessions} of its sessions could not be ended.",
        f"Your account lacks {right}. These sessions continue.",
        "Have an administrator of the server run the same command.",
    )


def refuse_definer(login: str, objects: list[str]) -> None:
    """Raise where something on MySQL runs with the rights of an account and would fail without it."""
    if objects:
        raise PipelineError(
            f"{login} is the definer of {', '.join(objects)}.",
            "They run with its rights and would fail without it. Nothing was changed.",
            "Make them anew as another account, then remove it.",
            exit_code=ExitCode.ERROR,
        )
