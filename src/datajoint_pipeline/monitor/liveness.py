"""Which reserved jobs are being computed, as far as anybody can tell, and which workers live."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import datajoint as dj

ALIVE, UNKNOWN, DEAD = "alive", "unknown", "dead"


@dataclass(frozen=True, order=True)
class Holder:
    """Whoever reserved jobs: what DataJoint writes into a job's row."""

    host: str
    pid: int
    connection_id: int


def states(connection: dj.Connection, holders: Iterable[Holder]) -> dict[Holder, str]:
    """Say of each whether it is alive, dead, or nobody can tell."""
    return dict.fromkeys(holders, UNKNOWN)
