"""Record what changes tables and no version: `purge` and `restore`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from .. import journal
from ..planner.deployment import Deployment


@dataclass(frozen=True)
class Note:
    """What the journals say of a command from before its first change on; on PostgreSQL in its transaction.

    Parameters
    ----------
    deployment : Deployment
        What was there before.
    numbers : dict of str to int
        By schema, the number of the run.
    again : frozenset of str
        The schemas where the same command was killed, with which this one goes on.
    """

    deployment: Deployment
    numbers: dict[str, int]
    again: frozenset[str]

    @classmethod
    def take(cls, deployment: Deployment, schemas: Iterable[str], kind: str, options: str = "") -> Note:
        """Record of some schemas that the command is under way; of a schema without a record there is nothing to say.

        Their versions stay, and where the shape was as it was recorded it is not known until the end: who is killed
        leaves no drift, and what somebody changed by hand before is still seen.
        """
        commit, software, numbers = deployment.target.commit(), deployment.target.software(), dict[str, int]()
        again = set[str]()
        for name in schemas:
            record = deployment.records.get(name)
            if record is None:
                continue
            # The kind says that tables are a draft, which they go on being.
            draft = record.kind == journal.DRAFT
            if record.kind == kind and record.finished_at is None:
                numbers[name] = record.id
                again.add(name)
                continue
            numbers[name] = journal.begin(
                deployment.connection,
                deployment.databases[name],
                kind=record.kind if draft else kind,
                version=record.version,
                previous_version=record.version,
                code_commit=commit,
                software=software,
                options=f"{kind} {options}".strip() if draft else options,
                fingerprint=None if _as_recorded(deployment, name) else record.fingerprint,
                status=journal.DONE,
            )
        return cls(deployment, numbers, frozenset(again))

    def end(self) -> None:
        """Record that the command has ended, and the shapes that it left."""
        connection = self.deployment.connection
        shapes = Deployment.read(self.deployment.target).shapes if self.numbers else {}
        for name, number in self.numbers.items():
            database = self.deployment.databases[name]
            if _as_recorded(self.deployment, name):
                journal.stamp(connection, database, number, shapes[name].fingerprint)
            journal.finish(connection, database, number)

    def withdraw(self) -> None:
        """Record that the command changed nothing, but for where it was killed before."""
        for name, number in self.numbers.items():
            if name not in self.again:
                journal.withdraw(self.deployment.connection, self.deployment.databases[name], number)


def _as_recorded(deployment: Deployment, name: str) -> bool:
    """Tell whether the shape of a schema was as it was recorded, or not known."""
    record, shape = deployment.records[name], deployment.shapes.get(name)
    return shape is not None and record.fingerprint in (None, shape.fingerprint)
