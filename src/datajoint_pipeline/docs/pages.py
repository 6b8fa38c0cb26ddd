"""The pages of a pipeline as text: an index, a page for each schema with a section for each table, and pictures.

The same pipeline gives the same bytes. Links between pages are relative and lead to Markdown files, so that a code host
shows them; links in pictures lead to what the docs site makes of these.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from html import escape

from .. import diagram
from ..diagram import Graph, Node
from ..operations.origins import declared
from ..operations.topology import dependency_order
from ..schema import definition
from ..schema.model import Attribute, ForeignKey, Table, TableName
from .changes import Change

#: What a picture of a page is written as: it opens alone, where a pointer shows paths and a click opens a table.
_PICTURE = "[![{alt}]({file})]({file})"

#: Puts pictures into the page where scripts run, which a code host takes out: there a pointer and a click work, too.
_SCRIPT = (
    "<script>for(const i of document.querySelectorAll('a[href$=\".svg\"]>img')){"
    "const o=document.createElement('object'),d=document.createElement('div');o.type='image/svg+xml';o.data=i.src;"
    "o.ariaLabel=i.alt;d.style.overflowX='auto';d.append(o);i.parentNode.replaceWith(d)}</script>"
)

#: How wide a page is where a screen is, in pixels; a wider picture is moved within it.
_COLUMN = 680

_NOTATION = """\
A box is a table that people fill (green: Manual, gray: Lookup), an ellipse one that is computed (blue: Imported,
orange: Computed); parts stand below their master. Lines lead from a table to those on the right of it that refer to it:
thick where a row is referred to by one row at most, dashed where the reference is not in the primary key, brown where
it gives an attribute another name. Open a picture to see the path of a table under the pointer."""


@dataclass(frozen=True)
class Source:
    """What the pages are made of.

    Parameters
    ----------
    title : str
        Name of the project.
    tables : mapping of TableName to Table
        As the code declares them, in the order of the schemas.
    versions : mapping of str to str
        Version of each schema, in that order.
    about : mapping of str to str
        What the module of a schema says of itself; empty for nothing.
    changes : list of Change
        The migrations, in the order in which they apply.
    """

    title: str
    tables: Mapping[TableName, Table]
    versions: Mapping[str, str]
    about: Mapping[str, str] = field(default_factory=dict)
    changes: Iterable[Change] = ()


def write(source: Source) -> Iterator[tuple[str, str]]:
    """Give each file: its path below the folder of the pages, with slashes, and its text."""
    yield from _Writer(source).files()


def navigation(source: Source, folder: str) -> str:
    """Give the lines that lead to the pages in ``mkdocs.yml``."""
    lines = ["  - Pipeline:", f"    - {folder}/index.md"]
    lines += [f"    - {schema}: {folder}/{page(schema)}.md" for schema in source.versions]
    return "".join(f"{line}\n" for line in lines)


def page(schema: str) -> str:
    """Give the name of a schema's page; that of the index is taken."""
    return "index_" if schema == "index" else schema


class _Writer:
    """Writes the pages of one pipeline."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._tables = source.tables
        self._titles = definition.titles_of(source.tables)
        self._pages = {schema: page(schema) for schema in source.versions}
        self._children: dict[TableName, list[tuple[Table, ForeignKey]]] = {}
        for table in source.tables.values():
            for key in table.foreign_keys:
                self._children.setdefault(key.parent, []).append((table, key))
        self._changes: dict[TableName, list[tuple[Change, str]]] = {}
        for change in source.changes:
            for name, text in change.done:
                self._changes.setdefault(name, []).append((change, text))

    def files(self) -> Iterator[tuple[str, str]]:
        graph = diagram.overview(self._tables, self._source.versions, title=self._source.title)
        yield "index.svg", self._drawn(graph, "")
        yield "index.md", self._index()
        for schema in self._source.versions:
            own = {name: self._tables[name] for name in self._order(schema)}
            place = self._pages[schema]
            if own:
                yield f"{place}.svg", self._drawn(diagram.of_tables(self._tables, schema), "")
            for name, table in own.items():
                if table.master is None and (around := self._around(name)).edges:
                    yield f"{place}/{self._file(name)}.svg", self._drawn(around, "../")
            yield f"{place}.md", self._schema(schema, own)

    def _order(self, schema: str) -> list[TableName]:
        """Order the tables of a schema as one reads them: after those that they refer to, parts behind their master."""
        names = dependency_order(table for table in self._tables.values() if table.name.schema == schema)
        place = {name: number for number, name in enumerate(names)}
        return sorted(names, key=lambda name: (place[self._tables[name].master or name], place[name]))

    def _around(self, name: TableName) -> Graph:
        return diagram.around(self._tables, name, title=f"Tables around {name}")

    def _drawn(self, graph: Graph, up: str) -> str:
        def href(node: Node) -> str | None:
            target = self._pages.get(node.name.schema)
            if target is None:
                return None
            return f"{up}{target}.html" + (f"#{_slug(self._title(node.name))}" if node.name.table else "")

        return diagram.draw(graph, href=href, wide=_COLUMN)

    def _index(self) -> str:
        rows = [
            f"| [{_text(schema)}]({self._pages[schema]}.md) | {version} "
            f"| {sum(name.schema == schema for name in self._tables)} | {_text(self._source.about.get(schema, ''))} |"
            for schema, version in self._source.versions.items()
        ]
        return "\n\n".join(
            [
                "# The pipeline",
                _PICTURE.format(alt="Map of the pipeline", file="index.svg"),
                "\n".join(["| schema | version | tables | what it is |", "|---|---|---|---|", *rows]),
                "## How to read the pictures",
                _NOTATION,
                _SCRIPT,
            ]
        )

    # --- A schema ----------------------------------------------------------------------------------------------------

    def _schema(self, schema: str, own: Mapping[TableName, Table]) -> str:
        rows = [
            f"| [{_text(self._title(name))}](#{_slug(self._title(name))}) | {table.tier} | {_text(table.comment)} |"
            for name, table in own.items()
        ]
        parts = [
            f"# Schema {_text(schema)}",
            _text(self._source.about.get(schema, "")),
            f"Version {self._source.versions[schema]}. [All schemas](index.md)",
        ]
        if own:
            parts += [
                _PICTURE.format(alt=f"Map of {schema}", file=f"{self._pages[schema]}.svg"),
                "\n".join(["| table | tier | what it is |", "|---|---|---|", *rows]),
            ]
        for table in own.values():
            parts += self._table(table)
        changes = [change for change in self._source.changes if change.schema == schema]
        if changes:
            rows = [f"| {change.version} | {_text(change.words)} |" for change in reversed(changes)]
            if changes[0].follows is not None:
                rows.append(f"| {changes[0].follows} | the first version |")
            parts += ["## Versions and migrations", "\n".join(["| version | what it does |", "|---|---|", *rows])]
        return "\n\n".join(filter(None, [*parts, _SCRIPT]))

    def _table(self, table: Table) -> Iterator[str]:
        yield f"{'###' if table.master else '##'} {_text(self._title(table.name))}"
        yield f"*{table.tier}*" + (f" · {_text(table.comment)}" if table.comment else "")
        if table.master is None and self._around(table.name).edges:
            file = f"{self._pages[table.name.schema]}/{self._file(table.name)}.svg"
            yield _PICTURE.format(alt=f"Tables around {table.name}", file=file)
        rows = [self._attribute(table, attribute) for attribute in table.attributes if not attribute.hidden]
        yield "\n".join(["| attribute | type | what it is |", "|---|---|---|", *rows])
        facts = [f"- primary key: {', '.join(map(_code, table.primary_key)) or 'none; the table has one row at most'}"]
        facts += [f"- refers to {self._reference(table, key)}" for key in table.keys_in_order]
        facts += [f"- {_code(definition.write_index(index))}" for index in table.indexes]
        referring = self._children.get(table.name, [])
        facts += [f"- referred to by {self._link(child.name, table.name.schema)}" for child in _once(referring)]
        for change, text in reversed(self._changes.get(table.name, [])):
            where = "" if change.schema == table.name.schema else f"{change.schema} "
            facts.append(f"- changed in {where}{change.version}: {_text(_done(text.partition(': ')[2] or text))}")
        yield "\n".join(facts)

    def _attribute(self, table: Table, attribute: Attribute) -> str:
        key = attribute.name in table.primary_key
        type_ = attribute.spelling or attribute.type
        words = _text(attribute.comment)
        if attribute.inherited:
            type_, comment, parent = declared(self._tables, table.name, attribute.name)
            origin = f"from {self._link(parent, table.name.schema)}" if parent in self._tables else ""
            words = "; ".join(filter(None, (_text(comment), origin)))
        if attribute.nullable:
            words = "; ".join(filter(None, (words, "may be null")))
        elif attribute.default is not None:
            shown = _code(attribute.default or '""')
            words = "; ".join(filter(None, (words, f"by default {shown}")))
        name = f"**{_code(attribute.name)}**" if key else _code(attribute.name)
        return f"| {name} | {_code(type_)} | {words} |"

    def _reference(self, table: Table, key: ForeignKey) -> str:
        pairs = zip(key.attributes, key.parent_attributes, strict=True)
        names = ", ".join(_code(a if a == b else f"{a} = {b}") for a, b in pairs)
        more = [] if set(key.attributes) <= set(table.primary_key) else ["not in the primary key"]
        more += ["may be empty"] if any(table.attribute[name].nullable for name in key.attributes) else []
        return f"{self._link(key.parent, table.name.schema)} by {names}{''.join(f', {word}' for word in more)}"

    # --- Names -------------------------------------------------------------------------------------------------------

    def _title(self, name: TableName) -> str:
        return self._titles.of(name, name.schema)

    def _link(self, name: TableName, here: str) -> str:
        title = self._titles.of(name, here)
        if name not in self._tables:
            return _code(title)
        file = "" if name.schema == here else f"{self._pages[name.schema]}.md"
        return f"[{_text(title)}]({file}#{_slug(self._title(name))})"

    def _file(self, name: TableName) -> str:
        """Give the name of a table's picture, which a file system that knows no capitals tells from others."""
        plain = re.sub(r"\W", "-", name.table.lstrip("_#"), flags=re.ASCII)
        others = [other for other in self._tables if other.schema == name.schema and other != name]
        same = any(re.sub(r"\W", "-", o.table.lstrip("_#"), flags=re.ASCII).lower() == plain.lower() for o in others)
        return f"{plain}-{self._tables[name].tier.lower()}" if same else plain


def _done(text: str) -> str:
    """Give what an operation did as one reads it of the past: ``added rows`` for ``+ rows``."""
    for sign, word in (("+ ", "added "), ("- ", "removed "), ("a new table", "table added")):
        if text.startswith(sign):
            return word + text.removeprefix(sign)
    return text


def _once(pairs: Iterable[tuple[Table, ForeignKey]]) -> list[Table]:
    return list({table.name: table for table, _ in pairs}.values())


def _text(text: str) -> str:
    """Give a text as Markdown that shows its very characters, on one line and in a table, too."""
    entity = {character: f"&#{ord(character)};" for character in "<>&|~$"}
    one = re.sub(
        r"[<>&|~$\\`*\[\]#]|(?<!\w)_|_(?!\w)",
        lambda found: entity.get(found[0], f"\\{found[0]}"),
        " ".join(text.split()),
    )
    return re.sub(r"^(\d*)([-+=.)])", r"\1\\\2", one)  # what would begin a list or a heading


def _code(text: str) -> str:
    """Give a text as code."""
    one = " ".join(text.split())
    if "`" in one or "|" in one:
        return f"<code>{escape(one).replace('|', '&#124;').replace('`', '&#96;')}</code>"
    return f"`{one}`"


def _slug(title: str) -> str:
    """Give the anchor that code hosts and the docs site make of a heading."""
    return re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-")
