"""Which schemas a package opens, which tables are whose, and in which order they stand.

A schema may be opened in any module of the package, in a folder of it too; a module may have several, and a schema
several modules. Which tables are whose is said by the decorators.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from . import naming
from .source import Module, statements


@dataclass
class Opening:
    """A call that makes a schema when its module is imported.

    ``kind`` is ``open_schema``, ``dj``, ``deferred`` for one that is given its database by ``activate`` later on, or
    ``element`` for one of another package;
    ``activated`` is the line of that, 0 where it is nowhere in the module, and -1 where a function does it that another
    module calls, as in an Element. ``name`` is what can be known of its name, and ``whole`` whether that is all of it
    or what follows a prefix.
    """

    module: Module
    line: int
    kind: str
    variable: str
    name: str = ""
    whole: bool = False
    activated: int = 0


@dataclass
class Schema:
    """A schema: its name in the code, and its modules, the one that opens it first.

    ``database`` is what its database is called where that is known and does not follow from prefix and name.
    """

    name: str
    opening: Opening
    database: str = ""
    modules: list[str] = field(default_factory=list)
    #: Where else it is opened.
    again: list[Opening] = field(default_factory=list)
    tables: list[tuple[str, str]] = field(default_factory=list)

    @property
    def of_element(self) -> bool:
        """Return whether it is opened by whoever uses the module, as those of DataJoint Elements are."""
        return self.opening.kind == "deferred" and not self.opening.activated > 0


@dataclass(frozen=True)
class Activation:
    """A call that gives another module's schema its database, as Elements are used.

    ``own`` is the module where it is one of the package's, ``source`` what it is called in another package otherwise;
    ``done`` tells whether it is the project's ``pipeline.activate``.
    """

    module: Module
    line: int
    target: str
    name: str
    whole: bool
    linked: str
    own: str
    source: str
    done: bool


class Schemas:
    """The schemas of a package, parents before children."""

    def __init__(self, modules: list[Module], prefix: str) -> None:
        self.modules = {module.name: module for module in modules}
        self.activations = [found for module in modules for found in _activations(module)]
        openings = {(o.module.name, o.variable): o for module in modules for o in openings_of(module)}
        named = {one.own: one for one in self.activations if one.own}
        self._found: dict[str, Schema] = {}
        self._of_element = {one.source: self._take_element(one, prefix) for one in self.activations if one.source}
        self._of_table: dict[tuple[str, str], str] = {}
        #: The schema of each variable that tables are given to.
        self.places = dict[tuple[str, str], str]()
        for place, opening in openings.items():
            if opening.kind == "deferred" and not opening.name and (call := named.get(opening.module.name)):
                opening.name, opening.whole = call.name, call.whole
            if not self._is_used(place, opening, openings):
                continue
            name = called(opening, prefix)
            if name in self._found and not opening.name:  # only its module tells what it may be called
                name = "_".join(opening.module.name.split(".")[-2:])
            schema = self._found.setdefault(name, Schema(name, opening))
            schema.database = schema.database or _strange(opening, name, prefix)
            if schema.opening is not opening:
                schema.again.append(opening)
            self.places[place] = name
            _add(schema.modules, opening.module.name)
        self.unknown: dict[tuple[str, str], list[ast.ClassDef]] = {}
        for module in modules:
            self._take_tables(module)
        self._found = {name: self._found[name] for name in self._in_order()}

    def __iter__(self) -> Iterator[Schema]:
        return iter(self._found.values())

    def __len__(self) -> int:
        return len(self._found)

    @property
    def names(self) -> list[str]:
        """Return their names in the code, parents before children."""
        return list(self._found)

    @property
    def databases(self) -> dict[str, str]:
        """Return the databases whose names do not follow from prefix and name."""
        return {schema.name: schema.database for schema in self if schema.database}

    @property
    def holders(self) -> set[str]:
        """Return the modules that have tables of a schema, or open one."""
        return {module for schema in self for module in schema.modules}

    def activated(self, call: Activation) -> str:
        """Return the schema that an activation opens."""
        own = next((schema.name for schema in self if call.own and schema.opening.module.name == call.own), "")
        return own or self._of_element.get(call.source, call.name.lower())

    def of_table(self, module: str, table: str) -> str:
        """Return the schema of a class, empty where it is of none."""
        return self._of_table.get((module, table.partition(".")[0]), "")

    def parents(self, name: str) -> set[str]:
        """Return the schemas that foreign keys of a schema lead to."""
        found = set[str]()
        for module, table in self._found[name].tables:
            for definition in self.modules[module].definitions:
                if definition.table.partition(".")[0] == table:
                    for _, target in definition.references:
                        found.add(self._schema_of(self.modules[module], target))
        return found - {"", name}

    def resolve(self, module: Module, target: str) -> tuple[str, str]:
        """Return the module and the class that a foreign key leads to, as :meth:`Module.resolve` does.

        What a module that is activated by another one does not import comes from the one that it is linked with.
        """
        other, table = module.resolve(target)
        is_own = not other and table.partition(".")[0] in {node.name for node in module.classes}
        if is_own or (other and other in self.modules):
            return other, table
        for call in self.activations:
            if call.own == module.name and call.linked == "__name__" and call.module is not module:
                return call.module.resolve(target)
        return other, table

    def _schema_of(self, module: Module, target: str) -> str:
        other, table = self.resolve(module, target)
        if found := self.of_table(other or module.name, table):
            return found
        head = table.partition(".")[0]
        places = [self.modules.get(other, module), *(c.module for c in self.activations if c.own == module.name)]
        sources = [place.foreign[head] for place in places if head in place.foreign]
        return next((self._of_element[source] for source in sources if source in self._of_element), "")

    def wrong_order(self, listed: list[str]) -> list[tuple[str, str]]:
        """Return (child, parent) for each parent that a list of names has below its child."""
        place = {name: number for number, name in enumerate(listed)}
        return [
            (name, parent)
            for name in listed
            if name in self._found
            for parent in sorted(self.parents(name))
            if place.get(parent, -1) > place[name] and name not in self._above(parent)
        ]

    def _above(self, name: str) -> set[str]:
        """Return everything that a schema depends on."""
        found, left = set[str](), [name]
        while left:
            new = self.parents(left.pop()) - found
            found |= new
            left += new
        return found

    def _in_order(self) -> list[str]:
        left, done = list(self._found), list[str]()
        parents = {name: self.parents(name) for name in left}
        while left:
            free = next((name for name in left if not parents[name] & set(left) - {name}), left[0])
            done.append(free)
            left.remove(free)
        return done

    def _is_used(self, place: tuple[str, str], opening: Opening, every: dict[tuple[str, str], Opening]) -> bool:
        """Return whether tables are given to a schema; one alone in a module without classes may wait for some."""
        used = {_place(module, node) for module in self.modules.values() for node in decorators(module)}
        alone = not opening.module.classes and sum(other.module is opening.module for other in every.values()) == 1
        return place in used or alone

    def _take_tables(self, module: Module) -> None:
        for node in module.classes:
            given = [place for place in (_place(module, one) for one in node.decorator_list) if place in self.places]
            for place in given:
                schema = self._found[self.places[place]]
                schema.tables.append((module.name, node.name))
                self._of_table[module.name, node.name] = schema.name
                _add(schema.modules, module.name)
            for decorator in () if given else node.decorator_list:
                if any(found.table.partition(".")[0] == node.name for found in module.definitions):
                    text = ast.unparse(decorator)
                    if text.partition(".")[0] not in module.foreign:  # tables may be given to an Element
                        self.unknown.setdefault((module.name, text), []).append(node)

    def _take_element(self, call: Activation, prefix: str) -> str:
        kind = "open_schema" if call.done else "element"
        opening = Opening(call.module, call.line, kind, "", call.name, call.whole)
        name = called(opening, prefix)
        self._found.setdefault(name, Schema(name, opening, _strange(opening, name, prefix)))
        return name


def _add(names: list[str], name: str) -> None:
    if name not in names:
        names.append(name)


def common_prefix(modules: list[Module]) -> str:
    """Return what all databases of a package begin with, where it has several and that may be a prefix."""
    openings = [opening for module in modules for opening in openings_of(module) if opening.kind != "open_schema"]
    hidden = any(opening.kind == "dj" and not opening.name for opening in openings)
    found = {opening.name for opening in openings if opening.name and opening.name.islower()}
    match = re.match(r"[a-z][a-z0-9_]{0,14}_", min(found, default=""))
    if match is None or len(found) < 2 or hidden:
        return ""
    parts = match[0].split("_")
    prefixes = ["_".join(parts[:length]) + "_" for length in range(len(parts) - 1, 0, -1)]
    return next((p for p in prefixes if all(name.startswith(p) and name != p for name in found)), "")


def called(opening: Opening, prefix: str) -> str:
    """Return the name that a schema is to have in the code."""
    name = opening.name
    if opening.kind != "open_schema" and prefix and name.startswith(prefix):
        name = name[len(prefix) :]
    name = re.sub(r"\W+", "_", name.lower()).strip("_")
    return name if name.isidentifier() else opening.module.name.rpartition(".")[2] or opening.module.path.parent.name


def _strange(opening: Opening, name: str, prefix: str) -> str:
    """Return what a database is called that is known and does not follow from prefix and name, empty otherwise."""
    follows = not opening.whole or opening.name == f"{prefix}{name}"
    return "" if follows or opening.kind == "open_schema" else opening.name


def decorators(module: Module) -> list[ast.expr]:
    """Return what stands above the classes of a module."""
    return [decorator for node in module.classes for decorator in node.decorator_list]


def _place(module: Module, decorator: ast.expr) -> tuple[str, str]:
    """Return module and variable of the schema that a decorator is."""
    text = ast.unparse(decorator.func if isinstance(decorator, ast.Call) else decorator)
    head, _, rest = text.partition(".")
    if rest or head in module.aliases:
        other, inner = module.resolve(text)
        return (other, inner) if other or head in module.aliases else (module.name, text)
    for _, star in module.stars:
        if star in module.others and not any(o.variable == text for o in openings_of(module)):
            return star, text
    return module.name, text


def openings_of(module: Module) -> list[Opening]:
    """Return the schemas that a module makes when it is imported, in order."""
    found = dict[str, Opening]()
    for node in statements(module.tree.body):
        if not isinstance(node, (ast.Assign, ast.AnnAssign)) or node.value is None:
            continue
        target = node.targets[0] if isinstance(node, ast.Assign) else node.target
        for call in [inner for inner in ast.walk(node.value) if isinstance(inner, ast.Call)]:
            if (kind := _kind(module, call)) and isinstance(target, ast.Name):
                first = _first(call, "schema_name", "database", "name")
                name, whole = naming.known(module, first)
                opening = Opening(module, call.lineno, kind if first else "deferred", target.id, name, whole)
                found.setdefault(target.id, opening)
    for variable, opening in found.items():
        if opening.kind == "deferred":
            _activate(module, variable, opening)
    return list(found.values())


def _kind(module: Module, call: ast.Call) -> str:
    if module.dotted(call.func) in ("dj.schema", "dj.Schema", "dj.schemas.Schema", "dj.schemas._Schema"):
        return "dj"
    name = getattr(call.func, "id", getattr(call.func, "attr", ""))
    return "open_schema" if name == "open_schema" and (call.args or call.keywords) else ""


def _first(call: ast.Call, *names: str) -> ast.expr | None:
    """Return the first argument of a call, also where it is given by name; None where it is None."""
    found = call.args[0] if call.args else next((word.value for word in call.keywords if word.arg in names), None)
    return None if isinstance(found, ast.Constant) and found.value is None else found


def _activate(module: Module, variable: str, opening: Opening) -> None:
    for node in statements(module.tree.body):
        if isinstance(node, ast.FunctionDef):
            if any(_activates(call, variable) for call in ast.walk(node)):
                opening.activated = -1
        elif isinstance(node, ast.Expr) and _activates(node.value, variable):
            first = _first(node.value, "schema_name") if isinstance(node.value, ast.Call) else None
            opening.name, opening.whole = naming.known(module, first)
            opening.activated = node.lineno


def _activates(node: ast.AST, name: str) -> bool:
    function = node.func if isinstance(node, ast.Call) else None
    return isinstance(function, ast.Attribute) and function.attr == "activate" and ast.unparse(function.value) == name


def _activations(module: Module) -> Iterator[Activation]:
    own = {opening.variable for opening in openings_of(module)}
    for node in module.nodes:
        function = node.func if isinstance(node, ast.Call) else None
        if not isinstance(node, ast.Call) or not isinstance(function, ast.Attribute) or function.attr != "activate":
            continue
        target, arguments = ast.unparse(function.value), list(node.args)
        done = target == "pipeline" and bool(arguments) and isinstance(arguments[0], (ast.Name, ast.Attribute))
        if done:
            target = ast.unparse(arguments.pop(0))
        head = target.partition(".")[0]
        linked = next((ast.unparse(word.value) for word in node.keywords if word.arg == "linking_module"), "")
        ours = module.resolve(target)[0] if head in module.aliases else ""
        theirs = head in module.foreign and bool(arguments or linked) and (done or bool(module.datajoint or linked))
        if target in own or not (ours or theirs):
            continue
        first = arguments[0] if arguments else _first(node, "schema", "schema_name")
        name, whole = naming.known(module, first)
        source = ".".join(filter(None, [module.foreign.get(head, ""), target.partition(".")[2]])) if not ours else ""
        yield Activation(
            module,
            node.lineno,
            target,
            name or target.rpartition(".")[2],
            whole and not done,
            linked,
            ours,
            source,
            done,
        )
