"""Random edits of a pipeline, as people make them: one after the other, each of them leaving a pipeline."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from random import Random

from generated import (
    SCHEMAS,
    Attribute,
    Index,
    Invalid,
    Maker,
    Member,
    Pipeline,
    Reference,
    Table,
    any_default,
    any_value,
    enum,
    indexable,
    labels,
)

#: Types that people change a type to, by what it begins with.
_RETYPED = {
    "int": ["int8", "int16", "int32", "int64", "int64", "float64", "varchar(20)", "decimal(12,2)"],
    "bool": ["int8", "int32"],
    "float32": ["float64", "decimal(20,6)"],
    "float64": ["float32", "int32", "varchar(40)"],
    "decimal(8,2)": ["decimal(10,2)", "decimal(8,3)", "decimal(8,1)", "float64"],
    "decimal(5,0)": ["decimal(8,2)", "int32"],
    "varchar": ["varchar(8)", "varchar(32)", "varchar(128)", "varchar(400)", "char(40)", "int32"],
    "char": ["char(12)", "varchar(16)", "char(4)"],
    "enum": ["varchar(24)"],
    "uuid": ["varchar(36)", "char(36)"],
    "date": ["datetime", "varchar(10)"],
    "datetime": ["datetime(6)", "datetime(3)", "datetime", "date", "varchar(32)"],
    "json": ["varchar(200)"],
    "bytes": ["<blob>"],
    "<blob>": ["bytes"],
}


class Editor:
    """Edits a pipeline."""

    def __init__(self, random: Random, pipeline: Pipeline) -> None:
        self.random, self.pipeline = random, pipeline

    @property
    def maker(self) -> Maker:
        return Maker(self.random, self.pipeline)

    def edit(self, number: int) -> list[str]:
        """Make a number of edits; what they are called. Together they change something."""
        done: list[str] = []
        begin = self.pipeline.source()
        while len(done) < number or self.pipeline.source() == begin:
            edit = self.random.choices(list(EDITS), [weight for _, weight in EDITS.values()])[0]
            kept, was = deepcopy(self.pipeline), self.pipeline.source()
            try:
                EDITS[edit][0](self)
                self.pipeline.check()
            except (Invalid, IndexError):  # there is nothing to do this to
                self.pipeline = kept
                continue
            if self.pipeline.source() == was:
                continue
            done.append(edit)
        return done

    # --- Choices -----------------------------------------------------------------------------------------------------

    def chance(self, share: float) -> bool:
        return self.random.random() < share

    def any_table(self) -> Table:
        return self.random.choice(self.pipeline.tables)

    def any_own(self, *, key: bool | None = None, type_: str = "") -> tuple[Table, Attribute]:
        """Some attribute that a table declares."""
        return self.random.choice(
            [
                (table, member)
                for table in self.pipeline.tables
                for members in ([table.key] if key else [table.rest] if key is not None else [table.key, table.rest])
                for member in members
                if isinstance(member, Attribute) and member.type.startswith(type_)
            ]
        )

    def any_reference(self, *, key: bool | None = None) -> tuple[Table, Reference]:
        """Some foreign key but those of parts to their masters."""
        return self.random.choice(
            [
                (table, member)
                for table in self.pipeline.tables
                for members in ([table.key] if key else [table.rest] if key is not None else [table.key, table.rest])
                for member in members
                if isinstance(member, Reference) and member.parent != table.master
            ]
        )

    def put(self, members: list[Member], made: Member | None) -> None:
        if made is None:
            raise Invalid("no parent")
        members.insert(self.random.randint(0, len(members)), made)

    def remove(self, table: Table, member: Member) -> None:
        """Take a member away, and the indexes over it."""
        (table.key if member in table.key else table.rest).remove(member)
        for other in self.pipeline.tables:
            other.indexes = [i for i in other.indexes if all(self._there(other, path) for path in i.columns)]

    def _there(self, table: Table, path: tuple[int, ...]) -> bool:
        return any(path in column.paths for column in self.pipeline.columns(table).values())

    # --- Attributes --------------------------------------------------------------------------------------------------

    def add_attribute(self) -> None:
        table = self.any_table()
        self.put(table.rest, self.maker.attribute(table))

    def add_required_attribute(self) -> None:
        table = self.any_table()
        self.put(table.rest, self.maker.attribute(table, required=True))

    def drop_attribute(self) -> None:
        self.remove(*self.any_own(key=False))

    def rename_attribute(self) -> None:
        table, own = self.any_own(key=False)
        own.name = self.maker.name(table)

    def retype_attribute(self) -> None:
        self._retype(self.any_own(key=False)[1])

    def _retype(self, own: Attribute) -> None:
        head = next((head for head in sorted(_RETYPED, key=len, reverse=True) if own.type.startswith(head)), None)
        if head is None:
            raise Invalid("no other type")
        own.type = self.random.choice(_RETYPED[head])
        if own.default not in (None, "null"):
            own.default = any_default(self.random, own.type)

    def change_nullability(self) -> None:
        _, own = self.any_own(key=False)
        own.default = self.random.choice([None, any_default(self.random, own.type)]) if own.nullable else "null"

    def change_default(self) -> None:
        _, own = self.any_own(key=False)
        own.default = None if own.default and self.chance(0.3) else any_default(self.random, own.type)

    def change_comment(self) -> None:
        _, own = self.any_own()
        own.comment = self.maker.comment()

    def change_table_comment(self) -> None:
        self.any_table().comment = self.maker.comment()

    def reorder(self) -> None:
        table = self.any_table()
        member = self.random.choice(table.rest)
        table.rest.remove(member)
        self.put(table.rest, member)

    def change_enum(self) -> None:
        _, own = self.any_own(type_="enum")
        values = labels(own.type)
        match self.random.choice(["add", "add", "remove", "shuffle", "replace"]):
            case "add":
                values.insert(self.random.randint(0, len(values)), any_value(self.random, "varchar(16)", key=True))
            case "remove":
                values.remove(self.random.choice(values))
            case "shuffle":
                self.random.shuffle(values)
            case "replace":
                values[self.random.randrange(len(values))] = any_value(self.random, "varchar(16)", key=True)
        if not values or len(set(values)) < len(values):
            raise Invalid("no enum")
        own.type = enum(values)
        if own.default not in (None, "null") and own.default.strip('"') not in values:
            own.default = any_default(self.random, own.type)

    # --- Foreign keys and indexes ------------------------------------------------------------------------------------

    def add_reference(self) -> None:
        table = self.any_table()
        self.put(table.rest, self.maker.reference(table))

    def tie_attribute(self) -> None:
        """Let an attribute that has a parent's values be a foreign key."""
        table, own = self.random.choice(
            [(table, own) for table in self.pipeline.tables for own in table.own if own.like and own in table.rest]
        )
        parent = self.pipeline.table(own.like or 0)
        columns = [*self.pipeline.key(parent).values()]
        if len(columns) != 1:
            raise Invalid("the parent has another key by now")
        (column,) = columns
        names = {} if column.name == own.name else {column.paths[0]: own.name}
        table.rest[table.rest.index(own)] = Reference(self.pipeline.number(), parent.number, names, own.nullable)
        self._forget_lost(table)

    def untie_reference(self) -> None:
        """Let the attributes of a foreign key be plain ones."""
        table, ref = self.any_reference(key=False)
        before = self.pipeline.columns(table)
        mine = [c for c in before.values() if c.paths[0][0] == ref.number]
        place = table.rest.index(ref)
        default = "null" if ref.nullable else None
        plain = [Attribute(self.pipeline.number(), c.name, c.type, default) for c in mine]
        table.rest[place : place + 1] = plain
        self._forget_lost(table)

    def _forget_lost(self, table: Table) -> None:
        table.indexes = [i for i in table.indexes if all(self._there(table, path) for path in i.columns)]

    def drop_reference(self) -> None:
        self.remove(*self.any_reference(key=False))

    def change_reference(self) -> None:
        _, ref = self.any_reference(key=False)
        if self.chance(0.7):
            ref.nullable = not ref.nullable
        else:
            ref.unique = not ref.unique

    def rename_reference(self) -> None:
        """Call a column of a foreign key otherwise."""
        _, ref = self.any_reference()
        column = self.random.choice([*self.pipeline.key(self.pipeline.table(ref.parent)).values()])
        if column.paths[0] in ref.names and self.chance(0.5):
            del ref.names[column.paths[0]]
        else:
            ref.names[column.paths[0]] = f"{self.random.choice(['this', 'that'])}_{column.name}"[:60]

    def add_index(self) -> None:
        table = self.any_table()
        columns = [c for c in self.pipeline.columns(table).values() if indexable(c.type)]
        chosen = self.random.sample(columns, min(len(columns), self.random.choice([1, 1, 2])))
        table.indexes.append(Index([column.paths[0] for column in chosen], self.chance(0.3)))

    def drop_index(self) -> None:
        table = self.random.choice([table for table in self.pipeline.tables if table.indexes])
        table.indexes.remove(self.random.choice(table.indexes))

    def change_index(self) -> None:
        table = self.random.choice([table for table in self.pipeline.tables if table.indexes])
        index = self.random.choice(table.indexes)
        index.unique = not index.unique

    # --- Primary keys ------------------------------------------------------------------------------------------------

    def add_key_attribute(self) -> None:
        table = self.any_table()
        table.key.append(self.maker.key_attribute(table))

    def add_key_reference(self) -> None:
        table = self.any_table()
        made = self.maker.reference(table, key=True)
        if made is not None:
            table.key.append(made)

    def drop_key_member(self) -> None:
        table = self.any_table()
        self.remove(table, self.random.choice(table.key[1:] if table.master is not None else table.key))

    def rename_key_attribute(self) -> None:
        table, own = self.any_own(key=True)
        own.name = self.maker.name(table)

    def retype_key_attribute(self) -> None:
        self._retype(self.any_own(key=True)[1])

    def demote(self) -> None:
        """Let a member of the key be none."""
        table = self.any_table()
        member = self.random.choice(table.key[1:] if table.master is not None else table.key)
        table.key.remove(member)
        table.rest.insert(0, member)

    def promote(self) -> None:
        table = self.any_table()
        member = self.random.choice(table.rest)
        table.rest.remove(member)
        table.key.append(member)

    # --- Tables ------------------------------------------------------------------------------------------------------

    def add_table(self) -> None:
        schema = self.any_table().schema
        if self.chance(0.1):
            schema = min(schema + 1, len(SCHEMAS) - 1)
        self.maker.table(schema)

    def add_part(self) -> None:
        self.maker.part(self.random.choice([table for table in self.pipeline.tables if table.master is None]))

    def drop_table(self) -> None:
        """Drop a table with its parts; foreign keys that lead there go too."""
        table = self.any_table()
        gone = [table, *self.pipeline.parts(table)]
        for one in gone:
            for child, ref in self.pipeline.children(one):
                if child not in gone:
                    self.remove(child, ref)
        self.pipeline.tables = [other for other in self.pipeline.tables if other not in gone]

    def rename_table(self) -> None:
        self.any_table().name = self.maker.class_name()

    def change_tier(self) -> None:
        table = self.random.choice([table for table in self.pipeline.tables if table.master is None])
        table.tier = self.random.choice(["Manual", "Lookup", "Imported", "Computed"])

    def move_table(self) -> None:
        table = self.random.choice([table for table in self.pipeline.tables if table.master is None])
        schema = self.random.randrange(len(SCHEMAS))
        for one in (table, *self.pipeline.parts(table)):
            one.schema = schema


#: The edits, and how often people make them.
EDITS: dict[str, tuple[Callable[[Editor], None], int]] = {
    "add attribute": (Editor.add_attribute, 10),
    "add required attribute": (Editor.add_required_attribute, 6),
    "drop attribute": (Editor.drop_attribute, 7),
    "rename attribute": (Editor.rename_attribute, 7),
    "retype attribute": (Editor.retype_attribute, 9),
    "change nullability": (Editor.change_nullability, 6),
    "change default": (Editor.change_default, 5),
    "change comment": (Editor.change_comment, 3),
    "change table comment": (Editor.change_table_comment, 2),
    "reorder": (Editor.reorder, 5),
    "change enum": (Editor.change_enum, 6),
    "add foreign key": (Editor.add_reference, 7),
    "tie attribute": (Editor.tie_attribute, 4),
    "untie foreign key": (Editor.untie_reference, 4),
    "drop foreign key": (Editor.drop_reference, 4),
    "change foreign key": (Editor.change_reference, 5),
    "rename in foreign key": (Editor.rename_reference, 4),
    "add index": (Editor.add_index, 5),
    "drop index": (Editor.drop_index, 3),
    "change index": (Editor.change_index, 2),
    "add to key": (Editor.add_key_attribute, 4),
    "add foreign key to key": (Editor.add_key_reference, 3),
    "drop from key": (Editor.drop_key_member, 3),
    "rename in key": (Editor.rename_key_attribute, 5),
    "retype in key": (Editor.retype_key_attribute, 5),
    "take from key": (Editor.demote, 2),
    "put into key": (Editor.promote, 2),
    "add table": (Editor.add_table, 5),
    "add part": (Editor.add_part, 4),
    "drop table": (Editor.drop_table, 4),
    "rename table": (Editor.rename_table, 6),
    "change tier": (Editor.change_tier, 4),
    "move table": (Editor.move_table, 4),
}
