"""Check the package's own files: ``__init__.py``, the versions of its schemas, and what git leaves alone."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator

from .findings import Finding
from .project import Project, line_of, text_of
from .schemas import Schemas
from .source import parse

#: What the template adds to a repository, and git has to take.
_ADDED = (
    *("pyproject.toml", "datajoint.json", ".copier-answers.yml", ".gitignore", ".dockerignore", ".editorconfig"),
    *(".pre-commit-config.yaml", ".github/workflows/ci.yml", "compose.yaml", "mkdocs.yml"),
    *("deploy/Dockerfile", "deploy/worker.sbatch", "deploy/update-template.sh", "docs/index.md", "docs/adopting.md"),
    "tests/test_pipeline.py",
)
_ADDED_TO_PACKAGE = (
    "__init__.py",
    "__main__.py",
    "version.py",
    "migrations/README.md",
    "migrations/subject/snapshot.txt",
    "migrations/subject/1.0.0.txt",
    "migrations/subject/1.1.0_add_weight.py",
)


def check(project: Project, schemas: Schemas) -> Iterator[Finding]:
    """Yield what the package does not say yet.

    Parameters
    ----------
    project : Project
        The pipeline.
    schemas : Schemas
        Its schemas.
    """
    yield from _init(project, schemas)
    yield from _versions(project, schemas)
    yield from _ignored(project)
    yield from _swallowed(project)


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


def _init(project: Project, schemas: Schemas) -> Iterator[Finding]:
    path = project.own_file("__init__.py")
    defined = _names(text_of(path))
    wanted = init_lines(project)
    hidden = [schema.name for schema in schemas if schema.opening.kind == "dj" and not schema.opening.whole]
    if hidden and not project.prefix:
        wanted["pipeline"] = wanted["pipeline"].replace('prefix="",', 'prefix="",  # what the databases begin with')
    if project.has_manage and "open_schema" in defined:
        # manage/ of a project made before release 0.6 hands the library's names on.
        wanted = {"SCHEMA_VERSIONS": wanted["SCHEMA_VERSIONS"]}
    if "pipeline" in defined:
        wanted.pop("Pipeline", None)
    missing = [line for name, line in wanted.items() if name not in defined]
    if missing:
        what = "The package does not say what the library asks of it."
        do = "Put at its top:\n" + "\n".join(f"    {line}" for line in missing)
        if "pipeline" in wanted and "pipeline" not in defined and project.environment != "prod":
            do += f"\nScripts and notebooks work on {project.environment} then; "
            do += f"{project.package.upper()}_ENV=prod has them work on prod."
        yield Finding(project.shown(path), 1, "init-lines", what, do)
    own = next((module for module in schemas.modules.values() if not module.name), None)
    eager = sorted(schemas.holders & set(own.early_imports)) if own else []
    if eager:
        what = f"Importing the package imports {', '.join(eager)}, and so connects to the database."
        do = "Leave these imports out; who needs a module imports it."
        yield Finding(
            project.shown(path), min(own.early_imports[n] for n in eager) if own else 1, "init-lines", what, do
        )


def _versions(project: Project, schemas: Schemas) -> Iterator[Finding]:
    path = project.version_file
    shown, text = project.shown(path), text_of(path)
    if not path.is_file():
        do = "This command writes it, with --convert." if schemas.names else "Write it when the package opens a schema."
        yield Finding(shown, 1, "no-version", "There is no version of the schemas.", do)
        return
    versions = _listed(text, "SCHEMA_VERSIONS")
    if versions is None:
        do = f"Add:\n    {_dictionary('SCHEMA_VERSIONS', dict.fromkeys(schemas.names, '1.0.0'))}"
        yield Finding(shown, 1, "version-lines", "It says no versions of the schemas.", do)
        return
    line = line_of(text, "SCHEMA_VERSIONS")
    for name in schemas.names:
        if name not in versions:
            do = f'Add "{name}": "1.0.0" below the schemas that it depends on.'
            yield Finding(shown, line, "version-lines", f"SCHEMA_VERSIONS lacks {name}.", do)
    for name in versions:
        if name not in schemas.names:
            what = f"SCHEMA_VERSIONS names {name}, which no module opens."
            yield Finding(shown, line, "version-lines", what, "Take it out, or open it in a module.")
    named = _listed(text, "SCHEMA_DATABASES") or []
    if unnamed := {name: database for name, database in schemas.databases.items() if name not in named}:
        what = f"The database of {', '.join(unnamed)} is not called by the prefix and that name."
        do = f"Add to SCHEMA_DATABASES:\n    {_dictionary('SCHEMA_DATABASES', unnamed)}"
        yield Finding(shown, line, "version-lines", what, do)
    if wrong := schemas.wrong_order(versions):
        pairs = "; ".join(f"{name} above {parent}" for name, parent in wrong[:3])
        what = f"SCHEMA_VERSIONS names schemas above those that they depend on: {pairs}."
        yield Finding(shown, line, "version-order", what, f"Write them in this order: {', '.join(schemas.names)}.")


def _dictionary(name: str, values: dict[str, str]) -> str:
    lines = "".join(f'\n        "{key}": "{value}",' for key, value in values.items())
    return f"{name} = {{{lines}\n    }}"


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


def _listed(text: str, variable: str) -> list[str] | None:
    """Return the keys of a dictionary at the top level of a file, None where there is no such dictionary."""
    try:
        tree = parse(text)
    except SyntaxError:
        return None
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        value = getattr(node, "value", None)
        if any(getattr(t, "id", "") == variable for t in targets) and isinstance(value, ast.Dict):
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


def _swallowed(project: Project) -> Iterator[Finding]:
    """Yield lines of the lab's that keep files of the template out of git."""
    paths = [*_ADDED, *(f"{project.shown(project.home)}/{name}" for name in _ADDED_TO_PACKAGE)]
    command = ["git", "check-ignore", "--no-index", "--verbose", "--stdin"]
    try:
        asked = subprocess.run(
            command, cwd=project.root, input="\n".join(paths), capture_output=True, text=True, check=False
        )
    except OSError:
        return
    lines: dict[tuple[str, int, str], list[str]] = {}
    for row in asked.stdout.splitlines():
        where, _, path = row.partition("\t")
        source, line, pattern = where.split(":", 2)
        if not pattern.startswith("!") and not source.startswith(("/", "..", ".git/")):
            lines.setdefault((source, int(line), pattern), []).append(path)
    for (source, number, pattern), kept in lines.items():
        what = f"The line {pattern} keeps files of the template out of git: {', '.join(kept)}."
        do = "Add below it:\n" + "\n".join(f"    !/{path}" for path in _unignored(kept, pattern))
        yield Finding(source, number, "ignored-file", what, do)


def _unignored(paths: list[str], pattern: str) -> list[str]:
    """Return what takes paths into git again: a folder that is left out is first let in."""
    name = pattern.strip("/").rpartition("/")[2]
    folders = [path[: path.index(f"{name}/") + len(name) + 1] for path in paths if f"{name}/" in f"{path}"]
    # Of migrations, a schema and a version stand for all.
    return list(dict.fromkeys(re.sub(r"(migrations)/subject/[^/]+([.]\w+)$", r"\1/*/*\2", p) for p in folders or paths))
