"""The steps of a plan: one list for the dry run, for `--sql`, for the record, and for whoever runs them.

A step is a value of a small family. ``text`` is what the record shows of it: it is written, and compared when a run is
resumed, but nothing is ever run from there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any, ClassVar

from ..ddl import recoding
from ..dialects import constraints
from ..dialects import statements as sql_statements
from ..dialects.base import Dialect
from ..dialects.introspection import Place
from ..dialects.mysql import effects
from ..dialects.steps import ROWS, Clearing, Step
from ..errors import PipelineError
from ..history.migration_files import Migration
from ..internals import lineage
from ..operations import data
from ..operations.origins import Origins
from ..operations.structure import Operation
from ..quoting import quoted
from ..schema.model import TableName
from .deployment import Deployment


@dataclass(frozen=True, kw_only=True)
class PlannedStep:
    """What all steps have.

    Parameters
    ----------
    words : str
        What it does, for people.
    statements : tuple of str
        What is sent, in order.
    tables : tuple of TableName
        Whose shape or rows it changes, as they are called afterwards.
    places : tuple of Place
        Where these are on the server, before and afterwards.
    rewrites, lock, algorithm, effects
        As of :class:`datajoint_pipeline.dialects.steps.Step`.
    fresh : bool
        Whether what it gives rows is in columns that the same run adds.
    """

    kind: ClassVar[str]

    words: str
    statements: tuple[str, ...] = ()
    tables: tuple[TableName, ...] = ()
    places: tuple[Place, ...] = ()
    rewrites: bool = False
    lock: str = "brief"
    algorithm: str = ""
    effects: tuple[Any, ...] = field(default=(), compare=False, repr=False)
    fresh: bool = field(default=False, compare=False, repr=False)

    @property
    def script(self) -> tuple[str, ...]:
        """Give what one would send by hand."""
        return self.statements

    @property
    def text(self) -> str:
        """Give what the record shows of it."""
        return json.dumps(self._payload())

    @property
    def changes_rows(self) -> bool:
        """Tell whether it changes rows alone, so that a transaction can hold it together with its record."""
        return bool(self.statements) and all(ROWS.match(statement) for statement in self.statements)

    @property
    def adds_rows(self) -> bool:
        """Tell whether all that it does is to put in rows that there are not."""
        return self.changes_rows and all(
            found[1].upper() == "INSERT" for statement in self.statements if (found := ROWS.match(statement))
        )

    def _payload(self) -> dict[str, Any]:
        return {"run": list(self.statements)}


@dataclass(frozen=True, kw_only=True)
class Statement(PlannedStep):
    """One statement on tables. On MySQL it is done or not done, with nothing in between.

    ``done`` and ``clearing`` are as of :class:`datajoint_pipeline.dialects.steps.Step`.
    """

    kind = "sql"

    done: str = field(default="", compare=False)
    clearing: Clearing | None = field(default=None, compare=False)

    @property
    def text(self) -> str:
        return self.statements[0]


@dataclass(frozen=True)
class Conversion:
    """Values of an attribute that DataJoint converts to another codec.

    Parameters
    ----------
    place : Place
        Database and table at that point.
    source, target : str
        The attribute, and that which takes the values.
    type : str
        What they become.
    mark : str
        On MySQL, the hidden attribute that says whether a row was converted as it is.
    kept, was : str
        A soft-deleted attribute with the values that those of the source were made from, and the type of the source:
        where a value is still what was made of it, that one comes back. Empty where there is none.
    """

    place: Place
    source: str
    target: str
    type: str
    mark: str
    kept: str = ""
    was: str = ""

    @property
    def before(self) -> tuple[str, str] | None:
        """Give both, ``kept`` and ``was``; None where there is nothing to come back."""
        return (self.kept, self.was) if self.kept else None

    @property
    def payload(self) -> dict[str, Any]:
        """Give it as the record shows it."""
        found = {**asdict(self), "place": list(self.place)}
        return {name: value for name, value in found.items() if value or name not in ("kept", "was")}


@dataclass(frozen=True, kw_only=True)
class LockedStatements(PlannedStep):
    """Statements of MySQL between which nobody may write a row: under ``locks``, after ``conversions``.

    ``orphans`` and ``done`` are as of :class:`datajoint_pipeline.dialects.steps.Step`.
    """

    kind = "locked"

    locks: tuple[str, ...]
    conversions: tuple[Conversion, ...] = ()
    orphans: tuple[tuple[str, str, str, str], ...] = ()
    done: str = field(default="", compare=False)

    @property
    def script(self) -> tuple[str, ...]:
        return f"LOCK TABLES {', '.join(self.locks)}", *self.statements, "UNLOCK TABLES"

    def _payload(self) -> dict[str, Any]:
        conversions = [conversion.payload for conversion in self.conversions]
        return {"locks": ", ".join(self.locks), **super()._payload(), "recode": conversions}


@dataclass(frozen=True, kw_only=True)
class OnlineStatements(PlannedStep):
    """Statements that PostgreSQL runs outside of any transaction; the query ``check`` says whether they are done.

    ``back`` is as of :class:`datajoint_pipeline.dialects.steps.Step`.
    """

    kind = "online"

    check: str
    back: tuple[str, ...] | None = field(default=None, compare=False)

    def _payload(self) -> dict[str, Any]:
        return {"check": self.check, **super()._payload()}


@dataclass(frozen=True, kw_only=True)
class Recoding(PlannedStep):
    """The conversion of values batch by batch.

    Parameters
    ----------
    table : TableName
        Their table by its name before.
    conversion : Conversion
        What is converted.
    lost : callable
        Gives the characters of a text that the table cannot have.
    """

    kind = "recode"

    table: TableName
    conversion: Conversion
    lost: Callable[[str], str] = field(compare=False)

    def _payload(self) -> dict[str, Any]:
        return {"schema": self.table.schema, **self.conversion.payload}


@dataclass(frozen=True, kw_only=True)
class UserSQL(PlannedStep):
    """A statement of the lab's own.

    Parameters
    ----------
    part : int
        Which statement of its ``RunSQL``, from 1.
    check : str
        Before the first, a query that tells whether all of them are done; empty where there is none.
    of : int
        How many statements that has.
    back : tuple of str, optional
        The statements that undo all of them; None where the lab gave none.
    """

    kind = "own"

    part: int
    check: str = ""
    of: int = 1
    back: tuple[str, ...] | None = field(default=None, compare=False)

    @property
    def more(self) -> int:
        """Give how many steps after this one are done with it where its check says so."""
        return self.of - 1 if self.check else 0

    def _payload(self) -> dict[str, Any]:
        checked = {"check": self.check, "more": self.more} if self.check else {}
        return {**checked, **super()._payload(), "part": self.part}


@dataclass(frozen=True, kw_only=True)
class UserPython(PlannedStep):
    """Python of the lab's own, from line ``line`` of a migration file."""

    kind = "python"

    operation: data.RunPython
    schema: str
    digest: str
    line: int

    def _payload(self) -> dict[str, Any]:
        return {"schema": self.schema, "digest": self.digest, "line": self.line}


# --- Making them ---------------------------------------------------------------------------------------------------


def of_step(
    step: Step, dialect: Dialect, recodes: Iterable[recoding.Recode] = (), origins: Origins | None = None
) -> PlannedStep:
    """Make the step of what a dialect gave.

    Parameters
    ----------
    step : Step
        The statement, with what goes along with it.
    dialect : Dialect
        Which gives the tables' places on the server.
    recodes : iterable of Recode
        The values that were converted before it.
    origins : Origins, optional
        What the operations made of what.
    """
    places, conversions = tuple(dialect.place(table) for table in step.tables), list[Conversion]()
    for place, op in _replaced(step, recodes, origins, dialect) if origins else ():
        # DataJoint reads the lineage of a table that it converts values in.
        table, lineages = (".".join(map(dialect.quote, (place[0], name))) for name in (place[1], lineage.TABLE))
        step = step.alone((), f"{table} WRITE", f"{lineages} READ")
        conversions.append(_conversion(place, op))
    # A table may have another name for an instant.
    places = tuple(dict.fromkeys((*places, *(place for effect in step.effects for place in effects.places(effect)))))
    common: dict[str, Any] = {
        "words": step.words,
        "statements": (*step.first, step.sql),
        "tables": step.tables,
        "places": places,
        "rewrites": step.rewrites,
        "lock": step.lock,
        "algorithm": step.algorithm,
        "effects": step.effects,
        "fresh": step.open and not step.effects,
    }
    if step.locks:
        common |= {"orphans": step.orphans, "done": step.done}
        return LockedStatements(**common, locks=step.locks, conversions=tuple(conversions))
    if step.check:
        return OnlineStatements(**common, check=step.check, back=step.back)
    return Statement(**common, done=step.done, clearing=step.clearing)


def _replaced(
    step: Step, recodes: Iterable[recoding.Recode], origins: Origins, dialect: Dialect
) -> list[tuple[Place, recoding.Recode]]:
    """Find the attributes that a step of MySQL replaces by those with converted values, and their tables' places after.

    Values that somebody wrote since the conversion are still to be converted, under the lock of that step.
    """
    if dialect.backend != "mysql" or not step.sql.startswith("ALTER TABLE"):
        return []
    names = {old: new for new, old in origins.tables.items()}
    found = [
        op
        for op in recodes
        if names.get(op.table) in step.tables
        and re.search(rf"(RENAME|CHANGE) COLUMN {re.escape(dialect.quote(op.source))} ", step.sql)
    ]
    # The table may be hidden by then.
    return [(effect.place, op) for effect in step.effects for op in found]


def _conversion(place: Place, op: recoding.Recode) -> Conversion:
    return Conversion(place, op.source, op.target, op.type, op.mark, op.kept, op.was)


def of_operation(
    deployment: Deployment, operation: Operation, migrations: Iterable[Migration]
) -> Iterator[PlannedStep]:
    """Make the steps of an operation that changes rows by more than a statement on tables.

    Parameters
    ----------
    deployment : Deployment
        Where it is to run.
    operation : Operation
        A conversion of values, ``RunSQL`` or ``RunPython``.
    migrations : iterable of Migration
        The migrations of its group, one of which it is of.
    """
    if isinstance(operation, recoding.Recode):
        name = operation.table
        place = (deployment.databases[name.schema], name.table)
        dialect = deployment.dialect(constraints.names(deployment.catalogue), {}, {})
        yield Recoding(
            words=f"convert the values of {operation.source} in {name} to {operation.type}",
            table=name,
            conversion=_conversion(place, operation),
            lost=partial(dialect.lost_characters, name),
        )
    elif isinstance(operation, data.RunPython):
        found = ((r, i) for r in migrations for i, x in enumerate(r.lines) if getattr(x, "run", 0) is operation.run)
        migration, index = next(found)
        yield UserPython(
            words=operation.words,
            operation=operation,
            schema=migration.schema,
            digest=migration.digest,
            line=index,
        )
    elif isinstance(operation, data.RunSQL):
        yield from _user_sql(deployment, operation)


def _refuse_unknown_schemas(deployment: Deployment, operation: data.RunSQL) -> None:
    """Raise where a statement for either server names a schema in braces that the pipeline does not have."""
    given = [sql for sql in (operation.sql, operation.check, operation.back) if sql is not None]
    for text in [text for sql in given for text in (sql.mysql, sql.postgresql)]:
        # Braces within a text are the text's.
        named = re.findall(r"\{(\w+)\}\s*\.", re.sub(r"'(?:[^']|'')*'", "''", text))
        if unknown := [name for name in named if name not in deployment.databases]:
            known = ", ".join(f"{{{schema}}}" for schema in deployment.databases)
            raise PipelineError(
                f"{{{unknown[0]}}} in the RunSQL {operation.words!r} is not one of the pipeline's schemas.",
                "A name in braces stands for a schema's name on the server; nothing was changed.",
                f"Write one of {known}.",
            )


def _user_sql(deployment: Deployment, operation: data.RunSQL) -> Iterator[UserSQL]:
    """Make the steps of ``RunSQL``; each statement is one, so that none runs twice."""
    backend = deployment.connection.adapter.backend

    def with_databases(text: str) -> str:
        for schema, database in deployment.databases.items():
            text = text.replace("{" + schema + "}", quoted(deployment.connection, database))
        return text

    def split(text: str) -> tuple[str, ...]:
        if re.match(r"\s*delimiter\b", text, re.I):
            raise PipelineError(
                f"The RunSQL {operation.words!r} begins with DELIMITER.",
                "That is a command of the mysql program and no statement; nothing was changed.",
                "Leave it out, and end each statement with a semicolon: BEGIN ... END is kept together.",
            )
        return sql_statements.split(backend, with_databases(text))

    _refuse_unknown_schemas(deployment, operation)
    statements = split(getattr(operation.sql, backend))
    check = with_databases(getattr(operation.check, backend)) if operation.check else ""
    back = split(getattr(operation.back, backend)) if operation.back is not None else None
    # One check, before the first statement, is for all of them.
    for number, statement in enumerate(statements, 1):
        yield UserSQL(
            words=operation.words if len(statements) == 1 else f"{operation.words} ({number} of {len(statements)})",
            statements=(statement,),
            part=number,
            check=check if number == 1 else "",
            of=len(statements),
            back=back,
        )
