"""What DataJoint opens a store with: a file system of fsspec, and the paths in it."""

from __future__ import annotations

import re
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

from .. import server_errors
from ..errors import PipelineError


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


def how_to_use(config: Any, name: str) -> str:
    """Say what to do where a store cannot be used."""
    if folder := folder_missing(config, name):
        return f"Make the folder {folder} on this machine, or correct its location in datajoint.json."
    return "Run secrets to write its keys, or ask who runs it."


def refuse_unusable(config: Any, name: str) -> None:
    """Raise where a store, or the default one without a name, is not defined or cannot be opened.

    Raises
    ------
    PipelineError
        If it cannot be used.
    """
    name = name or str(config.stores.get("default", ""))
    if name not in names(config):
        what = f"There is no store {name}." if name else "There is no default store."
        raise PipelineError(what, "Nothing was changed.", "Describe it under stores in datajoint.json.")
    try:
        open_store(config, name)
    except Exception as error:  # of any of the libraries that stores are opened with
        why = f"{type(error).__name__}: {server_errors.in_one_line(str(error)).rstrip('.')}. Nothing was changed."
        raise PipelineError(f"The store {name} cannot be used.", why, how_to_use(config, name)) from error


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
