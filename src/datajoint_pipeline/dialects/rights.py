"""Who may do what on a server, as values that can be wanted, found and compared, and the statements between them.

A server gives a :class:`Standing`: what of it is ours, what others have, which tables there are. What is wanted is
another set of the same values; nothing here knows why.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from ..errors import PipelineError
from ..internals.connection import rows_of

if TYPE_CHECKING:
    import datajoint as dj

#: Database (on PostgreSQL a schema) and table on the server.
Place = tuple[str, str]

#: What lets a holder pass a right on.
GRANT_OPTION = "GRANT OPTION"

#: Whom PostgreSQL means by everybody.
PUBLIC = "PUBLIC"


class Unseen(PipelineError):
    """This account may not see who has which rights."""


@dataclass(frozen=True, order=True)
class Role:
    """A role of ours is there."""

    name: str


@dataclass(frozen=True, order=True)
class Login:
    """An account is there."""

    name: str


@dataclass(frozen=True, order=True)
class Member:
    """A role is given to an account or to another role; with ``admin`` the right to give it to others, on its own."""

    role: str
    member: str
    admin: bool = False


@dataclass(frozen=True, order=True)
class Default:
    """A role is active from the beginning of each session of an account (MySQL)."""

    role: str
    member: str


@dataclass(frozen=True, order=True)
class Acts:
    """An account is a role from the beginning of each session in this database (PostgreSQL)."""

    login: str
    role: str


@dataclass(frozen=True, order=True)
class MakesRoles:
    """An account may make others (PostgreSQL, where no role passes that on)."""

    login: str


@dataclass(frozen=True, order=True)
class Expires:
    """A password of an account is valid for some days, 0 for ever."""

    login: str
    days: int


@dataclass(frozen=True, order=True)
class Encrypted:
    """Whether an account may only log in over an encrypted connection (MySQL)."""

    login: str
    required: bool


@dataclass(frozen=True, order=True)
class Right:
    """A privilege of a role or an account.

    Parameters
    ----------
    holder : str
        The role or account; on MySQL one for any host, or ``name@host``.
    privilege : str
        As the server calls it. On PostgreSQL, what may be passed on is a further ``GRANT OPTION FOR …``.
    database : str
        The database of MySQL or the schema of PostgreSQL. Empty for what holds on the whole server of MySQL, or on the
        database of PostgreSQL itself.
    table, column : str
        Empty for a right on everything in it.
    verbatim : bool
        Whether ``database`` is a pattern, as MySQL has written it down, and not the name of one.
    """

    holder: str
    privilege: str
    database: str = ""
    table: str = ""
    column: str = ""
    verbatim: bool = False


@dataclass(frozen=True, order=True)
class FutureRight:
    """What a holder gets on whatever an owner makes (PostgreSQL), anywhere or in one schema; ``kind`` is ``SCHEMAS``,
    ``TABLES`` or another word of ``ALTER DEFAULT PRIVILEGES``.
    """

    owner: str
    holder: str
    privilege: str
    kind: str
    database: str = ""


@dataclass(frozen=True, order=True)
class Owns:
    """Something belongs to a role (PostgreSQL); ``kind`` is ``SCHEMA``, ``TABLE`` or ``TYPE``, ``name`` empty for the
    first.
    """

    owner: str
    database: str
    name: str
    kind: str


Fact: TypeAlias = Role | Login | Member | Default | Acts | MakesRoles | Expires | Encrypted | Right | FutureRight | Owns


@dataclass(frozen=True)
class Table:
    """What rights depend on of a table: the names of its columns, in their order, and of its primary key's."""

    columns: tuple[str, ...] = ()
    key: tuple[str, ...] = ()


@dataclass(frozen=True)
class Tables:
    """The tables of a pipeline and of what stands upstream of it.

    Parameters
    ----------
    tables : mapping
        Every table of the pipeline's databases, hidden ones too.
    parents : collection of (Place, Place)
        Child and parent of every foreign key, as far as it leads upstream.
    """

    tables: Mapping[Place, Table] = field(default_factory=dict)
    parents: Collection[tuple[Place, Place]] = ()


@dataclass(frozen=True)
class Mark:
    """What a role or account of ours is marked with.

    Parameters
    ----------
    pipeline : str
        Whose it is.
    environment, role : str
        Of which it is the role; empty for an account.
    new : bool
        Whether it is an account whose password nobody has been given yet.
    """

    pipeline: str
    environment: str = ""
    role: str = ""
    new: bool = False


@dataclass(frozen=True)
class Password:
    """How old the password of an account is, and how long it is still valid, in days.

    ``age`` is None where the server does not know it; ``left`` is None for ever, and 0 or less once it is void.
    """

    age: float | None = None
    left: float | None = None


@dataclass(frozen=True, order=True)
class Bypass:
    """What lets a holder do more than its rights say, and is none of them: in words, with what takes it away."""

    holder: str
    words: str


@dataclass(frozen=True)
class Standing:
    """How rights stand on a server.

    Parameters
    ----------
    facts : frozenset
        What our roles and the accounts that were asked for have, and what others have in the pipeline's databases.
    marks : mapping
        By name of a role or account, what it is marked with.
    names : frozenset of str
        Every role and account of the server.
    superusers : frozenset of str
        Accounts that may do anything.
    tables : Tables
        What rights depend on.
    databases : frozenset of str
        Those of the databases that were asked for that are there.
    orphans : frozenset of Right
        Those among the facts whose table is not there (MySQL).
    covering : frozenset of str
        Patterns among the facts that fit a database of the pipeline and are not its name (MySQL).
    literal : bool
        Whether MySQL takes names of databases literally (``partial_revokes``).
    user : str
        The account that looks.
    database : str
        The database of PostgreSQL.
    passwords : mapping
        By login, of the accounts that were asked for.
    grantors : mapping
        Who gave a role to a member, where it has to be taken back in their name (PostgreSQL).
    bypasses : frozenset of Bypass
        Of roles and accounts of ours, and of everybody.
    """

    facts: frozenset[Fact] = frozenset()
    marks: Mapping[str, Mark] = field(default_factory=dict)
    names: frozenset[str] = frozenset()
    superusers: frozenset[str] = frozenset()
    tables: Tables = field(default_factory=Tables)
    databases: frozenset[str] = frozenset()
    orphans: frozenset[Right] = frozenset()
    covering: frozenset[str] = frozenset()
    literal: bool = False
    user: str = ""
    database: str = ""
    passwords: Mapping[str, Password] = field(default_factory=dict)
    grantors: Mapping[Member, tuple[str, ...]] = field(default_factory=dict)
    bypasses: frozenset[Bypass] = frozenset()


@dataclass(frozen=True)
class Statement:
    """A statement, and what is so when it has run or, where it takes something back, no longer so."""

    sql: str
    facts: tuple[Fact, ...]
    revokes: bool = False


class Server(ABC):
    """The rights on a server.

    Parameters
    ----------
    connection : datajoint.Connection
        An administrator's.
    """

    backend: str
    #: How long the name of a role may be.
    longest: int
    #: Whether rights are taken back before others are given, all in one transaction.
    revokes_first = False
    #: Whether an account can be asked for an encrypted connection.
    asks_for_tls = False

    def __init__(self, connection: dj.Connection) -> None:
        self.connection = connection

    def _rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        return rows_of(self.connection, query, *values)

    @abstractmethod
    def read(self, databases: Collection[str], logins: Collection[str], pipeline: str) -> Standing:
        """Read how rights stand, with nine queries of the catalogue at most.

        Parameters
        ----------
        databases : collection of str
            The pipeline's, on the server; they need not be there.
        logins : collection of str
            The accounts that are asked for.
        pipeline : str
            Whose marks make something ours.

        Raises
        ------
        PipelineError
            If this account may not see the rights of others.
        """

    def holds(self, fact: Fact, standing: Standing) -> bool:
        """Tell whether a fact is so."""
        return fact in standing.facts

    @abstractmethod
    def grants(self, facts: Collection[Fact], standing: Standing, marks: Mapping[str, Mark]) -> Iterator[Statement]:
        """Give the statements that make facts so, in the order in which they can run."""

    @abstractmethod
    def revokes(self, facts: Collection[Fact], standing: Standing) -> Iterator[Statement]:
        """Give the statements that make facts no longer so."""

    @abstractmethod
    def borrow(self, roles: Collection[str]) -> list[str]:
        """Give this account the rights of roles that it may give and lacks, and give their names.

        So an administrator of PostgreSQL who is no superuser, as in a cloud, works for roles that it made. Within a
        transaction, in which :meth:`give_back` ends that.
        """

    @abstractmethod
    def give_back(self, roles: Collection[str]) -> None:
        """Take from this account what it borrowed."""

    @abstractmethod
    def new_password(self, login: str, mark: Mark, keeper: str) -> str:
        """Make an account that cannot log in yet, and give its password, which is in no statement.

        Where that was done before and interrupted, the account gets another one. On PostgreSQL, whoever has the role
        ``keeper`` may change the account from then on; empty for nobody but who made it.
        """

    @abstractmethod
    def hand_over(self, login: str) -> None:
        """Let an account log in, once its password is in the hands of somebody."""


def upstream(tables: Tables, databases: Collection[str]) -> set[str]:
    """Give the databases that foreign keys of some lead to, however many schemas away, but for these themselves."""
    found, left = set(databases), list(databases)
    parents: dict[str, set[str]] = {}
    for (child, _), (parent, _) in tables.parents:
        parents.setdefault(child, set()).add(parent)
    while left:
        new = parents.get(left.pop(), set()) - found
        found |= new
        left += new
    return found - set(databases)


def grouped(rights: Collection[Right]) -> dict[tuple[str, str, str, bool], list[Right]]:
    """Give rights by holder, database, table and whether the database is a pattern."""
    found: dict[tuple[str, str, str, bool], list[Right]] = {}
    for right in sorted(rights):
        found.setdefault((right.holder, right.database, right.table, right.verbatim), []).append(right)
    return found
