"""Bring a server to what is wanted, behind the pipeline's lock and with a record.

PostgreSQL: all of it is one transaction. MySQL commits after every statement: what an interrupted run left is found
again by comparing, so that another run goes on from there; and an account can log in only once its password is in safe
hands.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace

from .. import journal, server_errors
from ..dialects import choice
from ..dialects.rights import Login, MakesRoles, Mark, Member, Role, Server, Standing
from ..errors import ExitCode, PipelineError
from ..executor.stepping import transaction
from ..internals.connection import as_login, one_session
from ..journal import access as record
from ..journal.access import Applied
from ..planner.status import unfinished
from ..planner.target import Target
from . import audit, further
from . import plan as plans
from .model import ENVIRONMENTS, Access
from .names import Names, pipeline_name
from .plan import AccessPlan, Line

#: Called with the login of an account that was made and its password, to put it into safe hands.
Hand = Callable[[str, str], None]


@dataclass(frozen=True)
class Outcome:
    """What `access apply` did.

    Parameters
    ----------
    plan : AccessPlan
        What it set out to do.
    accounts : tuple of str
        The accounts that were made, whose passwords were handed over.
    interrupted : tuple of Applied
        Runs of before that did not end, which this one completed.
    recorded : bool
        Whether there is a record of it; before the first schema is made, there is no place for one.
    unaudited : PipelineError, optional
        Why the triggers of audited tables could not be made or taken off, where that was refused once the rights were
        given, such as that the account may make none.
    """

    plan: AccessPlan
    accounts: tuple[str, ...] = ()
    interrupted: tuple[Applied, ...] = ()
    recorded: bool = True
    unaudited: PipelineError | None = None


@dataclass(frozen=True)
class Where:
    """The pipeline on a server, as rights see it: its target, what ``access.toml`` says, and the names of its roles.

    ``beside``, ``drafts`` and ``sharing`` are those of :class:`~.names.Names`.
    """

    target: Target
    access: Access
    package: str
    prefix: str
    beside: tuple[str, ...] = ENVIRONMENTS
    drafts: bool = False
    sharing: tuple[str, ...] = ENVIRONMENTS

    @property
    def server(self) -> Server:
        """Give the rights on the target's server."""
        return choice.rights_of(self.target.connection)

    @property
    def names(self) -> Names:
        """Give the roles of the target's environment."""
        return self.names_of(self.target.environment)

    def names_of(self, environment: str) -> Names:
        """Give the roles of an environment."""
        server = self.server
        owned = server.backend == "postgresql"
        name = pipeline_name(self.package, self.prefix)
        return Names(name, environment, server.longest, owned, self.beside, self.drafts, self.sharing)


def plan(where: Where) -> AccessPlan:
    """Compare a server with what is wanted; changes nothing.

    Raises
    ------
    PipelineError
        If this account may not see the rights of others, a role's name is taken, or a migration is interrupted.
    """
    _refuse_unfinished(where.target)
    with as_login(where.target.connection):
        found = _plan(where)
    return replace(found, audit=audit.survey(where.target, where.access)) if found.audits else found


def _plan(where: Where, borrowed: Collection[str] = ()) -> AccessPlan:
    server, names, databases = where.server, where.names, where.target.databases
    logins = [account.login for account in where.access.accounts]
    standing = _read(server, tuple(databases.values()), logins, names, borrowed)
    if others := further.candidates(standing, names, databases):
        standing = _read(server, (*databases.values(), *others), logins, names, borrowed)
    found = plans.make(server, standing, where.access, names, databases, further.find(standing, names, databases))
    return replace(found, audits=audit.concerned(where.access, standing.tables.tables))


def _read(
    server: Server, databases: Collection[str], logins: Collection[str], names: Names, borrowed: Collection[str]
) -> Standing:
    """Read how rights stand, without what this account has only meanwhile."""
    found = server.read(databases, logins, names.pipeline)
    return replace(found, facts=found.facts - {Member(role, found.user) for role in borrowed})


def apply(where: Where, hand: Hand, report: Callable[[str], None] = lambda text: None) -> Outcome:
    """Run what separates the server from what is wanted; nothing where that is nothing.

    Parameters
    ----------
    where : Where
        The pipeline on its server.
    hand : callable
        Takes an account's password before the account can be used.
    report : callable, optional
        Called with each statement.

    Raises
    ------
    PipelineError
        As :func:`plan`; if a statement is refused; or if something is still missing afterwards.
    """
    _refuse_unfinished(where.target)
    # What cannot be audited is refused before any right is given.
    surveyed = audit.survey(where.target, where.access) if where.access.audited else audit.Audit()
    done = _apply(where, hand, report)
    if not done.plan.audits:
        return done
    try:
        found = audit.apply(where.target, surveyed)
    except PipelineError as error:
        # The rights stand, and the passwords of accounts that were made are told by who called, or lost.
        return replace(done, plan=replace(done.plan, audit=audit.Audit(absent=surveyed.absent)), unaudited=error)
    return replace(done, plan=replace(done.plan, audit=found))


def _refuse_unfinished(target: Target) -> None:
    """Refuse while a migration is interrupted: its tables may have other names until it goes on, or lack columns."""
    recorded = journal.recorded(target.connection, target.databases)
    try:
        records = journal.latest(target.connection, recorded)
    except Exception as error:
        if server_errors.of(error) is server_errors.ACCESS:
            return  # who gives rights need not see rows
        raise
    for name, run in records.items():
        if run.status == journal.RUNNING and run.kind != "init":
            raise unfinished(target, records, name, "Rights on its tables are known only when that has ended.")


def _apply(where: Where, hand: Hand, report: Callable[[str], None]) -> Outcome:
    target = where.target
    connection = target.connection
    whole = transaction(connection) if connection.adapter.backend == "postgresql" else nullcontext()
    held = journal.lock(connection, target.lock, warn=target.warn)
    with one_session(connection), held, as_login(connection), whole:
        server, names = where.server, where.names
        borrowed = server.borrow(list(names.marks))
        done = _locked(where, hand, report, borrowed)
        server.give_back(borrowed)
        return done


def _locked(where: Where, hand: Hand, report: Callable[[str], None], borrowed: list[str]) -> Outcome:
    """Do it behind the lock; the roles whose rights this account has only meanwhile are added to ``borrowed``."""
    target = where.target
    connection = target.connection
    database = record.place(connection, target.databases)
    before = tuple(one for one in record.interrupted(connection, database) if not one.action)
    first = _plan(where, borrowed)
    _refuse_own_end(where, first)
    if not first.lines:
        for left in before:  # its last statement ran, and then it ended
            record.finish(connection, database, left.id, len(left.statements))
        return Outcome(first, interrupted=before)
    if database:
        record.create(connection, database)
        first = _plan(where, borrowed)  # with the rights on the record itself
    run = _Run(where, database, hand, report, borrowed)
    run.all(first)
    for left in before:
        record.finish(connection, database, left.id, left.done)
    after = _plan(where, borrowed)
    if after.lines:
        raise _stuck(target, after)
    return Outcome(first, tuple(run.accounts), before, bool(database))


@dataclass
class _Run:
    """Statements that are being run, one after the other."""

    where: Where
    database: str
    hand: Hand
    report: Callable[[str], None]
    borrowed: list[str]
    accounts: list[str] = field(default_factory=list)

    def all(self, plan: AccessPlan) -> None:
        target = self.where.target
        connection = target.connection
        number = 0
        if self.database:
            number = record.begin(
                connection,
                self.database,
                statements=[(line.sql, line.reason) for line in plan.lines],
                code_commit=target.commit(),
                software=target.software(),
            )
        for done, line in enumerate(plan.lines, 1):
            self.report(line.sql)
            with self._explained(line, done, len(plan.lines)):
                self._one(line)
            if self.database and connection.adapter.backend == "mysql":  # elsewhere all or nothing is done
                record.step(connection, self.database, number, done)
        if self.database:
            record.finish(connection, self.database, number, len(plan.lines))

    def _one(self, line: Line) -> None:
        match line.facts[0]:
            case Login(name) if not line.revokes:
                self._account(name)
            case fact:
                self.where.target.connection.query(line.sql, args=None, reconnect=False)
                if isinstance(fact, Role) and not line.revokes:
                    self.borrowed += self.where.server.borrow([fact.name])

    def _account(self, login: str) -> None:
        server = self.where.server
        mark = Mark(self.where.names.pipeline)
        names, access = self.where.names, self.where.access
        is_admin = access.with_role(names.environment).get(login) == "admin"  # a role cannot keep its own members
        password = server.new_password(login, mark, "" if is_admin else names.of("admin"))
        self.hand(login, password)
        server.hand_over(login)
        self.accounts.append(login)

    @contextmanager
    def _explained(self, line: Line, number: int, of: int) -> Iterator[None]:
        try:
            yield
        except PipelineError:
            raise
        except Exception as error:
            mysql = self.where.target.connection.adapter.backend == "mysql"
            left = f"{number - 1} of {of} statements were run" if mysql and number > 1 else "Nothing was changed"
            found = server_errors.of(error)
            do = found.do if found else "Remove the cause"
            if found is server_errors.ACCESS:
                do = "Have it run by an administrator of the server once"
            program = self.where.target.command
            raise PipelineError(
                f"The server refused: {line.sql}.",
                f"{server_errors.reason(error)}. {left}.",
                f"{do}, then run {program} access apply again{'; it goes on from there' if mysql else ''}.",
                exit_code=ExitCode.INTERRUPTED if mysql and number > 1 else ExitCode.ERROR,
            ) from error


def _refuse_own_end(where: Where, plan: AccessPlan) -> None:
    """Raise where an admin would take his own rights away, and could then not do the rest."""
    own = choice.accounts_of(where.target.connection).own()
    ends = {Member(where.names.of("admin"), own), MakesRoles(own)}
    if any(line.revokes and ends & {*line.facts} for line in plan.lines):
        raise PipelineError(
            f"access.toml has {own} no longer as an admin, and you work as {own}.",
            "Half-way you would lose the rights to finish. Nothing was changed.",
            f"Have another admin or the server's administrator run {where.target.command} access apply.",
        )


def _stuck(target: Target, plan: AccessPlan) -> PipelineError:
    return PipelineError(
        f"{len(plan.lines)} statement{'s' if len(plan.lines) > 1 else ''} changed nothing: {plan.lines[0].sql}.",
        "The server accepted them, and is as before; most often somebody else gave a right that only they can take.",
        f"Look at it with {target.command} access plan, and have an administrator of the server run it.",
    )
