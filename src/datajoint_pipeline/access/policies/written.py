"""Policies as they are handed over: for a store and its roles the texts that its server takes, each under a name."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from . import azure, gcs, posix, s3
from .needs import Needs
from .places import Store
from .servers import Server


@dataclass(frozen=True)
class Policy:
    """A text for the person who runs the store's server.

    Parameters
    ----------
    name : str
        Name of a file for it.
    role : str
        Whom it is for; empty where it is for all.
    form : str
        ``identity``, ``bucket``, ``role``, ``bindings``, ``condition`` or ``commands``.
    text : str
        What to give to the server.
    document : object
        The same as values, where it is JSON.
    """

    name: str
    role: str
    form: str
    text: str
    document: Any = field(default=None, compare=False)


def write(
    store: Store,
    server: Server,
    roles: Sequence[Needs],
    names: Mapping[str, str],
    principals: Mapping[str, Sequence[str]],
) -> list[Policy]:
    """Write the policies of a store.

    Parameters
    ----------
    store, server
        The store, and what kind of server it is on.
    roles : sequence of Needs
        What each role needs.
    names : mapping
        The name of each role on the server: ``lab_prod_viewer``.
    principals : mapping
        Who has each role, as a bucket's policy names them.

    Raises
    ------
    PipelineError
        If the server does not take so much.
    """
    found: list[Policy] = []
    for form in server.forms:
        match form:
            case "identity":
                for needs in roles:
                    documents = s3.identity(store, needs, ceph=server.ceph)
                    for number, document in enumerate(documents):
                        end = f"_{number + 1}" if len(documents) > 1 else ""
                        found.append(_json(f"{store.name}_{needs.role}{end}.json", needs.role, form, document))
            case "bucket":
                meant = [needs for needs in roles if principals.get(needs.role)]
                if meant:
                    found.append(
                        _json(
                            f"{store.name}_bucket.json", "", form, s3.bucket(store, meant, principals, ceph=server.ceph)
                        )
                    )
            case "gcs":
                title = _title(names)
                for use, role in gcs.roles(title).items():
                    found.append(_json(f"{store.name}_role_{use}.json", "", "role", role))
                for needs in roles:
                    bindings = gcs.bindings(store, needs, f"projects/<project>/roles/{title}", principals[needs.role])
                    found.append(
                        _json(f"{store.name}_{needs.role}.json", needs.role, "bindings", {"bindings": bindings})
                    )
            case "azure":
                for use, role in azure.roles(_title(names)).items():
                    found.append(_json(f"{store.name}_role_{use}.json", "", "role", role))
                for needs in roles:
                    for use, text in azure.conditions(store, needs).items():
                        found.append(Policy(f"{store.name}_{needs.role}_{use}.txt", needs.role, "condition", text))
            case "posix":
                commands = posix.commands(store, roles, names)
                found.append(Policy(f"{store.name}.sh", "", "commands", "\n".join(["set -e", *commands])))
    return found


def _title(names: Mapping[str, str]) -> str:
    """Give what the names of all roles begin with."""
    role, name = next(iter(names.items()))
    return name.removesuffix(f"_{role}")


def _json(name: str, role: str, form: str, document: Any) -> Policy:
    return Policy(name, role, form, json.dumps(document, indent=2, ensure_ascii=False), document)
