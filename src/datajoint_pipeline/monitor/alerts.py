"""What a person has to know at once: rules over how a pipeline stands, each with the command to run next."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from ..errors import ExitCode
from ..jobs.classes import Alerts
from ..planner.status import EXIT_CODES, SchemaStatus
from ..planner.status import State as Version
from .progress import Progress, State, TableProgress


@dataclass(frozen=True)
class Alert:
    """Something that a person has to know.

    Parameters
    ----------
    rule : str
        ``failures``, ``still``, ``nobody``, ``memory``, ``drift`` or ``behind``; ``uncounted`` where keys cannot be
        counted, ``server`` where nothing can.
    subject : str
        The table or the schema; the environment for ``server``.
    what, do : str
        A sentence, and the command to run next.
    exit_code : ExitCode
        What the command line returns for it.
    size : int
        How many jobs it is about.
    """

    rule: str
    subject: str
    what: str
    do: str
    exit_code: ExitCode = ExitCode.PENDING
    size: int = 1

    @property
    def id(self) -> str:
        """Tell it from any other."""
        return f"{self.rule}:{self.subject}"


#: The rule for schemas whose version is not that of the code.
BEHIND = "behind"

#: Given what an alert would be called, tells for how many seconds its cause has been seen.
Since = Callable[[str], float]


def find(
    progress: Progress, schemas: Iterable[SchemaStatus], settings: Alerts, command: str, since: Since
) -> list[Alert]:
    """Apply the rules.

    Parameters
    ----------
    progress : Progress
        How the work stands.
    schemas : iterable of SchemaStatus
        The versions, drift included.
    settings : Alerts
        Limits and times.
    command : str
        What people type to run a command on this database.
    since : callable
        Tells for how long the cause of an alert has been seen, of those that take time.
    """
    found = [
        alert for table in progress.tables for alert in _of_table(table, progress.tables, settings, command, since)
    ]
    found += [alert for schema in schemas for alert in _of_schema(schema, command)]
    return [alert for alert in found if alert.rule not in settings.off]


def _of_table(
    table: TableProgress, tables: Sequence[TableProgress], settings: Alerts, command: str, since: Since
) -> Iterator[Alert]:
    name = str(table.table)
    if table.failed > settings.failures:
        what = "1 job" if table.failed == 1 else f"{table.failed:,} jobs"
        verb = "has" if table.failed == 1 else "have"
        do = f"{command} errors --table {name} --traceback"
        yield Alert("failures", name, f"{what} of {name} {verb} failed.", do, size=table.failed)
    if table.memory:
        what = "1 job" if table.memory == 1 else f"{table.memory:,} jobs"
        more = "workers.toml says how much its class of workers has"
        what = f"{what} of {name} ran out of memory; {more}."
        yield Alert("memory", name, what, f"{command} errors --table {name}", size=table.memory)
    if table.problem:
        what = f"The keys of {name} cannot be counted: {table.problem}."
        yield Alert("uncounted", name, what, f"{command} progress")
    alone = sum(table.unattended.values())
    open_keys = (table.pending or 0) + table.running + table.dead - table.later - alone
    if alone:
        # Those that were moved to a larger class may wait while the others are computed.
        unchanged = table.unchanged if table.state is State.NOBODY else None
        seconds = max(since(f"nobody:{name}"), unchanged or 0.0)
        if seconds >= settings.nobody:
            first, *others = table.unattended
            of = f"class {first}" if not others else f"classes {', '.join(others)} and {first}"
            what = f"{_wait(alone, f'of {name} ')}, and no worker of the {of} is running."
            yield Alert("nobody", name, what, f"{command} worker --class {first}")
    if table.state is State.RUNNING and open_keys > 0:
        # Its workers may be at work on another table meanwhile.
        those = [table] if table.running else [one for one in tables if one.class_name == table.class_name]
        moved = min((one.unchanged for one in those if one.unchanged is not None), default=None)
        seconds = since(f"still:{name}") if moved is None else moved
        if seconds >= settings.still:
            what = f"Nothing has moved in {name} for {seconds / 3600:.0f} h, and {_wait(open_keys)}."
            yield Alert("still", name, what, f"{command} progress")


def _wait(count: int, more: str = "") -> str:
    return f"1 key {more}waits" if count == 1 else f"{count:,} keys {more}wait"


_WORDS = {
    Version.ABSENT: ("is not in the database", "init"),
    Version.UNRECORDED: ("is in the database, and nobody recorded its version", "adopt"),
    Version.BEHIND: ("is older in the database than in the code", "migrate --dry-run"),
    Version.AHEAD: ("is newer in the database than in the code", "status"),
    Version.CONFLICT: ("has another history in the database than in the code", "status"),
}


def _of_schema(schema: SchemaStatus, command: str) -> Iterator[Alert]:
    code = EXIT_CODES[schema.state]
    if schema.state is Version.DRIFTED:
        more = f" and {len(schema.drift) - 1} more" if len(schema.drift) > 1 else ""
        what = f"{schema.name} was changed outside of migrations: {schema.drift[0].removesuffix('.')}{more}."
        yield Alert("drift", schema.name, what, f"{command} status", code)
    elif schema.state is Version.INTERRUPTED:
        yield Alert(BEHIND, schema.name, _interrupted(schema), f"{command} {schema.way_on}", code)
    elif schema.state in _WORDS:
        words, do = _WORDS[schema.state]
        yield Alert(BEHIND, schema.name, f"{schema.name} {words}.", f"{command} {do}", code)


#: What the journal calls a run, for people.
_RUNS = {"migrate": "migration", "init": "making", "adopt": "adoption"}


def _interrupted(schema: SchemaStatus) -> str:
    """Say which change was interrupted, since when, and what follows from that."""
    if schema.began is None:  # that of another schema, which changes this one along
        return f"A change of {schema.name} was interrupted."
    files = f" ({', '.join(schema.files)})" if schema.files else ""
    ways = f"from {schema.database_version or 'nothing'} to {schema.to}{files}"
    what = f"The {_RUNS.get(schema.run, schema.run)} of {schema.name} {ways} was interrupted"
    back = " while it was taken back" if schema.taken_back else ""
    began = f"{schema.by} began it on {schema.began:%Y-%m-%d at %H:%M} UTC"
    return f"{what}{back}; {began}. Nothing else can change {schema.name} until the next step below ends that."
