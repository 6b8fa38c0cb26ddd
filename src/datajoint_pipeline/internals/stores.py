"""What DataJoint opens a store with: a file system of fsspec, and the paths in it."""

from __future__ import annotations

import re
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any


def open_store(config: Any, name: str) -> Any:
    """Give the file system of a store, with the credentials of a configuration.

    Raises
    ------
    DataJointError
        If the settings of the store are wrong.
    """
    from datajoint.hash_registry import get_store_backend

    return get_store_backend(name, config=config).fs


#: The place of a branch, before the names of sections.
_BRANCH = re.compile("^_branches/[^/]+/")


def set_sections(config: Any, place: str) -> None:
    """Have all that is written to the stores of a configuration from now on lie below a place of its own.

    What rows refer to already is read from where it is: they say the whole name. Files that ``<filepath@>`` refers to
    are nobody's but the lab's, and stay as they are.
    """
    for name, spec in config.stores.items():
        if isinstance(spec, dict):
            sections = {
                key: f"{place}/{_BRANCH.sub('', str(spec.get(key) or default).strip('/'))}"
                for key, default in (("hash_prefix", "_hash"), ("schema_prefix", "_schema"))
            }
            config.stores[name] = {**spec, **sections}


def names(config: Any) -> list[str]:
    """Give the names of the stores of a configuration."""
    return [name for name, spec in config.stores.items() if isinstance(spec, dict)]


def folder_missing(config: Any, name: str) -> str:
    """Give the folder that a store is to be in and that is not there; empty where it is, or the store is no folder."""
    spec = config.stores[name]
    location = str(spec.get("location", ""))
    return location if spec.get("protocol") == "file" and not Path(location).is_dir() else ""


def remove_below(config: Any, name: str, place: str) -> int:
    """Delete every object of a store whose name begins with a place; give how many there were.

    Raises
    ------
    Exception
        What the file system of the store raises, also where something is left.
    """
    from datajoint.hash_registry import get_store_backend

    backend = get_store_backend(name, config=config)
    full = backend._full_path(place)
    backend.fs.invalidate_cache()
    found = backend.fs.find(full)
    if backend.protocol == "file":
        folder = Path(full)
        if folder.exists():
            shutil.rmtree(folder)
        with suppress(OSError):  # which is there for other branches
            folder.parent.rmdir()
    elif found:
        backend.fs.rm(found)
    return len(found)
