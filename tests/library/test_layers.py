"""The layers of the library: each imports only what stands above it, and no two modules import each other."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest
from conftest import ROOT

LIBRARY = ROOT / "src" / "datajoint_pipeline"

#: From the top; the design says what each holds.
LAYERS = [
    *(
        "errors",
        "server_errors",
        "quoting",
        "findings",
        "git",
        "disk",
        "syntax",
        "nearest",
        "toml_lines",
        "toml_mistakes",
        "wrapping",
    ),
    *("schema", "operations", "diff", "history", "internals"),
    *("dialects", "ddl", "journal", "planner", "executor", "embedded", "project", "access"),
    *("diagram", "jobs", "monitor", "promotion", "docs", "commands", "cli"),
    *("migration", "testing", "compatibility", "earlier", "readiness", "__init__"),
]

#: The core is given a connection and a map of databases, the embedded server a folder.
KNOW_NO_PROJECT = LAYERS[: LAYERS.index("project")]


def name_of(path: Path) -> tuple[str, ...]:
    """A module's name within the library; a package has the name of its folder."""
    parts = path.relative_to(LIBRARY).with_suffix("").parts
    return parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts


def imports(path: Path) -> Iterator[tuple[str, ...]]:
    """The modules of the library that a file imports, for the type checker and within functions too."""
    package = path.parent.relative_to(LIBRARY).parts
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = package[: len(package) - node.level + 1] + tuple(node.module.split(".") if node.module else ())
            for alias in node.names:
                place = LIBRARY.joinpath(*base, alias.name)
                yield (*base, alias.name) if place.is_dir() or place.with_suffix(".py").is_file() else base
        elif isinstance(node, ast.Import):
            assert not any(alias.name.startswith("datajoint_pipeline") for alias in node.names), path


GRAPH = {name_of(path): set(imports(path)) - {()} for path in LIBRARY.rglob("*.py")}


def test_layers_are_those_of_the_library() -> None:
    assert {name[0] for name in GRAPH} == set(LAYERS)


@pytest.mark.parametrize("layer", LAYERS)
def test_a_layer_imports_only_what_stands_above_it(layer: str) -> None:
    above = LAYERS[: LAYERS.index(layer) + 1]
    wrong = {(name, other) for name in GRAPH if name[0] == layer for other in GRAPH[name] if other[0] not in above}
    assert not wrong


@pytest.mark.parametrize(("package", "more"), [("embedded", set()), ("readiness", {"internals", "syntax", "wrapping"})])
def test_a_package_that_runs_by_itself_knows_little_else(package: str, more: set[str]) -> None:
    known = {other[0] for name in GRAPH if name[0] == package for other in GRAPH[name]}
    assert known <= {package, "errors", *more}


def test_no_two_modules_import_each_other() -> None:
    within = {name: {other for other in others if other != name} for name, others in GRAPH.items()}
    assert list(TopologicalSorter(within).static_order())


def test_no_module_is_imported_by_a_name_put_together() -> None:
    """Such an import would hide from the tests above."""
    for path in LIBRARY.rglob("*.py"):
        assert 'import_module(f".' not in path.read_text(encoding="utf-8"), path


def test_no_module_finds_the_project_by_its_own_place() -> None:
    for path in LIBRARY.rglob("*.py"):
        assert "__package__" not in path.read_text(encoding="utf-8"), path


def test_what_is_not_public_in_datajoint_is_used_in_one_package() -> None:
    private = ("._conn", "._config", "._heading", "._schema", "_singleton_connection", "_global_config", "._support")
    for path in LIBRARY.rglob("*.py"):
        if name_of(path)[0] != "internals":
            text = path.read_text(encoding="utf-8")
            assert not [word for word in private if f"connection{word}" in text or f"instance.{word}" in text], path
            tree = ast.parse(text)
            modules = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and not node.level}
            modules |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
            assert not [m for m in modules if m and m.startswith("datajoint.")], path


@pytest.mark.parametrize("layer", ["dialects", "ddl"])
def test_no_object_reaches_into_another(layer: str) -> None:
    """Where it has to, what is cut in two is one thing."""
    for path in (LIBRARY / layer).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.startswith("__"):
                assert isinstance(node.value, ast.Name) and node.value.id == "self", (path, ast.unparse(node))


def test_no_step_is_made_by_asking_which_server_it_is() -> None:
    for path in (LIBRARY / "ddl").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert "backend" not in text and "dialects.mysql" not in text and "dialects.postgresql" not in text, path
