"""A person's account as `access` keeps it: another password, a lock, the end; by an admin, on both servers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import granted
import pytest
from conftest import Project, Server
from living import is_sentence

from datajoint_pipeline.commands.access import file_of

pytestmark = [pytest.mark.both_servers, pytest.mark.in_order]

PREFIX = "aa_"

LOGIN = granted.LOGINS["viewer"]


@pytest.fixture(scope="module", params=["mysql", "postgresql"])
def server(request: pytest.FixtureRequest) -> Server:
    found: Server = request.getfixturevalue(request.param)
    return found


@pytest.fixture(scope="module")
def lab(server: Server, tmp_path_factory: pytest.TempPathFactory, render: Callable[..., Path]) -> Iterator[Project]:
    """A pipeline in production whose people have their accounts; commands are an admin's from here on."""
    own = Project(render(tmp_path_factory.mktemp("lab") / "my_pipeline"))
    granted.lay(own, server, PREFIX)
    granted.forget(server, PREFIX)
    for command in (("init",), ("access", "apply")):
        done = own.run("--env", "prod", *command)
        assert done.code == 0, done.err
    own.environment |= granted.account(own, "admin")
    yield own
    granted.forget(server, PREFIX)


def password(lab: Project, login: str = LOGIN) -> str:
    return lab.read(f".secrets/accounts/{quote(login, safe='')}").strip()


def works(server: Server, login: str, secret: str) -> bool:
    try:
        server.connect(login, secret).close()
    except Exception:
        return False
    return True


def test_an_admin_gives_a_person_another_password(lab: Project, server: Server) -> None:
    mysql, first = server.backend == "mysql", password(lab)
    done = lab.run("--env", "prod", "access", "rotate", LOGIN)
    assert done.code == 0 and password(lab) != first, done.err
    assert password(lab) not in done.out and works(server, LOGIN, password(lab))
    assert works(server, LOGIN, first) is mysql
    if mysql:
        second = password(lab)
        refused = lab.run("--env", "prod", "access", "rotate", LOGIN)
        assert refused.code == 1 and "old password that is still valid" in refused.err
        is_sentence(refused)
        assert password(lab) == second
    void = lab.run("--env", "prod", "access", "rotate", LOGIN, "--discard", "--json")
    assert void.json["discarded"] is mysql
    assert not works(server, LOGIN, first) and works(server, LOGIN, password(lab))
    shown = lab.run("--env", "prod", "access", "rotate", LOGIN, "--show-password", "--json")
    assert works(server, LOGIN, shown.json["password"]) and shown.json["old_is_valid"] is mysql
    lab.run("--env", "prod", "access", "rotate", LOGIN, "--discard")
    lab.write(f".secrets/accounts/{quote(LOGIN, safe='')}", shown.json["password"])


def test_a_lock_keeps_the_rights_and_ends_the_sessions(lab: Project, server: Server) -> None:
    with closing(server.connect(LOGIN, password(lab))) as session:
        done = lab.run("--env", "prod", "access", "lock", LOGIN)
        assert done.out == f"{LOGIN} can no longer log in; 1 session was ended.\n", done.err
        with pytest.raises(Exception), session.cursor() as cursor:  # noqa: B017
            cursor.execute("SELECT 1")
    assert not works(server, LOGIN, password(lab))
    told = lab.run("--env", "prod", "status", DJ_USER=LOGIN, DJ_PASS=password(lab))
    assert told.code == 1 and "access lock LOGIN --undo" in told.err, told.err
    # Nobody's rights are others for it.
    assert lab.run("--env", "prod", "access", "check").code == 0
    assert lab.run("--env", "prod", "access", "lock", LOGIN, "--undo").code == 0
    assert works(server, LOGIN, password(lab))


def test_who_is_not_of_this_pipeline_is_left_alone(lab: Project, server: Server) -> None:
    for login, why in (
        ("nobody_here", "is not an account of this pipeline"),
        (server.user, "is not an account of this pipeline"),
        (granted.LOGINS["admin"], "You work as"),
    ):
        refused = lab.run("--env", "prod", "access", "lock", login)
        assert refused.code == 1 and why in refused.err, refused.err
        is_sentence(refused)
    refused = lab.run("--env", "prod", "access", "remove", LOGIN)
    assert refused.code == 1 and "is in access.toml" in refused.err
    assert lab.run("access", "lock", LOGIN).code == 1  # production is not named
    operator = granted.account(lab, "operator")
    refused = lab.run("--env", "prod", "access", "rotate", LOGIN, **operator)
    assert refused.code == 1, refused.out
    is_sentence(refused)
    assert f"{granted.LOGINS['operator']}" in refused.err and "may not change accounts" in refused.err, refused.err
    assert "admin of access.toml" in refused.err
    assert works(server, LOGIN, password(lab))


def test_whoever_leaves_leaves_nothing(lab: Project, server: Server) -> None:
    before, login = lab.read("access.toml"), granted.LOGINS["developer"]
    entry = before[before.index("[people.developer]") : before.index("[people.admin]")]
    lab.write("access.toml", before.replace(entry, ""))
    assert lab.run("--env", "prod", "access", "apply").code == 0
    with closing(server.connect(login, password(lab, login))):
        done = lab.run("--env", "prod", "access", "remove", login, "--json")
        assert done.code == 0, done.err
        assert done.json["sessions_ended"] == 1
    assert not works(server, login, password(lab, login))
    if server.backend == "mysql":
        query = "SELECT COUNT(*) FROM {} WHERE user = 'a_b%'"
        tables = ("mysql.user", "mysql.db", "mysql.tables_priv", "mysql.default_roles", "mysql.global_grants")
    else:
        query, tables = "SELECT COUNT(*) FROM {} WHERE rolname = 'a_b%'", ("pg_roles",)
    assert [server.execute(query.format(table)) for table in tables] == [[(0,)]] * len(tables)
    checked = lab.run("--env", "prod", "access", "check")
    assert checked.code == 0 and login not in checked.out, checked.out
    lab.write("access.toml", before)
    again = lab.run("--env", "prod", "access", "apply", "--json")
    assert [made["login"] for made in again.json["accounts"]] == [login], again.err


def test_what_runs_with_the_rights_of_who_leaves_is_not_given_to_the_owner(lab: Project, server: Server) -> None:
    if server.backend == "mysql":
        pytest.skip("an account of MySQL owns nothing; what it defined keeps it from being removed")
    before, login = lab.read("access.toml"), granted.LOGINS["developer"]
    journal, viewer = f'{PREFIX}subject."~migration"', granted.quoted(server, LOGIN)
    entry = before[before.index("[people.developer]") : before.index("[people.admin]")]
    who = granted.quoted(server, login)
    server.execute(
        f"CREATE SCHEMA {PREFIX}own AUTHORIZATION {who}",
        f"SET SESSION AUTHORIZATION {who}",
        f"CREATE VIEW {PREFIX}own.journal AS SELECT * FROM {journal}",
        f"GRANT ALL ON {PREFIX}own.journal TO {viewer}",
        f"CREATE FUNCTION {PREFIX}own.gone() RETURNS void LANGUAGE sql SECURITY DEFINER AS 'SELECT'",
    )
    lab.write("access.toml", before.replace(entry, ""))
    assert lab.run("--env", "prod", "access", "apply").code == 0
    refused = lab.run("--env", "prod", "access", "remove", login)
    assert refused.code == 1 and f"function {PREFIX}own.gone(), view {PREFIX}own.journal" in refused.err, refused.err
    is_sentence(refused)
    assert works(server, login, password(lab, login))
    server.execute(
        f"REVOKE ALL ON {PREFIX}own.journal FROM {viewer}", f"REVOKE ALL ON FUNCTION {PREFIX}own.gone() FROM PUBLIC"
    )
    assert lab.run("--env", "prod", "access", "remove", login).code == 0
    server.execute(f"DROP SCHEMA {PREFIX}own CASCADE")
    lab.write("access.toml", before)
    assert lab.run("--env", "prod", "access", "apply").code == 0


def test_an_admin_is_changed_by_itself_or_the_administrator_of_postgresql(lab: Project, server: Server) -> None:
    if server.backend == "mysql":
        pytest.skip("who may make accounts there may change any")
    before = lab.read("access.toml")
    lab.write("access.toml", before + "[people.second]\nroles.prod = 'admin'\n")
    root = {"DJ_USER": server.user, "DJ_PASS": server.password}
    try:
        assert lab.run("--env", "prod", "access", "apply", **root).code == 0
        for command in (("lock", "second"), ("rotate", "second")):
            refused = lab.run("--env", "prod", "access", *command)
            assert refused.code == 1 and "An admin's account is changed by itself and by the server's" in refused.err
            is_sentence(refused)
    finally:
        lab.write("access.toml", before)
        assert lab.run("--env", "prod", "access", "apply", **root).code == 0
        assert lab.run("--env", "prod", "access", "remove", "second", **root).code == 0


def test_passwords_of_names_that_differ_by_case_have_a_file_each_everywhere(tmp_path: Path) -> None:
    files = []
    for login in ("Vera", "vera", "VERA%"):
        files.append(file_of(tmp_path, login))
        assert not files[-1].exists()
        files[-1].write_text("a password")
    assert [file.name for file in files] == ["Vera", "%76%65%72%61", "VERA%25"]
    assert file_of(tmp_path, "Vera").name == "Vera"


def test_all_of_it_is_recorded_without_a_password(lab: Project, server: Server) -> None:
    table = granted.quoted(server, f"{PREFIX}subject", "~access")
    rows = server.execute(f"SELECT statements, database_user, status FROM {table} ORDER BY id")
    said = [text for text, _, _ in rows]
    for action in ("rotate", "rotate --discard", "lock", "lock --undo"):
        assert any(f"access {action} {LOGIN}" in text for text in said), said
    assert any("access remove a_b%" in text for text in said)
    assert {status for _, _, status in rows} == {"done"}
    assert not any(password(lab) in text for text in said)
    shown = " ".join(lab.run("--env", "prod", "log").out.split())
    assert "access apply, " in shown and f"access lock {LOGIN}" in shown and "init" in shown, shown
    found = lab.run("--env", "prod", "log", "--json").json["access"]
    assert len(found) == len(rows) and all(run["state"] == "done" for run in found)
