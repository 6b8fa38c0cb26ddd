"""What people were told already: a file of the user's own, whole at any moment, so that nothing is told twice."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from filelock import FileLock

from .. import disk
from ..errors import PipelineError
from .alerts import Alert

#: A cause whose number of jobs grows by this factor is told again.
GROWTH = 10


@dataclass(frozen=True)
class Standing:
    """An alert that stands, or that is over and not told to be so.

    Parameters
    ----------
    rule, subject, what, do : str
        As of :class:`Alert`.
    since : float
        When it was first found, in seconds since 1970.
    size : int
        The number of jobs that was told last.
    told : tuple of str
        The addresses that were told, as digests.
    """

    rule: str
    subject: str
    what: str
    do: str
    since: float
    size: int = 1
    told: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """Tell it from any other."""
        return f"{self.rule}:{self.subject}"


@dataclass
class Told:
    """What was found and told, by the id of the alert.

    Parameters
    ----------
    standing : dict
        What stands.
    over : dict
        What is over, and for whom that is news.
    seen : dict
        When a cause that takes time was first seen, in seconds since 1970.
    """

    standing: dict[str, Standing] = field(default_factory=dict)
    over: dict[str, Standing] = field(default_factory=dict)
    seen: dict[str, float] = field(default_factory=dict)

    def update(self, found: Iterable[Alert], now: float) -> tuple[list[str], list[str]]:
        """Take in what was found; give the ids of what is new, and of what is over."""
        alerts = {alert.id: alert for alert in found}
        new = [name for name in alerts if name not in self.standing]
        over = [name for name in self.standing if name not in alerts]
        for name in over:
            gone = self.standing.pop(name)
            if gone.told:  # to whom nothing was told, it is no news that it is over
                self.over[name] = gone
        for name, alert in alerts.items():
            before, again = self.standing.get(name), self.over.pop(name, None)
            if before is not None and alert.size < GROWTH * before.size:
                self.standing[name] = _made(alert, before.since, before.size, before.told)
            elif before is not None:
                self.standing[name] = _made(alert, before.since, alert.size)
            else:
                # Who has not heard yet that it was over need not hear that it is back.
                self.standing[name] = _made(alert, now, alert.size, again.told if again is not None else ())
        return new, over

    def tell(self, name: str, address: str) -> None:
        """Note that an address was told of what stands."""
        self.standing[name] = replace(self.standing[name], told=(*self.standing[name].told, address))

    def tell_over(self, name: str, address: str) -> None:
        """Note that an address was told that it is over; who all were told, it is forgotten."""
        left = tuple(one for one in self.over[name].told if one != address)
        if left:
            self.over[name] = replace(self.over[name], told=left)
        else:
            del self.over[name]

    def as_dict(self) -> dict[str, Any]:
        """Give it as the file has it."""
        return {
            "version": 1,
            "standing": {name: asdict(one) for name, one in self.standing.items()},
            "over": {name: asdict(one) for name, one in self.over.items()},
            "seen": self.seen,
        }


def _made(alert: Alert, since: float, size: int, told: tuple[str, ...] = ()) -> Standing:
    return Standing(alert.rule, alert.subject, alert.what, alert.do, since, size, told)


def digest(address: str) -> str:
    """Tell an address from others without saying it."""
    return hashlib.blake2b(address.encode(), digest_size=16).hexdigest()


def place(package: str, environment: str, server: str) -> Path:
    """Give the file of a project, an environment and a server, in the user's folder for what programs remember."""
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData/Local")
    else:
        base = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state")
    return base / package / f"alerts-{environment}-{digest(server)[:8]}.json"


@contextmanager
def opened(path: Path) -> Iterator[Told]:
    """Read what was told, and keep others from telling the same meanwhile.

    Raises
    ------
    PipelineError
        If it can be neither read nor made.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = FileLock(f"{path}.lock", mode=0o600)
        lock.acquire()
    except OSError as error:
        raise _refusal(error, path) from error
    try:
        yield read(path)
    finally:
        lock.release()


def read(path: Path) -> Told:
    """Read what was told; nothing where there is no such file, or it is none."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        told = Told(
            {name: _standing(one) for name, one in document["standing"].items()},
            {name: _standing(one) for name, one in document["over"].items()},
            {str(name): float(moment) for name, moment in document["seen"].items()},
        )
    except FileNotFoundError:
        return Told()
    except OSError as error:
        raise _refusal(error, path) from error
    except (ValueError, KeyError, TypeError, AttributeError):
        return Told()  # told twice is better than not at all
    return told


def _standing(document: Mapping[str, Any]) -> Standing:
    return Standing(**{**document, "told": tuple(document["told"])})


def write(told: Told, path: Path) -> None:
    """Write what was told; the file is at no moment half there, nor open to others.

    Raises
    ------
    PipelineError
        If it cannot be written.
    """
    fresh = path.with_name(f".{path.name}.new")
    try:
        fresh.unlink(missing_ok=True)
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            json.dump(told.as_dict(), file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    except OSError as error:
        raise _refusal(error, path) from error


def _refusal(error: OSError, path: Path) -> PipelineError:
    found = disk.refusal(error, path)
    return PipelineError(
        f"{path} cannot be used.",
        f"The sent messages are kept there, so that none is sent twice: {found.why}",
        "Name another file with --state FILE.",
    )
