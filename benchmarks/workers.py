"""Workers: killed at random while they compute, and what a job costs beside a bare ``populate(reserve_jobs=True)``.

    uv run benchmarks/workers.py                        # storm and cost, both servers
    uv run benchmarks/workers.py live --long 300
    uv run benchmarks/workers.py storm --backend mysql --jobs 400 --kills 10
    uv run benchmarks/workers.py cost --workers 1 4 --pairs 3

`storm`: 8 workers under the operator's account, 2,000 jobs, 40 random SIGKILLs of workers or of the processes that
compute, and the server killed and started again once. In the end every key is there once, no job is stuck, and exactly
the jobs that fail have failed.

`cost`: jobs of 10 ms by 1, 2, 4, 8 and 16 workers, and the same by as many bare `populate(reserve_jobs=True)` under the
same account, in turns. All processes wait before the rows come, so no import is measured. MySQL counts the statements.

`live`: a job that takes long, beside a worker that looks for jobs all the time and must not take it; then workers are
killed while they compute, and what counts is when another one begins their job again.
"""

from __future__ import annotations

import os.path
import sys

# The tests' modules first; this folder last, for its copy.py is not the library's.
sys.path.append(sys.path.pop(0))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "tests"))

import argparse
import json
import os
import shutil
import signal
import statistics
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager

import working
from conftest import Project
from daemons import Mysqld, Postmaster, open_folder
from servers import BACKENDS, render
from working import Lab, until

#: What a lab would write: the same tables by the same account, with DataJoint alone.
BARE = """
import sys, time
from my_pipeline import work
print("ready", flush=True)
while True:
    done = work.Plain.populate(reserve_jobs=True, suppress_errors=True, refresh=False)["success_count"]
    if not done:
        time.sleep(0.2)
"""

REFRESH = """
import json, time
import datajoint as dj
from my_pipeline import pipeline, work
from datajoint_pipeline.internals.job_queue import JobQueue
connection, count, found = work.schema.connection, [0], {}
query = connection.query
def counted(*arguments, **options):
    count[0] += 1
    return query(*arguments, **options)
connection.query = counted
queue = JobQueue(work.Plain, "work.Plain")
for name, refresh in (("worker", lambda: queue.refresh(5)), ("bare", lambda: work.Plain.jobs.refresh(delay=-1))):
    for what in ("new", "nothing new"):
        count[0], began = 0, time.perf_counter()
        refresh()
        found[f"{name}, {what}"] = count[0], round(time.perf_counter() - began, 3), len(work.Plain.jobs)
    work.Plain.jobs.delete_quick()
print(json.dumps(found))
"""


def main() -> None:
    """Run what is asked for, and print a few lines for each server."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="?", choices=["storm", "cost", "live", "both"], default="both")
    parser.add_argument("--backend", choices=[*BACKENDS, "both"], default="both")
    parser.add_argument("--jobs", type=int, default=2000, metavar="N")
    parser.add_argument("--kills", type=int, default=40, metavar="N")
    parser.add_argument("--workers", type=int, nargs="*", default=[1, 2, 4, 8, 16], metavar="N")
    parser.add_argument("--pairs", type=int, default=3, metavar="N")
    parser.add_argument("--long", type=int, default=300, metavar="SECONDS", help="of the job that is left alone")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    problems = 0
    for backend in BACKENDS if options.backend == "both" else [options.backend]:
        if backend == "mysql" and shutil.which("mysqld") is None:
            print("No MySQL: there is no mysqld on PATH.", file=sys.stderr)
            continue
        with open_folder("benchmark-") as folder, working.own_server(backend, folder, render) as (server, daemon):
            project = Project(render(folder / "my_pipeline"))
            with working.made(project, server, "bw_") as lab:
                print(f"\n{BACKENDS[backend]}", flush=True)
                if options.what == "live":
                    problems += live(lab, options)
                if options.what in ("cost", "both"):
                    cost(lab, options)
                if options.what in ("storm", "both"):
                    problems += storm(lab, daemon, options)
    sys.exit(bool(problems))


def storm(lab: Lab, daemon: Mysqld | Postmaster, options: argparse.Namespace) -> int:
    """Kill and see; how many problems there were."""
    found = working.storm(lab, daemon, workers=8, jobs=options.jobs, kills=options.kills, seed=options.seed)
    print(f"  {options.jobs} jobs, 8 workers, {dict(found.kills)} killed, one restart: {found.seconds:.0f} s")
    print(f"  {found.begun} times a job was begun; {len(found.problems)} problems", flush=True)
    for problem in found.problems:
        print(f"    {problem[:1000]}")
    return len(found.problems)


def live(lab: Lab, options: argparse.Namespace) -> int:
    """Look at a long job and at killed workers; how often a job was taken that was not to be."""
    lab.empty()
    lab.insert(f"sleep {options.long}")
    first = lab.worker("--once", "--tables", "work.Plain")
    until(lab.begun)
    second = lab.worker("--pause", "0.2", "--tables", "work.Plain")
    code, begun = first.end(options.long + 300), len(lab.begun())
    second.signal(signal.SIGTERM)
    second.end()
    print(f"  a job of {options.long} s beside another worker: begun {begun} times, exit code {code}", flush=True)
    times = []
    for _ in range(5):
        lab.empty()
        lab.insert("wait")
        killed = lab.worker("--tables", "work.Plain")
        until(lab.begun)
        other = lab.worker("--pause", "1", "--tables", "work.Plain")
        until(lambda other=other: other.computing)
        began = time.monotonic()
        os.kill(killed.pid, signal.SIGKILL)
        until(lambda: len(lab.begun()) == 2)
        times.append(time.monotonic() - began)
        lab.go()
        until(lambda: lab.items("Plain") == [1])
        other.signal(signal.SIGTERM)
        other.end()
    middle, most = statistics.median(times), max(times)
    print(f"  the job of a killed worker is begun again after {middle:.1f} s, {most:.1f} s at most", flush=True)
    return begun - 1


def cost(lab: Lab, options: argparse.Namespace) -> None:
    """Measure jobs of 10 ms, and a refresh."""
    lab.empty()
    lab.insert(*["sleep 0.01"] * 2000)
    done = lab.project.python("-c", REFRESH, **lab.operator)
    assert done.code == 0, done.err
    for name, (statements, seconds, jobs) in json.loads(done.out.splitlines()[-1]).items():
        print(f"  refresh of 2,000 keys, {name}: {statements} statements, {seconds} s, {jobs} jobs", flush=True)
    lab.project.environment["RUNS"] = ""
    print(
        f"  {'workers':>9} {'jobs':>6} {'worker':>9} {'bare':>9} {'ratio':>6}   statements, UPDATEs a job; of bare ones"
    )
    for count in options.workers:
        jobs = min(options.jobs, 150 * (1 + count // 2))
        ratios, times, counts = list[float](), {True: list[float](), False: list[float]()}, {}
        for _ in range(options.pairs):
            pair = {}
            for ours in (True, False):
                pair[ours], counts[ours] = measure(lab, count, jobs, ours=ours)
                times[ours].append(pair[ours])
            ratios.append(pair[True] / pair[False])
        shown = [f"{1000 * statistics.median(times[ours]) / jobs:6.1f} ms" for ours in (True, False)]
        per = ["-" if not counts[ours] else "{:.1f}, {:.1f}".format(*counts[ours]) for ours in (True, False)]
        print(
            f"  {count:>9} {jobs:>6} {shown[0]} {shown[1]} {statistics.median(ratios):>6.2f}   {per[0]}; {per[1]}",
            flush=True,
        )


@contextmanager
def workers(lab: Lab, count: int, *, ours: bool = True) -> Iterator[None]:
    """Workers, or bare processes, that wait for jobs."""
    if ours:
        running = [lab.worker("--pause", "0.2", "--tables", "work.Plain") for _ in range(count)]
        try:
            until(lambda: all(worker.seen("ready") for worker in running), 300)
            yield
        finally:
            for worker in running:
                worker.signal(signal.SIGTERM)
            for worker in running:
                worker.end()
        return
    variables = lab.project.variables(**lab.operator)
    command = [sys.executable, "-c", BARE]
    bare = [
        subprocess.Popen(command, cwd=lab.project.folder, env=variables, stdout=subprocess.PIPE) for _ in range(count)
    ]
    try:
        for process in bare:
            assert process.stdout is not None
            process.stdout.readline()
        yield
    finally:
        for process in bare:
            process.kill()
            process.wait()


def measure(lab: Lab, count: int, jobs: int, *, ours: bool) -> tuple[float, tuple[float, float] | None]:
    """Seconds for some jobs, and the statements and UPDATEs of each where the server counts them."""
    lab.empty()
    with workers(lab, count, ours=ours):
        time.sleep(1)
        before = counters(lab)
        mark = "`" if lab.server.backend == "mysql" else '"'
        tables = [f"{mark}{lab.prefix}work{mark}.{mark}{name}{mark}" for name in ("item", "~~plain")]
        rows = [", ".join(f"({n}, {rest})" for n in range(1, jobs + 1)) for rest in ("'sleep 0.01'", "'pending', 5")]
        with closing(lab.server.connect(autocommit=False)) as connection, connection.cursor() as cursor:
            cursor.execute(f"INSERT INTO {tables[0]} (item, task) VALUES {rows[0]}")
            cursor.execute(f"INSERT INTO {tables[1]} (item, status, priority) VALUES {rows[1]}")
            began = time.perf_counter()
            connection.commit()
        with closing(lab.server.connect()) as connection, connection.cursor() as cursor:
            polls = 0
            while True:
                cursor.execute(f"SELECT COUNT(*) FROM {mark}{lab.prefix}work{mark}.{mark}__plain{mark}")
                polls += 1
                if cursor.fetchone()[0] == jobs:
                    break
                time.sleep(0.02)
        seconds = time.perf_counter() - began
        after = counters(lab)
    if before is None or after is None:
        return seconds, None
    return seconds, ((after[0] - before[0] - polls) / jobs, (after[1] - before[1]) / jobs)


def counters(lab: Lab) -> tuple[int, int] | None:
    """The statements and UPDATEs that the server has run."""
    if lab.server.backend != "mysql":
        return None
    found = dict(lab.sql("SHOW GLOBAL STATUS WHERE Variable_name IN ('Questions', 'Com_update')"))
    return int(found["Questions"]), int(found["Com_update"])


if __name__ == "__main__":
    main()
