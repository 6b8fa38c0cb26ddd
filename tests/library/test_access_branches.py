"""Rights in the schemas of a git branch: whoever has a role in dev has the same there, and nothing once they are gone."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import granted
import pytest
from conftest import Project, Server

PREFIX = "abr_"

ACCESS = """\
[people.viewer]
login = "abr viewer"
roles.dev = "viewer"
[people.developer]
login = "abr_developer"
roles.dev = "developer"
[services.operator]
login = "abr_operator"
roles.dev = "operator"
"""

#: Gives, or takes back, what the roles of dev have in some databases; prints the statements.
PROGRAM = """
import json, sys
from datajoint_pipeline.access import branches
from datajoint_pipeline.commands import access
from datajoint_pipeline.project import environments
from my_pipeline import pipeline
where = access.place(pipeline, environments.find(pipeline.project, "dev"))
databases = json.loads(sys.argv[2])
lines = branches.grants(where, databases) if sys.argv[1] == "give" else branches.revokes(where, databases.values())
for line in lines:
    assert line.reason
    where.target.connection.query(line.sql, args=None)
where.target.connection._conn.commit()
print(json.dumps([line.sql for line in lines]))
"""

BRANCH = {name: f"dev_fast_{PREFIX}{name}" for name in ("subject", "ephys")}


@pytest.fixture(scope="module", params=["mysql", "postgresql"])
def server(request: pytest.FixtureRequest) -> Server:
    found: Server = request.getfixturevalue(request.param)
    return found


@pytest.fixture(scope="module")
def lab(server: Server, tmp_path_factory: pytest.TempPathFactory, render: Callable[..., Path]) -> Iterator[Project]:
    own = Project(render(tmp_path_factory.mktemp("lab") / "my_pipeline"))
    granted.lay(own, server, PREFIX, ACCESS)
    server.drop(*BRANCH.values(), f"dev_{PREFIX}other_{PREFIX}subject")
    granted.forget(server, PREFIX)
    own.environment["MY_PIPELINE_ENV"] = "dev"
    for command in (("init",), ("access", "apply")):
        done = own.run(*command)
        assert done.code == 0, done.err
    yield own
    server.drop(*BRANCH.values())
    granted.forget(server, PREFIX)


def run(lab: Project, what: str, **who: str) -> list[str]:
    done = lab.python("-c", PROGRAM, what, json.dumps(BRANCH), **who)
    assert done.code == 0, done.err
    found: list[str] = json.loads(done.out.splitlines()[-1])
    return found


def may(lab: Project, server: Server, login: str, statement: str) -> bool:
    try:
        server.execute(statement, user=login, password=secret(lab, login))
    except Exception as error:
        assert "denied" in str(error) or "must be owner" in str(error), error
        return False
    return True


def secret(lab: Project, login: str) -> str:
    return lab.read(f".secrets/accounts/{login.replace(' ', '%20')}").strip()


def checked(lab: Project) -> str:
    done = lab.run("access", "check")
    return f"{done.code} {done.out}"


def test_the_roles_of_dev_have_the_same_in_a_branch_and_nothing_once_it_is_gone(lab: Project, server: Server) -> None:
    mysql = server.backend == "mysql"
    name = lambda *parts: granted.quoted(server, *parts)  # noqa: E731
    subject, recording = name(BRANCH["subject"], "subject"), name(BRANCH["ephys"], "_recording")
    # On MySQL the administrator makes the schemas and gives the rights, on PostgreSQL a developer does.
    developer = {} if mysql else {"user": "abr_developer", "password": secret(lab, "abr_developer")}
    as_developer = {} if mysql else {"DJ_USER": developer["user"], "DJ_PASS": developer["password"]}
    server.execute(*(f"CREATE SCHEMA {name(database)}" for database in BRANCH.values()), **developer)
    if mysql:
        assert not may(lab, server, "abr_developer", f"CREATE TABLE {subject} (id int PRIMARY KEY)")
        assert run(lab, "give")
        assert checked(lab).startswith("0"), "a branch whose tables are still to be made"
    assert may(lab, server, "abr_developer", f"CREATE TABLE {subject} (id int PRIMARY KEY, note int)")
    made = f"CREATE TABLE {recording} (id int PRIMARY KEY, _job_version int, note int)"
    assert may(lab, server, "abr_developer", made)
    given = run(lab, "give", **as_developer)
    assert given and run(lab, "give", **as_developer) == []
    assert may(lab, server, "abr_operator", f"INSERT INTO {recording} VALUES (1, 0, 0)")
    assert may(lab, server, "abr_operator", f"INSERT INTO {subject} VALUES (1, 0)")
    assert may(lab, server, "abr_operator", f"UPDATE {recording} SET _job_version = 2")
    assert not may(lab, server, "abr_operator", f"UPDATE {recording} SET note = 2")
    assert may(lab, server, "abr viewer", f"SELECT * FROM {subject}")
    assert not may(lab, server, "abr viewer", f"INSERT INTO {subject} VALUES (2, 0)")
    assert may(lab, server, "abr_developer", f"ALTER TABLE {subject} ADD COLUMN more int")
    # What dev is compared with knows of branches: it takes nothing back, and sees what is missing or too much there.
    assert checked(lab).startswith("0")
    server.execute(f"GRANT UPDATE ON {subject} TO {role(server, 'operator')}")
    assert f"operator role UPDATE on {BRANCH['subject']}.subject" in checked(lab)
    server.execute(f"REVOKE INSERT ON {recording} FROM {role(server, 'operator')}")
    assert lab.run("access", "apply").code == 0 and checked(lab).startswith("0")
    assert may(lab, server, "abr_operator", f"INSERT INTO {recording} VALUES (3, 0, 0)")
    assert not may(lab, server, "abr_operator", f"UPDATE {subject} SET note = 2")
    server.drop(*BRANCH.values())
    assert bool(run(lab, "take")) is mysql
    assert run(lab, "take") == []
    assert checked(lab).startswith("0")
    if mysql:
        for table in ("db", "tables_priv", "columns_priv"):
            assert server.execute(f"SELECT db FROM mysql.{table} WHERE db LIKE '%fast%'") == []


def test_a_right_on_what_only_looks_like_a_branch_is_taken_back_and_not_widened(lab: Project, server: Server) -> None:
    other = f"dev_{PREFIX}other_{PREFIX}subject"
    name = granted.quoted(server, other)
    server.execute(f"CREATE SCHEMA {name}")
    try:
        what = (
            f"SELECT ON `{other.replace('_', chr(92) + '_')}`.*"
            if server.backend == "mysql"
            else f"USAGE ON SCHEMA {name}"
        )
        server.execute(f"GRANT {what} TO {role(server, 'viewer')}")
        found = checked(lab)
        assert found.startswith("4") and f"on {other}" in found and "missing" not in found, found
        assert lab.run("access", "apply").code == 0 and checked(lab).startswith("0")
    finally:
        server.drop(other)


def role(server: Server, name: str) -> str:
    role = granted.quoted(server, f"{PREFIX}my_pipeline_dev_{name}")
    return f"{role}@`%`" if server.backend == "mysql" else role
