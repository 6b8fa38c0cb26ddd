"""The scripts for Slurm on a real one, of this machine alone: what Slurm does to a worker, and the worker to its keys.

Skipped where there is no Slurm; Debian has it in slurmctld, slurmd, slurm-client and munge.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import slurm
from conftest import Project
from daemons import open_folder
from living import ok
from sampling import whole

pytestmark = [
    pytest.mark.skipif(not whole(), reason="Slurm takes minutes, most of them waiting: --whole plays it"),
    pytest.mark.skipif(bool(slurm.missing()), reason=slurm.missing()),
]

#: Each key takes so many seconds.
SLOW = """
import time
import datajoint as dj
from . import open_schema, subject
schema = open_schema("work")

@schema
class Slow(dj.Computed):
    definition = \"\"\"
    -> subject.Subject
    ---
    pid : int64
    \"\"\"

    def make(self, key):
        import os
        print("at work on", key["subject_id"], flush=True)
        time.sleep(float(os.environ["SLOW"]))
        self.insert1({**key, "pid": os.getpid()})
"""

SUBJECT = """
import datajoint as dj
from . import open_schema
schema = open_schema("subject")

@schema
class Subject(dj.Manual):
    definition = \"\"\"
    subject_id : int32
    \"\"\"
"""

COUNT = """
import json
from my_pipeline import subject, work
jobs = work.Slow.jobs.to_dicts()
rows = work.Slow.to_dicts()
print(json.dumps({"done": sorted(r["subject_id"] for r in rows), "workers": len({r["pid"] for r in rows}),
                  "jobs": sorted(j["status"] for j in jobs)}))
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[slurm.Cluster]:
    with open_folder("slurm-") as folder, slurm.cluster(folder) as found:
        yield found


@pytest.fixture
def lab(tmp_path: Path, render: Callable[..., Path]) -> Iterator[Project]:
    """A project on its embedded server, which Slurm's node sees: it is this machine."""
    own = Project(render(tmp_path / "my_pipeline"))
    own.clear()
    own.write(own.module("subject"), SUBJECT)
    own.write(own.module("work"), SLOW)
    own.write(own.module("version"), '__version__ = "0.1.0"\nSCHEMA_VERSIONS = {"subject": "1.0.0", "work": "1.0.0"}\n')
    own.write("workers.toml", '[classes.only]\nworkers = 2\ngrace = "4s"\nmemory = "1 GB"\ntables = ["*"]\n')
    own.write(".venv/bin/my-pipeline", f'#!/bin/bash\nexec {sys.executable} -m my_pipeline "$@"\n')
    (own.folder / ".venv/bin/my-pipeline").chmod(0o755)
    try:
        ok(own, "--env", "local", "init")
        ok(own, "deploy", "slurm")
        yield own
    finally:
        own.run("local", "stop")


def enter(lab: Project, count: int) -> None:
    code = f"from my_pipeline import subject\nsubject.Subject.insert([(n,) for n in range({count})])"
    assert lab.python("-c", code, MY_PIPELINE_ENV="local").code == 0


def count(lab: Project) -> dict[str, list[object]]:
    found = lab.python("-c", COUNT, MY_PIPELINE_ENV="local")
    assert found.code == 0, found.err
    return dict(json.loads(found.out.splitlines()[-1]))


def submit(cluster: slurm.Cluster, lab: Project, slow: float, *options: str) -> str:
    script = "deploy/worker-only.sbatch"
    variables = lab.variables(SLOW=str(slow))
    command = ("sbatch", "--parsable", *options, script, "local")
    return cluster.run(*command, cwd=lab.folder, **variables).partition(";")[0]


def said(lab: Project) -> str:
    return "".join(path.read_text(errors="replace") for path in sorted(lab.folder.glob("slurm-*.out")))


def until(lab: Project, text: str, times: int = 1, seconds: float = 180) -> None:
    deadline = time.monotonic() + seconds
    while said(lab).count(text) < times:
        assert time.monotonic() < deadline, said(lab)
        time.sleep(0.3)


def test_an_array_of_workers_computes_every_key_once(cluster: slurm.Cluster, lab: Project) -> None:
    enter(lab, 16)
    job = submit(cluster, lab, 0.5, "--array=0-3%2")
    cluster.wait(job, 180)
    found = count(lab)
    assert found["done"] == list(range(16)), said(lab)
    assert found["workers"] == 2 and not found["jobs"], said(lab)


def test_what_is_cancelled_or_requeued_leaves_nothing_reserved(cluster: slurm.Cluster, lab: Project) -> None:
    """Slurm asks a worker to stop, and it hands back what does not end within its grace."""
    enter(lab, 2)
    job = submit(cluster, lab, 600, "--array=0")
    until(lab, "at work on")
    cluster.run("scancel", job)
    cluster.wait(job, 60)
    assert count(lab)["jobs"] == ["pending", "pending"], said(lab)
    # Requeued, as by a node that is lost or has to be given to others: it begins again, and writes on.
    job = submit(cluster, lab, 3, "--array=0")
    until(lab, "at work on", times=2)
    cluster.run("scontrol", "requeue", f"{job}_0")
    cluster.run("scontrol", "release", f"{job}_0")
    cluster.wait(job, 240)
    found = count(lab)
    assert found["done"] == [0, 1] and not found["jobs"], said(lab)
