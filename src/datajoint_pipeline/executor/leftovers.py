"""Have rights follow tables that a migration renames, and end with those that it drops: MySQL does not see to it."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from .. import server_errors
from ..ddl.build import SOFT_DELETED_TABLE
from ..dialects import leftovers
from ..dialects.rights import Place
from ..internals.job_tables import PREFIX
from ..planner.plan import Group
from ..planner.target import Target

#: How many names a warning has.
_NAMED = 3


def follow(target: Target, databases: Mapping[str, str], group: Group) -> None:
    """Move rights to the new names of the tables and attributes that a group has renamed."""
    tables = {name: name for name in group.before}
    columns = {name: {attribute: attribute for attribute in table.attribute} for name, table in group.before.items()}
    for origins in group.origins:
        after = {was: name for name, was in origins.tables.items()}
        for first, now in tables.items():
            if now in after:
                names = {was: name for name, was in origins.attributes.get(after[now], {}).items()}
                columns[first] = {begin: names.get(name, name) for begin, name in columns[first].items()}
        tables = {first: after.get(now, now) for first, now in tables.items()}
    places: dict[Place, Place] = {}
    renamed: dict[Place, Mapping[str, str]] = {}
    for old, new in tables.items():
        before, then = (
            (databases.get(old.schema, old.schema), old.table),
            (databases.get(new.schema, new.schema), new.table),
        )
        renamed[before] = columns[old]
        if before != then:
            places |= {before: then, _jobs(before): _jobs(then)}
    clear(target, {*databases.values(), *(database for database, _ in places)}, places, renamed)


def _jobs(place: Place) -> Place:
    """Give the place of the job table of a table that has one."""
    return place[0], PREFIX + place[1].lstrip("_")


def clear(
    target: Target,
    databases: Collection[str],
    moved: Mapping[Place, Place] | None = None,
    columns: Mapping[Place, Mapping[str, str]] | None = None,
) -> None:
    """Take away rights that are left under names that no table has; where one has another name now, give them there.

    An account that may not see or give rights leaves them; whoever may give them is told by `access check`.
    """
    connection, failed = target.connection, list[str]()
    found = leftovers.find(connection, databases)
    closing = leftovers.closing(connection, databases, SOFT_DELETED_TABLE)
    for statement in (*leftovers.statements(found, moved or {}, columns or {}), *closing):
        try:
            connection.query(statement, args=None, reconnect=False)
        except Exception as error:
            if server_errors.of(error) is server_errors.LOST:
                raise
            failed.append(statement)
    if failed:
        more = f" and {len(failed) - _NAMED} more" if len(failed) > _NAMED else ""
        target.warn(
            "Rights are left on tables that were dropped; they would hold for the next one of that name: an "
            f"administrator of the server should say {'; '.join(failed[:_NAMED])}{more}."
        )
