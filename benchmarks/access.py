"""Rights: whether every role may do what it should and nothing else, and what finding that out costs.

    uv run benchmarks/access.py
    uv run benchmarks/access.py --part scale --schemas 50 --tables 20

`matrix`: a pipeline of four schemas on MySQL (the server that DJ_HOST names, else one from the mysqld on PATH) and on
PostgreSQL (the wheel's, with passwords over TCP). `access apply` makes an account of each role; each then tries
everything through DataJoint: import, fetch, join, insert into every tier, skip_duplicates, update1, delete, cascades,
populate with and without reservation, declare here and elsewhere, alter, drop, grant, read and write the journal. What
each may do is written down by hand (`tests/granted.py`). After the denied drops the pipeline has to join.

`deviations`: what people do to rights by hand (`tests/strayed.py`); each has to be named by `access check`.

`scale`: how many queries and seconds a plan takes for many schemas and tables, before and after all was given.
"""

from __future__ import annotations

import os.path
import sys

# The tests' modules first; this folder last, for its copy.py is not the library's.
sys.path.append(sys.path.pop(0))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "tests"))

import argparse
import shutil
import time
from pathlib import Path
from typing import Any

import granted
import strayed
from conftest import Project, Server
from servers import BACKENDS, started

PREFIX = "ac_"


def main() -> None:
    """Measure and print a line a figure; the exit code says whether all is as it should be."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backend", choices=[*BACKENDS, "both"], default="both")
    parser.add_argument("--part", choices=["matrix", "deviations", "scale", "all"], default="all")
    parser.add_argument("--schemas", type=int, default=50, metavar="N")
    parser.add_argument("--tables", type=int, default=20, metavar="N", help="in each schema")
    options = parser.parse_args()
    wrong = 0
    with started(options.backend) as (folder, servers):
        for server in servers.values():
            if options.part in ("matrix", "deviations", "all"):
                project = Project(Path(shutil.copytree(folder / "my_pipeline", folder / f"lab-{server.backend}")))
                granted.lay(project, server, PREFIX)
                wrong += matrix(project, server) if options.part != "deviations" else 0
                wrong += deviations(project, server) if options.part != "matrix" else 0
                granted.forget(server, PREFIX)
            if options.part in ("scale", "all"):
                scale(server, options.schemas, options.tables)
    sys.exit(bool(wrong))


def begin(project: Project, server: Server, *environments: str) -> None:
    """Make the pipeline anew, and give everybody what the file says."""
    granted.forget(server, PREFIX)
    for environment in environments:
        for command in (("init",), ("access", "apply")):
            done = project.run("--env", environment, *command, MY_PIPELINE_ENV=environment)
            assert done.code == 0, done.err


def matrix(project: Project, server: Server) -> int:
    """Try everything as everybody; the number of cells that came out wrong."""
    begin(project, server, "prod", "dev")
    cells, wrong = 0, 0
    for environment, role in [*(("prod", role) for role in granted.LOGINS if role != "admin"), ("dev", "developer"),
                              ("prod", "admin")]:  # fmt: skip
        granted.prepare(project, [role], MY_PIPELINE_ENV=environment)
        prefix = PREFIX if environment == "prod" else f"dev_{PREFIX}"
        who = granted.account(project, role) | {"MY_PIPELINE_ENV": environment}
        found = granted.attempts(project, role, prefix, **who)
        bad = granted.wrong(role, server.backend, found, environment)
        cells, wrong = cells + len(found), wrong + len(bad)
        for name, (expected, came) in bad.items():
            print(f"    {environment} {role}: {name} should be {expected}, and was {came}")
    print(f"{BACKENDS[server.backend]}: {cells} cells, {wrong} wrong")
    return wrong


def deviations(project: Project, server: Server) -> int:
    """Do by hand what is in the list; the number of those that are not named."""
    begin(project, server, "prod")
    done = strayed.deviations(server, PREFIX)
    for _, statements, _ in done:
        server.execute(*statements.split(";"))
    found = project.run("--env", "prod", "access", "check").out
    silent = [what for what, _, words in done if words not in found]
    print(f"{BACKENDS[server.backend]}: {len(done)} deviations, {len(silent)} not named {silent or ''}")
    strayed.clean(server, PREFIX)
    return len(silent)


def scale(server: Server, schemas: int, tables: int) -> None:
    """Plan for many tables that refer to each other, give all rights, and plan again."""
    from datajoint_pipeline.access import apply as applying
    from datajoint_pipeline.access import model

    names = [f"acs_{number:02d}" for number in range(schemas)]
    server.drop(*names)
    quoted = [granted.quoted(server, name) for name in names]
    kinds = ("_", "__", "", "#")
    statements = []
    for number, schema in enumerate(quoted):
        statements.append(f"CREATE SCHEMA {schema}")
        for table in range(tables):
            name = granted.quoted(server, f"{kinds[table % 4]}t{table}")
            above = (
                f", FOREIGN KEY (up) REFERENCES {quoted[number - 1]}.{granted.quoted(server, '_t0')} (id)"
                if number
                else ""
            )
            own = granted.quoted(server, f"{kinds[(table - 1) % 4]}t{table - 1}")
            beside = f", FOREIGN KEY (id) REFERENCES {schema}.{own} (id)" if table else ""
            statements.append(
                f"CREATE TABLE {schema}.{name} (id int PRIMARY KEY, up int, note varchar(8), _job_version varchar(8)"
                f"{above if table == 0 else ''}{beside})"
            )
    server.execute(*statements)
    counted = Counted(server)
    text = granted.ACCESS.replace('"session", "analysis"', "").replace('["analysis"]', '["00"]')
    access, mistakes = model.parse(text, backend=server.backend, schemas=[name[4:] for name in names])
    assert not mistakes, mistakes
    where = applying.Where(counted.target({name[4:]: name for name in names}), access, "scaled", "acs_")
    for words in ("before", "after"):
        begun = time.perf_counter()
        counted.queries = 0
        found = applying.plan(where)
        took, queries = time.perf_counter() - begun, counted.queries
        print(f"{BACKENDS[server.backend]}: {schemas * tables} tables, plan {words}: {took:.2f} s, {queries} queries, "
              f"{len(found.lines)} statements")  # fmt: skip
        if words == "before":
            begun = time.perf_counter()
            applying.apply(where, lambda login, password: None)
            print(f"{BACKENDS[server.backend]}: apply: {time.perf_counter() - begun:.1f} s")
    server.drop(*names)
    granted.forget(server, PREFIX)
    granted.forget(server, "acs_")


class Counted:
    """A connection of DataJoint as the administrator that counts what it asks."""

    def __init__(self, server: Server) -> None:
        import datajoint as dj

        dj.config["database.backend"] = server.backend
        self.connection: Any = dj.Connection(server.host, server.user, server.password, server.port, use_tls=False)
        self.queries = 0
        query = self.connection.query

        def counting(*arguments: Any, **named: Any) -> Any:
            self.queries += 1
            return query(*arguments, **named)

        self.connection.query = counting

    def target(self, databases: dict[str, str]) -> Any:
        from datajoint_pipeline.history.files import Files
        from datajoint_pipeline.planner.target import Target

        return Target(
            connection=self.connection,
            name="scaled",
            environment="prod",
            prefix="acs_",
            database_of=databases.__getitem__,
            files=Files(Path(), Path(), dict.fromkeys(databases, "1.0.0"), "scaled"),
            backups=Path(),
            program="scaled",
            commit=lambda: "",
            software=lambda: "",
            read_code=lambda: None,  # type: ignore[arg-type, return-value]
        )


if __name__ == "__main__":
    main()
