"""A store in a folder: owner, mode, and access control lists, as commands for the machine that has the disk.

A mode knows one group, and several roles share a schema's folder; so each role is a group, and lists say what it may.
Default lists are what new files and folders get, whatever the umask of who makes them.

Who may write in a folder may delete in it: with files, operators can remove objects.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence

from ...errors import PipelineError
from .needs import Needs
from .places import Store

_GROUP = re.compile(r"[a-z_][a-z0-9_-]{0,31}")


def commands(store: Store, roles: Sequence[Needs], groups: Mapping[str, str], *, owner: str = "root") -> list[str]:
    """Give the commands to run as root; they can be run again, and reach what is there already.

    Parameters
    ----------
    store : Store
        Where.
    roles : sequence of Needs
        What each role needs.
    groups : mapping
        The group of each role.
    owner : str
        To whom the folders belong.

    Raises
    ------
    PipelineError
        If no group can have such a name.
    """
    for role in roles:
        if not _GROUP.fullmatch(groups[role.role]):
            raise PipelineError(
                f"{groups[role.role]!r} cannot be the name of a group.",
                "Linux takes 32 characters: small letters, digits, _ and -.",
                "Make groups by hand, and use the other commands with their names.",
            )
    rights: dict[str, dict[str, str]] = {}
    for role in roles:
        group = groups[role.role]
        for database in role.databases:
            written = database in (*role.write, *role.collect)
            for section in store.sections(database):
                rights.setdefault(section.rstrip("/"), {})[group] = "rwX" if written else "rX"
        if role.files and store.files:
            rights.setdefault(store.files.rstrip("/"), {})[group] = "rX"
    place = store.location.rstrip("/")
    above = sorted({folder for path in rights for folder in _between(place, path)})
    known = list(dict.fromkeys(groups[role.role] for role in roles))
    through = ",".join(f"g:{group}:x" for group in known)
    found = [["groupadd", "--force", group] for group in known]
    found += [["mkdir", "--parents", folder] for folder in (*above, *sorted(rights))]
    for folder in above:
        found += [["chown", owner, folder], ["chmod", "0700", folder], ["setfacl", "-m", through, folder]]
    for folder, entries in sorted(rights.items()):
        words = ",".join(f"{kind}g:{group}:{right}" for kind in ("", "d:") for group, right in entries.items())
        found += [["chown", owner, folder], ["chmod", "0700", folder], ["setfacl", "-R", "-m", words, folder]]
    return [shlex.join(command) for command in found]


def _between(place: str, path: str) -> list[str]:
    """Give the store's folder, and those on the way to one within it."""
    parts = path[len(place) :].strip("/").split("/")[:-1]
    return [place, *("/".join([place, *parts[: length + 1]]) for length in range(len(parts)))]
