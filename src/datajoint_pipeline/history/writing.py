"""What `revise` writes to disk: a migration file around its lines, and a snapshot."""

from __future__ import annotations

import os
import re
import unicodedata
from dataclasses import dataclass, field
from pathlib import Path

from ..operations import structure as ops
from ..schema import definition
from ..schema.model import Schema
from .files import Files


@dataclass
class NewMigration:
    """A migration that is to be written."""

    schema: str
    previous: str
    version: str
    operations: list[ops.Operation] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    requires: dict[str, str] = field(default_factory=dict)
    path: Path | None = None


#: Letters of Latin scripts that are no letter with a mark; Python's ``casefold`` makes ß ss.
_LETTERS = str.maketrans({"æ": "ae", "œ": "oe", "ø": "o", "đ": "d", "ð": "d", "ł": "l", "þ": "th"})


def slug(message: str) -> str:
    """Make a message a part of a file's name; letters with a mark lose it, and what is not Latin is left out."""
    bare = unicodedata.normalize("NFKD", message.casefold().translate(_LETTERS))
    letters = (c for c in bare if not unicodedata.combining(c))
    words = "".join(c if c.isascii() and c.isalnum() else " " for c in letters).split()
    return "_".join(words)[:50].rstrip("_") or "change"


def file_text(files: Files, new: NewMigration, message: str) -> str:
    """Give the text of a migration file."""
    words = " ".join(message.split()).replace("\\", "\\\\").replace('"""', "'''")
    words = f"{words} " if words.endswith('"') else words
    used = {line.partition("(")[0] for line in new.lines}
    text = "\n".join(new.lines)
    used |= {
        word
        for word in ("ASK", "From", "NUMBER", "PARENT", "Sql", "UUID")
        if re.search(r"=(\{.*: )?" + word + r"\b", text)
    }
    names = sorted(used, key=lambda name: (not name.isupper(), name))
    imports = f"from datajoint_pipeline.migration import {', '.join(names)}"
    if len(imports) > 120:
        imports = imports.partition("import ")[0] + "import (\n" + "".join(f"    {n},\n" for n in names) + ")"
    requires = ", ".join(f'"{name}": "{version}"' for name, version in new.requires.items())
    body = "".join(f"    {_indented(line)},\n" for line in new.lines)
    parts = [f'"""{words}"""', ""]
    if names:
        parts += [imports, ""]
    parts += [f'follows = "{new.previous}"', "requires = {" + requires + "}", ""]
    empty = "operations = []  # what changes here follows from other schemas' migrations"
    parts.append(f"operations = [\n{body}]" if new.lines else empty)
    return "\n".join(parts) + "\n"


def _indented(line: str) -> str:
    """Indent a line of the list; a block of text keeps its place."""
    return line if '"""' in line else line.replace("\n", "\n    ")


def snapshot_text(files: Files, shape: Schema, version: str, titles: definition.Titles) -> str:
    """Give the text of a snapshot's file."""
    head = (
        f"# What {shape.name} looks like at its newest version. Written by revise, not to be edited.\n"
        "# Where git sees a conflict here, two branches changed the schema: keep either side of this file, then run\n"
        f"# uv run {files.program} renumber {shape.name}\n"
        f"version {version}\nfingerprint {shape.fingerprint}\n\n"
    )
    return head + definition.write_schema(shape, titles) + "\n"


def put(path: Path, text: str) -> None:
    """Write a file as a whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.new")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)
