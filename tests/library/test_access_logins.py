"""How long passwords are valid and whether logins are encrypted, as ``access.toml`` says; tried by logging in."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import granted
import pytest
from conftest import Project, Server
from living import is_sentence

PREFIX = "alg_"

PEOPLE = """\
[people.ana]
login = "alg_ana"
roles.prod = "viewer"
[services.worker]
login = "alg_worker"
roles.prod = "operator"
password_days = 0
"""

ASKED = PEOPLE + "[accounts]\npassword_days = 30\ntls = true\n"


@pytest.fixture(scope="module", params=["mysql", "postgresql"])
def server(request: pytest.FixtureRequest) -> Server:
    found: Server = request.getfixturevalue(request.param)
    return found


@pytest.fixture(scope="module")
def lab(server: Server, tmp_path_factory: pytest.TempPathFactory, render: Callable[..., Path]) -> Iterator[Project]:
    own = Project(render(tmp_path_factory.mktemp("lab") / "my_pipeline"))
    granted.lay(own, server, PREFIX, PEOPLE)
    granted.forget(server, PREFIX)
    for command in (("init",), ("access", "apply")):
        done = own.run("--env", "prod", *command)
        assert done.code == 0, done.err
    yield own
    granted.forget(server, PREFIX)


def access(lab: Project, *command: str) -> Any:
    return lab.run("--env", "prod", "access", *command)


def statements(lab: Project) -> list[str]:
    return [line["sql"] for line in access(lab, "plan", "--json").json["statements"]]


def notes(lab: Project) -> str:
    return " ".join(access(lab, "plan", "--json").json["notes"])


def ana(lab: Project) -> dict[str, str]:
    return {"DJ_USER": "alg_ana", "DJ_PASS": lab.read(".secrets/accounts/alg_ana").strip()}


def refused(server: Server, lab: Project, login: str, *, tls: bool = False) -> str:
    """Why an account cannot log in; nothing where it can."""
    secret = lab.read(f".secrets/accounts/{login}").strip()
    try:
        if server.backend == "mysql":
            import pymysql

            options: dict[str, Any] = {"ssl": {"check_hostname": False}} if tls else {"ssl_disabled": True}
            pymysql.connect(host=server.host, port=server.port, user=login, password=secret, **options).close()
        else:
            server.connect(login, secret).close()
    except Exception as error:
        return str(error)
    return ""


def test_nothing_is_asked_unless_the_file_says_so(lab: Project, server: Server) -> None:
    assert statements(lab) == [] and notes(lab) == ""
    hand = "PASSWORD EXPIRE INTERVAL 7 DAY REQUIRE SSL" if server.backend == "mysql" else "VALID UNTIL '2100-01-01'"
    who, user = spelled(server, "alg_ana"), "USER" if server.backend == "mysql" else "ROLE"
    undo = "PASSWORD EXPIRE DEFAULT REQUIRE NONE" if server.backend == "mysql" else "VALID UNTIL 'infinity'"
    server.execute(f"ALTER {user} {who} {ordered(hand)}")
    assert statements(lab) == []
    server.execute(f"ALTER {user} {who} {ordered(undo)}")


def test_what_the_file_asks_is_applied_once_and_checked(lab: Project, server: Server) -> None:
    mysql = server.backend == "mysql"
    lab.write("access.toml", ASKED)
    planned = access(lab, "plan", "--json").json["statements"]
    assert {line["kind"] for line in planned} == {"account"}
    said = "\n".join(f"{line['sql']} -- {line['reason']}" for line in planned)
    assert "a password of ana is valid for 30 days" in said and ("ana only logs in over TLS" in said) is mysql
    assert ("PostgreSQL cannot ask an account for TLS" in notes(lab)) is not mysql
    assert access(lab, "check").code == 3
    assert access(lab, "apply").code == 0
    assert statements(lab) == [] and access(lab, "check").code == 0
    why = refused(server, lab, "alg_ana")
    assert ("denied" in why) is mysql and not refused(server, lab, "alg_ana", tls=True)
    told = lab.run("--env", "prod", "status", **ana(lab))
    assert ("or switch TLS on" in told.err) is mysql, told.err
    who = spelled(server, "alg_ana")
    by_hand = (
        [f"ALTER USER {who} REQUIRE NONE", f"ALTER USER {who} PASSWORD EXPIRE NEVER"]
        if mysql
        else [f"ALTER ROLE {who} VALID UNTIL 'infinity'", f"ALTER ROLE {who} VALID UNTIL '2100-01-01'"]
    )
    for statement in by_hand:
        server.execute(statement)
        checked = access(lab, "check")
        assert checked.code == 3 and "ana" in checked.out, statement
        assert access(lab, "apply").code == 0 and access(lab, "check").code == 0


def test_an_expired_password_is_refused_until_it_is_rotated(lab: Project, server: Server) -> None:
    lab.write("access.toml", ASKED.replace("tls = true", "tls = false"))
    assert access(lab, "apply").code == 0 and not refused(server, lab, "alg_ana")
    expire(server, "alg_ana")
    assert refused(server, lab, "alg_ana") and not refused(server, lab, "alg_worker")
    told = lab.run("--env", "prod", "status", **ana(lab))
    is_sentence(told)
    assert ("access rotate LOGIN" in told.err) is (server.backend == "mysql"), told.err
    assert "The password of ana has expired; access rotate alg_ana" in notes(lab)
    assert access(lab, "check").code == 0  # the file has nothing against it
    old = lab.read(".secrets/accounts/alg_ana")
    done = access(lab, "rotate", "alg_ana", "--json")
    assert done.code == 0 and done.json["old_is_valid"] is False, done.err
    assert not refused(server, lab, "alg_ana") and notes(lab) == ""
    assert access(lab, "check").code == 0
    new = lab.read(".secrets/accounts/alg_ana")
    lab.write(".secrets/accounts/alg_ana", old)
    assert refused(server, lab, "alg_ana"), "the expired password came back with the new one"
    lab.write(".secrets/accounts/alg_ana", new)


def test_a_lock_is_named_where_the_account_also_asks_for_tls(lab: Project, server: Server) -> None:
    if server.backend != "mysql":
        pytest.skip("PostgreSQL asks no account for TLS")
    lab.write("access.toml", ASKED)
    assert access(lab, "apply").code == 0
    assert access(lab, "rotate", "alg_ana").code == 0
    own = {"DJ_USER": "alg_ana", "DJ_PASS": lab.read(".secrets/accounts/alg_ana").strip()}
    assert access(lab, "rotate", "alg_ana", "--discard").code == 0
    unset = lab.environment.pop("DJ_USE_TLS")
    try:
        assert lab.run("--env", "prod", "status", **own).code == 0
        assert access(lab, "lock", "alg_ana").code == 0
        refused = lab.run("--env", "prod", "status", **own)
        assert "is locked" in refused.err and "lock LOGIN --undo" in refused.err, refused.err
        assert access(lab, "lock", "alg_ana", "--undo").code == 0
        server.execute("ALTER USER alg_ana PASSWORD EXPIRE")
        told = lab.run("--env", "prod", "status", **own)
        assert "rotate LOGIN" in told.err, told.err
        assert access(lab, "rotate", "alg_ana").code == 0
    finally:
        lab.environment["DJ_USE_TLS"] = unset
        lab.write("access.toml", ASKED.replace("tls = true", "tls = false"))
        assert access(lab, "apply").code == 0


def test_a_password_that_expires_soon_or_at_once_is_told(lab: Project, server: Server) -> None:
    lab.write("access.toml", PEOPLE + "[accounts]\npassword_days = 3\n")
    if server.backend == "mysql":
        server.execute(
            "UPDATE mysql.user SET password_last_changed = NOW() - INTERVAL 9 DAY WHERE user = 'alg_ana'",
            "FLUSH PRIVILEGES",
        )
        assert "The password of ana is 9 days old, so that it expires at once" in notes(lab)
        assert access(lab, "rotate", "alg_ana").code == 0
    assert access(lab, "apply").code == 0 and statements(lab) == []
    assert re.search(r"The password of ana expires in [34] days", notes(lab))
    assert not refused(server, lab, "alg_ana")
    lab.write("access.toml", PEOPLE + "[accounts]\npassword_days = 0\ntls = false\n")
    assert access(lab, "apply").code == 0 and notes(lab) == "" and access(lab, "check").code == 0


def test_a_password_that_nothing_renews_is_not_rotated(lab: Project, server: Server) -> None:
    if server.backend == "mysql":
        pytest.skip("MySQL begins to count with each password")
    lab.write("access.toml", PEOPLE)
    expire(server, "alg_ana")
    done = access(lab, "rotate", "alg_ana")
    assert done.code == 1 and "Say password_days under [accounts]" in done.err
    server.execute("ALTER ROLE alg_ana VALID UNTIL 'infinity'")


def test_the_line_for_postgresql_keeps_out_who_comes_without_tls(lab: Project, server: Server) -> None:
    if server.backend == "mysql":
        pytest.skip("MySQL asks the account")
    lab.write("access.toml", ASKED)
    line = notes(lab).partition("other lines: ")[2]
    assert line.startswith("hostnossl all +alg_my_pipeline_prod_viewer all reject"), line
    with rules(server, line):
        assert "pg_hba.conf rejects" in refused(server, lab, "alg_ana")
        assert server.execute("SELECT 1") == [(1,)]
    assert not refused(server, lab, "alg_ana")


@contextmanager
def rules(server: Server, line: str) -> Iterator[None]:
    ((path,),) = server.execute("SHOW hba_file")
    file = Path(path)
    before = file.read_text()
    try:
        file.write_text(f"{line}\n{before}")
        server.execute("SELECT pg_reload_conf()", "SELECT pg_sleep(0.3)")
        yield
    finally:
        file.write_text(before)
        server.execute("SELECT pg_reload_conf()", "SELECT pg_sleep(0.3)")


def expire(server: Server, login: str) -> None:
    if server.backend == "mysql":
        past = f"UPDATE mysql.user SET password_last_changed = NOW() - INTERVAL 99 DAY WHERE user = '{login}'"
        server.execute(past, "FLUSH PRIVILEGES")
    else:
        server.execute(f"ALTER ROLE {login} VALID UNTIL '2001-01-01'")


def ordered(words: str) -> str:
    """What MySQL wants first, first."""
    head, mark, tail = words.partition(" REQUIRE")
    return f"REQUIRE{tail} {head}" if mark else words


def spelled(server: Server, login: str) -> str:
    return f"`{login}`@`%`" if server.backend == "mysql" else login
