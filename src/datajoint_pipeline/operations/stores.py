"""Attributes whose values are objects in a store; DataJoint takes those for garbage that no attribute refers to."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from ..schema import definition
from ..schema.model import Table, TableName


def stored(table: Table) -> set[str]:
    """Give the attributes whose values are in an object store."""
    return {attribute.name for attribute in table.attributes if re.match(r"<\w+@", attribute.type)}


def left_behind(name: TableName, attributes: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Give the notices on attributes that DataJoint no longer sees, of a table by its name before."""
    for attribute in sorted(attributes):
        title = f"{definition.title(name)}.{attribute}"
        yield (
            "objects",
            f"Objects of {title} are garbage to DataJoint: collect no garbage before purge, as rollback needs them.",
        )
