"""What ``access apply`` gives lets every role do what it should, through DataJoint, and nothing else.

The whole matrix is in ``benchmarks/access.py``; here are the two roles that most accounts have.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import granted
import pytest
import strayed
from conftest import Project, Server

PREFIX = "ac_"


@pytest.fixture(scope="module", params=["mysql", "postgresql"])
def server(request: pytest.FixtureRequest) -> Server:
    found: Server = request.getfixturevalue(request.param)
    return found


@pytest.fixture(scope="module")
def lab(server: Server, tmp_path_factory: pytest.TempPathFactory, render: Callable[..., Path]) -> Iterator[Project]:
    """A pipeline in production on a server, before anybody has a right on it."""
    own = Project(render(tmp_path_factory.mktemp("lab") / "my_pipeline"))
    granted.lay(own, server, PREFIX)
    granted.forget(server, PREFIX)
    done = own.run("init", "--env", "prod")
    assert "4 schemas done" in done.out, done.err
    yield own
    granted.forget(server, PREFIX)


def test_a_login_called_like_a_role_is_refused_before_there_is_the_role(lab: Project, server: Server) -> None:
    before = lab.read("access.toml")
    for role in ("prod_admin", "dev_developer"):
        name = f"{PREFIX}my_pipeline_{role}"
        lab.write("access.toml", before + f"[people.eve]\nlogin = '{name}'\nroles.prod = 'viewer'\n")
        refused = lab.run("--env", "prod", "access", "apply")
        assert refused.code == 1 and f"has {name} as a login, which is the name of a role" in refused.err, refused.err
        table = "mysql.user WHERE user" if server.backend == "mysql" else "pg_roles WHERE rolname"
        assert server.execute(f"SELECT COUNT(*) FROM {table} = '{name}'") == [(0,)]
    lab.write("access.toml", before)


@pytest.fixture(scope="module")
def applied(lab: Project) -> Project:
    """The same, once everybody has what the file says."""
    done = lab.run("--env", "prod", "access", "apply")
    assert done.code == 0, done.err
    return lab


def test_what_is_missing_is_shown_with_a_reason_and_changes_nothing(lab: Project, server: Server) -> None:
    found = lab.run("--env", "prod", "access", "plan", "--json")
    assert found.code == 3, found.err
    statements = found.json["statements"]
    assert {s["kind"] for s in statements} == {"account", "role", "grant"} | (
        {"owner"} if server.backend == "postgresql" else set()
    )
    assert all(s["reason"] and s["sql"] for s in statements)
    assert lab.run("--env", "prod", "access", "check").code in (3, 4)
    assert lab.run("--env", "prod", "access", "plan", "--json").json == found.json


def test_a_second_apply_has_nothing_to_do_and_the_first_is_recorded(applied: Project, server: Server) -> None:
    again = applied.run("--env", "prod", "access", "apply", "--json")
    assert again.code == 0 and again.json["statements"] == [] and again.json["accounts"] == []
    checked = applied.run("--env", "prod", "access", "check")
    assert checked.code == 0, checked.out
    table = granted.quoted(server, f"{PREFIX}subject", "~access")
    rows = server.execute(f"SELECT id, status, database_user, done, statements FROM {table}")
    ((number, status, who, done, text),) = rows
    assert (number, status) == (1, "done") and who.startswith(server.user) and done > 40
    assert "a viewer reads" in text


def test_passwords_are_written_for_their_owner_alone_and_stand_nowhere_else(applied: Project, server: Server) -> None:
    folder = applied.folder / ".secrets" / "accounts"
    files = sorted(folder.iterdir())
    assert len(files) == len(granted.LOGINS)
    for file in files:
        assert stat.S_IMODE(os.stat(file).st_mode) == 0o600
    table = granted.quoted(server, f"{PREFIX}subject", "~access")
    ((text,),) = server.execute(f"SELECT statements FROM {table}")
    assert not [file.name for file in files if file.read_text().strip() in text]


@pytest.mark.both_servers
@pytest.mark.parametrize("role", ["viewer", "operator"])
def test_a_role_may_do_what_it_should_and_nothing_else(applied: Project, server: Server, role: str) -> None:
    granted.prepare(applied, [role])
    found = granted.attempts(applied, role, PREFIX, **granted.account(applied, role))
    assert len(found) == 80
    assert granted.wrong(role, server.backend, found) == {}


def test_two_environments_on_one_server_know_of_each_other(applied: Project, server: Server) -> None:
    for command in (("init",), ("access", "apply")):
        done = applied.run("--env", "dev", *command, MY_PIPELINE_ENV="dev")
        assert done.code == 0, done.err
    for environment in ("prod", "dev", "prod"):
        checked = applied.run("--env", environment, "access", "check", MY_PIPELINE_ENV=environment)
        assert checked.code == 0, checked.out
    who = granted.account(applied, "developer")
    found = granted.attempts(applied, "developer", PREFIX, "import,fetch,join,insert,declare", **who)
    assert granted.wrong("developer", server.backend, found) == {}
    granted.prepare(applied, ["developer"], MY_PIPELINE_ENV="dev")
    made = granted.attempts(
        applied, "developer", f"dev_{PREFIX}", "import,insert,declare", **who, MY_PIPELINE_ENV="dev"
    )
    assert granted.wrong("developer", server.backend, made, "dev") == {}
    owner = applied.run("--env", "dev", "access", "check", "--json", MY_PIPELINE_ENV="dev").json
    assert not [line for line in owner["missing"] if "OWNER TO" in line["sql"]]


def test_without_the_right_to_see_grants_the_commands_say_so(applied: Project, server: Server) -> None:
    done = applied.run("--env", "prod", "access", "check", **granted.account(applied, "viewer"))
    if server.backend == "mysql":
        assert done.code == 1 and "may not see who has which rights" in done.err
    else:  # where everybody sees everything
        assert done.code == 0, done.err


def test_an_admin_applies_a_change_of_the_file(applied: Project, server: Server) -> None:
    before = applied.read("access.toml")
    admin = granted.account(applied, "admin")
    applied.write("access.toml", before.replace('delete_manual = ["session", "analysis"]', "delete_manual = []"))
    applied.write("access.toml", applied.read("access.toml") + '\n[people.new]\nroles.prod = "viewer"\n')
    done = applied.run("--env", "prod", "access", "apply", "--json", **admin)
    assert done.code == 0, done.err
    assert [made["login"] for made in done.json["accounts"]] == ["new"]
    assert {s["kind"] for s in done.json["statements"]} == {"account", "grant", "revoke"}
    applied.write("access.toml", before)
    taken = applied.run("--env", "prod", "access", "apply", "--json", **admin)
    assert taken.code == 0, taken.err
    assert any("new has viewer, and access.toml does not say so" in s["reason"] for s in taken.json["statements"])
    assert "The account new was made for this pipeline" in str(taken.json["notes"])


def test_production_is_changed_only_where_the_command_names_it(applied: Project) -> None:
    done = applied.run("access", "apply")
    assert done.code == 1 and "does not say --env prod" in done.err
    local = applied.run("--env", "local", "access", "plan")
    assert local.code == 1 and "local has no accounts" in local.err


def test_a_file_with_mistakes_changes_nothing(applied: Project) -> None:
    before = applied.read("access.toml")
    applied.write("access.toml", before.replace('"viewer"', '"reader"', 1) + '\n[audit]\ntables = ["nowhere.T"]\n')
    done = applied.run("--env", "prod", "access", "apply")
    applied.write("access.toml", before)
    assert done.code == 1 and "access.toml has 2 mistakes; nothing was changed." in done.err
    assert "access.toml, line 3: 'reader' is not a role" in done.err and "there is no schema nowhere" in done.err


@pytest.mark.both_servers
def test_whatever_was_done_by_hand_is_named_and_mended(applied: Project, server: Server) -> None:
    assert applied.run("--env", "prod", "access", "apply").code == 0
    done = strayed.deviations(server, PREFIX)
    assert len(done) >= 30
    strayed.clean(server, PREFIX)
    for _, statements, _ in done:
        server.execute(*statements.split(";"))
    try:
        found = applied.run("--env", "prod", "access", "check")
        assert found.code == 4, found.err
        assert [what for what, _, words in done if words not in found.out] == [], found.out
        mended = applied.run("--env", "prod", "access", "apply")
        assert mended.code == 0, mended.err
        left = applied.run("--env", "prod", "access", "check", "--json").json
        assert left["missing"] == left["unexpected"] == []
        assert left["others"]
    finally:
        strayed.clean(server, PREFIX)
        for table in ("fresh", "theirs"):
            server.execute(f"DROP TABLE IF EXISTS {granted.quoted(server, f'{PREFIX}analysis', table)}")
        if server.backend == "postgresql":
            server.execute(f"REVOKE SELECT ON {PREFIX}analysis.__result FROM PUBLIC")
    assert applied.run("--env", "prod", "access", "apply").code == 0
    assert applied.run("--env", "prod", "access", "check").code == 0


def test_what_gives_more_than_rights_is_named_with_what_takes_it_away(applied: Project, server: Server) -> None:
    assert applied.run("--env", "prod", "access", "apply").code == 0
    done = strayed.bypasses(server, PREFIX)
    for statements, _ in done:
        server.execute(*statements.split(";"))
    found = applied.run("--env", "prod", "access", "check", "--json")
    assert found.code == 4 and not found.json["unexpected"], found.out
    others = found.json["others"]
    assert [words for _, words in done if not any(line.startswith(words) for line in others)] == [], others
    for _, words in done:
        (line,) = [line for line in found.json["others"] if line.startswith(words)]
        if "; " in line:
            server.execute(line.split("; ")[1])
    left = applied.run("--env", "prod", "access", "check", "--json").json
    assert left["others"] == [line for line in others if "; " not in line] and not left["missing"], left
    if server.backend == "mysql":
        server.execute(
            f"DROP PROCEDURE {PREFIX}subject.own",
            f"DROP ROLE {PREFIX}group",
            f"REVOKE {granted.quoted(server, granted.LOGINS['developer'])}@`%` FROM "
            f"{granted.quoted(server, granted.LOGINS['analyst'])}@`%`",
        )
    else:
        analyst, other = (granted.quoted(server, granted.LOGINS[name]) for name in ("analyst", "developer"))
        server.execute(
            f"REVOKE pg_write_all_data FROM {analyst}",
            f"REVOKE {other} FROM {analyst}",
            f"DROP SCHEMA {granted.quoted(server, granted.LOGINS['viewer'])}",
            f"DROP FUNCTION {PREFIX}subject.own()",
            f'DROP SEQUENCE {PREFIX}subject."~own"',
        )
    assert applied.run("--env", "prod", "access", "check").code == 0
