"""Tell which migrations a schema has had in a database: by what the journal recorded of each, not by its version alone.

A merge of two branches gives a migration another version (`renumber`) than it had when it was applied, or puts one
before it that this database has not had. What a migration does stays the same, and so does its digest.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from packaging.version import Version

from .. import journal
from ..errors import ExitCode, PipelineError
from ..history.migration_files import History, Migration
from ..journal import steplog

if TYPE_CHECKING:
    import datajoint as dj


@dataclass(frozen=True)
class Had:
    """A migration as the journal recorded it."""

    version: str
    slug: str
    digest: str


@dataclass(frozen=True)
class Applied:
    """What a schema has had.

    Parameters
    ----------
    history : History
        What is on disk.
    base : str
        The version that the record begins with; what leads there was had.
    had : tuple of Had
        What was applied since, in order.
    done : tuple of Migration
        The files of these, as far as there are any.
    foreign : tuple of Had
        Those of which there is no file.
    """

    history: History
    base: str
    had: tuple[Had, ...]
    done: tuple[Migration, ...]
    foreign: tuple[Had, ...]

    @classmethod
    def of(cls, history: History, base: str, had: Iterable[Had]) -> Applied:
        """Find the files of what was applied.

        Two files may do the same, and one that got another number is not found by its version.
        """
        had, done, foreign = tuple(had), list[Migration](), list[Had]()
        for one in had:
            same = [m for m in history.migrations if m.has_digest(one.digest)]
            fresh = [m for m in same if m not in done]
            done += [m for m in fresh if m.version == one.version] or fresh[:1]
            foreign += [] if same else [one]
        return cls(history, base, had, tuple(done), tuple(foreign))

    @property
    def left(self) -> list[Migration]:
        """Give the migrations that it has not had, in the order of their versions."""
        return [migration for migration in self.history.migrations if not self.includes(migration)]

    def includes(self, migration: Migration) -> bool:
        """Tell whether it has had a migration."""
        return Version(migration.version) <= Version(self.base) or migration in self.done

    @property
    def version(self) -> str:
        """Give the version that it has: the newest up to which nothing is left."""
        version = self.base
        for migration in self.history.migrations:
            if not self.includes(migration):
                break
            version = max(version, migration.version, key=Version)
        return version

    @property
    def newest(self) -> str:
        """Give the newest version of which it has had something, though something before it may be left."""
        return max([self.base, *(migration.version for migration in self.done)], key=Version)

    @property
    def head(self) -> dict[str, Any]:
        """Give what the head of a run says that makes a schema like this one; :func:`included` does so of a version."""
        return {"base": self.base, INCLUDED: [[m.version, m.slug, m.digest] for m in self.done]}

    def after(self, migrations: Iterable[Migration]) -> Applied:
        """Give what it will have had after some more."""
        return replace(self, done=(*self.done, *migrations))

    def recorded(self, migrations: Iterable[Migration]) -> list[str]:
        """Give the digests that were recorded of some migrations that it has had."""
        rest, found = list(reversed(self.had)), list[Had]()
        for migration in migrations:
            found += [one for one in rest if migration.has_digest(one.digest) and one not in found][:1]
        return [one.digest for one in found]

    def refuse_foreign(self) -> None:
        """Refuse a database that was changed by migrations that are not these.

        Raises
        ------
        PipelineError
            If there are such; it names the first.
        """
        for one in self.foreign:
            same = next((m for m in self.history.migrations if (m.version, m.slug) == (one.version, one.slug)), None)
            if same is not None:
                raise PipelineError(
                    f"{same.path.name if same.path else same.title} was edited after it was applied.",
                    f"{self.history.schema} {one.version} in the database came from other operations than the file has "
                    "now.",
                    "Get the earlier file back from version control, and write a new migration for further changes.",
                    exit_code=ExitCode.CONFLICT,
                )
            raise PipelineError(
                f"The database has had {one.version}_{one.slug} of {self.history.schema}, which this code does not "
                "have.",
                "It comes from another branch, or the file was deleted.",
                "Merge that branch, or bring the file back.",
                exit_code=ExitCode.CONFLICT,
            )


def read(
    connection: dj.Connection, databases: Mapping[str, str], histories: Mapping[str, History]
) -> dict[str, Applied]:
    """Read what schemas have had, from journals that are there; with three queries, however many schemas there are.

    Parameters
    ----------
    connection : datajoint.Connection
        Where to read.
    databases : mapping
        Name on the server of each schema; all of them have a journal.
    histories : mapping
        What is on disk, by schema.
    """
    heads = steplog.heads(connection, databases)
    base, had = dict.fromkeys(databases, "0"), {name: list[Had]() for name in databases}
    for record in journal.history(connection, databases):
        if record.status != journal.DONE:
            continue  # which is not known yet, or was withdrawn
        name, head = record.schema, heads.get((record.schema, record.id), {})
        match record.kind:
            case "purge" | "restore":
                pass  # which change no version
            case "draft" if not head:
                pass  # one of these while the tables are a draft
            case "migrate" if head.get("digest"):
                had[name].append(Had(record.version, str(head.get("slug")), str(head["digest"])))
            case "migrate" if head.get(RENUMBERED):
                pass  # of what was had before
            case "rollback":
                had[name] = _without(had[name], record.version, head)
                base[name] = min(base[name], record.version, key=Version)
            case "draft" | "migrate" if head.get("slug") == journal.DRAFT:
                pass  # the version stays what it was
            case "init" if (made := _made(histories[name], head)) is not None:
                base[name], had[name] = made
            case _:
                base[name], had[name] = record.version, []
    return {name: Applied.of(histories[name], base[name], had[name]) for name in databases}


#: What the head of a run has that makes a schema as it is: the migrations that lead there.
INCLUDED = "included"


def included(history: History, version: str) -> dict[str, Any]:
    """Give what the head of a run says that makes a schema at a version."""
    found = [m for m in history.migrations if m.digest and Version(m.version) <= Version(version)]
    base = history.oldest.version if history.oldest is not None and found else version
    return {"base": base, INCLUDED: [[m.version, m.slug, m.digest] for m in found]}


def _made(history: History, head: Mapping[str, Any]) -> tuple[str, list[Had]] | None:
    """Read what :func:`included` gave; what came before the oldest snapshot of now is part of it.

    None where it says nothing, as up to release 0.8.1, or nothing that can be read.
    """
    oldest = history.oldest.version if history.oldest is not None else "0"
    try:
        had = [Had(str(version), str(slug), str(digest)) for version, slug, digest in head[INCLUDED]]
        base = max(str(head["base"]), oldest if had else "0", key=Version)
        return base, [one for one in had if Version(one.version) > Version(base)]
    except (LookupError, TypeError, ValueError, OverflowError):
        return None


#: What the head of a rollback has: the digests of the migrations that it took back.
UNDONE = "undone"

#: What the head of a run has that records the version of what was had before.
RENUMBERED = "renumbered"


def _without(had: list[Had], version: str, head: Mapping[str, Any]) -> list[Had]:
    """Give what is left after a rollback to a version.

    Releases up to 0.8.1 recorded no more than that version.
    """
    undone = head.get(UNDONE)
    if not isinstance(undone, list):
        return [one for one in had if Version(one.version) <= Version(version)]
    rest = list(had)
    for one in reversed(had):
        if one.digest in undone:
            undone = [digest for digest in undone if digest != one.digest]
            rest.remove(one)
    return rest
