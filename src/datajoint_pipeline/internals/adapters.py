"""DataJoint's adapters, which know the server's type for each of its types."""

from __future__ import annotations

from typing import Any


def adapter(backend: str) -> Any:
    """Give DataJoint's adapter for a server, by its backend."""
    from datajoint.adapters import get_adapter

    return get_adapter(backend)
