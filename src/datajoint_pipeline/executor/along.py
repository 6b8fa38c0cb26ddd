"""What comes with rows that `restore` writes, or in their place: triggers are named, rules in their place refused."""

from __future__ import annotations

from collections.abc import Iterable

from ..dialects import constraints
from ..errors import PipelineError
from ..planner.deployment import Deployment
from ..planner.plan import counted
from ..schema.model import TableName


def tell(deployment: Deployment, name: TableName, given: Iterable[str], *, inserts: bool) -> None:
    """Warn of what runs along with rows of a table that get values, or are put in.

    Parameters
    ----------
    deployment : Deployment
        Where.
    name : TableName
        The table.
    given : iterable of str
        The attributes that rows get values in.
    inserts : bool
        Whether rows are put in, too.

    Raises
    ------
    PipelineError
        If something would be done in the place of that.
    """
    if name not in deployment.tables:
        return  # it is still to be made, or hidden from everybody
    dialect = deployment.dialect(constraints.names(deployment.catalogue), deployment.tables, deployment.tables)
    probes = [*dialect.firing(name, {*given}), *(dialect.putting_in(name) if inserts else ())]
    for probe in probes:
        if probe.trial:
            continue  # what refuses a row is told by the server, and nothing is left of it
        count, named = deployment.connection.query(probe.sql, args=None, reconnect=False).fetchone()
        if count and probe.kind == "fires":
            deployment.target.warn(f"{name} has {counted(int(count), probe.words)} ({named}).")
        elif count:
            raise PipelineError(
                f"{name} has {counted(int(count), probe.words)} ({named}).",
                "The values would go elsewhere, or nowhere. Nothing was changed.",
                "Save its definition and drop it, run the command again, then create it anew.",
            )
