"""`check`, which CI runs: graph, versions, definitions, and what migrations do to rows. Needs no server."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

from ..diff.changes import difference
from ..embedded import server
from ..errors import PipelineError
from ..findings import Finding
from ..history import chain, migration_files
from ..internals import job_tables
from ..internals.code import Code, of_mysql_alone
from ..operations.structure import Operation, Tables
from ..project import graph, library, template
from ..project.pipeline import Pipeline
from ..project.project import Project
from ..schema.model import Table

Histories = Mapping[str, migration_files.History]


def check(pipeline: Pipeline, report: Callable[[str], None] = lambda name: None) -> list[Finding]:
    """Find everything that is not as it should be; ``report`` is called with the name of what is looked at."""
    project = pipeline.project
    schemas = ", ".join(project.versions)
    with ThreadPoolExecutor() as pool:
        edited = pool.submit(template.edited, project)
        # In a process of its own, once. This one imports no DataJoint, which takes longer than all that it does itself.
        code = cache(pipeline.read_code)
        declared = cache(lambda: _declare(project, code()))
        histories = cache(lambda: migration_files.read(project.files))
        states = cache(lambda: _states(histories()))
        checks: dict[str, Callable[[], list[Finding]]] = {
            "files of the template": lambda: template.conflicts(project),
            "imports and foreign keys": lambda: graph.check(pipeline.graph, project.versions),
            f"definitions of {schemas}": lambda: _check_definitions(project, code, declared),
            "limits of the server": lambda: _check_server(project, code, declared),
            f"migrations of {schemas}": lambda: _check_migrations(project, code, histories, states),
            f"migrations of {schemas}, on rows": lambda: _check_rows(project, code, histories, states),
        }
        found: list[Finding] = []
        for name, look in checks.items():
            report(name)
            # Definitions can only be declared along a sound graph; its findings come first and explain more.
            found += look()
            if any(not finding.note for finding in found):
                break
        if all(one.note for one in found):
            tables = code().tables(project.versions).values()
            found += [*_untried(project, code().backend, tables), *_check_jobs(tables)]
        return [*found, *library.check(project), *edited.result()]


def _untried(project: Project, backend: str, tables: Iterable[Table]) -> list[Finding]:
    """Name a type or an index for whose sake nothing was tried on the embedded server."""
    found = of_mysql_alone(backend, tables)
    if found is None:
        return []
    name, words = found
    what = f"{words}, which only MySQL has: no table was made on the embedded server."
    do = f"local cannot have it either. Try migrations on dev: {project.program} --env dev migrate --dry-run."
    return [Finding("untried", name.schema, 1, what, do, note=True)]


def _check_jobs(code: Iterable[Table]) -> list[Finding]:
    """Find keys that workers cannot reserve jobs for: DataJoint's table of jobs would have two columns of one name."""
    found = []
    for table in code:
        taken = sorted({*job_tables.COLUMNS} & {*job_tables.key(table)})
        if taken and table.tier in ("Computed", "Imported"):
            what = f"{table.name} has {taken[0]} in its key, which is also a column of DataJoint's table of its jobs."
            do = f'Workers will fail; refer to it by another name: .proj({table.name.schema}_{taken[0]}="{taken[0]}").'
            found.append(Finding("jobs", table.name.schema, 1, what, do, note=True))
    return found


def _known(histories: Histories) -> Histories:
    """Give the histories that have a snapshot."""
    return {name: history for name, history in histories.items() if history.latest is not None}


def _states(histories: Histories) -> list[Tables]:
    """Give the tables of the oldest snapshots, and after each migration."""
    known = _known(histories)
    oldest = migration_files.tables_of(history.oldest for history in known.values())
    return [oldest, *(after for _, _, after in chain.replay(known, list(known)))]


def _check_migrations(
    project: Project,
    read_code: Callable[[], Code],
    read_histories: Callable[[], Histories],
    states: Callable[[], list[Tables]],
) -> list[Finding]:
    """Check that the migrations of every schema are complete and lead to its snapshot, and that the code is as the
    snapshot.
    """
    try:
        histories = _known(read_histories())
        found = [
            Finding(id_, name, 1, sentence, do)
            for name, history in histories.items()
            for id_, sentence, do in chain.problems(history, project.versions.get(name))
            if id_ != "open-question"
        ]
        found += [
            Finding("open-question", migration.module, line, f"It is still to be decided: {question.rstrip('.')}.", do)
            for history in histories.values()
            for migration in history.migrations
            for (question, do), line in zip(migration.questions, migration.question_lines, strict=True)
        ]
        if found:
            return found
        replayed = states()[-1]
        snapshots = migration_files.tables_of(history.latest for history in histories.values())
        code = read_code().tables([name for name in project.versions if name in histories])
    except PipelineError as error:
        return [Finding("migration", "version", 1, f"{error.what} {error.why}", error.do)]
    broken = _schemas(difference(replayed, snapshots).operations)
    found = [
        Finding("replay", name, 1, f"The migrations of {name} do not lead to its snapshot.", "Correct the edited file.")
        for name in broken
    ]
    changed = [name for name in _schemas(difference(snapshots, code).operations) if name not in broken]
    return found + [
        Finding(
            "not-revised",
            name,
            1,
            f"The code of {name} differs from its snapshot, and no migration says how to get there.",
            f'Run {project.program} revise {name} -m "what changed".',
        )
        for name in changed
    ]


def _check_rows(
    project: Project,
    read_code: Callable[[], Code],
    read_histories: Callable[[], Histories],
    states: Callable[[], list[Tables]],
) -> list[Finding]:
    """Find what the migrations do to rows, where there are any, by applying them in another process (:mod:`replay`)."""
    if not any(history.migrations for history in read_histories().values()):
        return []
    if of_mysql_alone(read_code().backend, (table for state in states() for table in state.values())):
        return []
    finished = _in_fresh_database(project, "datajoint_pipeline.commands.replay", read_code())
    try:
        return [Finding(**finding) for finding in json.loads(finished.stdout)]
    except ValueError:
        last = (finished.stderr.strip().splitlines() or ["no message"])[-1]
        what = f"The migrations could not be tried out: {last}"
        return [Finding("replay-rows", "version", 1, what, f"Try them: {project.program} --env local migrate.")]


def _schemas(operations: list[Operation]) -> list[str]:
    return sorted({operation.table.schema for operation in operations})


def _declare(project: Project, code: Code) -> dict[str, Any]:
    """Declare everything in a database of the embedded server that lives as long as this check, in another process
    (:mod:`declare`); give its answer.
    """
    finished = _in_fresh_database(project, "datajoint_pipeline.commands.declare", code)
    try:
        return dict(json.loads(finished.stdout))
    except ValueError:
        last = (finished.stderr.strip().splitlines() or ["no message"])[-1]
        return {"error": (f"Tables could not be declared: {last}", "", "Correct the definition.")}


def _check_definitions(
    project: Project, read_code: Callable[[], Code], declared: Callable[[], dict[str, Any]]
) -> list[Finding]:
    """Find what DataJoint or the embedded server refuses."""
    try:
        read_code()
    except PipelineError as error:
        return [_placed(project, "definition", error.what, error.why, error.do)]
    refused = declared()["error"]
    return [] if refused is None else [_placed(project, "definition", *refused)]


def _placed(project: Project, id_: str, what: str, why: str, do: str) -> Finding:
    """Give a finding at the place that a reason begins with."""
    if place := re.match(r"(\S+\.py), line (\d+): ", why):
        module = project.module_of(project.root / place[1])
        return Finding(id_, module, int(place[2]), f"{what} {why[place.end() :]}", do)
    return Finding(id_, "version", 1, f"{what} {why}".rstrip(), do)


def _check_server(
    project: Project, read_code: Callable[[], Code], declared: Callable[[], dict[str, Any]]
) -> list[Finding]:
    """Find what the server of the project would refuse; definitions were declared on the embedded one."""
    code = read_code()
    problems = code.problems[code.backend]
    found = [_placed(project, "server", what, why, "Correct the definition.") for what, why in problems]
    found += [_placed(project, "ignored", what, why, "Take one of the lines out.") for what, why in code.ignored]
    for schema, what, why, do in declared()["limits"]:
        found.append(Finding("server", schema, 1, f"{what} {why}".replace("; nothing was changed", ""), do))
    return found


def _in_fresh_database(project: Project, module: str, code: Code) -> subprocess.CompletedProcess[str]:
    """Run a module of this library for the project, with a file that has its code, on a database that lives as long as
    that.
    """
    running = server.start(project.local_directory)
    token = f"check_{os.getpid()}"
    variables = {name: value for name, value in os.environ.items() if name not in ("DJ_HOST", "DJ_PASS")}
    variables |= {project.variable("TEST_ID"): token, "DJ_LOG_STREAM": "stderr"}
    _drop_leftovers(running)
    try:
        with tempfile.TemporaryDirectory(dir=project.local_directory) as folder:
            document = Path(folder) / "code.json"
            document.write_text(json.dumps(code.document()), encoding="utf-8")
            return subprocess.run(
                [sys.executable, "-m", module, project.package, str(document)],
                env=variables,
                cwd=project.root,
                capture_output=True,
                text=True,
                check=False,
            )
    finally:
        server.drop_database(running, f"test_{token}")


def _drop_leftovers(running: server.Server) -> None:
    """Remove what a killed check left behind: databases named after processes that are gone."""
    import psutil

    for name in server.database_names(running):
        prefix, _, pid = name.rpartition("_")
        if prefix == "test_check" and pid.isdigit() and not psutil.pid_exists(int(pid)):
            server.drop_database(running, name)
