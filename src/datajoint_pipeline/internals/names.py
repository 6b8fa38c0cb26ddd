"""Which names DataJoint has, in its modules too."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from types import ModuleType


@cache
def missing(dotted: str) -> str:
    """Return the first part of a dotted name that DataJoint lacks, with what stands before it; empty where it has all.

    Parameters
    ----------
    dotted : str
        A name within the package ``datajoint``, such as ``blob.pack``. Only modules are looked into, as what a class or
        a setting has depends on how it is used.
    """
    place: object = import_module("datajoint")
    seen = list[str]()
    for part in dotted.split("."):
        if not isinstance(place, ModuleType):
            return ""
        seen.append(part)
        found = _inner(place, part)
        if found is None:
            return ".".join(seen)
        place = found[0]
    return ""


def _inner(module: ModuleType, name: str) -> tuple[object] | None:
    try:
        return (getattr(module, name),)
    except (AttributeError, ImportError):  # the latter of what needs a package that is not here
        pass
    try:
        return (import_module(f"{module.__name__}.{name}"),)
    except ImportError as error:
        return None if error.name == f"{module.__name__}.{name}" or not hasattr(module, "__path__") else (object(),)
