"""Run one step of a plan, or find that it ran before a crash."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from .. import journal, server_errors
from ..dialects import lock_holders
from ..dialects.choice import dialect_of
from ..errors import ExitCode, PipelineError
from ..history import migration_files
from ..internals.codecs import convert
from ..journal import steplog
from ..operations.lines import RunPython
from ..planner import user_steps
from ..planner.target import Target
from ..quoting import quoter
from . import orphans
from .holding import Hold

if TYPE_CHECKING:
    import datajoint as dj


class Refused(PipelineError):
    """The server refused a step, which so changed nothing; ``waited`` is a statement that waited in vain for a lock."""

    waited: str = ""


#: Seconds that a statement may wait for the lock holders of a table. Whoever comes meanwhile waits behind it.
WAIT = 3

#: Seconds for which it is tried again, and between two tries, when others get their turn.
PATIENCE, PAUSE = 30, 1

Result = TypeVar("Result")


def patiently(connection: dj.Connection, databases: Mapping[str, str], work: Callable[[], Result]) -> Result:
    """Do something again while others hold locks on its tables, for a while; then say who the lock holders are.

    Raises
    ------
    Refused
        If others hold them for longer, or the server refuses it for another reason.
    """
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return work()
        except Refused as refused:
            if not refused.waited:
                raise
            if time.monotonic() > deadline:
                who = lock_holders.of(connection, databases.values(), refused.waited)
                why = f"{who}. {refused.why}" if who else refused.why
                raise Refused(refused.what, why, refused.do, exit_code=refused.exit_code) from refused
        time.sleep(PAUSE)


def prepare(connection: dj.Connection) -> None:
    """Set the session up for changing tables, so that no statement waits too long for a lock."""
    for text in dialect_of(connection).session:
        connection.query(text % WAIT if "%d" in text else text, args=None, reconnect=False)


def send(connection: dj.Connection, statement: str, what: str) -> None:
    """Run a statement that is no step of a plan, for :func:`patiently` to try again where somebody holds its tables."""
    try:
        connection.query(statement, args=None, reconnect=False)
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


def corrected(target: Target, head: dict[str, Any]) -> dict[str, Any]:
    """Give the head of an interrupted run, once its steps are those that its files have now.

    Only user steps may have been corrected. PostgreSQL undoes them with the whole transaction: it has none to correct.
    """
    connection, database = target.connection, head["databases"][head["leader"]["schema"]]
    run = head["leader"]["run"]
    steps = steplog.read(connection, database, run)
    found = user_steps.corrected(connection, head, steps, migration_files.read(target.files))
    if found is None:
        return head
    now, entries = found
    same = next((n for n, pair in enumerate(zip(steps, entries, strict=False)) if pair[0] != pair[1]), len(steps))
    with transaction(connection):
        for member in now["members"]:
            leads = (member["schema"], member["run"]) == (head["leader"]["schema"], run)
            member_head = {**now, **member} if leads else {"leader": head["leader"], **member}
            place = head["databases"][member["schema"]]
            steplog.rewrite(connection, place, member["run"], entries[same:] if leads else (), member_head)
    return now


def run(
    target: Target, databases: Mapping[str, str], database: str, run: int, entry: steplog.Entry, of: int, hold: Hold
) -> int:
    """Run a step and record that it is done; give the number of the last step that is done with it.

    Parameters
    ----------
    target : Target
        Where; its session holds the lock.
    databases : dict
        Name on the server of each schema.
    database, run : str, int
        Where the step is recorded.
    entry : Entry
        The step.
    of : int
        How many there are.
    hold : Hold
        Keeps others from the tables over several steps.

    Raises
    ------
    PipelineError
        If it cannot be run; :class:`Refused` where the server says so.
    """
    connection, mysql = target.connection, target.connection.adapter.backend == "mysql"
    hold.before(entry)
    now = "\n".join(_describe(connection, *place) for place in entry.tables) if mysql else ""
    if entry.state == steplog.RUNNING and now != entry.before:
        _refuse_tampering(entry, now)
        steplog.finish(connection, database, run, entry.number)
        return entry.number
    last = entry.number
    steplog.start(connection, database, run, entry.number, now)
    try:
        # Whether rows were changed cannot be seen of a table, so that is recorded in one transaction with the change.
        if locked := entry.kind == "locked":
            hold.take(entry)
        held = hold.transaction if locked else partial(transaction, connection)
        with held() if mysql and _changes_rows(entry) else nullcontext():
            match entry.kind:
                case "sql":
                    connection.query(entry.text, args=None, reconnect=False)
                case "own" | "online":
                    last += _statements(connection, entry)
                case "locked":
                    _locked(connection, entry, hold)
                case "recode":
                    _recode(connection, entry)
                case _:
                    _python(target, databases, entry)
            for number in range(entry.number, last + 1):
                steplog.finish(connection, database, run, number)
    except PipelineError:
        raise
    except Exception as error:
        found = server_errors.of(error)
        single = mysql or entry.kind == "online"
        unknown = single and found is server_errors.LOST  # nobody knows whether the step ran
        first = not single or (mysql and entry.number == 1 and not unknown)
        left = f"{entry.number - 1} of {of} steps are done and recorded"
        left = "Nothing was changed." if first else f"{left}{', and this one may be' if unknown else ''}."
        again = f"run {target.program} migrate again" + ("." if first else "; it goes on from there.")
        mend = "Correct it in the migration" if entry.kind in ("own", "python") else "See to the reason"
        hold.release()
        why, mend = (None if found else orphans.of(connection, entry)) or (server_errors.reason(error), mend)
        refused = (PipelineError if unknown else Refused)(
            f"Step {entry.number} of {of} failed: {entry.words}.",
            f"{why}. {left}",
            f"{found.do if found else mend}, then {again}",
            exit_code=ExitCode.ERROR if first else ExitCode.INTERRUPTED,
        )
        if isinstance(refused, Refused) and found is server_errors.HELD:
            refused.waited = "; ".join(entry.statements)
        raise refused from error
    return last


_ROWS = re.compile(
    r"(?:\s|/\*.*?\*/|--[^\n]*\n|#[^\n]*\n)*(?:INSERT|UPDATE|DELETE|REPLACE)\b", re.IGNORECASE | re.DOTALL
)


def _changes_rows(entry: steplog.Entry) -> bool:
    """Tell whether a step only changes rows, so that a transaction can hold it together with its record."""
    return bool(entry.statements) and all(_ROWS.match(statement) for statement in entry.statements)


def _describe(connection: dj.Connection, database: str, table: str) -> str:
    """Give a table as MySQL describes it; empty where there is none."""
    query = "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = %s AND table_name = %s"
    if not connection.query(query, (database, table), reconnect=False).fetchone()[0]:
        return ""
    quote = quoter(connection)
    text = connection.query(f"SHOW CREATE TABLE {quote(database)}.{quote(table)}", args=None, reconnect=False)
    return re.sub(r" AUTO_INCREMENT=\d+", "", str(text.fetchone()[1]))


def _refuse_tampering(entry: steplog.Entry, now: str) -> None:
    """Refuse a table that is neither as before the step nor as the step leaves it: somebody else changed it."""
    if not entry.before.strip() or not now.strip():
        return
    statements = "\n".join(entry.statements)
    before, after = (set(line.strip().rstrip(",") for line in text.splitlines()) for text in (entry.before, now))
    for line in before ^ after:
        names = re.findall(r"`((?:[^`]|``)*)`", line)
        expected = any(f"`{name}`" in statements for name in names) or line.startswith((")", "PRIMARY KEY"))
        if not expected:
            raise PipelineError(
                f"A table is neither as it was before step {entry.number} nor as that step leaves it.",
                f"The step was to {entry.words}; what differs is: {line}",
                "Undo what was done to the table by hand, then run migrate again.",
                exit_code=ExitCode.INTERRUPTED,
            )


def _locked(connection: dj.Connection, entry: steplog.Entry, hold: Hold) -> None:
    """Run statements of MySQL between which nobody may write a row."""

    def work() -> None:
        for conversion in payload["recode"]:
            while _convert(connection, conversion, alone=True):
                pass
        for statement in entry.statements:
            connection.query(statement, args=None, reconnect=False)

    payload = json.loads(entry.text)
    try:
        work()
    except Exception as error:
        if server_errors.of(error) is not server_errors.UNLOCKED:
            raise
        hold.release()  # an expression of a migration reads other tables
        work()


def _statements(connection: dj.Connection, entry: steplog.Entry) -> int:
    """Run statements of a user step, or outside of any transaction; give how many more steps are done with them."""
    payload = json.loads(entry.text)
    if payload.get("check"):
        row = connection.query(payload["check"], args=None, reconnect=False).fetchone()
        if row and row[0]:
            return int(payload.get("more", 0))
    for statement in payload["run"]:
        connection.query(statement, args=None, reconnect=False)
    return 0


def _recode(connection: dj.Connection, entry: steplog.Entry) -> None:
    """Convert values by DataJoint's codecs, batch by batch; those that are converted are not converted again."""
    payload = json.loads(entry.text)
    more = True
    while more:
        with within(connection):
            more = _convert(connection, payload, alone=connection.adapter.backend == "postgresql")


def _convert(connection: dj.Connection, payload: dict[str, Any], *, alone: bool) -> bool:
    """Convert a batch of the values of an attribute; tell whether more are left."""
    values = (payload[name] for name in ("source", "target", "type"))
    return convert(connection, tuple(payload["place"]), *values, mark=payload.get("mark", ""), alone=alone)


def _python(target: Target, databases: Mapping[str, str], entry: steplog.Entry) -> None:
    """Run the Python of a user step, batch by batch."""
    payload = json.loads(entry.text)
    connection, history = target.connection, migration_files.read(target.files)[payload["schema"]]
    found = next((r for r in history.migrations if r.has_digest(payload["digest"])), None)
    line = found.lines[payload["line"]] if found is not None else None
    if not isinstance(line, RunPython):
        raise PipelineError(
            f"The Python that is to {entry.words} is not in the files any more.",
            f"A migration of {payload['schema']} was edited while it was being applied.",
            "Take the file back from version control and run migrate again.",
            exit_code=ExitCode.INTERRUPTED,
        )
    more = not line.check(connection, dict(databases))
    while more:
        with within(connection):
            more = bool(line.run(connection, dict(databases)))
    if not line.check(connection, dict(databases)):
        raise PipelineError(
            f"What was to {entry.words} says that it is not done.",
            "Its check is not true after its last batch.",
            "Correct the migration and run migrate again.",
            exit_code=ExitCode.INTERRUPTED,
        )
