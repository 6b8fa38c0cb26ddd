"""Statements and Python of the lab's own as steps, and how they are corrected where one of them failed half-way."""

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
from ..operations.lines import LineContext, RunPython, RunSQL
from ..quoting import quoter

if TYPE_CHECKING:
    import datajoint as dj


def entries(
    connection: dj.Connection,
    databases: Mapping[str, str],
    operation: data.RunSQL | data.RunPython,
    migrations: Iterable[Migration],
) -> Iterator[Entry]:
    """The steps of an operation; each statement is one, so that none runs twice.

    Parameters
    ----------
    connection : datajoint.Connection
        Where it is to run.
    databases : mapping
        Name on the server of each schema.
    operation : RunSQL or RunPython
        What is to run.
    migrations : iterable of Migration
        Those that it may stand in.
    """
    if isinstance(operation, data.RunPython):
        found = ((r, i) for r in migrations for i, x in enumerate(r.lines) if getattr(x, "run", 0) is operation.run)
        migration, index = next(found)
        text = json.dumps({"schema": migration.schema, "digest": migration.digest, "line": index})
        yield Entry(0, "python", steplog.PLANNED, operation.words, text)
        return
    quote, backend = quoter(connection), connection.adapter.backend

    def filled(text: str) -> str:
        for schema, database in databases.items():
            text = text.replace("{" + schema + "}", quote(database))
        return text

    text = filled(getattr(operation.sql, backend))
    check = filled(getattr(operation.check, backend)) if operation.check else ""
    statements = [part.strip().rstrip(";") for part in text.split(";\n") if part.strip().rstrip(";")]
    # Whether the first has to run says whether all have to.
    for number, statement in enumerate(statements, 1):
        words = operation.words if len(statements) == 1 else f"{operation.words} ({number} of {len(statements)})"
        left = {"check": check, "more": len(statements) - 1} if check and number == 1 else {}
        told = {**left, "run": [statement], "part": number}
        yield Entry(0, "own", steplog.PLANNED, words, json.dumps(told))


# --- Corrected ----------------------------------------------------------------------------------------------------


def corrected(
    connection: dj.Connection, head: Mapping[str, Any], steps: Sequence[Entry], histories: Mapping[str, History]
) -> tuple[dict[str, Any], list[Entry]] | None:
    """The head and the steps of an interrupted run after the lab corrected its own statements or Python in the files;
    None where it did not.

    Raises
    ------
    PipelineError
        If a statement was corrected that is done.
    """
    migrations = [found for member in head["members"] if (found := _now(member, histories)) is not None]
    members = [
        m if r.has_digest(m["digest"]) else {**m, "digest": r.digest}
        for m, r in zip(head["members"], migrations, strict=False)
    ]
    if len(migrations) < len(head["members"]) or members == head["members"]:
        return None
    own = [(line, r) for r in migrations for line in r.lines if isinstance(line, (RunSQL, RunPython))]
    left = (line.operation(LineContext({}, migration.schema)) for line, migration in own)
    result: list[Entry] = []
    for work in _works(steps):
        if work[0].kind not in ("own", "python"):
            result += work
            continue
        operation = next(left)
        assert isinstance(operation, (data.RunSQL, data.RunPython))
        made = list(entries(connection, head["databases"], operation, migrations))
        done = [step for step in work if step.state == steplog.DONE]
        for was, now in zip(done, made, strict=False):
            if was.kind == "own" and (was.statements != now.statements or len(made) < len(done)):
                raise PipelineError(
                    f"A statement was corrected that has run already: {was.words}.",
                    f"It was: {' '.join(was.statements[0].split())[:200]}",
                    "Take that statement back from version control; correct those after it.",
                    exit_code=ExitCode.INTERRUPTED,
                )
        result += [*done, *made[len(done) :]]
    return {**head, "members": members}, [replace(step, number=n) for n, step in enumerate(result, 1)]


def _now(member: Mapping[str, Any], histories: Mapping[str, History]) -> Migration | None:
    """The file of a member as it is now, if no more has changed than what is the lab's own in it."""
    known = histories[member["schema"]].migrations if member["schema"] in histories else []
    same = (r for r in known if r.slug == member["slug"] and r.has_frame(member.get("frame")))
    return next((r for r in known if r.has_digest(member["digest"])), None) or next(same, None)


def _works(steps: Iterable[Entry]) -> Iterator[list[Entry]]:
    """The steps, with those together that one ``RunSQL`` has."""
    work: list[Entry] = []
    for step in steps:
        part = json.loads(step.text).get("part", 1) if step.kind == "own" else 1
        if work and (part == 1 or step.kind != "own"):
            yield work
            work = []
        work.append(step)
    if work:
        yield work
