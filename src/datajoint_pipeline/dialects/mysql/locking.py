"""Which steps of MySQL nobody may write between, and whom the last of them turns away.

There is no transaction around statements on tables. So from the first that disturbs others to the last, the tables are
locked, together with those that foreign keys join to them. Whoever waits for them meanwhile was asked by the code of
before; a value of his must not land in a column that has a new meaning. So where rows got values, the table has another
name for the instant in which they are let in, and the server refuses them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from ...schema.model import Table, TableName
from ...schema.naming import shorten, unused
from ..base import Dialect
from ..steps import Step
from .effects import Renamed

#: What the name of a table ends in for that instant.
_AWAY = "_away"


def keep_out(
    dialect: Dialect, steps: list[Step], states: Iterable[Table], valued: Mapping[TableName, set[TableName]]
) -> list[Step]:
    """Give steps such that nobody writes between the first that disturbs others and the last.

    Parameters
    ----------
    dialect : Dialect
        MySQL's, whose names are those after the steps.
    steps : list of Step
        The steps.
    states : iterable of Table
        The tables before and afterwards.
    valued : mapping of TableName to set of TableName
        Tables whose rows get values, each with those that these are taken from, by their names afterwards.
    """
    if not valued and not any(step.locks for step in steps):
        return steps
    first = next(number for number, step in enumerate(steps) if not step.open)
    disturbed = {name for step in steps[first:] for name in step.tables}
    turned = {name for name in valued if name in disturbed}
    turned |= {source for name in turned for source in valued[name]}
    joined = disturbed | turned
    for table in states:
        parents = {key.parent for key in table.foreign_keys}
        joined |= parents if table.name in disturbed else set()
        joined |= {table.name} if parents & disturbed else set()
    named = [lock for step in steps[first:] for lock in step.locks]
    # A table that is renamed or soft-deleted is locked by the name that it has until then.
    moved = [effect.old for step in steps[first:] for effect in step.effects if isinstance(effect, Renamed)]
    named += [f"{'.'.join(map(dialect.quote, place))} WRITE" for place in moved]
    locks = tuple(dict.fromkeys([*named, *(f"{dialect.full(name)} WRITE" for name in sorted(joined))]))
    # The server makes no table under locks; others are let in for that.
    held = [s if s.sql.startswith("CREATE") else replace(s, locks=locks, lock="all") for s in steps[first:]]
    return [*steps[:first], *held, *_turn_away(dialect, sorted(turned), locks)]


def _turn_away(dialect: Dialect, names: list[TableName], locks: tuple[str, ...]) -> list[Step]:
    """Give the steps that let whoever waits for tables find none, and then have them back in their place."""
    there, back, effects = list[str](), list[str](), list[Renamed]()
    for name in names:
        database = dialect.place(name)[0]
        away = TableName(
            name.schema, unused(shorten(name.table + _AWAY), {t for d, t in dialect.names.tables if d == database})
        )
        there.append(f"{dialect.full(name)} TO {dialect.full(away)}")
        back.append(f"{dialect.full(away)} TO {dialect.full(name)}")
        effects.append(Renamed(dialect.place(name), dialect.place(away)))
    if not names:
        return []
    tables, listed = tuple(names), ", ".join(map(str, names))
    leave = Step(
        f"RENAME TABLE {', '.join(there)}",
        tables,
        f"hide {listed} for a moment, so that whoever waited to write gets an error",
        lock="all",
        locks=locks,
        effects=tuple(effects),
    )
    returned = tuple(Renamed(effect.new, effect.old) for effect in effects)
    return [leave, Step(f"RENAME TABLE {', '.join(back)}", tables, f"show {listed} again", effects=returned)]
