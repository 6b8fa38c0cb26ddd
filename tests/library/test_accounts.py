"""Accounts that exist: another password, a lock, the end, with sessions open and under odd names, on both servers."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest
from conftest import Server

from datajoint_pipeline.dialects.accounts import Accounts
from datajoint_pipeline.dialects.choice import accounts_of
from datajoint_pipeline.errors import PipelineError

#: Names that somebody has, or that a pattern or a quote of SQL would take for something else.
NAMES = ["alice", "o'brien", "a_b%", "żółw", 'say"so`']


@pytest.fixture
def accounts(server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Accounts]:
    """The administrator's view."""
    with administrator(server) as connection:
        yield accounts_of(connection)


def administrator(server: Server) -> Any:
    import datajoint as dj
    from datajoint.settings import Config

    config = Config()
    config["database.backend"] = server.backend
    config["database.host"], config["database.port"] = server.host, server.port
    config["database.user"], config["database.password"] = server.user, server.password
    return closing(dj.Connection(server.host, server.user, server.password, server.port, config_override=config))


@pytest.fixture
def person(server: Server) -> Iterator[Callable[[str], str]]:
    """Make people with the password ``first``; they are gone at the end, if a test has not taken them away."""
    made: list[str] = []

    def make(name: str) -> str:
        login = f"{name}{os.getpid()}"
        server.execute(f"CREATE USER {spelled(server, login)} {PASSWORD[server.backend]} 'first'")
        made.append(login)
        return login

    yield make
    for login in made:
        server.execute(f"DROP USER IF EXISTS {spelled(server, login)}")


PASSWORD = {"mysql": "IDENTIFIED BY", "postgresql": "PASSWORD"}


def spelled(server: Server, login: str) -> str:
    if server.backend == "mysql":
        return "`" + login.replace("`", "``") + "`@`%`"
    return '"' + login.replace('"', '""') + '"'


def works(server: Server, login: str, password: str) -> bool:
    """Whether one can log in."""
    try:
        server.connect(login, password).close()
    except Exception as error:
        assert any(word in str(error) for word in ("denied", "authentication failed", "locked", "not permitted")), error
        return False
    return True


def ended(session: Any) -> bool:
    """Whether an open session is no more."""
    try:
        with session.cursor() as cursor:
            cursor.execute("SELECT 1")
    except Exception:
        return True
    return False


@pytest.mark.parametrize("name", NAMES)
def test_a_new_password_and_the_old_one_until_told(
    server: Server, accounts: Accounts, person: Callable[[str], str], name: str
) -> None:
    login = person(name)
    with closing(server.connect(login, "first")) as session:
        second = accounts.rotate(login)
        assert works(server, login, second) and not ended(session)
    mysql = server.backend == "mysql"
    assert works(server, login, "first") is mysql
    if mysql:  # a third password would make the first one void
        with pytest.raises(PipelineError, match="old password that is still valid"):
            accounts.rotate(login)
        assert works(server, login, "first") and works(server, login, second)
    assert accounts.discard(login) is mysql
    assert not works(server, login, "first") and works(server, login, second)
    assert accounts.discard(login) is False
    assert accounts.rotate(login) != second


def test_no_password_is_in_a_statement(
    server: Server, accounts: Accounts, person: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    login, sent = person("carol"), []
    query = accounts.connection.query

    def noting(sql: str, args: Any = None, **options: Any) -> Any:
        sent.append(f"{sql} {args}")
        return query(sql, args=args, **options)

    monkeypatch.setattr(accounts.connection, "query", noting)
    password = accounts.rotate(login)
    assert len(password) >= 20 and not any(password in statement for statement in sent)


@pytest.mark.parametrize("name", NAMES[:3])
def test_a_lock_ends_open_sessions_too(
    server: Server, accounts: Accounts, person: Callable[[str], str], name: str
) -> None:
    login, other = person(name), person(f"{name}_other")
    with closing(server.connect(other, "first")) as beside, closing(server.connect(login, "first")) as session:
        assert accounts.lock(login) == 1
        assert ended(session) and not ended(beside)
    assert not works(server, login, "first")
    assert accounts.lock(login) == 0
    accounts.unlock(login)
    assert works(server, login, "first")


@pytest.mark.parametrize("name", NAMES)
def test_a_removed_account_leaves_nothing(
    server: Server, accounts: Accounts, person: Callable[[str], str], name: str
) -> None:
    login, heir, database = person(name), person("heir"), f"accounts_{os.getpid()}"
    full, mysql = spelled(server, login), server.backend == "mysql"
    server.drop(database)
    if mysql:
        server.execute(f"CREATE DATABASE {database}", f"CREATE TABLE {database}.t (a INT PRIMARY KEY, b INT)")
        server.execute(f"GRANT SELECT ON {database}.* TO {full}", f"GRANT INSERT ON {database}.t TO {full}")
        server.execute(f"GRANT UPDATE (b) ON {database}.t TO {full}", f"GRANT BACKUP_ADMIN ON *.* TO {full}")
        server.execute(f"GRANT {spelled(server, heir)} TO {full}", f"SET DEFAULT ROLE ALL TO {full}")
    else:
        server.execute(f"CREATE SCHEMA {database} AUTHORIZATION {full}", f"GRANT {spelled(server, heir)} TO {full}")
        with closing(server.connect(login, "first")) as theirs, theirs.cursor() as cursor:
            cursor.execute(f"CREATE TABLE {database}.t (a INT PRIMARY KEY, b INT)")
            cursor.execute(f"ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO {spelled(server, heir)}")
        server.execute(f"CREATE DATABASE {database}")  # what one owns there goes to the heir, too
        try:
            with closing(server.connect(dbname=database)) as other, other.cursor() as cursor:
                cursor.execute(f"CREATE SCHEMA theirs AUTHORIZATION {full}")
            remove(server, accounts, login, heir, database)
            owner = f"SELECT nspowner::regrole::text FROM pg_namespace WHERE nspname = '{database}'"
            assert server.execute(owner)[0][0].strip('"') == heir
            with closing(server.connect(dbname=database)) as other, other.cursor() as cursor:
                cursor.execute("SELECT nspowner::regrole::text FROM pg_namespace WHERE nspname = 'theirs'")
                assert cursor.fetchone()[0].strip('"') == heir
                cursor.execute("DROP SCHEMA theirs")
        finally:
            server.execute(f"DROP DATABASE {database}")
            server.drop(database)
        return
    remove(server, accounts, login, heir, database)
    server.drop(database)


def remove(server: Server, accounts: Accounts, login: str, heir: str, database: str) -> None:
    """Remove an account with an open session; then the server knows nothing of it."""
    with closing(server.connect(login, "first")) as session:
        assert len(accounts.traces(login)) > 3
        number = "" if server.backend == "mysql" else f"SELECT oid FROM pg_roles WHERE rolname = '{quotes(login)}'"
        oid = server.execute(number)[0][0] if number else 0
        removed = accounts.remove(login, heir)
        assert removed.sessions == 1 and ended(session)
        assert {*removed.inherited} == (set() if server.backend == "mysql" else {"postgres", database})
    for _ in range(50):  # a session that was killed is listed until its thread has noticed
        if not accounts.traces(login):
            break
        time.sleep(0.1)
    assert accounts.traces(login) == []
    if oid:
        assert server.execute(f"SELECT COUNT(*) FROM pg_shdepend WHERE refobjid = {oid}") == [(0,)]
    with pytest.raises(PipelineError, match="There is no account"):
        accounts.remove(login, heir)


def quotes(text: str) -> str:
    return text.replace("'", "''")


def test_what_would_break_is_refused(server: Server, accounts: Accounts, person: Callable[[str], str]) -> None:
    for action in (accounts.rotate, accounts.lock, accounts.discard, accounts.unlock):
        with pytest.raises(PipelineError, match="There is no account nobody_here"):
            action("nobody_here")
    with pytest.raises(PipelineError, match="You work as"):
        accounts.lock(server.user)
    login = person("maker")
    if server.backend == "postgresql":
        with pytest.raises(PipelineError, match="There is no role nobody_here"):
            accounts.remove(login, "nobody_here")
        assert works(server, login, "first")
        return
    database = f"accounts_{os.getpid()}"
    server.execute(f"CREATE DATABASE {database}")
    server.execute(f"CREATE DEFINER = {spelled(server, login)} SQL SECURITY DEFINER VIEW {database}.v AS SELECT 1 AS a")
    with pytest.raises(PipelineError, match=f"definer of view {database}.v"):
        accounts.remove(login, "")
    assert works(server, login, "first")
    server.drop(database)
    server.execute(f"CREATE USER `{login}`@localhost")
    with pytest.raises(PipelineError, match=f"{login}@localhost"):
        accounts.lock(login)
    server.execute(f"DROP USER `{login}`@localhost")
