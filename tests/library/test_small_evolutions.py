"""Small evolutions that once went wrong: applied as a fresh declaration has it, or refused before the first step."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import evolution
import evolution_oracle as oracle
import evolution_programs as programs
import pytest
import sources
from conftest import Project, Result, Server

#: By class of schema ``a`` (or, written ``b.Class``, of another): tier where it is not Manual, and definition.
Tables = dict[str, str]


@dataclass
class Evolution:
    """What is there, what it is to be, what a person answers, and what comes of it.

    Parameters
    ----------
    before, after : dict
        Definitions by class; a tier stands before them as in ``Lookup: m : varchar(8)``.
    rows : dict
        By class, the rows, each in the order of the attributes.
    answers : str
        Options of `revise`.
    refused : str
        Regular expression for the refusal; where it is empty, the evolution is applied.
    by : str
        The command that refuses.
    code : int
        With which exit code.
    """

    before: Tables
    after: Tables
    rows: dict[str, list[tuple[Any, ...]]] = field(default_factory=dict)
    answers: str = ""
    refused: str = ""
    by: str = "migrate"
    code: int = 1


def tables(found: Tables) -> list[dict[str, Any]]:
    listed = []
    for name, text in found.items():
        tier, colon, definition = text.partition(": ")
        if not colon or tier not in ("Lookup", "Imported", "Computed"):
            tier, definition = "Manual", text
        schema, _, title = f"a.{name}".rpartition(".")
        schema = schema.removeprefix("a.") or "a"
        listed.append({"schema": schema, "name": title, "tier": tier, "definition": definition.replace("; ", "\n")})
    return listed


NUMBERED = {"V": "v : int32", "S": "s : int32; -> V"}

CASES = {
    # What is made up is in no row that refers to it.
    "a number for a key that another table refers to": Evolution(
        {"L": "i : int32", "U": "u : int32"},
        {"L": "name : varchar(32)", "U": "u : int32; ---; -> L"},
        {"L": [(1,), (2,)], "U": [(1,), (2,)]},
        "--fill L.name=number() --fill U.name=unknown",
        r"a\.U has 2 rows whose \(name = 'unknown'\) is in no row of a\.L",
    ),
    "a number, and rows that are put in for it": Evolution(
        {**NUMBERED, "U": "u : int32"},
        {"V": "w : int32", "S": "s : int32; -> V", "U": "u : int32; ---; -> S"},
        {"V": [(1,), (2,)], "S": [(1, 1)], "U": [(1,), (2,)]},
        "--fill V.w=number() --fill U.s=7 --fill U.w=7 --insert S --drop V.v",
        r"has \d rows?",
    ),
    "a time that is to be a number": Evolution(
        {"X": "x : int32; ---; y : time"},
        {"X": "x : int32; ---; y : float32"},
        {"X": [(1, "09:30:00")]},
        "",
        r"has 1 value",
        code=7,
    ),
    "a time that is to be a text": Evolution(
        {"X": "x : int32; ---; y : time"}, {"X": "x : int32; ---; y : varchar(20)"}, {"X": [(1, "09:30:00")]}
    ),
    "three tables that move to another schema": Evolution(
        {"F": "design : int16", "D": "design : int16", "I": "-> F; -> D; ---; x : int32"},
        {"b.F": "design : int16", "b.D": "design : int16", "b.I": "-> F; -> D; ---; x : int32"},
        {"F": [(1,)], "D": [(1,)], "I": [(1, 1)]},
        "--rename-table a.F=b.F --rename-table a.D=b.D --rename-table a.I=b.I",
    ),
    "a schema that goes": Evolution(
        {"X": "x : int32", "Y": "-> X; y : int32"},
        {"b.X": "x : int32", "b.Y": "-> X; y : int32"},
        {"X": [(1,)], "Y": [(1, 1)]},
        "--rename-table a.X=b.X --rename-table a.Y=b.Y",
    ),
    "rows that would be merged and differ": Evolution(
        {"M": "Lookup: m : varchar(8)", "C": "c : int32; ---; -> M"},
        {
            "M": "Lookup: m : varchar(8)",
            "P": "p : int32; ---; -> M",
            "T": "c : int32; ---; -> P",
            "C": "-> T",
        },
        {"M": [("x",), ("y",)], "C": [(1, "x"), (2, "y")]},
        "--fill T.p=0",
        r"1 value whose rows have different values of m.*: 'x' and 'y'",
        code=7,
    ),
    "rows that need a parent, which needs one itself": Evolution(
        {"G": "g : int32", "U": "-> G; n : int32", "M": "m : int32; ---; g : int32; n : int32"},
        {"G": "g : int32", "U": "-> G; n : int32", "M": "m : int32; ---; -> G; -> U"},
        {"G": [(1,)], "U": [(1, 1)], "M": [(1, 9, 1), (2, 1, 1)]},
        "--insert G --insert U",
    ),
    "a value that goes, and would be taken along if its type were the same": Evolution(
        {"M": "Lookup: m : varchar(8)", "C": "c : int32; ---; -> M"},
        {"M": "Lookup: m : varchar(6)", "P": "p : int32; ---; -> M", "T": "c : int32; ---; -> P", "C": "-> T"},
        {"M": [("x",), ("y",)], "C": [(1, "x"), (2, "x")]},
        "--fill T.p=0 --fill P.m=x",
    ),
    "rows that are put in, whose own parent needs a row that is not there": Evolution(
        {"M": "Lookup: m : varchar(8)", "C": "c : int32; ---; -> M"},
        {"M": "Lookup: m : varchar(6)", "P": "p : int32; ---; -> M", "T": "c : int32; ---; -> P", "C": "-> T"},
        {"M": [("x",), ("y",)], "C": [(1, "x"), (2, "x")]},
        "--fill T.p=0 --fill P.m=q",
        r"2 rows whose \(m = 'q'\) is in no row of a\.#?[mM]",
    ),
    "rows that need two parents in the other order": Evolution(
        {"Z": "z : int32", "U": "-> Z; n : int32", "M": "m : int32; ---; z : int32; n : int32"},
        {"Z": "z : int32", "U": "-> Z; n : int32", "M": "m : int32; ---; -> Z; -> U"},
        {"Z": [(1,)], "U": [(1, 1)], "M": [(1, 9, 1), (2, 1, 1)]},
        "--insert Z --insert U",
    ),
    "values along keys that turn round, with another tier, another name, and a table that moves": Evolution(
        {
            "b.A": "Imported: k : varchar(8); e : int16",
            "N": "-> A; n : int32",
            "b.P": "-> N; j : int32",
            "Q": "-> P; ---; x : int32",
        },
        {
            "b.A": "k : varchar(8); p : varchar(8)",
            "N": "-> A; m : int32",
            "b.P": "-> N; j : int32",
            "b.Q": "-> P; ---; x : int32",
        },
        {"A": [("x", 1), ("y", 1)], "N": [("x", 1, 1)], "P": [("x", 1, 1, 1)], "Q": [("x", 1, 1, 1, 7)]},
        "--fill b.A.p=q --rename N.n=m --rename-table a.Q=b.Q",
    ),
    "rows that need parents at three levels, with a column that they must have": Evolution(
        {
            "H": "Lookup: h : int32",
            "G": "-> H; g : int32; ---; name : varchar(8)",
            "U": "-> G; n : int32",
            "M": "m : int32; ---; h : int32; g : int32; n : int32",
        },
        {
            "H": "Imported: h : int32",
            "G": "-> H; g : int32; ---; title : varchar(8)",
            "U": "-> G; n : int32",
            "M": "m : int32; ---; -> U",
        },
        {"H": [(1,)], "G": [(1, 1, "a")], "U": [(1, 1, 1)], "M": [(1, 9, 9, 1), (2, 1, 1, 1), (3, 1, 9, 2)]},
        "--insert U --insert G --insert H --rename G.name=title --fill G.title=new",
    ),
    # DataJoint notes of what two references bring the origin of the last one.
    "references with an attribute in common that turn round": Evolution(
        {"P": "x : int32; u : int32", "Q": "x : int32; v : int32", "C": "c : int32; ---; -> P; -> Q"},
        {"P": "x : int32; u : int32", "Q": "x : int32; v : int32", "C": "c : int32; ---; -> Q; -> P"},
        {"P": [(1, 1)], "Q": [(1, 2)], "C": [(1, 1, 1, 2)]},
    ),
    "references with an attribute in common that turn round in a key, under other names": Evolution(
        {"P": "x : int32; u : int32", "Q": "x : int32; v : int32", "C": "-> P; -> Q"},
        {"P": "x : int32; u : int32", "R": "x : int32; w : int32", "D": "-> R; -> P"},
        {"P": [(1, 1)], "Q": [(1, 2)], "C": [(1, 1, 2)]},
        "--rename Q.v=w --rename-table Q=R --rename-table C=D",
    ),
}


@pytest.fixture(scope="module")
def stage_of(
    tmp_path_factory: pytest.TempPathFactory, render: Callable[..., Path]
) -> Iterator[Callable[..., evolution.Stage]]:
    """A project for each server; `check` starts the embedded server of each."""
    folder = tmp_path_factory.mktemp("small")
    yield evolution.stages(folder, render, "small_")
    for project in folder.glob("*/my_pipeline"):
        Project(project).run("local", "stop")


@pytest.fixture
def stage(server: Server, stage_of: Callable[..., evolution.Stage]) -> Iterator[evolution.Stage]:
    found = stage_of(server)
    with found.clean({"a": "dev_small_a", "b": "dev_small_b"}, {"a": "small_fresh_a", "b": "small_fresh_b"}):
        yield found


def refusal(result: Result) -> str:
    error = result.json["error"]
    return f"{error['what']} {error['why']} {error['do']}"


@pytest.mark.parametrize("name", CASES)
def test_small_evolution(name: str, stage: evolution.Stage) -> None:
    case = CASES[name]
    states = {"before": tables(case.before), "after": tables(case.after)}
    databases = stage.databases("dev", *states.values())
    stage.lay(states, "before")
    listed = [
        [title, [row if isinstance(row, dict) else list(row) for row in found]] for title, found in case.rows.items()
    ]
    stage.project.write("case_rows.py", sources.rows(listed))
    stage.lay_plain("case_fresh", states["after"], 'dj.Schema("small_fresh_{name}", create_tables=True)')
    stage.snippet(programs.BEGIN, f"{stage.project.package}.{evolution.MODULE}", "case_fresh")
    before = oracle.read(stage.server, databases)
    rows = oracle.rows(stage.server, before)
    stage.lay(states, "after")
    revised = stage.command("revise", "-m", "evolve", *case.answers.split())
    if case.refused and case.by == "revise":
        assert revised.code == case.code and re.search(case.refused, refusal(revised)), revised
        return
    assert revised.code == 0 and not revised.json["questions"], revised
    shown, done = stage.command("migrate", "--dry-run"), stage.command("migrate")
    if case.refused:
        assert done.code == case.code and re.search(case.refused, refusal(done)), done
        assert shown.code == case.code, shown
        assert re.search(case.refused, str(shown.json.get("refused") or shown.json.get("error"))), shown
        found = oracle.read(stage.server, databases)
        assert not oracle.differences(before, found)
        kept = oracle.rows(stage.server, found)
        assert {key: sorted(map(repr, kept[key].rows)) for key in kept} == {
            key: sorted(map(repr, rows[key].rows)) for key in rows
        }
        assert "interrupted" not in stage.command("status").out
        return
    assert shown.code == 3 and done.code == 0, done
    fresh = stage.databases("fresh", states["after"])
    mappings = {schema: databases[schema] for schema in fresh}
    assert not oracle.differences(oracle.read(stage.server, fresh), oracle.read(stage.server, mappings))
    lineage = "SELECT table_name, attribute_name, lineage FROM {}.{}"
    quote = "`" if stage.server.backend == "mysql" else '"'
    for schema, database in mappings.items():
        ours, theirs = (
            sorted(stage.server.execute(lineage.format(place, f"{quote}~lineage{quote}")))
            for place in (database, fresh[schema])
        )
        renamed = [(t, a, text.replace("small_fresh_", "dev_small_")) for t, a, text in theirs]
        assert [row for row in ours if "~" not in row[0]] == renamed
    checked = stage.project.run("check")
    assert checked.code == 0, checked.out
