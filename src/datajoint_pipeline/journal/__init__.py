"""Record in a database its versions: runs and their steps, and hold the lock of whoever changes it.

Every schema holds its own journal, a hidden table beside DataJoint's ``~lineage``, so that grants and dumps of a schema
carry its history. No other package knows the layout of these tables.
"""

from .runs import (
    DONE,
    DRAFT,
    LAYOUT,
    RUNNING,
    TABLE,
    WITHDRAWN,
    Record,
    Survey,
    at_once,
    begin,
    create,
    finish,
    following,
    history,
    latest,
    lock,
    now,
    outdated,
    protect,
    restamp,
    stamp,
    survey,
    upgrade,
    withdraw,
)

__all__ = [
    "DONE",
    "DRAFT",
    "LAYOUT",
    "RUNNING",
    "TABLE",
    "WITHDRAWN",
    "Record",
    "Survey",
    "at_once",
    "begin",
    "create",
    "finish",
    "following",
    "history",
    "latest",
    "lock",
    "now",
    "outdated",
    "protect",
    "restamp",
    "stamp",
    "survey",
    "upgrade",
    "withdraw",
]
