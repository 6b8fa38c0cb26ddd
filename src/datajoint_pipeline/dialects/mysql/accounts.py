"""Accounts of MySQL: another password beside the old one, a lock that ends sessions, an end that leaves no row."""

from __future__ import annotations

from ...errors import PipelineError
from ...quoting import quoted
from ..accounts import Accounts, Action, Removal, refuse_definer, unended
from .rights import password_left

#: Where the server writes down accounts, and the columns that name them.
_TABLES = {
    "user": ("user", "host"),
    "db": ("user", "host"),
    "tables_priv": ("user", "host"),
    "columns_priv": ("user", "host"),
    "procs_priv": ("user", "host"),
    "proxies_priv": ("user", "host"),
    "global_grants": ("user", "host"),
    "default_roles": ("user", "host"),
    "password_history": ("user", "host"),
    "role_edges": ("to_user", "to_host"),
}

#: What runs with the rights of whoever made it.
_DEFINED = """
SELECT CONCAT('trigger ', trigger_schema, '.', trigger_name) FROM information_schema.triggers WHERE definer = %s
UNION ALL SELECT CONCAT('view ', table_schema, '.', table_name) FROM information_schema.views WHERE definer = %s
UNION ALL SELECT CONCAT('event ', event_schema, '.', event_name) FROM information_schema.events WHERE definer = %s
UNION ALL SELECT CONCAT(LOWER(routine_type), ' ', routine_schema, '.', routine_name)
    FROM information_schema.routines WHERE definer = %s
"""

#: No such thread: it ended by itself.
_GONE = 1094

#: Whose thread it is may be ended by others only with a right.
_NOT_YOURS = 1095


class MySQLAccounts(Accounts):
    """The accounts of MySQL. An account is a name for any host (``name@%``), as ``access apply`` makes it."""

    def own(self) -> str:
        return str(self._rows("SELECT CURRENT_USER()")[0][0]).rpartition("@")[0]

    def exists(self, login: str) -> bool:
        return bool(self._rows("SELECT 1 FROM mysql.user WHERE user = %s AND host = '%%'", login))

    def refuse(self, login: str, action: Action, heir: str = "", *, again: bool = False) -> None:
        self.require(login, action if action in ("lock", "remove") else "")
        if action == "rotate" and not again and self.has_old(login) and not self._is_void(login):
            raise PipelineError(
                f"{login} has an old password that is still valid.",
                "Another new one would end it, and lock out everybody who still uses it. Nothing was changed.",
                f"When everybody has the new one, run access rotate {login} --discard, then rotate again.",
            )
        if action == "remove":
            refuse_definer(login, [str(row[0]) for row in self._rows(_DEFINED, *[f"{login}@%"] * 4)])
        if action in ("lock", "remove"):
            self._refuse_namesakes(login)
            self._sessions(login)  # before anything is changed: whoever locks has to see them

    def rotate(self, login: str, *, days: int | None = None, again: bool = False) -> str:
        self.refuse(login, "rotate", again=again)
        account = self._account(login)
        retain = " RETAIN CURRENT PASSWORD"
        if self._is_void(login):  # neither it nor an older one is to become valid again with the new one
            self.discard(login)
            retain = ""
        elif self.has_old(login):  # that of before the rotation that was broken off, whose password nobody was given
            retain = ""
        rows = self._rows(f"ALTER USER {account} IDENTIFIED BY RANDOM PASSWORD{retain}")
        return str(rows[0][2])

    def discard(self, login: str) -> bool:
        self.refuse(login, "discard")
        had = self.has_old(login)
        self._rows(f"ALTER USER {self._account(login)} DISCARD OLD PASSWORD")
        return had

    def lock(self, login: str) -> int:
        self.refuse(login, "lock")
        self._rows(f"ALTER USER {self._account(login)} ACCOUNT LOCK")  # which open sessions do not feel
        return self._end_sessions(login)

    def unlock(self, login: str) -> None:
        self.refuse(login, "unlock")
        self._rows(f"ALTER USER {self._account(login)} ACCOUNT UNLOCK")

    def remove(self, login: str, heir: str) -> Removal:
        self.refuse(login, "remove")
        ended = self.lock(login)
        self._rows(f"DROP USER {self._account(login)}")
        return Removal(ended)

    def traces(self, login: str) -> list[str]:
        found = []
        for table, (user, host) in _TABLES.items():
            query = f"SELECT COUNT(*) FROM mysql.{table} WHERE {user} = %s AND {host} = '%%'"
            if count := int(self._rows(query, login)[0][0]):
                found.append(f"mysql.{table}: {count} {'row' if count == 1 else 'rows'}")
        return found + [f"session {number}" for number in self._sessions(login)]

    def _refuse_namesakes(self, login: str) -> None:
        """Raise where single hosts have accounts of that name: of a session, the server shows the name alone."""
        hosts = [
            str(row[0]) for row in self._rows("SELECT host FROM mysql.user WHERE user = %s AND host <> '%%'", login)
        ]
        if hosts:
            names = ", ".join(f"{login}@{host}" for host in hosts)
            raise PipelineError(
                f"There are further accounts of that name: {names}.",
                f"Which sessions are those of {login}@% cannot be told. Nothing was changed.",
                "Drop them or give them another name (RENAME USER), then run the command again.",
            )

    def has_old(self, login: str) -> bool:
        query = (
            "SELECT user_attributes->>'$.additional_password' IS NOT NULL FROM mysql.user "
            "WHERE user = %s AND host = '%%'"
        )
        return bool(self._rows(query, login)[0][0])

    def _is_void(self, login: str) -> bool:
        """Tell whether the password of an account has expired."""
        query = f"SELECT {password_left('u')} <= 0 FROM mysql.user u WHERE user = %s AND host = '%%'"
        return bool(self._rows(query, login)[0][0])

    def _sessions(self, login: str) -> list[int]:
        # The list of processes shows only one's own to whoever lacks a right; this one refuses.
        query = (
            "SELECT processlist_id FROM performance_schema.threads "
            "WHERE processlist_user = %s AND processlist_id <> CONNECTION_ID()"
        )
        return [int(row[0]) for row in self._rows(query, login)]

    def _end_sessions(self, login: str) -> int:
        """End the sessions of an account, which opens no new ones; give how many these were."""
        sessions = self._sessions(login)
        for number in sessions:
            try:
                self._rows(f"KILL CONNECTION {number}")
            except Exception as error:
                if error.args[:1] == (_NOT_YOURS,):
                    raise unended(login, len(sessions), "CONNECTION_ADMIN") from error
                if error.args[:1] != (_GONE,):
                    raise
        return len(sessions)

    def _account(self, login: str) -> str:
        return f"{quoted(self.connection, login)}@{quoted(self.connection, '%')}"
