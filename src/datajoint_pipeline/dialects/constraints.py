"""The names that a server knows keys, indexes and enum types by: they are not in the model, and no rule gives them.

DataJoint, the servers and their versions name things differently, so names are taken from what the catalogue said and
followed while steps are lowered: what a step will rename, add or drop is so in :class:`Names` from then on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from ..errors import PipelineError
from ..schema.model import Index
from . import catalog
from .catalog import Place as Place

if TYPE_CHECKING:
    import datajoint as dj


@dataclass(frozen=True)
class KeyName:
    """A foreign key and what it is called."""

    name: str
    attributes: tuple[str, ...]
    parent: Place
    parent_attributes: tuple[str, ...]


@dataclass(frozen=True)
class IndexName:
    """An index and what it is called."""

    name: str
    index: Index


@dataclass
class TableNames:
    """The names of one table; ``enums`` has database and name of the type of each enum attribute."""

    primary_key: str = "PRIMARY"
    columns: list[str] = field(default_factory=list)
    foreign_keys: list[KeyName] = field(default_factory=list)
    indexes: list[IndexName] = field(default_factory=list)
    enums: dict[str, Place] = field(default_factory=dict)


@dataclass
class Names:
    """The names of every table of some databases.

    Parameters
    ----------
    tables : dict
        By database and table.
    taken : dict
        By database, other names that a new table, index or constraint cannot have.
    narrow : set
        Databases whose characters take one byte (MySQL).
    """

    tables: dict[Place, TableNames] = field(default_factory=dict)
    taken: dict[str, set[str]] = field(default_factory=dict)
    narrow: set[str] = field(default_factory=set)

    def table(self, place: Place) -> TableNames:
        """The names of a table; none for a table that is still to be made."""
        return self.tables.setdefault(place, TableNames())

    def key(self, place: Place, attributes: tuple[str, ...], parent: Place) -> KeyName:
        """A foreign key, by its attributes and where it leads."""
        for key in self.table(place).foreign_keys:
            if (key.attributes, key.parent) == (attributes, parent):
                return key
        raise _missing(place, f"foreign key ({', '.join(attributes)}) to {'.'.join(parent)}")

    def index(self, place: Place, index: Index) -> str:
        """The name of an index."""
        for known in self.table(place).indexes:
            if known.index == index:
                return known.name
        raise _missing(place, f"{'unique ' * index.unique}index ({', '.join(index.columns)})")

    def in_use(self, database: str) -> set[str]:
        """Names that a new table, index or constraint of a database cannot have."""
        names = set(self.taken.get(database, ()))
        for (place, table), found in self.tables.items():
            if place == database:
                names |= {table, found.primary_key, *(key.name for key in found.foreign_keys)}
                names |= {index.name for index in found.indexes}
        return names

    def rename_table(self, old: Place, new: Place) -> None:
        """Follow a table, and the foreign keys that lead to it."""
        self.tables[new] = self.tables.pop(old, TableNames())
        for table in self.tables.values():
            table.foreign_keys = [replace(k, parent=new) if k.parent == old else k for k in table.foreign_keys]

    def rename_attributes(self, place: Place, renamed: Mapping[str, str]) -> None:
        """Follow attributes of a table, also in the foreign keys that lead to it."""
        if not renamed:
            return

        def new(names: tuple[str, ...]) -> tuple[str, ...]:
            return tuple(renamed.get(name, name) for name in names)

        own = self.table(place)
        own.columns = list(new(tuple(own.columns)))
        own.enums = {renamed.get(name, name): type_ for name, type_ in own.enums.items()}
        own.indexes = [replace(i, index=replace(i.index, columns=new(i.index.columns))) for i in own.indexes]
        own.foreign_keys = [replace(key, attributes=new(key.attributes)) for key in own.foreign_keys]
        for table in self.tables.values():
            table.foreign_keys = [
                replace(k, parent_attributes=new(k.parent_attributes)) if k.parent == place else k
                for k in table.foreign_keys
            ]


def _missing(place: Place, what: str) -> PipelineError:
    return PipelineError(
        f"{'.'.join(place)} has no {what}.", "The database is not what the migration starts from.", "Run status."
    )


def plan(before: list[Index], after: list[Index]) -> tuple[list[Index], list[Index]]:
    """Indexes to drop and to add; one that is there twice counts twice."""
    gone, come = Counter(before) - Counter(after), Counter(after) - Counter(before)
    return list(gone.elements()), list(come.elements())


def read(connection: dj.Connection, databases: Mapping[str, str]) -> Names:
    """The names in the databases of some schemas.

    Parameters
    ----------
    connection : datajoint.Connection
        Where to read.
    databases : dict
        Name on the server of each schema in the code.
    """
    return names(catalog.find(connection, databases))


def names(catalogue: catalog.Catalogue) -> Names:
    """The names in what a server told."""
    return Names(
        {place: _of(found) for place, found in catalogue.tables.items() if place[1]},
        {database: set(taken) for database, taken in catalogue.taken.items()},
        set(catalogue.narrow),
    )


def _of(found: catalog.Found) -> TableNames:
    return TableNames(
        found.key_name,
        [column.name for column in found.columns],
        [KeyName(r.name, r.attributes, r.parent, r.parent_attributes) for r in found.references],
        [IndexName(name, index) for name, index in zip(found.index_names, found.indexes, strict=True)],
        dict(found.enums),
    )
