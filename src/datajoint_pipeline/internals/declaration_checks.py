"""Refuses names and texts that a server would misread, or that would break a statement of DataJoint's.

DataJoint puts names, comments, defaults and enums into its statements nearly as they stand, and PostgreSQL cuts a name
that is too long without an error, so that two names may mean one thing. What is refused here was tried with DataJoint
2.3.5.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from ..errors import PipelineError
from ..schema import notation

#: How long a name may be, in the units below.
LIMITS = {"mysql": 64, "postgresql": 63}
_UNITS = {"mysql": "characters", "postgresql": "bytes"}

#: What no value of an enum can have on PostgreSQL: DataJoint divides the text at commas, and takes quotes off.
NOT_IN_ENUMS = ',%"\\'

#: Every table of PostgreSQL has columns of these names.
_SYSTEM = {"tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"}

_SINGLE, _DOUBLE = r"'(?:[^'\\]|''|\\.)*'", r'"(?:[^"\\]|""|\\.)*"'
_VALUE = rf"(?:{_SINGLE}|{_DOUBLE})"
_ENUM = re.compile(rf"enum\s*\(\s*{_VALUE}(?:\s*,\s*{_VALUE})*\s*\)", re.I | re.S)
_ENUM_OF_ANY_COMMAS = re.compile(rf"enum\s*\([\s,]*{_VALUE}(?:[\s,]*{_VALUE})*[\s,]*\)", re.I | re.S)


def too_long(backend: str, name: str) -> bool:
    """Tell whether a server would refuse a name for its length, or cut it."""
    return (len(name) if backend == "mysql" else len(name.encode())) > LIMITS[backend]


def refuse_too_long(backend: str, name: str) -> None:
    """Raise where a server would cut a name, which then might be another's, or refuse it amid a migration."""
    if too_long(backend, name):
        raise PipelineError(
            f"The name {name} is too long.",
            f"The server takes {LIMITS[backend]} {_UNITS[backend]}.",
            "Choose a shorter one.",
        )


def unknown(*texts: str) -> str:
    """Give the characters that MySQL's catalogue, which has three bytes for each, would turn into question marks."""
    return "".join(dict.fromkeys(sign for text in texts for sign in text if ord(sign) > 0xFFFF))


def refuse_databases(backend: str, databases: Iterable[str]) -> None:
    """Raise where a schema cannot have its name on the server."""
    for name in databases:
        if too_long(backend, name):
            why = f"A name has at most {LIMITS[backend]} {_UNITS[backend]} on this server."
        elif not re.fullmatch(r"[\w$-]+", name):
            why = "It may have letters, digits, _, - and $; DataJoint puts it into statements as it stands."
        elif backend == "postgresql" and name != name.lower():
            why = "DataJoint does not find tables in a schema with capital letters on PostgreSQL."
        else:
            continue
        do = "Choose another name for its module, or another SCHEMA_PREFIX in __init__.py."
        raise PipelineError(f"{name!r} cannot be the name of a schema.", why, do)


def of_table(
    backend: str,
    table: str,
    comment: str,
    columns: Mapping[str, tuple[str, bool, str | None, str]],
    keys: int,
    indexed: Iterable[str] = (),
) -> Iterator[tuple[str, str]]:
    """Tell what would go wrong where DataJoint declares a table: what is wrong, and the part of the definition.

    Parameters
    ----------
    backend : str
        Of the server.
    table, comment : str
        Name and comment.
    columns : mapping
        By name: type, nullability, clause with the default, and comment, as DataJoint has them formatted.
    keys : int
        How many foreign keys it has.
    indexed : iterable of str
        What its indexes are over, other than attributes: expressions, parts of texts, paths into JSON.
    """
    longest = f"{table}_ibfk_{keys}" if keys and backend == "mysql" else table
    if too_long(backend, longest):
        derived = "" if longest == table else f", and a foreign key of it would be called {longest}"
        yield f"The name {table} is too long{derived}: {LIMITS[backend]} is the most.", ""
    if backend == "mysql" and not _ends(comment):
        yield f"{_BROKEN} in a comment.", comment
    if backend == "mysql" and unknown(comment):
        yield f"MySQL keeps no {unknown(comment)} in a comment.", comment
    for part in indexed if backend == "postgresql" else ():
        # DataJoint takes what stands before the first closing parenthesis for a list of names.
        yield f"There is an index over {part}: on PostgreSQL, DataJoint only makes indexes over attributes.", "index"
    for name, (type_, _, default, text) in columns.items():
        if too_long(backend, name):
            yield f"The name {name} is too long: {LIMITS[backend]} is the most.", name
        if backend == "postgresql":
            if name in _SYSTEM:
                yield f"{name} is a column that every table of PostgreSQL has.", name
            values = notation.enum_values(type_) if _is_enum(type_) else ()
            if _is_enum(type_) and (not _ENUM.fullmatch(type_) or {*NOT_IN_ENUMS} & {*"".join(values)}):
                yield 'No value of an enum can have a comma, %, " or a backslash on PostgreSQL.', name
            elif any("'" in text for text in _between_double_quotes(type_)):
                yield f"DataJoint's statement ends at a ' between double quotes. {_with_single_quotes(type_)}", name
            continue
        if lost := unknown(type_, default or "", text):
            yield f"MySQL keeps no {lost} in a comment, a default or an enum.", name
        quoted = (default or "").partition("DEFAULT ")[2]
        if _is_enum(type_) and not _ENUM.fullmatch(type_):
            yield f"{_BROKEN} in an enum.", name
        if quoted.startswith("'") and not re.fullmatch(_SINGLE, quoted, re.S):
            yield f"{_BROKEN} in a default.", name
        elif "\\" in quoted.replace("\\\\", ""):
            yield "MySQL takes a backslash in a default for the beginning of another sign: write it twice.", name
        word = quoted.strip("\"'")
        if notation.split_comment(text)[0] == "bool" and not word.isdigit() and notation.holds("bool", word):
            # DataJoint sends a text there, which MySQL takes for no number.
            yield f"MySQL takes no {word} for a bool: write {name} = {notation.normal_default('bool', word)}.", name
        if "%" in text.replace("%%", ""):
            yield f"{name} refers to an attribute with a percent sign in its comment, which breaks the statement.", ""
        if _is_enum(type_) and _between_double_quotes(type_) and _ends(_with_single_quotes(type_)):
            yield f"DataJoint's statement for MySQL ends at a \" in an enum. {_with_single_quotes(type_)}", name
        elif not _ends(text):
            where = "an enum" if _is_enum(type_) and '"' in type_ else "a comment, perhaps of what it refers to"
            yield f"{_BROKEN} in {where}.", name


_BROKEN = 'MySQL takes a backslash or a " for the end of a text or for another sign'


def _is_enum(type_: str) -> bool:
    return type_.lower().startswith("enum")


def _between_double_quotes(type_: str) -> list[str]:
    """Give the values of an enum that stand in double quotes, without these; none of another type."""
    values = re.findall(_VALUE, type_, re.S) if _is_enum(type_) else []
    return [value[1:-1] for value in values if value.startswith('"')]


def _with_single_quotes(type_: str) -> str:
    """Say how to write the values of an enum; it is the same one then."""
    values = notation.enum_type(notation.enum_values(type_))
    return f"Write {values.removeprefix('enum(').removesuffix(')')} with single quotes."


def lacks_comma(type_: str) -> bool:
    """Tell whether an enum would be one but for its commas: one is missing, or there is one too many."""
    return not _ENUM.fullmatch(type_) and _ENUM_OF_ANY_COMMAS.fullmatch(type_) is not None


def _ends(text: str) -> bool:
    """Tell whether a text between double quotes ends where it should."""
    return re.fullmatch(r'(?:[^"\\]|\\.)*', text, re.S) is not None
