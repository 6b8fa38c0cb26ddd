"""What a group of migrations loses of the rows: values that are cut, rounded or computed anew."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..operations.origins import resolved, trace
from ..operations.topology import dependency_order
from ..schema.model import Table, TableName
from .plan import Group

#: Kinds of violations whose values may go where somebody says --allow-data-loss.
ALLOWED = ("long", "rounding")

#: Attributes whose values may change, by the table's name afterwards.
Lossy = frozenset[tuple[TableName, str]]


@dataclass(frozen=True)
class Loss:
    """What a table is about to lose.

    Parameters
    ----------
    table : Table
        The table as it is.
    attributes : mapping
        The attributes whose values go, and the types that they are cut or rounded to; empty where they are computed
        anew or deleted.
    whole : bool
        Whether the table itself goes.
    """

    table: Table
    attributes: Mapping[str, str]
    whole: bool = False


def of_group(group: Group, lossy: Lossy) -> list[Loss]:
    """What a group of migrations loses of the tables as they are before it: what is cut, rounded or computed anew.

    Parameters
    ----------
    group : Group
        The group.
    lossy : frozenset
        Attributes whose values may change, by table afterwards and either name.
    """
    if not lossy and not any(known.converts for known in group.origins):
        return []
    after, origins = trace(group.before, [operation for _, operation in group.operations()])
    found: dict[TableName, dict[str, str]] = {}

    def note(name: TableName, attribute: str, *, cut: bool) -> None:
        was, known = origins.tables.get(name, name), origins.attributes.get(name, {})
        if was not in group.before:
            return  # it comes with this very group
        old = attribute if cut and attribute in group.before[was].attribute else known.get(attribute, "")
        if old:
            new = next((now for now, before in known.items() if before == old), "")
            found.setdefault(was, {})[old] = resolved(after, name, new) if cut and new else ""

    for name, attribute in sorted(lossy):
        note(name, attribute, cut=True)
    for name, attribute in origins.converts:
        note(name, attribute, cut=False)
    # What others refer to comes first, for keys that are put back take along those that refer to them.
    order = dependency_order(group.before[name] for name in found)
    return [Loss(group.before[name], found[name]) for name in order]
