"""Tables as text that a scientist reads, in the words of DataJoint's definitions, and back.

Snapshots and migration files are made of it. Unlike a definition in a class it needs nothing else to be understood:
what a foreign key brings stands among the attributes, without a type.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache, cached_property
from typing import Union

from ..errors import PipelineError
from . import notation
from .model import TIERS, Attribute, ForeignKey, Index, Table, TableName, table_name

_INDENT = "    "

More = Union["Titles", Callable[[], "Titles"], None]


class Titles:
    """The names that the tables of a pipeline have in its code.

    Parameters
    ----------
    names : iterable of TableName
        Every table that may be spoken of.
    more : Titles or callable, optional
        Where to look for a table that is not among them, or what gives that when it is needed.
    """

    def __init__(self, names: Iterable[TableName] = (), more: More = None) -> None:
        self._names: dict[str, list[TableName]] = {}
        self._titles: dict[str, dict[str, set[TableName]]] = {}  # of the schemas that were asked for
        self._later = more
        for name in names:
            self._names.setdefault(name.schema, []).append(name)

    def add(self, name: TableName) -> None:
        """Add one more table."""
        self._names.setdefault(name.schema, []).append(name)
        if name.schema in self._titles:
            self._titles[name.schema].setdefault(title(name), set()).add(name)

    @cached_property
    def _more(self) -> Titles | None:
        return self._later() if callable(self._later) else self._later

    def _called(self, schema: str, text: str) -> set[TableName]:
        if schema not in self._titles:
            found = self._titles[schema] = {}
            for name in self._names.get(schema, ()):
                found.setdefault(title(name), set()).add(name)
        return self._titles[schema].get(text, set())

    def of(self, name: TableName, here: str = "") -> str:
        """Give the name of a table as code within the schema ``here`` writes it: ``Recording``, ``session.Session``;
        the server's name where the class alone would be ambiguous.
        """
        text = title(name)
        found = self._called(name.schema, text)
        if name not in found and self._more is not None:
            return self._more.of(name, here)
        if found != {name}:
            text = name.table
        return text if name.schema == here else f"{name.schema}.{text}"

    def find(self, text: str, here: str = "") -> TableName:
        """Find a table by the name that code within the schema ``here`` gives it.

        Raises
        ------
        PipelineError
            If there is none.
        """
        head, dot, _ = text.partition(".")
        schema, _, name = text.partition(".") if dot and self._knows(head) else (here, "", text)
        if not name[:1].isupper():
            return TableName(schema, name)
        found = self._called(schema, name)
        if not found and self._more is not None:
            return self._more.find(text, here)
        if len(found) != 1:
            why = "Its class alone does not tell which: " + ", ".join(sorted(n.table for n in found))
            raise PipelineError(
                f"There is no table {text}{'' if '.' in text or not here else f' in {here}'}.",
                why if found else f"At this point {schema or 'the pipeline'} has {self._listed(schema)}.",
                "Write the class as the code has it, with its schema if that is another: session.Session.",
            )
        return next(iter(found))

    def everywhere(self, text: str) -> list[TableName]:
        """Find every table that a class, or a name on the server, may mean, with or without its schema."""
        head, _, rest = text.partition(".")
        names = {name for found in self._names.values() for name in found}
        if self._knows(head):
            return sorted((n for n in names if n.schema == head and rest in (title(n), n.table)), key=str)
        return sorted((n for n in names if text in (title(n), n.table)), key=str)

    def _knows(self, schema: str) -> bool:
        return schema in self._names or (self._more is not None and self._more._knows(schema))

    def _listed(self, schema: str) -> str:
        return ", ".join(sorted({title(name) for name in self._names.get(schema, ())})) or "none"


@cache
def title(name: TableName) -> str:
    """Give the name of a table's class."""
    return name.title


# --- Attributes --------------------------------------------------------------------------------------------------


def write_attribute(attribute: Attribute) -> str:
    """Write an attribute as a line of a definition: ``weight = null : float32  # in g``."""
    text = attribute.name
    if attribute.nullable:
        text += " = null"
    elif attribute.default is not None:
        text += f" = {_write_default(attribute.default)}"
    if attribute.type:
        text += f" : {attribute.spelling or attribute.type}"
    return text + _write_comment(attribute.comment)


_ATTRIBUTE = re.compile(
    r"""(?P<name>\w+)\s*(?:=\s*(?P<default>"(?:[^"\\]|\\.)*"|[^\s:#"]+)\s*)?"""
    r"""(?::\s*(?P<type>(?:'(?:[^']|'')*'|"[^"]*"|[^'"#])+?)\s*)?(?:\#\s*(?P<comment>.*))?"""
)


def read_attribute(line: str) -> Attribute:
    """Read the attribute of a line.

    Raises
    ------
    PipelineError
        If it is not such a line.
    """
    match = _ATTRIBUTE.fullmatch(line.strip())
    if match is None:
        raise unreadable(line, "name = default : type  # comment")
    default, type_ = match["default"], match["type"]
    nullable = default == "null"
    if default is not None and default.startswith('"'):
        default = json.loads(default)
    plain = type_ is None or ", stored as " in type_ or type_.startswith(("native ", "stored as "))
    normal = (type_ or "") if plain else notation.normal_type(type_)
    return Attribute(
        match["name"],
        normal,
        nullable,
        None if nullable else default,
        _read_comment(match["comment"]),
        inherited=type_ is None,
        spelling="" if type_ in (None, normal) else type_,
    )


def _write_default(text: str) -> str:
    plain = re.fullmatch(r"[-+.\w()]+", text, re.ASCII) and text != "null"
    return text if plain else json.dumps(text, ensure_ascii=False)


def _write_comment(text: str) -> str:
    if not text:
        return ""
    plain = text == text.strip() and text.isprintable() and not text.startswith('"')
    return f"  # {text if plain else json.dumps(text)}"


def _read_comment(text: str | None) -> str:
    text = text or ""
    return str(json.loads(text)) if text.startswith('"') else text


def unreadable(line: str, form: str) -> PipelineError:
    """Give the error for a line that does not have the expected form."""
    return PipelineError(f"{line.strip()!r} cannot be understood.", f"Expected is: {form}", "Correct that line.")


# --- Keys and indexes --------------------------------------------------------------------------------------------


def write_foreign_key(key: ForeignKey, titles: Titles, here: str) -> str:
    """Write a foreign key: ``-> session.Session (subject_id, first_session = session_id)``."""
    pairs = zip(key.attributes, key.parent_attributes, strict=True)
    names = ", ".join(ours if ours == theirs else f"{ours} = {theirs}" for ours, theirs in pairs)
    return f"-> {titles.of(key.parent, here)} ({names})"


def read_foreign_key(line: str, titles: Titles, here: str) -> ForeignKey:
    """Read the foreign key of a line."""
    match = re.fullmatch(r"->\s*(\S+)\s*\((.*)\)", line.strip())
    if match is None:
        raise unreadable(line, "-> schema.Table (attribute, ours = theirs)")
    pairs = [[part.strip() for part in text.split("=")] for text in match[2].split(",")]
    return ForeignKey(tuple(pair[0] for pair in pairs), titles.find(match[1], here), tuple(pair[-1] for pair in pairs))


def write_index(index: Index) -> str:
    """Write an index: ``unique index (subject_name)``."""
    plain = all(re.fullmatch(r"\w+(\(\d+\))?( desc)?", column) for column in index.columns)
    columns = ", ".join(index.columns if plain else map(json.dumps, index.columns))
    return f"{'unique ' * index.unique}index ({columns})"


def read_index(line: str) -> Index:
    """Read the index of a line."""
    match = re.fullmatch(r"(unique\s+)?index\s*\((.*)\)", line.strip())
    if match is None:
        raise unreadable(line, "index (attribute, ...)")
    inside = match[2].strip()
    columns = json.loads(f"[{inside}]") if inside.startswith('"') else [part.strip() for part in inside.split(",")]
    return Index(tuple(columns), match[1] is not None)


# --- Tables ------------------------------------------------------------------------------------------------------


def write_table(table: Table, titles: Titles) -> str:
    """Write a table as a block of lines."""
    here, key = table.name.schema, table.primary_key
    names = tuple(attribute.name for attribute in table.attributes)
    lines = [f"{_head(table, titles)} : {table.tier}{_write_comment(table.comment)}"]
    for number, attribute in enumerate(table.attributes):
        if number == len(key) and names[: len(key)] == key:
            lines.append(f"{_INDENT}---")
        lines.append(_INDENT + write_attribute(attribute))
    if names[: len(key)] != key:
        lines.append(f"{_INDENT}primary key ({', '.join(key)})")
    lines += [_INDENT + write_foreign_key(reference, titles, here) for reference in table.foreign_keys]
    lines += [_INDENT + write_index(index) for index in table.indexes]
    return "\n".join(lines)


def _head(table: Table, titles: Titles) -> str:
    text = titles.of(table.name, table.name.schema)
    if text[:1].isupper():
        master = None if table.master is None else table.master.table
        if table_name(table.tier, text.rpartition(".")[2], master) == table.name.table:
            return text
    return table.name.table


_HEAD = re.compile(r"(?P<name>\S+)\s*:\s*(?P<tier>\w+)\s*(?:\#\s*(?P<comment>.*))?")


def read_tables(text: str, schema: str, titles: Titles) -> list[Table]:
    """Read the tables of a text.

    Parameters
    ----------
    text : str
        Blocks as :func:`write_table` gives them; empty lines do not count.
    schema : str
        Whose tables they are.
    titles : Titles
        Every other table that foreign keys lead to; those of the text are added.

    Raises
    ------
    PipelineError
        If a line is not understood.
    """
    blocks = list(_blocks(text))
    names = [_name(head, schema, titles) for head, _ in blocks]
    return [_read_table(name, *block, titles) for name, block in zip(names, blocks, strict=True)]


def read_names(text: str, schema: str, titles: Titles) -> None:
    """Add the tables of a text to ``titles``, without reading their attributes."""
    for head, _ in _blocks(text):
        _name(head, schema, titles)


def _blocks(text: str) -> Iterator[tuple[str, list[str]]]:
    block: list[str] = []
    for line in text.splitlines():
        if line.strip() and not line[0].isspace():
            if block:
                yield block[0], block[1:]
            block = [line.strip()]
        elif line.strip():
            if not block:
                raise unreadable(line, "Table : Tier  # comment, and its attributes indented below")
            block.append(line.strip())
    if block:
        yield block[0], block[1:]


def _name(head: str, schema: str, titles: Titles) -> TableName:
    match = _HEAD.fullmatch(head)
    if match is None or match["tier"] not in {*TIERS.values(), "Part"}:
        raise unreadable(head, "Table : Manual, Lookup, Imported, Computed or Part  # comment")
    name = match["name"]
    if name[:1].isupper():
        above, _, own = name.rpartition(".")
        master = titles.find(above, schema).table if above else None
        name = table_name(match["tier"], own, master)
    found = TableName(schema, name)
    titles.add(found)
    return found


def _read_table(name: TableName, head: str, lines: list[str], titles: Titles) -> Table:
    attributes, keys, indexes = list[Attribute](), list[ForeignKey](), list[Index]()
    primary: tuple[str, ...] | None = None
    for line in lines:
        if line == "---":
            primary = tuple(attribute.name for attribute in attributes)
        elif match := re.fullmatch(r"primary key \((.*)\)", line):
            primary = tuple(part.strip() for part in match[1].split(",") if part.strip())
        elif line.startswith("->"):
            keys.append(read_foreign_key(line, titles, name.schema))
        elif re.match(r"(unique\s+)?index\s*\(", line):
            indexes.append(read_index(line))
        else:
            attributes.append(read_attribute(line))
    match = _HEAD.fullmatch(head)
    return Table(
        name,
        tuple(attributes),
        tuple(attribute.name for attribute in attributes) if primary is None else primary,
        tuple(sorted(keys, key=lambda key: (key.parent.schema, key.parent.table, key.attributes))),
        tuple(sorted(indexes, key=lambda index: (index.columns, index.unique))),
        _read_comment(match["comment"] if match else ""),
    )


def write_schema(tables: Iterable[Table], titles: Titles) -> str:
    """Write the tables of a schema, one block each."""
    return "\n\n".join(write_table(table, titles) for table in tables)


def titles_of(tables: Mapping[TableName, Table], more: More = None) -> Titles:
    """Give the names of all tables of a state, and of those outside of it that foreign keys lead to; ``more`` says
    where to look for any other.
    """
    outside = {key.parent for table in tables.values() for key in table.foreign_keys} - tables.keys()
    return Titles([*tables, *outside], more)
