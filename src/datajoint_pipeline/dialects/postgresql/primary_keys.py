"""What a primary key of PostgreSQL has beside its columns, for one that takes its place: the order of rows, replica
identity, options and comments. The server drops them with it."""

from __future__ import annotations

from ...schema.model import TableName
from ..base import Dialect
from ..steps import Step
from . import indexes
from .texts import block, literal

#: Where the statements are that give it again, until the transaction ends.
_NOTED = "datajoint_pipeline.primary_key"

#: Notes the statements for the primary key of a table ``t``. An index in partitions takes no options afterwards.
_NOTE = """BEGIN
  PERFORM set_config({noted}, concat_ws('; ',
      CASE WHEN i.indisclustered THEN {cluster} END,
      CASE WHEN i.indisreplident THEN {identity} END,
      CASE x.relkind WHEN 'i' THEN {options} || array_to_string(x.reloptions, ', ') || ')' END,
      {index} || quote_literal(obj_description(x.oid, 'pg_class')),
      {constraint} || quote_literal(obj_description(k.oid, 'pg_constraint'))), true)
    FROM pg_constraint k JOIN pg_index i ON i.indexrelid = k.conindid JOIN pg_class x ON x.oid = i.indexrelid
    WHERE k.conrelid = {t}::regclass AND k.contype = 'p';
END"""

_GIVE = """DECLARE noted text := current_setting({noted}, true); BEGIN
  IF noted <> '' THEN EXECUTE noted; END IF;
  PERFORM set_config({noted}, '', true);
END"""


def note(dialect: Dialect, name: TableName, key: str) -> Step:
    """Note what the primary key of a table has, for one that will be called ``key``."""
    full, quoted = dialect.full(name), dialect.quote(key)
    index = f"{dialect.quote(dialect.place(name)[0])}.{quoted}"
    statements = {
        "cluster": f"ALTER TABLE {full} CLUSTER ON {quoted}",
        "identity": f"ALTER TABLE {full} REPLICA IDENTITY USING INDEX {quoted}",
        "options": f"ALTER INDEX {index} SET (",
        "index": f"COMMENT ON INDEX {index} IS ",
        "constraint": f"COMMENT ON {indexes.constraint(dialect, key)} ON {full} IS ",
    }
    parts = {part: literal(text) for part, text in statements.items()}
    body = _NOTE.format(noted=literal(_NOTED), t=literal(full), **parts)
    return Step(block(body), (name,), f"note what the primary key of {name} has beside its columns")


def give(name: TableName) -> Step:
    """Give a table's new primary key what was noted of the one before."""
    return Step(block(_GIVE.format(noted=literal(_NOTED))), (name,), f"give it to the new primary key of {name}")
