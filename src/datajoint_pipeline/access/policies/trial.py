"""Tries what a role needs in a store, leaving nothing there: what is refused is told by the beginning of its names.

Listing is tried everywhere. Writing is tried on S3, where an upload in parts is begun and taken back, and in folders;
elsewhere nothing could be written without staying there, as nobody but the collector deletes.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from .needs import Needs
from .places import Store

#: Seconds that a store's server has to answer at all.
PATIENCE = 5

#: A name that no object has.
_NOTHING = ".tried-by-doctor"


@dataclass(frozen=True)
class Refusal:
    """What was refused.

    Parameters
    ----------
    what : str
        ``list`` or ``write``.
    section : str
        The beginning of the names.
    """

    what: str
    section: str


def reachable(endpoint: str) -> bool:
    """Say whether a server answers at an address, soon; the libraries for stores ask for minutes."""
    url = urlsplit(endpoint if "://" in endpoint else f"http://{endpoint}")
    try:
        with socket.create_connection(
            (url.hostname or "", url.port or (443 if url.scheme == "https" else 80)), PATIENCE
        ):
            return True
    except (OSError, ValueError):
        return False


def refusals(files: Any, store: Store, needs: Needs) -> Iterator[Refusal]:
    """Try each beginning of names that a role needs.

    Parameters
    ----------
    files : fsspec.AbstractFileSystem
        The store, opened with the credentials that are tried.
    store, needs
        Where, and what.
    """
    for database in needs.databases:
        for section in store.sections(database):
            if not _may_list(files, store, section):
                yield Refusal("list", section)
            if database in needs.write and not _may_write(files, store, section):
                yield Refusal("write", section)
    if needs.files and store.files and not _may_list(files, store, store.files):
        yield Refusal("list", store.files)


def _may_list(files: Any, store: Store, section: str) -> bool:
    if store.protocol == "file":
        place = _nearest(section)
        return os.access(place, os.R_OK | os.X_OK)
    try:
        if store.protocol == "s3":
            files.call_s3("list_objects_v2", Bucket=store.bucket, Prefix=section, MaxKeys=1)
        else:
            files.info(f"{store.bucket}/{section}{_NOTHING}")
    except FileNotFoundError:
        pass
    except Exception as error:
        if _refused(error):
            return False
        raise
    return True


def _may_write(files: Any, store: Store, section: str) -> bool:
    if store.protocol == "file":
        return os.access(_nearest(section), os.W_OK | os.X_OK)
    if store.protocol != "s3":
        return True
    there = {"Bucket": store.bucket, "Key": f"{section}{_NOTHING}"}
    try:
        begun = files.call_s3("create_multipart_upload", **there)
        files.call_s3("abort_multipart_upload", UploadId=begun["UploadId"], **there)
    except Exception as error:
        if _refused(error):
            return False
        raise
    return True


def _refused(error: Exception) -> bool:
    """Say whether it is a server that does not allow something: s3fs says so by a class, others by a number."""
    return isinstance(error, PermissionError) or str(getattr(error, "code", "")) in ("401", "403")


def _nearest(section: str) -> Path:
    """Give a folder, or the one above it in which it would be made."""
    place = Path(section)
    while not place.exists() and place != place.parent:
        place = place.parent
    return place
