"""Check the package's own files: ``__init__.py``, the versions of its schemas, and what git leaves alone."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping

from .findings import Finding
from .project import Project, line_of, text_of
from .schemas import parents
from .source import Module, parse


def check(project: Project, top: list[Module], schemas: Mapping[str, str]) -> Iterator[Finding]:
    """Yield what the package does not say yet.

    Parameters
    ----------
    project : Project
        The pipeline.
    top : list of Module
        The modules at the top level of the package.
    schemas : mapping
        The module of each schema, parents before children.
    """
    yield from _init(project, schemas)
    yield from _versions(project, top, schemas)
    yield from _ignored(project)


def init_lines(project: Project) -> dict[str, str]:
    """Return what ``__init__.py`` has to hold, by the name that it defines."""
    settings = {"prefix": project.prefix, "default_environment": project.environment, "command": project.command}
    given = "".join(f'        {name}="{value}",\n' for name, value in settings.items())
    return {
        "Pipeline": "from datajoint_pipeline import Pipeline",
        "SCHEMA_VERSIONS": "from .version import SCHEMA_VERSIONS, __version__",
        "pipeline": f"pipeline = Pipeline(\n        __name__,\n        versions=SCHEMA_VERSIONS,\n{given}    )",
        "open_schema": "open_schema = pipeline.open_schema",
        "initialize": "initialize = pipeline.initialize",
    }


def _init(project: Project, schemas: Mapping[str, str]) -> Iterator[Finding]:
    path = project.folder / "__init__.py"
    defined = _names(text_of(path))
    wanted = init_lines(project)
    if project.has_manage and "open_schema" in defined:
        # manage/ of a project made before release 0.6 hands the library's names on.
        wanted = {"SCHEMA_VERSIONS": wanted["SCHEMA_VERSIONS"]}
    if "pipeline" in defined:
        wanted.pop("Pipeline", None)
    missing = [line for name, line in wanted.items() if name not in defined]
    if missing:
        what = "The package does not say what the library asks of it."
        do = "Put at its top:\n" + "\n".join(f"    {line}" for line in missing)
        yield Finding(project.shown(path), 1, "init-lines", what, do)
    eager = [name for name in schemas.values() if name in defined]
    if eager:
        what = f"Importing the package imports {', '.join(eager)}, and so connects to the database."
        do = "Leave these imports out; who needs a module imports it."
        yield Finding(project.shown(path), 1, "init-lines", what, do)


def _versions(project: Project, top: list[Module], schemas: Mapping[str, str]) -> Iterator[Finding]:
    path = project.version_file
    shown = project.shown(path)
    if not path.is_file():
        do = "This command writes it, with --convert."
        yield Finding(shown, 1, "no-version", "There is no version of the schemas.", do)
        return
    versions = _listed(text_of(path))
    if versions is None:
        lines = "".join(f'\n        "{name}": "1.0.0",' for name in schemas)
        what, do = "It says no versions of the schemas.", f"Add:\n    SCHEMA_VERSIONS = {{{lines}\n    }}"
        yield Finding(shown, 1, "version-lines", what, do)
        return
    line = line_of(text_of(path), "SCHEMA_VERSIONS")
    for name in schemas:
        if name not in versions:
            do = f'Add "{name}": "1.0.0" below the schemas that it depends on.'
            yield Finding(shown, line, "version-lines", f"SCHEMA_VERSIONS lacks {name}.", do)
    for name in versions:
        if name not in schemas:
            what = f"SCHEMA_VERSIONS names {name}, which no module opens."
            yield Finding(shown, line, "version-lines", what, "Take it out, or open it in a module.")
    listed = [name for name in versions if name in schemas]
    if listed != [name for name in schemas if name in versions] and not _in_order(listed, top, schemas):
        what = "SCHEMA_VERSIONS names a schema above one that it depends on."
        do = f"Write them in this order: {', '.join(schemas)}."
        yield Finding(shown, line, "version-order", what, do)


def _in_order(listed: list[str], top: list[Module], schemas: Mapping[str, str]) -> bool:
    """Return whether parents stand before children, in whatever order otherwise."""
    place = {schemas[name]: number for number, name in enumerate(listed)}
    above = {module.name: parents(module) for module in top}
    return all(place.get(other, -1) < place[name] for name in place for other in above.get(name, ()))


def _names(text: str) -> set[str]:
    """Return what a file defines or imports at its top level."""
    try:
        tree = parse(text)
    except SyntaxError:
        return set()
    found: set[str] = set()
    for node in tree.body:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            found |= {(item.asname or item.name).split(".")[0] for item in node.names}
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found |= {target.id for target in targets if isinstance(target, ast.Name)}
    return found


def _listed(text: str) -> list[str] | None:
    """Return the schemas that ``SCHEMA_VERSIONS`` names, None where there is no such dictionary."""
    try:
        tree = parse(text)
    except SyntaxError:
        return None
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        value = getattr(node, "value", None)
        if any(getattr(t, "id", "") == "SCHEMA_VERSIONS" for t in targets) and isinstance(value, ast.Dict):
            return [str(key.value) for key in value.keys if isinstance(key, ast.Constant)]
    return None


def _ignored(project: Project) -> Iterator[Finding]:
    """Yield what has to stand in ``.gitignore``."""
    ignored = {line.strip().strip("/") for line in text_of(project.root / ".gitignore").splitlines()}
    lines = (".secrets/*", "!.secrets/README.md", ".local/", "backups/")
    wanted = [line for line in lines if line.strip("/") not in ignored]
    if ".secrets" in ignored:
        wanted = [line for line in wanted if ".secrets" not in line]
    if wanted:
        what = "git would take credentials, the embedded server or backups into a commit."
        do = "Add:\n" + "\n".join(f"    {line}" for line in wanted)
        yield Finding(".gitignore", 1, "ignore-lines", what, do)
