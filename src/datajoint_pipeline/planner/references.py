"""Order the operations of a group such that every foreign key leads somewhere when statements of the lab's own run.

Where a key changes in two schemas, the file of the one may have such statements while tables of the other still refer
to the old key. A foreign key has no values: it can be dropped before them, or added after them.
"""

from __future__ import annotations

from collections.abc import Container

from ..ddl import recoding
from ..operations import data
from ..operations import structure as ops
from ..operations.topology import leading_nowhere
from ..schema.model import ForeignKey, TableName

#: What runs alone, on tables as a database can have them.
ALONE = (data.RunSQL, data.RunPython, recoding.Recode)


def ordered(operations: list[ops.Operation], now: ops.Tables, schemas: Container[str]) -> list[ops.Operation]:
    """Give the operations in such an order; where none does, a foreign key still leads nowhere.

    Parameters
    ----------
    operations : list of Operation
        Those of a group.
    now : mapping of TableName to Table
        The tables before.
    schemas : container of str
        The schemas of the pipeline.
    """
    done, waiting, run = list[ops.Operation](), list(operations), 0
    while waiting:
        operation = waiting.pop(0)
        if isinstance(operation, ALONE):
            later = list[ops.Operation]()
            for table, key in leading_nowhere(now, schemas):
                drop, add = ops.DropForeignKey(table, key), _addition(done[run:], table, key)
                if drop in waiting:
                    waiting.remove(drop)
                    done.append(drop)
                elif add is not None:
                    done.remove(add)
                    later.append(add)
                else:
                    continue
                now = drop.apply(now)
            waiting, run = [*later, *waiting], len(done) + 1
        done.append(operation)
        now = operation.apply(now)
    return done


def _addition(run: list[ops.Operation], table: TableName, key: ForeignKey) -> ops.Operation | None:
    """Give the operation of a run that adds a foreign key."""
    return next((o for o in run if isinstance(o, ops.AddForeignKey) and (o.table, o.key) == (table, key)), None)
