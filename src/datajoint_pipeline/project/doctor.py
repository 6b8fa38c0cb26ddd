"""Examines everything that decides which database is reached and how: settings, their sources, problems, the server."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ..dialects import enum_orders, older_clients, owners, server_audit
from ..errors import PipelineError
from ..internals.configuration import loaded_file
from ..internals.connection import login
from ..planner import status
from ..planner.target import Target
from . import settings, tls
from .environments import Environment
from .graph import Graph
from .pipeline import Pipeline
from .project import CONFIG_FILE, Project
from .settings import CREDENTIALS, LOSING, Problem, Setting

#: Variables that look as if DataJoint read them.
_IGNORED_VARIABLES = {
    "DJ_PASSWORD": "DataJoint reads DJ_PASS.",
    "DJ_USERNAME": "DataJoint reads DJ_USER.",
    "DJ_DATABASE__HOST": "DataJoint reads DJ_HOST.",
    "DJ_DATABASE__USER": "DataJoint reads DJ_USER.",
    "DJ_DATABASE__PASSWORD": "DataJoint reads DJ_PASS.",
    "DJ_DATABASE_PREFIX": "DataJoint stores it and puts no prefix before anything.",
}


@dataclass(frozen=True)
class Report:
    """What `doctor` found."""

    environment: str
    settings: list[Setting]
    facts: list[str]
    problems: list[Problem]

    def as_dict(self) -> dict[str, Any]:
        """Give the report as one JSON document."""
        return {
            "environment": self.environment,
            "settings": [vars(setting) for setting in self.settings],
            "facts": self.facts,
            "problems": [vars(problem) for problem in self.problems],
        }


def examine(pipeline: Pipeline, environment: Environment) -> Report:
    """Look at the configuration, then try the server."""
    project = pipeline.project
    try:
        config = pipeline.config
        found = [*_problems(project, config), *_store_problems(pipeline.graph, config)]
        shown = settings.sources(project, config)
    except PipelineError as error:
        return Report(environment.name, [], [], [Problem("broken-file", error.what, error.why, error.do, fatal=True)])
    facts = [f"The environment is {environment.name}; its schemas are called {environment.database('<name>')}."]
    if environment.embedded:
        facts.append(
            "It uses the embedded PostgreSQL in .local/: database.backend, host and port are those of dev and prod."
        )
    if environment.databases:
        others = ", ".join(f"{schema} as {database}" for schema, database in environment.databases.items())
        facts.append(f"By SCHEMA_DATABASES there are {others}.")
    try:
        connection = pipeline.connect(environment)
    except PipelineError as error:
        if not any(problem.what == error.what for problem in found):
            do = error.do.replace(f"{project.program} doctor shows", "the settings above show")
            found.append(
                Problem("no-connection", error.what, error.why, do.replace(f" ({project.program} doctor)", ""))
            )
        return Report(environment.name, shown, facts, found)
    version = str(connection.query("SELECT version()", args=None).fetchone()[0]).partition(" on ")[0]
    if connection.adapter.backend == "mysql" and "mariadb" not in version.lower():
        version = f"MySQL {version}"
    facts.append(f"The server is {version}; this account is {_account(connection)}.")
    if not environment.embedded:
        encrypted = tls.in_force(connection)
        facts.append(_encryption(config, encrypted))
        facts.append(server_audit.told(connection))
        found += _server_problems(config, connection, encrypted)
    target = pipeline.target(environment)
    found += _missing_rights(target)
    found += _enums(target)
    if not environment.embedded:
        found += _older(target)
    return Report(environment.name, shown, facts, found)


def _account(connection: Any) -> str:
    """Give the account that logged in, and the role that its sessions are, where that is another (PostgreSQL)."""
    own, acting = login(connection), str(connection.get_user())
    return own if own == acting else f"{own}, which works as {acting}"


def _encryption(config: Any, encrypted: bool) -> str:
    if not encrypted:
        return "The connection is not encrypted."
    if config["database.use_tls"] is True:
        return "The connection is encrypted, and the server's certificate is verified."
    return "The connection is encrypted, but the certificate is not verified; with database.use_tls: true it is."


def _server_problems(config: Any, connection: Any, encrypted: bool) -> list[Problem]:
    found = []
    host = str(config["database.host"])
    if not encrypted and not tls.is_near(host):
        found.append(
            Problem(
                "no-tls",
                f"Rows and credentials travel to {host} in clear text.",
                "database.use_tls is false.",
                "Have TLS switched on at the server, then set database.use_tls to true.",
            )
        )
    version = str(connection.query("SELECT version()", args=None).fetchone()[0])
    if "mariadb" in version.lower():
        found.append(
            Problem(
                "mariadb",
                "The server is MariaDB.",
                "DataJoint 2 does not support it; values in object stores fail.",
                "Move to MySQL 8.4 or later, or to PostgreSQL.",
            )
        )
    return found


def _missing_rights(target: Target) -> list[Problem]:
    """Find the schemas that this account cannot read, or can read in part."""
    return [
        Problem(
            "no-rights",
            f"This account cannot read {', '.join(s.unreadable) or 'anything'} of {s.database}.",
            "It has no right on that." if s.unreadable else "It has no right on it, if that is there at all.",
            owners.asking(target.connection, s.database),
        )
        for s in status.read(target)
        if s.state is status.State.UNREADABLE
    ]


def _enums(target: Target) -> Iterator[Problem]:
    """Find the enums whose rows sort otherwise than their definition says, or that have other values."""
    readable = {s.name: s.database for s in status.read(target) if s.state is not status.State.UNREADABLE}
    for table, attribute, values in enum_orders.other(target.connection, readable):
        yield Problem(
            "enum-order",
            f"The server has the values of {attribute} in {table} in another order than the definition.",
            f"They sort as {', '.join(values)}: another enum of the same values came first, and both share a type.",
            "Give the definition the server's order, then revise and migrate; then give it yours, revise and migrate.",
        )

    for table, attribute, values in enum_orders.questioned(target.connection, readable):
        yield Problem(
            "enum-characters",
            f"The server has question marks in the values of {attribute} in {table}, which are {', '.join(values)}.",
            "Its character set lacks some characters: an earlier release, or DataJoint itself, made the enum so.",
            "Write these values with other characters in the definition, then revise and migrate; rows that have one "
            "are counted then.",
        )


def _older(target: Target) -> Iterator[Problem]:
    """Find who uses the schemas with DataJoint 0.14, which cannot read tables whose types are those of DataJoint 2."""
    readable = {s.name: s.database for s in status.read(target) if s.state is not status.State.UNREADABLE}
    adopting = "docs/adopting.md says what these can still do and what they break."
    if sessions := older_clients.sessions(target.connection, readable):
        yield Problem(
            "older-client",
            f"DataJoint 0.14 is connected: {'; '.join(sessions)}.",
            f"It cannot read tables with the types of DataJoint 2; {adopting}",
            "End these sessions, and have their code moved to DataJoint 2.",
        )
    for schema, who in older_clients.workers(target.connection, readable).items():
        yield Problem(
            "older-worker",
            f"Jobs are reserved in {older_clients.JOBS} of {readable[schema]}: {'; '.join(who)}.",
            f"Only workers of DataJoint 0.14 use it; {adopting}",
            f"End these workers; where none is left, delete the rows of {older_clients.JOBS}.",
        )


def _problems(project: Project, config: Any) -> list[Problem]:
    """Find everything about the configuration that is ignored or wrong, without connecting."""
    found = list(settings.file_problems(project)) + list(settings.placeholder_problems(project, config))
    flat = settings.flatten(settings.read(project)[0])
    command = project.program
    loaded = loaded_file()
    if loaded is not None and loaded.resolve() != (project.root / CONFIG_FILE).resolve():
        found.append(
            Problem(
                "other-file",
                f"DataJoint reads {loaded}, not the project's {CONFIG_FILE}.",
                "It looks from the working directory upwards.",
                f"Run the command in {project.root}.",
            )
        )
    if "stores.default" in settings.read(project)[0]:
        found.append(
            Problem(
                "dotted-default",
                f'{CONFIG_FILE} sets the key "stores.default", which DataJoint ignores.',
                "The default store is read from inside stores only.",
                'Write {"stores": {"default": "main", ...}}.',
            )
        )
    for key, variable in LOSING.items():
        if variable in os.environ and key in flat:
            found.append(
                Problem(
                    "losing-variable",
                    f"The environment variable {variable} has no effect.",
                    f"{CONFIG_FILE} sets {key}, and for this setting the file wins.",
                    f"Take {key} out of the file.",
                )
            )
    for variable, reason in _IGNORED_VARIABLES.items():
        if variable in os.environ:
            found.append(
                Problem(
                    "ignored-variable",
                    f"The environment variable {variable} has no effect.",
                    reason,
                    "Unset it.",
                )
            )
    if flat.get("database.backend") == "postgresql" and "database.port" not in flat and not os.environ.get("DJ_PORT"):
        found.append(
            Problem(
                "mysql-port",
                "The port of the PostgreSQL server is 3306, MySQL's.",
                f"{CONFIG_FILE} sets the backend and no port, and DataJoint then keeps MySQL's.",
                'Add "port": 5432 to "database".',
            )
        )
    if flat.get("database.create_tables", True) is True and not os.environ.get("DJ_CREATE_TABLES"):
        found.append(
            Problem(
                "create-tables",
                "DataJoint creates tables on import.",
                "A renamed class then silently becomes a new, empty table.",
                f'Set "create_tables": false in "database"; {command} init makes the tables.',
            )
        )
    return found + list(_secret_problems(project))


def _secret_problems(project: Project) -> Iterator[Problem]:
    folder = project.root / ".secrets"
    if not folder.is_dir():
        return
    # The last two are of the command alert.
    read = ("database.user", "database.password", "alerts", "ping")
    extra = {f"storage.{name}" for name in CREDENTIALS}
    for path in sorted(folder.iterdir()):
        name = path.name
        if not path.is_file() or name in ("README.md", ".gitignore"):
            continue
        if name in extra:
            attribute = name.partition(".")[2]
            yield Problem(
                "guide-name",
                f".secrets/{name} is read by this project, not by DataJoint itself.",
                "Code that uses DataJoint without this project's package does not see it.",
                f"Rename it to stores.<name>.{attribute} to have both read it.",
            )
        elif name not in read and not (name.startswith("stores.") and name.count(".") == 2):
            yield Problem(
                "ignored-secret",
                f".secrets/{name} is ignored.",
                "DataJoint reads database.user, database.password and stores.<name>.<attribute>.",
                "Rename or remove it.",
            )
        if os.name == "posix" and path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            yield Problem(
                "open-secret",
                f".secrets/{name} can be read by other users of this machine.",
                f"Its permissions are {stat.filemode(path.stat().st_mode)}.",
                f"chmod 600 .secrets/{name}",
            )


def _store_problems(graph: Graph, config: Any) -> Iterator[Problem]:
    import datajoint as dj

    for module in graph.modules.values():
        for name in sorted(module.stores):
            if (name or "default") not in config.stores:
                word = f"the store {name}" if name else "the default store"
                yield Problem(
                    "undefined-store",
                    f"{module.file} uses {word}, which is not defined.",
                    "DataJoint does not notice before the first insert, which then fails.",
                    f'Define {f"{name!r}" if name else "a default"} in "stores" of datajoint.json.',
                )
    for role in ("default", "filepath_default"):
        name = config.stores.get(role)
        if name and name not in config.stores:
            yield Problem(
                "undefined-store",
                f"The store {name} is named as stores.{role} and not defined.",
                "A table that uses it fails at the first insert.",
                f'Define "{name}" in "stores".',
            )
    for name, store in config.stores.items():
        if isinstance(store, dict):
            try:
                config.get_store_spec(name)
            except dj.DataJointError as error:
                yield Problem(
                    "bad-store", f"The store {name} cannot be used.", str(error), "Correct it in datajoint.json."
                )
