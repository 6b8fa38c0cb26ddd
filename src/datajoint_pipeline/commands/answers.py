"""Reads the answers to questions as a person writes them, with tables named as the code names them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping

from ..diff.questions import Answers, Question
from ..errors import ExitCode, PipelineError
from ..operations.origins import declared, resolved
from ..operations.structure import Tables
from ..schema import definition, values
from ..schema.model import Table, TableName
from ..schema.notation import normal_default
from ..schema.values import Fill


def read(
    before: Tables,
    after: Tables,
    *,
    rename: Iterable[str] = (),
    rename_table: Iterable[str] = (),
    fill: Iterable[str] = (),
    drop: Iterable[str] = (),
    insert: Iterable[str] = (),
) -> Answers:
    """Read the answers from the options of `revise`.

    Raises
    ------
    PipelineError
        If a table or attribute is not known, or may be one of several.
    """
    old, new = definition.Titles(before), definition.Titles(after)
    tables: dict[TableName, TableName] = {}
    for text in rename_table:
        left, right = _halves(text, "--rename-table Old=New")
        was = _one(text, [n for n in old.everywhere(left)], "before")
        found = new.everywhere(right)
        nearest = [n for n in found if n.schema == was.schema] if len(found) > 1 else found
        tables[was] = _one(text, nearest, "now")
    back = {new_name: old_name for old_name, new_name in tables.items()}
    for name, table in before.items():
        # Parts follow their master.
        above = tables.get(table.master) if table.master else None
        if table.master is not None and above is not None and name not in tables:
            back[TableName(above.schema, above.table + name.table.removeprefix(table.master.table))] = name
    moved = {old_name: new_name for new_name, old_name in back.items()}

    def named(text: str, option: str) -> tuple[list[TableName], str]:
        """Split ``Table.attribute`` into the tables it may mean, by their names afterwards, and the attribute."""
        title, _, attribute = text.strip().rpartition(".")
        if not title:
            raise _unclear(f"Correct {option}", text, f"It names no table: write it as Table.{attribute}.")
        found = {moved.get(n, n) for n in old.everywhere(title)} | set(new.everywhere(title))
        meant = [n for n in sorted(found, key=str) if n in after]
        if not meant:
            raise _unclear(f"Correct {option}", text, f"There is no table {title}.")
        return meant, attribute

    attributes: dict[tuple[TableName, str], str] = {}
    for text in rename:
        left, right = _halves(text, "--rename Table.old=new")
        meant, attribute = named(left, "--rename")
        fits = [
            n
            for n in meant
            if _shown(after[n], right) and (t := _before(n, back, before, after)) and attribute in t.attribute
        ]
        if meant and not fits:
            raise _no_rename(text, meant[0], _before(meant[0], back, before, after), after[meant[0]], attribute, right)
        attributes[_one(text, fits, "with these attributes"), attribute] = right

    def find(text: str) -> TableName:
        found = {moved.get(n, n) for n in old.everywhere(text)} | set(new.everywhere(text))
        if found and not found & after.keys():
            name = min(found, key=str)
            raise PipelineError(
                f"{name} is gone from the code, so nothing can be taken from its rows.",
                "A migration that drops a table comes after the one that takes values from it. Nothing was written.",
                "Leave the class in the code until revise has written that one, then remove it and revise again.",
                exit_code=ExitCode.USAGE,
            )
        return _one(text, [n for n in sorted(found, key=str) if n in after], "now")

    fills: dict[tuple[TableName, str], Fill] = {}
    for text in fill:
        left, right = _halves(text, "--fill Table.attribute=VALUE", strip=False)
        meant, attribute = named(left, "--fill")
        name = _one(text, [n for n in meant if attribute in after[n].attribute], "with this attribute")
        fills[name, attribute] = _fill(after, name, attribute, right, find)
    drops: set[tuple[TableName, str | None]] = set()
    for text in drop:
        whole = [n for n in old.everywhere(text.strip()) if n not in after]
        if whole:
            drops.add((_one(text, whole, "before"), None))
            continue
        title = text.strip().rpartition(".")[0]
        still = [] if title and (old.everywhere(title) or new.everywhere(title)) else new.everywhere(text.strip())
        if still:
            raise _still_there(text, after[still[0]])
        meant, attribute = named(text, "--drop")
        fits = [n for n in meant if (t := _before(n, back, before, after)) and attribute in t.attribute]
        drops.add((_one(text, fits, "with this attribute"), attribute))
    for (name, attribute), right in attributes.items():
        had = _before(name, back, before, after)
        there = had is not None and right in had.attribute and right != attribute
        if there and (name, right) not in drops | attributes.keys():
            raise _taken(after[name], attribute, right)
    return Answers(tables, attributes, fills, frozenset(drops), frozenset(map(find, insert)))


def fill(question: Question, text: str, after: Tables, keys: list[str] | None) -> Fill:
    """Read what a person answers to the question what existing rows get, as ``--fill`` has it.

    Raises
    ------
    PipelineError
        If the type cannot hold it, or it is none of the keys that rows may refer to, where these are known.
    """
    name, attribute = question.table, question.subject
    titles, type_ = definition.Titles(after), resolved(after, name, attribute)
    found = _fill(after, name, attribute, text, lambda t: _one(t, titles.everywhere(t), "now"))
    there = {normal_default(type_, key) for key in keys or ()}
    if question.parent and keys is not None and found.value and normal_default(type_, found.value) not in there:
        raise _impossible(text, name, attribute, f"There is no such row in {question.parent[0]}.")
    return found


def _fill(after: Tables, name: TableName, attribute: str, text: str, find: Callable[[str], TableName]) -> Fill:
    type_, _, declaring = declared(after, name, attribute)
    if declaring in after and not type_.startswith(("json", "<")):  # where quotes are part of the value
        text = _QUOTES.sub(r"\2", text)
    found = values.parse(text, find)
    if declaring in after and (why := values.objection(type_, found)):
        error = _impossible(text, name, attribute, why)
        if values.needs_codec(type_):
            error.do = f"{values.LET_BE_NULL} Nothing was written."
        raise error
    return found


#: A value in quotes, as a default of a definition has them.
_QUOTES = re.compile(r"""\A\s*(["'])(.*)\1\s*\Z""", re.DOTALL)


def _impossible(text: str, name: TableName, attribute: str, why: str) -> PipelineError:
    what = f"{text!r} cannot be the value of {name}.{attribute}."
    do = "Correct --fill: a value, from(Table.attribute), parent(), number() or uuid(), as the type allows"
    return PipelineError(what, why, f"{do}; nothing was written.", exit_code=ExitCode.USAGE)


def _no_rename(text: str, name: TableName, was: Table | None, now: Table, old: str, new: str) -> PipelineError:
    """Give the refusal of ``--rename`` where the table had no attribute of the old name, or has none of the new one."""
    if not _shown(now, new) and old in now.attribute:
        why = f"The code still calls it {old}: --rename names a change that the code has, and changes no code."
        do = f"Call it {new} in the class {now.title}, then run revise again."
    elif not _shown(now, new):
        has = ", ".join(attribute.name for attribute in now.attributes if not attribute.hidden)
        why = f"{name} has no attribute {new} in the code; it has {has}."
        do = "Correct the class, or the option."
    elif was is None:
        why, do = f"{name} is new, so none of its attributes had another name.", "Leave the option out."
    else:
        why = f"{name} had no attribute {old} when it was last revised; it had {', '.join(was.attribute)}."
        do = "Correct the option; if the last revise has written it down, run revise --again with it."
    return PipelineError(f"--rename {text} does not fit.", f"{why} Nothing was written.", do, exit_code=ExitCode.USAGE)


def _still_there(text: str, table: Table) -> PipelineError:
    """Give the refusal of ``--drop`` for a table whose class is in the code."""
    return PipelineError(
        f"--drop {text} does not fit.",
        f"The class {table.title} of {table.name.schema} is still in the code. --drop names a change that the code "
        "has, and changes no code. Nothing was written.",
        "Delete the class first, then run revise again.",
        exit_code=ExitCode.USAGE,
    )


def _shown(table: Table, attribute: str) -> bool:
    """Tell whether the code has an attribute; what DataJoint hides is its own."""
    return attribute in table.attribute and not table.attribute[attribute].hidden


def _taken(table: Table, old: str, new: str) -> PipelineError:
    """Give the refusal of ``--rename`` to a name that another attribute had."""
    title = table.title
    return PipelineError(
        f"--rename {title}.{old}={new} does not fit.",
        f"{table.name} had an attribute {new} beside {old} when it was last revised. Nothing was written.",
        f"If the old {new} is gone and {old} got its name, add --drop {title}.{new}; if the old {new} has another name "
        f"now, add --rename {title}.{new}=NAME; if {new} did not change, leave the option out.",
        exit_code=ExitCode.USAGE,
    )


def _before(name: TableName, back: Mapping[TableName, TableName], before: Tables, after: Tables) -> Table | None:
    """Find a table as it was, by its name afterwards; one that only changed its tier has another name."""
    found = before.get(back.get(name, name))
    if found is None:
        same = [t for t in before.values() if (t.name.schema, t.title) == (name.schema, after[name].title)]
        found = same[0] if len(same) == 1 else None
    return found


def _halves(text: str, form: str, *, strip: bool = True) -> tuple[str, str]:
    left, sign, right = text.partition("=")
    if not sign or not left.strip() or (strip and not right.strip()):
        raise _unclear(f"Correct {form.partition(' ')[0]}", text, f"It is not of the form {form}.")
    return left.strip(), right.strip() if strip else right


def _one(text: str, found: list[TableName], which: str) -> TableName:
    if len(found) == 1:
        return found[0]
    if not found:
        raise _unclear("Correct the option", text, f"There is no such table {which}.")
    raise _unclear(
        "Correct the option", text, f"It may be any of {', '.join(map(str, found))}; put the schema in front."
    )


def _unclear(do: str, text: str, why: str) -> PipelineError:
    return PipelineError(
        f"{text!r} is not clear.",
        why,
        f"{do}; nothing was written.",
        exit_code=ExitCode.USAGE,
    )
