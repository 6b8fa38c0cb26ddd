"""Divides SQL of the lab's own into its statements, as neither driver does: each of them is a step of its own.

A semicolon ends a statement where it stands neither in a text, a name, a comment or parentheses, nor in the body of a
trigger, routine or event (``BEGIN … END``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

#: What is read as one piece; the first that fits. PostgreSQL nests comments, and knows no # and mostly no backslash.
_COMMON = r"`(?:[^`]|``)*`|--(?=\s|$)[^\n]*|\w+|."
_TOKENS = {
    "mysql": r"'(?:[^'\\]|\\.|'')*'|\"(?:[^\"\\]|\\.|\"\")*\"|#[^\n]*|/\*.*?\*/|",
    "postgresql": r"[eE]'(?:[^'\\]|\\.|'')*'|'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|(\$(?:[^\W\d]\w*)?\$).*?\1|--[^\n]*|",
}
_PATTERNS = {backend: re.compile(own + _COMMON, re.S) for backend, own in _TOKENS.items()}

#: What has a body with statements of its own.
_WITH_BODY = re.compile(
    r"create\s+(or\s+replace\s+)?(definer\s*=\s*\S+\s+)?(aggregate\s+)?(trigger|procedure|function|event)\b|alter\s+event\b",
    re.I,
)

#: Words that open what END closes, where a statement begins: after one of these.
_OPENS = {"IF", "LOOP", "WHILE", "REPEAT"}
_BEGINS = {";", "BEGIN", "THEN", "ELSE", "DO", "LOOP", "REPEAT", "ROW", ")", ":"}


def split(backend: str, text: str) -> tuple[str, ...]:
    """Give the statements of a text, without what is only a comment."""
    found, begin = list[str](), 0
    for end in _ends(backend, text):
        found.append(text[begin:end])
        begin = end + 1
    return tuple(part.strip() for part in [*found, text[begin:]] if _says_anything(backend, part))


def _ends(backend: str, text: str) -> Iterator[int]:
    """Give the place of each semicolon that ends a statement."""
    depth = inside = 0
    last, body = "", None
    for token, place in _tokens(backend, text):
        word = token.upper()
        if body is None:
            body = bool(_WITH_BODY.match(text, place))
        if token in "()":
            depth += 1 if token == "(" else -1
        elif body and last == "END" and word in {*_OPENS, "CASE"}:
            word = "END"  # which was counted
        elif body and (word in ("BEGIN", "CASE") or (word in _OPENS and last in _BEGINS)):
            inside += 1
        elif body and word == "END":
            inside -= 1
        elif token == ";" and depth <= 0 and inside <= 0:
            yield place
            depth = inside = 0
            word, body = "", None
        last = word


def _tokens(backend: str, text: str) -> Iterator[tuple[str, int]]:
    """Give what is neither a blank nor a comment, with its place."""
    place = 0
    while match := _PATTERNS[backend].match(text, place):
        token, begin = match[0], place
        place = match.end()
        if backend == "postgresql" and text.startswith("/*", begin):
            place = _after_comment(text, begin)
        elif not token.isspace() and not token.startswith(("--", "#", "/*")):
            yield token, begin


def _after_comment(text: str, begin: int) -> int:
    """Give the place after a comment of PostgreSQL's, which may have others in it."""
    depth = 0
    for match in re.compile(r"/\*|\*/").finditer(text, begin):
        depth += 1 if match[0] == "/*" else -1
        if depth == 0:
            return match.end()
    return len(text)


def _says_anything(backend: str, text: str) -> bool:
    # To MySQL, /*! … */ is no comment.
    return any(True for _ in _tokens(backend, text)) or (backend == "mysql" and "/*!" in text)
