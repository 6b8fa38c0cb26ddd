"""Draw pipelines of 100 and of 1,000 tables.

    uv run benchmarks/diagram.py

Prints, for each, how long the layout and the SVG take (processor time, the best of three), how large the file is, and
the same for the map of the largest schema and for the surroundings of a table.
"""

from __future__ import annotations

import random
import time

from datajoint_pipeline import diagram
from datajoint_pipeline.schema.model import Attribute, ForeignKey, Table, TableName, table_name

WORDS = (
    "Subject",
    "Session",
    "Recording",
    "Probe",
    "Unit",
    "Spike",
    "Curation",
    "Trial",
    "Pose",
    "Scan",
    "Mask",
    "Model",
)
TIERS = ("Manual", "Lookup", "Imported", "Computed", "Computed", "Part")


def pipeline(count: int, seed: int = 1) -> dict[TableName, Table]:
    """Make tables in schemas of twelve, each with up to two references to one of the fifteen before it."""
    draw, tables = random.Random(seed), dict[TableName, Table]()
    for number in range(count):
        schema, tier = f"schema_{number // 12}", draw.choice(TIERS)
        before = list(tables)
        masters = [name for name in before if name.schema == schema and tables[name].master is None]
        master = draw.choice(masters) if tier == "Part" and masters else None
        tier = "Manual" if tier == "Part" and master is None else tier
        title = draw.choice(WORDS) + draw.choice(WORDS) + str(number)
        name = TableName(schema, table_name(tier, title, master.table if master else None))
        parents = {master} if master else set()
        if before and tier != "Lookup":
            parents |= {draw.choice(before[-15:]) for _ in range(draw.choice((1, 1, 1, 2)))}
        places = sorted(before.index(parent) for parent in parents)
        keys = tuple(ForeignKey((f"key_{place}",), before[place], (f"key_{place}",)) for place in places)
        first = tuple(key.attributes[0] for key in keys if draw.random() > 0.25)
        attributes = (*(key.attributes[0] for key in keys), f"key_{number}")
        tables[name] = Table(
            name,
            tuple(Attribute(attribute, "int32") for attribute in attributes),
            (*first, f"key_{number}"),
            keys,
            comment=f"What {title} is",
        )
    return tables


def measure(what: str, graph: diagram.Graph) -> None:
    """Draw three times and print the best."""
    times = []
    for _ in range(3):
        before = time.process_time()
        text = diagram.draw(graph)
        times.append(time.process_time() - before)
    counts = f"{len(graph.nodes):5} nodes {len(graph.edges):5} lines"
    print(f"{what:32} {counts}  {min(times):6.3f} s  {len(text) / 1000:6.1f} kB")


def main() -> None:
    """Draw and measure."""
    for count in (100, 1000):
        tables = pipeline(count)
        name = next(name for name in tables if name.schema == "schema_3")
        measure(f"{count} tables in one picture", diagram.of_tables(tables))
        measure("  the schemas", diagram.of_schemas(tables, dict.fromkeys(name.schema for name in tables)))
        measure("  a schema", diagram.of_tables(tables, "schema_3"))
        measure("  around a table", diagram.around(tables, name))


if __name__ == "__main__":
    main()
