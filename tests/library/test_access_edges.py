"""Rights at their edges: odd names and modes, an admin who goes, an administrator who is no superuser."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import granted
import pytest
from conftest import Project, Server
from living import is_sentence

PREFIX = "aeg_"

#: Names that some part of a statement, a pattern, a path or a command line could take for something else.
LOGINS = ["ana@uni.edu", "a\\b", "100%s", "-dash", 'it\'s "so" `x`', "x" * 32]

BOSS = "[people.boss]\nlogin = 'ana@uni.edu'\nroles.prod = 'admin'\n"
PEOPLE = BOSS + "".join(
    f"[people.p{number}]\nlogin = '''{login}'''\nroles.prod = 'viewer'\n"
    for number, login in enumerate(LOGINS)
    if number
)


@pytest.fixture(scope="module", params=["mysql", "postgresql"])
def server(request: pytest.FixtureRequest) -> Server:
    found: Server = request.getfixturevalue(request.param)
    return found


@pytest.fixture(scope="module")
def lab(server: Server, tmp_path_factory: pytest.TempPathFactory, render: Callable[..., Path]) -> Iterator[Project]:
    own = Project(render(tmp_path_factory.mktemp("lab") / "my_pipeline"))
    granted.lay(own, server, PREFIX, PEOPLE)
    granted.forget(server, PREFIX)
    if server.backend == "mysql":  # what a session of its own does not set
        server.execute("SET GLOBAL sql_mode = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES,PIPES_AS_CONCAT,STRICT_ALL_TABLES'")
    try:
        done = own.run("--env", "prod", "init")
        assert done.code == 0, done.err
        yield own
        granted.forget(server, PREFIX)
    finally:
        if server.backend == "mysql":
            server.execute("SET GLOBAL sql_mode = DEFAULT")


def access(lab: Project, *command: str, code: int = 0, **who: str) -> Any:
    done = lab.run("--env", "prod", "access", *command, **who)
    assert done.code == code, f"{command}: {done.code}\n{done.out}\n{done.err}"
    return done


def password(lab: Project, login: str) -> str:
    return lab.read(f".secrets/accounts/{quote(login, safe='')}").strip()


def test_odd_names_are_nothing_but_names(lab: Project, server: Server) -> None:
    access(lab, "apply")
    assert access(lab, "apply", "--json").json["statements"] == []
    for login in LOGINS:
        server.connect(login, password(lab, login)).close()
    boss = {"DJ_USER": LOGINS[0], "DJ_PASS": password(lab, LOGINS[0])}
    for login in LOGINS[1:5]:
        access(lab, "rotate", "--", login, **boss)
        server.connect(login, password(lab, login)).close()
        access(lab, "lock", "--", login, **boss)
        with pytest.raises(Exception, match=r"lock|not permitted"):
            server.connect(login, password(lab, login))
    access(lab, "check", **boss)


def test_doctor_names_the_account_that_logged_in(lab: Project, server: Server) -> None:
    access(lab, "apply")
    found = lab.run("--env", "prod", "doctor", DJ_USER=LOGINS[0], DJ_PASS=password(lab, LOGINS[0]))
    assert f"this account is {LOGINS[0]}" in found.out, found.out
    kind = "MySQL" if server.backend == "mysql" else "PostgreSQL"
    assert f"The server is {kind} " in found.out


def test_an_environment_without_roles_gets_none(lab: Project, server: Server) -> None:
    refused = lab.run("--env", "test", "access", "apply")
    assert refused.code == 1 and "has no roles of its own" in refused.err, refused.err
    is_sentence(refused)


def test_an_admin_does_not_saw_off_the_branch(lab: Project, server: Server) -> None:
    boss = {"DJ_USER": LOGINS[0], "DJ_PASS": password(lab, LOGINS[0])}
    lab.write("access.toml", PEOPLE.removeprefix(BOSS))
    refused = access(lab, "apply", code=1, **boss)
    assert "you work as ana@uni.edu" in refused.err
    is_sentence(refused)
    before = access(lab, "plan", "--json", code=3, **boss).json["statements"]
    assert all(line["kind"] == "revoke" for line in before), before
    lab.write("access.toml", PEOPLE)
    access(lab, "check", **boss)
    lab.write("access.toml", "")
    access(lab, "apply")
    for login in LOGINS[:3]:
        access(lab, "remove", "--", login)
    access(lab, "check")


def test_an_administrator_of_a_cloud_is_enough_and_keeps_nothing(lab: Project, server: Server) -> None:
    if server.backend == "mysql":
        pytest.skip("PostgreSQL in a cloud has no superuser for its customers")
    granted.forget(server, PREFIX)
    server.execute(
        "CREATE ROLE aeg_cloud LOGIN CREATEROLE CREATEDB PASSWORD 'x'", "ALTER DATABASE postgres OWNER TO aeg_cloud"
    )
    cloud = {"DJ_USER": "aeg_cloud", "DJ_PASS": "x"}
    lab.write(
        "access.toml",
        "[accounts]\npassword_days = 3\n[people.a]\nlogin = 'aeg_a'\nroles.prod = 'admin'\n"
        "[people.b]\nlogin = 'aeg_b'\nroles = { dev = 'developer', prod = 'operator' }\n",
    )
    try:
        assert lab.run("--env", "prod", "init", **cloud).code == 0
        access(lab, "apply", **cloud)
        assert access(lab, "apply", "--json", **cloud).json["statements"] == []
        access(lab, "check", **cloud)
        lent = "SELECT pg_has_role('aeg_cloud', rolname, 'USAGE') FROM pg_roles WHERE rolname LIKE 'aeg\\_my%'"
        assert {has for (has,) in server.execute(lent)} == {False}
        admin = {"DJ_USER": "aeg_a", "DJ_PASS": password(lab, "aeg_a")}
        lab.replace("access.toml", "'operator'", "'viewer'")
        access(lab, "apply", **admin)
        access(lab, "rotate", "aeg_b", **admin)
        access(lab, "check", **admin)
    finally:
        server.execute("ALTER DATABASE postgres OWNER TO CURRENT_USER")
        granted.forget(server, PREFIX)
        server.execute("DROP OWNED BY aeg_cloud CASCADE", "DROP ROLE aeg_cloud")
