"""Google Cloud Storage: custom roles, and bindings of them to names that begin as a schema's do.

A binding's condition is written in CEL. Reading and listing are told apart by attribute: ``resource.name`` is the
object's where there is one, and the beginning that a list asks for is ``storage.googleapis.com/objectListPrefix``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from ...errors import PipelineError
from .needs import Needs
from .places import Store

#: What a condition takes: logical operators; and one role for one member: bindings with different conditions.
OPERATORS_LIMIT, BINDINGS_LIMIT = 12, 20

#: Permissions by what is done. Nobody but the collector deletes, so nobody else overwrites either; objects of git
#: branches apart.
PERMISSIONS = {
    "read": ("storage.objects.get", "storage.objects.list"),
    "write": ("storage.objects.create",),
    "collect": ("storage.objects.get", "storage.objects.list", "storage.objects.delete"),
}

Document = dict[str, Any]


def roles(title: str) -> dict[str, Document]:
    """Give the custom roles to make (``gcloud iam roles create NAME --file``), by the end of their name."""
    return {
        use: {"title": f"{title}: {use}", "stage": "GA", "includedPermissions": list(permissions)}
        for use, permissions in PERMISSIONS.items()
    }


def bindings(store: Store, needs: Needs, role: str, members: Sequence[str]) -> list[Document]:
    """Give the bindings of a role on the bucket.

    Parameters
    ----------
    store, needs
        Where, and what.
    role : str
        Beginning of the custom roles' names: ``projects/P/roles/lab_prod``.
    members : sequence of str
        Who has the role: ``group:viewers@example.org``.

    Raises
    ------
    PipelineError
        If a bucket does not take as many.
    """
    files = [store.files] if needs.files and store.files else []
    by_use = {
        "read": [*_sections(store, (*needs.read, *needs.write)), *files],
        "write": _sections(store, needs.write),
        "collect": _sections(store, needs.collect),
    }
    found = []
    for use, prefixes in by_use.items():
        each = 1 if use == "write" else 2  # operands of a prefix
        step = (OPERATORS_LIMIT + 1) // each
        parts = [prefixes[at : at + step] for at in range(0, len(prefixes), step)]
        if len(parts) > BINDINGS_LIMIT:
            raise PipelineError(
                f"The role {needs.role} needs too many bindings on the bucket {store.bucket}.",
                f"To {use} in {len(needs.databases)} schemas takes {len(parts)}; there can be {BINDINGS_LIMIT}.",
                "Give some schemas a store with a bucket of its own, or use managed folders.",
            )
        found += [
            {
                "role": f"{role}_{use}",
                "members": list(members),
                "condition": {
                    "title": f"{needs.role} {use}" + (f" {number + 1}" if len(parts) > 1 else ""),
                    "expression": condition(store, part, listed=each == 2),
                },
            }
            for number, part in enumerate(parts)
        ]
    return found


def condition(store: Store, prefixes: Iterable[str], *, listed: bool) -> str:
    """Give the condition that a name begins with one of some texts."""
    words = []
    for prefix in prefixes:
        words.append(f"resource.name.startsWith('projects/_/buckets/{store.bucket}/objects/{prefix}')")
        if listed:
            asked = "api.getAttribute('storage.googleapis.com/objectListPrefix', '')"
            words.append(f"{asked}.startsWith('{prefix}')")
    return " || ".join(words)


def _sections(store: Store, databases: Iterable[str]) -> list[str]:
    return [section for database in databases for section in store.sections(database)]
