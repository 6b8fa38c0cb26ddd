"""Find the rows that literals of migrations refer to: a foreign key that all rows get one value for, rows put in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ..operations.origins import Origins
from ..planner.plan import Group
from ..schema.model import ForeignKey, Table, TableName
from ..schema.values import Value


@dataclass(frozen=True)
class Needed:
    """Rows of a table that have to be there before a group of migrations.

    Parameters
    ----------
    table : TableName
        The table.
    values : dict
        What they have, by attribute.
    child : TableName or None
        The table whose rows say the rest of their key; None where ``values`` say it all.
    rest : dict
        The attributes of that table, by those of the rows.
    """

    table: TableName
    values: Mapping[str, Value]
    child: TableName | None
    rest: Mapping[str, str]

    @property
    def words(self) -> str:
        """Say which rows they are."""
        values = " and ".join(f"{name} = {value!r}" for name, value in self.values.items())
        return f"a row of {self.table} with {values}"


def find(group: Group) -> Iterator[Needed]:
    """Give the rows that the literals of a group refer to, of tables that are there; all names are those before."""
    for origins in group.origins:
        for name, table in group.after.items():
            for key in table.foreign_keys:
                parent = origins.tables.get(key.parent)
                if parent is None or parent not in group.before or (name, key) in origins.missing:
                    continue
                theirs = origins.attributes.get(key.parent, {})
                if not set(key.parent_attributes) <= theirs.keys():
                    continue  # what becomes of the parent's key is not known here
                pairs = {theirs[t]: ours for ours, t in zip(key.attributes, key.parent_attributes, strict=True)}
                put_in = [
                    {theirs.get(a, a): str(v) for a, v in row.items()} for row in origins.rows.get(key.parent, ())
                ]
                for found in (
                    _of_fills(parent, pairs, name, table, origins),
                    *_of_rows(parent, pairs, name, key, origins),
                ):
                    given = {a: str(v) for a, v in found.values.items()} if found is not None else {}
                    if found is not None and not any(given.items() <= row.items() for row in put_in):
                        yield found


def _of_fills(
    parent: TableName, pairs: Mapping[str, str], name: TableName, table: Table, origins: Origins
) -> Needed | None:
    """Give what the rows of a table refer to by values that all of them get."""
    was, child = origins.attributes.get(name, {}), origins.tables.get(name)
    values: dict[str, Value] = {}
    rest: dict[str, str] = {}
    for theirs, ours in pairs.items():
        fill = origins.fills.get((name, ours))
        if fill is not None and fill.value is not None:
            values[theirs] = fill.value
        elif ours in was and fill is None:
            rest[theirs] = was[ours]
        elif fill is None and table.attribute[ours].default is not None:
            values[theirs] = table.attribute[ours].default
        else:
            return None
    return Needed(parent, values, child if rest else None, rest) if values and child is not None else None


def _of_rows(
    parent: TableName, pairs: Mapping[str, str], name: TableName, key: ForeignKey, origins: Origins
) -> Iterator[Needed]:
    """Give what rows that are put in refer to."""
    for row in origins.rows.get(name, ()):
        values = {theirs: row.get(ours) for theirs, ours in pairs.items()}
        if None not in values.values() and key.parent != name:
            yield Needed(parent, values, None, {})
