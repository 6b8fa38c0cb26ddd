"""Schema evolutions of real pipelines as modules of a project, where the corpus is at hand.

It is looked for in the folder that ``CORPUS`` names, else in ``../shared/corpus`` beside the repository.
"""

from __future__ import annotations

import json
import os
from functools import cache
from pathlib import Path
from typing import Any

import sources
from conftest import ROOT

FOLDER = Path(os.environ.get("CORPUS") or ROOT.parent / "shared" / "corpus")

#: Why a test that needs the corpus cannot run; empty where it can.
MISSING = "" if (FOLDER / "cases").is_dir() else f"no corpus: neither does CORPUS name one nor is there a {FOLDER}"


@cache
def cases() -> dict[str, dict[str, Any]]:
    """The cases by name."""
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(FOLDER.glob("cases/*.json"))}


def source(tables: list[dict[str, Any]], prefix: str) -> str:
    """A schema module with one state of a case; its schemas' names begin with ``prefix``."""
    text = sources.module(tables, f'open_schema("{prefix}{{name}}")')
    return text.replace("import datajoint as dj\n", "import datajoint as dj\n\nfrom . import open_schema\n", 1)


def schemas(tables: list[dict[str, Any]]) -> list[str]:
    """Names of the schemas of one state of a case."""
    return list(dict.fromkeys(table["schema"] for table in tables))
