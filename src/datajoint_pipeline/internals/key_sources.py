"""The queries that give the keys of a table that is populated, where a class has one of its own."""

from __future__ import annotations

from typing import Any, NamedTuple


class Query(NamedTuple):
    """A query for keys.

    Parameters
    ----------
    sql : str
        Its text, with ``%`` doubled, as DataJoint hands texts to the drivers.
    attributes : tuple of str
        The attributes that it gives.
    tables : tuple of str
        The full names of the tables that it reads, quoted as the server has them.
    """

    sql: str
    attributes: tuple[str, ...]
    tables: tuple[str, ...]


def own(table: Any) -> Query | None:
    """Give the query for the keys of a table class that has a ``key_source`` of its own; None where it has DataJoint's.

    Parameters
    ----------
    table : type
        A class of an Imported or Computed table that is there. No job table is made or looked at.

    Raises
    ------
    Exception
        What DataJoint raises where the query does not fit the tables.
    """
    from datajoint.autopopulate import AutoPopulate

    if (
        next(vars(c)["key_source"] for c in table.__mro__ if "key_source" in vars(c))
        is vars(AutoPopulate)["key_source"]
    ):
        return None
    todo = table()._jobs_to_do(())
    return Query(todo.make_sql(), tuple(todo.primary_key), tuple(str(name) for name in todo.support))
