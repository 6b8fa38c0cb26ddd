"""Refuses `contents` of Lookup tables with characters that a database lacks: DataJoint puts them in at each import."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ..dialects.base import Dialect
from ..dialects.constraints import names
from ..operations.structure import Tables
from ..schema.model import TableName
from ..schema.notation import is_text
from .deployment import Deployment
from .plan import Group

#: The rows that a Lookup table comes with.
Rows = list[dict[str, Any]]


def refuse(dialect: Dialect, tables: Tables, contents: Mapping[TableName, Rows]) -> None:
    """Raise where tables could not have the rows that they come with.

    Parameters
    ----------
    dialect : Dialect
        The server's.
    tables : mapping of TableName to Table
        Every table as it is to be.
    contents : mapping of TableName to list of dict
        The rows.

    Raises
    ------
    PipelineError
        If the server would refuse one, whenever a module is imported.
    """
    for name, rows in contents.items():
        if name in tables:
            dialect.refuse_characters(name, _texts(dialect, tables, name, rows), f"contents of {name}")


def _texts(dialect: Dialect, tables: Tables, name: TableName, rows: Rows) -> Iterator[tuple[str, str]]:
    columns = dialect.columns(tables, tables[name])
    for row in rows:
        for attribute, value in row.items():
            if isinstance(value, str) and attribute in columns and is_text(columns[attribute].core):
                yield attribute, value


def refuse_new(deployment: Deployment, groups: Iterable[Group]) -> None:
    """Raise where groups make Lookup tables that could not have the rows with which the code has them; see above.

    The code is read only where a database does not have all characters.
    """
    dialect = deployment.dialect(names(deployment.catalogue), {}, {})
    new = {
        name: table
        for group in groups
        for name, table in group.after.items()
        if name not in deployment.tables and table.tier == "Lookup" and dialect.lacks_characters(name)
    }
    if new and deployment.target.files.editable:
        code = deployment.target.read_code()
        tables = code.tables(deployment.target.versions)
        refuse(dialect, tables, {name: rows for name, rows in code.contents.items() if name in new})
