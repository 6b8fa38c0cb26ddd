"""Which schemas belong to git branches, ``dev_<branch>_…``, and what the roles of ``dev`` should have there."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from ..dialects.rights import Acts, Fact, Owns, Right, Standing, Tables
from .model import Access
from .names import Names
from .wanted import Reasons, belonging, wanted

#: The environment whose roles have rights in the schemas of branches, and what its schemas' names begin with.
ENVIRONMENT = "dev"
_BEFORE = f"{ENVIRONMENT}_"


def rights(access: Access, names: Names, databases: Mapping[str, str], tables: Tables) -> Reasons:
    """Give what the roles of ``dev`` should have in the schemas of a branch, and on what these refer to."""
    found = wanted(access, names, databases, tables)
    return {fact: reason for fact, reason in found.items() if isinstance(fact, Right) and fact.database}


def owned(names: Names, databases: Collection[str], standing: Standing) -> Reasons:
    """Give what should belong to the owner in the schemas of a branch, of what is theirs who make it (PostgreSQL)."""
    if not names.owned:
        return {}
    owners = {(f.database, f.name, f.kind): f.owner for f in standing.facts if isinstance(f, Owns)}
    makers = {fact.login for fact in standing.facts if isinstance(fact, Acts) and fact.role == names.owner}
    here = {thing: holder for thing, holder in owners.items() if thing[0] in databases}
    return belonging(names, here, frozenset({*makers, *standing.superusers, standing.user}))


def candidates(standing: Standing, names: Names, databases: Mapping[str, str]) -> list[str]:
    """Give the databases that look like those of branches, in which viewers of ``dev`` have a right."""
    if names.environment != ENVIRONMENT:
        return []
    viewer = names.of("viewer")
    held = {f.database for f in standing.facts if isinstance(f, Right) and f.holder == viewer and not f.verbatim}
    return sorted(database for database in held if _branch(database, databases) is not None)


def find(standing: Standing, names: Names, databases: Mapping[str, str]) -> list[dict[str, str]]:
    """Give the schemas of each branch that are there and were made for developers of ``dev``, with their databases.

    Parameters
    ----------
    standing : Standing
        Read with the :func:`candidates` among its databases.
    names : Names
        The roles of ``dev``.
    databases : mapping
        Name on the server of each schema of ``dev``.
    """
    found: dict[str, dict[str, str]] = {}
    for database in candidates(standing, names, databases):
        made: Fact = Right(names.of("developer"), "CREATE", database)
        if names.owned:
            made = Owns(names.owner, database, "", "SCHEMA")
        branch = _branch(database, databases)
        if branch is not None and made in standing.facts and database in standing.databases:
            found.setdefault(branch[0], {})[branch[1]] = database
    return list(found.values())


def _branch(database: str, databases: Mapping[str, str]) -> tuple[str, str] | None:
    """Give branch and schema of a database by its name: ``("fast", "subject")`` of ``dev_fast_lab_subject``."""
    if database in databases.values() or not database.startswith(_BEFORE):
        return None
    ends = {f"_{name.removeprefix(_BEFORE)}": schema for schema, name in databases.items() if name.startswith(_BEFORE)}
    for end in sorted(ends, key=len, reverse=True):
        branch = database.removeprefix(_BEFORE).removesuffix(end)
        if branch and database.endswith(end):
            return branch, ends[end]
    return None
