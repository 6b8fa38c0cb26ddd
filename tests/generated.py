"""Random pipelines, rows that they can hold, and random edits: what ``random.Random(seed)`` makes of a seed.

A pair is a case as :mod:`sources` writes it: tables before and after, rows, and the answers of the person who made the
edits. Tables, attributes and foreign keys have numbers that stay the same through the edits, so that what became of
what is known and not guessed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from random import Random
from typing import Any

#: The seeds of pairs that were once applied wrongly, or refused too late.
MENDED = (
    *(
        613,
        911,
        971,
        1175,
        1212,
        1247,
        1337,
        1350,
        1389,
        1471,
        1530,
        1686,
        1735,
        1738,
        1867,
        1973,
        1993,
        1997,
        2158,
        2203,
    ),
    *(2275, 2408, 2415, 2478, 4250, 4291, 4568, 4697, 4777, 4959, 4982, 5075, 5353, 5364, 5454, 5498, 5903, 4124, 4452),
    4506,
)

#: A column by the numbers of the foreign keys that bring it and of the attribute that it is in the end.
Path = tuple[int, ...]


class Invalid(Exception):
    """No pipeline that DataJoint declares."""


@dataclass
class Attribute:
    """An attribute that a table declares in its own right; ``like`` is a table whose key its values are taken from."""

    number: int
    name: str
    type: str
    default: str | None = None
    comment: str = ""
    like: int | None = None

    @property
    def nullable(self) -> bool:
        return self.default == "null"

    @property
    def line(self) -> str:
        default = "" if self.default is None else f" = {self.default}"
        return f"{self.name}{default} : {self.type}{'  # ' * bool(self.comment)}{self.comment}"


@dataclass
class Reference:
    """A foreign key; ``names`` are those of the parent's columns that are called otherwise here."""

    number: int
    parent: int
    names: dict[Path, str] = field(default_factory=dict)
    nullable: bool = False
    unique: bool = False


@dataclass
class Index:
    """An index over columns."""

    columns: list[Path]
    unique: bool = False


Member = Attribute | Reference


@dataclass
class Table:
    """A table; ``schema`` is a place in :data:`SCHEMAS`."""

    number: int
    schema: int
    name: str
    tier: str
    master: int | None = None
    comment: str = ""
    key: list[Member] = field(default_factory=list)
    rest: list[Member] = field(default_factory=list)
    indexes: list[Index] = field(default_factory=list)

    @property
    def members(self) -> list[Member]:
        return [*self.key, *self.rest]

    @property
    def own(self) -> list[Attribute]:
        return [member for member in self.members if isinstance(member, Attribute)]

    @property
    def references(self) -> list[Reference]:
        return [member for member in self.members if isinstance(member, Reference)]


@dataclass
class Column:
    """A column of a table; ``declared`` is the number of the attribute that it is in the end."""

    paths: list[Path]
    name: str
    type: str
    nullable: bool
    declared: int
    hops: int = 0


#: In the order in which they may refer to each other.
SCHEMAS = ("life", "work", "play")

_CLASSES = (
    "Animal Session Probe Scan Trial Unit Task Region Lab Person Rig Dose Site Field Mask Trace Spike Event "
    "Camera Video Weight Score Model Fit Cluster Channel Stimulus Reward Cohort "
    "ElectrophysiologyRecordingParameters"
)
_NAMES = (
    "weight colour name note depth angle rate score label kind started ended day stamp gain phase size place "
    "owner quality count ratio unit rank order group user level code hash power page title data details "
    "very_long_name_of_what_was_measured"
)
_WORDS = ["ash", "birch", "cedar", "elm", "fir", "larch", "maple", "oak", "pine", "rowan", "willow", "yew"]
_COMMENTS = ("", "", "", "what it is", "in µm", "it's said", "100%% sure", "of 2: (a; b)", "-> not a key", "# twice")


class Pipeline:
    """Tables and what follows from them."""

    def __init__(self) -> None:
        self.tables: list[Table] = []
        self._last = 0

    def number(self) -> int:
        self._last += 1
        return self._last

    def table(self, number: int) -> Table:
        found = next((table for table in self.tables if table.number == number), None)
        if found is None:
            raise Invalid("a foreign key leads nowhere")
        return found

    def parts(self, table: Table) -> list[Table]:
        return [part for part in self.tables if part.master == table.number]

    def children(self, table: Table) -> list[tuple[Table, Reference]]:
        return [(t, ref) for t in self.tables for ref in t.references if ref.parent == table.number]

    def below(self, table: Table) -> set[int]:
        """The table, and those that refer to it at some remove."""
        found, waiting = set[int](), [table]
        while waiting:
            one = waiting.pop()
            if one.number not in found:
                found.add(one.number)
                waiting += [child for child, _ in self.children(one)]
        return found

    def title(self, table: Table) -> str:
        return table.name if table.master is None else f"{self.table(table.master).name}.{table.name}"

    # --- Columns -----------------------------------------------------------------------------------------------------

    def key(self, table: Table) -> dict[str, Column]:
        """The columns of the primary key."""
        return self._columns(table, table.key, {})

    def columns(self, table: Table) -> dict[str, Column]:
        """The columns by name, in their order."""
        return self._columns(table, table.rest, self.key(table))

    def _columns(self, table: Table, members: list[Member], found: dict[str, Column]) -> dict[str, Column]:
        for member in members:
            if isinstance(member, Attribute):
                if member.name in found:
                    raise Invalid("two attributes of one name")
                path = (member.number,)
                found[member.name] = Column([path], member.name, member.type, member.nullable, member.number)
                continue
            parent = self.table(member.parent)
            for name, theirs in self.key(parent).items():
                name = next((member.names[path] for path in theirs.paths if path in member.names), name)
                paths = [(member.number, *path) for path in theirs.paths]
                known = found.get(name)
                if known is None:
                    hops = theirs.hops + (parent.schema != table.schema)
                    found[name] = Column(paths, name, theirs.type, member.nullable, theirs.declared, hops)
                elif known.declared != theirs.declared or len(known.paths[0]) == 1:
                    raise Invalid("two attributes of one name")
                else:
                    known.paths += paths
        return found

    def named(self, table: Table, path: Path) -> str:
        """What a column is called now."""
        for column in self.columns(table).values():
            if path in column.paths:
                return column.name
        raise Invalid("an index over what is not there")

    # --- What DataJoint takes ----------------------------------------------------------------------------------------

    def order(self) -> list[Table]:
        """The tables, parents and masters first; of the schemas in their order."""
        above = {(table.master or table.number): set[int]() for table in self.tables}
        for table in self.tables:
            own = table.master or table.number
            above[own] |= {self.table(ref.parent).master or ref.parent for ref in table.references} - {own}
        try:
            order = list(TopologicalSorter(above).static_order())
        except CycleError:
            raise Invalid("a circle") from None
        masters = sorted((self.table(number) for number in order), key=lambda table: table.schema)
        return [table for master in masters for table in (master, *self.parts(master))]

    def check(self) -> None:
        """Raise :class:`Invalid` where this is no pipeline."""
        self.order()
        names = [self.title(table).lower() for table in self.tables]
        if len(set(names)) < len(names) or not self.tables:
            raise Invalid("two tables of one name")
        for table in self.tables:
            self._check(table)

    def _check(self, table: Table) -> None:
        key, columns = self.key(table), self.columns(table)
        if not key or len(key) > 16 or len(columns) > 24:  # MySQL takes no key of more than 16 parts
            raise Invalid("no key, or too much")
        if any(column.type.startswith(("<", "json", "bytes", "float")) or column.nullable for column in key.values()):
            raise Invalid("not for a primary key")
        # DataJoint does not write a percent sign twice when it takes over a parent's comment (2.3.5).
        if any("%" in member.comment for member in table.key if isinstance(member, Attribute)):
            raise Invalid("a percent sign in a comment that children inherit")
        # DataJoint looks for the type of a parent's enum in the parent's schema (2.3.5).
        if any(
            column.type.startswith("enum") and column.hops and len(column.paths[0]) > 2 for column in columns.values()
        ):
            raise Invalid("an enum from two schemas away")
        if table.tier in ("Imported", "Computed") and any(isinstance(member, Attribute) for member in table.key):
            raise Invalid("a key of its own in a table that is populated")
        if any(isinstance(member, Reference) and member.nullable for member in table.key):
            raise Invalid("a key that may be null")
        for ref in table.references:
            parent = self.table(ref.parent)
            if parent.schema > table.schema or parent.number == table.number:
                raise Invalid("the schemas lead in a circle")
            if parent.master is not None and parent.master == table.master:
                raise Invalid("a part of its sister")
            if set(ref.names.values()) & set(self.columns(parent)) or len({*self._names(ref)}) < len(self.key(parent)):
                raise Invalid("a projection that has a name twice")
        refs = [(ref.parent, tuple(sorted(self._names(ref)))) for ref in table.references]
        if len(set(refs)) < len(refs):
            raise Invalid("one foreign key twice")
        indexes = [tuple(self.named(table, path) for path in index.columns) for index in table.indexes]
        unique = [tuple(self._names(ref)) for ref in table.references if ref.unique]
        keys = {tuple(self._names(ref)) for ref in table.references}
        if len({*indexes, *unique}) < len(indexes) + len(unique):
            raise Invalid("one index twice")
        if len({self._index_name(table, names) for names in {*indexes, *keys}}) < len({*indexes, *keys}):
            raise Invalid("two indexes of one name")
        for names in indexes:
            if len(set(names)) < len(names) or any(not indexable(columns[name].type) for name in names):
                raise Invalid("not for an index")
        for names in (tuple(key), *indexes, *keys):
            if sum(_bytes(columns[name].type) for name in names) > 3072:
                raise Invalid("longer than an index of MySQL may be")
        if table.master is not None:
            master = self.table(table.master)
            first = table.key[0] if table.key else None
            if (
                not isinstance(first, Reference)
                or first.parent != master.number
                or first.names
                or master.schema != table.schema
            ):
                raise Invalid("a part that is not its master's")

    def _index_name(self, table: Table, names: tuple[str, ...]) -> str:
        """What DataJoint calls an index of PostgreSQL, at most."""
        words = re.sub(r"(?<!^)(?=[A-Z])", "_", self.title(table).replace(".", "__")).lower()
        return f"idx_##{words}_{'_'.join(names)[:30]}"[:63]

    def _names(self, ref: Reference) -> Iterator[str]:
        for name, column in self.key(self.table(ref.parent)).items():
            yield next((ref.names[path] for path in column.paths if path in ref.names), name)

    # --- As a case ---------------------------------------------------------------------------------------------------

    def source(self) -> list[dict[str, Any]]:
        """The tables as :mod:`sources` takes them."""
        found: dict[int, dict[str, Any]] = {}
        for table in self.order():
            entry = {"name": table.name, "tier": table.tier, "definition": self.definition(table)}
            if table.master is None:
                found[table.number] = {"schema": SCHEMAS[table.schema], **entry, "parts": []}
            else:
                found[table.master]["parts"].append(entry)
        return list(found.values())

    def definition(self, table: Table) -> str:
        lines = [f"# {table.comment}"] if table.comment else []
        lines += [self._line(table, member) for member in table.key]
        lines += ["---"]
        lines += [self._line(table, member) for member in table.rest]
        for index in table.indexes:
            names = ", ".join(self.named(table, path) for path in index.columns)
            lines.append(f"{'unique ' * index.unique}index ({names})")
        return "\n".join(lines)

    def _line(self, table: Table, member: Member) -> str:
        if isinstance(member, Attribute):
            return member.line
        options = [word for word, said in (("nullable", member.nullable), ("unique", member.unique)) if said]
        parent = self.table(member.parent)
        renamed = [
            f'{member.names[path]}="{column.name}"'
            for column in self.key(parent).values()
            for path in column.paths
            if path in member.names
        ]
        before = f"[{', '.join(options)}] " if options else ""
        after = f".proj({', '.join(renamed)})" if renamed else ""
        return f"-> {before}{'master' if member.parent == table.master else self.title(parent)}{after}"


def indexable(type_: str) -> bool:
    """Whether an index may hold values of a type that two servers compare alike."""
    return not type_.startswith(("<", "json", "bytes", "float"))


# --- Types and values ------------------------------------------------------------------------------------------------


def _bytes(type_: str) -> int:
    """How much of an index a type takes on MySQL, at most."""
    size = re.match(r"(?:var)?char\((\d+)\)", type_)
    return 4 * int(size[1]) if size else 16


def any_type(random: Random, *, key: bool = False) -> str:
    """Some core type."""
    whole = ["int8", "int16", "int32", "int32", "int64", "bool", "uuid", "date", "datetime", "decimal(8,2)"]
    more = ["varchar(16)", "varchar(64)", "char(8)", "enum", "datetime(3)"]
    rest = ["float32", "float64", "json", "bytes", "<blob>", "varchar(300)", "varchar(20)", "decimal(5,0)"]
    found = random.choice([*whole, *more] if key else [*whole, *more, *rest])
    return any_enum(random) if found == "enum" else found


def any_enum(random: Random) -> str:
    return enum(random.sample(_WORDS, random.randint(2, 4)))


def enum(values: list[str]) -> str:
    return "enum(" + ", ".join(f"'{value}'" for value in values) + ")"


def labels(type_: str) -> list[str]:
    """The values of an enum."""
    return [value.strip().strip("'") for value in type_[5:-1].split(",")]


def any_default(random: Random, type_: str) -> str | None:
    """A default of a type, as a definition writes it; None where it can have none."""
    match type_.partition("(")[0]:
        case "json" | "bytes" | "<blob>" | "uuid":
            return None
        case "varchar" | "char":
            return random.choice(['""', '"none"', '"a b"'])
        case "enum":
            return f'"{random.choice(labels(type_))}"'
        case "date":
            return '"2020-02-29"'
        case "datetime" if type_ == "datetime" and random.random() < 0.4:
            return "CURRENT_TIMESTAMP"
        case "datetime":
            return '"2020-02-29 12:30:00"'
        case "bool":
            return random.choice(["0", "1"])
        case "float32" | "float64":
            return random.choice(["0", "0.5", "-1.25"])
        case "decimal":
            return random.choice(["0", "1", "-7"])
        case _:
            return random.choice(["0", "1", "-1", "100"])


def any_fill(random: Random, type_: str) -> str | None:
    """A value of a type as a person says it; None where nobody could."""
    match any_value(random, type_, key=True):
        case {"$str": text} | {"$uuid": text}:
            return str(text)
        case bool() | int() | float() | str() as value if not type_.startswith("<"):
            return str(int(value) if isinstance(value, bool) else value)
    return None


def any_value(random: Random, type_: str, *, key: bool = False) -> Any:
    """A value of a type, as JSON; for a key one that every server tells from the others."""
    head, size = type_.partition("(")[0], type_.partition("(")[2].rstrip(")")
    match head:
        case "int8" | "int16" | "int32" | "int64":
            limit = 2 ** (int(head[3:]) - 1)
            return random.choice([0, 1, 2, 3, 7, 40, 100, -1, -limit, limit - 1] if not key else [*range(40)])
        case "bool":
            return random.random() < 0.5
        case "float32":
            return random.choice([0.0, 0.5, -1.25, 3.0, 1024.0, 2.5e10])
        case "float64":
            return random.choice([0.0, 0.5, -1.25, 3.0, 0.1, 1e100, 123456.789])
        case "decimal":
            digits, scale = map(int, size.split(","))
            whole = random.randint(0, 10 ** min(digits - scale, 4) - 1)
            return {"$str": f"{whole}.{random.randint(0, 10**scale - 1):0{scale}}" if scale else str(whole)}
        case "uuid":
            return {"$uuid": f"{random.getrandbits(128):032x}"}
        case "date":
            return f"20{random.randint(10, 30)}-0{random.randint(1, 9)}-1{random.randint(0, 9)}"
        case "datetime":
            fraction = f".{random.randint(1, 999):03}" if size and random.random() < 0.7 else ""
            clock = f"0{random.randint(0, 9)}:{random.randint(10, 59)}:{random.randint(10, 59)}"
            return f"20{random.randint(10, 30)}-0{random.randint(1, 9)}-1{random.randint(0, 9)} {clock}{fraction}"
        case "enum":
            return random.choice(labels(type_))
        case "varchar" | "char":
            return _text(random, int(size), key)
        case "json":
            return random.choice([{"a": 1}, {"b": [1, 2], "c": None}, [1, "x"], {}])
        case "bytes":
            return {"$bytes": random.choice(["", "00ff10", "6d596d00"])}
    return random.choice([{"a": 1}, [1, 2, 3], {"$array": [1.5, 2.5]}, "text"])


def _text(random: Random, size: int, key: bool) -> str:
    word = random.choice(_WORDS)
    if key:
        return f"{word}{random.randint(0, 9)}"[:size]
    special = ["", "it's", "ä → ß", 'a "b"', "50%", "back\\slash", "12", "x" * size, "NULL"]
    return random.choice([word, word, *special])[:size].rstrip()


# --- A pipeline ------------------------------------------------------------------------------------------------------


class Maker:
    """Makes a pipeline, and what edits need of new things."""

    def __init__(self, random: Random, pipeline: Pipeline) -> None:
        self.random, self.pipeline = random, pipeline

    def chance(self, share: float) -> bool:
        return self.random.random() < share

    def class_name(self) -> str:
        taken = {table.name for table in self.pipeline.tables}
        return self.random.choice([name for name in _CLASSES.split() if name not in taken])

    def name(self, table: Table) -> str:
        taken = set(self.pipeline.columns(table))
        return self.random.choice([name for name in _NAMES.split() if name not in taken])

    def comment(self) -> str:
        return self.random.choice(_COMMENTS)

    def attribute(self, table: Table, *, required: bool = False) -> Attribute:
        type_ = any_type(self.random)
        default = self.random.choice([None, "null", "null", any_default(self.random, type_)])
        default = None if required else default
        return Attribute(self.pipeline.number(), self.name(table), type_, default, self.comment())

    def key_attribute(self, table: Table) -> Attribute:
        name = f"{table.name.lower()[:24]}_{self.random.choice(['id', 'no', 'name', 'key'])}"
        if name in self.pipeline.columns(table):
            name = self.name(table)
        return Attribute(self.pipeline.number(), name, any_type(self.random, key=True), None, self.comment())

    def reference(self, table: Table, *, key: bool = False) -> Reference | None:
        """A foreign key to some table that may be a parent."""
        random, pipeline = self.random, self.pipeline
        below = pipeline.below(table)
        possible = [t for t in pipeline.tables if t.schema <= table.schema and t.number not in below]
        if not possible:
            return None
        parent = random.choice(possible)
        nullable = not key and self.chance(0.4)
        made = Reference(pipeline.number(), parent.number, {}, nullable, self.chance(0.1))
        known = pipeline.columns(table)
        for name, column in pipeline.key(parent).items():
            if (name in known and (known[name].declared != column.declared or self.chance(0.5))) or self.chance(0.2):
                made.names[column.paths[0]] = f"{self.random.choice(['my', 'other', 'first'])}_{name}"[:60]
        return made

    def table(self, schema: int) -> Table:
        """A new table, in the pipeline already."""
        random, pipeline = self.random, self.pipeline
        tier = random.choice(["Manual", "Manual", "Manual", "Lookup", "Imported", "Computed"])
        made = Table(pipeline.number(), schema, self.class_name(), tier, comment=self.comment())
        pipeline.tables.append(made)
        populated = tier in ("Imported", "Computed")
        for _ in range(random.choice([0, 1, 1, 1, 2]) + populated):
            self._put(made, made.key, self.reference(made, key=True))
        if not made.key and populated:
            made.tier, populated = "Manual", False
        if not populated:
            for _ in range(random.choice([0, 1, 1] if made.key else [1, 1, 2])):
                self._put(made, made.key, self.key_attribute(made))
        self.fill(made)
        return made

    def part(self, master: Table) -> Table:
        made = Table(self.pipeline.number(), master.schema, self.class_name(), "Part", master.number, self.comment())
        self.pipeline.tables.append(made)
        made.key.append(Reference(self.pipeline.number(), master.number))
        if self.chance(0.8):
            self._put(made, made.key, self.key_attribute(made))
        if self.chance(0.3):
            self._put(made, made.key, self.reference(made, key=True))
        self.fill(made)
        return made

    def fill(self, table: Table) -> None:
        """Give a table attributes, foreign keys and indexes beside its key."""
        for _ in range(self.random.randint(0, 4)):
            self._put(table, table.rest, self.attribute(table))
        for _ in range(self.random.choice([0, 0, 1, 2])):
            self._put(table, table.rest, self.reference(table), anywhere=True)
        if self.chance(0.15):
            self._put(table, table.rest, self.loose(table))
        for _ in range(self.random.choice([0, 0, 0, 1, 2])):
            self.index(table)

    def loose(self, table: Table) -> Attribute | None:
        """An attribute with the values of another table's key and no foreign key."""
        possible = [
            (other, column)
            for other in self.pipeline.tables
            if other.schema <= table.schema and other is not table and len(self.pipeline.key(other)) == 1
            for column in self.pipeline.key(other).values()
        ]
        if not possible:
            return None
        other, column = self.random.choice(possible)
        return Attribute(self.pipeline.number(), self.name(table), column.type, None, self.comment(), other.number)

    def index(self, table: Table) -> None:
        columns = [c for c in self.pipeline.columns(table).values() if indexable(c.type)]
        if columns:
            chosen = self.random.sample(columns, min(len(columns), self.random.choice([1, 1, 2])))
            made = Index([column.paths[0] for column in chosen], self.chance(0.3))
            table.indexes.append(made)
            if not self.sound():
                table.indexes.remove(made)

    def _put(self, table: Table, members: list[Member], made: Member | None, *, anywhere: bool = False) -> None:
        if made is not None:
            members.insert(self.random.randint(0, len(members)) if anywhere else len(members), made)
            if not self.sound(table):
                members.remove(made)

    def sound(self, *unfinished: Table) -> bool:
        """Whether this is a pipeline; a table that is being made may still lack its key."""
        try:
            if any(not table.key for table in unfinished):
                return True
            self.pipeline.check()
        except Invalid:
            return False
        return True


def pipeline(random: Random) -> Pipeline:
    """A pipeline of 3 to 8 tables in 1 to 3 schemas."""
    while True:
        made = Pipeline()
        maker, schemas = Maker(random, made), random.randint(1, 3)
        size = random.randint(3, 8)
        for number in range(size):
            schema = min(schemas - 1, number * schemas // size)
            masters = [t for t in made.tables if t.master is None and t.schema == schema]
            if masters and random.random() < 0.25:
                maker.part(random.choice(masters))
            else:
                maker.table(schema)
        if maker.sound():
            return made


# --- Rows ------------------------------------------------------------------------------------------------------------


def rows(random: Random, made: Pipeline) -> dict[int, list[dict[str, Any]]]:
    """Rows of each table that fit its keys and unique indexes, and their parents'."""
    found: dict[int, list[dict[str, Any]]] = {}
    for table in made.order():
        found[table.number] = []
        rules = [list(made.key(table))]
        rules += [[made.named(table, path) for path in index.columns] for index in table.indexes if index.unique]
        rules += [list(made._names(ref)) for ref in table.references if ref.unique]
        seen: list[set[str]] = [set() for _ in rules]
        for _ in range(random.choice([0, 1, 2, 3, 3, 4, 5])):
            for _ in range(8):
                row = _row(random, made, table, found)
                if row is None:
                    continue
                marks = [None if None in (v := [row[n] for n in names]) else json.dumps(v) for names in rules]
                if not any(mark in known for mark, known in zip(marks, seen, strict=True)):
                    for mark, known in zip(marks, seen, strict=True):
                        known |= {mark} - {None}
                    found[table.number].append(row)
                    break
    return found


def _row(random: Random, made: Pipeline, table: Table, found: dict[int, list[dict[str, Any]]]) -> dict[str, Any] | None:
    row: dict[str, Any] = {}
    for member in table.members:
        if isinstance(member, Attribute):
            row[member.name] = _cell(random, made, table, member, found)
            continue
        pairs = dict(zip(made._names(member), made.key(made.table(member.parent)), strict=True))
        known = [(name, theirs) for name, theirs in pairs.items() if name in row]
        fits = [p for p in found[member.parent] if all(row[name] == p[theirs] for name, theirs in known)]
        # A foreign key holds as soon as one of its columns is null.
        free = {name: None for name in pairs if name not in row}
        if any(row[name] is None for name, _ in known):
            types = made.key(made.table(member.parent))
            row |= {n: None if member.nullable else any_value(random, types[pairs[n]].type, key=True) for n in free}
        elif member.nullable and free and (not fits or random.random() < 0.3):
            row |= free
        elif fits:
            parent = random.choice(fits)
            row |= {name: parent[theirs] for name, theirs in pairs.items()}
        else:
            return None
    return row


def _cell(random: Random, made: Pipeline, table: Table, own: Attribute, found: dict[int, list[dict[str, Any]]]) -> Any:
    if own.nullable and random.random() < 0.3:
        return None
    if own.like is not None and found.get(own.like):
        name = next(iter(made.key(made.table(own.like))))
        return random.choice(found[own.like])[name]
    special = [index for index in table.indexes if index.unique and (own.number,) in index.columns]
    return any_value(random, own.type, key=own in table.key or bool(special))


# --- A pair ----------------------------------------------------------------------------------------------------------


def pair(seed: int) -> dict[str, Any]:
    """The case of a seed."""
    from generated_edits import Editor

    random = Random(seed)
    before = pipeline(random)
    held = rows(random, before)
    editor = Editor(random, deepcopy(before))
    edits = editor.edit(random.choice([1, 1, 2, 2, 3, 4, 5]))
    after = editor.pipeline
    return {
        "id": str(seed),
        "before": before.source(),
        "after": after.source(),
        "rows": [[before.title(table), held[table.number]] for table in before.order()],
        "edits": edits,
        "answers": answers(random, before, after),
    }


def answers(random: Random, before: Pipeline, after: Pipeline) -> dict[str, list[Any]]:
    """What the person says who made the edits: other names of tables and attributes, and values for rows that have none."""
    tables, attributes, fills, follows = [], [], [], []
    for new in after.tables:
        old = next((table for table in before.tables if table.number == new.number), None)
        if old is None:
            continue
        was, now = [(SCHEMAS[t.schema], of.title(t)) for t, of in ((old, before), (new, after))]
        if was != now and (new.master is None or old.name != new.name):
            tables.append([was, now])
        known = {attribute.number: attribute for attribute in old.own}
        for attribute in new.own:
            before_it = known.get(attribute.number)
            if before_it is not None and before_it.name != attribute.name:
                attributes.append([now, before_it.name, attribute.name])
            asked = attribute.default is None and (before_it is None or before_it.nullable)
            if asked and random.random() < 0.7 and (value := any_fill(random, attribute.type)) is not None:
                fills.append([now, attribute.name, value])
        follows += [[now, *names] for names in _followed(before.columns(old), after.columns(new))]
    return {"tables": tables, "attributes": attributes, "fills": fills, "follows": follows}


def _followed(was: dict[str, Column], now: dict[str, Column]) -> Iterator[tuple[str, str]]:
    """Columns that foreign keys bring and that are called otherwise afterwards: both names."""
    come = {name: column for name, column in now.items() if name not in was}
    for name, column in was.items():
        if name not in now and len(column.paths[0]) > 1:
            new = next((n for n, c in come.items() if not set(c.paths).isdisjoint(column.paths)), None)
            if new is not None:
                del come[new]
                yield name, new
