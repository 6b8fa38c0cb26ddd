"""Finds what hangs on a table of PostgreSQL that DataJoint does not know: views, triggers, policies, rules, functions,
publications, statistics, foreign keys from elsewhere.

Where a table is built anew they would be lost, or the server would refuse to drop the old one; where it is altered, the
server refuses another type of what they read, and functions of triggers go on naming what is gone. What is soft-deleted
is renamed, and they would follow it: to a column that is null in every new row.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from ...schema.model import TableName
from ..auditing import TABLE
from ..base import Dialect
from ..constraints import index_changes
from ..dependents import converted, filled, literals, ours, whole, words
from ..steps import Alteration, Change, Probe
from .auditing import OURS
from .texts import literal

#: Everything that hangs on a table ``t``: what it is, and the number of the column that it reads, if it is one.
_OBJECTS = f"""
    SELECT 'trigger ' || g.tgname AS what, d.refobjsubid AS number FROM pg_trigger g
        LEFT JOIN pg_depend d ON d.classid = 'pg_trigger'::regclass AND d.objid = g.oid AND d.refobjid = g.tgrelid
        WHERE g.tgrelid = {{t}} AND NOT g.tgisinternal AND NOT {OURS}
    UNION SELECT 'policy ' || p.polname, d.refobjsubid FROM pg_policy p
        LEFT JOIN pg_depend d ON d.classid = 'pg_policy'::regclass AND d.objid = p.oid AND d.refobjid = p.polrelid
        WHERE p.polrelid = {{t}}
    UNION SELECT 'rule ' || w.rulename, d.refobjsubid FROM pg_rewrite w
        LEFT JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = w.oid AND d.refobjid = w.ev_class
        WHERE w.ev_class = {{t}}
    UNION SELECT 'publication ' || p.pubname, COALESCE(d.refobjsubid, 0)
        FROM pg_publication_rel r JOIN pg_publication p ON p.oid = r.prpubid
        LEFT JOIN pg_depend d ON d.classid = 'pg_publication_rel'::regclass AND d.objid = r.oid
            AND d.refclassid = 'pg_class'::regclass AND d.refobjid = r.prrelid
        WHERE r.prrelid = {{t}}
    UNION SELECT 'statistics ' || s.stxname, d.refobjsubid FROM pg_statistic_ext s
        LEFT JOIN pg_depend d
            ON d.classid = 'pg_statistic_ext'::regclass AND d.objid = s.oid AND d.refobjid = s.stxrelid
        WHERE s.stxrelid = {{t}}
    UNION SELECT 'generated column ' || a.attname, d.refobjsubid FROM pg_attrdef f
        JOIN pg_attribute a ON a.attrelid = f.adrelid AND a.attnum = f.adnum AND a.attgenerated <> ''
        LEFT JOIN pg_depend d ON d.classid = 'pg_attrdef'::regclass AND d.objid = f.oid
            AND d.refobjid = f.adrelid AND d.refobjsubid <> f.adnum
        WHERE f.adrelid = {{t}}
    UNION SELECT 'row security', 0 FROM pg_class c WHERE c.oid = {{t}} AND c.relrowsecurity
    UNION SELECT 'table ' || i.inhrelid::regclass || ', which inherits from it', 0 FROM pg_inherits i
        WHERE i.inhparent = {{t}}
    UNION SELECT 'function ' || d.objid::regprocedure, d.refobjsubid FROM pg_depend d
        WHERE d.classid = 'pg_proc'::regclass AND (d.refclassid = 'pg_class'::regclass AND d.refobjid = {{t}}
        OR d.refclassid = 'pg_type'::regclass AND d.refobjid = (SELECT c.reltype FROM pg_class c WHERE c.oid = {{t}}))
    UNION SELECT CASE v.relkind WHEN 'm' THEN 'materialized view ' ELSE 'view ' END || n.nspname || '.' || v.relname,
            d.refobjsubid
        FROM pg_depend d JOIN pg_rewrite w ON w.oid = d.objid JOIN pg_class v ON v.oid = w.ev_class
        JOIN pg_namespace n ON n.oid = v.relnamespace
        WHERE d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjid = {{t}}
        AND v.oid <> {{t}}
"""

#: Columns of a table ``t`` that the server computes from some of its columns, whose text follows another name.
_GENERATED = """
    SELECT DISTINCT a.attname FROM pg_attrdef f
        JOIN pg_attribute a ON a.attrelid = f.adrelid AND a.attnum = f.adnum AND a.attgenerated <> ''
        JOIN pg_depend d ON d.classid = 'pg_attrdef'::regclass AND d.objid = f.oid AND d.refobjid = f.adrelid
        JOIN pg_attribute r ON r.attrelid = f.adrelid AND r.attnum = d.refobjsubid
        WHERE f.adrelid = {t} AND r.attnum <> f.adnum AND r.attname IN ({columns})
"""

#: Columns by which a table ``t`` is divided into partitions.
_DIVIDING = """
    SELECT a.attname FROM pg_partitioned_table p
        JOIN pg_attribute a ON a.attrelid = p.partrelid AND a.attnum = ANY (p.partattrs)
        WHERE p.partrelid = {t} AND a.attname {which} ({columns})
"""

_KEYS = """
    SELECT 'foreign key ' || k.conname || ' of ' || n.nspname || '.' || c.relname FROM pg_constraint k
        JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE k.contype = 'f' AND k.confrelid = {t} AND n.nspname NOT IN ({ours})
"""

#: Tables that inherit from a table ``t`` and are none of its partitions.
_HEIRS = """
    SELECT i.inhrelid::regclass::text FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = {t} AND NOT c.relispartition
"""

#: What the primary key of a table ``t`` has and one in its place has not; the rest it keeps (:mod:`primary_keys`).
_OF_KEY = """
    SELECT 'DEFERRABLE of primary key ' || k.conname FROM pg_constraint k
        WHERE k.conrelid = {t} AND k.contype = 'p' AND k.condeferrable
    UNION SELECT 'options of index ' || x.relname FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid
        WHERE i.indrelid = {t} AND i.indisprimary AND x.relkind <> 'i' AND x.reloptions IS NOT NULL
    UNION SELECT 'tablespace ' || s.spcname || ' of ' || x.relname FROM pg_index i
        JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_tablespace s ON s.oid = x.reltablespace
        WHERE i.indrelid = {t} AND i.indisprimary
"""

#: What a table ``t`` and its other indexes have and are made again without.
_OF_INDEXES = """
    SELECT 'options of index ' || x.relname FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid
        WHERE i.indrelid = {t} AND NOT i.indisprimary AND x.reloptions IS NOT NULL
    UNION SELECT 'comment on index ' || x.relname FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid
        WHERE i.indrelid = {t} AND NOT i.indisprimary AND obj_description(x.oid, 'pg_class') IS NOT NULL
    UNION SELECT 'CLUSTER ON ' || x.relname FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid
        WHERE i.indrelid = {t} AND NOT i.indisprimary AND i.indisclustered
    UNION SELECT 'comment on constraint ' || k.conname FROM pg_constraint k
        WHERE k.conrelid = {t} AND k.contype <> 'p' AND obj_description(k.oid, 'pg_constraint') IS NOT NULL
    UNION SELECT 'REPLICA IDENTITY USING INDEX ' || x.relname FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid
        WHERE i.indrelid = {t} AND NOT i.indisprimary AND i.indisreplident
    UNION SELECT 'tablespace ' || s.spcname || ' of ' || x.relname FROM pg_class x
        JOIN pg_tablespace s ON s.oid = x.reltablespace LEFT JOIN pg_index i ON i.indexrelid = x.oid
        WHERE x.oid = {t} OR (i.indrelid = {t} AND NOT i.indisprimary)
"""

#: Indexes of a table ``t`` by which its rows are told apart in a publication; without one, updates of them are refused.
_IDENTITY = """
    SELECT 'REPLICA IDENTITY USING INDEX ' || x.relname FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid
        WHERE i.indrelid = {t} AND i.indisreplident AND x.relname IN ({indexes})
"""

#: The owner of a table ``t`` in a schema of several, if it is not the schema's, to whom the table is given. One that no
#: administrator is, and that has all tables of the schema, stays their owner (:mod:`..owners`).
_STRAY = """
    SELECT r.rolname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        JOIN pg_roles r ON r.oid = c.relowner
        WHERE c.oid = {t} AND c.relowner <> n.nspowner AND (r.rolsuper OR EXISTS (SELECT FROM pg_class o
            WHERE o.relnamespace = n.oid AND o.relkind IN ('r', 'p') AND LEFT(o.relname, 2) <> '~~'
            AND o.relowner <> c.relowner))
"""

#: Columns elsewhere whose type is a row of a table ``t``, or an array of rows.
_ROW_TYPES = """
    SELECT DISTINCT 'column ' || n.nspname || '.' || c.relname || '.' || a.attname FROM pg_class o
        JOIN pg_type y ON y.oid = o.reltype OR y.typelem = o.reltype
        JOIN pg_attribute a ON a.atttypid = y.oid AND NOT a.attisdropped
        JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE o.oid = {t}
"""


#: The events of rules, as the catalogue has them.
_UPDATE, _INSERT = "2", "3"

#: The bits of the events of triggers.
_ON_INSERT, _ON_UPDATE = 4, 16

#: Constraints of a table ``t`` on some of its columns that DataJoint makes none of.
_CHECKS = """
    SELECT DISTINCT 'constraint ' || k.conname FROM pg_constraint k
        JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = ANY (k.conkey)
        WHERE k.conrelid = {t} AND k.contype IN ('c', 'x') AND a.attname IN ({columns})
"""

#: What may read a column that is soft-deleted; generated columns are asked for by themselves.
_UNHARMED = "^(statistics|generated column) "

#: What a table may have that DataJoint makes none of, and that its columns take along where it is altered.
_CONSTRAINTS = """
    SELECT 'constraint ' || k.conname FROM pg_constraint k WHERE k.conrelid = {t} AND k.contype IN ('c', 'x')
"""


def probes(dialect: Dialect, alteration: Alteration, change: Change, *, rebuild: bool) -> Iterator[Probe]:
    """Give the queries for an alteration, each of which gives a number and names.

    Parameters
    ----------
    dialect : Dialect
        PostgreSQL's.
    alteration : Alteration
        What changes, with the table's name before.
    change : Change
        The same, column by column.
    rebuild : bool
        Whether the table is built anew.
    """
    before, full = alteration.before, literal(dialect.full(alteration.before.name))
    table = f"to_regclass({full})"
    objects = _OBJECTS.format(t=table)
    lose = "owners that lose it to the schema's owner, and may still read and write its rows"
    yield Probe("named", (), _named(_STRAY.format(t=table)), lose)
    changed = {*change.dropped, *converted(alteration, change)}
    if rebuild:
        lost = f"SELECT what FROM ({objects}) o UNION {_CONSTRAINTS.format(t=table)}"
        yield Probe("object", (), _named(lost), "objects that would be lost")
        kept_not = f"{_OF_KEY} UNION {_OF_INDEXES}".format(t=table)
        yield Probe("named", (), _named(kept_not), "things that are not kept")
    else:
        if changed:
            yield _reading(dialect, table, changed)
        if change.kept:
            yield _reading(dialect, table, {*change.kept}, _UNHARMED)
            checks = _CHECKS.format(t=table, columns=literals(dialect, change.kept))
            yield Probe(
                "object",
                tuple(sorted(change.kept)),
                _named(checks),
                f"check constraints that name {words(change.kept)}",
            )
    if rebuild or changed:
        yield Probe("object", (), _named(_ROW_TYPES.format(t=table)), "columns that have its rows as values")
    rekeyed = change.table.primary_key != alteration.after.primary_key
    if rekeyed and not rebuild:
        yield Probe("named", (), _named(_OF_KEY.format(t=table)), "things that are not kept")
    if rebuild or rekeyed:
        keys = _KEYS.format(t=table, ours=ours(dialect, dialect.place(before.name)))
        yield Probe("object", (), _named(keys), "foreign keys from outside of the pipeline that lead to its key")
    if (divided := {*changed, *change.kept}) and not rebuild:
        dividing = _DIVIDING.format(t=table, which="IN", columns=literals(dialect, divided))
        yield Probe("object", tuple(sorted(divided)), _named(dividing), "attributes that partitions go by")
    dropped, added = index_changes(change.indexes, change.target)
    unique = [alteration.after.primary_key] if rekeyed else []
    unique += [index.columns for index in added if index.unique]
    going = {replace(index, columns=change.before(index.columns)) for index in dropped}
    known = dialect.names.table(dialect.place(before.name)).indexes
    if (names := [index.name for index in known if index.index in going]) and not rebuild:
        identity = _IDENTITY.format(t=table, indexes=literals(dialect, names))
        yield Probe("named", (), _named(identity), "things that are not kept")
    for key in unique:
        inside = literals(dialect, (change.old.get(name, name) for name in key))
        dividing = _DIVIDING.format(t=table, which="NOT IN", columns=inside)
        lacking = f"attributes that partitions go by and that are not in the key ({', '.join(key)})"
        yield Probe("object", (), _named(dividing), lacking)
    if (gone := change.gone) and not rebuild:
        generated = _GENERATED.format(t=table, columns=literals(dialect, gone))
        yield Probe("object", tuple(sorted(gone)), _named(generated), f"generated columns that name {words(gone)}")
    if gone:
        body = (
            "SELECT 'trigger ' || g.tgname FROM pg_trigger g JOIN pg_proc f ON f.oid = g.tgfoid "
            f"WHERE g.tgrelid = {table} AND NOT g.tgisinternal AND NOT {OURS} "
            f"AND f.prosrc ~* {literal(_any(gone))}"
        )
        yield Probe("object", tuple(sorted(gone)), _named(body), f"triggers that name {words(gone)}")
    moves = dialect.place(before.name) != dialect.place(alteration.after.name)
    if gone or moves:
        yield from functions(dialect, before.name, set() if moves else gone)
    if change.retyped and not rebuild:
        # The server has the new type stored as that usually is.
        stored = (
            "SELECT a.attname FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid "
            f"WHERE a.attrelid = {table} AND (a.attstorage <> t.typstorage OR a.attcompression <> '') "
            f"AND a.attname IN ({literals(dialect, {change.old[name] for name in change.retyped})})"
        )
        yield Probe("named", (), _named(stored), "attributes whose STORAGE or COMPRESSION becomes the usual")
    if _reaches_heirs(alteration, change) and not rebuild:
        heirs = "tables that inherit from it, whose columns and rows change, too"
        yield Probe("named", (), _named(_HEIRS.format(t=table)), heirs)
    # Another type comes with its expression, and no update.
    if (given := filled(alteration, change)) and not rebuild:
        yield from updating(dialect, before.name, given)


def _reaches_heirs(alteration: Alteration, change: Change) -> bool:
    """Tell whether an alteration changes columns or rows, which those who inherit have, too; comments they have not."""
    was, will = ({n: replace(c, comment="") for n, c in columns.items()} for columns in (change.was, change.will))
    return bool(was != will or change.gone or alteration.converts or alteration.fills)


def updating(dialect: Dialect, name: TableName, given: set[str]) -> Iterator[Probe]:
    """Give the queries for triggers and rules that come with an update of a table, and for rules in its place.

    ``given`` is what rows get.
    """
    without = (
        "SELECT 'publication ' || p.pubname FROM pg_publication_tables t JOIN pg_publication p USING (pubname) "
        "JOIN pg_class c ON c.oid = format('%I.%I', t.schemaname, t.tablename)::regclass "
        f"WHERE p.pubupdate AND c.relreplident = 'n' AND c.oid = to_regclass({literal(dialect.full(name))})"
    )
    yield Probe("object", (), _named(without), "publications of its updates, for which it has no replica identity")
    yield _triggers(dialect, name, _ON_UPDATE, f"triggers that fire for each row when {words(given)} is filled")
    yield _rules(dialect, name, _UPDATE, f"rules that run when rows get values in {words(given)}", instead=False)
    yield _rules(dialect, name, _UPDATE, f"rules that replace what rows get in {words(given)}", instead=True)


def inserting(dialect: Dialect, name: TableName) -> Iterator[Probe]:
    """Give the queries for triggers and rules that come with rows put into a table, and for rules in their place."""
    yield _triggers(dialect, name, _ON_INSERT, "triggers that fire for each row that is put in")
    yield _rules(dialect, name, _INSERT, "rules that run when rows are put in", instead=False)
    yield _rules(dialect, name, _INSERT, "rules that replace what is put in", instead=True)


def _triggers(dialect: Dialect, name: TableName, event: int, what: str) -> Probe:
    """Ask for the triggers of a table for an event, apart from those of its audit, and those that are switched off."""
    sql = (
        f"SELECT 'trigger ' || g.tgname FROM pg_trigger g WHERE g.tgrelid = to_regclass({literal(dialect.full(name))}) "
        f"AND NOT g.tgisinternal AND NOT {OURS} AND g.tgenabled NOT IN ('D', 'R') AND g.tgtype & {event} <> 0"
    )
    return Probe("fires", (), _named(sql), what)


def _rules(dialect: Dialect, name: TableName, event: str, what: str, *, instead: bool) -> Probe:
    """Ask for the rules of a table for an event: with ``instead``, what the statement itself does is not done.

    Also where the rule has a condition: which rows fulfil it is only known when the statement runs.
    """
    sql = (
        f"SELECT w.rulename::text FROM pg_rewrite w WHERE w.ev_class = to_regclass({literal(dialect.full(name))}) "
        f"AND w.ev_type = '{event}' AND w.ev_enabled <> 'D' AND {'' if instead else 'NOT '}w.is_instead"
    )
    return Probe("object" if instead else "fires", (), _named(sql), what)


def functions(dialect: Dialect, name: TableName, columns: set[str]) -> Iterator[Probe]:
    """Give the query for functions whose text names a table and, if any are given, one of some of its columns.

    Those of its own triggers are asked for by themselves. What the server has parsed follows other names.
    """
    full, (database, table) = literal(dialect.full(name)), dialect.place(name)
    sql = (
        "SELECT n.nspname || '.' || f.proname FROM pg_proc f JOIN pg_namespace n ON n.oid = f.pronamespace "
        "WHERE n.nspname NOT IN ('pg_catalog', 'information_schema') AND NOT EXISTS (SELECT FROM pg_trigger g "
        f"WHERE g.tgfoid = f.oid AND g.tgrelid = to_regclass({full})) "
        f"AND (f.prosrc ~ {literal(whole(table))} OR f.prosrc ~* {literal(_folded(database, table))}) "
        f"AND f.proname <> {literal(TABLE)}"
    )
    if columns:
        sql += f" AND f.prosrc ~* {literal(_any(columns))}"
    yield Probe("object", tuple(sorted(columns)), _named(sql), f"functions that name {words(columns) or name}")


def of_deleted(dialect: Dialect, name: TableName, column: str) -> Iterator[Probe]:
    """Give the queries for what leads to a soft-deleted table, or a column of one, and what reads it."""
    table = f"to_regclass({literal(dialect.full(name))})"
    keys = _KEYS.format(t=table, ours=ours(dialect, dialect.place(name)))
    if column:
        yield _reading(dialect, table, {column})
        number = f"SELECT attnum FROM pg_attribute WHERE attrelid = {table} AND attname = {literal(column)}"
        keys += f"AND ({number}) = ANY (k.confkey)"
    else:
        # What is the table's own goes with it.
        kinds = "'^((materialized )?view|table|function) '"
        others = f"SELECT DISTINCT what FROM ({_OBJECTS.format(t=table)}) o WHERE what ~ {kinds}"
        yield Probe("object", (), _named(others), "objects that read it")
    what = f"foreign keys from outside of the pipeline that lead to {column or 'it'}"
    yield Probe("object", (column,) if column else (), _named(keys), what)


def _reading(dialect: Dialect, table: str, columns: set[str], but: str = "") -> Probe:
    """Ask for what reads some columns of a table, which is an expression for its number; ``but`` is what may do so."""
    sql = (
        f"SELECT DISTINCT what FROM ({_OBJECTS.format(t=table)}) o JOIN pg_attribute a ON a.attrelid = {table} "
        f"AND a.attnum = o.number WHERE a.attname IN ({literals(dialect, columns)})"
        + (f" AND what !~ {literal(but)}" if but else "")
    )
    return Probe("object", tuple(sorted(columns)), _named(sql), f"objects that read {words(columns)}")


def _named(query: str) -> str:
    """Give how many names a query gives, and these."""
    return f"SELECT COUNT(*), string_agg(what, ', ' ORDER BY what) FROM ({query}) AS named (what)"


def _folded(database: str, table: str) -> str:
    """Give a regular expression for a table's name in whatever case, which the server folds where it is not quoted.

    In capital letters it is often a word of SQL. So it counts only after its schema, or after what a table follows.
    """
    before = rf'\y{re.escape(database)}"?\s*\.\s*|\y(FROM|JOIN|INTO|UPDATE|TABLE|ONLY)\s+'
    return rf'({before}){re.escape(table)}([^A-Za-z0-9_#"]|$)'


def _any(names: set[str]) -> str:
    """Give a regular expression for any of some names as a word."""
    return rf"\y({'|'.join(sorted(names))})\y"
