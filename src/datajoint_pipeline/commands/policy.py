"""`access policy`: what the roles of ``access.toml`` may do in object stores, in the words of the stores' servers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import disk
from ..access import further, model
from ..access.model import LONGEST
from ..access.names import Names, pipeline_name
from ..access.policies import places, servers, written
from ..access.policies.needs import COLLECTOR, ROLES, Needs, needs
from ..access.policies.places import Store
from ..access.policies.servers import Server
from ..access.policies.written import Policy
from ..errors import PipelineError
from ..project.environments import Environment
from ..project.pipeline import Pipeline
from .access import read, refuse_embedded, refuse_roleless

#: Credentials by protocol, under the names that DataJoint 2.3 reads; the embedded server's stores are folders.
CREDENTIALS = {"s3": ("access_key", "secret_key"), "gcs": ("token",), "azure": ("account_name",)}


@dataclass(frozen=True)
class StorePolicies:
    """The policies of a store.

    Parameters
    ----------
    store : Store
        Which.
    server : Server
        What it is taken to be on.
    account : str
        Whose keys are used: ``person``, each their own, or the name of a service.
    secrets : tuple of str
        Files in ``.secrets/`` that DataJoint reads the keys from.
    notes : tuple of str
        What is not as it may seem, a sentence each.
    policies : tuple of Policy
        What to give to the server.
    """

    store: Store
    server: Server
    account: str
    secrets: tuple[str, ...]
    notes: tuple[str, ...]
    policies: tuple[Policy, ...]

    def as_dict(self) -> dict[str, Any]:
        """Give them as JSON has them."""
        return {
            "name": self.store.name,
            "server": self.server.title,
            "account": self.account,
            "secrets": list(self.secrets),
            "notes": list(self.notes),
            "policies": [
                {"name": p.name, "role": p.role or None, "form": p.form, "policy": p.document or p.text}
                for p in self.policies
            ],
        }


def policies(
    pipeline: Pipeline, environment: Environment, *, store: str = "", role: str = "", server: str = ""
) -> list[StorePolicies]:
    """Write the policies of the stores that the pipeline uses.

    Parameters
    ----------
    pipeline, environment
        Whose, and where: the names of objects begin with those of the schemas there.
    store, role : str
        One alone; empty for all.
    server : str
        One of :data:`~datajoint_pipeline.access.policies.servers.SERVERS`; empty for what the store's protocol tells.

    Raises
    ------
    PipelineError
        If ``access.toml`` has mistakes, there is no such store, or no policy can be told for it.
    """
    refuse_embedded(pipeline, environment, "access policy")
    refuse_roleless(pipeline, environment, "access policy")
    if environment.site is not None:
        environment.site.point(pipeline.project, pipeline.config)
    specs = {name: spec for name, spec in pipeline.config.stores.items() if isinstance(spec, dict)}
    access = read(pipeline, environment)
    if store and store not in specs:
        raise PipelineError(
            f"There is no store {store}.",
            f'"stores" in datajoint.json has {", ".join(specs) or "none"}.',
            "Name one of these, or none for all.",
        )
    used = uses(pipeline)
    asked = [store] if store else [name for name in specs if name in used]
    if not asked:
        missing = f"Tables have values in {', '.join(used)}, and {environment.name} has no store of that name."
        raise PipelineError(
            "There are no policies to write.",
            missing if used else "No table has an attribute in a store, such as <blob@main>.",
            "Give it one in environments.toml or datajoint.json." if used else "Nothing needs to be done.",
        )
    return [_write(pipeline, environment, access, name, used.get(name, Use()), role, server) for name in asked]


def save(found: Sequence[StorePolicies], folder: Path) -> list[Path]:
    """Write each policy into a file of a folder.

    Raises
    ------
    PipelineError
        If they cannot be written.
    """
    paths = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for policy in (policy for store in found for policy in store.policies):
            paths.append(folder / policy.name)
            paths[-1].write_text(policy.text + "\n", encoding="utf-8")
    except OSError as error:
        raise disk.refusal(error) from None
    return paths


@dataclass(frozen=True)
class Use:
    """The schemas that have objects in a store, in dependency order, and whether some refer to files there."""

    schemas: tuple[str, ...] = ()
    files: bool = False


def uses(pipeline: Pipeline) -> dict[str, Use]:
    """Give what the pipeline's definitions say of each store.

    Raises
    ------
    PipelineError
        If a module is not Python.
    """
    stores = pipeline.config.stores
    managed: dict[str, dict[str, None]] = {}
    files: set[str] = set()
    for schema in pipeline.project.versions:
        for name in pipeline.graph.modules_of(schema):
            module = pipeline.graph.modules[name]
            for store in module.stores:
                managed.setdefault(store or str(stores.get("default")), {})[schema] = None
            for store in module.file_stores:
                place = store or str(stores.get("filepath_default"))
                managed.setdefault(place, {})[schema] = None
                files.add(place)
    return {store: Use(tuple(schemas), store in files) for store, schemas in managed.items()}


def needs_of(role: str, access: model.Access, use: Use, environment: Environment, *, branches: bool = False) -> Needs:
    """Say what a role needs in a store: everybody reads all of it, and analysts write in the schemas named for them.

    ``branches`` is for the environment whose roles have the same rights in git branches.
    """
    database = environment.database
    own = [schema for schema in use.schemas if role != "analyst" or schema in access.analyst_schemas]
    return needs(role, map(database, own), map(database, use.schemas), files=use.files, branches=branches)


def read_store(pipeline: Pipeline, name: str) -> Store:
    """Read a store's settings.

    Raises
    ------
    PipelineError
        If they are wrong, or no policy can be told for them.
    """
    import datajoint as dj

    try:
        return places.store(name, pipeline.config.get_store_spec(name))
    except dj.DataJointError as error:
        raise PipelineError(f"The store {name} cannot be used.", str(error), "Correct it in datajoint.json.") from None


def _write(
    pipeline: Pipeline, environment: Environment, access: model.Access, name: str, use: Use, role: str, server: str
) -> StorePolicies:
    store = read_store(pipeline, name)
    places.refuse_names(store, map(environment.database, use.schemas))
    kind = servers.SERVERS[server or servers.DEFAULTS[store.protocol]]
    if kind.protocol != store.protocol:
        raise PipelineError(
            f"The store {name} is not on {kind.title}.",
            f"Its protocol is {store.protocol}.",
            f"Leave --server out, or name one of {', '.join(_of_protocol(store.protocol))}.",
        )
    account = access.stores.get(name, model.PERSON)
    present = _present(access, environment, account)
    roles = [role] if role else [known for known in ROLES if known in present or known == COLLECTOR]
    project = pipeline.project
    named = Names(pipeline_name(project.package, project.prefix), environment.name, LONGEST["mysql"], owned=False)
    names = {known: named.of(known) for known in ROLES}
    logins = {known: present.get(known, []) for known in roles} | {COLLECTOR: [names[COLLECTOR]]}
    branches = environment.name == further.ENVIRONMENT
    needed = [needs_of(known, access, use, environment, branches=branches) for known in roles]
    principals = {known: _principals(server or kind.protocol, names[known], logins[known]) for known in roles}
    return StorePolicies(
        store,
        kind,
        account,
        tuple(f"stores.{name}.{credential}" for credential in CREDENTIALS.get(store.protocol, ())),
        tuple(_notes(store, use, account, kind)),
        tuple(written.write(store, kind, needed, names, principals)),
    )


def _present(access: model.Access, environment: Environment, account: str) -> dict[str, list[str]]:
    """Give who has each role; where all share a service's account, that has the most that one of them has."""
    by_role: dict[str, list[str]] = {}
    for login, role in access.with_role(environment.name).items():
        by_role.setdefault(role, []).append(login)
    if account == model.PERSON or not by_role:
        return by_role
    most = max(by_role, key=ROLES.index)
    return {most: [next(a.login for a in access.services if a.name == account)]}


def _principals(server: str, name: str, logins: Sequence[str]) -> list[str]:
    """Say who has a role in the words of a server."""
    match server:
        case "ceph":
            return [f"arn:aws:iam:::user/{login}" for login in logins]
        case "versitygw":
            return list(logins)
        case "gcs":
            return [f"group:{name}@<domain>"]
    return [f"arn:aws:iam::<account>:role/{name}"]


def _notes(store: Store, use: Use, account: str, kind: Server) -> list[str]:
    found = list(kind.limits)
    if account != model.PERSON:
        found.append(
            f"Everybody uses this store with the account of {account}: the store cannot tell people apart, the "
            "database can."
        )
    if use.files and not store.files:
        found.append(
            "<filepath@> may refer to any file here, so no policy gives it: set filepath_prefix for the store."
        )
    found.append(
        "The collector runs dj.gc.GarbageCollector over all schemas of this store at once. In the database it has to "
        "see every row: it takes what it cannot see for garbage."
    )
    return found


def _of_protocol(protocol: str) -> list[str]:
    return [name for name, server in servers.SERVERS.items() if server.protocol == protocol]
