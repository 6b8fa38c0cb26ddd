"""Write reference.md from the docstrings of what labs may import.

uv run docs/make_reference.py
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from griffe import GriffeLoader, Object, Parser
from griffe2md import ConfigDict, render_object_docs

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "reference.md"

BEGIN = """# Reference

What your code may import. Everything else in the library may change with any release. This page is written by
`docs/make_reference.py` from the docstrings.
"""

#: Members of a class that labs call; the library's own commands use more.
PIPELINE = ["load", "open_schema", "activate", "initialize", "select", "connect", "graph", "modules_by_schema"]


def main() -> None:
    """Write the page."""
    PAGE.write_text(text(), encoding="utf-8")


def text() -> str:
    """Give the page as it should be."""
    loader = GriffeLoader(docstring_parser=Parser.numpy, search_paths=[str(ROOT / "src")])
    library = loader.load("datajoint_pipeline")
    loader.resolve_aliases()
    operations = library["operations.lines"]
    names = sorted(operations.exports or ())
    parts = [
        BEGIN,
        "## `datajoint_pipeline`\n",
        _of(library["Pipeline"], PIPELINE),
        _of(library["PipelineError"], []),
        "## `datajoint_pipeline.migration`\n",
        "What stands in migration files. `revise` writes these lines; a project's page Migrations uses them.\n",
        *(_of(operations[str(name)], []) for name in names),
        "## `datajoint_pipeline.testing`\n",
        *(
            _of(library["testing"][name], [])
            for name in ("tested_pipeline", "pipeline", "fresh_pipeline", "PipelineContract")
        ),
    ]
    return "\n".join(part.strip() + "\n" for part in parts)


def _of(found: Object, members: list[str]) -> str:
    """Give the docs of one object and of those of its members that are named."""
    target = found.final_target if found.is_alias else found
    for name in set(target.members).difference(members, ["__init__"]):
        target.del_member(name)
    options = ConfigDict(
        heading_level=3,
        show_root_full_path=False,
        show_object_full_path=False,
        docstring_section_style="list",
        summary=False,
        line_length=1000,  # else Black would break signatures where it happens to be installed
        filters=[
            "!^_",
            "!^(question|answer|operation)$",
        ],  # __init__ is told with its class; the planner alone uses the others
    )
    return _plain(render_object_docs(target, options))


def _linkless(code: re.Match[str]) -> str:
    return "`" + re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", code[1]) + "`"


def _plain(page: str) -> str:
    """Take out links to what is on no page, and the marks of reStructuredText."""
    page = re.sub(r"^```python\n.*?```", lambda found: found[0].replace("'", '"'), page, flags=re.DOTALL | re.MULTILINE)
    page = re.sub(r"<code>(.*?)</code>", _linkless, page)
    page = re.sub(r":[a-z]+:`~?([^`]*)`", r"`\1`", page)
    page = re.sub(r"(?<!`)``(?!`)", "`", page)
    return re.sub(r"^(#+ `)[\w.]*\.([A-Z]\w*\.)", r"\1\2", page, flags=re.MULTILINE)


if __name__ == "__main__":
    sys.exit(main())
