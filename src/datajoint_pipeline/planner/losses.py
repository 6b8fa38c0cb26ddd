"""Find what a group of migrations loses: values that are cut, rounded or computed anew, and which ones were null."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ..operations.origins import resolved
from ..operations.state import SOFT_DELETED_ATTRIBUTE, Tables
from ..operations.structure import Operation, trace
from ..operations.topology import dependency_order
from ..quoting import quoter
from ..schema.model import Table, TableName
from .deployment import Deployment
from .plan import Group, Lossy

#: Kinds of violations that --allow-data-loss accepts.
ALLOWED = ("long", "rounding")


@dataclass(frozen=True)
class Loss:
    """What a table is about to lose.

    Parameters
    ----------
    table : Table
        The table before.
    attributes : mapping
        By the name before of each attribute whose values go, the type that they are cut or rounded to; empty where they
        are computed anew or deleted, or where null is filled.
    whole : bool
        Whether the table itself goes.
    filled : frozenset
        Those of the attributes that lose nothing but their nulls.
    """

    table: Table
    attributes: Mapping[str, str]
    whole: bool = False
    filled: frozenset[str] = frozenset()

    @property
    def nulls(self) -> tuple[str, ...]:
        """Give the attributes that are null in each row that loses something; none where any row may."""
        return () if self.whole or self.filled < {*self.attributes} else tuple(sorted(self.filled))


def of_group(group: Group, lossy: Lossy) -> list[Loss]:
    """Find what a group of migrations loses of the tables before it; see :func:`of_operations`."""
    return of_operations(group.before, [operation for _, operation in group.operations()], lossy)


def of_operations(before: Tables, operations: Iterable[Operation], lossy: Lossy = frozenset()) -> list[Loss]:
    """Find what operations lose of the tables before them, those that are referred to first.

    Parameters
    ----------
    before : mapping
        The tables before.
    operations : iterable of Operation
        What is done.
    lossy : frozenset
        Attributes whose values may change: the name of the table after, and that of the attribute before or after.
    """
    after, origins = trace(before, operations)
    found: dict[TableName, dict[str, str]] = {}
    filled: dict[TableName, set[str]] = {}

    def note(name: TableName, attribute: str, *, cut: bool, fills: bool = False) -> None:
        old_table, old_attributes = origins.tables.get(name, name), origins.attributes.get(name, {})
        if old_table not in before:
            return  # it comes with this very group
        is_old = cut and attribute in before[old_table].attribute
        old = attribute if is_old else old_attributes.get(attribute, "")
        if fills:
            had = before[old_table].attribute.get(old)
            comes_back = old.startswith(SOFT_DELETED_ATTRIBUTE)
            if had is None or not had.nullable or comes_back or old in found.get(old_table, ()):
                return
            filled.setdefault(old_table, set()).add(old)
        if old:
            new = next((now for now, was in old_attributes.items() if was == old), "")
            found.setdefault(old_table, {})[old] = resolved(after, name, new) if cut and new else ""

    for name, attribute in sorted(lossy):
        note(name, attribute, cut=True)
    for name, attribute in origins.converts:
        note(name, attribute, cut=False)
    for name, attribute in origins.fills:
        if name in after and attribute in after[name].attribute and not after[name].attribute[attribute].nullable:
            note(name, attribute, cut=False, fills=True)
    # What others refer to comes first, for keys that are put back take along those that refer to them.
    order = dependency_order(before[name] for name in found)
    return [Loss(before[name], found[name], filled=frozenset(filled.get(name, ()))) for name in order]


def source(deployment: Deployment, loss: Loss) -> str:
    """Give what stands after ``FROM`` to read the rows that lose something: the table, perhaps with a condition."""
    quote = quoter(deployment.connection)
    where = " OR ".join(f"{quote(name)} IS NULL" for name in loss.nulls)
    return deployment.full(loss.table.name) + (f" WHERE {where}" if where else "")


def happens(deployment: Deployment, loss: Loss) -> bool:
    """Tell whether something may be lost: where only nulls would be, whether there are any."""
    sql = f"SELECT 1 FROM {source(deployment, loss)} LIMIT 1"
    return not loss.nulls or deployment.connection.query(sql, args=None, reconnect=False).fetchone() is not None
