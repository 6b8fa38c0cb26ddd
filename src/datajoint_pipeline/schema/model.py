"""Tables as plain values in DataJoint's terms, the same for MySQL and PostgreSQL, and their fingerprint.

What follows from something else is not part of the value: the type and comment of an attribute that a foreign key
brings are the parent's, and the index that a foreign key needs is implied. Two values are equal exactly when DataJoint
would declare the same table. This module knows neither databases nor Python classes.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from functools import cache, cached_property
from typing import Any, NamedTuple

#: Tiers by the prefix that a table's name has on the server, the longest first.
TIERS = {"__": "Computed", "_": "Imported", "#": "Lookup", "": "Manual"}

#: The names on the server that DataJoint forms of classes.
_OF_CLASS = re.compile(r"(#|__?)?[a-z][a-z0-9]*(_[a-z0-9]+)*(__[a-z][a-z0-9]*(_[a-z0-9]+)*)?")


@dataclass(frozen=True)
class Attribute:
    """An attribute of a table.

    Parameters
    ----------
    name : str
        Its name; a leading ``_`` marks one that DataJoint itself adds and hides.
    type : str
        As a definition writes it (``int32``, ``varchar(32)``, ``<blob@main>``, ``enum('a', 'b')`` or a native type),
        in the normal form of :func:`notation.normal_type`. Empty for an inherited attribute, whose type is its
        parent's. Where a database stores something else than was declared, both: ``int32, stored as bigint``.
    nullable : bool
        Whether it may be null; then null is its default.
    default : str or None
        The default's value without quotes, or an expression such as ``CURRENT_TIMESTAMP``, in the normal form of
        :func:`notation.normal_default`; None where a value is required or null is the default.
    comment : str
        Its comment without the type marker. Empty for an inherited attribute.
    inherited : bool
        Whether a foreign key brings it.
    spelling : str
        The type as it was written, where that is another text; it makes no attribute differ from another, but
        DataJoint notes it in the column's comment.
    """

    name: str
    type: str
    nullable: bool = False
    default: str | None = None
    comment: str = ""
    inherited: bool = False
    spelling: str = field(default="", compare=False, metadata={"json": "written"})

    @property
    def hidden(self) -> bool:
        """Say whether DataJoint itself added it."""
        return self.name.startswith("_")


class TableName(NamedTuple):
    """The name of a table: the schema's name in the code (on the server, for one that the code does not know) and the
    table's name on the server, tier prefix included.

    A tuple, for tables are looked up by it a million times where there are a thousand of them.
    """

    schema: str
    table: str

    @property
    def title(self) -> str:
        """Give the name of the table's class: ``Recording`` or, for a part, ``Recording.Channel``."""
        return ".".join(_camel(part) for part in self.table.lstrip("_#").split("__"))

    def __str__(self) -> str:
        """Name the table as a person does, ``ephys.Recording``; as the server does where it is of no class."""
        of_class = _OF_CLASS.fullmatch(self.table) is not None
        return f"{self.schema}.{self.title if of_class else self.table}"


@dataclass(frozen=True)
class ForeignKey:
    """A foreign key: this table's attributes, and the parent's primary key in the same order."""

    attributes: tuple[str, ...]
    parent: TableName
    parent_attributes: tuple[str, ...]


@dataclass(frozen=True)
class Index:
    """An index over attributes or expressions (:func:`notation.normal_expression`).

    A unique foreign key is a foreign key and one of these.
    """

    columns: tuple[str, ...]
    unique: bool = False


@dataclass(frozen=True)
class Table:
    """A table.

    Parameters
    ----------
    name : TableName
        Where it is.
    attributes : tuple of Attribute
        In the order of the server.
    primary_key : tuple of str
        Names of its attributes, in the order of the key.
    foreign_keys : tuple of ForeignKey
        Sorted by parent and attributes.
    indexes : tuple of Index
        Those that are declared, not those that keys imply; sorted.
    comment : str
        Its comment.
    deviations : tuple of str
        What a database has and DataJoint would not have declared, in words, where no other field can say it; sorted.
    """

    name: TableName
    attributes: tuple[Attribute, ...]
    primary_key: tuple[str, ...]
    foreign_keys: tuple[ForeignKey, ...] = ()
    indexes: tuple[Index, ...] = ()
    comment: str = ""
    deviations: tuple[str, ...] = ()

    @cached_property
    def attribute(self) -> dict[str, Attribute]:
        """Attributes by name."""
        return {attribute.name: attribute for attribute in self.attributes}

    @cached_property
    def canonical(self) -> str:
        """Give the table as JSON, without the fields that are not compared."""
        return json.dumps(_plain(self, compared=True), sort_keys=True, ensure_ascii=False)

    @property
    def keys_in_order(self) -> list[ForeignKey]:
        """Foreign keys in the order of their attributes, a master's first: as near to the definition as can be."""
        places = {attribute.name: place for place, attribute in enumerate(self.attributes)}

        def place(key: ForeignKey) -> tuple[bool, list[int]]:
            return key.parent != self.master, sorted((places[a] for a in key.attributes), reverse=True)

        return sorted(self.foreign_keys, key=place)

    @property
    def tier(self) -> str:
        """``Manual``, ``Lookup``, ``Imported``, ``Computed`` or ``Part``."""
        if self.master is not None:
            return "Part"
        return next(tier for prefix, tier in TIERS.items() if self.name.table.startswith(prefix))

    @property
    def tier_of_rows(self) -> str:
        """Give the tier of whoever enters its rows: that of the master, for a part."""
        return self.tier if self.master is None else Table(self.master, (), ()).tier

    @cached_property
    def above(self) -> frozenset[TableName]:
        """The other tables that it has to come after: those that it refers to, and its master."""
        others = {key.parent for key in self.foreign_keys} | ({self.master} if self.master else set())
        return frozenset(others - {self.name})

    @property
    def master(self) -> TableName | None:
        """Give the master of a part table; None for any other."""
        bare = self.name.table.lstrip("_#")
        if "__" not in bare:
            return None
        prefix = self.name.table[: len(self.name.table) - len(bare)]
        return TableName(self.name.schema, prefix + bare.partition("__")[0])

    @property
    def title(self) -> str:
        """Give the name of the table's class: ``Recording`` or, for a part, ``Recording.Channel``."""
        return self.name.title


@dataclass(frozen=True)
class Schema:
    """The tables of a schema, sorted by name."""

    name: str
    tables: tuple[Table, ...]

    @classmethod
    def of(cls, name: str, tables: Mapping[TableName, Table]) -> Schema:
        """Give a schema of a pipeline, whose tables are given by name."""
        own = (table for place, table in tables.items() if place.schema == name)
        return cls(name, tuple(sorted(own, key=lambda table: table.name.table)))

    def __iter__(self) -> Iterator[Table]:
        return iter(self.tables)

    @cached_property
    def table(self) -> dict[str, Table]:
        """Tables by their name on the server."""
        return {table.name.table: table for table in self.tables}

    @cached_property
    def fingerprint(self) -> str:
        """64 hexadecimal digits that are equal exactly when the schemas are."""
        return hashlib.sha256(f"[{', '.join(table.canonical for table in self.tables)}]".encode()).hexdigest()


def _camel(name: str) -> str:
    return "".join(word.capitalize() for word in name.split("_"))


def table_name(tier: str, class_name: str, master: str | None = None) -> str:
    """Give the name on the server of a table class, as DataJoint forms it.

    Parameters
    ----------
    tier : str
        ``Manual``, ``Lookup``, ``Imported``, ``Computed``, or ``Part``.
    class_name : str
        CamelCase.
    master : str, optional
        The master's name on the server, for a part.
    """
    name = re.sub(r"(?<!^)(?=[A-Z])", "_", class_name.replace("_", "")).lower()
    if tier == "Part":
        return f"{master}__{name}"
    return {tier: prefix for prefix, tier in TIERS.items()}[tier] + name


def encode(schema: Schema) -> dict[str, Any]:
    """Give a schema as JSON, the form that journals and backups keep it in."""
    return {"name": schema.name, "tables": [_plain(table) for table in schema.tables]}


def _plain(value: Any, *, compared: bool = False) -> Any:
    # As dataclasses.asdict, which takes six times as long; ``compared`` leaves out what makes no value differ.
    if value is None or type(value) in (str, bool):
        return value
    if type(value) is TableName:
        return value._asdict()
    if type(value) is tuple:
        return [_plain(item, compared=compared) for item in value]
    kind: type = type(value)
    return {key: _plain(getattr(value, name), compared=compared) for name, key in _fields(kind, compared)}


@cache
def _fields(kind: Any, compared: bool) -> tuple[tuple[str, str], ...]:
    """Give the names of the fields of a class, and what journals and backups of every release call them."""
    listed = (field for field in fields(kind) if field.compare or not compared)
    return tuple((field.name, field.metadata.get("json", field.name)) for field in listed)


def decode(data: Mapping[str, Any]) -> Schema:
    """Read the schema that :func:`encode` wrote."""
    return Schema(data["name"], tuple(_decode_table(table) for table in data["tables"]))


def _decode_table(data: Mapping[str, Any]) -> Table:
    return Table(
        TableName(**data["name"]),
        tuple(_decode_attribute(attribute) for attribute in data["attributes"]),
        tuple(data["primary_key"]),
        tuple(
            ForeignKey(tuple(key["attributes"]), TableName(**key["parent"]), tuple(key["parent_attributes"]))
            for key in data["foreign_keys"]
        ),
        tuple(Index(tuple(index["columns"]), index["unique"]) for index in data["indexes"]),
        data["comment"],
        tuple(data["deviations"]),
    )


def _decode_attribute(data: Mapping[str, Any]) -> Attribute:
    return Attribute(**{name: data[key] for name, key in _fields(Attribute, False) if key in data})


def declared_indexes(
    primary_key: tuple[str, ...], foreign_keys: Iterable[ForeignKey], indexes: Iterable[Index]
) -> tuple[Index, ...]:
    """Give the indexes without those that keys imply, sorted.

    A foreign key needs an index that begins with its attributes. Where the primary key, another index or a longer
    foreign key has none, one over exactly these attributes is made, and one that is declared so cannot be told from it.
    """
    left = list(indexes)
    keys = {key.attributes for key in foreign_keys}
    for attributes in keys:
        implied = Index(attributes)
        others = [primary_key, *(i.columns for i in left if i != implied), *(key for key in keys if key != attributes)]
        if implied in left and not any(other[: len(attributes)] == attributes for other in others):
            left.remove(implied)
    return tuple(sorted(left, key=lambda index: (index.columns, index.unique)))
