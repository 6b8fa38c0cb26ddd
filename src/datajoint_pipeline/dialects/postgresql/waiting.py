"""Whom PostgreSQL keeps waiting during a migration, and whom it turns away at its end.

A migration is one transaction. The tables that it reads and changes are locked before the first row is read, so nobody
writes one that it does not see. Whoever writes meanwhile waits for its end, with the code of before; that value must
not land in an attribute that has a new meaning. So a trigger refuses every transaction that began before the end, until
the last of those is over.
"""

from __future__ import annotations

from collections.abc import Mapping

from ...operations.structure import Tables
from ...schema.model import TableName
from ...schema.naming import shorten
from ..base import Dialect
from ..steps import Step
from .texts import block, literal

#: What the function begins with that refuses for a table, and what the trigger is called.
_FUNCTION, _TRIGGER = "~migrated_", "~migrated"

#: How often it is looked whether transactions are over, at intervals of 50 ms.
_LOOKS = 200


def keep_out(
    dialect: Dialect,
    steps: list[Step],
    before: Tables,
    valued: Mapping[TableName, set[TableName]],
    renamed: Mapping[TableName, TableName],
) -> list[Step]:
    """Give steps such that nobody writes meanwhile, and nobody afterwards what was meant for the tables before.

    Parameters
    ----------
    dialect : Dialect
        PostgreSQL's.
    steps : list of Step
        The steps.
    before : mapping of TableName to Table
        The tables before.
    valued : mapping of TableName to set of TableName
        Tables whose rows get values, each with those that these are taken from, by their names afterwards.
    renamed : mapping of TableName to TableName
        The names afterwards of tables that are renamed.
    """
    turned = sorted({*valued, *(source for sources in valued.values() for source in sources)})
    if not turned and all(step.lock == "brief" for step in steps):
        return steps
    disturbed = {*turned, *(name for step in steps for name in step.tables)}
    changed = {name for name in before if {name, renamed.get(name, name)} & disturbed}
    read = {key.parent for name in changed for key in before[name].foreign_keys} & before.keys() - changed
    locks = [_lock(dialect, names, mode) for names, mode in ((changed, "ACCESS EXCLUSIVE"), (read, "SHARE")) if names]
    after = [step for name in turned for step in _turn_away(dialect, name)]
    return [*locks, *steps, *after]


def _lock(dialect: Dialect, names: set[TableName], mode: str) -> Step:
    """Lock tables until the end of the transaction, always in the same order."""
    listed = sorted(names)
    sql = f"LOCK TABLE {', '.join(dialect.full(name) for name in listed)} IN {mode} MODE"
    return Step(sql, (), f"keep others from writing to {', '.join(map(str, listed))}", lock="all")


def _turn_away(dialect: Dialect, name: TableName) -> list[Step]:
    """Refuse transactions that began before the end of the migration; the last two steps come after it."""
    full, database = dialect.full(name), dialect.place(name)[0]
    function = f"{dialect.quote(database)}.{dialect.quote(shorten(_FUNCTION + name.table))}"
    known, trigger = f"to_regprocedure({literal(f'{function}()')})", dialect.quote(_TRIGGER)
    # A run of operations before may have made it already, and what comes after may give the table another name.
    arm = (
        f"DROP TRIGGER IF EXISTS {trigger} ON {full}; "
        f"CREATE TRIGGER {trigger} BEFORE INSERT OR UPDATE ON {full} FOR EACH ROW EXECUTE FUNCTION {function}(); "
        f"ALTER TABLE {full} ENABLE ALWAYS TRIGGER {trigger}"  # for sessions with session_replication_role, too
    )
    words = f"refuse what others waited to write to {name} in its old form"
    refuse = _define(function, name, "txid_current()", literal("infinity"))
    armed = f"SELECT FROM pg_catalog.pg_proc WHERE oid = {known} AND prosrc LIKE '%infinity%'"
    return [
        Step(block(f"BEGIN {refuse} {arm}; END"), (name,), words),
        Step(
            block(f"BEGIN {_define(function, name, '0', 'clock_timestamp()')} END"),
            (name,),
            f"let others write to {name} again",
            check=f"SELECT NOT EXISTS ({armed})",
        ),
        Step(
            block(_WAIT.format(full=literal(full), looks=_LOOKS, drop=f"DROP FUNCTION {function}() CASCADE")),
            (name,),
            f"wait until all have ended that began before, then end the refusals for {name}",
            check=f"SELECT {known} IS NULL",
        ),
    ]


def _define(function: str, name: TableName, own: str, moment: str) -> str:
    """Make the function that refuses transactions from before a moment, except an own one; both are expressions."""
    # Not in other words: it is in the record of runs that are gone on with.
    what = literal(f"{name.schema}.{name.table} was migrated while this waited, so nothing was written.").replace(
        "%", "%%"
    )
    do = literal("Update the code to the migrated version, then write it again.")
    body = (
        "BEGIN IF txid_current() <> %s AND transaction_timestamp() < %L::timestamptz THEN "
        f"RAISE EXCEPTION USING MESSAGE = {what}, HINT = {do}, ERRCODE = '55000'; END IF; RETURN NEW; END"
    )
    make = f"CREATE OR REPLACE FUNCTION {function.replace('%', '%%')}() RETURNS trigger LANGUAGE plpgsql AS %L"
    return f"EXECUTE format({literal(make)}, format({literal(body)}, {own}, {moment}));"


#: Waits for the transactions that are open now and may write to a table, and then drops what refuses them.
_WAIT = """DECLARE old text[]; open text; BEGIN
  SELECT array_agg(l.virtualxid) INTO old FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_stat_activity a USING (pid)
  WHERE l.locktype = 'virtualxid' AND a.pid <> pg_backend_pid() AND a.datname = current_database()
    AND COALESCE(has_table_privilege(a.usesysid, to_regclass({full}), 'INSERT, UPDATE'), TRUE);
  FOR look IN 1..{looks} LOOP
    SELECT string_agg(pid::text, ', ') INTO open FROM pg_catalog.pg_locks
    WHERE locktype = 'virtualxid' AND granted AND virtualxid = ANY (old);
    IF open IS NULL THEN {drop}; RETURN; END IF;
    PERFORM pg_sleep(0.05);
  END LOOP;
  RAISE EXCEPTION USING ERRCODE = '55P03', MESSAGE =
    'transactions from before the migration are still open (process ' || open || ')';
END"""
