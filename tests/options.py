"""The registry of answers: every question, with the values that the render matrix takes it through.

Options are independent, so the matrix walks all lists side by side instead of multiplying them: as many projects as
the longest list is long hold every value at least once.
"""

from __future__ import annotations

from typing import Any

ONE_SCHEMA = [{"name": "subject"}]

#: A chain, a diamond and a table with many parents among them.
FORTY_SCHEMAS = [
    {"name": f"stage_{i}", "depends": [f"stage_{j}" for j in range(max(0, i - 1 - i % 3), i)]} for i in range(39)
] + [{"name": "summary_of_everything", "depends": [f"stage_{j}" for j in range(0, 39, 2)]}]

ODD_SCHEMAS = [
    {"name": "s"},
    {"name": "a" * 32, "depends": ["s"]},
    {"name": "x9_y", "depends": None},
    {"name": "session", "depends": ["x9_y", "s"]},  # a starter's name in another graph
    {"name": "ephys", "depends": ["session"]},
]

MIXED_SCHEMAS = [
    {"name": "subject"},
    {"name": "session", "depends": ["subject"]},
    {"name": "behaviour", "depends": ["session", "subject"]},
    {"name": "imaging", "depends": ["session"]},
    {"name": "report", "depends": ["imaging", "behaviour"]},
]

OPTIONS: dict[str, list[Any]] = {
    "project_name": ["my_pipeline", "Lab-Pipeline", "x1", "A" * 40],
    "package_name": [None, "lab", "brain_2p"],
    "description": [
        "A DataJoint pipeline.",
        'Said "so": it\'s 100% {{ fine }} {% raw %} \\n # [x] ---',
        "Ünïcödé 神経 🧠 → done",
        "x",
        "y" * 200,
    ],
    "author": ["The lab", 'O\'Neil "Q" & Söhne {{ x }}', "李"],
    "author_email": ["", "first.last+tag@example.org"],
    "license": ["MIT", "BSD-3-Clause", "Apache-2.0", "Proprietary", "none"],
    "python_version": ["3.10", "3.11", "3.12", "3.13"],
    "backend": ["mysql", "postgresql"],
    "database_host": ["localhost", "db.example.org", "10.0.0.7"],
    "database_port": [None, 1, 65535],
    "schema_prefix": ["", "lab_", "a2345678901234_"],
    "store": ["none", "file", "s3", "gcs", "azure"],
    "store_endpoint": ["https://s3.amazonaws.com", "http://localhost:9000"],
    "ci": ["github", "gitlab", "none"],
    "default_environment": ["dev", "local", "prod"],
    "schemas": [None, ONE_SCHEMA, FORTY_SCHEMAS, ODD_SCHEMAS, MIXED_SCHEMAS],
}


def matrix() -> list[dict[str, Any]]:
    """Sets of answers in which every value of every question stands at least once; None leaves the default."""
    count = max(len(values) for values in OPTIONS.values())
    rows = [{name: values[i % len(values)] for name, values in OPTIONS.items()} for i in range(count)]
    return [{name: value for name, value in row.items() if value is not None} for row in rows]
