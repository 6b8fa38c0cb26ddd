"""Write what can be derived and is no code: configuration and credentials from ``dj_local_conf.json``, ``version.py``.

Nothing that is the lab's is changed. A value that was set to something else is left, and reported.
"""

from __future__ import annotations

import copy
import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..errors import PipelineError
from .configuration import LEGACY, prefix_of, read, secrets, settings, stores
from .findings import Finding
from .project import Project, in_git, text_of, version_of

CONFIG = "datajoint.json"

#: What the template writes for a pipeline that exists, where nothing else is answered.
_FRESH: dict[str, Any] = {
    "database": {"backend": "mysql", "host": "localhost", "port": 3306, "create_tables": False},
    "jobs": {"add_job_metadata": False, "version_method": "git"},
    "provenance": {"capture": False},
}

# --- Writing ---------------------------------------------------------------------------------------------------------


def convert(project: Project, schemas: Mapping[str, str]) -> Iterator[str]:
    """Write what is missing.

    Parameters
    ----------
    project : Project
        The pipeline.
    schemas : mapping
        The module of each schema, parents before children.

    Yields
    ------
    str
        A line for each file that was written, and for each thing that was left.
    """
    content = read(project.root)
    if content is not None:
        yield from _write_config(project, content)
        yield from _write_secrets(project.root, secrets(content))
        yield from (f"left: {sentence}" for sentence in left(content, project))
        yield f"left: {LEGACY} stays as it is; DataJoint 2 ignores it."
        if secrets(content).keys() & {"database.password"}:
            yield f"left: {LEGACY} holds a password in plain text; delete it when no process of 0.14 reads it any more."
            if in_git(project.root, LEGACY):
                yield f"left: {LEGACY} is in the history of git, and so is that password: change it on the server."
    yield from _write_version(project, schemas)


def left(content: Mapping[str, Any], project: Project) -> Iterator[str]:
    """Yield what a person has to look at."""
    prefix = prefix_of(content)
    if prefix:
        yield f'custom has the prefix "{prefix}": __init__.py has to say prefix="{prefix}" where it makes its Pipeline.'
    custom = content.get("custom")
    for name in sorted(custom if isinstance(custom, dict) else {}):
        if name not in ("database.prefix", "database"):
            yield f"custom.{name} has no place in {CONFIG}: keep it in a constant, an environment variable or a store."
    if isinstance(content.get("database.use_tls"), dict):
        yield "database.use_tls names certificates: put the authority's into database-ca.crt beside datajoint.json."
    names = [name for name in stores(content) if name != "default"]
    if len(names) > 1:
        yield f'Which of the stores {", ".join(names)} is the default? Write it as "default" into "stores".'


def _write_config(project: Project, content: Mapping[str, Any]) -> Iterator[str]:
    path = project.root / CONFIG
    try:
        config = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else copy.deepcopy(_FRESH)
    except ValueError as error:
        raise PipelineError(f"{CONFIG} cannot be read.", f"{error}.", "Mend it; nothing was written.") from None
    if not isinstance(config, dict):
        raise PipelineError(f"{CONFIG} cannot be read.", "It is no JSON object.", "Mend it; nothing was written.")
    before = json.dumps(config) if path.is_file() else ""
    notes = []
    # What the questions' defaults put there says nothing; what else is there was meant.
    defaults = {"database.host": "localhost", "database.port": 3306}
    for key, value in settings(content).items():
        group, _, name = key.partition(".")
        place = config.setdefault(group, {}) if name else config
        name = name or group
        if not isinstance(place, dict) or key in config:
            continue
        if name not in place or place[name] == defaults.get(key):
            place[name] = value
        elif place[name] != value:
            notes.append(f"left: {CONFIG} has {key} {place[name]!r}, {LEGACY} has {value!r}.")
    there = config.get("stores", {})
    for name, store in stores(content).items():
        if name not in there:
            config.setdefault("stores", {})[name] = store
        elif there[name] != store:
            notes.append(f"left: {CONFIG} has another store {name} than {LEGACY}.")
    if json.dumps(config) != before:
        path.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
        yield f"wrote {CONFIG}"
    yield from notes


def _write_secrets(root: Path, values: Mapping[str, str]) -> Iterator[str]:
    folder = root / ".secrets"
    if not values:
        return
    folder.mkdir(mode=0o700, exist_ok=True)
    folder.chmod(0o700)
    guard = folder / ".gitignore"
    if not _ignores(root / ".gitignore") and not guard.exists():
        # The project's own .gitignore is the lab's; until it has the line, credentials are kept out here.
        guard.write_text("*\n!README.md\n", encoding="utf-8")
        yield "wrote .secrets/.gitignore"
    for name, value in values.items():
        path = folder / name
        if "/" in name or os.sep in name:
            yield f"left: {name} cannot be the name of a file."
        elif not path.exists():
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
                file.write(value + "\n")
            yield f"wrote .secrets/{name}"
        elif path.read_text(encoding="utf-8").strip() != value.strip():
            yield f"left: .secrets/{name} holds another value than {LEGACY}."


def _ignores(path: Path) -> bool:
    return re.search(r"^/?\.secrets(/\*?)?\s*$", text_of(path), re.MULTILINE) is not None


def _write_version(project: Project, schemas: Mapping[str, str]) -> Iterator[str]:
    path = project.version_file
    if path.exists() or not schemas:
        return
    lines = "".join(f'    "{name}": "1.0.0",\n' for name in schemas)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        f'"""Version of the code, and of each schema that it declares."""\n\n__version__ = "{version_of(project)}"\n\n'
        "#: A version for each schema, parents before children. It rises with every change of the schema's tables.\n"
        f"SCHEMA_VERSIONS = {{\n{lines}}}\n",
        encoding="utf-8",
    )
    yield f"wrote {project.shown(path)}"


# --- In the report ---------------------------------------------------------------------------------------------------


def check(project: Project) -> Iterator[Finding]:
    """Yield what there is to say of ``dj_local_conf.json``."""
    content = read(project.root)
    if content is None:
        return
    missing = [name for name in secrets(content) if not (project.root / ".secrets" / name).exists()]
    path = project.root / CONFIG
    text = text_of(path)
    # Whatever stands in datajoint.json by now was put there, or left there, on purpose.
    gone = [name for name in stores(content) if f'"{name}"' not in text]
    host = content.get("database.host")
    if missing or gone or (host not in (None, "localhost") and '"host": "localhost"' in text):
        what = "DataJoint 2 ignores this file, and what it says stands nowhere else."
        do = f"This command writes {CONFIG} and .secrets/ from it, with --convert."
        yield Finding(LEGACY, 1, "not-converted", what, do)
    prefix = prefix_of(content)
    if prefix and prefix != project.prefix:
        what = f'Schemas had the prefix "{prefix}"; the package says "{project.prefix}".'
        do = f'Write prefix="{prefix}" where __init__.py makes its Pipeline, unless the databases were renamed.'
        yield Finding(LEGACY, 1, "config-custom", what, do)
    if "database.password" in secrets(content) and in_git(project.root, LEGACY):
        what = "It holds a password and is in the history of git."
        do = f"Change the password on the server, then git rm --cached {LEGACY}, and have .gitignore name it."
        # What is in the history stays there; once git leaves the file alone, no more can be done.
        yield Finding(LEGACY, 1, "secret-committed", what, do, note=not in_git(project.root, LEGACY, now=True))
    what = "DataJoint 2 ignores this file."
    yield Finding(LEGACY, 1, "legacy-file", what, "Delete it when no process of 0.14 reads it any more.", note=True)
