"""What CI runs: graph, versions, and whether DataJoint accepts every definition. Needs no database of anybody's."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from . import graph, local
from .graph import Finding
from .project import Project


def run(project: Project) -> list[Finding]:
    """Everything that is not as it should be.

    Parameters
    ----------
    project : Project
        The project to check.
    """
    found = graph.check(graph.read(project.directory), project.versions)
    # Definitions can only be declared along a sound graph; its findings come first and explain more.
    return found or _check_definitions(project)


def _check_definitions(project: Project) -> list[Finding]:
    """Declare everything in a database of the embedded server that lives as long as this check, in another process."""
    server = local.start(project.local_directory)
    token = f"check_{os.getpid()}"
    catalog = f"test_{token}"
    variables = {name: value for name, value in os.environ.items() if name != "DJ_HOST"}
    variables |= {project.variable("TEST_ID"): token, "DJ_LOG_STREAM": "stderr"}
    _drop_leftovers(server)
    try:
        finished = subprocess.run(
            [sys.executable, "-m", f"{project.package}.manage", "--env", "test", "--json", "init"],
            env=variables,
            cwd=project.root,
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        local.drop_database(server, catalog)
    if finished.returncode == 0:
        return []
    try:
        error = json.loads(finished.stdout)["error"]
        return [Finding("definition", "version", 1, f"{error['what']} {error['why']}", error["do"])]
    except (ValueError, KeyError):
        last = (finished.stderr.strip().splitlines() or ["no message"])[-1]
        return [Finding("definition", "version", 1, f"Tables could not be declared: {last}", "Correct the definition.")]


def _drop_leftovers(server: local.Server) -> None:
    """Remove what a killed check left behind: databases named after processes that are gone."""
    import psutil

    for name in local.database_names(server):
        prefix, _, pid = name.rpartition("_")
        if prefix == "test_check" and pid.isdigit() and not psutil.pid_exists(int(pid)):
            local.drop_database(server, name)
