"""Keep everybody else from the tables of MySQL, from the first step that would disturb them to the last.

There is no transaction around the steps. Without a lock over all of them, others would write between two steps: rows
whose parents go while there is no foreign key, or values with the meaning of before where the new one is expected.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Protocol

from .. import server_errors
from ..dialects.introspection import Place
from ..journal import steplog
from ..planner.steps import LockedStatements, PlannedStep
from ..quoting import quoter

if TYPE_CHECKING:
    import datajoint as dj

_LOCK = re.compile(
    r"(`(?P<database>(?:[^`]|``)+)`\.`(?P<table>(?:[^`]|``)+)`(?: AS `?(?P<alias>(?:[^` ]|``)+)`?)?) "
    r"(?P<mode>READ|WRITE)"
)


class Kept(Protocol):
    """What was written to a file of rows that a run changes, and is written anew where they are others by now."""

    @property
    def places(self) -> Sequence[Place]: ...

    def again(self) -> None: ...


class Hold:
    """The lock of a session over the steps of a run.

    Parameters
    ----------
    connection : Connection
        The session.
    database : str
        Where the steps are recorded, which the session does under the lock, too.
    steps : sequence of PlannedStep
        All steps of the run.
    kept : Kept, optional
        What is kept of the rows that they change.
    """

    def __init__(
        self, connection: dj.Connection, database: str, steps: Sequence[PlannedStep], kept: Kept | None = None
    ) -> None:
        self._connection, self._database, self._steps, self._kept = connection, database, steps, kept
        #: What is locked: tables, and what statements call them.
        self._held: set[str] = set()

    def before(self, step: PlannedStep) -> None:
        """Let others in where the next step needs no lock."""
        if not isinstance(step, LockedStatements):
            self.release()

    def take(self, step: LockedStatements) -> None:
        """Lock the tables of a step and of those that follow it, unless they are locked already.

        Where the account may not lock, and where a table has the name that a statement calls another one by, the steps
        run one right after the other.
        """
        own = ", ".join(step.locks)
        if self._held and {match[1] for match in _LOCK.finditer(own) if match["alias"]} <= self._held:
            return
        locks = self._listed(", ".join([own, self._later(step)]))
        try:
            self._send(f"LOCK TABLES {', '.join(f'{name} {mode}' for name, mode in locks.items())}")
        except Exception as error:
            if server_errors.of(error) in (server_errors.HELD, server_errors.LOST):
                raise
        else:
            self._held = set(locks)
            self._keep(step)

    def _keep(self, step: LockedStatements) -> None:
        """Keep rows as they are now, unless a step that disturbs others has changed their tables already."""
        if self._kept is None:
            return
        quote, places = quoter(self._connection), {*self._kept.places}
        before = self._steps[: self._steps.index(step)]
        changed = any(isinstance(s, LockedStatements) and places & {*s.places} for s in before)
        if not changed and {f"{quote(database)}.{quote(table)}" for database, table in places} <= self._held:
            self._kept.again()

    def release(self) -> None:
        """Let others in."""
        if self._held:
            self._held = set()
            with suppress(Exception):  # a lost session holds nothing
                self._send("UNLOCK TABLES")

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Hold a transaction, undone where an error leaves it; to begin one in words would let others in."""
        self._send("SET autocommit = 0")
        try:
            yield
        except BaseException:
            with suppress(Exception):  # the first error says why; a lost session undoes by itself
                self._send("ROLLBACK")
                self._send("SET autocommit = 1")
            raise
        self._send("COMMIT")
        self._send("SET autocommit = 1")

    def _later(self, step: LockedStatements) -> str:
        """Give the locks of the steps that follow one as long as they need some, and of their record."""
        quote, found = quoter(self._connection), list[str]()
        for other in self._steps[self._steps.index(step) :]:
            if not isinstance(other, LockedStatements):
                break
            found += other.locks
        return ", ".join([*found, f"{quote(self._database)}.{quote(steplog.TABLE)} WRITE"])

    def _listed(self, locks: str) -> dict[str, str]:
        """Give what is to be locked, and how: what is there, and of two things that are called the same, the first."""
        modes, called = dict[str, str](), dict[tuple[str, str], str]()
        for match in _LOCK.finditer(locks):
            name, table = match[1], match["table"]
            alias = match["alias"] or table
            if called.setdefault((match["database"], alias), name) == name:
                modes[name] = "WRITE" if modes.get(name) == "WRITE" else match["mode"]
        there = {place: self._is_there(place) for place in dict.fromkeys(map(_place, modes))}
        return {name: mode for name, mode in modes.items() if there[_place(name)]}

    def _is_there(self, place: tuple[str, ...]) -> bool:
        """Tell whether there is a table: some have another name by now, or not yet that one."""
        query = "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = %s AND table_name = %s"
        return bool(self._connection.query(query, place, reconnect=False).fetchone()[0])

    def _send(self, statement: str) -> None:
        self._connection.query(statement, args=None, reconnect=False)


def _place(name: str) -> tuple[str, ...]:
    """Give the database and name of a table as LOCK TABLES has it."""
    match = _LOCK.match(f"{name} READ")
    return (match["database"].replace("``", "`"), match["table"].replace("``", "`")) if match else ()
