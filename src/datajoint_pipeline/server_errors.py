"""Server errors in words: what is wrong, and what would put it right.

This module knows the codes of MySQL and PostgreSQL, and the errors that DataJoint raises for some of them. It knows
nothing of what was being done.
"""

from __future__ import annotations

import re
from typing import NamedTuple


class ServerError(NamedTuple):
    """A failure that a person can do something about, and what: the beginning of a sentence."""

    what: str
    do: str


ACCESS = ServerError("This account may not do that.", "Ask for the right that is missing (docs/access.md lists them)")
HIDDEN = ServerError(
    "A policy of row security hides rows from this account.",
    "Run it with an account that has BYPASSRLS, or take FORCE ROW LEVEL SECURITY off the table for as long as it runs",
)
LOST = ServerError("The connection to the server was lost.", "See that the server runs and can be reached")
READ_ONLY = ServerError(
    "The server takes no changes: it is read-only.", "Use the primary server, or have that switched off"
)
FULL = ServerError("The server has no room left on its disk.", "Make room there")
HELD = ServerError("Somebody else holds a table for too long.", "Stop whoever uses it (workers, notebooks)")
STOPPED = ServerError("Somebody had the server stop the statement.", "Find out who stopped it, and why")
DEPENDED = ServerError(
    "Something that DataJoint does not know depends on it.", "Drop what is named, or have it read something else"
)
#: MySQL 9.7, killed in the middle of a RENAME TABLE whose names its files encode (``~dropped_animal``, ``#species``),
#: does not find the file when it starts again, and does when it is then restarted in good order.
FILELESS = ServerError(
    "The server does not find the file of a table.", "Restart the server, which finds it after a crash in a rename"
)
LIMITED = ServerError(
    "The account has reached a limit that the server sets it.", "Wait for an hour, or have an admin raise the limit"
)
SHORT = ServerError(
    "The server takes no statement, or gives no row, that is so long.", "Have max_allowed_packet raised on the server"
)
UNLOCKED = ServerError("A statement needs a table that is not locked.", "Lock it, too")

#: By the number that MySQL gives, and the SQLSTATE that PostgreSQL gives.
_CODES: dict[object, ServerError] = {
    **dict.fromkeys((1044, 1045, 1142, 1143, 1227, 1370, "42501"), ACCESS),
    **dict.fromkeys((1053, 2006, 2013, 2055, 4031, "57P01", "57P02", "57P03", "08000", "08003", "08006"), LOST),
    **dict.fromkeys((1290, 1792, 1836, "25006"), READ_ONLY),
    **dict.fromkeys((3, 1021, 1026, 1114, 1878, "53100"), FULL),
    **dict.fromkeys((1205, 1213, "55P03", "40P01"), HELD),
    **dict.fromkeys((1099, 1100), UNLOCKED),
    **dict.fromkeys((1317, "57014"), STOPPED),
    **dict.fromkeys((1153, 1301), SHORT),
    1226: LIMITED,
    1812: FILELESS,
    "2BP01": DEPENDED,
}

_NAMES = {"AccessError": ACCESS, "LostConnectionError": LOST, "InterfaceError": LOST}


def of(error: BaseException) -> ServerError | None:
    """Give the server error that an exception is; None where it is none of those above."""
    if any("row-level security policy" in str(part) for part in error.args):
        return HIDDEN
    if type(error).__name__ in _NAMES:
        return _NAMES[type(error).__name__]
    if type(error).__module__.startswith("psycopg2"):
        code = getattr(error, "pgcode", None)
        # A connection that breaks off has no code.
        return LOST if code is None and type(error).__name__ == "OperationalError" else _CODES.get(code)
    if not error.args or not type(error).__module__.startswith("pymysql"):
        return None
    # 1290 is said of any option of the server that forbids something.
    return None if error.args[0] == 1290 and "read-only" not in str(error) else _CODES.get(error.args[0])


def reason(error: BaseException) -> str:
    """Give the server's message in one line and without a full stop."""
    texts = [str(part) for part in error.args if str(part).strip()] or [str(error) or type(error).__name__]
    # DataJoint says before a refusal that it is one, and puts the statement behind it.
    text = texts[1] if type(error).__name__ == "AccessError" and len(texts) > 1 else texts[-1]
    text = re.sub(r"\nLINE \d+:.*\n *\^", "", text)
    text = re.split("\n(?:QUERY|CONTEXT):", text)[0]
    return in_one_line(text)


def in_one_line(text: str) -> str:
    """Give a message in one line and without a full stop, as it stands within a sentence."""
    return " ".join(text.split()).rstrip(".")
