"""The management code of this pipeline: plain Python, the template's, the same in every project.

It keeps the database and the code together: which version each schema has, what is pending, and how to get there.
`python -m <package>.manage` is the command line. Importing this package imports nothing heavy and connects to nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import datajoint as dj

__all__ = ["initialize", "open_schema"]


def open_schema(name: str) -> dj.Schema:
    """The schema of a module, once the database is known to fit the code.

    Parameters
    ----------
    name : str
        The schema's name in ``SCHEMA_VERSIONS``; its name on the server follows from the environment.

    Returns
    -------
    datajoint.Schema
        An activated schema, to decorate table classes with.

    Raises
    ------
    PipelineError
        If the database cannot be reached, or has another version of the schema than the code.
    """
    from . import guard

    return guard.open_schema(name)


def initialize(environment: str | None = None) -> None:
    """Make what is missing in an empty database and record the versions, as the command ``init`` does.

    Parameters
    ----------
    environment : str, optional
        ``local``, ``dev`` or ``prod``; what is meant when nothing is said, otherwise.

    Raises
    ------
    PipelineError
        If the database cannot be reached or holds tables that nobody recorded.
    """
    from . import environment as environments
    from .running import runner

    runner.initialize(environments.select(environment))
