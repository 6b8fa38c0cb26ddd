"""Databases of a pipeline beside ``local``, ``dev`` and ``prod``: a second production at another site, for example.

``environments.toml`` stands beside ``datajoint.json`` and names them, a table each. What it says of a server is said in
the words of ``datajoint.json``, without ``database.``; accounts and passwords are in ``.secrets/<name>/``, in files of
the names that DataJoint gives them.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

from .. import disk
from ..errors import PipelineError
from .project import Project

FILE = "environments.toml"

#: Names that mean something else already.
_TAKEN = ("local", "dev", "prod", "test", "branch", "rehearsal")

#: What may be said of an environment, and of which type it is.
_KEYS: Mapping[str, type] = {
    "host": str,
    "port": int,
    "backend": str,
    "name": str,
    "use_tls": bool,
    "prefix": str,
    "explicit": bool,
    "stores": dict,
}

#: Those that are settings of DataJoint.
_DATABASE = ("host", "port", "backend", "name", "use_tls")


@dataclass(frozen=True)
class Site:
    """A database that ``environments.toml`` names.

    Parameters
    ----------
    name : str
        What ``--env`` calls it.
    prefix : str
        What stands before every schema's name, before the project's own prefix.
    explicit : bool
        Whether a command that changes it has to name it, and whether it knows no drafts; as for ``prod``.
    database : dict
        DataJoint's settings of the server that differ; none where it is that of ``datajoint.json``.
    stores : dict
        Its stores, in the words of ``datajoint.json``. Those of ``datajoint.json`` do not hold for another server.
    """

    name: str
    prefix: str = ""
    explicit: bool = True
    database: Mapping[str, Any] = field(default_factory=dict, hash=False)
    stores: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def point(self, project: Project, config: Any) -> None:
        """Have a configuration lead to this database.

        The file goes before environment variables: ``DJ_HOST`` names the server of ``dev`` and ``prod``.
        """
        for key, value in self.database.items():
            config[f"database.{key}"] = value
        if self.database:
            for name in [name for name, store in config.stores.items() if isinstance(store, dict)]:
                del config.stores[name]
        config.stores.update({name: dict(store) for name, store in self.stores.items()})
        folder = project.root / ".secrets" / self.name
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            parts = path.name.split(".")
            if path.name in ("database.user", "database.password"):
                config[path.name] = disk.text(path).strip()
            elif len(parts) == 3 and parts[0] == "stores" and isinstance(config.stores.get(parts[1]), dict):
                config.stores[parts[1]][parts[2]] = disk.text(path).strip()


def server(config: Any, site: Site | None = None) -> tuple[str, int]:
    """Give host and port of the server of a site, or of ``dev`` and ``prod``, by the configuration of these."""
    own = site.database if site is not None else {}
    host = str(own.get("host", config["database.host"])).lower()
    return "127.0.0.1" if host == "localhost" else host, int(own.get("port", config["database.port"]))


def database(config: Any, site: Site | None = None) -> tuple[str, int, str]:
    """Give its server and the name of the database there, which only PostgreSQL tells apart."""
    own = site.database if site is not None else {}
    return (*server(config, site), str(own.get("name", config["database.name"]) or "postgres"))


def read(project: Project) -> dict[str, Site]:
    """Read ``environments.toml``; nothing where there is none.

    Raises
    ------
    PipelineError
        With the first mistake in it.
    """
    path = project.root / FILE
    if not path.is_file():
        return {}
    try:
        document = tomllib.loads(disk.text(path))
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise _mistake("It is not TOML.", f"{error}.", "Correct the file at that place.") from None
    return {name: _site(name, table) for name, table in document.items()}


def _site(name: str, table: object) -> Site:
    do = f'Write a table for each environment: [munich] and below it host = "db.example.org" ({", ".join(_KEYS)}).'
    if not isinstance(table, dict):
        raise _mistake(f"{name} stands outside of any environment.", "Each setting belongs to one.", do)
    if name in _TAKEN or not re.fullmatch(r"[a-z][a-z0-9_]{0,30}", name):
        why = f"{', '.join(_TAKEN)} mean something else, and a name is of small letters, digits and _."
        raise _mistake(f"{name!r} cannot name an environment.", why, "Choose another name.")
    for key, value in table.items():
        if key not in _KEYS:
            raise _mistake(f"[{name}] sets {key}, which does not exist.", f"There are {', '.join(_KEYS)}.", do)
        if not isinstance(value, _KEYS[key]) or (isinstance(value, bool) and _KEYS[key] is int):
            raise _mistake(f"[{name}] gives {key} the value {value!r}.", f"It is a {_KEYS[key].__name__}.", do)
    backend = table.get("backend", "mysql")
    if backend not in ("mysql", "postgresql"):
        raise _mistake(f"[{name}] has the backend {backend!r}.", "It can be mysql or postgresql.", do)
    prefix = table.get("prefix", "")
    if not re.fullmatch(r"[a-z0-9_]*", prefix):
        raise _mistake(f"[{name}] has the prefix {prefix!r}.", "It is of small letters, digits and _.", do)
    if not prefix and not {"host", "name"} & table.keys():
        why = "Without a host, a database or a prefix of its own it would be prod under another name."
        raise _mistake(f"[{name}] does not say where it is.", why, do)
    stores = table.get("stores", {})
    if not all(isinstance(store, dict) for store in stores.values()):
        raise _mistake(f"[{name}] has a store that is not a table.", "Each is [NAME.stores.STORE].", do)
    database = {key: table[key] for key in _DATABASE if key in table}
    return Site(name, prefix, table.get("explicit", True), database, stores)


def _mistake(what: str, why: str, do: str) -> PipelineError:
    return PipelineError(f"{FILE}: {what}", why, do)
