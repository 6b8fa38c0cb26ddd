"""The names of keys, indexes and enum types on a server: they are not in the model, and no rule gives them.

DataJoint, the servers and their versions name things differently. So names are read from the catalogue, and
:class:`Names` is kept up to date while a dialect makes steps: it says what the names are after the steps made so far.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from ..errors import PipelineError
from ..schema.model import Index
from . import catalog
from .introspection import CatalogTable, Catalogue
from .introspection import Place as Place

if TYPE_CHECKING:
    import datajoint as dj


@dataclass(frozen=True)
class KeyName:
    """A foreign key and its name; ``words`` say what DataJoint would not have declared of it."""

    name: str
    attributes: tuple[str, ...]
    parent: Place
    parent_attributes: tuple[str, ...]
    words: str = field(default="", compare=False)


@dataclass(frozen=True)
class IndexName:
    """An index and its name."""

    name: str
    index: Index


@dataclass
class TableNames:
    """The names of one table.

    Parameters
    ----------
    primary_key : str
        Of the constraint.
    key : tuple of str
        Its columns, of a table of jobs as it was before the steps.
    columns : list of str
        In their order.
    foreign_keys, indexes : list
        With their names.
    enums : dict
        Database and name of the type of each enum attribute (PostgreSQL).
    old_format : str
        Its row format where that is ``compact`` or ``redundant``, as MySQL 5.6 made tables (MySQL).
    engine : str
        How it is stored (MySQL).
    collation : str
        Of its texts (MySQL).
    audited : bool
        Whether its rows are audited.
    in_triggers : bool
        Whether a trigger of somebody else on these tables names it (MySQL).
    """

    primary_key: str = "PRIMARY"
    key: tuple[str, ...] = ()
    columns: list[str] = field(default_factory=list)
    foreign_keys: list[KeyName] = field(default_factory=list)
    indexes: list[IndexName] = field(default_factory=list)
    enums: dict[str, Place] = field(default_factory=dict)
    old_format: str = ""
    engine: str = ""
    collation: str = ""
    audited: bool = False
    in_triggers: bool = False


@dataclass
class Names:
    """The names of every table of some databases.

    Parameters
    ----------
    tables : dict
        By database and table.
    taken : dict
        By database, other names that a new table, index or constraint cannot have.
    widths : dict
        The bytes that a character takes at most, by character set (MySQL).
    collations : dict
        Of the texts of new tables, by database (MySQL).
    letters : dict
        The characters of each character set that is used and does not have all (MySQL).
    orders : dict
        The values of enum types in their order (PostgreSQL).
    """

    tables: dict[Place, TableNames] = field(default_factory=dict)
    taken: dict[str, set[str]] = field(default_factory=dict)
    widths: dict[str, int] = field(default_factory=dict)
    collations: dict[str, str] = field(default_factory=dict)
    letters: dict[str, str] = field(default_factory=dict)
    orders: dict[Place, tuple[str, ...]] = field(default_factory=dict)

    def table(self, place: Place) -> TableNames:
        """Give the names of a table; for one that is still to be made, an entry to be filled."""
        return self.tables.setdefault(place, TableNames())

    def collation(self, place: Place) -> str:
        """Give the collation of a table's texts, or of a new table's; empty where it is not known."""
        known = self.tables.get(place)
        return known.collation if known and known.collation else self.collations.get(place[0], "")

    def key(self, place: Place, attributes: tuple[str, ...], parent: Place) -> KeyName:
        """Find a foreign key by its attributes and its parent.

        Raises
        ------
        PipelineError
            If the table has none such.
        """
        for key in self.table(place).foreign_keys:
            if (key.attributes, key.parent) == (attributes, parent):
                return key
        raise _missing(place, f"foreign key ({', '.join(attributes)}) to {'.'.join(parent)}")

    def index(self, place: Place, index: Index) -> str:
        """Find the name of an index.

        Raises
        ------
        PipelineError
            If the table has none such.
        """
        for known in self.table(place).indexes:
            if known.index == index:
                return known.name
        raise _missing(place, f"{'unique ' * index.unique}index ({', '.join(index.columns)})")

    def in_use(self, database: str) -> set[str]:
        """Give the names that a new table, index or constraint of a database cannot have."""
        names = set(self.taken.get(database, ()))
        for (place, table), known in self.tables.items():
            if place == database:
                names |= {table, known.primary_key, *(key.name for key in known.foreign_keys)}
                names |= {index.name for index in known.indexes}
        return names

    def rename_table(self, old: Place, new: Place) -> None:
        """Rename a table, also in the foreign keys that lead to it."""
        self.tables[new] = self.tables.pop(old, TableNames())
        for table in self.tables.values():
            table.foreign_keys = [replace(k, parent=new) if k.parent == old else k for k in table.foreign_keys]

    def rename_attributes(self, place: Place, renamed: Mapping[str, str]) -> None:
        """Rename attributes of a table, by their names before, also in the foreign keys that lead to it."""
        if not renamed:
            return

        def new(names: tuple[str, ...]) -> tuple[str, ...]:
            return tuple(renamed.get(name, name) for name in names)

        known = self.table(place)
        known.columns = list(new(tuple(known.columns)))
        known.enums = {renamed.get(name, name): type_ for name, type_ in known.enums.items()}
        known.indexes = [replace(i, index=replace(i.index, columns=new(i.index.columns))) for i in known.indexes]
        known.foreign_keys = [replace(key, attributes=new(key.attributes)) for key in known.foreign_keys]
        for table in self.tables.values():
            table.foreign_keys = [
                replace(k, parent_attributes=new(k.parent_attributes)) if k.parent == place else k
                for k in table.foreign_keys
            ]


def _missing(place: Place, what: str) -> PipelineError:
    return PipelineError(
        f"{'.'.join(place)} has no {what}.", "The database is not what the migration starts from.", "Run status."
    )


def index_changes(before: list[Index], after: list[Index]) -> tuple[list[Index], list[Index]]:
    """Tell which indexes to drop and which to add; one that is there twice counts twice."""
    dropped, added = Counter(before) - Counter(after), Counter(after) - Counter(before)
    return list(dropped.elements()), list(added.elements())


def read(connection: dj.Connection, databases: Mapping[str, str]) -> Names:
    """Read the names in the databases of some schemas.

    Parameters
    ----------
    connection : datajoint.Connection
        Where to read.
    databases : dict
        Name on the server of each schema in the code.
    """
    return names(catalog.find(connection, databases))


def names(catalogue: Catalogue) -> Names:
    """Give the names in what was read of a catalogue."""
    return Names(
        {place: _of(found) for place, found in catalogue.tables.items() if place[1]},
        {database: set(taken) for database, taken in catalogue.taken.items()},
        dict(catalogue.widths),
        dict(catalogue.collations),
        dict(catalogue.letters),
        dict(catalogue.orders),
    )


def _of(found: CatalogTable) -> TableNames:
    return TableNames(
        found.key_name,
        found.primary_key,
        [column.name for column in found.columns],
        [KeyName(r.name, r.attributes, r.parent, r.parent_attributes, r.words) for r in found.references],
        [IndexName(name, index) for name, index in zip(found.index_names, found.indexes, strict=True)],
        dict(found.enums),
        found.old_format,
        found.engine,
        found.collation,
        found.audited,
        found.in_triggers,
    )
