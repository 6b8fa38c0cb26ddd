"""Changes of files that were not made yet: shown first, written afterwards."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Change:
    """A file as it is (None: not there) and as it is to be; the content of a secret is never shown."""

    path: Path
    shown: str
    before: str | None
    after: str
    secret: bool = False

    def diff(self) -> str:
        """Return the change as ``diff`` shows it."""
        if self.secret:
            return f"+++ {self.shown}\n(a credential, which is not shown)\n"
        before = (self.before or "").splitlines(keepends=True)
        lines = difflib.unified_diff(
            before,
            self.after.splitlines(keepends=True),
            "/dev/null" if self.before is None else self.shown,
            self.shown,
            n=1,
        )
        return "".join(line if line.endswith("\n") else f"{line}\n" for line in lines)

    def write(self) -> None:
        """Write the file; one that was not there is made, with its folders."""
        private = self.shown.startswith(".secrets/")
        self.path.parent.mkdir(mode=0o700 if private else 0o777, parents=True, exist_ok=True)
        if private:
            self.path.parent.chmod(0o700)
        if self.secret:
            handle = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
                file.write(self.after)
        else:
            self.path.write_bytes(self.after.encode())


@dataclass
class Plan:
    """Changes, and sentences about what is left to a person; it is ``short`` of what nothing was found for."""

    changes: list[Change]
    left: list[str]
    short: bool = False

    @staticmethod
    def of(plans: list[Plan]) -> Plan:
        """Return several plans as one."""
        changes = [change for plan in plans for change in plan.changes]
        return Plan(changes, [line for plan in plans for line in plan.left], any(plan.short for plan in plans))

    def write(self) -> Iterator[str]:
        """Write all of it, and yield the name of each file."""
        for change in self.changes:
            change.write()
            yield change.shown
