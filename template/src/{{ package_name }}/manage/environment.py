"""Which database is meant, and the connection to it.

``local`` is the embedded PostgreSQL of the project; ``dev`` and ``prod`` are the server that DataJoint's own
configuration names. ``test`` is what the tests and ``check`` work in: on the embedded server a database of its own,
on a real one schemas of their own. Credentials come from DataJoint's configuration alone.
"""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import project
from .errors import PipelineError
from .servers import hazards, local, settings, tls, trouble

if TYPE_CHECKING:
    import datajoint as dj

LOCAL, DEV, PROD, TEST = "local", "dev", "prod", "test"

#: Environments that a person names; ``test`` is for tests.
NAMES = (LOCAL, DEV, PROD)


@dataclass(frozen=True)
class Environment:
    """A database that the pipeline lives in.

    Parameters
    ----------
    name : str
        ``local``, ``dev``, ``prod`` or ``test``.
    prefix : str
        What stands before every schema's name on the server.
    embedded : bool
        Whether the server is the project's own.
    catalog : str
        Database of the embedded server; empty elsewhere.
    said : bool
        Whether a person named the environment on the very command, which changing ``prod`` asks for.
    """

    name: str
    prefix: str
    embedded: bool
    catalog: str = ""
    said: bool = False

    def database(self, schema: str) -> str:
        """Name of a schema on the server."""
        return self.prefix + schema


_selected: Environment | None = None
_connection: dj.Connection | None = None


def select(name: str | None = None, *, said: bool = False) -> Environment:
    """Choose the environment of this process; without a name, the one that is meant when nothing is said.

    Raises
    ------
    PipelineError
        If there is no such environment, or this process is already connected to another.
    """
    global _selected
    own = project.current()
    if name is None and _selected is not None:
        return _selected
    name = name or os.environ.get(own.variable("ENV")) or own.default_environment
    match name:
        case "local":
            environment = Environment(name, own.prefix, embedded=True, catalog="pipeline", said=said)
        case "dev":
            environment = Environment(name, f"dev_{own.prefix}", embedded=False, said=said)
        case "prod":
            environment = Environment(name, own.prefix, embedded=False, said=said)
        case "test":
            token = os.environ.get(own.variable("TEST_ID"), "run")
            embedded = not os.environ.get("DJ_HOST")
            catalog = f"test_{token}" if embedded else ""
            environment = Environment(name, f"test_{token}_{own.prefix}", embedded, catalog, said)
        case _:
            raise PipelineError(
                f"There is no environment {name!r}.",
                f"It was named by --env or {own.variable('ENV')}; there are {', '.join(NAMES)}.",
                f"Say for example {own.command} --env local status.",
            )
    if _connection is not None and _selected is not None and _selected.name != environment.name:
        raise PipelineError(
            f"This process works on {_selected.name} and cannot change to {environment.name}.",
            "DataJoint keeps one connection a process, and the table classes are bound to it.",
            f"Start a new process (in a notebook, restart the kernel) with {own.variable('ENV')}={environment.name}.",
        )
    _selected = environment
    return environment


def require_said(environment: Environment, action: str) -> None:
    """Refuse to change ``prod`` unless the command itself names it."""
    if environment.name == PROD and not environment.said:
        own = project.current()
        raise PipelineError(
            f"{action} changes prod, and this command does not say --env prod.",
            f"prod was meant by {own.variable('ENV')} or by default, which is easily forgotten.",
            f"If prod is what you mean: {own.command} --env prod {action}",
        )


def connect(environment: Environment | None = None) -> dj.Connection:
    """The connection of this process, DataJoint's own, to the environment's server.

    Starts the embedded server where it is needed. Connects once.

    Raises
    ------
    PipelineError
        If the configuration is broken, the server cannot be reached or refuses, or TLS is asked for and not in force.
    """
    global _connection
    environment = environment or select()
    if _connection is None:
        config = settings.load(project.current())
        if environment.embedded:
            _point_to_embedded(config, environment)
        else:
            settings.refuse_placeholders(project.current())
        names = map(environment.database, project.current().versions)
        hazards.refuse_databases(config["database.backend"], names)
        _connection = _open(config, environment)
    return _connection


def _point_to_embedded(config: Any, environment: Environment) -> None:
    own = project.current()
    server = local.start(own.local_directory)
    local.create_database(server, environment.catalog)
    config["database.backend"] = "postgresql"
    config["database.host"] = server.host
    config["database.port"] = server.port
    config["database.user"] = local.USER
    config["database.password"] = ""
    config["database.name"] = environment.catalog
    config["database.use_tls"] = False
    for name, store in config.stores.items():
        if isinstance(store, dict):
            folder = own.local_directory / "stores" / environment.catalog / name
            folder.mkdir(parents=True, exist_ok=True)
            config.stores[name] = _as_folder(store, folder)


def _as_folder(store: dict[str, Any], folder: Path) -> dict[str, Any]:
    # The layout of a store is part of what is tried out locally; only its place and protocol change.
    layout = ("subfolding", "partition_pattern", "token_length", "hash_prefix", "schema_prefix", "filepath_prefix")
    return {"protocol": "file", "location": str(folder), **{key: store[key] for key in layout if key in store}}


def _open(config: Any, environment: Environment) -> dj.Connection:
    where = describe(config, environment)
    said: list[logging.LogRecord] = []

    def hold_back(record: logging.LogRecord) -> bool:
        said.append(record)
        return False

    # What DataJoint says on the way to a failure only hides the reason; on the way to a connection it is said.
    logger = logging.getLogger("datajoint")
    logger.addFilter(hold_back)
    try:
        connection = tls.connect(config, project.current())
    except Exception as error:  # the drivers' own exceptions have no common base
        raise _unreachable(error, where, config, environment) from error
    finally:
        logger.removeFilter(hold_back)
    for record in said:
        logger.handle(record)
    if config["database.use_tls"] is True and not tls.in_force(connection):
        connection.close()
        raise PipelineError(
            f"The connection to {where} is not encrypted.",
            "database.use_tls asks for TLS and the server has none in force.",
            "Have TLS switched on at the server.",
        )
    return connection


def describe(config: Any, environment: Environment) -> str:
    """The server in words, without a credential."""
    if environment.embedded:
        return "the embedded PostgreSQL in .local"
    kind = {"mysql": "MySQL", "postgresql": "PostgreSQL"}[config["database.backend"]]
    return f"the {kind} server at {config['database.host']}:{config['database.port']}"


def _unreachable(error: Exception, where: str, config: Any, environment: Environment) -> PipelineError:
    own = project.current()
    why = trouble.reason(error)
    text = why.lower()
    if found := tls.trouble(error, str(config["database.host"]), config["database.use_tls"]):
        why, do = found
    elif "not configured" in text:
        do = f"Run {own.command} secrets to write user and password to .secrets/, or set DJ_USER and DJ_PASS."
    elif "denied" in text or "authentication" in text or "cryptography" in text:
        do = f"Check user and password ({own.command} doctor shows where they come from)."
    elif environment.embedded:
        do = f"See .local/pg.log, and try {own.command} local stop, then {own.command} local start."
    else:
        do = (
            f"Check that the server runs and that host and port in datajoint.json are right ({own.command} doctor), "
            f"or work without a server: {own.command} --env local ..."
        )
    return PipelineError(f"Cannot connect to {where}.", why, do)
