"""Run one step of a plan, or find that it ran before a crash."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from .. import journal, server_errors
from ..dialects import lock_holders
from ..dialects.choice import dialect_of
from ..dialects.steps import Clearing
from ..errors import ExitCode, PipelineError
from ..internals.codecs import convert
from ..journal import steplog
from ..planner.steps import (
    Conversion,
    LockedStatements,
    OnlineStatements,
    PlannedStep,
    Recoding,
    Statement,
    UserPython,
    UserSQL,
)
from ..planner.target import Target, Warn
from ..quoting import quoter
from . import orphans
from .holding import Hold

if TYPE_CHECKING:
    import datajoint as dj


class Refused(PipelineError):
    """A step was refused, and so changed nothing; but for batches that were done before, where there are ``batches``.

    ``waited`` is a statement that waited in vain for a lock.
    """

    waited: str = ""
    batches: int = 0


class _HalfWay(Exception):
    """The lab's Python failed, for the reason that it was raised from, after as many batches as its argument."""


#: Seconds that a statement may wait for the lock holders of a table. Whoever comes meanwhile waits behind it.
WAIT = 3

#: Seconds for which it is tried again, and between two tries, when others get their turn.
PATIENCE, PAUSE = 30, 1

Result = TypeVar("Result")


def patiently(
    connection: dj.Connection,
    databases: Mapping[str, str],
    work: Callable[[], Result],
    warn: Warn = lambda text: None,
) -> Result:
    """Do something again while others hold locks on its tables, for a while; then say who the lock holders are.

    ``warn`` is called once with who they are, while there is still time to let go.

    Raises
    ------
    Refused
        If others hold them for longer, or the server refuses it for another reason.
    """
    deadline, warned = time.monotonic() + PATIENCE, False
    while True:
        try:
            return work()
        except Refused as refused:
            if not refused.waited:
                raise
            late = time.monotonic() > deadline
            who = lock_holders.of(connection, databases.values(), refused.waited) if late or not warned else None
            if late:
                why = f"{who.words}. {refused.why}" if who else refused.why
                do = refused.do.replace(server_errors.HELD.do, who.do) if who and who.do else refused.do
                raise Refused(refused.what, why, do, exit_code=refused.exit_code) from refused
            if not warned:
                words = who.words if who else "Others hold a table that is to be changed"
                warn(f"{words}. Trying for up to {PATIENCE} s.")
                warned = True
        time.sleep(PAUSE)


def name_holder(connection: dj.Connection, databases: Mapping[str, str], step: PlannedStep, warn: Warn) -> None:
    """Say who has a table of a step of PostgreSQL that waits for others for as long as they take."""
    tables = " ".join(quoter(connection)(*place) for place in step.places)
    if who := lock_holders.of(connection, databases.values(), tables):
        ends = f"until it is over. {who.do}" if who.do else "until that session ends its transaction"
        warn(f"{who.words}. The next step waits {ends}.")


def prepare(connection: dj.Connection) -> None:
    """Set the session up for changing tables, so that no statement waits too long for a lock."""
    for text in dialect_of(connection).session:
        connection.query(text % WAIT if "%d" in text else text, args=None, reconnect=False)


@contextmanager
def changing(connection: dj.Connection) -> Iterator[None]:
    """Have the session set up for changing a pipeline, whatever an account or the server has set, for a while."""
    mysql = connection.adapter.backend == "mysql"
    show = "SELECT @@SESSION.{}" if mysql else "SELECT current_setting('{}', true)"
    wanted, before = dict[str, str | int](), dict[str, str | int]()
    for name, value in dialect_of(connection).changing.items():
        (found,) = connection.query(show.format(name), args=None, reconnect=False).fetchone()
        if found is not None:
            wanted[name], before[name] = value, found

    def set_up(values: Mapping[str, str | int]) -> None:
        for name, value in values.items():
            connection.query(f"SET SESSION {name} = %s", (value,), reconnect=False)

    for name, (value, does, do) in dialect_of(connection).restricted.items():
        (found,) = connection.query(show.format(name), args=None, reconnect=False).fetchone()
        if found != value:
            with _explaining(name, value, does, do):
                set_up({name: value})
            before[name] = found
    set_up(wanted)
    try:
        yield
    finally:
        with suppress(Exception):  # a lost session has nothing to be set back
            set_up(before)


@contextmanager
def _explaining(name: str, value: str | int, does: str, do: str) -> Iterator[None]:
    """Say what a setting is for where the account may not set it."""
    try:
        yield
    except Exception as error:
        if server_errors.of(error) is not server_errors.ACCESS:
            raise
        raise PipelineError(
            f"This account has another {name} than {value}, and may not set it for its session.",
            f"{does} Nothing was changed.",
            do,
        ) from error


def send(connection: dj.Connection, statement: str, what: str, *arguments: object) -> Any:
    """Run a statement that is no step of a plan, for :func:`patiently` to try again where somebody holds its tables."""
    try:
        return connection.query(statement, arguments or None, reconnect=False)
    except Exception as error:
        found = server_errors.of(error)
        if found is not server_errors.HELD:
            raise
        refused = Refused(what, f"{server_errors.reason(error)}.", f"{found.do}, then run the command again.")
        refused.waited = statement
        raise refused from error


def upgrade_journals(connection: dj.Connection, databases: Iterable[str]) -> None:
    """Bring the journals of earlier releases to the layout of this one, before anything is added to them."""
    outdated = journal.outdated(connection, databases)
    if outdated:
        prepare(connection)
    for database in outdated:
        journal.upgrade(connection, database)


@contextmanager
def transaction(connection: dj.Connection) -> Iterator[None]:
    """Hold a transaction, undone where an error leaves it."""
    connection.query("START TRANSACTION", args=None, reconnect=False)
    try:
        yield
    except BaseException:
        with suppress(Exception):  # the first error says why; a lost session undoes by itself
            connection.query("ROLLBACK", args=None, reconnect=False)
        raise
    answer = connection.query("COMMIT", args=None, reconnect=False)
    if getattr(answer, "statusmessage", "COMMIT") == "ROLLBACK":
        raise PipelineError(
            "Nothing was changed.",
            "A statement had failed, so PostgreSQL undid all of it.",
            "Say --debug to see which.",
        )


@contextmanager
def within(connection: dj.Connection) -> Iterator[None]:
    """Hold a transaction on MySQL; on PostgreSQL there is one already."""
    if connection.adapter.backend == "postgresql":
        yield
        return
    with transaction(connection):
        yield


@dataclass(frozen=True)
class StepLog:
    """Where the steps of a run are recorded, how many there are, and which command runs them once more.

    ``before`` is how many of them were done before the way back begins, where the run is being taken back.
    """

    database: str
    run: int
    of: int
    command: str = "migrate"
    before: int = 0


def run(
    target: Target,
    databases: Mapping[str, str],
    log: StepLog,
    hold: Hold,
    step: PlannedStep,
    entry: steplog.Entry,
) -> int:
    """Run a step and record that it is done; give the number of the last step that is done with it.

    Parameters
    ----------
    target : Target
        Where; its session holds the lock.
    databases : mapping
        Name on the server of each schema.
    log : StepLog
        Where the step is recorded.
    hold : Hold
        Keeps others from the tables over several steps.
    step : PlannedStep
        What is run.
    entry : Entry
        Its record.

    Raises
    ------
    PipelineError
        If it cannot be run; :class:`Refused` where the server says so.
    """
    connection, mysql = target.connection, target.connection.adapter.backend == "mysql"
    hold.before(step)
    # Releases before 0.7 go on by what the tables were before the step.
    before = "\n".join(_describe(connection, *table) for table in step.places) if mysql else ""
    last = entry.number
    steplog.start(connection, log.database, log.run, entry.number, before)
    try:
        # Whether rows were changed cannot be seen of a table, so that is recorded in one transaction with the change.
        if locked := isinstance(step, LockedStatements):
            hold.take(step)
        held = hold.transaction if locked else partial(transaction, connection)
        with held() if mysql and step.changes_rows else nullcontext():
            match step:
                case UserSQL() | OnlineStatements():
                    last += _unless_done(connection, step)
                case Statement(done=query) | LockedStatements(done=query) if query and is_true(connection, query):
                    pass
                case LockedStatements():
                    _locked(connection, step, hold)
                case Recoding():
                    _recode(connection, step.conversion)
                case UserPython():
                    _python(connection, databases, step)
                case Statement(clearing=Clearing() as clearing):
                    _make(connection, step, clearing)
                case _:
                    _send(connection, step.statements)
            for number in range(entry.number, last + 1):
                steplog.finish(connection, log.database, log.run, number)
    except PipelineError:
        raise
    except Exception as failure:
        batches = failure.args[0] if isinstance(failure, _HalfWay) and mysql else 0
        error = (failure.__cause__ if isinstance(failure, _HalfWay) else None) or failure
        found = server_errors.of(error)
        single = mysql or isinstance(step, OnlineStatements)
        unknown = single and found is server_errors.LOST  # nobody knows whether the step ran
        number, of = entry.number - log.before, log.of - log.before
        first = not single or (mysql and number == 1 and not unknown and not batches)
        left = f"{number - 1} of {of} steps are done and recorded"
        part = f", and {batches} {'batch' if batches == 1 else 'batches'} of this one" if batches else ""
        part = ", and this one may be" if unknown else part
        left = "Nothing was changed." if first else f"{left}{part}."
        again = f"run {target.command} {log.command} again" + ("." if first else "; it goes on from there.")
        mend = "Correct it in the migration" if isinstance(step, (UserSQL, UserPython)) else "Remove the cause"
        hold.release()
        if mysql and isinstance(step, UserSQL) and not unknown:
            with suppress(Exception):  # one statement that failed changed nothing
                steplog.take_back(connection, log.database, log.run, entry.number)
        reason = server_errors.reason(error)
        if re.search("duplicate", reason, re.IGNORECASE):
            mend = "Correct the rows that it names"
        elif _counted_again(step, reason):
            reason = "Meanwhile somebody saved values that it would lose, or that the server would refuse"
            mend = "See what migrate --dry-run counts now"
        why, mend = (None if found else orphans.of(connection, step)) or (reason, mend)
        refused = (PipelineError if unknown else Refused)(
            f"Step {number} of {of} failed: {step.words}.",
            f"{why}. {left}",
            f"{found.do if found else mend}, then {again}",
            exit_code=ExitCode.ERROR if first and not log.before else ExitCode.INTERRUPTED,
        )
        if isinstance(refused, Refused):
            refused.batches = batches
        if isinstance(refused, Refused) and found is server_errors.HELD:
            locks = step.locks if isinstance(step, LockedStatements) else ()
            refused.waited = "; ".join((*step.statements, *locks))
        raise refused from error
    return last


def _counted_again(step: PlannedStep, reason: str) -> bool:
    """Tell whether a step failed as what was counted before it was counted once more, under its lock."""
    if "`probe`.`found`" in reason:
        return True
    return "division by zero" in reason and any("AS probe(found)" in text for text in step.statements)


def _describe(connection: dj.Connection, database: str, table: str) -> str:
    """Give a table as MySQL describes it; empty where there is none."""
    query = "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = %s AND table_name = %s"
    if not connection.query(query, (database, table), reconnect=False).fetchone()[0]:
        return ""
    quote = quoter(connection)
    try:
        text = connection.query(f"SHOW CREATE TABLE {quote(database)}.{quote(table)}", args=None, reconnect=False)
    except Exception as error:
        if server_errors.of(error) is server_errors.UNLOCKED:
            return ""
        raise
    return re.sub(r" AUTO_INCREMENT=\d+", "", str(text.fetchone()[1]))


def _send(connection: dj.Connection, statements: Iterable[str]) -> None:
    for statement in statements:
        connection.query(statement, args=None, reconnect=False)


def _locked(connection: dj.Connection, step: LockedStatements, hold: Hold) -> None:
    """Run statements of MySQL between which nobody may write a row."""

    def work() -> None:
        for conversion in step.conversions:
            while _convert(connection, conversion, alone=True):
                pass
        _send(connection, step.statements)

    try:
        work()
    except Exception as error:
        if server_errors.of(error) is not server_errors.UNLOCKED:
            raise
        hold.release()  # an expression of a migration reads other tables
        work()


#: How often what others make in the place of a table is taken away, before the server's refusal stands.
_TRIES = 20


def _make(connection: dj.Connection, step: Statement, clearing: Clearing) -> None:
    """Make a table of MySQL; what others make in its place meanwhile goes first, as often as they do."""
    for number in range(_TRIES):
        if is_true(connection, clearing.needed):
            _clear(connection, clearing)
        try:
            _send(connection, step.statements)
            return
        except Exception:
            if number == _TRIES - 1 or not is_true(connection, clearing.needed):
                raise


def _clear(connection: dj.Connection, clearing: Clearing) -> None:
    try:
        _send(connection, [f"LOCK TABLES {', '.join(clearing.locks)}"])
    except Exception as error:  # where the account may not, the statements run one right after the other
        if server_errors.of(error) is not server_errors.ACCESS:
            raise
    try:
        _send(connection, clearing.statements)
    finally:
        with suppress(Exception):  # a lost session holds nothing
            _send(connection, ["UNLOCK TABLES"])


def _unless_done(connection: dj.Connection, step: UserSQL | OnlineStatements) -> int:
    """Run statements unless their check says that they are done; give how many more steps are done with them."""
    if step.check and is_true(connection, step.check):
        return step.more if isinstance(step, UserSQL) else 0
    _send(connection, step.statements)
    return 0


def is_true(connection: dj.Connection, query: str) -> bool:
    """Tell whether the first value that a query gives is true."""
    row = connection.query(query, args=None, reconnect=False).fetchone()
    return bool(row and row[0])


def _recode(connection: dj.Connection, conversion: Conversion) -> None:
    """Convert values by DataJoint's codecs, batch by batch; those that are converted are not converted again."""
    more = True
    while more:
        with within(connection):
            more = _convert(connection, conversion, alone=connection.adapter.backend == "postgresql")


def _convert(connection: dj.Connection, what: Conversion, *, alone: bool) -> bool:
    """Convert a batch of the values of an attribute; tell whether more are left."""
    more: dict[str, Any] = {"mark": what.mark, "alone": alone, "kept": what.before}
    return convert(connection, what.place, what.source, what.target, what.type, **more)


def _python(connection: dj.Connection, databases: Mapping[str, str], step: UserPython) -> None:
    """Run the Python of a user step, batch by batch."""
    own = step.operation
    more, batches = not own.check(connection, dict(databases)), 0
    while more:
        try:
            with within(connection):
                more = bool(own.run(connection, dict(databases)))
        except PipelineError:
            raise
        except Exception as error:
            raise _HalfWay(batches) from error
        batches += 1
    if not own.check(connection, dict(databases)):
        raise PipelineError(
            f"The step to {step.words} is not done.",
            "Its check is not true after its last batch.",
            "Correct the migration and run migrate again.",
            exit_code=ExitCode.INTERRUPTED,
        )
