"""Roles in environments of ``environments.toml``: beside dev and prod on their server, and on another one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import granted
import pytest
from conftest import Project, Server
from living import is_sentence

pytestmark = [pytest.mark.both_servers, pytest.mark.in_order]

PREFIX = "asi_"
SITES = '[course]\nprefix = "course_"\nexplicit = false\n[paris]\nprefix = "paris_"\n'

ACCESS = """\
[people.boss]
login = "asi_boss"
roles = { dev = "admin", prod = "admin" }
[people.teacher]
login = "asi_teacher"
roles = { course = "admin", paris = "viewer" }
[people.student]
login = "asi_student"
roles = { course = "developer", paris = "developer", dev = "viewer" }
[services.worker]
login = "asi_worker"
roles.paris = "operator"
"""


@pytest.fixture(scope="module", params=["mysql", "postgresql"])
def server(request: pytest.FixtureRequest) -> Server:
    found: Server = request.getfixturevalue(request.param)
    return found


def names(environment: str) -> list[str]:
    return [f"{environment}_{PREFIX}{schema}" for schema in granted.SCHEMAS]


@pytest.fixture(scope="module")
def lab(server: Server, tmp_path_factory: pytest.TempPathFactory, render: Callable[..., Path]) -> Iterator[Project]:
    own = Project(render(tmp_path_factory.mktemp("lab") / "my_pipeline"))
    granted.lay(own, server, PREFIX, ACCESS)
    own.write("environments.toml", SITES)
    server.drop(*names("course"), *names("paris"))
    granted.forget(server, PREFIX)
    yield own
    server.drop(*names("course"), *names("paris"))
    granted.forget(server, PREFIX)


def run(lab: Project, environment: str, *command: str, code: int = 0, **who: str) -> Any:
    done = lab.run("--env", environment, *command, **who)
    assert done.code == code, f"{command}: {done.code}\n{done.out}\n{done.err}"
    return done


def who(lab: Project, login: str) -> dict[str, str]:
    return {"DJ_USER": login, "DJ_PASS": lab.read(f".secrets/accounts/{login}").strip()}


def test_each_environment_has_roles_of_its_own(lab: Project, server: Server) -> None:
    for environment in ("dev", "course", "paris"):
        run(lab, environment, "init")
        run(lab, environment, "access", "apply")
    for environment in ("dev", "course", "paris"):
        run(lab, environment, "access", "check")
    # Who teaches may give rights in the course, and works as they who make tables there.
    run(lab, "course", "access", "check", **who(lab, "asi_teacher"))
    run(lab, "course", "migrate", **who(lab, "asi_teacher"))

    def may(login: str, environment: str, statement: str) -> bool:
        connection = server.connect(*who(lab, login).values())
        quote = "`{}`.`{}`" if server.backend == "mysql" else '"{}"."{}"'
        try:
            with connection.cursor() as cursor:
                cursor.execute(statement.format(quote.format(f"{environment}_{PREFIX}subject", "subject")))
            return True
        except Exception as error:
            assert "denied" in str(error) or "owner" in str(error), error
            return False
        finally:
            connection.close()

    read = "SELECT count(*) FROM {}"
    change = "ALTER TABLE {} ADD COLUMN extra int"
    assert may("asi_student", "course", read) and may("asi_student", "dev", read)
    # In an environment that is not guarded, a developer makes tables, as in dev; elsewhere he reads, as in prod.
    assert may("asi_student", "course", change)
    assert may("asi_student", "paris", read) and not may("asi_student", "paris", change)
    assert not may("asi_teacher", "dev", read) and not may("asi_boss", "course", read)
    assert may("asi_teacher", "paris", read)


def test_who_may_make_accounts_goes_on_in_every_environment(lab: Project, server: Server) -> None:
    if server.backend == "mysql":
        pytest.skip("a role of MySQL passes that on")
    asked = "SELECT rolname FROM pg_roles WHERE rolcreaterole AND rolname LIKE 'asi\\_%' ORDER BY 1"
    assert [name for (name,) in server.execute(asked)] == ["asi_boss", "asi_teacher"]


def test_an_environment_that_is_not_there_is_a_mistake(lab: Project) -> None:
    lab.write("access.toml", ACCESS.replace("course =", "curse =", 1))
    refused = run(lab, "dev", "access", "plan", code=1)
    lab.write("access.toml", ACCESS)
    is_sentence(refused)
    assert "roles.curse is not known here; there are dev, prod, course and paris" in refused.err


def test_nothing_is_said_of_an_environment_in_which_nobody_has_a_role(lab: Project) -> None:
    lab.write("environments.toml", SITES + '[empty]\nprefix = "paris_"\n')
    assert "access" not in run(lab, "empty", "init").out
    lab.write("environments.toml", SITES)


def test_another_server_has_accounts_and_passwords_of_its_own(
    mysql: Server, postgresql: Server, tmp_path: Path, render: Callable[..., Path]
) -> None:
    own = Project(render(tmp_path / "my_pipeline"))
    access = '[people.boss]\nlogin = "asi_boss"\nroles = { dev = "admin", munich = "viewer" }\n'
    access += '[people.local]\nlogin = "asi_local"\nroles = { dev = "viewer" }\n'
    access += '[people.gone]\nlogin = "asi_gone"\nroles = { dev = "viewer", munich = "viewer" }\n'
    granted.lay(own, mysql, PREFIX, access)
    own.write(
        "environments.toml",
        f'[munich]\nhost = "{postgresql.host}"\nport = {postgresql.port}\nbackend = "postgresql"\n'
        'name = "postgres"\nprefix = "munich_"\n',
    )
    for name, value in (("user", postgresql.user), ("password", postgresql.password)):
        own.write(f".secrets/munich/database.{name}", f"{value}\n")
    for server in (mysql, postgresql):
        granted.forget(server, PREFIX)
    postgresql.drop(*names("munich"))
    try:
        run(own, "dev", "access", "apply")
        run(own, "munich", "init")
        run(own, "munich", "access", "apply")
        run(own, "munich", "access", "check")
        here, there = own.read(".secrets/accounts/asi_boss"), own.read(".secrets/munich/accounts/asi_boss")
        assert here != there
        mysql.connect("asi_boss", here.strip()).close()
        postgresql.connect("asi_boss", there.strip()).close()
        assert not (own.folder / ".secrets/munich/accounts/asi_local").exists()
        makers = "SELECT count(*) FROM pg_roles WHERE rolcreaterole AND rolname LIKE 'asi\\_%'"
        assert postgresql.execute(makers)[0][0] == 0
        run(own, "munich", "access", "rotate", "asi_boss")
        assert own.read(".secrets/accounts/asi_boss") == here
        # Who is no more in munich leaves that server, and stays in dev.
        refused = run(own, "munich", "access", "remove", "asi_gone", code=1)
        assert "is in access.toml" in refused.err
        own.write(
            "access.toml", access.replace('roles = { dev = "viewer", munich = "viewer" }', 'roles.dev = "viewer"')
        )
        run(own, "munich", "access", "apply")
        run(own, "munich", "access", "remove", "asi_gone")
        run(own, "munich", "access", "check")
        run(own, "dev", "access", "check")
        mysql.connect("asi_gone", own.read(".secrets/accounts/asi_gone").strip()).close()
    finally:
        postgresql.drop(*names("munich"))
        for server in (mysql, postgresql):
            granted.forget(server, PREFIX)
