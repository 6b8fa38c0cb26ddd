"""Which workers live: told by locks that every account sees, without a registry, an age, or any right.

A worker has a number, which stands in the rows of the jobs that it has reserved as ``connection_id``: larger than any
session of a server has, so that a job of ours is told from one that a plain ``populate`` reserved. It holds a lock of
that number for as long as it lives, on a session of its own, and the server lets go of it when the worker is gone. So a
job is alive as long as its lock is held, however long it takes. Nobody knows of a plain ``populate`` whether it lives.

A worker also holds the lowest free slot of its class, so that idle workers are seen as well.
"""

from __future__ import annotations

import enum
import hashlib
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..dialects import advisory_locks

if TYPE_CHECKING:
    import datajoint as dj

#: What a worker counts as that computes the tables of all classes.
ANY = "*"

#: No session of a server has such a number; all of them are exact in JSON.
FIRST = 1 << 52
_SLOT_BITS, _RANDOM_BITS = 10, 30

#: Workers of one class that are seen while they are idle; further ones work as well.
SLOTS = 1 << _SLOT_BITS


class State(enum.Enum):
    """What is known of who reserved a job."""

    #: A worker that lives.
    ALIVE = "alive"
    #: A worker that is gone.
    DEAD = "dead"
    #: A plain ``populate``, which holds no lock: it may live.
    UNKNOWN = "unknown"


@dataclass(frozen=True, order=True)
class LiveWorker:
    """A worker that lives.

    Parameters
    ----------
    class_name : str
        Its class; :data:`ANY` where it computes those of all.
    slot : int
        Its place among the workers of its class, from 0.
    """

    class_name: str
    slot: int

    def reserved(self, connection_id: int) -> bool:
        """Tell whether it is the worker that reserved a job, by the job's ``connection_id``."""
        return (
            is_worker(connection_id)
            and (connection_id >> _RANDOM_BITS) % SLOTS == self.slot
            and (connection_id - FIRST) >> (_RANDOM_BITS + _SLOT_BITS) == _class_bits(self.class_name)
        )


def is_worker(connection_id: int) -> bool:
    """Tell whether a job's ``connection_id`` is the number of a worker, and not a session of a plain ``populate``."""
    return connection_id >= FIRST


def new_number(class_name: str, slot: int) -> int:
    """Make a number for a worker of a class in a slot, which no other ever had."""
    above = FIRST + (_class_bits(class_name) << (_RANDOM_BITS + _SLOT_BITS))
    return above + (slot << _RANDOM_BITS) + secrets.randbits(_RANDOM_BITS)


def lock_of(number: int) -> str:
    """Give the name of the lock that a worker of a number holds."""
    return f"pipeline-worker:{number:x}"


def states(connection: dj.Connection, connection_ids: Iterable[int]) -> dict[int, State]:
    """Find, with one statement or none, who of those that reserved jobs lives.

    Parameters
    ----------
    connection : datajoint.Connection
        A session of the same server, on PostgreSQL of the same database; of any account.
    connection_ids : iterable of int
        The ``connection_id`` of jobs that are reserved.

    Returns
    -------
    dict
        The state of each.
    """
    asked = set(connection_ids)
    locks = {number: lock_of(number) for number in asked if is_worker(number)}
    held = advisory_locks.held(connection, locks.values())
    return {
        number: State.UNKNOWN if number not in locks else State.ALIVE if locks[number] in held else State.DEAD
        for number in asked
    }


def slot_lock(pipeline: str, class_name: str, slot: int) -> str:
    """Give the name of the lock of a slot.

    Parameters
    ----------
    pipeline : str
        What the pipeline's own lock is called (``Target.lock``).
    class_name : str
        The class.
    slot : int
        From 0.
    """
    text = f"{pipeline}\0{class_name}\0{slot}"
    return f"pipeline-slot:{short(text)}"


def short(text: str) -> str:
    """Give a text of any length as a name of a lock has it."""
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def living(connection: dj.Connection, pipeline: str, classes: Iterable[str]) -> list[LiveWorker]:
    """Find the workers that live, idle ones too, with a statement or a few.

    Parameters
    ----------
    connection : datajoint.Connection
        As in :func:`states`.
    pipeline : str
        What the pipeline's own lock is called (``Target.lock``).
    classes : iterable of str
        The names of their classes; those that compute the tables of all are found as well.
    """
    names = {
        slot_lock(pipeline, class_name, slot): LiveWorker(class_name, slot)
        for class_name in (*classes, ANY)
        for slot in range(SLOTS)
    }
    return sorted(names[name] for name in advisory_locks.held(connection, names))


def take_slot(connection: dj.Connection, pipeline: str, class_name: str) -> int | None:
    """Take the lowest free slot of a class for this very session; None where there is none."""
    locks = {slot_lock(pipeline, class_name, slot): slot for slot in range(SLOTS)}
    busy = {locks[name] for name in advisory_locks.held(connection, locks)}
    free = (slot for slot in range(SLOTS) if slot not in busy)
    return next((slot for slot in free if advisory_locks.take(connection, slot_lock(pipeline, class_name, slot))), None)


def _class_bits(class_name: str) -> int:
    return int.from_bytes(hashlib.blake2b(class_name.encode(), digest_size=2).digest(), "big") >> 4
