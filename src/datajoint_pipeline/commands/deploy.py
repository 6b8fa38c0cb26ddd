"""`deploy`: files that have Slurm, Kubernetes or compose start the workers of ``workers.toml``."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .. import disk
from ..errors import PipelineError
from ..jobs import classes
from ..jobs.engines import render
from ..jobs.engines.render import Place, Store
from ..project import credentials
from ..project.environments import Environment
from ..project.pipeline import Pipeline
from . import progress

#: The folder of the files, in the project's.
FOLDER = "deploy"


@dataclass(frozen=True)
class Written:
    """A file and what became of it.

    Parameters
    ----------
    path : Path
        Which.
    state : str
        ``written``, ``unchanged``, or ``kept``: somebody has edited it, so it was left as it is.
    diff : str
        For ``kept``, what would be changed in it.
    """

    path: Path
    state: str
    diff: str = ""


def texts(
    pipeline: Pipeline,
    environment: Environment,
    engine: str,
    *,
    worker_class: str = "",
    mode: str = "once",
    image: str = "",
) -> dict[str, str]:
    """Give the files of an engine, by their paths below ``deploy/``; writes nothing.

    Parameters
    ----------
    pipeline, environment
        Whose workers, and where they work.
    engine : str
        One of :data:`~datajoint_pipeline.jobs.engines.render.ENGINES`.
    worker_class : str
        One class alone; empty for all.
    mode : str
        One of :data:`~datajoint_pipeline.jobs.engines.render.MODES`, for Kubernetes.
    image : str
        The container image; empty for the project's name.

    Raises
    ------
    PipelineError
        If the environment is ``local``, ``workers.toml`` has mistakes, or there is no such class; for ``scaled`` also
        as :meth:`Pipeline.connect`, or if the keys of a table cannot be counted.
    """
    if environment.embedded and engine != "slurm":  # whose scripts are told it when they start
        raise PipelineError(
            f"Workers elsewhere cannot reach {environment.name}.",
            "It is the embedded server of this project, which no other machine sees.",
            f"Say which server: {pipeline.project.program} --env prod deploy {engine}.",
        )
    project = pipeline.project
    chosen = classes.read(project.root / classes.FILE, schemas=tuple(project.versions)).chosen(worker_class)
    return render.files(engine, chosen, _place(pipeline, environment, image), mode)


def write(found: Mapping[str, str], folder: Path, *, force: bool = False) -> list[Written]:
    """Write files, but for those that somebody has edited since they were written.

    Parameters
    ----------
    found : mapping
        Texts by their paths below the folder.
    folder : Path
        Where to.
    force : bool
        Whether edited files are written over.

    Raises
    ------
    PipelineError
        If a file cannot be read or written.
    """
    written = []
    try:
        for name, text in found.items():
            path = folder / name
            before = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else None
            if before == text:
                written.append(Written(path, "unchanged"))
                continue
            if before is not None and not force and render.edited(before):
                written.append(Written(path, "kept", _diff(name, before, text)))
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            written.append(Written(path, "written"))
    except OSError as error:
        raise disk.refusal(error) from None
    return written


def _place(pipeline: Pipeline, environment: Environment, image: str) -> Place:
    config, project = pipeline.config, pipeline.project
    stores = []
    for name, spec in config.stores.items():
        if isinstance(spec, dict):
            keys = [f"stores.{name}.{key}" for key in credentials.BY_PROTOCOL.get(str(spec.get("protocol")), ())]
            # On a Google machine a worker has the machine's own rights, and needs no token.
            there = [key for key in keys if not key.endswith(".token") or (project.root / ".secrets" / key).is_file()]
            stores.append(Store(name, str(spec.get("protocol")), str(spec.get("location", "")), tuple(there)))
    return Place(
        command=project.command,
        environment=environment.name,
        image=image or f"{project.command}:latest",
        backend=str(config["database.backend"]),
        host=str(config["database.host"]),
        port=int(config["database.port"]),
        database=str(config["database.name"] or "postgres"),
        encrypted=config["database.use_tls"] is not False,
        stores=tuple(stores),
        pending=lambda name: progress.pending_query(pipeline, environment, name),
    )


def _diff(name: str, before: str, after: str) -> str:
    lines = difflib.unified_diff(
        before.splitlines(), after.splitlines(), f"{name}, as it is", f"{name}, as it would be", lineterm="", n=1
    )
    return "\n".join(lines)
