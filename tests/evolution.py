"""Real evolutions, played through by a project's own commands and judged by what a server holds afterwards.

A case is declared by `init`, filled, revised without and with answers, and migrated. What comes of it is compared with
what DataJoint itself declares of the code afterwards, in other schemas, and with the rows of before.
"""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import corpus
import evolution_oracle as oracle
import evolution_programs as programs
import sources
from conftest import Project, Result, Server
from evolution_answers import Answers, fetched, guesses, stored, survivors

MODULE = "pipeline_case"

#: What a command says where it met what it did not expect: no refusal in words, but a failure.
FAILURE = re.compile(
    r"Something failed that should not|^Step \d+ of \d+ failed|The change is too tangled|cannot be applied to"
    r"|is not what the migration (should have made of it|starts from)|do not lead to what the snapshots say"
    r"|from a table that is not known here"
)

#: A fill that is no value, but says where the values come from.
COMPUTED = re.compile(r"(number|uuid|parent|from)\(.*\)")


@dataclass
class Verdict:
    """What came of a case on one server.

    Parameters
    ----------
    outcome : str
        ``applied``, ``refused`` or ``broken``.
    planned : bool
        Whether `revise` had no question.
    questions, answers : list of str
        What was asked, and what was said.
    reason : str
        Why it was refused or broke.
    problems : list of str
        What is wrong with what was applied.
    """

    case: str
    backend: str
    outcome: str = "broken"
    planned: bool = False
    questions: list[str] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)
    reason: str = ""
    problems: list[str] = field(default_factory=list)
    operations: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def asked(self) -> str:
        """What `revise` had to be told, of :data:`ASKED`."""
        if not self.answers:
            return "nothing"
        return "values" if "--fill" in self.answers else "renames"

    @property
    def right(self) -> bool:
        return self.outcome == "applied" and not self.problems


#: What `revise` had to be told, from nothing to most.
ASKED = {
    "nothing": "no question",
    "renames": "only whether something is a rename",
    "values": "also which value rows get",
}


class Stop(Exception):
    """The case goes no further; says why."""


@dataclass
class Stage:
    """A project and a server on which cases are played, one after the other; names begin with ``prefix``."""

    project: Project
    server: Server
    prefix: str

    def __post_init__(self) -> None:
        package = self.project.folder / "src" / self.project.package
        self.project.clear()
        source = (package / "__init__.py").read_text(encoding="utf-8")
        source = re.sub(r'^    prefix=".*",$', f'    prefix="{self.prefix}",', source, flags=re.MULTILINE)
        (package / "__init__.py").write_text(source, encoding="utf-8")
        # Nobody's certificate is looked at here, and to read those of this machine takes longer than to connect.
        quick = {"DJ_LOG_LEVEL": "ERROR", "MY_PIPELINE_ENV": "dev", "SSL_CERT_FILE": os.devnull}
        self.project.environment |= {**self.server.variables, **quick}

    def databases(self, place: str, *states: list[dict[str, Any]]) -> dict[str, str]:
        """Name on the server of each schema of some states; in ``dev`` or in a place of their own."""
        start = f"dev_{self.prefix}" if place == "dev" else f"{self.prefix}{place}_"
        return {schema: start + schema for tables in states for schema in corpus.schemas(tables)}

    def lay(self, case: dict[str, Any], state: str) -> None:
        """Put one state of a case into the project; what changes no version keeps the one it has."""
        path = self.project.module("version")
        known = ast.literal_eval(self.project.read(path).partition("SCHEMA_VERSIONS = ")[2]) if state == "after" else {}
        entries = "".join(f'    "{s}": "{known.get(s, "1.0.0")}",\n' for s in corpus.schemas(case[state]))
        self.project.write(path, f'__version__ = "0.1.0"\n\nSCHEMA_VERSIONS = {{\n{entries}}}\n')
        self.project.write(self.project.module(MODULE), corpus.source(case[state], ""))

    def lay_plain(self, name: str, tables: list[dict[str, Any]], line: str) -> None:
        """Put tables into a module of their own that is no part of the project, its schemas opened by ``line``."""
        self.project.write(f"{name}.py", sources.module(tables, line))

    @property
    def migrations(self) -> Path:
        return self.project.folder / "src" / self.project.package / "migrations"

    @contextmanager
    def clean(self, *databases: dict[str, str]) -> Iterator[None]:
        """Nothing of a case is there before, and nothing is left."""
        names = [name for mapping in databases for name in mapping.values()]
        self.server.drop(*names)
        shutil.rmtree(self.migrations, ignore_errors=True)
        try:
            yield
        finally:
            self.server.drop(*names)

    def snippet(self, program: str, *arguments: str) -> Any:
        """Run a snippet in the project; what it prints behind ``@@``."""
        result = self.project.python("-c", program, *arguments)
        if result.code:
            raise Stop(" ".join(re.split(r"^(?=\w[\w.]*(?:: |$))", result.err, flags=re.M)[-1].split()))
        return json.loads(result.out.partition("@@")[2]) if "@@" in result.out else None

    def command(self, *arguments: str) -> Result:
        return self.project.run(*arguments, "--json", timeout=300)

    def commands(self, *commands: list[str]) -> list[Result]:
        """Run commands in one process, up to the first that fails."""
        listed = [[*command, "--json"] for command in commands]
        return [Result(*found) for found in self.snippet(programs.COMMANDS, json.dumps(listed))]


def stages(folder: Path, render: Callable[..., Path], prefix: str) -> Callable[[Server], Stage]:
    """A project for each server, in which cases are played one after the other."""
    made: dict[str, Stage] = {}

    def stage_on(server: Server) -> Stage:
        if server.backend not in made:
            project = Project(render(folder / server.backend / "my_pipeline"))
            made[server.backend] = Stage(project, server, prefix)
        return made[server.backend]

    return stage_on


def said(result: Result) -> str:
    """Why a command failed, in one line."""
    try:
        error = result.json["error"]
        return f"{error['what']} {error['why']}"
    except (ValueError, KeyError):
        return " ".join((result.err.strip() or result.out.strip() or f"code {result.code}").split())[-500:]


def play(stage: Stage, name: str, *, allow_data_loss: bool = False) -> Verdict:
    """Play a case through."""
    verdict, begun = Verdict(name, stage.server.backend), time.perf_counter()
    case = corpus.cases()[name]
    states = case["before"], case["after"]
    with stage.clean(stage.databases("dev", *states), stage.databases("fresh", *states)), suppress(Stop):
        Play(stage, case, verdict, allow_data_loss).run()
    verdict.seconds = round(time.perf_counter() - begun, 1)
    return verdict


class Play:
    """One case on its way."""

    def __init__(self, stage: Stage, case: dict[str, Any], verdict: Verdict, allow_data_loss: bool) -> None:
        self.stage, self.case, self.verdict, self.allow_data_loss = stage, case, verdict, allow_data_loss
        self.dev = stage.databases("dev", case["before"], case["after"])
        self.fresh = stage.databases("fresh", case["after"])
        self.inserted: set[oracle.Key] = set()
        self.versions: list[tuple[str, str]] = []  # of the schemas that change, before, in the order of their changing

    def run(self) -> None:
        self.begin()
        answers = self.revise()
        kept = survivors(self.before, self.expected, answers)
        self.allow_data_loss |= answers.loses
        flags = ["--allow-data-loss"] if self.allow_data_loss else []
        migrated = self.stage.command("migrate", *flags)
        if migrated.code:
            self.refuse(said(migrated))
        self.verdict.outcome = "applied"
        problems = self.verdict.problems
        found = oracle.read(self.stage.server, self.dev)
        problems += [f"catalogue: {text}" for text in oracle.differences(self.expected, found)]
        problems += [f"rows: {text}" for text in self.values(kept, answers, found)]
        mappings = json.dumps(self.fresh), json.dumps({schema: self.dev[schema] for schema in self.fresh})
        problems += [f"model: {text}" for text in self.stage.snippet(programs.SHAPES, *mappings)]
        problems += [f"again: {text}" for text in self.again(found)]
        problems += [f"use: {text}" for text in self.use(found)]

    def begin(self) -> None:
        """Both states declared, the first one by the project and with rows."""
        stage = self.stage
        stage.lay(self.case, "before")
        stage.project.write("case_rows.py", sources.rows(self.case["rows"]))
        stage.lay_plain(
            "case_fresh", self.case["after"], f'dj.Schema("{stage.prefix}fresh_{{name}}", create_tables=True)'
        )
        try:
            stage.snippet(programs.BEGIN, f"{stage.project.package}.{MODULE}", "case_fresh")
        except Stop as stop:
            self.stop(f"begin: {stop}")
        self.before = oracle.read(stage.server, self.dev)
        self.rows = oracle.rows(stage.server, self.before)
        self.filled = dict(self.rows)  # with what rows were given that had no value
        self.changed: dict[oracle.Key, set[str]] = {}  # columns some of whose values are others afterwards
        self.expected = oracle.read(stage.server, self.fresh)

    def stop(self, reason: str) -> None:
        self.verdict.reason = reason
        raise Stop(reason)

    def known(self) -> Answers:
        """What a person would say before anything is asked."""
        return guesses(self.case["changes"], self.before, self.expected)

    def revise(self) -> Answers:
        """Write the migrations, at first without an answer, then with what a person would say."""
        self.stage.lay(self.case, "after")
        answers = self.known()
        files = {path: path.read_text() for path in self.stage.migrations.rglob("*.*") if path.is_file()}
        version = self.stage.project.read(self.stage.project.module("version"))
        asked: list[dict[str, Any]] = []
        for attempt in range(12):
            if attempt:
                for path in self.stage.migrations.rglob("*.*"):
                    if path.is_file() and path not in files:
                        path.unlink()
                for path, text in files.items():
                    path.write_text(text)
                self.stage.project.write(self.stage.project.module("version"), version)
            result = self.stage.command("revise", "-m", "evolve", *(answers.options() if attempt else []))
            if result.code:
                if attempt == 0:
                    # A person who is told so would not stop here; what was asked is not known.
                    self.verdict.questions = [f"revise refuses: {said(result)}"]
                    continue
                nothing = re.match(r"(--\S+) (.*) answers no question\.", said(result))
                if nothing and answers.take_back(nothing[1], nothing[2]):
                    continue  # what follows from another answer, or is asked no more
                self.refuse(f"revise: {said(result)}")
            asked = result.json["questions"]
            if attempt == 0:
                self.verdict.planned = not asked
                self.verdict.questions = [f"{q['kind']} {q['table']} {q['subject']}".rstrip() for q in asked]
            self.verdict.operations = [line for s in result.json["schemas"] for line in s["operations"]]
            self.versions = [(s["name"], s["previous"]) for s in result.json["schemas"]]
            more = answers.answer(asked, self.before, self.expected, self.rows)
            if more or (answers and not attempt):
                continue
            if asked or not answers.correct(self.losses(), self.before, self.expected, self.rows):
                break
        else:
            self.stop(f"revise: no answers settle it: {answers.options()}")
        self.verdict.answers = answers.options()
        # Whether rows lack a value that becomes required is counted before anything runs; it need not be known.
        asked = [q for q in asked if q["kind"] != "fill" or not answers.keeps(q, self.before, self.expected)]
        if asked:
            self.refuse(f"revise goes on asking: {[(q['kind'], q['table'], q['subject']) for q in asked]}")
        return answers

    def losses(self) -> list[dict[str, Any]]:
        """What stands against the migrations as they are, which a person reads before migrating."""
        shown = self.stage.command("migrate", "--dry-run")
        with suppress(ValueError, KeyError):
            return [loss for group in shown.json["groups"] for loss in group["losses"]]
        return []

    def refuse(self, reason: str) -> None:
        """The case ends here: in order where the reason is one and nothing was changed."""
        problems = oracle.differences(self.before, found := oracle.read(self.stage.server, self.dev))
        if not problems:
            rows = oracle.rows(self.stage.server, found)
            for key, was in self.rows.items():
                same = {column: column for column in was.columns}
                problems += [f"{'.'.join(key)}: {text}" for text in oracle.lost(was, rows[key], same)]
        status = self.stage.command("status")
        with suppress(ValueError, KeyError):
            stuck = [s["name"] for s in status.json["schemas"] if s["state"] in ("interrupted", "conflict")]
            problems += [f"{name} is left interrupted" for name in stuck]
        self.verdict.problems = [f"refused, yet {text}" for text in problems]
        self.verdict.outcome = "broken" if problems or not reason or FAILURE.search(reason) else "refused"
        self.stop(reason)

    def values(self, kept: Any, answers: Answers, found: oracle.Catalogue) -> Iterator[str]:
        """Values that did not come through, and fills that did not get there."""
        rows = oracle.rows(self.stage.server, found)
        for old, (new, columns) in kept.items():
            if new not in rows:
                yield f"{'.'.join(old)} is gone"
                continue
            survive, will = set(columns), self.expected[new].column
            given = {was: answers.fills[new, now] for was, now in columns.items() if (new, now) in answers.fills}
            # A value that is made is another one than what was said.
            made = {was for was in given if COMPUTED.fullmatch(given[was])}
            given = {was: stored(will[columns[was]], value) for was, value in given.items()}
            survived = set(columns.values())
            columns = {was: now for was, now in columns.items() if was not in made}
            if self.allow_data_loss:
                # What a new type cannot hold is cut; that was allowed.
                types = self.before[old].column
                columns = {ours: now for ours, now in columns.items() if types[ours].type == will[now].type}
            self.changed[old], self.inserted = survive - set(columns), answers.inserts
            more = self.expected[new].name.startswith("#") or new in answers.inserts
            self.filled[old] = self.rows[old].filled(given)
            was, now = self.filled[old], rows[new]
            for ours, theirs in columns.items():
                pair = self.before[old].column[ours], self.expected[new].column[theirs]
                codecs = [column.comment.partition(":")[2].partition(":")[0] for column in pair]
                if codecs[0] != codecs[1] and "<blob>" in codecs:
                    was = was.mapped(ours, lambda value, column=pair[0]: fetched(column, value))
                    now = now.mapped(theirs, lambda value, column=pair[1]: fetched(column, value))
            gone = oracle.lost(was, now, columns, more=more)
            yield from (f"{'.'.join(old)}: {text}" for text in gone)
            for (table, attribute), value in answers.fills.items():
                if table != new or new in answers.inserts or COMPUTED.fullmatch(value):
                    continue
                if attribute in rows[new].columns and attribute not in survived and not more:
                    wanted = oracle.loose(stored(self.expected[new].column[attribute], value))
                    got = {oracle.loose(v) for v in rows[new].values(attribute)} - {wanted}
                    if got:
                        yield f"{'.'.join(new)}: {attribute} got {sorted(got)[:2]} instead of {value!r}"

    def again(self, found: oracle.Catalogue) -> Iterator[str]:
        """What a second `revise` and `migrate` would still do."""
        results = self.stage.commands(["revise", "-m", "again"], ["migrate"], ["status"])
        revised = results[0]
        if not revised.code and (revised.json["schemas"] or revised.json["questions"]):
            yield f"revise {revised.json['schemas']}"
        if results[-1].code:
            yield f"{('revise', 'migrate', 'status')[len(results) - 1]} {said(results[-1])}"
        changed = oracle.differences(found, oracle.read(self.stage.server, self.dev))
        yield from (f"migrate {text}" for text in changed)

    def use(self, held: oracle.Catalogue) -> Iterator[str]:
        """Where DataJoint does with the migrated tables another thing than with fresh ones that have the same rows."""
        server = self.stage.server
        try:
            oracle.copy(server, held, self.expected)
        except Exception as error:  # of either driver
            yield f"the rows cannot be copied into fresh tables: {error}"
            return
        modules = {f"{self.stage.project.package}.{MODULE}": self.dev, "case_fresh": self.fresh}
        said = []
        for found, databases in zip(self.stage.snippet(programs.USE, *modules), modules.values(), strict=True):
            text = json.dumps(found)
            for schema, database in databases.items():
                text = text.replace(database, schema)
            said.append({step: oracle.plain(words) for step, words in json.loads(text).items()})
        ours, theirs = said
        for step in {**ours, **theirs}:
            # What DataJoint cannot do with fresh tables says nothing, not even where the order of names lets it.
            if ours.get(step) != theirs.get(step) and not theirs.get(step, "").startswith("DataJointError"):
                yield f"{step}: {ours.get(step)} instead of {theirs.get(step)}"
