"""What is not public of DataJoint's connections and of its configuration."""

from __future__ import annotations

import logging
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from ..errors import PipelineError
from ..quoting import quoted

if TYPE_CHECKING:
    import datajoint as dj


def postgresql_version(connection: dj.Connection) -> int:
    """Give the major version of a PostgreSQL server."""
    return int(connection._conn.server_version) // 10_000


def unbuffered_cursor(connection: dj.Connection) -> Any:
    """Open a cursor of MySQL's driver that takes rows as they come; DataJoint's own take all rows at once."""
    from pymysql.cursors import SSCursor

    return connection._conn.cursor(SSCursor)


def longest_statement(connection: dj.Connection) -> int:
    """Give how many bytes a server takes of one statement; MySQL ends the session of whoever sends more."""
    if connection.adapter.backend == "postgresql":
        return 1 << 30
    return int(connection.query("SELECT @@max_allowed_packet", args=None, reconnect=False).fetchone()[0])


def refuse_long(size: int, most: int, what: str, do: str = "Have") -> None:
    """Raise where a statement is longer than the :func:`longest_statement`; ``do`` begins what helps."""
    if size > most:
        raise PipelineError(
            f"{what} takes a statement of {size:,} bytes.",
            f"The server takes {most:,}, as max_allowed_packet says there. Nothing was changed.",
            f"{do} max_allowed_packet raised on the server, then run the command again.",
        )


def literals(*values: object) -> int:
    """Give how many bytes values take in a statement of MySQL."""
    texts = (value.encode() if isinstance(value, str) else value for value in values)
    return sum(2 * len(t) - len(t.translate(None, _ESCAPED)) + 12 if isinstance(t, bytes) else 24 for t in texts)


#: Bytes that have a backslash before them in a statement.
_ESCAPED = b"\0\n\r\x1a\"'\\"


@contextmanager
def one_session(connection: dj.Connection) -> Iterator[None]:
    """Fail rather than reconnect: a new session would hold none of the old one's locks."""
    config = connection._config
    before = config["database.reconnect"]
    config["database.reconnect"] = False
    try:
        yield
    finally:
        config["database.reconnect"] = before


def renew(connection: dj.Connection) -> None:
    """Have a connection a new session, whatever became of the old one; what was not committed is gone.

    After a lost session on PostgreSQL, DataJoint neither makes a new one nor forgets the transaction.

    Raises
    ------
    Exception
        What the driver raises where the server cannot be reached.
    """
    with suppress(Exception):
        connection._conn.close()
    connection._in_transaction = False
    logger = logging.getLogger("datajoint")
    logger.addFilter(_not_of_a_server_away)
    try:
        connection.connect()
    finally:
        logger.removeFilter(_not_of_a_server_away)


def _not_of_a_server_away(record: logging.LogRecord) -> bool:
    """Leave out that TLS failed where no server is there at all, which whoever tries again says in words."""
    return not record.getMessage().startswith("SSL connection failed ((2003,")


def login(connection: dj.Connection) -> str:
    """Give the account that a session logged in as, whatever role it has become since."""
    if connection.adapter.backend != "postgresql":
        return str(connection.get_user())
    return str(connection.query("SELECT session_user", args=None, reconnect=False).fetchone()[0])


def current_role(connection: dj.Connection) -> str:
    """Give the role whose rights a session of PostgreSQL has."""
    return str(connection.query("SELECT current_user", args=None, reconnect=False).fetchone()[0])


@contextmanager
def as_role(connection: dj.Connection, role: str) -> Iterator[None]:
    """Be another role of PostgreSQL for a while."""
    before = current_role(connection)
    if before == role:
        yield
        return
    _become(connection, role)
    try:
        yield
    finally:
        with suppress(Exception):  # a lost session, or a transaction that failed, takes it back by itself
            _become(connection, before)


@contextmanager
def as_login(connection: dj.Connection) -> Iterator[None]:
    """Be the account that logged in for a while, with its rights and not those of the role that it has become.

    An account of MySQL has the rights of all its active roles.
    """
    if connection.adapter.backend == "mysql":
        yield
        return
    with as_role(connection, login(connection)):
        yield


def _become(connection: dj.Connection, role: str) -> None:
    """Be a role of PostgreSQL; ``RESET ROLE`` leads to the one that an account is from the beginning of a session."""
    own = role == login(connection)
    connection.query(f"SET ROLE {'NONE' if own else quoted(connection, role)}", args=None, reconnect=False)


def new_password(connection: dj.Connection, account: str) -> tuple[str, str]:
    """Make a password for an account of PostgreSQL, and give it with what the server keeps of it.

    So the password itself is in no statement and no log.
    """
    from psycopg2.extensions import encrypt_password

    password = secrets.token_urlsafe(18)
    return password, str(encrypt_password(password, account, connection._conn, "scram-sha-256"))


def rows_of(connection: dj.Connection, query: str, *values: object) -> list[tuple[Any, ...]]:
    """Run a statement on this very session; give its rows, none where it has no result."""
    cursor = connection.query(query, args=values or None, reconnect=False)
    return list(cursor.fetchall()) if cursor.description else []


@contextmanager
def whole_bytes(connection: dj.Connection) -> Iterator[None]:
    """Have the driver give bytes as such, which for PostgreSQL it gives as a view of memory.

    DataJoint 2.3 reads an ``<attach>`` only of the former.
    """
    if connection.adapter.backend == "mysql":
        yield
        return
    from psycopg2 import BINARY
    from psycopg2.extensions import new_type, register_type

    def read(value: str | None, cursor: Any) -> bytes | None:
        return None if value is None else bytes(BINARY(value, cursor))

    register_type(new_type(BINARY.values, "BYTES", read), connection._conn)
    try:
        yield
    finally:
        register_type(BINARY, connection._conn)


def beside(connection: dj.Connection, database: str) -> Any:
    """Open the driver's connection to another database of a server of PostgreSQL, as the account that logged in."""
    import psycopg2

    info = connection._conn.info
    return psycopg2.connect(**{**info.dsn_parameters, "password": info.password, "dbname": database})


@contextmanager
def downloads(connection: dj.Connection) -> Iterator[None]:
    """Give DataJoint an empty folder of its own for files that it fetches, so that they keep their names."""
    with TemporaryDirectory(prefix="datajoint-") as folder, connection._config.override(download_path=folder):
        yield


@contextmanager
def tolerating_known_types(connection: dj.Connection) -> Iterator[None]:
    """Let DataJoint fail to create an enum type that exists, within a transaction of PostgreSQL.

    It creates the type for each table that has the enum and ignores the error; within a transaction an ignored error
    undoes everything, so the attempt gets a savepoint.
    """
    query = connection.query

    def with_savepoint(sql: str, *args: Any, **options: Any) -> Any:
        if not sql.startswith("CREATE TYPE"):
            return query(sql, *args, **options)
        query("SAVEPOINT known_type")
        try:
            return query(sql, *args, **options)
        except Exception:
            query("ROLLBACK TO SAVEPOINT known_type")
            raise

    connection.query = with_savepoint
    try:
        yield
    finally:
        del connection.query


#: The setting of PostgreSQL by which a backslash in a text is a backslash.
_PLAIN = "standard_conforming_strings"


@contextmanager
def with_variable(name: str, value: str | None) -> Iterator[None]:
    """Have an environment variable of libpq, which DataJoint has no argument for; as it was where there is no value."""
    before = os.environ.get(name)
    if value is not None:
        os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = before


def encrypted_connection(
    config: Any,
    wanted: object,
    arguments: Callable[[str], dict[str, Any]],
    around: Callable[[], AbstractContextManager[Any]],
    settings: str,
) -> dj.Connection:
    """Make a connection that is encrypted and set up alike whenever it is made anew, and let it be DataJoint's own
    where that has none and the configuration is its own.

    Parameters
    ----------
    config : datajoint.Config
        Host, port, account and password.
    wanted : object
        What is wanted of TLS: anything but None keeps DataJoint from falling back to plain text.
    arguments : callable
        Given the backend, what the driver is told of TLS.
    around : callable
        Makes what holds while a connection is being made.
    settings : str
        The statement that sets a session up.

    Raises
    ------
    Exception
        What DataJoint and the drivers raise.
    """
    import datajoint as dj
    from datajoint import instance

    class Connection(dj.Connection):  # type: ignore[misc]
        """DataJoint's, with what the driver is told of TLS and the session of values."""

        def _build_connect_kwargs(self, use_tls: Any = None) -> dict[str, Any]:
            return {**super()._build_connect_kwargs(use_tls), **arguments(self.adapter.backend)}

        def connect(self) -> None:
            with around():
                super().connect()
                if self._escapes():
                    # The driver decides when it connects how it writes a backslash, and follows no SET.
                    self._conn.close()
                    with with_variable("PGOPTIONS", f"{os.environ.get('PGOPTIONS', '')} -c {_PLAIN}=on".strip()):
                        super().connect()
            if self._escapes():
                self._conn.close()
                raise PipelineError(
                    f"The server reads a backslash in a text as an escape: {_PLAIN} is off.",
                    "What stands between here and the server does not let a session begin otherwise, and values with "
                    "backslashes would be stored as others.",
                    f"Ask an admin to set it on: ALTER ROLE ... SET {_PLAIN} = on.",
                )
            if self.adapter.backend == "postgresql":  # the driver has to know, too
                self._conn.set_client_encoding("UTF8")
            with self._conn.cursor() as cursor:
                cursor.execute(settings)

        def _escapes(self) -> bool:
            postgresql = self.adapter.backend == "postgresql"
            return bool(postgresql and self._conn.get_parameter_status(_PLAIN) == "off")

    for name in ("user", "password"):
        if config[f"database.{name}"] is None:
            raise dj.DataJointError(f"Database {name} not configured.")
    account = [config[f"database.{name}"] for name in ("host", "user", "password", "port")]
    connection = Connection(*account, None if wanted is None else bool(wanted), config_override=config)
    if config is instance._global_config and instance._singleton_connection is None:
        instance._singleton_connection = connection
    return connection
