"""Generated pairs, played as the evolutions are and then back to where they began, and forward again."""

from __future__ import annotations

import re
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import evolution
import evolution_oracle as oracle
import generated
import sources
from evolution import FAILURE, Stage, Stop, Verdict, said
from evolution_answers import Answers, key_of


@dataclass
class Outcome(Verdict):
    """What came of a pair on one server; ``back`` says how far it could be taken back, and why no farther."""

    back: str = ""

    @property
    def kind(self) -> str:
        """``applied``, ``refused`` or ``broken``."""
        return "broken" if self.problems else self.outcome


def play(stage: Stage, seed: int) -> Outcome:
    """Play the pair of a seed through."""
    case, begun = generated.pair(seed), time.perf_counter()
    outcome = Outcome(case["id"], stage.server.backend)
    states = case["before"], case["after"]
    with stage.clean(stage.databases("dev", *states), stage.databases("fresh", *states)), suppress(Stop):
        try:
            Play(stage, case, outcome).run()
        except (ValueError, LookupError, TypeError) as error:  # what is there cannot even be looked at
            outcome.problems.append(f"{type(error).__name__}: {error}")
    outcome.seconds = round(time.perf_counter() - begun, 2)
    return outcome


def told(outcome: Verdict) -> str:
    """All that there is to say of a pair: its seed, both definitions, its rows, and what came of it."""
    case = generated.pair(int(outcome.case))
    return "\n".join(
        [
            f"benchmarks/generated.py --seed {outcome.case} --backend {outcome.backend}",
            f"edits: {', '.join(case['edits'])}; answers: {outcome.answers}",
            "# --- before ---",
            sources.module(case["before"], 'open_schema("{name}")'),
            sources.rows(case["rows"]).partition("\n\n\ndef")[0],
            "# --- after ---",
            sources.module(case["after"], 'open_schema("{name}")'),
            *outcome.operations,
            f"{outcome.outcome}: {outcome.reason}",
            *outcome.problems,
        ]
    )


class Play(evolution.Play):
    """One pair on its way."""

    def __init__(self, stage: Stage, case: dict[str, Any], outcome: Outcome) -> None:
        super().__init__(stage, case, outcome, allow_data_loss=False)
        self.outcome = outcome

    def known(self) -> Answers:
        """What was renamed is known; all else is answered once it is asked."""
        said = self.case["answers"]
        tables = {key_of(*old): key_of(*new) for old, new in said["tables"]}
        attributes = {(key_of(*table), old): new for table, old, new in said["attributes"]}
        fills = {(key_of(*table), name): value for table, name, value in said["fills"]}
        follows = {(key_of(*table), old): new for table, old, new in said["follows"]}
        return Answers(tables, attributes, fills, follows=follows)

    def losses(self) -> list[dict[str, Any]]:
        """Every other person looks before migrating, and answers what stands against it; the others are refused."""
        return super().losses() if int(self.case["id"]) % 2 else []

    def use(self, held: oracle.Catalogue) -> Any:
        """Back and forth once, then as any evolution is used."""
        yield from (f"back: {text}" for text in self.back(held))
        yield from super().use(held)

    def back(self, held: oracle.Catalogue) -> Any:
        """What is wrong once every schema is taken back, as far as that is not refused, and brought forward again."""
        server, now = self.stage.server, held
        kept = oracle.rows(server, held)
        for schema, version in reversed(self.versions):
            result = self.stage.command("rollback", schema, "--to", version)
            then = oracle.read(server, self.dev)
            if result.code:
                self.outcome.back = self.outcome.back or said(result)
                if FAILURE.search(said(result)):
                    yield said(result)
                yield from (f"refused, yet {text}" for text in oracle.differences(now, then))
            now = then
        if not self.outcome.back:
            # A schema that was made has nothing to be taken back to.
            old = {key: table for key, table in now.items() if key[0] in {schema for schema, _ in self.before}}
            wrong = oracle.differences(self.before, old)
            yield from wrong or self.compared(self.filled, oracle.rows(server, old))
        migrated = self.stage.command("migrate")
        if migrated.code:
            yield f"forward again: {said(migrated)}"
            return
        again = oracle.read(server, self.dev)
        yield from (f"forward again: {text}" for text in oracle.differences(held, again))
        yield from (f"forward again: {text}" for text in self.compared(kept, oracle.rows(server, again)))

    def compared(self, before: dict[oracle.Key, oracle.Rows], after: dict[oracle.Key, oracle.Rows]) -> Any:
        """Rows that are not the same."""
        for key, was in before.items():
            if key in after:
                columns = self.expected[key].columns if key in self.expected else []
                fresh = {c.name for c in columns if "CURRENT_TIMESTAMP" in str(c.default).upper()}
                gone = self.changed.get(key, self.inherited(key)) if before is self.filled else fresh
                same = {column: column for column in was.columns if not column.startswith("_") and column not in gone}
                # Rows that were put in for others to refer to stay there.
                more = bool(self.inserted)
                yield from (f"{'.'.join(key)}: {text}" for text in oracle.lost(was, after[key], same, more=more))

    def inherited(self, key: oracle.Key) -> set[str]:
        """Columns in which a table that comes back has what its parents had to lose, where that was allowed."""
        if not self.allow_data_loss:
            return set()
        return {column for column, origin in self.before[key].lineage.items() if origin[0] != key}


#: Words of a refusal that are a pair's own.
_OWN = re.compile(r"'[^']*'|\([^()]*\)|\b[\w]+(?:\.#?\w+)+\b|\b\d[\d.]*\b|\b\w*_\w+\b")


def plain(text: str) -> str:
    """A reason without what is a pair's own, so that equal ones can be counted."""
    text = _OWN.sub("…", text)
    for word in {*generated.SCHEMAS, *generated._NAMES.split(), *generated._CLASSES.split()}:
        text = re.sub(rf"\b{word}\b", "…", text, flags=re.I)
    return re.sub(r"(?:…[,. ]*)+", "… ", text).strip()
