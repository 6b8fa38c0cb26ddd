"""Connects to the database of an environment. Credentials come from DataJoint's configuration alone."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import server_errors
from ..embedded import server
from ..errors import PipelineError
from ..internals import declaration_checks, stores
from . import branches, settings, tls
from .environments import Environment
from .project import Project

if TYPE_CHECKING:
    import datajoint as dj


def connect(project: Project, config: Any, environment: Environment, *, limited: bool = True) -> dj.Connection:
    """Connect to the server of an environment; the embedded one is started where it is needed.

    Without ``limited``, its statements take as long as they take, whatever the account or the server has set.

    Raises
    ------
    PipelineError
        If the configuration is broken, the server cannot be reached or refuses, or TLS is asked for and not in force.
    """
    if environment.embedded:
        _point_to_embedded(config, project, environment)
    else:
        if environment.site is not None:
            environment.site.point(project, config)
        settings.refuse_placeholders(project, config)
    names = map(environment.database, project.versions)
    declaration_checks.refuse_databases(config["database.backend"], names)
    connection = _open(config, project, environment, limited=limited)
    if environment.branch:
        _point_to_branch(config, project, environment, connection)
    return connection


def _point_to_branch(config: Any, project: Project, environment: Environment, connection: dj.Connection) -> None:
    """Have what is written to stores lie in the branch's own place, which only its mark tells."""
    mark = branches.mark(connection, project, environment.branch)
    if mark is not None:
        branches.refuse_unfinished(mark, project.program)
        stores.set_sections(config, mark.place)


def _point_to_embedded(config: Any, project: Project, environment: Environment) -> None:
    running = server.start(project.local_directory)
    server.create_database(running, environment.catalog)
    config["database.backend"] = "postgresql"
    config["database.host"] = running.host
    config["database.port"] = running.port
    config["database.user"] = server.USER
    config["database.password"] = ""
    config["database.name"] = environment.catalog
    config["database.use_tls"] = False
    for name, store in config.stores.items():
        if isinstance(store, dict):
            folder = project.local_directory / "stores" / environment.catalog / name
            folder.mkdir(parents=True, exist_ok=True)
            config.stores[name] = _as_folder(store, folder)


def _as_folder(store: dict[str, Any], folder: Path) -> dict[str, Any]:
    # The layout of a store is part of what is tried out locally; only its place and protocol change.
    layout = ("subfolding", "partition_pattern", "token_length", "hash_prefix", "schema_prefix", "filepath_prefix")
    return {"protocol": "file", "location": str(folder), **{key: store[key] for key in layout if key in store}}


def _open(config: Any, project: Project, environment: Environment, *, limited: bool) -> dj.Connection:
    where = describe(config, environment)
    records: list[logging.LogRecord] = []

    def hold_back(record: logging.LogRecord) -> bool:
        records.append(record)
        return False

    # What DataJoint logs on the way to a failure hides the reason; on the way to a connection it is handed on.
    logger = logging.getLogger("datajoint")
    logger.addFilter(hold_back)
    try:
        connection = tls.connect(config, project, limited=limited)
    except Exception as error:  # the drivers' own exceptions have no common base
        raise _unreachable(_telling(error), where, config, project, environment) from error
    finally:
        logger.removeFilter(hold_back)
    near = config["database.use_tls"] is None and tls.is_near(str(config["database.host"]))
    for record in records:
        if not (near and "Falling back to non-SSL" in str(record.msg)):  # nothing is asked of a server on this machine
            logger.handle(record)
    if config["database.use_tls"] is True and not tls.in_force(connection):
        connection.close()
        raise PipelineError(
            f"The connection to {where} is not encrypted.",
            "database.use_tls asks for TLS, but the server does not use it.",
            "Have TLS switched on at the server.",
        )
    return connection


def describe(config: Any, environment: Environment) -> str:
    """Name the server in words, without a credential."""
    if environment.embedded:
        return "the embedded PostgreSQL in .local"
    kind = {"mysql": "MySQL", "postgresql": "PostgreSQL"}[config["database.backend"]]
    return f"the {kind} server at {config['database.host']}:{config['database.port']}"


def _telling(error: Exception) -> Exception:
    """Give the error that says why. A server names a lock or an expired password over TLS; DataJoint then tries without
    TLS, for which alone the same account may be refused.
    """
    first = error.__context__
    if isinstance(first, Exception) and any(words in str(first).lower() for words in (_LOCKED, _EXPIRED)):
        return first
    return error


#: What MySQL says of an account that may not log in for now.
_LOCKED, _EXPIRED = "account is locked", "password has expired"


def _access(project: Project, environment: Environment) -> str:
    return f"{project.program} --env {environment.name} access"


def _is_garbled(config: Any) -> bool:
    """Tell whether PyMySQL sends a password, in Latin-1, otherwise than it was set, in UTF-8."""
    return config["database.backend"] == "mysql" and not str(config["database.password"]).isascii()


def _unreachable(
    error: Exception, where: str, config: Any, project: Project, environment: Environment
) -> PipelineError:
    why = server_errors.reason(error)
    text = why.lower()
    # What the driver says of a connection that it did not get has no code.
    if getattr(error, "pgcode", None) and server_errors.of(error) is not server_errors.LOST:
        what = f"{where[0].upper()}{where[1:]} refused a statement that sets a session up."
        return PipelineError(what, why, "Ask an admin to take off what stops the account, then run the command again.")
    if found := tls.explain(error, str(config["database.host"]), config["database.use_tls"]):
        why, do = found
    elif "not configured" in text:
        lacking = [name for name in ("user", "password") if config[f"database.{name}"] is None]
        named = " and ".join(lacking or ["user", "password"])
        why = f"No {named} {'is' if len(lacking) == 1 else 'are'} set for it."
        do = f"Run {project.program} secrets to write user and password to .secrets/, or set DJ_USER and DJ_PASS."
    elif ("denied" in text or "ordinal" in text) and _is_garbled(config):
        why = f"{why}. The password has letters beyond ASCII, which the driver does not send as they were set."
        do = f"Have one of ASCII characters set, then run {project.program} secrets database.password."
    elif _LOCKED in text or "not permitted to log in" in text:
        do = f"Ask an admin: {_access(project, environment)} lock LOGIN --undo lets the account log in again."
    elif _EXPIRED in text:
        do = f"Ask an admin for a new one: {_access(project, environment)} rotate LOGIN."
    elif "denied" in text and config["database.use_tls"] is False:
        do = (
            f"Check user and password ({project.program} doctor shows where they come from), or switch TLS on "
            "(use_tls is false), which the account may require."
        )
    elif "denied" in text or "authentication" in text or "cryptography" in text:
        do = f"Check user and password ({project.program} doctor shows where they come from)."
    elif environment.embedded:
        do = f"See .local/pg.log, and try {project.program} local stop, then {project.program} local start."
    else:
        variables = " and ".join(name for name in ("DJ_HOST", "DJ_PORT") if name in os.environ)
        do = (
            f"Check that the server runs and that host and port in {variables or 'datajoint.json'} are right "
            f"({project.program} doctor), or work without a server: {project.program} --env local ..."
        )
    return PipelineError(f"Cannot connect to {where}.", why, do)
