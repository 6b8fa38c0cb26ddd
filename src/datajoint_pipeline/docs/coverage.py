"""How many tables and attributes have a comment, and how many the lab wants to have one."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import PipelineError
from ..schema.model import Table

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

#: What can be asked for, by the name of its rule.
RULES = {"table-comments": "tables", "attribute-comments": "attributes"}

_WHERE = "[tool.datajoint-pipeline.docs] of pyproject.toml"


@dataclass(frozen=True)
class Coverage:
    """How many have a comment.

    Parameters
    ----------
    rule : str
        One of :data:`RULES`.
    total : int
        How many there are.
    missing : tuple of str
        The names of those without one.
    required : float
        How many percent the lab wants to have one; 0 where it has no rule.
    """

    rule: str
    total: int
    missing: tuple[str, ...]
    required: float = 0

    @property
    def percent(self) -> float:
        """Give how many percent have a comment; 100 where there are none."""
        return 100 * (self.total - len(self.missing)) / self.total if self.total else 100.0

    @property
    def broken(self) -> bool:
        """Say whether that is less than the lab wants."""
        return self.percent < self.required


def measure(tables: Iterable[Table], rules: dict[str, float]) -> tuple[Coverage, ...]:
    """Count comments of tables, and of the attributes that a definition names itself."""
    listed = list(tables)
    attributes = [
        (f"{table.name}.{attribute.name}", attribute.comment)
        for table in listed
        for attribute in table.attributes
        if not attribute.inherited and not attribute.hidden
    ]
    found = {"table-comments": [(str(t.name), t.comment) for t in listed], "attribute-comments": attributes}
    return tuple(
        Coverage(rule, len(pairs), tuple(name for name, comment in pairs if not comment), rules.get(rule, 0))
        for rule, pairs in found.items()
    )


def read_rules(pyproject: Path) -> dict[str, float]:
    """Read the lab's rules; none where there is no such file, or no such table in it.

    Raises
    ------
    PipelineError
        If the file is not TOML, or a rule is not known or not a percentage.
    """
    return dict(_checked(_table(pyproject)))


def _table(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        found: Any = tomllib.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise PipelineError("pyproject.toml is not TOML.", f"{error}.", "Correct it.") from None
    for name in ("tool", "datajoint-pipeline", "docs"):
        found = found.get(name, {}) if isinstance(found, dict) else {}
    return found if isinstance(found, dict) else {}


def _checked(rules: dict[str, Any]) -> Iterator[tuple[str, float]]:
    for name, percent in rules.items():
        if name not in RULES:
            raise PipelineError(
                f"{_WHERE} has {name}, and there is no such rule.",
                f"The rules are {' and '.join(RULES)}.",
                "Correct the name.",
            )
        if isinstance(percent, bool) or not isinstance(percent, int | float) or not 0 <= percent <= 100:
            raise PipelineError(
                f"{_WHERE} gives {name} {percent!r}.",
                "It is the percentage that has to have a comment, from 0 to 100.",
                f"Write {name} = 100.",
            )
        yield name, float(percent)
