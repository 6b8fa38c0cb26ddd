"""Calls of DataJoint 0.14 that 2.3 has no more, has under another name, or answers otherwise.

Whether DataJoint has a name is asked of DataJoint 2.3 itself. What a call is called on is not known from its text, so
of methods only those are spoken of that are DataJoint's own, in files that import it or the package's modules.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator

from ..internals import names
from . import rewriting
from .findings import Finding
from .schemas import openings_of
from .source import Module

#: Names of the package: what to write instead.
_RENAMED = {
    "ERD": "Write dj.Diagram.",
    "Di": "Write dj.Diagram.",
    "create_virtual_module": "Write dj.VirtualModule, with the same arguments.",
    "key": 'Write "KEY".',
    "key_hash": "Compute it yourself, from the sorted values of the key.",
    "set_password": "Change the password by a statement of the server: ALTER USER USER() IDENTIFIED BY '...'.",
    "kill": "Use KILL of the server; DataJoint lists no connections any more.",
    "AttributeAdapter": "Inherit dj.Codec, with name, get_dtype, encode and decode.",
    "schema": "Write dj.Schema; a module of the package opens its schema by open_schema.",
    "schemas.Schema": "Write dj.Schema.",
    "jobs.key_hash": "Compute it yourself, from the sorted values of the key.",
    "blob.bypass_serialization": "Leave it out; rows are copied by SQL, or by insert(query).",
    "utils.get_master": "The master of a part is its attribute master; of a name, what stands before __.",
}

#: Modules of the package that are gone.
_MODULES = {
    "admin": "KILL and ALTER USER of the server do what it did.",
    "attribute_adapter": "Inherit dj.Codec instead.",
    "external": "Objects in stores are values of codecs now: <blob@store>, <attach@store>.",
    "fetch": "Use to_dicts, to_arrays, to_pandas and keys of a query.",
    "hash": "Use hashlib.",
    "plugin": "There are no plugins to check any more.",
    "s3": "Stores are read through fsspec; use a codec.",
}

#: Methods that are gone.
_METHODS = {
    "_update": "Write update1({**key, attribute: value}).",
    "spawn_missing_classes": "Write make_classes().",
    "size_on_disk": "Ask information_schema.tables of the server.",
    "save_local": "Put the settings into datajoint.json.",
    "save_global": "Put the settings into datajoint.json, which is found in the folders above.",
    "topo_sort": "Iterate over the diagram, which is in that order.",
}

#: Arguments that are gone, by method.
_ARGUMENTS = {
    "delete": {
        "safemode": "Write prompt=.",
        "force": 'Write part_integrity="ignore".',
        "force_parts": 'Write part_integrity="ignore".',
        "force_masters": 'Write part_integrity="cascade".',
    },
    "drop": {"force": 'Write prompt=False for a schema or table, part_integrity="ignore" for a part.'},
    "populate": {
        "keys": "Write the keys as a restriction: populate(keys).",
        "order": "Leave it out; give jobs a priority instead.",
        "limit": "Write max_calls=.",
    },
    "aggr": {"keep_all_rows": "Leave out keep_all_rows=True; for False write exclude_nonmatching=True."},
    "fetch": {"download_path": "Set dj.config.download_path, or override it."},
    "fetch1": {"download_path": "Set dj.config.download_path, or override it."},
    "conn": {"init_fun": "Run the statement by dj.conn().query(...)."},
}

_KNOWN_SETTINGS = (
    *("database", "connection.charset", "display", "jobs", "provenance", "stores"),
    *("loglevel", "safemode", "query_cache", "download_path"),
)

_SETTINGS = {
    "fetch_format": "Leave it out; to_arrays and to_pandas say what comes back.",
    "enable_python_native_blobs": "Leave it out; it is always so.",
    "connection.init_function": "Run the statement by dj.conn().query(...).",
    "add_hidden_timestamp": "Leave it out; the columns that it made stay, hidden.",
    "filepath_checksum_size_limit": "Leave it out.",
    "cache": 'Write "query_cache" for results of queries; objects of stores are not kept.',
    "database.prefix": "Leave it out; prefix= of the package's Pipeline is the prefix.",
}


def check(modules: Iterable[Module]) -> Iterator[Finding]:
    """Yield a finding for every such call in these files."""
    for module in modules:
        tables = {node.name for node in module.classes if node.decorator_list}
        for node in module.nodes:
            for rule in _RULES:
                for id_, line, what, do in rule(module, node):
                    sure = bool(rewriting.edits_of(module, node, id_))
                    yield Finding(module.shown, line, id_, what, do, note=id_ == "fetch", sure=sure)
            yield from _operators(module, node, tables)


def edits(module: Module) -> list[rewriting.Edit]:
    """Return the edits of a file's calls that have one right form."""
    found = {
        edit
        for node in module.nodes
        for rule in _RULES
        for id_, *_ in rule(module, node)
        for edit in rewriting.edits_of(module, node, id_)
    }
    return sorted(found)


Found = Iterator["tuple[str, int, str, str]"]


def _imports(module: Module, node: ast.AST) -> Found:
    found: list[str] = []
    if isinstance(node, ast.Import):
        found = [item.name for item in node.names]
    elif isinstance(node, ast.ImportFrom) and not node.level:
        found = [f"{node.module}.{item.name}" for item in node.names if item.name != "*"] or [node.module or ""]
    told = set[str]()
    for name in found:
        head, _, rest = name.partition(".")
        line = getattr(node, "lineno", 0)
        if head == "datajoint":
            for rule, what, do in _lacking(rest):
                if what not in told:
                    told.add(what)
                    yield rule, line, what, do


def _lacking(name: str) -> Iterator[tuple[str, str, str]]:
    """Yield rule, sentence and advice for a name that DataJoint lacks."""
    if not name or name.startswith("_") or not (lacking := names.missing(name)):
        return
    if do := _MODULES.get(lacking):
        yield "legacy-import", f"DataJoint 2 has no module datajoint.{lacking}.", do
    else:
        do = _RENAMED.get(lacking, "Leave it out, or write what it did yourself.")
        yield "renamed-name", f"DataJoint 2 has no dj.{lacking}.", do


def _names(module: Module, node: ast.AST) -> Found:
    if not isinstance(node, ast.Attribute) or not (name := module.dotted(node)).startswith("dj."):
        return
    if module.dotted(node.value) != "dj" and names.missing(module.dotted(node.value)[3:]):
        return  # told of the inner name
    if name == "dj.schema" and not module.beside and _is_replaced(module, node.lineno):
        return  # told as the schema of the module
    for rule, what, do in _lacking(name[3:]):
        yield rule, node.lineno, what, do


def _is_replaced(module: Module, line: int) -> bool:
    """Return whether a schema gives way to open_schema; that of an Element stays one of DataJoint's own."""
    return any(o.line == line and (o.kind == "dj" or o.activated > 0) for o in openings_of(module))


def _methods(module: Module, node: ast.AST) -> Found:
    if not module.uses_datajoint or not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
        return
    method, arguments = node.func.attr, {keyword.arg for keyword in node.keywords if keyword.arg}
    if do := _METHODS.get(method):
        yield "removed-method", node.lineno, f"DataJoint 2 has no {method}().", do
    for argument, do in _ARGUMENTS.get(method, {}).items():
        if argument in arguments:
            yield "removed-argument", node.lineno, f"{method}() takes no {argument} any more.", do
    # All of dj.U cannot be kept, so nothing has changed there.
    explicit = arguments & {"exclude_nonmatching", "keep_all_rows"} or _universal(module, node.func.value)
    if method in ("aggr", "aggregate") and not explicit:
        what = "aggr() keeps rows that nothing matches; until 2.0 it left them out."
        yield (
            "aggr-rows",
            node.lineno,
            what,
            "Write exclude_nonmatching=True where it is to be as before, or =False.",
        )
    if method == "fetch" and node.func.value is not None:
        yield "fetch", node.lineno, "fetch() works, with a warning that it will go.", f"Write {_instead(node)}."


def _instead(call: ast.Call) -> str:
    """Return what gives the same as a call of ``fetch``."""
    arguments = {keyword.arg: keyword.value for keyword in call.keywords}
    rest = ", ".join(
        f"{name}={ast.unparse(value)}" for name, value in arguments.items() if name not in ("as_dict", "format", None)
    )
    keyed = [argument for argument in call.args if getattr(argument, "value", None) == "KEY"]
    attributes = ", ".join(ast.unparse(argument) for argument in call.args if argument not in keyed)
    if isinstance(arguments.get("as_dict"), ast.Constant) and getattr(arguments["as_dict"], "value", None):
        before = f".proj({attributes})" if attributes else ""
        return f"{before}.to_dicts({rest})".lstrip(".")
    if getattr(arguments.get("format"), "value", None) == "frame":
        return f"to_pandas({rest})"
    if keyed and not attributes:
        return f"keys({rest})"
    with_key = "include_key=True" if keyed else ""
    return f"to_arrays({', '.join(filter(None, [attributes, with_key, rest]))})"


def _jobs(module: Module, node: ast.AST) -> Found:
    if not isinstance(node, ast.Attribute) or not module.uses_datajoint:
        return
    on_schema = isinstance(node.value, (ast.Name, ast.Attribute)) and ast.unparse(node.value).endswith("schema")
    if on_schema and node.attr == "jobs":
        what = "schema.jobs is a list of the job tables now, one for each computed table."
        yield "schema-jobs", node.lineno, what, "Write Table.jobs for the jobs of a table."
    elif on_schema and node.attr in ("external", "log", "code", "save"):
        what = f"DataJoint 2 has no {ast.unparse(node)}."
        do = "The command log of the project tells who changed what." if node.attr == "log" else "Leave it out."
        yield "removed-method", node.lineno, what, do


def _config(module: Module, node: ast.AST) -> Found:
    if isinstance(node, ast.Call):
        called = module.dotted(node.func)
        if called == "dj.config":
            yield "config-method", node.lineno, "dj.config is called.", "Write dj.config.override(...)."
        elif called.startswith("dj.config.") and called[10:] in ("get", "setdefault", "update", "pop", "clear", "save"):
            if called != "dj.config.get":
                do = "Put the setting into datajoint.json, or set dj.config[...]."
                yield "config-method", node.lineno, f"DataJoint 2 has no {called}().", do
            yield from _setting(node, node.args[0] if node.args else None)
    elif isinstance(node, ast.Subscript) and module.dotted(node.value) == "dj.config":
        yield from _setting(node, node.slice)
    elif isinstance(node, ast.Compare) and any(module.dotted(other) == "dj.config" for other in node.comparators):
        what = "Whether dj.config has a setting is asked by `in`, which fails: DataJoint 2's is no dictionary."
        yield "config-method", node.lineno, what, "Leave the question out."
        yield from _setting(node, node.left)
    elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
        keys = [t.slice for t in node.targets if isinstance(t, ast.Subscript) and module.dotted(t.value) == "dj.config"]
        if any(getattr(key, "value", None) == "database.password" for key in keys) and node.value.value:
            do = "Take it out, change it on the server, and put the new one into .secrets/database.password."
            yield "secret-in-code", node.lineno, "A password stands in the code.", do


def _setting(node: ast.AST, key: ast.AST | None) -> Found:
    name, line = getattr(key, "value", None), getattr(node, "lineno", 0)
    if not isinstance(name, str):
        return
    if name == "custom":
        do = (
            "Leave it out. The prefix of schemas is the Pipeline's; a folder of data is a constant of the package, "
            "an environment variable, or a store in datajoint.json."
        )
        yield "config-custom", line, 'DataJoint 2 has no dj.config["custom"].', do
    elif not any(name == known or name.startswith(f"{known}.") for known in _KNOWN_SETTINGS):
        do = _SETTINGS.get(name, "Leave it out, or keep it in a file of your own.")
        yield "config-key", line, f"DataJoint 2 has no setting {name}.", do
    elif name == "database.prefix":
        yield "config-key", line, f"DataJoint 2 has no setting {name}.", _SETTINGS[name]


def _universal(module: Module, node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and module.dotted(node.func) == "dj.U"


def _operators(module: Module, node: ast.AST, tables: set[str]) -> Iterator[Finding]:
    if not isinstance(node, ast.BinOp):
        return
    sides = (node.left, node.right)
    if isinstance(node.op, ast.Mult) and any(_universal(module, side) for side in sides):
        do = "Leave dj.U out of the product; dj.U(...) & table gives the distinct values."
        what = "dj.U is multiplied, which DataJoint 2 refuses."
        yield Finding(module.shown, node.lineno, "universal-join", what, do)
    if isinstance(node.op, ast.MatMult) and any(_is_table(module, side, tables) for side in sides):
        do = "Write .join(other, semantic_check=False)."
        yield Finding(module.shown, node.lineno, "join-operator", "Tables are joined by @, which is gone.", do)


def _is_table(module: Module, node: ast.AST, tables: set[str]) -> bool:
    if isinstance(node, ast.BinOp):
        return any(_is_table(module, side, tables) for side in (node.left, node.right))
    if isinstance(node, ast.Call):
        return _is_table(module, node.func, tables)
    text = ast.unparse(node) if isinstance(node, (ast.Name, ast.Attribute)) else ""
    head, _, rest = text.partition(".")
    return head in tables or (head in module.aliases and rest[:1].isupper())


_RULES: tuple[Callable[[Module, ast.AST], Found], ...] = (_imports, _names, _methods, _jobs, _config)
