"""User steps: the SQL and the Python of migration files, as steps, and their correction after one of them failed.

Knows the journal's entries and runs nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..errors import ExitCode, PipelineError
from ..history.migration_files import History, Migration
from ..journal import steplog
from ..journal.steplog import Entry
from ..operations import data
from ..operations.lines import RunPython, RunSQL
from ..operations.state import LineContext
from ..quoting import quoter

if TYPE_CHECKING:
    import datajoint as dj


def entries(
    connection: dj.Connection,
    databases: Mapping[str, str],
    operation: data.RunSQL | data.RunPython,
    migrations: Iterable[Migration],
) -> Iterator[Entry]:
    """Make the steps of an operation; each statement is one, so that none runs twice.

    Parameters
    ----------
    connection : datajoint.Connection
        Where it is to run.
    databases : mapping
        Name on the server of each schema.
    operation : RunSQL or RunPython
        The operation.
    migrations : iterable of Migration
        The migrations of its group, one of which it is of.
    """
    if isinstance(operation, data.RunPython):
        found = ((r, i) for r in migrations for i, x in enumerate(r.lines) if getattr(x, "run", 0) is operation.run)
        migration, index = next(found)
        text = json.dumps({"schema": migration.schema, "digest": migration.digest, "line": index})
        yield Entry(0, "python", steplog.PLANNED, operation.words, text)
        return
    quote, backend = quoter(connection), connection.adapter.backend

    def with_databases(text: str) -> str:
        for schema, database in databases.items():
            text = text.replace("{" + schema + "}", quote(database))
        return text

    text = with_databases(getattr(operation.sql, backend))
    check = with_databases(getattr(operation.check, backend)) if operation.check else ""
    statements = [part.strip().rstrip(";") for part in text.split(";\n") if part.strip().rstrip(";")]
    # One check, before the first statement, is for all of them.
    for number, statement in enumerate(statements, 1):
        words = operation.words if len(statements) == 1 else f"{operation.words} ({number} of {len(statements)})"
        checked = {"check": check, "more": len(statements) - 1} if check and number == 1 else {}
        payload = {**checked, "run": [statement], "part": number}
        yield Entry(0, "own", steplog.PLANNED, words, json.dumps(payload))


# --- Corrected ----------------------------------------------------------------------------------------------------


def corrected(
    connection: dj.Connection, head: Mapping[str, Any], steps: Sequence[Entry], histories: Mapping[str, History]
) -> tuple[dict[str, Any], list[Entry]] | None:
    """Give the head and the steps of an interrupted run after its user steps were corrected in the files.

    None where they were not.

    Raises
    ------
    PipelineError
        If a statement was corrected that has run already.
    """
    migrations = [found for member in head["members"] if (found := _current(member, histories)) is not None]
    members = [
        m if r.has_digest(m["digest"]) else {**m, "digest": r.digest}
        for m, r in zip(head["members"], migrations, strict=False)
    ]
    if len(migrations) < len(head["members"]) or members == head["members"]:
        return None
    lines = [(line, r) for r in migrations for line in r.lines if isinstance(line, (RunSQL, RunPython))]
    operations = (line.operation(LineContext({}, migration.schema)) for line, migration in lines)
    result: list[Entry] = []
    for part in _by_operation(steps):
        if part[0].kind not in ("own", "python"):
            result += part
            continue
        operation = next(operations)
        assert isinstance(operation, (data.RunSQL, data.RunPython))
        made = list(entries(connection, head["databases"], operation, migrations))
        done = [step for step in part if step.state == steplog.DONE]
        for ran, now in zip(done, made, strict=False):
            if ran.kind == "own" and (ran.statements != now.statements or len(made) < len(done)):
                raise PipelineError(
                    f"A statement was corrected that has run already: {ran.words}.",
                    f"It was: {' '.join(ran.statements[0].split())[:200]}",
                    "Take that statement back from version control; correct those after it.",
                    exit_code=ExitCode.INTERRUPTED,
                )
        result += [*done, *made[len(done) :]]
    return {**head, "members": members}, [replace(step, number=n) for n, step in enumerate(result, 1)]


def _current(member: Mapping[str, Any], histories: Mapping[str, History]) -> Migration | None:
    """Give the migration of a member as its file is now; None where more than its user steps was changed."""
    known = histories[member["schema"]].migrations if member["schema"] in histories else []
    same = (r for r in known if r.slug == member["slug"] and r.has_frame(member.get("frame")))
    return next((r for r in known if r.has_digest(member["digest"])), None) or next(same, None)


def _by_operation(steps: Iterable[Entry]) -> Iterator[list[Entry]]:
    """Give the steps, those of one ``RunSQL`` together."""
    together: list[Entry] = []
    for step in steps:
        part = json.loads(step.text).get("part", 1) if step.kind == "own" else 1
        if together and (part == 1 or step.kind != "own"):
            yield together
            together = []
        together.append(step)
    if together:
        yield together
