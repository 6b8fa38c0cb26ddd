"""A state of the tables, as operations and the lines of migration files are given it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from ..errors import PipelineError
from ..schema import definition
from ..schema.model import Attribute, Table, TableName

#: Every table of a pipeline by where it is.
Tables = Mapping[TableName, Table]

#: What stands before the name of an attribute that is soft-deleted: dropped, and kept until `purge`.
SOFT_DELETED_ATTRIBUTE = "_dropped_"


@dataclass(frozen=True)
class LineContext:
    """The context of a line: the tables before it, and the schema whose migration it stands in; ``later`` has the names
    of tables that are still to come."""

    tables: Tables
    schema: str
    later: definition.More = None

    @cached_property
    def titles(self) -> definition.Titles:
        return definition.titles_of(self.tables, self.later)

    def title(self, name: TableName) -> str:
        """Give the name of a table as the line writes it."""
        return self.titles.of(name, self.schema)

    def table(self, name: str) -> TableName:
        """Find the table that the line means by a name."""
        return self.titles.find(name, self.schema)

    def attribute(self, name: str, attribute: str) -> Attribute:
        """Find an attribute of the table that the line means by a name."""
        found = self.tables.get(self.table(name))
        if found is None or attribute not in found.attribute:
            raise PipelineError(
                f"There is no attribute {attribute} in {name}.",
                "The migration does not continue the one before it." if found is None else f"{name} has others.",
                "Correct the line, or make the migration anew with revise.",
            )
        return found.attribute[attribute]
