"""Modules whose schema is activated by whoever uses them, such as DataJoint's Elements: ``schema = dj.Schema()``.

They are activated by their own function where they have one, which may do more than that; where their tables are, and
whether they may be made, says the pipeline all the same.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

from ..errors import PipelineError

if TYPE_CHECKING:
    import datajoint as dj


def activate(element: ModuleType, place: Mapping[str, Any], linking_module: str | ModuleType | None) -> dj.Schema:
    """Activate the schema of a module.

    Parameters
    ----------
    element : module
        A module with a schema that is not activated.
    place : mapping
        Arguments of ``datajoint.Schema`` that say where, and what may be made.
    linking_module : str or module, optional
        Where the element finds the tables that it refers to.

    Returns
    -------
    datajoint.Schema
        The module's schema, activated.

    Raises
    ------
    PipelineError
        If the module has no schema to activate, or its schema is activated already for another database or connection.
    """
    schema = _schema(element)
    if schema.is_activated():
        _refuse_elsewhere(element, schema, place)
        return schema
    linking = import_module(linking_module) if isinstance(linking_module, str) else linking_module
    function = getattr(element, "activate", None)
    with _placed(schema, place):
        if callable(function):
            rest = {name: value for name, value in place.items() if name != "schema_name"}
            function(place["schema_name"], **_taken(function, {**rest, "linking_module": linking}))
        if not schema.is_activated():
            schema.activate(place["schema_name"], add_objects=dict(vars(linking)) if linking else None)
    return schema


def _schema(element: ModuleType) -> dj.Schema:
    """Give the schema that a module's tables are in: the one called so, or the only one."""
    import datajoint as dj

    found = [value for value in vars(element).values() if isinstance(value, dj.Schema)]
    own = [schema for schema in found if schema is getattr(element, "schema", None)] or found
    if len(own) != 1:
        raise PipelineError(
            f"It is not known which schema of {element.__name__} is to be activated.",
            f"It has {len(own)}, and none of them is called schema.",
            "Write schema = dj.Schema() there, and @schema above its tables.",
        )
    return own[0]


def _taken(function: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """Give those of some arguments that a function takes."""
    names = inspect.signature(function).parameters
    return {name: value for name, value in given.items() if name in names and value is not None}


def _refuse_elsewhere(element: ModuleType, schema: dj.Schema, place: Mapping[str, Any]) -> None:
    if schema.database == place["schema_name"] and schema.connection is place["connection"]:
        return
    raise PipelineError(
        f"{element.__name__} is activated for {schema.database} already.",
        f"Its tables cannot be those of {place['schema_name']} too.",
        "Activate it once, by pipeline.activate; two pipelines that use it need a process each.",
    )


@contextmanager
def _placed(schema: dj.Schema, place: Mapping[str, Any]) -> Iterator[None]:
    """Have every activation of a schema go to a place, whatever its module says of connection and rights."""
    original = schema.activate

    def activate_there(schema_name: str | None = None, *, add_objects: Any = None, **_: Any) -> None:
        if schema_name is None:
            original(schema_name)
        else:
            original(**place, add_objects=add_objects)

    schema.activate = activate_there
    try:
        yield
    finally:
        del schema.activate
