"""Whether the texts of two tables of MySQL compare: the server takes no foreign key between two collations."""

from __future__ import annotations

from collections.abc import Mapping

from ...errors import PipelineError
from ...schema.model import Table
from ...schema.notation import is_text
from ..base import Dialect
from ..steps import Column


def refuse(dialect: Dialect, table: Table, columns: Mapping[str, Column]) -> None:
    """Raise where a new foreign key of a table would lead to texts of another collation.

    Parameters
    ----------
    dialect : Dialect
        MySQL's.
    table : Table
        As it is to be.
    columns : mapping
        Its columns then, by name.
    """
    here, known = dialect.place(table.name), dialect.names.tables.get(dialect.place(table.name))
    had = {(key.attributes, key.parent) for key in known.foreign_keys} if known else set()
    for key in table.foreign_keys:
        there = dialect.place(key.parent)
        ours, theirs = (dialect.names.collation(place) for place in (here, there))
        # Where one is not there yet, it will be whatever the server has for new databases.
        if ours == theirs or not ours or not theirs or (key.attributes, there) in had:
            continue
        texts = [n for n in key.attributes if is_text(columns[n].core) or columns[n].core.startswith("enum(")]
        if texts:
            raise PipelineError(
                f"{table.name} cannot refer to {key.parent} by {texts[0]}.",
                f"Its texts have the collation {ours}, and those of {key.parent} {theirs}, which MySQL does not "
                "compare; nothing was changed.",
                f"With SET foreign_key_checks = 0, give {there[0]} and each of its tables the other: ALTER DATABASE … "
                f"COLLATE {ours}, ALTER TABLE … CONVERT TO CHARACTER SET {ours.partition('_')[0]} COLLATE {ours}.",
            )
