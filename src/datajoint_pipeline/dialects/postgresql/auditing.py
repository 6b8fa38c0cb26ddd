"""The audit of tables on PostgreSQL: one function a schema, with the rights of the schema's owner, and two triggers a
table. A migration takes these off and puts them on again in its own transaction, so nobody writes in between."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from ...quoting import quote as quoted
from ..auditing import BEGIN, COLUMNS, TABLE
from ..introspection import Place
from ..steps import Column, Step
from .texts import block, literal

if TYPE_CHECKING:
    import datajoint as dj

    from ...schema.model import TableName

#: The triggers of a table: of its rows, and of TRUNCATE, which is no event of rows.
_ROWS, _WHOLE = "~audit", "~audit_truncate"

#: What these have as ``tgtype``: after each row that is inserted, updated or deleted; after TRUNCATE.
_EVERY_ROW, _TRUNCATE = 29, 32

_INTO = f"({', '.join(COLUMNS[1:])})"

#: The condition on ``pg_trigger g`` that one is of this module. A name alone says nothing.
OURS = (
    f"(g.tgname IN ('{_ROWS}', '{_WHOLE}') AND EXISTS (SELECT FROM pg_catalog.pg_proc p WHERE p.oid = g.tgfoid "
    f"AND p.proname = {literal(TABLE)} AND p.prosecdef))"
)


def _q(*names: str) -> str:
    return quoted("postgresql", *names)


def audited(connection: dj.Connection, databases: Iterable[str]) -> set[Place]:
    """Find the tables that have triggers of this module."""
    marks = ", ".join(map(literal, databases))
    query = (
        "SELECT DISTINCT n.nspname, c.relname FROM pg_catalog.pg_trigger g "
        "JOIN pg_catalog.pg_class c ON c.oid = g.tgrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
        f"WHERE n.nspname IN ({marks}) AND {OURS}"
    )
    return {(str(d), str(t)) for d, t in connection.query(query, args=None, reconnect=False).fetchall()}


def made(database: str) -> list[Step]:
    """Make the table and the function of a schema where they are missing."""
    table, words = _q(database, TABLE), f"make {TABLE} in {database}"
    index = f"CREATE INDEX IF NOT EXISTS {_q(f'{TABLE}_table')} ON {table} (table_name, id)"
    return [
        Step(
            f"CREATE TABLE IF NOT EXISTS {table} (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, "
            "table_name text NOT NULL, at timestamp(6) NOT NULL, login text NOT NULL, operation text NOT NULL, "
            "old jsonb, new jsonb)",
            (),
            words,
        ),
        Step(index, (), words),
        Step(_function(database), (), words),
        Step(_kept(database), (), f"let nobody else use the function of {TABLE}"),
    ]


#: Gives binary values by their length and SHA-256 alone. Where a table has none, its trigger says so by an argument,
#: and a row is taken as it is: to look that up for each row takes many times as long. Rows are compared as they are
#: stored: in text, what a session sets for numbers could make two of them the same.
_BODY = """
DECLARE o jsonb; n jsonb; columns text;
BEGIN
  IF TG_LEVEL = 'ROW' THEN
    IF TG_OP = 'UPDATE' THEN IF OLD *= NEW THEN RETURN NULL; END IF; END IF;
    IF TG_NARGS = 0 THEN SELECT string_agg(CASE WHEN atttypid = 'bytea'::regtype THEN format(
        'CASE WHEN ($1).%1$I IS NOT NULL THEN jsonb_build_object(''bytes'', length(($1).%1$I), ''sha256'', '
        || 'encode(sha256(($1).%1$I), ''hex'')) END AS %1$I', attname) ELSE format('($1).%1$I', attname) END, ', '
        ORDER BY attnum) INTO columns
      FROM pg_attribute WHERE attrelid = TG_RELID AND attnum > 0 AND NOT attisdropped
      HAVING bool_or(atttypid = 'bytea'::regtype);
    END IF;
    IF TG_OP <> 'INSERT' THEN
      IF columns IS NULL THEN o := to_jsonb(OLD);
      ELSE EXECUTE 'SELECT to_jsonb(x) FROM (SELECT ' || columns || ') x' INTO o USING OLD; END IF;
    END IF;
    IF TG_OP <> 'DELETE' THEN
      IF columns IS NULL THEN n := to_jsonb(NEW);
      ELSE EXECUTE 'SELECT to_jsonb(x) FROM (SELECT ' || columns || ') x' INTO n USING NEW; END IF;
    END IF;
  END IF;
  INSERT INTO {table} {into}
    VALUES (TG_TABLE_NAME, clock_timestamp() AT TIME ZONE 'UTC', session_user, lower(TG_OP), o, n);
  RETURN NULL;
END """

#: What the function sets for itself, whatever the session does: else ``search_path`` would choose what it calls, and
#: ``extra_float_digits`` would round what it records.
_SETTINGS = {"search_path": "pg_catalog, pg_temp", "extra_float_digits": "1"}


def _function(database: str) -> str:
    """Give the statement that makes the function of a schema, or puts it right."""
    called = f"{_q(database, TABLE)}()"
    settings = " ".join(f"SET {name} = {value}" for name, value in _SETTINGS.items())
    language = f"RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER {settings}"
    return f"CREATE OR REPLACE FUNCTION {called} {language} AS $audit${_body(database)}$audit$"


def _kept(database: str) -> str:
    """Give the statement that takes the function from all but its owner: with it, one writes entries as one likes."""
    called = literal(f"{_q(database, TABLE)}()")
    return block(
        "DECLARE holder oid; BEGIN FOR holder IN SELECT DISTINCT a.grantee FROM pg_catalog.pg_proc p "
        "CROSS JOIN LATERAL aclexplode(COALESCE(p.proacl, acldefault('f', p.proowner))) a "
        f"WHERE p.oid = {called}::regprocedure AND a.grantee <> p.proowner LOOP "
        f"EXECUTE 'REVOKE ALL ON FUNCTION ' || {called} || ' FROM ' || CASE holder WHEN 0 THEN 'PUBLIC' "
        "ELSE quote_ident(pg_get_userbyid(holder)) END || ' CASCADE'; END LOOP; END"
    )


def _body(database: str) -> str:
    return _BODY.format(table=_q(database, TABLE), into=_INTO)


def off(place: Place, name: TableName, lock: str) -> list[Step]:
    """Take the triggers of a table away; nobody else writes to it until the transaction ends.

    Parameters
    ----------
    place : Place
        Where the table is.
    name : TableName
        What it is called afterwards.
    lock : str
        What the pipeline's lock is called; not needed here.
    """
    words = f"take the audit of {name} off while it is changed"
    return [Step(removed(place, trigger), (name,), words) for trigger in (_ROWS, _WHOLE)]


def on(place: Place, name: TableName, columns: Iterable[Column], held: Place) -> list[Step]:
    """Record what is done with the rows of a table; ``held`` is not needed here."""
    full, called = _q(*place), _q(place[0], TABLE)
    function = f"{called}({'' if any(column.sql == 'bytea' for column in columns) else literal('plain')})"
    rows, whole = "AFTER INSERT OR UPDATE OR DELETE", "AFTER TRUNCATE"
    return [
        Step(
            f"CREATE OR REPLACE TRIGGER {_q(_ROWS)} {rows} ON {full} FOR EACH ROW EXECUTE FUNCTION {function}",
            (name,),
            f"audit {name}",
        ),
        Step(
            f"CREATE OR REPLACE TRIGGER {_q(_WHOLE)} {whole} ON {full} FOR EACH STATEMENT EXECUTE FUNCTION {function}",
            (name,),
            f"audit {name} (truncate)",
        ),
    ]


def incomplete(place: Place, columns: Iterable[Column]) -> str:
    """Give a query that is true where a table has not just the triggers that it should have, each enabled and for every
    row, or where the function of its schema is not as it should be or is its owner's no more.
    """
    database, full = literal(place[0]), literal(_q(*place))
    settings = ", ".join(literal(f"{name}={value}") for name, value in _SETTINGS.items())
    return (
        "SELECT COUNT(*) <> 2 FROM pg_catalog.pg_trigger g JOIN pg_catalog.pg_proc f ON f.oid = g.tgfoid "
        f"JOIN pg_catalog.pg_namespace n ON n.oid = f.pronamespace WHERE g.tgrelid = to_regclass({full}) "
        f"AND n.nspname = {database} AND g.tgenabled IN ('O', 'A') AND g.tgqual IS NULL AND g.tgattr = ''::int2vector "
        f"AND g.tgtype = CASE g.tgname WHEN {literal(_ROWS)} THEN {_EVERY_ROW} ELSE {_TRUNCATE} END "
        f"AND f.prosrc = {literal(_body(place[0]))} AND f.proconfig = ARRAY[{settings}] "
        "AND f.proowner = (SELECT relowner FROM pg_catalog.pg_class WHERE oid = g.tgrelid) "
        "AND NOT EXISTS (SELECT FROM aclexplode(COALESCE(f.proacl, acldefault('f', f.proowner))) a "
        f"WHERE a.grantee <> f.proowner) AND {OURS}"
    )


def triggers(place: Place) -> str:
    """Give a query for the names of the triggers of this module that a table has."""
    table = f"to_regclass({literal(_q(*place))})"
    return f"SELECT g.tgname FROM pg_catalog.pg_trigger g WHERE g.tgrelid = {table} AND {OURS}"


def removed(place: Place, trigger: str) -> str:
    """Give the statement that takes a trigger away."""
    return f"DROP TRIGGER IF EXISTS {_q(trigger)} ON {_q(*place)}"


def noted(what: str, name: TableName, place: Place, old: Place | None = None) -> list[Step]:
    """Record of a table that it got another name, or that its audit was begun or ended."""
    words = f"record that {name} is audited" if what == BEGIN else f"record that {name} is audited no more"
    if old is not None:
        words = f"record that {name} was {'.'.join(old)}"
    places = [place] if old is None or old[0] == place[0] else [place, old]
    return [
        Step(
            f"INSERT INTO {_q(where[0], TABLE)} {_INTO} VALUES ({literal(where[1])}, "
            f"clock_timestamp() AT TIME ZONE 'UTC', session_user, {literal(what)}, "
            f"{_as_json(old) if old else 'NULL'}, {_as_json(place)})",
            (),
            words,
        )
        for where in places
    ]


def moving(step: Step, place: Place, to: Place, name: TableName, lock: str) -> list[Step]:
    """Give the steps for one that moves an audited table to another schema: here, it needs no others."""
    return [step]


def _as_json(place: Place) -> str:
    return f"jsonb_build_object('database', {literal(place[0])}, 'table', {literal(place[1])})"
