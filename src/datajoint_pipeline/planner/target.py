"""The database that a command works on, and the code that belongs to it: all that this layer knows of a project."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..history.files import Files
from ..internals.code import Code
from ..schema.model import Table, TableName

if TYPE_CHECKING:
    import datajoint as dj


#: Called with what a person has to know before, or while, something goes on.
Warn = Callable[[str], None]

#: The environments. People name all but ``test``, which is for tests and `check`.
LOCAL, DEV, BRANCH, PROD, TEST = "local", "dev", "branch", "prod", "test"


@dataclass(frozen=True)
class Target:
    """The database that a command works on, and the code that belongs to it.

    Parameters
    ----------
    connection : datajoint.Connection
        The session to work with.
    name : str
        What the pipeline is called; its lock and its backups are named after it.
    environment : str
        ``local``, ``dev``, ``branch``, ``prod`` or ``test``.
    prefix : str
        What stands before the pipeline's names on the server.
    database_of : callable
        Gives the name of a schema on the server.
    files : Files
        Versions of the code, migrations and snapshots.
    backups : Path
        Folder for the files that keep values before they are lost.
    program : str
        What people type to run a command.
    commit : callable
        Gives the git commit of the code, for the journal.
    software : callable
        Gives the versions of the packages at work, for the journal.
    read_code : callable
        Gives the tables as the code declares them.
    warn : callable
        Called with what may go wrong before a change, and with whom it waits for.
    """

    connection: dj.Connection
    name: str
    environment: str
    prefix: str
    database_of: Callable[[str], str]
    files: Files
    backups: Path
    program: str
    commit: Callable[[], str]
    software: Callable[[], str]
    read_code: Callable[[], Code]
    warn: Warn = lambda text: None

    @property
    def versions(self) -> Mapping[str, str]:
        """Give the version of each schema in the code, in dependency order."""
        return self.files.versions

    @property
    def command(self) -> str:
        """Give what people type to run a command on this database."""
        return f"{self.program} --env {self.environment}"

    @property
    def lock(self) -> str:
        """Give the name of the pipeline's lock on the server."""
        return self.prefix + self.name

    @property
    def databases(self) -> dict[str, str]:
        """Give the name on the server of each schema that has a version."""
        return {schema: self.database(schema) for schema in self.versions}

    def database(self, schema: str) -> str:
        """Give the name of a schema on the server."""
        return self.database_of(schema)

    def code_tables(self) -> dict[TableName, Table]:
        """Read every table of the code whose schema has a version."""
        return self.read_code().tables(self.versions)
