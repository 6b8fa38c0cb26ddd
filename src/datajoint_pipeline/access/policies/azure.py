"""Azure Blob Storage: custom roles, and conditions (version 2.0) on their assignments.

An account's key may do everything, and no assignment limits it; so does a connection string with that key. Conditions
hold for who signs in with an identity of their own, as adlfs does where the settings have the account's name alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ...errors import PipelineError
from .needs import Needs
from .places import Store

#: Characters that a condition may have. One role can be assigned to somebody once in a place, so it cannot be split.
LIMIT = 8192

_CONTAINERS = "Microsoft.Storage/storageAccounts/blobServices/containers"
_BLOBS = f"{_CONTAINERS}/blobs"

READ, WRITE, ADD, DELETE = f"{_BLOBS}/read", f"{_BLOBS}/write", f"{_BLOBS}/add/action", f"{_BLOBS}/delete"

#: Data actions by what is done.
ACTIONS = {"read": (READ,), "write": (WRITE, ADD), "collect": (READ, DELETE)}

Document = dict[str, Any]


def roles(title: str) -> dict[str, Document]:
    """Give the custom roles to make (``az role definition create --role-definition``), by what is done with them."""
    return {
        use: {
            "Name": f"{title} {use}",
            "Description": f"To {use} objects of a DataJoint pipeline; assigned with a condition.",
            "Actions": [f"{_CONTAINERS}/read"],
            "DataActions": list(actions),
            "AssignableScopes": ["/subscriptions/<subscription>"],
        }
        for use, actions in ACTIONS.items()
    }


def conditions(store: Store, needs: Needs) -> dict[str, str]:
    """Give the conditions of a role's assignments, by what is done: ``read``, ``write``, ``collect``.

    Raises
    ------
    PipelineError
        If one is longer than Azure takes.
    """
    files = [store.files] if needs.files and store.files else []
    by_use = {
        "read": [*_sections(store, (*needs.read, *needs.write)), *files],
        "write": _sections(store, needs.write),
        "collect": _sections(store, needs.collect),
    }
    found = {use: _condition(store, use, prefixes) for use, prefixes in by_use.items() if prefixes}
    for use, text in found.items():
        if len(text) > LIMIT:
            raise PipelineError(
                f"The condition for the role {needs.role} on the container {store.bucket} is too long.",
                f"It has {len(text):,} characters, to {use} in {len(needs.databases)} schemas; Azure takes {LIMIT:,}.",
                "Give some schemas a store with a container of its own.",
            )
    return found


def _condition(store: Store, use: str, prefixes: list[str]) -> str:
    named = f"@Resource[{_CONTAINERS}:name] StringEquals '{store.bucket}'"
    within = _any(f"@Resource[{_BLOBS}:path] StringStartsWith '{prefix}'" for prefix in prefixes)
    asked = _any(f"@Request[{_BLOBS}:prefix] StringStartsWith '{prefix}'" for prefix in prefixes)
    if use == "write":
        return _unless([f"ActionMatches{{'{action}'}}" for action in ACTIONS[use]], f"{named} AND {within}")
    listing = "SubOperationMatches{'Blob.List'}"
    parts = [
        _unless([f"ActionMatches{{'{READ}'}} AND NOT {listing}"], f"{named} AND {within}"),
        _unless([f"ActionMatches{{'{READ}'}} AND {listing}"], f"{named} AND {asked}"),
    ]
    if use == "collect":
        parts.append(_unless([f"ActionMatches{{'{DELETE}'}}"], f"{named} AND {within}"))
    return " AND ".join(f"({part})" for part in parts)


def _unless(actions: list[str], holds: str) -> str:
    """What is asked for is none of some actions, or something holds."""
    return f"({' AND '.join(f'!({action})' for action in actions)}) OR ({holds})"


def _any(words: Iterable[str]) -> str:
    return f"({' OR '.join(words)})"


def _sections(store: Store, databases: Iterable[str]) -> list[str]:
    return [section for database in databases for section in store.sections(database)]
