"""An evaluator of IAM policies, for tests: as much of the language as policies of ours and their mutations use.

An explicit Deny wins, then an Allow, then nothing is allowed. Actions and resources match with ``*`` and ``?``; of
conditions StringEquals and StringLike, where a key that the request does not have matches nothing, unless it is said
``IfExists``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

_OPERATORS = {
    "StringEquals": lambda pattern, value: pattern == value,
    "StringLike": lambda pattern, value: _like(pattern, value),
}


@dataclass(frozen=True)
class Ask:
    """What a request asks for."""

    action: str
    resource: str
    keys: Mapping[str, str] = field(default_factory=dict, hash=False)


def allowed(documents: Iterable[Mapping[str, Any]], ask: Ask, principal: str | None = None) -> bool:
    """Whether policies allow it; of a bucket's policy what is said of a principal."""
    effects = {
        statement["Effect"]
        for document in documents
        for statement in document["Statement"]
        if _meant(statement, principal) and _matches(statement, ask)
    }
    return effects == {"Allow"}


def _meant(statement: Mapping[str, Any], principal: str | None) -> bool:
    if principal is None:
        return "Principal" not in statement
    return principal in _many(statement["Principal"]["AWS"])


def _matches(statement: Mapping[str, Any], ask: Ask) -> bool:
    conditions = statement.get("Condition", {})
    return (
        any(_like(pattern.lower(), ask.action.lower()) for pattern in _many(statement["Action"]))
        and any(_like(pattern, ask.resource) for pattern in _many(statement["Resource"]))
        and all(
            _holds(operator, _many(patterns), ask.keys.get(key))
            for operator, wanted in conditions.items()
            for key, patterns in wanted.items()
        )
    )


def _holds(operator: str, patterns: list[str], value: str | None) -> bool:
    if value is None:
        return operator.endswith("IfExists")
    compare = _OPERATORS[operator.removesuffix("IfExists")]
    return any(compare(pattern, value) for pattern in patterns)


def _many(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value)


def _like(pattern: str, value: str) -> bool:
    parts = re.split(r"([*?])", pattern)
    expression = "".join({"*": ".*", "?": "."}.get(part, re.escape(part)) for part in parts)
    return re.fullmatch(expression, value, re.DOTALL) is not None
