"""`alert`: find what a person has to know, and tell it once: when it begins, and when it is over."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import journal
from ..errors import ExitCode, PipelineError
from ..jobs.classes import Alerts
from ..monitor import alerts, messages, progress, told
from ..monitor.alerts import Alert
from ..monitor.told import Standing, Told
from ..planner import drift
from ..planner.status import State
from ..project.environments import Environment
from ..project.pipeline import Pipeline

#: More news for one address than this go into one message.
MOST = 20


@dataclass(frozen=True)
class Outcome:
    """What was found and told.

    Parameters
    ----------
    standing : tuple of Alert
        What stands.
    since : dict
        When each was first found, by its id, in seconds since 1970.
    new, over : tuple of str
        The ids of what began and of what ended since the time before.
    sent : int
        Messages that were taken.
    problems : tuple of str
        Why a message or the sign of life was not taken.
    addresses : int
        How many there are.
    """

    standing: tuple[Alert, ...]
    since: dict[str, float]
    new: tuple[str, ...]
    over: tuple[Standing, ...]
    sent: int
    problems: tuple[str, ...]
    addresses: int

    @property
    def exit_codes(self) -> list[ExitCode]:
        """What the command line may return."""
        return [alert.exit_code for alert in self.standing]

    def as_dict(self) -> dict[str, Any]:
        """Give it as ``--json`` has it."""
        return {
            "alerts": [
                {
                    "rule": alert.rule,
                    "subject": alert.subject,
                    "what": alert.what,
                    "do": alert.do,
                    "since": _moment(self.since[alert.id]),
                    "new": alert.id in self.new,
                }
                for alert in self.standing
            ],
            "recovered": [{"rule": one.rule, "subject": one.subject, "what": one.what} for one in self.over],
            "sent": self.sent,
            "problems": list(self.problems),
        }


def run(
    pipeline: Pipeline,
    environment: Environment,
    *,
    dry_run: bool = False,
    state: str | None = None,
    clock: Callable[[], float] = time.time,
) -> Outcome:
    """Find what a person has to know, and send what is news.

    Parameters
    ----------
    pipeline, environment : Pipeline, Environment
        Where.
    dry_run : bool
        Whether to send nothing and to remember nothing.
    state : str, optional
        The file that keeps what was told; otherwise one in the user's folder for such things.
    clock : callable
        Gives the time, in seconds since 1970.

    Raises
    ------
    PipelineError
        If an address, a setting or the file cannot be used.
    """
    secrets = pipeline.project.root / ".secrets"
    to, switch = messages.addresses(secrets, dry_run=dry_run), messages.ping_address(secrets)
    settings = progress.workers_file(pipeline).alerts
    path = Path(state) if state else kept(pipeline, environment)
    with told.opened(path) as known:
        now = clock()
        found, reached = _find(pipeline, environment, settings, known, now)
        before = dict(known.standing)
        new, over = known.update(found, now)
        since = {name: one.since for name, one in known.standing.items()}
        sent, problems = 0, list[str]()
        if not dry_run:
            told.write(known, path)
            title = f"{pipeline.project.program} {environment.name}"
            command = f"{pipeline.project.program} --env {environment.name}"
            for number, address in enumerate(to, 1):
                taken, failed = _send(address, known, path, title, command)
                sent += taken
                if failed:
                    problems.append(f"address {number} of .secrets/{messages.ADDRESSES} did not take a message")
            # A monitor that sees nothing, or that nobody hears, gives no sign of life.
            if switch and reached and not problems and (why := messages.ping(switch)):
                problems.append(f"the dead man's switch did not answer: {why}")
    over_now = tuple(before[name] for name in over)
    return Outcome(tuple(found), since, tuple(new), over_now, sent, tuple(problems), len(to))


def _find(
    pipeline: Pipeline, environment: Environment, settings: Alerts, known: Told, now: float
) -> tuple[list[Alert], bool]:
    """Apply the rules; where the server cannot be asked, that is what there is to say, beside what stood before."""
    seen: dict[str, float] = {}

    def since(name: str) -> float:
        seen[name] = min(known.seen.get(name, now), now)
        return now - seen[name]

    command = f"{pipeline.project.program} --env {environment.name}"
    try:
        pipeline.connect(environment)
    except PipelineError as error:
        what = f"The database cannot be queried. {error.what} {error.why}"
        gone = Alert("server", environment.name, what.strip(), f"{command} doctor", ExitCode.ERROR)
        still = [one for name, one in known.standing.items() if name != gone.id]
        return [gone, *(Alert(one.rule, one.subject, one.what, one.do, size=one.size) for one in still)], False
    target = pipeline.target(environment)
    schemas = drift.read(target)
    if journal.is_held(target.connection, target.lock):  # so it goes on, and is not interrupted
        told_of = {one.subject for one in known.standing.values() if one.rule == alerts.BEHIND}
        schemas = [s for s in schemas if s.state is not State.INTERRUPTED or s.name in told_of]
    found = alerts.find(progress.read(pipeline, environment), schemas, settings, command, since)
    known.seen = seen
    return found, True


def _send(address: str, known: Told, path: Path, title: str, command: str) -> tuple[int, bool]:
    """Send an address what is news for it; give how many messages were taken, and whether one was not.

    What was taken is noted at once: whoever is killed in between tells it once more, and never not at all.
    """
    who = told.digest(address)
    news = [name for name, one in known.standing.items() if who not in one.told]
    over = [name for name, one in known.over.items() if who in one.told]
    if len(news) + len(over) > MOST:
        lines = [f"{known.standing[name].what} Next: {known.standing[name].do}" for name in news]
        lines += [f"Over: {known.over[name].what}" for name in over]
        text = f"{len(news)} begun, {len(over)} over. Next: {command} alert --dry-run"
        if not messages.send(address, f"{title}: {text}", "\n".join(lines), good=not news):
            return 0, True
        for name in news:
            known.tell(name, who)
        for name in over:
            known.tell_over(name, who)
        told.write(known, path)
        return 1, False
    sent = 0
    for name in news:
        one = known.standing[name]
        body = f"Since {_moment(one.since)}.\nNext: {one.do}"
        if not messages.send(address, f"{title}: {one.what}", body, good=False):
            return sent, True
        known.tell(name, who)
        told.write(known, path)
        sent += 1
    for name in over:
        one = known.over[name]
        body = f"It was: {one.what}\nIt began {_moment(one.since)}.\nNext: {command} progress"
        if not messages.send(address, f"{title}: over: {one.rule} of {one.subject}", body, good=True):
            return sent, True
        known.tell_over(name, who)
        told.write(known, path)
        sent += 1
    return sent, False


def kept(pipeline: Pipeline, environment: Environment) -> Path:
    """Give the file of this machine that keeps what was told, where ``--state`` names no other."""
    return told.place(pipeline.package, environment.name, _server(pipeline, environment))


def _server(pipeline: Pipeline, environment: Environment) -> str:
    """Tell the database of an environment from others, whether or not it can be reached."""
    if environment.embedded:
        return str(pipeline.project.local_directory)
    config = pipeline.config
    return "\0".join([*(str(config[f"database.{name}"]) for name in ("host", "port")), environment.prefix])


def _moment(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
