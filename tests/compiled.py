"""Jinja's templates, compiled once for all processes of a test run.

Copier compiles every file, every path and every default of the template each time that it renders it, which is half of its
work. What comes of a text is the same every time; it is kept in a folder that the run's processes share.
"""

from __future__ import annotations

import hashlib
import marshal
import os
from pathlib import Path
from typing import Any

from jinja2 import Environment

#: The variable that names the folder, for the processes of a run.
FOLDER = "COMPILED_TEMPLATES"

#: What the code depends on beside the text.
SETTINGS = (
    *("block_start_string", "block_end_string", "variable_start_string", "variable_end_string"),
    *("comment_start_string", "comment_end_string", "line_statement_prefix", "line_comment_prefix", "trim_blocks"),
    *("lstrip_blocks", "newline_sequence", "keep_trailing_newline", "optimized", "finalize", "autoescape", "is_async"),
)


def keep_compiled() -> None:
    """Have Jinja, in this process, look there first; a benchmark has no such folder."""
    if FOLDER not in os.environ:
        return
    folder = Path(os.environ[FOLDER])
    compile_anew = Environment.compile

    def compile_once(
        self: Environment,
        source: Any,
        name: str | None = None,
        filename: str | None = None,
        raw: bool = False,
        defer_init: bool = False,
    ) -> Any:
        if raw or not isinstance(source, str):
            return compile_anew(self, source, name, filename, raw, defer_init)
        settings = [type(self), *(getattr(self, word) for word in SETTINGS)]
        asked = (source, name, filename, defer_init, settings, *map(list, (self.extensions, self.filters, self.tests)))
        kept = folder / hashlib.sha256(repr(asked).encode()).hexdigest()
        if kept.exists():
            self.preprocess(source, name, filename)  # an extension of Copier begins anew with each text
            return marshal.loads(kept.read_bytes())
        code = compile_anew(self, source, name, filename, raw, defer_init)
        half = folder / f"{kept.name}.{os.getpid()}"
        half.write_bytes(marshal.dumps(code))
        half.rename(kept)
        return code

    Environment.compile = compile_once  # type: ignore[assignment, method-assign]
