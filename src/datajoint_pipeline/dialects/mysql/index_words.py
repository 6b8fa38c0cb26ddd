"""How MySQL writes the expressions of indexes that are still to be made: ``mod(x, 7)`` becomes ``x % 7``.

An index that the server writes in other words than the definition has cannot be told from another one, and once it is
made, a run can neither end nor be taken back.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from ... import server_errors
from ...quoting import quoted
from ...schema import notation
from ...schema.naming import shorten
from ..constraints import Place
from ..steps import Column

if TYPE_CHECKING:
    import datajoint as dj


def written(
    connection: dj.Connection, place: Place, columns: Iterable[Column], expressions: Iterable[str]
) -> dict[str, str]:
    """Give expressions as the server writes them, in normal form; none that it refuses, or may not be asked for.

    Parameters
    ----------
    connection : datajoint.Connection
        Where to ask, by a table that only this session has.
    place : Place
        Where the index is to be.
    columns : iterable of Column
        Those of its table.
    expressions : iterable of str
        What it is over, in normal form.
    """
    table = f"{quoted(connection, place[0])}.{quoted(connection, shorten(f'~try_{place[1]}'))}"
    found, columns = dict[str, str](), list(columns)
    for expression in expressions:
        used = [column for column in columns if re.search(rf"\b{re.escape(column.name)}\b", expression)]
        listed = ", ".join(f"{quoted(connection, column.name)} {column.sql}" for column in used)
        try:
            # A server may take no table without a key.
            sql = f"CREATE TEMPORARY TABLE {table} ({listed}, `~` bigint PRIMARY KEY, INDEX `~i` ({expression}))"
            connection.query(sql, args=None, reconnect=False)
            shown = str(connection.query(f"SHOW CREATE TABLE {table}", args=None, reconnect=False).fetchone()[1])
        except Exception as error:
            if (known := server_errors.of(error)) and known not in (server_errors.ACCESS, server_errors.READ_ONLY):
                raise
            continue
        finally:
            connection.query(f"DROP TEMPORARY TABLE IF EXISTS {table}", args=None, reconnect=False)
        if match := re.search(r"KEY `~i` \((.*)\),?$", shown, re.M):
            found[expression] = notation.normal_expression(match[1])
    return found
