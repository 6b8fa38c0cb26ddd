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


#: A command, and how many calls it takes.
CALLS = """
import contextlib, cProfile, io, pstats, sys
from datajoint_pipeline.cli import run
from my_pipeline import pipeline

profile = cProfile.Profile()
with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
    profile.runcall(run, pipeline, sys.argv[1:])
print(pstats.Stats(profile).total_calls)
"""


def test_planning_takes_as_much_for_each_further_schema(postgresql: Server, project: Project) -> None:
    """As many calls as for those before, give or take some, which are the same each time."""
    project.environment |= {**postgresql.variables, "MY_PIPELINE_ENV": "dev", "DJ_LOG_LEVEL": "ERROR"}
    calls = []
    for size in (6, 12, 18):
        databases = [f"dev_{name}" for name in scale.lay(project, size, 12)]
        postgresql.drop(*databases)
        try:
            scale.counted(project, "init")
            for number in range(size):
                scale.change(project, number)
            scale.counted(project, "revise", "-m", "change")
            done = project.python("-c", CALLS, "migrate", "--dry-run")
            calls.append(int(done.out.split()[-1]))
        finally:
            postgresql.drop(*databases)
    few, some, many = calls
    assert (many - some) / (some - few) < 1.25, calls
