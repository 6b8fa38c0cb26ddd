"""What can be derived and is no code: configuration and credentials from ``dj_local_conf.json``, ``version.py``.

A ``datajoint.json`` that is there is completed; a value in it that was set to something else is left, and reported.
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
from .changes import Change, Plan
from .configuration import LEGACY, prefix_of, read, secrets, settings, stores
from .findings import Finding
from .project import Project, in_git, text_of, version_of
from .schemas import Schemas

CONFIG = "datajoint.json"

#: What the template writes for a pipeline that exists, where nothing else is answered.
_FRESH: dict[str, Any] = {
    "database": {"backend": "mysql", "host": "localhost", "port": 3306, "create_tables": False},
    "jobs": {"add_job_metadata": False, "version_method": "git"},
    "provenance": {"capture": False},
}

# --- What to write ---------------------------------------------------------------------------------------------------


def plan(project: Project, schemas: Schemas) -> Plan:
    """Return what is missing and can be derived.

    Parameters
    ----------
    project : Project
        The pipeline.
    schemas : Schemas
        Its schemas.
    """
    found = Plan([], [])
    content = read(project.root)
    if content is not None:
        _plan_config(project, content, found)
        _plan_secrets(project.root, secrets(content), found)
        found.left += left(content, project)
        found.left.append(f"{LEGACY} stays as it is; DataJoint 2 ignores it.")
        if secrets(content).keys() & {"database.password"}:
            found.left.append(
                f"{LEGACY} holds a password in plain text; delete it when no process of 0.14 reads it any more."
            )
            if in_git(project.root, LEGACY):
                found.left.append(
                    f"{LEGACY} is in the history of git, and so is that password: change it on the server."
                )
    _plan_version(project, schemas, found)
    return found


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


def _plan_config(project: Project, content: Mapping[str, Any], found: Plan) -> None:
    path = project.root / CONFIG
    try:
        before = path.read_text(encoding="utf-8") if path.is_file() else None
        config = copy.deepcopy(_FRESH) if before is None else json.loads(before)
    except ValueError as error:
        raise PipelineError(f"{CONFIG} cannot be read.", f"{error}.", "Correct it; nothing was written.") from None
    if not isinstance(config, dict):
        raise PipelineError(f"{CONFIG} cannot be read.", "It is no JSON object.", "Correct it; nothing was written.")
    had = json.dumps(config) if before is not None else ""
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
            found.left.append(f"{CONFIG} has {key} {place[name]!r}, {LEGACY} has {value!r}.")
    there = config.get("stores", {})
    for name, store in stores(content).items():
        if name not in there:
            config.setdefault("stores", {})[name] = store
        elif there[name] != store:
            found.left.append(f"{CONFIG} has another store {name} than {LEGACY}.")
    if json.dumps(config) != had:
        found.changes.append(Change(path, CONFIG, before, json.dumps(config, indent=2) + "\n"))


def _plan_secrets(root: Path, values: Mapping[str, str], found: Plan) -> None:
    folder = root / ".secrets"
    guard = folder / ".gitignore"
    if values and not _ignores(root / ".gitignore") and not guard.exists():
        # The project's own .gitignore is the lab's; until it has the line, credentials are kept out here.
        found.changes.append(Change(guard, ".secrets/.gitignore", None, "*\n!README.md\n"))
    for name, value in values.items():
        path = folder / name
        if "/" in name or os.sep in name:
            found.left.append(f"{name} cannot be the name of a file.")
        elif not path.exists():
            found.changes.append(Change(path, f".secrets/{name}", None, value + "\n", secret=True))
        elif path.read_text(encoding="utf-8").strip() != value.strip():
            found.left.append(f".secrets/{name} holds another value than {LEGACY}.")


def _ignores(path: Path) -> bool:
    return re.search(r"^/?\.secrets(/\*?)?\s*$", text_of(path), re.MULTILINE) is not None


def _plan_version(project: Project, schemas: Schemas, found: Plan) -> None:
    path = project.version_file
    shown = project.shown(path)
    if not schemas.names:
        found.left.append(f"{shown} is not written: no module of {project.package} opens a schema.")
        found.short = True
    elif not path.exists():
        found.changes.append(Change(path, shown, None, _version(project, schemas)))
    elif "SCHEMA_VERSIONS" not in text_of(path):
        found.left.append(f"{shown} is there, and says no versions of the schemas; the report says what to add.")


def _version(project: Project, schemas: Schemas) -> str:
    lines = "".join(f'    "{name}": "1.0.0",\n' for name in schemas.names)
    text = (
        f'"""Version of the code, and of each schema that it declares."""\n\n__version__ = "{version_of(project)}"\n\n'
        "#: A version for each schema, parents before children. It rises with every change of the schema's tables.\n"
        f"SCHEMA_VERSIONS = {{\n{lines}}}\n"
    )
    if schemas.databases:
        lines = "".join(f'    "{name}": "{database}",\n' for name, database in schemas.databases.items())
        text += (
            "\n#: Databases that are not called by the prefix and the schema's name.\n"
            f"SCHEMA_DATABASES = {{\n{lines}}}\n"
        )
    return text


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
        do = f"This command makes {CONFIG} and .secrets/ from it, with --convert."
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
