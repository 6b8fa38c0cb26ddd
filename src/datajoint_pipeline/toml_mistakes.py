"""What is wrong in a TOML file of the lab's, in sentences with their lines."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import disk
from .errors import PipelineError
from .nearest import nearest


@dataclass(frozen=True, order=True)
class Mistake:
    """Something in the file that is wrong: the line, counted from 1, and a sentence."""

    line: int
    text: str


#: What a value has to be, by what pydantic complains of.
KINDS = {
    "string_type": "a text in quotes",
    "dict_type": "a table",
    "model_type": "a table",
    "list_type": "a list in brackets",
    "int_type": "a whole number",
}


def text_of(path: Path) -> str:
    """Read a file.

    Raises
    ------
    FileNotFoundError
        If there is none.
    PipelineError
        If it cannot be read, or is no UTF-8.
    """
    try:
        return path.read_bytes().decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise PipelineError(
            f"{path.name} has one mistake; nothing was changed.",
            f"{path.name}, line {line}: it has a byte that is no UTF-8.",
            "Save the file as UTF-8, then run the command again.",
        ) from None
    except FileNotFoundError:
        raise
    except OSError as error:
        raise disk.refusal(error) from None


def refusal(path: Path, mistakes: list[Mistake]) -> PipelineError:
    """Give the refusal of a file that has mistakes, with a line for each."""
    count = "one mistake" if len(mistakes) == 1 else f"{len(mistakes)} mistakes"
    return PipelineError(
        f"{path.name} has {count}; nothing was changed.",
        "\n".join(f"{path.name}, line {mistake.line}: {mistake.text}" for mistake in mistakes),
        f"Correct {'it' if len(mistakes) == 1 else 'them'}, then run the command again.",
    )


def no_toml(text: str, error: Exception) -> Mistake:
    """Say where a text is no TOML."""
    message = str(error) or "it is nested too deeply"
    place = re.search(r"\s*\(at line (\d+), column (\d+)\)|\s*\(at end of document\)", message)
    reason = message[: place.start()] if place else message
    if place and place[1]:
        return Mistake(int(place[1]), f"this is no TOML: {lower(reason)} (column {place[2]}).")
    return Mistake(text.rstrip("\n").count("\n") + 1, f"this is no TOML: {lower(reason)}; the file ends too early.")


def lower(text: str) -> str:
    """Give a sentence as it stands within another."""
    return text[:1].lower() + text[1:]


def shown(value: Any) -> str:
    """Give a value as a sentence names it."""
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return f'"{value}"'
        case dict():
            return "a table"
        case list():
            return "a list"
    return str(value)


def dotted(path: tuple[Any, ...]) -> str:
    """Give the place of a value as people write it."""
    words = [f"[{part}]" if isinstance(part, int) else f".{part}" for part in path]
    return "".join(words).removeprefix(".")


def hint(name: str, known: Collection[str]) -> str:
    """Give what was probably meant, or all there is if it is little; the end of a sentence, with its mark."""
    return f"; {meant(name, known)}" if nearest(name, known) or 0 < len(known) <= 8 else "."


def meant(name: str, known: Collection[str], otherwise: str = "there are") -> str:
    """Give what was probably meant, or all there is, as a sentence that begins within another."""
    found = nearest(name, known)
    return f"did you mean {found}?" if found else f"{otherwise} {', '.join(known)}."
