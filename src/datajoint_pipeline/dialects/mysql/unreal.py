"""Days that there are not, as ``2021-02-30``: MySQL takes them by ALLOW_INVALID_DATES, and copies no table with them.

Those with zeros, ``0000-00-00``, it does copy in the sessions of a migration.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ...operations.structure import Tables
from ...schema.model import Table
from ..base import Dialect
from ..steps import Probe


def days(dialect: Dialect, tables: Tables, table: Table) -> Iterator[Probe]:
    """Give the queries for such days in a table, as it is before."""
    for attribute in table.attributes:
        if re.match("date", dialect.column(tables, table, attribute).core):
            column = dialect.quote(attribute.name)
            unreal = f"DAYOFMONTH({column}) > 28 AND CAST(LEFT(CAST({column} AS CHAR), 10) AS DATE) IS NULL"
            sql = f"SELECT COUNT(*) FROM {dialect.full(table.name)} WHERE {unreal}"
            yield Probe("null", (attribute.name,), sql, f"values of {attribute.name} that name no day of the calendar")
