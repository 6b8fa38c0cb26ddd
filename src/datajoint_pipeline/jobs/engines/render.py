"""Writes the files of an engine from the classes of workers; knows no pipeline and no disk."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import jinja2

from ..classes import WorkerClass

#: What workers can be started with, and how each calls itself.
ENGINES = {"slurm": "Slurm", "kubernetes": "Kubernetes", "compose": "compose"}

#: How workers run on Kubernetes: until nothing is left, always, or as many as there is work for.
MODES = ("once", "always", "scaled")

#: Seconds that a Slurm job lasts, unless one job of the class needs longer.
WALL_TIME = 12 * 3600

#: Bytes that a worker is given where its class has no limit, on engines that want to be told.
MEMORY = 4 * 1024**3

#: Bytes of the process that watches the one that computes. Without them the engine would end a worker before the worker
#: itself can say that a job took too much.
_WATCHING = 256 * 1024**2

_DIGEST = re.compile(r"\(digest [0-9a-f]{16}\)")


@dataclass(frozen=True)
class Store:
    """An object store of the project: its protocol, its place, and the files in ``.secrets/`` with its keys."""

    name: str
    protocol: str
    location: str
    secrets: tuple[str, ...]


@dataclass(frozen=True)
class Place:
    """What the files say of the project and its server.

    Parameters
    ----------
    command : str
        The console script, which is the image's name as well.
    environment : str
        ``dev`` or ``prod``.
    image : str
        The container image.
    backend, host, port, database
        The server; ``database`` is what PostgreSQL calls so.
    encrypted : bool
        Whether the connection to it is.
    stores : tuple of Store
        Where large values are.
    pending : callable
        Gives the query that counts what a class has to do, by the class's name; asked for ``scaled`` alone.
    """

    command: str
    environment: str
    image: str
    backend: str
    host: str
    port: int
    database: str = "postgres"
    encrypted: bool = True
    stores: tuple[Store, ...] = ()
    pending: Callable[[str], str] = field(default=lambda name: "", compare=False)

    @property
    def label(self) -> str:
        """Give what things are called on Kubernetes, so that dev and prod may be in one namespace."""
        return f"{_label(self.command)[:24].rstrip('-')}-{self.environment}"

    @property
    def secrets(self) -> list[str]:
        """Give the files in ``.secrets/`` that a worker reads."""
        return ["database.user", "database.password", *(name for store in self.stores for name in store.secrets)]

    @property
    def here(self) -> bool:
        """Whether the server is on the machine itself, which is another one in a container."""
        return self.host in ("localhost", "127.0.0.1", "::1")


def files(engine: str, classes: Sequence[WorkerClass], place: Place, mode: str = "once") -> dict[str, str]:
    """Give the files of an engine, by their paths below ``deploy/``.

    Parameters
    ----------
    engine : str
        One of :data:`ENGINES`.
    classes : sequence of WorkerClass
        Whose workers.
    place : Place
        The project and its server.
    mode : str
        One of :data:`MODES`, for Kubernetes.
    """
    match engine:
        case "slurm":
            return {f"worker-{one.name}.sbatch": _text("worker.sbatch", place, worker=one) for one in classes}
        case "compose":
            return {f"workers.{place.environment}.yaml": _text("workers.compose.yaml", place, workers=classes)}
    folder, name = (
        f"kubernetes/{place.environment}",
        {"once": "job", "always": "deployment", "scaled": "scaledjob"}[mode],
    )
    found = {f"{folder}/migrate.yaml": _text("migrate.yaml", place)}
    for one in classes:
        found[f"{folder}/{name}-{one.name}.yaml"] = _text(f"{name}.yaml", place, worker=one)
    return found


def edited(text: str) -> bool:
    """Whether somebody changed a file since it was written, or wrote it himself."""
    found = _DIGEST.search(text)
    return found is None or found[0] != _DIGEST.search(_signed(text))[0]  # type: ignore[index]


def _text(name: str, place: Place, **values: Any) -> str:
    return _signed(_environment().get_template(f"{name}.jinja").render(place=place, **values))


def _signed(text: str) -> str:
    """Write the digest of a text into it, over the one that stands there."""
    blank = _DIGEST.sub(f"(digest {'0' * 16})", text)
    return _DIGEST.sub(f"(digest {hashlib.sha256(blank.encode()).hexdigest()[:16]})", blank)


def _environment() -> jinja2.Environment:
    """Give an environment that writes no HTML, and takes no name for nothing."""
    found = jinja2.Environment(
        loader=jinja2.PackageLoader("datajoint_pipeline.jobs.engines"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    found.filters |= dict(_FILTERS)
    return found


# --- Units -----------------------------------------------------------------------------------------------------------


def wall_time(worker: WorkerClass) -> int:
    """Give the seconds that a Slurm job of a class lasts: one job of the class fits into it."""
    return max(WALL_TIME, int((worker.time or 0) + lead(worker) + 3600))


def lead(worker: WorkerClass) -> int:
    """Give the seconds before the end of a Slurm job in which its worker is asked to stop."""
    return max(120, int(worker.grace) + 60)


def spoken(seconds: float) -> str:
    """Give seconds as the worker reads them: ``3h50m``."""
    left, words = int(seconds), ""
    for unit, size in (("h", 3600), ("m", 60), ("s", 1)):
        count, left = divmod(left, size)
        words += f"{count}{unit}" if count else ""
    return words or "0s"


def _clock(seconds: float) -> str:
    """Give seconds as Slurm reads them: ``12:00:00``."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{rest:02d}"


def _megabytes(worker: WorkerClass) -> int:
    """Give what a worker takes in all, in units of 1024 times 1024 bytes."""
    return -(-((worker.memory or MEMORY) + _WATCHING) // 1024**2)


def _label(text: str) -> str:
    """Give a name as Kubernetes takes it: lower-case letters, digits and hyphens between them."""
    return re.sub("[^a-z0-9]+", "-", text.lower()).strip("-")


def _block(text: str, width: int = 0) -> str:
    """Give lines further in, without the end of the last one."""
    return "\n".join(" " * width + line if line else line for line in text.rstrip("\n").split("\n"))


def _quoted(text: object) -> str:
    """Give a text between the quotes of YAML."""
    return '"' + str(text).replace("\\", "\\\\").replace('"', '\\"') + '"'


_FILTERS: Mapping[str, Callable[..., Any]] = {
    "block": _block,
    "label": _label,
    "clock": _clock,
    "lead": lead,
    "megabytes": _megabytes,
    "quoted": _quoted,
    "spoken": spoken,
    "wall_time": wall_time,
}
