"""Find what a group of migrations loses: values that are cut, rounded or computed anew."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..operations.origins import resolved
from ..operations.structure import trace
from ..operations.topology import dependency_order
from ..schema.model import Table, TableName
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
        are computed anew or deleted.
    whole : bool
        Whether the table itself goes.
    """

    table: Table
    attributes: Mapping[str, str]
    whole: bool = False


def of_group(group: Group, lossy: Lossy) -> list[Loss]:
    """Find what a group of migrations loses of the tables before it, those that are referred to first.

    Parameters
    ----------
    group : Group
        The group.
    lossy : frozenset
        Attributes whose values may change: the name of the table after, and that of the attribute before or after.
    """
    if not lossy and not any(origins.converts for origins in group.origins):
        return []
    after, origins = trace(group.before, [operation for _, operation in group.operations()])
    found: dict[TableName, dict[str, str]] = {}

    def note(name: TableName, attribute: str, *, cut: bool) -> None:
        old_table, old_attributes = origins.tables.get(name, name), origins.attributes.get(name, {})
        if old_table not in group.before:
            return  # it comes with this very group
        is_old = cut and attribute in group.before[old_table].attribute
        old = attribute if is_old else old_attributes.get(attribute, "")
        if old:
            new = next((now for now, before in old_attributes.items() if before == old), "")
            found.setdefault(old_table, {})[old] = resolved(after, name, new) if cut and new else ""

    for name, attribute in sorted(lossy):
        note(name, attribute, cut=True)
    for name, attribute in origins.converts:
        note(name, attribute, cut=False)
    # What others refer to comes first, for keys that are put back take along those that refer to them.
    order = dependency_order(group.before[name] for name in found)
    return [Loss(group.before[name], found[name]) for name in order]
