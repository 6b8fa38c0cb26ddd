"""What holds for every operation, whichever it is: a new one needs an example here, and nothing else in the tests."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import pytest

from datajoint_pipeline import operations
from datajoint_pipeline.ddl import parents
from datajoint_pipeline.errors import PipelineError
from datajoint_pipeline.history.migration_files import RULES
from datajoint_pipeline.operations import data, lines, topology
from datajoint_pipeline.operations import structure as ops
from datajoint_pipeline.operations.base import MAJOR, MINOR, PATCH
from datajoint_pipeline.operations.state import LineContext
from datajoint_pipeline.schema import definition
from datajoint_pipeline.schema.model import Attribute, ForeignKey, Index, Table, TableName
from datajoint_pipeline.schema.values import Fill, Sql

SUBJECT = """
Rig : Lookup
    rig : varchar(8)
Subject : Manual  # every animal
    subject_id : int32
    ---
    weight = null : float32  # in g
    photo = null : <blob@main>
    rig : varchar(8)
    note = "" : varchar(100)
    index (note)
"""

SESSION = """
Session : Manual
    subject_id
    day : date
    ---
    subject : int32
    rig
    -> subject.Rig (rig)
    -> subject.Subject (subject_id)
Session.Trial : Part
    subject_id
    day
    trial : int16
    ---
    score = null : decimal(5,2)
    -> Session (subject_id, day)
"""


def state() -> dict[TableName, Table]:
    titles = definition.Titles()
    tables = [*definition.read_tables(SUBJECT, "subject", titles), *definition.read_tables(SESSION, "session", titles)]
    return {table.name: table for table in tables}


#: The tables before each operation.
BEFORE = MappingProxyType(state())

RIG, SUBJECTS = TableName("subject", "#rig"), TableName("subject", "subject")
SESSIONS, TRIALS = TableName("session", "session"), TableName("session", "session__trial")
NOWHERE = TableName("session", "")

ATTRIBUTE = BEFORE[SUBJECTS].attribute
TO_RIG, TO_SUBJECT = BEFORE[SESSIONS].foreign_keys
RIG_OF_SUBJECT = ForeignKey(("rig",), RIG, ("rig",))
UNIQUE = Index(("rig", "note"), unique=True)
COUNT = Sql("CHAR_LENGTH(note)", "length(note)")
LONG = " and ".join(["more than one line takes"] * 6)

BAG = Table(
    TableName("session", "bag"),
    (
        Attribute("bag", "uuid"),
        Attribute("subject_id", "", inherited=True),
        Attribute("of", "enum('a', 'b')", default="a"),
    ),
    ("bag",),
    (ForeignKey(("subject_id",), SUBJECTS, ("subject_id",)),),
    (Index(("of",)),),
    'says """how"""',
)


def check(connection: Any, databases: Any) -> bool:
    return True


def run(connection: Any, databases: Any) -> bool:
    return False


EXAMPLES: list[ops.Operation] = [
    ops.CreateTable(BAG.name, BAG),
    ops.DropTable(TRIALS),
    ops.DropTable(SUBJECTS),
    ops.RenameTable(SESSIONS, TableName("session", "visit")),
    ops.RenameTable(SESSIONS, TableName("subject", "session")),
    ops.RenameTable(SUBJECTS, TableName("session", "_subject")),
    ops.RenameTable(SUBJECTS, TableName("subject", "__subject")),
    ops.RenameTable(TRIALS, TableName("session", "session__turn")),
    ops.ChangeComment(SUBJECTS, "every animal", 'each "animal"'),
    ops.ChangeComment(SUBJECTS, "every animal", LONG),
    ops.AddAttribute(SUBJECTS, Attribute("born", "date", nullable=True), "note"),
    ops.AddAttribute(SUBJECTS, Attribute("_first", "int8", default="5")),
    ops.AddAttribute(SUBJECTS, Attribute("size", "int32", comment=LONG), "photo", Fill("it's")),
    ops.AddAttribute(SESSIONS, Attribute("place", "varchar(8)"), "rig", Fill(of=(SUBJECTS, "note"))),
    ops.AddAttribute(SESSIONS, Attribute("place", "varchar(8)"), "rig", Fill(parent=True)),
    ops.AddAttribute(SESSIONS, Attribute("place", "int32"), "rig", Fill(each="number")),
    ops.AddAttribute(SUBJECTS, Attribute("length", "int32"), "note", Fill(sql=COUNT)),
    ops.DropAttribute(SUBJECTS, "photo"),
    ops.RenameAttribute(SUBJECTS, "subject_id", "animal_id"),
    ops.RenameAttribute(SUBJECTS, "note", "remark"),
    ops.AlterAttribute(SUBJECTS, ATTRIBUTE["note"], replace(ATTRIBUTE["note"], default=None, comment="# 1")),
    ops.AlterAttribute(
        SUBJECTS, ATTRIBUTE["note"], replace(ATTRIBUTE["note"], type="int32", default=None), using=COUNT
    ),
    ops.AlterAttribute(SUBJECTS, ATTRIBUTE["photo"], Attribute("photo", "<attach@main>"), Fill("none")),
    ops.AlterAttribute(SUBJECTS, ATTRIBUTE["rig"], Attribute("rig", "", inherited=True)),
    ops.OrderAttributes(SUBJECTS, ("subject_id", "note", "rig", "photo", "weight")),
    ops.ChangePrimaryKey(SUBJECTS, ("subject_id",), ("rig", "subject_id")),
    ops.AddForeignKey(SUBJECTS, RIG_OF_SUBJECT),
    ops.AddForeignKey(SESSIONS, ForeignKey(("subject",), SUBJECTS, ("subject_id",)), (("rig", "left"), ("note", None))),
    ops.AddForeignKey(
        SESSIONS, ForeignKey(("subject",), SUBJECTS, ("subject_id",)), (("rig", Fill(of=(SESSIONS, "rig"))),)
    ),
    ops.DropForeignKey(SESSIONS, TO_SUBJECT),
    ops.AddIndex(SUBJECTS, UNIQUE),
    ops.DropIndex(SUBJECTS, Index(("note",))),
    ops.Online(SUBJECTS, ops.AddIndex(SUBJECTS, UNIQUE)),
    ops.Online(SUBJECTS, ops.AddForeignKey(SUBJECTS, RIG_OF_SUBJECT, ())),
    data.InsertRows(RIG, ((("rig", "left"),), (("rig", 'the "right"'),))),
    data.InsertRows(RIG, ()),
    data.RebuildTable(SUBJECTS, (("weight", Sql("1", "2")), ("note", Sql("'it''s'", "''")))),
    data.RunSQL(NOWHERE, Sql("SELECT 1;\nSELECT '2'", ""), None, "select twice"),
    data.RunSQL(NOWHERE, Sql("SELECT 1", "SELECT 2"), Sql("SELECT 0", "SELECT 3"), LONG, Sql("SELECT 4", "")),
    data.RunPython(NOWHERE, "do it by hand", check, run),
]

EVERY = pytest.mark.parametrize("operation", EXAMPLES, ids=lambda operation: type(operation).__name__)


def family(above: type[ops.Operation] = ops.Operation) -> Iterator[type[ops.Operation]]:
    """Every class of operations that may stand in a file; the planner has one of its own beside them."""
    for found in pkgutil.iter_modules(operations.__path__, operations.__name__ + "."):
        importlib.import_module(found.name)
    for cls in above.__subclasses__():
        if cls.__module__.startswith(operations.__name__ + "."):
            yield cls
            yield from family(cls)


def test_every_class_has_an_example() -> None:
    assert {type(operation) for operation in EXAMPLES} == set(family())


@pytest.mark.parametrize("cls", list(family()), ids=lambda cls: cls.__name__)
def test_a_class_says_everything_itself(cls: type[ops.Operation]) -> None:
    assert cls.__doc__
    assert {"apply", "inverse", "describe", "bump", "render"} <= set(vars(cls))


@EVERY
def test_inverse_gives_the_state_before(operation: ops.Operation) -> None:
    after = operation.apply(BEFORE)
    try:
        back = operation.inverse(BEFORE)
    except PipelineError as refused:
        assert refused.what == "There is no way back." and operation.changes_rows and after == BEFORE
    else:
        assert back.apply(after) == BEFORE
        assert state() == BEFORE


@EVERY
def test_line_read_back_is_the_operation(operation: ops.Operation) -> None:
    for schema in ("subject", "session"):
        if schema != operation.table.schema and isinstance(operation, (ops.CreateTable, data.RunSQL, data.RunPython)):
            continue  # whose schema is that of the file
        line = operation.render(LineContext(BEFORE, schema))
        assert not any(len(row) > 116 for row in line.split("\n")) or LONG in line
        read = eval(line, {**vars(lines), "check": check, "run": run})
        assert isinstance(read, lines.Line) and bool(read.question) == _asks(operation)
        found = read.operation(LineContext(BEFORE, schema))
        assert found == operation
        assert getattr(found, "run", None) is getattr(operation, "run", None)


def _asks(operation: ops.Operation) -> bool:
    return any(value is None for _, value in getattr(operation, "missing", None) or ())


@pytest.mark.parametrize("cls", [ops.AddAttribute, ops.AlterAttribute])
def test_line_asks_for_what_is_still_to_be_given(cls: type[ops.Operation]) -> None:
    operation = next(o for o in EXAMPLES if isinstance(o, cls))
    assert operation.render(LineContext(BEFORE, "subject"), ask=True).endswith(", fill=ASK)")


@EVERY
def test_descriptions_name_the_table(operation: ops.Operation) -> None:
    title = definition.title(operation.table) or operation.table.schema
    assert operation.describe().startswith(f"{title}: ")
    assert operation.bump() in (MAJOR, MINOR, PATCH)
    if operation.apply(BEFORE) != BEFORE:  # a database can differ by it
        assert "deviation" in vars(type(operation))
        assert operation.deviation().startswith(f"{title} ") and operation.deviation().endswith(".")
    for id_, text in operation.notices(BEFORE):
        assert id_ in RULES and text.endswith(".")


@EVERY
def test_names_are_followed(operation: ops.Operation) -> None:
    after, origins = ops.trace(BEFORE, [operation])
    assert after == operation.apply(BEFORE)
    assert origins.tables.keys() <= after.keys() and set(origins.tables.values()) <= BEFORE.keys()
    for name, old_name in origins.tables.items():
        sources = origins.attributes[name]
        assert sources.keys() <= after[name].attribute.keys()
        assert set(sources.values()) <= BEFORE[old_name].attribute.keys()
    for name, attribute in (*origins.fills, *origins.converts):
        assert attribute in after[name].attribute
    for name, key in origins.missing:
        assert key in after[name].foreign_keys


def test_what_a_table_was_is_found_after_several_renames() -> None:
    key = ForeignKey(("subject",), SUBJECTS, ("subject_id",))
    _, origins = ops.trace(
        BEFORE,
        [
            ops.AddForeignKey(SESSIONS, key, (("rig", "left"),)),
            ops.AddAttribute(SUBJECTS, Attribute("size", "int32"), "note", Fill("1")),
            ops.RenameAttribute(SUBJECTS, "size", "height"),
            ops.RenameAttribute(SUBJECTS, "subject_id", "animal_id"),
            ops.RenameTable(SUBJECTS, animals := TableName("subject", "animal")),
            ops.RenameAttribute(SESSIONS, "subject", "animal"),
            ops.DropTable(TRIALS),
        ],
    )
    assert origins.tables == {RIG: RIG, animals: SUBJECTS, SESSIONS: SESSIONS}
    assert origins.attributes[animals]["animal_id"] == "subject_id" and "height" not in origins.attributes[animals]
    assert origins.fills == {(animals, "height"): Fill("1")}
    assert origins.missing == {(SESSIONS, ForeignKey(("animal",), animals, ("animal_id",))): {"rig": "left"}}


GHOST = TableName("subject", "ghost")
NAMELESS = ("ghost",)

WITH_SUBJECT = (*BEFORE[TRIALS].attributes, Attribute("subject", "int32"))

#: Operations that name something that is not there, and what they say. What a fill takes values from may be gone by
#: then, and what a foreign key leads to may be made by the next migration of the same group: the plan of the whole looks
#: for these (below, and test_filling.py).
UNFIT: list[tuple[ops.Operation, str]] = [
    *(
        (replace(operation, table=GHOST), "there is no table subject.Ghost")
        for operation in EXAMPLES
        if not isinstance(operation, (ops.CreateTable, ops.Online, data.RunSQL, data.RunPython))
    ),
    (ops.CreateTable(BAG.name, replace(BAG, primary_key=NAMELESS)), "it has no attribute ghost"),
    (ops.CreateTable(BAG.name, replace(BAG, indexes=(Index(NAMELESS),))), "it has no attribute ghost"),
    (
        ops.CreateTable(BAG.name, replace(BAG, foreign_keys=(ForeignKey(NAMELESS, RIG, ("rig",)),))),
        "it has no attribute ghost",
    ),
    (ops.AddAttribute(SUBJECTS, Attribute("born", "date", nullable=True), "ghost"), "it has no attribute ghost"),
    (
        ops.AlterAttribute(SUBJECTS, Attribute("ghost", "int8"), Attribute("ghost", "int16")),
        "it has no attribute ghost",
    ),
    (ops.DropAttribute(SUBJECTS, "ghost"), "it has no attribute ghost"),
    (ops.RenameAttribute(SUBJECTS, "ghost", "spirit"), "it has no attribute ghost"),
    (
        ops.OrderAttributes(SUBJECTS, ("ghost", "subject_id", "note", "rig", "photo", "weight")),
        "it has no attribute ghost",
    ),
    (ops.OrderAttributes(SUBJECTS, ("subject_id", "note", "rig", "photo")), "it also has an attribute weight"),
    (ops.ChangePrimaryKey(SUBJECTS, ("subject_id",), ("subject_id", "ghost")), "it has no attribute ghost"),
    (
        ops.AddForeignKey(SUBJECTS, ForeignKey(NAMELESS, RIG, ("rig",))),
        "it has that foreign key, or lacks an attribute of it",
    ),
    (ops.DropForeignKey(SUBJECTS, RIG_OF_SUBJECT), "it has no such foreign key"),
    (ops.AddIndex(SUBJECTS, Index(("note", "ghost"))), "it has no attribute ghost"),
    (ops.AddIndex(SUBJECTS, Index(("ghost(10)",))), "it has no attribute ghost"),
    (ops.DropIndex(SUBJECTS, Index(NAMELESS)), "it has no such index"),
    (ops.Online(SUBJECTS, ops.AddIndex(SUBJECTS, Index(NAMELESS))), "it has no attribute ghost"),
    (data.InsertRows(RIG, ((("rig", "left"), ("ghost", 1)),)), "it has no attribute ghost"),
    (data.RebuildTable(SUBJECTS, (("ghost", Sql("1", "2")),)), "it has no attribute ghost"),
]


def test_every_class_that_names_something_is_asked_for_what_is_not_there() -> None:
    assert {type(operation) for operation, _ in UNFIT} == set(family()) - {data.RunSQL, data.RunPython}


@pytest.mark.parametrize(("operation", "why"), UNFIT, ids=lambda given: getattr(type(given), "__name__", None))
def test_what_is_not_there_is_refused(operation: ops.Operation, why: str) -> None:
    with pytest.raises(PipelineError) as refused:
        operation.apply(BEFORE)
    assert refused.value.why == f"At this point {why}."
    assert state() == BEFORE


def test_an_index_may_be_over_part_of_an_attribute_or_an_expression() -> None:
    for columns in (("note(10)",), ("note desc",), ("(lower(note))",)):
        assert Index(columns) in ops.AddIndex(SUBJECTS, Index(columns)).apply(BEFORE)[SUBJECTS].indexes


@pytest.mark.parametrize(
    ("parent", "theirs", "why"),
    [
        (GHOST, ("rig",), "subject.Subject refers to subject.Ghost, which is not there."),
        (RIG, NAMELESS, "subject.Subject refers to (ghost) of subject.Rig, whose primary key is (rig)."),
        (TableName("elsewhere", "#rig"), ("rig",), ""),
    ],
)
def test_a_whole_group_may_leave_no_foreign_key_that_leads_nowhere(
    parent: TableName, theirs: tuple[str, ...], why: str
) -> None:
    """The schema of another project may be referred to."""
    after = ops.AddForeignKey(SUBJECTS, ForeignKey(("rig",), parent, theirs)).apply(BEFORE)
    assert topology.dangling(after, {"subject", "session"}) == [why] * bool(why)


@pytest.mark.parametrize(
    ("missing", "also", "named"),
    [
        ((("ghost", "1"),), (), "ghost cannot be given to rows that are put into subject.Rig."),
        ((), (GHOST,), "subject.Ghost cannot get rows by the foreign key from subject.Subject to subject.Rig."),
        ((), (SESSIONS,), "session.Session cannot get rows by the foreign key from subject.Subject to subject.Rig."),
    ],
)
def test_rows_are_put_in_only_where_the_foreign_key_leads(
    missing: tuple[tuple[str, str | None], ...], also: tuple[TableName, ...], named: str
) -> None:
    key = ForeignKey(("subject", "day"), SESSIONS, ("subject_id", "day"))
    for fits in (
        ops.AddForeignKey(SUBJECTS, RIG_OF_SUBJECT, (("rig", "left"),)),
        ops.AddForeignKey(TRIALS, key, (("note", "left"),), (RIG, SUBJECTS)),
    ):
        after, origins = ops.trace({**BEFORE, TRIALS: replace(BEFORE[TRIALS], attributes=WITH_SUBJECT)}, [fits])
        parents.refuse_unknown(origins, after)
    after, origins = ops.trace(BEFORE, [ops.AddForeignKey(SUBJECTS, RIG_OF_SUBJECT, missing, also)])
    with pytest.raises(PipelineError) as refused:
        parents.refuse_unknown(origins, after)
    assert refused.value.what == named
