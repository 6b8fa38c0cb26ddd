"""What a role needs in a store, of each schema: to read, to write, or to collect garbage."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

#: Who removes objects that no row refers to any more. Nobody else deletes: deleting rows never deletes objects.
COLLECTOR = "collector"

#: Roles that write objects of the schemas that are theirs.
_WRITING = ("analyst", "operator", "developer", "admin")

#: Roles that drop a branch, and its objects with it.
_DROPPING = ("developer", "admin")

#: What stands for the objects of all git branches among the schemas: below it lies a folder for each, whose name nobody
#: knows before it is made, and in that the sections of its schemas.
BRANCHES = "_branches/"

#: All roles, from the least.
ROLES = ("viewer", *_WRITING, COLLECTOR)


@dataclass(frozen=True)
class Needs:
    """What a role needs in a store, by the schemas' names in the database.

    Parameters
    ----------
    role : str
        Whose.
    read, write, collect : tuple of str
        Schemas whose objects are read; written, which is reading too; listed and deleted, which is neither. For git
        branches :data:`BRANCHES` stands among them.
    files : bool
        Whether the files are read that ``<filepath@>`` refers to.
    """

    role: str
    read: tuple[str, ...] = ()
    write: tuple[str, ...] = ()
    collect: tuple[str, ...] = ()
    files: bool = False

    @property
    def databases(self) -> tuple[str, ...]:
        """Give every schema once."""
        return tuple(dict.fromkeys((*self.read, *self.write, *self.collect)))

    def only(self, databases: Iterable[str]) -> Needs:
        """Give what is about some schemas."""
        kept = set(databases)
        read, write, collect = (
            tuple(name for name in names if name in kept) for names in (self.read, self.write, self.collect)
        )
        return Needs(self.role, read, write, collect, self.files)


def needs(
    role: str, own: Iterable[str], upstream: Iterable[str] = (), *, files: bool = False, branches: bool = False
) -> Needs:
    """Say what a role needs.

    Parameters
    ----------
    role : str
        One of :data:`ROLES`.
    own : iterable of str
        The schemas that the role is for; of the collector all that share the store.
    upstream : iterable of str
        Their ancestors by foreign keys, all the way up: who may use a schema reads these.
    files : bool
        Whether one of these schemas refers to files of the store by ``<filepath@>``.
    branches : bool
        Whether git branches have objects of their own there. Which schemas these are of cannot be told by how their
        names begin, so who writes to one schema writes to those of all branches.

    Raises
    ------
    ValueError
        If there is no such role.
    """
    if role not in ROLES:
        raise ValueError(f"no role {role!r}")
    own = tuple(dict.fromkeys(own))
    above = tuple(name for name in dict.fromkeys(upstream) if name not in own)
    if role == COLLECTOR:
        return Needs(role, collect=own)
    of_branches = (BRANCHES,) if branches else ()
    if role in _WRITING and own:  # an analyst may write to no schema of this store
        dropped = of_branches if role in _DROPPING else ()
        return Needs(role, above, (*own, *of_branches), dropped, files)
    return Needs(role, (*above, *own, *of_branches), files=files)
