"""Edits of TOML, JSON and YAML in place: one value is changed, every other byte stays, comments and layout included.

A path is the keys that lead to a value, such as ``("tool", "ruff", "line-length")``. Each function takes a text and
gives the new one; what is there already, or gone already, leaves the text as it is. A text that cannot be read, or a
path that leads through something that holds no keys, raises ValueError.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import yaml

Path = tuple[str, ...]


class _Entry(NamedTuple):
    """A key with its value, or the head of a table of TOML: offsets where the key, the value and its end are."""

    path: Path
    start: int
    value: int
    end: int
    head: bool = False


def _find(entries: list[_Entry], path: Path) -> _Entry | None:
    return next((entry for entry in entries if entry.path == path and not entry.head), None)


def _after_line(text: str, place: int) -> int:
    """Where the line after the one of a place begins."""
    end = text.find("\n", place)
    return len(text) if end < 0 else end + 1


def _line_start(text: str, place: int) -> int:
    return text.rfind("\n", 0, place) + 1


def _ended(text: str) -> str:
    return text if not text or text.endswith("\n") else f"{text}\n"


def _line(text: str, place: int) -> str:
    return f"line {text.count(chr(10), 0, place) + 1}"


# --- TOML ----------------------------------------------------------------------------------------------------------

_BLANK = re.compile(r"(?:\s+|#[^\n]*)*")
_EQUALS = re.compile(r"[ \t]*=[ \t]*")
_KEY = re.compile(r'[ \t]*(?:([A-Za-z0-9_-]+)|("(?:[^"\\\n]|\\.)*")|\'([^\'\n]*)\')[ \t]*(\.?)')
_STRING = re.compile(
    r'"""(?:[^\\]|\\.)*?"""(?!")|\'\'\'.*?\'\'\'(?!\')|"(?:[^"\\\n]|\\[^\n])*"|\'[^\'\n]*\'', re.DOTALL
)


def toml_set(text: str, path: Path, value: Any) -> str:
    """Give a key a value; a key that is new comes last in its table, a table that is new last in the file."""
    entries, written = list(_toml(text)), _toml_text(value)
    if entry := _find(entries, path):
        return text[: entry.value] + written + text[entry.end :]
    line, table = f"{_toml_key(path[-1])} = {written}\n", path[:-1]
    own = [entry for entry in entries if (entry.path if entry.head else entry.path[:-1]) == table]
    if own:
        after = _after_line(text, own[-1].end)
        return _ended(text[:after]) + line + text[after:]
    return f"{_ended(text)}\n[{'.'.join(map(_toml_key, table))}]\n{line}" if table else line + text


def toml_remove(text: str, path: Path) -> str:
    """Take a key away, with its line."""
    entry = _find(list(_toml(text)), path)
    return text[: _line_start(text, entry.start)] + text[_after_line(text, entry.end) :] if entry else text


def toml_append(text: str, path: Path, item: Any) -> str:
    """Put an item at the end of a list, on a line of its own where the others have one."""
    entry, written = _find(list(_toml(text)), path), _toml_text(item)
    if not entry:
        return toml_set(text, path, [item])
    if text[entry.value] != "[":
        raise ValueError(f"{'.'.join(path)} is no list.")
    items = list(_toml_items(text, entry.value + 1, entry.end - 1))
    if written in (text[start:end] for start, end in items):
        return text
    last = items[-1][1] if items else entry.value + 1
    comma = _BLANK.match(text, last).end()  # type: ignore[union-attr]
    trailing = bool(items) and text[comma] == ","
    if "\n" not in text[entry.value : entry.end]:
        return text[:last] + (", " if items else "") + written + text[comma + trailing if trailing else last :]
    if items and not trailing:
        text = text[:last] + "," + text[last:]
    after = _after_line(text, comma if trailing else last)
    indent = re.match(r"[ \t]*", text[_line_start(text, items[-1][0] if items else 0) :])[0] if items else "    "  # type: ignore[index]
    return f"{text[:after]}{indent}{written},\n{text[after:]}"


def _toml(text: str) -> Iterator[_Entry]:
    """The keys and heads of a document, in order; those of ``[[lists of tables]]`` with their number in the path."""
    table: Path = ()
    numbers: dict[Path, int] = {}
    place = 0
    while True:
        place = start = _BLANK.match(text, place).end()  # type: ignore[union-attr]
        if place == len(text):
            return
        brackets = 2 if text.startswith("[[", place) else int(text[place] == "[")
        path, place = _toml_path(text, place + brackets)
        if brackets:
            numbers[path] = numbers.get(path, -1) + 1
            table = (*path, str(numbers[path])) if brackets == 2 else path
            place += brackets
            yield _Entry(table, start, place, place, head=True)
            continue
        equals = _EQUALS.match(text, place)
        if not equals:
            raise ValueError(f"In {_line(text, place)} a key has no value.")
        place = _toml_end(text, equals.end(), "\n#")
        yield _Entry((*table, *path), start, equals.end(), place)


def _toml_path(text: str, place: int) -> tuple[Path, int]:
    """A key, with dots or without, and where it ends."""
    found: list[str] = []
    while match := _KEY.match(text, place):
        bare, basic, literal, more = match.groups()
        found.append(bare or (json.loads(basic) if basic else literal))
        place = match.end()
        if not more:
            return tuple(found), len(text[:place].rstrip(" \t"))
    raise ValueError(f"In {_line(text, place)} a key cannot be read.")


def _toml_end(text: str, place: int, stop: str) -> int:
    """Where a value ends that begins here, and that ends before one of some signs outside of all brackets."""
    depth, last = 0, place
    while place < len(text) and (depth or text[place] not in stop):
        sign = text[place]
        if sign in "\"'":
            string = _STRING.match(text, place)
            if not string:
                raise ValueError(f"The string in {_line(text, place)} has no end.")
            place = last = string.end()
        elif sign == "#":
            place = _after_line(text, place)
        else:
            depth += (sign in "[{") - (sign in "]}")
            place += 1
            last = last if sign.isspace() else place
    if depth:
        raise ValueError(f"What begins in {_line(text, last)} has no end.")
    return last


def _toml_items(text: str, place: int, end: int) -> Iterator[tuple[int, int]]:
    """Where each item of a list begins and ends."""
    while (place := _BLANK.match(text, place).end()) < end:  # type: ignore[union-attr]
        last = _toml_end(text[:end], place, ",#")
        yield place, last
        place = _BLANK.match(text, last).end()  # type: ignore[union-attr]
        place += text[place] == ","


def _toml_text(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_toml_text, value))}]"
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{_toml_key(key)} = {_toml_text(each)}" for key, each in value.items()) + " }"
    if isinstance(value, (bool, str)):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return str(value)


def _toml_key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else json.dumps(key, ensure_ascii=False)


# --- JSON ----------------------------------------------------------------------------------------------------------

_SPACE = re.compile(r"\s*")


def json_set(text: str, path: Path, value: Any) -> str:
    """Give a key a value; a key that is new comes last in its object, and an object that is new is made."""
    entries = list(_json(text))
    if entry := _find(entries, path):
        return text[: entry.value] + _json_text(text, entry.start, value) + text[entry.end :]
    for depth in range(len(path) - 1, -1, -1):
        outer = _find(entries, path[:depth]) if depth else _Entry((), 0, _space(text, 0), len(text.rstrip()))
        if outer and text[outer.value] == "{":
            break
        if outer:
            raise ValueError(f"{'.'.join(path[:depth])} is no object.")
        value = {path[depth]: value}
    own = [entry for entry in entries if entry.path[:-1] == path[:depth]]
    key = json.dumps(path[depth], ensure_ascii=False)
    if own:
        gap = text[max(text.rfind(sign, 0, own[-1].start) for sign in "{,") + 1 : own[-1].start]
        written = _json_text(text, own[-1].start, value)
        return f"{text[: own[-1].end]},{gap}{key}: {written}{text[own[-1].end :]}"
    indent = re.match(r"[ \t]*", text[_line_start(text, outer.value) :])[0]  # type: ignore[index,union-attr]
    written = json.dumps({path[depth]: value}, indent=2, ensure_ascii=False).replace("\n", f"\n{indent}")
    return text[: outer.value] + written + text[outer.end :]  # type: ignore[union-attr]


def json_remove(text: str, path: Path) -> str:
    """Take a key away, with its value and comma."""
    entries = list(_json(text))
    if not (entry := _find(entries, path)):
        return text
    own = [each for each in entries if each.path[:-1] == path[:-1]]
    place = own.index(entry)
    if place:
        return text[: own[place - 1].end] + text[entry.end :]
    return text[: entry.start] + text[own[1].start if len(own) > 1 else entry.end :]


def _json(text: str) -> Iterator[_Entry]:
    """The keys of a document whose outermost value is an object."""
    json.loads(text)  # what cannot be read is said by the library, and all below is sound
    yield from _json_object(text, _space(text, 0), ())


def _json_object(text: str, place: int, outer: Path) -> Iterator[_Entry]:
    if text[place] != "{":
        return
    place = _space(text, place + 1)
    while text[place] != "}":
        key, end = json.JSONDecoder().raw_decode(text, place)
        value = _space(text, _space(text, end) + 1)
        _, end = json.JSONDecoder().raw_decode(text, value)
        yield _Entry((*outer, key), place, value, end)
        yield from _json_object(text, value, (*outer, key))
        place = _space(text, end)
        place = _space(text, place + 1) if text[place] == "," else place


def _json_text(text: str, place: int, value: Any) -> str:
    """A value as it is written in a line of a document."""
    indent = re.match(r"[ \t]*", text[_line_start(text, place) :])[0]  # type: ignore[index]
    return json.dumps(value, indent=2, ensure_ascii=False).replace("\n", f"\n{indent}")


def _space(text: str, place: int) -> int:
    return _SPACE.match(text, place).end()  # type: ignore[union-attr]


# --- YAML ----------------------------------------------------------------------------------------------------------


def yaml_set(text: str, path: Path, value: Any) -> str:
    """Give a key a value; a key that is new comes last in its mapping, and a mapping that is new is made."""
    root, entries = _yaml(text)
    if entry := _find(entries, path):
        colon = text.index(":", entry.start + len(text[entry.start : entry.value].rstrip().rstrip(":")))
        return text[: colon + 1] + _yaml_text(value, _column(text, entry.start)) + text[entry.end :]
    for depth in range(len(path) - 1, -1, -1):
        outer = _find(entries, path[:depth])
        if outer or not depth:
            break
        value = {path[depth]: value}
    own = [entry for entry in entries if entry.path[:-1] == path[:depth]]
    if (outer or root) and not own:
        raise ValueError(f"{'.'.join(path[:depth]) or 'The document'} is no mapping with a line for each key.")
    column, last = (_column(text, own[0].start), _after_line(text, own[-1].end)) if own else (0, len(text))
    line = " " * column + _yaml_scalar(path[depth]) + ":" + _yaml_text(value, column) + "\n"
    return _ended(text[:last]) + line + text[last:]


def yaml_remove(text: str, path: Path) -> str:
    """Take a key away, with the lines of its value."""
    entry = _find(_yaml(text)[1], path)
    return text[: _line_start(text, entry.start)] + text[_after_line(text, entry.end) :] if entry else text


def _yaml(text: str) -> tuple[bool, list[_Entry]]:
    """Whether a document holds anything, and the keys of its mappings that have a line for each key."""
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error
    return node is not None, list(_yaml_mapping(text, node, ()))


def _yaml_mapping(text: str, node: yaml.Node | None, outer: Path) -> Iterator[_Entry]:
    if isinstance(node, yaml.MappingNode) and not node.flow_style:
        for key, value in node.value:
            path = (*outer, str(key.value))
            yield _Entry(path, key.start_mark.index, value.start_mark.index, _yaml_end(text, value))
            yield from _yaml_mapping(text, value, path)


def _yaml_end(text: str, node: yaml.Node) -> int:
    """Where a value ends; the parser counts the comments after a block to it."""
    if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        return _yaml_end(text, last[1] if isinstance(last, tuple) else last)
    return len(text[: node.end_mark.index].rstrip())


class _Dumper(yaml.SafeDumper):
    """Writes text of several lines in quotes, on one line."""

    def represent_text(self, text: str) -> yaml.Node:
        return self.represent_scalar("tag:yaml.org,2002:str", text, style='"' if "\n" in text else None)


_Dumper.add_representer(str, _Dumper.represent_text)


def _yaml_text(value: Any, column: int) -> str:
    """A value as it stands after its key and colon."""
    if not isinstance(value, (dict, list)) or not value:
        return f" {_yaml_scalar(value)}"
    block = _yaml_dump(value, default_flow_style=False)
    indent = " " * (column + 2 * isinstance(value, dict))
    return "".join(f"\n{indent}{line}" for line in block.splitlines())


def _yaml_scalar(value: Any) -> str:
    return _yaml_dump(value, default_flow_style=True).removesuffix("\n").removesuffix("\n...")


def _yaml_dump(value: Any, *, default_flow_style: bool) -> str:
    text: str = yaml.dump(
        value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, default_flow_style=default_flow_style, width=10**6
    )
    return text


def _column(text: str, place: int) -> int:
    return place - _line_start(text, place)
