"""What commands ask of a server does not grow with the number of schemas."""

from __future__ import annotations

import scale
from conftest import Project, Server


def test_questions_do_not_grow_with_schemas(server: Server, project: Project) -> None:
    project.environment |= {**server.variables, "MY_PIPELINE_ENV": "dev", "DJ_LOG_LEVEL": "ERROR"}
    asked = {}
    for size in (1, 6):
        databases = [f"dev_{name}" for name in scale.lay(project, size, 3)]
        server.drop(*databases)
        try:
            scale.counted(project, "init")
            commands = (["status"], ["migrate"], ["diff"])
            asked[size] = {tuple(words): len(scale.counted(project, *words).asked) for words in commands}
        finally:
            server.drop(*databases)
    assert {command: asked[6][command] - count for command, count in asked[1].items()} == dict.fromkeys(asked[1], 0)
