"""DataJoint's adapters, which know how its types are called on a server."""

from __future__ import annotations

from typing import Any


def adapter(backend: str) -> Any:
    """DataJoint's own, for its types."""
    from datajoint.adapters import get_adapter

    return get_adapter(backend)
