"""Accounts of PostgreSQL: a password that no log sees, a lock that ends sessions, an end that leaves nothing behind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

from ...errors import PipelineError
from ...internals import connection as connections
from ...quoting import quoted
from ..accounts import Accounts, Action, Removal
from .rights import valid_until

#: The databases in which an account owns something, or has a right on something.
_DATABASES = """
SELECT DISTINCT d.datname FROM pg_catalog.pg_shdepend s JOIN pg_catalog.pg_roles r ON r.oid = s.refobjid
JOIN pg_catalog.pg_database d ON d.oid = s.dbid OR (s.dbid = 0 AND d.datname = current_database())
WHERE s.refclassid = 'pg_catalog.pg_authid'::regclass AND r.rolname = %s AND d.datallowconn ORDER BY 1
"""

#: Whether the password of an account is valid no more.
_VOID = "SELECT COALESCE(rolvaliduntil <= now(), false) FROM pg_catalog.pg_roles WHERE rolname = %s"

#: What runs with the rights of whoever owns it and others may use, of what an account owns in a database.
_LENT = """
SELECT CASE c.relkind WHEN 'v' THEN 'view ' ELSE 'materialized view ' END || c.oid::regclass::text
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_roles r ON r.oid = c.relowner
WHERE r.rolname = %(login)s AND c.relkind IN ('v', 'm') AND NOT EXISTS (
    SELECT FROM unnest(c.reloptions) o WHERE o ~ '^security_invoker=(t|y|on|1)')
    AND (EXISTS (SELECT FROM aclexplode(c.relacl) a WHERE a.grantee <> c.relowner) OR EXISTS (
        SELECT FROM pg_catalog.pg_attribute t CROSS JOIN LATERAL aclexplode(t.attacl) a
        WHERE t.attrelid = c.oid AND a.grantee <> c.relowner))
UNION ALL
SELECT 'function ' || p.oid::regprocedure::text
FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_roles r ON r.oid = p.proowner
WHERE r.rolname = %(login)s AND p.prosecdef AND EXISTS (
    SELECT FROM aclexplode(COALESCE(p.proacl, acldefault('f', p.proowner))) a WHERE a.grantee <> p.proowner)
ORDER BY 1
"""

#: Whether the account that asks may change another one, and whether that makes accounts itself, as an admin does.
_MAY_CHANGE = """
SELECT s.rolsuper OR s.oid = r.oid OR (s.rolcreaterole AND {keeps}), r.rolcreaterole
FROM pg_catalog.pg_roles r, pg_catalog.pg_roles s WHERE r.rolname = %s AND s.rolname = session_user
"""

#: How long a session has to end, in milliseconds.
_PATIENCE = 10_000


class PostgreSQLAccounts(Accounts):
    """The accounts of PostgreSQL."""

    def own(self) -> str:
        return connections.login(self.connection)

    def exists(self, login: str) -> bool:
        return bool(self._rows("SELECT 1 FROM pg_catalog.pg_roles WHERE rolname = %s", login))

    def refuse(self, login: str, action: Action, heir: str = "", *, again: bool = False) -> None:
        self.require(login, action if action in ("lock", "remove") else "")
        self._require_keeper(login)
        if action != "remove":
            return
        if not self.exists(heir):
            raise PipelineError(
                f"There is no role {heir} on this server.",
                "It is to get what the account owns. Nothing was changed.",
                "Run access apply first.",
            )
        for (database,) in self._rows(_DATABASES, login):
            with closing(connections.beside(self.connection, str(database))) as other, other.cursor() as cursor:
                cursor.execute(_LENT, {"login": login})
                lent = [str(row[0]) for row in cursor.fetchall()]
            if lent:
                more = f" and {len(lent) - 3} more" if len(lent) > 3 else ""
                raise PipelineError(
                    f"{login} owns what runs with its rights, and lets others use it: {', '.join(lent[:3])}{more}.",
                    f"As {heir}'s, it would do for them whatever {heir} may. Nothing was changed.",
                    f"In the database {database}, drop it, take it from others (REVOKE ALL), or give it another owner; "
                    "then run the command again.",
                )

    def _require_keeper(self, login: str) -> None:
        """Raise where this account may not change another one."""
        modern = connections.postgresql_version(self.connection) >= 16
        keeps = "pg_has_role(session_user, r.oid, 'MEMBER WITH ADMIN OPTION')" if modern else "NOT r.rolsuper"
        ((may, is_admin),) = self._rows(_MAY_CHANGE.format(keeps=keeps), login)
        if not may:
            if not is_admin:
                raise PipelineError(
                    f"{self.own()} may not change accounts on this server.",
                    f"The account {login} is changed by an admin or the server's administrator. Nothing was changed.",
                    "Have an admin of access.toml, or the server's administrator, run this command.",
                )
            raise PipelineError(
                f"{self.own()} may not change {login}.",
                "An admin's account is changed by itself and by the server's administrator alone. Nothing was changed.",
                "Have one of them run this command (docs/access.md).",
            )

    def rotate(self, login: str, *, days: int | None = None, again: bool = False) -> str:
        self.refuse(login, "rotate")
        until = "" if days is None else f" VALID UNTIL '{valid_until(self.connection, days)}'"
        if days is None and self._rows(_VOID, login)[0][0]:
            raise PipelineError(
                f"{login} may not log in any more: its password was valid until a day that is past.",
                "access.toml says nothing of that, so that a new password would be void as well. Nothing was changed.",
                "Say password_days under [accounts] of access.toml, 0 for ever, then rotate again.",
            )
        password, verifier = connections.new_password(self.connection, login)
        role = self._role(login).replace("%", "%%")  # a value is put in
        self._rows(f"ALTER ROLE {role} PASSWORD %s{until}", verifier)
        return password

    def has_old(self, login: str) -> bool:
        return False  # there is only ever one password

    def discard(self, login: str) -> bool:
        self.refuse(login, "discard")
        return self.has_old(login)

    def lock(self, login: str) -> int:
        self.refuse(login, "lock")
        self._rows(f"ALTER ROLE {self._role(login)} NOLOGIN")  # which open sessions do not feel
        return self._end_sessions(login)

    def unlock(self, login: str) -> None:
        self.refuse(login, "unlock")
        self._rows(f"ALTER ROLE {self._role(login)} LOGIN")

    def remove(self, login: str, heir: str) -> Removal:
        self.refuse(login, "remove", heir)
        ended = self.lock(login)
        databases = [str(row[0]) for row in self._rows(_DATABASES, login)]
        for database in databases:
            with self._member_of(login, heir, database=database) as run:
                run(f"REASSIGN OWNED BY {self._role(login)} TO {self._role(heir)}")
                run(f"DROP OWNED BY {self._role(login)}")
        self._rows(f"DROP ROLE {self._role(login)}")
        return Removal(ended, tuple(databases))

    def traces(self, login: str) -> list[str]:
        role = "(SELECT oid FROM pg_catalog.pg_roles WHERE rolname = %s)"
        found = [f"pg_roles: {login}"] if self.exists(login) else []
        for what, query, values in (
            ("pg_shdepend", f"SELECT COUNT(*) FROM pg_catalog.pg_shdepend WHERE refobjid = {role}", 1),
            (
                "pg_auth_members",
                f"SELECT COUNT(*) FROM pg_catalog.pg_auth_members WHERE member = {role} OR roleid = {role}",
                2,
            ),
        ):
            if count := int(self._rows(query, *[login] * values)[0][0]):
                found.append(f"{what}: {count} {'row' if count == 1 else 'rows'}")
        return found + [f"session {number}" for number in self._sessions(login)]

    @contextmanager
    def _member_of(self, *roles: str, database: str = "") -> Iterator[Callable[[str], object]]:
        """Run statements in a database, with the rights of roles: who gives away what one owns, or ends its sessions,
        needs them.

        All is one transaction, so that the rights are never there without it, nor what it does half.
        """
        lacking = [r for r in roles if not self._rows("SELECT pg_catalog.pg_has_role(%s, 'USAGE')", r)[0][0]]
        own = self._role(self.own())
        here = str(self._rows("SELECT current_database()")[0][0])
        with closing(connections.beside(self.connection, database or here)) as other, other.cursor() as cursor:
            for role in lacking:
                cursor.execute(f"GRANT {self._role(role)} TO {own}")
            yield cursor.execute
            for role in lacking:
                cursor.execute(f"REVOKE {self._role(role)} FROM {own}")
            other.commit()

    def _sessions(self, login: str) -> list[int]:
        query = "SELECT pid FROM pg_catalog.pg_stat_activity WHERE usename = %s AND pid <> pg_backend_pid()"
        return [int(row[0]) for row in self._rows(query, login)]

    def _end_sessions(self, login: str) -> int:
        """End the sessions of an account, which opens no new ones; give how many these were."""
        sessions = self._sessions(login)
        if not sessions:
            return 0
        with self._member_of(login) as run:
            for number in sessions:
                run(f"SELECT pg_catalog.pg_terminate_backend({number}, {_PATIENCE})")
        return len(sessions)

    def _role(self, name: str) -> str:
        return quoted(self.connection, name)
