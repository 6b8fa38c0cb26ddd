"""Many runners that begin at once, and a reader with the code of before among them."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import crash_pipeline
from conftest import Project, Result
from crashing import Ground
from living import in_words

#: What somebody with the code of before reads, again and again, until the migration is through.
READ = """
import json, sys, time
from datajoint_pipeline.errors import PipelineError

def once():
    try:
        from my_pipeline import life
        return [[row["animal"], row["name"], row["grams"]] for row in life.Animal.to_dicts(order_by="animal")]
    except PipelineError as refusal:
        return refusal.what
    except Exception as error:  # tables that change between two queries of DataJoint's
        return type(error).__name__

found, until = [], time.monotonic() + float(sys.argv[1])
while time.monotonic() < until:
    found.append(once())
    time.sleep(0.05)
print(json.dumps(found))
"""

#: What runners say by turns where not all of them migrate.
MIX = [["migrate"], ["init"], ["rollback", "life", "--to", "1.0.0"]]


@dataclass
class Round:
    """What came of one start of all."""

    codes: Counter[int] = field(default_factory=Counter)
    read: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)


@dataclass
class Race:
    """A ground, runners that are ready, and a reader."""

    ground: Ground
    runners: list[Project]
    reader: Project
    rows: list[list[object]] = field(default_factory=list)

    def run(self, *commands: list[str]) -> Round:
        """Let everybody begin at once; of several commands, those that do not migrate may decline in words."""
        self.ground.places.reset()
        result = Round()
        with ThreadPoolExecutor(len(self.runners) + 1) as pool:
            reading = pool.submit(self.reader.python, "-c", READ, "3")
            given = [commands[number % len(commands)] for number in range(len(self.runners))]
            pairs = zip(self.runners, given, strict=True)
            running = [pool.submit(own.run, *command) for own, command in pairs]
            answers = [future.result() for future in running]
            self._look_at(reading.result(), result)
        for answer in answers:
            result.codes[answer.code] += 1
            # What `init` shows at its end may be in the middle of another's migration by then.
            shown = answer.code == 6 and not answer.err and "life" in answer.out
            if answer.code not in (0, 3) and not shown and not in_words(answer.err):
                result.problems.append(f"{answer.code}: {answer.err}")
            elif answer.code and len(commands) == 1 and "Somebody else is changing" not in answer.err:
                result.problems.append(answer.err)
        result.problems += self.ground.wrong(self.ground.end)
        return result

    def _look_at(self, reading: Result, result: Round) -> None:
        """Rows that a reader gets are those of before, or there are none."""
        if reading.code:
            result.problems.append(f"the reader failed: {reading.err}")
            return
        for found in json.loads(reading.out):
            if isinstance(found, str):
                result.read[found] += 1
            elif found == self.rows:
                result.read["rows"] += 1
            else:
                result.problems.append(f"read {found}")


@contextmanager
def race(ground: Ground, runners: int) -> Iterator[Race]:
    """Make so many runners ready, each a process of its own that has loaded the code, and a reader."""
    own, projects = ground.project, []
    for _ in range(runners):
        project = Project(own.folder, environment=dict(own.environment))
        project.warm_up()
        projects.append(project)
    reader = Project(Path(shutil.copytree(own.folder, own.folder.parent / "old")), environment=dict(own.environment))
    crash_pipeline.lay(reader)
    shutil.rmtree(reader.folder / "src" / reader.package / "migrations", ignore_errors=True)
    made = Race(ground, projects, reader)
    ground.places.reset()
    first = reader.python("-c", READ, "0.2")
    made.rows = json.loads(first.out)[0]
    assert len(made.rows) > 5, first.err
    yield made
    for project in projects:
        assert project.warm is not None
        project.warm.close()
