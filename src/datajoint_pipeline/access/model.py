"""``access.toml`` as values: people, service accounts, their roles, exceptions, store accounts, audited tables.

Whatever is wrong in the file is collected, each mistake a sentence with its line, so that a person mends it in one go
and nothing is applied before.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ..errors import PipelineError
from ..toml_lines import Lines, tomllib
from ..toml_lines import Path as Place
from ..toml_mistakes import KINDS, Mistake, dotted, hint, lower, meant, no_toml, refusal, shown, text_of

#: The lab's file, in the project's folder.
FILE = "access.toml"

Role = Literal["viewer", "analyst", "operator", "developer", "admin"]

#: From the least to the most that one may do.
ROLES: tuple[Role, ...] = get_args(Role)
#: The environments that every file may give roles in; others are those of ``environments.toml``.
ENVIRONMENTS = ("dev", "prod")

#: What a store has as ``account`` where everybody has one of his own.
PERSON = "person"

#: How long the name of an account may be: MySQL counts characters, PostgreSQL bytes and cuts silently.
LONGEST = {"mysql": 32, "postgresql": 63}

#: What servers keep for themselves.
_RESERVED = {
    "mysql": ("root", "mysql.sys", "mysql.session", "mysql.infoschema"),
    "postgresql": ("public", "none", "current_user", "current_role", "session_user", "user", "postgres"),
}


@dataclass(frozen=True)
class Account:
    """A person or a service with an account on the server.

    Parameters
    ----------
    name : str
        What the file calls it.
    login : str
        The name of its account on the server.
    service : bool
        Whether it is a service, such as the workers' account, and not a person.
    roles : mapping
        Its role by environment, ``dev``, ``prod`` or one of ``environments.toml``; nothing where it has none.
    line : int
        Where it stands in the file.
    password_days : int or None
        How long a password of it is valid, 0 for ever; None where the file leaves that to the server.
    """

    name: str
    login: str
    service: bool
    roles: Mapping[str, Role]
    line: int = field(default=0, compare=False)
    password_days: int | None = None

    def role(self, environment: str) -> Role | None:
        """Give its role in an environment. Who is a developer is at least a viewer of production."""
        if environment == "prod" and "prod" not in self.roles and self.roles.get("dev") in ("developer", "admin"):
            return "viewer"
        return self.roles.get(environment)


@dataclass(frozen=True)
class Access:
    """What ``access.toml`` says.

    Parameters
    ----------
    accounts : tuple of Account
        People, then services, in the order of the file.
    analyst_schemas : tuple of str
        The schemas that analysts may write to.
    operator_deletes : tuple of str
        The schemas in which operators may also delete rows of Manual tables.
    stores : mapping
        By the name of a store, whose account is used for it: ``person``, each their own, or the name of a service
        among :attr:`accounts` that all share.
    audited : tuple of str
        Tables to audit, as people name them: ``subject.Subject``.
    others : tuple of str
        Accounts on the server that have rights of their own, such as the backup's, and are left and not reported.
    tls : bool or None
        Whether accounts may only log in over an encrypted connection; None where the file leaves that to the server.
    """

    accounts: tuple[Account, ...] = ()
    analyst_schemas: tuple[str, ...] = ()
    operator_deletes: tuple[str, ...] = ()
    stores: Mapping[str, str] = field(default_factory=dict)
    audited: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    tls: bool | None = None

    @property
    def people(self) -> tuple[Account, ...]:
        """Give those that are people."""
        return tuple(account for account in self.accounts if not account.service)

    @property
    def services(self) -> tuple[Account, ...]:
        """Give those that are services."""
        return tuple(account for account in self.accounts if account.service)

    def with_role(self, environment: str) -> dict[str, Role]:
        """Give the role in an environment by login, of those that have one."""
        return {account.login: role for account in self.accounts if (role := account.role(environment))}


# --- What the file may have ------------------------------------------------------------------------------------------


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


#: How many days a password may be valid: as many as MySQL takes; 0 is for ever.
_DAYS = Field(default=None, ge=0, le=65_535)


class _Account(_Part):
    login: str | None = None
    roles: dict[str, Role]
    password_days: int | None = _DAYS


class _Accounts(_Part):
    password_days: int | None = _DAYS
    tls: bool | None = None


class _Analyst(_Part):
    schemas: list[str] = Field(default_factory=list)


class _Operator(_Part):
    delete_manual: list[str] = Field(default_factory=list)


class _Exceptions(_Part):
    analyst: _Analyst = Field(default_factory=_Analyst)
    operator: _Operator = Field(default_factory=_Operator)


class _Store(_Part):
    account: str


class _Audit(_Part):
    tables: list[str] = Field(default_factory=list)


class _Others(_Part):
    logins: list[str] = Field(default_factory=list)


class _File(_Part):
    people: dict[str, _Account] = Field(default_factory=dict)
    services: dict[str, _Account] = Field(default_factory=dict)
    accounts: _Accounts = Field(default_factory=_Accounts)
    exceptions: _Exceptions = Field(default_factory=_Exceptions)
    stores: dict[str, _Store] = Field(default_factory=dict)
    audit: _Audit = Field(default_factory=_Audit)
    others: _Others = Field(default_factory=_Others)


# --- Reading ---------------------------------------------------------------------------------------------------------


def read(
    path: Path,
    *,
    backend: str,
    schemas: Collection[str],
    tables: Mapping[str, str] | None = None,
    stores: Collection[str] | None = None,
    environments: Collection[str] = ENVIRONMENTS,
) -> Access:
    """Read and check ``access.toml``.

    Parameters
    ----------
    path : Path
        The file.
    backend : str
        ``mysql`` or ``postgresql``, which differ in the names that an account may have.
    schemas : collection of str
        The names of the project's schemas.
    tables : mapping, optional
        Tier of every table by the name that people use, ``subject.Subject``; without it, audited tables are checked as
        far as their schema.
    stores : collection of str, optional
        The stores of ``datajoint.json``; without it, their names are not checked.
    environments : collection of str
        Where accounts may have roles.

    Raises
    ------
    PipelineError
        If there is no such file, or with every mistake in it, a line each.
    """
    text = _text(path)
    access, mistakes = parse(
        text, backend=backend, schemas=schemas, tables=tables, stores=stores, environments=environments
    )
    if mistakes:
        raise refusal(path, mistakes)
    return access


def _text(path: Path) -> str:
    try:
        return text_of(path)
    except FileNotFoundError:
        raise PipelineError(
            f"There is no {path.name} in {path.parent}.",
            "It says who may do what, and without it there is nothing to compare the server with.",
            "Run uvx copier update, which brings one with examples; docs/access.md says what to do with it.",
        ) from None


def parse(
    text: str,
    *,
    backend: str,
    schemas: Collection[str],
    tables: Mapping[str, str] | None = None,
    stores: Collection[str] | None = None,
    environments: Collection[str] = ENVIRONMENTS,
) -> tuple[Access, list[Mistake]]:
    """Give what a text of ``access.toml`` says, and its mistakes by line; the parameters are those of :func:`read`."""
    try:
        document = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        return Access(), [no_toml(text, error)]
    places = Lines(text)
    try:
        found = _File.model_validate(document)
    except ValidationError as error:
        mistakes = [_in_words(complaint, places) for complaint in error.errors()]
        # What can be said of the rest is said as well, so that nobody mends the file twice.
        services = _service_names(document)
        complete = not any(complaint["loc"][0] == "exceptions" for complaint in error.errors())
        for complaint in error.errors():
            _take_out(document, complaint["loc"], complaint["type"])
        found = _File.model_validate(document)
    else:
        mistakes, services, complete = [], _service_names(document), True
    access = _values(found, places)
    mistakes += _account_mistakes(access, found, places, backend, complete=complete)
    mistakes += _environment_mistakes(access, places, environments)
    mistakes += _name_mistakes(access, places, schemas, tables, stores, services=services)
    mistakes += _other_mistakes(access, places)
    return access, sorted(set(mistakes))


def _values(found: _File, places: Lines) -> Access:
    accounts = [
        Account(
            name,
            name if account.login is None else account.login,
            service=kind == "services",
            roles=account.roles,
            line=places.of((kind, name)),
            password_days=found.accounts.password_days if account.password_days is None else account.password_days,
        )
        for kind in ("people", "services")
        for name, account in getattr(found, kind).items()
    ]
    return Access(
        accounts=tuple(accounts),
        analyst_schemas=tuple(found.exceptions.analyst.schemas),
        operator_deletes=tuple(found.exceptions.operator.delete_manual),
        stores={name: store.account for name, store in found.stores.items()},
        audited=tuple(found.audit.tables),
        others=tuple(found.others.logins),
        tls=found.accounts.tls,
    )


def _service_names(document: Mapping[str, Any]) -> list[str]:
    """Give the services of a document, of which others may be wrong in other ways."""
    services = document.get("services")
    return list(services) if isinstance(services, dict) else []


# --- Mistakes --------------------------------------------------------------------------------------------------------


def _take_out(document: dict[str, Any], path: tuple[Any, ...], kind: str) -> None:
    """Take what is wrong out of a document: a key that is not known, a role, or else the account or list around it."""
    path = path if kind in ("extra_forbidden", "literal_error") else path[:2]
    inner: Any = document
    for name in path[:-1]:
        inner = inner.get(name) if isinstance(inner, dict) else None
    if isinstance(inner, dict):
        inner.pop(path[-1], None)


_KINDS = {
    **KINDS,
    "bool_type": "true or false",
    "greater_than_equal": "0 or more",
    "less_than_equal": "65535 at most",
}


def _in_words(complaint: Any, places: Lines) -> Mistake:
    """Say in a sentence what pydantic complains of."""
    path, given, kind = complaint["loc"], complaint["input"], complaint["type"]
    where = dotted(path)
    if kind == "extra_forbidden":
        known = _known(path[:-1])
        return Mistake(places.of(path), f"{where} is not known here; {meant(str(path[-1]), known, 'there can be')}")
    if kind == "literal_error":
        return Mistake(places.of(path, given), f"{given!r} is not a role; {meant(str(given), ROLES)}")
    if kind == "missing":
        line = places.of(path[:-1])
        if path[-1] == "roles":
            return Mistake(line, f'{dotted(path[:-1])} has no roles; write for example roles = {{ prod = "viewer" }}.')
        return Mistake(line, f"{dotted(path[:-1])} lacks {path[-1]}.")
    wanted = _KINDS.get(kind)
    return Mistake(
        places.of(path, given),
        f"{where} has to be {wanted}, not {shown(given)}." if wanted else f"{where}: {lower(complaint['msg'])}.",
    )


def _known(path: tuple[Any, ...]) -> list[str]:
    """Give the keys that a table of the file may have."""
    model: type[BaseModel] = _File
    match path:
        case ("people" | "services", _):
            model = _Account
        case ("accounts",):
            model = _Accounts
        case ("exceptions",):
            model = _Exceptions
        case ("exceptions", "analyst"):
            model = _Analyst
        case ("exceptions", "operator"):
            model = _Operator
        case ("stores", _):
            model = _Store
        case ("audit",):
            model = _Audit
        case ("others",):
            model = _Others
    return list(model.model_fields)


def _account_mistakes(
    access: Access, found: _File, places: Lines, backend: str, *, complete: bool
) -> Iterator[Mistake]:
    longest, unit = LONGEST[backend], "characters" if backend == "mysql" else "bytes"
    server = "MySQL" if backend == "mysql" else "PostgreSQL"
    logins: dict[str, Account] = {}
    names: dict[str, Account] = {}
    for account in access.accounts:
        kind = "services" if account.service else "people"
        named = getattr(found, kind)[account.name].login is not None
        line = places.of((kind, account.name, "login") if named else (kind, account.name))
        login = account.login
        size = len(login) if backend == "mysql" else len(login.encode())
        if not login.strip() or login != login.strip() or not login.isprintable():
            yield Mistake(line, f"{login!r} cannot name an account: it is empty, or has spaces or control characters.")
        elif backend == "mysql" and max(login) > "\uffff":
            yield Mistake(line, f"the login {login} has a character, such as an emoji, that MySQL takes in no name.")
        elif size > longest:
            yield Mistake(line, f"the login {login} has {size} {unit}; {server} takes {longest} at most.")
        elif login.lower() in _RESERVED[backend] or (backend == "postgresql" and login.lower().startswith("pg_")):
            yield Mistake(line, f"{login} is a name that {server} keeps for itself.")
        if other := logins.get(login):
            yield Mistake(line, f"{account.name} has the login {login}, which {other.name} has in line {other.line}.")
        if other := names.get(account.name):
            yield Mistake(account.line, f"{account.name} is the name of a person in line {other.line} already.")
        if account.name == PERSON and account.service:
            yield Mistake(account.line, "no service can be called person: to a store, it is everybody's own account.")
        logins.setdefault(login, account)
        names.setdefault(account.name, account)
        for env, role in account.roles.items():
            if complete and role == "analyst" and not access.analyst_schemas:
                where = places.of((kind, account.name, "roles", env), role)
                yield Mistake(
                    where,
                    f"{account.name} is an analyst, and no schema is named that analysts may write to; "
                    'add [exceptions.analyst] with schemas = ["…"].',
                )


def _environment_mistakes(access: Access, places: Lines, environments: Collection[str]) -> Iterator[Mistake]:
    known = " and ".join(filter(None, (", ".join([*environments][:-1]), [*environments][-1])))
    for account in access.accounts:
        for env in account.roles:
            if env not in environments:
                path = ("services" if account.service else "people", account.name, "roles", env)
                more = "; local has no accounts" if env == "local" else "; environments.toml may name more"
                yield Mistake(places.of(path), f"{dotted(path)} is not known here; there are {known}{more}.")


def _other_mistakes(access: Access, places: Lines) -> Iterator[Mistake]:
    logins = {account.login: account for account in access.accounts}
    for number, login in enumerate(access.others):
        if account := logins.get(login):
            line = places.of(("others", "logins", number), login)
            yield Mistake(
                line, f"{login} is the login of {account.name} in line {account.line}, and so is none of the others."
            )


def _name_mistakes(
    access: Access,
    places: Lines,
    schemas: Collection[str],
    tables: Mapping[str, str] | None,
    stores: Collection[str] | None,
    *,
    services: Collection[str],
) -> Iterator[Mistake]:
    lists: tuple[tuple[Place, tuple[str, ...]], ...] = (
        (("exceptions", "analyst", "schemas"), access.analyst_schemas),
        (("exceptions", "operator", "delete_manual"), access.operator_deletes),
    )
    for path, named in lists:
        for number, schema in enumerate(named):
            line = places.of((*path, number), schema)
            if schema not in schemas:
                yield Mistake(line, f"there is no schema {schema}{hint(schema, schemas)}")
            elif schema in named[:number]:
                yield Mistake(line, f"{schema} is named twice in {dotted(path)}.")
    for number, table in enumerate(access.audited):
        line = places.of(("audit", "tables", number), table)
        schema, dot, name = table.partition(".")
        if not dot or not name:
            yield Mistake(line, f"{table} is not a table; write the schema and the class, such as subject.Subject.")
        elif schema not in schemas:
            yield Mistake(line, f"there is no schema {schema}{hint(schema, schemas)}")
        elif tables is not None and table not in tables:
            yield Mistake(line, f"there is no table {table}{hint(table, tables)}")
        elif tables is not None and tables[table] != "Manual":
            yield Mistake(line, f"{table} is {tables[table]}; only Manual tables can be audited.")
        elif table in access.audited[:number]:
            yield Mistake(line, f"{table} is named twice in audit.tables.")
    for store, account in access.stores.items():
        if account != PERSON and account not in services:
            yield Mistake(
                places.of(("stores", store, "account"), account),
                f"the account of the store {store} is {account}, which is neither person nor a service of this file"
                f"{hint(account, services)}",
            )
        if stores is not None and store not in stores:
            line = places.of(("stores", store))
            yield Mistake(line, f"datajoint.json has no store {store}{hint(store, stores)}")
