"""What a refusal or a finding says to do can be pasted: each command whole, in words for people and in JSON."""

from __future__ import annotations

import ast
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import datajoint_pipeline
from datajoint_pipeline.cli import main
from datajoint_pipeline.cli.common import Options, program, to_copy
from datajoint_pipeline.project.pipeline import Pipeline

assert main  # has all commands of the program

SOURCE = Path(datajoint_pipeline.__file__).parent
NAMES = "|".join(map(re.escape, program.commands))

#: A command with an option is meant to be pasted; so is what ``Run`` stands before.
COMMAND = re.compile(
    rf"(?<![\w-])(?<!--env )(?:{NAMES})(?: [\w.-]+){{0,2}} --\w|\b[Rr]un (?:{NAMES})\b(?! again| there|/)"
)

#: Where in a call the sentence about what to do stands.
PLACES = {"PipelineError": 2, "Problem": 3, "Finding": 4}


def shown(node: ast.AST) -> Iterator[str]:
    """The texts of an expression, each with ``uv run my-pipeline`` where the program's name is put in."""
    match node:
        case ast.Constant(value=str(text)):
            yield text
        case ast.JoinedStr(values=values):
            named = ("command", "program", "called")
            parts = [
                part.value
                if isinstance(part, ast.Constant)
                else "uv run my-pipeline"
                if isinstance(part, ast.FormattedValue) and ast.unparse(part.value).endswith(named)
                else "name"
                for part in values
            ]
            yield "".join(map(str, parts))
        case ast.expr():
            for child in ast.iter_child_nodes(node):
                yield from shown(child)


def told(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """The sentences of a module that say what to do, with their lines."""
    for node in ast.walk(tree):
        found: list[ast.expr] = []
        match node:
            case ast.Call(func=ast.Name(id=name), args=args, keywords=keywords):
                found = [keyword.value for keyword in keywords if keyword.arg == "do"]
                found += args[PLACES[name] : PLACES[name] + 1] if name in PLACES else []
            case ast.Assign(targets=[ast.Name(id="do")], value=value):
                found = [value]
        for one in found:
            for text in shown(one):
                yield one.lineno, text


def test_every_command_of_a_sentence_is_given_whole() -> None:
    seen, wrong = 0, []
    for path in SOURCE.rglob("*.py"):
        if "readiness" in path.parts:  # which has no project yet
            continue
        for line, text in told(ast.parse(path.read_text(encoding="utf-8"))):
            whole = to_copy(text, "uv run my-pipeline")
            for found in COMMAND.finditer(whole):
                if not re.search(r"uv run my-pipeline( --env \w+)? $", whole[: found.start()]):
                    wrong.append(f"{path.relative_to(SOURCE)}:{line}: {whole}")
            seen += whole != text
    assert not wrong, "\n".join(wrong)
    assert seen > 20


def printed(document: dict[str, Any]) -> Any:
    project = SimpleNamespace(project=SimpleNamespace(program="uv run my-pipeline"))
    output = io.StringIO()
    Options(cast("Pipeline", project), output, environment="dev").print_json(document)
    return json.loads(output.getvalue())


def test_json_says_what_to_do_as_the_text_does() -> None:
    do = {"do": "Run check, or run migrate --dry-run first; then run restore again.", "what": "Run check."}
    whole = "Run uv run my-pipeline check, or run uv run my-pipeline --env dev migrate --dry-run first; then run restore again."
    answer = {**do, "do": whole}
    assert printed({"error": do, "refused": [do], "none": None}) == {"error": answer, "refused": [answer], "none": None}
    assert printed(answer) == answer, "a sentence that is whole stays as it is"


def test_a_command_works_where_it_is_named() -> None:
    assert to_copy("Run status.", "my-pipeline", "branch", "b") == "Run my-pipeline --env branch --branch b status."
    assert to_copy("Run init.", "uv run status", "dev") == "Run uv run status --env dev init."
    assert to_copy("Run uv run status --env dev init.", "uv run status") == "Run uv run status --env dev init."
