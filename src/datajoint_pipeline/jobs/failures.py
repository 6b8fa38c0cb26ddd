"""Which errors are nobody's fault and go away by themselves, and which mean that a job needs more memory."""

from __future__ import annotations

from collections.abc import Iterator

from .. import server_errors

#: Numbers of MySQL: locks that were waited for, deadlocks, lost sessions.
_NUMBERS = frozenset({1205, 1213, 2006, 2013, 1053, 4031})

#: SQLSTATEs of PostgreSQL: serialization, deadlock, lock not available; classes of lost sessions.
_STATES = frozenset({"40001", "40P01", "55P03", "57P01", "57P02", "57P03", "57P05"})

#: Of DataJoint, of drivers and of what reaches object stores.
_NAMES = frozenset(
    {
        *(
            "LostConnectionError",
            "InterfaceError",
            "EndpointConnectionError",
            "ConnectTimeoutError",
            "ReadTimeoutError",
        ),
        *(
            "MaxRetryError",
            "NewConnectionError",
            "ProtocolError",
            "ConnectTimeout",
            "ReadTimeout",
            "ServerDisconnectedError",
        ),
        *("ConnectionClosedError", "ServiceUnavailable", "TooManyRequests"),
    }
)


def is_passing(error: BaseException) -> bool:
    """Tell whether an error is of a lost connection, a lock or the network, so that another attempt may pass."""
    return any(_passes(one) for one in _chain(error))


def is_of_server(error: BaseException) -> bool:
    """Tell whether the server itself is the matter, for all tables alike; one statement may be stopped for its own."""
    return server_errors.of(error) not in (None, server_errors.STOPPED)


def is_memory(error: BaseException) -> bool:
    """Tell whether an error says that there was not enough memory, of the machine or of a graphics card."""
    return any(isinstance(one, MemoryError) or type(one).__name__ == "OutOfMemoryError" for one in _chain(error))


def is_lost(error: BaseException) -> bool:
    """Tell whether an error means that the session with the server is gone."""
    return any(_is_lost(one) for one in _chain(error))


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Give an error and what it was raised from; of DataJoint's own, what it was translated from, too."""
    found: BaseException | None = error
    seen: set[int] = set()
    while found is not None and id(found) not in seen:
        seen.add(id(found))
        yield found
        ours = type(found).__module__.partition(".")[0] in ("datajoint", "psycopg2", "pymysql")
        found = found.__cause__ or (found.__context__ if ours else None)


def _driver(error: BaseException) -> bool:
    return type(error).__module__.partition(".")[0] in ("datajoint", "psycopg2", "pymysql")


def _is_lost(error: BaseException) -> bool:
    if type(error).__name__ in ("LostConnectionError", "InterfaceError"):
        return _driver(error)
    if type(error).__module__.startswith("psycopg2"):
        state = getattr(error, "pgcode", None)
        if state is None:
            return type(error).__name__ == "OperationalError"
        return str(state).startswith(("08", "57P0"))
    if type(error).__module__.startswith("pymysql"):
        return bool(error.args) and error.args[0] in (1053, 2003, 2006, 2013, 2055, 4031)
    return False


def _passes(error: BaseException) -> bool:
    if _is_lost(error) or type(error).__name__ in _NAMES:
        return True
    if isinstance(error, ConnectionError | TimeoutError):
        return True
    state = getattr(error, "pgcode", None)
    if isinstance(state, str):
        return state in _STATES or state.startswith("08")
    return _driver(error) and bool(error.args) and error.args[0] in _NUMBERS
