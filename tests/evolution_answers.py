"""What a person would answer to `revise` for a case, and what has to survive once that is said.

A case's `changes` are guesses by name; where both names are there, a guess is given as an answer. Every other rename is
denied, and what a required attribute gets is any value of its type, or one that the parent has.
"""

from __future__ import annotations

import json
import re
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from datajoint.blob import pack, unpack
from evolution_oracle import Catalogue, Column, Key, Rows, Table

#: Of each table that survives: its key afterwards, and the new name of each column that survives.
Survivors = dict[Key, tuple[Key, dict[str, str]]]


def key_of(schema: str, title: str) -> Key:
    """The key of the table of a class; a part is ``Master.Part``."""
    words = [re.sub(r"(?<!^)(?=[A-Z])", "_", word).lower() for word in title.split(".")]
    return schema, "__".join(words)


def spoken(key: Key) -> str:
    """A table as a person calls it: ``schema.Master.Part``."""
    schema, table = key
    return ".".join([schema, *("".join(w.capitalize() for w in part.split("_")) for part in table.split("__"))])


def _heard(text: str) -> Key:
    schema, _, title = text.partition(".")
    return key_of(schema, title)


def master(key: Key) -> Key | None:
    schema, table = key
    return (schema, table.partition("__")[0]) if "__" in table else None


@dataclass
class Answers:
    """Answers to `revise`; tables as they are afterwards. What ``follows`` is said where it is asked for alone."""

    tables: dict[Key, Key] = field(default_factory=dict)
    attributes: dict[tuple[Key, str], str] = field(default_factory=dict)
    fills: dict[tuple[Key, str], str] = field(default_factory=dict)
    drops: set[tuple[Key, str]] = field(default_factory=set)
    inserts: set[Key] = field(default_factory=set)
    loses: bool = False
    follows: dict[tuple[Key, str], str] = field(default_factory=dict)
    vain: set[Key] = field(default_factory=set)  # tables that no new foreign key needs rows in

    def __bool__(self) -> bool:
        return bool(self.tables or self.attributes or self.fills or self.drops or self.inserts)

    def options(self) -> list[str]:
        """As the command takes them."""
        found = [("--rename-table", f"{spoken(old)}={spoken(new)}") for old, new in self.tables.items()]
        found += [("--rename", f"{spoken(table)}.{old}={new}") for (table, old), new in self.attributes.items()]
        found += [("--fill", f"{spoken(table)}.{name}={value}") for (table, name), value in self.fills.items()]
        found += [("--drop", f"{spoken(table)}.{name}".rstrip(".")) for table, name in sorted(self.drops)]
        found += [("--insert", spoken(table)) for table in sorted(self.inserts)]
        return [word for pair in found for word in pair]

    def answer(
        self, asked: Iterable[Mapping[str, Any]], before: Catalogue, after: Catalogue, rows: Mapping[Key, Rows]
    ) -> bool:
        """Take up what was asked; whether there was anything that had no answer."""
        size = len(self.tables) + len(self.attributes) + len(self.fills) + len(self.drops)
        pairs = table_pairs(before, after, self.tables)
        kept = {new: columns for new, columns in survivors(before, after, self).values()}
        for question in asked:
            table, subject = _heard(question["table"]), question["subject"]
            match question["kind"]:
                case "rename-table":
                    if table not in pairs:
                        self.drops.add((table, ""))
                case "rename":
                    implied = kept.get(table, {}).get(subject)
                    if implied is None:
                        self.drops.add((table, subject))
                    elif (table, subject) not in self.attributes:
                        self.attributes[table, subject] = implied
                case "fill":
                    if (table, subject) not in self.fills:
                        self.fills[table, subject] = self._value(table, subject, before, after, rows)
        return len(self.tables) + len(self.attributes) + len(self.fills) + len(self.drops) > size

    def take_back(self, option: str, named: str) -> bool:
        """No longer give a value, deny a rename or have rows put in where that answers nothing; whether it was said.

        What was renamed stays said: it is the truth.
        """
        name, _, attribute = named.rpartition(".")
        match option:
            case "--fill":
                return self.fills.pop((_heard(name), attribute), None) is not None
            case "--drop":
                said = {(_heard(named), ""), (_heard(name), attribute)} & self.drops
                self.drops -= said
                return bool(said)
            case "--insert":
                found = {_heard(named)} & self.inserts
                self.inserts, self.vain = self.inserts - found, self.vain | found
                return bool(found)
        return False

    def correct(
        self, losses: Iterable[Mapping[str, Any]], before: Catalogue, after: Catalogue, rows: Mapping[Key, Rows]
    ) -> bool:
        """Think again where the data stand against what was said; whether anything was said otherwise."""
        was = (dict(self.fills), set(self.inserts), self.loses)
        for loss in losses:
            table = key_of(*loss["table"].split(".", 1)) if loss["table"].partition(".")[2][:1].isupper() else None
            table = table or (loss["table"].partition(".")[0], loss["table"].partition(".")[2].lstrip("_#"))
            match loss["kind"]:
                case "duplicate":
                    # One value for all tells no rows apart.
                    listed = re.findall(r"\((.*)\)", loss["words"])[0].split(", ")
                    for name in listed:
                        if (table, name) in self.fills and name in after[table].column:
                            kind = "uuid" if value_of(after[table].column[name]).count("-") == 4 else "number"
                            self.fills[table, name] = f"{kind}()"
                case "parent":
                    parent = re.search(r"in no row of (\S+)", loss["words"])
                    if parent is not None and _heard(parent[1]) not in self.vain:
                        self.inserts.add(_heard(parent[1]))
                case "null":
                    for old in loss["attributes"]:
                        name = self.attributes.get((table, old), old)
                        if name in after[table].column:
                            self.fills.setdefault((table, name), self._value(table, name, before, after, rows))
                case "long" | "rounding":
                    self.loses = True
        return was != (self.fills, self.inserts, self.loses)

    def keeps(self, question: Mapping[str, Any], before: Catalogue, after: Catalogue) -> bool:
        """Whether a question is about an attribute that was there before."""
        kept = {new: columns for new, columns in survivors(before, after, self).values()}
        return question["subject"] in kept.get(_heard(question["table"]), {}).values()

    def _value(self, table: Key, attribute: str, before: Catalogue, after: Catalogue, rows: Mapping[Key, Rows]) -> str:
        """A value that rows can have there: what a row had that they referred to, one of the parent's where there is a
        parent with rows, else any of the type."""
        old = next((o for o, n in table_pairs(before, after, self.tables).items() if n == table), None)
        for _, parent, _, _ in sorted(before[old].foreign_keys) if old is not None else ():
            gone = not any(key[1] == parent for key in after[table].foreign_keys)
            if gone and parent in before and parent in after and attribute in before[parent].column:
                return f"from({spoken(parent)}.{attribute})"
        back = {new: (old, columns) for old, (new, columns) in survivors(before, after, self).items()}
        for columns, parent, theirs, _ in sorted(after[table].foreign_keys):
            if attribute in columns and parent in back and parent != table:
                name, (old, kept) = theirs[columns.index(attribute)], back[parent]
                was = next((ours for ours, new in kept.items() if new == name), None)
                if was is not None and rows[old].rows:
                    return _text(sorted(rows[old].rows, key=repr)[0][rows[old].columns.index(was)])
                return self.fills.get((parent, name)) or self._value(parent, name, before, after, rows)
        return value_of(after[table].column[attribute])


def _text(value: Any) -> str:
    if isinstance(value, bytes) and len(value) == 16:
        return str(uuid.UUID(bytes=value))
    if isinstance(value, bool):
        return str(int(value))
    return str(value)


#: A value of each type, by what the type's name begins with or holds.
_VALUES = (
    (r"uuid|binary\(16\)", "00000000-0000-0000-0000-000000000001"),
    (r"datetime|timestamp", "2000-01-01 00:00:00"),
    (r"date", "2000-01-01"),
    (r"time", "00:00:00"),
    (r"json", "{}"),
    (r"bool|\w*int|float|double|real|decimal|numeric", "0"),
    (r"", ""),
)


def stored(column: Column, value: str) -> Any:
    """What a column holds once rows were given a value; values of ``<blob>`` are given in JSON, else as texts."""
    if not column.comment.startswith(":<blob>:"):
        return value
    try:
        return pack(json.loads(value))
    except ValueError:
        return pack(value)


def fetched(column: Column, value: Any) -> Any:
    """What DataJoint would fetch of a value of a column, as far as another codec keeps it: in JSON."""
    if isinstance(value, memoryview):
        value = bytes(value)
    if isinstance(value, bytes) and (column.comment.startswith(":<blob>:") or value[:4] in (b"mYm\0", b"dj0\0")):
        with suppress(ValueError):  # bytes that begin like a blob and are none
            value = unpack(value)
    if column.comment.startswith(":json:") and isinstance(value, str):
        value = json.loads(value)
    return (
        None if value is None else json.dumps(value, default=lambda v: v.tolist() if hasattr(v, "tolist") else repr(v))
    )


def value_of(column: Column) -> str:
    """Some value of a column's type."""
    if labels := re.search(r"enum\('((?:[^']|'')*)'", column.type):
        return labels[1].replace("''", "'")
    return next(value for pattern, value in _VALUES if re.match(pattern, column.type))


# --- Guesses -------------------------------------------------------------------------------------------------------


def guesses(changes: Iterable[Mapping[str, Any]], before: Catalogue, after: Catalogue) -> Answers:
    """The renames that a case's changes suggest and that its tables allow."""
    answers = Answers()
    gone, come = [key for key in before if key not in after], [key for key in after if key not in before]
    for change in changes:
        if change["kind"] == "table moved to another schema":
            _pair(
                answers, [key_of(change["frm"], change["table"])], [key_of(change["to"], change["table"])], gone, come
            )
        elif change["kind"] == "table renamed?":
            olds = [key for key in gone if key == key_of(key[0], change["frm"])]
            news = [key for key in come if key == key_of(key[0], change["to"])]
            masters = [master(key) for key in (*olds, *news)]
            if len(masters) == 2 and masters[0] in gone and masters[1] in come:
                # A part moves with its master.
                olds, news = masters[:1], masters[1:]
            _pair(answers, olds, news, gone, come)
    pairs = {new: old for old, new in table_pairs(before, after, answers.tables).items()}
    renames = [change for change in changes if change["kind"] == "attribute renamed?"]
    for change in sorted(renames, key=lambda change: -change.get("score", 0)):
        for new in after:
            if new != key_of(new[0], change["table"]) or new not in pairs:
                continue
            was, now = before[pairs[new]].visible, after[new].visible
            free = change["to"] not in [n for (table, _), n in answers.attributes.items() if table == new]
            fits = change["frm"] in was and change["frm"] not in now and change["to"] in now and change["to"] not in was
            if fits and free:
                answers.attributes.setdefault((new, change["frm"]), change["to"])
    return answers


def _pair(answers: Answers, olds: list[Any], news: list[Any], gone: list[Key], come: list[Key]) -> None:
    if len(olds) == len(news) == 1 and olds[0] in gone and news[0] in come and news[0] not in answers.tables.values():
        answers.tables.setdefault(olds[0], news[0])


def table_pairs(before: Catalogue, after: Catalogue, renamed: Mapping[Key, Key]) -> dict[Key, Key]:
    """What each table is called afterwards, where it is there: a part follows its master."""
    pairs = {}
    for old in before:
        new, above = renamed.get(old, old), master(old)
        if old not in renamed and above in renamed:
            schema, name = renamed[above]
            new = schema, name + old[1].removeprefix(above[1])
        if new in after:
            pairs[old] = new
    return pairs


def survivors(before: Catalogue, after: Catalogue, answers: Answers) -> Survivors:
    """What has to survive: columns that keep their name, renamed ones, and those that follow a renamed parent's."""
    pairs = table_pairs(before, after, answers.tables)
    found: dict[Key, dict[str, str]] = {}

    def columns(old: Key) -> dict[str, str]:
        if old in found:
            return found[old]
        was, now = before[old], after[pairs[old]]
        mapping = found[old] = {name: name for name in was.column if name in now.column}
        said = answers.follows | answers.attributes
        answered = {name: new for (table, name), new in said.items() if table == pairs[old]}
        mapping |= {name: new for name, new in answered.items() if name in was.column and new in now.column}
        for name in was.visible:
            there, attribute = was.lineage.get(name, (old, name))
            if name in mapping or (there, attribute) == (old, name) or there not in pairs:
                continue
            origin = pairs[there], columns(there).get(attribute, "")
            free = [new for new in now.visible if new not in mapping.values() and now.lineage.get(new) == origin]
            if len(free) > 1:
                # Several foreign keys bring it: the one to the same parent as before tells, or most of those.
                votes = Counter(brought(was, now, name))
                free = [new for new in free if votes[new] == max(votes[new] for new in free)]
            if len(free) == 1 and (pairs[old], name) not in answers.drops:
                mapping[name] = free[0]
        return mapping

    def brought(was: Table, now: Table, name: str) -> Iterator[str]:
        for ours, parent, theirs, _ in was.foreign_keys:
            if name in ours and parent in pairs:
                above = columns(parent).get(theirs[ours.index(name)])
                for names, other, others, _ in now.foreign_keys:
                    if other == pairs[parent] and above in others:
                        yield names[others.index(above)]

    return {old: (new, columns(old)) for old, new in pairs.items()}
