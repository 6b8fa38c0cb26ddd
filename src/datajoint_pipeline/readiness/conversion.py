"""Writes what can be derived and is no code: configuration and credentials from ``dj_local_conf.json``, ``version.py``.

Nothing that is the lab's is changed. A value that was set to something else is left, and said.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from findings import Finding, Refusal
from layout import Project, tracked, version_of

LEGACY = "dj_local_conf.json"
CONFIG = "datajoint.json"

#: Settings of 0.14 that 2.3 has under the same name.
_SAME = (
    *("database.host", "database.port", "database.reconnect", "database.use_tls", "connection.charset"),
    *("display.limit", "display.width", "display.show_tuple_count", "loglevel", "safemode"),
)

#: What 0.14 set by itself; it says nothing of what a lab wants.
_DEFAULTS = {
    "database.reconnect": True,
    "database.use_tls": None,
    "connection.charset": "",
    "display.limit": 12,
    "display.width": 14,
    "display.show_tuple_count": True,
    "loglevel": "INFO",
    "safemode": True,
}

#: Keys of a store that 2.3 takes, by protocol; credentials go to ``.secrets/``.
_STORES = {
    "file": ("protocol", "location", "subfolding", "stage"),
    "s3": ("protocol", "endpoint", "bucket", "location", "secure", "subfolding", "stage", "proxy_server"),
}
_CREDENTIALS = ("access_key", "secret_key")


def read(root: Path) -> dict[str, Any] | None:
    """What ``dj_local_conf.json`` holds; None where there is none.

    Raises
    ------
    Refusal
        If it cannot be read.
    """
    path = root / LEGACY
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        do = f"Mend it (python -m json.tool {LEGACY} shows the place), or move it away."
        raise Refusal(f"{LEGACY} cannot be read.", f"{error}.", do) from None
    if not isinstance(content, dict):
        raise Refusal(f"{LEGACY} cannot be read.", "It is no JSON object.", "Mend it, or move it away.")
    return content


def prefix_of(content: Mapping[str, Any]) -> str:
    """The prefix of schemas that ``custom`` gives."""
    custom = content.get("custom")
    custom = custom if isinstance(custom, dict) else {}
    nested = custom.get("database")
    found = custom.get("database.prefix", nested.get("prefix") if isinstance(nested, dict) else None)
    return found if isinstance(found, str) else ""


# --- What is to be written -------------------------------------------------------------------------------------------


def settings(content: Mapping[str, Any]) -> dict[str, Any]:
    """Settings for ``datajoint.json``, by dotted name."""
    found: dict[str, Any] = {"database.backend": "mysql"}
    for key in _SAME:
        value = content.get(key)
        if key == "database.use_tls" and not isinstance(value, bool):
            continue
        if key in content and value is not None and value != _DEFAULTS.get(key):
            found[key] = value
    return found


def stores(content: Mapping[str, Any]) -> dict[str, Any]:
    """The stores as ``datajoint.json`` has them, without credentials."""
    found: dict[str, Any] = {}
    there = content.get("stores")
    for name, store in (there if isinstance(there, dict) else {}).items():
        if isinstance(store, dict):
            keys = _STORES.get(str(store.get("protocol", "")).lower(), ("protocol", "location"))
            found[name] = {key: store[key] for key in keys if store.get(key) is not None}
    return {"default": next(iter(found)), **found} if len(found) == 1 else found


def secrets(content: Mapping[str, Any]) -> dict[str, str]:
    """Credentials, by the names of their files."""
    named = {name: content.get(name) for name in ("database.user", "database.password")}
    there = content.get("stores")
    for name, store in (there if isinstance(there, dict) else {}).items():
        if isinstance(store, dict):
            named |= {f"stores.{name}.{key}": store.get(key) for key in _CREDENTIALS}
    return {name: str(value) for name, value in named.items() if value not in (None, "")}


def left(content: Mapping[str, Any], project: Project) -> Iterator[str]:
    """What a person has to look at."""
    prefix = prefix_of(content)
    if prefix:
        yield f'custom has the prefix "{prefix}": __init__.py has to say SCHEMA_PREFIX = "{prefix}".'
    custom = content.get("custom")
    for name in sorted(custom if isinstance(custom, dict) else {}):
        if name not in ("database.prefix", "database"):
            yield f"custom.{name} has no place in {CONFIG}: keep it in a constant, an environment variable or a store."
    if isinstance(content.get("database.use_tls"), dict):
        yield "database.use_tls names certificates: put the authority's into database-ca.crt beside datajoint.json."
    names = [name for name in stores(content) if name != "default"]
    if len(names) > 1:
        yield f'Which of the stores {", ".join(names)} is the default? Write it as "default" into "stores".'


# --- Writing ---------------------------------------------------------------------------------------------------------


def convert(project: Project, schemas: Mapping[str, str]) -> Iterator[str]:
    """Write what is missing, and tell of each file: what was written, and what was left."""
    content = read(project.root)
    if content is not None:
        yield from _write_config(project, content)
        yield from _write_secrets(project.root, secrets(content))
        yield from (f"left: {sentence}" for sentence in left(content, project))
        yield f"left: {LEGACY} stays as it is; DataJoint 2 ignores it."
        if secrets(content).keys() & {"database.password"}:
            yield f"left: {LEGACY} holds a password in plain text; delete it when no process of 0.14 reads it any more."
            if tracked(project.root, LEGACY):
                yield f"left: {LEGACY} is in the history of git, and so is that password: change it on the server."
    yield from _write_version(project, schemas)


def _write_config(project: Project, content: Mapping[str, Any]) -> Iterator[str]:
    path = project.root / CONFIG
    try:
        config = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    except ValueError as error:
        raise Refusal(f"{CONFIG} cannot be read.", f"{error}.", "Mend it; nothing was written.") from None
    before = json.dumps(config)
    told = []
    # What the questions' defaults put there says nothing; what else is there was meant.
    unsaid = {"database.host": "localhost", "database.port": 3306}
    for key, value in settings(content).items():
        group, _, name = key.partition(".")
        place = config.setdefault(group, {}) if name else config
        name = name or group
        if not isinstance(place, dict) or key in config:
            continue
        if name not in place or place[name] == unsaid.get(key):
            place[name] = value
        elif place[name] != value:
            told.append(f"left: {CONFIG} has {key} {place[name]!r}, {LEGACY} has {value!r}.")
    there = config.get("stores", {})
    for name, store in stores(content).items():
        if name not in there:
            config.setdefault("stores", {})[name] = store
        elif there[name] != store:
            told.append(f"left: {CONFIG} has another store {name} than {LEGACY}.")
    if json.dumps(config) != before:
        path.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
        yield f"wrote {CONFIG}"
    yield from told


def _write_secrets(root: Path, values: Mapping[str, str]) -> Iterator[str]:
    folder = root / ".secrets"
    if not values:
        return
    folder.mkdir(mode=0o700, exist_ok=True)
    folder.chmod(0o700)
    guard = folder / ".gitignore"
    if not _ignores(root / ".gitignore") and not guard.exists():
        # The project's own .gitignore is the lab's; until it has the line, credentials are kept out here.
        guard.write_text("*\n!README.md\n", encoding="utf-8")
        yield "wrote .secrets/.gitignore"
    for name, value in values.items():
        path = folder / name
        if "/" in name or os.sep in name:
            yield f"left: {name} cannot be the name of a file."
        elif not path.exists():
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
                file.write(value + "\n")
            yield f"wrote .secrets/{name}"
        elif path.read_text(encoding="utf-8").strip() != value.strip():
            yield f"left: .secrets/{name} holds another value than {LEGACY}."


def _ignores(path: Path) -> bool:
    text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    return re.search(r"^/?\.secrets(/\*?)?\s*$", text, re.MULTILINE) is not None


def _write_version(project: Project, schemas: Mapping[str, str]) -> Iterator[str]:
    path = project.version_file
    if path.exists() or not schemas:
        return
    lines = "".join(f'    "{name}": "1.0.0",\n' for name in schemas)
    path.write_text(
        f'"""Version of the code, and of each schema that it declares."""\n\n__version__ = "{version_of(project)}"\n\n'
        "#: A version for each schema, parents before children. It rises with every change of the schema's tables.\n"
        f"SCHEMA_VERSIONS = {{\n{lines}}}\n",
        encoding="utf-8",
    )
    yield f"wrote {project.shown(path)}"


# --- In the report ---------------------------------------------------------------------------------------------------


def check(project: Project) -> Iterator[Finding]:
    """What there is to say of ``dj_local_conf.json``."""
    content = read(project.root)
    if content is None:
        return
    missing = [name for name in secrets(content) if not (project.root / ".secrets" / name).exists()]
    path = project.root / CONFIG
    text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    # Whatever stands in datajoint.json by now was put there, or left there, on purpose.
    gone = [name for name in stores(content) if f'"{name}"' not in text]
    host = content.get("database.host")
    if missing or gone or (host not in (None, "localhost") and '"host": "localhost"' in text):
        what = "DataJoint 2 ignores this file, and what it says stands nowhere else."
        do = "python adoption/readiness.py --convert writes datajoint.json and .secrets/ from it."
        yield Finding(LEGACY, 1, "not-converted", what, do)
    prefix = prefix_of(content)
    if prefix and prefix != project.prefix:
        what = f'Schemas had the prefix "{prefix}"; SCHEMA_PREFIX of this project is "{project.prefix}".'
        do = f'Write SCHEMA_PREFIX = "{prefix}" in __init__.py, unless the databases were renamed.'
        yield Finding(LEGACY, 1, "config-custom", what, do)
    if "database.password" in secrets(content) and tracked(project.root, LEGACY):
        what = "It holds a password and is in the history of git."
        do = f"Change the password on the server, then git rm --cached {LEGACY}, and have .gitignore name it."
        # What is in the history stays there; once git leaves the file alone, no more can be done.
        yield Finding(LEGACY, 1, "secret-committed", what, do, note=not tracked(project.root, LEGACY, now=True))
    what = "DataJoint 2 ignores this file."
    yield Finding(LEGACY, 1, "legacy-file", what, "Delete it when no process of 0.14 reads it any more.", note=True)
