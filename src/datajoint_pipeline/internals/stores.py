"""What DataJoint opens a store with: a file system of fsspec, and the paths in it."""

from __future__ import annotations

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
