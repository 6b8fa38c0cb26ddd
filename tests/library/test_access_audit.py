"""The tables that access.toml names are audited once it is applied, and no more once it does not name them."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import granted
import pytest
from audited import entries as audited_entries
from audited import quoted
from conftest import Project, Server, private_mysql
from living import ok

PREFIX = "au_"


@pytest.fixture
def lab(server: Server, tmp_path: Path, render: Callable[..., Path]) -> Iterator[Project]:
    own = Project(render(tmp_path / "my_pipeline"))
    granted.lay(own, server, PREFIX)
    granted.forget(server, PREFIX)
    assert own.run("--env", "prod", "init").code == 0
    yield own
    granted.forget(server, PREFIX)


def test_what_the_file_names_is_audited(lab: Project, server: Server) -> None:
    plain = lab.read("access.toml")
    assert lab.run("--env", "prod", "access", "apply").code == 0
    lab.write("access.toml", plain + '\n[audit]\ntables = ["subject.Subject", "session.Later"]\n')
    found = lab.run("--env", "prod", "access", "check", "--json")
    assert found.code == 3 and found.json["audit"] == ["subject.Subject is not audited yet."], found.err
    assert any("session.Later" in note and "does not exist yet" in note for note in found.json["notes"])
    applied = lab.run("--env", "prod", "access", "apply")
    assert applied.code == 0 and "subject.Subject is audited from now on." in applied.out, applied.err
    again = lab.run("--env", "prod", "access", "apply")
    assert "Everybody has what access.toml says." in again.out and "from now on" not in again.out
    assert lab.run("--env", "prod", "access", "check").code == 0

    insert = "from my_pipeline import subject; subject.Subject.insert1(dict(subject_id='x', note='by the operator'))"
    done = lab.python("-c", insert, **granted.account(lab, "operator"))
    assert done.code == 0, done.err
    rows = lab.run("--env", "prod", "log", "--rows", "subject.Subject", "--json")
    assert rows.code == 0, rows.err
    assert granted.LOGINS["operator"] in rows.out.encode().decode("unicode_escape"), rows.out

    lab.write("access.toml", plain)
    found = lab.run("--env", "prod", "access", "check")
    assert found.code == 4 and "subject.Subject is audited, and access.toml does not name it." in found.out, found.out
    ended = lab.run("--env", "prod", "access", "apply")
    assert "subject.Subject is no longer audited; its audit records stay." in ended.out, ended.err
    assert lab.run("--env", "prod", "access", "check").code == 0


def test_an_audit_that_was_tampered_with_is_told_and_put_right(lab: Project, server: Server) -> None:
    lab.write("access.toml", lab.read("access.toml") + '\n[audit]\ntables = ["subject.Subject"]\n')
    ok(lab, "--env", "prod", "access", "apply")
    database = f"{PREFIX}subject"
    if server.backend == "mysql":
        done = [f"DROP TRIGGER {database}.`~audit_delete_subject`"]
    else:
        function, body = f'{database}."~audit"()', "LANGUAGE plpgsql SECURITY DEFINER AS 'BEGIN RETURN NULL; END'"
        table = f"{database}.subject"
        rows = f'CREATE OR REPLACE TRIGGER "~audit" AFTER INSERT OR UPDATE OR DELETE ON {table} FOR EACH ROW'
        done = [
            f'ALTER TABLE {table} DISABLE TRIGGER "~audit"',
            f'ALTER TABLE {table} ENABLE REPLICA TRIGGER "~audit"',
            f"{rows} WHEN (false) EXECUTE FUNCTION {function}",
            f"{rows.replace(' OR DELETE', '')} EXECUTE FUNCTION {function}",
            f"CREATE OR REPLACE FUNCTION {function} RETURNS trigger {body}",
            f"ALTER FUNCTION {function} SET session_replication_role = replica",
            f"ALTER FUNCTION {function} OWNER TO {server.user}",
            f"GRANT EXECUTE ON FUNCTION {function} TO PUBLIC",
        ]
    for statement in done:
        server.execute(statement)
        found = lab.run("--env", "prod", "access", "check", "--json")
        assert found.code == 4, (statement, found.out)
        assert "subject.Subject is not audited as it should be" in " ".join(found.json["audit"]), statement
        applied = ok(lab, "--env", "prod", "access", "apply")
        assert "The audit of subject.Subject is as it should be again." in applied.out, statement
        assert lab.run("--env", "prod", "access", "check").code == 0, statement
    assert not [e for e in audited_entries(server, database) if e[2] == "end"]


def test_a_beginning_that_was_not_recorded_is_recorded_by_the_next_apply(lab: Project, server: Server) -> None:
    lab.write("access.toml", lab.read("access.toml") + '\n[audit]\ntables = ["subject.Subject"]\n')
    ok(lab, "--env", "prod", "access", "apply")
    database = f"{PREFIX}subject"
    server.execute(quoted(server, f"DELETE FROM {database}.`~audit`"))  # as if killed just before it was recorded
    ok(lab, "--env", "prod", "access", "apply")
    ok(lab, "--env", "prod", "access", "apply")
    assert [e[2] for e in audited_entries(server, database)] == ["begin"]


def test_rights_and_passwords_are_told_where_triggers_are_refused(tmp_path: Path, render: Callable[..., Path]) -> None:
    if shutil.which("mysqld") is None:
        pytest.skip("no mysqld on PATH, and this server's settings must be those of the test")
    (tmp_path / "mysqld").mkdir()
    with private_mysql(tmp_path / "mysqld", "--log-bin=binlog") as server:
        lab = Project(render(tmp_path / "my_pipeline"))
        granted.lay(lab, server, PREFIX)
        ok(lab, "--env", "prod", "init")
        ok(lab, "--env", "prod", "access", "apply")
        admin = granted.account(lab, "admin")
        new = '\n[people.new]\nroles.prod = "viewer"\n[audit]\ntables = ["subject.Subject"]\n'
        lab.write("access.toml", lab.read("access.toml") + new)
        done = lab.run("--env", "prod", "access", "apply", "--show-passwords", **admin)
        assert done.code == 1 and "log_bin_trust_function_creators" in done.err, done.err
        assert "Nothing was changed" not in done.err and "No triggers were made" in done.err
        password = done.out.partition("Account new: password ")[2].split()[0]
        server.connect("new", password).close()
        lab.write("access.toml", lab.read("access.toml") + '[people.newer]\nroles.prod = "viewer"\n')
        done = lab.run("--env", "prod", "access", "apply", "--show-passwords", "--json", **admin)
        assert done.code == 1 and "log_bin_trust_function_creators" in done.json["unaudited"], done.out
        server.connect("newer", done.json["accounts"][0]["password"]).close()
        left = lab.run("--env", "prod", "access", "plan", **admin)
        assert "0 statements" not in left.out and "subject.Subject is not audited yet" in left.out, left.out


def test_a_migration_says_which_tables_are_not_audited_yet(lab: Project, server: Server) -> None:
    ok(lab, "revise", "-m", "begin")
    lab.write("access.toml", lab.read("access.toml") + '\n[audit]\ntables = ["subject.Late"]\n')
    ok(lab, "--env", "prod", "migrate")
    ok(lab, "--env", "prod", "access", "apply")
    late = '\n\n@schema\nclass Late(dj.Manual):\n    definition = """\n    late : int32\n    """\n'
    lab.write(lab.module("subject"), lab.read(lab.module("subject")) + late)
    ok(lab, "revise", "subject", "-m", "late")
    done = ok(lab, "--env", "prod", "migrate")
    assert "subject.Late is not audited yet. Run" in done.out and "access apply" in done.out, done.out
    ok(lab, "--env", "prod", "access", "apply")
    assert "access apply" not in ok(lab, "--env", "prod", "migrate").out


def test_a_computed_table_is_refused_before_anything_is_given(lab: Project, server: Server) -> None:
    plain = lab.read("access.toml")
    lab.write("access.toml", plain + '\n[audit]\ntables = ["analysis.Result"]\n')
    refused = lab.run("--env", "prod", "access", "apply")
    assert refused.code in (1, 2) and "Computed" in refused.err, refused.err
    lab.write("access.toml", plain)
    planned = lab.run("--env", "prod", "access", "plan", "--json")
    assert any(s["kind"] == "role" for s in planned.json["statements"])
