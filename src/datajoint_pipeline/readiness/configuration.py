"""Read ``dj_local_conf.json``, the configuration of DataJoint 0.14, and say what DataJoint 2.3 has of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import PipelineError

LEGACY = "dj_local_conf.json"

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
    """Return what ``dj_local_conf.json`` holds; None where there is none.

    Raises
    ------
    PipelineError
        If it cannot be read.
    """
    path = root / LEGACY
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        do = f"Correct it (python -m json.tool {LEGACY} shows the place), or move it away."
        raise PipelineError(f"{LEGACY} cannot be read.", f"{error}.", do) from None
    if not isinstance(content, dict):
        raise PipelineError(f"{LEGACY} cannot be read.", "It is no JSON object.", "Correct it, or move it away.")
    return content


def current(root: Path) -> dict[str, Any]:
    """Return what ``datajoint.json`` says of the database; nothing where it cannot be read, which others say."""
    try:
        content = json.loads((root / "datajoint.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    found = content.get("database") if isinstance(content, dict) else None
    return found if isinstance(found, dict) else {}


def prefix_of(content: Mapping[str, Any]) -> str:
    """Return the prefix of schemas that ``custom`` gives."""
    custom = content.get("custom")
    custom = custom if isinstance(custom, dict) else {}
    nested = custom.get("database")
    found = custom.get("database.prefix", nested.get("prefix") if isinstance(nested, dict) else None)
    return found if isinstance(found, str) else ""


# --- What DataJoint 2 has of it --------------------------------------------------------------------------------------


def settings(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings for ``datajoint.json``, by dotted name."""
    found: dict[str, Any] = {"database.backend": "mysql"}
    for key in _SAME:
        value = content.get(key)
        if key == "database.use_tls" and not isinstance(value, bool):
            continue
        if key in content and value is not None and value != _DEFAULTS.get(key):
            found[key] = value
    return found


def stores(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return the stores as ``datajoint.json`` has them, without credentials."""
    found: dict[str, Any] = {}
    there = content.get("stores")
    for name, store in (there if isinstance(there, dict) else {}).items():
        if isinstance(store, dict):
            keys = _STORES.get(str(store.get("protocol", "")).lower(), ("protocol", "location"))
            found[name] = {key: store[key] for key in keys if store.get(key) is not None}
    return {"default": next(iter(found)), **found} if len(found) == 1 else found


def secrets(content: Mapping[str, Any]) -> dict[str, str]:
    """Return credentials, by the names of their files."""
    named = {name: content.get(name) for name in ("database.user", "database.password")}
    there = content.get("stores")
    for name, store in (there if isinstance(there, dict) else {}).items():
        if isinstance(store, dict):
            named |= {f"stores.{name}.{key}": store.get(key) for key in _CREDENTIALS}
    return {name: str(value) for name, value in named.items() if value not in (None, "")}
