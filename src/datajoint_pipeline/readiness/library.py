"""Say which release of this library runs, and how a project's ``pyproject.toml`` asks for it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from importlib import metadata
from urllib.parse import unquote, urlsplit

NAME = "datajoint-pipeline"


@dataclass(frozen=True)
class Library:
    """A release of the library: its version, and where it was installed from as ``[tool.uv.sources]`` says it.

    Both are empty where nothing tells them; ``source`` is also empty for a release of a package index.
    """

    version: str
    source: str

    def requirement(self, *extras: str) -> str:
        """Return what stands among the dependencies."""
        more = f"[{','.join(extras)}]" if extras else ""
        return f"{NAME}{more}=={self.version}" if self.version else f"{NAME}{more}"


def running() -> Library:
    """Return the release whose code this is, by the record that every installer leaves (PEP 610)."""
    try:
        distribution = metadata.distribution(NAME)
        origin = json.loads(distribution.read_text("direct_url.json") or "{}")
    except metadata.PackageNotFoundError:
        return Library("", "")
    except ValueError:
        origin = {}
    return Library(distribution.version, _source(origin if isinstance(origin, dict) else {}))


def _source(origin: dict[str, object]) -> str:
    url = re.sub(r"^(https?://)[^/@]*@", r"\1", str(origin.get("url") or ""))
    git = origin.get("vcs_info")
    if isinstance(git, dict) and git.get("vcs") == "git":
        asked = str(git.get("requested_revision") or "")
        where = f'tag = "{asked}"' if re.match(r"v?\d+\.", asked) else f'rev = "{git.get("commit_id")}"'
        return f'{{ git = "{url}", {where} }}'
    if url.startswith("file:"):
        return f'{{ path = "{unquote(urlsplit(url).path)}" }}'
    return f'{{ url = "{url}" }}' if url else ""
