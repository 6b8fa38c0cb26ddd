"""Names in statements: whatever a name is made of, it is that name and nothing else, on either server."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, Server

from datajoint_pipeline.dialects.base import Dialect
from datajoint_pipeline.dialects.constraints import Names
from datajoint_pipeline.dialects.mysql.dialect import MySQL
from datajoint_pipeline.dialects.postgresql.dialect import PostgreSQL
from datajoint_pipeline.dialects.postgresql.texts import block
from datajoint_pipeline.errors import PipelineError
from datajoint_pipeline.quoting import quote

SOURCES = sorted((ROOT / "src" / "datajoint_pipeline").rglob("*.py"))

#: What a name can have in it that means something in a statement.
ODD = [
    "a`b",
    "``",
    'a"b',
    '""',
    "a%b",
    "%s",
    "%(name)s",
    "a.b",
    "a'b",
    "a;b",
    "a--b",
    "$do$",
    "a`; DROP TABLE x; --",
    'a"; x',
]


def dialect(server: Server, *arguments: Any) -> Dialect:
    kinds: dict[str, type[Dialect]] = {"mysql": MySQL, "postgresql": PostgreSQL}
    return kinds[server.backend](*(arguments or ({}, {}, {}, Names())))


@pytest.mark.parametrize("name", ODD)
def test_names_of_any_signs_are_created_read_and_dropped(server: Server, name: str) -> None:
    database = f"quoting {name}"
    whole, table = quote(server.backend, database), quote(server.backend, database, name)
    column, kind = quote(server.backend, name), "DATABASE" if server.backend == "mysql" else "SCHEMA"
    listed = "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema LIKE 'quoting %'"
    try:
        found = server.execute(
            f"CREATE {kind} {whole}",
            f"CREATE TABLE {table} ({column} int)",
            f"INSERT INTO {table} ({column}) VALUES (7)",
            f"UPDATE {table} SET {column} = {column} + 1 WHERE {table}.{column} = 7",
            listed,
        )
        assert found == [(name, name)]
        assert server.execute(f"SELECT {column} FROM {table}") == [(8,)]
        assert server.execute(f"DROP TABLE {table}", listed) == []
    finally:
        gone = server.execute(
            f"DROP {kind} {whole}{'' if server.backend == 'mysql' else ' CASCADE'}",
            "SELECT schema_name FROM information_schema.schemata WHERE schema_name LIKE 'quoting %'",
        )
    assert gone == []


def test_a_dialect_quotes_as_everything_else_does_and_takes_no_name_that_the_server_would_cut(server: Server) -> None:
    for name in ODD:
        assert dialect(server).quote(name) == quote(server.backend, name)
    longest = 64 if server.backend == "mysql" else 63
    assert dialect(server).quote("n" * longest) == quote(server.backend, "n" * longest)
    with pytest.raises(PipelineError, match="is too long"):
        dialect(server).quote("n" * (longest + 1))
    with pytest.raises(PipelineError, match="is too long"):
        dialect(server).quote("é" * 65 if server.backend == "mysql" else "é" * 32)


def test_both_dialects_have_one_way_to_quote() -> None:
    assert MySQL.quote is PostgreSQL.quote is Dialect.quote


def test_texts_are_literals_of_themselves(server: Server) -> None:
    own = dialect(server)
    if server.backend == "postgresql":
        assert server.execute(*own.session[:1], f"SELECT {own.literal('a')}") == [("a",)]
    for text in [*ODD, "back\\slash", "\\'", "''"]:
        assert server.execute(f"SELECT {own.literal(text)}") == [(text,)]


def test_a_block_may_hold_a_name_with_its_own_marks(postgresql: Server) -> None:
    full = quote("postgresql", "quoting $do$", "$do0$")
    try:
        postgresql.execute(
            f"CREATE SCHEMA {quote('postgresql', 'quoting $do$')}", block(f"BEGIN CREATE TABLE {full} (a int); END")
        )
        assert postgresql.execute(f"SELECT * FROM {full}") == []
    finally:
        postgresql.drop("quoting $do$")


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(SOURCES[0].parent)))
def test_no_name_gets_into_a_statement_in_another_way(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert not re.search("quote_identifier|(create|drop)_schema_sql", text), "DataJoint's own quoting does not escape."
    assert not [line for line in _between_quotes(ast.parse(text)) if re.search("database|schema|table", line, re.I)]


def _between_quotes(tree: ast.AST) -> list[str]:
    """What f-strings put between single quotes."""
    found = []
    for node in ast.walk(tree):
        parts = node.values if isinstance(node, ast.JoinedStr) else []
        for before, value, after in zip(parts, parts[1:], parts[2:], strict=False):
            texts = [part.value for part in (before, after) if isinstance(part, ast.Constant)]
            if len(texts) == 2 and texts[0].endswith("'") and texts[1].startswith("'"):
                found.append(ast.unparse(value))
    return found
