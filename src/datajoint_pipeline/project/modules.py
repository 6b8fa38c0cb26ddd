"""The modules of a package as their sources show them: nothing is imported, no database is asked.

Modules may stand in packages at any depth, a schema's tables in several modules, and several schemas in one module: a
table belongs to the schema that its decorator names, wherever that was opened.
"""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from .. import disk, syntax
from ..errors import PipelineError

#: Calls that give a module its schema.
_OPENERS = {"open_schema", "Schema", "schema"}

#: Their argument, where it is given by name.
_NAMES = {"name", "schema_name"}

#: `-> [nullable, unique] session.Session.proj(...)  # comment`
_REFERENCE = re.compile(r"^\s*->\s*(?:\[[^\]]*\]\s*)?(?P<target>[A-Za-z_][\w.]*)")

#: `<blob@main>`, `<blob@>`
_STORE = re.compile(r":\s*<(\w+)@(\w*)>")

_IGNORE = re.compile(r"#\s*check:\s*ignore\s+(?P<ids>[\w\-, ]+)")

#: Classes of DataJoint that a table is made of.
_TIERS = {"Manual", "Lookup", "Imported", "Computed"}

#: Modules and folders of the package itself that hold no tables; folders of other packages may be called so.
_NOT_SCHEMAS = {"__init__", "__main__", "version", "conftest"}
_NOT_PACKAGES = {"migrations", "manage"}


@dataclass(frozen=True)
class Reference:
    """A foreign key as a definition writes it.

    Parameters
    ----------
    module : str or None
        The module that it leads to; None where it stays in its own, or leads out of the package.
    target : str
        The class, as that module calls it.
    table : str
        The class whose definition it is.
    line : int
        Where it stands.
    imported : bool
        Whether the module gets at that name at all.
    """

    module: str | None
    target: str
    table: str
    line: int
    imported: bool = True


@dataclass(frozen=True)
class Module:
    """A module as its source shows it. Names of modules begin below the package: ``acquisition.session``.

    Parameters
    ----------
    name : str
        Module name.
    path : Path
        Its file.
    schemas : tuple of str
        Names of the schemas that it opens, or has tables of.
    opened : frozenset of str
        Those that importing it opens.
    imports : dict
        Line of each import of another module of the package.
    needed : frozenset of str
        Imported modules that foreign keys and decorators need.
    used : frozenset of str
        Imported modules that code uses.
    tables : dict
        The schema of each class at its top level; None for what is no table, or nobody knows.
    references : tuple of Reference
        Foreign keys of its definitions.
    stores : frozenset of str
        Object stores that its definitions name; the empty name is the default's.
    file_stores : frozenset of str
        Those of ``<filepath@>``, whose default is another.
    undecorated : dict
        Line of each class that looks like a table and is given to no schema.
    unread : dict
        Line of each schema whose name cannot be read, and whether the tables given to it will be missed; those of one
        that is activated later may be meant for another pipeline.
    ignored : frozenset of str
        Ids of findings that it silences.
    composed : bool
        Whether code puts a definition together, so that it may have further foreign keys.
    """

    name: str
    path: Path
    schemas: tuple[str, ...]
    opened: frozenset[str]
    imports: Mapping[str, int]
    needed: frozenset[str]
    used: frozenset[str]
    tables: Mapping[str, str | None]
    references: tuple[Reference, ...]
    stores: frozenset[str]
    file_stores: frozenset[str]
    undecorated: Mapping[str, int]
    unread: Mapping[int, bool]
    ignored: frozenset[str]
    composed: bool

    @property
    def is_package(self) -> bool:
        """Say whether it is the ``__init__.py`` of a package."""
        return self.path.name == "__init__.py"

    @property
    def file(self) -> str:
        """Give its path below the package's folder."""
        return self.name.replace(".", "/") + ("/__init__.py" if self.is_package else ".py")

    def import_of(self, other: str) -> str:
        """Give the line that imports another module of the package."""
        return syntax.relative_import(self.name, self.is_package, other)


def read(directory: Path) -> dict[str, Module]:
    """Read the modules of a package.

    Parameters
    ----------
    directory : Path
        The package's folder.

    Returns
    -------
    dict
        Each module by its name, modules without tables too.

    Raises
    ------
    PipelineError
        If a module is not Python.
    """
    sources = {}
    for path in _files(directory):
        parts = path.relative_to(directory).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        if (source := _parse(path, name, directory.name)) is not None:
            sources[name] = source
    return _Package(sources).modules()


def _files(directory: Path) -> Iterator[Path]:
    for folder, folders, files in os.walk(directory):
        top = folder == str(directory)
        files += [name for name in folders if name.endswith(".py")]  # which cannot be read, as is said then
        folders[:] = sorted(f for f in folders if f.isidentifier() and f != "__pycache__")
        if top:
            folders[:] = [f for f in folders if f not in _NOT_PACKAGES]
        for file in sorted(files):
            stem, suffix = os.path.splitext(file)
            if suffix == ".py" and stem.isidentifier() and not (top and stem in _NOT_SCHEMAS):
                yield Path(folder, file)


def _parse(path: Path, name: str, package: str) -> _Source | None:
    try:
        text = disk.text(path)
        return _Source(name, path, package, text, ast.parse(text))
    except PipelineError:
        if _lies_about(path, name):
            return None
        raise
    except (SyntaxError, ValueError) as error:
        if _lies_about(path, name):
            return None
        line = getattr(error, "lineno", 0) or 0
        raise PipelineError(
            f"{path.name} is not Python.", f"{getattr(error, 'msg', error)} in line {line}.", "Correct it."
        ) from None


def _lies_about(path: Path, name: str) -> bool:
    """Tell whether a file that cannot be read as Python is something else, in a sub-folder."""
    with suppress(OSError):
        return "." in name and b"schema" not in path.read_bytes()
    return False


@dataclass(eq=False)
class _Opening:
    """A schema that a module opens: its name, None where that cannot be read; or one that is activated later."""

    name: str | None
    line: int
    deferred: bool = False


def _outer(node: ast.AST) -> Iterator[ast.AST]:
    """Walk what runs when a module is imported: not into functions and classes, nor what only a type checker reads."""
    for child in ast.iter_child_nodes(node):
        yield child
        if isinstance(child, ast.If) and _last(child.test) == "TYPE_CHECKING":
            for other in child.orelse:
                yield other
                yield from _outer(other)
        elif not isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)):
            yield from _outer(child)


def _last(node: ast.AST) -> str:
    """Give the last word of a dotted name."""
    return str(getattr(node, "attr", getattr(node, "id", "")))


def _dotted(node: ast.AST) -> str:
    """Give a dotted name as text, nothing for another expression."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (base := _dotted(node.value)):
        return f"{base}.{node.attr}"
    return ""


@dataclass
class _Source:
    """What one file says by itself."""

    name: str
    path: Path
    package: str
    text: str
    tree: ast.Module
    #: What a name stands for: a dotted name below the package.
    aliases: dict[str, str] = field(default_factory=dict)
    #: Line of each import from the package, by what is imported.
    lines: dict[str, int] = field(default_factory=dict)
    #: What names are taken from with a star.
    stars: list[str] = field(default_factory=list)
    #: Other names that the module has.
    bound: set[str] = field(default_factory=set)
    openings: list[_Opening] = field(default_factory=list)
    #: The same by the variable.
    variables: dict[str, _Opening] = field(default_factory=dict)
    #: Modules that it activates: what it calls them, and the schema's name.
    activations: list[tuple[str, _Opening]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._texts: dict[str, str] = {}
        self._assigned: set[ast.Call] = set()
        self._outside: set[str] = set()
        self._datajoint = {"dj", "datajoint"}
        self.outer = list(_outer(self.tree))
        for node in self.outer:
            self._take_import(node)
        for node in self.outer:
            self._take_name(node)
        for node in self.outer:
            if isinstance(node, ast.Call):
                self._take_call(node)

    @cached_property
    def classes(self) -> list[ast.ClassDef]:
        return [node for node in self.tree.body if isinstance(node, ast.ClassDef)]

    # --- Names -------------------------------------------------------------------------------------------------------

    def _take_import(self, node: ast.AST) -> None:
        if isinstance(node, ast.ImportFrom):
            base = self._base(node)
            for item in node.names:
                name = item.asname or item.name
                if base is None:
                    self.bound.add(name)
                    self._outside.add(name)
                    if node.module == "datajoint" and item.name == "schema":
                        self._datajoint.add(f"from {name}")
                elif name == "*":
                    self.stars.append(base)
                    self.lines.setdefault(base, node.lineno)
                else:
                    self.aliases[name] = f"{base}.{item.name}".strip(".")
                    self.lines.setdefault(self.aliases[name], node.lineno)
        elif isinstance(node, ast.Import):
            for item in node.names:
                head, _, rest = item.name.partition(".")
                if head == self.package and rest:
                    self.aliases[item.asname or item.name] = rest
                    self.lines.setdefault(rest, node.lineno)
                else:
                    self.bound.add(item.asname or head)
                    self._outside.add(item.asname or head)
                    if item.name == "datajoint":
                        self._datajoint.add(item.asname or head)

    def _base(self, node: ast.ImportFrom) -> str | None:
        """Give what `from …` names, below the package; None outside of it."""
        if not node.level:
            head, _, rest = (node.module or "").partition(".")
            return rest if head == self.package else None
        base = syntax.relative_base(node, self.name, self.path.name == "__init__.py")
        return None if base is None else ".".join(base)

    def _take_name(self, node: ast.AST) -> None:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            self.bound.add(node.name)
        if not isinstance(node, (ast.Assign, ast.AnnAssign)):
            return
        for name in syntax.assigned(node):
            self.bound.add(name)
            if isinstance(node.value, ast.Call) and (opening := self.opening(node.value)) is not None:
                self.variables[name] = opening
                self._assigned.add(node.value)
                self.openings.append(opening)
            elif node.value is not None and (text := self._text(node.value)) is not None:
                self._texts[name] = text
            elif node.value is not None and (target := self._target(_dotted(node.value))):
                self.aliases.setdefault(name, target)

    def _target(self, name: str) -> str:
        """Give what a dotted name of this module stands for below the package; nothing where it is not imported."""
        head, dot, rest = name.partition(".")
        return f"{self.aliases[head]}{dot}{rest}" if head in self.aliases else ""

    def _text(self, node: ast.AST) -> str | None:
        """Give the text that an expression is, as far as this file says it."""
        match node:
            case ast.Constant(value=str(text)):
                return text
            case ast.Name(id=name):
                return self._texts.get(name)
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                parts = [self._text(left), self._text(right)]
            case ast.JoinedStr(values=values):
                inner = [v.value if isinstance(v, ast.FormattedValue) else v for v in values]
                parts = [self._text(value) for value in inner]
            case _:
                return None
        return None if None in parts else "".join(filter(None, parts))

    # --- Schemas -----------------------------------------------------------------------------------------------------

    def opening(self, call: ast.Call) -> _Opening | None:
        """Give what a call opens; None where it opens no schema."""
        function = _dotted(call.func)
        base, _, name = function.rpartition(".")
        if name not in _OPENERS and f"from {name}" not in self._datajoint:
            return None
        given = [*call.args[:1], *(word.value for word in call.keywords if word.arg in _NAMES)]
        text = self._text(given[0]) if given else None
        if name == "schema" and text is None and base not in self._datajoint and "from schema" not in self._datajoint:
            return None  # schema(Table) gives a table to a schema
        if not given or (isinstance(given[0], ast.Constant) and given[0].value is None):
            return None if name == "open_schema" else _Opening(None, call.lineno, deferred=True)
        # What a sub-folder opens by DataJoint alone, a script or a test, is no schema of the pipeline.
        return None if "." in self.name and name != "open_schema" else _Opening(text, call.lineno)

    def _take_call(self, call: ast.Call) -> None:
        opening = None if call in self._assigned else self.opening(call)
        if opening is not None:
            self.openings.append(opening)
        if _last(call.func) != "activate":
            return
        given = [word.value for word in call.keywords if word.arg == "schema"]
        what = _dotted(call.args[0]) if call.args else ""
        if len(call.args) + len(given) > 1 and self._is_imported(what):  # pipeline.activate(element, "lab", …)
            text = self._text([*call.args[1:2], *given][0])
            self.activations.append((what, _Opening(text, call.lineno)))
        elif call.args and isinstance(call.func, ast.Attribute):  # schema.activate("lab")
            schema = self.variables.get(_dotted(call.func.value))
            if schema is not None and schema.deferred and "." in self.name:  # by DataJoint alone, as above
                self.openings.remove(schema)
                self.variables = {name: one for name, one in self.variables.items() if one is not schema}
            elif schema is not None and schema.deferred:
                schema.name, schema.deferred = self._text(call.args[0]), False

    def _is_imported(self, name: str) -> bool:
        """Say whether a dotted name begins with an import, as that of a module does."""
        head = name.partition(".")[0]
        return head in self._outside or any(alias.partition(".")[0] == head for alias in self.aliases)

    def given(self) -> Iterator[tuple[str, ast.expr]]:
        """Yield the name of each class, and what makes it a table: its decorators, or a call that it is given to."""
        names = {node.name for node in self.classes}
        for node in self.classes:
            for decorator in node.decorator_list:
                yield node.name, decorator
        for call in self.outer:
            if isinstance(call, ast.Call) and len(call.args) == 1 and _dotted(call.args[0]) in names:
                yield _dotted(call.args[0]), call.func

    def undecorated(self) -> Iterator[tuple[str, int]]:
        """Yield name and line of each class with a tier and a definition that no schema decorates.

        What another class is made of, or what is given to a function, may be meant so.
        """
        used = {base.id for node in self.classes for base in node.bases if isinstance(base, ast.Name)}
        calls = [node for node in ast.walk(self.tree) if isinstance(node, ast.Call)]
        used |= {argument.id for call in calls for argument in call.args if isinstance(argument, ast.Name)}
        for node in self.classes:
            bases = {_last(base) for base in node.bases}
            if bases & _TIERS and not node.decorator_list and node.name not in used and _definition(node) is not None:
                yield node.name, node.lineno

    def stores(self) -> tuple[frozenset[str], frozenset[str]]:
        """Give the stores that definitions name, and those of ``<filepath@>``."""
        lines = self.text.split("\n")
        inside = (line for node in self.classes for line in lines[node.lineno - 1 : node.end_lineno])
        found = _STORE.findall("\n".join(inside))
        return frozenset(store for _, store in found), frozenset(store for codec, store in found if codec == "filepath")


def _definition(table: ast.ClassDef) -> tuple[str, int] | None:
    """Give the text that a class has as its definition, and its line; None where code puts it together.

    Of an f-string that is what it has as text, with braces for the rest.
    """
    found = syntax.definition_of(table)
    if isinstance(found, ast.JoinedStr):
        return "".join(str(p.value) if isinstance(p, ast.Constant) else "{}" for p in found.values), found.lineno
    return (str(found.value), found.lineno) if isinstance(found, ast.Constant) else None


def _is_composed(table: ast.ClassDef) -> bool:
    """Say whether code puts the definition of a class or of one of its parts together, so that it may say more."""
    parts = (node for node in table.body if isinstance(node, ast.ClassDef))
    found = syntax.definition_of(table)
    return not isinstance(found, ast.Constant | None) or any(map(_is_composed, parts))


def _written(table: ast.ClassDef, master: str = "") -> Iterator[tuple[str, str, int]]:
    """Yield table, target and line of each foreign key in a class and its parts."""
    for node in table.body:
        if isinstance(node, ast.ClassDef):
            yield from _written(node, master=table.name)
    definition = _definition(table)
    if definition is None:
        return
    for line, text in enumerate(definition[0].splitlines(), definition[1]):
        if match := _REFERENCE.match(text):
            name = f"{master}.{table.name}" if master else table.name
            yield name, re.sub(r"\.proj$", "", match["target"]), line


class _Package:
    """The files of a package, which say together what each name means."""

    def __init__(self, sources: Mapping[str, _Source]) -> None:
        self._sources = sources
        self._activated: dict[str, str] = {}
        for source in sources.values():
            for what, opening in source.activations:
                found = self._find(source.name, what)
                if found is not None and opening.name is not None:
                    self._activated.setdefault(found[0], opening.name)

    def modules(self) -> dict[str, Module]:
        return {name: self._module(source) for name, source in self._sources.items()}

    # --- Names -------------------------------------------------------------------------------------------------------

    def _split(self, dotted: str) -> tuple[str, str] | None:
        """Split a name below the package into the module and the rest."""
        parts = dotted.split(".")
        for length in range(len(parts), 0, -1):
            if (module := ".".join(parts[:length])) in self._sources:
                return module, ".".join(parts[length:])
        return None

    def _find(self, module: str, name: str, seen: frozenset[tuple[str, str]] = frozenset()) -> tuple[str, str] | None:
        """Find where a name of a module comes from: the module that defines it, and what it is called there.

        None for what the package does not define.
        """
        if (module, name) in seen:
            return None
        seen |= {(module, name)}
        source = self._sources[module]
        if (alias := self._alias(source, name)) is not None:
            split = self._split(source.aliases[alias] + name[len(alias) :])
            if split is None:
                return None
            if not split[1]:
                return split
            return self._find(*split, seen) or split
        head = name.partition(".")[0]
        if head in source.bound or head in {node.name for node in source.classes}:
            return module, name
        for star in source.stars:
            split = self._split(star)
            if split is not None and not split[1] and (found := self._find(split[0], name, seen)) is not None:
                return found
        return None

    @staticmethod
    def _alias(source: _Source, name: str) -> str | None:
        """Find the import that a dotted name begins with."""
        parts = name.split(".")
        names = (".".join(parts[:length]) for length in range(len(parts), 0, -1))
        return next((name for name in names if name in source.aliases), None)

    def _imported_from(self, source: _Source, name: str) -> set[str]:
        """Give the modules that a name is imported from in this file; every star, where there is no other way."""
        alias = self._alias(source, name)
        found = [source.aliases[alias]] if alias is not None else source.stars
        return {split[0] for target in found if (split := self._split(target)) is not None}

    # --- Modules -----------------------------------------------------------------------------------------------------

    def _schema_of(self, source: _Source, decorator: ast.expr) -> _Opening | None:
        """Give the schema that a decorator is."""
        if isinstance(decorator, ast.Call):
            return source.opening(decorator)
        name = _dotted(decorator)
        found = self._find(source.name, name) if name else None
        return self._sources[found[0]].variables.get(found[1]) if found else None

    def _name_of(self, opening: _Opening, module: str) -> str | None:
        return self._activated.get(module) if opening.deferred else opening.name

    def _module(self, source: _Source) -> Module:
        tables: dict[str, str | None] = {node.name: None for node in source.classes}
        needed, filled, elsewhere = set[str](), list[_Opening](), list[_Opening]()
        for table, decorator in source.given():
            if (opening := self._schema_of(source, decorator)) is None:
                continue
            home = self._home(source, decorator)
            (filled if home == source.name else elsewhere).append(opening)
            tables[table] = tables[table] or self._name_of(opening, home)
            needed |= self._imported_from(source, _dotted(decorator))
        undecorated = dict(source.undecorated())
        activations = [opening for _, opening in source.activations]
        tabled = undecorated or not source.classes or any(node.decorator_list for node in source.classes)
        opened = [*(source.openings if tabled else []), *filled, *activations]
        names = [self._name_of(opening, source.name) for opening in opened]
        references = tuple(self._references(source))
        for node in source.classes:
            for _, target, _ in _written(node):
                needed |= self._imported_from(source, target)
        unread = {
            opening.line: not opening.deferred and any(opening is one for one in [*filled, *activations])
            for opening in opened
            if self._name_of(opening, source.name) is None
        }
        ignored = {i.strip() for match in _IGNORE.finditer(source.text) for i in match["ids"].split(",")}
        imports: dict[str, int] = {}
        for target, line in source.lines.items():
            if (split := self._split(target)) is not None and split[0] != source.name:
                imports.setdefault(split[0], line)
        if activations:  # what the other module refers to is looked up here
            needed |= imports.keys()
        stores, file_stores = source.stores()
        return Module(
            name=source.name,
            path=source.path,
            schemas=tuple(dict.fromkeys(filter(None, [*names, *tables.values()]))),
            opened=frozenset(o.name for o in opened if o.name is not None),
            imports=imports,
            needed=frozenset(needed),
            used=frozenset(self._used(source)),
            tables=tables,
            references=references,
            stores=stores,
            file_stores=file_stores,
            undecorated=undecorated,
            unread=unread,
            ignored=frozenset(ignored),
            composed=any(map(_is_composed, source.classes)),
        )

    def _home(self, source: _Source, decorator: ast.expr) -> str:
        """Give the module whose variable a decorator is."""
        found = self._find(source.name, _dotted(decorator)) if _dotted(decorator) else None
        return found[0] if found else source.name

    def _used(self, source: _Source) -> Iterator[str]:
        """Yield the modules whose names code uses."""
        names = {node.id for node in ast.walk(source.tree) if isinstance(node, ast.Name)}
        for alias, target in source.aliases.items():
            if alias.partition(".")[0] in names and (split := self._split(target)) is not None:
                yield split[0]
        for star in source.stars:
            if (split := self._split(star)) is not None:
                yield split[0]

    def _references(self, source: _Source) -> Iterator[Reference]:
        deferred = any(opening.deferred for opening in source.openings)
        for node in source.classes:
            for table, target, line in _written(node):
                head, _, rest = target.partition(".")
                found = self._find(source.name, target)
                if found is not None and found[0] != source.name and self._may_be_table(*found):
                    yield Reference(*found, table, line)
                elif found is None and not deferred and rest and self._is_missing(source, head):
                    yield Reference(self._meant(head), rest, table, line, imported=False)
                else:
                    yield Reference(None, target, table, line)

    def _may_be_table(self, module: str, name: str) -> bool:
        """Say whether a name of a module may be a class of its own; another name may be a table of anybody's."""
        head, source = name.partition(".")[0], self._sources[module]
        return bool(head) and (head not in source.bound or head in {node.name for node in source.classes})

    @staticmethod
    def _is_missing(source: _Source, head: str) -> bool:
        """Say whether a word can only be a module that is not imported; tables are in CamelCase."""
        known = {"master", "self", *source.bound, *source.aliases}
        return head.islower() and head not in known and not source.stars

    def _meant(self, word: str) -> str:
        """Give the module of the package that a word names, wherever it stands."""
        return next((name for name in self._sources if name.rpartition(".")[2] == word), word)
