"""Have rights follow tables that a migration renames, and end with those that it drops: MySQL does not see to it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from .. import server_errors
from ..ddl.build import SOFT_DELETED_TABLE
from ..dialects import leftovers
from ..dialects.rights import Place
from ..internals.job_tables import PREFIX
from ..planner.plan import Group
from ..planner.target import Target
from ..schema.model import TableName

#: How many names a warning has.
_NAMED = 3


@dataclass(frozen=True)
class Known:
    """What accounts had before a group on tables whose names other tables have afterwards.

    Parameters
    ----------
    places : frozenset of Place
        The names before and after of the tables that are concerned.
    rights : list of tuple, optional
        What :func:`.dialects.leftovers.rights` gave of them; None where that is not known any more.
    """

    places: frozenset[Place]
    rights: list[tuple[Any, ...]] | None


def know(target: Target, databases: Mapping[str, str], group: Group, *, begun: bool) -> Known:
    """Look what accounts have on tables whose names others get; ``begun`` is whether all steps of the group are done.

    Then some may have been moved already, by a process that ended there.
    """
    moves, _ = _moves(databases, group)
    after = {_place(databases, name) for name in group.after}
    here = {(moves.get(place), place) for place in moves if place in after and moves[place] != place}
    contested = {place for _, place in here}
    contested |= {new for old, new in moves.items() if new in contested and old != new}
    places = contested | {new for old, new in moves.items() if old in contested and new is not None}
    places |= {old for old, new in moves.items() if new in contested}
    places |= {_jobs(place) for place in places}
    if not contested:
        return Known(frozenset(), [])
    return Known(frozenset(places), None if begun else leftovers.rights(target.connection, places))


def follow(target: Target, databases: Mapping[str, str], group: Group, known: Known) -> None:
    """Move rights to the new names of the tables and attributes that a group has renamed."""
    moves, columns = _moves(databases, group)
    there = {old: new for old, new in moves.items() if new is not None}
    there |= {_jobs(old): _jobs(new) for old, new in there.items()}
    statements: list[str] = []
    if known.rights is None:
        names = ", ".join(".".join(place) for place in sorted(known.places) if not place[1].startswith(PREFIX))
        target.warn(
            f"Rights of other accounts on {names} may come from earlier tables of these names: have an administrator "
            "of the server check them."
        )
    elif known.places:
        now = leftovers.rights(target.connection, _standing(target, known.places))
        moved = {old: new for old, new in there.items() if old in known.places}
        statements = list(leftovers.exchanged(known.rights, now, moved, columns))
    places = {old: new for old, new in there.items() if old != new}
    clear(target, {*databases.values(), *(database for database, _ in places)}, places, columns, statements)


def _moves(databases: Mapping[str, str], group: Group) -> tuple[dict[Place, Place | None], dict[Place, dict[str, str]]]:
    """Give where each table of before is afterwards, None where it was dropped; and the names of its columns then."""
    tables = {name: name for name in group.before}
    columns = {name: {attribute: attribute for attribute in table.attribute} for name, table in group.before.items()}
    for origins in group.origins:
        after = {was: name for name, was in origins.tables.items()}
        for first, now in tables.items():
            if now in after:
                names = {was: name for name, was in origins.attributes.get(after[now], {}).items()}
                columns[first] = {begin: names.get(name, name) for begin, name in columns[first].items()}
        tables = {first: after.get(now, now) for first, now in tables.items()}
    come = {now: first for first, now in tables.items() if first != now}
    return (
        {
            # A table whose name another one came to have was dropped before.
            _place(databases, first): None if come.get(now, first) != first else _place(databases, now)
            for first, now in tables.items()
        },
        {_place(databases, first): renamed for first, renamed in columns.items()},
    )


def _place(databases: Mapping[str, str], name: TableName) -> Place:
    return databases.get(name.schema, name.schema), name.table


def _standing(target: Target, places: Collection[Place]) -> set[Place]:
    """Give those of some places that have a table."""
    marks = ", ".join(["(%s, %s)"] * len(places))
    query = (
        f"SELECT table_schema, table_name FROM information_schema.tables WHERE (table_schema, table_name) IN ({marks})"
    )
    values = tuple(part for place in sorted(places) for part in place)
    return {(str(a), str(b)) for a, b in target.connection.query(query, values, reconnect=False).fetchall()}


def _jobs(place: Place) -> Place:
    """Give the place of the job table of a table that has one."""
    return place[0], PREFIX + place[1].lstrip("_")


def clear(
    target: Target,
    databases: Collection[str],
    moved: Mapping[Place, Place] | None = None,
    columns: Mapping[Place, Mapping[str, str]] | None = None,
    first: Collection[str] = (),
) -> None:
    """Take away rights that are left under names that no table has; where one has another name now, give them there.

    The statements ``first`` are run before that. An account that may not see or give rights leaves them; whoever may
    give them is told by `access check`.
    """
    connection, failed = target.connection, list[str]()

    def run(statements: Iterable[str]) -> None:
        for statement in statements:
            try:
                connection.query(statement, args=None, reconnect=False)
            except Exception as error:
                if server_errors.of(error) is server_errors.LOST:
                    raise
                failed.append(statement)

    run(first)
    run(leftovers.statements(leftovers.find(connection, databases), moved or {}, columns or {}))
    run(leftovers.closing(connection, databases, SOFT_DELETED_TABLE))
    if failed:
        more = f" and {len(failed) - _NAMED} more" if len(failed) > _NAMED else ""
        target.warn(
            "Rights on dropped tables remain, and would apply to the next table of that name: an administrator of the "
            f"server should run {'; '.join(failed[:_NAMED])}{more}."
        )
