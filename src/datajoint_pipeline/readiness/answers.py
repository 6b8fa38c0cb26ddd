"""Read what a repository answered when the template was copied over it.

Copier writes its answers as YAML. Only the flat ``key: value`` lines are needed, so they are read here without a YAML
parser: lists, nested values and values of several lines are skipped.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

#: Questions that together tell the answers of this template from those of another one.
_OURS = ("package_name", "project_name", "schema_prefix", "default_environment")

_LINE = re.compile(r"^(?P<key>[A-Za-z_]\w*):(?:[ \t]+(?P<value>\S.*?))?[ \t]*$")


def find(root: Path) -> Mapping[str, str]:
    """Return the answers of this template below ``root``, empty where it was not copied there."""
    for path in sorted(root.glob(".copier-answers*.y*ml")):
        try:
            found = read(path.read_text(encoding="utf-8-sig"))
        except (OSError, ValueError):
            continue
        if all(name in found for name in _OURS):
            return found
    return {}


def read(text: str) -> dict[str, str]:
    """Return the scalar values at the top level of a YAML mapping, each as text."""
    found = {}
    for line in text.splitlines():
        if match := _LINE.match(line):
            value = _scalar(match["value"] or "")
            if value is not None:
                found[match["key"]] = value
    return found


def _scalar(written: str) -> str | None:
    """Return a value without its quotes and its comment, or None where it is no scalar of one line."""
    if match := re.fullmatch(r"'((?:[^']|'')*)'(?:\s+#.*)?", written):
        return match[1].replace("''", "'")
    if match := re.fullmatch(r'("(?:[^"\\]|\\.)*")(?:\s+#.*)?', written):
        try:
            return str(json.loads(match[1]))
        except ValueError:
            return None
    plain = re.split(r"(?:^|\s)#", written, maxsplit=1)[0].rstrip()
    if plain[:1] in ("'", '"', "[", "{", "|", ">", "&", "*", "!", "%", "@", "`"):
        return None
    return "" if plain in ("~", "null", "Null", "NULL") else plain
