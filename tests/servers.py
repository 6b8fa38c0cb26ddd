"""A project and servers for the benchmarks, in a folder that goes with them."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import copier
from conftest import Server, copy_parts, private_mysql, private_postgresql
from daemons import open_folder

BACKENDS = {"mysql": "MySQL", "postgresql": "PostgreSQL"}


@contextmanager
def started(backend: str) -> Iterator[tuple[Path, dict[str, Server]]]:
    """A folder with a project in ``my_pipeline``, and the servers of a backend or of ``both``, as far as there are such."""
    with ExitStack() as stack:
        folder = stack.enter_context(open_folder("benchmark-"))
        render(folder / "my_pipeline")
        servers = {}
        for name in BACKENDS if backend == "both" else [backend]:
            server = stack.enter_context(mysql(folder) if name == "mysql" else postgresql(folder))
            servers |= {name: server} if server else {}
        yield folder, servers


def render(place: Path, **answers: str) -> Path:
    """Render the working tree's project into a folder, with some answers; the folder."""
    with tempfile.TemporaryDirectory() as template:
        copy_parts(Path(template))
        copier.run_copy(template, place, data=answers, defaults=True, quiet=True)
    return place


@contextmanager
def mysql(folder: Path) -> Iterator[Server | None]:
    """The server that DJ_HOST names, else a private one; None where there is neither."""
    if os.environ.get("DJ_HOST") and os.environ.get("DJ_BACKEND", "mysql") == "mysql":
        port = int(os.environ.get("DJ_PORT", "3306"))
        yield Server("mysql", os.environ["DJ_HOST"], port, os.environ["DJ_USER"], os.environ["DJ_PASS"])
        return
    if shutil.which("mysqld") is None:
        print("No MySQL: neither does DJ_HOST name a server nor is there a mysqld on PATH.", file=sys.stderr)
        yield None
        return
    (folder / "mysql").mkdir()
    with private_mysql(folder / "mysql") as server:
        yield server


@contextmanager
def postgresql(folder: Path) -> Iterator[Server]:
    """The embedded server of a project, at a port."""

    def copied(place: Path) -> Path:
        return Path(shutil.copytree(folder / "my_pipeline", place))

    with private_postgresql(folder, copied) as server:
        yield server
