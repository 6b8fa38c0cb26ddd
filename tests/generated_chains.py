"""Several migrations one after the other: written and applied one by one on one database, all at once on another.

A chain is a pipeline that :mod:`generated` makes, and some edits of it, each with a `revise` of its own. A database that
is several versions behind, such as prod, has to end as one that was brought along step by step; `check` has to be
satisfied; and all of it has to go back to the start, and come again.
"""

from __future__ import annotations

import re
import shutil
from contextlib import suppress
from copy import deepcopy
from random import Random
from typing import Any

import evolution_oracle as oracle
import evolution_programs as programs
import generated
import sources
from evolution import FAILURE, MODULE, Stage, Stop, said
from generated_edits import Editor
from generated_play import Outcome, Play

#: Migrations of a chain.
LEGS = 3


def chain(seed: int) -> dict[str, Any]:
    """The chain of a seed: a case as :func:`generated.pair` gives it, from the first state to the last, with legs."""
    random = Random(seed)
    first = generated.pipeline(random)
    held = generated.rows(random, first)
    states, edits, legs = [first], list[str](), list[dict[str, Any]]()
    for _ in range(LEGS):
        editor = Editor(random, deepcopy(states[-1]))
        edits += editor.edit(random.choice([1, 1, 2]))
        answers = generated.answers(random, states[-1], editor.pipeline)
        legs.append({"before": states[-1].source(), "after": editor.pipeline.source(), "answers": answers})
        states.append(editor.pipeline)
    rows = [[first.title(table), held[table.number]] for table in first.order()]
    ends = {"before": first.source(), "after": states[-1].source()}
    return {"id": str(seed), **ends, "rows": rows, "edits": edits, "answers": {}, "legs": legs}


def play(stages: tuple[Stage, Stage], seed: int) -> Outcome:
    """Play the chain of a seed on two sets of schemas of a server."""
    case = chain(seed)
    outcome = Outcome(case["id"], stages[0].server.backend)
    every = [case["before"], *(leg["after"] for leg in case["legs"])]
    places = [stage.databases(place, *every) for stage in stages for place in ("dev", "fresh")]
    with stages[0].clean(*places), suppress(Stop):
        shutil.rmtree(stages[1].migrations, ignore_errors=True)
        try:
            Chain(stages, case, outcome).run()
        except (ValueError, LookupError, TypeError) as error:  # what is there cannot even be looked at
            outcome.problems.append(f"{type(error).__name__}: {error}")
    return outcome


class Leg(Play):
    """One migration of a chain, applied where it is written."""

    def begin(self) -> None:
        stage = self.stage
        stage.server.drop(*self.fresh.values())
        stage.lay_plain(
            "case_fresh", self.case["after"], f'dj.Schema("{stage.prefix}fresh_{{name}}", create_tables=True)'
        )
        try:
            stage.snippet(programs.DECLARE, "case_fresh")
        except Stop as stop:
            self.stop(f"begin: {stop}")
        self.before = oracle.read(stage.server, self.dev)
        self.rows = oracle.rows(stage.server, self.before)
        self.filled, self.changed = dict(self.rows), {}
        self.expected = oracle.read(stage.server, self.fresh)

    def run(self) -> None:
        self.begin()
        answers = self.revise()
        flags = ["--allow-data-loss"] if answers.loses else []
        migrated = self.stage.command("migrate", *flags)
        if migrated.code:
            self.refuse(said(migrated))


class Chain:
    """A chain on its way."""

    def __init__(self, stages: tuple[Stage, Stage], case: dict[str, Any], outcome: Outcome) -> None:
        self.steps, self.stage = stages
        self.case, self.outcome = case, outcome

    def run(self) -> None:
        first = {"before": self.case["before"], "after": self.case["before"]}
        for stage in (self.steps, self.stage):
            stage.lay(self.case, "before")
            stage.project.write("case_rows.py", sources.rows(self.case["rows"]))
            stage.lay_plain("case_fresh", [], "")
            try:
                stage.snippet(programs.BEGIN, f"{stage.project.package}.{MODULE}", "case_fresh")
            except Stop as stop:
                self.outcome.outcome, self.outcome.reason = "refused", f"begin: {stop}"
                raise
        begun = self.read()
        for leg in self.case["legs"]:
            one = Outcome(self.case["id"], self.outcome.backend)
            try:
                Leg(self.steps, {**self.case, **first, **leg}, one).run()
            except Stop:
                self.outcome.outcome = "refused" if one.outcome == "refused" and not one.problems else "broken"
                self.outcome.reason, self.outcome.problems = f"one by one: {one.reason}", one.problems
                raise
            self.outcome.operations += one.operations
        self.hand_over()
        shown = self.stage.command("migrate", "--dry-run")
        migrated = self.stage.command("migrate")
        if migrated.code:
            reason = said(migrated)
            self.outcome.reason = reason
            changed = oracle.differences(begun, self.read(), lineage=False)
            self.outcome.problems += [f"refused, yet {text}" for text in changed]
            lost = migrated.code == 7  # which is answered by an option
            self.outcome.outcome = "refused" if lost and not FAILURE.search(reason) else "broken"
            if not lost:
                self.outcome.problems.append(f"at once: {reason}")
            return
        self.outcome.outcome = "applied"
        if shown.code not in (3, 7):
            self.outcome.problems.append(f"dry run: {shown.code} {said(shown)}")
        self.compare()
        self.there_and_back(begun)

    def read(self) -> oracle.Catalogue:
        """What the second database has."""
        return oracle.read(self.stage.server, self.stage.databases("dev", *self.states))

    @property
    def states(self) -> list[Any]:
        return [self.case["before"], *(leg["after"] for leg in self.case["legs"])]

    def hand_over(self) -> None:
        """Give the code with all migrations to the project whose database is still at the start."""
        for path in (f"src/{self.stage.project.package}/migrations", self.stage.project.module(MODULE)):
            there, here = self.steps.project.folder / path, self.stage.project.folder / path
            if there.is_dir():
                shutil.rmtree(here, ignore_errors=True)
                shutil.copytree(there, here)
            elif there.exists():
                shutil.copy(there, here)
        version = self.stage.project.module("version")
        self.stage.project.write(version, self.steps.project.read(version))

    def compare(self) -> None:
        """Find what is otherwise than where each migration was applied by itself."""
        server, problems = self.stage.server, self.outcome.problems
        one_by_one = oracle.read(server, self.steps.databases("dev", *self.states))
        at_once = self.read()
        problems += [f"catalogue: {text}" for text in oracle.differences(one_by_one, at_once)]
        want, got = oracle.rows(server, one_by_one), oracle.rows(server, at_once)
        for key, was in want.items():
            if key in got:
                same = {c.name: c.name for c in one_by_one[key].columns if self.is_said(c)}
                problems += [f"rows of {'.'.join(key)}: {text}" for text in oracle.lost(was, got[key], same)]
        for command in (["check"], ["status"]):
            result = self.stage.command(*command)
            if result.code:
                problems.append(f"{command[0]}: {said(result)} {result.out[-600:]}")

    @staticmethod
    def is_said(column: oracle.Column) -> bool:
        """Whether a column has what somebody said, and not a time or a number that was made."""
        made = column.name.startswith("_") or "CURRENT_TIMESTAMP" in str(column.default).upper()
        return not made and "uuid" not in column.comment and "uuid" not in column.type

    def there_and_back(self, begun: oracle.Catalogue) -> None:
        """Take everything back to the start, as far as that is not refused, and bring it forward again."""
        server, problems = self.stage.server, self.outcome.problems
        held = self.read()
        kept = oracle.rows(server, held)
        versions = {s["name"]: s["database_version"] for s in self.stage.command("status").json["schemas"]}
        for schema in reversed(list({schema for schema, _ in begun})):
            if versions.get(schema) in ("1.0.0", None):  # a schema that is no longer in the code stays
                continue
            if (why := self.back(["rollback", schema, "--to", "1.0.0", "--along"])) and not self.outcome.back:
                self.outcome.back = why
                if FAILURE.search(why):
                    problems.append(f"back: {why}")
        if not self.outcome.back:
            then = {key: table for key, table in begun.items() if key[0] in versions}
            now = {key: table for key, table in self.read().items() if key in then}
            problems += [f"back: {text}" for text in oracle.differences(then, now)]
        again = self.stage.command("migrate")
        if again.code:
            problems.append(f"forward again: {said(again)}")
            return
        found = self.read()
        problems += [f"forward again: {text}" for text in oracle.differences(held, found)]
        rows = oracle.rows(server, found)
        for key, was in kept.items():
            if key in rows:
                same = {c.name: c.name for c in held[key].columns if self.is_said(c)}
                problems += [f"forward again: {'.'.join(key)}: {text}" for text in oracle.lost(was, rows[key], same)]

    def back(self, command: list[str]) -> str:
        """Take something back, and first what a refusal says that has to go first; why it is refused in the end."""
        asked = [command]
        while True:
            result = self.stage.command(*asked[-1])
            if not result.code:
                asked.pop()
                if not asked:
                    return ""
                continue
            advice = re.search(r"(rollback \S+ --to [\d.]+\d(?: --along)?)", result.json["error"]["do"])
            first = advice[1].split() if advice else []
            if not first or first in asked:
                return f"{said(result)} {result.json['error']['do']}"
            asked.append(first)


def told(outcome: Outcome) -> str:
    """All that there is to say of a chain."""
    case = chain(int(outcome.case))
    parts = [f"chain {outcome.case} on {outcome.backend}; edits: {', '.join(case['edits'])}"]
    for number, state in enumerate([case["before"], *(leg["after"] for leg in case["legs"])]):
        source = sources.module(state, 'open_schema("{name}")')
        parts += [f"# --- {number} ---", re.sub(r"\n{2,}", "\n", source)]
    return "\n".join([*parts, *outcome.operations, f"{outcome.outcome}: {outcome.reason}", *outcome.problems])
