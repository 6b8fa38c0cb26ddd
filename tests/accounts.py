"""Accounts of a real server with the rights that statements give them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from conftest import Server

#: Of this process alone, since tests that run beside this one are watched as well.
SECRET = f"hush-Qx7Zk-{os.getpid()}"


class Account:
    """An account of a server with rights that statements gave it."""

    def __init__(self, server: Server, name: str, password: str = SECRET) -> None:
        self.server, self.name, self.password = server, f"{name}_{os.getpid()}", password
        self.mysql = server.backend == "mysql"
        self.user = f"'{self.name}'@'%'" if self.mysql else self.name
        server.execute(f"CREATE USER {self.user} {'IDENTIFIED BY' if self.mysql else 'PASSWORD'} '{password}'")

    @property
    def variables(self) -> dict[str, str]:
        return {"DJ_USER": self.name, "DJ_PASS": self.password}

    def execute(self, statement: str) -> Any:
        return self.server.execute(statement, user=self.name, password=self.password)

    def drop(self) -> None:
        if not self.mysql:
            self.server.execute(f"DROP OWNED BY {self.user} CASCADE")
        self.server.execute(f"DROP USER {self.user}")


@contextmanager
def made(server: Server, *databases: str) -> Iterator[Callable[..., Account]]:
    """Make accounts, which may make schemas where they are to; they are gone at the end, and so are the databases."""
    accounts: list[Account] = []

    def make(name: str, *, owns: bool = False) -> Account:
        accounts.append(Account(server, name))
        if owns and server.backend == "mysql":
            server.execute(f"GRANT ALL ON `dev\\_%`.* TO {accounts[-1].user}")
        elif owns:
            server.execute(f"GRANT CREATE ON DATABASE postgres TO {accounts[-1].user}")
        return accounts[-1]

    server.drop(*databases)
    yield make
    server.drop(*databases)
    for account in reversed(accounts):
        account.drop()
