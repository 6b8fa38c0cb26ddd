"""What a database has become behind everybody's back, in DataJoint's words."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ..ddl.build import SOFT_DELETED_ATTRIBUTE
from ..dialects import catalog
from ..diff.changes import difference
from ..diff.questions import Answers
from ..history import migration_files
from ..operations import structure as ops
from ..schema import definition
from ..schema.model import Attribute, Schema, Table, TableName
from .status import SchemaStatus, State
from .target import Target

if TYPE_CHECKING:
    pass


def examine(target: Target, stands: list[SchemaStatus]) -> list[SchemaStatus]:
    """Hold the shape of every schema that is current against the fingerprint that was recorded with its version, and
    against the snapshot of that version.

    Reads the catalogue, once for all schemas. What differs from the record has drifted; what is as it was recorded and
    not as the snapshot has it, comes from another migration of the same version.
    """
    shapes = catalog.read(target.connection, {s.name: s.database for s in stands})
    current = [s for s in stands if s.state is State.CURRENT and s.name in shapes]
    drifted = {s.name for s in current if s.fingerprint not in (None, shapes[s.name].fingerprint)}
    latest = migration_files.latest(target.files)
    others = {
        name: texts
        for s in current
        if not s.draft  # which is like no snapshot, and need not be
        and (name := s.name) not in drifted
        and name in latest
        and latest[name].version == s.database_version
        and not latest[name].is_like(shapes[name])
        and (texts := tuple(describe(latest[name].shape, visible(shapes[name]))))
    }
    if drifted - set(latest):
        code = target.read_code()
    found = []
    for s in stands:
        if s.name in drifted:
            expected = latest[s.name].shape if s.name in latest else code.get(s.name)
            texts = told(expected, shapes[s.name]) if not s.draft else ("It is not as the draft left it.",)
            s = replace(s, state=State.DRIFTED, drift=texts)
        elif s.name in others:
            s = replace(s, state=State.CONFLICT, drift=others[s.name])
        found.append(s)
    return found


def told(expected: Schema | None, found: Schema) -> tuple[str, ...]:
    """What is said of a schema that has drifted from what was recorded of it."""
    texts = [] if expected is None else [*describe(expected, visible(found)), *_lacking(expected, found)]
    return tuple(texts) or ("It is as the code has it now, and not as it was when its version was recorded.",)


def visible(schema: Schema) -> Schema:
    """A schema without what was put aside in it."""
    tables = []
    for table in schema:
        attributes = tuple(a for a in table.attributes if not a.name.startswith(SOFT_DELETED_ATTRIBUTE))
        tables.append(replace(table, attributes=attributes))
    return Schema(schema.name, tuple(tables))


def describe(expected: Schema, found: Schema) -> list[str]:
    """Each way in which a schema is not what it should be.

    Parameters
    ----------
    expected : Schema
        As it was recorded, or as the code has it.
    found : Schema
        As the database has it.

    Returns
    -------
    list of str
        One sentence a difference, which begins with the class of the table.
    """
    before = {table.name: table for table in expected}
    after = {table.name: table for table in found}
    # Whatever the names suggest: a table or attribute that is gone is said to be gone.
    drops = frozenset((name, None) for name in before)
    texts = [_sentence(operation, expected) for operation in difference(before, after, Answers(drops=drops)).operations]
    unusual = [(table, deviation) for table in found for deviation in table.deviations]
    return texts + [f"{table.title} is not as DataJoint makes tables: {deviation}." for table, deviation in unusual]


def _lacking(expected: Schema, found: Schema) -> list[str]:
    """What is gone of the attributes that DataJoint itself adds; whether it adds them is a setting, so no difference by
    itself."""
    return [
        f"{table.title} lacks the hidden attribute {attribute.name}."
        for table in expected
        for attribute in table.attributes
        if attribute.hidden and table.name.table in found.table
        if attribute.name not in found.table[table.name.table].attribute
    ]


def _sentence(operation: ops.Operation, expected: Schema) -> str:
    table = expected.table.get(operation.table.table)
    title = table.title if table else Table(operation.table, (), ()).title
    return f"{title} {_what(operation)}."


def _what(operation: ops.Operation) -> str:
    match operation:
        case ops.CreateTable():
            return "is a table that the code does not have"
        case ops.DropTable():
            return "is missing"
        case ops.RenameTable(to=to):
            return f"is of the tier {Table(to, (), ()).tier} instead of {Table(operation.table, (), ()).tier}"
        case ops.ChangeComment(before=before, after=after):
            return f"says {after!r} of itself instead of {before!r}"
        case ops.AddAttribute(attribute=attribute):
            return f"has an attribute {attribute.name} that the code does not have"
        case ops.DropAttribute(attribute=name):
            return f"lacks the attribute {name}"
        case ops.RenameAttribute(old=old, new=new):
            return f"calls the attribute {old} {new}"
        case ops.AlterAttribute(before=before, after=after):
            return f"has {_definition(after)} instead of {_definition(before)}"
        case ops.OrderAttributes():
            return "has its attributes in another order"
        case ops.ChangePrimaryKey(before=before, after=after):
            has = f"has the primary key ({', '.join(after)})" if after else "has no primary key"
            return f"{has} instead of ({', '.join(before)})"
        case ops.AddForeignKey(key=key):
            return (
                f"has a foreign key ({', '.join(key.attributes)}) to {_class(key.parent)} that the code does not have"
            )
        case ops.DropForeignKey(key=key):
            return f"lacks the foreign key ({', '.join(key.attributes)}) to {_class(key.parent)}"
        case ops.AddIndex(index=index):
            return f"has {_index(index.unique)} ({', '.join(index.columns)}) that the code does not have"
        case ops.DropIndex(index=index):
            return f"lacks {_index(index.unique)} ({', '.join(index.columns)})"
        case _:
            return f"differs by {type(operation).__name__}"


def _class(name: TableName) -> str:
    return f"{name.schema}.{definition.title(name)}"


def _index(unique: bool) -> str:
    return "a unique index" if unique else "an index"


def _definition(attribute: Attribute) -> str:
    """An attribute as a line of a definition."""
    odd = attribute.nullable and attribute.default is not None  # to DataJoint, what may be null is null by default
    type_ = "(inherited)" if attribute.inherited and not attribute.type else attribute.type
    # How a type is spelled says nothing of how it is stored.
    plain = replace(attribute, type=type_, nullable=attribute.nullable and not odd, spelling="")
    line = definition.write_attribute(plain)
    return f"`{line}`{' (nullable)' * odd}"
