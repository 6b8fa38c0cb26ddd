"""The management code is divided into rooms: `manage/model.py` is now `manage/tables/model.py`, and so on.

What you changed in these files goes along; look at it with `git diff`. Where code of yours imports one of them, you are
told the line and what it has to say now. The endpoint of an S3 store is answered by its URL, and `store_secure` is
not asked any longer.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from project import Project

_MANAGE = "src/{package_name}/manage"

_ROOMS = {
    "tables": "model notation definition values terms",
    "reading": "catalog catalog_mysql catalog_postgresql constraints holders",
    "differences": "changes operations data_operations asking topology origins",
    "sql": "lowering step probes filling parents recoding lineage online "
    "plan mysql mysql_alter postgresql postgresql_alter postgresql_enums postgresql_rebuild",
    "files": "revisions chain versionfile",
    "record": "journal steplog",
    "declaring": "recorder scratch",
    "writing": "revising apportioning wording renumbering answers scaffold",
    "planning": "due scheme drift comparing samples",
    "running": "runner applying stepping drafting reverting blast replaying archive backup restoring fitting",
    "servers": "settings tls account local credentials hazards trouble",
    "terminal": "command cli_migrations render",
}

_ROOM = {name: room for room, names in _ROOMS.items() for name in names.split()}

MOVES = {f"{_MANAGE}/{name}.py": f"{_MANAGE}/{room}/{name}.py" for name, room in _ROOM.items()}


def before(project: Project) -> None:
    """Say the endpoint of an S3 store as its URL; whether it speaks HTTPS was a question of its own."""
    endpoint = project.answers.get("store_endpoint")
    if endpoint and "://" not in endpoint:
        secure = project.answers.get("store_secure", True)
        project.set_answer("store_endpoint", f"http{'s' if secure else ''}://{endpoint}")
    project.remove_answer("store_secure")


def after(project: Project) -> None:
    """Tell which lines of the lab's own code import what has moved."""
    package = project.answers["package_name"]
    imports = re.compile(rf"(?:{package}|\.)\.?manage(?:\.(\w+)| import ([\w, ]+))")
    for path in project.files("*.py"):
        if f"/{package}/manage/" in f"/{path}":
            continue
        for number, line in enumerate(project.read(path).splitlines(), 1):
            for one, several in imports.findall(line):
                for name in re.findall(r"\w+", one or several):
                    if name in _ROOM:
                        project.note(
                            f"{path}:{number} imports manage.{name}, which is now manage.{_ROOM[name]}.{name}."
                        )
