"""What grows with a pipeline: many schemas, and many rows. Every figure is a ratio within the same run, or a bound.

    uv run --with alembic benchmarks/scale.py
    uv run benchmarks/scale.py --part rows --rows 100000

`schemas`: a pipeline of 50 schemas with 20 tables each, whose foreign keys cross, on MySQL (the server that DJ_HOST
names, else one from the mysqld on PATH) and on PostgreSQL (the wheel's). How many more queries `status` asks than with
one schema; how long a `migrate` with nothing to do takes; how long the plan takes once every schema has changed, beside
Alembic's autogenerate of the same databases. The time of both begins once they are connected. Ours has in it how long
it takes to read what should be, the migrations and snapshots; Alembic's is told without that and with it, which is the
reflection of freshly declared tables.

`rows`: a table with a million rows and two below it with as many. A nullable attribute is added, and the type of the
primary key changed, beside the statements that a person would write by hand, on a copy. In pairs, in turn.
"""

from __future__ import annotations

import os.path
import sys

# The tests' modules first; this folder last, for its copy.py is not the library's.
sys.path.append(sys.path.pop(0))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "tests"))

import argparse
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from importlib.util import find_spec
from pathlib import Path
from statistics import median

import scale
from conftest import Project, Server
from evolution import Stage
from scale import Counted, counted
from servers import BACKENDS, started


def main() -> None:
    """Measure and print a line a figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backend", choices=[*BACKENDS, "both"], default="both")
    parser.add_argument("--part", choices=["schemas", "rows", "both"], default="both")
    parser.add_argument("--schemas", type=int, default=50, metavar="N")
    parser.add_argument("--tables", type=int, default=20, metavar="N", help="in each schema, at least three")
    parser.add_argument("--rows", type=int, default=1_000_000, metavar="N")
    parser.add_argument("--runs", type=int, default=3, metavar="N", help="pairs of which the median is told")
    options = parser.parse_args()
    with started(options.backend) as (folder, servers):
        for server in servers.values():
            if options.part != "rows":
                schemas(folder, server, options)
            if options.part != "schemas":
                rows(folder, server, options)


def tell(server: Server, words: str) -> None:
    """Print a figure."""
    print(f"{BACKENDS[server.backend]}: {words}", flush=True)


@contextmanager
def staged(folder: Path, server: Server, name: str) -> Iterator[Project]:
    """A project whose schemas on the server begin with a name; they are dropped at the end."""
    own = Project(folder / f"{server.backend}-{name}")
    shutil.copytree(folder / "my_pipeline", own.folder)
    Stage(own, server, f"{name}_")
    try:
        yield own
    finally:
        shutil.rmtree(own.folder)
        server.drop(*on_server(server, f"dev_{name}_"))


def on_server(server: Server, start: str) -> list[str]:
    """The databases whose names begin so."""
    found = server.execute("SELECT schema_name FROM information_schema.schemata ORDER BY 1")
    return [str(row[0]) for row in found if str(row[0]).startswith(start)]


# --- Schemas -------------------------------------------------------------------------------------------------------


def schemas(folder: Path, server: Server, options: argparse.Namespace) -> None:
    """One schema, then many, then a change of each."""
    with staged(folder, server, "one") as one:
        scale.lay(one, 1, options.tables)
        counted(one, "init")
        few = counted(one, "status")
    with staged(folder, server, "many") as many, staged(folder, server, "fresh") as fresh:
        names = scale.lay(many, options.schemas, options.tables)
        made = counted(many, "init")
        status = [counted(many, "status") for _ in range(options.runs)]
        nothing = [counted(many, "migrate") for _ in range(options.runs)]
        size = f"{options.schemas} schemas of {options.tables} tables"
        tell(server, f"{size} are made by init in {made.seconds:.1f} s")
        more = len(status[0].asked) - len(few.asked)
        tell(server, f"status asks {len(few.asked)} queries for one schema, {more} more for {options.schemas}")
        tell(server, f"status takes {best(status):.2f} s")
        tell(server, f"migrate with nothing to do takes {best(nothing):.2f} s")
        for number in range(options.schemas):
            scale.change(many, number)
        revised = counted(many, "revise", "--message", "change")
        planned = [counted(many, "migrate", "--dry-run", "--json", code=3, connected=True) for _ in range(options.runs)]
        scale.lay(fresh, options.schemas, options.tables)
        for name in names:
            fresh.write(fresh.module(name), many.read(many.module(name)))
        counted(fresh, "init")
        tell(server, f"revise writes {options.schemas} migrations in {revised.seconds:.1f} s")
        tell(server, f"the plan of all of them takes {best(planned):.2f} s")
        if find_spec("alembic"):
            runs = [alembic(server, names) for _ in range(options.runs)]
            compared, whole = (min(times) for times in zip(*runs, strict=True))
            for what, theirs in (("its comparison", compared), ("the reflection before it and that", whole)):
                ratio = theirs / best(planned)
                tell(server, f"Alembic's autogenerate: {what} takes {theirs:.2f} s, {ratio:.1f} times as long")
        else:
            tell(server, "Alembic is not here; say uv run --with alembic to have it measured")
        applied = counted(many, "migrate")
        tell(server, f"migrate applies {options.schemas} migrations in {applied.seconds:.1f} s")
        counted(many, "status")


def best(runs: list[Counted]) -> float:
    """Seconds of the quickest run."""
    return min(run.seconds for run in runs)


def alembic(server: Server, names: list[str]) -> tuple[float, float]:
    """Seconds that Alembic takes to find what differs, and with those that it takes to know what should be."""
    import evolution_peers
    from alembic import autogenerate

    places = ({name: f"dev_{place}_{name}" for name in names} for place in ("many", "fresh"))
    with evolution_peers.autogenerating(server, *places) as (context, target):
        start = time.perf_counter()
        autogenerate.produce_migrations(context, target)
        found = time.perf_counter() - start
        return found, found + target.info["seconds"]


# --- Rows ----------------------------------------------------------------------------------------------------------

#: Nullable attributes that are added to the tables of a pair, for each takes milliseconds.
ADDITIONS = 6

ITEMS = '''"""A table with many rows, and two below it."""

import datajoint as dj

from . import open_schema

schema = open_schema("items")


@schema
class Item(dj.Manual):
    definition = """
    item : int32
    ---
    weight : float64  # grams
    note = "" : varchar(64)
    """


@schema
class Left(dj.Manual):
    definition = """
    -> Item
    ---
    value : float64
    """


@schema
class Right(dj.Manual):
    definition = """
    -> Item
    place : int32
    ---
    value : float64
    """
'''

#: The statements that a person would write to change the type of the key, by what a schema is called.
BY_HAND = {
    "mysql": """
ALTER TABLE `{0}`.`left` DROP FOREIGN KEY `{left}`
ALTER TABLE `{0}`.`right` DROP FOREIGN KEY `{right}`
ALTER TABLE `{0}`.`item` MODIFY `item` bigint NOT NULL COMMENT ':int64:'
ALTER TABLE `{0}`.`left` MODIFY `item` bigint NOT NULL COMMENT ':int64:'
ALTER TABLE `{0}`.`right` MODIFY `item` bigint NOT NULL COMMENT ':int64:'
ALTER TABLE `{0}`.`left` ADD CONSTRAINT `{left}` FOREIGN KEY (`item`) {1}
ALTER TABLE `{0}`.`right` ADD CONSTRAINT `{right}` FOREIGN KEY (`item`) {1}
""",
    "postgresql": """
ALTER TABLE "{0}"."left" DROP CONSTRAINT "{left}"
ALTER TABLE "{0}"."right" DROP CONSTRAINT "{right}"
ALTER TABLE "{0}"."item" ALTER COLUMN "item" TYPE bigint
ALTER TABLE "{0}"."left" ALTER COLUMN "item" TYPE bigint
ALTER TABLE "{0}"."right" ALTER COLUMN "item" TYPE bigint
ALTER TABLE "{0}"."left" ADD CONSTRAINT "{left}" FOREIGN KEY ("item") {1}
ALTER TABLE "{0}"."right" ADD CONSTRAINT "{right}" FOREIGN KEY ("item") {1}
""",
}


def rows(folder: Path, server: Server, options: argparse.Namespace) -> None:
    """Pairs of a project's migration and statements by hand, on tables of their own."""
    pairs = [pair(folder, server, options.rows, first=run % 2 == 0) for run in range(options.runs)]
    addition, key, whole = (median(figures) for figures in zip(*pairs, strict=True))
    with staged(folder, server, "few") as few:
        begin(few)
        small = add_size(few).seconds
    many = f"{options.rows:,} rows"
    tell(server, f"{many}, a nullable attribute: its statement takes {addition:.2f} times the bare one")
    tell(server, f"{many}, a nullable attribute: migrate takes {whole / small:.2f} times what it takes for no rows")
    tell(server, f"{many} in each of three tables, another type of key: migrate takes {key:.2f} times the statements")


def pair(folder: Path, server: Server, count: int, *, first: bool) -> tuple[float, float, float]:
    """How many times as long as the bare statement the one for a nullable attribute takes; how many times as long as
    the statements by hand a migration of the key takes; seconds of the first migration. Either begins."""
    with staged(folder, server, "ours") as ours, staged(folder, server, "hand") as hand:
        for own in (ours, hand):
            begin(own)
            fill(server, own, count)
        ratios = []
        for number in range(ADDITIONS):
            mine, bare = in_turn(
                number % 2 == 0, lambda: add_size(ours), lambda: timed(server, [bare_addition(server, hand)])
            )
            alone = sum(seconds for seconds, text in mine.asked if text.lstrip().upper().startswith("ALTER TABLE"))
            ratios.append(alone / bare)
        ours.replace(ours.module("items"), "item : int32", "item : int64")
        counted(ours, "revise", "--message", "key")
        statements = by_hand(server, place(hand))
        changed, by_person = in_turn(first, lambda: counted(ours, "migrate"), lambda: timed(server, statements))
        return median(ratios), changed.seconds / by_person, mine.seconds


def add_size(project: Project) -> Counted:
    """Add a nullable attribute to the table at the top."""
    source = project.read(project.module("items"))
    line = f"    size{source.count('size')} = null : int32\n"
    project.replace(
        project.module("items"), '    """\n\n\n@schema\nclass Left', f'{line}    """\n\n\n@schema\nclass Left'
    )
    counted(project, "revise", "--message", "size")
    return counted(project, "migrate")


def bare_addition(server: Server, project: Project) -> str:
    """The same by hand."""
    table = quoted(server, place(project), "item")
    known = server.execute(
        "SELECT count(*) FROM information_schema.columns WHERE table_name = 'item' "
        f"AND table_schema = '{place(project)}' AND column_name LIKE 'size%'"
    )
    type_ = "int DEFAULT NULL COMMENT ':int32:'" if server.backend == "mysql" else "integer DEFAULT NULL"
    return f"ALTER TABLE {table} ADD COLUMN {quoted(server, f'size{known[0][0]}')} {type_}"


def begin(project: Project) -> None:
    """Make the empty tables."""
    project.write(project.module("items"), ITEMS)
    project.write(project.module("version"), '__version__ = "0.1.0"\n\nSCHEMA_VERSIONS = {\n    "items": "1.0.0",\n}\n')
    counted(project, "init")


def place(project: Project) -> str:
    """The database of a project's schema."""
    return f"dev_{project.folder.name.partition('-')[2]}_items"


def quoted(server: Server, *names: str) -> str:
    """A name as the server takes it."""
    mark = "`" if server.backend == "mysql" else '"'
    return ".".join(f"{mark}{name}{mark}" for name in names)


def fill(server: Server, project: Project, count: int) -> None:
    """Put rows into the three tables."""
    item, left, right = (quoted(server, place(project), name) for name in ("item", "left", "right"))
    if server.backend == "mysql":
        numbers = f"WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count}) SELECT"
        before, after = f"SET cte_max_recursion_depth = {count + 1}", f"ANALYZE TABLE {item}, {left}, {right}"
    else:
        numbers = f"WITH n (i) AS (SELECT generate_series(1, {count})) SELECT"
        before, after = "SELECT 1", "VACUUM ANALYZE"
    server.execute(
        before,
        f"INSERT INTO {item} (item, weight, note) {numbers} i, i / 7.0, CONCAT('number ', i) FROM n",
        f"INSERT INTO {left} (item, value) SELECT item, weight FROM {item}",
        f"INSERT INTO {right} (item, place, value) SELECT item, 1, weight FROM {item}",
        after,
    )


def by_hand(server: Server, database: str) -> list[str]:
    """The statements by hand, for the names that the foreign keys have."""
    found = server.execute(
        "SELECT table_name, constraint_name FROM information_schema.table_constraints "
        f"WHERE constraint_type = 'FOREIGN KEY' AND table_schema = '{database}'"
    )
    item, column = quoted(server, database, "item"), quoted(server, "item")
    parent = f"REFERENCES {item} ({column}) ON UPDATE CASCADE ON DELETE RESTRICT"
    names = {str(table): name for table, name in found}
    return BY_HAND[server.backend].format(database, parent, **names).strip().splitlines()


def timed(server: Server, statements: list[str]) -> float:
    """Seconds that statements take."""
    with closing(server.connect()) as connection, connection.cursor() as cursor:
        start = time.perf_counter()
        for statement in statements:
            cursor.execute(statement)
        return time.perf_counter() - start


def in_turn(first: bool, mine: Callable[[], Counted], theirs: Callable[[], float]) -> tuple[Counted, float]:
    """Both, ours first or last."""
    if not first:
        other = theirs()
        return mine(), other
    own = mine()
    return own, theirs()


if __name__ == "__main__":
    main()
