"""The tables that ``access.toml`` has audited, and those that are."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

from ..dialects.auditing import TABLE
from ..dialects.rights import Place
from ..executor import audited
from ..planner.deployment import Deployment
from ..planner.target import Target
from ..schema.model import TableName
from .model import Access


@dataclass(frozen=True)
class Audit:
    """What separates the tables that are audited from those that are to be.

    Parameters
    ----------
    begun, ended : tuple of TableName
        Tables to audit from now on, and no more.
    mended : tuple of TableName
        Tables whose audit is to be put right: a trigger is missing, switched off or another one.
    absent : tuple of str
        Tables of ``access.toml`` that are not there yet, by the names that people use.
    wanted : tuple of TableName
        Those that are there.
    """

    begun: tuple[TableName, ...] = ()
    ended: tuple[TableName, ...] = ()
    mended: tuple[TableName, ...] = ()
    absent: tuple[str, ...] = ()
    wanted: tuple[TableName, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.begun or self.ended or self.mended)

    @property
    def words(self) -> tuple[str, ...]:
        """Give a sentence a table that `access apply` does something about."""
        return (
            *(f"{_title(name)} is not audited yet." for name in self.begun),
            *(f"{_title(name)} is audited, and access.toml does not name it." for name in self.ended),
            *(
                f"{_title(name)} is not audited as it should be: its triggers are not those of this version."
                for name in self.mended
            ),
        )

    @property
    def notes(self) -> tuple[str, ...]:
        """Give a sentence a table that nothing can be done about yet."""
        return tuple(
            f"{name} is to be audited, but does not exist yet: run access apply once it does." for name in self.absent
        )


def concerned(access: Access, tables: Collection[Place]) -> bool:
    """Tell whether any table is audited, or is to be; ``tables`` are those of the server, hidden ones too."""
    return bool(access.audited) or any(table == TABLE for _, table in tables)


def survey(target: Target, access: Access) -> Audit:
    """Find what is to be done for just the tables of ``access.toml`` to be audited; changes nothing.

    Raises
    ------
    PipelineError
        If one of them is computed.
    """
    deployment = Deployment.read(target)
    there = {_title(name): name for name in deployment.tables}
    wanted = tuple(there[name] for name in access.audited if name in there)
    absent = tuple(name for name in access.audited if name not in there)
    found = audited.changes(deployment, wanted)
    return Audit(tuple(found.begun), tuple(found.ended), tuple(found.mended), absent, wanted)


def apply(target: Target, surveyed: Audit) -> Audit:
    """Have just the tables audited that are to be; give what was changed."""
    found = audited.set_audit(target, surveyed.wanted)
    return replace(surveyed, begun=tuple(found.begun), ended=tuple(found.ended))


def _title(name: TableName) -> str:
    """Give a table as people name it: ``subject.Subject``."""
    return f"{name.schema}.{name.title}"
