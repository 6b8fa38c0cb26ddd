"""What a server tells of its databases: the values that the readers of both catalogues give.

It knows neither servers nor DataJoint. :mod:`mysql.catalog` and :mod:`postgresql.catalog` fill these values, and
:mod:`catalog` puts them into DataJoint's words.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ..schema.model import Index

#: Database and table, as a server has them.
Place = tuple[str, str]


class CatalogColumn(NamedTuple):
    """A column as the server has it.

    Parameters
    ----------
    name : str
        Its name.
    stored : str
        Its type, in MySQL's words.
    extra : str
        What else there is to it, such as a collation; empty for most.
    nullable : bool
        Whether it takes nulls.
    default : str or None
        Its default, an expression in parentheses.
    comment : str
        Its comment, with the type that DataJoint notes there.
    """

    name: str
    stored: str
    extra: str
    nullable: bool
    default: str | None
    comment: str


class Reference(NamedTuple):
    """A foreign key as the server has it; ``words`` say what DataJoint would not have declared of it."""

    name: str
    attributes: tuple[str, ...]
    parent: tuple[str, str]
    parent_attributes: tuple[str, ...]
    words: str


@dataclass
class CatalogTable:
    """A table as the server has it.

    Parameters
    ----------
    comment : str
        Its comment.
    columns : list of CatalogColumn
        In their order.
    primary_key : tuple of str
        Columns of the primary key.
    references : list of Reference
        Its foreign keys.
    indexes : list of Index
        Its other indexes.
    deviations : list of str
        What DataJoint would not have declared, in words.
    key_name : str
        Name of the primary key.
    index_names : list of str
        Names of the indexes, in the order of ``indexes``.
    enums : dict
        Database and name of the type of each enum column (PostgreSQL).
    old_format : str
        Its row format where that is ``compact`` or ``redundant``, as MySQL 5.6 made tables (MySQL).
    engine : str
        How it is stored (MySQL).
    collation : str
        Of its texts (MySQL).
    audited : bool
        Whether it has triggers of the audit, or those that stand in for them while it is changed.
    in_triggers : bool
        Whether a trigger of somebody else on these tables names it (MySQL).
    """

    comment: str
    columns: list[CatalogColumn] = field(default_factory=list)
    primary_key: tuple[str, ...] = ()
    references: list[Reference] = field(default_factory=list)
    indexes: list[Index] = field(default_factory=list)
    deviations: list[str] = field(default_factory=list)
    key_name: str = "PRIMARY"
    index_names: list[str] = field(default_factory=list)
    enums: dict[str, Place] = field(default_factory=dict)
    old_format: str = field(default="", compare=False)
    engine: str = field(default="", compare=False)
    collation: str = field(default="", compare=False)
    audited: bool = field(default=False, compare=False)
    in_triggers: bool = field(default=False, compare=False)


#: Tables by database and name; a database without tables is there as ``(database, "")``.
CatalogTables = dict[Place, CatalogTable]


@dataclass
class Catalogue:
    """Everything that a server tells of some databases.

    Parameters
    ----------
    tables : dict
        Hidden ones too; columns of those only as far as a migration may ask for them.
    taken : dict
        By database, names that a table or index cannot have, apart from those of tables and indexes.
    widths : dict
        The bytes that a character takes at most, by character set (MySQL).
    collations : dict
        Of the texts of new tables, by database; also of those that are still to be made (MySQL).
    letters : dict
        The characters of each character set that is used and does not have all (MySQL).
    orders : dict
        The values of enum types in their order, by database and name (PostgreSQL).
    """

    tables: CatalogTables = field(default_factory=dict)
    taken: dict[str, set[str]] = field(default_factory=dict)
    widths: dict[str, int] = field(default_factory=dict)
    collations: dict[str, str] = field(default_factory=dict)
    letters: dict[str, str] = field(default_factory=dict)
    orders: dict[Place, tuple[str, ...]] = field(default_factory=dict)


def encode(table: CatalogTable) -> dict[str, Any]:
    """Give a table as JSON."""
    return {
        "comment": table.comment,
        "columns": table.columns,
        "primary_key": table.primary_key,
        "references": table.references,
        "indexes": [[index.columns, index.unique] for index in table.indexes],
        "deviations": table.deviations,
        "key_name": table.key_name,
        "index_names": table.index_names,
        "enums": table.enums,
        **({"audited": True} if table.audited else {}),
        **({"in_triggers": True} if table.in_triggers else {}),
    }


def decode(data: Mapping[str, Any]) -> CatalogTable:
    """Read the table that :func:`encode` gave."""
    return CatalogTable(
        data["comment"],
        [CatalogColumn(*column) for column in data["columns"]],
        tuple(data["primary_key"]),
        [
            Reference(name, tuple(attributes), (parent[0], parent[1]), tuple(parent_attributes), words)
            for name, attributes, parent, parent_attributes, words in data["references"]
        ],
        [Index(tuple(columns), unique) for columns, unique in data["indexes"]],
        list(data["deviations"]),
        data["key_name"],
        list(data["index_names"]),
        {name: (database, type_) for name, (database, type_) in data["enums"].items()},
        audited=data.get("audited") is True,
        in_triggers=data.get("in_triggers") is True,
    )
