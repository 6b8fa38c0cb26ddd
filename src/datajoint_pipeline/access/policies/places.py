"""Where DataJoint 2.3 puts objects of a schema: ``<location>/_hash/<schema>/`` and ``<location>/_schema/<schema>/``.

The sections have the names of the store's settings (``hash_prefix``, ``schema_prefix``, ``filepath_prefix``), and a
schema that of the database. A policy is told per schema and never per table: ``staged_insert1`` writes below the class
name, all else below the table's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ...errors import PipelineError
from .needs import BRANCHES

#: What means something in a policy of one of the servers: wildcards, variables, quotes, escapes.
_SPECIAL = re.compile(r"""[*?$'"\\{}\x00-\x1f\x7f]""")

#: The setting that holds the name of the bucket, by protocol.
_BUCKET = {"s3": "bucket", "gcs": "bucket", "azure": "container"}


@dataclass(frozen=True)
class Store:
    """A store, as far as policies are about it.

    Parameters
    ----------
    name : str
        Its name in ``datajoint.json``.
    protocol : str
        ``file``, ``s3``, ``gcs`` or ``azure``.
    bucket : str
        Bucket or container; empty for ``file``.
    location : str
        What stands before everything within it; of a ``file`` store the folder.
    hash_prefix, schema_prefix : str
        Names of the two sections that DataJoint manages.
    filepath_prefix : str
        Name of the section that ``<filepath@>`` keeps to; empty where it may be anywhere.
    """

    name: str
    protocol: str
    bucket: str
    location: str
    hash_prefix: str = "_hash"
    schema_prefix: str = "_schema"
    filepath_prefix: str = ""

    def sections(self, database: str) -> tuple[str, ...]:
        """Give the beginnings of the names of all objects of a schema, each ending with a slash; of those of branches
        for :data:`~.needs.BRANCHES`.
        """
        if database == BRANCHES:
            return (self._within(BRANCHES),)
        names = (
            f"{prefix}/{database}/" if prefix else f"{database}/" for prefix in (self.hash_prefix, self.schema_prefix)
        )
        return tuple(dict.fromkeys(self._within(name) for name in names))

    @property
    def files(self) -> str:
        """Give the beginning of the names of files that ``<filepath@>`` refers to; empty where it may be anything."""
        return self._within(f"{self.filepath_prefix}/") if self.filepath_prefix else ""

    def _within(self, name: str) -> str:
        if self.protocol == "file":
            return f"{self.location.rstrip('/')}/{name}"
        return f"{self.location}/{name}" if self.location else name


def store(name: str, settings: Mapping[str, Any]) -> Store:
    """Read the settings of a store, as DataJoint completes them (``get_store_spec``).

    Raises
    ------
    PipelineError
        If no policy can be told for it: its objects do not lie below their schemas, or a name would mean something else
        in a policy.
    """
    protocol = str(settings.get("protocol", "")).lower()
    where = f'the settings of the store {name} in "stores" of datajoint.json'
    if protocol not in ("file", *_BUCKET):
        raise PipelineError(
            f"There is no policy for the store {name}.",
            f"Its protocol is {protocol!r}; policies are known for file, s3, gcs and azure.",
            "Ask who made that storage adapter what an account needs.",
        )
    if settings.get("partition_pattern"):
        raise PipelineError(
            f"Rights in the store {name} cannot be told by schema.",
            f"With partition_pattern, DataJoint puts {settings['partition_pattern']} before the name of the schema.",
            f"Take partition_pattern out of {where}, or give each group of people a store of their own.",
        )
    prefixes = {
        key: str(settings.get(key) or "").strip("/") for key in ("hash_prefix", "schema_prefix", "filepath_prefix")
    }
    found = Store(
        name,
        protocol,
        str(settings.get(_BUCKET.get(protocol, ""), "")),
        str(settings.get("location") or ""),
        **prefixes,
    )
    for value in (found.bucket, found.location, *prefixes.values()):
        _refuse_special(value, where)
    return found


def refuse_names(place: Store, databases: Iterable[str]) -> None:
    """Refuse schemas whose name would mean something else in a policy, or is that of a whole section.

    Raises
    ------
    PipelineError
        For the first of them.
    """
    for database in databases:
        _refuse_special(database, "the name of the schema", f"{_SPECIAL.pattern}|/")
        sections = [place.hash_prefix, place.schema_prefix, place.filepath_prefix]
        if not all(sections[:2]) and database in {prefix.partition("/")[0] for prefix in sections}:
            raise PipelineError(
                f"Rights on the schema {database} would be rights on all of a section of the store {place.name}.",
                "One of its prefixes is empty, so schemas and sections lie side by side.",
                "Give the schema, or the section, another name.",
            )


def _refuse_special(value: str, where: str, special: str = _SPECIAL.pattern) -> None:
    if found := re.search(special, value):
        raise PipelineError(
            f"No policy can name {value!r}.",
            f"{found[0]!r} means something else there; it stands in {where}.",
            "Choose a name of letters, digits, dots, dashes and underscores.",
        )
