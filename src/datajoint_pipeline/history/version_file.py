"""Edits ``SCHEMA_VERSIONS`` in version.py; every other byte of the file stays as it is."""

from __future__ import annotations

import ast

from ..errors import PipelineError


def _versions(source: str, do: str) -> ast.Dict:
    for node in ast.parse(source).body:
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        value = getattr(node, "value", None)
        if getattr(target, "id", "") == "SCHEMA_VERSIONS" and isinstance(value, ast.Dict):
            return value
    raise PipelineError(
        "version.py has no SCHEMA_VERSIONS = {...} to write to.",
        "It is written in another way than a dictionary in place.",
        f"{do}; nothing was written.",
    )


class _Text:
    """A source by the positions of its syntax tree, which count bytes."""

    def __init__(self, source: str) -> None:
        self.bytes = source.encode()
        self._starts = [0]
        for line in self.bytes.splitlines(keepends=True):
            self._starts.append(self._starts[-1] + len(line))

    def position(self, line: int | None, column: int | None) -> int:
        assert line is not None and column is not None
        return self._starts[line - 1] + column


def add(source: str, name: str, version: str) -> str:
    """Give the source with one more entry, at the end and on a line of its own where the others have one.

    Raises
    ------
    PipelineError
        If there is no dictionary in place.
    """
    entry = f'"{name}": "{version}"'
    node, text = _versions(source, f"Add {entry} yourself"), _Text(source)
    brace = text.position(node.end_lineno, node.end_col_offset) - 1
    behind = text.position(node.values[-1].end_lineno, node.values[-1].end_col_offset) if node.values else brace
    if node.lineno == node.end_lineno:
        comma = ", " if node.values else ""
        return (text.bytes[:behind] + f"{comma}{entry}".encode() + text.bytes[brace:]).decode()
    between = text.bytes[behind:brace].decode()
    if node.values and not between.lstrip().startswith(","):
        between = f",{between}"
    if not between.endswith("\n"):
        between = between.rstrip(" ")
    return text.bytes[:behind].decode() + between + f"    {entry},\n" + text.bytes[brace:].decode()


def replace(source: str, name: str, version: str) -> str:
    """Give the source with another version of a schema that it has.

    Raises
    ------
    PipelineError
        If the dictionary, or the version in it, is not there as text.
    """
    do = f'Write "{name}": "{version}" yourself'
    node, text = _versions(source, do), _Text(source)
    for key, value in zip(node.keys, node.values, strict=True):
        if isinstance(key, ast.Constant) and key.value == name and isinstance(value, ast.Constant):
            start = text.position(value.lineno, value.col_offset)
            end = text.position(value.end_lineno, value.end_col_offset)
            quote = text.bytes[end - 1 : end]
            return (text.bytes[:start] + quote + version.encode() + quote + text.bytes[end:]).decode()
    raise PipelineError(f"version.py gives {name} no version in place.", "", f"{do}; nothing was written.")
