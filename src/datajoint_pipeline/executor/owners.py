"""See to it that what is made in a schema of PostgreSQL belongs to the schema's owner, whoever runs.

Where all schemas have one owner, the session is that role while it changes them, so that the owner's default rights
hold and nothing can come to belong to anybody else. Where they have several, it stays the account that it is, which
needs the rights of all whose schemas are changed, and what it makes is handed over before it is seen. On MySQL, which
has no owners, none of this does anything.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from .. import journal
from ..dialects import owners
from ..dialects.owners import Owner, Stray
from ..errors import PipelineError
from ..internals import lineage
from ..internals.connection import as_login, as_role, current_role, login
from ..journal import steplog
from ..quoting import quoted
from . import stepping

if TYPE_CHECKING:
    import datajoint as dj

#: What tells a schema's versions, and where its attributes come from.
_RECORDS = frozenset((journal.TABLE, steplog.TABLE, lineage.TABLE))


@contextmanager
def acting(
    connection: dj.Connection, databases: Iterable[str], tell: Callable[[str], None] = lambda text: None
) -> Iterator[None]:
    """Be the owner of the databases, where that is one role which this account may become.

    What belongs to somebody else, as earlier releases left it, is given to the owner first, where this account may, and
    ``tell`` is called with a sentence for each table of the lab's.

    Raises
    ------
    PipelineError
        If somebody holds for too long what is to be given to the owner, or a record stays somebody else's.
    """
    owned = owners.of(connection, databases)
    _bring_home(connection, owned, tell)
    roles = {owner.role for owner in owned.values()}
    with ExitStack() as stack:
        if len(roles) == 1 and all(owner.settable for owner in owned.values()):
            stack.enter_context(as_role(connection, *roles))
        for stray in owners.strays(connection, owned):
            # Every command reads and writes these; of schemas that it does not change, it only reads them.
            if stray.name in _RECORDS and owned[stray.database].settable:
                raise _mixed(connection, stray, owned)
        yield


def require(
    connection: dj.Connection, databases: Iterable[str], tables: Collection[tuple[str, str]] = ()
) -> dict[str, Owner]:
    """Refuse to change schemas for whose owner this session may not act; give the owners.

    Parameters
    ----------
    connection : datajoint.Connection
        The session, within :func:`acting`.
    databases : iterable of str
        What is to be changed; what is not there yet is nobody's.
    tables : collection of (str, str)
        Database and name of the tables that are to be changed.

    Raises
    ------
    PipelineError
        If it may not, or what is to be changed belongs to somebody else than the owner.
    """
    owned = owners.of(connection, databases)
    for database, owner in owned.items():
        if not (owner.settable and owner.usable):
            account = login(connection)
            grant = f"GRANT {quoted(connection, owner.role)} TO {quoted(connection, account)}{owner.option}"
            other = "" if owner.superuser else f", or have an administrator of the server say: {grant}"
            raise PipelineError(
                f"{account} may not change {database}, which belongs to {owner.role}.",
                f"{owner.role} could not use what it would make there. Nothing was changed.",
                f"Run this as {owner.role} (docs/access.md){other}.",
            )
    for stray in owners.strays(connection, owned):
        if (stray.database, stray.name) in tables:
            raise _mixed(connection, stray, owned)
    return owned


def _mixed(connection: dj.Connection, stray: Stray, owned: Mapping[str, Owner]) -> PipelineError:
    role = owned[stray.database].role
    return PipelineError(
        f"{stray.name} in {stray.database} belongs to {stray.holder}, and the schema to {role}.",
        "An earlier release gave it to the account that ran it. Nothing was changed.",
        f"Have an administrator of the server run this command, or say: {owners.giving(connection, stray, role)}.",
    )


def hand_over(connection: dj.Connection, owned: Mapping[str, Owner]) -> None:
    """Give what this session has made to the owners that :func:`require` gave."""
    for stray in owners.strays(connection, owned):
        if stray.holder == current_role(connection):
            sql = owners.giving(connection, stray, owned[stray.database].role)
            connection.query(sql, args=None, reconnect=False)


@contextmanager
def handing_over(connection: dj.Connection, databases: Iterable[str]) -> Iterator[None]:
    """Give what is made in databases meanwhile to their owners; refuse beforehand, as :func:`require` does."""
    owned = require(connection, databases)
    yield
    hand_over(connection, owned)


def create_schema(connection: dj.Connection, database: str, collation: str) -> None:
    """Make a database that is missing, for whom this session acts; its account needs the right to, or the owner.

    Its texts have a collation, where the server knows one of a schema.
    """
    sql = f"CREATE SCHEMA {quoted(connection, database)}" + (f" COLLATE {collation}" if collation else "")
    if connection.adapter.backend == "postgresql":
        query = "SELECT has_database_privilege(current_database(), 'CREATE')"
        if not connection.query(query, args=None, reconnect=False).fetchone()[0]:
            sql = f"{sql} AUTHORIZATION {quoted(connection, current_role(connection))}"
            with as_login(connection):
                connection.query(sql, args=None, reconnect=False)
            return
    connection.query(sql, args=None, reconnect=False)


def _bring_home(connection: dj.Connection, owned: Mapping[str, Owner], tell: Callable[[str], None]) -> None:
    """Give what belongs to others to the owners, as far as this account may."""
    found = [
        (stray, owned[stray.database].role)
        for stray in owners.strays(connection, owned)
        if stray.usable and owned[stray.database].settable
    ]
    if not found:
        return

    def give() -> None:
        with stepping.transaction(connection):
            for stray, role in found:
                for sql in (owners.giving(connection, stray, role), *owners.keeping(connection, stray)):
                    stepping.send(connection, sql, f"{stray.name} in {stray.database} could not be given to {role}.")

    stepping.prepare(connection)
    stepping.patiently(connection, {database: database for database in owned}, give)
    given: dict[tuple[str, str, str], list[str]] = {}
    for stray, role in found:
        if stray.kind == "TABLE" and not stray.name.startswith("~"):
            given.setdefault((stray.database, stray.holder, role), []).append(stray.name)
    for (database, holder, role), names in given.items():
        verb = "belongs" if len(names) == 1 else "belong"
        tell(
            f"{', '.join(names)} in {database} {verb} to {role} from now on, as what else is there, and no longer to "
            f"{holder}, who may still read and write the rows."
        )
