"""Refuse names of databases that a server has in another spelling, so that nothing is found under them again."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from ..errors import PipelineError
from .choice import dialect_of

if TYPE_CHECKING:
    import datajoint as dj


def refuse_changed(connection: dj.Connection, databases: Iterable[str]) -> None:
    """Raise where a database would be called otherwise than the code calls it.

    Parameters
    ----------
    connection : datajoint.Connection
        Whose server.
    databases : iterable of str
        Names on the server of the schemas in the code.
    """
    changed = next((database for database in databases if database != database.lower()), "")
    query = dialect_of(connection).small_letters
    if changed and query and connection.query(query, args=None).fetchone()[0]:
        raise PipelineError(
            f"{changed} is called {changed.lower()} on this server.",
            "By its lower_case_table_names, names are in small letters there, and DataJoint looks for the other one.",
            "Write the prefix in the package's __init__.py, or the name of the schema in version.py, in small letters.",
        )
