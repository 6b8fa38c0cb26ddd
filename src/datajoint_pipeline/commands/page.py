"""`progress --html`: the page that shows how a pipeline stands."""

from __future__ import annotations

import os
import shutil
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from .. import disk
from ..access.policies import trial
from ..dialects import catalog
from ..errors import PipelineError
from ..monitor import errors, overview, page, told
from ..monitor.head import Code, Store
from ..project import connection, provenance, template
from ..project.environments import Environment
from ..project.pipeline import Pipeline
from . import access, alert


def write(pipeline: Pipeline, environment: Environment, file: str) -> Path:
    """Write the page; whoever reads it meanwhile sees the one of before, or this one.

    Parameters
    ----------
    pipeline, environment : Pipeline, Environment
        Where; an account that may only read is enough.
    file : str
        The file.

    Raises
    ------
    PipelineError
        As :meth:`Pipeline.connect`; or if the file cannot be written.
    """
    text, path = html(pipeline, environment, file), Path(file)
    disk.write(text, path)
    return path


def html(pipeline: Pipeline, environment: Environment, file: str) -> str:
    """Give the page as text; ``file`` is what it says of itself."""
    target = pipeline.target(environment)
    found = overview.read(pipeline, environment)
    catalogue = catalog.find(target.connection, target.databases)
    shapes = catalog.shapes(target.connection, target.databases, catalogue)
    tables = {table.name: table for shape in shapes.values() for table in shape}
    facts = page.Facts(
        title=pipeline.project.command,
        program=pipeline.project.program,
        file=file,
        code=_code(pipeline),
        server=_server(pipeline, environment),
        rights=access.remark(pipeline, environment),
        stores=tuple(_stores(pipeline)),
        alert=_alert(pipeline, environment),
    )
    return page.render(found, errors.read(pipeline, environment), tables, facts)


def _code(pipeline: Pipeline) -> Code:
    try:
        library = version("datajoint-pipeline")
    except PackageNotFoundError:
        library = "not known"
    made = template.answers(pipeline.project).get("_commit", "")
    return Code(provenance.code_commit(pipeline.project.root), made, library)


def _server(pipeline: Pipeline, environment: Environment) -> str:
    asked = pipeline.connect(environment)
    number = str(asked.query("SELECT version()", args=None).fetchone()[0]).removeprefix("PostgreSQL ").split()[0]
    words = connection.describe(pipeline.config, environment)
    return f"{words[0].upper()}{words[1:]}, version {number}"


def _alert(pipeline: Pipeline, environment: Environment) -> str:
    """Give the newest alert that stands, as far as this machine was the one to send it."""
    path = alert.kept(pipeline, environment)
    if not path.is_file():
        return "no alert is kept on this machine"
    try:
        standing = told.read(path).standing.values()
    except PipelineError as error:
        return error.what
    if not standing:
        return "no alert stands"
    newest = max(standing, key=lambda one: one.since)
    return f"last alert {datetime.fromtimestamp(newest.since, timezone.utc):%Y-%m-%d %H:%M} UTC: {newest.what}"


def _stores(pipeline: Pipeline) -> list[Store]:
    """Find whether each store answers, as far as that can be told without its keys."""
    found = []
    for name, spec in pipeline.config.stores.items():
        if not isinstance(spec, dict):
            continue
        protocol, location, endpoint = (str(spec.get(part) or "") for part in ("protocol", "location", "endpoint"))
        answers, free, size = None, 0, 0
        if protocol == "file":
            answers = os.access(location, os.R_OK | os.X_OK)
            if answers:
                disk = shutil.disk_usage(location)
                free, size = disk.free, disk.total
        elif endpoint:
            answers = trial.reachable(endpoint)
        found.append(Store(name, protocol, answers, free, size))
    return found
