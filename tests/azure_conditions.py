"""Reads conditions of Azure's role assignments (version 2.0), as far as ours go, and says whether one holds.

The grammar is what Azure's pages say of it, read by hand: Azure itself was not asked.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_TOKEN = re.compile(
    r"\s*(?:(?P<mark>[()!])|(?P<word>AND|OR|NOT)\b|(?P<match>ActionMatches|SubOperationMatches)\{'(?P<named>[^']*)'\}"
    r"|@(?P<kind>Resource|Request)\[(?P<attribute>[\w./:]+)\]|(?P<operator>StringEquals|StringStartsWith)\b|'(?P<text>[^']*)')"
)


class Condition:
    """A condition as text.

    Parameters
    ----------
    text : str
        The condition.
    """

    def __init__(self, text: str) -> None:
        self._tokens: list[re.Match[str]] = []
        at = 0
        while text[at:].strip():
            token = _TOKEN.match(text, at)
            assert token, f"what is this: {text[at : at + 40]}"
            self._tokens.append(token)
            at = token.end()

    def holds(self, action: str, operation: str = "", **attributes: str) -> bool:
        """Whether it holds for an action, an operation within it, and attributes by the last word of their names."""
        self._at, self._asked = 0, (action, operation, attributes)
        found = self._any()
        assert self._at == len(self._tokens), "there is more"
        return found

    def _next(self, **wanted: str) -> bool:
        if self._at == len(self._tokens):
            return False
        token = self._tokens[self._at]
        if all(token[name] == value for name, value in wanted.items()):
            self._at += 1
            return True
        return False

    def _any(self) -> bool:
        found = self._all()
        while self._next(word="OR"):
            other = self._all()
            found = found or other
        return found

    def _all(self) -> bool:
        found = self._one()
        while self._next(word="AND"):
            other = self._one()
            found = found and other
        return found

    def _one(self) -> bool:
        if self._next(mark="!") or self._next(word="NOT"):
            return not self._one()
        if self._next(mark="("):
            found = self._any()
            assert self._next(mark=")"), "a parenthesis is not closed"
            return found
        token = self._tokens[self._at]
        action, operation, attributes = self._asked
        self._at += 1
        if token["match"]:
            return token["named"] == (action if token["match"] == "ActionMatches" else operation)
        assert token["attribute"], f"an expression cannot begin with {token[0]}"
        return self._compare(attributes, token["attribute"].rpartition(":")[2])

    def _compare(self, attributes: Mapping[str, str], name: str) -> bool:
        operator, text = self._tokens[self._at]["operator"], self._tokens[self._at + 1]["text"]
        self._at += 2
        assert operator and text is not None, "a comparison is not complete"
        value = attributes.get(name, "")
        return value == text if operator == "StringEquals" else value.startswith(text)
