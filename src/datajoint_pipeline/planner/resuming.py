"""Plan a run once more that was interrupted: from files, code and library, and from the tables as it found them.

The record of a run has what the tables were, what a person had answered and what the rows had told: data, of which only
names and types come to stand in statements, each of them quoted. It has no statement that anybody runs.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from .. import journal
from ..dialects import catalog, introspection
from ..dialects.introspection import Place
from ..diff.questions import Answers
from ..errors import ExitCode, PipelineError
from ..history.migration_files import Migration
from ..internals.job_tables import PREFIX
from ..journal import steplog
from ..journal.steplog import Entry
from ..schema.model import TableName
from ..schema.notation import is_text, normal_type
from ..schema.values import Fill
from . import adoption, drafts, pending, rollbacks
from .deployment import Deployment
from .plan import Group
from .steps import LockedStatements, OnlineStatements, PlannedStep, Statement, UserPython, UserSQL

# --- What is recorded ------------------------------------------------------------------------------------------------


def record(deployment: Deployment, group: Group, kind: str) -> dict[str, Any]:
    """Give what a run needs to be planned once more, as JSON."""
    inputs, databases = group.inputs, deployment.databases
    names = {*inputs.involved, *(TableName(n.schema, PREFIX + n.table.lstrip("_")) for n in inputs.involved)}
    places = {(databases.get(name.schema, name.schema), name.table) for name in names}
    places |= {place for step in group.steps for place in step.places}
    touched = {database for database, _ in places}
    tables = deployment.catalogue.tables
    before = {
        place: table
        for place, table in tables.items()
        if place in places or (place[0] in touched and place[1].startswith("~"))
    }
    return {
        "kind": kind,
        "wanted": [_identity(migration) for migration in inputs.wanted or group.migrations],
        "last": inputs.last,
        "lossy": sorted([*table, attribute] for table, attribute in inputs.lossy),
        "aside": sorted([*table, attribute] for table, attribute in inputs.aside),
        "files": inputs.files,
        "kept": True,
        "filled": sorted([*table, attribute] for table, attribute in inputs.filled),
        "answers": None if inputs.answers is None else _encode(inputs.answers),
        "drafted": list(inputs.drafted),
        "before": [[*place, introspection.encode(table)] for place, table in before.items()],
    }


def _identity(migration: Migration) -> dict[str, str]:
    return {key: getattr(migration, key) for key in ("schema", "version", "slug", "digest", "frame")}


def _encode(answers: Answers) -> dict[str, Any]:
    return {
        "tables": [[*old, *new] for old, new in answers.tables.items()],
        "attributes": [[*table, old, new] for (table, old), new in answers.attributes.items()],
        "fills": [
            [*table, name, fill.value, fill.parent, fill.of and [*fill.of[0], fill.of[1]], fill.each]
            for (table, name), fill in answers.fills.items()
        ],
        "drops": [[*table, name] for table, name in answers.drops],
        "inserts": [list(table) for table in answers.inserts],
    }


def _decode(data: Mapping[str, Any]) -> Answers:
    return Answers(
        {TableName(a, b): TableName(c, d) for a, b, c, d in data["tables"]},
        {(TableName(a, b), old): new for a, b, old, new in data["attributes"]},
        {
            (TableName(a, b), name): Fill(value, parent, None, of and (TableName(of[0], of[1]), of[2]), each)
            for a, b, name, value, parent, of, each in data["fills"]
        },
        frozenset((TableName(a, b), name) for a, b, name in data["drops"]),
        frozenset(TableName(a, b) for a, b in data["inserts"]),
    )


# --- And planned from ------------------------------------------------------------------------------------------------


def planned(now: Deployment, head: Mapping[str, Any], entries: Iterable[Entry]) -> tuple[Deployment, Group]:
    """Plan a run once more; give the deployment as it was before, and the group.

    Parameters
    ----------
    now : Deployment
        What is there.
    head : mapping
        The head of the run: what :func:`record` gave as its ``plan``, and the schemas that it leads to as ``after``.
    entries : iterable of Entry
        The steps as recorded, for the places of the tables that they change.

    Raises
    ------
    PipelineError
        If files and code do not lead to a plan any more.
    """
    recorded = head["plan"]
    deployment = _before(now, head, {place for entry in entries for place in entry.tables})
    lossy = frozenset((TableName(a, b), name) for a, b, name in recorded["lossy"])
    answers = None if recorded["answers"] is None else _decode(recorded["answers"])
    wanted, kind = [_found(deployment, identity) for identity in recorded["wanted"]], recorded["kind"]
    if kind == journal.DRAFT and answers is not None:
        draft = drafts.changes_again(deployment, drafts.kept(now.target), recorded["drafted"], answers)
        return deployment, drafts.group(deployment, draft, lossy)
    if kind == "adopt":
        return deployment, adoption.group(deployment, [migration.schema for migration in wanted])
    if kind == "rollback":
        marker, *others = wanted
        try:
            migrations = rollbacks.undone(deployment, marker.schema, marker.version, along=bool(others))
        except PipelineError as error:
            error.exit_code = ExitCode.INTERRUPTED
            raise
        # Earlier releases set nothing aside, and converted all values.
        aside = frozenset((TableName(a, b), name) for a, b, name in recorded.get("aside", ()))
        kept = bool(recorded.get("kept"))
        return deployment, rollbacks.group(deployment, marker.schema, marker.version, migrations, aside, kept=kept)
    answer = None if answers is None else lambda before, after: answers
    (group,) = drafts.groups(deployment, wanted, answer=answer, lossy=lossy, last=bool(recorded["last"]))
    return deployment, group


def _tables(recorded: Mapping[str, Any]) -> introspection.CatalogTables:
    """Give the tables that a run touches, as it found them."""
    return {(database, table): introspection.decode(data) for database, table, data in recorded["before"]}


def _before(now: Deployment, head: Mapping[str, Any], touched: set[Place]) -> Deployment:
    """Give the deployment as a run found it: the tables that it touches as recorded, all others as they are.

    A table that is in no schema that it leads to came since: the lab's own statements made it, or somebody else. It is
    left out here, and named at the end of the run.
    """
    recorded, schemas = head["plan"], {now.databases.get(schema["name"]): schema for schema in head["after"]}
    known = {(database, table["name"]["table"]) for database, schema in schemas.items() for table in schema["tables"]}
    before = _tables(recorded)
    _refuse_odd(before, now.catalogue.tables)
    databases = {database for database, _ in before}  # of which all hidden tables are recorded
    others = {
        place: table
        for place, table in now.catalogue.tables.items()
        if place not in touched
        and not (place[0] in databases and place[1].startswith("~"))
        and (place[0] not in schemas or place in known or place[1].startswith("~"))
    }
    catalogue = replace(now.catalogue, tables={**others, **before})
    records = journal.latest(now.connection, {n: now.databases[n] for n in now.records}, ended=True)
    return replace(
        now,
        records=records,
        catalogue=catalogue,
        shapes=catalog.shapes(now.connection, now.databases, catalogue),
        filled=frozenset((TableName(a, b), name) for a, b, name in recorded["filled"]),
    )


#: Types, what else there is to a column, parts of indexes and defaults that may stand in a statement as they are,
#: whoever wrote them.
_PLAIN_TYPE = re.compile(
    r"[a-z]\w*(?: unsigned| precision| varying)*(?:\(\d+(?:,\d+)?\))?(?: unsigned| with(?:out)? time zone)*"
)
_PLAIN_EXTRA = re.compile(r"(?:auto_increment|on update current_timestamp(?:\(\d\))?)?(?: ?\bcollation \w+)?")
_PLAIN_PART = re.compile(r"\w+(?:\(\d+\))?(?: desc)?")
_PLAIN_DEFAULT = re.compile(r"(?!\(|CURRENT|NOW|X'|.*[(';]).*|CURRENT_TIMESTAMP(?:\(\d\))?", re.IGNORECASE | re.DOTALL)


def _refuse_odd(before: introspection.CatalogTables, now: introspection.CatalogTables) -> None:
    """Refuse recorded tables with SQL in them that no table has: somebody may have written it into the record.

    Raises
    ------
    ValueError
        If there is any such.
    """
    known = {text for table in now.values() for c in table.columns for text in (c.stored, c.extra, c.default)}
    known |= {text for table in now.values() for index in table.indexes for text in index.columns}
    for table in before.values():
        enums = {c.stored for c in table.columns if c.stored.startswith("enum(") and normal_type(c.stored) == c.stored}
        odd = [c.stored for c in table.columns if c.stored not in enums and not _PLAIN_TYPE.fullmatch(c.stored)]
        values = [c.default for c in table.columns if c.default is not None and not is_text(c.stored)]
        odd += [value for value in values if not _PLAIN_DEFAULT.fullmatch(value)]
        odd += [c.extra for c in table.columns if not _PLAIN_EXTRA.fullmatch(c.extra)]
        odd += [text for index in table.indexes for text in index.columns if not _PLAIN_PART.fullmatch(text)]
        if not {*odd} <= known:
            raise ValueError(f"no table has {sorted({*odd} - known)[0]!r}")


def _found(deployment: Deployment, identity: Mapping[str, str]) -> Migration:
    """Find the migration in the files that was recorded; its user steps may have been corrected since.

    Raises
    ------
    PipelineError
        If there is none such any more.
    """
    schema, version, slug = identity["schema"], identity["version"], identity["slug"]
    history = deployment.histories[schema]
    if slug == journal.DRAFT and not identity["digest"]:
        return pending.as_drafted(schema, version)
    if not identity["digest"]:
        snapshots = [snapshot for snapshot in (history.latest, history.oldest) if snapshot is not None]
        same = next((snapshot for snapshot in snapshots if snapshot.version == version), None)
        making = slug == "init" and same is not None
        return pending.making(deployment, schema, same) if making else Migration(schema, version, None, slug)
    files = history.migrations
    found = next((file for file in files if file.has_digest(identity["digest"])), None)
    found = found or next((f for f in files if f.slug == slug and f.has_frame(identity["frame"])), None)
    if found is None:
        raise PipelineError(
            f"{schema} {version} {slug} was edited or removed while it was being applied.",
            "It can only continue with the file as it was; in such a file, only RunSQL and RunPython may be corrected.",
            "Take the file back from version control and run migrate again.",
            exit_code=ExitCode.INTERRUPTED,
        )
    return found


def untouched(now: Deployment, recorded: Mapping[str, Any], entries: Sequence[Entry]) -> bool:
    """Tell whether a run surely did nothing: no step is done, and the tables are as it found them."""
    begun = [e for e in entries if e.state != steplog.PLANNED]
    if any(e.state == steplog.DONE or e.kind not in (Statement.kind, LockedStatements.kind) for e in begun):
        return False
    before, tables = _tables(recorded), now.catalogue.tables
    places = {place for place in (*before, *(place for e in entries for place in e.tables)) if place[1][:2] != PREFIX}
    return not begun or all(before.get(place) == tables.get(place) for place in places)


# --- And compared ----------------------------------------------------------------------------------------------------


def compared(steps: Sequence[PlannedStep], entries: Sequence[Entry], corrected: bool, software: str) -> list[Entry]:
    """Compare steps with those that were recorded; give the entries, with user steps as they are in the files now.

    Parameters
    ----------
    steps : sequence of PlannedStep
        What the run is.
    entries : sequence of Entry
        What was recorded of it.
    corrected : bool
        Whether user steps may differ, for their files were corrected.
    software : str
        The versions that began the run.

    Raises
    ------
    PipelineError
        If they differ, or a statement was corrected that has run already.
    """
    result: list[Entry] = []
    parts, recorded = _by_operation(steps), _by_operation(entries)
    for number in range(max(len(parts), len(recorded))):
        now = parts[number] if number < len(parts) else []
        was = recorded[number] if number < len(recorded) else []
        fresh = [entry(step) for step in now if isinstance(step, PlannedStep)]
        if [_compared(e) for e in fresh] == [_compared(e) for e in was]:
            result += [replace(new, state=old.state, before=old.before) for new, old in zip(fresh, was, strict=True)]
            continue
        user = bool(fresh and was) and isinstance(now[0], (UserSQL, UserPython)) and was[0].kind == now[0].kind
        if not (corrected and user):
            raise _other(fresh, was, software)
        done = [e for e in was if e.state == steplog.DONE]
        for ran, new in zip(done, fresh, strict=False):
            if ran.kind == UserSQL.kind and (_compared(ran) != _compared(new) or len(fresh) < len(done)):
                raise PipelineError(
                    f"A statement that has already run was changed: {ran.words}.",
                    f"It was: {_script(ran)[:200]}",
                    "Get that statement back from version control; correct only later ones.",
                    exit_code=ExitCode.INTERRUPTED,
                )
        result += [*done, *fresh[len(done) :]]
    return [replace(e, number=number) for number, e in enumerate(result, 1)]


def entry(step: PlannedStep) -> Entry:
    """Give what the record has of a step before it runs."""
    return Entry(0, step.kind, steplog.PLANNED, step.words, step.text, step.places)


def _compared(one: Entry) -> tuple[object, ...]:
    """Give what must be the same; words are for people, and later releases may find better ones."""
    return one.kind, one.text, one.tables


def _other(fresh: list[Entry], was: list[Entry], software: str) -> PipelineError:
    """Give the refusal of a record that is not what files, code and library give."""
    pairs = zip([*fresh, None], [*was, None], strict=False)
    new, old = next((p for p in pairs if None in p or _compared(p[0]) != _compared(p[1])), (None, None))  # type: ignore[arg-type]

    def shown(one: Entry | None) -> str:
        return "nothing" if one is None else f"to {one.words}: {_script(one)[:200]}"

    return PipelineError(
        "The record of the interrupted run does not match this code; nothing was run.",
        f"Recorded is {shown(old)}. It would be {shown(new)}.",
        by_what_began(software),
        exit_code=ExitCode.INTERRUPTED,
    )


def by_what_began(software: str) -> str:
    """Say what to do where a record is not what files, code and library give."""
    return (
        f"Continue with the code and the versions that began it ({software or 'see log'}). If nothing explains the "
        "difference, somebody changed the journal: ask those who may write to it."
    )


def _by_operation(steps: Sequence[Any]) -> list[list[Any]]:
    """Give the steps or entries, those of one ``RunSQL`` together."""
    together: list[list[Any]] = []
    for step in steps:
        part = step.part if isinstance(step, UserSQL) else _part(step) if step.kind == UserSQL.kind else 1
        if part > 1 and together and together[-1][0].kind == UserSQL.kind:
            together[-1].append(step)
        else:
            together.append([step])
    return together


def _part(recorded: Any) -> int:
    """Give which statement of its ``RunSQL`` a recorded one is."""
    return int(json.loads(recorded.text).get("part", 1)) if isinstance(recorded, Entry) else 1


def _script(recorded: Entry) -> str:
    """Give the statements of a recorded step, for people."""
    text = recorded.text
    if recorded.kind in (LockedStatements.kind, OnlineStatements.kind, UserSQL.kind):
        text = "; ".join(map(str, json.loads(text)["run"]))
    return " ".join(text.split())
